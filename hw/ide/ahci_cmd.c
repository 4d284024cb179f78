/*
 * ahci_cmd.c - AHCI: command lists, the FISes that devices answer with, and the memory of commands (Serial ATA AHCI
 * 1.3.1, chapters 4 and 5; Serial ATA 2.6, chapter 10).
 *
 * The device is struct ata, which knows registers: its changes of state become the FISes that a Serial ATA device would
 * have sent.  Invariants: `current` is a slot exactly while a command that is not queued is with the device; tables are
 * read from the guest's memory each time, and only what pci_dma_host() gave is written.
 */
#include "hw/ide/ahci_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/trace.h"

/* Command header and table. */
#define HEADER 32u
#define ACMD   0x40u
#define PRDT   0x80u
#define PRD    16u
enum { HDR_WRITE = 0x40, HDR_CLEAR = 0x04 };    /* CLEAR: in the second byte */
#define HDR_MIN 5u              /* dwords of a register FIS */

/* What devices send, and where it goes in the port's memory. */
enum { FIS_H2D = 0x27, FIS_D2H = 0x34, FIS_DMA_SETUP = 0x41, FIS_PIO_SETUP = 0x5f, FIS_SDB = 0xa1 };
enum { AT_DMA_SETUP = 0x00, AT_PIO_SETUP = 0x20, AT_D2H = 0x40, AT_SDB = 0x58 };
enum { FIS_TO_HOST = 0x20, FIS_IRQ = 0x40 };
#define CONTROL_SRST 0x04u

static struct ata *device(const struct ahci_port *p)
{
    return p->bus.ata[0];
}

/* The host's bus has failed: nothing goes on before ST is cleared. */
static void fatal(struct ahci_port *p)
{
    p->halted = 1;
    ahci_port_event(p, IS_HBF);
}

/* ---- FISes from the device ---- */

static bool post(struct ahci_port *p, unsigned at, const uint8_t *fis, unsigned len)
{
    if (!(p->cmd & CMD_FRE))
        return true;
    if (pci_dma_write(p->s->pci, p->fb + at, fis, len))
        return true;
    fatal(p);
    return false;
}

/* The registers as bytes 2 to 13 of register and PIO setup FISes have them. */
static void registers(struct ata *a, uint8_t *fis)
{
    fis[2] = ata_alt_status(a);
    fis[3] = ata_read(a, ATA_FEATURE, false);
    for (unsigned i = 0; i < 3; i++) {
        fis[4 + i] = ata_read(a, ATA_LBA_LOW + i, false);
        fis[8 + i] = ata_read(a, ATA_LBA_LOW + i, true);
    }
    fis[7] = ata_read(a, ATA_DEVICE, false);
    fis[12] = ata_read(a, ATA_COUNT, false);
    fis[13] = ata_read(a, ATA_COUNT, true);
}

static void set_tfd(struct ahci_port *p, uint8_t status, uint8_t error)
{
    p->tfd = status | (uint32_t)error << 8;
}

/* Register FIS; withdraws INTRQ. */
static void send_d2h(struct ahci_port *p, bool irq)
{
    struct ata *a = device(p);
    uint8_t fis[20] = { FIS_D2H, irq ? FIS_IRQ : 0 };

    registers(a, fis);
    ata_read(a, ATA_COMMAND, false);
    set_tfd(p, fis[2], fis[3]);
    if (!post(p, AT_D2H, fis, sizeof(fis)))
        return;
    if (fis[2] & TFD_ERR) {
        p->halted = 1;
        ahci_port_event(p, IS_TFE | (irq ? IS_DHR : 0));
    } else if (irq) {
        ahci_port_event(p, IS_DHR);
    }
}

static void send_pio_setup(struct ahci_port *p, bool in, uint32_t len, uint8_t status)
{
    struct ata *a = device(p);
    bool irq = ata_irq(a);
    uint8_t fis[20] = { FIS_PIO_SETUP, (in ? FIS_TO_HOST : 0) | (irq ? FIS_IRQ : 0) };

    registers(a, fis);
    fis[15] = status;
    fis[16] = len;
    fis[17] = len >> 8;
    ata_read(a, ATA_COMMAND, false);
    set_tfd(p, status, fis[3]);
    if (post(p, AT_PIO_SETUP, fis, sizeof(fis)) && irq)
        ahci_port_event(p, IS_PS);
}

