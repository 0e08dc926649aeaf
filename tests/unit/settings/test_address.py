"""The notation of addresses: what is read, what is refused, and the way back to text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from granite.settings.address import ABSTRACT, DESCRIPTOR, TCP, UNIX, Address, host


def parts(address: Address) -> tuple[str, str, int, str, int]:
    return address.kind, address.host, address.port, address.name, address.fd


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:80", "127.0.0.1", 80),
        ("0.0.0.0:0", "0.0.0.0", 0),
        (":80", "0.0.0.0", 80),
        ("*:80", "0.0.0.0", 80),
        ("*", "0.0.0.0", 8000),
        ("localhost", "localhost", 8000),
        ("localhost:65535", "localhost", 65535),
        ("127.0.0.1", "127.0.0.1", 8000),
        ("my_host-1.example.org:8080", "my_host-1.example.org", 8080),
        ("bücher.example:1", "bücher.example", 1),
        ("[::1]:8000", "::1", 8000),
        ("[::]:80", "::", 80),
        ("[::1]", "::1", 8000),
        ("[::ffff:127.0.0.1]:80", "::ffff:127.0.0.1", 80),
        ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
        ("tcp://127.0.0.1:80", "127.0.0.1", 80),
        ("TCP://[::1]:80", "::1", 80),
        ("http://localhost:80", "localhost", 80),
        ("https://localhost:443", "localhost", 443),
    ],
)
def test_tcp(text: str, host: str, port: int) -> None:
    address = Address.parse(text)
    assert parts(address) == (TCP, host, port, "", -1)
    assert parts(Address.parse(str(address))) == parts(address)


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("unix:/run/x.sock", UNIX, "/run/x.sock"),
        ("unix:x.sock", UNIX, "x.sock"),
        ("UNIX:x.sock", UNIX, "x.sock"),
        ("unix:///run/x.sock", UNIX, "/run/x.sock"),
        ("unix://x.sock", UNIX, "x.sock"),
        ("unix:////x.sock", UNIX, "//x.sock"),
        ("unix:/with space/a://b@c", UNIX, "/with space/a://b@c"),
        ("unix:./@x", UNIX, "./@x"),
        ("unix:@granite", ABSTRACT, "granite"),
        ("unix:@/a/b@c", ABSTRACT, "/a/b@c"),
    ],
)
def test_unix(text: str, kind: str, name: str) -> None:
    address = Address.parse(text)
    assert parts(address) == (kind, "", 0, name, -1)
    assert parts(Address.parse(str(address))) == parts(address)


@pytest.mark.parametrize(("text", "fd"), [("fd://0", 0), ("fd://3", 3), ("FD://17", 17)])
def test_descriptor(text: str, fd: int) -> None:
    address = Address.parse(text)
    assert parts(address) == (DESCRIPTOR, "", 0, "", fd)
    assert str(address) == f"fd://{fd}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "host:",
        "host:http",
        "host:65536",
        "host:-1",
        "host:+1",
        "host: 80",
        "host:²",
        "unix",
        "tcp://unix:80",
        "8000",
        "1.2.3:80",
        "256.0.0.1:80",
        "::1",
        "::1:80",
        "[]:80",
        "[::1",
        "[::1]80",
        "[::1]:",
        "[localhost]:80",
        "[127.0.0.1]:80",
        "[fe80::1%]:80",
        "[::1\0]:80",
        "a*b:80",
        "a%b:80",
        "a/b:80",
        "a b:80",
        "http://localhost:80/",
        "ftp://localhost:80",
        "unix:",
        "unix://",
        "unix:@",
        "unix:a\0b",
        "unix:@a\0b",
        "fd://",
        "fd://x",
        "fd://-1",
        "fd://3:4",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Address.parse(text)


@given(st.text(alphabet="unixtcpfd:/@[].*%-_ 0189aé\0", max_size=24) | st.text())
def test_an_address_or_value_error(text: str) -> None:
    try:
        address = Address.parse(text)
    except ValueError:
        return
    assert parts(Address.parse(str(address))) == parts(address)
    assert str(Address.parse(str(address))) == str(address)


@pytest.mark.parametrize("value", ["", " ", "a\n", "\0", b"::1", None, 1, "a:80", "[::1]"])
def test_what_is_no_host(value):
    with pytest.raises(ValueError):
        host().read(value)
