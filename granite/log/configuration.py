"""The setting `log_config`: the standard library's logging, configured by the operator.

Owns reading its file, applying it, and the names that configurations written for other servers use
for our loggers. Must not know our own formats and destinations. Runs on the main thread, first in
the arbiter, so that a mistake is known before a worker starts, then in each worker.
"""

from __future__ import annotations

import logging
import logging.config
import os
import sys
from contextlib import contextmanager
from typing import Any

from granite.errors import UsageError, reason
from granite.settings.toml import parse_toml

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from configparser import RawConfigParser

__all__ = ["apply", "read"]

# Configurations for Gunicorn and Granian refer to formatters and handlers that those servers add.
_FORMATTERS: dict[str, object] = {
    "generic": {"format": "%(asctime)s [%(process)d] [%(levelname)s] %(message)s"},
    "access": {"format": "%(asctime)s %(message)s"},
}
_HANDLERS: dict[str, object] = {
    "console": {
        "class": "logging.StreamHandler",
        "formatter": "generic",
        "stream": "ext://sys.stdout",
    },
    "error_console": {
        "class": "logging.StreamHandler",
        "formatter": "generic",
        "stream": "ext://sys.stderr",
    },
    "access": {
        "class": "logging.StreamHandler",
        "formatter": "access",
        "stream": "ext://sys.stdout",
    },
}
# Our logger ← what other servers call theirs.
_NAMES = {
    "granite": ("gunicorn", "uvicorn"),
    "granite.error": ("gunicorn.error", "_granian", "uvicorn.error"),
    "granite.access": ("gunicorn.access", "granian.access", "uvicorn.access"),
}


# What the arbiter has read and found right, by path: its workers take it over, so that a file which
# is being edited does not end a server whose worker is replaced just then.
_proven: dict[str, dict[str, Any] | RawConfigParser] = {}


def apply(given: str | dict[str, Any], whole: dict[str, Any] | RawConfigParser) -> None:
    """Configure logging with `whole`, which `read()` has made of `given`.

    Where it names loggers of Gunicorn, Granian or uvicorn and none of granite's, those get their
    handlers, levels and filters. Raises UsageError, which names the file and the mistake.
    """
    try:
        with _importable():
            if isinstance(whole, dict):
                logging.config.dictConfig(whole)
            else:
                logging.config.fileConfig(whole, disable_existing_loggers=False)
    except Exception as exc:  # whatever the classes that it names raise
        raise _mistake(given, exc) from None
    if isinstance(given, str):
        _proven[given] = whole
    _adopt(_names(whole))


def read(given: str | dict[str, Any], *, fresh: bool = True) -> dict[str, Any] | RawConfigParser:
    """Return the dictionary that `given` is, or that lies in the file of which it is the path; the
    sections of an INI file. Nothing is changed.

    Without `fresh` a file that has been applied, in this process or in the arbiter before the fork,
    is not read again. Raises UsageError in so far as a mistake shows without making what is named.
    """
    try:
        if isinstance(given, dict):
            return _completed(given)
        known = None if fresh else _proven.get(given)
        return _read_file(given) if known is None else known
    except Exception as exc:
        raise _mistake(given, exc) from None


def _mistake(given: str | dict[str, Any], exc: Exception) -> UsageError:
    where = "log_config" if isinstance(given, dict) else f"log_config {given!r}"
    return UsageError(f"{where}: {_reason(exc)}")


def _read_file(path: str) -> dict[str, Any] | RawConfigParser:
    with open(path, "rb") as file:  # noqa: PTH123 (pathlib costs 0.7 MiB)
        content = file.read()
    extension = os.path.splitext(path)[1].lower()  # noqa: PTH122
    if extension in (".yaml", ".yml"):
        raise UsageError("expected a JSON, TOML or INI file, got YAML")
    if extension == ".toml":
        return _completed(parse_toml(content))
    text = content.decode("utf-8-sig")
    if extension == ".json" or text.lstrip().startswith("{"):
        import json

        return _completed(json.loads(text))
    return _read_ini(path, text)


def _completed(given: object) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise UsageError(f"expected a dictionary, got {type(given).__name__}")
    for section in ("formatters", "handlers", "filters", "loggers", "root"):
        if not isinstance(given.get(section, {}), dict):
            raise UsageError(f"{section}: expected a dictionary")
    whole: dict[str, Any] = {"version": 1, "disable_existing_loggers": False} | given
    if not whole.get("incremental"):
        whole["formatters"] = _FORMATTERS | given.get("formatters", {})
        whole["handlers"] = _HANDLERS | given.get("handlers", {})
    return whole


def _read_ini(path: str, text: str) -> RawConfigParser:
    from configparser import ConfigParser

    parser = ConfigParser({"__file__": path, "here": os.path.dirname(os.path.abspath(path))})  # noqa: PTH100, PTH120
    parser.read_string(text, path)
    for section in ("loggers", "handlers", "formatters"):
        if not parser.has_section(section):
            raise UsageError(f"expected JSON, TOML or INI; there is no section [{section}]")
    return parser


def _names(whole: dict[str, Any] | RawConfigParser) -> list[str]:
    """The loggers that a configuration names."""
    if isinstance(whole, dict):
        return list(whole.get("loggers", {}))
    keys = [key.strip() for key in whole.get("loggers", "keys").split(",")]
    return [whole.get(f"logger_{key}", "qualname", fallback="") for key in keys]


def _adopt(names: list[str]) -> None:
    """Let granite's loggers be what the configuration says of another server's."""
    if any(name == "granite" or name.startswith("granite.") for name in names):
        return
    for ours, theirs in _NAMES.items():
        for name in theirs:
            if name in names:
                source, target = logging.getLogger(name), logging.getLogger(ours)
                target.handlers = list(source.handlers)
                target.filters = list(source.filters)
                target.propagate = source.propagate
                if source.level:
                    target.setLevel(source.level)
                break


@contextmanager
def _importable() -> Iterator[None]:
    """Let the application's own classes be found, as when it will be imported."""
    current = os.getcwd()  # noqa: PTH109
    if current in sys.path or "" in sys.path:
        yield
        return
    sys.path.insert(0, current)
    try:
        yield
    finally:
        sys.path.remove(current)


def _reason(exc: BaseException | None) -> str:
    """Return what went wrong, and why, in one line."""
    parts: list[str] = []
    while exc is not None and len(parts) < 5:
        parts.append(_describe(exc))
        exc = exc.__cause__
    return ": ".join(" ".join(part.split()) for part in parts if part)


def _describe(exc: BaseException) -> str:
    if isinstance(exc, OSError) and exc.strerror:
        return f"{reason(exc)}: {exc.filename!r}" if exc.filename else reason(exc)
    if isinstance(exc, (ValueError, UsageError, ImportError)):
        return str(exc)
    return f"{type(exc).__name__}: {exc}"
