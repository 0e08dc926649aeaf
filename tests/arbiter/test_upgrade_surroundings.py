"""What a successor has of the start of the first server, and what it must not have of its life."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from granite.arbiter import handover
from granite.arbiter.inherited import Inherited
from granite.arbiter.origin import INHERITED, Origin
from granite.errors import BootError
from tests.arbiter.asking import facts, until
from tests.arbiter.managing import Main
from tests.arbiter.test_probes import Probing
from tests.arbiter.test_systemd import answer, ask
from tests.arbiter.upgrading import Upgrading, alive
from tests.granite_process import ROOT, GraniteProcess

APPS = Path(__file__).parent


@pytest.fixture
def start() -> Iterator[Callable[..., Upgrading]]:
    with ExitStack() as stack:

        def start(*arguments: str, ready: bool = True, **options) -> Upgrading:
            granite = GraniteProcess(*arguments, **options)
            stack.callback(granite.destroy)
            if ready:
                granite.wait_for("listening on")
            return Upgrading(granite)

        yield start


# the environment


def test_the_environment_is_that_of_the_first_start(tmp_path, start):
    config = tmp_path / "granite.conf.py"
    config.write_text(
        "import os\n"
        "os.environ['BY_FILE'] = 'x'\n"
        "raw_env = ['RAW=x', 'OWN=changed']\n"
        "umask = 0o027\n"
        "rlimit_nofile = 500\n"
        f"env_files = ['{tmp_path}/env']\n"
        f"working_dir = '{APPS}'\n"
    )
    (tmp_path / "env").write_text("DOTTED=x\n")
    server = start(
        *("run", "process_apps:told", "--config", "granite.conf.py", "--port", "0"),
        *("--pythonpath", str(APPS)),
        cwd=tmp_path,
        env={"OWN": "original", "PWD": str(tmp_path)},
    )
    before = facts(server.granite)
    for name in ("BY_FILE", "RAW", "DOTTED"):
        assert before["env"][name] == "x"
    config.write_text("")
    server.upgrade()
    now = facts(server.granite)
    assert not {"BY_FILE", "RAW", "DOTTED", INHERITED} & set(now["env"])
    assert now["env"]["OWN"] == "original"
    assert now["cwd"] == str(tmp_path)
    assert (before["umask"], before["nofile"][0]) == (0o027, 500)
    mask = os.umask(0)
    os.umask(mask)
    assert now["umask"] == mask
    assert now["nofile"][0] == before["nofile"][1]
    server.stop()


def test_a_directory_that_is_a_link(tmp_path, start):
    """As of deployments that keep each release in a folder."""
    releases = [tmp_path / "1", tmp_path / "2"]
    for release in releases:
        release.mkdir()
        (release / "main.py").write_text(
            "from tests.arbiter.apps import respond\n"
            "async def app(scope, receive, send):\n"
            "    assert scope['type'] == 'http'\n"
            "    await respond(send, __file__)\n"
        )
    current = tmp_path / "current"
    current.symlink_to(releases[0])
    server = start("run", "main:app", "--port", "0", cwd=current, env={"PWD": str(current)})
    assert Path(httpx.get(server.granite.url()).text).parent.name == "1"
    current.unlink()
    current.symlink_to(releases[1])
    server.signal(signal.SIGHUP)
    server.wait_for("info: reloaded")
    assert Path(httpx.get(server.granite.url()).text).parent.name == "1"
    server.upgrade()
    assert Path(httpx.get(server.granite.url()).text).parent.name == "2"
    server.stop()


# the command


@pytest.mark.parametrize(
    "launcher",
    [
        ("-m", "granite"),
        ("-X", "dev", "-W", "ignore", "-m", "granite"),
        (str(ROOT / "scripts" / "granite"),),
        ("-c", "import sys; from granite.cli import main; sys.exit(main())"),
    ],
)
def test_every_way_to_start(start, launcher):
    server = start("run", "apps:plain", "--port", "0", launcher=launcher, cwd=APPS)
    for _ in range(2):
        server.upgrade()
        assert httpx.get(server.granite.url()).text == "plain"
    server.stop()


PROGRAM = """
import os, sys
from granite import Granite

