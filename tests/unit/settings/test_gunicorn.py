"""A config file of Gunicorn's: every one of its settings is mapped, or named once as left out."""

from __future__ import annotations

import ssl
import sys

import pytest

from granite.errors import UsageError
from granite.settings import BY_NAME, gunicorn
from granite.settings.hooks import ARITIES
from granite.settings.load import load

# All settings of Gunicorn 27.0.
THEIRS = """
    access_log_format accesslog asgi_disconnect_grace_period asgi_lifespan asgi_loop backlog bind
    ca_certs capture_output casefold_http_method cert_reqs certfile chdir check_config child_exit
    ciphers config control_socket control_socket_disable control_socket_mode daemon
    default_proc_name dirty_apps dirty_graceful_timeout dirty_post_fork dirty_threads dirty_timeout
    dirty_worker_exit dirty_worker_init dirty_workers disable_redirect_access_to_syslog
    do_handshake_on_connect dogstatsd_tags enable_backlog_metric enable_stdio_inheritance errorlog
    forwarded_allow_ips forwarder_headers graceful_timeout group header_map http2_cleartext
    http2_initial_window_size http2_max_concurrent_streams http2_max_frame_size
    http2_max_header_list_size http_parser http_protocols initgroups keepalive keyfile
    limit_request_field_size limit_request_fields limit_request_line logconfig logconfig_dict
    logconfig_json logger_class loglevel max_requests max_requests_jitter nworkers_changed
    on_dirty_starting on_exit on_reload on_starting paste permit_obsolete_folding
    permit_unconventional_http_method permit_unconventional_http_version pidfile post_fork
    post_request post_worker_init pre_exec pre_fork pre_request preload_app print_config proc_name
    protocol proxy_allow_ips proxy_protocol pythonpath raw_env raw_paste_global_conf reload
    reload_engine reload_extra_files reuse_port root_path secure_scheme_headers sendfile spew
    ssl_context ssl_version statsd_host statsd_prefix strip_header_spaces suppress_ragged_eofs
    syslog syslog_addr syslog_facility syslog_prefix threads timeout tmp_upload_dir umask user
    uwsgi_allow_ips websocket_max_message_size when_ready worker_abort worker_class
    worker_connections worker_exit worker_int worker_tmp_dir workers wsgi_app
""".split()  # noqa: SIM905


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Load a config file with the given text, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def load_text(text: str, **command_line):
        (tmp_path / "gunicorn.conf.py").write_text(text)
        return load(command_line, {}, "gunicorn.conf.py")

    return load_text


def texts(loaded):
    return [note.text for note in loaded.notes]


