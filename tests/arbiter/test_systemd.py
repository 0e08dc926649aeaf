"""Socket activation and notifications: granite under a parent that does what systemd does."""

from __future__ import annotations

import configparser
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from granite.arbiter.systemd import Notifier, listen_fds
from granite.cli.arguments import read
from granite.errors import BootError
from granite.settings.load import load
from tests.arbiter.loads import Load
from tests.arbiter.managing import Manager
from tests.granite_process import ROOT, GraniteProcess
from tests.patience import PATIENCE

APPS = Path(__file__).parent
UNITS = ROOT / "examples" / "systemd"
Activate = Callable[..., GraniteProcess]


@pytest.fixture
def activate() -> Iterator[Activate]:
    """Start `granite run ARGUMENTS` with these sockets, as systemd does."""
    with ExitStack() as stack:

        def activate(
            sockets: list[Any], *arguments: str, names: str = "-", ready: bool = True
        ) -> GraniteProcess:
            fds = tuple(sock.fileno() for sock in sockets)
            granite = GraniteProcess(
                *(",".join(map(str, fds)), names, "run", *arguments),
                cwd=APPS,
                launcher=(str(APPS / "systemd_parent.py"),),
                pass_fds=fds,
            )
            stack.callback(granite.destroy)
            if ready:
                granite.wait_for("listening on ")
            return granite

        yield activate


@pytest.fixture
def tcp() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


@pytest.fixture
def unix(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "x.sock"))
        sock.listen()
        yield sock


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@granite/{os.getpid()}"
    manager = Manager(name)
    yield manager
    manager.close()


def ask(address: str | tuple[str, int]) -> socket.socket:
    """Send a request that is the connection's last."""
    client = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    client.settimeout(PATIENCE)
    client.connect(address)
    client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
    return client


def answer(client: socket.socket) -> bytes:
    with client:
        return b"".join(iter(lambda: client.recv(65536), b""))


# sockets


def test_several_sockets(activate: Activate, tcp: socket.socket, unix: socket.socket) -> None:
    port, path = tcp.getsockname()[1], unix.getsockname()
    replaced = str(Path(path).with_name("replaced.sock"))
    granite = activate(
        [tcp, unix], "systemd_apps:inherited", "-b", f"unix:{replaced}", names="web:local"
    )
    granite.wait_for(f"listening on http://127.0.0.1:{port}")
    granite.wait_for(f"listening on unix:{path}")
    assert granite.output.count("listening on ") == 2
    assert not Path(replaced).exists()
    told = httpx.get(f"http://127.0.0.1:{port}/").json()
    assert not [name for name in told["environ"] if name.startswith("LISTEN_")]
    assert told["server"] == ["127.0.0.1", port]
    # The standard ones, and the one that lists them.
    assert told["child"] == [0, 1, 2, 3]
    body = answer(ask(path)).partition(b"\r\n\r\n")[2]
    assert json.loads(body[body.index(b"{") : body.rindex(b"}") + 1])["server"] == [path, None]
    assert granite.stop() == 0
    assert Path(path).exists()


def test_a_descriptor_named_by_bind_as_well(activate: Activate, tcp: socket.socket) -> None:
    granite = activate([tcp], "apps:plain", "--bind", "fd://3", "--bind", "127.0.0.1:0")
    assert granite.port == tcp.getsockname()[1]
    assert httpx.get(granite.url()).text == "plain"
    assert granite.stop() == 0
    assert granite.output.count("listening on ") == 1


def test_a_restart_loses_no_connection(
    activate: Activate, tcp: socket.socket, unix: socket.socket
) -> None:
    addresses = [tcp.getsockname(), unix.getsockname()]
    first = activate([tcp, unix], "apps:plain")
    before = [ask(address) for address in addresses]
    first.signal(signal.SIGTERM)
    first.wait()
    between = [ask(address) for address in addresses]
    second = activate([tcp, unix], "apps:plain")
    after = [ask(address) for address in addresses]
    # Those that the first one had not accepted in time are the second one's.
    for client in before + between + after:
        assert answer(client).endswith(b"plain")
    assert second.stop() == 0


def test_restarts_while_clients_come(activate: Activate, tcp: socket.socket) -> None:
    """Whenever a client connects, and however far it is when the server is told to end."""
    granite = activate([tcp], "apps:plain")
    with Load(tcp.getsockname(), coming=4) as load:
        for _ in range(4):
            load.wait_for(4)
            assert granite.stop() == 0
            granite = activate([tcp], "apps:plain")
    assert load.lost == []
    assert list(load.answers) == [(200, b"plain")]
    assert granite.stop() == 0


