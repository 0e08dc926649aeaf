"""Real processes behind a real nginx: what it tells of its clients arrives, and nothing forged."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from tests.server.raw import Client

NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")

pytestmark = pytest.mark.skipif(NGINX is None, reason="needs nginx")

# As the guide has it.
CONFIG = """\
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Prefix "";
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://127.0.0.1:{tcp}; }}
        location /unix/ {{ proxy_pass http://unix:{folder}/granite.sock; }}
        location /again/ {{ proxy_pass http://127.0.0.1:{port}/; }}
        location /shop/ {{
            proxy_pass http://127.0.0.1:{tcp}/;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Prefix /shop;
        }}
    }}
}}
"""
FIELDS = "x-forwarded-for,x-forwarded-proto,x-forwarded-prefix"


@pytest.fixture
def nginx(tmp_path: Path, run_granite) -> Iterator[int]:
    """The port of an nginx in front of a granite that believes 127.0.0.1 and Unix sockets."""
    granite = run_granite(
        *("proxied_app:app", "--bind", "127.0.0.1:0", "--bind", f"unix:{tmp_path}/granite.sock"),
        *("--forwarded-headers", FIELDS),
        cwd=Path(__file__).parent,
    )
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        user = "user root;" if os.geteuid() == 0 else ""
        config = CONFIG.format(folder=tmp_path, port=port, tcp=granite.port, user=user)
        (tmp_path / "nginx.conf").write_text(config)
        command = [str(NGINX), "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
        process = subprocess.Popen(
            [*command, "-e", "stderr"],
            env={**os.environ, "NGINX": f"{sock.fileno()};"},  # listening sockets that it inherits
            pass_fds=(sock.fileno(),),
        )
        try:
            yield port
        finally:
            process.terminate()
            process.wait(PATIENCE)


def ask(port: int, target: str, *fields: str) -> dict:
    """The scope of a request from 127.0.0.9."""
    client = Client("127.0.0.1", port, source="127.0.0.9")
    with client.sock:
        response = client.ask(target, *fields)
    assert response.status == 200
    return json.loads(response.body)


FORGED = (
    "X-Forwarded-For: 6.6.6.6, 127.0.0.1",
    "X-Forwarded-Proto: https",
    "X-Real-IP: 6.6.6.6",
    "Forwarded: for=6.6.6.6;host=evil.example;proto=https",
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-Prefix: /evil",
)


@pytest.mark.parametrize("fields", [(), FORGED], ids=["plain", "forged"])
@pytest.mark.parametrize("target", ["/", "/unix/", "/again/", "/again/again/unix/"])
def test_the_client_arrives(target, fields, nginx):
    scope = ask(nginx, target, *fields)
    assert (scope["client"], scope["scheme"]) == (["127.0.0.9", 0], "http")
    assert scope["host"] == "test"
    assert scope["root_path"] == ""


def test_a_prefix_that_nginx_takes_away(nginx):
    scope = ask(nginx, "/shop/cart", "X-Forwarded-Prefix: /evil")
    assert (scope["root_path"], scope["path"]) == ("/shop", "/shop/cart")
