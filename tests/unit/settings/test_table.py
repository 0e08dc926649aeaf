"""The table of settings holds together, and Config mirrors it."""

from __future__ import annotations

import types
import typing

import pytest

from granite.errors import UsageError
from granite.settings import BY_NAME, SECTIONS, SETTINGS
from granite.settings.config import Config
from tests.unit.settings.samples import cases


def test_config_has_the_attributes_of_the_table_in_its_order():
    assert list(Config.__annotations__) == [setting.name for setting in SETTINGS]
    assert list(Config.__slots__) == [setting.name for setting in SETTINGS]


def fits(value: object, annotation: object) -> bool:
    allowed = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else ()
    if allowed:
        return any(fits(value, one) for one in allowed)
    if typing.get_origin(annotation) is tuple:
        return isinstance(value, tuple) and all(isinstance(item, str) for item in value)
    return type(value) is (typing.get_origin(annotation) or annotation)


@pytest.mark.parametrize(("name", "text"), cases())
def test_default_and_parsed_value_have_the_annotated_type(name, text):
    annotation = typing.get_type_hints(Config)[name]
    setting, _ = BY_NAME[name]
    assert fits(setting.default, annotation)
    assert fits(setting.parse(text, "sample"), annotation)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_a_default_passes_its_own_check(setting):
    assert setting.parse(setting.default, "default") == setting.default
    assert setting.parse(setting.show(setting.default), "shown") == setting.default


def test_names_are_unique():
    names = [setting.name for setting in SETTINGS]
    names += [alias.name for setting in SETTINGS for alias in setting.aliases]
    shorts = [setting.short for setting in SETTINGS if setting.short]
    assert len(BY_NAME) == len(names) == len(set(names))
    assert len(set(shorts)) == len(shorts)
    assert len({section.title for section in SECTIONS}) == len(SECTIONS)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_described(setting):
    assert setting.help.endswith(".")
    assert setting.kind.expected
    assert setting.kind.metavar or setting.kind.flags


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


def test_a_setting_is_given_by_one_of_its_names():
    assert Config(log_access=True, access_log=None).access_log
    with pytest.raises(UsageError, match=r"^access_log: the same setting as log_access; give one$"):
        Config(log_access=True, access_log=False)
