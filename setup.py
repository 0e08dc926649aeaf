"""How granite's extensions are built: one table, and a build_ext that prepares what it names.

Owns the compile and link flags of the extensions; vendor/static.py owns those of the vendored
libraries, pyproject.toml owns the metadata. Understands three variables:

- GRANITE_DEBUG=1            asserts and live-object counters, -O1 -g
- GRANITE_SANITIZE=a,b       adds -fsanitize=a,b to all C, the vendored libraries included
- GRANITE_LINK_ONLY=1        no extensions: for an editable install beside the build in place

Each variant compiles under build/ in a folder of its own. The extensions themselves are named
alike, so a debug or sanitizer build belongs in a tree or environment of its own (`make debug`,
`make asan`), never beside release ones.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "vendor"))

import fetch  # noqa: E402
import static  # noqa: E402

# extension of granite._core -> the vendored libraries and the system packages that it links
EXTENSIONS: dict[str, tuple[list[str], list[str]]] = {
    "address": ([], []),
    "buf": ([], []),
    "loop": ([], []),
    "net": (["granite_uv"], []),
    "transport": ([], []),
    "scope": ([], []),
    "exchange": ([], []),
    "accesslog": ([], []),
    "forwarded": ([], []),
    "peers": ([], []),
    "http": ([], []),
    "http1": (["granite_llhttp"], []),
    "http2": ([], ["libnghttp2 >= 1.52"]),
    "websocket": ([], ["zlib >= 1.2.11"]),
    # Who needs what another one has comes before it.
    "tls": (["granite_fusion", "granite_picotls", "granite_x25519"], []),
    "tls12": ([], ["libssl >= 3.0", "libcrypto >= 3.0"]),
    "proxy_protocol": ([], []),
    "task": ([], []),
    "asgi": ([], []),
    "rsgi": ([], []),
    "wsgi": ([], []),
    "conn": ([], []),
    "server": ([], []),
}

# system package -> what Debian calls it
_DEBIAN = {
    "libnghttp2": "libnghttp2-dev",
    "libcrypto": "libssl-dev",
    "libssl": "libssl-dev",
    "zlib": "zlib1g-dev",
}

DIRECTIVES = {
    "language_level": 3,
    "binding": False,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "freethreading_compatible": True,
    "auto_pickle": False,
}

DEBUG = os.environ.get("GRANITE_DEBUG", "") not in ("", "0")
SANITIZE = os.environ.get("GRANITE_SANITIZE", "")
VARIANT = "-".join(["debug" if DEBUG else "release", *SANITIZE.split(",")]).rstrip("-")
LINK_ONLY = os.environ.get("GRANITE_LINK_ONLY", "") not in ("", "0")
JOBS = int(os.environ.get("GRANITE_JOBS") or os.cpu_count() or 1)


def variant_flags() -> tuple[list[str], list[str]]:
    """The compile flags and the link flags that all C of this variant gets."""
    flags = ["-O1", "-g"] if DEBUG else ["-g0"]
    link: list[str] = []
    if SANITIZE:
        link = [f"-fsanitize={SANITIZE}"]
        # Functions and lines are all that reports name; variables would cost half as much again.
        flags += [*link, "-fno-omit-frame-pointer", "-g1"]
        if "undefined" in SANITIZE.split(","):
            flags += ["-fno-sanitize-recover=undefined"]
    return flags, link


def extension_flags() -> tuple[list[str], list[str]]:
    """The compile flags and the link flags of every extension, on top of the variant's."""
    flags = [
        "-O2",
        "-ffunction-sections",
        "-fdata-sections",
        "-fvisibility=hidden",
        "-Wall",
        "-Wno-unused-function",
        "-Wno-unused-variable",
    ]
    link = (
        []
        if sys.platform == "darwin"
        else ["-Wl,--exclude-libs,ALL", "-Wl,--gc-sections", "-Wl,-z,noseparate-code"]
    )
    flags += ["-UNDEBUG", "-DGRANITE_DEBUG=1"] if DEBUG else ["-DCYTHON_WITHOUT_ASSERTIONS=1"]
    if SANITIZE:
        flags += ["-DGRANITE_SANITIZE=1"]
    variant, variant_link = variant_flags()
    return flags + variant, link + variant_link


