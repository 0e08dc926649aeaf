"""--reload: what is watched, settings that change, and the life of the process that watches."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from tests.arbiter.asking import until
from tests.arbiter.hot import MODULE, Hot, descriptors, visitors
from tests.patience import PATIENCE

pytest.importorskip("watchfiles")

VARIABLE = """
import os
from tests.arbiter.apps import respond
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await respond(send, os.environ.get("ANSWER", "none"))
"""


@pytest.fixture
def hot(tmp_path: Path, run_granite) -> Hot:
    return Hot(tmp_path, run_granite)


# what is watched


def test_what_is_ignored(hot):
    places = ("own", "node_modules", ".venv", "generated")
    for name in places:
        (hot.folder / name).mkdir()
    hot.start(
        *("--reload-ignore-dirs", "own"),
        *("--reload-ignore-paths", "generated"),
        *("--reload-ignore-patterns", r"_pb2\.py$"),
    )

    def change() -> None:
        for name in places:
            (hot.folder / name / "a.py").write_text("")
        for name in ("x_pb2.py", "page.html", "changing.py~", ".#changing.py", "notes.txt"):
            hot.put(name, "")
        (hot.folder / "own" / "deep").mkdir()

    hot.expect_nothing(change)


def test_what_is_included(hot):
    (hot.folder / "templates").mkdir()
    granite = hot.start("--reload-include", "*.html,templates/*.txt")
    for number, name in enumerate(("page.html", "templates/mail.txt", "new/page.html"), 1):
        (hot.folder / name).parent.mkdir(exist_ok=True)
        hot.put(name, "")
        # A directory that is new may be looked at while the file comes into it.
        assert hot.reloads(number) >= number, granite
    granite.wait_for("directories that are watched: 3")
    hot.save("settled")  # and so its second notice, if there is one, was taken
    hot.expect("settled")
    hot.expect_nothing(lambda: (hot.folder / "mail.txt").write_text(""))


def test_the_servers_own_files_are_none_of_the_applications(hot):
    """Else each reload, which is logged, would cause the next one."""
    log = hot.folder / "granite.log"
    hot.start(
        *("--reload-include", "*", "--log-file", "granite.log", "--pid-file", "granite.pid"),
        ready=False,
    )
    until(lambda: log.exists() and "listening on" in log.read_text())
    until(lambda: "directories that are watched: " in log.read_text())
    hot.save("two")
    until(lambda: "reloading: changing.py has changed" in log.read_text())
    time.sleep(1)
    assert log.read_text().count("reloading") == 1
    assert hot.granite.stop() == 0


def test_other_paths(hot, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "library.py").write_text("text = 'one'")
    (hot.folder / "data.json").write_text("{}")
    module = "from library import text\n" + MODULE
    hot.save("{text}", module)
    hot.start("--pythonpath", str(elsewhere), "--reload-paths", f"{elsewhere},data.json")
    hot.expect("one")
    hot.put(str(elsewhere / "library.py"), "text = 'two'")
    hot.expect("two")
    hot.put("data.json", "[]")
    assert hot.reloads(2) == 2
    hot.save("not watched")
    time.sleep(0.3)
    assert hot.reloads() == 2, hot.granite
    assert hot.granite.output.count("reloading: data.json has changed") == 1


@pytest.mark.parametrize("tick", ["50", "300"])
def test_polling(hot, tick):
    env = {"WATCHFILES_FORCE_POLLING": "1"}
    hot.start("--reload-tick", tick, env=env)
    hot.save("two")
    hot.expect("two")
    (hot.folder / "new").mkdir()
    (hot.folder / "new" / "a.py").write_text("")
    hot.granite.wait_for("new/a.py has changed")


# settings


def test_variables_of_a_file(hot):
    pytest.importorskip("dotenv")
    env = hot.folder / "settings" / "env"
    env.parent.mkdir()
    env.write_text("ANSWER=one")
    hot.save("", VARIABLE)
    granite = hot.start("--env-files", str(env))
    assert hot.told() == "one"
    hot.put("settings/env", "ANSWER=two")
    hot.expect("two")
    env.unlink()
    granite.wait_for("env_files: cannot read .*; waiting for the next change")
    hot.put("settings/env", "ANSWER=three")
    hot.expect("three")
    assert granite.stop() == 0


def test_the_config_file(hot):
    config = hot.folder / "granite.conf.py"
    config.write_text("raw_env = ['ANSWER=one']")
    hot.save("", VARIABLE)
    granite = hot.start()
    assert hot.told() == "one"
    hot.put(config.name, "raw_env = ['ANSWER=two']\nurl_path_prefix = '/api'")
    hot.expect("two")
    hot.put(config.name, "raw_env = ['ANSWER=three'\n")
    granite.wait_for(r"error: the settings stay as they were: granite.conf.py:1: SyntaxError: ")
    hot.expect("two")
    hot.put(config.name, "keep_alive_timeout = 'long'\n")
    granite.wait_for("error: the settings stay as they were: granite.conf.py:1: keep_alive_timeout")
    hot.expect("two")
    hot.put(config.name, "")
    hot.expect("none")
    assert granite.stop() == 0


def test_what_the_config_file_imports(hot):
    (hot.folder / "values.py").write_text("answer = 'one'")
    (hot.folder / "granite.conf.py").write_text(
        "import values\nraw_env = [f'ANSWER={values.answer}']\n"
    )
    hot.save("", "import os, values\n" + VARIABLE.replace("'none'", "''"))
    hot.start()
    assert hot.told() == "one"
    hot.put("values.py", "answer = 'two'")
    hot.expect("two")


def test_what_takes_a_restart_is_told(hot):
    config = hot.folder / "granite.toml"
    config.write_text("backlog = 64\n")
    granite = hot.start("--config", "granite.toml")
    hot.put(config.name, "backlog = 65\numask = '077'\nconnection_timeout = 3\n")
    line = "warning: changes that need a restart or SIGUSR2 have no effect yet: backlog, umask\n"
    granite.wait_for(line)
    hot.expect("one")
    hot.put(config.name, "backlog = 64\n")
    assert hot.reloads(2) == 2
    hot.expect("one")
    assert granite.stop() == 0
    assert granite.output.count(line) == 1


def test_what_is_watched_is_a_setting_too(hot):
    config = hot.folder / "granite.toml"
    config.write_text("")
    granite = hot.start("--config", "granite.toml")
    hot.put(config.name, "reload_include = ['*.html']\n")
    until(lambda: granite.output.count("the watcher of files has the pid") == 2)
    hot.put("page.html", "")
    granite.wait_for("reloading: .*page.html")
    hot.expect("one")
    assert "Traceback" not in granite.output
    assert granite.stop() == 0


def test_a_working_directory_of_its_own(hot, tmp_path_factory):
    """Relative paths of the command line are those of where it was typed."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    config = elsewhere / "granite.conf.py"
    config.write_text(f"working_dir = {str(hot.folder)!r}\nraw_env = ['ANSWER=one']\n")
    hot.save("", VARIABLE)
    granite = hot._run("changing:app", "--reload", "--log-level", "debug", cwd=elsewhere)
    hot.granite = granite
    granite.wait_for("directories that are watched: ")
    assert hot.told() == "one"
    hot.put(str(config), config.read_text().replace("one", "two"))
    hot.expect("two")
    hot.save("", VARIABLE.replace("none", "other"))
    assert hot.reloads(2) == 2
    assert granite.stop() == 0


