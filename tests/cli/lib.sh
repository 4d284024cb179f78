#!/bin/sh
# lib.sh - what the tests that run latimer share; read by them, in a folder where latimer was built.
#
# LATIMER: a command that runs latimer; under: what to run that with ("env A=B")
# Below nohup SIGHUP, which tests send, is ignored by whatever is started, and no shell can undo that by itself.
case $(sed -n 's/^SigIgn:.*\(.\)$/\1/p' /proc/$$/status 2>/dev/null) in
[13579bdf]) exec env --default-signal=HUP sh "$0" "$@" ;;
esac
. "${srcdir:-.}/tests/seabios.sh"
latimer=${LATIMER:-./latimer}
under=
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0 n=0

# expect CODE TEXT ARGS...: exit code, and a line of output that matches the basic regular expression
expect() {
    want=$1 text=$2 code=0
    shift 2
    n=$((n + 1))
    timeout -s KILL 60 $under "$latimer" "$@" </dev/null >"$work/out" 2>&1 || code=$?
    if [ "$code" = "$want" ] && { [ -z "$text" ] || grep -aq -e "$text" "$work/out"; }; then
        return
    fi
    failed=$((failed + 1))
    echo "FAIL: $under latimer $*: exit code $code, wanted $want and '$text'; output:"
    head -n 20 "$work/out" | sed 's/^/    /'
}

# Has this Latimer a code generator?
jit=true
! "$latimer" -accel help 2>&1 | grep -q 'no jit' || jit=false

# expect_jit: the same where there is a code generator; else it is missed
expect_jit() {
    if $jit; then
        expect "$@"
    else
        shift 2
        expect 2 'without a code generator' "$@"
    fi
}

# holds WHAT COMMAND: the shell command succeeds
holds() {
    n=$((n + 1))
    eval "$2" || { failed=$((failed + 1)); echo "FAIL: $1"; }
}

# guest NAME HEX: a multiboot image whose code (from 100020h on) is HEX
guest() {
    perl -e 'my ($out, $hex) = @ARGV; open(my $f, ">:raw", $out) or die; my $end = 0x100020 + length($hex) / 2;
        print $f pack("V8", 0x1badb002, 0x10000, -(0x1badb002 + 0x10000) & 0xffffffff, 0x100000, 0x100000,
                      $end, $end, 0x100020), pack("H*", $hex)' "$work/$1" "$2"
}

# What AddressSanitizer watches has another crash report, and much address space
sanitized=false
! grep -aq __asan_init "$latimer" || sanitized=true

# skip WHAT WHY
skip() {
    echo "$(basename "$0"): skipped: $1: $2"
}

# finish: how it went
finish() {
    echo "$(basename "$0"): $n cases, $failed failed"
    [ $failed = 0 ]
}
