"""Whole servers: where they listen, and what they leave behind."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import httpx

from tests.arbiter.binding.sockets import as_root, has_ipv6, linux
from tests.patience import PATIENCE

APPS = Path(__file__).parents[1]


def ask_unix(path: Path) -> str:
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as client:
        return client.get("http://test/").text


def test_serves_at_several_addresses(run_granite, path: Path) -> None:
    addresses = ["127.0.0.1:0", f"unix:{path}"] + (["[::1]:0"] if has_ipv6() else [])
    options = [word for address in addresses for word in ("--bind", address)]
    granite = run_granite("apps:plain", *options, "--uds-permissions", "600", cwd=APPS)
    granite.wait_for(f"listening on unix:{path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ask_unix(path) == "plain"
    hosts = [r"127\.0\.0\.1"] + ([r"\[::1\]"] if has_ipv6() else [])
    for host in hosts:
        url = granite.wait_for(rf"listening on (http://{host}:\d+)").group(1)
        assert httpx.get(url).text == "plain"
    assert granite.stop() == 0
    assert not path.exists()


def test_removes_only_its_own_file(run_granite, path: Path) -> None:
    granite = run_granite("apps:plain", "--uds", str(path), cwd=APPS)
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        assert granite.stop() == 0
        assert path.exists()


def test_a_file_of_a_killed_server_is_no_obstacle(run_granite, path: Path) -> None:
    run_granite("apps:plain", "--uds", str(path), cwd=APPS).destroy()
    assert path.exists()
    granite = run_granite("apps:plain", "--uds", str(path), cwd=APPS)
    assert ask_unix(path) == "plain"
    assert granite.stop() == 0


def test_the_file_goes_when_the_application_cannot_be_loaded(run_granite, path: Path) -> None:
    granite = run_granite("apps:missing", "--uds", str(path), cwd=APPS, ready=False)
    assert granite.wait() == 3
    assert not path.exists()


def test_failures_are_one_line(run_granite, path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        granite = run_granite(
            *("apps:plain", "-b", f"unix:{path}", "-b", f"127.0.0.1:{port}"), cwd=APPS, ready=False
        )
        assert granite.wait() == 1
    assert granite.output == (
        f"granite: cannot listen on 127.0.0.1:{port}: address already in use\n"
    )
    assert not path.exists()


@linux
def test_serves_at_an_abstract_name(run_granite) -> None:
    name = f"granite/test/{os.getpid()}"
    run_granite("apps:plain", "--bind", f"unix:@{name}", cwd=APPS)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(f"\0{name}")
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        assert client.recv(15) == b"HTTP/1.1 200 OK"


@as_root
def test_workers_of_another_user_serve(run_granite, path: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    granite = run_granite("apps:plain", "--uds", str(path), "--user", "nobody", cwd=APPS)
    assert ask_unix(path) == "plain"
    assert granite.stop() == 0
    assert not path.exists()
