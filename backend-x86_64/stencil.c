/*
 * stencil.c - blocks put together from stencils: code made once for a form of
 * instruction, copied for each instruction of that form.
 *
 * A stencil is the code emit.c makes of an IR block whose last EXIT has no code
 * (EXIT_FALL), and the fields in it that depend on where it is put, or on numbers
 * the instruction brings: the assembler notes them while it writes (struct
 * as_notes).  Copying means two memcpy()s and a few additions.
 *
 *      hot     straight way of the stencils, one behind the other
 *      cold    their slow paths and stubs, in the same order
 *
 * so a rel32 from one part to the other, or to a thunk, is to be set anew; one
 * within a part stays.
 */
#include <assert.h>
#include <stdlib.h>

#include "backend-x86_64/emit.h"
#include "base/log.h"

const bool backend_has_stencils = true;

enum fix_kind { FIX_HOLE, FIX_TO_HOT, FIX_TO_COLD, FIX_THUNK };

struct fix {
    uint16_t at;                /* offset of the field; PLACE_COLD: in the cold part */
    uint16_t kind;              /* enum fix_kind */
    uint32_t arg;               /* hole; offset of the target; thunk: offset in code memory */
};

/* Offsets in a stencil are 15 bits and the part. */
#define PLACE_COLD 0x8000u

/* host_exit and host_fault, as small as they can be: stencils fill the host's caches. */
struct stencil_exit {
    uint16_t jump, key_from, key_to, stub_ra;
    uint16_t aux;
    int16_t pc;                 /* relative to the start, or TARGET */
};
struct stencil_fault {
    uint16_t ra;
    int16_t pc;
};

/* Behind it lie hot code, cold code (each padded to whole words), fixes, exits, faults. */
struct host_stencil {
    uint16_t size, cold_size;
    uint8_t nfix, nexits, nfaults;
    bool hostf;
};

#define SCRATCH 16384u          /* bytes for a stencil being made, each part */
#define TARGET INT16_MIN
#define EXITS_MAX 4u

/* The block being put together. */
struct copy {
    uint8_t scratch[2 * SCRATCH];
    struct host_block made;     /* of the stencil being made */
    uint8_t begin[24];          /* what every block begins with: 8-byte words of code ... */
    unsigned attn, hot, heat;   /* ... and where its fields are */
    uint8_t *start, *cold_start;
    int32_t pc;                 /* where it begins */
    uint8_t *hot_p, *cold;      /* where the next stencil goes */
    struct host_block *out;
    unsigned ncold;             /* faults of the cold part: they go behind those of the hot one */
    struct host_fault fault[BACKEND_MAX_FAULTS];
};

/*
 *      cmp  dword [attn], 0
 *      jne  attn stub
 *      sub  dword [heat], 1
 *      js   hot stub
 */
static void make_begin(struct copy *k)
{
    uint8_t code[sizeof k->begin + 8];
    struct as as = { .p = code, .notes = NULL }, *a = &as;
    as_rm(a, 0x83, false, 7, hm_cpu(CPU_OFF(attn)));
    as_b(a, 0);
    k->attn = (unsigned)(as_jcc(a, CC_NZ) - code);
    as_rm(a, 0x83, false, 5, hm_cpu(HEAT_OFF));
    k->heat = (unsigned)(a->p - code) - 4;
    as_b(a, 1);
    k->hot = (unsigned)(as_jcc(a, CC_S) - code);
    assert(a->p == code + sizeof k->begin);
    memcpy(k->begin, code, sizeof k->begin);
}

static struct copy *copy_of(struct backend *be)
{
    if (!be->copy) {
        be->copy = malloc(sizeof *be->copy);
        if (!be->copy)
            die(EXIT_CODE_HOST, "out of memory");
        make_begin(be->copy);
    }
    return be->copy;
}

void stencil_copy_free(struct backend *be)
{
    free(be->copy);
}

