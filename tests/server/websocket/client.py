"""A client of WebSocket made of one socket, which sends frames as it is told, right or wrong.

Owns the frames that were read and not asked for. Every wait is bounded by the socket's timeout.
Runs on the test's thread.
"""

from __future__ import annotations

import zlib
from typing import Any

from tests.server.raw import Client, Response, request
from tests.wire.frames import BINARY, CLOSE, CONTINUATION, TEXT, Frame, close, frame

__all__ = ["KEY", "OFFER", "WebSocket", "handshake"]

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455, 1.3
OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
FIELDS = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    f"Sec-WebSocket-Key: {KEY}",
)


def handshake(target: str = "/", *fields: str, without: str = "", method: str = "GET") -> bytes:
    """A handshake; `fields` come behind those that it needs, but for one that begins so."""
    needed = [field for field in FIELDS if not without or not field.startswith(without)]
    return request(target, *needed, *fields, method=method)


class WebSocket:
    """A WebSocket over a connection, once `answer` is 101."""

    def __init__(
        self, client: Client, target: str = "/", *fields: str, behind: bytes = b""
    ) -> None:
        client.send(handshake(target, *fields) + behind)
        self._begin(client, client.response())

    @classmethod
    def of(cls, client: Any, answer: Response) -> WebSocket:
        """The WebSocket of a handshake that was answered so; `client` reads and sends its bytes."""
        self = cls.__new__(cls)
        self._begin(client, answer)
        return self

    def _begin(self, client: Any, answer: Response) -> None:
        self.client = client
        self.answer = answer
        self.extensions = self.answer.get("sec-websocket-extensions") or ""
        self._inflate: Any = None

    def send(self, data: bytes) -> None:
        self.client.send(data)

    def say(self, message: str | bytes, **more: Any) -> None:
        """Send a message in one frame."""
        if isinstance(message, str):
            self.send(frame(TEXT, message.encode(), **more))
        else:
            self.send(frame(BINARY, message, **more))

    def frame(self) -> Frame:
        """The next frame."""
        first, size = self.client.read(2)
        assert not size & 0x80, "a server's frame is masked"
        if size > 125:
            octets = 2 if size == 126 else 8
            size = int.from_bytes(self.client.read(octets), "big")
        payload = self.client.read(size)
        return Frame(first & 15, payload, bool(first & 0x80), first >> 4 & 7)

    def message(self) -> str | bytes:
        """The next message, inflated; fails if another frame comes."""
        first = self.frame()
        assert first.opcode in (TEXT, BINARY), first
        payload, last = first.payload, first
        while not last.final:
            last = self.frame()
            assert last.opcode == CONTINUATION
            payload += last.payload
        if first.reserved:
            assert first.reserved == 4
            if self._inflate is None or "server_no_context_takeover" in self.extensions:
                self._inflate = zlib.decompressobj(wbits=-15)
            payload = self._inflate.decompress(payload + b"\0\0\xff\xff")
        return payload.decode() if first.opcode == TEXT else payload

    def closed(self) -> tuple[int, str]:
        """Read a close frame; its code and its reason."""
        found = self.frame()
        assert found.opcode == CLOSE, found
        if not found.payload:
            return 1005, ""
        return int.from_bytes(found.payload[:2], "big"), found.payload[2:].decode()

    def close(self, code: int | None = None, reason: str = "") -> tuple[int, str]:
        """Close, and return what the server answers; fails if it leaves the connection open."""
        self.send(close(code, reason))
        answer = self.closed()
        assert self.client.ended()
        return answer

    def answer_close(self) -> tuple[int, str]:
        """Wait for the server's close, and answer it."""
        code, reason = self.closed()
        self.send(close(None if code == 1005 else code))
        assert self.client.ended()
        return code, reason