async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"program"})

def serve():
    Granite("program:app", port=0).serve()
    print("behind", os.getpid(), flush=True)

"""


def test_a_program_that_serves(tmp_path, start):
    """It runs once more; the code behind serve() runs in the former process when that has ended."""
    (tmp_path / "program.py").write_text(PROGRAM + "if __name__ == '__main__': serve()")
    server = start(launcher=("program.py", "--port", "x"), cwd=tmp_path)
    first = server.upgrade()
    assert httpx.get(server.granite.url()).text == "program"
    server.wait_for(f"behind {first}\n")
    server.stop()
    server.wait_for(f"behind {server.pid}\n")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            "import multiprocessing as m\n"
            "if __name__ == '__main__': m.get_context('fork').Process(target=serve).start()",
            "this process was forked by another program",
        ),
        (
            "import multiprocessing as m\n"
            "if __name__ == '__main__': m.get_context('spawn').Process(target=serve).start()",
            "this process was forked by another program",
        ),
        (
            "sys.argv = ['']\nif __name__ == '__main__': serve()",
            "the program was not started from a file",
        ),
        (
            "sys.executable = ''\nif __name__ == '__main__': serve()",
            "the program was not started from a file",
        ),
    ],
)
def test_programs_that_cannot_be_started_again(tmp_path, start, code, reason):
    (tmp_path / "program.py").write_text(PROGRAM + code)
    server = start(launcher=("program.py",), cwd=tmp_path)
    server.pid = int(server.wait_for(r"\[(\d+)\] info: listening on").group(1))
    server.signal(signal.SIGUSR2)
    server.wait_for(f"warning: no upgrade: {reason}\n")
    assert httpx.get(server.granite.url()).text == "program"
    server.stop()


def test_process_1(monkeypatch):
    assert Origin().obstacle() == ""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert Origin().obstacle() == "this is process 1, with which its container would end"


# systemd


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Main]:
    manager = Main(str(tmp_path / "notify"))
    yield manager
    manager.close()


def test_the_service_manager_hears_the_main_process_alone(tmp_path, start, manager):
    env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
    server = start("run", "apps:plain", "--port", "0", cwd=APPS, env=env)
    assert manager.hear("READY")[0] == server.pid
    for _ in range(2):
        first = server.upgrade()
        sender, message = manager.hear("RELOADING")
        assert (sender, message["STATUS"]) == (first, f"upgrading: pid {server.pid} starts")
        assert manager.hear("MAINPID") == (first, {"MAINPID": str(server.pid)})
        ready = {"READY": "1", "MAINPID": str(server.pid), "STATUS": "1 of 1 workers ready"}
        assert manager.hear("READY") == (server.pid, ready)
        assert manager.hear("WATCHDOG") == (server.pid, {"WATCHDOG": "1"})
        assert manager.hear("WATCHDOG")[0] == server.pid
    server.stop()
    assert manager.hear("STOPPING")[0] == server.pid


def test_the_service_manager_is_told_of_a_failure(tmp_path, start, manager):
    (tmp_path / "app.py").write_text("from tests.arbiter.apps import plain as app")
    env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "PYTHONDONTWRITEBYTECODE": "1"}
    server = start("run", "app:app", "--port", "0", cwd=tmp_path, env=env)
    manager.hear("READY")
    (tmp_path / "app.py").write_text("from tests.arbiter.apps import failing as app")
    server.fail()
    manager.hear("RELOADING")
    status = manager.hear("READY")[1]["STATUS"]
    assert status.startswith("1 of 1 workers ready; the upgrade failed: ")
    assert status.endswith("the database is not there")
    server.stop()
    assert manager.hear("STOPPING")[0] == server.pid


def test_sockets_of_systemd(tmp_path, start):
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "sock"))
        unix.listen()
        fds = tcp.fileno(), unix.fileno()
        server = start(
            *(",".join(map(str, fds)), "web:local", "run", "systemd_apps:inherited"),
            *("--port", "1"),
            cwd=APPS,
            launcher=(str(APPS / "systemd_parent.py"),),
            pass_fds=fds,
        )
        port = tcp.getsockname()[1]
    for count in (2, 3):
        server.upgrade()
        listening = f"listening on http://127.0.0.1:{port} (systemd, web)\n"
        assert server.granite.output.count(listening) == count
        told = httpx.get(f"http://127.0.0.1:{port}/").json()
        assert not [name for name in told["environ"] if name.startswith(("LISTEN_", INHERITED))]
        # The standard ones, and the one that lists them.
        assert told["child"] == [0, 1, 2, 3]
        assert b"200 OK" in answer(ask(str(tmp_path / "sock")))
    server.stop()
    assert (tmp_path / "sock").exists()


def test_a_descriptor_that_was_named(start):
    with socket.create_server(("127.0.0.1", 0)) as tcp:
        fd = tcp.fileno()
        server = start("run", "apps:plain", "--bind", f"fd://{fd}", cwd=APPS, pass_fds=(fd,))
    for _ in range(2):
        server.upgrade()
        assert httpx.get(server.granite.url()).text == "plain"
    server.stop()


# slots


def test_sockets_of_slots(tmp_path, start):
    """Whatever becomes of the workers and their sockets, no connection waits in vain."""
    config = tmp_path / "granite.conf.py"
    settings = [(True, 1), (True, 3), (True, 2), (False, 1), (True, 2), (False, 3)]

    def write(reuse_port: bool, workers: int) -> None:
        config.write_text(f"reuse_port = {reuse_port}\nworkers = {workers}\n")

    write(*settings[0])
    server = start("run", "apps:plain", "--config", str(config), "--port", "0", cwd=APPS)
    address = ("127.0.0.1", server.granite.port)
    for reuse_port, workers in settings[1:]:
        write(reuse_port, workers)
        for worker in server.workers():
            os.kill(worker, signal.SIGSTOP)
        stopped = server.workers()
        clients = [ask(address) for _ in range(12)]
        first, successor = server.pid, server.ask()
        server.wait_for(rf"\[{successor}\] info: took over from pid {first}")
        server.pid = successor
        clients += [ask(address) for _ in range(12)]
        for client in clients:
            assert answer(client).endswith(b"plain")
        for worker in stopped:
            os.kill(worker, signal.SIGCONT)
        until(lambda: not alive(first))  # noqa: B023
    assert "error" not in server.granite.output
    server.stop()


@pytest.mark.parametrize(("before", "after"), [((True, 1), (True, 3)), ((False, 2), (True, 2))])
def test_a_failure_loses_no_connection(tmp_path, start, before, after):
    """A successor with more sockets takes none to its grave."""
    config = tmp_path / "granite.conf.py"
    config.write_text("reuse_port = {}\nworkers = {}\n".format(*before))
    (tmp_path / "app.py").write_text("from tests.arbiter.apps import plain as app")
    server = start(
        *("run", "app:app", "--port", "0"),
        cwd=tmp_path,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
    )
    config.write_text("reuse_port = {}\nworkers = {}\n".format(*after))
    address = ("127.0.0.1", server.granite.port)
    (tmp_path / "app.py").write_text(
        "print('at the gate', flush=True)\n"
        "import pathlib, time\n"
        "while not pathlib.Path('gate').exists(): time.sleep(0.01)\n"
    )
    successor = server.ask()
    server.wait_for("at the gate")
    with ExitStack() as stack:
        clients = [stack.enter_context(ask(address)) for _ in range(20)]
        (tmp_path / "gate").touch()
        server.failed(successor)
        for client in clients:
            assert answer(client).endswith(b"plain")
    server.stop()


# what else listens


def test_metrics_are_served_all_the_time(start):
    server = start(
        *("run", "apps:plain", "--port", "0", "--metrics", "--metrics-port", "0"), cwd=APPS
    )
    url = server.wait_for(r"metrics on (http://\S+)/metrics").group(1)
    with Probing(server.granite) as probing:
        for _ in range(3):
            server.upgrade()
            probing.go_on()
    assert probing.answers == []
    assert server.granite.output.count(f"metrics on {url}/metrics\n") == 4
    assert "granite_" in httpx.get(f"{url}/metrics").text
    server.stop()


def test_files_are_watched_by_the_successor(tmp_path, start):
    pytest.importorskip("watchfiles")
    module = "from tests.arbiter.apps import respond\nasync def app(scope, receive, send):\n"
    module += "    assert scope['type'] == 'http'\n    await respond(send, {!r})\n"
    (tmp_path / "app.py").write_text(module.format("one"))
    server = start("run", "app:app", "--port", "0", "--reload", cwd=tmp_path)
    size = len(server.granite.members())
    server.upgrade()
    until(lambda: len(server.granite.members()) == size)
    (tmp_path / "app.py").write_text(module.format("two"))
    until(lambda: httpx.get(server.granite.url()).text == "two")
    server.stop()


def test_the_application_is_preloaded_by_the_successor(tmp_path, start):
    (tmp_path / "app.py").write_text("from tests.arbiter.apps import plain as app")
    server = start("run", "app:app", "--port", "0", "--preload", "-w", "2", cwd=tmp_path)
    size = len(server.granite.members())
    server.upgrade()
    until(lambda: len(server.granite.members()) == size)
    assert httpx.get(server.granite.url()).text == "plain"
    (tmp_path / "app.py").write_text("not Python")
    server.fail()
    assert httpx.get(server.granite.url()).text == "plain"
    until(lambda: len(server.granite.members()) == size)
    server.stop()


# what is passed


def test_sockets_go_by_name():
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(4)]
        ours, theirs = socket.socketpair()
        stack.enter_context(ours)
        fds = [sock.fileno() for sock in sockets]
        passed = [
            handover.Passed("tcp:127.0.0.1:0", 0, fds[0]),
            handover.Passed("tcp:127.0.0.1:0", 0, fds[1]),
            handover.Passed("unix:/a b:\udcff:1:2", 0, fds[2]),
            handover.Passed("systemd:web", 0, fds[3]),
        ]
        environ = {"A": "b", INHERITED: handover.announce(7, theirs.detach(), passed)}
        inherited = Inherited.take(environ)
        assert inherited is not None
        assert environ == {"A": "b"}
        assert inherited.former == 7
        assert inherited.claim("tcp:127.0.0.1:1") == []
        assert inherited.claim(f"tcp:127.0.0.1:{sockets[1].getsockname()[1]}") == [(0, fds[1])]
        assert inherited.claim("tcp:127.0.0.1:0") == [(0, fds[0])]
        assert inherited.claim("tcp:127.0.0.1:0") == []
        assert inherited.claim("unix:/a b:\udcff:1:2") == [(0, fds[2])]
        assert inherited.activated() == [(fds[3], "web")]
        assert inherited.activated() == []
        inherited.line.say(handover.FAILED, "two\nlines")
        assert ours.recv(100) == b"failed two lines\n"
        inherited.line.close()
        inherited.line.say("nothing")


def test_what_another_process_was_passed():
    environ = {INHERITED: "1 1 1 3"}
    assert Inherited.take(environ) is None
    assert environ == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "of a release that cannot hand over"),
        ("2 x", "of a release that cannot hand over"),
        ("1", "expected what an arbiter passes to its successor, got '1'"),
        ("1 {pid} 1 3 4:0", "expected what an arbiter passes"),
        ("1 {pid} 1 3 4:0:zz", "expected what an arbiter passes"),
        ("1 {pid} 1 100000", "has passed descriptors that are not open"),
        ("1 {pid} 1 100000 100001:0:61", "has passed descriptors that are not open"),
    ],
)
def test_what_no_arbiter_passes(text, reason):
    environ = {INHERITED: text.format(pid=os.getpid())}
    with pytest.raises(BootError, match=reason):
        Inherited.take(environ)
    assert environ == {}


def test_words_in_pieces():
    ours, theirs = socket.socketpair()
    with ours:
        line = handover.Line(theirs.detach())
        assert line.hear() == []
        ours.sendall(b"rea")
        assert line.hear() == []
        ours.sendall(b"dy\nfailed a b\nunknown\nx")
        assert line.hear() == [("ready", ""), ("failed", "a b"), ("unknown", "")]
    assert line.hear() == []
    assert line.fd == -1
