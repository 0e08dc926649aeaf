"""The files of certificates and keys: which they are, what lies in them, and whether that has
changed.

Must not know what is made of it. Imports nothing that would cost the arbiter memory. Any thread may
call it.
"""

from __future__ import annotations

import os

from granite.errors import BootError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from granite.settings.config import Config

__all__ = ["LOOKS", "Look", "files_of", "open_files", "read_descriptors", "read_files"]


# Seconds between two looks whether they have changed.
LOOKS = 1.0


class Look:
    """Whether the files have changed since they were tried last, which at first is now.

    A change counts when the next look finds it unchanged, since certificate and key are two files
    and are written one after the other.
    """

    __slots__ = ("_seen", "_tried")

    def __init__(self, config: Config) -> None:
        self._tried = self._seen = _identities(config)

    def again(self, config: Config) -> bool:
        """Look once more; say whether they are to be tried now."""
        found = _identities(config)
        is_still = found == self._seen
        self._seen = found
        if not is_still or found == self._tried:
            return False
        self._tried = found
        return True


def files_of(config: Config) -> dict[str, str]:
    """Return the files of certificates and keys, with the setting that names each."""
    files: dict[str, str] = {}
    if config.ssl_certificate:
        files.update(dict.fromkeys(config.ssl_certificate, "ssl_certificate"))
        for path in config.ssl_keyfile:
            files.setdefault(path, "ssl_keyfile")
        if config.ssl_keyfile_password_file is not None:
            files[config.ssl_keyfile_password_file] = "ssl_keyfile_password_file"
        if config.ssl_client_verify != "none" and config.ssl_ca is not None:
            files.setdefault(config.ssl_ca, "ssl_ca")
            for path in config.ssl_crl:
                files.setdefault(path, "ssl_crl")
    return files


def read_files(config: Config) -> dict[str, bytes]:
    """Return what lies in `files_of(config)`; raises BootError for one that cannot be read."""
    return {path: _read(name, path) for path, name in files_of(config).items()}


def open_files(config: Config) -> dict[str, int]:
    """Return the descriptors of `files_of(config)`; raises BootError for one that cannot be
    opened.
    """
    opened: dict[str, int] = {}
    try:
        for path, name in files_of(config).items():
            opened[path] = _open(name, path)
    except BaseException:
        for fd in opened.values():
            os.close(fd)
        raise
    return opened


def read_descriptors(paths: bytes, fds: Sequence[int]) -> dict[str, bytes]:
    """Return what lies in files that somebody else has opened, from their beginning; `paths` has
    their names, with null bytes between. Raises BootError for one that cannot be read.
    """
    names = paths.decode("utf-8", "surrogateescape").split("\0")
    try:
        return {name: _whole(fd) for name, fd in zip(names, fds, strict=True)}
    except (OSError, ValueError) as exc:
        raise BootError(f"cannot read the files that were handed down: {exc}") from None


def _identities(config: Config) -> dict[str, tuple[int, int, int, int] | None]:
    return {path: _identity(path) for path in files_of(config)}


def _identity(path: str) -> tuple[int, int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 (of what a symbolic link leads to)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _whole(fd: int) -> bytes:
    data = b""
    # Without a position of its own: others read by the same descriptor.
    while piece := os.pread(fd, 65536, len(data)):
        data += piece
    return data


def _read(name: str, path: str) -> bytes:
    fd = _open(name, path)
    try:
        with open(fd, "rb") as file:  # noqa: PTH123
            return file.read()
    except OSError as exc:
        raise BootError(f"{name}: cannot read {path}: {reason(exc)}") from None


def _open(name: str, path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as exc:
        raise BootError(f"{name}: cannot read {path}: {reason(exc)}") from None
