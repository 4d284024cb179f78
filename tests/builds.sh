#!/bin/sh
# builds.sh - the tests in two more builds that look harder (make check-builds).
#
#   checked      the IR is verified after lifting and after the walk back: unit tests, and a boot to a shell
#   sanitizers   AddressSanitizer and UndefinedBehaviorSanitizer: unit tests, and 20 seconds of the fuzzer
#
# usage: builds.sh SOURCE [BUILD...]      SOURCE: an unpacked distribution; builds are made beside it and kept
set -eu
src=$(cd "$1" && pwd)
shift
jobs=$(nproc 2>/dev/null || echo 2)
MAKE=${MAKE:-make}
here=$(dirname "$src")

# build NAME FLAG: configure and make it, unless that was done; the rest of the test runs there
build() {
    mkdir -p "$here/$1"
    cd "$here/$1"
    echo "builds.sh: $1"
    [ -e config.status ] || "$src/configure" -q --enable-werror "$2"
    $MAKE -s -j"$jobs" all
}

checked() {
    build checked --enable-checked
    $MAKE -s -j"$jobs" check-quick
    $MAKE -s check-boot CASES=amd64-jit
}

# Leaks are not looked for: what lives as long as the process is left to the system.
sanitizers() {
    build sanitizers --enable-sanitizers
    ASAN_OPTIONS=detect_leaks=0
    export ASAN_OPTIONS
    $MAKE -s -j"$jobs" check-quick
    $MAKE -s -j"$jobs" tests/fuzz/fuzz
    tests/fuzz/fuzz --seconds 20
}

[ $# -gt 0 ] || set -- checked sanitizers
for name in "$@"; do
    ($name)
done
