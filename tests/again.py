"""`pytest --again N`: a failure that does not come again is told, and does not fail the run.

Of many thousand tests with real processes one may fail because the machine stood still. Tests that
failed run N times more, when nothing runs beside them, and have to pass each time. Where more than
MOST failed, or what failed is no test (a test process that crashed, a module that cannot be
imported), or the run did not come to its end, it has failed.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

MOST = 3


class Again:
    """The failures of a run, and what became of them."""

    def __init__(self, times: int) -> None:
        self._times = times
        self._failed: list[str] = []
        self._is_final = False  # no repetition changes it
        self._told = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and report.nodeid not in self._failed:
            self._failed.append(report.nodeid)
        if report.failed and report.when not in ("setup", "call", "teardown"):
            self._is_final = True

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._is_final |= report.failed

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if session.exitstatus != pytest.ExitCode.TESTS_FAILED or self._is_final:
            return
        if session.shouldfail or session.shouldstop or not 0 < len(self._failed) <= MOST:
            return
        options = ("--numprocesses", "0", "--again", "0")
        command = [sys.executable, "-m", "pytest", *options, *self._failed]
        for number in range(1, self._times + 1):
            done = subprocess.run(
                command,
                cwd=session.config.rootpath,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                self._told = f"{done.stdout}{done.stderr}\nfailed again, in run {number}"
                return
        self._told = f"did not fail in {self._times} runs by themselves: " + ", ".join(self._failed)
        session.exitstatus = pytest.ExitCode.OK

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._told:
            terminalreporter.section("again")
            terminalreporter.line(self._told)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--again", type=int, default=0, metavar="N", help="run tests that failed N times more"
    )


def pytest_configure(config: pytest.Config) -> None:
    # Where there are several processes, in the one that is told by all of them.
    if config.getoption("--again") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Again(config.getoption("--again")), "again")
