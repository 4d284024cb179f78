/*
 * decode.h - x86 machine code to struct insn, driven by x86.def.
 *
 * Sources: Intel SDM vol. 2 (chapter 2 for formats, appendix A for operand
 * codes and opcode maps).
 */
#ifndef FRONTEND_DECODE_H
#define FRONTEND_DECODE_H

#include <stdbool.h>
#include <stdint.h>

struct lift;
struct insn;

/* Columns of x86.def ------------------------------------------------------ */

enum x86_map { MAP_1, MAP_0F, MAP_0F38, MAP_0F3A, MAP_3DNOW };

enum x86_id {
#define X(id, ...) X86_##id,
#include "frontend/x86.def"
#undef X
    X86_COUNT
};

/* ext: the ModRM condition of a row. */
#define EXT_NONE  0x000u        /* no condition; whether there is a ModRM byte follows from operands */
#define EXT_REG(n) (0x100u | (n))       /* /n: modrm.reg == n */
#define EXT_MEM   0x200u        /* mod != 3 */
#define EXT_RR    0x400u        /* mod == 3 */
#define EXT_RM(n) (0x800u | 0x400u | (n) << 4)  /* mod == 3 and modrm.rm == n */
#define EXT_MODRM 0x1000u       /* has a ModRM byte though no operand says so */
#define EXT_W0    0x2000u       /* REX.W == 0 only */
#define EXT_W1    0x4000u       /* REX.W == 1 only */

/* pfx: the mandatory prefix. */
enum x86_pfx { PFX_ANY, PFX_NP, PFX_66, PFX_F3, PFX_F2 };

/* modes a row exists in */
#define MODE_R    1u            /* real and virtual-8086 */
#define MODE_P    2u            /* protected, 16 and 32 bit, and compatibility mode */
#define MODE_64   4u
#define MODE_ALL  7u
#define MODE_LEG  3u            /* not in 64-bit mode: #UD there */
#define MODE_PROT 6u            /* not in real or virtual-8086 mode: #UD there */

/* CPUID features a row needs: one bit a feature, cpuid.def. */
enum x86_feat {
    FEAT_NONE,
#define FEATURE(id, ...) FEAT_##id,
#include "frontend/cpuid.def"
#undef FEATURE
    FEAT_COUNT
};

/* attrs */
#define AT_LOCK   0x0001u       /* LOCK allowed with a memory destination */
#define AT_REP    0x0002u       /* F2/F3 repeat it */
#define AT_END    0x0004u       /* ends the block */
#define AT_O64    0x0008u       /* 64-bit operand size by default in 64-bit mode (push, near jumps) */
#define AT_F64    0x0010u       /* operand size forced to 64 bits in 64-bit mode */
#define AT_CC     0x0020u       /* opcode's low 4 bits are a condition: 16 opcodes */
#define AT_OREG   0x0040u       /* opcode's low 3 bits are a register: 8 opcodes */
#define AT_UNDOC  0x0080u       /* undocumented but in common use */
#define AT_CPL0   0x0100u       /* #GP unless CPL 0 */
#define AT_NOVM   0x0200u       /* #UD in virtual-8086 mode (but fine in real mode) */
#define AT_NO66   0x0400u       /* 66 is not an operand-size prefix here */
#define AT_X87    0x0800u       /* needs the x87: #NM by CR0.TS/EM */
#define AT_MMX    0x1000u       /* MMX: #UD by CR0.EM, #NM by TS, pending #MF */
#define AT_SSE    0x2000u       /* SSE state: #UD/#NM by mode bits */
#define AT_ALIGN  0x4000u       /* 16-byte memory operand must be aligned (#GP) */
#define AT_RANDOM 0x8000u       /* result differs from run to run or host to host (RDTSC): no hardware test */
#define AT_XCHG   0x10000u      /* a memory operand is locked without LOCK, too */

