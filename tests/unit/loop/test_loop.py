"""The event loop of processes and threads without asyncio."""

from __future__ import annotations

import contextvars
import logging
import os
import signal
import socket
import threading
import time
from typing import Any

import pytest

from granite._core.loop import Flag, Loop
from tests.patience import PATIENCE


def test_what_is_ready_is_called_in_order(loop):
    seen: list[Any] = []
    for number in range(3):
        loop.call_soon(seen.append, number)
    loop.turn()
    assert seen == [0, 1, 2]


def test_what_gets_ready_meanwhile_waits_for_the_next_turn(loop):
    seen: list[Any] = []

    def first():
        seen.append(1)
        loop.call_soon(seen.append, 2)

    loop.call_soon(first)
    loop.turn()
    assert seen == [1]
    loop.turn()
    assert seen == [1, 2]


def test_cancelled(loop):
    seen: list[Any] = []
    loop.call_soon(seen.append, 1).cancel()
    loop.call_later(0.0, seen.append, 2).cancel()
    last = loop.call_later(0.0, seen.append, 3)
    assert loop.run_until(lambda: seen, PATIENCE)
    last.cancel()
    last.cancel()
    assert seen == [3]


def test_timers_come_in_their_order(loop):
    seen: list[Any] = []
    now = loop.time()
    for delay in (0.03, 0.01, 0.02):
        loop.call_at(now + delay, seen.append, delay)
    assert loop.run_until(lambda: len(seen) == 3, PATIENCE)
    assert seen == [0.01, 0.02, 0.03]
    assert loop.time() >= now + 0.03


def test_timers_of_one_time_come_as_they_were_armed(loop):
    seen: list[Any] = []
    now = loop.time()
    for number in range(3):
        loop.call_at(now, seen.append, number)
    assert loop.run_until(lambda: len(seen) == 3, PATIENCE)
    assert seen == [0, 1, 2]


def test_a_timer_that_arms_itself_for_the_past_leaves_the_turn(loop):
    calls = []

    def again():
        calls.append(1)
        loop.call_at(0.0, again)

    loop.call_at(0.0, again)
    loop.turn()
    assert calls == [1]


def test_the_clock_is_that_of_asyncio(loop):
    assert time.monotonic() - 1 < loop.time() <= time.monotonic()


def test_run_until_a_flag(loop):
    flag = Flag()
    assert not flag.is_set()
    loop.call_later(0.001, flag.set)
    assert loop.run_until(flag) is True
    assert flag.is_set()
    assert loop.run_until(flag, 0) is True


def test_run_until_a_time(loop):
    assert loop.run_until(Flag(), 0.01) is False
    assert loop.run_until(lambda: False, 0) is False
    loop.run_until(lambda: True)


def test_a_condition_that_raises(loop):
    with pytest.raises(ZeroDivisionError):
        loop.run_until(lambda: 1 / 0, 5)
    loop.call_soon(lambda: None)
    loop.turn()  # nothing is left of it that would have to be waited for


def test_readers(loop, pair):
    mine, other = pair
    seen: list[Any] = []
    loop.add_reader(mine.fileno(), lambda *args: seen.append((mine.recv(9), args)), "a", 1)
    other.send(b"one")
    assert loop.run_until(lambda: seen, PATIENCE)
    assert seen == [(b"one", ("a", 1))]
    assert loop.remove_reader(mine.fileno()) is True
    assert loop.remove_reader(mine.fileno()) is False
    other.send(b"two")
    assert loop.run_until(lambda: len(seen) > 1, 0.01) is False


def test_a_reader_takes_the_place_of_another(loop, pair):
    mine, other = pair
    seen: list[Any] = []
    loop.add_reader(mine.fileno(), seen.append, "former")
    loop.add_reader(mine.fileno(), lambda: seen.append(mine.recv(9)))
    other.send(b"x")
    assert loop.run_until(lambda: seen, PATIENCE)
    assert seen == [b"x"]


def test_the_end_of_the_other_side_is_told(loop, pair):
    mine, other = pair
    seen: list[Any] = []
    loop.add_reader(mine.fileno(), lambda: seen.append(mine.recv(9)))
    other.close()
    assert loop.run_until(lambda: seen, PATIENCE)
    assert seen[0] == b""


def test_many_readers_that_remove_each_other(loop):
    pairs = [socket.socketpair() for _ in range(20)]
    seen: list[Any] = []

    def found(number):
        seen.append(number)
        for at in (number, (number + 7) % 20):
            loop.remove_reader(pairs[at][0].fileno())

    for number, (mine, other) in enumerate(pairs):
        loop.add_reader(mine.fileno(), found, number)
        other.send(b"x")
    loop.run_until(lambda: False, 0.05)
    left = [number for number, (mine, _) in enumerate(pairs) if loop.remove_reader(mine.fileno())]
    assert left == []
    assert len(seen) == len(set(seen)) >= 10
    for mine, other in pairs:
        mine.close()
        other.close()


