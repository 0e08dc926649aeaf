"""Settings of the section "HTTP": limits and headers of the protocol. Declarations only."""

from granite.settings.base import Section, Setting, header_value, seconds, size

SECTION = Section(
    "HTTP",
    Setting(
        "server_header",
        header_value(),
        "granite",
        "Value of the Server header; empty leaves the header out.",
    ),
    Setting(
        "keep_alive_timeout",
        seconds(86400),
        5.0,
        "Time that a connection may stay idle between two requests; 0 sets no limit.",
    ),
    Setting(
        "request_head_timeout",
        seconds(86400),
        10.0,
        "Time that a client gets to send a request's head; 0 sets no limit.",
    ),
    Setting(
        "max_head_size",
        size(1024, 16 * 1024**2),
        65536,
        "Largest request head (request line and header fields) that is accepted.",
    ),
)
