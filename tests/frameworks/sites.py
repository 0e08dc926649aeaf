"""A framework's application in a real server, as its tests meet it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.granite_process import ROOT, GraniteProcess

PREFIX = "/shop"
FILE_SIZE = 300_000


@dataclass(frozen=True)
class Served:
    """An application, the interface that granite is expected to choose for it, and how it is
    served: below a prefix, with further options.
    """

    target: str
    interface: str
    prefix: str = ""
    options: tuple[str, ...] = ()
    lifespan: bool = False  # whether the application tells of its startup and its shutdown

    def __str__(self) -> str:
        return " ".join(filter(None, (self.target, self.prefix, *self.options)))


def served(*ways: Served) -> pytest.MarkDecorator:
    """Have the tests of a class run over each of these, with one server for each."""
    return pytest.mark.parametrize("site", ways, indirect=True, scope="class", ids=str)


def asgi(target: str, *, lifespan: bool = False) -> pytest.MarkDecorator:
    plain = Served(target, "ASGI", lifespan=lifespan)
    return served(plain, Served(target, "ASGI", PREFIX, lifespan=lifespan))


def wsgi(target: str) -> pytest.MarkDecorator:
    threads = ("--threads", "4")
    return served(Served(target, "WSGI"), Served(target, "WSGI", PREFIX, threads))


class Site:
    """A server of an application, and a client of it that never gets a cookie."""

    def __init__(self, served: Served, directory: Path):
        self.served = served
        self.file = directory / "file.bin"
        self.file.write_bytes(bytes(range(250)) * (FILE_SIZE // 250))
        self._gates = (directory / f"gate-{number}" for number in itertools.count(1))
        store = directory / "store"
        store.mkdir()
        prefix = ("--url-path-prefix", served.prefix) if served.prefix else ()
        self.process = GraniteProcess(
            *("run", f"tests.frameworks.{served.target}", "--port", "0"),
            *("--forwarded-headers", "x-forwarded", *prefix, *served.options),
            cwd=ROOT,
            env={"SITE_FILE": str(self.file), "SITE_STORE": str(store)},
        )
        try:
            self.client = self.visitor()
        except BaseException:  # it does not start
            self.process.destroy()
            raise

    def visitor(self) -> httpx.Client:
        """A client with cookies of its own."""
        return httpx.Client(base_url=self.process.url(""))

    def gate(self) -> Path:
        """The path of a file that does not exist yet, and that nobody else has been given."""
        return next(self._gates)

    def url(self, path: str) -> str:
        """What the application should think of as the URL of a path."""
        return self.process.url(f"{self.served.prefix}{path}")

    def end(self) -> None:
        """End the server as an operator does, and look whether it ended well."""
        self.client.close()
        assert self.process.stop() == 0, self.process
        if self.served.lifespan:
            told = [line for line in self.process.output.splitlines() if "lifespan: " in line]
            assert told == ["lifespan: started", "lifespan: shut down"], self.process
