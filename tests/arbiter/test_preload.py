"""Workers that are forked from a template which has loaded the application."""

from __future__ import annotations

import ast
import os
import pwd
import re
import signal
import ssl
import time
from pathlib import Path

import httpx
import pytest

from tests.arbiter.asking import title, until
from tests.arbiter.changing import hang_up, workers
from tests.arbiter.preloading import (
    MODULE,
    answer,
    parent,
    served_by,
    sockets,
    template,
    text,
)
from tests.arbiter.test_process import as_root
from tests.granite_process import GraniteProcess, with_constant

APPS = Path(__file__).parent
# Who hangs has the time to say where, however busy the machine is.
PATIENT = with_constant("watchdog._REPORT", 4.0)


def test_the_application_is_imported_once(preload):
    granite = preload("--workers", "3")
    arbiter = granite.process.pid
    pids = served_by(granite, 2, "at_import")
    assert granite.output.count("imported by") == 1
    assert {int(said[1]) for said in pids.values()} == {template(granite)}
    assert template(granite) not in pids
    family = workers(granite)
    assert len(family) == 4
    assert {template(granite), *pids} <= family
    assert {parent(pid) for pid in family} == {arbiter}
    assert title(template(granite)) == "granite: template [changing]"
    assert granite.stop() == 0
    granite.wait_gone()


def test_the_template_holds_no_socket_of_others(preload):
    granite = preload("--workers", "2")
    until(lambda: len(sockets(template(granite))) == 1)
    worker = min(served_by(granite, 2))
    fds = Path(f"/proc/{template(granite)}/fd")
    before = len(list(fds.iterdir()))
    os.kill(worker, signal.SIGKILL)
    granite.wait_for("is ready\n")
    until(lambda: len(list(fds.iterdir())) == before)
    assert len(sockets(template(granite))) == 1


def test_a_worker_that_dies_is_forked_anew(preload):
    granite = preload("--workers", "2")
    old = set(served_by(granite, 2))
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    until(lambda: granite.output.count("is ready") == 2)
    new = set(served_by(granite, 2))
    assert not old & new
    assert granite.output.count("imported by") == 1
    assert granite.stop() == 0


def test_each_worker_has_its_own_random_numbers(preload):
    granite = preload("--workers", "2", module=MODULE + "first = random.random()\n")
    assert len({said[1] for said in served_by(granite, 2, "first").values()}) == 1
    assert len({said[1] for said in served_by(granite, 2, "random.random()").values()}) == 2


