"""Every setting has the same value from whatever source it comes."""

from __future__ import annotations

import json
import sys

import pytest

from granite.cli.arguments import read
from granite.settings import BY_NAME, SETTINGS
from granite.settings.config import Config
from granite.settings.load import load
from tests.unit.settings.samples import NATIVE, SAMPLES, cases, companions

ALIASES = sorted(name for name, (setting, _) in BY_NAME.items() if name != setting.name)
# Read in a Python file as Gunicorn means it, which test_gunicorn is about.
CONVERTED = {"reload_extra_files"}


def toml(value: object) -> str:
    """Write a value of the table as TOML; its JSON form is TOML too, but for a table's."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    return json.dumps(value)


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def from_file(name: str, text: str) -> Config:
    with open(name, "w") as file:  # noqa: PTH123
        file.write(text)
    return load({}, {}, name).config


def test_every_setting_has_a_sample():
    assert set(SAMPLES) == {setting.name for setting in SETTINGS}


@pytest.mark.parametrize(("name", "text"), cases())
def test_a_value_is_the_same_from_every_source(name, text, directory):
    setting, kind = BY_NAME[name]
    final = setting.parse(text, "sample")
    assert final != setting.default
    assert setting.parse(setting.show(final), "shown") == final
    native = NATIVE.get(name, final) if not text.endswith("s") or name not in NATIVE else text
    beside = companions(name, text)
    found: dict[str, object] = {}

    found["environment"] = load(dict(beside), {setting.variable: text}).config
    flags = kind.flags
    if flags and final in flags and not (kind.choices and final == "none"):
        arguments = [setting.option if final == flags[0] else f"--no{setting.option[1:]}"]
    else:
        arguments = [f"{setting.option}={text}"]
    values = read(arguments).values
    found["command line"] = load({**beside, **values}, {}).config

    lines = "".join(f"{key} = {value!r}\n" for key, value in beside.items())
    for form, value in (("text", text), ("native", native)):
        found[f"{form} keyword"] = Config(**beside, **{name: value})
        found[f"{form} Python"] = from_file("granite.conf.py", f"{lines}{name} = {value!r}\n")
        entries = {**beside, name: value}
        content = "".join(f"{key} = {toml(item)}\n" for key, item in entries.items())
        found[f"{form} TOML"] = from_file("granite.toml", content)
        found[f"{form} project"] = from_file("pyproject.toml", f"[tool.granite]\n{content}")

    wrong = {
        source: getattr(config, name)
        for source, config in found.items()
        if getattr(config, name) != final
    }
    assert not wrong


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_is_the_setting_from_every_source(alias, directory):
    setting, kind = BY_NAME[alias]
    samples = SAMPLES[setting.name]
    text = samples if isinstance(samples, str) else samples[0]
    final = setting.parse(text, "sample", kind)
    beside = companions(setting.name, text)
    option = f"--{alias.replace('_', '-')}"
    values = read([option] if kind.flags else [f"{option}={text}"]).values
    expected = kind.flags[0] if kind.flags else final
    assert values == {setting.name: expected}
    configs = [
        load(dict(beside), {f"GRANITE_{alias.upper()}": text}).config,
        Config(**beside, **{alias: text}),
    ]
    lines = "".join(f"{key} = {toml(value)}\n" for key, value in beside.items())
    configs.append(from_file("granite.toml", f"{lines}{alias} = {toml(text)}\n"))
    if alias not in CONVERTED:
        lines = "".join(f"{key} = {value!r}\n" for key, value in beside.items())
        configs.append(from_file("granite.conf.py", f"{lines}{alias} = {text!r}\n"))
    assert [getattr(config, setting.name) for config in configs] == [final] * len(configs)


def test_none_is_the_default_in_python(directory):
    names = [setting.name for setting in SETTINGS]
    assert repr(Config(**dict.fromkeys(names))) == repr(Config())
    config = from_file("granite.conf.py", "".join(f"{name} = None\n" for name in BY_NAME))
    assert repr(config) == repr(Config())
