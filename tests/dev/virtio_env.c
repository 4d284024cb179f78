/*
 * virtio_env.c - see virtio_env.h.
 */
#include "tests/dev/virtio_env.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATUS_FEATURES_OK 8u
#define DRIVER_OK 0x0fu

static void msi_sent(void *to, uint64_t addr, uint32_t data)
{
    struct vt *v = to;

    ck_assert_uint_eq(addr, 0xfee00000);
    v->msis[data % 64]++;
}

struct vt *vt_new(void)
{
    struct vt *v = calloc(1, sizeof(*v));
    struct env *e = v->e = env_new();

    v->ram = phys_ram_alloc(e->phys, VT_RAM);
    phys_map_ram(e->phys, 0, VT_HOLE, v->ram, false, "ram");
    phys_map_ram(e->phys, 0x100000, VT_RAM - 0x100000, v->ram + 0x100000, false, "ram-1m");
    v->bus = pci_bus_new(e->chips, e->ports, e->phys, NULL, NULL, (struct irq){ .set = env_set, .to = e });
    pci_bus_msi(v->bus, (struct pci_msi_to){ msi_sent, v });
    e->m.chips = e->chips;
    e->m.ports = e->ports;
    e->m.phys = e->phys;
    e->m.clock = e->clock;
    e->m.ram_low = VT_RAM;
    v->plugs = (struct plug_env){ .m = &e->m, .pci = v->bus };
    return v;
}

static void add_use(struct vt *v, struct plug_use *u)
{
    if (v->last)
        v->last->next = u;
    else
        v->use = u;
    v->last = u;
}

static void set_props(struct vt *v, struct plug_use *u, char *p)
{
    char why[200];

    for (char *key = strtok_r(p, ",", &p); key; key = strtok_r(NULL, ",", &p)) {
        char *val = strchr(key, '=');
        const struct prop *prop;

        ck_assert_ptr_nonnull(val);
        *val++ = 0;
        prop = plug_prop(u->plug, key);
        ck_assert_msg(prop, "no property %s", key);
        ck_assert_msg(plug_set(u, prop, val, &v->names, why, sizeof(why)), "%s=%s: %s", key, val, why);
    }
}

/* Capabilities of the device under test, and its BARs. */
static void find(struct vt *v)
{
    unsigned devfn = VT_SLOT << 3, at = env_config_read(v->e, devfn, 0x34, 1);

    env_config_write(v->e, devfn, 0x10, VT_BAR0, 4);
    env_config_write(v->e, devfn, 0x14, VT_BAR1, 4);
    env_config_write(v->e, devfn, 0x20, VT_BAR4, 4);
    env_config_write(v->e, devfn, 0x24, 0, 4);
    env_config_write(v->e, devfn, 4, 7, 2);
    for (; at; at = env_config_read(v->e, devfn, at + 1, 1)) {
        unsigned type = env_config_read(v->e, devfn, at + 3, 1);

        if (env_config_read(v->e, devfn, at, 1) == 0x11)
            v->cap[0] = at;
        if (env_config_read(v->e, devfn, at, 1) != 9)
            continue;
        ck_assert_uint_ge(type, 1);
        ck_assert_uint_le(type, 5);
        v->cap[type] = at;
        v->at[type] = env_config_read(v->e, devfn, at + 8, 4);
        if (type != 5)
            ck_assert_uint_eq(env_config_read(v->e, devfn, at + 4, 1), 4);
    }
}

void vt_add(struct vt *v, const char *spec)
{
    char *copy = strdup(spec), *rest = copy, *name = strtok_r(copy, ",", &rest);
    const struct plug *plug = plug_find(name);
    struct plug_use *u;
    bool first = !v->use;

    ck_assert_msg(plug, "no device %s", name);
    u = plug_use_new(plug);
    if (first)
        u->props->slot = VT_SLOT;
    set_props(v, u, rest);
    add_use(v, u);
    plugs_make(&v->plugs, u);
    if (first)
        find(v);
    ck_assert_uint_lt(v->nspecs, VT_DEVICES);
    v->spec[v->nspecs++] = copy;        /* strings of its properties are in it */
}

void vt_free(struct vt *v)
{
    env_check_state(v->e);
    plug_buses_free(&v->plugs);
    env_free(v->e);
    for (struct plug_use *u = v->use, *next; u; u = next) {
        next = u->next;
        plug_use_free(u);
    }
    for (unsigned i = 0; i < v->nspecs; i++)
        free(v->spec[i]);
    free(v);
}

/* ---- registers ---- */

uint32_t vt_read(struct vt *v, unsigned type, unsigned off, unsigned size)
{
    return (uint32_t)phys_io_read(v->e->phys, VT_BAR4 + v->at[type] + off, size);
}

