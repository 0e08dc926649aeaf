"""Context variables, the application's task factory, and work that outlives the response."""

from __future__ import annotations

import asyncio
import contextvars

import pytest

from tests.server.apps import (
    Gate,
    Seen,
    answer,
    attempt,
    body,
    eventually,
    hello,
    start,
    with_lifespan,
)
from tests.server.loops import both_loops
from tests.server.raw import request

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


async def remembering(scope, receive, send):
    """Answer with what the variable was, having set it to the path."""
    before = VARIABLE.get()
    VARIABLE.set(scope["path"])
    if scope["path"].startswith("/late"):
        for _ in range(3):
            await asyncio.sleep(0)
    during = VARIABLE.get()
    await send(start())
    await send(body(f"{before} {during} ".encode(), more=True))
    await send(body(VARIABLE.get().encode()))


PATHS = ["/a", "/late/b", "/c", "/d", "/late/e", "/late/f"]


@both_loops
def test_variables_of_the_lifespan_are_seen_by_requests(connect):
    app = with_lifespan(remembering, lambda state: VARIABLE.set("lifespan"))
    client = connect(app, lifespan="on")
    for path in PATHS:
        assert client.ask(path).body == f"lifespan {path} {path}".encode()


@both_loops
def test_variables_of_one_request_are_not_seen_by_the_next_on_its_connection(connect):
    client = connect(remembering)
    for path in PATHS:
        assert client.ask(path).body == f"unset {path} {path}".encode()


@both_loops
def test_variables_are_not_seen_by_pipelined_requests(connect):
    client = connect(remembering)
    client.send(b"".join(map(request, PATHS * 5)))
    for path in PATHS * 5:
        assert client.response().body == f"unset {path} {path}".encode()


@both_loops
def test_variables_are_not_seen_by_concurrent_requests(connect, serve):
    server = serve(remembering)
    clients = [connect(server) for _ in range(6)]
    for _ in range(5):
        for client, path in zip(clients, PATHS, strict=True):
            client.request(path)
        for client, path in zip(clients, PATHS, strict=True):
            assert client.response().body == f"unset {path} {path}".encode()


@both_loops
def test_variables_survive_waits_for_the_client(connect):
    async def app(scope, receive, send):
        VARIABLE.set("mine")
        values = []
        more = True
        while more:
            more = (await receive())["more_body"]
            values.append(VARIABLE.get())
        await answer(send, " ".join(sorted(set(values))).encode())

    client = connect(app)
    client.send(request("/", "Content-Length: 4", method="POST") + b"a")
    for piece in (b"b", b"c", b"d"):
        client.send(piece)
    assert client.response().body == b"mine"


@both_loops
def test_callbacks_that_wake_a_request_do_not_lend_it_their_context(connect, serve):
    """A request that is woken by another one's code keeps its own variables."""
    waiting: list[asyncio.Future] = []

    async def app(scope, receive, send):
        VARIABLE.set(scope["path"])
        if scope["path"] == "/waits":
            waiting.append(asyncio.get_running_loop().create_future())
            await waiting[0]
        else:
            waiting[0].set_result(None)
        await asyncio.create_task(asyncio.sleep(0))
        await answer(send, VARIABLE.get().encode())

    server = serve(app)
    first, second = connect(server), connect(server)
    first.request("/waits")
    eventually(lambda: waiting)
    assert second.ask("/wakes").body == b"/wakes"
    assert first.response().body == b"/waits"


@both_loops
@pytest.mark.parametrize("eager", [False, True])
def test_the_task_factory_of_the_application_is_honoured(connect, eager):
    made = Seen()

    def startup(state):
        VARIABLE.set("lifespan")
        loop = asyncio.get_running_loop()
        if eager:
            loop.set_task_factory(vars(asyncio)["eager_task_factory"])
        else:
            loop.set_task_factory(factory)

    def factory(loop, coroutine, **arguments):
        task = asyncio.Task(coroutine, loop=loop, **arguments)
        made.put(task)
        return task

    async def app(scope, receive, send):
        if not eager:
            assert asyncio.current_task() is made.get()
        await remembering(scope, receive, send)

    if eager and not hasattr(asyncio, "eager_task_factory"):
        pytest.skip("the eager task factory is of Python 3.12")
    client = connect(with_lifespan(app, startup), lifespan="on")
    client.send(b"".join(map(request, PATHS)))
    for path in PATHS:
        assert client.response().body == f"lifespan {path} {path}".encode()


def test_a_task_factory_that_fails_is_a_500(connect, serve):
    def startup(state):
        asyncio.get_running_loop().set_task_factory(factory)

    def factory(loop, coroutine, **arguments):
        loop.set_task_factory(None)
        raise KeyError("no task this time")

    server = serve(with_lifespan(hello, startup), lifespan="on")
    assert connect(server).ask().status == 500
    assert [type(exc) for exc in server.exceptions] == [KeyError]
    assert connect(server).ask().body == b"hello"


@both_loops
def test_work_after_the_response_does_not_hold_up_the_connection(connect, serve):
    gate, seen = Gate(), Seen()

    async def app(scope, receive, send):
        VARIABLE.set(scope["path"])
        await answer(send, scope["raw_path"])
        if scope["path"] == "/works":
            await gate.wait()
            seen.put((VARIABLE.get(), (await receive())["type"]))

    server = serve(app)
    client = connect(server)
    assert client.ask("/works").body == b"/works"
    for number in range(3):
        assert client.ask(f"/{number}").body == b"/%d" % number
    gate.open()
    assert seen.get() == ("/works", "http.disconnect")
    assert client.ask("/last").body == b"/last"


def test_work_after_the_response_cannot_write_into_the_next_one(connect):
    gate, seen = Gate(), Seen()

    async def app(scope, receive, send):
        if scope["path"] == "/works":
            await answer(send, b"first")
            await gate.wait()
            return seen.put(await attempt(send, start(), body(b"intruder")))
        await send(start())
        await send(body(b"se", more=True))
        await asyncio.sleep(0.01)
        return await send(body(b"cond"))

    client = connect(app)
    assert client.ask("/works").body == b"first"
    client.request("/next")
    gate.open()
    assert client.response().body == b"second"
    assert [type(error) for error in seen.get()] == [RuntimeError] * 2


def test_tasks_that_a_request_leaves_behind_go_on(connect):
    seen = Seen()
    tasks = set()

    async def app(scope, receive, send):
        async def later():
            await asyncio.sleep(0.005)
            seen.put(scope["path"])

        tasks.add(asyncio.create_task(later()))
        await answer(send)

    client = connect(app)
    client.ask("/a")
    client.close()
    assert seen.get() == "/a"
