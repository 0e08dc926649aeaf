"""Where `Granite(...).serve()` runs, and what it leaves as it was."""

from __future__ import annotations

import signal

import httpx
import pytest

from tests.arbiter.granite_class.programs import USUAL, said

SERVE = f"""
if __name__ == "__main__":
    server = Granite("program:app", workers=2, **{USUAL})
    server.serve()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serves_until_a_signal(run_program, number):
    process = run_program(SERVE)
    assert httpx.get(process.url("/x")).text == "/x"
    process.signal(number)
    assert process.wait() == 0
    process.wait_gone()
    assert "Traceback" not in process.output


def test_what_surrounds_serve_runs_once(run_program):
    process = run_program(
        f"""
atexit.register(say, "exits")  # in each process that executes the module
if __name__ == "__main__":
    atexit.register(say, "exits as main")
    server = Granite("program:app", workers=2, **{USUAL})

    @server.on_startup
    def first():
        say("first")

    @server.on_startup
    def second():
        say("second")

    @server.on_reload
    def reload():
        say("reload")

    @server.on_shutdown
    def shut_down():
        say("shutdown")

    say("before")
    with around("with"):
        server.serve()
        say("behind")
"""
    )
    assert process.stop() == 0
    lines = said(process)
    # program.py is executed once more in each worker, as the module `program`, where ARBITER is
    # the worker's own process id.
    assert sorted(lines[3:5]) == ["arbiter exits", "arbiter exits"]
    assert lines[:3] + lines[5:] == [
        "arbiter before",
        "arbiter first",
        "arbiter second",
        "arbiter shutdown",
        "arbiter behind",
        "arbiter left with",
        "arbiter exits as main",
        "arbiter exits",
    ]


def test_a_worker_ends_like_a_program(run_program):
    """Exit functions of the application run, threads are waited for, output is flushed."""
    process = run_program(
        """
if __name__ == "__main__":
    atexit.register(say, "exits")
    import logging, multiprocessing.util, threading  # which have exit functions

    def load():
        def linger():
            stop.wait(60)
            say("thread ended")

        stop = threading.Event()
        threading.Thread(target=linger).start()
        atexit.register(say, "application exits")

        async def lifespan(scope, receive, send):
            if scope["type"] == "lifespan":
                await receive()
                await send({"type": "lifespan.startup.complete"})
                await receive()
                stop.set()
                sys.stdout.write("[worker unflushed]\\n")
                await send({"type": "lifespan.shutdown.complete"})

        return lifespan

    Granite("program:app", port=0).serve(target_loader=load, wrap_loader=False)
"""
    )
    assert process.stop() == 0
    assert sorted(said(process)[:-1]) == [
        "worker application exits",
        "worker thread ended",
        "worker unflushed",
    ]
    assert said(process)[-1] == "arbiter exits"


@pytest.mark.parametrize(
    ("arguments", "called"),
    [
        ("target_loader=load", "('the target',)"),
        ("target_loader=load, wrap_loader=False", "()"),
    ],
)
def test_target_loader(run_program, arguments, called):
    process = run_program(
        f"""
Granite("the target", **{USUAL}).serve({arguments})
"""
    )
    assert httpx.get(process.url("/x")).text == "/x"
    assert process.stop() == 0
    assert said(process) == [f"worker loads {called}"]


def test_signals_and_the_wakeup_descriptor_are_given_back(run_program):
    process = run_program(
        f"""
def handler(number, frame):
    say(f"got {{signal.Signals(number).name}}")

if __name__ == "__main__":
    import gc
    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD, signal.SIGINT)
    for number in numbers:
        signal.signal(number, handler)
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write)
    descriptors = os.listdir("/proc/self/fd")
    for _ in range(2):  # a program may serve again
        Granite("program:app", **{USUAL}).serve()
        assert all(signal.getsignal(number) is handler for number in numbers)
        assert os.listdir("/proc/self/fd") == descriptors
        assert gc.get_freeze_count() == 0
        say("served")
    assert signal.set_wakeup_fd(-1) == write
    os.kill(os.getpid(), signal.SIGTERM)
"""
    )
    process.signal(signal.SIGTERM)
    process.wait_for(r"served\][^$]*listening on ")
    assert process.stop() == 0
    assert said(process) == ["arbiter served", "arbiter served", "arbiter got SIGTERM"]


def test_a_program_with_an_event_loop_and_threads(run_program):
    process = run_program(
        f"""
if __name__ == "__main__":
    import asyncio, threading
    asyncio.run(asyncio.sleep(0))
    done = threading.Event()
    threading.Thread(target=done.wait, name="of the program").start()
    Granite("program:app", **{USUAL}).serve()
    done.set()
    asyncio.run(asyncio.sleep(0))
    say("behind")
"""
    )
    assert httpx.get(process.url("/x")).text == "/x"
    assert process.stop() == 0
    assert said(process) == ["arbiter behind"]
    assert "warning: threads run in this program (of the program)" in process.output
    assert "DeprecationWarning" not in process.output
