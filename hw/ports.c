/*
 * ports.c - the 64 Ki I/O ports: one table entry a port names the region that claims it.
 *
 * A device sees offsets from its region's start.  An access it does not take as it is (a size not
 * in `sizes`, or one that sticks out of the region) is split into halves, low first; a byte of a
 * device that only takes larger ones is read out of the aligned larger one, and written zero-extended
 * the same way.  Called with the device lock held.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/trace.h"
#include "hw/dev.h"

#define MAX_REGIONS 255

struct region {
    unsigned base, len;         /* len 0: free slot */
    const struct io_ops *ops;
    void *dev;
    const char *name;
};

struct ports {
    uint8_t owner[65536];       /* index into region[]; 0: unclaimed */
    struct region region[MAX_REGIONS + 1];
};

struct ports *ports_new(void)
{
    struct ports *p = calloc(1, sizeof(*p));
    if (!p)
        die(EXIT_CODE_HOST, "out of memory for the I/O port table");
    return p;
}

void ports_free(struct ports *p)
{
    free(p);
}

void ports_map(struct ports *p, uint16_t base, unsigned len, const struct io_ops *ops, void *dev,
               const char *name)
{
    unsigned slot = 1;
    if (!len || base + len > 65536)
        die(EXIT_CODE_USAGE, "%s: I/O ports 0x%x-0x%x are outside 0-0xffff", name, base, base + len - 1);
    for (unsigned i = base; i < base + len; i++) {
        if (p->owner[i])
            die(EXIT_CODE_USAGE, "%s: I/O port 0x%x already belongs to %s: choose another base", name, i,
                p->region[p->owner[i]].name);
    }
    while (slot <= MAX_REGIONS && p->region[slot].len)
        slot++;
    if (slot > MAX_REGIONS)
        die(EXIT_CODE_USAGE, "%s: too many I/O port regions", name);
    p->region[slot] = (struct region){ base, len, ops, dev, name };
    for (unsigned i = base; i < base + len; i++)
        p->owner[i] = (uint8_t)slot;
}

bool ports_taken(struct ports *p, uint16_t base, unsigned len)
{
    for (unsigned i = base; i < base + len && i < 65536; i++) {
        if (p->owner[i])
            return true;
    }
    return false;
}

void ports_unmap(struct ports *p, uint16_t base, unsigned len)
{
    for (unsigned i = base; i < base + len && i < 65536; i++) {
        unsigned slot = p->owner[i];
        if (slot)
            p->region[slot].len = 0;
        p->owner[i] = 0;
    }
}

void ports_info(const struct ports *p, struct text *t)
{
    for (unsigned i = 0, end; i < 65536; i = end) {
        const struct region *r = &p->region[p->owner[i]];

        for (end = i + 1; end < 65536 && p->owner[end] == p->owner[i]; end++)
            ;
        if (p->owner[i])
            text_say(t, "  %04x-%04x  %s\n", i, end - 1, r->name);
    }
}

static const struct region *region_at(struct ports *p, uint16_t port)
{
    unsigned slot = p->owner[port];
    return slot ? &p->region[slot] : NULL;
}

/* The smallest size above `size` the device takes whose aligned access stays in the region; 0: none. */
static unsigned wider(const struct region *r, unsigned off, unsigned size)
{
    for (unsigned s = size * 2; s <= 4; s *= 2) {
        if ((r->ops->sizes & s) && (off & ~(s - 1)) + s <= r->len)
            return s;
    }
    return 0;
}

static uint32_t ones(unsigned size)
{
    return size >= 4 ? UINT32_MAX : (1u << (8 * size)) - 1;
}

static bool fits(const struct region *r, uint16_t port, unsigned size)
{
    return r && port - r->base + size <= r->len;
}

/* -d io, -d dev:NAME, -trace */
static void tell(const struct region *r, uint16_t port, uint32_t val, unsigned size, bool write)
{
    const char *name = r ? r->name : "-";
    uint64_t cats[] = { LOG_IO, r ? LOG_DEV_OF(r->ops->log) : 0 };
    if (write)
        trace_io_write(name, port, size, val);
    else
        trace_io_read(name, port, size, val);
    if (!log_on(cats[0] | cats[1]))
        return;
    for (unsigned i = 0; i < 2; i++)
        log_msg(cats[i], "%s%u %04x %s %0*x  %s", write ? "out" : "in", size * 8, port, write ? "<-" : "->",
                (int)size * 2, val, name);
}

uint32_t ports_read(struct ports *p, uint16_t port, unsigned size)
{
    const struct region *r = region_at(p, port);
    uint32_t v = ones(size);
    if (fits(r, port, size) && (r->ops->sizes & size)) {
        v = (uint32_t)r->ops->read(r->dev, port - r->base, size) & ones(size);
    } else if (size > 1) {
        v = ports_read(p, port, size / 2);
        v |= ports_read(p, (uint16_t)(port + size / 2), size / 2) << (4 * size);
        return v;
    } else if (r) {
        unsigned off = port - r->base;
        unsigned s = wider(r, off, 1);
        if (s)
            v = (uint32_t)(r->ops->read(r->dev, off & ~(s - 1), s) >> (8 * (off & (s - 1)))) & 0xff;
    }
    tell(r, port, v, size, false);
    return v;
}

void ports_write(struct ports *p, uint16_t port, uint32_t val, unsigned size)
{
    const struct region *r = region_at(p, port);
    val &= ones(size);
    if (size > 1 && !(fits(r, port, size) && (r->ops->sizes & size))) {
        ports_write(p, port, val, size / 2);
        ports_write(p, (uint16_t)(port + size / 2), val >> (4 * size), size / 2);
        return;
    }
    tell(r, port, val, size, true);
    if (!r)
        return;
    unsigned off = port - r->base;
    unsigned s = r->ops->sizes & size ? size : wider(r, off, size);
    if (s == size)              /* as it is: words at odd offsets, too, as for reads */
        r->ops->write(r->dev, off, val, s);
    else if (s)
        r->ops->write(r->dev, off & ~(s - 1), (uint64_t)val << (8 * (off & (s - 1))), s);
}
