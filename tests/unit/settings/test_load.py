"""The sources of values and their precedence."""

from __future__ import annotations

import pytest

from granite.errors import UsageError
from granite.settings import SETTINGS
from granite.settings.load import load


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def texts(loaded):
    return [(note.level, note.text) for note in loaded.notes]


def test_defaults():
    loaded = load({}, {"PATH": "/bin", "HOME": "/"})
    assert all(getattr(loaded.config, setting.name) == setting.default for setting in SETTINGS)
    assert (loaded.origins, loaded.notes, loaded.hooks.names()) == ({}, [], [])


def test_each_source_wins_over_the_ones_before_it(directory):
    (directory / "granite.toml").write_text(
        'workers = 2\nport = 2\nbacklog = 2\nlog-level = "error"'
    )
    environ = {
        "WEB_CONCURRENCY": "1",
        "GRANITE_PORT": "3",
        "GRANITE_BACKLOG": "3",
        "GRANITE_CONFIG": "granite.toml",
    }
    loaded = load({"backlog": 4}, environ)
    config = loaded.config
    assert (config.workers, config.log_level, config.port, config.backlog) == (2, "error", 3, 4)
    assert loaded.origins == {
        "workers": "granite.toml",
        "log_level": "granite.toml",
        "port": "GRANITE_PORT",
        "backlog": "--backlog",
    }


def test_a_variable_of_other_servers_stands_in_for_the_default():
    loaded = load({}, {"WEB_CONCURRENCY": "1", "FORWARDED_ALLOW_IPS": "*"})
    assert (loaded.config.workers, loaded.config.forwarded_allow_ips) == (1, ("*",))
    assert loaded.origins == {
        "workers": "WEB_CONCURRENCY",
        "forwarded_allow_ips": "FORWARDED_ALLOW_IPS",
    }
    with pytest.raises(UsageError, match=r"^WEB_CONCURRENCY: expected an integer"):
        load({}, {"WEB_CONCURRENCY": "many"})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (("0.0.0.0:5000",), "127.0.0.1", 8000, None)),
        ({"port": 2}, ((), "127.0.0.1", 2, None)),
        ({"host": "::1"}, ((), "::1", 8000, None)),
        ({"uds": "/x"}, ((), "127.0.0.1", 8000, "/x")),
        ({"bind": ("[::]:1",)}, (("[::]:1",), "127.0.0.1", 8000, None)),
    ],
)
def test_the_port_of_a_platform(given, expected, directory):
    def address(loaded):
        assert loaded.notes == []
        return loaded.config.bind, loaded.config.host, loaded.config.port, loaded.config.uds

    loaded = load(given, {"PORT": "5000"})
    assert address(loaded) == expected
    assert loaded.origins == ({name: f"--{name}" for name in given} or {"bind": "PORT"})
    (directory / "c.py").write_text("\n".join(f"{n} = {value!r}" for n, value in given.items()))
    assert address(load({}, {"PORT": "5000"}, "c.py")) == expected


def test_a_wrong_port_of_a_platform():
    with pytest.raises(UsageError, match=r"^PORT: expected an integer from 0 to 65535, got 'a'$"):
        load({}, {"PORT": "a"})
    assert load({"port": 1}, {"PORT": "a"}).config.bind == ()


def test_no_address_is_none(directory):
    """Neither hides one that is weaker."""
    (directory / "c.py").write_text("bind = ':1'")
    assert load({}, {"GRANITE_UDS": "", "PORT": "2"}, "c.py").config.bind == ("0.0.0.0:1",)
    assert load({"bind": ()}, {"GRANITE_UDS": "", "PORT": "2"}).config.bind == ("0.0.0.0:2",)


# What an empty variable makes of the settings for which it means something else than the default.
EMPTY = {
    "server_header": "",
    "syslog_tag": "",
    "forwarded_allow_ips": (),
    "forwarded_headers": (),
    "uds_permissions": None,
}


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_an_empty_variable(setting):
    config = load({}, {setting.variable: ""}).config
    assert getattr(config, setting.name) == EMPTY.get(setting.name, setting.default)


