"""Settings of the section "Application": what is served and how it is loaded. Declarations only."""

from granite.settings.base import Section, Setting, boolean, choice, path, url_prefix

SECTION = Section(
    "Application",
    Setting(
        "interface",
        choice("auto", "asgi"),
        "auto",
        "Interface that the application speaks; auto takes ASGI.",
    ),
    Setting(
        "factory",
        boolean(),
        False,
        "Call the target without arguments; what it returns is the application.",
    ),
    Setting(
        "working_dir",
        path(),
        None,
        "Directory to change to before the application is loaded; and put first on sys.path.",
    ),
    Setting(
        "loop",
        choice("auto", "asyncio", "uvloop"),
        "auto",
        "Event loop that the application runs on; auto takes uvloop where it is installed.",
    ),
    Setting(
        "lifespan",
        choice("auto", "on", "off"),
        "auto",
        "ASGI lifespan: auto also serves an application without one, on requires it, off skips it.",
    ),
    Setting(
        "url_path_prefix",
        url_prefix(),
        "",
        "URL path under which the application is mounted; it becomes the scope's root_path.",
    ),
)
