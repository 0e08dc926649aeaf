"""A framework of RSGI as it is. It brings another server along, so it is not among the tests'
requirements: whoever has it installed runs this.
"""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

emmett = pytest.importorskip("emmett55")


@pytest.fixture
def server(serve):
    app = emmett.App(__name__)

    @app.route("/")
    async def hello():
        return f"hello {emmett.request.query_params.name}"

    @app.route("/echo", methods="post")
    async def echo():
        return str(dict(await emmett.request.body_params))

    @app.route("/file")
    async def file():
        return emmett.response.wrap_file(__file__)

    return serve(app)


def test_hello(server):
    assert httpx.get(server.url("/?name=you")).text == "hello you"


def test_body(server):
    assert httpx.post(server.url("/echo"), json={"a": 1}).text == "{'a': 1}"


def test_file(server):
    assert httpx.get(server.url("/file")).content == Path(__file__).read_bytes()


def test_no_route(server):
    assert httpx.get(server.url("/none")).status_code == 404
