"""--reload: what is served after files were saved."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.arbiter.asking import one_line, until
from tests.arbiter.hot import MODULE, Hot, descriptors, visitors
from tests.arbiter.test_drain import HEAD, connect, read_response
from tests.granite_process import ROOT, GraniteProcess

pytest.importorskip("watchfiles")

BROWSER = "text/html,*/*;q=0.8"


@pytest.fixture
def hot(tmp_path: Path, run_granite) -> Hot:
    return Hot(tmp_path, run_granite)


def test_a_save_is_served(hot):
    granite = hot.start()
    assert hot.told() == "one"
    for text in ("two", "six", "ten"):  # of one length, and mostly within one second
        hot.save(text)
        hot.expect(text)
    assert granite.output.count("info: reloading: changing.py has changed") == 3
    assert granite.output.count("listening on") == 1
    assert granite.stop() == 0
    assert granite.output.count("shutdown ran") == 4


def test_other_ways_to_save(hot):
    """In place, after a copy was put aside, and from a version control system."""
    hot.start()
    module = hot.folder / "changing.py"
    module.write_text(MODULE.format(text="in-place"))
    hot.expect("in-place")
    module.rename(hot.folder / "changing.py~")
    module.write_text(MODULE.format(text="aside"))
    hot.expect("aside")
    module.unlink()
    hot.save("anew")
    hot.expect("anew")


def test_modules_that_come_and_go(hot):
    hot.start()
    package = hot.folder / "package"
    package.mkdir()
    (package / "__init__.py").write_text("text = 'package'")
    hot.save("{package.text}", "import package\n" + MODULE)
    hot.expect("package")
    hot.put("package/__init__.py", "from package.sub.deep import text")
    (package / "sub").mkdir()
    (package / "sub" / "deep.py").write_text("text = 'deep'")
    hot.expect("deep")
    hot.put("package/sub/deep.py", "text = 'deeper'")
    hot.expect("deeper")
    package.rename(hot.folder / "gone")
    # The page of a former worker, about what was amiss before, may come once more.
    until(lambda: "No module named 'package'" in hot.failed().text)
    (hot.folder / "gone").rename(package)
    hot.expect("deeper")


def test_several_workers_are_all_replaced(hot):
    hot.start("--workers", "2")
    hot.save("two")
    hot.expect("two")
    until(lambda: {hot.told() for _ in range(20)} == {"two"})


def test_a_request_in_flight_is_finished_by_the_former_worker(hot):
    hot.save("", "from tests.arbiter.apps import upload as app")
    granite = hot.start()
    with connect(granite) as client:
        client.sendall(HEAD + b"12")
        granite.wait_for("request begun")
        hot.save("two")
        hot.expect("two")
        client.sendall(b"345")
        assert read_response(client)[1] == b"uploaded"
    assert granite.stop() == 0


def test_nobody_is_refused(hot):
    granite = hot.start("--workers", "2")
    with visitors(granite) as load:
        for text in ("two", "three"):
            hot.save(text)
            hot.expect(text)
        hot.save("", "not Python")
        hot.failed()
        hot.save("", "import os; os._exit(3)")
        granite.wait_for("exited with status 3 before it was ready; waiting for the next change")
        hot.save("four")
        hot.expect("four")
        granite.signal(signal.SIGHUP)
        granite.wait_for("reloading: SIGHUP")
        hot.expect("four")
    texts = {body.partition(b" ")[0] for status, body in load.answers if status == 200}
    assert texts <= {b"one", b"two", b"three", b"four"}
    assert granite.stop() == 0


# errors


SYNTAX = "def f(:\n    pass\n"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_syntax_error_is_shown_and_mended(hot, workers):
    granite = hot.start("--workers", workers)
    hot.save("", SYNTAX)
    text = hot.failed().text
    assert text.startswith("SyntaxError: invalid syntax")
    assert "changing.py:1\n    > 1 def f(:\n" in text
    page = hot.failed(accept=BROWSER)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<h1>SyntaxError: invalid syntax</h1>" in page.text
    hot.save("two")
    hot.expect("two")
    # A former worker may accept until the system lets it see the signal.
    until(lambda: {hot.ask().status_code for _ in range(10)} == {200})
    assert granite.stop() == 0
    assert granite.output.count("SyntaxError: invalid syntax") == 1
    assert granite.output.count("raised SyntaxError; waiting for the next change") == 1


def test_the_same_error_after_another_change_is_told_again(hot):
    granite = hot.start()
    for _ in range(2):
        before = granite.output.count("waiting for the next change")
        hot.save("", "1/0")
        until(lambda b=before: granite.output.count("waiting for the next change") == b + 1)
    assert granite.stop() == 0
    assert granite.output.count("waiting for the next change") == 2


def test_a_syntax_error_at_the_start(hot):
    hot.save("", SYNTAX)
    granite = hot.start()
    assert "SyntaxError" in hot.ask().text
    hot.save("one")
    hot.expect("one")
    assert granite.stop() == 0
    assert granite.output.count("SyntaxError: invalid syntax") == 1


WITHOUT = "async def app(scope):\n    pass\n"
RSGI = "class App:\n    async def __rsgi__(self, scope, protocol):\n        pass\n"
NO_DATABASE = (
    RSGI + "    def __rsgi_init__(self, loop):\n        raise OSError('none')\napp = App()\n"
)


@pytest.mark.parametrize(
    ("module", "shown"),
    [
        ("from tests.arbiter.apps import failing as app", "the database is not there"),
        ("import missing_library", "No module named 'missing_library'"),
        ("raise SystemExit('no')", "SystemExit: no"),
        ("application = 1", "has no attribute 'app'"),
        (WITHOUT, "expected an ASGI application"),
        (NO_DATABASE, "OSError: none"),
    ],
)
def test_other_errors(hot, module, shown):
    granite = hot.start()
    hot.save("", module)
    assert shown in hot.failed().text
    assert shown in hot.failed(accept=BROWSER).text.replace("&#x27;", "'")
    hot.save("two")
    hot.expect("two")
    assert granite.stop() == 0
    assert granite.output.count("waiting for the next change") == 1


def test_no_page_without_reload(hot, run_granite):
    hot.save("", SYNTAX)
    granite = run_granite("changing:app", cwd=hot.folder, ready=False)
    assert granite.wait() == 3
    assert "listening" not in granite.output


def test_a_worker_that_dies_in_its_start(hot):
    hot.save("", "import os; os._exit(5)")
    granite = hot.start(ready=False)
    assert granite.wait() == 1
    assert "exited with status 5 before it was ready" in granite.output
    granite = hot.start("--reload-ignore-worker-failure", ready=False)
    granite.wait_for("exited with status 5 before it was ready; waiting for the next change")
    hot.save("one")
    hot.expect("one")
    hot.save("", "import os; os._exit(6)")
    granite.wait_for("exited with status 6 before it was ready; waiting for the next change")
    hot.save("two")
    hot.expect("two")
    assert granite.stop() == 0


# many changes


def test_a_save_while_a_worker_boots(hot):
    """Another change must not wait for a worker that hangs in its import."""
    granite = hot.start()
    hot.gate.touch()
    for text in ("two", "three"):
        before = granite.output.count("at the gate")
        hot.save(text)
        until(lambda b=before: granite.output.count("at the gate") > b)
    hot.gate.unlink()
    hot.expect("three")
    hot.gate.touch()
    hot.save("", "import time; time.sleep(600)")
    assert hot.reloads(3) == 3
    hot.save(
        "four",
        MODULE.partition("if pathlib")[0] + "async def app" + MODULE.partition("async def app")[2],
    )
    hot.expect("four")
    assert granite.stop() == 0
    assert "did not end in time" not in granite.output


def test_a_startup_that_does_not_end(hot):
    granite = hot.start()
    hot.save("", "from tests.arbiter.apps import starting as app")
    granite.wait_for("startup begun")
    hot.save("two")
    hot.expect("two")
    assert granite.stop() == 0


def test_a_burst_ends_in_the_last_content(hot):
    granite = hot.start()
    with visitors(granite, 2):
        for number in range(60):
            hot.save(f"{number:03}")
            time.sleep(0.001 * (number * 7 % 40))
        hot.save("end")
        hot.expect("end")
    until(lambda: len(granite.members()) == 3)  # no former worker is left
    assert hot.told() == "end"
    time.sleep(0.3)
    assert hot.told() == "end"
    assert granite.stop() == 0


def test_nothing_is_left_behind(hot):
    granite = hot.start()
    hot.save("two")
    hot.expect("two")
    arbiter = granite.process.pid
    until(lambda: len(granite.members()) == 3)
    before = descriptors(arbiter)
    for number in range(5):
        hot.save(str(number))
        hot.expect(str(number))
        hot.save("", SYNTAX)
        hot.failed()
    until(lambda: len(granite.members()) == 3)
    until(lambda: descriptors(arbiter) <= before)
    assert granite.stop() == 0
    assert granite.members() == []


# a program that calls granite


PROGRAM = """
import changing
from granite import Granite
if __name__ == "__main__":
    Granite("changing:app", port=0, reload=True).serve()