struct x86_row {
    const char *name;           /* as Capstone spells it, AT&T suffixes never */
    uint8_t map, opcode;
    uint16_t ext;
    uint8_t pfx, modes;
    uint8_t feat;
    uint8_t flags;              /* enum flags_kind + 1, 0: touches none or lift decides */
    uint32_t attrs;
    const char *operands;       /* SDM codes, comma separated */
    bool (*lift)(struct lift *, const struct insn *);
    int arg;                    /* the lift function's parameter (often an IR op) */
    const char *skip;           /* not implemented: the reason; raises #UD */
};
extern const struct x86_row x86_rows[X86_COUNT];

/* Decoded instruction ------------------------------------------------------ */

enum opnd_kind { OPND_NONE, OPND_REG, OPND_MEM, OPND_IMM, OPND_REL, OPND_SEG, OPND_CR, OPND_DR,
                 OPND_XMM, OPND_MMX, OPND_ST, OPND_FAR };

struct operand {
    uint8_t kind;               /* enum opnd_kind */
    uint8_t size;               /* bytes: 1 2 4 8 10 16; 0 where it has none (LEA's M, FXSAVE) */
    uint8_t reg;                /* number; for OPND_REG of size 1: 4..7 with `high` are AH CH DH BH */
    bool high;                  /* then reg is 0..3 of the register whose second byte it is */
};

#define BASE_NONE 0xff
#define BASE_IP   0xfe          /* RIP-relative: disp counts from the next instruction */

struct insn {
    const struct x86_row *row;
    uint8_t len;
    uint8_t opsize;             /* 2, 4 or 8 */
    uint8_t addrsize;           /* 2, 4 or 8 */
    uint8_t rex;                /* 0 or 0x40..0x4f */
    uint8_t rep;                /* 0, 0xf2, 0xf3: last one seen (also when it is a mandatory prefix) */
    bool lock, p66;
    uint8_t opcode;             /* last opcode byte */
    uint8_t modrm;
    uint8_t seg;                /* SEG_* of the memory operand, override applied */
    bool seg_override;
    uint8_t base, index, scale; /* registers or BASE_NONE; scale is a shift 0..3 */
    int64_t disp;               /* sign-extended; moffs: zero-extended address */
    int64_t imm;                /* sign-extended as the operand code says; REL: displacement */
    uint16_t imm2;              /* selector of a far pointer; ENTER's level; EXTRQ-like second imm */
    uint8_t nops;
    uint8_t holes;              /* INSN_HOLE_*: numbers that are not known yet (lift_stencil.c); disp or imm is 0 then */
    struct operand op[4];
};
#define INSN_HOLE_DISP 1u
#define INSN_HOLE_IMM  2u

enum decode_result {
    DECODE_OK,
    DECODE_UD,                  /* undefined or not available in this mode/CPU: #UD; i->len is what was read */
    DECODE_TOO_LONG,            /* more than 15 bytes: #GP(0) */
    DECODE_MORE,                /* `len` bytes are not enough */
};

/*
 * Decode one instruction of at most `len` bytes at `p` for mode word `mode`
 * (cpu.h: M_CODE, M_PE, M_VM).  `feats`: bit set of the CPU's features (row
 * whose feature is missing: #UD), NULL = all.  No guest memory is touched.
 */
enum decode_result decode(struct insn *i, const uint8_t *p, unsigned len, uint32_t mode,
                          const uint64_t *feats);
/* Expand x86.def into lookup tables; dies with the two rows' names if they overlap. Once, at start. */
void decode_init(void);
/* Flags (FL_*) the instruction reads before writing / surely writes: for liveness. */
void insn_flags(const struct insn *i, uint32_t *reads, uint32_t *writes);
/* What else matters to flags that wait to be overwritten.  Unknown instructions may do everything. */
struct insn_effect {
    bool faults;                /* may fault */
    bool merges;                /* may change flags beyond those insn_flags() says it surely writes */
    uint16_t gprs;              /* general registers it may change */
};
void insn_effect(const struct insn *i, struct insn_effect *fx);

#endif
