#!/bin/sh
# recorded.sh - Latimer, with every engine of this build, against what was recorded of a real x86 CPU
# (record.c); then what is said of recordings that cannot be used, and that a wrong result is seen.
#
# $EMULATOR runs a test program (a build for another kind of host); $srcdir: the source.
set -eu
hwtest="${EMULATOR-} ./tests/hw/hwtest"
from=$srcdir/tests/hw/recorded
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
out=$dir/out
failed=0

fail() { echo "FAIL: $*"; cat "$out"; failed=1; }

# try CODE REGEX ARGS: hwtest must end with CODE and say REGEX
try() {
    code=$1 text=$2 got=0
    shift 2
    $hwtest "$@" >"$out" 2>&1 || got=$?
    [ "$got" = "$code" ] || fail "hwtest $*: exit status $got, not $code"
    grep -Eq -e "$text" "$out" || fail "hwtest $*: nothing like: $text"
}

# edit PERL FILE: a copy of a recording with a change, in $dir/edited
edit() {
    gzip -dc "$from/$2" | perl -0777 -pe "$1" | gzip >"$dir/edited"
    ! gzip -dc "$dir/edited" | cmp -s - "$dir/plain" || { echo "FAIL: no change by: $1"; failed=1; }
}

try 0 ' 0 differences' --recorded
cat "$out"
for f in int mmx sse x87; do
    grep -Eq "/$f\.gz: [1-9][0-9]* rows, ([3-9]|[0-9]+[0-9])[0-9][0-9] instances of each" "$out" ||
        fail "not 300 instances of each row of $f"
done

# Nothing but an x86-64 host can run instances itself.
alone="--count 1 --row BSWAP --engine interp"
code=$($hwtest $alone >"$out" 2>&1 && echo 0 || echo 2)
try "$code" '1 instances run.* 0 differences|no x86-64: compare with what was recorded' $alone

# Only the x86-64 backend makes code for an old processor.
old="--engine old --row BSWAP --recorded $from/int.gz"
code=$($hwtest $old >"$out" 2>&1 && echo 0 || echo 2)
try "$code" ', engine old$|no engine old: take --engine interp' $old

cp "$from/mmx.gz" "$dir/whole"
gzip -dc "$dir/whole" >"$dir/plain"
try 2 'none: No such file or directory; take it from the source .*make record-hw' --recorded "$dir/none"
head -c 100000 "$dir/whole" >"$dir/short"
try 2 'short: cut off or damaged .*make record-hw' --recorded "$dir/short"
{ head -c 100000 "$dir/whole"; printf damage; tail -c +100007 "$dir/whole"; } >"$dir/damaged"
try 2 'damaged: cut off or damaged .*make record-hw' --recorded "$dir/damaged"
echo "something else" >"$dir/other"
try 2 'other is no recording, .*make record-hw' --recorded "$dir/other"
edit 's/^latimer recording 1/latimer recording 9/' mmx.gz
try 2 'is a recording of format 9, this program reads 1; .*make record-hw' --recorded "$dir/edited"

# Other instances than those recorded, or none: told by row, and not taken for wrong results.
edit 's/\0EMMS\0\K(.)/$1 ^ "\1"/se' mmx.gz
try 2 'row EMMS: other instances were recorded' --recorded "$dir/edited"
try 0 ' 300 instances run.* 0 differences' --row MOVQ_PQ_QQ --recorded "$dir/edited"
edit 's/\0EMMS\0/\0OLD\0/' mmx.gz
try 2 'row EMMS: nothing was recorded of it' --recorded "$dir/edited"
try 2 'of 1 rows .* record again: make record-hw' --recorded "$dir/edited"

# A byte of the first instance's first changed field is another.
edit 's/\0EMMS\0.{8}[\x80-\xff]*[\0-\x7f].\K(.)/$1 ^ "\1"/se' mmx.gz
try 1 'difference \(--seed 1 --row EMMS --instance 0\) EMMS: .* emms' --engine interp --recorded "$dir/edited"
try 1 '-> recorded [0-9a-f ]*, latimer ' --engine interp --row EMMS --instance 0 --recorded "$dir/edited"
try 0 ' 1 instances run.* 0 differences' --engine interp --row EMMS --instance 1 --recorded "$dir/edited"
exit $failed
