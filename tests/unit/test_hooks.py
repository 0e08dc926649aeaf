"""The objects that hooks get."""

from __future__ import annotations

import pytest

from granite.hooks import HookConfig, HookError, HookServer, call
from granite.settings.config import Config
from granite.settings.gunicorn import NAMES, SILENT
from granite.settings.hooks import Hooks


def test_cfg_knows_granites_names_and_gunicorns():
    cfg = HookConfig(
        Config(workers=3, worker_timeout=7, process_name="shop", raw_env=["A=b=c"], chdir="/x")
    )
    assert (cfg.workers, cfg.worker_timeout, cfg.timeout) == (3, 7, 7)
    assert (cfg.process_name, cfg.proc_name, cfg.settings["proc_name"].get()) == ("shop",) * 3
    assert (cfg.working_dir, cfg.chdir, cfg.settings["workers"].value) == ("/x", "/x", 3)
    assert cfg.env == {"A": "b=c"}
    assert (cfg.daemon, cfg.settings["daemon"].value) == (False, False)
    with pytest.raises(AttributeError, match="there is no setting 'worker'"):
        _ = cfg.worker
    assert "b=c" not in repr(cfg)


def test_cfg_knows_nearly_all_of_gunicorns():
    cfg = HookConfig(Config())
    assert {name for name in NAMES - SILENT if not hasattr(cfg, name)} == {
        *("cert_reqs", "ssl_version", "http_protocols"),
        *("syslog", "syslog_addr", "disable_redirect_access_to_syslog"),
    }


@pytest.mark.parametrize(
    ("settings", "bind", "address"),
    [
        ({}, ["127.0.0.1:8000"], [("127.0.0.1", 8000)]),
        ({"uds": "/run/x"}, ["unix:/run/x"], ["/run/x"]),
        (
            {"bind": ["[::1]:80", "unix:/run/x", "unix:@y"]},
            ["[::1]:80", "unix:/run/x", "unix:@y"],
            [("::1", 80), "/run/x", "unix:@y"],
        ),
    ],
)
def test_where_the_server_listens(settings, bind, address):
    cfg = HookConfig(Config(**settings))
    assert cfg.bind == bind
    assert cfg.address == address


@pytest.mark.parametrize(
    ("settings", "keepalive", "accesslog"),
    [
        ({"keep_alive_timeout": 7}, 7, None),
        ({"http1_keep_alive": False, "access_log": True, "access_log_file": "x"}, 0, "x"),
    ],
)
def test_what_gunicorn_says_otherwise(settings, keepalive, accesslog):
    cfg = HookConfig(Config(**settings))
    assert (cfg.keepalive, cfg.accesslog) == (keepalive, accesslog)


def test_workers_are_counted_and_take_attributes():
    server = HookServer(Config(max_requests=9), None)
    first, second = server.new_worker(), server.new_worker()
    assert (first.age, second.age, server.worker_age) == (1, 2, 2)
    assert (first.ppid, first.pid, first.max_requests) == (server.pid, None, 9)
    first.of_my_own = server.of_my_own = 1  # type: ignore[attr-defined]
    first.loaded(print)
    assert first.wsgi is first.app.callable is first.app.wsgi() is print
    assert second.wsgi is None


@pytest.mark.parametrize(
    ("raised", "code", "traceback"),
    [(ValueError("x"), 1, True), (SystemExit(), 0, False), (SystemExit(4), 4, False)],
)
def test_what_a_hook_raises(raised, code, traceback):
    def on_exit(server):
        raise raised

    with pytest.raises(HookError) as caught:
        call(Hooks({"on_exit": on_exit}), "on_exit", None)
    assert caught.value.exit_code == code
    assert (caught.value.details is not None) == traceback
    call(Hooks(), "on_exit", None)
