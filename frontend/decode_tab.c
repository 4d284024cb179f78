/*
 * decode_tab.c - THE table of operand codes, and the expansion of x86.def's rows
 * into the lookup tables decode.c uses.  Runs once, at start; after that nothing
 * here is written and no string is looked at.
 *
 * Operand codes follow SDM vol. 2, appendix A.2 (letter: where, rest: size).
 *
 * Specific rows win: where two rows cover the same encoding, one with a mandatory
 * prefix goes before one without (PAUSE before NOP and XCHG, even with REX.B, as
 * on hardware; ENDBR64 before NOP Ev; TZCNT before BSF), then one whose encodings
 * are a strict subset of the other's.  A fixed opcode inside an AT_OREG range
 * (NOP in XCHG) is that register without REX.B.  If the specific row's CPUID feature is
 * missing the wider row applies, as on hardware.  Any other overlap is a
 * mistake in the table and dies in decode_init().
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "frontend/decode_tab.h"
#include "frontend/lift.h"

#define GPR OPND_REG

/*
 * The codes.  Sizes are the operand's `size`: register form, memory form.
 * Memory operands are OPND_MEM; what is listed under "kind" is the register form.
 *
 * Notes for readers of struct insn:
 *  - Ib, Iw are zero-extended; sIb, Iz, sIz, Iv are sign-extended into imm, and
 *    their operand's size is the operand size (Iw's and Ib's: 2 and 1).
 *  - a second immediate (ENTER Iw,Ib) goes to imm2.
 *  - Jb, Jz: OPND_REL, imm is the displacement, size the branch's operand size.
 *  - string operands: OPND_MEM with reg R_SI (insn.seg holds DS or the override;
 *    insn.base is R_SI) or R_DI (always ES; base is R_DI only if no R_SI operand).
 *  - ModRM and moffs memory operands have reg 0; moffs has base and index NONE.
 *  - insn.seg is valid even without a memory operand (XLAT, MASKMOVDQU): DS or
 *    the override.
 */
