"""The load generators: their command lines, and what they print read back.

Owns wrk and h2load runs; must not know servers. A run blocks the main thread until the generator is
done.
"""

from __future__ import annotations

import re
import resource
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.model import BenchError, Scenario
from bench.process import pin
from bench.servers import HANDSHAKES, ROOT, WEBSOCKETS

SCRIPTS = ROOT / "bench" / "wrk"

_SOCKET_ERRORS = ("connect", "read", "write", "timeout")
_SCALE = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}
_BYTES = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}


@dataclass(frozen=True)
class LoadResult:
    """One run: rate per second, latencies in milliseconds (0: not reported), errors by name."""

    requests: int
    rate: float
    received: int
    p50: float
    p99: float
    errors: dict[str, int]


def _milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()  # type: ignore[union-attr]
    return float(number) * _SCALE[unit]


def _amount(text: str) -> int:
    number, unit = re.fullmatch(r"([\d.]+)(B|KB|MB|GB)", text).groups()  # type: ignore[union-attr]
    return round(float(number) * _BYTES[unit])


def parse_wrk(text: str) -> LoadResult:
    """Read wrk's report; raises BenchError when it is not one."""
    total = re.search(r"(\d+) requests in [\d.]+\w+, ([\d.]+[KMG]?B) read", text)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if total is None or rate is None:
        raise BenchError(f"wrk said: {text.strip()[-400:] or 'nothing'}")
    errors: dict[str, int] = {}
    sockets = re.search(
        r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text
    )
    if sockets is not None:
        errors = dict(zip(_SOCKET_ERRORS, map(int, sockets.groups()), strict=True))
    status = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    if status is not None:
        errors["status"] = int(status.group(1))
    latencies = {
        share: _milliseconds(value) for share, value in re.findall(r"(50|99)%\s+([\d.]+\w+)", text)
    }
    return LoadResult(
        requests=int(total.group(1)),
        rate=float(rate.group(1)),
        received=_amount(total.group(2)),
        p50=latencies.get("50", 0.0),
        p99=latencies.get("99", 0.0),
        errors={name: count for name, count in errors.items() if count},
    )


def parse_h2load(text: str) -> LoadResult:
    """Read h2load's report; raises BenchError when it is not one."""
    rate = re.search(r"finished in [\d.]+\w+, ([\d.]+) req/s", text)
    done = re.search(
        r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", text
    )
    traffic = re.search(r"traffic: \S+ \((\d+)\) total", text)
    status = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", text)
    if rate is None or done is None or traffic is None or status is None:
        raise BenchError(f"h2load said: {text.strip()[-400:] or 'nothing'}")
    errors = {
        "failed": int(done.group(3)),
        "timeout": int(done.group(5)),
        "status": int(status.group(3)) + int(status.group(4)),
    }
    return LoadResult(
        requests=int(done.group(2)),
        rate=float(rate.group(1)),
        received=int(traffic.group(1)),
        p50=0.0,
        p99=0.0,
        errors={name: count for name, count in errors.items() if count},
    )


def parse_handshakes(text: str) -> LoadResult:
    """Read the report of ``handshakes``; raises BenchError when it is not one."""
    found = re.search(r"connections (\d+) resumed (\d+) failed (\d+) seconds ([\d.]+)", text)
    if found is None:
        raise BenchError(f"handshakes said: {text.strip()[-400:] or 'nothing'}")
    connections, resumed, failed = map(int, found.groups()[:3])
    errors = {"failed": failed, "resumed": resumed, "full": connections - resumed}
    return LoadResult(
        requests=connections,
        rate=connections / float(found.group(4)),
        received=0,
        p50=0.0,
        p99=0.0,
        errors={name: count for name, count in errors.items() if count},
    )


def parse_websockets(text: str) -> LoadResult:
    """Read the report of ``websockets``; raises BenchError when it is not one."""
    found = re.search(r"messages (\d+) failed (\d+) seconds ([\d.]+)", text)
    if found is None:
        raise BenchError(f"websockets said: {text.strip()[-400:] or 'nothing'}")
    messages, failed = map(int, found.groups()[:2])
    return LoadResult(
        requests=messages,
        rate=messages / float(found.group(3)),
        received=0,
        p50=0.0,
        p99=0.0,
        errors={"failed": failed} if failed else {},
    )


def command(scenario: Scenario, port: int, seconds: float) -> list[str]:
    """Return the generator's command line; it runs whole seconds, at least one."""
    duration = max(1, round(seconds))
    if scenario.generator == "handshakes":
        return [str(HANDSHAKES), *scenario.options, str(port), str(duration)]
    if scenario.generator == "websockets":
        return [str(WEBSOCKETS), *scenario.options, str(port), str(duration)]
    url = f"{'https' if scenario.tls else 'http'}://127.0.0.1:{port}/"
    if scenario.generator == "h2load":
        upload = ("-d", str(_upload(scenario.upload))) if scenario.upload else ()
        version = () if scenario.http2 else ("--h1",)
        return ["h2load", *version, *scenario.options, *upload, "-D", str(duration), url]
    script = ("-s", str(SCRIPTS / scenario.script)) if scenario.script else ()
    return ["wrk", *scenario.options, "--latency", f"-d{duration}s", *script, url]


def _upload(size: int) -> Path:
    """Return a file of that many bytes, for h2load to send."""
    file = ROOT / ".bench" / f"upload-{size}"
    if not file.exists():
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"0123456789abcdef" * (size // 16))
    return file


def run(
    scenario: Scenario, port: int, seconds: float, core: int, began: Callable[[], None]
) -> tuple[LoadResult, float]:
    """Load ``port`` from ``core``; return the result and the share of the core that this took.

    ``began`` is called when the load begins: for WebSockets, when all of them are open.
    """
    before = _children_seconds()
    clock = time.perf_counter()
    try:
        generator = subprocess.Popen(
            command(scenario, port, seconds),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=pin(core),
        )
    except OSError as error:
        raise BenchError(f"{scenario.generator} could not be started: {error}") from None
    with generator:
        if scenario.generator == "websockets" and generator.stdout is not None:
            generator.stdout.readline()
        began()
        try:
            output, _ = generator.communicate(timeout=seconds * 4 + 30)
        except subprocess.TimeoutExpired:
            generator.kill()
            raise BenchError(f"{scenario.generator} did not end in time") from None
    busy = (_children_seconds() - before) / (time.perf_counter() - clock)
    parse = {
        "wrk": parse_wrk,
        "h2load": parse_h2load,
        "handshakes": parse_handshakes,
        "websockets": parse_websockets,
    }
    return parse[scenario.generator](output), busy


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def fault(scenario: Scenario, result: LoadResult) -> str:
    """Return why a run does not count, '' when it does.

    A server that ends a connection without announcing it makes wrk count one read error per request
    although every response was complete; where each request is a connection of its own that is no
    fault.
    """
    errors = dict(result.errors)
    if scenario.generator == "handshakes":
        errors.pop(scenario.options[0], None)  # how many were what was asked for
    if scenario.refused and errors.pop("status", 0) < result.requests - 1:
        return "requests were served that had to be refused"
    if scenario.closes and errors.get("read", 0) <= result.requests:
        errors.pop("read", None)
    if errors:
        return ", ".join(f"{count} {name} errors" for name, count in errors.items())
    if result.requests == 0:
        return "no request was answered"
    # wrk rounds the bytes to two decimals of its unit, and the last responses may be cut off.
    if result.received * 1.02 < scenario.body * result.requests:
        return f"{result.received} bytes are too few for {result.requests} responses"
    return ""
