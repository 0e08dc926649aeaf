"""What happens behind an import.

Owns the finder that stands in between. Must not know whose import it is, nor what happens. Any
thread may import; whoever waits for it is told on that thread.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

__all__ = ["AfterImport"]


class AfterImport:
    """Calls `then` once, behind the first import of one of `names`, from `begin()` to `end()`. With
    `main`, imports of other threads than the main one do not count.
    """

    def __init__(
        self, names: tuple[str, ...], then: Callable[[], object], *, main: bool = False
    ) -> None:
        self._names = names
        self._then = then
        self._main = main

    def begin(self) -> None:
        """Wait for it."""
        sys.meta_path.insert(0, self)

    def end(self) -> None:
        """Wait no longer. Idempotent."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Be asked by an import where a module is: answer as any finder for those of `names`."""
        if name not in self._names or (self._main and not _is_main_thread()):
            return None
        self.end()
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                loader: Any = _Loader(spec.loader, self._then)
                spec.loader = loader
                return spec
        return None


def _is_main_thread() -> bool:
    import threading  # for those whose import waits for it

    return threading.current_thread() is threading.main_thread()


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
