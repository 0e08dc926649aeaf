"""What a process is to the system: its user and group, its limits, its file mode mask, its title.

Owns the settings user, group, umask, rlimit_nofile and process_name. Must not know what the process
does. The arbiter finds everything out before it opens anything; only a worker gives root up. Main
thread of the arbiter, and of a worker before it serves.
"""

from __future__ import annotations

import os

from granite.errors import BootError, reason
from granite.settings.base import decimal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from granite.settings.config import Config

__all__ = ["Identity", "Titles", "find_group", "find_user", "keep_streams", "limit", "owner"]


class Identity:
    """The user and group that workers run as. `uid` is None where only the group is another, `name`
    is None where the user has no name.
    """

    __slots__ = ("gid", "name", "uid")

    def __init__(self, uid: int | None, gid: int, name: str | None) -> None:
        self.uid = uid
        self.gid = gid
        self.name = name

    @classmethod
    def look_up(cls, config: Config) -> Identity | None:
        """Return what `user` and `group` name, None if they are not set; raise BootError, in one
        line, for a name that nobody has.
        """
        if config.user is None and config.group is None:
            return None
        uid, name, gid = (None, None, None) if config.user is None else find_user(config.user)
        if config.group is not None:
            gid = find_group(config.group)
        if gid is None:
            raise BootError(
                f"user: there is no user with the number {config.user}, and so no group of its "
                "own; set group as well"
            )
        return cls(uid, gid, name)

    @classmethod
    def find(cls, config: Config) -> Identity | None:
        """Return what `user` and `group` name, None if that is what this process is already.

        Raises BootError like `look_up`, and for another identity than the process's own if that is
        not root.
        """
        found = cls.look_up(config)
        if found is None or os.geteuid() == 0:
            return found
        if found.uid not in (None, os.geteuid()):
            raise BootError(f"user: only root can run workers as {config.user!r}")
        if config.group is not None and found.gid != os.getegid():
            raise BootError(f"group: only root can run workers with the group {config.group!r}")
        return None

    def assume(self) -> None:
        """Become this user and group, for good; raise BootError if the system does not let go."""
        try:
            if self.name is not None:
                os.initgroups(self.name, self.gid)
            else:
                os.setgroups([self.gid])
            os.setgid(self.gid)
            if self.uid is not None:
                os.setuid(self.uid)
        except OSError as exc:
            raise BootError(f"cannot give up root: {reason(exc)}") from None
        held = {os.getgid(), os.getegid()} == {self.gid}
        if self.uid is not None:
            held = held and {os.getuid(), os.geteuid()} == {self.uid}
        if not held or (self.uid and _can_be_root()):
            raise BootError("cannot give up root: the system keeps another user or group")


def owner(identity: Identity | None) -> tuple[int, int] | None:
    """Return the user and group that a worker's files must belong to, as numbers; None if that is
    who opens them anyway.
    """
    if identity is None:
        return None
    return os.geteuid() if identity.uid is None else identity.uid, identity.gid


def keep_streams() -> None:
    """Open what is closed of the standard input, output and error: their numbers must not come to
    name a socket, to which somebody's output would go.
    """
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:  # noqa: PERF203
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
            os.set_inheritable(fd, True)


def limit(config: Config) -> None:
    """Set the file mode creation mask and the limit of open files, for this process and its
    children.

    Raises BootError if the system refuses the limit that was asked for.
    """
    if config.umask is not None:
        os.umask(config.umask)
    from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit, setrlimit

    soft, hard = getrlimit(RLIMIT_NOFILE)
    wanted = config.rlimit_nofile or hard
    enough = hard == RLIM_INFINITY or wanted <= hard
    try:
        if wanted != soft:
            setrlimit(RLIMIT_NOFILE, (wanted, hard if enough else wanted))
    except (OSError, ValueError):
        if config.rlimit_nofile:  # else nobody asked; macOS refuses what it calls unlimited
            raise BootError(
                f"rlimit_nofile: the system allows at most {hard} open files, got {wanted}"
            ) from None


class Titles:
    """The names of the processes in ps and top: `granite: arbiter`, `granite: worker 1 [app]`.

    Without setproctitle they stay as they are; raises BootError if a name was asked for.
    """

    __slots__ = ("_application", "_name", "_set")

    def __init__(self, config: Config) -> None:
        self._set = _load_setproctitle()
        if self._set is None and config.process_name is not None:
            raise BootError("process_name: setproctitle is not installed; install granite[pname]")
        self._name = config.process_name or "granite"
        self._application = (config.target or "app").removesuffix(":app")

    def arbiter(self) -> None:
        """Give this process the arbiter's title."""
        self._show("arbiter")

    def template(self) -> None:
        """Give this process the title of the one that workers are forked from."""
        self._show(f"template [{self._application}]")

    def worker(self, index: int) -> None:
        """Give this process the title of the worker in the slot `index`."""
        self._show(f"worker {index} [{self._application}]")

    def watcher(self) -> None:
        """Give this process the title of the one that watches files."""
        self._show("watcher")

    def _show(self, role: str) -> None:
        if self._set is not None:
            self._set(f"{self._name}: {role}")


def find_user(text: str, setting: str = "user") -> tuple[int, str | None, int | None]:
    """Return number, name and group of the user that `text` names; a number need not have the last
    two. Raises BootError, which names `setting`, if there is none.
    """
    import pwd

    try:
        entry = pwd.getpwnam(text)
    except (KeyError, UnicodeError):
        number = _number(text, "user", setting)
        try:
            entry = pwd.getpwuid(number)
        except KeyError:
            return number, None, None
    return entry.pw_uid, entry.pw_name, entry.pw_gid


def find_group(text: str, setting: str = "group") -> int:
    """Return the number of the group that `text` names. Raises BootError, which names `setting`, if
    there is none.
    """
    import grp

    try:
        return grp.getgrnam(text).gr_gid
    except (KeyError, UnicodeError):
        return _number(text, "group", setting)


def _number(text: str, what: str, setting: str) -> int:
    try:
        return decimal(text, 2**32 - 2)  # one more means "leave it as it is" to the system
    except ValueError:
        raise BootError(f"{setting}: there is no {what} {text!r}") from None


def _can_be_root() -> bool:
    try:
        os.setuid(0)
    except OSError:
        return False
    return True


def _load_setproctitle() -> Callable[[str], None] | None:
    """Return the function of the C module; its package would load `logging`, which costs the
    arbiter 2 MiB.
    """
    from importlib.machinery import PathFinder

    package = PathFinder.find_spec("setproctitle")
    if package is None:
        return None
    name = "setproctitle._setproctitle"
    spec = PathFinder.find_spec(name, package.submodule_search_locations)
    if spec is None or spec.loader is None:
        return None
    try:
        module = spec.loader.create_module(spec)
        if module is None:
            return None
        spec.loader.exec_module(module)
    except ImportError:
        return None
    found: Callable[[str], None] = module.setproctitle
    return found
