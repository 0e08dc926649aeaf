"""Every request runs in a real Task: what asyncio and anyio do with Tasks works."""

from __future__ import annotations

import asyncio
import builtins
import inspect
import sys
import traceback

import anyio
import anyio.lowlevel
import pytest

from tests.server.apps import Seen, answer, body_of, current_task, hello, with_lifespan
from tests.server.loops import both_loops
from tests.server.raw import request


@both_loops
def test_current_task_is_a_task_of_this_request(connect):
    seen = Seen()

    async def app(scope, receive, send):
        task = current_task()
        seen.put(task)
        seen.put((type(task), task in asyncio.all_tasks(), task.done(), task.cancelled()))
        await asyncio.sleep(0)
        seen.put(current_task() is task)
        await answer(send)
        seen.put(current_task() is task)

    client = connect(app)
    tasks = []
    for _ in range(2):
        client.ask()
        tasks.append(seen.get())
        kind, among_all, done, cancelled = seen.get()
        assert issubclass(kind, asyncio.Task)
        assert among_all
        assert not done
        assert not cancelled
        assert seen.get()
        assert seen.get()
    assert tasks[0] is not tasks[1]
    assert tasks[0].done()


@both_loops
def test_a_task_can_be_looked_at(connect):
    seen = Seen()

    def look(task):
        coroutine = task.get_coro()
        seen.put(asyncio.iscoroutine(coroutine))
        seen.put(repr(task))
        seen.put("".join(traceback.format_list(traceback.extract_stack(task.get_stack()[-1]))))
        seen.put(inspect.getcoroutinestate(coroutine))

    async def app(scope, receive, send):
        task = current_task()
        task.set_name("the request")
        look(task)
        asyncio.get_running_loop().call_soon(look, task)
        await asyncio.sleep(0.001)
        await answer(send)

    connect(app).ask()
    for state in (inspect.CORO_RUNNING, inspect.CORO_SUSPENDED):
        assert seen.get() is True
        assert "the request" in seen.get()
        assert "in app" in seen.get()
        assert seen.get() == state


@both_loops
def test_the_loop_works_in_debug_mode(connect, log):
    async def app(scope, receive, send):
        asyncio.get_running_loop().slow_callback_duration = 0.0
        await asyncio.create_task(asyncio.sleep(0.001))
        await answer(send, await body_of(receive))

    def startup(state):
        asyncio.get_running_loop().set_debug(True)

    client = connect(with_lifespan(app, startup), lifespan="on")
    client.send(request(method="POST", body=b"hello" * 2)[:-5])
    client.send(b"hello")
    assert client.response().body == b"hellohello"
    assert client.ask().body == b""


@both_loops
@pytest.mark.parametrize("suspended", [False, True])
def test_a_task_that_cancels_itself_is_cancelled_where_it_waits(connect, serve, suspended):
    seen = Seen()

    async def app(scope, receive, send):
        if scope["path"] == "/after":
            return await answer(send)
        if suspended:
            await asyncio.sleep(0)
        task = current_task()
        seen.put(task)
        task.cancel()
        try:
            await asyncio.sleep(5)
        finally:
            seen.put("cleaned up")

    server = serve(app)
    client = connect(server)
    assert client.ask().status == 500
    task = seen.get()
    assert seen.get() == "cleaned up"
    assert server.exceptions == []
    assert connect(server).ask("/after").status == 200  # so the first Task has ended for good
    assert task.cancelled()


@both_loops
def test_a_cancellation_can_be_survived(connect):
    async def app(scope, receive, send):
        task = current_task()
        task.cancel()
        try:
            await receive()  # what is ready does not suspend
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            if sys.version_info >= (3, 11):
                task.uncancel()
        await asyncio.sleep(0)
        await answer(send, b"survived")

    assert connect(app).ask().body == b"survived"


@both_loops
def test_a_task_cancelled_by_another_while_it_receives(connect):
    async def app(scope, receive, send):
        await receive()
        asyncio.get_running_loop().call_soon(current_task().cancel)
        try:
            await receive()
        except asyncio.CancelledError:
            await answer(send, b"cancelled")

    assert connect(app).ask().body == b"cancelled"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout is of Python 3.11")
@both_loops
def test_asyncio_timeout(connect):
    async def app(scope, receive, send):
        await receive()
        try:
            async with vars(asyncio)["timeout"](0.005):
                await receive()
        except TimeoutError:
            await answer(send, b"timed out")

    client = connect(app)
    for _ in range(3):
        assert client.ask().body == b"timed out"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TaskGroup is of Python 3.11")
