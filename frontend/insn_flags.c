/*
 * insn_flags.c - which arithmetic flags an instruction reads, and which it
 * surely writes, for liveness across block ends; whether it may fault, and which
 * general registers it changes.
 *
 * Conservative by construction: an instruction that is not known to read flags
 * is transparent unless it writes them by its row's flag kind; anything that
 * can hand the flags to somebody else (interrupts, system calls, far and
 * indirect transfers, instructions that raise #UD) reads all of them.  A mere
 * page fault does not count as reading: it is told apart, see lift_live.c.
 *
 * Rows say what is written (translator/flags.def); what is read is known here by
 * opcode, since the manual's maps are laid out so.
 */
#include "frontend/cpu.h"
#include "frontend/decode.h"
#include "translator/ir.h"

static const uint32_t kind_writes[FK_COUNT] = {
#define F(id, text, writes, undef) [FK_##id] = (writes),
#include "translator/flags.def"
#undef F
};

static const uint32_t cond_reads[8] = {
    FL_OF, FL_CF, FL_ZF, FL_CF | FL_ZF, FL_SF, FL_PF, FL_SF | FL_OF, FL_SF | FL_OF | FL_ZF
};

#define SZAPC (FL_SF | FL_ZF | FL_AF | FL_PF | FL_CF)

struct rw { uint32_t reads, writes; };

/* Shift or rotate group: does the count possibly leave the flags alone? */
static struct rw shift(const struct insn *i, uint32_t writes)
{
    unsigned what = i->modrm >> 3 & 7, mask = i->opsize == 8 && i->op[0].size == 8 ? 0x3f : 0x1f;
    bool by_cl = (i->opcode & 0xfe) == 0xd2, carry = what == 2 || what == 3;
    struct rw f = { carry ? FL_CF : 0, writes };

    /* A count of 0 keeps the flags; rotates may also be by a multiple of the width. */
    if (by_cl || !(i->imm & mask) || (what < 4 && (i->imm & mask) != 1))
        f.writes = 0;
    return f;
}

static struct rw map_1(const struct insn *i, uint32_t writes)
{
    unsigned op = i->opcode, reg = i->modrm >> 3 & 7;
    struct rw all = { FL_ARITH, 0 }, f = { 0, writes };

    if (op < 0x40 && (op & 7) < 6) {
        if ((op & 0x38) == 0x10 || (op & 0x38) == 0x18)         /* ADC, SBB */
            f.reads = FL_CF;
        return f;
    }
    if (op >= 0x70 && op < 0x80)
        return (struct rw){ cond_reads[op >> 1 & 7], 0 };
    if (op >= 0xd8 && op < 0xe0) {
        if (i->modrm >= 0xc0 && (op == 0xda || op == 0xdb) && reg < 4)          /* FCMOVcc */
            return (struct rw){ FL_CF | FL_ZF | FL_PF, 0 };
        if (i->modrm >= 0xc0 && (op == 0xdb || op == 0xdf) && (reg == 5 || reg == 6))
            return (struct rw){ 0, 0 };                         /* FCOMI: #MF comes first */
        return f;
    }
    switch (op) {
    case 0x27: case 0x2f: case 0x37: case 0x3f:                 /* DAA DAS AAA AAS */
        return (struct rw){ FL_CF | FL_AF, 0 };
    case 0x80: case 0x81: case 0x82: case 0x83:
        if (reg == 2 || reg == 3)
            f.reads = FL_CF;
        return f;
    case 0xc0: case 0xc1: case 0xd0: case 0xd1: case 0xd2: case 0xd3:
        return shift(i, writes);
    case 0xa6: case 0xa7: case 0xae: case 0xaf:                 /* CMPS, SCAS: not if the count is 0 */
        f.writes = i->rep ? 0 : FL_ARITH;
        return f;
    case 0xd6:                                                  /* SALC */
        f.reads = FL_CF;
        return f;
    case 0xe0: case 0xe1:                                       /* LOOPNE, LOOPE */
        return (struct rw){ FL_ZF, 0 };
    case 0xf5:                                                  /* CMC */
        return (struct rw){ FL_CF, FL_CF };
    case 0xf8: case 0xf9:
        return (struct rw){ 0, FL_CF };
    case 0x9e:                                                  /* SAHF */
        return (struct rw){ 0, SZAPC };
    case 0x9f:                                                  /* LAHF */
        return (struct rw){ SZAPC, 0 };
    case 0x9c: case 0x9d:                                       /* PUSHF; POPF may set TF or fault */
    case 0x9a: case 0xea:                                       /* far */
    case 0xc2: case 0xc3: case 0xca: case 0xcb:                 /* RET: indirect */
    case 0xcc: case 0xcd: case 0xce: case 0xcf: case 0xf1:      /* INT, INTO, IRET */
    case 0xf4:                                                  /* HLT */
        return all;
    case 0xff:
        return reg >= 2 && reg <= 5 ? all : f;                  /* CALL, JMP indirect or far */
    case 0xe8: case 0xe9: case 0xeb: case 0xe2: case 0xe3:
        return f;
    default:
        return (i->row->attrs & AT_END) ? all : f;
    }
}

