/*
 * lapic.c - the local APICs' registers, timer and MSRs (SDM vol. 3, chapter 10; x2APIC in 10.12).
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/trace.h"
#include "hw/lapic_int.h"

static const struct field lapic_state[] = {
    FIELD(struct lapic, base), FIELD(struct lapic, tpr), FIELD(struct lapic, ldr),
    FIELD(struct lapic, dfr), FIELD(struct lapic, svr), FIELD(struct lapic, esr),
    FIELD(struct lapic, esr_next), FIELD(struct lapic, icr), FIELD(struct lapic, icr_dest),
    FIELD_ARRAY(struct lapic, isr), FIELD_ARRAY(struct lapic, tmr), FIELD_ARRAY(struct lapic, irr),
    FIELD_ARRAY(struct lapic, owed),
    FIELD_ARRAY(struct lapic, lvt), FIELD(struct lapic, divide), FIELD(struct lapic, initial),
    FIELD(struct lapic, start), FIELD(struct lapic, due), FIELD(struct lapic, deadline),
    FIELD_ARRAY(struct lapic, lint), FIELD(struct lapic, extint_msg),
    FIELD(struct lapic, intr_out), FIELD_END
};
static const struct field apics_state[] = { FIELD(struct apics, turn), FIELD_END };
/* ---- timer (10.5.4) ---- */

static unsigned divisor(const struct lapic *l)
{
    unsigned code = (l->divide & 3) | (l->divide >> 1 & 4);

    return code == 7 ? 1 : 2u << code;
}

static unsigned timer_mode(const struct lapic *l)
{
    return l->lvt[LVT_TIMER] >> 17 & 3;
}

static uint64_t guest_tsc(const struct lapic *l)
{
    struct apics *s = l->bus;

    return clock_tsc(s->clock) + s->lines->tsc_offset(s->m, l->index);
}

static void timer_due(struct lapic *l, uint64_t due)
{
    l->due = due;
    if (due == UINT64_MAX)
        timer_cancel(&l->timer);
    else
        timer_set(&l->timer, due);
}

static uint64_t timer_period(const struct lapic *l)
{
    return (uint64_t)l->initial * divisor(l);   /* one input clock is one ns */
}

/* The timer is programmed anew. */
static void timer_forget(struct lapic *l)
{
    l->owed[l->lvt[LVT_TIMER] & 0xff] = 0;
}

static void timer_start(struct lapic *l)
{
    timer_forget(l);
    l->start = clock_now(l->bus->clock);
    timer_due(l, l->initial ? l->start + timer_period(l) : UINT64_MAX);
}

static uint32_t timer_current(const struct lapic *l)
{
    uint64_t now = clock_now(l->bus->clock), gone, period = timer_period(l);

    if (!l->initial || timer_mode(l) == LVT_DEADLINE || l->due == UINT64_MAX)
        return 0;
    gone = now - l->start;
    if (timer_mode(l) == LVT_PERIODIC)
        gone %= period;
    else if (gone >= period)
        return 0;
    return l->initial - gone / divisor(l);
}

/* 10^9 * n / hz without overflow. */
static uint64_t ticks_to_ns(uint64_t n, uint64_t hz)
{
    return n / hz * 1000000000u + n % hz * 1000000000u / hz;
}

static void deadline_arm(struct lapic *l)
{
    struct clock *k = l->bus->clock;
    uint64_t tsc = guest_tsc(l), left, now = clock_now(k);

    if (!l->deadline) {
        timer_due(l, UINT64_MAX);
        return;
    }
    left = l->deadline > tsc ? l->deadline - tsc : 0;
    /* Round up: firing a fraction early would find the deadline not reached. */
    left = left / clock_tsc_hz(k) > 4000000000u ? UINT64_MAX / 4
         : left ? ticks_to_ns(left, clock_tsc_hz(k)) + (clock_tsc_hz(k) != 1000000000u) : 0;
    timer_due(l, now + left);
}

