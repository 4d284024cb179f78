/*
 * nvme.c - NVMe controller: registers, doorbells, enabling and resets (NVM Express 1.4, chapters 3 and 7); what its queues
 * do is queue.c's.
 *
 * A reset ends a generation of commands: what the disk still has of it comes back unanswered.  Until it
 * has, the controller does not say that it is no longer ready (CSTS.RDY), since guest memory may still be
 * written.
 */
#include "hw/nvme/nvme_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/trace.h"
#include "hw/plug.h"

#define BAR_LEN   0x4000u
#define DOORBELLS 0x1000u

#define R_CAP   0x00
#define R_VS    0x08
#define R_INTMS 0x0c
#define R_INTMC 0x10
#define R_CC    0x14
#define R_CSTS  0x1c
#define R_AQA   0x24
#define R_ASQ   0x28
#define R_ACQ   0x30

#define CAP_CQR     (1ull << 16)
#define CAP_TO      (60ull << 24)       /* 30 s */
#define CAP_NVM     (1ull << 37)
#define MPS_MAX     4u                  /* pages of 64 KiB */
#define CC_EN       1u
#define CC_WRITABLE 0x00fffff1u
#define CC_FIXED    0x00003ff0u     /* arbitration, page size, command set: not while it is enabled (3.1.5) */
#define CC_SHN(cc)  ((cc) >> 14 & 3)
#define CC_SQES(cc) ((cc) >> 16 & 15)
#define CSTS_RDY    1u
#define CSTS_CFS    2u
#define CSTS_SHUTTING 4u
#define CSTS_SHUT   8u
#define CSTS_SHST   0x0cu
#define AQA_WRITABLE 0x0fff0fffu

uint64_t nvme_get(const void *p, unsigned size)
{
    const uint8_t *b = p;
    uint64_t v = 0;

    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)b[i] << 8 * i;
    return v;
}

void nvme_put(void *p, unsigned size, uint64_t v)
{
    for (unsigned i = 0; i < size; i++)
        ((uint8_t *)p)[i] = v >> 8 * i;
}

unsigned nvme_vectors(const struct nvme *s)
{
    return s->config.msix ? s->config.ioqpairs + 1 : 1;
}

bool nvme_ready(const struct nvme *s)
{
    return (s->csts & (CSTS_RDY | CSTS_CFS)) == CSTS_RDY && (s->cc & CC_EN) && !s->stopping;
}

void nvme_fatal(struct nvme *s, const char *what)
{
    log_msg(LOG_GUEST, "nvme: %s: the controller stops", what);
    s->csts |= CSTS_CFS;
}

/* ---- enabling, reset, shutdown ---- */

/* What a controller reset clears: all but the admin queue's place and what outlives resets. */
static void controller_reset(struct nvme *s)
{
    s->generation++;
    s->intms = s->cc = 0;
    for (unsigned q = 0; q < QUEUES; q++) {
        s->sq_size[q] = s->cq_size[q] = s->under_way[q] = s->owed[q] = 0;
        s->ending[q] = 0;
    }
    /* Slots whose request the disk has are released when it comes back; no other command stays in a slot, but
       those that delete queues, and they gave theirs back. */
    s->naer = 0;
    memset(s->event, 0, sizeof(s->event));
    memset(s->masked, 0, sizeof(s->masked));
    memset(s->due, 0, sizeof(s->due));
    memset(s->held, 0, sizeof(s->held));
    s->coalesce_due = UINT64_MAX;
    timer_cancel(&s->coalesce);
    nvme_features_reset(s);
    nvme_pin_update(s);
}

/* The admin queue begins; the guest's answer is CSTS.RDY. Not while the disk has commands of before a
   reset. */
void nvme_enable(struct nvme *s)
{
    unsigned sq = (s->aqa & 0xfff) + 1, cq = (s->aqa >> 16 & 0xfff) + 1;

    if (s->stopping && !s->busy && !s->shut_busy) {
        s->csts &= ~(CSTS_RDY | CSTS_CFS);
        s->stopping = false;
    }
    if (s->busy || s->shut_busy || !(s->cc & CC_EN) || (s->csts & (CSTS_RDY | CSTS_CFS)))
        return;
    if (sq < 2 || cq < 2 || sq > QUEUE_MAX || cq > QUEUE_MAX || !s->asq || !s->acq ||
        (s->cc >> 7 & 15) > MPS_MAX || (s->cc >> 4 & 7) || (s->cc >> 11 & 7)) {
        nvme_fatal(s, "enabled with an admin queue or a configuration that it cannot have");
        return;
    }
    s->sq_at[0] = s->asq;
    s->cq_at[0] = s->acq;
    s->sq_size[0] = sq;
    s->cq_size[0] = cq;
    s->sq_head[0] = s->sq_tail[0] = s->cq_head[0] = s->cq_tail[0] = s->sq_cq[0] = s->cq_vector[0] = 0;
    s->cq_phase[0] = s->cq_ien[0] = 1;
    s->csts |= CSTS_RDY;
    s->opened = 1;
}