def test_an_empty_variable_and_the_file(directory):
    (directory / "c.py").write_text("host = '::1'\npid_file = 'x'\nbind = ':1'\nworkers = 1")
    names = ("HOST", "PID_FILE", "BIND", "WORKERS", "WORKER_TIMEOUT")
    environ = {f"GRANITE_{name}": "" for name in names} | {"GRANITE_TIMEOUT": "0"}
    config = load({}, environ, "c.py").config
    assert (config.host, config.pid_file, config.bind) == ("::1", None, ("0.0.0.0:1",))


@pytest.mark.parametrize(
    ("weaker", "stronger", "expected"),
    [
        ({"bind": "[::]:1"}, {"port": 2}, ((), "127.0.0.1", 2, None)),
        ({"bind": "[::]:1"}, {"host": "::1"}, ((), "::1", 8000, None)),
        ({"bind": "[::]:1"}, {"uds": "/x"}, ((), "127.0.0.1", 8000, "/x")),
        ({"uds": "/x"}, {"port": 2}, ((), "127.0.0.1", 2, None)),
        ({"port": "1"}, {"bind": ("[::]:2",)}, (("[::]:2",), "127.0.0.1", 1, None)),
        ({"bind": "[::]:1", "port": "1"}, {}, (("[::]:1",), "127.0.0.1", 1, None)),
        ({"bind": "[::]:1"}, {"bind": ("[::]:2",), "port": 3}, (("[::]:2",), "127.0.0.1", 3, None)),
    ],
)
def test_an_address_of_a_stronger_source_is_not_hidden(weaker, stronger, expected):
    environ = {f"GRANITE_{name.upper()}": text for name, text in weaker.items()}
    config = load(stronger, environ).config
    assert (config.bind, config.host, config.port, config.uds) == expected


def test_what_gives_way_is_said():
    loaded = load({"port": 2}, {"GRANITE_BIND": "[::]:1"})
    assert texts(loaded) == [("info", "bind (GRANITE_BIND) gives way to port (--port)")]
    assert loaded.origins == {"port": "--port"}


def test_a_setting_without_effect_is_named():
    loaded = load({}, {"GRANITE_STATIC_PATH_MOUNT": "/a", "GRANITE_WS": "yes"})
    assert texts(loaded) == [("warning", "no effect in this release: static_path_mount")]


def test_an_unknown_variable_is_warned_about():
    loaded = load({}, {"GRANITE_POTR": "1", "GRANITE_QQQ": "", "GRANIT_PORT": "x"})
    assert texts(loaded) == [
        ("warning", "the variable GRANITE_POTR names no setting (did you mean 'port'?): ignored"),
        ("warning", "the variable GRANITE_QQQ names no setting: ignored"),
    ]


def test_variables_of_the_build_are_not_settings():
    loaded = load({}, {"GRANITE_DEBUG": "1", "GRANITE_SANITIZE": "address", "GRANITE_JOBS": "2"})
    assert loaded.notes == []


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"GRANITE_PORT": "http"},
            "GRANITE_PORT: expected an integer from 0 to 65535, got 'http'",
        ),
        (
            {"GRANITE_LOG_LEVEL": "info", "GRANITE_LOGLEVEL": "debug"},
            "GRANITE_LOGLEVEL: the same setting as GRANITE_LOG_LEVEL; give one",
        ),
    ],
)
def test_a_wrong_variable(environ, message):
    with pytest.raises(UsageError) as caught:
        load({}, environ)
    assert str(caught.value) == message


def test_names_of_variables_are_in_capitals():
    loaded = load({}, {"GRANITE_port": "1", "granite_port": "2", "Granite_Port": "3"})
    assert texts(loaded) == [
        ("warning", "the variable GRANITE_port names no setting (did you mean 'port'?): ignored")
    ]


def test_what_kubernetes_says_of_services_is_not_for_granite():
    links = {
        "GRANITE_PORT": "tcp://10.0.0.7:80",
        "GRANITE_SERVICE_HOST": "10.0.0.7",
        "GRANITE_HELLO_SERVICE_PORT_HTTP": "80",
        "GRANITE_HELLO_PORT_80_TCP": "tcp://10.0.0.7:80",
        "GRANITE_HELLO_PORT_80_TCP_ADDR": "10.0.0.7",
    }
    loaded = load({}, links | {"GRANITE_TCP_NODELAY": "no"})
    assert (loaded.config.port, loaded.config.tcp_nodelay, loaded.notes) == (8000, False, [])
