/*
 * virtio_env.h - a virtio device on a PCI bus with RAM, and a driver for it: modern or legacy interface,
 * MSI-X or INTx, split or packed rings, indirect descriptors, notification by index. And a disk in memory,
 * whose requests are done when the test says so.
 */
#ifndef TESTS_DEV_VIRTIO_ENV_H
#define TESTS_DEV_VIRTIO_ENV_H

#include "hw/disk_if.h"
#include "hw/pci.h"
#include "hw/plug.h"
#include "tests/dev/chipset_env.h"

#define VT_RAM    (16u << 20)
#define VT_HOLE   0xa0000u              /* to 1 MiB: no RAM */
#define VT_BAR0   0xc000u
#define VT_BAR1   0xe0100000u
#define VT_BAR4   0xe0000000u
#define VT_SLOT   5u
#define VT_QUEUES 8
#define VT_DEVICES 8
#define VT_DATA   0x400000u             /* for the tests' own data, to the end of RAM */

#define VT_INDIRECT (1ull << 28)
#define VT_EVENT    (1ull << 29)
#define VT_MODERN   (1ull << 32)        /* VIRTIO_F_VERSION_1; without it the legacy interface is used */
#define VT_PACKED   (1ull << 34)

struct vt_seg {
    uint64_t pa;
    uint32_t len;
    bool in;                            /* the device writes there */
};

struct vt_queue {
    unsigned n, size;
    uint64_t desc, avail, used, tables;
    uint16_t avail_idx, last_used, free, kicked;
    bool avail_wrap, used_wrap;         /* packed */
    uint16_t count[1024];               /* packed: of each buffer id */
};

struct vt {
    struct env *e;
    struct pci_bus *bus;
    struct plug_env plugs;
    struct plug_use *use, *last;
    char *spec[VT_DEVICES];
    unsigned nspecs;
    uint8_t *ram;
    uint64_t features;                  /* agreed on */
    bool msix;
    unsigned msis[64];                  /* messages by data */
    unsigned cap[6];                    /* offsets in configuration space, by type */
    uint32_t at[6];                     /* in BAR 4 */
    struct vt_queue q[VT_QUEUES];
    struct plug_names names;
    unsigned kicks;                     /* notifications sent */
};

struct vt *vt_new(void);
/* The device under test, "name,prop=value,...": in VT_SLOT, its BARs placed, bus mastering on. */
void vt_add(struct vt *, const char *spec);
void vt_free(struct vt *);

/* Registers; type: 1 common, 3 ISR, 4 device. */
uint32_t vt_read(struct vt *, unsigned type, unsigned off, unsigned size);
void vt_write(struct vt *, unsigned type, unsigned off, uint32_t val, unsigned size);
uint32_t vt_legacy_read(struct vt *, unsigned off, unsigned size);
void vt_legacy_write(struct vt *, unsigned off, uint32_t val, unsigned size);
uint64_t vt_offered(struct vt *);
uint8_t vt_status(struct vt *);
void vt_set_status(struct vt *, uint8_t);
uint8_t vt_isr(struct vt *);
uint64_t vt_config(struct vt *, unsigned off, unsigned size);
void vt_config_write(struct vt *, unsigned off, uint32_t val, unsigned size);

/* Reset, features (those offered of `want`), nqueues queues; with MSI-X queue n has vector n + 1. */
void vt_start(struct vt *, uint64_t want, bool msix, unsigned nqueues);
/* Offer a chain, as one indirect descriptor where agreed on; returns its id. */
unsigned vt_offer(struct vt *, unsigned q, const struct vt_seg *, unsigned n);
void vt_kick(struct vt *, unsigned q);          /* if the device wants to know */
void vt_kick_always(struct vt *, unsigned q);
/* A chain that came back. */
bool vt_used(struct vt *, unsigned q, unsigned *id, uint32_t *len);
/* Interrupts of queue q since the last call, its line acknowledged. */
unsigned vt_interrupts(struct vt *, unsigned q);

static inline uint64_t vt_get(struct vt *v, uint64_t pa, unsigned size)
{
    uint64_t val = 0;

    for (unsigned i = 0; i < size; i++)
        val |= (uint64_t)v->ram[pa + i] << (8 * i);
    return val;
}

static inline void vt_put(struct vt *v, uint64_t pa, uint64_t val, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        v->ram[pa + i] = (uint8_t)(val >> (8 * i));
}

/* ---- a disk ---- */

struct vt_disk {
    struct disk disk;
    struct drive drive;
    uint8_t *bytes;
    struct disk_req *first, **last;
    unsigned reads, writes, flushes, discards, zeroes, fuas;
    int error;                          /* of all requests */
};

struct vt_disk *vt_disk_new(uint64_t size, const char *id);
void vt_disk_free(struct vt_disk *);
/* Does what was asked for, and what that asks for; returns how many requests. */
unsigned vt_disk_run(struct vt_disk *);

#endif
