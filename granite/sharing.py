"""What an application makes at its import that processes forked afterwards cannot share.

Owns how it is found and what is said of it. Must not know who forks. Main thread of a template,
or of the process of `granite check`. Linux (`/proc`); elsewhere it finds threads only.
"""

from __future__ import annotations

import os
import stat
import threading
from contextlib import suppress

__all__ = ["Census"]

_FDS = "/proc/self/fd"
_EVENT_LOOP = "anon_inode:[eventpoll]"


class Census:
    """The threads and descriptors of this process at the time when it is made."""

    __slots__ = ("_links", "_threads")

    def __init__(self) -> None:
        self._threads = threading.enumerate()
        self._links = _links()

    def remarks(self) -> list[str]:
        """Return a line for each kind of thing that has been made since."""
        added = {fd: link for fd, link in _links().items() if self._links.get(fd) != link}
        threads = [thread.name for thread in threading.enumerate() if thread not in self._threads]
        peers = [peer for fd in added if (peer := _peer(fd)) is not None]
        files = [link for fd, link in added.items() if _is_written_to(fd)]
        said = (
            (threads, "starts threads ({}), which no worker has"),
            (peers, "opens connections ({}), which all workers share"),
            (files, "opens files to change them ({}), which all workers share"),
            (
                ["asyncio"] if _EVENT_LOOP in added.values() else [],
                "makes an event loop, which no worker runs",
            ),
        )
        return [
            f"preload: the application's import {text.format(', '.join(dict.fromkeys(names)))}; "
            "leave that to its lifespan"
            for names, text in said
            if names
        ]


def _links() -> dict[int, str]:
    found = {}
    try:
        names = os.listdir(_FDS)  # noqa: PTH208
    except OSError:
        return {}
    for name in names:
        with suppress(OSError):  # the one of the directory itself
            found[int(name)] = os.readlink(f"{_FDS}/{name}")  # noqa: PTH115
    return found


def _peer(fd: int) -> str | None:
    """Return with whom the stream `fd` connects this process, None if it is no such stream."""
    try:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            return None
        import socket  # which costs the workers memory

        with socket.socket(fileno=os.dup(fd)) as duplicate:
            if duplicate.type != socket.SOCK_STREAM:
                return None
            name = duplicate.getpeername()
    except OSError:  # it is not connected
        return None
    if isinstance(name, tuple):
        host, port, *_ = name
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    # One without a name is a pair within the process.
    return os.fsdecode(name) or None


def _is_written_to(fd: int) -> bool:
    """Say whether a file is open for changes anywhere, as databases are and logs are not."""
    import fcntl

    try:
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        regular = stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError:
        return False
    return regular and flags & os.O_ACCMODE != os.O_RDONLY and not flags & os.O_APPEND
