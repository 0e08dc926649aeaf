"""Certificates that are exchanged where no arbiter looks at them: servers inside of a program."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from granite import Server, secure
from tests.pairs import Pair
from tests.server.apps import eventually, hello
from tests.server.embedded.apps import on
from tests.server.loops import both_loops

SHOWN = "TLS: who connects now gets the certificates that the files have"
KEPT = "the certificates stay as they were: TLS: "


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(secure, "LOOKS", 0.05)


@pytest.fixture
def pair(tmp_path) -> Pair:
    return Pair(tmp_path)


def files(pair: Pair) -> dict:
    return {"ssl_certificate": pair.chain, "ssl_keyfile": pair.key, "ssl_reload": True}


@pytest.mark.parametrize("interface", ["asgi", "wsgi"])
def test_a_test_server(serve, pair, log, interface):
    server = serve(hello, **files(pair))
    with httpx.Client(verify=pair.context) as former:
        assert former.get(server.url()).text == "hello"
        number = pair.rename()
        eventually(lambda: pair.shown(server.port) == {number})
        assert former.get(server.url()).text == "hello"
        eventually(lambda: server.counters()["connections"] == 1)
    eventually(lambda: SHOWN in log.messages)


def test_what_is_wrong_stays_outside(serve, pair, log):
    server = serve(hello, **files(pair))
    shown = pair.shown(server.port)
    pair.key.write_text("none")
    eventually(lambda: any(line.startswith(KEPT) for line in log.messages))
    assert pair.shown(server.port) == shown
    number = pair.issue()
    eventually(lambda: pair.shown(server.port) == {number})


def test_not_without_the_setting(serve, pair, log):
    server = serve(hello, **files(pair) | {"ssl_reload": False})
    other = serve(hello, **files(pair))
    before = pair.shown(server.port)
    number = pair.issue()
    eventually(lambda: pair.shown(other.port) == {number})
    assert pair.shown(server.port) == before


@both_loops
def test_an_embedded_server(loop, pair):
    async def main():
        async with Server(hello, port=0, lifespan="off", **files(pair)) as server:
            assert len(await asyncio.to_thread(pair.shown, server.port)) == 1
            number = pair.issue()
            await asyncio.to_thread(eventually, lambda: pair.shown(server.port) == {number})

    on(loop, main())
