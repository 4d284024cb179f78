/*
 * pci_msi.c - message-signalled interrupts: MSI and MSI-X (PCI Local Bus Specification 3.0, 6.8).
 *
 * A vector that is signalled while it is masked is pending, and is sent when the mask goes.
 * Invariant: no vector is pending that could be sent, but for a device that may not drive the bus.
 */
#include "hw/pci_int.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/trace.h"

#define CAP_MSI   0x05
#define CAP_MSIX  0x11

/* MSI, from its capability: control, address, data, masks, pending bits. */
#define MSI_CONTROL 2
#define MSI_ADDR    4
#define MSI_DATA    12
#define MSI_MASK    16
#define MSI_PENDING 20
#define MSI_LEN     24
#define MSI_ENABLE  1u
#define MSI_64      0x80u
#define MSI_MASKS   0x100u

/* MSI-X: control, and where table and pending bits are. */
#define MSIX_CONTROL 2
#define MSIX_TABLE   4
#define MSIX_PBA     8
#define MSIX_LEN     12
#define MSIX_ENABLE  0x8000u
#define MSIX_MASKALL 0x4000u

#define ENTRY      16u          /* bytes: address, upper address, data, control */
#define ENTRY_MASK 1u

struct pci_msi {
    struct pci_dev *pci;
    unsigned cap;               /* MSI's, 0: none */
    unsigned vectors;
    unsigned xcap, xvectors, xpba;      /* MSI-X's; xpba: offset of the pending bits in the BAR */
    uint32_t table[PCI_MSIX_MAX][4];
    uint32_t pending[PCI_MSIX_MAX / 32];
};

static const struct field msi_state[] = {
    { "table", offsetof(struct pci_msi, table), 4, PCI_MSIX_MAX * 4 }, FIELD_ARRAY(struct pci_msi, pending), FIELD_END
};

static void send(struct pci_dev *d, uint64_t addr, uint32_t data)
{
    const struct pci_msi_to *to = &d->bus->root->msi;

    if (!pci_bus_master(d))
        return;
    trace_pci_msi(d->name, addr, data);
    if (addr >> 20 == 0xfee && to->send)
        to->send(to->to, addr, data);
    else if (!phys_dma_write(d->bus->phys, addr, &(uint32_t){ data }, 4))
        log_msg(LOG_GUEST, "%s: its interrupt message goes to %#llx, where nobody is", d->name,
                (unsigned long long)addr);
}

/* ---- MSI ---- */

static bool msi_on(const struct pci_dev *d)
{
    return d->msi && d->msi->cap && (pci_config(d, d->msi->cap + MSI_CONTROL, 2) & MSI_ENABLE);
}

static void msi_signal(struct pci_dev *d, unsigned vector)
{
    unsigned cap = d->msi->cap, control = pci_config(d, cap + MSI_CONTROL, 2);
    unsigned allowed = 1u << (control >> 4 & 7);
    uint32_t bit, pending = pci_config(d, cap + MSI_PENDING, 4);

    if (allowed > d->msi->vectors)
        allowed = d->msi->vectors;
    vector &= allowed - 1;
    bit = 1u << vector;
    if (pci_config(d, cap + MSI_MASK, 4) & bit) {
        pci_config_set(d, cap + MSI_PENDING, 4, pending | bit);
        return;
    }
    pci_config_set(d, cap + MSI_PENDING, 4, pending & ~bit);
    send(d, pci_config(d, cap + MSI_ADDR, 4) | (uint64_t)pci_config(d, cap + MSI_ADDR + 4, 4) << 32,
         (pci_config(d, cap + MSI_DATA, 2) & ~(allowed - 1)) | vector);
}

static void msi_unmasked(struct pci_dev *d)
{
    uint32_t go = pci_config(d, d->msi->cap + MSI_PENDING, 4) & ~pci_config(d, d->msi->cap + MSI_MASK, 4);

    for (unsigned v = 0; msi_on(d) && v < d->msi->vectors; v++)
        if (go >> v & 1)
            msi_signal(d, v);
}

/* ---- MSI-X ---- */

bool pci_msix_on(const struct pci_dev *d)
{
    return d->msi && d->msi->xcap && (pci_config(d, d->msi->xcap + MSIX_CONTROL, 2) & MSIX_ENABLE);
}

static void msix_signal(struct pci_dev *d, unsigned vector)
{
    struct pci_msi *s = d->msi;
    const uint32_t *e = s->table[vector];
    uint32_t bit = 1u << (vector & 31);

    if ((e[3] & ENTRY_MASK) || (pci_config(d, s->xcap + MSIX_CONTROL, 2) & MSIX_MASKALL)) {
        s->pending[vector / 32] |= bit;
        return;
    }
    s->pending[vector / 32] &= ~bit;
    send(d, e[0] | (uint64_t)e[1] << 32, e[2]);
}

