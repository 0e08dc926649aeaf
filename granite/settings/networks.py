"""The kinds of values that name proxies and the fields in which they tell of their clients.

Owns the notation of networks and of lists of fields. Must not know what is believed of whom. Pure
functions: any thread may call them. Without `ipaddress`, whose import would cost the arbiter
memory.
"""

from __future__ import annotations

import _socket

from granite.settings.base import Kind, SlipError, decimal
from granite.settings.kinds import boolean, items

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granite.settings.base import Value

__all__ = ["BELIEVED", "FIELDS", "fields", "networks", "proxy_headers"]

X_FORWARDED = tuple(f"x-forwarded-{what}" for what in ("for", "proto", "host", "port", "prefix"))
FIELDS = (*X_FORWARDED, "x-real-ip", "forwarded")
# What each proxy sets that sets anything: who believes a field that a proxy passes on believes the
# client.
BELIEVED = X_FORWARDED[:2]
# A word for several of them.
_WORDS = {"x-forwarded": X_FORWARDED, "none": ()}


def networks() -> Kind:
    """Several addresses or networks, `unix:` for who comes over a Unix socket, `*` for everybody;
    as text with commas between.
    """
    several = items("a list of addresses, networks such as 10.0.0.0/8, unix: or *", "ADDRESS")

    def read(value: object) -> Value:
        entries = several.read(value)
        assert isinstance(entries, tuple)
        return tuple(map(_entry, entries))

    return Kind(several.expected, several.metavar, read, show=several.show, several=True)


def fields() -> Kind:
    """Several of FIELDS, in any case; as text with commas between. `x-forwarded` are all five of
    that name, `none` is no field; true and false mean BELIEVED and none.
    """
    several = items(f"a list of {', '.join((*FIELDS, 'x-forwarded'))}, or none", "FIELD")

    def read(value: object) -> Value:
        try:
            return BELIEVED if switch.read(value) else ()
        except ValueError:
            pass
        entries = several.read(value)
        assert isinstance(entries, tuple)
        found: list[str] = []
        for entry in map(str.lower, entries):
            if entry not in FIELDS and entry not in _WORDS:
                raise ValueError
            found += _WORDS.get(entry, (entry,))
        if found and "none" in map(str.lower, entries):
            raise ValueError
        return tuple(dict.fromkeys(found))

    switch = boolean()
    return Kind(several.expected, several.metavar, read, show=several.show, several=True)


def proxy_headers() -> Kind:
    """The same by uvicorn's name, which is a switch there."""
    return Kind("true or false", "", fields().read, flags=(BELIEVED, ()))


def _entry(text: str) -> str:
    if text in ("*", "unix:"):
        return text
    address, slash, length = text.partition("/")
    family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
    try:
        packed = _socket.inet_pton(family, address)
    except OSError:
        raise ValueError from None
    if slash:
        rest = len(packed) * 8 - decimal(length, len(packed) * 8)
        number = int.from_bytes(packed, "big")
        network = number >> rest << rest
        # An address inside of a network, where a network is meant, is more likely a slip.
        if network != number:
            address = _socket.inet_ntop(family, network.to_bytes(len(packed), "big"))
            raise SlipError(f"{address}/{length}")
    return text
