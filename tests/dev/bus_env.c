/* bus_env.c - see bus_env.h. */
#include "tests/dev/bus_env.h"

#include <check.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void msi(void *to, uint64_t addr, uint32_t data)
{
    struct bus_env *b = to;

    b->msis++;
    b->msi_addr = addr;
    b->msi_data = data;
}

struct bus_env *bus_env_new(void)
{
    struct bus_env *b = calloc(1, sizeof(*b));
    struct env *e = env_new();

    b->e = e;
    b->board.name = "test";
    e->m.cfg.board = &b->board;
    e->m.chips = e->chips;
    e->m.ports = e->ports;
    e->m.phys = e->phys;
    e->m.clock = e->clock;
    b->ram = phys_ram_alloc(e->phys, BUS_RAM);
    phys_map_ram(e->phys, 0, BUS_RAM, b->ram, false, "ram");
    b->pci = pci_bus_new(e->chips, e->ports, e->phys, NULL, NULL, (struct irq){ .set = env_set, .to = e });
    pci_bus_msi(b->pci, (struct pci_msi_to){ msi, b });
    b->plugs = (struct plug_env){ .m = &e->m, .pci = b->pci };
    return b;
}

void bus_env_free(struct bus_env *b)
{
    env_check_state(b->e);
    plug_buses_free(&b->plugs);
    env_free(b->e);
    for (unsigned i = 0; i < b->nuses; i++)
        plug_use_free(b->uses[i]);
    free(b);
}

struct plug_common *bus_env_plug(struct bus_env *b, const char *name, ...)
{
    const struct plug *plug = plug_find(name);
    struct plug_use *use;
    const char *key, *val;
    char why[100];
    va_list ap;

    ck_assert_ptr_nonnull(plug);
    use = b->uses[b->nuses++] = plug_use_new(plug);
    va_start(ap, name);
    while ((key = va_arg(ap, const char *)) != NULL) {
        const struct prop *prop = plug_prop(plug, key);

        val = va_arg(ap, const char *);
        ck_assert_ptr_nonnull(prop);
        if (prop->type == PROP_AUDIODEV)        /* the thing itself */
            memcpy((uint8_t *)use->props + prop->offset, &val, sizeof(val));
        else
            ck_assert_msg(plug_set(use, prop, val, &b->names, why, sizeof(why)), "%s", why);
    }
    va_end(ap);
    plugs_make(&b->plugs, use);
    return use->props;
}
