"""TLS by hand: certificates for tests, a client whose records the test moves, and records that no
library would send.

Owns the client's end of a connection. Must not know the server. Runs on the test's thread; every
wait is bounded by the socket's timeout.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import hmac
import shutil
import socket
import ssl
import struct
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from tests.patience import PATIENCE

__all__ = [
    "ALERT",
    "CHANGE_CIPHER_SPEC",
    "DATA",
    "HANDSHAKE",
    "Authority",
    "Forger",
    "RecordReader",
    "Records",
    "SecureSocket",
    "only_tls_1_3",
    "openssl",
]

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23

only_tls_1_3 = pytest.mark.parametrize("tls_version", ["1.3"])


def openssl() -> str:
    """The path of the command; the test is skipped where there is none."""
    found = shutil.which("openssl")
    if found is None:
        pytest.skip("no openssl command")
    return found


class Authority:
    """An authority, and a server's certificate for 127.0.0.1 and localhost in `folder`; where
    `older` its clients know nothing newer than TLS 1.2.
    """

    older = False

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        issued = self.ca.issue_cert("127.0.0.1", "localhost")
        self.key, self.chain, self.file = (
            folder / "key.pem",
            folder / "chain.pem",
            folder / "ca.pem",
        )
        issued.private_key_pem.write_to_path(self.key)
        for number, pem in enumerate(issued.cert_chain_pems):
            pem.write_to_path(self.chain, append=number > 0)
        self.ca.cert_pem.write_to_path(self.file)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of a server that shows the certificate, and waits for handshakes."""
        files = {"ssl_certificate": self.chain, "ssl_keyfile": self.key}
        return {**files, "ssl_handshake_timeout": 10 * PATIENCE}

    def trusting(self) -> ssl.SSLContext:
        """A client's context that trusts this authority alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.older:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.ca.configure_trust(context)
        return context

    def of(self, version: str) -> Authority:
        """Return the same for a version of TLS."""
        same = copy.copy(self)
        same.older = version == "1.2"
        return same


class Records:
    """A TLS client whose records are moved by hand: `outgoing` has what it would send."""

    def __init__(
        self,
        host: str,
        port: int,
        context: ssl.SSLContext,
        session: ssl.SSLSession | None = None,
        name: str | None = None,
    ) -> None:
        self.sock = socket.create_connection((host, port), PATIENCE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(
            self.incoming, self.outgoing, server_hostname=name or host, session=session
        )

    def step(self, action, size: int = 65536):
        """Do `action`, sending what it wants sent, `size` bytes at a time, until it is done."""
        while True:
            try:
                return action()
            except ssl.SSLWantReadError:  # noqa: PERF203
                self.send(self.outgoing.read(), size)
                data = self.sock.recv(65536)
                if not data:
                    self.incoming.write_eof()
                self.incoming.write(data)

    def handshake(self, size: int = 65536) -> None:
        self.step(self.tls.do_handshake, size)
        self.send(self.outgoing.read(), size)

    def seal(self, data: bytes) -> bytes:
        """Return the records of `data`."""
        self.tls.write(data)
        return self.outgoing.read()

    def send(self, data: bytes | bytearray, size: int = 65536) -> None:
        for at in range(0, len(data), size):
            self.sock.sendall(data[at : at + size])

    def read(self, end: bytes) -> bytes:
        """Read until `end` came."""
        data = b""
        while not data.endswith(end):
            piece = self.step(lambda: self.tls.read(65536))
            assert piece, data
            data += piece
        return data

    def rest(self) -> bytes:
        """Read raw bytes to the connection's end."""
        data = b""
        while piece := self.sock.recv(65536):
            data += piece
        return data


