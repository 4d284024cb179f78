/*
 * storage.c - usb-storage: a SCSI disk or CD-ROM behind USB's bulk-only transport (Universal Serial Bus Mass
 * Storage Class, Bulk-Only Transport 1.0; "BOT" below), of full, high and super speed.
 *
 * A command block comes by the bulk OUT endpoint, then data go one way, then its status comes by the bulk
 * IN endpoint. Data stand in a buffer between host and disk; a command that moves more than that waits
 * (DISK_XFER_WAIT) until the buffer is empty or full again. So nothing but a request to the disk is ever
 * under way that the state table does not hold; loading gives the command to the unit again, from where it
 * stood.
 *
 * What the host expects and what the command does may differ in thirteen ways (BOT 6.7): more data than
 * the host expects, or the other way: status 2, "phase error", and nothing is done; less: the data there are,
 * then a short packet or a stall, and the difference is told.
 *
 * Commands are not cancelled: while one that a reset has dropped is still under way no new one is taken.
 *
 * Invariants: taken <= fill <= BUFFER; while `running` and not `waits`, the buffer is the disk's.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "hw/scsi/scsi.h"
#include "hw/usb/usb.h"

#define BUFFER 0x20000u
#define EP_IN (USB_DIR_IN | 1u)
#define EP_OUT 2u
#define CBW_LEN 31u
#define CSW_LEN 13u
#define CBW_SIGNATURE 0x43425355u
#define CSW_SIGNATURE 0x53425355u

enum mode {
    AWAIT,                      /* a command */
    COLLECT,                    /* data from the host */
    BUSY,                       /* the unit is at work, or has data for the host */
    STATUS,                     /* to be fetched */
    LOST,                       /* after what was no command: until a reset */
};
enum { PASSED, FAILED, PHASE_ERROR };
enum storage_request { BOT_RESET = 0x21ff, BOT_MAX_LUN = 0xa1fe };

struct usb_storage {
    struct usb_dev usb;
    struct scsi_bus bus;
    struct scsi_cmd cmd;
    uint8_t buf[BUFFER];
    uint8_t mode, status;
    uint8_t in;                 /* the host expects data */
    uint8_t lun, cdb[SCSI_CDB];
    uint32_t tag, expected;     /* bytes that the host expects to move */
    uint32_t moved;             /* bytes that it has moved */
    uint32_t residue;
    uint32_t base;              /* where in the command's data the buffer begins */
    uint32_t fill, taken;       /* bytes in the buffer, and of them those the host has */
    uint8_t running;            /* the unit has the command */
    uint8_t refused[2];         /* OUT and IN were told NAK */
    bool waits;                 /* for the host: the command stands in map() */
    bool dropped;               /* nobody wants the answer */
    bool again;                 /* it was given to the unit before: it must not move yet */
};

#define PART(n) { "buf" #n, offsetof(struct usb_storage, buf) + (n) * (BUFFER / 4), 1, BUFFER / 4 }
static const struct field storage_state[] = {
    USB_DEV_FIELDS(struct usb_storage, usb), PART(0), PART(1), PART(2), PART(3),
    FIELD_MAX(struct usb_storage, mode, LOST), FIELD(struct usb_storage, status), FIELD(struct usb_storage, in),
    FIELD_MAX(struct usb_storage, lun, 15), FIELD_ARRAY(struct usb_storage, cdb), FIELD(struct usb_storage, tag),
    FIELD(struct usb_storage, expected), FIELD(struct usb_storage, moved), FIELD(struct usb_storage, residue),
    FIELD(struct usb_storage, base), FIELD_MAX(struct usb_storage, fill, BUFFER), FIELD(struct usb_storage, taken),
    FIELD(struct usb_storage, running), FIELD_ARRAY(struct usb_storage, refused), FIELD_END
};

/* ---- descriptors ---- */

#define USB_2_0 0x00, 0x02
#define USB_2_1 0x10, 0x02      /* 2.0, and there is a BOS descriptor */
#define USB_3_0 0x00, 0x03
#define DEVICE(version, ep0)                                                                                 \
    { 18, USB_DT_DEVICE, version, 0, 0, 0, ep0, 0x27, 0x06, 0x04, 0x00, 0x00, 0x00, 1, 2, 3, 1 }
