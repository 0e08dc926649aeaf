"""Settings of the section "Static files". Declarations only."""

from granite.settings.base import Section, Setting
from granite.settings.kinds import items, paths, text
from granite.settings.quantities import seconds

SECTION = Section(
    "Static files",
    Setting(
        "static_path_route",
        items("a list of paths of URLs", "PATH"),
        (),
        "URL paths under which files are served, one for each mount; /static where there is one "
        "mount and no route.",
        reserved=True,
    ),
    Setting(
        "static_path_mount",
        paths(),
        (),
        "Directories whose files are served.",
        reserved=True,
    ),
    Setting(
        "static_path_dir_to_file",
        text(optional=True),
        None,
        "File to serve where a directory is asked for, such as index.html.",
        reserved=True,
    ),
    Setting(
        "static_path_expires",
        seconds(2**31 - 1),
        86400.0,
        "Time for which clients may keep a file; 0 says nothing about it.",
        reserved=True,
    ),
)
