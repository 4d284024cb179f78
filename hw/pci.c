/*
 * pci.c - PCI: configuration mechanism 1 (by memory: pci_express.c), type 0 headers, BARs, INTx
 * (PCI Local Bus Specification 3.0, chapter 6). What lies behind bridges: pci_tree.c.
 *
 * Invariant: a BAR's region is on the bus exactly when its address is valid, its
 * space is enabled in the command register, all bridges pass it on, and nothing else is there; the guest
 * may program nonsense and gets no region, with a log line.
 */
#include "hw/pci_int.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/trace.h"

static const struct field bus_state[] = {
    FIELD(struct pci_bus, address), FIELD_ARRAY(struct pci_bus, asserted), FIELD_END
};
static const struct field dev_state[] = {
    FIELD_ARRAY(struct pci_dev, config), FIELD_MAX(struct pci_dev, irq, 1), FIELD_MAX(struct pci_dev, intx, 1),
    FIELD_MAX(struct pci_dev, line, LINES - 1),
    FIELD_END
};

static uint32_t get(const uint8_t *p, unsigned size)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < size; i++)
        v |= (uint32_t)p[i] << (8 * i);
    return v;
}

static void put(uint8_t *p, unsigned size, uint32_t v)
{
    for (unsigned i = 0; i < size; i++)
        p[i] = v >> (8 * i);
}

/* ---- BARs ---- */

static void bar_off(struct pci_dev *d, struct bar *b)
{
    if (!b->on)
        return;
    b->on = false;
    trace_pci_bar_unmap(d->name, b->at, b->size);
    if (b->flags & PCI_BAR_IO)
        ports_unmap(d->bus->ports, b->at, b->size);
    else
        map_move(b->map, b->at, false);
}

/* `at`: where the guest wants it; on: and whether it decodes there. */
static void bar_place(struct pci_dev *d, struct bar *b, const char *what, uint64_t at, bool on)
{
    bool io = b->flags & PCI_BAR_IO, ok = true;

    /* Address 0 and the all-ones of sizing are "not assigned". */
    if (!at || at + b->size - 1 < at || at >> 52 || (io && at + b->size > 0x10000) ||
        (!(b->flags & PCI_BAR_64) && at + b->size > 0xffffffffu))
        on = false;
    on = on && pci_reached(d, io, at, b->size);
    if (on && b->on && at == b->at)
        return;
    bar_off(d, b);
    if (!on)
        return;
    if (io) {
        ok = !ports_taken(d->bus->ports, at, b->size);
        if (ok)
            ports_map(d->bus->ports, at, b->size, b->ops, b->dev, d->name);
    } else if (b->map) {
        ok = map_move(b->map, at, true);
    } else {
        b->map = b->ops ? phys_map_io(d->bus->phys, at, b->size, b->ops, b->dev, d->name) :
                 phys_map_ram(d->bus->phys, at, b->size, b->host, b == &d->rom, d->name);
        ok = b->map;
    }
    b->at = at;
    b->on = ok;
    if (ok)
        trace_pci_bar_map(d->name, what, at, b->size);
    else
        log_msg(LOG_GUEST, "pci: %s: %s at %#llx overlaps another region", d->name, what, (unsigned long long)at);
}

static void bar_update(struct pci_dev *d, unsigned n)
{
    struct bar *b = &d->bar[n];
    uint64_t at = get(&d->config[CFG_BAR + 4 * n], 4);
    char what[8];

    if (!b->size)
        return;
    if (b->flags & PCI_BAR_64)
        at |= (uint64_t)get(&d->config[CFG_BAR + 4 * n + 4], 4) << 32;
    snprintf(what, sizeof(what), "BAR %u", n);
    bar_place(d, b, what, at & ~(b->size - 1), d->config[CFG_COMMAND] & (b->flags & PCI_BAR_IO ? CMD_IO : CMD_MEM));
}

static void rom_update(struct pci_dev *d)
{
    uint32_t v = get(&d->config[CFG_ROM], 4);

    if (d->rom.size)
        bar_place(d, &d->rom, "ROM", v & ~(d->rom.size - 1), (v & ROM_ON) && (d->config[CFG_COMMAND] & CMD_MEM));
}

void pci_update(struct pci_dev *d)
{
    for (unsigned n = 0; n < BARS; n++)
        bar_update(d, n);
    rom_update(d);
}

