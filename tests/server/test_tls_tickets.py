"""Session tickets: who resumes a session, with which keys, and who does not."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from granite import testing
from granite._core.tls import Certificate, ClientCheck, Tickets, TlsContext
from granite._core.tls12 import Tls12
from granite.arbiter.tickets import TicketKeys
from granite.testing import TestServer
from tests.patience import PATIENCE
from tests.server.apps import eventually, hello
from tests.server.tls import Authority, Records

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.fixture
def secured(serve, authority):
    """A function that serves over TLS, with these keys."""

    def secured(keys: TicketKeys | None = None, **settings) -> TestServer:
        server = serve(hello, **{**authority.settings, **settings})
        if keys is not None:
            use(server, keys)
        return server

    return secured


def use(server: TestServer, keys: TicketKeys) -> None:
    """Have the server make tickets with these keys; return when it does."""
    loop, serving = server._loop, server._serving
    assert loop is not None
    assert serving is not None
    loop.call_soon_threadsafe(serving.tickets.use, keys.packed())
    server.counters()  # what was asked for before is done


def visit(server: TestServer, context: ssl.SSLContext, session=None, name: str | None = None):
    """Ask once; return the session, and whether it is the one that was given."""
    client = Records(server.host, server.port, context, session, name)
    with client.sock:
        client.handshake()
        client.send(client.seal(REQUEST))
        assert client.read(b"hello").startswith(b"HTTP/1.1 200 OK\r\n")
    return client.tls.session, client.tls.session_reused


def test_a_session_is_resumed_again_and_again(secured, trusting):
    server = secured()
    session, resumed = visit(server, trusting)
    assert not resumed
    for _ in range(3):
        assert session.has_ticket
        assert session.ticket_lifetime_hint == 7200
        session, resumed = visit(server, trusting, session)
        assert resumed


def test_without_a_lifetime_there_are_no_tickets(secured, trusting):
    server = secured(ssl_ticket_lifetime=0)
    session, _ = visit(server, trusting)
    assert not session.has_ticket
    assert not visit(server, trusting, session)[1]


def test_whoever_has_the_keys_resumes(secured, trusting):
    keys = TicketKeys()
    session, _ = visit(secured(keys), trusting)
    assert visit(secured(keys), trusting, session)[1]
    assert not visit(secured(), trusting, session)[1]


def test_a_key_is_good_before_and_after_its_time(secured, trusting):
    keys = TicketKeys()
    late = secured(keys)
    keys.rotate()
    early = secured(keys)
    session, _ = visit(early, trusting)
    assert visit(late, trusting, session)[1]
    session, _ = visit(late, trusting)
    assert visit(early, trusting, session)[1]
    keys.rotate()
    use(early, keys)
    assert not visit(early, trusting, session)[1]


def test_the_age_is_the_servers_to_judge(secured, trusting):
    keys = TicketKeys()
    session, _ = visit(secured(keys), trusting)
    made = time.time()
    strict = secured(keys, ssl_ticket_lifetime=1)
    eventually(lambda: time.time() > made + 1.1)
    use(strict, keys)  # again: by now it has others
    assert not visit(strict, trusting, session)[1]


def test_another_certificate_is_shown_and_not_taken_for_granted(secured, trusting, tmp_path):
    keys = TicketKeys()
    session, _ = visit(secured(keys), trusting)
    other = Authority(tmp_path)
    server = secured(keys, **other.settings)
    with pytest.raises(ssl.SSLCertVerificationError):
        visit(server, trusting, session)
    other.ca.configure_trust(trusting)
    assert not visit(server, trusting, session)[1]


@pytest.fixture
def issue(authority):
    """A function that makes a certificate for names."""

    def issue(*names: str) -> Certificate:
        issued = authority.ca.issue_cert(*names)
        chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
        return Certificate(chain, issued.private_key_pem.bytes())

    return issue


@pytest.fixture
def showing(secured, monkeypatch, tls_version):
    """A function that serves with a context, and one that renews it where it is used."""

    def showing(*certificates: Certificate):
        older = Tls12() if tls_version == "1.2" else None
        context = TlsContext(list(certificates), older=older)
        monkeypatch.setattr(testing, "load_context", lambda config: context)
        server = secured()

        def renew(*arguments) -> None:
            server._loop.call_soon_threadsafe(context.renew, *arguments)
            server.counters()  # it is done

        return server, renew

    return showing


def test_a_certificate_that_is_exchanged_takes_its_tickets_along(showing, issue, trusting):
    one, other = issue("127.0.0.1"), issue("127.0.0.1")
    server, renew = showing(one)
    session, _ = visit(server, trusting)
    renew([other])
    assert not visit(server, trusting, session)[1]
    renew([other, one])
    assert not visit(server, trusting, session)[1]
    fresh, _ = visit(server, trusting)
    assert visit(server, trusting, fresh)[1]
    renew([one])
    assert visit(server, trusting, session)[1]


def test_a_ticket_is_for_the_certificate_that_was_shown(showing, issue, trusting):
    server, _ = showing(issue("one.test"), issue("two.test"))
    session, _ = visit(server, trusting, name="one.test")
    assert visit(server, trusting, session, "one.test")[1]
    assert not visit(server, trusting, session, "two.test")[1]


def test_a_ticket_skips_no_check_of_the_clients_certificate(showing, issue, trusting, authority):
    certificate = issue("127.0.0.1")
    server, renew = showing(certificate)
    session, _ = visit(server, trusting)
    renew([certificate], ClientCheck(authority.ca.cert_pem.bytes(), 4, True))
    with pytest.raises(ssl.SSLError, match=r"CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE"):
        visit(server, trusting, session)
    authority.ca.issue_cert("client.test").configure_cert(trusting)
    shown, resumed = visit(server, trusting, session)
    assert not resumed
    assert not shown.has_ticket
    renew([certificate])
    assert visit(server, trusting, session)[1]


def test_keys_have_a_size(authority):
    keys = TicketKeys().packed()
    for wrong in (b"", keys[:-1], keys + b"x"):
        with pytest.raises(ValueError, match="bytes of keys"):
            Tickets(wrong, 60)
    context = TlsContext([Certificate(authority.chain.read_bytes(), authority.key.read_bytes())])
    tickets = Tickets(keys, 60)
    context.use_tickets(tickets)
    context.use_tickets(Tickets(keys, 30))
    with pytest.raises(ValueError, match="bytes of keys"):
        tickets.use_keys(b"short")
    assert tickets.lifetime == 60


# openssl, whose sessions are files that can be changed


@pytest.fixture
def ask(tmp_path):
    """A function that asks with `openssl s_client`, and returns what that prints."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl")

    def ask(server: TestServer, *arguments: str | Path) -> str:
        done = subprocess.run(
            [
                openssl,
                "s_client",
                "-connect",
                f"{server.host}:{server.port}",
                "-ign_eof",
                *arguments,
            ],
            input=REQUEST,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        output = done.stdout.decode()
        assert "hello" in output, done
        return output

    return ask


def test_openssl_resumes_with_a_key_exchange_and_without_early_data(secured, ask, tmp_path):
    server = secured()
    saved, early = tmp_path / "session", tmp_path / "early"
    early.write_bytes(REQUEST)
    first = ask(server, "-sess_out", saved)
    assert "New, TLSv1.3" in first
    assert "Max Early Data: 0" in first
    again = ask(server, "-sess_in", saved, "-allow_no_dhe_kex")
    assert "Reused, TLSv1.3" in again
    assert "Server Temp Key: X25519" in again


@pytest.mark.parametrize("at", [0, 15, 16, 31, 32, 60, -1])
def test_a_ticket_that_was_tampered_with_is_none(secured, ask, tmp_path, at):
    keys = TicketKeys()
    server = secured(keys)
    saved = tmp_path / "session"
    ask(server, "-sess_out", saved)
    der = bytearray(ssl.PEM_cert_to_DER_cert(_as_certificate(saved.read_text())))
    start = der.index(keys.packed()[:16])
    size = (
        int.from_bytes(der[start - 2 : start], "big") if der[start - 3] == 0x82 else der[start - 1]
    )
    der[start + at % size] ^= 1
    saved.write_text(_as_session(ssl.DER_cert_to_PEM_cert(bytes(der))))
    assert "New, TLSv1.3" in ask(server, "-sess_in", saved)


def _as_certificate(pem: str) -> str:
    return pem.replace("SSL SESSION PARAMETERS", "CERTIFICATE")


def _as_session(pem: str) -> str:
    return pem.replace("CERTIFICATE", "SSL SESSION PARAMETERS")
