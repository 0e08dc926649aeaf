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
        "Serve metrics for Prometheus.",
        aliases=("metrics_enabled",),
        reserved=True,
    ),
    Setting(
        "metrics_scrape_interval",
        seconds(60, 1),
        15.0,
        "Time between two collections of the workers' metrics.",
        reserved=True,
    ),
    Setting(
        "metrics_address",
        host(),
        "127.0.0.1",
        "Address on which metrics are served.",
        reserved=True,
    ),
    Setting(
        "metrics_port",
        integer(0, 65535),
        9090,
        "Port on which metrics are served.",
        reserved=True,
    ),
)