void vt_write(struct vt *v, unsigned type, unsigned off, uint32_t val, unsigned size)
{
    phys_io_write(v->e->phys, VT_BAR4 + v->at[type] + off, val, size);
}

uint32_t vt_legacy_read(struct vt *v, unsigned off, unsigned size)
{
    return ports_read(v->e->ports, VT_BAR0 + off, size);
}

void vt_legacy_write(struct vt *v, unsigned off, uint32_t val, unsigned size)
{
    ports_write(v->e->ports, VT_BAR0 + off, val, size);
}

static bool modern(const struct vt *v)
{
    return v->features & VT_MODERN;
}

uint64_t vt_offered(struct vt *v)
{
    uint64_t f;

    if (!modern(v))
        return vt_legacy_read(v, 0, 4);
    vt_write(v, 1, 0, 0, 4);
    f = vt_read(v, 1, 4, 4);
    vt_write(v, 1, 0, 1, 4);
    return f | (uint64_t)vt_read(v, 1, 4, 4) << 32;
}

uint8_t vt_status(struct vt *v)
{
    return modern(v) ? vt_read(v, 1, 0x14, 1) : vt_legacy_read(v, 18, 1);
}

void vt_set_status(struct vt *v, uint8_t val)
{
    if (modern(v))
        vt_write(v, 1, 0x14, val, 1);
    else
        vt_legacy_write(v, 18, val, 1);
}

uint8_t vt_isr(struct vt *v)
{
    return modern(v) ? vt_read(v, 3, 0, 1) : vt_legacy_read(v, 19, 1);
}

uint64_t vt_config(struct vt *v, unsigned off, unsigned size)
{
    uint64_t val = 0;

    for (unsigned i = 0; i < size; i++)
        val |= (uint64_t)(modern(v) ? vt_read(v, 4, off + i, 1) :
                          vt_legacy_read(v, (v->msix ? 24 : 20) + off + i, 1)) << (8 * i);
    return val;
}

void vt_config_write(struct vt *v, unsigned off, uint32_t val, unsigned size)
{
    if (modern(v))
        vt_write(v, 4, off, val, size);
    else
        vt_legacy_write(v, (v->msix ? 24 : 20) + off, val, size);
}

/* ---- rings ---- */

static void setup_queue(struct vt *v, unsigned n)
{
    struct vt_queue *q = &v->q[n];
    uint64_t base = 0x100000 + n * 0x20000;

    memset(q, 0, sizeof(*q));
    memset(v->ram + base, 0, 0x20000);
    q->n = n;
    q->desc = base;
    q->avail_wrap = q->used_wrap = true;
    q->tables = 0x200000 + n * 0x20000;
    if (!modern(v)) {
        vt_legacy_write(v, 14, n, 2);
        q->size = vt_legacy_read(v, 12, 2);
        q->avail = base + 16 * q->size;
        q->used = (q->avail + 6 + 2 * q->size + 4095) & ~4095ull;
        if (v->msix) {
            vt_legacy_write(v, 22, n + 1, 2);
            ck_assert_uint_eq(vt_legacy_read(v, 22, 2), n + 1);
        }
        vt_legacy_write(v, 8, (uint32_t)(base >> 12), 4);
        return;
    }
    vt_write(v, 1, 0x16, n, 2);
    q->size = vt_read(v, 1, 0x18, 2);
    ck_assert_uint_gt(q->size, 0);
    q->avail = base + 0x8000;
    q->used = base + 0xa000;
    if ((v->features & VT_PACKED) && (v->features & VT_EVENT))
        vt_put(v, q->avail, 0x8000 | 2u << 16, 4);      /* interrupt after the first descriptor */
    if (v->msix) {
        vt_write(v, 1, 0x1a, n + 1, 2);
        ck_assert_uint_eq(vt_read(v, 1, 0x1a, 2), n + 1);
    }
    vt_write(v, 1, 0x20, (uint32_t)q->desc, 4);
    vt_write(v, 1, 0x24, 0, 4);
    vt_write(v, 1, 0x28, (uint32_t)q->avail, 4);
    vt_write(v, 1, 0x2c, 0, 4);
    vt_write(v, 1, 0x30, (uint32_t)q->used, 4);
    vt_write(v, 1, 0x34, 0, 4);
    vt_write(v, 1, 0x1c, 1, 2);
}

