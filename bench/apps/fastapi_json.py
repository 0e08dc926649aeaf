"""FastAPI answering with a small JSON document, as most of its routes do."""

from __future__ import annotations

from fastapi import FastAPI

app = FastAPI(openapi_url=None)


@app.get("/")
async def hello() -> dict[str, str]:
    """Return ``{"message": "Hello, World!"}``."""
    return {"message": "Hello, World!"}
