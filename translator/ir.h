/*
 * ir.h - the intermediate representation.
 *
 * A block is one flat array of fixed-size instructions; an instruction's index
 * is the name of its value (block-local SSA).  One entry, many side exits, no
 * phi: values cross blocks only through slots of struct cpu.  Index 0 is always
 * a NOP, so reference 0 (IR_NONE) means "no operand".
 *
 * Rules the verifier holds (ir_verify.c):
 *  - operands are defined before use and have the types ir.def says;
 *  - between two MARKs no instruction that may fault follows a PUT/PUTV/PUTF
 *    (faults are exact: state still is what it was at the MARK), except after
 *    calls to helpers whose row says they handle it (HF_RESTART);
 *  - the array ends with exactly one instruction that has attribute E.
 */
#ifndef TRANSLATOR_IR_H
#define TRANSLATOR_IR_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum ir_op {
#define OP(id, text, sig, attrs) IR_##id,
#include "ir.def"
#undef OP
    IR_OP_COUNT
};

enum ir_type { TY_NONE, TY_I8, TY_I16, TY_I32, TY_I64, TY_V128, TY_FLAGS, TY_COUNT };

/* Attributes (ir.def). */
#define IRA_C 0x001u
#define IRA_X 0x002u
#define IRA_L 0x004u
#define IRA_S 0x008u
#define IRA_G 0x010u
#define IRA_P 0x020u
#define IRA_E 0x040u
#define IRA_M 0x080u
#define IRA_K 0x100u
#define IRA_VEC 0x200u  /* vector op from ir_vec.def, no scalar handling */
#define IRA_F 0x400u

enum flags_kind {
#define F(id, text, writes, undef) FK_##id,
#include "flags.def"
#undef F
    FK_COUNT
};

typedef uint32_t ir_ref;                /* the one typedef: index of an instruction */
#define IR_NONE 0u

struct ir_ins {
    uint8_t op;                 /* enum ir_op */
    uint8_t type;               /* enum ir_type of the result (or of the operation) */
    uint16_t aux;
    ir_ref a, b, c;
    int64_t imm;
};

/* aux of LD/ST/LDV/STV/AMO/CAS: */
#define MEM_SIZE    0x001fu     /* LDV/STV: bytes; integer forms take it from the type */
#define MEM_WRITE   0x0020u     /* LD: check for write permission (read half of an RMW) */
#define MEM_ALIGN   0x0040u     /* #GP if not naturally aligned (SSE); with M_AC mode bit: #AC checks
                                   are separate (MEM_AC) */
#define MEM_AC      0x0080u     /* #AC if misaligned */
#define MEM_IDX     0x0300u     /* enum mmu_idx << 8 */
#define MEM_IDX_SHIFT 8
#define MEM_SS      0x0400u     /* non-canonical address raises #SS(0), not #GP(0) */
#define MEM_LOCKED  0x0800u     /* part of a locked operation, machine has one vCPU */
/* PROBE: aux is MEM_IDX | MEM_WRITE; imm packs the 32-bit displacement and the span in bytes. */
#define PROBE_IMM(disp, span) ((int64_t)((uint64_t)(uint32_t)(disp) | (uint64_t)(span) << 32))
#define PROBE_DISP(imm) ((int32_t)(imm))
#define PROBE_SPAN(imm) ((uint32_t)((uint64_t)(imm) >> 32))

enum { AMO_ADD, AMO_AND, AMO_OR, AMO_XOR, AMO_XCHG };

/* aux of EXIT/EXIT_IF: low byte = FLX_* flags live at the target */
#define EXIT_LIVE   0x003fu     /* FLX_* bits: O S Z A P C as 5..0 */
#define EXIT_READ   0x0040u     /* the target reads some of them for certain; else they are live for all that is known */
#define EXIT_CROSS  0x0100u     /* target in another page, or block crosses pages: guarded link */
#define EXIT_LOOP   0x0200u     /* backward */
#define EXIT_EVENT  0x0400u     /* do not chain: the run loop must look (after STI's shadow etc.) */
#define EXIT_FALL   0x0800u     /* EXIT: no code; what follows this stencil goes on (imm: 0) */
#define EXIT_HOSTF  0x4000u     /* EXIT_FALL: the flags are only wanted in the host's flags, if they are there */
/* aux of EXIT_IND */
#define EXIT_CALL   0x1000u
#define EXIT_RET    0x2000u
#define FLX_ALL     0x3fu

/*
 * Stencils are blocks from which code is made that is copied many times, each time
 * for another instruction of the same form.  What differs between those are holes:
 * 32-bit numbers that have a name here and get their value when the code is copied.
 * A HOLE is such a number as a value.  In the imm of EA, PC, LD, ST, LDV and STV the
 * bits above the 48th name a hole to be added to the rest; no imm of theirs that is
 * a number looks like that, and rules that only take displacements of 32 bits leave
 * it alone.
 */
