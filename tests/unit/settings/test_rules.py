"""What settings mean to each other."""

from __future__ import annotations

import pytest

from granite.errors import UsageError
from granite.settings.config import Config
from granite.settings.rules import cpu_count

MOUNTS = {"static_path_mount": ("a", "b")}


RESERVED = "no effect in this release: "


def remarks(values):
    """What is said of values, but for those that have no effect yet."""
    return [note for note in Config.of(values)[1] if not note.text.startswith(RESERVED)]


def notes(**values):
    return [(note.level, note.text.partition(":")[0]) for note in remarks(values)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"write_low_water": 4097, "write_high_water": 4096}, "write_low_water: expected at most"),
        ({"interface": "asgi", "blocking_threads": 2}, "blocking_threads: expected 1, since"),
        ({"interface": "rsgi", "blocking_threads": 2}, "blocking_threads: expected 1, since"),
        ({"interface": "asginl", "blocking_threads": 2}, "blocking_threads: expected 1, since"),
        (
            {"proxy_protocol": True, "forwarded_allow_ips": ""},
            "proxy_protocol_allow_ips: expected somebody who speaks it, got nobody",
        ),
        ({"ssl_keyfile": "k"}, "ssl_keyfile: expected an ssl_certificate with it, got none"),
        ({"ssl_hsts": "31536000"}, "ssl_hsts: expected max-age= and seconds"),
        ({"ssl_hsts": "max-age=1y"}, "ssl_hsts: expected max-age= and seconds"),
        ({"ssl_hsts": "max-age=1; always"}, "ssl_hsts: expected max-age= and seconds"),
        (
            {"ssl_certificate": "a,b", "ssl_keyfile": "k"},
            "ssl_keyfile: expected one for each ssl_certificate (2), got 1",
        ),
        (
            {"ssl_keyfile_password": "p", "ssl_keyfile_password_file": "f"},
            "ssl_keyfile_password_file: expected no ssl_keyfile_password with it",
        ),
        ({"ssl_client_verify": True}, "ssl_client_verify: expected an ssl_ca with it, got none"),
        ({"ssl_redirect_port": 80}, "ssl_redirect_port: expected an ssl_certificate with it, got"),
        (
            {"ssl_redirect_port": 8000, "ssl_certificate": "a"},
            "ssl_redirect_port: expected another port than that of HTTPS, got 8000 for both",
        ),
        (
            {"ssl_redirect_port": 80, "ssl_certificate": "a", "bind": "[::]:443,[::]:80"},
            "ssl_redirect_port: expected another port than that of HTTPS, got 80 for both",
        ),
        ({"interface": "asginl", "lifespan": "on"}, "lifespan: expected auto or off with"),
        ({"interface": "rsgi", "lifespan": "on"}, "lifespan: expected auto or off with"),
        (MOUNTS, "static_path_route: expected one for each static_path_mount (2), got 0"),
        ({**MOUNTS, "static_path_route": "/a"}, "static_path_route: expected one for each"),
        ({"static_path_route": "/a"}, "static_path_route: expected one for each"),
        ({"workers_lifetime": 59}, "workers_lifetime: expected seconds from 60 "),
        ({"blocking_threads_idle_timeout": 4}, "blocking_threads_idle_timeout: expected seconds"),
        ({"blocking_threads_idle_timeout": 601}, "blocking_threads_idle_timeout: expected seconds"),
        ({"rss_sample_interval": 301}, "rss_sample_interval: expected seconds from 1 to 300"),
        (
            {"metrics_scrape_interval": 61},
            "metrics_scrape_interval: expected seconds from 0.1 to 60",
        ),
        ({"rlimit_nofile": 63}, "rlimit_nofile: expected 0 or at least 64, got 63"),
        ({"worker_timeout": 0.4}, "worker_timeout: expected 0 or at least 0.5 s, got 0.4"),
        ({"reload_tick": 49}, "reload_tick: expected an integer from 50 to 5000, got 49"),
        ({"workers_kill_timeout": 0.5}, "workers_kill_timeout: expected seconds from 1 to 1800"),
    ],
)
def test_refused(values, message):
    with pytest.raises(UsageError) as caught:
        Config(**values)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"write_low_water": 4096, "write_high_water": 4096},
        {"interface": "wsgi", "blocking_threads": 2},
        {"interface": "auto", "blocking_threads": 2},
        {"interface": "asgi", "blocking_threads": 1},
        {"ssl_certificate": "c"},
        {"ssl_certificate": "c", "ssl_redirect_port": 80, "bind": "unix:a,:443"},
        {"ssl_certificate": "c", "ssl_redirect_port": 80, "uds": "a"},
        {"ssl_client_verify": "optional", "ssl_ca": "ca"},
        {"static_path_mount": "a"},
        {**MOUNTS, "static_path_route": "/a,/b"},
    ],
)
def test_accepted(values):
    Config(**values)


