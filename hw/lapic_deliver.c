/*
 * lapic_deliver.c - how interrupts reach a processor: priorities, acceptance, the messages between
 * APICs, acknowledge and EOI (SDM vol. 3, 10.6 and 10.8).
 *
 * Invariant: after every function that others call, `intr_out` of each APIC is
 * the level of its processor's interrupt line, and lines->intr() has been told
 * of every change. lapic_update() is the one place that computes it.
 */
#include "base/log.h"
#include "base/trace.h"
#include "hw/lapic_int.h"

/* ---- priorities (10.8.3) ---- */

static int highest(const uint32_t *v)
{
    for (int i = 7; i >= 0; i--)
        if (v[i])
            return i * 32 + 31 - __builtin_clz(v[i]);
    return -1;
}

uint32_t lapic_ppr(const struct lapic *l)
{
    int isr = highest(l->isr);
    uint32_t isrv = isr < 0 ? 0 : isr;

    return (l->tpr & 0xf0) >= (isrv & 0xf0) ? l->tpr : isrv & 0xf0;
}

/* The vector that would be delivered now, or -1. */
static int deliverable(const struct lapic *l)
{
    int irr;

    if (!lapic_enabled(l) || !(l->svr & SVR_ENABLE))
        return -1;
    irr = highest(l->irr);
    return irr >= 0 && ((uint32_t)irr & 0xf0) > (lapic_ppr(l) & 0xf0) ? irr : -1;
}

/*
 * Is the 8259's request on LINT0 the processor's?  With the APIC disabled the
 * pin is the processor's INTR (10.4.3); only the boot processor has it wired.
 */
static bool extint(const struct lapic *l)
{
    uint32_t lvt = l->lvt[LVT_LINT0];

    if (l->extint_msg)
        return true;
    if (!l->lint[0])
        return false;
    if (!lapic_enabled(l))
        return l->base & BASE_BSP;
    return !(lvt & LVT_MASKED) && (lvt >> 8 & 7) == APIC_EXTINT;
}

void lapic_update(struct lapic *l)
{
    bool level = extint(l) || deliverable(l) >= 0;

    if (level == l->intr_out)
        return;
    l->intr_out = level;
    l->bus->lines->intr(l->bus->m, l->index, level);
}

/* ---- accepting (10.8.4) ---- */

void lapic_error(struct lapic *l, uint32_t bits)
{
    uint32_t lvt = l->lvt[LVT_ERROR];
    bool news = bits & ~l->esr_next;

    l->esr_next |= bits;
    /* An error vector that is itself illegal must not recurse. */
    if (news && !(lvt & LVT_MASKED) && (lvt & 0xff) >= 16)
        lapic_accept(l, APIC_FIXED, lvt & 0xff, false);
}

void lapic_accept(struct lapic *l, enum apic_mode mode, uint8_t vector, bool level)
{
    struct apics *s = l->bus;

    log_dev(LAPIC, "lapic%u: message with mode %u, vector %02x, %s", l->index, mode, vector,
            level ? "level" : "edge");
    trace_lapic_accept(l->index, mode, vector, level);
    switch (mode) {
    case APIC_FIXED:
    case APIC_LOWEST:
        if (!lapic_enabled(l) || !(l->svr & SVR_ENABLE))
            return;
        if (vector < 16) {
            lapic_error(l, ESR_RECV_ILLEGAL);
            return;
        }
        /* An edge that finds its IRR bit set merges with it; the TMR follows the last message. */
        vec_put(l->irr, vector, true);
        vec_put(l->tmr, vector, level);
        lapic_update(l);
        return;
    case APIC_SMI:
        s->lines->smi(s->m, l->index);
        return;
    case APIC_NMI:
        s->lines->nmi(s->m, l->index);
        return;
    case APIC_INIT:
        s->lines->init(s->m, l->index);
        return;
    case APIC_SIPI:
        s->lines->sipi(s->m, l->index, vector);
        return;
    case APIC_EXTINT:
        l->extint_msg = 1;
        lapic_update(l);
        return;
    case APIC_RESERVED:
        break;
    }
    log_msg(LOG_GUEST, "lapic%u: message with reserved delivery mode", l->index);
}

