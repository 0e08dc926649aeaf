"""The sockets of slots: shared ones, one for each, and what a successor makes of them."""

from __future__ import annotations

import errno
import os
import select
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from granite.arbiter.listeners import Listener, open_listeners
from granite.arbiter.slot_sockets import SlotSockets
from granite.arbiter.unix import remove_named
from granite.errors import BootError
from granite.settings.config import Config
from tests.arbiter.binding.sockets import connect, ipv6, linux, message, port_of
from tests.patience import PATIENCE
from tests.ports import unused_port

pytestmark = linux

Divide = Callable[..., SlotSockets]


class Inherited:
    """The sockets of a former server, in the place of `granite.arbiter.inherited`."""

    def __init__(self, listeners: list[Listener]) -> None:
        self._passed = [
            (name, slot, os.dup(fd))
            for listener in listeners
            for name, slot, fd in listener.passing()
        ]

    def claim(self, name: str) -> list[tuple[int, int]]:
        return [(slot, fd) for known, slot, fd in self._passed if known == name]

    def activated(self) -> list[tuple[int, str]]:
        return []


@pytest.fixture
def divide() -> Iterator[Divide]:
    """Make the sockets of these settings, with `reuse_port` unless they say otherwise; they are
    closed and removed at the end. `listeners` of the result has their listeners.
    """
    made: list[SlotSockets] = []
    known: list[Listener] = []

    def divide(inherited: Any = None, wait: bool = False, **settings: Any) -> SlotSockets:
        config = Config(**{"reuse_port": True, "bind": ["127.0.0.1:0"], **settings})
        listeners = open_listeners(config, {}, inherited)
        known.extend(listeners)
        made.append(SlotSockets(listeners, config, wait=wait))
        return made[-1]

    yield divide
    for sockets in made:
        sockets.close()
    for listener in known:
        listener.remove()


def listeners_of(sockets: SlotSockets) -> list[Listener]:
    return sockets._listeners


def option(fd: int, level: int, name: int) -> int:
    with socket.socket(fileno=os.dup(fd)) as sock:
        return sock.getsockopt(level, name)


def backlog(fd: int) -> int:
    with socket.socket(fileno=os.dup(fd)) as sock:
        # The field that counts acknowledged segments of a connection (tcpi_sacked).
        found = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
    return int.from_bytes(found[28:32], sys.byteorder)


def address(fd: int) -> Any:
    with socket.socket(fileno=os.dup(fd)) as sock:
        return sock.getsockname()


def accepted(fds: tuple[int, ...], clients: int) -> list[int]:
    """How many of so many connections each of these sockets gets."""
    counts = dict.fromkeys(fds, 0)
    with_names = {fd: socket.socket(fileno=os.dup(fd)) for fd in fds}
    to = address(fds[0])[:2]
    opened = [socket.create_connection(to, timeout=PATIENCE) for _ in range(clients)]
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    while sum(counts.values()) < clients:
        ready = poll.poll(5000)
        assert ready, f"{counts} of {clients} connections arrived"
        for fd, _ in ready:
            with_names[fd].accept()[0].close()
            counts[fd] += 1
    for sock in (*opened, *with_names.values()):
        sock.close()
    return list(counts.values())


def test_shared(divide: Divide) -> None:
    sockets = divide(reuse_port=False)
    [listener] = listeners_of(sockets)
    assert sockets.shared
    assert sockets.for_slot(1) == sockets.for_slot(7) == (listener.fd,)
    assert sockets.slots() == set()
    assert len(sockets.sharing()) == 1  # no pool: whoever wants a connection accepts it


