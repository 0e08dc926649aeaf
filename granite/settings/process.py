"""Settings of the section "Process": how the processes start, live and end. Declarations only."""

from granite.settings.base import Section, Setting
from granite.settings.kinds import account, boolean, path, text
from granite.settings.quantities import integer, mebibytes, mode, seconds

SECTION = Section(
    "Process",
    Setting(
        "workers",
        integer(0, 1024),
        1,
        "Worker processes; 0 starts one per available CPU.",
        short="-w",
        fallback="WEB_CONCURRENCY",
    ),
    Setting(
        "graceful_timeout",
        seconds(31_536_000),
        30.0,
        "Time that requests in flight and then the lifespan's shutdown get when the server stops.",
    ),
    Setting(
        "drain_delay",
        seconds(86400),
        0.0,
        "Time for which the server goes on serving after it was told to stop, while it already "
        "says that it is not ready.",
    ),
    Setting(
        "workers_kill_timeout",
        seconds(1800, 1),
        5.0,
        "Time beyond the graceful timeout after which a worker that has not ended is killed.",
    ),
    Setting(
        "respawn_failed_workers",
        boolean(),
        True,
        "Start a new worker when one ends unexpectedly; without it the server ends.",
    ),
    Setting(
        "respawn_interval",
        seconds(3600),
        0.1,
        "Time before a worker that did not last is replaced; it doubles with each further one, up "
        "to 30 seconds.",
    ),
    Setting(
        "worker_timeout",
        seconds(31_536_000),
        0.0,
        "Time for which a worker's event loop may be blocked before it is replaced; 0 sets no "
        "limit.",
        aliases=("timeout",),
        short="-t",
    ),
    Setting(
        "worker_start_timeout",
        seconds(31_536_000),
        0.0,
        "Time that a worker may take for the application's import and startup before it is given "
        "up; 0 sets no limit.",
    ),
    Setting(
        "max_requests",
        integer(0, 1_000_000_000),
        0,
        "Requests after which a worker is replaced; 0 sets no limit.",
    ),
    Setting(
        "max_requests_jitter",
        integer(0, 1_000_000_000),
        0,
        "Most requests, chosen at random for each worker, that are added to max_requests.",
    ),
    Setting(
        "workers_lifetime",
        seconds(31_536_000, 60, optional=True),
        None,
        "Age at which a worker is replaced, at least 60 seconds.",
    ),
    Setting(
        "workers_lifetime_jitter",
        seconds(31_536_000),
        0.0,
        "Longest time, chosen at random for each worker, that is added to workers_lifetime.",
    ),
    Setting(
        "workers_max_rss",
        mebibytes(1, 1024**2, optional=True),
        None,
        "Resident memory, in MiB, above which a worker is replaced.",
    ),
    Setting(
        "workers_max_rss_jitter",
        mebibytes(0, 1024**2),
        0,
        "Most memory, in MiB, chosen at random for each worker, that is added to workers_max_rss.",
    ),
    Setting(
        "rss_sample_interval",
        seconds(300, 1),
        30.0,
        "Time between two looks at the memory of the workers.",
    ),
    Setting(
        "rss_samples",
        integer(1, 1_000_000),
        1,
        "Looks in a row at which a worker must be above workers_max_rss to be replaced.",
    ),
    Setting(
        "pid_file",
        path(),
        None,
        "File to write the arbiter's process id to; it is removed at the end.",
        aliases=("pidfile",),
        short="-p",
    ),
    Setting(
        "process_name",
        text(optional=True),
        None,
        "Name of the processes in ps and top, in place of granite (extra granite[pname]).",
        aliases=("proc_name",),
        short="-n",
    ),
    Setting(
        "user",
        account(),
        None,
        "User, by name or number, that the workers run as; needs root.",
        short="-u",
    ),
    Setting(
        "group",
        account(),
        None,
        "Group, by name or number, that the workers run as; without it, the user's own.",
        short="-g",
    ),
    Setting(
        "umask",
        mode(),
        None,
        "File mode creation mask of the processes, in octal; without it, the inherited one.",
        short="-m",
    ),
    Setting(
        "rlimit_nofile",
        integer(0, 1_048_576_000),
        0,
        "Open files that a process may have (RLIMIT_NOFILE), at least 64; 0 raises it as far as is "
        "allowed.",
    ),
)
