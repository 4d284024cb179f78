#!/bin/sh
# diskerror.sh - images whose host fails, with werror= and rerror= in all ways: what the guest sees, whether the machine
# stops, and what monitors say. With QEMU=qemu-system-x86_64 that has to pass the same cases.
set -u
. "${srcdir:-.}/tests/cli/lib.sh"

python=$(command -v python3) || { skip 'errors of disks' 'there is no python3'; exit 77; }
have_seabios || { skip 'errors of disks' 'there is no SeaBIOS'; exit 77; }
! $sanitized || { skip 'errors of disks' 'AddressSanitizer does not run with preloaded libraries'; exit 77; }
timeout 100 "$python" "${srcdir:-.}/tests/cli/diskerror.py" "$work" tests/cli/host_shim.so ${QEMU:-$latimer}
