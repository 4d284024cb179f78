/*
 * test_sequences.c - short sequences of integer code, translated and interpreted: what one
 * instruction leaves and the next takes up, where the code generator knows better than each
 * of them alone.
 *
 * Divisions whose upper half the block makes itself; carries that are kept, shifted out,
 * rotated in; tests that need no flags; flags as a byte; and all of these before a fault,
 * where the flags must be exact.  Each runs with many values in rAX, rCX and rDX, in every
 * kind of translated code, and ends with a fault: HLT, an address that is not canonical, or
 * #DE.  Registers and the frame, flags in it, must be the same.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/decode.h"
#include "tests/run_suite.h"
#include "tests/sys/sys_env.h"
#include "tests/host_env.h"

#define CODE 0x30000u
#define EACH 32                 /* bytes between sequences */
#define FRAME 5                 /* RIP, CS, RFLAGS, RSP, SS, behind an error code */

/* Which flags are compared: none that the manual leaves undefined somewhere in the sequence. */
#define ALL FL_ARITH
#define SHIFT (FL_ARITH & ~(FL_AF | FL_OF))
#define ROT (FL_ARITH & ~(FL_AF | FL_OF))
#define BT (FL_CF | FL_ZF)

static const struct sequence {
    uint32_t flags;
    const char *text;
    char code[EACH];
} sequences[] = {
    { ALL, "xor edx, edx; div rcx",
      "\x31\xd2\x48\xf7\xf1\xf4" },
    { ALL, "xor edx, edx; div ecx",
      "\x31\xd2\xf7\xf1\xf4" },
    { ALL, "xor edx, edx; div cx",
      "\x31\xd2\x66\xf7\xf1\xf4" },
    { ALL, "xor edx, edx; div rcx; mov eax, 5",
      "\x31\xd2\x48\xf7\xf1\xb8\x05\x00\x00\x00\xf4" },
    { ALL, "xor edx, edx; div ecx; xor edx, edx",
      "\x31\xd2\xf7\xf1\x31\xd2\xf4" },
    { ALL, "mov edx, 0; mov rbx, rax; div rbx",
      "\xba\x00\x00\x00\x00\x48\x89\xc3\x48\xf7\xf3\xf4" },
    { ALL, "xor edx, edx; div edx",
      "\x31\xd2\xf7\xf2\xf4" },
    { ALL, "sub edx, edx; mov ecx, 10; div ecx",
      "\x29\xd2\xb9\x0a\x00\x00\x00\xf7\xf1\xf4" },
    { ALL, "xor edx, edx; xor ecx, ecx; div rcx",
      "\x31\xd2\x31\xc9\x48\xf7\xf1\xf4" },
    { ALL, "mov rbx, rcx; mov rsi, rax; xor edx, edx; div rbx; mov rcx, rbx; mov rdi, rsi",
      "\x48\x89\xcb\x48\x89\xc6\x31\xd2\x48\xf7\xf3\x48\x89\xd9\x48\x89\xf7\xf4" },
    { ALL, "cqo; idiv rcx",
      "\x48\x99\x48\xf7\xf9\xf4" },
    { ALL, "cdq; idiv ecx",
      "\x99\xf7\xf9\xf4" },
    { ALL, "cwd; idiv cx",
      "\x66\x99\x66\xf7\xf9\xf4" },
    { ALL, "mov ebx, eax; cdq; idiv ecx; imul eax, ecx; add eax, edx",
      "\x89\xc3\x99\xf7\xf9\x0f\xaf\xc1\x01\xd0\xf4" },
    { ALL, "mov edx, eax; sar edx, 31; idiv ecx; mov ebx, edx",
      "\x89\xc2\xc1\xfa\x1f\xf7\xf9\x89\xd3\xf4" },
    { ALL, "cqo; mov rcx, -1; idiv rcx",
      "\x48\x99\x48\xc7\xc1\xff\xff\xff\xff\x48\xf7\xf9\xf4" },
    { ALL, "cdq; mov ecx, 7; idiv ecx",
      "\x99\xb9\x07\x00\x00\x00\xf7\xf9\xf4" },
    { ALL, "cqo; xor ecx, ecx; idiv rcx",
      "\x48\x99\x31\xc9\x48\xf7\xf9\xf4" },
    { ALL, "sar rdx, 63; idiv rcx",
      "\x48\xc1\xfa\x3f\x48\xf7\xf9\xf4" },
    { ALL, "div rcx",
      "\x48\xf7\xf1\xf4" },
    { ALL, "div ecx",
      "\xf7\xf1\xf4" },
    { ALL, "idiv rcx",
      "\x48\xf7\xf9\xf4" },
    { ALL, "idiv ecx",
      "\xf7\xf9\xf4" },
    { ALL, "div cl",
      "\xf6\xf1\xf4" },
    { ALL, "idiv cl",
      "\xf6\xf9\xf4" },
    { ALL, "movzx eax, al; div cl",
      "\x0f\xb6\xc0\xf6\xf1\xf4" },
    { ALL, "cmp rax, rcx; mov edx, 0; div ecx",
      "\x48\x39\xc8\xba\x00\x00\x00\x00\xf7\xf1\xf4" },
    { ALL, "cmp rax, rcx; mov edx, 0; lea rbx, [rcx+rcx]; div rbx; setc bl",
      "\x48\x39\xc8\xba\x00\x00\x00\x00\x48\x8d\x1c\x09\x48\xf7\xf3\x0f\x92\xc3\xf4" },
    { ALL, "add eax, ecx; adc edx, 0x1357; sbb ebx, eax",
      "\x01\xc8\x81\xd2\x57\x13\x00\x00\x19\xc3\xf4" },
    { SHIFT, "and ecx, 15; shl edx, cl; adc eax, 0; mov ebx, eax",
      "\x83\xe1\x0f\xd3\xe2\x83\xd0\x00\x89\xc3\xf4" },
    { SHIFT, "test eax, eax; shl edx, cl; adc eax, 0",
      "\x85\xc0\xd3\xe2\x83\xd0\x00\xf4" },
    { SHIFT, "test eax, eax; shr edx, cl; adc eax, 0; setc bl",
      "\x85\xc0\xd3\xea\x83\xd0\x00\x0f\x92\xc3\xf4" },
    { SHIFT, "and ecx, 31; sar edx, cl; adc eax, 0",
      "\x83\xe1\x1f\xd3\xfa\x83\xd0\x00\xf4" },
    { SHIFT, "and ecx, 63; shl edx, cl; adc eax, 0",
      "\x83\xe1\x3f\xd3\xe2\x83\xd0\x00\xf4" },
    { SHIFT, "and ecx, 63; shr edx, cl; adc eax, 0",
      "\x83\xe1\x3f\xd3\xea\x83\xd0\x00\xf4" },
    { SHIFT, "cmp eax, edx; shl edx, cl; adc eax, 0; setc bl",
      "\x39\xd0\xd3\xe2\x83\xd0\x00\x0f\x92\xc3\xf4" },
    { SHIFT, "cmp eax, edx; shr edx, cl; sbb eax, 3; setc bl",
      "\x39\xd0\xd3\xea\x83\xd8\x03\x0f\x92\xc3\xf4" },
    { SHIFT, "cmp eax, edx; sar edx, cl; adc eax, ebx",
      "\x39\xd0\xd3\xfa\x11\xd8\xf4" },
    { SHIFT, "cmp rax, rdx; shl rdx, cl; adc rax, 0",
      "\x48\x39\xd0\x48\xd3\xe2\x48\x83\xd0\x00\xf4" },
    { SHIFT, "cmp rax, rdx; shr rdx, cl; setc bl; setz bh; sets al",
      "\x48\x39\xd0\x48\xd3\xea\x0f\x92\xc3\x0f\x94\xc7\x0f\x98\xc0\xf4" },
    { SHIFT, "cmp rax, rdx; sar rdx, cl; setbe bl; adc eax, 0",
      "\x48\x39\xd0\x48\xd3\xfa\x0f\x96\xc3\x83\xd0\x00\xf4" },
    { SHIFT, "and ecx, 7; cmp al, dl; shl dl, cl; adc eax, 0; setp bl",
      "\x83\xe1\x07\x38\xd0\xd2\xe2\x83\xd0\x00\x0f\x9a\xc3\xf4" },
    { SHIFT, "and ecx, 7; cmp ax, dx; shr dx, cl; adc ax, ax",
      "\x83\xe1\x07\x66\x39\xd0\x66\xd3\xea\x66\x11\xc0\xf4" },
    { SHIFT, "cmp al, dl; sar dx, cl; setc bl; sets bh",
      "\x38\xd0\x66\xd3\xfa\x0f\x92\xc3\x0f\x98\xc7\xf4" },
    { SHIFT, "cmp eax, edx; shl edx, cl; mov rbx, [r15]",
      "\x39\xd0\xd3\xe2\x49\x8b\x1f\xf4" },
    { SHIFT, "cmp eax, edx; shr rdx, cl; lea rbx, [rax+rdx]; mov rbx, [r15]",
      "\x39\xd0\x48\xd3\xea\x48\x8d\x1c\x10\x49\x8b\x1f\xf4" },
    { SHIFT, "shl edx, cl; sar eax, cl; mov rbx, [r15]",
      "\xd3\xe2\xd3\xf8\x49\x8b\x1f\xf4" },
    { SHIFT, "shl edx, cl; shr eax, cl; shr edx, cl; mov rbx, [r15]",
      "\xd3\xe2\xd3\xe8\xd3\xea\x49\x8b\x1f\xf4" },
    { SHIFT, "add eax, edx; inc edx; shl eax, cl; mov rbx, [r15]",
      "\x01\xd0\xff\xc2\xd3\xe0\x49\x8b\x1f\xf4" },
    { SHIFT, "shr eax, cl; inc edx; mov rbx, [r15]",
      "\xd3\xe8\xff\xc2\x49\x8b\x1f\xf4" },
    { SHIFT, "shl edx, cl; mov edx, ecx; mov ecx, eax; mov rbx, [r15]",
      "\xd3\xe2\x89\xca\x89\xc1\x49\x8b\x1f\xf4" },
    { SHIFT, "cmp eax, ecx; shl rdx, cl; xor edx, edx; xor ecx, ecx; mov rbx, [r15]",
      "\x39\xc8\x48\xd3\xe2\x31\xd2\x31\xc9\x49\x8b\x1f\xf4" },
    { SHIFT, "rol edx, cl; shl eax, cl; mov rbx, [r15]",
      "\xd3\xc2\xd3\xe0\x49\x8b\x1f\xf4" },
    { SHIFT, "shl edx, cl; rcl eax, 1; setc bl",
      "\xd3\xe2\xd1\xd0\x0f\x92\xc3\xf4" },
    { SHIFT, "sar ecx, 1; sbb edx, 5; setc bl",
      "\xd1\xf9\x83\xda\x05\x0f\x92\xc3\xf4" },
    { SHIFT, "shr ecx, 3; adc edx, 5; setc bl",
      "\xc1\xe9\x03\x83\xd2\x05\x0f\x92\xc3\xf4" },
    { SHIFT, "shl rcx, 5; rcr rdx, 1; setc bl",
      "\x48\xc1\xe1\x05\x48\xd1\xda\x0f\x92\xc3\xf4" },
    { SHIFT, "rol eax, 7; adc edx, ecx; setc bl",
      "\xc1\xc0\x07\x11\xca\x0f\x92\xc3\xf4" },
    { SHIFT, "ror eax, 9; sbb edx, ecx; setc bl",
      "\xc1\xc8\x09\x19\xca\x0f\x92\xc3\xf4" },
    { ROT, "add eax, ecx; rcl edx, 1; setc bl",
      "\x01\xc8\xd1\xd2\x0f\x92\xc3\xf4" },
    { ROT, "add eax, ecx; rcl edx, 3; setc bl",
      "\x01\xc8\xc1\xd2\x03\x0f\x92\xc3\xf4" },
    { ROT, "cmp eax, ecx; rcl edx, 31; adc ebx, edx",
      "\x39\xc8\xc1\xd2\x1f\x11\xd3\xf4" },
    { ROT, "cmp eax, ecx; rcr edx, 1; setc bl",
      "\x39\xc8\xd1\xda\x0f\x92\xc3\xf4" },
    { ROT, "cmp rax, rcx; rcr rdx, 5; sbb rbx, rdx",
      "\x48\x39\xc8\x48\xc1\xda\x05\x48\x19\xd3\xf4" },
    { ROT, "add rax, rcx; rcl rdx, 63; setc bl",
      "\x48\x01\xc8\x48\xc1\xd2\x3f\x0f\x92\xc3\xf4" },
    { ROT, "add rax, rcx; rcl rdx, 2; inc rax; adc rbx, rdx",
      "\x48\x01\xc8\x48\xc1\xd2\x02\x48\xff\xc0\x48\x11\xd3\xf4" },
    { ROT, "cmp eax, ecx; inc edx; rcl edx, 1; dec eax; rcr eax, 1; setc bl",
      "\x39\xc8\xff\xc2\xd1\xd2\xff\xc8\xd1\xd8\x0f\x92\xc3\xf4" },
    { ROT, "shl eax, 1; rcl edx, 1; rcl ecx, 1; adc ebx, 0",
      "\xd1\xe0\xd1\xd2\xd1\xd1\x83\xd3\x00\xf4" },
    { ROT, "shr rdx, 1; rcr rax, 1; rcr rcx, 1; setc bl",
      "\x48\xd1\xea\x48\xd1\xd8\x48\xd1\xd9\x0f\x92\xc3\xf4" },
    { ROT, "add eax, ecx; rcl edx, 3; mov rbx, [r15]",
      "\x01\xc8\xc1\xd2\x03\x49\x8b\x1f\xf4" },
    { ROT, "cmp eax, ecx; rcr rdx, 1; mov rbx, [r15]",
      "\x39\xc8\x48\xd1\xda\x49\x8b\x1f\xf4" },
    { ROT, "cmp eax, ecx; sete bl; rcl edx, 1; sets bh; setz al",
      "\x39\xc8\x0f\x94\xc3\xd1\xd2\x0f\x98\xc7\x0f\x94\xc0\xf4" },
    { ALL, "stc; rcl eax, 1; seto bl; rcr edx, 1; seto bh",
      "\xf9\xd1\xd0\x0f\x90\xc3\xd1\xda\x0f\x90\xc7\xf4" },
    { ALL, "cmp eax, ecx; rcl eax, 1; setl bl; setc bh; setz dl",
      "\x39\xc8\xd1\xd0\x0f\x9c\xc3\x0f\x92\xc7\x0f\x94\xc2\xf4" },
    { ROT, "and eax, ecx; rcl edx, 4; adc eax, eax",
      "\x21\xc8\xc1\xd2\x04\x11\xc0\xf4" },
    { ALL, "add eax, ecx; inc edx; adc ebx, eax",
      "\x01\xc8\xff\xc2\x11\xc3\xf4" },
    { ALL, "sub eax, ecx; dec edx; sbb ebx, eax",
      "\x29\xc8\xff\xca\x19\xc3\xf4" },
    { ALL, "cmp eax, ecx; inc edx; dec ebx; setc al",
      "\x39\xc8\xff\xc2\xff\xcb\x0f\x92\xc0\xf4" },
    { ALL, "cmp eax, ecx; dec edx; setbe al; setz bl",
      "\x39\xc8\xff\xca\x0f\x96\xc0\x0f\x94\xc3\xf4" },
    { ALL, "cmp eax, ecx; inc edx; pushfq; pop rbx",
      "\x39\xc8\xff\xc2\x9c\x5b\xf4" },
    { ALL, "add eax, ecx; inc edx; dec eax; inc rcx; pushfq; pop rbx",
      "\x01\xc8\xff\xc2\xff\xc8\x48\xff\xc1\x9c\x5b\xf4" },
    { ALL, "cmp rax, rcx; dec edx; mov rbx, [r15]",
      "\x48\x39\xc8\xff\xca\x49\x8b\x1f\xf4" },
    { ALL, "cmp rax, rcx; inc edx; dec ebx; mov rbx, [r15]",
      "\x48\x39\xc8\xff\xc2\xff\xcb\x49\x8b\x1f\xf4" },
    { ALL, "cmp rax, rcx; dec dl; inc bx; setc al; setz cl",
      "\x48\x39\xc8\xfe\xca\x66\xff\xc3\x0f\x92\xc0\x0f\x94\xc1\xf4" },
    { ALL, "mov ebx, 3; add eax, ecx; 2:; adc edx, ecx; dec ebx; jnz 2b",
      "\xbb\x03\x00\x00\x00\x01\xc8\x11\xca\xff\xcb\x75\xfa\xf4" },
    { ALL, "mov ebx, 5; xor edx, edx; 2:; rcr rax, 1; adc rdx, 0; dec ebx; jnz 2b",
      "\xbb\x05\x00\x00\x00\x31\xd2\x48\xd1\xd8\x48\x83\xd2\x00\xff\xcb\x75\xf5\xf4" },
    { ALL, "mov ebx, 4; 2:; sbb rdx, rax; lea rbx, [rbx-1]; inc rax; dec rbx; jnz 2b",
      "\xbb\x04\x00\x00\x00\x48\x19\xc2\x48\x8d\x5b\xff\x48\xff\xc0\x48\xff\xcb\x75\xf1\xf4" },
    { ALL, "sub edx, 1; jz 2f; adc eax, ecx; 2:; setc bl",
      "\x83\xea\x01\x74\x02\x11\xc8\x0f\x92\xc3\xf4" },
    { ALL, "dec edx; jz 2f; adc eax, ecx; 2:; setz bl",
      "\xff\xca\x74\x02\x11\xc8\x0f\x94\xc3\xf4" },
    { ALL, "dec rdx; jnz 2f; sbb eax, ecx; 2:; sets bl",
      "\x48\xff\xca\x75\x02\x19\xc8\x0f\x98\xc3\xf4" },
    { ALL, "cmp eax, ecx; dec edx; jz 2f; adc eax, 1; 2:; setc bl",
      "\x39\xc8\xff\xca\x74\x03\x83\xd0\x01\x0f\x92\xc3\xf4" },
    { ALL, "cmp eax, ecx; dec edx; jnz 2f; mov rbx, [r15]; 2:; mov rax, [r15]",
      "\x39\xc8\xff\xca\x75\x03\x49\x8b\x1f\x49\x8b\x07\xf4" },
    { ALL, "test rax, rax; jz 2f; test ecx, ecx; jnz 2f; mov edx, 1; 2:; mov rbx, [r15]",
      "\x48\x85\xc0\x74\x09\x85\xc9\x75\x05\xba\x01\x00\x00\x00\x49\x8b\x1f\xf4" },
    { ALL, "test eax, eax; jnz 2f; setp bl; 2:; setz bh",
      "\x85\xc0\x75\x03\x0f\x9a\xc3\x0f\x94\xc7\xf4" },
    { ALL, "test al, al; jz 2f; and ecx, edx; jnz 2f; lea edx, [rcx+1]; 2:; mov rbx, 9",
      "\x84\xc0\x74\x07\x21\xd1\x75\x03\x8d\x51\x01\x48\xc7\xc3\x09\x00\x00\x00\xf4" },
    { ALL, "or eax, ecx; jz 2f; xor edx, ecx; jz 2f; xor eax, eax; 2:; mov rbx, [r15]",
      "\x09\xc8\x74\x06\x31\xca\x74\x02\x31\xc0\x49\x8b\x1f\xf4" },
    { ALL, "cmp eax, 0; jz 2f; cmp rcx, 0; jnz 2f; mov rbx, [r15]; 2:; mov eax, 7",
      "\x83\xf8\x00\x74\x09\x48\x83\xf9\x00\x75\x03\x49\x8b\x1f\xb8\x07\x00\x00\x00\xf4" },
    { ALL, "test edx, edx; jns 2f; not esi; 2:; jp 3f; add eax, 7; 3:; mov bl, 1",
      "\x85\xd2\x79\x02\xf7\xd6\x7a\x03\x83\xc0\x07\xb3\x01\xf4" },
    { ALL, "add edx, ecx; jns 2f; not esi; 2:; jp 3f; sbb eax, 7; 3:; mov bl, 1",
      "\x01\xca\x79\x02\xf7\xd6\x7a\x03\x83\xd8\x07\xb3\x01\xf4" },
    { ALL, "cmp edx, ecx; jo 2f; not esi; 2:; jbe 3f; adc eax, 7; 3:; mov bl, 1",
      "\x39\xca\x70\x02\xf7\xd6\x76\x03\x83\xd0\x07\xb3\x01\xf4" },
    { ALL, "sbb eax, 5; lahf; movzx ebx, ah",
      "\x83\xd8\x05\x9f\x0f\xb6\xdc\xf4" },
    { ALL, "add edx, ecx; lahf; seto bl",
      "\x01\xca\x9f\x0f\x90\xc3\xf4" },
    { ALL, "adc edx, ecx; lahf; mov rbx, [r15]",
      "\x11\xca\x9f\x49\x8b\x1f\xf4" },
    { ALL, "cmp edx, ecx; inc ecx; lahf",
      "\x39\xca\xff\xc1\x9f\xf4" },
    { ALL, "sub dl, cl; lahf",
      "\x28\xca\x9f\xf4" },
    { ALL, "neg dx; lahf",
      "\x66\xf7\xda\x9f\xf4" },
    { ROT, "and edx, ecx; lahf; and eax, 0xefff",
      "\x21\xca\x9f\x25\xff\xef\x00\x00\xf4" },
    { SHIFT, "shl edx, 3; lahf; and eax, 0xefff",
      "\xc1\xe2\x03\x9f\x25\xff\xef\x00\x00\xf4" },
    { SHIFT, "cmp edx, eax; shr edx, cl; lahf; and eax, 0xefff",
      "\x39\xc2\xd3\xea\x9f\x25\xff\xef\x00\x00\xf4" },
    { ROT, "add edx, ecx; rcl edx, 5; lahf",
      "\x01\xca\xc1\xd2\x05\x9f\xf4" },
    { ALL, "cmp edx, ecx; bt edx, 3; lahf",
      "\x39\xca\x0f\xba\xe2\x03\x9f\xf4" },
    { ALL, "mov ah, cl; sahf; setc bl; setp bh; setz dl; lahf",
      "\x88\xcc\x9e\x0f\x92\xc3\x0f\x9a\xc7\x0f\x94\xc2\x9f\xf4" },
    { ALL, "cmp eax, ecx; lahf; sahf; jbe 2f; mov edx, 1; 2:; adc edx, edx",
      "\x39\xc8\x9f\x9e\x76\x05\xba\x01\x00\x00\x00\x11\xd2\xf4" },
    { BT, "bt eax, 7; adc edx, ecx; setc bl",
      "\x0f\xba\xe0\x07\x11\xca\x0f\x92\xc3\xf4" },
    { BT, "bt rax, 40; sbb rdx, rcx; setc bl",
      "\x48\x0f\xba\xe0\x28\x48\x19\xca\x0f\x92\xc3\xf4" },
    { BT, "bt eax, ecx; adc edx, 0; setc bl",
      "\x0f\xa3\xc8\x83\xd2\x00\x0f\x92\xc3\xf4" },
    { BT, "bt rax, rcx; setc bl; jc 2f; mov edx, 1; 2:; mov esi, 1",
      "\x48\x0f\xa3\xc8\x0f\x92\xc3\x72\x05\xba\x01\x00\x00\x00\xbe\x01\x00\x00\x00\xf4" },
    { BT, "cmp eax, ecx; bt edx, 3; setz bl; setc bh",
      "\x39\xc8\x0f\xba\xe2\x03\x0f\x94\xc3\x0f\x92\xc7\xf4" },
    { BT, "bts eax, 4; adc edx, 0; btr rcx, 33; rcl edx, 1; btc dx, 1; setc bl",
      "\x0f\xba\xe8\x04\x83\xd2\x00\x48\x0f\xba\xf1\x21\xd1\xd2\x66\x0f\xba\xfa\x01\x0f\x92\xc3\xf4" },
    { BT, "bt eax, 31; rcr edx, 1; setc bl",
      "\x0f\xba\xe0\x1f\xd1\xda\x0f\x92\xc3\xf4" },
    { BT, "bt eax, 0; sbb edx, edx; mov rbx, [r15]",
      "\x0f\xba\xe0\x00\x19\xd2\x49\x8b\x1f\xf4" },
    { ALL, "add cl, 0x11; setc ch; adc edx, 0",
      "\x80\xc1\x11\x0f\x92\xc5\x83\xd2\x00\xf4" },
    { ALL, "mov cl, ch; add cl, 0x11; setc ch; add ebx, ecx",
      "\x88\xe9\x80\xc1\x11\x0f\x92\xc5\x01\xcb\xf4" },
    { ALL, "movzx eax, al; add al, 0x80; setc bl; adc edx, 1",
      "\x0f\xb6\xc0\x04\x80\x0f\x92\xc3\x83\xd2\x01\xf4" },
    { ALL, "movzx eax, al; movzx ecx, cl; add al, cl; adc ah, ch; sbb dl, al",
      "\x0f\xb6\xc0\x0f\xb6\xc9\x00\xc8\x10\xec\x18\xc2\xf4" },
    { ALL, "sub al, cl; sbb edx, 3; setc bl",
      "\x28\xc8\x83\xda\x03\x0f\x92\xc3\xf4" },
    { ALL, "movzx edx, dx; sub dx, 0x1234; sbb eax, eax",
      "\x0f\xb7\xd2\x66\x81\xea\x34\x12\x19\xc0\xf4" },
    { ALL, "neg edx; sbb ecx, ecx; neg cl; adc eax, 0",
      "\xf7\xda\x19\xc9\xf6\xd9\x83\xd0\x00\xf4" },
    { ALL, "adc al, cl; adc ah, ch; adc dx, ax; setc bl",
      "\x10\xc8\x10\xec\x66\x11\xc2\x0f\x92\xc3\xf4" },
    { ALL, "movzx eax, al; cmp al, 0x41; setc bl; setz bh; ja 2f; mov edx, 1; 2:; mov rbx, [r15]",
      "\x0f\xb6\xc0\x3c\x41\x0f\x92\xc3\x0f\x94\xc7\x77\x05\xba\x01\x00\x00\x00\x49\x8b\x1f\xf4" },
    { ALL, "movzx eax, al; movzx ecx, cl; cmp al, cl; jb 2f; mov edx, 1; 2:; mov rbx, [r15]",
      "\x0f\xb6\xc0\x0f\xb6\xc9\x38\xc8\x72\x05\xba\x01\x00\x00\x00\x49\x8b\x1f\xf4" },
    { ALL, "cmp al, 0x41; jz 2f; cmp al, 0x80; jb 2f; cmp cl, 0xff; jbe 2f; mov edx, 1; 2:; mov rbx, [r15]",
      "\x3c\x41\x74\x0e\x3c\x80\x72\x0a\x80\xf9\xff\x76\x05\xba\x01\x00\x00\x00\x49\x8b\x1f\xf4" },
    { ALL, "cmp al, cl; jbe 2f; cmp ah, dl; jz 2f; cmp ax, cx; ja 2f; mov edx, 1; 2:; mov rbx, [r15]",
      "\x38\xc8\x76\x0e\x38\xd4\x74\x0a\x66\x39\xc8\x77\x05\xba\x01\x00\x00\x00\x49\x8b\x1f\xf4" },
    { ALL, "cmp ax, 0x7fff; jnc 2f; cmp dx, cx; jl 2f; mov edx, 1; 2:; mov rbx, [r15]",
      "\x66\x3d\xff\x7f\x73\x0a\x66\x39\xca\x7c\x05\xba\x01\x00\x00\x00\x49\x8b\x1f\xf4" },
    { ALL, "cmp al, 0; jz 2f; cmp dx, 0; jnz 2f; cmp ch, 0; je 2f; mov edx, 1; 2:; mov rbx, [r15]",
      "\x3c\x00\x74\x10\x66\x83\xfa\x00\x75\x0a\x80\xfd\x00\x74\x05\xba\x01\x00\x00\x00\x49\x8b\x1f\xf4" },
    { ALL, "movsx eax, al; cmp al, 0x80; jg 2f; cmp al, 5; jc 2f; mov edx, 1; 2:; setz bl",
      "\x0f\xbe\xc0\x3c\x80\x7f\x09\x3c\x05\x72\x05\xba\x01\x00\x00\x00\x0f\x94\xc3\xf4" },
    { ALL, "cmp eax, ecx; setg cl; movzx ecx, cl; lea edx, [rdx+rcx*2]",
      "\x39\xc8\x0f\x9f\xc1\x0f\xb6\xc9\x8d\x14\x4a\xf4" },
    { ALL, "cmp eax, ecx; setc al; add edx, ecx; movzx eax, al; setc bl",
      "\x39\xc8\x0f\x92\xc0\x01\xca\x0f\xb6\xc0\x0f\x92\xc3\xf4" },
    { ALL, "cmp eax, ecx; cmova edx, eax; setg cl; setz ch; setz al; movzx esi, al",
      "\x39\xc8\x0f\x47\xd0\x0f\x9f\xc1\x0f\x94\xc5\x0f\x94\xc0\x0f\xb6\xf0\xf4" },
    { ALL, "cmp eax, ecx; setb cl; cmp edx, eax; setb r9b; and cl, r9b; mov ebx, ecx",
      "\x39\xc8\x0f\x92\xc1\x39\xc2\x41\x0f\x92\xc1\x44\x20\xc9\x89\xcb\xf4" },
    { ALL, "cmp eax, ecx; setb bl; cmp edx, eax; setle cl; or bl, cl; movzx ebx, bl; mov ecx, ebx",
      "\x39\xc8\x0f\x92\xc3\x39\xc2\x0f\x9e\xc1\x08\xcb\x0f\xb6\xdb\x89\xd9\xf4" },
    { ALL, "cmp eax, ecx; setp bl; add edx, eax; setc cl; xor bl, cl; mov ecx, 1; lea rax, [rbx+rbx]",
      "\x39\xc8\x0f\x9a\xc3\x01\xc2\x0f\x92\xc1\x30\xcb\xb9\x01\x00\x00\x00\x48\x8d\x04\x1b\xf4" },
    { SHIFT, "shl edx, 3; setc bl; shr eax, cl; setbe cl; add bl, cl; mov ecx, 7; setc dl; setz dh",
      "\xc1\xe2\x03\x0f\x92\xc3\xd3\xe8\x0f\x96\xc1\x00\xcb\xb9\x07\x00\x00\x00\x0f\x92"
      "\xc2\x0f\x94\xc6\xf4" },
    { ALL, "cmp eax, ecx; jl 2f; js 2f; jp 2f; mov edx, 1; 2:; seto bl",
      "\x39\xc8\x7c\x09\x78\x07\x7a\x05\xba\x01\x00\x00\x00\x0f\x90\xc3\xf4" },
    { ALL, "add eax, ecx; jbe 2f; jo 2f; adc edx, edx; 2:; sbb ebx, ebx",
      "\x01\xc8\x76\x04\x70\x02\x11\xd2\x19\xdb\xf4" },
    { ALL, "cmp eax, ecx; jz 2f; jc 2f; cmp edx, ecx; jnz 2f; mov edx, 1; 2:; lahf",
      "\x39\xc8\x74\x0b\x72\x09\x39\xca\x75\x05\xba\x01\x00\x00\x00\x9f\xf4" },
    { ALL, "cmp eax, ecx; setb bl; cmp edx, eax; setle cl; test bl, cl; mov ebx, 0; mov ecx, 1; setz al",
      "\x39\xc8\x0f\x92\xc3\x39\xc2\x0f\x9e\xc1\x84\xcb\xbb\x00\x00\x00\x00\xb9\x01\x00"
      "\x00\x00\x0f\x94\xc0\xf4" },
    { SHIFT, "and bl, 0xff; jae 2f; bt edi, 0; jnp 2f; 2:; sbb al, 2; mov rbx, [r15]",
      "\x80\xe3\xff\x73\x06\x0f\xba\xe7\x00\x7b\x00\x1c\x02\x49\x8b\x1f\xf4" },
    { BT, "cmp eax, ecx; jc 2f; bt edx, 3; jz 2f; 2:; adc al, cl; setz bl",
      "\x39\xc8\x72\x06\x0f\xba\xe2\x03\x74\x00\x10\xc8\x0f\x94\xc3\xf4" },
};
#define SEQUENCES (sizeof sequences / sizeof sequences[0])

