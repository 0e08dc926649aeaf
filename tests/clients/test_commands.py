"""curl, and OpenSSL's client, as people use them."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from granite._core.tls import cipher_suites
from tests.granite_process import plain_environ
from tests.patience import PATIENCE

pytestmark = pytest.mark.c_alone


@pytest.fixture
def curl(authority):
    """Run curl; return what it prints. It trusts the servers' authority."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")

    def curl(*arguments: str, status: int = 0) -> str:
        command = ["curl", "-sS", "--cacert", str(authority.file), *arguments]
        done = subprocess.run(
            command, env=plain_environ(), capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.returncode == status, done.stderr
        return done.stdout if status == 0 else done.stderr

    return curl


@pytest.fixture
def s_client(authority, server):
    """Run `openssl s_client`; return what it prints. An end of its input ends it."""
    if shutil.which("openssl") is None:
        pytest.skip("OpenSSL is not installed")

    def s_client(*arguments: str, request: str = "") -> str:
        command = ["openssl", "s_client", "-connect", f"localhost:{server.port}"]
        command += ["-CAfile", str(authority.file), "-verify_return_error", *arguments]
        done = subprocess.run(
            command,
            env=plain_environ(),
            input=request,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        return done.stdout + done.stderr

    return s_client


def test_curl(server, curl, version):
    told = curl("-w", "\n%{http_version} %{scheme} %{ssl_verify_result}", server.url("/a?b"))
    body, _, agreed = told.rpartition("\n")
    assert json.loads(body)["target"] == "/a?b"
    assert agreed.split()[::2] == [version.partition("/")[2], "0"]


def test_curl_keeps_its_connection(server, curl):
    urls = [server.url(f"/{i}") for i in range(5)]
    said = curl("-w", "\n%{num_connects}\n", *urls).splitlines()[1::2]
    assert said == ["1", "0", "0", "0", "0"]


def test_curl_sends_and_gets(server, curl, tmp_path):
    sent, got = tmp_path / "sent", tmp_path / "got"
    sent.write_bytes(bytes(range(256)) * 16384)
    curl("--data-binary", f"@{sent}", "-o", str(got), server.url("/echo"))
    assert got.read_bytes() == sent.read_bytes()


def test_curl_follows_from_plain_http(server, curl):
    plain = f"http://localhost:{server.config.ssl_redirect_port}/a%2Fb?c"
    told = json.loads(curl("-L", "--data", "hello", plain))
    assert (told["method"], told["target"]) == ("POST", "/a%2Fb?c")
    assert (told["scheme"], told["body"]) == ("https", 5)


def test_curl_with_tls_1_2_alone(server, curl):
    assert "protocol version" in curl("--tls-max", "1.2", server.url(), status=35)


def test_openssl(s_client):
    said = s_client("-alpn", "http/1.1")
    assert "Verify return code: 0 (ok)" in said
    assert f"TLSv1.3, Cipher is {cipher_suites()[0]}" in said
    assert "ALPN protocol: http/1.1" in said


@pytest.mark.parametrize("suite", ["TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"])
@pytest.mark.parametrize("group", ["X25519", "P-256", "P-384"])
def test_openssl_with_what_else_there_is(s_client, suite, group):
    said = s_client("-ciphersuites", suite, "-groups", group)
    assert f"TLSv1.3, Cipher is {suite}" in said
    assert "Verify return code: 0 (ok)" in said


def test_openssl_resumes(s_client, tmp_path):
    session = str(tmp_path / "session")
    request = "GET / HTTP/1.1\nHost: a\nConnection: close\n\n"
    assert "New, TLSv1.3" in s_client("-sess_out", session, "-crlf", "-ign_eof", request=request)
    assert "Reused, TLSv1.3" in s_client("-sess_in", session)
