"""From a target such as `package.module:attribute` to the application.

Owns telling the operator's mistakes (a module or attribute that does not exist: one line) from the
application's own (its code raised: its traceback). Must not know what the application is for. Runs
in the worker, before the loop runs.
"""

from __future__ import annotations

import importlib

from granite.errors import GraniteError, LoadError
from granite.interfaces.choice import is_application

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any

__all__ = ["call", "load"]

_MACHINERY = (__file__, importlib.__file__)


def load(target: str, factory: bool = False) -> Any:
    """Import the module of `target` and return the attribute that follows the colon (`app` if none
    does).

    The attribute may be dotted. With `factory` the attribute is called without arguments and its
    result is the application. Raises LoadError: in one line if the module or attribute does not
    exist or is not callable, with the traceback in `details` if code of the application raised.
    """
    module_name, _, attribute_path = target.partition(":")
    attribute_path = attribute_path or "app"
    names = (*module_name.split("."), *attribute_path.split("."))
    # "main.py:app" is a file by mistake, and hardly ever a module "py" in a package "main".
    if module_name.endswith(".py") or not all(name.isidentifier() for name in names):
        raise LoadError(
            'expected a target, "module:attribute" such as package.main:app, got '
            f"{target!r}{_meant(module_name, attribute_path)}"
        )
    found = _import(module_name, target)
    reached = module_name
    for name in attribute_path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as exc:
            if (
                _own_frames(exc.__traceback__) is not None
            ):  # a property or a module's __getattr__ failed inside
                raise _application_raised(repr(target), exc) from exc
            kind = "module" if reached == module_name else "object"
            raise LoadError(
                f"cannot load {target!r}: {kind} {reached!r} has no attribute {name!r}"
            ) from None
        except Exception as exc:
            raise _application_raised(repr(target), exc) from exc
        reached = f"{reached}.{name}" if reached != module_name else f"{module_name}:{name}"
    if not is_application(found):
        raise LoadError(
            f"cannot load {target!r}: expected a callable, "
            f"got an object of type {type(found).__name__}"
        )
    return _call_factory(found, target) if factory else found


def call(loader: Callable[[], Any]) -> Any:
    """Return the application that `loader` returns.

    Raises LoadError, with the traceback in `details`, for whatever `loader` raises; granite's own
    errors pass as they are.
    """
    try:
        app = loader()
    except GraniteError:
        raise
    except (Exception, SystemExit) as exc:
        raise _application_raised("the application", exc) from exc
    if not is_application(app):
        raise LoadError(
            "cannot load the application: expected a callable, "
            f"got an object of type {type(app).__name__}"
        )
    return app


def _meant(path: str, attribute: str) -> str:
    """Say which target somebody means who names a file."""
    names = path.removeprefix("./").removesuffix(".py").split("/")
    if not all(name.isidentifier() for name in (*names, *attribute.split("."))):
        return ""
    return f" (did you mean '{'.'.join(names)}:{attribute}'?)"


def _import(module_name: str, target: str) -> Any:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as exc:
        is_target = exc.name is not None and f"{module_name}.".startswith(f"{exc.name}.")
        if is_target and _own_frames(exc.__traceback__) is None:
            hint = "" if exc.name == module_name else f" (needed for {module_name!r})"
            raise LoadError(
                f"cannot load {target!r}: there is no module {exc.name!r}{hint}"
            ) from None
        raise _application_raised(repr(target), exc) from exc
    except (Exception, SystemExit) as exc:
        raise _application_raised(repr(target), exc) from exc


def _call_factory(factory: Any, target: str) -> Any:
    try:
        app = factory()
    except (Exception, SystemExit) as exc:
        raise _application_raised(repr(target), exc) from exc
    if not is_application(app):
        raise LoadError(
            f"cannot load {target!r}: expected the factory to return the application, a callable, "
            f"got an object of type {type(app).__name__}"
        )
    return app


def _application_raised(what: str, exc: BaseException) -> LoadError:
    import traceback

    lines = traceback.format_exception(type(exc), exc, _own_frames(exc.__traceback__))
    return LoadError(
        f"cannot load {what}: the application raised {type(exc).__name__}",
        "".join(lines).rstrip(),
    )


def _own_frames(tb: TracebackType | None) -> TracebackType | None:
    """Return the part of `tb` that starts in the application's code; None if none of it is the
    application's.
    """
    while tb is not None:
        filename = tb.tb_frame.f_code.co_filename
        if filename not in _MACHINERY and not filename.startswith("<frozen importlib"):
            return tb
        tb = tb.tb_next
    return None
