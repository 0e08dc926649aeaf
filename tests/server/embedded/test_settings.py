"""What an embedded server accepts: addresses, TLS, targets; and what it refuses."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import httpx
import pytest
import trustme

from granite import Server
from granite.errors import UsageError
from tests.server.embedded.apps import App, get, on
from tests.server.loops import both_loops


@both_loops
def test_unix_socket(loop, app, tmp_path):
    async def main():
        path = tmp_path / "s"
        async with Server(app, uds=path) as server:
            assert server.urls == [f"unix:{path}"]
            with pytest.raises(RuntimeError, match="no port"):
                server.port  # noqa: B018
            answer = await get(server, transport=httpx.AsyncHTTPTransport(uds=str(path)))
            assert answer.text == "http / unset"
        assert not path.exists()

    on(loop, main())


@both_loops
def test_several_addresses(loop, app, tmp_path):
    async def main():
        path = tmp_path / "s"
        async with Server(app, bind=[f"unix:{path}", "127.0.0.1:0"]) as server:
            assert server.urls == [f"unix:{path}", f"http://127.0.0.1:{server.port}"]
            uds = await get(server, transport=httpx.AsyncHTTPTransport(uds=str(path)))
            assert uds.status_code == 200
            async with httpx.AsyncClient() as client:
                assert (await client.get(server.urls[1])).status_code == 200

    on(loop, main())


@both_loops
def test_tls(loop, app, tmp_path):
    authority = trustme.CA()
    certificate = tmp_path / "certificate.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async def main():
        async with Server(app, port=0, ssl_cert=certificate) as server:
            answer = await get(server, verify=trusting)
            assert answer.text == "https / unset"

    on(loop, main())


def test_target_and_factory(loop, tmp_path, monkeypatch):
    (tmp_path / "embedded_target.py").write_text(
        "from tests.server.embedded.apps import App\nmade = App\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    async def main():
        async with Server("embedded_target:made", factory=True, port=0) as server:
            assert (await get(server)).status_code == 200
        async with Server(App, factory=True, port=0) as server:
            assert (await get(server)).status_code == 200

    on(loop, main())


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"workers": 2}, "workers: cannot be set here, since an embedded server has no processes"),
        ({"user": "nobody"}, "user: cannot be set here"),
        ({"pidfile": "x"}, "pid_file: cannot be set here"),
        ({"log_level": "debug"}, "log_level: cannot be set here, since the logging of the program"),
        ({"loop": "uvloop"}, "loop: cannot be set here, since .* on the loop that is running"),
        ({"reload": True}, "reload: cannot be set here"),
        ({"wokers": 2}, r"unknown setting 'wokers' \(did you mean 'workers'\?\)"),
        ({"port": "x"}, "port: expected an integer from 0 to 65535, got 'x'"),
    ],
)
def test_refused_settings(settings, match):
    with pytest.raises(UsageError, match=match):
        Server(App(), **settings)


def test_defaults_of_refused_settings_and_granians_names_are_accepted():
    server = Server(App(), workers=1, user=None, address="::1", port=0, websockets=True)
    assert server.config.host == "::1"


def test_no_application():
    with pytest.raises(UsageError, match="expected an application or a target"):
        Server(None)


def test_an_inherited_descriptor(loop, app):
    async def main():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            async with Server(app, bind=f"fd://{listener.detach()}") as server:
                assert (await get(server)).status_code == 200

    on(loop, main())


def test_the_package_lists_its_names():
    import granite

    assert {"Granite", "Server", "__version__"} <= set(dir(granite))
    assert granite.Server is Server
    with pytest.raises(AttributeError, match="no attribute 'Sever'"):
        granite.Sever  # noqa: B018  # type: ignore[attr-defined]
    assert Path(granite.__file__).parent.name == "granite"
