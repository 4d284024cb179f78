/*
 * help_seg.c - segment registers and descriptors: loads, checks, LAR LSL VERR
 * VERW, the exact limit check, and the stack accesses of far transfers.
 *
 * Invariant: a struct seg's fast limits follow from the rest of it and CR0.PE
 * and EFLAGS.VM; seg_update() is called after each change of these.
 * SDM vol. 3, chapters 3 and 5.
 */
#include <string.h>

#include "frontend/help.h"
#include "softmmu/softmmu.h"
#include "translator/ir.h"

bool sys_read(struct cpu *c, uint64_t lin, unsigned size, uint64_t *v)
{
    uint8_t b[8];

    if (!cpu_lma(c))
        lin = (uint32_t)lin;
    if (mmu_load(c, lin, size, cpu_sys_idx(c), false, b))
        return true;
    *v = 0;
    for (unsigned i = 0; i < size; i++)
        *v |= (uint64_t)b[i] << (8 * i);
    return false;
}

bool sys_write(struct cpu *c, uint64_t lin, unsigned size, uint64_t v)
{
    uint8_t b[8];

    if (!cpu_lma(c))
        lin = (uint32_t)lin;
    for (unsigned i = 0; i < size; i++)
        b[i] = (uint8_t)(v >> (8 * i));
    return mmu_store(c, lin, size, cpu_sys_idx(c), b);
}

/* ---- hidden parts ---- */

void seg_update(struct cpu *c, unsigned n)
{
    struct seg *s = &c->seg[n];
    uint64_t all = (uint64_t)s->limit + 1;

    s->fast_r = s->fast_w = 0;
    if (!cpu_pe(c) || cpu_vm(c)) {
        s->fast_r = s->fast_w = all;
    } else if ((s->attr & (SEG_P | SEG_S)) == (SEG_P | SEG_S)) {
        if (s->attr & 8) {                      /* code: type 1CRA */
            if (s->attr & 2)
                s->fast_r = all;
        } else if (!(s->attr & 4)) {            /* data: type 0EWA */
            s->fast_r = all;
            if (s->attr & 2)
                s->fast_w = all;
        }
    }
}

void seg_set(struct cpu *c, unsigned n, uint16_t sel, const struct desc *d)
{
    struct seg *s = &c->seg[n];

    s->sel = sel;
    s->base = desc_base(d) | (uint64_t)d->hi2 << 32;
    s->limit = desc_limit(d);
    s->attr = (uint16_t)(d->hi >> 8 & 0xf0ff);
    seg_update(c, n);
}

void seg_set_real(struct cpu *c, unsigned n, uint16_t sel)
{
    struct seg *s = &c->seg[n];

    s->sel = sel;
    s->base = (uint64_t)sel << 4;
    if (cpu_vm(c)) {
        s->limit = 0xffff;
        s->attr = SEG_P | SEG_S | SEG_DPL | 3;
    } else {
        /* The limit stays what protected mode left there ("unreal" mode). */
        s->attr = (uint16_t)((s->attr & (SEG_DB | SEG_G)) | SEG_P | SEG_S | 3);
    }
    seg_update(c, n);
}

void seg_set_null(struct cpu *c, unsigned n, uint16_t sel)
{
    c->seg[n] = (struct seg){ .sel = sel };
}

void seg_set_cs(struct cpu *c, uint16_t sel, const struct desc *d, unsigned cpl)
{
    seg_set(c, SEG_CS, (uint16_t)((sel & ~3) | cpl), d);
    c->cpl = (uint8_t)cpl;
    cpu_update_mode(c);
}

uint64_t cpu_sp_mask(const struct cpu *c)
{
    return cpu_64(c) ? ~(uint64_t)0 : c->seg[SEG_SS].attr & SEG_DB ? 0xffffffff : 0xffff;
}

/* ---- descriptors ---- */

int desc_fetch(struct cpu *c, uint16_t sel, struct desc *d)
{
    uint64_t base, v;
    uint32_t limit, off = sel & ~7u;

    if (sel & 4) {
        const struct seg *ldt = &c->seg[SEG_LDTR];

        if (!(ldt->attr & SEG_P))
            return DESC_OUTSIDE;
        base = ldt->base;
        limit = ldt->limit;
    } else {
        base = c->gdt.base;
        limit = c->gdt.limit;
    }
    if (off + 7 > limit)
        return DESC_OUTSIDE;
    if (sys_read(c, base + off, 8, &v))
        return DESC_FAULT;
    *d = (struct desc){ .lo = (uint32_t)v, .hi = (uint32_t)(v >> 32), .lin = base + off, .sel = sel };
    return DESC_OK;
}

