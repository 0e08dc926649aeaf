"""What settings mean to each other: combinations that are refused, corrected or remarked on.

Owns the rules over several settings, which their rows cannot state. Must not know where the values
came from. Pure functions: any thread may call them.
"""

from __future__ import annotations

import os

from granite.errors import UsageError
from granite.settings import BY_NAME, SETTINGS
from granite.settings.address import TCP, addresses_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from granite.settings.base import Value
    from granite.settings.config import Config

__all__ = ["Note", "apply", "cpu_count", "require_target"]

# An idle worker has about twenty open.
_FEWEST_FILES = 64
# Seconds: a shorter silence of a worker may be the scheduler's.
_SHORTEST_TIMEOUT = 0.5
# Files that are handed to workers in one message, beside two more.
_MOST_WATCHED = 200
# Settings that mean nothing without another one.
_COMPANIONS = {
    "max_requests_jitter": "max_requests",
    "workers_lifetime_jitter": "workers_lifetime",
    "workers_max_rss_jitter": "workers_max_rss",
    "rss_samples": "workers_max_rss",
    "rss_sample_interval": "workers_max_rss",
    "max_requests_per_ip_burst": "max_requests_per_ip",
    "overload": "backpressure",
    "max_queue_time": "backpressure",
    "min_body_rate_grace": "min_body_rate",
    "request_timeout_grace": "request_timeout",
    "metrics_address": "metrics",
    "metrics_port": "metrics",
    "metrics_scrape_interval": "metrics",
    "access_log_file": "access_log",
    "access_log_fmt": "access_log",
    "access_log_exclude": "access_log",
    "proxy_protocol_allow_ips": "proxy_protocol",
    "ssl_reload": "ssl_certificate",
    "ssl_hsts": "ssl_certificate",
    "ssl_protocol_min": "ssl_certificate",
    "ssl_handshake_timeout": "ssl_certificate",
    "ssl_ticket_lifetime": "ssl_certificate",
    "ssl_client_verify": "ssl_certificate",
    "ssl_ca": "ssl_client_verify",
    "ssl_crl": "ssl_client_verify",
    "ssl_verify_depth": "ssl_client_verify",
}
# What another address replaces, if both are given in one place; else the stronger source wins.
_REPLACED = {"bind": ("host", "port", "uds"), "uds": ("host", "port")}
_OFF_WITH_RELOAD = ("workers_lifetime", "workers_max_rss", "max_requests", "preload")


class Note:
    """A remark about the configuration, for the log: `level` is "info" or "warning"."""

    __slots__ = ("level", "text")

    def __init__(self, level: str, text: str) -> None:
        self.level = level
        self.text = text

    def __repr__(self) -> str:
        return f"Note({self.level!r}, {self.text!r})"


def apply(values: dict[str, Value], given: Collection[str]) -> list[Note]:
    """Check the final values of all settings against each other, and correct in `values` what gives
    way. `given` are the names of those that are not defaults.

    Return the remarks; raise UsageError, in one line, for a combination that cannot be served.
    """
    _refuse(values)
    _refuse_patterns(values)
    _refuse_access_format(values)
    notes: list[Note] = []
    _name_reserved(values, notes)
    _correct(values, notes)
    if values["umask"] is not None and "uds_permissions" not in given:
        # Who sets a mask means the sockets, too, and not that everybody may connect.
        values["uds_permissions"] = None
    for name, other in _COMPANIONS.items():
        is_off = not values[other] or values[other] in ("off", "none")
        if name in given and values[name] != BY_NAME[name][0].default and is_off:
            notes.append(Note("warning", f"{name}: has no effect without {other}"))
    for name, others in _REPLACED.items():
        notes += [
            Note("warning", f"{other}: has no effect with {name}")
            for other in others
            if values[name] and other in given and values[other] != BY_NAME[other][0].default
        ]
    _remark(values, notes)
    return notes


def require_target(config: Config) -> None:
    """Raise UsageError where no source names what to serve."""
    if config.target is None:
        raise UsageError(
            'expected a target, "module:attribute" such as package.main:app, got nothing'
        )


