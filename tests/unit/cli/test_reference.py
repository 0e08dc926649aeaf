"""The reference of the settings: in the terminal, as JSON, as a page of docs/."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from granite import cli
from granite.cli import reference
from granite.settings import SECTIONS, SETTINGS

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"


def test_the_page_in_docs_is_up_to_date():
    command = "python -m granite settings --markdown > docs/settings.md"
    assert PAGE.read_text("utf-8") == reference.markdown(), f"docs/settings.md is stale: {command}"


def test_the_page_names_everything():
    page = reference.markdown()
    for section in SECTIONS:
        assert f"\n## {section.title}\n" in page
    for setting in SETTINGS:
        assert f"\n### `{setting.name}`\n" in page
        assert f"`{setting.variable}`" in page
        for alias in setting.aliases:
            assert f"`{alias.name}`" in page
    reserved = sum(setting.reserved for setting in SETTINGS)
    assert page.count("\n*No effect in this release.*\n") == reserved


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("log_level", "log_level"),
        ("log-level", "log_level"),
        ("loglevel", "log_level"),
        ("--log-level", "log_level"),
        ("--loglevel", "log_level"),
        ("GRANITE_LOG_LEVEL", "log_level"),
        ("GRANITE_LOGLEVEL", "log_level"),
        ("--no-access-log", "access_log"),
        ("-w", "workers"),
        ("WEB_CONCURRENCY", "workers"),
    ],
)
def test_a_setting_goes_by_all_its_names(name, meant, capsys):
    assert reference.find(name).name == meant
    assert cli.main(["settings", name]) == 0
    assert capsys.readouterr().out.startswith(f"{meant}\n")


def test_one_setting(capsys):
    assert cli.main(["settings", "http1_header_read_timeout"]) == 0
    shown = capsys.readouterr().out
    for text in (
        "--request-head-timeout SECONDS",
        "GRANITE_REQUEST_HEAD_TIMEOUT",
        "http1_header_read_timeout (milliseconds",
        "10",
        "seconds from 0 to 86400",
    ):
        assert text in shown
    assert "effect" not in shown
    cli.main(["settings", "workers"])
    assert "GRANITE_WORKERS, or WEB_CONCURRENCY" in capsys.readouterr().out
    cli.main(["settings", "static_path_mount"])
    assert "none in this release" in capsys.readouterr().out


def test_every_setting_fits_a_terminal(capsys):
    assert cli.main(["settings"]) == 0
    for setting in SETTINGS:
        assert cli.main(["settings", setting.name]) == 0
    shown = capsys.readouterr().out
    assert [line for line in shown.splitlines() if len(line) > 80] == []


def test_the_list_has_every_setting_below_its_section(capsys):
    cli.main(["settings"])
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines if line[:2] == "  " and line[2:3].strip()]
    assert names == [setting.name for setting in SETTINGS]
    assert [line[:-1] for line in lines if line.endswith(":") and line[0] != " "] == [
        section.title for section in SECTIONS
    ]


def test_json(capsys):
    assert cli.main(["settings", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in table] == [setting.name for setting in SETTINGS]
    assert cli.main(["settings", "keepalive", "--json"]) == 0
    one = json.loads(capsys.readouterr().out)
    assert one in table
    assert one["name"] == "keep_alive_timeout"
    assert one["default"] == 5.0
    assert one["section"] == "Timeouts"
    assert set(one["aliases"]) >= {"keepalive", "keep_alive"}
    assert one["reserved"] is False