static struct rw map_0f(const struct insn *i, uint32_t writes)
{
    unsigned op = i->opcode, reg = i->modrm >> 3 & 7;
    struct rw all = { FL_ARITH, 0 }, f = { 0, writes };

    if ((op >= 0x40 && op < 0x50) || (op >= 0x80 && op < 0xa0))         /* CMOVcc, Jcc, SETcc */
        return (struct rw){ cond_reads[op >> 1 & 7], 0 };
    switch (op) {
    case 0x00:
        return reg == 4 || reg == 5 ? (struct rw){ 0, FL_ZF } : f;      /* VERR, VERW */
    case 0x02: case 0x03:                                       /* LAR, LSL */
        return (struct rw){ 0, FL_ZF };
    case 0xa4: case 0xac:                                       /* SHLD, SHRD by immediate */
        f.writes = i->imm & (i->opsize == 8 ? 0x3f : 0x1f) ? writes : 0;
        return f;
    case 0xa5: case 0xad:
        f.writes = 0;
        return f;
    case 0xb0: case 0xb1: case 0xc0: case 0xc1:                 /* CMPXCHG, XADD */
        return (struct rw){ 0, FL_ARITH };
    case 0xc7:
        if (i->modrm < 0xc0 && reg == 1)                        /* CMPXCHG8B/16B */
            return (struct rw){ 0, FL_ZF };
        if (i->modrm >= 0xc0 && reg >= 6)                       /* RDRAND, RDSEED */
            return (struct rw){ 0, FL_ARITH };
        return f;
    case 0x05: case 0x07: case 0x34: case 0x35: case 0xaa:      /* SYSCALL.. SYSEXIT, RSM */
    case 0x0b: case 0xb9: case 0xff:                            /* UD2 UD1 UD0 */
        return all;
    default:
        return (i->row->attrs & AT_END) ? all : f;
    }
}

void insn_flags(const struct insn *i, uint32_t *reads, uint32_t *writes)
{
    const struct x86_row *row = i->row;
    struct rw f;
    uint32_t w;

    if (!row || row->skip) {
        *reads = FL_ARITH;
        *writes = 0;
        return;
    }
    w = row->flags ? kind_writes[row->flags - 1] : 0;
    if (row->map == MAP_1)
        f = map_1(i, w);
    else if (row->map == MAP_0F)
        f = map_0f(i, w);
    else
        f = (struct rw){ 0, w };
    *reads = f.reads;
    *writes = f.writes;
}

/* The general register an operand names, as a mask. */
static uint16_t gpr(const struct operand *o)
{
    return o->kind == OPND_REG ? (uint16_t)(1u << o->reg) : 0;
}

/* The instructions ordinary code is full of; for all others: may fault, may change any register. */
static struct insn_effect effect_1(const struct insn *i, bool mem)
{
    const struct insn_effect any = { true, true, 0xffff };
    unsigned op = i->opcode, reg = i->modrm >> 3 & 7;
    uint16_t first = gpr(&i->op[0]), sp = 1u << R_SP;

