"""The messages that send files, and what tests of them ask of files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

MIB = 1024 * 1024
SIZES = [0, 1, 16_384, 16_385, 300_000, 5 * MIB + 1]


def contents(size: int) -> bytes:
    """Bytes that tell where they are from."""
    return b"".join(b"%07d\n" % number for number in range(size // 8 + 1))[:size]


def maker(folder: Path, data: bytes) -> Callable[[int], str]:
    """A function that makes a file of so many of these bytes and returns its path."""

    def make(size: int) -> str:
        path = folder / f"of-{size}"
        path.write_bytes(data[:size])
        return str(path)

    return make


def whole(path, **more):
    return {"type": "http.response.pathsend", "path": path, **more}


def part(file, **more):
    return {"type": "http.response.zerocopysend", "file": file, **more}


def length(size: int):
    return (b"content-length", b"%d" % size)


def opened(path: str, buffering: int = -1):
    return Path(path).open("rb", buffering)


def descriptors(path: str) -> int:
    """How many descriptors of this process are of the file."""
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found += str(link.readlink()) == path
    return found
