"""Gunicorn's hooks around a request of RSGI.

Owns the application around the application. Runs on the event loop's thread.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import quote

from granite.request_hooks.objects import Around, Request, Response

__all__ = ["wrap"]


def wrap(app: Callable[..., Any], around: Around) -> Callable[..., Any]:
    """Return `app` with the hooks around each request."""

    async def with_hooks(scope: Any, protocol: Any) -> None:
        if scope.proto != "http":
            await app(scope, protocol)
            return
        response = Response(Request(_as_asgi(scope)))
        with around(response):
            await app(scope, protocol if around.post is None else _Observed(protocol, response))

    return with_hooks


def _as_asgi(scope: Any) -> dict[str, Any]:
    """What `Request` reads of a request, out of the scope of RSGI."""
    host, _, port = scope.client.rpartition(":")
    return {
        "method": scope.method,
        "path": scope.path,
        "raw_path": quote(scope.path).encode(),
        "query_string": scope.query_string.encode("latin-1"),
        "scheme": scope.scheme,
        "client": (host.strip("[]"), int(port)) if port else None,
        "headers": [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in scope.headers.items()
        ],
        "http_version": scope.http_version,
        "extensions": {},
    }


class _Observed:
    """The protocol of a request of RSGI, which notes in `response` what goes through it."""

    def __init__(self, protocol: Any, response: Response) -> None:
        self._protocol = protocol
        self._response = response

    def __getattr__(self, name: str) -> Any:
        return getattr(self._protocol, name)

    def __call__(self) -> Awaitable[bytes]:
        body: Awaitable[bytes] = self._protocol()
        return body

    def __aiter__(self) -> AsyncIterator[bytes]:
        pieces: AsyncIterator[bytes] = self._protocol.__aiter__()
        return pieces

    def _note(self, status: int, headers: Iterable[tuple[str, str]], sent: int = 0) -> None:
        self._response.headers_sent = True
        self._response.status_code = status
        self._response.headers = list(headers)
        self._response.sent = sent

    def response_empty(self, status: int, headers: Any) -> None:
        self._protocol.response_empty(status, headers)
        self._note(status, headers)

    def response_str(self, status: int, headers: Any, body: str) -> None:
        self._protocol.response_str(status, headers, body)
        self._note(status, headers, len(body.encode()))

    def response_bytes(self, status: int, headers: Any, body: bytes) -> None:
        self._protocol.response_bytes(status, headers, body)
        self._note(status, headers, len(body))

    def response_file(self, status: int, headers: Any, file: Any) -> None:
        self._protocol.response_file(status, headers, file)
        self._note(status, headers)

    def response_file_range(
        self, status: int, headers: Any, file: Any, start: int, end: int
    ) -> None:
        self._protocol.response_file_range(status, headers, file, start, end)
        self._note(status, headers)

    def response_stream(self, status: int, headers: Any) -> _ObservedStream:
        transport = self._protocol.response_stream(status, headers)
        self._note(status, headers)
        return _ObservedStream(transport, self._response)


class _ObservedStream:
    """The transport of a stream, whose bytes are counted."""

    def __init__(self, transport: Any, response: Response) -> None:
        self._transport = transport
        self._response = response

    async def send_bytes(self, data: bytes) -> None:
        await self._transport.send_bytes(data)
        self._response.sent += len(data)

    async def send_str(self, data: str) -> None:
        await self.send_bytes(data.encode())
