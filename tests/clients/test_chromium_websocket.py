"""Chromium's WebSockets, which are compressed: of pages over TLS, and across workers."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.granite_process import GraniteProcess

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


def test_messages(server, visit):
    page = visit(f"https://localhost:{server.port}/page")
    assert page.run(f"""{OPEN}
        const socket = await open(url);
        const large = new Uint8Array(1 << 20).map((_, i) => i * 7);
        const got = new Uint8Array(await answer(socket, large));
        const text = "grün\\u{{1f600}}".repeat(100000);
        return [
            socket.protocol, socket.extensions.split(";")[0], await answer(socket, "hello"),
            await answer(socket, text) === text,
            got.length, got.every((octet, i) => octet === large[i]),
        ];
    """) == ["chat", "permessage-deflate", "hello", True, 1 << 20, True]


def test_the_close(server, visit):
    page = visit(f"https://localhost:{server.port}/page")
    assert page.run(f"""{OPEN}
        const socket = await open(url);
        const closed = new Promise((resolve) => {{ socket.onclose = resolve; }});
        socket.send("close");
        const {{code, reason, wasClean}} = await closed;
        return [code, reason, wasClean];
    """) == [4001, "as you wish", True]


@pytest.fixture
def process() -> Iterator[GraniteProcess]:
    process = GraniteProcess("run", "tests.clients.apps:app", "--port", "0", "--lifespan", "off")
    try:
        yield process
        process.stop()
    finally:
        process.destroy()


def test_a_worker_that_is_replaced(process, visit):
    page = visit(process.url("/page"))
    assert (
        page.run(f"""{OPEN}
        const socket = await open(url);
        window.left = new Promise((resolve) => {{ socket.onclose = resolve; }});
        window.again = async () => answer(await open(url), "again");
        return await answer(socket, "first");
    """)
        == "first"
    )
    process.signal(signal.SIGHUP)
    assert page.run("return (await window.left).code") == 1012
    assert page.run("return await window.again()") == "again"
