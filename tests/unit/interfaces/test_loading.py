"""From a target to an application, and whose mistake it is when there is none."""

from __future__ import annotations

import sys

import pytest

from granite.errors import EXIT_LOAD, BootError, LoadError
from granite.interfaces import loading


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A function that writes a module, and makes it importable for the test."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def write(name: str, text: str) -> None:
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def failure(target: str, factory: bool = False) -> LoadError:
    with pytest.raises(LoadError) as caught:
        loading.load(target, factory)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == EXIT_LOAD
    return caught.value


def test_attribute_dotted_and_left_out(module):
    module("target_ok", "class Box:\n    app = print\nbox = Box\napp = repr\n")
    assert loading.load("target_ok:app") is repr
    assert loading.load("target_ok") is repr
    assert loading.load("target_ok:box.app") is print


def test_module_of_a_package(module):
    module("target_package/__init__", "")
    module("target_package/main", "app = repr\n")
    assert loading.load("target_package.main:app") is repr


def test_factory(module):
    module("target_factory", "def make():\n    return repr\ndef none():\n    pass\n")
    assert loading.load("target_factory:make", factory=True) is repr
    assert str(failure("target_factory:none", factory=True)).endswith(
        "expected the factory to return the application, a callable, got an object of type NoneType"
    )


@pytest.mark.parametrize(
    "target", ["", ":app", "a b:app", "app.py:app", "folder/app:app", "x:y:z", "x:1", "x..y"]
)
def test_malformed(target):
    error = failure(target)
    assert str(error).startswith('expected a target, "module:attribute"')
    assert repr(target) in str(error)


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        ("app.py", "app:app"),
        ("./app.py:make", "app:make"),
        ("folder/app.py:app", "folder.app:app"),
        ("folder/app", "folder.app:app"),
    ],
)
def test_a_file_as_target(target, meant):
    assert str(failure(target)).endswith(f"got {target!r} (did you mean {meant!r}?)")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("target_none:app", "there is no module 'target_none'"),
        ("target_none.sub:app", "there is no module 'target_none' (needed for 'target_none.sub')"),
        ("target_there:no", "module 'target_there' has no attribute 'no'"),
        ("target_there:app.no", "object 'target_there:app' has no attribute 'no'"),
        ("target_there.sub:app", "there is no module 'target_there.sub'"),
        ("target_there:number", "expected a callable, got an object of type int"),
    ],
)
def test_missing_is_one_line(module, target, message):
    module("target_there", "def app(): pass\nnumber = 1\n")
    error = failure(target)
    assert str(error) == f"cannot load {target!r}: {message}"
    assert error.details is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("import target_none\n", "ModuleNotFoundError"),
        ("from os import target_none\n", "ImportError"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("def broken(:\n", "SyntaxError"),
        ("import sys\nsys.exit('no')\n", "SystemExit"),
        # It names its own module, and still raises by itself.
        ("import target_raises.sub\n", "ModuleNotFoundError"),
    ],
)
def test_what_the_application_raises_keeps_its_traceback(module, text, kind):
    module("target_raises", text)
    error = failure("target_raises:app")
    assert str(error) == f"cannot load 'target_raises:app': the application raised {kind}"
    assert error.details is not None
    assert "target_raises.py" in error.details
    assert kind in error.details.splitlines()[-1]
    assert "importlib" not in error.details
    assert "loading.py" not in error.details


def test_what_a_factory_raises_keeps_its_traceback(module):
    module("target_make", "def make():\n    raise KeyError('k')\n")
    error = failure("target_make:make", factory=True)
    assert error.details is not None
    assert error.details.splitlines()[-1] == "KeyError: 'k'"
    assert "in make" in error.details


def test_an_attribute_error_from_within_is_the_applications(module):
    module("target_getattr", "def __getattr__(name):\n    return None.nothing\n")
    error = failure("target_getattr:app")
    assert error.details is not None
    assert "NoneType" in error.details


def test_what_a_loader_returns_is_the_application():
    assert loading.call(lambda: print) is print


def test_what_a_loader_raises_keeps_its_traceback():
    def load():
        raise KeyError("k")

    with pytest.raises(LoadError) as caught:
        loading.call(load)
    assert str(caught.value) == "cannot load the application: the application raised KeyError"
    assert caught.value.details is not None
    assert caught.value.details.splitlines()[-1] == "KeyError: 'k'"
    assert "in call" not in caught.value.details


@pytest.mark.parametrize("error", [LoadError("mine"), BootError("mine")])
def test_granites_own_errors_pass(error):
    def load():
        raise error

    with pytest.raises(type(error), match=r"^mine$"):
        loading.call(load)


def test_a_loader_that_returns_no_application():
    with pytest.raises(LoadError, match="expected a callable, got an object of type int"):
        loading.call(lambda: 3)
