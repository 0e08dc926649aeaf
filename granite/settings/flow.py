"""Settings of the section "Flow control": what is buffered before somebody has to wait.
Declarations only.
"""

from granite.settings.base import Section, Setting
from granite.settings.quantities import size

SECTION = Section(
    "Flow control",
    Setting(
        "write_high_water",
        size(1024, 1024**3),
        65536,
        "Unsent response bytes of a connection above which the application's send waits.",
    ),
    Setting(
        "write_low_water",
        size(0, 1024**3),
        16384,
        "Unsent response bytes at which a waiting send goes on; at most the high-water mark.",
    ),
    Setting(
        "body_high_water",
        size(1024, 1024**3),
        65536,
        "Request body bytes that the application has not read above which the client must wait.",
    ),
)
