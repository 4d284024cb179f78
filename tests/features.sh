#!/bin/sh
# features.sh - tests of translated code with features of the host switched off, and in x86's memory order
#
#   short   all and none of the features, plain and in order: the run loop's tests, and a few seconds of the fuzzer each
#   long    also without each feature, more tests, and the fuzzer for longer (make check-features)
#
# usage: features.sh short|long       in the build's folder, with its test programs made
# LATIMER: a command that runs latimer; EMULATOR: one that runs a test program, where the host cannot
set -eu
programs="tests/ir/test_host tests/sys/test_exec tests/sys/test_sse tests/x87/test_x87_jit"
seconds=5
lists="all none"
recorded=                       # every row beside what was recorded of a processor: long
latimer=${LATIMER:-./latimer}
names=$("$latimer" -accel help | sed -n '/host-features=/,$ s/^  \([^ ]*\) *\(yes\|no\) .*/\1/p')
case ${1:-} in
short) ;;
long)
    seconds=20
    programs="$programs tests/sys/test_sequences tests/sys/test_place tests/sys/test_track"
    recorded="tests/hw/hwtest --engine jit --recorded"
    for name in $names; do
        lists="$lists -$name"
    done ;;
*)
    echo "usage: features.sh short|long" >&2
    exit 2 ;;
esac
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0
for list in $lists; do
    for tso in off on; do
        for test in $programs ${recorded:+"$recorded"} "tests/fuzz/fuzz --decode 0 --seconds $seconds"; do
            code=0
            # shellcheck disable=SC2086
            LATIMER_FEATURES=$list LATIMER_TSO=$tso ${EMULATOR:-} $test >"$log" 2>&1 || code=$?
            [ $code = 0 ] || { failed=$((failed + 1)); head -n 60 "$log"; }
            echo "host-features=$list tso=$tso $test: exit code $code: $(tail -n 1 "$log")"
        done
    done
done
exit $((failed != 0))
