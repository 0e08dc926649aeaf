"""The table of settings, in the order in which help and reference show it.

Owns the list of sections; a setting is declared once, in its section's module. Must not know who
reads the values. Imported by the arbiter before it forks, so it stays free of imports that cost
memory (typing, re, argparse).
"""

from __future__ import annotations

from granite.settings import (
    application,
    binding,
    flow,
    http,
    logs,
    metrics,
    process,
    reload,
    static,
    tls,
)
from granite.settings.base import Kind, Section, Setting

__all__ = ["BY_NAME", "SECTIONS", "SETTINGS", "Section", "Setting"]

SECTIONS: tuple[Section, ...] = (
    binding.SECTION,
    application.SECTION,
    process.SECTION,
    http.SECTION,
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
