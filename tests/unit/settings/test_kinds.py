"""The kinds of values: what each accepts, and what it says about the rest."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

import pytest

from granite.errors import EXIT_USAGE, UsageError
from granite.settings import base, kinds, quantities

SEVERAL = kinds.items("words", "WORD")
LEVELS = kinds.choice("auto", "on", synonyms={"yes": "on"})
VERIFY = kinds.flag_choice("none", "optional", "required", on="required", off="none")


class Loops(str, Enum):
    on = "on"


def parse(kind, value):
    return base.Setting("name", kind, None, "Help.").parse(value, "origin")


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (kinds.text(), "", ""),
        (kinds.text(), "some text", "some text"),
        (kinds.text(), "\udcff", "\udcff"),  # a byte of the command line that is no UTF-8
        (kinds.text(optional=True), "", None),
        (kinds.text(optional=True), None, None),
        (kinds.account(), "nobody", "nobody"),
        (kinds.account(), 0, "0"),
        (kinds.account(), "", None),
        (kinds.header_value(), "granite/1 (x)", "granite/1 (x)"),
        (kinds.header_value(), "", ""),
        (kinds.url_prefix(), "", ""),
        (kinds.url_prefix(), None, ""),
        (kinds.url_prefix(), "/api/v1", "/api/v1"),
        (kinds.path(), None, None),
        (kinds.path(), "", None),
        (kinds.path(), "/tmp", "/tmp"),
        (kinds.path(), Path("/tmp"), "/tmp"),
        (kinds.paths(), "a, b,", ("a", "b")),
        (kinds.paths(), Path("a"), ("a",)),
        (kinds.paths(), [Path("a"), "b,c"], ("a", "b,c")),
        (kinds.paths(), None, ()),
        (SEVERAL, "", ()),
        (SEVERAL, {"a"}, ("a",)),
        (kinds.items("words", "WORD", " "), "a, b", ("a,", "b")),
        (kinds.assignments(), "A=1,2,B=3, C=", ("A=1,2", "B=3", "C=")),
        (kinds.assignments(), ["A=1,B=2"], ("A=1,B=2",)),
        (kinds.addresses(), "127.0.0.1:80,unix:/x", ("127.0.0.1:80", "unix:/x")),
        (kinds.addresses(), ["[::1]:80"], ("[::1]:80",)),
        (LEVELS, "ON", "on"),
        (LEVELS, "Yes", "on"),
        (LEVELS, Loops.on, "on"),
        (kinds.choice("auto", "2"), 2, "2"),
        (kinds.boolean(), True, True),
        (kinds.boolean(), "Yes", True),
        (kinds.boolean(), "0", False),
        (VERIFY, True, "required"),
        (VERIFY, "off", "none"),
        (VERIFY, "Optional", "optional"),
        (kinds.destination(), "-", "-"),
        (kinds.destination(), "/var/log/x.log", "/var/log/x.log"),
        (kinds.destination(), Path("x.log"), "x.log"),
        (kinds.log_config(), "log.json", "log.json"),
        (kinds.log_config(), {"version": 1}, {"version": 1}),
        (kinds.log_config(), '{"version": 1}', {"version": 1}),
        (kinds.log_config(), {}, None),
        (quantities.integer(0, 9), 9, 9),
        (quantities.integer(0, 9), "0", 0),
        (quantities.integer(0, 9), "007", 7),
        (quantities.integer(0, 9, optional=True), "", None),
        (quantities.mode(), "660", 0o660),
        (quantities.mode(), "0o22", 0o22),
        (quantities.mode(), 0o777, 0o777),
        *(
            (quantities.mode(), bits, bits)
            for bits in (0, 2, 7, 0o17, 0o22, 0o27, 0o37, 0o77, 0o177, 0o600, 0o644, 0o660, 0o770)
        ),
        (quantities.mode(), "", None),
        (quantities.size(0, 2**30), "64k", 65536),
        (quantities.size(0, 2**30), "1M", 2**20),
        (quantities.size(0, 2**30), "1g", 2**30),
        (quantities.size(0, 2**30), 4096, 4096),
        (quantities.mebibytes(1, 4096), 512, 512),
        (quantities.mebibytes(1, 4096), "2g", 2048),
        (quantities.mebibytes(1, 4096, optional=True), None, None),
        (quantities.rate(100), "0", 0.0),
        (quantities.rate(100), 0, 0.0),
        (quantities.rate(100), "10", 10.0),
        (quantities.rate(100), "10/s", 10.0),
        (quantities.rate(100), "30/m", 0.5),
        (quantities.rate(100), "1/h", 1 / 3600),
        (quantities.rate(100), 0.5, 0.5),
        (quantities.seconds(3600), "0", 0.0),
        (quantities.seconds(3600), "30", 30.0),
        (quantities.seconds(3600), "0.5", 0.5),
        (quantities.seconds(3600), ".5", 0.5),
        (quantities.seconds(3600), "500ms", 0.5),
        (quantities.seconds(3600), "30s", 30.0),
        (quantities.seconds(3600), "5m", 300.0),
        (quantities.seconds(3600), "1h", 3600.0),
        (quantities.seconds(7200), "1h30m", 5400.0),
        (quantities.seconds(3600), 7, 7.0),
        (quantities.seconds(60, optional=True), "", None),
        (quantities.milliseconds(60_000), 1500, 1.5),
        (quantities.milliseconds(60_000), "1500", 1.5),
        (quantities.milliseconds(60_000), "2s", 2.0),
        (quantities.milliseconds(60_000), None, 0.0),
    ],
)
def test_accepted(kind, value, expected):
    result = parse(kind, value)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (kinds.text(), "two\nlines"),
        (kinds.text(), "nul\0"),
        (kinds.text(), 3),
        (kinds.text(), "\ud800"),
        (kinds.text(), b"bytes"),
        (kinds.account(), -1),
        (kinds.account(), True),
        (kinds.header_value(), "line\r\nbreak"),
        (kinds.header_value(), "naïve"),
        (kinds.header_value(), " padded"),
        (kinds.url_prefix(), "api"),
        (kinds.url_prefix(), "/api/"),
        (kinds.url_prefix(), "/"),
        (kinds.path(), "a\0b"),
        (kinds.path(), 3),
        (kinds.path(), "\ud800"),
        (kinds.path(), b"bytes"),
        (kinds.paths(), 3),
        (kinds.paths(), [3]),
        (SEVERAL, [None]),
        (kinds.assignments(), "A"),
        (kinds.assignments(), ["A=1", "B"]),
        (kinds.assignments(), "1=2"),
        (kinds.addresses(), "a:b:c"),
        (LEVELS, "of"),
        (LEVELS, True),
        (kinds.boolean(), "maybe"),
        (kinds.boolean(), 1),
        (kinds.boolean(), None),
        (VERIFY, "maybe"),
        (kinds.destination(), ""),
        (kinds.destination(), "syslog+http://x"),
        (kinds.destination(), None),
        (kinds.log_config(), "{"),
        (kinds.log_config(), 3),
        (quantities.integer(0, 9), "10"),
        (quantities.integer(0, 9), "-1"),
        (quantities.integer(0, 9), "1.0"),
        (quantities.integer(0, 9), "1_0"),
        (quantities.integer(0, 9), " 1"),
        (quantities.integer(0, 9), "\u0661"),  # ARABIC-INDIC DIGIT ONE
        (quantities.integer(0, 9), 1.0),
        (quantities.integer(0, 9), True),
        (quantities.integer(0, 9), ""),
        (quantities.mode(), "888"),
        *((quantities.mode(), number) for number in (22, 27, 77, 600, 644, 660, 666, 755, 777)),
        (quantities.milliseconds(1000), ""),
        (quantities.mode(), "u+x"),
        (quantities.mode(), 0o10000),
        (quantities.size(0, 100), "k"),
        (quantities.size(0, 100), "1k"),
        (quantities.size(0, 100), "1kb"),
        (quantities.size(0, 100), "1.5k"),
        (quantities.mebibytes(1, 4096), "1k"),
        (quantities.rate(100), "101"),
        (quantities.rate(100), "7000/m"),
        (quantities.rate(100), "0.5/h"),
        (quantities.rate(100), "1/d"),
        (quantities.rate(100), "/s"),
        (quantities.rate(100), "-1"),
        (quantities.rate(100), True),
        (quantities.rate(100), None),
        (quantities.rate(100), float("nan")),
        (quantities.seconds(60), "61"),
        (quantities.seconds(60), "2m"),
        (quantities.seconds(60), "-1"),
        (quantities.seconds(60), "nan"),
        (quantities.seconds(60), "inf"),
        (quantities.seconds(60), "1e1"),
        (quantities.seconds(60), "s"),
        (quantities.seconds(60), "1d"),
        (quantities.seconds(60), ""),
        (quantities.seconds(60), "."),
        (quantities.seconds(60), float("nan")),
        (quantities.seconds(60), True),
        (quantities.seconds(60), None),
        (quantities.milliseconds(1000), 1001),
        (quantities.milliseconds(1000), "2s"),
        (quantities.seconds(60), 10**180),
        (quantities.milliseconds(1000), float("inf")),
    ],
)
def test_refused_in_one_line_that_says_what_came(kind, value):
    with pytest.raises(UsageError) as caught:
        parse(kind, value)
    message = str(caught.value)
    assert message == f"origin: expected {kind.expected}, got {value!r}"
    assert "\n" not in message
    assert caught.value.exit_code == EXIT_USAGE


@pytest.mark.parametrize(
    ("kind", "value", "got"),
    [
        (quantities.seconds(60), 10**400, "1000"),
        (quantities.integer(0, 9), 10**5000, "a value of the type int"),
        (quantities.integer(0, 9), "9" * 5000, "'9999"),
        (kinds.log_config(), '{"a":' * 100_000, """'{"a":{"a":"""),
    ],
    ids=["duration", "number", "digits", "JSON"],
)
def test_a_long_value_is_not_shown_in_full(kind, value, got):
    with pytest.raises(UsageError) as caught:
        parse(kind, value)
    assert str(caught.value).startswith(f"origin: expected {kind.expected}, got {got}")
    assert len(str(caught.value)) < 300


