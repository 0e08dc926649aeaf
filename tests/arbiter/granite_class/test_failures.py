"""A program that cannot serve: one line, the status of `granite run`, and nothing left."""

from __future__ import annotations

import socket

import pytest

from tests.arbiter.granite_class.programs import USUAL, said


@pytest.mark.parametrize(
    ("code", "status", "line"),
    [
        ('Granite("a:b", wokers=2)', 2, "unknown setting 'wokers' (did you mean 'workers'?)"),
        ('Granite("a:b", port="x").serve()', 2, "port: expected an integer from 0 to 65535"),
        ('Granite("a:b", uds="/no/such/s").serve()', 1, "cannot listen on unix:/no/such/s: "),
        ('Granite("no_such:b", port=0).serve()', 3, "cannot load 'no_such:b': there is no mo"),
        (
            "import asyncio\nasync def main(): Granite('a:b').serve()\nasyncio.run(main())",
            2,
            "serve() was called inside of a running event loop",
        ),
    ],
    ids=["name", "value", "boot", "load", "loop"],
)
def test_one_line(run_program, code, status, line):
    process = run_program(code, ready=False)
    assert process.wait() == status
    assert process.output.startswith(f"granite: {line}")
    assert process.output.count("\n") == 1
    process.wait_gone()


def test_other_exceptions_are_shown_as_usual(run_program):
    process = run_program(
        """
try:
    Granite("a:b", port="x")
except Exception as exc:
    say(type(exc).__name__)
1 / 0
""",
        ready=False,
    )
    assert process.wait() == 1
    assert said(process) == ["arbiter UsageError"]
    assert "Traceback" in process.output
    assert process.output.endswith("ZeroDivisionError: division by zero\n")


def test_the_status_can_be_caught(run_program):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = run_program(
            f"""
try:
    Granite("a:b", port={taken.getsockname()[1]}).serve()
except SystemExit as exc:
    say(f"status {{exc.code}}")
""",
            ready=False,
        )
        assert process.wait() == 0
    assert said(process) == ["arbiter status 1"]
    assert "address already in use" in process.output


@pytest.mark.parametrize(
    ("loader", "text"),
    [
        ("lambda target: 1 / 0", "ZeroDivisionError: division by zero"),
        ("lambda target: None", "expected"),
    ],
)
def test_target_loader(run_program, loader, text):
    process = run_program(
        f'with around("with"): Granite("t", port=0).serve(target_loader={loader})', ready=False
    )
    assert process.wait() == 3
    assert process.output.startswith("granite: ")
    assert text in process.output
    assert said(process) == ["arbiter left with"]


def test_serve_without_the_guard(run_program):
    process = run_program(f'Granite("program:app", **{USUAL}).serve()', ready=False)
    assert process.wait() == 3
    assert "granite: cannot load 'program:app'" in process.output
    assert 'put the call under if __name__ == "__main__"' in process.output


def test_a_failing_startup_function(run_program):
    process = run_program(
        """
server = Granite("program:app", port=0)

@server.on_startup
def fail():
    raise KeyError("no key")

server.serve()
""",
        ready=False,
    )
    assert process.wait() == 1
    assert "KeyError: 'no key'" in process.output
    process.wait_gone()
