"""Clients that speak another protocol than the one that is set: the log says which."""

from __future__ import annotations

import pytest

from tests.server.apps import hello

PROXY_V2 = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x16\x03\x01\x00\xf0\x01\x00", "a TLS handshake came"),
        (b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n", "a header of the PROXY protocol came"),
        (PROXY_V2, "a header of the PROXY protocol came"),
        (b"\x00\x01\x02\x03", "the request line has an octet that is not allowed there"),
    ],
)
def test_what_is_no_http(serve, connect, log, data, message):
    client = connect(serve(hello))
    client.send(data)
    assert client.response().status == 400
    (line,) = log.messages
    assert f": 400, {message}" in line
