"""Clients that go on asking while a test does things to the server, and count what is lost."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

# Seconds after which a connection that was not used may be closed by the server, so that a request
# on it may have to be sent again (RFC 9112, section 9.3.1). On a busy machine, clients are slow.
IDLE = 0.4


class Loss:
    """One request that got no answer: when, from which worker if that is known, after how many
    seconds without a request on its connection, and why.
    """

    def __init__(self, pid: int | None, idle: float, reason: BaseException) -> None:
        self.at = time.monotonic()
        self.pid = pid
        self.idle = idle
        self.reason = reason

    def __repr__(self) -> str:
        return f"<lost at {self.at:.3f}, worker {self.pid}, idle {self.idle:.3f}: {self.reason!r}>"


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
            thread.join(60)
            assert not thread.is_alive()


class Load(Clients):
    """Threads with a connection each, `kept` or new for every request, to an application that
    answers with its process id. Used as a context; `lost` and `answers` are final afterwards.
    """

    def __init__(self, port: int, *, kept: int = 0, coming: int = 0) -> None:
        super().__init__()
        self.port = port
        self.answers: dict[int, int] = {}
        self.lost: list[Loss] = []
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._stay) for _ in range(kept)]
        self._threads += [threading.Thread(target=self._come) for _ in range(coming)]

    @property
    def count(self) -> int:
        with self._lock:
            return sum(self.answers.values())

    def wait_for(self, more: int, patience: float = 20.0) -> None:
        """Return when so many requests more have been answered."""
        wanted, deadline = self.count + more, time.monotonic() + patience
        while self.count < wanted:
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def _stay(self) -> None:
        client: http.client.HTTPConnection | None = None
        pid: int | None = None
        asked = 0.0  # last, or connected: what the server counts from is no earlier
        while not self._done.is_set():
            if client is None:
                client, pid = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20), None
                asked = time.monotonic()
            since, asked, sent = asked, time.monotonic(), 0.0
            try:
                client.request("GET", "/")
                sent = time.monotonic()
                response = client.getresponse()
                pid = self._note(response.status, response.read())
                closing = response.will_close
            except (OSError, http.client.HTTPException, ValueError) as exc:
                self._lose(pid, (sent or time.monotonic()) - since, exc)
                closing = True
            if closing:
                client.close()
                client = None
        if client is not None:
            client.close()

    def _come(self) -> None:
        while not self._done.is_set():
            self._come_once()

    def _come_once(self) -> None:
        since, sent = time.monotonic(), 0.0
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=20) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                sent = time.monotonic()
                with http.client.HTTPResponse(client) as response:
                    response.begin()
                    self._note(response.status, response.read())
        except (OSError, http.client.HTTPException, ValueError) as exc:
            self._lose(None, (sent or time.monotonic()) - since, exc)

    def _note(self, status: int, body: bytes) -> int:
        if status != 200:
            raise ValueError(f"{status} {body!r}")
        pid = int(body)
        with self._lock:
            self.answers[pid] = self.answers.get(pid, 0) + 1
        return pid

    def _lose(self, pid: int | None, idle: float, reason: BaseException) -> None:
        if idle >= IDLE:
            return
        with self._lock:
            self.lost.append(Loss(pid, idle, reason))