static void setup_msix(struct vt *v)
{
    unsigned devfn = VT_SLOT << 3;

    env_config_write(v->e, devfn, v->cap[0] + 2, v->msix ? 0x8000 : 0, 2);
    for (unsigned n = 0; v->msix && n <= VT_QUEUES; n++) {
        phys_io_write(v->e->phys, VT_BAR1 + 16 * n, 0xfee00000, 4);
        phys_io_write(v->e->phys, VT_BAR1 + 16 * n + 8, n, 4);
        phys_io_write(v->e->phys, VT_BAR1 + 16 * n + 12, 0, 4);
    }
    memset(v->msis, 0, sizeof(v->msis));
}

void vt_start(struct vt *v, uint64_t want, bool msix, unsigned nqueues)
{
    v->features = want & VT_MODERN;
    v->msix = msix;
    vt_set_status(v, 0);
    ck_assert_uint_eq(vt_status(v), 0);
    setup_msix(v);
    vt_set_status(v, 3);
    v->features = vt_offered(v) & want;
    ck_assert_uint_eq(v->features & VT_MODERN, want & VT_MODERN);
    if (modern(v)) {
        for (unsigned half = 0; half < 2; half++) {
            vt_write(v, 1, 8, half, 4);
            vt_write(v, 1, 12, (uint32_t)(v->features >> (32 * half)), 4);
        }
        vt_set_status(v, 3 | STATUS_FEATURES_OK);
        ck_assert_uint_eq(vt_status(v), 3 | STATUS_FEATURES_OK);
    } else {
        vt_legacy_write(v, 4, (uint32_t)v->features, 4);
    }
    if (msix && modern(v))
        vt_write(v, 1, 0x10, 0, 2);
    else if (msix)
        vt_legacy_write(v, 20, 0, 2);
    for (unsigned n = 0; n < nqueues && n < VT_QUEUES; n++)
        setup_queue(v, n);
    vt_set_status(v, DRIVER_OK);
}

static void put_desc(struct vt *v, uint64_t at, const struct vt_seg *s, unsigned flags, unsigned other)
{
    bool packed = v->features & VT_PACKED;

    vt_put(v, at, s->pa, 8);
    vt_put(v, at + 8, s->len, 4);
    vt_put(v, at + (packed ? 14 : 12), flags | (s->in ? 2 : 0), 2);
    vt_put(v, at + (packed ? 12 : 14), other, 2);
}

static unsigned offer_packed(struct vt *v, struct vt_queue *q, const struct vt_seg *s, unsigned n, bool table)
{
    unsigned id = q->free++ % q->size, first = q->avail_idx, first_flags = 0;

    q->count[id] = n;
    for (unsigned i = 0; i < n; i++) {
        unsigned flags = (q->avail_wrap ? 0x80 : 0x8000) | (i + 1 < n ? 1 : 0) | (table ? 4 : 0);
        uint64_t at = q->desc + 16 * q->avail_idx;

        put_desc(v, at, &s[i], 0, id);
        flags |= s[i].in ? 2 : 0;
        if (i == 0)
            first_flags = flags;
        else
            vt_put(v, at + 14, flags, 2);
        if (++q->avail_idx == q->size) {
            q->avail_idx = 0;
            q->avail_wrap = !q->avail_wrap;
        }
    }
    vt_put(v, q->desc + 16 * first + 14, first_flags, 2);      /* the first one makes it visible */
    return id;
}

unsigned vt_offer(struct vt *v, unsigned n, const struct vt_seg *s, unsigned nsegs)
{
    struct vt_queue *q = &v->q[n];
    struct vt_seg one;
    unsigned head;
    bool table = v->features & VT_INDIRECT;

    if (table) {
        uint64_t at = q->tables + (q->free % 16) * 0x1000;

        for (unsigned i = 0; i < nsegs; i++)
            put_desc(v, at + 16 * i, &s[i], i + 1 < nsegs && !(v->features & VT_PACKED) ? 1 : 0, i + 1);
        one = (struct vt_seg){ at, 16 * nsegs, false };
        s = &one;
        nsegs = 1;
    }
    if (v->features & VT_PACKED)
        return offer_packed(v, q, s, nsegs, table);
    head = q->free % q->size;
    for (unsigned i = 0; i < nsegs; i++)
        put_desc(v, q->desc + 16 * ((q->free + i) % q->size), &s[i],
                 (i + 1 < nsegs ? 1 : 0) | (table ? 4 : 0), (q->free + i + 1) % q->size);
    q->free += nsegs;
    vt_put(v, q->avail + 4 + 2 * (q->avail_idx++ % q->size), head, 2);
    vt_put(v, q->avail + 2, q->avail_idx, 2);
    return head;
}

void vt_kick_always(struct vt *v, unsigned n)
{
    v->kicks++;
    if (modern(v))
        phys_io_write(v->e->phys, VT_BAR4 + v->at[2] + 4 * n, n, 2);
    else
        vt_legacy_write(v, 16, n, 2);
}