/* n edges of a periodic source, of which the IRR holds one. */
static void accept_ticks(struct lapic *l, enum apic_mode mode, uint8_t vector, unsigned n)
{
    bool fixed = mode == APIC_FIXED || mode == APIC_LOWEST;
    bool merges = fixed && vec_get(l->irr, vector);

    lapic_accept(l, mode, vector, false);
    if (fixed && vec_get(l->irr, vector))
        l->owed[vector] = irq_owe(l->owed[vector], merges ? n : n - 1);
}

void lapic_timer_ticks(struct lapic *l, unsigned n)
{
    uint32_t lvt = l->lvt[LVT_TIMER];

    if (!(lvt & LVT_MASKED))
        accept_ticks(l, APIC_FIXED, lvt & 0xff, n);
}

void apics_forget(struct apics *s, uint8_t vector)
{
    for (unsigned i = 0; i < s->n; i++)
        s->apic[i]->owed[vector] = 0;
}

/* A local source fires through its LVT entry. */
void lapic_lvt_fire(struct lapic *l, unsigned n)
{
    uint32_t lvt = l->lvt[n];
    enum apic_mode mode = lvt >> 8 & 7;

    if (lvt & LVT_MASKED)
        return;
    if (n == LVT_TIMER || n == LVT_ERROR)
        mode = APIC_FIXED;
    if (mode == APIC_LOWEST || mode == APIC_SIPI || mode == APIC_RESERVED) {
        log_msg(LOG_GUEST, "lapic%u: LVT %u has delivery mode %u", l->index, n, mode);
        return;
    }
    lapic_accept(l, mode, lvt & 0xff, false);
}

void lapic_pin(struct lapic *l, unsigned pin, bool level)
{
    unsigned n = LVT_LINT0 + pin;
    bool rise = level && !l->lint[pin];
    uint32_t lvt = l->lvt[n];
    enum apic_mode mode = lvt >> 8 & 7;

    l->lint[pin] = level;
    if (!lapic_enabled(l)) {
        if (pin == 1 && rise)           /* disabled: LINT1 is the NMI pin */
            l->bus->lines->nmi(l->bus->m, l->index);
    } else if (mode == APIC_FIXED && pin == 0 && (lvt & LVT_LEVEL)) {
        if (level && !(lvt & (LVT_MASKED | LVT_RIRR))) {
            l->lvt[n] |= LVT_RIRR;
            lapic_accept(l, APIC_FIXED, lvt & 0xff, true);
        }
    } else if (mode != APIC_EXTINT && rise) {
        lapic_lvt_fire(l, n);
    }
    lapic_update(l);
}

void lapic_eoi(struct lapic *l)
{
    int v = highest(l->isr);
    struct apics *s = l->bus;

    if (v < 0)
        return;
    trace_lapic_eoi(l->index, (unsigned)v);
    vec_put(l->isr, v, false);
    if (vec_get(l->tmr, v)) {
        uint32_t *lint0 = &l->lvt[LVT_LINT0];

        if ((*lint0 & LVT_RIRR) && (*lint0 & 0xff) == (uint32_t)v) {
            *lint0 &= ~LVT_RIRR;
            if (l->lint[0])
                lapic_pin(l, 0, true);
        }
        if (!(l->svr & SVR_NO_EOI_CAST))
            for (unsigned i = 0; i < s->n_eoi; i++)
                s->eoi[i].fn(s->eoi[i].arg, v);
    }
    lapic_update(l);
}

/* ---- messages between APICs (10.6) ---- */

/* Logical ID in x2APIC mode is derived from the ID (10.12.10.2). */
uint32_t lapic_x2_ldr(uint32_t id)
{
    return (id >> 4) << 16 | 1u << (id & 15);
}

static bool matches(const struct lapic *l, const struct apic_msg *g)
{
    uint32_t all = g->x2 ? 0xffffffffu : 0xffu;

    if (!lapic_enabled(l))
        return false;
    if (g->dest == all)
        return true;
    if (!g->logical)
        return g->dest == l->index;
    if (lapic_x2mode(l)) {
        uint32_t ldr = lapic_x2_ldr(l->index);

        return g->dest >> 16 == ldr >> 16 && (g->dest & ldr & 0xffff);
    }
    if (g->dest > 0xff)
        return false;
    if (l->dfr >> 28 == 0xf)
        return g->dest & l->ldr >> 24;
    return g->dest >> 4 == l->ldr >> 28 && (g->dest & (l->ldr >> 24) & 0xf);
}

