#!/bin/sh
# crash.sh - what Latimer reports when it crashes itself, in translated code above all.
set -u
. "${srcdir:-.}/tests/cli/lib.sh"

if ! $jit; then
    skip 'crash reports' 'there is no code generator'
    exit 77
elif $sanitized; then
    skip 'crash reports' 'AddressSanitizer reports crashes instead'
    exit 77
fi

guest loop ebfe                                 # jmp .
guest memory 438b0d00001000a100208100ebf2       # inc ebx; mov ecx,[100000h]; mov eax,[812000h]; jmp to the first

# crash CODE HOW ARGS...: the report is in $work/out.  Now and then the thread is in C, by chance: then again.
crash() {
    want=$1 how=$2
    shift 2
    for try in 1 2 3 4 5; do
        code=0
        perl "${srcdir:-.}/tests/cli/crash.pl" "$how" "$latimer" "$@" >"$work/out" 2>&1 || code=$?
        case "$*" in
        *interp*) break ;;
        esac
        grep -q "in Latimer's own code" "$work/out" || break
    done
    holds "exit code $want after $how (it is $code): $(cat "$work/out")" '[ $code = $want ]'
}

# says TEXT...: lines of the report
says() {
    for text in "$@"; do
        holds "a report of $how with '$text': $(cat "$work/out")" 'grep -q -e "$text" "$work/out"'
    done
}

crash 139 SEGV -kernel "$work/loop"
says 'crashed: signal 11 (SIGSEGV), host pc 0x' 'in translated code: CPU 0, guest rip 0x100020' 'please report' \
    '^guest code:' '^=>     100020  jmp 0x100020' '^host code:'
holds "both disassemblies have an arrow: $(cat "$work/out")" '[ "$(grep -c "^=> " "$work/out")" = 2 ]'
crash 132 ILL -kernel "$work/loop"
says 'crashed: signal 4 (SIGILL), host pc 0x' 'in translated code: CPU 0, guest rip 0x100020' '^host code:' \
    '^=>     100020  jmp 0x100020'
crash 135 BUS -kernel "$work/loop"
says 'crashed: signal 7 (SIGBUS), host pc 0x' 'in translated code: CPU 0, guest rip 0x100020' '^host code:' \
    '^=>     100020  jmp 0x100020'

# A real one: the third of four instructions loses its memory.
crash 4 truncate -accel jit,hot=0 -kernel "$work/memory"
says '(SIGBUS)' 'in translated code: CPU 0, guest rip 0x100027' 'give it room, or the guest less memory' '^=>     100027  mov eax,' \
    '^      100020  inc ebx'
holds "both disassemblies have an arrow: $(cat "$work/out")" '[ "$(grep -c "^=> " "$work/out")" = 2 ]'

# The same with the guest's code gone, too: the rest of the report is there.
crash 4 truncate-all -accel jit,hot=0 -kernel "$work/memory"
says '(SIGBUS)' 'in translated code: CPU 0, guest rip 0x10002[17]' '^host code:' '^=> ' '^guest code:' 'could not be read'

# Stencils load by a thunk, where there are some.
crash 4 truncate -accel jit,hot=1000000000 -kernel "$work/memory"
says '(SIGBUS)' 'translated code: CPU 0, guest rip 0x100027' '^=>     100027  mov eax,'
case ${HOST_CPU:-} in
x86_64) says 'in a thunk of translated code' ;;
esac

crash 4 truncate -accel interp -kernel "$work/memory"
says '(SIGBUS)' "in Latimer's own code" 'give it room'
holds "that is no bug of Latimer's: $(cat "$work/out")" '! grep -q "please report" "$work/out"'

finish
