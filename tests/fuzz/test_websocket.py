"""Broken WebSockets against a real server: whatever comes, it answers and closes, goes on serving,
keeps nothing and logs no error; and what an application hears of it does not depend on how the
bytes came.

What is broken are conversations of messages in frames, compressed ones among them: opcodes, bits,
lengths, masks, texts, codes, single bits anywhere. `GRANITE_FUZZ_SEED` picks another seed,
`GRANITE_FUZZ_COUNT` the number of conversations.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import random
import socket
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from granite.testing import TestServer
from tests.patience import PATIENCE
from tests.server.websocket.client import OFFER, handshake
from tests.wire.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close, frame, parse

SEED = os.environ.get("GRANITE_FUZZ_SEED", "granite")
COUNT = int(os.environ.get("GRANITE_FUZZ_COUNT", "150"))
SETTINGS: tuple[dict[str, Any], ...] = (
    {"ws_max_message_size": 2000, "ws_deflate_threshold": 10},
    {"ws_deflate_server_context": True, "ws_deflate_client_context": True, "ws_max_queue": 1},
    {"ws_per_message_deflate": False, "body_high_water": 1024, "ws_max_fragments": 5},
)


@pytest.fixture(autouse=True)
def _no_errors_are_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.WARNING, "granite.error")
    yield
    assert caplog.records == []


class Heard:
    """An application that keeps what it hears, and says some of it again."""

    def __init__(self) -> None:
        self.conversations: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()

    async def __call__(self, scope, receive, send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        heard: list[Any] = []
        while (message := await receive())["type"] == "websocket.receive":
            heard.append(message.get("text", message.get("bytes")))
            with contextlib.suppress(OSError):
                await send({**message, "type": "websocket.send"})
        # The text of a reason is the client's, or the server's.
        self.conversations.put([*heard, message["code"]])


def payload(rng: random.Random) -> bytes:
    return rng.choice(
        (b"", b"plain", rng.randbytes(rng.randrange(300)), "grün€𝄞".encode() * rng.randrange(300))
    )


def conversation(rng: random.Random) -> bytes:
    """Frames, mostly as they should be, with up to two faults."""
    data = b""
    for _ in range(rng.randrange(1, 10)):
        kind, content, way = rng.choice((TEXT, BINARY)), payload(rng), rng.randrange(12)
        if way < 4:
            data += frame(kind, content, mask=rng.randbytes(4))
        elif way < 7:
            cuts = sorted(rng.randrange(len(content) + 1) for _ in range(rng.randrange(1, 5)))
            pieces = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]
            for number, piece in enumerate(pieces):
                last = number == len(pieces) - 1
                data += frame(CONTINUATION if number else kind, piece, final=last)
                data += frame(PING, b"between") if rng.random() < 0.3 else b""
        elif way < 9:
            stream = zlib.compressobj(wbits=-15)
            body = stream.compress(content) + stream.flush(zlib.Z_SYNC_FLUSH)
            data += frame(kind, body.removesuffix(b"\0\0\xff\xff"), reserved=4)
        elif way == 9:
            data += frame(rng.choice((PING, PONG)), content[:125])
        elif way == 10:
            data += frame(
                rng.randrange(16),
                content[:125],
                final=rng.random() < 0.5,
                reserved=rng.choice((0, 0, 1, 2, 4)),
            )
        else:
            data += frame(kind, content[:20], length=rng.choice((0, 125, 126, 65536, 1 << 62)))
    if rng.random() < 0.7:
        data += rng.choice((close(1000), close(), close(4999, "bye"), frame(CLOSE, b"\3")))
    for _ in range(rng.choice((0, 0, 1, 2))):
        at = rng.randrange(len(data))
        data = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    return data


def talk(server: TestServer, data: bytes, cuts: list[int], *, with_handshake: bool) -> bytes:
    """Send `data` in pieces, and return what the server answers to its end."""
    with contextlib.closing(socket.create_connection((server.host, server.port), 30)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answer = b""
        head = handshake("/", OFFER)
        with contextlib.suppress(OSError):
            if with_handshake:
                sock.sendall(head + data[: cuts[0]])
            else:
                sock.sendall(head)
            while b"\r\n\r\n" not in answer:
                answer += sock.recv(65536) or b"\r\n\r\n"
            start = cuts[0] if with_handshake else 0
            for a, b in zip([start, *cuts], [*cuts, len(data)], strict=True):
                sock.sendall(data[a:b] if a < b else b"")
            sock.shutdown(socket.SHUT_WR)
            while piece := sock.recv(65536):
                answer += piece
        return answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("settings", SETTINGS, ids=["small", "contexts", "slow"])
def test_what_is_heard(settings):
    rng = random.Random(f"{SEED} websocket {settings}")
    app = Heard()
    with TestServer(app, lifespan="off", ws_close_timeout=5.0, **settings) as server:
        for number in range(COUNT // len(SETTINGS)):
            data = conversation(rng)
            expected = None
            for way in range(3):
                count = rng.randrange(1, 8) if way else 1
                cuts = sorted(rng.randrange(len(data) + 1) for _ in range(count))
                answer = talk(server, data, cuts if way else [0], with_handshake=way == 1)
                heard = app.conversations.get(timeout=PATIENCE)
                where = f"seed {SEED!r}, conversation {number}, way {way}: {data!r}"
                assert parse(answer)[1] == b"", where
                assert expected in (None, heard), where
                expected = heard
        assert talk(server, frame(TEXT, b"on") + close(1000), [0], with_handshake=False)
        assert app.conversations.get(timeout=PATIENCE) == ["on", 1000]
    assert {name: count for name, count in server.counters().items() if count} == {}
    assert server.exceptions == []
