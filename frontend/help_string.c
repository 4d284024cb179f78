/*
 * help_string.c - repeated string instructions, a page at a time.
 *
 * A round handles the elements that lie in one directly usable run of host
 * memory on both sides, with the host's memmove/memset/memchr; where there is
 * none (devices, code pages, an element across a page, doubtful segment limits,
 * misalignment under #AC) it handles one element through the complete accesses.
 *
 * Invariant: the registers always describe what has been done, so a fault or an
 * early return restarts the instruction where it is.  SDM vol. 2, REP; vol. 1,
 * 7.3.9.3 (fast strings).
 */
#include <string.h>

#include "frontend/help.h"
#include "translator/ir.h"

/* Rounds between looks at c->attn would be unbounded without this: elements a round. */
#define ROUND_MAX (1u << 20)

struct rep {
    struct cpu *c;
    unsigned n;                 /* bytes an element */
    unsigned asize;
    uint64_t amask;
    bool down;                  /* DF */
    bool is64, one;
    unsigned aux;
    enum mmu_idx idx;
    uint64_t count;
    bool special;               /* something was stored the slow way: perhaps over code */
};

/* One side of the instruction: where it is now. */
struct side {
    unsigned reg, seg;
    bool write;
    uint64_t off, lin;
    uint8_t *host;              /* lowest byte of the round's run */
};

static void rep_init(struct rep *r, struct cpu *c, uint64_t how)
{
    r->c = c;
    r->n = how & REP_SIZE;
    r->asize = (how & REP_ASIZE) >> 4;
    r->amask = r->asize == 8 ? ~(uint64_t)0 : ((uint64_t)1 << 8 * r->asize) - 1;
    r->down = (c->eflags & FL_DF) != 0;
    r->is64 = (how & REP_64) != 0;
    r->one = (how & REP_ONE) != 0;
    r->aux = (unsigned)(how >> REP_AUX_SHIFT) & 0xffff;
    r->idx = MMU_AUX_IDX(r->aux);
    r->count = c->r[R_CX] & r->amask;
    r->special = false;
}

static void set_reg(struct rep *r, unsigned reg, uint64_t v)
{
    uint64_t *p = &r->c->r[reg];

    *p = r->asize == 2 ? (*p & ~(uint64_t)0xffff) | (v & 0xffff) : v & r->amask;
}

/* Elements [0, k) of this round are done. */
static void done(struct rep *r, struct side *s, struct side *d, uint64_t k)
{
    uint64_t by = r->down ? -(k * r->n) : k * r->n;

    r->count -= k;
    set_reg(r, R_CX, r->count);
    if (s)
        set_reg(r, s->reg, r->c->r[s->reg] + by);
    if (d)
        set_reg(r, d->reg, r->c->r[d->reg] + by);
}

/*
 * Locate the side's next element.  *k is cut to the elements that certainly lie
 * inside the segment and before the offset wraps.  True: faulted.
 */
static bool locate(struct rep *r, struct side *s, uint64_t *k)
{
    struct cpu *c = r->c;
    const struct seg *g = &c->seg[s->seg];
    uint64_t room;

    s->off = c->r[s->reg] & r->amask;
    if (r->down) {
        room = s->off / r->n + 1;
    } else {
        room = (r->amask - s->off) / r->n;
        if ((r->amask - s->off) % r->n == r->n - 1u)
            room++;
    }
    if (r->is64) {
        s->lin = s->off + (s->seg == SEG_FS || s->seg == SEG_GS ? g->base : 0);
    } else {
        uint64_t fast = s->write ? g->fast_w : g->fast_r;

        if (s->off + r->n <= fast) {
            if (!r->down && room > (fast - s->off) / r->n)
                room = (fast - s->off) / r->n;
        } else {
            if (help_segcheck(c, s->seg | (s->write ? SEGCHK_WRITE : 0), s->off, r->n))
                return true;
            room = 1;
        }
        s->lin = (g->base + s->off) & 0xffffffff;
    }
    if ((r->aux & MEM_AC) && (s->lin & (r->n - 1)))
        room = 1;
    if (!room)
        room = 1;
    if (*k > room)
        *k = room;
    return false;
}

