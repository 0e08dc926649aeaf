"""An application whose response has no end, and a client that takes nothing of it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from granite.testing import TestServer
from tests.http2.wire import INITIAL_WINDOW, Wire, window_update
from tests.server.apps import Gate, answer, body, eventually, start
from tests.server.inside import many_turns

# What such a client asks for: windows that do not shut, and a socket that takes little.
PATIENT_WINDOWS: dict[str, Any] = {"values": {INITIAL_WINDOW: 2**31 - 1}, "receive_buffer": 4096}


class Endless:
    """Sends "x" on /endless as long as there is room, `size` at a time, or so much of `file`, which
    has nothing else in it; raises when `failing` is opened. Answers at once elsewhere, with octets
    that are no "x".
    """

    def __init__(self, size: int = 65536, file: Any = None) -> None:
        self.size, self.file = size, file
        self.failing = Gate()
        self.sent = 0
        self.gone = threading.Event()  # a response without an end has ended

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/endless":
            kept = [bytes(bytearray(b"other " * (self.size // 6))) for _ in range(40)]
            await answer(send, kept[0])
            return
        sending = asyncio.ensure_future(self._send(send))
        failing = asyncio.ensure_future(self.failing.wait())
        try:
            await asyncio.wait({sending, failing}, return_when=asyncio.FIRST_COMPLETED)
            if failing.done():
                raise ValueError("on purpose")
        finally:
            failing.cancel()
            sending.cancel()
            await asyncio.wait({sending})
            sending.cancelled() or sending.exception()
            self.gone.set()

    async def _send(self, send: Any) -> None:
        await send(start())
        while True:
            await send(self._piece())
            self.sent += 1

    def _piece(self) -> Any:
        if self.file is None:
            return body(bytes(bytearray(b"x" * self.size)), more=True)  # none that is shared
        piece = {"file": self.file, "offset": 0, "count": self.size, "more_body": True}
        return {"type": "http.response.zerocopysend", **piece}

    def fill(self, server: TestServer, client: Wire, **pseudo: Any) -> int:
        """Ask for what has no end, until nothing more can be sent; return the stream."""
        client.send(window_update(0, 2**30))
        stream = client.request("/endless", **pseudo)
        eventually(lambda: self.sent or self.gone.is_set())
        sent = 0
        while sent != self.sent:
            sent = self.sent
            many_turns(server)
        return stream
