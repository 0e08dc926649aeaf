"""The scenarios over HTTP/2, with the targets that granite has to reach.

Owns what is measured and the bounds; must not know how. Pure data.
"""

from __future__ import annotations

from bench.model import Scenario, Target

KIB = 1024
IDLE_CONNECTIONS = 5_000
STREAMS = 100

_LOAD = ("-t1", "-c16", "-m32")
_PEERS = ("granian", "hypercorn")

HTTP2_SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="http2",
        title="raw ASGI hello world over HTTP/2",
        unit="req/s",
        app="raw:hello",
        generator="h2load",
        http2=True,
        options=_LOAD,
        targets={"granian": Target(1.3), "hypercorn": Target(8.0)},
        peers=_PEERS,
        body=13,
    ),
    Scenario(
        name="http2-tls",
        title="the same over TLS 1.3",
        unit="req/s",
        app="raw:hello",
        generator="h2load",
        http2=True,
        tls=True,
        options=_LOAD,
        body=13,
        targets={"granian": Target(1.3), "hypercorn": Target(8.0)},
        peers=_PEERS,
    ),
    Scenario(
        name="http2-echo",
        title="10 KiB POST over HTTP/2, read as it arrives, echoed",
        unit="req/s",
        app="raw:echo",
        generator="h2load",
        http2=True,
        options=_LOAD,
        upload=10 * KIB,
        body=10 * KIB,
        targets={"granian": Target(1.3)},
        peers=_PEERS,
    ),
    Scenario(
        name="http2-idle",
        title=f"memory per idle connection of HTTP/2 ({IDLE_CONNECTIONS:,} of them)",
        unit="KiB",
        app="raw:hello",
        kind="idle",
        generator="h2load",
        http2=True,
        options=_LOAD,
        body=13,
        absolute=Target(10.0, at_least=False),
        peers=_PEERS,
        rounds=2,
    ),
    Scenario(
        name="http2-beside",
        title=f"{STREAMS} streams of 1 MiB: a client's rate beside a slow one ÷ its rate alone",
        unit="×",
        app="raw:mebibyte",
        kind="beside",
        generator="h2load",
        http2=True,
        options=("-t1", "-c1", f"-m{STREAMS}", "-w26", "-W30"),
        body=KIB * KIB,
        absolute=Target(0.9),
        peers=_PEERS,
        rounds=1,
        ratios=False,
    ),
    Scenario(
        name="http2-floods",
        title="requests of others per CPU second beside a client that floods ÷ alone, worst flood",
        unit="×",
        app="raw:hello",
        kind="floods",
        generator="h2load",
        http2=True,
        options=_LOAD,
        body=13,
        absolute=Target(0.8),
        peers=("granian",),
        rounds=1,
        ratios=False,
    ),
)