static void bar_init(struct pci_dev *d, unsigned n, uint64_t size, unsigned flags)
{
    uint64_t mask = ~(size - 1);
    unsigned regs = flags & PCI_BAR_64 ? 2 : 1;

    assert(n + regs <= BARS && !(size & (size - 1)));
    assert(flags & PCI_BAR_IO ? size >= 4 && size <= 256 && regs == 1 : size >= 16);
    d->bar[n] = (struct bar){ .size = size, .flags = flags };
    for (unsigned i = 0; i < 4 * regs; i++)
        d->writable[CFG_BAR + 4 * n + i] = mask >> (8 * i);
    d->config[CFG_BAR + 4 * n] = d->first[CFG_BAR + 4 * n] = flags;
    /* The upper half of an I/O BAR can be written, too, though there are no such ports: SeaBIOS takes zeros for size. */
    d->writable[CFG_COMMAND] |= flags & PCI_BAR_IO ? CMD_IO : CMD_MEM;
}

void pci_bar(struct pci_dev *d, unsigned n, uint64_t size, unsigned flags, const struct io_ops *ops, void *dev)
{
    bar_init(d, n, size, flags);
    d->bar[n].ops = ops;
    d->bar[n].dev = dev;
}

void pci_bar_ram(struct pci_dev *d, unsigned n, uint64_t size, unsigned flags, void *host)
{
    assert(size >= PAGE_SIZE && !(flags & PCI_BAR_IO));
    bar_init(d, n, size, flags);
    d->bar[n].host = host;
}

/* Where vendor and device stand in an image for PC firmware (6.3.1), 0: it is none. */
static uint32_t rom_ident(const uint8_t *image, uint32_t size)
{
    uint32_t at = get(image + ROM_DATA, 2);

    if (image[0] != 0x55 || image[1] != 0xaa || at > size - ROM_DATA || memcmp(image + at, "PCIR", 4) != 0 ||
        image[at + ROM_CODE_TYPE] != 0)
        return 0;
    return at + 4;
}

void pci_rom(struct pci_dev *d, const void *image, uint32_t size)
{
    uint32_t at;

    assert(size >= PAGE_SIZE && !(size & (size - 1)));
    at = rom_ident(image, size);
    if (at && memcmp((const uint8_t *)image + at, d->config, 4) != 0) {
        uint8_t *own = aligned_alloc(PAGE_SIZE, size);

        if (!own)
            die(EXIT_CODE_HOST, "out of memory for the option ROM of %s", d->name);
        memcpy(own, image, size);
        for (unsigned i = 0; i < 4; i++) {      /* the low byte of the code's revision keeps the sum of all bytes */
            own[at - 4 + ROM_REVISION] += (uint8_t)(own[at + i] - d->config[i]);
            own[at + i] = d->config[i];
        }
        d->own_rom = own;
        image = own;
    }
    d->rom = (struct bar){ .size = size, .host = (void *)(uintptr_t)image };    /* only read */
    pci_config_init(d, CFG_ROM, 4, 0, ~(size - 1) | ROM_ON);
    d->writable[CFG_COMMAND] |= CMD_MEM;
}

/* ---- INTx ---- */

static void drive(struct pci_dev *d, bool level)
{
    struct pci_bus *bus = d->bus->root;

    d->intx = level;
    trace_pci_irq(d->name, d->config[CFG_PIN] - 1u, level);
    if (level)
        d->line = pci_line_of(d);
    bus->asserted[d->line] += level ? 1 : -1;
    if (bus->intx.set && (level ? bus->asserted[d->line] == 1 : !bus->asserted[d->line]))
        bus->intx.set(bus->intx.to, d->line, level);
}

static void intx_update(struct pci_dev *d)
{
    bool level = d->irq && !(get(&d->config[CFG_COMMAND], 2) & CMD_NO_INTX) && !pci_msi_on(d);

    if (level != d->intx)
        drive(d, level);
}

void pci_bus_route(struct pci_bus *s, unsigned (*route)(void *, unsigned, unsigned), void *arg)
{
    s->route = route;
    s->route_arg = arg;
}

void pci_rerouted(struct pci_bus *s)
{
    for (struct pci_dev *d = s->all; d; d = d->next) {
        if (!d->intx || pci_line_of(d) == d->line)
            continue;
        drive(d, false);
        drive(d, true);
    }
}

