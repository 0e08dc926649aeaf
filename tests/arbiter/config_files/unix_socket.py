"""A config file of Gunicorn's for a server behind a proxy on the same machine: a Unix socket that
the proxy's group may use, a user of its own, a pid file, and the application's environment.
"""

import os

_run = os.environ.get("RUN_DIRECTORY", "/run/shop")

bind = "unix:" + os.path.join(_run, "shop.sock")  # noqa: PTH118
umask = 0o007
user = os.geteuid()
group = os.getegid()
pidfile = f"{_run}/shop.pid"
chdir = os.environ.get("APP_DIRECTORY", "/srv/shop")
wsgi_app = "app:app"
worker_class = "uvicorn.workers.UvicornWorker"
workers = 2
backlog = 512
raw_env = [
    "SHOP_SETTINGS=shop.settings.production",
    "SHOP_HOSTS=shop.example,www.shop.example",
]
max_requests = 1000
max_requests_jitter = 100
reload = os.environ.get("DEBUG") == "1"
initgroups = True
loglevel = "debug"
accesslog = None
syslog = False
