"""Syslog as a destination, with real sockets for the daemon."""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import pytest

from granite import log
from granite.errors import BootError
from granite.settings.config import Config
from tests.patience import PATIENCE
from tests.ports import unused_port
from tests.unit.log.records import access


class Daemon:
    """A syslog daemon on a Unix datagram socket, UDP or TCP."""

    def __init__(self, kind: str, folder: Path, port: int = 0) -> None:
        self.kind = kind
        family = socket.AF_UNIX if kind.startswith("unix") else socket.AF_INET
        stream = kind in ("tcp", "unix-stream")
        self.socket = socket.socket(family, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE)
        if family == socket.AF_UNIX:
            self.path = folder / "log.sock"
            self.path.unlink(missing_ok=True)
            self.socket.bind(str(self.path))
            self.destination = f"syslog://{self.path}"
        else:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(("127.0.0.1", port))
            self.port = self.socket.getsockname()[1]
            self.destination = f"syslog+{kind}://127.0.0.1:{self.port}"
        if stream:
            self.socket.listen()
        self.connections: list[socket.socket] = []
        self.file: BinaryIO | None = None

    def receive(self) -> str:
        if self.socket.type == socket.SOCK_DGRAM:
            return self.socket.recv(65536).decode()
        if self.file is None:
            connection, _ = self.socket.accept()
            connection.settimeout(PATIENCE)
            self.connections.append(connection)
            self.file = connection.makefile("rb")
        if self.kind == "tcp":
            size = b""
            while (digit := self.file.read(1)) != b" ":
                size += digit
            return self.file.read(int(size)).decode()
        message = b""
        while (byte := self.file.read(1)) != b"\0":
            message += byte
        return message.decode()

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
        for connection in [*self.connections, self.socket]:
            connection.close()


KINDS = ["unix", "unix-stream", "udp", "tcp"]


@pytest.mark.parametrize("kind", KINDS)
def test_syslog(tmp_path, kind):
    with closing(Daemon(kind, tmp_path)) as daemon:
        config = Config(
            log_file=daemon.destination,
            access_log=True,
            access_log_file=daemon.destination,
            syslog_facility="local3",
            syslog_tag="my app",
        )
        log.Log(config).error("broken\nx", exc_info=ValueError("why"))
        log.configure(config)
        access("/seen")
        first, second = daemon.receive(), daemon.receive()
    assert first.startswith("<155>")
    assert second.startswith("<158>")
    first, _, details = first.partition("\n")
    assert details == "  ValueError: why"
    pid = os.getpid()
    if kind.startswith("unix"):
        assert first[5:].split(None, 3)[3] == rf"my_app[{pid}]: broken\nx"
        assert second.endswith(f'my_app[{pid}]: 127.0.0.1:5 - "GET /seen HTTP/1.1" 200')
    else:
        head = f"{os.uname().nodename} my_app {pid} - - "
        version, stamp, rest = first[5:].split(None, 2)
        assert version == "1"
        assert abs(datetime.fromisoformat(stamp[:-1] + "+00:00").timestamp() - time.time()) < 60
        assert rest == head + r"broken\nx"
        assert second.endswith(head + '127.0.0.1:5 - "GET /seen HTTP/1.1" 200')


@pytest.mark.parametrize("kind", KINDS)
def test_syslog_json(tmp_path, kind):
    with closing(Daemon(kind, tmp_path)) as daemon:
        log.Log(Config(log_file=daemon.destination, log_format="json")).info("x")
        message = daemon.receive()
    assert json.loads(message[message.index("{") :])["message"] == "x"


@pytest.mark.parametrize("kind", KINDS)
def test_syslog_bounds_lines(tmp_path, kind):
    with closing(Daemon(kind, tmp_path)) as daemon:
        log.Log(Config(log_file=daemon.destination)).info("ü" * 100_000)
        message = daemon.receive()
    assert 8000 < len(message.encode()) <= 8192


@pytest.mark.parametrize("kind", KINDS)
def test_syslog_that_is_away_and_comes_back(tmp_path, monkeypatch, kind):
    monkeypatch.setattr("granite.log.syslog._PAUSE", 0.0)
    port = unused_port()  # which stays free while nobody listens there
    daemon = Daemon(kind, tmp_path, port)
    daemon.close()
    if kind.startswith("unix"):
        daemon.path.unlink()
    writer = log.Log(Config(log_file=daemon.destination))
    writer.info("lost")
    writer.info("lost")
    for number in range(2):
        with closing(Daemon(kind, tmp_path, port)) as daemon:
            writer.info("maybe lost")  # this one may meet the refusal of the one before
            writer.info(f"seen {number}")
            while (message := daemon.receive()).endswith("maybe lost"):
                pass
            assert message.endswith(f"seen {number}")
        writer.info("lost")


@pytest.mark.parametrize("kind", KINDS)
def test_syslog_that_does_not_read_blocks_nobody(tmp_path, kind):
    with closing(Daemon(kind, tmp_path)) as daemon:
        writer = log.Log(Config(log_file=daemon.destination))
        began = time.monotonic()
        for _ in range(2000):
            writer.info("x" * 5000)
        assert time.monotonic() - began < PATIENCE
        log.close()


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_syslog_after_a_fork(tmp_path, kind):
    """Each process has its own stream: frames do not mix."""
    with closing(Daemon(kind, tmp_path)) as daemon:
        writer = log.Log(Config(log_file=daemon.destination))
        child = os.fork()
        if child == 0:
            try:
                writer.info("child")
                log.close()
            finally:
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        writer.info("parent")
        if kind == "unix":
            found = [daemon.receive(), daemon.receive()]
        else:
            found = [daemon.receive()]
            daemon.file = None
            found.append(daemon.receive())
    assert sorted(message.rsplit(None, 1)[1] for message in found) == ["child", "parent"]
    assert any(str(child) in message for message in found)


def test_syslog_that_is_away_at_the_start(tmp_path, capfd):
    config = Config(log_file=f"syslog://{tmp_path}/log.sock", access_log_file="syslog:///no")
    log.Log(config)
    log.configure(config)
    told = f"nobody listens at {tmp_path}/log.sock; lines are lost until somebody does"
    assert capfd.readouterr().err == f"granite: syslog: {told}\n"
    with closing(Daemon("unix", tmp_path)) as daemon:
        log.close()
        log.Log(config).info("x")
        assert daemon.receive().endswith(": x")
    assert capfd.readouterr().err == ""


def test_syslog_with_a_path_that_is_too_long():
    with pytest.raises(BootError, match="path too long"):
        log.Log(Config(log_file="syslog:///" + "x" * 200))


def test_syslog_on_a_host_without_an_address():
    with pytest.raises(BootError, match=r"cannot open the log 'syslog.udp://nowhere.invalid'"):
        log.Log(Config(log_file="syslog+udp://nowhere.invalid"))
