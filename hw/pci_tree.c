/*
 * pci_tree.c - what bridges do for those behind them: pass configuration accesses, memory, I/O, interrupts and the
 * devices' own accesses on (PCI-to-PCI Bridge Architecture Specification 1.2, chapters 3, 4 and 9; PCI Express Base
 * Specification 5.0, 2.2.8.1 and 7.5.1.3).
 *
 * Invariant: a device's regions are where the processors find them exactly while every bridge on the way decodes
 * their kind of address, has a window that holds all of the region, and neither keeps its other side in reset nor
 * its link disabled. A region that a window holds in part is not seen at all; windows are so coarse (1 MiB, 4 KiB)
 * that only memory regions of more than 1 MiB can be.
 *
 * What a device behind a bridge began before a reset of its bus may still come to memory.
 */
#include "hw/pci_int.h"

#include <stdio.h>
#include <string.h>

#define CFG_SECONDARY   0x19
#define CFG_SUBORDINATE 0x1a
#define CFG_IO_BASE     0x1c
#define CFG_IO_LIMIT    0x1d
#define CFG_MEM_BASE    0x20
#define CFG_MEM_LIMIT   0x22
#define CFG_PREF_BASE   0x24
#define CFG_PREF_LIMIT  0x26
#define CFG_PREF_BASE_UP  0x28
#define CFG_PREF_LIMIT_UP 0x2c
#define CFG_CONTROL     0x3e
#define CONTROL_ISA     0x04u
#define CONTROL_VGA     0x08u
#define CONTROL_RESET   0x40u

/* The first and last address of a window; closed: first is above last. */
struct window {
    uint64_t first, last;
};

static bool holds(struct window w, uint64_t at, uint64_t size)
{
    return w.first <= w.last && at >= w.first && at + size - 1 <= w.last;
}

static bool touches(struct window w, uint64_t at, uint64_t size)
{
    return w.first <= w.last && at <= w.last && at + size - 1 >= w.first;
}

static struct window io_window(const struct pci_dev *b)
{
    return (struct window){ (b->config[CFG_IO_BASE] & 0xf0u) << 8, (b->config[CFG_IO_LIMIT] & 0xf0u) << 8 | 0xfff };
}

static uint64_t mib(const struct pci_dev *b, unsigned reg)
{
    return (uint64_t)(pci_config(b, reg, 2) & 0xfff0) << 16;
}

static struct window memory_window(const struct pci_dev *b)
{
    return (struct window){ mib(b, CFG_MEM_BASE), mib(b, CFG_MEM_LIMIT) | 0xfffff };
}

static struct window prefetch_window(const struct pci_dev *b)
{
    uint64_t first = (uint64_t)pci_config(b, CFG_PREF_BASE_UP, 4) << 32 | mib(b, CFG_PREF_BASE);
    uint64_t last = (uint64_t)pci_config(b, CFG_PREF_LIMIT_UP, 4) << 32 | mib(b, CFG_PREF_LIMIT) | 0xfffff;

    return (struct window){ first, last };
}

unsigned pci_bus_number(const struct pci_bus *s)
{
    return s->parent ? s->parent->config[CFG_SECONDARY] : 0;
}

static bool port_leads_down(const struct pci_dev *b)
{
    unsigned type = b->express_cap ? pci_config(b, b->express_cap + 2, 1) >> 4 : 0;

    return type == PCI_ROOT_PORT || type == PCI_SWITCH_DOWN;
}

/* Anything passes at all. */
static bool open(const struct pci_dev *b)
{
    if (b->config[CFG_CONTROL] & CONTROL_RESET)
        return false;
    return !port_leads_down(b) || !(b->config[b->express_cap + EXPRESS_LNKCTL] & EXPRESS_LINK_OFF);
}

static bool passes_io(const struct pci_dev *b, uint64_t at, uint64_t size)
{
    if (!(b->config[CFG_COMMAND] & CMD_IO) || !holds(io_window(b), at, size))
        return false;
    /* ISA enable: of each KiB the first 256 bytes alone. */
    return !(b->config[CFG_CONTROL] & CONTROL_ISA) || !((at | (at + size - 1)) & 0x300);
}

static bool passes_memory(const struct pci_dev *b, uint64_t at, uint64_t size)
{
    if (!(b->config[CFG_COMMAND] & CMD_MEM))
        return false;
    return holds(memory_window(b), at, size) || holds(prefetch_window(b), at, size);
}

bool pci_reached(const struct pci_dev *d, bool io, uint64_t at, uint64_t size)
{
    for (const struct pci_dev *b = d->bus->parent; b; b = b->bus->parent)
        if (!open(b) || !(io ? passes_io(b, at, size) : passes_memory(b, at, size)))
            return false;
    return true;
}

bool pci_vga_reached(const struct pci_dev *d)
{
    for (const struct pci_dev *b = d->bus->parent; b; b = b->bus->parent)
        if (!open(b) || !(b->config[CFG_CONTROL] & CONTROL_VGA) ||
            (b->config[CFG_COMMAND] & (CMD_IO | CMD_MEM)) != (CMD_IO | CMD_MEM))
            return false;
    return true;
}

