"""Reloads and signals, deaths and refusals that come in between; what is left behind."""

from __future__ import annotations

import os
import pty
import re
import resource
import signal
import time
from pathlib import Path
from typing import BinaryIO

import pytest

from tests.arbiter.asking import until, wait_for_port
from tests.arbiter.changing import MODULE, hang_up, told, workers
from tests.arbiter.test_drain import HEAD, connect, read_response
from tests.granite_process import GraniteProcess

APPS = Path(__file__).parent


# several signals


def test_hang_ups_during_a_reload_make_one_more(changing):
    granite = changing.start("--workers", "2")
    changing.gate.touch()
    granite.signal(signal.SIGHUP)
    granite.wait_for("at the gate")
    for _ in range(3):
        hang_up(granite, "another reload follows the one that is under way, which waits for worker")
    changing.gate.unlink()
    granite.wait_for(r"reloaded(.|\n)*reloaded")
    assert granite.stop() == 0
    assert granite.output.count("info: reloading: one worker after the other") == 2
    assert granite.output.count("info: reloaded") == 2


def test_a_hang_up_during_the_start_reloads_after_it(changing):
    changing.gate.touch()
    granite = changing.start(ready=False)
    granite.wait_for("at the gate")
    granite.signal(signal.SIGHUP)
    changing.gate.unlink()
    granite.wait_for(r"listening on (.|\n)*reloading(.|\n)*reloaded")
    assert granite.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
@pytest.mark.parametrize("module", [MODULE, "from tests.arbiter.apps import starting as app"])
def test_an_end_during_a_reload(changing, number, module):
    granite = changing.start("--workers", "2")
    changing.write("", module)
    changing.gate.touch()
    granite.signal(signal.SIGHUP)
    granite.wait_for("at the gate|startup begun")
    granite.signal(signal.SIGHUP)
    granite.signal(number)
    assert granite.wait() == 0
    assert granite.members() == []
    assert "killed" not in granite.output
    assert "reloaded" not in granite.output
    assert "failed" not in granite.output


def test_the_whole_tree_hangs_up(run_granite):
    """A signal to the process group is one to the arbiter: the workers leave it to that."""
    granite = run_granite("apps:upload", cwd=APPS)
    with connect(granite) as client:
        client.sendall(HEAD + b"12")
        granite.wait_for("request begun")
        os.killpg(granite.process.pid, signal.SIGHUP)
        granite.wait_for("info: reloaded")
        client.sendall(b"345")
        assert read_response(client)[1] == b"uploaded"
    assert granite.stop() == 0


@pytest.mark.parametrize("closed", [True, False])
def test_a_terminal_that_closes_ends_the_server(changing, closed):
    # The launcher takes the terminal, as a shell does, so that its end is a signal to the group.
    code = (
        "import fcntl, os, sys, termios\n"
        "fcntl.ioctl(2, termios.TIOCSCTTY)\n"
        "from granite.cli import main; sys.exit(main())"
    )
    mine, theirs = pty.openpty()
    granite = GraniteProcess(
        *("run", "changing:app", "--port", "0"),
        cwd=changing.folder,
        launcher=("-c", f"import os; os.dup2({theirs}, 2); os.close({theirs})\n{code}"),
        pass_fds=(theirs,),
    )
    os.close(theirs)
    with open(mine, "rb", closefd=False) as screen:
        try:
            wait_for_line(screen, b"listening on")
            if not closed:
                granite.signal(signal.SIGHUP)
                wait_for_line(screen, b"reloaded")
                granite.signal(signal.SIGTERM)
                assert granite.wait() == 0
            os.close(mine)
            assert granite.wait() == 0
            assert granite.members() == []
        finally:
            granite.destroy()


def wait_for_line(screen: BinaryIO, text: bytes) -> None:
    while text not in screen.readline():
        pass


# workers that die meanwhile


