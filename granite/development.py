"""What a worker does only where files are watched (`--reload`): the page that is served in place of
an application that cannot start, and imports that find the code that was saved last.

Owns the page and its looks. Must not know why the application cannot start, nor when it is tried
again. Never imported in production: the page shows source code. The worker's main thread.
"""

# pathlib would tell nothing more here:
# ruff: noqa: PTH116, PTH120

from __future__ import annotations

import importlib.machinery
import linecache
import os
import sys
import time
import traceback
import zlib
from collections.abc import Awaitable, Callable
from html import escape
from typing import Any

from granite.errors import GraniteError

__all__ = ["ErrorPage", "prepare"]

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# Seconds. What the interpreter keeps of a source in __pycache__ is good for a time of change in
# whole seconds: a second save within one, of the same length, would find the first one's code.
_RECENT = 2.0
# Lines of source that are shown before and after the one that matters.
_AROUND = 3
_AGAIN = "granite waits for the next change of a file, and then tries again."


def prepare() -> None:
    """Have the import of the application find what was saved last."""
    _keep_recent_out_of_cache()
    if "granite.program" in sys.modules:
        _forget_application()


class ErrorPage:
    """An ASGI application that answers everything with 500 and tells what `error` is about: as HTML
    where the client asks for it, else as text. `report` is the same for the log.
    """

    def __init__(self, error: GraniteError) -> None:
        self.report = error.report
        self._text = _as_text(error).encode("utf-8", "backslashreplace")
        # Who shows the page asks for this, and loads it anew when it is another, or none.
        self._name = f"{zlib.crc32(self._text):08x}"
        self._nonce = os.urandom(12).hex()
        self._html = _as_html(error, self._name, self._nonce).encode("utf-8", "backslashreplace")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer; speaks lifespan, HTTP and WebSocket."""
        if scope["type"] == "http":
            await self._answer(scope, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1011})
        elif scope["type"] == "lifespan":
            for phase in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{phase}.complete"})

    async def _answer(self, scope: Message, send: Send) -> None:
        accepted = b",".join(value for name, value in scope["headers"] if name == b"accept")
        kind, body = b"text/plain", self._text
        if b"text/html" in accepted.lower():
            kind, body = b"text/html", self._html
        policy = (
            f"default-src 'none'; style-src 'nonce-{self._nonce}'; "
            f"script-src 'nonce-{self._nonce}'; connect-src 'self'"
        )
        headers = [
            (b"content-type", kind + b"; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
            (b"content-security-policy", policy.encode()),
            (b"cache-control", b"no-store"),
            (b"vary", b"accept"),
            (b"x-granite-error", self._name.encode()),
        ]
        await send({"type": "http.response.start", "status": 500, "headers": headers})
        if scope["method"] == "HEAD":
            body = b""
        await send({"type": "http.response.body", "body": body})


class _Place:
    """A line of the application's code that an exception went through."""

    def __init__(self, path: str, line: int, name: str = "") -> None:
        self.path = path
        self.line = line
        self.name = name

    def __str__(self) -> str:
        inside = f", in {self.name}" if self.name not in ("", "<module>") else ""
        return f"{_shortened(self.path)}:{self.line}{inside}"

    def source(self) -> list[tuple[int, str]]:
        """Return the lines around it with their numbers; none where there is no source."""
        first = max(1, self.line - _AROUND)
        numbers = range(first, self.line + _AROUND + 1)
        lines = [(number, linecache.getline(self.path, number)) for number in numbers]
        return [(number, line.rstrip("\n")) for number, line in lines if line]


class _Story:
    """What is told of an error: the line that says what happened, where in the application, the
    nearest place first, and all of it.
    """

    def __init__(self, error: GraniteError) -> None:
        linecache.checkcache()
        self.what = str(error)
        self.title = self.what
        self.places: list[_Place] = []
        self.details = error.details or ""
        self._offset = 0  # in the line of the first place, from 1; 0: unknown
        cause = error.__cause__
        if cause is None:
            return
        self.title = "".join(traceback.format_exception_only(type(cause), cause)).strip()
        if isinstance(cause, SyntaxError):
            # Its own text has the file, the line and a pointer, which come in a better form.
            self.title = f"{type(cause).__name__}: {cause.msg}"
            if cause.filename and cause.lineno:
                self.places.append(_Place(cause.filename, cause.lineno))
                self._offset = max(0, cause.offset or 0)
        frames = traceback.extract_tb(cause.__traceback__)
        for frame in reversed(frames):
            if _is_own(frame.filename) and frame.lineno:
                self.places.append(_Place(frame.filename, frame.lineno, frame.name))

    def source(self, place: _Place) -> list[tuple[str, str]]:
        """Return the lines around a place with their numbers, of which `>` marks its own."""
        rows = []
        for number, line in place.source():
            here = number == place.line
            rows.append((f"> {number}" if here else str(number), line))
            if here and self._offset and place is self.places[0]:
                # Tabs stay, so that the mark stands below what it means.
                lead = line[: self._offset - 1]
                rows.append(("", "".join("\t" if char == "\t" else " " for char in lead) + "^"))
        return rows


