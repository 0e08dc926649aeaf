"""The server's certificates and keys, from the settings to what the core takes.

Owns what is made of the files and the one-line message about what is wrong with them. Must not know
who serves. The core's TLS, and with it libcrypto, is loaded only where a certificate is set. Any
thread may call it.
"""

from __future__ import annotations

from granite._core.errorlog import error_log
from granite.errors import BootError
from granite.key_files import LOOKS, Look, files_of, read_descriptors, read_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from granite._core.tls import Certificate, ClientCheck, OlderVersions, TlsContext
    from granite.settings.config import Config
    from granite.tickets import Timers

__all__ = ["KeyMaterial", "Renewal", "load_context", "read_material", "renew"]


class KeyMaterial:
    """Certificates and keys as they lie in their files: bytes, which a fork may copy. What is made
    of them belongs to the process that serves.

    `contents` has what lies in each of the files, by path, and `former` what was good before, which
    is used with an error in the log where nothing can be made of the contents.
    """

    __slots__ = ("_config", "_contents", "_former")

    def __init__(
        self,
        config: Config,
        contents: Mapping[str, bytes],
        former: Mapping[str, bytes] | None = None,
    ) -> None:
        self._config = config
        self._contents = contents
        self._former = former

    def renew(self, paths: bytes, fds: Sequence[int]) -> None:
        """Take what lies in the files now, which somebody else has opened; see `granite.key_files`.
        Raises BootError.
        """
        self._contents = read_descriptors(paths, fds)

    def context(self, warn: Callable[[str], object] | None = None) -> TlsContext:
        """Return what makes connections secure; raises BootError as `parts()` does."""
        from granite._core.tls import TlsContext

        http = self._config.http
        return TlsContext(*self.parts(warn), older=_older_versions(self._config), http=http)

    def parts(
        self, warn: Callable[[str], object] | None = None
    ) -> tuple[list[Certificate], ClientCheck | None]:
        """Return what the core takes. `warn`, in place of the log, is told of certificates that are
        not valid yet. Raises BootError for a wrong password, a certificate that has expired or does
        not belong to its key, and files of which nothing can be made.
        """
        try:
            return self._certificates(warn or error_log.warning), self._clients()
        except BootError as exc:
            if not self._former:
                raise
            _tell_kept(exc)
            self._contents, self._former = self._former, None
            return self.parts(warn)

    def _certificates(self, warn: Callable[[str], object]) -> list[Certificate]:
        config = self._config
        password = config.ssl_keyfile_password
        if config.ssl_keyfile_password_file is not None:
            text = self._contents[config.ssl_keyfile_password_file].decode("utf-8", "replace")
            password = text.partition("\n")[0].rstrip("\r")
        made = []
        keys = config.ssl_keyfile or config.ssl_certificate
        for path, key in zip(config.ssl_certificate, keys, strict=True):
            certificate = self._certificate(path, key, password)
            if certificate.early:
                warn(f"TLS: {path}: the certificate is not valid yet")
            made.append(certificate)
        return made

    def _clients(self) -> ClientCheck | None:
        config = self._config
        if config.ssl_client_verify == "none" or config.ssl_ca is None:
            return None
        from granite._core.tls import ClientCheck

        depth, required = config.ssl_verify_depth, config.ssl_client_verify == "required"
        path = config.ssl_ca
        try:
            check = ClientCheck(self._contents[path], depth, required)
            for path in config.ssl_crl:
                check.revoke(self._contents[path])
        except ValueError as exc:
            raise BootError(f"TLS: {path}: {exc}") from None
        return check

    def _certificate(self, path: str, key_path: str, password: str | None) -> Certificate:
        from granite._core.tls import Certificate

        chain, key = self._contents[path], self._contents[key_path]
        try:
            return Certificate(chain, key, password)
        except ValueError as exc:
            if not password and b"ENCRYPTED" in key:
                raise BootError(
                    f"TLS: {key_path}: the key is encrypted; expected an "
                    "ssl_keyfile_password, got none"
                ) from None
            if key_path == path and b"PRIVATE KEY" not in key:
                raise BootError(
                    f"TLS: {path}: there is no private key in it; expected an ssl_keyfile, got none"
                ) from None
            files = ", ".join(dict.fromkeys((path, key_path)))
            raise BootError(f"TLS: {files}: {exc}") from None


def read_material(config: Config, former: Mapping[str, bytes] | None = None) -> KeyMaterial | None:
    """Return the server's certificates and keys, or None where no certificate is set. `former` is
    what somebody has kept of these files, for the case that nothing can be made of them now.

    Without `ssl_keyfile` the keys are looked for in the certificates' files. A process that gives
    up its privileges calls it before, one that forks afterwards makes the context in the child.
    Raises BootError for a file that cannot be read.
    """
    if not config.ssl_certificate:
        return None
    if former is not None and former.keys() != files_of(config).keys():
        former = None
    try:
        contents = read_files(config)
    except BootError as exc:
        if former is None:
            raise
        _tell_kept(exc)
        contents, former = dict(former), None
    # Now, while all files can be read, and so that processes that are forked share it.
    import granite._core.tls  # noqa: F401

    _older_versions(config)
    return KeyMaterial(config, contents, former)


def _tell_kept(exc: BootError) -> None:
    error_log.error("the certificates stay as they were: %s", exc)


def _older_versions(config: Config) -> OlderVersions | None:
    """Return what serves clients that know no TLS 1.3; where the settings refuse them libssl is not
    loaded.
    """
    if config.ssl_protocol_min == "tls1.3":
        return None
    from granite._core.tls12 import Tls12

    return Tls12()


def renew(context: TlsContext, config: Config, paths: bytes, fds: Sequence[int]) -> None:
    """Have `context` show what lies in the files now, which somebody else has opened: see
    `granite.key_files`. Raises BootError as `parts()` does; then it shows what it did.
    """
    contents = read_descriptors(paths, fds)
    if files_of(config).keys() - contents.keys():
        raise BootError("TLS: the settings name other files than those of this worker")
    context.renew(*KeyMaterial(config, contents).parts())


class Renewal:
    """Has `context` show what the files of `config` have, as long as it is on, where no arbiter
    looks at them. On the thread of the event loop that serves.
    """

    def __init__(self, context: TlsContext, config: Config, loop: Timers) -> None:
        self._context = context
        self._config = config
        self._loop = loop
        self._look = Look(config)
        self._timer = loop.call_later(LOOKS, self._go_on)

    def stop(self) -> None:
        """Look no more; idempotent."""
        self._timer.cancel()

    def _go_on(self) -> None:
        if self._look.again(self._config):
            try:
                self._context.renew(*KeyMaterial(self._config, read_files(self._config)).parts())
            except BootError as exc:
                _tell_kept(exc)
            else:
                error_log.info("TLS: who connects now gets the certificates that the files have")
        self._timer = self._loop.call_later(LOOKS, self._go_on)


def load_context(config: Config) -> TlsContext | None:
    """Return what makes connections secure, or None where no certificate is set: both steps at
    once. Raises BootError as they do.
    """
    material = read_material(config)
    return None if material is None else material.context()
