"""Settings of the section "Timeouts": how long is waited for a client, and for the application.
Declarations only.
"""

from granite.settings.base import Alias, Section, Setting
from granite.settings.quantities import milliseconds, seconds, size

_DAY = 86400

SECTION = Section(
    "Timeouts",
    Setting(
        "keep_alive_timeout",
        seconds(_DAY),
        5.0,
        "Time that a connection may stay idle between two requests; 0 sets no limit.",
        aliases=("keepalive", "keep_alive"),
    ),
    Setting(
        "request_head_timeout",
        seconds(_DAY),
        10.0,
        "Time that a client gets to send a request's head; 0 sets no limit.",
        aliases=(Alias("http1_header_read_timeout", milliseconds(1000 * _DAY)),),
    ),
    Setting(
        "request_body_timeout",
        seconds(_DAY),
        30.0,
        "Time that may pass without a byte of a request's body, while the application takes what "
        "comes; 0 sets no limit.",
    ),
    Setting(
        "min_body_rate",
        size(0, 1024**3),
        100,
        "Bytes per second that a request's body has to come with on average, while the application "
        "takes what comes; 0 sets no limit.",
    ),
    Setting(
        "min_body_rate_grace",
        seconds(_DAY),
        10.0,
        "Time after which the rate of a request's body is judged.",
    ),
    Setting(
        "write_timeout",
        seconds(_DAY),
        30.0,
        "Time for which a client may take nothing of the response that waits for it; 0 sets no "
        "limit.",
    ),
    Setting(
        "connection_timeout",
        seconds(365 * _DAY),
        0.0,
        "Age at which a connection takes no more requests: what is in progress is answered with "
        "Connection: close; 0 sets no limit.",
    ),
    Setting(
        "request_timeout",
        seconds(_DAY),
        0.0,
        "Time from the end of a request's head to the end of its response, then it is answered "
        "with 504 or cut; 0 sets no limit.",
    ),
    Setting(
        "request_timeout_grace",
        seconds(_DAY),
        5.0,
        "Time that the application has after request_timeout until its Task is cancelled.",
    ),
)
