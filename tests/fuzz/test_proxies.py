"""What proxies tell, broken at random: the server reads it as a plain reading in Python does.

`GRANITE_FUZZ_SEED` picks another seed, `GRANITE_FUZZ_COUNT` the number of messages of each test.
"""

from __future__ import annotations

import ipaddress
import json
import os
import random
import re
import socket
from typing import Any

from granite.testing import TestServer
from tests.fuzz.mutate import mutated
from tests.fuzz.proxies import HEADERS, SIGNATURE
from tests.server.raw import Client, request
from tests.wire.client import DELIVERIES, Talk, converse, split_responses

SEED = os.environ.get("GRANITE_FUZZ_SEED", "granite")
COUNT = int(os.environ.get("GRANITE_FUZZ_COUNT", "600"))
AT_ONCE = 50  # connections that are open at the same time
TRUSTED = ("127.0.0.1", "10.0.0.0/8", "2001:db8::/32")
NETWORKS = [ipaddress.ip_network(entry) for entry in TRUSTED]


async def tells(scope, receive, send) -> None:
    body = json.dumps([scope["client"], scope["scheme"]]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def address(text: str) -> tuple[str, int] | None:
    """An address with or without port."""
    found = re.fullmatch(r"\[([^\]]*)\](?::(.*))?|([^:]*):([^:]*)|(.*)", text, re.S)
    assert found is not None
    host = next(part for part in (found[1], found[3], found[5]) if part is not None)
    port = next((part for part in (found[2], found[4]) if part is not None), "0")
    family = socket.AF_INET6 if found[1] is not None or ":" in host else socket.AF_INET
    if not re.fullmatch(r"[0-9]{1,5}|_.+", port, re.S) or not text.isascii():
        return None
    number = 0 if port.startswith("_") else int(port)
    try:
        packed = socket.inet_pton(family, host)
    except (OSError, ValueError):
        return None
    return (plain(packed), number) if number <= 65535 else None


def plain(packed: bytes) -> str:
    if packed.startswith(bytes(10) + b"\xff\xff"):
        packed = packed[12:]
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def is_trusted(host: str) -> bool:
    return any(ipaddress.ip_address(host) in network for network in NETWORKS)


def client_of(entries: list[str]) -> tuple[str, int] | None:
    """The client of a list of addresses, the outermost first; None is the peer."""
    client = None
    for entry in reversed(entries):
        found = address(entry)
        if found is None:
            return client
        client = found
        if not is_trusted(client[0]):
            return client
    return client


PIECES = (
    *("1.2.3.4", "10.0.0.1", "10.1.2.3:80", "127.0.0.1", "2001:db8::5", "[2001:db8::5]:443"),
    *("[2001:db9::1]", "::ffff:10.0.0.9", "::1", "unknown", "_x", "", "garbage", "1.2.3.4:_p"),
    *(",", ", ", " ,", ":", "[", "]", "0", "9", ".", "%", "\t", '"', "/"),
)


def test_x_forwarded_for() -> None:
    rng = random.Random(f"{SEED} x-forwarded-for")
    with TestServer(tells, lifespan="off", forwarded_allow_ips=TRUSTED) as server:
        client = Client(server.host, server.port)
        with client.sock:
            for _ in range(COUNT):
                lines = [
                    "".join(rng.choices(PIECES, k=rng.randrange(1, 6)))
                    if rng.random() < 0.5
                    else ", ".join(rng.choices(PIECES[:13], k=rng.randrange(1, 5)))
                    for _ in range(rng.randrange(1, 4))
                ]
                response = client.ask("/", *(f"X-Forwarded-For: {line}" for line in lines))
                entries = [entry.strip(" \t") for entry in ",".join(lines).split(",")]
                wanted = client_of([entry for entry in entries if entry])
                got = tuple(json.loads(response.body)[0])
                assert got == (wanted or client.sock.getsockname()), f"seed {SEED!r}: {lines!r}"


def element(rng: random.Random) -> tuple[str, str | None, str | None]:
    """A well-formed element of Forwarded, with the address and scheme in it."""
    node, proto = rng.choice((*PIECES[:10], None)), rng.choice(("http", "https", None))
    pairs = [("for", node), ("proto", proto), ("by", rng.choice(("_a", None)))]
    pairs.append((rng.choice(("x", "for2")), rng.choice(('a,"b;\\', ",for=9.9.9.9", None))))
    rng.shuffle(pairs)
    text = ";".join(
        "{}={}".format(
            rng.choice((name, name.upper())),
            value
            if re.fullmatch(r"[\w.]+", value) and rng.random() < 0.5
            else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"',
        )
        for name, value in pairs
        if value is not None
    )
    return text or "by=_a", node, proto


def test_forwarded() -> None:
    """Whatever the client writes in front, what the proxies add is read."""
    rng = random.Random(f"{SEED} forwarded")
    settings: dict[str, Any] = {"forwarded_allow_ips": TRUSTED, "forwarded_headers": "forwarded"}
    noise = ('"', "\\", ",", ";", "=", "for=9.9.9.9", 'for="', "proto=https", " ", "x", "\\\\")
    with TestServer(tells, lifespan="off", **settings) as server:
        client = Client(server.host, server.port)
        with client.sock:
            for _ in range(COUNT):
                text, node, proto = element(rng)
                forged = "".join(rng.choices(noise, k=rng.randrange(12)))
                line = f"Forwarded: {forged}, {text}"
                lines = [line] if rng.random() < 0.7 else [f"Forwarded: {forged}", line]
                response = client.ask("/", *lines)
                got, scheme = json.loads(response.body)
                wanted = address(node) if node is not None else None
                if wanted is not None and is_trusted(wanted[0]):
                    continue  # then it is the client's word that counts
                note = f"seed {SEED!r}: {lines!r}"
                assert tuple(got) == (wanted or client.sock.getsockname()), note
                assert scheme == (proto or "http"), note


PORT = rb"0|[1-9]\d{0,4}"


def introduced(data: bytes) -> tuple[int, tuple[str, int] | None] | None:
    """Read a header: its size and the client it tells of, if it does; None if it is wrong."""
    if not data.startswith(SIGNATURE):
        line = re.match(
            rb"PROXY (?:UNKNOWN(?: [^\r]*)?|TCP([46]) (\S+) (\S+) (%b) (%b))\r\n" % (PORT, PORT),
            data[:107],
        )
        if line is None or line[1] is None:
            return None if line is None else (line.end(), None)
        family = socket.AF_INET if line[1] == b"4" else socket.AF_INET6
        try:
            client = socket.inet_pton(family, line[2].decode())
            socket.inet_pton(family, line[3].decode())
        except (OSError, ValueError):
            return None
        if max(int(line[4]), int(line[5])) > 65535:
            return None
        return line.end(), (plain(client), int(line[4]))
    if len(data) < 16 or data[12] not in (0x20, 0x21):
        return None
    size = 16 + int.from_bytes(data[14:16], "big")
    if size > min(4096, len(data)):
        return None
    if data[12] == 0x20:
        return size, None
    return introduced_v2(data[13], data[16:size], size)


def introduced_v2(kind: int, block: bytes, size: int) -> tuple[int, tuple[str, int] | None] | None:
    family, transport = kind >> 4, kind & 15
    least = (0, 12, 36, 216)[family] if family < 4 and transport < 3 else 65536
    if len(block) < least:
        return None
    rest = block[least:] if family else b""
    while rest:
        length = int.from_bytes(rest[1:3], "big") if len(rest) > 2 else 65536
        if len(rest) < 3 + length or rest[0] == 3 or (rest[0] == 0x20 and length < 5):
            return None  # no checksum is right by chance
        rest = rest[3 + length :]
    if transport != 1 or family not in (1, 2):
        return size, ("", 0) if (transport, family) == (1, 3) else None
    width = least // 2 - 2
    return size, (plain(block[:width]), int.from_bytes(block[least - 4 : least - 2], "big"))


def test_proxy_protocol() -> None:
    rng = random.Random(f"{SEED} proxy protocol")
    behind = request("/", "Connection: close")
    with TestServer(tells, lifespan="off", proxy_protocol="on") as server:
        for _ in range(0, COUNT, AT_ONCE):
            headers = [mutated(HEADERS, rng) for _ in range(AT_ONCE)]
            talks = [Talk(header + behind, ends=True) for header in headers]
            delivery = DELIVERIES[rng.choice(sorted(DELIVERIES))]
            converse((server.host, server.port), talks, delivery, rng, lambda talk: False)
            for talk in talks:
                _check(talk, behind)
    assert {name: count for name, count in server.counters().items() if count} == {}


def _check(talk: Talk, behind: bytes) -> None:
    note = f"seed {SEED!r}, sent {talk.data!r}, received {talk.received!r}"
    assert talk.outcome in ("eof", "reset"), note
    found = introduced(talk.data)
    if found is None:
        assert talk.received == b"", note
    elif talk.data[found[0] :] == behind and talk.outcome == "eof":
        responses, _ = split_responses(talk.received)
        wanted = ("127.0.0.1", talk.port) if found[1] is None else found[1]
        got = json.loads(responses[0].body)[0]
        assert (tuple(got) if got else ("", 0)) == wanted, note
