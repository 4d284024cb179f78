/*
 * emit.h - the state of emitting one block, shared by emit_*.c.
 *
 * Fixed homes.  Guest rax rcx rdx rbx rbp rsi rdi r8-r11 live in the host
 * registers of the same name, guest rsp in r12; r13-r15 are temporaries; guest
 * r12-r15 are memory operands off rsp, which points at struct cpu.  Guest
 * xmm0-12 live in the same host registers, xmm13-15 in memory; host xmm13-15 are
 * temporaries.  Host EFLAGS holds at most one guest flags value.
 *
 * Where a value is.  Every IR value has a location (struct val).  A GET costs
 * nothing: its value simply *is* the home it names (LOC_HOME), for as long as
 * nobody overwrites that home.  Homes carry a version; a location is valid while
 * versions agree.  Before a PUT overwrites a home, values that still live there
 * and are needed later are moved to a temporary -- unless the new value is the old
 * one plus a constant (stack pointers!): then they stay there at an offset.
 */
#ifndef BACKEND_X86_64_EMIT_H
#define BACKEND_X86_64_EMIT_H

#include "backend-x86_64/asm.h"
#include "frontend/cpu.h"
#include "frontend/help.h"
#include "translator/backend.h"
#include "translator/ir.h"

enum loc {
    LOC_NONE,                   /* not computed, or dead */
    LOC_CONST,                  /* val.imm */
    LOC_HOLE,                   /* the number of hole val.reg, not known yet (a stencil) */
    LOC_SLOT,                   /* field of struct cpu at offset val.imm */
    LOC_VHOME,                  /* guest XMM register val.reg */
    LOC_HOME,                   /* guest general register val.reg (+ val.imm, i64 only) */
    LOC_HIGH,                   /* second byte of guest register val.reg (AH CH DH BH) */
    LOC_TEMP,                   /* host temporary val.reg */
    LOC_SPILL,                  /* c->spill[val.reg] */
    LOC_VTEMP,                  /* host xmm13-15 */
    LOC_VSPILL,                 /* c->vspill[val.reg] */
    LOC_CC,                     /* condition val.reg of flags value val.imm, not materialised */
    LOC_FLMEM,                  /* flags image in c->flags */
    LOC_FLSPILL,                /* flags image in c->spill[val.reg] */
};

#define T_FIRST H_R13
#define T_COUNT 3
#define VT_FIRST 13
#define VT_COUNT 3
/* Values that live at once: what 16 guest registers hold, probes for each of them, and a few in between. */
#define NSPILL 64
#define NVSPILL 24

/*
 * What values occupy is counted, each thing under a number of its own: how many
 * values are in a home, a temporary, a spill slot.  Unit 0 takes all that needs no
 * counting, so that counting needs no test.
 */
enum { UNIT_HOME = 1, UNIT_TEMP = UNIT_HOME + 16, UNIT_VTEMP = UNIT_TEMP + T_COUNT,
       UNIT_SPILL = UNIT_VTEMP + VT_COUNT, UNIT_VSPILL = UNIT_SPILL + NSPILL,
       UNIT_CC = UNIT_VSPILL + NVSPILL, UNITS };

struct val {
    uint8_t loc, reg;
    uint8_t unit;               /* what it occupies */
    bool listed;                /* is in emit.live */
    bool zx;                    /* i32: upper half known zero; i8/i16: known zero-extended to 32 */
    uint16_t last;              /* index of the last use */
    uint32_t ver;               /* version of the home or slot */
    int64_t imm;
};

enum slow_kind { SLOW_LD, SLOW_ST, SLOW_LDV, SLOW_STV, SLOW_PROBE, SLOW_AMO, SLOW_DE, SLOW_DIVS, SLOW_SEG };

/* Out-of-line continuation of a fast path. */
struct slow {
    uint32_t recipe;            /* of the flags, if it faults */
    uint8_t kind;
    uint8_t type;
    uint8_t dst;                /* host register that receives the result */
    bool high_dst;
    uint8_t vdst;
    uint8_t *from[2];           /* rel32s that jump here */
    uint8_t *hit;               /* off the stack: where to go on with delta in t0, else NULL */
    uint8_t t0;
    uint8_t *back;
    struct hm addr;             /* linear address: registers and displacement */
    uint32_t desc;
    struct val v;               /* value to store */
    struct val x, y;            /* further operands */
    int32_t pc;
};