static void shut_done(struct disk_req *r)
{
    struct nvme *s = r->dev;

    s->shut_busy = false;
    if ((s->csts & CSTS_SHST) == CSTS_SHUTTING) {
        s->csts = (s->csts & ~CSTS_SHST) | CSTS_SHUT;
        s->opened = 0;
    }
    nvme_enable(s);
    nvme_run(s);
}

static void shutdown(struct nvme *s)
{
    if (s->csts & CSTS_SHST)
        return;
    if (!s->drive->disk) {
        s->csts |= CSTS_SHUT;
        s->opened = 0;
        return;
    }
    s->csts |= CSTS_SHUTTING;
    if (s->shut_busy)
        return;
    s->shut = (struct disk_req){ .op = DISK_FLUSH, .done = shut_done, .dev = s };
    s->shut_busy = true;
    disk_submit(s->drive->disk, &s->shut);
}

static void cc_write(struct nvme *s, uint32_t val)
{
    uint32_t before = s->cc;

    val &= CC_WRITABLE;
    if (before & val & CC_EN && (before ^ val) & CC_FIXED) {
        log_msg(LOG_GUEST, "nvme: CC is %08x, and %08x is written while it is enabled", before, val);
        val = (val & ~CC_FIXED) | (before & CC_FIXED);
    }
    if ((before & CC_EN) && !(val & CC_EN)) {
        controller_reset(s);
        s->csts &= ~CSTS_SHST;
        s->cc = val;
        s->stopping = true;
        nvme_enable(s);
    } else {
        s->cc = val;
        if (!(before & CC_EN) && (val & CC_EN))
            s->csts &= ~CSTS_SHST;
        if (CC_SHN(val))
            shutdown(s);
        nvme_enable(s);
    }
}

/* ---- doorbells ---- */

static void doorbell_error(struct nvme *s, unsigned info, unsigned off, uint32_t val)
{
    log_msg(LOG_GUEST, "nvme: doorbell %#x: %#x: %s", off, val,
            info == ERROR_DOORBELL_REG ? "there is no such queue" : "no place in the queue that could be");
    nvme_event(s, EVENT_ERROR, info);
}

static void doorbell(struct nvme *s, unsigned off, uint32_t val)
{
    unsigned q = (off - DOORBELLS) / 8, size;
    bool cq = off & 4;

    if (!nvme_ready(s)) {
        log_msg(LOG_GUEST, "nvme: doorbell %#x written while the controller is not ready", off);
        return;
    }
    size = q < QUEUES ? (cq ? s->cq_size[q] : s->sq_size[q]) : 0;
    if (!size) {
        doorbell_error(s, ERROR_DOORBELL_REG, off, val);
    } else if (val >= size) {
        doorbell_error(s, ERROR_DOORBELL_VALUE, off, val);
    } else if (cq) {
        /* Entries taken are entries that are there. */
        if ((val + size - s->cq_head[q]) % size > (s->cq_tail[q] + size - s->cq_head[q]) % size)
            doorbell_error(s, ERROR_DOORBELL_VALUE, off, val);
        else
            s->cq_head[q] = val;
    } else {
        /* Entries added have room behind those that were not fetched. */
        if ((val + size - s->sq_head[q]) % size < (s->sq_tail[q] + size - s->sq_head[q]) % size)
            doorbell_error(s, ERROR_DOORBELL_VALUE, off, val);
        else
            s->sq_tail[q] = val;
    }
    nvme_run(s);
}

/* ---- registers ---- */

static uint64_t cap(void)
{
    return (QUEUE_MAX - 1) | CAP_CQR | CAP_TO | CAP_NVM | (uint64_t)MPS_MAX << 52;
}

