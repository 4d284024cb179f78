/*
 * ferr.c - how an AT and its successors report x87 errors when CR0.NE is 0 (SDM vol. 1, 8.7.2 and
 * appendix D; Intel 82371AB data sheet, coprocessor error register).
 *
 * FERR# sets a latch that drives IRQ 13.  A write to port F0h clears the latch and, while FERR# is
 * still asserted, asserts IGNNE#, so that the handler's own x87 instructions execute; FERR#
 * going away takes IGNNE# away.
 */
#include "base/log.h"
#include "hw/ferr.h"

struct ferr {
    struct irq irq, ignne;
    bool pin, latch, ignoring;
};

static void ferr_drive(struct ferr *f)
{
    irq_set(&f->irq, f->latch);
    irq_set(&f->ignne, f->ignoring);
}

void ferr_set(struct ferr *f, bool level)
{
    if (level && !f->pin)
        f->latch = true;
    if (!level)
        f->ignoring = false;
    f->pin = level;
    ferr_drive(f);
}

static uint64_t ferr_read(void *dev, uint64_t off, unsigned size)
{
    return 0xff;                /* write-only */
}

static void ferr_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct ferr *f = dev;

    f->latch = false;
    f->ignoring = f->pin;
    ferr_drive(f);
}

static void ferr_reset(void *dev)
{
    struct ferr *f = dev;

    f->pin = f->latch = f->ignoring = false;
    ferr_drive(f);
}

static void ferr_loaded(void *dev)
{
    ferr_drive(dev);
}

static const struct io_ops ferr_ops = { ferr_read, ferr_write, 1, LOG_DEV_FERR };
static const struct field ferr_state[] = { FIELD(struct ferr, pin), FIELD(struct ferr, latch),
                                           FIELD(struct ferr, ignoring), FIELD_END };
static const struct chip ferr_chip = { "ferr", sizeof(struct ferr), ferr_reset, ferr_state, ferr_loaded };

struct ferr *ferr_new(struct chip_list *chips, struct ports *ports, struct irq irq, struct irq ignne)
{
    struct ferr *f = chip_new(chips, &ferr_chip, "ferr");

    f->irq = irq;
    f->ignne = ignne;
    ports_map(ports, 0xf0, 1, &ferr_ops, f, "coprocessor error");
    return f;
}
