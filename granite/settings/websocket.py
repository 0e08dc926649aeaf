"""Settings of the section "WebSocket": what is accepted, what is compressed, and how long is waited
for the other end. Declarations only.
"""

from granite.settings.base import Section, Setting
from granite.settings.kinds import boolean, items
from granite.settings.quantities import integer, seconds, size

_DAY = 86400
_LARGEST = 1024**3

SECTION = Section(
    "WebSocket",
    Setting(
        "ws",
        boolean(),
        True,
        "Serve WebSocket connections.",
        aliases=("websockets",),
    ),
    Setting(
        "ws_origins",
        items("origins, such as https://example.com", "ORIGIN"),
        (),
        "Origins whose pages may open a WebSocket, else 403; empty: all. Who sends no Origin is no "
        "browser, and may.",
    ),
    Setting(
        "ws_max_message_size",
        size(0, _LARGEST),
        16 * 1024**2,
        "Largest message that is accepted, as it is when it is inflated, else the close code 1009; "
        "0 sets no limit.",
        aliases=("websocket_max_message_size", "ws_max_size"),
    ),
    Setting(
        "ws_max_frame_size",
        size(0, _LARGEST),
        0,
        "Largest frame that is accepted, else the close code 1009; 0: only ws_max_message_size "
        "counts.",
    ),
    Setting(
        "ws_max_fragments",
        integer(0, 2**31 - 1),
        100_000,
        "Most frames that a message may come in, else the close code 1009; 0 sets no limit.",
    ),
    Setting(
        "ws_max_queue",
        integer(1, 1_000_000),
        32,
        "Messages that the application has not taken at which the client must wait; as many bytes "
        "as body_high_water are enough, too.",
    ),
    Setting(
        "ws_fragment_size",
        size(0, _LARGEST),
        0,
        "Send larger messages in frames of this size; 0 sends each message in one frame.",
    ),
    Setting(
        "ws_handshake_timeout",
        seconds(_DAY),
        10.0,
        "Time that the application may take to accept or refuse a WebSocket, then it is refused "
        "with 504; 0 sets no limit.",
    ),
    Setting(
        "ws_ping_interval",
        seconds(_DAY),
        20.0,
        "Time between two pings; 0 sends none.",
    ),
    Setting(
        "ws_ping_timeout",
        seconds(_DAY),
        20.0,
        "Time that the answer to a ping may take, then the connection is closed; 0 sets no limit.",
    ),
    Setting(
        "ws_close_timeout",
        seconds(_DAY),
        10.0,
        "Time that the answer to a close may take, then the connection is cut; 0 sets no limit.",
    ),
    Setting(
        "ws_per_message_deflate",
        boolean(),
        True,
        "Compress messages with clients that offer it (permessage-deflate).",
    ),
    Setting(
        "ws_deflate_threshold",
        size(0, _LARGEST),
        1024,
        "Smallest message that is sent compressed.",
    ),
    Setting(
        "ws_deflate_level",
        integer(1, 9),
        6,
        "How hard messages are compressed: 1 is the fastest, 9 makes the smallest.",
    ),
    Setting(
        "ws_deflate_mem_level",
        integer(1, 9),
        8,
        "Memory with which messages are compressed: 2^(9 + this) bytes besides the window.",
    ),
    Setting(
        "ws_deflate_server_context",
        boolean(),
        False,
        "Keep the compression window of each connection from one message to the next: smaller "
        "messages for about 256 KiB of memory each; without it, connections share one.",
    ),
    Setting(
        "ws_deflate_client_context",
        boolean(),
        False,
        "Let clients keep theirs, which takes up to 40 KiB of each connection to inflate.",
    ),
    Setting(
        "ws_deflate_server_max_window_bits",
        integer(9, 15),
        15,
        "Size of the server's window: 2^(this) bytes; a client may ask for less.",
    ),
    Setting(
        "ws_deflate_client_max_window_bits",
        integer(9, 15),
        15,
        "Size of the clients' windows, for those that let the server choose.",
    ),
)