bool desc_read(struct cpu *c, uint16_t sel, unsigned vector, unsigned ext, struct desc *d)
{
    switch (desc_fetch(c, sel, d)) {
    case DESC_OK:
        return false;
    case DESC_OUTSIDE:
        return fault_code(c, vector, (sel & ~3u) | ext);
    }
    return true;
}

/* Upper half of a 16-byte descriptor (IA-32e mode): base 63:32, type field 0. */
static bool desc_read_high(struct cpu *c, struct desc *d, unsigned vector)
{
    uint64_t v;
    uint32_t limit = d->sel & 4 ? c->seg[SEG_LDTR].limit : c->gdt.limit;

    if ((d->sel & ~7u) + 15 > limit)
        return fault_code(c, vector, d->sel & ~3u);
    if (sys_read(c, d->lin + 8, 8, &v))
        return true;
    if (v >> 40 & 0x1f)
        return fault_code(c, vector, d->sel & ~3u);
    d->hi2 = (uint32_t)v;
    return false;
}

bool desc_mark_accessed(struct cpu *c, struct desc *d)
{
    if (d->hi & 0x100)
        return false;
    d->hi |= 0x100;
    return sys_write(c, d->lin + 5, 1, d->hi >> 8 & 0xff);
}

bool seg_check_ss(struct cpu *c, uint16_t sel, unsigned cpl, unsigned vector, unsigned ext, struct desc *d)
{
    uint32_t code = (sel & ~3u) | ext;

    if (!(sel & ~3))
        return fault_code(c, vector, ext);
    if (desc_read(c, sel, vector, ext, d))
        return true;
    if ((sel & 3u) != cpl || !desc_s(d) || desc_code(d) || !(d->hi & 0x200) || desc_dpl(d) != cpl)
        return fault_code(c, vector, code);
    if (!desc_p(d))
        return fault_code(c, EXC_SS, code);
    return desc_mark_accessed(c, d);
}

bool seg_load_prot(struct cpu *c, unsigned n, uint16_t sel, unsigned vector, unsigned ext)
{
    uint32_t code = (sel & ~3u) | ext;
    struct desc d;

    if (n == SEG_SS) {
        if (!(sel & ~3) && cpu_64(c) && c->cpl < 3 && (sel & 3u) == c->cpl) {
            seg_set_null(c, n, sel);
            return false;
        }
        if (seg_check_ss(c, sel, c->cpl, vector, ext, &d))
            return true;
        seg_set(c, n, sel, &d);
        return false;
    }
    if (!(sel & ~3)) {
        seg_set_null(c, n, sel);
        return false;
    }
    if (desc_read(c, sel, vector, ext, &d))
        return true;
    if (!desc_s(&d) || (desc_code(&d) && !(d.hi & 0x200)))
        return fault_code(c, vector, code);
    if (!(desc_code(&d) && desc_conforming(&d)) && ((sel & 3u) > desc_dpl(&d) || c->cpl > desc_dpl(&d)))
        return fault_code(c, vector, code);
    if (!desc_p(&d))
        return fault_code(c, EXC_NP, code);
    if (desc_mark_accessed(c, &d))
        return true;
    seg_set(c, n, sel, &d);
    return false;
}

void seg_drop_privileged(struct cpu *c, unsigned cpl)
{
    static const uint8_t regs[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };

    for (unsigned i = 0; i < sizeof(regs); i++) {
        struct seg *s = &c->seg[regs[i]];
        bool conforming = (s->attr & 0xc) == 0xc;

        if ((s->attr & SEG_P) && (s->attr & SEG_S) && !conforming && (s->attr & SEG_DPL) >> 5 < cpl) {
            /* The base of FS and GS survives in 64-bit mode: only the selector goes. */
            uint64_t base = cpu_64(c) ? s->base : 0;

            seg_set_null(c, regs[i], 0);
            s->base = base;
        }
    }
}

bool help_load_seg(struct cpu *c, uint64_t how, uint64_t sel)
{
    uint32_t mode = c->mode;
    unsigned n = how & 15;

    if (!cpu_pe(c) || cpu_vm(c))
        seg_set_real(c, n, (uint16_t)sel);
    else if (seg_load_prot(c, n, (uint16_t)sel, EXC_GP, 0))
        return true;
    if (n == SEG_SS && !(how & LOAD_SEG_FAR))
        c->inhibit = INHIBIT_SS;
    cpu_update_mode(c);
    c->hret = c->mode != mode;
    return false;
}

