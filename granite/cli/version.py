"""`granite version`: what granite is made of and what this build can do.

Owns the list of parts. Must not know what they are for. Runs on the main thread; the only command,
beside `check`, that loads the C core.
"""

from __future__ import annotations

import sys

from granite import __version__
from granite.cli.output import write
from granite.errors import EXIT_OK, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["collect", "main"]

# Packages that granite uses where they are installed, by the names of their distributions.
_OPTIONAL = ("uvloop", "python-dotenv", "rich", "setproctitle", "trustme", "watchfiles")


def main(arguments: Sequence[str]) -> int:
    """Run `granite version` with `arguments`; return the exit status."""
    wrong = [argument for argument in arguments if argument != "--json"]
    if wrong:
        raise UsageError(f"version: expected no argument but --json, got {wrong[0]!r}")
    found = collect()
    if arguments:
        import json

        write(json.dumps(found, indent=2) + "\n")
    else:
        write(_text(found))
    return EXIT_OK


def collect() -> dict[str, object]:
    """Return the versions, the platform and the features as values that JSON has."""
    import platform

    from granite._core import buf, http1, http2, net, tls

    python = f"{platform.python_implementation()} {platform.python_version()}"
    return {
        "granite": __version__,
        "python": python,
        "platform": platform.platform(),
        "libraries": {
            "libuv": net.UV_VERSION,
            "llhttp": http1.LLHTTP_VERSION,
            "nghttp2": http2.NGHTTP2_VERSION,
            "OpenSSL": tls.OPENSSL_VERSION.removeprefix("OpenSSL ").split()[0],
        },
        "packages": {name: _installed(name) for name in _OPTIONAL},
        "features": {
            "HTTP/1.1": True,
            "TLS 1.3": True,
            "TLS 1.2": True,
            "ASGI": True,
            "RSGI": True,
            "WSGI": True,
            "HTTP/2": True,
            "WebSocket": False,
        },
        "build": {
            "debug": buf.DEBUG,
            "sanitizer": buf.SANITIZE,
            "free_threaded": not getattr(sys, "_is_gil_enabled", lambda: True)(),
        },
    }


def _installed(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _text(found: dict[str, object]) -> str:
    libraries, packages = found["libraries"], found["packages"]
    features, build = found["features"], found["build"]
    assert isinstance(libraries, dict)
    assert isinstance(packages, dict)
    assert isinstance(features, dict)
    assert isinstance(build, dict)
    rows = [("Python", found["python"]), *libraries.items()]
    rows += [(name, version or "not installed") for name, version in packages.items()]
    rows += [
        ("platform", found["platform"]),
        ("features", ", ".join(name for name, there in features.items() if there)),
        ("not yet", ", ".join(name for name, there in features.items() if not there)),
        ("build", ", ".join(name for name, there in build.items() if there) or "release"),
    ]
    return f"granite {__version__}\n" + "".join(f"  {name:<14} {text}\n" for name, text in rows)
