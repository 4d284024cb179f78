/*
 * help_task.c - hardware task switches: JMP, CALL, IRET and interrupts through
 * 16- and 32-bit TSSes.
 *
 * Everything that can fault without belonging to the new task is done first;
 * behind the commit point a fault is raised with the new task's EIP (fault.trap).
 * SDM vol. 3, 8.3 (task switching), table 8-2 (its checks).
 */
#include "frontend/debug.h"
#include "frontend/help.h"
#include "softmmu/softmmu.h"

/* What a TSS holds of a task, both sizes. */
struct task {
    uint32_t cr3, eip, eflags;
    uint32_t r[8];
    uint16_t seg[6], ldt;
    bool trap;
};

static const uint8_t order[8] = { R_AX, R_CX, R_DX, R_BX, R_SP, R_BP, R_SI, R_DI };

static bool load_task(struct cpu *c, uint64_t base, bool tss32, struct task *t)
{
    uint64_t v = 0;

    *t = (struct task){ 0 };
    if (tss32) {
        if (sys_read(c, base + 0x1c, 4, &v))
            return true;
        t->cr3 = (uint32_t)v;
        if (sys_read(c, base + 0x20, 4, &v))
            return true;
        t->eip = (uint32_t)v;
        if (sys_read(c, base + 0x24, 4, &v))
            return true;
        t->eflags = (uint32_t)v;
        for (unsigned i = 0; i < 8; i++) {
            if (sys_read(c, base + 0x28 + 4 * i, 4, &v))
                return true;
            t->r[i] = (uint32_t)v;
        }
        for (unsigned i = 0; i < 6; i++) {
            if (sys_read(c, base + 0x48 + 4 * i, 2, &v))
                return true;
            t->seg[i] = (uint16_t)v;
        }
        if (sys_read(c, base + 0x60, 2, &v))
            return true;
        t->ldt = (uint16_t)v;
        if (sys_read(c, base + 0x64, 2, &v))
            return true;
        t->trap = v & 1;
        return false;
    }
    if (sys_read(c, base + 0x0e, 2, &v))
        return true;
    t->eip = (uint32_t)v;
    if (sys_read(c, base + 0x10, 2, &v))
        return true;
    t->eflags = (uint32_t)v;
    for (unsigned i = 0; i < 8; i++) {
        if (sys_read(c, base + 0x12 + 2 * i, 2, &v))
            return true;
        t->r[i] = (uint32_t)v | 0xffff0000;
    }
    for (unsigned i = 0; i < 4; i++) {
        if (sys_read(c, base + 0x22 + 2 * i, 2, &v))
            return true;
        t->seg[i] = (uint16_t)v;
    }
    if (sys_read(c, base + 0x2a, 2, &v))
        return true;
    t->ldt = (uint16_t)v;
    return false;
}

/* Write the outgoing task's dynamic fields; the range was checked before. */
static bool save_task(struct cpu *c, uint64_t base, bool tss32, uint64_t eip, uint32_t eflags)
{
    if (tss32) {
        if (sys_write(c, base + 0x20, 4, eip) || sys_write(c, base + 0x24, 4, eflags))
            return true;
        for (unsigned i = 0; i < 8; i++) {
            if (sys_write(c, base + 0x28 + 4 * i, 4, c->r[order[i]]))
                return true;
        }
        for (unsigned i = 0; i < 6; i++) {
            if (sys_write(c, base + 0x48 + 4 * i, 2, c->seg[i].sel))
                return true;
        }
        return false;
    }
    if (sys_write(c, base + 0x0e, 2, eip) || sys_write(c, base + 0x10, 2, eflags))
        return true;
    for (unsigned i = 0; i < 8; i++) {
        if (sys_write(c, base + 0x12 + 2 * i, 2, c->r[order[i]]))
            return true;
    }
    for (unsigned i = 0; i < 4; i++) {
        if (sys_write(c, base + 0x22 + 2 * i, 2, c->seg[i].sel))
            return true;
    }
    return false;
}

/* May [lin, lin + len) be accessed by the system? */
static bool check_range(struct cpu *c, uint64_t lin, unsigned len, enum mmu_access acc)
{
    lin = (uint32_t)lin;
    while (len) {
        unsigned n = PAGE_SIZE - (lin & (PAGE_SIZE - 1));

        if (n > len)
            n = len;
        if (mmu_check(c, lin, n, acc, cpu_sys_idx(c)))
            return true;
        lin = (uint32_t)(lin + n);
        len -= n;
    }
    return false;
}

/* Set or clear the busy bit of the TSS descriptor at GDT selector sel. */
static bool set_busy(struct cpu *c, uint16_t sel, bool busy)
{
    uint64_t lin = c->gdt.base + (sel & ~7u) + 5, v;

    if (sys_read(c, lin, 1, &v))
        return true;
    return sys_write(c, lin, 1, busy ? v | 2 : v & ~(uint64_t)2);
}

/* A fault after the commit point: it happens in the new task, at its first instruction. */
static bool in_new_task(struct cpu *c)
{
    cpu_update_mode(c);
    c->fault.trap = true;
    c->fault.rip = c->rip;
    return true;
}

