"""The final values of all settings, frozen.

Owns the attributes and their types, which a test holds against the table, and the reading of values
that come by their names. Must not know where they come from. Hand-written so that type checkers see
it, and without dataclasses, whose import costs the arbiter 2.5 MiB. Immutable: any thread may read
it.
"""

from __future__ import annotations

from granite.errors import UsageError
from granite.settings import SETTINGS, look_up, rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import NoReturn

    from granite.settings.base import Value
    from granite.settings.rules import Note

__all__ = ["Config", "read_named"]


class Config:
    """One attribute per setting, each with its final value.

    `Config(port=0, log_level="debug")` takes the named values, parsed and checked as from any other
    source, and the defaults for the rest; None stands for the default. Raises UsageError for a
    wrong value and for an unknown name. Timeouts are in seconds, sizes in bytes.
    """

    __slots__ = tuple(setting.name for setting in SETTINGS)

    bind: tuple[str, ...]
    host: str
    port: int
    uds: str | None
    uds_permissions: int | None
    uds_owner: str | None
    backlog: int
    reuse_port: bool
    tcp_nodelay: bool
    tcp_keepalive_idle: float
    tcp_keepalive_interval: float
    tcp_keepalive_count: int
    tcp_user_timeout: float
    tcp_fastopen: int
    tcp_defer_accept: float
    target: str | None
    interface: str
    factory: bool
    working_dir: str | None
    pythonpath: tuple[str, ...]
    raw_env: tuple[str, ...]
    env_files: tuple[str, ...]
    loop: str
    lifespan: str
    url_path_prefix: str
    blocking_threads: int | None
    blocking_threads_idle_timeout: float
    preload: bool
    workers: int
    graceful_timeout: float
    drain_delay: float
    workers_kill_timeout: float
    respawn_failed_workers: bool
    respawn_interval: float
    worker_timeout: float
    worker_start_timeout: float
    max_requests: int
    max_requests_jitter: int
    workers_lifetime: float | None
    workers_lifetime_jitter: float
    workers_max_rss: int | None
    workers_max_rss_jitter: int
    rss_sample_interval: float
    rss_samples: int
    pid_file: str | None
    process_name: str | None
    user: str | None
    group: str | None
    umask: int | None
    rlimit_nofile: int
    http: str
    server_header: str
    http1_keep_alive: bool
    header_map: str
    http2_adaptive_window: bool
    http2_initial_connection_window_size: int
    http2_initial_stream_window_size: int
    http2_keep_alive_interval: float
    http2_keep_alive_timeout: float
    http2_max_concurrent_streams: int
    http2_max_frame_size: int
    http2_max_headers_size: int
    http2_max_send_buffer_size: int
    ws: bool
    ws_origins: tuple[str, ...]
    ws_max_message_size: int
    ws_max_frame_size: int
    ws_max_fragments: int
    ws_max_queue: int
    ws_fragment_size: int
    ws_handshake_timeout: float
    ws_ping_interval: float
    ws_ping_timeout: float
    ws_close_timeout: float
    ws_per_message_deflate: bool
    ws_deflate_threshold: int
    ws_deflate_level: int
    ws_deflate_mem_level: int
    ws_deflate_server_context: bool
    ws_deflate_client_context: bool
    ws_deflate_server_max_window_bits: int
    ws_deflate_client_max_window_bits: int
    max_request_line: int
    max_field_size: int
    max_fields: int
    max_head_size: int
    max_body_size: int
    max_requests_per_connection: int
    max_connections: int
    max_connections_per_ip: int
    max_requests_per_ip: float
    max_requests_per_ip_burst: int
    ip_table_size: int
    ipv6_prefix: int
    backpressure: int | None
    overload: str
    max_queue_time: float
    retry_after: int
    keep_alive_timeout: float
    request_head_timeout: float
    request_body_timeout: float
    min_body_rate: int
    min_body_rate_grace: float
    write_timeout: float
    connection_timeout: float
    request_timeout: float
    request_timeout_grace: float
    forwarded_allow_ips: tuple[str, ...]
    forwarded_headers: tuple[str, ...]
    proxy_protocol: str
    proxy_protocol_allow_ips: tuple[str, ...]
    ssl_certificate: tuple[str, ...]
    ssl_keyfile: tuple[str, ...]
    ssl_keyfile_password: str | None
    ssl_keyfile_password_file: str | None
    ssl_reload: bool
    ssl_redirect_port: int
    ssl_hsts: str
    ssl_protocol_min: str
    ssl_ca: str | None
    ssl_crl: tuple[str, ...]
    ssl_client_verify: str
    ssl_verify_depth: int
    ssl_handshake_timeout: float
    ssl_ticket_lifetime: float
    write_high_water: int
    write_low_water: int
    body_high_water: int
    log: bool
    log_level: str
    log_format: str
    log_color: str
    log_file: str
    access_log: bool
    access_log_file: str
    access_log_fmt: str | None
    access_log_exclude: tuple[str, ...]
    request_id_header: str | None
    syslog_facility: str
    syslog_tag: str
    log_config: str | dict[str, object] | None
    metrics: bool
    metrics_scrape_interval: float
    metrics_address: str
    metrics_port: int
    static_path_route: tuple[str, ...]
    static_path_mount: tuple[str, ...]
    static_path_dir_to_file: str | None
    static_path_expires: float
    reload: bool
    reload_paths: tuple[str, ...]
    reload_include: tuple[str, ...]
    reload_ignore_dirs: tuple[str, ...]
    reload_ignore_patterns: tuple[str, ...]
    reload_ignore_paths: tuple[str, ...]
    reload_tick: int
    reload_ignore_worker_failure: bool

    def __init__(self, **values: object) -> None:
        self._fill({name: value for name, (_, value) in read_named(values.items()).items()})

    @classmethod
    def of(cls, parsed: Mapping[str, Value]) -> tuple[Config, list[Note]]:
        """Make a Config of values that are already parsed; settings that are not named get their
        defaults. Return it with the remarks of the rules; raise UsageError if they are broken.
        """
        config = cls.__new__(cls)
        return config, config._fill(parsed)

    @classmethod
    def made_of(cls, values: Mapping[str, Value]) -> Config:
        """Make a Config of the final values of all settings, which were checked before."""
        config = cls.__new__(cls)
        for name, value in values.items():
            object.__setattr__(config, name, value)
        return config

    def _fill(self, parsed: Mapping[str, Value]) -> list[Note]:
        values = {setting.name: setting.default for setting in SETTINGS} | dict(parsed)
        notes = rules.apply(values, parsed)
        for name, value in values.items():
            object.__setattr__(self, name, value)
        return notes

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Config is read-only; {name} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a Config is read-only; {name} cannot be deleted")

    def __repr__(self) -> str:
        values = ", ".join(
            f"{setting.name}={setting.masked(getattr(self, setting.name))!r}"
            for setting in SETTINGS
        )
        return f"Config({values})"


def read_named(
    given: Iterable[tuple[str, object]], prefix: str = ""
) -> dict[str, tuple[str, Value]]:
    """Read values by any name of their settings; return, by setting name, the name that was used
    and the final value.

    None stands for the default, and is left out. Raises UsageError, in one line that starts with
    `prefix`, for an unknown name, a wrong value, and a setting that is given by two names.
    """
    found: dict[str, tuple[str, Value]] = {}
    for name, value in given:
        setting, kind = look_up(name, prefix)
        if value is None:
            continue
        if setting.name in found:
            other = found[setting.name][0]
            raise UsageError(f"{prefix}{name}: the same setting as {other}; give one")
        found[setting.name] = name, setting.parse(value, f"{prefix}{name}", kind)
    return found
