"""The event loop of an application: which one, and when it is there. In processes of their own, as
what is imported stays imported.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import textwrap

import pytest

HEAD = """
import sys
from granite.event_loops import EarlyLoop
assert "asyncio" not in sys.modules
def current():
    import asyncio
    return asyncio.get_event_loop_policy().get_event_loop()
"""


def run(code: str) -> None:
    code = HEAD + textwrap.dedent(code)
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_who_imports_asyncio_finds_the_loop():
    run("""
    with EarlyLoop("auto", "asyncio") as early:
        assert "asyncio" not in sys.modules
        import asyncio
        found = current()
    assert found is early.get() is current()
    assert asyncio.__loader__ is asyncio.__spec__.loader
    assert "event_loops" not in type(asyncio.__loader__).__module__
    assert not any(isinstance(finder, EarlyLoop) for finder in sys.meta_path)
    early.close()
    assert found.is_closed()
    """)


def test_a_module_of_asyncio():
    run("""
    with EarlyLoop("auto", "asyncio") as early:
        import asyncio.subprocess
        assert current() is early.get()
    early.close()
    """)


def test_who_does_not_has_none():
    run("""
    with EarlyLoop("auto", "asyncio") as early:
        import json
    assert "asyncio" not in sys.modules
    assert not any(isinstance(finder, EarlyLoop) for finder in sys.meta_path)
    assert early.get() is current()
    early.close()
    early.close()
    """)


def test_asyncio_may_be_there_before():
    run("""
    import asyncio
    with EarlyLoop("auto", "asyncio") as early:
        assert current() is early.get()
    early.close()
    """)


@pytest.mark.parametrize("interface", ["asgi", "asginl", "rsgi"])
def test_an_interface_that_needs_one(interface):
    run(f"""
    with EarlyLoop({interface!r}, "asyncio") as early:
        assert "asyncio" in sys.modules
        assert current() is early.get()
    early.close()
    """)


def test_wsgi_needs_none():
    run("""
    with EarlyLoop("wsgi", "asyncio") as early:
        assert "asyncio" not in sys.modules
        import asyncio
        assert asyncio.get_event_loop_policy()._local._loop is None
    early.close()
    """)


def test_a_thread_imports_it():
    """Which has no current loop, then or ever."""
    run("""
    import threading
    with EarlyLoop("auto", "asyncio") as early:
        thread = threading.Thread(target=__import__, args=("asyncio",))
        thread.start()
        thread.join()
    assert "asyncio" in sys.modules
    assert early.get() is current()
    early.close()
    """)


def test_an_import_that_fails():
    run("""
    sys.modules["asyncio.base_events"] = None
    with EarlyLoop("auto", "asyncio"):
        try:
            import asyncio
        except ImportError:
            pass
        else:
            raise AssertionError
    del sys.modules["asyncio.base_events"]
    import asyncio
    """)


@pytest.mark.skipif(importlib.util.find_spec("uvloop") is None, reason="uvloop is not installed")
@pytest.mark.parametrize("first", ["asyncio", "uvloop"])
@pytest.mark.parametrize("kind", ["asyncio", "auto", "uvloop"])
def test_uvloop(first, kind):
    run(f"""
    with EarlyLoop("auto", {kind!r}) as early:
        import {first}
        found = current()
    assert found is early.get()
    assert type(found).__module__.startswith("asyncio" if {kind!r} == "asyncio" else "uvloop")
    early.close()
    """)


def test_uvloop_that_is_missing():
    """It is no failure of the application's import, and none at all where no loop is needed."""
    run("""
    from granite.errors import BootError
    sys.modules["uvloop"] = None
    with EarlyLoop("auto", "uvloop") as early:
        import asyncio
    early.close()
    try:
        early.get()
    except BootError as exc:
        assert "uvloop is not installed" in str(exc)
    else:
        raise AssertionError
    """)
