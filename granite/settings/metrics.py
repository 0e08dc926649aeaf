"""Settings of the section "Metrics". Declarations only."""

from granite.settings.address import host
from granite.settings.base import Section, Setting
from granite.settings.kinds import boolean
from granite.settings.quantities import integer, seconds

SECTION = Section(
    "Metrics",
    Setting(
        "metrics",
        boolean(),
        False,
        "Serve metrics for Prometheus, and /healthz and /readyz, at a port of their own.",
        aliases=("metrics_enabled",),
    ),
    Setting(
        "metrics_scrape_interval",
        seconds(60, 0.1),
        1.0,
        "Time between two snapshots of what a worker has counted.",
    ),
    Setting(
        "metrics_address",
        host(),
        "127.0.0.1",
        "Address on which metrics are served.",
    ),
    Setting(
        "metrics_port",
        integer(0, 65535),
        9090,
        "Port on which metrics are served; 0 takes a free one, which the log names.",
    ),
)
