"""Settings of the section "HTTP": versions and headers. Declarations only."""

from granite.settings.base import Section, Setting
from granite.settings.kinds import boolean, choice, header_value
from granite.settings.quantities import integer, milliseconds, seconds, size

SECTION = Section(
    "HTTP",
    Setting(
        "http",
        choice("auto", "1", "2"),
        "auto",
        "HTTP versions to serve. With auto TLS clients choose by ALPN, and on plain text a "
        "connection that begins with the preface of HTTP/2 speaks it.",
    ),
    Setting(
        "server_header",
        header_value(),
        "granite",
        "Value of the Server header; empty leaves the header out.",
    ),
    Setting(
        "http1_keep_alive",
        boolean(),
        True,
        "Keep connections open between requests; without it each response closes its connection.",
    ),
    Setting(
        "header_map",
        choice("drop", "refuse", "dangerous"),
        "drop",
        "Fields of requests whose names have an underscore, which gateways take for a hyphen: drop "
        "hides them from the application, refuse answers 400, dangerous passes them on.",
    ),
    Setting(
        "http2_adaptive_window",
        boolean(),
        False,
        "Let the flow-control windows of HTTP/2 grow with the throughput, up to 16 MiB.",
    ),
    Setting(
        "http2_initial_connection_window_size",
        size(1024, 2**31 - 1),
        1024**2,
        "Flow-control window of an HTTP/2 connection; up to 16 times as much of request bodies "
        "may wait for the application.",
    ),
    Setting(
        "http2_initial_stream_window_size",
        size(1024, 2**31 - 1),
        1024**2,
        "Flow-control window of an HTTP/2 stream (SETTINGS_INITIAL_WINDOW_SIZE).",
        aliases=("http2_initial_window_size",),
    ),
    Setting(
        "http2_keep_alive_interval",
        milliseconds(86_400_000),
        0.0,
        "Time between two PING frames on an HTTP/2 connection, in milliseconds or with a unit; 0 "
        "sends none.",
    ),
    Setting(
        "http2_keep_alive_timeout",
        seconds(86400, 1),
        20.0,
        "Time that the answer to an HTTP/2 PING may take.",
    ),
    Setting(
        "http2_max_concurrent_streams",
        integer(1, 2**31 - 1),
        200,
        "Streams that an HTTP/2 connection may have open (SETTINGS_MAX_CONCURRENT_STREAMS).",
    ),
    Setting(
        "http2_max_frame_size",
        size(16384, 2**24 - 1),
        16384,
        "Largest HTTP/2 frame that is accepted (SETTINGS_MAX_FRAME_SIZE).",
    ),
    Setting(
        "http2_max_headers_size",
        size(1, 2**31 - 1),
        65536,
        "Largest field section of an HTTP/2 request (SETTINGS_MAX_HEADER_LIST_SIZE): the bytes of "
        "names and values, and 32 for each field; more is answered 431.",
        aliases=("http2_max_header_list_size",),
    ),
    Setting(
        "http2_max_send_buffer_size",
        size(1024, 1024**3),
        400 * 1024,
        "Unsent response bytes of an HTTP/2 stream above which the application's send waits; it "
        "goes on at half of it.",
    ),
)