/* May [off, off + size) of segment s be accessed so?  Limits and types only. */
static bool seg_allows(const struct cpu *c, const struct seg *s, uint64_t off, unsigned size, bool write)
{
    uint64_t last = off + size - 1;

    if (cpu_pe(c) && !cpu_vm(c)) {
        if ((s->attr & (SEG_P | SEG_S)) != (SEG_P | SEG_S))
            return false;
        if (s->attr & 8) {
            if (write || !(s->attr & 2))
                return false;
        } else {
            if (write && !(s->attr & 2))
                return false;
            if (s->attr & 4)                    /* expand-down: above the limit */
                return off > s->limit && last <= (s->attr & SEG_DB ? 0xffffffffu : 0xffffu);
        }
    }
    return last <= s->limit;
}

bool help_segcheck(struct cpu *c, uint64_t which, uint64_t off, uint64_t size)
{
    unsigned n = which & 15;

    if (seg_allows(c, &c->seg[n], off, (unsigned)size, which & SEGCHK_WRITE))
        return false;
    return fault_code(c, n == SEG_SS ? EXC_SS : EXC_GP, 0);
}

/* ---- stacks of far transfers ---- */

void stack_here(struct cpu *c, struct stack *s)
{
    *s = (struct stack){ .seg = c->seg[SEG_SS], .sp = c->r[R_SP], .mask = cpu_sp_mask(c),
                         .idx = cpu_data_idx(c, c->cpl), .lm = cpu_64(c) };
    s->sp &= s->mask;
}

static bool stack_addr(struct cpu *c, const struct stack *s, uint64_t sp, unsigned size, bool write,
                       uint64_t *lin)
{
    if (s->lm) {
        if (!canonical(sp) || !canonical(sp + size - 1))
            return fault_code(c, EXC_SS, s->ss_code);
        *lin = sp;
        return false;
    }
    if (!seg_allows(c, &s->seg, sp, size, write))
        return fault_code(c, EXC_SS, s->ss_code);
    *lin = (uint32_t)(s->seg.base + sp);
    return false;
}

bool stack_push(struct cpu *c, struct stack *s, unsigned size, uint64_t v)
{
    uint64_t sp = (s->sp - size) & s->mask, lin;
    uint8_t b[8];

    if (stack_addr(c, s, sp, size, true, &lin))
        return true;
    for (unsigned i = 0; i < size; i++)
        b[i] = (uint8_t)(v >> (8 * i));
    if (mmu_store(c, lin, size, s->idx, b))
        return true;
    s->sp = sp;
    return false;
}

bool stack_pop(struct cpu *c, struct stack *s, unsigned size, uint64_t *v)
{
    uint64_t lin;
    uint8_t b[8];

    if (stack_addr(c, s, s->sp, size, false, &lin) || mmu_load(c, lin, size, s->idx, false, b))
        return true;
    *v = 0;
    for (unsigned i = 0; i < size; i++)
        *v |= (uint64_t)b[i] << (8 * i);
    s->sp = (s->sp + size) & s->mask;
    return false;
}

uint64_t stack_reg(const struct stack *s, uint64_t old)
{
    if (s->mask == 0xffff)
        return (old & ~(uint64_t)0xffff) | (s->sp & 0xffff);
    return s->sp & s->mask;
}

bool tss_stack(struct cpu *c, unsigned level, unsigned ext, uint16_t *ss, uint64_t *sp)
{
    const struct seg *tr = &c->seg[SEG_TR];
    bool tss32 = tr->attr & 8;
    unsigned off = tss32 ? level * 8 + 4 : level * 4 + 2, size = tss32 ? 4 : 2;
    uint64_t v;

    if (off + (tss32 ? 5 : 3) > tr->limit)
        return fault_code(c, EXC_TS, (tr->sel & ~3u) | ext);
    if (sys_read(c, tr->base + off, size, sp) || sys_read(c, tr->base + off + size, 2, &v))
        return true;
    *ss = (uint16_t)v;
    return false;
}

bool tss64_stack(struct cpu *c, unsigned off, unsigned ext, uint64_t *sp)
{
    const struct seg *tr = &c->seg[SEG_TR];

    if (off + 7 > tr->limit)
        return fault_code(c, EXC_TS, (tr->sel & ~3u) | ext);
    if (sys_read(c, tr->base + off, 8, sp))
        return true;
    if (!canonical(*sp))
        return fault_code(c, EXC_SS, ext);
    return false;
}

/* ---- LLDT, LTR, LAR, LSL, VERR, VERW ---- */

