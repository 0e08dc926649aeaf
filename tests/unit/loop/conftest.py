"""Event loops of this kind, and connected sockets."""

from __future__ import annotations

import socket

import pytest

from granite._core.loop import Loop


@pytest.fixture
def loop():
    made = Loop()
    yield made
    made.close()


@pytest.fixture
def pair():
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    yield ends
    for end in ends:
        end.close()
