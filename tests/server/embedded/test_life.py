"""granite.Server on a running loop, as a program that embeds it uses it: start, serve, stop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import signal
import sys
import traceback
from typing import Any

import httpx
import pytest

from granite import Server
from tests.granite_process import GraniteProcess
from tests.server.embedded.apps import App, get, on, variable
from tests.server.loops import both_loops


@both_loops
def test_serve_and_stop(loop, app, log):
    async def main():
        server = Server(app, port=0)
        assert server.urls == []
        with pytest.raises(RuntimeError, match="no port"):
            server.port  # noqa: B018
        serving = asyncio.create_task(server.serve())
        await server.wait_started()
        assert server.urls == [f"http://127.0.0.1:{server.port}"]
        assert (await get(server, "/a")).text == "http /a unset"
        assert (await get(server, "/raise")).status_code == 500
        assert not serving.done()
        assert await server.stop()
        await serving
        assert app.events == ["startup", "shutdown"]
        assert await server.stop()
        with pytest.raises(httpx.ConnectError):
            await get(server)
        for record in log.errors:  # its frames hold the request
            traceback.clear_frames(record.exc_info[2])

    on(loop, main())
    assert any("KeyError" in str(record.exc_info) for record in log.errors)
    assert [text for text in log.messages if text.startswith("listening on http://127.0.0.1:")]


@both_loops
def test_async_with_keeps_the_context(loop, app):
    async def main():
        variable.set("kept")
        async with Server(app, port=0, url_path_prefix=None) as server:
            assert (await get(server)).text == "http / kept"
        assert app.events == ["startup", "shutdown"]

    on(loop, main())


@both_loops
@pytest.mark.parametrize(
    ("timeout", "clean"), [(None, True), (0, False), (0.05, False)], ids=["drain", "now", "soon"]
)
def test_stop_with_requests_in_flight(loop, app, timeout, clean):
    async def main():
        async with Server(app, port=0) as server:
            request = asyncio.create_task(get(server, "/wait"))
            await app.waiting.wait()
            stopping = asyncio.create_task(server.stop(timeout))
            if clean:
                await asyncio.sleep(0)
                app.release.set()
                assert (await request).text == "http /wait unset"
                assert await stopping
            else:
                with pytest.raises(httpx.RemoteProtocolError):
                    await request
                assert not await stopping
        await asyncio.sleep(0)  # the cancelled request
        assert sorted(app.events) == sorted(
            ["startup", "shutdown", *([] if clean else ["cancelled"])]
        )

    on(loop, main())


@both_loops
def test_a_second_stop_may_be_shorter(loop, app):
    async def main():
        async with Server(app, port=0) as server:
            request = asyncio.create_task(get(server, "/wait"))
            await app.waiting.wait()
            first = asyncio.create_task(server.stop())
            await asyncio.sleep(0)
            assert not await server.stop(timeout=0)
            assert not await first
            with pytest.raises(httpx.RemoteProtocolError):
                await request

    on(loop, main())


@both_loops
@pytest.mark.parametrize("times", [1, 2])
def test_cancelled_serve_drains(loop, app, times):
    async def main():
        server = Server(app, port=0)
        serving = asyncio.create_task(server.serve())
        await server.wait_started()
        request = asyncio.create_task(get(server, "/wait"))
        await app.waiting.wait()
        serving.cancel()
        await asyncio.sleep(0)
        assert not serving.done()
        if times == 1:
            app.release.set()
            assert (await request).status_code == 200
        else:
            await asyncio.sleep(0)
            serving.cancel()
            with pytest.raises(httpx.RemoteProtocolError):
                await request
        with pytest.raises(asyncio.CancelledError):
            await serving
        assert "shutdown" in app.events

    on(loop, main())


@both_loops
def test_the_end_of_the_loop_ends_a_server_in_the_background(loop, app):
    async def main():
        server = Server(app, port=0)
        main.serving = asyncio.create_task(server.serve())  # type: ignore[attr-defined]
        await server.wait_started()
        assert (await get(server)).status_code == 200

    on(loop, main())


@both_loops
def test_cancelled_stop_goes_on(loop, app):
    async def main():
        server = Server(app, port=0)
        await server.start()
        request = asyncio.create_task(get(server, "/wait"))
        await app.waiting.wait()
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        app.release.set()
        assert (await request).status_code == 200
        assert await server.stop()

    on(loop, main())


@both_loops
def test_a_request_stops_its_own_server(loop):
    tasks = []

    async def stopping(scope: Any, receive: Any, send: Any) -> None:
        tasks.append(asyncio.create_task(server.stop()))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"bye"})

    async def main():
        serving = asyncio.create_task(server.serve())
        await server.wait_started()
        assert (await get(server)).text == "bye"
        await serving
        assert await tasks[0]

    server = Server(stopping, port=0, lifespan="off")
    on(loop, main())


def test_control_c_lets_requests_finish(tmp_path):
    """With asyncio.run, which cancels the main task (3.11), or all of them (3.10)."""
    program = tmp_path / "program.py"
    program.write_text(
        """
import asyncio, sys
from granite import Server

def asked():
    print("asked", flush=True)

async def app(scope, receive, send):
    asyncio.get_running_loop().call_soon(asked)  # Python 3.10 raises wherever it comes
    await asyncio.sleep(0.3)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"finished"})

async def main():
    server = Server(app, port=0, lifespan="off")
    serving = asyncio.ensure_future(server.serve())
    await server.wait_started()
    print(f"listening on {server.urls[0]}", flush=True)
    await serving

try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted")
"""
    )
    process = GraniteProcess(launcher=(str(program),))
    try:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            answer = pool.submit(httpx.get, process.url())
            process.wait_for("asked")
            process.signal(signal.SIGINT)
            assert process.wait() == 0
            if sys.version_info >= (3, 11):  # before, the request's task is cancelled like all
                assert answer.result().text == "finished"
        assert process.output.endswith("interrupted\n")
    finally:
        process.destroy()


@both_loops
def test_two_servers(loop):
    async def main():
        first, second = App(), App()
        async with Server(first, port=0) as one, Server(second, port=0) as two:
            assert one.port != two.port
            answers = await asyncio.gather(get(one, "/1"), get(two, "/2"))
            assert [answer.text for answer in answers] == ["http /1 unset", "http /2 unset"]
            await one.stop()
            assert first.events == ["startup", "shutdown"]
            assert (await get(two)).status_code == 200

    on(loop, main())
