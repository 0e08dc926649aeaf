"""The logs of a whole server: files, rotation, syslog, the standard library's configuration."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from tests.arbiter.asking import until
from tests.patience import PATIENCE
from tests.server.apps import eventually

APPS = Path(__file__).parent


@pytest.fixture
def app_folder(tmp_path: Path) -> Path:
    """Where `raising:app` lies: an application that fails on each request."""
    (tmp_path / "raising.py").write_text(
        "async def app(scope, receive, send):\n"
        "    if scope['type'] == 'lifespan':\n"
        "        raise RuntimeError('no lifespan')\n"
        "    raise ValueError('no')\n"
    )
    return tmp_path


def port_in(path: Path) -> int:
    """Where the server whose error log is `path` says that it listens."""
    pattern = re.compile(r"listening on http://127\.0\.0\.1:(\d+)")
    eventually(lambda: path.exists() and pattern.search(path.read_text()))
    match = pattern.search(path.read_text())
    assert match is not None
    return int(match.group(1))


def open_logs(granite) -> set[tuple[int, str]]:
    """The processes of the tree, and the names of the log files that they have open by now."""
    found = set()
    for pid in granite.members():
        with suppress(FileNotFoundError):  # closed just now, or ended
            links = [link.readlink() for link in Path(f"/proc/{pid}/fd").iterdir()]
            found |= {(pid, link.name) for link in links if link.suffix in (".log", ".1")}
    return found


def wait_for_new_files(granite, *paths: Path) -> None:
    """Return when each process of the tree has these files open, and no older ones."""
    eventually(
        lambda: open_logs(granite) == {(pid, p.name) for pid in granite.members() for p in paths}
    )


def one_line(granite) -> str:
    (line,) = granite.output.splitlines()
    return line


def test_two_files(run_granite, app_folder, tmp_path):
    errors, access = tmp_path / "error.log", tmp_path / "access.log"
    granite = run_granite(
        *("raising:app", "--log-file", str(errors), "--log-color", "always"),
        *("--access-log", "--access-log-file", str(access)),
        cwd=app_folder,
        ready=False,
    )
    url = f"http://127.0.0.1:{port_in(errors)}"
    assert httpx.get(f"{url}/a%0Ab").status_code == 500
    assert granite.stop() == 0
    assert granite.output == ""
    assert re.fullmatch(
        r'\S+ \S+ 127\.0\.0\.1:\d+ - "GET /a%0Ab HTTP/1\.1" 500\n', access.read_text()
    )
    stamp = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[\d+\] [a-z]+: \S"
    lines = [line for line in errors.read_text().splitlines() if not line.startswith("  ")]
    assert [line for line in lines if not re.match(stamp, line)] == []
    assert any(line.endswith("error: exception in the application: GET /a%0Ab") for line in lines)
    assert "\n  Traceback (most recent call last):\n" in errors.read_text()


def test_json(run_granite, app_folder):
    granite = run_granite(
        "raising:app", "--log-format", "json", "--access-log", cwd=app_folder, ready=False
    )
    port = granite.wait_for(r'"message": "listening on http://127.0.0.1:(\d+)"').group(1)
    assert httpx.get(f"http://127.0.0.1:{port}/x?y").status_code == 500
    assert granite.stop() == 0
    records = [json.loads(line) for line in granite.output.splitlines()]
    (access,) = [record for record in records if record["logger"] == "granite.access"]
    assert (access["method"], access["target"], access["status"]) == ("GET", "/x?y", 500)
    (failure,) = [record for record in records if "exception" in record]
    assert failure["exception"].startswith("Traceback")
    pids = {record["pid"] for record in records}
    assert len(pids) == 2  # the arbiter's and the worker's


def test_rotation(run_granite, tmp_path):
    errors, access = tmp_path / "error.log", tmp_path / "access.log"
    granite = run_granite(
        *("apps:plain", "--log-file", str(errors), "--workers", "2"),
        *("--access-log", "--access-log-file", str(access)),
        cwd=APPS,
        ready=False,
    )
    url = f"http://127.0.0.1:{port_in(errors)}/"

    assert httpx.get(url).status_code == 200
    for path in (errors, access):
        path.rename(path.with_suffix(".log.1"))
    old = errors.with_suffix(".log.1").read_text()
    granite.signal(signal.SIGUSR1)
    wait_for_new_files(granite, errors, access)
    for _ in range(20):
        assert httpx.get(url).status_code == 200
    assert granite.stop() == 0
    assert errors.with_suffix(".log.1").read_text() == old
    assert "stopping" in errors.read_text()
    assert access.with_suffix(".log.1").read_text().count("GET") == 1
    assert access.read_text().count("GET") == 20
    assert granite.output == ""


def test_lines_of_several_workers_do_not_mix(run_granite, tmp_path):
    path = tmp_path / "access.log"
    granite = run_granite(
        *("apps:plain", "--workers", "3", "--access-log", "--access-log-file", str(path)),
        *("--access-log-fmt", "%(worker)s %(user_agent)s %(worker)s"),
        *("--keep-alive-timeout", "0"),
        cwd=APPS,
    )
    message = b"GET /pid HTTP/1.1\r\nHost: a\r\nUser-Agent: %b\r\n\r\n" % (b"y" * 3000)
    clients: list[socket.socket] = []
    workers: set[bytes] = set()

    def come() -> bool:
        """One more comes; say whether that is enough: one worker may take many, where the others
        want a CPU.
        """
        clients.append(socket.create_connection(("127.0.0.1", granite.port), timeout=PATIENCE))
        clients[-1].sendall(message)
        workers.add(clients[-1].recv(4096).rpartition(b"\r\n")[2])
        return len(clients) >= 12 and len(workers) > 1

    until(come)
    for _ in range(5):
        for client in clients:
            client.sendall(message * 10)
    eventually(lambda: path.read_bytes().count(b"\n") == 51 * len(clients))
    for client in clients:
        client.close()
    assert granite.stop() == 0
    lines = path.read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"(\d) y{3000} \1", line)] == []
    assert len({line[0] for line in lines}) > 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run workers as somebody else")
def test_rotation_in_a_folder_of_root(run_granite):
    """The worker, who may not create files there, opens what the arbiter has made for it."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        path = folder / "error.log"
        granite = run_granite(
            *("apps:plain", "--user", "nobody", "--log-file", str(path)), cwd=APPS, ready=False
        )
        assert httpx.get(f"http://127.0.0.1:{port_in(path)}/").status_code == 200
        path.rename(folder / "error.log.1")
        granite.signal(signal.SIGUSR1)
        wait_for_new_files(granite, path)
        assert path.owner() == "nobody"
        assert granite.stop() == 0
        assert "cannot open" not in path.read_text()


