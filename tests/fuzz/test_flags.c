/*
 * test_flags.c - are the arithmetic flags exact where an exception or interrupt
 * shows them, though the program would overwrite them unread?
 *
 * Random straight programs (their jumps lead to the next instruction, to make
 * blocks end) run in a whole machine, interpreted or translated, until a load
 * faults or an interrupt comes that a store to a device raised.  Then the part of
 * the program that had been executed by then, says the frame's RIP, runs on the
 * host CPU: registers and flags must be the same.
 *
 *     test_flags [COUNT [SEED]]
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "frontend/decode.h"
#include "tests/fuzz/fuzz.h"
#include "translator/check.h"
#include "translator/ir.h"

#define DATA 0x100              /* offset of the programs' operands in the data area */

/* Registers that only hold addresses, which differ between host and guest. */
enum { REG_DATA = R_BX, REG_IO = R_15, REG_NONE = R_14 };

struct program {
    uint8_t code[512];
    unsigned len;
    struct { unsigned end; uint32_t undef; } insn[64];  /* undefined flags once it has been executed */
    unsigned n;
};

struct env {
    struct fuzz_machine m;
    struct fuzz_case k;
    struct program p;
    struct hw_rng r;
    unsigned long faults, interrupts;
};

static unsigned rnd(struct env *e, unsigned n)
{
    return (unsigned)hw_below(&e->r, n);
}

/* A register that is free for values, and its REX bit. */
static unsigned value_reg(struct env *e)
{
    static const uint8_t reg[] = { R_AX, R_CX, R_DX, R_SI, R_DI, R_BP, R_8, R_9, R_10, R_11, R_12, R_13 };
    return reg[rnd(e, sizeof(reg))];
}

static void byte(struct program *p, unsigned b)
{
    p->code[p->len++] = (uint8_t)b;
}

/*
 * An instruction with a ModRM byte: prefix and REX by size, map 0Fh if op says so;
 * rm: a register, or -1 - base for memory at an 8-bit displacement.
 */
static void modrm(struct env *e, unsigned size, unsigned op, unsigned reg, int rm)
{
    struct program *p = &e->p;
    unsigned base = rm < 0 ? (unsigned)(-1 - rm) : (unsigned)rm;

    if (size == 2)
        byte(p, 0x66);
    byte(p, 0x40 | (size == 8) << 3 | reg >> 3 << 2 | base >> 3);       /* always: no AH..BH */
    if (op >> 8)
        byte(p, op >> 8);
    byte(p, op & 0xff);
    byte(p, (rm < 0 ? 0x40 : 0xc0) | (reg & 7) << 3 | (base & 7));
    if (rm < 0)
        byte(p, 8 * rnd(e, 8));
}

static void imm(struct env *e, unsigned size)
{
    for (unsigned k = 0; k < size; k++)
        byte(&e->p, rnd(e, 3) ? rnd(e, 256) : rnd(e, 2) * 0xff);
}

/* Register or memory operand. */
static int operand(struct env *e)
{
    return rnd(e, 3) ? (int)value_reg(e) : -1 - REG_DATA;
}

static void random_insn(struct env *e)
{
    static const uint8_t sizes[] = { 1, 2, 4, 4, 8, 8 };
    struct program *p = &e->p;
    unsigned size = sizes[rnd(e, 6)], w = size > 1, wide = size == 1 ? 4 : size;

    switch (rnd(e, 22)) {
    case 0: case 1: case 2: case 3:             /* the eight: r/m, r and r, r/m */
        modrm(e, size, rnd(e, 8) << 3 | rnd(e, 2) << 1 | w, value_reg(e), operand(e));
        break;
    case 4: case 5:
        modrm(e, size, 0x80 | w, rnd(e, 8), operand(e));
        imm(e, size > 4 ? 4 : size);
        break;
    case 6:
        modrm(e, size, 0x84 | w, value_reg(e), operand(e));     /* TEST */
        break;
    case 7: case 8:
        modrm(e, size, 0xfe | w, rnd(e, 2), operand(e));        /* INC, DEC */
        break;
    case 9:
        modrm(e, size, 0xf6 | w, 2 + rnd(e, 2), operand(e));    /* NOT, NEG */
        break;
    case 10: case 11:                           /* shifts and rotations */
        modrm(e, size, 0xd0 | w | (rnd(e, 3) ? 2 : 0), rnd(e, 8), operand(e));
        break;
    case 12:
        modrm(e, size, 0xc0 | w, rnd(e, 8), operand(e));
        byte(p, 1 + rnd(e, 31));
        break;
    case 13:
        modrm(e, wide, rnd(e, 2) ? 0x0fa4 : 0x0fac, value_reg(e), operand(e));  /* SHLD, SHRD */
        byte(p, 1 + rnd(e, 15));
        break;
    case 14:
        modrm(e, wide, 0x0faf, value_reg(e), operand(e));       /* IMUL */
        break;
    case 15:
        modrm(e, size, 0xf6 | w, 4 + rnd(e, 2), operand(e));    /* MUL, IMUL */
        break;
    case 16:
        modrm(e, wide, 0x0fba, 4 + rnd(e, 4), (int)value_reg(e));       /* BT and family */
        byte(p, rnd(e, 64));
        break;
    case 17:
        modrm(e, wide, 0x0f40 | rnd(e, 16), value_reg(e), operand(e));  /* CMOVcc */
        break;
    case 18:
        modrm(e, 4, 0x0f90 | rnd(e, 16), 0, (int)value_reg(e)); /* SETcc */
        break;
    default:                                    /* moves destroy operands */
        modrm(e, size, (rnd(e, 4) ? 0x8a : 0x88) | w, value_reg(e), operand(e));
    }
}

