"""How lines look."""

from __future__ import annotations

import json
import os
from datetime import datetime

import pytest

from granite.log.formats import JsonFormat, TextFormat, escape
from tests.unit.log.records import NOON


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain, ünïcödé, 日本", "plain, ünïcödé, 日本"),
        ("a\nb\r\tc\0", r"a\nb\r\tc\x00"),
        ("\x1b[31mred\x7f\x9b", r"\x1b[31mred\x7f\x9b"),
        ("line\u2028separator\x85", r"line\u2028separator\x85"),
        ("right\u202eleft", r"right\u202eleft"),
        ("lone \udc80", r"lone \udc80"),
    ],
)
def test_escape(text, escaped):
    assert escape(text) == escaped


def test_text(zone):
    zone("UTC")
    line = TextFormat().error("info", "granite.error", "hello", "", NOON)
    assert line == f"2026-11-21 12:00:00 [{os.getpid()}] info: hello"
    assert TextFormat().access('c - "GET / HTTP/1.1" 200', (), NOON) == (
        '2026-11-21 12:00:00 c - "GET / HTTP/1.1" 200'
    )


def test_nobody_forges_a_line_of_text():
    forged = "2026-11-21 01:23:00 [1] error: forged"
    details = f"Traceback:\n\tline\nValueError: x\r\n{forged}\n"
    first, *lines = (
        TextFormat().error("error", "granite.error", f"a\n{forged}", details, NOON).split("\n")
    )
    assert first.endswith(rf"error: a\n{forged}")
    assert lines == ["  Traceback:", "  \tline", r"  ValueError: x\r", f"  {forged}"]
    assert "\n" not in TextFormat().access("a\nb", (), NOON)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("UTC", "2026-11-21T12:00:00.250+00:00"),
        ("<+0530>-5:30", "2026-11-21T17:30:00.250+05:30"),
        ("<-0330>3:30", "2026-11-21T08:30:00.250-03:30"),
    ],
)
def test_json_time(zone, name, shown):
    zone(name)
    record = json.loads(JsonFormat().error("info", "granite.error", "x", "", NOON))
    assert record["time"] == shown
    assert datetime.fromisoformat(shown).timestamp() == NOON


def test_json():
    line = JsonFormat().error("error", "granite.error", 'a\n"b\udc80', "Traceback\nE\n", NOON)
    assert "\n" not in line
    assert line.isascii()
    record = json.loads(line)
    del record["time"]
    assert record == {
        "level": "error",
        "pid": os.getpid(),
        "logger": "granite.error",
        "message": 'a\n"b\udc80',
        "exception": "Traceback\nE",
    }
