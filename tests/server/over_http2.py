"""What tests do with a client of HTTP/1.1, over HTTP/2: requests one after the other, and their
responses in that order.

Owns the client below and the order. Runs on the test's thread.
"""

from __future__ import annotations

import contextlib
import ssl
from collections import deque
from http.client import responses

from tests.http2.client import Client
from tests.http2.websocket import opened
from tests.server.raw import Response
from tests.server.websocket.client import WebSocket

# Of the modules that run over HTTP/2, those tests that send or read octets of HTTP/1.1, or are
# about what it alone has: names as they are written, reasons, pipelining, bodies without a length.
HTTP1_ONLY = {
    "test_a_body_that_is_too_short_ends_visibly",
    "test_a_client_that_leaves_before_it_is_accepted",
    "test_a_client_that_goes_on_and_does_not_answer_a_close",
    "test_a_failure_leaves_pipelined_neighbours_alone",
    "test_a_failure_of_one_client_does_not_touch_another",
    "test_a_file_between_pieces_of_the_body",
    "test_a_handshake_that_is_accepted_during_a_drain",
    "test_a_piece_that_is_too_long_ends_the_response_visibly",
    "test_a_request_beside_it",
    "test_a_stream_of_a_declared_length",
    "test_a_stream_that_raises_is_cut_short",
    "test_a_stream_to_a_client_that_left_ends_in_oserror",
    "test_an_application_that_never_suspends_is_answered_within_the_read",
    "test_an_exception_after_the_first_body_closes_the_connection",
    "test_an_exception_after_write",
    "test_an_exception_behind_the_first_piece",
    "test_an_exception_while_the_body_is_still_coming",
    "test_an_iterator_of_iterators_own",
    "test_another_call_when_the_head_has_left_raises_what_it_is_given",
    "test_early_hints",
    "test_exceptions_of_both",
    "test_headers_may_be_any_iterable_of_pairs",
    "test_hints_and_a_100_continue",
    "test_hints_are_counted",
    "test_hints_of_pipelined_requests_keep_their_order",
    "test_http_1_0_has_no_hints",
    "test_names_are_told_apart_wherever_they_lie",
    "test_one_file_many_times",
    "test_pieces_that_are_none",
    "test_pipelined",
    "test_pipelined_requests_do_not_take_descriptors",
    "test_pipelined_requests_have_different_ones",
    "test_refused",
    "test_refused_requests_have_one_too",
    "test_returned_without_a_word",
    "test_returning_within_the_body_closes_the_connection",
    "test_statuses",
    "test_the_client_has_the_response_when_its_length_is_reached",
    "test_the_head_of_a_stream_leaves_at_once",
    "test_the_loop_works_in_debug_mode",
    "test_the_task_factory_of_the_application_is_honoured",
    "test_variables_are_not_seen_by_pipelined_requests",
    "test_variables_survive_waits_for_the_client",
}

# Of the connection, which HTTP/2 has otherwise.
_LEFT_OUT = {"connection", "transfer-encoding"}


class OverHttp2:
    """Speaks as `raw.Client` does, as far as that has a meaning."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        receive_buffer: int = 0,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._client = Client(host, port, context=context, receive_buffer=receive_buffer)
        self.sock = self._client.sock
        self._asked: deque[int] = deque()
        self._told = 0  # interim responses of the first of those

    def request(
        self, target: str = "/", *fields: str, method: str = "GET", body: bytes = b""
    ) -> None:
        lines, authority = [], "test"
        for field in fields:
            name, _, value = field.partition(":")
            name, value = name.lower(), value.strip()
            if name == "host":
                authority = value
            elif name not in _LEFT_OUT:
                lines.append(f"{name}: {value}")
        if body:
            lines.append(f"content-length: {len(body)}")
        stream = self._client.request(
            target, *lines, method=method, authority=authority, body=body or None
        )
        self._asked.append(stream)

    def ask(
        self, target: str = "/", *fields: str, method: str = "GET", body: bytes = b""
    ) -> Response:
        """Send a request and read its response."""
        self.request(target, *fields, method=method, body=body)
        return self.response(head_only=method == "HEAD")

    def response(self, *, head_only: bool = False) -> Response:
        """The next response, interim ones included."""
        came = self._client.responses[self._asked[0]]
        self._client.until(lambda: len(came.interim) > self._told or came.ended or came.reset)
        if len(came.interim) > self._told:
            status, fields = came.interim[self._told]
            self._told += 1
            return _as_raw(status, fields)
        self._told = 0
        self._client.response(self._asked.popleft())
        response = _as_raw(came.status, came.fields)
        if head_only:
            response.framing = "none"
        elif response.framing != "none":
            length = response.get("content-length")
            response.framing = "chunked" if length is None else "length"
        response.body, response.trailers = came.body, came.trailers
        return response

    def silent(self, seconds: float = 0.1) -> bool:
        """Whether nothing more comes of what was asked for."""
        timeout = self.sock.gettimeout()
        self.sock.settimeout(seconds)
        try:
            before = repr(self._client.responses)
            with contextlib.suppress(TimeoutError):
                while not self._client.ended:
                    self._client.take()
            return not self._client.ended and repr(self._client.responses) == before
        finally:
            self.sock.settimeout(timeout)

    def websocket(self, target: str = "/", *fields: str, behind: bytes = b"") -> WebSocket:
        """A WebSocket on a stream; the names of fields become lower case."""
        lines = [name.lower() + rest for name, rest in map(_parted, fields)]
        return opened(self._client, target, *lines, behind=behind)

    def reset(self) -> None:
        """Close without a goodbye."""
        self._client.abort()

    def close(self) -> None:
        self._client.close()


def _parted(field: str) -> tuple[str, str]:
    name, colon, value = field.partition(":")
    return name, colon + value


def _as_raw(status: int, fields: list[tuple[str, str]]) -> Response:
    no_body = status < 200 or status in (204, 304)
    return Response(status, responses.get(status, ""), fields, "none" if no_body else "length")
