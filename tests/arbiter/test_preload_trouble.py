"""Templates that die, hang and lie, and workers that die meanwhile."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.arbiter.asking import descriptors, title, until
from tests.arbiter.changing import hang_up, workers
from tests.arbiter.loads import Load
from tests.arbiter.preloading import (
    MODULE,
    answer,
    served_by,
    template,
    text,
)
from tests.arbiter.test_chaos import ABORT, eventually, zombies
from tests.arbiter.test_recycling import ask
from tests.granite_process import with_constant

APPS = Path(__file__).parent


def test_the_template_may_die(preload):
    granite = preload("--workers", "2")
    pids, first = set(served_by(granite, 2)), template(granite)
    os.kill(first, signal.SIGKILL)
    granite.wait_for(r"the template \(pid \d+\) was killed by SIGKILL; a new one starts when")
    assert set(served_by(granite, 2)) == pids
    assert workers(granite) == pids
    os.kill(min(pids), signal.SIGKILL)
    granite.wait_for("is ready\n")
    assert template(granite) != first
    assert granite.stop() == 0


def test_code_that_does_not_load_any_more_when_the_template_has_died(preload):
    granite = preload("--workers", "2")
    pids = set(served_by(granite, 2))
    os.kill(template(granite), signal.SIGKILL)
    preload.write("", "not Python")
    os.kill(min(pids), signal.SIGKILL)
    granite.wait_for("cannot start, the next attempt follows in .* the others serve: cannot load")
    assert served_by(granite, 1)
    preload.write("two")
    granite.wait_for("is ready\n")
    assert {said[0] for said in served_by(granite, 2).values()} == {"one", "two"}
    assert granite.stop() == 0


@pytest.mark.slow
def test_a_template_that_does_not_answer_is_killed(preload):
    granite = preload("--workers", "2", launcher=with_constant("templates._ANSWER", 3.0))
    first = template(granite)
    os.kill(first, signal.SIGSTOP)
    os.kill(min(served_by(granite, 2)), signal.SIGKILL)
    granite.wait_for(r"warning: the template \(pid \d+\) does not answer and is killed")
    granite.wait_for("is ready\n")
    assert template(granite) != first
    assert len(served_by(granite, 2)) == 2
    assert granite.stop() == 0


def test_templates_and_workers_that_die_at_any_time(run_granite):
    arguments = ("--preload", "--workers", "3", "--lifespan", "off", "--respawn-interval", "0")
    granite = run_granite("stuck_apps:app", *arguments, cwd=APPS)
    granite.may_fault = True
    hang_up(granite)
    until(lambda: len([d for d in descriptors(granite.process.pid) if "report" in d]) == 4)
    before = descriptors(granite.process.pid)
    survivor = ask(granite)  # without one that serves, a worker that cannot start is the end
    chance = random.Random(3)
    for _ in range(60):
        victims = sorted(workers(granite) - {survivor})
        if victims:
            number = chance.choice((signal.SIGKILL, ABORT, signal.SIGTERM))
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(victims), number)
        time.sleep(chance.random() * 0.05)
    until(lambda: "the template" in granite.output)
    hang_up(granite)
    until(lambda: len(workers(granite)) == 4)
    eventually(
        lambda: descriptors(granite.process.pid) == before,
        lambda: (before, descriptors(granite.process.pid), granite.output),
    )
    eventually(lambda: zombies(granite.process.pid) == [], lambda: granite.output)
    assert "Traceback" not in granite.output
    assert granite.stop() == 0
    granite.wait_gone()


def test_templates_that_die_while_reloads_are_asked_for(preload):
    granite = preload("--workers", "2")
    chance = random.Random(3)
    for _ in range(10):
        granite.signal(signal.SIGHUP)
        time.sleep(chance.random() * 0.3)
        for pid in workers(granite):
            with contextlib.suppress(OSError):
                if title(pid).startswith("granite: template"):
                    os.kill(pid, signal.SIGKILL)
    preload.write("two")
    until(lambda: not granite.signal(signal.SIGHUP) and text(granite) == "two")
    eventually(lambda: "two" in served_by(granite, 2).popitem()[1], lambda: granite.output)
    eventually(lambda: zombies(granite.process.pid) == [], lambda: granite.output)
    assert "Traceback" not in granite.output
    assert granite.stop() == 0
    granite.wait_gone()


@pytest.mark.slow
def test_what_applications_have_started_is_collected_when_it_ends(preload):
    """A worker that ends while another one is made leaves its children to the arbiter."""
    granite = preload("--workers", "4")
    code = "__import__('subprocess').Popen(['sleep','1.5'])"
    for _ in range(5):
        for _ in range(6):
            answer(granite, code)
        hang_up(granite)
    arbiter = granite.process.pid
    until(lambda: len(workers(granite)) == 5)
    until(lambda: zombies(arbiter) == [])
    assert "Traceback" not in granite.output
    assert granite.stop() == 0


SEND = """
import stat
def send(kind, payload):
    frame = kind + bytes(1) + len(payload).to_bytes(4, "big") + payload
    for fd in range(3, 30):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                os.write(fd, frame)
        except OSError:
            pass