def _as_text(error: GraniteError) -> str:
    story = _Story(error)
    lines = [story.title, ""]
    if story.what != story.title:
        lines[1:1] = [story.what]
    for place in story.places:
        lines.append(str(place))
        for number, line in story.source(place):
            lines.append(f"{number:>7} {line}".rstrip())
        lines.append("")
    if story.details:
        lines += [story.details, ""]
    return "\n".join([*lines, _AGAIN, ""])


def _as_html(error: GraniteError, name: str, nonce: str) -> str:
    story = _Story(error)
    parts = [f"<h1>{escape(story.title)}</h1>"]
    if story.what != story.title:
        parts.append(f"<p>{escape(story.what)}</p>")
    for place in story.places:
        parts.append(f"<h2>{escape(str(place))}</h2>")
        rows = [
            f"<span{' class=here' if number.startswith('>') else ''}>"
            f"<i>{escape(number.removeprefix('> ')):>5}</i> {escape(line)}</span>"
            for number, line in story.source(place)
        ]
        if rows:
            parts.append("<pre>" + "\n".join(rows) + "</pre>")
    if story.details:
        opened = "" if story.places else " open"
        parts.append(
            f"<details{opened}><summary>All of it</summary>"
            f"<pre>{escape(story.details)}</pre></details>"
        )
    parts.append(f"<footer>{escape(_AGAIN)}</footer>")
    return _PAGE.format(
        title=escape(story.title.partition("\n")[0]),
        body="\n".join(parts),
        name=name,
        nonce=nonce,
    )


# The script asks for the head of the page each second, and loads what is there when it is no longer
# this one.
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style nonce="{nonce}">
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em }}
h1 {{ font-size: 1.4em; color: #c33; white-space: pre-wrap; overflow-wrap: anywhere }}
h2 {{ font: 600 .95em ui-monospace, monospace; margin: 1.5em 0 .3em; overflow-wrap: anywhere }}
pre {{ background: #8881; padding: .7em; overflow-x: auto; font: .9em/1.4 ui-monospace, monospace }}
pre i {{ color: #888; font-style: normal }}
.here {{ background: #c333; font-weight: 600 }}
footer {{ color: #888; margin-top: 2em }}
</style>
</head>
<body>
{body}
<script nonce="{nonce}">
setInterval(async () => {{
  try {{
    const found = await fetch(location.href, {{method: "HEAD", headers: {{accept: "text/html"}}}});
    if (found.headers.get("x-granite-error") !== "{name}") location.reload();
  }} catch {{}}
}}, 1000);
</script>
</body>
</html>
"""


def _is_own(path: str) -> bool:
    """Say whether a file is the application's, not the interpreter's, a library's or granite's."""
    theirs = (os.path.join(os.path.dirname(file), "") for file in (os.__file__, __file__))  # noqa: PTH118
    return not path.startswith(("<frozen", *theirs)) and "-packages" not in path


def _shortened(path: str) -> str:
    return path.removeprefix(os.path.join(os.getcwd(), ""))  # noqa: PTH109, PTH118


def _keep_recent_out_of_cache() -> None:
    loader: Any = importlib.machinery.SourceFileLoader
    write = loader._cache_bytecode

    def write_settled(self: Any, source: str, cached: str, data: bytes) -> None:
        if time.time() - os.stat(source).st_mtime > _RECENT:
            write(self, source, cached, data)

    loader._cache_bytecode = write_settled


def _forget_application() -> None:
    """Have what the calling program has imported of the application loaded anew: the worker is a
    fork of it, and would serve that for ever.
    """
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None) or ""
        if path.endswith(".py") and _is_own(path) and name not in ("__main__", "__mp_main__"):
            del sys.modules[name]
