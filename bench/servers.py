"""The table of servers: how each one is started, tuned for one worker on one core.

Owns command lines and what has to be installed for them; must not start anything. Pure functions,
apart from nginx, whose configuration file is written before its start.

The same rules for everybody: one worker, as many threads as the scenario says, the same event loop
where there is one, no access log where it is not what is measured, keep-alive timeouts and
per-connection request limits so high that they don't take part in the measurement.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import nginx
from bench.model import Interface

ROOT = Path(__file__).resolve().parent.parent
APPS = ROOT / "bench" / "apps"
HANDSHAKES = ROOT / ".bench" / "handshakes"
WEBSOCKETS = ROOT / ".bench" / "websockets"
LAUNCHERS = ROOT / "bench" / "launchers"

KEEP_ALIVE = 600
MANY = 1_000_000_000
CONNECTION_LIMIT = 32768


@dataclass(frozen=True)
class Launch:
    """What a command line depends on: ``app`` is ``module:attribute``, paths are absolute.

    ``prefix`` is a directory for this start alone, in which ``certificate`` and ``key`` lie where
    TLS is spoken; ``extra`` are further arguments for granite. Access logs go to the standard
    output.
    """

    app: str
    interface: Interface
    threads: int
    port: int
    loop: str
    subject_bin: Path
    peers_bin: Path
    prefix: Path
    extra: tuple[str, ...] = ()
    access_log: bool = False
    tls: bool = False
    websockets: bool = False
    http2: bool = False

    def secure(self, certificate: str, key: str) -> tuple[str, ...]:
        """Return these options with their files where TLS is spoken, else nothing."""
        files = (certificate, str(self.certificate), key, str(self.key))
        return files if self.tls else ()

    @property
    def certificate(self) -> Path:
        """The file of the server's certificate."""
        return self.prefix / "certificate.pem"

    @property
    def key(self) -> Path:
        """The file of its key."""
        return self.prefix / "key.pem"


BOTH: tuple[Interface, ...] = ("asgi", "wsgi")
ALL: tuple[Interface, ...] = ("asgi", "rsgi", "wsgi")


@dataclass(frozen=True)
class Server:
    """One row: ``packages`` are what pip installs for it, the first one names its version."""

    name: str
    command: Callable[[Launch], list[str]]
    packages: tuple[str, ...] = ()
    interfaces: tuple[Interface, ...] = ("asgi",)
    own_environment: bool = False
    """Installed in the environment of the project instead of the peers'."""
    only_websockets: bool = False
    """Another way to start a server, which differs from the first in nothing but WebSockets."""
    spins_when_idle: bool = False
    """Polls without pause when nothing happens: stopped (SIGSTOP) while others are measured."""


def _concurrency(at: Launch) -> tuple[str, str]:
    """Return what granite and Granian both call it: threads for WSGI, an event loop otherwise."""
    if at.interface == "wsgi":
        return ("--blocking-threads", str(at.threads))
    return ("--loop", at.loop)


def _granite(at: Launch) -> list[str]:
    return [
        *(str(at.subject_bin / "granite"), "run", at.app),
        *("--interface", at.interface, *_concurrency(at)),
        *("--host", "127.0.0.1", "--port", str(at.port)),
        *("--working-dir", str(APPS), "--log-level", "warning"),
        "--access-log" if at.access_log else "--no-access-log",
        *("--keep-alive-timeout", str(KEEP_ALIVE), *at.extra),
        *(("--ws-ping-interval", str(KEEP_ALIVE)) if at.websockets else ()),
        *at.secure("--ssl-certificate", "--ssl-keyfile"),
    ]


def _granian(at: Launch) -> list[str]:
    return [
        *(str(at.peers_bin / "granian"), "--interface", at.interface, *_concurrency(at)),
        *("--host", "127.0.0.1", "--port", str(at.port)),
        *("--workers", "1", "--runtime-threads", "1"),
        *("--http", "2" if at.http2 else "1", "--ws" if at.websockets else "--no-ws"),
        *(("--log", "--access-log") if at.access_log else ("--no-log", "--no-access-log")),
        *("--backlog", "2048", "--backpressure", str(CONNECTION_LIMIT)),
        *at.secure("--ssl-certificate", "--ssl-keyfile"),
        *("--http1-header-read-timeout", "60000", at.app),
    ]


