/*
 * ich9.c - Intel 82801I (ICH9) LPC interface bridge (data sheet 316972, chapters 10 and 13): PIRQ routing,
 * root complex register block, power management, general-purpose I/O. 8259s, timer, reset control at CF9h
 * are chips of their own.
 *
 * The ACPI registers at the front of the PM block are acpi.c's; GPE and SMI registers are here: writing 1
 * clears status, the rest remembers. An SMI is made by the APM command port alone. The commands that turn
 * ACPI on and off are done at once, as a firmware's SMI handler would: kernels that are loaded directly
 * have none.
 * Not there: the TCO watchdog, events of GPIO pins, the RTC's and HPET's enables (both are always on).
 *
 * Invariants: an ISA line is driven exactly while some PIRQ that is high is routed to it; I/O APIC input 16
 * + n while PIRQ n is high.
 */
#include "hw/ich9.h"

#include "base/log.h"

#define PMBASE    0x40
#define ACPI_CNTL 0x44
#define GPIOBASE  0x48
#define GPIO_CNTL 0x4c
#define PIRQ_A    0x60
#define PIRQ_E    0x68
#define GEN_PMCON1 0xa0
#define RCBA      0xf0

#define ACPI_EN   0x80u
#define GPIO_EN   0x10u
#define SMI_LOCK  0x10u         /* GEN_PMCON_1: SMI_EN's GBL_SMI_EN stays */
#define PIRQ_OFF  0x80u
#define ROUTABLE  0xdef8u       /* IRQ 3-7, 9-12, 14, 15 */

/* PM block, from its base; what acpi.c does not have. */
#define REGS_AT   0x0c
#define REGS      (ICH9_PM_LEN - REGS_AT)
#define SMI_EN    0x30
#define SMI_STS   0x34
#define TCO       0x60
#define GBL_SMI_EN 0x01u
#define APMC_EN   0x20u
#define APM_STS   0x20u

/* Root complex registers. */
#define RCRB_LEN  0x4000u
#define ROUTES    0x3140u       /* D31IR, D30IR, ...: which PIRQ each pin is on, a nibble each */
#define ROUTES_LEN 0x14u
#define NO_REBOOT 0x20u         /* GCS, at 3410h */

#define GPIO_LEN  64

struct ich9 {
    struct pci_dev *pci;
    struct pci_bus *bus;
    struct ports *ports;
    struct phys *phys;
    struct ich9_lines lines;
    struct acpi *acpi;
    struct map *rcrb;
    uint16_t pm_at, gpio_at;    /* where they are, 0: nowhere */
    uint8_t level[ICH9_PIRQS];
    uint16_t driven;            /* ISA lines */
    uint8_t reg[REGS];
    uint8_t apm[2];
    uint8_t gpio[GPIO_LEN];
    uint8_t rc[RCRB_LEN];
};

static const struct field ich9_state[] = {
    FIELD_ARRAY(struct ich9, level), FIELD(struct ich9, driven), FIELD_ARRAY(struct ich9, reg),
    FIELD_ARRAY(struct ich9, apm), FIELD_ARRAY(struct ich9, gpio), FIELD_ARRAY(struct ich9, rc), FIELD_END
};

/* ---- interrupts ---- */

unsigned ich9_pirq_of(unsigned slot, unsigned pin)
{
    return slot < 25 ? 4 + ((slot + pin) & 3) : pin;
}

/* Where the device interrupt route register of slots 25 to 31 is; 0: slot 30, whose pins are fixed. */
static unsigned route_register(unsigned slot)
{
    static const uint8_t at[7] = { 0x10, 0x0c, 0x08, 0x06, 0x04, 0, 0x00 };

    return slot == 30 ? 0 : ROUTES + at[slot - 25];
}

static unsigned route(void *dev, unsigned slot, unsigned pin)
{
    struct ich9 *s = dev;
    unsigned at = slot < 25 ? 0 : route_register(slot);

    return at ? s->rc[at + pin / 2] >> 4 * (pin & 1) & 7 : ich9_pirq_of(slot, pin);
}

static unsigned pirq_reg(unsigned n)
{
    return n < 4 ? PIRQ_A + n : PIRQ_E + n - 4;
}

static void isa_update(struct ich9 *s)
{
    uint16_t want = 0, changed;

    for (unsigned n = 0; n < ICH9_PIRQS; n++) {
        unsigned to = pci_config(s->pci, pirq_reg(n), 1);

        if (s->level[n] && !(to & PIRQ_OFF))
            want |= 1u << (to & 15) & ROUTABLE;
    }
    changed = want ^ s->driven;
    s->driven = want;
    for (unsigned irq = 0; irq < 16; irq++)
        if (changed >> irq & 1)
            s->lines.isa.set(s->lines.isa.to, irq, want >> irq & 1);
}