class SecureSocket:
    """What a test does with a socket, over TLS; one thread may send while another receives.

    An end of the connection that was not announced by close_notify is a ConnectionResetError.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self._sock, self._lock, self._unsent = sock, threading.Lock(), bytearray()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="127.0.0.1")
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()
        self._flush()

    def __getattr__(self, name: str):
        return getattr(self._sock, name)

    def _flush(self) -> None:
        with self._lock:
            self._unsent += self._outgoing.read()
        while self._unsent:
            del self._unsent[: self._sock.send(self._unsent)]

    def _fill(self) -> None:
        data = self._sock.recv(65536)
        with self._lock:
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()

    def send(self, data) -> int:
        self._flush()
        piece = data[:16384]
        with self._lock:
            self._tls.write(piece)
        with contextlib.suppress(TimeoutError):  # the rest of the record leaves before the next
            self._flush()
        return len(piece)

    def sendall(self, data) -> None:
        view = memoryview(data)
        while view:
            view = view[self.send(view) :]
        self._flush()

    def recv(self, size: int) -> bytes:
        while True:
            try:
                with self._lock:
                    return self._tls.read(size)
            except ssl.SSLWantReadError:  # noqa: PERF203
                self._fill()
            except ssl.SSLZeroReturnError:  # close_notify, after one of our own
                return b""
            except ssl.SSLEOFError:
                raise ConnectionResetError("an end without close_notify") from None

    def shutdown(self, how: int) -> None:
        """Close this half: close_notify and FIN."""
        with self._lock, contextlib.suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        self._flush()
        self._sock.shutdown(how)


class RecordReader:
    """Takes whole records from a socket."""

    def __init__(self, sock: socket.socket, data: bytes = b"") -> None:
        self._sock, self._data = sock, data

    def next(self) -> bytes:
        """The next record; nothing at the end of the connection."""
        while len(self._data) < 5 or len(self._data) < 5 + int.from_bytes(self._data[3:5], "big"):
            piece = self._sock.recv(65536)
            if not piece:
                assert not self._data, self._data
                return b""
            self._data += piece
        size = 5 + int.from_bytes(self._data[3:5], "big")
        record, self._data = self._data[:size], self._data[size:]
        return record


class _Keys:
    """One direction's key of TLS 1.3 (RFC 8446, 7.3), from its traffic secret."""

    def __init__(self, suite: str, secret: bytes) -> None:
        self.suite, self.secret, self.sequence = suite, secret, 0
        self.hash = hashlib.sha384 if suite.endswith("SHA384") else hashlib.sha256
        size = 16 if "_128_" in suite else 32
        aead = ChaCha20Poly1305 if "CHACHA" in suite else AESGCM
        self.aead = aead(self._expand(b"key", size))
        self.iv = int.from_bytes(self._expand(b"iv", 12), "big")

    def _expand(self, label: bytes, size: int) -> bytes:
        label = b"tls13 " + label
        info = struct.pack("!HB", size, len(label)) + label + b"\0"
        return hmac.digest(self.secret, info + b"\x01", self.hash)[:size]

    def updated(self) -> _Keys:
        return _Keys(self.suite, self._expand(b"traffic upd", self.hash().digest_size))

    def nonce(self) -> bytes:
        nonce = (self.iv ^ self.sequence).to_bytes(12, "big")
        self.sequence += 1
        return nonce


class Forger:
    """Takes over a connection whose handshake is done, and seals whatever it is told to; unless
    `finished`, the client's last flight is still to come.

    It takes the keys from the library's key log, and both sequences from zero on.
    """

    def __init__(
        self, host: str, port: int, authority: Authority, *, finished: bool = True
    ) -> None:
        with tempfile.NamedTemporaryFile("r", suffix=".keys") as keys:
            context = authority.trusting()
            context.keylog_filename = keys.name
            self.records = Records(host, port, context)
            self.records.step(self.records.tls.do_handshake)
            if finished:
                self.records.send(self.records.outgoing.read())
            lines = [line.split() for line in keys.read().splitlines()]
        self.sock = self.records.sock
        cipher = self.records.tls.cipher()
        assert cipher is not None
        suite = cipher[0]
        secrets = {line[0]: bytes.fromhex(line[2]) for line in lines if len(line) == 3}
        own = "CLIENT_TRAFFIC_SECRET_0" if finished else "CLIENT_HANDSHAKE_TRAFFIC_SECRET"
        self.own = _Keys(suite, secrets[own])
        self.peer = _Keys(suite, secrets["SERVER_TRAFFIC_SECRET_0"])
        self._reader = RecordReader(self.sock)

    def seal(self, kind: int, data: bytes, padding: int = 0) -> bytes:
        plain = data + bytes([kind]) + bytes(padding)
        head = struct.pack("!BHH", DATA, 0x0303, len(plain) + 16)
        return head + self.own.aead.encrypt(self.own.nonce(), plain, head)

    def update(self, *, request: bool) -> bytes:
        """A KeyUpdate; what is sealed from now on uses the new key."""
        record = self.seal(HANDSHAKE, b"\x18\0\0\x01" + bytes([request]))
        self.own = self.own.updated()
        return record

    def open(self) -> tuple[int, bytes]:
        """The next record: its kind and data; (0, b"") at the end of the connection."""
        record = self._reader.next()
        if not record:
            return 0, b""
        assert record[0] == DATA, record
        plain = self.peer.aead.decrypt(self.peer.nonce(), record[5:], record[:5]).rstrip(b"\0")
        if plain[-1] == HANDSHAKE and plain[0] == 24:
            self.peer = self.peer.updated()
        return plain[-1], plain[:-1]
