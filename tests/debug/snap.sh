#!/bin/sh
# snap.sh - snap.py quick, for make check.
. "${srcdir:-.}/tests/debug/quick.sh"
quick snap.py
