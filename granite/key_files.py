"""The files of certificates and keys: which they are, and what lies in them.

Must not know what is made of it. Imports nothing that would cost the arbiter memory. Any thread may
call it.
"""

from __future__ import annotations

from granite.errors import BootError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granite.settings.config import Config

__all__ = ["files_of", "read_files"]


def files_of(config: Config) -> dict[str, str]:
    """Return the files of certificates and keys, with the setting that names each."""
    files: dict[str, str] = {}
    if config.ssl_certificate:
        files.update(dict.fromkeys(config.ssl_certificate, "ssl_certificate"))
        for path in config.ssl_keyfile:
            files.setdefault(path, "ssl_keyfile")
        if config.ssl_keyfile_password_file is not None:
            files[config.ssl_keyfile_password_file] = "ssl_keyfile_password_file"
    return files


def read_files(config: Config) -> dict[str, bytes]:
    """Return what lies in `files_of(config)`; raises BootError for one that cannot be read."""
    return {path: _read(name, path) for path, name in files_of(config).items()}


def _read(name: str, path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read()
    except OSError as exc:
        raise BootError(f"{name}: cannot read {path}: {reason(exc)}") from None
