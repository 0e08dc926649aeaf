"""Real clients of HTTP/2: curl, httpx, h2load, Node and nghttp; what is not installed is left out.

Each asks a server that also checks what it was asked.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.granite_process import plain_environ
from tests.patience import PATIENCE
from tests.server.apps import answer, body, body_of, start
from tests.server.http2.marks import every_interface, plain_and_tls


def needs(command: str):
    return pytest.mark.skipif(shutil.which(command) is None, reason=f"needs {command}")


async def app(scope, receive, send):
    if scope["path"] == "/echo":
        await answer(send, await body_of(receive), 200, [(b"content-type", b"text/plain")])
    elif scope["path"] == "/stream":
        await send(start())
        for number in range(50):
            await send(body(b"%d\n" % number * 1000, more=True))
            await asyncio.sleep(0)
        await send(body())
    else:
        await answer(send, scope["http_version"].encode())


STREAMED = b"".join(b"%d\n" % number * 1000 for number in range(50))


def run(*command: str) -> str:
    """What the client says."""
    done = subprocess.run(
        command, env=plain_environ(), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def trusted(transport, request) -> Path | None:
    """Whom a client has to trust, if it comes over TLS."""
    return request.getfixturevalue("authority").file if transport == "tls" else None


def curl(trusted: Path | None, *arguments: str) -> str:
    tls = ("--cacert", str(trusted), "--http2") if trusted else ("--http2-prior-knowledge",)
    return run("curl", "--silent", "--show-error", "--fail", *tls, *arguments)


@needs("curl")
@plain_and_tls
@every_interface
def test_curl(serve, trusted, tmp_path, interface):
    server = serve(app)
    told = curl(trusted, "--write-out", "|%{http_version}|%{http_code}", server.url("/"))
    assert re.fullmatch(r"(2|2\.0)\|2\|200", told)
    data = tmp_path / "data"
    data.write_bytes(bytes(range(256)) * 4000)
    out = tmp_path / "out"
    for _ in range(2):
        sent = "--data-binary", f"@{data}", "--header", "Content-Type: x/y", "--output", str(out)
        curl(trusted, *sent, server.url("/echo"))
        assert out.read_bytes() == data.read_bytes()


@needs("curl")
@pytest.mark.parametrize("transport", ["tls"])
def test_curl_with_many_at_once(serve, trusted):
    """By ALPN: with prior knowledge, curl 7.88 fails at this with any server."""
    server = serve(app)
    urls = [server.url(f"/{number}") for number in range(30)]
    assert curl(trusted, "--parallel", *urls) == "2" * 30


@needs("curl")
def test_curl_offers_h2c(serve):
    """With --http2 over plain text it asks for an upgrade, and gets an answer of HTTP/1.1."""
    server = serve(app)
    told = run("curl", "--silent", "--fail", "--http2", "-w", "|%{http_version}", server.url("/"))
    assert told == "1.1|1.1"


@plain_and_tls
def test_httpx(serve, transport, request):
    server = serve(app)
    verify = request.getfixturevalue("trusting") if transport == "tls" else True
    with httpx.Client(http1=False, http2=True, verify=verify) as client:
        for _ in range(3):
            response = client.get(server.url("/"))
            assert (response.http_version, response.text) == ("HTTP/2", "2")
            data = bytes(range(256)) * 2000
            assert client.post(server.url("/echo"), content=data).content == data
            assert client.get(server.url("/stream")).content == STREAMED


@plain_and_tls
def test_httpx_with_many_at_once(serve, transport, request):
    server = serve(app)
    verify = request.getfixturevalue("trusting") if transport == "tls" else True

    async def main():
        async with httpx.AsyncClient(http1=False, http2=True, verify=verify) as client:
            answers = await asyncio.gather(
                *(client.post(server.url("/echo"), content=b"%d" % n * 5000) for n in range(60))
            )
        return [answer.content for answer in answers]

    assert asyncio.run(main()) == [b"%d" % number * 5000 for number in range(60)]


@needs("h2load")
@plain_and_tls
@every_interface
def test_h2load(serve, interface):
    server = serve(app)
    told = run("h2load", "-n", "2000", "-c", "8", "-m", "32", server.url("/"))
    assert "2000 succeeded, 0 failed, 0 errored, 0 timeout" in told
    assert "status codes: 2000 2xx, 0 3xx, 0 4xx, 0 5xx" in told


@needs("h2load")
@plain_and_tls
def test_h2load_with_bodies(serve, tmp_path):
    data = tmp_path / "data"
    data.write_bytes(b"x" * 10_240)
    server = serve(app)
    told = run("h2load", "-n", "500", "-c", "4", "-m", "16", "-d", str(data), server.url("/echo"))
    assert "500 succeeded, 0 failed, 0 errored, 0 timeout" in told
    size = re.search(r"\((\d+)\) data", told)
    assert size is not None
    assert int(size[1]) == 500 * 10_240


NODE = """
const http2 = require('http2'), fs = require('fs');
const [url, ca] = process.argv.slice(1);
const client = http2.connect(url, ca ? {ca: fs.readFileSync(ca)} : {});
const ask = (path, body) => new Promise((resolve, reject) => {
  const stream = client.request({':path': path, ':method': body ? 'POST' : 'GET'});
  let head, data = 0;
  stream.on('response', (fields) => { head = fields; });
  stream.on('data', (piece) => { data += piece.length; });
  stream.on('end', () => resolve([head[':status'], data]));
  stream.on('error', reject);
  stream.end(body);
});
(async () => {
  const asked = [ask('/'), ask('/echo', Buffer.alloc(300000)), ask('/stream')];
  for (let i = 0; i < 50; i++) asked.push(ask('/'));
  const answers = await Promise.all(asked);
  const pinged = await new Promise((done) => client.ping((error) => done(!error)));
  client.close(() => console.log(JSON.stringify([answers, pinged, client.alpnProtocol])));
})();
"""


@needs("node")
@plain_and_tls
def test_node(serve, trusted, transport):
    server = serve(app)
    url = server.url("").replace("127.0.0.1", "localhost") if trusted else server.url("")
    told = run("node", "-e", NODE, url, *([str(trusted)] if trusted else []))
    answers, pinged, protocol = json.loads(told)
    assert answers[:3] == [[200, 1], [200, 300_000], [200, len(STREAMED)]]
    assert answers[3:] == [[200, 1]] * 50
    assert pinged
    assert protocol == ("h2" if trusted else "h2c")


@pytest.mark.skipif(sys.platform != "linux", reason="its own server is Linux's")
@needs("nghttp")
@plain_and_tls
def test_nghttp(serve, transport):
    server = serve(app)
    told = run("nghttp", "--no-verify-peer", server.url("/"))
    assert told == "2"
