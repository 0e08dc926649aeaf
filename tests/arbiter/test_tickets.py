"""The keys of TLS session tickets are those of the whole tree."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable

import pytest

from granite.arbiter.tickets import Tickets
from tests.arbiter.asking import until
from tests.arbiter.changing import hang_up
from tests.arbiter.upgrading import Upgrading
from tests.granite_process import GraniteProcess
from tests.server.tls import Records

OLDER = ("--ssl-protocol-min", "tls1.2")
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


class Visitor:
    """A client; `session` is what it would like to resume."""

    def __init__(self, granite: GraniteProcess, context: ssl.SSLContext) -> None:
        self.port = int(granite.wait_for(r"listening on https://127.0.0.1:(\d+)").group(1))
        self.context = context
        self.session: ssl.SSLSession | None = None

    def visit(self) -> tuple[int, bool]:
        """Return who has answered, and whether the session was resumed."""
        client = Records("127.0.0.1", self.port, self.context, self.session)
        answer = b""
        with client.sock:
            client.handshake()
            client.send(client.seal(REQUEST))
            while piece := client.step(lambda: client.tls.read(65536)):
                answer += piece
        self.session = client.tls.session
        return int(answer.split()[-1]), bool(client.tls.session_reused)

    def meet(self, count: int) -> set[int]:
        """Be served by so many workers, in one session."""
        met: set[int] = set()

        def more() -> bool:
            worker, resumed = self.visit()
            assert resumed
            met.add(worker)
            return len(met) >= count

        until(more)
        return met


@pytest.fixture
def start(changing, authority) -> Callable[..., tuple[GraniteProcess, Visitor]]:
    def start(*arguments: str, **options) -> tuple[GraniteProcess, Visitor]:
        files = ("--ssl-certificate", str(authority.chain), "--ssl-keyfile", str(authority.key))
        granite = changing.start(*files, *arguments, **options)
        visitor = Visitor(
            granite, authority.of("1.2" if OLDER[0] in arguments else "1.3").trusting()
        )
        assert not visitor.visit()[1]
        return granite, visitor

    return start


@pytest.mark.parametrize("arguments", [("--preload",), ("--no-preload",), ("--preload", *OLDER)])
def test_a_session_is_resumed_by_every_worker_also_by_their_successors(start, arguments):
    granite, visitor = start("--workers", "2", *arguments)
    before = visitor.meet(2)
    hang_up(granite)
    assert not visitor.meet(2) & before


def test_a_session_is_resumed_after_an_upgrade(start):
    granite, visitor = start("--workers", "1")
    server = Upgrading(granite)
    before = visitor.meet(1)
    server.upgrade()
    assert not visitor.meet(1) & before
    server.stop()


def test_keys_change_while_the_server_runs(start):
    granite, visitor = start("--workers", "1", "--ssl-ticket-lifetime", "2")
    session = visitor.session

    def is_refused() -> bool:
        visitor.session = session
        return not visitor.visit()[1]

    until(is_refused)
    until(lambda: visitor.visit()[1])  # with tickets of the new keys
    assert granite.stop() == 0


def test_tickets_are_switched_off_and_on_by_a_reload(changing, start):
    config = changing.folder / "granite.conf.py"
    config.write_text("")
    granite, visitor = start("--config", str(config))
    config.write_text("ssl_ticket_lifetime = 0\n")
    hang_up(granite)
    visitor.session = None
    visitor.visit()
    assert visitor.session is not None
    assert not visitor.session.has_ticket
    config.write_text("")
    hang_up(granite)
    visitor.visit()
    assert visitor.visit()[1]


class _Worker:
    def __init__(self) -> None:
        self.sent: list[tuple[bytes, bytes]] = []
        self.channel = self

    def send(self, kind: bytes, payload: bytes) -> bool:
        self.sent.append((kind, payload))
        return True


class _Tree:
    """As much of an arbiter as the keys look at."""

    def __init__(self) -> None:
        self.found = [_Worker(), _Worker()]
        self.config = self
        self.ssl_ticket_lifetime = 100.0

    def workers(self) -> list[_Worker]:
        return self.found


def test_the_order_in_which_keys_change():
    tree = _Tree()
    tickets = Tickets(tree, tree)  # type: ignore[arg-type]
    first = tickets.next_deadline()
    tickets.manage(first - 1.0)
    tickets.greet(tree.found[0])  # type: ignore[arg-type]
    tickets.manage(first)
    assert tickets.next_deadline() == first + 100.0
    (kind, before), (_, after) = tree.found[0].sent
    assert tree.found[1].sent == [(kind, after)]
    one, two = (re.findall(b"(?s).{48}", keys) for keys in (before, after))
    assert two[0] == one[2]
    assert two[1] == one[0]
    assert two[2] not in one


def test_a_successor_goes_on_with_the_keys_or_with_its_own():
    former, tree = _Tree(), _Tree()
    passed = Tickets(former, former).pass_on()  # type: ignore[arg-type]
    tickets = Tickets(tree, tree)  # type: ignore[arg-type]
    own = tickets.pass_on()
    for wrong in ("", "no", passed[:-2], passed + "00"):
        tickets.adopt(wrong)
        assert tickets.pass_on() == own
    tickets.adopt(passed)
    assert tickets.pass_on() == passed
    assert tree.found[1].sent[0][1].hex() == passed
