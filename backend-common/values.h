/*
 * values.h - where values and flags can be while a block is emitted (core.h).
 */
#ifndef BACKEND_COMMON_VALUES_H
#define BACKEND_COMMON_VALUES_H

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
    LOC_VTEMP,                  /* host vector temporary val.reg */
    LOC_VSPILL,                 /* c->vspill[val.reg] */
    LOC_CC,                     /* condition val.reg of flags value val.imm, not materialised */
    LOC_FLMEM,                  /* flags image in c->flags */
    LOC_FLSPILL,                /* flags image in c->spill[val.reg] */
    LOC_FLTEMP,                 /* flags image in host temporary val.reg */
};

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

/* Flags that wait to be seen by a fault (recipe.c), and where the parts are they can be made of. */
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

#endif