static uint64_t reg_read(void *dev, uint64_t off, unsigned size)
{
    struct nvme *s = dev;

    switch (off) {
    case R_CAP: return (uint32_t)cap();
    case R_CAP + 4: return cap() >> 32;
    case R_VS: return NVME_VERSION;
    case R_INTMS:
    case R_INTMC: return s->intms;
    case R_CC: return s->cc;
    case R_CSTS: return s->csts;
    case R_AQA: return s->aqa;
    case R_ASQ: return (uint32_t)s->asq;
    case R_ASQ + 4: return s->asq >> 32;
    case R_ACQ: return (uint32_t)s->acq;
    case R_ACQ + 4: return s->acq >> 32;
    }
    return 0;                   /* reserved, and doorbells: write only */
}

static void put_half(uint64_t *reg, unsigned shift, uint64_t val)
{
    *reg = (*reg & ~(0xffffffffull << shift)) | val << shift;
    *reg &= ~0xfffull;
}

static void reg_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct nvme *s = dev;

    val = (uint32_t)val;
    if (off >= DOORBELLS) {
        doorbell(s, off, val);
        return;
    }
    switch (off) {
    case R_INTMS:
        s->intms |= val;
        nvme_pin_update(s);
        return;
    case R_INTMC:
        s->intms &= ~val;
        nvme_pin_update(s);
        return;
    case R_CC:
        cc_write(s, val);
        nvme_run(s);
        return;
    case R_AQA:
        s->aqa = val & AQA_WRITABLE;
        return;
    case R_ASQ:
    case R_ASQ + 4:
        put_half(&s->asq, 8 * (off & 4), val);
        return;
    case R_ACQ:
    case R_ACQ + 4:
        put_half(&s->acq, 8 * (off & 4), val);
        return;
    }
    log_msg(LOG_GUEST, "nvme: write of %#llx to %#llx, which is read-only or reserved",
            (unsigned long long)val, (unsigned long long)off);
}

static const struct io_ops reg_ops = { reg_read, reg_write, 4, LOG_DEV_NVME };

/* MSI-X turned on or off: who tells of completions is another. */
static void config_written(void *dev, unsigned off, unsigned size)
{
    nvme_pin_update(dev);
}

/* ---- the medium ---- */

static void changed(void *dev)
{
    struct nvme *s = dev;

    s->changed = 1;
    if (s->event_config >> 8 & 1)
        nvme_event(s, EVENT_NOTICE, NOTICE_NAMESPACE);
    nvme_run(s);
}

static const struct drive_user drive_user = { changed };

/* ---- construction ---- */

static const struct field nvme_state[] = {
    FIELD(struct nvme, intms), FIELD(struct nvme, cc), FIELD(struct nvme, csts), FIELD(struct nvme, aqa),
    FIELD(struct nvme, asq), FIELD(struct nvme, acq),
    FIELD_ARRAY(struct nvme, sq_at), FIELD_ARRAY_MAX(struct nvme, sq_size, QUEUE_MAX), FIELD_ARRAY(struct nvme, sq_head),
    FIELD_ARRAY(struct nvme, sq_tail), FIELD_ARRAY_MAX(struct nvme, sq_cq, QUEUES - 1),
    FIELD_ARRAY(struct nvme, cq_at), FIELD_ARRAY_MAX(struct nvme, cq_size, QUEUE_MAX), FIELD_ARRAY(struct nvme, cq_head),
    FIELD_ARRAY(struct nvme, cq_tail), FIELD_ARRAY_MAX(struct nvme, cq_vector, VECTORS - 1),
    FIELD_ARRAY(struct nvme, cq_phase),
    FIELD_ARRAY(struct nvme, cq_ien), FIELD_ARRAY(struct nvme, ending), FIELD_ARRAY(struct nvme, ending_cid),
    FIELD_MAX(struct nvme, turn, QUEUES - 1),
    FIELD(struct nvme, arbitration), FIELD(struct nvme, error_recovery), FIELD(struct nvme, coalescing),
    FIELD(struct nvme, atomicity), FIELD(struct nvme, event_config), FIELD(struct nvme, over),
    FIELD(struct nvme, under), FIELD(struct nvme, write_cache), FIELD_ARRAY(struct nvme, uncoalesced),
    FIELD_ARRAY(struct nvme, held), FIELD(struct nvme, coalesce_due),
    FIELD_ARRAY(struct nvme, aer), FIELD_MAX(struct nvme, naer, AERS), FIELD_ARRAY(struct nvme, event),
    FIELD_ARRAY(struct nvme, masked), FIELD(struct nvme, changed),
    FIELD_ARRAY(struct nvme, error), FIELD(struct nvme, nerrors), FIELD(struct nvme, read_units),
    FIELD(struct nvme, write_units), FIELD(struct nvme, reads), FIELD(struct nvme, writes),
    FIELD(struct nvme, media_errors), FIELD(struct nvme, shutdowns_unsafe), FIELD(struct nvme, power_cycles),
    FIELD(struct nvme, opened), FIELD_END
};

