"""What comes before new workers when something was changed: the settings are read again.

Owns the settings as they were read last, the watching of files, and which way the workers are
replaced then. Must not know how that goes on. Main thread of the arbiter.

Theory of operation: SIGHUP asks for it, and where files are watched, their changes do. The settings
are read from where they came from; ones that are wrong leave everything as it was, workers too, but
for a line in the log. Then the workers are replaced: one after the other, each when its successor
is ready; where files are watched, all at once, since their author waits for the new answer and not
for the old one: the sockets stay open, so that who comes meanwhile waits for the new workers.
"""

from __future__ import annotations

from granite import environment
from granite.arbiter.poller import NEVER
from granite.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from granite.arbiter.calls import Calls
    from granite.arbiter.news import News
    from granite.arbiter.poller import Poller
    from granite.arbiter.reload import Reload
    from granite.arbiter.resources import Resources
    from granite.arbiter.watch import Watch
    from granite.settings.load import Loaded

__all__ = ["Renewal"]


class Renewal:
    """A part of the arbiter. `scale` is called with the number of workers when the setting for it
    has changed. Raises UsageError and BootError where files are to be watched and cannot be.
    """

    __slots__ = (
        *("_asked", "_calls", "_changed", "_held", "_loaded", "_news", "_reload", "_scale"),
        "_watch",
    )

    def __init__(
        self,
        loaded: Loaded,
        held: Resources,
        calls: Calls,
        news: News,
        reload: Reload,
        poller: Poller,
        scale: Callable[[int], object],
    ) -> None:
        self._loaded = loaded
        self._held = held
        self._calls = calls
        self._news = news
        self._reload = reload
        self._scale = scale
        self._asked = False
        self._changed: list[str] = []
        self._watch: Watch | None = None
        if loaded.config.reload:
            from granite.arbiter.watch import Watch

            self._watch = Watch(loaded, held.log, poller, self._changed.extend, held.titles)

    def ask(self) -> None:
        """Do it as soon as possible."""
        self._asked = True

    def next_deadline(self) -> float:
        """Return the monotonic time at which there may be something to do."""
        return NEVER if self._watch is None else self._watch.next_deadline()

    def manage(self, now: float) -> None:
        """Do what was asked for. Raises HookFailed if a hook ends the server."""
        if self._watch is not None:
            self._watch.manage(now)
        if not self._asked and not self._changed:
            return
        paths = list(dict.fromkeys(self._changed))
        self._changed.clear()
        asked, self._asked = self._asked, False
        before = self._held.config.workers
        if not self._read_settings() and self._watch is None:
            self._reload.refuse("the settings are wrong")
            return
        wanted = self._held.config.workers
        if asked or wanted != before:
            self._scale(wanted)
        if self._watch is None:
            self._reload.ask()
            return
        from granite.arbiter.watch import changed_text

        self._watch.use(self._loaded)
        self._news.forget_broken()
        reasons = ["SIGHUP"] if asked else []
        if paths:
            reasons.append(changed_text(paths))
        self._reload.at_once(", ".join(reasons))

    def stop(self) -> None:
        """Watch no files any more; idempotent."""
        if self._watch is not None:
            self._watch.stop()

    def pid(self) -> int:
        """Return the process id of what watches files, 0 where nothing does."""
        return 0 if self._watch is None else self._watch.pid

    def leave_in_child(self) -> None:
        """Give up, in a forked child, what is the arbiter's alone."""
        if self._watch is not None:
            self._watch.leave_in_child()

    def _read_settings(self) -> bool:
        """Return whether they could be read."""
        log = self._held.log
        try:
            loaded = self._loaded.again()
        except UsageError as exc:
            log.error(f"the settings stay as they were: {exc}")
            return False
        except BaseException as exc:  # a config file is a program, and may raise what it likes
            log.error(f"the settings stay as they were: {type(exc).__name__}", exc_info=exc)
            return False
        told = {note.text for note in self._loaded.notes}
        for note in loaded.notes:
            if note.text in told:
                continue
            (log.warning if note.level == "warning" else log.info)(note.text)
        self._loaded = loaded
        self._held.config = loaded.config
        environment.set_raw(loaded.config.raw_env)
        self._calls.use(loaded.hooks, loaded.config)
        return True
