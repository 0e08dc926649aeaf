import asyncio
import contextvars
from collections.abc import Callable
from typing import Any

from granite._core.task import TaskExchange, TaskInterface

class AsgiInterface(TaskInterface):
    """Calls one ASGI application."""

    def __init__(
        self,
        app: Callable[..., Any],
        loop: asyncio.AbstractEventLoop,
        context: contextvars.Context,
        state: dict[str, Any] | None,
        extensions: dict[str, Any],
        root_path: str,
        on_error: Callable[[BaseException], None] | None,
    ) -> None: ...

class AsgiExchange(TaskExchange):
    """One request to an ASGI application."""

class AsgiWebSocket(TaskExchange):
    """One WebSocket of an ASGI application."""
