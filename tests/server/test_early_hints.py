"""103 Early Hints: when they leave, to whom, and what is refused."""

from __future__ import annotations

import asyncio

import pytest

from tests.server.apps import (
    Gate,
    Seen,
    answer,
    attempt,
    body,
    body_of,
    hello,
    start,
    until_it_waits,
)
from tests.server.inside import counted
from tests.server.loops import both_loops
from tests.server.raw import request

STYLE = b"</style.css>; rel=preload; as=style"
SCRIPT = b"</script.js>; rel=preload; as=script"


def hint(*links):
    return {"type": "http.response.early_hint", "links": links}


def links_of(response):
    assert (response.status, response.reason, response.framing) == (103, "Early Hints", "none")
    assert {name for name, _ in response.fields} == {"link"}
    return [value.encode() for value in response.all("link")]


@both_loops
@pytest.mark.parametrize("before", [[], [start()]], ids=["before-the-start", "after-the-start"])
@pytest.mark.parametrize("eager", [True, False])
def test_a_hint_leaves_at_once(connect, before, eager):
    """Also while the final response's head is held back."""
    gate = Gate()

    async def app(scope, receive, send):
        if not eager:
            await asyncio.sleep(0)
        for message in before:
            await send(message)
        await send(hint(STYLE, SCRIPT))
        await gate.wait()
        for message in [start()][len(before) :]:
            await send(message)
        await send(body(b"page"))

    client = connect(app)
    for _ in range(2):
        client.request()
        assert links_of(client.response()) == [STYLE, SCRIPT]
        assert client.silent(0.02)
        gate.open()
        response = client.response()
        assert (response.status, response.body) == (200, b"page")
        assert response.get("link") is None


def test_a_hint_leaves_before_the_application_gives_way(connect):
    """An application that computes for long, and never suspends, is why there are hints."""
    seen = Seen()
    gate = Gate()

    async def app(scope, receive, send):
        await send(hint(STYLE))
        gate.reached.set()
        assert seen.get() == "the hint has come"
        await answer(send, b"page")

    client = connect(app)
    client.request()
    assert links_of(client.response()) == [STYLE]
    seen.put("the hint has come")
    assert client.response().body == b"page"


def test_several_hints(connect):
    async def app(scope, receive, send):
        await send(hint(STYLE))
        await send(hint())  # nothing to tell
        await send(start())
        await send(hint(SCRIPT))
        await answer_body(send)

    async def answer_body(send):
        await send(body(b"page"))

    client = connect(app)
    client.request()
    assert links_of(client.response()) == [STYLE]
    assert links_of(client.response()) == [SCRIPT]
    assert client.response().body == b"page"


def test_hints_and_a_100_continue(connect):
    async def app(scope, receive, send):
        await send(hint(STYLE))
        await send(start())
        data = await body_of(receive)
        await send(hint(SCRIPT))
        await send(body(data))

    client = connect(app)
    client.send(request("/", "Content-Length: 5", "Expect: 100-continue", method="POST"))
    assert links_of(client.response()) == [STYLE]
    assert client.response().status == 100
    client.send(b"hello")
    assert links_of(client.response()) == [SCRIPT]
    assert client.response().body == b"hello"


@pytest.mark.parametrize("eager", [True, False])
def test_hints_of_pipelined_requests_keep_their_order(connect, eager):
    async def app(scope, receive, send):
        if not eager:
            await asyncio.sleep(0)
        await send(hint(scope["raw_path"]))
        await answer(send, scope["raw_path"])

    client = connect(app)
    paths = [f"/{number}" for number in range(20)]
    client.send(b"".join(map(request, paths)))
    for path in paths:
        assert links_of(client.response()) == [path.encode()]
        assert client.response().body == path.encode()


def test_a_hint_after_the_head_has_left_is_ignored(connect):
    """As the specification allows it until the end, and HTTP does not."""

    async def app(scope, receive, send):
        await send(start())
        await send(body(b"a", more=True))
        await send(hint(STYLE))
        await send(body(b"b"))

    client = connect(app)
    assert client.ask().body == b"ab"
    assert client.ask().body == b"ab"


def test_http_1_0_has_no_hints(connect):
    seen = Seen()

    async def app(scope, receive, send):
        seen.put("http.response.early_hint" in scope["extensions"])
        await send(hint(STYLE))
        await answer(send, b"page")

    client = connect(app)
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    assert client.response().body == b"page"
    assert seen.get() is False
    client = connect(app)
    client.request()
    assert links_of(client.response()) == [STYLE]
    assert seen.get() is True


def test_a_failure_after_a_hint_is_a_500(connect):
    async def app(scope, receive, send):
        await send(start())
        await send(hint(STYLE))
        raise ValueError("after the hint")

    client = connect(app)
    client.request()
    assert links_of(client.response()) == [STYLE]
    assert client.response().status == 500
    client.request()
    assert links_of(client.response()) == [STYLE]


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"type": "http.response.early_hint"}, "'links' to be an iterable of bytes, got nothing"),
        ({"type": "http.response.early_hint", "links": None}, "'links' to be an iterable"),
        (hint("</style.css>"), "names and values to be bytes"),
        (hint(b"</a>\r\nset-cookie: b"), "CR, LF or NUL"),
        (hint(STYLE, b"a\0"), "CR, LF or NUL"),
    ],
)
@pytest.mark.parametrize("before", [(), (start(),)])
def test_what_is_no_hint_is_refused(connect, wrong, expected, before):
    seen = Seen()

    async def app(scope, receive, send):
        seen.put(await attempt(send, *before, wrong))
        await attempt(send, start())
        await send(body(b"ok"))

    client = connect(app)
    for _ in range(2):
        assert client.ask().body == b"ok"  # and no interim response before
        (error,) = seen.get()
        assert type(error) is RuntimeError
        assert expected in str(error)


def test_a_hint_after_the_end_is_refused(connect):
    seen = Seen()

    async def app(scope, receive, send):
        await hello(scope, receive, send)
        seen.put(await attempt(send, hint(STYLE)))

    assert connect(app).ask().body == b"hello"
    assert "complete" in str(seen.get()[0])


def test_a_hint_for_a_client_that_has_gone(connect, serve):
    seen = Seen()
    gate = Gate()

    async def app(scope, receive, send):
        await gate.wait()
        assert (await receive())["type"] == "http.request"
        assert (await receive())["type"] == "http.disconnect"
        seen.put(await attempt(send, hint(STYLE)))

    server = serve(app)
    client = connect(server)
    client.request()
    client.reset()
    gate.open()
    assert isinstance(seen.get()[0], OSError)


def test_hints_without_end_wait_for_the_client(connect):
    seen = Seen()

    async def app(scope, receive, send):
        async def flood():
            for _ in range(5000):
                await send(hint(b"x" * 10_000))
                sent.append(None)

        sent: list[None] = []
        task = asyncio.create_task(flood())
        seen.put(await until_it_waits(task, sent))
        task.cancel()
        await asyncio.wait([task])
        await hello(scope, receive, send)

    client = connect(app, receive_buffer=4096)
    client.request()
    assert seen.get() < 2000
    while (response := client.response()).status == 103:
        pass
    assert response.body == b"hello"


def test_hints_are_counted(connect, serve):
    async def app(scope, receive, send):
        await send(hint(STYLE))
        await hello(scope, receive, send)

    served = serve(app)
    client = connect(served)
    client.request()
    assert [client.response().status for _ in range(2)] == [103, 200]
    numbers = counted(served)
    assert (numbers["responses_http1_1xx"], numbers["responses_http1_2xx"]) == (1, 1)
