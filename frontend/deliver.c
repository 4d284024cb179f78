/*
 * deliver.c - interrupts and exceptions on their way in: real mode, virtual-8086
 * (with VME redirection), protected mode gates, task gates, IA-32e with IST;
 * double and triple faults; NMI and maskable interrupts; INT n.
 *
 * Invariant: an attempt that faults has changed nothing but memory below the
 * stack pointer, except behind a task switch's commit point.
 * SDM vol. 3, chapter 6; 20.2 and 20.3 for virtual-8086 mode.
 */
#include "base/log.h"
#include "base/symbols.h"
#include "frontend/debug.h"
#include "frontend/help.h"
#include "hw/machine.h"
#include "softmmu/softmmu.h"
#include "translator/exec.h"

/* What is being delivered. */
struct event {
    uint8_t vector;
    bool soft;                  /* INT n, INT3, INTO: gate DPL counts, EXT is 0 */
    bool has_code;
    uint8_t ext;
    uint32_t code;
    uint32_t flags;             /* EFLAGS image to push */
    uint64_t rip;               /* to push */
};

/* The name of what is at c->rip, for the log. */
static const char *rip_label(struct cpu *c, char *buf, size_t size)
{
    return symbols_label(c->m->symbols, c, cpu_code_lin(c, c->rip), buf, size);
}

/* Flags every delivery through a gate clears; IF too if it is an interrupt gate. */
#define GATE_CLEARS (FL_TF | FL_NT | FL_VM | FL_RF)

static uint32_t idt_code(const struct event *e)
{
    return (uint32_t)e->vector << 3 | 2 | e->ext;
}

static void enter_flags(struct cpu *c, bool interrupt_gate)
{
    c->eflags &= ~(GATE_CLEARS | (interrupt_gate ? FL_IF : 0));
}

/* ---- real mode, and virtual-8086 interrupts redirected to the program's own table ---- */

static bool deliver_ivt(struct cpu *c, const struct event *e, uint64_t table)
{
    struct stack s;
    uint64_t v;

    if (sys_read(c, table + e->vector * 4u, 4, &v))
        return true;
    stack_here(c, &s);
    if (stack_push(c, &s, 2, e->flags) || stack_push(c, &s, 2, c->seg[SEG_CS].sel) ||
        stack_push(c, &s, 2, e->rip))
        return true;
    c->r[R_SP] = stack_reg(&s, c->r[R_SP]);
    seg_set_real(c, SEG_CS, (uint16_t)(v >> 16));
    c->rip = v & 0xffff;
    return false;
}

static bool deliver_real(struct cpu *c, const struct event *e)
{
    if (e->vector * 4u + 3 > c->idt.limit)
        return fault_code(c, EXC_GP, idt_code(e));
    if (deliver_ivt(c, e, c->idt.base))
        return true;
    c->eflags &= ~(FL_IF | FL_TF | FL_AC | FL_RF);
    return false;
}

/* ---- protected mode ---- */

/* Frame on the stack of a more privileged level. */
static bool push_inner(struct cpu *c, const struct event *e, unsigned size, unsigned dpl, struct stack *s,
                       uint16_t *ss_sel, struct desc *ss)
{
    static const uint8_t v86[] = { SEG_GS, SEG_FS, SEG_DS, SEG_ES };

    *s = (struct stack){ .idx = cpu_data_idx(c, dpl) };
    if (tss_stack(c, dpl, e->ext, ss_sel, &s->sp) || seg_check_ss(c, *ss_sel, dpl, EXC_TS, e->ext, ss))
        return true;
    s->seg = (struct seg){ .base = desc_base(ss),
                           .limit = desc_limit(ss),
                           .attr = (uint16_t)(ss->hi >> 8 & 0xf0ff) };
    s->mask = s->seg.attr & SEG_DB ? 0xffffffff : 0xffff;
    s->ss_code = (*ss_sel & ~3u) | e->ext;
    for (unsigned i = 0; cpu_vm(c) && i < sizeof(v86); i++) {
        if (stack_push(c, s, size, c->seg[v86[i]].sel))
            return true;
    }
    return stack_push(c, s, size, c->seg[SEG_SS].sel) || stack_push(c, s, size, c->r[R_SP]);
}