/* Elements of [1, k] in one usable run; 0: use the complete access; -1 faulted. */
static long usable(struct rep *r, struct side *s, uint64_t k)
{
    unsigned n = r->n, in_page = (unsigned)s->lin & (PAGE_SIZE - 1);
    enum mmu_access acc = s->write ? ACC_WRITE : ACC_READ;
    uint64_t lin = s->lin, len;
    void *host;
    long got;

    if (((r->aux & MEM_AC) && (s->lin & (n - 1))) || in_page + n > PAGE_SIZE)
        return 0;
    if (r->down) {
        if (k > in_page / n + 1)
            k = in_page / n + 1;
        lin -= (k - 1) * n;
    } else if (k > (PAGE_SIZE - in_page) / n) {
        k = (PAGE_SIZE - in_page) / n;
    }
    len = k * n;
    got = mmu_span(r->c, lin, len, acc, r->idx, &host);
    if (got <= 0)
        return got;
    if ((uint64_t)got < len) {
        if (r->down)
            return 0;
        k = (uint64_t)got / n;
    }
    s->host = host;
    return (long)k;
}

/* The run of k elements may be shorter than the one located; downwards it ends at the same byte. */
static uint8_t *run_start(const struct rep *r, const struct side *s, long have, uint64_t k)
{
    return r->down ? s->host + ((uint64_t)have - k) * r->n : s->host;
}

/* Prepare a round on one or two sides: elements usable on all (0: one the slow way), -1 faulted. */
static long prepare(struct rep *r, struct side *s, struct side *d, uint64_t *k)
{
    long a = 0, b = 0;

    *k = r->one ? 1 : r->count < ROUND_MAX ? r->count : ROUND_MAX;
    if ((s && locate(r, s, k)) || (d && locate(r, d, k)))
        return -1;
    if (s && (a = usable(r, s, *k)) <= 0) {
        if (a < 0)
            return -1;
        *k = 1;
        return 0;
    }
    if (d && (b = usable(r, d, *k)) <= 0) {
        if (b < 0)
            return -1;
        *k = 1;
        return 0;
    }
    *k = (uint64_t)(s && d ? (a < b ? a : b) : s ? a : b);
    if (s)
        s->host = run_start(r, s, a, *k);
    if (d)
        d->host = run_start(r, d, b, *k);
    return (long)*k;
}

/* Leave to the same instruction after this round?  Something else may want the CPU. */
static bool pause_here(const struct rep *r)
{
    return r->one || __atomic_load_n(&r->c->attn, __ATOMIC_RELAXED);
}

static bool load1(struct rep *r, const struct side *s, void *v)
{
    return mmu_load_aux(r->c, s->lin, r->n, r->aux, v);
}

static bool store1(struct rep *r, const struct side *s, const void *v)
{
    r->special = true;
    return mmu_store_aux(r->c, s->lin, r->n, r->aux, v);
}

/* --- MOVS --- */

/*
 * Elements are copied one after the other, so a destination that starts inside
 * the source (in the direction of the copy) repeats a pattern.
 */
static void copy(uint8_t *d, const uint8_t *s, uint64_t len, unsigned n, bool down)
{
    uintptr_t ahead = down ? (uintptr_t)s - (uintptr_t)d : (uintptr_t)d - (uintptr_t)s;

    if (!ahead || ahead >= len) {
        memmove(d, s, len);
        return;
    }
    if (ahead >= n) {
        /* Pieces as long as the distance do not overlap with themselves. */
        uint64_t piece = ahead - ahead % n;

        for (uint64_t at = 0; at < len; at += piece) {
            uint64_t m = len - at < piece ? len - at : piece;

            if (down)
                memcpy(d + len - at - m, s + len - at - m, m);
            else
                memcpy(d + at, s + at, m);
        }
        return;
    }
    for (uint64_t at = 0; at < len; at += n) {
        uint64_t e = down ? len - at - n : at, v = 0;

        memcpy(&v, s + e, n);
        memcpy(d + e, &v, n);
    }
}

