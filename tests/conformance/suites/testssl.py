"""testssl.sh: protocols, ciphers, certificates and known vulnerabilities of TLS."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from granite.local_authority import LocalCertificate
from granite.settings import BY_NAME
from tests.conformance.model import Case
from tests.conformance.served import certificate, served, side_by_side
from tests.conformance.tools import without

TITLE = "testssl.sh"

# What it says in its own report, section by section, and in ours.
_GROUPS = {
    "protocols": "protocols",
    "ciphers": "kinds of ciphers",
    "pfs": "forward secrecy",
    "serverPreferences": "the server's preferences",
    "serverDefaults": "handshake and certificate",
    "headerResponse": "fields of responses",
    "vulnerabilities": "known vulnerabilities",
}
# Findings that are neither OK nor INFO for a reason that is not granite's.
_ALLOWED = {
    "cert_revocation": "the certificate is a test's, whose authority publishes no revocations",
    "cert_validityPeriod": "a certificate for tests is valid for long",
    "DNS_CAArecord": "localhost has no records",
    "security_headers": "fields for browsers are the application's",
}


def missing() -> str:
    """The script, and OpenSSL, which it is about."""
    return without("testssl", "openssl")


def about() -> str:
    """Which testssl.sh, and what it may find."""
    said = subprocess.run(["testssl", "--version"], capture_output=True, text=True, check=False)
    version = next(word for word in said.stdout.split() if word[0].isdigit())
    allowed = "; ".join(f"`{name}`, since {reason}" for name, reason in _ALLOWED.items())
    return (
        f"[testssl.sh](https://testssl.sh) {version}, all of its checks, with an ECDSA certificate"
        " on P-256 and `ssl_hsts`. A finding passes if it is OK or INFO. Others pass by name:"
        f" {allowed}."
    )


def run(work: Path) -> Iterator[Case]:
    """All checks, with the versions of TLS that can be set."""
    files = certificate(work)
    runs = [_judge("TLS 1.3", files, work)]
    if not BY_NAME["ssl_protocol_min"][0].reserved:
        runs.append(_judge("TLS 1.2 and 1.3", files, work, "--ssl-protocol-min", "tls1.2"))
    return side_by_side(*runs)


def _judge(variant: str, files: LocalCertificate, work: Path, *arguments: str) -> Iterator[Case]:
    report = work / f"{variant.replace(' ', '-')}.json"
    report.unlink(missing_ok=True)
    tls = "--ssl-certificate", str(files.chain), "--ssl-keyfile", str(files.key)
    hsts = "--ssl-hsts", "max-age=31536000; includeSubDomains"
    with served(*tls, *hsts, *arguments) as port:
        said = subprocess.run(
            [
                *("testssl", "--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1"),
                *("--add-ca", str(files.authority), "--jsonfile-pretty", str(report)),
                f"localhost:{port}",
            ],
            cwd=work,
            capture_output=True,
            text=True,
            check=False,
        )
    (work / f"{report.stem}.txt").write_text(said.stdout + said.stderr)
    if not report.exists():
        yield Case("the run", variant, "testssl.sh", False, said.stdout + said.stderr)
        return
    [result] = json.loads(report.read_text())["scanResult"]
    for section, group in _GROUPS.items():
        if not result.get(section):
            yield Case(group, variant, section, False, "there is nothing of it in the report")
        for found in result.get(section, ()):
            name, severity = found["id"], found["severity"]
            ok = severity in ("OK", "INFO") or name in _ALLOWED
            yield Case(group, variant, name, ok, f"{severity}: {found['finding']}")
