/*
 * virtio_balloon.c - memory the guest lends to the host (virtio 1.2, 5.5): pages it puts into the balloon,
 * or reports as free, go back to the host at once; taking them out again needs nothing, they come back as
 * zeros when touched.
 *
 * The statistics buffer stays in the driver's ring, read but not taken, until somebody asks for new ones.
 */
#include <string.h>

#include "base/log.h"
#include "hw/machine.h"
#include "hw/virtio/balloon.h"
#include "hw/virtio/virtio.h"

#define F_STATS     (1ull << 1)
#define F_ON_OOM    (1ull << 2)
#define F_REPORTING (1ull << 5)
/* The last one is where it is since free page hints, whose queue would come before it, are not offered. */
enum { INFLATE, DEFLATE, STATS, REPORTING };
enum { CFG_PAGES = 0, CFG_ACTUAL = 4, CFG_LEN = 8 };
#define QUEUE 128u
#define PFN_SHIFT 12
#define PFNS  256u                      /* read at a time */
#define PFNS_MAX 65536u                 /* in a chain; drivers put 256 there */
#define STAT  10u                       /* bytes: tag, value */

struct balloon {
    struct virtio_dev *v;
    uint64_t ram;
    uint64_t stats[BALLOON_STATS];
    uint32_t told;                      /* how many times there were statistics */
    struct machine *m;
};

static const struct field balloon_state[] = {
    FIELD_ARRAY(struct balloon, stats), FIELD(struct balloon, told), FIELD_END
};

/* ---- pages ---- */

/* Neighbours at once: the host's pages may be larger than the guest's. */
static void inflate(struct balloon *s, const struct virtq_chain *c)
{
    uint64_t from = 0, to = 0;
    uint8_t b[4 * PFNS];

    for (uint32_t off = 0, n; (n = chain_get(c, off, b, sizeof(b)) / 4); off += 4 * n) {
        for (uint32_t i = 0; i < n; i++) {
            uint64_t pa = le_get(b + 4 * i, 4) << PFN_SHIFT;

            if (pa == to) {
                to += 1u << PFN_SHIFT;
                continue;
            }
            pci_dma_discard(s->v->pci, from, to - from);
            from = pa;
            to = pa + (1u << PFN_SHIFT);
        }
    }
    pci_dma_discard(s->v->pci, from, to - from);
    log_dev(VIRTIO, "virtio-balloon: %u pages more", c->out_len / 4);
}

static void report(struct balloon *s, const struct virtq_chain *c)
{
    for (unsigned i = c->nout; i < c->nsegs; i++)
        pci_dma_discard(s->v->pci, c->seg[i].pa, c->seg[i].len);
    log_dev(VIRTIO, "virtio-balloon: %u bytes are free", c->in_len);
}

/* ---- statistics ---- */

static void read_stats(struct balloon *s, const struct virtq_chain *c)
{
    uint8_t b[STAT];

    for (unsigned i = 0; i < BALLOON_STATS; i++)
        s->stats[i] = UINT64_MAX;
    for (uint32_t off = 0; off / STAT < 4 * BALLOON_STATS && chain_get(c, off, b, STAT) == STAT; off += STAT)
        if (le_get(b, 2) < BALLOON_STATS)
            s->stats[le_get(b, 2)] = le_get(b + 2, 8);
    s->told++;
}

static void take_stats(struct balloon *s)
{
    struct virtq *q = s->v->queue[STATS];
    struct virtq_chain *c = NULL, *next;

    while ((next = virtq_pop(q))) {
        if (c)
            virtq_push(c, 0);
        c = next;
        read_stats(s, c);
    }
    if (c)
        virtq_unpop(c);
    virtq_notify(q);
}

bool balloon_ask(struct balloon *s)
{
    struct virtq_chain *c = virtio_has(s->v, F_STATS) ? virtq_pop(s->v->queue[STATS]) : NULL;

    if (!c)
        return false;
    virtq_push(c, 0);
    virtq_notify(s->v->queue[STATS]);
    return true;
}

