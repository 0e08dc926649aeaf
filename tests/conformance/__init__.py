"""Public suites that judge granite: `make conformance`. Each is a module of `suites`."""
