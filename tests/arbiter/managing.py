"""A service manager that listens to what servers notify it of."""

from __future__ import annotations

import queue
import socket
import sys
import threading

from tests.patience import PATIENCE


class Manager:
    """The socket to which notifications go. It is read all the time: what does not find room in
    its queue, which is short, is lost.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._address = "\0" + name[1:] if name.startswith("@") else name
        self._said: queue.SimpleQueue[tuple[int, dict[str, str]] | None] = queue.SimpleQueue()
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._sock.bind(self._address)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def receive(self) -> dict[str, str]:
        return self._next()[1]

    def wait_for(self, field: str) -> dict[str, str]:
        while field not in (message := self.receive()):
            pass
        return message

    def close(self) -> list[dict[str, str]]:
        """Return what was said before, and has not been received yet."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._address)
        self._reader.join(PATIENCE)
        self._sock.close()
        return [said[1] for said in iter(self._said.get, None)]

    def _next(self) -> tuple[int, dict[str, str]]:
        said = self._said.get(timeout=PATIENCE)
        assert said is not None
        return said

    def _read(self) -> None:
        while data := (received := self._sock.recvmsg(4096, 1024))[0]:
            sender = int.from_bytes(received[1][0][2][:4], sys.byteorder)
            fields = (line.partition("=") for line in data.decode().splitlines())
            self._said.put((sender, {name: value for name, _, value in fields}))
        self._said.put(None)


class Main(Manager):
    """One that listens to the main process alone (NotifyAccess=main)."""

    pid = 0

    def hear(self, field: str) -> tuple[int, dict[str, str]]:
        """Return who says that first, and all that is said with it."""
        while True:
            sender, message = self._next()
            assert sender == (self.pid or sender), message
            self.pid = int(message.get("MAINPID", sender))
            if field in message:
                return sender, message
            assert "STOPPING" not in message
