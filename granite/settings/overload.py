"""Settings of the section "Overload": what happens to requests that a worker has no room for.
Declarations only.
"""

from granite.settings.base import Section, Setting
from granite.settings.kinds import choice
from granite.settings.quantities import integer, seconds

SECTION = Section(
    "Overload",
    Setting(
        "backpressure",
        integer(1, 1_000_000, optional=True),
        None,
        "Requests that a worker lets the application handle at the same time; idle connections do "
        "not count.",
        aliases=("limit_concurrency",),
    ),
    Setting(
        "overload",
        choice("wait", "reject"),
        "wait",
        "What requests beyond backpressure do: wait for their turn, or get a 503 at once.",
    ),
    Setting(
        "max_queue_time",
        seconds(86400),
        0.0,
        "Time that a request may wait for its turn before it gets a 503; 0 sets no limit.",
    ),
    Setting(
        "retry_after",
        integer(0, 86400),
        1,
        "Seconds that the Retry-After of a 503 tells clients; 0 leaves it out.",
    ),
)
