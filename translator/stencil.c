/*
 * stencil.c - see stencil.h.
 *
 * Two tables.  One knows the forms by their bytes: what is the same for all
 * instructions of a form, and its stencils.  The other has the stencils of forms
 * with an immediate that is no mere operand, one for each value.  All stencils lie
 * in one piece of memory; when that is full, everything is forgotten, since nothing
 * refers to a stencil once it has been copied.
 *
 * Tables and stencils compete with the guest for the host's caches, and waiting for
 * memory is most of the work.  Hence numbers instead of pointers, and forms of one
 * cache line; and hence three walks over a block: the first finds out where its
 * instructions lie, from the hash table alone, and asks for the lines of their forms;
 * the second looks at these, and asks for those of the stencils; the third copies.
 */
#include "translator/stencil.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "frontend/cpu_model.h"
#include "frontend/form.h"

#define BLOCK_INSNS 32          /* at most, in a block of stencils */
#define MEMORY (12u << 20)      /* bytes of stencils */
#define FORMS (1u << 15)        /* of forms and of values, each */
#define VALUES (1u << 13)
/* Displacements at the ends of the 32 bits are left alone: stencils add small numbers to them. */
#define DISP_MAX (INT32_MAX - 4096)

typedef uint32_t stencil_ref;   /* 8-byte words from the start of the memory; 0: none */

#define HOWS 8                  /* combinations of FORM_CROSS, FORM_MEM, FORM_HOSTF */

struct form {
    uint64_t bytes;             /* the key, with mode */
    uint32_t mode;
    uint8_t key_len;
    bool fit;                   /* there are stencils for it */
    bool ends;                  /* it ends the block */
    bool no_hostf;              /* its flags are not in the host's flags at its end */
    bool by_value;              /* its stencils are in the other table */
    struct form_info info;
    stencil_ref made[HOWS];
};
_Static_assert(sizeof(struct form) <= 64, "one cache line");

/* An entry of the forms' hash table: what the first walk must know. */
struct form_at {
    uint16_t form;              /* 0: empty */
    uint8_t len;                /* of the instruction */
    uint8_t stop;               /* STOP_*: the walk does */
    uint32_t tag;               /* of the key: most others are not looked at */
};
enum { STOP_NOT, STOP_BEHIND, STOP_BEFORE };

struct value {
    uint64_t imm;
    uint32_t form, how;
    stencil_ref made;           /* 0: the entry is empty */
};

/* A stencil, and what fills its holes. */
struct step {
    const struct host_stencil *s;
    struct stencil_site site;
};

/* What the scan found at one place. */
struct found {
    struct form *f;
    uint64_t bytes;             /* of the form it should be */
    int32_t pc, disp, target;
    int64_t imm;
    bool cross;
};

struct stencils {
    struct backend *be;
    struct ir_block ir;
    uint64_t *mem;
    uint32_t used;              /* words of it */
    struct form *form;          /* [0] is not used */
    uint32_t nforms;
    struct form_at *form_at;    /* hash table, open addressing */
    struct value *value;        /* the same of values */
    uint32_t nvalues;
    stencil_ref leave;          /* EXIT to the next instruction, in the same page */
    uint64_t made, known;
    struct found found[BLOCK_INSNS];
    struct step step[BLOCK_INSNS + 1];
    unsigned nsteps;
    int32_t pc;                 /* of the block */
};

static void *must(void *p)
{
    if (!p)
        die(EXIT_CODE_HOST, "out of memory");
    return p;
}

static void forget(struct stencils *t)
{
    memset(t->form_at, 0, 2 * FORMS * sizeof *t->form_at);
    memset(t->value, 0, 2 * VALUES * sizeof *t->value);
    t->nforms = t->used = 1;
    t->nvalues = 0;
    t->leave = 0;
}

struct stencils *stencils_new(struct backend *be)
{
    struct stencils *t = must(calloc(1, sizeof *t));
    t->be = be;
    ir_init(&t->ir);
    t->mem = must(malloc(MEMORY));
    t->form = must(aligned_alloc(64, FORMS * sizeof *t->form));
    t->form_at = must(malloc(2 * FORMS * sizeof *t->form_at));
    t->value = must(malloc(2 * VALUES * sizeof *t->value));
    forget(t);
    return t;
}

