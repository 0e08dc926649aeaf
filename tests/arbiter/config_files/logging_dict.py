"""A config file of Gunicorn's with the whole of logging in a dictionary: formatters, handlers, a
filter of the project's own, and Gunicorn's two loggers.
"""

import logging
import os

bind = os.environ.get("BIND", "127.0.0.1:8000")
workers = int(os.environ.get("WEB_CONCURRENCY", 1))
worker_class = "uvicorn_worker.UvicornWorker"
proc_name = "shop"
preload_app = False

LOG_LEVEL = os.environ.get("LOG_LEVEL", "INFO").upper()


class NoHealthChecks(logging.Filter):
    def filter(self, record):
        return "/health" not in record.getMessage()


logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"no_health": {"()": NoHealthChecks}},
    "formatters": {
        "plain": {
            "format": "shop %(levelname)-7s %(name)s | %(message)s",
            "datefmt": "%H:%M:%S",
            "class": "logging.Formatter",
        },
        "access": {"format": "shop access | %(message)s"},
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "plain"},
        "access_file": {
            "class": "logging.handlers.WatchedFileHandler",
            "filename": os.environ.get("ACCESS_FILE", "access.log"),
            "formatter": "access",
            "filters": ["no_health"],
        },
    },
    "loggers": {
        "gunicorn.error": {
            "level": LOG_LEVEL,
            "handlers": ["console"],
            "propagate": False,
            "qualname": "gunicorn.error",
        },
        "gunicorn.access": {
            "level": "INFO",
            "handlers": ["access_file"],
            "propagate": False,
            "qualname": "gunicorn.access",
        },
    },
    "root": {"level": "WARNING", "handlers": ["console"]},
}
