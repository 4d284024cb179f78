#!/bin/sh
# host.sh - hosts that refuse something, lack something, or have other pages.
#
# HOST_CPU: the kind of host latimer was built for; EMULATOR: what runs programs for it, if this is another kind
set -u
. "${srcdir:-.}/tests/cli/lib.sh"

guest exit b021e6f4f4                           # mov al,21h; out 0f4h,al; hlt
guest load a100101f00b021e6f4f4                 # mov eax,[1f1000h]; the same
# mov eax,cr4; or eax,600h; mov cr4,eax; mov eax,15; xor ebx,ebx; popcnt ecx,eax; bsf edx,eax; bsr esi,eax;
# crc32 ebx,al; movd xmm0,ecx; pxor xmm1,xmm1; pshufb xmm0,xmm1; pextrd edi,xmm0,3; pcmpgtq xmm0,xmm1;
# jz out; add edi,ecx; add edi,esi; add edi,edx; mov eax,edi; out: out 0f4h,al; hlt
guest new 0f20e00d000600000f22e0b80f00000031dbf30fb8c80fbcd00fbdf0f20f38f0d8660f6ec1660fefc9660f3800c1660f3a16c703660f3837c1740801cf01f701d789f8e6f4f4
debug='-device isa-debug-exit'

# ---- memory for code ----

# on RULES: run what follows on a host that refuses this (tests/cli/refuse.c)
on() {
    under="${EMULATOR:-} tests/cli/refuse $* --"
}

if ! $jit; then
    skip 'memory for translated code' 'there is no code generator'
elif on memfd && ! why=$($under true 2>&1) && [ -n "${EMULATOR:-}" ]; then
    skip 'memory for translated code' "${why:-$EMULATOR runs no such program}"
else
    holds "tests/cli/refuse works: $why" '$under true'
    expect 67 'code memory: two views of a file in /dev/shm' -d stats -kernel "$work/exit" $debug
    on both
    expect 67 'code memory: two views of a memfd' -d stats -kernel "$work/exit" $debug
    on shared
    expect 67 'code memory: one view, writable and executable' -d stats -kernel "$work/exit" $debug
    on memfd file
    expect 67 'code memory: one view, writable and executable' -d stats -kernel "$work/exit" $debug
    on memfd file both
    expect 4 'use -accel interp' -kernel "$work/exit" $debug
    for text in 'two views of a memfd: making it: Function not implemented' 'two views of a file in /tmp: making it: Permission' \
        'one view.*: mapping it: Permission denied' 'SELinux.*execmem' MemoryDenyWriteExecute; do
        holds "a refusal that is explained with '$text': $(cat "$work/out")" 'grep -q -e "$text" "$work/out"'
    done
    expect 67 '' -accel interp -kernel "$work/exit" $debug
    on nomem
    expect 4 'ask for less: -accel jit,tb-size=MIB' -kernel "$work/exit" $debug
    expect 67 '' -accel interp -kernel "$work/exit" $debug
    on mdwe
    if why=$($under true 2>&1); then
        expect 67 'code memory: two views of a memfd' -d stats -kernel "$work/exit" $debug
        on mdwe shared
        expect 4 'use -accel interp' -kernel "$work/exit" $debug
        expect 67 '' -accel interp -kernel "$work/exit" $debug
    else
        skip 'a host that never makes writable memory executable' "$why"
    fi
    under=
    if $sanitized; then
        skip 'too little address space' 'AddressSanitizer needs much of it'
    else
        under='prlimit --as=1000000000'
        expect 4 'cannot get 2047 MiB.*execute' -accel jit,tb-size=2047 -kernel "$work/exit" $debug
        holds 'out of memory is no policy' '! grep -q SELinux "$work/out"'
        expect 67 '' -accel jit,tb-size=16 -kernel "$work/exit" $debug
    fi
fi

# ---- another kind of host, as the preloaded library makes it (tests/cli/host_shim.c) ----

as_host() {
    under="env LD_PRELOAD=$PWD/tests/cli/host_shim.so $*"
}

if $sanitized; then
    skip 'other page sizes' 'AddressSanitizer does not run with preloaded libraries'
else
    for page in 4096 16384 65536; do
        as_host HOST_PAGE=$page QEMU_PAGESIZE=$page
        expect 67 '' -kernel "$work/exit" $debug
        expect 67 '' -accel interp -kernel "$work/exit" $debug
        expect 67 '' -m 2052K -kernel "$work/load" -initrd "$work/exit" $debug
        ! $jit || expect 67 'no difference' --check -m 2052K -kernel "$work/load" $debug
    done
    if $jit; then
        as_host HOST_NOEXEC=1
        expect 4 'executing code there is a SIGSEGV' -kernel "$work/exit" $debug
        expect 67 '' -accel interp -kernel "$work/exit" $debug
    fi
    if $jit && [ "${HOST_CPU:-}" = aarch64 ]; then
        as_host HOST_HWCAP=0
        expect 4 'needs floating point.*use -accel interp' -kernel "$work/exit" $debug
        expect 67 '' -accel interp -kernel "$work/exit" $debug
        as_host HOST_HWCAP=1
        expect 4 'needs Advanced SIMD.*use -accel interp' -kernel "$work/exit" $debug
    fi
fi

# ---- old processors ----

under=
expect 23 '' -kernel "$work/new" $debug
if [ "${HOST_CPU:-}" != x86_64 ]; then
    skip 'old processors' 'AArch64 hosts need no optional feature'
elif $sanitized || [ -n "${EMULATOR:-}" ]; then
    skip 'old processors' 'this build is not for qemu-x86_64'
elif ! command -v qemu-x86_64-static >/dev/null; then
    skip 'old processors' 'qemu-x86_64-static is missing (package qemu-user-static)'
else
    for cpu in qemu64,-sse3,-cx16 core2duo Nehalem; do
        under="qemu-x86_64-static -cpu $cpu"
        expect 23 '' -kernel "$work/new" $debug
        expect_jit 23 '' -accel jit,hot=0 -kernel "$work/new" $debug
    done
fi

# ---- AArch64: branches reach 128 MiB ----
under=
if $jit && [ "${HOST_CPU:-}" = aarch64 ]; then
    expect 67 'more than 128 MiB' -accel jit,tb-size=200 -kernel "$work/exit" $debug
fi

finish
