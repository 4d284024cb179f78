/*
 * debugcon.c - debug console in the manner of Bochs' port E9h: a byte written goes out, a read gives E9h
 * (or what readback= says), by which software recognises it.  A byte the outside does not take is lost: the port has no
 * way to make software wait.
 */
#include "base/log.h"
#include "hw/debugcon.h"

struct debugcon {
    struct chardev *chr;
    uint8_t readback;
};

static uint64_t debugcon_read(void *dev, uint64_t off, unsigned size)
{
    return ((const struct debugcon *)dev)->readback;
}

static void debugcon_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct debugcon *d = dev;
    uint8_t byte = (uint8_t)val;
    chardev_write(d->chr, &byte, 1);
}

static unsigned debugcon_room(void *dev)
{
    return 16;
}

/* There is no way in: what is typed is thrown away, and does not stand in the escape key's way. */
static void debugcon_receive(void *dev, const uint8_t *buf, unsigned n)
{
}

static const struct chardev_user debugcon_user = { debugcon_room, debugcon_receive, NULL, NULL };
static const struct io_ops debugcon_ops = { debugcon_read, debugcon_write, 1, LOG_DEV_DEBUGCON };
static const struct field debugcon_state[] = { FIELD_END };
static const struct chip debugcon_chip = {
    "debugcon", sizeof(struct debugcon), NULL, debugcon_state, NULL
};

struct debugcon *debugcon_new(struct chip_list *chips, const char *name, struct ports *ports, uint16_t port,
                              uint8_t readback, struct chardev *chr)
{
    struct debugcon *d = chip_new(chips, &debugcon_chip, name);
    d->chr = chr;
    d->readback = readback;
    ports_map(ports, port, 1, &debugcon_ops, d, name);
    chardev_connect(chr, &debugcon_user, d);
    return d;
}