bool help_rep_movs(struct cpu *c, uint64_t how)
{
    struct rep r;
    struct side s = { .reg = R_SI, .seg = (how & REP_SEG) >> 8 };
    struct side d = { .reg = R_DI, .seg = SEG_ES, .write = true };

    rep_init(&r, c, how);
    while (r.count) {
        uint64_t k;
        uint8_t v[8];
        long got = prepare(&r, &s, &d, &k);

        if (got < 0)
            return true;
        if (got)
            copy(d.host, s.host, k * r.n, r.n, r.down);
        else if (load1(&r, &s, v) || store1(&r, &d, v))
            return true;
        done(&r, &s, &d, k);
        if (pause_here(&r))
            break;
    }
    c->hret = !r.count && (!r.special || r.one);
    return false;
}

/* --- STOS --- */

static void fill(uint8_t *d, uint64_t v, uint64_t k, unsigned n)
{
    uint8_t pat[8];

    for (unsigned b = 0; b < 8; b++)
        pat[b] = (uint8_t)(v >> 8 * (b % n));
    if (n == 1 || !memcmp(pat, pat + 1, 7)) {
        memset(d, pat[0], k * n);
        return;
    }
    for (; k && n < 8 && (k * n) % 8; k--, d += n)
        memcpy(d, pat, n);
    for (uint64_t b = 0; b < k * n; b += 8)
        memcpy(d + b, pat, 8);
}

bool help_rep_stos(struct cpu *c, uint64_t how)
{
    struct rep r;
    struct side d = { .reg = R_DI, .seg = SEG_ES, .write = true };

    rep_init(&r, c, how);
    while (r.count) {
        uint64_t k;
        long got = prepare(&r, NULL, &d, &k);

        if (got < 0)
            return true;
        if (got) {
            fill(d.host, c->r[R_AX], k, r.n);
        } else {
            uint8_t v[8];

            fill(v, c->r[R_AX], 1, r.n);
            if (store1(&r, &d, v))
                return true;
        }
        done(&r, NULL, &d, k);
        if (pause_here(&r))
            break;
    }
    c->hret = !r.count && (!r.special || r.one);
    return false;
}

/* --- LODS --- */

static uint64_t get(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;

    for (unsigned b = 0; b < n; b++)
        v |= (uint64_t)p[b] << 8 * b;
    return v;
}

static void set_acc(struct rep *r, uint64_t v)
{
    uint64_t *ax = &r->c->r[R_AX];
    uint64_t keep = r->n == 1 ? ~(uint64_t)0xff : r->n == 2 ? ~(uint64_t)0xffff : 0;

    *ax = (*ax & keep) | v;
}

bool help_rep_lods(struct cpu *c, uint64_t how)
{
    struct rep r;
    struct side s = { .reg = R_SI, .seg = (how & REP_SEG) >> 8 };

    rep_init(&r, c, how);
    while (r.count) {
        uint64_t k;
        uint8_t v[8];
        long got = prepare(&r, &s, NULL, &k);

        if (got < 0)
            return true;
        if (got)
            memcpy(v, r.down ? s.host : s.host + (k - 1) * r.n, r.n);
        else if (load1(&r, &s, v))
            return true;
        set_acc(&r, get(v, r.n));
        done(&r, &s, NULL, k);
        if (pause_here(&r))
            break;
    }
    c->hret = !r.count;
    return false;
}

/* --- CMPS, SCAS --- */

/* Length of the common prefix in bytes. */
static uint64_t same_bytes(const uint8_t *a, const uint8_t *b, uint64_t len)
{
    uint64_t at = 0;

    while (len - at >= 64 && !memcmp(a + at, b + at, 64))
        at += 64;
    while (at < len && a[at] == b[at])
        at++;
    return at;
}

