"""The kinds of values: what each accepts, and what it says about the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from granite.errors import EXIT_USAGE, UsageError
from granite.settings import base


def parse(kind, value):
    return base.Setting("name", kind, None, "Help.").parse(value, "origin")


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (base.text(), "", ""),
        (base.text(), "some text", "some text"),
        (base.header_value(), "granite/1 (x)", "granite/1 (x)"),
        (base.header_value(), "", ""),
        (base.url_prefix(), "", ""),
        (base.url_prefix(), "/api/v1", "/api/v1"),
        (base.path(), None, None),
        (base.path(), "/tmp", "/tmp"),
        (base.path(), Path("/tmp"), "/tmp"),
        (base.choice("auto", "on"), "ON", "on"),
        (base.boolean(), True, True),
        (base.boolean(), "Yes", True),
        (base.boolean(), "0", False),
        (base.integer(0, 9), 9, 9),
        (base.integer(0, 9), "0", 0),
        (base.integer(0, 9), "007", 7),
        (base.size(0, 2**30), "64k", 65536),
        (base.size(0, 2**30), "1M", 2**20),
        (base.size(0, 2**30), "1g", 2**30),
        (base.size(0, 2**30), 4096, 4096),
        (base.seconds(3600), "0", 0.0),
        (base.seconds(3600), "30", 30.0),
        (base.seconds(3600), "0.5", 0.5),
        (base.seconds(3600), ".5", 0.5),
        (base.seconds(3600), "500ms", 0.5),
        (base.seconds(3600), "30s", 30.0),
        (base.seconds(3600), "5m", 300.0),
        (base.seconds(3600), "1h", 3600.0),
        (base.seconds(3600), 7, 7.0),
    ],
)
def test_accepted(kind, value, expected):
    result = parse(kind, value)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (base.text(), "two\nlines"),
        (base.text(), "nul\0"),
        (base.text(), 3),
        (base.header_value(), "line\r\nbreak"),
        (base.header_value(), "naïve"),
        (base.header_value(), " padded"),
        (base.url_prefix(), "api"),
        (base.url_prefix(), "/api/"),
        (base.url_prefix(), "/"),
        (base.path(), ""),
        (base.path(), "a\0b"),
        (base.path(), 3),
        (base.choice("auto", "on"), "of"),
        (base.choice("auto", "on"), True),
        (base.boolean(), "maybe"),
        (base.boolean(), 1),
        (base.boolean(), None),
        (base.integer(0, 9), "10"),
        (base.integer(0, 9), "-1"),
        (base.integer(0, 9), "1.0"),
        (base.integer(0, 9), "1_0"),
        (base.integer(0, 9), " 1"),
        (base.integer(0, 9), "\u0661"),  # ARABIC-INDIC DIGIT ONE
        (base.integer(0, 9), 1.0),
        (base.integer(0, 9), True),
        (base.integer(0, 9), ""),
        (base.size(0, 100), "k"),
        (base.size(0, 100), "1k"),
        (base.size(0, 100), "1kb"),
        (base.size(0, 100), "1.5k"),
        (base.seconds(60), "61"),
        (base.seconds(60), "2m"),
        (base.seconds(60), "-1"),
        (base.seconds(60), "nan"),
        (base.seconds(60), "inf"),
        (base.seconds(60), "1e1"),
        (base.seconds(60), "s"),
        (base.seconds(60), "1d"),
        (base.seconds(60), ""),
        (base.seconds(60), "."),
        (base.seconds(60), float("nan")),
        (base.seconds(60), True),
        (base.seconds(60), None),
    ],
)
def test_refused_in_one_line_that_says_what_came(kind, value):
    with pytest.raises(UsageError) as caught:
        parse(kind, value)
    message = str(caught.value)
    assert message == f"origin: expected {kind.expected}, got {value!r}"
    assert "\n" not in message
    assert caught.value.exit_code == EXIT_USAGE


def test_names_of_a_setting():
    setting = base.Setting("access_log", base.boolean(), False, "Help.")
    assert setting.option == "--access-log"
    assert setting.negative_option == "--no-access-log"
    assert setting.variable == "GRANITE_ACCESS_LOG"
    assert base.Setting("port", base.integer(0, 1), 0, "Help.").negative_option is None