/* Flags that wait to be seen by a fault (emit_recipe.c), and where the parts are they can be made of. */
struct part {
    uint8_t loc, reg;           /* LOC_NONE, CONST, HOME, HIGH, TEMP, SPILL */
    bool high;                  /* SPILL: it is the second byte */
    int64_t imm;                /* to be added */
};
struct wait {
    ir_ref f, op;               /* the flags value and its operation */
    uint8_t have;               /* RP_BITs */
    bool skip;                  /* nobody else needs the operation: no code is made for it */
    ir_ref ref[RP_COUNT];       /* the parts' values */
    struct part at[RP_COUNT];
};
#define KEEP_COUNT 8
/* What an exit leaves behind, so that faults behind it find the flags: stores to c->keep[], a name. */
struct leave {
    uint32_t name;
    unsigned n;
    struct part store[KEEP_COUNT];
};

/* Numbers of holes that hold an exit's PC, and its page; plus twice the number of the exit. */
enum { EXIT_HOLE_PC = HOLE_COUNT, EXIT_HOLE_PAGE };

struct emit;

struct backend {
    uint8_t *rw;                /* start of code memory */
    intptr_t rx_off;
    uint8_t *enter;             /* entered from C: (cpu, rx) */
    uint8_t *hop[2];            /* guard failed: on through the jump cache; [1] in 64-bit code */
    uint8_t *link, *next, *next_rip, *dispatch, *redo, *attn, *hot, *x87_load;
    uint8_t *slow_ld, *slow_st, *slow_ldv, *slow_stv, *slow_probe, *slow_seg, *raise, *divs;
    uint8_t *op;                /* interp_op on arg[] */
    uint8_t *help[HELP_COUNT];
    uint8_t *stack[MMU_IDX_COUNT][2];   /* look the stack's page up: [1] for writing */
    /* Stencils' accesses.  [MEM_SS][MEM_WRITE][index][log2 of the size][temporary that holds the address][may
     * the other temporaries be overwritten]: the value comes into that temporary; of a store it is in c->arg[2]. */
    uint8_t *mem_ld[2][2][MMU_IDX_COUNT][4][T_COUNT][2];
    uint8_t *mem_st[2][MMU_IDX_COUNT][4][T_COUNT][2];
    /* The same off the stack pointer, where the other temporaries may be overwritten. */
    uint8_t *stack_ld[2][2][MMU_IDX_COUNT][4][T_COUNT];
    uint8_t *stack_st[2][MMU_IDX_COUNT][4][T_COUNT];
    uint8_t *amo;
    bool bmi2, lzcnt, popcnt;
    uint16_t vec_first[256];    /* emit_vec.c: first rule of an operation, plus 1 */
    struct emit *em;            /* reused for every block */
    struct copy *copy;          /* stencil.c: the block being put together */
};
_Static_assert(IR_OP_COUNT <= 256, "operations are bytes");

