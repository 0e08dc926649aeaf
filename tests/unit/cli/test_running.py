"""How `granite stats` and `granite top` find a server, and what they make of its numbers."""

from __future__ import annotations

import json
import socket
import threading

import pytest

from granite.cli.figures import duration, latency, number, size
from granite.cli.rates import Meter
from granite.cli.running import Options, Server, merged, quantile
from granite.cli.stats import table
from granite.errors import BootError, UsageError
from granite.metrics.summary import render
from granite.metrics.view import Seen
from granite.snapshot import BOUNDS
from tests.ports import unused_port
from tests.unit.metrics.views import FakeView, running, snapshot


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """No config file and no variables but those of the test."""
    monkeypatch.chdir(tmp_path)


def options(*arguments: str) -> Options:
    return Options.read("stats", arguments, ("--json",), ("--address", "--interval"))


def test_options():
    found = options("--address", "a", "--json", "--interval=2", "-c", "file")
    assert found.switches == {"--json"}
    assert found.values == {"--address": "a", "--interval": "2", "--config": "file"}
    assert options("--config=x").values == {"--config": "x"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--jsno"], "stats: unknown option '--jsno' (did you mean '--json'?)"),
        (["--json=1"], "stats: unknown option '--json=1' (did you mean '--json'?)"),
        (["--address"], "stats: --address: expected a value, got nothing"),
        (["--address="], "stats: --address: expected a value, got nothing"),
        (["9090"], "stats: expected no argument but options, got '9090'"),
    ],
)
def test_wrong_options(arguments, message):
    with pytest.raises(UsageError) as caught:
        options(*arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("http://127.0.0.1:9090", ("127.0.0.1", 9090)),
        ("http://127.0.0.1:9090/", ("127.0.0.1", 9090)),
        ("HTTP://host.example:1/metrics", ("host.example", 1)),
        ("localhost:9100", ("localhost", 9100)),
        ("[::1]:9100", ("::1", 9100)),
        ("http://[::1]:9100/stats", ("::1", 9100)),
        (":9100", ("127.0.0.1", 9100)),
        ("9100", ("127.0.0.1", 9100)),
    ],
)
def test_addresses(text, place):
    server = Server.find(options("--address", text))
    assert (server._host, server._port) == place
    assert server.url.endswith(f":{place[1]}")


@pytest.mark.parametrize(
    "text",
    ["https://x:1", "ftp://x:1", "x", "http://x", "http://x:0", "x:70000", "[::1]", "unix:/x", "/"],
)
def test_wrong_addresses(text):
    with pytest.raises(UsageError) as caught:
        Server.find(options("--address", text))
    assert str(caught.value).startswith("--address: expected the address of a server's metrics")
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, "http://127.0.0.1:9090"),
        ({"GRANITE_METRICS_PORT": "9100"}, "http://127.0.0.1:9100"),
        ({"GRANITE_METRICS_ADDRESS": "0.0.0.0"}, "http://127.0.0.1:9090"),
        ({"GRANITE_METRICS_ADDRESS": "::"}, "http://[::1]:9090"),
        ({"GRANITE_METRICS_ADDRESS": "fe80::1"}, "http://[fe80::1]:9090"),
    ],
)
def test_the_settings_say_where(monkeypatch, variables, url):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Server.find(options()).url == url


def test_the_config_file_says_where(tmp_path):
    (tmp_path / "my.toml").write_text("metrics_port = 9101\n")
    assert Server.find(options("-c", "my.toml")).url == "http://127.0.0.1:9101"
    (tmp_path / "my.toml").write_text("metrics_port = 0\n")
    with pytest.raises(UsageError, match=r"^metrics_port: 0 takes a port that only .* --address$"):
        Server.find(options("-c", "my.toml"))


@pytest.mark.parametrize(
    ("metrics", "hint"),
    [
        ("1", "does it run? --address names another place"),
        (
            "0",
            "metrics are off in the settings; start the server with --metrics, or give --address",
        ),
    ],
)
def test_nobody_is_there(monkeypatch, metrics, hint):
    port = unused_port()
    monkeypatch.setenv("GRANITE_METRICS_PORT", str(port))
    monkeypatch.setenv("GRANITE_METRICS", metrics)
    with pytest.raises(BootError) as caught:
        Server.find(options()).ask()
    assert str(caught.value) == f"no metrics at http://127.0.0.1:{port}: connection refused; {hint}"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0\r\n\r\n",
        b"\xff\xfe",
        b"",
    ],
)
def test_another_server_is_there(answer):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(4096)

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(BootError) as caught:
            Server.find(options("--address", url)).ask()
        thread.join()
    assert str(caught.value) == (
        f"no metrics at {url}: what answers is another server; does it run, with --metrics?"
    )


