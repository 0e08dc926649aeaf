"""The page of an application that cannot start, and imports in development."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from granite.development import ErrorPage
from granite.errors import LifespanError, LoadError
from granite.interfaces.loading import load
from tests.patience import PATIENCE

ROOT = Path(__file__).parents[2]


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """Return a function that loads a module of a text and returns the page about its failure."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def page(text: str, **others: str) -> ErrorPage:
        for name, content in {"broken_app": text, **others}.items():
            (tmp_path / f"{name}.py").write_text(content)
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        with pytest.raises(LoadError) as caught:
            load("broken_app:app")
        return ErrorPage(caught.value)

    return page


def ask(page: ErrorPage, accept: str | None = None, method: str = "GET") -> tuple[dict, str]:
    headers = [] if accept is None else [(b"accept", accept.encode())]
    sent: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict) -> None:
        sent.append(message)

    asyncio.run(page({"type": "http", "method": method, "headers": headers}, receive, send))
    start, body = sent
    assert start["status"] == 500
    return dict(start["headers"]), body["body"].decode()


BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"


def test_a_syntax_error_with_its_place(broken):
    page = broken("import broken_part\n", broken_part="def f():\n\tx = 1\n\treturn (1\n\n")
    for accept in (None, BROWSER):
        headers, text = ask(page, accept)
        assert "SyntaxError: &#x27;(&#x27; was never closed" in text or (
            "SyntaxError: '(' was never closed" in text
        )
        assert text.index("broken_part.py:3") < text.index("broken_app.py:1")
        assert "return (1" in text
        assert int(headers[b"content-length"]) == len(text.encode())
    assert re.search(r"> 3 \treturn \(1\n +\t +\^\n", ask(page)[1])
    assert page.report.startswith("cannot load 'broken_app:app'")
    assert "SyntaxError" in page.report


def test_the_places_of_the_application_come_first(broken):
    page = broken("import json\ndef read(text):\n    return json.loads(text)\n\nread('{')\n")
    _, text = ask(page)
    assert text.startswith("json.decoder.JSONDecodeError: Expecting property name")
    places = [line for line in text.splitlines() if re.match(r"\S+\.py:\d+", line)]
    assert places == ["broken_app.py:3, in read", "broken_app.py:5"]
    assert "json/decoder.py" in text  # below, in the whole traceback
    assert text.index("broken_app.py:5") < text.index("Traceback (most recent call last)")


@pytest.mark.parametrize("text", ["<script>alert('x')</script>", '"><img src=x>'])
def test_everything_is_escaped(broken, text):
    page = broken(f"# {text}\nraise ValueError({text!r})\n")
    headers, html = ask(page, BROWSER)
    assert headers[b"content-type"] == b"text/html; charset=utf-8"
    assert text not in html
    assert html.count("<script") == 1
    assert "ValueError: " in html
    (nonce,) = re.findall(r'<script nonce="(\w+)">', html)
    assert f"script-src 'nonce-{nonce}'" in headers[b"content-security-policy"].decode()
    assert text in ask(page)[1]


def test_what_cannot_be_encoded(broken):
    page = broken("raise ValueError('\\udcff \\x00 {}')\n")
    assert "\\udcff" in ask(page)[1]
    assert "\\udcff" in ask(page, BROWSER)[1]


def test_text_for_everybody_else(broken):
    page = broken("1/0\n")
    for accept in (None, "*/*", "application/json"):
        headers, text = ask(page, accept)
        assert headers[b"content-type"] == b"text/plain; charset=utf-8"
        assert headers[b"cache-control"] == b"no-store"
        assert "ZeroDivisionError: division by zero" in text
    assert ask(page, method="HEAD")[1] == ""


def test_the_page_has_a_name_that_changes_with_the_error(broken):
    first = ask(broken("1/0\n"), BROWSER)[0][b"x-granite-error"]
    assert ask(broken("1/0\n"), BROWSER)[0][b"x-granite-error"] == first
    assert ask(broken("2/0\n"), BROWSER)[0][b"x-granite-error"] != first


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (LoadError("cannot load 'x:app': there is no module 'x'"), "there is no module 'x'"),
        (LifespanError("the application's startup failed: no", "Traceback…\nKeyError"), "KeyError"),
    ],
)
def test_errors_without_an_exception_of_the_application(error, expected):
    assert expected in ask(ErrorPage(error))[1]
    html = ask(ErrorPage(error), BROWSER)[1]
    assert expected.split("'", maxsplit=1)[0] in html
    assert ErrorPage(error).report == error.report


def test_it_speaks_lifespan_and_refuses_websockets():
    page = ErrorPage(LoadError("broken"))

    async def converse(kind: str, *messages: str) -> list[str]:
        left, sent = list(messages), []

        async def receive() -> dict:
            return {"type": left.pop(0)}

        async def send(message: dict) -> None:
            sent.append(message["type"])

        await page({"type": kind}, receive, send)
        return sent

    assert asyncio.run(converse("lifespan", "lifespan.startup", "lifespan.shutdown")) == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    assert asyncio.run(converse("websocket", "websocket.connect")) == ["websocket.close"]


# imports


def run(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
            "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}",
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    return done.stdout.strip()


def test_the_cache_never_has_what_was_saved_within_the_same_second(tmp_path):
    """The second save has the length and, in whole seconds, the time of the first one."""
    module = tmp_path / "saved.py"
    saved_at = int(time.time())
    code = (
        "from types import SimpleNamespace\n"
        "from granite import development\n"
        f"development.time = SimpleNamespace(time=lambda: {saved_at} + 0.9)\n"
        "development.prepare(); import saved; print(saved.x)"
    )
    now = saved_at * 10**9
    module.write_text("x = 1")
    os.utime(module, ns=(now, now))
    assert run(code, tmp_path) == "1"
    module.write_text("x = 2")
    os.utime(module, ns=(now + 1000, now + 1000))
    assert run(code, tmp_path) == "2"


def test_the_cache_has_the_rest(tmp_path):
    module = tmp_path / "settled.py"
    module.write_text("x = 1")
    os.utime(module, (1000, 1000))
    run("from granite import development; development.prepare(); import settled", tmp_path)
    assert list((tmp_path / "__pycache__").glob("settled.*.pyc"))


def test_what_a_program_has_imported_of_the_application_is_forgotten(tmp_path):
    (tmp_path / "own.py").write_text("import json")
    code = (
        "import sys, own, granite.program, granite.development\n"
        "granite.development.prepare()\n"
        "print('own' in sys.modules, 'json' in sys.modules, 'granite.program' in sys.modules)"
    )
    assert run(code, tmp_path) == "False True True"
    code = code.replace("granite.program, ", "").replace(", 'granite.program' in sys.modules", "")
    assert run(code, tmp_path) == "True True"
