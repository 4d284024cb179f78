/*
 * scsi.c - the SCSI bus: commands to logical units, sense data, and what all devices do alike (SPC-4).
 *
 * A unit attention is told once, by the first command that may report it, and whatever the command wanted is
 * not done.
 */
#include "hw/scsi/scsi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/trace.h"
#include "hw/plug.h"

#define DISK (1u << SCSI_DISK)
#define CD   (1u << SCSI_CD)

enum { OP_REQUEST_SENSE = 0x03, OP_INQUIRY = 0x12, OP_REPORT_LUNS = 0xa0 };
enum { EVENT_NONE, EVENT_EJECT, EVENT_NEW, EVENT_REMOVED };    /* MMC: media events */

/* ---- answers ---- */

static void done(struct scsi_cmd *c)
{
    trace_scsi_status(c->dev->target, c->dev->lun, c->cdb[0], c->status);
    free(c->params);
    c->params = NULL;
    c->transport->done(c);
}

void scsi_good(struct scsi_cmd *c)
{
    c->status = SCSI_GOOD;
    done(c);
}

static void make_sense(uint8_t *s, unsigned key, unsigned asc)
{
    memset(s, 0, SCSI_SENSE);
    s[0] = 0x70;                        /* current, fixed format */
    s[2] = (uint8_t)key;
    s[7] = SCSI_SENSE - 8;
    s[12] = (uint8_t)(asc >> 8);
    s[13] = (uint8_t)asc;
}

void scsi_fail(struct scsi_cmd *c, unsigned key, unsigned asc)
{
    log_dev(SCSI, "scsi: command %02x: sense %x/%02x/%02x", c->cdb[0], key, asc >> 8, asc & 0xff);
    trace_scsi_sense(c->dev->target, c->dev->lun, c->cdb[0], key, asc);
    c->status = SCSI_CHECK;
    make_sense(c->sense, key, asc);
    if (c->dev->bus->keeps_sense)
        memcpy(c->dev->sense, c->sense, SCSI_SENSE);
    done(c);
}

void scsi_reply(struct scsi_cmd *c, const uint8_t *data, uint32_t len, uint32_t alloc)
{
    if (len > alloc)
        len = alloc;
    c->wanted = len;
    if (len > c->in_len)
        len = (uint32_t)c->in_len;
    if (len)
        c->transport->put(c, 0, data, len);
    c->moved = len;
    scsi_good(c);
}

/* ---- what all have ---- */

static void test_ready(struct scsi_cmd *c)
{
    scsi_good(c);                       /* whether there is a medium was asked before */
}

static void request_sense(struct scsi_cmd *c)
{
    struct scsi_dev *d = c->dev;
    uint8_t s[SCSI_SENSE];

    if (d->sense[0]) {
        memcpy(s, d->sense, sizeof(s));
    } else {
        make_sense(s, d->attention ? SENSE_ATTENTION : 0, d->attention);
        d->attention = 0;
    }
    d->sense[0] = 0;
    scsi_reply(c, s, sizeof(s), c->cdb[4]);
}

/* Blanks behind it. */
static void put_text(uint8_t *p, unsigned len, const char *text)
{
    memset(p, ' ', len);
    memcpy(p, text, strlen(text) < len ? strlen(text) : len);
}

/* Page 83h: what the unit is called. */
static unsigned vpd_identity(const struct scsi_dev *d, uint8_t *p)
{
    unsigned n = 0, len = (unsigned)strlen(d->serial);

    if (d->device_id) {
        len = (unsigned)strlen(d->device_id);
        p[n] = 2;                       /* ASCII, as the user wants it */
        p[n + 3] = (uint8_t)len;
        memcpy(p + n + 4, d->device_id, len);
        n += 4 + len;
    } else if (len) {
        p[n] = 2;                       /* ASCII, by vendor */
        p[n + 3] = (uint8_t)(8 + len);
        put_text(p + n + 4, 8, d->vendor);
        memcpy(p + n + 12, d->serial, len);
        n += 12 + len;
    }
    if (d->wwn) {
        p[n] = 1;                       /* binary, NAA */
        p[n + 1] = 3;
        p[n + 3] = 8;
        be_put(p + n + 4, 8, d->wwn);
        n += 12;
    }
    return n;
}

