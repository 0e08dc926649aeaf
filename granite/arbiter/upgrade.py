"""What SIGUSR2 does: the server is replaced by one that is started anew, from its first line on.

Owns the start of the successor, the decision that it takes over, and what is told of both; the
theory of operation is in `granite.arbiter.handover`. Must not know how workers run or end. Loaded
at the first SIGUSR2; the main thread of the arbiter.
"""

from __future__ import annotations

import _socket
import os
import time

from granite.arbiter import signals
from granite.arbiter.calls import HookFailed
from granite.arbiter.fork import flush_streams
from granite.arbiter.handover import (
    FAILED,
    GO,
    HELLO,
    READY,
    TAKEN,
    TICKET_KEYS,
    Line,
    Passed,
    announce,
)
from granite.arbiter.origin import INHERITED
from granite.arbiter.poller import NEVER
from granite.arbiter.slots import QUICK
from granite.errors import EXIT_BOOT, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from granite.arbiter.calls import Calls
    from granite.arbiter.fleet import Fleet
    from granite.arbiter.poller import Poller
    from granite.arbiter.resources import Resources

__all__ = ["Upgrade"]

# Seconds after which a successor that is not ready is talked about.
_SLOW = 60.0


class Upgrade:
    """The successor that is under way, if there is one. `retire` ends this server, whose place is
    taken.
    """

    __slots__ = (
        "_calls",
        "_failed",
        "_fleet",
        "_held",
        "_kill_at",
        "_line",
        "_log",
        "_pid",
        "_poller",
        "_retire",
        "_said",
        "_slow_at",
    )

    def __init__(
        self,
        fleet: Fleet,
        held: Resources,
        calls: Calls,
        poller: Poller,
        retire: Callable[[], object],
    ) -> None:
        self._fleet = fleet
        self._held = held
        self._log = held.log
        self._calls = calls
        self._poller = poller
        self._retire = retire
        self._pid = 0
        self._line: Line | None = None
        # The words that were heard or said.
        self._said: set[str] = set()
        self._failed = False
        self._slow_at = NEVER
        self._kill_at = NEVER

    def ask(self, up: bool) -> None:
        """Start a successor; `up` says that this server is."""
        inherited = self._held.inherited
        if self._pid:
            self._look()  # it may have ended just now
        if not up:
            obstacle = "the workers are not ready yet"
        elif self._pid:
            state = "still ends" if self._failed else "is not ready yet"
            obstacle = f"pid {self._pid} {state}: SIGTERM to that process calls it off"
        elif inherited is not None and not inherited.taken:
            obstacle = f"this server has not taken over from pid {inherited.former} yet"
        else:
            obstacle = self._held.origin.obstacle()
        if obstacle:
            self._log.warning(f"no upgrade: {obstacle}")
            return
        try:
            self._start()
        except OSError as exc:
            self._log.error(f"no upgrade: cannot start a process: {reason(exc)}")
            return
        self._log.info(
            f"upgrading: pid {self._pid} starts beside this server, which goes on until it is ready"
        )
        self._held.notifier.reloading(f"upgrading: pid {self._pid} starts")

    @property
    def pid(self) -> int:
        """The process id of the successor, 0 while there is none."""
        return self._pid

    def next_deadline(self) -> float:
        """Return the monotonic time at which a successor is late."""
        return min(self._slow_at, self._kill_at)

    def gone(self) -> bool:
        """Whether there is no process of a successor, or it is the server."""
        return not self._pid

    def manage(self, now: float) -> None:
        """Find out whether the successor has ended."""
        if self._pid:
            self._look()
        if self._pid and now >= self._kill_at:
            self._kill_at = NEVER
            self._log.warning(f"pid {self._pid} did not end in time and is killed")
            self._send(signals.SIGKILL)
        if now >= self._slow_at and self._line is not None:
            self._slow_at = NEVER
            if self._line.fd < 0:
                self._send(signals.SIGTERM)  # it goes on, and could never take over
            else:
                self._log.warning(
                    f"pid {self._pid} is not ready to take over yet; SIGTERM to that process calls "
                    "the upgrade off"
                )

    def stop(self, number: int) -> None:
        """Have the successor stop too, as the signal `number` says: who stops the server means all
        of it. One that has taken over is the server.
        """
        if self._pid:
            self._failed = True  # which then is not worth a line
            self._slow_at = NEVER
            # Before it takes signals over, SIGQUIT would leave a core file.
            self._send(number if HELLO in self._said else signals.SIGTERM)
            config = self._held.config
            patience = 0.0 if number == signals.SIGQUIT else config.graceful_timeout
            now = time.monotonic()
            self._kill_at = min(self._kill_at, now + patience + config.workers_kill_timeout + QUICK)

    def leave_in_child(self) -> None:
        """Give the line up in a forked child: it is to tell of the arbiter's death."""
        if self._line is not None:
            self._line.close()

    def _hang_up(self) -> None:
        if self._line is not None and self._line.fd >= 0:
            self._poller.unregister(self._line.fd)
            self._line.hang_up()

    def _start(self) -> None:
        """Fork, and execute the command of this process in the child. Raises OSError."""
        mine, theirs = _socket.socketpair()
        line = Line(mine.detach())
        former = os.getpid()
        flush_streams()
        signals.block()
        try:
            self._pid = os.fork()
        except OSError:
            line.close()
            raise
        else:
            if self._pid == 0:
                self._become_successor(former, theirs)
        finally:
            signals.unblock()
            theirs.close()
        self._line = line
        self._said = set()
        self._failed = False
        self._slow_at = time.monotonic() + _SLOW
        self._poller.register(line.fd, self._hear)

    def _become_successor(self, former: int, theirs: _socket.socket) -> NoReturn:
        """Leave nothing of this process but what the successor is to have, and execute it."""
        try:
            line = Line(theirs.detach())
            failure = self._execute(former, line)
            line.say(FAILED, failure)
        finally:
            os._exit(EXIT_BOOT)

    def _execute(self, former: int, line: Line) -> str:
        """Return why it could not be done."""
        held = self._held
        assert held.signals is not None
        held.signals.close_in_child()
        signals.reset_for_exec()  # already for the hook and the programs that it starts
        try:
            self._calls.call("pre_exec")
        except HookFailed as failure:
            return "the hook pre_exec ended it" if failure.meant else "the hook pre_exec raised"
        flush_streams()
        origin = held.origin
        command = origin.command()
        passed = [Passed(*one) for one in held.passing()]
        environ = origin.environ()
        environ[INHERITED] = announce(former, line.fd, passed)
        if held.notifier.interval is not None:
            environ.pop("WATCHDOG_PID", None)  # the process that is watched will be another
        where = origin.cwd
        try:
            os.chdir(where)
            os.umask(origin.umask)
            for fd in (line.fd, *(one.fd for one in passed)):
                os.set_inheritable(fd, True)
            where = command[0]
            os.execve(where, command, environ)
        except OSError as exc:
            return f"{where}: {reason(exc)}"

    def _hear(self, events: int) -> None:
        """Take in what the successor says."""
        line = self._line
        assert line is not None
        fd = line.fd
        said = line.hear()
        if line.fd < 0:
            self._poller.unregister(fd)
        for word, text in said:
            self._said.add(word)
            if word == FAILED:
                self._fail(text)
            elif word == HELLO and self._held.tickets is not None:
                line.say(TICKET_KEYS, self._held.tickets.pass_on())
            elif word == READY and GO not in self._said and not self._failed:
                self._said.add(GO)
                line.say(GO)
            elif word == TAKEN and self._look() and not self._failed:
                self._hand_over()
                return
        if line.fd < 0 and not self._failed:
            self._slow_at = time.monotonic() + QUICK  # its process is about to end, too

    def _hand_over(self) -> None:
        pid, self._pid = self._pid, 0
        self._slow_at = NEVER
        self._log.info(f"pid {pid} has taken over: requests in flight may finish")
        self._held.notifier.hand_over(pid)
        self._hang_up()
        self._retire()

    def _look(self) -> bool:
        """Return whether the successor's process lives; if it does not, the upgrade is over."""
        ended = "ended"
        try:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
        except ChildProcessError:  # somebody else was faster
            pass
        else:
            if not pid:
                return True
            ended = signals.describe(status)
        self._hear_last()
        self._fail(f"it {ended} before it was ready")
        self._pid = 0
        self._kill_at = NEVER
        return False

    def _hear_last(self) -> None:
        """Take in why the successor has ended, which it may have said just before."""
        line = self._line
        if line is not None and line.fd >= 0:
            self._poller.unregister(line.fd)
            for word, text in line.hear():
                if word == FAILED:
                    self._fail(text)
            line.hang_up()

    def _fail(self, text: str) -> None:
        """Say once that the upgrade is over, and be the server as before."""
        if self._failed:
            return
        self._failed = True
        self._slow_at = NEVER
        self._log.error(f"the upgrade to pid {self._pid} failed, this server goes on: {text}")
        if GO in self._said:
            self._held.take_back()
        self._held.notifier.ready(f"{self._fleet}; the upgrade failed: {text}")

    def _send(self, number: int) -> None:
        try:  # noqa: SIM105 (contextlib costs the arbiter memory)
            os.kill(self._pid, number)  # not waited for yet, so the pid is still its own
        except ProcessLookupError:
            pass
