"""A project that is served with --reload, its author, and visitors who never stop asking."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.arbiter.asking import get
from tests.arbiter.changing import MODULE
from tests.arbiter.loads import Load
from tests.granite_process import GraniteProcess
from tests.patience import PATIENCE

__all__ = ["MODULE", "Hot", "visitors"]


class Hot:
    """A folder with an application, and the server that watches it, once it is started."""

    granite: GraniteProcess

    def __init__(self, folder: Path, run: Callable[..., GraniteProcess]) -> None:
        self.folder = folder
        self.gate = folder / "gate"
        self._run = run
        self.save("one")

    def save(self, text: str, module: str = MODULE, name: str = "changing.py") -> None:
        """Save the application, which answers `text`, as most editors do: in place of the former
        file.
        """
        self.put(name, module.format(text=text))

    def put(self, name: str, text: str) -> None:
        """Save any file: all at once, since a file that is written in place is seen empty, too."""
        path = self.folder / name
        new = path.with_name(f".{path.name}.swp")
        new.write_text(text)
        new.replace(path)

    def start(self, *arguments: str, target: str = "changing:app", **options) -> GraniteProcess:
        # Bytecode is written, as it is in life: what was saved last has to be found all the same.
        env = {"PYTHONDONTWRITEBYTECODE": "", **options.pop("env", {})}
        self.granite = self._run(
            *(target, "--reload", "--log-level", "debug", *arguments),
            cwd=self.folder,
            env=env,
            **options,
        )
        if options.get("ready", True):
            # Before, a save is seen, too, but perhaps twice.
            self.granite.wait_for("directories that are watched: ")
        return self.granite

    @property
    def watcher(self) -> int:
        found = re.findall(r"the watcher of files has the pid (\d+)", self.granite.output)
        return int(found[-1])

    def ask(self, **headers: str) -> httpx.Response:
        return get(self.granite.url(), headers=headers)

    def told(self) -> str:
        return self.ask().text.partition(" ")[0]

    def expect(self, text: str) -> None:
        """Wait until that is what is answered."""
        begun = time.monotonic()
        while (answer := self.ask().text).partition(" ")[0] != text:
            assert time.monotonic() - begun < PATIENCE, f"{answer}\n{self.granite}"
            time.sleep(0.01)

    def failed(self, **headers: str) -> httpx.Response:
        """Wait for a page that says what is wrong, and return it; a former worker may answer until
        the system lets it see that it is to end.
        """
        begun = time.monotonic()
        while (answer := self.ask(**headers)).status_code != 500:
            assert time.monotonic() - begun < PATIENCE, f"{answer.text}\n{self.granite}"
            time.sleep(0.01)
        return answer

    def reloads(self, count: int | None = None) -> int:
        """Return how often it has reloaded, after at least `count` times."""
        begun = time.monotonic()
        while (found := self.granite.output.count("info: reloading: ")) < (count or 0):
            assert time.monotonic() - begun < PATIENCE, self.granite
            time.sleep(0.01)
        return found

    def expect_nothing(self, change: Callable[[], object]) -> None:
        """Make a change that does not count, and one that does: none but the second is named in the
        log from then on, unless it was before: of one save the system may tell twice.
        """
        before = self._named()
        change()
        time.sleep(0.3)  # longer than a notice takes, so that the two are not one
        self.save("afterwards")
        self.expect("afterwards")
        named = self._named()[len(before) :]
        assert "changing.py has changed" in named
        assert {*named} <= {*before, "changing.py has changed"}

    def _named(self) -> list[str]:
        return re.findall(r"info: reloading: (.*)", self.granite.output)


@contextmanager
def visitors(granite: GraniteProcess, count: int = 3) -> Iterator[Load]:
    """Have visitors ask, each on new connections, one after the other; each has to be answered."""
    with Load(granite.port, coming=count, pause=0.002, statuses=(200, 500)) as load:
        yield load
    assert load.lost == []
    assert load.answers


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208
