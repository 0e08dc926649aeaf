"""The server's certificate and key, from the settings to what the core takes.

Owns reading the files and the one-line message about what is wrong with them. Must not know who
serves. The core's TLS, and with it libcrypto, is loaded only where a certificate is set. Any thread
may call it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from granite.errors import BootError, reason

if TYPE_CHECKING:
    from granite._core.transport import SecureContext
    from granite.settings.config import Config

__all__ = ["load_context"]


def load_context(config: Config) -> SecureContext | None:
    """Return what makes connections secure, or None where no certificate is set.

    Without `ssl_keyfile` the key is looked for in the certificate's file. In a process that gives
    up its privileges, call it before. Raises BootError for a file that cannot be read, a wrong
    password, and a certificate that has expired or does not belong to the key.
    """
    if config.ssl_certificate is None:
        return None
    chain = _read("ssl_certificate", config.ssl_certificate)
    key_file = config.ssl_keyfile or config.ssl_certificate
    key = chain if config.ssl_keyfile is None else _read("ssl_keyfile", key_file)
    from granite._core.tls import TlsContext

    try:
        return TlsContext(chain, key, config.ssl_keyfile_password)
    except ValueError as exc:
        if config.ssl_keyfile_password is None and b"ENCRYPTED" in key:
            raise BootError(
                f"TLS: {key_file}: the key is encrypted; expected an ssl_keyfile_password, got none"
            ) from None
        raise BootError(f"TLS: {config.ssl_certificate}, {key_file}: {exc}") from None


def _read(name: str, path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read()
    except OSError as exc:
        raise BootError(f"{name}: cannot read {path}: {reason(exc).lower()}") from None
