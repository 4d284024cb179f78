/*
 * reset.c - port CF9h: bit 1 chooses hard or soft, the rise of bit 2 resets
 * (ICH9 data sheet 13.7.5). Either kind resets the whole machine here.
 */
#include "base/log.h"
#include "hw/reset.h"

struct reset {
    struct irq reset;
    uint8_t value;
};

static const struct field reset_state[] = { FIELD(struct reset, value), FIELD_END };

static void reset_reset(void *dev)
{
    struct reset *s = dev;

    s->value = 0;
}

static uint64_t reset_read(void *dev, uint64_t off, unsigned size)
{
    struct reset *s = dev;

    return s->value;
}

static void reset_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct reset *s = dev;
    bool rise = (val & 4) && !(s->value & 4);

    s->value = val & 0x0e;
    if (rise)
        irq_set(&s->reset, true);
}

const struct io_ops reset_ops = { reset_read, reset_write, 1, LOG_DEV_RESET };
static const struct chip reset_chip = {
    "reset", sizeof(struct reset), reset_reset, reset_state, NULL
};

struct reset *reset_new(struct chip_list *chips, struct irq reset)
{
    struct reset *s = chip_new(chips, &reset_chip, "reset");

    s->reset = reset;
    return s;
}