void ich9_pirq(void *dev, int n, bool level)
{
    struct ich9 *s = dev;

    s->level[n] = level;
    s->lines.gsi.set(s->lines.gsi.to, 16 + n, level);
    isa_update(s);
}

/* ---- power management ---- */

static const struct { uint8_t off, len; bool status; } kinds[] = {
    { 0x10, 4, false },         /* PROC_CNT */
    { ICH9_GPE, 8, true },
    { ICH9_GPE + 8, 8, false },
    { SMI_EN, 4, false },
    { SMI_STS, 4, true },
    { 0x38, 2, false },         /* ALT_GP_SMI_EN */
    { 0x3a, 2, true },
    { 0x42, 1, false },         /* GPE_CNTL */
    { 0x44, 2, true },          /* DEVACT_STS */
    { 0x50, 1, false },         /* PM2_CNT */
};

static uint64_t reg_read(void *dev, uint64_t off, unsigned size)
{
    return ((struct ich9 *)dev)->reg[off];
}

static void reg_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct ich9 *s = dev;
    unsigned at = off + REGS_AT;

    if (at >= TCO)
        log_msg(LOG_UNIMP, "ich9: the TCO watchdog is not there: register %#x", at - TCO);
    if (at == SMI_EN && (pci_config(s->pci, GEN_PMCON1, 1) & SMI_LOCK))
        val = (val & ~GBL_SMI_EN) | (s->reg[off] & GBL_SMI_EN);
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (at - kinds[i].off < kinds[i].len)
            s->reg[off] = kinds[i].status ? s->reg[off] & ~val : val;
}

static uint64_t apm_read(void *dev, uint64_t off, unsigned size)
{
    return ((struct ich9 *)dev)->apm[off];
}

static void apm_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct ich9 *s = dev;

    s->apm[off] = val;
    if (off)
        return;
    if (val == ICH9_ACPI_ENABLE || val == ICH9_ACPI_DISABLE)
        acpi_enable(s->acpi, val == ICH9_ACPI_ENABLE);
    if ((s->reg[SMI_EN - REGS_AT] & (APMC_EN | GBL_SMI_EN)) != (APMC_EN | GBL_SMI_EN))
        return;
    s->reg[SMI_STS - REGS_AT] |= APM_STS;
    irq_set(&s->lines.smi, true);
}

/* ---- general-purpose I/O: no pin is connected, inputs read 1 ---- */

static const struct { uint8_t level, select; } gpio_groups[] = { { 0x0c, 0x04 }, { 0x38, 0x34 } };

static uint64_t gpio_read(void *dev, uint64_t off, unsigned size)
{
    struct ich9 *s = dev;

    for (unsigned i = 0; i < 2; i++)            /* a pin that is selected as an input reads 1 */
        if (off - gpio_groups[i].level < 4)
            return s->gpio[off] | s->gpio[gpio_groups[i].select + off - gpio_groups[i].level];
    return s->gpio[off];
}

static void gpio_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    ((struct ich9 *)dev)->gpio[off] = val;
}

/* ---- root complex registers ---- */

/* What is there, with values after reset; the rest reads 0. */
static const struct { uint16_t off, size; uint32_t val, writable; } rc_regs[] = {
    /* D31IP: which pin a function has; devices' own say so, too */
    { 0x3100, 4, 0x03243200, 0xffffffff },
    { 0x3104, 4, 0, 0 },
    { 0x3108, 4, 0x10004321, 0xffffffff },      /* D29IP, D28IP, D27IP, D26IP, D25IP */
    { 0x310c, 4, 0x00214321, 0xffffffff },
    { 0x3110, 4, 0x00000001, 0xf },
    { 0x3114, 4, 0x30000321, 0xffffffff },
    { 0x3118, 4, 0x00000001, 0xf },
    { 0x3140, 2, 0x3210, 0x7777 },              /* D31IR; D30IR is reserved */
    { 0x3144, 2, 0x3210, 0x7777 },
    { 0x3146, 2, 0x3210, 0x7777 },
    { 0x3148, 2, 0x3210, 0x7777 },
    { 0x314c, 2, 0x3210, 0x7777 },
    { 0x3150, 2, 0x3210, 0x7777 },
    { 0x31fe, 2, 0x0100, 0x03ff },              /* OIC: the I/O APIC is on */
    { 0x3400, 4, 0, 0x1c },                     /* RC: RTC */
    { 0x3404, 4, 0x80, 0x83 },                  /* HPTC: HPET on, at FED00000 */
    { 0x3410, 4, NO_REBOOT, 0x0c20 },           /* GCS */
    { 0x3414, 4, 0, 0x21 },                     /* BUC */
    { 0x3418, 4, 1, 0xffffffff },               /* FD: functions disabled */
};

