"""The operator's hooks: their check, and their call."""

from __future__ import annotations

import pytest

from granite.errors import UsageError
from granite.settings.files import read_config_file
from granite.settings.hooks import ARITIES, Hooks, arity


def test_a_hook_gets_its_arguments():
    calls = []
    hooks = Hooks.of({"pre_fork": lambda *given: calls.append(given), "on_exit": None}, "origin")
    hooks.call("pre_fork", "server", "worker")
    hooks.call("on_exit", "server")
    hooks.call("when_ready", "server")
    assert calls == [("server", "worker")]
    assert ("pre_fork" in hooks, "on_exit" in hooks, hooks.names()) == (True, False, ["pre_fork"])
    assert callable(hooks["pre_fork"])


@pytest.mark.parametrize("count", ARITIES["post_request"])
def test_post_request_may_take_fewer(count):
    functions = {2: lambda a, b: 0, 3: lambda a, b, c: 0, 4: lambda a, b, c, d: 0}
    hooks = Hooks.of({"post_request": functions[count]}, "origin")
    assert arity(hooks["post_request"], ARITIES["post_request"]) == count


def test_a_builtin_that_does_not_say_what_it_takes():
    assert "on_exit" in Hooks.of({"on_exit": type}, "origin")


@pytest.mark.parametrize(
    ("name", "function", "message"),
    [
        ("on_start", print, "origin: unknown hook 'on_start'"),
        ("on_exit", 1, "origin: on_exit: expected a function, got 1"),
        ("on_exit", lambda: 0, "origin: on_exit: expected a function of 1 argument"),
        ("pre_fork", lambda a: 0, "origin: pre_fork: expected a function of 2 arguments"),
        (
            "post_request",
            lambda a: 0,
            "origin: post_request: expected a function of 4 or 3 or 2 arguments",
        ),
    ],
)
def test_refused(name, function, message):
    with pytest.raises(UsageError) as caught:
        Hooks.of({name: function}, "origin")
    assert str(caught.value) == message


def test_a_function_with_nearly_the_name_of_a_hook(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "c.py"
    file.write_text("import os\ndef post_frok(server, worker): ...\n")
    with pytest.raises(UsageError) as caught:
        read_config_file("c.py")
    assert str(caught.value) == "c.py:2: unknown hook 'post_frok' (did you mean 'post_fork'?)"
    text = "def post_frok(server, worker): ...\npost_fork = post_frok\ndef on_start(): ...\n"
    file.write_text(text)
    assert read_config_file("c.py").hooks.names() == ["post_fork"]
