"""Settings of the section "Limits": what a request, a connection and a client may ask for at most.
Declarations only.
"""

from granite.settings.base import Section, Setting
from granite.settings.quantities import integer, size

_LARGEST_HEAD = 16 * 1024**2

SECTION = Section(
    "Limits",
    Setting(
        "max_request_line",
        size(0, _LARGEST_HEAD),
        0,
        "Largest request line that is accepted, else 414; 0: only max_head_size counts.",
        aliases=("limit_request_line",),
    ),
    Setting(
        "max_field_size",
        size(0, _LARGEST_HEAD),
        0,
        "Largest header field (name and value) that is accepted, else 431; 0: only max_head_size "
        "counts.",
        aliases=("limit_request_field_size",),
    ),
    Setting(
        "max_fields",
        integer(0, 1_000_000),
        100,
        "Most header fields of a request, else 431; 0: only max_head_size counts.",
        aliases=("limit_request_fields",),
    ),
    Setting(
        "max_head_size",
        size(1024, _LARGEST_HEAD),
        65536,
        "Largest request head (request line and header fields) that is accepted, else 431.",
        aliases=("http1_buffer_size", "h11_max_incomplete_event_size", "h11_max_incomplete_size"),
    ),
    Setting(
        "max_body_size",
        size(0, 1024**4),
        0,
        "Largest request body that is accepted, else 413; 0 sets no limit.",
    ),
    Setting(
        "max_requests_per_connection",
        integer(0, 2**31 - 1),
        0,
        "Requests after which a connection is closed; 0 sets no limit.",
        aliases=("keep_alive_max_requests",),
    ),
)
