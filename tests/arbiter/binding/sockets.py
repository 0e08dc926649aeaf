"""What the tests of listening share: asking a listener, and the message of a refusal."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest

from granite.arbiter.listeners import Listener, open_listeners
from granite.errors import BootError
from granite.settings.config import Config
from tests.patience import PATIENCE

Listen = Callable[..., list[Listener]]


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
linux = pytest.mark.skipif(sys.platform != "linux", reason="a feature of Linux")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


def port_of(listener: Listener) -> int:
    return int(listener.url.rpartition(":")[2])


def connect(listener: Listener, host: str | None = None) -> None:
    """Connect over the URL of a listener; fails if nobody listens."""
    if listener.url.startswith("unix:"):
        with socket.socket(socket.AF_UNIX) as client:
            name = listener.url[5:]
            client.connect("\0" + name[1:] if name.startswith("@") else name)
    else:
        found = listener.url.removeprefix("http://").rpartition(":")[0].strip("[]")
        socket.create_connection((host or found, port_of(listener)), timeout=PATIENCE).close()


def message(**settings: Any) -> str:
    """The one line with which these settings are refused."""
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with pytest.raises(BootError) as caught:
        open_listeners(Config(**settings), {})
    assert set(os.listdir("/proc/self/fd")) == before, "a descriptor was left open"  # noqa: PTH208
    assert "\n" not in str(caught.value)
    return str(caught.value)
