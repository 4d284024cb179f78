/*
 * virtq.c - virtqueues: split rings (virtio 1.2, 2.7) and packed ones (2.8), with indirect descriptors and
 * notification by index.
 *
 * The guest writes to rings while they are read. Each thing is read once, then checked, then used: what was
 * checked cannot change. What makes no sense breaks the device (virtio_broken()) until its driver resets it.
 *
 * Order: an index is read before what it promises, and what is given back is written before the index that
 * tells of it; a driver's wish to be interrupted is read after that. The fences matter where other processors
 * run the guest.
 */
#include "hw/virtio/virtio.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/trace.h"

#define DESC          16u
#define DESC_NEXT     1u
#define DESC_WRITE    2u
#define DESC_INDIRECT 4u
#define PACKED_AVAIL  0x80u
#define PACKED_USED   0x8000u

#define AVAIL_NO_INTERRUPT 1u
#define EVENT_DISABLE 1u                /* packed: the flags of an event suppression area */
#define EVENT_DESC    2u
#define EVENT_WRAP    0x8000u

static const struct field virtq_state[] = {
    FIELD(struct virtq, desc), FIELD(struct virtq, avail), FIELD(struct virtq, used),
    FIELD(struct virtq, size), FIELD(struct virtq, vector), FIELD_MAX(struct virtq, enabled, 1),
    FIELD(struct virtq, last_avail), FIELD(struct virtq, used_idx), FIELD(struct virtq, signalled),
    FIELD(struct virtq, signalled_valid), FIELD_MAX(struct virtq, avail_wrap, 1),
    FIELD_MAX(struct virtq, used_wrap, 1),
    FIELD_END
};

void virtq_reset(struct virtq *q)
{
    q->desc = q->avail = q->used = 0;
    q->size = q->max;
    q->vector = 0xffff;
    q->enabled = q->signalled_valid = 0;
    q->inuse = 0;
    q->pushed = false;
    q->last_avail = q->used_idx = q->signalled = 0;
    q->avail_wrap = q->used_wrap = 1;
}

static const char *virtq_check(const void *dev)
{
    const struct virtq *q = dev;

    return !q->size || q->size > q->max || (q->size & (q->size - 1)) ?
           "size is no number of entries that it can have" : NULL;
}

/* Which kind of ring it is, its device knows, whose state is another chip's. */
static void virtq_loaded(void *dev)
{
    struct virtq *q = dev;

    if (!virtio_has(q->v, VIRTIO_F_RING_PACKED))
        return;
    q->last_avail %= q->size;
    q->used_idx %= q->size;
}

static const struct chip virtq_chip = { "virtq", sizeof(struct virtq), NULL, virtq_state, virtq_loaded,
                                        .check = virtq_check };

struct virtq *virtq_new(struct chip_list *chips, struct virtio_dev *v, const char *name, unsigned n,
                        unsigned max)
{
    struct virtq *q = chip_new(chips, &virtq_chip, name);

    q->v = v;
    q->n = n;
    q->max = max;
    virtq_reset(q);
    return q;
}

static bool running(const struct virtq *q)
{
    return q->enabled && virtio_live(q->v);
}

static bool get(struct virtq *q, uint64_t pa, void *buf, unsigned len)
{
    if (pci_dma_read(q->v->pci, pa, buf, len))
        return true;
    virtio_broken(q->v, "queue %u: no memory at %#llx", q->n, (unsigned long long)pa);
    return false;
}

static bool put(struct virtq *q, uint64_t pa, const void *buf, unsigned len)
{
    if (pci_dma_write(q->v->pci, pa, buf, len))
        return true;
    virtio_broken(q->v, "queue %u: no memory at %#llx", q->n, (unsigned long long)pa);
    return false;
}

static bool get16(struct virtq *q, uint64_t pa, uint16_t *val)
{
    uint8_t b[2];

    if (!get(q, pa, b, sizeof(b)))
        return false;
    *val = (uint16_t)le_get(b, 2);
    return true;
}

