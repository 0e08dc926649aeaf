"""What is on the wire is encrypted, by every engine, with every cipher suite: an independent client
reads it, and it is not the plain text.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import socket
import subprocess
import threading

import pytest

from granite import testing
from granite._core.tls import Certificate, TlsContext, cipher_suites, engines
from tests.patience import PATIENCE
from tests.server.apps import answer, body, body_of, start
from tests.server.tls import Records

pytestmark = pytest.mark.c_alone

# Around the sizes of blocks, of cache lines and of records.
SIZES = [*range(1, 300), 1_399, 4_095, 4_096, 16_383, 16_384, 16_385, 32_769, 131_072, 131_073]
# Of which every piece tells where it is from.
TEXT = random.Random(1).randbytes(200_000).hex().encode()


@pytest.fixture(params=engines())
def secured(request, serve, authority, monkeypatch):
    """A function that serves an application, with each engine."""
    chain, key = authority.chain.read_bytes(), authority.key.read_bytes()
    context = TlsContext([Certificate(chain, key)], engine=request.param)
    monkeypatch.setattr(testing, "load_context", lambda config: context)
    return lambda app: serve(app, **authority.settings)


async def pieces(scope, receive, send):
    """Answer with pieces of all sizes, each a write of its own, and then with what was sent."""
    sent = await body_of(receive)
    await send(start(200, (b"connection", b"close")))
    for size in SIZES:
        await send(body(TEXT[size : 2 * size], more=True))
    await send(body(sent))


WHOLE = b"".join(TEXT[size : 2 * size] for size in SIZES)


class _Wire:
    """Passes a connection on, and keeps what the server sends."""

    def __init__(self, port: int) -> None:
        self.seen = bytearray()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, args=(port,))
        self._thread.start()

    def _run(self, port: int) -> None:
        client, _ = self._listener.accept()  # the time for the handshake begins with what follows
        with client, socket.create_connection(("127.0.0.1", port), 60) as server:
            back = threading.Thread(target=self._pass, args=(client, server, None))
            back.start()
            self._pass(server, client, self.seen)
            back.join()

    @staticmethod
    def _pass(source: socket.socket, target: socket.socket, seen: bytearray | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if seen is not None:
                    seen += data
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._thread.join(PATIENCE)
        self._listener.close()


@pytest.mark.parametrize("suite", cipher_suites())
def test_openssl_reads_every_record(secured, suite):
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl")
    wire = _Wire(secured(pieces).port)
    sent = b"up" * 50_000
    request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(sent), sent)
    done = subprocess.run(
        [
            *(openssl, "s_client", "-connect", f"127.0.0.1:{wire.port}"),
            *("-ciphersuites", suite, "-quiet", "-nocommands", "-ign_eof"),
        ],
        input=request,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    wire.close()
    head, _, content = done.stdout.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert _dechunked(content) == WHOLE + sent
    # 40 letters of it in a row would be no chance.
    assert not any(TEXT[at : at + 40] in wire.seen for at in range(0, 40_000, 100))
    assert b"upupupupupupupup" not in wire.seen


def test_python_reads_every_record(secured, trusting):
    server = secured(pieces)
    client = Records(server.host, server.port, trusting)
    with client.sock:
        client.handshake()
        client.send(client.seal(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
        data = b""
        while piece := client.step(lambda: client.tls.read(65536)):
            data += piece
    assert _dechunked(data.partition(b"\r\n\r\n")[2]) == WHOLE


def test_a_file_is_encrypted_too(secured, trusting, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(TEXT)

    async def app(scope, receive, send):
        await send(start(200, (b"content-length", b"%d" % len(TEXT))))
        await send({"type": "http.response.pathsend", "path": str(path)})

    server = secured(app)
    client = Records(server.host, server.port, trusting)
    with client.sock:
        client.handshake()
        client.send(client.seal(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
        assert client.read(TEXT[-100:]).endswith(b"\r\n\r\n" + TEXT)


def test_engines(authority):
    assert engines()[-1] == "openssl"
    certificate = Certificate(authority.chain.read_bytes(), authority.key.read_bytes())
    for engine in (*engines(), None):
        TlsContext([certificate], engine=engine)
    with pytest.raises(ValueError, match=r"expected one of the engines .*openssl, got none"):
        TlsContext([certificate], engine="none")


async def _echo(scope, receive, send):
    await answer(send, await body_of(receive))


@pytest.mark.parametrize("size", [1, 15, 16, 17, 63, 64, 65, 1_500, 16_384, 100_000])
def test_what_clients_send_is_decrypted(secured, trusting, size):
    server = secured(_echo)
    client = Records(server.host, server.port, trusting)
    with client.sock:
        client.handshake()
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size
        client.send(client.seal(head + TEXT[:size]))
        assert client.read(TEXT[:size]).endswith(b"\r\n\r\n" + TEXT[:size])


def _dechunked(data: bytes) -> bytes:
    found: list[bytes] = []
    at = 0
    while True:
        end = data.index(b"\r\n", at)
        size = int(data[at:end], 16)
        if not size:
            return b"".join(found)
        found.append(data[end + 2 : end + 2 + size])
        at = end + 2 + size + 2


AES_128, AES_256 = "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"
CHACHA20 = "TLS_CHACHA20_POLY1305_SHA256"


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ((AES_256, CHACHA20, AES_128), AES_128),
        ((AES_256, CHACHA20), AES_256),
        ((CHACHA20, AES_256, AES_128), CHACHA20),
    ],
)
def test_which_cipher_suite_is_chosen(secured, offered, chosen):
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl")
    server = secured(_echo)
    done = subprocess.run(
        [
            *(openssl, "s_client", "-connect", f"127.0.0.1:{server.port}"),
            *("-ciphersuites", ":".join(offered)),
        ],
        input=b"",
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert f"Cipher is {chosen}".encode() in done.stdout


def test_many_key_exchanges(secured, trusting):
    """Each with other keys: whose secrets are not the same cannot read each other's Finished."""
    server = secured(_echo)
    for _ in range(100):
        client = Records(server.host, server.port, trusting)
        with client.sock:
            client.handshake()
