"""The setting log_config: names, levels, mistakes."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path

import pytest

from granite import log
from granite.errors import UsageError
from granite.log import configuration
from granite.settings.config import Config
from tests.unit.log.records import access


def dictionary(path: Path, *names: str, **logger: object) -> dict[str, object]:
    return {
        "version": 1,
        "formatters": {"short": {"format": "%(name)s|%(levelname)s|%(message)s"}},
        "handlers": {
            "file": {
                "class": "logging.FileHandler",
                "filename": str(path),
                "formatter": "short",
                "delay": True,  # one that no logger has would never be closed
            }
        },
        "loggers": {name: {"handlers": ["file"], "level": "INFO"} | logger for name in names},
    }


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["granite"], "ea"),
        (["granite.error"], "e"),
        (["granite.access"], "a"),
        (["gunicorn.error", "gunicorn.access"], "ea"),
        (["gunicorn"], "ea"),
        (["uvicorn.error"], "e"),
        (["uvicorn", "uvicorn.access"], "eaa"),
        (["_granian", "granian.access"], "ea"),
        (["granite.error", "gunicorn.access"], "e"),  # ours are named: theirs mean nothing
        ([], ""),
    ],
)
def test_names_of_other_servers(tmp_path, capfd, monkeypatch, names, expected):
    monkeypatch.setattr(logging.root, "handlers", [])  # pytest's own
    path = tmp_path / "log"
    path.touch()
    config = Config(log_config=dictionary(path, *names), access_log=True)
    writer = log.Log(config)
    writer.info("e")
    access()
    log.configure(config)  # as a worker does after the fork
    logging.getLogger("granite.error").info("e")
    access()
    lines = [line.split("|")[0][8] for line in path.read_text().splitlines()]
    assert "".join(lines) == expected * 2
    out, err = capfd.readouterr()  # what the configuration does not cover stays with the settings
    assert err.count("info: e") == (0 if "e" in expected else 2)
    assert out.count("GET /") == (0 if "a" in expected else 2)
    assert "GET" not in err


@pytest.mark.parametrize(
    ("given", "level"),
    [({}, "warning"), ({"level": "DEBUG"}, "debug"), ({"level": "ERROR"}, "error")],
)
def test_level_under_a_configuration(tmp_path, given, level):
    path = tmp_path / "log"
    settings = dictionary(path)
    settings["root"] = {"handlers": ["file"]}
    settings["loggers"] = {"granite.error": given}
    log.configure(Config(log_config=settings, log_level="warning"))
    logger = logging.getLogger("granite.error")
    assert logging.getLevelName(logger.getEffectiveLevel()).lower() == level


def test_what_other_servers_supply(capfd):
    """Formatters and handlers that a configuration for Gunicorn refers to, without its version."""
    loggers = {"gunicorn.error": {"handlers": ["error_console"]}}
    log.configure(Config(log_config={"loggers": loggers, "disable_existing_loggers": True}))
    logging.getLogger("granite.error").info("x")
    assert f"[{os.getpid()}] [INFO] x" in capfd.readouterr().err


def test_log_false_silences_a_configuration(tmp_path):
    path = tmp_path / "log"
    path.touch()
    config = Config(log_config=dictionary(path, "granite", "gunicorn.error"), log=False)
    log.Log(config).critical("x")
    log.configure(config)
    logging.getLogger("granite.error").critical("x")
    assert path.read_text() == ""


def test_reopen_of_a_configured_file(tmp_path):
    path = tmp_path / "log"
    path.touch()
    writer = log.Log(Config(log_config=dictionary(path, "granite")))
    path.rename(tmp_path / "log.1")
    writer.reopen()
    writer.info("new")
    path.rename(tmp_path / "log.2")
    log.reopen()
    logging.getLogger("granite.error").info("newer")
    assert (tmp_path / "log.2").read_text() == "granite.error|INFO|new\n"
    assert path.read_text() == "granite.error|INFO|newer\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.json", None, "no such file or directory: 'none.json'"),
        ("x.json", "{", "Expecting property name enclosed in double quotes: line 1 column 2"),
        ("x.json", "[]", "expected a dictionary, got list"),
        ("x.json", '{"loggers": []}', "loggers: expected a dictionary"),
        ("x.json", '{"version": 2}', "Unsupported version: 2"),
        ("x.json", b"\xff", "'utf-8' codec can't decode"),
        ("x.toml", "version = ", "Invalid value"),
        ("x.yaml", "version: 1", "expected a JSON, TOML or INI file, got YAML"),
        ("x.ini", "[loggers]\nkeys=root\n", "there is no section [handlers]"),
        ("x.ini", "hello", "File contains no section headers. file: 'x.ini', line: 1 'hello"),
        ("x.conf", '{"handlers": {"h": {"class": "no.Class"}}}', "Unable to configure handler 'h'"),
        ("x.json", '{"loggers": {"x": {"level": "LOUD"}}}', "Unknown level: 'LOUD'"),
        ("x.json", '{"root": {"handlers": ["nosuch"]}}', "Unable to add handler 'nosuch'"),
    ],
)
def test_mistakes_in_a_configuration(tmp_path, monkeypatch, name, content, message):
    monkeypatch.chdir(tmp_path)
    if sys.version_info < (3, 11) and name.endswith(".toml"):
        pytest.importorskip("tomli")
    if content is not None:
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError) as caught:
        log.Log(Config(log_config=name))
    text = str(caught.value)
    assert text.startswith(f"log_config '{name}': ")
    assert message in text
    assert "\n" not in text


def test_a_worker_takes_over_what_the_arbiter_has_read(tmp_path):
    file, path = tmp_path / "config.json", tmp_path / "log"
    file.write_text(json.dumps(dictionary(path, "granite")))
    config = Config(log_config=str(file))
    log.Log(config)
    file.write_text("{")
    log.configure(config)
    logging.getLogger("granite.error").info("x")
    assert path.read_text() == "granite.error|INFO|x\n"
    with pytest.raises(UsageError):
        log.Log(config)


def test_reading_changes_nothing(tmp_path):
    path = tmp_path / "log"
    assert configuration.read(dictionary(path, "granite"))
    assert not path.exists()
    with pytest.raises(UsageError, match="log_config: root: expected a dictionary"):
        configuration.read({"root": 1})


def test_the_guides_example_writes_each_line_once(capfd):
    tomllib = pytest.importorskip("tomllib")
    guide = Path(log.__file__).parents[2] / "docs" / "guides" / "logging.md"
    example = guide.read_text().partition("```toml\n")[2].partition("```")[0]
    config = Config(log_config=tomllib.loads(example), access_log=True)
    log.Log(config).info("started")
    log.configure(config)
    access("/seen")
    written = capfd.readouterr().err
    assert (written.count("started"), written.count("GET /seen")) == (1, 1)
