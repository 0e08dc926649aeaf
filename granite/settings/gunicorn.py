"""Gunicorn's names for settings, and what they mean here.

Owns the list of all settings of Gunicorn 27 and the conversion of those that differ from granite's
counterpart. Must not know where the values came from. Pure functions: any thread may call them;
imported only where there is a config file in Python.
"""

from __future__ import annotations

from granite.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeAlias

    # The result, Gunicorn's name and value, and all values that are given.
    Conversion: TypeAlias = "Callable[[Translation, str, Any, Mapping[str, object]], None]"

__all__ = ["CONVERTED", "NAMES", "SAME", "SILENT", "UNMATCHED", "Translation", "translate"]

# Settings of the table go by these names too, and the values mean the same.
SAME = frozenset(
    (
        *("wsgi_app", "backlog", "workers", "max_requests", "max_requests_jitter", "timeout"),
        *("reload", "preload_app", "reuse_port", "pidfile", "user", "group"),
        *("proxy_protocol", "proxy_allow_ips"),
        *("forwarded_allow_ips", "access_log_format", "loglevel", "proc_name", "pythonpath"),
        *("keyfile", "certfile", "ca_certs", "asgi_loop", "asgi_lifespan", "chdir"),
        *("http2_max_concurrent_streams", "http2_initial_window_size", "http2_max_frame_size"),
        *("http2_max_header_list_size", "websocket_max_message_size", "bind", "raw_env"),
        *("graceful_timeout", "syslog_prefix", "syslog_facility", "header_map"),
        *("limit_request_line", "limit_request_fields", "limit_request_field_size"),
        "worker_connections",
    )
)
# What has no counterpart, each with the value that changes nothing.
UNMATCHED: dict[str, object] = {
    "asgi_disconnect_grace_period": 3,
    "capture_output": False,
    "casefold_http_method": False,
    "ciphers": None,
    "control_socket": None,
    "control_socket_mode": 0o600,
    "daemon": False,
    "dirty_apps": [],
    "dirty_graceful_timeout": 30,
    "dirty_post_fork": None,
    "dirty_threads": 1,
    "dirty_timeout": 300,
    "dirty_worker_exit": None,
    "dirty_worker_init": None,
    "dirty_workers": 0,
    "dogstatsd_tags": "",
    "enable_backlog_metric": False,
    "forwarder_headers": "SCRIPT_NAME,PATH_INFO",
    "http2_cleartext": "off",
    "logger_class": "gunicorn.glogging.Logger",
    "on_dirty_starting": None,
    "paste": None,
    "permit_obsolete_folding": False,
    "permit_unconventional_http_method": False,
    "permit_unconventional_http_version": False,
    "protocol": "http",
    "raw_paste_global_conf": [],
    "secure_scheme_headers": {
        "X-FORWARDED-PROTOCOL": "ssl",
        "X-FORWARDED-PROTO": "https",
        "X-FORWARDED-SSL": "on",
    },
    "sendfile": None,
    "spew": False,
    "ssl_context": None,
    "statsd_host": None,
    "statsd_prefix": "",
    "strip_header_spaces": False,
    "tmp_upload_dir": None,
    "uwsgi_allow_ips": "127.0.0.1,::1",
    "worker_tmp_dir": None,
}
# To leave these out is right: they choose a way of doing what is done here in one way, or belong to
# Gunicorn's own command line.
SILENT = frozenset(
    (
        *("config", "check_config", "print_config", "default_proc_name", "initgroups"),
        *("reload_engine", "http_parser", "enable_stdio_inheritance", "control_socket_disable"),
        *("suppress_ragged_eofs", "do_handshake_on_connect"),
    )
)
# By number in the module ssl and by name: TLS 1.2, and the methods that negotiate, for which Python
# takes 1.2 and newer.
_TLS_1_2 = ("2", "16", "17", "sslv23", "tls", "tls_client", "tls_server", "5", "tlsv1_2")
# What says here that the scheme is https.
_SCHEME_HEADER = ("X-FORWARDED-PROTO", "X-Forwarded-Proto", "x-forwarded-proto")
# The first one that is set counts.
_LOGGING = ("logconfig_dict", "logconfig_json", "logconfig")


class Translation:
    """What a file of Gunicorn's means: `values` has by granite's name Gunicorn's name and the value
    to be parsed; `unmatched` names what has no counterpart.
    """

    __slots__ = ("unmatched", "values")

    def __init__(self) -> None:
        self.unmatched: list[str] = []
        self.values: dict[str, tuple[str, object]] = {}


def translate(given: Mapping[str, object], where: Callable[[str], str]) -> Translation:
    """Translate the values of settings by Gunicorn's names.

    `where` returns for a name what a message about its value starts with. Raises UsageError for a
    value that cannot be converted.
    """
    result = Translation()
    for name, value in given.items():
        if isinstance(value, str):
            value = value.strip()
        if name in SAME:
            result.values[name] = name, value
        elif name in CONVERTED:
            try:
                CONVERTED[name](result, name, value, given)
            except (TypeError, ValueError, AttributeError):
                raise UsageError(
                    f"{where(name)}: expected a value that Gunicorn takes, got {value!r}"
                ) from None
        elif name in UNMATCHED and not _changes_nothing(name, value):
            result.unmatched.append(name)
    return result