@pytest.mark.parametrize("kind", ["unix", "udp", "tcp"])
def test_syslog(run_granite, tmp_path, kind):
    family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
    style = socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM
    with closing(socket.socket(family, style)) as daemon:
        daemon.settimeout(PATIENCE)
        if kind == "unix":
            daemon.bind(str(tmp_path / "log"))
            destination = f"syslog://{tmp_path}/log"
        else:
            daemon.bind(("127.0.0.1", 0))
            destination = f"syslog+{kind}://127.0.0.1:{daemon.getsockname()[1]}"
        if kind == "tcp":
            daemon.listen()
        options = ["--log-file", destination, "--access-log", "--access-log-file", destination]
        granite = run_granite("apps:plain", *options, "--syslog-tag", "web", cwd=APPS, ready=False)
        streams: list[socket.socket] = []

        def read(pattern: str) -> re.Match[str]:
            """Read what the arbiter, or the next process, sends until `pattern` is there."""
            if kind == "tcp":
                streams.append(daemon.accept()[0])
                streams[-1].settimeout(PATIENCE)
            source = streams[-1] if kind == "tcp" else daemon
            text = ""
            while (match := re.search(pattern, text)) is None:
                data = source.recv(65536)
                assert data, text
                text += data.decode() + "\n"
            return match

        port = read(r"<30>.*web.*listening on http://127.0.0.1:(\d+)").group(1)
        assert httpx.get(f"http://127.0.0.1:{port}/seen").status_code == 200
        assert read(r'<30>.*web.*"GET /seen HTTP/1.1" 200')
        assert granite.stop() == 0
        for stream in streams:
            stream.close()
    assert granite.output == ""


