"""The keyword arguments of Granite and Server, and the package's names."""

from __future__ import annotations

import enum
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from granite import Granite
from granite.errors import UsageError
from granite.keywords import read_keywords
from granite.settings import SETTINGS


class StrEnum(str, enum.Enum):
    """As Granian's enumerations are."""


class Interfaces(StrEnum):
    ASGI = "asgi"


class HTTPModes(StrEnum):
    http1 = "1"


class Loops(StrEnum):
    rloop = "rloop"
    uvloop = "uvloop"


class SSLProtocols(StrEnum):
    tls13 = "tls1.3"


@dataclass
class HTTP1Settings:
    header_read_timeout: int = 30_000
    keep_alive: bool = True
    max_buffer_size: int = 8192 + 4096 * 100
    pipeline_flush: bool = False


@dataclass
class HTTP2Settings:
    adaptive_window: bool = False
    keep_alive_interval: int | None = None
    keep_alive_timeout: int = 25


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_a_keyword_and_none_is_its_default(setting):
    given = {setting.name: setting.show(setting.default)}
    default = getattr(read_keywords({setting.name: None}).config, setting.name)
    assert getattr(read_keywords(given).config, setting.name) == default


@pytest.mark.parametrize(
    ("keywords", "expected"),
    [
        ({"address": "::1"}, {"host": "::1"}),
        ({"uds": Path("/run/s"), "uds_permissions": 0o600}, {"uds": "/run/s"}),
        ({"interface": Interfaces.ASGI}, {"interface": "asgi"}),
        ({"http": HTTPModes.http1, "loop": Loops.uvloop}, {"http": "1", "loop": "uvloop"}),
        ({"websockets": False}, {"ws": False}),
        (
            {"log_enabled": False, "log_access": True, "log_access_format": "%(path)s"},
            {"log": False, "access_log": True, "access_log_fmt": "%(path)s"},
        ),
        ({"log_dictconfig": {"version": 1}}, {"log_config": {"version": 1}}),
        (
            {"ssl_cert": Path("c"), "ssl_key": Path("k"), "ssl_key_password": "p"},
            {"ssl_certificate": ("c",), "ssl_keyfile": ("k",), "ssl_keyfile_password": "p"},
        ),
        ({"ssl_protocol_min": SSLProtocols.tls13}, {"ssl_protocol_min": "tls1.3"}),
        ({"metrics_enabled": True}, {"metrics": True}),
        ({"workers_kill_timeout": None, "backpressure": None}, {"workers_kill_timeout": 5.0}),
        ({"static_path_mount": [Path("a")], "static_path_route": ["/a"]}, {}),
        (
            {"http1_settings": HTTP1Settings()},
            {"request_head_timeout": 30.0, "http1_keep_alive": True, "max_head_size": 417792},
        ),
        ({"http1_settings": {"keep_alive": False}}, {"http1_keep_alive": False}),
        (
            {"http2_settings": HTTP2Settings(keep_alive_interval=500)},
            {"http2_keep_alive_interval": 0.5, "http2_keep_alive_timeout": 25.0},
        ),
        ({"http1_settings": None, "http2_settings": None}, {"http1_keep_alive": True}),
        # Gunicorn's names
        ({"keepalive": 7, "bind": ["127.0.0.1:0"]}, {"keep_alive_timeout": 7.0}),
    ],
    ids=lambda value: next(iter(value), "") if isinstance(value, dict) else None,
)
def test_granians_names(keywords, expected):
    config = read_keywords(keywords).config
    assert {name: getattr(config, name) for name in expected} == expected


