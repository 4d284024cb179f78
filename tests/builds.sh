#!/bin/sh
# builds.sh - the tests in more builds (make check-builds).
#
#   checked      the IR is verified after lifting and after the walk back: unit tests of what executes, and a boot to a shell
#   sanitizers   AddressSanitizer and UndefinedBehaviorSanitizer: unit tests, 20 seconds of the fuzzer, 60 of the devices' and the debuggers'
#   interp       without code generator (--disable-jit), what hosts have that no backend knows: unit tests of what executes,
#                command line
#   arm          for AArch64 hosts, run by qemu-aarch64: unit tests, fuzzer, command line, pages of 16 and 64 KiB, with and without
#                the host's optional features, a boot to a shell, snapshots of this host's; needs what `bootstrap arm-test` installs
#   only_arm     the same build, without the tests (make bench-arm)
#   deb          Debian packages for this machine and, on x86-64, for AArch64: lintian, and the command line with
#                the program as packaged (there, by qemu-aarch64); one that cannot be made here is skipped, with why
#
# usage: builds.sh SOURCE [BUILD...]      SOURCE: an unpacked distribution; builds are made beside it and kept
set -eu
src=$(cd "$1" && pwd)
shift
MAKE=${MAKE:-make}
# Below make -j its jobs are shared.
case ${MAKEFLAGS-} in *jobserver*) parallel= ;; *) parallel=-j$(nproc 2>/dev/null || echo 2) ;; esac
here=$(dirname "$src")

# What reports need to name lines, and no more: compilers are half of what all this takes.
CFLAGS='-O2 -g1'

# build NAME FLAGS: configure and make it, unless that was done; the rest of the test runs there
build() {
    mkdir -p "$here/$1"
    cd "$here/$1"
    echo "builds.sh: $1"
    shift
    [ -e config.status ] || "$src/configure" -q --enable-werror CFLAGS="$CFLAGS" "$@"
    $MAKE -s $parallel all
}

checked() {
    build checked --enable-checked
    $MAKE -s $parallel check-engine-quick
    $MAKE -s check-boot CASES=amd64-jit
}

# Leaks are not looked for: what lives as long as the process is left to the system.
sanitizers() {
    CFLAGS='-O1 -g1'            # -O2 takes twice as long to compile
    build sanitizers --enable-sanitizers
    ASAN_OPTIONS=detect_leaks=0
    export ASAN_OPTIONS
    $MAKE -s $parallel check-quick
    $MAKE -s $parallel tests/fuzz/fuzz
    tests/fuzz/fuzz --seconds 20
    # Its own signal stacks are Latimer's (crash.c), too.
    ASAN_OPTIONS=detect_leaks=0:use_sigaltstack=0 LATIMER=$PWD/latimer python3 "$src/tests/debug/gdb.py" packets clients memory steps
    ASAN_OPTIONS=detect_leaks=0:use_sigaltstack=0 LATIMER=$PWD/latimer python3 "$src/tests/debug/fuzz.py" --seconds 30
    $MAKE -s $parallel tests/fuzz/fuzz_dev
    tests/fuzz/fuzz_dev --seconds 30
}

interp() {
    build interp --disable-jit
    $MAKE -s $parallel check-engine
}

# The AArch64 libraries lie in their multiarch folders; only they may be found.
only_arm() {
    PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig
    export PKG_CONFIG_LIBDIR
    build arm --host=aarch64-linux-gnu
    printf '#!/bin/sh\nexec qemu-aarch64-static %s "$@"\n' "$PWD/latimer" >run-latimer
    chmod +x run-latimer
}

arm() {
    only_arm
    $MAKE -s $parallel check EMULATOR=qemu-aarch64-static RUN_LATIMER="$PWD/run-latimer"
    other_pages
    for cpu in max cortex-a57; do               # the second has ARMv8.0 and nothing more
        echo "builds.sh: -cpu $cpu"
        EMULATOR="qemu-aarch64-static -cpu $cpu" LATIMER="$PWD/run-latimer" sh "$src/tests/features.sh" short
    done
    $MAKE -s check-boot CASES=amd64-jit RUN_LATIMER="$PWD/run-latimer"
    between_hosts
}

# Machines this host's Latimer saves and that one loads, and the other way round.
between_hosts() {
    native=$here/../latimer
    [ -x "$native" ] || { echo "builds.sh: snapshots of another host: skipped: there is no $native"; return 0; }
    SLOW=10 OTHER=$native python3 "$src/tests/debug/snap.py" --latimer "$PWD/run-latimer" hosts
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

# package ARCH [EMULATOR]: makes and looks at one package
package() {
    sh "$src/debian/build.sh" "$src" "$here/deb" "$1" >"$here/deb-$1.log" 2>&1 || {
        tail -n 40 "$here/deb-$1.log"
        echo "builds.sh: deb: no package for $1; all of the output is in $here/deb-$1.log"
        exit 1
    }
    cd "$here/deb"
    version=$(dpkg-parsechangelog -l "$src/debian/changelog" -S Version)
    # Newer releases of Debian have newer standards.
    lintian --allow-root -I --pedantic --fail-on error,warning,info --suppress-tags out-of-date-standards-version \
        "latimer_${version}_$1.changes"
    rm -rf "$1"
    dpkg-deb -x "latimer_${version}_$1.deb" "$1"
    program=$PWD/$1/usr/bin/latimer
    if [ $# = 2 ]; then
        printf '#!/bin/sh\nexec %s %s "$@"\n' "$2" "$program" >"run-$1"
        chmod +x "run-$1"
        program=$PWD/run-$1
    fi
    "$program" --version | grep -qx "Latimer version $version" ||
        { echo "configure.ac and debian/changelog (version $version) disagree: $("$program" --version)"; exit 1; }
    (cd "$src" && export LATIMER="$program" && sh tests/cli/cli.sh && sh tests/cli/image.sh && sh tests/cli/crash.sh)
    echo "builds.sh: deb: $PWD/latimer_${version}_$1.deb"
    echo "# PASS: 1"
}

# can_package ARCH OPTIONS TOOL...: OPTIONS are dpkg-checkbuilddeps's
can_package() {
    arch=$1 options=$2 lacking=
    shift 2
    for tool in dpkg-buildpackage dh lintian "$@"; do
        command -v "$tool" >/dev/null || lacking="$lacking $tool"
    done
    [ -n "$lacking" ] || lacking=$(dpkg-checkbuilddeps $options "$src/debian/control" 2>&1)
    [ -n "$lacking" ] || return 0
    echo "builds.sh: skipping the package for $arch, for want of: ${lacking# }"
    echo "# SKIP: 1"
    return 1
}

deb() {
    arch=$(dpkg --print-architecture 2>/dev/null || uname -m)
    ! can_package "$arch" '' || (package "$arch")
    [ "$arch" = amd64 ] || return 0
    ! can_package arm64 '-a arm64 -P cross,nocheck' aarch64-linux-gnu-gcc qemu-aarch64-static ||
        (package arm64 qemu-aarch64-static)
}

[ $# -gt 0 ] || set -- checked sanitizers interp
for name in "$@"; do
    start=$(date +%s)
    ($name)
    echo "builds.sh: $name took $(($(date +%s) - start)) s; CPU of all so far, shell and children:"
    times
done
