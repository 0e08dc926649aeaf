"""Chromium: pages, and what their scripts ask for."""

from __future__ import annotations

import pytest

from tests.clients.apps import PIECE
from tests.server.tls import Authority

pytestmark = pytest.mark.c_alone


def url(server, path: str = "/") -> str:
    return f"https://localhost:{server.port}{path}"


def test_a_page(server, visit, version):
    page = visit(url(server, "/page"))
    assert page.run("return [document.title, document.body.textContent]") == ["granite", "hello"]
    entry = "performance.getEntriesByType('navigation')[0]"
    spoken = {"HTTP/1.1": "http/1.1", "HTTP/2": "h2"}[version]
    assert page.run(f"return {entry}.nextHopProtocol") == spoken


def test_from_plain_http(server, visit):
    place = f"localhost:{server.config.ssl_redirect_port}/a%2Fb?c=d&e"
    page = visit(f"http://{place}")
    assert page.run("return location.href") == url(server, "/a%2Fb?c=d&e")
    told = page.run("return JSON.parse(document.body.textContent)")
    assert (told["method"], told["target"], told["scheme"]) == ("GET", "/a%2Fb?c=d&e", "https")


def test_what_a_script_sends_comes_back(server, visit):
    page = visit(url(server, "/page"))
    assert page.run("""
        const sent = new Uint8Array(1 << 20).map((_, i) => i * 7);
        const answer = await fetch("/echo", {method: "POST", body: sent});
        const got = new Uint8Array(await answer.arrayBuffer());
        return [answer.status, got.length, got.every((octet, i) => octet === sent[i])];
    """) == [200, 1 << 20, True]


def test_many_at_once(server, visit):
    page = visit(url(server, "/page"))
    assert page.run("""
        const answers = await Promise.all([...Array(60).keys()].map(
            async (i) => (await (await fetch(`/${i}`)).json()).target));
        return answers.every((target, i) => target === `/${i}?`);
    """)
    # A browser has about six connections to a host, and keeps them.
    assert 1 <= server.counters()["connections"] <= 20


def test_a_stream(server, visit):
    page = visit(url(server, "/page"))
    assert page.run("""
        let size = 0;
        for (const reader = (await fetch("/stream")).body.getReader(); ;) {
            const {value, done} = await reader.read();
            if (done) return size;
            size += value.length;
        }
    """) == 256 * len(PIECE)


def test_an_answer_that_is_left(server, visit):
    page = visit(url(server, "/page"))
    assert (
        page.run("""
        const leave = new AbortController();
        const answer = await fetch("/stream", {signal: leave.signal});
        await answer.body.getReader().read();
        leave.abort();
        return (await (await fetch("/after")).json()).target;
    """)
        == "/after?"
    )


def test_a_stranger_is_not_trusted(serve, visit, tmp_path):
    server = serve(**Authority(tmp_path).settings)
    with pytest.raises(AssertionError, match="ERR_CERT_AUTHORITY_INVALID"):
        visit(url(server, "/page"))