def _changes_nothing(name: str, value: object) -> bool:
    default = UNMATCHED[name]
    if name == "secure_scheme_headers" and isinstance(value, dict) and value != default:
        return set(value.items()) <= {(word, "https") for word in _SCHEME_HEADER}
    return value in (default, "", [], ()) or (value is False and default == "off")


def _reload_extra_files(
    result: Translation, name: str, value: object, given: Mapping[str, object]
) -> None:
    files: Any = [value] if isinstance(value, str) else value
    if files:  # in addition to the application
        result.values["reload_paths"] = name, [given.get("chdir") or ".", *files]


def _worker_class(result: Translation, name: str, value: object, _: object) -> None:
    names = (
        [value.replace("#", ".").rpartition(".")[2]]
        if isinstance(value, str)
        else [base.__name__ for base in getattr(value, "__mro__", (type(value),))]
    )
    words = [word.lower() for word in names]
    if any("uvicorn" in word or word in ("asgi", "asgiworker") for word in words):
        result.values["interface"] = name, "asgi"
    elif words[0] in ("sync", "syncworker", "gthread", "threadworker"):
        return
    if words[0] not in ("asgi", "asgiworker", "uvicornworker", "uvicornh11worker"):
        result.unmatched.append(f"worker_class {names[0]}")


def _keepalive(result: Translation, name: str, value: object, _: object) -> None:
    if value in (0, "0"):
        result.values["http1_keep_alive"] = name, False
    else:
        result.values["keep_alive_timeout"] = name, value


def _threads(result: Translation, name: str, value: object, _: object) -> None:
    if value not in (0, "0"):
        result.values[name] = name, value


def _umask(result: Translation, name: str, value: Any, _: object) -> None:
    if isinstance(value, str):
        octal = value[:1] == "0" and value[1:2].isdigit()
        value = int(value, 8 if octal else 0)
    result.values[name] = name, value


def _root_path(result: Translation, name: str, value: Any, _: object) -> None:
    result.values[name] = name, value.rstrip("/")


def _http_protocols(result: Translation, name: str, value: Any, _: object) -> None:
    words = [word.strip().lower() for word in value.split(",") if word.strip()] or ["h1"]
    if not {"h1", "h2"}.issuperset(words):
        raise ValueError
    # A client that does not choose HTTP/2 gets HTTP/1.1 with Gunicorn whatever the setting says.
    result.values["http"] = name, "auto" if "h2" in words else "1"


def _ssl_version(result: Translation, name: str, value: Any, _: object) -> None:
    word = str(getattr(value, "value", value)).lower().removeprefix("protocol_")
    if word in _TLS_1_2:
        result.values["ssl_protocol_min"] = name, "tls1.2"
    else:
        result.unmatched.append(name)


def _cert_reqs(result: Translation, name: str, value: Any, _: object) -> None:
    verify = ("none", "optional", "required")[int(value)] if 0 <= int(value) <= 2 else value
    result.values["ssl_client_verify"] = name, verify


def _accesslog(result: Translation, name: str, value: object, given: Mapping[str, object]) -> None:
    if value and not _logs_to_syslog(given, access=True):
        result.values["access_log"] = name, True
        result.values["access_log_file"] = name, value


def _errorlog(result: Translation, name: str, value: object, given: Mapping[str, object]) -> None:
    if value and not given.get("syslog"):
        result.values["log_file"] = name, value


def _syslog(result: Translation, name: str, value: object, given: Mapping[str, object]) -> None:
    if not value:
        return
    address = str(given.get("syslog_addr") or "udp://localhost:514")
    scheme, _, rest = address.partition("://")
    if scheme == "unix":
        address = "syslog://" + rest.partition("#")[0]
    elif scheme in ("udp", "tcp"):
        address = f"syslog+{address}"
    source = "syslog_addr" if "syslog_addr" in given else name
    result.values["log_file"] = source, address
    if _logs_to_syslog(given, access=True):
        result.values["access_log"] = name, True
        result.values["access_log_file"] = source, address
    result.values.setdefault("syslog_facility", (name, "user"))


def _logs_to_syslog(given: Mapping[str, object], *, access: bool) -> bool:
    return bool(given.get("syslog")) and not (
        access and given.get("disable_redirect_access_to_syslog")
    )


def _logging(result: Translation, name: str, value: Any, given: Mapping[str, object]) -> None:
    if not value:
        return
    stronger = _LOGGING[: _LOGGING.index(name)]
    if any(given.get(other) for other in stronger):
        return
    result.values["log_config"] = name, value
    result.values["access_log"] = name, True


def _with(*names: str) -> dict[str, Conversion]:
    """Return the conversion of settings that only add to another one's."""
    return dict.fromkeys(names, lambda *_: None)


CONVERTED: dict[str, Conversion] = {
    "reload_extra_files": _reload_extra_files,
    "worker_class": _worker_class,
    "keepalive": _keepalive,
    "threads": _threads,
    "umask": _umask,
    "root_path": _root_path,
    "http_protocols": _http_protocols,
    "ssl_version": _ssl_version,
    "cert_reqs": _cert_reqs,
    "accesslog": _accesslog,
    "errorlog": _errorlog,
    "syslog": _syslog,
    **dict.fromkeys(_LOGGING, _logging),
    **_with("syslog_addr", "disable_redirect_access_to_syslog"),
}
NAMES = frozenset((*SAME, *UNMATCHED, *SILENT, *CONVERTED))
