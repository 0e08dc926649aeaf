"""Who takes the lines of those who serve: a writer of granite's own, or `logging`."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from granite import log
from granite._core.errorlog import ErrorLog
from granite.settings.config import Config

ROOT = Path(log.__file__).parents[2]


def _run(body: str, settings: str = "") -> list[str]:
    """What a process that has not imported `logging` writes to its standard error."""
    code = (
        "import os, sys; from granite import log; from granite.settings.config import Config\n"
        "from granite._core.errorlog import error_log\n"
        f"log.configure(Config(log_color='never', {settings}))\n"
        f"{body}\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [line.partition("] ")[2] or line.strip() for line in done.stderr.splitlines()]


def test_lines_are_written_without_logging():
    assert _run(
        "error_log.error('%s is %d', 'one', 1); error_log.debug('not')\n"
        "error_log.detailed(30, 'with %s', 'more', details='first\\nsecond')\n"
        "try: 1 / 0\n"
        "except ZeroDivisionError as exc: error_log.error('raised', exc_info=exc)\n"
        "assert log.access_sink() is not None\n"
        "assert 'logging' not in sys.modules",
        "access_log=True",
    )[:5] == ["error: one is 1", "warning: with more", "first", "second", "error: raised"]


def test_from_its_import_on_logging_takes_them():
    assert _run(
        "sink = log.access_sink()\n"
        "import logging\n"
        "assert error_log.writer is None and log.access_sink() is sink\n"
        "assert logging.getLogger('granite').level == logging.WARNING\n"
        "logging.getLogger('granite.error').warning('one')\n"
        "error_log.warning('two'); error_log.info('not')\n"
        "error_log.detailed(40, 'three', details='')",
        "log_level='warning', access_log=True",
    ) == ["warning: one", "warning: two", "error: three"]


def test_files_are_reopened_by_either(tmp_path):
    path, moved = tmp_path / "log", tmp_path / "moved"
    _run(
        "error_log.error('one')\n"
        f"os.rename({str(path)!r}, {str(moved)!r}); log.reopen(); error_log.error('two')\n"
        "import logging\n"
        f"os.rename({str(path)!r}, {str(moved) + '2'!r}); log.reopen(); error_log.error('three')",
        f"log_file={str(path)!r}",
    )
    assert [file.read_text().split()[-1] for file in (moved, tmp_path / "moved2", path)] == [
        "one",
        "two",
        "three",
    ]


@pytest.mark.parametrize("details", ["", "first\nsecond"])
def test_details_stand_where_tracebacks_do(caplog, details):
    ErrorLog().detailed(logging.ERROR, "%s", "told", details=details)
    ErrorLog().detailed(logging.DEBUG, "%s", "not told", details=details)
    (record,) = caplog.records
    assert (record.name, record.getMessage(), record.exc_text) == (
        "granite.error",
        "told",
        details or None,
    )


def test_log_config_means_logging():
    config = "{'version': 1, 'disable_existing_loggers': False}"
    assert (
        _run("assert 'logging' in sys.modules and error_log.writer is None", f"log_config={config}")
        == []
    )


def test_the_default_level_is_that_of_the_settings():
    assert Config().log_level == "info"
    assert _run("error_log.info('one'); error_log.debug('two')") == ["info: one"]
