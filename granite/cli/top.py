"""`granite top`: what the workers of a running server do now.

Owns the view and its keys. Must not know how the server is found and asked. Runs on the main thread
of a process of its own, with the package rich.
"""

from __future__ import annotations

import os
import select
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import Any

from granite.cli.figures import duration, latency, number, size
from granite.cli.rates import Meter, Rates
from granite.cli.running import Options, Server
from granite.errors import EXIT_OK, BootError, UsageError
from granite.settings.quantities import seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType
    from rich.table import Table

__all__ = ["main"]

_COLUMNS = (
    *("worker", "pid", "state", "up", "req/s", "p50", "p99", "active", "conns", "lag"),
    "memory",
)
_INTERVAL = seconds(60, 0.1)
# Characters of a line where nobody says how wide it may be.
_WIDE = 120


def main(arguments: Sequence[str]) -> int:
    """Run `granite top` with `arguments`; return the exit status."""
    options = Options.read("top", arguments, ("--once",), ("--address", "--interval"))
    interval = _interval(options)
    server = Server.find(options)
    try:
        import rich  # noqa: F401
    except ImportError:
        raise BootError(
            "top: needs the package rich, which is not installed; pip install 'granite[top]'"
        ) from None
    try:
        if "--once" in options.switches or not sys.stdout.isatty():
            _show_once(server, interval)
        else:
            _show(server, interval)
    except KeyboardInterrupt:
        pass
    return EXIT_OK


def _interval(options: Options) -> float:
    text = options.values.get("--interval", "1")
    try:
        interval = _INTERVAL.read(text)
    except ValueError:
        raise UsageError(f"top: --interval: expected {_INTERVAL.expected}, got {text!r}") from None
    assert isinstance(interval, float)
    return interval


def _show_once(server: Server, interval: float) -> None:
    """Print what happens in one interval."""
    from rich.console import Console

    meter = Meter()
    first = server.ask()
    meter.read(first)
    # A worker tells its numbers once in its own interval; half of one more, for a busy loop.
    time.sleep(max(interval, first["interval"] * 1.5))
    found = server.ask()
    meter.read(found)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, _WIDE)
    console.print(_head(found))
    console.print(_table(found, meter))


def _show(server: Server, interval: float) -> None:
    """Show what happens until somebody quits."""
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    meter = Meter()
    found = server.ask()
    with ExitStack() as stack:
        stack.enter_context(_keys())
        live = stack.enter_context(
            Live(console=Console(highlight=False), screen=True, auto_refresh=False)
        )
        trouble = ""
        while True:
            meter.read(found)
            foot = Text(trouble, "bold red") if trouble else Text("q quits", "dim")
            parts: list[RenderableType] = [Text(_head(found)), _table(found, meter), foot]
            live.update(Group(*parts), refresh=True)
            if _quits(interval):
                return
            try:
                found, trouble = server.ask(), ""
            except BootError as exc:  # it may be back soon
                trouble = str(exc)


def _head(found: dict[str, Any]) -> str:
    state = "ready" if found["ready"] else f"not ready: {found['reason']}"
    up = duration(time.time() - found["started"])
    return f"granite {found['granite']}, pid {found['pid']}, up {up}, {state}"


def _table(found: dict[str, Any], meter: Meter) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column == "state" else "right", no_wrap=True)
    for worker in found["workers"]:
        table.add_row(
            *(str(worker["worker"]), str(worker["pid"]), worker["state"]),
            *(duration(worker["age"]), *_cells(meter.rates(worker["pid"]), worker["metrics"])),
            size(worker["rss"]),
            style=None if worker["state"] == "ready" else "yellow",
        )
    memory = sum(worker["rss"] or 0 for worker in found["workers"])
    cells = _cells(meter.total(), found["total"])
    table.add_row("all", "", "", "", *cells, size(memory), style="bold")
    return table


def _cells(rates: Rates, metrics: dict[str, Any] | None) -> list[str]:
    now = metrics or {}
    return [
        number(rates.requests),
        latency(rates.p50),
        latency(rates.p99),
        number(now.get("requests_active")),
        number(now.get("connections_active")),
        latency(rates.lag),
    ]


@contextmanager
def _keys() -> Iterator[None]:
    """Have keys read as they are pressed, and not shown."""
    if not sys.stdin.isatty():
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _quits(patience: float) -> bool:
    """Wait for `patience` seconds, or until q is pressed."""
    until = time.monotonic() + patience
    if not sys.stdin.isatty():
        time.sleep(patience)
        return False
    while (left := until - time.monotonic()) > 0:
        if select.select([sys.stdin], [], [], left)[0]:
            pressed = os.read(sys.stdin.fileno(), 64)
            if not pressed or b"q" in pressed.lower():
                return True
    return False