void stencils_free(struct stencils *t)
{
    if (!t)
        return;
    free(t->mem);
    free(t->form);
    free(t->form_at);
    free(t->value);
    ir_free(&t->ir);
    free(t);
}

void stencils_count(const struct stencils *t, uint64_t *forms, uint64_t *made)
{
    *forms = t->known;
    *made = t->made;
}

/* Would a block perhaps find no room for what it adds? */
static bool full(const struct stencils *t)
{
    return (size_t)t->used * 8 + 2 * BACKEND_STENCIL_MAX > MEMORY || t->nforms + BLOCK_INSNS > FORMS ||
           t->nvalues + BLOCK_INSNS > VALUES;
}

/* ---- making them ---- */

static struct host_stencil *at(const struct stencils *t, stencil_ref r)
{
    return (struct host_stencil *)(void *)(t->mem + r);
}

/* Of what has been lifted into t->ir; 0: it cannot be copied. */
static stencil_ref make(struct stencils *t, unsigned how)
{
    stencil_ref r = t->used;
    if ((size_t)r * 8 + BACKEND_STENCIL_MAX > MEMORY)
        return 0;
    ir_optimize(&t->ir, NULL);
    uint32_t n = backend_stencil(t->be, &t->ir, how & FORM_CROSS ? FORM_TARGET_CROSS : FORM_TARGET, at(t, r));
    t->used += n / 8;
    t->made += n != 0;
    return n ? r : 0;
}

/* ---- the tables ---- */

static uint64_t form_hash(uint64_t bytes, uint32_t mode)
{
    return (bytes ^ (uint64_t)mode << 17) * 0x9e3779b97f4a7c15u;
}

/* The form's entry, or the one for it to be put in. */
static struct form_at *form_place(const struct stencils *t, uint64_t bytes, uint32_t mode)
{
    uint64_t h = form_hash(bytes, mode);
    for (uint64_t i = h >> 40;; i++) {
        struct form_at *p = &t->form_at[i & (2 * FORMS - 1)];
        const struct form *f = &t->form[p->form];
        if (!p->form || (p->tag == (uint32_t)h && f->bytes == bytes && f->mode == mode))
            return p;
    }
}

/* The same, by its tag alone. */
static const struct form_at *form_guess(const struct stencils *t, uint64_t bytes, uint32_t mode)
{
    uint64_t h = form_hash(bytes, mode);
    for (uint64_t i = h >> 40;; i++) {
        const struct form_at *p = &t->form_at[i & (2 * FORMS - 1)];
        if (!p->form || p->tag == (uint32_t)h)
            return p;
    }
}

/* A form seen for the first time, at p. */
static const struct form_at *form_new(struct stencils *t, struct cpu *c, const uint8_t *p, uint32_t mode,
                                      const struct form_key *k, const struct lift_options *o)
{
    struct form_at *a = form_place(t, k->bytes, mode);
    struct form *f = &t->form[t->nforms];
    bool ends = false;
    *f = (struct form){ .bytes = k->bytes, .mode = mode, .key_len = (uint8_t)k->len };
    f->fit = form_info(p, mode, c->model ? c->model->feats : NULL, k, &f->info) &&
             lift_stencil(c, &t->ir, mode, o, p, &f->info, FORM_MEM, &ends);
    f->ends = ends;
    f->by_value = f->info.imm && !f->info.imm_hole && !f->info.rel;
    if (f->fit && !f->by_value && !f->info.writes_any && !f->info.rel) {        /* it has but this one */
        f->made[FORM_MEM] = make(t, FORM_MEM);
        f->fit = f->made[FORM_MEM];
    }
    t->known++;
    *a = (struct form_at){ .form = (uint16_t)t->nforms++, .len = f->info.len,
                           .tag = (uint32_t)form_hash(k->bytes, mode),
                           .stop = !f->fit ? STOP_BEFORE : f->ends ? STOP_BEHIND : STOP_NOT };
    return a;
}