struct emit {
    struct as a;
    struct backend *be;
    const struct ir_block *b;
    struct host_block *out;
    uint8_t *start;
    unsigned i;                 /* current instruction */
    int32_t pc;                 /* of the last MARK */
    struct ir_use *use;         /* b->use; recipe_prepare() changes `flast` */
    struct val val[IR_MAX];     /* of the instructions up to the current one */
    uint32_t home_ver[16], vhome_ver[16];
    uint32_t slot_epoch;        /* version of all other slots */
    uint16_t owner[UNITS];      /* number of live values in it */
    bool temp_busy[T_COUNT], vtemp_busy[VT_COUNT];      /* held by the code being emitted */
    uint16_t live[256];         /* values with a location that may have to move */
    unsigned nlive;
    unsigned ahead;             /* instruction whose value was defined together with one before it */
    uint8_t stale_reg;          /* host register that still holds stale_val, just moved out of it */
    ir_ref stale_val;
    /* flags */
    ir_ref ef;                  /* flags value in EFLAGS, 0 none */
    ir_ref arch;                /* current architectural flags value; 0: what was there at entry */
    ir_ref flmem;               /* flags value that c->flags holds */
    ir_ref fl_alias[IR_MAX];    /* GETF: the flags value it reads */
    struct { uint8_t loc, reg; } flv[IR_MAX];   /* where a flags value is in memory, if it is: LOC_FLMEM,
                                   LOC_FLSPILL; a CALL that writes the flags is one too */
    uint16_t fl_spilled[64];    /* flags values in spill slots */
    unsigned nfl_spilled;
    uint16_t fl_seen[IR_MAX];   /* last index where a fault may show a flags value that can wait for that */
    uint16_t fl_old[IR_MAX];    /* if it can wait: the value it keeps flags of */
    bool fl_wait[IR_MAX];       /* it can wait */
    bool fl_part[IR_MAX];       /* an image of it lacks the kept flags: only faults need them */
    uint32_t fl_name;           /* c->flags holds this recipe's name; 0: none that is known */
    struct wait wait[8];
    unsigned nwait;
    bool seen;                  /* a SEEN: recipe_leave() before the exit that follows */
    uint16_t seen_changed;
    struct slow slow[512];
    unsigned nslow;
    struct as_notes notes;
    struct { uint8_t *jcc; unsigned exit; bool save_flags; struct leave leave; } side[BACKEND_MAX_EXITS];
    unsigned nside;
    struct { uint8_t *from; unsigned exit; } stub[BACKEND_MAX_EXITS];  /* stubs of jumps in the hot part */
    unsigned nstub;
    uint8_t *ind_miss;          /* the indirect exit's jump for a miss of the jump cache, NULL: none */
    uint8_t ind_rip;            /* register that then holds the target, xor the salt */
    bool x87_in;                /* the guest's x87 state is known to be in the host's registers */
};

/* The hole to be added to imm. Only stencils have them: elsewhere any number is one. */
static inline unsigned hole_of(const struct emit *e, int64_t imm)
{
    return e->a.notes ? ir_hole_of(imm) : 0;
}

/* --- homes --- */
static inline bool home_pinned(unsigned g)
{
    return g < R_12;
}
static inline unsigned home_host(unsigned g)    /* only for pinned */
{
    return g == R_SP ? H_R12 : g;
}
static inline bool vhome_pinned(unsigned n)
{
    return n < 13;
}
static inline bool slot_is_gpr(int64_t off, unsigned *g)
{
    if (off < (int64_t)CPU_OFF(r) || off >= (int64_t)(CPU_OFF(r) + 128))
        return false;
    *g = (unsigned)(off - CPU_OFF(r)) / 8;
    return true;
}
static inline bool slot_is_xmm(int64_t off, unsigned *n)
{
    if (off < (int64_t)CPU_OFF(x) || off >= (int64_t)(CPU_OFF(x) + 256))
        return false;
    *n = (unsigned)(off - CPU_OFF(x)) / 16;
    return true;
}

/* --- alloc.c: where values are --- */
void alloc_prepare(struct emit *e);
/* Has the value a location that still holds it? */
bool val_valid(const struct emit *e, const struct val *v);
unsigned temp_get(struct emit *e);              /* a free temporary, busy until released */
unsigned temp_take(struct emit *e, unsigned t); /* this one, though a value that dies now is in it */
void temp_release(struct emit *e, unsigned t);  /* the code being emitted no longer needs it */
unsigned vtemp_get(struct emit *e);
void vtemp_release(struct emit *e, unsigned t);
/* The value in a host register (loads constants and memory into a temporary, marked busy and
 * returned in *tmp, else *tmp = NOREG).  Width: at least the type's; upper bits as val.zx says. */