static void accept(struct lapic *l, const struct apic_msg *g, enum apic_mode mode)
{
    if (g->ticks && !g->level)
        accept_ticks(l, mode, g->vector, g->ticks);
    else
        lapic_accept(l, mode, g->vector, g->level);
}

bool apics_send(struct apics *s, const struct apic_msg *g)
{
    struct lapic *best = NULL;
    bool any = false;

    if (g->mode != APIC_LOWEST) {
        for (unsigned i = 0; i < s->n; i++)
            if (matches(s->apic[i], g)) {
                any = true;
                accept(s->apic[i], g, g->mode);
            }
        return any;
    }
    /* Lowest priority: the smallest PPR; equals in turn. */
    for (unsigned i = 0; i < s->n; i++) {
        struct lapic *l = s->apic[(s->turn + i) % s->n];

        if (matches(l, g) && (l->svr & SVR_ENABLE) && (!best || lapic_ppr(l) < lapic_ppr(best)))
            best = l;
    }
    if (!best)
        return false;
    s->turn = (best->index + 1) % s->n;
    accept(best, g, APIC_FIXED);
    return true;
}

void apics_msi(struct apics *s, uint64_t addr, uint32_t data)
{
    /* SDM vol. 3, 10.11: destination in 19:12, redirection hint 3, mode 2. */
    struct apic_msg g = { .dest = addr >> 12 & 0xff, .logical = addr >> 2 & 1,
                          .level = data >> 15 & 1, .mode = data >> 8 & 7, .vector = data & 0xff };

    if (g.mode == APIC_FIXED && (addr & 8))
        g.mode = APIC_LOWEST;
    apics_send(s, &g);
}

void apics_pci_msi(void *apics, uint64_t addr, uint32_t data)
{
    apics_msi(apics, addr, data);
}

void lapic_icr_send(struct lapic *l)
{
    struct apics *s = l->bus;
    unsigned shorthand = l->icr >> 18 & 3;
    struct apic_msg g = { .dest = l->icr_dest, .logical = l->icr & ICR_LOGICAL,
                          .level = l->icr & ICR_LEVEL, .x2 = lapic_x2mode(l), .mode = l->icr >> 8 & 7,
                          .vector = l->icr & 0xff };

    if ((g.mode == APIC_FIXED || g.mode == APIC_LOWEST) && g.vector < 16) {
        lapic_error(l, ESR_SEND_ILLEGAL);
        return;
    }
    /* INIT level de-assert only synchronises arbitration IDs, which nothing has any more. */
    if (g.mode == APIC_INIT && g.level && !(l->icr & ICR_ASSERT))
        return;
    if (g.mode == APIC_EXTINT || g.mode == APIC_RESERVED) {
        log_msg(LOG_GUEST, "lapic%u: IPI with delivery mode %u", l->index, g.mode);
        return;
    }
    if (g.mode != APIC_INIT)
        g.level = false;                /* IPIs are edge-triggered */
    trace_lapic_ipi(l->index, shorthand, g.dest, g.mode, g.vector);
    if (shorthand == 0) {
        apics_send(s, &g);
        return;
    }
    if (shorthand == 1) {
        if (g.mode == APIC_FIXED)
            lapic_accept(l, g.mode, g.vector, false);
        else
            log_msg(LOG_GUEST, "lapic%u: self IPI with delivery mode %u", l->index, g.mode);
        return;
    }
    for (unsigned i = 0; i < s->n; i++)
        if (lapic_enabled(s->apic[i]) && (shorthand == 2 || s->apic[i] != l))
            lapic_accept(s->apic[i], g.mode == APIC_LOWEST ? APIC_FIXED : g.mode, g.vector, false);
}

int apics_ack(struct apics *s, unsigned cpu)
{
    struct lapic *l = s->apic[cpu];
    int v;

    if (extint(l)) {
        l->extint_msg = 0;
        lapic_update(l);
        return -1;
    }
    v = deliverable(l);
    /* The request went away between the line and the acknowledge (10.9). */
    if (v < 0)
        return lapic_enabled(l) ? (int)(l->svr & 0xff) : -1;
    trace_lapic_ack(l->index, (unsigned)v);
    /* A tick that is owed waits at once; the ISR keeps it back until the EOI. */
    vec_put(l->irr, v, l->owed[v]);
    if (l->owed[v])
        l->owed[v]--;
    vec_put(l->isr, v, true);
    lapic_update(l);
    return v;
}
