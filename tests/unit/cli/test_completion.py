"""The completion scripts: bash's by running it, the others by what they must contain."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from granite.cli import COMMANDS, completion
from granite.cli.completion import words
from granite.cli.help import SWITCHES
from granite.settings import BY_NAME, SETTINGS

# Bash parts words at these too (COMP_WORDBREAKS).
BREAKS = "=:"


def split(line: str) -> list[str]:
    for character in BREAKS:
        line = line.replace(character, f" {character} ")
    return [*line.split(), ""] if line.endswith(" ") and line[-2] not in BREAKS else line.split()


def complete(line: str, cwd) -> list[str]:
    """Return what bash offers for the last word of `line`."""
    parts = split(line)
    code = (
        f"COMP_WORDS=({' '.join(repr(part) for part in parts)}); COMP_CWORD={len(parts) - 1}; "
        '_granite granite; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-eu", "-c", f"{completion.script('bash')}\nset +eu\n{code}"],
        capture_output=True,
        text=True,
        check=True,
        cwd=cwd,
    )
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1] if done.stdout.strip() else []


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("granite ", [*COMMANDS]),
        ("granite c", ["check", "certs", "completion"]),
        ("granite run --log-l", ["--log-level"]),
        ("granite run app:app --no-acc", ["--no-access-log"]),
        ("granite run --loop ", ["auto", "asyncio", "uvloop"]),
        ("granite run app:app --loop u", ["uvloop"]),
        ("granite run --loop=", ["auto", "asyncio", "uvloop"]),
        ("granite run --loop=a", ["auto", "asyncio"]),
        ("granite run --loglevel de", ["debug"]),
        ("granite run --pid-file ", ["a file", "folder"]),
        ("granite run -p fol", ["folder"]),
        ("granite run -c a", ["a file"]),
        ("granite run --config=a", ["a file"]),
        ("granite run --working-dir ", ["folder"]),
        ("granite run --port ", []),
        ("granite run --url-path-prefix ", []),
        ("granite run ", []),
        ("granite run --js", []),
        ("granite check --js", ["--json"]),
        ("granite settings log_le", ["log_level"]),
        ("granite settings --j", ["--json"]),
        ("granite version -", ["--json"]),
        ("granite completion ", ["bash", "zsh", "fish"]),
        ("granite help ch", ["check"]),
        ("granite st", ["stats"]),
        ("granite stats --", ["--address", "--config", "--json"]),
        ("granite stats --address ", []),
        ("granite stats --config a", ["a file"]),
        ("granite top --o", ["--once"]),
        ("granite top --interval ", []),
    ],
)
def test_bash(line, offered, tmp_path):
    (tmp_path / "a file").touch()
    (tmp_path / "folder").mkdir()
    assert sorted(complete(line, tmp_path)) == sorted(offered)


@pytest.mark.parametrize("shell", words.SHELLS)
def test_every_option_that_has_an_effect_is_offered(shell):
    script = completion.script(shell)
    tokens = set(script.translate(dict.fromkeys(map(ord, "'\"[=()*"), " ")).split())
    for command in COMMANDS:
        assert command in tokens or f"{command}:" in script
    for setting in SETTINGS:
        assert setting.name in tokens
        for option in filter(None, (setting.option, setting.negative_option)):
            name = option.removeprefix("--") if shell == "fish" else option
            assert (name in tokens) or setting.reserved, option
    for own in SWITCHES.values():
        for switch in own:
            assert (switch.removeprefix("--") if shell == "fish" else switch) in tokens


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_can_read_it(shell, tmp_path):
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"needs {shell}")
    script = tmp_path / "script"
    script.write_text(completion.script(shell))
    subprocess.run([path, "-n", str(script)], check=True)


@pytest.mark.parametrize("shell", words.SHELLS)
def test_quotes_are_balanced_in_every_line(shell):
    for line in completion.script(shell).splitlines():
        plain = line.replace("'\\''", "").replace("\\'", "")
        if not line.lstrip().startswith("#"):
            assert plain.count("'") % 2 == 0, line
            assert plain.count('"') % 2 == 0 or "'" in plain, line


def test_the_words_of_completion_are_settings():
    assert {*words.URLS, *words.DIRECTORIES, *words.FILES} <= BY_NAME.keys()
