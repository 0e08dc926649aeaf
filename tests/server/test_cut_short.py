"""A response that the application does not complete never looks complete, however it is framed."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.server.apps import body, start
from tests.server.raw import request

PART = b"x" * 100

# How the end of the body is told: the start's fields, the request's version.
FRAMINGS = {
    "length": ([(b"content-length", b"200")], "1.1"),
    "chunked": ([], "1.1"),
    "end of the connection": ([], "1.0"),
}


async def raises():
    raise ValueError("broken")


async def returns():
    pass


async def suspends_and_raises():
    await asyncio.sleep(0)
    raise ValueError("broken")


async def is_cancelled():
    await asyncio.sleep(0)
    raise asyncio.CancelledError


@pytest.mark.parametrize("transport", ["plain", "tls"])
@pytest.mark.parametrize("way", [raises, returns, suspends_and_raises, is_cancelled])
@pytest.mark.parametrize(("fields", "version"), FRAMINGS.values(), ids=list(FRAMINGS))
def test_the_client_sees_that_the_body_is_not_complete(connect, fields, version, way):
    async def app(scope, receive, send):
        await send(start(200, *fields))
        await send(body(PART, more=True))
        await way()

    client = connect(app)
    client.send(request(version=version))
    check_incomplete(client, fields, version)


@pytest.mark.parametrize(("fields", "version"), FRAMINGS.values(), ids=list(FRAMINGS))
def test_a_request_that_turns_out_to_be_broken_ends_it_too(connect, fields, version):
    """The end of the client's stream comes before the end of the body that it has declared."""

    async def app(scope, receive, send):
        await send(start(200, *fields))
        await send(body(PART, more=True))
        while (await receive())["type"] != "http.disconnect":
            pass

    client = connect(app)
    client.send(request("/", "Content-Length: 10", method="POST", version=version) + b"12345")
    client.end()
    check_incomplete(client, fields, version)


@pytest.mark.parametrize("way", ["goes on", "has ended"])
@pytest.mark.parametrize(("fields", "version"), FRAMINGS.values(), ids=list(FRAMINGS))
def test_the_end_of_a_drain_ends_it_too(connect, serve, fields, version, way):
    """The application is within its body, or has ended, and the client has not read it all."""
    size = 5 << 20
    declared = [(name, b"%d" % size) for name, _ in fields]

    async def app(scope, receive, send):
        await send(start(200, *declared))
        if way == "goes on":
            while True:  # a thread of WSGI's learns of it by that
                await send(body(PART, more=True))
                await asyncio.sleep(0.01)
        else:
            await send(body(bytes(size)))

    server = serve(app, graceful_timeout=0.1)
    client = connect(server, receive_buffer=4096)
    client.send(request(version=version))
    client.until(b"\r\n\r\n")
    server.stop()
    if version == "1.0":
        with pytest.raises(ConnectionResetError):
            client.rest()
    else:
        with contextlib.suppress(ConnectionResetError):
            assert len(client.rest()) < size


def check_incomplete(client, fields, version):
    if version == "1.0":
        with pytest.raises(ConnectionResetError):
            client.rest()
        return
    client.until(b"\r\n\r\n")
    if fields:
        assert client.rest() == PART
    else:
        assert client.rest() == b"64\r\n" + PART + b"\r\n"
