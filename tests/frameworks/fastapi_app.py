from __future__ import annotations

import contextlib
from typing import Annotated, Any

from fastapi import (
    BackgroundTasks,
    Body,
    FastAPI,
    Form,
    Request,
    UploadFile,
    WebSocket,
    WebSocketDisconnect,
)
from fastapi.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    StreamingResponse,
)
from starlette.middleware.sessions import SessionMiddleware

from tests.frameworks import common


@contextlib.asynccontextmanager
async def lifespan(app):
    common.say("lifespan: started")
    yield
    common.say("lifespan: shut down")


app = FastAPI(lifespan=lifespan)
app.add_middleware(SessionMiddleware, secret_key=common.SECRET)


@app.api_route("/greet/{name}", methods=["GET", "HEAD"], response_class=PlainTextResponse)
def greet(name: str, times: int = 1) -> str:
    return common.greeting(name, times)


@app.post("/json")
async def echo(got: Annotated[Any, Body()]) -> dict:
    return {"got": got}


@app.post("/upload")
async def upload(note: Annotated[str, Form()], file: UploadFile) -> dict:
    return {
        "note": note,
        "name": file.filename,
        "type": file.content_type,
        "digest": common.digest(await file.read()),
    }


@app.get("/stream")
async def stream(gate: str) -> StreamingResponse:
    return StreamingResponse(common.async_pieces(gate))


@app.api_route("/download", methods=["GET", "HEAD"])
async def download() -> FileResponse:
    return FileResponse(common.FILE)


@app.get("/visits")
async def visits(request: Request) -> int:
    count: int = request.session.get("visits", 0) + 1
    request.session["visits"] = count
    return count


@app.get("/teapot")
async def teapot() -> None:
    raise common.TeapotError


@app.exception_handler(common.TeapotError)
async def short_and_stout(request, error):
    return JSONResponse({"error": "teapot"}, 418)


@app.get("/fail")
async def fail(mark: str) -> None:
    raise common.UnhandledError(mark)


@app.get("/moved")
async def moved(request: Request) -> RedirectResponse:
    return RedirectResponse(request.url_for("greet", name="moved"))


@app.get("/seen")
async def seen(request: Request) -> dict:
    assert request.client is not None
    return {
        "client": request.client.host,
        "scheme": request.url.scheme,
        "host": request.url.netloc,
        "url": str(request.url),
        "greet": str(request.url_for("greet", name="you")),
    }


@app.post("/later")
async def later(gate: str, tasks: BackgroundTasks) -> str:
    tasks.add_task(common.work, gate)
    return "later"


@app.websocket("/socket/{name}")
async def socket(websocket: WebSocket, name: str) -> None:
    if name == "nobody":
        await websocket.close()
        return
    offered = websocket.scope["subprotocols"]
    await websocket.accept(subprotocol="chat" if "chat" in offered else None)
    await websocket.send_text(f"hello {name}")
    try:
        await _echo(websocket)
    except WebSocketDisconnect as gone:
        common.say(f"the socket has ended: {gone.code}")


async def _echo(websocket: WebSocket) -> None:
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message["code"])
        if message.get("bytes") is not None:
            await websocket.send_bytes(message["bytes"])
            continue
        if message["text"] == "close":
            await websocket.close(4001, "as you wish")
            return
        if message["text"] == "fail":
            raise common.UnhandledError
        await websocket.send_text(message["text"])
