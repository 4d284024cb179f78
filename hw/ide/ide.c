/*
 * ide.c - an IDE channel (ATA/ATAPI-7 volume 2, chapter 7 for the registers of two devices on one cable) and its bus
 * master (Programming Interface for Bus Master IDE Controller, revision 1.0).
 *
 * All devices see what is written to the command block; the selected one answers and drives the interrupt.  Where
 * device 1 is not there, device 0 answers for it; where neither is, nobody drives the bus: its lines float but for DD7,
 * which is pulled down so that an empty cable does not look busy (volume 2, 4.2.3).
 * Invariant: the interrupt is high exactly while the selected device asserts INTRQ and nIEN is clear.
 */
#include "hw/ide/ide.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

enum { CONTROL_NIEN = 0x02, CONTROL_SRST = 0x04, CONTROL_HOB = 0x80 };

#define NOBODY 0x7f

enum { BM_COMMAND, BM_STATUS = 2, BM_TABLE = 4 };
enum { BM_START = 0x01, BM_TO_MEMORY = 0x08 };
enum { BM_ACTIVE = 0x01, BM_ERROR = 0x02, BM_IRQ = 0x04, BM_CAPABLE = 0x60 };

/* Where in its table of physical regions the bus master is. */
struct position {
    uint32_t next;              /* address of the next entry */
    uint32_t pa, left;          /* of the region it is in */
    uint8_t last;               /* that is the last one */
};

/* What dma_map() gave out: the guest may change its table before the transfer is done. */
struct pieces {
    struct { uint32_t pa, len; } at[ATA_DMA_PIECES];
    unsigned n;
};

struct ide_channel {
    struct pci_dev *pci;
    struct irq irq;
    struct ide_bus bus;
    uint8_t select, control, level;
    uint8_t bm_command, bm_status;
    uint32_t table;
    struct position at;
    struct pieces pieces[2];    /* of each device */
};

static const struct field channel_state[] = {
    FIELD_MAX(struct ide_channel, select, 1), FIELD(struct ide_channel, control), FIELD(struct ide_channel, level),
    FIELD(struct ide_channel, bm_command), FIELD(struct ide_channel, bm_status), FIELD(struct ide_channel, table),
    FIELD(struct ide_channel, at.next), FIELD(struct ide_channel, at.pa), FIELD(struct ide_channel, at.left),
    FIELD(struct ide_channel, at.last), FIELD_END
};

static void update_irq(struct ide_channel *c)
{
    const struct ata *a = c->bus.ata[c->select];
    bool level = a && ata_irq(a) && !(c->control & CONTROL_NIEN);

    if (level == c->level)
        return;
    c->level = level;
    if (level)
        c->bm_status |= BM_IRQ;
    irq_set(&c->irq, level);
}

static void device_irq(void *to, unsigned dev, bool level)
{
    update_irq(to);
}

/* ---- bus master ---- */

/* The region `p` is in has bytes left. False: the table has ended, or cannot be read. */
static bool region(struct ide_channel *c, struct position *p)
{
    uint8_t e[8];

    if (p->left)
        return true;
    if (p->last)
        return false;
    if (!pci_dma_read(c->pci, p->next, e, sizeof(e))) {
        c->bm_status = (c->bm_status & ~BM_ACTIVE) | BM_ERROR;
        return false;
    }
    p->next += sizeof(e);
    p->pa = (e[0] | (uint32_t)e[1] << 8 | (uint32_t)e[2] << 16 | (uint32_t)e[3] << 24) & ~1u;
    p->left = (e[4] | (uint32_t)e[5] << 8) & ~1u;
    if (!p->left)
        p->left = 0x10000;
    p->last = e[7] >> 7;
    return true;
}

static size_t dma_map(void *to, unsigned dev, bool in, size_t want, struct disk_buf *buf, unsigned *n)
{
    struct ide_channel *c = to;
    struct position p = c->at;
    struct pieces *given = &c->pieces[dev];
    unsigned max = *n < ATA_DMA_PIECES ? *n : ATA_DMA_PIECES;
    size_t got = 0;

    *n = given->n = 0;
    if (!(c->bm_status & BM_ACTIVE) || dev != c->select)
        return 0;
    if (in != !!(c->bm_command & BM_TO_MEMORY)) {
        log_msg(LOG_GUEST, "ide: the bus master is set to move data the other way");
        return 0;
    }
    while (got < want && *n < max && region(c, &p)) {
        uint64_t run;
        void *host = pci_dma_host(c->pci, p.pa, p.left, in, &run);

        if (!host) {
            c->bm_status = (c->bm_status & ~BM_ACTIVE) | BM_ERROR;
            break;
        }
        if (run > want - got)
            run = want - got;
        given->at[given->n].pa = p.pa;
        given->at[given->n++].len = (uint32_t)run;
        buf[(*n)++] = (struct disk_buf){ host, run };
        got += run;
        p.pa += run;
        p.left -= run;
    }
    return got;
}

