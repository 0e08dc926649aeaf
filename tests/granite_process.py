"""A real `granite` process for tests: started, watched by what it prints, and gone at the end."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.patience import PATIENCE, PATIENT

ROOT = Path(__file__).resolve().parent.parent
LAUNCHER = ("-m", "granite")
FAULT = re.compile(r"was killed by SIG(?:ABRT|BUS|FPE|ILL|SEGV)|Fatal Python error")


def with_constant(name: str, value: float) -> tuple[str, ...]:
    """A launcher for a server in whose arbiter a constant, "module.name", has another value."""
    module, _, constant = name.rpartition(".")
    code = (
        f"import sys; from granite.arbiter import {module}; {module}.{constant} = {value}\n"
        "from granite.cli import main; sys.exit(main())"
    )
    return "-c", code


def plain_environ() -> dict[str, str]:
    """The environment of other people's programs, which are not preloaded with what the sanitizers'
    tests are.
    """
    return {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}


class GraniteProcess:
    """`python -m granite ARGUMENTS` in its own session.

    `launcher` are Python's arguments in place of `-m granite`; it inherits `pass_fds`. Unless it is
    `patient` it waits for clients as it does by default. Unless it `may_fault`, none of its
    processes is to die of a fault, whether the test looks for that or not.
    """

    def __init__(
        self,
        *arguments: str,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        launcher: tuple[str, ...] = LAUNCHER,
        pass_fds: tuple[int, ...] = (),
        patient: bool = True,
    ):
        environ = {k: v for k, v in os.environ.items() if not k.startswith("GRANITE_")}
        search = os.pathsep.join(filter(None, (str(ROOT), environ.get("PYTHONPATH"))))
        environ["PYTHONPATH"] = search
        if patient:
            environ |= {f"GRANITE_{name.upper()}": str(value) for name, value in PATIENT.items()}
        environ |= env or {}
        environ.pop("PYTHONUNBUFFERED", None)  # it makes two writes, which may mix, of each line
        self.may_fault = False
        self._output = ""
        self._rest = b""
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, *launcher, *arguments],
            pass_fds=pass_fds,
            cwd=cwd,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self._pipe = self.process.stdout.fileno()
        os.set_blocking(self._pipe, False)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        """What it has printed, in whole lines: all that was printed before whatever the test has
        seen of it by other ways.
        """
        with self._changed:
            self._take()
            return self._output

    @property
    def port(self) -> int:
        return int(self.wait_for(r"listening on https?://\S+:(\d+)").group(1))

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def wait_for(self, pattern: str, patience: float = PATIENCE) -> re.Match[str]:
        """Return the first match of `pattern` in the output, waiting until it is there."""
        deadline = time.monotonic() + patience
        with self._changed:
            while (match := re.search(pattern, self.output)) is None:
                left = deadline - time.monotonic()
                assert left > 0, f"no {pattern!r} within {patience} s in:\n{self.output}"
                ended = self.process.poll() is not None and not self._reader.is_alive()
                assert not ended, f"ended without {pattern!r}:\n{self.output}"
                self._changed.wait(min(left, 0.2))
            return match

    def wait(self, patience: float = PATIENCE) -> int:
        """Return the exit status, with the whole output read."""
        status = self.process.wait(patience)
        self._reader.join(patience)
        return status

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def stop(self) -> int:
        """End it as an operator would; return the exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def members(self) -> list[int]:
        """Return the processes of the tree that are alive (a zombie is not)."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                state, _, group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            except OSError:
                continue
            if int(group) == self.process.pid and state not in "ZX":
                found.append(int(entry.name))
        return found

    def wait_gone(self, patience: float = PATIENCE) -> None:
        deadline = time.monotonic() + patience
        while members := self.members():
            assert time.monotonic() < deadline, f"still there: {members}\n{self.output}"
            time.sleep(0.02)

    def destroy(self) -> None:
        """Leave nothing of the tree behind, whatever the test did."""
        if self.members():
            with contextlib.suppress(ProcessLookupError):  # the last one has just ended
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)
        self.wait_gone()
        self._reader.join(PATIENCE)
        with self._changed:
            self._pipe = -1
            assert self.process.stdout is not None
            self.process.stdout.close()
        assert self.may_fault or not FAULT.search(self._output), self._output

    def _read(self) -> None:
        more = True
        while more:
            select.select([self._pipe], [], [])
            with self._changed:
                more = self._take()
                self._changed.notify_all()

    def _take(self) -> bool:
        """Take what lies in the pipe; return False when nothing will come any more."""
        while self._pipe >= 0:
            try:
                data = os.read(self._pipe, 65536)
            except BlockingIOError:
                return True
            lines, end, self._rest = (self._rest + data).rpartition(b"\n")
            if not data:
                lines, self._rest = self._rest, b""
            self._output += (lines + end).decode(errors="replace")
            if not data:
                return False
        return False

    def __repr__(self) -> str:
        return f"<granite {self.process.args!r}, output:\n{self.output}>"
