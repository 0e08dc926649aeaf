"""Who may import whom: the arrows of the house, read from the sources.

A new arrow fails. Whoever wants it changes the table below, and has a reason that the table's
reader can find in docs/architecture.md.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "granite"

# capi ← buf ← transport ← { net, tls, http1, http2, websocket };
# scope ← exchange ← task ← { asgi, … };
# anybody who counts → counters; address ← { transport, net, forwarded }; loop ← net;
# forwarded ← http ← { http1, http2, websocket };  tls ← tls12
CORE: dict[str, set[str]] = {
    "capi": set(),
    "address": set(),
    "counters": set(),
    "errorlog": set(),
    "buf": {"capi"},
    "transport": {"address", "capi", "buf"},
    "loop": {"errorlog", "capi", "counters"},
    "net": {"errorlog", "address", "capi", "buf", "counters", "loop", "transport"},
    "tls": {"capi", "buf", "counters", "transport"},
    "tls12": {"capi", "buf", "tls", "transport"},
    "scope": {"capi"},
    "exchange": {"errorlog", "capi", "counters", "scope", "transport"},
    "accesslog": {"errorlog", "capi", "counters", "transport", "exchange"},
    "proxy_protocol": {"address"},
    "forwarded": {"errorlog", "address", "capi", "transport", "scope", "exchange"},
    "http": {
        *("errorlog", "address", "capi", "accesslog", "counters", "transport", "scope"),
        *("exchange", "forwarded"),
    },
    "http1": {
        *("errorlog", "address", "capi", "buf", "counters", "transport", "scope", "exchange"),
        *("forwarded", "http"),
    },
    "http2": {
        *("errorlog", "address", "capi", "buf", "counters", "transport", "scope", "exchange"),
        *("forwarded", "http"),
    },
    "websocket": {
        *("errorlog", "capi", "buf", "counters", "transport", "exchange", "http"),
    },
    "task": {"errorlog", "capi", "exchange"},
    "asgi": {"capi", "scope", "exchange", "task"},
    "wsgi": {"errorlog", "capi", "counters", "scope", "exchange", "transport"},
    "rsgi": {"capi", "scope", "exchange", "task"},
    "static": {"capi", "scope", "exchange"},
    "peers": {"address", "counters"},
    "conn": {
        "errorlog",
        *("address", "capi", "buf", "counters", "transport", "net", "tls", "http1", "http2"),
        *("exchange", "http", "peers", "proxy_protocol"),
    },
    "server": {
        "errorlog",
        "address",
        "proxy_protocol",
        "capi",
        "accesslog",
        "buf",
        "counters",
        "transport",
        "net",
        "peers",
        "tls",
        "conn",
        "scope",
        "exchange",
        "forwarded",
        "http",
        "http1",
        "http2",
    },
}

# Packages and modules of the Python half; `_core` stands for all of the C half. A worker speaks the
# arbiter's channel; the command line loads the core for `version` and `check` alone, and inside
# those functions; who serves in its own process opens its sockets as the arbiter does.
PYTHON: dict[str, set[str]] = {
    "": {"api", "embedded"},  # granite/__init__.py, lazily
    "__main__": {"cli"},
    "errors": set(),
    "settings": {"errors"},
    "log": {"imports", "_core", "errors", "settings"},
    "environment": {"errors", "settings"},
    "process": {"errors", "settings"},
    "hooks": {"errors", "settings"},
    "keywords": {"errors", "settings"},
    "key_files": {"errors", "settings"},
    "arbiter": {
        *("environment", "errors", "hooks", "key_files", "log", "metrics", "process", "settings"),
        "watcher",
    },
    "watcher": {"settings", "watched"},
    "watched": {"settings"},
    "development": {"errors"},
    "interfaces": {"_core", "errors", "settings"},
    "rsgi": {"_core"},
    "request_hooks": {"settings"},
    "secure": {"_core", "errors", "key_files", "settings"},
    "snapshot": set(),
    "metrics": {"errors", "settings", "snapshot"},
    "access_log": {"_core", "log", "settings"},
    "request_id": set(),
    "imports": set(),
    "tickets": {"_core", "arbiter", "settings"},
    "event_loops": {"imports", "errors"},
    "serving": {
        *("_core", "access_log", "interfaces", "request_id", "secure", "settings", "tickets"),
    },
    "serving_async": {"_core", "interfaces", "serving", "settings"},
    "serving_wsgi": {"_core", "interfaces", "serving", "settings"},
    "link": {"arbiter", "errors", "serving", "settings"},
    "duty": {"_core", "arbiter", "development", "errors", "hooks", "link", "log", "secure"},
    "preparation": {
        *("_core", "environment", "event_loops", "interfaces", "secure", "worker_async"),
        "worker_wsgi",
    },
    "sharing": set(),
    "birth": {"arbiter", "errors"},
    "worker_async": {"development", "errors", "interfaces", "serving", "serving_async"},
    "worker_wsgi": {"_core", "arbiter", "errors", "serving", "serving_wsgi"},
    "worker": {
        *("arbiter", "development", "duty", "errors", "event_loops", "interfaces", "link"),
        *("log", "preparation", "process", "request_hooks", "worker_async", "worker_wsgi"),
    },
    "template": {
        "_core",
        *("arbiter", "birth", "errors", "interfaces", "link", "log", "preparation", "process"),
        *("secure", "sharing", "worker"),
    },
    "launch": {"arbiter", "settings", "template", "worker"},
    "cli": {
        *("_core", "arbiter", "environment", "errors", "event_loops", "interfaces", "launch"),
        *("local_authority", "log", "process", "secure", "settings", "sharing"),
    },
    "program": {"errors", "launch", "log", "settings"},
    "api": {"errors", "keywords", "program", "settings"},
    "embedded": {
        *("arbiter", "errors", "interfaces", "keywords", "secure", "serving", "serving_async"),
        "settings",
    },
    "local_authority": {"errors"},
    "testing": {
        *("_core", "arbiter", "errors", "event_loops", "interfaces", "local_authority", "secure"),
        "serving",
        *("serving_async", "serving_wsgi", "settings"),
    },
    "testing_pytest": {"testing"},
    "_core": set(),
}
PROTOCOLS = {"http1", "http2", "websocket"}

_CIMPORT = re.compile(
    r"^\s*(?:from\s+(granite[\w.]*)\s+c?import\s+(\(.*?\)|[^\n]*)|c?import\s+(granite[\w.]*))",
    re.MULTILINE | re.DOTALL,
)


def cython_sources() -> dict[str, list[Path]]:
    """The files of each module of the core, with the ones that it includes."""
    sources: dict[str, list[Path]] = {}
    for path in sorted((PACKAGE / "_core").rglob("*")):
        if path.suffix in {".pyx", ".pxd", ".pxi"}:
            name = path.relative_to(PACKAGE / "_core").parts[0].partition(".")[0]
            sources.setdefault(name, []).append(path)
    return sources


def core_arrows(paths: list[Path]) -> set[str]:
    """The modules below granite._core that the files import or cimport."""
    arrows = set()
    for path in paths:
        for origin, names, plain in _CIMPORT.findall(path.read_text("utf-8")):
            parts = (plain or origin).split(".")
            assert parts[:2] == ["granite", "_core"], f"{path}: the core knows nothing above itself"
            if len(parts) > 2:
                arrows.add(parts[2])
            else:
                arrows.update(re.findall(r"\w+", names))
    return arrows


@pytest.mark.parametrize("module", sorted(cython_sources()))
def test_core(module: str) -> None:
    arrows = core_arrows(cython_sources()[module]) - {module}
    assert module in CORE, "a new module needs its row in the table"
    assert arrows - CORE[module] == set()


def test_the_table_itself() -> None:
    for protocol in PROTOCOLS:
        assert "net" not in CORE[protocol]
    assert not CORE["net"] & PROTOCOLS
    for module, allowed in CORE.items():
        for other in allowed:
            assert module not in CORE[other], f"{module} and {other} import each other"


def test_one_extension_per_library() -> None:
    """A static library holds state: whoever cimports its calls links it."""
    linked = {"uv": "net", "llhttp": "http1", "picotls": "tls", "nghttp2": "http2"}
    for module, paths in cython_sources().items():
        text = "".join(path.read_text("utf-8") for path in paths)
        for library, owner in linked.items():
            used = re.search(rf"(?<![.\w]){library}\.[a-z]\w*\(", text)
            assert used is None or module == owner, f"{module} calls {library}"


def python_sources() -> dict[str, list[Path]]:
    sources: dict[str, list[Path]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = "" if parts == ("__init__",) else parts[0]
        if name != "_core":
            sources.setdefault(name, []).append(path)
    return sources


def python_arrows(path: Path) -> set[str]:
    """The parts of granite that a file imports, also inside functions; types alone don't count."""
    tree = ast.parse(path.read_text("utf-8"))
    skipped = {
        id(node)
        for guard in ast.walk(tree)
        if isinstance(guard, ast.If) and ast.unparse(guard.test).endswith("TYPE_CHECKING")
        for statement in guard.body
        for node in ast.walk(statement)
    }
    names: list[str] = []
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: an absolute import says where it comes from"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    parts = [name.split(".") for name in names]
    return {part[1] for part in parts if part[0] == "granite" and len(part) > 1}