def test_names_of_a_setting():
    setting = base.Setting("access_log", kinds.boolean(), False, "Help.")
    assert setting.option == "--access-log"
    assert setting.negative_option == "--no-access-log"
    assert setting.variable == "GRANITE_ACCESS_LOG"
    assert base.Setting("port", quantities.integer(0, 1), 0, "Help.").negative_option is None


def test_a_secret_is_shown_nowhere():
    password = base.Setting("name", kinds.text(), "", "Help.", secret=True)
    assert password.masked("hunter2") == "***"
    assert password.masked(None) is None
    assert base.Setting("name", SEVERAL, (), "Help.", secret=True).masked(("A=b=c",)) == ("A=***",)
    assert base.Setting("name", kinds.text(), "", "Help.").masked("word") == "word"
    with pytest.raises(UsageError, match=r"^origin: expected one line of text$"):
        password.parse("hunter2\n", "origin")


@pytest.mark.parametrize(
    ("value", "shown"),
    [("FOO", "'FOO'"), ("1A=hunter2", "'1A=***'"), ({"A": "x"}, "a value of the type dict")],
)
def test_a_wrong_variable_is_shown_without_its_value(value, shown):
    setting = base.Setting("name", kinds.assignments(), (), "Help.", secret=True)
    with pytest.raises(UsageError) as caught:
        setting.parse(value, "origin")
    assert str(caught.value) == f"origin: expected NAME=VALUE, got {shown}"
