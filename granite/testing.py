"""A real granite server inside a test: `with TestServer(app) as server:
httpx.get(server.url("/"))`.

Owns a background thread with an event loop of its own, on which the same server runs as in a worker
process. Must not know processes or signals. The class is used from the test's thread; everything it
serves runs on the background one.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import shutil
import ssl
import tempfile
import threading
import time
import traceback
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote

from granite._core import buf
from granite._core.loop import Loop
from granite._core.server import Server
from granite.arbiter.listeners import Listener, open_listeners
from granite.errors import UsageError
from granite.event_loops import new_event_loop
from granite.interfaces import loading
from granite.interfaces.choice import Application, choose
from granite.secure import load_context
from granite.serving import Serving
from granite.serving_async import AsyncServing, run
from granite.serving_wsgi import WsgiServing
from granite.settings import BY_NAME
from granite.settings.config import Config

__all__ = ["TestServer"]

T = TypeVar("T")

# Beyond the graceful timeout: the lifespan's last second, cancelled tasks, and a slow machine.
_JOIN_MARGIN = 15.0
# Seconds that threads of the application have to let go of a request that has ended.
_LAST_REFERENCE = 5.0


class TestServer:
    """Serve `app`, a callable or a target such as "package.main:app", on a free port of 127.0.0.1.

    `settings` are granite's settings by name, with the defaults of `granite run` but for `port` (0:
    a free one) and `graceful_timeout` (5 seconds); `working_dir` has no effect, since it would
    change the directory of the tests. With `uds` or `bind` the server listens where they say; the
    file of a Unix socket is gone at the end.

    Used as a context manager, the server answers when the body starts, and the lifespan's shutdown
    has run when the statement ends. Used by `async with`, it runs on its background thread all the
    same; entering and leaving just do not block the caller's loop. A failure of the startup is
    raised by the `with` statement: LoadError, LifespanError, BootError, or UsageError for a wrong
    setting.

    With `tls` it speaks TLS, with a certificate from an authority of its own that only
    `ssl_context()` trusts (extra `granite[tls]`); to serve another one, set `ssl_certificate`.

    `exceptions` are the exceptions that escaped the application, in order; they stay readable
    afterwards.
    """

    __test__ = False  # pytest collects classes by this name

    def __init__(self, app: Any, *, tls: bool = False, **settings: Any) -> None:
        self._authority = self._make_certificate(settings) if tls else ""
        self.config = Config(**{"port": 0, "graceful_timeout": 5.0, **settings})
        self.exceptions: list[BaseException] = []
        self._app = app
        self._listeners: list[Listener] = []
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | Loop | None = None
        self._stop: Callable[[], object] | None = None
        self._serving: Serving | None = None
        self._counters: dict[str, int] = {}
        self._started: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._ended: concurrent.futures.Future[None] = concurrent.futures.Future()

    @property
    def host(self) -> str:
        """The address that the server listens on: the first TCP one, if there are several.

        Raises RuntimeError if there is none, or if the server has not been started.
        """
        return self._bound[0]

    @property
    def port(self) -> int:
        """The port that the server listens on, see `host`."""
        return self._bound[1]

    @property
    def _bound(self) -> tuple[str, int]:
        if not self._listeners:
            raise RuntimeError("the test server has not been started: use it in a with statement")
        for listener in self._listeners:
            if listener.tcp is not None:
                return listener.tcp
        raise RuntimeError(f"the test server has no TCP address, only {self._listeners[0].url}")

    def url(self, path: str = "/") -> str:
        """Return the URL of `path` at the address that `host` and `port` are of; what a URL may not
        hold is percent-encoded, an existing `%` is kept.
        """
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme = "https" if self.config.ssl_certificate else "http"
        return f"{scheme}://{host}:{self.port}/{quote(path.removeprefix('/'), safe=_URL_SAFE)}"

    def ssl_context(self) -> ssl.SSLContext:
        """Return a new context for a client of this server that was made with `tls`; it trusts the
        server's authority and no other. Raises RuntimeError for another server.
        """
        if not self._authority:
            raise RuntimeError("this test server has no authority of its own: give it tls=True")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self._authority)
        return context

    def counters(self) -> dict[str, int]:
        """Return the core's counters of live objects: now, or those at the end once the server has
        stopped.
        """
        if self._loop is None or self._ended.done():
            return dict(self._counters)
        return self._inside(Server.counters).result(_JOIN_MARGIN)

    def start(self) -> None:
        """Start the server and return when it answers; what `with` does on entry."""
        self._spawn()
        try:
            self._started.result()
        except BaseException:
            if self._started.done():  # else the test was interrupted, and the startup may never end
                self._join()
            raise

    def stop(self) -> None:
        """Drain the server and return when its thread has ended; what `with` does at the end.
        Idempotent.

        Raises AssertionError on debug builds of the core if an object of the server outlived it,
        and RuntimeError if the thread hangs in the application.
        """
        if self._thread is None:
            return
        self._ask_to_stop()
        self._join()
        self._ended.result()
        self._check_balance()

    def __enter__(self) -> TestServer:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        try:
            self.stop()
        except AssertionError:
            if exc_type is None:  # the body's own failure says more
                raise

    async def __aenter__(self) -> TestServer:
        self._spawn()
        try:
            await asyncio.shield(asyncio.wrap_future(self._started))
        except asyncio.CancelledError:
            self._ask_to_stop()
            raise
        except BaseException:
            self._join()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._ask_to_stop()
        # Bounded like the join that follows, which finds the thread ended or says that it is not.
        ended = asyncio.wrap_future(self._ended)
        await asyncio.wait({ended}, timeout=self.config.graceful_timeout + _JOIN_MARGIN)
        self.__exit__(exc_type, exc, tb)

    def _make_certificate(self, settings: dict[str, Any]) -> str:
        """Make a certificate, and settings that name it; return its authority's. Raises UsageError.
        The files go with this object.
        """
        from granite.local_authority import LocalCertificate

        folder = tempfile.mkdtemp(prefix="granite-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        certificate = LocalCertificate(Path(folder))
        certificate.write()
        mine = {"ssl_certificate": certificate.chain, "ssl_keyfile": certificate.key}
        if mine.keys() & {BY_NAME[name][0].name for name in settings if name in BY_NAME}:
            raise UsageError("tls: expected no ssl_certificate and no ssl_keyfile with it")
        settings.update(mine)
        return certificate.authority.read_text("ascii")

    def _spawn(self) -> None:
        if self._thread is not None:
            raise RuntimeError("a test server is started once; make another one")
        # What systemd passes is meant for the program that runs the tests.
        self._listeners = open_listeners(self.config, {})
        self._thread = threading.Thread(target=self._run, name="granite test server", daemon=True)
        self._thread.start()

    def _ask_to_stop(self) -> None:
        if self._loop is not None and self._stop is not None and not self._ended.done():
            with contextlib.suppress(RuntimeError):  # the loop may just have been closed
                self._loop.call_soon_threadsafe(self._stop)

    def _join(self) -> None:
        assert self._thread is not None
        self._thread.join(self.config.graceful_timeout + _JOIN_MARGIN)
        if self._thread.is_alive():
            raise RuntimeError(
                "the test server's thread did not end: something of the application blocks its loop"
            )

    def _check_balance(self) -> None:
        left = {name: count for name, count in self._counters.items() if count}
        if buf.DEBUG and left:
            raise AssertionError(f"objects of the server outlived it: {left}")

    def _run(self) -> None:
        """Be the background thread."""
        try:
            app = (
                loading.load(self._app, self.config.factory)
                if isinstance(self._app, str)
                else self._made_app()
            )
            application = choose(app, self.config.interface)
            if application.is_async:
                loop = self._loop = new_event_loop(self.config.loop)
                run(loop, self._serve(application), application)
            else:
                self._serve_wsgi(application)
        except BaseException as exc:
            self._fail(exc)
        self._close_listeners()
        for listener in self._listeners:
            listener.remove()
        self._finish()

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()

    def _made_app(self) -> Any:
        return self._app() if self.config.factory else self._app

    async def _serve(self, application: Application) -> None:
        stop = asyncio.Event()
        self._stop = stop.set
        self._serving = serving = AsyncServing(
            application, self.config, self.exceptions.append, load_context(self.config)
        )
        await serving.start()
        self._accept(serving)
        await stop.wait()
        await serving.stop(self.config.graceful_timeout)

    def _serve_wsgi(self, application: Application) -> None:
        loop = self._loop = Loop()
        try:
            self._serving = serving = WsgiServing(
                application, self.config, loop, self.exceptions.append, load_context(self.config)
            )
            self._stop = partial(serving.end, self.config.graceful_timeout)
            serving.start()
            self._accept(serving)
            serving.run()
        finally:
            loop.close()

    def _accept(self, serving: Serving) -> None:
        assert self._loop is not None
        serving.be_alone(self._loop)
        serving.accept(listener.fd for listener in self._listeners)
        self._close_listeners()
        self._started.set_result(None)

    def _inside(self, call: Callable[[Server], T]) -> concurrent.futures.Future[T]:
        """Call it with the core's server, on the server's thread."""
        assert self._loop is not None
        done: concurrent.futures.Future[T] = concurrent.futures.Future()

        def run() -> None:
            assert self._serving is not None
            assert self._serving.server is not None
            try:
                done.set_result(call(self._serving.server))
            except BaseException as exc:
                done.set_exception(exc)

        self._loop.call_soon_threadsafe(run)
        return done

    def _fail(self, exc: BaseException) -> None:
        if not self._started.done():
            self._started.set_exception(exc)
        elif not self._ended.done():
            self._ended.set_exception(exc)

    def _finish(self) -> None:
        if self._serving is not None and self._serving.server is not None:
            for exception in self.exceptions:
                _clear_frames(exception)
            self._counters = self._final_counters(self._serving.server)
        if not self._ended.done():
            self._ended.set_result(None)

    def _final_counters(self, server: Server) -> dict[str, int]:
        """Return the counters at the end; a thread of the application, such as a pool's, may be
        about to drop the last reference to a request.
        """
        deadline = time.monotonic() + _LAST_REFERENCE
        while True:
            gc.collect()
            counters = server.counters()
            if not any(counters.values()) or time.monotonic() > deadline:
                return counters
            time.sleep(0.01)


def _clear_frames(exception: BaseException) -> None:
    """Clear what an exception's frames hold, and those behind it: the request's receive and send,
    and so the exchange.
    """
    seen: set[int] = set()
    behind: list[BaseException | None] = [exception]
    while behind:
        current = behind.pop()
        if current is not None and id(current) not in seen:
            seen.add(id(current))
            traceback.clear_frames(current.__traceback__)
            behind += [current.__cause__, current.__context__]


_URL_SAFE = "/?&=#%:@!$'()*+,;[]~"
