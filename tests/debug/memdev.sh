#!/bin/sh
# memdev.sh - memdev.py and libvirt.py quick, for make check.
python=$(command -v python3) || { echo "memdev.sh: skipped: there is no python3"; exit 77; }
for bios in /usr/share/seabios /usr/share/qemu; do [ ! -e $bios/bios-256k.bin ] || found=yes; done
[ "${found-}" ] || { echo "memdev.sh: skipped: there is no SeaBIOS (install seabios)"; exit 77; }
[ -z "${EMULATOR-}" ] || export SLOW=10
"$python" "${srcdir:-.}/tests/debug/libvirt.py" --latimer "${LATIMER:-./latimer}" quick || exit 1
exec "$python" "${srcdir:-.}/tests/debug/memdev.py" --latimer "${LATIMER:-./latimer}" quick
