#!/bin/sh
# perf.sh - translated code for the host's perf: what -perfmap and -jitdump write, and what perf itself makes of it.
. "${srcdir:-.}/tests/cli/lib.sh"
$jit || { echo "perf.sh: skipped: no code generator"; exit 77; }
elf=$PWD/latimer                               # which $latimer may run by a script
[ -e "$elf" ] || elf=$latimer
case $latimer in /*) ;; *) latimer=$PWD/$latimer ;; esac
guest spin b9000000404975fdb021e6f4f4           # mov ecx,40000000h; 100025: dec ecx; jnz; mov al,21h; out 0f4h,al
printf '100025 T hot_loop\n' >"$work/System.map"
run="-kernel $work/spin -symbols $work/System.map -device isa-debug-exit -display none -serial null -monitor none"
cd "$work" || exit 1

# The files by themselves: names, and a dump that is records from its first byte to its last
$under "$latimer" $run -perfmap -jitdump </dev/null &
pid=$!
wait $pid
code=$?
holds 'the guest has run' "[ $code = 67 ]"
holds 'a map of blocks by address, mode and symbol' "grep -q '^[0-9a-f]* [0-9a-f]* 32\.cpl0:100025 <hot_loop>\$' /tmp/perf-$pid.map"
holds 'a dump of records' "perl -e '
    local \$/; open(my \$f, \"<:raw\", \"jit-$pid.dump\") or die; my \$d = <\$f>;
    my (\$magic, \$version, \$size, \$machine, \$pad, \$pid, \$began) = unpack(\"L6Q\", \$d);
    open(my \$self, \"<:raw\", \"$elf\") or die; my \$elf = <\$self>;
    die unless \$magic == 0x4a695444 && \$version == 1 && \$size == 40 && \$pid == $pid;
    die \"machine \$machine\" unless \$machine == unpack(\"S\", substr(\$elf, 18));
    my (\$at, \$n, \$last, \$loop) = (40, 0, \$began, 0);
    while (\$at < length \$d) {
        my (\$id, \$len, \$time) = unpack(\"LLQ\", substr(\$d, \$at));
        die \"at \$at\" if \$time < \$last || \$len < 16 || \$at + \$len > length \$d;
        \$last = \$time;
        if (\$id == 3) { exit !(\$at + \$len == length \$d && \$loop); }
        my (\$p, \$tid, \$vma, \$addr, \$bytes, \$index, \$name) = unpack(\"LLQQQQZ*\", substr(\$d, \$at + 16));
        die \"record \$n\" unless \$id == 0 && \$p == \$pid && \$index == \$n++ && \$len == 56 + length(\$name) + 1 + \$bytes;
        \$loop ||= \$name eq \"32.cpl0:100025 <hot_loop>\";
        \$at += \$len;
    }
    die \"no end\"'"
rm -f "/tmp/perf-$pid.map"
guest exit b021e6f4f4
$under "$latimer" -accel interp -perfmap -kernel "$work/exit" -device isa-debug-exit </dev/null >out 2>&1 &
pid=$!
wait $pid
holds 'an interpreter has no code to tell of' "grep -q 'note.*translates nothing' out && [ -f /tmp/perf-$pid.map ] && [ ! -s /tmp/perf-$pid.map ]"
rm -f "/tmp/perf-$pid.map"

# perf: most of the guest's time is where it loops
mkdir perf && cd perf
if [ -n "${EMULATOR-}" ] || ! perf record -q -e cpu-clock -k mono -o try true >try.out 2>&1; then
    skip 'perf report and perf inject' 'no perf (install linux-perf), or no right to use it'
else
    share() { perf report -i "$1" --stdio -F overhead,sym 2>/dev/null |
        awk '/32\.cpl0:100025 <hot_loop>/ { n += $1 } END { print int(n) }'; }
    perf record -q -e cpu-clock -k mono -o data "$latimer" $run -perfmap -jitdump </dev/null >run.out 2>&1
    holds 'perf has names by the map' "[ $(share data) -ge 50 ]"
    perf inject --jit -i data -o jitted >>run.out 2>&1
    holds 'perf has names by the dump' "[ $(share jitted) -ge 50 ] && perf report -i jitted --stdio -F dso 2>/dev/null | grep -q 'jitted-.*\.so'"
    for f in jit-*.dump; do pid=${f#jit-}; rm -f "/tmp/perf-${pid%.dump}.map"; done
fi
echo "perf.sh: $n cases, $failed failed"
[ "$failed" = 0 ]
