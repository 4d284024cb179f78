/*
 * decode_tab.h - what decode_tab.c (row expansion, once at start) hands to
 * decode.c (run time).  Private to the decoder.
 */
#ifndef FRONTEND_DECODE_TAB_H
#define FRONTEND_DECODE_TAB_H

#include "frontend/decode.h"

/*
 * Where an operand lies.  The enumeration's order matters nowhere.
 */
enum opnd_loc {
    L_RM,           /* ModRM.rm: register (REX.B) or memory */
    L_REG,          /* ModRM.reg (REX.R) */
    L_OPC,          /* low three opcode bits (REX.B) */
    L_FIX,          /* the register `fix`, not encoded */
    L_IMMU,         /* immediate of `rsz` bytes, zero-extended; operand size `rsz` */
    L_IMMS,         /* immediate of `msz` bytes, sign-extended; operand size `rsz` */
    L_CONST,        /* the number `fix`, not encoded */
    L_REL,          /* displacement of `msz` bytes; operand size = operand size of the branch */
    L_FAR,          /* offset of `msz` bytes, then a selector */
    L_MOFFS,        /* address of addrsize bytes, memory of `rsz` bytes */
    L_STRING,       /* string operand: operand.reg is R_SI (DS or override) or R_DI (ES) */
};

/* Size rules: resolved by operand size and mode in decode_sizes[]. */
enum opnd_size {
    SZ_0, SZ_1, SZ_2, SZ_4, SZ_8, SZ_10, SZ_16,
    SZ_V,           /* operand size: 2, 4, 8 */
    SZ_Z,           /* 2 or 4: operand size, but 4 where that is 8 */
    SZ_Y,           /* 8 if the operand size is 8, else 4 */
    SZ_N,           /* native: 8 in 64-bit mode, else 4 */
    SZ_P,           /* far pointer: operand size + 2 */
    SZ_A,           /* BOUND's pair: twice the operand size */
    SZ_S,           /* pseudo-descriptor: 10 in 64-bit mode, else 6 */
    SZ_COUNT
};

enum opnd_need { ANY_MOD, MEM_ONLY, REG_ONLY,
                 MOD_IGNORED };         /* MOV CRn/DRn: mod is taken as 3 whatever it is */

struct opnd_desc {
    char code[8];
    uint8_t loc, kind;      /* kind: enum opnd_kind of the register form */
    uint8_t rsz, msz;       /* size rule: register form, memory form */
    uint8_t need;
    uint8_t fix;
};

/* An operand of a row: its descriptor, with the sizes worked out. */
struct dec_opnd {
    uint8_t loc, kind, fix, need;
    uint8_t rsz[6], msz[6];     /* bytes, by DEC_SIZE */
};
/* Operand size 2, 4, 8 and whether the mode is 64-bit. */
#define DEC_SIZE(opsize, is64) (((unsigned)(opsize) >> 2) * 2 + (is64))

/* A row, compiled: all that decode() asks of it lies together. */
struct dec_row {
    struct dec_opnd op[4];
    const struct x86_row *row;
    uint32_t attrs;
    uint16_t feat;
    uint8_t nops;
    bool modrm, mod_ignored;
    bool no66;              /* 66 does not change the operand size */
    bool skip;              /* raises #UD: not implemented */
};

/*
 * One candidate for an opcode (and ModRM bucket).  `states` has a bit for each
 * combination of effective mandatory prefix, mode, REX.W and REX.B it exists in
 * (DEC_STATE), so that one bit test decides; above them is the CPUID feature.
 */
struct dec_cand {
    uint64_t states;
    const struct dec_row *d;
};
#define DEC_FEAT_SHIFT 48
/* pfx: 0 none, 1 66, 2 F3, 3 F2; mode: 0 real, 1 protected, 2 64-bit. 48 states. */
#define DEC_STATE(pfx, mode, w, b) ((pfx) | (w) << 2 | (b) << 3 | (mode) << 4)
#define DEC_STATES 48

/* ModRM buckets: memory by reg (0..7), register forms by reg and rm (8..71). */
#define DEC_BUCKETS 72
struct dec_list {
    uint16_t first;
    uint8_t n;
};
struct dec_opcode {
    struct dec_list list;   /* group 0: candidates whatever the ModRM byte is */
    bool modrm;             /* a ModRM byte follows */
    uint8_t group;          /* else index + 1 into decode_groups */
};

#define DEC_MAPS 4
#define DEC_GROUPS 96
#define DEC_CANDS 8192
struct dec_tables {
    struct dec_row row[X86_COUNT];
    struct dec_opcode opcode[DEC_MAPS][256];
    struct dec_list group[DEC_GROUPS][DEC_BUCKETS];
    struct dec_cand cand[DEC_CANDS];
    unsigned ngroups, ncands;
};
extern struct dec_tables decode_tables; /* written by decode_init() only */

#endif
