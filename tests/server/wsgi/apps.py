"""Pieces of applications of WSGI."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tests.patience import PATIENCE

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
App = Callable[[Environ, StartResponse], Iterable[bytes]]

PLAIN = [("Content-Type", "text/plain")]


def answering(*pieces: bytes, status: str = "200 OK", headers: Any = PLAIN) -> App:
    """An application that answers whatever it is asked with a list."""

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response(status, headers)
        return [*pieces]

    return app


def returning(make: Callable[[Environ], Any], *headers: tuple[str, str]) -> App:
    """An application that returns what `make` makes of the environ."""

    def app(environ: Environ, start_response: StartResponse) -> Any:
        start_response("200 OK", [*PLAIN, *headers])
        return make(environ)

    return app


def echo(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """The request's body."""
    body = environ["wsgi.input"].read()
    start_response("200 OK", PLAIN)
    return [body]


class Closing:
    """An iterable that counts how often it is closed."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self.closed = 0
        self.given = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        piece = next(self._pieces)
        self.given += 1
        return piece

    def close(self) -> None:
        self.closed += 1


class Gate:
    """Where a call stands still until the test lets it go on."""

    def __init__(self) -> None:
        self._reached = threading.Semaphore(0)
        self._open = threading.Semaphore(0)

    def wait(self) -> None:
        """For the application."""
        self._reached.release()
        assert self._open.acquire(timeout=PATIENCE)

    def reach(self) -> None:
        """For the test: wait until a call stands here."""
        assert self._reached.acquire(timeout=PATIENCE)

    def open(self) -> None:
        """Let one call go on."""
        self._open.release()
