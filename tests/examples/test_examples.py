"""Every example answers real requests: in a test server, and through the command."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import httpx
import pytest

from tests.patience import PATIENCE

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(params=["test server", "granite run"])
def client(request, granite_server, run_granite):
    """A function that serves a target and returns a client of it."""
    clients = []

    def serve(target: str) -> httpx.Client:
        if request.param == "granite run":
            url = run_granite(target, cwd=ROOT).url("")
        else:
            url = granite_server(target, lifespan="auto").url("").rstrip("/")
        clients.append(httpx.Client(base_url=url, timeout=60))
        return clients[-1]

    yield serve
    for made in clients:
        made.close()


def test_hello(client):
    response = client("examples.hello:app").get("/")
    assert response.status_code == 200
    assert response.text == "Hello, world!\n"
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


def test_fastapi(client):
    pytest.importorskip("fastapi")
    shop = client("examples.fastapi_app:app")
    assert shop.post("/items", json={"name": "tea"}).status_code == 422
    names = ["tea", "cups", "a pot"]
    for number, name in enumerate(names, 1):
        created = shop.post("/items", json={"name": name, "price": number / 2})
        assert created.status_code == 201
        assert created.json() == {"id": number, "name": name, "price": number / 2}
    assert shop.get("/items/2").json()["name"] == "cups"
    assert shop.get("/items/9").status_code == 404
    with shop.stream("GET", "/export") as response:
        assert response.headers["transfer-encoding"] == "chunked"
        assert len(list(response.iter_lines())) == len(names)
    # Background tasks run in threads, after their responses: in any order, and perhaps not yet.
    expected = sorted(f"created {name}" for name in names)
    deadline = time.monotonic() + PATIENCE
    while (journal := sorted(shop.get("/journal").json())) != expected:
        assert time.monotonic() < deadline, journal


def test_starlette(client):
    pytest.importorskip("starlette")
    site = client("examples.starlette_app:app")
    assert site.get("/").text == "Hello from Starlette!\n"
    assert 0 <= site.get("/uptime").json()["seconds"] < 60
    body = bytes(range(256)) * 4096
    assert site.post("/digest", content=body).text == hashlib.sha256(body).hexdigest() + "\n"
    chunks = (body[start : start + 1000] for start in range(0, len(body), 1000))
    assert site.post("/digest", content=chunks).text == hashlib.sha256(body).hexdigest() + "\n"
    assert site.get("/countdown/3").text == "3\n2\n1\n"