void pci_irq(struct pci_dev *d, bool level)
{
    assert(d->config[CFG_PIN]);
    d->irq = level;
    d->config[CFG_STATUS] = (d->config[CFG_STATUS] & ~STATUS_INTX) | (level ? STATUS_INTX : 0);
    intx_update(d);
}

bool pci_bus_master(const struct pci_dev *d)
{
    return (d->config[CFG_COMMAND] & CMD_MASTER) && pci_masters(d);
}

/* ---- configuration space ---- */

void pci_config_init(struct pci_dev *d, unsigned off, unsigned size, uint32_t val, uint32_t writable)
{
    assert(off + size <= CONFIG_EXT);
    put(&d->config[off], size, val);
    memcpy(&d->first[off], &d->config[off], size);
    put(&d->writable[off], size, writable);
}

uint32_t pci_config(const struct pci_dev *d, unsigned off, unsigned size)
{
    return get(&d->config[off], size);
}

void pci_config_set(struct pci_dev *d, unsigned off, unsigned size, uint32_t val)
{
    put(&d->config[off], size, val);
}

void pci_config_writable(struct pci_dev *d, unsigned off, unsigned size, uint32_t bits)
{
    put(&d->writable[off], size, bits);
}

unsigned pci_add_cap(struct pci_dev *d, uint8_t id, unsigned len)
{
    unsigned at = d->caps_end;

    assert(at + len <= CONFIG);
    d->caps_end = (at + len + 3) & ~3u;
    pci_config_init(d, at, 2, id | (uint32_t)d->config[CFG_CAP] << 8, 0);
    pci_config_init(d, CFG_CAP, 1, at, 0);
    d->config[CFG_STATUS] |= STATUS_CAP;
    d->first[CFG_STATUS] |= STATUS_CAP;
    return at;
}

void pci_on_config(struct pci_dev *d, void (*fn)(void *, unsigned, unsigned), void *dev)
{
    d->written = fn;
    d->written_dev = dev;
}

void pci_on_config_read(struct pci_dev *d, void (*fn)(void *, unsigned, unsigned), void *dev)
{
    d->reads = fn;
    d->reads_dev = dev;
}

uint32_t pci_config_read(struct pci_dev *d, unsigned off, unsigned size)
{
    if (d->reads)
        d->reads(d->reads_dev, off, size);
    trace_pci_config_read(d->name, off, size, get(&d->config[off], size));
    return get(&d->config[off], size);
}

void pci_config_write(struct pci_dev *d, unsigned off, unsigned size, uint32_t val)
{
    trace_pci_config_write(d->name, off, size, val);
    for (unsigned i = 0; i < size; i++) {
        uint8_t w = d->writable[off + i], *c = &d->config[off + i];

        *c = (*c & ~w) | (val >> (8 * i) & w);
    }
    if (off < CFG_ROM + 4 && off + size > CFG_COMMAND) {
        pci_update(d);
        intx_update(d);
    }
    if (d->msi) {
        pci_msi_written(d, off, size);
        intx_update(d);
    }
    if (d->written)
        d->written(d->written_dev, off, size);
}

/* Ports CF8h-CFFh: offset 0 is the address register (dword access only), 4-7 the data window. */
static struct pci_dev *addressed(struct pci_bus *s, uint64_t off, unsigned *reg)
{
    if (!(s->address >> 31))
        return NULL;
    *reg = (s->address & 0xfc) + (off & 3);
    return pci_lookup(s, s->address >> 16 & 0xff, s->address >> 8 & 0xff);
}

static uint64_t cfg_read(void *dev, uint64_t off, unsigned size)
{
    struct pci_bus *s = dev;
    struct pci_dev *d;
    unsigned reg;

    if (off == 0 && size == 4)
        return s->address;
    if (off == 1 && size == 1 && s->cf9)
        return s->cf9->read(s->cf9_dev, 0, 1);
    if (off < 4 || !(d = addressed(s, off, &reg)) || (off & 3) + size > 4)
        return UINT64_MAX;
    return pci_config_read(d, reg, size);
}

