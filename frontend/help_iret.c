/*
 * help_iret.c - IRET in every mode, and the other instructions that move EFLAGS:
 * POPF, PUSHF, CLI, STI with their privilege rules (IOPL, VME, PVI).
 *
 * SDM vol. 2, IRET, POPF, CLI, STI; vol. 3, 20.2.7 and 20.4 for VIF and VIP.
 */
#include "frontend/help.h"
#include "softmmu/softmmu.h"

/* Bits that software may change at any privilege level. */
#define FL_USER (FL_ARITH | FL_TF | FL_DF | FL_NT)

/* Put the bits of `image` under `mask` into EFLAGS. */
static void load_flags(struct cpu *c, uint32_t image, uint32_t mask)
{
    cpu_set_eflags(c, (cpu_eflags(c) & ~mask) | (image & mask) | FL_1);
}

static unsigned iopl(const struct cpu *c)
{
    return (c->eflags & FL_IOPL) >> 12;
}

/* IRET and POPF: what may change at CPL `cpl`. */
static uint32_t flags_mask(const struct cpu *c, unsigned cpl, unsigned opsize)
{
    uint32_t m = FL_USER;

    if (opsize != 2)
        m |= FL_AC | FL_ID;
    if (cpl <= iopl(c))
        m |= FL_IF;
    if (cpl == 0)
        m |= FL_IOPL;
    return m;
}

/* The flags are about to be loaded: whether a single step follows depends on TF as it is now. */
static void note_tf(struct cpu *c)
{
    if (c->mode & M_TF)
        c->step = STEP_KNOWN | (c->eflags & FL_TF ? STEP_TF : 0);
}

/* IRET lets NMIs in, even if it faults. */
static void unblock_nmi(struct cpu *c)
{
    c->nmi_blocked = 0;
    if (__atomic_load_n(&c->nmi_pending, __ATOMIC_SEQ_CST))
        __atomic_fetch_or(&c->attn, ATTN_NMI, __ATOMIC_SEQ_CST);
}

static void finish(struct cpu *c)
{
    cpu_update_mode(c);
    /* RF lasts for one instruction and means something only where breakpoints are looked for. */
    if (!(c->mode & M_BRK))
        c->eflags &= ~FL_RF;
    cpu_if_changed(c);
}

/* Real mode, and virtual-8086 mode: IP, CS, FLAGS. */
static bool iret_real(struct cpu *c, unsigned opsize)
{
    bool vm = cpu_pe(c), vme = false;
    uint64_t ip, cs, fl;
    uint32_t mask = FL_USER | FL_IF;
    struct stack s;

    if (vm && iopl(c) < 3) {
        if (!(c->cr4 & CR4_VME) || opsize != 2)
            return fault_gp(c, 0);
        vme = true;
    }
    stack_here(c, &s);
    if (stack_pop(c, &s, opsize, &ip) || stack_pop(c, &s, opsize, &cs) || stack_pop(c, &s, opsize, &fl))
        return true;
    if (ip > c->seg[SEG_CS].limit)
        return fault_gp(c, 0);
    if (vme) {
        if ((fl & FL_TF) || ((fl & FL_IF) && (c->eflags & FL_VIP)))
            return fault_gp(c, 0);
        c->eflags = (c->eflags & ~FL_VIF) | (fl & FL_IF ? FL_VIF : 0);
        mask &= ~FL_IF;
    }
    if (!vm)
        mask |= FL_IOPL;
    if (opsize == 4)
        mask |= FL_RF | FL_AC | FL_ID;
    c->r[R_SP] = stack_reg(&s, c->r[R_SP]);
    load_flags(c, (uint32_t)fl, mask);
    seg_set_real(c, SEG_CS, (uint16_t)cs);
    c->rip = ip;
    finish(c);
    return false;
}

