/*
 * test_lift_hw.c - random integer instructions in 64-bit mode, lifted and
 * interpreted, against the host CPU: registers, defined flags and memory.
 * Singly, and in short sequences that make one block and pass the optimizer.
 *
 * Usage: test_lift_hw [count [seed]].  Exit 77 where the host is not x86-64.
 */
#ifdef __x86_64__
#include <cpuid.h>
#endif
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/lift/lift_env.h"

/* AddressSanitizer maps its shadow where random addresses must fault: natively they would read 0. */
#if !defined(__x86_64__) || defined(__SANITIZE_ADDRESS__)
int main(void)
{
    return 77;
}
#else

#define WINDOW 0x10000000u      /* guest physical, and where the host runs the code: data */
#define WINDOW_SIZE 0x4000u
#define NATIVE 0x345678900000u  /* host only: code page, then the state page */
#define NATIVE_STATE (NATIVE + 0x1000)

struct native {
    uint64_t r[16], flags, host_sp;
};

static sigjmp_buf trap_jmp;

static void on_trap(int sig)
{
    siglongjmp(trap_jmp, sig);
}

static uint64_t seed;
static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * 0x2545f4914f6cdd1d >> 8;
}

/* mov reg, [rip + d] or back. */
static uint8_t *mov_state(uint8_t *p, unsigned op, unsigned reg, unsigned off)
{
    int32_t d = (int32_t)(NATIVE_STATE + off - (uintptr_t)(p + 7));

    *p++ = (uint8_t)(0x48 | (reg & 8) >> 1);
    *p++ = (uint8_t)op;
    *p++ = (uint8_t)((reg & 7) << 3 | 5);
    memcpy(p, &d, 4);
    return p + 4;
}

static uint8_t *state_ff(uint8_t *p, unsigned op, unsigned reg, unsigned off)
{
    int32_t d = (int32_t)(NATIVE_STATE + off - (uintptr_t)(p + 6));

    *p++ = (uint8_t)op;
    *p++ = (uint8_t)(reg << 3 | 5);
    memcpy(p, &d, 4);
    return p + 4;
}

/* Run one instruction natively; the signal it raised, or 0. */
static int run_native(const uint8_t *code, unsigned len)
{
    uint8_t *p = (uint8_t *)(uintptr_t)NATIVE;
    static const uint8_t save[] = { 0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57, 0x9c };
    static const uint8_t restore[] = { 0x9d, 0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b,
                                       0xc3 };
    int sig;

    memcpy(p, save, sizeof(save));
    p += sizeof(save);
    p = mov_state(p, 0x89, R_SP, offsetof(struct native, host_sp));
    p = state_ff(p, 0xff, 6, offsetof(struct native, flags));
    *p++ = 0x9d;
    for (unsigned k = 0; k < 16; k++)
        p = mov_state(p, 0x8b, k, 8 * k);
    memcpy(p, code, len);
    p += len;
    for (unsigned k = 0; k < 16; k++)
        p = mov_state(p, 0x89, k, 8 * k);
    p = mov_state(p, 0x8b, R_SP, offsetof(struct native, host_sp));
    *p++ = 0x9c;
    p = state_ff(p, 0x8f, 0, offsetof(struct native, flags));
    memcpy(p, restore, sizeof(restore));
    sig = sigsetjmp(trap_jmp, 1);
    if (!sig)
        ((void (*)(void))(uintptr_t)NATIVE)();
    return sig;
}

