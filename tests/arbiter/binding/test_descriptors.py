"""Sockets that the parent process hands over."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.arbiter.binding.sockets import Listen, connect, message
from tests.patience import PATIENCE


@pytest.mark.parametrize("listening", [True, False])
def test_an_inherited_descriptor(listen: Listen, listening: bool) -> None:
    parent = socket.socket()
    with parent:
        parent.bind(("127.0.0.1", 0))
        if listening:
            parent.listen()
        fd = os.dup(parent.fileno())
        os.set_inheritable(fd, True)
        [listener] = listen(bind=f"fd://{fd}")
        assert listener.fd == fd
        assert listener.url == f"http://127.0.0.1:{parent.getsockname()[1]}"
        assert listener.origin == "inherited"
        assert not os.get_inheritable(fd)
        assert not os.get_blocking(fd)
        connect(listener)
        listener.close()
        connect(listener)  # the parent still listens


def test_a_descriptor_that_is_named_twice(listen: Listen) -> None:
    with socket.create_server(("127.0.0.1", 0)) as parent:
        fd = os.dup(parent.fileno())
        [listener] = listen(bind=[f"fd://{fd}", "fd://" + str(fd)])
        assert listener.fd == fd


def test_an_inherited_unix_socket_is_not_removed(listen: Listen, path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as parent:
        parent.bind(str(path))
        [listener] = listen(bind=f"fd://{os.dup(parent.fileno())}")
        assert listener.url == f"unix:{path}"
        listener.close()
        listener.remove()
        assert path.exists()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: socket.socket(type=socket.SOCK_DGRAM), "got a datagram socket"),
        (socket.socket, "got one without an address"),
        (lambda: socket.socket(socket.AF_UNIX), "got one without an address"),
        (lambda: open(os.devnull), "the descriptor is no socket"),  # noqa: PTH123, SIM115
    ],
)
def test_descriptors_that_cannot_listen(make: Callable[[], Any], reason: str) -> None:
    with closing(make()) as file:
        said = message(bind=f"fd://{file.fileno()}")
        assert said.startswith(f"cannot listen on fd://{file.fileno()}: ")
        assert said.endswith(reason)
        os.fstat(file.fileno())  # it is still open


def test_a_connection_cannot_listen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname(), timeout=PATIENCE) as client:
            said = message(bind=f"fd://{client.fileno()}")
    assert said.endswith("expected a bound stream socket, got a connection")


def test_a_descriptor_that_is_not_open() -> None:
    said = message(bind="fd://987654")
    assert said == "cannot listen on fd://987654: the descriptor is not open"


def test_an_inherited_descriptor_stays_open_when_another_address_fails() -> None:
    with socket.create_server(("127.0.0.1", 0)) as parent:
        message(bind=[f"fd://{parent.fileno()}", "unix:/nowhere/x.sock"])
        assert parent.getsockname()[1] > 0
