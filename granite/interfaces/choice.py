"""Which interface an application is served by, and the application as it is called by it.

Owns the choice, and the messages for what cannot be served. Must not know how it is served. Runs in
the worker, or in its template, on the main thread; loads nothing that only some interfaces need.
"""

from __future__ import annotations

from granite.errors import LoadError
from granite.settings.hooks import arity

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from functools import partial
    from typing import Any
else:
    from _functools import partial  # functools imports collections

__all__ = ["Application", "choose", "is_application"]

_TITLES = {"asgi": "ASGI", "asginl": "ASGI without lifespan", "rsgi": "RSGI", "wsgi": "WSGI"}

# Who takes how many arguments, and which they are.
_TAKES = {
    "asgi": (3, "an ASGI application", "scope, receive and send"),
    "rsgi": (2, "an RSGI application", "scope and protocol"),
    "wsgi": (2, "a WSGI application", "environ and start_response"),
}
# The code of a coroutine function says so; what only behaves like one is marked by `inspect` or by
# `asyncio`.
_COROUTINE = 0x80
_MARKS = ("_is_coroutine_mark", "_is_coroutine")
# More arguments than anything takes that does not take all it is given.
_ANY = 64


class Application:
    """An application and its interface: "asgi", "asginl", "rsgi" or "wsgi". `call` is what requests
    are given to.
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

    @property
    def is_async(self) -> bool:
        """Whether it needs asyncio to be served."""
        return self.interface != "wsgi"

    def begin(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Do what comes before anything of the loop is served, which for RSGI is `__rsgi_init__`;
        return False if it was done before.

        Raises LifespanError if the application fails.
        """
        if self._begun:
            return False
        if self.interface == "rsgi":
            from granite.interfaces import rsgi

            rsgi.begin(self.app, loop)
        self._begun = True
        return True

    def end(self, loop: asyncio.AbstractEventLoop) -> None:
        """Do what comes behind the last request, once, if `begin()` has succeeded."""
        if self._begun and self.interface == "rsgi":
            from granite.interfaces import rsgi

            rsgi.end(self.app, loop)
        self._begun = False


def is_application(found: Any) -> bool:
    """Say whether an object may be an application."""
    return callable(found) or hasattr(found, "__rsgi__")


def choose(app: Any, interface: str) -> Application:
    """Return the application with the interface that the setting `interface` names, or for "auto"
    with the one that it speaks; raise LoadError if it is one that cannot be served.

    For "auto": what has `__rsgi__` is of RSGI. A coroutine function, and what needs three
    arguments, is of ASGI. What else takes two is of WSGI, unless it looks like what makes an
    application.
    """
    chosen = Application(app, _spoken(app) if interface == "auto" else interface)
    if chosen.call is app:
        _require(app, "asgi" if chosen.interface == "asginl" else chosen.interface)
        if interface == "auto" and chosen.interface == "wsgi" and _is_factory(app):
            raise LoadError(
                "cannot serve the application: expected one that needs its arguments, got "
                f"{'a class' if isinstance(app, type) else 'one'} that can be called with fewer; "
                "where it makes the application, set factory"
            )
    elif arity(chosen.call, (2,)) is None:
        raise _refused("rsgi", "one of other arguments")
    return chosen


def _spoken(app: Any) -> str:
    if hasattr(app, "__rsgi__"):
        return "rsgi"
    return "asgi" if _is_async(app) or arity(app, (2, 3)) == 3 else "wsgi"


def _require(app: Any, interface: str) -> None:
    """Raise LoadError for an application that says of itself that it has another interface."""
    if not callable(app):
        title = _TAKES[interface][1]
        raise LoadError(
            f"cannot serve the application: expected {title}, a callable, got an object of type "
            f"{type(app).__name__}"
        )
    wanted = _TAKES[interface][0]
    count = arity(app, (wanted, 3, 2, 1, 0))
    is_async = _is_async(app)
    if count == wanted and not (is_async and interface == "wsgi"):
        return
    found = "a coroutine function" if is_async else "one"
    if count is None:
        raise _refused(interface, f"{found} of other arguments")
    if count == 1:
        raise _refused(
            interface, f"{found} of 1 argument, as ASGI 2 has, which granite does not serve"
        )
    if count == 0:
        raise _refused(
            interface, f"{found} of no arguments; where it makes the application, set factory"
        )
    meant = "asgi" if count == 3 else "rsgi" if is_async else "wsgi"
    raise _refused(
        interface,
        f"{found} of {count} arguments, as {meant.upper()} has; where it is one of "
        f"{meant.upper()}, set the interface to {meant}",
    )


def _refused(interface: str, found: str) -> LoadError:
    _, title, arguments = _TAKES[interface]
    return LoadError(
        f"cannot serve the application: expected {title}, which takes {arguments}, got {found}"
    )


def _is_factory(app: Any) -> bool:
    """Say whether a callable that takes two arguments needs less, as a framework's class does, or a
    function that makes an application, and not just takes whatever it is given.
    """
    return arity(app, (1, 0)) is not None and arity(app, (_ANY,)) is None


def _is_async(app: Any) -> bool:
    """Say whether an object is a coroutine function, or its `__call__` is one."""
    while isinstance(app, partial):
        app = app.func
    call = None if isinstance(app, type) else getattr(app, "__call__", None)  # noqa: B004
    for found in (app, call):
        code = getattr(getattr(found, "__func__", found), "__code__", None)
        if getattr(code, "co_flags", 0) & _COROUTINE or any(hasattr(found, m) for m in _MARKS):
            return True
    return False
