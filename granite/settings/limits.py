"""Settings of the section "Limits": what a request, a connection and a client may ask for at most.
Declarations only.
"""

from granite.settings.base import Section, Setting
from granite.settings.quantities import integer, rate, size

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
    Setting(
        "max_connections",
        integer(0, 10_000_000),
        0,
        "Connections that a worker may have: with that many it accepts no more until one closes; 0 "
        "sets no limit.",
        aliases=("worker_connections",),
    ),
    Setting(
        "max_connections_per_ip",
        integer(0, 1_000_000),
        0,
        "Connections that an address may have to a worker; further ones get a 429 and are closed; "
        "0 sets no limit.",
    ),
    Setting(
        "max_requests_per_ip",
        rate(1_000_000),
        0.0,
        "Requests that an address may send to a worker, per second or as 30/m; further ones get a "
        "429; 0 sets no limit.",
    ),
    Setting(
        "max_requests_per_ip_burst",
        integer(0, 1_000_000),
        0,
        "Requests that an address may send at once before max_requests_per_ip counts; 0: as many "
        "as in a second.",
    ),
    Setting(
        "ip_table_size",
        integer(1, 10_000_000),
        16384,
        "Addresses that a worker remembers for the limits per address; should be at least as many "
        "as it has connections.",
    ),
    Setting(
        "ipv6_prefix",
        integer(1, 128),
        64,
        "Leading bits of an IPv6 address by which the limits per address tell clients apart.",
    ),
)
