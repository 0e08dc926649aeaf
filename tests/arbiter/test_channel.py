"""The messages between a worker and its arbiter."""

from __future__ import annotations

import os
import resource
import socket
import threading
from pathlib import Path

import pytest

from granite.arbiter.channel import ACCEPT, BEAT, FAILED, READY, Channel, Reporter, open_channel


@pytest.fixture
def ends():
    channel, fd = open_channel()
    reporter = Reporter(fd)
    yield channel, reporter
    channel.close()
    reporter.close()


def test_messages_arrive_whole_and_in_order(ends):
    channel, reporter = ends
    assert channel.receive() == []
    reporter.ready()
    reporter.failed(3, "naïve")
    assert reporter.send(BEAT, b"\x00" * 500)
    assert channel.receive() == [
        (READY, b""),
        (FAILED, b"\x03" + "naïve".encode()),
        (BEAT, b"\x00" * 500),
    ]
    reporter.close()
    assert channel.receive() == []
    assert channel.fd == -1
    assert channel.receive() == []
    assert not channel.send(ACCEPT)


def test_a_message_that_arrives_in_pieces():
    mine, theirs = socket.socketpair()
    channel = Channel(mine.detach())
    data = FAILED + b"\x00" + (6).to_bytes(4, "big") + b"\x01hello"
    for index in range(len(data) - 1):
        theirs.send(data[index : index + 1])
        assert channel.receive() == []
    theirs.send(data[-1:])
    assert channel.receive() == [(FAILED, b"\x01hello")]
    theirs.close()
    channel.close()
    channel.close()


def test_descriptors_arrive_with_their_message(ends):
    channel, reporter = ends
    pairs = [socket.socketpair() for _ in range(3)]
    fds = [theirs.fileno() for _, theirs in pairs]
    assert channel.send(BEAT, b"before")
    assert channel.send(ACCEPT, b"1", fds[:2])
    assert channel.send(BEAT)
    assert channel.send(ACCEPT, b"2", fds[2:])
    first, second, third, fourth = reporter.receive()
    assert (first[1], first[2], third[2]) == (b"before", [], [])
    assert (second[1], fourth[1]) == (b"1", b"2")
    received = second[2] + fourth[2]
    for (mine, theirs), fd in zip(pairs, received, strict=True):
        theirs.close()
        assert not os.get_inheritable(fd)
        os.write(fd, b"x")
        assert mine.recv(1) == b"x"
        os.close(fd)
        mine.close()


def test_descriptors_that_nobody_took_are_closed():
    channel, fd = open_channel()
    mine, theirs = socket.socketpair()
    with socket.socket(fileno=os.dup(channel.fd)) as raw:  # a message that never becomes whole
        socket.send_fds(raw, [ACCEPT + b"\x01" + (9).to_bytes(4, "big")], [theirs.fileno()])
    reporter = Reporter(fd)
    assert reporter.receive() == []
    theirs.close()
    reporter.close()
    assert mine.recv(1) == b""
    mine.close()
    channel.close()


def test_who_does_not_read_delays_nobody(ends):
    channel, reporter = ends
    sent = 0
    while reporter.send(BEAT, bytes([sent % 256]) * 5000):
        sent += 1
    assert sent > 10
    assert not reporter.send(BEAT, b"dropped")
    arrived = channel.receive()
    assert [payload[:1] for _, payload in arrived[: sent - 1]] == [
        bytes([index % 256]) for index in range(sent - 1)
    ]
    assert reporter.send(BEAT, b"after")  # with what was left of the last one
    arrived += channel.receive()
    assert len(arrived) == sent + 1
    assert arrived[-1] == (BEAT, b"after")


def test_a_worker_outlives_its_arbiter():
    channel, fd = open_channel()
    channel.close()
    reporter = Reporter(fd)
    reporter.ready()
    assert not reporter.send(BEAT)
    before = reporter.gone
    assert reporter.receive() == []
    assert (before, reporter.gone) == (False, True)
    reporter.close()


def test_neither_end_survives_an_exec(ends):
    assert not any(os.get_inheritable(end.fd) for end in ends)


def test_what_is_no_message_ends_the_conversation():
    mine, theirs = socket.socketpair()
    channel = Channel(mine.detach())
    theirs.send(READY + b"\x00" + (0).to_bytes(4, "big") + b"C\x00\xff\xff\xff\xff" + b"x" * 1000)
    assert channel.receive() == [(READY, b"")]
    assert channel.fd == -1
    with pytest.raises(OSError, match="Broken pipe"):
        theirs.send(b"x")
    theirs.close()


def test_who_never_stops_is_heard_in_turns(ends):
    channel, reporter = ends
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            reporter.send(BEAT, bytes(5000))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(20):
            assert len(channel.receive()) <= 16 * 65536 // 5000 + 1
    finally:
        done.set()
        writer.join()


def test_a_message_whose_descriptors_find_no_room_is_dropped(ends):
    channel, reporter = ends
    pipe = os.pipe()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert channel.send(BEAT, b"before")
    assert channel.send(ACCEPT, b"1", pipe)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(pipe) + 1, limit[1]))
        taken = [os.dup(0) for _ in range(holes(max(pipe)))]
        try:
            assert reporter.receive() == [(BEAT, b"before", [])]
        finally:
            for fd in taken:
                os.close(fd)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    assert channel.send(ACCEPT, b"2", pipe)
    ((_, payload, fds),) = reporter.receive()
    assert (payload, len(fds)) == (b"2", 2)
    for fd in (*fds, *pipe):
        os.close(fd)


def holes(most: int) -> int:
    """Return how many descriptors up to `most` are free."""
    return sum(not Path(f"/proc/self/fd/{fd}").is_symlink() for fd in range(most + 1))
