/*
 * help_far.c - far JMP, CALL and RET, call gates, SYSCALL, SYSRET, SYSENTER,
 * SYSEXIT.
 *
 * Each helper checks everything and writes the stack before it changes the CPU,
 * so a fault leaves the instruction undone; the exception is a task switch
 * (help_task.c).  SDM vol. 3, 5.8; vol. 2 for each instruction.
 */
#include "frontend/help.h"

static uint64_t size_mask(unsigned opsize)
{
    return opsize == 8 ? ~(uint64_t)0 : opsize == 4 ? 0xffffffff : 0xffff;
}

/* Is `off` a possible RIP in the code segment d? True: #GP(0). */
static bool bad_target(struct cpu *c, const struct desc *d, uint64_t off)
{
    if (cpu_lma(c) && (d->hi & 0x200000))
        return !canonical(off) && fault_gp(c, 0);
    return off > desc_limit(d) && fault_gp(c, 0);
}

/* L and D both set is reserved in IA-32e mode. */
static bool bad_code_size(const struct cpu *c, const struct desc *d)
{
    return cpu_lma(c) && (d->hi & 0x600000) == 0x600000;
}

/* A direct far JMP or CALL to code segment d at the current privilege level. True: faulted. */
static bool check_code(struct cpu *c, uint16_t sel, const struct desc *d)
{
    uint32_t code = sel & ~3u;

    if (!desc_code(d) || bad_code_size(c, d))
        return fault_gp(c, code);
    if (desc_conforming(d) ? desc_dpl(d) > c->cpl : (sel & 3u) > c->cpl || desc_dpl(d) != c->cpl)
        return fault_gp(c, code);
    if (!desc_p(d))
        return fault_code(c, EXC_NP, code);
    return false;
}

/* What a call gate leads to. */
struct gate {
    uint16_t sel;
    uint64_t off;
    unsigned size;              /* of the pushes: 2, 4, 8 */
    unsigned params;
    struct desc code;
    unsigned cpl;               /* new privilege level if called */
};

static bool read_gate(struct cpu *c, struct desc *d, bool jmp, struct gate *g)
{
    uint32_t code = d->sel & ~3u;

    if (desc_dpl(d) < c->cpl || desc_dpl(d) < (d->sel & 3u))
        return fault_gp(c, code);
    if (!desc_p(d))
        return fault_code(c, EXC_NP, code);
    g->sel = (uint16_t)(d->lo >> 16);
    g->off = (d->lo & 0xffff) | (d->hi & 0xffff0000);
    g->params = d->hi & 31;
    g->size = desc_type(d) == DT_CALL16 ? 2 : 4;
    if (g->size == 2)
        g->off &= 0xffff;
    if (cpu_lma(c)) {
        uint64_t high;

        if ((d->sel & ~7u) + 15 > (d->sel & 4 ? c->seg[SEG_LDTR].limit : c->gdt.limit))
            return fault_gp(c, code);
        if (sys_read(c, d->lin + 8, 8, &high))
            return true;
        if (high >> 40 & 0x1f)
            return fault_gp(c, code);
        g->off |= high << 32;
        g->size = 8;
    }
    if (!(g->sel & ~3))
        return fault_gp(c, 0);
    if (desc_read(c, g->sel, EXC_GP, 0, &g->code))
        return true;
    code = g->sel & ~3u;
    if (!desc_code(&g->code) || desc_dpl(&g->code) > c->cpl)
        return fault_gp(c, code);
    if (jmp && !desc_conforming(&g->code) && desc_dpl(&g->code) != c->cpl)
        return fault_gp(c, code);
    if (cpu_lma(c) && (g->code.hi & 0x600000) != 0x200000)
        return fault_gp(c, code);
    if (!desc_p(&g->code))
        return fault_code(c, EXC_NP, code);
    g->cpl = desc_conforming(&g->code) ? c->cpl : desc_dpl(&g->code);
    return bad_target(c, &g->code, g->off);
}

/* Task gate or TSS as the target of JMP or CALL. */
static bool far_task(struct cpu *c, struct desc *d, enum task_how how, uint64_t next)
{
    uint32_t code = d->sel & ~3u;
    struct desc tss;

    if (desc_dpl(d) < c->cpl || desc_dpl(d) < (d->sel & 3u))
        return fault_gp(c, code);
    if (desc_type(d) == DT_TASK) {
        uint16_t sel = (uint16_t)(d->lo >> 16);

        if (!desc_p(d))
            return fault_code(c, EXC_NP, code);
        code = sel & ~3u;
        if (sel & 4)
            return fault_gp(c, code);
        if (desc_read(c, sel, EXC_GP, 0, &tss))
            return true;
        d = &tss;
    }
    if (desc_s(d) || (desc_type(d) & 7) != DT_TSS16)
        return fault_gp(c, code);
    return task_switch(c, d, how, next, 0, false, 0);
}

