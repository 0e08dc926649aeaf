"""Applications of ASGI for WebSockets."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from tests.server.apps import App, Gate, Message, Receive, Scope, Seen, Send, behind

__all__ = [
    "Recording",
    "Text",
    "accept",
    "accepting_late",
    "accepting_too_late",
    "denying_slowly",
    "echo",
    "messages",
]


class Text(str):
    """One that stays what it is, as the safe strings of template engines do."""

    __slots__ = ()

    def __str__(self) -> str:
        return self


async def accept(receive: Receive, send: Send, **parts: Any) -> None:
    message = await receive()
    assert message == {"type": "websocket.connect"}, message
    await send({"type": "websocket.accept", **parts})


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Send back what comes, until the end."""
    await accept(receive, send)
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        assert message["type"] == "websocket.receive"
        parts = {key: value for key, value in message.items() if key != "type"}
        await send({"type": "websocket.send", **parts})


async def denying_slowly(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer by a response, whose second part comes after 2.5 s."""
    await receive()
    await send({"type": "websocket.http.response.start", "status": 401})
    await send({"type": "websocket.http.response.body", "body": b"not ", "more_body": True})
    await asyncio.sleep(2.5)
    await send({"type": "websocket.http.response.body", "body": b"you"})


def accepting_late(gate: Gate, seen: Seen) -> App:
    """An application that accepts when the gate opens, and tells what comes next."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        seen.put(await receive())

    return behind(gate, app)


def accepting_too_late(gate: Gate, seen: Seen) -> App:
    """One that tells what comes before it has answered, and accepts when the gate opens."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        seen.put(await receive())
        await gate.wait()
        try:
            await send({"type": "websocket.accept"})
        except OSError as error:
            seen.put(type(error).__name__)

    return app


async def messages(receive: Receive) -> list[Message]:
    """Everything up to the end, which is the last one."""
    found = [await receive()]
    while found[-1]["type"] != "websocket.disconnect":
        found.append(await receive())
    return found


class Recording(Seen):
    """An application that shows its scope, and all that it receives, to the test; it sends
    `replies` when it has accepted.
    """

    def __init__(self, *replies: Message) -> None:
        super().__init__()
        self.replies = replies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.put(scope)
        await accept(receive, send)
        for reply in self.replies:
            with contextlib.suppress(OSError):
                await send(reply)
        for message in await messages(receive):
            self.put(message)

    def end(self) -> tuple[int, str]:
        """The code and the reason of the next message, which is the end."""
        message = self.get()
        assert message["type"] == "websocket.disconnect", message
        return message["code"], message["reason"]
