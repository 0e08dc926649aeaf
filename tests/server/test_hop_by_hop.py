"""Fields of responses that are about the connection (RFC 9110, 7.6.1), and so the server's."""

from __future__ import annotations

import pytest

from tests.server.apps import body, sending, start


def answering(*fields, status=200):
    return sending(start(status, *fields), body(b"hello"))


@pytest.mark.parametrize("coding", [b"chunked", b"Chunked", b"gzip, chunked", b"identity", b""])
@pytest.mark.parametrize("name", [b"transfer-encoding", b"Transfer-Encoding"])
def test_a_transfer_encoding_is_a_500(connect, serve, log, name, coding):
    server = serve(answering((name, coding)))
    client = connect(server)
    for _ in range(2):
        response = client.ask()
        assert (response.status, response.framing) == (500, "length")
        assert response.get("transfer-encoding") is None
    assert [type(error) for error in server.exceptions] == [RuntimeError] * 2
    assert "leave it out" in str(server.exceptions[0])
    assert len(log.messages) == 2


@pytest.mark.parametrize(
    "value", [b"close", b"Close", b"keep-alive, close", b"x,\tCLOSE ,y", b",close,"]
)
def test_close_is_honoured_as_an_element_of_the_list(connect, value):
    client = connect(answering((b"Connection", value)))
    response = client.ask()
    assert response.all("connection") == ["close"]
    assert client.gone()


@pytest.mark.parametrize(
    "value", [b"keep-alive", b"closed", b"x-close", b"not close", b"upgrade", b"", b"close;x"]
)
def test_nothing_else_that_connection_says_is(connect, value):
    client = connect(answering((b"connection", value)))
    for _ in range(2):
        response = client.ask()
        assert (response.body, response.get("connection")) == (b"hello", None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"keep-alive", b"timeout=5"),
        (b"Proxy-Connection", b"keep-alive"),
        (b"TE", b"trailers"),
        (b"Upgrade", b"h2,h2c"),
    ],
)
def test_what_comes_from_another_connection_is_dropped(connect, name, value):
    response = connect(answering((name, value), (b"x-kept", b"1"))).ask()
    assert response.status == 200
    assert response.get(name.decode().lower()) is None
    assert response.get("x-kept") == "1"


def test_426_says_what_to_upgrade_to(connect):
    """RFC 9110, 15.5.22 and 7.8."""
    client = connect(answering((b"upgrade", b"other/2"), status=426))
    for _ in range(2):
        response = client.ask()
        assert (response.status, response.get("upgrade")) == (426, "other/2")
        assert response.get("connection") == "keep-alive, upgrade"


def test_426_of_a_connection_that_closes(connect):
    fields = (b"upgrade", b"other/2"), (b"connection", b"close")
    client = connect(answering(*fields, status=426))
    assert client.ask().get("connection") == "close, upgrade"
    assert client.gone()
