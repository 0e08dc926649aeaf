"""The notation of where a log goes.

Owns the reading of `-`, `stdout`, `stderr`, a file's path, `syslog`, `syslog:///PATH`,
`syslog+udp://HOST:PORT` and `syslog+tcp://HOST:PORT`. Must not know how any of them is opened. Pure
functions: any thread may call them.
"""

from __future__ import annotations

from granite.settings.base import decimal

__all__ = [
    "EXPECTED",
    "FILE",
    "STANDARD",
    "STDERR",
    "STDOUT",
    "SYSLOG",
    "SYSLOG_TCP",
    "SYSLOG_UDP",
    "Destination",
]

EXPECTED = (
    "-, stdout, stderr, a file's path, syslog, syslog:///PATH, syslog+udp://HOST:PORT or "
    "syslog+tcp://HOST:PORT"
)

# The stream that is usual for the log in question.
STANDARD = "-"
STDOUT = "stdout"
STDERR = "stderr"
FILE = "file"
# A Unix socket on this machine.
SYSLOG = "syslog"
SYSLOG_UDP = "syslog+udp"
SYSLOG_TCP = "syslog+tcp"

_SOCKET = "/dev/log"
_PORT = 514
# Opening these again is not the same: where a stream is a socket, as below systemd, it fails.
_STREAMS = {
    "-": STANDARD,
    "stdout": STDOUT,
    "stderr": STDERR,
    "/dev/stdout": STDOUT,
    "/dev/stderr": STDERR,
}


class Destination:
    """Where a log goes. `kind` is one of this module's words.

    `path` belongs to FILE and SYSLOG, `host` and `port` to SYSLOG_UDP and SYSLOG_TCP.
    """

    __slots__ = ("host", "kind", "path", "port")

    def __init__(self, kind: str, *, path: str = "", host: str = "", port: int = 0) -> None:
        self.kind = kind
        self.path = path
        self.host = host
        self.port = port

    @classmethod
    def parse(cls, text: str) -> Destination:
        """Read one destination; raise ValueError if `text` is none."""
        if text in _STREAMS:
            return cls(_STREAMS[text])
        if text == "syslog":
            return cls(SYSLOG, path=_SOCKET)
        scheme, separator, rest = text.partition("://")
        if separator and scheme == SYSLOG:
            if not rest.startswith("/") or "\0" in rest:
                raise ValueError
            return cls(SYSLOG, path=rest)
        if separator and scheme in (SYSLOG_UDP, SYSLOG_TCP):
            host, port = _host_and_port(rest)
            return cls(scheme, host=host, port=port)
        if not text or separator or text.endswith("/") or not text.isprintable():
            raise ValueError
        return cls(FILE, path=text)

    def __str__(self) -> str:
        if self.kind == FILE:
            return self.path
        if self.kind == SYSLOG:
            return f"syslog://{self.path}"
        if self.kind in (SYSLOG_UDP, SYSLOG_TCP):
            host = f"[{self.host}]" if ":" in self.host else self.host
            return f"{self.kind}://{host}:{self.port}"
        return self.kind


def _host_and_port(text: str) -> tuple[str, int]:
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or ":" not in host or (rest and not rest.startswith(":")):
            raise ValueError
        separator, port = rest[:1], rest[1:]
    else:
        host, separator, port = text.partition(":")
    if not host or not host.isascii() or not host.isprintable() or set(host) & set(" /@?#"):
        raise ValueError
    number = decimal(port, 65535) if separator else _PORT
    if not number:
        raise ValueError
    return host, number
