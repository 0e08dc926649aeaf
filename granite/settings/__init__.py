"""The table of settings, in the order in which help and reference show it.

Owns the list of sections and the look-up of a name; a setting is declared once, in its section's
module. Must not know who reads the values. Imported by the arbiter before it forks, so it stays
free of imports that cost memory (typing, re, argparse). Plain data: any thread may read it.
"""

from __future__ import annotations

from granite.errors import UsageError
from granite.settings import (
    application,
    binding,
    flow,
    http,
    limits,
    logs,
    metrics,
    overload,
    process,
    proxies,
    reload,
    static,
    timeouts,
    tls,
    websocket,
)
from granite.settings.base import Kind, Section, Setting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["BY_NAME", "SECTIONS", "SETTINGS", "Section", "Setting", "look_up", "suggestion"]

SECTIONS: tuple[Section, ...] = (
    binding.SECTION,
    application.SECTION,
    process.SECTION,
    http.SECTION,
    websocket.SECTION,
    limits.SECTION,
    overload.SECTION,
    timeouts.SECTION,
    proxies.SECTION,
    tls.SECTION,
    flow.SECTION,
    logs.SECTION,
    metrics.SECTION,
    static.SECTION,
    reload.SECTION,
)
SETTINGS: tuple[Setting, ...] = tuple(
    setting for section in SECTIONS for setting in section.settings
)
# Every name under which a setting is accepted, with the kind that reads what is given under it.
BY_NAME: dict[str, tuple[Setting, Kind]] = {
    name: (setting, kind or setting.kind)
    for setting in SETTINGS
    for name, kind in (
        (setting.name, None),
        *((alias.name, alias.kind) for alias in setting.aliases),
    )
}


def look_up(name: str, prefix: str = "", others: Iterable[str] = ()) -> tuple[Setting, Kind]:
    """Return the setting that goes by `name`, which may have dashes for underscores, with the kind
    that reads what is given under it.

    Raises UsageError if there is none; its message starts with `prefix` and suggests a name near
    it, one of `others` too.
    """
    found = BY_NAME.get(name.replace("-", "_"))
    if found is None:
        hint = suggestion(name, (*BY_NAME, *others))
        raise UsageError(f"{prefix}unknown setting {name!r}{hint}")
    return found


def suggestion(name: str, known: Iterable[str], nearness: float = 0.6) -> str:
    """Return ` (did you mean 'x'?)` for the nearest of `known`, or the empty string when none is
    near. `nearness` is from 0 (anything) to 1 (the same).
    """
    from difflib import get_close_matches  # costs 1 MiB, and only a mistake needs it

    nearest = get_close_matches(name, list(known), n=1, cutoff=nearness)
    return f" (did you mean {nearest[0]!r}?)" if nearest else ""
