/*
 * pci_bridge.c - PCI-to-PCI bridges and PCI Express ports: type 1 headers (PCI-to-PCI Bridge Architecture
 * Specification 1.2, chapter 3; PCI Express Base Specification 5.0, 7.5.1.3 and 7.5.3). What the registers do for
 * those behind: pci_tree.c.
 *
 * I/O windows have 16-bit, prefetchable windows 64-bit addresses. Nothing makes errors, so status bits stay clear,
 * and discard timers never run out. Bus mastering is on after a reset: firmware for emulated machines does not turn
 * it on, but boots from disks behind bridges.
 * Invariant: nothing behind answers while the secondary bus is in reset or the link disabled, and all there has been
 * reset when that ends.
 */
#include "hw/pci_int.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "hw/plug.h"

#define CFG_LATENCY  0x0d
#define CFG_PRIMARY  0x18       /* primary, secondary, subordinate bus, secondary latency timer */
#define CFG_IO_BASE  0x1c
#define CFG_STATUS2  0x1e
#define CFG_MEM      0x20       /* base and limit */
#define CFG_PREF     0x24
#define CFG_PREF_BASE_UP  0x28
#define CFG_PREF_LIMIT_UP 0x2c
#define CFG_CONTROL  0x3e

#define TYPE_1       1u
#define PREF_64      0x00010001u
#define CONTROL_RESET 0x40u
#define CONTROL_EXPRESS 0x5fu   /* parity, SERR, ISA, VGA, VGA 16-bit, reset */
#define CONTROL_PCI  0x0bffu    /* and master abort, fast back-to-back, discard timers */

#define CAP_SUBSYSTEM 0x0d
#define CAP_SLOTS     0x04

struct bridge_type {
    const char *name;
    uint16_t vendor, device;
    uint8_t revision;
    int port;                   /* enum pci_port, 0: conventional PCI on both sides */
    unsigned slots;             /* behind it */
};

struct pci_bridge {
    struct pci_dev *pci;
    const struct bridge_type *type;
    uint8_t down;               /* the other side is in reset, or its link disabled */
};

static const struct field bridge_state[] = { FIELD(struct pci_bridge, down), FIELD_END };

static bool leads_down(const struct pci_bridge *s)
{
    return s->type->port == PCI_ROOT_PORT || s->type->port == PCI_SWITCH_DOWN;
}

static bool occupied(const struct pci_bus *bus)
{
    for (unsigned i = 0; i < SLOTS * 8; i++)
        if (bus->dev[i])
            return true;
    return false;
}

void pci_port_present(struct pci_dev *b)
{
    unsigned cap = b->express_cap;

    if (!cap || !occupied(b->below) || !(pci_config(b, cap + 0x0c, 4) >> 20 & 1))
        return;
    pci_config_init(b, cap + EXPRESS_LNKSTA, 2, pci_config(b, cap + EXPRESS_LNKSTA, 2) | EXPRESS_LINK_UP, 0);
    if (pci_config(b, cap + 2, 2) & 0x100)
        pci_config_init(b, cap + EXPRESS_SLTSTA, 2, EXPRESS_PRESENT, 0);
}

/* Whether anything passes has changed, perhaps. */
static void down_update(struct pci_bridge *s)
{
    struct pci_dev *b = s->pci;
    unsigned link = b->express_cap + EXPRESS_LNKCTL;
    bool link_off = leads_down(s) && (pci_config(b, link, 2) & EXPRESS_LINK_OFF);
    bool down = link_off || (pci_config(b, CFG_CONTROL, 2) & CONTROL_RESET);

    if (leads_down(s)) {
        unsigned sta = pci_config(b, b->express_cap + EXPRESS_LNKSTA, 2) & ~EXPRESS_LINK_UP;

        pci_config_set(b, b->express_cap + EXPRESS_LNKSTA, 2,
                       sta | (!down && occupied(b->below) ? EXPRESS_LINK_UP : 0));
    }
    if (down && !s->down) {
        log_dev(PCI, "%s: all behind it is reset", b->name);
        pci_behind_reset(b);
    }
    s->down = down;
}

