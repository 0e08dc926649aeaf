from __future__ import annotations

from flask import Flask, Response, jsonify, redirect, request, send_file, session, url_for

from tests.frameworks import common

app = Flask(__name__)
app.secret_key = common.SECRET


@app.get("/greet/<name>")
def greet(name):
    return common.greeting(name, request.args.get("times", 1, int))


@app.post("/json")
def echo():
    return {"got": request.json}


@app.post("/upload")
def upload():
    file = request.files["file"]
    return {
        "note": request.form["note"],
        "name": file.filename,
        "type": file.content_type,
        "digest": common.digest(file.read()),
    }


@app.get("/stream")
def stream():
    return Response(common.pieces(request.args["gate"]))


@app.get("/download")
def download():
    return send_file(common.FILE)


@app.get("/visits")
def visits():
    session["visits"] = session.get("visits", 0) + 1
    return jsonify(session["visits"])


@app.get("/teapot")
def teapot():
    raise common.TeapotError


@app.errorhandler(common.TeapotError)
def short_and_stout(error):
    return {"error": "teapot"}, 418


@app.get("/fail")
def fail():
    raise common.UnhandledError(request.args["mark"])


@app.get("/moved")
def moved():
    return redirect(url_for("greet", name="moved"))


@app.get("/seen")
def seen():
    return {
        "client": request.remote_addr,
        "scheme": request.scheme,
        "host": request.host,
        "url": request.url,
        "greet": url_for("greet", name="you", _external=True),
    }