static bool load_new_segments(struct cpu *c, const struct task *t)
{
    static const uint8_t data[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };
    uint16_t cs = t->seg[SEG_CS];
    unsigned rpl = cs & 3;
    struct desc d;

    if (cpu_vm(c)) {
        c->cpl = 3;
        for (unsigned i = 0; i < 6; i++)
            seg_set_real(c, i, t->seg[i]);
    }
    if (!(t->ldt & ~3)) {
        seg_set_null(c, SEG_LDTR, t->ldt);
    } else {
        if (t->ldt & 4)
            return fault_code(c, EXC_TS, t->ldt & ~3u);
        if (desc_read(c, t->ldt, EXC_TS, 0, &d))
            return true;
        if (desc_s(&d) || desc_type(&d) != DT_LDT || !desc_p(&d))
            return fault_code(c, EXC_TS, t->ldt & ~3u);
        seg_set(c, SEG_LDTR, t->ldt, &d);
    }
    if (cpu_vm(c))
        return false;
    c->cpl = (uint8_t)rpl;
    if (!(cs & ~3))
        return fault_code(c, EXC_TS, 0);
    if (desc_read(c, cs, EXC_TS, 0, &d))
        return true;
    if (!desc_code(&d) || (desc_conforming(&d) ? desc_dpl(&d) > rpl : desc_dpl(&d) != rpl))
        return fault_code(c, EXC_TS, cs & ~3u);
    if (!desc_p(&d))
        return fault_code(c, EXC_NP, cs & ~3u);
    if (desc_mark_accessed(c, &d))
        return true;
    seg_set_cs(c, cs, &d, rpl);
    if (seg_load_prot(c, SEG_SS, t->seg[SEG_SS], EXC_TS, 0))
        return true;
    for (unsigned i = 0; i < sizeof(data); i++) {
        if (seg_load_prot(c, data[i], t->seg[data[i]], EXC_TS, 0))
            return true;
    }
    return false;
}

bool task_switch(struct cpu *c, struct desc *d, enum task_how how, uint64_t next, unsigned ext, bool has_code,
                 uint32_t code)
{
    struct seg *tr = &c->seg[SEG_TR];
    uint32_t err = (d->sel & ~3u) | ext, old_flags = cpu_eflags(c);
    bool new32 = desc_type(d) & 8, old32 = tr->attr & 8, busy = desc_type(d) & 2;
    uint64_t base = desc_base(d), old_base = tr->base;
    uint16_t old_sel = tr->sel;
    struct task t;

    if (how == TASK_IRET ? !busy : busy)
        return fault_code(c, how == TASK_IRET ? EXC_TS : EXC_GP, err);
    if (!desc_p(d))
        return fault_code(c, EXC_NP, err);
    if (desc_limit(d) < (new32 ? 0x67u : 0x2bu))
        return fault_code(c, EXC_TS, err);
    if (tr->limit < (old32 ? 0x5fu : 0x29u))
        return fault_code(c, EXC_TS, (old_sel & ~3u) | ext);
    if (check_range(c, base, new32 ? 0x68 : 0x2c, ACC_WRITE) || load_task(c, base, new32, &t) ||
        check_range(c, old_base, old32 ? 0x60 : 0x2a, ACC_WRITE))
        return true;
    if (c->debug)
        /* what is watched stops the vCPU behind the switch, not in the middle of it */
        c->debug->raise = false;
    if (how == TASK_IRET)
        old_flags &= ~FL_NT;
    if (how == TASK_JMP || how == TASK_IRET) {
        if (set_busy(c, old_sel, false))
            return true;
    }
    if (save_task(c, old_base, old32, next, old_flags))
        return true;
    if (how == TASK_CALL || how == TASK_INT) {
        if (sys_write(c, base, 2, old_sel))
            return true;
        t.eflags |= FL_NT;
    }
    if (how != TASK_IRET && set_busy(c, d->sel, true))
        return true;

    /* The commit point. */
    d->hi |= 0x200;
    c->cr0 |= CR0_TS;
    seg_set(c, SEG_TR, d->sel, d);
    c->dr[7] &= ~(uint64_t)0x155;               /* L0-L3, LE */
    mmu_watch_changed(c);
    c->rip = t.eip;
    cpu_set_eflags(c, (t.eflags & 0x3f7fd5) | FL_1);
    for (unsigned i = 0; i < 8; i++)
        c->r[order[i]] = t.r[i];
    for (unsigned i = 0; i < 6; i++)
        c->seg[i] = (struct seg){ .sel = t.seg[i] };
    seg_set_null(c, SEG_LDTR, t.ldt);
    c->cpl = t.seg[SEG_CS] & 3;
    if (new32 && (c->cr0 & CR0_PG)) {
        if ((c->cr4 & CR4_PAE) && mmu_load_pdptes(c, t.cr3)) {
            fault_code(c, EXC_TS, err);
            return in_new_task(c);
        }
        mmu_set_cr3(c, t.cr3, false);
    }
    if (load_new_segments(c, &t))
        return in_new_task(c);
    cpu_update_mode(c);
    if (c->rip > c->seg[SEG_CS].limit) {
        fault_gp(c, 0);
        return in_new_task(c);
    }
    if (has_code) {
        struct stack s;

        stack_here(c, &s);
        if (stack_push(c, &s, new32 ? 4 : 2, code))
            return in_new_task(c);
        c->r[R_SP] = stack_reg(&s, c->r[R_SP]);
    }
    cpu_if_changed(c);
    if (t.trap) {
        fault_raise(c, EXC_DB);
        c->fault.dr6 = 1u << 15;                /* BT */
        return in_new_task(c);
    }
    return false;
}
