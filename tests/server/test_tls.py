"""TLS 1.3 and 1.2: data both ways, deadlines, ends, what applications hear of it."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from tests.patience import PATIENCE
from tests.server.apps import answer, body, body_of, eventually, hello, start
from tests.server.inside import stopping
from tests.server.loops import both_loops
from tests.server.tls import only_tls_1_3, openssl


async def sizes(scope, receive, send):
    """Answer with as many bytes as the path says, or with the length of the body and the scheme."""
    size = int(scope["path"].strip("/") or 0)
    if size:
        await answer(send, b"x" * size)
    else:
        await answer(send, f"{scope['scheme']} {len(await body_of(receive))}".encode())


@both_loops
def test_requests_and_bodies_both_ways(secured, trusting):
    server = secured(sizes)
    with httpx.Client(verify=trusting) as client:
        assert server.url("/").startswith("https://")
        assert client.get(server.url("/")).text == "https 0"
        assert client.post(server.url("/"), content=b"y" * 3_000_000).text == "https 3000000"
        for size in (1, 16_383, 16_384, 16_385, 131_072, 131_073, 20_000_000):
            assert client.get(server.url(f"/{size}")).content == b"x" * size
        assert server.counters()["connections"] == 1
        assert server.counters()["layers"] == 1


@both_loops
def test_a_streamed_response_and_a_slow_reader(secured, records):
    async def app(scope, receive, send):
        await send(start())
        for _ in range(400):
            await send(body(b"z" * 10_000, more=True))
        await send(body(b"end"))

    server = secured(app)
    client = records(server)
    client.handshake()
    client.send(client.seal(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
    data = client.read(b"end\r\n0\r\n\r\n")
    assert data.count(b"z" * 10_000 + b"\r\n") == 400


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_records_that_come_in_pieces(secured, records, size):
    server = secured(sizes)
    client = records(server)
    client.handshake(size)
    for _ in range(3):
        client.send(
            client.seal(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n" + b"b" * 50),
            size,
        )
        assert client.read(b"https 50").startswith(b"HTTP/1.1 200 OK\r\n")


def test_pipelined_requests_in_one_record_and_one_request_in_many(secured, records):
    server = secured(sizes)
    client = records(server)
    client.handshake()
    client.send(client.seal(b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n" * 20))
    answers = b""
    while answers.count(b"\r\n\r\nxx") < 20:
        answers += client.read(b"x")
    data = b"".join(client.seal(bytes([byte])) for byte in b"GET /3 HTTP/1.1\r\nHost: a\r\n\r\n")
    client.send(data)
    assert client.read(b"xxx").endswith(b"\r\n\r\nxxx")


def test_the_end_is_announced(secured, records):
    """close_notify (RFC 8446, 6.1): the client can tell the end from a cut."""
    client = records(secured(hello))
    client.handshake()
    client.send(client.seal(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
    assert client.read(b"hello")
    assert client.step(lambda: client.tls.read(100)) == b""


def test_an_idle_connection_is_told_when_the_server_ends(secured, records):
    server = secured(hello)
    client = records(server)
    client.handshake()
    client.send(client.seal(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
    assert client.read(b"hello")
    server.stop()
    assert client.step(lambda: client.tls.read(100)) == b""


def test_a_handshake_and_its_request_are_completed_while_the_server_ends(secured, records):
    """Whoever has connected before the end is served once."""

    def ask(client) -> bytes:
        client.step(client.tls.do_handshake)
        client.send(client.outgoing.read() + client.seal(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
        return client.read(b"hello")

    for _ in range(20):  # until this client is quick enough for the half second that it is left
        server = secured(hello)
        client = records(server)
        with pytest.raises(ssl.SSLWantReadError):
            client.tls.do_handshake()
        client.send(client.outgoing.read())
        client.incoming.write(client.sock.recv(65536))
        began = time.monotonic()
        with stopping(server):
            with contextlib.suppress(OSError):
                while True:  # as long as it listens
                    socket.create_connection((server.host, server.port), PATIENCE).close()
            try:
                answered = ask(client)
            except (AssertionError, OSError):
                assert time.monotonic() - began > 0.45
                client.sock.close()
                continue
            assert b"connection: close" in answered
            assert client.step(client.tls.read) == b""
            client.sock.close()
        return
    pytest.fail("no client was quick enough")


def test_the_end_of_the_client_is_noticed(secured, records):
    gone = []

    async def app(scope, receive, send):
        await receive()
        gone.append((await receive())["type"])

    server = secured(app)
    client = records(server)
    client.handshake()
    client.send(client.seal(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.unwrap()
    client.send(client.outgoing.read())
    eventually(lambda: gone == ["http.disconnect"])


def test_a_client_that_reads_nothing_holds_no_memory(secured, records):
    """A large response waits where it is; only a piece of it is encrypted ahead."""
    server = secured(sizes)
    client = records(server)
    client.handshake()
    client.send(client.seal(b"GET /30000000 HTTP/1.1\r\nHost: a\r\n\r\n"))
    client.step(lambda: client.tls.read(1))
    assert server.counters()["buffers"] < 20


def test_an_idle_connections_deadline_is_announced(secured, records):
    """The client of a connection that was kept long enough can tell the end from a cut."""
    server = secured(hello, keep_alive_timeout=0.3)
    client = records(server)
    client.handshake()
    client.send(client.seal(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
    assert client.read(b"hello")
    assert client.step(lambda: client.tls.read(100)) == b""
    eventually(lambda: server.counters()["connections"] == 0)


@pytest.mark.parametrize("busy", [False, True])
def test_a_record_that_was_tampered_with_ends_the_connection(secured, records, busy, log):
    async def app(scope, receive, send):
        await (await_end(receive) if busy else answer(send, b"ok"))

    async def await_end(receive):
        while (await receive())["type"] != "http.disconnect":
            pass

    server = secured(app)
    client = records(server)
    client.handshake()
    client.send(client.seal(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
    if not busy:
        assert client.read(b"ok")
    record = bytearray(client.seal(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
    record[20] ^= 1
    client.send(bytes(record))
    with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
        client.step(lambda: client.tls.read(1000))
    client.sock.close()
    eventually(lambda: server.counters()["connections"] == 0)
    assert any("alert 20 (bad record)" in line for line in log.messages)


@only_tls_1_3
def test_a_key_update_of_the_client(secured, certificate):
    """The command s_client sends KeyUpdate for a line with K (RFC 8446, 4.6.3)."""
    server = secured(hello)
    done = subprocess.run(
        [openssl(), "s_client", "-connect", f"{server.host}:{server.port}", "-quiet"],
        input=b"K\nGET / HTTP/1.1\nHost: a\nConnection: close\n\n",
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert b"HTTP/1.1 400" in done.stdout or b"hello" in done.stdout


def test_curl(secured, certificate):
    server = secured(hello)
    authority = Path(certificate["ssl_certificate"]).with_name("ca.pem")
    done = subprocess.run(
        ["curl", "-sS", "--cacert", authority, server.url("/"), server.url("/")],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={"PATH": os.environ["PATH"]},  # no preloaded sanitizer: curl hangs with it
    )
    assert (done.stdout, done.stderr) == ("hello" * 2, "")


def test_the_scope_says_what_was_agreed_on(secured, serve, certificate, trusting, tls_version):
    """The extension "tls" of ASGI, version 0.2."""
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["extensions"].get("tls"))
        await answer(send, b"ok")

    server = secured(app)
    with httpx.Client(verify=trusting) as client:
        for _ in range(2):
            client.get(server.url("/"))
    first, second = seen
    assert first == second
    assert first is not second
    assert first.pop("server_cert") == ssl.DER_cert_to_PEM_cert(
        ssl.PEM_cert_to_DER_cert(Path(certificate["ssl_certificate"]).read_text().split("\n\n")[0])
    )
    suites = {"1.3": (0x1301, 0x1302, 0x1303), "1.2": (0xC02B, 0xC02C, 0xCCA9)}
    assert first.pop("cipher_suite") in suites[tls_version]
    assert first == {
        "client_cert_chain": [],
        "client_cert_name": None,
        "client_cert_error": None,
        "tls_version": {"1.3": 0x0304, "1.2": 0x0303}[tls_version],
    }
    httpx.get(serve(app).url("/"))
    assert seen[2] is None


@pytest.mark.parametrize("own", [[], [(b"Strict-Transport-Security", b"max-age=5")]])
def test_strict_transport_security(secured, serve, trusting, own):
    """RFC 6797, 7: in responses over TLS alone; the application's own counts."""

    async def app(scope, receive, send):
        await send({**start(), "headers": own})
        await send(body(b"ok"))

    value = "max-age=31536000; includeSubDomains"
    server = secured(app, ssl_hsts=value)
    response = httpx.get(server.url("/"), verify=trusting)
    expected = own[0][1].decode() if own else value
    assert response.headers.get_list("strict-transport-security") == [expected]
    plain = serve(app, ssl_hsts=value)
    expected_plain = [expected] if own else []
    found = httpx.get(plain.url("/")).headers.get_list("strict-transport-security")
    assert found == expected_plain
    without = httpx.get(secured(app).url("/"), verify=trusting)
    assert without.headers.get_list("strict-transport-security") == expected_plain
