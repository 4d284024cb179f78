#!/bin/sh
# builds.sh - the tests in more builds (make check-builds).
#
#   checked      the IR is verified after lifting and after the walk back: unit tests, and a boot to a shell
#   sanitizers   AddressSanitizer and UndefinedBehaviorSanitizer: unit tests, and 20 seconds of the fuzzer
#   interp       without code generator (--disable-jit), what hosts have that no backend knows: unit tests, command line
#   arm          for AArch64 hosts, run by qemu-aarch64: unit tests, fuzzer, command line, pages of 16 and 64 KiB, a boot to a shell; needs what `bootstrap arm-test` installs
#
# usage: builds.sh SOURCE [BUILD...]      SOURCE: an unpacked distribution; builds are made beside it and kept
set -eu
src=$(cd "$1" && pwd)
shift
jobs=$(nproc 2>/dev/null || echo 2)
MAKE=${MAKE:-make}
here=$(dirname "$src")

# build NAME FLAGS: configure and make it, unless that was done; the rest of the test runs there
build() {
    mkdir -p "$here/$1"
    cd "$here/$1"
    echo "builds.sh: $1"
    shift
    [ -e config.status ] || "$src/configure" -q --enable-werror "$@"
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

interp() {
    build interp --disable-jit
    $MAKE -s -j"$jobs" check
}

# The AArch64 libraries lie in their multiarch folders; only they may be found.
arm() {
    PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig
    export PKG_CONFIG_LIBDIR
    build arm --host=aarch64-linux-gnu
    printf '#!/bin/sh\nexec qemu-aarch64-static %s "$@"\n' "$PWD/latimer" >run-latimer
    chmod +x run-latimer
    $MAKE -s -j"$jobs" check EMULATOR=qemu-aarch64-static RUN_LATIMER="$PWD/run-latimer"
    other_pages
    $MAKE -s check-boot CASES=amd64-jit RUN_LATIMER="$PWD/run-latimer"
}

# Hosts with pages of 16 and 64 KiB: the emulator says it is one, the preloaded library refuses what such a one does
# (tests/cli/host_shim.c); tests/cli/host.sh has latimer itself.
other_pages() {
    loads=$(aarch64-linux-gnu-readelf -lW latimer | awk '$1 == "LOAD" && $NF != "0x10000"')
    [ -z "$loads" ] || { echo "builds.sh: a host with pages of 64 KiB cannot load this: $loads"; return 1; }
    for page in 16384 65536; do
        for t in tests/mmu/test_mmu tests/mmu/test_phys tests/sys/test_exec; do
            echo "builds.sh: $t with pages of $page bytes"
            qemu-aarch64-static -p $page -E HOST_PAGE=$page -E LD_PRELOAD="$PWD/tests/cli/host_shim.so" $t
        done
    done
}

[ $# -gt 0 ] || set -- checked sanitizers interp
for name in "$@"; do
    ($name)
done
