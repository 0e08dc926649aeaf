"""Reading the command line."""

from __future__ import annotations

import pytest

from granite import __version__, cli
from granite.errors import UsageError
from granite.settings import SETTINGS


def test_options_stand_anywhere_and_the_last_one_wins():
    target, values = cli.parse_run(["--port", "1", "app:app", "--port=2", "--factory"])
    assert target == "app:app"
    assert values == {"port": 2, "factory": True}


def test_flags_have_two_names():
    assert cli.parse_run(["a", "--access-log", "--no-access-log"])[1] == {"access_log": False}
    assert cli.parse_run(["a", "--no-access-log", "--access-log"])[1] == {"access_log": True}


def test_a_value_may_be_empty_or_start_with_a_dash():
    assert cli.parse_run(["a", "--server-header", ""])[1] == {"server_header": ""}
    assert cli.parse_run(["a", "--server-header="])[1] == {"server_header": ""}
    assert cli.parse_run(["a", "--server-header", "--"])[1] == {"server_header": "--"}


def test_two_dashes_end_the_options():
    assert cli.parse_run(["--port", "1", "--", "app:app"]) == ("app:app", {"port": 1})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], 'expected one target, "module:attribute" such as package.main:app, got nothing'),
        (["a", "b"], "package.main:app, got 'a' 'b'"),
        (["a", "--port"], "--port: expected an integer from 0 to 65535, got nothing"),
        (["a", "--prot", "1"], "unknown option '--prot' (did you mean '--port'?)"),
        (["a", "-p", "1"], "unknown option '-p'"),
        (["a", "--no-port"], "unknown option '--no-port'"),
        (["a", "--no-factory=1"], "--no-factory: expected no value, got '1'"),
    ],
)
def test_mistakes(arguments, message):
    with pytest.raises(UsageError) as caught:
        cli.parse_run(arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "granite: expected a command: run or version; see granite --help\n"),
        (["rnu"], "granite: expected a command, run or version, got 'rnu'\n"),
        (
            ["app:app"],
            "granite: expected a command, run or version, got 'app:app'; "
            "did you mean granite run app:app?\n",
        ),
        (["version", "--all"], "granite: version: expected no argument, got '--all'\n"),
    ],
)
def test_a_wrong_command_is_one_line(arguments, message, capsys):
    assert cli.main(arguments) == 2
    assert capsys.readouterr() == ("", message)


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["help"], ["run", "x", "--help"]])
def test_help_fits_a_terminal_and_names_everything(arguments, capsys):
    assert cli.main(arguments) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    for setting in SETTINGS:
        assert f"  {setting.option}" in shown


def test_version(capsys):
    assert cli.main(["version"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"granite {__version__}"