def test_every_setting_of_gunicorn_has_its_place():
    kinds = [gunicorn.SAME, gunicorn.CONVERTED, gunicorn.UNMATCHED, gunicorn.SILENT, ARITIES]
    placed = [name for names in kinds for name in names]
    assert sorted(placed) == sorted(THEIRS)
    assert set(BY_NAME) >= gunicorn.SAME


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bind = '127.0.0.1:9'", {"bind": ("127.0.0.1:9",)}),
        ("bind = [':9', 'unix:/x']", {"bind": ("0.0.0.0:9", "unix:/x")}),
        ("bind = []", {"bind": ()}),
        ("wsgi_app = 'a:b'", {"target": "a:b"}),
        ("workers = '3'; timeout = 0", {"workers": 3, "worker_timeout": 0.0}),
        ("worker_class = 'sync'; threads = 4", {"interface": "auto", "blocking_threads": 4}),
        ("worker_class = 'gthread'", {"interface": "auto"}),
        ("worker_class = 'egg:gunicorn#gthread'", {"interface": "auto"}),
        ("worker_class = 'asgi'", {"interface": "asgi"}),
        ("worker_class = 'uvicorn.workers.UvicornWorker'", {"interface": "asgi"}),
        ("worker_class = 'uvicorn_worker.UvicornH11Worker'", {"interface": "asgi"}),
        ("keepalive = 0", {"http1_keep_alive": False, "keep_alive_timeout": 5.0}),
        ("keepalive = 75", {"http1_keep_alive": True, "keep_alive_timeout": 75.0}),
        ("graceful_timeout = 0", {"graceful_timeout": 0.0}),
        ("threads = 0", {"blocking_threads": None}),
        ('access_log_format = """\n%(h)s\n"""', {"access_log_fmt": "%(h)s"}),
        ("umask = '022'", {"umask": 0o22}),
        ("umask = '18'", {"umask": 0o22}),
        ("umask = 0o7", {"umask": 7}),
        ("user = 33; group = 'www-data'", {"user": "33", "group": "www-data"}),
        ("raw_env = ['A=1,2', 'B=3']", {"raw_env": ("A=1,2", "B=3")}),
        ("raw_env = 'A=1,2'", {"raw_env": ("A=1,2",)}),
        ("pythonpath = '/a,/b'", {"pythonpath": ("/a", "/b")}),
        ("root_path = '/api/'", {"url_path_prefix": "/api"}),
        ("root_path = '/'", {"url_path_prefix": ""}),
        ("chdir = '/srv'; preload_app = True", {"working_dir": "/srv", "preload": True}),
        ("reload_extra_files = ['a.html']", {"reload_paths": (".", "a.html")}),
        ("reload_extra_files = 'a'; chdir = '/x'", {"reload_paths": ("/x", "a")}),
        ("accesslog = None", {"access_log": False}),
        ("accesslog = ''", {"access_log": False}),
        ("accesslog = '-'", {"access_log": True, "access_log_file": "-"}),
        ("accesslog = '/x.log'", {"access_log": True, "access_log_file": "/x.log"}),
        ("errorlog = '-'; loglevel = 'WARNING'", {"log_file": "-", "log_level": "warning"}),
        ("errorlog = '/e.log'", {"log_file": "/e.log"}),
        ("access_log_format = '%(h)s'", {"access_log_fmt": "%(h)s", "access_log": False}),
        ("logconfig = 'l.ini'", {"log_config": "l.ini", "access_log": True}),
        ("logconfig_json = 'l.json'; logconfig = 'l.ini'", {"log_config": "l.json"}),
        (
            "logconfig = 'l.ini'; logconfig_dict = {'root': {}}",
            {"log_config": {"root": {}}, "access_log": True},
        ),
        ("logconfig_dict = {}", {"log_config": None, "access_log": False}),
        (
            "syslog = True",
            {
                "log_file": "syslog+udp://localhost:514",
                "access_log_file": "syslog+udp://localhost:514",
                "access_log": True,
                "syslog_facility": "user",
            },
        ),
        (
            "syslog = True; syslog_addr = 'unix:///dev/log#dgram'; accesslog = errorlog = '-'\n"
            "disable_redirect_access_to_syslog = True; syslog_facility = 'LOCAL0'\n"
            "syslog_prefix = 'shop'",
            {
                "log_file": "syslog:///dev/log",
                "access_log_file": "-",
                "access_log": True,
                "syslog_facility": "local0",
                "syslog_tag": "shop",
            },
        ),
        ("syslog = False; syslog_addr = 'tcp://h:1'", {"log_file": "-", "access_log": False}),
        ("syslog = True; syslog_addr = 'tcp://h:1'", {"log_file": "syslog+tcp://h:1"}),
        (
            "certfile = 'c.pem'; keyfile = 'k.pem'",
            {"ssl_certificate": ("c.pem",), "ssl_keyfile": ("k.pem",)},
        ),
        ("ca_certs = 'ca'; cert_reqs = 2", {"ssl_ca": "ca", "ssl_client_verify": "required"}),
        (
            "import ssl\nca_certs = 'ca'\ncert_reqs = ssl.CERT_OPTIONAL",
            {"ssl_client_verify": "optional"},
        ),
        ("cert_reqs = 0", {"ssl_client_verify": "none"}),
        ("ssl_version = 'TLSv1_2'", {"ssl_protocol_min": "tls1.2"}),
        ("ssl_version = 2", {"ssl_protocol_min": "tls1.2"}),
        ("import ssl\nssl_version = ssl.PROTOCOL_TLS_SERVER", {"ssl_protocol_min": "tls1.2"}),
        ("forwarded_allow_ips = '*'", {"forwarded_allow_ips": ("*",)}),
        ("http_protocols = 'h1'", {"http": "1"}),
        ("http_protocols = 'h2, h1'", {"http": "auto"}),
        ("websocket_max_message_size = 1024", {"ws_max_message_size": 1024}),
        ("http2_initial_window_size = 65535", {"http2_initial_stream_window_size": 65535}),
        ("proc_name = 'shop'; pidfile = '/p'", {"process_name": "shop", "pid_file": "/p"}),
    ],
)
def test_converted(text, expected, read):
    config = read(text).config
    assert {name: getattr(config, name) for name in expected} == expected


