/*
 * recipe.h - how to make the arithmetic flags when somebody looks after all.
 *
 * Most flags are overwritten before an instruction reads them; they are needed
 * only if something in between faults.  Host code does not compute those.  It is
 * enough to know, for each such place, what operation they come from and where
 * its result or operands are: in struct cpu, once translated code has been left.
 * A recipe says that.  It is named by a small number, and equal recipes have
 * equal numbers.
 *
 * c->flags itself may be the name of a recipe: a negative value, RECIPE_NAME().
 * An exit whose target may fault before it overwrites the flags stores one; no
 * other value with bit 63 set is ever stored there.  Recipes and names exist only
 * while translated code runs: the run loop turns them into flags before any other
 * C code looks (recipe_resolve).
 */
#ifndef TRANSLATOR_RECIPE_H
#define TRANSLATOR_RECIPE_H

#include "frontend/cpu.h"
#include "translator/ir.h"

/* Parts of a recipe: the operation's result and operands. */
enum { RP_R, RP_A, RP_B, RP_C, RP_COUNT };
#define RP_BIT(part) (1u << (part))

#define RECIPE_CONST 1u         /* recipe.off: the value is imm */

struct recipe {
    uint8_t kind;               /* enum flags_kind; FK_COUNT: the flags as such, at off[RP_R] */
    uint8_t op, type;           /* of the operation */
    uint8_t pad;
    uint32_t old;               /* recipe of the flags the kind keeps; 0: none are needed */
    uint32_t off[RP_COUNT];     /* byte offset in struct cpu, or RECIPE_CONST; 0: not known */
    int64_t imm[RP_COUNT];      /* to be added */
};

/* The value that, as an immediate operand, stores recipe n's name in c->flags. */
#define RECIPE_NAME(n) ((int32_t)~(n))

struct recipe_table;

struct recipe_table *recipe_table_new(void);
void recipe_table_free(struct recipe_table *);
/* No code that names a recipe is left. */
void recipe_table_clear(struct recipe_table *);
/* Time to throw all code away and clear the table. */
bool recipe_table_full(const struct recipe_table *);
/* The number (not 0) of this recipe. */
uint32_t recipe_number(struct recipe_table *, const struct recipe *);

/* Do the parts in `have` (RP_BIT) determine the flags of operation op? */
bool recipe_suffices(enum flags_kind kind, enum ir_op op, unsigned have);
/* c->flags = the arithmetic flags, by recipe n, or, if n is 0, by what c->flags holds. */
void recipe_resolve(const struct recipe_table *, struct cpu *c, uint32_t n);

#endif