/* Where the noted field is and what it depends on; false: on nothing, it can stay as it is. */
static bool fix_of(const struct backend *be, const struct copy *k, const struct as_note *n, struct fix *f)
{
    const uint8_t *hot = k->scratch, *cold = k->scratch + SCRATCH;
    bool in_cold = n->at >= cold;
    f->at = (uint16_t)(in_cold ? (unsigned)(n->at - cold) | PLACE_COLD : (unsigned)(n->at - hot));
    if (n->hole) {
        f->kind = FIX_HOLE;
        f->arg = n->hole;
        return true;
    }
    bool scratch = n->to >= hot && n->to < hot + 2 * SCRATCH;
    f->kind = !scratch ? FIX_THUNK : n->to >= cold ? FIX_TO_COLD : FIX_TO_HOT;
    f->arg = (uint32_t)(n->to - (!scratch ? be->rw : n->to >= cold ? cold : hot));
    return !scratch || (f->kind == FIX_TO_COLD) != in_cold;
}

static uint16_t place(uint32_t off)
{
    return (uint16_t)(off < SCRATCH ? off : (off - SCRATCH) | PLACE_COLD);
}

static unsigned words(unsigned bytes)
{
    return (bytes + 7) & ~7u;
}

uint32_t backend_stencil(struct backend *be, const struct ir_block *b, int64_t target, struct host_stencil *s)
{
    struct copy *k = copy_of(be);
    struct host_block *out = &k->made;
    if (backend_bound(b) > SCRATCH)
        return 0;
    struct emit *e = emit_begin(be, b, k->scratch, true, out);
    emit_ops(e);
    bool hostf = e->ef && e->ef == e->arch;
    emit_cold(e, k->scratch + SCRATCH);
    bool can = e->h.notes.n <= AS_NOTES && out->nexits <= EXITS_MAX && out->nfaults < 256;
    for (unsigned i = 0; i < out->nfaults; i++)
        can = can && !out->fault[i].recipe;
    if (!can)
        return 0;
    *s = (struct host_stencil){ .size = (uint16_t)out->size, .cold_size = (uint16_t)out->cold_size,
                                .nexits = (uint8_t)out->nexits, .nfaults = (uint8_t)out->nfaults,
                                .hostf = hostf };
    uint8_t *p = (uint8_t *)(s + 1);
    memcpy(p, k->scratch, words(out->size));
    p += words(out->size);
    memcpy(p, k->scratch + SCRATCH, words(out->cold_size));
    p += words(out->cold_size);
    for (unsigned i = 0; i < e->h.notes.n; i++) {
        struct fix f;
        if (!fix_of(be, k, &e->h.notes.note[i], &f))
            continue;
        memcpy(p, &f, sizeof f);
        p += sizeof f;
        s->nfix++;
    }
    for (unsigned i = 0; i < s->nexits; i++) {
        const struct host_exit *x = &out->exit[i];
        struct stencil_exit n = { place(x->jump), place(x->key_from), place(x->key_to), place(x->stub_ra),
                                  x->aux, (int16_t)(x->pc == target ? TARGET : x->pc - b->start) };
        memcpy(p, &n, sizeof n);
        p += sizeof n;
    }
    for (unsigned i = 0; i < s->nfaults; i++) { /* of a stub, the PC is that of its exit: not asked for */
        const struct host_fault *f = &out->fault[i];
        struct stencil_fault n = { place(f->ra), (int16_t)(f->pc == target ? 0 : f->pc - (int32_t)b->start) };
        memcpy(p, &n, sizeof n);
        p += sizeof n;
    }
    assert(p <= (uint8_t *)s + BACKEND_STENCIL_MAX);
    return words((unsigned)(p - (uint8_t *)s));
}

bool backend_stencil_hostf(const struct host_stencil *s)
{
    return s->hostf;
}

uint32_t backend_stencil_bound(const struct host_stencil *s)
{
    return (s->size > s->cold_size ? s->size : s->cold_size) + 16u;
}

/* ---- copying ---- */

static inline void add32(uint8_t *at, int32_t v)
{
    uint32_t x;
    memcpy(&x, at, 4);
    x += (uint32_t)v;
    memcpy(at, &x, 4);
}