enum ir_hole { HOLE_NONE, HOLE_DISP, HOLE_IMM, HOLE_PC, HOLE_COUNT };
#define HOLE_SHIFT 48
static inline int64_t ir_hole_imm(enum ir_hole h, int32_t k)
{
    return ((int64_t)h << HOLE_SHIFT) + k;
}
static inline unsigned ir_hole_of(int64_t imm)
{
    return (unsigned)(((uint64_t)imm + (1u << 31)) >> HOLE_SHIFT) & 0xff;
}

/* aux of PUTF, set by opt_needs: only fault points between here and the next PUTF see these flags. */
#define PUTF_WEAK 1u
/* imm of FLAGS, set by opt_needs: FLX_* bits some use needs, and those only fault points need.
 * 0: not analysed, all are needed. */
#define FLAGS_IMM(strong, weak) ((int64_t)((strong) | (weak) << 8))
#define FLAGS_STRONG(imm) ((imm) ? (unsigned)(imm) & FLX_ALL : FLX_ALL)
#define FLAGS_WEAK(imm)   ((imm) ? (unsigned)((imm) >> 8) & FLX_ALL : FLX_ALL)

/* aux of SEGCHK: segment number | SEGCHK_WRITE */
#define SEGCHK_WRITE 0x10u

/* aux of the vector operations (ir_vec.def).  Low byte: lane and width. */
enum { VL_8, VL_16, VL_32, VL_64,       /* integer lanes; VL_n = log2 of the bytes */
       VL_F32, VL_F64,                  /* floating point, every lane */
       VL_S32, VL_S64 };                /* floating point, lane 0 only */
#define VL_MASK     0x0007u
#define VW_64       0x0010u     /* only the low 64 bits are the operands (MMX); upper half of the result 0 */
#define VA_FROM(vl) ((unsigned)(vl) << 8)       /* VSX, VZX: lane converted from */
#define VA_SIGNAL   0x0100u     /* VFCOM: invalid for quiet NaNs */
#define VA_TRUNC    0x0100u     /* VF2I, VF2G: round towards zero, not by MXCSR */

/* x86 condition codes, as encoded in Jcc: the aux of CC. */
enum { CC_O, CC_NO, CC_B, CC_NB, CC_Z, CC_NZ, CC_BE, CC_NBE,
       CC_S, CC_NS, CC_P, CC_NP, CC_L, CC_NL, CC_LE, CC_NLE };

/* Convert FL_* masks to FLX_* and back (6 bits: O S Z A P C = bits 5..0). */
unsigned flx_from_fl(uint32_t fl);
uint32_t fl_from_flx(unsigned flx);
/* Flags condition cc reads, as FLX_*. */
extern const uint8_t cc_reads[16];
/* Flags kind k writes, as FLX_*; computed from flags.def. */
extern const uint8_t fk_writes[FK_COUNT];

struct ir_op_info {
    const char *text, *sig;
    uint8_t nargs;              /* operands (a, b, c) the signature names */
};
extern const struct ir_op_info ir_info[IR_OP_COUNT];
extern const uint16_t ir_attrs[IR_OP_COUNT];     /* the attributes alone: walks over blocks ask for nothing else */

#define IR_MAX 2048             /* instructions in one block; lifters stop well before */

/* What opt_needs() found out about the value (or the flags) of one instruction. */
struct ir_use {
    uint16_t last;              /* index of the last use, 0: none */
    uint16_t uses;              /* operands that name it */
    uint16_t put;               /* its first PUT or PUTV, 0: none */
    uint16_t flags;             /* the FLAGS that refers to this operation, 0: none */
    uint16_t flast;             /* a flags value (or a CALL that writes them): where it is needed strongly for
                                   the last time, 0: nowhere; of index 0: the flags at the block's entry */
    uint8_t strong, weak;       /* a flags value: FLX_* needed */
    uint8_t dies;               /* of this instruction's operands: bit 0 a, 1 b, 2 c has no later use; bit 3: its
                                   own value has no use */
    uint8_t pad[3];             /* 16 bytes: indexing is a shift */
};

#define IR_RANGES 12
#define NO_SHADOW UINT32_MAX

/* Physical bytes [pa, pa + len); none crosses a page. */
struct ir_range {
    uint64_t pa;
    uint16_t len;
};