static bool is_task(const struct cpu *c, const struct desc *d)
{
    unsigned t = desc_type(d);

    return !cpu_lma(c) && (t == DT_TASK || (t & 5) == 1);
}

static bool is_call_gate(const struct cpu *c, const struct desc *d)
{
    return desc_type(d) == DT_CALL32 || (desc_type(d) == DT_CALL16 && !cpu_lma(c));
}

bool help_far_jmp(struct cpu *c, uint64_t sel64, uint64_t off, uint64_t next, uint64_t opsize)
{
    uint16_t sel = (uint16_t)sel64;
    struct desc d;

    off &= size_mask((unsigned)opsize);
    if (!cpu_pe(c) || cpu_vm(c)) {
        if (off > c->seg[SEG_CS].limit)
            return fault_gp(c, 0);
        seg_set_real(c, SEG_CS, sel);
        c->rip = off;
        cpu_update_mode(c);
        return false;
    }
    if (!(sel & ~3))
        return fault_gp(c, 0);
    if (desc_read(c, sel, EXC_GP, 0, &d))
        return true;
    if (desc_s(&d)) {
        if (check_code(c, sel, &d) || bad_target(c, &d, off) || desc_mark_accessed(c, &d))
            return true;
        seg_set_cs(c, sel, &d, c->cpl);
        c->rip = off;
        return false;
    }
    if (is_call_gate(c, &d)) {
        struct gate g;

        if (read_gate(c, &d, true, &g) || desc_mark_accessed(c, &g.code))
            return true;
        seg_set_cs(c, g.sel, &g.code, c->cpl);
        c->rip = g.off;
        return false;
    }
    if (is_task(c, &d))
        return far_task(c, &d, TASK_JMP, next);
    return fault_gp(c, sel & ~3u);
}

/* CALL through a call gate. */
static bool call_gate(struct cpu *c, const struct gate *g, uint64_t next)
{
    struct gate t = *g;
    struct stack s, old;
    struct desc ss = { 0 };
    uint16_t ss_sel = 0;

    stack_here(c, &s);
    if (t.cpl == c->cpl) {
        if (stack_push(c, &s, t.size, c->seg[SEG_CS].sel) || stack_push(c, &s, t.size, next) ||
            desc_mark_accessed(c, &t.code))
            return true;
        c->r[R_SP] = stack_reg(&s, c->r[R_SP]);
        seg_set_cs(c, t.sel, &t.code, c->cpl);
        c->rip = t.off;
        return false;
    }
    old = s;
    s = (struct stack){ .idx = cpu_data_idx(c, t.cpl) };
    if (cpu_lma(c)) {
        if (tss64_stack(c, 4 + 8 * t.cpl, 0, &s.sp))
            return true;
        s.lm = true;
        s.mask = ~(uint64_t)0;
        ss_sel = (uint16_t)t.cpl;
        t.params = 0;
    } else {
        if (tss_stack(c, t.cpl, 0, &ss_sel, &s.sp) || seg_check_ss(c, ss_sel, t.cpl, EXC_TS, 0, &ss))
            return true;
        s.seg = (struct seg){ .base = desc_base(&ss), .limit = desc_limit(&ss),
                              .attr = (uint16_t)(ss.hi >> 8 & 0xf0ff) };
        s.mask = s.seg.attr & SEG_DB ? 0xffffffff : 0xffff;
        s.ss_code = ss_sel & ~3u;
    }
    if (stack_push(c, &s, t.size, c->seg[SEG_SS].sel) || stack_push(c, &s, t.size, c->r[R_SP]))
        return true;
    for (unsigned i = t.params; i-- > 0;) {
        struct stack from = old;
        uint64_t v;

        from.sp = (old.sp + i * t.size) & old.mask;
        if (stack_pop(c, &from, t.size, &v) || stack_push(c, &s, t.size, v))
            return true;
    }
    if (stack_push(c, &s, t.size, c->seg[SEG_CS].sel) || stack_push(c, &s, t.size, next) ||
        desc_mark_accessed(c, &t.code))
        return true;
    if (s.lm)
        seg_set_null(c, SEG_SS, ss_sel);
    else
        seg_set(c, SEG_SS, ss_sel, &ss);
    c->r[R_SP] = stack_reg(&s, s.mask == 0xffff ? c->r[R_SP] : 0);
    seg_set_cs(c, t.sel, &t.code, t.cpl);
    c->rip = t.off;
    return false;
}

