/*
 * pvpanic.c - pvpanic, by which a guest's kernel says that it has panicked (QEMU's docs/specs/pvpanic: an
 * I/O port, or a byte of a PCI function's memory).  Reading gives the events there are, writing one of them
 * tells of it. There is nothing to remember.
 */
#include "hw/pvpanic.h"

#include "base/log.h"
#include "hw/plug.h"

enum { PANICKED = 1, CRASH_KERNEL = 2, EVENTS = PANICKED | CRASH_KERNEL };
#define REGS 16                 /* of the PCI function: the smallest BAR there is */

struct pvpanic {
    void (*event)(void *arg, bool crash_kernel);
    void *arg;
};

static uint64_t pvpanic_read(void *dev, uint64_t off, unsigned size)
{
    return off ? 0 : EVENTS;
}

static void pvpanic_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct pvpanic *p = dev;

    if (off || (val & ~(uint64_t)EVENTS))
        log_msg(LOG_GUEST, "pvpanic: unknown event %#llx", (unsigned long long)val);
    else if (val)
        p->event(p->arg, !(val & PANICKED));
}

static const struct io_ops pvpanic_ops = { pvpanic_read, pvpanic_write, 1, LOG_DEV_PVPANIC };
static const struct field pvpanic_state[] = { FIELD_END };
static const struct chip pvpanic_chip = { "pvpanic", sizeof(struct pvpanic), NULL, pvpanic_state, NULL };

static struct pvpanic *pvpanic_new(struct chip_list *chips, const char *name,
                                   void (*event)(void *arg, bool crash_kernel), void *arg)
{
    struct pvpanic *p = chip_new(chips, &pvpanic_chip, name);

    p->event = event;
    p->arg = arg;
    return p;
}

void pvpanic_isa_new(struct chip_list *chips, const char *name, struct ports *ports, uint16_t port,
                     void (*event)(void *arg, bool crash_kernel), void *arg)
{
    ports_map(ports, port, 1, &pvpanic_ops, pvpanic_new(chips, name, event, arg), "pvpanic");
}

void pvpanic_pci_new(struct chip_list *chips, const char *name, struct pci_bus *bus, unsigned slot,
                     unsigned fn,
                     void (*event)(void *arg, bool crash_kernel), void *arg)
{
    static const struct pci_ident id = { .vendor = 0x1b36, .device = 0x0011, .class = 0x088000,
                                         .revision = 1 };
    struct pci_dev *pci = pci_add(bus, name, slot, fn, &id);

    pci_bar(pci, 0, REGS, 0, &pvpanic_ops, pvpanic_new(chips, name, event, arg));
}

/* ---- as devices of the command line ---- */

struct isa_props {
    struct plug_common common;
    uint64_t port;
};

static const struct prop isa_props[] = {
    { "ioport", PROP_NUMBER, offsetof(struct isa_props, port), 1, 0xffff, "its port" }, PROP_END
};

static void event(void *m, bool crash_kernel)
{
    machine_event(m, crash_kernel ? EVENT_CRASH_KERNEL : EVENT_PANIC, "pvpanic");
}

static void make_isa(struct plug_env *env, void *bus, const void *props)
{
    const struct isa_props *p = props;

    pvpanic_isa_new(env->m->chips, p->common.name, env->m->ports, p->port, event, env->m);
    env->pvpanic = p->port;
}

static void make_pci(struct plug_env *env, void *bus, const void *props)
{
    const struct plug_common *p = props;

    pvpanic_pci_new(env->m->chips, p->name, env->pci, p->slot, p->fn, event, env->m);
}

const struct plug pvpanic_plug = {
    "pvpanic", "a port by which the guest tells that it has panicked; -action panic= says what happens then",
        "ISA",
    sizeof(struct isa_props), &(const struct isa_props){ .port = 0x505 }, isa_props, make_isa
};

const struct plug pvpanic_pci_plug = {
    "pvpanic-pci", "the same as a PCI function", "PCI", sizeof(struct plug_common), NULL, NULL, make_pci
};
