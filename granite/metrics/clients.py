"""The connections of the metrics' port: bytes in, answers out, without ever waiting.

Owns their sockets, their deadlines and how many there are. Must not know what is answered. Main
thread of the arbiter, on whose loop they are.

Theory of operation. A connection reads until it has the head of a request, answers, and reads
again; what comes while an answer is being sent stays in the socket. Each turn of the loop answers
at most one request of a connection, so that who sends many at once does not keep the arbiter from
its work. After its last answer a connection lingers: it says that it has ended and drops what still
comes until the client closes, since closing with something unread would take the answer away from
the client. Whoever is too slow is closed. Where there are too many, the one that has been quiet the
longest gives way: a probe gets in, whatever others do. At the end (`finish`) each connection gets
the answer to what it asks, or is about to ask: a probe that was accepted is not reset.
"""

from __future__ import annotations

import _socket
import select
import time

from granite.metrics.http import LARGEST_HEAD, BadRequest, head_length, parse, response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from granite.arbiter.poller import Poller
    from granite.metrics.http import Request

__all__ = ["Clients"]

_MOST = 64
# Seconds: for a request from its first byte on, until the next one, for some progress of an answer,
# and for the client to close.
_HEAD_TIME = 5.0
_IDLE_TIME = 90.0
_SEND_TIME = 10.0
_LINGER_TIME = 1.0
# At the end: for the request of a client that has just come, or just asked, and for all the rest.
_FINISH_TIME = 1.0


class _Client:
    __slots__ = ("answer", "deadline", "fd", "heard", "last", "lingers", "received", "socket")

    def __init__(self, fd: int, now: float) -> None:
        self.socket = _socket.socket(fileno=fd)
        self.socket.setblocking(False)
        self.fd = fd
        self.received = b""
        self.answer = b""  # what is yet to be sent
        self.last = False  # that is the end
        self.lingers = False
        self.heard = now
        self.deadline = now + _HEAD_TIME


class Clients:
    """All connections. `answer` makes a whole response of a request. While `closing`, each answer
    is the last one of its connection.
    """

    __slots__ = ("_answer", "_clients", "_finish_at", "_poller", "_waiting", "closing")

    def __init__(self, poller: Poller, answer: Callable[[Request], bytes]) -> None:
        self._poller = poller
        self._answer = answer
        self._clients: dict[int, _Client] = {}
        self._waiting: list[_Client] = []  # with another request in `received`
        self._finish_at = float("inf")
        self.closing = False

    def add(self, fd: int) -> None:
        """Serve a connection that was accepted."""
        if len(self._clients) >= _MOST:
            self.give_way()
        client = self._clients[fd] = _Client(fd, time.monotonic())
        self._poller.register(fd, lambda events: self._go_on(client))
        self._go_on(client)  # most have sent their request by now

    def give_way(self) -> bool:
        """Close the connection that has been quiet the longest; return False if there is none."""
        if not self._clients:
            return False
        self._close(min(self._clients.values(), key=lambda client: client.heard))
        return True

    def next_deadline(self) -> float:
        """Return the monotonic time at which `manage` has something to do."""
        if self._waiting:
            return 0.0
        return min((client.deadline for client in self._clients.values()), default=float("inf"))

    def manage(self, now: float) -> None:
        """Answer requests that wait, and close connections whose time is up."""
        waiting, self._waiting = self._waiting, []
        for client in waiting:
            if client.fd >= 0:
                self._next(client)
        for client in [client for client in self._clients.values() if client.deadline <= now]:
            self._close(client)

    def finish(self, now: float) -> bool:
        """Have each connection end after what it asks now; return whether all have. To be called
        again after each turn of the loop, which closes (`manage`) those whose time is up.
        """
        self.closing = True
        if self._finish_at == float("inf"):
            self._finish_at = now + _FINISH_TIME
        for client in self._clients.values():
            busy = client.received or client.answer or client.lingers
            until = self._finish_at if busy else client.heard + _FINISH_TIME
            client.deadline = min(client.deadline, until)
        return not self._clients

    def close(self) -> None:
        """Close all; idempotent."""
        for client in list(self._clients.values()):
            self._close(client)

    def close_in_child(self) -> None:
        """Close all in a forked child, without a word to the clients nor to the poller."""
        for client in self._clients.values():
            client.socket.close()
        self._clients.clear()

    def _go_on(self, client: _Client) -> None:
        try:
            if client.lingers:
                self._drop(client)
            elif client.answer:
                self._send(client)
            elif client not in self._waiting:
                self._receive(client)
        except BlockingIOError:
            pass
        except OSError:  # the client is gone
            self._close(client)

    def _receive(self, client: _Client) -> None:
        data = client.socket.recv(LARGEST_HEAD)
        if not data:
            self._close(client)
            return
        client.heard = time.monotonic()
        if not client.received:
            client.deadline = client.heard + _HEAD_TIME
        client.received += data
        self._next(client)

    def _next(self, client: _Client) -> None:
        """Answer the first request of what was received, if it is complete."""
        try:
            length = head_length(client.received)
            if not length:
                return
            request = parse(client.received[:length])
            client.received = client.received[length:]
            client.last = request.last = request.last or self.closing
            client.answer = self._answer(request)
        except BadRequest as bad:
            client.last = True
            client.answer = response(bad.status, "text/plain", f"{bad}\n".encode(), last=True)
        client.deadline = time.monotonic() + _SEND_TIME
        try:
            self._send(client)
        except BlockingIOError:
            self._poller.modify(client.fd, select.POLLOUT)
        except OSError:
            self._close(client)

    def _send(self, client: _Client) -> None:
        while client.answer:
            sent = client.socket.send(client.answer)
            client.answer = client.answer[sent:]
            client.heard = time.monotonic()
            client.deadline = client.heard + _SEND_TIME
        self._poller.modify(client.fd, select.POLLIN)
        if client.last:
            client.socket.shutdown(_socket.SHUT_WR)
            client.lingers = True
            client.deadline = client.heard + _LINGER_TIME
        elif client.received:
            client.deadline = client.heard + _HEAD_TIME
            self._waiting.append(client)
        else:
            client.deadline = client.heard + _IDLE_TIME

    def _drop(self, client: _Client) -> None:
        if not client.socket.recv(65536):
            self._close(client)

    def _close(self, client: _Client) -> None:
        self._poller.unregister(client.fd)
        del self._clients[client.fd]
        client.fd = -1
        client.socket.close()
