"""The table that a reader sees."""

from __future__ import annotations

import json
from dataclasses import replace

from bench.model import Sample, ScenarioResult
from bench.report import as_json, markdown, number, overview
from bench.scenarios import BY_NAME
from bench.stats import neighbour_ratios


def _result(peer=100.0):
    result = ScenarioResult(BY_NAME["hello"], "granite")
    details = {"p99_ms": 1.0, "cpu_us": 9.0, "server_cpu": 0.99, "generator_cpu": 0.5}
    for name, value in (("granite", 240.0), ("granian", peer), ("granite", 260.0)):
        result.samples.append(Sample(name, value, details=details))
    result.ratios = neighbour_ratios("granite", [(s.server, s.value) for s in result.samples])
    result.commands = {"granian": "granian raw:hello", "load": "wrk http://127.0.0.1:PORT/"}
    return result


def test_the_overview_shows_each_ratio_with_its_target():
    lines = overview([_result()])

    assert lines[0] == "| granite ÷ peer | granite | granian |"
    assert lines[2] == "| raw ASGI hello world | 250.0 req/s | 2.50 (≥ 2) |"


def test_a_missed_target_is_bold():
    assert "**1.25** (≥ 2)" in overview([_result(peer=200.0)])[2]


def test_the_page_has_figures_versions_and_commands():
    result = _result()
    result.failures["saltare"] = "could not be started"
    result.samples.append(Sample("granian", 0.0, valid=False, note="7 read errors"))

    page = markdown([result], {"versions": {"granian": "9.9"}}, ["throughput.svg"])

    assert "![granite compared with its peers](throughput.svg)" in page
    assert "- granian: 9.9" in page
    assert "granian APP" in page
    assert "- saltare is left out: could not be started" in page
    assert "- granian: 1 rounds do not count: 7 read errors" in page
    assert "disturbed" not in page


def test_a_round_on_a_busy_machine_is_named():
    result = _result()
    for index, sample in enumerate(result.samples):
        details = {**sample.details, "server_cpu": 0.6}
        result.samples[index] = Sample(sample.server, sample.value, details=details)

    assert "**disturbed**" in markdown([result], {}, [])
    result.scenario = replace(result.scenario, waits=True)
    assert "**disturbed**" not in markdown([result], {}, [])


def test_the_json_holds_every_round():
    document = json.loads(json.dumps(as_json([_result()], {"machine": {"cores": "2"}})))

    assert document["machine"] == {"cores": "2"}
    assert len(document["scenarios"][0]["samples"]) == 3
    assert document["scenarios"][0]["servers"][1]["met"] is True


def test_numbers_keep_three_digits():
    assert [number(value) for value in (0.5, 12.345, 123.45, 12345.6)] == [
        "0.50",
        "12.35",
        "123.5",
        "12,346",
    ]
