"""One figure of one server: a round of load, its memory, its start.

Owns what a single sample is; must not know ratios or reports. Main thread; servers on one core,
load on another.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bench import client, held, load, memory
from bench.floods import FLOODS, Flooder
from bench.model import BenchError, Sample, Scenario
from bench.over_http2 import SlowClient
from bench.process import Prefix, Running, free_port
from bench.scenarios import (
    FLAT_REQUESTS,
    IDLE_CONNECTIONS,
    PRELOADED_WORKERS,
    SECURE_IDLE_CONNECTIONS,
)
from bench.scenarios_http2 import IDLE_CONNECTIONS as HTTP2_IDLE_CONNECTIONS
from bench.scenarios_websocket import IDLE_WEBSOCKETS
from bench.servers import SERVERS, Launch

START_SECONDS = 20.0
_SETTLE_SECONDS = 1.0
_IDLE_SECONDS = 3.0  # after which a connection is called idle
_FLAT_WARM_UP = 100_000
_SHARE_ROUNDS = 5
_FLOOD_ROUNDS = 3


@dataclass(frozen=True)
class Settings:
    """What the command line decides for all; ``seconds`` is the length of one round of load."""

    subject_bin: Path
    peers_bin: Path
    loop: str
    seconds: int
    rounds: int
    server_core: int = 0
    load_core: int = 1


class Started:
    """A server that answers: ``with Started(name, scenario, settings) as running``."""

    def __init__(
        self,
        name: str,
        scenario: Scenario,
        settings: Settings,
        extra: tuple[str, ...] = (),
        *,
        access_log: bool = False,
    ) -> None:
        self.name = name
        self._prefix = Prefix()
        self.at = Launch(
            app=scenario.app,
            interface=scenario.interface,
            threads=scenario.threads,
            port=free_port(),
            loop=settings.loop,
            subject_bin=settings.subject_bin,
            peers_bin=settings.peers_bin,
            prefix=self._prefix.path,
            extra=extra,
            access_log=access_log,
            tls=scenario.tls,
            websockets=scenario.generator == "websockets",
            http2=scenario.http2,
        )
        try:
            self.running = Running(SERVERS[name], self.at, settings.server_core)
        except BenchError:
            self._prefix.remove()
            raise
        self.milliseconds = 0.0

    def __enter__(self) -> Running:
        """Wait for the first answer; raises BenchError with the server's words when none comes."""
        try:
            self.milliseconds = (self._wait() - self.running.started) * 1000
        except BaseException:
            self.close()
            raise
        return self.running

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wait(self) -> float:
        deadline = time.perf_counter() + START_SECONDS
        while True:
            try:
                return client.first_answer(self.at.port, 1.0, tls=self.at.tls, http2=self.at.http2)
            except TimeoutError:
                if self.running.alive() and time.perf_counter() < deadline:
                    continue
            raise BenchError(f"{self.name} did not answer; it said: {self.running.output()}")

    def close(self) -> None:
        """End the server and remove its directory."""
        self.running.stop()
        self._prefix.remove()


def load_round(running: Running, scenario: Scenario, settings: Settings, seconds: int) -> Sample:
    """Load a running server for ``seconds`` and return its rate, by the clock or per CPU time."""
    running.resume()
    began: list[tuple[float, float]] = []
    try:
        result, generator = load.run(
            scenario,
            running.port,
            seconds,
            settings.load_core,
            lambda: began.append((running.cpu_seconds(), time.perf_counter())),
        )
        used, passed = running.cpu_seconds() - began[0][0], time.perf_counter() - began[0][1]
        busy = used / passed
    except BenchError as error:
        reason = running.ending() or str(error)
        return Sample(running.server.name, 0.0, valid=False, note=reason)
    finally:
        running.pause()
    fault = load.fault(scenario, result)
    details = {
        "requests": float(result.requests),
        "p50_ms": result.p50,
        "p99_ms": result.p99,
        "server_cpu": round(busy, 3),
        "generator_cpu": round(generator, 3),
        "cpu_us": used / max(result.requests, 1) * 1e6,
    }
    details |= {f"{name}_errors": float(count) for name, count in result.errors.items()}
    rate = result.rate
    if scenario.per_cpu:
        details["rate"] = rate
        rate = result.requests / max(used, 0.01)
    return Sample(running.server.name, rate, not fault, fault, details)


