"""The process that watches files, and tells the arbiter which have changed.

Owns the way to the system's notices (the library watchfiles) and what is told over the pipe. Must
not know what follows from a change. Forked from the arbiter; its main thread, beside which
watchfiles has one.

Each line in the pipe is one message: a letter, and words with zero bytes between them. `C` names
the files that have changed; `D`, `W` and `E` are lines for the log: for debugging, a warning and an
error.

It ends when its parent does, whatever ended that: watchfiles asks it at each tick whether to stop.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import watchfiles

from granite.watched import Files, Selection

if TYPE_CHECKING:
    from granite.settings.config import Config

__all__ = ["main"]

# Ticks for which changes that follow one another are taken as one.
_LONGEST_BURST = 8
# Changes at once: more than so many may be fewer than there were, as the system's queue is finite.
_FLOOD = 4000
# A list of thousands of paths helps nobody, and would fill the pipe.
_MOST_NAMED = 20

_POLL_DELAY = 300  # ms

_MANY = 10_000
_TOO_MANY = (
    "directories are watched, which is slow; name fewer with reload_paths, or names to leave out "
    "with reload_ignore_dirs"
)
_POLLED = (
    "the files are polled, since the system does not tell of changes (see fs.inotify's limits "
    "max_user_watches and max_user_instances)"
)
# What a terminal sends to the whole tree is for the arbiter, whose end is this process's.
_TERMINAL = ("SIGINT", "SIGQUIT", "SIGHUP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGWINCH")


class _Watcher:
    """Watch until the parent is gone. Raises OSError if that cannot be done."""

    def __init__(self, files: Files, tick: int, pipe: int, parent: int) -> None:
        self._files = files
        self._tick = tick
        self._pipe = pipe
        self._parent = parent
        self._established = False
        self._known: set[str] = set()

    def run(self) -> None:
        self._tell_changed(self._files.look())
        if len(self._files.watched) > _MANY:
            self._tell("W", f"reload: {len(self._files.watched)} {_TOO_MANY}")
        if _is_to_poll():
            self._poll()
        while not self._orphaned():
            self._established = False
            try:
                self._watch()
            except FileNotFoundError:
                self._pause()  # it was there a moment ago
            except (OSError, RuntimeError) as exc:
                if not self._established:
                    self._tell("W", f"reload: {_POLLED}: {exc}")
                    self._poll()
                self._pause()
            self._tell_changed(self._files.look())

    def _poll(self) -> None:
        """Watch without the system's help. That of watchfiles knows times in whole seconds only,
        and so misses the second of two changes within one.
        """
        delay = _poll_delay(self._tick)
        self._tell_watched()
        while not self._orphaned():
            time.sleep(delay / 1000)
            changed = found = self._files.look()
            for _ in range(_LONGEST_BURST):
                if not found:
                    break
                self._pause()
                found = self._files.look()
                changed |= found
            self._tell_changed(changed)

    def _watch(self) -> None:
        """Watch until the directories are others."""
        directories = sorted(self._files.watched)
        notices = watchfiles.watch(
            *directories,
            watch_filter=None,
            debounce=_LONGEST_BURST * self._tick,
            step=self._tick,
            rust_timeout=0,
            stop_event=_Question(self._ask),
            raise_interrupt=False,
            force_polling=False,
            recursive=False,
        )
        for notice in notices:
            changed = self._files.changed((path for _, path in notice), self._known)
            self._known = set()
            if len(notice) >= _FLOOD:
                changed |= self._files.look()
            self._tell_changed(changed)
            if self._files.watched != set(directories):
                return

    def _ask(self) -> bool:
        """Say whether to stop."""
        if not self._established:
            # From here on nothing is missed; before, something may have been.
            self._established = True
            before = self._files.watched
            changed = self._files.look()
            self._tell_changed(changed)
            # The system may tell of them, too.
            self._known = self._files.settled(changed)
            if self._files.watched != before:
                return True
            self._tell_watched()
        return self._orphaned()

    def _orphaned(self) -> bool:
        return os.getppid() != self._parent

    def _pause(self) -> None:
        time.sleep(self._tick / 1000)

    def _tell_watched(self) -> None:
        self._tell("D", f"reload: directories that are watched: {len(self._files.watched)}")

    def _tell_changed(self, paths: Iterable[str]) -> None:
        found = sorted(paths)
        if found:
            self._tell("C", *found[:_MOST_NAMED])

    def _tell(self, kind: str, *words: str) -> None:
        _tell(self._pipe, kind, *words)


class _Question:
    """What watchfiles takes for an event that ends the watching."""

    def __init__(self, ask: Callable[[], bool]) -> None:
        self.is_set = ask


def main(config: Config, others: Iterable[str], since: float, pipe: int, parent: int) -> int:
    """Be the watcher; return the process's exit status.

    Of what the settings select, and the files `others`, what is written after `since`, in seconds
    of the system's clock, is told of to `pipe`, until the process `parent` ends.
    """
    _settle(pipe)
    try:
        _Watcher(Files(Selection(config, others), since), config.reload_tick, pipe, parent).run()
    except BrokenPipeError:
        return 0
    except Exception as exc:
        _tell(pipe, "E", f"reload: the files cannot be watched: {exc or type(exc).__name__}")
        return 1
    return 0


def _is_to_poll() -> bool:
    """Say whether the operator, by watchfiles' variable, or the system wants the files polled."""
    asked = os.environ.get("WATCHFILES_FORCE_POLLING", "").lower()
    if asked:
        return asked not in ("false", "disable", "disabled")
    return "microsoft-standard" in os.uname().release.lower()  # WSL


def _poll_delay(tick: int) -> int:
    """Return the milliseconds between two looks."""
    asked = os.environ.get("WATCHFILES_POLL_DELAY_MS", "")
    return int(asked) if asked.isdecimal() else max(_POLL_DELAY, tick)


def _settle(pipe: int) -> None:
    """Give up what is the arbiter's: its descriptors, its signals."""
    for name in os.listdir("/dev/fd"):  # noqa: PTH208
        if int(name) not in (0, 1, 2, pipe):
            try:  # noqa: SIM105
                os.close(int(name))
            except OSError:
                pass  # that of the list itself
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    for name in _TERMINAL:
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _tell(pipe: int, kind: str, *words: str) -> None:
    line = kind + "\0".join(words).replace("\n", "?") + "\n"
    data = line.encode("utf-8", "surrogateescape")
    while data:
        data = data[os.write(pipe, data) :]
