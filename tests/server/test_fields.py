"""Header fields of responses: the application's and the server's own."""

from __future__ import annotations

import email.utils
import re
import time

import pytest

from tests.patience import PATIENCE
from tests.server.apps import answer, hello, sending, start
from tests.server.loops import both_loops

IMF_FIXDATE = re.compile(
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) "
    r"\d{4} \d{2}:\d{2}:\d{2} GMT"
)


def answering(*fields):
    async def app(scope, receive, send):
        await answer(send, b"hello", fields=fields)

    return app


def test_fields_keep_order_case_and_duplicates(connect):
    fields = [
        (b"Set-Cookie", b"a=1"),
        (b"x-Other", b""),
        (b"set-cookie", b"b=2"),
        (b"Set-Cookie", b"a=1"),
        (b"x-bytes", b"\xe9\xff"),
    ]
    response = connect(answering(*fields)).ask()
    assert response.fields[:5] == [(n.decode(), v.decode("latin-1")) for n, v in fields]


def test_a_large_head(connect):
    fields = [(b"x-%d" % number, b"v" * number) for number in range(400)]
    response = connect(answering(*fields)).ask()
    assert response.fields[:400] == [(n.decode(), v.decode()) for n, v in fields]
    assert response.body == b"hello"


@both_loops
def test_the_date_is_of_now_and_well_formed(connect):
    client = connect(hello)
    before = int(time.time())
    date = client.ask().get("date")
    after = int(time.time())
    assert date is not None
    assert IMF_FIXDATE.fullmatch(date)
    assert before <= email.utils.parsedate_to_datetime(date).timestamp() <= after


def test_the_date_follows_the_clock(connect):
    client = connect(hello)
    dates: set[float] = set()
    deadline = time.monotonic() + PATIENCE
    while len(dates) < 2:
        assert time.monotonic() < deadline
        before = int(time.time())
        date = client.ask().get("date") or ""
        dates.add(email.utils.parsedate_to_datetime(date).timestamp())
        assert before <= max(dates) <= time.time()


def test_the_server_field(connect):
    assert connect(hello).ask().get("server") == "granite"


def test_the_server_field_of_a_setting(connect):
    assert connect(hello, server_header="mine/1.0").ask().get("server") == "mine/1.0"


def test_an_empty_setting_omits_the_server_field(connect):
    client = connect(hello, server_header="")
    assert client.ask().get("server") is None
    client.send(b"nonsense\r\n\r\n")
    assert client.response().get("server") is None


@pytest.mark.parametrize("setting", ["granite", ""])
@pytest.mark.parametrize("name", [b"server", b"Server", b"SERVER"])
def test_the_applications_server_field_stands_alone(connect, name, setting):
    response = connect(answering((name, b"theirs")), server_header=setting).ask()
    assert response.get("server") == "theirs"
    assert response.get("date") is not None


@pytest.mark.parametrize("name", [b"date", b"Date", b"DATE"])
def test_the_applications_date_stands_alone(connect, name):
    date = "Sun, 06 Nov 1994 08:49:37 GMT"
    response = connect(answering((name, date.encode()))).ask()
    assert response.get("date") == date
    assert response.get("server") == "granite"


def test_the_applications_date_and_server_stand_alone(connect):
    response = connect(answering((b"date", b"today"), (b"server", b"theirs"))).ask()
    assert (response.get("date"), response.get("server")) == ("today", "theirs")


def test_every_answer_has_date_and_server(connect):
    messages = [start(204), {"type": "http.response.body"}]
    for client, data in (
        (connect(sending(*messages)), b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"),
        (connect(sending()), b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"),
        (connect(hello), b"GET / HTTP/1.1\r\n\r\n"),
        (connect(hello), b"nonsense\r\n\r\n"),
    ):
        client.send(data)
        response = client.response()
        assert response.get("server") == "granite"
        assert IMF_FIXDATE.fullmatch(response.get("date") or "")
