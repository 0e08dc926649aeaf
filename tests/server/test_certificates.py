"""The files of certificates and keys: which kinds are taken, and what is said of the others."""

from __future__ import annotations

import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from granite.errors import BootError
from granite.secure import load_context
from granite.settings.config import Config
from tests.patience import PATIENCE
from tests.server.apps import hello


@pytest.fixture
def ca(authority) -> trustme.CA:
    return authority.ca


KEYS = {
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("password", [None, "sesame"])
def test_kinds_of_keys(serve, tmp_path, kind, password):
    path, authority = _self_signed(tmp_path, KEYS[kind](), password)
    server = serve(hello, ssl_certificate=path, ssl_keyfile_password=password)
    context = ssl.create_default_context(cafile=authority)
    assert httpx.get(server.url("/"), verify=context).text == "hello"


def test_a_chain_with_an_intermediate_authority(serve, ca, tmp_path, trusting):
    issued = ca.create_child_ca().issue_cert("127.0.0.1")
    assert len(issued.cert_chain_pems) == 2
    path = tmp_path / "both.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(path)
    server = serve(hello, ssl_certificate=path)
    assert httpx.get(server.url("/"), verify=trusting).text == "hello"


def test_what_else_may_lie_in_the_files(serve, tmp_path, authority):
    """Text between the blocks, CRLF, and what `openssl ecparam -genkey` writes before a key."""
    key = ec.generate_private_key(ec.SECP256R1())
    path, alone = _self_signed(tmp_path, key, None)
    traditional = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    text = b"subject=/CN=test\n" + parameters + traditional + b"a note\n" + alone.read_bytes()
    path.write_bytes(text.replace(b"\n", b"\r\n") + b"the end")
    server = serve(hello, ssl_certificate=path)
    context = ssl.create_default_context(cafile=alone)
    assert httpx.get(server.url("/"), verify=context).text == "hello"


def test_files_that_cannot_be_used(ca, tmp_path):
    issued, other = ca.issue_cert("a"), ca.issue_cert("b")
    chain, key, wrong, empty = (tmp_path / name for name in ("chain", "key", "wrong", "empty"))
    issued.cert_chain_pems[0].write_to_path(chain)
    issued.private_key_pem.write_to_path(key)
    other.private_key_pem.write_to_path(wrong)
    empty.write_bytes(b"")
    leaf = issued.cert_chain_pems[0].bytes()
    cut, long, der = (tmp_path / name for name in ("cut", "long", "der"))
    cut.write_bytes(leaf + leaf[:300] + leaf[-100:])
    long.write_bytes(leaf * 17)
    der.write_bytes(ssl.PEM_cert_to_DER_cert(leaf.decode()))
    old, _ = _self_signed(tmp_path, KEYS["p256"](), None, days=-1)
    locked, _ = _self_signed(tmp_path / "locked", KEYS["p256"](), "sesame")
    for settings, reason in (
        ({"ssl_certificate": tmp_path / "no"}, "ssl_certificate: cannot read"),
        ({"ssl_certificate": chain, "ssl_keyfile": tmp_path / "no"}, "ssl_keyfile: cannot read"),
        ({"ssl_certificate": chain}, "no private key in it; expected an ssl_keyfile, got none"),
        ({"ssl_certificate": empty, "ssl_keyfile": key}, "no certificate in PEM"),
        ({"ssl_certificate": cut, "ssl_keyfile": key}, "certificate 2 can't be read"),
        ({"ssl_certificate": long, "ssl_keyfile": key}, "more than 16 certificates"),
        ({"ssl_certificate": der, "ssl_keyfile": key}, "no certificate in PEM"),
        ({"ssl_certificate": chain, "ssl_keyfile": wrong}, "does not belong to the certificate"),
        ({"ssl_certificate": old}, "the certificate has expired"),
        ({"ssl_certificate": locked}, "the key is encrypted; expected an ssl_keyfile_password"),
        (
            {"ssl_certificate": locked, "ssl_keyfile_password_file": empty},
            "the key is encrypted; expected an ssl_keyfile_password, got none",
        ),
        (
            {"ssl_certificate": locked, "ssl_keyfile_password": "x" * 2000},
            "no private key in PEM that can be read with this password",
        ),
    ):
        with pytest.raises(BootError) as caught:
            load_context(Config(**settings))
        assert reason in str(caught.value)
        assert "\n" not in str(caught.value)


def test_without_a_certificate_the_core_of_tls_is_not_loaded():
    code = """if True:
        import sys
        from granite.secure import load_context
        from granite.settings.config import Config
        import granite.serving
        assert load_context(Config()) is None
        assert "granite._core.server" in sys.modules
        assert "granite._core.tls" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)


def _self_signed(folder: Path, key, password: str | None, days: int = 1) -> tuple[Path, Path]:
    """Write key and certificate into one file, and the certificate alone into another."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    folder.mkdir(exist_ok=True)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.timezone.utc)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=10))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(address, critical=False)
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    sealed = (
        serialization.BestAvailableEncryption(password.encode())
        if password
        else serialization.NoEncryption()
    )
    both, alone = folder / "both.pem", folder / "alone.pem"
    both.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed)
        + pem
    )
    alone.write_bytes(pem)
    return both, alone
