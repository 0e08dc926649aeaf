from __future__ import annotations

import contextlib

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    StreamingResponse,
)
from starlette.routing import Mount, Route, WebSocketRoute

from tests.frameworks import common


async def greet(request):
    times = int(request.query_params.get("times", "1"))
    return PlainTextResponse(common.greeting(request.path_params["name"], times))


async def echo(request):
    return JSONResponse({"got": await request.json()})


async def upload(request):
    async with request.form() as form:
        file = form["file"]
        return JSONResponse(
            {
                "note": form["note"],
                "name": file.filename,
                "type": file.content_type,
                "digest": common.digest(await file.read()),
            }
        )


async def stream(request):
    return StreamingResponse(common.async_pieces(request.query_params["gate"]))


async def download(request):
    return FileResponse(common.FILE)


async def visits(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JSONResponse(request.session["visits"])


async def teapot(request):
    raise common.TeapotError


async def short_and_stout(request, error):
    return JSONResponse({"error": "teapot"}, 418)


async def fail(request):
    raise common.UnhandledError(request.query_params["mark"])


async def moved(request):
    return RedirectResponse(request.url_for("greet", name="moved"))


async def seen(request):
    return JSONResponse(
        {
            "client": request.client.host,
            "scheme": request.url.scheme,
            "host": request.url.netloc,
            "url": str(request.url),
            "greet": str(request.url_for("greet", name="you")),
        }
    )


async def later(request):
    gate = request.query_params["gate"]
    return PlainTextResponse("later", background=BackgroundTask(common.async_work, gate))


async def inside(request):
    return PlainTextResponse(str(request.url_for("within:inside")))


async def socket(websocket):
    name = websocket.path_params["name"]
    if name == "nobody":
        await websocket.close()
        return
    offered = websocket.scope["subprotocols"]
    await websocket.accept(subprotocol="chat" if "chat" in offered else None)
    await websocket.send_text(f"hello {name}")
    while (message := await websocket.receive())["type"] == "websocket.receive":
        if message.get("text") == "close":
            await websocket.close(4001, "as you wish")
            return
        if message.get("text") == "fail":
            raise common.UnhandledError
        if message.get("text") is not None:
            await websocket.send_text(message["text"])
        else:
            await websocket.send_bytes(message["bytes"])
    common.say(f"the socket has ended: {message['code']}")


@contextlib.asynccontextmanager
async def lifespan(app):
    common.say("lifespan: started")
    yield
    common.say("lifespan: shut down")


app = Starlette(
    routes=[
        Route("/greet/{name}", greet, name="greet"),
        Route("/json", echo, methods=["POST"]),
        Route("/upload", upload, methods=["POST"]),
        Route("/stream", stream),
        Route("/download", download),
        Route("/visits", visits),
        Route("/teapot", teapot),
        Route("/fail", fail),
        Route("/moved", moved),
        Route("/seen", seen),
        Route("/later", later, methods=["POST"]),
        WebSocketRoute("/socket/{name}", socket),
        Mount("/within", routes=[Route("/inside", inside, name="inside")], name="within"),
    ],
    middleware=[Middleware(SessionMiddleware, secret_key=common.SECRET)],
    exception_handlers={common.TeapotError: short_and_stout},
    lifespan=lifespan,
)
