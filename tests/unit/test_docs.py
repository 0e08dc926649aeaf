"""The documentation: links lead somewhere, commands are valid, and options exist."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from granite.cli.arguments import read
from granite.settings import BY_NAME

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
GUIDES = sorted(ROOT.glob("docs/guides/from-*.md"))

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, *languages: str) -> list[str]:
    return [code for language, code in _FENCE.findall(page.read_text()) if language in languages]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page):
    text = _FENCE.sub("", page.read_text())
    broken = [
        link
        for link in _LINK.findall(text)
        if "://" not in link and not (page.parent / link).exists()
    ]
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_are_valid(page):
    for block in blocks(page, "sh", "console"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:3] == ["python", "-m", "granite"]:
                words = words[2:]
            if words[:2] in (["granite", "run"], ["granite", "check"]):
                options = [word for word in words[2:] if word not in ("--all", "--json")]
                assert read(options).values


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_code_can_be_read(page):
    for block in blocks(page, "python"):
        compile(block, str(page), "exec")
    if sys.version_info >= (3, 11):
        import tomllib

        for block in blocks(page, "toml"):
            tomllib.loads(block)


@pytest.mark.parametrize("page", GUIDES, ids=named)
def test_tables_name_settings_that_exist(page):
    rows = [line for line in page.read_text().splitlines() if line.startswith("| ")]
    names = set()
    for row in rows:
        columns = re.split(r"(?<!\\)\|", row)
        ours = columns[1] + columns[2] if "the same" in columns[2] else columns[2]
        for word in re.findall(r"`([^`]+)`", ours):
            name = word.split()[0].split("=")[0]
            if name.startswith("--") and not name.endswith("…"):
                names.add(name.removeprefix("--no-").removeprefix("--").replace("-", "_"))
            elif re.fullmatch(r"[a-z_0-9]+", name):
                names.add(name)
    unknown = names - set(BY_NAME) - {"granite"}
    assert len(names) > 15
    assert unknown == set()
