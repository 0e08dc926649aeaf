"""Responses drawn at random: an application that sends messages in any order, and what its client
may make of them.

Owns the messages, the application and the check. Must not know how rounds are run. The application
runs on the server's thread; the test's thread looks when the connections have ended.
"""

from __future__ import annotations

import asyncio
import random
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.fuzz.apps import answers_at_once
from tests.wire.client import Response, Talk, split_responses

__all__ = ["Conversation", "Failure", "Improvising"]

_STATUSES = 200, 200, 200, 201, 204, 205, 206, 304, 404, 426, 500, 103
_FIELDS = (
    *((b"content-length", size) for size in (b"0", b"1", b"5", b"10", b"30000", b"x")),
    *((b"connection", b"close"), (b"connection", b"upgrade"), (b"upgrade", b"h2c"), (b"te", b"x")),
    *(
        (b"transfer-encoding", b"chunked"),
        (b"trailer", b"x-end"),
        (b"date", b"now"),
        (b"a", b"b\n"),
    ),
)
_SIZES = 0, 0, 1, 5, 5, 10, 10_000, 30_000, 70_000
_NO_CONTENT = 204, 205, 304
_CONTENT = bytes(range(256)) * 200
_STATUS = re.compile(rb"(?:HTTP/1\.1 103 [^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n)*HTTP/1\.1 (\d{3})")


@dataclass
class _Answer:
    """What an application has sent of one response, as far as it was accepted."""

    status: int = 0
    body: bytes = b""
    started: bool = False
    trailing: bool = False
    declared: int = -1
    complete: bool = False

    @property
    def whole(self) -> bool:
        """Whether nothing that was announced is missing."""
        return self.complete and self.declared <= len(self.body)


@dataclass
class Improvising:
    """An application that makes each answer of the path of its request, and of nothing else."""

    seed: str
    answers: dict[str, _Answer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as requests may come)
        self._file.write(_CONTENT)
        self._file.flush()

    def close(self) -> None:
        """No request comes any more."""
        self._file.close()

    async def __call__(self, scope, receive, send) -> None:
        if scope["path"] == "/":
            await answers_at_once(scope, receive, send)
            return
        rng = random.Random(f"{self.seed} {scope['path']}")
        answer = self.answers[scope["path"]] = _Answer()
        catches, more = rng.random() < 0.7, True
        for message in self._messages(rng, scope["path"]):
            if message is None:
                await asyncio.sleep(0)
            elif message == "receive":
                if more:  # what comes behind the body is the client's end, and would be waited for
                    more = (await receive()).get("more_body", False)
            elif message == "raise":
                raise Failure
            else:
                try:
                    await send(message)
                except RuntimeError:
                    if not catches:
                        raise Failure from None
                else:
                    _note(answer, message)

    def _messages(self, rng: random.Random, path: str):
        if rng.random() < 0.9:
            yield from ["receive"] * rng.choice((0, 0, 1))
            yield self._start(rng, path)
        for _ in range(rng.randrange(6)):
            draw = rng.random()
            if draw < 0.5:
                yield {
                    "type": "http.response.body",
                    "body": bytes(rng.choice(_SIZES)),
                    "more_body": rng.random() < 0.6,
                }
            elif draw < 0.6:
                yield {
                    "type": "http.response.zerocopysend",
                    "file": self._file.fileno(),
                    "offset": rng.randrange(100),
                    "count": rng.choice(_SIZES[:-1]),
                    "more_body": rng.random() < 0.6,
                }
            elif draw < 0.65:
                yield {"type": "http.response.early_hint", "links": [b"</a>"]}
            elif draw < 0.7:
                yield {
                    "type": "http.response.trailers",
                    "headers": [(b"x-end", b"1")],
                    "more_trailers": rng.random() < 0.3,
                }
            elif draw < 0.75:
                yield self._start(rng, path)
            elif draw < 0.78:
                yield "raise"
            elif draw < 0.82:
                yield "receive"
            else:
                yield None
        if rng.random() < 0.6:
            yield {"type": "http.response.body", "body": b"end"}

    def _start(self, rng: random.Random, path: str) -> dict:
        fields = [(b"x-path", path.encode())]
        fields += rng.sample(_FIELDS, rng.choice((0, 0, 0, 1, 1, 2)))
        return {
            "type": "http.response.start",
            "status": rng.choice(_STATUSES),
            "headers": fields,
            "trailers": rng.random() < 0.15,
        }


