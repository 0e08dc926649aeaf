"""The functions of an operator that the server calls, by Gunicorn's names and arguments.

Owns the names, how many arguments each takes, and the check of both. Must not know when one is
called. Plain data: any thread may read it.
"""

from __future__ import annotations

from granite.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["ARITIES", "Hooks", "arity"]

# How many arguments the server passes. post_request also takes the first two or three of its four.
ARITIES: dict[str, tuple[int, ...]] = {
    "on_starting": (1,),
    "on_reload": (1,),
    "when_ready": (1,),
    "pre_fork": (2,),
    "post_fork": (2,),
    "post_worker_init": (1,),
    "worker_int": (1,),
    "worker_abort": (1,),
    "pre_exec": (1,),
    "pre_request": (2,),
    "post_request": (4, 3, 2),
    "child_exit": (2,),
    "worker_exit": (2,),
    "nworkers_changed": (3,),
    "on_exit": (1,),
}


class Hooks:
    """The hooks that are set, by name. `call` runs one; what it raises is the caller's concern."""

    __slots__ = ("_functions",)

    def __init__(self, functions: Mapping[str, Callable[..., object]] | None = None) -> None:
        self._functions = dict(functions or {})

    def __contains__(self, name: str) -> bool:
        return name in self._functions

    def __getitem__(self, name: str) -> Callable[..., object]:
        return self._functions[name]

    def names(self) -> list[str]:
        """Return the names of the hooks that are set."""
        return list(self._functions)

    def call(self, name: str, *arguments: object) -> None:
        """Call the hook `name`, if it is set, with `arguments`."""
        if name in self._functions:
            self._functions[name](*arguments)

    @classmethod
    def of(cls, functions: Mapping[str, object], origin: str) -> Hooks:
        """Check `functions`; raise UsageError, in one line that names `origin`, for one that is no
        hook, cannot be called, or takes another number of arguments.
        """
        checked: dict[str, Callable[..., object]] = {}
        for name, function in functions.items():
            if name not in ARITIES:
                raise UsageError(f"{origin}: unknown hook {name!r}")
            if function is None:
                continue
            if not callable(function):
                raise UsageError(f"{origin}: {name}: expected a function, got {function!r}")
            if arity(function, ARITIES[name]) is None:
                wanted = " or ".join(map(str, ARITIES[name]))
                raise UsageError(
                    f"{origin}: {name}: expected a function of {wanted} "
                    f"argument{'' if wanted == '1' else 's'}"
                )
            checked[name] = function
        return cls(checked)


def arity(function: Callable[..., object], wanted: tuple[int, ...]) -> int | None:
    """Return the first of `wanted`, numbers of positional arguments, that `function` takes, or
    None.
    """
    known = positional(function)
    if known is not None:
        fewest, most = known
        return next((count for count in wanted if fewest <= count <= most), None)
    import inspect  # costs a megabyte, which only those pay who need it

    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a builtin that does not say
        return wanted[0]
    for count in wanted:
        try:
            signature.bind(*range(count))
        except TypeError:
            continue
        return count
    return None


def positional(function: Callable[..., object]) -> tuple[int, float] | None:
    """Return the fewest and the most positional arguments of a callable that is a plain function, a
    method of one, a class with such an `__init__`, or an object with such a `__call__`; None for
    others, and for what says of itself to have another signature.
    """
    if any(hasattr(function, mark) for mark in _MARKS):
        return None
    found, bound = _code_of(function)
    if not isinstance(found, _FUNCTION) or any(hasattr(found, mark) for mark in _MARKS):
        return None
    code, defaults = found.__code__, found.__defaults__ or ()
    named = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    if not set(named) <= set(found.__kwdefaults__ or ()):
        return (1, 0)  # positional ones are never enough
    fewest = max(code.co_argcount - len(defaults) - bound, 0)
    return fewest, float("inf") if code.co_flags & _VARARGS else code.co_argcount - bound


def _code_of(function: object) -> tuple[object, int]:
    """Return what a call ends up in, and how many of its arguments the call itself adds."""
    if isinstance(function, _FUNCTION):
        return function, 0
    if isinstance(function, _METHOD):
        return getattr(function, "__func__", None), 1
    if not isinstance(function, type):
        found = _attribute(type(function), "__call__")
        if isinstance(found, (staticmethod, classmethod)):
            return found.__func__, isinstance(found, classmethod)
        return found, 1
    if type(function) is type and _attribute(function, "__new__") is object.__new__:
        return _attribute(function, "__init__"), 1
    return None, 0


def _attribute(owner: type, name: str) -> object:
    """Return what is written in the class, or in one that it is derived from."""
    return next((base.__dict__[name] for base in owner.__mro__ if name in base.__dict__), None)


_FUNCTION = type(arity)
_METHOD = type(Hooks().names)
_MARKS = ("__signature__", "__wrapped__")
_VARARGS = 0x04
