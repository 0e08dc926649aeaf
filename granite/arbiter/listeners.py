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
from granite.arbiter.listener import SHARED, Listener, bind_tcp
from granite.arbiter.socket_options import set_tcp_options
from granite.errors import BootError, reason
from granite.settings.address import ABSTRACT, DESCRIPTOR, TCP, Address, addresses_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from typing import Any

    from granite.arbiter.inherited import Inherited
    from granite.settings.config import Config

__all__ = ["Listener", "open_listeners"]

# A name may resolve to an address of a family that this machine does not have, such as ::1 in a
# container without IPv6.
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def open_listeners(
    config: Config, environ: MutableMapping[str, str], inherited: Inherited | None = None
) -> list[Listener]:
    """Open what `config` names, or take over what systemd passes; raise BootError, in one line, for
    an address that cannot be had. Then nothing that was opened is left behind. What `inherited` has
    of these addresses is taken as it is, without a change of its options.

    `bind` replaces `uds`, which replaces `host` and `port`. Sockets that systemd passes replace all
    of these but the `fd://N` of `bind`. A host name is listened on at every address that it
    resolves to and that the machine has, with port 0 at the same port. `[::]` also takes IPv4,
    unless another address of `bind` has the port for IPv4. What has the port of
    `ssl_redirect_port` comes last.

    A descriptor that was handed over belongs to the listener from then on: it is made non-blocking,
    no longer reaches programs that the application starts, and is closed with the listener.
    `environ` loses the variables of socket activation if they are meant for this process.
    """
    passed = systemd.listen_fds(environ) if inherited is None else inherited.activated()
    addresses = addresses_of(config.bind, config.uds, config.host, config.port)
    if passed:
        addresses = [address for address in addresses if address.kind == DESCRIPTOR]
    named = {address.fd for address in addresses if address.kind == DESCRIPTOR}
    opened: list[Listener] = []
    try:
        for fd, name in passed:
            if fd not in named:
                origin = f"systemd, {name}" if name else "systemd"
                label = f"descriptor {fd} of {origin}"
                found = {SHARED: fd}
                opened.append(
                    _adopt(found, label, origin, f"systemd:{name}", config, inherited is not None)
                )
        for address in addresses:
            if all(listener.fd != address.fd for listener in opened):  # it may be named twice
                opened += _open(address, addresses, config, inherited)
        redirecting = _redirecting(opened, config)
        for address in redirecting:
            opened += _open(address, redirecting, config, inherited)
    except BaseException:
        _give_up(opened)
        raise
    # One that was handed over may come first, and is not what the server is reached by.
    return sorted(opened, key=lambda listener: _redirects(listener.tcp, config))


def _redirecting(opened: list[Listener], config: Config) -> list[Address]:
    """Return where requests are redirected to TLS: at the same hosts, unless a socket of that port
    was handed over.
    """
    port = config.ssl_redirect_port
    bound = [listener.tcp for listener in opened if listener.tcp is not None]
    if not port or any(_redirects(tcp, config) for tcp in bound):
        return []
    if not bound:
        raise BootError("ssl_redirect_port: expected a TCP address to redirect to, got none")
    return [Address(TCP, host=host, port=port) for host in dict.fromkeys(host for host, _ in bound)]


def _redirects(tcp: tuple[str, int] | None, config: Config) -> bool:
    return tcp is not None and tcp[1] == config.ssl_redirect_port


def _give_up(opened: list[Listener]) -> None:
    for listener in opened:
        listener.remove()
        if not listener.origin:  # else it was open before
            listener.close()


def _claim(inherited: Inherited | None, name: str) -> dict[int, int]:
    return dict(inherited.claim(name)) if inherited is not None else {}


