"""granite as the suites meet it: a process with one worker, that answers and reads bodies."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from granite.local_authority import LocalCertificate
from tests.conformance.model import Case
from tests.granite_process import GraniteProcess

_BODY = b"Hello, world!\n" * 8


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Read the body and say hello."""
    while (message := await receive()).get("more_body"):
        pass
    if message["type"] == "http.disconnect":
        return
    fields = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(_BODY))]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": _BODY})


def wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Read the body and say hello."""
    environ["wsgi.input"].read()
    fields = [("Content-Type", "text/plain"), ("Content-Length", str(len(_BODY)))]
    start_response("200 OK", fields)
    return [_BODY]


def certificate(work: Path) -> LocalCertificate:
    """A certificate for 127.0.0.1 and localhost, and the authority that a client has to trust."""
    made = LocalCertificate(work)
    made.write()
    return made


@contextmanager
def served(*arguments: str, app: str = "asgi") -> Iterator[int]:
    """A granite process; the value is its port. What it says is shown if the suite fails."""
    process = GraniteProcess(
        *("run", f"{__name__}:{app}", "--interface", app, "--port", "0", "--lifespan", "off"),
        *arguments,
        patient=False,
    )
    try:
        yield int(process.wait_for(r"listening on https?://\S+:(\d+)")[1])
        process.stop()
    finally:
        process.destroy()


def side_by_side(*runs: Iterator[Case]) -> Iterator[Case]:
    """The cases of each run in turn, all made at once: suites wait most of the time."""
    with ThreadPoolExecutor(len(runs)) as pool:
        for cases in pool.map(list[Case], runs):
            yield from cases