static uint64_t rc_read(void *dev, uint64_t off, unsigned size)
{
    return ((struct ich9 *)dev)->rc[off];
}

static void rc_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct ich9 *s = dev;

    for (unsigned i = 0; i < sizeof(rc_regs) / sizeof(rc_regs[0]); i++) {
        unsigned at = off - rc_regs[i].off;
        uint8_t writable = at < rc_regs[i].size ? rc_regs[i].writable >> 8 * at : 0;

        s->rc[off] = (s->rc[off] & ~writable) | (val & writable);
    }
    if (off - ROUTES < ROUTES_LEN)
        pci_rerouted(s->bus);
}

static const struct io_ops reg_ops = { reg_read, reg_write, 1, LOG_DEV_ACPI };
static const struct io_ops apm_ops = { apm_read, apm_write, 1, LOG_DEV_ACPI };
static const struct io_ops gpio_ops = { gpio_read, gpio_write, 1, LOG_DEV_ICH9 };
static const struct io_ops rc_ops = { rc_read, rc_write, 1, LOG_DEV_ICH9 };

/* ---- configuration space ---- */

static bool free_ports(struct ich9 *s, uint16_t base, unsigned len, const char *what)
{
    if (base && !ports_taken(s->ports, base, len))
        return true;
    if (base)
        log_msg(LOG_GUEST, "ich9: %s at %#x overlap others' ports", what, base);
    return false;
}

static void pm_move(struct ich9 *s)
{
    unsigned control = pci_config(s->pci, ACPI_CNTL, 1);
    uint16_t base = control & ACPI_EN ? pci_config(s->pci, PMBASE, 2) & 0xff80 : 0;

    if (control & 7)
        log_msg(LOG_UNIMP, "ich9: the SCI stays interrupt %u", ICH9_SCI);
    if (base == s->pm_at)
        return;
    acpi_move(s->acpi, 0);
    if (s->pm_at)
        ports_unmap(s->ports, s->pm_at + REGS_AT, REGS);
    s->pm_at = 0;
    if (!free_ports(s, base, ICH9_PM_LEN, "power management registers"))
        return;
    s->pm_at = base;
    acpi_move(s->acpi, base);
    ports_map(s->ports, base + REGS_AT, REGS, &reg_ops, s, "ich9-pm");
}

static void gpio_move(struct ich9 *s)
{
    uint16_t base = pci_config(s->pci, GPIOBASE, 2) & 0xffc0;

    if (!(pci_config(s->pci, GPIO_CNTL, 1) & GPIO_EN))
        base = 0;
    if (base == s->gpio_at)
        return;
    if (s->gpio_at)
        ports_unmap(s->ports, s->gpio_at, GPIO_LEN);
    s->gpio_at = 0;
    if (!free_ports(s, base, GPIO_LEN, "general-purpose I/O registers"))
        return;
    s->gpio_at = base;
    ports_map(s->ports, base, GPIO_LEN, &gpio_ops, s, "ich9-gpio");
}

static void rc_move(struct ich9 *s)
{
    uint32_t v = pci_config(s->pci, RCBA, 4), base = v & ~(RCRB_LEN - 1);
    bool on = (v & 1) && base;
    bool ok = true;

    if (s->rcrb)
        ok = map_move(s->rcrb, base, on);
    else if (on)
        ok = (s->rcrb = phys_map_io(s->phys, base, RCRB_LEN, &rc_ops, s, "ich9-rcrb")) != NULL;
    if (!ok)
        log_msg(LOG_GUEST, "ich9: root complex registers at %#x overlap a device", base);
}

static void written(void *dev, unsigned off, unsigned size)
{
    struct ich9 *s = dev;

    if (off < GPIO_CNTL + 4) {
        pm_move(s);
        gpio_move(s);
    }
    if (off < PIRQ_E + 4 && off + size > PIRQ_A)
        isa_update(s);
    if (off + size > RCBA)
        rc_move(s);
}

void ich9_place(struct ich9 *s, uint16_t pm, uint32_t rcba)
{
    pci_config_set(s->pci, PMBASE, 2, pm | 1);
    pci_config_set(s->pci, ACPI_CNTL, 1, ACPI_EN);
    pci_config_set(s->pci, RCBA, 4, rcba | 1);
    for (unsigned n = 0; n < ICH9_PIRQS; n++)
        pci_config_set(s->pci, pirq_reg(n), 1, n & 2 ? 11 : 10);
    pm_move(s);
    rc_move(s);
    isa_update(s);
}

void ich9_power_button(struct ich9 *s)
{
    acpi_power_button(s->acpi);
}

