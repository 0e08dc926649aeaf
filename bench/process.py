"""Processes: start pinned to a core, look at the whole tree, pause, end by pid.

Owns every process that the benchmark starts; must not know what they serve. Linux only (``/proc``,
affinity). Main thread.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bench import environment, nginx
from bench.model import BenchError
from bench.servers import APPS, Launch, Server

_STOP_SECONDS = 5.0
_TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pin(core: int) -> Callable[[], None]:
    """Return what a child calls before exec: stay on ``core``, open as many files as possible."""

    def prepare() -> None:
        os.sched_setaffinity(0, {core})
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    return prepare


def tree(root: int) -> list[int]:
    """Return the pids of ``root`` and all its living descendants."""
    children = _children()
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def workers(root: int) -> list[int]:
    """Return the pids of the tree that serve: they wait with epoll, and manage no others."""
    children = _children()
    return [pid for pid in tree(root) if pid not in children and _has_epoll(pid)]


def _children() -> dict[int, list[int]]:
    """Return all processes by their parent."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                pid = int(entry.name)
                children.setdefault(int(_stat(pid)[1]), []).append(pid)
    return children


def _has_epoll(pid: int) -> bool:
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            if str(entry.readlink()) == "anon_inode:[eventpoll]":
                return True
    return False


def _stat(pid: int) -> list[str]:
    """Return the fields of ``/proc/<pid>/stat`` from the state on; the name may hold spaces."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


class Running:
    """A started server. ``started`` is the clock (``perf_counter``) right before its exec."""

    def __init__(self, server: Server, at: Launch, core: int) -> None:
        """Start ``server`` on ``core``; raises BenchError when its program is missing."""
        self.server = server
        self.at = at
        if server.name == "nginx":
            nginx.write_config(at.prefix, at.port, at.app, tls=at.tls)
        if at.tls:
            environment.make_certificate(at.certificate, at.key)
        self._log = at.prefix / "output.log"
        variables = {**os.environ, "PYTHONPATH": str(APPS)}
        with self._log.open("wb") as log:
            self.started = time.perf_counter()
            try:
                self._process = subprocess.Popen(
                    server.command(at),
                    cwd=APPS,
                    env=variables,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=pin(core),
                )
            except OSError as error:
                raise BenchError(f"{server.name} could not be started: {error}") from None

    @property
    def port(self) -> int:
        """The port that it was told to listen on."""
        return self.at.port

    def alive(self) -> bool:
        """Tell whether the process that was started still runs."""
        return self._process.poll() is None

    def ending(self) -> str:
        """Return how the process ended and what it said last, '' while it runs."""
        code = self._process.poll()
        if code is None:
            return ""
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"the server ended with {how}: {self.output().strip()[-300:]}"

    def pids(self) -> list[int]:
        """Return the pids of the whole tree."""
        return tree(self._process.pid)

    def workers(self) -> list[int]:
        """Return the pids of those processes of the tree that serve."""
        return workers(self._process.pid)

    def cpu_seconds(self) -> float:
        """Return the processor time that the tree has used so far."""
        total = 0
        for pid in self.pids():
            with suppress(OSError):
                fields = _stat(pid)
                total += int(fields[11]) + int(fields[12])
        return total / _TICKS

    def pause(self) -> None:
        """Stop the tree where it polls without pause; others would lose their core to it."""
        if self.server.spins_when_idle:
            self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo :meth:`pause`."""
        if self.server.spins_when_idle:
            self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self) -> None:
        """End the tree: SIGTERM to its root, SIGKILL to what is left after five seconds."""
        pids = self.pids()
        self.resume()
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)
        for pid in pids:
            if pid == self._process.pid:
                self._process.kill()
            elif _belongs(pid, self._process.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def output(self) -> str:
        """Return the end of what the server printed."""
        return self._log.read_text(errors="replace")[-2000:]


def _belongs(pid: int, session: int) -> bool:
    """Tell whether ``pid`` still is of our session; by now it could be a reused number."""
    with suppress(OSError, IndexError):
        return int(_stat(pid)[3]) == session
    return False


class Prefix:
    """A temporary directory, world-readable, as nginx's worker may run as somebody else."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="bench-"))
        self.path.chmod(0o755)

    def remove(self) -> None:
        """Delete it with its content."""
        shutil.rmtree(self.path, ignore_errors=True)
