"""Applications that tell what their process is: for the tests of the settings of processes.

Imports what a worker has loaded anyway: the interpreter's library may be out of another user's
reach.
"""

from __future__ import annotations

import os
import resource
import sys

from tests.arbiter.apps import respond


def facts() -> dict[str, object]:
    mask = os.umask(0)
    os.umask(mask)
    with open("/proc/self/cmdline") as file:  # noqa: PTH123
        title = file.read().rstrip("\0")
    return {
        "pid": os.getpid(),
        "cwd": os.getcwd(),  # noqa: PTH109
        "env": dict(os.environ),
        "gids": [os.getgid(), os.getegid()],
        "groups": os.getgroups(),
        "nofile": resource.getrlimit(resource.RLIMIT_NOFILE),
        "path": sys.path,
        "title": title,
        "uids": [os.getuid(), os.geteuid()],
        "umask": mask,
    }


at_import = facts()


async def told(scope, receive, send) -> None:
    """Answer with the facts of the process as they were at the import, and as they are now."""
    assert scope["type"] == "http"
    await respond(send, repr({"import": at_import, "now": facts()}))