/* Set device bits: tags that are done. */
static void send_sdb(struct ahci_port *p, uint32_t tags)
{
    struct ata *a = device(p);
    uint8_t status = ata_alt_status(a), error = ata_read(a, ATA_FEATURE, false);
    uint8_t fis[8] = { FIS_SDB, FIS_IRQ, status & 0x77, error };

    ahci_put32(fis + 4, tags);
    p->sact &= ~tags;
    p->tfd = (p->tfd & 0x88) | (status & 0x77u) | (uint32_t)error << 8;
    if (!post(p, AT_SDB, fis, sizeof(fis)))
        return;
    if (status & TFD_ERR)
        p->halted = 1;
    ahci_port_event(p, IS_SDB | (status & TFD_ERR ? IS_TFE : 0));
}

/* What it sends when its link comes up: its signature, without an interrupt. */
void ahci_port_greet(struct ahci_port *p)
{
    struct ata *a = device(p);
    uint8_t fis[20];

    registers(a, fis);
    set_tfd(p, fis[2], fis[3]);
    p->sig = fis[12] | (uint32_t)fis[4] << 8 | (uint32_t)fis[5] << 16 | (uint32_t)fis[6] << 24;
    if (p->cmd & CMD_FRE)
        send_d2h(p, false);
    else
        p->greeting = 1;
}

void ahci_port_receives(struct ahci_port *p)
{
    if (!p->greeting || !p->up)
        return;
    p->greeting = 0;
    send_d2h(p, false);
}

/* ---- memory of commands ---- */

/*
 * The next pieces of a command's memory from *at on, which moves behind them: at most `want` bytes in at most `max`
 * pieces.  0: the table has ended, or (*bad) cannot be used.
 */
static uint32_t map(struct ahci_port *p, struct ahci_slot *c, struct ahci_place *at, bool write, uint64_t want,
                    struct disk_buf *buf, struct ahci_piece *piece, unsigned max, unsigned *n, bool *bad)
{
    uint32_t got = 0;

    *n = 0;
    *bad = false;
    while (got < want && *n < max && at->entry < c->entries) {
        uint8_t e[PRD];
        uint64_t pa, run;
        uint32_t whole, len;
        void *host;

        if (!pci_dma_read(p->s->pci, c->table + PRDT + (uint64_t)PRD * at->entry, e, sizeof(e))) {
            *bad = true;
            break;
        }
        pa = (ahci_get32(e) & ~1u) | (uint64_t)ahci_get32(e + 4) << 32;
        whole = ((ahci_get32(e + 12) & 0x3fffff) | 1) + 1;      /* it says one less, and is even */
        c->tells |= e[15] >> 7;
        if (at->off >= whole) {           /* the guest has changed it */
            at->entry++;
            at->off = 0;
            continue;
        }
        pa += at->off;
        len = whole - at->off;
        if (len > want - got)
            len = (uint32_t)(want - got);
        host = pci_dma_host(p->s->pci, pa, len, write, &run);
        if (!host) {
            *bad = true;
            break;
        }
        buf[*n] = (struct disk_buf){ host, run };
        piece[*n] = (struct ahci_piece){ pa, (uint32_t)run };
        (*n)++;
        got += (uint32_t)run;
        at->pos += run;
        at->off += (uint32_t)run;
        if (at->off == whole) {
            at->entry++;
            at->off = 0;
        }
    }
    return got;
}

static void written(struct ahci_port *p, const struct ahci_given *g, uint64_t bytes)
{
    for (unsigned i = 0; i < g->n && bytes; i++) {
        uint32_t len = bytes < g->at[i].len ? (uint32_t)bytes : g->at[i].len;

        pci_dma_written(p->s->pci, g->at[i].pa, len);
        bytes -= len;
    }
}

/* There is more data than memory for it. */
static void overflow(struct ahci_port *p)
{
    if (!(p->is & IS_OF))
        log_msg(LOG_GUEST, "ahci: port %u: a command has less memory than data", p->n);
    ahci_port_event(p, IS_OF);
}

/* ---- the device's data ---- */

