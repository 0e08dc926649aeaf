"""Responses that are cut short while their client takes nothing: a frame of theirs waits, of which
nothing may be sent any more, nor of anything else that lies where its octets were.
"""

from __future__ import annotations

import pytest

from tests.http2.wire import CANCEL, DATA, HEADERS, INTERNAL_ERROR, RST_STREAM
from tests.patience import PATIENCE
from tests.server.http2.endless import PATIENT_WINDOWS, Endless
from tests.server.http2.marks import plain_and_tls

pytestmark = pytest.mark.c_alone

SIZES = [300, 20_000, 100_000]  # of pieces: copied, and of several or less than one frame


def trailers(client, stream, endless):
    """That are refused: there are more fields than max_fields."""
    client.headers([(f"x{number}", "y") for number in range(101)], stream=stream)


def too_much(client, stream, endless):
    client.data(stream, bytes(1001))


def nothing(client, stream, endless):
    """Its time is over."""


def failure(client, stream, endless):
    """Of the application."""
    endless.failing.open()


CAUSES = pytest.mark.parametrize(
    ("cause", "settings", "code"),
    [
        pytest.param(trailers, {}, CANCEL, id="trailers"),
        pytest.param(too_much, {"max_body_size": 1000}, CANCEL, id="max_body_size"),
        pytest.param(nothing, {"request_timeout": 2}, CANCEL, id="request_timeout"),
        pytest.param(nothing, {"request_body_timeout": 2}, CANCEL, id="request_body_timeout"),
        pytest.param(failure, {}, INTERNAL_ERROR, id="failure"),
    ],
)


def cut(wire, server, endless, cause, code):
    """Have the response cut short; then the client takes what there is."""
    client, other = wire(server, **PATIENT_WINDOWS), wire(server)
    stream = endless.fill(server, client, method="POST", end=False)
    cause(client, stream, endless)
    assert endless.gone.wait(PATIENCE)
    for _ in range(5):  # which may lie where the pieces were
        other.answer(other.request())
    for found in client.frames():
        if found.kind == HEADERS:
            client.fields(found)
        elif found.kind == DATA:
            assert not found.payload.strip(b"x")
        elif found.kind == RST_STREAM:
            assert (found.stream, found.code) == (stream, code)
            break
    else:
        raise AssertionError("the connection has ended")
    last = client.request()
    assert client.answer(last)[":status"] == "200"
    assert client.until(DATA, last).payload.startswith(b"other ")


@plain_and_tls
@CAUSES
@pytest.mark.parametrize("size", SIZES)
def test_of_bytes(wire, serve, log, size, cause, settings, code):
    endless = Endless(size)
    cut(wire, serve(endless, **settings), endless, cause, code)


@plain_and_tls
@CAUSES
@pytest.mark.parametrize("size", SIZES)
def test_of_a_file(wire, serve, log, tmp_path, size, cause, settings, code):
    path = tmp_path / "file"
    path.write_bytes(b"x" * size)
    with path.open("rb") as file:
        endless = Endless(size, file)
        cut(wire, serve(endless, **settings), endless, cause, code)
