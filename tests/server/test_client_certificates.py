"""Certificates of clients: who is let in, what the others get, and what applications are told."""

from __future__ import annotations

import datetime
import itertools
import ssl
import subprocess

import httpx
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from granite.errors import BootError
from granite.secure import load_context
from granite.settings.config import Config
from tests.server.apps import answer, eventually, hello
from tests.server.tls import Records, openssl

NOW = datetime.datetime.now(datetime.timezone.utc)
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Clients:
    """An authority of clients, and their contexts."""

    def __init__(self, trusting, folder) -> None:
        self.ca = trustme.CA(organization_name="Clients")
        self.file = folder / "clients.pem"
        self.ca.cert_pem.write_to_path(self.file)
        self._trusting = trusting
        self._folder = folder

    def context(self, issued: trustme.LeafCert | None = None) -> ssl.SSLContext:
        context = self._trusting()
        if issued is not None:
            issued.configure_cert(context)
        return context

    def issue(self, *above: trustme.CA) -> trustme.LeafCert:
        ca = above[-1] if above else self.ca
        return ca.issue_cert("client.test", common_name="Zoë, the client")

    def revoke(self, *revoked: trustme.LeafCert, ca: trustme.CA | None = None, days: int = 1):
        """Write the list of an authority, which is in force for so many days from yesterday on."""
        ca = ca or self.ca
        own = x509.load_pem_x509_certificate(ca.cert_pem.bytes())
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(own.subject)
            .last_update(NOW - datetime.timedelta(days=2))
            .next_update(NOW + datetime.timedelta(days=days))
        )
        for one in revoked:
            number = x509.load_pem_x509_certificate(one.cert_chain_pems[0].bytes()).serial_number
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(number)
                .revocation_date(NOW - datetime.timedelta(days=1))
                .build()
            )
        key = serialization.load_pem_private_key(ca.private_key_pem.bytes(), None)
        made = builder.sign(key, hashes.SHA256())  # type: ignore[arg-type]
        path = self._folder / f"{len(list(self._folder.iterdir()))}.crl"
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        return path


@pytest.fixture
def clients(authority, tmp_path) -> Clients:
    return Clients(authority.trusting, tmp_path)


@pytest.fixture
def secured(serve, authority, clients):
    """A function that serves an application to clients with certificates."""

    def secured(app=hello, verify="required", **settings):
        return serve(
            app,
            **authority.settings,
            **{"ssl_ca": clients.file, "ssl_client_verify": verify, **settings},
        )

    return secured


@pytest.fixture
def refused(log, request):
    """A function that tries to ask with a context; it returns what the client was told, when the
    server has logged a line with `alert`.
    """

    def refused(server, context: ssl.SSLContext, alert: str) -> str:
        client = Records(server.host, server.port, context)
        request.addfinalizer(client.sock.close)

        def ask() -> None:
            client.handshake()  # with TLS 1.3 the client's end of it, which then hears the server's
            client.step(lambda: client.tls.read(1000))

        with pytest.raises(ssl.SSLError) as caught:
            ask()
        eventually(lambda: any(f"TLS: {alert}" in line for line in log.messages))
        return str(caught.value.reason)

    return refused


@pytest.mark.parametrize("verify", ["required", "optional"])
def test_whose_certificates_are_asked_for(secured, clients, tmp_path, verify, tls_version):
    """What a browser chooses by (RFC 8446, 4.2.4): the authorities' names, each once."""
    other = trustme.CA(organization_name="Others")
    several = tmp_path / "several.pem"
    several.write_bytes(clients.ca.cert_pem.bytes() * 2 + other.cert_pem.bytes())
    names = asked_for(secured(verify=verify, ssl_ca=several), tls_version)
    assert [name.partition(",")[0] for name in names] == ["O = Clients", "O = Others"]


def test_authorities_that_are_too_many_to_be_told(secured, clients, tmp_path, tls_version):
    several = tmp_path / "several.pem"
    one = clients.ca.cert_pem.bytes()
    several.write_bytes(one + b"".join(named(f"{i}{'x' * 60}") for i in range(250)))
    server = secured(ssl_ca=several)
    assert asked_for(server, tls_version) == []
    context = clients.context(clients.issue())
    assert httpx.get(server.url("/"), verify=context).text == "hello"


