"""Files over HTTP/2."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from tests.server.apps import body, eventually, sending, start
from tests.server.files.pieces import MIB, contents, descriptors, maker, whole
from tests.server.http2.marks import every_interface, plain_and_tls


@pytest.fixture(scope="module")
def data() -> bytes:
    return contents(5 * MIB)


@pytest.fixture
def make(tmp_path, data):
    return maker(tmp_path, data)


@plain_and_tls
@pytest.mark.parametrize("size", [0, 1, 16384, 16385, 100_000, 5 * MIB])
def test_a_file(connect, make, data, size):
    client = connect(sending(start(200, (b"x", b"y")), whole(make(size))))
    for _ in range(2):
        response = client.ask()
        assert response.get("content-length") == str(size)
        assert response.body == data[:size]


@plain_and_tls
def test_parts_of_a_file_between_pieces(connect, make, data):
    async def app(scope, receive, send):
        await send(start())
        await send(body(b"[", more=True))
        with path.open("rb") as file:  # noqa: ASYNC230
            for offset in (0, 100_000, 5):
                part = {"file": file, "offset": offset, "count": 50_000, "more_body": True}
                await send({"type": "http.response.zerocopysend", **part})
                await send(body(b"|", more=True))
        await send(body(b"]"))

    path = Path(make(MIB))
    client = connect(app)
    expected = b"".join(data[at : at + 50_000] + b"|" for at in (0, 100_000, 5))
    for _ in range(2):
        assert client.ask().body == b"[" + expected + b"]"


def test_head_of_a_file(connect, make):
    client = connect(sending(start(), whole(make(1000))))
    response = client.ask(method="HEAD")
    assert (response.status, response.get("content-length"), response.body) == (200, "1000", b"")


@plain_and_tls
def test_many_files_at_once(connect, make, data):
    client = connect(sending(start(), whole(make(300_000))))
    streams = [client.request() for _ in range(20)]
    for stream in streams:
        assert client.response(stream).body == data[:300_000]


@pytest.mark.parametrize("how", ["reset", "abort"])
def test_no_descriptor_stays(connect, serve, make, how):
    path = make(5 * MIB)
    server = serve(sending(start(), whole(path)))
    client = connect(server, stalls=True)
    stream = client.request()
    client.until(lambda: len(client.responses[stream].body) == 65535)
    assert descriptors(path) >= 1
    client.reset(stream) if how == "reset" else client.abort()
    eventually(lambda: descriptors(path) == 0)


def test_a_file_that_is_cut_while_it_is_sent(connect, make, log):
    path = make(5 * MIB)
    client = connect(sending(start(), whole(path)), stalls=True)
    stream = client.request()
    client.until(lambda: len(client.responses[stream].body) == 65535)
    os.truncate(path, MIB)
    client.h2.increment_flow_control_window(2**30)
    client.h2.increment_flow_control_window(2**30, stream)
    client.flush()
    response = client.responses[stream]
    with contextlib.suppress(OSError, AssertionError):  # the connection may end in a frame
        while response.reset is None and not client.ended:
            client.take()
    assert not response.ended
    assert len(response.body) <= MIB


@every_interface
def test_by_every_interface(serve, connect, make, data, interface):
    path = make(300_000)

    class Rsgi:
        async def __rsgi__(self, scope, protocol):
            protocol.response_file(200, [], path)

    def wsgi(environ, start_response):
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](Path(path).open("rb"))

    app = {"asgi": sending(start(), whole(path)), "rsgi": Rsgi(), "wsgi": wsgi}[interface]
    # The fixture wraps applications of ASGI for the other interfaces; these are of their own.
    from granite.testing import TestServer

    with TestServer(app, interface=interface, lifespan="off") as server:
        client = connect(server)
        assert client.ask().body == data[:300_000]
        client.close()