bool help_lldt(struct cpu *c, uint64_t sel64)
{
    uint16_t sel = (uint16_t)sel64;
    struct desc d;

    if (!(sel & ~3)) {
        seg_set_null(c, SEG_LDTR, sel);
        return false;
    }
    if (sel & 4)
        return fault_gp(c, sel & ~3u);
    if (desc_read(c, sel, EXC_GP, 0, &d))
        return true;
    if (desc_s(&d) || desc_type(&d) != DT_LDT)
        return fault_gp(c, sel & ~3u);
    if (!desc_p(&d))
        return fault_code(c, EXC_NP, sel & ~3u);
    if (cpu_lma(c) && desc_read_high(c, &d, EXC_GP))
        return true;
    if (!canonical(desc_base(&d) | (uint64_t)d.hi2 << 32))
        return fault_gp(c, sel & ~3u);
    seg_set(c, SEG_LDTR, sel, &d);
    return false;
}

bool help_ltr(struct cpu *c, uint64_t sel64)
{
    uint16_t sel = (uint16_t)sel64;
    struct desc d;

    if (!(sel & ~3))
        return fault_gp(c, 0);
    if (sel & 4)
        return fault_gp(c, sel & ~3u);
    if (desc_read(c, sel, EXC_GP, 0, &d))
        return true;
    if (desc_s(&d) || !(desc_type(&d) == DT_TSS32 || (desc_type(&d) == DT_TSS16 && !cpu_lma(c))))
        return fault_gp(c, sel & ~3u);
    if (!desc_p(&d))
        return fault_code(c, EXC_NP, sel & ~3u);
    if (cpu_lma(c) && desc_read_high(c, &d, EXC_GP))
        return true;
    if (!canonical(desc_base(&d) | (uint64_t)d.hi2 << 32))
        return fault_gp(c, sel & ~3u);
    d.hi |= 0x200;                              /* busy */
    if (sys_write(c, d.lin + 4, 4, d.hi))
        return true;
    seg_set(c, SEG_TR, sel, &d);
    return false;
}

/* Descriptor for LAR and friends: *ok false if it is none or not for this CPL and RPL. */
static bool visible_desc(struct cpu *c, uint16_t sel, struct desc *d, bool *ok)
{
    int r = sel & ~3 ? desc_fetch(c, sel, d) : DESC_OUTSIDE;

    *ok = false;
    if (r == DESC_FAULT)
        return true;
    if (r == DESC_OUTSIDE)
        return false;
    *ok = (desc_code(d) && desc_conforming(d)) || ((sel & 3u) <= desc_dpl(d) && c->cpl <= desc_dpl(d));
    return false;
}

/* Bit n: system descriptor type n is valid for LAR / has a limit for LSL (SDM vol. 2, LAR and LSL). */
#define TYPE(n) (1u << (n))
#define LAR_LEGACY (TYPE(1) | TYPE(2) | TYPE(3) | TYPE(4) | TYPE(5) | TYPE(9) | TYPE(11) | TYPE(12))
#define LAR_LONG   (TYPE(2) | TYPE(9) | TYPE(11) | TYPE(12))
#define LSL_LEGACY (TYPE(1) | TYPE(2) | TYPE(3) | TYPE(9) | TYPE(11))
#define LSL_LONG   (TYPE(2) | TYPE(9) | TYPE(11))

bool help_lar(struct cpu *c, uint64_t sel)
{
    struct desc d;
    bool ok;

    c->hret = 0;
    if (visible_desc(c, (uint16_t)sel, &d, &ok))
        return true;
    if (ok && (desc_s(&d) || (cpu_lma(c) ? LAR_LONG : LAR_LEGACY) >> desc_type(&d) & 1))
        c->hret = (uint64_t)1 << 32 | (d.hi & 0x00f0ff00);
    return false;
}

bool help_lsl(struct cpu *c, uint64_t sel)
{
    struct desc d;
    bool ok;

    c->hret = 0;
    if (visible_desc(c, (uint16_t)sel, &d, &ok))
        return true;
    if (ok && (desc_s(&d) || (cpu_lma(c) ? LSL_LONG : LSL_LEGACY) >> desc_type(&d) & 1))
        c->hret = (uint64_t)1 << 32 | desc_limit(&d);
    return false;
}

bool help_verr(struct cpu *c, uint64_t sel, uint64_t write)
{
    struct desc d;
    bool ok;

    c->hret = 0;
    if (visible_desc(c, (uint16_t)sel, &d, &ok))
        return true;
    if (ok && desc_s(&d))
        c->hret = write ? !desc_code(&d) && (d.hi & 0x200) : !desc_code(&d) || (d.hi & 0x200);
    return false;
}