static const struct opnd_desc codes[] = {
/*   code     where     kind       reg    mem    constraint */
    /* general registers or memory by ModRM.rm */
    { "Eb",   L_RM,     GPR,       SZ_1,  SZ_1,  ANY_MOD, 0 },
    { "Ew",   L_RM,     GPR,       SZ_2,  SZ_2,  ANY_MOD, 0 },
    { "Ed",   L_RM,     GPR,       SZ_4,  SZ_4,  ANY_MOD, 0 },
    { "Eq",   L_RM,     GPR,       SZ_8,  SZ_8,  ANY_MOD, 0 },
    { "Ev",   L_RM,     GPR,       SZ_V,  SZ_V,  ANY_MOD, 0 },
    { "Ey",   L_RM,     GPR,       SZ_Y,  SZ_Y,  ANY_MOD, 0 },   /* 8 with REX.W, else 4 */
    { "Ez",   L_RM,     GPR,       SZ_Z,  SZ_Z,  ANY_MOD, 0 },
    { "En",   L_RM,     GPR,       SZ_N,  SZ_N,  ANY_MOD, 0 },   /* 8 in 64-bit mode, else 4 */
    { "RdMb", L_RM,     GPR,       SZ_4,  SZ_1,  ANY_MOD, 0 },   /* PEXTRB, PINSRB */
    { "RdMw", L_RM,     GPR,       SZ_4,  SZ_2,  ANY_MOD, 0 },   /* PEXTRW, PINSRW */
    { "RyMb", L_RM,     GPR,       SZ_Y,  SZ_1,  ANY_MOD, 0 },
    { "RyMw", L_RM,     GPR,       SZ_Y,  SZ_2,  ANY_MOD, 0 },
    { "RvMw", L_RM,     GPR,       SZ_V,  SZ_2,  ANY_MOD, 0 },   /* SMSW SLDT STR MOV Ev,Sw */
    { "Rd",   L_RM,     GPR,       SZ_N,  SZ_N,  MOD_IGNORED, 0 },   /* MOV CR/DR: native size */
    { "Rv",   L_RM,     GPR,       SZ_V,  SZ_V,  REG_ONLY, 0 },
    { "Ry",   L_RM,     GPR,       SZ_Y,  SZ_Y,  REG_ONLY, 0 },
    { "Rw",   L_RM,     GPR,       SZ_2,  SZ_2,  REG_ONLY, 0 },
    { "Rq",   L_RM,     GPR,       SZ_8,  SZ_8,  REG_ONLY, 0 },
    /* general register by ModRM.reg */
    { "Gb",   L_REG,    GPR,       SZ_1,  0,     ANY_MOD, 0 },
    { "Gw",   L_REG,    GPR,       SZ_2,  0,     ANY_MOD, 0 },
    { "Gd",   L_REG,    GPR,       SZ_4,  0,     ANY_MOD, 0 },
    { "Gq",   L_REG,    GPR,       SZ_8,  0,     ANY_MOD, 0 },
    { "Gv",   L_REG,    GPR,       SZ_V,  0,     ANY_MOD, 0 },
    { "Gy",   L_REG,    GPR,       SZ_Y,  0,     ANY_MOD, 0 },
    { "Gz",   L_REG,    GPR,       SZ_Z,  0,     ANY_MOD, 0 },
    { "Gn",   L_REG,    GPR,       SZ_N,  0,     ANY_MOD, 0 },   /* INVPCID: 8 in 64-bit mode, else 4 */
    /* general register in the opcode */
    { "Zb",   L_OPC,    GPR,       SZ_1,  0,     ANY_MOD, 0 },
    { "Zv",   L_OPC,    GPR,       SZ_V,  0,     ANY_MOD, 0 },
    { "Zy",   L_OPC,    GPR,       SZ_Y,  0,     ANY_MOD, 0 },
    /* memory only */
    { "M",    L_RM,     OPND_NONE, 0,     SZ_0,  MEM_ONLY, 0 },  /* no size: LEA, FXSAVE, INVLPG */
    { "Mb",   L_RM,     OPND_NONE, 0,     SZ_1,  MEM_ONLY, 0 },
    { "Mw",   L_RM,     OPND_NONE, 0,     SZ_2,  MEM_ONLY, 0 },
    { "Md",   L_RM,     OPND_NONE, 0,     SZ_4,  MEM_ONLY, 0 },
    { "Mq",   L_RM,     OPND_NONE, 0,     SZ_8,  MEM_ONLY, 0 },
    { "Mt",   L_RM,     OPND_NONE, 0,     SZ_10, MEM_ONLY, 0 },  /* 80-bit real or BCD */
    { "Mdq",  L_RM,     OPND_NONE, 0,     SZ_16, MEM_ONLY, 0 },
    { "Mx",   L_RM,     OPND_NONE, 0,     SZ_16, MEM_ONLY, 0 },
    { "Mps",  L_RM,     OPND_NONE, 0,     SZ_16, MEM_ONLY, 0 },
    { "Mpd",  L_RM,     OPND_NONE, 0,     SZ_16, MEM_ONLY, 0 },
    { "Mv",   L_RM,     OPND_NONE, 0,     SZ_V,  MEM_ONLY, 0 },
    { "My",   L_RM,     OPND_NONE, 0,     SZ_Y,  MEM_ONLY, 0 },
    { "Mz",   L_RM,     OPND_NONE, 0,     SZ_Z,  MEM_ONLY, 0 },
    { "Ma",   L_RM,     OPND_NONE, 0,     SZ_A,  MEM_ONLY, 0 },  /* BOUND: two of operand size */
    { "Mp",   L_RM,     OPND_NONE, 0,     SZ_P,  MEM_ONLY, 0 },  /* far pointer: offset, selector */
    { "Ms",   L_RM,     OPND_NONE, 0,     SZ_S,  MEM_ONLY, 0 },  /* LGDT: 6, in 64-bit mode 10 */
    /* immediates and branches */
    { "Ib",   L_IMMU,   OPND_IMM,  SZ_1,  0,     ANY_MOD, 0 },
    { "Iw",   L_IMMU,   OPND_IMM,  SZ_2,  0,     ANY_MOD, 0 },
    { "Iz",   L_IMMS,   OPND_IMM,  SZ_V,  SZ_Z,  ANY_MOD, 0 },
    { "sIz",  L_IMMS,   OPND_IMM,  SZ_V,  SZ_Z,  ANY_MOD, 0 },
    { "Iv",   L_IMMS,   OPND_IMM,  SZ_V,  SZ_V,  ANY_MOD, 0 },   /* MOV Zv: up to 8 bytes */
    { "sIb",  L_IMMS,   OPND_IMM,  SZ_V,  SZ_1,  ANY_MOD, 0 },
    { "1",    L_CONST,  OPND_IMM,  SZ_1,  0,     ANY_MOD, 1 },
    { "3",    L_CONST,  OPND_IMM,  SZ_1,  0,     ANY_MOD, 3 },
    { "Jb",   L_REL,    OPND_REL,  SZ_V,  SZ_1,  ANY_MOD, 0 },
    { "Jz",   L_REL,    OPND_REL,  SZ_V,  SZ_Z,  ANY_MOD, 0 },
    { "Ap",   L_FAR,    OPND_FAR,  SZ_V,  SZ_Z,  ANY_MOD, 0 },   /* imm offset, imm2 selector */
    { "Ob",   L_MOFFS,  OPND_NONE, SZ_1,  0,     ANY_MOD, 0 },
    { "Ov",   L_MOFFS,  OPND_NONE, SZ_V,  0,     ANY_MOD, 0 },
    /* fixed registers */
    { "AL",   L_FIX,    GPR,       SZ_1,  0,     ANY_MOD, R_AX },
    { "CL",   L_FIX,    GPR,       SZ_1,  0,     ANY_MOD, R_CX },
    { "AX",   L_FIX,    GPR,       SZ_2,  0,     ANY_MOD, R_AX },
    { "DX",   L_FIX,    GPR,       SZ_2,  0,     ANY_MOD, R_DX },
    { "eAX",  L_FIX,    GPR,       SZ_Z,  0,     ANY_MOD, R_AX },    /* AX or EAX */
    { "rAX",  L_FIX,    GPR,       SZ_V,  0,     ANY_MOD, R_AX },    /* AX, EAX or RAX */
    { "XMM0", L_FIX,    OPND_XMM,  SZ_16, 0,     ANY_MOD, 0 },
    { "ES",   L_FIX,    OPND_SEG,  SZ_2,  0,     ANY_MOD, SEG_ES },
    { "CS",   L_FIX,    OPND_SEG,  SZ_2,  0,     ANY_MOD, SEG_CS },
    { "SS",   L_FIX,    OPND_SEG,  SZ_2,  0,     ANY_MOD, SEG_SS },
    { "DS",   L_FIX,    OPND_SEG,  SZ_2,  0,     ANY_MOD, SEG_DS },
    { "FS",   L_FIX,    OPND_SEG,  SZ_2,  0,     ANY_MOD, SEG_FS },
    { "GS",   L_FIX,    OPND_SEG,  SZ_2,  0,     ANY_MOD, SEG_GS },
    /* system registers by ModRM.reg */
    { "Sw",   L_REG,    OPND_SEG,  SZ_2,  0,     ANY_MOD, 0 },   /* 6, 7: #UD; REX.R ignored */
    { "Cd",   L_REG,    OPND_CR,   SZ_N,  0,     MOD_IGNORED, 0 },   /* all 16 decode; lift rejects */
    { "Dd",   L_REG,    OPND_DR,   SZ_N,  0,     MOD_IGNORED, 0 },
    /* string operands */
    { "Xb",   L_STRING, OPND_NONE, SZ_1,  0,     ANY_MOD, R_SI },
    { "Xw",   L_STRING, OPND_NONE, SZ_2,  0,     ANY_MOD, R_SI },
    { "Xv",   L_STRING, OPND_NONE, SZ_V,  0,     ANY_MOD, R_SI },
    { "Xz",   L_STRING, OPND_NONE, SZ_Z,  0,     ANY_MOD, R_SI },    /* OUTS */
    { "Yb",   L_STRING, OPND_NONE, SZ_1,  0,     ANY_MOD, R_DI },
    { "Yw",   L_STRING, OPND_NONE, SZ_2,  0,     ANY_MOD, R_DI },
    { "Yv",   L_STRING, OPND_NONE, SZ_V,  0,     ANY_MOD, R_DI },
    { "Yz",   L_STRING, OPND_NONE, SZ_Z,  0,     ANY_MOD, R_DI },    /* INS */
    /* x87 */
    { "ST",   L_FIX,    OPND_ST,   SZ_10, 0,     ANY_MOD, 0 },
    { "STi",  L_RM,     OPND_ST,   SZ_10, 0,     REG_ONLY, 0 },
    /* MMX: P by reg, Q by rm (register or memory), N by rm (register only) */
    { "Pq",   L_REG,    OPND_MMX,  SZ_8,  0,     ANY_MOD, 0 },
    { "Pd",   L_REG,    OPND_MMX,  SZ_4,  0,     ANY_MOD, 0 },
    { "Qq",   L_RM,     OPND_MMX,  SZ_8,  SZ_8,  ANY_MOD, 0 },
    { "Qd",   L_RM,     OPND_MMX,  SZ_4,  SZ_4,  ANY_MOD, 0 },
    { "Nq",   L_RM,     OPND_MMX,  SZ_8,  0,     REG_ONLY, 0 },
    /* XMM: V by reg, W by rm (register or memory), U by rm (register only).
     * The size is the part that takes part, for registers too. */
    { "Vx",   L_REG,    OPND_XMM,  SZ_16, 0,     ANY_MOD, 0 },
    { "Vdq",  L_REG,    OPND_XMM,  SZ_16, 0,     ANY_MOD, 0 },
    { "Vps",  L_REG,    OPND_XMM,  SZ_16, 0,     ANY_MOD, 0 },
    { "Vpd",  L_REG,    OPND_XMM,  SZ_16, 0,     ANY_MOD, 0 },
    { "Vq",   L_REG,    OPND_XMM,  SZ_8,  0,     ANY_MOD, 0 },
    { "Vsd",  L_REG,    OPND_XMM,  SZ_8,  0,     ANY_MOD, 0 },
    { "Vd",   L_REG,    OPND_XMM,  SZ_4,  0,     ANY_MOD, 0 },
    { "Vss",  L_REG,    OPND_XMM,  SZ_4,  0,     ANY_MOD, 0 },
    { "Vy",   L_REG,    OPND_XMM,  SZ_Y,  0,     ANY_MOD, 0 },
    { "Wx",   L_RM,     OPND_XMM,  SZ_16, SZ_16, ANY_MOD, 0 },
    { "Wdq",  L_RM,     OPND_XMM,  SZ_16, SZ_16, ANY_MOD, 0 },
    { "Wps",  L_RM,     OPND_XMM,  SZ_16, SZ_16, ANY_MOD, 0 },
    { "Wpd",  L_RM,     OPND_XMM,  SZ_16, SZ_16, ANY_MOD, 0 },
    { "Wq",   L_RM,     OPND_XMM,  SZ_8,  SZ_8,  ANY_MOD, 0 },
    { "Wsd",  L_RM,     OPND_XMM,  SZ_8,  SZ_8,  ANY_MOD, 0 },
    { "Wd",   L_RM,     OPND_XMM,  SZ_4,  SZ_4,  ANY_MOD, 0 },
    { "Wss",  L_RM,     OPND_XMM,  SZ_4,  SZ_4,  ANY_MOD, 0 },
    { "Ww",   L_RM,     OPND_XMM,  SZ_2,  SZ_2,  ANY_MOD, 0 },
    { "Wb",   L_RM,     OPND_XMM,  SZ_1,  SZ_1,  ANY_MOD, 0 },
    { "Ux",   L_RM,     OPND_XMM,  SZ_16, 0,     REG_ONLY, 0 },
    { "Udq",  L_RM,     OPND_XMM,  SZ_16, 0,     REG_ONLY, 0 },
    { "Ups",  L_RM,     OPND_XMM,  SZ_16, 0,     REG_ONLY, 0 },
    { "Upd",  L_RM,     OPND_XMM,  SZ_16, 0,     REG_ONLY, 0 },
    { "Uq",   L_RM,     OPND_XMM,  SZ_8,  0,     REG_ONLY, 0 },
    { "Ud",   L_RM,     OPND_XMM,  SZ_4,  0,     REG_ONLY, 0 },
};