static void nvme_reset(void *dev)
{
    struct nvme *s = dev;

    s->shutdowns_unsafe += s->opened;
    s->opened = 0;
    s->power_cycles++;
    s->csts = 0;
    s->stopping = false;
    s->aqa = 0;
    s->asq = s->acq = 0;
    s->turn = 0;
    s->changed = 0;
    for (unsigned q = 0; q < QUEUES; q++) {
        s->sq_at[q] = s->cq_at[q] = 0;
        s->sq_head[q] = s->sq_tail[q] = s->sq_cq[q] = s->cq_head[q] = s->cq_tail[q] = s->cq_vector[q] = 0;
        s->cq_phase[q] = s->cq_ien[q] = 0;
        s->ending_cid[q] = 0;
    }
    memset(s->aer, 0, sizeof(s->aer));
    controller_reset(s);
}

/* What the commands that make queues, and enabling, see to. */
static const char *nvme_check(const void *dev)
{
    const struct nvme *s = dev;

    if (s->turn > s->config.ioqpairs)
        return "turn is of a queue that it does not have";
    if ((s->csts & CSTS_RDY) && !(s->cc & CC_EN))
        return "csts: it is ready, but not enabled";
    if (nvme_ready(s) && (!s->sq_size[0] || !s->cq_size[0]))
        return "sq_size or cq_size: it is ready, but has no admin queues";
    if (nvme_ready(s) && (s->cc >> 7 & 15) > MPS_MAX)
        return "cc has larger pages than it knows";
    for (unsigned q = 0; q < QUEUES; q++) {
        if ((s->sq_size[q] || s->cq_size[q]) && q > s->config.ioqpairs)
            return "sq_size or cq_size: there are more queues than it can have";
        if (s->sq_size[q] == 1 || s->cq_size[q] == 1)
            return "sq_size or cq_size: a queue has one entry, which is always empty";
        if (s->sq_size[q] && !s->cq_size[s->sq_cq[q]])
            return "sq_cq names a completion queue that does not exist";
        if ((s->sq_size[q] && (s->sq_head[q] >= s->sq_size[q] || s->sq_tail[q] >= s->sq_size[q])) ||
            (s->cq_size[q] && (s->cq_head[q] >= s->cq_size[q] || s->cq_tail[q] >= s->cq_size[q])))
            return "sq_head, sq_tail, cq_head or cq_tail: it is behind its end";
    }
    return NULL;
}

/* Whoever saves has waited for the disk: no command is under way. */
static void nvme_loaded(void *dev)
{
    struct nvme *s = dev;

    if (s->coalesce_due == UINT64_MAX)
        timer_cancel(&s->coalesce);
    else
        timer_set(&s->coalesce, s->coalesce_due);
    nvme_pin_update(s);
}

static void nvme_free(void *dev)
{
    struct nvme *s = dev;

    for (unsigned i = 0; i < COMMANDS; i++) {
        free(s->cmd[i].bufs);
        free(s->cmd[i].pa);
        free(s->cmd[i].scratch);
    }
}

static const struct chip nvme_chip = { "nvme", sizeof(struct nvme), nvme_reset, nvme_state, nvme_loaded,
                                       nvme_free, .check = nvme_check };

/* A name for the controller that is the same each time and another for each serial number: FNV-1a,
   twice, in the form of a UUID of version 8. */
static void make_uuid(struct nvme *s)
{
    for (unsigned half = 0; half < 2; half++) {
        uint64_t h = 0xcbf29ce484222325u + half;

        for (const char *p = s->serial; *p; p++)
            h = (h ^ (uint8_t)*p) * 0x100000001b3u;
        nvme_put(s->uuid + 8 * half, 8, h);
    }
    s->uuid[6] = (s->uuid[6] & 0x0f) | 0x80;
    s->uuid[8] = (s->uuid[8] & 0x3f) | 0x80;
}

