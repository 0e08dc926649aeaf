"""The suites, in the order in which they run and are reported."""

NAMES = ("h2spec", "testssl", "clients")
