"""A config file of Gunicorn's in the style of well-known container images: everything comes from
the environment, with helper variables on the way, and the result is printed for whoever looks into
the container.
"""

import json
import multiprocessing
import os

cores_factor_str = os.getenv("WORKERS_PER_CORE", "1")
limit_str = os.getenv("MAX_WORKERS")
worker_limit = None
if limit_str:
    worker_limit = int(limit_str)
web_concurrency_str = os.getenv("WEB_CONCURRENCY", None)

host = os.getenv("HOST", "0.0.0.0")
port = os.getenv("PORT", "80")
bind_env = os.getenv("BIND", None)
use_bind = bind_env or f"{host}:{port}"

cores = multiprocessing.cpu_count()
wanted_workers = int(float(cores_factor_str) * cores) * 2 + 1
if web_concurrency_str:
    web_concurrency = int(web_concurrency_str)
    assert web_concurrency > 0
else:
    web_concurrency = max(wanted_workers, 2)
    if worker_limit:
        web_concurrency = min(web_concurrency, worker_limit)

accesslog_var = os.getenv("ACCESS_LOG", "-")
use_accesslog = accesslog_var or None
errorlog_var = os.getenv("ERROR_LOG", "-")
use_errorlog = errorlog_var or None
graceful_timeout_str = os.getenv("GRACEFUL_TIMEOUT", "120")
timeout_str = os.getenv("TIMEOUT", "120")
keepalive_str = os.getenv("KEEP_ALIVE", "5")

# What Gunicorn reads.
loglevel = os.getenv("LOG_LEVEL", "info")
workers = web_concurrency
bind = use_bind
errorlog = use_errorlog
worker_tmp_dir = "/dev/shm"
accesslog = use_accesslog
graceful_timeout = int(graceful_timeout_str)
timeout = int(timeout_str)
keepalive = int(keepalive_str)
worker_class = os.getenv("WORKER_CLASS", "uvicorn.workers.UvicornWorker")

# For debugging and tests.
log_data = {
    "loglevel": loglevel,
    "workers": workers,
    "bind": bind,
    "graceful_timeout": graceful_timeout,
    "timeout": timeout,
    "keepalive": keepalive,
    "errorlog": errorlog,
    "accesslog": accesslog,
    "workers_per_core": cores_factor_str,
    "use_max_workers": worker_limit,
    "host": host,
    "port": port,
}
print(json.dumps(log_data), flush=True)
