"""An application that shows what a proxy has told of the client."""

from __future__ import annotations

import json

from tests.arbiter.apps import respond


async def app(scope, receive, send) -> None:
    shown = {name: scope[name] for name in ("client", "scheme", "root_path", "path")}
    host = dict(scope["headers"])[b"host"].decode()
    await respond(send, json.dumps({**shown, "host": host}))
