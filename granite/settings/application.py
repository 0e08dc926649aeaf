"""Settings of the section "Application": what is served and how it is loaded. Declarations only."""

from granite.settings.base import Section, Setting
from granite.settings.kinds import assignments, boolean, choice, path, paths, text, url_prefix
from granite.settings.quantities import integer, seconds

SECTION = Section(
    "Application",
    Setting(
        "target",
        text(optional=True),
        None,
        'Application to serve, "module:attribute"; the same as the argument TARGET.',
        aliases=("wsgi_app",),
    ),
    Setting(
        "interface",
        choice("auto", "asgi", "asginl", "rsgi", "wsgi"),
        "auto",
        "Interface that the application speaks: auto takes RSGI for one that has __rsgi__, ASGI "
        "for a coroutine function or what needs three arguments, else WSGI; asginl is ASGI without "
        "lifespan.",
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
        "Directory to change to before anything is opened or loaded; it is put first on sys.path, "
        "behind pythonpath.",
        aliases=("chdir",),
    ),
    Setting(
        "pythonpath",
        paths(),
        (),
        "Directories to put first on sys.path before the application is loaded.",
    ),
    Setting(
        "raw_env",
        assignments(),
        (),
        "Environment variables to set for the application.",
        short="-e",
        secret=True,
    ),
    Setting(
        "env_files",
        paths(),
        (),
        "Files with environment variables to set for the application (extra granite[dotenv]).",
    ),
    Setting(
        "loop",
        choice("auto", "asyncio", "uvloop"),
        "auto",
        "Event loop that the application runs on, unless it is one of WSGI, which needs none; auto "
        "takes uvloop where it is installed.",
        aliases=("asgi_loop",),
    ),
    Setting(
        "lifespan",
        choice("auto", "on", "off"),
        "auto",
        "ASGI lifespan: auto also serves an application without one, on requires it, off skips it.",
        aliases=("asgi_lifespan",),
    ),
    Setting(
        "url_path_prefix",
        url_prefix(),
        "",
        "URL path under which the application is mounted; it becomes the scope's root_path.",
        aliases=("root_path",),
    ),
    Setting(
        "blocking_threads",
        integer(1, 4096, optional=True),
        None,
        "Threads that run a WSGI application, per worker: as many as there is work for, up to this "
        "number. With one, it runs on the event loop's own thread, which is the fastest way.",
        aliases=("threads",),
    ),
    Setting(
        "blocking_threads_idle_timeout",
        seconds(600, 5),
        30.0,
        "Time after which an idle thread of a WSGI application ends.",
    ),
    Setting(
        "preload",
        boolean(),
        False,
        "Load the application once, before the workers are forked from it.",
        aliases=("preload_app",),
    ),
)