def test_the_numbers_of_ssl_versions_are_those_of_the_module():
    versions = (ssl.PROTOCOL_TLS, ssl.PROTOCOL_TLS_CLIENT, ssl.PROTOCOL_TLS_SERVER)
    assert [int(version) for version in versions] == [2, 16, 17]


def test_what_has_no_counterpart_is_named_in_one_warning(read):
    loaded = read(
        "worker_tmp_dir = '/dev/shm'\nworker_class = 'gevent'\nsendfile = False\n"
        "tmp_upload_dir = '/tmp'\ndef ssl_context(config, factory): return factory()\n"
    )
    assert texts(loaded) == [
        "gunicorn.conf.py: no counterpart in granite: sendfile, ssl_context, tmp_upload_dir, "
        "worker_class gevent, worker_tmp_dir"
    ]
    assert loaded.notes[0].level == "warning"


def test_a_value_that_changes_nothing_is_not_named(read):
    lines = [f"{name} = {default!r}" for name, default in gunicorn.UNMATCHED.items()]
    lines += [f"{name} = True" for name in gunicorn.SILENT]
    lines += ["statsd_host = ''", "raw_paste_global_conf = ()", "proxy_protocol = False"]
    assert texts(read("\n".join(lines))) == []


@pytest.mark.parametrize(
    ("headers", "unmatched"),
    [
        ({}, False),
        ({"X-Forwarded-Proto": "https"}, False),
        ({"X-FORWARDED-PROTO": "ssl"}, True),
        ({"X-FORWARDED-PROTO": "https", "X-SSL": "on"}, True),
    ],
)
def test_only_x_forwarded_proto_tells_the_scheme(headers, unmatched, read):
    loaded = read(f"secure_scheme_headers = {headers!r}")
    assert ("secure_scheme_headers" in "".join(texts(loaded))) == unmatched


def test_a_worker_class_may_be_a_class(read):
    loaded = read("class UvicornWorker: pass\nclass Own(UvicornWorker): pass\nworker_class = Own")
    assert loaded.config.interface == "asgi"
    assert texts(loaded) == ["gunicorn.conf.py: no counterpart in granite: worker_class Own"]


@pytest.mark.parametrize("interface", ["asgi", "asginl"])
def test_threads_give_way_to_an_interface_that_has_none(interface, read):
    loaded = read("threads = 4", interface=interface)
    assert loaded.config.blocking_threads is None
    assert texts(loaded) == [
        f"gunicorn.conf.py: threads: has no effect with the interface {interface}"
    ]
    loaded = read("threads = 1; worker_class = 'asgi'")
    assert (loaded.config.blocking_threads, texts(loaded)) == (None, [])
    with pytest.raises(UsageError, match="blocking_threads: expected 1"):
        read("threads = 4", interface=interface, blocking_threads=8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\nworkers = 'many'", "2: workers: expected an integer from 0 to 1024, got 'many'"),
        ("umask = 'u+x'", "1: umask: expected a value that Gunicorn takes, got 'u+x'"),
        (
            "http_protocols = 'h3'",
            "1: http_protocols: expected a value that Gunicorn takes, got 'h3'",
        ),
        ("cert_reqs = 3", "1: cert_reqs: expected one of none, optional, required, got 3"),
        ("errorlog = 3", "1: errorlog: expected "),
        ("loglevel = 'loud'", "1: loglevel: expected one of critical, "),
        ("import os as user", " user: expected a name or a number, got <module "),
    ],
)
def test_a_wrong_value(text, message, read):
    with pytest.raises(UsageError) as caught:
        read(text)
    assert str(caught.value).startswith(f"gunicorn.conf.py:{message}")
    assert "\n" not in str(caught.value)
