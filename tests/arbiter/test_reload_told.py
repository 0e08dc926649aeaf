"""Who is told of a reload: the service manager, hooks, the log."""

from __future__ import annotations

import signal

import pytest

from tests.arbiter.asking import until
from tests.arbiter.changing import Changing, hang_up, told, workers
from tests.arbiter.managing import Manager
from tests.granite_process import GraniteProcess


def test_the_service_manager_is_told(changing, tmp_path):
    manager = Manager(str(tmp_path / "notify"))
    granite = changing.start("--workers", "2", env={"NOTIFY_SOCKET": manager.name})
    assert manager.wait_for("READY")["STATUS"] == "2 of 2 workers ready"
    hang_up(granite)
    reloading = manager.receive()
    assert reloading["RELOADING"] == "1"
    assert int(reloading["MONOTONIC_USEC"]) > 0
    ready = {"READY": "1", "MAINPID": str(granite.process.pid)}
    assert manager.receive() == ready | {"STATUS": "2 of 2 workers ready"}
    changing.write("", "raise ValueError")
    granite.signal(signal.SIGHUP)
    assert manager.receive()["RELOADING"] == "1"
    failed = manager.receive()
    status = failed.pop("STATUS")
    assert failed == ready
    assert status.startswith("2 of 2 workers ready; the reload failed: cannot load 'changing:app'")
    assert granite.stop() == 0
    assert manager.receive()["STOPPING"] == "1"
    manager.close()


HOOKS = """
import os
def note(name):
    def hook(*arguments):
        worker = arguments[-1]
        age = f" {{worker.age}}" if hasattr(worker, "age") else ""
        fd = os.open({events!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(fd, f"{{name}}{{age}}\\n".encode())
        os.close(fd)
    return hook

def on_reload(server):
    note("on_reload")(server)

def pre_fork(server, worker):
    note("pre_fork")(worker)

def post_worker_init(worker):
    note("post_worker_init")(worker)

def worker_exit(server, worker):
    note("worker_exit")(worker)

def child_exit(server, worker):
    note("child_exit")(worker)
"""


def configured(changing: Changing, text: str) -> tuple[str, str]:
    path = changing.folder / "conf.py"
    path.write_text(text)
    return "--config", str(path)


def test_the_order_of_the_hooks(changing):
    events = changing.folder / "events"
    granite = changing.start(*configured(changing, HOOKS.format(events=str(events))))
    hang_up(granite)
    until(lambda: "child_exit" in events.read_text())
    assert events.read_text().split("\n")[:-1] == [
        *("pre_fork 1", "post_worker_init 1", "on_reload"),
        *("pre_fork 2", "post_worker_init 2", "worker_exit 1", "child_exit 1"),
    ]
    assert granite.stop() == 0


RAISING = {
    "on_reload": "def on_reload(server):\n    raise ValueError",
    "pre_fork": "def pre_fork(server, worker):\n    if worker.age > 1: raise ValueError",
    "post_fork": "def post_fork(server, worker):\n    if worker.age > 1: raise ValueError",
}


@pytest.mark.parametrize(("name", "text"), RAISING.items())
def test_a_hook_that_raises_ends_the_reload(changing, name, text):
    granite = changing.start(*configured(changing, text))
    (old,) = workers(granite)
    granite.signal(signal.SIGHUP)
    granite.wait_for("error: the reload failed")
    assert granite.output.count(f"the hook {name} raised ValueError") == 1
    assert told(granite) == ("one", old)
    assert granite.stop() == 0


def test_a_hook_that_exits_ends_the_server(changing):
    granite = changing.start(
        *configured(changing, "import sys\ndef on_reload(server):\n    sys.exit(7)")
    )
    granite.signal(signal.SIGHUP)
    assert granite.wait() == 7
    assert granite.members() == []


def test_the_class_granite(changing):
    (changing.folder / "program.py").write_text(
        "from granite import Granite\n"
        "server = Granite('changing:app', port=0)\n"
        "@server.on_reload\n"
        "def first(): print('first', flush=True)\n"
        "@server.on_reload\n"
        "def second(): print('second', flush=True)\n"
        "server.serve()\n"
    )
    granite = GraniteProcess(cwd=changing.folder, launcher=("program.py",))
    try:
        assert told(granite)[0] == "one"
        changing.write("two, which is longer")
        hang_up(granite)
        granite.wait_for(r"reloading.*\nfirst\nsecond\n")
        assert granite.stop() == 0
    finally:
        granite.destroy()
