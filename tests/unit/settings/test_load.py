"""The sources of values and their precedence."""

from __future__ import annotations

import pytest

from granite.cli import parse_run
from granite.errors import UsageError
from granite.settings import SETTINGS
from granite.settings.load import load
from tests.unit.settings.test_table import SAMPLES


def refuse(text: str) -> None:
    raise AssertionError(text)


def test_defaults():
    config = load({}, {"PATH": "/bin", "HOME": "/"}, refuse)
    assert all(getattr(config, setting.name) == setting.default for setting in SETTINGS)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_read_from_both_sources(setting):
    text = SAMPLES[setting.name]
    expected = setting.parse(text, "sample")
    assert expected != setting.default
    others = {}
    if setting.name == "write_low_water":
        others = {"write_high_water": 2**20}

    from_environment = load(others, {setting.variable: text}, refuse)
    assert getattr(from_environment, setting.name) == expected

    arguments = [setting.option] if setting.kind.is_flag else [setting.option, text]
    _, values = parse_run(["app:app", *arguments])
    assert getattr(load({**others, **values}, {}, refuse), setting.name) == expected


def test_the_command_line_wins_over_the_environment():
    environ = {"GRANITE_PORT": "1", "GRANITE_HOST": "::1", "GRANITE_FACTORY": "1"}
    config = load({"port": 2, "factory": False}, environ, refuse)
    assert (config.port, config.host, config.factory) == (2, "::1", False)


def test_an_unknown_variable_is_warned_about():
    warnings: list[str] = []
    load({}, {"GRANITE_POTR": "1", "GRANITE_QQQ": "", "GRANIT_PORT": "x"}, warnings.append)
    assert warnings == [
        "the variable GRANITE_POTR names no setting (did you mean 'port'?): ignored",
        "the variable GRANITE_QQQ names no setting: ignored",
    ]


def test_variables_of_the_build_are_not_settings():
    load({}, {"GRANITE_DEBUG": "1", "GRANITE_SANITIZE": "address", "GRANITE_JOBS": "2"}, refuse)


def test_a_wrong_variable():
    with pytest.raises(UsageError) as caught:
        load({}, {"GRANITE_PORT": "http"}, refuse)
    assert str(caught.value) == ("GRANITE_PORT: expected an integer from 0 to 65535, got 'http'")
