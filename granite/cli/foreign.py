"""Options of other servers that granite does not have, and what to use in their place.

Owns the table, and the meaning of Gunicorn's worker classes. Must not know how options are read.
Imported only for an option that is unknown.
"""

from __future__ import annotations

from granite.errors import UsageError

__all__ = ["HINTS", "interface_of", "refuse"]

_NO_THREADS = "granite has no threads of its own to set; leave it out"
_ONE_PROTOCOL = "granite has one implementation of it; leave it out"
_STRICT = "granite refuses such requests; leave it out"
_NO_SERVICE = "granite stays in the foreground; let systemd or another supervisor run it"
_NO_STATSD = "granite has no statsd; its metrics are for Prometheus (--metrics)"
_NO_DIRTY = "granite has no dirty workers; use a task queue"
_NO_CONTROL = "granite has no control socket; signals do its work"
_CIPHERS = "cannot be set; granite takes the ciphers of the TLS version (--ssl-protocol-min)"
_IN_APPLICATION = "cannot be set; let the application do it"

# option -> the rest of the message. Aliases of settings are not here: they are options of granite.
HINTS: dict[str, str] = {
    # Granian
    "--runtime-threads": _NO_THREADS,
    "--runtime-blocking-threads": _NO_THREADS,
    "--runtime-mode": "granite has one mode; use --workers to use more CPUs",
    "--task-impl": "granite runs each request in an asyncio.Task; leave it out",
    "--http1-pipeline-flush": "granite always joins pipelined responses; leave it out",
    "--no-http1-pipeline-flush": "granite always joins pipelined responses; leave it out",
    # Gunicorn
    "-k": "granite has one kind of worker; use --interface and --loop",
    "--worker-class": "granite has one kind of worker; use --interface and --loop",
    "--reload-engine": "granite chooses by itself; leave it out",
    "--reload-extra-file": "use --reload-paths",
    "--spew": "use a debugger or python -m trace",
    "--check-config": "use granite check",
    "--print-config": "use granite check --all",
    "--no-sendfile": "granite does not use sendfile for responses; leave it out",
    "-D": _NO_SERVICE,
    "--daemon": _NO_SERVICE,
    "--env": "use --raw-env",
    "--pid": "use --pid-file",
    "--name": "use --process-name",
    "--worker-tmp-dir": "granite's workers need no such directory; leave it out",
    "--initgroups": "granite always sets the groups of --user; leave it out",
    "--access-logfile": "use --access-log and --access-log-file",
    "--access-logformat": "use --access-log-format",
    "--error-logfile": "use --log-file",
    "--capture-output": "granite leaves the application's output alone; redirect it in the shell",
    "--logger-class": "use --log-config",
    "--log-config-json": "use --log-config",
    "--log-syslog": "use --log-file syslog:///dev/log",
    "--log-syslog-to": "use --log-file syslog+udp://HOST:PORT",
    "--log-syslog-prefix": "use --syslog-tag",
    "--log-syslog-facility": "use --syslog-facility",
    "--disable-redirect-access-to-syslog": "use --access-log-file",
    "-R": "granite's workers always inherit standard output; leave it out",
    "--enable-stdio-inheritance": "granite's workers always inherit standard output; leave it out",
    "--statsd-host": _NO_STATSD,
    "--statsd-prefix": _NO_STATSD,
    "--dogstatsd-tags": _NO_STATSD,
    "--enable-backlog-metric": "use --metrics",
    "--paste": "granite loads no Paste files; name the application as TARGET",
    "--paster": "granite loads no Paste files; name the application as TARGET",
    "--paste-global": "granite loads no Paste files; use --raw-env",
    "--protocol": "granite speaks HTTP only; leave it out",
    "--uwsgi-allow-from": "granite speaks HTTP only; leave it out",
    "--ssl-version": "use --ssl-protocol-min",
    "--cert-reqs": "use --ssl-client-verify",
    "--suppress-ragged-eofs": _ONE_PROTOCOL,
    "--do-handshake-on-connect": _ONE_PROTOCOL,
    "--ciphers": _CIPHERS,
    "--http-protocols": "use --http",
    "--http2-cleartext": "use --http",
    "--permit-obsolete-folding": _STRICT,
    "--strip-header-spaces": _STRICT,
    "--permit-unconventional-http-method": "granite takes any method in capitals; leave it out",
    "--permit-unconventional-http-version": _STRICT,
    "--casefold-http-method": _STRICT,
    "--forwarder-headers": "use --forwarded-headers",
    "--asgi-disconnect-grace-period": _IN_APPLICATION,
    "--http-parser": _ONE_PROTOCOL,
    "--dirty-app": _NO_DIRTY,
    "--dirty-workers": _NO_DIRTY,
    "--dirty-timeout": _NO_DIRTY,
    "--dirty-threads": _NO_DIRTY,
    "--dirty-graceful-timeout": _NO_DIRTY,
    "--control-socket": _NO_CONTROL,
    "--control-socket-mode": _NO_CONTROL,
    "--no-control-socket": _NO_CONTROL,
    # uvicorn
    "--app-dir": "use --working-dir",
    "--fd": "use --bind fd://NUMBER",
    "--env-file": "use --env-files",
    "--reload-dir": "use --reload-paths",
    "--reload-exclude": "use --reload-ignore-patterns or --reload-ignore-paths",
    "--reload-delay": "use --reload-tick, in milliseconds",
    "--http2": "use --http",
    "--use-colors": "use --log-color always",
    "--no-use-colors": "use --log-color never",
    "--no-server-header": "use --server-header=",
    "--date-header": "granite always sends a Date; leave it out",
    "--no-date-header": "granite always sends a Date; leave it out",
    "--header": _IN_APPLICATION,
    "--limit-max-requests": "use --max-requests",
    "--limit-max-requests-jitter": "use --max-requests-jitter",
    "--timeout-keep-alive": "use --keep-alive-timeout",
    "--timeout-graceful-shutdown": "use --graceful-timeout",
    "--timeout-worker-healthcheck": "use --worker-timeout",
    "--ssl-certfile": "use --ssl-certificate",
    "--ssl-cert-reqs": "use --ssl-client-verify",
    "--ssl-ca-certs": "use --ssl-ca",
    "--ssl-ciphers": _CIPHERS,
    "--reset-contextvars": "each request has a context of its own; leave it out",
    # hypercorn
    "--insecure-bind": "use --bind",
    "--quic-bind": "granite does not speak HTTP/3",
    "--read-timeout": "use --request-head-timeout and --request-body-timeout",
    "--server-name": "let the application check the host, such as by a middleware",
    "--websocket-ping-interval": "use --ws-ping-interval",
}


def interface_of(option: str, worker_class: str) -> str:
    """Return the interface that a worker class of Gunicorn's serves, as a config file has it; raise
    UsageError, in one line that says what to do, if it is not one that granite stands in for.
    """
    from granite.settings import gunicorn

    meaning = gunicorn.translate({"worker_class": worker_class}, lambda name: option)
    if meaning.unmatched or "worker_class" not in {name for name, _ in meaning.values.values()}:
        raise UsageError(f"{option}: {HINTS[option]}")
    return str(meaning.values["interface"][1])


def refuse(option: str) -> None:
    """Raise UsageError, in one line that says what to do, if another server has `option`, which may
    be a short one with its value, such as `-kgthread`.
    """
    for name in (option, option[:2]):
        if name in HINTS:
            raise UsageError(f"{name}: {HINTS[name]}")
