/*
 * core.h - the state of emitting one block, and what all backends share of it.
 *
 * The backend's emit.h (BACKEND_EMIT_H) defines its registers and includes this.
 *
 * Where a value is.  Every IR value has a location (struct val).  A GET costs
 * nothing: its value simply *is* the home it names (LOC_HOME), for as long as
 * nobody overwrites that home.  Homes carry a version; a location is valid while
 * versions agree.  Before a PUT overwrites a home, values that still live there
 * and are needed later are moved to a temporary -- unless the new value is the old
 * one plus a constant (stack pointers!): then they stay there at an offset.
 */
#ifndef BACKEND_COMMON_CORE_H
#define BACKEND_COMMON_CORE_H

#include "backend-common/values.h"

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
    ir_ref ef;                  /* flags value in the host's flags, 0 none */
    ir_ref arch;                /* current architectural flags value; 0: what was there at entry */
    ir_ref flmem;               /* flags value that c->flags holds */
    ir_ref fl_alias[IR_MAX];    /* GETF: the flags value it reads */
    struct { uint8_t loc, reg; } flv[IR_MAX];   /* where a flags value's image is, if it has one: LOC_FLMEM,
                                   LOC_FLSPILL, LOC_FLTEMP; a CALL that writes the flags is one too */
    uint16_t fl_spilled[64];    /* flags values in spill slots and temporaries */
    unsigned nfl_spilled;
    uint16_t fl_seen[IR_MAX];   /* last index where a fault may show a flags value that can wait for that */
    uint16_t fl_old[IR_MAX];    /* if it can wait: the value it keeps flags of */
    bool fl_wait[IR_MAX];       /* it can wait */
    bool fl_mem[IR_MAX];        /* it cannot, and a fault may show it: it has to be in c->flags */
    bool fl_part[IR_MAX];       /* an image of it lacks the kept flags: only faults need them */
    bool fl_entry;              /* c->flags, if it holds the entry's flags, is known to be no recipe's name */
    uint32_t fl_name;           /* c->flags holds this recipe's name; 0: none that is known */
    struct wait wait[8];
    unsigned nwait;
    bool seen;                  /* a SEEN: recipe_leave() before the exit that follows */
    uint16_t seen_changed;
    struct slow slow[512];
    unsigned nslow;
    struct host_emit h;         /* the backend's own */
    struct { uint8_t *jcc; unsigned exit; bool save_flags; struct leave leave; } side[BACKEND_MAX_EXITS];
    unsigned nside;
    struct { uint8_t *from; unsigned exit; } stub[BACKEND_MAX_EXITS];  /* stubs of jumps in the hot part */
    unsigned nstub;
    uint8_t *ind_miss;          /* the indirect exit's jump for a miss of the jump cache, NULL: none */
    uint8_t ind_rip;            /* register that then holds the target, xor the salt */
    uint32_t insns;             /* guest instructions begun */
    bool x87_in;                /* the guest's x87 state is known to be in the host's registers */
};

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
unsigned temp_free(struct emit *e);             /* one nothing has to move out of, or NOREG */
void temps_spill(struct emit *e);               /* what comes now destroys all temporaries */
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
unsigned vdef_reg(struct emit *e, unsigned i, unsigned *home);
void vdef_done(struct emit *e, unsigned i, unsigned reg, unsigned home);
void alloc_slot_overwrite(struct emit *e, int64_t off, enum ir_type t);
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
/* Is address r computed from the stack pointer?  Then it mostly lies in the page it lay in last. */
bool mem_off_stack(const struct ir_block *b, ir_ref r);
/* What the upper half of a DIV's, REM's or DIVCHK's dividend is known to be: 0, or its lower half's sign. */
enum upper { UPPER_ANY, UPPER_ZERO, UPPER_SIGN };
enum upper div_upper(const struct ir_block *b, const struct ir_ins *p);
/* With such an upper half: is the divisor known not to be 0, nor -1 if that is signed? */
bool div_fits(struct emit *e, const struct ir_ins *p);
/* The instruction right behind e->i if it has op1 or op2 and the same operands: its value will be defined, too; else 0. */
unsigned emit_partner(struct emit *e, unsigned op1, unsigned op2);
void emit_ops(struct emit *e);
void emit_cold(struct emit *e, uint8_t *cold);

