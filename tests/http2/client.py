"""A client of HTTP/2 that is strict with the server: the library h2 judges what comes.

Owns the connection's state, and the responses as far as they have come. Every wait is bounded by
the socket's timeout. Runs on the test's thread.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from dataclasses import dataclass, field
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.settings

from tests.http2.wire import CANCEL, GOAWAY, Fields, Frame, Wire, frame, octets, request_fields

__all__ = ["Client", "Response"]


@dataclass
class Response:
    """What came on a stream."""

    stream: int
    status: int = 0
    fields: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)
    interim: list[tuple[int, list[tuple[str, str]]]] = field(default_factory=list)
    reset: int | None = None
    ended: bool = False

    def get(self, name: str) -> str | None:
        """The value of a field that comes at most once."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} comes {len(values)} times: {self.fields}"
        return values[0] if values else None

    def all(self, name: str) -> list[str]:
        return [value for given, value in self.fields if given == name]


class Client:
    """A connection whose both sides h2 watches over.

    Windows are given back as data comes, unless `stalls`; `values` are its settings.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        context: ssl.SSLContext | None = None,
        values: dict[int, int] | None = None,
        receive_buffer: int = 0,
        stalls: bool = False,
    ) -> None:
        self.wire = Wire(host, port, context=context, values=None, receive_buffer=receive_buffer)
        self.sock = self.wire.sock
        self.scheme = "http" if context is None else "https"
        self.stalls = stalls
        self.frames: list[Frame] = []
        self.responses: dict[int, Response] = {}
        self.settings: dict[int, int] = {}
        self.pongs: list[bytes] = []
        self.ended = False
        config = h2.config.H2Configuration(
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self.h2 = h2.connection.H2Connection(config)
        if values:
            initial = {h2.settings.SettingCodes(key): value for key, value in values.items()}
            self.h2.local_settings = h2.settings.Settings(client=True, initial_values=initial)
        self.h2.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.sock.sendall(self.h2.data_to_send())

    # sending

    def request(
        self,
        path: str = "/",
        *lines: str,
        body: bytes | None = None,
        end: bool = True,
        **pseudo: Any,
    ) -> int:
        """Send a request, with as much body as is given, and return its stream."""
        stream = self.h2.get_next_available_stream_id()
        fields = request_fields(path, *lines, **{"scheme": self.scheme, **pseudo})
        self.responses[stream] = Response(stream)
        self.h2.send_headers(stream, octets(fields), end_stream=end and body is None)
        self.flush()
        if body is not None:
            self.data(stream, body, end=end)
        return stream

    def data(self, stream: int, data: bytes, *, end: bool = False) -> None:
        """Send it all, as windows permit; what comes meanwhile is taken in."""
        view = memoryview(data)
        while view:
            while not (room := self.room(stream)):
                self.take()
            self.h2.send_data(stream, bytes(view[:room]))
            self.flush()
            view = view[room:]
        if end:
            self.h2.end_stream(stream)
            self.flush()

    def room(self, stream: int) -> int:
        """How much data a frame may have now."""
        window = self.h2.local_flow_control_window(stream)
        return max(0, min(window, self.h2.max_outbound_frame_size))

    def trailers(self, stream: int, fields: Fields) -> None:
        self.h2.send_headers(stream, octets(fields), end_stream=True)
        self.flush()

    def reset(self, stream: int, code: int = CANCEL) -> None:
        self.h2.reset_stream(stream, code)
        self.flush()

    def acknowledge(self, stream: int, size: int) -> None:
        """Give back `size` bytes of the windows."""
        self.h2.acknowledge_received_data(size, stream)
        self.flush()

    def ask(self, path: str = "/", *lines: str, **more: Any) -> Response:
        """Send a request and return its response."""
        return self.response(self.request(path, *lines, **more))

    # receiving

    def response(self, stream: int) -> Response:
        """Return a complete response; fails if the stream was reset."""
        response = self.responses[stream]
        self.until(lambda: response.ended or response.reset is not None)
        assert response.reset is None, f"stream {stream} was reset: {response.reset}"
        return response

    def head(self, stream: int) -> Response:
        """Return a response as soon as its head has come."""
        response = self.responses[stream]
        self.until(lambda: response.status)
        return response

    def reset_code(self, stream: int) -> int:
        """Return with which error the stream is reset; fails if it ends."""
        response = self.responses[stream]
        self.until(lambda: response.ended or response.reset is not None)
        assert response.reset is not None, response
        return response.reset

    def until(self, condition: Any) -> None:
        """Take what comes until the condition holds; fails at the end of the connection."""
        while not condition():
            assert not self.ended, f"the connection has ended: {self.goaways()} {self.responses}"
            self.take()

    def ping(self, payload: bytes = b"are you?") -> None:
        """Wait for the answer to a PING: then the server has read everything before it."""
        self.h2.ping(payload)
        self.flush()
        self.until(lambda: payload in self.pongs)
        self.pongs.remove(payload)

    def to_the_end(self) -> None:
        """Take what comes up to the end of the connection."""
        while not self.ended:
            self.take()

    def take(self) -> None:
        """Wait for a frame, and take it in."""
        found = self.wire.read()
        if found is None:
            self.ended = True
            return
        self.frames.append(found)
        for event in self.h2.receive_data(frame(*found)):
            self._on(event)
        if found.kind == GOAWAY:  # behind which h2 expects nothing, but the streams go on
            self.h2.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN
        with contextlib.suppress(OSError):  # the server may have ended behind its last frame
            self.flush()

    def _on(self, event: h2.events.Event) -> None:
        stream = getattr(event, "stream_id", None)
        response = self.responses.get(stream or 0)
        if isinstance(event, h2.events.RemoteSettingsChanged):
            self.settings |= {int(k): v.new_value for k, v in event.changed_settings.items()}
        elif isinstance(event, h2.events.PingAckReceived):
            self.pongs.append(event.ping_data)
        elif response is None:
            return
        elif isinstance(event, h2.events.InformationalResponseReceived):
            fields = _texts(event.headers)
            response.interim.append((int(fields[0][1]), fields[1:]))
        elif isinstance(event, h2.events.ResponseReceived):
            (_, status), *response.fields = _texts(event.headers)
            response.status = int(status)
        elif isinstance(event, h2.events.DataReceived):
            response.body += event.data
            if not self.stalls and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, response.stream)
        elif isinstance(event, h2.events.TrailersReceived):
            response.trailers = _texts(event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            response.ended = True
        elif isinstance(event, h2.events.StreamReset):
            response.reset = int(event.error_code)

    def goaways(self) -> list[Frame]:
        return [found for found in self.frames if found.kind == GOAWAY]

    def abort(self) -> None:
        """End the connection without a goodbye."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.wire.close()

    def close(self) -> None:
        self.wire.close()


def _texts(headers: Any) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
