#!/bin/sh
# migrate.sh - migrate.py quick, for make check.
. "${srcdir:-.}/tests/debug/quick.sh"
quick migrate.py
