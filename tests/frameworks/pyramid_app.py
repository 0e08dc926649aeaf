from __future__ import annotations

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPFound
from pyramid.response import FileResponse, Response
from pyramid.session import SignedCookieSessionFactory

from tests.frameworks import common


def greet(request):
    times = int(request.params.get("times", "1"))
    return Response(common.greeting(request.matchdict["name"], times), content_type="text/plain")


def echo(request):
    return {"got": request.json_body}


def upload(request):
    file = request.POST["file"]
    return {
        "note": request.POST["note"],
        "name": file.filename,
        "type": file.type,
        "digest": common.digest(file.file.read()),
    }


def stream(request):
    return Response(app_iter=common.pieces(request.params["gate"]))


def download(request):
    return FileResponse(common.FILE, request=request)


def visits(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return request.session["visits"]


def teapot(request):
    raise common.TeapotError


def short_and_stout(error, request):
    request.response.status = 418
    return {"error": "teapot"}


def fail(request):
    raise common.UnhandledError(request.params["mark"])


def moved(request):
    return HTTPFound(request.route_path("greet", name="moved"))


def seen(request):
    return {
        "client": request.client_addr,
        "scheme": request.scheme,
        "host": request.host,
        "url": request.url,
        "greet": request.route_url("greet", name="you"),
    }


config = Configurator(session_factory=SignedCookieSessionFactory(common.SECRET))
config.add_exception_view(short_and_stout, context=common.TeapotError, renderer="json")
config.add_route("greet", "/greet/{name}")
config.add_view(greet, route_name="greet")
for view in (echo, upload, stream, download, visits, teapot, fail, moved, seen):
    name = "json" if view is echo else view.__name__
    config.add_route(name, f"/{name}")
    method = "POST" if view in (echo, upload) else None
    config.add_view(view, route_name=name, renderer="json", request_method=method)
app = config.make_wsgi_app()