static void cfg_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct pci_bus *s = dev;
    struct pci_dev *d;
    unsigned reg;

    if (off == 0 && size == 4)
        s->address = val & 0x80fffffcu;
    else if (off == 1 && size == 1 && s->cf9)
        s->cf9->write(s->cf9_dev, 0, val, 1);
    else if (off >= 4 && (off & 3) + size <= 4 && (d = addressed(s, off, &reg)))
        pci_config_write(d, reg, size, val);
}

static const struct io_ops cfg_ops = { cfg_read, cfg_write, 1 | 2 | 4, LOG_DEV_PCI };

/* ---- construction ---- */

static void bus_reset(void *dev)
{
    struct pci_bus *s = dev;

    s->address = 0;
}

/* Before any function is: each finds its places free, whoever has been there. */
static void bus_loaded(void *dev)
{
    struct pci_bus *s = dev;

    for (struct pci_dev *d = s->all; d; d = d->next) {
        for (unsigned n = 0; n < BARS; n++)
            bar_off(d, &d->bar[n]);
        bar_off(d, &d->rom);
    }
}

void pci_dev_reset(struct pci_dev *d)
{
    d->irq = 0;
    intx_update(d);
    memcpy(d->config, d->first, CONFIG_EXT);
    pci_update(d);
    pci_behind_changed(d);
}

static void dev_reset(void *dev)
{
    pci_dev_reset(dev);
}

/* What nobody writes is as it was made. */
static bool is_fixed(const struct pci_dev *d, unsigned off, unsigned size)
{
    for (unsigned i = off; i < off + size; i++)
        if ((d->config[i] ^ d->first[i]) & ~d->writable[i])
            return false;
    return true;
}

/*
 * The configuration space says what kind of function it is, which pin it has and where its capabilities are and of
 * which kind. Devices go by that without another look, so it has to be this machine's.
 */