/* From protected mode at CPL 0 to virtual-8086 mode. */
static bool iret_to_v86(struct cpu *c, struct stack *s, uint64_t ip, uint64_t cs, uint64_t fl)
{
    static const uint8_t regs[] = { SEG_SS, SEG_ES, SEG_DS, SEG_FS, SEG_GS };
    uint64_t sp, v[5];

    if (stack_pop(c, s, 4, &sp))
        return true;
    for (unsigned i = 0; i < 5; i++) {
        if (stack_pop(c, s, 4, &v[i]))
            return true;
    }
    if (ip > 0xffff)
        return fault_gp(c, 0);
    cpu_set_eflags(c, ((uint32_t)fl & 0x3f7fd5) | FL_1);
    c->cpl = 3;
    seg_set_real(c, SEG_CS, (uint16_t)cs);
    for (unsigned i = 0; i < 5; i++)
        seg_set_real(c, regs[i], (uint16_t)v[i]);
    c->r[R_SP] = sp;
    c->rip = ip;
    finish(c);
    return false;
}

static bool iret_task(struct cpu *c, uint64_t next)
{
    uint64_t link;
    struct desc d;

    if (sys_read(c, c->seg[SEG_TR].base, 2, &link))
        return true;
    if (link & 4)
        return fault_code(c, EXC_TS, link & 0xfffc);
    if (desc_read(c, (uint16_t)link, EXC_TS, 0, &d))
        return true;
    if (desc_s(&d) || (desc_type(&d) & 7) != DT_TSS16_BUSY)
        return fault_code(c, EXC_TS, link & 0xfffc);
    if (task_switch(c, &d, TASK_IRET, next, 0, false, 0))
        return true;
    finish(c);
    return false;
}

static uint64_t get64(const uint8_t *p)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < 8; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

/* RIP CS RFLAGS [RSP SS]; the 64-bit frame, all in one page, with one check. */
static bool pop_frame(struct cpu *c, struct stack *s, unsigned opsize, unsigned n, uint64_t *v)
{
    if (opsize == 8 && s->lm && canonical(s->sp)) {
        void *host;
        long run = mmu_span(c, s->sp, 8 * n, ACC_READ, s->idx, &host);

        if (run < 0)
            return true;
        if (run == (long)(8 * n)) {
            for (unsigned i = 0; i < n; i++)
                v[i] = get64((uint8_t *)host + 8 * i);
            s->sp += 8 * n;
            return false;
        }
    }
    for (unsigned i = 0; i < n; i++) {
        if (stack_pop(c, s, opsize, &v[i]))
            return true;
    }
    return false;
}

bool help_iret(struct cpu *c, uint64_t next, uint64_t opsize64)
{
    unsigned opsize = (unsigned)opsize64, rpl, n;
    uint64_t v[5];
    struct stack s;
    struct desc d, ss = { 0 };
    uint16_t cs, ss_sel = 0;
    uint32_t mask;
    bool from64, to64, with_ss;

    unblock_nmi(c);
    note_tf(c);
    if (!cpu_pe(c) || cpu_vm(c))
        return iret_real(c, opsize);
    if (c->eflags & FL_NT)
        return cpu_lma(c) ? fault_gp(c, 0) : iret_task(c, next);
    from64 = cpu_64(c);
    stack_here(c, &s);
    n = from64 ? 5 : 3;
    if (pop_frame(c, &s, opsize, n, v))
        return true;
    if (opsize == 4 && (v[2] & FL_VM) && c->cpl == 0 && !cpu_lma(c))
        return iret_to_v86(c, &s, v[0], v[1], v[2]);
    cs = (uint16_t)v[1];
    rpl = cs & 3;
    if (!(cs & ~3))
        return fault_gp(c, 0);
    if (desc_read(c, cs, EXC_GP, 0, &d))
        return true;
    if (!desc_code(&d) || rpl < c->cpl || (desc_conforming(&d) ? desc_dpl(&d) > rpl : desc_dpl(&d) != rpl) ||
        (cpu_lma(c) && (d.hi & 0x600000) == 0x600000))
        return fault_gp(c, cs & ~3u);
    if (!desc_p(&d))
        return fault_code(c, EXC_NP, cs & ~3u);
    to64 = cpu_lma(c) && (d.hi & 0x200000);
    with_ss = from64 || rpl > c->cpl;
    if (with_ss) {
        if (!from64 && (stack_pop(c, &s, opsize, &v[3]) || stack_pop(c, &s, opsize, &v[4])))
            return true;
        ss_sel = (uint16_t)v[4];
        if (!(ss_sel & ~3)) {
            if (!to64 || rpl == 3 || (ss_sel & 3u) != rpl)
                return fault_gp(c, 0);
        } else if (seg_check_ss(c, ss_sel, rpl, EXC_GP, 0, &ss)) {
            return true;
        }
    }
    if (to64 ? !canonical(v[0]) : v[0] > desc_limit(&d))
        return fault_gp(c, 0);
    if (desc_mark_accessed(c, &d))
        return true;

    mask = flags_mask(c, c->cpl, opsize);
    if (opsize != 2) {
        mask |= FL_RF;
        if (c->cpl == 0)
            mask |= FL_VIF | FL_VIP;
    }
    load_flags(c, (uint32_t)v[2], mask);
    if (with_ss) {
        bool outer = rpl > c->cpl;

        if (ss_sel & ~3)
            seg_set(c, SEG_SS, ss_sel, &ss);
        else
            seg_set_null(c, SEG_SS, ss_sel);
        seg_set(c, SEG_CS, cs, &d);
        c->cpl = (uint8_t)rpl;
        s.mask = cpu_sp_mask(c);
        s.sp = v[3];
        c->r[R_SP] = s.mask == 0xffff && !from64 ? (c->r[R_SP] & ~(uint64_t)0xffff) | (v[3] & 0xffff) : v[3];
        if (outer)
            seg_drop_privileged(c, rpl);
    } else {
        c->r[R_SP] = stack_reg(&s, c->r[R_SP]);
        seg_set(c, SEG_CS, cs, &d);
    }
    c->rip = v[0];
    finish(c);
    return false;
}

