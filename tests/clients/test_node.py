"""Node: its module https, and fetch."""

from __future__ import annotations

import pytest

from tests.clients.apps import PIECE
from tests.server.tls import Authority

pytestmark = pytest.mark.c_alone

# A request of the module https on a connection of its own, or of `agent`.
ASK = """
const https = require("https");
const ask = (path, options = {}, body = undefined) => new Promise((resolve, reject) => {
    const request = https.request(given.url + path, options, (answer) => {
        const pieces = [], socket = answer.socket;
        const agreed = {
            protocol: socket.getProtocol(), alpn: socket.alpnProtocol, port: socket.localPort,
            resumed: socket.isSessionReused(), status: answer.statusCode,
        };
        answer.on("data", (piece) => pieces.push(piece));
        answer.on("end", () => resolve({...agreed, body: Buffer.concat(pieces)}));
        answer.on("error", reject);
    });
    request.on("error", reject);
    request.end(body);
});
"""


@pytest.fixture
def run(run_node, server):
    return lambda script: run_node(ASK + script, url=f"https://localhost:{server.port}")


def test_what_is_agreed_on(run):
    told = run('const {body, ...told} = await ask("/"); return told;')
    assert (told["status"], told["protocol"]) == (200, "TLSv1.3")
    assert not told["resumed"]


def test_alpn(run):
    told = run('return (await ask("/", {ALPNProtocols: ["h3", "http/1.1"]})).alpn;')
    assert told == "http/1.1"
    with pytest.raises(AssertionError, match="no application protocol"):
        run('return await ask("/", {ALPNProtocols: ["h3"]});')


def test_an_agent_keeps_its_connection(run):
    ports = run("""
        const agent = new https.Agent({keepAlive: true, maxSockets: 1}), ports = [];
        for (let i = 0; i < 20; i++) ports.push((await ask(`/${i}`, {agent})).port);
        return ports;
    """)
    assert len(ports) == 20
    assert len(set(ports)) == 1


def test_a_session_is_resumed(run):
    """An agent remembers the sessions of its hosts."""
    told = run("""
        const agent = new https.Agent({keepAlive: false}), told = [];
        for (let i = 0; i < 5; i++) told.push((await ask("/", {agent})).resumed);
        return told;
    """)
    assert told == [False, True, True, True, True]


def test_what_is_sent_comes_back(run):
    assert run("""
        const sent = require("crypto").randomBytes(3 << 20);
        const {status, body} = await ask("/echo", {method: "POST"}, sent);
        return [status, body.equals(sent)];
    """) == [200, True]


def test_a_stream(run):
    assert run('return (await ask("/stream")).body.length;') == 256 * len(PIECE)


def test_a_stranger_is_not_trusted(run_node, serve, tmp_path):
    server = serve(**Authority(tmp_path).settings)
    with pytest.raises(AssertionError, match="UNABLE_TO_VERIFY_LEAF_SIGNATURE"):
        run_node(ASK + 'return await ask("/");', url=f"https://localhost:{server.port}")


def test_tls_1_2_is_refused(run):
    with pytest.raises(AssertionError, match="protocol version"):
        run('return await ask("/", {maxVersion: "TLSv1.2"});')


def test_a_certificate_of_ones_own(serve, run_node, authority):
    mine = authority.ca.issue_cert("client.test")
    server = serve(ssl_ca=authority.file, ssl_client_verify="required")
    given = {
        "url": f"https://localhost:{server.port}",
        "cert": mine.cert_chain_pems[0].bytes().decode(),
        "key": mine.private_key_pem.bytes().decode(),
    }
    script = ASK + 'return (await ask("/", {cert: given.cert, key: given.key})).status;'
    assert run_node(script, **given) == 200
    with pytest.raises(AssertionError, match="certificate required"):
        run_node(ASK + 'return (await ask("/")).status;', url=given["url"])


def test_fetch(run):
    assert run("""
        const sent = require("crypto").randomBytes(1 << 20);
        const answers = await Promise.all([...Array(20).keys()].map(
            async (i) => fetch(`${given.url}/echo`, {method: "POST", body: sent})));
        const bodies = await Promise.all(answers.map((answer) => answer.arrayBuffer()));
        return bodies.every((body) => Buffer.from(body).equals(sent));
    """)


def test_fetch_sends_a_stream(run):
    told = run("""
        const body = new ReadableStream({start(controller) {
            for (let i = 0; i < 64; i++) controller.enqueue(new Uint8Array(16384));
            controller.close();
        }});
        return await (await fetch(given.url, {method: "PUT", body, duplex: "half"})).json();
    """)
    assert (told["method"], told["body"]) == ("PUT", 64 * 16384)
    assert told["headers"]["transfer-encoding"] == "chunked"


def test_fetch_follows_from_plain_http(run_node, server):
    """With method and body, as 308 says."""
    plain = f"http://localhost:{server.config.ssl_redirect_port}/a%2Fb?c"
    told = run_node(
        """
        const answer = await fetch(given.url, {method: "POST", body: "hello"});
        return {url: answer.url, redirected: answer.redirected, ...await answer.json()};
        """,
        url=plain,
    )
    assert told["redirected"]
    assert told["url"] == f"https://localhost:{server.port}/a%2Fb?c"
    assert (told["method"], told["body"]) == ("POST", 5)


@pytest.mark.parametrize("version", ["HTTP/2"])
def test_a_websocket_over_http_2(run):
    """Its module http2 asks for one; the frames are made here, with a mask of zeros."""
    status, offered, answer, closed = run("""
        const session = require("http2").connect(given.url);
        const {enableConnectProtocol} = await new Promise(
            (resolve) => session.once("remoteSettings", resolve));
        const stream = session.request({
            ":method": "CONNECT", ":protocol": "websocket", ":path": "/socket",
            "sec-websocket-version": "13", "sec-websocket-protocol": "chat",
        });
        const status = await new Promise((resolve) => stream.once(
            "response", (fields) => resolve(fields[":status"])));
        const pieces = [];
        stream.on("data", (piece) => pieces.push(piece));
        const echoed = new Promise((resolve) => stream.once("data", resolve));
        const ended = new Promise((resolve) => stream.once("end", resolve));
        stream.write(Buffer.from([0x81, 0x85, 0, 0, 0, 0, ...Buffer.from("hello")]));
        await echoed;
        stream.write(Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]));
        await ended;
        stream.end();
        await new Promise((resolve) => session.close(resolve));
        const all = Buffer.concat(pieces);
        return [status, enableConnectProtocol, all.subarray(2, 7).toString(), [...all.subarray(7)]];
    """)
    assert (status, offered, answer) == (200, True, "hello")
    assert closed == [0x88, 2, 0x03, 0xE8]