/* Self-powered; SCSI commands by bulk-only transport. */
#define CONFIG_HEAD(len) 9, USB_DT_CONFIG, len, 0, 1, 1, 0, 0xc0, 0, 9, 4, 0, 0, 2, 8, 6, 0x50, 0
#define ENDPOINT(ep, packet) 7, 5, ep, 2, (packet) & 0xff, (packet) >> 8, 0
#define COMPANION 6, 0x30, 15, 0, 0, 0          /* bursts of 16, no streams */
#define CONFIG(packet) { CONFIG_HEAD(32), ENDPOINT(EP_IN, packet), ENDPOINT(EP_OUT, packet) }

static const uint8_t full_device[18] = DEVICE(USB_2_0, 64), high_device[18] = DEVICE(USB_2_1, 64);
static const uint8_t super_device[18] = DEVICE(USB_3_0, 9);
static const uint8_t full_config[32] = CONFIG(64), high_config[32] = CONFIG(512);
static const uint8_t super_config[44] = {
    CONFIG_HEAD(44), ENDPOINT(EP_IN, 1024), COMPANION, ENDPOINT(EP_OUT, 1024), COMPANION
};
/* Link power management of USB 2.0 is not there; full, high and super speed; all works from full speed on. */
static const uint8_t bos[22] = {
    5, USB_DT_BOS, 22, 0, 2, 7, 0x10, 2, 0, 0, 0, 0, 10, 0x10, 3, 0, 0x0e, 0, 1, 10, 0xff, 0x07
};
static const char *const strings[] = { "Latimer", "USB Storage", "", NULL };

static unsigned max_packet(const struct usb_storage *s)
{
    return s->usb.speed == USB_SUPER ? 1024 : s->usb.speed == USB_HIGH ? 512 : 64;
}

/* ---- what the unit does ---- */

static void wake(struct usb_storage *s, unsigned ep)
{
    unsigned in = ep == EP_IN;

    if (s->refused[in]) {
        s->refused[in] = 0;
        usb_ready(&s->usb, ep);
    }
}

static struct usb_storage *storage_of(struct scsi_cmd *c)
{
    return (struct usb_storage *)(void *)((uint8_t *)c - offsetof(struct usb_storage, cmd));
}

static void get(struct scsi_cmd *c, uint64_t off, void *buf, uint32_t len)
{
    struct usb_storage *s = storage_of(c);

    memset(buf, 0, len);
    if (off < s->fill)
        memcpy(buf, s->buf + off, len < s->fill - off ? len : s->fill - (uint32_t)off);
}

static void put(struct scsi_cmd *c, uint64_t off, const void *buf, uint32_t len)
{
    struct usb_storage *s = storage_of(c);

    if (off > BUFFER || len > BUFFER - off)
        return;
    memcpy(s->buf + off, buf, len);
    s->fill = s->fill > off + len ? s->fill : (uint32_t)off + len;
}

/* By the endpoint it may go on at once, from within: then the waiting is over when this returns. */
static uint32_t wait_for_host(struct usb_storage *s, unsigned ep)
{
    s->waits = true;
    if (!s->again)
        wake(s, ep);
    return DISK_XFER_WAIT;
}

/* The buffer, once the host has emptied or filled it. */
static uint32_t map(struct scsi_cmd *c, bool in, uint64_t pos, uint32_t len, struct disk_buf *bufs,
                    unsigned max, unsigned *n)
{
    struct usb_storage *s = storage_of(c);

    if (s->dropped)
        return 0;
    if (s->again)
        return wait_for_host(s, 0);
    if (pos > s->base && in) {
        s->fill = (uint32_t)pos - s->base;
        return wait_for_host(s, EP_IN);
    }
    if (pos > s->base) {
        s->base = (uint32_t)pos;
        s->fill = 0;
        s->mode = COLLECT;
        return wait_for_host(s, EP_OUT);
    }
    len = len < BUFFER ? len : BUFFER;
    if (!in && len > s->fill)
        len = s->fill;
    bufs[0] = (struct disk_buf){ s->buf, len };
    *n = 1;
    return len;
}