def named(name: str) -> bytes:
    """The certificate of an authority of this name."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), len(name))
    day = datetime.timedelta(days=1)
    made = builder.not_valid_before(NOW - day).not_valid_after(NOW + day).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM)


def asked_for(server, version: str) -> list[str]:
    """The names of authorities that OpenSSL's client is told."""
    command = [openssl(), "s_client", "-connect", f"{server.host}:{server.port}", "-no_ign_eof"]
    command.append(f"-tls{version.replace('.', '_')}")
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=60)
    assert "No client certificate CA names sent" in done.stdout or "Acceptable" in done.stdout
    rest = done.stdout.partition("Acceptable client certificate CA names\n")[2]
    return list(itertools.takewhile(lambda line: " = " in line, rest.splitlines()))


async def told(scope, receive, send):
    tls = scope["extensions"]["tls"]
    assert tls["client_cert_error"] is None
    names = [
        x509.load_pem_x509_certificate(pem.encode()).subject.rfc4514_string()
        for pem in tls["client_cert_chain"]
    ]
    await answer(send, repr((tls["client_cert_name"], len(names), names[:1])).encode())


@pytest.mark.parametrize("verify", ["required", "optional"])
def test_a_certificate_that_is_good(secured, clients, verify):
    server = secured(told, verify)
    issued = clients.issue()
    with httpx.Client(verify=clients.context(issued)) as client:
        for _ in range(2):
            text = client.get(server.url("/")).text
            name = r"CN=Zoë\\, the client"
            assert text.startswith(f"('{name},"), text
            assert f", 1, ['{name}," in text
        assert server.counters()["connections"] == 1


def test_a_request_that_comes_in_pieces_with_the_end_of_the_handshake(secured, clients):
    server = secured()
    client = Records(server.host, server.port, clients.context(clients.issue()))
    client.step(client.tls.do_handshake)
    client.send(client.outgoing.read() + client.seal(REQUEST), 7)
    assert client.read(b"hello")
    client.sock.close()


def test_none_is_shown(secured, clients, refused, tls_version):
    server = secured(told, "optional")
    assert httpx.get(server.url("/"), verify=clients.context()).text == "(None, 0, [])"
    if tls_version == "1.2":
        why = "alert 40 (handshake failure): peer did not return a certificate"
        assert "HANDSHAKE_FAILURE" in refused(secured(), clients.context(), why)
    else:
        reason = refused(secured(), clients.context(), "alert 116 (certificate required)")
        assert "CERTIFICATE_REQUIRED" in reason


@pytest.mark.parametrize("verify", ["required", "optional"])
def test_somebody_elses(secured, clients, refused, verify):
    stranger = trustme.CA().issue_cert("client.test")
    server = secured(told, verify)
    reason = refused(server, clients.context(stranger), "alert 48 (unknown authority): unable to")
    assert "UNKNOWN_CA" in reason


def test_revoked(secured, clients, refused):
    bad, good = clients.issue(), clients.issue()
    server = secured(ssl_crl=clients.revoke(bad))
    assert httpx.get(server.url("/"), verify=clients.context(good)).text == "hello"
    reason = refused(server, clients.context(bad), "alert 44 (certificate revoked)")
    assert "CERTIFICATE_REVOKED" in reason


def test_each_authority_needs_its_list(secured, clients, refused, tls_version):
    child = clients.ca.create_child_ca()
    bad, good = clients.issue(child), clients.issue(child)
    lists = [clients.revoke(), clients.revoke(bad, ca=child)]
    server = secured(ssl_crl=lists)
    assert httpx.get(server.url("/"), verify=clients.context(good)).text == "hello"
    refused(server, clients.context(bad), "alert 44 (certificate revoked)")
    older = tls_version == "1.2"  # either library has its own alerts
    alert = "48 (unknown authority)" if older else "46 (certificate unknown)"
    unknown = f"alert {alert}: unable to get certificate CRL"
    refused(secured(ssl_crl=lists[0]), clients.context(good), unknown)
    old = clients.revoke(days=-1)
    alert = "45 (certificate expired)" if older else "46 (certificate unknown)"
    late = f"alert {alert}: CRL has expired"
    refused(secured(ssl_crl=[old, lists[1]]), clients.context(good), late)