/* Page B0h: block limits. */
static unsigned vpd_limits(const struct scsi_dev *d, uint8_t *p)
{
    bool unmap = d->drive->disk && d->drive->disk->discards && !d->read_only;

    p[0] = 1;                           /* WSNZ: a count of 0 is none */
    be_put(p + 4, 4, 0);                /* the longest transfer: no limit */
    be_put(p + 16, 4, unmap ? 0x200000 : 0);
    be_put(p + 20, 4, unmap ? SCSI_PARAMS / 16 - 1 : 0);
    be_put(p + 32, 8, 0x200000);        /* WRITE SAME */
    return 60;
}

static unsigned vpd_page(const struct scsi_dev *d, uint8_t page, uint8_t *p)
{
    static const uint8_t disk[] = { 0x00, 0x80, 0x83, 0xb0, 0xb1, 0xb2 };
    unsigned n = d->type == SCSI_DISK ? sizeof(disk) : 3;

    switch (page) {
    case 0x00:
        memcpy(p, disk, n);
        return n;
    case 0x80:
        memcpy(p, d->serial, strlen(d->serial));
        return (unsigned)strlen(d->serial);
    case 0x83: return vpd_identity(d, p);
    default: break;
    }
    if (d->type != SCSI_DISK)
        return UINT32_MAX;
    switch (page) {
    case 0xb0: return vpd_limits(d, p);
    case 0xb1:
        be_put(p, 2, d->rotation);
        return 60;
    case 0xb2:
        p[1] = 0xe0;                    /* UNMAP, WRITE SAME (16) and (10) with UNMAP */
        if (!d->drive->disk || !d->drive->disk->discards || d->read_only)
            p[1] = 0;
        p[2] = p[1] ? 2 : 0;            /* thin provisioned */
        return 4;
    default: return UINT32_MAX;
    }
}

static void inquiry(struct scsi_cmd *c)
{
    const struct scsi_dev *d = c->dev;
    uint8_t r[256] = { (uint8_t)d->type };
    uint32_t alloc = (uint32_t)be_get(c->cdb + 3, 2);
    unsigned n;

    if (c->cdb[1] & 1) {
        n = vpd_page(d, c->cdb[2], r + 4);
        if (n == UINT32_MAX) {
            scsi_fail(c, SENSE_ILLEGAL, ASC_FIELD);
            return;
        }
        r[1] = c->cdb[2];
        be_put(r + 2, 2, n);
        scsi_reply(c, r, 4 + n, alloc);
        return;
    }
    if (c->cdb[2]) {
        scsi_fail(c, SENSE_ILLEGAL, ASC_FIELD);
        return;
    }
    r[1] = d->removable ? 0x80 : 0;
    r[2] = 5;                           /* SPC-3 */
    r[3] = 0x12;                        /* HISUP, format 2 */
    r[4] = 36 - 5;
    r[7] = 0x02;                        /* commands are queued */
    put_text(r + 8, 8, d->vendor);
    put_text(r + 16, 16, d->product);
    put_text(r + 32, 4, d->version);
    scsi_reply(c, r, 36, alloc);
}

static void report_luns(struct scsi_cmd *c)
{
    uint8_t r[SCSI_PARAMS] = { 0 };
    uint32_t alloc = (uint32_t)be_get(c->cdb + 6, 4), n = 8;

    if (alloc < 16 || c->cdb[2] > 2) {
        scsi_fail(c, SENSE_ILLEGAL, ASC_FIELD);
        return;
    }
    for (const struct scsi_dev *d = c->dev->bus->first; d && n < sizeof(r); d = d->next) {
        if (d->target != c->dev->target || c->cdb[2] == 1)      /* 1: well-known ones */
            continue;
        be_put(r + n, 2, d->lun < 256 ? d->lun : 0x4000 | d->lun);
        n += 8;
    }
    be_put(r, 4, n - 8);
    scsi_reply(c, r, n, alloc);
}

/* ---- the medium ---- */