LISTEN = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
"""
REMARKS = [
    ("import threading\nthreading.Thread(name='ticker', target=time.sleep, args=(600,), daemon=True"
     ").start()\n",
     r"starts threads \(ticker\), which no worker has"),
    (LISTEN + "db = socket.create_connection(('127.0.0.1', port))\n",
     r"opens connections \(127\.0\.0\.1:\d+.*\), which all workers share"),
    ("db = open('app.db', 'w+')\n", r"opens files to change them \(\S+/app\.db\)"),
    ("import asyncio\nloop = asyncio.new_event_loop()\n", "makes an event loop, which no worker"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "remark"), REMARKS)
def test_what_cannot_be_shared_is_named(preload, code, remark):
    granite = preload("--workers", "2", module=MODULE + code)
    granite.wait_for(f"warning: preload: the application's import {remark}")
    assert granite.output.count("warning: preload:") == 1
    assert text(granite) == "one"
    assert granite.stop() == 0


def test_what_can_be_shared_is_not_remarked_on(preload):
    code = "log = open('app.log', 'a')\nsource = open(__file__)\n" + LISTEN
    granite = preload(module=MODULE + code)
    assert "warning" not in granite.output


@pytest.mark.parametrize(
    ("module", "status", "reason"),
    [
        ("not_Python", 3, "granite: cannot load 'changing:app': the application raised NameError"),
        ("import os\nos._exit(5)", 1, "granite: the template exited with status 5 before it had"),
        ("import os\nos.kill(os.getpid(), 9)", 1, "granite: the template was killed by SIGKILL"),
        ("from tests.arbiter.apps import failing as app", 3, "the database is not there"),
        ("from tests.arbiter.apps import factory as app", 3, "the application, set factory"),
    ],
)
def test_what_cannot_start(preload, module, status, reason):
    granite = preload("--workers", "3", module=module, ready=False)
    assert granite.wait() == status
    assert granite.output.count(reason) == 1
    granite.wait_gone()


def test_a_reload_loads_the_new_code_once(preload):
    granite = preload("--workers", "2")
    old, first = workers(granite), template(granite)
    preload.write("two")
    hang_up(granite)
    until(lambda: not workers(granite) & old)
    assert {said[0] for said in served_by(granite, 2).values()} == {"two"}
    assert granite.output.count("imported by") == 2
    assert template(granite) != first
    os.kill(min(served_by(granite, 2)), signal.SIGKILL)
    granite.wait_for("is ready\n")
    assert {said[0] for said in served_by(granite, 2).values()} == {"two"}
    assert granite.output.count("imported by") == 2
    assert granite.stop() == 0


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("not Python", "cannot load 'changing:app'"),
        ("import os\nos._exit(5)", "the template exited with status 5"),
        ("from tests.arbiter.apps import failing as app", "the database is not there"),
    ],
)
def test_a_reload_that_fails_leaves_everything_as_it_was(preload, module, reason):
    granite = preload("--workers", "2")
    old = workers(granite)
    preload.write("", module)
    granite.signal(signal.SIGHUP)
    granite.wait_for(f"error: the reload failed, the workers that serve go on: .*{reason}")
    until(lambda: workers(granite) == old)
    assert granite.output.count(reason) == 1
    # Who is forked now comes from what was loaded before.
    os.kill(min(served_by(granite, 2)), signal.SIGKILL)
    granite.wait_for("is ready\n")
    assert {said[0] for said in served_by(granite, 2).values()} == {"one"}
    assert granite.output.count("imported by") == 1
    preload.write("three")
    hang_up(granite)
    until(lambda: not workers(granite) & old)
    assert text(granite) == "three"
    assert granite.stop() == 0


def test_settings_of_a_reload_that_failed_are_not_those_of_the_next_workers(preload):
    settings = preload.folder / "granite.toml"
    settings.write_text("worker_timeout = 0\n")
    granite = preload("--config", "granite.toml")
    settings.write_text("worker_timeout = 0.5\n")
    preload.write("", "not_Python")
    granite.signal(signal.SIGHUP)
    granite.wait_for("the reload failed")
    os.kill(min(served_by(granite, 1)), signal.SIGKILL)
    granite.wait_for("is ready\n")
    new = served_by(granite, 1)
    time.sleep(1.5)  # one that is expected to beat, and does not, would be gone
    assert set(served_by(granite, 1)) == set(new)
    assert "has not answered" not in granite.output
    assert granite.stop() == 0


def test_a_worker_that_dies_during_a_reload_is_forked_from_what_is_loaded(preload):
    granite = preload("--workers", "2")
    (preload.folder / "gate").touch()
    preload.write("two")
    granite.signal(signal.SIGHUP)
    until(lambda: granite.output.count("imported by") == 2)
    second = [pid for pid in served_by(granite, 2) if title(pid).startswith("granite: worker 2")]
    os.kill(second[0], signal.SIGKILL)
    granite.wait_for("is ready\n")
    assert {said[0] for said in served_by(granite, 2).values()} == {"one"}
    (preload.folder / "gate").unlink()
    granite.wait_for("info: reloaded")
    until(lambda: {said[0] for said in served_by(granite, 2).values()} == {"two"})
    assert granite.stop() == 0


def test_a_second_reload_gives_up_the_first_one_that_hangs(preload):
    granite = preload("--workers", "2", launcher=with_constant("slots._SLOW", 1.0))
    (preload.folder / "gate").touch()
    late = granite.output.count("is not ready yet")  # at the start, on a busy machine
    granite.signal(signal.SIGHUP)
    until(lambda: granite.output.count("imported by") == 2)
    stuck = template(granite)
    until(lambda: granite.output.count("is not ready yet") > late)
    preload.write("two", MODULE.replace("gate", "other gate"))
    hang_up(granite)
    until(lambda: stuck not in workers(granite))
    until(lambda: {said[0] for said in served_by(granite, 2).values()} == {"two"})
    assert granite.stop() == 0


@pytest.mark.slow
def test_an_import_that_takes_too_long(preload):
    (preload.folder / "gate").touch()
    arguments = ("--workers", "2", "--worker-start-timeout", "4")
    granite = preload(*arguments, launcher=PATIENT, ready=False)
    assert granite.wait() == 1
    assert granite.output.count("granite: worker 1 was not ready within 4 s") == 1
    assert granite.output.count("changing.py") == 1  # where it hangs
    granite.wait_gone()


@pytest.mark.slow
def test_a_reload_whose_import_takes_too_long(preload):
    granite = preload("--workers", "2", "--worker-start-timeout", "4", launcher=PATIENT)
    old = workers(granite)
    (preload.folder / "gate").touch()
    granite.signal(signal.SIGHUP)
    granite.wait_for(
        "the reload failed.*: worker 1 was not ready within 4 s .*\n(?:.*\n)*.*changing.py"
    )
    until(lambda: workers(granite) == old)
    assert granite.stop() == 0


@pytest.mark.no_sanitizer  # which reports the fault itself
def test_a_fault_during_the_import(preload):
    module = "import faulthandler\nfaulthandler._sigsegv()"
    granite = preload("--workers", "2", module=module, ready=False)
    granite.may_fault = True
    assert granite.wait() == 1
    assert (
        granite.output.count("granite: the template was killed by SIGSEGV before it had load") == 1
    )
    assert granite.output.count("changing.py") == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_nothing_is_left(preload, number):
    granite = preload("--workers", "2")
    served_by(granite, 2)
    granite.signal(number)
    granite.wait()
    granite.wait_gone()


def test_the_end_during_the_import(preload):
    (preload.folder / "gate").touch()
    granite = preload("--workers", "2", ready=False)
    template(granite)
    granite.signal(signal.SIGTERM)
    assert granite.wait() == 0
    granite.wait_gone()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_whole_group(preload, number):
    granite = preload("--workers", "2")
    served_by(granite, 2)
    os.killpg(granite.process.pid, number)
    if number == signal.SIGHUP:  # a terminal sends it so, and the arbiter's alone counts
        granite.wait_for("info: reloaded")
        granite.stop()
    assert granite.wait() == 0
    assert "error" not in granite.output
    assert "Traceback" not in granite.output


def test_functions_for_the_end_run_in_the_workers(preload):
    code = "import atexit\natexit.register(lambda: print('ended in', os.getpid(), flush=True))\n"
    granite = preload("--workers", "2", module=MODULE + code)
    pids = set(served_by(granite, 2))
    assert granite.stop() == 0
    assert {int(pid) for pid in re.findall(r"ended in (\d+)", granite.output)} == pids


def test_what_was_printed_is_printed_once(preload):
    granite = preload("--workers", "3", module=MODULE + "print('not flushed')\n")
    assert granite.stop() == 0
    assert granite.output.count("not flushed") == 1


def test_handlers_of_the_application_stay(preload):
    code = """