/* [rule][operand size 2, 4, 8][64-bit mode] */
/* Bytes of size rule [rule] for [operand size 2 4 8][64-bit mode]. */
static const uint8_t sizes[SZ_COUNT][3][2] = {
    [SZ_1] = { { 1, 1 }, { 1, 1 }, { 1, 1 } },
    [SZ_2] = { { 2, 2 }, { 2, 2 }, { 2, 2 } },
    [SZ_4] = { { 4, 4 }, { 4, 4 }, { 4, 4 } },
    [SZ_8] = { { 8, 8 }, { 8, 8 }, { 8, 8 } },
    [SZ_10] = { { 10, 10 }, { 10, 10 }, { 10, 10 } },
    [SZ_16] = { { 16, 16 }, { 16, 16 }, { 16, 16 } },
    [SZ_V] = { { 2, 2 }, { 4, 4 }, { 8, 8 } },
    [SZ_Z] = { { 2, 2 }, { 4, 4 }, { 4, 4 } },
    [SZ_Y] = { { 4, 4 }, { 4, 4 }, { 8, 8 } },
    [SZ_N] = { { 4, 8 }, { 4, 8 }, { 4, 8 } },
    [SZ_P] = { { 4, 4 }, { 6, 6 }, { 10, 10 } },
    [SZ_A] = { { 4, 4 }, { 8, 8 }, { 16, 16 } },
    [SZ_S] = { { 6, 10 }, { 6, 10 }, { 6, 10 } },
};

