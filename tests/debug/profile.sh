#!/bin/sh
# profile.sh - profile.py quick, for make check.
. "${srcdir:-.}/tests/debug/quick.sh"
quick profile.py
