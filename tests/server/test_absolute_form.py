"""Targets that name a scheme, over connections that are secured or not (RFC 9110, 7.4)."""

from __future__ import annotations

import pytest

from tests.server.apps import Seen, answer


@pytest.fixture
def ask(connect, serve):
    def ask_for(target, **settings):
        seen = Seen()

        async def app(scope, receive, send):
            seen.put((scope["scheme"], scope["headers"][0]))
            await answer(send, b"hello")

        client = connect(serve(app, **settings))
        client.request(target)
        return client, seen

    return ask_for


def test_https_needs_a_secured_connection(ask):
    client, _ = ask("https://b/c", forwarded_allow_ips="")
    response = client.response()
    assert (response.status, response.get("connection")) == (421, "close")
    assert client.gone()


def test_a_trusted_proxy_may_have_secured_it(ask):
    client, seen = ask("https://b/c", forwarded_allow_ips="127.0.0.1")
    assert client.response().status == 200
    assert seen.get() == ("http", (b"host", b"b"))


@pytest.mark.parametrize("transport", ["tls"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_secured_connection_serves_both(ask, scheme):
    client, seen = ask(f"{scheme}://b/c", forwarded_allow_ips="")
    assert client.response().status == 200
    assert seen.get() == ("https", (b"host", b"b"))