#define K(kind) (FK_##kind + 1)
#define X(id_, text_, map_, opc_, ext_, pfx_, opnds_, modes_, feat_, attrs_, fk_, lift_, arg_, skip_) \
    [X86_##id_] = { .name = (text_), .map = (map_), .opcode = (opc_), .ext = (ext_), .pfx = (pfx_),     \
                    .modes = (modes_), .feat = (feat_), .flags = (fk_), .attrs = (attrs_),              \
                    .operands = (opnds_), .lift = (lift_), .arg = (arg_), .skip = (skip_) },
const struct x86_row x86_rows[X86_COUNT] = {
#include "frontend/x86.def"
};
#undef X

struct dec_tables decode_tables;

static const struct opnd_desc *find_code(const char *s, size_t n)
{
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (strlen(codes[i].code) == n && !memcmp(codes[i].code, s, n))
            return &codes[i];
    }
    return NULL;
}

/* Split and look up a row's operand string; EXT_MEM/EXT_RR bits the operands imply are returned. */
static unsigned compile_operands(struct dec_row *d)
{
    const char *s = d->row->operands;
    unsigned ext = 0;

    d->nops = 0;
    d->modrm = (d->row->ext & (EXT_MODRM | EXT_MEM | EXT_RR | 0x100u)) != 0;
    while (*s) {
        size_t n = strcspn(s, ", ");
        const struct opnd_desc *o = find_code(s, n);

        if (!o)
            die(EXIT_CODE_HOST, "x86.def: row %s has an unknown operand code \"%.*s\"", d->row->name,
                (int)n, s);
        if (d->nops == 4)
            die(EXIT_CODE_HOST, "x86.def: row %s has more than 4 operands", d->row->name);
        struct dec_opnd *p = &d->op[d->nops++];
        *p = (struct dec_opnd){ .loc = o->loc, .kind = o->kind, .fix = o->fix, .need = o->need };
        memcpy(p->rsz, sizes[o->rsz], sizeof p->rsz);
        memcpy(p->msz, sizes[o->msz], sizeof p->msz);
        if (o->loc == L_RM || o->loc == L_REG)
            d->modrm = true;
        if (o->need == MEM_ONLY)
            ext |= EXT_MEM;
        else if (o->need == REG_ONLY)
            ext |= EXT_RR;
        else if (o->need == MOD_IGNORED)
            d->mod_ignored = true;
        s += n;
        s += strspn(s, ", ");
    }
    return ext;
}

