"""Unix sockets: their files, permissions and owners, and abstract names."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from granite.arbiter.listeners import open_listeners
from granite.errors import UsageError
from granite.settings.config import Config
from tests.arbiter.binding.sockets import Listen, as_root, connect, linux, message


@pytest.mark.parametrize("setting", ["uds", "bind"])
def test_a_unix_socket(listen: Listen, path: Path, setting: str) -> None:
    [listener] = listen(**{setting: f"unix:{path}" if setting == "bind" else str(path)})
    assert listener.url == f"unix:{path}"
    assert not os.get_inheritable(listener.fd)
    assert not os.get_blocking(listener.fd)
    connect(listener)
    listener.close()
    listener.remove()
    listener.remove()
    assert not path.exists()


@pytest.mark.parametrize(
    ("settings", "mode"),
    [
        ({}, 0o666),
        ({"uds_permissions": ""}, 0o755),
        ({"umask": 0o007}, 0o770),
        ({"umask": 0}, 0o777),
        ({"uds_permissions": 0o600}, 0o600),
        ({"uds_permissions": 0o666, "umask": 0o077}, 0o666),
        ({"uds_permissions": 0}, 0),
        ({"uds_permissions": 0o1777}, 0o1777),
    ],
)
def test_permissions(listen: Listen, path: Path, settings: dict[str, Any], mode: int) -> None:
    usual = os.umask(0o022)
    try:
        listen(uds=str(path), **settings)
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(usual)
    assert stat.S_IMODE(path.stat().st_mode) == mode


@as_root
@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        ("nobody", (65534, 0)),
        (":nogroup", (0, 65534)),
        ("nobody:nogroup", (65534, 65534)),
        ("12345:54321", (12345, 54321)),
    ],
)
def test_owner(listen: Listen, path: Path, owner: str, expected: tuple[int, int]) -> None:
    listen(uds=str(path), uds_owner=owner, uds_permissions=0o660)
    found = path.stat()
    assert (found.st_uid, found.st_gid) == expected
    assert stat.S_IMODE(found.st_mode) == 0o660


@pytest.mark.parametrize("owner", ["nosuchuser", "root:nosuchgroup", "-1", "4294967295"])
def test_an_owner_that_does_not_exist(path: Path, owner: str) -> None:
    assert message(uds=str(path), uds_owner=owner).startswith("uds_owner: there is no ")
    assert not path.exists()


@pytest.mark.parametrize("owner", [":", "root:", "a:b:c"])
def test_an_owner_that_is_none(path: Path, owner: str) -> None:
    with pytest.raises(UsageError, match="expected USER, USER:GROUP or :GROUP"):
        open_listeners(Config(uds=str(path), uds_owner=owner), {})
    assert not path.exists()


def test_nobody_connects_before_the_permissions_are_right(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure between the name and the permissions: nothing ever listened, nothing is left."""
    seen: list[type[OSError] | None] = []

    def chown(target: str, *_: object, **__: object) -> None:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(target)
            except OSError as exc:
                seen.append(type(exc))
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "chown", chown)
    said = message(uds=str(path), uds_owner="0")
    assert said == f"cannot listen on unix:{path}: operation not permitted"
    assert seen == [ConnectionRefusedError]
    assert not path.exists()


def test_a_stale_socket_is_replaced(listen: Listen, path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))
        gone.listen()
    [listener] = listen(uds=str(path))
    connect(listener)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_live_socket_is_left_alone(path: Path, kind: int) -> None:
    with socket.socket(socket.AF_UNIX, kind) as live:
        live.bind(str(path))
        if kind == socket.SOCK_STREAM:
            live.listen()
        inode = path.stat().st_ino
        assert message(uds=str(path)) == f"cannot listen on unix:{path}: the socket is in use"
        assert path.stat().st_ino == inode


def test_a_live_socket_whose_queue_is_full(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(str(path))
        live.listen(0)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            assert message(uds=str(path)).endswith("the socket is in use")


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, lambda path: path.symlink_to("gone")])
def test_what_is_no_socket_is_left_alone(path: Path, make: Callable[[Path], None]) -> None:
    make(path)
    assert message(uds=str(path)).endswith("the file is there and is no socket")
    assert os.path.lexists(path)


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("/nowhere/x.sock", "no such file or directory"),
        ("/dev/null/x.sock", "not a directory"),
        # Not even root may.
        pytest.param("/sys/x.sock", "operation not permitted", marks=[linux, as_root]),
        ("/tmp/" + "a" * 120, "longer than a socket's name may be"),
    ],
)
def test_places_that_cannot_be_had(place: str, reason: str) -> None:
    assert message(bind=f"unix:{place}") == f"cannot listen on unix:{place}: {reason}"


def test_a_newer_servers_file_is_left_alone(listen: Listen, path: Path) -> None:
    [older] = listen(uds=str(path))
    path.unlink()
    [newer] = listen(uds=str(path))
    older.close()
    older.remove()
    connect(newer)
    newer.close()
    [newest] = listen(uds=str(path))  # its inode may be that of the one before
    newer.remove()
    connect(newest)


def test_the_file_is_found_from_another_directory(
    listen: Listen, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    [listener] = listen(uds=path.name)
    monkeypatch.chdir("/")
    listener.remove()
    assert not path.exists()


def test_a_directory_that_is_gone_at_the_end(listen: Listen, tmp_path: Path) -> None:
    directory = tmp_path / "gone"
    directory.mkdir()
    [listener] = listen(uds=str(directory / "x.sock"))
    (directory / "x.sock").unlink()
    directory.rmdir()
    listener.remove()


@linux
def test_an_abstract_socket(listen: Listen) -> None:
    name = f"granite/test/{os.getpid()}"
    [listener] = listen(bind=f"unix:@{name}")
    assert listener.url == f"unix:@{name}"
    connect(listener)
    said = message(bind=f"unix:@{name}")
    assert said == f"cannot listen on unix:@{name}: address already in use"
    listener.close()
    listener.remove()
    listen(bind=f"unix:@{name}")
    assert message(bind=f"unix:@{'a' * 120}").endswith("longer than a socket's name may be")
