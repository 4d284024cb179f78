/*
 * virtio.h - a virtio device on PCI, seen from the device (Virtual I/O Device specification 1.2).
 *
 * A device is a chip with a const struct virtio_type: what it offers, and what to call. It gets its driver's
 * buffers by virtq_pop() as chains, and gives each back by virtq_push(), once. All functions are called with
 * the device lock held.
 *
 *   virtq.c        split and packed rings (2.7, 2.8): everything the guest writes there is checked
 *   virtio_pci.c   the PCI transport (4.1): modern registers, legacy ones, interrupts
 */
#ifndef HW_VIRTIO_VIRTIO_H
#define HW_VIRTIO_VIRTIO_H

#include "hw/disk_if.h"
#include "hw/pci.h"
#include "hw/plug.h"

#define VIRTIO_QUEUES_MAX 66
#define VIRTIO_CONFIG_MAX 136
#define VIRTQ_SIZE_MAX    1024u
#define VIRTQ_CHAIN_MAX   1024u         /* descriptors of one chain, those of indirect tables included */

enum {                                  /* device types (5) */
    VIRTIO_NET = 1, VIRTIO_BLK = 2, VIRTIO_CONSOLE = 3, VIRTIO_RNG = 4, VIRTIO_BALLOON = 5, VIRTIO_SCSI = 8,
    VIRTIO_9P = 9, VIRTIO_INPUT = 18
};

/* Feature bits that concern all types (6). */
#define VIRTIO_F_ANY_LAYOUT    (1ull << 27)     /* legacy: buffers may be cut anywhere */
#define VIRTIO_F_INDIRECT_DESC (1ull << 28)
#define VIRTIO_F_EVENT_IDX     (1ull << 29)
#define VIRTIO_F_VERSION_1     (1ull << 32)
#define VIRTIO_F_RING_PACKED   (1ull << 34)

struct virtio_dev;

struct virtio_type {
    const char *name;                   /* for messages */
    uint8_t id;
    uint16_t legacy_id;                 /* PCI device id while it has the legacy interface */
    uint32_t class;                     /* PCI class */
    unsigned config_len;                /* of its configuration structure */
    void (*kick)(void *dev, unsigned queue);    /* there may be buffers */
    void (*reset)(void *dev);           /* the driver is gone; NULL: nothing to do */
    void (*config_written)(void *dev, unsigned off, unsigned len);      /* by the driver; may be NULL */
    bool (*config_fits)(const uint8_t *config);         /* a saved one can be the device's; NULL: any can */
};

/* ---- queues ---- */

struct virtq {                          /* a chip of its own */
    struct virtio_dev *v;
    unsigned n;
    uint16_t max;                       /* entries it may have */
    uint64_t desc, avail, used;         /* packed: ring, driver area, device area */
    uint16_t size, vector;
    uint8_t enabled;
    uint16_t last_avail, used_idx;      /* what the device takes and gives next */
    uint16_t signalled;                 /* used_idx when the wish for interrupts was looked at */
    uint8_t signalled_valid;            /* it was looked at */
    unsigned inuse;                     /* chains the device has */
    bool pushed;                        /* since virtq_notify() */
    uint8_t avail_wrap, used_wrap;      /* packed */
};

struct virtq_seg {
    uint64_t pa;
    uint32_t len;                       /* not 0 */
};

struct virtq_chain {
    struct virtq *q;
    uint32_t generation;                /* of the device when it was taken */
    uint16_t head;                      /* packed: buffer id */
    uint16_t count;                     /* packed: places it takes in the ring */
    uint32_t out_len, in_len;           /* bytes from the driver, and for it */
    unsigned nout, nsegs;
    struct virtq_seg seg[];             /* those from the driver first */
};

/* The next chain, NULL: none. The device owns it until virtq_push(), virtq_unpop() or virtq_drop(). */
struct virtq_chain *virtq_pop(struct virtq *);
/* Gives it back, of which the first `written` bytes were written. Its driver gone, it is dropped. */
void virtq_push(struct virtq_chain *, uint32_t written);
/* The same for several of one queue that belong together: the driver sees all or none. */
void virtq_push_all(struct virtq_chain *const *, const uint32_t *written, unsigned n);
/* As if it had not been taken; the last one first. */
void virtq_unpop(struct virtq_chain *);
void virtq_drop(struct virtq_chain *);
/* Behind one or several pushes: interrupt the driver if it wants to know of them. */
void virtq_notify(struct virtq *);

/* Copies from what the driver sent, or to where it wants data, from byte `off` on; returns how much there
   was. */
