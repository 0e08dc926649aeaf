"""A Starlette application: `granite run examples.starlette_app:app`.

Shows routes, a request body that is read as it arrives, a streamed download, and the lifespan's
state.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypedDict

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route


class State(TypedDict):
    started_at: float


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[State]:
    yield {"started_at": time.monotonic()}


async def index(_: Request) -> Response:
    return PlainTextResponse("Hello from Starlette!\n")


async def uptime(request: Request) -> Response:
    return JSONResponse({"seconds": time.monotonic() - request.state.started_at})


async def digest(request: Request) -> Response:
    """Hash a body of any size without ever holding all of it."""
    sha256 = hashlib.sha256()
    async for chunk in request.stream():
        sha256.update(chunk)
    return PlainTextResponse(sha256.hexdigest() + "\n")


async def countdown(request: Request) -> Response:
    async def lines() -> AsyncIterator[str]:
        for number in range(int(request.path_params["start"]), 0, -1):
            yield f"{number}\n"

    return StreamingResponse(lines(), media_type="text/plain")


app = Starlette(
    routes=[
        Route("/", index),
        Route("/uptime", uptime),
        Route("/digest", digest, methods=["POST"]),
        Route("/countdown/{start:int}", countdown),
    ],
    lifespan=lifespan,
)
