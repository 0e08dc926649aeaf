"""Applications for the tests of real processes: `granite run apps:NAME` with this folder as cwd."""

from __future__ import annotations

import asyncio
import contextvars
import os

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


async def respond(send, body: str, status: int = 200) -> None:
    data = body.encode()
    length = str(len(data)).encode()
    await send(
        {"type": "http.response.start", "status": status, "headers": [(b"content-length", length)]}
    )
    await send({"type": "http.response.body", "body": data})


async def plain(scope, receive, send) -> None:
    """Tell about the process and the scope; has no lifespan."""
    assert scope["type"] == "http"
    told = {"/pid": str(os.getpid()), "/cwd": os.getcwd(), "/root": scope["root_path"]}  # noqa: PTH109
    await respond(send, told.get(scope["path"], "plain"))


async def upload(scope, receive, send) -> None:
    """Answer when the whole body is there: the client decides how long it stays in flight."""
    assert scope["type"] == "http"
    print("request begun", flush=True)
    while (await receive())["more_body"]:
        pass
    await respond(send, "uploaded")


async def hang(scope, receive, send) -> None:
    """Never answer."""
    assert scope["type"] == "http"
    print("request begun", flush=True)
    await asyncio.Event().wait()


async def lifespan(scope, receive, send) -> None:
    """Print each step; answer with what startup has left for requests."""
    if scope["type"] == "http":
        state = scope.get("state", {})
        await respond(send, f"{state.get('key')} {variable.get()}")
        return
    assert (await receive()) == {"type": "lifespan.startup"}
    scope["state"]["key"] = "value"
    variable.set("set")
    print("startup ran", flush=True)
    await send({"type": "lifespan.startup.complete"})
    assert (await receive()) == {"type": "lifespan.shutdown"}
    print("shutdown ran", flush=True)
    await send({"type": "lifespan.shutdown.complete"})


async def failing(scope, receive, send) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "the database is not there"})


async def starting(scope, receive, send) -> None:
    """Never finish the startup."""
    await receive()
    try:
        print("startup begun", flush=True)
        await asyncio.Event().wait()
    finally:
        print("startup cancelled", flush=True)


async def unending(scope, receive, send) -> None:
    """Never finish the shutdown."""
    if scope["type"] == "http":
        await respond(send, "unending")
        return
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    print("shutdown begun", flush=True)
    await asyncio.Event().wait()


def factory():
    return plain


not_callable = 3


def wsgi(environ, start_response):
    """Another interface."""
    start_response("200 OK", [])
    return [b"wsgi"]


async def ticking(scope, receive, send) -> None:
    """Stream, until the server is going to stop."""
    assert scope["type"] == "http"
    stopping = scope["extensions"]["granite.stopping"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"begun\n", "more_body": True})
    await stopping.wait()
    await send({"type": "http.response.body", "body": b"goodbye\n"})


class Rsgi:
    """Print what runs around the requests; answer with what the start has left for them."""

    value = "unset"

    def __rsgi_init__(self, loop) -> None:
        loop.run_until_complete(asyncio.sleep(0))
        self.value = "value"
        print("init ran", flush=True)

    def __rsgi_del__(self, loop) -> None:
        loop.run_until_complete(asyncio.sleep(0))
        print("del ran", flush=True)

    async def __rsgi__(self, scope, protocol) -> None:
        protocol.response_str(200, [], f"{scope.path} {self.value}")


class RsgiFailing(Rsgi):
    """Cannot start."""

    def __rsgi_init__(self, loop) -> None:
        raise OSError("no database")


rsgi, rsgi_failing = Rsgi(), RsgiFailing()
