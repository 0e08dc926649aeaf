"""Finding a config file, reading it, and telling settings from what else a Python file defines."""

from __future__ import annotations

import os
import sys

import pytest

from granite.errors import EXIT_USAGE, UsageError
from granite.settings.files import read_config_file
from granite.settings.load import load


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def write(directory, name: str, text: str) -> str:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return name


def refused(name: str | None) -> str:
    with pytest.raises(UsageError) as caught:
        read_config_file(name)
    assert caught.value.exit_code == EXIT_USAGE
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Finding


def test_the_working_directory_is_searched(directory):
    assert read_config_file(None).values == {}
    write(directory, "pyproject.toml", "[project]\nname = 'granite'\n[tool.granite2]\nport = 1\n")
    assert (read_config_file(None).values, read_config_file(None).origin) == ({}, "")
    write(directory, "pyproject.toml", "[tool.other]\nport = 1\n[ tool.granite ]\nport = 2\n")
    assert (read_config_file(None).values, read_config_file(None).origin) == (
        {"port": 2},
        "pyproject.toml",
    )
    write(directory, "granite.conf.py", "port = 3")
    assert (read_config_file(None).values, read_config_file(None).origin) == (
        {"port": 3},
        "granite.conf.py",
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [("c.yaml", "workers: 3"), ("c.YML", ""), ("c.json", "{}"), ("c.ini", ""), ("c.cfg", "a = 1")],
)
def test_a_file_of_another_format(name, text, directory):
    assert refused(write(directory, name, text)) == (
        f"{name}: expected a config file in Python or TOML"
    )


@pytest.mark.parametrize("name", ["deploy/conf.py", "file:deploy/conf.py", "python:deploy.conf"])
def test_a_python_file_by_name(name, directory, monkeypatch):
    for module in ("deploy", "deploy.conf"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    write(directory, "deploy/conf.py", "import os\nport = 4\nraw_env = ['FILE=' + __file__]")
    values = read_config_file(name).values
    assert values == {"port": 4, "raw_env": (f"FILE={directory / 'deploy' / 'conf.py'}",)}


@pytest.mark.parametrize("text", ["port = 5", "[tool.granite]\nport = 5\n[tool.other]\nport = 6"])
def test_a_toml_file_by_name(text, directory):
    assert read_config_file(write(directory, "deploy/x.toml", text)).values == {"port": 5}


def test_what_cannot_be_read(directory):
    assert refused("no.py") == "no.py: expected a config file, found none"
    assert refused("no.toml") == "no.toml: expected a config file, found none"
    assert refused(str(directory)) == f"{directory}: the config file cannot be read: is a directory"
    assert refused("python:no_such.module") == (
        "python:no_such.module: ModuleNotFoundError: No module named 'no_such'"
    )
    with pytest.raises(UsageError, match=r"^no\.py: expected a config file"):
        load({}, {"GRANITE_CONFIG": "no.py"})


# TOML


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("worker = 2", "x.toml: unknown setting 'worker' (did you mean 'workers'?)"),
        ("xyzzy = 2", "x.toml: unknown setting 'xyzzy'"),
        ("log-lvel = 2", "x.toml: unknown setting 'log-lvel' (did you mean 'loglevel'?)"),
        ("workers = 'many'", "x.toml: workers: expected an integer from 0 to 1024, got 'many'"),
        ("log-level = 1", "x.toml: log-level: expected one of critical, "),
        ("port = 1979-05-27", "x.toml: port: expected an integer from 0 to 65535, got datetime."),
        ("when_ready = 'x'", "x.toml: unknown setting 'when_ready'"),
        (
            "pid_file = 'a'\npidfile = 'b'",
            "x.toml: pidfile: the same setting as pid_file; give one",
        ),
        ("port = ", "x.toml: Invalid value (at "),
        ("port = 1\nport = 2", "x.toml: Cannot overwrite a value (at "),
        ("[tool]\ngranite = 3", "x.toml: expected a table [tool.granite], got 3"),
        ("[port]\nnumber = 1", "x.toml: port: expected an integer from 0 to 65535, got {'number"),
        ("port = nan", "x.toml: port: expected an integer from 0 to 65535, got nan"),
        ("keepalive = inf", "x.toml: keepalive: expected seconds from 0 to 86400, "),
        ("bind = [['a']]", "x.toml: bind: expected an address, "),
        ("bind = " + "[" * 5000, "x.toml: "),
    ],
)
def test_a_mistake_in_toml(text, message, directory):
    assert refused(write(directory, "x.toml", text)).startswith(message)


