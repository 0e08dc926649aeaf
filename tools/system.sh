#!/bin/sh
# Make sure that what the build needs from the system is there: installed by apt when root, else named in one command.
#
# Arguments: further commands that must exist, as command=package (`make conformance` asks for its suites and clients in this way).
set -eu
here=$(dirname "$0")
pkg_config=${PKG_CONFIG:-pkg-config}

missing() {
    command -v "${CC:-cc}" >/dev/null || echo gcc libc6-dev
    command -v "$pkg_config" >/dev/null || echo pkg-config
    "$pkg_config" --atleast-version=3.0 libcrypto 2>/dev/null || echo libssl-dev
    "$pkg_config" --atleast-version=1.52 libnghttp2 2>/dev/null || echo libnghttp2-dev
    "$pkg_config" --atleast-version=1.2.11 zlib 2>/dev/null || echo zlib1g-dev
    [ -n "${PYTHON:-}" ] || "$here/python.sh" >/dev/null 2>&1 || echo python3 python3-venv python3-dev
    for tool in "$@"; do
        command -v "${tool%%=*}" >/dev/null || echo "${tool#*=}"
    done
}

packages=$(missing "$@" | tr '\n' ' ')
[ -n "$packages" ] || exit 0
if ! command -v apt-get >/dev/null; then
    echo "granite needs what Debian calls: $packages- install your system's packages of these" >&2
    exit 1
elif [ "$(id -u)" != 0 ]; then
    echo "granite needs system packages that are missing. Type: sudo apt-get install $packages" >&2
    exit 1
fi
echo "installing $packages"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -qq -y --no-install-recommends $packages >/dev/null
still=$(missing "$@" | tr '\n' ' ')
[ -z "$still" ] || { echo "these are installed, but too old or not found: $still" >&2; exit 1; }
