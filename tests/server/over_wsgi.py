"""Applications of ASGI as ones of WSGI, so that the tests of what all interfaces have in common run
over it too.

Owns a scope, a receive() and a send() made of what WSGI gives, as far as these tests use them. Each
call has an event loop of its own, in its thread.
"""

from __future__ import annotations

import asyncio
from typing import Any

# Tests of what calls that are over, or bodies that have not come, are to an application of ASGI
# alone, and of as many calls at once as there are requests.
ASGI_ONLY = {
    "test_a_call_that_runs_on_after_its_response_keeps_its_place",
    "test_a_request_that_turns_out_to_be_broken_ends_it_too",
    "test_an_application_that_answers_before_the_body_frees_its_place",
    "test_closing_drops_what_waits",
    "test_pipelined_answers_leave_in_one_write",
    "test_without_a_limit_nothing_waits",
}


class OverWsgi:
    """Serves `app` over WSGI."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        call = _Call(environ, start_response)
        asyncio.run(self._app(_as_asgi(environ), call.receive, call.send))
        if call.last is None:
            raise RuntimeError("the application returned without completing its response")
        return call.last


class _Call:
    """One request."""

    def __init__(self, environ: dict[str, Any], start_response: Any) -> None:
        self._input = environ["wsgi.input"]
        self._start_response = start_response
        self._start: Any = None
        self._write: Any = None
        self.last: list[bytes] | None = None

    async def receive(self) -> dict[str, Any]:
        """The whole body."""
        try:
            return {"type": "http.request", "body": self._input.read(), "more_body": False}
        except OSError:
            return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        if self._write is None:
            fields = [
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in self._start.get("headers", ())
            ]
            self._write = self._start_response(str(self._start["status"]), fields)
        if message.get("more_body"):
            self._write(message["body"])
        else:
            self.last = [message.get("body", b"")]


def _as_asgi(environ: dict[str, Any]) -> dict[str, Any]:
    raw_path, _, query = environ["RAW_URI"].partition("?")
    return {
        "type": "http",
        "http_version": environ["SERVER_PROTOCOL"].removeprefix("HTTP/"),
        "method": environ["REQUEST_METHOD"],
        "scheme": environ["wsgi.url_scheme"],
        "path": environ["PATH_INFO"].encode("latin-1").decode(),
        "raw_path": raw_path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "headers": [
            (name.removeprefix("HTTP_").replace("_", "-").lower().encode(), value.encode("latin-1"))
            for name, value in environ.items()
            if name.startswith("HTTP_") or name in ("CONTENT_TYPE", "CONTENT_LENGTH")
        ],
        "client": (environ["REMOTE_ADDR"], int(environ["REMOTE_PORT"] or 0)),
        "server": None,
        "extensions": {},
        "state": {},
    }