# Python


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n\nx = undefined", "c.py:3: NameError: name 'undefined' is not defined"),
        ("def f():\n  1/0\nf()", "c.py:2: ZeroDivisionError: division by zero"),
        ("port = = 1", "c.py:1: SyntaxError: invalid syntax"),
        ("import other", "c.py:1: SyntaxError: "),
        ("\nimport helper", "c.py:2: ValueError: two lines"),
        ("import sys\nsys.exit('no')", "c.py:2: the file ended the process: sys.exit('no')"),
        ("import no_such_module", "c.py:1: ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise Exception", "c.py:1: Exception"),
        ("a = 1\nassert a == 2", "c.py:2: AssertionError"),
        ("x = '\0'", "c.py"),
        ("port = 1\nhost = (", "c.py:2: SyntaxError: '(' was never closed"),
        ("x = " + "(" * 500, "c.py:1: "),
        ("port = 10**5000", "c.py:1: port: expected an integer from 0 to 65535, got a value of"),
        ("keepalive = 10**400", "c.py:1: keepalive: expected seconds from 0 to 86400, "),
        ("host = 'x' * 10**6 + '\\n'", "c.py:1: host: expected an address or a name, got 'xxxxx"),
        ("host = b'::1'", "c.py:1: host: expected an address or a name, got b'::1'"),
        ("host = ''", "c.py:1: host: expected an address or a name, got ''"),
        ("uds_permissions = 660", "c.py:1: uds_permissions: expected permission bits in octal, "),
    ],
)
def test_an_exception_is_one_line_with_its_place(text, message, directory):
    write(directory, "other.py", "x = = 1")
    write(directory, "helper.py", "raise ValueError('two\\nlines')")
    assert refused(write(directory, "c.py", text)).startswith(message)


def test_an_exception_in_a_module(directory):
    write(directory, "broken_module.py", "import os\nos.nothing\n")
    assert refused("python:broken_module").startswith("python:broken_module:2: AttributeError: ")
    write(directory, "broken_syntax.py", "\nport = = 1")
    assert refused("python:broken_syntax") == "python:broken_syntax:2: SyntaxError: invalid syntax"


def test_the_working_directory_can_be_imported_from_and_the_files_own_cannot(directory):
    write(directory, "common_of_test.py", "PORT = 7")
    write(directory, "deploy/c.py", "from common_of_test import PORT\nport = PORT")
    write(directory, "deploy/near_of_test.py", "")
    assert read_config_file("deploy/c.py").values == {"port": 7}
    assert str(directory) in sys.path
    write(directory, "deploy/c.py", "import near_of_test")
    assert refused("deploy/c.py") == (
        "deploy/c.py:1: ModuleNotFoundError: No module named 'near_of_test'"
    )


def test_the_file_is_a_module(directory):
    write(
        directory,
        "c.py",
        "import dataclasses, sys\nassert sys.modules[__name__].__dict__ is globals()\n"
        "@dataclasses.dataclass\nclass Point:\n    x: 'int' = 1\nworkers = Point().x\n",
    )
    assert read_config_file("c.py").values == {"workers": 1}


def test_hooks_are_found_and_checked(directory):
    write(directory, "c.py", "def when_ready(server): pass\ndef on_exit(s): pass\npre_fork = None")
    assert read_config_file("c.py").hooks.names() == ["when_ready", "on_exit"]
    write(directory, "c.py", "def post_fork(server): pass")
    assert refused("c.py") == "c.py: post_fork: expected a function of 2 arguments"
    write(directory, "c.py", "on_exit = 'x'")
    assert refused("c.py") == "c.py: on_exit: expected a function, got 'x'"


