"""Twenty reloads, and twenty workers that are recycled, under load: nothing is lost or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.arbiter.changing import hang_up
from tests.arbiter.loads import Load

APPS = Path(__file__).parent
SOCKETS = ["--reuse-port", "--no-reuse-port"]
TIMES = 20


def start(run_granite, *arguments: str):
    return run_granite(
        *("stuck_apps:app", "--workers", "2", "--lifespan", "off", *arguments), cwd=APPS
    )


@pytest.mark.slow
@pytest.mark.parametrize("sockets", SOCKETS)
def test_reloads(run_granite, sockets):
    granite = start(run_granite, sockets)
    with Load(granite.port, kept=3, coming=3) as load:
        for _ in range(TIMES):
            hang_up(granite)
            load.wait_for(10)
    assert load.lost == []
    assert len(load.answers) > TIMES / 2
    assert granite.stop() == 0


@pytest.mark.slow
@pytest.mark.parametrize("sockets", SOCKETS)
def test_recycling(run_granite, sockets):
    granite = start(run_granite, sockets, "--max-requests", "50", "--max-requests-jitter", "20")
    with Load(granite.port, kept=3, coming=3) as load:
        while granite.output.count("it has served max_requests") < TIMES:
            load.wait_for(20)
    assert load.lost == []
    assert len(load.answers) >= TIMES / 2
    assert granite.stop() == 0
