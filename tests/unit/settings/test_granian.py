"""Granian's options and keyword arguments are settings here, by the same names and values."""

from __future__ import annotations

import pytest

from granite.settings import BY_NAME

# The options of Granian 2.8's command line, but for those of its Rust runtime.
OPTIONS = """
    access-log access-log-fmt backlog backpressure blocking-threads blocking-threads-idle-timeout
    env-files factory host http http1-buffer-size http1-header-read-timeout http1-keep-alive
    http2-adaptive-window http2-initial-connection-window-size http2-initial-stream-window-size
    http2-keep-alive-interval http2-keep-alive-timeout http2-max-concurrent-streams
    http2-max-frame-size http2-max-headers-size http2-max-send-buffer-size interface log log-config
    log-level loop metrics metrics-address metrics-port metrics-scrape-interval pid-file port
    process-name reload reload-ignore-dirs reload-ignore-paths reload-ignore-patterns
    reload-ignore-worker-failure reload-paths reload-tick respawn-failed-workers respawn-interval
    rss-sample-interval rss-samples ssl-ca ssl-certificate ssl-client-verify ssl-crl ssl-keyfile
    ssl-keyfile-password ssl-protocol-min static-path-dir-to-file static-path-expires
    static-path-mount static-path-route uds uds-permissions url-path-prefix workers
    workers-kill-timeout workers-lifetime workers-max-rss working-dir ws
""".split()  # noqa: SIM905
# Keyword arguments of its class that have other names than the options.
ARGUMENTS = """
    address log_access log_access_format log_dictconfig log_enabled metrics_enabled ssl_cert ssl_key
    ssl_key_password target websockets
""".split()  # noqa: SIM905
# Names of its environment variables that differ from both, without the prefix.
VARIABLES = ["LOG_ACCESS_ENABLED", "LOG_ACCESS_FMT", "LOG_ENABLED", "METRICS_ENABLED", "WEBSOCKETS"]
SWITCHES = """
    access-log factory http1-keep-alive http2-adaptive-window log metrics reload
    reload-ignore-worker-failure respawn-failed-workers ssl-client-verify ws
""".split()  # noqa: SIM905


@pytest.mark.parametrize("name", [*OPTIONS, *ARGUMENTS, *map(str.lower, VARIABLES)])
def test_the_name_is_known(name):
    assert name.replace("-", "_") in BY_NAME


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_can_be_turned_off(name):
    setting, _ = BY_NAME[name.replace("-", "_")]
    assert setting.negative_option is not None


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("interface", "rsgi", "rsgi"),
        ("interface", "asginl", "asginl"),
        ("http", "2", "2"),
        ("loop", "uvloop", "uvloop"),
        ("backlog", "128", 128),
        ("backlog", "1000000", 1_000_000),
        ("blocking_threads", "1", 1),
        ("blocking_threads_idle_timeout", "5", 5.0),
        ("blocking_threads_idle_timeout", "10m", 600.0),
        ("http1_buffer_size", "8192", 8192),
        ("http1_buffer_size", "417792", 417_792),
        ("http1_header_read_timeout", "1", 0.001),
        ("http1_header_read_timeout", "60000", 60.0),
        ("http2_initial_connection_window_size", "1024", 1024),
        ("http2_initial_stream_window_size", "1024", 1024),
        ("http2_keep_alive_interval", "1", 0.001),
        ("http2_keep_alive_interval", "60000", 60.0),
        ("http2_keep_alive_timeout", "1", 1.0),
        ("http2_max_concurrent_streams", "10", 10),
        ("http2_max_headers_size", "16777216", 16_777_216),
        ("http2_max_send_buffer_size", "1024", 1024),
        ("log_level", "NOTSET", "debug"),
        ("log_level", "warn", "warning"),
        ("ssl_protocol_min", "tls1.2", "tls1.2"),
        ("rss_sample_interval", "300", 300.0),
        ("workers_lifetime", "60", 60.0),
        ("workers_lifetime", "30d", 2_592_000.0),
        ("workers_max_rss", "1", 1),
        ("workers_kill_timeout", "30m", 1800.0),
        ("static_path_expires", "0", 0.0),
        ("static_path_expires", "315360000", 315_360_000.0),
        ("metrics_scrape_interval", "60", 60.0),
        ("metrics_port", "65535", 65535),
        ("reload_tick", "5000", 5000),
        ("respawn_interval", "3.5", 3.5),
        ("uds_permissions", "0660", 0o660),
    ],
)
def test_its_values_are_accepted(name, text, value):
    setting, kind = BY_NAME[name]
    assert setting.parse(text, "sample", kind) == value
