"""Chromium's WebSockets, which are compressed: of pages over TLS, and across workers."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.clients.conftest import VERSIONS
from tests.granite_process import GraniteProcess
from tests.server.tls import Authority

# What a script finds: a WebSocket that is open, and its next message.
OPEN = """
    const open = (url) => new Promise((resolve, reject) => {
        const socket = new WebSocket(url, ["other", "chat"]);
        socket.binaryType = "arraybuffer";
        socket.onopen = () => resolve(socket);
        socket.onerror = () => reject(new Error("no WebSocket"));
    });
    const answer = (socket, message) => new Promise((resolve) => {
        socket.onmessage = (event) => resolve(event.data);
        socket.send(message);
    });
    const url = location.origin.replace("http", "ws") + "/socket";
"""


# What the application is told where the page has come by this version: a browser whose connection
# to the server is of HTTP/2 opens WebSockets on it (RFC 8441).
SPOKEN = {"HTTP/1.1": "1.1", "HTTP/2": "2"}


def test_messages(server, visit, version):
    page = visit(f"https://localhost:{server.port}/page")
    assert page.run(f"""{OPEN}
        const socket = await open(url);
        const large = new Uint8Array(1 << 20).map((_, i) => i * 7);
        const got = new Uint8Array(await answer(socket, large));
        const text = "grün\\u{{1f600}}".repeat(100000);
        return [
            await answer(socket, "version"),
            socket.protocol, socket.extensions.split(";")[0], await answer(socket, "hello"),
            await answer(socket, text) === text,
            got.length, got.every((octet, i) => octet === large[i]),
        ];
    """) == [SPOKEN[version], "chat", "permessage-deflate", "hello", True, 1 << 20, True]


def test_the_close(server, visit):
    page = visit(f"https://localhost:{server.port}/page")
    assert page.run(f"""{OPEN}
        const socket = await open(url);
        const closed = new Promise((resolve) => {{ socket.onclose = resolve; }});
        socket.send("close");
        const {{code, reason, wasClean}} = await closed;
        return [code, reason, wasClean];
    """) == [4001, "as you wish", True]


def test_many_beside_requests(server, visit, version):
    page = visit(f"https://localhost:{server.port}/page")
    assert page.run(f"""{OPEN}
        const sockets = await Promise.all([...Array(20).keys()].map(() => open(url)));
        const asked = [...Array(20).keys()].map(
            async (i) => (await (await fetch(`/${{i}}`)).json()).target);
        const said = sockets.map((socket, i) => answer(socket, `${{i}}`.repeat(10000)));
        const told = await Promise.all(said);
        const targets = await Promise.all(asked);
        const left = sockets.map((socket) => new Promise((resolve) => {{
            socket.onclose = (event) => resolve(event.wasClean);
            socket.close(1000);
        }}));
        return told.every((text, i) => text === `${{i}}`.repeat(10000))
            && targets.every((target, i) => target === `/${{i}}?`)
            && (await Promise.all(left)).every((clean) => clean);
    """)


@pytest.fixture(params=["plain", "HTTP/1.1", "HTTP/2"])
def carrier(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def process(carrier: str, authority: Authority) -> Iterator[GraniteProcess]:
    options = ["--port", "0", "--host", "localhost", "--lifespan", "off"]
    if carrier != "plain":
        options += ["--http", VERSIONS[carrier], "--ssl-certificate", str(authority.chain)]
        options += ["--ssl-keyfile", str(authority.key)]
    process = GraniteProcess("run", "tests.clients.apps:app", *options)
    try:
        yield process
        process.stop()
    finally:
        process.destroy()


def test_a_worker_that_is_replaced(process, carrier, visit):
    scheme = "http" if carrier == "plain" else "https"
    page = visit(f"{scheme}://localhost:{process.port}/page")
    assert (
        page.run(f"""{OPEN}
        const socket = await open(url);
        window.left = new Promise((resolve) => {{ socket.onclose = resolve; }});
        window.again = async () => answer(await open(url), "again");
        return await answer(socket, "version");
    """)
        == {"plain": "1.1", **SPOKEN}[carrier]
    )
    process.signal(signal.SIGHUP)
    assert page.run("const {code, wasClean} = await window.left; return [code, wasClean]") == [
        1012,
        True,
    ]
    assert page.run("return await window.again()") == "again"