class Failure(Exception):  # noqa: N818
    """The application's."""


def _note(answer: _Answer, message: dict) -> None:
    kind = message["type"].rpartition(".")[2]
    if kind == "start":
        answer.started, answer.status = True, message["status"]
        answer.trailing = message["trailers"]
        answer.declared = int(dict(message["headers"]).get(b"content-length", b"-1"))
    elif kind == "body":
        answer.body += message["body"]
        answer.complete = not message.get("more_body") and not answer.trailing
    elif kind == "zerocopysend":
        at = message["offset"]
        answer.body += _CONTENT[at : at + message["count"]]
        answer.complete = not message.get("more_body") and not answer.trailing
    elif kind == "trailers":
        answer.complete = not message["more_trailers"]


_HEADS = (
    b"GET %b HTTP/1.1\r\nHost: a\r\n",
    b"GET %b HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n",
    b"HEAD %b HTTP/1.1\r\nHost: a\r\n",
    b"GET %b HTTP/1.0\r\nConnection: keep-alive\r\n",
    b"GET %b HTTP/1.0\r\n",
)
_POSTS = (
    b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n",
    b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n",
    b"POST %b HTTP/1.0\r\nContent-Length: 3\r\nConnection: keep-alive\r\n",
)


@dataclass
class Conversation:
    """Requests in a row on one connection, whose paths begin with `name`."""

    talk: Talk
    methods: list[str]
    paths: list[str]

    @classmethod
    def drawn(cls, name: str, rng: random.Random) -> Conversation:
        data, methods, paths = b"", [], []
        for number in range(rng.randrange(1, 5)):
            has_body = rng.random() < 0.3
            head = rng.choice(_POSTS if has_body else _HEADS)
            paths.append(f"{name}/{number}")
            methods.append(head.split(b" ")[0].decode())
            data += head % paths[-1].encode() + b"\r\n" + (b"abc" if has_body else b"")
        return cls(Talk(data, ends=True), methods, paths)

    def statuses(self) -> list[list[int]]:
        """Those of the answers that have come, without and with the last: it may be none, or one
        whose application has failed behind the last byte that was announced.
        """
        responses, rest = split_responses(self.talk.received, self.methods)
        whole = [response.status for response in responses]
        begun = _STATUS.match(rest)
        return [whole[:-1], whole, [*whole, int(begun[1])]] if begun else [whole[:-1], whole]

    def faults(self, app: Improvising) -> Iterator[str]:
        """What the client has been told wrongly."""
        responses, rest = split_responses(self.talk.received, self.methods)
        if len(responses) > len(self.paths):
            yield "more answers than requests"
            return
        for method, path, response in zip(self.methods, self.paths, responses, strict=False):
            yield from _wrong(method, path, response, app.answers.get(path))
        whole = self.talk.outcome == "eof" and self.talk.pieces  # nothing was lost to a reset
        stays = not responses or response.headers.get(b"connection", b"")[:5] != b"close"
        if whole and len(responses) < len(self.paths) and stays:
            path = self.paths[len(responses)]
            yield from _wrong_end(path, rest, app.answers.get(path))
        elif rest and not stays:
            yield "something follows the last response"


def _wrong(method: str, path: str, response: Response, answer: _Answer | None) -> Iterator[str]:
    if answer is None:
        yield f"{path}: answered, and not asked"
    elif b"x-path" not in response.headers:
        if response.status != 500 or answer.complete:
            yield f"{path}: {response.status} of nobody, while {answer.status} was sent"
    elif response.headers[b"x-path"] != path.encode() or response.status != answer.status:
        yield f"{path}: the answer is another's"
    elif method != "HEAD" and response.status not in _NO_CONTENT:
        declared = response.headers.get(b"content-length") == b"%d" % len(answer.body)
        if not answer.whole and not declared:
            yield f"{path}: looks complete, and is not"
        if response.body != answer.body:
            yield f"{path}: {len(answer.body)} bytes were sent, {len(response.body)} came"


def _wrong_end(path: str, rest: bytes, answer: _Answer | None) -> Iterator[str]:
    """The connection has ended inside this answer, or before it."""
    if answer is not None and answer.whole:
        head, _, body = rest.partition(b"\r\n\r\n")
        if b"\r\ncontent-length:" in head or b"chunked" in head or body != answer.body:
            yield f"{path}: the answer is complete, and did not come: {rest[:200]!r}"
