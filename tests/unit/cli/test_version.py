"""`granite version`."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version

from granite import __version__, cli


def test_text(capsys):
    assert cli.main(["version"]) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == f"granite {__version__}"
    found = {line.split()[0]: line.split(None, 1)[1] for line in rest}
    assert found["Python"].endswith(platform.python_version())
    assert {"libuv", "llhttp", "nghttp2", "OpenSSL", "uvloop", "watchfiles"} <= found.keys()
    assert "HTTP/1.1" in found["features"]


def test_json(capsys):
    assert cli.main(["version", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["granite"] == __version__
    assert all(text[0].isdigit() for text in found["libraries"].values())
    assert found["packages"]["uvloop"] == version("uvloop")
    assert found["features"]["HTTP/1.1"] is True
    assert found["build"].keys() == {"debug", "sanitizer", "free_threaded"}
