"""The table of scenarios, with the targets that granite has to reach.

Owns what is measured and the bounds; must not know how. Pure data.
"""

from __future__ import annotations

from bench.model import Scenario, Target

CONNECTIONS = 64
PIPELINE = 16
IDLE_CONNECTIONS = 10_000
FLAT_REQUESTS = 1_000_000
PRELOADED_WORKERS = 4
KIB = 1024

_KEEPALIVE = ("-t1", f"-c{CONNECTIONS}")
# From the second request on; the load generator is no trusted proxy then, which would be exempt.
_REFUSE_ALL = ("--max-requests-per-ip", "1/m", "--forwarded-allow-ips", "")

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="hello",
        title="raw ASGI hello world",
        unit="req/s",
        app="raw:hello",
        options=_KEEPALIVE,
        body=13,
        targets={
            "granian": Target(2.0),
            "uvicorn": Target(2.0),
            "fastpysgi": Target(1.5),
            "nginx": Target(0.65),
        },
    ),
    Scenario(
        name="hello-h2load",
        title="the same, loaded by h2load over HTTP/1.1",
        unit="req/s",
        app="raw:hello",
        generator="h2load",
        options=("--h1", *_KEEPALIVE),
        body=13,
        peers=("granian", "uvicorn", "nginx"),
    ),
    Scenario(
        name="close",
        title="a new connection per request",
        unit="req/s",
        app="raw:hello",
        options=(*_KEEPALIVE, "-H", "Connection: close"),
        body=13,
        closes=True,
        targets={"granian": Target(1.1)},
    ),
    Scenario(
        name="pipelined",
        title=f"{PIPELINE} pipelined requests per connection",
        unit="req/s",
        app="raw:hello",
        script="pipeline.lua",
        options=_KEEPALIVE,
        body=13,
        targets={"granian": Target(2.5)},
    ),
    Scenario(
        name="echo",
        title="10 KiB POST, read as it arrives, echoed",
        unit="req/s",
        app="raw:echo",
        script="post.lua",
        options=_KEEPALIVE,
        method="POST",
        upload=10 * KIB,
        body=10 * KIB,
        targets={"granian": Target(1.5)},
        peers=("granian", "uvicorn", "saltare", "fastpysgi", "hypercorn", "gunicorn"),
    ),
    Scenario(
        name="large",
        title="64 KiB response",
        unit="req/s",
        app="raw:large",
        options=_KEEPALIVE,
        body=64 * KIB,
        targets={"granian": Target(1.5)},
    ),
    Scenario(
        name="chunks",
        title="100 × 1 KiB chunks",
        unit="req/s",
        app="raw:chunks",
        options=_KEEPALIVE,
        body=100 * KIB,
        targets={"saltare": Target(2.0), "uvicorn": Target(2.0)},
        peers=("granian", "uvicorn", "saltare", "fastpysgi", "hypercorn", "gunicorn"),
    ),
    Scenario(
        name="fastapi",
        title="FastAPI, JSON",
        unit="req/s",
        app="fastapi_json:app",
        options=_KEEPALIVE,
        body=27,
        targets={"uvicorn": Target(1.25)},
        peers=("granian", "uvicorn", "saltare", "fastpysgi", "hypercorn", "gunicorn"),
    ),
    Scenario(
        name="log",
        title="requests per second of CPU time: access log on ÷ off",
        unit="×",
        app="raw:hello",
        kind="share",
        options=_KEEPALIVE,
        body=13,
        access_log=True,
        absolute=Target(0.85),
        peers=("granian", "uvicorn", "gunicorn"),
        rounds=1,
    ),
    Scenario(
        name="refuse",
        title="requests per second of CPU time: refused (429) ÷ served",
        unit="×",
        app="raw:hello",
        kind="share",
        options=_KEEPALIVE,
        extra=_REFUSE_ALL,
        refused=True,
        absolute=Target(3.0),
        peers=("granite",),
        rounds=1,
        ratios=False,
    ),
    Scenario(
        name="refuse-pipelined",
        title=f"the same, {PIPELINE} pipelined",
        unit="×",
        app="raw:hello",
        kind="share",
        script="pipeline.lua",
        options=_KEEPALIVE,
        extra=_REFUSE_ALL,
        refused=True,
        absolute=Target(3.0),
        peers=("granite",),
        rounds=1,
        ratios=False,
    ),
    Scenario(
        name="memory",
        title="memory of the process tree after traffic",
        unit="MiB",
        app="raw:hello",
        kind="memory",
        options=_KEEPALIVE,
        targets={"granian": Target(0.65, at_least=False)},
        rounds=3,
    ),
    Scenario(
        name="idle",
        title=f"memory per idle connection ({IDLE_CONNECTIONS:,} of them)",
        unit="KiB",
        app="raw:hello",
        kind="idle",
        options=_KEEPALIVE,
        absolute=Target(1.0, at_least=False),
        rounds=2,
    ),
    Scenario(
        name="flat",
        title=f"growth over {FLAT_REQUESTS:,} requests",
        unit="MiB",
        app="raw:hello",
        kind="flat",
        options=_KEEPALIVE,
        absolute=Target(1.0, at_least=False),
        peers=("granian", "fastpysgi", "nginx"),
        rounds=1,
        ratios=False,
    ),
    Scenario(
        name="preload",
        title=f"memory of {PRELOADED_WORKERS} preloaded FastAPI workers ÷ that of one worker",
        unit="×",
        app="fastapi_json:app",
        kind="preload",
        options=_KEEPALIVE,
        absolute=Target(1.4, at_least=False),
        peers=("granite",),
        rounds=3,
        ratios=False,
    ),
    Scenario(
        name="startup",
        title="start to first answered request",
        unit="ms",
        app="raw:hello",
        kind="startup",
        targets={"granian": Target(0.7, at_least=False)},
        rounds=9,
    ),
)

BY_NAME: dict[str, Scenario] = {scenario.name: scenario for scenario in SCENARIOS}