static bool deliver_gate(struct cpu *c, const struct event *e, const struct desc *g, bool interrupt,
                         unsigned size)
{
    static const uint8_t regs[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };
    uint16_t cs = (uint16_t)(g->lo >> 16), ss_sel = 0;
    uint32_t off = (g->lo & 0xffff) | (size == 4 ? g->hi & 0xffff0000 : 0), code = (cs & ~3u) | e->ext;
    struct desc d, ss = { 0 };
    struct stack s;
    bool vm = cpu_vm(c), inner;
    unsigned cpl;

    if (!(cs & ~3))
        return fault_gp(c, e->ext);
    if (desc_read(c, cs, EXC_GP, e->ext, &d))
        return true;
    if (!desc_code(&d) || desc_dpl(&d) > c->cpl)
        return fault_gp(c, code);
    if (!desc_p(&d))
        return fault_code(c, EXC_NP, code);
    inner = !desc_conforming(&d) && desc_dpl(&d) < c->cpl;
    if (vm && (!inner || desc_dpl(&d)))
        return fault_gp(c, code);
    cpl = inner ? desc_dpl(&d) : c->cpl;
    if (inner) {
        if (push_inner(c, e, size, cpl, &s, &ss_sel, &ss))
            return true;
    } else {
        stack_here(c, &s);
        s.ss_code = e->ext;
    }
    if (stack_push(c, &s, size, e->flags) || stack_push(c, &s, size, c->seg[SEG_CS].sel) ||
        stack_push(c, &s, size, e->rip) || (e->has_code && stack_push(c, &s, size, e->code)))
        return true;
    if (off > desc_limit(&d))
        return fault_gp(c, e->ext);
    if (desc_mark_accessed(c, &d))
        return true;
    enter_flags(c, interrupt);
    if (inner) {
        seg_set(c, SEG_SS, ss_sel, &ss);
        for (unsigned i = 0; vm && i < sizeof(regs); i++)
            seg_set_null(c, regs[i], 0);
    }
    c->r[R_SP] = stack_reg(&s, inner && s.mask != 0xffff ? 0 : c->r[R_SP]);
    seg_set_cs(c, cs, &d, cpl);
    c->rip = off;
    return false;
}

static bool deliver_task(struct cpu *c, const struct event *e, const struct desc *g)
{
    uint16_t sel = (uint16_t)(g->lo >> 16);
    uint32_t code = (sel & ~3u) | e->ext, was;
    struct desc d;

    if (sel & 4)
        return fault_gp(c, code);
    if (desc_read(c, sel, EXC_GP, e->ext, &d))
        return true;
    if (desc_s(&d) || (desc_type(&d) & 7) != DT_TSS16)
        return fault_gp(c, code);
    /* RF of a fault goes into the outgoing task's TSS. */
    was = c->eflags;
    c->eflags |= e->flags & FL_RF;
    if (!task_switch(c, &d, TASK_INT, e->rip, e->ext, e->has_code, e->code))
        return false;
    if (!c->fault.trap)                 /* nothing has been switched */
        c->eflags = was;
    return true;
}

static bool deliver_prot(struct cpu *c, const struct event *e)
{
    struct desc g = { 0 };
    uint64_t v;

    if (e->vector * 8u + 7 > c->idt.limit)
        return fault_gp(c, idt_code(e));
    if (sys_read(c, c->idt.base + e->vector * 8u, 8, &v))
        return true;
    g.lo = (uint32_t)v;
    g.hi = (uint32_t)(v >> 32);
    switch (desc_s(&g) ? 0 : desc_type(&g)) {
    case DT_TASK:
    case DT_INT16:
    case DT_TRAP16:
    case DT_INT32:
    case DT_TRAP32:
        break;
    default:
        return fault_gp(c, idt_code(e));
    }
    if (e->soft && desc_dpl(&g) < c->cpl)
        return fault_gp(c, idt_code(e));
    if (!desc_p(&g))
        return fault_code(c, EXC_NP, idt_code(e));
    if (desc_type(&g) == DT_TASK)
        return deliver_task(c, e, &g);
    return deliver_gate(c, e, &g, !(desc_type(&g) & 1), desc_type(&g) & 8 ? 4 : 2);
}

