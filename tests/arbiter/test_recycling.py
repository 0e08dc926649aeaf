"""Workers that are replaced because of their requests, their age and their memory."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from tests.arbiter.asking import until
from tests.arbiter.changing import told, workers
from tests.arbiter.loads import Load
from tests.granite_process import GraniteProcess, with_constant
from tests.patience import PATIENCE

APPS = Path(__file__).parent


def ask(granite, path: str = "/") -> int:
    return int(httpx.get(granite.url(path), timeout=PATIENCE).text)


def test_requests(run_granite):
    granite = run_granite("stuck_apps:app", "--max-requests", "5", cwd=APPS)
    seen = [ask(granite) for _ in range(5)]
    assert len(set(seen)) == 1
    granite.wait_for(rf"info: worker 1 \(pid {seen[0]}\) is replaced: it has served max_requests")
    until(lambda: workers(granite) and seen[0] not in workers(granite))
    assert ask(granite) != seen[0]
    assert granite.stop() == 0


def test_jitter_spreads_the_requests(run_granite):
    arguments = ("--max-requests", "5", "--max-requests-jitter", "1000", "--workers", "4")
    granite = run_granite("stuck_apps:app", *arguments, cwd=APPS)
    old = workers(granite)
    with httpx.Client() as client:
        for _ in range(12):
            client.get(granite.url())
    # That all four have drawn less than 7 would be chance indeed.
    assert workers(granite) & old
    assert granite.stop() == 0


@pytest.mark.slow
def test_no_request_is_lost_when_all_are_replaced(run_granite):
    granite = run_granite("stuck_apps:app", "--max-requests", "40", "--workers", "2", cwd=APPS)
    with Load(granite.port, coming=1) as load:
        while granite.output.count("is replaced") < 8:
            load.wait_for(20)
    assert load.lost == []
    assert len(load.answers) > 3
    assert "error" not in granite.output
    assert granite.stop() == 0


# The shortest lifetime that the setting takes is a minute.
SHORT_LIVED = """
import sys
from granite.launch import serve
from granite.settings.load import load
loaded = load({"target": "stuck_apps:app", "port": 0, "workers": 2, "workers_lifetime": 60.0}, {})
object.__setattr__(loaded.config, "workers_lifetime", 0.5)
object.__setattr__(loaded.config, "workers_lifetime_jitter", 0.5)
sys.exit(serve(loaded))
"""


def test_lifetime():
    granite = GraniteProcess(cwd=APPS, launcher=("-c", SHORT_LIVED))
    try:
        granite.wait_for("listening on")
        first = workers(granite)
        until(lambda: granite.output.count("it has reached workers_lifetime") >= 4)
        ages = set(re.findall(r"worker (\d) \(pid \d+\) is replaced", granite.output))
        assert ages == {"1", "2"}
        until(lambda: not workers(granite) & first)
        assert ask(granite)
        assert granite.stop() == 0
    finally:
        granite.destroy()


def test_memory(run_granite):
    arguments = ("--workers-max-rss", "200", "--rss-sample-interval", "1", "--rss-samples", "2")
    granite = run_granite("stuck_apps:app", *arguments, cwd=APPS)
    old = ask(granite, "/eat?300")
    granite.wait_for(
        rf"info: worker 1 \(pid {old}\) is replaced: it is above workers_max_rss, with 3"
    )
    granite.wait_for("warning: workers_max_rss: a worker takes 3")  # it is young
    until(lambda: workers(granite) and old not in workers(granite))
    new = ask(granite)
    assert new != old
    assert granite.output.count("is replaced") == 1
    assert granite.stop() == 0


@pytest.mark.parametrize("module", ["not Python", "import os; os._exit(7)"])
def test_a_successor_that_cannot_start_changes_nothing(changing, module):
    launcher = with_constant("recycling._FIRST_DELAY", 0.1)
    granite = changing.start("--max-requests", "2", launcher=launcher)
    _, old = told(granite)
    changing.write("", module)
    told(granite)
    granite.wait_for(
        "error: a worker cannot be replaced, it goes on; the next attempt follows in 0.1 s"
    )
    granite.wait_for("the next attempt follows in 0.2 s")
    assert told(granite) == ("one", old)
    changing.write("two")
    until(lambda: told(granite)[0] == "two")
    assert granite.stop() == 0


def test_a_reload_comes_first(changing):
    granite = changing.start("--max-requests", "1")
    changing.gate.touch()
    assert told(granite)[0] == "one"
    granite.wait_for("it has served max_requests")
    granite.wait_for("at the gate")
    changing.write("two")
    granite.signal(1)
    until(lambda: granite.output.count("at the gate") == 2)
    changing.gate.unlink()
    granite.wait_for("info: reloaded")
    assert told(granite)[0] == "two"
    assert granite.stop() == 0