@both_loops
def test_asyncio_task_group(connect):
    seen = Seen()

    async def app(scope, receive, send):
        async def fail():
            await asyncio.sleep(0)
            raise KeyError

        async def wait():
            try:
                await receive()
            finally:
                seen.put("stopped")

        await receive()
        try:
            async with vars(asyncio)["TaskGroup"]() as group:
                group.create_task(wait())
                group.create_task(receive())
                group.create_task(fail())
                await asyncio.sleep(5)
        except vars(builtins)["BaseExceptionGroup"]:
            await answer(send, b"failed together")

    assert connect(app).ask().body == b"failed together"
    assert seen.get() == "stopped"


@both_loops
def test_anyio_task_group(connect):
    async def app(scope, receive, send):
        pieces = []

        async def work(number):
            await anyio.sleep(0.001 * (3 - number))
            pieces.append(number)

        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(work, number)
        assert anyio.get_current_task().id == id(current_task())
        assert id(current_task()) in {task.id for task in anyio.get_running_tasks()}
        await answer(send, b"%d" % sum(pieces))

    assert connect(app).ask().body == b"3"


@both_loops
def test_anyio_listens_for_the_disconnect_beside_the_stream(connect):
    seen = Seen()

    async def app(scope, receive, send):
        async def listen(scope_):
            while (await receive())["type"] != "http.disconnect":
                pass
            scope_.cancel()

        await receive()
        async with anyio.create_task_group() as group:
            group.start_soon(listen, group.cancel_scope)
            seen.put("streaming")
            try:
                await anyio.sleep(60)
            except anyio.get_cancelled_exc_class():
                seen.put("cancelled")
                raise
        seen.put("left")

    client = connect(app)
    client.request()
    assert seen.get() == "streaming"
    client.close()
    assert seen.get() == "cancelled"
    assert seen.get() == "left"


@both_loops
def test_anyio_cancel_scopes(connect):
    async def app(scope, receive, send):
        await receive()
        with anyio.move_on_after(0.005) as moved:
            await receive()
        assert moved.cancelled_caught
        with pytest.raises(TimeoutError), anyio.fail_after(0.005):
            await receive()
        with anyio.CancelScope() as outer:
            outer.cancel()
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            await anyio.sleep(5)
        assert outer.cancelled_caught
        await answer(send, b"done")

    client = connect(app)
    for _ in range(2):
        assert client.ask().body == b"done"


@both_loops
def test_anyio_cancels_children_that_wait_in_receive_and_send(connect):
    async def app(scope, receive, send):
        await receive()
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(receive)
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        await answer(send, b"done")

    assert connect(app).ask().body == b"done"


@both_loops
def test_anyio_threads(connect):
    async def app(scope, receive, send):
        await answer(send, await anyio.to_thread.run_sync(lambda: b"from a thread"))

    assert connect(app).ask().body == b"from a thread"


def test_starlettes_middleware_and_streaming(connect):
    starlette = pytest.importorskip("starlette.applications")
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.responses import StreamingResponse
    from starlette.routing import Route

    class Stamp(BaseHTTPMiddleware):
        async def dispatch(self, request, call_next):
            response = await call_next(request)
            response.headers["x-stamp"] = "1"
            return response

    async def endpoint(request):
        body = await request.body()

        async def pieces():
            for _ in range(3):
                await asyncio.sleep(0)
                yield body

        return StreamingResponse(pieces())

    app = starlette.Starlette(
        routes=[Route("/", endpoint, methods=["POST"])], middleware=[Middleware(Stamp)] * 2
    )
    client = connect(app)
    for _ in range(3):
        response = client.ask(method="POST", body=b"abc")
        assert response.body == b"abcabcabc"
        assert response.all("x-stamp") == ["1"]


@both_loops
def test_requests_of_many_connections_run_side_by_side(connect, serve):
    barrier: list[asyncio.Future] = []

    async def app(scope, receive, send):
        waiter = asyncio.get_running_loop().create_future()
        barrier.append(waiter)
        if len(barrier) == 20:
            for other in barrier:
                other.set_result(None)
        await waiter
        await answer(send, scope["raw_path"])

    server = serve(app)
    clients = [connect(server) for _ in range(20)]
    for number, client in enumerate(clients):
        client.request(f"/{number}")
    for number, client in enumerate(clients):
        assert client.response().body == b"/%d" % number


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager Tasks are of Python 3.12")
@both_loops
def test_an_application_that_never_suspends_is_answered_within_the_read(connect):
    turns = Seen()

    async def app(scope, receive, send):
        asyncio.get_running_loop().call_soon(turns.put, scope["path"])
        await hello(scope, receive, send)
        turns.put("answered")

    client = connect(app)
    client.send(request("/a") + request("/b"))
    assert [client.response().body for _ in range(2)] == [b"hello"] * 2
    assert [turns.get() for _ in range(4)] == ["answered", "answered", "/a", "/b"]
