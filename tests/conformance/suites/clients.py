"""The clients of tests/clients: Chromium, Node, curl and OpenSSL, as far as people use them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from tests.clients import chromium
from tests.conformance.model import Case
from tests.conformance.tools import ROOT, without

TITLE = "Clients"

_GROUPS = {
    "test_chromium": "Chromium",
    "test_chromium_websocket": "Chromium, WebSockets",
    "test_node": "Node, its module https and fetch",
    "test_commands": "curl and openssl s_client",
}


def missing() -> str:
    """Clients that are not installed."""
    absent = without("curl", "node", "openssl")
    return absent if chromium.find() else ", ".join(filter(None, (absent, "chromium")))


def about() -> str:
    """Which clients, and what they do."""
    versions = {
        "Chromium": _version(chromium.find() or "chromium", "--version"),
        "Node": _version("node", "--version"),
        "curl": _version("curl", "--version"),
        "OpenSSL": _version("openssl", "version"),
    }
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"{named}, over TLS: the tests in `tests/clients`, where one that is skipped counts as"
        " failed. Pages and scripts, uploads, downloads, streams, many requests at once,"
        " connections that are kept and sessions that are resumed, certificates that are trusted"
        " and others, those of clients, and the way from plain HTTP to HTTPS."
    )


def run(work: Path) -> Iterator[Case]:
    """All of them."""
    report = work / "report.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/clients"]
    said = subprocess.run(
        [*command, f"--junitxml={report}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    (work / "report.txt").write_text(said.stdout + said.stderr)
    if not report.exists():
        yield Case("the run", "HTTP/1.1", "pytest", False, said.stdout + said.stderr)
        return
    for case in ElementTree.parse(report).iter("testcase"):
        module = case.get("classname", "").rpartition(".")[2]
        wrong = [child for child in case if child.tag in ("failure", "error", "skipped")]
        detail = "; ".join(f"{child.tag}: {child.get('message')}" for child in wrong)
        name = case.get("name", "")
        variant = "HTTP/2" if "[HTTP/2" in name else "HTTP/1.1"
        yield Case(_GROUPS.get(module, module), variant, f"{module}: {name}", not wrong, detail)


def _version(*command: str) -> str:
    """Return the first word of what a program says of itself that begins with a digit."""
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    words = (word.lstrip("v") for word in said.split())
    return next(word for word in words if word[0].isdigit())
