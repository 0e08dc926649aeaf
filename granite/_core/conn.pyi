from granite._core.http1 import Http1Context
from granite._core.http2 import Http2Context
from granite._core.net import Reactor

class ConnectionHost:
    """What connections need of the server that accepted them."""

    @property
    def reactor(self) -> Reactor: ...
    @property
    def http1(self) -> Http1Context: ...
    @property
    def http2(self) -> Http2Context | None:
        """Where HTTP/2 is spoken."""

    @property
    def draining(self) -> bool:
        """Whether drain() was called: nothing more is accepted."""

    @property
    def connections(self) -> int: ...