static bool put16(struct virtq *q, uint64_t pa, uint16_t val)
{
    uint8_t b[2];

    le_put(b, 2, val);
    return put(q, pa, b, sizeof(b));
}

/* ---- chains ---- */

struct desc {
    uint64_t pa;
    uint32_t len;
    uint16_t flags, other;      /* other: split: next; packed: buffer id */
};

struct walk {
    unsigned n, nout;
    uint64_t out_len, in_len;
};

static bool get_desc(struct virtq *q, uint64_t table, unsigned at, struct desc *d)
{
    bool packed = virtio_has(q->v, VIRTIO_F_RING_PACKED);
    uint8_t b[DESC];

    if (!get(q, table + DESC * at, b, sizeof(b)))
        return false;
    d->pa = le_get(b, 8);
    d->len = (uint32_t)le_get(b + 8, 4);
    d->flags = (uint16_t)le_get(b + (packed ? 14 : 12), 2);
    d->other = (uint16_t)le_get(b + (packed ? 12 : 14), 2);
    return true;
}

static bool add(struct virtq *q, struct walk *w, const struct desc *d)
{
    bool in = d->flags & DESC_WRITE;

    if (!d->len)
        return true;
    if (d->pa + d->len < d->pa || w->out_len + w->in_len + d->len > UINT32_MAX) {
        virtio_broken(q->v, "queue %u: %#x bytes at %#llx: too much", q->n, d->len,
                      (unsigned long long)d->pa);
    } else if (w->n == VIRTQ_CHAIN_MAX) {
        virtio_broken(q->v, "queue %u: more than %u descriptors in a chain", q->n, VIRTQ_CHAIN_MAX);
    } else if (!in && w->in_len) {
        virtio_broken(q->v, "queue %u: what is to be read comes behind what is to be written", q->n);
    } else {
        q->v->walk[w->n++] = (struct virtq_seg){ d->pa, d->len };
        w->nout += !in;
        *(in ? &w->in_len : &w->out_len) += d->len;
        return true;
    }
    return false;
}

/* The table a descriptor stands for; *count: its entries. */
static bool indirect(struct virtq *q, const struct desc *d, unsigned *count)
{
    if (!virtio_has(q->v, VIRTIO_F_INDIRECT_DESC) || (d->flags & DESC_NEXT) || !d->len || d->len % DESC) {
        virtio_broken(q->v, "queue %u: an indirect descriptor of %#x bytes, flags %#x", q->n, d->len,
                      d->flags);
        return false;
    }
    *count = d->len / DESC;
    return true;
}

/* Each descriptor once at most, so that loops end. */
static bool walk_split(struct virtq *q, struct walk *w, uint64_t table, unsigned count, unsigned at,
                       bool inner)
{
    struct desc d;
    unsigned n;

    for (unsigned i = 0; i < count; i++) {
        if (at >= count) {
            virtio_broken(q->v, "queue %u: descriptor %u of %u", q->n, at, count);
            return false;
        }
        if (!get_desc(q, table, at, &d))
            return false;
        if ((d.flags & DESC_INDIRECT) && !inner)
            return indirect(q, &d, &n) && walk_split(q, w, d.pa, n, 0, true);
        if (d.flags & DESC_INDIRECT) {
            virtio_broken(q->v, "queue %u: an indirect table in another", q->n);
            return false;
        }
        if (!add(q, w, &d))
            return false;
        if (!(d.flags & DESC_NEXT))
            return true;
        at = d.other;
    }
    virtio_broken(q->v, "queue %u: a chain that does not end", q->n);
    return false;
}

static struct virtq_chain *make_chain(struct virtq *q, const struct walk *w, uint16_t head, uint16_t count)
{
    struct virtq_chain *c = malloc(sizeof(*c) + w->n * sizeof(c->seg[0]));

