"""A config file of Gunicorn's, as projects with prometheus-client's multi-process mode have it:
hooks that keep a file for each worker and tell the platform when the server may get traffic.
"""

import os
import pathlib
import shutil

metrics_dir = pathlib.Path(os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", "metrics"))
initialized = pathlib.Path("app-initialized")

bind = "{}:{}".format(os.environ.get("HOST", "0.0.0.0"), os.environ.get("PORT", "8080"))
workers = 2
worker_class = "uvicorn.workers.UvicornWorker"
worker_tmp_dir = "/dev/shm"
timeout = 120
graceful_timeout = 20
keepalive = 75
forwarded_allow_ips = "*"
accesslog = "-"
errorlog = "-"


def on_starting(server):
    server.log.info("collecting metrics in %s", metrics_dir)
    shutil.rmtree(metrics_dir, ignore_errors=True)
    metrics_dir.mkdir()


def pre_fork(server, worker):
    server.log.debug("worker %s comes", worker.age)


def post_fork(server, worker):
    (metrics_dir / f"counter_{worker.pid}.db").touch()
    server.log.info("worker spawned (pid: %s)", worker.pid)


def post_worker_init(worker):
    worker.log.info("worker initialized (pid: %s)", worker.pid)


def when_ready(server):
    initialized.touch()


def worker_int(worker):
    worker.log.info("worker interrupted (pid: %s)", worker.pid)


def child_exit(server, worker):
    (metrics_dir / f"counter_{worker.pid}.db").unlink()
    server.log.info("worker left (pid: %s)", worker.pid)


def on_exit(server):
    initialized.unlink()
