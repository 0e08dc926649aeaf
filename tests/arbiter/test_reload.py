"""SIGHUP: what is served while the workers are replaced by ones that load the application anew."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
from pathlib import Path

import pytest

from tests.arbiter.asking import until
from tests.arbiter.changing import MODULE, hang_up, told, workers
from tests.arbiter.loads import Load
from tests.arbiter.test_drain import HEAD, connect, read_response
from tests.arbiter.test_systemd import answer
from tests.patience import PATIENCE

APPS = Path(__file__).parent

STUCK = """
import time
async def app(scope, receive, send):
    assert scope["type"] == "http"
    print("begun", flush=True)
    time.sleep(600)
"""


def test_the_new_code_is_served(changing):
    granite = changing.start("--workers", "2")
    old = workers(granite)
    assert told(granite)[0] == "one"
    changing.write("two")
    hang_up(granite)
    until(lambda: not workers(granite) & old)
    assert {told(granite)[0] for _ in range(5)} == {"two"}
    assert len(workers(granite)) == 2
    assert granite.output.count("shutdown ran") == 2
    assert granite.output.count("listening on") == 1
    assert granite.output.count("info: ") == granite.output.count("\n") - 2
    assert granite.stop() == 0
    assert granite.output.count("shutdown ran") == 4


@pytest.mark.slow
def test_who_connects_after_it_is_served_by_the_new_code(changing):
    granite = changing.start("--workers", "2")
    for count in range(12):
        changing.write(str(count))
        hang_up(granite)
        assert [told(granite)[0] for _ in range(3)] == [str(count)] * 3
    assert granite.stop() == 0


@pytest.mark.slow
def test_a_former_worker_that_does_not_react_holds_nothing_up(changing):
    changing.write("old", STUCK.replace("time.sleep(600)", "time.sleep(30)"))
    granite = changing.start("--graceful-timeout", "1", "--workers-kill-timeout", "40")
    with socket.create_connection(("127.0.0.1", granite.port)) as client:
        client.sendall(HEAD)
        granite.wait_for("begun")
        old = workers(granite)
        changing.write("new")
        hang_up(granite)
        assert workers(granite) >= old, "nobody has waited for its end"
        assert told(granite)[0] == "new"
        for pid in old:
            os.kill(pid, signal.SIGKILL)
    assert granite.stop() == 0


BROKEN = [
    ("not Python", "cannot load 'changing:app'"),
    ("import os\nos._exit(5)", r"worker 1 \(pid \d+\) exited with status 5 before it took over"),
    ("raise SystemExit", "cannot load 'changing:app'"),
    ("from tests.arbiter.apps import failing as app", "the database is not there"),
]


@pytest.mark.parametrize(("module", "reason"), BROKEN)
def test_code_that_cannot_start_is_not_served(changing, module, reason):
    granite = changing.start("--workers", "2")
    old = workers(granite)
    changing.write("", module)
    granite.signal(signal.SIGHUP)
    granite.wait_for("error: the reload failed, the workers that serve go on: .*" + reason)
    assert told(granite)[0] == "one"
    assert workers(granite) == old
    assert granite.output.count("the reload failed") == 1
    assert len(re.findall(reason, granite.output)) == 1
    changing.write("three")
    hang_up(granite)
    until(lambda: not workers(granite) & old)
    assert told(granite)[0] == "three"
    assert granite.stop() == 0


def test_what_was_replaced_before_a_failure_stays(changing):
    granite = changing.start("--workers", "2")
    old = workers(granite)
    changing.write("two", "import os\nos.close(os.open('once', os.O_CREAT | os.O_EXCL))\n" + MODULE)
    granite.signal(signal.SIGHUP)
    granite.wait_for("the reload failed.*changing:app")
    until(lambda: len(workers(granite)) == 2)
    assert len(workers(granite) & old) == 1
    assert {told(granite)[0] for _ in range(30)} <= {"one", "two"}
    assert granite.stop() == 0


@pytest.mark.parametrize("clients", [{"coming": 4}, {"kept": 4}])
def test_no_request_is_lost(changing, clients):
    granite = changing.start("--workers", "2")
    with Load(granite.port, **clients) as load:
        for count in range(1, 6):
            changing.write(f"{count}" * count)
            hang_up(granite)
            load.wait_for(2)
    assert load.lost == []
    pattern = rb"(one|(\d)\2*) \d+"
    assert [body for _, body in load.answers if not re.fullmatch(pattern, body)] == []
    assert granite.stop() == 0


def test_a_request_in_flight_is_finished_by_the_former_worker(run_granite):
    granite = run_granite("apps:upload", cwd=APPS)
    with connect(granite) as client:
        client.sendall(HEAD + b"12")
        granite.wait_for("request begun")
        hang_up(granite)
        hang_up(granite)
        until(lambda: len(workers(granite)) == 2)  # the one in between had nothing to do
        client.sendall(b"345")
        assert read_response(client)[1] == b"uploaded"
    until(lambda: len(workers(granite)) == 1)
    assert granite.stop() == 0


def test_a_former_worker_that_does_not_end_is_killed(changing):
    # The last worker must not be killed at the end, however busy the machine is.
    arguments = ("--graceful-timeout", "0", "--workers-kill-timeout", "4")
    changing.write("", STUCK)
    granite = changing.start(*arguments)
    (old,) = workers(granite)
    with connect(granite) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        granite.wait_for("begun")
        changing.write("two")
        hang_up(granite)
        assert told(granite)[0] == "two"
        granite.wait_for(rf"worker 1 \(pid {old}\) did not end in time and is killed")
        until(lambda: old not in workers(granite))
    assert told(granite)[0] == "two"
    assert granite.stop() == 0
    assert granite.output.count("killed") == 1


def test_the_certificate_is_read_anew(changing):
    trustme = pytest.importorskip("trustme")
    pem = changing.folder / "server.pem"

    def issue() -> bytes:
        certificate = trustme.CA().issue_cert("127.0.0.1")
        certificate.private_key_and_cert_chain_pem.write_to_path(str(pem))
        return certificate.cert_chain_pems[0].bytes()

    def presented() -> bytes:
        return ssl.get_server_certificate(("127.0.0.1", port), timeout=PATIENCE).encode()

    first = issue()
    granite = changing.start("--ssl-certificate", str(pem), "--ssl-keyfile", str(pem))
    port = int(granite.wait_for(r"https://127.0.0.1:(\d+)").group(1))
    assert presented() == first
    second = issue()
    hang_up(granite)
    until(lambda: presented() == second)
    assert granite.stop() == 0


def test_a_socket_keeps_its_queue(changing):
    """Who connects while no worker accepts is answered by the new one."""
    granite = changing.start("--graceful-timeout", "5")
    (old,) = workers(granite)
    os.kill(old, signal.SIGSTOP)
    with socket.create_connection(("127.0.0.1", granite.port), timeout=PATIENCE) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        changing.write("two")
        hang_up(granite)
        assert answer(client).rpartition(b"\r\n")[2].startswith(b"two")
    os.kill(old, signal.SIGCONT)
    until(lambda: old not in workers(granite))
    assert granite.stop() == 0
