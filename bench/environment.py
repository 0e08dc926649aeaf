"""What the benchmark needs besides itself: the peers' environment, the system's tools.

Owns ``.bench/`` (kept out of version control by a file of its own) and calls to pip and the package
manager; must not touch the project's own environment.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from bench import nginx
from bench.model import BenchError
from bench.servers import HANDSHAKES, ROOT, SERVERS, WEBSOCKETS

HOME = ROOT / ".bench"
REQUIREMENTS = ROOT / "bench" / "requirements.txt"
PLOT_PACKAGES = ("matplotlib",)

_FRAMEWORKS = {"fastapi_json": "fastapi", "flask_json": "flask"}
_DEBIAN = {
    "wrk": "wrk",
    "h2load": "nghttp2-client",
    "nginx": "nginx-light",
    "handshakes": "gcc libssl-dev",
    "websockets": "gcc libc6-dev",
    "openssl": "openssl",
}


def default_python(project: Path) -> str:
    """Return the interpreter for the peers: the one that the environment ``project`` was made with.

    The same interpreter for both sides, else the comparison would be one of interpreters.
    """
    candidate = project / "bin" / "python"
    if candidate.exists():
        question = "import sys; print(sys._base_executable)"
        answer = subprocess.run(
            [candidate, "-c", question], capture_output=True, text=True, check=False
        )
        if answer.returncode == 0:
            return answer.stdout.strip()
    return sys.executable


def python_version(python: Path) -> str:
    """Return the full version of an interpreter."""
    question = "import platform; print(platform.python_version())"
    answer = subprocess.run([python, "-c", question], capture_output=True, text=True, check=False)
    return answer.stdout.strip() if answer.returncode == 0 else "?"


def package_versions(python: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the installed version of each of ``names``, leaving out what is not installed."""
    question = (
        "import json, sys\n"
        "from importlib.metadata import PackageNotFoundError, version\n"
        "found = {}\n"
        "for name in sys.argv[1:]:\n"
        "    try: found[name] = version(name)\n"
        "    except PackageNotFoundError: pass\n"
        "print(json.dumps(found))"
    )
    if not python.exists():
        return {}
    answer = subprocess.run(
        [python, "-c", question, *names], capture_output=True, text=True, check=False
    )
    return dict(json.loads(answer.stdout)) if answer.returncode == 0 else {}


def pinned() -> list[str]:
    """Return the names in the requirements file."""
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    names = [line.partition("==")[0] for line in lines if line and not line.startswith("#")]
    return list(dict.fromkeys(names))


def ensure_peers(directory: Path, python: str | None, packages: Iterable[str]) -> None:
    """Create the peers' environment and install what is missing of ``packages``, if anything.

    A package that can't be installed (saltare needs Python 3.11) is named; whoever needs it will
    be left out. Raises BenchError when the environment can't be made or has another version than
    ``python``; None takes what is there, or else the interpreter that runs this.
    """
    interpreter = directory / "bin" / "python"
    if not interpreter.exists():
        if directory.is_relative_to(HOME):
            _make_home()
        maker = python or sys.executable
        if not _succeeds([maker, "-m", "venv", str(directory)]):
            raise BenchError(f"{maker} could not make a virtual environment in {directory}")
    have = python_version(interpreter)
    wanted = python_version(Path(python)) if python else have
    if have != wanted:
        raise BenchError(
            f"{directory} has Python {have}, expected {wanted}: remove it, name another one with "
            "--peers-venv, or accept its interpreter with --python"
        )
    names = sorted({name.lower() for name in packages})
    present = package_versions(interpreter, names)
    missing = [name for name in names if name not in present]
    if not missing:
        return
    print(f"installing {', '.join(missing)} into {directory}", flush=True)
    pip = [str(interpreter), "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    pip += ["-c", str(REQUIREMENTS)]
    if _succeeds([*pip, *missing]):
        return
    for name in missing:
        if not _succeeds([*pip, name]):
            print(f"{name} could not be installed; who needs it is left out", flush=True)


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, check=False).returncode == 0
    except OSError:
        return False


def _make_home() -> None:
    HOME.mkdir(exist_ok=True)
    (HOME / ".gitignore").write_text("*\n", encoding="utf-8")


def make_certificate(certificate: Path, key: Path) -> None:
    """Write a certificate for 127.0.0.1 with an ECDSA key on P-256; raises BenchError."""
    command = [
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-nodes", "-days", "30", "-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1"),
        *("-keyout", str(key), "-out", str(certificate)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"openssl made no certificate: {done.stderr.strip()[-400:]}")
    key.chmod(0o644)  # workers may run as somebody else


def _compiled(program: Path, *libraries: str) -> str | None:
    """Return the path of a program of this folder, None where it cannot be compiled."""
    source = ROOT / "bench" / f"{program.name}.c"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        _make_home()
        if not _succeeds(["cc", "-O2", "-o", str(program), str(source), *libraries]):
            return None
    return str(program)


def tool(name: str) -> str | None:
    """Return the path of a system tool, None when it is not installed."""
    if name == "handshakes":
        return _compiled(HANDSHAKES, "-lssl", "-lcrypto")
    if name == "websockets":
        return _compiled(WEBSOCKETS)
    return nginx.find() if name == "nginx" else shutil.which(name)


def ensure_tools(names: Iterable[str]) -> None:
    """Install the tools that are missing, or raise BenchError with the one command to type."""
    missing = [package for name in names if tool(name) is None for package in _DEBIAN[name].split()]
    if not missing:
        return
    command = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise BenchError(f"missing on this machine; please run: sudo {' '.join(command)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-q"], env=environment, check=False)
    if subprocess.run(command, env=environment, check=False).returncode:
        raise BenchError(f"this command failed: {' '.join(command)}")


def tool_version(name: str) -> str:
    """Return what a system tool says about its version."""
    path = tool(name)
    if path is None:
        return "?"
    flag = "--version" if name == "h2load" else "-v"
    done = subprocess.run([path, flag], capture_output=True, text=True, check=False)
    line = (done.stdout + done.stderr).splitlines()[0]
    return line.partition("Copyright")[0].replace("nginx version: ", "").strip()


def needed(servers: Iterable[str], apps: Iterable[str]) -> list[str]:
    """Return the packages that the peers' environment needs for ``servers`` running ``apps``."""
    packages = [
        package
        for name in servers
        if not SERVERS[name].own_environment
        for package in SERVERS[name].packages
    ]
    modules = {app.partition(":")[0] for app in apps}
    return packages + [_FRAMEWORKS[name] for name in sorted(modules & set(_FRAMEWORKS))]
