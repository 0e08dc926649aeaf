import contextvars
from collections.abc import Callable
from typing import Any

class Flag:
    """What `Loop.run_until()` waits for; asyncio.Event's methods, without its waiting."""

    def set(self) -> None:
        """End the wait. On the loop's thread; elsewhere, `call_soon_threadsafe(flag.set)`."""

    def is_set(self) -> bool:
        """Say whether `set()` was called."""

class Handle:
    """A callback that was asked for."""

    def cancel(self) -> None:
        """Do not call it. Idempotent; does nothing once it was called."""

class Loop:
    """An event loop without asyncio: descriptors, timers, signals and other threads.

    Everything is called in the context in which the loop runs: where methods take a `context`, they
    do as asyncio's do, and it is not used. What a callback raises is logged, but for SystemExit and
    KeyboardInterrupt, which `run_until()` and `turn()` raise. For one thread, but for
    `call_soon_threadsafe()`.
    """

    def time(self) -> float:
        """Return the seconds on the monotonic clock."""

    def call_soon(
        self,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> Handle:
        """Call it at the next turn."""

    def call_soon_threadsafe(
        self,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> Handle:
        """Do `call_soon()` from any thread, or a signal's handler.

        Raises RuntimeError if the loop is closed.
        """

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> Handle:
        """Call it after `delay` seconds."""

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> Handle:
        """Call it when `time()` is `when`."""

    def add_reader(self, fd: int, callback: Callable[..., object], *args: Any) -> None:
        """Call it whenever there is something to read, or the other end has gone, instead of what
        was called before.
        """

    def remove_reader(self, fd: int) -> bool:
        """Call nothing for this descriptor any longer, which may be closed then; return whether
        something was.
        """

    def add_signal_handler(self, signum: int, callback: Callable[..., object], *args: Any) -> None:
        """Call it in a turn after this signal has come, instead of what Python does then.

        Raises ValueError if this is not the main thread.
        """

    def remove_signal_handler(self, signum: int) -> bool:
        """Give the signal back to what handled it before, unless somebody else has taken it; return
        whether there was something to remove.
        """

    def is_running(self) -> bool:
        """Say whether a turn is being taken."""

    def is_closed(self) -> bool:
        """Say whether `close()` was called."""

    def run_until(
        self, condition: Flag | Callable[[], object], timeout: float | None = None
    ) -> bool:
        """Take turns until `condition` holds: a Flag that is set, or what returns something true,
        asked before each turn. Return whether it holds, which after `timeout` seconds it need not.
        """

    def turn(self) -> int:
        """Call what is ready; if nothing is, wait until something is, and call that. Also from
        inside of a call.
        """

    def close(self) -> None:
        """Give signals back, forget what was asked for, and close the pipe. Idempotent.

        Raises RuntimeError from inside of a turn.
        """
