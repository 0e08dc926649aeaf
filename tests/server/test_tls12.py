"""TLS 1.2, by the settings: who gets it, with which ciphers and certificates, and its sessions.

What it has in common with TLS 1.3 is tested with that, for both.
"""

from __future__ import annotations

import asyncio
import ctypes
import queue
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from granite.arbiter.tickets import TicketKeys
from tests.patience import PATIENCE
from tests.server.apps import answer, eventually, hello
from tests.server.inside import wait_for
from tests.server.test_tls_tickets import use, visit
from tests.server.tls import DATA, Records
from tests.server.tls12 import Forger12, first_flight

SUITES = [
    f"ECDHE-{key}-{cipher}"
    for key in ("ECDSA", "RSA")
    for cipher in ("AES256-GCM-SHA384", "AES128-GCM-SHA256", "CHACHA20-POLY1305")
]
GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.fixture(autouse=True)
def tls_version() -> str:
    return "1.2"


@pytest.fixture
def both(serve, authority, tmp_path):
    """A function that serves an application with an ECDSA and an RSA certificate for its address;
    the settings of these are taken, too.
    """
    files = [tmp_path / "ecdsa", tmp_path / "rsa"]
    for path, kind in zip(files, (trustme.KeyType.ECDSA, trustme.KeyType.RSA), strict=True):
        issued = authority.ca.issue_cert("127.0.0.1", "localhost", key_type=kind)
        issued.private_key_and_cert_chain_pem.write_to_path(path)
    return lambda app=hello, **settings: serve(app, ssl_certificate=files, **settings)