LOGGERS = {
    "version": 1,
    "formatters": {"short": {"format": "%(name)s|%(process)d|%(message)s"}},
    "handlers": {
        "file": {"class": "logging.FileHandler", "filename": "app.log", "formatter": "short"}
    },
    "root": {"handlers": ["file"], "level": "WARNING"},
    "loggers": {
        "gunicorn.error": {"handlers": ["file"], "level": "INFO", "propagate": False},
        "gunicorn.access": {"handlers": ["file"], "level": "INFO", "propagate": False},
    },
}
TOML = """
version = 1
formatters.short.format = "%(name)s|%(process)d|%(message)s"
handlers.file = { class = "logging.FileHandler", filename = "app.log", formatter = "short" }
loggers.granite = { handlers = ["file"], propagate = false }
"""
INI = """
[loggers]
keys = root, granite
[handlers]
keys = file
[formatters]
keys = short
[logger_root]
handlers =
[logger_granite]
qualname = granite
propagate = 0
handlers = file
[handler_file]
class = logging.FileHandler
args = ("%(here)s/app.log",)
formatter = short
[formatter_short]
format = %(name)s|%(process)d|%(message)s
"""


@pytest.mark.parametrize(
    ("name", "content"),
    [("log.json", json.dumps(LOGGERS)), ("log.toml", TOML), ("log.ini", INI)],
)
def test_configuration(run_granite, app_folder, tmp_path, name, content):
    (tmp_path / name).write_text(content)
    if name == "log.toml":
        pytest.importorskip("tomllib")
    granite = run_granite(
        *("raising:app", "--log-config", str(tmp_path / name), "--access-log"),
        cwd=app_folder,
        ready=False,
    )
    path = tmp_path / "app.log"
    assert httpx.get(f"http://127.0.0.1:{port_in(path)}/").status_code == 500
    assert granite.stop() == 0
    assert granite.output == ""
    lines = [line.split("|") for line in path.read_text().splitlines() if "|" in line]
    errors = {int(line[1]) for line in lines if line[0] == "granite.error"}
    assert len(errors) == 2
    (access,) = [line[2] for line in lines if line[0] == "granite.access"]
    assert access.endswith('"GET / HTTP/1.1" 500')


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (
            ("--log-config", "nosuch.json"),
            2,
            "log_config 'nosuch.json': no such file or directory: 'nosuch.json'",
        ),
        (("--log-config", "bad.json"), 2, "log_config 'bad.json': Unable to configure handler 'h'"),
        (("--log-config", '{"root": 1}'), 2, "log_config: root: expected a dictionary"),
        (("--log-file", "no/log"), 1, "cannot open the log 'no/log': no such file or directory"),
        (("--log-file", "bad.json/log"), 1, "cannot open the log 'bad.json/log': not a directory"),
        (("--access-log", "--access-log-file", "."), 1, "cannot open the log '.': is a directory"),
        (("--log-file", "syslog+udp://"), 2, "--log-file: expected -, stdout"),
    ],
)
def test_mistakes(run_granite, tmp_path, options, status, message):
    (tmp_path / "bad.json").write_text('{"handlers": {"h": {"class": "no.Class"}}}')
    granite = run_granite("apps:plain", *options, cwd=tmp_path, ready=False)
    assert granite.wait() == status
    assert message in one_line(granite)
    assert one_line(granite).startswith("granite: ")


def test_log_off(run_granite, app_folder):
    path = app_folder / "x.sock"  # of a port nobody would hear
    granite = run_granite(
        *("raising:app", "--no-log", "--access-log", "--uds", str(path)),
        cwd=app_folder,
        ready=False,
    )

    def listens() -> bool:  # asked without httpx, which leaves sockets open that are refused
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(path)) == 0

    eventually(listens)
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), timeout=PATIENCE) as client:
        assert client.get("http://test/").status_code == 500
    assert granite.stop() == 0
    assert granite.output == ""


def test_log_off_shows_what_prevents_the_start(run_granite):
    granite = run_granite("apps:nosuch", "--no-log", cwd=APPS, ready=False)
    assert granite.wait() == 3
    assert one_line(granite).startswith("granite: ")
