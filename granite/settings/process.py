"""Settings of the section "Process": how the processes start and end. Declarations only."""

from granite.settings.base import Section, Setting, seconds

SECTION = Section(
    "Process",
    Setting(
        "graceful_timeout",
        seconds(86400),
        30.0,
        "Time that requests in flight and then the lifespan's shutdown get when the server stops.",
    ),
)
