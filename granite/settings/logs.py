"""Settings of the section "Logging": what is written about the server's work. Declarations only."""

from granite.settings.base import Section, Setting, boolean, choice

SECTION = Section(
    "Logging",
    Setting(
        "log_level",
        choice("critical", "error", "warning", "info", "debug"),
        "info",
        "Least severity that is written to the error log (standard error).",
    ),
    Setting("access_log", boolean(), False, "Write one line per request to standard output."),
)
