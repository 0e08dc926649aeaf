"""Where the server listens: addresses of every kind, their options, and what stands in the way."""

from __future__ import annotations

import _socket
import errno
import os
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from granite.arbiter.listeners import Listener, open_listeners
from granite.errors import BootError, UsageError
from granite.settings.config import Config
from granite.testing import TestServer
from tests.server.apps import Seen, hello

APPS = Path(__file__).parent
Listen = Callable[..., list[Listener]]


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
linux = pytest.mark.skipif(sys.platform != "linux", reason="a feature of Linux")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Open the listeners of these settings; they are closed and removed at the end."""
    opened: list[Listener] = []

    def listen(**settings: Any) -> list[Listener]:
        found = open_listeners(Config(**settings), {})
        opened.extend(found)
        return found

    yield listen
    for listener in opened:
        listener.close()
        listener.remove()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.sock"


def port_of(listener: Listener) -> int:
    return int(listener.url.rpartition(":")[2])


def connect(listener: Listener, host: str | None = None) -> None:
    """Connect over the URL of a listener; fails if nobody listens."""
    if listener.url.startswith("unix:"):
        with socket.socket(socket.AF_UNIX) as client:
            name = listener.url[5:]
            client.connect("\0" + name[1:] if name.startswith("@") else name)
    else:
        found = listener.url.removeprefix("http://").rpartition(":")[0].strip("[]")
        socket.create_connection((host or found, port_of(listener)), timeout=5).close()


def message(**settings: Any) -> str:
    """The one line with which these settings are refused."""
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with pytest.raises(BootError) as caught:
        open_listeners(Config(**settings), {})
    assert set(os.listdir("/proc/self/fd")) == before, "a descriptor was left open"  # noqa: PTH208
    assert "\n" not in str(caught.value)
    return str(caught.value)


# TCP


def test_host_and_port(listen: Listen) -> None:
    [listener] = listen(port=0)
    assert listener.url.startswith("http://127.0.0.1:")
    assert listener.origin == ""
    assert not os.get_inheritable(listener.fd)
    assert not os.get_blocking(listener.fd)
    connect(listener)
    listener.close()
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        connect(listener)


@pytest.mark.parametrize("settings", [{"host": ""}, {"host": "*"}, {"bind": ":0"}])
def test_every_ipv4_address(listen: Listen, settings: dict[str, Any]) -> None:
    [listener] = listen(port=0, **settings)
    assert listener.url.startswith("http://0.0.0.0:")
    connect(listener, "127.0.0.1")


def test_bind_replaces_the_others(listen: Listen, path: Path) -> None:
    [listener] = listen(bind="127.0.0.1:0", uds=str(path), host="not resolved", port=1)
    assert listener.url.startswith("http://127.0.0.1:")
    assert not path.exists()


def test_the_scheme(listen: Listen, tmp_path: Path) -> None:
    certificate = tmp_path / "certificate.pem"
    [listener] = listen(port=0, ssl_certificate=str(certificate), ssl_keyfile=str(certificate))
    assert listener.url.startswith("https://127.0.0.1:")


@ipv6
def test_both_stacks(listen: Listen) -> None:
    [listener] = listen(bind="[::]:0")
    assert listener.url.startswith("http://[::]:")
    connect(listener, "127.0.0.1")
    connect(listener, "::1")


@ipv6
def test_an_ipv4_client_of_both_stacks() -> None:
    """It has its own address in the scope, not the one that is mapped into IPv6."""
    seen = Seen()

    async def app(scope, receive, send):
        seen.put((scope["client"][0], scope["server"][0]))
        await hello(scope, receive, send)

    with TestServer(app, bind="[::]:0", lifespan="off") as server:
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection((host, server.port), timeout=5) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
                assert seen.get() == (host, host)
                assert client.recv(15) == b"HTTP/1.1 200 OK"


@ipv6
def test_one_stack_each(listen: Listen) -> None:
    with socket.create_server(("127.0.0.1", 0)) as finder:
        port = finder.getsockname()[1]
    listeners = listen(bind=[f"[::]:{port}", f"0.0.0.0:{port}"])
    for listener, host in zip(listeners, ("::1", "127.0.0.1"), strict=True):
        connect(listener, host)


def test_every_address_of_a_name(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver's answer is given: what this machine's names resolve to is not ours."""
    answer = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 0))
        for host in ("127.0.0.1", "127.0.0.2", "127.0.0.1", "192.0.2.1")
    ]
    with monkeypatch.context() as resolver:
        resolver.setattr(_socket, "getaddrinfo", lambda *_: answer)
        first, second = listen(bind="name:0")  # 192.0.2.1 is no address of ours
        del answer[:3]
        said = message(bind="name:0")
    assert said == "cannot listen on name:0: cannot assign requested address"
    assert (first.url, second.url) == (
        f"http://127.0.0.1:{port_of(first)}",
        f"http://127.0.0.2:{port_of(first)}",
    )
    connect(first)
    connect(second)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("192.0.2.1:0", "cannot assign requested address"),
        (f"{'a' * 70}.example:0", "the host name cannot be encoded"),
    ],
)
def test_addresses_that_cannot_be_had(address: str, reason: str) -> None:
    assert message(bind=address) == f"cannot listen on {address}: {reason}"