def _open(
    address: Address, others: list[Address], config: Config, inherited: Inherited | None
) -> list[Listener]:
    if address.kind == DESCRIPTOR:
        name = f"fd:{address.fd}"
        claimed = _claim(inherited, name)
        fds = claimed or {SHARED: address.fd}
        return [_adopt(fds, str(address), "inherited", name, config, bool(claimed))]
    try:
        if address.kind == TCP:
            ipv4_elsewhere = address.port != 0 and any(
                other.kind == TCP and other.port == address.port and ":" not in other.host
                for other in others
            )
            return _open_tcp(address, ipv4_elsewhere, config, inherited)
        return [_open_unix(address, config, inherited)]
    except (OSError, UnicodeError) as exc:  # the latter from a host name that cannot be encoded
        raise BootError(f"cannot listen on {address}: {_reason(exc)}") from None


def _open_unix(address: Address, config: Config, inherited: Inherited | None) -> Listener:
    # Lazily: most servers have no Unix socket.
    from granite.arbiter.unix import SocketFile, open_abstract, open_file

    url = str(address)
    if address.kind == ABSTRACT:
        claimed = _claim(inherited, url)
        fds = claimed or {SHARED: open_abstract(address.name, config.backlog)}
        return Listener(fds, url, name=url, claimed=bool(claimed))
    if inherited is not None:
        try:
            file = SocketFile(address.name)
        except FileNotFoundError:
            pass
        else:
            if claimed := _claim(inherited, file.name):
                return Listener(claimed, url, name=file.name, file=file, claimed=True)
    fd, file = open_file(address.name, config)
    return Listener({SHARED: fd}, url, name=file.name, file=file)


def _open_tcp(
    address: Address, ipv6_only: bool, config: Config, inherited: Inherited | None
) -> list[Listener]:
    opened: list[Listener] = []
    absent: OSError | None = None
    port = address.port
    try:
        for family, target in _resolve(address.host, port):
            name = f"tcp:{target[0]}:{address.port}"
            claimed = _claim(inherited, name)
            try:
                if claimed:
                    sock = _socket.socket(fileno=next(iter(claimed.values())))
                else:
                    sock = bind_tcp(family, (target[0], port, *target[2:]), ipv6_only, config)
            except OSError as exc:
                if exc.errno not in _NOT_HERE:
                    raise
                absent = absent or exc
                continue
            port = sock.getsockname()[1]
            tcp = target[0], port
            fds = claimed or {SHARED: sock.fileno()}
            sock.detach()
            opened.append(
                Listener(fds, _url(tcp, config), name=name, tcp=tcp, claimed=bool(claimed))
            )
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


def _adopt(
    fds: dict[int, int], label: str, origin: str, name: str, config: Config, claimed: bool
) -> Listener:
    """Take over a socket that the parent process has bound; one that was `claimed` is ready."""
    [fd] = fds.values()
    try:
        sock = _socket.socket(fileno=fd)
    except OSError as exc:
        raise BootError(f"cannot listen on {label}: {_reason(exc)}") from None
    try:
        _check(sock)
        if sock.family != _socket.AF_UNIX and not claimed:
            set_tcp_options(sock, config)
        if not sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ACCEPTCONN):
            sock.listen(config.backlog)
        sock.setblocking(False)
        os.set_inheritable(fd, False)
        own = sock.getsockname()
        tcp = None if sock.family == _socket.AF_UNIX else (own[0], own[1])
        url = _url(own, config)
        return Listener(fds, url, name=name, tcp=tcp, origin=origin, claimed=claimed)
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
        return reason(exc)
    return "the host name cannot be encoded"


def _url(name: Any, config: Config) -> str:
    """Return the URL of a socket's own name."""
    if isinstance(name, str):
        return f"unix:{name}"
    if isinstance(name, bytes):
        return f"unix:@{os.fsdecode(name[1:])}"
    secure = config.ssl_certificate and not _redirects((name[0], name[1]), config)
    scheme = "https" if secure else "http"
    return f"{scheme}://{Address(TCP, host=name[0], port=name[1])}"
