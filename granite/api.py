"""granite as a library: `Granite("main:app", workers=2).serve()` runs the whole server.

Owns the class `Granite`: what it accepts, and the functions that it calls. Must not know how
processes are managed, nor what forking means to the calling program (see `granite.program`). Used
on the main thread of the process that becomes the arbiter.
"""

from __future__ import annotations

from granite import program
from granite.errors import EXIT_OK, UsageError
from granite.keywords import read_keywords
from granite.settings.hooks import Hooks
from granite.settings.load import Loaded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeVar

    Hook = TypeVar("Hook", bound=Callable[[], object])

__all__ = ["Granite"]


class Granite:
    """The server of the application `target`, "module:attribute", as `granite run` would start it.

    `settings` are granite's settings by name, and those that `granian.Granian` takes by its names;
    None stands for the default. Only what is given here counts: neither a config file nor a
    variable of the environment is read. `hooks` are functions by Gunicorn's names, with its
    arguments, such as `{"post_fork": function}`. The attribute `config` has the final values.

    Raises UsageError, in one line, for an unknown name and a wrong value. Where nothing catches it,
    the program ends with that line and status 2.
    """

    def __init__(
        self,
        target: str,
        address: str | None = None,
        port: int | None = None,
        *,
        hooks: Mapping[str, Callable[..., object]] | None = None,
        **settings: Any,
    ) -> None:
        self._own: dict[str, list[Callable[[], object]]] = {}
        try:
            if not isinstance(target, str):
                raise UsageError(
                    'target: expected "module:attribute", such as "package.main:app", got '
                    f"{target!r}; granite.Server serves an object"
                )
            keywords = {"target": target, "address": address, "port": port, **settings}
            self._loaded = read_keywords(keywords, Hooks.of(hooks or {}, "hooks"))
            self.config = self._loaded.config
        except UsageError:
            program.show_errors_in_one_line()
            raise

    def __repr__(self) -> str:
        return f"Granite({self.config.target!r})"

    def on_startup(self, function: Hook) -> Hook:
        """Have `function` called, without arguments, in the process that calls `serve()`, before
        sockets are opened and workers are forked. A decorator; several are called in order.
        """
        return self._add("on_starting", function)

    def on_reload(self, function: Hook) -> Hook:
        """Have `function` called, without arguments, in the process that called `serve()`, when
        SIGHUP has come and workers are about to be replaced by ones that load the application anew.
        What this process itself has imported stays as it is, in them too. A decorator; several are
        called in order.
        """
        return self._add("on_reload", function)

    def on_shutdown(self, function: Hook) -> Hook:
        """Have `function` called, without arguments, in the process that calls `serve()`, when all
        workers have ended. A decorator; several are called in order.
        """
        return self._add("on_exit", function)

    def serve(
        self, *, target_loader: Callable[..., object] | None = None, wrap_loader: bool = True
    ) -> None:
        """Serve until the process is told to end, by SIGTERM or SIGINT; return when everything has
        ended well.

        `target_loader` is called in each worker, with the target, or without arguments where
        `wrap_loader` is false, and returns the application; `factory` has no effect then.

        Where the server fails, what went wrong has been written, in one line, and SystemExit is
        raised with the status that `granite run` ends with: 1 (a port in use), 2 (a setting), 3
        (the application). Raises UsageError off the main thread, inside of a running event loop,
        and in a worker.

        The workers are forked from the calling process, have everything that it has made so far,
        and never return from here: of the caller, neither the code behind `serve()` nor `finally`
        nor `with` nor functions registered with `atexit` run in them.
        """
        try:
            program.check_place()
        except UsageError:
            program.show_errors_in_one_line()
            raise
        status = program.serve(self._complete(), self._loader(target_loader, wrap_loader))
        if status != EXIT_OK:
            raise SystemExit(status)

    def _add(self, name: str, function: Hook) -> Hook:
        if not callable(function):
            raise UsageError(f"expected a function without arguments, got {function!r}")
        self._own.setdefault(name, []).append(function)
        return function

    def _complete(self) -> Loaded:
        """Return what was loaded with the decorated functions among the hooks, and a note on
        threads.
        """
        loaded = self._loaded
        functions = {name: loaded.hooks[name] for name in loaded.hooks.names()}
        for name, own in self._own.items():
            functions[name] = _all_of(own, functions.get(name))
        notes = [*loaded.notes, *program.thread_notes()]
        return Loaded(loaded.config, Hooks(functions), loaded.origins, notes)

    def _loader(
        self, target_loader: Callable[..., object] | None, wrap_loader: bool
    ) -> Callable[[], object] | None:
        if target_loader is None or not wrap_loader:
            return target_loader
        return lambda: target_loader(self.config.target)


def _all_of(
    own: list[Callable[[], object]], hook: Callable[..., object] | None
) -> Callable[..., object]:
    def call(server: object) -> None:
        if hook is not None:
            hook(server)
        for function in own:
            function()

    return call
