"""`granite certs dev`: what it writes, what it says, and what it does not overwrite."""

from __future__ import annotations

import datetime
import ssl
import stat
import sys
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from granite.cli import main
from granite.testing import TestServer
from tests.server.apps import hello


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "certs"


def test_it_can_be_served_with_and_trusted(folder, capsys):
    assert main(["certs", "dev"]) == 0
    said = capsys.readouterr().out
    assert "--ssl-certificate certs/cert.pem --ssl-keyfile certs/key.pem" in said
    assert "curl --cacert certs/ca.pem" in said
    assert sorted(path.name for path in folder.iterdir()) == ["ca.pem", "cert.pem", "key.pem"]
    assert stat.S_IMODE((folder / "key.pem").stat().st_mode) == 0o600
    settings = {"ssl_certificate": folder / "cert.pem", "ssl_keyfile": folder / "key.pem"}
    with TestServer(hello, lifespan="off", **settings) as server:
        context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        assert httpx.get(server.url("/"), verify=context).text == "hello"
        url = f"https://localhost:{server.port}/"
        assert httpx.get(url, verify=context).text == "hello"


def test_its_names_and_its_lifetime(folder, capsys):
    assert main(["certs", "dev", "app.test", "*.app.test", "192.0.2.1"]) == 0
    assert "a certificate for app.test, *.app.test, 192.0.2.1, until 2" in capsys.readouterr().out
    made = x509.load_pem_x509_certificate((folder / "cert.pem").read_bytes())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["app.test", "*.app.test"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.1"]
    until = made.not_valid_after_utc
    left = until - datetime.datetime.now(datetime.timezone.utc)
    assert datetime.timedelta(days=396) < left <= datetime.timedelta(days=397)


def test_nothing_is_overwritten(folder, capsys):
    folder.mkdir()
    (folder / "key.pem").write_text("mine")
    assert main(["certs", "dev"]) == 1
    expected = "granite: certs: there is certs/key.pem already; remove it to have a new one\n"
    assert capsys.readouterr().err == expected
    assert [path.read_text() for path in folder.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "certs: expected dev, got nothing"),
        (["prod"], "certs: expected dev, got 'prod'"),
        (["dev", "--days"], "certs: expected names and addresses, got '--days'"),
    ],
)
def test_wrong_arguments(arguments, message, capsys):
    assert main(["certs", *arguments]) == 2
    assert capsys.readouterr().err == f"granite: {message}\n"


def test_without_trustme(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "trustme", None)
    assert main(["certs", "dev"]) == 1
    assert "install granite[tls]" in capsys.readouterr().err
