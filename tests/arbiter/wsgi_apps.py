"""WSGI applications for the tests of real processes: `granite run wsgi_apps:NAME`."""

import os
import sys
import time


def respond(start_response, body: str):
    data = body.encode()
    start_response("200 OK", [("Content-Length", str(len(data)))])
    return [data]


def nap():
    print("asleep", flush=True)
    time.sleep(600)


def told(environ, start_response):
    """Tell about the process."""
    found = {
        "/pid": os.getpid,
        "/modules": lambda: sorted(sys.modules),
        "/nap": nap,
        "/log": log_a_line,
        "/stopping": lambda: environ["granite.stopping"].is_set(),
    }
    return respond(start_response, repr(found.get(environ["PATH_INFO"], os.getpid)()))


def log_a_line():
    """Return whether anybody has imported `logging` before."""
    before = "logging" in sys.modules
    import logging

    logging.getLogger("granite.error").warning("a line of %s", "logging")
    return before


def upload(environ, start_response):
    """Answer when the whole body is there, which is longer than what is read ahead of the call: the
    client decides how long it stays in flight.
    """
    print("request begun", flush=True)
    try:
        size = len(environ["wsgi.input"].read())
    except OSError:
        print("request cut short", flush=True)
        raise
    return respond(start_response, f"{size} bytes")


def ticking(environ, start_response):
    """Stream more than the client takes, until the server is going to stop."""
    start_response("200 OK", [])
    while not environ["granite.stopping"].is_set():
        yield bytes(100_000)
    yield b"goodbye\n"


def failing(environ, start_response):
    environ["wsgi.errors"].write("a line of wsgi.errors\n")
    raise KeyError("asked for")
