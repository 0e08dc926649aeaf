"""/healthz and /readyz while the server changes: whoever asks is answered, and told the truth."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.arbiter.asking import until
from tests.arbiter.changing import Changing, hang_up, told, workers
from tests.arbiter.loads import IDLE, Clients
from tests.arbiter.test_drain import HEAD, connect, read_response
from tests.arbiter.upgrading import TAKEN, Upgrading, alive
from tests.granite_process import GraniteProcess
from tests.patience import PATIENCE

APPS = Path(__file__).parent
METRICS = ("--metrics", "--metrics-port", "0")


def metrics_port(granite: GraniteProcess) -> int:
    return int(granite.wait_for(r"metrics on http://\S+:(\d+)/metrics").group(1))


class Probe:
    """A connection to the metrics' port, which is opened anew when the server has ended it."""

    def __init__(self, granite: GraniteProcess) -> None:
        self._client = http.client.HTTPConnection(
            "127.0.0.1", metrics_port(granite), timeout=PATIENCE
        )
        self._asked = time.monotonic()
        self.kept = False  # by the last answer

    def ask(self, path: str) -> tuple[int, str]:
        since, self._asked = self._asked, time.monotonic()
        if not self.kept:
            since = self._asked
        sent = 0.0
        try:
            self._client.request("GET", path)
            sent = time.monotonic()
            response = self._client.getresponse()
        except ConnectionError:
            assert (sent or time.monotonic()) - since > IDLE
            self._client.close()  # the server might have ended it; whoever asks late asks again
            self._client.request("GET", path)
            response = self._client.getresponse()
        answer = response.status, response.read().decode()
        self.kept = not response.will_close
        return answer

    def leave(self) -> None:
        """Ask on a new connection next time."""
        self._client.close()
        self.kept = False


class Probing(Clients):
    """Threads that ask for health and readiness, on a connection that is kept and on new ones.
    Used as a context; `answers` are those that were not the best ones.
    """

    def __init__(self, granite: GraniteProcess) -> None:
        super().__init__()
        self._granite = granite
        self._counts = [0, 0]
        self._threads = [
            threading.Thread(target=self._run, args=(index, kept))
            for index, kept in enumerate((True, False))
        ]
        self.answers: list[object] = []

    def go_on(self) -> None:
        """Return when both have been answered some more times."""
        wanted = [count + 4 for count in self._counts]
        until(lambda: self.answers or all(map(int.__ge__, self._counts, wanted)))

    def _run(self, index: int, kept: bool) -> None:
        probe = Probe(self._granite)
        try:
            while not self._done.is_set():
                for path, best in (("/healthz", (200, "ok\n")), ("/readyz", (200, "ready\n"))):
                    answer = probe.ask(path)
                    if answer != best:
                        self.answers.append((path, answer))
                    self._counts[index] += 1
                    if not kept:
                        probe.leave()
        except BaseException as exc:
            self.answers.append(exc)
        finally:
            probe.leave()


def reload(changing: Changing, granite: GraniteProcess) -> None:
    changing.write("two")
    hang_up(granite)
    assert told(granite)[0] == "two"


def reload_in_vain(changing: Changing, granite: GraniteProcess) -> None:
    changing.write("", "not Python")
    hang_up(granite, "error: the reload failed")


def scale(changing: Changing, granite: GraniteProcess) -> None:
    granite.signal(signal.SIGTTIN)
    granite.wait_for(r"worker 2 \(pid \d+\) is ready")
    granite.signal(signal.SIGTTOU)
    until(lambda: len(workers(granite)) == 1)


def reopen_logs(changing: Changing, granite: GraniteProcess) -> None:
    granite.signal(signal.SIGUSR1)
    granite.wait_for("logs reopened")


def kill_one(changing: Changing, granite: GraniteProcess) -> None:
    pid = told(granite)[1]
    os.kill(pid, signal.SIGKILL)
    until(lambda: len(workers(granite) - {pid}) == 2)


def recycle(changing: Changing, granite: GraniteProcess) -> None:
    until(lambda: told(granite) and granite.output.count("is replaced: ") >= 3)


def upgrade_in_vain(changing: Changing, granite: GraniteProcess) -> None:
    changing.write("", "not Python")
    Upgrading(granite).fail()


@pytest.mark.parametrize(
    ("change", "arguments"),
    [
        (reload, ()),
        (reload, ("--preload",)),
        (reload_in_vain, ()),
        (scale, ()),
        (reopen_logs, ()),
        (kill_one, ("--workers", "2", "--respawn-interval", "0")),
        (recycle, ("--max-requests", "5")),
        (upgrade_in_vain, ()),
    ],
)
def test_nobody_notices(
    changing: Changing,
    change: Callable[[Changing, GraniteProcess], object],
    arguments: tuple[str, ...],
):
    granite = changing.start(*METRICS, *arguments)
    with Probing(granite) as probing:
        probing.go_on()
        change(changing, granite)
        probing.go_on()
    assert probing.answers == []
    assert granite.stop() == 0


def test_nobody_notices_upgrades(changing):
    server = Upgrading(changing.start(*METRICS))
    with Probing(server.granite) as probing:
        for _ in range(3):
            probing.go_on()
            server.upgrade()
        probing.go_on()
    assert probing.answers == []
    server.stop()


def test_a_server_that_was_replaced_sends_who_asks_to_its_successor(run_granite):
    server = Upgrading(run_granite("apps:upload", *METRICS, cwd=APPS))
    former = server.pid
    probe = Probe(server.granite)
    assert probe.ask("/readyz") == (200, "ready\n")
    with connect(server.granite) as client:
        client.sendall(HEAD + b"12")
        server.wait_for("request begun")
        server.pid = server.ask()
        server.wait_for(TAKEN)
        server.wait_for(rf"\[{former}\] info: pid {server.pid} has taken over")
        answers = []
        for kept in (True, False):  # a moment after that line its connection ends with an answer
            while probe.kept is kept:
                answers.append(probe.ask("/readyz"))
        assert set(answers) == {(200, "ready\n")}
        assert probe.kept, "the successor's"
        assert alive(former)
        client.sendall(b"345")
        assert read_response(client)[1] == b"uploaded"
    until(lambda: not alive(former))
    assert probe.ask("/healthz") == (200, "ok\n")
    probe.leave()
    server.stop()


def test_a_server_that_stops_says_so_until_its_end(run_granite):
    granite = run_granite("apps:upload", *METRICS, cwd=APPS)
    probe, last = Probe(granite), Probe(granite)
    assert probe.ask("/readyz") == last.ask("/readyz") == (200, "ready\n")
    with connect(granite) as client:
        client.sendall(HEAD + b"12")
        granite.wait_for("request begun")
        granite.signal(signal.SIGTERM)
        granite.wait_for("stopping: ")
        for _ in range(3):
            assert probe.ask("/readyz") == (503, "not ready: the server is stopping\n")
            assert probe.ask("/healthz") == (200, "ok\n")
        client.sendall(b"345")
        assert read_response(client)[1] == b"uploaded"
    probe.leave()
    last.leave()
    assert granite.wait() == 0
