/*
 * compare.c - what the CPU and Latimer made of an instance, side by side.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/hw/hw.h"

const char *const hw_row_ids[X86_COUNT] = {
#define K(kind) 0
#define X(id, ...) [X86_##id] = #id,
#include "frontend/x86.def"
#undef X
#undef K
};

static const char *const names[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                       "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" };

static void differs(struct hw_report *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void differs(struct hw_report *p, const char *fmt, ...)
{
    va_list a;

    p->failed = true;
    va_start(a, fmt);
    if (p->n < sizeof(p->text) - 200)
        p->n += (unsigned)vsnprintf(p->text + p->n, 200, fmt, a);
    va_end(a);
}

static uint32_t compared_flags(const struct hw_case *c, const struct hw_state *chip)
{
    return chip->vector >= 0 ? FL_ARITH | FL_DF : (FL_ARITH & ~c->undef_flags) | FL_DF;
}

void hw_mask(const struct hw_case *c, const struct hw_state *chip, bool pointers, struct hw_state *s)
{
    uint64_t flags = compared_flags(c, chip);

    s->flags = (s->flags & flags) | (c->in.flags & ~flags);
    /* DPPS, DPPD: which of their steps' flags an unmasked exception lets through is not documented. */
    if (chip->vector == EXC_XM && !strncmp(c->row->name, "dpp", 3))
        s->fx.mxcsr = c->in.fx.mxcsr;
    if (!pointers) {
        s->fx.fop = c->in.fx.fop;
        s->fx.fip = c->in.fx.fip;
        s->fx.fdp = c->in.fx.fdp;
    }
}

void hw_compare(struct hw_report *p, const struct hw_case *c, const struct hw_state *chip,
                const uint8_t *chip_data, const struct hw_state *us, const uint8_t *our_data)
{
    const struct hw_fx *in = &c->in.fx, *f, *g;
    struct hw_state a = *chip, b = *us;
    const char *who = p->chip;
    unsigned shown = 0;

    if (a.vector != b.vector) {
        differs(p, "  vector: %s %ld, latimer %ld\n", who, (long)a.vector, (long)b.vector);
        return;
    }
    hw_mask(c, chip, p->pointers, &a);
    hw_mask(c, chip, p->pointers, &b);
    f = &a.fx;
    g = &b.fx;
    if (a.vector < 0 && a.rip != b.rip)
        differs(p, "  rip: %s %lx, latimer %lx\n", who, (long)a.rip, (long)b.rip);
    for (unsigned k = 0; k < 16; k++) {
        if (a.r[k] != b.r[k])
            differs(p, "  %s: %016lx -> %s %016lx, latimer %016lx\n", names[k], (long)c->in.r[k], who,
                    (long)a.r[k], (long)b.r[k]);
    }
    if (a.flags != b.flags)
        differs(p, "  flags: %03lx -> %s %03lx, latimer %03lx (compared %03x)\n", (long)c->in.flags, who,
                (long)a.flags, (long)b.flags, compared_flags(c, chip));
    for (unsigned k = 0; k < 16; k++) {
        const union vreg *x = &in->x[k], *y = &f->x[k], *z = &g->x[k];

        if (memcmp(y, z, 16))
            differs(p, "  xmm%u: %016lx_%016lx -> %s %016lx_%016lx, latimer %016lx_%016lx\n", k,
                    (long)x->q[1], (long)x->q[0], who, (long)y->q[1], (long)y->q[0], (long)z->q[1],
                    (long)z->q[0]);
    }
    if (f->mxcsr != g->mxcsr)
        differs(p, "  mxcsr: %04x -> %s %04x, latimer %04x\n", in->mxcsr, who, f->mxcsr, g->mxcsr);
    if (f->fcw != g->fcw || f->fsw != g->fsw || f->ftw != g->ftw)
        differs(p, "  x87 cw sw tag: %04x %04x %02x -> %s %04x %04x %02x, latimer %04x %04x %02x\n", in->fcw,
                in->fsw, in->ftw, who, f->fcw, f->fsw, f->ftw, g->fcw, g->fsw, g->ftw);
    if (f->fop != g->fop || f->fip != g->fip || f->fdp != g->fdp)
        differs(p, "  x87 op ip dp: %03x %lx %lx -> %s %03x %lx %lx, latimer %03x %lx %lx\n", in->fop,
                (long)in->fip, (long)in->fdp, who, f->fop, (long)f->fip, (long)f->fdp, g->fop, (long)g->fip,
                (long)g->fdp);
    for (unsigned k = 0; k < 8; k++) {
        if (f->st[k].sig != g->st[k].sig || f->st[k].se != g->st[k].se)
            differs(p, "  st%u: %04x_%016lx -> %s %04x_%016lx, latimer %04x_%016lx\n", k, in->st[k].se,
                    (long)in->st[k].sig, who, f->st[k].se, (long)f->st[k].sig, g->st[k].se,
                    (long)g->st[k].sig);
    }
    if (!memcmp(chip_data, our_data, HW_DATA_SIZE))
        return;
    for (unsigned k = 0; k < HW_DATA_SIZE && shown < 8; k++) {
        if (chip_data[k] != our_data[k]) {
            differs(p, "  memory %x: %s %02x, latimer %02x\n", HW_DATA + k, who, chip_data[k], our_data[k]);
            shown++;
        }
    }
}
