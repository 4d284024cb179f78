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
. "$src/tests/debug/quick.sh"
quick qmp_schema.py && quick qmp.py