    if (!c)
        die(EXIT_CODE_HOST, "out of memory for a request");
    *c = (struct virtq_chain){ .q = q, .generation = q->v->generation, .head = head, .count = count,
                               .out_len = (uint32_t)w->out_len, .in_len = (uint32_t)w->in_len,
                               .nout = w->nout, .nsegs = w->n };
    for (unsigned i = 0; i < w->n; i++)
        c->seg[i] = q->v->walk[i];
    return c;
}

/* ---- split rings ---- */

/* Is there a chain? If not, the driver is asked to tell of the next one, and looked at once more. */
static bool split_some(struct virtq *q)
{
    uint16_t idx;

    for (unsigned pass = 0; get16(q, q->avail + 2, &idx); pass++) {
        uint16_t n = idx - q->last_avail;

        if (n > q->size) {
            virtio_broken(q->v, "queue %u of %u entries offers %u chains", q->n, q->size, n);
            return false;
        }
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (n || pass || !virtio_has(q->v, VIRTIO_F_EVENT_IDX))
            return n;
        if (!put16(q, q->used + 4 + 8u * q->size, q->last_avail))
            return false;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    }
    return false;
}

static struct virtq_chain *split_pop(struct virtq *q)
{
    struct walk w = { 0 };
    uint16_t head;

    if (!split_some(q) || !get16(q, q->avail + 4 + 2u * (q->last_avail % q->size), &head) ||
        !walk_split(q, &w, q->desc, q->size, head, false))
        return NULL;
    q->last_avail++;
    return make_chain(q, &w, head, 1);
}

static void split_push(struct virtq *q, struct virtq_chain *const *c, const uint32_t *written, unsigned n)
{
    uint8_t b[8];

    for (unsigned i = 0; i < n; i++) {
        le_put(b, 4, c[i]->head);
        le_put(b + 4, 4, written[i]);
        if (!put(q, q->used + 4 + 8u * ((q->used_idx + i) % q->size), b, sizeof(b)))
            return;
    }
    __atomic_thread_fence(__ATOMIC_RELEASE);
    q->used_idx += n;
    put16(q, q->used + 2, q->used_idx);
}

static bool split_wanted(struct virtq *q)
{
    uint16_t old = q->signalled, event, flags;

    if (!virtio_has(q->v, VIRTIO_F_EVENT_IDX))
        return get16(q, q->avail, &flags) && !(flags & AVAIL_NO_INTERRUPT);
    if (!get16(q, q->avail + 4 + 2u * q->size, &event))
        return false;
    return !q->signalled_valid || (uint16_t)(q->used_idx - event - 1) < (uint16_t)(q->used_idx - old);
}

/* ---- packed rings ---- */

static void packed_step(const struct virtq *q, uint16_t *at, uint8_t *wrap, unsigned n)
{
    *at += n;
    if (*at < q->size)
        return;
    *at -= q->size;
    *wrap ^= 1;
}

static void packed_back(const struct virtq *q, uint16_t *at, uint8_t *wrap, unsigned n)
{
    if (*at < n) {
        *at += q->size;
        *wrap ^= 1;
    }
    *at -= n;
}

static bool packed_available(const struct virtq *q, uint16_t flags)
{
    bool avail = flags & PACKED_AVAIL, used = flags & PACKED_USED;

    return avail == q->avail_wrap && used != q->avail_wrap;
}

static bool walk_packed_table(struct virtq *q, struct walk *w, const struct desc *table)
{
    struct desc d;
    unsigned n;

    if (!indirect(q, table, &n))
        return false;
    for (unsigned i = 0; i < n; i++)
        if (!get_desc(q, table->pa, i, &d) || !add(q, w, &d))
            return false;
    return true;
}

static struct virtq_chain *packed_pop(struct virtq *q)
{
    struct virtq_chain *c;
    struct walk w = { 0 };
    unsigned at = q->last_avail, count = 0;
    struct desc d;
    uint16_t flags;

