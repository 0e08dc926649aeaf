"""Bring the third-party C sources that the manifest names into vendor/src/.

Owns vendor/src/ and nothing else; it compiles nothing. Run by hand (`python vendor/fetch.py`) or by
setup.py when the sources are missing. Needs only the standard library and pip, and uses pip the way
this machine is configured: its index, mirror, proxy, certificates and cache all apply.

The folder is replaced as a whole: sources are unpacked beside it and renamed into place. The stamp
in it holds the manifest's digest, so a run that finds its own does nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path, PurePosixPath
from typing import Any

VENDOR = Path(__file__).resolve().parent
MANIFEST = VENDOR / "manifest.json"
SOURCES = VENDOR / "src"
STAMP = SOURCES / "manifest.sha256"
SHIM = VENDOR / "pip-shim"


class FetchError(Exception):
    """The sources could not be brought in; the message is one line that says what to do."""


def fetch() -> bool:
    """Make vendor/src/ hold what the manifest says.

    Returns whether anything had to be done. Raises FetchError when pip cannot download an sdist or
    when an sdist does not have the manifest's sha256.
    """
    text = MANIFEST.read_bytes()
    digest = hashlib.sha256(text).hexdigest()
    if STAMP.is_file() and STAMP.read_text().strip() == digest:
        return False
    libraries = json.loads(text)["libraries"]
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=VENDOR) as work:
        downloads = Path(work, "sdists")
        _download([library["sdist"] for library in libraries], downloads)
        fresh = Path(work, "src")
        for library in libraries:
            archive = _verified(downloads, library["sdist"])
            _unpack(archive, library, fresh / library["name"])
        (fresh / STAMP.name).write_text(digest + "\n")
        if SOURCES.exists():
            SOURCES.rename(Path(work, "old"))
        fresh.rename(SOURCES)
    return True


def _download(sdists: list[dict[str, str]], folder: Path) -> None:
    """Let pip download *sdists* into *folder*, running none of their code (see pip-shim/)."""
    folder.mkdir()
    requirements = folder / "requirements.txt"
    lines = (f"{s['name']}=={s['version']} --hash=sha256:{s['sha256']}\n" for s in sdists)
    requirements.write_text("".join(lines))
    command = [*_pip(folder), "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    command += ["--no-build-isolation", "--ignore-requires-python", "--require-hashes"]
    command += ["--dest", str(folder), "--requirement", str(requirements)]
    done = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise FetchError(_explain(done.stdout + done.stderr))


def _environment() -> dict[str, str]:
    """The environment for pip: the shim on PYTHONPATH, in place of an isolated build's own path."""
    return {**os.environ, "PYTHONPATH": str(SHIM), "PYTHONDONTWRITEBYTECODE": "1"}


def _pip(folder: Path) -> list[str]:
    """The command that runs pip; an interpreter without it (an isolated build's) borrows one."""
    command = [sys.executable, "-m", "pip"]
    probe = [*command, "--version"]
    if subprocess.run(probe, env=_environment(), capture_output=True, check=False).returncode == 0:
        return command
    home = folder / "pip"
    try:
        venv.create(home, with_pip=True)
    except (subprocess.CalledProcessError, OSError, ImportError):
        raise FetchError(
            f"{sys.executable} has no pip to download the C sources with; install one for it"
        ) from None
    return [str(home / "bin" / "python"), "-m", "pip"]


def _explain(output: str) -> str:
    """One line out of pip's *output* that says what went wrong and what to do."""
    if "DO NOT MATCH THE HASHES" in output:
        lines = [line.strip() for line in output.splitlines()]
        found = [line.split()[0] for line in lines if "==" in line]
        found += [" ".join(line.split()) for line in lines if line.startswith(("Expected", "Got"))]
        return f"an sdist does not have {MANIFEST.name}'s sha256 ({' '.join(found)}); do not use it"
    errors = [line.strip() for line in output.splitlines() if line.startswith("ERROR:")]
    reason = (errors or output.strip().splitlines() or ["no output"])[-1]
    return (
        "pip could not download the C sources; check the network and `pip config list`, "
        f"or build from granite's sdist, which holds them (pip said: {reason})"
    )


def _verified(downloads: Path, sdist: dict[str, str]) -> Path:
    """The path of *sdist* in *downloads*, after comparing its sha256 with the manifest's."""
    archive = downloads / f"{sdist['name']}-{sdist['version']}.tar.gz"
    if not archive.is_file():
        raise FetchError(f"pip brought no {archive.name}")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != sdist["sha256"]:
        expected = f"{MANIFEST.name} expects {sdist['sha256']}"
        raise FetchError(f"{archive.name} has sha256 {digest}, but {expected}; do not use it")
    return archive


def _unpack(archive: Path, library: dict[str, Any], target: Path) -> None:
    """Write what *library* takes out of *archive* to *target*, as files with plain permissions."""
    missing = set(library["take"])
    with tarfile.open(archive) as tar:
        for member in tar:
            name = _inside(member.name, library["sdist"]["folder"])
            if name is None or not member.isfile() or _match(name, library["leave"]):
                continue
            taken = _match(name, library["take"])
            content = tar.extractfile(member) if taken else None
            if content is None:
                continue
            missing.discard(taken)
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with content, path.open("wb") as file:
                shutil.copyfileobj(content, file)
    if "licence_head" in library:
        text = (target / library["licence_head"]).read_text(encoding="utf-8")
        (target / "LICENSE").write_text(text[: text.index("*/") + 3], encoding="utf-8")
    if missing:
        names = ", ".join(sorted(missing))
        raise FetchError(f"{archive.name} has no {names} for {library['name']}")


def _inside(member: str, folder: str) -> str | None:
    """*member*'s path below *folder* of its sdist; None when it lies elsewhere or climbs out."""
    parts = PurePosixPath(member).parts
    prefix = PurePosixPath(folder).parts
    if ".." in parts or parts[1 : 1 + len(prefix)] != prefix:
        return None
    return "/".join(parts[1 + len(prefix) :])


def _match(name: str, rules: list[str]) -> str:
    """The rule that covers *name*: its path, or a folder above it that ends in /; "" for none."""
    for rule in rules:
        if name == rule or (rule.endswith("/") and name.startswith(rule)):
            return rule
    return ""


def main() -> int:
    """Command line: fetch, and say in one line what happened."""
    try:
        fresh = fetch()
    except FetchError as error:
        print(f"vendor/fetch.py: {error}", file=sys.stderr)
        return 1
    print(f"vendor/src: {'brought in' if fresh else 'up to date'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