static void written(struct scsi_cmd *c, uint64_t len)
{
    struct usb_storage *s = storage_of(c);

    if (!s->dropped && c->x.pos > s->base)      /* the last portion, or what there was before an error */
        s->fill = (uint32_t)(c->x.pos - s->base);
}

static void go_on(struct usb_storage *s)
{
    s->waits = false;
    disk_xfer_resume(&s->cmd.x);
}

static void ended(struct scsi_cmd *c)
{
    struct usb_storage *s = storage_of(c);
    bool phase = c->overrun || c->wanted > c->in_len;
    uint32_t done;

    s->running = s->waits = 0;
    if (s->dropped) {
        s->dropped = false;
        s->fill = 0;
        wake(s, EP_OUT);
        return;
    }
    s->status = phase ? PHASE_ERROR : c->status == SCSI_GOOD ? PASSED : FAILED;
    if (phase) {
        log_msg(LOG_GUEST, "usb-storage: command %02x moves other data than the host's %u bytes", c->cdb[0],
                s->expected);
        s->fill = 0;
    }
    if (s->in) {
        s->mode = BUSY;
        wake(s, EP_IN);
        return;
    }
    done = phase ? 0 : c->status == SCSI_GOOD ? (uint32_t)c->moved : s->base;
    s->residue = s->expected - done;
    s->fill = s->taken = 0;
    s->mode = STATUS;
    if (s->moved < s->expected)
        usb_halt(&s->usb, EP_OUT);
    wake(s, EP_OUT);            /* to be told of it */
    wake(s, EP_IN);
}

static const struct scsi_transport transport = { get, put, map, written, ended };

/* Gives the command to the unit, for the first time or (`again`) without moving anything yet. */
static void start(struct usb_storage *s, bool again)
{
    struct scsi_cmd *c = &s->cmd;

    c->transport = &transport;
    memcpy(c->cdb, s->cdb, SCSI_CDB);
    c->in_len = s->in ? s->expected : 0;
    c->out_len = s->in ? 0 : s->expected;
    s->running = 1;
    s->waits = false;
    s->again = again;
    s->mode = BUSY;
    scsi_start(&s->bus, 0, s->lun, c);
    s->again = false;
}

/* ---- the host's packets ---- */

static void drop(struct usb_storage *s)
{
    s->dropped = s->running && !s->waits;
    s->running = s->dropped;
    s->waits = false;
    s->mode = AWAIT;
    s->fill = s->taken = s->base = s->moved = 0;
    s->expected = s->residue = s->in = 0;
}

static int lost(struct usb_storage *s)
{
    usb_halt(&s->usb, EP_IN);
    usb_halt(&s->usb, EP_OUT);
    return USB_STALL;
}

static int take_command(struct usb_storage *s, const uint8_t *b, unsigned len)
{
    if (s->running)
        return USB_NAK;         /* an old one has not ended */
    if (len != CBW_LEN || usb_le32(b) != CBW_SIGNATURE || b[12] & 0x7f || b[13] > 15 || b[14] < 1 ||
        b[14] > SCSI_CDB) {
        log_msg(LOG_GUEST, "usb-storage: no command: %u bytes", len);
        s->mode = LOST;
        wake(s, EP_IN);
        return lost(s);
    }
    s->tag = usb_le32(b + 4);
    s->expected = usb_le32(b + 8);
    s->in = b[12] >> 7 && s->expected;
    s->lun = b[13];
    memset(s->cdb, 0, sizeof(s->cdb));
    memcpy(s->cdb, b + 15, b[14]);
    s->moved = s->base = s->fill = s->taken = 0;
    s->residue = 0;
    if (s->expected && !s->in)
        s->mode = COLLECT;
    else
        start(s, false);
    return CBW_LEN;
}

