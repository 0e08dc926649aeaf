"""The arbiter's end of the watching of files: a child process that tells which have changed.

Owns that child's life: it is forked, heard, forked anew when it dies, and ended. Must not know
which files count, nor what follows from a change. Main thread of the arbiter; made only with the
setting `reload`.

The child is a process of its own because what watches files has threads, which no fork of a worker
may meet, and megabytes that the arbiter does without.
"""

from __future__ import annotations

import os
import sys
import time

from granite.arbiter import signals
from granite.arbiter.fork import flush_streams
from granite.arbiter.poller import NEVER, doubled
from granite.errors import BootError, UsageError, reason
from granite.key_files import files_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from granite.arbiter.poller import Poller
    from granite.log import Log
    from granite.process import Titles
    from granite.settings.config import Config
    from granite.settings.load import Loaded

__all__ = ["Watch", "changed_text", "require"]

# Seconds after which a watcher that has died again is replaced: the first delay, and the last.
_FIRST_DELAY = 0.1
_LONGEST_DELAY = 10.0
# Seconds: one that lasted this long starts the delays anew.
_SETTLED = 10.0
# Seconds before the death of a watcher of whose changes it may not have told.
_UNTOLD = 1.0
# Seconds by which the time of a file may lag behind.
_CLOCK_TICK = 0.02
# Files that a line of the log names.
_MOST_NAMED = 3


def require(config: Config) -> None:
    """Raise UsageError where the library that watches files is not installed, BootError where a
    path of `reload_paths` does not exist.
    """
    from importlib.machinery import PathFinder  # it is looked for, not loaded

    if PathFinder.find_spec("watchfiles") is None:
        raise UsageError("reload: watchfiles is not installed; install granite[reload]")
    for path in config.reload_paths:
        if not os.path.exists(path):  # noqa: PTH110
            raise BootError(f"reload_paths: there is no file or directory {path!r}")


def changed_text(paths: list[str]) -> str:
    """Return what the log says of files that have changed, such as "main.py and 2 others have
    changed"; paths of the working directory are shown as relative ones.
    """
    here = os.path.join(os.getcwd(), "")  # noqa: PTH109, PTH118 (pathlib costs the arbiter memory)
    names = [path.removeprefix(here) for path in paths]
    if len(names) > _MOST_NAMED:
        names[_MOST_NAMED - 1 :] = [f"{len(names) - _MOST_NAMED + 1} others"]
    *most, last = names
    return f"{', '.join(most)} and {last} have changed" if most else f"{last} has changed"


