/*
 * scsi_cd.c - what CD-ROMs have besides reading blocks (MMC-5): the table of contents of a disc with one
 * data track, profiles, events, reading user data by READ CD.
 */
#include <string.h>

#include "base/log.h"
#include "hw/scsi/scsi.h"

#define CD_BLOCKS  405000u              /* 90 minutes: larger media are DVDs */
#define LEAD_OUT   0xaau
#define DATA_TRACK 0x14u                /* ADR 1, control: data, copying prohibited */
enum { PROFILE_NONE = 0, PROFILE_CD = 0x08, PROFILE_DVD = 0x10 };
#define EVENT_MEDIA 4u                  /* class */
#define NO_EVENTS   0x80u

static unsigned profile(const struct scsi_dev *d)
{
    uint64_t blocks = scsi_blocks(d);

    return !blocks ? PROFILE_NONE : blocks > CD_BLOCKS ? PROFILE_DVD : PROFILE_CD;
}

/* A position as a block number, or as minutes, seconds and frames from 2 s before block 0. */
static void put_position(uint8_t *p, bool msf, uint64_t lba)
{
    if (!msf) {
        be_put(p, 4, lba);
        return;
    }
    lba += 150;
    p[0] = 0;
    p[1] = (uint8_t)(lba / 75 / 60);
    p[2] = (uint8_t)(lba / 75 % 60);
    p[3] = (uint8_t)(lba % 75);
}

static unsigned put_track(uint8_t *p, bool msf, unsigned track, uint64_t lba)
{
    p[1] = DATA_TRACK;
    p[2] = (uint8_t)track;
    put_position(p + 4, msf, lba);
    return 8;
}

/* Format 2: the entries of the lead-in. */
static unsigned raw_toc(uint8_t *p, uint64_t blocks)
{
    static const uint8_t points[] = { 0xa0, 0xa1, 0xa2, 1 };

    for (unsigned i = 0; i < sizeof(points); i++, p += 11) {
        p[0] = 1;
        p[1] = DATA_TRACK;
        p[3] = points[i];
        if (points[i] == 0xa2 || points[i] == 1)
            put_position(p + 7, true, points[i] == 1 ? 0 : blocks);
        else
            p[8] = 1;                   /* first and last track */
    }
    return 11 * sizeof(points);
}

void scsi_read_toc(struct scsi_cmd *c)
{
    bool msf = c->cdb[1] & 2;
    unsigned format = c->cdb[2] & 15, track = c->cdb[6], n = 4;
    uint64_t blocks = scsi_blocks(c->dev);
    uint8_t r[64] = { 0, 0, 1, 1 };

    if (!format)
        format = c->cdb[9] >> 6;        /* where older drivers say it */
    if (format > 2 || (format == 0 && track > 1 && track != LEAD_OUT)) {
        scsi_fail(c, SENSE_ILLEGAL, ASC_FIELD);
        return;
    }
    if (format == 2)
        n += raw_toc(r + n, blocks);
    if (format == 1 || (format == 0 && track <= 1))
        n += put_track(r + n, msf, 1, 0);
    if (format == 0)
        n += put_track(r + n, msf, LEAD_OUT, blocks);
    be_put(r, 2, n - 2);
    scsi_reply(c, r, n, (uint32_t)be_get(c->cdb + 7, 2));
}

/* ---- features ---- */

struct feature {
    uint16_t code;
    uint8_t version, profile;           /* profile: current only with that one; 0: always, 1: with a medium */
    uint8_t len, data[8];
};

static const struct feature features[] = {
    { 0x0000, 0, 0, 8, { 0x00, PROFILE_DVD, 0, 0, 0x00, PROFILE_CD, 0, 0 } },  /* profiles */
    { 0x0001, 2, 0, 8, { 0, 0, 0, 1, 1 } },             /* core: SCSI; events by device busy class */
    { 0x0003, 0, 0, 4, { 0x29 } },                      /* removable: tray, ejects, locks */
    { 0x0010, 0, 1, 8, { 0, 0, 8, 0, 0, 1 } },          /* random reading: blocks of 2048 bytes */
    { 0x001d, 0, PROFILE_CD, 0, { 0 } },                /* all sorts of CDs */
    { 0x001e, 2, PROFILE_CD, 4, { 0 } },                /* CDs */
    { 0x001f, 0, PROFILE_DVD, 4, { 0 } },               /* DVDs */
};

