/*
 * native.c - one instruction on the host CPU, with everything user code can see
 * loaded before and stored after it, and faults caught.
 *
 * Invariant: whatever the instruction does to rsp, the flags or the FPU, the
 * host's own are back when hw_native() returns.  Signals run on their own stack.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE            /* REG_RAX and the like */
#endif
#include <cpuid.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "tests/hw/hw.h"

/* Used by the assembly below. */
extern struct hw_state hw_out;
extern uint64_t hw_host_sp;
extern struct hw_far { uint32_t offset; uint16_t sel; } hw_target;
struct hw_state hw_out;
uint64_t hw_host_sp;
struct hw_far hw_target;
void hw_enter(const struct hw_state *s);
void hw_leave(void);
void hw_abort(void);

_Static_assert(offsetof(struct hw_state, flags) == 128 && offsetof(struct hw_state, fx) == 160, "assembly");

__asm__(
    ".text\n"
    ".globl hw_enter, hw_leave, hw_abort\n"
    "hw_enter:\n"
    "    push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; pushfq\n"
    "    mov %rsp, hw_host_sp(%rip)\n"
    "    fxrstor64 160(%rdi)\n"
    "    pushq 128(%rdi); popfq\n"
    "    mov 0(%rdi), %rax; mov 8(%rdi), %rcx; mov 16(%rdi), %rdx; mov 24(%rdi), %rbx\n"
    "    mov 32(%rdi), %rsp; mov 40(%rdi), %rbp; mov 48(%rdi), %rsi\n"
    "    mov 64(%rdi), %r8; mov 72(%rdi), %r9; mov 80(%rdi), %r10; mov 88(%rdi), %r11\n"
    "    mov 96(%rdi), %r12; mov 104(%rdi), %r13; mov 112(%rdi), %r14; mov 120(%rdi), %r15\n"
    "    mov 56(%rdi), %rdi\n"
    "    ljmp *hw_target(%rip)\n"
    "hw_leave:\n"
    "    mov %rax, hw_out+0(%rip); mov %rcx, hw_out+8(%rip); mov %rdx, hw_out+16(%rip)\n"
    "    mov %rbx, hw_out+24(%rip); mov %rsp, hw_out+32(%rip); mov %rbp, hw_out+40(%rip)\n"
    "    mov %rsi, hw_out+48(%rip); mov %rdi, hw_out+56(%rip); mov %r8, hw_out+64(%rip)\n"
    "    mov %r9, hw_out+72(%rip); mov %r10, hw_out+80(%rip); mov %r11, hw_out+88(%rip)\n"
    "    mov %r12, hw_out+96(%rip); mov %r13, hw_out+104(%rip); mov %r14, hw_out+112(%rip)\n"
    "    mov %r15, hw_out+120(%rip)\n"
    "    mov hw_host_sp(%rip), %rsp\n"
    "    pushfq; popq hw_out+128(%rip)\n"
    "    fxsave64 hw_out+160(%rip)\n"
    "hw_abort:\n"
    "    fninit\n"
    "    movl $0x1f80, -4(%rsp); ldmxcsr -4(%rsp)\n"
    "    popfq; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "    ret\n");

/* Jumps to hw_leave from where 32-bit code can jump to. */
#define TRAMPOLINE (HW_CODE + HW_CODE_SIZE - 16)

/* gregs[] order of the kernel to encoding order. */
static const int greg[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };

static void caught(int sig, siginfo_t *info, void *ctx)
{
    ucontext_t *u = ctx;
    greg_t *g = u->uc_mcontext.gregs;
    uint64_t rip = (uint64_t)g[REG_RIP];

    if (rip < HW_CODE || rip >= HW_CODE + HW_CODE_SIZE) {
        /* not the instruction under test: a real bug of this program */
        fprintf(stderr, "hwtest: signal %d at %lx\n", sig, (long)rip);
        signal(sig, SIG_DFL);
        return;
    }
    for (unsigned k = 0; k < 16; k++)
        hw_out.r[k] = (uint64_t)g[greg[k]];
    hw_out.flags = (uint64_t)g[REG_EFL];
    hw_out.rip = rip;
    hw_out.vector = g[REG_TRAPNO];
    memcpy(&hw_out.fx, u->uc_mcontext.fpregs, sizeof(hw_out.fx));
    g[REG_RIP] = (greg_t)(uintptr_t)hw_abort;
    g[REG_RSP] = (greg_t)hw_host_sp;
    g[REG_EFL] = 0x202;
    g[REG_CSGSFS] = (g[REG_CSGSFS] & ~(greg_t)0xffff) | HW_CS64;
    u->uc_mcontext.fpregs->swd = 0;
    u->uc_mcontext.fpregs->mxcsr = 0x1f80;
}

static void map(uint64_t at, uint64_t len, int prot)
{
    void *p = mmap((void *)(uintptr_t)at, len, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
                   -1, 0);

    if (p == MAP_FAILED) {
        perror("hwtest: mmap");
        exit(4);
    }
}

/* jmp *0(%rip) to hw_leave */
static void put_jump(uint8_t *p)
{
    static const uint8_t jmp[6] = { 0xff, 0x25 };
    uint64_t back = (uint64_t)(uintptr_t)hw_leave;

    memcpy(p, jmp, 6);
    memcpy(p + 6, &back, 8);
}

bool hw_native_init(void)
{
    static const int sigs[] = { SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGTRAP };
    static uint8_t stack[65536];
    stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) };
    struct sigaction sa = { .sa_sigaction = caught, .sa_flags = SA_SIGINFO | SA_ONSTACK };

    map(HW_CODE, HW_CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC);
    map(HW_DATA, HW_DATA_SIZE, PROT_READ | PROT_WRITE);
    put_jump((uint8_t *)(uintptr_t)TRAMPOLINE);
    /* Compatibility mode needs data segments, but of a 64-bit program's Linux sets only SS. */
    __asm__ volatile("mov %0, %%ds; mov %0, %%es" : : "r"(HW_DS));
    sigaltstack(&ss, NULL);
    for (unsigned k = 0; k < sizeof(sigs) / sizeof(sigs[0]); k++)
        sigaction(sigs[k], &sa, NULL);
    return true;
}

