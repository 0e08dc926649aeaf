"""The notation of an address to listen on.

Owns the reading of `HOST:PORT`, `[IPV6]:PORT`, `:PORT`, `unix:PATH`, `unix:@NAME` and `fd://N`,
and the kinds of values that are a part of one.
Must not know how a socket is opened. Pure functions: any thread may call them.
"""

from __future__ import annotations

import _socket

from granite.settings.base import Kind, decimal

__all__ = [
    "ABSTRACT",
    "DESCRIPTOR",
    "TCP",
    "UNIX",
    "Address",
    "addresses_of",
    "host",
    "port_address",
]

TCP = "tcp"
UNIX = "unix"
# A Unix socket of Linux without a file: its name begins with a zero byte.
ABSTRACT = "abstract"
# An open socket that the parent process hands over.
DESCRIPTOR = "fd"

_DEFAULT_PORT = "8000"


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

        `HOST` is a name, a number, or empty or `*` (every IPv4 address, `0.0.0.0`); a host without
        a port listens on 8000, as with gunicorn. A number alone is refused: gunicorn takes it for a
        host, while who writes it means a port. `unix://PATH` and `tcp://HOST:PORT` are gunicorn's
        too.
        """
        scheme, slashes, rest = text.partition("://")
        scheme = scheme.lower()
        if text[:5].lower() == "unix:":
            return cls._unix(text[5:].removeprefix("//"))
        if not slashes:
            return cls._tcp(text)
        if scheme == "fd":
            return cls(DESCRIPTOR, fd=decimal(rest, 1_000_000))
        if scheme in ("tcp", "http", "https"):
            return cls._tcp(rest)
        raise ValueError

    @classmethod
    def _unix(cls, name: str) -> Address:
        if not name or "\0" in name:
            raise ValueError
        if not name.startswith("@"):
            return cls(UNIX, name=name)
        if name == "@":
            raise ValueError
        return cls(ABSTRACT, name=name[1:])

    @classmethod
    def _tcp(cls, text: str) -> Address:
        if text.startswith("["):
            host, bracket, port = text[1:].partition("]")
            if not bracket or not _is_ipv6(host) or port[:1] not in ("", ":"):
                raise ValueError
            port = port[1:] if port else _DEFAULT_PORT
        else:
            host, colon, port = text.rpartition(":")
            if not colon:
                host, port = text, _DEFAULT_PORT
            if host == "*" or (colon and not host):
                host = "0.0.0.0"
            # A host of the name unix would read as a Unix socket.
            if not _is_name(host) or host.lower() == UNIX:
                raise ValueError
        return cls(TCP, host=host, port=decimal(port, 65535))

    def __str__(self) -> str:
        if self.kind == UNIX:
            # Two slashes at the start of a path would read as those of a URL.
            return f"unix://{self.name}" if self.name.startswith("//") else f"unix:{self.name}"
        if self.kind == ABSTRACT:
            return f"unix:@{self.name}"
        if self.kind == DESCRIPTOR:
            return f"fd://{self.fd}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def addresses_of(bind: object, uds: object, host: object, port: object) -> list[Address]:
    """Return where these settings want to listen: `bind` replaces `uds`, and that the others."""
    if bind:
        assert isinstance(bind, tuple)
        return [Address.parse(text) for text in bind]
    if uds is not None:
        assert isinstance(uds, str)
        return [Address(UNIX, name=uds)]
    assert isinstance(host, str)
    assert isinstance(port, int)
    return [Address(TCP, host="0.0.0.0" if host == "*" else host, port=port)]


def host() -> Kind:
    """An address or a name to listen on. The empty text, which systems take for all addresses, is
    none.
    """

    def read(value: object) -> str:
        if not isinstance(value, str) or not value.isprintable() or not value.strip():
            raise ValueError
        if ":" in value and not _is_ipv6(value):
            raise ValueError
        return value

    return Kind("an address or a name", "HOST", read)


def port_address() -> Kind:
    """The number of a port as text, of which every IPv4 address is made: a list of one address."""

    def read(value: object) -> tuple[str, ...]:
        assert isinstance(value, str)
        return (str(Address(TCP, host="0.0.0.0", port=decimal(value, 65535))),)

    return Kind("an integer from 0 to 65535", "PORT", read, several=True)


def _is_ipv6(text: str) -> bool:
    number, percent, zone = text.partition("%")
    try:
        _socket.inet_pton(_socket.AF_INET6, number)
    except (OSError, ValueError):  # ValueError: it holds a zero byte
        return False
    return not percent or (zone != "" and all(c.isalnum() or c in "-._" for c in zone))


def _is_name(text: str) -> bool:
    """Say whether it can be a host's name or an IPv4 address in full."""
    if text.isascii() and text.replace(".", "").isdigit():
        try:
            _socket.inet_pton(_socket.AF_INET, text)
        except OSError:
            return False
        return True
    return text != "" and all(c.isalnum() or c in ".-_" for c in text)
