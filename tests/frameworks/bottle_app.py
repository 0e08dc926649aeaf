from __future__ import annotations

from urllib.parse import urljoin

import bottle
from bottle import Bottle, request, response, static_file

from tests.frameworks import common

app = Bottle()


@app.get("/greet/<name>", name="greet")
def greet(name):
    return common.greeting(name, int(request.query.get("times", "1")))


@app.post("/json")
def echo():
    return {"got": request.json}


@app.post("/upload")
def upload():
    file = request.files["file"]
    return {
        "note": request.forms.note,
        "name": file.raw_filename,
        "type": file.content_type,
        "digest": common.digest(file.file.read()),
    }


@app.get("/stream")
def stream():
    return common.pieces(request.query["gate"])


@app.get("/download")
def download():
    return static_file(common.FILE.name, common.FILE.parent)


@app.get("/visits")
def visits():
    count = int(request.get_cookie("visits", "0", secret=common.SECRET)) + 1
    response.set_cookie("visits", str(count), secret=common.SECRET)
    return str(count)


@app.get("/teapot")
def teapot():
    bottle.abort(418, "teapot")


@app.error(418)
def short_and_stout(error):
    response.content_type = "application/json"
    return f'{{"error": "{error.body}"}}'


@app.get("/fail")
def fail():
    raise common.UnhandledError(request.query["mark"])


@app.get("/moved")
def moved():
    bottle.redirect(app.get_url("greet", name="moved"))


@app.get("/seen")
def seen():
    return {
        "client": request.remote_addr,
        "scheme": request.urlparts.scheme,
        "host": request.urlparts.netloc,
        "url": request.url,
        "greet": urljoin(request.url, app.get_url("greet", name="you")),
    }
