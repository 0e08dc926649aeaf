"""Memory of a process tree, as the kernel accounts it.

Owns reading ``smaps_rollup``; must not start processes. PSS counts a page shared by n processes 1/n
in each of them, so the sum over a tree counts nothing twice. It leaves out the kernel's own memory
(socket buffers, page tables).
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from bench.model import BenchError


def parse_rollup(text: str) -> tuple[int, int]:
    """Return (PSS, USS) in KiB from a ``smaps_rollup``; USS is what the process has to itself."""
    pss = uss = 0
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if name == "Pss":
            pss = int(rest.split()[0])
        elif name in {"Private_Clean", "Private_Dirty", "Private_Hugetlb"}:
            uss += int(rest.split()[0])
    return pss, uss


def tree_kib(pids: Iterable[int]) -> tuple[int, int]:
    """Return the sums of (PSS, USS) in KiB over ``pids``; an ended process counts nothing.

    Raises BenchError when the kernel lets none of them be read.
    """
    total_pss = total_uss = 0
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            pss, uss = parse_rollup(Path(f"/proc/{pid}/smaps_rollup").read_text())
            total_pss += pss
            total_uss += uss
    if not total_pss:
        raise BenchError("the kernel does not let /proc/<pid>/smaps_rollup be read")
    return total_pss, total_uss
