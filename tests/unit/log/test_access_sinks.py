"""What takes the lines of the access log: files, pipes, sockets, and whoever has a logger."""

from __future__ import annotations

import logging
import os

import pytest

from granite import log
from granite.access_log import access_log
from granite.log.sinks import FileSink, Sink, StreamSink
from granite.settings.config import Config


def test_the_sink_of_ours_is_found():
    log.configure(Config(access_log=True))
    assert isinstance(log.access_sink(), StreamSink)


@pytest.mark.parametrize("change", ["handler", "filter", "propagate", "level", "disabled"])
def test_what_others_have_configured_is_not_passed_over(change):
    log.configure(Config(access_log=True))
    logger = logging.getLogger("granite.access")
    if change == "handler":
        logger.addHandler(logging.NullHandler())
    elif change == "filter":
        logger.addFilter(lambda record: True)
    elif change == "propagate":
        logger.propagate = True
    elif change == "level":
        logger.setLevel(logging.WARNING)
    else:
        logger.disabled = True
    assert log.access_sink() is None
    assert access_log(Config(access_log=True), 1) is not None


@pytest.mark.parametrize("settings", [{}, {"access_log": True, "log": False}])
def test_off(settings):
    config = Config(**settings)
    log.configure(config)
    assert access_log(config, 1) is None


def test_lines_are_handed_to_a_sink_without_a_descriptor():
    seen = []

    class Mine(Sink):
        def write(self, level, line):
            seen.append((level, line))

    sink = Mine()
    assert sink.fileno() == -1
    sink.write_lines(b"a\nb\n")
    assert seen == [("info", "a"), ("info", "b")]


def test_reopening_writes_what_there_is_to_the_old_file(tmp_path):
    path = tmp_path / "log"
    sink = FileSink(str(path), None)
    calls = []

    class Writer:
        def flush(self):
            calls.append(os.fstat(sink.fileno()).st_ino)

        def reopened(self):
            calls.append(os.fstat(sink.fileno()).st_ino)

    sink.writer = Writer()
    old = path.stat().st_ino
    path.rename(tmp_path / "log.1")
    assert sink.reopen() is None
    assert calls == [old, path.stat().st_ino]
    sink.close()
