/*
 * debugexit.c - isa-debug-exit (QEMU's device of that name, as kvm-unit-tests and kernel test
 * harnesses use it): a write of v of any size to any of its ports ends the machine with exit code
 * (v << 1) | 1, so that no exit reads as success.  Reading gives 0.
 */
#include "hw/debugexit.h"

#include "base/log.h"
#include "hw/plug.h"

struct debugexit {
    void (*stop)(void *arg, int code);
    void *arg;
};

static uint64_t debugexit_read(void *dev, uint64_t off, unsigned size)
{
    return 0;
}

static void debugexit_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct debugexit *d = dev;
    d->stop(d->arg, (int)(uint32_t)(val << 1 | 1));
}

static const struct io_ops debugexit_ops = { debugexit_read, debugexit_write, 1 | 2 | 4, LOG_DEV_DEBUG_EXIT };
static const struct field debugexit_state[] = { FIELD_END };
static const struct chip debugexit_chip = {
    "isa-debug-exit", sizeof(struct debugexit), NULL, debugexit_state, NULL
};

struct debugexit *debugexit_new(struct chip_list *chips, struct ports *ports, uint16_t iobase,
                                uint16_t iosize, void (*stop)(void *arg, int code), void *arg)
{
    struct debugexit *d = chip_new(chips, &debugexit_chip, "isa-debug-exit");
    d->stop = stop;
    d->arg = arg;
    ports_map(ports, iobase, iosize, &debugexit_ops, d, "isa-debug-exit");
    return d;
}

/* ---- as a device of the command line ---- */

struct debugexit_props {
    struct plug_common common;
    uint64_t iobase, iosize;
};

static const struct prop debugexit_props[] = {
    { "iobase", PROP_NUMBER, offsetof(struct debugexit_props, iobase), 0, 0xffff, "its first port" },
    { "iosize", PROP_NUMBER, offsetof(struct debugexit_props, iosize), 1, 0xffff, "how many ports" },
    PROP_END
};

static void machine_exit(void *to, int code)
{
    machine_request_stop(to, STOP_DEBUG_EXIT, code);
}

static void make(struct plug_env *env, void *bus, const void *props)
{
    const struct debugexit_props *p = props;

    debugexit_new(env->m->chips, env->m->ports, p->iobase, p->iosize, machine_exit, env->m);
}

const struct plug debugexit_plug = {
    "isa-debug-exit", "writing v to its port ends Latimer with exit code v*2+1", "ISA",
    sizeof(struct debugexit_props), &(const struct debugexit_props){ .iobase = 0xf4, .iosize = 4 },
    debugexit_props, make
};
