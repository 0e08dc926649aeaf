"""The messages between a worker and its arbiter."""

from __future__ import annotations

import os

from granite.arbiter.channel import FAILED, READY, Reporter, open_channel


def test_messages_arrive_whole_and_in_order():
    channel, fd = open_channel()
    reporter = Reporter(fd)
    assert channel.receive() == []
    reporter.ready()
    reporter.failed(3, "naïve")
    assert channel.receive() == [(READY, b""), (FAILED, b"\x03" + "naïve".encode())]
    os.close(fd)
    assert channel.receive() == []
    assert channel.fd == -1


def test_a_message_that_arrives_in_pieces():
    channel, fd = open_channel()
    data = FAILED + (6).to_bytes(4, "big") + b"\x01hello"
    for index in range(len(data) - 1):
        os.write(fd, data[index : index + 1])
        assert channel.receive() == []
    os.write(fd, data[-1:])
    assert channel.receive() == [(FAILED, b"\x01hello")]
    os.close(fd)
    channel.close()
    channel.close()


def test_a_worker_outlives_its_arbiter():
    channel, fd = open_channel()
    channel.close()
    Reporter(fd).ready()
    assert os.read(fd, 1) == b""
    os.close(fd)


def test_neither_end_survives_an_exec():
    channel, fd = open_channel()
    assert not os.get_inheritable(channel.fd)
    assert not os.get_inheritable(fd)
    channel.close()
    os.close(fd)