def pkg_config(option: str, package: str) -> list[str]:
    """What `pkg-config <option> "<package>"` answers.

    Ends the build with one line when the package is missing.
    """
    tool = os.environ.get("PKG_CONFIG", "pkg-config")
    try:
        done = subprocess.run([tool, option, package], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        sys.exit(f"setup.py: no {tool} to find {package} with (Debian: apt-get install pkg-config)")
    if done.returncode != 0:
        debian = _DEBIAN[package.split()[0]]
        sys.exit(f"setup.py: {package} was not found (Debian: apt-get install {debian})")
    return shlex.split(done.stdout)


def _flags_of(option: str, packages: list[str]) -> list[str]:
    """What pkg-config answers for all of *packages*."""
    return [flag for package in packages for flag in pkg_config(option, package)]


def vendored() -> None:
    """Bring in vendor/src/ when it is missing; an sdist of granite holds it already."""
    try:
        if fetch.fetch():
            print("vendor/src: brought in", flush=True)
    except fetch.FetchError as error:
        sys.exit(f"setup.py: {error}")


class BuildExt(build_ext):
    """build_ext that first compiles the vendored libraries and runs Cython, where changed."""

    def finalize_options(self) -> None:
        """Use all cores, and let an editable install share the in-place build's folders."""
        super().finalize_options()
        if self.editable_mode:
            where = f"{self.plat_name}-{sys.implementation.cache_tag}"
            self.build_lib = f"build/{VARIANT}/lib.{where}"
            self.build_temp = f"build/{VARIANT}/temp.{where}"
        if self.parallel is None:
            self.parallel = JOBS

    def run(self) -> None:
        """Prepare the libraries and the generated C, then compile and link what is out of date."""
        archives = self._build_libraries()
        self._configure(archives)
        self._cythonize()
        note, digest = self._flags()
        # distutils compares times only, so it does not see that a flag changed.
        self.force = self.force or not note.is_file() or note.read_text() != digest
        super().run()
        note.write_text(digest)

    def _build_libraries(self) -> dict[str, Path]:
        """The paths of the static archives that the table names."""
        names = [name for libraries, _ in EXTENSIONS.values() for name in libraries]
        names = [name for name in dict.fromkeys(names) if static.suits(name)]
        known = static.libraries()
        packages = {package for name in names for package in known[name].packages}
        folder = ROOT / "build" / "vendor" / f"{sys.platform}-{platform.machine()}-{VARIANT}"
        try:
            return static.build(
                names,
                folder,
                flags=variant_flags()[0],
                package_flags={package: pkg_config("--cflags", package) for package in packages},
                jobs=JOBS,
            )
        except static.CompileError as error:
            sys.exit(f"setup.py: a vendored library did not compile\n{error}")

    def _configure(self, archives: dict[str, Path]) -> None:
        """Complete each extension with its flags, its archives and its system packages."""
        flags, link = extension_flags()
        known = static.libraries()
        for extension in self.extensions:
            libraries, packages = EXTENSIONS[extension.name.rpartition(".")[2]]
            libraries = [name for name in libraries if name in archives]
            packages = packages + [p for name in libraries for p in known[name].packages]
            # All headers for all: a .pxd that is cimported may bring the structs of a library that
            # another extension links.
            extension.include_dirs += [str(library.include) for library in known.values()]
            extension.extra_objects += [str(archives[name]) for name in libraries]
            extension.depends += [str(archives[name]) for name in libraries]
            extension.extra_compile_args = [*_flags_of("--cflags", packages), *flags]
            defines = [known[name].define for name in libraries if known[name].define]
            extension.extra_compile_args += [f"-D{define}=1" for define in defines]
            extension.extra_link_args = [*link, *_flags_of("--libs", packages)]
            extension.extra_link_args += [f for name in libraries for f in known[name].link]

    def _flags(self) -> tuple[Path, str]:
        """Where the last complete build noted the digest of its flags, and this build's digest."""
        flags = [(e.name, e.extra_compile_args, e.extra_link_args) for e in self.extensions]
        described = repr([flags, *map(os.environ.get, ("CC", "CFLAGS", "LDFLAGS"))])
        note = Path(self.build_temp, f"flags-{'inplace' if self.inplace else 'lib'}.sha256")
        note.parent.mkdir(parents=True, exist_ok=True)
        return note, hashlib.sha256(described.encode()).hexdigest()

    def _cythonize(self) -> None:
        """Replace each extension's .pyx by generated C, which all variants and Pythons share.

        Cython goes by times, those of its own .pxd files included, which are as old as each
        environment is. So it is told what to translate, by the content of the sources: a note
        beside each C file says of which it was made.
        """
        from Cython.Build import cythonize

        folder = Path("build", "cython", version("Cython"))
        declared = _digest(DIRECTIVES, Path("granite").rglob("*.pxd"))
        notes: dict[Path, str] = {}
        translate: list[Extension] = []
        for extension in self.extensions:
            (source,) = map(Path, extension.sources)
            generated = folder / source.with_suffix(".c")
            note = generated.with_suffix(".sha256")
            digest = _digest(declared, [source, *source.with_suffix("").glob("*.pxi")])
            if not generated.is_file() or not note.is_file() or note.read_text() != digest:
                note.unlink(missing_ok=True)  # of what an interrupted translation leaves
                notes[note] = digest
                translate.append(Extension(extension.name, [str(source)]))
            extension.sources = [str(generated)]
        if translate:
            cythonize(
                translate,
                nthreads=min(JOBS, 2),
                build_dir=str(folder),
                include_path=[str(ROOT)],
                compiler_directives=DIRECTIVES,
                show_all_warnings=False,
                force=True,
            )
        for note, digest in notes.items():
            note.write_text(digest)


def _digest(known: object, paths: Iterable[Path]) -> str:
    """What is known together with the content of files."""
    content = [(str(path), hashlib.sha256(path.read_bytes()).digest()) for path in sorted(paths)]
    return hashlib.sha256(repr((known, content)).encode()).hexdigest()


def extensions() -> list[Extension]:
    """The table as setuptools' extensions; ends the build when a .pyx is not in it."""
    found = {path.stem for path in (ROOT / "granite" / "_core").glob("*.pyx")}
    if unknown := sorted(found - EXTENSIONS.keys()):
        sys.exit(f"setup.py: add {', '.join(unknown)} to the table of extensions")
    package = "granite/_core"
    return [Extension(f"granite._core.{name}", [f"{package}/{name}.pyx"]) for name in EXTENSIONS]


if __name__ == "__main__":
    # Also for the metadata alone, since it lists the licences of the vendored libraries.
    vendored()
    setup(
        ext_modules=[] if LINK_ONLY else extensions(),
        cmdclass={"build_ext": BuildExt},
        options={"build": {"build_base": f"build/{VARIANT}"}},
    )
