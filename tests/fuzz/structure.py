"""Mutations that know what a message is made of: words, fields, line ends, lengths, chunks.

Owns what is put in the place of what. Must not know servers. Pure functions of the random generator
that is passed in: any thread may call them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from tests.fuzz import proxies

__all__ = ["WAYS"]

_LINE_ENDS = (
    b"\n",
    b"\r",
    b"\r\r\n",
    b"\n\r",
    b"\r\n\r\n",
    b"\r\n ",
    b"\r\n\t",
    b" \r\n",
    b"\x00\r\n",
    b"",
)
_BLANKS = b" ", b"\t", b"  ", b"\x0b", b"\x0c", b"\xa0", b"\r\n ", b""
_METHODS = (
    *(b"GET", b"HEAD", b"POST", b"OPTIONS", b"CONNECT", b"TRACE", b"get", b"BREW", b"GETX", b"PRI"),
    *(b"M-SEARCH", b"A" * 32, b"A" * 33, b"G@T", b"", b"SOURCE"),
)
_TARGETS = (
    *(b"/", b"*", b"/a?b", b"/a#b", b"//a", b"a", b"", b"/%41", b"/%4", b"/%zz", b"?", b"/\xe9"),
    *(b"http://b/c", b"http://b", b"HTTP://b:80?c", b"https://b/", b"http:///a", b"http://u@b/"),
    *(b"http://[::1]:1/", b"http://[::1", b"ftp://b/", b"b:80", b"http://b,c/", b'/<>"{}|\\^`[]'),
)
_VERSIONS = (
    *(b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/01.1", b"HTTP/1.10"),
    *(b"http/1.1", b"RTSP/1.0", b"", b"HTTP/1.1 "),
)
_FIELDS = (
    *(b"Host: a", b"Host: b", b"Host:", b"Host: a b", b"hOST: [::1]:80", b"Host: a,b", b"Host_: a"),
    *(b"Content-Length: 0", b"Content-Length: 3", b"Content-Length: 5, 5", b"Content-Length: +1"),
    *(b"Content-Length: 18446744073709551615", b"content_length: 3", b"Content-Length:", b"X:"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"TE: trailers"),
    *(b"Transfer-Encoding: chunked, gzip", b"Transfer-Encoding: ,chunked", b"Trailer: X"),
    *(
        b"Transfer_Encoding: chunked",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding : chunked",
    ),
    *(b"Connection: close", b"Connection: keep-alive", b"Connection: close, x", b"Connection: ,"),
    *(b"Connection: upgrade\r\nUpgrade: h2c", b"Connection: closed", b"Proxy-Connection: close"),
    *(b"Expect: 100-continue", b"Expect: 100-continue, x", b"Expect:", b"X: a\x00b", b"X: \xff\t"),
    *(b" X: y", b"\tX: y", b"X y", b": y", b"X\x0b: y", b"X: " + b"y" * 300, b"x" * 70 + b": y"),
    *proxies.FIELDS,
)
_NUMBERS = (
    *(
        b"0",
        b"1",
        b"2",
        b"5",
        b"10",
        b"00",
        b"0005",
        b"-1",
        b"+1",
        b"0x5",
        b"1_0",
        b"f",
        b"ff",
        b"5 ",
    ),
    *(b"4294967296", b"9223372036854775807", b"9223372036854775808", b"18446744073709551616", b""),
    *(b"ffffffffffffffff", b"10000000000000000", b"0" * 40 + b"3"),
)
_EXTENSIONS = (
    *(
        b";",
        b";a",
        b";a=b",
        b";a=",
        b";=b",
        b";;",
        b"; a",
        b" ;a",
        b';a="b"',
        b';a="b',
        b';a="\\""',
    ),
    *(b';a=b"c"', b';a="b"c', b";a;b=c", b";\n", b";a\r", b";a\x00", b';a="\xe9\t"', b";a=b=c"),
)
_SIZE_LINE = re.compile(rb"(?<=\r\n)[0-9a-fA-F]+(?=[;\r])")
_NUMBER = re.compile(rb"[0-9]+")


def _splice(data: bytearray, start: int, end: int, put: bytes) -> None:
    data[start:end] = put


def _any_match(pattern: re.Pattern[bytes], data: bytearray, rng: random.Random):
    found = list(pattern.finditer(data))
    return rng.choice(found) if found else None


def _lines(data: bytearray) -> list[tuple[int, int]]:
    """Start and end, with its line end, of each line."""
    ends = [found.end() for found in re.finditer(rb"\r\n", data)]
    return list(zip([0, *ends], ends, strict=False))


def _line_end(data: bytearray, rng: random.Random) -> None:
    lines = _lines(data)
    if lines:
        end = rng.choice(lines)[1]
        _splice(data, end - 2, end, rng.choice(_LINE_ENDS))


def _drop_line(data: bytearray, rng: random.Random) -> None:
    lines = _lines(data)
    if lines:
        start, end = rng.choice(lines)
        _splice(data, start, end, b"")


def _copy_line(data: bytearray, rng: random.Random) -> None:
    lines = _lines(data)
    if lines:
        start, end = rng.choice(lines)
        at = rng.choice(lines)[0]
        _splice(data, at, at, bytes(data[start:end]))


def _new_field(data: bytearray, rng: random.Random) -> None:
    lines = _lines(data)
    if lines:
        at = rng.choice(lines)[1]
        _splice(data, at, at, rng.choice(_FIELDS) + b"\r\n")


def _other_field(data: bytearray, rng: random.Random) -> None:
    lines = _lines(data)[1:]
    if lines:
        start, end = rng.choice(lines)
        _splice(data, start, max(end - 2, start), rng.choice(_FIELDS))


def _blanks(data: bytearray, rng: random.Random) -> None:
    found = _any_match(re.compile(rb"[ :;=,]"), data, rng)
    if found is not None:
        at = rng.choice((found.start(), found.end()))
        _splice(data, at, at, rng.choice(_BLANKS))


def _case(data: bytearray, rng: random.Random) -> None:
    found = _any_match(re.compile(rb"[A-Za-z]+"), data, rng)
    if found is not None:
        _splice(
            data, found.start(), found.end(), rng.choice((found[0].swapcase(), found[0].upper()))
        )


def _hyphen(data: bytearray, rng: random.Random) -> None:
    found = _any_match(re.compile(rb"-"), data, rng)
    if found is not None:
        _splice(data, found.start(), found.end(), b"_")


def _number(data: bytearray, rng: random.Random) -> None:
    found = _any_match(_NUMBER, data, rng)
    if found is not None:
        _splice(data, found.start(), found.end(), rng.choice(_NUMBERS))


def _size(data: bytearray, rng: random.Random) -> None:
    found = _any_match(_SIZE_LINE, data, rng)
    if found is not None:
        _splice(data, found.start(), found.end(), rng.choice(_NUMBERS))


def _extension(data: bytearray, rng: random.Random) -> None:
    found = _any_match(_SIZE_LINE, data, rng)
    if found is not None:
        _splice(data, found.end(), found.end(), rng.choice(_EXTENSIONS))


def _request_line(data: bytearray, rng: random.Random) -> None:
    lines = _lines(data)
    if not lines:
        return
    start, end = rng.choice((lines[0], rng.choice(lines)))
    words = bytes(data[start : end - 2]).split(b" ")
    which = rng.randrange(3)
    if which < len(words):
        words[which] = rng.choice((_METHODS, _TARGETS, _VERSIONS)[which])
    _splice(data, start, end - 2, b" ".join(words))


WAYS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    *(_line_end, _drop_line, _copy_line, _new_field, _new_field, _other_field, _other_field),
    *(_blanks, _case, _hyphen, _number, _size, _extension, _request_line, _request_line),
)