def test_workers():
    assert Config(workers=0).workers == cpu_count()
    assert notes(workers=cpu_count()) == []
    assert notes(workers=cpu_count() + 1) == [("warning", "workers")]


def test_websocket():
    assert notes(interface="wsgi", ws=True) == [("info", "ws")]
    assert not Config(interface="wsgi", ws=True).ws
    assert notes(interface="wsgi", ws=False) == []
    assert notes(http="2", ws=True) == [("info", "ws")]


def test_a_umask_decides_about_sockets_that_nothing_else_is_said_of():
    assert Config().uds_permissions == 0o666
    assert Config(umask="007").uds_permissions is None
    assert Config(umask="007", uds_permissions="666").uds_permissions == 0o666


def test_asgi_without_lifespan():
    assert Config(interface="asginl").lifespan == "off"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("workers_lifetime", 60.0),
        ("workers_max_rss", 100),
        ("max_requests", 10),
    ],
)
def test_reload_turns_off_what_replaces_workers(name, value):
    values = {"reload": True, name: value}
    [note] = remarks(values)
    assert getattr(Config.of(values)[0], name) == getattr(Config(), name)
    assert note.level == "info"
    assert note.text == f"{name}: has no effect together with reload; it is off"
    assert remarks({name: value}) == []


@pytest.mark.parametrize(
    ("given", "owner"),
    [
        ({"user": "www"}, "www"),
        ({"group": "web"}, ":web"),
        ({"user": "www", "group": "web"}, "www:web"),
        ({"user": "www", "uds_owner": "root"}, "root"),
        ({}, None),
    ],
)
def test_unix_sockets_belong_to_who_serves(given, owner):
    assert Config(**given).uds_owner == owner


@pytest.mark.parametrize(
    ("name", "value", "other"),
    [
        ("max_requests_jitter", 5, "max_requests"),
        ("workers_lifetime_jitter", 5.0, "workers_lifetime"),
        ("workers_max_rss_jitter", 5, "workers_max_rss"),
        ("rss_samples", 5, "workers_max_rss"),
        ("rss_sample_interval", 5.0, "workers_max_rss"),
        ("metrics_address", "::1", "metrics"),
        ("metrics_port", 9191, "metrics"),
        ("metrics_scrape_interval", 5.0, "metrics"),
        ("access_log_file", "requests.log", "access_log"),
        ("access_log_fmt", "common", "access_log"),
        ("access_log_exclude", ("/healthz",), "access_log"),
    ],
)
def test_companions_without_what_they_belong_to(name, value, other):
    _, notes = Config.of({name: value})
    assert [(note.level, note.text) for note in notes] == [
        ("warning", f"{name}: has no effect without {other}")
    ]
    _, notes = Config.of({name: value, other: 100})
    assert notes == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ssl_hsts", "max-age=1"),
        ("ssl_protocol_min", "tls1.2"),
        ("ssl_handshake_timeout", 5.0),
        ("ssl_ticket_lifetime", 60.0),
    ],
)
def test_settings_of_tls_without_a_certificate(name, value):
    _, notes = Config.of({name: value})
    assert [note.text for note in notes] == [f"{name}: has no effect without ssl_certificate"]
    _, notes = Config.of({name: value, "ssl_certificate": ("chain.pem",)})
    assert notes == []


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"bind": "127.0.0.1:80", "port": 81, "host": "::1"}, ["host", "port"]),
        ({"bind": "127.0.0.1:80", "uds": "a.sock"}, ["uds"]),
        ({"uds": "a.sock", "port": 81}, ["port"]),
        ({"host": "::1", "port": 81}, []),
    ],
)
def test_an_address_that_another_one_replaces(given, names):
    assert notes(**given) == [("warning", name) for name in names]


def test_proxies_without_their_protocol():
    proxies = {"proxy_protocol_allow_ips": ("10.0.0.1",)}
    assert notes(**proxies) == [("warning", "proxy_protocol_allow_ips")]
    assert notes(**proxies, proxy_protocol="v2") == []


@pytest.mark.parametrize("name", ["max_request_line", "max_field_size"])
def test_a_part_of_the_head_that_may_be_larger_than_the_head(name):
    assert notes(**{name: 1025}, max_head_size=1024) == [("warning", name)]
    assert notes(**{name: 1024}, max_head_size=1024) == []


def test_a_client_behind_the_proxy_protocol_that_would_be_believed():
    both = {"proxy_protocol": "on", "forwarded_allow_ips": ("*",)}
    assert notes(**both) == [("warning", "forwarded_allow_ips")]
    assert notes(**both, forwarded_headers=()) == []
    assert notes(proxy_protocol="on", proxy_protocol_allow_ips=("*",)) == []
