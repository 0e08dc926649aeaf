"""What applications of WSGI write to `wsgi.errors`."""

from __future__ import annotations

import logging

import pytest

from granite.interfaces.wsgi import ErrorStream


@pytest.fixture
def written(caplog):
    """What becomes of texts that are written: (message, further lines) of each record."""

    def write(*texts: str):
        stream = ErrorStream()
        for text in texts:
            assert stream.write(text) == len(text)
        stream.flush()
        assert {record.levelno for record in caplog.records} <= {logging.ERROR}
        return [(record.getMessage(), record.exc_text) for record in caplog.records]

    return write


@pytest.mark.parametrize(
    ("texts", "records"),
    [
        (["one\n"], [("one", None)]),
        (["o", "n", "e\n", "tw", "o\n"], [("one", None), ("two", None)]),
        (["one\ntwo\nthree\n"], [("one", "two\nthree")]),
        (["one\ntwo", " and a half\n"], [("one", None), ("two and a half", None)]),
        (["one"], []),
        (["100 %s\n"], [("100 %s", None)]),
        (["\n"], [("", None)]),
        ([""], []),
    ],
)
def test_lines_are_records(texts, records, written):
    assert written(*texts) == records


def test_writelines(caplog):
    ErrorStream().writelines(["one\n", "two\n"])
    assert caplog.messages == ["one", "two"]


def test_a_level_that_is_not_logged(caplog):
    with caplog.at_level(logging.CRITICAL, "granite.error"):
        ErrorStream().write("one\n")
    assert caplog.records == []
