"""A value other than the default for every setting, as text and as Python has it."""

from __future__ import annotations

from typing import Any

# Text of the environment and of the command line, or several.
SAMPLES: dict[str, str | tuple[str, ...]] = {
    "bind": ("127.0.0.1:0", "0.0.0.0:80,[::]:80,unix:/run/x.sock,unix:@x,fd://3"),
    "host": "0.0.0.0",
    "port": ("0", "65535"),
    "uds": "/run/granite.sock",
    "uds_permissions": ("660", "0777"),
    "uds_owner": "www-data:www-data",
    "backlog": "64",
    "reuse_port": "true",
    "tcp_nodelay": "no",
    "tcp_keepalive_idle": "2m",
    "tcp_keepalive_interval": "20",
    "tcp_keepalive_count": "3",
    "tcp_user_timeout": "1m",
    "tcp_fastopen": "256",
    "tcp_defer_accept": "5s",
    "target": ("package.module:app", "module"),
    "interface": ("asgi", "ASGINL", "rsgi", "wsgi"),
    "factory": "true",
    "working_dir": "/tmp",
    "pythonpath": ("src", "src,lib"),
    "raw_env": ("A=1", "A=1,2,B=x y"),
    "env_files": (".env", ".env,.env.local"),
    "loop": ("asyncio", "uvloop"),
    "lifespan": ("on", "off"),
    "url_path_prefix": "/api",
    "blocking_threads": "8",
    "blocking_threads_idle_timeout": "10m",
    "preload": "on",
    "workers": "2",
    "graceful_timeout": "2.5",
    "drain_delay": "5s",
    "workers_kill_timeout": "1m",
    "respawn_failed_workers": "off",
    "respawn_interval": "3.5",
    "worker_timeout": "30",
    "worker_start_timeout": "2m",
    "max_requests": "1000",
    "max_requests_jitter": "50",
    "workers_lifetime": ("6h", "60", "1h30m"),
    "workers_lifetime_jitter": "90",
    "workers_max_rss_jitter": "16m",
    "workers_max_rss": ("512", "2g"),
    "rss_sample_interval": "1m",
    "rss_samples": "3",
    "pid_file": "/run/granite.pid",
    "process_name": "shop",
    "user": ("www-data", "33"),
    "group": ("www-data", "33"),
    "umask": ("027", "0o77"),
    "rlimit_nofile": "65536",
    "http": ("1", "2"),
    "server_header": ("", "granite/1"),
    "http1_keep_alive": "false",
    "keep_alive_timeout": ("1m", "0"),
    "request_head_timeout": "500ms",
    "header_map": ("refuse", "dangerous"),
    "ws": "false",
    "ws_max_message_size": ("1m", "0"),
    "forwarded_allow_ips": ("*", "10.0.0.0/8,unix:", ""),
    "http2_adaptive_window": "true",
    "http2_initial_connection_window_size": "2m",
    "http2_initial_stream_window_size": "64k",
    "http2_keep_alive_interval": ("1500", "5s"),
    "http2_keep_alive_timeout": "5",
    "http2_max_concurrent_streams": "100",
    "http2_max_frame_size": "32k",
    "http2_max_headers_size": "16k",
    "http2_max_send_buffer_size": "1m",
    "max_request_line": ("8190", "8k"),
    "max_field_size": ("8190", "8k"),
    "max_fields": ("0", "64"),
    "max_head_size": "8k",
    "max_body_size": ("10m", "2g"),
    "max_requests_per_connection": "1000",
    "backpressure": "128",
    "overload": "reject",
    "max_queue_time": ("2s", "500ms"),
    "retry_after": ("0", "5"),
    "ssl_certificate": "cert.pem",
    "ssl_keyfile": "key.pem",
    "ssl_keyfile_password": "pass word",
    "ssl_protocol_min": ("tls1.2", "TLS1.2", "1.2"),
    "ssl_ca": "ca.pem",
    "ssl_crl": ("a.crl", "a.crl,b.crl"),
    "ssl_client_verify": ("required", "optional"),
    "write_high_water": "1m",
    "write_low_water": "0",
    "body_high_water": "4096",
    "log": "false",
    "log_level": ("debug", "WARNING", "warn"),
    "log_format": "json",
    "log_color": ("always", "never"),
    "log_file": ("/var/log/error.log", "stdout", "syslog", "syslog+udp://localhost:514"),
    "access_log": "yes",
    "access_log_file": ("/var/log/access.log", "stderr", "syslog:///dev/log"),
    "access_log_fmt": "%(h)s %(s)s",
    "syslog_facility": ("local7", "security"),
    "syslog_tag": "shop",
    "log_config": ("log.json", '{"version": 1}'),
    "metrics": "true",
    "metrics_scrape_interval": "30",
    "metrics_address": "0.0.0.0",
    "metrics_port": "9100",
    "static_path_route": ("/files", "/a,/b"),
    "static_path_mount": "public",
    "static_path_dir_to_file": "index.html",
    "static_path_expires": ("1h", "0"),
    "reload": "true",
    "reload_paths": ("src", "src,templates"),
    "reload_include": ("*.html", "*.html,templates/*.txt"),
    "reload_ignore_dirs": ".cache",
    "reload_ignore_patterns": ("\\.tmp$", "a,b .*c"),
    "reload_ignore_paths": "build",
    "reload_tick": "500",
    "reload_ignore_worker_failure": "true",
}
# Final values that Python and TOML write in another way: this number is one of milliseconds.
NATIVE: dict[str, float] = {"http2_keep_alive_interval": 1500}
# What a setting needs beside it.
COMPANIONS: dict[str, dict[str, Any]] = {
    "ssl_keyfile": {"ssl_certificate": "cert.pem"},
    "ssl_client_verify": {"ssl_ca": "ca.pem"},
    "static_path_route": {"static_path_mount": ("public", "other")},
}


def cases() -> list[tuple[str, str]]:
    """Return all pairs of a setting's name and the text of a value."""
    return [
        (name, text)
        for name, texts in SAMPLES.items()
        for text in ((texts,) if isinstance(texts, str) else texts)
    ]


def companions(name: str, text: str) -> dict[str, Any]:
    """Return what `text` needs beside it to be a valid value of the setting `name`."""
    if name == "static_path_route" and "," not in text:
        return {"static_path_mount": ("public",)}
    return COMPANIONS.get(name, {})
