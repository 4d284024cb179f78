#!/bin/sh
# devices.sh - is docs/devices.md what `make devices` makes of the sources?
set -u
cd "${srcdir:-.}" || exit 1
LC_ALL=C
export LC_ALL
if ! awk -f docs/devices.awk hw/*.c hw/*/*.c tests/dev/*.[ch] | cmp -s - docs/devices.md; then
    echo "docs/devices.md is out of date: run make devices"
    exit 1
fi
for word in hw/ide/ata.c hw/net/e1000.c hw/pit.c; do
    grep -q "^| .$word. " docs/devices.md || { echo "docs/devices.md lacks $word"; exit 1; }
done
echo "devices.sh: docs/devices.md has $(grep -c '^| .hw/' docs/devices.md) chips"
