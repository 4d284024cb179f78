#!/bin/sh
# gdb.sh - the quick cases of gdb.py, in make check; skipped where there is no Python.
command -v python3 >/dev/null || { echo "python3 is not installed"; exit 77; }
exec python3 "${srcdir:-.}/tests/debug/gdb.py" "$@"
