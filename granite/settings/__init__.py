"""The table of settings, in the order in which help and reference show it.

Owns the list of sections; a setting is declared once, in its section's module. Must not know who
reads the values. Imported by the arbiter before it forks, so it stays free of imports that cost
memory (typing, re, argparse).
"""

from __future__ import annotations

from granite.settings import application, binding, flow, http, logs, process
from granite.settings.base import Section, Setting

__all__ = ["BY_NAME", "SECTIONS", "SETTINGS", "Section", "Setting"]

SECTIONS: tuple[Section, ...] = (
    binding.SECTION,
    application.SECTION,
    process.SECTION,
    http.SECTION,
    flow.SECTION,
    logs.SECTION,
)
SETTINGS: tuple[Setting, ...] = tuple(
    setting for section in SECTIONS for setting in section.settings
)
BY_NAME: dict[str, Setting] = {setting.name: setting for setting in SETTINGS}
