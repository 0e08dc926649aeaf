"""Applications whose event loop is kept from turning, by the path that is asked for."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time

from tests.arbiter.apps import respond

KEPT: list[bytes] = []
ASKED = threading.Event()


def sleep_in_a_thread() -> None:
    time.sleep(600)


async def app(scope, receive, send) -> None:
    assert scope["type"] == "http"
    path = scope["path"]
    if path == "/sleep":
        print("asleep", flush=True)
        time.sleep(600)  # noqa: ASYNC251 (that is the point)
    elif path == "/nap":
        print("napping", flush=True)
        time.sleep(float(scope["query_string"]))  # noqa: ASYNC251
    elif path == "/nap-until":
        print("napping", flush=True)
        while not os.path.exists(scope["query_string"]):  # noqa: ASYNC240, PTH110
            time.sleep(0.01)  # noqa: ASYNC251
    elif path == "/nap-until-asked":
        ASKED.wait()
    elif path == "/c":
        print("counting", flush=True)
        sum(itertools.count())  # neither gives the GIL away nor looks for signals
    elif path == "/busy":
        for _ in range(int(scope["query_string"])):
            until = time.monotonic() + 0.05
            while time.monotonic() < until:
                pass
            await asyncio.sleep(0)
    elif path == "/thread":
        threading.Thread(target=sleep_in_a_thread, daemon=True).start()
    elif path == "/waiting":
        print("waiting", flush=True)
        await asyncio.sleep(600)
    elif path == "/fault":
        os.kill(os.getpid(), 11)
    elif path == "/kill":
        os.kill(os.getpid(), 9)
    elif path == "/eat":
        KEPT.append(b"x" * (int(scope["query_string"]) << 20))
    await respond(send, str(os.getpid()))
