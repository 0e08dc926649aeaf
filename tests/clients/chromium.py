"""Chromium without a window, driven by the DevTools protocol over a pair of pipes.

Owns the browser's process and profile. Must not know what its pages ask for. Runs on the test's
thread; every wait is bounded.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.patience import PATIENCE

__all__ = ["Browser", "Page", "find"]

_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--disable-extensions", "--remote-debugging-pipe"),
)
# It takes its orders from descriptor 3 and answers at 4.
_WITH_PIPES = (
    "import fcntl, os, sys\n"
    "ends = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10) for fd in sys.argv[1:3]]\n"
    "for fd, target in zip(ends, (3, 4)): os.dup2(fd, target)\n"
    "os.execv(sys.argv[3], sys.argv[3:])"
)


def find() -> str | None:
    """Return the path of Chromium, None where it is not installed."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


class Browser:
    """A browser with a profile of its own that takes the certificate in `chain` for a good one."""

    def __init__(self, chain: Path) -> None:
        program = find()
        assert program is not None
        self._folder = tempfile.mkdtemp(prefix="granite-chromium-")
        self._last = 0
        self._rest = b""
        self.events: list[dict[str, Any]] = []
        orders, self._orders = os.pipe()
        self._answers, answers = os.pipe()
        command = [program, *_OPTIONS, f"--user-data-dir={self._folder}"]
        command.append(f"--ignore-certificate-errors-spki-list={_spki(chain)}")
        self._process = subprocess.Popen(
            [sys.executable, "-c", _WITH_PIPES, str(orders), str(answers), *command],
            pass_fds=(orders, answers),
            # Neither a sanitizer of ours nor somebody's desktop.
            env={name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
            | {"HOME": self._folder},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(orders)
        os.close(answers)
        try:
            self.version = self.call("Browser.getVersion")["product"]
        except BaseException:
            self.close()
            raise

    def open(self, url: str) -> Page:
        """Return a new page that has loaded `url`; an error of the network is an AssertionError."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        page = Page(self, target, attached["sessionId"])
        page.go(url)
        return page

    def call(self, method: str, session: str = "", **params: Any) -> dict[str, Any]:
        """Return the result of a method of the protocol."""
        self._last += 1
        order = {"id": self._last, "method": method, "params": params}
        if session:
            order["sessionId"] = session
        os.write(self._orders, json.dumps(order).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self._next(deadline)
            if answer.get("id") != self._last:
                self.events.append(answer)
                continue
            assert "error" not in answer, (method, answer["error"])
            result = answer["result"]
            assert isinstance(result, dict)
            return result

    def wait_for(self, event: str, session: str) -> None:
        """Return when this event has come, which is so used up."""
        deadline = time.monotonic() + PATIENCE
        while True:
            for i, told in enumerate(self.events):
                if told.get("method") == event and told.get("sessionId") == session:
                    del self.events[i]
                    return
            self.events.append(self._next(deadline))

    def close(self) -> None:
        """End the browser with all of its processes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(PATIENCE)
        for fd in (self._orders, self._answers):
            os.close(fd)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            left = max(deadline - time.monotonic(), 0)
            assert select.select([self._answers], [], [], left)[0], "the browser does not answer"
            data = os.read(self._answers, 65536)
            assert data, f"the browser has ended with {self._process.poll()}"
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        told = json.loads(message)
        assert isinstance(told, dict)
        return told


class Page:
    """A page of a browser."""

    def __init__(self, browser: Browser, target: str, session: str) -> None:
        self._browser, self._target, self._session = browser, target, session
        self._call("Page.enable")

    def go(self, url: str) -> None:
        """Load `url`, through redirects."""
        failed = self._call("Page.navigate", url=url).get("errorText")
        assert not failed, f"{url}: {failed}"
        self._browser.wait_for("Page.loadEventFired", self._session)

    def run(self, script: str) -> Any:
        """Return what the body of an asynchronous function returns; it may be what JSON can say."""
        told = self._call(
            "Runtime.evaluate",
            expression=f"(async () => {{ {script} }})()",
            awaitPromise=True,
            returnByValue=True,
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def close(self) -> None:
        """Close the page and its connections that nobody else uses."""
        self._browser.call("Target.closeTarget", targetId=self._target)

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **params)


def _spki(chain: Path) -> str:
    """Return the hash of a certificate's key, as RFC 7469 has it."""
    key = x509.load_pem_x509_certificate(chain.read_bytes()).public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(der).digest()).decode()
