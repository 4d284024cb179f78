/*
 * opt_probe.c - accesses off the same base share one address check.
 *
 * A complete LD or ST looks its page up in the TLB each time.  Accesses whose
 * addresses differ by constants mostly lie in one page: the first of them gets a
 * PROBE for the whole range in front, which yields delta (host - linear), and all
 * of them become bare LOADs and STOREs of the PROBE's address + delta + a constant.  If the range is not
 * one plain page - it crosses, is absent, is a device - the PROBE leaves with the
 * state of its guest instruction's start, and the run loop goes on in the variant
 * of the code that shares nothing (M_NOSHARE).  So the PROBE itself never faults,
 * and does not have to be reached by the access that asked for more range: it
 * only says what is true of the whole page.
 *
 * Write and read permission differ (read-only and copy-on-write pages): reads may
 * use a write probe, writes never a read probe, and a read never asks for write
 * permission except as the first half of a read-modify-write (MEM_WRITE).
 *
 * How far may a range reach?  A range of s bytes at random crosses a page once in
 * 4096 / s times, which costs some 100 ns, against about 1.5 ns gained by each
 * access that needs no check of its own: so 64 bytes per access saved.
 *
 * The first access of a group has a NOP in front, where the PROBE goes when a second
 * one joins.  Only helpers can change the mapping (OUT may move the A20 gate); those
 * that can end all groups (opt_call()).
 *
 * Of addresses relative to RIP it is known which page they are in, seen from that of the code: all in
 * the same one share a PROBE, however far apart.
 *
 * In 32-bit code addresses are ZEXT(base + displacement mod 2^32): within one
 * page no wrap can lie between two of them, so the PROBE's success proves that
 * differences of displacements are differences of addresses.
 */
#include "translator/opt.h"

#define SPAN_PER_SAVED 64
#define SPAN_MAX 2048
#define SPAN_PAGE 4096          /* of the guest */

/* The base of an address relative to RIP is the page of the code. */
static bool off_code(const struct opt_addr *s)
{
    return !s->a;
}

static struct opt_addr resolve(const struct ir_block *b, ir_ref r, uint64_t off)
{
    struct opt_addr s = { .a = r, .off = off };
    enum ir_type t = TY_I64;
    if (off == 0 && b->ins[r].op == IR_ZEXT && b->ins[b->ins[r].a].type == TY_I32) {
        s.a = b->ins[r].a;
        s.narrow = true;
        t = TY_I32;
    }
    for (;;) {
        const struct ir_ins *x = &b->ins[s.a];
        if (x->type != t)
            break;
        if (x->op == IR_PC && t == TY_I64 && !ir_hole_of(x->imm)) {
            s.off += (uint64_t)x->imm;
            s.a = IR_NONE;
            break;
        }
        if (x->op == IR_EA && x->a && !x->b) {
            s.off += (uint64_t)x->imm;
        } else if (x->op == IR_ADD && ir_is_const(b, x->b)) {
            s.off += (uint64_t)b->ins[x->b].imm;
        } else if (x->op == IR_SUB && ir_is_const(b, x->b)) {
            s.off -= (uint64_t)b->ins[x->b].imm;
        } else {
            if (x->op == IR_EA && x->a) {
                s.off += (uint64_t)x->imm;
                s.a = x->a;
                s.b = x->b;
                s.scale = (uint8_t)x->aux;
            }
            break;
        }
        s.a = x->a;
    }
    return s;
}

static unsigned access_size(const struct ir_ins *n)
{
    return n->op == IR_LDV || n->op == IR_STV ? n->aux & MEM_SIZE : type_bytes((enum ir_type)n->type);
}

/* LD a, imm -> LOAD delta, base, off; ST a, v -> STORE delta, base, v. */
static void to_bare(struct ir_ins *n, ir_ref delta, ir_ref base, int64_t off)
{
    static const uint8_t bare[] = { [IR_LD - IR_LD] = IR_LOAD, [IR_ST - IR_LD] = IR_STORE,
                                    [IR_LDV - IR_LD] = IR_LOADV, [IR_STV - IR_LD] = IR_STOREV };
    n->op = bare[n->op - IR_LD];
    n->c = n->b;
    n->b = base;
    n->a = delta;
    n->imm = off;
}

/* May the range of g become lo to hi, with one access more? */
static bool reaches(const struct opt_group *g, int64_t lo, int64_t hi)
{
    int64_t base = (int64_t)g->base.off;
    if (off_code(&g->base))
        return ((base + lo) & -SPAN_PAGE) == ((base + hi - 1) & -SPAN_PAGE);
    return hi - lo <= SPAN_MAX && hi - lo <= SPAN_PER_SAVED * (int64_t)g->count;
}

/* Can the access n, at address s, join g?  Then it does. */
static bool join(struct ir_block *b, struct opt_group *g, const struct opt_addr *s, struct ir_ins *n, bool write)
{
    struct ir_ins *p = &b->ins[g->hole];
    int64_t lo = (int64_t)(s->off - g->base.off), hi;
    if (g->base.a != s->a || g->base.b != s->b || g->base.scale != s->scale ||
        g->base.narrow != s->narrow || g->idx != (n->aux & MEM_IDX) || (write && !g->write) ||
        lo < -SPAN_PAGE || lo > SPAN_PAGE)
        return false;
    hi = lo + access_size(n);
    lo = lo < g->lo ? lo : g->lo;
    hi = hi > g->hi ? hi : g->hi;
    if (!reaches(g, lo, hi))
        return false;
    if (g->count++ == 1) {
        *p = (struct ir_ins) { .op = IR_PROBE, .type = TY_I64, .a = b->ins[g->first].a,
                               .aux = (uint16_t)(g->idx | (g->write ? MEM_WRITE : 0)) };
        int64_t at = b->ins[g->first].imm;
        to_bare(&b->ins[g->first], g->hole, p->a, at);
        g->base.off -= (uint64_t)at;      /* from now on relative to the PROBE's operand */
        lo += at;
        hi += at;
    }
    g->lo = (int32_t)lo;
    g->hi = (int32_t)hi;
    p->imm = PROBE_IMM(g->lo, g->hi - g->lo);
    to_bare(n, g->hole, p->a, (int64_t)(s->off - g->base.off));
    return true;
}

ir_ref opt_access(struct ir_block *b, struct ir_ins *n)
{
    struct opt_state *f = b->opt;
    if ((n->aux & (MEM_ALIGN | MEM_AC)) || (b->mode & (M_NOSHARE | M_ONE | M_AC)))
        return ir_append(b, n);
    bool write = n->op == IR_ST || n->op == IR_STV || (n->aux & MEM_WRITE);
    struct opt_addr s = resolve(b, n->a, (uint64_t)n->imm);
    for (unsigned k = 0; k < f->ngroups; k++)
        if (join(b, &f->group[k], &s, n, write))
            return ir_append(b, n);
    struct opt_group *g = f->ngroups < OPT_GROUPS ? &f->group[f->ngroups++] : &f->group[f->oldest++ % OPT_GROUPS];
    *g = (struct opt_group) { .base = s, .hi = (int32_t)access_size(n), .count = 1, .idx = n->aux & MEM_IDX,
                              .write = write };
    g->hole = ir_append(b, &(struct ir_ins) { .op = IR_NOP });
    return g->first = ir_append(b, n);
}