static struct value *value_place(const struct stencils *t, uint64_t imm, uint32_t form, uint32_t how)
{
    uint64_t h = (imm ^ (uint64_t)form << 32 ^ how) * 0x9e3779b97f4a7c15u;
    for (uint32_t i = (uint32_t)(h >> 32);; i++) {
        struct value *p = &t->value[i & (2 * VALUES - 1)];
        if (!p->made || (p->imm == imm && p->form == form && p->how == how))
            return p;
    }
}

/* The stencil of x; 0: none. */
static stencil_ref stencil_of(struct stencils *t, struct cpu *c, const uint8_t *page,
                              const struct lift_options *o, const struct found *x, unsigned how)
{
    struct form *f = x->f;
    struct value *v = NULL;
    bool ends;
    if (f->by_value) {
        v = value_place(t, (uint64_t)x->imm, (uint32_t)(f - t->form), how);
        if (v->made)
            return v->made;
    } else if (f->made[how]) {
        return f->made[how];
    }
    if (!lift_stencil(c, &t->ir, f->mode, o, page + x->pc, &f->info, how, &ends) ||
        ends != f->ends)                        /* AAM 0 raises, others do not */
        return 0;
    stencil_ref r = make(t, how);
    if (r && v) {
        *v = (struct value){ (uint64_t)x->imm, (uint32_t)(f - t->form), how, r };
        t->nvalues++;
    } else if (r) {
        f->made[how] = r;
    }
    return r;
}

/* ---- the plan ---- */

static int64_t take(const uint8_t *p, unsigned n)
{
    int64_t v = 0;
    switch (n) {
    case 0:
        return 0;
    case 1:
        return (int8_t)p[0];
    case 2:
        return (int16_t)(p[0] | p[1] << 8);
    case 4: {
        int32_t d;
        memcpy(&d, p, 4);
        return d;
    }
    default:
        memcpy(&v, p, 8);
        return v;
    }
}

/* Can a direct exit name it?  Not where it wraps around 4 GiB. */
static bool direct(const struct ir_block *b, int64_t pc)
{
    return (b->mode & M_CODE) == M_CODE64 || (b->lin & PAGE_MASK) + (uint64_t)pc <= 0xffffffff;
}

/* Where the instructions of the block lie; their number. */
static unsigned walk(struct stencils *t, struct cpu *c, const struct ir_block *b, const uint8_t *page,
                     const struct lift_options *o)
{
    unsigned n = 0, max = o->max_insns < BLOCK_INSNS ? o->max_insns : BLOCK_INSNS;
    for (unsigned off = b->start; n < max && off + FORM_BYTES <= PAGE_SIZE; n++) {
        struct form_key k;
        if (!form_scan(page + off, b->mode, &k))
            break;
        const struct form_at *a = form_guess(t, k.bytes, b->mode);
        if (!a->form)
            a = form_new(t, c, page + off, b->mode, &k, o);
        if (a->stop == STOP_BEFORE)
            break;
        __builtin_prefetch(&t->form[a->form]);
        t->found[n] = (struct found){ .f = &t->form[a->form], .bytes = k.bytes, .pc = (int32_t)off };
        off += a->len;
        if (a->stop == STOP_BEHIND)
            return n + 1;
    }
    return n;
}

/* The numbers of an instruction the walk has found; false: the block must end before it. */
static bool look(const struct ir_block *b, const uint8_t *page, struct found *x)
{
    const struct form *f = x->f;
    if (f->bytes != x->bytes || f->mode != b->mode)
        return false;                           /* another form with that tag: very rare */
    const struct form_info *i = &f->info;
    const uint8_t *p = page + x->pc + f->key_len;
    int64_t disp = take(p, i->disp), next = x->pc + i->len;
    x->imm = take(p + i->disp, i->imm);
    if (i->ip)
        disp += next;
    if (disp > DISP_MAX || disp < -DISP_MAX)
        return false;
    x->disp = (int32_t)disp;
    if (i->rel) {
        int64_t to = next + x->imm;
        if (to != (int32_t)to || !direct(b, to))
            return false;
        x->target = (int32_t)to;
        x->cross = to < 0 || to >= PAGE_SIZE;
    }
    return true;
}

