"""h2spec: HTTP/2 and HPACK, case by case."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from tests.conformance.model import Case
from tests.conformance.served import certificate, served, side_by_side
from tests.conformance.tools import go_version, installed_by_go, lacking_from_go

TITLE = "h2spec"

_PACKAGE = "github.com/summerwind/h2spec/cmd/h2spec@latest"
# For an answer. h2spec takes the end of the connection for one, so the server ends none for being
# idle.
_SECONDS = "20"
_IDLE = "--keep-alive-timeout", "600", "--request-head-timeout", "600"

# The packages of the report, which begin with one of these.
_GROUPS = {
    "generic": "generic, of RFC 9113 and RFC 7541",
    "http2": "RFC 9113 (RFC 7540's numbers)",
    "hpack": "RFC 7541, HPACK",
}


def missing() -> str:
    """Go, which installs it, and where from."""
    return lacking_from_go(_PACKAGE)


def about() -> str:
    """Which h2spec, and how it is run."""
    return (
        f"[h2spec](https://github.com/summerwind/h2spec) {go_version(_program())}, all of its cases"
        " with `--strict`: over plain text with prior knowledge, over TLS with ALPN, and against an"
        " application of WSGI. The end of a connection counts as an answer there, so none ends for"
        " being idle (`keep_alive_timeout` and `request_head_timeout` are 10 minutes)."
    )


def run(work: Path) -> Iterator[Case]:
    """All cases, against three servers."""
    files = certificate(work)
    tls = "--ssl-certificate", str(files.chain), "--ssl-keyfile", str(files.key)

    def judge(
        variant: str, app: str, arguments: tuple[str, ...], options: tuple[str, ...]
    ) -> Iterator[Case]:
        with served(*arguments, *_IDLE, app=app) as port:
            yield from _cases(variant, port, options, work)

    return side_by_side(
        judge("plain text", "asgi", ("--http", "2"), ()),
        judge("TLS", "asgi", tls, ("--tls", "--insecure")),
        judge("WSGI", "wsgi", ("--http", "2"), ()),
    )


def _program() -> Path:
    return installed_by_go(_PACKAGE)


def _cases(variant: str, port: int, options: tuple[str, ...], work: Path) -> Iterator[Case]:
    report = work / f"{variant.replace(' ', '-')}.xml"
    report.unlink(missing_ok=True)
    command: list[str | Path] = [
        _program(),
        "--port",
        str(port),
        *options,
        "--strict",
        "--timeout",
        _SECONDS,
    ]
    said = subprocess.run(
        [*command, "--junit-report", report], capture_output=True, text=True, check=False
    )
    (work / f"{report.stem}.txt").write_text(said.stdout + said.stderr)
    if not report.exists():
        yield Case("the run", variant, "h2spec", False, said.stdout + said.stderr)
        return
    judged = 0
    for case in ElementTree.parse(report).iter("testcase"):
        judged += 1
        package = case.get("package", "")
        wrong = [child for child in case if child.tag in ("failure", "error", "skipped")]
        detail = "; ".join(child.tag + ": " + _text(child) for child in wrong)
        name = f"{package}: {case.get('classname')}"
        yield Case(_GROUPS[package.partition("/")[0]], variant, name, not wrong, detail)
    expected = _number_of_cases(command)
    if judged != expected:
        yield Case("the run", variant, "all cases", False, f"{judged} of {expected}")


def _text(element: ElementTree.Element) -> str:
    return " ".join("".join(element.itertext()).split())


def _number_of_cases(command: list[str | Path]) -> int:
    """How many cases there are: what is numbered in the list of them."""
    listed = subprocess.run([*command, "--dryrun"], capture_output=True, text=True, check=True)
    numbers = (line.split(":")[0].strip() for line in listed.stdout.splitlines() if ":" in line)
    return sum(number.isdigit() for number in numbers)