/* After the configuration space, a chip of its own that comes first. */
static void ich9_reset(void *dev)
{
    struct ich9 *s = dev;

    for (unsigned n = 0; n < ICH9_PIRQS; n++)
        s->level[n] = 0;
    for (unsigned i = 0; i < REGS; i++)
        s->reg[i] = 0;
    /* By that firmware for emulated machines knows that there are no SMIs. */
    s->reg[SMI_EN - REGS_AT] = s->lines.smi.set ? 0 : APMC_EN;
    for (unsigned i = 0; i < GPIO_LEN; i++)
        s->gpio[i] = 0;
    for (unsigned i = 0; i < 4; i++)            /* all pins are inputs */
        s->gpio[gpio_groups[0].select + i] = s->gpio[gpio_groups[1].select + i] = 0xff;
    for (unsigned i = 0; i < RCRB_LEN; i++)
        s->rc[i] = 0;
    for (unsigned i = 0; i < sizeof(rc_regs) / sizeof(rc_regs[0]); i++)
        for (unsigned b = 0; b < rc_regs[i].size; b++)
            s->rc[rc_regs[i].off + b] = rc_regs[i].val >> 8 * b;
    s->apm[0] = s->apm[1] = 0;
    pm_move(s);
    gpio_move(s);
    rc_move(s);
    isa_update(s);
}

static void ich9_loaded(void *dev)
{
    struct ich9 *s = dev;

    pm_move(s);
    gpio_move(s);
    rc_move(s);
}

static const struct chip ich9_chip = { "ich9", sizeof(struct ich9), ich9_reset, ich9_state, ich9_loaded };

struct ich9 *ich9_new(struct chip_list *chips, struct pci_bus *bus, struct ports *ports, struct phys *phys,
                      struct clock *clock, const struct ich9_lines *lines)
{
    static const struct pci_ident id = { .vendor = 0x8086, .device = 0x2918, .class = 0x060100, .revision = 2,
                                         .subvendor = 0x1af4, .subdevice = 0x1100 };
    static const struct acpi_model model = { .s5_type = ICH9_S5_TYPE, .legacy = true };
    /* Registers with their values after reset and the bits software may write. */
    static const struct { uint8_t off, size; uint32_t val, writable; } regs[] = {
        { 0x04, 2, 0x0007, 0x0140 },            /* command: it always decodes */
        { PMBASE, 4, 1, 0xff80 }, { ACPI_CNTL, 1, 0, 0x87 },
        { GPIOBASE, 4, 1, 0xffc0 }, { GPIO_CNTL, 1, 0, 0x11 },
        { 0x64, 1, 0x10, 0xff },                /* serial interrupts */
        { 0x80, 2, 0, 0x1377 }, { 0x82, 2, 0, 0x3f0f },         /* what is decoded to LPC */
        { 0x84, 4, 0, 0x00fcfffd }, { 0x88, 4, 0, 0x00fcfffd }, { 0x8c, 4, 0, 0x00fcfffd }, { 0x90, 4, 0,
                                                                                              0x00fcfffd },
        { GEN_PMCON1, 2, 0, 0x16ff }, { 0xa2, 2, 0, 0x00ff }, { 0xa4, 1, 0, 0xd9 },
        { 0xb8, 4, 0, 0xffffffff },             /* GPIO_ROUT */
        { 0xd0, 4, 0x00112233, 0xffffffff }, { 0xd4, 2, 0x4567, 0xffff },       /* firmware hub */
        { 0xd8, 2, 0xffcf, 0x3fff }, { 0xdc, 1, 0, 0x03 },
        { RCBA, 4, 0, 0xffffc001u },
    };
    struct pci_dev *pci = pci_add(bus, "lpc-bridge", ICH9_SLOT, 0, &id);
    struct ich9 *s = chip_new(chips, &ich9_chip, "ich9");

    for (unsigned i = 0; i < sizeof(regs) / sizeof(regs[0]); i++)
        pci_config_init(pci, regs[i].off, regs[i].size, regs[i].val, regs[i].writable);
    for (unsigned n = 0; n < ICH9_PIRQS; n++)
        pci_config_init(pci, pirq_reg(n), 1, PIRQ_OFF, 0x8f);
    s->pci = pci;
    s->bus = bus;
    s->ports = ports;
    s->phys = phys;
    s->lines = *lines;
    s->acpi = acpi_new(chips, &model, ports, 0, clock, lines->sci, lines->off, lines->arg);
    pci_bus_route(bus, route, s);
    pci_on_config(pci, written, s);
    ports_map(ports, ICH9_APM_PORT, 2, &apm_ops, s, "apm");
    ich9_reset(s);
    return s;
}
