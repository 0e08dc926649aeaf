"""Falcon's two applications, `wsgi` and `asgi`, with the same routes."""

from __future__ import annotations

import falcon
import falcon.asgi

from tests.frameworks import common


class Greet:
    def on_get(self, req, resp, name):
        resp.content_type = falcon.MEDIA_TEXT
        resp.text = common.greeting(name, req.get_param_as_int("times", default=1))

    on_head = on_get


class Visits:
    def on_get(self, req, resp):
        resp.media = int(req.cookies.get("visits", "0")) + 1
        resp.set_cookie("visits", str(resp.media), secure=False)


class Teapot:
    def on_get(self, req, resp):
        raise common.TeapotError


class Fail:
    def on_get(self, req, resp):
        raise common.UnhandledError(req.get_param("mark"))


class Moved:
    def on_get(self, req, resp):
        raise falcon.HTTPFound(f"{req.root_path}/greet/moved")


class Seen:
    def on_get(self, req, resp):
        resp.media = {
            "client": req.remote_addr,
            "scheme": req.scheme,
            "host": req.netloc,
            "url": req.uri,
            "greet": f"{req.prefix}/greet/you",
        }


class Json:
    def on_post(self, req, resp):
        resp.media = {"got": req.get_media()}


class AsyncJson:
    async def on_post(self, req, resp):
        resp.media = {"got": await req.get_media()}


class Upload:
    def on_post(self, req, resp):
        resp.media = {}
        for part in req.get_media():
            content = part.stream.read()
            resp.media |= told(part, content)


class AsyncUpload:
    async def on_post(self, req, resp):
        resp.media = {}
        async for part in await req.get_media():
            content = await part.stream.read()
            resp.media |= told(part, content)


def told(part, content):
    if part.name == "note":
        return {"note": content.decode()}
    return {"name": part.filename, "type": part.content_type, "digest": common.digest(content)}


class Stream:
    def on_get(self, req, resp):
        resp.stream = common.pieces(req.get_param("gate"))


class AsyncStream:
    async def on_get(self, req, resp):
        resp.stream = common.async_pieces(req.get_param("gate"))


class Surroundings:
    """Falcon's middleware: it tells of the lifespan, and takes off the path where the application
    is mounted, which routes do not have.
    """

    async def process_request(self, req, resp):
        req.path = req.path.removeprefix(req.root_path)

    async def process_startup(self, scope, event):
        common.say("lifespan: started")

    async def process_shutdown(self, scope, event):
        common.say("lifespan: shut down")


def asynchronous(resource):
    """A resource whose methods wait for nothing, as one of ASGI."""

    def wrapped(method):
        async def respond(req, resp, **parameters):
            method(req, resp, **parameters)

        return respond

    for name in dir(resource):
        if name.startswith("on_"):
            setattr(resource, name, wrapped(getattr(resource, name)))
    return resource


async def short_and_stout_later(req, resp, error, params):
    short_and_stout(req, resp, error, params)


def short_and_stout(req, resp, error, params):
    resp.status = falcon.HTTP_418
    resp.media = {"error": "teapot"}


PLAIN = {
    "/greet/{name}": Greet,
    "/visits": Visits,
    "/teapot": Teapot,
    "/fail": Fail,
    "/moved": Moved,
    "/seen": Seen,
}

wsgi = falcon.App()
wsgi.add_error_handler(common.TeapotError, short_and_stout)
asgi = falcon.asgi.App(middleware=[Surroundings()])
asgi.add_error_handler(common.TeapotError, short_and_stout_later)
for app in (wsgi, asgi):
    app.add_static_route("/download", common.FILE.parent, fallback_filename=common.FILE.name)
for path, resource in PLAIN.items():
    wsgi.add_route(path, resource())
    asgi.add_route(path, asynchronous(resource()))
wsgi.add_route("/json", Json())
asgi.add_route("/json", AsyncJson())
wsgi.add_route("/upload", Upload())
asgi.add_route("/upload", AsyncUpload())
wsgi.add_route("/stream", Stream())
asgi.add_route("/stream", AsyncStream())
