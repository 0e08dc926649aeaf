"""Certificates that are exchanged while the server serves: the arbiter's look at their files.

Owns the look, and handing the files to the workers. Must not know what is made of them, nor whether
they are any good: a worker says so. Main thread of the arbiter; made only with the setting
`ssl_reload`.

Theory of operation: files that have changed are opened, here, where the right to read them is, and
each worker gets the descriptors; it makes certificates of them, shows these from then on, or says
what is wrong. Templates get what a worker has found good. A worker that was booting meanwhile gets
them when it is ready. What was good is kept, for workers that start while the files are not.
"""

from __future__ import annotations

import os

from granite.arbiter.channel import RENEW
from granite.arbiter.poller import NEVER
from granite.errors import BootError
from granite.key_files import LOOKS, Look, open_files, read_descriptors, read_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from granite.arbiter.fleet import Fleet
    from granite.arbiter.resources import Resources
    from granite.arbiter.slots import Worker

__all__ = ["Swap"]


class Swap:
    """A part of the arbiter. `busy` says that workers are being replaced: the new ones read the
    files by themselves. `good` is what lay in them when workers could last show it, None where that
    is not known.
    """

    __slots__ = (
        *("_asked", "_busy", "_contents", "_due_at", "_files", "_fleet", "_held", "_look"),
        *("_open", "_told", "good"),
    )

    def __init__(self, fleet: Fleet, held: Resources, busy: Callable[[], bool]) -> None:
        self._fleet = fleet
        self._held = held
        self._busy = busy
        self._due_at = 0.0
        self._look = Look(held.config)
        self.good = self._read_at_start()
        # What the workers get, by path, and what lies in it; none before the first change.
        self._files: dict[str, int] = {}
        self._contents: dict[str, bytes] = {}
        self._told: set[int] = set()
        self._asked: set[Worker] = set()
        self._open = False  # it has not been said how it went

    def next_deadline(self) -> float:
        """Return the monotonic time at which there is something to do."""
        return self._due_at

    def manage(self, now: float) -> None:
        """Do what is to be done now."""
        if now >= self._due_at:
            self._due_at = now + LOOKS
            if self._look.again(self._held.config):
                self._try()
        if self._files and not self._busy():
            self._hand_down()
        self._hear()

    def leave_in_child(self) -> None:
        """Give up, in a forked child, what is the arbiter's alone."""
        self._close()

    def stop(self) -> None:
        """Look no more; idempotent."""
        self._due_at = NEVER
        self._close()

    def _read_at_start(self) -> dict[str, bytes] | None:
        try:
            return read_files(self._held.config)
        except BootError:  # the first worker says so, and nobody serves then
            return None

    def _try(self) -> None:
        self._close()
        self._told.clear()
        self._asked.clear()
        self._open = True
        try:
            self._files = open_files(self._held.config)
            self._contents = read_descriptors(self._message(), list(self._files.values()))
        except BootError as exc:
            self._close()
            self._complain(str(exc))

    def _hand_down(self) -> None:
        for worker in self._fleet.workers():
            if worker.serves and worker.pid not in self._told:
                worker.renewed = None
                if worker.channel.send(RENEW, self._message(), list(self._files.values())):
                    self._told.add(worker.pid)
                    self._asked.add(worker)

    def _hear(self) -> None:
        if not self._asked:
            return
        living = self._fleet.workers()
        for worker in list(self._asked):
            if worker.renewed is None and worker in living and worker.serves:
                continue
            self._asked.remove(worker)
            if worker.renewed:
                self._complain(worker.renewed)
        if not self._asked and self._open:
            self._open = False
            self.good = self._contents
            self._held.log.info("TLS: who connects now gets the certificates that the files have")
            if self._fleet.templates is not None:
                self._fleet.templates.hand_down(self._message(), list(self._files.values()))

    def _message(self) -> bytes:
        return "\0".join(self._files).encode("utf-8", "surrogateescape")

    def _complain(self, text: str) -> None:
        if self._open:
            self._open = False
            self._held.log.error(f"the certificates stay as they were: {text}")

    def _close(self) -> None:
        for fd in self._files.values():
            os.close(fd)
        self._files = {}
