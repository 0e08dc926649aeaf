from __future__ import annotations

from emmett55 import App, abort, redirect, request, response, session, url
from emmett55.sessions import SessionManager
from emmett55.tools import service

from tests.frameworks import common

app = App(__name__, root_path=str(common.STORE))
app.config.url_default_namespace = "emmett_app"
app.pipeline = [SessionManager.cookies(common.SECRET)]


@app.route("/greet/<str:name>")
async def greet(name):
    response.content_type = "text/plain; charset=utf-8"
    return common.greeting(name, int(request.query_params.times or 1))


@app.route("/json", methods="post")
@service.json
async def echo():
    return {"got": dict(await request.body_params)}


@app.route("/upload", methods="post")
@service.json
async def upload():
    file = (await request.files)["file"]
    return {
        "note": (await request.body_params)["note"],
        "name": file.filename,
        "type": file.content_type,
        "digest": common.digest(file.read()),
    }


@app.route("/stream")
async def stream():
    return response.wrap_aiter(common.async_pieces(request.query_params.gate))


@app.route("/download")
async def download():
    return response.wrap_file(str(common.FILE))


@app.route("/visits")
async def visits():
    session.visits = (session.visits or 0) + 1
    return str(session.visits)


@app.route("/teapot")
async def teapot():
    abort(418)


@app.on_error(418)
async def short_and_stout():
    response.content_type = "application/json"
    return '{"error": "teapot"}'


@app.route("/fail")
async def fail():
    raise common.UnhandledError(request.query_params.mark)


@app.route("/moved")
async def moved():
    redirect(url("greet", "moved"))


@app.route("/seen")
@service.json
async def seen():
    query = "".join(f"?{name}={value}" for name, value in request.query_params.items())
    return {
        "client": request.client,
        "scheme": request.scheme,
        "host": request.host,
        "url": f"{request.scheme}://{request.host}{request.path}{query}",
        "greet": url("greet", "you", scheme=request.scheme, host=request.host),
    }
