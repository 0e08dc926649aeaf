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
    ),
    Setting(
        "reload_paths",
        paths(),
        (),
        "Files and directories to watch; the working directory where none is named.",
        aliases=("reload_extra_files",),
    ),
    Setting(
        "reload_include",
        items("a list of patterns such as *.html", "PATTERN"),
        (),
        "Patterns of files that are watched in those directories beside *.py, such as *.html or "
        "templates/*.txt.",
    ),
    Setting(
        "reload_ignore_dirs",
        items("a list of names of directories", "NAME"),
        (),
        "Names of directories in which changes are ignored, beside .git, node_modules, virtual "
        "environments and the like.",
    ),
    Setting(
        "reload_ignore_patterns",
        items("a list of regular expressions", "PATTERN", separator=" "),
        (),
        "Regular expressions of names whose changes are ignored; as one text, with spaces between.",
    ),
    Setting(
        "reload_ignore_paths",
        paths(),
        (),
        "Files and directories whose changes are ignored.",
    ),
    Setting(
        "reload_tick",
        integer(50, 5000),
        50,
        "Milliseconds between two looks for changes; a change counts when none has followed it for "
        "as long.",
    ),
    Setting(
        "reload_ignore_worker_failure",
        boolean(),
        False,
        "Wait for the next change also when a worker's process dies during the first start, which "
        "ends the server otherwise.",
    ),
)
