#!/bin/sh
# sanitize.sh DIRECTORY TARGET [VARIABLE=…]: `make TARGET` in DIRECTORY with the sanitizers in the build and around what it runs.
#
# The interpreter itself is not built with them, so their runtime is preloaded into the test processes (and only there:
# compilers and pip run without). Leaks are not searched for: an interpreter leaves much behind at exit by design; the
# counters of the debug build watch over granite's own objects. Reports go to files, because pytest captures what a
# process prints and a killed one takes it along; a report from any process, a child's too, fails the run. Faults are
# reported first, ahead of the interpreter's handler: behind it they would be known by its signal alone.
set -eu
tree=$1
shift
cc=${CC:-cc}
reports=$(cd "$tree" && pwd)/build/reports
rm -rf "$reports"
mkdir -p "$reports"

first=handle_segv=2:handle_sigbus=2:handle_sigfpe=2:handle_sigill=2
run="env LD_PRELOAD='$($cc -print-file-name=libasan.so) $($cc -print-file-name=libstdc++.so)' PYTHONMALLOC=malloc"
run="$run ASAN_OPTIONS=detect_leaks=0:strict_string_checks=1:print_cmdline=1:$first:log_path=$reports/asan"
run="$run UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:log_path=$reports/ubsan"
export GRANITE_DEBUG=1 GRANITE_SANITIZE=address,undefined
code=0
make --no-print-directory -C "$tree" VENV=.venv RUN="$run" "$@" || code=$?
for report in "$reports"/*; do
    [ -f "$report" ] || continue
    cat "$report" >&2
    code=1
done
exit $code
