"""Marks of the tests over HTTP/2."""

from __future__ import annotations

import pytest

plain_and_tls = pytest.mark.parametrize("transport", ["plain", "tls"])
every_interface = pytest.mark.parametrize("interface", ["asgi", "rsgi", "wsgi"])