def test_a_socket_for_each(divide: Divide) -> None:
    sockets = divide(tcp_user_timeout=3.0, backlog=117)
    assert not sockets.shared
    assert sockets.slots() == {1}
    first, second, third = (sockets.for_slot(slot)[0] for slot in (1, 2, 5))
    assert len({first, second, third}) == 3
    assert sockets.for_slot(2) == (second,)
    assert sockets.slots() == {1, 2, 5}
    for fd in (first, second, third):
        assert address(fd) == address(first)
        assert not os.get_inheritable(fd)
        assert not os.get_blocking(fd)
        assert option(fd, socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert option(fd, socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 3000
        assert backlog(fd) == 117
    assert all(accepted((first, second, third), 90))


@ipv6
def test_both_families_at_one_port(divide: Divide) -> None:
    port = unused_port()
    sockets = divide(bind=[f"[::]:{port}", f"0.0.0.0:{port}"])
    for slot in (1, 2):
        six, four = sockets.for_slot(slot)
        assert address(six)[:2] == ("::", port)
        assert address(four) == ("0.0.0.0", port)
        assert option(six, socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


@ipv6
def test_both_stacks(divide: Divide) -> None:
    sockets = divide(bind=["[::]:0"])
    assert option(sockets.for_slot(2)[0], socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 0


def test_what_is_always_shared(divide: Divide, path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as parent:
        given = os.dup(parent.fileno())
        sockets = divide(bind=[f"unix:{path}", "127.0.0.1:0", f"fd://{given}"])
        one, two = sockets.for_slot(1), sockets.for_slot(2)
        assert (one[0], one[2]) == (two[0], two[2]) == (listeners_of(sockets)[0].fd, given)
        assert one[1] != two[1]
    assert divide(bind=[f"unix:{path}.2"]).shared


@pytest.mark.parametrize("reuse_port", [True, False])
@pytest.mark.parametrize("slots", [1, 3])
def test_another_server_is_noticed(divide: Divide, reuse_port: bool, slots: int) -> None:
    sockets = divide()
    for slot in range(1, slots + 1):
        sockets.for_slot(slot)
    taken = f"127.0.0.1:{port_of(listeners_of(sockets)[0])}"
    said = message(bind=taken, reuse_port=reuse_port)
    assert said == f"cannot listen on {taken}: address already in use"
    all_of_them = tuple(sockets.for_slot(slot)[0] for slot in range(1, slots + 1))
    assert all(accepted(all_of_them, 30 * slots))


def test_a_stranger_that_lets_others_join_is_noticed() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        said = message(bind=taken, reuse_port=True)
    assert said == f"cannot listen on {taken}: address already in use"


def test_a_slot_whose_socket_cannot_be_had(divide: Divide, monkeypatch: pytest.MonkeyPatch) -> None:
    sockets = divide()

    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))

    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    monkeypatch.setattr("granite.arbiter.listener._listen", refuse)
    with pytest.raises(BootError) as caught:
        sockets.for_slot(2)
    url = listeners_of(sockets)[0].url
    assert (
        str(caught.value) == f"cannot open a socket of worker 2 at {url}: no buffer space available"
    )
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    assert sockets.slots() == {1}


def test_only_linux(divide: Divide, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(BootError, match=r"^reuse_port: only Linux deals connections out"):
        divide()


def test_a_child_keeps_its_own(divide: Divide, path: Path) -> None:
    sockets = divide(bind=["127.0.0.1:0", f"unix:{path}"])
    others = [sockets.for_slot(slot)[0] for slot in (1, 3)]
    kept = sockets.for_slot(2)
    sockets.leave_in_child(2)  # as if this were the child
    assert sockets.for_slot(2) == kept
    for fd in kept:
        os.fstat(fd)
    for fd in others:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_nothing_stays_open(divide: Divide) -> None:
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    sockets = divide()
    sockets.for_slot(2)
    [listener] = listeners_of(sockets)
    sockets.close()
    sockets.close()
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    with pytest.raises(ConnectionRefusedError):
        connect(listener)
    sockets.gone(1, 17)


def test_the_board(divide: Divide) -> None:
    """The arbiter says how many seats are in use, and clears that of a dead worker."""
    sockets = divide()
    board, take, give = sockets.sharing()
    assert len({board, take, give}) == 3
    assert not any(os.get_inheritable(fd) for fd in (board, take, give))

    def number(seat: int, place: int = 0) -> int:
        return int.from_bytes(os.pread(board, 4, seat * 64 + place), sys.byteorder)

    assert number(0, 4) == 0
    sockets.for_slot(1)
    sockets.for_slot(3)
    sockets.for_slot(2)
    assert number(0, 4) == 3
    os.pwrite(board, (4711).to_bytes(4, sys.byteorder), 3 * 64)
    sockets.gone(3, 4712)  # its successor has the seat
    sockets.gone(2, 4711)
    assert number(3) == 4711
    sockets.gone(3, 4711)
    assert number(3) == 0
    sockets.gone(1024, 4711)
    sockets.for_slot(1025)  # more than there are seats
    assert number(0, 4) == 3


def test_without_a_board(divide: Divide, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> int:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "memfd_create", refuse)
    sockets = divide()
    assert sockets.sharing() == ()
    sockets.for_slot(2)
    sockets.gone(2, 17)
    sockets.close()


def test_a_successor_has_the_same_sockets(divide: Divide) -> None:
    old = divide()
    former = [address(old.for_slot(slot)[0]) for slot in (1, 2)]
    new = divide(Inherited(listeners_of(old)), wait=True, tcp_user_timeout=3.0)
    [listener] = listeners_of(new)
    assert listener.claimed
    assert new.slots() == {1, 2}
    assert [address(new.for_slot(slot)[0]) for slot in (1, 2)] == former
    own = new.for_slot(2)[0]
    assert option(own, socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0
    # A third socket would get connections before it is certain that the successor succeeds.
    assert new.for_slot(3) == new.for_slot(1)
    listener.tune(Config(tcp_user_timeout=3.0))
    assert option(own, socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 3000
    new.go_on()
    assert new.for_slot(3) != new.for_slot(1)
    old.close()
    assert all(accepted(tuple(new.for_slot(slot)[0] for slot in (1, 2, 3)), 90))


def test_a_successor_divides_what_was_shared(divide: Divide) -> None:
    old = divide(reuse_port=False)
    new = divide(Inherited(listeners_of(old)), wait=True)
    assert new.slots() == set()
    assert new.for_slot(1) == new.for_slot(2)
    new.go_on()
    assert new.slots() == {1}
    one, two = new.for_slot(1), new.for_slot(2)
    old.close()
    assert all(accepted((*one, *two), 60))


def test_a_successor_shares_what_was_divided(divide: Divide) -> None:
    old = divide()
    for slot in (1, 2, 3):
        old.for_slot(slot)
    new = divide(Inherited(listeners_of(old)), reuse_port=False)
    assert new.shared
    assert len(new.for_slot(1)) == 3
    assert new.for_slot(1) == new.for_slot(2)


def test_a_child_of_a_slot_without_a_socket(divide: Divide) -> None:
    old = divide()
    for slot in (1, 2):
        old.for_slot(slot)
    new = divide(Inherited(listeners_of(old)), wait=True)
    [shared] = new.for_slot(4)
    new.leave_in_child(4)
    assert new.for_slot(4) == (shared,)


@pytest.mark.parametrize("kind", ["file", "abstract"])
def test_a_successor_has_the_same_unix_socket(divide: Divide, path: Path, kind: str) -> None:
    where = f"unix:{path}" if kind == "file" else f"unix:@granite/test/{os.getpid()}"
    old = divide(bind=[where])
    new = divide(Inherited(listeners_of(old)), bind=[where], uds_permissions=0o600)
    [listener] = listeners_of(new)
    assert listener.claimed
    old.close()
    connect(listener)
    if kind == "abstract":
        return
    listener.remove()
    assert path.exists(), "it is the former server's until this one has taken over"
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    listener.tune(Config(uds_permissions=0o600))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    listener.remove()
    assert not path.exists()


def test_a_successor_does_not_take_a_file_that_was_replaced(divide: Divide, path: Path) -> None:
    old = divide(bind=[f"unix:{path}"])
    inherited = Inherited(listeners_of(old))
    path.unlink()
    new = divide(inherited, bind=[f"unix:{path}"])
    assert not listeners_of(new)[0].claimed
    listeners_of(old)[0].remove()
    assert path.exists()


def test_the_file_of_an_address_that_is_no_longer_wanted(divide: Divide, path: Path) -> None:
    [listener] = listeners_of(divide(bind=[f"unix:{path}"]))
    [(name, _, _)] = listener.passing()
    path.rename(f"{path}.moved")
    path.touch()
    remove_named(name)
    assert path.exists(), "it is another's file"
    Path(f"{path}.moved").replace(path)
    remove_named(name)
    remove_named(name)
    assert not path.exists()


def test_a_descriptor_by_its_former_number(divide: Divide) -> None:
    with socket.create_server(("127.0.0.1", 0)) as parent:
        given = os.dup(parent.fileno())
        old = divide(bind=[f"fd://{given}"])
        new = divide(Inherited(listeners_of(old)), bind=[f"fd://{given}"])
        [listener] = listeners_of(new)
        assert listener.claimed
        assert listener.fd != given
        assert listener.url == listeners_of(old)[0].url
