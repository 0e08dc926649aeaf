"""The server's certificate and key, from the settings to what the core takes.

Owns reading the files and the one-line message about what is wrong with them. Must not know who
serves. The core's TLS, and with it libcrypto, is loaded only where a certificate is set. Any thread
may call it.
"""

from __future__ import annotations

from granite.errors import BootError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granite._core.transport import SecureContext
    from granite.settings.config import Config

__all__ = ["KeyMaterial", "load_context", "read_material"]


class KeyMaterial:
    """Certificate and key as they lie in their files: bytes, which a fork may copy. What is made of
    them belongs to the process that serves.
    """

    __slots__ = ("_certificate", "_chain", "_key", "_key_file", "_password")

    def __init__(self, certificate: str, key_file: str | None, password: str | None) -> None:
        self._certificate = certificate
        self._key_file = key_file or certificate
        self._password = password
        self._chain = _read("ssl_certificate", certificate)
        self._key = self._chain if key_file is None else _read("ssl_keyfile", key_file)
        # Now, while all files can be read, and so that processes that are forked share it.
        import granite._core.tls  # noqa: F401

    def context(self) -> SecureContext:
        """Return what makes connections secure. Raises BootError for a wrong password, and a
        certificate that has expired or does not belong to the key.
        """
        from granite._core.tls import TlsContext

        try:
            return TlsContext(self._chain, self._key, self._password)
        except ValueError as exc:
            if self._password is None and b"ENCRYPTED" in self._key:
                raise BootError(
                    f"TLS: {self._key_file}: the key is encrypted; expected an "
                    "ssl_keyfile_password, got none"
                ) from None
            if self._key is self._chain and b"PRIVATE KEY" not in self._key:
                raise BootError(
                    f"TLS: {self._certificate}: there is no private key in it; expected an "
                    "ssl_keyfile, got none"
                ) from None
            files = ", ".join(dict.fromkeys((self._certificate, self._key_file)))
            raise BootError(f"TLS: {files}: {exc}") from None


def read_material(config: Config) -> KeyMaterial | None:
    """Return the server's certificate and key, or None where no certificate is set.

    Without `ssl_keyfile` the key is looked for in the certificate's file. A process that gives up
    its privileges calls it before, one that forks afterwards makes the context in the child. Raises
    BootError for a file that cannot be read.
    """
    if config.ssl_certificate is None:
        return None
    return KeyMaterial(config.ssl_certificate, config.ssl_keyfile, config.ssl_keyfile_password)


def load_context(config: Config) -> SecureContext | None:
    """Return what makes connections secure, or None where no certificate is set: both steps at
    once. Raises BootError as they do.
    """
    material = read_material(config)
    return None if material is None else material.context()


def _read(name: str, path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read()
    except OSError as exc:
        raise BootError(f"{name}: cannot read {path}: {reason(exc)}") from None
