"""The listening sockets, which the arbiter opens and the workers inherit.

Owns the addresses as the operator gave them and as they were bound. Must not know who accepts. Main
thread of the arbiter.

The sockets listen from the start, before a worker is ready: only a listening socket keeps another
process from taking the port, a client that is early waits in the backlog rather than being refused,
and a worker that is replaced leaves its queue to the next. The first accept still comes after the
lifespan's startup.
"""

from __future__ import annotations

import _socket
import errno
import os

from granite.arbiter import systemd
from granite.arbiter.socket_options import set_tcp_options
from granite.errors import BootError, reason
from granite.settings.address import ABSTRACT, DESCRIPTOR, TCP, UNIX, Address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from typing import Any

    from granite.arbiter.unix import SocketFile
    from granite.settings.config import Config

__all__ = ["Listener", "open_listeners"]

# A name may resolve to an address of a family that this machine does not have, such as ::1 in a
# container without IPv6.
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class Listener:
    """One listening socket: its descriptor, and the URL under which it is reached.

    `origin` is empty for a socket that granite has opened; for one that was handed over it says by
    whom: `inherited`, `systemd`, or `systemd, NAME` where its unit names the descriptor. `tcp` is
    host and port, None for a Unix socket.
    """

    __slots__ = ("_file", "fd", "origin", "tcp", "url")

    def __init__(
        self,
        fd: int,
        url: str,
        *,
        tcp: tuple[str, int] | None = None,
        origin: str = "",
        file: SocketFile | None = None,
    ) -> None:
        self.tcp = tcp
        self.fd = fd
        self.url = url
        self.origin = origin
        self._file = file

    def close(self) -> None:
        """Close this process's descriptor; idempotent."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def remove(self) -> None:
        """Delete the file of a Unix socket that granite has made, unless a newer server has put its
        own in the place; idempotent. For the arbiter alone, never for a forked child.
        """
        if self._file is not None:
            self._file.remove()
            self._file = None


def open_listeners(config: Config, environ: MutableMapping[str, str]) -> list[Listener]:
    """Open what `config` names, or take over what systemd passes; raise BootError, in one line, for
    an address that cannot be had. Then nothing that was opened is left behind.

    `bind` replaces `uds`, which replaces `host` and `port`. Sockets that systemd passes replace all
    of these but the `fd://N` of `bind`. A host name is listened on at every address that it
    resolves to and that the machine has, with port 0 at the same port. `[::]` also takes IPv4,
    unless another address of `bind` has the port for IPv4.

    A descriptor that was handed over belongs to the listener from then on: it is made non-blocking,
    no longer reaches programs that the application starts, and is closed with the listener.
    `environ` loses the variables of socket activation if they are meant for this process.
    """
    passed = systemd.listen_fds(environ)
    addresses = _addresses(config)
    if passed:
        addresses = [address for address in addresses if address.kind == DESCRIPTOR]
    named = {address.fd for address in addresses if address.kind == DESCRIPTOR}
    opened: list[Listener] = []
    try:
        for fd, name in passed:
            if fd not in named:
                origin = f"systemd, {name}" if name else "systemd"
                opened.append(_adopt(fd, f"descriptor {fd} of {origin}", origin, config))
        for address in addresses:
            if all(listener.fd != address.fd for listener in opened):  # it may be named twice
                opened += _open(address, addresses, config)
    except BaseException:
        _give_up(opened)
        raise
    return opened


def _addresses(config: Config) -> list[Address]:
    if config.bind:
        return [Address.parse(text) for text in config.bind]
    if config.uds is not None:
        return [Address(UNIX, name=config.uds)]
    host = "0.0.0.0" if config.host == "*" else config.host
    return [Address(TCP, host=host, port=config.port)]


def _give_up(opened: list[Listener]) -> None:
    for listener in opened:
        listener.remove()
        if not listener.origin:  # else it was open before
            listener.close()


def _open(address: Address, others: list[Address], config: Config) -> list[Listener]:
    if address.kind == DESCRIPTOR:
        return [_adopt(address.fd, str(address), "inherited", config)]
    try:
        if address.kind == TCP:
            ipv4_elsewhere = address.port != 0 and any(
                other.kind == TCP and other.port == address.port and ":" not in other.host
                for other in others
            )
            return _open_tcp(address, ipv4_elsewhere, config)
        # Lazily: most servers have no Unix socket.
        from granite.arbiter.unix import open_abstract, open_file

        if address.kind == ABSTRACT:
            return [Listener(open_abstract(address.name, config.backlog), str(address))]
        fd, file = open_file(address.name, config)
        return [Listener(fd, str(address), file=file)]
    except (OSError, UnicodeError) as exc:  # the latter from a host name that cannot be encoded
        raise BootError(f"cannot listen on {address}: {_reason(exc)}") from None


def _open_tcp(address: Address, ipv6_only: bool, config: Config) -> list[Listener]:
    opened: list[Listener] = []
    absent: OSError | None = None
    port = address.port
    try:
        for family, target in _resolve(address.host, port):
            try:
                sock = _bind(family, (target[0], port, *target[2:]), ipv6_only, config)
            except OSError as exc:
                if exc.errno not in _NOT_HERE:
                    raise
                absent = absent or exc
                continue
            port = sock.getsockname()[1]
            tcp = target[0], port
            opened.append(Listener(sock.detach(), _url(tcp, config), tcp=tcp))
        if absent is not None and not opened:
            raise absent
    except BaseException:
        _give_up(opened)
        raise
    return opened


def _resolve(host: str, port: int) -> list[tuple[int, Any]]:
    # A number needs no resolver, and getaddrinfo would load the idna codec and the system's
    # resolver libraries.
    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            _socket.inet_pton(family, host)
        except OSError:
            continue
        return [(family, (host, port))]
    found = _socket.getaddrinfo(host, port, 0, _socket.SOCK_STREAM, 0, _socket.AI_PASSIVE)
    # The same address may come twice, from two lines of /etc/hosts.
    return list(dict.fromkeys((int(family), target) for family, _, _, _, target in found))


def _bind(family: int, target: Any, ipv6_only: bool, config: Config) -> _socket.socket:
    sock = _socket.socket(family, _socket.SOCK_STREAM)
    try:
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        if family == _socket.AF_INET6:
            # Said in any case: the system's default may be either.
            sock.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, int(ipv6_only))
        set_tcp_options(sock, config)
        sock.bind(target)
        sock.listen(config.backlog)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _adopt(fd: int, label: str, origin: str, config: Config) -> Listener:
    """Take over a socket that the parent process has bound."""
    try:
        sock = _socket.socket(fileno=fd)
    except OSError as exc:
        raise BootError(f"cannot listen on {label}: {_reason(exc)}") from None
    try:
        _check(sock)
        if sock.family != _socket.AF_UNIX:
            set_tcp_options(sock, config)
        if not sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ACCEPTCONN):
            sock.listen(config.backlog)
        sock.setblocking(False)
        os.set_inheritable(fd, False)
        name = sock.getsockname()
        tcp = None if sock.family == _socket.AF_UNIX else (name[0], name[1])
        return Listener(fd, _url(name, config), tcp=tcp, origin=origin)
    except OSError as exc:
        raise BootError(f"cannot listen on {label}: {_reason(exc)}") from None
    except ValueError as exc:
        raise BootError(
            f"cannot listen on {label}: expected a bound stream socket, {exc}"
        ) from None
    finally:
        sock.detach()


def _check(sock: _socket.socket) -> None:
    """Raise ValueError, with what it is, unless the socket listens or can be made to."""
    if sock.family not in (_socket.AF_INET, _socket.AF_INET6, _socket.AF_UNIX):
        raise ValueError(f"got one of the address family {sock.family}")
    if sock.type != _socket.SOCK_STREAM:
        kinds = {_socket.SOCK_DGRAM: "a datagram socket", _socket.SOCK_SEQPACKET: "a packet socket"}
        raise ValueError(f"got {kinds.get(sock.type, 'another kind')}")
    name = sock.getsockname()
    if not (name if sock.family == _socket.AF_UNIX else name[1]):
        raise ValueError("got one without an address")
    try:
        sock.getpeername()
    except OSError:
        return
    raise ValueError("got a connection")


def _reason(exc: OSError | UnicodeError) -> str:
    if isinstance(exc, OSError):
        if exc.errno == errno.EBADF:
            return "the descriptor is not open"
        if exc.errno == errno.ENOTSOCK:
            return "the descriptor is no socket"
        return reason(exc).lower()
    return "the host name cannot be encoded"


def _url(name: Any, config: Config) -> str:
    """Return the URL of a socket's own name."""
    if isinstance(name, str):
        return f"unix:{name}"
    if isinstance(name, bytes):
        return f"unix:@{os.fsdecode(name[1:])}"
    scheme = "https" if config.ssl_certificate else "http"
    return f"{scheme}://{Address(TCP, host=name[0], port=name[1])}"
