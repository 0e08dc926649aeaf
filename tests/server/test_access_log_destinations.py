"""Where the lines of the access log go, and what becomes of them where nobody takes them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import select

import pytest

from granite import log as granite_log
from granite._core.accesslog import AccessLog
from granite.settings.access_format import compile_format
from granite.testing import TestServer
from tests.patience import PATIENCE
from tests.server.apps import answer, eventually, hello
from tests.server.logged import Logged
from tests.server.raw import Client

FORM = "%(path)s %(user_agent)s"


class Descriptor:
    """A sink that is but a descriptor."""

    stamps = False

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def fileno(self) -> int:
        return self.fd

    def write_lines(self, lines: bytes) -> None:
        raise AssertionError(lines)


@pytest.fixture
def onto(monkeypatch, serve):
    """A function that serves with an access log that is written to a descriptor."""

    def start(fd: int, form: str = FORM, app=hello, **settings) -> TestServer:
        made = AccessLog(compile_format(form), sink=Descriptor(fd))
        monkeypatch.setattr("granite.serving.access_log", lambda config, worker: made)
        return serve(app, **settings)

    return start


@pytest.fixture
def pipe():
    ours, theirs = os.pipe()
    yield ours, theirs
    for fd in (ours, theirs):
        with contextlib.suppress(OSError):  # a test may have closed it
            os.close(fd)


def ask(client: Client, count: int, agent: str = "x") -> None:
    for number in range(count):
        assert client.ask(f"/{number}", f"User-Agent: {agent}").status == 200


def read_all(fd: int, count: int) -> list[str]:
    """So many lines of a pipe."""
    data = b""
    while data.count(b"\n") < count:
        assert select.select([fd], [], [], PATIENCE)[0], data[-200:]
        data += os.read(fd, 65536)
    return data.decode().split("\n")[:-1]


def told_of(log) -> list[str]:
    """What is said of the access log, as soon as something is."""

    def said() -> list[str]:
        return [line for line in log.messages if "access log" in line]

    eventually(said)
    return said()


def test_a_full_pipe_holds_nobody_up(onto, connect, pipe):
    """What it does not take waits, within a bound, and comes whole when there is room again."""
    ours, theirs = pipe
    os.set_blocking(theirs, True)
    client = connect(onto(theirs))
    ask(client, 200, "y" * 1000)
    assert read_all(ours, 200) == [f"/{number} {'y' * 1000}" for number in range(200)]
    assert os.get_blocking(theirs)  # it is shared with others


def test_what_a_full_pipe_never_takes_is_lost(onto, connect, pipe, log):
    ours, theirs = pipe
    server = onto(theirs, max_head_size=65536)
    client = connect(server)
    ask(client, 100, "y" * 15_000)
    data = b""

    def told() -> list[str]:
        nonlocal data
        if select.select([ours], [], [], 0)[0]:
            data += os.read(ours, 65536)
        return [message for message in log.messages if "written again" in message]

    eventually(told)
    (lost,) = re.findall(r"the access log is written again, (\d+) lines were lost", told()[0])
    while data.count(b"\n") + int(lost) < 100:
        assert select.select([ours], [], [], PATIENCE)[0], (lost, data.count(b"\n"))
        data += os.read(ours, 65536)
    lines = data.decode().split("\n")[:-1]
    assert len(lines) + int(lost) == 100
    assert all(re.fullmatch(r"/\d+ y{15000}", line) for line in lines)


def test_a_pipe_that_nobody_reads_any_more(onto, connect, pipe, log):
    ours, theirs = pipe
    os.close(ours)
    ask(connect(onto(theirs)), 3)
    said = told_of(log)
    assert said == ["the access log cannot be written, lines are lost: Broken pipe"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
def test_a_full_disk(onto, connect, log):
    fd = os.open("/dev/full", os.O_WRONLY)
    try:
        ask(connect(onto(fd)), 3)
        said = told_of(log)
        assert said == ["the access log cannot be written, lines are lost: No space left on device"]
    finally:
        os.close(fd)


def test_a_socket(onto, connect):
    import socket

    ours, theirs = socket.socketpair()
    with ours, theirs:
        ask(connect(onto(theirs.fileno())), 300, "y" * 2000)
        assert len(read_all(ours.fileno(), 300)) == 300


def test_a_batch_is_one_write(serve, connect, tmp_path):
    """The lines of what was pipelined lie together, whoever else writes into the file."""
    logged = Logged(serve, tmp_path / "log")
    try:
        server = logged(hello, access_log_fmt=FORM)
        client = connect(server)
        client.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n" * 50)
        for _ in range(50):
            client.response()
        assert logged.lines(50) == ["/x -"] * 50
    finally:
        logged.restore()
        granite_log.close()


def test_after_the_file_was_moved(serve, connect, tmp_path):
    logged = Logged(serve, tmp_path / "log")
    try:
        client = connect(logged(hello, access_log_fmt="%(path)s"))
        client.ask("/before")
        assert logged.line() == "/before"
        logged.path.rename(tmp_path / "log.1")
        granite_log.reopen()
        client.ask("/after")
        assert logged.line() == "/after"
        assert (tmp_path / "log.1").read_text() == "/before\n"
    finally:
        logged.restore()
        granite_log.close()


def test_a_logger_of_the_standard_library(serve, connect, caplog):
    """Its handlers may write the message as it is: it is one line, and closes no quotes."""
    with caplog.at_level("INFO", "granite.access"):
        client = connect(serve(hello, access_log=True))
        client.send(
            b'GET /a%0ab?"c HTTP/1.1\r\nHost: a\r\n\r\nG\x1b\rT\xe9 /\x85" 200 HTTP/\x0b\r\n\r\n'
        )
        client.rest()
        eventually(lambda: len(_lines(caplog)) >= 2)
        texts = _lines(caplog)
    port = client.sock.getsockname()[1]
    assert texts == [
        rf'127.0.0.1:{port} - "GET /a%0ab?\x22c HTTP/1.1" 200',
        rf'127.0.0.1:{port} - "G\x1B\x0DT\xE9 /\x85\x22 200 HTTP/\x0B" 400',
    ]


def _lines(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "granite.access"]


def test_after_its_end():
    made = AccessLog(compile_format(FORM), sink=Descriptor(1))
    made.close()
    made.close()
    made.flush()
    made.reopened()
    assert made.closed


SEED = os.environ.get("GRANITE_FUZZ_SEED", "granite")
_FIELDS = ("User-Agent", "Referer", "X-Any", "Authorization")


def _octets(rng: random.Random, allowed: bytes) -> bytes:
    return bytes(rng.choice(allowed) for _ in range(rng.randrange(1, 40)))


def test_whatever_is_sent_is_one_line(serve, tmp_path):
    """Arbitrary octets in every part: each request is one line of printable ASCII, whose parts are
    told apart.
    """
    rng = random.Random(SEED)
    value = bytes(c for c in range(1, 256) if c not in b"\r\n")
    count = 150

    async def app(scope, receive, send):
        await answer(send, b"x", fields=[(b"x-echo", dict(scope["headers"]).get(b"x-any", b""))])

    atoms = "%(method)s\t%(target)s\t%({user-agent}i)s\t%({referer}i)s\t%({x-any}i)s\t%({x-any}i)s"
    logged = Logged(serve, tmp_path / "log")
    try:
        server = logged(app, access_log_fmt=atoms + "\t%(user)s\t%(r)s\t%(status)d\t%({x-echo}o)s")
        for _ in range(count):
            wild = {name: _octets(rng, value) for name in _FIELDS}
            target = b"/" + _octets(rng, value)
            method = rng.choice((b"GET", _octets(rng, value)))
            client = Client(server.host, server.port)
            lines = [b"%b %b HTTP/1.1" % (method, target), b"Host: a"]
            lines += [b"%b: %b" % (name.encode(), text) for name, text in wild.items()]
            try:
                client.send(b"\r\n".join(lines) + b"\r\n\r\n")
                client.end()
                client.gone()
            except (ConnectionResetError, BrokenPipeError):
                pass
            finally:
                client.close()
        eventually(lambda: logged.path.read_bytes().count(b"\n") == count)
    finally:
        logged.restore()
        granite_log.close()
    data = logged.path.read_bytes()
    assert set(data) <= set(range(32, 127)) | {9, 10}
    for line in data.decode().split("\n")[:-1]:
        parts = line.split("\t")
        assert len(parts) == 10, line
        for part in parts:
            assert "\\" not in re.sub(r"\\x[0-9A-F]{2}", "", part)


def test_json_is_json_whatever_is_sent(serve, tmp_path):
    rng = random.Random(SEED)
    value = bytes(c for c in range(33, 256) if c != 127) + b" \t"
    logged = Logged(serve, tmp_path / "log")
    agents = [_octets(rng, value).strip() or b"x" for _ in range(100)]
    try:
        server = logged(hello, access_log_fmt="json")
        client = Client(server.host, server.port)
        for agent in agents:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: %b\r\n\r\n" % agent)
            assert client.response().status == 200
        client.close()
        records = logged.records(len(agents))
    finally:
        logged.restore()
        granite_log.close()
    assert [record["user_agent"].encode("latin-1") for record in records] == agents
    assert all(json.dumps(record) for record in records)