/* A row's conditions on one opcode byte, as sets. */
struct cond {
    uint64_t states;
    uint64_t lo, hi;            /* buckets 0..63, 64..71 */
    const struct dec_row *d;
};

static struct cond row_cond(const struct dec_row *d, unsigned implied, bool exact_in_range)
{
    const struct x86_row *r = d->row;
    unsigned ext = r->ext | implied;
    bool want_reg = ext & 0x100;
    unsigned reg = ext & 7, rm = ext >> 4 & 7;
    struct cond c = { .d = d };

    for (unsigned s = 0; s < DEC_STATES; s++) {
        unsigned pfx = s & 3, w = s >> 2 & 1, b = s >> 3 & 1, mode = s >> 4;
        static const uint8_t pfx_of[4] = { PFX_NP, PFX_66, PFX_F3, PFX_F2 };

        if (r->pfx != PFX_ANY && r->pfx != pfx_of[pfx])
            continue;
        if (!(r->modes >> mode & 1))
            continue;
        if (((ext & EXT_W0) && w) || ((ext & EXT_W1) && !w))
            continue;
        if (exact_in_range && b && r->pfx == PFX_ANY)
            continue;
        c.states |= (uint64_t)1 << s;
    }
    for (unsigned k = 0; k < DEC_BUCKETS; k++) {
        bool mem = k < 8;
        unsigned kreg = mem ? k : (k - 8) >> 3, krm = (k - 8) & 7;

        if (want_reg && kreg != reg)
            continue;
        if ((ext & EXT_MEM) && !mem)
            continue;
        if ((ext & EXT_RR) && mem)
            continue;
        if ((ext & 0x800) && krm != rm)
            continue;
        if (k < 64)
            c.lo |= (uint64_t)1 << k;
        else
            c.hi |= (uint64_t)1 << (k - 64);
    }
    return c;
}