/* A jump to the next instruction. */
static void random_jump(struct env *e)
{
    byte(&e->p, rnd(e, 2) ? 0xeb : 0x70 | rnd(e, 16));
    byte(&e->p, 0);
}

static void add_insn(struct env *e, void (*make)(struct env *))
{
    struct program *p = &e->p;
    unsigned start = p->len;
    uint32_t undef = p->n ? p->insn[p->n - 1].undef : 0, reads, writes;
    struct insn i;

    /* Nothing may depend on flags the manual leaves undefined. */
    do {
        p->len = start;
        make(e);
        if (decode(&i, p->code + start, p->len - start, M_CODE64 | M_PE | M_LMA, NULL) != DECODE_OK ||
            i.len != p->len - start)
            abort();
        insn_flags(&i, &reads, &writes);
    } while ((reads & undef) && make != random_jump);
    if (i.row->flags) {
        uint64_t count = i.row->map == MAP_1 && (i.opcode & 0xfe) == 0xd0 ? 1 : ~(uint64_t)0;
        uint32_t u = cc_undefined((enum flags_kind)(i.row->flags - 1), TY_I64, count);
        undef = (undef & ~writes) | u;
    }
    p->insn[p->n].end = p->len;
    p->insn[p->n++].undef = undef;
}

static void io_store(struct env *e)
{
    modrm(e, 4, 0x89, value_reg(e), -1 - REG_IO);
}

static void bad_load(struct env *e)
{
    modrm(e, 4, rnd(e, 2) ? 0x8b : 0x03, value_reg(e), -1 - REG_NONE);
}

/* XOR eax, ecx: overwrites all flags. */
static void overwriter(struct env *e)
{
    modrm(e, 4, 0x31, R_CX, R_AX);
}

static void make_program(struct env *e, bool interrupt)
{
    struct program *p = &e->p;
    unsigned before = 1 + rnd(e, 10), after = interrupt ? 12 : 3;

    p->len = p->n = 0;
    for (unsigned k = 0; k < before; k++)
        add_insn(e, rnd(e, 6) ? random_insn : random_jump);
    add_insn(e, interrupt ? io_store : bad_load);
    for (unsigned k = 0; k < after; k++) {
        if (interrupt)
            add_insn(e, rnd(e, 3) ? random_insn : random_jump);
        add_insn(e, overwriter);
    }
    byte(p, 0xf4);
}

static uint64_t frame_rip(struct env *e, bool code)
{
    uint64_t rip;
    memcpy(&rip, e->m.ram + e->m.c->r[R_SP] + 8 * code, 8);
    return rip;
}

