"""The notation of an address to listen on.

Owns the reading of `HOST:PORT`, `[IPV6]:PORT`, `:PORT`, `unix:PATH`, `unix:@NAME` and `fd://N`. Must not
know how a socket is opened. Pure functions: any thread may call them.
"""

from __future__ import annotations

__all__ = ["ABSTRACT", "DESCRIPTOR", "TCP", "UNIX", "Address"]

TCP = "tcp"
UNIX = "unix"
# A Unix socket of Linux without a file: its name begins with a zero byte.
ABSTRACT = "abstract"
# An open socket that the parent process hands over.
DESCRIPTOR = "fd"


class Address:
    """Where to listen. `kind` is TCP, UNIX, ABSTRACT or DESCRIPTOR.

    `host` and `port` belong to TCP, `name` is the path or the abstract name without its zero byte,
    `fd` the number of a descriptor.
    """

    __slots__ = ("fd", "host", "kind", "name", "port")

    def __init__(
        self, kind: str, *, host: str = "", port: int = 0, name: str = "", fd: int = -1
    ) -> None:
        self.kind = kind
        self.host = host
        self.port = port
        self.name = name
        self.fd = fd

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read one address; raise ValueError if `text` is none.

        `HOST` may be a name, empty or `*` (every address, `0.0.0.0`); a host without a port listens
        on 8000, as a port is optional with gunicorn.
        """
        lowered = text.lower()
        if lowered.startswith("unix:"):
            return cls._unix(text[5:].removeprefix("//"))
        if lowered.startswith("fd://"):
            return cls(DESCRIPTOR, fd=_number(text[5:], 1_000_000))
        for scheme in ("tcp://", "http://", "https://"):
            if lowered.startswith(scheme):
                text = text[len(scheme) :]
        return cls._tcp(text)

    @classmethod
    def _unix(cls, name: str) -> Address:
        if name.startswith("@"):
            if len(name) < 2:
                raise ValueError
            return cls(ABSTRACT, name=name[1:])
        if not name or "\0" in name:
            raise ValueError
        return cls(UNIX, name=name)

    @classmethod
    def _tcp(cls, text: str) -> Address:
        if text.startswith("["):
            host, bracket, rest = text[1:].partition("]")
            if not bracket or not host or (rest and not rest.startswith(":")):
                raise ValueError
            port = rest[1:] if rest else "8000"
        else:
            host, colon, port = text.rpartition(":")
            if not colon:
                host, port = text, "8000"
            if ":" in host or (not host and not colon):
                raise ValueError
        if host and not all(c.isalnum() or c in ".-_:%*" for c in host):
            raise ValueError
        return cls(TCP, host="0.0.0.0" if host in ("", "*") else host, port=_number(port, 65535))

    def __str__(self) -> str:
        if self.kind == UNIX:
            return f"unix:{self.name}"
        if self.kind == ABSTRACT:
            return f"unix:@{self.name}"
        if self.kind == DESCRIPTOR:
            return f"fd://{self.fd}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _number(text: str, maximum: int) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > maximum:
        raise ValueError
    return int(text)
