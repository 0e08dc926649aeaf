"""Settings of the section "Logging": what is written about the server's work. Declarations only."""

from granite.settings.base import Section, Setting
from granite.settings.kinds import boolean, choice, destination, field_name, items, log_config, text

SECTION = Section(
    "Logging",
    Setting(
        "log",
        boolean(),
        True,
        "Write logs at all; without it only what keeps the server from starting is shown.",
        aliases=("log_enabled",),
    ),
    Setting(
        "log_level",
        choice(
            "critical",
            "error",
            "warning",
            "info",
            "debug",
            synonyms={"warn": "warning", "fatal": "critical", "notset": "debug", "trace": "debug"},
        ),
        "info",
        "Least severity that is written to the error log.",
        aliases=("loglevel",),
    ),
    Setting(
        "log_format",
        choice("text", "json"),
        "text",
        "Form of the lines of both logs: text, or one JSON object per line.",
    ),
    Setting(
        "log_color",
        choice("auto", "always", "never"),
        "auto",
        "Colour the text; auto does on a terminal, unless the variable NO_COLOR is set or TERM is "
        "dumb, and where FORCE_COLOR is set.",
    ),
    Setting(
        "log_file",
        destination(),
        "-",
        "Where the error log goes: - (standard error), stdout, a file, or syslog, "
        "syslog:///PATH, syslog+udp://HOST:PORT, syslog+tcp://HOST:PORT.",
        aliases=("errorlog", "error_log"),
    ),
    Setting(
        "access_log",
        boolean(),
        False,
        "Write one line per request to the access log.",
        aliases=("log_access", "log_access_enabled"),
    ),
    Setting(
        "access_log_file",
        destination(),
        "-",
        "Where the access log goes: - (standard output), stderr, a file, or syslog as with "
        "log_file.",
    ),
    Setting(
        "access_log_fmt",
        text(optional=True),
        None,
        "Form of the lines of the access log: default (also where nothing is set), common, "
        "combined, json, or a format with atoms such as %(addr)s, also those of Gunicorn and "
        "Granian.",
        aliases=("access_log_format", "log_access_format", "log_access_fmt"),
    ),
    Setting(
        "access_log_exclude",
        items("a path that starts with a slash, such as /healthz or /static/*", "PATH"),
        (),
        "Paths that are not logged; one that ends with * stands for all that begin so.",
    ),
    Setting(
        "request_id_header",
        field_name(),
        None,
        "Field that carries a request's id, such as x-request-id: taken from trusted peers, else "
        "made anew; in the scope, in the response and in the access log. Empty: requests have no "
        "id.",
    ),
    Setting(
        "syslog_facility",
        choice(
            *("auth", "authpriv", "cron", "daemon", "ftp", "kern", "lpr", "mail", "news", "syslog"),
            *("user", "uucp", *(f"local{number}" for number in range(8))),
            synonyms={"security": "auth"},
        ),
        "daemon",
        "Facility of the messages that go to syslog.",
    ),
    Setting(
        "syslog_tag",
        text(),
        "granite",
        "Program name of the messages that go to syslog.",
        aliases=("syslog_prefix",),
    ),
    Setting(
        "log_config",
        log_config(),
        None,
        "Configuration of the standard library's logging, instead of the settings above: the path "
        "of a JSON or TOML file with a dictionary for dictConfig, or of an INI file for "
        "fileConfig; in Python also the dictionary itself.",
        aliases=("log_dictconfig", "logconfig", "logconfig_json", "logconfig_dict"),
    ),
)
