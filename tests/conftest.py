"""Fixtures that several test packages share."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import httpx
import pytest

from tests.again import pytest_addoption, pytest_configure
from tests.granite_process import LAUNCHER, GraniteProcess
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from tests.server.tls import Authority

# Processes inherit what is ignored, as under nohup or behind a shell's &, and keep it so.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


__all__ = ["pytest_addoption", "pytest_configure"]


class RunGranite(Protocol):
    def __call__(
        self,
        *arguments: str,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        launcher: tuple[str, ...] = LAUNCHER,
        ready: bool = True,
    ) -> GraniteProcess: ...


@pytest.fixture(scope="module", autouse=True)
def _quick_collections() -> None:
    """Each server's end has garbage collected, which costs as much as there are objects to look at:
    a quarter of a second, were all the tests and what they leave among them.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def no_authorities(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Spare each HTTP client the 30 ms of loading certificates of authorities that no test asks:
    one that checks certificates brings its own.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_DIR", str(tmp_path_factory.mktemp("authorities")))
        yield


@pytest.fixture(scope="session", autouse=True)
def patience() -> Iterator[None]:
    """Let HTTP clients wait as long as everything else for what must happen."""
    with pytest.MonkeyPatch.context() as patch:
        for call in (httpx.get, httpx.Client.__init__, httpx.AsyncClient.__init__):
            assert call.__kwdefaults__ is not None
            patch.setitem(call.__kwdefaults__, "timeout", httpx.Timeout(PATIENCE))
        yield


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate for the server, and who trusts it."""
    from tests.server.tls import Authority

    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def run_granite() -> Iterator[RunGranite]:
    """Start `granite run ARGUMENTS` on a free port; with `ready`, return when it listens."""
    with ExitStack() as stack:

        def run(
            *arguments: str,
            cwd: Path | None = None,
            env: dict[str, str] | None = None,
            launcher: tuple[str, ...] = LAUNCHER,
            ready: bool = True,
        ) -> GraniteProcess:
            is_said = {"--port", "--bind", "-b", "--uds"}.intersection(arguments)
            port = () if is_said else ("--port", "0")
            process = GraniteProcess("run", *arguments, *port, cwd=cwd, env=env, launcher=launcher)
            stack.callback(process.destroy)
            if ready:
                process.wait_for("listening on ")
            return process

        yield run