void scsi_configuration(struct scsi_cmd *c)
{
    unsigned from = (unsigned)be_get(c->cdb + 2, 2), which = c->cdb[1] & 3, now = profile(c->dev), n = 8;
    uint8_t r[128] = { 0 };

    for (unsigned i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
        const struct feature *f = &features[i];
        bool current = !f->profile || (f->profile == 1 ? now != PROFILE_NONE : f->profile == now);

        if (f->code < from || (which == 1 && !current) || (which == 2 && f->code != from))
            continue;
        be_put(r + n, 2, f->code);
        r[n + 2] = (uint8_t)(f->version << 2 | (f->code == 0 || f->code == 1 || f->code == 3 ? 2 : 0) |
                             current);
        r[n + 3] = f->len;
        memcpy(r + n + 4, f->data, f->len);
        for (unsigned k = 0; f->code == 0 && k < f->len; k += 4)
            r[n + 4 + k + 2] = f->data[k + 1] == now;
        n += 4 + f->len;
    }
    be_put(r, 4, n - 4);
    be_put(r + 6, 2, now);
    scsi_reply(c, r, n, (uint32_t)be_get(c->cdb + 7, 2));
}

void scsi_event_status(struct scsi_cmd *c)
{
    struct scsi_dev *d = c->dev;
    uint8_t r[8] = { 0, 2, NO_EVENTS, 1u << EVENT_MEDIA };
    uint32_t alloc = (uint32_t)be_get(c->cdb + 7, 2);

    if (!(c->cdb[1] & 1)) {             /* only polling: events of themselves are not there */
        scsi_fail(c, SENSE_ILLEGAL, ASC_FIELD);
        return;
    }
    if (c->cdb[4] >> EVENT_MEDIA & 1) {
        r[1] = 6;
        r[2] = EVENT_MEDIA;
        r[4] = d->event;
        r[5] = d->drive->disk ? 2 : 0;  /* there is a medium */
        if (alloc > 4)
            d->event = 0;
    }
    scsi_reply(c, r, 2 + r[1], alloc);
}

/* ---- disc and track ---- */

void scsi_disc_info(struct scsi_cmd *c)
{
    uint8_t r[34] = { 0, 32, 0x0e, 1, 1, 1, 1 };        /* complete; one session, one track */

    if (c->cdb[1] & 7) {
        scsi_fail(c, SENSE_ILLEGAL, ASC_FIELD);
        return;
    }
    memset(r + 16, 0xff, 8);            /* no lead-in nor lead-out to write at */
    scsi_reply(c, r, sizeof(r), (uint32_t)be_get(c->cdb + 7, 2));
}

void scsi_track_info(struct scsi_cmd *c)
{
    uint64_t blocks = scsi_blocks(c->dev), number = be_get(c->cdb + 2, 4);
    unsigned type = c->cdb[1] & 3;
    uint8_t r[36] = { 0, 34, 1, 1, 0, 4, 1 };

    if (type == 3 || (type == 0 ? number >= blocks : number != 1)) {
        scsi_fail(c, SENSE_ILLEGAL, ASC_FIELD);
        return;
    }
    be_put(r + 24, 4, blocks);
    scsi_reply(c, r, sizeof(r), (uint32_t)be_get(c->cdb + 7, 2));
}

void scsi_mechanism(struct scsi_cmd *c)
{
    uint8_t r[8] = { 0 };               /* no changer, idle */

    r[5] = 1;
    scsi_reply(c, r, sizeof(r), (uint32_t)be_get(c->cdb + 8, 2));
}

/* User data of mode 1 sectors; what is around them on a disc is not in images. */
void scsi_read_cd(struct scsi_cmd *c)
{
    unsigned type = c->cdb[1] >> 2 & 7, what = c->cdb[9] & 0xfe;

    if (!what || !be_get(c->cdb + 6, 3)) {
        scsi_good(c);
        return;
    }
    if ((type && type != 2) || what != 0x10 || c->cdb[10]) {
        log_msg(LOG_UNIMP, "scsi: READ CD of sector type %u, parts %#x, subchannel %#x", type, what,
                c->cdb[10]);
        scsi_fail(c, SENSE_ILLEGAL, ASC_FIELD);
        return;
    }
    /* READ (12) of the same. */
    c->cdb[1] = 0;
    c->cdb[9] = c->cdb[8];
    c->cdb[8] = c->cdb[7];
    c->cdb[7] = c->cdb[6];
    c->cdb[6] = 0;
    scsi_read12(c);
}
