#!/bin/sh
# Print the Python to use, or with "all" every supported one, as absolute paths, newest first.
#
# $PYTHON overrides the choice. The default python3 is taken when it is 3.12 or newer; otherwise the newest supported
# Python on PATH or among pyenv's versions. Only one that can make a virtual environment and has its headers counts.
set -eu

SUPPORTED="3.13 3.12 3.11 3.10"

# usable COMMAND [MINIMUM]: prints the interpreter behind COMMAND when granite can be built with it.
usable() {
    "$1" - "${2:-3.10}" 2>/dev/null <<'PY'
import os, sys, sysconfig
import ensurepip, ssl, venv

minimum = tuple(map(int, sys.argv[1].split(".")))
headers = os.path.join(sysconfig.get_path("include"), "Python.h")
if sys.version_info[:2] < minimum or sys.implementation.name != "cpython" or not os.path.isfile(headers):
    sys.exit(1)
print(os.path.realpath(sys.executable) if sys.prefix == sys.base_prefix else sys.executable)
PY
}

# find VERSION: prints the usable Python of that minor version.
find() {
    usable "python$1" && return
    for candidate in "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python; do
        [ -x "$candidate" ] && usable "$candidate" && return
    done
    [ "$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$1" ] && usable python3
}

if [ "${1:-}" = all ]; then
    for version in $SUPPORTED; do find "$version" || true; done
elif [ -n "${PYTHON:-}" ]; then
    usable "$PYTHON" && exit
    echo "PYTHON=$PYTHON is not a CPython >= 3.10 with its headers and the venv module" >&2
    exit 1
else
    usable python3 3.12 && exit
    for version in $SUPPORTED; do find "$version" && exit; done
    echo "no Python >= 3.10 with its headers and the venv module was found; name one: make PYTHON=/path/to/python" >&2
    exit 1
fi