static int collect(struct usb_storage *s, const uint8_t *buf, unsigned len)
{
    uint32_t left = s->expected - s->moved;

    if (len > left || len > BUFFER - s->fill) {
        log_msg(LOG_GUEST, "usb-storage: more data than the command said");
        drop(s);
        s->mode = LOST;
        return lost(s);
    }
    memcpy(s->buf + s->fill, buf, len);
    s->fill += len;
    s->moved += len;
    if (s->fill < BUFFER && s->moved < s->expected)
        return len;
    s->mode = BUSY;
    if (s->running)
        go_on(s);
    else
        start(s, false);
    return len;
}

static int bulk_out(struct usb_storage *s, const uint8_t *buf, unsigned len)
{
    switch (s->mode) {
    case AWAIT:
        return take_command(s, buf, len);
    case COLLECT:
        return collect(s, buf, len);
    case LOST:
        return lost(s);
    }
    return USB_NAK;
}

static int send_status(struct usb_storage *s, uint8_t *buf, unsigned len)
{
    if (len < CSW_LEN)
        return USB_BABBLE;
    usb_put32(buf, CSW_SIGNATURE);
    usb_put32(buf + 4, s->tag);
    usb_put32(buf + 8, s->residue);
    buf[12] = s->status;
    s->mode = AWAIT;
    wake(s, EP_OUT);
    return CSW_LEN;
}

/* The host has all that was in the buffer. */
static void read_on(struct usb_storage *s)
{
    s->base += s->fill;
    s->fill = s->taken = 0;
    go_on(s);
}

static int send_data(struct usb_storage *s, uint8_t *buf, unsigned len)
{
    unsigned max = max_packet(s), n = s->fill - s->taken;

    n = n < len ? n : len;
    n = n < max ? n : max;
    memcpy(buf, s->buf + s->taken, n);
    s->taken += n;
    s->moved += n;
    if (s->taken == s->fill && !s->running) {
        s->residue = s->expected - s->moved;
        /* A short packet is an end that the host sees. */
        if (!s->residue || n % max)
            s->mode = STATUS;
    } else if (s->taken == s->fill && s->waits) {
        read_on(s);
    }
    return n;
}

static int bulk_in(struct usb_storage *s, uint8_t *buf, unsigned len)
{
    switch (s->mode) {
    case BUSY:
        if (!s->in || (s->running && !s->waits))
            return USB_NAK;
        if (s->taken < s->fill)
            return send_data(s, buf, len);
        s->residue = s->expected - s->moved;
        s->mode = STATUS;
        if (!s->residue)
            return send_status(s, buf, len);
        usb_halt(&s->usb, EP_IN);
        return USB_STALL;
    case STATUS:
        return send_status(s, buf, len);
    case LOST:
        return lost(s);
    }
    return USB_NAK;
}

static int storage_packet(struct usb_dev *d, enum usb_pid pid, unsigned ep, uint8_t *buf, unsigned len)
{
    struct usb_storage *s = (struct usb_storage *)d;
    int n;

    if (ep != (pid == USB_IN ? EP_IN & 15 : EP_OUT))
        return USB_TIMEOUT;
    n = pid == USB_IN ? bulk_in(s, buf, len) : bulk_out(s, buf, len);
    if (n == USB_NAK)
        s->refused[pid == USB_IN] = 1;
    return n;
}

static int storage_control(struct usb_dev *d, const struct usb_setup *s, uint8_t *buf)
{
    switch (s->type << 8 | s->request) {
    case BOT_RESET:
        if (s->index || s->value || s->length)
            return USB_STALL;
        drop((struct usb_storage *)d);
        return 0;
    case BOT_MAX_LUN:
        if (s->index || s->value)
            return USB_STALL;
        buf[0] = 0;
        return 1;
    }
    return USB_STALL;
}

static void storage_bus_reset(struct usb_dev *d)
{
    struct usb_storage *s = (struct usb_storage *)d;

    drop(s);
    s->status = s->refused[0] = s->refused[1] = 0;
    scsi_reset(&s->bus, NULL);
}

static void storage_reset(void *dev)
{
    struct usb_storage *s = dev;

    usb_dev_reset(&s->usb);
    if (!s->running)            /* otherwise it is still the disk's */
        memset(s->buf, 0, sizeof(s->buf));
    memset(s->cdb, 0, sizeof(s->cdb));
    s->tag = s->lun = 0;
}

