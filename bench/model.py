"""The values that the parts of the benchmark hand to each other.

Owns plain data only; must not start processes nor read files. Immutable where nothing has to be
collected, so any thread could read it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal[
    "load",
    "share",
    "memory",
    "worker",
    "idle",
    "idle-own",
    "flat",
    "startup",
    "preload",
    "beside",
    "floods",
]
Interface = Literal["asgi", "rsgi", "wsgi"]

MORE_IS_BETTER = ("load", "share", "beside", "floods")


class BenchError(Exception):
    """Something the user can act upon; the message is printed without a traceback."""


@dataclass(frozen=True)
class Target:
    """A bound that a figure has to keep: ``>= bound`` or ``<= bound``."""

    bound: float
    at_least: bool = True

    def met(self, value: float) -> bool:
        """Tell whether ``value`` keeps the bound."""
        return value >= self.bound if self.at_least else value <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}"


@dataclass(frozen=True)
class Scenario:
    """One row of the table of scenarios.

    ``app`` is ``module:attribute`` under ``bench/apps``; it speaks ``interface``, and a worker runs
    it in ``threads`` threads. ``options`` go to the load generator verbatim. ``body`` is the number
    of bytes that each response carries at least; a round that moved fewer is invalid. ``targets``
    maps a peer to the bound of the ratio subject ÷ peer, ``absolute`` bounds the subject's own
    figure. ``peers`` limits who takes part (empty: all that speak the interface).

    The figure of a share is the rate per core with ``access_log`` and, for granite, the arguments
    ``extra``, divided by the rate without. ``refused``: that is a rate of error responses.
    ``waits``: the application sleeps, so that no core is busy. ``tls``: over TLS 1.3, with an ECDSA
    certificate on P-256. ``http2``: over HTTP/2, with prior knowledge or by ALPN. ``per_cpu``: the
    figure is a rate per second of the server's processor time, where the load generator cannot ask
    for as much as the server could do.
    """

    name: str
    title: str
    unit: str
    app: str
    interface: Interface = "asgi"
    threads: int = 1
    kind: Kind = "load"
    generator: Literal["wrk", "h2load", "handshakes", "websockets"] = "wrk"
    script: str = ""
    options: tuple[str, ...] = ()
    method: str = "GET"
    upload: int = 0
    body: int = 0
    closes: bool = False
    targets: dict[str, Target] = field(default_factory=dict)
    absolute: Target | None = None
    peers: tuple[str, ...] = ()
    rounds: int = 0
    """Upper bound of the number of rounds; 0: as many as the command line asks for."""
    ratios: bool = True
    access_log: bool = False
    extra: tuple[str, ...] = ()
    refused: bool = False
    waits: bool = False
    tls: bool = False
    http2: bool = False
    per_cpu: bool = False


@dataclass(frozen=True)
class Sample:
    """One figure of one server. An invalid one takes no part in medians; ``note`` says why."""

    server: str
    value: float
    valid: bool = True
    note: str = ""
    details: dict[str, float] = field(default_factory=dict)


@dataclass
class ScenarioResult:
    """What was measured for one scenario, in the order in which it was measured."""

    scenario: Scenario
    subject: str
    samples: list[Sample] = field(default_factory=list)
    ratios: dict[str, list[float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    """Servers that could not take part, each with the reason."""
    commands: dict[str, str] = field(default_factory=dict)
    """Server (and ``load``) → the command line that was used, free of machine-specific paths."""

    def of(self, server: str) -> list[Sample]:
        """Return the valid samples of ``server``."""
        return [s for s in self.samples if s.server == server and s.valid]

    def invalid(self, server: str) -> list[Sample]:
        """Return the samples of ``server`` that were thrown out."""
        return [s for s in self.samples if s.server == server and not s.valid]
