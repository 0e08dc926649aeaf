"""Gunicorn's hooks around a request: `pre_request(worker, req)` and `post_request(worker, req,
environ, resp)`.

Owns the objects that these functions get, and when they are called: an ASGI application around the
one that is served. Must not know where hooks come from nor who calls the application. Loaded only
where one of the two is set; runs on the event loop's thread.

They are called for HTTP requests only. `pre_request` may stop a request by raising: the client gets
a 500, as if the application had raised. `post_request` is called when the application has returned
or raised, or was cancelled; what it raises itself is logged. Both hold up the event loop while they
run.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from http.client import responses
from typing import Any

from granite.settings.hooks import ARITIES, Hooks, arity

__all__ = ["Request", "Response", "wrap"]

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
    """Return `app` with the two hooks, those that are set, around each HTTP request; `app` itself
    where neither is.

    `worker` is the hooks' first argument; its `nr` counts the requests.
    """
    found = {name: hooks[name] for name in ("pre_request", "post_request") if name in hooks}
    if not found:
        return app
    pre, post = found.get("pre_request"), found.get("post_request")
    count = 0 if post is None else arity(post, ARITIES["post_request"]) or 4

    async def with_hooks(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        worker.nr += 1
        request = Request(scope)
        if post is None:
            assert pre is not None
            pre(worker, request)
            await app(scope, receive, send)
            return
        response = Response(request)

        async def observed(message: dict[str, Any]) -> None:
            await send(message)
            response.note(message)

        try:
            if pre is not None:
                pre(worker, request)
            await app(scope, receive, observed)
        finally:
            _call_post(post, count, worker, response)

    return with_hooks


def _call_post(post: Callable[..., object], count: int, worker: Any, response: Response) -> None:
    request = response.req
    try:
        if count == 2:
            post(worker, request)
        else:  # the environment is made only for a hook that takes it
            post(*(worker, request, request.environ(), response)[:count])
    except Exception:
        logger.exception("the hook post_request raised")