static void timer_fire(void *dev)
{
    struct lapic *l = dev;
    uint64_t now = clock_now(l->bus->clock), period, ticks;

    if (l->due == UINT64_MAX)
        return;
    if (timer_mode(l) == LVT_DEADLINE) {
        if (guest_tsc(l) < l->deadline) {       /* the TSC was set back meanwhile */
            deadline_arm(l);
            return;
        }
        l->deadline = 0;
        timer_due(l, UINT64_MAX);
    } else if (timer_mode(l) == LVT_PERIODIC) {
        period = timer_period(l);
        if (period < MIN_PERIOD_NS)
            period = (MIN_PERIOD_NS + period - 1) / period * period;
        ticks = (now > l->due ? now - l->due : 0) / period + 1;
        trace_lapic_timer(l->index, (unsigned)ticks);
        timer_due(l, l->due + ticks * period);
        lapic_timer_ticks(l, ticks < IRQ_TICKS_MAX ? ticks : IRQ_TICKS_MAX);
        return;
    } else {
        timer_due(l, UINT64_MAX);
    }
    trace_lapic_timer(l->index, 1);
    lapic_lvt_fire(l, LVT_TIMER);
}

static void write_lvt(struct lapic *l, unsigned n, uint32_t val)
{
    static const uint32_t mask[LVT_COUNT] = {
        [LVT_TIMER] = 0x710ff, [LVT_THERMAL] = 0x117ff, [LVT_PERF] = 0x117ff,
        [LVT_LINT0] = 0x1b7ff, [LVT_LINT1] = 0x1b7ff, [LVT_ERROR] = 0x110ff,
    };
    unsigned was = timer_mode(l);

    if (n == LVT_TIMER)
        timer_catch_up(&l->timer);
    val = (val & mask[n] & ~0x1000u) | (l->lvt[n] & LVT_RIRR);
    if (!(l->svr & SVR_ENABLE))
        val |= LVT_MASKED;
    if ((n == LVT_LINT0 || n == LVT_LINT1) && !(val & LVT_LEVEL))
        val &= ~LVT_RIRR;
    if (n == LVT_TIMER && ((val & LVT_MASKED) || (val ^ l->lvt[n]) & 0x600ff))
        timer_forget(l);
    l->lvt[n] = val;
    if (n == LVT_TIMER && timer_mode(l) != was) {
        bool dl = timer_mode(l) == LVT_DEADLINE;

        if (dl || was == LVT_DEADLINE) {        /* 10.5.4.1: the change disarms */
            l->deadline = 0;
            l->initial = 0;
            timer_due(l, UINT64_MAX);
        } else if (l->due == UINT64_MAX && timer_mode(l) == LVT_PERIODIC && l->initial) {
            timer_start(l);
        }
    }
    /* A level that was waiting on a masked pin is seen now. */
    if (n == LVT_LINT0 && l->lint[0])
        lapic_pin(l, 0, true);
    lapic_update(l);
}

/* ---- registers ---- */

static uint32_t reg_read(struct lapic *l, unsigned reg)
{
    switch (reg) {
    case REG_ID:
        return lapic_x2mode(l) ? l->index : l->index << 24;
    case REG_VERSION:
        return VERSION;
    case REG_TPR:
        return l->tpr;
    case REG_APR:
        return 0;
    case REG_PPR:
        return lapic_ppr(l);
    case REG_LDR:
        return lapic_x2mode(l) ? lapic_x2_ldr(l->index) : l->ldr;
    case REG_DFR:
        return l->dfr;
    case REG_SVR:
        return l->svr;
    case REG_ISR ... REG_ISR + 7:
        return l->isr[reg - REG_ISR];
    case REG_TMR ... REG_TMR + 7:
        return l->tmr[reg - REG_TMR];
    case REG_IRR ... REG_IRR + 7:
        return l->irr[reg - REG_IRR];
    case REG_ESR:
        return l->esr;
    case REG_ICR:
        return l->icr;
    case REG_ICR_HI:
        return l->icr_dest << 24;
    case REG_LVT ... REG_LVT + LVT_COUNT - 1:
        return l->lvt[reg - REG_LVT];
    case REG_TIMER_INIT:
        return timer_mode(l) == LVT_DEADLINE ? 0 : l->initial;
    case REG_TIMER_CUR:
        return timer_current(l);
    case REG_DIVIDE:
        return l->divide;
    case REG_EOI:
        return 0;
    }
    lapic_error(l, ESR_ILLEGAL_REG);
    return 0;
}

