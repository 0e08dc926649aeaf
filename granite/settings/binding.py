"""Settings of the section "Binding": where the server listens. Declarations only."""

from granite.settings.address import host, port_address
from granite.settings.base import Alias, Section, Setting
from granite.settings.kinds import addresses, boolean, path, text
from granite.settings.quantities import integer, mode, seconds

SECTION = Section(
    "Binding",
    Setting(
        "bind",
        addresses(),
        (),
        "Address to listen on: HOST:PORT, [IPV6]:PORT, unix:PATH, unix:@NAME (abstract) or fd://N. "
        "It replaces host, port and uds.",
        short="-b",
        fallback=Alias("PORT", port_address()),
    ),
    Setting("host", host(), "127.0.0.1", "Address or name to listen on.", aliases=("address",)),
    Setting(
        "port",
        integer(0, 65535),
        8000,
        "TCP port to listen on; 0 lets the system choose a free one.",
    ),
    Setting("uds", path(), None, "Path of a Unix socket to listen on, instead of host and port."),
    Setting(
        "uds_permissions",
        mode(),
        0o666,
        "Permissions of the Unix sockets that are made; empty: the umask decides, as it does by "
        "default where umask is set.",
    ),
    Setting(
        "uds_owner",
        text(optional=True),
        None,
        "Owner of the Unix sockets that are made, as USER, USER:GROUP or :GROUP; without it, what "
        "user and group say.",
    ),
    Setting(
        "backlog",
        integer(1, 1_000_000),
        1024,
        "Connections that may wait in the kernel to be accepted.",
    ),
    Setting(
        "reuse_port",
        boolean(),
        False,
        "Give each worker a listening socket of its own at a TCP port (SO_REUSEPORT), in place of "
        "one that all share: more new connections in a second, and longer waits where the "
        "application blocks its event loop.",
    ),
    Setting("tcp_nodelay", boolean(), True, "Send small segments at once (TCP_NODELAY)."),
    Setting(
        "tcp_keepalive_idle",
        seconds(32767),
        0.0,
        "Idle time after which the kernel probes a connection (TCP_KEEPIDLE), in whole seconds; "
        "0 sends no probes.",
    ),
    Setting(
        "tcp_keepalive_interval",
        seconds(32767, 1),
        10.0,
        "Time between two probes (TCP_KEEPINTVL), in whole seconds.",
    ),
    Setting(
        "tcp_keepalive_count",
        integer(1, 127),
        5,
        "Unanswered probes after which the kernel gives a connection up (TCP_KEEPCNT).",
    ),
    Setting(
        "tcp_user_timeout",
        seconds(86400),
        0.0,
        "Time that sent data may stay unacknowledged before the kernel gives a connection up "
        "(TCP_USER_TIMEOUT); 0 leaves it to the system.",
    ),
    Setting(
        "tcp_fastopen",
        integer(0, 65535),
        0,
        "Pending connections with data in their first packet (TCP_FASTOPEN); 0 turns it off.",
    ),
    Setting(
        "tcp_defer_accept",
        seconds(3600),
        0.0,
        "Time for which a connection without data is held back from the workers "
        "(TCP_DEFER_ACCEPT), in whole seconds; 0 turns it off.",
    ),
)
