"""Several certificates: which one a client gets, by the name it asks for and what it can verify."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import x25519

from granite.errors import BootError
from granite.secure import load_context
from granite.settings.config import Config
from tests.patience import PATIENCE
from tests.server.apps import eventually, hello


@pytest.fixture
def write(authority, tmp_path):
    """A function that writes a certificate for `names`, with its key, into a file."""

    def write(file: str, *names: str, kind: trustme.KeyType = trustme.KeyType.ECDSA):
        issued = authority.ca.issue_cert(*names, common_name=file, key_type=kind)
        issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / file)
        return tmp_path / file

    return write


@pytest.fixture
def shown(trusting):
    """A function that returns the common name of the certificate that a client gets who asks for
    a name.
    """
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE

    def shown(server, name: str | None) -> str:
        with (
            socket.create_connection((server.host, server.port), PATIENCE) as sock,
            trusting.wrap_socket(sock, server_hostname=name) as secured,
        ):
            der = secured.getpeercert(binary_form=True)
        assert der is not None
        subject = x509.load_der_x509_certificate(der).subject
        return str(subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)

    return shown


@pytest.fixture
def ask(tls_version):
    """A function that asks for a name with `openssl s_client`, and returns what that prints."""
    found = shutil.which("openssl")
    if found is None:
        pytest.skip("no openssl command")

    def ask(server, name: str, algorithms: str) -> str:
        return subprocess.run(
            [
                *(found, "s_client", "-connect", f"{server.host}:{server.port}"),
                *("-sigalgs", algorithms, "-servername", name),
                f"-tls{tls_version.replace('.', '_')}",
            ],
            input="",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        ).stdout

    return ask


def test_by_name(serve, write, tmp_path, shown):
    files = [
        write("default", "default.test"),
        write("wild", "*.a.test", "b.test"),
        write("exact", "exact.a.test", "UPPER.test"),
        _self_signed("partial", tmp_path, "w*.c.test"),
        write("other wild", "*.a.test"),
    ]
    server = serve(hello, ssl_certificate=files)
    for name, certificate in {
        None: "default",
        "default.test": "default",
        "unknown.test": "default",
        "exact.a.test": "exact",
        "EXACT.a.test": "exact",
        "upper.test": "exact",
        "any.a.test": "wild",
        "b.test": "wild",
        "a.test": "default",  # a wildcard stands for one label,
        "x.any.a.test": "default",  # and for no more than one,
        "www.c.test": "default",  # and is the whole label
        "test": "default",
    }.items():
        assert shown(server, name) == certificate, name
    assert not server.counters()["exchanges"]


def test_by_name_the_client_verifies_it(serve, write, trusting):
    server = serve(hello, ssl_certificate=[write("one", "localhost"), write("two", "b.test")])
    with (
        socket.create_connection((server.host, server.port), PATIENCE) as sock,
        trusting.wrap_socket(sock, server_hostname="b.test") as secured,
    ):
        secured.sendall(b"GET / HTTP/1.1\r\nHost: b.test\r\nConnection: close\r\n\r\n")
        data = b""
        while piece := secured.recv(65536):
            data += piece
    assert data.endswith(b"hello")


def test_by_address(serve, write, trusting):
    """A client names no addresses: it gets the default, which may be for the address."""
    server = serve(
        hello, ssl_certificate=[write("one", "127.0.0.1"), write("two", "::1", "b.test")]
    )
    assert httpx.get(server.url("/"), verify=trusting).text == "hello"


@pytest.mark.parametrize(
    ("algorithms", "certificate"),
    [
        ("ecdsa_secp256r1_sha256:rsa_pss_rsae_sha256", "ecdsa"),
        ("rsa_pss_rsae_sha256:ecdsa_secp256r1_sha256", "ecdsa"),
        ("rsa_pss_rsae_sha256", "rsa"),
        ("ed25519", "ed25519"),
    ],
)
@pytest.mark.parametrize("name", ["a.test", "unknown.test"])
def test_by_signature_algorithm(serve, write, tmp_path, algorithms, certificate, name, ask):
    ecdsa = write("ecdsa", "a.test", "*.b.test")
    rsa = write("rsa", "a.test", kind=trustme.KeyType.RSA)
    server = serve(hello, ssl_certificate=[ecdsa, rsa, _ed25519(tmp_path)])
    done = ask(server, name, algorithms)
    assert f"CN = {certificate}" in done or f"CN={certificate}" in done


def test_no_certificate_that_the_client_can_verify(serve, write, log, ask):
    server = serve(hello, ssl_certificate=[write("one", "a.test"), write("two", "a.test")])
    done = ask(server, "a.test", "rsa_pss_rsae_sha256")
    assert "CN" not in done.partition("subject=")[2]
    assert "SSL alert number 40" in done  # which is nothing that the client could not read
    eventually(lambda: any("alert 40 (handshake failure)" in line for line in log.messages))


def test_a_client_that_tells_no_algorithms(serve, write):
    """RFC 8446, 9.2. The alert is in plain text: no keys have been agreed on."""
    server = serve(hello, ssl_certificate=[write("one", "a.test")])
    share = x25519.X25519PrivateKey.generate().public_key().public_bytes_raw()
    extensions = b"\x00\x2b\x00\x03\x02\x03\x04" + b"\x00\x0a\x00\x04\x00\x02\x00\x1d"
    extensions += b"\x00\x33\x00\x26\x00\x24\x00\x1d\x00\x20" + share
    body = b"\x03\x03" + bytes(32) + b"\x00" + b"\x00\x02\x13\x01" + b"\x01\x00"
    body += len(extensions).to_bytes(2, "big") + extensions
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    with socket.create_connection((server.host, server.port), PATIENCE) as sock:
        sock.sendall(b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message)
        assert sock.makefile("rb").read(7) == b"\x15\x03\x03\x00\x02\x02\x6d"


def test_keys_of_their_own(serve, write, authority, tmp_path, shown):
    """Each certificate has its key at the same place of the other list."""
    chains, keys = [], []
    for name in ("a.test", "b.test"):
        issued = authority.ca.issue_cert(name, common_name=name)
        chains.append(tmp_path / f"{name}.chain")
        keys.append(tmp_path / f"{name}.key")
        issued.cert_chain_pems[0].write_to_path(chains[-1])
        issued.private_key_pem.write_to_path(keys[-1])
    server = serve(hello, ssl_certificate=chains, ssl_keyfile=keys)
    assert [shown(server, name) for name in ("b.test", "a.test")] == ["b.test", "a.test"]
    with pytest.raises(BootError) as caught:
        load_context(Config(ssl_certificate=chains, ssl_keyfile=keys[::-1]))
    assert str(caught.value) == (
        f"TLS: {chains[0]}, {keys[1]}: the key does not belong to the certificate"
    )


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\nanother line\n"])
@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
def test_the_password_from_a_file(serve, write, tmp_path, end, form, shown):
    path = write("locked", "a.test")
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        getattr(serialization.PrivateFormat, form),
        serialization.BestAvailableEncryption("pässword".encode()),
    )
    (tmp_path / "key").write_bytes(encrypted)
    (tmp_path / "password").write_text("pässword" + end, "utf-8", newline="")
    server = serve(
        hello,
        ssl_certificate=path,
        ssl_keyfile=tmp_path / "key",
        ssl_keyfile_password_file=tmp_path / "password",
    )
    assert shown(server, "a.test") == "locked"
    with pytest.raises(BootError, match="ssl_keyfile_password_file: cannot read"):
        load_context(Config(ssl_certificate=path, ssl_keyfile_password_file=tmp_path / "none"))


def test_a_certificate_that_is_not_valid_yet_is_shown_with_a_warning(serve, tmp_path, log, shown):
    path = _self_signed("early", tmp_path)
    server = serve(hello, ssl_certificate=path)
    assert shown(server, None) == "early"
    assert f"TLS: {path}: the certificate is not valid yet" in log.messages


def _builder(name: str, key, host: str = "a.test") -> x509.CertificateBuilder:
    import datetime

    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=1 if name == "early" else -1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    )


def _write_both(path: Path, key, certificate) -> Path:
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


def _ed25519(folder: Path) -> Path:
    from cryptography.hazmat.primitives.asymmetric import ed25519

    key = ed25519.Ed25519PrivateKey.generate()
    return _write_both(folder / "ed25519", key, _builder("ed25519", key).sign(key, None))


def _self_signed(name: str, folder: Path, *hosts: str) -> Path:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    return _write_both(folder / name, key, _builder(name, key, *hosts).sign(key, hashes.SHA256()))