static void reg_write(struct lapic *l, unsigned reg, uint32_t val)
{
    switch (reg) {
    case REG_ID:                        /* read-only, as on every processor with x2APIC */
    case REG_VERSION:
    case REG_APR:
    case REG_PPR:
    case REG_TIMER_CUR:
    case REG_ISR ... REG_IRR + 7:
        return;
    case REG_TPR:
        l->tpr = val & 0xff;
        lapic_update(l);
        return;
    case REG_EOI:
        lapic_eoi(l);
        return;
    case REG_LDR:
        l->ldr = val & 0xff000000u;
        return;
    case REG_DFR:
        l->dfr = val | 0x0fffffffu;
        return;
    case REG_SVR:
        l->svr = val & 0x11ff;
        if (!(val & SVR_ENABLE))
            for (unsigned i = 0; i < LVT_COUNT; i++)
                l->lvt[i] |= LVT_MASKED;
        lapic_update(l);
        return;
    case REG_ESR:
        l->esr = l->esr_next;
        l->esr_next = 0;
        return;
    case REG_ICR:
        l->icr = val & 0xccfff;
        lapic_icr_send(l);
        return;
    case REG_ICR_HI:
        l->icr_dest = val >> 24;
        return;
    case REG_LVT ... REG_LVT + LVT_COUNT - 1:
        write_lvt(l, reg - REG_LVT, val);
        return;
    case REG_TIMER_INIT:
        if (timer_mode(l) == LVT_DEADLINE)
            return;
        timer_catch_up(&l->timer);
        l->initial = val;
        timer_start(l);
        return;
    case REG_DIVIDE: {
        uint32_t left = timer_current(l);

        timer_forget(l);
        /* Changed while counting: go on from the count reached, at the new rate. */
        l->divide = val & 0xb;
        if (l->due != UINT64_MAX && timer_mode(l) != LVT_DEADLINE) {
            uint64_t now = clock_now(l->bus->clock);

            l->start = now - (uint64_t)(l->initial - left) * divisor(l);
            timer_due(l, now + (uint64_t)left * divisor(l));
        }
        return;
    }
    }
    log_msg(LOG_GUEST, "lapic%u: write of %08x to reserved register %03x", l->index, val, reg << 4);
    lapic_error(l, ESR_ILLEGAL_REG);
}

/* What RESET and INIT have in common (10.4.7); `base` and the pins stay. */
static void regs_reset(struct lapic *l)
{
    l->tpr = l->ldr = l->esr = l->esr_next = l->icr = l->icr_dest = 0;
    l->dfr = 0xffffffffu;
    l->svr = 0xff;
    memset(l->isr, 0, sizeof(l->isr));
    memset(l->tmr, 0, sizeof(l->tmr));
    memset(l->irr, 0, sizeof(l->irr));
    memset(l->owed, 0, sizeof(l->owed));
    for (unsigned i = 0; i < LVT_COUNT; i++)
        l->lvt[i] = LVT_MASKED;
    l->divide = l->initial = 0;
    l->start = l->deadline = 0;
    l->extint_msg = 0;
    timer_due(l, UINT64_MAX);
    lapic_update(l);
}

/* The processor was reset too and forgot its line: tell it the level in any case. */
static void lapic_renew(struct lapic *l)
{
    regs_reset(l);
    l->bus->lines->intr(l->bus->m, l->index, l->intr_out);
}

static void lapic_reset(void *dev)
{
    struct lapic *l = dev;

    l->base = LAPIC_BASE | BASE_EN | (l->index == 0 ? BASE_BSP : 0);
    l->lint[0] = l->lint[1] = 0;
    lapic_renew(l);
}