static size_t dma_map(void *to, unsigned dev, bool in, size_t want, struct disk_buf *buf, unsigned *n)
{
    struct ahci_port *p = to;
    struct ahci_place at;
    struct ahci_slot *c;
    unsigned max = *n < ATA_DMA_PIECES ? *n : ATA_DMA_PIECES;
    size_t got;
    bool bad;

    *n = p->given.n = 0;
    if (p->current == AHCI_SLOTS || p->halted)
        return 0;
    c = &p->slot[p->current];
    at = c->at;
    got = map(p, c, &at, in, want, buf, p->given.at, max, n, &bad);
    p->given.n = *n;
    if (got)
        return got;
    if (bad) {
        fatal(p);
        return 0;
    }
    overflow(p);
    if (!in)                    /* the device waits for it until it is reset */
        return 0;
    buf[0] = (struct disk_buf){ p->sink, want < AHCI_SINK ? want : AHCI_SINK };
    *n = 1;
    return buf[0].len;
}

static void dma_spoilt(void *to, unsigned dev, size_t bytes)
{
    struct ahci_port *p = to;

    written(p, &p->given, bytes);
}

static void dma_done(void *to, unsigned dev, bool in, size_t bytes)
{
    struct ahci_port *p = to;
    struct ahci_slot *c;

    if (in)
        written(p, &p->given, bytes);
    if (p->current == AHCI_SLOTS)
        return;
    c = &p->slot[p->current];
    for (unsigned i = 0; i < p->given.n && bytes; i++) {
        struct disk_buf buf;
        struct ahci_piece piece;
        uint32_t len = bytes < p->given.at[i].len ? (uint32_t)bytes : p->given.at[i].len;
        unsigned n;
        bool bad;

        for (uint32_t k = 0; k < len;) {
            uint32_t step = map(p, c, &c->at, in, len - k, &buf, &piece, 1, &n, &bad);

            if (!step)
                break;
            k += step;
        }
        p->moved += len;
        bytes -= len;
    }
}

static uint32_t queue_map(void *to, unsigned tag, bool in, uint64_t pos, uint32_t want, struct disk_buf *buf,
                          unsigned max, unsigned *n)
{
    struct ahci_port *p = to;
    struct ahci_given *g = p->queue[tag];
    uint32_t got;
    bool bad;

    if (!g)
        g = p->queue[tag] = calloc(1, sizeof(*g));
    if (!g)
        die(EXIT_CODE_HOST, "out of memory for a disk request");
    if (in)
        written(p, g, UINT64_MAX);
    got = map(p, &p->slot[tag], &p->slot[tag].at, in, want, buf, g->at, max < AHCI_PIECES ? max : AHCI_PIECES, n,
              &bad);
    g->n = *n;
    if (!got && bad)
        fatal(p);
    else if (!got)
        overflow(p);
    return got;
}

static void queue_written(void *to, unsigned tag)
{
    struct ahci_port *p = to;

    if (!p->queue[tag])
        return;
    written(p, p->queue[tag], UINT64_MAX);
    p->queue[tag]->n = 0;
}

static void queue_done(void *to, unsigned tag, bool ok)
{
    struct ahci_port *p = to;
    const struct ahci_slot *c = &p->slot[tag];
    uint8_t fis[28] = { FIS_DMA_SETUP, c->write ? 0 : FIS_TO_HOST };

    if (p->halted)
        return;
    ahci_put32(fis + 4, tag);
    ahci_put32(fis + 20, (uint32_t)c->at.pos);
    if (ok && !post(p, AT_DMA_SETUP, fis, sizeof(fis)))
        return;
    log_dev(AHCI, "ahci: port %u: queued command %u is %s", p->n, tag, ok ? "done" : "failed");
    if (c->tells)
        ahci_port_event(p, IS_DP);
    send_sdb(p, ok ? 1u << tag : 0);
    ahci_port_go(p);
}

static void device_irq(void *to, unsigned dev, bool level)
{
    if (level)
        ahci_port_go(to);
}

void ahci_port_host(struct ahci_port *p, struct ata_host *h)
{
    *h = (struct ata_host){
        .irq = device_irq, .dma_map = dma_map, .dma_done = dma_done, .dma_spoilt = dma_spoilt, .to = p,
        .serial = true, .queue_map = queue_map, .queue_written = queue_written, .queue_done = queue_done
    };
}

