"""The one build-backend hook that `pip download` calls, answered from the sdist's own PKG-INFO.

Runs in pip's subprocess, with the unpacked sdist as the working directory. It must not import the
sdist's code.
"""

import email
from pathlib import Path


def prepare_metadata_for_build_wheel(directory: str, settings: object = None) -> str:
    """Write <name>-<version>.dist-info/METADATA under *directory*; return its folder (PEP 517)."""
    text = Path("PKG-INFO").read_bytes()
    fields = email.message_from_bytes(text)
    folder = f"{fields['Name'].replace('-', '_')}-{fields['Version']}.dist-info"
    Path(directory, folder).mkdir()
    Path(directory, folder, "METADATA").write_bytes(text)
    return folder