static void dma_spoilt(void *to, unsigned dev, size_t bytes)
{
    struct ide_channel *c = to;
    const struct pieces *given = &c->pieces[dev];

    for (unsigned i = 0; i < given->n && bytes; i++) {
        uint32_t n = bytes < given->at[i].len ? (uint32_t)bytes : given->at[i].len;

        pci_dma_written(c->pci, given->at[i].pa, n);
        bytes -= n;
    }
}

static void dma_done(void *to, unsigned dev, bool in, size_t bytes)
{
    struct ide_channel *c = to;

    if (in)
        dma_spoilt(c, dev, bytes);
    while (bytes && region(c, &c->at)) {
        uint32_t n = bytes < c->at.left ? (uint32_t)bytes : c->at.left;

        c->at.pa += n;
        c->at.left -= n;
        bytes -= n;
    }
    if (!c->at.left && c->at.last)
        c->bm_status &= ~BM_ACTIVE;
}

static void bm_command(struct ide_channel *c, uint8_t val)
{
    uint8_t changed = c->bm_command ^ val;

    c->bm_command = val & (BM_START | BM_TO_MEMORY);
    if (!(changed & BM_START))
        return;
    if (val & BM_START) {
        c->at = (struct position){ .next = c->table };
        c->bm_status |= BM_ACTIVE;
        if (c->bus.ata[c->select])
            ata_dma_ready(c->bus.ata[c->select]);
        return;
    }
    for (unsigned i = 0; i < 2; i++)
        if (c->bus.ata[i])
            ata_dma_stop(c->bus.ata[i]);
    c->bm_status &= ~BM_ACTIVE;
}

uint64_t ide_bm_read(struct ide_channel *c, unsigned off)
{
    switch (off) {
    case BM_COMMAND:
        return c->bm_command;
    case BM_STATUS:
        return c->bm_status;
    case BM_TABLE: case BM_TABLE + 1: case BM_TABLE + 2: case BM_TABLE + 3:
        return c->table >> 8 * (off - BM_TABLE) & 0xff;
    default:
        return 0xff;
    }
}

void ide_bm_write(struct ide_channel *c, unsigned off, uint8_t val)
{
    unsigned shift = 8 * (off - BM_TABLE);

    if (off == BM_COMMAND)
        bm_command(c, val);
    else if (off == BM_STATUS)          /* error and interrupt go when written as ones */
        c->bm_status = (c->bm_status & ~(val & (BM_ERROR | BM_IRQ)) & ~BM_CAPABLE) | (val & BM_CAPABLE);
    else if (off >= BM_TABLE)
        c->table = ((c->table & ~(0xffu << shift)) | (uint32_t)val << shift) & ~3u;
}

/* ---- the command block ---- */

static uint8_t read_reg(struct ide_channel *c, enum ata_reg reg, bool status)
{
    struct ata *a = c->bus.ata[c->select];
    uint8_t v;

    if (!a) {
        a = c->bus.ata[!c->select];
        if (!a)
            return NOBODY;
        return status || c->select == 0 ? 0 : ata_read(a, reg, c->control & CONTROL_HOB);
    }
    v = ata_read(a, reg, c->control & CONTROL_HOB);
    if (status)
        update_irq(c);
    return v;
}

static uint64_t command_read(void *dev, uint64_t off, unsigned size)
{
    struct ide_channel *c = dev;
    uint64_t v = 0;

    if (off == 0 && size > 1)
        return c->bus.ata[c->select] ? ata_data_read(c->bus.ata[c->select], size) : ~(0xffull ^ NOBODY);
    for (unsigned i = 0; i < size; i++) {
        enum ata_reg reg = (enum ata_reg)(off + i);

        v |= (uint64_t)(reg == ATA_DATA ? 0xff : read_reg(c, reg, reg == ATA_COMMAND)) << 8 * i;
    }
    return v;
}