static const uint64_t values[] = {
    0, 1, 2, 7, 10, 0x40, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0x12345678, 0x7fffffff, 0x80000000, 0xffffffff,
    0x123456789abcdef0, 0x7fffffffffffffff, 0x8000000000000000, 0xffffffff80000000, 0xffffffffffffff80,
    0xffffffffffffffff,
};
#define VALUES (sizeof values / sizeof values[0])

struct result {
    uint64_t r[16];
    uint64_t frame[FRAME];
};

static void halt(struct cpu *c)
{
    __atomic_fetch_or(&c->attn, ATTN_EXIT, __ATOMIC_SEQ_CST);
}

static struct sys_env *start(unsigned hot, bool interp)
{
    struct sys_env *e = sys_new(LONG);
    struct exec_options o = { .cache_size = 8u << 20, .verify = true, .m = &e->m, .halt = halt, .hot = hot,
                              .interp = interp };

    decode_init();
    e->m.cpu = &e->c;
    e->m.ncpu = 1;
    host_env(&o);
    exec_init(e->c, &o);
    sys_poke(e, S_HANDLER + 16 * EXC_GP, 1, 0xf4);      /* HLT ends a run */
    sys_poke(e, S_HANDLER + 16 * EXC_DE, 1, 0xf4);
    for (unsigned k = 0; k < SEQUENCES; k++)
        memcpy(e->ram + CODE + EACH * k, sequences[k].code, EACH);
    return e;
}

