"""Gunicorn's hooks around a request: `pre_request(worker, req)` and `post_request(worker, req,
environ, resp)`.

A package of what stands between the server and the application that is served where one of the two
is set: an application of the same interface, a module for each. Must not know where hooks come from
nor who calls the application. Loaded only where one is set; runs where the application does.

They are called for HTTP requests only. `pre_request` may stop a request by raising: the client gets
a 500, as if the application had raised. `post_request` is called when the application has returned
or raised, or was cancelled, with WSGI when its result was closed; what it raises itself is logged.
Both hold up the event loop, or the thread, while they run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from granite.request_hooks.objects import Around

if TYPE_CHECKING:
    from collections.abc import Callable

    from granite.settings.hooks import Hooks

__all__ = ["wrap"]


def wrap(call: Callable[..., Any], interface: str, hooks: Hooks, worker: Any) -> Callable[..., Any]:
    """Return the application `call`, of `interface`, with the two hooks, those that are set, around
    each HTTP request; `call` itself where neither is.

    `worker` is the hooks' first argument; its `nr` counts the requests.
    """
    around = Around(hooks, worker)
    if not around:
        return call
    if interface == "wsgi":
        from granite.request_hooks import wsgi

        return wsgi.wrap(call, around)
    if interface == "rsgi":
        from granite.request_hooks import rsgi

        return rsgi.wrap(call, around)
    from granite.request_hooks import asgi

    return asgi.wrap(call, around)