def test_a_worker_that_dies_before_it_is_replaced(changing):
    granite = changing.start()
    (old,) = workers(granite)
    changing.gate.touch()
    changing.write("two")
    granite.signal(signal.SIGHUP)
    granite.wait_for("at the gate")
    os.kill(old, signal.SIGKILL)
    granite.wait_for(rf"pid {old}\) was killed by SIGKILL; its replacement is on the way")
    (new,) = workers(granite)
    changing.gate.unlink()
    assert told(granite) == ("two", new)
    granite.wait_for("info: reloaded")
    os.kill(new, signal.SIGKILL)
    granite.wait_for(rf"pid {new}\) was killed by SIGKILL; a new one starts now")
    assert granite.stop() == 0


def test_a_replacement_that_dies_before_it_is_ready(changing):
    granite = changing.start("--no-respawn-failed-workers")
    (old,) = workers(granite)
    changing.gate.touch()
    granite.signal(signal.SIGHUP)
    granite.wait_for("at the gate")
    (new,) = workers(granite) - {old}
    os.kill(new, signal.SIGKILL)
    granite.wait_for(rf"the reload failed.*\(pid {new}\) was killed by SIGKILL before it took over")
    assert told(granite) == ("one", old)
    assert granite.stop() == 0


def test_both_die(changing):
    """Then the slot is empty, and what filled it last has never been ready: nobody serves."""
    granite = changing.start()
    (old,) = workers(granite)
    changing.gate.touch()
    changing.write("two", MODULE + "\nraise ValueError('{text}')")
    granite.signal(signal.SIGHUP)
    granite.wait_for("at the gate")
    os.kill(old, signal.SIGKILL)
    granite.wait_for("its replacement is on the way")
    changing.gate.unlink()
    assert granite.wait() == 3
    assert granite.output.count("ValueError: two") == 1
    assert granite.members() == []


def test_both_die_while_another_one_serves(changing):
    """Then the reload has failed, and what is left is an empty slot."""
    granite = changing.start("--workers", "2", "--respawn-interval", "10ms")
    old = workers(granite)
    changing.gate.touch()
    changing.write("", MODULE + "\nraise ValueError('half a copy')")
    granite.signal(signal.SIGHUP)
    granite.wait_for("at the gate")
    os.kill(min(old), signal.SIGKILL)  # that of the first slot
    granite.wait_for(r"worker 1 \(pid \d+\) was killed by SIGKILL; its replacement is on the way")
    changing.gate.unlink()
    granite.wait_for("error: the reload failed, the workers that serve go on: cannot load")
    assert told(granite) == ("one", max(old))
    changing.write("two")
    granite.wait_for(r"info: worker 1 \(pid \d+\) is ready")
    hang_up(granite)
    assert told(granite)[0] == "two"
    until(lambda: len(workers(granite) - old) == 2)  # the one that was replaced ends a moment later
    assert granite.stop() == 0


def test_a_slot_that_waits_to_be_filled_is_filled(changing):
    granite = changing.start("--respawn-interval", "1h")
    for again in ("now", "in 3600 s"):
        (pid,) = workers(granite)
        told(granite)
        os.kill(pid, signal.SIGKILL)
        granite.wait_for(rf"\(pid {pid}\) was killed by SIGKILL; a new one starts {again}")
        if again == "now":
            told(granite)
    assert workers(granite) == set()
    changing.write("two")
    granite.signal(signal.SIGHUP)
    assert told(granite)[0] == "two"
    assert granite.stop() == 0


# what is left behind


def test_nothing_is_left_behind(changing):
    granite = changing.start("--workers", "2", "--access-log")
    hang_up(granite)
    pid = granite.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children")
    descriptors = Path(f"/proc/{pid}/fd")
    until(lambda: len(children.read_text().split()) == 2)
    before = len(list(descriptors.iterdir()))
    theirs = descriptors_of(workers(granite))
    for _ in range(5):
        changing.write("two")
        hang_up(granite)
        changing.write("", "not Python")
        hang_up(granite, "error: the reload failed")
    until(lambda: len(granite.members()) == 3)
    until(lambda: len(children.read_text().split()) == 2)
    until(lambda: len(list(descriptors.iterdir())) <= before)
    until(lambda: descriptors_of(workers(granite)) == theirs)
    assert granite.stop() == 0