bool help_far_call(struct cpu *c, uint64_t sel64, uint64_t off, uint64_t next, uint64_t opsize)
{
    uint16_t sel = (uint16_t)sel64;
    struct stack s;
    struct desc d;

    off &= size_mask((unsigned)opsize);
    stack_here(c, &s);
    if (!cpu_pe(c) || cpu_vm(c)) {
        if (off > c->seg[SEG_CS].limit)
            return fault_gp(c, 0);
        if (stack_push(c, &s, (unsigned)opsize, c->seg[SEG_CS].sel) ||
            stack_push(c, &s, (unsigned)opsize, next))
            return true;
        c->r[R_SP] = stack_reg(&s, c->r[R_SP]);
        seg_set_real(c, SEG_CS, sel);
        c->rip = off;
        cpu_update_mode(c);
        return false;
    }
    if (!(sel & ~3))
        return fault_gp(c, 0);
    if (desc_read(c, sel, EXC_GP, 0, &d))
        return true;
    if (desc_s(&d)) {
        if (check_code(c, sel, &d) || bad_target(c, &d, off) ||
            stack_push(c, &s, (unsigned)opsize, c->seg[SEG_CS].sel) ||
            stack_push(c, &s, (unsigned)opsize, next) || desc_mark_accessed(c, &d))
            return true;
        c->r[R_SP] = stack_reg(&s, c->r[R_SP]);
        seg_set_cs(c, sel, &d, c->cpl);
        c->rip = off;
        return false;
    }
    if (is_call_gate(c, &d)) {
        struct gate g;

        return read_gate(c, &d, false, &g) || call_gate(c, &g, next);
    }
    if (is_task(c, &d))
        return far_task(c, &d, TASK_CALL, next);
    return fault_gp(c, sel & ~3u);
}

bool help_far_ret(struct cpu *c, uint64_t release, uint64_t opsize64)
{
    unsigned opsize = (unsigned)opsize64, rpl;
    struct stack s;
    struct desc d, ss = { 0 };
    uint64_t off, v, sp = 0;
    uint16_t sel, ss_sel = 0;

    stack_here(c, &s);
    if (stack_pop(c, &s, opsize, &off) || stack_pop(c, &s, opsize, &v))
        return true;
    sel = (uint16_t)v;
    if (!cpu_pe(c) || cpu_vm(c)) {
        if (off > c->seg[SEG_CS].limit)
            return fault_gp(c, 0);
        s.sp = (s.sp + release) & s.mask;
        c->r[R_SP] = stack_reg(&s, c->r[R_SP]);
        seg_set_real(c, SEG_CS, sel);
        c->rip = off;
        cpu_update_mode(c);
        return false;
    }
    rpl = sel & 3;
    if (!(sel & ~3))
        return fault_gp(c, 0);
    if (desc_read(c, sel, EXC_GP, 0, &d))
        return true;
    if (!desc_code(&d) || bad_code_size(c, &d) || rpl < c->cpl ||
        (desc_conforming(&d) ? desc_dpl(&d) > rpl : desc_dpl(&d) != rpl))
        return fault_gp(c, sel & ~3u);
    if (!desc_p(&d))
        return fault_code(c, EXC_NP, sel & ~3u);
    s.sp = (s.sp + release) & s.mask;
    if (rpl > c->cpl) {
        if (stack_pop(c, &s, opsize, &sp) || stack_pop(c, &s, opsize, &v))
            return true;
        ss_sel = (uint16_t)v;
        if (!(ss_sel & ~3) && cpu_lma(c) && (d.hi & 0x200000) && rpl != 3 && (ss_sel & 3u) == rpl)
            ss.hi = 0;
        else if (seg_check_ss(c, ss_sel, rpl, EXC_GP, 0, &ss))
            return true;
    }
    if (bad_target(c, &d, off) || desc_mark_accessed(c, &d))
        return true;
    if (rpl == c->cpl) {
        c->r[R_SP] = stack_reg(&s, c->r[R_SP]);
        seg_set_cs(c, sel, &d, rpl);
        c->rip = off;
        return false;
    }
    if (ss_sel & ~3)
        seg_set(c, SEG_SS, ss_sel, &ss);
    else
        seg_set_null(c, SEG_SS, ss_sel);
    seg_set_cs(c, sel, &d, rpl);
    s.mask = cpu_sp_mask(c);
    s.sp = (sp + release) & s.mask;
    c->r[R_SP] = stack_reg(&s, s.mask == 0xffff ? sp : 0);
    c->rip = off;
    seg_drop_privileged(c, rpl);
    cpu_update_mode(c);
    return false;
}

