"""An application that tells what it has inherited, for the tests of socket activation."""

from __future__ import annotations

import json
import os
import subprocess
import sys


async def inherited(scope, receive, send) -> None:
    """Answer with the environment, and with the descriptors that a child of the worker has."""
    assert scope["type"] == "http"
    child = subprocess.run(  # noqa: ASYNC221
        [sys.executable, "-c", "import os; print(*os.listdir('/proc/self/fd'))"],
        close_fds=False,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    told = {
        "environ": dict(os.environ),
        "server": scope["server"],
        "child": sorted(map(int, child.stdout.split())),
    }
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})
