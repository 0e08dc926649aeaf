"""Node, which runs a script and prints one JSON value.

Owns its process. Must not know what scripts ask for.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.patience import PATIENCE

__all__ = ["find", "node"]

_FRAME = """
const given = JSON.parse(process.argv[1]);
(async () => {{ {script} }})().then(
  (value) => {{ process.stdout.write(JSON.stringify(value ?? null), () => process.exit(0)); }},
  (error) => {{ console.error(error); process.exit(1); }},
);
"""


def find() -> str | None:
    """Return the path of Node, None where it is not installed."""
    return shutil.which("node")


def node(authority: Path, script: str, **given: Any) -> Any:
    """Return what the body of an asynchronous function returns, which finds `given`; certificates
    of `authority` are good ones.
    """
    program = find()
    assert program is not None
    done = subprocess.run(
        [program, "-e", _FRAME.format(script=script), json.dumps(given)],
        # Neither a sanitizer of ours nor anybody's options.
        env={"PATH": os.environ["PATH"], "NODE_EXTRA_CA_CERTS": str(authority)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