unsigned use_reg(struct emit *e, ir_ref r, unsigned *tmp);
/* Same in a fresh temporary that may be modified. */
unsigned use_copy(struct emit *e, ir_ref r);
/* Put the value into this host register (typed width; full 64 bits may be moved). */
void use_into(struct emit *e, ir_ref r, unsigned reg);
/* Can it be used as a memory operand of its type's width? */
bool use_is_mem(struct emit *e, ir_ref r, struct hm *m);
bool use_is_const(struct emit *e, ir_ref r, int64_t *v);
/* Current location is a pinned home or temporary without offset: its register, else NOREG. */
unsigned use_where(struct emit *e, ir_ref r);
/* Choose where value i goes: the home it is PUT to next if that is safe, else a temporary
 * (busy). *home: guest register or 0xff. */
unsigned def_reg(struct emit *e, unsigned i, unsigned *home);
/* The value of instruction i is now in host register reg (from def_reg). */
void def_done(struct emit *e, unsigned i, unsigned reg, unsigned home, bool zx);
void def_at(struct emit *e, unsigned i, enum loc loc, unsigned reg, int64_t imm);
/* A value was moved there from where it was. */
void def_move(struct emit *e, struct val *v, enum loc loc, unsigned reg);
unsigned vuse_reg(struct emit *e, ir_ref r, unsigned *tmp);
void vuse_into(struct emit *e, ir_ref r, unsigned x);
bool vuse_is_mem(struct emit *e, ir_ref r, struct hm *m);
unsigned vdef_reg(struct emit *e, unsigned i, unsigned *home);
void vdef_done(struct emit *e, unsigned i, unsigned reg, unsigned home);
void alloc_put(struct emit *e, const struct ir_ins *p);         /* PUT */
void alloc_putv(struct emit *e, const struct ir_ins *p);        /* PUTV */
void alloc_get(struct emit *e, const struct ir_ins *p);         /* GET, GETV */
void home_overwrite(struct emit *e, unsigned g, ir_ref except, int64_t delta, bool affine);
void slots_overwrite(struct emit *e);           /* a CALL may change any slot but the homes */
void vhomes_overwrite_all(struct emit *e);
unsigned spill_get(struct emit *e);
void vtemps_spill(struct emit *e);              /* a C call destroys host vector temporaries */
static inline void alloc_val(struct emit *e, unsigned i)
{
    e->val[i] = (struct val){ .loc = LOC_NONE, .last = e->use[i].last };
}
/* Before instruction i. */
static inline void alloc_begin(struct emit *e, unsigned i)
{
    e->i = i;
    if (i != e->ahead)
        alloc_val(e, i);
}
/* The current instruction will also define the value of i, which follows it. */
void alloc_ahead(struct emit *e, unsigned i);
/* Behind it: give up what the values occupied that die with it (ir_use.dies). */
void alloc_dead(struct emit *e, const struct ir_ins *p, unsigned dies);
bool dies(struct emit *e, ir_ref r);            /* no use after the current instruction */
/* Is the value exactly in home g, without offset, in the current version? */
bool in_home(struct emit *e, ir_ref r, unsigned g);

/* --- emit.c --- */
/* The block's operations to rw, their slow paths to cold; copied: it is for a stencil, note what changes. */
struct emit *emit_begin(struct backend *be, const struct ir_block *b, uint8_t *rw, bool copied,
                        struct host_block *out);
void emit_ops(struct emit *e);
void emit_cold(struct emit *e, uint8_t *cold);