    /* The flags first: what else the descriptor says is there only then. */
    if (!get16(q, q->desc + DESC * at + 14, &flags) || !packed_available(q, flags))
        return NULL;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    do {
        if (count++ == q->size) {
            virtio_broken(q->v, "queue %u: a chain that does not end", q->n);
            return NULL;
        }
        if (!get_desc(q, q->desc, at, &d))
            return NULL;
        if (d.flags & DESC_INDIRECT ? !walk_packed_table(q, &w, &d) : !add(q, &w, &d))
            return NULL;
        at = at + 1 == q->size ? 0 : at + 1;
    } while (d.flags & DESC_NEXT);
    c = make_chain(q, &w, d.other, count);
    packed_step(q, &q->last_avail, &q->avail_wrap, count);
    return c;
}

/* The last one first: when the driver sees the first, all are there. */
static void packed_push(struct virtq *q, struct virtq_chain *const *c, const uint32_t *written, unsigned n)
{
    uint16_t at = q->used_idx, end;
    uint8_t wrap = q->used_wrap, end_wrap, b[6];

    for (unsigned i = 0; i < n; i++)
        packed_step(q, &at, &wrap, c[i]->count);
    end = at;
    end_wrap = wrap;
    while (n--) {
        packed_back(q, &at, &wrap, c[n]->count);
        le_put(b, 4, written[n]);
        le_put(b + 4, 2, c[n]->head);
        if (!put(q, q->desc + DESC * at + 8, b, sizeof(b)))
            return;
        __atomic_thread_fence(__ATOMIC_RELEASE);
        put16(q, q->desc + DESC * at + 14, (wrap ? PACKED_AVAIL | PACKED_USED : 0) |
              (c[n]->in_len ? DESC_WRITE : 0));
    }
    if (end_wrap != q->used_wrap)
        q->signalled -= q->size;
    q->used_idx = end;
    q->used_wrap = end_wrap;
}