/* ---- a command ---- */

/* The header's count of bytes moved. */
static void put_count(struct ahci_port *p)
{
    uint8_t n[4];

    ahci_put32(n, p->moved);
    if (!pci_dma_write(p->s->pci, p->clb + HEADER * p->current + 4, n, sizeof(n)))
        fatal(p);
}

static void end_command(struct ahci_port *p)
{
    put_count(p);
    if (p->slot[p->current].tells)
        ahci_port_event(p, IS_DP);
    if (!(p->tfd & (TFD_BSY | TFD_DRQ | TFD_ERR)))
        p->ci &= ~(1u << p->current);
    p->current = AHCI_SLOTS;
}

/* A DRQ block between the device and memory. False: it cannot go on. */
static bool move_block(struct ahci_port *p, bool in, uint8_t *at, uint32_t len)
{
    struct disk_buf buf[ATA_DMA_PIECES];

    for (uint32_t i = 0; i < len;) {
        unsigned n = ATA_DMA_PIECES;
        uint32_t got = (uint32_t)dma_map(p, 0, in, len - i, buf, &n), k = i;

        if (!got)
            return false;
        for (unsigned b = 0; b < n; b++) {
            if (in)
                memcpy(buf[b].data, at + k, buf[b].len);
            else
                memcpy(at + k, buf[b].data, buf[b].len);
            k += (uint32_t)buf[b].len;
        }
        dma_done(p, 0, in, got);
        i += got;
    }
    return true;
}

/* The 12 bytes of a packet are in the command table. */
static bool send_packet(struct ahci_port *p, uint8_t *at, uint32_t len)
{
    if (pci_dma_read(p->s->pci, p->slot[p->current].table + ACMD, at, len))
        return true;
    fatal(p);
    return false;
}

/* The next DRQ block of the current command. False: it waits. */
static bool pio(struct ahci_port *p, enum ata_pio what, uint8_t *at, uint32_t len)
{
    struct ata *a = device(p);
    bool in = what == ATA_PIO_TO_HOST;
    /* When the data have gone: the last of a PIO read end the command. */
    uint8_t status = (ata_alt_status(a) & ~TFD_DRQ) | (ata_pio_last(a) ? 0 : TFD_BSY);

    if (p->starved)
        return false;
    send_pio_setup(p, in, len, status);
    if (p->halted)
        return false;
    if (!(what == ATA_PIO_PACKET ? send_packet(p, at, len) : move_block(p, in, at, len))) {
        p->starved = 1;
        return false;
    }
    p->pio_in = in;
    ata_pio_moved(a);
    return true;
}

/* A register FIS with the bit "command" clear: the control register, of which SRST counts. */
static void control(struct ahci_port *p, uint8_t val, uint8_t flags)
{
    struct ata *a = device(p);

    if (val & CONTROL_SRST) {
        ata_reset(a);
        set_tfd(p, flags & HDR_CLEAR ? 0x50 : TFD_BSY, 0);
        if (flags & HDR_CLEAR)
            p->ci &= ~(1u << p->current);
    } else {
        if (ata_reset_done(a))
            ahci_port_greet(p);
        p->ci &= ~(1u << p->current);
    }
    p->current = AHCI_SLOTS;
}

