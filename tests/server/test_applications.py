"""The forms that an application may have."""

from __future__ import annotations

import asyncio
import functools

import pytest

from tests.server.apps import answer, hello
from tests.server.loops import both_loops


class WithAsyncCall:
    async def __call__(self, scope, receive, send):
        await answer(send, b"hello")


class WithMethod:
    async def method(self, scope, receive, send):
        await answer(send, b"hello")

    @staticmethod
    async def static(scope, receive, send):
        await answer(send, b"hello")


class Awaitable:
    """What an application may return: only `__await__`."""

    def __init__(self, scope, receive, send):
        self.coroutine = hello(scope, receive, send)

    def __await__(self):
        return self.coroutine.__await__()


class AwaitableGenerator:
    def __init__(self, scope, receive, send):
        self.send = send

    def __await__(self):
        yield  # a bare yield lets the loop turn once, as asyncio.sleep(0) does
        yield from answer(self.send, b"hello").__await__()


async def with_more(prefix, scope, receive, send):
    await answer(send, prefix)


def returns_a_coroutine(scope, receive, send):
    return hello(scope, receive, send)


def returns_a_future(scope, receive, send):
    return asyncio.ensure_future(hello(scope, receive, send))


def decorated(app):
    @functools.wraps(app)
    async def outer(*arguments):
        return await app(*arguments)

    return outer


@both_loops
@pytest.mark.parametrize(
    "app",
    [
        hello,
        WithAsyncCall(),
        WithMethod().method,
        WithMethod.static,
        functools.partial(with_more, b"hello"),
        functools.partial(WithAsyncCall()),
        returns_a_coroutine,
        returns_a_future,
        lambda scope, receive, send: hello(scope, receive, send),
        Awaitable,
        AwaitableGenerator,
        decorated(decorated(hello)),
    ],
    ids=[
        "async def",
        "instance",
        "method",
        "static method",
        "partial",
        "partial of an instance",
        "plain def",
        "future",
        "lambda",
        "awaitable",
        "generator",
        "decorated",
    ],
)
def test_an_application_may_be(connect, app):
    client = connect(app)
    for _ in range(2):
        assert client.ask().body == b"hello"


def test_what_an_application_returns_does_not_matter(connect, serve):
    async def app(scope, receive, send):
        await answer(send, b"hello")
        return ["something"]

    server = serve(app)
    assert connect(server).ask().body == b"hello"
    assert server.exceptions == []


def test_receive_and_send_may_be_passed_by_any_name_and_position(connect):
    async def app(scope, *rest):
        await answer(rest[1], b"hello")

    assert connect(app).ask().body == b"hello"


def test_send_and_receive_can_be_wrapped(connect):
    async def app(scope, receive, send):
        async def shouting(message):
            if "body" in message:
                message = {**message, "body": message["body"].upper()}
            await send(message)

        async def doubled():
            message = await receive()
            return {**message, "body": message["body"] * 2}

        await answer(shouting, (await doubled())["body"])

    assert connect(app).ask(method="POST", body=b"ab").body == b"ABAB"
