from __future__ import annotations

from typing import Any

from litestar import Litestar, MediaType, Request, Response, WebSocket, get, head, post, websocket
from litestar.background_tasks import BackgroundTask
from litestar.logging import LoggingConfig
from litestar.middleware.session.client_side import CookieBackendConfig
from litestar.response import File, Redirect, Stream

from tests.frameworks import common


@get("/greet/{whom:str}", name="greet", media_type=MediaType.TEXT)
async def greet(whom: str, times: int = 1) -> str:
    return common.greeting(whom, times)


@head("/greet/{whom:str}")
async def greet_head(whom: str, times: int = 1) -> Response[None]:
    length = len(common.greeting(whom, times).encode())
    return Response(None, headers={"content-length": str(length)})


@post("/json", status_code=200)
async def echo(request: Request) -> dict:
    return {"got": await request.json()}


@post("/upload", status_code=200)
async def upload(request: Request) -> dict:
    form = await request.form()
    file = form["file"]
    return {
        "note": form["note"],
        "name": file.filename,
        "type": file.content_type,
        "digest": common.digest(await file.read()),
    }


@get("/stream")
async def stream(gate: str) -> Stream:
    return Stream(common.async_pieces(gate))


@get("/download")
async def download() -> File:
    return File(common.FILE)


@get("/visits")
async def visits(request: Request) -> int:
    count: int = request.session.get("visits", 0) + 1
    request.set_session({"visits": count})
    return count


@get("/teapot")
async def teapot() -> None:
    raise common.TeapotError


def short_and_stout(request: Request, error: Exception) -> Response:
    return Response({"error": "teapot"}, status_code=418)


@get("/fail")
async def fail(mark: str) -> None:
    raise common.UnhandledError(mark)


@get("/moved")
async def moved(request: Request) -> Redirect:
    return Redirect(request.url_for("greet", whom="moved"))


@get("/seen")
async def seen(request: Request) -> dict[str, Any]:
    assert request.client is not None
    return {
        "client": request.client.host,
        "scheme": request.url.scheme,
        "host": request.url.netloc,
        "url": str(request.url),
        "greet": request.url_for("greet", whom="you"),
    }


@post("/later", status_code=200)
async def later(gate: str) -> Response[str]:
    return Response("later", background=BackgroundTask(common.async_work, gate))


@websocket("/socket/{whom:str}")
async def chat(socket: WebSocket, whom: str) -> None:
    if whom == "nobody":
        await socket.close()
        return
    offered = socket.scope["subprotocols"]
    await socket.accept(subprotocols="chat" if "chat" in offered else None)
    await socket.send_text(f"hello {whom}")
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            common.say(f"the socket has ended: {message['code']}")
            return
        assert message["type"] == "websocket.receive"
        text, data = message.get("text"), message.get("bytes")
        if text == "close":
            await socket.close(4001, "as you wish")
            return
        if text == "fail":
            raise common.UnhandledError
        if text is not None:
            await socket.send_text(text)
        elif data is not None:
            await socket.send_bytes(data)


async def start() -> None:
    common.say("lifespan: started")


async def shut_down() -> None:
    common.say("lifespan: shut down")


app = Litestar(
    [
        *(greet, greet_head, echo, upload, stream, download, visits, teapot, fail, moved, seen),
        *(later, chat),
    ],
    middleware=[CookieBackendConfig(secret=common.SECRET.encode()[:32]).middleware],
    exception_handlers={common.TeapotError: short_and_stout},
    on_startup=[start],
    on_shutdown=[shut_down],
    logging_config=LoggingConfig(log_exceptions="always"),
)
