"""Who serves which scenario, and how it is told to."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from bench.environment import needed
from bench.options import PEERS
from bench.runner import able, participants
from bench.scenarios import BY_NAME, SCENARIOS
from bench.servers import APPS, SERVERS, Launch


def _command(name, scenario):
    here = Path("here")
    launch = Launch(
        app=scenario.app,
        interface=scenario.interface,
        threads=scenario.threads,
        port=1234,
        loop="uvloop",
        subject_bin=here,
        peers_bin=here,
        prefix=here,
    )
    return " ".join(SERVERS[name].command(launch))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_scenario_is_served_by_all_that_it_is_compared_with(scenario):
    peers = [name for name in participants(scenario, PEERS) if name != "nginx"]

    assert {*scenario.targets} <= {*participants(scenario, PEERS)}
    for name in ("granite", *peers):
        assert scenario.interface in SERVERS[name].interfaces
        assert scenario.app in _command(name, scenario)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_scenario_names_an_application_that_exists(scenario):
    module, _, name = scenario.app.partition(":")
    tree = ast.parse((APPS / f"{module}.py").read_text(encoding="utf-8"))

    defined = {getattr(node, "name", "") for node in tree.body}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            defined |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    assert name in defined


def test_what_a_framework_needs_is_installed():
    assert needed(["granian", "granite"], {"flask_json:app"}) == ["granian", "uvloop", "flask"]


def test_only_servers_of_an_interface_take_part():
    assert participants(BY_NAME["wsgi"], PEERS) == ["granian", "fastpysgi", "gunicorn", "nginx"]
    assert participants(BY_NAME["rsgi"], PEERS) == ["granian", "nginx"]
    assert not able("uvicorn", BY_NAME["wsgi"])


def test_a_server_with_another_library_for_websockets_takes_part_only_there():
    assert "uvicorn-wsproto" in participants(BY_NAME["websocket"], PEERS)
    assert "uvicorn-wsproto" not in participants(BY_NAME["hello"], PEERS)


@pytest.mark.parametrize(
    ("name", "threads"),
    [
        ("granite", "--blocking-threads 4"),
        ("granian", "--blocking-threads 4"),
        ("gunicorn", "--worker-class gthread --threads 4"),
    ],
)
def test_all_have_the_threads_of_the_scenario(name, threads):
    assert threads in _command(name, BY_NAME["wsgi-threads"])
    assert "uvloop" not in _command(name, BY_NAME["wsgi-threads"])
    assert "uvloop" in _command(name, BY_NAME["hello"])
