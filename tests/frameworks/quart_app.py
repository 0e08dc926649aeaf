from __future__ import annotations

from quart import Quart, jsonify, redirect, request, send_file, session, url_for

from tests.frameworks import common

app = Quart(__name__)
app.secret_key = common.SECRET


@app.before_serving
async def start():
    common.say("lifespan: started")


@app.after_serving
async def shut_down():
    common.say("lifespan: shut down")


@app.get("/greet/<name>")
async def greet(name):
    return common.greeting(name, request.args.get("times", 1, int))


@app.post("/json")
async def echo():
    return {"got": await request.json}


@app.post("/upload")
async def upload():
    file = (await request.files)["file"]
    return {
        "note": (await request.form)["note"],
        "name": file.filename,
        "type": file.content_type,
        "digest": common.digest(file.read()),
    }


@app.get("/stream")
async def stream():
    return common.async_pieces(request.args["gate"])


@app.get("/download")
async def download():
    return await send_file(common.FILE, conditional=True)


@app.get("/visits")
async def visits():
    session["visits"] = session.get("visits", 0) + 1
    return jsonify(session["visits"])


@app.get("/teapot")
async def teapot():
    raise common.TeapotError


@app.errorhandler(common.TeapotError)
async def short_and_stout(error):
    return {"error": "teapot"}, 418


@app.get("/fail")
async def fail():
    raise common.UnhandledError(request.args["mark"])


@app.get("/moved")
async def moved():
    return redirect(url_for("greet", name="moved"))


@app.get("/seen")
async def seen():
    return {
        "client": request.remote_addr,
        "scheme": request.scheme,
        "host": request.host,
        "url": request.url,
        "greet": url_for("greet", name="you", _external=True),
    }


@app.post("/later")
async def later():
    app.add_background_task(common.async_work, request.args["gate"])
    return "later"
