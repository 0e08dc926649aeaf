"""The commands: which there are, their help, and what is said of a wrong one."""

from __future__ import annotations

import pytest

from granite import __version__, cli
from granite.cli import help as page
from granite.settings import SECTIONS, SETTINGS

COMMANDS = "run, check, stats, top, settings, certs, version, completion or help"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], f"expected a command, {COMMANDS}; see granite --help"),
        (["rnu"], f"expected a command, {COMMANDS}, got 'rnu' (did you mean 'run'?)"),
        (["xyz"], f"expected a command, {COMMANDS}, got 'xyz'"),
        (
            ["app:app"],
            f"expected a command, {COMMANDS}, got 'app:app'; did you mean granite run app:app?",
        ),
        (
            ["help", "chek"],
            f"expected a command, {COMMANDS}, got 'chek' (did you mean 'check'?)",
        ),
        (["help", "run", "check"], "help: expected one command, got 'run' 'check'"),
        (["version", "--all"], "version: expected no argument but --json, got '--all'"),
        (["completion"], "completion: expected one of bash, zsh, fish, got nothing"),
        (["completion", "csh"], "completion: expected one of bash, zsh, fish, got 'csh'"),
        (["settings", "a", "b"], "settings: expected one name, got 'a' 'b'"),
        (
            ["settings", "worker_class"],
            "settings: worker_class: granite has one kind of worker; use --interface and --loop",
        ),
        (["settings", "--jsno"], "settings: unknown option '--jsno'"),
        (
            ["settings", "GRANITE_WROKERS"],
            "settings: there is no setting 'GRANITE_WROKERS' (did you mean 'workers'?)",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_is_one_line(arguments, message, capsys):
    assert cli.main(arguments) == 2
    assert capsys.readouterr() == ("", f"granite: {message}\n")


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["-h"], ["help"], ["help", "run"], ["run", "x", "--help"], ["check", "-h"]],
    ids=" ".join,
)
def test_help_fits_a_terminal_and_names_everything(arguments, capsys):
    assert cli.main(arguments) == 0
    shown, errors = capsys.readouterr()
    assert errors == ""
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.isascii()
    for setting in SETTINGS:
        name = setting.option.removeprefix("--")
        line = f"--[no-]{name}" if setting.kind.flags else f"--{name} "
        assert (line in shown) is not setting.reserved, setting.name
    for section in SECTIONS:
        some = any(not setting.reserved for setting in section.settings)
        assert (f"\n{section.title}:\n" in shown) is some


@pytest.mark.parametrize("command", [name for name in cli.COMMANDS if name != "help"])
def test_every_command_has_help(command, capsys):
    assert cli.main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: granite {command}")
    for switch in page.SWITCHES[command]:
        assert switch in shown
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert cli.main(["help", command]) == 0
    assert capsys.readouterr().out == shown
    cli.main(["--help"])
    assert f"\n  {command} " in capsys.readouterr().out


def test_defaults_that_say_something_are_shown(capsys):
    cli.main(["run", "--help"])
    words = " ".join(capsys.readouterr().out.split())
    assert "to listen on. [default: 127.0.0.1]" in words
    assert "to the access log. --access-log-file" in words


@pytest.mark.parametrize("option", ["version", "--version", "-V"])
def test_version(option, capsys):
    assert cli.main([option]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"granite {__version__}"
