"""The reactor's wait(), which takes a turn of its loop."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pytest

from granite._core.net import Reactor


def test_a_turn_of_the_loop(loop):
    reactor = Reactor(loop, contextvars.Context())
    seen: list[Any] = []
    loop.call_soon(seen.append, 1)
    reactor.wait()
    assert seen == [1]
    loop.call_later(0.001, seen.append, 2)
    while len(seen) < 2:
        reactor.wait()
    reactor.close()
    with pytest.raises(RuntimeError, match="closed"):
        reactor.wait()


def test_in_the_context_of_the_reactor(loop):
    variable = contextvars.ContextVar("variable", default="")
    context = contextvars.Context()
    context.run(variable.set, "reactor")
    reactor = Reactor(loop, context)
    seen: list[Any] = []
    loop.call_soon(lambda: seen.append(variable.get()))
    context.run(reactor.wait)  # as from a call in that context
    variable.set("caller")
    loop.call_soon(lambda: seen.append(variable.get()))
    reactor.wait()
    assert seen == ["reactor", "reactor"]
    assert variable.get() == "caller"
    reactor.close()


def test_in_a_loop_of_another_kind():
    loop = asyncio.new_event_loop()
    reactor = Reactor(loop, contextvars.Context())
    reactor.wait()  # there is nothing to wait for
    reactor.close()
    loop.close()