static void end(struct sys_env *e)
{
    exec_free(e->c);
    sys_free(e);
}

static struct result run(struct sys_env *e, unsigned k, uint64_t ax, uint64_t cx, uint64_t dx, uint32_t flags)
{
    struct cpu *c = e->c;
    struct result r;
    uint64_t frame;

    sys_ring3(e);
    for (unsigned g = 0; g < 16; g++)
        if (g != R_SP)
            c->r[g] = 0x1111111111111111u * g;
    c->r[R_AX] = ax;
    c->r[R_CX] = cx;
    c->r[R_DX] = dx;
    c->r[R_15] = (uint64_t)1 << 60;
    cpu_set_eflags(c, FL_1 | FL_IF | flags);
    c->rip = CODE + EACH * k;
    c->attn = 0;
    c->halted = 0;
    exec_run(c);
    ck_assert_uint_eq(c->cpl, 0);
    memcpy(r.r, c->r, sizeof(r.r));
    frame = c->r[R_SP] + 8 * (c->rip < S_HANDLER + 16 * EXC_GP ? 0 : 1);
    for (unsigned n = 0; n < FRAME; n++)
        r.frame[n] = sys_peek(e, frame + 8 * n, 8);
    r.frame[2] &= ~(uint64_t)FL_ARITH | sequences[k].flags;
    return r;
}

