"""What a Python file does with its names: which it assigns, imports and reads.

Owns the look into the source. Must not know which names are settings. Pure functions: any thread
may call them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = ["SourceNames"]

_ONLY_AST = 0x400  # ast.PyCF_ONLY_AST: the parser is built in, the module ast would cost memory
_ASSIGNMENTS = ("Assign", "AnnAssign", "AugAssign", "NamedExpr")
# Whoever calls these may read any name.
_READ_ALL = ("eval", "exec", "globals", "locals", "vars")
_SCOPES = ("FunctionDef", "AsyncFunctionDef", "ClassDef", "Lambda")


class SourceNames:
    """The names of one source.

    `assigned` has the line of the last assignment at the top level. A source that cannot be parsed
    has no names.
    """

    __slots__ = ("_imported", "_read", "assigned")

    def __init__(self, source: bytes = b"", filename: str = "") -> None:
        self.assigned: dict[str, int] = {}
        self._imported: set[str] = set()
        self._read: set[str] = set()
        try:
            tree = compile(source, filename, "exec", _ONLY_AST, dont_inherit=True)
        except (SyntaxError, ValueError):
            return
        pending = [(tree, True)]  # nodes, and whether they are at the top level
        while pending:
            node, top = pending.pop()
            self._note(node, top)
            top = top and type(node).__name__ not in _SCOPES
            pending.extend((child, top) for child in _children(node))

    def is_helper(self, name: str) -> bool:
        """Tell whether the source itself has a use for `name`: it reads it, or it imported it."""
        return name in self._read or name in self._imported or not self._read.isdisjoint(_READ_ALL)

    def _note(self, node: Any, top: bool) -> None:
        kind = type(node).__name__
        if kind == "Name" and type(node.ctx).__name__ == "Load":
            self._read.add(node.id)
        elif kind in ("Import", "ImportFrom"):
            for alias in node.names:
                self._imported.add(alias.asname or alias.name.partition(".")[0])
        elif top and kind in _ASSIGNMENTS:
            for target in _targets(node):
                line = self.assigned.get(target.id, 0)
                self.assigned[target.id] = max(line, target.lineno)


def _children(node: Any) -> Iterator[Any]:
    for field in node._fields:
        value = getattr(node, field, None)
        for item in value if isinstance(value, list) else (value,):
            if hasattr(item, "_fields"):
                yield item


def _targets(node: Any) -> Iterator[Any]:
    """Return the names that an assignment binds, also those inside of a tuple."""
    pending = list(getattr(node, "targets", None) or [node.target])
    while pending:
        target = pending.pop()
        if type(target).__name__ == "Name":
            yield target
        elif type(target).__name__ in ("Tuple", "List", "Starred"):
            pending.extend(_children(target))
