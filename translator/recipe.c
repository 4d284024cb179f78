/*
 * recipe.c - see recipe.h.
 *
 * Which parts suffice: x86's additions and subtractions can be undone, so that
 * two of result and operands give the third; logic needs the result alone.
 */
#include "translator/recipe.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "translator/alu.h"

#define FULL (1u << 20)         /* recipes; the largest block adds far fewer than as many again */

struct recipe_table {
    struct recipe *recipe;      /* [0] is not used */
    uint32_t n, cap;
    uint32_t *hash;             /* open addressing, 0: empty; 2 * cap entries */
};

static void *must(void *p)
{
    if (!p)
        die(EXIT_CODE_HOST, "out of memory");
    return p;
}

static uint32_t hash_of(const struct recipe *r)
{
    uint64_t h = 0, w[sizeof *r / 8];
    _Static_assert(sizeof *r % 8 == 0 && sizeof *r == 8 + 12 * RP_COUNT, "no padding that could differ");
    memcpy(w, r, sizeof w);
    for (unsigned k = 0; k < sizeof w / sizeof *w; k++)
        h = (h ^ w[k]) * 0x9e3779b97f4a7c15u, h ^= h >> 32;
    return (uint32_t)h;
}

/* Where recipe r is in the hash table, or would be. */
static uint32_t *place(const struct recipe_table *t, const struct recipe *r)
{
    uint32_t mask = 2 * t->cap - 1, k = hash_of(r) & mask;
    while (t->hash[k] && memcmp(&t->recipe[t->hash[k]], r, sizeof *r) != 0)
        k = (k + 1) & mask;
    return &t->hash[k];
}

static void size_to(struct recipe_table *t, uint32_t cap)
{
    t->cap = cap;
    t->recipe = must(realloc(t->recipe, cap * sizeof *t->recipe));
    free(t->hash);
    t->hash = must(calloc(2 * cap, sizeof *t->hash));
    for (uint32_t k = 1; k < t->n; k++)
        *place(t, &t->recipe[k]) = k;
}

struct recipe_table *recipe_table_new(void)
{
    struct recipe_table *t = must(calloc(1, sizeof *t));
    t->n = 1;
    size_to(t, 1024);
    return t;
}

void recipe_table_free(struct recipe_table *t)
{
    if (!t)
        return;
    free(t->recipe);
    free(t->hash);
    free(t);
}

void recipe_table_clear(struct recipe_table *t)
{
    t->n = 1;
    memset(t->hash, 0, 2 * t->cap * sizeof *t->hash);
}

bool recipe_table_full(const struct recipe_table *t)
{
    return t->n >= FULL;
}

uint32_t recipe_number(struct recipe_table *t, const struct recipe *r)
{
    uint32_t *p = place(t, r);
    if (*p)
        return *p;
    if (t->n == t->cap) {
        size_to(t, 2 * t->cap);
        p = place(t, r);
    }
    t->recipe[t->n] = *r;
    return *p = t->n++;
}

bool recipe_suffices(enum flags_kind kind, enum ir_op op, unsigned have)
{
    bool r = have & RP_BIT(RP_R), a = have & RP_BIT(RP_A), b = have & RP_BIT(RP_B), c = have & RP_BIT(RP_C);
    switch (op) {
    case IR_ADD: case IR_SUB:
        return r + a + b >= 2;
    case IR_NEG:
        return r || a;
    case IR_AND: case IR_OR: case IR_XOR:
        return r || (a && b);
    case IR_ADC: case IR_SBB: case IR_RCL: case IR_RCR:         /* the carry that went in is not kept */
        return r && a && b;
    case IR_SHLD: case IR_SHRD:
        return a && b && c;
    case IR_BIT:
        return r || (a && b);
    case IR_CTZ: case IR_CLZ: case IR_POPCNT:
        return a;
    default:                                                    /* shifts, rotations, products */
        return a && b && kind < FK_COUNT;
    }
}

static uint64_t part(const struct cpu *c, const struct recipe *r, unsigned p, enum ir_type t)
{
    uint64_t v = 0;
    if (r->off[p] > RECIPE_CONST)
        memcpy(&v, (const char *)c + r->off[p], 8);
    return (v + (uint64_t)r->imm[p]) & type_mask(t);
}

/* The value of c->flags, or of a copy of it, as flags. */
static uint32_t flags_of(const struct recipe_table *t, const struct cpu *c, uint64_t v);

static uint32_t cook(const struct recipe_table *t, const struct cpu *c, uint32_t n)
{
    const struct recipe *i = &t->recipe[n];
    enum ir_op op = (enum ir_op)i->op;
    enum ir_type type = (enum ir_type)i->type;
    uint64_t m = type_mask(type);
    if (i->kind == FK_COUNT)
        return flags_of(t, c, part(c, i, RP_R, TY_I64));
    bool shift = op >= IR_SHL && op <= IR_RCR, dbl = op == IR_SHLD || op == IR_SHRD;
    uint64_t r = part(c, i, RP_R, type), a = part(c, i, RP_A, type);
    uint64_t b = part(c, i, RP_B, shift ? TY_I8 : type), z = part(c, i, RP_C, dbl ? TY_I8 : type);
    if (!i->off[RP_A] && (op == IR_ADD || op == IR_SUB))
        a = (op == IR_ADD ? r - b : r + b) & m;
    else if (!i->off[RP_A] && op == IR_NEG)
        a = -r & m;
    else if (!i->off[RP_B] && (op == IR_ADD || op == IR_SUB))
        b = (op == IR_ADD ? r - a : a - r) & m;
    if (!i->off[RP_R])
        r = ir_alu(op, type, type, a, b, z, 0);
    uint32_t old = i->old ? cook(t, c, i->old) : 0;
    return cc_of_op((enum flags_kind)i->kind, op, type, r, a, b, z, old);
}

static uint32_t flags_of(const struct recipe_table *t, const struct cpu *c, uint64_t v)
{
    uint32_t n = (uint32_t)~v;
    if ((int64_t)v >= 0)
        return (uint32_t)v & FL_ARITH;
    return n > 0 && n < t->n ? cook(t, c, n) : 0;
}

void recipe_resolve(const struct recipe_table *t, struct cpu *c, uint32_t n)
{
    c->flags = n ? cook(t, c, n) : flags_of(t, c, c->flags);
}
