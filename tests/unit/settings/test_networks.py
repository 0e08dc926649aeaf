"""The notation of networks and of the headers that are believed."""

from __future__ import annotations

import pytest

from granite._core.address import Networks
from granite.errors import UsageError
from granite.settings.config import Config

BELIEVED = ("x-forwarded-for", "x-forwarded-proto")
ALL = (*BELIEVED, "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("*", ("*",)),  # gunicorn, uvicorn, Granian
        (["*"], ("*",)),
        ("127.0.0.1,::1", ("127.0.0.1", "::1")),
        ("10.0.0.1, 192.168.0.0/16", ("10.0.0.1", "192.168.0.0/16")),
        ("2001:db8::/32", ("2001:db8::/32",)),
        ("::ffff:10.0.0.0/104", ("::ffff:10.0.0.0/104",)),
        ("0.0.0.0/0,::/0", ("0.0.0.0/0", "::/0")),
        ("unix:", ("unix:",)),
        ("", ()),
        ([], ()),
    ],
)
def test_networks(value, expected):
    config = Config(forwarded_allow_ips=value)
    assert config.forwarded_allow_ips == expected
    Networks(expected)  # the core reads the same


@pytest.mark.parametrize(
    "value",
    [
        *("localhost", "10.0.0", "10.0.0.256", "010.0.0.1", "10.0.0.0/33", "10.0.0.0/", "/8"),
        *("10.0.0.1/8", "2001:db8::1/32", "::/129", "fe80::1%eth0", "[::1]", "10.0.0.*"),
        *("10.0.0.0/255.0.0.0", "10.0.0.0/-1", "10.0.0.0/٨", "**", "unix:/run/x", 10),
    ],
)
def test_no_networks(value):
    with pytest.raises(
        UsageError, match=r"^forwarded_allow_ips: expected a list of addresses, net"
    ):
        Config(forwarded_allow_ips=value)


@pytest.mark.parametrize(
    ("value", "meant"),
    [("127.0.0.1,10.0.0.1/8", "10.0.0.0/8"), ("2001:db8::1/32", "2001:db8::/32")],
)
def test_an_address_inside_of_a_network(value, meant):
    with pytest.raises(UsageError, match=f", got {value!r} .did you mean {meant!r}"):
        Config(forwarded_allow_ips=value)


@pytest.mark.parametrize("entry", ["localhost", "10.0.0.0/33", "::ffff:0.0.0.0/64", ""])
def test_the_core_refuses_what_is_no_network(entry):
    with pytest.raises(ValueError, match="expected a"):
        Networks([entry])


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("forwarded_headers", "X-Forwarded", ALL),
        ("forwarded_headers", "x-forwarded-proto,X-Real-IP", ("x-forwarded-proto", "x-real-ip")),
        ("forwarded_headers", "x-forwarded,x-forwarded-for", ALL),
        ("forwarded_headers", ["Forwarded"], ("forwarded",)),
        ("forwarded_headers", "none", ()),
        ("forwarded_headers", True, BELIEVED),
        ("forwarded_headers", False, ()),
        ("proxy_headers", True, BELIEVED),  # uvicorn
        ("proxy_headers", False, ()),
    ],
)
def test_headers(name, value, expected):
    assert Config(**{name: value}).forwarded_headers == expected


@pytest.mark.parametrize("value", ["x-forwarded-by", "x_forwarded_for", "*", 1, "none,forwarded"])
def test_no_headers(value):
    with pytest.raises(UsageError, match=r"^forwarded_headers: expected a list of x-forwarded-for"):
        Config(forwarded_headers=value)