static bool cond_has(const struct cond *c, unsigned bucket)
{
    return bucket < 64 ? c->lo >> bucket & 1 : c->hi >> (bucket - 64) & 1;
}

static bool subset(const struct cond *a, const struct cond *b)
{
    return !(a->states & ~b->states) && !(a->lo & ~b->lo) && !(a->hi & ~b->hi);
}

static bool overlap(const struct cond *a, const struct cond *b)
{
    return (a->states & b->states) && ((a->lo & b->lo) || (a->hi & b->hi));
}

/* Mandatory prefixes first; then by number of encodings: a strict subset has fewer, so it comes first. */
static int smaller_first(const void *x, const void *y)
{
    const struct cond *a = x, *b = y;
    int ra = a->d->row->pfx == PFX_ANY, rb = b->d->row->pfx == PFX_ANY;
    int na = __builtin_popcountll(a->states) * (__builtin_popcountll(a->lo) + __builtin_popcountll(a->hi));
    int nb = __builtin_popcountll(b->states) * (__builtin_popcountll(b->lo) + __builtin_popcountll(b->hi));

    if (ra != rb)
        return ra - rb;
    return na != nb ? na - nb : (a->d > b->d) - (a->d < b->d);
}

static struct dec_list append(const struct cond *c, unsigned n, int bucket)
{
    struct dec_tables *t = &decode_tables;
    struct dec_list l = { .first = (uint16_t)t->ncands };

    for (unsigned i = 0; i < n; i++) {
        if (bucket >= 0 && !cond_has(&c[i], (unsigned)bucket))
            continue;
        if (t->ncands == DEC_CANDS)
            die(EXIT_CODE_HOST, "x86.def: more than %u table entries; raise DEC_CANDS", DEC_CANDS);
        t->cand[t->ncands++] = (struct dec_cand){ c[i].states | (uint64_t)c[i].d->feat << DEC_FEAT_SHIFT, c[i].d };
        l.n++;
    }
    return l;
}

