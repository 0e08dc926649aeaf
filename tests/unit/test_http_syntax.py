"""The syntax of single values, against an oracle that is made of patterns."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from granite._core import http, http1
from tests.wire import oracle

pytestmark = pytest.mark.c_alone


def joined(*pieces: bytes) -> st.SearchStrategy[bytes]:
    """Values that are made of these and of any other octets."""
    octets = st.binary(min_size=1, max_size=1)
    return st.lists(st.sampled_from(pieces) | octets, max_size=12).map(b"".join)


thorough = settings(max_examples=1000)

HOSTS = joined(
    *(b"a", b"b.c", b".", b"-", b"_", b":", b"80", b"[", b"]", b"::", b"1", b"ffff", b"1.2.3.4"),
    *(b"v1.", b"%41", b"%", b"%4", b",", b"@", b"/", b"\xe9", b"[::1]", b"2001:db8:0:0:0:0:0:1"),
)


@thorough
@given(HOSTS)
@example(b"[" + b"1" * 62 + b"]")
@example(b"[" + b"1" * 70 + b"]")
@example(b"[::\x00]")
@example(b"[v1.]")
def test_host(value: bytes) -> None:
    assert http.check_host(value) == oracle.is_host(value)


LISTS = joined(
    *(b"chunked", b"Chunked", b"gzip", b"close", b"CLOSE", b"keep-alive", b"100-continue"),
    *(b",", b", ", b" ", b"\t", b";", b"=", b'"', b"x"),
)


@thorough
@given(LISTS.map(lambda value: value.strip(b" \t")))
def test_coding(value: bytes) -> None:
    assert http1.check_coding(value) == oracle.coding_status(value)


@thorough
@given(LISTS)
def test_expectations(value: bytes) -> None:
    assert http.check_expectations(value) == oracle.is_continue(value)


@thorough
@given(LISTS, st.sampled_from((b"close", b"keep-alive")))
def test_token(value: bytes, lower: bytes) -> None:
    elements = [element.strip(b" \t").lower() for element in value.split(b",")]
    assert http.check_token(value, lower) == (lower in elements)


@thorough
@given(joined(b"%", b"%4", b"%41", b"%fF", b"a", b"%%"))
def test_encoding(value: bytes) -> None:
    broken = re.search(rb"%(?![0-9A-Fa-f]{2})", value)
    assert http.check_encoding(value) == (broken is None)
