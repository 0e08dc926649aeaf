"""Reading the arguments of `run` and `check`."""

from __future__ import annotations

import pytest

from granite.cli import arguments, foreign
from granite.errors import UsageError
from granite.settings import BY_NAME, SETTINGS


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ([], {}),
        (["app:app"], {"target": "app:app"}),
        ([""], {"target": None}),
        (
            ["--port", "1", "app:app", "--port=2", "--factory"],
            {"port": 2, "target": "app:app", "factory": True},
        ),
        (["--port", "1", "--", "app:app"], {"port": 1, "target": "app:app"}),
        (["--access-log", "--no-access-log"], {"access_log": False}),
        (["--no-access-log", "--access-log"], {"access_log": True}),
        (["--server-header", ""], {"server_header": ""}),
        (["--server-header="], {"server_header": ""}),
        (["--server-header", "--"], {"server_header": "--"}),
        (["--server-header=a=b"], {"server_header": "a=b"}),
        (["--workers", "1", "-w", "4"], {"workers": 4}),
        (["-w4"], {"workers": 4}),
        (["-w=4"], {"workers": 4}),
        (["-b:80", "-b", "unix:/x"], {"bind": ("0.0.0.0:80", "unix:/x")}),
        (["-eA=1", "-e", "B=2", "--raw-env=C=3"], {"raw_env": ("A=1", "B=2", "C=3")}),
        (["--keep-alive", "3"], {"keep_alive_timeout": 3.0}),
        (["--http1-header-read-timeout", "1500"], {"request_head_timeout": 1.5}),
        (["--ssl-client-verify"], {"ssl_client_verify": "required"}),
        (["--ssl-client-verify=optional"], {"ssl_client_verify": "optional"}),
        (["--no-ssl-client-verify"], {"ssl_client_verify": "none"}),
    ],
    ids=" ".join,
)
def test_options_stand_anywhere_and_the_last_one_wins(given, values):
    found = arguments.read(given)
    assert (found.values, found.config_file) == (values, None)


@pytest.mark.parametrize(
    "given", [["-c", "x.py"], ["-cx.py"], ["--config", "x.py"], ["--config=x.py"]], ids=" ".join
)
def test_the_config_file(given):
    found = arguments.read([*given, "a"])
    assert (found.values, found.config_file) == ({"target": "a"}, "x.py")


def test_options_of_a_command():
    found = arguments.read(["a", "--all"], ("--all", "--json"))
    assert (found.values, found.switches, found.help) == ({"target": "a"}, {"--all"}, False)
    with pytest.raises(UsageError, match="did you mean '--json'"):
        arguments.read(["a", "--jsn"], ("--all", "--json"))


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_ends_the_reading(option):
    assert arguments.read(["a", option, "--nonsense"]).help
    assert not arguments.read(["--", option]).help
    assert not arguments.read(["--server-header", option]).help


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["a", "b"], "package.main:app, got 'a' 'b'"),
        (["a\nb"], "TARGET: expected one line of text, got 'a\\nb'"),
        (["a", "--=x"], "unknown option '--'"),
        (["a", "--port"], "--port: expected an integer from 0 to 65535, got nothing"),
        (["a", "-w"], "-w: expected an integer from 0 to 1024, got nothing"),
        (["a", "-wx"], "-w: expected an integer from 0 to 1024, got 'x'"),
        (["a", "-c"], "-c: expected a path, got nothing"),
        (["a", "--prot", "1"], "unknown option '--prot' (did you mean '--port'?)"),
        (["a", "-x", "1"], "unknown option '-x'"),
        (["a", "--no-port"], "unknown option '--no-port'"),
        (["a", "--no-factory=1"], "--no-factory: expected no value, got '1'"),
        (["a", "--no-factory", "1"], "--no-factory: expected no value, got '1'"),
        (["--reload", "a", "--factory", "true"], "--factory: expected no value, got 'true'"),
        (["--reload", "a", "b"], "package.main:app, got 'a' 'b'"),
        (
            ["a", "--proxy-protocol", "v2"],
            "--proxy-protocol: expected --proxy-protocol=v2, got --proxy-protocol v2",
        ),
        (["a", "--no-proxy-protocol", "v2"], "--no-proxy-protocol: expected no value, got 'v2'"),
        (["a", "--no-proxy-protocol=v2"], "--no-proxy-protocol: expected no value, got 'v2'"),
        (["a", "--factory=1"], "--factory: expected no value, got '1'"),
        (["a", "--app-dir", "src"], "--app-dir: use --working-dir"),
        (["a", "--fd=3"], "--fd: use --bind fd://NUMBER"),
        (["a", "-kgthread"], "-k: granite has one kind of worker; use --interface and --loop"),
        (["a", "-D"], "-D: granite stays in the foreground"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_one_line(given, message):
    with pytest.raises(UsageError) as caught:
        arguments.read(given)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_name_of_every_setting_is_an_option():
    known = arguments.options()
    for name, (setting, kind) in BY_NAME.items():
        assert known["--" + name.replace("_", "-")][:2] == (setting, kind)
    for setting in SETTINGS:
        assert setting.short is None or known[setting.short][0] is setting


def test_short_options_belong_to_one_setting():
    shorts = [setting.short for setting in SETTINGS if setting.short]
    shorts += [*arguments.CONFIG_OPTIONS, *arguments.HELP_OPTIONS]
    assert len(shorts) == len(set(shorts))


@pytest.mark.parametrize(
    "given",
    [
        ["-k", "uvicorn.workers.UvicornWorker"],
        ["-kasgi"],
        ["--worker-class=uvicorn_worker.UvicornH11Worker"],
    ],
)
def test_gunicorns_classes_of_asgi_workers(given):
    assert arguments.read(given).values == {"interface": "asgi"}


@pytest.mark.parametrize("worker_class", ["gevent", "sync", "mine.UvicornWorkers", ""])
def test_other_classes_of_workers(worker_class):
    with pytest.raises(UsageError, match=r"^-k: granite has one kind of worker; use --interface "):
        arguments.read(["-k", worker_class])


def test_what_is_said_of_other_servers_options():
    known = arguments.options()
    for option, hint in foreign.HINTS.items():
        assert option not in known
        named = [word.strip(",;().=") for word in hint.split() if word.startswith("--")]
        # "granite check --all" is an option of another command.
        assert [name for name in named if name not in known and "granite check" not in hint] == []
        assert len(f"granite: {option}: {hint}") <= 120