def _uvicorn(at: Launch, websockets: str = "websockets-sansio") -> list[str]:
    return [
        *(str(at.peers_bin / "uvicorn"), "--host", "127.0.0.1", "--port", str(at.port)),
        *("--loop", at.loop, "--http", "httptools"),
        *("--ws", websockets if at.websockets else "none", "--ws-ping-interval", str(KEEP_ALIVE)),
        *(("--access-log",) if at.access_log else ("--no-access-log", "--log-level", "warning")),
        *("--no-proxy-headers", *at.secure("--ssl-certfile", "--ssl-keyfile")),
        *("--timeout-keep-alive", str(KEEP_ALIVE), at.app),
    ]


def _uvicorn_wsproto(at: Launch) -> list[str]:
    return _uvicorn(at, "wsproto")


def _saltare(at: Launch) -> list[str]:
    return [
        *(str(at.peers_bin / "saltare"), "--host", "127.0.0.1", "--port", str(at.port)),
        *("--keep-alive-timeout", str(KEEP_ALIVE), "--max-keepalive-requests", str(MANY)),
        *("--max-concurrent-connections", str(CONNECTION_LIMIT), "--listen-backlog", "2048"),
        *("--ws-keepalive-timeout", str(KEEP_ALIVE), at.app),
    ]


def _fastpysgi(at: Launch) -> list[str]:
    return [
        *(str(at.peers_bin / "python"), str(LAUNCHERS / "start_fastpysgi.py"), at.app),
        *("--port", str(at.port), *(("--loop", at.loop) if at.interface == "asgi" else ())),
    ]


def _hypercorn(at: Launch) -> list[str]:
    return [
        *(str(at.peers_bin / "hypercorn"), "--bind", f"127.0.0.1:{at.port}"),
        *("--worker-class", at.loop, "--workers", "1", *at.secure("--certfile", "--keyfile")),
        *("--config", str(LAUNCHERS / "hypercorn.toml"), at.app),
    ]


def _gunicorn(at: Launch) -> list[str]:
    worker = {
        "asgi": ("asgi", "--asgi-loop", at.loop),
        "wsgi": ("gthread", "--threads", str(at.threads)),
    }
    return [
        *(str(at.peers_bin / "gunicorn"), "--bind", f"127.0.0.1:{at.port}"),
        *("--worker-class", *worker[at.interface], "--http-parser", "fast"),
        *("--workers", "1", "--worker-connections", str(CONNECTION_LIMIT), "--backlog", "2048"),
        *("--keep-alive", str(KEEP_ALIVE), "--log-level", "warning"),
        *(("--access-logfile", "-") if at.access_log else ()),
        *at.secure("--certfile", "--keyfile"),
        at.app,
    ]


def _nginx(at: Launch) -> list[str]:
    return nginx.command(at.prefix, at.port)


SERVERS: dict[str, Server] = {
    server.name: server
    for server in (
        Server("granite", _granite, ("granite",), ALL, own_environment=True),
        Server("granian", _granian, ("granian", "uvloop"), ALL),
        Server("uvicorn", _uvicorn, ("uvicorn", "httptools", "uvloop", "websockets")),
        Server(
            "uvicorn-wsproto",
            _uvicorn_wsproto,
            ("uvicorn", "httptools", "uvloop", "wsproto"),
            only_websockets=True,
        ),
        Server("saltare", _saltare, ("saltare",)),
        Server("fastpysgi", _fastpysgi, ("fastpysgi", "uvloop"), BOTH, spins_when_idle=True),
        Server("gunicorn", _gunicorn, ("gunicorn", "gunicorn_h1c", "uvloop"), BOTH),
        Server("hypercorn", _hypercorn, ("hypercorn", "uvloop")),
        Server("nginx", _nginx, interfaces=()),
    )
}


def anonymous(command: list[str], at: Launch) -> str:
    """Return ``command`` as one line without what differs between machines: paths and ports."""
    line = " ".join(f"'{word}'" if " " in word else word for word in command)
    for path, name in (
        (str(at.prefix), "PREFIX"),
        (str(at.subject_bin) + "/", ".venv/bin/"),
        (str(at.peers_bin) + "/", ".bench/venv/bin/"),
        (str(ROOT) + "/", ""),
        (str(Path(nginx.find() or "nginx").parent) + "/nginx", "nginx"),
    ):
        line = line.replace(path, name)
    return line.replace(str(at.port), "PORT")