def test_parts_that_granite_does_not_have_are_named_in_one_warning():
    loaded = read_keywords(
        {
            "runtime_threads": 2,
            "runtime_mode": "st",
            "task_impl": "asyncio",
            "runtime_blocking_threads": None,
            "reload_filter": object,
            "http1_settings": HTTP1Settings(pipeline_flush=True),
        }
    )
    warnings = [note.text for note in loaded.notes if "ignored" in note.text]
    assert warnings == [
        "ignored, of no meaning here: runtime_threads, runtime_mode, task_impl, reload_filter, "
        "pipeline_flush"
    ]


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"wokers": 2}, "unknown setting 'wokers' (did you mean 'workers'?)"),
        ({"http1_setings": {}}, "unknown setting 'http1_setings' (did you mean 'http1_settings'?)"),
        ({"task_imp": 1}, "unknown setting 'task_imp' (did you mean 'task_impl'?)"),
        ({"port": "x"}, "port: expected an integer from 0 to 65535, got 'x'"),
        ({"loop": Loops.rloop}, "loop: expected one of auto, asyncio, uvloop, got <Loops.rloop"),
        (
            {"http1_settings": {"keep_live": 1}},
            "http1_settings: unknown field 'keep_live' (did you mean 'keep_alive'?)",
        ),
        ({"http1_settings": {"header_read_timeout": -1}}, "http1_header_read_timeout: expected"),
        ({"http1_settings": 3}, "http1_settings: expected an object with header_read_timeout,"),
        ({"interface": "asgi", "blocking_threads": 4}, "blocking_threads: expected 1"),
        ({"workers_lifetime": 5}, "workers_lifetime: expected seconds from 60"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_mistakes(keywords, message, monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # which the failure wraps
    for read in (read_keywords, lambda keywords: Granite("app:app", **keywords)):
        with pytest.raises(UsageError) as caught:
            read(keywords)
        assert str(caught.value).startswith(message)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        ((lambda: None,), {}, 'target: expected "module:attribute", such as'),
        (("a:b",), {"hooks": {"post_frok": print}}, "hooks: unknown hook 'post_frok'"),
        (("a:b",), {"hooks": {"post_fork": 3}}, "hooks: post_fork: expected a function, got 3"),
        (("a:b", "::1"), {"host": "::1"}, "host: the same setting as address; give one"),
    ],
)
def test_other_mistakes(arguments, keywords, message, monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    with pytest.raises(UsageError) as caught:
        Granite(*arguments, **keywords)
    assert str(caught.value).startswith(message)


def test_neither_files_nor_variables_are_read(tmp_path, monkeypatch):
    (tmp_path / "granite.conf.py").write_text("port = 1\n")
    (tmp_path / "pyproject.toml").write_text("[tool.granite]\nport = 1\n")
    monkeypatch.chdir(tmp_path)
    for name in ("GRANITE_PORT", "GRANITE_WORKERS", "WEB_CONCURRENCY"):
        monkeypatch.setenv(name, "2")
    config = read_keywords({}).config
    assert (config.port, config.workers) == (8000, 1)


def test_decorators_return_the_function():
    server = Granite("app:app")

    def function() -> None: ...

    for decorator in (server.on_startup, server.on_reload, server.on_shutdown):
        assert decorator(function) is function
        with pytest.raises(UsageError, match="expected a function without arguments, got 3"):
            decorator(3)  # type: ignore[type-var]


def test_serve_belongs_to_the_main_thread():
    outcome: list[Any] = []

    def serve() -> None:
        try:
            Granite("app:app", port=0).serve()
        except UsageError as exc:
            outcome.append(str(exc))

    usual = sys.excepthook
    thread = threading.Thread(target=serve)
    thread.start()
    thread.join()
    sys.excepthook = usual
    assert outcome[0].startswith("serve() was called on another thread than the main one")


def test_importing_the_package_is_light():
    program = """
import sys
import granite
assert {"Granite", "Server", "__version__"} <= set(dir(granite))
granite.Granite("app:app", interface="asgi", workers=2)
heavy = {"asyncio", "granite.worker", "granite.serving", "logging", "argparse", "typing", "inspect",
         "granite._core", "re", "enum", "signal", "socket", "json", "subprocess", "dataclasses"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{program}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