void apics_init(struct apics *s, unsigned cpu)
{
    lapic_renew(s->apic[cpu]);
}

void apics_virtual_wire(struct apics *s)
{
    struct lapic *l = s->apic[0];

    reg_write(l, REG_SVR, SVR_ENABLE | 0xff);
    write_lvt(l, LVT_LINT0, APIC_EXTINT << 8);
    write_lvt(l, LVT_LINT1, APIC_NMI << 8);
}

/* ---- the MMIO window ---- */

static struct lapic *accessed(struct apics *s)
{
    int cpu = s->lines->current(s->m);
    struct lapic *l;

    if (cpu < 0 || (unsigned)cpu >= s->n)
        return NULL;
    l = s->apic[cpu];
    return lapic_enabled(l) && !lapic_x2mode(l) ? l : NULL;
}

static uint64_t window_read(void *dev, uint64_t off, unsigned size)
{
    struct lapic *l = accessed(dev);

    if (!l)
        return 0xffffffffu;
    /* Registers are 128-bit aligned; what lies between them is undefined, here 0. */
    return off & 0xf || off >= 0x400 ? 0 : reg_read(l, off >> 4);
}

static void window_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct apics *s = dev;
    struct lapic *l = accessed(s);

    if (l && !(off & 0xf) && off < 0x3f0)
        reg_write(l, off >> 4, val);
    else if (s->lines->current(s->m) < 0)
        apics_msi(s, LAPIC_BASE + off, val);    /* a device's write to this page is an MSI */
}

static const struct io_ops window_ops = { window_read, window_write, 4, LOG_DEV_LAPIC };

/* ---- MSRs ---- */

static uint64_t base_reserved(const struct apics *s)
{
    return ~((1ull << s->phys_bits) - 1) | 0x2ff;
}

static bool base_write(struct lapic *l, uint64_t val)
{
    struct apics *s = l->bus;
    bool en = val & BASE_EN, extd = val & BASE_EXTD;

    /* 10.12.5: no EXTD without EN, no way from x2APIC to xAPIC or from disabled to x2APIC. */
    if ((val & base_reserved(s)) || (extd && !en) || (lapic_x2mode(l) && en && !extd) || (!lapic_enabled(l) && extd))
        return true;
    if ((val ^ l->base) & PAGE_MASK) {
        if (s->n > 1 || !map_move(s->window, val & PAGE_MASK, true))
            log_msg(LOG_UNIMP, "lapic%u: window not moved to %#llx", l->index,
                    (unsigned long long)(val & PAGE_MASK));
    }
    val = (val & ~(uint64_t)BASE_BSP) | (l->base & BASE_BSP);
    if (lapic_enabled(l) && !en) {
        l->base = val;
        regs_reset(l);
    } else {
        l->base = val;
    }
    lapic_update(l);
    return false;
}

static bool x2_readable(unsigned reg)
{
    switch (reg) {
    case REG_ID: case REG_VERSION: case REG_TPR: case REG_PPR: case REG_LDR: case REG_SVR:
    case REG_ISR ... REG_IRR + 7: case REG_ESR: case REG_ICR:
    case REG_LVT ... REG_LVT + LVT_COUNT - 1:
    case REG_TIMER_INIT: case REG_TIMER_CUR: case REG_DIVIDE:
        return true;
    }
    return false;
}

/* Bits that may be written to a register in x2APIC mode; 0 and not EOI/ESR: not writable. */
static uint64_t x2_writable(unsigned reg)
{
    static const uint32_t lvt[LVT_COUNT] = {
        [LVT_TIMER] = 0x710ff, [LVT_THERMAL] = 0x117ff, [LVT_PERF] = 0x117ff,
        [LVT_LINT0] = 0x1f7ff, [LVT_LINT1] = 0x1f7ff, [LVT_ERROR] = 0x110ff,
    };

    switch (reg) {
    case REG_TPR: case REG_SELF_IPI:
        return 0xff;
    case REG_SVR:
        return 0x11ff;
    case REG_ICR:
        return 0xffffffff000ccfffull | 0x1000;
    case REG_LVT ... REG_LVT + LVT_COUNT - 1:
        return lvt[reg - REG_LVT];
    case REG_TIMER_INIT:
        return 0xffffffffu;
    case REG_DIVIDE:
        return 0xb;
    }
    return 0;
}

