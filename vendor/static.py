"""Compile the vendored C libraries into static archives, for setup.py to link by full path.

Owns build/vendor/. It knows each library's files and flags, and nothing of the extensions that link
them. The archives hold no Python, so every interpreter of a machine shares them; a build with other
flags (debug, sanitizers) has a folder of its own. A source is compiled again when it, a header that
it includes, or its command line changed.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).resolve().parent / "src"

UV_COMMON = """fs-poll idna inet random strscpy strtok thread-common threadpool timer uv-common
    uv-data-getter-setters version unix/async unix/core unix/dl unix/fs unix/getaddrinfo
    unix/getnameinfo unix/loop-watcher unix/loop unix/pipe unix/poll unix/process
    unix/random-devurandom unix/signal unix/stream unix/tcp unix/thread unix/tty unix/udp"""
UV_PLATFORM = {
    "linux": """unix/proctitle unix/linux unix/procfs-exepath unix/random-getrandom
        unix/random-sysctl-linux""",
    "darwin": """unix/proctitle unix/bsd-ifaddrs unix/kqueue unix/random-getentropy
        unix/darwin-proctitle unix/darwin unix/fsevents""",
    "freebsd": """unix/freebsd unix/posix-hrtime unix/bsd-proctitle unix/bsd-ifaddrs unix/kqueue
        unix/random-getrandom""",
}
UV_DEFINES = {
    "linux": "-D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -D_LARGEFILE_SOURCE",
    "darwin": """-D_FILE_OFFSET_BITS=64 -D_LARGEFILE_SOURCE -D_DARWIN_UNLIMITED_SELECT=1
        -D_DARWIN_USE_64_BIT_INODE=1""",
    "freebsd": "-D_FILE_OFFSET_BITS=64 -D_LARGEFILE_SOURCE",
}
S2N_BIGNUM = "third_party/s2n-bignum/s2n-bignum-imported"
FUSION_FLAGS = ("-mavx2", "-maes", "-mpclmul", "-mvaes", "-mvpclmulqdq")
UV_LINK = {"linux": "-pthread -ldl -lrt", "darwin": "-pthread", "freebsd": "-pthread -lkvm"}


class CompileError(Exception):
    """A C source did not compile; the message holds the command and the compiler's words."""


@dataclass(frozen=True)
class Library:
    """One vendored library.

    `files` lie under vendor/src/<folder>; `flags` are its own compile flags; `link` and `packages`
    (system packages, for pkg-config) are what whoever links the archive must link too. One with
    `machines` is for these alone, if the compiler knows its flags; whoever links it sees `define`.
    """

    folder: str
    files: tuple[str, ...]
    flags: tuple[str, ...]
    link: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    define: str = ""

    @property
    def include(self) -> Path:
        """The folder that holds the library's public headers."""
        return SOURCES / self.folder / "include"


def platform() -> str:
    """The key of the per-platform tables; raises CompileError for a system that has none."""
    for name in UV_PLATFORM:
        if sys.platform.startswith(name):
            return name
    raise CompileError(f"granite builds on Linux, macOS and FreeBSD, not on {sys.platform}")


def libraries() -> dict[str, Library]:
    """The vendored libraries by the name of their archive, for the platform that this runs on."""
    system = platform()
    uv = (UV_COMMON + " " + UV_PLATFORM[system]).split()
    return {
        "granite_uv": Library(
            "libuv",
            tuple(f"src/{name}.c" for name in uv),
            ("-std=gnu11", "-fno-strict-aliasing", "-Isrc", *UV_DEFINES[system].split()),
            link=tuple(UV_LINK[system].split()),
        ),
        "granite_llhttp": Library(
            "llhttp", ("src/api.c", "src/http.c", "src/llhttp.c"), ("-std=gnu11", "-O3")
        ),
        "granite_picotls": Library(
            "picotls",
            tuple(f"lib/{name}.c" for name in ("picotls", "pembase64", "hpke", "openssl")),
            ("-std=gnu99", "-O3", "-D_GNU_SOURCE", "-pthread"),
            packages=("libcrypto >= 3.0",),
        ),
        "granite_fusion": Library(
            "picotls",
            ("lib/fusion.c",),
            ("-std=gnu99", "-D_GNU_SOURCE", *FUSION_FLAGS),
            machines=("x86_64", "amd64"),
            define="GRANITE_HAVE_FUSION",
        ),
        "granite_x25519": Library(
            "aws-lc",
            tuple(
                f"{S2N_BIGNUM}/x86_att/curve25519/{name}.S"
                for name in ("curve25519_x25519", "curve25519_x25519base")
            ),
            (f"-I{S2N_BIGNUM}/include", "-DS2N_BN_HIDE_SYMBOLS"),
            machines=("x86_64", "amd64"),
            define="GRANITE_HAVE_X25519",
        ),
    }


