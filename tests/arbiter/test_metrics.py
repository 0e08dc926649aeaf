"""The metrics of real servers."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from pathlib import Path

import httpx
import pytest

from tests.arbiter.asking import until
from tests.arbiter.measuring import METRICS, Measured
from tests.patience import PATIENCE
from tests.unit.metrics.views import may_be_urgent

APPS = Path(__file__).parent


def test_what_workers_count_arrives(measure):
    server = measure("apps:plain", "--workers", "2")
    with httpx.Client() as client:
        for _ in range(20):
            client.get(server.granite.url("/pid"))
    with socket.create_connection(("127.0.0.1", server.granite.port)) as bad:
        bad.sendall(b"nonsense\r\n\r\n")
        assert b" 400 " in bad.recv(4096)
    until(lambda: server.value("requests_handled") == 20)
    until(lambda: server.value("rejections", reason="bad_request") == 1)
    assert server.value("responses", protocol="http1", **{"class": "2xx"}) == 20
    assert server.value("request_latency_seconds_count") >= 20
    assert server.value("queue_time_seconds_count") >= 20
    assert server.value("sent_bytes") > 20 * 50
    assert server.value("received_bytes") > 20 * 50
    assert server.value("workers", state="ready") == 2
    assert server.value("workers_spawns") == 2
    assert server.value("worker_rss_bytes", worker="2") > 5 * 2**20
    until(lambda: server.value("connections_handled") == 2)
    until(lambda: server.value("connections_active") == 0)
    until(lambda: server.value("loop_lag_seconds_count") > 5)


def test_counters_go_on_when_a_worker_is_replaced(measure):
    server = measure()
    with httpx.Client() as client:
        for _ in range(10):
            client.get(server.granite.url())
    until(lambda: server.value("requests_handled") == 10)
    pid = int(httpx.get(server.granite.url("/pid")).text)
    until(lambda: server.value("requests_handled") == 11)
    os.kill(pid, signal.SIGKILL)
    until(lambda: server.value("workers_respawns_for_err") == 1)
    until(lambda: server.value("workers", state="ready") == 1)
    assert httpx.get(server.granite.url()).text == "plain"
    until(lambda: server.value("requests_handled", worker="1") == 12)
    server.granite.signal(signal.SIGHUP)
    until(lambda: server.value("workers_respawns", cause="reload") == 1)
    server.granite.wait_for("info: reloaded")
    assert server.value("requests_handled", worker="1") == 12
    assert server.value("workers_spawns") == 3


def test_no_request_is_left_out_when_workers_are_replaced(measure):
    """A worker tells its last numbers when it has drained."""
    server = measure("apps:upload", "--metrics-scrape-interval", "60")
    for replaced in range(1, 4):
        for _ in range(5):
            httpx.get(server.granite.url())
        with socket.create_connection(("127.0.0.1", server.granite.port)) as client:
            client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
            until(lambda: server.granite.output.count("request begun") == 6 * replaced)  # noqa: B023
            server.granite.signal(signal.SIGHUP)
            until(lambda: server.granite.output.count("info: reloaded") == replaced)  # noqa: B023
            client.sendall(b"hello")
            assert b" 200 " in client.recv(4096)
        until(lambda: server.value("requests_handled") == 6 * replaced)  # noqa: B023
        assert server.value("responses", **{"class": "2xx"}) == 6 * replaced


def test_ready_when_all_workers_were_and_not_before(changing):
    changing.gate.touch()
    granite = changing.start(*METRICS, "--workers", "2", ready=False)
    server = Measured(granite)
    granite.wait_for("at the gate")
    answer = server.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "not ready: the server is starting\n")
    assert server.get("/healthz").status_code == 200
    assert server.value("ready") == 0
    changing.gate.unlink()
    granite.wait_for("listening on")
    assert server.get("/readyz").status_code == 200
    assert server.value("ready") == 1


def test_not_ready_while_no_worker_is(changing):
    server = Measured(changing.start(*METRICS))
    changing.gate.touch()
    worker = server.stats()["workers"][0]["pid"]
    os.kill(worker, signal.SIGKILL)
    server.granite.wait_for("at the gate")
    answer = server.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "not ready: no worker is ready\n")
    changing.gate.unlink()
    until(lambda: server.get("/readyz").status_code == 200)


def test_not_ready_at_once_when_a_stop_is_asked_for(measure):
    server = measure("apps:upload", "--graceful-timeout", "20")
    with socket.create_connection(("127.0.0.1", server.granite.port)) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
        server.granite.wait_for("request begun")
        until(lambda: server.value("requests_active") == 1)
        server.granite.signal(signal.SIGTERM)
        server.granite.wait_for("stopping")
        answer = server.get("/readyz")
        assert (answer.status_code, answer.text) == (503, "not ready: the server is stopping\n")
        assert server.get("/healthz").status_code == 200
        client.sendall(b"hello")
        assert b" 200 " in client.recv(4096)
    assert server.granite.wait() == 0


def test_not_ready_while_a_stop_is_delayed(measure):
    server = measure("apps:plain", "--drain-delay", "30")
    server.granite.signal(signal.SIGTERM)
    server.granite.wait_for("stopping in 30 s")
    assert server.get("/readyz").text == "not ready: the server is stopping\n"
    assert httpx.get(server.granite.url()).text == "plain"
    server.granite.signal(signal.SIGTERM)
    assert server.granite.wait() == 0


def test_not_ready_without_workers(measure):
    server = measure()
    server.granite.signal(signal.SIGWINCH)
    until(lambda: server.get("/readyz").status_code == 503)
    assert server.get("/readyz").text == "not ready: no worker is ready\n"
    assert server.get("/healthz").status_code == 200
    assert "granite_workers_spawns 1" in server.get("/metrics").text
    server.granite.signal(signal.SIGHUP)
    until(lambda: server.get("/readyz").status_code == 200)


def test_a_successor_takes_the_port_over(measure):
    """Nobody is refused meanwhile, and who asks is answered by a server that is ready."""
    server = measure()
    former = server.stats()["pid"]
    server.granite.signal(signal.SIGUSR2)
    deadline = time.monotonic() + PATIENCE
    while (latter := server.stats()["pid"]) == former:
        assert server.get("/readyz").status_code == 200
        assert time.monotonic() < deadline
    assert server.get("/readyz").status_code == 200
    assert server.granite.process.wait(PATIENCE) == 0
    os.kill(latter, signal.SIGTERM)
    server.granite.wait_gone()


def test_the_port_in_use_ends_the_start_in_one_line(run_granite):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        arguments = ("--metrics", "--metrics-port", port)
        granite = run_granite("apps:plain", *arguments, cwd=APPS, ready=False)
        assert granite.wait() == 1
    assert granite.output == (
        f"granite: cannot serve metrics on 127.0.0.1:{port}: address already in use; "
        "see metrics_address and metrics_port\n"
    )


def test_without_metrics_nothing_is_opened_nor_imported(run_granite, tmp_path):
    (tmp_path / "app.py").write_text(
        "import sys\nfrom tests.arbiter.apps import respond\n"
        "async def app(scope, receive, send):\n"
        "    assert scope['type'] == 'http'\n"
        "    await respond(send, ' '.join(m for m in sys.modules if 'metrics' in m) or 'none')\n"
    )
    granite = run_granite("app:app", cwd=tmp_path)
    # The settings have a module of that name.
    assert httpx.get(granite.url()).text == "granite.settings.metrics"
    assert "metrics on" not in granite.output


def test_the_worker_does_not_hold_the_arbiters_sockets(measure):
    server = measure()
    port = int(server.address.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"ok" in client.recv(4096)
        worker = server.stats()["workers"][0]["pid"]
        server.granite.signal(signal.SIGHUP)  # a worker is forked while there is a connection
        server.granite.wait_for("info: reloaded")
        worker = server.stats()["workers"][0]["pid"]
        os.kill(worker, signal.SIGSTOP)
        try:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            while client.recv(4096):
                pass
            granite = server.granite
            os.kill(granite.process.pid, signal.SIGKILL)
            with pytest.raises(OSError):  # noqa: PT012
                while True:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    time.sleep(0.01)
        finally:
            os.kill(worker, signal.SIGCONT)


def test_answers_come_while_no_worker_does_anything_else(measure):
    """Whoever asks is answered while all workers compute, and give nobody the interpreter."""
    server = measure("stuck_apps:app", "--workers", "2", "--worker-timeout", "0")
    with contextlib.ExitStack() as stack:
        clients: list[socket.socket] = []
        for count in (1, 2):  # the second one finds only the second worker
            client = socket.create_connection(("127.0.0.1", server.granite.port))
            clients.append(stack.enter_context(client))
            client.sendall(b"GET /c HTTP/1.1\r\nHost: x\r\n\r\n")
            until(lambda: server.granite.output.count("counting") == count)  # noqa: B023
        with httpx.Client(base_url=server.address, trust_env=False, timeout=PATIENCE) as probe:
            for path in ("/healthz", "/readyz", "/metrics", "/stats") * 10:
                assert probe.get(path).status_code == 200
        assert select.select(clients, [], [], 0)[0] == []


def test_the_arbiter_has_priority_and_nobody_else(measure):
    server = measure()
    (worker,) = server.stats()["workers"]
    arbiter = os.getpriority(os.PRIO_PROCESS, server.granite.process.pid)
    assert arbiter == (-20 if may_be_urgent() else os.getpriority(os.PRIO_PROCESS, 0))
    assert os.getpriority(os.PRIO_PROCESS, worker["pid"]) == os.getpriority(os.PRIO_PROCESS, 0)


def test_answers_come_while_workers_are_stopped(measure):
    server = measure()
    worker = server.stats()["workers"][0]["pid"]
    os.kill(worker, signal.SIGSTOP)
    try:
        assert server.get("/healthz").status_code == 200
        assert "granite_requests_handled" in server.get("/metrics").text
    finally:
        os.kill(worker, signal.SIGCONT)