/* --- emit_flags.c --- */
void flags_prepare(struct emit *e);
void flags_clobber(struct emit *e);             /* before code that destroys EFLAGS */
void flags_born(struct emit *e, ir_ref f);      /* EFLAGS now are flags value f, which is nowhere else */
void flags_set(struct emit *e, unsigned op);    /* ... the one of operation `op` */
/* Does somebody need the flags of this operation? Then the FLAGS instruction, else NULL. */
const struct ir_ins *flags_wanted(struct emit *e, unsigned op);
/* Is the operation's value used by nothing but its FLAGS? */
bool flags_only(struct emit *e, unsigned op);
void flags_save(struct emit *e, ir_ref f);      /* value f is in memory from now on (too) */
void flags_written(struct emit *e);             /* a CALL changed c->flags */
void flags_free(struct emit *e);                /* give back the spill slots of flags values that died */
ir_ref flags_resolve(const struct emit *e, ir_ref f);   /* through GETF */
/* The flags FLAGS f keeps, or IR_NONE if host code need not keep them. */
ir_ref flags_kept(const struct emit *e, const struct ir_ins *f);
void flags_mem_overwrite(struct emit *e);       /* c->flags will be overwritten by something else */
void flags_to_mem(struct emit *e);              /* c->flags = architectural flags */
/* Make EFLAGS (all: every flag, else only CF) hold flags value f. */
void flags_load(struct emit *e, ir_ref f, bool all);
/* Emit a test of condition cc on flags value f: returns the host condition to use. */
unsigned flags_test(struct emit *e, ir_ref f, unsigned cc);
/* Test value r (i8 condition) for nonzero: returns the host condition. */
unsigned cond_test(struct emit *e, ir_ref r);
void emit_flags_op(struct emit *e, const struct ir_ins *p);     /* FLAGS FMERGE FBITS CC GETF PUTF */

/* --- emit_recipe.c --- */
void recipe_prepare(struct emit *e);            /* first of all: which flags values can wait? */
void recipe_begin(struct emit *e, unsigned op); /* before the operation: follow its parts if its flags wait */
bool recipe_skips(const struct emit *e);        /* the operation just begun needs no code */
void recipe_step(struct emit *e);               /* after each instruction, before what dies in it is freed */
/* Parts in these places move away first.  may_fault: the overwriting instruction may fault behind it. */
void recipe_home_overwrite(struct emit *e, unsigned g, int64_t delta, bool affine, bool may_fault);
void recipe_temp_overwrite(struct emit *e, unsigned t);
bool recipe_in_temp(const struct emit *e, unsigned t);
void recipe_temp_spilled(struct emit *e, unsigned t, unsigned s);
/* The recipe for a fault of the current instruction. */
uint32_t recipe_here(struct emit *e);
/* At an exit behind which the flags are seen: what to leave; false: nothing. changed: guest registers. */
bool recipe_leave(struct emit *e, unsigned changed, struct leave *l);
void recipe_emit_leave(struct emit *e, const struct leave *l, bool name);

/* --- the instruction families --- */
void emit_int(struct emit *e, const struct ir_ins *p);
void emit_muldiv(struct emit *e, const struct ir_ins *p);
void emit_divchk(struct emit *e, const struct ir_ins *p);
void emit_mem(struct emit *e, const struct ir_ins *p);
void emit_slow_paths(struct emit *e);
void emit_call(struct emit *e, const struct ir_ins *p);
void emit_exit(struct emit *e, const struct ir_ins *p);
void emit_side_exits(struct emit *e);
/* Jump to the RIP in t0 if the jump cache knows it; t1, x: temporaries. Returns the rel32 of the miss. */
uint8_t *emit_jump_cache(struct as *a, unsigned t0, unsigned t1, unsigned x);
void emit_vec(struct emit *e, const struct ir_ins *p);
void vec_rules_init(struct backend *be);
void emit_x87(struct emit *e, const struct ir_ins *p);
void x87_load(struct cpu *c);   /* c->fpu into the host's x87, exceptions masked; sets x87_live */
void x87_store(struct cpu *c);  /* back, if live */
void stencil_copy_free(struct backend *be);     /* stencil.c */
/* Any pure op without a rule: through interp_op(). */
void emit_fallback(struct emit *e, const struct ir_ins *p);
/* c->rip = pc, then on through a dispatching thunk; t: a temporary that may be overwritten. */
void emit_goto_pc(struct emit *e, int64_t pc, uint8_t *thunk, unsigned t);
/* Store operand into c->arg[n] (64 bits, zero-extended from its type). */
void emit_arg(struct emit *e, unsigned n, ir_ref r);
void emit_arg_val(struct emit *e, unsigned n, const struct val *v);
/* Call a thunk; the return address is recorded as belonging to guest instruction pc, with that recipe. */
void emit_thunk_call(struct emit *e, uint8_t *thunk, int32_t pc, uint32_t recipe);

#endif
