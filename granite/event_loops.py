"""The event loop of asyncio's kind that an application is served on, where it needs one.

Owns which one it is, and when it is made. Must not know who runs it. Does not import asyncio before
it is needed: a worker that serves WSGI does without. Main thread of a worker or a template, or
whichever thread serves.

Theory of operation: an application may ask for its event loop while it is imported, so the loop has
to be there by then. If the setting `interface` leaves open whether there will be one, whoever
imports asyncio gets it, behind that import: who does not import it cannot ask.
"""

from __future__ import annotations

import sys

from granite.errors import BootError
from granite.imports import AfterImport

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["EarlyLoop", "find_event_loop", "new_event_loop"]


def new_event_loop(kind: str) -> asyncio.AbstractEventLoop:
    """Make the event loop that the setting `loop` names; raise BootError if it is not installed."""
    return find_event_loop(kind)()


def find_event_loop(kind: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes the event loop that the setting `loop` names; raise BootError if it is not
    installed.
    """
    if kind != "asyncio":
        try:
            import uvloop
        except ImportError:
            if kind == "uvloop":
                raise BootError(
                    "loop: uvloop is not installed; install it or take --loop asyncio"
                ) from None
        else:
            found: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
            return found
    import asyncio

    return asyncio.new_event_loop


class EarlyLoop:
    """The event loop during the import of an application, as a context manager around that.

    `interface` and `kind` are the settings `interface` and `loop`. Where the application will need
    a loop, that is made before the block; where it may, when asyncio is imported. The loop that was
    made is the current one of this thread.
    """

    def __init__(self, interface: str, kind: str) -> None:
        self._interface = interface
        self._kind = kind
        self._made: asyncio.AbstractEventLoop | None = None
        # uvloop imports asyncio, and is not complete before that is.
        self._import = AfterImport(("asyncio", "uvloop"), self._imported, main=True)

    def __enter__(self) -> EarlyLoop:
        if self._interface not in ("auto", "wsgi"):
            self.get()
        elif self._interface == "auto" and "asyncio" in sys.modules:
            self._imported()
        elif self._interface == "auto":
            self._import.begin()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._import.end()

    def get(self) -> asyncio.AbstractEventLoop:
        """Return the loop; make it, if that was not done. Raises BootError."""
        if self._made is None:
            self._import.end()  # what follows imports asyncio
            self._made = new_event_loop(self._kind)

            import asyncio

            asyncio.set_event_loop(self._made)
        return self._made

    def close(self) -> None:
        """Close the loop, if one was made and is not needed."""
        if self._made is not None and not self._made.is_closed():
            self._made.close()

    def _imported(self) -> None:
        import contextlib  # which asyncio has imported

        # It is raised again, to somebody who reports it, once the loop is wanted.
        with contextlib.suppress(BootError):
            self.get()
