"""Syslog as a destination: the daemon of this machine, or one in the network.

Owns the protocol: RFC 3164 as the C library speaks it to the local socket, RFC 5424 in the network,
there over TCP with the octet counts of RFC 6587. Nothing waits for the daemon: while it is away,
lines are lost. Must not know how a message looks. Any thread may write.

Theory of operation: no socket → connected, at the first line or when the last attempt is a second
old; connected → no socket, when sending fails. A socket belongs to one process: a forked child that
finds its parent's makes its own. Only TCP keeps what the socket does not take, up to a bound; it
leaves with the next line.
"""

from __future__ import annotations

import _socket
import _thread
import errno
import os
import select
import time

from granite.log.sinks import Sink
from granite.settings.destination import SYSLOG, SYSLOG_TCP, SYSLOG_UDP, Destination

__all__ = ["SyslogSink"]

_FACILITIES = {
    "kern": 0,
    "user": 1,
    "mail": 2,
    "daemon": 3,
    "auth": 4,
    "syslog": 5,
    "lpr": 6,
    "news": 7,
    "uucp": 8,
    "cron": 9,
    "authpriv": 10,
    "ftp": 11,
    **{f"local{number}": 16 + number for number in range(8)},
}
_SEVERITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
_INFO = 6
# strftime() follows the locale that the application may have set.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# What daemons take by default, and well below the largest datagram.
_MOST = 8192
_MOST_KEPT = 256 * 1024
# Seconds: between attempts to connect; for the first one, before anything is served; for the end.
_PAUSE = 1.0
_PATIENCE = 1.0
_GOODBYE = 0.2


