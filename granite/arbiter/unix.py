"""Unix sockets: the file, who may connect, and what is left of an earlier server.

Owns the making and the removal of the socket's file. Must not know who accepts. Main thread of the
arbiter.

Theory of operation: nobody can connect before listen(), so whatever decides who may is done before
it. A file that is there already is replaced only if it is a socket at which nobody listens. Two
servers that start at the same path in the same instant may each take the other for a remnant; the
later one then has the path, and the earlier one leaves its file alone.
"""

from __future__ import annotations

import _socket
import errno
import os
import stat

from granite import process
from granite.errors import BootError, GraniteError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granite.settings.config import Config

__all__ = ["SocketFile", "open_abstract", "open_file", "remove_named"]


class SocketFile:
    """The file of a Unix socket, as it was made; raises OSError if there is none."""

    __slots__ = ("_identity", "_path")

    def __init__(self, path: str) -> None:
        # The working directory may be another by the end.
        self._path = os.path.abspath(path)  # noqa: PTH100 (pathlib costs the arbiter memory)
        self._identity = _identity(self._path)

    @property
    def name(self) -> str:
        """The address by which a successor of this server asks for the socket: it wants the one
        that has this file, and none whose file was replaced.
        """
        return f"unix:{self._path}:{':'.join(str(part) for part in self._identity)}"

    def give_to(self, config: Config) -> None:
        """Give the file the owner and the permissions that `config` names; what is refused stays
        as it is.
        """
        try:
            if _identity(self._path) == self._identity:
                _give(self._path, *_owner(config.uds_owner), _mode(config))
        except (OSError, GraniteError):
            pass

    def remove(self) -> None:
        """Delete the file if it is still the one that was made. What keeps it from being deleted is
        not worth an error at the server's end: the next start replaces it.
        """
        try:
            if _identity(self._path) == self._identity:
                os.unlink(self._path)  # noqa: PTH108
        except OSError:
            pass


def remove_named(name: str) -> None:
    """Delete the file of a socket that nobody listens at any more, if it is still the one that its
    SocketFile has named so.
    """
    path = name.removeprefix("unix:").rsplit(":", 3)[0]
    try:
        file = SocketFile(path)
    except OSError:
        return
    if file.name == name:
        file.remove()


def open_file(path: str, config: Config) -> tuple[int, SocketFile]:
    """Make a Unix socket at `path` with the owner and the permissions that `config` names; return
    its descriptor, which listens, and its file.

    Where `uds_permissions` is None, `umask` decides, or else that of the process. Raises OSError as
    the system does; BootError for an owner that does not exist or a file in the way; UsageError for
    an owner that is none.
    """
    user, group = _owner(config.uds_owner)
    mode = _mode(config)
    _make_way(path)
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    file = None
    try:
        _bind(sock, path, mode)
        file = SocketFile(path)
        # The umask of bind has set the permissions, unless the directory has a default access list.
        _give(path, user, group, mode)
        sock.listen(config.backlog)
        sock.setblocking(False)
    except BaseException:
        if file is not None:
            file.remove()
        sock.close()
        raise
    return sock.detach(), file


def open_abstract(name: str, backlog: int) -> int:
    """Listen at the abstract address `name`, without its zero byte; return the descriptor.

    Anybody on the machine may connect: there is no file whose permissions could say otherwise.
    """
    import sys

    if sys.platform != "linux":
        raise BootError(f"cannot listen on unix:@{name}: only Linux has abstract sockets")
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        _name(sock, b"\0" + os.fsencode(name))
        sock.listen(backlog)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock.detach()


def _mode(config: Config) -> int | None:
    if config.uds_permissions is None and config.umask is not None:
        return 0o777 & ~config.umask
    return config.uds_permissions


def _give(path: str, user: int, group: int, mode: int | None) -> None:
    if (user, group) != (-1, -1):
        os.chown(path, user, group, follow_symlinks=False)
    if mode is not None and stat.S_IMODE(os.lstat(path).st_mode) != mode:
        os.chmod(path, mode)  # noqa: PTH101


def _bind(sock: _socket.socket, path: str, mode: int | None) -> None:
    if mode is None:
        _name(sock, path)
        return
    usual = os.umask(0o777 & ~mode)
    try:
        _name(sock, path)
    finally:
        os.umask(usual)


def _name(sock: _socket.socket, name: str | bytes) -> None:
    try:
        sock.bind(name)
    except OSError as exc:
        if exc.errno is None:  # Python's own refusal
            raise OSError(errno.ENAMETOOLONG, "longer than a socket's name may be") from None
        raise


def _make_way(path: str) -> None:
    """Delete the socket of a server that is gone."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise BootError(f"cannot listen on unix:{path}: the file is there and is no socket")
    probe = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        probe.setblocking(False)
        code = probe.connect_ex(path)
    finally:
        probe.close()
    if code == errno.ECONNREFUSED:
        os.unlink(path)  # noqa: PTH108
    elif code in (0, errno.EAGAIN, errno.EINPROGRESS, errno.EPROTOTYPE):
        raise BootError(f"cannot listen on unix:{path}: the socket is in use")
    elif code != errno.ENOENT:
        raise OSError(code, os.strerror(code))


def _identity(path: str) -> tuple[int, int, int]:
    found = os.lstat(path)
    # An inode's number is given again once the socket is closed; the time tells the two apart.
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _owner(text: str | None) -> tuple[int, int]:
    """Return the numbers of the user and the group, -1 where none is named."""
    if text is None:
        return -1, -1
    user, colon, group = text.partition(":")
    if ":" in group or (colon and not group) or not (user or group):
        raise UsageError(f"uds_owner: expected USER, USER:GROUP or :GROUP, got {text!r}")
    return (
        process.find_user(user, "uds_owner")[0] if user else -1,
        process.find_group(group, "uds_owner") if group else -1,
    )