static const char *dev_check(const void *dev)
{
    static const struct { uint8_t off, size; } fixed[] = {
        { 0x00, 4 }, { 0x08, 4 }, { CFG_HEADER, 1 }, { 0x2c, 4 }, { CFG_CAP, 1 }, { CFG_PIN, 1 },
    };
    const struct pci_dev *d = dev;

    for (unsigned i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        if (!is_fixed(d, fixed[i].off, fixed[i].size))
            return "config is another function's";
    for (unsigned cap = d->first[CFG_CAP]; cap; cap = d->first[cap + 1])
        if (!is_fixed(d, cap, 4))
            return "config has other capabilities";
    if (!d->bus->root->route && d->line >= PINS)
        return "line is none that the bus has";
    return NULL;
}

static void dev_loaded(void *dev)
{
    pci_update(dev);
}

static void dev_free(void *dev)
{
    free(((struct pci_dev *)dev)->own_rom);
}

static const struct chip bus_chip = { "pci-bus", sizeof(struct pci_bus), bus_reset, bus_state, bus_loaded };
static const struct chip dev_chip = {
    "pci-dev", sizeof(struct pci_dev), dev_reset, dev_state, dev_loaded, dev_free, .check = dev_check
};

struct pci_bus *pci_bus_make(struct chip_list *chips, const char *name)
{
    struct pci_bus *s = chip_new(chips, &bus_chip, name);

    s->chips = chips;
    s->slots = SLOTS;
    return s;
}

struct pci_bus *pci_bus_new(struct chip_list *chips, struct ports *ports, struct phys *phys,
                            const struct io_ops *cf9, void *cf9_dev, struct irq intx)
{
    struct pci_bus *s = pci_bus_make(chips, "pci0");

    s->root = s;
    s->ports = ports;
    s->phys = phys;
    s->cf9 = cf9;
    s->cf9_dev = cf9_dev;
    s->intx = intx;
    ports_map(ports, 0xcf8, 8, &cfg_ops, s, "pci-config");
    return s;
}

void pci_bus_msi(struct pci_bus *s, struct pci_msi_to to)
{
    s->msi = to;
}

int pci_free_slot(const struct pci_bus *s)
{
    for (int slot = 0; slot < (int)s->slots; slot++) {
        bool free = true;

        for (unsigned fn = 0; fn < 8; fn++)
            free = free && !s->dev[slot << 3 | fn];
        if (free)
            return slot;
    }
    return -1;
}

struct pci_dev *pci_function(const struct pci_bus *s, unsigned slot, unsigned fn)
{
    return slot < s->slots && fn < 8 ? s->dev[slot << 3 | fn] : NULL;
}

bool pci_taken(const struct pci_bus *s, unsigned slot, unsigned fn)
{
    return slot >= s->slots || s->dev[slot << 3 | fn];
}

bool pci_no_slot(const struct pci_bus *s, unsigned slot)
{
    return slot >= s->slots;
}

void pci_multifunction(struct pci_bus *s, unsigned slot, unsigned fn)
{
    struct pci_dev *d = s->dev[slot << 3 | fn];

    if (d)
        pci_config_init(d, CFG_HEADER, 1, d->config[CFG_HEADER] | MULTIFUNCTION, 0);
}

unsigned pci_devfn(const struct pci_dev *d)
{
    return d->slot << 3 | d->fn;
}

struct pci_dev *pci_add(struct pci_bus *s, const char *name, unsigned slot, unsigned fn,
                        const struct pci_ident *id)
{
    char chip[sizeof(((struct pci_dev *)0)->name) + 4];
    struct pci_dev *d;

    snprintf(chip, sizeof(chip), "pci:%s", name);
    d = chip_new(s->chips, &dev_chip, chip);
    assert(fn < 8 && !pci_taken(s, slot, fn));
    s->dev[slot << 3 | fn] = d;
    d->bus = s;
    d->next = s->root->all;
    s->root->all = d;
    d->group = chips_group_now(s->chips);
    snprintf(d->name, sizeof(d->name), "%s", name);
    d->slot = slot;
    d->fn = fn;
    d->caps_end = 0x40;
    pci_config_init(d, 0x00, 2, id->vendor, 0);
    pci_config_init(d, 0x02, 2, id->device, 0);
    pci_config_init(d, CFG_COMMAND, 2, 0, CMD_MASTER | (id->pin ? CMD_NO_INTX : 0));
    pci_config_init(d, 0x08, 4, id->class << 8 | id->revision, 0);
    pci_config_init(d, 0x0c, 1, 0, 0xff);               /* cache line size */
    pci_config_init(d, 0x2c, 2, id->subvendor, 0);
    pci_config_init(d, 0x2e, 2, id->subdevice, 0);
    pci_config_init(d, 0x3c, 1, 0, 0xff);               /* interrupt line: software's note */
    pci_config_init(d, CFG_PIN, 1, id->pin, 0);
    for (unsigned other = 1; other < 8; other++)        /* function 0 tells that there are more */
        if (s->dev[slot << 3 | other])
            pci_multifunction(s, slot, 0);
    if (s->parent)
        pci_port_present(s->parent);
    return d;
}

/* ---- for monitors ---- */

/* The bus's own first, then those behind its bridges. *n: how many to pass. */
static const struct pci_dev *nth(const struct pci_bus *s, unsigned *n)
{
    const struct pci_dev *d = NULL;

    for (unsigned i = 0; i < SLOTS * 8; i++)
        if (s->dev[i] && !(*n)--)
            return s->dev[i];
    for (unsigned i = 0; i < SLOTS * 8 && !d; i++)
        if (s->dev[i] && s->dev[i]->below)
            d = nth(s->dev[i]->below, n);
    return d;
}

bool pci_nth(const struct pci_bus *s, unsigned n, struct pci_view *v)
{
    const struct pci_dev *d = nth(s, &n);

    if (!d)
        return false;
    *v = (struct pci_view){ d->name,
                            pci_bus_number(d->bus),
                            d->slot,
                            d->fn,
                            { get(d->config, 2), get(d->config + 2, 2), get(d->config + 0x2c, 2),
                              get(d->config + 0x2e, 2), get(d->config + 8, 4) >> 8, d->config[8],
                              d->config[CFG_PIN] },
                            d->config[0x3c],
                            get(d->config + CFG_COMMAND, 2),
                            { { 0 } } };
    for (unsigned i = 0; i <= BARS; i++) {
        const struct bar *b = i < BARS ? &d->bar[i] : &d->rom;

        v->bar[i].size = b->size;
        v->bar[i].at = b->on ? b->at : UINT64_MAX;
        v->bar[i].io = b->flags & PCI_BAR_IO;
        v->bar[i].wide = b->flags & PCI_BAR_64;
        v->bar[i].prefetch = b->flags & PCI_BAR_PREFETCH;
        v->bar[i].rom = i == BARS;
    }
    return true;
}