/* Does `row` cover the opcode, and by a range (AT_CC, AT_OREG) or exactly? */
static bool covers(const struct x86_row *r, unsigned opcode, bool *exact)
{
    unsigned mask = r->attrs & AT_CC ? 0xf0 : r->attrs & AT_OREG ? 0xf8 : 0xff;

    *exact = !(r->attrs & AT_OREG);
    return r->opcode == (opcode & mask);
}

#define MAX_SHARE 160           /* rows at one opcode: x87 and 0F 01 are the crowded ones */

static void expand_opcode(unsigned map, unsigned opcode, const unsigned *implied)
{
    struct dec_tables *t = &decode_tables;
    struct dec_opcode *o = &t->opcode[map][opcode];
    struct cond c[MAX_SHARE];
    unsigned n = 0;
    bool oreg = false, exact, split = false;

    for (unsigned i = 0; i < X86_COUNT; i++) {
        if (x86_rows[i].map == map && covers(&x86_rows[i], opcode, &exact) && !exact)
            oreg = true;
    }
    for (unsigned i = 0; i < X86_COUNT; i++) {
        if (x86_rows[i].map != map || !covers(&x86_rows[i], opcode, &exact))
            continue;
        if (n == MAX_SHARE)
            die(EXIT_CODE_HOST, "x86.def: more than %u rows at opcode %02x", MAX_SHARE, opcode);
        c[n++] = row_cond(&t->row[i], implied[i], exact && oreg);
    }
    for (unsigned i = 0; i < n; i++) {
        for (unsigned j = 0; j < i; j++) {
            bool same_rank = (c[i].d->row->pfx == PFX_ANY) == (c[j].d->row->pfx == PFX_ANY);

            if (overlap(&c[i], &c[j]) && same_rank && subset(&c[i], &c[j]) == subset(&c[j], &c[i]))
                die(EXIT_CODE_HOST, "x86.def: rows %s %s and %s %s overlap (opcode %02x)",
                    c[j].d->row->name, c[j].d->row->operands, c[i].d->row->name,
                    c[i].d->row->operands, opcode);
        }
        if (c[i].d->modrm != c[0].d->modrm)
            die(EXIT_CODE_HOST, "x86.def: rows %s and %s disagree whether opcode %02x has a ModRM byte",
                c[0].d->row->name, c[i].d->row->name, opcode);
        split |= c[i].lo != c[0].lo || c[i].hi != c[0].hi || ~c[i].lo || c[i].hi != 0xff;
    }
    if (!n)
        return;
    qsort(c, n, sizeof(c[0]), smaller_first);
    o->modrm = c[0].d->modrm;
    if (!o->modrm || !split) {
        o->list = append(c, n, -1);
        return;
    }
    if (t->ngroups == DEC_GROUPS)
        die(EXIT_CODE_HOST, "x86.def: more than %u opcode groups; raise DEC_GROUPS", DEC_GROUPS);
    for (unsigned k = 0; k < DEC_BUCKETS; k++)
        t->group[t->ngroups][k] = append(c, n, (int)k);
    o->group = (uint8_t)++t->ngroups;
}

void decode_init(void)
{
    struct dec_tables *t = &decode_tables;
    static unsigned implied[X86_COUNT];

    if (t->ncands)
        return;
    for (unsigned i = 0; i < X86_COUNT; i++) {
        const struct x86_row *r = &x86_rows[i];
        struct dec_row *d = &t->row[i];

        d->row = r;
        d->attrs = r->attrs;
        d->feat = r->feat;
        d->skip = r->skip != NULL;
        d->no66 = r->pfx == PFX_66 || (r->attrs & AT_NO66);
        implied[i] = compile_operands(d);
        if (r->map >= DEC_MAPS || !r->modes || ((implied[i] & EXT_MEM) && ((r->ext | implied[i]) & EXT_RR)))
            die(EXIT_CODE_HOST, "x86.def: row %s %s can never match", r->name, r->operands);
    }
    for (unsigned map = 0; map < DEC_MAPS; map++) {
        for (unsigned op = 0; op < 256; op++)
            expand_opcode(map, op, implied);
    }
}