static void written(void *dev, unsigned off, unsigned size)
{
    struct pci_bridge *s = dev;

    down_update(s);
    pci_behind_changed(s->pci);
}

static void bridge_reset(void *dev)
{
    ((struct pci_bridge *)dev)->down = 0;
}

static const struct chip bridge_chip = {
    "pci-bridge", sizeof(struct pci_bridge), bridge_reset, bridge_state, NULL
};

static void header(struct pci_dev *d, bool express)
{
    pci_config_init(d, CFG_HEADER, 1, TYPE_1 | (d->config[CFG_HEADER] & MULTIFUNCTION), 0);
    pci_config_init(d, CFG_COMMAND, 2, CMD_MASTER, CMD_IO | CMD_MEM | CMD_MASTER | 0x0140 |
                    (d->config[CFG_PIN] ? CMD_NO_INTX : 0));
    pci_config_init(d, CFG_LATENCY, 1, 0, express ? 0 : 0xff);
    pci_config_init(d, CFG_PRIMARY, 4, 0, express ? 0x00ffffff : 0xffffffff);
    pci_config_init(d, CFG_IO_BASE, 2, 0, 0xf0f0);
    pci_config_init(d, CFG_STATUS2, 2, 0, 0);
    pci_config_init(d, CFG_MEM, 4, 0, 0xfff0fff0);
    pci_config_init(d, CFG_PREF, 4, PREF_64, 0xfff0fff0);
    pci_config_init(d, CFG_PREF_BASE_UP, 4, 0, 0xffffffff);
    pci_config_init(d, CFG_PREF_LIMIT_UP, 4, 0, 0xffffffff);
    pci_config_init(d, CFG_CONTROL, 2, 0, express ? CONTROL_EXPRESS : CONTROL_PCI);
}

static struct pci_bus *bridge_new(struct pci_bus *bus, const char *name, unsigned slot, unsigned fn,
                                  const struct bridge_type *type, unsigned chassis, unsigned number)
{
    bool to_express = type->port && type->port != PCI_TO_CONVENTIONAL;
    struct pci_ident id = { .vendor = type->vendor, .device = type->device, .class = 0x060400,
                            .revision = type->revision, .pin = type->port == PCI_ROOT_PORT ? 1 : 0 };
    struct pci_dev *d = pci_add(bus, name, slot, fn, &id);
    char chip[60];
    struct pci_bridge *s;
    unsigned cap;

    header(d, type->port);
    if (type->port)
        pci_express_port(d, (enum pci_port)type->port, number);
    if (id.pin)
        pci_msi_init(d, 1);
    if (!type->port && chassis) {
        cap = pci_add_cap(d, CAP_SLOTS, 4);
        pci_config_init(d, cap + 2, 1, 0x20 | type->slots, 0);  /* the first of its chassis */
        pci_config_init(d, cap + 3, 1, chassis, 0xff);
    }
    cap = pci_add_cap(d, CAP_SUBSYSTEM, 8);
    pci_config_init(d, cap + 4, 4, 0x11001af4, 0);
    snprintf(chip, sizeof(chip), "%s:bridge", name);
    s = chip_new(bus->chips, &bridge_chip, chip);
    s->pci = d;
    s->type = type;
    pci_on_config(d, written, s);
    return pci_bus_below(d, name, to_express, type->slots);
}

/* ---- plugs ---- */

struct bridge_props {
    struct plug_common common;
    uint64_t chassis, slot, port;
};

