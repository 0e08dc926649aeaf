"""`granite completion SHELL`: a script with which a shell completes granite's command line.

Owns the command. The scripts follow from the table of settings and the list of commands, and hold
all they need: completing starts no process. Must not know how arguments are read. Runs on the main
thread.
"""

from __future__ import annotations

from granite.cli.completion.words import SHELLS
from granite.cli.output import write
from granite.errors import EXIT_OK, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main", "script"]


def main(arguments: Sequence[str]) -> int:
    """Run `granite completion` with `arguments`; return the exit status."""
    if len(arguments) != 1 or arguments[0] not in SHELLS:
        got = " ".join(map(repr, arguments)) or "nothing"
        raise UsageError(f"completion: expected one of {', '.join(SHELLS)}, got {got}")
    write(script(arguments[0]))
    return EXIT_OK


def script(shell: str) -> str:
    """Return the script for `shell`, one of SHELLS."""
    from granite.cli.completion import bash, fish, zsh

    scripts = {"bash": bash.script, "zsh": zsh.script, "fish": fish.script}
    return scripts[shell]()
