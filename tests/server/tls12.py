"""TLS 1.2 by hand: a client that seals whatever the test tells it to.

Owns the client's end of a connection. Must not know the server. Runs on the test's thread; every
wait is bounded by the socket's timeout.
"""

from __future__ import annotations

import hashlib
import hmac
import ssl
import struct
import tempfile

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from tests.server.tls import DATA, HANDSHAKE, Authority, RecordReader, Records

__all__ = ["Forger12", "first_flight"]


class _Direction:
    """One direction's key of TLS 1.2 (RFC 5246, 6.3; RFC 5288; RFC 7905), behind its Finished."""

    def __init__(self, suite: str, key: bytes, iv: bytes) -> None:
        self.explicit = "CHACHA20" not in suite
        self.aead = (AESGCM if self.explicit else ChaCha20Poly1305)(key)
        self.iv = iv
        self.sequence = 1

    def _next(self, kind: int, size: int) -> tuple[bytes, bytes]:
        """The sequence number, and what is authenticated besides."""
        number = self.sequence.to_bytes(8, "big")
        self.sequence += 1
        return number, number + struct.pack("!BHH", kind, 0x0303, size)

    def _nonce(self, explicit: bytes) -> bytes:
        if self.explicit:
            return self.iv + explicit
        return bytes(a ^ b for a, b in zip(self.iv, bytes(4) + explicit, strict=True))

    def seal(self, kind: int, data: bytes) -> bytes:
        number, known = self._next(kind, len(data))
        sealed = self.aead.encrypt(self._nonce(number), data, known)
        sealed = number + sealed if self.explicit else sealed
        return struct.pack("!BHH", kind, 0x0303, len(sealed)) + sealed

    def open(self, record: bytes) -> bytes:
        sealed = record[5:]
        size = len(sealed) - 16 - 8 * self.explicit
        number, known = self._next(record[0], size)
        if self.explicit:
            number, sealed = sealed[:8], sealed[8:]
        return self.aead.decrypt(self._nonce(number), sealed, known)


def _expand(master: bytes, seed: bytes, size: int, algorithm: str) -> bytes:
    """P_hash (RFC 5246, 5)."""
    out, a = b"", seed
    while len(out) < size:
        a = hmac.digest(master, a, algorithm)
        out += hmac.digest(master, a + seed, algorithm)
    return out[:size]


def first_flight(client: Records) -> bytes:
    """Send the ClientHello; return what comes, which the client is given as well."""
    try:
        client.tls.do_handshake()
    except ssl.SSLWantReadError:
        client.send(client.outgoing.read())
    data = client.sock.recv(65536)
    client.incoming.write(data)
    return data


class Forger12:
    """Takes over a connection whose handshake is done, and seals whatever it is told to; `sock`,
    `seal()` and `open()` are as those of `Forger`.
    """

    def __init__(self, host: str, port: int, authority: Authority, suite: str = "ECDHE+AESGCM"):
        with tempfile.NamedTemporaryFile("r", suffix=".keys") as keys:
            context = authority.of("1.2").trusting()
            context.options |= ssl.OP_NO_TICKET
            context.set_ciphers(suite)
            context.keylog_filename = keys.name
            client = Records(host, port, context)
            hello = first_flight(client)
            client.handshake()
            words = keys.read().split()
        assert words[-3] == "CLIENT_RANDOM"
        cipher = client.tls.cipher()
        assert cipher is not None
        assert hello[5] == 2
        random = hello[11:43] + bytes.fromhex(words[-2])
        self.suite = cipher[0]
        key = 16 if "AES128" in self.suite else 32
        iv = 12 if "CHACHA20" in self.suite else 4
        algorithm = hashlib.sha384 if self.suite.endswith("SHA384") else hashlib.sha256
        block = _expand(
            bytes.fromhex(words[-1]),
            b"key expansion" + random,
            2 * (key + iv),
            algorithm().name,
        )
        own, peer = block[:key], block[key : 2 * key]
        ivs = block[2 * key :]
        self.own = _Direction(self.suite, own, ivs[:iv])
        self.peer = _Direction(self.suite, peer, ivs[iv:])
        self.records, self.sock = client, client.sock
        self.reader = RecordReader(self.sock)

    def seal(self, kind: int, data: bytes) -> bytes:
        return self.own.seal(kind, data)

    def open(self) -> tuple[int, bytes]:
        """The next record: its kind and data; (0, b"") at the end of the connection."""
        record = self.reader.next()
        return (record[0], self.peer.open(record)) if record else (0, b"")

    def ask(self, *before: bytes) -> bytes:
        """Send the records and a request; return the data that comes, to the end of a record."""
        request = self.seal(DATA, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.sock.sendall(b"".join(before) + request)
        kind, data = self.open()
        while kind not in (0, DATA):
            assert kind != HANDSHAKE
            kind, data = self.open()
        return data
