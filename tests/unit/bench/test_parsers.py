"""What the load generators and the kernel print, read back; and what makes a round invalid."""

from __future__ import annotations

import dataclasses

import pytest

from bench.load import (
    LoadResult,
    command,
    fault,
    parse_h2load,
    parse_handshakes,
    parse_websockets,
    parse_wrk,
)
from bench.memory import parse_rollup
from bench.model import BenchError, Target
from bench.scenarios import BY_NAME, SCENARIOS
from bench.servers import SERVERS

WRK = """\
Running 2s test @ http://127.0.0.1:9556/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    18.27ms   33.20ms 189.36ms   89.34%
    Req/Sec     7.93k     3.51k   14.16k    44.44%
  Latency Distribution
     50%    678.00us
     75%    8.28ms
     90%   56.82ms
     99%    1.17s
  14598 requests in 2.00s, 1.92MB read
{extra}Requests/sec:   7292.06
Transfer/sec:      0.96MB
"""
SOCKET_ERRORS = "  Socket errors: connect 0, read 14598, write 0, timeout 2\n"
STATUS_ERRORS = "  Non-2xx or 3xx responses: 7\n"

H2LOAD = """\
finished in 2.00s, 53000.50 req/s, 8.21MB/s
requests: 9 total, 9 started, 106001 done, 106001 succeeded, 3 failed, 3 errored, 0 timeout
status codes: 106000 2xx, 0 3xx, 0 4xx, 1 5xx
traffic: 16.43MB (17225163) total, 10.41MB (10918103) headers, 1.31MB (1378013) data
"""

ROLLUP = """\
5581d5a06000-7ffdd7bc5000 ---p 00000000 00:00 0                          [rollup]
Rss:               13136 kB
Pss:                6543 kB
Pss_Dirty:          4120 kB
Private_Clean:       512 kB
Private_Dirty:      4096 kB
"""


def test_wrk_reports_are_read():
    result = parse_wrk(WRK.format(extra=""))

    assert result == LoadResult(14598, 7292.06, round(1.92 * 2**20), 0.678, 1170.0, {})


def test_errors_in_wrk_reports_are_read():
    result = parse_wrk(WRK.format(extra=SOCKET_ERRORS + STATUS_ERRORS))

    assert result.errors == {"read": 14598, "timeout": 2, "status": 7}


def test_h2load_reports_are_read():
    result = parse_h2load(H2LOAD)

    assert (result.requests, result.rate, result.received) == (106001, 53000.5, 17225163)
    assert result.errors == {"failed": 3, "status": 1}


@pytest.mark.parametrize("parse", [parse_wrk, parse_h2load])
def test_what_is_no_report_is_quoted(parse):
    with pytest.raises(BenchError, match="unable to connect"):
        parse("unable to connect to 127.0.0.1:1 Connection refused")


def _result(requests=100, received=10_000, **errors):
    return LoadResult(requests, 50.0, received, 0.1, 0.2, errors)


def test_errors_make_a_round_invalid():
    assert fault(BY_NAME["hello"], _result()) == ""
    assert fault(BY_NAME["hello"], _result(read=1)) == "1 read errors"
    assert fault(BY_NAME["hello"], _result(status=2)) == "2 status errors"


@pytest.mark.parametrize(
    ("full", "resumed", "failed", "wrong"),
    [
        (9, 0, 0, {"tls-resumed": "9 full errors"}),
        (0, 9, 0, {"tls-handshakes": "9 resumed errors"}),
        (5, 4, 0, {"tls-resumed": "5 full errors", "tls-handshakes": "4 resumed errors"}),
        (9, 0, 1, {"tls-handshakes": "1 failed errors"}),
    ],
)
def test_handshakes_are_those_that_were_asked_for(full, resumed, failed, wrong):
    said = f"connections {full + resumed} resumed {resumed} failed {failed} seconds 2.000\n"
    result = parse_handshakes(said)

    assert (result.requests, result.rate) == (9, 4.5)
    for name in ("tls-handshakes", "tls-resumed"):
        assert name not in wrong or fault(BY_NAME[name], result).startswith(wrong[name])
        assert name in wrong or failed or not fault(BY_NAME[name], result)


def test_messages_over_websockets():
    result = parse_websockets("ready\nmessages 9 failed 0 seconds 2.000\n")
    assert (result.requests, result.rate) == (9, 4.5)
    assert fault(BY_NAME["websocket"], result) == ""
    result = parse_websockets("messages 9 failed 2 seconds 2.000\n")
    assert fault(BY_NAME["websocket"], result) == "2 failed errors"
    with pytest.raises(BenchError, match="nothing"):
        parse_websockets("")


def test_an_unannounced_close_is_a_fault_only_where_the_connection_should_live():
    assert fault(BY_NAME["close"], _result(read=100)) == ""
    assert fault(BY_NAME["close"], _result(read=101)) == "101 read errors"
    assert fault(BY_NAME["close"], _result(connect=1)) == "1 connect errors"


def test_responses_that_are_too_short_make_a_round_invalid():
    assert "too few" in fault(BY_NAME["large"], _result(received=100 * 65536 // 2))
    assert fault(BY_NAME["large"], _result(received=100 * 65700)) == ""
    assert fault(BY_NAME["hello"], _result(requests=0, received=0)) == "no request was answered"


def test_a_rollup_gives_shared_and_own_memory():
    assert parse_rollup(ROLLUP) == (6543, 4608)


@pytest.mark.parametrize(
    ("at_least", "met"), [(True, [False, True, True]), (False, [True, True, False])]
)
def test_a_target_is_a_bound_in_one_direction(at_least, met):
    target = Target(2.0, at_least=at_least)

    assert [target.met(value) for value in (1.9, 2.0, 2.1)] == met


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_table_of_scenarios_names_what_exists(scenario):
    assert set(scenario.targets) | set(scenario.peers) <= set(SERVERS)
    assert not scenario.peers or set(scenario.targets) <= set(scenario.peers)
    scheme = "https" if scenario.tls else "http"
    if scenario.generator in ("handshakes", "websockets"):
        assert command(scenario, 1234, 2)[1:] == [*scenario.options, "1234", "2"]
    else:
        assert command(scenario, 1234, 2)[-1] == f"{scheme}://127.0.0.1:1234/"
    assert dataclasses.replace(scenario, targets={}).name == scenario.name
