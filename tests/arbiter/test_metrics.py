"""The metrics of real servers, and the commands that show them."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.arbiter.asking import until
from tests.granite_process import PATIENCE, ROOT, GraniteProcess
from tests.unit.metrics.views import may_be_urgent

APPS = Path(__file__).parent
METRICS = ("--metrics", "--metrics-port", "0", "--metrics-scrape-interval", "100ms")


class Measured:
    """A server with metrics."""

    def __init__(self, granite: GraniteProcess) -> None:
        self.granite = granite
        self.address = granite.wait_for(r"metrics on (http://\S+:\d+)/metrics").group(1)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.address + path, timeout=PATIENCE, trust_env=False)

    def stats(self) -> dict:
        return self.get("/stats").json()

    def value(self, name: str, **labels: str) -> float:
        """The sum over the series of that name that have these labels."""
        text = self.get("/metrics").text
        found = [
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name in (f"granite_{name}", f"granite_{name}_total")
            and labels.items() <= sample.labels.items()
        ]
        assert found, name
        return sum(found)

    def command(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return command(name, "--address", self.address, *arguments)


def command(*arguments: str, cwd: Path | None = None, **variables: str):
    environ = {k: v for k, v in os.environ.items() if not k.startswith("GRANITE_")}
    return subprocess.run(
        [sys.executable, "-m", "granite", *arguments],
        cwd=cwd,
        env={**environ, "PYTHONPATH": str(ROOT), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.fixture
def measure(run_granite):
    def start(target: str = "apps:plain", *arguments: str, **options) -> Measured:
        options = {"cwd": APPS, **options}
        return Measured(run_granite(target, *METRICS, *arguments, **options))

    return start


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
    while server.stats()["pid"] == former:
        assert server.get("/readyz").status_code == 200
        assert time.monotonic() < deadline
    latter = server.stats()["pid"]
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


@contextlib.contextmanager
def load(granite: GraniteProcess) -> Iterator[None]:
    """Requests on several connections, as many as the server answers."""
    code = (
        "import socket, sys\n"
        "s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
        "request = b'GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' * 50\n"
        "while True:\n"
        "    s.sendall(request)\n"
        "    s.recv(65536)\n"
    )
    arguments = [sys.executable, "-c", code, str(granite.port)]
    clients = [subprocess.Popen(arguments, stderr=subprocess.DEVNULL) for _ in range(4)]
    try:
        yield
    finally:
        for client in clients:
            client.kill()
        for client in clients:
            client.wait()


@pytest.mark.no_sanitizer
def test_answers_come_while_every_worker_is_busy(measure):
    """A half of them within 5 ms; the slowest depend on what else this machine does."""
    server = measure("apps:plain", "--workers", str(os.cpu_count()))
    with load(server.granite):
        until(lambda: server.value("requests_handled") > 10_000)
        times = []
        with httpx.Client(base_url=server.address, trust_env=False) as client:
            for _ in range(101):
                started = time.perf_counter()
                assert client.get("/healthz").status_code == 200
                times.append(time.perf_counter() - started)
                time.sleep(0.005)
        assert sorted(times)[50] < 0.005, sorted(times)
        assert server.get("/readyz").status_code == 200


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


def test_stats(measure):
    server = measure("apps:plain", "--workers", "2")
    for _ in range(3):
        httpx.get(server.granite.url())
    until(lambda: server.value("requests_handled") == 3)
    done = server.command("stats")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"granite \S+, pid \d+, up \d+s, ready", lines[0])
    assert lines[1] == "workers started: 2, replaced: none"
    assert [line.split()[0] for line in lines[3:]] == ["worker", "1", "2", "all"]
    assert lines[-1].split()[3] == "3"
    found = json.loads(server.command("stats", "--json").stdout)
    assert found["pid"] == server.granite.process.pid
    assert found["total"]["requests_handled"] == 3
    assert {worker["state"] for worker in found["workers"]} == {"ready"}


def test_top_once(measure):
    server = measure("apps:plain")
    with load(server.granite):
        until(lambda: server.value("requests_handled") > 0)
        done = server.command("top", "--once", "--interval", "0.5")
    assert (done.returncode, done.stderr) == (0, "")
    head, titles, worker, total = (line.strip() for line in done.stdout.splitlines())
    assert head.startswith("granite ")
    assert titles.split()[4] == "req/s"
    cells = worker.split()
    assert (cells[0], cells[2]) == ("1", "ready")
    assert float(cells[4].replace(",", "")) > 0
    assert all(re.fullmatch(r"[\d.]+[um]?s", cell) for cell in cells[5:7])
    assert total.split()[0] == "all"
    assert total.split()[1] == cells[4]


class Terminal:
    """`granite top` on a terminal of its own."""

    _START = (
        "import fcntl, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
        "from granite.cli import main; sys.exit(main())"
    )

    def __init__(self, *arguments: str) -> None:
        self.fd, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", self._START, "top", *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.shown = ""

    def wait_for(self, pattern: str, since: int = 0) -> None:
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, self.shown[since:]):
            assert time.monotonic() < deadline, self.shown
            if select.select([self.fd], [], [], 0.1)[0]:
                self.shown += os.read(self.fd, 65536).decode(errors="replace")

    def press(self, keys: bytes) -> None:
        os.write(self.fd, keys)

    def wait(self) -> int:
        """Return its exit status."""
        deadline = time.monotonic() + PATIENCE
        with contextlib.suppress(OSError):  # it has closed its side
            while time.monotonic() < deadline:
                if select.select([self.fd], [], [], 0.1)[0]:
                    self.shown += os.read(self.fd, 65536).decode(errors="replace")
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.fd)


@pytest.fixture
def open_top() -> Iterator[Callable[..., Terminal]]:
    with contextlib.ExitStack() as stack:

        def start(*arguments: str) -> Terminal:
            terminal = Terminal(*arguments)
            stack.callback(terminal.close)
            return terminal

        yield start


@pytest.mark.parametrize("key", [b"q", b"Q", b"xyq", b"\x03"])
def test_top_on_a_terminal(measure, open_top, key):
    server = measure("apps:plain")
    with load(server.granite):
        terminal = open_top("--address", server.address, "--interval", "0.1")
        terminal.wait_for(r"q quits")
        terminal.wait_for(r"ready\D+\d+s\s+[\d,]{3,}")
        terminal.press(key)
        assert terminal.wait() == 0
    assert "Traceback" not in terminal.shown


def test_top_goes_on_when_the_server_is_away(measure, open_top):
    server = measure("apps:plain")
    terminal = open_top("--address", server.address, "--interval", "100ms")
    terminal.wait_for("q quits")
    assert server.granite.stop() == 0
    terminal.wait_for("no metrics at http")
    terminal.press(b"q")
    assert terminal.wait() == 0
    assert "Traceback" not in terminal.shown


@pytest.mark.parametrize("name", ["stats", "top"])
def test_the_commands_without_a_server(name, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    done = command(name, cwd=tmp_path, GRANITE_METRICS_PORT=str(port), GRANITE_METRICS="yes")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"granite: no metrics at http://127.0.0.1:{port}: connection refused; "
        "does it run? --address names another place\n"
    )
    done = command(name, cwd=tmp_path, GRANITE_METRICS_PORT=str(port))
    assert done.returncode == 1
    assert "metrics are off in the settings" in done.stderr
    assert done.stderr.count("\n") == 1
    done = command(name, "--address", "nowhere", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_top_without_rich(tmp_path):
    (tmp_path / "rich.py").write_text("raise ImportError('hidden')\n")
    code = "import sys; sys.path.insert(0, '.'); from granite.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "top"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "granite: top: needs the package rich, which is not installed; pip install 'granite[top]'\n"
    )


@pytest.mark.parametrize("interval", ["0", "x", "61", "nan"])
def test_top_with_a_wrong_interval(interval):
    done = command("top", "--interval", interval)
    assert done.returncode == 2
    assert done.stderr.startswith("granite: top: --interval: expected seconds from 0.1 to 60")