struct nvme *nvme_new(struct chip_list *chips, struct pci_bus *bus, struct clock *clock, const char *name,
                      unsigned slot, unsigned fn, struct drive *drive, const struct nvme_config *config)
{
    static const struct pci_ident id = { .vendor = 0x1b36, .device = 0x0010, .class = 0x010802, .revision = 2,
                                         .subvendor = 0x1af4, .subdevice = 0x1100, .pin = 1 };
    struct pci_dev *pci = pci_add(bus, name, slot, fn, &id);
    struct nvme *s = chip_new(chips, &nvme_chip, name);
    const char *serial = config->serial ? config->serial : drive->serial ? drive->serial : drive->id;

    if (!drive_take(drive, &drive_user, s))
        return NULL;
    s->pci = pci;
    s->clock = clock;
    s->drive = drive;
    s->config = *config;
    snprintf(s->serial, sizeof(s->serial), "%s", serial ? serial : "1");
    make_uuid(s);
    timer_init(&s->coalesce, clock, nvme_coalesced, s);
    for (unsigned i = COMMANDS; i--; s->free = &s->cmd[i], s->nfree++) {
        s->cmd[i].s = s;
        s->cmd[i].next = s->free;
    }
    pci_bar(pci, 0, BAR_LEN, PCI_BAR_64, &reg_ops, s);
    pci_express_init(pci);
    if (config->msix)
        pci_msix_init(pci, 4, config->ioqpairs + 1);
    pci_on_config(pci, config_written, s);
    nvme_reset(s);
    return s;
}

struct nvme_props {
    struct plug_common common;
    struct drive *drive;
    const char *serial;
    uint64_t ioqpairs, mdts, block_size;
    bool msix;
    unsigned cache;
};

static const struct nvme_props defaults = { .ioqpairs = 64, .mdts = 7, .block_size = 512, .msix = true };

static const struct prop props[] = {
    { "drive", PROP_DRIVE, offsetof(struct nvme_props, drive), 0, 0, "the namespace's medium" },
    { "serial", PROP_STRING, offsetof(struct nvme_props, serial), 0, 0,
      "its serial number, at most 20 characters" },
    { "max_ioqpairs", PROP_NUMBER, offsetof(struct nvme_props, ioqpairs), 1, PCI_MSIX_MAX - 1,
      "pairs of I/O queues" },
    { "mdts", PROP_NUMBER, offsetof(struct nvme_props, mdts), 1, 9,
      "a command transfers at most 4 KiB << N" },
    { "logical_block_size", PROP_NUMBER, offsetof(struct nvme_props, block_size), 512, 4096, "512 or 4096" },
    { "msix", PROP_BOOL, offsetof(struct nvme_props, msix), 0, 0, "message-signalled interrupts" },
    WRITE_CACHE_PROP(struct nvme_props, cache),
    PROP_END
};

static void make(struct plug_env *env, void *bus, const void *from)
{
    const struct nvme_props *p = from;
    struct nvme_config config = { p->serial, p->ioqpairs, p->mdts, p->block_size, p->msix, p->cache == PLUG_CACHE_OFF };
    int slot = p->common.slot >= 0 ? p->common.slot : pci_free_slot(env->pci);

    if (!p->drive)
        die(EXIT_CODE_USAGE,
            "-device nvme: it needs a drive: -drive if=none,id=NAME,file=FILE, and drive=NAME");
    if (p->block_size != 512 && p->block_size != 4096)
        die(EXIT_CODE_USAGE, "-device nvme: logical_block_size=%llu: use 512 or 4096",
            (unsigned long long)p->block_size);
    if (p->serial && strlen(p->serial) > 20)
        die(EXIT_CODE_USAGE, "-device nvme: serial=%s: at most 20 characters", p->serial);
    if (p->drive->cdrom)
        die(EXIT_CODE_USAGE, "-device nvme: drive %s is a CD-ROM drive", p->drive->id);
    if (slot < 0 || pci_taken(env->pci, slot, p->common.fn))
        die(EXIT_CODE_USAGE, "-device nvme: its place on the PCI bus is taken");
    if (!nvme_new(env->m->chips, env->pci, env->m->clock, p->common.name, slot, p->common.fn, p->drive,
                  &config))
        die(EXIT_CODE_USAGE, "-device nvme: another device has drive %s", p->drive->id);
}

const struct plug nvme_plug = {
    "nvme", "NVMe controller with one namespace", "PCI", sizeof(struct nvme_props), &defaults, props, make,
    "pci1b36,10@*/namespace@1,0"
};