def descriptors_of(pids: set[int]) -> list[int]:
    return sorted(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)


def test_a_system_that_refuses_a_fork(changing):
    granite = changing.start()
    pid = granite.process.pid
    taken = max(int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()) + 1
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (taken, limits[1]))
    granite.signal(signal.SIGHUP)
    granite.wait_for("the reload failed.*: cannot fork a worker: too many open files")
    assert told(granite)[0] == "one"
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    hang_up(granite)
    assert granite.stop() == 0


def test_the_logs_are_reopened(changing):
    log = changing.folder / "log"
    granite = changing.start("--log-file", str(log), "--workers", "2", ready=False)
    wait_for_port(log)
    log.rename(changing.folder / "log.1")
    granite.signal(signal.SIGHUP)
    until(lambda: log.exists() and "info: reloaded" in log.read_text())
    assert granite.stop() == 0
    assert "stopping" in log.read_text()
    assert "reloading" in (changing.folder / "log.1").read_text()


def test_a_worker_that_is_killed_while_it_starts_is_tried_again(changing):
    """It says nothing of the next one, although no other worker serves."""
    granite = changing.start()
    changing.gate.touch()
    os.kill(told(granite)[1], signal.SIGKILL)
    granite.wait_for("at the gate")
    (booting,) = workers(granite)
    os.kill(booting, signal.SIGKILL)
    granite.wait_for(r"error: worker 1 cannot start, the next attempt .* s: worker 1")
    changing.gate.unlink()
    assert told(granite)[0] == "one"
    assert granite.stop() == 0


@pytest.mark.slow
def test_new_settings_are_for_new_workers(changing):
    """A worker that was never told to speak is not judged by its silence."""
    config = changing.folder / "granite.conf.py"
    config.write_text("worker_timeout = 0\n")
    granite = changing.start("--workers", "2")
    old = workers(granite)
    changing.gate.touch()
    config.write_text("worker_timeout = 0.5\n")
    granite.signal(signal.SIGHUP)
    granite.wait_for("at the gate")
    end = time.monotonic() + 2  # longer than the timeout and the report
    while time.monotonic() < end:
        assert told(granite)[1] in old
        time.sleep(0.02)
    judged = re.findall(r"\(pid (\d+)\) has not answered", granite.output)
    assert not old & set(map(int, judged))
    changing.gate.unlink()
    granite.wait_for("info: reloaded")
    assert granite.stop() == 0


def test_workers_that_come_with_a_reload_start_once(changing):
    config = changing.folder / "granite.conf.py"
    config.write_text("workers = 1\n")
    granite = changing.start()
    config.write_text("workers = 3\n")
    hang_up(granite)
    for index in (2, 3):  # which the reload does not wait for
        granite.wait_for(rf"worker {index} \(pid \d+\) is ready")
    until(lambda: len(workers(granite)) == 3)
    granite.wait_for("as the settings say: from 1 to 3 workers")
    assert granite.output.count("shutdown ran") == 1
    assert granite.stop() == 0
    assert granite.output.count("shutdown ran") == 4


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("wrokers = 2", "unknown"),
        ("workers = 'many'", "workers"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise BaseException", "BaseException"),
    ],
)
def test_settings_that_are_wrong_leave_everything_as_it_was(changing, text, reason):
    config = changing.folder / "granite.conf.py"
    config.write_text("workers = 2\n")
    granite = changing.start()
    old = workers(granite)
    config.write_text(text + "\n")
    hang_up(granite, "error: not reloaded, the workers that serve go on: the settings are wrong")
    granite.wait_for(f"error: the settings stay as they were: .*{reason}")
    assert workers(granite) == old
    assert told(granite)[0] == "one"
    assert granite.stop() == 0
