#!/bin/sh
# tree.sh DIRECTORY: mirror this tree into DIRECTORY for a build of another variant.
#
# Extensions of all variants have the same file names, so debug and sanitizer ones are built in place in a tree of their
# own. Times are kept, and what was built there stays, so that the build there is incremental.
set -eu
cd "$(dirname "$0")/.."
target=$1
mkdir -p "$target/build"
[ ! -d build/cython ] || cp -au build/cython "$target/build/" # what Cython makes is the same for all variants
list() {
    find . \( -path ./.git -o -path './.venv*' -o -path ./build -o -path ./dist -o -name __pycache__ -o -name '.*_cache' \
        -o -name .hypothesis -o -path ./.bench -o -name '*.egg-info' \) -prune -o -type f ! -name '*.so' -print | LC_ALL=C sort
}
# A file that is gone here must not be found there.
(cd "$target" && list) | LC_ALL=C comm -13 "$(list >"$target/.files" && echo "$target/.files")" - |
    (cd "$target" && grep -v '^\./\.files$' | while IFS= read -r file; do rm -f "$file"; done) || true
tar -cf - -T "$target/.files" | tar -xf - -C "$target"
