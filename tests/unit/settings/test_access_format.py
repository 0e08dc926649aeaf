"""The notation of the access log's lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from granite._core.accesslog import AccessLog
from granite.errors import UsageError
from granite.settings.access_format import ATOMS, NAMED, compile_format
from granite.settings.config import Config

S = ("s", False, False, 0, -1)


class Nowhere:
    def fileno(self) -> int:
        return -1

    def write_lines(self, lines: bytes) -> None:
        raise AssertionError(lines)


@pytest.mark.parametrize(
    ("text", "operations"),
    [
        ("a%%b", ["a%b"]),
        ("%(method)s", [("method", "", *S)]),
        ("%(h)s %(status)d", [("addr", "", *S), " ", ("status", "", "d", False, False, 0, -1)]),
        ("%(dt_ms).3f", [("dt_ms", "", "f", False, False, 0, 3)]),
        ("%(D)-8i|", [("total_us", "", "d", True, False, 8, -1), "|"]),
        ("%(B)010u", [("body_bytes", "", "d", False, True, 10, -1)]),
        ("%({User-Agent}i)s", [("request_field", "user-agent", *S)]),
        ("%(header{ X-A })s", [("request_field", "x-a", *S)]),
        ("%({X-B}o).10s", [("response_field", "x-b", "s", False, False, 0, 10)]),
        ("%({REMOTE_ADDR}e)s", [("addr", "", *S)]),
        ("%({http_x_b}e)s", [("request_field", "x-b", *S)]),
        ("%({content_type}e)s", [("request_field", "content-type", *S)]),
        ("<%({HOSTNAME}e)s>%({UNSET}e)s", ["<web>-"]),
    ],
)
def test_formats(text, operations):
    assert compile_format(text, variable={"HOSTNAME": "web"}.get) == operations


def test_the_default_form_has_the_time_unless_the_destination_adds_it():
    assert compile_format(None)[0] == ("stamp", "", *S)
    assert compile_format(None, stamped=False) == compile_format("default", stamped=False)
    assert compile_format(None, stamped=False) == compile_format(NAMED["default"])
    assert compile_format("common") == compile_format(NAMED["common"], stamped=False)


@pytest.mark.parametrize("text", [None, "default", "json"])
def test_json(text):
    operations = compile_format(text, json=True)
    assert operations == compile_format("json")
    assert operations[0] == '{"time": '
    assert ', "status": ' in operations


def test_json_of_a_format_has_its_atoms():
    operations = compile_format('%(h)s "%(r)s" %({a"b}i)s'.replace('"b', "b"), json=True)
    assert [op for op in operations if isinstance(op, str)][3:] == [
        ', "h": ',
        ', "r": ',
        ', "{ab}i": ',
        "}",
    ]
    assert all(op[2] == "j" for op in operations if not isinstance(op, str))
    assert len(compile_format("%(s)s %(s)s", json=True)) == len(compile_format("%(s)s", json=True))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("%(staus)s", "unknown atom 'staus' (did you mean 'status'?)"),
        ("%(X)s", "unknown atom 'X'"),
        ("commn", "got 'commn' (did you mean 'common'?)"),
        ("100%", "expected %(atom)s, or %% for a percent sign, got '%'"),
        ("%(status", "expected %(atom)s, or %% for a percent sign, got '%(status'"),
        ("%s", "expected %(atom)s, or %% for a percent sign, got '%s'"),
        ("%(status)", "expected a conversion, s, d or f, after %(status), got ''"),
        ("%(status)x", "expected a conversion, s, d or f, after %(status), got 'x'"),
        ("%(path)d", "expected %(path)s, as it is text, got %(path)d"),
        ("%(status)1.2.3d", "expected a width and a precision such as 8.3"),
        ("%(status)99999999999d", "expected a width and a precision such as 8.3"),
        ("%({}i)s", "expected the name of a field in '{}i', got ''"),
        ("%({a b}o)s", "expected the name of a field in '{a b}o', got 'a b'"),
    ],
)
def test_mistakes(text, message):
    with pytest.raises(UsageError) as caught:
        Config(access_log_fmt=text)
    assert str(caught.value).startswith("access_log_fmt: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["healthz", "*", "/a*b", "/*/x"])
def test_mistakes_in_what_is_excluded(path):
    with pytest.raises(UsageError, match="access_log_exclude: expected a path"):
        Config(access_log_exclude=[path])


@pytest.mark.parametrize("atom", ATOMS, ids=lambda atom: atom.name)
def test_the_core_has_every_atom(atom):
    for name in (atom.name, *atom.aliases):
        AccessLog(compile_format(f"%({name})s"), sink=Nowhere())
        AccessLog(compile_format(f"%({name})s", json=True), sink=Nowhere())


def test_names_of_atoms_are_unique():
    names = [name for atom in ATOMS for name in (atom.name, *atom.aliases)]
    assert len(set(names)) == len(names)


def test_the_guide_has_every_atom():
    guide = Path(__file__).resolve().parents[3] / "docs" / "guides" / "logging.md"
    rows = [
        f"| `{atom.name}` | {', '.join(f'`{name}`' for name in atom.aliases)} | {atom.help} |"
        for atom in ATOMS
    ]
    assert "\n".join(rows) in guide.read_text()
