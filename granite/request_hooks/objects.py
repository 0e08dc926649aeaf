"""What Gunicorn's hooks around a request get, and when they are called.

Owns `Request` and `Response`, which show both by Gunicorn's names, and `Around`. Must not know
which interface the application has: the objects are made of a scope of ASGI, or of what looks like
one. Runs where the application does.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator
from http.client import responses
from typing import Any

from granite.settings.hooks import ARITIES, Hooks, arity

__all__ = ["Around", "Request", "Response"]

logger = logging.getLogger("granite.error")

Scope = dict[str, Any]


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


class Around:
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
        """Call the hooks around the block, in which the application handles the request."""
        try:
            self.before(response)
            yield
        finally:
            self.after(response)

    def before(self, response: Response) -> None:
        """Call pre_request, and let through what it raises."""
        self._worker.nr += 1
        if self._pre is not None:
            self._pre(self._worker, response.req)

    def after(self, response: Response) -> None:
        """Call post_request, and log what it raises."""
        if self.post is None:
            return
        request = response.req
        try:
            if self._count == 2:
                self.post(self._worker, request)
            else:  # the environment is made only for a hook that takes it
                self.post(*(self._worker, request, request.environ(), response)[: self._count])
        except Exception:
            logger.exception("the hook post_request raised")