static void msix_unmasked(struct pci_dev *d)
{
    for (unsigned v = 0; pci_msix_on(d) && v < d->msi->xvectors; v++)
        if (d->msi->pending[v / 32] >> (v & 31) & 1)
            msix_signal(d, v);
}

static uint64_t table_read(void *dev, uint64_t off, unsigned size)
{
    struct pci_msi *s = dev;

    if (off < s->xvectors * ENTRY)
        return s->table[off / ENTRY][off / 4 % 4];
    if (off >= s->xpba && off < s->xpba + sizeof(s->pending))
        return s->pending[(off - s->xpba) / 4];
    return 0;
}

static void table_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct pci_msi *s = dev;

    if (off >= s->xvectors * ENTRY)
        return;                 /* the pending bits are read-only */
    s->table[off / ENTRY][off / 4 % 4] = (uint32_t)val;
    if (off / 4 % 4 == 3)
        msix_unmasked(s->pci);
}

static const struct io_ops table_ops = { table_read, table_write, 4, LOG_DEV_PCI };

/* ---- both ---- */

bool pci_msi_on(const struct pci_dev *d)
{
    return pci_msix_on(d) || msi_on(d);
}

bool pci_msi_send(struct pci_dev *d, unsigned vector)
{
    if (pci_msix_on(d)) {
        if (vector < d->msi->xvectors)
            msix_signal(d, vector);
        return true;
    }
    if (!msi_on(d))
        return false;
    msi_signal(d, vector);
    return true;
}

void pci_msi_written(struct pci_dev *d, unsigned off, unsigned size)
{
    const struct pci_msi *s = d->msi;

    if (s->cap && off < s->cap + MSI_LEN && off + size > s->cap)
        msi_unmasked(d);
    if (s->xcap && off < s->xcap + MSIX_LEN && off + size > s->xcap)
        msix_unmasked(d);
}

static void msi_reset(void *dev)
{
    struct pci_msi *s = dev;

    memset(s->table, 0, sizeof(s->table));
    memset(s->pending, 0, sizeof(s->pending));
    for (unsigned v = 0; v < PCI_MSIX_MAX; v++)
        s->table[v][3] = ENTRY_MASK;
}

static const struct chip msi_chip = { "pci-msi", sizeof(struct pci_msi), msi_reset, msi_state };

static struct pci_msi *msi_of(struct pci_dev *d)
{
    char name[sizeof(d->name) + 4];

    if (d->msi)
        return d->msi;
    snprintf(name, sizeof(name), "msi:%s", d->name);
    d->msi = chip_new(d->bus->chips, &msi_chip, name);
    d->msi->pci = d;
    msi_reset(d->msi);
    return d->msi;
}

void pci_msi_init(struct pci_dev *d, unsigned vectors)
{
    struct pci_msi *s = msi_of(d);
    unsigned log2 = 0;

    assert(vectors && vectors <= 32 && !(vectors & (vectors - 1)) && !s->cap);
    while (1u << log2 < vectors)
        log2++;
    s->vectors = vectors;
    s->cap = pci_add_cap(d, CAP_MSI, MSI_LEN);
    pci_config_init(d, s->cap + MSI_CONTROL, 2, MSI_64 | MSI_MASKS | log2 << 1, MSI_ENABLE | 0x70);
    pci_config_init(d, s->cap + MSI_ADDR, 4, 0, ~3u);
    pci_config_init(d, s->cap + MSI_ADDR + 4, 4, 0, ~0u);
    pci_config_init(d, s->cap + MSI_DATA, 2, 0, 0xffff);
    pci_config_init(d, s->cap + MSI_MASK, 4, 0, (uint32_t)((1ull << vectors) - 1));
}

void pci_msix_init(struct pci_dev *d, unsigned bar, unsigned vectors)
{
    struct pci_msi *s = msi_of(d);
    uint32_t size = PAGE_SIZE;

    assert(vectors && vectors <= PCI_MSIX_MAX && !s->xcap);
    s->xvectors = vectors;
    s->xpba = size / 2;
    assert(vectors * ENTRY <= s->xpba);
    s->xcap = pci_add_cap(d, CAP_MSIX, MSIX_LEN);
    pci_config_init(d, s->xcap + MSIX_CONTROL, 2, vectors - 1, MSIX_ENABLE | MSIX_MASKALL);
    pci_config_init(d, s->xcap + MSIX_TABLE, 4, bar, 0);
    pci_config_init(d, s->xcap + MSIX_PBA, 4, s->xpba | bar, 0);
    pci_bar(d, bar, size, 0, &table_ops, s);
}
