#!/bin/sh
# fuzz.sh - some seconds of fuzz.py, always the same, for make check.
. "${srcdir:-.}/tests/debug/quick.sh"
exec "$python" "$src/tests/debug/fuzz.py" --seconds 4
