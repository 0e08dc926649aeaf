"""What every framework has to do, whatever the interface by which it is served."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from urllib.parse import urlencode

import pytest

from tests.frameworks import common
from tests.frameworks.sites import FILE_SIZE, Site
from tests.server.over_http2 import OverHttp2
from tests.server.raw import Client
from tests.server.websocket.client import WebSocket


class Contract:
    """The tests, which a class for each application inherits; it says what its framework does in
    another way.
    """

    wrong_method = 405
    length_of_head = True  # whether a response to HEAD says how long one to GET is
    knows_root = True  # whether it is told where it is mounted
    cancels_streams = (
        False  # whether what streams is ended when its client leaves, or when it sends
    )

    def test_interface(self, site: Site):
        site.process.wait_for(rf"the application is served by {site.served.interface}\b")

    def test_route_and_query(self, site: Site):
        response = site.client.get("/greet/w%C3%B6rld%20%26%20all?times=2&x=%26times%3D3")
        assert response.status_code == 200
        assert response.headers["content-type"].startswith(("text/plain", "text/html"))
        assert response.text == "hello wörld & all\n" * 2

    def test_path_with_the_prefix(self, site: Site):
        """Whether a proxy takes the prefix away or not."""
        assert site.client.get(f"{site.served.prefix}/greet/you").text == "hello you\n"

    def test_no_route(self, site: Site):
        assert site.client.get("/none").status_code == 404

    def test_wrong_method(self, site: Site):
        assert site.client.get("/json").status_code == self.wrong_method

    def test_json(self, site: Site):
        sent = {"text": "wörld \u2028", "numbers": [1, 2.5, None], "nested": {"true": True}}
        response = site.client.post("/json", json=sent)
        assert response.headers["content-type"].startswith("application/json")
        assert response.json() == {"got": sent}

    def test_upload(self, site: Site):
        content = bytes(range(256)) * 1200
        response = site.client.post(
            "/upload",
            data={"note": "wörld"},
            files={"file": ("data.bin", content, "application/x-data")},
        )
        assert response.json() | {"kept": None} == {
            "note": "wörld",
            "name": "data.bin",
            "type": "application/x-data",
            "digest": common.digest(content),
            "kept": None,
        }

    def test_upload_that_its_client_leaves(self, site: Site):
        class Leaving(Exception):  # noqa: N818
            pass

        def body():
            yield bytes(1 << 20)
            raise Leaving

        fields = {"Content-Type": "application/json", "Content-Length": str(2 << 20)}
        with pytest.raises(Leaving):
            site.client.post("/json", content=body(), headers=fields)
        assert site.client.get("/greet/you").status_code == 200

    def test_stream(self, site: Site):
        gate = site.gate()
        with site.client.stream("GET", "/stream", params={"gate": str(gate)}) as response:
            assert "content-length" not in response.headers
            content = response.iter_raw()
            got = next(content)
            assert got == common.FIRST  # while the application waits
            gate.touch()
            got += b"".join(content)
        assert got == common.FIRST + b"".join(map(common.piece, range(common.PIECES)))

    def test_stream_that_its_client_leaves(self, site: Site):
        gate = site.gate()
        with site.client.stream("GET", "/stream", params={"gate": str(gate)}) as response:
            assert next(response.iter_raw()) == common.FIRST
        if not self.cancels_streams:
            gate.touch()
        site.process.wait_for(re.escape(f"the stream has ended: {gate}"))
        assert site.client.get("/greet/you").status_code == 200

    def test_download(self, site: Site):
        response = site.client.get("/download")
        assert response.headers["content-length"] == str(FILE_SIZE)
        assert response.content == site.file.read_bytes()

    def test_sessions(self, site: Site):
        with site.visitor() as one, site.visitor() as other:
            counts = [visitor.get("/visits").json() for visitor in (one, one, other, one, other)]
        assert counts == [1, 2, 1, 3, 2]

    def test_error_handler(self, site: Site):
        response = site.client.get("/teapot")
        assert (response.status_code, response.json()) == (418, {"error": "teapot"})

    def test_failure(self, site: Site):
        mark = site.gate().name
        assert site.client.get("/fail", params={"mark": mark}).status_code == 500
        traceback = (
            rf"Traceback .*\n(?:.*\n)*?.*raise common.UnhandledError.*\n.*UnhandledError: {mark}\n"
        )
        site.process.wait_for(traceback)
        assert site.client.get("/greet/you").status_code == 200

    def test_head(self, site: Site):
        get = site.client.get("/greet/you")
        for _ in range(2):  # the connection goes on behind it
            head = site.client.head("/greet/you")
            assert (head.status_code, head.content) == (200, b"")
            if self.length_of_head:
                assert head.headers["content-length"] == get.headers["content-length"]

    def test_redirect(self, site: Site):
        response = site.client.get("/moved")
        assert response.status_code in (302, 303, 307)
        target = response.url.join(response.headers["location"])
        assert str(target) == site.url("/greet/moved")
        assert site.client.get(target).text == "hello moved\n"

    def test_what_the_application_sees(self, site: Site):
        assert site.client.get("/seen", params={"a": "b"}).json() == {
            "client": "127.0.0.1",
            "scheme": "http",
            "host": f"127.0.0.1:{site.process.port}",
            "url": site.url("/seen?a=b"),
            "greet": site.url("/greet/you"),
        }

    def test_what_it_sees_behind_a_proxy(self, site: Site):
        fields = {
            "X-Forwarded-For": "203.0.113.9",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "shop.example",
            "X-Forwarded-Prefix": "/outer",
        }
        mounted = "https://shop.example"
        if self.knows_root:
            mounted += f"/outer{site.served.prefix}"
        assert site.client.get("/seen", headers=fields).json() == {
            "client": "203.0.113.9",
            "scheme": "https",
            "host": "shop.example",
            "url": f"{mounted}/seen",
            "greet": f"{mounted}/greet/you",
        }

    def test_requests_at_once(self, site: Site):
        def ask(number: int) -> bool:
            response = site.client.get(f"/greet/{number}?{urlencode({'times': number})}")
            return response.text == f"hello {number}\n" * number

        with ThreadPoolExecutor(8) as clients:
            assert all(clients.map(ask, range(1, 41)))


class Ranges:
    """Frameworks whose downloads may be had in part."""

    def test_range(self, site: Site):
        response = site.client.get("/download", headers={"Range": "bytes=1000-200999"})
        assert response.status_code == 206
        assert response.headers["content-range"] == f"bytes 1000-200999/{FILE_SIZE}"
        assert response.content == site.file.read_bytes()[1000:201000]


class Background:
    """Frameworks that can go on when the response has been sent."""

    def test_background(self, site: Site):
        gate = site.gate()
        response = site.client.post("/later", params={"gate": str(gate)})
        assert (response.status_code, response.text.strip('"')) == (200, "later")
        gate.touch()
        site.process.wait_for(re.escape(f"worked: {gate}"))


class Chunked:
    """Frameworks that take a body whose length nobody knows before."""

    def test_chunked_body(self, site: Site):
        pieces = iter([b'{"a', b'": ', b"[1, 2", b"]}"])
        fields = {"Content-Type": "application/json"}
        response = site.client.post("/json", content=pieces, headers=fields)
        assert response.json() == {"got": {"a": [1, 2]}}


class Beside:
    """Frameworks that are served so that they can do several things at once."""

    def test_requests_beside_streams(self, site: Site):
        gates = [site.gate() for _ in range(3)]
        with ExitStack() as stack:
            streams = [
                stack.enter_context(
                    site.client.stream("GET", "/stream", params={"gate": str(gate)})
                )
                for gate in gates
            ]
            contents = [stream.iter_raw() for stream in streams]
            for content in contents:
                assert next(content) == common.FIRST
            assert site.client.get("/greet/you").text == "hello you\n"
            for gate in gates:
                gate.touch()
            sizes = {sum(map(len, content)) for content in contents}
        assert sizes == {common.PIECES * len(common.piece(0))}


class Large:
    """Frameworks that put what is large into a file."""

    def test_large_upload(self, site: Site):
        block = os.urandom(1 << 20)
        expected = hashlib.sha256()

        def body():
            yield head
            for _ in range(50):
                expected.update(block)
                yield block
            yield tail

        head = (
            b'--limit\r\nContent-Disposition: form-data; name="note"\r\n\r\nlarge\r\n'
            b'--limit\r\nContent-Disposition: form-data; name="file"; filename="l"\r\n'
            b"Content-Type: application/x-data\r\n\r\n"
        )
        tail = b"\r\n--limit--\r\n"
        fields = {
            "Content-Type": "multipart/form-data; boundary=limit",
            "Content-Length": str(len(head) + 50 * len(block) + len(tail)),
        }
        told = site.client.post("/upload", content=body(), headers=fields).json()
        assert (told["note"], told["kept"]) == ("large", "file")
        assert told["digest"] == expected.hexdigest()


class Sockets:
    """Frameworks that have WebSockets."""

    failure = 1011  # with which a WebSocket is closed whose application has failed

    @pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
    def test_messages(self, site: Site, version: str):
        opened = self.opened if version == "HTTP/1.1" else self.opened_over_http2
        with opened(site, "/socket/you", "sec-websocket-protocol: other, chat") as websocket:
            assert websocket.answer.get("sec-websocket-protocol") == "chat"
            assert websocket.message() == "hello you"
            for message in ("wörld", b"\0\xff", "", "x" * 100_000, b"y" * 100_000):
                websocket.say(message)
                assert websocket.message() == message
            assert websocket.close(1000) == (1000, "")
        site.process.wait_for("the socket has ended: 1000")

    def test_closed_by_the_application(self, site: Site):
        with self.opened(site, "/socket/you") as websocket:
            assert websocket.message() == "hello you"
            websocket.say("close")
            assert websocket.answer_close() == (4001, "as you wish")

    def test_failed(self, site: Site):
        with self.opened(site, "/socket/you") as websocket:
            websocket.message()
            websocket.say("fail")
            assert websocket.answer_close()[0] == self.failure

    def test_refused(self, site: Site):
        with self.opened(site, "/socket/nobody") as websocket:
            assert websocket.answer.status == 403

    @contextmanager
    def opened(self, site: Site, path: str, *fields: str) -> Iterator[WebSocket]:
        client = Client("127.0.0.1", site.process.port)
        try:
            yield WebSocket(client, path, *fields)
        finally:
            client.close()

    @contextmanager
    def opened_over_http2(self, site: Site, path: str, *fields: str) -> Iterator[WebSocket]:
        client = OverHttp2("127.0.0.1", site.process.port)
        try:
            yield client.websocket(path, *fields)
        finally:
            client.close()