/* Flags the manual defines after this instruction; cl: NULL if unknown. */
static uint32_t defined(const struct insn *i, const uint64_t *cl)
{
    static const uint32_t undef[FK_COUNT] = {
#define FO FL_OF
#define F(id, text, writes, undefined) [FK_##id] = (undefined),
#include "translator/flags.def"
#undef F
#undef FO
    };
    uint32_t u = i->row->flags ? undef[i->row->flags - 1] : 0;
    bool shift = i->row->lift == lift_shift || i->row->lift == lift_shd;

    if (i->row->lift == lift_div)
        return 0;
    if (i->row->lift == lift_bscan)
        return FL_ZF;
    if (i->row->lift == lift_bt)
        return FL_ARITH & ~(FL_OF | FL_SF | FL_AF | FL_PF);
    if (shift) {
        bool fixed = i->op[i->nops - 1].kind == OPND_IMM;
        unsigned n;

        if (!fixed && !cl)
            return 0;
        n = (unsigned)(fixed ? (uint64_t)i->imm : *cl);
        n &= i->op[0].size == 8 ? 63 : 31;
        if (!n)
            u = 0;
        else if (n == 1)
            u &= ~FL_OF;
        if (n >= i->op[0].size * 8u && i->row->flags - 1 != FK_ROT)
            u |= FL_CF;
    }
    return FL_ARITH & ~u;
}

static bool intel(void)
{
    unsigned max, b = 0, c, d;

    __get_cpuid(0, &max, &b, &c, &d);
    return b == signature_INTEL_ebx;
}

/* What only Intel's chips do as we do: the manuals of both vendors leave it undefined, or the instruction out. */
static bool only_intel(const struct insn *i)
{
    bool hint_0d = i->row->map == MAP_0F && i->row->opcode == 0x0d && i->op[0].kind == OPND_REG;
    bool far_shift = i->row->lift == lift_shd && i->opsize == 2 && i->op[2].kind != OPND_IMM;

    return hint_0d || far_shift;
}

static bool wanted(const struct insn *i)
{
    bool (*f)(struct lift *, const struct insn *) = i->row->lift;

    if (only_intel(i) && !intel())
        return false;
    if (i->rep && (f == lift_nop || f == lift_bscan))
        return false;           /* the host may know TZCNT, LZCNT, newer hints */
    if (f == lift_shd && i->opsize == 2 && i->op[2].kind == OPND_IMM && (i->imm & 31) > 16)
        return false;
    if (f == lift_movs || f == lift_cmps || f == lift_stos || f == lift_lods || f == lift_scas)
        return i->addrsize == 8 || !i->rep;
    return f == lift_alu || f == lift_cmp || f == lift_incdec || f == lift_not || f == lift_neg ||
           f == lift_mul || f == lift_div || f == lift_imul || f == lift_cbw || f == lift_cwd ||
           f == lift_shift || f == lift_shd || f == lift_bt || f == lift_bscan || f == lift_popcnt ||
           f == lift_crc32 || f == lift_bswap || f == lift_xchg || f == lift_xadd || f == lift_cmpxchg ||
           f == lift_cmpxchg8b || f == lift_cmpxchg16b || f == lift_mov || f == lift_lea ||
           f == lift_movx || f == lift_xlat || f == lift_cmov || f == lift_setcc || f == lift_lahf ||
           f == lift_sahf || f == lift_carry || f == lift_push_op || f == lift_pop_op || f == lift_enter ||
           f == lift_leave || f == lift_nop || f == lift_fence;
}