static void write_reg(struct ide_channel *c, enum ata_reg reg, uint8_t val)
{
    c->control &= ~CONTROL_HOB;
    if (reg == ATA_DEVICE)
        c->select = val & ATA_DEV ? 1 : 0;
    for (unsigned i = 0; i < 2; i++)
        /* EXECUTE DEVICE DIAGNOSTIC is for both, whoever is selected. */
        if (c->bus.ata[i] && (reg != ATA_COMMAND || i == c->select || val == 0x90))
            ata_write(c->bus.ata[i], reg, val);
    if (reg == ATA_COMMAND && val == 0x90)
        c->select = 0;
    update_irq(c);
    /* Only the selected device's DMARQ is seen: it may have waited for that. */
    if (reg == ATA_DEVICE && (c->bm_status & BM_ACTIVE) && c->bus.ata[c->select])
        ata_dma_ready(c->bus.ata[c->select]);
}

static void command_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct ide_channel *c = dev;

    if (off == 0 && size > 1) {
        if (c->bus.ata[c->select])
            ata_data_write(c->bus.ata[c->select], (uint32_t)val, size);
        return;
    }
    for (unsigned i = 0; i < size; i++)
        if (off + i != ATA_DATA)
            write_reg(c, (enum ata_reg)(off + i), val >> 8 * i);
}

static uint64_t control_read(void *dev, uint64_t off, unsigned size)
{
    const struct ide_channel *c = dev;

    if (c->bus.ata[c->select])
        return ata_alt_status(c->bus.ata[c->select]);
    return c->bus.ata[!c->select] ? 0 : NOBODY;
}

static void control_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct ide_channel *c = dev;
    uint8_t changed = c->control ^ (uint8_t)val;

    c->control = val;
    for (unsigned i = 0; i < 2 && (changed & CONTROL_SRST); i++) {
        if (!c->bus.ata[i])
            continue;
        if (val & CONTROL_SRST)
            ata_reset(c->bus.ata[i]);
        else
            ata_reset_done(c->bus.ata[i]);
    }
    if (changed & CONTROL_SRST)
        c->select = 0;
    update_irq(c);
}

static const struct io_ops command_ops = { command_read, command_write, 1 | 2 | 4, LOG_DEV_IDE };
static const struct io_ops control_ops = { control_read, control_write, 1, LOG_DEV_IDE };

void ide_channel_map(struct ide_channel *c, struct ports *ports, uint16_t command, uint16_t control, bool on)
{
    if (!on) {
        ports_unmap(ports, command, 8);
        ports_unmap(ports, control, 1);
        return;
    }
    ports_map(ports, command, 8, &command_ops, c, "ide");
    ports_map(ports, control, 1, &control_ops, c, "ide-control");
}

/* ---- the chip ---- */

static void channel_reset(void *dev)
{
    struct ide_channel *c = dev;

    c->select = c->control = 0;
    c->bm_command = 0;
    c->bm_status = (c->bus.ata[0] ? 0x20 : 0) | (c->bus.ata[1] ? 0x40 : 0);
    c->table = 0;
    c->at = (struct position){ 0 };
    c->level = 0;               /* devices, which reset after this, withdraw INTRQ */
    irq_set(&c->irq, false);
}

static void channel_loaded(void *dev)
{
    struct ide_channel *c = dev;

    irq_set(&c->irq, c->level);
}

static const struct chip channel_chip = {
    "ide-channel", sizeof(struct ide_channel), channel_reset, channel_state, channel_loaded
};

/* The device's bit of the status register says that it can do DMA. */
static void attached(struct ide_bus *b, unsigned unit)
{
    struct ide_channel *c = b->host.to;

    c->bm_status |= 0x20u << unit;
}

struct ide_bus *ide_channel_bus(struct ide_channel *c)
{
    return &c->bus;
}

struct ide_channel *ide_channel_new(struct chip_list *chips, const char *name, unsigned n, struct pci_dev *pci, struct irq irq,
                                    struct drive *const drive[2])
{
    struct ide_channel *c;
    char ata[64];

    c = chip_new(chips, &channel_chip, name);
    c->pci = pci;
    c->irq = irq;
    c->bus.host = (struct ata_host){ .irq = device_irq, .dma_map = dma_map, .dma_done = dma_done,
                                     .dma_spoilt = dma_spoilt, .to = c };
    c->bus.units = 2;
    c->bus.number = 2 * n + 1;
    c->bus.attached = attached;
    ide_bus_path(&c->bus, pci, "ide", n);
    for (unsigned i = 0; i < 2; i++) {
        if (!drive[i])
            continue;
        snprintf(ata, sizeof(ata), "%s.%u", name, i);
        ide_attach(&c->bus, chips, ata, i, drive[i], NULL);
    }
    channel_reset(c);
    return c;
}
