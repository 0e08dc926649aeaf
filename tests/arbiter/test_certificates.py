"""Certificates that are exchanged while the server serves: nobody is lost, who was there stays."""

from __future__ import annotations

import datetime
import os
import pwd
import signal
import ssl
import threading
from pathlib import Path

import httpx
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from tests.arbiter.asking import until
from tests.arbiter.changing import hang_up, workers
from tests.arbiter.loads import Clients
from tests.granite_process import GraniteProcess, with_constant
from tests.pairs import Pair

APPS = Path(__file__).parent
SHOWN = "TLS: who connects now gets the certificates that the files have"
KEPT = "error: the certificates stay as they were: "
# Whoever waits for an exchange, on a slow machine, is not cut.
PATIENT = (
    "--keep-alive-timeout",
    "600",
    "--request-head-timeout",
    "600",
    "--graceful-timeout",
    "60",
)
HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")


class Coming(Clients):
    """Clients that connect, ask and leave, without an end; `lost` are those that got no answer."""

    def __init__(self, pair: Pair, port: int) -> None:
        super().__init__()
        self.lost: list[BaseException] = []
        self.answered = 0
        self._pair, self._port = pair, port
        self._threads = [threading.Thread(target=self._run) for _ in range(3)]

    def _run(self) -> None:
        while not self._done.is_set():
            try:
                with self._pair.connect(self._port) as sock:
                    ask(sock)
                    self.answered += 1
            except Exception as exc:  # noqa: PERF203
                self.lost.append(exc)


def ask(sock: ssl.SSLSocket, data: bytes = HEAD) -> bytes:
    sock.sendall(data)
    data = b""
    while not data.endswith(b"plain"):
        piece = sock.recv(65536)
        assert piece, data
        data += piece
    return data


@pytest.fixture
def pair(tmp_path) -> Pair:
    return Pair(tmp_path)


@pytest.fixture
def start(run_granite, pair):
    def start(*arguments: str, **options) -> GraniteProcess:
        options = {"cwd": APPS, "launcher": with_constant("swap.LOOKS", 0.1), **options}
        return run_granite("apps:plain", *pair.options, *PATIENT, *arguments, **options)

    return start


def port_of(granite: GraniteProcess) -> int:
    return int(granite.wait_for(r"listening on https://127.0.0.1:(\d+)").group(1))


def swapped(granite: GraniteProcess, swap, text: str = SHOWN) -> int:
    """Exchange the certificate; return its serial number once the server has told of it."""
    before = granite.output.count(text)
    number = swap()
    until(lambda: granite.output.count(text) > before)
    return number


@pytest.mark.parametrize("way", ["issue", "rename", "link"])
def test_nobody_is_lost(start, pair, way):
    granite = start("--workers", "2", "--ssl-reload")
    port = port_of(granite)
    there = workers(granite)
    first = pair.shown(port)
    with pair.connect(port) as old, Coming(pair, port) as clients:
        assert {pair.serial(old)} == first
        for _ in range(3):
            ask(old)
            number = swapped(granite, getattr(pair, way))
            assert pair.shown(port) == {number}
            before = clients.answered
            until(lambda before=before: clients.answered > before)
        ask(old)
    assert clients.lost == []
    assert workers(granite) == there
    assert granite.stop() == 0


def test_a_broken_pair_leaves_the_old_one(start, pair):
    granite = start("--workers", "2", "--ssl-reload")
    port = port_of(granite)
    first = pair.shown(port)
    key = pair.key.read_bytes()
    other = trustme.CA().issue_cert("127.0.0.1").private_key_pem.bytes()
    for swap, reason in (
        (lambda: pair.key.write_bytes(other), "the key does not belong to the certificate"),
        (lambda: pair.chain.write_bytes(b""), "no certificate in PEM"),
        (lambda: pair.key.unlink(), "ssl_keyfile: cannot read"),
    ):
        swapped(granite, swap, KEPT)
        assert reason in granite.output.splitlines()[-1]
        assert pair.shown(port) == first
    assert granite.output.count("error: ") == 3
    pair.key.write_bytes(key)
    assert pair.shown(port) == first
    assert {swapped(granite, pair.issue)} == pair.shown(port)
    assert granite.stop() == 0