import signal
signal.signal(signal.SIGTTIN, lambda *_: None)
signal.signal(signal.SIGTERM, lambda *_: print("own handler", flush=True))
"""
    granite = preload(module=MODULE + code)
    found = answer(granite, "type(signal.getsignal(signal.SIGTTIN)).__name__")
    assert found == "function"
    assert granite.stop() == 0


def test_logs_are_opened_again(preload):
    log = preload.folder / "error.log"
    granite = preload("--log-file", str(log), "--log-level", "debug", ready=False)
    until(lambda: log.exists() and "listening on" in log.read_text())
    log.rename(preload.folder / "error.1")
    granite.signal(signal.SIGUSR1)
    until(lambda: log.exists() and "logs reopened" in log.read_text())
    (worker,) = workers(granite) - {template(granite)}
    os.kill(worker, signal.SIGKILL)
    until(lambda: "is ready" in log.read_text())
    (new,) = workers(granite) - {template(granite)}
    granite.stop()
    assert f"[{new}]" in log.read_text()


def test_files_of_variables_are_read_again_by_a_reload(preload):
    pytest.importorskip("dotenv")
    file = preload.folder / "variables"
    file.write_text("COLOR=red\n")
    granite = preload("--env-files", str(file))
    asked = "os.environ['COLOR']"
    assert answer(granite, asked) == "red"
    file.write_text("COLOR=blue\n")
    os.kill(min(served_by(granite, 1)), signal.SIGKILL)
    granite.wait_for("is ready\n")
    assert answer(granite, asked) == "red"
    hang_up(granite)
    until(lambda: answer(granite, asked) == "blue")


@as_root
def test_privileges_are_given_up_before_the_import(run_granite, tmp_path):
    from tests.server.tls import Authority

    authority = Authority(tmp_path)
    authority.key.chmod(0o600)
    nobody = pwd.getpwnam("nobody")
    files = ("--ssl-certificate", str(authority.chain), "--ssl-keyfile", str(authority.key))
    granite = run_granite(
        "process_apps:told", "--preload", "--user", "nobody", *files, cwd=APPS, ready=False
    )
    url = granite.wait_for(r"listening on (https://\S+)").group(1)
    context = ssl.create_default_context(cafile=str(authority.file))
    pids = set()
    for _ in range(2):
        with httpx.Client(verify=context) as client:
            facts = ast.literal_eval(client.get(url).text)
        assert facts["import"]["uids"] == facts["now"]["uids"] == [nobody.pw_uid, nobody.pw_uid]
        assert facts["import"]["pid"] != facts["now"]["pid"]
        pids.add(facts["now"]["pid"])
        os.kill(facts["now"]["pid"], signal.SIGKILL)
        granite.wait_for("is ready\n")
    assert len(pids) == 2
    assert granite.stop() == 0


def test_a_certificate_that_went_bad_fails_the_reload(preload):
    from tests.server.tls import Authority

    authority = Authority(preload.folder)
    files = ("--ssl-certificate", str(authority.chain), "--ssl-keyfile", str(authority.key))
    granite = preload(*files, ready=False)
    granite.wait_for("listening on https")
    old = workers(granite)
    authority.key.write_text("no key\n")
    granite.signal(signal.SIGHUP)
    granite.wait_for("the reload failed, the workers that serve go on: TLS: .*no private key")
    until(lambda: workers(granite) == old)
    assert granite.stop() == 0


HOOKS = """
import os
def say(what, *rest):
    print("hook", what, os.getpid(), *rest, flush=True)