static bool msr_read(struct lapic *l, uint32_t msr, uint64_t *val)
{
    unsigned reg = msr - 0x800;

    if (msr == 0x1b) {
        *val = l->base;
        return false;
    }
    if (msr == 0x6e0) {
        *val = l->deadline;
        return false;
    }
    if (!lapic_x2mode(l) || msr < 0x800 || !x2_readable(reg))
        return true;
    *val = reg_read(l, reg);
    if (reg == REG_ICR)
        *val |= (uint64_t)l->icr_dest << 32;
    return false;
}

bool apics_rdmsr(struct apics *s, unsigned cpu, uint32_t msr, uint64_t *val)
{
    bool gp = msr_read(s->apic[cpu], msr, val);

    log_dev(LAPIC, "lapic%u: rdmsr %x -> %llx%s", cpu, msr, gp ? 0 : (unsigned long long)*val,
            gp ? ": #GP" : "");
    return gp;
}

bool apics_wrmsr(struct apics *s, unsigned cpu, uint32_t msr, uint64_t val)
{
    struct lapic *l = s->apic[cpu];
    unsigned reg = msr - 0x800;

    log_dev(LAPIC, "lapic%u: wrmsr %x <- %llx", cpu, msr, (unsigned long long)val);
    if (msr == 0x1b)
        return base_write(l, val);
    if (msr == 0x6e0) {
        if (timer_mode(l) == LVT_DEADLINE) {
            timer_catch_up(&l->timer);
            l->deadline = val;
            deadline_arm(l);
        }
        return false;
    }
    if (!lapic_x2mode(l) || msr < 0x800 || (val & ~x2_writable(reg)))
        return true;
    if (!x2_writable(reg) && reg != REG_EOI && reg != REG_ESR)
        return true;
    switch (reg) {
    case REG_ICR:
        l->icr_dest = val >> 32;
        reg_write(l, REG_ICR, val);
        break;
    case REG_SELF_IPI:
        if (val < 16)
            lapic_error(l, ESR_SEND_ILLEGAL);
        else
            lapic_accept(l, APIC_FIXED, val, false);
        break;
    default:
        reg_write(l, reg, val);
    }
    return false;
}

uint8_t apics_cr8_get(struct apics *s, unsigned cpu)
{
    return s->apic[cpu]->tpr >> 4;
}

void apics_cr8_set(struct apics *s, unsigned cpu, uint8_t cr8)
{
    reg_write(s->apic[cpu], REG_TPR, (cr8 & 15) << 4);
}

/* ---- pins and construction ---- */

void apics_lint0(void *apics, int line, bool level)
{
    struct apics *s = apics;

    for (unsigned i = 0; i < s->n; i++)
        lapic_pin(s->apic[i], 0, level);
}

void apics_lint1(void *apics, int line, bool level)
{
    struct apics *s = apics;

    for (unsigned i = 0; i < s->n; i++)
        lapic_pin(s->apic[i], 1, level);
}

void apics_on_eoi(struct apics *s, void (*fn)(void *, uint8_t), void *arg)
{
    assert(s->n_eoi < MAX_EOI);
    s->eoi[s->n_eoi].fn = fn;
    s->eoi[s->n_eoi++].arg = arg;
}

static void apics_reset(void *dev)
{
    struct apics *s = dev;

    s->turn = 0;
    map_move(s->window, LAPIC_BASE, true);
}

static const char *lapic_check(const void *dev)
{
    const struct lapic *l = dev;

    if (l->base & base_reserved(l->bus))
        return "base has bits that it cannot have";
    if (l->due != UINT64_MAX && timer_mode(l) != LVT_DEADLINE && !l->initial)
        return "due is set of a timer whose initial count is 0";
    return NULL;
}

