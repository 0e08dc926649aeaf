"""A certificate and its key that a test exchanges while a server shows them."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import trustme
from cryptography import x509

from tests.patience import PATIENCE


class Pair:
    """A certificate and its key in `folder`, which can be written anew, in several ways."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.authority.configure_trust(self.context)
        self.folder, self.chain, self.key = folder, folder / "chain.pem", folder / "key.pem"
        self.issue()

    @property
    def options(self) -> tuple[str, ...]:
        return "--ssl-certificate", str(self.chain), "--ssl-keyfile", str(self.key)

    def _issue(self, folder: Path) -> int:
        issued = self.authority.issue_cert("127.0.0.1")
        issued.cert_chain_pems[0].write_to_path(folder / "chain.pem")
        issued.private_key_pem.write_to_path(folder / "key.pem")
        data = issued.cert_chain_pems[0].bytes()
        return x509.load_pem_x509_certificate(data).serial_number

    def issue(self) -> int:
        """Write in place; return the serial number."""
        return self._issue(self.folder)

    def rename(self) -> int:
        """Put new files in their place, one after the other."""
        new = self.folder / "new"
        new.mkdir(exist_ok=True)
        number = self._issue(new)
        for path in (self.chain, self.key):
            (new / path.name).replace(path)
        return number

    def link(self) -> int:
        """Put another folder in the place of the one in which both lie, as Kubernetes does."""
        new = self.folder / f"version{len(list(self.folder.iterdir()))}"
        new.mkdir()
        number = self._issue(new)
        (self.folder / "new_data").symlink_to(new, target_is_directory=True)
        (self.folder / "new_data").replace(self.folder / "data")
        for path in (self.chain, self.key):
            if not path.is_symlink():
                path.unlink()
                path.symlink_to(Path("data") / path.name)
        return number

    def connect(self, port: int) -> ssl.SSLSocket:
        sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
        return self.context.wrap_socket(sock, server_hostname="127.0.0.1")

    def serial(self, sock: ssl.SSLSocket) -> int:
        der = sock.getpeercert(binary_form=True)
        assert der is not None
        return x509.load_der_x509_certificate(der).serial_number

    def shown(self, port: int) -> set[int]:
        """Return the serial numbers that a few connections see."""
        found = set()
        for _ in range(6):
            with self.connect(port) as sock:
                found.add(self.serial(sock))
        return found
