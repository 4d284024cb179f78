#!/bin/sh
# migrate.sh - migrate.py quick, for make check.
python=$(command -v python3) || { echo "migrate.sh: skipped: there is no python3"; exit 77; }
for bios in /usr/share/seabios /usr/share/qemu; do [ ! -e $bios/bios-256k.bin ] || found=yes; done
[ "${found-}" ] || { echo "migrate.sh: skipped: there is no SeaBIOS (install seabios)"; exit 77; }
[ -z "${EMULATOR-}" ] || export SLOW=10
exec "$python" "${srcdir:-.}/tests/debug/migrate.py" --latimer "${LATIMER:-./latimer}" quick
