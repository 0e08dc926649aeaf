"""Pieces of applications that the tests of the core put together.

Owns nothing: functions, and a gate between the test's thread and the application's event loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from granite._core.asgi import AsgiInterface
from tests.patience import PATIENCE

Message = Mapping[str, Any]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Fields = Iterable[tuple[bytes, bytes]]


def asgi(app: App, extensions: dict[str, Any] | None = None) -> AsgiInterface:
    """What a server of the core calls an application of ASGI with, on the running loop."""
    loop, context = asyncio.get_running_loop(), contextvars.copy_context()
    return AsgiInterface(app, loop, context, None, extensions or {}, "", None)


class Seen:
    """What an application tells the test, in order."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def put(self, item: Any) -> None:
        self._queue.put(item)

    def get(self) -> Any:
        """The next item; fails if none comes."""
        return self._queue.get(timeout=PATIENCE)

    @property
    def empty(self) -> bool:
        return self._queue.empty()


class Scopes(Seen):
    """An application that shows its scopes to the test."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.put(scope)
        await answer(send)


class Gate:
    """Something that the application waits for until the test opens it, from another thread."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._event: asyncio.Event | None = None

    async def wait(self) -> None:
        """For the application, of which one call at a time may wait."""
        self._loop, self._event = asyncio.get_running_loop(), asyncio.Event()
        self.reached.set()
        await self._event.wait()

    def open(self) -> None:
        """For the test: wait until the application waits, and let it go on."""
        assert self.reached.wait(PATIENCE)
        assert self._loop is not None
        assert self._event is not None
        self.reached.clear()
        self._loop.call_soon_threadsafe(self._event.set)


def eventually(condition: Callable[[], object]) -> None:
    """Look at what another thread does until it has done it; fails if it does not."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it has not happened"
        time.sleep(0.001)


async def attempt(send: Send, *messages: Any) -> list[Exception]:
    """Send these messages; return what the refused ones raise, without their tracebacks."""

    async def one(message: Any) -> list[Exception]:
        try:
            await send(message)
        except Exception as exc:
            return [exc.with_traceback(None)]
        return []

    return [error for message in messages for error in await one(message)]


def current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


def start(status: int = 200, *fields: tuple[bytes, bytes]) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(fields)}


def body(data: Any = b"", more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def answer(send: Send, data: bytes = b"", status: int = 200, fields: Fields = ()) -> None:
    """A whole response."""
    await send(start(status, *fields))
    await send(body(data))


async def body_of(receive: Receive) -> bytes:
    """The rest of the request's body; fails on a disconnect."""
    pieces = []
    while True:
        message = await receive()
        assert message["type"] == "http.request", message
        pieces.append(message["body"])
        if not message["more_body"]:
            return b"".join(pieces)


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, b"hello")


async def hello_when_complete(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers POST when its body is complete, anything else at once."""
    more = scope["method"] == "POST"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message["more_body"]
    await answer(send, b"hello")


async def echo_path(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, scope["raw_path"])


async def echo_body(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, await body_of(receive))


def behind(gate: Gate, app: App) -> App:
    """The application, as soon as the gate is open."""

    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        await gate.wait()
        await app(scope, receive, send)

    return waiting


def held_up(gate: Gate, data: bytes) -> App:
    """An application that answers when the gate is open."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, data)

    return behind(gate, app)


def sending(*messages: Message) -> App:
    """An application that sends these messages, whatever it is asked."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


def with_lifespan(app: App, startup: Callable[[dict[str, Any]], object]) -> App:
    """Add a lifespan to `app` that calls `startup` with the state."""

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            return await app(scope, receive, send)
        await receive()
        startup(scope["state"])
        await send({"type": "lifespan.startup.complete"})
        await receive()
        return await send({"type": "lifespan.shutdown.complete"})

    return outer


async def until_it_waits(task: asyncio.Task[Any], sent: list[Any]) -> int:
    """How much a task has `sent` when it sends no more."""
    before = -1
    while len(sent) != before:
        before = len(sent)
        await asyncio.wait([task], timeout=0.1)
    return before
