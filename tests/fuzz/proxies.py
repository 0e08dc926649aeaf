"""What proxies say: headers of the PROXY protocol, and fields about their clients.

Owns well-formed ones, to be broken. Must not know servers.
"""

from __future__ import annotations

import struct

__all__ = ["FIELDS", "HEADERS", "SIGNATURE"]

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_V4 = bytes([192, 0, 2, 1, 10, 0, 0, 1]) + struct.pack("!HH", 5000, 443)
HEADERS = (
    b"PROXY TCP4 192.0.2.1 10.0.0.1 5000 443\r\n",
    b"PROXY TCP6 2001:db9::1 ::2 5000 443\r\n",
    b"PROXY UNKNOWN\r\n",
    SIGNATURE + b"\x21\x11\0\x0c" + _V4,
    SIGNATURE + b"\x21\x11\0\x16" + _V4 + b"\x04\0\0\x20\0\x04\0\0\0\0",
    SIGNATURE + b"\x21\x21\0\x24" + bytes(range(36)),
    SIGNATURE + b"\x20\0\0\0",
)
FIELDS = (
    b"Forwarded: for=1.2.3.4;proto=https;host=b:80",
    b'Forwarded: for="[2001:db8::1]:5", for=_x;by="a,\\"b"',
    b'Forwarded: for="";host="',
    b"X-Forwarded-For: 1.2.3.4, [::1]:5, unknown",
    b"X-Forwarded-For: ,10.0.0.1:8,",
    b"X-Forwarded-Proto: https, ws",
    b"X-Forwarded-Host: b:80, [::1]",
    b"X-Forwarded-Port: 80, 0, 65536",
    b"X-Forwarded-Prefix: /a%2Fb/, /\\, %",
    b"X-Real-IP: ::ffff:1.2.3.4",
    b"X-Request-Id: a-b",
    b"X-Request-Id: a b\xff",
    b"Authorization: Basic YTpi",
    b'User-Agent: a"b\\c\xff',
)