static void make_type(struct plug_env *env, const struct bridge_props *o, const struct bridge_type *type)
{
    const struct plug_common *c = &o->common;
    const struct pci_dev *parent = env->pci->parent;
    unsigned above = parent && parent->express_cap ? pci_config(parent, parent->express_cap + 2, 1) >> 4 : 0;
    bool express = pci_is_express(env->pci);

    if (type->port && !express)
        die(EXIT_CODE_USAGE, "-device %s: it needs PCI Express, which bus %s is not: use -machine q35, and pcie.0 or a "
            "root port", type->name, c->bus ? c->bus : "pci.0");
    if (type->port == PCI_ROOT_PORT && parent)
        die(EXIT_CODE_USAGE, "-device %s: bus=%s: a root port sits on pcie.0 alone", type->name, c->bus);
    if (type->port == PCI_SWITCH_UP && (!parent || above == PCI_SWITCH_UP))
        die(EXIT_CODE_USAGE, "-device %s: put it behind a root port, with bus=", type->name);
    if (type->port == PCI_SWITCH_DOWN && above != PCI_SWITCH_UP)
        die(EXIT_CODE_USAGE, "-device %s: put it behind the upstream port of a switch, with bus=", type->name);
    plug_bus_add(env, "PCI", c->id ? c->id : c->name,
                 bridge_new(env->pci, c->name, (unsigned)c->slot, (unsigned)c->fn, type, (unsigned)o->chassis,
                            (unsigned)o->slot));
}

#define CHASSIS { "chassis_nr", PROP_NUMBER, offsetof(struct bridge_props, chassis), 0, 255, "its chassis' number" }

static const struct prop pci_props[] = { CHASSIS, PROP_END };
static const struct prop no_props[] = { PROP_END };
static const struct prop port_props[] = {
    { "chassis", PROP_NUMBER, offsetof(struct bridge_props, chassis), 0, 255, "its chassis' number, told to nobody" },
    { "slot", PROP_NUMBER, offsetof(struct bridge_props, slot), 0, 0x1fff, "its slot's number; 0: there is no slot" },
    { "port", PROP_NUMBER, offsetof(struct bridge_props, port), 0, 255, "its port's number, told to nobody" },
    PROP_END
};

#define BRIDGE(id, type_name, what, props, ...)                                                                 \
    static void id##_make(struct plug_env *env, void *bus, const void *p)                                       \
    {                                                                                                           \
        static const struct bridge_type type = { type_name, __VA_ARGS__ };                                      \
                                                                                                                \
        make_type(env, p, &type);                                                                               \
    }                                                                                                           \
    const struct plug id##_plug = { type_name, what, "PCI", sizeof(struct bridge_props), NULL, props, id##_make }

BRIDGE(pci_bridge, "pci-bridge", "PCI-to-PCI bridge, 32 slots", pci_props, 0x1b36, 0x0001, 0, 0, SLOTS);
BRIDGE(dmi_bridge, "i82801b11-bridge", "Intel's bridge from q35's chipset to PCI, 32 slots", no_props, 0x8086, 0x244e,
       0x92, 0, SLOTS);
BRIDGE(root_port, "pcie-root-port", "PCI Express root port", port_props, 0x1b36, 0x000c, 0, PCI_ROOT_PORT, 1);
BRIDGE(ioh3420, "ioh3420", "Intel IOH 3420 PCI Express root port", port_props, 0x8086, 0x3420, 2, PCI_ROOT_PORT, 1);
BRIDGE(switch_up, "x3130-upstream", "TI X3130 PCI Express switch: the port towards the processor", no_props, 0x104c,
       0x8232, 2, PCI_SWITCH_UP, SLOTS);
BRIDGE(switch_down, "xio3130-downstream", "TI X3130 PCI Express switch: a port with a slot", port_props, 0x104c, 0x8233,
       1, PCI_SWITCH_DOWN, 1);
BRIDGE(pcie_pci_bridge, "pcie-pci-bridge", "PCI Express to PCI bridge, 32 slots", no_props, 0x1b36, 0x000e, 0,
       PCI_TO_CONVENTIONAL, SLOTS);
