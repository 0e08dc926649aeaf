"""`header_map`: what becomes of fields whose names have an underscore."""

from __future__ import annotations

import pytest

from tests.server.apps import Seen, answer

LONG = b"x_" + b"n" * 300
FIELDS = (
    b"x_a: 1\r\nx-a: 2\r\nContent_Length: 5\r\nTransfer_Encoding: chunked\r\n" + LONG + b": 3\r\n"
)
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n" + FIELDS + b"\r\n"


@pytest.fixture
def ask(connect, serve):
    def ask_with(**settings):
        seen = Seen()

        async def app(scope, receive, send):
            seen.put(scope["headers"])
            await answer(send, b"hello")

        client = connect(serve(app, **settings))
        client.send(REQUEST)
        return client, seen

    return ask_with


@pytest.mark.parametrize("settings", [{}, {"header_map": "drop"}], ids=["default", "drop"])
def test_drop_hides_them_from_the_application(ask, settings):
    client, seen = ask(**settings)
    assert client.response().status == 200
    assert seen.get() == [(b"host", b"a"), (b"x-a", b"2")]


def test_refuse_answers_400(ask):
    client, _ = ask(header_map="refuse")
    response = client.response()
    assert (response.status, response.get("connection")) == (400, "close")
    assert client.gone()


def test_dangerous_passes_them_on_and_acts_on_none(ask):
    client, seen = ask(header_map="dangerous")
    assert client.response().status == 200
    assert seen.get() == [
        (b"host", b"a"),
        (b"x_a", b"1"),
        (b"x-a", b"2"),
        (b"content_length", b"5"),
        (b"transfer_encoding", b"chunked"),
        (LONG, b"3"),
    ]