HELPERS = (
    """
import http, json, logging, multiprocessing
from os import getenv, sep as separator
_private = 1
host = getenv("NO_SUCH", "0.0.0.0")
port = getenv("NO_SUCH", "81")
bind = f"{host}:{port}"
workers_str = getenv("NO_SUCH", "3")
workers = int(workers_str)
log = logging.getLogger()
metrics = {"a": 1}
interface = "eth0"
target = ["not", "a", "target"]
use_target, (use_interface, *rest) = len(target), (interface, 1)
class Helper:
    attribute = 1
def static(): return use_target, use_interface, rest, metrics
for index in range(3):
    total = index
log_data = {"workers": workers, "total": total}
print(json.dumps(log_data), end="")
"""
    + "".join(f"{name} = {name!r}\n" for name in ("a", "b"))
    + "c = a + b\nd = c\nassert d\n"
)


def test_helpers_of_the_author_are_left_alone(directory):
    write(directory, "c.py", HELPERS)
    file = read_config_file("c.py")
    assert file.values == {
        "host": "0.0.0.0",
        "port": 81,
        "bind": ("0.0.0.0:81",),
        "workers": 3,
    }
    assert file.notes == []


def test_a_name_that_nothing_reads(directory):
    write(directory, "c.py", "port = 1\nif port:\n    worker: int = 2\n")
    assert refused("c.py") == "c.py:3: unknown setting 'worker' (did you mean 'workers'?)"
    write(directory, "c.py", "WORKERS = 3\nxyzzy = 1\n(foo := 2)\nport = 1")
    [note] = read_config_file("c.py").notes
    assert (note.level, note.text) == (
        "warning",
        "c.py: ignored, as these are no settings: WORKERS, foo, xyzzy",
    )


def test_names_of_another_file_are_its_own(directory):
    write(directory, "base_of_test.py", "worker = 2\nport = 5\ndebug = True")
    file = read_config_file(write(directory, "c.py", "from base_of_test import *\nhost = '::1'"))
    assert (file.values, file.notes) == ({"port": 5, "host": "::1"}, [])
    file = read_config_file(write(directory, "c.py", "from base_of_test import worker, debug"))
    assert (file.values, file.notes) == ({}, [])


def test_a_file_that_reads_all_its_names(directory):
    write(directory, "c.py", "worker = 2\nhost = '%(worker)s' % locals()")
    assert read_config_file("c.py").values == {"host": "2"}


def test_two_names_of_a_setting(directory):
    write(directory, "c.py", "host = '::1'\n\naddress = '::'")
    assert refused("c.py") == "c.py:3: address: the same setting as host; give one"
    write(directory, "c.py", "host = '::1'\naddress = '::1'")
    assert read_config_file("c.py").values == {"host": "::1"}
    write(directory, "c.py", "address = '0.0.0.0'\nhost = '::1'\nbind = address + ':80'")
    assert read_config_file("c.py").values["bind"] == ("0.0.0.0:80",)


def test_a_wrong_value_names_its_line(directory):
    write(directory, "c.py", "port = 1\nport = 'http'")
    assert refused("c.py") == "c.py:2: port: expected an integer from 0 to 65535, got 'http'"


def test_a_deep_expression_can_be_looked_at(directory):
    text = "xyzzy = " + " + ".join(["1"] * 900)
    assert len(read_config_file(write(directory, "c.py", text)).notes) == 1


def test_granites_own_name_wins_over_gunicorns(directory):
    write(directory, "c.py", "pid_file = '/own'\npidfile = '/theirs'")
    assert read_config_file("c.py").values == {"pid_file": "/own"}


def test_a_file_in_another_encoding(directory):
    (directory / "c.py").write_bytes("# coding: latin-1\nsyslog_tag = 'é'".encode("latin-1"))
    assert read_config_file("c.py").values == {"syslog_tag": "é"}
    assert os.path.basename(sys.modules["__config__"].__file__ or "") == "c.py"  # noqa: PTH119


@pytest.mark.parametrize(("name", "text"), [("c.py", "port = 5"), ("x.toml", "port = 5")])
def test_a_byte_order_mark(name, text, directory):
    (directory / name).write_text(text, encoding="utf-8-sig")
    assert read_config_file(name).values == {"port": 5}


def test_a_module_that_imports_itself(directory):
    write(directory, "itself_of_test.py", "import itself_of_test\nport = 5")
    assert read_config_file("python:itself_of_test").values == {"port": 5}
    write(directory, "c.py", "import __config__\nassert __config__.__name__ == __name__\nport = 6")
    assert read_config_file("c.py").values == {"port": 6}