/* ---- fast system calls: fixed flat segments, no memory touched ---- */

static void set_flat(struct cpu *c, unsigned n, uint16_t sel, uint16_t attr)
{
    c->seg[n] = (struct seg){ .sel = sel, .limit = 0xffffffff, .attr = attr };
    seg_update(c, n);
}

#define ATTR_CODE(dpl) (uint16_t)(0xb | SEG_S | (dpl) << 5 | SEG_P | SEG_G)
#define ATTR_DATA(dpl) (uint16_t)(0x3 | SEG_S | (dpl) << 5 | SEG_P | SEG_G | SEG_DB)

bool help_syscall(struct cpu *c, uint64_t next)
{
    uint16_t cs = (uint16_t)(c->star >> 32) & 0xfffc;

    if (!(c->efer & EFER_SCE) || !cpu_64(c))
        return fault_ud(c);
    c->r[R_CX] = next;
    c->r[R_11] = cpu_eflags(c) & ~FL_RF;
    cpu_set_eflags(c, ((uint32_t)c->r[R_11] & ~(uint32_t)c->sfmask & ~FL_RF) | FL_1);
    c->cpl = 0;
    set_flat(c, SEG_CS, cs, ATTR_CODE(0) | SEG_L);
    set_flat(c, SEG_SS, (uint16_t)(cs + 8), ATTR_DATA(0));
    c->rip = c->lstar;
    cpu_update_mode(c);
    cpu_if_changed(c);
    return false;
}

bool help_sysret(struct cpu *c, uint64_t opsize)
{
    uint16_t base = (uint16_t)(c->star >> 48);

    if (!(c->efer & EFER_SCE) || !cpu_64(c))
        return fault_ud(c);
    if (opsize == 8 && !canonical(c->r[R_CX]))
        return fault_gp(c, 0);
    cpu_set_eflags(c, ((uint32_t)c->r[R_11] & 0x3c7fd7) | FL_1);
    c->cpl = 3;
    if (opsize == 8) {
        set_flat(c, SEG_CS, (uint16_t)((base + 16) | 3), ATTR_CODE(3) | SEG_L);
        c->rip = c->r[R_CX];
    } else {
        set_flat(c, SEG_CS, base | 3, ATTR_CODE(3) | SEG_DB);
        c->rip = (uint32_t)c->r[R_CX];
    }
    set_flat(c, SEG_SS, (uint16_t)((base + 8) | 3), ATTR_DATA(3));
    cpu_update_mode(c);
    cpu_if_changed(c);
    return false;
}

bool help_sysenter(struct cpu *c)
{
    uint16_t cs = (uint16_t)c->sysenter_cs & 0xfffc;

    if (!cpu_pe(c) || !cs)
        return fault_gp(c, 0);
    c->eflags &= ~(FL_VM | FL_IF | FL_RF);
    c->cpl = 0;
    set_flat(c, SEG_CS, cs, ATTR_CODE(0) | (cpu_lma(c) ? SEG_L : SEG_DB));
    set_flat(c, SEG_SS, (uint16_t)(cs + 8), ATTR_DATA(0));
    c->r[R_SP] = cpu_lma(c) ? c->sysenter_esp : (uint32_t)c->sysenter_esp;
    c->rip = cpu_lma(c) ? c->sysenter_eip : (uint32_t)c->sysenter_eip;
    cpu_update_mode(c);
    return false;
}

bool help_sysexit(struct cpu *c, uint64_t opsize)
{
    uint16_t cs = (uint16_t)c->sysenter_cs & 0xfffc;
    bool to64 = opsize == 8;

    if (!cpu_pe(c) || !cs || (to64 && (!canonical(c->r[R_CX]) || !canonical(c->r[R_DX]))))
        return fault_gp(c, 0);
    c->cpl = 3;
    cs = (uint16_t)(cs + (to64 ? 32 : 16));
    set_flat(c, SEG_CS, cs | 3, ATTR_CODE(3) | (to64 ? SEG_L : SEG_DB));
    set_flat(c, SEG_SS, (uint16_t)((cs + 8) | 3), ATTR_DATA(3));
    c->r[R_SP] = to64 ? c->r[R_CX] : (uint32_t)c->r[R_CX];
    c->rip = to64 ? c->r[R_DX] : (uint32_t)c->r[R_DX];
    cpu_update_mode(c);
    return false;
}
