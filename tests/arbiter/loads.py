"""Clients that go on asking while a test does things to the server, and count what is lost."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING

from tests.patience import PATIENCE

if TYPE_CHECKING:
    from typing_extensions import Self

Address = str | tuple[str, int]  # a socket's path, or host and port

# Seconds after which a connection that was not used, or not yet, may be closed by the server, so
# that a request on it may have to be sent again (RFC 9112, section 9.3.1). Any client may be slow:
# what was sent later than that proves nothing.
IDLE = 0.4


class Loss:
    """One request that got no answer: when, what its connection was answered before, after how many
    seconds without a request on it, and why.
    """

    def __init__(self, last: bytes | None, idle: float, reason: BaseException) -> None:
        self.at = time.monotonic()
        self.last = last
        self.idle = idle
        self.reason = reason

    def __repr__(self) -> str:
        return (
            f"<lost at {self.at:.3f}, after {self.last!r}, idle {self.idle:.3f}: {self.reason!r}>"
        )


class Clients:
    """Threads that ask until the end of the context."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


class Load(Clients):
    """Threads that ask on one connection after the other: `kept` as long as the server keeps it, or
    `coming` anew for each request, every time after a `pause`. Used as a context; `lost` and
    `answers`, which count status and body, are final afterwards.
    """

    def __init__(
        self,
        address: int | Address,  # or a port
        *,
        kept: int = 0,
        coming: int = 0,
        pause: float = 0.0,
        statuses: Collection[int] = (200,),
    ) -> None:
        super().__init__()
        self.answers: Counter[tuple[int, bytes]] = Counter()
        self.lost: list[Loss] = []
        self._address = ("127.0.0.1", address) if isinstance(address, int) else address
        self._pause = pause
        self._statuses = statuses
        self._lock = threading.Lock()
        fields = [b""] * kept + [b"Connection: close\r\n"] * coming
        self._threads = [threading.Thread(target=self._run, args=(field,)) for field in fields]

    @property
    def count(self) -> int:
        with self._lock:
            return sum(self.answers.values())

    def wait_for(self, more: int) -> None:
        """Return when so many requests more have been answered."""
        wanted, deadline = self.count + more, time.monotonic() + PATIENCE
        while self.count < wanted:
            assert time.monotonic() < deadline, self.lost
            time.sleep(0.005)

    def _run(self, field: bytes) -> None:
        request = b"GET / HTTP/1.1\r\nHost: x\r\n" + field + b"\r\n"
        while not self._done.is_set():
            begun = time.monotonic()
            try:
                client = connect(self._address)
            except OSError as exc:
                self._lose(None, 0.0, exc)
            else:
                with client:
                    self._ask(client, request, begun)

    def _ask(self, client: socket.socket, request: bytes, asked: float) -> None:
        """Ask on a connection that was begun at `asked`, until it ends."""
        last, kept = None, True
        while kept and not self._done.is_set():
            # What the server counts from is no earlier than the last request was begun.
            since, asked, idle = asked, time.monotonic(), None
            try:
                client.sendall(request)
                idle = time.monotonic() - since
                with http.client.HTTPResponse(client) as response:
                    response.begin()
                    idle = 0.0  # there is an answer
                    body, kept = response.read(), not response.will_close
                if response.status not in self._statuses:
                    raise http.client.HTTPException(f"{response.status} {body!r}")
            except (OSError, http.client.HTTPException) as exc:
                self._lose(last, time.monotonic() - since if idle is None else idle, exc)
                return
            last = body
            with self._lock:
                self.answers[response.status, body] += 1
            self._done.wait(self._pause)

    def _lose(self, last: bytes | None, idle: float, reason: BaseException) -> None:
        if idle < IDLE:
            with self._lock:
                self.lost.append(Loss(last, idle, reason))


def connect(address: Address) -> socket.socket:
    client = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    client.settimeout(PATIENCE)
    try:
        client.connect(address)
    except BaseException:
        client.close()
        raise
    return client