def test_a_port_in_use_leaves_nothing_behind(path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = message(bind=[f"unix:{path}", "127.0.0.1:0", address])
    assert said == f"cannot listen on {address}: address already in use"
    assert not path.exists()


# options


OPTIONS: dict[str, tuple[dict[str, Any], int]] = {
    "TCP_NODELAY": ({}, 1),
    "SO_KEEPALIVE": ({"tcp_keepalive_idle": 60}, 1),
    "TCP_KEEPIDLE": ({"tcp_keepalive_idle": 60}, 60),
    "TCP_KEEPINTVL": ({"tcp_keepalive_idle": 60, "tcp_keepalive_interval": 7}, 7),
    "TCP_KEEPCNT": ({"tcp_keepalive_idle": 60, "tcp_keepalive_count": 3}, 3),
    "TCP_USER_TIMEOUT": ({"tcp_user_timeout": 2.5}, 2500),
    "TCP_FASTOPEN": ({"tcp_fastopen": 16}, 16),
    # The kernel keeps it as a number of retransmissions: after 1 s, 3 s, 7 s.
    "TCP_DEFER_ACCEPT": ({"tcp_defer_accept": 7}, 7),
}


def option(sock: socket.socket, name: str) -> int:
    level = socket.SOL_SOCKET if name.startswith("SO_") else socket.IPPROTO_TCP
    return sock.getsockopt(level, getattr(socket, name))


@linux
@pytest.mark.parametrize("address", ["127.0.0.1:0", pytest.param("[::1]:0", marks=ipv6), "fd"])
@pytest.mark.parametrize("name", OPTIONS)
def test_options_reach_the_connections(listen: Listen, name: str, address: str) -> None:
    settings, value = OPTIONS[name]
    if address == "fd":
        with socket.create_server(("127.0.0.1", 0)) as inherited:
            address = f"fd://{os.dup(inherited.fileno())}"
    [listener] = listen(bind=address, **settings)
    with socket.socket(fileno=os.dup(listener.fd)) as server:
        assert option(server, name) == value
        if name in ("TCP_FASTOPEN", "TCP_DEFER_ACCEPT"):  # of the listening socket alone
            return
        server.settimeout(5)
        with socket.create_connection(server.getsockname()[:2], timeout=5):
            connection, _ = server.accept()
            with connection:
                assert option(connection, name) == value


@linux
@pytest.mark.parametrize("inherited", [True, False])
@pytest.mark.parametrize("nodelay", [True, False])
def test_the_server_keeps_the_options(inherited: bool, nodelay: bool) -> None:
    """What the core accepts has the listener's options, and none of its own."""
    with socket.create_server(("127.0.0.1", 0)) as parent:
        settings: dict[str, Any] = {"port": 0}
        if inherited:
            settings = {"bind": f"fd://{os.dup(parent.fileno())}"}
        with TestServer(hello, lifespan="off", tcp_nodelay=nodelay, **settings) as server:
            with socket.create_connection((server.host, server.port), timeout=5) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
                assert client.recv(15) == b"HTTP/1.1 200 OK"
                with connection_of(client.getsockname()) as connection:
                    assert bool(option(connection, "TCP_NODELAY")) is nodelay


def connection_of(peer: Any) -> socket.socket:
    """A duplicate of this process's socket that is connected to `peer`."""
    for entry in Path("/proc/self/fd").iterdir():
        if not entry.is_socket():
            continue
        sock = socket.socket(fileno=os.dup(int(entry.name)))
        try:
            if sock.getpeername() == peer:
                return sock
        except OSError:
            pass
        sock.close()
    raise AssertionError(f"no socket is connected to {peer}")


@linux
@pytest.mark.parametrize(
    "name", sorted(set(OPTIONS) - {"TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"})
)
def test_options_that_are_off(listen: Listen, name: str) -> None:
    [listener] = listen(port=0, tcp_nodelay=False)
    with socket.socket(fileno=os.dup(listener.fd)) as server:
        assert option(server, name) == 0


@pytest.mark.parametrize("name", [name for name in OPTIONS if name.startswith("TCP_")])
def test_options_that_the_system_does_not_have(
    listen: Listen, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    settings, _ = OPTIONS[name]
    monkeypatch.delattr(_socket, name)
    if settings:
        listen(port=0)
    assert name in message(port=0, **settings)


# Unix sockets


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


# inherited descriptors


@pytest.mark.parametrize("listening", [True, False])
def test_an_inherited_descriptor(listen: Listen, listening: bool) -> None:
    parent = socket.socket()
    with parent:
        parent.bind(("127.0.0.1", 0))
        if listening:
            parent.listen()
        fd = os.dup(parent.fileno())
        os.set_inheritable(fd, True)
        [listener] = listen(bind=f"fd://{fd}")
        assert listener.fd == fd
        assert listener.url == f"http://127.0.0.1:{parent.getsockname()[1]}"
        assert listener.origin == "inherited"
        assert not os.get_inheritable(fd)
        assert not os.get_blocking(fd)
        connect(listener)
        listener.close()
        connect(listener)  # the parent still listens


def test_a_descriptor_that_is_named_twice(listen: Listen) -> None:
    with socket.create_server(("127.0.0.1", 0)) as parent:
        fd = os.dup(parent.fileno())
        [listener] = listen(bind=[f"fd://{fd}", "fd://" + str(fd)])
        assert listener.fd == fd


def test_an_inherited_unix_socket_is_not_removed(listen: Listen, path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as parent:
        parent.bind(str(path))
        [listener] = listen(bind=f"fd://{os.dup(parent.fileno())}")
        assert listener.url == f"unix:{path}"
        listener.close()
        listener.remove()
        assert path.exists()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: socket.socket(type=socket.SOCK_DGRAM), "got a datagram socket"),
        (socket.socket, "got one without an address"),
        (lambda: socket.socket(socket.AF_UNIX), "got one without an address"),
        (lambda: open(os.devnull), "the descriptor is no socket"),  # noqa: PTH123, SIM115
    ],
)
def test_descriptors_that_cannot_listen(make: Callable[[], Any], reason: str) -> None:
    with closing(make()) as file:
        said = message(bind=f"fd://{file.fileno()}")
        assert said.startswith(f"cannot listen on fd://{file.fileno()}: ")
        assert said.endswith(reason)
        os.fstat(file.fileno())  # it is still open


def test_a_connection_cannot_listen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname(), timeout=5) as client:
            said = message(bind=f"fd://{client.fileno()}")
    assert said.endswith("expected a bound stream socket, got a connection")


def test_a_descriptor_that_is_not_open() -> None:
    said = message(bind="fd://987654")
    assert said == "cannot listen on fd://987654: the descriptor is not open"


def test_an_inherited_descriptor_stays_open_when_another_address_fails() -> None:
    with socket.create_server(("127.0.0.1", 0)) as parent:
        message(bind=[f"fd://{parent.fileno()}", "unix:/nowhere/x.sock"])
        assert parent.getsockname()[1] > 0


# whole servers


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
        client.settimeout(5)
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
