"""What may change while the server runs, and what takes a restart.

Owns the list of settings that only a start reads. Must not know how they are read again. Pure
functions; imported by the arbiter when settings are read again.
"""

from __future__ import annotations

from granite.settings import SETTINGS
from granite.settings.config import Config

__all__ = ["AT_START", "keep"]

# What the arbiter has opened, become or decided at its start, and hands to each worker.
AT_START = frozenset(
    (
        *("bind", "host", "port", "uds", "uds_permissions", "uds_owner", "backlog", "reuse_port"),
        "ssl_redirect_port",
        *("tcp_nodelay", "tcp_keepalive_idle", "tcp_keepalive_interval", "tcp_keepalive_count"),
        *("tcp_user_timeout", "tcp_fastopen", "tcp_defer_accept"),
        *("working_dir", "pid_file", "process_name", "user", "group", "umask", "rlimit_nofile"),
        *("respawn_interval", "preload", "reload", "ssl_reload"),
        *("log", "log_level", "log_format", "log_color", "log_file", "log_config"),
        *("access_log", "access_log_file", "access_log_fmt", "access_log_exclude"),
        *("syslog_facility", "syslog_tag"),
        *("metrics", "metrics_scrape_interval", "metrics_address", "metrics_port"),
    )
)


def keep(former: Config, latter: Config) -> tuple[Config, list[str]]:
    """Return `latter` with the values of `former` for what only a start reads, and the names of
    those settings that differ.
    """
    names = [setting.name for setting in SETTINGS if setting.name in AT_START]
    changed = [name for name in names if getattr(former, name) != getattr(latter, name)]
    values = {setting.name: getattr(latter, setting.name) for setting in SETTINGS}
    return Config.made_of(values | {name: getattr(former, name) for name in changed}), changed
