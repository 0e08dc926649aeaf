"""The port at which a server is asked how it does: /metrics, /healthz, /readyz and /stats.

Owns the listening socket, and what is answered. Must not know how the numbers come together, nor
how the arbiter works. Main thread of the arbiter, on whose loop it is: so it answers whatever the
workers are busy with, and says by answering that this loop turns.
"""

from __future__ import annotations

import _socket
import time

from granite.errors import BootError, reason
from granite.metrics import http, priority, prometheus, summary
from granite.metrics.clients import Clients
from granite.metrics.view import Seen
from granite.settings.address import TCP, Address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from granite.arbiter.poller import Poller
    from granite.metrics.view import View
    from granite.settings.config import Config

__all__ = ["Exporter"]

_PATHS = ("/metrics", "/healthz", "/readyz", "/stats")
_TEXT = "text/plain; charset=utf-8"
_BACKLOG = 128
# Connections that are accepted in one turn of the loop.
_AT_ONCE = 16
# Seconds to wait where the system has no descriptor left.
_PAUSE = 1.0
_NEVER = float("inf")


class Exporter:
    """Serve what `view` shows on the address of the settings, or on the listening socket `fd` that
    another process has handed over. Raises BootError, in one line, if that cannot be had.
    """

    __slots__ = (
        *("_clients", "_host", "_interval", "_name", "_poller", "_resume_at", "_socket"),
        *("_started_at", "_urgent", "_view"),
    )

    def __init__(self, config: Config, poller: Poller, view: View, fd: int = -1) -> None:
        self._host = "0.0.0.0" if config.metrics_address == "*" else config.metrics_address
        self._socket = _socket.socket(fileno=fd) if fd >= 0 else self._open(config.metrics_port)
        self._socket.setblocking(False)
        self._name = f"metrics:{config.metrics_address}:{config.metrics_port}"
        self._interval = config.metrics_scrape_interval
        self._poller = poller
        self._view = view
        self._started_at = time.time()
        self._clients = Clients(poller, self._answer)
        self._resume_at = _NEVER
        poller.register(self.fd, self._accept)
        self._urgent = priority.raise_()

    @property
    def fd(self) -> int:
        """The descriptor of the listening socket, -1 once it is closed."""
        return self._socket.fileno()

    @property
    def url(self) -> str:
        """Where Prometheus finds the metrics."""
        name: Any = self._socket.getsockname()
        return f"http://{Address(TCP, host=name[0], port=name[1])}/metrics"

    def passing(self) -> list[tuple[str, int, int]]:
        """Return what another process takes over with `fd`: the name of the address as the settings
        have it, no slot, and the descriptor.
        """
        return [(self._name, 0, self.fd)]

    def next_deadline(self) -> float:
        """Return the monotonic time at which `manage` has something to do."""
        return min(self._resume_at, self._clients.next_deadline())

    def manage(self, now: float) -> None:
        """Do what is due at the monotonic time `now`."""
        if now >= self._resume_at:
            self.go_on()
        self._clients.manage(now)

    def hold(self) -> None:
        """Accept nobody, until `go_on()`; who comes waits, or finds another process that accepts,
        and so does who was answered: his connection ends. Idempotent.
        """
        self._resume_at = _NEVER
        self._poller.unregister(self.fd)
        self._clients.closing = True

    def go_on(self) -> None:
        """End `hold()`; idempotent."""
        self.hold()
        self._poller.register(self.fd, self._accept)
        self._clients.closing = False

    def finish(self, now: float) -> bool:
        """Accept nobody any more, and answer those who were accepted; return whether that is done.
        To be called after each turn of the loop until it is, a second at most.
        """
        if self.fd >= 0:
            self.hold()
            self._socket.close()
        return self._clients.finish(now)

    def close(self) -> None:
        """Close the socket and all connections; idempotent."""
        if self.fd >= 0:
            self.hold()
            self._socket.close()
        self._clients.close()
        if self._urgent:
            self._urgent = False
            priority.lower()

    def close_in_child(self) -> None:
        """Give up, in a forked child, what is the arbiter's."""
        self._socket.close()
        self._clients.close_in_child()

    def _open(self, port: int) -> _socket.socket:
        address = Address(TCP, host=self._host, port=port)
        try:
            family, target = _resolve(self._host, port)
            sock = _socket.socket(family, _socket.SOCK_STREAM)
            try:
                sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
                if family == _socket.AF_INET6:  # as with listeners, [::] takes IPv4, too
                    sock.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 0)
                sock.bind(target)
                sock.listen(_BACKLOG)
            except BaseException:
                sock.close()
                raise
        except (OSError, UnicodeError) as exc:
            why = reason(exc) if isinstance(exc, OSError) else "no such name"
            raise BootError(
                f"cannot serve metrics on {address}: {why}; see metrics_address and metrics_port"
            ) from None
        return sock

    def _accept(self, events: int) -> None:
        for _ in range(_AT_ONCE):
            try:
                fd, _ = self._socket._accept()  # type: ignore[attr-defined]  # socket's own way
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:  # no descriptor is left
                if not self._clients.give_way():
                    self.hold()
                    self._resume_at = time.monotonic() + _PAUSE
                return
            self._clients.add(fd)

    def _answer(self, request: http.Request) -> bytes:
        fields: tuple[str, ...] = ()
        if request.path not in _PATHS:
            status, kind, text = 404, _TEXT, f"expected one of {', '.join(_PATHS)}\n"
        elif request.method not in ("GET", "HEAD"):
            status, kind, text = 405, _TEXT, "expected GET or HEAD\n"
            fields = ("Allow: GET, HEAD",)
        else:
            try:
                status, kind, text = self._content(request.path)
            except Exception as exc:  # the server goes on, and who asks is told
                status, kind, text = 500, _TEXT, f"{type(exc).__name__}: {exc}\n"
        return http.response(
            status,
            kind,
            text.encode("utf-8", "backslashreplace"),
            last=request.last,
            head_only=request.method == "HEAD",
            fields=fields,
        )

    def _content(self, path: str) -> tuple[int, str, str]:
        if path == "/healthz":
            return 200, _TEXT, "ok\n"
        if path == "/readyz":
            if self._view.ready:
                return 200, _TEXT, "ready\n"
            return 503, _TEXT, f"not ready: {self._view.reason}\n"
        seen = Seen(self._view, self._started_at)
        if path == "/metrics":
            return 200, prometheus.CONTENT_TYPE, prometheus.render(seen)
        return 200, summary.CONTENT_TYPE, summary.render(seen, self._interval)


def _resolve(host: str, port: int) -> tuple[int, Any]:
    """Return the family and the address of a host; as with listeners, a number needs no
    resolver.
    """
    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            _socket.inet_pton(family, host)
        except OSError:
            continue
        return family, (host, port)
    found = _socket.getaddrinfo(host, port, 0, _socket.SOCK_STREAM, 0, _socket.AI_PASSIVE)
    return int(found[0][0]), found[0][4]
