"""The raw RSGI application of the scenarios: little Python, so that the server is measured."""

from __future__ import annotations

from typing import Any

HELLO = b"Hello, World!"
HELLO_HEADERS = [("content-type", "text/plain"), ("content-length", "13")]


async def hello(scope: Any, protocol: Any) -> None:
    """Answer with 13 bytes."""
    protocol.response_bytes(200, HELLO_HEADERS, HELLO)