static void lapic_loaded(void *dev)
{
    struct lapic *l = dev;

    timer_due(l, l->due);
    l->bus->lines->intr(l->bus->m, l->index, l->intr_out);
}

static void apics_loaded(void *dev)
{
    struct apics *s = dev;

    if (s->n == 1)
        map_move(s->window, s->apic[0]->base & PAGE_MASK, true);
}

static void lapic_vectors(struct text *t, const char *name, const uint32_t *v)
{
    text_say(t, "  %s", name);
    for (unsigned n = 0; n < 256; n++)
        if (vec_get(v, n))
            text_say(t, " %02x", n);
    text_say(t, "\n");
}

static void lapic_info(const void *dev, struct text *t)
{
    static const char *const names[LVT_COUNT] = { "timer", "thermal", "perf", "LINT0", "LINT1", "error" };
    static const char *const modes[] = { "one-shot", "periodic", "TSC-deadline", "reserved" };
    const struct lapic *l = dev;

    text_say(t, "lapic %u: base %llx%s%s%s, SVR %08x%s\n", l->index,
             (unsigned long long)(l->base & PAGE_MASK), lapic_enabled(l) ? ", on" : ", off",
             lapic_x2mode(l) ? ", x2APIC" : "", l->base & BASE_BSP ? ", boot processor" : "", l->svr,
             l->svr & SVR_ENABLE ? "" : " (software disabled)");
    text_say(t, "  TPR %02x PPR %02x LDR %08x DFR %08x ESR %08x ICR %08x:%08x%s\n", l->tpr, lapic_ppr(l),
             l->ldr, l->dfr, l->esr, l->icr_dest, l->icr, l->intr_out ? ", interrupts the processor" : "");
    for (unsigned i = 0; i < LVT_COUNT; i++)
        text_say(t, "  LVT %-7s %08x vector %02x%s\n", names[i], l->lvt[i], l->lvt[i] & 0xff,
                 l->lvt[i] & LVT_MASKED ? ", masked" : "");
    text_say(t, "  timer: %s, divide %x, initial %u, now %u, deadline %llu\n",
             modes[l->lvt[LVT_TIMER] >> 17 & 3], l->divide, l->initial, timer_current(l),
             (unsigned long long)l->deadline);
    lapic_vectors(t, "ISR", l->isr);
    lapic_vectors(t, "IRR", l->irr);
    lapic_vectors(t, "TMR", l->tmr);
}

static const struct chip lapic_chip = {
    "lapic", sizeof(struct lapic), lapic_reset, lapic_state, lapic_loaded, .info = lapic_info,
    .check = lapic_check
};
static const struct chip apics_chip = {
    "apics", sizeof(struct apics), apics_reset, apics_state, apics_loaded
};

struct apics *apics_new(struct chip_list *chips, struct phys *phys, struct clock *clock,
                        struct machine *m, const struct cpu_lines *lines, unsigned ncpu,
                        unsigned phys_bits)
{
    struct apics *s = chip_new(chips, &apics_chip, "apics");

    assert(ncpu >= 1 && ncpu <= APICS_MAX);
    s->m = m;
    s->lines = lines;
    s->clock = clock;
    s->phys_bits = phys_bits;
    s->n = ncpu;
    s->window = phys_map_io(phys, LAPIC_BASE, PAGE_SIZE, &window_ops, s, "lapic");
    assert(s->window);
    for (unsigned i = 0; i < ncpu; i++) {
        snprintf(s->name[i], sizeof(s->name[i]), "lapic%u", i);
        s->apic[i] = chip_new(chips, &lapic_chip, s->name[i]);
        s->apic[i]->bus = s;
        s->apic[i]->index = i;
        s->apic[i]->due = UINT64_MAX;
        timer_init(&s->apic[i]->timer, clock, timer_fire, s->apic[i]);
        lapic_reset(s->apic[i]);
    }
    return s;
}
