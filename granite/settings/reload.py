"""Settings of the section "Reloading": new workers when files change. Declarations only."""

from granite.settings.base import Section, Setting
from granite.settings.kinds import boolean, items, paths
from granite.settings.quantities import integer

SECTION = Section(
    "Reloading",
    Setting(
        "reload",
        boolean(),
        False,
        "Start new workers when files of the application change (extra granite[reload]).",
        reserved=True,
    ),
    Setting(
        "reload_paths",
        paths(),
        (),
        "Paths to watch; the working directory where there is none.",
        aliases=("reload_extra_files",),
        reserved=True,
    ),
    Setting(
        "reload_ignore_dirs",
        items("a list of names of directories", "NAME"),
        (),
        "Names of directories in which changes are ignored.",
        reserved=True,
    ),
    Setting(
        "reload_ignore_patterns",
        items("a list of regular expressions", "PATTERN", separator=" "),
        (),
        "Regular expressions of names whose changes are ignored; as one text, with spaces between.",
        reserved=True,
    ),
    Setting(
        "reload_ignore_paths",
        paths(),
        (),
        "Paths whose changes are ignored.",
        reserved=True,
    ),
    Setting(
        "reload_tick",
        integer(50, 5000),
        50,
        "Milliseconds between two looks at the files.",
        reserved=True,
    ),
    Setting(
        "reload_ignore_worker_failure",
        boolean(),
        False,
        "Go on when a worker fails while files are watched.",
        reserved=True,
    ),
)