/* One program; false: it went wrong, and was shown. */
static bool round_of(struct env *e, bool interrupt)
{
    struct program *p = &e->p;
    struct fuzz_start s;
    struct hw_state host;
    struct cpu *c = e->m.c;
    uint8_t *data = (uint8_t *)(uintptr_t)(HW_DATA + DATA);
    unsigned done, n = 0;
    uint32_t undef;
    uint64_t rip;

    make_program(e, interrupt);
    hw_fill_data(&e->r, (uint8_t *)(uintptr_t)HW_DATA);
    memcpy(e->k.image + FZ_DATA + DATA, data, 256);
    memcpy(e->k.image + FZ_CODE, p->code, sizeof(p->code));
    fuzz_memory(&e->m, e->k.image);
    fuzz_make_start(&e->r, &e->k, &s);
    s.rip = e->k.code;
    s.eflags = FL_1 | FL_IF | (s.eflags & FL_ARITH);
    s.intr = false;
    memset(&host, 0, sizeof(host));
    memcpy(host.r, s.r, sizeof(host.r));
    host.r[REG_DATA] = (uint64_t)(uintptr_t)data;
    host.r[REG_IO] = HW_DATA + 0x3000;
    host.r[R_SP] = HW_DATA + 0x6000;
    host.flags = s.eflags & (FL_ARITH | FL_1);
    host.fx.fcw = 0x37f;
    host.fx.mxcsr = 0x1f80;
    s.r[R_SP] = FZ_STACK - 0x100;
    s.r[REG_DATA] = FZ_DATA + DATA;
    s.r[REG_IO] = FZ_MMIO;
    s.r[REG_NONE] = host.r[REG_NONE] = 0x7f000000;
    for (unsigned k = 0; k < 6; k++)
        s.sel[k] = k == SEG_CS ? e->k.cs : k == SEG_SS ? e->k.ss : e->k.ds;
    e->m.intr_on_io = interrupt;
    fuzz_begin(&e->m, &e->k, &s);
    if (fuzz_run(&e->m, 250) != FE_HALT) {
        fprintf(stderr, "test_flags: the program does not end\n");
        return false;
    }
    rip = c->rip >= FZ_HANDLER && c->rip < FZ_HANDLER + 0x1000 ? frame_rip(e, !interrupt) : c->rip - 1;
    done = (unsigned)(rip - e->k.code);
    if (done == p->len)                         /* behind the HLT */
        done--;
    while (n < p->n && p->insn[n].end < done)
        n++;
    undef = done ? p->insn[n].undef : 0;
    if (done && (n == p->n || p->insn[n].end != done)) {
        fprintf(stderr, "test_flags: stopped at %llx, within an instruction\n", (unsigned long long)rip);
        return false;
    }
    hw_native(&host, p->code, done, 0);
    host.r[REG_DATA] = c->r[REG_DATA];
    host.r[REG_IO] = c->r[REG_IO];
    host.r[R_SP] = c->r[R_SP];
    *(interrupt ? &e->interrupts : &e->faults) += c->rip < FZ_HANDLER + 0x1000;
    if (!((host.flags ^ c->flags) & FL_ARITH & ~undef) && !memcmp(host.r, c->r, sizeof(host.r)))
        return true;
    fprintf(stderr, "test_flags: %s, %s, stopped at +%u: flags host %x latimer %x (undefined %x)\n",
            e->m.interp ? "interpreter" : "host code", interrupt ? "interrupt" : "fault", done,
            (unsigned)host.flags & FL_ARITH, (unsigned)c->flags, undef);
    for (unsigned k = 0; k < 16; k++)
        if (host.r[k] != c->r[k])
            fprintf(stderr, "r%u: %llx %llx\n", k, (unsigned long long)host.r[k], (unsigned long long)c->r[k]);
    for (unsigned k = 0, at = 0; k < p->n; at = p->insn[k++].end)
        check_disassemble(stderr, p->code + at, p->insn[k].end - at, at, 64, 0, false);
    return false;
}

/* The first plain case of 64-bit mode in which the device can be written to. */
static void find_case(struct fuzz_case *k)
{
    uint64_t seed = FM_LONG, pte;

    do {
        fuzz_make_case(k, seed);
        seed += FM_COUNT;
        memcpy(&pte, k->image + FZ_TABLES + 0x3000 + 8 * (FZ_MMIO >> PAGE_BITS), 8);
    } while (k->cpl || (k->cr4 & CR4_SMAP) || (pte & 3) != 3);
}

int main(int argc, char **argv)
{
    struct env *e = calloc(1, sizeof(*e));
    unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 0) : 20000;

    if (!e)
        return 1;
    decode_init();
    log_mask = 0;
    hw_native_init();
    find_case(&e->k);
    for (unsigned engine = 0; engine < 2; engine++) {
        fuzz_init(&e->m, !engine);
        e->r.s = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
        e->faults = e->interrupts = 0;
        for (unsigned long n = 0; n < count; n++)
            if (!round_of(e, n & 1))
                return 1;
        printf("test_flags: %s: %lu faults, %lu interrupts\n", engine ? "host code" : "interpreter", e->faults,
               e->interrupts);
        if (e->faults < count / 4 || e->interrupts < count / 4)
            return 1;
        fuzz_free(&e->m);
    }
    free(e);
    return 0;
}
