"""What a worker that serves hears from the arbiter, and tells it.

Owns the worker's end of the channel from its readiness on, the beat of the event loop, and the
report of a worker that is asked why it is silent. Must not know what the arbiter does with it, nor
how serving works inside. On the event loop of the worker's main thread.
"""

from __future__ import annotations

import faulthandler
import os

from granite.arbiter.channel import (
    ACCEPT,
    BEAT,
    DRAINING,
    NOTICE,
    RECYCLE,
    RELEASE,
    RENEW,
    RENEWED,
    TICKET_KEYS,
    Reporter,
)
from granite.errors import BootError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    import signal as _signal
    from collections.abc import Callable
    from typing import TypeAlias

    from granite._core.loop import Handle, Loop
    from granite._core.server import Server
    from granite.serving import Serving
    from granite.settings.config import Config

    AnyLoop: TypeAlias = asyncio.AbstractEventLoop | Loop
else:
    import _signal

__all__ = ["Link", "Witness", "most_requests"]

# Beats within the time that a worker may be silent, so that a few may come late.
_BEATS = 4
_LONGEST_BEAT = 1.0


class Link:
    """The worker's side of the conversation, on `loop`. `on_gone` is called when the arbiter has
    ended, `on_renew` with files of certificates and their descriptors when they have changed.
    """

    def __init__(
        self,
        loop: AnyLoop,
        reporter: Reporter,
        config: Config,
        on_gone: Callable[[], object],
        on_renew: Callable[[bytes, list[int]], object],
    ) -> None:
        self._reporter = reporter
        self._serving: Serving | None = None
        self._on_gone = on_gone
        self._on_renew = on_renew
        self._noticed = False
        self._ticket_keys = b""
        self._loop = loop
        self._with_snapshot = config.metrics
        self._interval = _interval(config)
        self._due_at = 0.0
        self._timer: asyncio.TimerHandle | Handle | None = None
        self._loop.add_reader(reporter.fd, self._on_readable)

    def start(self, serving: Serving) -> None:
        """Say that the worker is ready, and let the event loop beat."""
        self._on_readable()  # the keys have come long ago: whoever connects first gets a ticket
        self._serving = serving
        if self._noticed:
            serving.notice()
        if self._ticket_keys:
            serving.tickets.use(self._ticket_keys)
        self._reporter.ready()
        if self._interval:
            self._beat()

    def stop(self) -> None:
        """Say the last, and nothing more; the arbiter is heard no longer. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._send()
        self._loop.remove_reader(self._reporter.fd)

    def recycle(self) -> None:
        """Ask to be replaced: the requests are enough."""
        self._reporter.send(RECYCLE)

    def draining(self) -> None:
        """Say that no more connections are accepted."""
        self._reporter.send(DRAINING)

    def _beat(self) -> None:
        now = self._loop.time()
        server = self._server
        if self._timer is not None and server is not None:
            server.note_lag(max(now - self._due_at, 0.0))
        self._send()
        self._due_at = now + self._interval
        self._timer = self._loop.call_at(self._due_at, self._beat)

    def _send(self) -> None:
        server = self._server if self._with_snapshot else None
        self._reporter.send(BEAT, b"" if server is None else server.snapshot())

    @property
    def _server(self) -> Server | None:
        return None if self._serving is None else self._serving.server

    def _on_readable(self) -> None:
        for kind, payload, fds in self._reporter.receive():
            if kind == NOTICE:
                self._noticed = True
            elif kind == TICKET_KEYS:
                self._ticket_keys = payload
            if self._serving is not None:
                _obey(self._serving, kind, payload, fds)
                if kind == RENEW:
                    self._renew(payload, fds)
            for fd in fds:
                os.close(fd)
        if self._reporter.gone:
            self._loop.remove_reader(self._reporter.fd)
            self._on_gone()

    def _renew(self, paths: bytes, fds: list[int]) -> None:
        answer = ""
        try:
            self._on_renew(paths, fds)
        except BootError as exc:
            answer = str(exc)
        self._reporter.send(RENEWED, answer.encode("utf-8", "backslashreplace"))


def _obey(serving: Serving, kind: bytes, payload: bytes, fds: list[int]) -> None:
    if kind == ACCEPT:
        serving.accept(fds, int(payload))
    elif kind == RELEASE:
        serving.release(int(payload))
    elif kind == NOTICE:
        serving.notice()
    elif kind == TICKET_KEYS:
        serving.tickets.use(payload)


class Witness:
    """What this process writes about itself to the descriptor `fd`: the stacks of all threads when
    it dies of a fault, and when it is asked by SIGUSR2, then with the requests in flight if the
    main thread can still run Python code. `on_silent` is called in the latter case.
    """

    def __init__(self, fd: int, on_silent: Callable[[], object]) -> None:
        self._fd = fd
        self._on_silent = on_silent
        self.serving: Serving | None = None

    def install(self) -> None:
        """Be ready; once more after the application may have taken the signals."""
        if self._fd >= 0:
            faulthandler.enable(file=self._fd, all_threads=True)
            faulthandler.unregister(_signal.SIGUSR2)  # else it does not see that it was replaced
            _signal.signal(_signal.SIGUSR2, self._testify)
            faulthandler.register(_signal.SIGUSR2, file=self._fd, all_threads=True, chain=True)

    def _testify(self, number: int, frame: object) -> None:
        os.write(self._fd, self._in_flight().encode("utf-8", "backslashreplace"))
        server = None if self.serving is None else self.serving.server
        if server is not None and server.access_log is not None:
            server.access_log.flush()  # what comes next may be the end
        self._on_silent()

    def _in_flight(self) -> str:
        server = None if self.serving is None else self.serving.server
        if server is None:
            return ""
        requests = server.in_flight()
        lines = [
            f"  {method} {path.encode('unicode_escape').decode()}, for {age:.1f} s"
            for method, path, age in requests
        ]
        if server.waiting:
            lines.append(f"  and {server.waiting} that wait for their turn")
        return "\n".join(["", f"Requests in flight: {len(requests) or 'none'}", *lines, ""])


def most_requests(config: Config) -> int:
    """Return the number of requests after which this worker is to be replaced, 0 for none."""
    if not config.max_requests:
        return 0
    jitter = int.from_bytes(os.urandom(8), "big") % (config.max_requests_jitter + 1)
    return config.max_requests + jitter


def _interval(config: Config) -> float:
    """Return the seconds between two beats, 0 if nobody listens for them."""
    wanted = []
    if config.worker_timeout:
        wanted.append(min(config.worker_timeout / _BEATS, _LONGEST_BEAT))
    if config.metrics:
        wanted.append(config.metrics_scrape_interval)
    return min(wanted, default=0.0)