    if (op < 0x40 && (op & 7) < 6)                              /* the eight; CMP changes nothing */
        return (struct insn_effect){ mem, false, op >= 0x38 ? 0 : first };
    if (op >= 0x40 && op < 0x50)                                /* INC, DEC (a REX prefix is no opcode) */
        return (struct insn_effect){ false, false, first };
    if (op >= 0x50 && op < 0x60)
        return (struct insn_effect){ true, false, sp | (op >= 0x58 ? first : 0) };
    if (op >= 0x70 && op < 0x80)
        return (struct insn_effect){ false, false, 0 };
    if (op >= 0xb0 && op < 0xc0)
        return (struct insn_effect){ false, false, first };
    switch (op) {
    case 0x68: case 0x6a:
        return (struct insn_effect){ true, false, sp };
    case 0x80: case 0x81: case 0x82: case 0x83:
        return (struct insn_effect){ mem, false, reg == 7 ? 0 : first };
    case 0x84: case 0x85: case 0xa8: case 0xa9:                 /* TEST */
        return (struct insn_effect){ mem, false, 0 };
    case 0x86: case 0x87:
        return (struct insn_effect){ mem, false, first | gpr(&i->op[1]) };
    case 0x63:                                                  /* MOVSXD; ARPL has two alike */
        return i->op[0].size > i->op[1].size ? (struct insn_effect){ mem, false, first } : any;
    case 0x69: case 0x6b: case 0x88: case 0x89: case 0x8a: case 0x8b: case 0xa0: case 0xa1: case 0xa2:
    case 0xa3: case 0xc6: case 0xc7: case 0xc0: case 0xc1: case 0xd0: case 0xd1: case 0xd2: case 0xd3:
        return (struct insn_effect){ mem, false, first };
    case 0x8d:                                                  /* LEA only computes */
        return (struct insn_effect){ false, false, first };
    case 0x90:                                                  /* NOP; XCHG has operands */
        return i->nops ? any : (struct insn_effect){ false, false, 0 };
    case 0x98: case 0x99:
        return (struct insn_effect){ false, false, 1u << R_AX | 1u << R_DX };
    case 0xe0: case 0xe1: case 0xe2: case 0xe3:                 /* LOOPs, JCXZ */
        return (struct insn_effect){ false, false, 1u << R_CX };
    case 0xd8: case 0xd9: case 0xda: case 0xdb: case 0xdc: case 0xdd: case 0xde: case 0xdf:
        /* x87: FNSTSW AX, and FCOMI changes flags */
        return (struct insn_effect){ true, i->modrm >= 0xc0 && (op == 0xdb || op == 0xdf), 1u << R_AX };
    case 0xe8:
        return (struct insn_effect){ true, false, sp };
    case 0xe9: case 0xeb:
        return (struct insn_effect){ false, false, 0 };
    case 0xf6: case 0xf7:
        if (reg < 4)                                            /* TEST, NOT, NEG */
            return (struct insn_effect){ mem, false, reg < 2 ? 0 : first };
        return (struct insn_effect){ mem || reg >= 6, false, 1u << R_AX | 1u << R_DX };
    case 0xfe:
        return (struct insn_effect){ mem, false, first };
    case 0xff:
        if (reg < 2)
            return (struct insn_effect){ mem, false, first };
        return reg == 6 ? (struct insn_effect){ true, false, sp } : any;
    default:
        return any;
    }
}

static struct insn_effect effect_0f(const struct insn *i, bool mem)
{
    const struct insn_effect any = { true, true, 0xffff };
    unsigned op = i->opcode;
    uint16_t first = gpr(&i->op[0]);

    if ((op >= 0x40 && op < 0x50) || (op >= 0x90 && op < 0xa0))         /* CMOVcc, SETcc */
        return (struct insn_effect){ mem, false, first };
    if (op >= 0x80 && op < 0x90)
        return (struct insn_effect){ false, false, 0 };
    if (op >= 0xc8 && op < 0xd0)                                /* BSWAP */
        return (struct insn_effect){ false, false, first };
    if ((i->row->attrs & (AT_SSE | AT_MMX)) && i->op[0].kind != OPND_REG && i->op[0].kind != OPND_NONE)
        return (struct insn_effect){ true, false, 0 };
    switch (op) {
    case 0x1f:                                                  /* NOP r/m */
        return (struct insn_effect){ false, false, 0 };
    case 0xa3: case 0xab: case 0xb3: case 0xbb: case 0xba:      /* BT family */
    case 0xa4: case 0xa5: case 0xac: case 0xad: case 0xaf:      /* SHLD, SHRD, IMUL */
    case 0xb6: case 0xb7: case 0xbe: case 0xbf:                 /* MOVZX, MOVSX */
    case 0xb8: case 0xbc: case 0xbd:                            /* POPCNT, bit scans */
        return (struct insn_effect){ mem, false, first };
    case 0xb0: case 0xb1: case 0xc0: case 0xc1:                 /* CMPXCHG, XADD */
        return (struct insn_effect){ mem, false, first | gpr(&i->op[1]) | 1u << R_AX };
    default:
        return any;
    }
}

void insn_effect(const struct insn *i, struct insn_effect *fx)
{
    bool mem = false;

    for (unsigned n = 0; n < i->nops; n++)
        mem |= i->op[n].kind == OPND_MEM;
    *fx = (struct insn_effect){ true, true, 0xffff };
    if (!i->row || i->row->skip || i->lock || (i->row->attrs & (AT_CPL0 | AT_END)))
        return;
    if (i->row->map == MAP_1)
        *fx = effect_1(i, mem);
    else if (i->row->map == MAP_0F)
        *fx = effect_0f(i, mem);
    fx->merges |= i->row->flags != 0;
}