/* A random instruction of ours, its memory operand near one base register (RBX in sequences). */
static unsigned generate(uint8_t *b, struct insn *i, uint32_t mode, bool seq)
{
    for (;;) {
        unsigned n = 0;

        if (rnd() % 8 == 0)
            b[n++] = 0x66;
        if (rnd() % 24 == 0)
            b[n++] = 0x67;
        if (rnd() % 8 == 0)
            b[n++] = rnd() & 1 ? 0xf2 : 0xf3;
        if (rnd() % 16 == 0)
            b[n++] = 0xf0;
        if (rnd() % 2)
            b[n++] = (uint8_t)(0x40 | (rnd() & 15));
        if (rnd() % 2) {
            b[n++] = 0x0f;
            if (rnd() % 32 == 0)
                b[n++] = 0x38;
        }
        b[n++] = (uint8_t)rnd();
        for (; n < 15; n++)
            b[n] = (uint8_t)rnd();
        if (decode(i, b, 15, mode, NULL) != DECODE_OK || !i->row->lift || !wanted(i))
            continue;
        /* No absolute or far displacements: only [reg], [reg + disp8], [reg + index], moffs never. */
        bool mem = false;

        for (unsigned k = 0; k < i->nops; k++)
            mem |= i->op[k].kind == OPND_MEM;
        if (mem && i->row->lift != lift_lea &&
            (i->base == BASE_NONE || i->base == BASE_IP || i->disp != (int8_t)i->disp ||
             i->base == i->index || i->seg == SEG_FS || i->seg == SEG_GS))
            continue;
        if (i->row->lift == lift_xlat && (i->seg == SEG_FS || i->seg == SEG_GS))
            continue;
        if (i->base == BASE_IP)
            continue;
        if (seq && mem && (i->base != R_BX || i->index != BASE_NONE))
            continue;
        return i->len;
    }
}

static uint64_t value(void)
{
    static const uint64_t edge[] = { 0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000,
                                     0xffffffff, INT64_MAX, 1ull << 63, UINT64_MAX };
    return rnd() % 3 ? rnd() << (rnd() & 8) ^ rnd() << 40 : edge[rnd() % (sizeof(edge) / sizeof(edge[0]))];
}

static void registers(struct native *s, const struct insn *i)
{
    bool (*f)(struct lift *, const struct insn *) = i->row->lift;

    for (unsigned k = 0; k < 16; k++)
        s->r[k] = value();
    if (f == lift_div && rnd() % 4)
        s->r[R_DX] &= 3;
    s->r[R_SP] = WINDOW + 0x2000 + (rnd() & 0xff8);
    if (f == lift_leave || f == lift_enter)
        s->r[R_BP] = WINDOW + 0x2000 + (rnd() & 0xff8);
    if (f == lift_xlat)
        s->r[R_BX] = WINDOW + 0x1000;
    if (f == lift_movs || f == lift_cmps || f == lift_stos || f == lift_lods || f == lift_scas) {
        s->r[R_SI] = WINDOW + 0x2000 + rnd() % 64;
        s->r[R_DI] = WINDOW + 0x2000 + rnd() % 64;
        s->r[R_CX] = rnd() % 40;
        return;
    }
    if (i->base < 16)
        s->r[i->base] = WINDOW + 0x2000 + (rnd() & 0x7ff & ~(f == lift_cmpxchg16b ? 15ull : 0));
    if (i->index < 16 && i->index != i->base)
        s->r[i->index] = rnd() % 64;
    if (i->base < 16 && f == lift_bt && i->op[1].kind == OPND_REG && i->op[1].reg != i->base)
        s->r[i->op[1].reg] = rnd() % 4096 - 2048;
}

static void report(const uint8_t *code, unsigned len, const struct native *in, const struct native *hw,
                   const struct cpu *c, uint32_t mask, const char *what)
{
    struct insn i;

    printf("differ in %s:\n", what);
    for (unsigned at = 0; at < len; at += i.len) {
        decode(&i, code + at, len - at, c->mode, NULL);
        printf(" ");
        for (unsigned k = 0; k < i.len; k++)
            printf(" %02x", code[at + k]);
        printf("  %s\n", i.row->name);
    }
    for (unsigned k = 0; k < 16; k++)
        printf("  r%-2u in %016llx host %016llx ours %016llx%s\n", k, (unsigned long long)in->r[k],
               (unsigned long long)hw->r[k], (unsigned long long)c->r[k], hw->r[k] != c->r[k] ? " <" : "");
    printf("  fl  in %08llx host %08llx ours %08llx mask %08x\n", (unsigned long long)in->flags,
           (unsigned long long)hw->flags & FL_ARITH, (unsigned long long)c->flags & FL_ARITH, mask);
}

