"""The lifespan protocol: its three modes and every order of messages."""

from __future__ import annotations

import asyncio
import contextvars
import logging

import pytest

from granite.errors import EXIT_LOAD, LifespanError
from granite.interfaces.asgi import Lifespan
from tests.patience import PATIENCE

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
COMPLETE = {"type": "lifespan.startup.complete"}
DOWN = {"type": "lifespan.shutdown.complete"}


@pytest.fixture(autouse=True)
def _logged(caplog):
    caplog.set_level(logging.DEBUG, logger="granite.error")


def run(app, mode="auto", timeout=5.0):
    """Run startup and shutdown; return the lifespan and what shutdown returned."""

    async def main():
        lifespan = Lifespan(app, mode)
        await lifespan.startup()
        return lifespan, await lifespan.shutdown(timeout)

    return asyncio.run(asyncio.wait_for(main(), PATIENCE))


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_the_whole_of_it(mode):
    seen = []

    async def app(scope, receive, send):
        seen.append(scope)
        seen.append(await receive())
        variable.set("startup")
        scope["state"]["a"] = 1
        await send(COMPLETE)
        seen.append(await receive())
        assert variable.get() == "startup"
        await send(DOWN)
        seen.append("cleaned up")

    lifespan, clean = run(app, mode)
    assert clean
    assert seen == [
        {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": {"a": 1},
        },
        {"type": "lifespan.startup"},
        {"type": "lifespan.shutdown"},
        "cleaned up",
    ]
    assert lifespan.state == {"a": 1}
    assert lifespan.context[variable] == "startup"
    with pytest.raises(LookupError):
        variable.get()


def test_off_never_calls_the_application():
    lifespan, clean = run(None, "off")
    assert clean
    assert lifespan.state is None
    assert isinstance(lifespan.context, contextvars.Context)


@pytest.mark.parametrize("received", [False, True])
def test_auto_serves_an_application_that_raises(received, caplog):
    async def app(scope, receive, send):
        if received:
            await receive()
        raise KeyError("type")

    lifespan, clean = run(app)
    assert clean
    assert lifespan.state is None
    assert "raised KeyError('type') before lifespan.startup.complete" in caplog.text
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


def test_auto_serves_an_application_that_returns():
    async def app(scope, receive, send):
        return

    assert run(app)[0].state is None


def test_on_takes_an_exception_for_a_failure():
    async def app(scope, receive, send):
        raise KeyError("type")

    with pytest.raises(LifespanError, match=r"raised KeyError\('type'\)") as caught:
        run(app, "on")
    assert caught.value.exit_code == EXIT_LOAD
    assert "KeyError: 'type'" in (caught.value.details or "")
    assert isinstance(caught.value.__cause__, KeyError)


def test_on_takes_a_return_for_a_failure():
    async def app(scope, receive, send):
        return

    with pytest.raises(LifespanError, match="the application returned before"):
        run(app, "on")


@pytest.mark.parametrize("mode", ["auto", "on"])
@pytest.mark.parametrize("then", ["return", "raise", "wait"])
@pytest.mark.parametrize(
    ("message", "text", "details"),
    [
        ({}, "no reason was given", None),
        ({"message": "no database"}, "no database", None),
        ({"message": "no database\nat db\n"}, "no database", "at db"),
        ({"message": "Traceback:\n  x\nE: y\n"}, "E: y", "Traceback:\n  x\nE: y"),
    ],
)
def test_a_failed_startup(mode, then, message, text, details):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", **message})
        if then == "raise":
            raise ValueError("after it")
        if then == "wait":
            await receive()

    with pytest.raises(LifespanError) as caught:
        run(app, mode)
    assert str(caught.value) == f"the application's startup failed: {text}"
    assert caught.value.details == details


def test_a_failed_shutdown(caplog):
    async def app(scope, receive, send):
        await receive()
        await send(COMPLETE)
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "stuck"})

    assert run(app)[1] is False
    assert "the application's shutdown failed: stuck" in caplog.text


def test_an_exception_during_shutdown(caplog):
    async def app(scope, receive, send):
        await receive()
        await send(COMPLETE)
        await receive()
        raise KeyError("gone")

    assert run(app)[1] is False
    assert "raised while shutting down" in caplog.text
    assert "KeyError: 'gone'" in caplog.text


def test_a_shutdown_that_is_not_answered():
    async def app(scope, receive, send):
        await receive()
        await send(COMPLETE)
        await receive()

    assert run(app)[1] is True


def test_an_application_that_handles_the_startup_only():
    async def app(scope, receive, send):
        await receive()
        await send(COMPLETE)

    lifespan, clean = run(app)
    assert clean
    assert lifespan.state == {}


def test_an_application_that_dies_while_serving(caplog):
    async def app(scope, receive, send):
        await receive()
        await send(COMPLETE)
        raise KeyError("later")

    assert run(app)[1] is True
    assert "raised while serving" in caplog.text


def test_a_shutdown_that_hangs_is_cancelled(caplog):
    cancelled = []

    async def app(scope, receive, send):
        await receive()
        await send(COMPLETE)
        await receive()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    assert run(app, timeout=0.05)[1] is False
    assert cancelled == [True]
    assert "did not end in time" in caplog.text


def test_a_loop_that_does_not_return_is_told_so():
    # Not every application returns after shutdown.complete: it must not hold the server up.
    async def app(scope, receive, send):
        while True:
            message = await receive()
            kind = message["type"].rpartition(".")[2]
            await send({"type": f"lifespan.{kind}.complete"})

    assert run(app)[1] is True


def test_a_startup_that_is_cancelled_is_cancelled_in_the_application():
    events = []

    async def app(scope, receive, send):
        await receive()
        try:
            await asyncio.Event().wait()
        finally:
            events.append("cleaned up")

    async def main():
        starting = asyncio.ensure_future(Lifespan(app).startup())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

    asyncio.run(main())
    assert events == ["cleaned up"]


@pytest.mark.parametrize(
    ("before", "message", "expected"),
    [
        ([], {"type": "http.response.start"}, "expected 'lifespan.startup.complete' or"),
        ([], DOWN, "expected 'lifespan.startup.complete' or"),
        ([], {}, "got None"),
        ([], "text", "got <class 'str'>"),
        ([COMPLETE], COMPLETE, "expected nothing before lifespan.shutdown"),
        ([COMPLETE], DOWN, "expected nothing before lifespan.shutdown"),
        ([COMPLETE, "receive"], COMPLETE, "expected 'lifespan.shutdown.complete' or"),
        ([COMPLETE, "receive", DOWN], DOWN, "expected nothing more"),
    ],
)
def test_a_message_out_of_order(before, message, expected):
    errors = []

    async def app(scope, receive, send):
        await receive()
        for step in before:
            await (receive() if step == "receive" else send(step))
        try:
            await send(message)
        except RuntimeError as exc:
            errors.append(str(exc))
            raise

    run(app)
    assert len(errors) == 1
    assert errors[0].startswith("send(): expected ")
    assert expected in errors[0]