@pytest.mark.parametrize("module", sorted(python_sources()), ids=lambda name: name or "granite")
def test_python(module: str) -> None:
    arrows = set().union(*map(python_arrows, python_sources()[module])) - {module}
    parts = {path.name.partition(".")[0] for path in PACKAGE.iterdir()}
    assert module in PYTHON, "a new module needs its row in the table"
    assert (arrows & parts) - PYTHON[module] == set()


@pytest.mark.parametrize(
    ("imported", "forbidden"),
    [
        ("granite", ["asyncio", "granite._core", "granite.worker", "granite.interfaces"]),
        ("granite.arbiter.arbiter", ["asyncio", "granite._core", "granite.interfaces"]),
        ("granite.cli", ["asyncio", "granite._core", "granite.interfaces"]),
        ("granite.testing_pytest", ["granite.testing", "granite._core"]),
    ],
)
def test_what_comes_along(imported: str, forbidden: list[str]) -> None:
    """The arbiter forks: it must hold nothing of the application, nor what could start a thread."""
    code = (
        f"import sys, {imported}\n"
        f"print(*(name for name in sys.modules if name.split('.')[0] in ('granite', 'asyncio')))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = run.stdout.split()
    assert imported in loaded
    assert [
        name for name in loaded if any(name == f or name.startswith(f + ".") for f in forbidden)
    ] == []