def share(name: str, scenario: Scenario, settings: Settings) -> Sample:
    """The rate with what the scenario adds ÷ the rate without: the median of alternating rounds.

    A rate is the requests for each second of processor time, that is, what the server does with a
    full core: the generator could not ask for as much.
    """
    plain = replace(scenario, refused=False)
    with (
        Started(name, plain, settings) as base,
        Started(name, scenario, settings, scenario.extra, access_log=scenario.access_log) as other,
    ):
        both = ((base, plain), (other, scenario))
        for running, which in both:
            load_round(running, which, settings, 1)  # warms up
        ratios = []
        for _ in range(_SHARE_ROUNDS):
            pair = [
                load_round(running, which, settings, settings.seconds) for running, which in both
            ]
            for sample in pair:
                if not sample.valid:
                    return sample
            ratios.append(pair[0].details["cpu_us"] / pair[1].details["cpu_us"])
    return Sample(name, statistics.median(ratios), details={"rounds": float(len(ratios))})


def memory_after_traffic(name: str, scenario: Scenario, settings: Settings) -> Sample:
    """Start, serve a round of load, wait a second: the PSS of the tree, or its workers', in MiB."""
    with Started(name, scenario, settings) as running:
        load_round(running, scenario, settings, settings.seconds)
        running.resume()
        time.sleep(_SETTLE_SECONDS)
        pids = running.workers() if scenario.kind == "worker" else running.pids()
        pss, uss = memory.tree_kib(pids)
    return Sample(
        name, pss / 1024, details={"uss_mib": round(uss / 1024, 2), "processes": float(len(pids))}
    )


def memory_per_idle_connection(name: str, scenario: Scenario, settings: Settings) -> Sample:
    """The PSS in KiB that each idle connection adds to a server that has served traffic."""
    count = _idle_connections(scenario)
    with Started(name, scenario, settings) as running:
        load_round(running, scenario, settings, settings.seconds)
        running.resume()
        time.sleep(_SETTLE_SECONDS)
        before, _ = memory.tree_kib(running.pids())
        try:
            connections = client.IdleConnections(running.port, count, scenario)
        except BenchError as error:
            return Sample(name, 0.0, valid=False, note=str(error))
        time.sleep(_IDLE_SECONDS)
        after, _ = memory.tree_kib(running.pids())
        lost = connections.lost()
        connections.close()
    note = f"{lost} connections were closed by the server" if lost else ""
    details = {"before_mib": before / 1024, "after_mib": after / 1024, "connections": float(count)}
    return Sample(name, (after - before) / count, not lost, note, details)


def _idle_connections(scenario: Scenario) -> int:
    if scenario.generator == "websockets":
        return min(IDLE_WEBSOCKETS, client.most_connections())
    if scenario.tls:
        return SECURE_IDLE_CONNECTIONS
    return HTTP2_IDLE_CONNECTIONS if scenario.http2 else IDLE_CONNECTIONS


def memory_beyond_the_application(name: str, scenario: Scenario, settings: Settings) -> Sample:
    """The same without what the application would hold whatever the server (see ``bench.held``)."""
    whole = memory_per_idle_connection(name, scenario, settings)
    if not whole.valid:
        return whole
    python = settings.subject_bin / "python"
    count = int(whole.details["connections"])
    kib = held.kib_each(python, scenario.app, count, settings.loop)
    details = {**whole.details, "whole_kib": whole.value, "held_kib": kib}
    return replace(whole, value=whole.value - kib, details=details)


def growth(name: str, scenario: Scenario, settings: Settings) -> Sample:
    """The PSS in MiB that a million requests add after a warm-up of a hundred thousand."""
    with Started(name, scenario, settings) as running:
        _serve(running, scenario, settings, _FLAT_WARM_UP)
        before = _settled(running)
        served = _serve(running, scenario, settings, FLAT_REQUESTS)
        after = _settled(running)
    details = {"before_mib": before, "after_mib": after, "requests": float(served)}
    return Sample(name, after - before, details=details)


def _settled(running: Running) -> float:
    running.resume()
    time.sleep(_SETTLE_SECONDS)
    return memory.tree_kib(running.pids())[0] / 1024