def test_the_depth(secured, clients, refused, tls_version):
    child = clients.ca.create_child_ca()
    issued = clients.issue(child.create_child_ca())
    assert len(issued.cert_chain_pems) == 3
    server = secured(ssl_verify_depth=2)
    assert httpx.get(server.url("/"), verify=clients.context(issued)).text == "hello"
    alert = "48 (unknown authority)" if tls_version == "1.2" else "46 (certificate unknown)"
    too_long = f"alert {alert}: certificate chain too long"
    refused(secured(ssl_verify_depth=1), clients.context(issued), too_long)
    direct = secured(ssl_verify_depth=0)
    assert httpx.get(direct.url("/"), verify=clients.context(clients.issue())).text == "hello"
    refused(direct, clients.context(clients.issue(child)), too_long)


def test_an_authority_that_another_one_has_signed(secured, clients, refused, tmp_path):
    """Who names it trusts it, and not those above."""
    child = clients.ca.create_child_ca()
    child.cert_pem.write_to_path(tmp_path / "child.pem")
    server = secured(ssl_ca=tmp_path / "child.pem")
    issued = clients.issue(child)
    assert httpx.get(server.url("/"), verify=clients.context(issued)).text == "hello"
    refused(server, clients.context(clients.issue()), "alert 48 (unknown authority)")


def test_the_environ(secured, clients, tls_version):
    def app(environ, start_response):
        start_response("200 OK", [])
        found = {key: value for key, value in environ.items() if key.startswith("SSL_")}
        return [repr(found).encode()]

    suites = {"1.3": "TLS_", "1.2": "ECDHE-ECDSA-"}[tls_version]
    server = secured(app, "optional", interface="wsgi", loop="auto")
    issued = clients.issue()
    found = eval(httpx.get(server.url("/"), verify=clients.context(issued)).text)
    pem = ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(found.pop("SSL_CLIENT_CERT")))
    assert pem == ssl.DER_cert_to_PEM_cert(
        ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())
    )
    subject = found.pop("SSL_CLIENT_S_DN").encode("latin-1").decode("utf-8")
    assert subject.startswith(r"CN=Zoë\, the client,")
    assert "O=Clients" in found.pop("SSL_CLIENT_I_DN")
    assert found.pop("SSL_CIPHER").startswith(suites)
    assert found == {"SSL_PROTOCOL": f"TLSv{tls_version}", "SSL_CLIENT_VERIFY": "SUCCESS"}
    found = eval(httpx.get(server.url("/"), verify=clients.context()).text)
    assert found.pop("SSL_CIPHER").startswith(suites)
    assert found == {"SSL_PROTOCOL": f"TLSv{tls_version}", "SSL_CLIENT_VERIFY": "NONE"}


def test_files_that_cannot_be_used(clients, authority, tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    good = clients.revoke()
    (tmp_path / "cut").write_bytes(good.read_bytes() + good.read_bytes()[:100])
    for settings, reason in (
        ({"ssl_ca": tmp_path / "none"}, "ssl_ca: cannot read"),
        ({"ssl_ca": tmp_path / "empty"}, f"TLS: {tmp_path / 'empty'}: no certificate in PEM"),
        ({"ssl_crl": tmp_path / "none"}, "ssl_crl: cannot read"),
        ({"ssl_crl": [good, tmp_path / "empty"]}, f"TLS: {tmp_path / 'empty'}: no list of revoked"),
        ({"ssl_crl": [tmp_path / "cut", good]}, f"TLS: {tmp_path / 'cut'}: no list of revoked"),
    ):
        values = {"ssl_ca": clients.file, "ssl_client_verify": True, **authority.settings}
        with pytest.raises(BootError) as caught:
            load_context(Config(**{**values, **settings}))
        assert reason in str(caught.value)
        assert "\n" not in str(caught.value)
