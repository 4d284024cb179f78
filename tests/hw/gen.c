/*
 * gen.c - random legal instances of a row of x86.def for the hardware test.
 *
 * Bytes are made field by field, then decoded with our own decoder to make sure
 * it is the row that was meant; registers are chosen afterwards so that every
 * memory reference falls into the data area (usually).  Operand values are
 * biased to the boundaries where semantics bend.
 *
 * Invariant: an instance depends on its seed alone, not on the host or compiler,
 * because results are recorded (record.c).  So no expression draws two random
 * numbers unless C says which comes first.
 */
#include <string.h>

#include "frontend/decode_tab.h"
#include "tests/hw/hw.h"
#include "translator/ir.h"

uint64_t hw_rand(struct hw_rng *r)
{
    /* splitmix64: a full-period counter through a mixer */
    uint64_t z = r->s += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void hw_seed(struct hw_rng *r, uint64_t seed, const char *what, uint64_t n)
{
    uint64_t h = 0xcbf29ce484222325u;           /* FNV-1a of the name */

    for (; *what; what++)
        h = (h ^ (uint8_t)*what) * 0x100000001b3u;
    r->s = seed;
    r->s = hw_rand(r) ^ h;
    r->s = hw_rand(r) + n;
    r->s = hw_rand(r);
}

static bool one_in(struct hw_rng *r, unsigned n)
{
    return hw_below(r, n) == 0;
}

uint64_t hw_value(struct hw_rng *r)
{
    static const uint64_t edge[] = {
        0, 1, 2, 0x7f, 0x80, 0x81, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000,
        0xffffffff, 0x100000000, 0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff,
        0xfffffffffffffffe, 0xffffffff80000000, 0xffffffffffff8000, 0xffffffffffffff80, 0x5555555555555555,
        0xaaaaaaaaaaaaaaaa, 0x0f, 0x10, 0x1f, 0x20, 0x3f, 0x40, 0x99, 0x0123456789abcdef,
    };

    uint64_t v;

    switch (hw_below(r, 4)) {
    case 0:
        return hw_rand(r);
    case 1:
        v = hw_rand(r);
        return v >> hw_below(r, 64);
    default:
        return edge[hw_below(r, sizeof(edge) / sizeof(edge[0]))];
    }
}

static uint64_t value_f64(struct hw_rng *r)
{
    static const uint64_t edge[] = {
        0, 0x8000000000000000, 0x3ff0000000000000, 0xbff0000000000000, 0x7ff0000000000000, 0xfff0000000000000,
        0x7ff8000000000000, 0xfff8000000000000, 0x7ff0000000000001, 0xfff4000000000000, 1, 0x8000000000000001,
        0x000fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff, 0xffefffffffffffff, 0x3fe0000000000000,
        0x41dfffffffc00000, 0x41e0000000000000, 0xc1e0000000000000, 0xc1e0000000200000, 0x43e0000000000000,
        0xc3e0000000000000, 0x3ff8000000000000, 0x4004000000000000, 0xc004000000000000, 0x433fffffffffffff,
        0x7ff800000000dead, 0x36a0000000000000, 0x47efffffe0000000, 0x47f0000000000000, 0x380fffffffffffff,
    };

    if (one_in(r, 3))
        return hw_rand(r);
    if (one_in(r, 3)) {         /* moderate exponents, so that sums and products are ordinary */
        uint64_t v = hw_rand(r) & 0x800fffffffffffff;

        return v | (uint64_t)(1023 - 30 + hw_below(r, 60)) << 52;
    }
    return edge[hw_below(r, sizeof(edge) / sizeof(edge[0]))];
}

static uint32_t value_f32(struct hw_rng *r)
{
    static const uint32_t edge[] = {
        0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7f800001,
        0xffa00000, 1, 0x80000001, 0x007fffff, 0x00800000, 0x7f7fffff, 0xff7fffff, 0x3f000000, 0x4effffff,
        0x4f000000, 0xcf000000, 0xcf000001, 0x5f000000, 0xdf000000, 0x3fc00000, 0x40200000, 0xc0200000,
        0x4b7fffff, 0x7fc0dead,
    };

    if (one_in(r, 3))
        return (uint32_t)hw_rand(r);
    if (one_in(r, 3)) {
        uint32_t v = (uint32_t)hw_rand(r) & 0x807fffff;

        return v | (uint32_t)(127 - 20 + hw_below(r, 40)) << 23;
    }
    return edge[hw_below(r, sizeof(edge) / sizeof(edge[0]))];
}

void hw_vector(struct hw_rng *r, union vreg *v)
{
    switch (hw_below(r, 4)) {
    case 0:
        v->q[0] = hw_value(r);
        v->q[1] = hw_value(r);
        break;
    case 1:
        v->q[0] = value_f64(r);
        v->q[1] = value_f64(r);
        break;
    case 2:
        for (unsigned k = 0; k < 4; k++)
            v->d[k] = value_f32(r);
        break;
    default:
        for (unsigned k = 0; k < 8; k++)
            v->w[k] = (uint16_t)hw_value(r);
        break;
    }
}

static void value_f80(struct hw_rng *r, uint64_t *sig, uint16_t *se)
{
    static const struct { uint64_t sig; uint16_t se; } edge[] = {
        { 0, 0 }, { 0, 0x8000 }, { 0x8000000000000000, 0x3fff }, { 0x8000000000000000, 0xbfff },
        { 0x8000000000000000, 0x7fff }, { 0x8000000000000000, 0xffff }, { 0xc000000000000000, 0x7fff },
        { 0xc000000000000000, 0xffff }, { 0xa000000000000000, 0x7fff }, { 0xffffffffffffffff, 0x7ffe },
        { 1, 0 }, { 0x7fffffffffffffff, 0 }, { 0x8000000000000000, 0 }, { 0x8000000000000000, 1 },
        { 0x4000000000000000, 0x4000 }, { 0, 0x4000 }, { 0, 0x7fff }, { 0xc90fdaa22168c235, 0x4000 },
        { 0x8000000000000000, 0x403e }, { 0x8000000000000000, 0xc03e }, { 0xffffffffffffffff, 0x403d },
        { 0xffffffffffffffff, 0x3ffe }, { 0x8000000000000000, 0x3ffe }, { 0x8000000000000001, 0x3fff },
        { 0xde0b6b3a76400000, 0x403a }, { 0x8000000000000000, 0x4000 },
    };

    if (one_in(r, 3)) {
        unsigned k = (unsigned)hw_below(r, sizeof(edge) / sizeof(edge[0]));

        *sig = edge[k].sig;
        *se = edge[k].se;
    } else if (one_in(r, 4)) {
        *sig = hw_rand(r);
        *sig |= one_in(r, 8) ? 0 : (uint64_t)1 << 63;
        *se = (uint16_t)hw_rand(r);
    } else {
        *sig = hw_rand(r) | (uint64_t)1 << 63;
        *se = (uint16_t)(hw_rand(r) & 0x8000);
        *se |= (uint16_t)(0x3fff - 40 + hw_below(r, 110));
    }
}

void hw_fill_data(struct hw_rng *r, uint8_t *data)
{
    for (unsigned k = 0; k < HW_DATA_SIZE; k += 16) {
        union vreg v;

        if (one_in(r, 4)) {
            value_f80(r, &v.q[0], &v.w[4]);
            v.q[1] = (v.q[1] & 0xffff) | hw_rand(r) << 16;
        } else {
            hw_vector(r, &v);
        }
        memcpy(data + k, &v, 16);
    }
}

/* --- which rows --- */

static bool in_list(const char *name, const char *const *list)
{
    for (; *list; list++) {
        if (!strcmp(name, *list))
            return true;
    }
    return false;
}

bool hw_row_code32(const struct x86_row *row)
{
    return !(row->modes & MODE_64);
}

bool hw_row_usable(const struct x86_row *row)
{
    /* Control flow, system state that differs between host kernel and our flat guest, images with
     * reserved parts, and what no user program may do. */
    static const char *const not[] = {
        "cpuid", "xgetbv", "in", "out", "insb", "outsb", "insw/insd", "outsw/outsd", "cli", "sti", "hlt",
        "sgdt", "sidt", "sldt", "str", "smsw", "lar", "lsl", "verr", "verw", "rdpmc", "rdtsc", "rdtscp",
        "rdrand", "rdseed", "jmp", "call", "ret", "retf", "iret", "int", "int1", "int3", "into",
        "syscall", "sysenter", "lcall", "ljmp", "loop", "loope", "loopne",
        "lss", "lfs", "lgs", "lds", "les", "popfw/popfd/popfq", "ldmxcsr",
        "rdfsbase", "rdgsbase", "wrfsbase", "wrgsbase", "enter", "ud0", "ud1", "ud2",
        "fldenv", "fnstenv", "frstor", "fnsave", "monitor", "mwait", "swapgs", "wait", "clflush", NULL
    };

    if (row->skip || (row->attrs & (AT_CPL0 | AT_RANDOM)))
        return false;
    if (hw_row_code32(row) && !strcmp(row->name, "push"))
        return true;            /* CS, SS, DS, ES: host and guest have the same */
    if (strchr(row->operands, 'S') && (strstr(row->operands, "Sw") || strstr(row->operands, "SS")))
        return false;
    if (strstr(row->operands, "FS") || strstr(row->operands, "GS") || strstr(row->operands, "DS") ||
        strstr(row->operands, "ES") || strstr(row->operands, "CS") || row->operands[0] == 'J' ||
        strstr(row->operands, "Cd") || strstr(row->operands, "Dd"))
        return false;
    return !in_list(row->name, not) && strncmp(row->name, "pushf", 5) && strncmp(row->name, "popf", 4) &&
           strncmp(row->name, "iret", 4) && strncmp(row->name, "insw", 4) && strncmp(row->name, "outs", 4) &&
           strncmp(row->name, "xsave", 5) && strncmp(row->name, "xrstor", 6) &&
           strncmp(row->name, "fxsave", 6) && strncmp(row->name, "fxrstor", 7) &&
           strncmp(row->name, "jcxz", 4) && row->name[0] != 'j';
}

/* --- instances --- */

struct build {
    uint8_t b[32];
    unsigned n, disp;           /* disp: where the displacement lies */
};

static void put(struct build *b, uint64_t v, unsigned bytes)
{
    for (unsigned k = 0; k < bytes; k++)
        b->b[b->n++] = (uint8_t)(v >> (8 * k));
}

static void make_modrm(struct hw_rng *r, struct build *b, const struct x86_row *row)
{
    unsigned mod = one_in(r, 2) ? 3 : (unsigned)hw_below(r, 3), reg = (unsigned)hw_below(r, 8);
    unsigned rm = (unsigned)hw_below(r, 8);
    int64_t disp = one_in(r, 2) ? (int64_t)hw_below(r, 512) - 256 : (int64_t)hw_below(r, 64) - 32;

    if (row->ext & 0x100)
        reg = row->ext & 7;
    if (row->ext & EXT_MEM)
        mod = (unsigned)hw_below(r, 3);
    if (row->ext & EXT_RR)
        mod = 3;
    if (row->ext & 0x800)
        rm = row->ext >> 4 & 7;
    put(b, mod << 6 | reg << 3 | rm, 1);
    if (mod == 3)
        return;
    if (rm == 4) {
        unsigned sib = (unsigned)hw_rand(r) & 0xff;

        put(b, sib, 1);
        if ((sib & 7) == 5 && mod == 0)
            mod = 2;
    } else if (rm == 5 && mod == 0) {
        mod = 2;
    }
    b->disp = b->n;
    put(b, (uint64_t)disp, mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

static void make_bytes(struct hw_rng *r, struct build *b, const struct x86_row *row)
{
    static const uint8_t segs[4] = { 0x26, 0x2e, 0x36, 0x3e };
    bool modrm = decode_tables.row[row - x86_rows].modrm, imm = strpbrk(row->operands, "IO");
    unsigned rex = one_in(r, 4) ? 0 : 0x40 | ((unsigned)hw_rand(r) & 15), op = row->opcode;
    bool code32 = hw_row_code32(row);

    b->n = b->disp = 0;
    if (one_in(r, 16) && !code32)               /* 16-bit addresses do not reach the data */
        put(b, 0x67, 1);
    if (one_in(r, 16))
        put(b, segs[hw_below(r, 4)], 1);
    if ((row->attrs & AT_LOCK) && one_in(r, 4))
        put(b, 0xf0, 1);
    if (row->pfx == PFX_66 || (row->pfx == PFX_ANY && one_in(r, 4)) ||
        ((row->pfx == PFX_F2 || row->pfx == PFX_F3) && one_in(r, 8)))
        put(b, 0x66, 1);
    if (row->pfx == PFX_F2 || row->pfx == PFX_F3)
        put(b, row->pfx == PFX_F2 ? 0xf2 : 0xf3, 1);
    else if ((row->attrs & AT_REP) && one_in(r, 2))
        put(b, one_in(r, 3) ? 0xf2 : 0xf3, 1);
    if (row->ext & EXT_W1)
        rex |= 0x48;
    if (row->ext & EXT_W0)
        rex &= ~8u;
    if (rex && !code32)
        put(b, rex, 1);
    if (row->map != MAP_1)
        put(b, 0x0f, 1);
    if (row->map == MAP_0F38 || row->map == MAP_0F3A)
        put(b, row->map == MAP_0F38 ? 0x38 : 0x3a, 1);
    if (row->attrs & AT_CC)
        op |= (unsigned)hw_rand(r) & 15;
    if (row->attrs & AT_OREG)
        op |= (unsigned)hw_rand(r) & 7;
    put(b, op, 1);
    if (modrm)
        make_modrm(r, b, row);
    else
        b->disp = b->n;         /* moffs */
    if (imm)
        put(b, hw_value(r), 8);
}

static bool uses_reg(const struct insn *i, unsigned n)
{
    return i->base == n || i->index == n;
}

/* Choose registers and displacement so that the memory operand is at `at`. False: cannot. */
static bool aim(struct hw_rng *r, struct hw_case *c, struct build *b, uint64_t at)
{
    struct insn *i = &c->insn;
    uint64_t index = 0, *R = c->in.r, high = 0;
    bool patch = false;
    int64_t disp = i->disp;

    if (i->base == i->index && i->base != BASE_NONE)
        return false;
    if (i->addrsize == 4 && one_in(r, 2) && !hw_row_code32(c->row))
        high = hw_rand(r) << 32;
    if (i->index != BASE_NONE) {
        index = (uint64_t)((int64_t)hw_below(r, 256) - 128);
        R[i->index] = i->addrsize == 4 ? (uint32_t)index | high : index;
        index <<= i->scale;
    }
    if (i->base == BASE_IP) {
        disp = (int64_t)(at - (HW_CODE + c->off + i->len));
        patch = true;
    } else if (i->base == BASE_NONE) {
        disp = (int64_t)(at - index);
        patch = true;
    } else {
        uint64_t v = at - index - (uint64_t)disp;

        R[i->base] = i->addrsize == 4 ? (uint32_t)v | (i->base == R_SP ? 0 : high) : v;
    }
    if (patch) {
        unsigned bytes = strchr(i->row->operands, 'O') ? i->addrsize : 4;

        for (unsigned k = 0; k < bytes; k++)
            b->b[b->disp + k] = (uint8_t)(disp >> (8 * k));
        i->disp = disp;
    }
    return true;
}

static bool starts(const struct x86_row *row, const char *s)
{
    return !strncmp(row->name, s, strlen(s));
}

/* Registers an instruction uses without naming them, or only some values of which make sense. */
static bool implicit_registers(struct hw_rng *r, struct hw_case *c, const uint8_t *data, uint64_t at)
{
    const struct x86_row *row = c->row;
    struct insn *i = &c->insn;
    uint64_t *R = c->in.r;
    bool mem = i->op[0].kind == OPND_MEM && !i->op[0].reg;

    if (strchr(row->operands, 'X') || strchr(row->operands, 'Y')) {
        if (!strstr(row->operands, "XMM0")) {
            R[R_SI] = at;
            R[R_DI] = one_in(r, 4) ? at + hw_below(r, 64) - 32 : HW_DATA + 0x2000 + hw_below(r, 0x4000);
            R[R_CX] = hw_below(r, 48);
        }
    }
    if (starts(row, "xlat"))
        R[R_BX] = at;
    if (starts(row, "maskmov"))
        R[R_DI] = at;
    if (starts(row, "leave"))
        R[R_BP] = at;
    if (row->name[0] == 'b' && row->name[1] == 't' && mem && i->op[1].kind == OPND_REG) {
        unsigned n = i->op[1].reg;

        if (uses_reg(i, n))
            return false;
        R[n] = (uint64_t)((int64_t)hw_below(r, 0x10000) - 0x8000);
    }
    if ((!strcmp(row->name, "div") || !strcmp(row->name, "idiv")) && !uses_reg(i, R_DX) && hw_below(r, 4)) {
        R[R_DX] = one_in(r, 2) ? 0 : hw_below(r, 8);
        if (row->name[0] == 'i' && one_in(r, 2))
            R[R_DX] = ~(uint64_t)0;
        if (i->op[0].size == 1)
            R[R_AX] = uses_reg(i, R_AX) ? R[R_AX] : hw_below(r, 0x2000);
    }
    if (starts(row, "cmpxchg") && !uses_reg(i, R_AX) && one_in(r, 2)) {
        if (mem) {
            memcpy(&R[R_AX], data + (at - HW_DATA), 8);
            if (i->op[0].size >= 8 && row->name[7] && !uses_reg(i, R_DX)) {
                memcpy(&R[R_DX], data + (at - HW_DATA) + i->op[0].size / 2, 8);
            }
        } else {
            R[R_AX] = R[i->op[0].reg];
        }
    }
    return true;
}

static unsigned shift_count(const struct hw_case *c)
{
    unsigned last = c->insn.nops - 1u;
    uint64_t n = c->insn.op[last].kind == OPND_IMM ? (uint64_t)c->insn.imm : c->in.r[R_CX];

    return n & (c->insn.op[0].size == 8 ? 63 : 31);
}

/* Flags the manual leaves undefined for this instance; false: the result itself is undefined. */
static bool undefined_flags(struct hw_case *c)
{
    static const uint32_t undef[FK_COUNT] = {
#define F(id, text, writes, undef) [FK_##id] = (undef),
#include "translator/flags.def"
#undef F
    };
    static const struct { char name[5]; uint32_t undef; } other[] = {
        { "div", FL_ARITH }, { "idiv", FL_ARITH }, { "daa", FL_OF }, { "das", FL_OF },
        { "aaa", FL_OF | FL_SF | FL_ZF | FL_PF }, { "aas", FL_OF | FL_SF | FL_ZF | FL_PF },
        { "aam", FL_OF | FL_AF | FL_CF }, { "aad", FL_OF | FL_AF | FL_CF },
    };
    const struct x86_row *row = c->row;
    unsigned kind = row->flags ? row->flags - 1u : FK_COUNT, width = 8u * c->insn.op[0].size, n;

    c->undef_flags = kind < FK_COUNT ? undef[kind] : 0;
    for (unsigned k = 0; k < sizeof(other) / sizeof(other[0]); k++) {
        if (!strcmp(row->name, other[k].name))
            c->undef_flags = other[k].undef;
    }
    switch (kind) {
    case FK_BSCAN:
        c->undef_flags = FL_ARITH & ~FL_ZF;
        break;
    case FK_SHL: case FK_SHR: case FK_SAR: case FK_ROT: case FK_SHD:
        n = shift_count(c);
        if (n == 0)
            c->undef_flags = 0;
        else if (n == 1)
            c->undef_flags &= ~FL_OF;
        if (kind == FK_SHD && n > width)
            return false;
        if ((kind == FK_SHL || kind == FK_SHR) && n >= width)
            c->undef_flags |= FL_CF;
        break;
    }
    return true;
}

void hw_fp_state(struct hw_rng *r, struct hw_fx *f)
{
    bool masked = !one_in(r, 8);

    memset(f, 0, sizeof(*f));
    f->fcw = (uint16_t)(0x37f & ~0xf00) | (uint16_t)(hw_below(r, 4) << 10);
    f->fcw |= one_in(r, 4) ? (one_in(r, 2) ? 0x200 : 0) : 0x300;
    f->fsw = (uint16_t)(hw_below(r, 8) << 11);
    f->fsw |= (uint16_t)(hw_rand(r) & 0x4700);
    f->mxcsr = 0x1f80 | (uint32_t)hw_below(r, 4) << 13;
    if (one_in(r, 4)) {
        f->mxcsr |= one_in(r, 2) ? 0x8000u : 0;
        f->mxcsr |= one_in(r, 2) ? 0x40u : 0;
    }
    if (masked) {
        f->fsw |= (uint16_t)(one_in(r, 2) ? 0 : hw_rand(r) & 0x3f);
        f->mxcsr |= one_in(r, 2) ? 0 : (uint32_t)hw_rand(r) & 0x3f;
    } else {
        f->fcw &= (uint16_t)~(hw_rand(r) & 0x3f);
        f->mxcsr &= ~((uint32_t)hw_rand(r) & 0x1f80);
    }
    f->ftw = one_in(r, 4) ? (uint8_t)hw_rand(r) : 0xff;
    for (unsigned k = 0; k < 8; k++)
        value_f80(r, &f->st[k].sig, &f->st[k].se);
    f->fop = f->st[0].sig & 0x7ff;
    f->fip = f->st[1].sig >> 17;
    f->fdp = f->st[2].sig >> 17;
    for (unsigned k = 0; k < 16; k++)
        hw_vector(r, &f->x[k]);
}

bool hw_generate(struct hw_rng *r, const struct x86_row *row, const uint8_t *data, struct hw_case *c)
{
    for (unsigned tries = 0; tries < 200; tries++) {
        struct build b;
        uint64_t at = HW_DATA + 0x2000 + hw_below(r, 0x4000);
        bool mem = false, code32 = hw_row_code32(row);

        memset(c, 0, sizeof(*c));
        c->row = row;
        make_bytes(r, &b, row);
        if (decode(&c->insn, b.b, b.n < 15 ? b.n : 15, (code32 ? M_CODE32 : M_CODE64) | M_PE | M_LMA, NULL) !=
            DECODE_OK || c->insn.row != row)
            continue;
        /* A CPU asks for a writable segment only if ARPL writes; Latimer, as the manual, always. */
        if (code32 && c->insn.seg == SEG_CS && !strcmp(row->name, "arpl"))
            continue;
        c->off = (unsigned)hw_below(r, 64) * 32;
        for (unsigned k = 0; k < 16; k++)
            c->in.r[k] = hw_value(r);
        c->in.r[R_SP] = HW_DATA + 0x4000 + hw_below(r, 64) * 8;
        if (!one_in(r, (row->attrs & AT_ALIGN) ? 16 : 2) || strchr(row->operands, 'O'))
            at &= ~(uint64_t)15;
        for (unsigned k = 0; k < c->insn.nops; k++)
            mem |= c->insn.op[k].kind == OPND_MEM && !c->insn.op[k].reg;
        if (mem && !aim(r, c, &b, at))
            continue;
        if (!implicit_registers(r, c, data, at) || !undefined_flags(c))
            continue;
        c->len = c->insn.len;
        memcpy(c->code, b.b, c->len);
        c->in.flags = 0x202 | (hw_rand(r) & FL_ARITH);
        c->in.flags |= one_in(r, 4) ? FL_DF : 0;
        c->in.vector = -1;
        for (unsigned k = 0; k < 8 && code32; k++)
            c->in.r[k] = (uint32_t)c->in.r[k];
        hw_fp_state(r, &c->in.fx);
        return true;
    }
    return false;
}
