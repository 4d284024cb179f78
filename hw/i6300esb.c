/*
 * i6300esb.c - watchdog timer of the Intel 6300ESB I/O controller hub (data sheet 300641, chapter 16).
 *
 * Two stages: when the first preload value has been counted down there is an interrupt (or SMI, or
 * nothing), when the second has, too, WDT_TOUT# goes low, which on these boards does what the user has
 * chosen.  In free-running mode only the second value counts, again and again, and each end turns WDT_TOUT#
 * over.  Software reloads in time; preload and reload registers take a write only right after 80h and 86h
 * were written to the reload register. The counter's clock is PCI's, 33.3 MHz, by 2^15 or by 2^5.
 *
 * Invariants: the timer is armed exactly while `stage` is not 0; that the watchdog has bitten (WDT_TIMEOUT)
 * outlives resets, so that the next system can tell.
 */
#include "hw/i6300esb.h"

#include "base/log.h"
#include "hw/plug.h"

#define CONFIG 0x60
#define LOCK   0x68
#define PCI_CLOCK_NS 30u
#define PRELOAD_BITS 20

enum { CONFIG_INT = 0x03, CONFIG_FAST = 0x04, CONFIG_NO_OUTPUT = 0x20 };
enum { INT_IRQ = 0, INT_SMI = 2 };
enum { LOCK_LOCKED = 0x01, LOCK_ENABLE = 0x02, LOCK_FREE = 0x04, LOCK_BITS = 0x07 };
enum { REG_PRELOAD1, REG_PRELOAD2 = 4, REG_STATUS = 8, REG_RELOAD = 12, REGS = 16 };
enum { RELOAD_NOW = 0x100, RELOAD_TIMEOUT = 0x200 };
enum { KEY1 = 0x80, KEY2 = 0x86 };
enum { LOCKED, HALF, UNLOCKED };

struct i6300esb {
    struct pci_dev *pci;
    struct clock *clock;
    struct i6300esb_lines lines;
    struct timer timer;
    uint32_t preload[2];
    uint8_t stage;              /* 1 or 2: which is counting; 0: none is */
    uint8_t key;                /* how much of the unlocking sequence has come */
    uint8_t running;            /* LOCK_ENABLE as it was seen last */
    uint8_t interrupt, timed_out, low;
};

static void start(struct i6300esb *w, unsigned stage)
{
    unsigned shift = pci_config(w->pci, CONFIG, 2) & CONFIG_FAST ? 5 : 15;
    uint64_t ticks = (uint64_t)w->preload[stage - 1] << shift;

    w->stage = stage;
    timer_set(&w->timer, clock_now(w->clock) + (ticks ? ticks : 1) * PCI_CLOCK_NS);
}

static void stop(struct i6300esb *w)
{
    w->stage = 0;
    timer_cancel(&w->timer);
}

static bool runs_free(const struct i6300esb *w)
{
    return pci_config(w->pci, LOCK, 1) & LOCK_FREE;
}

static void first_stage(struct i6300esb *w)
{
    unsigned how = pci_config(w->pci, CONFIG, 2) & CONFIG_INT;

    if (how == INT_IRQ) {
        w->interrupt = 1;
        pci_irq(w->pci, true);
    } else if (how == INT_SMI) {
        irq_set(&w->lines.smi, true);
    }
    start(w, 2);
}

static void second_stage(struct i6300esb *w)
{
    bool connected = !(pci_config(w->pci, CONFIG, 2) & CONFIG_NO_OUTPUT);

    w->timed_out = 1;
    w->low = runs_free(w) ? !w->low : 1;
    if (runs_free(w))
        start(w, 2);
    else
        stop(w);
    log_dev(WATCHDOG, "second stage is over: WDT_TOUT# %s%s", w->low ? "low" : "high",
            connected ? "" : " (not connected)");
    if (connected && w->low)
        w->lines.expired(w->lines.arg);
}

static void fire(void *dev)
{
    struct i6300esb *w = dev;

    if (w->stage == 1)
        first_stage(w);
    else if (w->stage == 2)
        second_stage(w);
}

static void reload(struct i6300esb *w)
{
    if (w->running)
        start(w, runs_free(w) ? 2 : 1);
}

/* ---- registers ---- */

static uint32_t reg_value(const struct i6300esb *w, unsigned reg)
{
    switch (reg) {
    case REG_PRELOAD1: return w->preload[0];
    case REG_PRELOAD2: return w->preload[1];
    case REG_STATUS: return w->interrupt;
    default: return w->timed_out ? RELOAD_TIMEOUT : 0;
    }
}

static uint64_t esb_read(void *dev, uint64_t off, unsigned size)
{
    return reg_value(dev, off & ~3u) >> 8 * (off & 3);
}

/* The keys come one after the other; whatever else is written locks again. */
static bool is_key(struct i6300esb *w, uint32_t val)
{
    if (val == KEY1)
        w->key = HALF;
    else if (val == KEY2 && w->key == HALF)
        w->key = UNLOCKED;
    else
        return false;
    return true;
}

