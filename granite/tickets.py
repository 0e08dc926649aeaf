"""Session tickets on their way into the core: keys that an arbiter hands down, or of one's own.

Owns when what secures connections gets which keys. Must not know what a ticket is made of, nor how
keys travel. On the thread of the event loop that serves.
"""

from __future__ import annotations

from granite.arbiter.tickets import TicketKeys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from granite._core.tls import Tickets
    from granite._core.transport import SecureContext
    from granite.settings.config import Config

    class Timers(Protocol):
        """An event loop, as far as it is used here."""

        def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
            """Call `callback` after so many seconds."""

    class Timer(Protocol):
        """A call that is to come."""

        def cancel(self) -> object:
            """Leave it."""


__all__ = ["SessionTickets"]


class SessionTickets:
    """The tickets of the connections that `secure` makes TLS, if it does and the settings want any:
    there are none before `use()` or `make()`.
    """

    def __init__(self, secure: SecureContext | None, config: Config) -> None:
        self._secure = secure
        self._lifetime = config.ssl_ticket_lifetime if secure is not None else 0.0
        self._tickets: Tickets | None = None
        self._timer: Timer | None = None

    def use(self, keys: bytes) -> None:
        """Make tickets with these keys from now on, as TicketKeys.packed() gives them."""
        if not self._lifetime:
            return
        if self._tickets is None:
            from granite._core.tls import Tickets

            self._tickets = Tickets(keys, max(int(self._lifetime), 1))
            self.apply()
        else:
            self._tickets.use_keys(keys)

    def apply(self, secure: SecureContext | None = None) -> None:
        """Have the connections that `secure` makes TLS from now on, use them too."""
        from granite._core.tls import TlsContext

        self._secure = secure or self._secure
        if self._tickets is not None:
            assert isinstance(self._secure, TlsContext)
            self._secure.use_tickets(self._tickets)

    def make(self, loop: Timers) -> None:
        """Use keys that nobody else has, and renew them until `stop()`."""
        if not self._lifetime:
            return
        keys = TicketKeys()

        def renew() -> None:
            keys.rotate()
            self.use(keys.packed())
            self._timer = loop.call_later(self._lifetime, renew)

        renew()

    def stop(self) -> None:
        """Renew no keys any more; idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
