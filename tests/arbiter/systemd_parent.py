"""What systemd does before it executes a service with sockets, as a script.

    python systemd_parent.py FD,FD NAME:NAME granite's arguments …

The descriptors are moved to 3 and up, the variables name this process, and granite replaces it.
`-` stands for no names.
"""

from __future__ import annotations

import fcntl
import os
import sys


def main() -> None:
    descriptors, names, *arguments = sys.argv[1:]
    # Out of the way first: one of them may be where another belongs.
    passed = [int(fd) for fd in descriptors.split(",") if fd]
    sources = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in passed]
    for fd in passed:
        os.close(fd)
    for target, source in enumerate(sources, 3):
        os.dup2(source, target)
        os.close(source)
    os.environ["LISTEN_PID"] = str(os.getpid())
    os.environ["LISTEN_FDS"] = str(len(sources))
    if names != "-":
        os.environ["LISTEN_FDNAMES"] = names
    os.execv(sys.executable, [sys.executable, "-m", "granite", *arguments])


main()
