"""Settings of the section "Binding": where the server listens. Declarations only."""

from granite.settings.base import Section, Setting, integer, text

SECTION = Section(
    "Binding",
    Setting("host", text(), "127.0.0.1", "Address or name to listen on."),
    Setting(
        "port",
        integer(0, 65535),
        8000,
        "TCP port to listen on; 0 lets the system choose a free one.",
    ),
    Setting(
        "backlog",
        integer(1, 65535),
        1024,
        "Connections that may wait in the kernel to be accepted.",
    ),
)