def _serve(running: Running, scenario: Scenario, settings: Settings, count: int) -> int:
    """Load until ``count`` requests were answered; raises BenchError when a round fails."""
    served = 0
    while served < count:
        sample = load_round(running, scenario, settings, settings.seconds)
        if not sample.valid:
            raise BenchError(sample.note)
        served += int(sample.details["requests"])
    return served


def memory_of_preloaded_workers(name: str, scenario: Scenario, settings: Settings) -> Sample:
    """The PSS of several workers that share what was loaded before they were forked, divided by
    that of the only worker of a server that does not preload, both after traffic.
    """
    count = ("--workers", str(PRELOADED_WORKERS))
    one, _ = _workers_and_tree(name, scenario, settings, ())
    several, tree = _workers_and_tree(name, scenario, settings, (*count, "--preload"))
    _, apart = _workers_and_tree(name, scenario, settings, count)
    details = {"one_mib": one, "workers_mib": several, "tree_mib": tree, "not_preloaded_mib": apart}
    return Sample(name, several / one, details=details)


def _workers_and_tree(
    name: str, scenario: Scenario, settings: Settings, extra: tuple[str, ...]
) -> tuple[float, float]:
    """Return the PSS in MiB of the workers, and of all processes of their server."""
    with Started(name, scenario, settings, extra) as running:
        load_round(running, scenario, settings, settings.seconds)
        time.sleep(_SETTLE_SECONDS)
        workers, tree = (memory.tree_kib(pids)[0] for pids in (running.workers(), running.pids()))
        return workers / 1024, tree / 1024


def start_time(name: str, scenario: Scenario, settings: Settings) -> Sample:
    """Milliseconds from exec to the first complete 200."""
    started = Started(name, scenario, settings)
    with started:
        return Sample(name, started.milliseconds)


def beside_a_slow_client(name: str, scenario: Scenario, settings: Settings) -> Sample:
    """The rate of a client while another one takes its answers slowly ÷ the rate without that: the
    median of alternating rounds.
    """
    ratios = []
    with Started(name, scenario, settings) as running:
        load_round(running, scenario, settings, 1)  # warms up
        for _ in range(_SHARE_ROUNDS):
            alone = load_round(running, scenario, settings, settings.seconds)
            with SlowClient(client.connect(running.port, 10, tls=scenario.tls, http2=True)):
                beside = load_round(running, scenario, settings, settings.seconds)
            for sample in (alone, beside):
                if not sample.valid:
                    return sample
            ratios.append(beside.value / alone.value)
    return Sample(name, statistics.median(ratios), details={"rounds": float(len(ratios))})


def beside_floods(name: str, scenario: Scenario, settings: Settings) -> Sample:
    """What well-behaved clients get for each second of the server's processor time while another
    one floods it, ÷ what they get alone: the worst of all floods, each the median of alternating
    rounds. That is the ratio of the rates where the server's core is what there is too little of.
    """
    ratios: dict[str, list[float]] = {flood: [] for flood in FLOODS}
    details: dict[str, float] = {}
    with Started(name, scenario, settings) as running:
        load_round(running, scenario, settings, 1)  # warms up
        for flood in [*FLOODS] * _FLOOD_ROUNDS:
            alone = load_round(running, scenario, settings, settings.seconds)
            with Flooder(flood, running.port, settings.load_core) as flooder:
                beside = load_round(running, scenario, settings, settings.seconds)
            for sample in (alone, beside):
                if not sample.valid:
                    return sample
            ratios[flood].append(alone.details["cpu_us"] / beside.details["cpu_us"])
            details[f"{flood}: connections"] = float(flooder.connections)
    medians = {flood: statistics.median(found) for flood, found in ratios.items()}
    return Sample(name, min(medians.values()), details=medians | details)


FRESH: dict[str, Callable[[str, Scenario, Settings], Sample]] = {
    "share": share,
    "memory": memory_after_traffic,
    "worker": memory_after_traffic,
    "idle": memory_per_idle_connection,
    "idle-own": memory_beyond_the_application,
    "flat": growth,
    "preload": memory_of_preloaded_workers,
    "startup": start_time,
    "beside": beside_a_slow_client,
    "floods": beside_floods,
}
"""Kinds of scenario that start the server anew for each sample."""
