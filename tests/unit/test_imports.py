"""What happens behind an import."""

from __future__ import annotations

import importlib
import sys
import threading

import pytest

from granite.imports import AfterImport


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module that nobody has imported."""
    name = "imported_by_a_test"
    (tmp_path / f"{name}.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)


def _in_thread(call):
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


def test_it_happens_once_when_the_module_is_complete(module):
    seen = []
    watch = AfterImport((module, "another"), lambda: seen.append(sys.modules[module].value))
    watch.begin()
    imported = importlib.import_module(module)
    assert seen == [1]
    assert watch not in sys.meta_path
    importlib.reload(imported)
    assert seen == [1]


def test_the_module_looks_as_if_nobody_had_stood_in_between(module):
    AfterImport((module,), lambda: None).begin()
    imported = importlib.import_module(module)
    assert type(imported.__loader__).__module__ != "granite.imports"
    assert imported.__spec__ is not None
    assert imported.__spec__.loader is imported.__loader__


def test_nothing_happens_behind_the_end(module):
    seen = []
    watch = AfterImport((module,), lambda: seen.append(module))
    watch.begin()
    watch.end()
    watch.end()
    importlib.import_module(module)
    assert seen == []


def test_any_thread_may_import(module):
    seen = []
    AfterImport((module,), lambda: seen.append(threading.current_thread())).begin()
    _in_thread(lambda: importlib.import_module(module))
    assert len(seen) == 1


def test_other_threads_do_not_count_where_the_main_one_is_meant(module):
    seen = []
    watch = AfterImport((module,), lambda: seen.append(module), main=True)
    watch.begin()
    _in_thread(lambda: importlib.import_module(module))
    assert seen == []
    del sys.modules[module]
    importlib.import_module(module)
    assert seen == [module]


def test_a_module_that_is_not_there_is_not_there():
    watch = AfterImport(("there_is_no_such_module",), lambda: None)
    watch.begin()
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("there_is_no_such_module")
    watch.end()