@pytest.fixture
def s_client():
    """A function that asks with `openssl s_client`, and returns what that prints."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl")

    def s_client(server, *arguments: object, version: str = "1_2", data: bytes = GET) -> str:
        done = subprocess.run(
            [
                *(openssl, "s_client", "-connect", f"{server.host}:{server.port}", "-ign_eof"),
                *(f"-tls{version}", *map(str, arguments)),
            ],
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE,
            check=False,
        )
        return done.stdout.decode()

    return s_client


# versions


def test_whoever_knows_tls_1_3_gets_it(both, authority):
    server = both()
    client = Records(server.host, server.port, authority.of("1.3").trusting())
    with client.sock:
        client.handshake()
        assert client.tls.version() == "TLSv1.3"
        client.send(client.seal(GET))
        assert client.read(b"hello")


def test_a_cut_offer_can_be_told_from_the_servers_random(both, trusting):
    """RFC 8446, 4.1.3."""
    server = both()
    client = Records(server.host, server.port, trusting)
    with client.sock:
        data = first_flight(client)
        assert data[:1] + data[5:6] == b"\x16\x02"
        assert data[11:43].endswith(b"DOWNGRD\x01")
        client.handshake()
        assert client.tls.version() == "TLSv1.2"


@pytest.mark.parametrize("version", ["1", "1_1"])
def test_older_versions_are_refused(both, s_client, log, version):
    server = both()
    printed = s_client(server, "-cipher", "ALL:@SECLEVEL=0", version=version)
    assert "alert number 70" in printed
    numbers = wait_for(server, connections_active=0)
    assert numbers["tls_handshakes_failed_protocol_version"] == 1
    assert any("TLS: alert 70 (protocol version)" in line for line in log.messages)


def test_a_client_that_has_fallen_back_is_refused(both, s_client):
    """RFC 7507: it knows TLS 1.3, and something on the way does not."""
    assert "alert number 86" in s_client(both(), "-fallback_scsv")


def test_what_is_agreed_on_with_openssl(both, s_client):
    printed = s_client(both())
    assert "New, TLSv1.2, Cipher is ECDHE-ECDSA-AES128-GCM-SHA256" in printed
    assert "Secure Renegotiation IS supported" in printed
    assert "Compression: NONE" in printed
    assert "Extended master secret: yes" in printed
    assert "Server Temp Key: X25519" in printed
    assert printed.count("hello") == 1


def test_curl(both, authority):
    server = both()
    done = subprocess.run(
        ["curl", "-sS", "--tls-max", "1.2", "--cacert", authority.file, server.url("/")],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={"PATH": "/usr/bin:/bin"},  # no preloaded sanitizer: curl hangs with it
    )
    assert (done.stdout, done.stderr) == ("hello", "")


def test_openssl_asks_for_another_handshake(both, s_client):
    server = both()
    assert "no renegotiation" in s_client(server, "-no_ign_eof", data=b"R\n")
    wait_for(server, connections_active=0)
    assert s_client(server).count("hello") == 1


# ciphers


@pytest.mark.parametrize("suite", SUITES)
def test_an_independent_client_reads_every_record(both, authority, suite):
    text = bytes(range(97, 123)) * 4000

    async def app(scope, receive, send):
        await answer(send, text)

    server = both(app)
    client = Forger12(server.host, server.port, authority, suite)
    with client.sock:
        assert client.suite == suite
        data = client.ask()
        while not data.endswith(b"\r\n\r\n" + text):
            kind, more = client.open()
            assert kind == DATA
            data += more


@pytest.mark.parametrize(
    "suite",
    [
        *("ECDHE-ECDSA-AES128-SHA256", "ECDHE-RSA-AES256-SHA384", "ECDHE-ECDSA-AES128-SHA"),
        *("AES128-GCM-SHA256", "DHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-CCM"),
    ],
)
def test_other_ciphers_are_refused(both, s_client, log, suite):
    assert "alert number 40" in s_client(both(), "-cipher", suite)
    why = "TLS: alert 40 (handshake failure): no shared cipher"
    eventually(lambda: any(why in line for line in log.messages))


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ("ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
        ("ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-RSA-AES128-GCM-SHA256"),
        ("ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305"),
    ],
)
def test_the_server_prefers_and_chacha20_is_for_those_who_do(both, s_client, wanted, chosen):
    assert f"Cipher is {chosen}" in s_client(both(), "-cipher", wanted)


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ((), "ECDSA"),
        (("-cipher", "ECDHE+aRSA"), "RSA"),  # whatever its signature algorithms
        (("-sigalgs", "RSA+SHA256"), "RSA"),  # PKCS #1, which TLS 1.3 has not
        (("-sigalgs", "rsa_pss_rsae_sha256"), "RSA"),
        (("-groups", "X25519:P-384"), "RSA"),  # the key's curve is P-256
        (("-groups", "P-256"), "ECDSA"),
    ],
)
def test_the_certificate_is_one_that_the_client_can_use(both, s_client, arguments, key):
    assert f"Cipher is ECDHE-{key}" in s_client(both(), *arguments)


def test_what_others_leave_on_the_error_queue_of_openssl(serve, authority, trusting):
    """It belongs to the thread, and libssl's own errors are looked for there."""
    with Path("/proc/self/maps").open() as maps:
        path = next(line.split()[-1] for line in maps if "libcrypto.so" in line)
    crypto = ctypes.CDLL(path)
    left: queue.SimpleQueue[int] = queue.SimpleQueue()

    def leave() -> None:
        crypto.ERR_new()
        crypto.ERR_set_error(20, 100, None)
        left.put(crypto.ERR_peek_error())

    async def app(scope, receive, send):
        await answer(send, b"hello")
        asyncio.get_running_loop().call_later(0.01, leave)  # when the answer has left

    server = serve(app, **authority.settings)
    client = Records(server.host, server.port, trusting)
    with client.sock:
        client.handshake()
        for _ in range(2):
            client.send(client.seal(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
            assert client.read(b"hello")
            assert left.get(timeout=PATIENCE)
        assert visit(server, authority.trusting())  # another handshake


# sessions


def test_openssl_resumes_with_a_ticket(both, s_client, tmp_path):
    server, saved = both(), tmp_path / "session"
    assert "New, TLSv1.2" in s_client(server, "-sess_out", saved)
    for _ in range(2):
        printed = s_client(server, "-sess_in", saved)
        assert "Reused, TLSv1.2" in printed
        assert "hello" in printed


def test_the_server_remembers_no_session(both, s_client, tmp_path):
    server, saved = both(), tmp_path / "session"
    assert "Session-ID: \n" in s_client(server, "-no_ticket", "-sess_out", saved)
    assert not saved.exists()


def test_an_old_keys_ticket_is_replaced(serve, authority, trusting):
    keys = TicketKeys()
    server = serve(hello, **authority.settings)
    use(server, keys)
    old, _ = visit(server, trusting)
    keys.rotate()
    use(server, keys)
    fresh, resumed = visit(server, trusting, old)
    assert resumed
    keys.rotate()
    use(server, keys)
    assert not visit(server, trusting, old)[1]
    assert visit(server, trusting, fresh)[1]


@pytest.mark.parametrize("at", [0, 15, 16, 31, 32, 60, -1])
def test_a_ticket_that_was_tampered_with_is_none(serve, authority, s_client, tmp_path, at):
    keys = TicketKeys()
    server = serve(hello, **authority.settings)
    use(server, keys)
    saved = tmp_path / "session"
    s_client(server, "-sess_out", saved)
    words = "SSL SESSION PARAMETERS", "CERTIFICATE"
    der = bytearray(ssl.PEM_cert_to_DER_cert(saved.read_text().replace(*words)))
    start = der.index(keys.packed()[:16])
    long = der[start - 3] in (0x81, 0x82)
    size = int.from_bytes(der[start - 2 : start], "big") if long else der[start - 1]
    der[start + at % size] ^= 1
    saved.write_text(ssl.DER_cert_to_PEM_cert(bytes(der)).replace(*words[::-1]))
    assert "New, TLSv1.2" in s_client(server, "-sess_in", saved)


def test_libssl_is_loaded_only_where_it_is_wanted(run_granite, authority, tmp_path):
    """By a worker for WSGI, as asyncio imports the module ssl."""
    (tmp_path / "maps.py").write_text(
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [b' %a' % (b'libssl' in open('/proc/self/maps', 'rb').read())]\n"
    )
    for version, loaded in (("1.3", False), ("1.2", True)):
        files = ("--ssl-certificate", str(authority.chain), "--ssl-keyfile", str(authority.key))
        process = run_granite(
            *("maps:app", "--interface", "wsgi", "--ssl-protocol-min", f"tls{version}", *files),
            cwd=tmp_path,
        )
        port = int(process.wait_for(r"listening on https://127.0.0.1:(\d+)").group(1))
        client = Records("127.0.0.1", port, authority.of(version).trusting())
        with client.sock:
            client.handshake()
            client.send(client.seal(GET))
            assert client.read(b" True" if loaded else b" False")


def test_without_the_setting_the_engine_is_not_loaded():
    code = """if True:
        import sys
        from granite._core.tls import TlsContext
        import granite.secure
        assert "granite._core.tls12" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)
