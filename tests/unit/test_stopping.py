"""What tells applications of WSGI that the server is going to stop."""

from __future__ import annotations

import threading

from granite.serving import Stopping
from tests.patience import PATIENCE


def test_it_is_told_once_and_for_all():
    stopping = Stopping()
    assert not stopping.is_set()
    assert stopping.wait(0) is False
    assert stopping.wait(-1) is False
    stopping.set()
    stopping.set()
    assert stopping.is_set()
    assert stopping.wait() is stopping.wait(0) is True


def test_all_who_wait_are_told():
    stopping = Stopping()
    told: list[bool] = []
    threads = [
        threading.Thread(target=lambda: told.append(stopping.wait()), daemon=True) for _ in "123"
    ]
    for thread in threads:
        thread.start()
    stopping.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert told == [True] * 3