static bool packed_wanted(struct virtq *q)
{
    uint16_t event, flags, now = q->used_idx, old = q->signalled;
    bool wrap;

    if (!get16(q, q->avail + 2, &flags) || (flags & 3) == EVENT_DISABLE)
        return false;
    if ((flags & 3) != EVENT_DESC || !virtio_has(q->v, VIRTIO_F_EVENT_IDX))
        return true;
    if (!get16(q, q->avail, &event))
        return false;
    /* As for `signalled`, the round before this one has numbers below 0. */
    wrap = event & EVENT_WRAP;
    event &= ~EVENT_WRAP;
    if (wrap != q->used_wrap)
        event -= q->size;
    return !q->signalled_valid || (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

/* ---- both ---- */

struct virtq_chain *virtq_pop(struct virtq *q)
{
    struct virtq_chain *c;

    if (!running(q))
        return NULL;
    c = virtio_has(q->v, VIRTIO_F_RING_PACKED) ? packed_pop(q) : split_pop(q);
    if (c && q->inuse == q->size) {
        virtio_broken(q->v, "queue %u of %u entries has more chains", q->n, q->size);
        free(c);
        return NULL;
    }
    if (c) {
        q->inuse++;
        trace_virtio_queue_pop(q->v->type->name, q->n, c->head, c->out_len, c->in_len);
    }
    return c;
}

/* It is no longer the device's. */
static void end(struct virtq_chain *c)
{
    if (chain_current(c))
        c->q->inuse--;
    free(c);
}

void virtq_push_all(struct virtq_chain *const *c, const uint32_t *written, unsigned n)
{
    struct virtq *q = c[0]->q;

    if (chain_current(c[0]) && running(q))
        (virtio_has(q->v, VIRTIO_F_RING_PACKED) ? packed_push : split_push)(q, c, written, n);
    q->pushed = true;
    for (unsigned i = 0; i < n; i++) {
        trace_virtio_queue_push(q->v->type->name, q->n, c[i]->head, written[i]);
        end(c[i]);
    }
}

void virtq_push(struct virtq_chain *c, uint32_t written)
{
    virtq_push_all(&c, &written, 1);
}

void virtq_unpop(struct virtq_chain *c)
{
    struct virtq *q = c->q;

    if (!chain_current(c))
        ;                               /* the ring it was in is gone */
    else if (virtio_has(q->v, VIRTIO_F_RING_PACKED))
        packed_back(q, &q->last_avail, &q->avail_wrap, c->count);
    else
        q->last_avail--;
    end(c);
}

void virtq_drop(struct virtq_chain *c)
{
    end(c);
}

void virtq_notify(struct virtq *q)
{
    bool wanted;

    if (!q->pushed || !running(q))
        return;
    q->pushed = false;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    wanted = virtio_has(q->v, VIRTIO_F_RING_PACKED) ? packed_wanted(q) : split_wanted(q);
    q->signalled = q->used_idx;
    q->signalled_valid = 1;
    if (wanted)
        virtio_interrupt(q->v, q->vector, 1);
}

bool chain_current(const struct virtq_chain *c)
{
    return c->generation == c->q->v->generation;
}

/* ---- what is in chains ---- */

/* The pieces of one side that hold `len` bytes from `off` on, one after the other; false behind the last. */
struct piece {
    const struct virtq_chain *c;
    unsigned i, end;
    uint32_t off, len;          /* still to skip; still wanted */
    uint64_t pa;
    uint32_t n;
};

static struct piece pieces(const struct virtq_chain *c, bool in, uint32_t off, uint32_t len)
{
    uint32_t all = in ? c->in_len : c->out_len;
    struct piece p = { .c = c, .i = in ? c->nout : 0, .end = in ? c->nsegs : c->nout, .off = off };

    if (off < all)
        p.len = len < all - off ? len : all - off;
    return p;
}

static bool next(struct piece *p)
{
    const struct virtq_seg *s;

    p->len -= p->n;
    p->n = 0;
    for (; p->len && p->i < p->end; p->i++) {
        s = &p->c->seg[p->i];
        if (p->off >= s->len) {
            p->off -= s->len;
            continue;
        }
        p->pa = s->pa + p->off;
        p->n = s->len - p->off < p->len ? s->len - p->off : p->len;
        p->off = 0;
        p->i++;
        return true;
    }
    return false;
}

uint32_t chain_get(const struct virtq_chain *c, uint32_t off, void *buf, uint32_t len)
{
    struct piece p = pieces(c, false, off, len);
    uint32_t done = 0;

    for (; next(&p); done += p.n)
        pci_dma_read(c->q->v->pci, p.pa, (uint8_t *)buf + done, p.n);
    return done;
}

uint32_t chain_put(const struct virtq_chain *c, uint32_t off, const void *buf, uint32_t len)
{
    struct piece p = pieces(c, true, off, len);
    uint32_t done = 0;

    for (; next(&p); done += p.n)
        pci_dma_write(c->q->v->pci, p.pa, (const uint8_t *)buf + done, p.n);
    return done;
}

uint32_t chain_map(const struct virtq_chain *c, bool in, uint32_t off, uint32_t len, struct disk_buf *bufs,
                   unsigned max, unsigned *n)
{
    struct piece p = pieces(c, in, off, len);
    uint32_t done = 0;

    *n = 0;
    while (next(&p)) {
        for (uint64_t run, at = 0; at < p.n; at += run) {
            void *host = *n < max ? pci_dma_host(c->q->v->pci, p.pa + at, p.n - at, in, &run) : NULL;

            if (!host)
                return done;
            bufs[(*n)++] = (struct disk_buf){ host, run };
            done += (uint32_t)run;
        }
    }
    return done;
}

void chain_written(const struct virtq_chain *c, uint32_t off, uint32_t len)
{
    struct piece p = pieces(c, true, off, len);

    while (next(&p))
        pci_dma_written(c->q->v->pci, p.pa, p.n);
}
