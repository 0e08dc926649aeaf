"""Gunicorn's hooks around a request: `pre_request(worker, req)` and `post_request(worker, req,
environ, resp)`.

Owns the objects that these functions get, and when they are called: an application of ASGI or RSGI
around the one that is served. Must not know where hooks come from nor who calls the application.
Loaded only where one of the two is set; runs on the event loop's thread.

They are called for HTTP requests only. `pre_request` may stop a request by raising: the client gets
a 500, as if the application had raised. `post_request` is called when the application has returned
or raised, or was cancelled; what it raises itself is logged. Both hold up the event loop while they
run.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from http.client import responses
from typing import Any
from urllib.parse import quote

from granite.settings.hooks import ARITIES, Hooks, arity

__all__ = ["Request", "Response", "wrap", "wrap_rsgi"]

logger = logging.getLogger("granite.error")

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Request:
    """The argument `req`: a request by the names of Gunicorn's. Its `headers` are pairs with the
    names in capitals; `version` is such as (1, 1); `peer_addr` and `remote_addr` are the client's
    address, or an empty string on a Unix socket.

    It tells of the request: what a hook changes here does not reach the application. A hook may
    keep attributes of its own on it, from `pre_request` to `post_request`.
    """

    proxy_protocol_info = None
    fragment = ""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._headers: list[tuple[str, str]] | None = None
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: str = scope["query_string"].decode("latin-1")
        self.scheme: str = scope["scheme"]
        self.peer_addr: Any = tuple(scope["client"]) if scope.get("client") else ""
        self.remote_addr: Any = self.peer_addr

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Name, in capitals, and value of each header."""
        if self._headers is None:
            self._headers = _texts(self._scope["headers"])
        return self._headers

    @property
    def trailers(self) -> list[tuple[str, str]]:
        """Name, in capitals, and value of each trailer, once the body is complete."""
        return _texts(self._scope["extensions"].get("granite.request.trailers", ()))

    @property
    def raw_path(self) -> bytes:
        """The path as it was sent."""
        return self._scope.get("raw_path") or self.path.encode()

    @property
    def uri(self) -> str:
        """The path as it was sent, with the query."""
        path = self.raw_path.decode("latin-1")
        return f"{path}?{self.query}" if self.query else path

    @property
    def version(self) -> tuple[int, int]:
        """The version of HTTP."""
        major, _, minor = self._scope["http_version"].partition(".")
        return int(major), int(minor or 0)

    def get_header(self, name: str) -> str | None:
        """Return the value of the first header `name`, in any case; None where there is none."""
        wanted = name.upper()
        return next((value for given, value in self.headers if given == wanted), None)

    def should_close(self) -> bool:
        """Say whether the client asks for the end of the connection behind the response."""
        connection = (self.get_header("CONNECTION") or "").lower()
        if connection in ("close", "keep-alive"):
            return connection == "close"
        return self.version <= (1, 0)

    def environ(self) -> dict[str, Any]:
        """Return what Gunicorn passes to post_request for an ASGI application: a part of WSGI's
        environment.
        """
        peer = self.peer_addr
        environ = {
            "REQUEST_METHOD": self.method,
            "RAW_URI": self.uri,
            "PATH_INFO": self.path,
            "QUERY_STRING": self.query,
            "SERVER_PROTOCOL": "HTTP/{}.{}".format(*self.version),
            "REMOTE_ADDR": peer[0] if peer else "-",
            "wsgi.url_scheme": self.scheme,
        }
        for name, value in self.headers:
            key = "HTTP_" + name.replace("-", "_")
            environ[key] = f"{environ[key]},{value}" if key in environ else value
        return environ


class Response:
    """The argument `resp`: what the application has sent. `status` is such as "200 OK", and
    "500 Internal Server Error" where it has sent nothing; `sent` counts the body's bytes,
    without those of files that the server was told to send.
    """

    def __init__(self, request: Request) -> None:
        self.req = request
        self.status_code = 500
        self.headers: list[tuple[str, str]] = []
        self.headers_sent = False
        self.sent = 0

    @property
    def status(self) -> str:
        """The status with its reason."""
        return f"{self.status_code} {responses.get(self.status_code, '')}".rstrip()

    @property
    def response_length(self) -> int | None:
        """The length that the response declares; None where it declares none."""
        for name, value in self.headers:
            if name.lower() == "content-length" and value.isdigit():
                return int(value)
        return None

    def should_close(self) -> bool:
        """Say whether client or application ask for the end of the connection."""
        asked = any(
            name.lower() == "connection" and value.lower() == "close"
            for name, value in self.headers
        )
        return asked or self.req.should_close()

    def note(self, message: dict[str, Any]) -> None:
        """Take in a message that the server has accepted."""
        kind = message["type"]
        if kind == "http.response.start":
            self.headers_sent = True
            self.status_code = int(message["status"])
            self.headers = [
                (bytes(name).decode("latin-1"), bytes(value).decode("latin-1"))
                for name, value in message.get("headers", ())
            ]
        elif kind == "http.response.body":
            self.sent += len(message.get("body", b""))


def _texts(fields: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Fields as Gunicorn shows them."""
    return [(name.decode("latin-1").upper(), value.decode("latin-1")) for name, value in fields]


def wrap(app: Application, hooks: Hooks, worker: Any) -> Application:
    """Return `app`, of ASGI, with the two hooks, those that are set, around each HTTP request;
    `app` itself where neither is.

    `worker` is the hooks' first argument; its `nr` counts the requests.
    """
    around = _Around(hooks, worker)
    if not around:
        return app

    async def with_hooks(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        response = Response(Request(scope))

        async def observed(message: dict[str, Any]) -> None:
            await send(message)
            response.note(message)

        with around(response):
            await app(scope, receive, observed if around.post is not None else send)

    return with_hooks


def wrap_rsgi(app: Callable[..., Any], hooks: Hooks, worker: Any) -> Callable[..., Any]:
    """Return what `wrap()` does, of an application of RSGI."""
    around = _Around(hooks, worker)
    if not around:
        return app

    async def with_hooks(scope: Any, protocol: Any) -> None:
        response = Response(Request(_as_asgi(scope)))
        with around(response):
            await app(scope, protocol if around.post is None else _Observed(protocol, response))

    return with_hooks


class _Around:
    """The hooks that are set, to be called around a request."""

    def __init__(self, hooks: Hooks, worker: Any) -> None:
        self._worker = worker
        names = ("pre_request", "post_request")
        found = {name: hooks[name] for name in names if name in hooks}
        self._pre = found.get("pre_request")
        self.post = found.get("post_request")
        self._count = 0 if self.post is None else arity(self.post, ARITIES["post_request"]) or 4

    def __bool__(self) -> bool:
        return self._pre is not None or self.post is not None

    @contextlib.contextmanager
    def __call__(self, response: Response) -> Iterator[None]:
        self._worker.nr += 1
        try:
            if self._pre is not None:
                self._pre(self._worker, response.req)
            yield
        finally:
            if self.post is not None:
                self._call_post(self.post, response)

    def _call_post(self, post: Callable[..., object], response: Response) -> None:
        request = response.req
        try:
            if self._count == 2:
                post(self._worker, request)
            else:  # the environment is made only for a hook that takes it
                post(*(self._worker, request, request.environ(), response)[: self._count])
        except Exception:
            logger.exception("the hook post_request raised")


def _as_asgi(scope: Any) -> Scope:
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