int main(int argc, char **argv)
{
    unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 0) : 20000, bad = 0;
    struct lift_env *e = env_new(M_CODE64);
    struct cpu *c = e->c;
    struct native *s = (struct native *)(uintptr_t)NATIVE_STATE;
    uint8_t *guest = malloc(WINDOW_SIZE), *host, *before = malloc(WINDOW_SIZE);
    struct sigaction sa = { .sa_handler = on_trap, .sa_flags = SA_ONSTACK };
    stack_t ss = { .ss_sp = malloc(65536), .ss_size = 65536 };

    seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 0x9e3779b97f4a7c15;
    host = mmap((void *)(uintptr_t)WINDOW, WINDOW_SIZE, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (host == MAP_FAILED ||
        mmap((void *)(uintptr_t)NATIVE, 0x2000, PROT_READ | PROT_WRITE | PROT_EXEC,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED)
        return 77;
    phys_map_ram(e->m.phys, WINDOW, WINDOW_SIZE, guest, false, "window");
    sigaltstack(&ss, NULL);
    sigaction(SIGFPE, &sa, NULL);
    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGBUS, &sa, NULL);
    sigaction(SIGILL, &sa, NULL);
    for (unsigned k = 0; k < WINDOW_SIZE; k++)
        before[k] = (uint8_t)rnd();

    for (unsigned long t = 0; t < count && bad < 10; t++) {
        uint8_t code[96];
        struct insn i;
        struct native in = { .flags = 0 };
        unsigned n = t & 3 ? 1 : 2 + (unsigned)rnd() % 4, len = 0;
        uint32_t undef = 0;
        bool faulted, usable = true;
        int sig;

        for (unsigned k = 0; k < n; k++) {
            uint32_t reads, writes;

            len += generate(code + len, &i, c->mode, n > 1);
            insn_flags(&i, &reads, &writes);
            usable &= !(reads & undef);
            if (!k)
                registers(&in, &i);
            undef = (undef & ~writes) | (FL_ARITH & ~defined(&i, k ? NULL : &in.r[R_CX]));
        }
        if (!usable)
            continue;
        if (n > 1) {
            in.r[R_BX] = WINDOW + 0x2000 + (rnd() & 0x7f8);
            in.r[R_SI] = WINDOW + 0x2000 + rnd() % 64;
            in.r[R_DI] = WINDOW + 0x2000 + rnd() % 64;
        }
        in.flags = (rnd() & FL_ARITH) | FL_1 | FL_IF | (rnd() % 4 ? 0 : FL_DF);
        *s = in;
        memcpy(host, before, WINDOW_SIZE);
        memcpy(guest, before, WINDOW_SIZE);
        e->opt.smp = t >> 2 & 1;        /* LOCK as atomic operations, or plain */
        e->optimize = n > 1 || (t >> 3 & 1);
        memcpy(c->r, in.r, sizeof(in.r));
        c->flags = in.flags & FL_ARITH;
        c->eflags = in.flags & ~FL_ARITH & ~FL_1;
        sig = run_native(code, len);
        if (sig == SIGSEGV || sig == SIGBUS || (sig && n > 1))
            continue;           /* outside the window: open bus for us */
        faulted = env_exec(e, code, len, n);
        if ((sig != 0) != faulted) {
            report(code, len, &in, s, c, 0, sig ? "host faults" : "we fault");
            bad++;
            continue;
        }
        if (sig)
            continue;
        if (memcmp(c->r, s->r, sizeof(s->r)) || ((c->flags ^ s->flags) & FL_ARITH & ~undef)) {
            report(code, len, &in, s, c, FL_ARITH & ~undef, "state");
            bad++;
        } else if (memcmp(guest, host, WINDOW_SIZE)) {
            report(code, len, &in, s, c, 0, "memory");
            bad++;
        }
    }
    printf("%lu instructions, %lu differ\n", count, bad);
    env_free(e);
    return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
#endif