/* ---- PUSHF, POPF ---- */

bool help_pushf(struct cpu *c, uint64_t opsize)
{
    uint32_t v = cpu_eflags(c) & ~(FL_RF | FL_VM);

    if (iopl(c) < 3) {
        if (!(c->cr4 & CR4_VME) || opsize != 2)
            return fault_gp(c, 0);
        v = (v & ~FL_IF) | FL_IOPL | (c->eflags & FL_VIF ? FL_IF : 0);
    }
    c->hret = v;
    return false;
}

bool help_popf(struct cpu *c, uint64_t image, uint64_t opsize)
{
    uint32_t mode = c->mode, fl = (uint32_t)image, old = c->eflags;

    note_tf(c);
    if (cpu_pe(c) && cpu_vm(c)) {
        uint32_t mask = FL_USER;

        if (iopl(c) == 3) {
            mask |= FL_IF | (opsize == 2 ? 0 : FL_AC | FL_ID);
        } else {
            if (!(c->cr4 & CR4_VME) || opsize != 2 || (fl & FL_TF) || ((fl & FL_IF) && (old & FL_VIP)))
                return fault_gp(c, 0);
            c->eflags = (c->eflags & ~FL_VIF) | (fl & FL_IF ? FL_VIF : 0);
        }
        load_flags(c, fl, mask);
    } else {
        load_flags(c, fl, flags_mask(c, cpu_pe(c) ? c->cpl : 0, (unsigned)opsize));
        if (opsize != 2 && c->cpl == 0)
            c->eflags &= ~(FL_VIF | FL_VIP);
    }
    c->eflags &= ~FL_RF;
    if ((c->eflags ^ old) & (FL_TF | FL_AC))
        cpu_update_mode(c);
    c->hret = c->mode != mode;
    if ((c->eflags & ~old & FL_IF) && c->intr_pending) {
        cpu_if_changed(c);
        c->hret = 1;
    }
    return false;
}

/* ---- CLI and STI away from CPL 0 ---- */

bool help_cli(struct cpu *c)
{
    bool vm = cpu_vm(c);

    if (c->cpl <= iopl(c))
        c->eflags &= ~FL_IF;
    else if (c->cpl == 3 && (c->cr4 & (vm ? CR4_VME : CR4_PVI)))
        c->eflags &= ~FL_VIF;
    else
        return fault_gp(c, 0);
    return false;
}

bool help_sti(struct cpu *c)
{
    bool vm = cpu_vm(c);

    if (c->cpl <= iopl(c)) {
        c->eflags |= FL_IF;
        cpu_if_changed(c);
    } else if (c->cpl == 3 && (c->cr4 & (vm ? CR4_VME : CR4_PVI)) && !(c->eflags & FL_VIP)) {
        c->eflags |= FL_VIF;
    } else {
        return fault_gp(c, 0);
    }
    return false;
}