def test_a_server_that_does_not_answer(monkeypatch):
    monkeypatch.setattr("granite.cli.running._TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(BootError, match=r": no answer in time; does it run"):
            Server.find(options("--address", url)).ask()


def test_a_server_answers():
    view = FakeView({1: 100})
    with running(view) as there:
        found = Server.find(options("--address", str(there.port))).ask()
    assert found["workers"][0]["pid"] == 100


def test_a_name_that_does_not_exist():
    with pytest.raises(BootError, match=r"^no metrics at http://no-such-host\.invalid:1: "):
        Server.find(options("--address", "http://no-such-host.invalid:1")).ask()


@pytest.mark.parametrize(
    ("part", "counts", "value"),
    [
        (0.5, [0, 0, 0], None),
        (0.5, [10, 0, 0], 0.5),
        (0.99, [100, 0, 0], 0.99),
        (0.5, [0, 10, 0], 2.0),
        (0.5, [5, 5, 0], 1.0),
        (0.75, [5, 5, 0], 2.0),
        (1.0, [5, 5, 0], 3.0),
        (0.99, [0, 0, 1], 3.0),
        (0.0, [0, 4, 0], 1.0),
    ],
)
def test_quantiles(part, counts, value):
    assert quantile(part, counts, [1.0, 3.0]) == (None if value is None else pytest.approx(value))


def test_merged():
    assert merged([[1, 2, 3], [4, 5, 6]]) == [5, 7, 9]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-", None),
        ("0us", 0.0),
        ("85us", 85e-6),
        ("1ms", 0.001),
        ("1.25ms", 0.00125),
        ("999us", 0.000999),
        ("1ms", 0.0009996),
        ("320ms", 0.32),
        ("2.5s", 2.5),
        ("10s", 10.0),
    ],
)
def test_latencies(text, value):
    assert latency(value) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-", None),
        ("0s", 0.4),
        ("59s", 59.9),
        ("1m00s", 60.0),
        ("3m05s", 185.0),
        ("59m59s", 3599.0),
        ("1h00m", 3600.0),
        ("2h10m", 7800.0),
        ("23h59m", 86399.0),
        ("1d00h", 86400.0),
        ("5d03h", 5 * 86400 + 3 * 3600.0),
    ],
)
def test_durations(text, value):
    assert duration(value) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-", None),
        ("0 B", 0),
        ("1023 B", 1023),
        ("1.0 KiB", 1024),
        ("34.5 MiB", int(34.5 * 2**20)),
        ("345 MiB", 345 * 2**20),
        ("2.0 GiB", 2**31),
        ("2048 TiB", 2**51),
    ],
)
def test_sizes(text, value):
    assert size(value) == text


@pytest.mark.parametrize(
    ("text", "value"), [("-", None), ("0", 0), ("0.5", 0.5), ("3", 3.0), ("1,234", 1234.4)]
)
def test_numbers(text, value):
    assert number(value) == text


def answer(view) -> dict:
    return json.loads(render(Seen(view, 0), 1.0))


def test_rates_are_those_between_two_snapshots(monkeypatch):
    now = 100.0
    monkeypatch.setattr("granite.metrics.aggregate.time.monotonic", lambda: now)
    view, meter = FakeView({1: 10, 2: 20}), Meter()
    meter.read(answer(view))
    assert meter.rates(10).requests is None
    assert meter.total().requests is None
    view.totals.beat(1, 10, snapshot(requests_handled=50, latency_100=50))
    view.totals.beat(2, 20, snapshot(requests_handled=5))
    meter.read(answer(view))
    assert meter.rates(10).requests is None, "one snapshot tells nothing"
    now = 102.0
    numbers = {"latency_100": 50, "latency_1000": 100, "loop_lag_250": 1}
    view.totals.beat(1, 10, snapshot(requests_handled=150, **numbers))
    for _ in range(2):  # the second one finds nothing new
        meter.read(answer(view))
        rates = meter.rates(10)
        assert rates.requests == 50.0
        assert rates.p50 == pytest.approx(0.00075)
        assert rates.p99 == pytest.approx(0.000995)
        assert rates.lag == pytest.approx(0.0002485)
        assert meter.rates(20).requests is None
        assert meter.total().requests == 50.0
    view.totals.beat(2, 20, snapshot(requests_handled=5))
    meter.read(answer(view))
    assert meter.rates(20).requests == 0.0
    assert meter.rates(20).p50 is None


def test_a_worker_that_is_gone_is_forgotten():
    view, meter = FakeView({1: 10}), Meter()
    for requests in (0, 10):
        view.totals.beat(1, 10, snapshot(requests_handled=requests))
        meter.read(answer(view))
    assert meter.rates(10).requests
    view.pids = {1: 11}
    meter.read(answer(view))
    assert meter.rates(10).requests is None
    assert meter.total().requests is None
    assert meter.rates(11).requests is None


def test_the_table_of_stats():
    view = FakeView({1: 10, 12: 20000})
    numbers = {"responses_http1_5xx": 2, "responses_http2_5xx": 1, "latency_1000": 4}
    view.totals.beat(1, 10, snapshot(requests_handled=12345, connections_active=7, **numbers))
    for cause in ("start", "start", "error", "reload", "reload"):
        view.totals.spawned(cause)
    lines = table(answer(view)).splitlines()
    assert "ready" in lines[0]
    assert lines[1] == "workers started: 5, replaced: 1 error, 2 reload"
    head, first, second, total = lines[3:]
    assert head.split()[:4] == ["worker", "pid", "state", "up"]
    assert first.split() == (
        "1 10 ready 1m00s 1.0 MiB 7 0 12,345 3 750us 995us -".split()  # noqa: SIM905
    )
    assert second.split()[-7:] == ["-"] * 7
    assert total.split() == ["all", "7", "0", "12,345", "3", "750us", "995us", "-"]
    assert len({line.index("ready") for line in (first, second)}) == 1
    view.ready, view.reason = False, "the server is stopping"
    assert table(answer(view)).splitlines()[0].endswith(", not ready: the server is stopping")
    assert len(BOUNDS) == 16
