#!/bin/sh
# monitors.sh - is docs/monitor.md what `make monitor-docs` makes of the tables? Then monitors of machines that run
# nothing but the firmware: qmp.py quick, for make check.
src=${srcdir:-.}
if ! (cd "$src" && LC_ALL=C awk -f docs/trace.awk base/trace.def | cmp -s - docs/trace.md); then
    echo "monitors.sh: docs/trace.md is out of date: run make trace-docs"
    exit 1
fi
if ! (cd "$src" && LC_ALL=C awk -f docs/monitor.awk debug/hmp.def debug/qmp.def | cmp -s - docs/monitor.md); then
    echo "monitors.sh: docs/monitor.md is out of date: run make monitor-docs"
    exit 1
fi
python=$(command -v python3) || { echo "monitors.sh: skipped: there is no python3"; exit 77; }
for bios in /usr/share/seabios /usr/share/qemu; do [ ! -e $bios/bios-256k.bin ] || found=yes; done
[ "${found-}" ] || { echo "monitors.sh: skipped: there is no SeaBIOS (install seabios)"; exit 77; }
# Another kind of host's build is run by an emulator, many times slower.
[ -z "${EMULATOR-}" ] || export SLOW=10
"$python" "$src/tests/debug/qmp_schema.py" --latimer "${LATIMER:-./latimer}" quick || exit 1
exec "$python" "$src/tests/debug/qmp.py" --latimer "${LATIMER:-./latimer}" quick
