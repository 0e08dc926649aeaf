"""Reading TOML, with the parser that there is.

Owns the choice of the parser. Must not know what a file is for. Pure functions: any thread may call
them; imported only where there is such a file.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["parse_toml"]


def parse_toml(data: bytes) -> dict[str, Any]:
    """Return the table that `data`, in UTF-8, holds. Raises ValueError, whose text is what is
    wrong, for anything else and where there is no parser.
    """
    loads = _find_parser()
    try:
        return loads(data.decode("utf-8-sig"))
    except RecursionError:
        raise ValueError("its values are nested too deep") from None


def _find_parser() -> Callable[[str], dict[str, Any]]:
    import importlib

    for name in ("tomllib", "tomli"):  # Python 3.10 has no parser of its own
        try:
            loads: Callable[[str], dict[str, Any]] = importlib.import_module(name).loads
        except ModuleNotFoundError:
            continue
        return loads
    raise ValueError("Python 3.10 needs the package tomli to read TOML")