void vt_kick(struct vt *v, unsigned n)
{
    struct vt_queue *q = &v->q[n];

    if ((v->features & VT_EVENT) && !(v->features & VT_PACKED)) {
        uint16_t event = vt_get(v, q->used + 4 + 8 * q->size, 2), old = q->kicked;

        q->kicked = q->avail_idx;
        if ((uint16_t)(q->avail_idx - event - 1) >= (uint16_t)(q->avail_idx - old))
            return;
    }
    vt_kick_always(v, n);
}

bool vt_used(struct vt *v, unsigned n, unsigned *id, uint32_t *len)
{
    struct vt_queue *q = &v->q[n];
    uint64_t at;

    if (v->features & VT_PACKED) {
        unsigned flags = vt_get(v, q->desc + 16 * q->last_used + 14, 2);

        if (!!(flags & 0x80) != q->used_wrap || !!(flags & 0x8000) != q->used_wrap)
            return false;
        *id = vt_get(v, q->desc + 16 * q->last_used + 12, 2);
        *len = vt_get(v, q->desc + 16 * q->last_used + 8, 4);
        q->last_used += q->count[*id % q->size];
        if (q->last_used >= q->size) {
            q->last_used -= q->size;
            q->used_wrap = !q->used_wrap;
        }
        if (v->features & VT_EVENT) {
            vt_put(v, q->avail, q->last_used | q->used_wrap << 15, 2);
            vt_put(v, q->avail + 2, 2, 2);
        }
        return true;
    }
    if (vt_get(v, q->used + 2, 2) == q->last_used)
        return false;
    at = q->used + 4 + 8 * (q->last_used++ % q->size);
    *id = vt_get(v, at, 4);
    *len = vt_get(v, at + 4, 4);
    if (v->features & VT_EVENT)
        vt_put(v, q->avail + 4 + 2 * q->size, q->last_used, 2);
    return true;
}

unsigned vt_interrupts(struct vt *v, unsigned n)
{
    unsigned line = (VT_SLOT + 0) & 3, count = v->msis[n + 1];

    v->msis[n + 1] = 0;
    if (v->msix)
        return count;
    count = v->e->line[line];
    ck_assert_uint_eq(!!(vt_isr(v) & 1), count);
    ck_assert(!v->e->line[line]);
    return count;
}

/* ---- a disk ---- */

static void submit(struct disk *d, struct disk_req *r)
{
    struct vt_disk *t = (struct vt_disk *)d;

    r->next = NULL;
    *t->last = r;
    t->last = &r->next;
}

static const struct disk_ops disk_ops = { submit };

struct vt_disk *vt_disk_new(uint64_t size, const char *id)
{
    struct vt_disk *t = calloc(1, sizeof(*t));

    t->disk = (struct disk){ &disk_ops, size, false, true };
    t->drive = (struct drive){ .id = id, .disk = &t->disk };
    t->bytes = malloc(size);
    for (uint64_t i = 0; i < size; i++)
        t->bytes[i] = (uint8_t)(i * 7 + (i >> 9));
    t->last = &t->first;
    return t;
}

void vt_disk_free(struct vt_disk *t)
{
    free(t->bytes);
    free(t);
}

static void perform(struct vt_disk *t, struct disk_req *r)
{
    uint64_t at = r->off;

    if (r->op != DISK_FLUSH) {
        ck_assert_uint_le(r->off, t->disk.size);
        ck_assert_uint_le(r->len, t->disk.size - r->off);
    }
    t->fuas += r->fua;
    *(r->op == DISK_READ ? &t->reads : r->op == DISK_WRITE ? &t->writes : r->op == DISK_FLUSH ? &t->flushes :
      r->op == DISK_DISCARD ? &t->discards : &t->zeroes) += 1;
    if (r->op == DISK_ZERO && !t->error)
        memset(t->bytes + r->off, 0, r->len);
    for (unsigned i = 0; r->op <= DISK_WRITE && i < r->nbufs; at += r->bufs[i++].len) {
        ck_assert_uint_le(at + r->bufs[i].len, r->off + r->len);
        if (t->error)
            continue;
        if (r->op == DISK_READ)
            memcpy(r->bufs[i].data, t->bytes + at, r->bufs[i].len);
        else
            memcpy(t->bytes + at, r->bufs[i].data, r->bufs[i].len);
    }
    r->error = t->error;
}

unsigned vt_disk_run(struct vt_disk *t)
{
    unsigned n = 0;

    for (struct disk_req *r; (r = t->first); n++) {
        t->first = r->next;
        if (!t->first)
            t->last = &t->first;
        perform(t, r);
        r->done(r);
    }
    return n;
}
