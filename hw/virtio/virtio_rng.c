/*
 * virtio_rng.c - entropy for the guest (virtio 1.2, 5.4): each buffer gets random bytes, of a large one the
 * front.
 */
#include "hw/virtio/virtio.h"

#include "base/log.h"

#define QUEUE   8u
#define AT_ONCE 4096u                   /* bytes of a buffer: no guest keeps us busy for long */

struct virtio_rng {
    struct virtio_dev *v;
    struct clock *clock;
};

static void kick(void *dev, unsigned queue)
{
    struct virtio_rng *s = dev;
    struct virtq *q = s->v->queue[queue];
    struct virtq_chain *c;
    uint8_t b[8];

    while ((c = virtq_pop(q))) {
        uint32_t done = 0, n = 1;

        for (; n && done < AT_ONCE; done += n) {
            le_put(b, 8, clock_entropy(s->clock));
            n = chain_put(c, done, b, sizeof(b));
        }
        log_dev(VIRTIO, "virtio-rng: %u bytes", done);
        virtq_push(c, done);
    }
    virtq_notify(q);
}

static const struct virtio_type type = {
    .name = "virtio-rng", .id = VIRTIO_RNG, .legacy_id = 0x1005, .class = 0x00ff00, .kick = kick
};

static const struct field rng_state[] = { FIELD_END };
static const struct chip rng_chip = { "virtio-rng", sizeof(struct virtio_rng), NULL, rng_state, NULL };

static void make(struct plug_env *env, void *bus, const void *props)
{
    const struct virtio_props *p = props;
    struct virtio_rng *s = chip_new(env->m->chips, &rng_chip, p->common.name);

    s->clock = env->m->clock;
    s->v = virtio_new(env, p, &type, s, 1, QUEUE, 0);
}

static const struct prop props_table[] = { VIRTIO_PROPS, PROP_END };
static const struct virtio_props defaults = VIRTIO_DEFAULTS;

const struct plug virtio_rng_plug = {
    "virtio-rng-pci", "source of entropy (virtio)", "PCI", sizeof(struct virtio_props), &defaults,
    props_table, make
};