static void command(struct ahci_port *p, const uint8_t *fis)
{
    static const struct { uint8_t at, reg; } order[] = {
        { 11, ATA_FEATURE }, { 3, ATA_FEATURE }, { 13, ATA_COUNT }, { 12, ATA_COUNT }, { 8, ATA_LBA_LOW },
        { 4, ATA_LBA_LOW }, { 9, ATA_LBA_MID }, { 5, ATA_LBA_MID }, { 10, ATA_LBA_HIGH }, { 6, ATA_LBA_HIGH },
        { 7, ATA_DEVICE },
    };
    struct ata *a = device(p);
    bool queued = !ata_is_cd(a) && (fis[2] == 0x60 || fis[2] == 0x61);
    unsigned slot = p->current, tag = fis[12] >> 3;

    for (unsigned i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        ata_write(a, order[i].reg, fis[order[i].at]);
    if (queued && tag != slot) {
        log_msg(LOG_GUEST, "ahci: port %u: slot %u has a command with tag %u", p->n, slot, tag);
        fatal(p);               /* 5.5.1: they must be the same */
        p->current = AHCI_SLOTS;
        return;
    }
    set_tfd(p, TFD_BSY, 0);
    p->current = queued ? AHCI_SLOTS : slot;
    ata_write(a, ATA_COMMAND, fis[2]);
    if (!queued || p->halted)
        return;
    /* The device has taken it into its queue, and says so, or has not. */
    if (ata_alt_status(a) & TFD_ERR) {
        send_d2h(p, true);
    } else {
        p->ci &= ~(1u << slot);
        send_d2h(p, false);
    }
}

/* Takes the command of a slot. */
static void begin(struct ahci_port *p, unsigned slot)
{
    struct ahci_slot *c = &p->slot[slot];
    uint8_t h[HEADER], fis[20];

    p->current = slot;
    p->cmd = (p->cmd & ~(uint32_t)CMD_CCS) | slot << 8;
    p->next = (slot + 1) % AHCI_SLOTS;
    p->moved = 0;
    p->pio_in = p->starved = 0;
    p->given.n = 0;
    if (!pci_dma_read(p->s->pci, p->clb + HEADER * slot, h, sizeof(h))) {
        fatal(p);
        return;
    }
    *c = (struct ahci_slot){ .table = (ahci_get32(h + 8) & ~0x7fu) | (uint64_t)ahci_get32(h + 12) << 32,
                             .entries = h[2] | h[3] << 8, .write = h[0] & HDR_WRITE };
    if (!pci_dma_read(p->s->pci, c->table, fis, sizeof(fis))) {
        fatal(p);
        return;
    }
    log_dev(AHCI, "ahci: port %u: slot %u: FIS %02x, command %02x, %u regions", p->n, slot, fis[0], fis[2],
            c->entries);
    trace_ahci_command(p->n, slot, fis[0], fis[2], c->entries);
    if ((h[0] & 0x1f) < HDR_MIN || fis[0] != FIS_H2D) {
        log_msg(LOG_GUEST, "ahci: port %u: slot %u: a FIS of type %02x and %u dwords is no command", p->n, slot, fis[0],
                h[0] & 0x1f);
        p->halted = 1;
        ahci_port_event(p, IS_IF);
        return;
    }
    if (fis[1] & 15) {          /* for a device behind a port multiplier: nobody answers */
        set_tfd(p, TFD_BSY, 0);
        p->current = AHCI_SLOTS;
        return;
    }
    if (fis[1] & 0x80)
        command(p, fis);
    else
        control(p, fis[15], h[1]);
}

/* One step. False: nothing can be done now. */
static bool step(struct ahci_port *p)
{
    struct ata *a = device(p);
    enum ata_pio what;
    uint8_t *at;
    uint32_t len;

    if (!(p->cmd & CMD_ST) || p->halted || !p->up)
        return false;
    if (p->current == AHCI_SLOTS) {
        if (!p->ci || (p->tfd & (TFD_BSY | TFD_DRQ)))
            return false;
        while (!(p->ci >> p->next & 1))
            p->next = (p->next + 1) % AHCI_SLOTS;
        begin(p, p->next);
        return true;
    }
    if (ata_alt_status(a) & ATA_BSY)
        return false;
    what = ata_pio_block(a, &at, &len);
    if (what != ATA_PIO_NONE)
        return pio(p, what, at, len);
    if (!ata_idle(a))
        return false;           /* it waits for memory */
    if (!p->pio_in || ata_irq(a))
        send_d2h(p, ata_irq(a));
    end_command(p);
    return true;
}

void ahci_port_go(struct ahci_port *p)
{
    if (p->working)             /* who is at it goes on */
        return;
    p->working = 1;
    while (step(p))
        ;
    p->working = 0;
}

void ahci_port_stop(struct ahci_port *p)
{
    p->halted = 1;              /* what ends now begins nothing */
    if (device(p))
        ata_stop(device(p));
    p->current = AHCI_SLOTS;
    p->ci = p->sact = 0;
    p->next = 0;
    p->halted = 0;
    p->cmd &= ~(uint32_t)CMD_CCS;
}
