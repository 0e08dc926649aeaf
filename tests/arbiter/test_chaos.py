"""Workers that are killed, that crash and that are stopped, under load, while reloads are asked for
and clients behave badly.

`GRANITE_CHAOS` is the number of seconds for which that goes on.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import struct
import threading
import time
from pathlib import Path

import pytest

from tests.arbiter.asking import descriptors, until
from tests.arbiter.changing import hang_up, workers
from tests.arbiter.loads import Load
from tests.patience import PATIENCE

APPS = Path(__file__).parent
SECONDS = float(os.environ.get("GRANITE_CHAOS", "5"))
WORKERS = 4

RESET = struct.pack("ii", 1, 0)

# AddressSanitizer reports each fault, which would fail the run; also those of the interpreter, when
# it shows the stacks of a process that was interrupted where they are not in order.
CRASH, ABORT = (
    (signal.SIGKILL, signal.SIGKILL)
    if "ASAN_OPTIONS" in os.environ
    else (signal.SIGSEGV, signal.SIGABRT)
)


def be_rude(port: int, done: threading.Event, seed: int) -> None:
    """Come, send a part of something, and reset the connection."""
    chance = random.Random(seed)
    pieces = [b"", b"GET / HTTP/1.1\r\nHo", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0\xff" * 50]
    while not done.wait(0.002):
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            with contextlib.suppress(ConnectionError):  # its worker was killed just now
                client.sendall(chance.choice(pieces) * chance.randint(1, 3))


def eventually(condition, explain) -> None:
    try:
        until(condition)
    except AssertionError:
        raise AssertionError(explain()) from None


def zombies(parent: int) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, ppid = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if state == "Z" and int(ppid) == parent:
                found.append(entry.name)
    return found


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.parametrize("sockets", ["--reuse-port", "--no-reuse-port"])
def test_chaos(run_granite, tmp_path, sockets):
    path = tmp_path / "granite.sock"
    granite = run_granite(
        *("stuck_apps:app", sockets, "--workers", str(WORKERS), "--lifespan", "off"),
        *("--bind", "127.0.0.1:0", "--bind", f"unix:{path}", "--metrics", "--metrics-port", "0"),
        *("--worker-timeout", "2", "--workers-kill-timeout", "1", "--graceful-timeout", "3"),
        *("--max-requests", "3000", "--worker-start-timeout", "15"),
        cwd=APPS,
    )
    granite.may_fault = True
    arbiter = granite.process.pid
    hang_up(granite)
    # One for each worker: the former ones have been collected.
    until(lambda: sum("granite-report" in name for name in descriptors(arbiter)) == WORKERS)
    before = descriptors(arbiter)
    chance = random.Random(7)
    harmed: dict[int, float] = {}
    done = threading.Event()
    rude = [threading.Thread(target=be_rude, args=(granite.port, done, seed)) for seed in (1, 2)]
    for thread in rude:
        thread.start()
    try:
        with Load(granite.port, kept=4, coming=3) as load:
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                alive = workers(granite)
                number = chance.choice(
                    [signal.SIGKILL, CRASH, signal.SIGSTOP, signal.SIGHUP, signal.SIGHUP]
                )
                if number == signal.SIGHUP:
                    granite.signal(number)
                elif len(alive - set(harmed)) >= 2:  # somebody has to answer
                    victim = chance.choice(sorted(alive - set(harmed)))
                    harmed[victim] = time.monotonic()
                    with contextlib.suppress(ProcessLookupError):  # it was about to end
                        os.kill(victim, number)
                load.wait_for(20)
                done.wait(chance.random() * 0.5)
            load.wait_for(100)
    finally:
        done.set()
        for thread in rude:
            thread.join(PATIENCE)
    assert harmed
    assert {int(body) for _, body in load.answers} - set(harmed)
    # A connection that had no answer yet may have been accepted by a worker that was to die.
    unexplained = [
        loss
        for loss in load.lost
        if (loss.last is not None and int(loss.last) not in harmed)
        or (loss.last is None and not any(-0.5 < loss.at - at < 10 for at in harmed.values()))
    ]
    assert not unexplained, f"{unexplained}\nharmed: {harmed}\n{granite.output}"
    eventually(lambda: len(workers(granite)) == WORKERS, lambda: granite.output)
    eventually(lambda: not set(harmed) & workers(granite), lambda: (harmed, granite.output))
    eventually(lambda: descriptors(arbiter) == before, lambda: (before, descriptors(arbiter)))
    eventually(lambda: zombies(arbiter) == [], lambda: granite.output)
    assert "Traceback" not in granite.output
    assert granite.stop() == 0
    assert granite.members() == []
    assert not path.exists()
