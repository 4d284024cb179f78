/*
 * acpi.c - ACPI fixed hardware: PM1a event/control, PM timer (ACPI 6.4, 4.8).
 *
 * Boards without SMI command port (SMI_CMD = 0 in the FADT) are always in ACPI mode and SCI_EN
 * reads 1.  Invariant: the SCI line is the OR of status & enable, if SCI_EN is set.
 */
#include "base/log.h"
#include "base/trace.h"
#include "hw/acpi.h"

#define STS_TMR (1u << 0)
#define STS_PWRBTN (1u << 8)
#define EN_ALL  (STS_TMR | 1u << 5 | STS_PWRBTN | 1u << 9 | 1u << 10)

#define CNT_SCI_EN 1u
#define CNT_KEEP   0x1c02u              /* BM_RLD and SLP_TYP; GBL_RLS and SLP_EN read 0 */
#define CNT_SLP_EN (1u << 13)

struct acpi {
    const struct acpi_model *model;
    struct ports *ports;
    uint16_t base;              /* 0: nowhere */
    struct clock *clock;
    struct irq sci;
    void (*off)(void *);
    void *arg;
    struct timer timer;
    uint16_t sts, en, cnt;
};

static const struct field acpi_state[] = {
    FIELD(struct acpi, sts), FIELD(struct acpi, en),
    FIELD(struct acpi, cnt), FIELD_END
};

/* 64-bit PM timer count; ns * 3579545 / 10^9 without overflow. */
static uint64_t pm_count(struct acpi *s)
{
    uint64_t ns = clock_now(s->clock);

    return ns / 1000000000u * ACPI_PM_HZ + ns % 1000000000u * ACPI_PM_HZ / 1000000000u;
}

static void update(struct acpi *s)
{
    bool level = (s->cnt & CNT_SCI_EN) && (s->sts & s->en);

    if (level)
        trace_acpi_sci(s->sts, s->en);
    irq_set(&s->sci, level);
}

/* TMR_STS follows each change of the timer's top bit, 600 s apart. */
static void timer_arm(struct acpi *s)
{
    uint64_t n = ((pm_count(s) >> 31) + 1) << 31;

    timer_set(&s->timer, n / ACPI_PM_HZ * 1000000000u + n % ACPI_PM_HZ * 1000000000u / ACPI_PM_HZ + 1);
}

static void timer_fire(void *dev)
{
    struct acpi *s = dev;

    s->sts |= STS_TMR;
    timer_arm(s);
    update(s);
}

void acpi_power_button(struct acpi *s)
{
    trace_acpi_power_button();
    s->sts |= STS_PWRBTN;
    update(s);
}

static void control(struct acpi *s, uint16_t val)
{
    s->cnt = (val & (CNT_KEEP | CNT_SCI_EN)) | (s->model->legacy ? 0 : CNT_SCI_EN);
    if (!(val & CNT_SLP_EN))
        return;
    trace_acpi_sleep(val >> 10 & 7);
    if ((val >> 10 & 7) == s->model->s5_type)
        s->off(s->arg);
    else
        log_msg(LOG_GUEST, "acpi: sleep type %u was not offered", val >> 10 & 7);
}

/* The 16-bit registers at offsets 0 (status), 2 (enable), 4 (control). */
static uint64_t pm1_read(void *dev, uint64_t off, unsigned size)
{
    struct acpi *s = dev;

    return off == 0 ? s->sts : off == 2 ? s->en : s->cnt;
}

static void pm1_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct acpi *s = dev;

    if (off == 0)
        s->sts &= ~val;
    else if (off == 2)
        s->en = val & EN_ALL;
    else
        control(s, val);
    update(s);
}

static uint64_t tmr_read(void *dev, uint64_t off, unsigned size)
{
    return (uint32_t)pm_count(dev);
}

static void tmr_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
}

static void acpi_reset(void *dev)
{
    struct acpi *s = dev;

    s->sts = s->en = 0;
    s->cnt = s->model->legacy ? 0 : CNT_SCI_EN;
    timer_arm(s);
    update(s);
}

static void acpi_loaded(void *dev)
{
    timer_arm(dev);
}

static const struct io_ops pm1_ops = { pm1_read, pm1_write, 2, LOG_DEV_ACPI };
static const struct io_ops tmr_ops = { tmr_read, tmr_write, 4, LOG_DEV_ACPI };
static const struct chip acpi_chip = {
    "acpi-pm", sizeof(struct acpi), acpi_reset, acpi_state, acpi_loaded
};

void acpi_move(struct acpi *s, uint16_t base)
{
    if (s->base == base)
        return;
    if (s->base) {
        ports_unmap(s->ports, s->base, 6);
        ports_unmap(s->ports, s->base + ACPI_PM_TMR, 4);
    }
    s->base = base;
    if (!base)
        return;
    ports_map(s->ports, base, 6, &pm1_ops, s, "acpi-pm1");
    ports_map(s->ports, base + ACPI_PM_TMR, 4, &tmr_ops, s, "acpi-timer");
}

void acpi_enable(struct acpi *s, bool on)
{
    s->cnt = (s->cnt & ~CNT_SCI_EN) | (on ? CNT_SCI_EN : 0);
    update(s);
}

struct acpi *acpi_new(struct chip_list *chips, const struct acpi_model *model, struct ports *ports,
                      uint16_t base, struct clock *clock, struct irq sci, void (*off)(void *arg), void *arg)
{
    struct acpi *s = chip_new(chips, &acpi_chip, "acpi-pm");

    s->model = model;
    s->ports = ports;
    s->clock = clock;
    s->sci = sci;
    s->off = off;
    s->arg = arg;
    timer_init(&s->timer, clock, timer_fire, s);
    acpi_move(s, base);
    acpi_reset(s);
    return s;
}
