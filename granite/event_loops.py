"""The event loop of asyncio's kind that an application is served on, where it needs one.

Owns which one it is, and when it is made. Must not know who runs it. Does not import asyncio before
it is needed: a worker that serves WSGI does without. Main thread of a worker or a template, or
whichever thread serves.

Theory of operation: an application may ask for its event loop while it is imported, so the loop has
to be there by then. If the setting `interface` leaves open whether there will be one, whoever
imports asyncio gets it, behind that import: who does not import it cannot ask.
"""

from __future__ import annotations

import contextlib
import sys
import threading

from granite.errors import BootError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType, TracebackType
    from typing import Any

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

    def __enter__(self) -> EarlyLoop:
        if self._interface not in ("auto", "wsgi"):
            self.get()
        elif self._interface == "auto" and "asyncio" in sys.modules:
            self._imported()
        elif self._interface == "auto":
            sys.meta_path.insert(0, self)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._forget()

    def get(self) -> asyncio.AbstractEventLoop:
        """Return the loop; make it, if that was not done. Raises BootError."""
        if self._made is None:
            self._forget()  # what follows imports asyncio
            self._made = new_event_loop(self._kind)

            import asyncio

            asyncio.set_event_loop(self._made)
        return self._made

    def close(self) -> None:
        """Close the loop, if one was made and is not needed."""
        if self._made is not None and not self._made.is_closed():
            self._made.close()

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Be asked by an import where a module is: answer as any finder for those of loops."""
        # uvloop imports asyncio, and is not complete before that is.
        if name not in ("asyncio", "uvloop"):
            return None
        if threading.current_thread() is not threading.main_thread():
            return None
        self._forget()
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                loader: Any = _Loader(spec.loader, self._imported)
                spec.loader = loader
                return spec
        return None

    def _forget(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def _imported(self) -> None:
        # It is raised again, to somebody who reports it, once the loop is wanted.
        with contextlib.suppress(BootError):
            self.get()


class _Loader:
    """Loads a module as `loader` does, and calls `then`."""

    def __init__(self, loader: Any, then: Callable[[], object]) -> None:
        self._loader = loader
        self._then = then

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        # From here on the module looks as if nobody had stood in between.
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._then()
