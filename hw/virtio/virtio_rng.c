/*
 * virtio_rng.c - entropy for the guest (virtio 1.2, 5.4): each buffer gets random bytes, of a large one the
 * front. They are the host kernel's or, with rng=, those of a source that may have none yet: buffers wait for it in
 * the queue, so there is nothing to save.
 */
#include "hw/virtio/virtio.h"

#include <string.h>

#include "base/log.h"
#include "hw/rng_if.h"

#define QUEUE   8u
#define AT_ONCE 4096u                   /* bytes of a buffer: no guest keeps us busy for long */

struct virtio_rng {
    struct virtio_dev *v;
    struct clock *clock;
    struct rng *source;                 /* NULL: the clock's */
};

/* Up to `len` bytes; 0: there are none yet, and supply() is called again when there are. */
static uint32_t get(struct virtio_rng *s, uint8_t *buf, uint32_t len)
{
    if (s->source)
        return (uint32_t)s->source->ops->get(s->source, buf, len);
    for (uint32_t i = 0; i < len; i += 8) {
        uint8_t b[8];

        le_put(b, 8, clock_entropy(s->clock));
        memcpy(buf + i, b, len - i < 8 ? len - i : 8);
    }
    return len;
}

static void supply(void *dev)
{
    struct virtio_rng *s = dev;
    struct virtq *q = s->v->queue[0];
    struct virtq_chain *c;
    uint8_t buf[AT_ONCE];

    while ((c = virtq_pop(q))) {
        uint32_t room = c->in_len < AT_ONCE ? c->in_len : AT_ONCE, n = room ? get(s, buf, room) : 0;

        if (room && !n) {
            virtq_unpop(c);
            break;
        }
        chain_put(c, 0, buf, n);
        log_dev(VIRTIO, "virtio-rng: %u bytes", n);
        virtq_push(c, n);
    }
    virtq_notify(q);
}

static void kick(void *dev, unsigned queue)
{
    (void)queue;
    supply(dev);
}

static const struct virtio_type type = {
    .name = "virtio-rng", .id = VIRTIO_RNG, .legacy_id = 0x1005, .class = 0x00ff00, .kick = kick
};

static void loaded(void *dev)
{
    struct virtio_rng *s = dev;

    if (s->source)
        s->source->ops->wait(s->source);
}

static const struct field rng_state[] = { FIELD_END };
static const struct chip rng_chip = { "virtio-rng", sizeof(struct virtio_rng), NULL, rng_state, loaded };

struct props {
    struct virtio_props virtio;
    struct rng *rng;
};

static void make(struct plug_env *env, void *bus, const void *props)
{
    const struct props *p = props;
    struct virtio_rng *s = chip_new(env->m->chips, &rng_chip, p->virtio.common.name);

    if (p->rng && p->rng->ready)
        die(EXIT_CODE_USAGE, "-device %s: another device has rng=%s: give it one of its own",
            p->virtio.common.name, p->rng->id);
    s->clock = env->m->clock;
    s->source = p->rng;
    s->v = virtio_new(env, &p->virtio, &type, s, 1, QUEUE, 0);
    if (s->source) {
        s->source->ready = supply;
        s->source->dev = s;
    }
}

static const struct prop props_table[] = {
    { "rng", PROP_RNG, offsetof(struct props, rng), 0, 0, "where the bytes are from (default: the host's kernel)" },
    VIRTIO_PROPS, PROP_END
};
static const struct props defaults = { .virtio = VIRTIO_DEFAULTS };

const struct plug virtio_rng_plug = {
    "virtio-rng-pci", "source of entropy (virtio)", "PCI", sizeof(struct props), &defaults,
    props_table, make
};
