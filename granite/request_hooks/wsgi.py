"""Gunicorn's hooks around a request of WSGI.

Owns the application around the application. Runs where that does, in several threads perhaps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from granite.request_hooks.objects import Around, Request, Response

__all__ = ["wrap"]

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


def wrap(app: Application, around: Around) -> Application:
    """Return `app` with the hooks around each request. `post_request` gets the environ that the
    application got.
    """

    def with_hooks(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        response = _WsgiResponse(_WsgiRequest(environ))
        begun = False
        try:
            around.before(response)
            result = app(environ, response.observed(start_response))
            # What is whole, or a file, stays what it is, so that it is sent as such.
            if isinstance(result, (list, tuple)):
                response.sent += sum(map(len, result))
            elif around.post is not None and not isinstance(result, environ["wsgi.file_wrapper"]):
                begun = True
                return _Observed(result, response, around)
            return result
        finally:
            if not begun:
                around.after(response)

    return with_hooks


class _WsgiRequest(Request):
    """A request by its environ."""

    def __init__(self, environ: Environ) -> None:
        super().__init__(_as_asgi(environ))
        self._environ = environ

    @property
    def uri(self) -> str:
        """The path as it was sent, with the query."""
        uri: str = self._environ["RAW_URI"]
        return uri

    def environ(self) -> Environ:
        """Return the environ of the application."""
        return self._environ


class _WsgiResponse(Response):
    """What goes through start_response() and write()."""

    _status: str | None = None

    @property
    def status(self) -> str:
        """The status as the application gave it."""
        return super().status if self._status is None else self._status

    def observed(self, start_response: Callable[..., Any]) -> Callable[..., Any]:
        """Return a start_response() that notes what it gets."""

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            write = start_response(status, headers, exc_info)
            self.headers_sent = True
            self._status = status
            self.status_code = int(status[:3])
            self.headers = list(headers)

            def observed_write(data: bytes) -> None:
                write(data)
                self.sent += len(data)

            return observed_write

        return start


class _Observed:
    """What the application has returned, whose pieces are counted."""

    def __init__(self, result: Iterable[bytes], response: Response, around: Around) -> None:
        self._result = result
        self._response = response
        self._around = around

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._result:
            yield piece
            self._response.sent += len(piece)

    def close(self) -> None:
        """Close the result, behind the last piece."""
        try:
            if hasattr(self._result, "close"):
                self._result.close()
        finally:
            self._around.after(self._response)


def _as_asgi(environ: Environ) -> dict[str, Any]:
    """What `Request` reads of a request, out of the environ of WSGI."""
    path = (environ.get("SCRIPT_NAME", "") + environ["PATH_INFO"]).encode("latin-1")
    names = [name for name in environ if name.startswith("HTTP_")]
    fields = [(name[5:].replace("_", "-"), environ[name]) for name in names]
    names = [name for name in ("CONTENT_TYPE", "CONTENT_LENGTH") if environ.get(name)]
    fields += [(name.replace("_", "-"), environ[name]) for name in names]
    return {
        "method": environ["REQUEST_METHOD"],
        "path": path.decode("utf-8", "replace"),
        "raw_path": environ["RAW_URI"].partition("?")[0].encode("latin-1"),
        "query_string": environ["QUERY_STRING"].encode("latin-1"),
        "scheme": environ["wsgi.url_scheme"],
        "client": _client(environ),
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields],
        "http_version": environ["SERVER_PROTOCOL"].removeprefix("HTTP/"),
        "extensions": {},
    }


def _client(environ: Environ) -> tuple[str, int] | None:
    if not environ.get("REMOTE_ADDR"):  # a Unix socket
        return None
    return environ["REMOTE_ADDR"], int(environ.get("REMOTE_PORT") or 0)
