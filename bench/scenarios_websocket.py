"""The scenarios over WebSocket, with the targets that granite has to reach.

Owns what is measured and the bounds; must not know how. Pure data.
"""

from __future__ import annotations

from bench.model import Scenario, Target

CONNECTIONS = 64
AUDIENCE = 5_000
IDLE_WEBSOCKETS = 20_000
BYTES = 64

_PEERS = ("granian", "uvicorn", "uvicorn-wsproto", "saltare")
_ECHO = ("echo", str(CONNECTIONS), str(BYTES))

WEBSOCKET_SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="websocket",
        title=f"echo of {BYTES}-byte messages over {CONNECTIONS} WebSockets",
        unit="msg/s",
        app="raw:socket",
        generator="websockets",
        options=_ECHO,
        targets={
            "granian": Target(2.0),
            "uvicorn": Target(1.2),
            "uvicorn-wsproto": Target(1.2),
            "saltare": Target(1.2),
        },
        peers=_PEERS,
    ),
    Scenario(
        name="websocket-broadcast",
        title=f"messages of {BYTES} bytes to {AUDIENCE:,} WebSockets each, as they arrive",
        unit="msg/s",
        app="raw:broadcast",
        generator="websockets",
        options=("broadcast", str(AUDIENCE), str(BYTES)),
        targets={"granian": Target(3.0)},
        peers=_PEERS,
    ),
    Scenario(
        name="websocket-idle",
        title=f"memory per idle WebSocket ({IDLE_WEBSOCKETS:,} of them), all in all",
        unit="KiB",
        app="raw:socket",
        kind="idle",
        generator="websockets",
        options=_ECHO,
        peers=_PEERS,
        rounds=1,
    ),
    Scenario(
        name="websocket-idle-own",
        title="the same without what the application holds",
        unit="KiB",
        app="raw:socket",
        kind="idle-own",
        generator="websockets",
        options=_ECHO,
        absolute=Target(2.0, at_least=False),
        peers=("granite",),
        rounds=2,
        ratios=False,
    ),
)
