#!/bin/sh
# memdev.sh - memdev.py and libvirt.py quick, for make check.
. "${srcdir:-.}/tests/debug/quick.sh"
quick libvirt.py && quick memdev.py
