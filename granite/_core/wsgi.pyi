import contextvars
from collections.abc import Callable, Iterator
from typing import Any

from granite._core.exchange import Exchange, Interface

class WsgiInterface(Interface):
    """Calls one WSGI application.

    Parameters:
        app: the application, a callable of environ and start_response.
        context: the contextvars.Context that requests get a copy of.
        config: the settings, of which those about threads, the mount point and the body's
            back-pressure are read.
        on_error: called with every exception that the application lets escape, after it was logged;
            or None.
        constants: what every environ has, besides what the request says.
    """

    def __init__(
        self,
        app: Callable[..., Any],
        context: contextvars.Context,
        config: Any,
        on_error: Callable[[BaseException], None] | None,
        constants: dict[str, Any],
    ) -> None: ...

class WsgiExchange(Exchange):
    """One request to a WSGI application, and the write() that start_response() returns."""

    def __call__(self, data: bytes) -> None: ...

class Input:
    """wsgi.input: the request's body, read as it comes.

    Reading raises OSError (ClientDisconnected) if the body cannot come to its end.
    """

    def __call__(self, headers: list[tuple[str, str]]) -> None:
        """wsgi.early_hints: send a 103 with these headers."""

    def read(self, size: int | None = -1) -> bytes: ...
    def readline(self, size: int | None = -1) -> bytes: ...
    def readlines(self, hint: int | None = -1) -> list[bytes]: ...
    def __iter__(self) -> Iterator[bytes]: ...
    def __next__(self) -> bytes: ...

class FileWrapper:
    """wsgi.file_wrapper: iterates over a file in blocks. One that the application returns as it is
    and that reads a regular file is sent without being read.
    """

    filelike: Any
    blksize: int
    def __init__(self, filelike: Any, blksize: int = 8192) -> None: ...
    def __iter__(self) -> Iterator[bytes]: ...
    def __next__(self) -> bytes: ...
    def close(self) -> None: ...
