"""Start fastpysgi with what its command line has no option for: the loop and TCP_NODELAY.

Run by the interpreter of the peers' environment, never imported by the benchmark itself. One
process, one thread.
"""

from __future__ import annotations

import argparse
import importlib


def main() -> None:
    """Serve ``module:attribute`` on 127.0.0.1 until a signal ends the process."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("target")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), help="for ASGI")
    options = parser.parse_args()
    module, _, attribute = options.target.partition(":")
    application = getattr(importlib.import_module(module), attribute)
    server = importlib.import_module("fastpysgi").server
    if options.loop == "uvloop":
        server.loop = importlib.import_module("uvloop").new_event_loop()
    server.tcp_nodelay = 1
    server.init(application, "127.0.0.1", options.port)
    server.run()


if __name__ == "__main__":
    main()