def cpu_count() -> int:
    """Return how many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _refuse(values: dict[str, Value]) -> None:
    low, high = values["write_low_water"], values["write_high_water"]
    assert isinstance(low, int)
    assert isinstance(high, int)
    if low > high:
        raise UsageError(f"write_low_water: expected at most write_high_water ({high}), got {low}")
    limit = values["rlimit_nofile"]
    assert isinstance(limit, int)
    if 0 < limit < _FEWEST_FILES:
        raise UsageError(f"rlimit_nofile: expected 0 or at least {_FEWEST_FILES}, got {limit}")
    timeout = values["worker_timeout"]
    assert isinstance(timeout, float)
    if 0 < timeout < _SHORTEST_TIMEOUT:
        raise UsageError(
            f"worker_timeout: expected 0 or at least {_SHORTEST_TIMEOUT:g} s, got {timeout:g}"
        )
    interface = values["interface"]
    threads = values["blocking_threads"]
    if interface not in ("auto", "wsgi") and isinstance(threads, int) and threads > 1:
        raise UsageError(
            f"blocking_threads: expected 1, since an application of the interface {interface} runs "
            f"on the event loop, got {threads}"
        )
    proxies = values["proxy_protocol_allow_ips"] or values["forwarded_allow_ips"]
    if values["proxy_protocol"] != "off" and not proxies:
        raise UsageError("proxy_protocol_allow_ips: expected somebody who speaks it, got nobody")
    _refuse_tls(values)
    if interface in ("asginl", "rsgi") and values["lifespan"] == "on":
        raise UsageError(f"lifespan: expected auto or off with the interface {interface}, got on")
    routes, mounts = values["static_path_route"], values["static_path_mount"]
    assert isinstance(routes, tuple)
    assert isinstance(mounts, tuple)
    if len(routes) != len(mounts) and not (len(mounts) == 1 and not routes):
        raise UsageError(
            f"static_path_route: expected one for each static_path_mount ({len(mounts)}), "
            f"got {len(routes)}"
        )


def _refuse_tls(values: dict[str, Value]) -> None:
    certificates, keys = values["ssl_certificate"], values["ssl_keyfile"]
    assert isinstance(certificates, tuple)
    assert isinstance(keys, tuple)
    if keys and not certificates:
        raise UsageError("ssl_keyfile: expected an ssl_certificate with it, got none")
    if keys and len(keys) != len(certificates):
        raise UsageError(
            f"ssl_keyfile: expected one for each ssl_certificate ({len(certificates)}), "
            f"got {len(keys)}"
        )
    if values["ssl_keyfile_password"] and values["ssl_keyfile_password_file"]:
        raise UsageError("ssl_keyfile_password_file: expected no ssl_keyfile_password with it")
    _refuse_redirect(values)
    hsts = values["ssl_hsts"]
    assert isinstance(hsts, str)
    if hsts and not _is_hsts(hsts):
        raise UsageError(
            "ssl_hsts: expected max-age= and seconds, perhaps with ; includeSubDomains and "
            f"; preload, got {hsts!r}"
        )
    revoked = values["ssl_crl"]
    assert isinstance(revoked, tuple)
    count = len(certificates) + len(keys) + len(revoked)
    if values["ssl_reload"] and count > _MOST_WATCHED:
        raise UsageError(f"ssl_reload: expected at most {_MOST_WATCHED} files, got {count}")
    if values["ssl_client_verify"] != "none" and not values["ssl_ca"]:
        # Another server goes on without the check; who asked for it should hear of it.
        raise UsageError("ssl_client_verify: expected an ssl_ca with it, got none")


def _refuse_redirect(values: dict[str, Value]) -> None:
    port = values["ssl_redirect_port"]
    if not port:
        return
    if not values["ssl_certificate"]:
        raise UsageError("ssl_redirect_port: expected an ssl_certificate with it, got none")
    bound = addresses_of(values["bind"], values["uds"], values["host"], values["port"])
    if any(address.kind == TCP and address.port == port for address in bound):
        raise UsageError(
            f"ssl_redirect_port: expected another port than that of HTTPS, got {port} for both"
        )


def _is_hsts(text: str) -> bool:
    age, *others = [part.strip().lower() for part in text.split(";")]
    name, _, seconds = age.partition("=")
    known = {"includesubdomains", "preload"}
    return name == "max-age" and seconds.isdecimal() and known.issuperset(others)


def _refuse_patterns(values: dict[str, Value]) -> None:
    patterns = values["reload_ignore_patterns"]
    assert isinstance(patterns, tuple)
    if not patterns:
        return
    import re  # costs a megabyte

    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as exc:  # noqa: PERF203
            raise UsageError(
                f"reload_ignore_patterns: expected a regular expression, got {pattern!r}: {exc}"
            ) from None


def _refuse_access_format(values: dict[str, Value]) -> None:
    given = values["access_log_fmt"]
    assert given is None or isinstance(given, str)
    if given is not None:
        from granite.settings.access_format import compile_format

        try:
            compile_format(given)
        except UsageError as exc:
            raise UsageError(f"access_log_fmt: {exc}") from None
    paths = values["access_log_exclude"]
    assert isinstance(paths, tuple)
    for path in paths:
        if not path.startswith("/") or "*" in path[:-1]:
            raise UsageError(
                "access_log_exclude: expected a path, with * at its end for all that begin so, "
                f"got {path!r}"
            )


def _name_reserved(values: dict[str, Value], notes: list[Note]) -> None:
    names = [
        setting.name
        for setting in SETTINGS
        if setting.reserved and values[setting.name] != setting.default
    ]
    if names:
        notes.append(Note("warning", f"no effect in this release: {', '.join(names)}"))


def _correct(values: dict[str, Value], notes: list[Note]) -> None:
    user, group = values["user"], values["group"]
    if values["uds_owner"] is None and (user or group):
        # Who may connect is decided by the owner, and who reads is the worker.
        values["uds_owner"] = f"{user or ''}:{group}" if group else user
    if values["workers"] == 0:
        values["workers"] = cpu_count()
    if values["interface"] == "asginl":
        values["lifespan"] = "off"
    if values["interface"] == "wsgi" and values["ws"]:
        values["ws"] = False
        notes.append(Note("info", "ws: WSGI has no WebSocket; it is off"))
    if values["reload"]:
        for name in _OFF_WITH_RELOAD:
            if values[name]:
                values[name] = BY_NAME[name][0].default
                notes.append(Note("info", f"{name}: has no effect together with reload; it is off"))


def _remark(values: dict[str, Value], notes: list[Note]) -> None:
    proxies, fields = values["forwarded_allow_ips"], values["forwarded_headers"]
    assert isinstance(proxies, tuple)
    if values["proxy_protocol"] != "off" and "*" in proxies and fields:
        notes.append(
            Note(
                "warning",
                "forwarded_allow_ips: with * the clients that the PROXY protocol tells of are "
                "believed, too, whatever they say in X-Forwarded-For; name the proxies in "
                "proxy_protocol_allow_ips alone",
            )
        )
    head = values["max_head_size"]
    assert isinstance(head, int)
    for name in ("max_request_line", "max_field_size"):
        part = values[name]
        assert isinstance(part, int)
        if part > head:
            notes.append(
                Note("warning", f"{name}: has no effect above max_head_size, which is {head}")
            )
    workers = values["workers"]
    assert isinstance(workers, int)
    cpus = cpu_count()
    if workers > cpus:
        notes.append(
            Note(
                "warning",
                f"workers: {workers} on {cpus} {'CPU' if cpus == 1 else 'CPUs'}; more workers than "
                "CPUs make a server slower, not faster",
            )
        )
    if values["http"] == "2" and values["ws"]:
        notes.append(Note("info", "ws: WebSocket connections come over HTTP/1.1, which is off"))