class SyslogSink(Sink):
    """Send lines as messages of `facility` from the program `tag`. Raises OSError if the name of
    the daemon's host cannot be resolved.
    """

    stamps = True

    def __init__(self, destination: Destination, facility: str, tag: str) -> None:
        self._kind = destination.kind
        self._facility = _FACILITIES[facility]
        self._tag = "".join(c if c.isascii() and c.isprintable() and c != " " else "_" for c in tag)
        self._family, self._address = _resolve(destination)
        self._socket: _socket.socket | None = None
        self._type = _socket.SOCK_STREAM if self._kind == SYSLOG_TCP else _socket.SOCK_DGRAM
        self._pid = os.getpid()
        self._tried = -_PAUSE
        self._kept = b""
        self._lock = _thread.allocate_lock()
        self._connect()
        self._wait(_PATIENCE)

    def write(self, level: str, line: str) -> None:
        """Send `line` as a message of severity `level`, or lose it."""
        self._leave_to_parent()
        with self._lock:
            try:
                self._send(self._message(level, line))
            except OSError:
                self._drop()

    def write_lines(self, lines: bytes) -> None:
        """Send each line as a message; over a stream all of them leave together."""
        self._leave_to_parent()
        with self._lock:
            try:
                for line in lines.decode("utf-8", "backslashreplace").splitlines():
                    self._send(self._message("info", line), more=True)
                if self._kept:
                    self._flush()
            except OSError:
                self._drop()

    def close(self) -> None:
        """Send what is kept, if the daemon takes it soon, and close the socket."""
        self._leave_to_parent()
        with self._lock:
            try:
                if self._kept:
                    self._wait(_GOODBYE)
                    self._flush()
            except OSError:
                pass  # it is lost
            self._drop()

    def is_away(self) -> bool:
        """Whether the daemon has refused the connection at once."""
        return self._socket is None

    def take_over(self) -> None:
        """Connect, if it was the parent that did so, while there is time to wait."""
        if self._leave_to_parent():
            self._connect()
            self._wait(_PATIENCE)

    def _leave_to_parent(self) -> bool:
        """Drop a connection that is the parent's: on a shared stream the lines would mix."""
        if self._pid == os.getpid():
            return False
        self._pid = os.getpid()
        self._lock = _thread.allocate_lock()  # another thread of the parent may have held it
        self._drop()
        self._tried = -_PAUSE
        return True

    def _message(self, level: str, line: str) -> bytes:
        priority = self._facility * 8 + _SEVERITIES.get(level, _INFO)
        now = time.time()
        if self._kind == SYSLOG:
            at = time.localtime(now)
            stamp = f"{_MONTHS[at.tm_mon - 1]} {at.tm_mday:2} {time.strftime('%H:%M:%S', at)}"
            head = f"<{priority}>{stamp} {self._tag}[{os.getpid()}]: "
        else:
            utc = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
            host = os.uname().nodename or "-"
            tag = self._tag[:48] or "-"
            stamp = f"{utc}.{int(now % 1 * 1000):03}Z"
            head = f"<{priority}>1 {stamp} {host} {tag} {os.getpid()} - - "
        message = (head + line).encode("utf-8", "backslashreplace")
        if len(message) > _MOST:  # not in the middle of a character
            message = message[:_MOST].decode("utf-8", "ignore").encode()
        if self._kind == SYSLOG_TCP:
            return b"%d %b" % (len(message), message)
        return message

    def _send(self, message: bytes, *, more: bool = False) -> None:
        if self._socket is None or self._is_gone():
            self._drop()
            self._connect()
        if self._socket is None:
            return
        if self._type == _socket.SOCK_STREAM:
            if self._kind == SYSLOG:  # as the C library ends a message on a stream
                message += b"\0"
            if len(self._kept) + len(message) <= _MOST_KEPT:
                self._kept += message
            if not more:
                self._flush()
            return
        try:
            self._socket.send(message)
        except BlockingIOError:
            pass  # the daemon does not read: this line is lost
        except OSError:  # it has restarted, or the last datagram came back as refused
            self._drop()
            self._tried = -_PAUSE
            self._connect()
            if self._socket is not None:
                self._socket.send(message)

    def _flush(self) -> None:
        try:
            while self._kept and self._socket is not None:
                self._kept = self._kept[self._socket.send(self._kept) :]
        except BlockingIOError:
            pass

    def _is_gone(self) -> bool:
        """Whether the daemon has closed its end: the first line would be lost without an error."""
        if self._type != _socket.SOCK_STREAM or self._socket is None:
            return False
        try:
            return self._socket.recv(4096) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _connect(self) -> None:
        """Begin a connection; leave no socket if it is refused at once."""
        now = time.monotonic()
        if now - self._tried < _PAUSE:
            return
        self._tried = now
        created, error = self._begin()
        if error == errno.EPROTOTYPE:  # a local daemon may listen with either
            created.close()
            was_stream = self._type == _socket.SOCK_STREAM
            self._type = _socket.SOCK_DGRAM if was_stream else _socket.SOCK_STREAM
            created, error = self._begin()
        if error in (0, errno.EINPROGRESS):
            self._socket = created
        else:
            created.close()

    def _begin(self) -> tuple[_socket.socket, int]:
        created = _socket.socket(self._family, self._type)
        try:
            created.setblocking(False)
            return created, created.connect_ex(self._address)
        except OSError:  # no such address can exist
            created.close()
            raise

    def _wait(self, patience: float) -> None:
        """Give a connection that has begun `patience` seconds to be made."""
        if self._socket is not None and self._type == _socket.SOCK_STREAM:
            poll = select.poll()
            poll.register(self._socket.fileno(), select.POLLOUT)
            poll.poll(patience * 1000)

    def _drop(self) -> None:
        self._kept = b""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _resolve(destination: Destination) -> tuple[int, str | tuple[object, ...]]:
    if destination.kind == SYSLOG:
        return _socket.AF_UNIX, destination.path
    kind = _socket.SOCK_DGRAM if destination.kind == SYSLOG_UDP else _socket.SOCK_STREAM
    found = _socket.getaddrinfo(destination.host, destination.port, 0, kind)
    return found[0][0], found[0][4]
