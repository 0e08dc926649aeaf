"""The listening sockets of one address.

Owns the descriptors: one that all workers share, or one for each slot. Must not know how an address
is chosen, nor who accepts. Main thread of the arbiter.

Theory of operation. The first socket of an address is bound and listens without SO_REUSEPORT, so
that a server that is there already, even one of the same user, is noticed, as is one that starts in
the same moment. Only then may further sockets of this process join it. From then on the kernel
deals connections to all of them, whether somebody accepts from them or not.
"""

from __future__ import annotations

import _socket
import os

from granite.arbiter.socket_options import set_tcp_options
from granite.errors import BootError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from granite.arbiter.unix import SocketFile
    from granite.settings.config import Config

__all__ = ["SHARED", "Listener", "bind_tcp"]

# The slot of a socket that is every worker's.
SHARED = 0


class Listener:
    """One address that is listened at, and the URL under which it is reached.

    `fds` are its sockets by slot, SHARED where it has but one for all; `fd` is the first of them,
    -1 once they are closed. `origin` is empty for what granite has opened; for a socket that was
    handed over it says by whom: `inherited`, `systemd`, or `systemd, NAME` where its unit names the
    descriptor. `tcp` is host and port, None for a Unix socket. `name` is what the settings asked
    for, as a successor of this server will ask for it; `claimed` says that it was a predecessor's,
    to which its file belongs until `tune()`.
    """

    __slots__ = ("_file", "claimed", "fd", "fds", "name", "origin", "tcp", "url")

    def __init__(
        self,
        fds: dict[int, int],
        url: str,
        *,
        name: str,
        tcp: tuple[str, int] | None = None,
        origin: str = "",
        file: SocketFile | None = None,
        claimed: bool = False,
    ) -> None:
        self.fds = fds
        self.fd = next(iter(fds.values()))
        self.tcp = tcp
        self.url = url
        self.name = name
        self.origin = origin
        self.claimed = claimed
        self._file = file

    def divisible(self) -> bool:
        """Whether slots can have sockets of their own here."""
        return self.tcp is not None and not self.origin

    def divide(self) -> None:
        """Let slots have sockets of their own; the shared one becomes that of slot 1. Raises
        OSError.
        """
        if SHARED in self.fds:
            self.fds[1] = self.fds.pop(SHARED)
        for fd in self.fds.values():
            sock = _socket.socket(fileno=fd)
            try:
                sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEPORT, 1)
            finally:
                sock.detach()

    def open_slot(self, slot: int, config: Config) -> int:
        """Return the socket of a slot of a divided address, made on first use; raise BootError."""
        if slot not in self.fds:
            sock = _socket.socket(fileno=self.fd)
            try:
                self.fds[slot] = _join(sock, config).detach()
            except OSError as exc:
                raise BootError(
                    f"cannot open a socket of worker {slot} at {self.url}: {reason(exc)}"
                ) from None
            finally:
                sock.detach()
        return self.fds[slot]

    def keep_slot(self, slot: int) -> None:
        """Close, in a child process, what is not that slot's: of a slot without a socket of its
        own, all but the first.
        """
        kept = self.fds.get(slot, self.fd)
        for fd in self.fds.values():
            if fd != kept:
                os.close(fd)
        self.fds = {slot: kept}
        self.fd = kept

    def tune(self, config: Config) -> None:
        """Own a predecessor's sockets, with the options that these settings want. What is refused
        stays as it is: the server is up.
        """
        self.claimed = False
        for fd in self.fds.values():
            sock = _socket.socket(fileno=fd)
            try:
                if self.tcp is not None:
                    set_tcp_options(sock, config)
                sock.listen(config.backlog)
            except (OSError, BootError):
                pass
            finally:
                sock.detach()
        if self._file is not None:
            self._file.give_to(config)

    def passing(self) -> list[tuple[str, int, int]]:
        """Return name, slot and descriptor of each socket, for a successor."""
        return [(self.name, slot, fd) for slot, fd in self.fds.items()]

    def close(self) -> None:
        """Close this process's descriptors; idempotent."""
        for fd in self.fds.values():
            os.close(fd)
        self.fds = {}
        self.fd = -1

    def remove(self) -> None:
        """Delete the file of a Unix socket that granite has made, unless a newer server has put its
        own in the place; idempotent. For the arbiter alone, never for a forked child.
        """
        if self._file is not None and not self.claimed:
            self._file.remove()
            self._file = None

    def disown(self) -> None:
        """Leave the file to a successor."""
        self._file = None


def bind_tcp(family: int, target: Any, ipv6_only: bool, config: Config) -> _socket.socket:
    """Return a socket that listens at `target`, alone; raise OSError."""
    sock = _new(family, ipv6_only, config)
    try:
        _listen(sock, target, config)
    except BaseException:
        sock.close()
        raise
    return sock


def _join(first: _socket.socket, config: Config) -> _socket.socket:
    """Return one more socket at the address of `first`."""
    ipv6_only = first.family == _socket.AF_INET6 and bool(
        first.getsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY)
    )
    sock = _new(first.family, ipv6_only, config)
    try:
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEPORT, 1)
        _listen(sock, first.getsockname(), config)
    except BaseException:
        sock.close()
        raise
    return sock


def _new(family: int, ipv6_only: bool, config: Config) -> _socket.socket:
    sock = _socket.socket(family, _socket.SOCK_STREAM)
    try:
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        if family == _socket.AF_INET6:
            # Said in any case: the system's default may be either.
            sock.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, int(ipv6_only))
        set_tcp_options(sock, config)
    except BaseException:
        sock.close()
        raise
    return sock


def _listen(sock: _socket.socket, target: Any, config: Config) -> None:
    sock.bind(target)
    sock.listen(config.backlog)
    sock.setblocking(False)