uint32_t chain_get(const struct virtq_chain *, uint32_t off, void *buf, uint32_t len);
uint32_t chain_put(const struct virtq_chain *, uint32_t off, const void *buf, uint32_t len);
/*
 * The same memory to copy for oneself: at most `max` pieces of the `len` bytes from `off` on; returns how
 * many bytes they are, 0 where the next one is no RAM. After writing: chain_written().
 */
uint32_t chain_map(const struct virtq_chain *, bool in, uint32_t off, uint32_t len, struct disk_buf *,
                   unsigned max, unsigned *n);
void chain_written(const struct virtq_chain *, uint32_t off, uint32_t len);

/* Its driver is still the one that sent it. */
bool chain_current(const struct virtq_chain *);

/* ---- devices ---- */

struct virtio_dev {                     /* a chip of its own */
    const struct virtio_type *type;
    void *dev;
    struct pci_dev *pci;
    uint64_t offered, features;         /* features: what the driver accepted */
    uint32_t device_sel, driver_sel;    /* which half of the features registers show */
    uint16_t config_vector, queue_sel, vectors;
    uint8_t status, isr, config_generation;
    uint8_t modern;                     /* the driver uses the modern interface */
    uint8_t broken;                     /* it wrote nonsense: nothing happens until it resets the device */
    uint8_t config[VIRTIO_CONFIG_MAX], first[VIRTIO_CONFIG_MAX], writable[VIRTIO_CONFIG_MAX];
    uint8_t resetting;                  /* not 0: requests of the last driver are under way; its status */
    uint32_t generation;                /* changes with each reset */
    unsigned held;                      /* requests under way outside: virtio_hold() */
    unsigned pci_cfg;                   /* offset of the capability for registers, 0: none */
    unsigned nqueues;
    struct virtq *queue[VIRTIO_QUEUES_MAX];
    struct virtq_seg walk[VIRTQ_CHAIN_MAX];     /* of the chain being taken */
};

/* What every virtio device's properties begin with. */
struct virtio_props {
    struct plug_common common;
    bool disable_legacy, disable_modern, indirect, event_idx, packed;
    uint64_t vectors;                   /* UINT64_MAX: one for each queue and one for the configuration */
};
#define VIRTIO_DEFAULTS { .indirect = true, .event_idx = true, .vectors = UINT64_MAX }
#define VIRTIO_PROPS                                                                                         \
    { "disable-legacy", PROP_BOOL, offsetof(struct virtio_props, disable_legacy), 0, 0,                      \
      "no legacy interface" },                                                                               \
    { "disable-modern", PROP_BOOL, offsetof(struct virtio_props, disable_modern), 0, 0,                      \
      "legacy interface alone" },                                                                            \
    { "indirect_desc", PROP_BOOL, offsetof(struct virtio_props, indirect), 0, 0,                             \
      "offer indirect descriptors" },                                                                        \
    { "event_idx", PROP_BOOL, offsetof(struct virtio_props, event_idx), 0, 0,                                \
      "offer notification by index" },                                                                       \
    { "packed", PROP_BOOL, offsetof(struct virtio_props, packed), 0, 0, "offer packed rings" },              \
    { "vectors", PROP_NUMBER, offsetof(struct virtio_props, vectors), 0, PCI_MSIX_MAX, "of MSI-X; 0: none" }

/* A device with `nqueues` queues of at most `size` entries. Dies where there is no place for it. */
struct virtio_dev *virtio_new(struct plug_env *, const struct virtio_props *, const struct virtio_type *,
                              void *dev, unsigned nqueues, unsigned size, uint64_t features);
static inline bool virtio_has(const struct virtio_dev *v, uint64_t feature) { return v->features & feature; }
/* The driver takes part: rings may be used. */
bool virtio_live(const struct virtio_dev *);
/* The configuration structure: the device's own value, which resets keep, and what the driver may write. */
void virtio_config_set(struct virtio_dev *, unsigned off, unsigned size, uint64_t val);
void virtio_config_writable(struct virtio_dev *, unsigned off, unsigned size);
uint64_t virtio_config_get(const struct virtio_dev *, unsigned off, unsigned size);
void virtio_config_changed(struct virtio_dev *);        /* tell the driver */
/* The driver did what it must not: log it, stop, ask for a reset. */
void virtio_broken(struct virtio_dev *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A request that will be answered later; until it is, a reset is not complete. */
void virtio_hold(struct virtio_dev *);
void virtio_release(struct virtio_dev *);

/* For virtq.c. */
void virtio_interrupt(struct virtio_dev *, uint16_t vector, uint8_t isr);
void virtq_reset(struct virtq *);
struct virtq *virtq_new(struct chip_list *, struct virtio_dev *, const char *name, unsigned n, unsigned max);

static inline uint64_t le_get(const uint8_t *p, unsigned size)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static inline void le_put(uint8_t *p, unsigned size, uint64_t v)
{
    for (unsigned i = 0; i < size; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

#endif
