"""A pyproject.toml in the working directory, whether it has settings of granite's or not."""

from __future__ import annotations

import pytest

from granite.errors import UsageError
from granite.settings.files import read_config_file


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "pyproject.toml"


def refused(name: str | None = None) -> str:
    with pytest.raises(UsageError) as caught:
        read_config_file(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "tool = [",
        "[tool]\ngranite = 3",
        "# tool.granite\n[",
        "[tool.granite-x",
        "a = 'tool.granite'",
    ],
)
def test_a_project_file_without_our_table_is_not_read(text, project):
    project.write_text(text)
    assert (read_config_file(None).values, read_config_file(None).origin) == ({}, "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tool.granite\nport = 1", "pyproject.toml: "),
        ("tool.granite = 3", "pyproject.toml: expected a table [tool.granite], got 3"),
        ("[ tool.granite ]\nport = 1\n[", "pyproject.toml: "),
    ],
)
def test_a_broken_project_file_with_our_table_is_refused(text, message, project):
    project.write_text(text)
    assert refused().startswith(message)


def test_a_mistake_in_the_project_file(project):
    project.write_bytes(b"[tool.granite]\nhost = '\xff'")
    assert refused().startswith("pyproject.toml: 'utf-8' codec can't decode byte 0xff")
    project.write_text("[tool.poetry]\n")
    assert refused("pyproject.toml") == (
        "pyproject.toml: expected a table [tool.granite], found none"
    )
