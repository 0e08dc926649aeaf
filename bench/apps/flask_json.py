"""Flask answering with a small JSON document, as most of its routes do."""

from __future__ import annotations

from flask import Flask

app = Flask(__name__)


def hello() -> dict[str, str]:
    """Return ``{"message": "Hello, World!"}``."""
    return {"message": "Hello, World!"}


app.add_url_rule("/", view_func=hello)
