"""A server that is replaced by a successor, and what tests ask of both."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from pathlib import Path

from tests.arbiter.asking import until
from tests.granite_process import GraniteProcess

TAKEN = r"\[(\d+)\] info: took over from pid (\d+)\n"


class Upgrading:
    """The server; `pid` is its present arbiter."""

    def __init__(self, granite: GraniteProcess) -> None:
        self.granite = granite
        self.pid = granite.process.pid

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def ask(self) -> int:
        """Have a successor started; return its process id."""
        before = len(self._started())
        self.signal(signal.SIGUSR2)
        until(lambda: len(self._started()) > before)
        return int(self._started()[before])

    def upgrade(self) -> int:
        """Have the server replaced; return the former arbiter's process id when it has ended."""
        former, successor = self.pid, self.ask()
        self.wait_for(TAKEN.replace(r"(\d+)\]", rf"({successor})\]"))
        self.pid = successor
        until(lambda: not alive(former))
        return former

    def fail(self) -> str:
        """Have a successor started that fails; return what is logged of it when it has ended."""
        successor = self.ask()
        return self.failed(successor)

    def failed(self, successor: int) -> str:
        pattern = rf"error: the upgrade to pid {successor} failed, this server goes on: (.*)\n"
        reason = self.wait_for(pattern).group(1)
        until(lambda: not alive(successor))
        return reason

    def wait_for(self, pattern: str) -> re.Match[str]:
        return self.granite.wait_for(pattern)

    def workers(self) -> set[int]:
        return children(self.pid)

    def stop(self) -> None:
        """End the server as an operator would; return when nothing of it is left."""
        self.signal(signal.SIGTERM)
        self.granite.wait_gone()
        self.granite.wait()

    def _started(self) -> list[str]:
        return re.findall(r"info: upgrading: pid (\d+) starts", self.granite.output)


def alive(pid: int) -> bool:
    """Say whether a process lives; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def children(pid: int) -> set[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {child for child in map(int, found) if alive(child)}


def descriptors(pid: int) -> dict[str, str]:
    """Return what each descriptor of a process is."""
    found = {}
    for entry in sorted(Path(f"/proc/{pid}/fd").iterdir()):
        with contextlib.suppress(FileNotFoundError):  # closed just now
            # The number of a pipe or a socket is another one in each process.
            found[entry.name] = re.sub(r"\d+", "", str(entry.readlink()))
    return found
