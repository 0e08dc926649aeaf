"""What `granite stats` and `granite top` know of a running server: how it is found, asked and read.

Owns the options of both, the request, and the numbers that follow from two answers. Must not know
how they are shown. Runs on the main thread of a process of its own.
"""

from __future__ import annotations

import os
from typing import Any

from granite.cli.arguments import CONFIG_OPTIONS
from granite.errors import BootError, UsageError, reason
from granite.settings import suggestion
from granite.settings.address import TCP, Address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Options", "Server", "merged", "quantile"]

_PATH = "/stats"
_TIMEOUT = 5.0
# Bytes; the answer of a thousand workers has less.
_LONGEST = 16 * 1024**2


class Options:
    """The arguments of a command: `switches` are those that were given of the ones without a
    value, `values` those with one.
    """

    __slots__ = ("switches", "values")

    def __init__(self) -> None:
        self.switches: set[str] = set()
        self.values: dict[str, str] = {}

    @classmethod
    def read(
        cls, command: str, arguments: Sequence[str], switches: Sequence[str], valued: Sequence[str]
    ) -> Options:
        """Read `arguments`; raise UsageError, in one line, for any that the command has not."""
        found = cls()
        rest = iter(arguments)
        valued = (*valued, *CONFIG_OPTIONS)
        for argument in rest:
            name, equals, text = argument.partition("=")
            if argument in switches:
                found.switches.add(argument)
            elif name in valued:
                value = text if equals else next(rest, "")
                if not value:
                    raise UsageError(f"{command}: {name}: expected a value, got nothing")
                found.values["--config" if name in CONFIG_OPTIONS else name] = value
            elif argument.startswith("-"):
                hint = suggestion(argument, (*switches, *valued))
                raise UsageError(f"{command}: unknown option {argument!r}{hint}")
            else:
                raise UsageError(f"{command}: expected no argument but options, got {argument!r}")
        return found


class Server:
    """A server that may run; its metrics are at `url`. `hint` is what to do if they are not."""

    def __init__(self, host: str, port: int, hint: str) -> None:
        self.url = f"http://{Address(TCP, host=host, port=port)}"
        self._host = host
        self._port = port
        self._hint = hint

    @classmethod
    def find(cls, options: Options) -> Server:
        """Return the server that the options name, or else the settings: of the config file, the
        variables and the defaults. Raises UsageError.
        """
        if "--address" in options.values:
            return cls(*_split(options.values["--address"]), "does it run, with --metrics?")
        from granite.settings.load import load

        config = load({}, os.environ, options.values.get("--config")).config
        if not config.metrics_port:
            raise UsageError(
                "metrics_port: 0 takes a port that only the server's log names; give its --address"
            )
        host = config.metrics_address
        # An address that means all of the machine's is none to connect to.
        host = {"0.0.0.0": "127.0.0.1", "*": "127.0.0.1", "::": "::1"}.get(host, host)
        if config.metrics:
            hint = "does it run? --address names another place"
        else:
            hint = "metrics are off in the settings; start the server with --metrics, or give "
            hint += "--address"
        return cls(host, config.metrics_port, hint)

    def ask(self) -> dict[str, Any]:
        """Return the answer; raise BootError, in one line, if there is none."""
        import http.client
        import json

        connection = http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT)
        try:
            connection.request("GET", _PATH, headers={"Connection": "close"})
            answer = connection.getresponse()
            body = answer.read(_LONGEST)
            found = json.loads(body) if answer.status == 200 else None
        except (http.client.HTTPException, ValueError):
            found = None
        except OSError as exc:
            why = "no answer in time" if isinstance(exc, TimeoutError) else reason(exc)
            raise BootError(f"no metrics at {self.url}: {why}; {self._hint}") from None
        finally:
            connection.close()
        if not isinstance(found, dict) or "granite" not in found:
            raise BootError(
                f"no metrics at {self.url}: what answers is another server; {self._hint}"
            )
        return found


def merged(histograms: Sequence[Sequence[int]]) -> list[int]:
    """Return the sums of the counts of several histograms."""
    return [sum(counts) for counts in zip(*histograms, strict=True)]


def quantile(part: float, counts: Sequence[int], bounds: Sequence[float]) -> float | None:
    """Return the value below which a `part` of a histogram's values lie, as Prometheus estimates
    it: evenly spread in each bucket, and for the one without a bound, the last bound. None if there
    are no values.
    """
    total = sum(counts)
    if total <= 0:
        return None
    rank, below, lower = part * total, 0, 0.0
    for count, upper in zip(counts, bounds, strict=False):
        if count > 0 and below + count >= rank:
            return lower + (upper - lower) * max(0.0, rank - below) / count
        below += count
        lower = upper
    return bounds[-1]


def _split(url: str) -> tuple[str, int]:
    """Return host and port of `http://HOST:PORT`, also without scheme or with a path; raise
    UsageError for anything else.
    """
    scheme, separator, rest = url.rpartition("://")
    try:
        if separator and scheme.lower() != "http":
            raise ValueError
        place = rest.partition("/")[0]
        if place.isdigit():
            place = f"127.0.0.1:{place}"
        elif place.startswith(":"):
            place = f"127.0.0.1{place}"
        elif ":" not in place.rpartition("]")[2]:  # Address would take its own default
            raise ValueError
        address = Address.parse(place)
        if address.kind != TCP or not address.port:
            raise ValueError
    except ValueError:
        raise UsageError(
            f"--address: expected the address of a server's metrics, such as "
            f"http://127.0.0.1:9090, got {url!r}"
        ) from None
    return address.host, address.port
