"""Django with Channels: its requests and its WebSockets."""

from __future__ import annotations

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path

from tests.frameworks import common, django_app


class Socket(AsyncWebsocketConsumer):  # type: ignore[misc]
    async def connect(self):
        name = self.scope["url_route"]["kwargs"]["name"]
        if name == "nobody":
            await self.close()
            return
        await self.accept("chat" if "chat" in self.scope["subprotocols"] else None)
        await self.send(text_data=f"hello {name}")

    async def receive(self, text_data=None, bytes_data=None):
        if text_data == "close":
            await self.close(4001, "as you wish")
        elif text_data == "fail":
            raise common.UnhandledError
        else:
            await self.send(text_data=text_data, bytes_data=bytes_data)

    async def disconnect(self, code):
        common.say(f"the socket has ended: {code}")


sockets = URLRouter([path("socket/<name>", Socket.as_asgi())])
app = ProtocolTypeRouter({"http": django_app.asgi, "websocket": sockets})