struct ir_block {
    struct ir_ins *ins;
    struct opt_state *opt;      /* what is known behind the last instruction; NULL: appended as told */
    struct opt_state *opt_mem;
    struct ir_use *use;         /* valid after opt_needs(), for what it left alive */
    unsigned n;                 /* used entries, index 0 included */
    unsigned cap;
    uint64_t pa;                /* physical address of the first guest byte */
    uint64_t lin;               /* linear address at translation time (for dumps only when flat) */
    uint32_t mode;              /* M_* */
    uint32_t start;             /* page offset (flat) or EIP (not flat) of the first instruction */
    uint16_t guest_len;         /* bytes from the first to behind the last instruction, contiguous
                                   runs are listed in `ranges` */
    uint16_t insns;             /* guest instructions */
    struct ir_range range[IR_RANGES];   /* made from these, or looked at them; the first byte's first */
    unsigned nrange;
    uint32_t shadow;            /* PC of the instruction in STI's shadow, or NO_SHADOW */
    bool crosses;               /* takes bytes from a second page */
    bool once;                  /* ... or from what is not plain memory: may have changed when it runs next */
    bool flat;                  /* M_FLAT_CS: PCs are relative to the page */
    bool uses_x87;              /* needs the guest's x87 state in place (x87 or MMX) */
};

/* ---- building (ir.c) ---- */
void ir_init(struct ir_block *b);               /* allocates; reuse with ir_reset */
void ir_reset(struct ir_block *b);
void ir_free(struct ir_block *b);
/* From now on, in a block that is still empty, forward what is known to each instruction (opt.h). */
void opt_begin(struct ir_block *b);
/* Emits as told, except that an EA folds constant parts and that the type of a result which the
 * signature fixes is filled in.  After opt_begin() what comes back may be a value that exists, and
 * of an instruction with an effect nothing may remain. */
ir_ref ir_emit(struct ir_block *b, enum ir_op op, enum ir_type t, unsigned aux,
               ir_ref a, ir_ref r, ir_ref c, int64_t imm);
/* GET and PUT of general register reg (0..15); high: its second byte (AH CH DH BH). */
ir_ref ir_get(struct ir_block *b, enum ir_type t, unsigned reg, bool high);
void ir_put(struct ir_block *b, enum ir_type t, unsigned reg, bool high, ir_ref v);
void ir_mark(struct ir_block *b, int64_t pc, unsigned len);
/* Folding constructors: constants, identities (x+0, x&-1, ...), EA merging.  They may return an
 * existing value: an operation whose FLAGS are taken must be made with ir_emit. */
ir_ref ir_const(struct ir_block *b, enum ir_type t, int64_t v);
ir_ref ir_un(struct ir_block *b, enum ir_op op, enum ir_type t, ir_ref x);
ir_ref ir_bin(struct ir_block *b, enum ir_op op, enum ir_type t, ir_ref x, ir_ref y);
static inline bool ir_is_const(const struct ir_block *b, ir_ref r)
{
    return b->ins[r].op == IR_CONST;
}
static inline enum ir_type ir_type_of(const struct ir_block *b, ir_ref r)
{
    return (enum ir_type)b->ins[r].type;
}
static inline unsigned type_bits(enum ir_type t)
{
    static const uint8_t bits[TY_COUNT] = { 0, 8, 16, 32, 64, 128, 0 };
    return bits[t];
}
static inline unsigned type_bytes(enum ir_type t)
{
    return type_bits(t) / 8;
}

/* ---- text (ir_text.c): every dump parses again ---- */
void ir_print(FILE *f, const struct ir_block *b);
/* NULL, or a message naming the line. */
const char *ir_parse(struct ir_block *b, const char *text);

/* ---- checks (ir_verify.c): NULL or what is wrong (static buffer) ---- */
const char *ir_verify(const struct ir_block *b);

/* ---- the rest of the pipeline (opt.c) ---- */
struct opt_options { bool verify, dump; FILE *dump_to; };
/* A block not built with opt_begin() is built anew with it; then what nobody needs goes. */
void ir_optimize(struct ir_block *b, const struct opt_options *o);
void opt_needs(struct ir_block *b);     /* removes what nobody needs; fills b->use, which backends ask for */

/* ---- flags semantics (flags.c): the one definition ---- */
/* Flags (FL_ARITH image) of operation `op` of type t: result r, operands x, y,
 * carry-in or count z; `old` supplies what the kind keeps. */
uint32_t cc_eval(enum flags_kind k, enum ir_op op, enum ir_type t, uint64_t r, uint64_t x,
                 uint64_t y, uint64_t z, uint32_t old);
/* The same of an operation's own operands a, b, c. */
uint32_t cc_of_op(enum flags_kind k, enum ir_op op, enum ir_type t, uint64_t r, uint64_t a, uint64_t b,
                  uint64_t c, uint32_t old);
bool cc_test(unsigned cc, uint32_t flags);
/* Of those, the flags the manual leaves undefined: count z (any other value: ~0), width of t. */
uint32_t cc_undefined(enum flags_kind k, enum ir_type t, uint64_t z);

#endif
