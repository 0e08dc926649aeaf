"""The PROXY protocol: what introduces a connection, what is refused, and who may and must send it.

The peer is 127.0.0.1, and trusted unless a test says otherwise.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from tests.server.apps import Scopes, eventually
from tests.server.raw import Client, request
from tests.server.tls import SecureSocket

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
TCP4, TCP6, UNIX = 0x11, 0x21, 0x31
V4 = bytes([192, 0, 2, 1, 198, 51, 100, 2]) + struct.pack("!HH", 5000, 443)
V6 = (
    socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    + socket.inet_pton(socket.AF_INET6, "2001:db8::2")
    + struct.pack("!HH", 5000, 443)
)
LINE = b"PROXY TCP4 192.0.2.1 198.51.100.2 5000 443\r\n"
OWN = "the connection's own"
CLIENT, SERVER = ("192.0.2.1", 5000), ("198.51.100.2", 443)


def v2(
    block: bytes = V4, family: int = TCP4, command: int = 0x21, size: int | None = None
) -> bytes:
    """A header of version 2."""
    size = len(block) if size is None else size
    return SIGNATURE + bytes([command, family]) + struct.pack("!H", size) + block


def tlv(kind: int, value: bytes = b"") -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def crc32c(data: bytes) -> int:
    """One bit at a time, as RFC 3720 has it."""
    remainder = 0xFFFFFFFF
    for byte in data:
        remainder ^= byte
        for _ in range(8):
            remainder = remainder >> 1 ^ (0x82F63B78 if remainder & 1 else 0)
    return remainder ^ 0xFFFFFFFF


def checked(before: bytes = b"", behind: bytes = b"", wrong: int = 0) -> bytes:
    """A header with a checksum between two extensions."""
    header = v2(V4 + before + tlv(3, bytes(4)) + behind)
    at = 16 + len(V4) + len(before) + 3
    return header[:at] + struct.pack("!I", crc32c(header) ^ wrong) + header[at + 4 :]


@pytest.fixture
def scopes() -> Scopes:
    return Scopes()


def told(scope, client: Client) -> tuple:
    own = client.sock.getsockname(), client.sock.getpeername()
    return (
        OWN if scope["client"] == own[0] else scope["client"],
        OWN if scope["server"] == own[1] else scope["server"],
        scope["scheme"],
    )


VALID = {
    "v1": (LINE, CLIENT, SERVER, "http"),
    "v1 tcp6": (
        b"PROXY TCP6 2001:DB8::1 2001:db8:0:0:0:0:0:2 0 65535\r\n",
        ("2001:db8::1", 0),
        ("2001:db8::2", 65535),
        "http",
    ),
    "v1 longest": (
        b"PROXY TCP6 " + 2 * (b":".join([b"ffff"] * 8) + b" ") + b"65535 65535\r\n",
        (":".join(["ffff"] * 8), 65535),
        (":".join(["ffff"] * 8), 65535),
        "http",
    ),
    "v1 mapped": (b"PROXY TCP6 ::ffff:192.0.2.1 ::2 1 2\r\n", ("192.0.2.1", 1), ("::2", 2), "http"),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", OWN, OWN, "http"),
    "v1 unknown with more": (b"PROXY UNKNOWN \n what\0ever 1\r\n", OWN, OWN, "http"),
    "v1 unknown longest": (b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n", OWN, OWN, "http"),
    "v2": (v2(), CLIENT, SERVER, "http"),
    "v2 tcp6": (v2(V6, TCP6), ("2001:db8::1", 5000), ("2001:db8::2", 443), "http"),
    "v2 unix": (v2(bytes(216), UNIX), None, OWN, "http"),
    "v2 local": (v2(b"", 0, 0x20), OWN, OWN, "http"),
    "v2 local with more": (v2(b"what ever", 0xFF, 0x20), OWN, OWN, "http"),
    "v2 unspecified": (v2(b"what ever", 0), OWN, OWN, "http"),
    "v2 udp": (v2(V4, 0x12), OWN, OWN, "http"),
    "v2 unspecified transport": (v2(V4, 0x10), OWN, OWN, "http"),
    "v2 extensions": (
        v2(V4 + tlv(1, b"h2") + tlv(4) + tlv(0xE0, bytes(300))),
        CLIENT,
        SERVER,
        "http",
    ),
    "v2 largest": (v2(V4 + tlv(4, bytes(4096 - 16 - 12 - 3))), CLIENT, SERVER, "http"),
    "v2 over TLS": (
        v2(V4 + tlv(0x20, b"\1\0\0\0\0" + tlv(0x21, b"TLSv1.3"))),
        CLIENT,
        SERVER,
        "https",
    ),
    "v2 not over TLS": (v2(V4 + tlv(0x20, b"\0\0\0\0\1")), CLIENT, SERVER, "http"),
    "v2 checksum": (checked(), CLIENT, SERVER, "http"),
    "v2 checksum and more": (
        checked(tlv(2, b"a.example"), tlv(4, b"\xff" * 9)),
        CLIENT,
        SERVER,
        "http",
    ),
}

INVALID = {
    "a request": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a handshake": b"\x16\x03\x01\x02\0\1",
    "one byte": b"G",
    "lower case": b"proxy TCP4 192.0.2.1 198.51.100.2 5000 443\r\n",
    "v1 no word": b"PROXY\r\n",
    "v1 two blanks": LINE.replace(b" T", b"  T"),
    "v1 a tab": LINE.replace(b" T", b"\tT"),
    "v1 blank at the end": LINE.replace(b"\r", b" \r"),
    "v1 another protocol": LINE.replace(b"TCP4", b"UDP4"),
    "v1 lower case": LINE.replace(b"TCP4", b"tcp4"),
    "v1 another family": LINE.replace(b"TCP4", b"TCP6"),
    "v1 six in four": b"PROXY TCP4 ::1 ::2 1 2\r\n",
    "v1 nearly unknown": b"PROXY UNKNOWNS\r\n",
    "v1 no port": b"PROXY TCP4 192.0.2.1 198.51.100.2 5000\r\n",
    "v1 nothing": b"PROXY TCP4 \r\n",
    "v1 one more": LINE.replace(b"443", b"443 1"),
    "v1 large port": LINE.replace(b"443", b"65536"),
    "v1 zero before a port": LINE.replace(b"443", b"0443"),
    "v1 two zeros": LINE.replace(b"443", b"00"),
    "v1 a sign": LINE.replace(b"443", b"+443"),
    "v1 no number": LINE.replace(b"443", b"https"),
    "v1 zero before a number": LINE.replace(b"192.0", b"192.00"),
    "v1 large number": LINE.replace(b"192.0", b"192.256"),
    "v1 three numbers": LINE.replace(b"192.0.2.1", b"192.0.2"),
    "v1 a zone": b"PROXY TCP6 fe80::1%lo ::2 1 2\r\n",
    "v1 a zero byte": LINE.replace(b"192.0.2.1", b"192.0.2.1\0"),
    "v1 line feed alone": LINE.replace(b"\r", b"") + b"\r\n",
    "v1 carriage return alone": LINE.replace(b"\n", b"\r\n"),
    "v1 too long": b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
    "v1 endless": b"PROXY " + b"x" * 101,
    "v2 version 1": v2(command=0x11),
    "v2 version 3": v2(command=0x31),
    "v2 another command": v2(command=0x22),
    "v2 another family": v2(family=0x41),
    "v2 another transport": v2(family=0x13),
    "v2 cut short": v2(V4[:-1]),
    "v2 six in four": v2(V4, TCP6),
    "v2 unix cut short": v2(bytes(215), UNIX),
    "v2 too large": v2(b"", size=4096 - 15),
    "v2 a part of an extension": v2(V4 + b"\4"),
    "v2 an extension cut short": v2(V4 + b"\4\0\1"),
    "v2 an extension without length": v2(V4 + b"\4\0"),
    "v2 TLS cut short": v2(V4 + tlv(0x20, b"\1\0\0\0")),
    "v2 wrong checksum": checked(wrong=1),
    "v2 wrong checksum behind others": checked(tlv(4, b"x"), tlv(4), wrong=1 << 31),
    "v2 short checksum": v2(V4 + tlv(3, b"\0\0\0")),
    "v2 long checksum": v2(V4 + tlv(3, bytes(5))),
    "v2 another signature": v2().replace(b"QUIT", b"QUIX"),
}


@pytest.mark.parametrize("case", VALID)
def test_what_introduces_a_connection(case, connect, scopes):
    header, client, server, scheme = VALID[case]
    connection = connect(scopes, proxy_protocol="on")
    connection.send(header + request())
    assert connection.response().status == 200
    expected = (client, server, scheme)
    assert told(scopes.get(), connection) == expected
    assert connection.ask().status == 200  # and for all of its requests
    assert told(scopes.get(), connection) == expected


@pytest.mark.parametrize("case", VALID)
def test_byte_by_byte(case, connect, scopes):
    header, client, server, scheme = VALID[case]
    connection = connect(scopes, proxy_protocol="on")
    if len(header) > 500:
        connection.send(header[:-400])
        header = header[-400:]
    connection.send_per_byte(header + request())
    assert connection.response().status == 200
    assert told(scopes.get(), connection) == (client, server, scheme)


@pytest.mark.parametrize("case", INVALID)
def test_what_does_not(case, connect, log, scopes):
    connection = connect(scopes, proxy_protocol="on")
    connection.send(INVALID[case])
    assert connection.gone()
    peer = "{}:{}".format(*connection.sock.getsockname())
    (message,) = log.messages
    assert message.startswith(f"{peer}: PROXY protocol: ")
    assert scopes.empty


@pytest.mark.parametrize("case", [case for case in INVALID if "endless" not in case])
def test_what_does_not_byte_by_byte(case, connect, scopes):
    connection = connect(scopes, proxy_protocol="on")
    with contextlib.suppress(OSError):  # closed already
        connection.send_per_byte(INVALID[case] + b"\r\n\r\n")
    assert connection.gone()
    assert scopes.empty


@pytest.mark.parametrize(
    ("version", "header", "served"),
    [
        *[("v1", LINE, True), ("v1", v2(), False), ("v2", LINE, False), ("v2", v2(), True)],
        *[("auto", LINE, True), (True, v2(), True)],
    ],
)
def test_versions(version, header, served, connect, scopes):
    connection = connect(scopes, proxy_protocol=version)
    connection.send(header + request())
    if served:
        assert connection.response().status == 200
        assert scopes.get()["client"] == CLIENT
    else:
        assert connection.gone()


@pytest.mark.parametrize("header", [LINE, v2()], ids=["v1", "v2"])
def test_without_the_setting_it_is_a_bad_request(header, connect, scopes):
    connection = connect(scopes)
    connection.send(header + request())
    assert connection.response().status == 400
    assert connection.gone()
    assert scopes.empty


@pytest.mark.parametrize("header", [LINE, v2()], ids=["v1", "v2"])
def test_who_is_not_trusted_must_not_send_it(header, connect, log, scopes):
    connection = connect(scopes, proxy_protocol="on", proxy_protocol_allow_ips="10.0.0.0/8")
    connection.send(header + request())
    assert connection.response().status == 400
    assert connection.gone()
    assert scopes.empty
    assert "proxy_protocol_allow_ips" in log.messages[0]


def test_who_is_not_trusted_is_served_without_it(connect, log, scopes):
    connection = connect(scopes, proxy_protocol="on", proxy_protocol_allow_ips="10.0.0.0/8")
    for _ in range(2):
        connection.send_per_byte(request())
        assert connection.response().status == 200
        assert told(scopes.get(), connection) == (OWN, OWN, "http")
    assert log.messages == []


def test_only_once(connect, scopes):
    connection = connect(scopes, proxy_protocol="on")
    connection.send(LINE + LINE + request())
    assert connection.response().status == 400
    assert connection.gone()
    assert scopes.empty


@pytest.mark.parametrize(
    ("source", "forwarded_allow_ips", "client"),
    [
        (
            "192.0.2.1",
            "127.0.0.1",
            ("192.0.2.1", 1),
        ),  # the client itself, whoever has introduced it
        ("127.0.0.1", "127.0.0.1", ("9.9.9.9", 0)),
        ("10.0.0.1", "127.0.0.1,10.0.0.1", ("9.9.9.9", 0)),
    ],
)
def test_fields_are_believed_of_who_is_introduced(
    source, forwarded_allow_ips, client, connect, scopes
):
    connection = connect(
        scopes,
        proxy_protocol="on",
        proxy_protocol_allow_ips="127.0.0.1",
        forwarded_allow_ips=forwarded_allow_ips,
    )
    line = f"PROXY TCP4 {source} 198.51.100.2 1 2\r\n".encode()
    connection.send(line + request("/", "X-Forwarded-For: 9.9.9.9"))
    assert connection.response().status == 200
    assert scopes.get()["client"] == client


def test_a_client_without_address_is_not_believed(connect, scopes):
    connection = connect(scopes, proxy_protocol="on")
    connection.send(v2(bytes(216), UNIX) + request("/", "X-Forwarded-For: 9.9.9.9"))
    assert connection.response().status == 200
    assert scopes.get()["client"] is None


@pytest.mark.parametrize("header", [LINE, v2(V4 + tlv(4, bytes(200)))], ids=["v1", "v2"])
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_before_tls(header, step, serve, authority, trusting, scopes):
    server = serve(scopes, proxy_protocol="on", **authority.settings)
    client = Client(server.host, server.port)
    with client.sock:
        for at in range(0, len(header), step):
            client.send(header[at : at + step])
        client.sock = SecureSocket(client.sock, trusting)  # type: ignore[assignment]
        assert client.ask().status == 200
        assert told(scopes.get(), client) == (CLIENT, SERVER, "https")


def test_with_the_first_record_of_tls(serve, authority, trusting, scopes):
    server = serve(scopes, proxy_protocol="on", **authority.settings)
    client = Client(server.host, server.port)
    with client.sock:

        class Joined:
            """A socket that sends the header together with what comes first."""

            def __init__(self) -> None:
                self.header = LINE

            def send(self, data) -> int:
                joined, self.header = self.header + bytes(data), b""
                client.send(joined)
                return len(data)

            def __getattr__(self, name: str):
                return getattr(sock, name)

        sock = client.sock
        client_sock = SecureSocket(Joined(), trusting)  # type: ignore[arg-type]
        client_sock.sendall(request("/", "Connection: close"))
        assert client_sock.recv(15) == b"HTTP/1.1 200 OK"
        assert scopes.get()["client"] == CLIENT


def test_over_a_unix_socket(serve, tmp_path: Path, scopes):
    path = str(tmp_path / "x.sock")
    serve(scopes, uds=path, proxy_protocol="on")
    for header, client, server in [
        (LINE, CLIENT, SERVER),
        (b"PROXY UNKNOWN\r\n", None, (path, None)),
    ]:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(path)
            sock.sendall(header + request("/", "Connection: close"))
            assert sock.recv(15) == b"HTTP/1.1 200 OK"
        scope = scopes.get()
        assert (scope["client"], scope["server"]) == (client, server)


@pytest.mark.parametrize("secured", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("part", [b"", LINE[:1], LINE[:-1], v2()[:12], v2()[:-1]])
def test_a_header_that_does_not_come(part, secured, serve, authority, scopes, log):
    settings = {**authority.settings, "ssl_handshake_timeout": 3} if secured else {}
    server = serve(scopes, proxy_protocol="on", request_head_timeout=3, **settings)
    client = Client(server.host, server.port)
    with client.sock:
        peer = "{}:{}".format(*client.sock.getsockname())
        client.send(part)
        assert client.ended()
    assert scopes.empty
    # Who sends nothing has only looked whether the port is open.
    late = [f"{peer}: PROXY protocol: the header took longer than 3 s"] if part else []
    assert log.messages == late


@pytest.mark.parametrize("part", [b"", LINE[:-1], v2()[:-1]])
def test_a_client_that_leaves_before_it_is_introduced(part, serve, scopes):
    server = serve(scopes, proxy_protocol="on")
    client = Client(server.host, server.port)
    client.send(part)
    client.end()
    assert client.ended()
    client.close()
    client = Client(server.host, server.port)
    client.send(part)
    eventually(lambda: server.counters()["introductions"] == bool(part))
    client.reset()
    eventually(lambda: server.counters()["introductions"] == 0)


def test_the_log_names_who_was_introduced(connect, log, scopes):
    connection = connect(scopes, proxy_protocol="on")
    connection.send(LINE + b"nonsense\r\n\r\n")
    assert connection.response().status == 400
    assert log.messages[0].startswith("192.0.2.1:5000: 400")


def test_limits_count_who_is_introduced(serve, scopes):
    server = serve(scopes, proxy_protocol="on", max_connections_per_ip=1)
    clients = [Client(server.host, server.port) for _ in range(4)]
    other = LINE.replace(b"192.0.2.1", b"192.0.2.7")
    try:
        for client, header, status in zip(
            clients, [LINE, other, b"PROXY UNKNOWN\r\n", LINE], [200, 200, 200, 429], strict=True
        ):
            client.send(header + request())
            assert client.response().status == status
        assert clients[-1].gone()
        clients[0].close()
        eventually(lambda: server.counters()["connections"] == 2)
        client = Client(server.host, server.port)
        clients.append(client)
        client.send(LINE + request())
        assert client.response().status == 200
    finally:
        for client in clients:
            client.close()
