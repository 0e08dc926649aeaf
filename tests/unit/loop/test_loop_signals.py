"""Signals and the event loop of processes without asyncio."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest

from granite._core.loop import Flag, Loop
from tests.patience import PATIENCE


def test_signals(loop):
    seen: list[Any] = []
    before = signal.getsignal(signal.SIGUSR1)
    loop.add_signal_handler(signal.SIGUSR1, seen.append, "former")
    loop.add_signal_handler(signal.SIGUSR1, seen.append, "usr1")
    loop.add_signal_handler(signal.SIGUSR2, seen.append, "usr2")
    loop.call_soon(os.kill, os.getpid(), signal.SIGUSR1)
    assert loop.run_until(lambda: seen, PATIENCE)
    loop.call_soon(os.kill, os.getpid(), signal.SIGUSR2)
    assert loop.run_until(lambda: len(seen) == 2, PATIENCE)
    assert seen == ["usr1", "usr2"]
    assert loop.remove_signal_handler(signal.SIGUSR1) is True
    assert loop.remove_signal_handler(signal.SIGUSR1) is False
    assert signal.getsignal(signal.SIGUSR1) == before
    loop.close()
    assert signal.getsignal(signal.SIGUSR2) == signal.SIG_DFL
    assert signal.set_wakeup_fd(-1) == -1


def test_a_signal_ends_the_wait_whoever_sends_it(loop):
    seen: list[Any] = []
    loop.add_signal_handler(signal.SIGUSR1, seen.append, 1)
    child = subprocess.Popen(
        [sys.executable, "-c", f"import os; os.kill({os.getpid()}, {signal.SIGUSR1:d})"]
    )
    assert loop.run_until(lambda: seen, PATIENCE)
    child.wait()


def test_handlers_of_the_program_are_called_as_well(loop):
    flag = Flag()
    loop.add_signal_handler(signal.SIGUSR2, lambda: None)
    before = signal.signal(signal.SIGUSR1, lambda *_: flag.set())
    try:
        loop.call_soon(os.kill, os.getpid(), signal.SIGUSR1)
        assert loop.run_until(flag, PATIENCE)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_handler_that_raises(loop, caplog):
    """It is meant for a call that waits; where nothing does, the server goes on."""
    seen: list[Any] = []

    def alarm():
        signal.setitimer(signal.ITIMER_REAL, 0.001)

    def wait_in_vain():
        alarm()
        loop.run_until(Flag(), PATIENCE)

    def wait():
        with pytest.raises(TimeoutError):
            wait_in_vain()
        seen.append("told")

    def too_late(number, frame):
        if loop.is_running():
            raise TimeoutError
        alarm()  # it came while the test itself ran

    before = signal.signal(signal.SIGALRM, too_late)
    try:
        loop.add_signal_handler(signal.SIGUSR2, lambda: None)
        loop.call_soon(wait)
        assert loop.run_until(lambda: seen, PATIENCE)
        assert not caplog.records
        alarm()
        assert loop.run_until(lambda: caplog.records, PATIENCE)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert "exception in a signal's handler" in caplog.text


def test_a_handler_that_was_set_since_stays(loop):
    loop.add_signal_handler(signal.SIGUSR1, lambda: None)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    assert loop.remove_signal_handler(signal.SIGUSR1) is True
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_IGN
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)


def test_a_fork_of_the_application_may_be_ended(loop):
    """As multiprocessing does; the signal is none for the loop of its parent."""
    seen: list[Any] = []
    loop.add_signal_handler(signal.SIGTERM, seen.append, 1)
    pid = os.fork()
    if not pid:
        os.kill(os.getpid(), signal.SIGTERM)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM
    assert loop.run_until(lambda: seen, 0.01) is False


def test_another_wakeup_descriptor_stays(loop):
    """A program may run an event loop of its own meanwhile, which takes the place of this one."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    loop.add_signal_handler(signal.SIGUSR1, lambda: None)
    signal.set_wakeup_fd(writing)
    loop.close()
    assert signal.set_wakeup_fd(-1) == writing
    os.close(reading)
    os.close(writing)


def test_signals_belong_to_the_main_thread():
    failures: list[Exception] = []

    def run():
        loop = Loop()
        try:
            loop.add_signal_handler(signal.SIGUSR1, lambda: None)
        except ValueError as exc:
            failures.append(exc)
        finally:
            loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert len(failures) == 1