/* --- flags.c --- */
void flags_prepare(struct emit *e);
void flags_clobber(struct emit *e);             /* before code that destroys the host's flags */
void flags_born(struct emit *e, ir_ref f);      /* the host's flags now are f, which is nowhere else */
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
/* Offset of the image of flags value f in struct cpu, where it is stored now if it was not. */
uint32_t flags_force(struct emit *e, ir_ref f);
/* A spill slot for the image of flags value f; flags_free() gives it back. */
uint32_t flags_spill(struct emit *e, ir_ref f);
/* The image of flags value f is in temporary t, and 0 but for flags; flags_free() gives t back. */
void flags_in_temp(struct emit *e, ir_ref f, unsigned t);
/* What was in temporary t now is in slot s. */
void flags_temp_spilled(struct emit *e, unsigned t, unsigned s);
bool flags_hold_temp(const struct emit *e, unsigned t);

/* --- recipe.c --- */
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
/* Is this an exit that leaves a recipe instead of live flags? */
bool recipe_exit(const struct ir_ins *p);
/* At an exit behind which the flags are seen: what to leave; false: nothing. changed: guest registers. */
bool recipe_leave(struct emit *e, unsigned changed, struct leave *l);
void recipe_emit_leave(struct emit *e, const struct leave *l, bool name);

/*
 * --- what each backend defines ---
 * Offsets are those of fields of struct cpu.  Nothing up to host_copied() touches the host's flags.
 */
void host_load(struct emit *e, ir_ref r, unsigned reg);         /* a value, wherever it is, into a register */
void host_store(struct emit *e, uint32_t off, unsigned reg);    /* 64 bits */
void host_store_pair(struct emit *e, uint32_t off, unsigned r, unsigned s);     /* twice 64 bits */
void host_store_imm(struct emit *e, uint32_t off, int32_t v);   /* 64 bits, sign-extended */
void host_copy(struct emit *e, uint32_t to, uint32_t from);     /* 64 bits; uses no temporary */
void host_flags_store(struct emit *e, uint32_t off);            /* the image of flags value e->ef */
void host_flags_keep(struct emit *e, ir_ref f);                 /* the same to a spill slot or a temporary */
void host_vmove(struct emit *e, unsigned d, unsigned s);
void host_vload(struct emit *e, unsigned d, uint32_t off, bool aligned);
void host_vstore(struct emit *e, uint32_t off, unsigned s, bool aligned);
void host_begin(struct emit *e, bool copied);                   /* e->h, for a new block */
/* Also for the backend: home_pinned, home_host (a pinned home's register), vhome_pinned, vhome_host, host_copied (the
 * code is for a stencil) and host_pin (it cannot be one), T_FIRST, T_COUNT, VT_FIRST, VT_COUNT, HOST_NARROW_IN_PLACE (an
 * operation on 8 or 16 bits leaves the rest of its register), HOST_CC_EXTENDED (a condition in a register is
 * zero-extended), HOST_FLAGS_WAIT (backend_flags_wait) and, for it,
 * host_flags_resolve (c->flags, which may be a recipe's name, becomes an image), struct as, struct slow, struct host_emit; host_image_lacks (a
 * flags value's image lacks flags that only a fault shows) and host_prepare (of flags, before a block). */
void alloc_put(struct emit *e, const struct ir_ins *p);         /* PUT */
void emit_flags_op(struct emit *e, const struct ir_ins *p);     /* FLAGS FMERGE FBITS CC GETF PUTF HOSTF */
void emit_int(struct emit *e, const struct ir_ins *p);
void emit_muldiv(struct emit *e, const struct ir_ins *p);
void emit_divchk(struct emit *e, const struct ir_ins *p);
void emit_mem(struct emit *e, const struct ir_ins *p);
void emit_slow_paths(struct emit *e);
void emit_call(struct emit *e, const struct ir_ins *p);
void emit_exit(struct emit *e, const struct ir_ins *p);
void emit_side_exits(struct emit *e);
void emit_vec(struct emit *e, const struct ir_ins *p);
void emit_x87(struct emit *e, const struct ir_ins *p);
/* Any pure op without a rule: through interp_op(). */
void emit_fallback(struct emit *e, const struct ir_ins *p);
/* Store operand into c->arg[n] (64 bits, zero-extended from its type). */
void emit_arg(struct emit *e, unsigned n, ir_ref r);
void emit_arg_val(struct emit *e, unsigned n, const struct val *v);
/* Call a thunk; the return address is recorded as belonging to guest instruction pc, with that recipe. */
void emit_thunk_call(struct emit *e, uint8_t *thunk, int32_t pc, uint32_t recipe);

#endif