bool pci_masters(const struct pci_dev *d)
{
    for (const struct pci_dev *b = d->bus->parent; b; b = b->bus->parent)
        if (!open(b) || !(b->config[CFG_COMMAND] & CMD_MASTER))
            return false;
    return true;
}

/* What a window passes down stays on the far side: it is for a device there. */
bool pci_to_memory(const struct pci_dev *d, uint64_t pa, uint64_t len)
{
    if (len && pa + len - 1 < pa)
        return false;
    for (const struct pci_dev *b = d->bus->parent; b && len; b = b->bus->parent)
        if ((b->config[CFG_COMMAND] & CMD_MEM) &&
            (touches(memory_window(b), pa, len) || touches(prefetch_window(b), pa, len)))
            return false;
    return true;
}

/* ---- for firmware ---- */

void pci_path(const struct pci_dev *d, const char *type, char *buf, size_t len)
{
    size_t n;

    if (d->bus->parent)
        pci_path(d->bus->parent, "pci-bridge", buf, len);
    else
        snprintf(buf, len, "/pci@i0cf8");
    n = strlen(buf);
    snprintf(buf + n, len - n, d->fn ? "/%s@%x,%x" : "/%s@%x", type, d->slot, d->fn);
}

/* ---- interrupts ---- */

unsigned pci_line_of(const struct pci_dev *d)
{
    const struct pci_bus *root = d->bus->root;
    unsigned pin = d->config[CFG_PIN] - 1, slot = d->slot;

    for (const struct pci_dev *b = d->bus->parent; b; b = b->bus->parent) {
        pin = (slot + pin) & 3;
        slot = b->slot;
    }
    return root->route ? root->route(root->route_arg, slot, pin) : (slot + pin) & 3;
}

/* ---- configuration ---- */

struct pci_dev *pci_lookup(struct pci_bus *root, unsigned number, unsigned devfn)
{
    struct pci_bus *s = root, *next;

    for (bool found = !number; !found; s = next) {
        next = NULL;
        for (struct pci_dev *b = root->all; b && !next; b = b->next) {
            if (b->bus != s || !b->below || !open(b) || !b->config[CFG_SECONDARY])
                continue;
            found = number == b->config[CFG_SECONDARY];
            if (found || (number > b->config[CFG_SECONDARY] && number <= b->config[CFG_SUBORDINATE]))
                next = b->below;
        }
        if (!next)
            return NULL;
    }
    return s->dev[devfn];
}

/* ---- changes ---- */

static bool is_behind(const struct pci_dev *d, const struct pci_dev *bridge)
{
    const struct pci_dev *b = d->bus->parent;

    while (b && b != bridge)
        b = b->bus->parent;
    return b;
}

void pci_behind_changed(struct pci_dev *bridge)
{
    if (!bridge->below)
        return;
    for (struct pci_dev *d = bridge->bus->root->all; d; d = d->next) {
        if (!is_behind(d, bridge))
            continue;
        pci_update(d);
        if (d->path)
            d->path(d->path_dev);
    }
}

void pci_behind_reset(struct pci_dev *bridge)
{
    for (struct pci_dev *d = bridge->bus->root->all; d; d = d->next) {
        if (!is_behind(d, bridge))
            continue;
        if (d->group)
            chips_reset_group(d->bus->chips, d->group);
        else
            pci_dev_reset(d);
    }
}

void pci_on_path(struct pci_dev *d, void (*fn)(void *), void *dev)
{
    d->path = fn;
    d->path_dev = dev;
}

/* ---- what firmware has made of it ---- */

static void widen(struct window w, uint64_t *lo, uint64_t *hi)
{
    const uint64_t gib = 1u << 30;

    if (w.first > w.last || w.first >> 32 == 0 || w.last >> 52)
        return;
    w.first &= ~(gib - 1);
    w.last = (w.last | (gib - 1)) + 1;
    if (!*hi || w.first < *lo)
        *lo = w.first;
    if (w.last > *hi)
        *hi = w.last;
}

void pci_above_4g(const struct pci_bus *root, uint64_t *lo, uint64_t *hi)
{
    *lo = *hi = 0;
    for (const struct pci_dev *d = root->all; d; d = d->next) {
        if (d->below)
            widen(prefetch_window(d), lo, hi);
        for (unsigned n = 0; n < BARS; n++)
            if (d->bar[n].on && !(d->bar[n].flags & PCI_BAR_IO))
                widen((struct window){ d->bar[n].at, d->bar[n].at + d->bar[n].size - 1 }, lo, hi);
    }
}

/* ---- construction ---- */

bool pci_is_root(const struct pci_bus *s)
{
    return !s->parent;
}

struct pci_bus *pci_bus_below(struct pci_dev *bridge, const char *name, bool express, unsigned slots)
{
    char chip[sizeof(bridge->name) + 4];
    struct pci_bus *s;

    snprintf(chip, sizeof(chip), "bus:%s", name);
    s = pci_bus_make(bridge->bus->chips, chip);
    s->ports = bridge->bus->ports;
    s->phys = bridge->bus->phys;
    s->root = bridge->bus->root;
    s->parent = bridge;
    s->slots = slots;
    s->express = express;
    bridge->below = s;
    return s;
}
