"""The listening sockets, which the arbiter opens and the workers inherit.

Owns the address as the operator gave it and as it was bound. Must not know who accepts. Main thread
of the arbiter.

The sockets listen from the start, before a worker is ready: only a listening socket keeps another
process from taking the port, a client that is early waits in the backlog rather than being refused,
and a worker that is replaced leaves its queue to the next. The first accept still comes after the
lifespan's startup.
"""

from __future__ import annotations

import _socket
import os

from granite.errors import BootError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granite.settings.config import Config

__all__ = ["Listener", "open_listeners"]


class Listener:
    """One listening socket: its descriptor, and the URL under which it is reached."""

    __slots__ = ("fd", "url")

    def __init__(self, fd: int, url: str) -> None:
        self.fd = fd
        self.url = url

    def close(self) -> None:
        """Close the arbiter's descriptor; idempotent."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def open_listeners(config: Config) -> list[Listener]:
    """Open what `config` names; raise BootError, in one line, for an address that cannot be had."""
    try:
        family, address = _resolve(config.host, config.port)
        return [_open(family, address, config.backlog)]
    except OSError as exc:
        reason = (exc.strerror or str(exc)).lower()
        raise BootError(f"cannot listen on {_join(config.host, config.port)}: {reason}") from None


def _resolve(host: str, port: int) -> tuple[int, tuple[str, int]]:
    # A number needs no resolver, and getaddrinfo would load the idna codec and the system's
    # resolver libraries.
    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            _socket.inet_pton(family, host)
        except OSError:
            continue
        return family, (host, port)
    found = _socket.getaddrinfo(host or None, port, 0, _socket.SOCK_STREAM, 0, _socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    return int(family), (str(address[0]), port)


def _open(family: int, address: tuple[str, int], backlog: int) -> Listener:
    listener = _socket.socket(family, _socket.SOCK_STREAM)
    try:
        listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(backlog)
        listener.setblocking(False)
        host, port = listener.getsockname()[:2]
    except BaseException:
        listener.close()
        raise
    return Listener(listener.detach(), f"http://{_join(host, port)}")


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