@pytest.mark.no_sanitizer  # which is preloaded by a variable: systemd passes on none
@pytest.mark.skipif(shutil.which("systemd-socket-activate") is None, reason="needs systemd")
def test_systemds_own_activation(tmp_path: Path) -> None:
    path = str(tmp_path / "x.sock")
    granite = GraniteProcess(
        *("systemd-socket-activate", f"--listen={path}", "--fdname=web"),
        *(f"--setenv=PYTHONPATH={ROOT}", sys.executable, "-m", "granite", "run", "apps:plain"),
        cwd=APPS,
        launcher=("-c", "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])"),
    )
    try:
        granite.wait_for(f"Listening on {path}")
        assert answer(ask(path)).endswith(b"plain")
        granite.wait_for(rf"listening on unix:{path} \(systemd, web\)")
        assert granite.stop() == 0
    finally:
        granite.destroy()


def test_none_of_the_sockets_is_a_datagram_one(activate: Activate, tcp: socket.socket) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as datagram:
        datagram.bind(("127.0.0.1", 0))
        granite = activate([tcp, datagram], "apps:plain", names="web:log", ready=False)
        assert granite.wait() == 1
    assert granite.output == (
        "granite: cannot listen on descriptor 4 of systemd, log: expected a bound stream socket, "
        "got a datagram socket\n"
    )


def test_every_descriptor_is_a_socket(activate: Activate) -> None:
    with open(os.devnull) as file:  # noqa: PTH123
        granite = activate([file], "apps:plain", ready=False)
        assert granite.wait() == 1
    assert granite.output == (
        "granite: cannot listen on descriptor 3 of systemd: the descriptor is no socket\n"
    )


@pytest.mark.parametrize("value", ["", "x", "-1", "1.0", "1" * 20, "²"])
def test_a_number_of_sockets_that_is_none(value: str) -> None:
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": value, "LISTEN_FDNAMES": "a", "A": "b"}
    with pytest.raises(BootError, match=r"^LISTEN_FDS: expected the number of sockets .*, got '"):
        listen_fds(environ)
    assert environ == {"A": "b"}


def test_names_that_do_not_fit() -> None:
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0", "LISTEN_FDNAMES": "a:b"}
    with pytest.raises(
        BootError, match=r"^LISTEN_FDNAMES: expected .* 0 sockets passed, got 'a:b'"
    ):
        listen_fds(environ)


def test_fewer_sockets_than_said() -> None:
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "100000"}
    with pytest.raises(BootError, match=r"^LISTEN_FDS: expected 100000 sockets .*, got none at"):
        listen_fds(environ)


def test_no_sockets() -> None:
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0", "LISTEN_PIDFDID": "1"}
    assert listen_fds(environ) == []
    assert environ == {}


@pytest.mark.parametrize("pid", [None, "", "1", "x"])
def test_sockets_of_another_process(pid: str | None) -> None:
    environ = {"LISTEN_FDS": "garbage"} | ({} if pid is None else {"LISTEN_PID": pid})
    before = dict(environ)
    assert listen_fds(environ) == []
    assert environ == before


# notifications


def test_every_notification(manager: Manager) -> None:
    environ = {
        "NOTIFY_SOCKET": manager.name,
        "WATCHDOG_USEC": "3000000",
        "WATCHDOG_PID": str(os.getpid()),
    }
    notifier = Notifier(environ)
    assert environ == {}
    assert notifier.interval == 1.5
    notifier.ready("2 workers")
    ready = {"READY": "1", "MAINPID": str(os.getpid())}
    assert manager.receive() == ready | {"STATUS": "2 workers"}
    notifier.ready()
    assert manager.receive() == ready
    notifier.status("one\nline, é")
    assert manager.receive() == {"STATUS": "one line, é"}
    notifier.status("")
    notifier.reloading()
    message = manager.receive()
    assert message.pop("RELOADING") == "1"
    assert 0 < int(message.pop("MONOTONIC_USEC")) < 10**17
    assert message == {}
    notifier.watchdog()
    assert manager.receive() == {"WATCHDOG": "1"}
    notifier.stopping("bye")
    assert manager.receive() == {"STOPPING": "1", "STATUS": "bye"}


def notify_all(notifier: Notifier) -> None:
    notifier.ready("text")
    notifier.reloading("text")
    notifier.status("text")
    notifier.stopping("text")
    notifier.watchdog()