def test_readers_come_although_something_is_ready_all_the_time(loop, pair):
    mine, other = pair
    seen: list[Any] = []

    def again():
        loop.call_soon(again)

    again()
    loop.add_reader(mine.fileno(), lambda: seen.append(mine.recv(9)))
    other.send(b"x")
    loop.call_later(0.0, seen.append, "timer")
    assert loop.run_until(lambda: len(seen) == 2, PATIENCE)


def test_turns_nest(loop, pair):
    mine, other = pair
    seen: list[Any] = []

    def waits():
        assert loop.is_running()
        seen.append("begun")
        loop.call_soon(other.send, b"x")
        assert loop.run_until(lambda: b"x" in seen, PATIENCE)
        seen.append("ended")

    loop.add_reader(mine.fileno(), lambda: seen.append(mine.recv(9)))
    loop.call_soon(waits)
    loop.call_soon(seen.append, "beside it")
    loop.turn()
    assert seen == ["begun", "beside it", b"x", "ended"]
    assert not loop.is_running()


def test_a_reader_waits_inside_of_its_call(loop):
    pairs = [socket.socketpair() for _ in range(3)]
    seen: list[Any] = []

    def found(number):
        mine = pairs[number][0]
        seen.append((number, mine.recv(9)))
        if number == 0:
            loop.run_until(lambda: len(seen) == 3, PATIENCE)
            loop.remove_reader(mine.fileno())

    for number, (mine, other) in enumerate(pairs):
        mine.setblocking(False)
        loop.add_reader(mine.fileno(), found, number)
        other.send(b"%d" % number)
    assert loop.run_until(lambda: len(seen) == 3, PATIENCE)
    assert sorted(seen) == [(0, b"0"), (1, b"1"), (2, b"2")]
    for mine, other in pairs:
        loop.remove_reader(mine.fileno())
        mine.close()
        other.close()


def test_exceptions_are_logged(loop, caplog):
    seen: list[Any] = []
    loop.call_soon(lambda: 1 / 0)
    loop.call_later(0.0, lambda: [][0])
    loop.call_later(0.001, seen.append, 1)
    with caplog.at_level(logging.ERROR, "granite.error"):
        assert loop.run_until(lambda: seen, PATIENCE)
    assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError, IndexError]
    assert "exception in a callback" in caplog.text


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_what_ends_the_process_is_raised(loop, kind):
    def end():
        raise kind

    seen: list[Any] = []
    loop.call_soon(end)
    loop.call_soon(seen.append, 1)
    with pytest.raises(kind):
        loop.run_until(Flag())
    assert not loop.is_running()
    assert loop.run_until(lambda: seen, PATIENCE)


def test_other_threads_end_the_wait(loop):
    flag = Flag()
    thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(flag.set))
    loop.call_soon(thread.start)
    assert loop.run_until(flag, PATIENCE)
    thread.join()


def test_a_flood_of_other_threads(loop):
    seen: list[Any] = []

    def tell():
        for number in range(20_000):
            loop.call_soon_threadsafe(seen.append, number)

    threads = [threading.Thread(target=tell) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert loop.run_until(lambda: len(seen) == 40_000, PATIENCE)
    for thread in threads:
        thread.join()


def test_the_context_is_that_of_the_loop(loop):
    variable = contextvars.ContextVar("variable", default="outside")
    seen: list[Any] = []

    def run():
        variable.set("inside")
        loop.call_soon(lambda: seen.append(variable.get()), context=contextvars.Context())
        loop.turn()

    contextvars.Context().run(run)
    assert seen == ["inside"]


def test_closed():
    loop = Loop()
    timer = loop.call_later(1, print)
    loop.call_soon(print)
    loop.close()
    loop.close()
    timer.cancel()
    assert loop.is_closed()
    for call in (
        loop.turn,
        lambda: loop.call_soon_threadsafe(print),
        lambda: loop.add_reader(0, print),
        lambda: loop.add_signal_handler(signal.SIGUSR1, print),
    ):
        with pytest.raises(RuntimeError, match="closed"):
            call()


def test_not_closed_from_inside(loop):
    failures: list[Exception] = []

    def close():
        try:
            loop.close()
        except RuntimeError as exc:
            failures.append(exc)

    loop.call_soon(close)
    loop.turn()
    assert len(failures) == 1
    assert not loop.is_closed()


def test_no_descriptor_is_left():
    reading = os.dup(0)  # the lowest number that is free
    for close in (True, False):
        os.close(reading)
        loop = Loop()
        if close:
            loop.close()
        del loop
        assert os.dup(0) == reading
    os.close(reading)