static void esb_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct i6300esb *w = dev;
    unsigned reg = off & ~3u, shift = 8 * (off & 3);
    uint32_t mask = (uint32_t)((1ull << 8 * size) - 1) << shift, bits = (uint32_t)val << shift;
    bool unlocked;

    if (reg == REG_STATUS) {
        if (bits & 1) {
            w->interrupt = 0;
            pci_irq(w->pci, false);
        }
        return;
    }
    if (reg == REG_RELOAD && is_key(w, bits))
        return;
    unlocked = w->key == UNLOCKED;
    w->key = LOCKED;
    if (!unlocked) {
        log_msg(LOG_GUEST, "i6300esb: register %u written (%#x) without unlocking it", reg, bits);
        return;
    }
    if (reg == REG_RELOAD) {
        if (bits & RELOAD_TIMEOUT)
            w->timed_out = 0;
        if (bits & RELOAD_NOW)
            reload(w);
    } else {
        uint32_t *p = &w->preload[reg / 4];

        *p = ((*p & ~mask) | (bits & mask)) & ((1u << PRELOAD_BITS) - 1);
    }
}

static void config_written(void *dev, unsigned off, unsigned size)
{
    struct i6300esb *w = dev;
    uint8_t lock = pci_config(w->pci, LOCK, 1);
    bool on = lock & LOCK_ENABLE;

    if (lock & LOCK_LOCKED)
        pci_config_writable(w->pci, LOCK, 1, 0);
    if (on == w->running)
        return;
    w->running = on;
    if (on)
        reload(w);
    else
        stop(w);
}

static void esb_reset(void *dev)
{
    struct i6300esb *w = dev;

    w->preload[0] = w->preload[1] = (1u << PRELOAD_BITS) - 1;
    w->key = LOCKED;
    w->running = w->interrupt = w->low = 0;
    stop(w);
    pci_config_set(w->pci, LOCK, 1, 0);
    pci_config_writable(w->pci, LOCK, 1, LOCK_BITS);
    pci_irq(w->pci, false);
}

static void esb_loaded(void *dev)
{
    struct i6300esb *w = dev;

    pci_config_writable(w->pci, LOCK, 1, pci_config(w->pci, LOCK, 1) & LOCK_LOCKED ? 0 : LOCK_BITS);
    timer_set(&w->timer, w->timer.due);
}

static const struct io_ops esb_ops = { esb_read, esb_write, 1 | 2 | 4, LOG_DEV_WATCHDOG };

static const struct field esb_state[] = {
    FIELD_ARRAY(struct i6300esb, preload), FIELD_MAX(struct i6300esb, stage, 2), FIELD(struct i6300esb, key),
    FIELD(struct i6300esb, running), FIELD(struct i6300esb, interrupt), FIELD(struct i6300esb, timed_out),
    FIELD(struct i6300esb, low), FIELD(struct i6300esb, timer.due), FIELD_END
};

static const struct chip esb_chip = { "i6300esb", sizeof(struct i6300esb), esb_reset, esb_state, esb_loaded };

struct i6300esb *i6300esb_new(struct chip_list *chips, const char *name, struct pci_bus *bus, unsigned slot,
                              unsigned fn, struct clock *clock, const struct i6300esb_lines *lines)
{
    static const struct pci_ident id = { .vendor = 0x8086, .device = 0x25ab, .class = 0x088000, .pin = 1 };
    struct pci_dev *pci = pci_add(bus, name, slot, fn, &id);
    struct i6300esb *w = chip_new(chips, &esb_chip, name);

    w->pci = pci;
    w->clock = clock;
    w->lines = *lines;
    timer_init(&w->timer, clock, fire, w);
    pci_config_init(pci, CONFIG, 2, 0, CONFIG_INT | CONFIG_FAST | CONFIG_NO_OUTPUT);
    pci_config_init(pci, LOCK, 1, 0, LOCK_BITS);
    pci_bar(pci, 0, REGS, 0, &esb_ops, w);
    pci_on_config(pci, config_written, w);
    esb_reset(w);
    return w;
}

/* ---- as a device of the command line ---- */

static void expired(void *m)
{
    machine_event(m, EVENT_WATCHDOG, "i6300esb");
}

static void smi(void *m, int line, bool level)
{
    cpu_lines.smi(m, 0);
}

static void make(struct plug_env *env, void *bus, const void *props)
{
    const struct plug_common *p = props;
    struct i6300esb_lines lines = { { .set = smi, .to = env->m }, expired, env->m };

    i6300esb_new(env->m->chips, p->name, env->pci, p->slot, p->fn, env->m->clock, &lines);
}

const struct plug i6300esb_plug = {
    "i6300esb", "watchdog timer; -watchdog-action says what it does", "PCI", sizeof(struct plug_common), NULL,
        NULL,
    make
};
