"""`granite certs dev`: an authority and a certificate for one's own machine.

Owns what is said about them. Must not know how they are made. Runs on the main thread.
"""

from __future__ import annotations

from granite.cli.output import write
from granite.errors import EXIT_OK, BootError, UsageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["main"]

_FOLDER = "certs"
# Days: with more, some clients refuse a certificate, whoever has signed it.
_LIFETIME = 397

_TRUST = """\
To trust the authority {ca}:

  curl              curl --cacert {ca} https://localhost:8000/
  Python            SSL_CERT_FILE={ca} python ...
  Node              NODE_EXTRA_CA_CERTS={ca} node ...
  Debian, Ubuntu    sudo cp {ca} /usr/local/share/ca-certificates/granite-dev.crt
                    sudo update-ca-certificates
  Fedora, Arch      sudo trust anchor {ca}
  macOS             sudo security add-trusted-cert -d -r trustRoot \\
                      -k /Library/Keychains/System.keychain {ca}
  Windows           certutil -addstore -user Root {ca}
  Firefox           Settings, Certificates, View Certificates, Authorities, Import

Its key was thrown away: nobody can make another certificate that you would trust.
"""


def main(arguments: Sequence[str]) -> int:
    """Run `granite certs` with `arguments`; return the exit status."""
    if not arguments or arguments[0] != "dev":
        got = repr(arguments[0]) if arguments else "nothing"
        raise UsageError(f"certs: expected dev, got {got}")
    for name in arguments[1:]:
        if name.startswith("-"):
            raise UsageError(f"certs: expected names and addresses, got {name!r}")
    import datetime
    from pathlib import Path

    from granite.local_authority import NAMES, LocalCertificate

    names = tuple(arguments[1:]) or NAMES
    made = LocalCertificate(Path(_FOLDER))
    for path in made.files:
        if path.exists():
            raise BootError(f"certs: there is {path} already; remove it to have a new one")
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=_LIFETIME)
    try:
        Path(_FOLDER).mkdir(exist_ok=True)
        made.write(names, until)
    except OSError as exc:
        raise BootError(f"certs: cannot write {_FOLDER}: {reason(exc)}") from None
    except ValueError as exc:
        raise UsageError(f"certs: expected names and addresses: {exc}") from None
    write(_told(names, made.chain, made.key, f"{until:%Y-%m-%d}"))
    write(_TRUST.format(ca=made.authority))
    return EXIT_OK


def _told(names: Sequence[str], chain: Path, key: Path, until: str) -> str:
    return (
        f"{chain} is a certificate for {', '.join(names)}, until {until}; its key is {key}.\n\n"
        f"To serve with it:\n\n"
        f"  granite run app:app --ssl-certificate {chain} --ssl-keyfile {key}\n\n"
    )