static void compare_flags(struct rep *r, uint64_t x, uint64_t y)
{
    static const uint8_t types[9] = { [1] = TY_I8, [2] = TY_I16, [4] = TY_I32, [8] = TY_I64 };
    uint64_t mask = r->n == 8 ? ~(uint64_t)0 : ((uint64_t)1 << 8 * r->n) - 1;

    r->c->flags = cc_eval(FK_SUB, IR_SUB, (enum ir_type)types[r->n], (x - y) & mask, x, y, 0, 0);
}

/*
 * Compare k elements in order until one ends the instruction; returns how many
 * were looked at, *x and *y the last pair, *end whether it ended there.
 */
static uint64_t compare(const struct rep *r, const uint8_t *a, const uint8_t *b, uint64_t k, bool ne,
                        uint64_t *x, uint64_t *y, bool *end)
{
    uint64_t e = 0;

    *end = false;
    if (!ne && !r->down) {
        /* Straight to the element that differs, or the last one. */
        e = same_bytes(a, b, k * r->n) / r->n;
        if (e == k)
            e = k - 1;
    }
    for (; e < k; e++) {
        uint64_t at = (r->down ? k - 1 - e : e) * r->n;

        *x = get(a + at, r->n);
        *y = get(b + at, r->n);
        if ((*x == *y) == ne) {
            *end = true;
            return e + 1;
        }
    }
    return k;
}

bool help_rep_cmps(struct cpu *c, uint64_t how)
{
    struct rep r;
    struct side s = { .reg = R_SI, .seg = (how & REP_SEG) >> 8 };
    struct side d = { .reg = R_DI, .seg = SEG_ES };
    bool ne = (how & REP_NE) != 0, end = false, any = false;
    uint64_t x = 0, y = 0;

    rep_init(&r, c, how);
    while (r.count && !end) {
        uint64_t k;
        uint8_t v[8], w[8];
        long got = prepare(&r, &s, &d, &k);

        if (got < 0)
            return true;
        if (got) {
            k = compare(&r, s.host, d.host, k, ne, &x, &y, &end);
        } else {
            if (load1(&r, &s, v) || load1(&r, &d, w))
                return true;
            compare(&r, v, w, 1, ne, &x, &y, &end);
        }
        any = true;
        done(&r, &s, &d, k);
        if (pause_here(&r))
            break;
    }
    if (any)
        compare_flags(&r, x, y);
    c->hret = !r.count || end;
    return false;
}

/* The same against AL, AX, EAX or RAX. */
static uint64_t scan(const struct rep *r, const uint8_t *b, uint64_t k, bool ne, uint64_t x, uint64_t *y,
                     bool *end)
{
    uint64_t e = 0;

    *end = false;
    if (ne && !r->down && r->n == 1) {
        const uint8_t *p = memchr(b, (int)x, k);

        e = p ? (uint64_t)(p - b) : k - 1;
    }
    for (; e < k; e++) {
        *y = get(b + (r->down ? k - 1 - e : e) * r->n, r->n);
        if ((x == *y) == ne) {
            *end = true;
            return e + 1;
        }
    }
    return k;
}

bool help_rep_scas(struct cpu *c, uint64_t how)
{
    struct rep r;
    struct side d = { .reg = R_DI, .seg = SEG_ES };
    bool ne = (how & REP_NE) != 0, end = false, any = false;
    uint64_t x, y = 0;

    rep_init(&r, c, how);
    x = r.n == 8 ? c->r[R_AX] : c->r[R_AX] & (((uint64_t)1 << 8 * r.n) - 1);
    while (r.count && !end) {
        uint64_t k;
        uint8_t v[8];
        long got = prepare(&r, NULL, &d, &k);

        if (got < 0)
            return true;
        if (got) {
            k = scan(&r, d.host, k, ne, x, &y, &end);
        } else {
            if (load1(&r, &d, v))
                return true;
            scan(&r, v, 1, ne, x, &y, &end);
        }
        any = true;
        done(&r, NULL, &d, k);
        if (pause_here(&r))
            break;
    }
    if (any)
        compare_flags(&r, x, y);
    c->hret = !r.count || end;
    return false;
}