@pytest.mark.parametrize(
    "address", [None, "", "@", "relative", "vsock:2:1", "/nowhere/x", "@nobody", "/" + "x" * 200]
)
def test_nobody_is_notified(address: str | None) -> None:
    environ = {} if address is None else {"NOTIFY_SOCKET": address}
    notify_all(Notifier(environ | {"WATCHDOG_USEC": "1000"}))


def test_a_manager_that_does_not_listen_holds_nothing_up(tmp_path: Path) -> None:
    name = str(tmp_path / "notify")
    notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000"})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name)
        for _ in range(1000):  # more than its queue takes
            notify_all(notifier)
    notify_all(notifier)


@pytest.mark.parametrize(
    ("limit", "pid", "interval"),
    [
        ("20000000", None, 10.0),
        ("20000000", "1", None),
        ("20000000", "x", None),
        (None, None, None),
        ("0", None, None),
        ("-1", None, None),
        ("x", None, None),
        ("9" * 30, None, None),
    ],
)
def test_the_watchdogs_interval(limit: str | None, pid: str | None, interval: float | None) -> None:
    given = {"NOTIFY_SOCKET": "@nobody", "WATCHDOG_USEC": limit, "WATCHDOG_PID": pid}
    environ = {name: value for name, value in given.items() if value is not None}
    assert Notifier(environ).interval == interval
    assert environ == {}


def test_a_servers_notifications(run_granite, manager: Manager) -> None:
    granite = run_granite(
        *("systemd_apps:inherited", "--graceful-timeout", "5"),
        cwd=APPS,
        env={"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "200000"},
    )
    ready = manager.wait_for("READY")
    assert ready["MAINPID"] == str(granite.process.pid)
    assert ready["READY"] == "1"
    assert manager.wait_for("WATCHDOG") == {"WATCHDOG": "1"}
    assert manager.wait_for("WATCHDOG") == {"WATCHDOG": "1"}
    environ = httpx.get(granite.url()).json()["environ"]
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & set(environ)
    granite.signal(signal.SIGTERM)
    assert manager.wait_for("STOPPING")["STOPPING"] == "1"
    assert granite.wait() == 0


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (["apps:failing"], 3, "the application's startup failed: the database is not there"),
        (["apps:plain", "--uds", "/no/such/socket"], 1, "cannot listen on unix:/no/such/socket"),
    ],
)
def test_a_server_that_cannot_start_is_never_ready(
    run_granite, tmp_path: Path, arguments: list[str], status: int, reason: str
) -> None:
    manager = Manager(str(tmp_path / "notify"))
    granite = run_granite(*arguments, cwd=APPS, env={"NOTIFY_SOCKET": manager.name}, ready=False)
    assert granite.wait() == status
    said = manager.close()
    assert [message for message in said if "READY" in message] == []
    assert said[-1]["STOPPING"] == "1"
    assert said[-1]["STATUS"].startswith(reason)


# the example's units


def unit(name: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(UNITS / name)
    return parser


def test_the_service_unit_runs_granite() -> None:
    service = unit("granite.service")["Service"]
    program, command, *arguments = shlex.split(service["ExecStart"])
    assert Path(program).name == "granite"
    assert command == "run"
    found = read(arguments)
    loaded = load(found.values, {}, found.config_file)
    assert loaded.config.target is not None
    assert [note.text for note in loaded.notes if note.level == "warning"] == []
    assert service["Type"].startswith("notify")
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    # The manager's patience is longer than that of the server.
    seconds = float(service["TimeoutStopSec"].removesuffix("s"))
    assert seconds > loaded.config.graceful_timeout + loaded.config.workers_kill_timeout


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for name in ("granite.service", "granite.socket"):
        # It looks whether the program is there.
        text = (UNITS / name).read_text().replace("/srv/app/.venv/bin/granite", sys.executable)
        (tmp_path / name).write_text(text)
    verify = subprocess.run(
        ["systemd-analyze", "verify", "granite.service", "granite.socket"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    remarks = [line for line in verify.stderr.splitlines() if "granite." in line]
    assert (verify.returncode, remarks) == (0, [])


def test_the_socket_unit_is_the_services() -> None:
    assert unit("granite.service")["Unit"]["Requires"] == "granite.socket"
    socket_unit = unit("granite.socket")
    assert socket_unit["Install"]["WantedBy"] == "sockets.target"
    assert "ListenStream" in socket_unit["Socket"]
