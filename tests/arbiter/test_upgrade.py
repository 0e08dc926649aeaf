"""SIGUSR2: the server is replaced by one that is started anew, while it serves."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.arbiter.asking import facts, until
from tests.arbiter.changing import told
from tests.arbiter.loads import Load
from tests.arbiter.test_drain import HEAD, connect, read_response
from tests.arbiter.test_systemd import answer, ask
from tests.arbiter.upgrading import TAKEN, Upgrading, alive, descriptors
from tests.granite_process import GraniteProcess
from tests.patience import PATIENCE

APPS = Path(__file__).parent


@pytest.fixture
def start(changing) -> Callable[..., Upgrading]:
    return lambda *arguments, **options: Upgrading(changing.start(*arguments, **options))


@pytest.fixture
def start_plainly() -> Iterator[Callable[..., Upgrading]]:
    """Start `granite run ARGUMENTS` without a port among them, which would hide other addresses."""
    with ExitStack() as stack:

        def start(cwd: Path, *arguments: str) -> Upgrading:
            granite = GraniteProcess("run", *arguments, cwd=cwd)
            stack.callback(granite.destroy)
            granite.wait_for("listening on")
            return Upgrading(granite)

        yield start


def test_the_successor_serves_new_code_by_new_settings(changing, start):
    config = changing.folder / "granite.conf.py"
    config.write_text("workers = 1\n")
    server = start("--config", str(config))
    first, old = server.pid, server.workers()
    port = server.granite.port
    changing.write("two")
    config.write_text("workers = 3\n")
    assert server.upgrade() == first
    assert server.granite.process.wait(PATIENCE) == 0
    assert told(server.granite)[0] == "two"
    assert len(server.workers()) == 3
    assert not server.workers() & old
    assert server.granite.output.count(f"listening on http://127.0.0.1:{port}\n") == 2
    for text in (
        rf"\[{first}\] info: upgrading: pid {server.pid} starts beside this server",
        rf"\[{first}\] info: pid {server.pid} has taken over: requests in flight may finish",
        rf"\[{server.pid}\] info: took over from pid {first}\n",
        rf"\[{first}\] info: stopped",
    ):
        assert len(re.findall(text, server.granite.output)) == 1
    assert "GRANITE_" not in server.granite.output
    config.write_text("workers = 2\n")
    server.upgrade()
    assert len(server.workers()) == 2
    server.stop()
    assert server.granite.output.count("info: stopped\n") == 3


@pytest.mark.parametrize("kind", ["shared", "reuse_port", "unix"])
def test_five_upgrades_lose_no_request_and_refuse_no_connection(changing, start, kind):
    path = str(changing.folder / "sock")
    options = {
        "shared": ("--no-reuse-port",),
        "reuse_port": ("--reuse-port",),
        "unix": ("--uds", path),
    }
    server = start("--workers", "2", *options[kind])
    address = path if kind == "unix" else ("127.0.0.1", server.granite.port)
    pids = []
    with Load(address, kept=2, coming=2) as load:
        for count in range(1, 6):
            text = f"{count}" * count
            changing.write(text)
            pids.append(server.upgrade())
            assert answer(ask(address)).rpartition(b"\r\n")[2].startswith(text.encode() + b" ")
            load.wait_for(20)
    assert load.lost == []
    pattern = rb"(one|(\d)\2*) \d+"
    assert [body for _, body in load.answers if not re.fullmatch(pattern, body)] == []
    assert len(set(pids)) == 5
    server.stop()
    assert not Path(path).exists()


def test_nothing_is_left_behind_by_several_upgrades(changing, start):
    server = start("--workers", "2", "--bind", "127.0.0.1:0", "--bind", f"unix:{changing.folder}/s")
    port = server.granite.port
    address = ("127.0.0.1", port)

    def sockets() -> int:
        workers = (Counter(descriptors(worker).values()) for worker in server.workers())
        return max(found["socket:[]"] for found in workers)

    before = descriptors(server.pid), sockets()
    for _ in range(4):
        server.upgrade()
        assert answer(ask(address)).rpartition(b"\r\n")[2].startswith(b"one")
    until(lambda: descriptors(server.pid) == before[0])
    until(lambda: sockets() <= before[1])  # the last connection is closed a moment after its answer
    assert len(server.granite.members()) == 3
    server.stop()
    assert sorted(path.name for path in changing.folder.iterdir()) == ["changing.py"]


def test_a_request_in_flight_is_finished_by_the_former_server(run_granite):
    server = Upgrading(run_granite("apps:upload", cwd=APPS))
    first = server.pid
    with connect(server.granite) as client:
        client.sendall(HEAD + b"12")
        server.wait_for("request begun")
        server.pid = server.ask()
        server.wait_for(TAKEN)
        server.wait_for(rf"\[{first}\] info: pid {server.pid} has taken over")
        with connect(server.granite) as other:
            other.sendall(HEAD + b"12345")
            assert read_response(other)[1] == b"uploaded"
        assert alive(first)
        # The next one may follow while the first still drains.
        server.upgrade()
        assert alive(first)
        client.sendall(b"345")
        assert read_response(client)[1] == b"uploaded"
    until(lambda: not alive(first))
    server.stop()


def test_connections_that_wait_are_the_successors(start):
    """Who comes while no worker of the former server accepts is answered by the new one."""
    server = start("--graceful-timeout", "5", "--workers", "2")
    workers = server.workers()
    address = ("127.0.0.1", server.granite.port)
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    clients = [ask(address) for _ in range(8)]
    first, server.pid = server.pid, server.ask()
    server.wait_for(TAKEN)
    answers = [answer(client).rpartition(b"\r\n")[2].split()[0] for client in clients]
    assert answers == [b"one"] * 8
    for worker in workers:
        os.kill(worker, signal.SIGCONT)
    until(lambda: not alive(first))
    server.stop()


def test_the_pid_file_always_names_a_server(changing, start):
    path = changing.folder / "granite.pid"
    server = start("--pid-file", str(path))
    seen: list[str] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            seen.append(path.read_text() if path.exists() else "")

    watching = threading.Thread(target=look)
    watching.start()
    pids = [server.pid]
    until(lambda: seen)
    for _ in range(2):
        server.upgrade()
        pids.append(server.pid)
        until(lambda: seen[-1] == f"{server.pid}\n")
    done.set()
    watching.join()
    assert list(dict.fromkeys(seen)) == [f"{pid}\n" for pid in pids]
    assert path.read_text() == f"{server.pid}\n"
    server.stop()
    assert not path.exists()


def test_another_pid_file(changing, start):
    """The successor may have another one, or none."""
    config = changing.folder / "granite.conf.py"
    config.write_text("pid_file = 'a.pid'\n")
    server = start("--config", str(config))
    assert (changing.folder / "a.pid").exists()
    config.write_text("pid_file = 'b.pid'\n")
    server.upgrade()
    assert not (changing.folder / "a.pid").exists()
    assert (changing.folder / "b.pid").read_text() == f"{server.pid}\n"
    config.write_text("")
    server.upgrade()
    assert not (changing.folder / "b.pid").exists()
    server.stop()


def test_addresses_come_and_go(changing, start_plainly):
    config = changing.folder / "granite.conf.py"
    kept, gone, new = (str(changing.folder / name) for name in ("kept", "gone", "new"))
    config.write_text(f"bind = ['unix:{kept}', 'unix:{gone}', '127.0.0.1:0']\n")
    server = start_plainly(changing.folder, "changing:app", "--config", str(config))
    inode = Path(kept).stat().st_ino
    port = server.granite.port
    # The port that the system has chosen may be named from now on.
    config.write_text(f"bind = ['unix:{kept}', 'unix:{new}', '127.0.0.1:{port}']\n")
    server.upgrade()
    assert Path(kept).stat().st_ino == inode
    for address in (kept, new, ("127.0.0.1", port)):
        assert answer(ask(address)).rpartition(b"\r\n")[2].startswith(b"one")
    assert not Path(gone).exists()
    server.stop()
    assert not {"kept", "new"} & {path.name for path in changing.folder.iterdir()}


def test_a_socket_file_that_somebody_replaced(changing, start):
    path = changing.folder / "sock"
    server = start("--uds", str(path))
    path.unlink()
    server.upgrade()
    assert answer(ask(str(path))).rpartition(b"\r\n")[2].startswith(b"one")
    server.stop()
    assert not path.exists()


def test_several_ports_of_the_systems_choice(start):
    server = start("--bind", "127.0.0.1:0", "--bind", "127.0.0.1:0")
    pattern = r"listening on http://127.0.0.1:(\d+)\n"
    until(lambda: server.granite.output.count("listening on") == 2)
    first = re.findall(pattern, server.granite.output)
    server.upgrade()
    assert re.findall(pattern, server.granite.output) == first * 2
    for port in first:
        assert answer(ask(("127.0.0.1", int(port)))).rpartition(b"\r\n")[2].startswith(b"one")
    server.stop()


def test_log_files_are_opened_anew(changing, start):
    log = changing.folder / "log"
    server = start("--log-file", str(log), ready=False)
    until(lambda: log.exists() and "listening on" in log.read_text())
    log.rename(changing.folder / "log.1")
    server.signal(signal.SIGUSR2)
    until(lambda: log.exists() and "took over from" in log.read_text())
    until(lambda: "info: stopped" in (changing.folder / "log.1").read_text())
    found = re.search(TAKEN, log.read_text())
    assert found is not None
    server.pid = int(found.group(1))
    assert "info" not in server.granite.output
    server.stop()
    assert "info: stopped" in log.read_text()


def test_a_reload_of_the_successor(changing, start):
    server = start()
    server.upgrade()
    old = server.workers()
    changing.write("two")
    server.signal(signal.SIGHUP)
    server.wait_for(rf"\[{server.pid}\] info: reloaded")
    until(lambda: not server.workers() & old)
    assert told(server.granite)[0] == "two"
    server.upgrade()
    server.stop()


def test_a_server_that_was_drained(start):
    """Its successor serves who has waited."""
    server = start("--workers", "2")
    server.signal(signal.SIGWINCH)
    until(lambda: not server.workers())
    with ask(("127.0.0.1", server.granite.port)) as client:
        server.upgrade()
        assert answer(client).rpartition(b"\r\n")[2].startswith(b"one")
    assert len(server.workers()) == 2
    server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_arbiter_stays_root(run_granite):
    server = Upgrading(run_granite("process_apps:told", "--user", "nobody", cwd=APPS))
    before = facts(server.granite)
    server.upgrade()
    now = facts(server.granite)
    assert now == before | {key: now[key] for key in now if key in ("pid", "ppid")}
    assert "\nUid:\t0\t0" in Path(f"/proc/{server.pid}/status").read_text()
    server.stop()


def test_hooks(changing, start):
    config = changing.folder / "granite.conf.py"
    config.write_text(
        "import os\n"
        "def told(name):\n"
        "    print(f'{name} {os.getpid()} {\"GRANITE_INHERITED\" in os.environ}', flush=True)\n"
        "def on_starting(server): told('on_starting')\n"
        "def pre_exec(server):\n"
        "    print(f'pre_exec {server.pid} {os.getpid()}')\n"
        "def when_ready(server): told('when_ready')\n"
        "def on_exit(server): told('on_exit')\n"
    )
    server = start("--config", str(config))
    first = server.upgrade()
    server.stop()
    found = re.findall(r"^(\w+ \d+ \w+)$", server.granite.output, re.MULTILINE)
    assert found == [
        f"on_starting {first} False",
        f"when_ready {first} False",
        f"pre_exec {first} {server.pid}",
        f"on_starting {server.pid} False",
        f"when_ready {server.pid} False",
        f"on_exit {first} False",
        f"on_exit {server.pid} False",
    ]