"""
NOT_ASKED = """
for kind in (b"P", b"O", b"D", b"R", b"?"):
    for payload in (b"", b"1", b"-1 -1", b"\\xff" * 9, b"9" * 30):
        send(kind, payload)
"""


def test_messages_that_nobody_has_asked_for(preload):
    granite = preload("--workers", "2", module=MODULE + SEND + NOT_ASKED, ready=False)
    until(lambda: "listening on" in granite.output or granite.process.poll() is not None)
    assert "Traceback" not in granite.output
    granite.signal(signal.SIGTERM)
    assert granite.wait() in (0, 1)
    granite.wait_gone()


@pytest.mark.parametrize("named", ["1 1", "-1 -1", "0 0", "", "x y", "9999999999999999 1"])
def test_a_template_that_names_other_processes(preload, named):
    code = f"os.register_at_fork(before=lambda: send(b'P', b'{named}'))\n"
    granite = preload("--workers", "2", module=MODULE + SEND + code, ready=False)
    assert granite.wait() == 1
    assert "names a process that is none of its, and is killed" in granite.output
    assert "Traceback" not in granite.output
    granite.wait_gone()


def test_a_template_that_names_a_worker(preload):
    code = """
def lie():
    if os.path.exists("victim"):
        send(b"P", b"%d %d" % ((int(open("victim").read()),) * 2))
os.register_at_fork(before=lie)
"""
    granite = preload("--workers", "2", module=MODULE + SEND + code)
    named, killed = sorted(served_by(granite, 2))
    (preload.folder / "victim").write_text(str(named))
    os.kill(killed, signal.SIGKILL)
    granite.wait_for("names a process that is none of its, and is killed")
    (preload.folder / "victim").unlink()
    until(lambda: len(workers(granite)) == 3)
    assert named in served_by(granite, 2)
    assert granite.stop() == 0


def test_all_workers_are_taken_away_during_a_reload(preload):
    granite = preload("--workers", "2")
    (preload.folder / "gate").touch()
    preload.write("two")
    granite.signal(signal.SIGHUP)
    until(lambda: granite.output.count("imported by") == 2)
    granite.signal(signal.SIGWINCH)
    granite.wait_for("the reload is over: there is no worker to replace any more")
    granite.signal(signal.SIGTTIN)
    until(lambda: text(granite) == "one")
    assert granite.output.count("imported by") == 2
    (preload.folder / "gate").unlink()
    hang_up(granite)
    until(lambda: text(granite) == "two")
    assert granite.stop() == 0


@pytest.mark.slow
def test_nothing_is_lost(run_granite):
    arguments = ("--preload", "--workers", "2", "--lifespan", "off", "--max-requests", "60")
    granite = run_granite("stuck_apps:app", *arguments, cwd=APPS)
    with Load(granite.port, kept=4, coming=2) as load:
        for _ in range(5):
            hang_up(granite)
            load.wait_for(60)
        while granite.output.count("it has served max_requests") < 4:
            load.wait_for(20)
    assert load.lost == []
    assert granite.stop() == 0
