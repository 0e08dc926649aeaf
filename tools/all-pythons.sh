#!/bin/sh
# Run the tests on every supported Python that is found, each in an environment of its own; $SKIP names one to leave out.
#
# In-place extensions carry the Python's version in their names, so all of them can live side by side.
set -eu
cd "$(dirname "$0")/.."
for python in $(PYTHON='' tools/python.sh all); do
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    [ "$version" != "${SKIP:-}" ] || continue
    echo "== Python $version"
    make --no-print-directory test PYTHON="$python" VENV=".venv-$version"
done
