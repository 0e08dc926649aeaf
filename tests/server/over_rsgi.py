"""Applications of ASGI as ones of RSGI, so that the tests of what both have in common run over
both.

Owns a scope, a receive() and a send() made of what RSGI gives, as far as these tests use them.
"""

from __future__ import annotations

from typing import Any

from granite._core.rsgi import ProtocolClosed


class OverRsgi:
    """Serves `app` over RSGI."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        await _Call(scope, protocol).run(self._app)


class _Call:
    """One request: what is not told by RSGI's side is kept here."""

    def __init__(self, scope: Any, protocol: Any) -> None:
        self._scope = scope
        self._protocol = protocol
        self._pieces: Any = None
        self._body_ended = False
        self._start: Any = None
        self._stream: Any = None
        self._done = False

    async def run(self, app: Any) -> None:
        await app(_as_asgi(self._scope), self._receive, self._send)
        if not self._done and self._stream is not None:
            raise RuntimeError("the application returned without completing its response")

    async def _receive(self) -> dict[str, Any]:
        if not self._body_ended:
            if self._pieces is None:
                self._pieces = aiter(self._protocol)
            try:
                return {
                    "type": "http.request",
                    "body": await anext(self._pieces),
                    "more_body": True,
                }
            except StopAsyncIteration:
                self._body_ended = True
                return {"type": "http.request", "body": b"", "more_body": False}
            except ProtocolClosed:
                return {"type": "http.disconnect"}
        await self._protocol.client_disconnect()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            fields = [
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in message.get("headers", ())
            ]
            self._start = (message["status"], fields)
            return
        if message["type"] == "http.response.pathsend":
            self._done = True
            self._protocol.response_file(*self._start, message["path"])
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        if self._stream is None and not more:
            self._done = True
            self._protocol.response_bytes(*self._start, body)
            return
        if self._stream is None:
            self._stream = self._protocol.response_stream(*self._start)
        self._done = not more
        try:
            await self._stream.send_bytes(body)
        except ProtocolClosed:
            self._done = True
            raise


def _as_asgi(scope: Any) -> dict[str, Any]:
    host, _, port = scope.client.rpartition(":")
    return {
        "type": "http",
        "http_version": scope.http_version,
        "method": scope.method,
        "scheme": scope.scheme,
        "path": scope.path,
        "raw_path": scope.path.encode(),
        "query_string": scope.query_string.encode("latin-1"),
        "headers": [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in scope.headers.items()
        ],
        "client": (host, int(port)) if port else None,
        "server": None,
        "extensions": {},
        "state": {},
    }
