"""The notation of where a log goes."""

from __future__ import annotations

import pytest

from granite.settings.destination import Destination


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("-", "-"),
        ("stdout", "stdout"),
        ("/dev/stderr", "stderr"),
        ("error.log", "error.log"),
        ("/var/log/x y.log", "/var/log/x y.log"),
        ("syslog", "syslog:///dev/log"),
        ("syslog:///run/log", "syslog:///run/log"),
        ("syslog+udp://logs", "syslog+udp://logs:514"),
        ("syslog+tcp://logs:1514", "syslog+tcp://logs:1514"),
        ("syslog+udp://[::1]:5", "syslog+udp://[::1]:5"),
        ("syslog+udp://[::1]", "syslog+udp://[::1]:514"),
    ],
)
def test_destination(text, normal):
    assert str(Destination.parse(text)) == normal


@pytest.mark.parametrize(
    "text",
    [
        *("", "logs/", "a\nb", "file:///x", "udp://host", "syslog://host", "syslog+udp://"),
        *("syslog+udp://host:", "syslog+udp://host:0", "syslog+tcp://h:65536", "syslog+tcp://h:x"),
        *("syslog+tcp://::1:5", "syslog+tcp://[::1", "syslog+tcp://[h]:1", "syslog+tcp://h/x:1"),
    ],
)
def test_no_destination(text):
    with pytest.raises(ValueError):
        Destination.parse(text)