"""


def test_what_the_program_itself_has_imported(hot, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    env = {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    hot.granite = GraniteProcess(cwd=tmp_path, launcher=("program.py",), env=env)
    try:
        assert hot.told() == "one"
        hot.save("two")
        hot.expect("two")
        assert hot.granite.stop() == 0
    finally:
        hot.granite.destroy()


# what is needed


def test_without_watchfiles(hot):
    code = (
        "import sys\nfrom importlib.machinery import PathFinder\n"
        "find = PathFinder.find_spec\n"
        "def find_others(name, *rest):\n"
        "    return None if name == 'watchfiles' else find(name, *rest)\n"
        "PathFinder.find_spec = find_others\n"
        "from granite.cli import main; sys.exit(main())"
    )
    granite = GraniteProcess(
        *("run", "changing:app", "--reload", "--port", "0"), cwd=hot.folder, launcher=("-c", code)
    )
    try:
        assert granite.wait() == 2
        assert one_line(granite) == (
            "granite: reload: watchfiles is not installed; install granite[reload]"
        )
    finally:
        granite.destroy()


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        (("--reload-paths", "a"), 1, "reload_paths: there is no file or directory 'a'"),
        (
            ("--reload-ignore-patterns", "("),
            2,
            "reload_ignore_patterns: expected a regular expression, got '(': missing ), "
            "unterminated subpattern at position 0",
        ),
    ],
)
def test_wrong_settings(hot, arguments, status, line):
    granite = hot.start(*arguments, ready=False)
    assert granite.wait() == status
    assert one_line(granite) == f"granite: {line}"


def test_the_arbiter_stays_light(hot):
    """What watches has threads, and what it needs is large: none of it is the arbiter's."""
    code = (
        "import os, sys, granite.arbiter.arbiter as arbiter\n"
        "from granite.settings.load import load\n"
        "from granite.arbiter.watch import require\n"
        "require(load({'reload': True}, {}).config)\n"
        "print([name for name in ('watchfiles', 'logging', 're', 'asyncio', 'threading')"
        " if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_check_knows_of_it(hot):
    arguments = ("check", "changing:app", "--reload")
    granite = GraniteProcess(*arguments, "--reload-paths", "missing", cwd=hot.folder)
    try:
        assert granite.wait() == 1
        assert "reload_paths: there is no file or directory 'missing'" in granite.output
    finally:
        granite.destroy()
    granite = GraniteProcess(*arguments, cwd=hot.folder)
    try:
        assert granite.wait() == 0, granite
    finally:
        granite.destroy()
