"""Text for the terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from granite.cli import output


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("", 10, []),
        ("one two  three", 7, ["one two", "three"]),
        ("longer-than-that x", 5, ["longer-than-that", "x"]),
        ("a [default:\xa0b]", 12, ["a", "[default: b]"]),
    ],
)
def test_wrap(text, width, lines):
    assert output.wrap(text, width) == lines


def test_a_long_name_gets_its_own_line():
    assert list(output.entry("name", "text", 8)) == ["  name  text"]
    assert list(output.entry("name-x", "text", 8)) == ["  name-x", "        text"]


def test_a_reader_that_has_gone_is_no_error():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "granite", "settings"], stdout=write, stderr=subprocess.PIPE
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_width_of_what_is_no_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert output.width() == 80


def test_titles_are_bold_on_a_terminal():
    master, slave = pty.openpty()
    subprocess.run(
        [sys.executable, "-m", "granite", "settings", "workers"],
        stdout=slave,
        env={**os.environ, "TERM": "xterm"},
        check=True,
    )
    os.close(slave)
    shown = os.read(master, 10000)
    os.close(master)
    assert b"\x1b[1mworkers\x1b[0m" in shown


@pytest.mark.parametrize(("columns", "longest"), [(40, 60), (90, 90), (300, 100)])
def test_the_width_of_a_terminal(columns, longest):
    master, slave = pty.openpty()
    environ = {**os.environ, "COLUMNS": str(columns)}
    script = "from granite.cli.output import width; print(width())"
    subprocess.run([sys.executable, "-c", script], stdout=slave, env=environ, check=True)
    os.close(slave)
    assert int(os.read(master, 100)) == longest
    os.close(master)