def pre_fork(server, worker):
    say("pre_fork", worker.age)
def post_fork(server, worker):
    say("post_fork", worker.age, worker.pid == os.getpid())
def post_worker_init(worker):
    say("post_worker_init", worker.wsgi is not None)
def worker_exit(server, worker):
    say("worker_exit", worker.age)
def child_exit(server, worker):
    say("child_exit", worker.age, worker.pid in server.WORKERS)
def pre_request(worker, req):
    worker.log.info("request")
"""


def test_hooks(preload):
    (preload.folder / "hooks.py").write_text(HOOKS)
    granite = preload("--config", "hooks.py")
    arbiter = granite.process.pid
    (worker,) = served_by(granite, 1)
    assert granite.stop() == 0
    lines = re.findall(r"^hook (\S+) (\d+)(.*)$|^(imported) by", granite.output, re.MULTILINE)
    said = [(name or "imported", int(pid or 0), rest) for name, pid, rest, _ in lines]
    assert said == [
        ("pre_fork", arbiter, " 1"),
        ("imported", 0, ""),
        ("post_fork", worker, " 1 True"),
        ("post_worker_init", worker, " True"),
        ("worker_exit", worker, " 1"),
        ("child_exit", arbiter, " 1 False"),
    ]
    assert "info: request" in granite.output


@pytest.mark.slow
def test_scaling_and_recycling(preload):
    granite = preload("--max-requests", "20")
    granite.signal(signal.SIGTTIN)
    pids = set(served_by(granite, 2))
    while granite.output.count("is replaced") < 4:
        pids |= set(served_by(granite, 1))
    assert len(pids) > 3
    granite.signal(signal.SIGTTOU)
    until(lambda: len(workers(granite)) == 2)
    assert granite.output.count("imported by") == 1
    assert granite.stop() == 0


def test_a_loader_of_a_program(preload, tmp_path):
    (tmp_path / "program.py").write_text(
        "from granite import Granite\n"
        "from changing import app, at_import\n"
        "def load():\n"
        "    import os\n"
        "    print('loaded by', os.getpid(), flush=True)\n"
        "    return app\n"
        "if __name__ == '__main__':\n"
        "    server = Granite('program:app', '127.0.0.1', 0, preload=True, workers=2)\n"
        "    server.serve(target_loader=load, wrap_loader=False)\n"
        "    print('goes on', flush=True)\n"
    )
    preload.write("one")
    granite = GraniteProcess(cwd=preload.folder, launcher=(str(tmp_path / "program.py"),))
    try:
        pids = served_by(granite, 2)
        loader = int(granite.wait_for(r"loaded by (\d+)").group(1))
        assert granite.output.count("loaded by") == 1
        assert loader in workers(granite) - set(pids)
        assert granite.stop() == 0
        assert granite.output.count("goes on") == 1
        granite.wait_gone()
    finally:
        granite.destroy()


def test_children_of_workers_are_not_the_arbiters(preload):
    """The arbiter adopts orphans only while a worker is made."""
    granite = preload()
    code = "__import__('subprocess').Popen(['sleep','600']).pid"
    sleeper = int(answer(granite, code))
    try:
        (worker,) = workers(granite) - {template(granite)}
        os.kill(worker, signal.SIGKILL)
        granite.wait_for(r"worker 1 \(pid \d+\) is ready\n")
        assert parent(sleeper) != granite.process.pid
    finally:
        os.kill(sleeper, signal.SIGKILL)


def test_it_gives_way_to_reload(preload):
    pytest.importorskip("watchfiles")
    granite = preload("--reload")
    granite.wait_for("preload: has no effect together with reload; it is off")


def test_check_names_what_cannot_be_shared(preload):
    code = "import asyncio\nloop = asyncio.new_event_loop()\n"
    preload.write("one", MODULE + code)
    granite = GraniteProcess("check", "changing:app", "--preload", cwd=preload.folder)
    try:
        assert granite.wait() == 0
        assert "warning: preload: the application's import makes an event loop" in granite.output
        assert "ok: changing:app loads" in granite.output
    finally:
        granite.destroy()