static void start_stop(struct scsi_cmd *c)
{
    struct scsi_dev *d = c->dev;
    bool start = c->cdb[4] & 1, eject = c->cdb[4] & 2;

    if (c->cdb[4] >> 4) {               /* power conditions change nothing */
        scsi_good(c);
    } else if (eject && !start && d->removable) {
        if (d->locked && d->drive->disk) {
            scsi_fail(c, SENSE_ILLEGAL, ASC_LOCKED);
            return;
        }
        if (d->drive->disk)
            drive_moved(d->drive, true);
        if (d->drive->eject)
            d->drive->eject(d->drive);
        d->event = EVENT_REMOVED;
        scsi_good(c);
    } else {
        d->stopped = !start && !d->removable;
        scsi_good(c);
    }
}

static void prevent(struct scsi_cmd *c)
{
    c->dev->locked = c->cdb[4] & 1;
    scsi_good(c);
}

static void nothing(struct scsi_cmd *c)
{
    scsi_good(c);
}

/* ---- dispatch ---- */

#define READY 1u                        /* needs a medium that is ready */
#define WRITES 2u

static const struct {
    uint8_t op, types, flags;
    void (*fn)(struct scsi_cmd *);
} commands[] = {
    { 0x00, DISK | CD, READY, test_ready },
    { OP_REQUEST_SENSE, DISK | CD, 0, request_sense },
    { 0x08, DISK, READY, scsi_read6 },
    { 0x0a, DISK, READY | WRITES, scsi_write6 },
    { OP_INQUIRY, DISK | CD, 0, inquiry },
    { 0x15, DISK | CD, 0, scsi_mode_select },
    { 0x16, DISK, 0, nothing },         /* RESERVE, RELEASE: there is one initiator */
    { 0x17, DISK, 0, nothing },
    { 0x1a, DISK | CD, 0, scsi_mode_sense },
    { 0x1b, DISK | CD, 0, start_stop },
    { 0x1d, DISK | CD, 0, nothing },    /* SEND DIAGNOSTIC: the self-test passes */
    { 0x1e, DISK | CD, 0, prevent },
    { 0x25, DISK | CD, READY, scsi_capacity10 },
    { 0x28, DISK | CD, READY, scsi_read10 },
    { 0x2a, DISK, READY | WRITES, scsi_write10 },
    { 0x2e, DISK, READY | WRITES, scsi_write10 },       /* and verify */
    { 0x2f, DISK | CD, READY, scsi_verify10 },
    { 0x35, DISK | CD, READY, scsi_flush },
    { 0x41, DISK, READY | WRITES, scsi_same10 },
    { 0x42, DISK, READY | WRITES, scsi_unmap },
    { 0x43, CD, READY, scsi_read_toc },
    { 0x46, CD, 0, scsi_configuration },
    { 0x4a, CD, 0, scsi_event_status },
    { 0x51, CD, READY, scsi_disc_info },
    { 0x52, CD, READY, scsi_track_info },
    { 0x55, DISK | CD, 0, scsi_mode_select },
    { 0x5a, DISK | CD, 0, scsi_mode_sense },
    { 0x88, DISK, READY, scsi_read16 },
    { 0x8a, DISK, READY | WRITES, scsi_write16 },
    { 0x8e, DISK, READY | WRITES, scsi_write16 },
    { 0x8f, DISK, READY, scsi_verify16 },
    { 0x91, DISK, READY, scsi_flush },
    { 0x93, DISK, READY | WRITES, scsi_same16 },
    { 0x9e, DISK, READY, scsi_capacity16 },
    { OP_REPORT_LUNS, DISK | CD, 0, report_luns },
    { 0xa8, DISK | CD, READY, scsi_read12 },
    { 0xaa, DISK, READY | WRITES, scsi_write12 },
    { 0xae, DISK, READY | WRITES, scsi_write12 },
    { 0xaf, DISK | CD, READY, scsi_verify12 },
    { 0xbd, CD, 0, scsi_mechanism },
    { 0xbe, CD, READY, scsi_read_cd },
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void run(struct scsi_cmd *c)
{
    struct scsi_dev *d = c->dev;
    uint8_t op = c->cdb[0];
    unsigned i = 0, attention = d->attention;

    while (i < COMMANDS && (commands[i].op != op || !(commands[i].types >> d->type & 1)))
        i++;
    log_dev(SCSI, "scsi: unit %u:%u: command %02x, %llu and %llu bytes", d->target, d->lun, op,
            (unsigned long long)c->out_len, (unsigned long long)c->in_len);
    trace_scsi_command(d->target, d->lun, c->cdb, c->out_len, c->in_len);
    if (op != OP_INQUIRY && op != OP_REPORT_LUNS && op != OP_REQUEST_SENSE)
        d->sense[0] = 0;
    if (attention && op != OP_INQUIRY && op != OP_REPORT_LUNS && op != OP_REQUEST_SENSE) {
        d->attention = 0;
        scsi_fail(c, SENSE_ATTENTION, attention);
    } else if (i == COMMANDS) {
        log_msg(LOG_UNIMP, "scsi: command %02x of a %s", op, d->type == SCSI_CD ? "CD-ROM" : "disk");
        scsi_fail(c, SENSE_ILLEGAL, ASC_OPCODE);
    } else if ((commands[i].flags & READY) && !d->drive->disk) {
        scsi_fail(c, SENSE_NOT_READY, ASC_NO_MEDIUM);
    } else if ((commands[i].flags & READY) && d->stopped) {
        scsi_fail(c, SENSE_NOT_READY, ASC_STOPPED);
    } else if ((commands[i].flags & WRITES) && d->read_only) {
        scsi_fail(c, SENSE_PROTECT, ASC_PROTECTED);
    } else {
        commands[i].fn(c);
    }
}

/* A target that has other units only. */
static void run_without(struct scsi_cmd *c)
{
    uint8_t r[36] = { 0x7f, 0, 5, 0x12, 36 - 5 };       /* no device, and none can be there */

    if (c->cdb[0] == OP_INQUIRY && !(c->cdb[1] & 1))
        scsi_reply(c, r, sizeof(r), (uint32_t)be_get(c->cdb + 3, 2));
    else if (c->cdb[0] == OP_REPORT_LUNS)
        report_luns(c);
    else
        scsi_fail(c, SENSE_ILLEGAL, ASC_LUN);
}

/* The unit, or else some unit of the target. */
static struct scsi_dev *find(const struct scsi_bus *bus, unsigned target, unsigned lun, bool *exact)
{
    struct scsi_dev *some = NULL;

    *exact = true;
    for (struct scsi_dev *d = bus->first; d; d = d->next) {
        if (d->target == target && d->lun == lun)
            return d;
        if (d->target == target)
            some = d;
    }
    *exact = false;
    return some;
}

struct scsi_dev *scsi_find(const struct scsi_bus *bus, unsigned target, unsigned lun)
{
    bool exact;
    struct scsi_dev *d = find(bus, target, lun, &exact);

    return exact ? d : NULL;
}

bool scsi_start(struct scsi_bus *bus, unsigned target, unsigned lun, struct scsi_cmd *c)
{
    bool exact;

    c->dev = find(bus, target, lun, &exact);
    c->moved = c->wanted = 0;
    c->overrun = false;
    c->params = NULL;
    if (!c->dev)
        return false;
    (exact ? run : run_without)(c);
    return true;
}

void scsi_reset(struct scsi_bus *bus, struct scsi_dev *dev)
{
    for (struct scsi_dev *d = bus->first; d; d = d->next) {
        if (dev && d != dev)
            continue;
        d->attention = ASC_RESET;
        d->locked = d->stopped = 0;
        d->sense[0] = 0;
    }
}

/* ---- devices ---- */

static const struct field scsi_state[] = {
    FIELD(struct scsi_dev, wce), FIELD(struct scsi_dev, locked), FIELD(struct scsi_dev, stopped),
    FIELD(struct scsi_dev, event), FIELD(struct scsi_dev, attention), FIELD_ARRAY(struct scsi_dev, sense),
    FIELD_END
};

static void dev_reset(void *dev)
{
    struct scsi_dev *d = dev;

    d->attention = ASC_RESET;
    d->locked = d->stopped = 0;
    memset(d->sense, 0, sizeof(d->sense));
    d->event = EVENT_NONE;
    d->wce = !d->cache_off;
}

static const struct chip scsi_chip = { "scsi", sizeof(struct scsi_dev), dev_reset, scsi_state, NULL };

static void changed(void *dev)
{
    struct scsi_dev *d = dev;

    d->attention = ASC_CHANGED;
    d->event = d->drive->disk ? EVENT_NEW : EVENT_REMOVED;
    if (!d->drive->disk)
        d->locked = 0;
}

/* A drive that has no medium is one whose tray is out. */
static void tray(void *dev, struct drive_tray *t)
{
    struct scsi_dev *d = dev;

    *t = (struct drive_tray){ !d->drive->disk, d->locked };
}

static void ask(void *dev)
{
    ((struct scsi_dev *)dev)->event = EVENT_EJECT;
}

static const struct drive_user disk_user = { changed }, cd_user = { changed, tray, ask, NULL };

struct props {
    struct plug_common common;
    struct drive *drive;
    struct disk_policy on_error;
    const char *vendor, *product, *version, *serial, *device_id;
    uint64_t id, lun, channel, wwn, block, rotation;
    unsigned cache;
    bool removable;
};
#define AUTO UINT64_MAX

static void add(struct scsi_bus *bus, struct scsi_dev *d, const struct props *p)
{
    struct scsi_dev **at = &bus->first;

    if (p->id == AUTO) {
        for (d->target = 0; d->target < SCSI_TARGETS && scsi_find(bus, d->target, d->lun);)
            d->target++;
        if (d->target == SCSI_TARGETS)
            die(EXIT_CODE_USAGE, "-device %s: all targets of the bus have a unit %u", p->common.name, d->lun);
    } else {
        d->target = (unsigned)p->id;
    }
    if (scsi_find(bus, d->target, d->lun))
        die(EXIT_CODE_USAGE, "-device %s: scsi-id=%u,lun=%u: another device is there", p->common.name,
            d->target, d->lun);
    while (*at && ((*at)->target < d->target || ((*at)->target == d->target && (*at)->lun < d->lun)))
        at = &(*at)->next;
    d->next = *at;
    d->bus = bus;
    *at = d;
}

static struct scsi_dev *make(struct chip_list *chips, struct scsi_bus *bus, const struct props *p,
                             enum scsi_type type, const char *chip)
{
    struct scsi_dev *d = chip_new(chips, &scsi_chip, chip);
    const char *serial = p->serial ? p->serial : p->drive && p->drive->serial ? p->drive->serial : "";

    if (!p->drive)
        die(EXIT_CODE_USAGE, "-device %s: needs drive=ID, with -drive if=none,id=ID", p->common.name);
    if (!p->drive->disk && type == SCSI_DISK)
        die(EXIT_CODE_USAGE, "-device %s: drive %s has no medium: a disk needs file=PATH", p->common.name,
            p->drive->id);
    if (p->block & (p->block - 1))
        die(EXIT_CODE_USAGE, "-device %s: logical_block_size must be a power of two", p->common.name);
    plug_check_rotation(&p->common, p->rotation);
    if (strlen(serial) > 36)
        die(EXIT_CODE_USAGE, "-device %s: serial=%s: at most 36 characters", p->common.name, serial);
    if (p->device_id && (!*p->device_id || strlen(p->device_id) > 64))
        die(EXIT_CODE_USAGE, "-device %s: device_id=%s: use 1 to 64 characters", p->common.name, p->device_id);
    if (!drive_take(p->drive, type == SCSI_CD || p->removable ? &cd_user : &disk_user, d))
        die(EXIT_CODE_USAGE, "-device %s: drive %s is in use", p->common.name, p->drive->id);
    d->drive = p->drive;
    drive_on_error(d->drive, &p->on_error);
    d->type = type;
    d->lun = (unsigned)p->lun;
    d->block = type == SCSI_CD ? 2048 : (unsigned)p->block;
    d->vendor = p->vendor;
    d->product = p->product;
    d->version = p->version;
    d->serial = serial;
    d->device_id = p->device_id;
    d->wwn = p->wwn;
    d->removable = type == SCSI_CD || p->removable;
    d->read_only = type == SCSI_CD || p->drive->read_only || (p->drive->disk && p->drive->disk->read_only);
    d->rotation = (unsigned)p->rotation;
    d->cache_off = p->cache == PLUG_CACHE_OFF;
    dev_reset(d);
    add(bus, d, p);
    if (bus->path[0])
        plug_boot_path(&p->common, "%s/channel@0/disk@%x,%x", bus->path, d->target, d->lun);
    return d;
}

static void make_disk(struct plug_env *env, void *bus, const void *props)
{
    make(env->m->chips, bus, props, SCSI_DISK, ((const struct props *)props)->common.name);
}

static void make_cd(struct plug_env *env, void *bus, const void *props)
{
    make(env->m->chips, bus, props, SCSI_CD, ((const struct props *)props)->common.name);
}

#define COMMON_PROPS                                                                                         \
    { "drive", PROP_DRIVE, offsetof(struct props, drive), 0, 0, "its medium" },                              \
    DRIVE_ERROR_PROPS(struct props, on_error),                                                               \
    { "scsi-id", PROP_NUMBER, offsetof(struct props, id), 0, SCSI_TARGETS - 1,                               \
      "target (default: the first free)" },                                                                  \
    { "lun", PROP_NUMBER, offsetof(struct props, lun), 0, SCSI_LUNS - 1, "logical unit" },                   \
    { "channel", PROP_NUMBER, offsetof(struct props, channel), 0, 0, "host adapters have one" },             \
    { "device_id", PROP_STRING, offsetof(struct props, device_id), 0, 0,                                     \
      "what it is called in page 83h, up to 64 characters (default: its vendor and serial)" },               \
    { "vendor", PROP_STRING, offsetof(struct props, vendor), 0, 0, "up to 8 characters" },                   \
    { "product", PROP_STRING, offsetof(struct props, product), 0, 0, "up to 16 characters" },                \
    { "ver", PROP_STRING, offsetof(struct props, version), 0, 0, "up to 4 characters" },                     \
    { "serial", PROP_STRING, offsetof(struct props, serial), 0, 0, "up to 36 characters" },                  \
    { "wwn", PROP_NUMBER, offsetof(struct props, wwn), 0, UINT64_MAX, "world-wide name" }

static const struct prop disk_props[] = {
    COMMON_PROPS,
    { "removable", PROP_BOOL, offsetof(struct props, removable), 0, 0, "the guest may eject it" },
    { "logical_block_size", PROP_NUMBER, offsetof(struct props, block), 512, 4096, "bytes" },
    ROTATION_PROP(struct props, rotation), WRITE_CACHE_PROP(struct props, cache), PROP_END
};
static const struct prop cd_props[] = { COMMON_PROPS, PROP_END };

static const struct props disk_defaults = {
    .vendor = "LATIMER", .product = "HARDDISK", .version = "1.0", .id = AUTO, .block = 512, .rotation = 1
};
static const struct props cd_defaults = {
    .vendor = "LATIMER", .product = "CD-ROM", .version = "1.0", .id = AUTO, .block = 2048
};

struct scsi_dev *scsi_dev_new(struct chip_list *chips, struct scsi_bus *bus, const char *device,
                              struct drive *drive, const char *serial, bool removable)
{
    bool cd = drive && drive->cdrom;
    struct props p = cd ? cd_defaults : disk_defaults;
    char chip[sizeof(p.common.name) + 8];

    snprintf(chip, sizeof(chip), "%s/scsi", device);
    snprintf(p.common.name, sizeof(p.common.name), "%s", device);
    p.drive = drive;
    p.serial = serial;
    p.removable = removable;
    return make(chips, bus, &p, cd ? SCSI_CD : SCSI_DISK, chip);
}

const struct plug scsi_hd_plug = {
    "scsi-hd", "SCSI disk", "SCSI", sizeof(struct props), &disk_defaults, disk_props, make_disk
};
const struct plug scsi_cd_plug = {
    "scsi-cd", "SCSI CD-ROM drive", "SCSI", sizeof(struct props), &cd_defaults, cd_props, make_cd
};