static const char *storage_check(const void *dev)
{
    const struct usb_storage *s = dev;

    if (s->taken > s->fill)
        return "taken is more than fill";
    if (s->moved > s->expected || s->base > s->expected)
        return "moved or base is more than expected";
    return usb_dev_check(s);
}

static void storage_loaded(void *dev)
{
    struct usb_storage *s = dev;
    uint8_t mode;

    s->waits = s->dropped = false;
    if (!s->running)
        return;
    if (s->mode != BUSY && s->mode != COLLECT) {        /* it was dropped */
        s->running = 0;
        return;
    }
    mode = s->mode;
    start(s, true);
    if (!s->waits)
        return;                 /* the unit had another answer this time */
    s->mode = mode;
    s->cmd.x.pos = s->base + (s->in ? s->fill : 0);
    if (s->cmd.x.pos > s->cmd.x.len)
        s->cmd.x.pos = s->cmd.x.len;
    if (mode == BUSY && !s->in)         /* it was with the disk */
        go_on(s);
    else if (s->in && s->taken == s->fill)
        read_on(s);
}

static const struct chip storage_chip = {
    "usb-storage", sizeof(struct usb_storage), storage_reset, storage_state, storage_loaded,
    .check = storage_check
};

static const struct usb_type storage_type = {
    .at = { [USB_FULL] = { full_device, full_config, sizeof(full_config) },
            [USB_HIGH] = { high_device, high_config, sizeof(high_config) },
            [USB_SUPER] = { super_device, super_config, sizeof(super_config) } },
    .bos = bos, .strings = strings, .control = storage_control, .packet = storage_packet,
    .reset = storage_bus_reset
};

/* ---- wiring ---- */

struct props {
    struct usb_props usb;
    struct drive *drive;
    struct disk_policy on_error;
    bool removable;
};
static const struct prop props_table[] = {
    USB_PROPS,
    { "drive", PROP_DRIVE, offsetof(struct props, drive), 0, 0,
      "its medium; media=cdrom makes it a CD-ROM drive" },
    DRIVE_ERROR_PROPS(struct props, on_error),
    { "removable", PROP_BOOL, offsetof(struct props, removable), 0, 0, "the guest may eject it" },
    PROP_END
};

/* Twelve hexadecimal digits, as BOT 4.1.1 wants: "LAT", and the ports that lead to it. */
static void make_serial(struct usb_storage *s)
{
    uint32_t ports = 0;

    for (const struct usb_port *p = s->usb.port; p; p = p->of ? p->of->port : NULL)
        ports = ports << 4 | ((p->own.n + 1) & 15);
    snprintf(s->usb.serial, sizeof(s->usb.serial), "4C4154%06X", (unsigned)(ports & 0xffffff));
}

static void make(struct plug_env *env, void *to, const void *props)
{
    const struct props *p = props;
    struct usb_bus *bus = to;
    const char *name = p->usb.common.name;
    const char *serial = p->usb.serial ? p->usb.serial : p->drive ? p->drive->serial : NULL;
    struct usb_storage *s = chip_new(bus->chips, &storage_chip, name);
    char path[PLUG_PATH_MAX + 1];       /* one that is too long is seen to be */

    s->bus.keeps_sense = true;
    if (p->drive)
        drive_on_error(p->drive, &p->on_error);
    scsi_dev_new(bus->chips, &s->bus, name, p->drive, serial, p->removable);
    usb_attach(bus, &s->usb, &storage_type, &p->usb);
    if (serial)
        snprintf(s->usb.serial, sizeof(s->usb.serial), "%s", serial);
    else
        make_serial(s);
    usb_boot_path(&s->usb, path, sizeof(path));
    plug_boot_path(&p->usb.common, "%s", path);
    storage_reset(s);
}

const struct plug usb_storage_plug = {
    "usb-storage", "USB disk or CD-ROM drive (bulk-only transport)", "USB", sizeof(struct props), NULL,
    props_table, make
};
