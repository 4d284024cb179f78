#!/bin/sh
# profile.sh - profile.py quick, for make check.
python=$(command -v python3) || { echo "profile.sh: skipped: there is no python3"; exit 77; }
[ -z "${EMULATOR-}" ] || export SLOW=10
exec "$python" "${srcdir:-.}/tests/debug/profile.py" --latimer "${LATIMER:-./latimer}" quick
