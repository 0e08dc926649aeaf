"""The arbiter's writer and the worker's handlers write the same."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from granite import log
from granite.settings.config import Config
from tests.unit.log.records import access


@pytest.mark.parametrize(
    ("wish", "environ", "colored"),
    [
        ("auto", {}, False),  # no terminal
        ("auto", {"FORCE_COLOR": "1"}, True),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ("always", {"NO_COLOR": "1"}, True),
        ("never", {"FORCE_COLOR": "1"}, False),
    ],
)
def test_color(capfd, no_colors, wish, environ, colored):
    for name, value in environ.items():
        no_colors.setenv(name, value)
    log.Log(Config(log_color=wish)).error("x")
    assert ("] \x1b[31merror\x1b[0m: x" in capfd.readouterr().err) == colored


@pytest.mark.parametrize(("term", "colored"), [("xterm", True), ("dumb", False)])
def test_color_on_a_terminal(tmp_path, term, colored):
    script = "from granite import log, settings\nfrom granite.settings.config import Config\n"
    script += "log.Log(Config()).info('x')"
    ours, theirs = os.openpty()
    environ = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    environ |= {"TERM": term, "PYTHONPATH": str(Path(log.__file__).parents[2])}
    try:
        subprocess.run([sys.executable, "-c", script], env=environ, stderr=theirs, check=True)
        assert (b"\x1b[32minfo\x1b[0m: x" in os.read(ours, 4096)) == colored
    finally:
        os.close(ours)
        os.close(theirs)


def test_no_color_in_files(tmp_path):
    path = tmp_path / "log"
    log.Log(Config(log_file=str(path), log_color="always")).error("x")
    assert "\x1b" not in path.read_text()


@pytest.mark.parametrize("json_form", [False, True])
def test_both_writers_write_the_same(tmp_path, json_form):
    path = tmp_path / "log"
    config = Config(log_file=str(path), log_format="json" if json_form else "text")
    arbiter = log.Log(config)
    log.configure(config)
    for writer in (arbiter, logging.getLogger("granite.error")):
        writer.info("%s is %d", "one", 1)
        writer.info("%(a)s", {"a": "mapped"})
        writer.info("100%")
        writer.debug("unseen")
        try:
            raise ValueError("no\ngood")
        except ValueError as exc:
            writer.exception("caught")
            writer.warning("seen", exc_info=exc)
    lines = path.read_text().splitlines()
    half = len(lines) // 2

    def comparable(line):
        return {**json.loads(line), "time": ""} if json_form else line[20:]

    assert [*map(comparable, lines[:half])] == [*map(comparable, lines[half:])]
    assert "one is 1" in lines[0]
    assert "ValueError: no" in path.read_text()
    assert "unseen" not in path.read_text()


@pytest.mark.parametrize("form", ["text", "json", "log_config"])
def test_details_are_part_of_the_record(tmp_path, form):
    path = tmp_path / "log"
    config = Config(log_file=str(path), log_format="json" if form == "json" else "text")
    if form == "log_config":
        handlers = {"file": {"class": "logging.FileHandler", "filename": str(path)}}
        loggers = {"granite.error": {"handlers": ["file"]}}
        config = Config(log_config={"version": 1, "handlers": handlers, "loggers": loggers})
    log.Log(config).error("it failed", details="Traceback:\n  x\nE: y")
    written = path.read_text()
    if form == "json":
        record = json.loads(written)
        assert (record["message"], record["exception"]) == ("it failed", "Traceback:\n  x\nE: y")
    elif form == "text":
        assert written.endswith(" error: it failed\n  Traceback:\n    x\n  E: y\n")
    else:
        assert written == "it failed\nTraceback:\n  x\nE: y\n"


def test_the_arbiters_writer_never_raises(capfd):
    writer = log.Log(Config(log_level="debug"))
    writer.info("%d of %s", "one")
    writer.log(logging.WARNING, "by number")
    writer.log("critical", "by name")
    writer.warn("alias")
    writer.exception("nothing is handled")
    writer.debug(ValueError("an object"))
    lines = [line.partition("] ")[2] for line in capfd.readouterr().err.splitlines()]
    assert lines == [
        "info: %d of %s (its arguments do not fit: TypeError)",
        "warning: by number",
        "critical: by name",
        "warning: alias",
        "error: nothing is handled",
        "debug: an object",
    ]


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "critical"])
def test_level(capfd, level):
    config = Config(log_level=level)
    levels = ["debug", "info", "warning", "error", "critical"]
    log.configure(config)
    for writer in (log.Log(config), logging.getLogger("granite.error")):
        for name in levels:
            getattr(writer, name)("x")
    expected = levels[levels.index(level) :]
    lines = capfd.readouterr().err.splitlines()
    assert [line.split()[3].rstrip(":") for line in lines] == expected * 2


def test_access_text(capfd):
    log.configure(Config(access_log=True, log_level="critical"))
    access()
    access('/"x')
    out, err = capfd.readouterr()
    first, second = out.splitlines()
    assert first[20:] == '127.0.0.1:5 - "GET / HTTP/1.1" 200'
    assert second[20:] == '127.0.0.1:5 - "GET /\\"x HTTP/1.1" 200'
    assert err == ""


def test_access_json(capfd):
    log.configure(Config(access_log=True, log_format="json"))
    access('/"x?a=b')
    logging.getLogger("granite.access").info("somebody else's %s", "record")
    ours, other = map(json.loads, capfd.readouterr().out.splitlines())
    assert {**ours, "time": "", "pid": 0} == {
        "time": "",
        "level": "info",
        "pid": 0,
        "logger": "granite.access",
        "client": "127.0.0.1:5",
        "method": "GET",
        "target": '/"x?a=b',
        "protocol": "HTTP/1.1",
        "status": 200,
    }
    assert other["message"] == "somebody else's record"


@pytest.mark.parametrize(
    ("settings", "streams"),
    [
        ({}, ("a", "e")),
        ({"log_file": "stdout", "access_log_file": "stderr"}, ("e", "a")),
        ({"log_file": "/dev/stdout"}, ("ea", "")),
        ({"access_log": False}, ("", "e")),
        ({"log": False}, ("", "")),
    ],
)
def test_streams(capfd, settings, streams):
    log.configure(Config(**{"access_log": True, **settings}))
    logging.getLogger("granite.error").error("e")
    access()
    out, err = capfd.readouterr()
    found = tuple(
        "".join("a" if "GET" in line else line[-1] for line in stream.splitlines())
        for stream in (out, err)
    )
    assert found == streams


def test_other_loggers_stay_as_they_are(capfd):
    before = logging.root.handlers[:], logging.root.level
    log.configure(Config())
    log.configure(Config())
    assert (logging.root.handlers, logging.root.level) == before
    assert len(logging.getLogger("granite").handlers) == 1
    logging.getLogger("granite.anything").info("x")
    assert capfd.readouterr().err.count("info: x") == 1


def test_what_the_arbiters_writer_imports():
    code = (
        "import sys; from granite import log; from granite.settings.config import Config\n"
        "log.Log(Config()).info('x'); print(*sys.modules)"
    )
    root = Path(log.__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    loaded = set(run.stdout.split())
    assert "granite.log.writer" in loaded
    assert not loaded & {"logging", "json", "socket", "traceback", "granite.log.syslog"}
