"""Which interface an application is served by, and the application as it is called by it.

Owns the choice, and the messages for what cannot be served. Must not know how it is served. Runs in
the worker, on the event loop's thread.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

from granite.errors import LoadError
from granite.interfaces import rsgi
from granite.settings.hooks import arity

__all__ = ["Application", "choose", "is_application"]

_TITLES = {"asgi": "ASGI", "asginl": "ASGI without lifespan", "rsgi": "RSGI"}


class Application:
    """An application and its interface: "asgi", "asginl" or "rsgi". `call` is what requests are
    given to.
    """

    def __init__(self, app: Any, interface: str) -> None:
        self.app = app
        self.interface = interface
        self.call: Any = getattr(app, "__rsgi__", app) if interface == "rsgi" else app
        self._begun = False

    @property
    def title(self) -> str:
        """The interface's name, for messages."""
        return _TITLES[self.interface]

    def begin(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Do what comes before anything of the loop is served, which for RSGI is `__rsgi_init__`;
        return False if it was done before.

        Raises LifespanError if the application fails.
        """
        if self._begun:
            return False
        if self.interface == "rsgi":
            rsgi.begin(self.app, loop)
        self._begun = True
        return True

    def end(self, loop: asyncio.AbstractEventLoop) -> None:
        """Do what comes behind the last request, once, if `begin()` has succeeded."""
        if self._begun and self.interface == "rsgi":
            rsgi.end(self.app, loop)
        self._begun = False


def is_application(found: Any) -> bool:
    """Say whether an object may be an application."""
    return callable(found) or hasattr(found, "__rsgi__")


def choose(app: Any, interface: str) -> Application:
    """Return the application with the interface that the setting `interface` names, or for "auto"
    with the one that it speaks; raise LoadError if it is one that cannot be served.
    """
    if interface == "auto":
        interface = "rsgi" if hasattr(app, "__rsgi__") else "asgi"
    chosen = Application(app, interface)
    if interface == "rsgi":
        _require_rsgi(chosen.call)
    else:
        _require_asgi(app)
    return chosen


def _require_rsgi(call: Any) -> None:
    if arity(call, (2,)) is None:
        raise LoadError(
            "cannot serve the application: expected an RSGI application, which takes scope and "
            "protocol, got one of other arguments"
        )


def _require_asgi(app: Any) -> None:
    """Raise LoadError for an application that says by its arguments that it is none of ASGI 3."""
    if not callable(app):
        raise LoadError(
            "cannot serve the application: expected an ASGI application, a callable, got an object "
            f"of type {type(app).__name__}"
        )
    count = arity(app, (3, 2, 1))
    if count == 1:
        found = "one of 1 argument, as ASGI 2 has, which granite does not serve"
    elif count == 2 and _is_async(app):
        found = (
            "a coroutine function of 2 arguments, as RSGI has; where it is one of RSGI, set the "
            "interface to rsgi"
        )
    elif count == 2:
        found = "one of 2 arguments, as WSGI has, which granite does not serve yet"
    else:
        return
    raise LoadError(
        "cannot serve the application: expected an ASGI application, which takes scope, "
        f"receive and send, got {found}"
    )


def _is_async(app: Any) -> bool:
    """Say whether an object is a coroutine function, or its `__call__` is one."""
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(
        getattr(app, "__call__", None)  # noqa: B004
    )