/* ---- IA-32e mode ---- */

static void put64(uint8_t *p, uint64_t v)
{
    for (unsigned i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

/* Write n quadwords at sp upwards; in one page (nearly always) with one check. */
static bool write_frame(struct cpu *c, uint64_t sp, enum mmu_idx idx, const uint64_t *v, unsigned n,
                        unsigned ext)
{
    void *host;
    long run;

    if (!canonical(sp) || !canonical(sp + 8 * n - 1))
        return fault_code(c, EXC_SS, ext);
    run = mmu_span(c, sp, 8 * n, ACC_WRITE, idx, &host);
    if (run < 0)
        return true;
    if (run == (long)(8 * n)) {
        for (unsigned i = 0; i < n; i++)
            put64((uint8_t *)host + 8 * i, v[i]);
        return false;
    }
    for (unsigned i = n; i-- > 0;) {
        uint8_t b[8];

        put64(b, v[i]);
        if (mmu_store(c, sp + 8 * i, 8, idx, b))
            return true;
    }
    return false;
}

static bool deliver_long(struct cpu *c, const struct event *e)
{
    uint64_t lo, hi, off, sp, frame[6];
    struct desc d, g = { 0 };
    unsigned ist, cpl, n = 0;
    uint16_t cs;
    uint32_t code;

    if (e->vector * 16u + 15 > c->idt.limit)
        return fault_gp(c, idt_code(e));
    if (sys_read(c, c->idt.base + e->vector * 16u, 8, &lo) ||
        sys_read(c, c->idt.base + e->vector * 16u + 8, 8, &hi))
        return true;
    g.lo = (uint32_t)lo;
    g.hi = (uint32_t)(lo >> 32);
    if (desc_s(&g) || (desc_type(&g) != DT_INT32 && desc_type(&g) != DT_TRAP32))
        return fault_gp(c, idt_code(e));
    if (e->soft && desc_dpl(&g) < c->cpl)
        return fault_gp(c, idt_code(e));
    if (!desc_p(&g))
        return fault_code(c, EXC_NP, idt_code(e));
    cs = (uint16_t)(g.lo >> 16);
    code = (cs & ~3u) | e->ext;
    off = (g.lo & 0xffff) | (g.hi & 0xffff0000) | hi << 32;
    ist = g.hi & 7;
    if (!(cs & ~3))
        return fault_gp(c, e->ext);
    if (desc_read(c, cs, EXC_GP, e->ext, &d))
        return true;
    if (!desc_code(&d) || desc_dpl(&d) > c->cpl || (d.hi & 0x600000) != 0x200000)
        return fault_gp(c, code);
    if (!desc_p(&d))
        return fault_code(c, EXC_NP, code);
    cpl = desc_conforming(&d) ? c->cpl : desc_dpl(&d);
    if (ist) {
        if (tss64_stack(c, 0x24 + 8 * (ist - 1), e->ext, &sp))
            return true;
    } else if (cpl < c->cpl) {
        if (tss64_stack(c, 4 + 8 * cpl, e->ext, &sp))
            return true;
    } else {
        sp = c->r[R_SP];
    }
    sp &= ~(uint64_t)15;
    if (e->has_code)
        frame[n++] = e->code;
    frame[n++] = e->rip;
    frame[n++] = c->seg[SEG_CS].sel;
    frame[n++] = e->flags;
    frame[n++] = c->r[R_SP];
    frame[n++] = c->seg[SEG_SS].sel;
    sp -= 8 * n;
    if (write_frame(c, sp, cpu_data_idx(c, cpl), frame, n, e->ext))
        return true;
    if (!canonical(off))
        return fault_gp(c, e->ext);
    if (desc_mark_accessed(c, &d))
        return true;
    enter_flags(c, desc_type(&g) == DT_INT32);
    if (cpl != c->cpl)
        seg_set_null(c, SEG_SS, (uint16_t)cpl);
    c->r[R_SP] = sp;
    seg_set_cs(c, cs, &d, cpl);
    c->rip = off;
    return false;
}

/* One attempt.  True: it faulted in turn, c->fault says how. */
static bool attempt(struct cpu *c, const struct event *e)
{
    bool faulted;

    if (!cpu_pe(c))
        faulted = deliver_real(c, e);
    else if (cpu_lma(c))
        faulted = deliver_long(c, e);
    else
        faulted = deliver_prot(c, e);
    if (!faulted) {
        cpu_update_mode(c);
        cpu_if_changed(c);
    }
    return faulted;
}

bool deliver_vector(struct cpu *c, unsigned vector, bool soft, unsigned ext, bool has_code, uint32_t code,
                    uint64_t rip)
{
    struct event e = { .vector = (uint8_t)vector,
                       .soft = soft,
                       .ext = (uint8_t)ext,
                       .has_code = has_code && cpu_pe(c),
                       .code = code,
                       .flags = cpu_eflags(c),
                       .rip = rip };

    return attempt(c, &e);
}

/* ---- nesting: SDM vol. 3, table 6-5 ---- */

enum exc_class { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE_FAULT };

static const uint8_t exc_class[32] = {
    [EXC_DE] = CONTRIBUTORY, [EXC_TS] = CONTRIBUTORY, [EXC_NP] = CONTRIBUTORY, [EXC_SS] = CONTRIBUTORY,
    [EXC_GP] = CONTRIBUTORY, [21] = CONTRIBUTORY, [EXC_PF] = PAGE_FAULT, [EXC_DF] = DOUBLE_FAULT,
};
enum combined { SERIAL, DOUBLE, SHUTDOWN };

/* [first][second] */
static const uint8_t combine[4][4] = {
    [BENIGN]       = { SERIAL, SERIAL,   SERIAL,   SERIAL },
    [CONTRIBUTORY] = { SERIAL, DOUBLE,   SERIAL,   SERIAL },
    [PAGE_FAULT]   = { SERIAL, DOUBLE,   DOUBLE,   SERIAL },
    [DOUBLE_FAULT] = { SERIAL, SHUTDOWN, SHUTDOWN, SHUTDOWN },
};

static void chain_add(struct cpu *c, unsigned vector, uint32_t code, uint64_t rip, uint64_t cr2)
{
    unsigned n = c->chain_len;

    if (n == sizeof(c->chain) / sizeof(c->chain[0]))
        n--;                            /* keep the first ones and the last */
    else
        c->chain_len++;
    c->chain[n].vector = (uint8_t)vector;
    c->chain[n].code = code;
    c->chain[n].rip = rip;
    c->chain[n].cr2 = cr2;
}

/* Faults push RF set, so that an instruction breakpoint is not taken again. */
static bool is_fault_class(const struct fault *f)
{
    return !f->trap && !f->soft && f->vector != EXC_DB && f->vector != EXC_BP && f->vector != EXC_OF &&
           f->vector != EXC_DF && f->vector != EXC_MC;
}

/*
 * Deliver c->fault, and what its delivery raises.  `cls` is the class of an event
 * before it that failed (BENIGN: none).  True: shutdown.
 */
static bool deliver_chain(struct cpu *c, enum exc_class cls)
{
    for (;;) {
        struct fault f = c->fault;
        enum exc_class second = f.vector < 32 ? (enum exc_class)exc_class[f.vector] : BENIGN;
        struct event e = { .vector = f.vector, .ext = !f.soft };

        if (f.trap)
            c->rip = f.rip;
        if (f.vector == EXC_PF)
            c->cr2 = f.cr2;
        /*
         * A second exception is caught only as the double fault it becomes: delivery goes on from there as it
         * would.
         */
        if (c->debug && cls == BENIGN && debug_fault(c))
            return false;
        chain_add(c, f.vector, f.code, c->rip, f.cr2);
        switch (combine[cls][second]) {
        case DOUBLE:
            f = (struct fault){ .vector = EXC_DF, .has_code = true };
            e.vector = EXC_DF;
            second = DOUBLE_FAULT;
            chain_add(c, EXC_DF, 0, c->rip, 0);
            c->fault = f;
            if (c->debug && debug_fault(c))
                return false;
            break;
        case SHUTDOWN:
            log_msg(LOG_INT, "triple fault at %04x:%llx", c->seg[SEG_CS].sel, (unsigned long long)c->rip);
            return true;
        }
        if (f.vector == EXC_DB) {
            c->dr[6] = (c->dr[6] & ~(uint64_t)0xf) | f.dr6;
            c->dr[7] &= ~(uint64_t)(1u << 13);  /* GD */
        }
        e.soft = f.soft;
        e.has_code = f.has_code && cpu_pe(c);
        e.code = f.code;
        e.rip = c->rip;
        e.flags = cpu_eflags(c) | (is_fault_class(&f) ? FL_RF : 0);
        if (log_on(LOG_INT)) {
            char label[SYMBOL_NAME];

            log_msg(LOG_INT, "exception %u code %x at %04x:%llx%s cpl %u cr2 %llx", f.vector, f.code,
                    c->seg[SEG_CS].sel, (unsigned long long)c->rip, rip_label(c, label, sizeof(label)), c->cpl,
                    (unsigned long long)f.cr2);
        }
        if (!attempt(c, &e))
            return false;
        cls = second;
    }
}

bool cpu_deliver_fault(struct cpu *c)
{
    c->inhibit = 0;
    c->step = 0;
    if (c->fault.vector == FAULT_FREEZE) {
        c->halted = HALT_FREEZE;        /* RIP stays: the instruction is tried again behind the interrupt */
        return false;
    }
    /* A double fault that was caught goes on with what led to it. */
    c->chain_len = c->debug && c->debug->deliver && c->chain_len ? c->chain_len - 1 : 0;
    c->halted = 0;              /* a trap behind HLT */
    return deliver_chain(c, BENIGN);    /* c->chain stays: `why` tells of it */
}

void cpu_shut_down(struct cpu *c)
{
    if (!(c->debug && debug_triple(c)))
        machine_request_stop(c->m, STOP_TRIPLE, 0);
}

/* ---- NMI and maskable interrupts ---- */

static void deliver_external(struct cpu *c, unsigned vector)
{
    struct event e = { .vector = (uint8_t)vector, .ext = 1, .flags = cpu_eflags(c), .rip = c->rip };

    c->halted = 0;
    if (log_on(LOG_INT)) {
        char label[SYMBOL_NAME];

        log_msg(LOG_INT, "interrupt %02x at %04x:%llx%s cpl %u", vector, c->seg[SEG_CS].sel,
                (unsigned long long)c->rip, rip_label(c, label, sizeof(label)), c->cpl);
    }
    if (!attempt(c, &e)) {
        if (c->debug)
            debug_interrupt(c, vector);
        return;
    }
    c->chain_len = 0;
    if (deliver_chain(c, BENIGN))
        cpu_shut_down(c);
}

bool cpu_take_interrupt(struct cpu *c)
{
    if (c->attn & ATTN_STORE) {
        __atomic_fetch_and(&c->attn, ~ATTN_STORE, __ATOMIC_SEQ_CST);
        if (c->halted == HALT_MWAIT)
            c->halted = HALT_NONE;
    }
    if (c->inhibit) {
        /* The run loop executes one instruction, then calls cpu_if_changed(). */
        __atomic_fetch_and(&c->attn, ~(ATTN_INTR | ATTN_IF | ATTN_NMI | ATTN_SMI), __ATOMIC_SEQ_CST);
        return false;
    }
    if (__atomic_load_n(&c->smi_pending, __ATOMIC_SEQ_CST) && !c->smm) {
        __atomic_fetch_and(&c->attn, ~ATTN_SMI, __ATOMIC_SEQ_CST);
        __atomic_store_n(&c->smi_pending, 0, __ATOMIC_SEQ_CST);
        cpu_enter_smm(c);
        return true;
    }
    if (c->nmi_pending && !c->nmi_blocked) {
        c->nmi_pending = 0;
        c->nmi_blocked = 1;
        __atomic_fetch_and(&c->attn, ~ATTN_NMI, __ATOMIC_SEQ_CST);
        deliver_external(c, EXC_NMI);
        return true;
    }
    /* Clear first, look after: whoever raises the line between the two sets it again. */
    __atomic_fetch_and(&c->attn, ~(ATTN_INTR | ATTN_IF | ATTN_NMI | ATTN_SMI), __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&c->intr_pending, __ATOMIC_SEQ_CST) && (c->eflags & FL_IF)) {
        unsigned vector;

        machine_lock(c->m);
        vector = c->m->int_ack(c->m, c->index);
        machine_unlock(c->m);
        deliver_external(c, vector);
        cpu_if_changed(c);
        return true;
    }
    if (c->halted == HALT_MWAIT && c->monitor.any && __atomic_load_n(&c->intr_pending, __ATOMIC_SEQ_CST))
        c->halted = HALT_NONE;
    return false;
}

/* ---- INT n, INT3, INTO, ICEBP ---- */

/*
 * INT n in virtual-8086 mode with CR4.VME: the TSS's redirection bitmap (32 bytes
 * below the I/O bitmap) says whether the program's own table takes it.
 */
static bool vme_redirected(struct cpu *c, unsigned vector, bool *yes)
{
    const struct seg *tr = &c->seg[SEG_TR];
    uint64_t base, v;

    *yes = false;
    if (!(tr->attr & 8) || tr->limit < 0x67)
        return false;
    if (sys_read(c, tr->base + 0x66, 2, &base))
        return true;
    if (base < 32 || base - 32 + vector / 8 > tr->limit)
        return false;
    if (sys_read(c, tr->base + base - 32 + vector / 8, 1, &v))
        return true;
    *yes = !(v >> (vector % 8) & 1);
    return false;
}

bool help_int_n(struct cpu *c, uint64_t vector, uint64_t next, uint64_t kind)
{
    if (kind == INT_KIND_N && cpu_pe(c) && cpu_vm(c)) {
        bool low = (c->eflags & FL_IOPL) != FL_IOPL, yes = false;

        if ((c->cr4 & CR4_VME) && vme_redirected(c, (unsigned)vector, &yes))
            return true;
        if (yes) {
            struct event e = { .vector = (uint8_t)vector, .soft = true, .rip = next, .flags = cpu_eflags(c) };

            if (low) {
                e.flags = (e.flags & ~FL_IF) | FL_IOPL | (c->eflags & FL_VIF ? FL_IF : 0);
            }
            if (deliver_ivt(c, &e, 0))
                return true;
            c->eflags &= ~(FL_TF | (low ? FL_VIF : FL_IF));
            cpu_update_mode(c);
            return false;
        }
        if (low)
            return fault_gp(c, 0);
    }
    if (kind == INT_KIND_ICEBP) {
        if (deliver_vector(c, EXC_DB, false, 1, false, 0, next))
            return true;
        c->dr[7] &= ~(uint64_t)(1u << 13);      /* GD */
        return false;
    }
    if (deliver_vector(c, (unsigned)vector, true, 0, false, 0, next))
        return true;
    if (c->debug)
        debug_interrupt(c, (unsigned)vector);
    return false;
}

bool help_into(struct cpu *c, uint64_t of, uint64_t next, uint64_t unused)
{
    if (of)
        return deliver_vector(c, EXC_OF, true, 0, false, 0, next);
    c->rip = next;
    return false;
}
