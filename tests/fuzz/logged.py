"""What the access log says of broken messages: each line is a JSON object in ASCII, there is one
for each answer, and what it tells of a request came on that request's connection.

Owns the lines of one server and what is known of its connections. Must not know how messages are
broken. The server's thread writes, the test's reads when the server has ended.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from granite._core.accesslog import AccessLog
from granite.settings.access_format import compile_format
from tests.wire.client import Talk

__all__ = ["Lines", "logged"]

_SENT = "method", "path", "query_string", "http_version", "user_agent", "{host}i"
_FORM = " ".join(f"%({atom})s" for atom in ("client_port", "status", "aborted", "user", *_SENT))
# What an application sees where the target has no path.
_NO_PATH = b"/", b"*"


class Lines:
    """Where the lines of a server go, and what they have to say."""

    stamps = False

    def __init__(self) -> None:
        self._data = b""
        self._talks: dict[int, list[tuple[Talk, list[list[int]]]]] = {}

    def fileno(self) -> int:
        return -1

    def write_lines(self, lines: bytes) -> None:
        self._data += lines

    def expect(self, talk: Talk, *answers: list[int]) -> None:
        """A connection and what the statuses of the whole responses on it may have been."""
        self._talks.setdefault(talk.port, []).append((talk, list(answers)))

    def faults(self, *, ports: bool) -> Iterator[tuple[str, bytes]]:
        """What is wrong, and what was sent then. With `ports` the lines name those of the
        connections, and not what some proxy tells.
        """
        by_port: dict[int, list[dict]] = {}
        for line in self._data.decode("ascii").splitlines():
            record = json.loads(line)
            by_port.setdefault(record["client_port"], []).append(record)
        for port, talks in self._talks.items() if ports else ():
            sent = b"".join(talk.data for talk, _ in talks)
            records = by_port.pop(port, [])
            answered = [record["status"] for record in records if not record["aborted"]]
            # A port may have served twice, and a reset may have eaten answers.
            talk, answers = talks[-1]
            whole = talk.outcome == "eof" and talk.pieces
            if len(talks) == 1 and whole and answered not in answers:
                yield f"answered {answers}, logged {records}", sent
            for record in records:
                yield from ((what, sent) for what in _untrue(record, sent))
        if ports and by_port:
            yield f"logged of nobody: {by_port}", b""


def _untrue(record: dict, sent: bytes) -> Iterator[str]:
    for atom in _SENT:
        value = (record[atom] or "").encode("latin-1")
        if value not in sent and not (atom == "path" and value in _NO_PATH):
            yield f"{atom} {value!r} was not sent: {record}"


@contextmanager
def logged() -> Iterator[Lines]:
    """The lines of the server that is started within."""
    lines = Lines()
    made = AccessLog(compile_format(_FORM, json=True), sink=lines)
    with mock.patch("granite.serving.access_log", return_value=made):
        yield lines