void backend_copy_begin(struct backend *be, uint8_t *rw, uint8_t *cold, int32_t pc, unsigned heat,
                        struct host_block *out)
{
    struct copy *k = copy_of(be);
    k->start = rw;
    k->cold_start = cold;
    k->out = out;
    out->nexits = out->nfaults = out->nmarks = 0;
    k->pc = pc;
    memcpy(rw, k->begin, sizeof k->begin);
    add32(rw + k->heat, (int32_t)(4 * heat));
    for (unsigned i = 0; i < 2; i++, cold += 5) {
        as_set_rel(rw + (i ? k->hot : k->attn), cold);
        *cold = 0xe8;
        as_set_rel(cold + 1, i ? be->hot : be->attn);
        k->fault[i] = (struct host_fault){ (uint32_t)(cold + 5 - rw), pc, 0 };
    }
    k->ncold = 2;
    k->cold = cold;
    k->hot_p = rw + sizeof k->begin;
}

/* Code in whole words: what is too much will be overwritten, or nobody reads it. */
static inline void copy_code(uint8_t *to, const uint8_t *from, unsigned n)
{
    for (unsigned i = 0; i < n; i += 8)
        memcpy(to + i, from + i, 8);
}

void backend_copy(struct backend *be, const struct host_stencil *s, const struct stencil_site *site)
{
    struct copy *k = be->copy;
    struct host_block *out = k->out;
    uint8_t *const part[2] = { k->hot_p, k->cold };
    const uint32_t off[2] = { (uint32_t)(part[0] - k->start), (uint32_t)(part[1] - k->start) };
#define PART(place) ((place) >> 15)
#define AT(place) (off[PART(place)] + ((place) & 0x7fffu))
    const uint8_t *p = (const uint8_t *)(s + 1);
    int32_t pc[EXITS_MAX];
    host_mark(out, off[0], (int64_t)site->pc - k->pc);
    copy_code(part[0], p, s->size);
    p += words(s->size);
    copy_code(part[1], p, s->cold_size);
    p += words(s->cold_size);
    const struct fix *fix = (const struct fix *)(const void *)p;
    const struct stencil_exit *exit = (const struct stencil_exit *)(const void *)(fix + s->nfix);
    const struct stencil_fault *fault = (const struct stencil_fault *)(const void *)(exit + s->nexits);
    for (unsigned i = 0; i < s->nexits; i++) {
        const struct stencil_exit *x = &exit[i];
        pc[i] = x->pc == TARGET ? site->target : site->pc + x->pc;
        out->exit[out->nexits++] = (struct host_exit){ .jump = AT(x->jump), .key_from = AT(x->key_from),
                                                       .key_to = AT(x->key_to), .stub_ra = AT(x->stub_ra),
                                                       .pc = pc[i], .aux = x->aux };
    }
    for (unsigned i = 0; i < s->nfix; i++) {
        const struct fix *f = &fix[i];
        uint8_t *at = part[PART(f->at)] + (f->at & 0x7fffu);
        switch (f->kind) {
        case FIX_HOLE:
            if (f->arg < HOLE_COUNT) {
                add32(at, site->hole[f->arg]);
            } else {
                unsigned n = f->arg - HOLE_COUNT;
                add32(at, n & 1 ? pc[n / 2] & -4096 : pc[n / 2]);
            }
            break;
        case FIX_TO_HOT:
            as_set_rel(at, part[0] + f->arg);
            break;
        case FIX_TO_COLD:
            as_set_rel(at, part[1] + f->arg);
            break;
        default:
            as_set_rel(at, be->rw + f->arg);
        }
    }
    for (unsigned i = 0; i < s->nfaults; i++) {
        struct host_fault f = { AT(fault[i].ra), fault[i].pc + site->pc, 0 };
        if (PART(fault[i].ra))
            k->fault[k->ncold++] = f;
        else
            out->fault[out->nfaults++] = f;
    }
#undef PART
#undef AT
    k->hot_p = part[0] + s->size;
    k->cold = part[1] + s->cold_size;
}

void backend_copy_end(struct backend *be)
{
    struct copy *k = be->copy;
    struct host_block *out = k->out;
    assert(out->nfaults + k->ncold <= BACKEND_MAX_FAULTS);
    memcpy(out->fault + out->nfaults, k->fault, k->ncold * sizeof *k->fault);
    out->nfaults = (uint16_t)(out->nfaults + k->ncold);
    out->size = (uint32_t)(k->hot_p - k->start);
    out->cold_size = (uint32_t)(k->cold - k->cold_start);
}
