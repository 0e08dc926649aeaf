"""The benchmark's own small HTTP client: first answer, one checked request, idle connections.

Owns its sockets; must not know which server it talks to. Blocking sockets on the main thread.
"""

from __future__ import annotations

import base64
import http.client
import os
import resource
import select
import socket
import ssl
import time
from collections.abc import Callable

from bench import over_http2
from bench.model import BenchError, Scenario

_REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
_HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n"
)
_RETRY_SECONDS = 0.0002
_SPARE_FILES = 500


def _size(answer: bytearray) -> int | None:
    """Return how long the response is that ``answer`` begins; 0 as long as its head is not whole,
    None where only chunks tell.
    """
    end = answer.find(b"\r\n\r\n") + 4
    if end < 4:
        return 0
    for line in answer[:end].split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return end + int(value)
    return None


def ask(sock: socket.socket) -> bytes:
    """Send one GET and return the whole response; raises OSError if the connection ends before."""
    sock.sendall(_REQUEST)
    answer = bytearray()
    size: int | None = 0
    while True:
        piece = sock.recv(65536)
        if not piece:
            raise ConnectionResetError("closed before the response was complete")
        answer += piece
        size = _size(answer) if size == 0 else size
        if answer.endswith(b"\r\n0\r\n\r\n") if size is None else 0 < size <= len(answer):
            return bytes(answer)


def open_websocket(sock: socket.socket) -> None:
    """Have a connection become a WebSocket; raises OSError if it does not."""
    sock.sendall(_HANDSHAKE % base64.b64encode(os.urandom(16)))
    answer = bytearray()
    while b"\r\n\r\n" not in answer:
        piece = sock.recv(4096)
        if not piece:
            raise ConnectionResetError("closed before the handshake was complete")
        answer += piece
    if not answer.startswith(b"HTTP/1.1 101"):
        raise ConnectionRefusedError(answer.partition(b"\r\n")[0].decode("latin-1"))


def most_connections() -> int:
    """Return how many connections the limit of open files allows, here and in a server."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1] - _SPARE_FILES


def connect(port: int, seconds: float, *, tls: bool, http2: bool = False) -> socket.socket:
    """Return a connection, over TLS if that is asked for, whoever the server is; raises OSError."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=seconds)
    return _anybody(http2).wrap_socket(sock) if tls else sock


def _anybody(http2: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["h2" if http2 else "http/1.1"])
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def first_answer(port: int, seconds: float, *, tls: bool = False, http2: bool = False) -> float:
    """Return the clock (``perf_counter``) at the first complete 200 from ``port``.

    Connects again and again in a tight loop. Raises TimeoutError after ``seconds``.
    """
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        try:
            with connect(port, seconds, tls=tls, http2=http2) as sock:
                ok = over_http2.ask(sock) if http2 else ask(sock).startswith(b"HTTP/1.1 200")
        except OSError:
            time.sleep(_RETRY_SECONDS)
            continue
        if ok:
            return time.perf_counter()
    raise TimeoutError(f"no 200 within {seconds:g} s")


def check(port: int, scenario: Scenario) -> None:
    """Send the scenario's request once; raises BenchError saying what is wrong with the answer."""
    if scenario.http2:  # its load generator counts the octets of each answer
        first_answer(port, 5, tls=scenario.tls, http2=True)
        return
    upload = b"0123456789abcdef" * (scenario.upload // 16)
    connection = (
        http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=_anybody())
        if scenario.tls
        else http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    )
    try:
        connection.request(scenario.method, "/", body=upload or None)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise BenchError(f"{type(error).__name__}: {error}") from None
    finally:
        connection.close()
    if response.status != 200:
        raise BenchError(f"expected status 200, got {response.status}")
    if len(body) < scenario.body or (upload and body != upload):
        raise BenchError(f"expected a body of {scenario.body} bytes, got {len(body)}")


class IdleConnections:
    """Connections that were used for one request each, or became WebSockets, and then only held."""

    def __init__(self, port: int, count: int, scenario: Scenario) -> None:
        """Open ``count`` connections; raises BenchError when machine or server allow fewer."""
        self._sockets: list[socket.socket] = []
        tls, http2 = scenario.tls, scenario.http2
        ask_once: Callable[[socket.socket], object] = over_http2.ask if http2 else ask
        if scenario.generator == "websockets":
            ask_once = open_websocket
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if hard < count + 64:
            raise BenchError(f"the limit of open files is {hard}, {count + 64} are needed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        try:
            for _ in range(count):
                sock = connect(port, 10, tls=tls, http2=http2)
                self._sockets.append(sock)
                ask_once(sock)
        except OSError as error:
            opened = len(self._sockets)
            self.close()
            raise BenchError(f"connection {opened} of {count} failed: {error}") from None

    def lost(self) -> int:
        """Return how many of them the server has closed meanwhile."""
        poll = select.poll()
        for sock in self._sockets:
            poll.register(sock, select.POLLRDHUP)
        return len(poll.poll(0))

    def close(self) -> None:
        """Close all of them."""
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()