static void add_step(struct stencils *t, stencil_ref s, const struct found *x)
{
    __builtin_prefetch(at(t, s));
    __builtin_prefetch((const char *)at(t, s) + 64);
    struct stencil_site site = { .pc = x->pc, .target = x->target,
                                 .hole = { [HOLE_DISP] = x->disp, [HOLE_IMM] = (int32_t)x->imm,
                                           [HOLE_PC] = x->pc } };
    t->step[t->nsteps++] = (struct step){ at(t, s), site };
}

/* Behind which of the n instructions found are flags needed? Bit k: number k; behind the block they are. */
static uint32_t flags_needed(const struct found *x, unsigned n)
{
    uint32_t need = 0;
    unsigned live = FLX_ALL;
    for (unsigned k = n; k-- > 0;) {
        const struct form_info *i = &x[k].f->info;
        if (live)
            need |= 1u << k;
        live = (live & ~(unsigned)i->writes) | i->reads;
        if (i->faults || i->rel || x[k].f->ends)
            live = FLX_ALL;
    }
    return need;
}

/*
 * A step for number k of the n found; *hostf: its flags are in the host's flags, and `in`: those of the one
 * before are.  The flags of a compare need not be stored if all that reads them is the condition behind it.
 */
static bool step_for(struct stencils *t, struct cpu *c, const uint8_t *page, const struct lift_options *o,
                     unsigned k, unsigned n, uint32_t need, bool *hostf)
{
    const struct found *x = &t->found[k];
    struct form *f = x->f;
    bool in = *hostf;
    unsigned how = (need >> k & 1) ? FORM_MEM : 0;
    *hostf = false;
    if (f->info.condition) {
        how = in ? how | FORM_HOSTF : FORM_MEM;
    } else if (!f->info.writes_any) {
        how = FORM_MEM;
    } else if (k + 1 < n && x[1].f->info.condition && !f->ends && !f->no_hostf) {
        unsigned want = (need >> (k + 1) & 1 ? FORM_MEM : 0) | FORM_HOSTF;
        stencil_ref s = stencil_of(t, c, page, o, x, want);
        if (s && backend_stencil_hostf(at(t, s))) {
            add_step(t, s, x);
            return *hostf = true;
        }
        f->no_hostf = true;
    }
    stencil_ref s = stencil_of(t, c, page, o, x, how | (x->cross ? FORM_CROSS : 0));
    if (s)
        add_step(t, s, x);
    return s;
}

bool stencils_plan(struct stencils *t, struct cpu *c, struct ir_block *b, const uint8_t *page,
                   const struct lift_options *o)
{
    unsigned n, all;
    bool hostf = false;
    if (full(t))
        forget(t);
    all = walk(t, c, b, page, o);
    for (n = 0; n < all && look(b, page, &t->found[n]);)
        n++;
    if (!n)
        return false;
    uint32_t need = flags_needed(t->found, n);
    t->nsteps = 0;
    t->pc = (int32_t)b->start;
    for (unsigned k = 0; k < n; k++)
        if (!step_for(t, c, page, o, k, n, need, &hostf))
            return false;
    const struct found *last = &t->found[n - 1];
    unsigned off = (unsigned)last->pc + last->f->info.len;
    if (!last->f->ends) {
        bool ends;
        if (!t->leave && lift_stencil(c, &t->ir, b->mode, o, NULL, NULL, 0, &ends))
            t->leave = make(t, 0);
        add_step(t, t->leave, &(struct found){ .pc = (int32_t)off, .target = (int32_t)off });
    }
    b->insns = (uint16_t)n;
    b->guest_len = (uint16_t)(off - b->start);
    b->nrange = 1;
    b->range[0] = (struct ir_range){ b->pa, b->guest_len };
    return true;
}

uint32_t stencils_bound(const struct stencils *t)
{
    uint32_t sum = BACKEND_STENCIL_BEGIN;
    for (unsigned k = 0; k < t->nsteps; k++)
        sum += backend_stencil_bound(t->step[k].s);
    return sum;
}

void stencils_copy(struct stencils *t, uint8_t *rw, uint8_t *cold, unsigned heat, struct host_block *out)
{
    backend_copy_begin(t->be, rw, cold, t->pc, heat, out);
    for (unsigned k = 0; k < t->nsteps; k++)
        backend_copy(t->be, t->step[k].s, &t->step[k].site);
    backend_copy_end(t->be);
}