@as_root
@pytest.mark.parametrize("options", [("--workers", "2"), ("--preload",)])
def test_a_worker_that_starts_beside_a_broken_pair_shows_the_old_one(start, pair, options):
    granite = start("--ssl-reload", "--respawn-interval", "0", *options)
    port = port_of(granite)
    first = pair.shown(port)
    good = swapped(granite, pair.issue)
    swapped(granite, lambda: pair.key.write_bytes(b""), KEPT)
    for worker in workers(granite) if "--preload" not in options else ():
        before = granite.output.count("is ready\n")
        os.kill(worker, signal.SIGKILL)
        until(lambda before=before: granite.output.count("is ready\n") > before)
        assert pair.shown(port) == {good} != first
    hang_up(granite)
    assert pair.shown(port) == {good}
    assert "no private key" in granite.output
    number = swapped(granite, pair.issue)
    assert pair.shown(port) == {number}


def test_a_key_that_only_root_may_read(start, pair):
    pair.key.chmod(0o600)
    pair.folder.chmod(0o700)
    granite = start("--user", "nobody", "--ssl-reload")
    port = port_of(granite)
    [worker] = workers(granite)
    assert Path(f"/proc/{worker}").stat().st_uid == pwd.getpwnam("nobody").pw_uid
    for _ in range(2):
        assert {swapped(granite, pair.rename)} == pair.shown(port)
    assert workers(granite) == {worker}
    assert granite.stop() == 0


def test_a_worker_that_a_template_forks_later_shows_the_new_one(start, pair):
    granite = start("--ssl-reload", "--preload", "--respawn-interval", "0")
    port = port_of(granite)
    number = swapped(granite, pair.rename)
    swapped(granite, pair.key.unlink, KEPT)
    pid = int(httpx.get(f"https://127.0.0.1:{port}/pid", verify=pair.context).text)
    os.kill(pid, signal.SIGKILL)
    until(lambda: pid not in granite.members())
    assert pair.shown(port) == {number}
    assert granite.stop() == 0


def test_a_hang_up_exchanges_it_too_and_nobody_is_lost(start, pair):
    granite = start("--workers", "2")
    port = port_of(granite)
    with Coming(pair, port) as clients:
        for _ in range(3):
            number = pair.rename()
            with pair.connect(port) as old:
                old.sendall(HEAD[:-2])
                hang_up(granite)
                assert pair.shown(port) == {number}
                assert ask(old, HEAD[-2:])  # by the worker that began it
    assert clients.lost == []
    pair.chain.write_bytes(b"")
    hang_up(granite, "error: the reload failed, the workers that serve go on: ")
    assert pair.shown(port) == {number}
    assert granite.stop() == 0


def test_a_client_that_is_revoked_meanwhile(start, pair):
    """Authorities and lists of revoked certificates are among the files."""
    clients = trustme.CA()
    ca, revoked = pair.folder / "clients.pem", pair.folder / "revoked.pem"
    clients.cert_pem.write_to_path(ca)
    issued = clients.issue_cert("client.test")
    issued.configure_cert(pair.context)
    number = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes()).serial_number
    _write_list(clients, revoked)
    options = ("--ssl-ca", str(ca), "--ssl-crl", str(revoked), "--ssl-client-verify")
    granite = start("--workers", "2", "--ssl-reload", *options)
    port = port_of(granite)
    with pair.connect(port) as old:
        ask(old)
        swapped(granite, lambda: _write_list(clients, revoked, number))
        for _ in range(4):
            with pair.connect(port) as new, pytest.raises(ssl.SSLError, match="REVOKED"):
                ask(new)
        ask(old)
    assert granite.stop() == 0


def _write_list(ca: trustme.CA, path: Path, *numbers: int) -> int:
    """Write the authority's list of revoked certificates; return how many they are."""
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(x509.load_pem_x509_certificate(ca.cert_pem.bytes()).subject)
        .last_update(now - datetime.timedelta(days=2))
        .next_update(now + datetime.timedelta(days=2))
    )
    for number in numbers:
        entry = x509.RevokedCertificateBuilder().serial_number(number).revocation_date(now)
        builder = builder.add_revoked_certificate(entry.build())
    key = serialization.load_pem_private_key(ca.private_key_pem.bytes(), None)
    made = builder.sign(key, hashes.SHA256())  # type: ignore[arg-type]
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return len(numbers)


def test_without_the_setting_nothing_is_looked_at(start, pair):
    granite = start("--log-level", "debug")
    port = port_of(granite)
    first = pair.shown(port)
    pair.rename()
    assert pair.shown(port) == first
    assert httpx.get(f"https://127.0.0.1:{port}/", verify=pair.context).status_code == 200
    assert granite.stop() == 0