def suits(name: str) -> bool:
    """Whether the library can be built for this machine by this compiler."""
    library = libraries()[name]
    if not library.machines:
        return True
    # A Python of 32 bits runs on these processors too.
    if os.uname().machine.lower() not in library.machines or sys.maxsize < 2**32:
        return False
    command = [*compiler(), *library.flags, "-fsyntax-only", "-x", "c", "-"]
    done = subprocess.run(
        command, input=b"#include <immintrin.h>\n", capture_output=True, check=False
    )
    return done.returncode == 0


def build(
    names: Iterable[str],
    folder: Path,
    *,
    flags: Iterable[str],
    package_flags: dict[str, list[str]],
    jobs: int,
) -> dict[str, Path]:
    """Bring the archives of *names* up to date in *folder* and return their paths.

    *flags* come after each library's own; *package_flags* are the compile flags of the system
    packages that a library is built against, by package; *jobs* compilers run at once. Raises
    CompileError for the first source that does not compile.
    """
    known = libraries()
    steps: list[tuple[list[str], Path, Path]] = []
    archives: dict[str, tuple[Path, list[Path]]] = {}
    for name in dict.fromkeys(names):
        library = known[name]
        # Python's CFLAGS are not used: they bring -DNDEBUG, and picotls relies on assert().
        own = [
            "-O2",
            *library.flags,
            "-Iinclude",
            "-fPIC",
            "-ffunction-sections",
            "-fdata-sections",
            "-fvisibility=hidden",
            "-UNDEBUG",
            "-w",
        ]
        own += [flag for package in library.packages for flag in package_flags[package]]
        command = [*compiler(), *own, *flags, *shlex.split(os.environ.get("CFLAGS", ""))]
        sources = [SOURCES / library.folder / file for file in library.files]
        objects = [folder / name / f"{file.replace('/', '_')}.o" for file in library.files]
        steps += [
            (command, source, target) for source, target in zip(sources, objects, strict=True)
        ]
        archives[name] = (folder / f"lib{name}.a", objects)
        (folder / name).mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(jobs) as pool:
        for _ in pool.map(lambda step: _compile(*step), steps):
            pass
    for archive, objects in archives.values():
        _archive(archive, objects)
    return {name: archive for name, (archive, _) in archives.items()}


def compiler() -> list[str]:
    """The C compiler's command: $CC, else the one that built this Python, else cc."""
    configured = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    return shlex.split(configured)


def _compile(command: list[str], source: Path, target: Path) -> None:
    """Compile *source* to *target* unless it is up to date; runs in the library's folder."""
    root = SOURCES / source.relative_to(SOURCES).parts[0]
    deps, note = target.with_suffix(".d"), target.with_suffix(".cmd")
    line = [*command, "-MMD", "-MF", str(deps), "-c", str(source), "-o", str(target)]
    if _current(target, deps, root) and note.is_file() and note.read_text() == shlex.join(line):
        return
    note.unlink(missing_ok=True)
    done = subprocess.run(line, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CompileError(f"{shlex.join(line)}\n{done.stdout}{done.stderr}")
    note.write_text(shlex.join(line))


def _current(target: Path, deps: Path, root: Path) -> bool:
    """Whether *target* is newer than all that *deps*, the compiler's own list, names."""
    try:
        made = target.stat().st_mtime
        needed = deps.read_text().replace("\\\n", " ").split(":", 1)[1].split()
        return all((root / path).stat().st_mtime < made for path in needed)
    except (OSError, IndexError):
        return False


def _archive(archive: Path, objects: list[Path]) -> None:
    """Pack *objects* into *archive* when one of them is newer."""
    if archive.is_file():
        made = archive.stat().st_mtime
        if all(path.stat().st_mtime < made for path in objects):
            return
        archive.unlink()
    tool = sysconfig.get_config_var("AR") or "ar"
    program = shlex.split(os.environ.get("AR") or tool)
    command = [*program, "rcs", str(archive), *map(str, objects)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CompileError(f"{shlex.join(command)}\n{done.stdout}{done.stderr}")
