"""nginx as the ceiling: a configuration of its own in a temporary prefix, one worker, no logs.

Owns that configuration; must not start it. nginx answers what it can without an application: ``/``
with ``return 200``, and large bodies from a file under the same path.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

BODY = "Hello, World!"
_FILES = {"raw:large": 65536, "raw:huge": 64 << 20}

_CONFIG = """\
worker_processes 1;
daemon off;
{user}pid {prefix}/nginx.pid;
error_log stderr crit;
events {{
    worker_connections 16384;
    accept_mutex off;
}}
http {{
    access_log off;
    default_type text/plain;
    server_tokens off;
    sendfile on;
    tcp_nodelay on;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    open_file_cache max=16;
    client_body_temp_path {prefix}/body;
    proxy_temp_path {prefix}/proxy;
    fastcgi_temp_path {prefix}/fastcgi;
    uwsgi_temp_path {prefix}/uwsgi;
    scgi_temp_path {prefix}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=2048{ssl};
        {location}
    }}
}}
"""

_HELLO = f'location / {{ return 200 "{BODY}"; }}'
_SSL = """ ssl;
        ssl_certificate certificate.pem;
        ssl_certificate_key key.pem;
        ssl_protocols TLSv1.3"""
_LARGE = "location / {{ root {prefix}; try_files /large.bin =404; }}"

ABLE = frozenset({"raw:hello", "raw:large", "raw:huge", "raw_rsgi:hello", "raw_wsgi:hello"})
"""The applications that nginx can stand in for."""


def find() -> str | None:
    """Return the path of nginx, None when it is not installed."""
    return shutil.which("nginx", path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")


def write_config(prefix: Path, port: int, app: str, *, tls: bool = False) -> None:
    """Write the configuration (and the file of a large body) for ``app`` into ``prefix``."""
    location = _HELLO
    if app in _FILES:
        (prefix / "large.bin").write_bytes(b"0123456789abcdef" * (_FILES[app] // 16))
        location = _LARGE.format(prefix=prefix)
    user = "user root;\n" if os.geteuid() == 0 else ""
    ssl = _SSL if tls else ""
    text = _CONFIG.format(prefix=prefix, port=port, location=location, user=user, ssl=ssl)
    (prefix / "nginx.conf").write_text(text, encoding="utf-8")


def command(prefix: Path, port: int) -> list[str]:
    """Return the command line for a prefix filled by :func:`write_config`; the port is in there."""
    del port
    return [find() or "nginx", "-p", str(prefix), "-c", str(prefix / "nginx.conf"), "-e", "stderr"]