# the process that watches


def test_a_watcher_that_dies_is_replaced(hot):
    granite = hot.start()
    first = hot.watcher
    os.kill(first, signal.SIGKILL)
    granite.wait_for(
        rf"warning: the watcher of files \(pid {first}\) was killed by SIGKILL; a new one .* now"
    )
    hot.save("two")  # perhaps before the new one watches
    hot.expect("two")
    os.kill(hot.watcher, signal.SIGKILL)
    granite.wait_for(r"a new one starts in 0.1 s")
    hot.save("three")
    hot.expect("three")
    assert granite.stop() == 0
    assert granite.output.count("a new one starts") == 2


def test_a_watcher_that_is_stopped_is_no_obstacle(hot):
    granite = hot.start()
    os.kill(hot.watcher, signal.SIGSTOP)
    assert hot.told() == "one"
    assert granite.stop() == 0
    assert granite.members() == []


@pytest.mark.parametrize("settled", [True, False])
def test_the_watcher_ends_with_the_arbiter(hot, settled):
    granite = hot.start()
    if settled:
        hot.save("two")
        hot.expect("two")
    granite.signal(signal.SIGKILL)
    granite.process.wait(PATIENCE)
    granite.wait_gone()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
def test_signals_to_the_whole_tree(hot, number):
    granite = hot.start()
    hot.save("two")
    hot.expect("two")
    os.killpg(granite.process.pid, number)
    assert granite.wait() == 0
    assert granite.members() == []
    assert "watcher of files (pid" not in granite.output
    assert "Traceback" not in granite.output


def test_signals_that_are_not_the_watchers(hot):
    granite = hot.start()
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGWINCH):
        os.kill(hot.watcher, number)
    hot.save("two")
    hot.expect("two")
    assert granite.stop() == 0
    assert "a new one starts" not in granite.output


def test_the_watcher_has_nothing_of_the_arbiters(hot):
    granite = hot.start("--workers", "2")
    opened = open_files(hot.watcher)
    assert [name for name in opened.values() if name.startswith("socket:")] == []
    # Nor has a worker an end of the watcher's pipe, which would outlive the arbiter's.
    (pipe,) = {name for fd, name in opened.items() if fd > 2 and name.startswith("pipe:")}
    holders = [pid for pid in granite.members() if pipe in open_files(pid).values()]
    assert sorted(holders) == sorted((granite.process.pid, hot.watcher))


def open_files(pid: int) -> dict[int, str]:
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed just now
            found[int(entry.name)] = str(entry.readlink())
    return found


def test_a_flood_of_changes(hot):
    """What a version control system does when it changes branches."""
    granite = hot.start()
    before = descriptors(granite.process.pid)
    with visitors(granite, 2):
        for number in range(200):
            folder = hot.folder / f"package{number % 20}" / f"sub{number}"
            folder.mkdir(parents=True)
            (folder / "a.py").write_text("x = 1\n" * 100)
        hot.save("end")
        hot.expect("end")
        granite.wait_for("directories that are watched: 221")
        time.sleep(1)  # longer than a notice takes: only the first ones of one are named
        (hot.folder / "package7" / "sub187" / "b.py").write_text("")
        granite.wait_for("package7/sub187/b.py")
        hot.expect("end")
    until(lambda: descriptors(granite.process.pid) <= before)
    assert granite.stop() == 0