class Watch:
    """Have the files watched that the settings `loaded` name, those that they came from among them,
    and call `on_change`, on the poller's loop, with the paths of those that have changed.

    A part of the arbiter's loop: the first `manage()` starts the watcher. Raises UsageError where
    watchfiles is not installed, and BootError where a path of `reload_paths` does not exist.
    """

    __slots__ = (
        "_buffer",
        "_config",
        "_delay",
        "_ended",
        "_fd",
        "_log",
        "_on_change",
        "_others",
        "_pid",
        "_poller",
        "_since",
        "_start_at",
        "_started_at",
        "_titles",
    )

    def __init__(
        self,
        loaded: Loaded,
        log: Log,
        poller: Poller,
        on_change: Callable[[list[str]], object],
        titles: Titles | None = None,
    ) -> None:
        require(loaded.config)
        self._log = log
        self._poller = poller
        self._on_change = on_change
        self._titles = titles
        self._config = loaded.config
        self._others = _others(loaded)
        self._pid = 0
        self._fd = -1
        self._buffer = b""
        self._delay = 0.0
        self._ended = ""  # how the former one has, as long as that is not told
        self._since = 0.0
        self._start_at = 0.0
        self._started_at = 0.0

    @property
    def pid(self) -> int:
        """The process of the watcher, 0 while there is none."""
        return self._pid

    def use(self, loaded: Loaded) -> None:
        """Watch what other settings name from now on."""
        before = _selecting(self._config), self._others
        self._config, self._others = loaded.config, _others(loaded)
        if before != (_selecting(self._config), self._others) and self._start_at != NEVER:
            self._end()
            self._since = time.time() - _CLOCK_TICK
            self._start_at = 0.0

    def next_deadline(self) -> float:
        """Return the monotonic time at which a watcher is to be started."""
        return NEVER if self._pid else 0.0 if self._ended else self._start_at

    def manage(self, now: float) -> None:
        """Start a watcher where there is none and its time has come."""
        if self._ended:  # not told at once: what ends the watcher may end the server as well
            self._postpone(now, self._ended)
            self._ended = ""
        if not self._pid and self._start_at <= now:
            self._start(now)

    def stop(self) -> None:
        """End the watcher, for good; idempotent."""
        self._start_at = NEVER
        self._end()

    def leave_in_child(self) -> None:
        """Give up, in a forked child, what is the arbiter's alone."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _start(self, now: float) -> None:
        self._since = self._since or time.time()
        arbiter = os.getpid()
        flush_streams()
        try:
            mine, theirs = os.pipe()
        except OSError as exc:
            self._postpone(now, f"reload: no watcher can be started: {reason(exc)}")
            return
        signals.block()
        try:
            pid = os.fork()
        except OSError as exc:
            signals.unblock()
            os.close(mine)
            os.close(theirs)
            self._postpone(now, f"reload: no watcher can be started: {reason(exc)}")
            return
        if pid == 0:
            self._become_watcher(theirs, arbiter)
        signals.unblock()
        os.close(theirs)
        os.set_blocking(mine, False)
        self._pid, self._fd, self._buffer = pid, mine, b""
        self._started_at = now
        self._poller.register(mine, self._on_readable)
        self._log.debug(f"the watcher of files has the pid {pid}")

    def _become_watcher(self, pipe: int, arbiter: int) -> NoReturn:
        status = 1
        try:
            if self._titles is not None:
                self._titles.watcher()
            from granite import watcher

            status = watcher.main(self._config, self._others, self._since, pipe, arbiter)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            # The frames below are the arbiter's.
            os._exit(status)

    def _on_readable(self, events: int) -> None:
        try:
            data = os.read(self._fd, 65536)
        except BlockingIOError:
            return
        if not data:
            self._died(time.monotonic())
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        changed: dict[str, None] = {}
        for line in lines:
            kind, text = line[:1], line[1:].decode("utf-8", "surrogateescape")
            if kind == b"C":
                changed |= dict.fromkeys(text.split("\0"))
            elif kind == b"D":
                self._log.debug(text)
            elif kind == b"W":
                self._log.warning(text)
            elif kind == b"E":
                self._log.error(text)
        if changed:
            self._on_change(list(changed))

    def _died(self, now: float) -> None:
        pid, ended = self._pid, self._end()
        self._since = time.time() - _UNTOLD
        if now - self._started_at >= _SETTLED:
            self._delay = 0.0
        self._ended = f"the watcher of files (pid {pid}) {ended}"

    def _postpone(self, now: float, text: str) -> None:
        delay = self._delay
        self._delay = doubled(delay, _FIRST_DELAY, _LONGEST_DELAY)
        self._start_at = now + delay
        self._log.warning(f"{text}; a new one starts {f'in {delay:g} s' if delay else 'now'}")

    def _end(self) -> str:
        """End the watcher, if there is one; return how it ended."""
        pid, self._pid = self._pid, 0
        self._since = 0.0
        if self._fd >= 0:
            self._poller.unregister(self._fd)
            os.close(self._fd)
            self._fd = -1
        if not pid:
            return ""
        try:
            # It has nothing to lose, and one that stops working may not end otherwise.
            os.kill(pid, signals.SIGKILL)
            return signals.describe(os.waitpid(pid, 0)[1])
        except (ChildProcessError, ProcessLookupError):  # somebody else was faster
            return "has ended"


def _others(loaded: Loaded) -> tuple[str, ...]:
    """Return the files that a worker, or the arbiter, has read beside the application's."""
    config = loaded.config
    return (*loaded.files, *config.env_files, *files_of(config))


def _selecting(config: Config) -> tuple[object, ...]:
    return (
        *(config.reload_paths, config.reload_include, config.reload_tick),
        *(config.reload_ignore_dirs, config.reload_ignore_patterns, config.reload_ignore_paths),
    )
