"""Handshakes: what is agreed on, who is refused, and those that are none or take too long."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from granite._core.tls import OPENSSL_VERSION
from tests.patience import PATIENCE
from tests.server.apps import answer, eventually, hello
from tests.server.records import plain_alert
from tests.server.tls import only_tls_1_3, openssl


@pytest.mark.parametrize(
    ("http", "protocols", "chosen"),
    [
        ("auto", [], None),
        ("auto", ["http/1.1"], "http/1.1"),
        ("auto", ["http/1.1", "h2"], "h2"),
        ("1", ["h2", "http/1.1"], "http/1.1"),
        ("2", ["http/1.1", "h2"], "h2"),
    ],
)
def test_alpn(secured, records, trusting, http, protocols, chosen):
    if protocols:
        trusting.set_alpn_protocols(protocols)
    client = records(secured(hello, http=http), trusting)
    client.handshake()
    assert client.tls.selected_alpn_protocol() == chosen


def test_the_request_comes_with_the_end_of_the_handshake(secured, records):
    client = records(secured(hello))
    client.step(client.tls.do_handshake)
    finished = client.outgoing.read()
    client.send(finished + client.seal(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
    assert client.read(b"hello")


@pytest.mark.parametrize(("http", "wanted"), [("1", "h2"), ("2", "http/1.1"), ("auto", "h3")])
def test_a_client_that_wants_another_protocol_is_refused(
    secured, records, trusting, log, http, wanted
):
    trusting.set_alpn_protocols([wanted])
    client = records(secured(hello, http=http), trusting)
    with pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
        client.handshake()
    eventually(lambda: any("alert 120 (no application protocol)" in x for x in log.messages))


@only_tls_1_3
def test_a_client_of_tls_1_2_is_refused(secured, records, trusting, log):
    trusting.maximum_version = ssl.TLSVersion.TLSv1_2
    client = records(secured(hello), trusting)
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        client.handshake()
    eventually(lambda: any("alert 70 (protocol version)" in line for line in log.messages))


def test_a_client_without_tls(secured, connect, log):
    """It is told so, in its own language."""
    server = secured(hello)
    for request in (
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"P",
        b"POST / HTTP/1.1\r\n" + b"a" * 90_000,
    ):
        client = connect(server)
        client.send(request)
        response = client.response()
        assert response.status == 400
        assert response.get("connection") == "close"
        assert response.get("content-type") == "text/plain"
        assert b"HTTPS" in response.body
        client.close()
    said = ": TLS: a request of plain HTTP came"
    eventually(lambda: sum(line.endswith(said) for line in log.messages) == 3)
    eventually(lambda: server.counters()["connections"] == 0)


def test_a_client_that_does_not_trust_the_certificate(secured, records, log):
    client = records(secured(hello), ssl.create_default_context())
    with pytest.raises(ssl.SSLCertVerificationError):
        client.handshake()
    client.send(client.outgoing.read())
    eventually(lambda: any("the client sent the alert" in line for line in log.messages))


@pytest.mark.parametrize(
    "data",
    [
        b"get / http/1.1\r\n\r\n",
        b"\x00" * 100,
        b"\xff" * 20_000,
        b"\x16\x03\x01\xff\xff" + b"a" * 100,
        b"\x16\x03\x01\x00\x05hello",
        b"\x17\x03\x03\x00\x10" + b"a" * 16,
    ],
)
def test_what_is_no_handshake_gets_an_alert(secured, data):
    server = secured(hello)
    with socket.create_connection((server.host, server.port), PATIENCE) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        answered = b""
        try:
            while piece := sock.recv(1000):
                answered += piece
        except ConnectionResetError:
            pass
    assert not answered or plain_alert(answered) in (10, 22, 50, 70)
    eventually(lambda: server.counters()["connections"] == 0)


@pytest.mark.parametrize("size", [50, 10_000])
def test_a_handshake_that_stops_ends_with_its_deadline(secured, records, size, log):
    server = secured(hello, ssl_handshake_timeout=3, request_head_timeout=0)
    client = records(server)
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.do_handshake()
    client.send(client.outgoing.read()[:size])
    client.rest()
    eventually(lambda: server.counters()["connections"] == 0)
    assert log.messages[-1].endswith(": TLS: the handshake took longer than 3 s")


def test_whoever_says_nothing_is_not_talked_about(secured, log):
    server = secured(hello, ssl_handshake_timeout=0.3, request_head_timeout=0)
    with socket.create_connection((server.host, server.port), PATIENCE) as sock:
        assert sock.recv(100) == b""
    assert not any("TLS" in line for line in log.messages)


def test_the_heads_time_begins_with_the_end_of_the_handshake(secured, records):
    client = records(secured(hello, ssl_handshake_timeout=0, request_head_timeout=0.3))
    client.handshake()
    assert client.step(lambda: client.tls.read(100)) == b""


def has_hybrids() -> bool:
    """Whether granite was built with an OpenSSL that has ML-KEM, and its command has it, too."""
    if tuple(map(int, OPENSSL_VERSION.split(".")[:2])) < (3, 5):
        return False
    listed = subprocess.run(
        [openssl(), "list", "-kem-algorithms"], capture_output=True, timeout=60, check=False
    )
    return b"X25519MLKEM768" in listed.stdout


@only_tls_1_3
@pytest.mark.parametrize("group", ["X25519MLKEM768", "X25519", "P-256", "P-384"])
@pytest.mark.parametrize(
    "suite", ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]
)
def test_every_cipher_suite_and_group_with_an_independent_client(
    secured, certificate, group, suite
):
    if group == "X25519MLKEM768" and not has_hybrids():
        pytest.skip("needs OpenSSL 3.5")
    server = secured(hello)
    authority = Path(certificate["ssl_certificate"]).with_name("ca.pem")
    done = subprocess.run(
        [
            *(openssl(), "s_client", "-connect", f"{server.host}:{server.port}"),
            *("-CAfile", str(authority), "-verify_return_error", "-ign_eof", "-crlf"),
            *("-groups", group, "-ciphersuites", suite),
        ],
        input=b"GET / HTTP/1.1\nHost: a\nConnection: close\n\n",
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.stdout.count(b"hello") == 1, done
    assert f"Cipher is {suite}".encode() in done.stdout


@only_tls_1_3
@pytest.mark.parametrize("group", ["prime256v1", "X25519"])
def test_a_broken_key_share_does_not_disturb_the_applications_own_tls(
    secured, records, trusting, certificate, group
):
    """OpenSSL's error queue is the thread's: what is left on it is taken for the next call's."""
    accepting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    accepting.load_cert_chain(certificate["ssl_certificate"], certificate["ssl_keyfile"])
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = trusting.wrap_bio(there, back, server_hostname="localhost")
    other = accepting.wrap_bio(back, there, server_side=True)
    for side in (one, other, one, other):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()

    async def app(scope, receive, send):
        try:
            one.read(1)
        except ssl.SSLError as exc:
            await answer(send, type(exc).__name__.encode())

    server = secured(app)
    good = records(server)
    good.handshake()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.set_ecdh_curve(group)
    except ssl.SSLError:
        pytest.skip(f"this Python's ssl does not know {group}")
    bad = records(server, context)
    with pytest.raises(ssl.SSLWantReadError):
        bad.tls.do_handshake()
    hello = bytearray(bad.outgoing.read())
    share = hello.index(b"\x00\x33\x00", 100) + 10  # extension, lengths, group, length
    hello[share + 1 : share + 32] = bytes(31)
    hello[share] = 4 if group == "prime256v1" else 0
    bad.send(bytes(hello))
    assert bad.rest()[:1] == b"\x15"
    good.send(good.seal(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
    assert good.read(b"Error").endswith(b"SSLWantReadError")
