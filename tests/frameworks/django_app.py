"""Django's two applications, `wsgi` and `asgi`, of the same views."""

from __future__ import annotations

import hashlib
import json

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.handlers.asgi import ASGIRequest
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.views.decorators.http import require_http_methods

from tests.frameworks import common

settings.configure(
    SECRET_KEY=common.SECRET,
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    USE_TZ=True,
    FILE_UPLOAD_TEMP_DIR=str(common.STORE),
    INSTALLED_APPS=["django.contrib.sessions"],
    SESSION_ENGINE="django.contrib.sessions.backends.file",
    SESSION_FILE_PATH=str(common.STORE),
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        f"{__name__}.Teapots",
    ],
    # Without DEBUG, Django's own configuration sends failures by mail.
    LOGGING={
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"console": {"class": "logging.StreamHandler"}},
        "loggers": {"django.request": {"handlers": ["console"], "level": "ERROR"}},
    },
)


class Teapots:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_exception(self, request, error):
        if isinstance(error, common.TeapotError):
            return JsonResponse({"error": "teapot"}, status=418)
        return None


def greet(request, name):
    text = common.greeting(name, int(request.GET.get("times", "1")))
    return HttpResponse(text, content_type="text/plain; charset=utf-8")


@require_http_methods(["POST"])
def echo(request):
    return JsonResponse({"got": json.loads(request.body)})


def upload(request):
    file = request.FILES["file"]
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    return JsonResponse(
        {
            "note": request.POST["note"],
            "name": file.name,
            "type": file.content_type,
            "digest": digest.hexdigest(),
            "kept": "file" if hasattr(file, "temporary_file_path") else "memory",
        }
    )


def stream(request):
    asynchronous = isinstance(request, ASGIRequest)
    pieces = common.async_pieces if asynchronous else common.pieces
    return StreamingHttpResponse(pieces(request.GET["gate"]))


def download(request):
    return FileResponse(common.FILE.open("rb"))


def visits(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JsonResponse(request.session["visits"], safe=False)


def teapot(request):
    raise common.TeapotError


def fail(request):
    raise common.UnhandledError(request.GET["mark"])


def moved(request):
    return redirect("greet", name="moved")


def seen(request):
    return JsonResponse(
        {
            "client": request.META["REMOTE_ADDR"],
            "scheme": request.scheme,
            "host": request.get_host(),
            "url": request.build_absolute_uri(),
            "greet": request.build_absolute_uri(reverse("greet", args=["you"])),
        }
    )


urlpatterns = [
    path("greet/<name>", greet, name="greet"),
    path("json", echo),
    path("upload", upload),
    path("stream", stream),
    path("download", download),
    path("visits", visits),
    path("teapot", teapot),
    path("fail", fail),
    path("moved", moved),
    path("seen", seen),
]

wsgi = get_wsgi_application()
asgi = get_asgi_application()