bool hw_native_has(enum x86_feat f)
{
    static const struct { uint32_t leaf, sub; char reg; uint8_t bit; } where[FEAT_COUNT] = {
#define FEATURE(id, names, leaf, sub, reg, bit, attrs) [FEAT_##id] = { leaf, sub, reg, bit },
#include "frontend/cpuid.def"
#undef FEATURE
    };
    unsigned r[4];

    return f == FEAT_NONE || (__get_cpuid_count(where[f].leaf, where[f].sub, &r[0], &r[1], &r[2], &r[3]) &&
                              (r[where[f].reg - 'a'] >> where[f].bit & 1));
}

/* Intel's with FDP_EXCPTN_ONLY and without FCS and FDS; AMD's save them only while an exception is pending. */
bool hw_native_pointers(void)
{
    unsigned a, b, c, d;

    return __get_cpuid(0, &a, &b, &c, &d) && c == signature_INTEL_ecx && __get_cpuid_count(7, 0, &a, &b, &c, &d) &&
           (b >> 6 & 1) && (b >> 13 & 1);
}

void hw_native_cpu(char *name, size_t size)
{
    unsigned a = 0, b, c, d, fam, brand[13] = { 0 };

    for (unsigned k = 0; k < 3; k++)
        __get_cpuid(0x80000002 + k, &brand[4 * k], &brand[4 * k + 1], &brand[4 * k + 2], &brand[4 * k + 3]);
    __get_cpuid(1, &a, &b, &c, &d);
    fam = (a >> 8 & 15) + ((a >> 8 & 15) == 15 ? a >> 20 & 0xff : 0);
    snprintf(name, size, "%s, family %u model %u stepping %u", (const char *)brand, fam,
             (a >> 4 & 15) | (a >> 12 & 0xf0), a & 15);
}

bool hw_native_differs(const struct hw_case *c)
{
    const char *name = c->row->name;
    unsigned max, b = 0, cx, d;

    __get_cpuid(0, &max, &b, &cx, &d);
    if (b == signature_INTEL_ebx)
        return false;
    /*
     * REX.B makes AMD's PAUSE an XCHG, registers make its prefetches undefined; sums of NaNs: backend-x86_64/features.c.
     * PUSH of ES, CS, SS, DS (06 to 1E) by 32 bits: Intel's write the lower half alone (SDM, PUSH), AMD's zeros above it.
     */
    return (!strcmp(name, "pause") && (c->insn.rex & 1)) || (!strcmp(name, "nop") && c->insn.opcode == 0x0d) ||
           !strcmp(name, "dpps") || !strcmp(name, "dppd") || (!strcmp(name, "push") && (c->insn.opcode & ~0x18u) == 0x06);
}

bool hw_native32_exists(void)
{
    uint32_t sel = HW_CS32, rights = 0;
    bool there;

    __asm__("lar %2, %0" : "+r"(rights), "=@ccz"(there) : "r"(sel) : "cc");
    return there && (rights >> 11 & 3) == 3;     /* a code segment */
}

static void enter(struct hw_state *s, unsigned len, unsigned off, uint16_t cs)
{
    hw_target = (struct hw_far){ HW_CODE + off, cs };
    hw_out.vector = -1;
    hw_out.rip = HW_CODE + off + len;
    hw_enter(s);
    *s = hw_out;
}

void hw_native(struct hw_state *s, const uint8_t *code, unsigned len, unsigned off)
{
    uint8_t *p = (uint8_t *)(uintptr_t)(HW_CODE + off);

    memcpy(p, code, len);
    put_jump(p + len);
    enter(s, len, off, HW_CS64);
}

void hw_native32(struct hw_state *s, const uint8_t *code, unsigned len, unsigned off)
{
    uint8_t *p = (uint8_t *)(uintptr_t)(HW_CODE + off);
    const uint32_t to = TRAMPOLINE;
    const uint16_t cs = HW_CS64;

    memcpy(p, code, len);
    p[len] = 0xea;              /* ljmp */
    memcpy(p + len + 1, &to, 4);
    memcpy(p + len + 5, &cs, 2);
    enter(s, len, off, HW_CS32);
    for (unsigned k = 0; k < 8; k++)
        s->r[k] = (uint32_t)s->r[k];
}
