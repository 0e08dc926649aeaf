"""An authority for one machine, and a certificate from it: for tests, and for one's own browser.

Owns the files that it writes. The authority's key is written nowhere: nothing else will ever be
signed by it. Needs the package trustme (extra `granite[tls]`). Any thread may call it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from granite.errors import BootError

if TYPE_CHECKING:
    import datetime
    from collections.abc import Sequence

__all__ = ["NAMES", "LocalCertificate"]

NAMES = ("localhost", "127.0.0.1", "::1")


class LocalCertificate:
    """The files in `folder`: `authority` is what a client has to trust, `chain` and `key` are the
    server's.
    """

    def __init__(self, folder: Path) -> None:
        self.authority = folder / "ca.pem"
        self.chain = folder / "cert.pem"
        self.key = folder / "key.pem"

    @property
    def files(self) -> tuple[Path, ...]:
        """All of them."""
        return self.authority, self.chain, self.key

    def write(self, names: Sequence[str] = NAMES, until: datetime.datetime | None = None) -> None:
        """Make an authority and a certificate for `names`, host names and addresses. Raises
        BootError where trustme is not installed, and OSError.
        """
        try:
            import trustme
        except ImportError:
            raise BootError(
                "certificates are made by trustme, which is not installed; install granite[tls]"
            ) from None
        authority = trustme.CA(organization_name="granite's local authority")
        issued = authority.issue_cert(*names, common_name=names[0], not_after=until)
        authority.cert_pem.write_to_path(self.authority)
        issued.cert_chain_pems[0].write_to_path(self.chain)
        descriptor = os.open(self.key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123
            file.write(issued.private_key_pem.bytes())
