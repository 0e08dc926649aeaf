"""Offers to upgrade the connection that the server does not take, those of WebSockets among them
where these are off: the request is served as if there were none, and what follows it is the next
request (RFC 9110, section 7.8).
"""

from __future__ import annotations

import asyncio

import pytest

from tests.server.apps import answer, body_of
from tests.server.loops import both_loops
from tests.server.raw import chunked, request

OFFERS = {
    "h2c": [
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
    ],
    "websocket": [
        "Connection: keep-alive, Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ],
    "several": ["Connection: upgrade", "Upgrade: TLS/1.0, foo/2, h2c"],
    "unlisted": ["Upgrade: websocket"],
    "unknown": ["Connection: Upgrade", "Upgrade: something/1.0"],
}
BODIES = {
    "none": ([], b""),
    "length": (["Content-Length: 5"], b"hello"),
    "chunked": (["Transfer-Encoding: chunked"], chunked(b"he", b"llo")),
}


async def app(scope, receive, send):
    assert scope["type"] == "http"
    if scope["path"] == "/late":
        await asyncio.sleep(0)
    data = await body_of(receive)
    offers = [value for name, value in scope["headers"] if name == b"upgrade"]
    await answer(send, b"%b %b %d" % (scope["raw_path"], data, len(offers)))


def offering(path: str, offer: str, of: str) -> bytes:
    fields, data = BODIES[of]
    return request(path, *OFFERS[offer], *fields, method="POST" if data else "GET") + data


def said(path: str, of: str, offers: int = 1) -> bytes:
    data = b"hello" if of != "none" else b""
    return b"%b %b %d" % (path.encode(), data, offers)


@both_loops
@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("of", BODIES)
@pytest.mark.parametrize("path", ["/eager", "/late"])
def test_an_offer_is_ignored(connect, offer, of, path):
    client = connect(app, ws=False)
    for _ in range(2):
        client.send(offering(path, offer, of))
        response = client.response()
        assert (response.status, response.body) == (200, said(path, of))
        assert response.get("upgrade") is None
        assert response.get("connection") is None
    assert client.ask("/plain").body == said("/plain", "none", 0)


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("of", BODIES)
@pytest.mark.parametrize("path", ["/eager", "/late"])
@pytest.mark.parametrize("per_byte", [False, True])
def test_what_follows_an_offer_is_the_next_request(connect, offer, of, path, per_byte):
    client = connect(app, ws=False)
    message = offering(path, offer, of) + request("/behind") + offering(path, offer, of)
    (client.send_per_byte if per_byte else client.send)(message)
    assert client.response().body == said(path, of)
    assert client.response().body == said("/behind", "none", 0)
    assert client.response().body == said(path, of)
    assert client.silent(0.02)


def test_the_preface_of_http_2_behind_an_offer_is_not_taken_either(connect):
    client = connect(app, ws=False)
    client.send(offering("/a", "h2c", "none") + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert client.response().body == said("/a", "none")
    assert client.response().status == 505
    assert client.gone()


def test_http_1_0_offers_nothing(connect):
    client = connect(app, ws=False)
    client.send(b"GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert client.response().body == said("/", "none")
    assert client.ended()
