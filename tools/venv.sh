#!/bin/sh
# venv.sh DIRECTORY [EXTRA,...]: bring a virtual environment up to date with pyproject.toml, then build in place.
#
# The environment holds the build's requirements, the extras, and granite itself, linked to this tree. What was
# installed is noted in the environment, so that a second run installs nothing; the build is incremental by itself.
set -eu
here=$(dirname "$0")
cd "$here/.."
venv=$1
extras=${2:-}

if [ -n "${PYTHON:-}" ] || [ ! -x "$venv/bin/python" ]; then
    python=$("$here/python.sh" 2>&1) || { echo "$python" >&2; exit 1; }
    if [ "$(cat "$venv/.python" 2>/dev/null)" != "$python" ]; then
        echo "$venv: $("$python" --version)"
        rm -rf "$venv"
        "$python" -m venv "$venv"
        echo "$python" >"$venv/.python"
    fi
fi

build() {
    "$venv/bin/python" setup.py --quiet build_ext --inplace &&
        "$venv/bin/python" -m compileall -q granite # as an installation does, also where Python may not write bytecode
}

# link: granite itself, linked to this tree, and what the extras require; pip needs one core, and the build the rest.
link() {
    GRANITE_LINK_ONLY=1 $pip install --no-build-isolation --editable ".${extras:+[$extras]}"
}

note=$venv/.installed-${extras:-base}
if ! cmp -s pyproject.toml "$note"; then
    echo "$venv: installing${extras:+ the requirements of $extras} and building"
    pip="$venv/bin/python -m pip --quiet --disable-pip-version-check"
    sed -n 's/^requires = \[\(.*\)\]$/\1/p' pyproject.toml | tr -d '" ' | tr ',' '\n' >"$venv/.requirements"
    $pip install --requirement "$venv/.requirements"
    "$venv/bin/python" vendor/fetch.py >/dev/null # before both need it
    link &
    linking=$!
    trap 'kill $linking 2>/dev/null' EXIT # an interrupt does not reach what runs in the background
    built=0
    build || built=$?
    wait $linking
    trap - EXIT
    [ "$built" = 0 ] || exit "$built"
    cp pyproject.toml "$note"
else
    build
fi
