"""The table of settings holds together, and Config mirrors it."""

from __future__ import annotations

import typing

import pytest

from granite.errors import UsageError
from granite.settings import BY_NAME, SECTIONS, SETTINGS
from granite.settings.config import Config

SAMPLES = {
    "host": "0.0.0.0",
    "port": "0",
    "backlog": "64",
    "interface": "asgi",
    "factory": "true",
    "working_dir": "/tmp",
    "loop": "asyncio",
    "lifespan": "on",
    "url_path_prefix": "/api",
    "graceful_timeout": "2.5",
    "server_header": "",
    "keep_alive_timeout": "1m",
    "request_head_timeout": "500ms",
    "max_head_size": "8k",
    "write_high_water": "1m",
    "write_low_water": "0",
    "body_high_water": "4096",
    "log_level": "debug",
    "access_log": "yes",
}


def test_config_has_the_attributes_of_the_table_in_its_order():
    assert list(Config.__annotations__) == [setting.name for setting in SETTINGS]
    assert list(Config.__slots__) == [setting.name for setting in SETTINGS]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_default_and_parsed_value_have_the_annotated_type(setting):
    annotation = typing.get_type_hints(Config)[setting.name]
    allowed = typing.get_args(annotation) or (annotation,)
    assert type(setting.default) in allowed
    assert type(setting.parse(SAMPLES[setting.name], "sample")) in allowed


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_a_default_passes_its_own_check(setting):
    assert setting.parse(setting.default, "default") == setting.default


def test_names_are_unique():
    assert len(BY_NAME) == len(SETTINGS)
    assert len({section.title for section in SECTIONS}) == len(SECTIONS)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_described(setting):
    assert setting.help.endswith(".")
    assert setting.kind.expected
    assert setting.kind.metavar or setting.kind.is_flag


def test_a_config_is_read_only():
    config = Config()
    with pytest.raises(AttributeError, match="read-only"):
        config.port = 1
    with pytest.raises(AttributeError, match="read-only"):
        del config.port
    assert config.port == 8000


def test_keyword_values_are_parsed_and_checked():
    config = Config(port="0", keep_alive_timeout=3, access_log=True)
    assert (config.port, config.keep_alive_timeout, config.access_log) == (0, 3.0, True)
    assert "keep_alive_timeout=3.0" in repr(config)
    with pytest.raises(UsageError, match=r"^port: expected an integer from 0 to 65535, got 70000$"):
        Config(port=70000)


def test_an_unknown_keyword_names_the_nearest():
    with pytest.raises(UsageError) as caught:
        Config(acces_log=True)
    assert str(caught.value) == "unknown setting 'acces_log' (did you mean 'access_log'?)"
    with pytest.raises(UsageError) as caught:
        Config(xyzzy=True)
    assert str(caught.value) == "unknown setting 'xyzzy'"


def test_the_water_marks_fit_each_other():
    assert Config(write_low_water=4096, write_high_water=4096).write_low_water == 4096
    with pytest.raises(UsageError, match="write_low_water: expected at most write_high_water"):
        Config(write_low_water=4097, write_high_water=4096)