START_TEST(test_sequences)
{
    static const unsigned hots[] = { 0, 2, 1u << 30 };  /* at once, when it has run twice, never: stencils */
    struct sys_env *want = start(0, true), *e[3];

    for (unsigned n = 0; n < 3; n++)
        e[n] = start(hots[n], false);
    for (unsigned k = 0; k < SEQUENCES; k++)
        for (unsigned v = 0; v < VALUES * VALUES; v++) {
            uint64_t ax = values[v % VALUES], cx = values[v / VALUES];
            uint64_t dx = values[(v * 5 + v / VALUES) % VALUES];
            uint32_t flags = (v & 1 ? FL_CF : 0) | (v & 2 ? FL_ZF : 0) | (v & 4 ? FL_SF | FL_OF : 0);
            struct result a = run(want, k, ax, cx, dx, flags);
            for (unsigned n = 0; n < 3; n++) {
                struct result b = run(e[n], k, ax, cx, dx, flags);
                if (memcmp(&a, &b, sizeof(a)) == 0)
                    continue;
                for (unsigned g = 0; g < 16; g++)
                    if (a.r[g] != b.r[g])
                        fprintf(stderr, "r%u: %llx, not %llx\n", g, (unsigned long long)b.r[g],
                                (unsigned long long)a.r[g]);
                ck_abort_msg("%s (hot %u) with rax %llx, rcx %llx, rdx %llx, flags %x: "
                             "fault at +%llx, not +%llx, flags %llx, not %llx",
                             sequences[k].text, hots[n], (unsigned long long)ax, (unsigned long long)cx,
                             (unsigned long long)dx, flags,
                             (unsigned long long)(b.frame[0] - CODE - EACH * k),
                             (unsigned long long)(a.frame[0] - CODE - EACH * k),
                             (unsigned long long)b.frame[2], (unsigned long long)a.frame[2]);
            }
        }
    for (unsigned n = 0; n < 3; n++)
        end(e[n]);
    end(want);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sequences");
    TCase *tc = tcase_create("sequences");

    tcase_set_timeout(tc, 300);
    tcase_add_test(tc, test_sequences);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
