"""SIGTTIN, SIGTTOU and SIGWINCH: how many workers there are."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

from tests.arbiter.asking import facts, until
from tests.arbiter.changing import hang_up, told, workers

APPS = Path(__file__).parent


def test_more_and_fewer(run_granite):
    granite = run_granite("process_apps:told", "--workers", "2", cwd=APPS)
    old = workers(granite)
    granite.signal(signal.SIGTTIN)
    granite.wait_for("info: SIGTTIN: from 2 to 3 workers")
    granite.wait_for(r"worker 3 \(pid \d+\) is ready")
    assert len(workers(granite)) == 3
    assert old < workers(granite)
    granite.signal(signal.SIGTTOU)
    granite.wait_for("info: SIGTTOU: from 3 to 2 workers")
    until(lambda: workers(granite) == old)
    granite.signal(signal.SIGTTOU)
    until(lambda: len(workers(granite)) == 1)
    granite.signal(signal.SIGTTOU)
    granite.wait_for("info: SIGTTOU: one worker stays")
    granite.signal(signal.SIGTTIN)
    granite.wait_for("SIGTTIN: from 1 to 2 workers")
    until(lambda: len(workers(granite)) == 2)
    assert granite.output.count("from 1 to") == 1
    assert facts(granite)
    assert granite.stop() == 0
    assert granite.members() == []


def test_a_worker_that_goes_finishes_its_requests(run_granite):
    granite = run_granite("apps:upload", "--workers", "2", cwd=APPS)
    clients = []
    try:
        for _ in range(8):
            client = socket.create_connection(("127.0.0.1", granite.port))
            client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
            clients.append(client)
        until(lambda: granite.output.count("request begun") == 8)
        granite.signal(signal.SIGTTOU)
        granite.wait_for("from 2 to 1 workers")
        for client in clients:
            client.sendall(b"ok")
            assert b"uploaded" in client.recv(1000)
    finally:
        for client in clients:
            client.close()
    until(lambda: len(workers(granite)) == 1)
    assert granite.stop() == 0


def test_all_workers_may_go_and_come_back(run_granite):
    """As a test's process has no terminal: with one, SIGWINCH says that its window has changed."""
    granite = run_granite("process_apps:told", "--workers", "2", cwd=APPS)
    for comeback in (signal.SIGHUP, signal.SIGTTIN):
        granite.signal(signal.SIGWINCH)
        until(lambda: not workers(granite))
        with socket.create_connection(("127.0.0.1", granite.port)) as client:
            client.sendall(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")  # waits in the queue
            granite.signal(comeback)
            assert client.recv(100).startswith(b"HTTP/1.1 200")
    assert len(workers(granite)) == 1
    granite.wait_for("as the settings say: from 0 to 2 workers")
    granite.signal(signal.SIGWINCH)
    until(lambda: not workers(granite))
    assert granite.stop() == 0


def test_the_hook_is_told(run_granite, tmp_path):
    hooks = tmp_path / "hooks.py"
    hooks.write_text(
        "def nworkers_changed(server, new, old):\n"
        "    print('changed', old, new, server.num_workers, flush=True)\n"
        "    if new == 3:\n"
        "        raise SystemExit(9)\n"
    )
    granite = run_granite("process_apps:told", "--config", str(hooks), cwd=APPS)
    granite.wait_for("changed None 1 1")
    granite.signal(signal.SIGTTIN)
    granite.wait_for("changed 1 2 2")
    granite.signal(signal.SIGTTIN)
    assert granite.wait() == 9
    assert granite.members() == []


def test_a_reload_brings_the_number_of_the_settings_back(run_granite):
    granite = run_granite("process_apps:told", "--workers", "2", cwd=APPS)
    granite.signal(signal.SIGTTOU)
    until(lambda: len(workers(granite)) == 1)
    hang_up(granite)
    until(lambda: len(workers(granite)) == 2)
    assert granite.stop() == 0


def test_all_workers_may_go_while_they_start(changing):
    changing.gate.touch()
    granite = changing.start(ready=False)
    granite.wait_for("at the gate")
    granite.signal(signal.SIGWINCH)
    granite.wait_for("from 1 to 0 workers")
    changing.gate.unlink()
    granite.signal(signal.SIGTTIN)
    granite.wait_for("info: 1 worker is ready")
    assert told(granite)[0] == "one"
    assert granite.stop() == 0
    assert "0 workers are ready" not in granite.output
