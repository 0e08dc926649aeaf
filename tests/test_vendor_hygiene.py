"""What the repository must not hold: other people's sources, registries' names, a developer's home.

Looks at what git tracks, so it needs a checkout; in an sdist there is nothing to look at.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Built from parts, so that this file passes its own test.
_ORG = "org"
_HOSTS = (
    "pypi" + "." + _ORG,
    "python" + "hosted." + _ORG,
    "crates" + ".io",
    "npm" + "js.com",
    "npm" + "js." + _ORG,
    "ana" + "conda." + _ORG,
    "golang" + "." + _ORG,
    "ruby" + "gems." + _ORG,
    "deb" + "ian." + _ORG,
    "ubun" + "tu.com",
    "ghcr" + ".io",
    "docker" + ".io",
)
_HOST = re.compile("|".join(map(re.escape, _HOSTS)), re.IGNORECASE)
# /root and the homes of users, but for the placeholders of documentation.
_HOME = re.compile(
    r"(?<![\w.~$}/-])(?:/" + "root" + r"|/(?:" + "home" + r"|Users)/(?!user\b|you\b|\.{3})[\w.-]+)/"
)


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("no checkout")
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def texts(paths: list[Path]) -> dict[Path, str]:
    return {path: path.read_text("utf-8", "replace") for path in paths if path.is_file()}


def found(pattern: re.Pattern[str], tracked: list[Path]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path, text in texts(tracked).items()
        for match in pattern.finditer(text)
    ]


def test_no_third_party_source_is_tracked(tracked: list[Path]) -> None:
    unpacked = ROOT / "vendor" / "src"
    assert [path for path in tracked if unpacked in path.parents] == []


def test_no_built_file_is_tracked(tracked: list[Path]) -> None:
    built = {".so", ".o", ".a", ".pyc", ".whl", ".gz"}
    assert [path for path in tracked if path.suffix in built] == []


def test_no_c_is_tracked_outside_of_ours(tracked: list[Path]) -> None:
    """Our own C is Cython; a C file would be generated or somebody else's. The benchmark's clients
    are programs.
    """
    found = [path for path in tracked if path.suffix in {".c", ".h", ".cpp", ".cc"}]
    assert [path.name for path in found] == ["handshakes.c", "websockets.c"]


def test_no_registry_is_named(tracked: list[Path]) -> None:
    assert found(_HOST, tracked) == []


def test_no_home_is_named(tracked: list[Path]) -> None:
    assert found(_HOME, tracked) == []
