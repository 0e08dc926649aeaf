"""The time before a drain, in which load balancers learn of it; and who is told of a drain."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.arbiter.asking import until
from tests.arbiter.changing import hang_up
from tests.arbiter.test_drain import connect, read_response
from tests.patience import PATIENCE

APPS = Path(__file__).parent
GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


def readiness(granite) -> int:
    url = granite.wait_for(r"metrics on (http://\S+)")[1]
    return httpx.get(httpx.URL(url).join("/readyz"), timeout=PATIENCE).status_code


def test_it_is_served_until_the_delay_is_over(run_granite):
    arguments = ("--drain-delay", "1h", "--metrics", "--metrics-port", "0")
    granite = run_granite("apps:plain", *arguments, cwd=APPS)
    assert readiness(granite) == 200
    granite.signal(signal.SIGTERM)
    granite.wait_for("info: stopping in 3600 s: requests are still served")
    assert readiness(granite) == 503
    with connect(granite) as client:
        for _ in range(2):
            client.sendall(GET)
            response, body = read_response(client)
            assert (body, response.headers["connection"]) == (b"plain", None)
    granite.signal(signal.SIGTERM)
    assert granite.wait() == 0
    assert granite.output.count("stopping") == 2


def test_it_stops_when_the_delay_is_over(run_granite):
    granite = run_granite("apps:plain", "--drain-delay", "1", cwd=APPS)
    begun = time.monotonic()
    granite.signal(signal.SIGTERM)
    assert granite.wait() == 0
    assert time.monotonic() - begun >= 1
    assert granite.output.count("stopping") == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_second_signal_does_not_wait(run_granite, number):
    granite = run_granite("apps:plain", "--drain-delay", "1h", cwd=APPS)
    granite.signal(number)
    if number != signal.SIGQUIT:
        granite.wait_for("stopping in 3600 s")
        granite.signal(number)
    assert granite.wait() == 0


def test_what_comes_in_the_delay_is_too_late(run_granite):
    granite = run_granite("apps:plain", "--drain-delay", "1h", cwd=APPS)
    granite.signal(signal.SIGTERM)
    granite.wait_for("stopping in")
    granite.signal(signal.SIGHUP)
    granite.signal(signal.SIGTTIN)
    until(lambda: granite.output.count("is ignored: the server is stopping") == 2)
    assert httpx.get(granite.url()).text == "plain"
    granite.signal(signal.SIGTERM)
    assert granite.wait() == 0
    assert "reload" not in granite.output
    assert "workers" not in granite.output


def test_a_worker_that_dies_in_the_delay_is_replaced(run_granite):
    granite = run_granite("stuck_apps:app", "--drain-delay", "1h", cwd=APPS)
    granite.signal(signal.SIGTERM)
    granite.wait_for("stopping in")
    with pytest.raises(httpx.HTTPError):
        httpx.get(granite.url("/kill"))
    assert httpx.get(granite.url(), timeout=PATIENCE).text
    granite.signal(signal.SIGTERM)
    assert granite.wait() == 0


@pytest.mark.parametrize("delay", ["0", "1h"])
def test_streaming_responses_are_told_at_the_signal(run_granite, delay):
    granite = run_granite("apps:ticking", "--drain-delay", delay, cwd=APPS)
    with httpx.stream("GET", granite.url(), timeout=PATIENCE) as response:
        lines = response.iter_lines()
        assert next(lines) == "begun"
        granite.signal(signal.SIGTERM)
        assert list(lines) == ["goodbye"]
    if delay != "0":
        granite.signal(signal.SIGTERM)
    assert granite.wait() == 0
    assert "cut short" not in granite.output


def test_streaming_responses_are_told_of_a_reload(run_granite):
    granite = run_granite("apps:ticking", cwd=APPS)
    with httpx.stream("GET", granite.url(), timeout=PATIENCE) as response:
        lines = response.iter_lines()
        assert next(lines) == "begun"
        hang_up(granite)
        assert list(lines) == ["goodbye"]
    assert granite.stop() == 0