uint32_t balloon_stats(const struct balloon *s, uint64_t stats[BALLOON_STATS])
{
    memcpy(stats, s->stats, sizeof(s->stats));
    return s->told;
}

/* ---- size ---- */

void balloon_set(struct balloon *s, uint64_t bytes)
{
    uint64_t pages = bytes < s->ram ? (s->ram - bytes) >> PFN_SHIFT : 0;

    virtio_config_set(s->v, CFG_PAGES, 4, pages < UINT32_MAX ? pages : UINT32_MAX);
    virtio_config_changed(s->v);
}

uint64_t balloon_actual(const struct balloon *s)
{
    uint64_t lent = virtio_config_get(s->v, CFG_ACTUAL, 4) << PFN_SHIFT;

    return lent < s->ram ? s->ram - lent : 0;
}

/* ---- the device ---- */

static void kick(void *dev, unsigned queue)
{
    struct balloon *s = dev;
    struct virtq *q = s->v->queue[queue];
    struct virtq_chain *c;

    if (queue == STATS) {
        take_stats(s);
        return;
    }
    while ((c = virtq_pop(q))) {
        if (c->out_len / 4 > PFNS_MAX)
            virtio_broken(s->v, "%u pages at a time", c->out_len / 4);
        else if (queue == INFLATE)
            inflate(s, c);
        else if (queue == REPORTING)
            report(s, c);
        virtq_push(c, 0);
    }
    virtq_notify(q);
}

static void reset(void *dev)
{
    struct balloon *s = dev;

    for (unsigned i = 0; i < BALLOON_STATS; i++)
        s->stats[i] = UINT64_MAX;
    s->told = 0;
}

static void config_written(void *dev, unsigned off, unsigned len)
{
    struct balloon *s = dev;

    machine_news(s->m, NEWS_BALLOON, NULL, (int64_t)balloon_actual(s));
}

static const struct virtio_type type = {
    .name = "virtio-balloon", .id = VIRTIO_BALLOON, .legacy_id = 0x1002, .class = 0x00ff00,
    .config_len = CFG_LEN, .kick = kick, .reset = reset,
    .config_written = config_written
};

static const struct chip balloon_chip = { "virtio-balloon", sizeof(struct balloon), NULL, balloon_state,
                                          NULL };

struct props {
    struct virtio_props virtio;
    bool on_oom, reporting;
};

static void make(struct plug_env *env, void *bus, const void *props)
{
    const struct props *p = props;
    struct balloon *s = chip_new(env->m->chips, &balloon_chip, p->virtio.common.name);

    if (env->m->balloon)
        die(EXIT_CODE_USAGE, "-device %s: the machine has a balloon already", p->virtio.common.name);
    s->m = env->m;
    s->ram = env->m->ram_low + env->m->ram_high;
    s->v = virtio_new(env, &p->virtio, &type, s, p->reporting ? REPORTING + 1 : STATS + 1, QUEUE,
                      F_STATS | (p->on_oom ? F_ON_OOM : 0) | (p->reporting ? F_REPORTING : 0));
    virtio_config_writable(s->v, CFG_ACTUAL, 4);
    reset(s);
    env->m->balloon = s;
}

static const struct prop props_table[] = {
    { "deflate-on-oom", PROP_BOOL, offsetof(struct props, on_oom), 0, 0,
      "the guest may take pages back when it has no others" },
    { "free-page-reporting", PROP_BOOL, offsetof(struct props, reporting), 0, 0,
      "take what the guest reports as free" },
    VIRTIO_PROPS, PROP_END
};

static const struct props defaults = { .virtio = VIRTIO_DEFAULTS };

const struct plug virtio_balloon_plug = {
    "virtio-balloon-pci", "memory lent to the host (virtio)", "PCI", sizeof(struct props), &defaults,
    props_table, make
};
