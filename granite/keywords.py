"""Settings as keyword arguments: what `Granite(...)` and `Server(...)` accept.

Owns the reading of keywords: every name and alias of the table, and what only programs written for
Granian pass. Must not know what is served. Imported by the arbiter, so it stays free of imports
that cost memory. Pure functions: any thread may call them.
"""

from __future__ import annotations

from granite.errors import UsageError
from granite.settings import look_up, suggestion
from granite.settings.config import Config, read_named
from granite.settings.hooks import Hooks
from granite.settings.load import Loaded
from granite.settings.rules import Note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["read_keywords"]

# Parts of Granian that granite does not have: its Rust runtime, and a class of watchfiles.
_WITHOUT_MEANING = (
    "runtime_threads",
    "runtime_blocking_threads",
    "runtime_mode",
    "task_impl",
    "reload_filter",
)
# The fields of Granian's settings objects, with the names that they go by here; None: nothing to
# set.
_OBJECTS: dict[str, dict[str, str | None]] = {
    "http1_settings": {
        "header_read_timeout": "http1_header_read_timeout",
        "keep_alive": "http1_keep_alive",
        "max_buffer_size": "http1_buffer_size",
        "pipeline_flush": None,
    },
    "http2_settings": {
        name: f"http2_{name}"
        for name in (
            "adaptive_window",
            "initial_connection_window_size",
            "initial_stream_window_size",
            "keep_alive_interval",
            "keep_alive_timeout",
            "max_concurrent_streams",
            "max_frame_size",
            "max_headers_size",
            "max_send_buffer_size",
        )
    },
}


def read_keywords(keywords: Mapping[str, object], hooks: Hooks | None = None) -> Loaded:
    """Return the settings that `keywords` name, with the defaults for the rest.

    A value of None stands for the default. Neither a config file nor the environment is read.
    Raises UsageError, in one line, for an unknown name, a wrong value, and a setting that is given
    twice under different names.
    """
    ignored: list[str] = []
    found = read_named(_expanded(keywords, ignored))
    config, notes = Config.of({name: value for name, (_, value) in found.items()})
    if ignored:
        notes.append(Note("warning", f"ignored, of no meaning here: {', '.join(ignored)}"))
    origins = {name: f"argument {given}" for name, (given, _) in found.items()}
    return Loaded(config, hooks or Hooks(), origins, notes)


def _expanded(keywords: Mapping[str, object], ignored: list[str]) -> Iterator[tuple[str, object]]:
    """Yield names and values, with Granian's settings objects taken apart; what has no meaning here
    goes to `ignored`.
    """
    for name, value in keywords.items():
        if name in _OBJECTS:
            yield from _fields(name, value, ignored)
        elif name not in _WITHOUT_MEANING:
            look_up(name, others=(*_OBJECTS, *_WITHOUT_MEANING))
            yield name, value
        elif value is not None:
            ignored.append(name)


def _fields(name: str, value: object, ignored: list[str]) -> Iterator[tuple[str, object]]:
    if value is None:
        return
    known = _OBJECTS[name]
    given = value if isinstance(value, dict) else getattr(value, "__dict__", None)
    if given is None:
        raise UsageError(f"{name}: expected an object with {', '.join(known)}, got {value!r}")
    for field, content in given.items():
        if field not in known:
            raise UsageError(f"{name}: unknown field {field!r}{suggestion(str(field), known)}")
        setting = known[field]
        if setting is not None:
            yield setting, content
        elif content:
            ignored.append(field)
