/*
 * scsi_mode.c - mode pages (SPC-4, 7.5; SBC-3, 6.4; MMC-3 for page 2Ah). What a driver may change is the
 * write cache alone; it may write back anything else as it was.
 */
#include <string.h>

#include "hw/scsi/scsi.h"

enum { PAGE_RECOVERY = 0x01, PAGE_GEOMETRY = 0x04, PAGE_CACHE = 0x08, PAGE_CONTROL = 0x0a, PAGE_CD = 0x2a,
       PAGE_ALL = 0x3f };
enum { CURRENT, CHANGEABLE, DEFAULT, SAVED };
#define WCE    0x04u
#define WP     0x80u
#define DPOFUA 0x10u
#define HEADS  16u
#define SECS   63u

static const uint8_t disk_pages[] = { PAGE_RECOVERY, PAGE_GEOMETRY, PAGE_CACHE, PAGE_CONTROL };
static const uint8_t cd_pages[] = { PAGE_RECOVERY, PAGE_CD };

/* One page; returns its length with its head, 0: there is none. */
static unsigned page(const struct scsi_dev *d, unsigned code, unsigned which, uint8_t *p)
{
    uint64_t cyls = scsi_blocks(d) / (HEADS * SECS);
    unsigned len = 0;

    memset(p, 0, 32);
    switch (code) {
    case PAGE_RECOVERY: len = 12; break;
    case PAGE_GEOMETRY: len = d->type == SCSI_DISK ? 24 : 0; break;
    case PAGE_CACHE: len = d->type == SCSI_DISK ? 20 : 0; break;
    case PAGE_CONTROL: len = d->type == SCSI_DISK ? 12 : 0; break;
    case PAGE_CD: len = d->type == SCSI_CD ? 22 : 0; break;
    default: break;
    }
    if (!len)
        return 0;
    p[0] = (uint8_t)code;
    p[1] = (uint8_t)(len - 2);
    if (code == PAGE_CACHE)
        p[2] = which == CHANGEABLE || (which == DEFAULT ? !d->cache_off : d->wce) ? WCE : 0;
    if (which == CHANGEABLE)
        return len;
    if (code == PAGE_RECOVERY)
        p[2] = d->type == SCSI_DISK ? 0x80 : 0x00;      /* AWRE: the image replaces bad blocks */
    if (code == PAGE_GEOMETRY) {
        be_put(p + 2, 3, cyls < 0xffffff ? cyls : 0xffffff);
        p[5] = HEADS;
        be_put(p + 20, 2, 7200);
    }
    if (code == PAGE_CD) {
        p[2] = 0x3b;                    /* reads CD-R, CD-RW, DVD-ROM, DVD-R, DVD-RAM */
        p[4] = 0x70;                    /* mode 2 forms 1 and 2, several sessions */
        p[6] = 0x29 | (d->locked ? 2 : 0);      /* a tray, ejects, locks */
        be_put(p + 8, 2, 50 * 176);     /* speed, KB/s */
        be_put(p + 12, 2, 2048);        /* buffer, KiB */
        be_put(p + 14, 2, 50 * 176);
    }
    return len;
}

void scsi_mode_sense(struct scsi_cmd *c)
{
    const struct scsi_dev *d = c->dev;
    bool ten = c->cdb[0] == 0x5a, descriptor = !(c->cdb[1] & 8) && d->type == SCSI_DISK;
    unsigned which = c->cdb[2] >> 6, code = c->cdb[2] & 0x3f, head = ten ? 8 : 4, n = head, before;
    const uint8_t *list = d->type == SCSI_DISK ? disk_pages : cd_pages;
    unsigned pages = d->type == SCSI_DISK ? sizeof(disk_pages) : sizeof(cd_pages);
    uint64_t blocks = scsi_blocks(d);
    uint8_t r[256] = { 0 };

    if (which == SAVED) {
        scsi_fail(c, SENSE_ILLEGAL, ASC_SAVING);
        return;
    }
    if (descriptor) {
        r[n - 1] = 8;
        be_put(r + n, 4, blocks < 0xffffff ? blocks : 0xffffff);
        be_put(r + n + 5, 3, d->block);
        n += 8;
    }
    before = n;
    for (unsigned i = 0; i < pages; i++)
        if ((code == PAGE_ALL || code == list[i]) && (c->cdb[3] == 0 || c->cdb[3] == 0xff))
            n += page(d, list[i], which, r + n);
    if (n == before) {
        scsi_fail(c, SENSE_ILLEGAL, ASC_FIELD);
        return;
    }
    r[ten ? 3 : 2] = d->type == SCSI_CD ? 0 : DPOFUA | (d->read_only ? WP : 0);
    if (ten)
        be_put(r, 2, n - 2);
    else
        r[0] = (uint8_t)(n - 1);
    scsi_reply(c, r, n, ten ? (uint32_t)be_get(c->cdb + 7, 2) : c->cdb[4]);
}

/* Does it change nothing but what may be changed? */
static bool acceptable(const struct scsi_dev *d, const uint8_t *p, unsigned left, unsigned *len)
{
    uint8_t now[32], may[32];

    if (left < 2 || (p[0] & 0x40))
        return false;
    *len = page(d, p[0] & 0x3f, CURRENT, now);
    if (!*len || *len > left || p[1] != now[1])
        return false;
    page(d, p[0] & 0x3f, CHANGEABLE, may);
    for (unsigned i = 2; i < *len; i++)
        if ((p[i] ^ now[i]) & ~may[i])
            return false;
    return true;
}

void scsi_mode_select(struct scsi_cmd *c)
{
    struct scsi_dev *d = c->dev;
    bool ten = c->cdb[0] == 0x55;
    uint32_t len = ten ? (uint32_t)be_get(c->cdb + 7, 2) : c->cdb[4], at = ten ? 8 : 4;
    uint8_t p[SCSI_PARAMS], wce = d->wce;
    unsigned n;

    if (!len) {
        scsi_good(c);
        return;
    }
    if (len < at || len > sizeof(p)) {
        scsi_fail(c, SENSE_ILLEGAL, ASC_PARAMETER_LEN);
        return;
    }
    if (len > c->out_len) {
        c->overrun = true;
        scsi_good(c);
        return;
    }
    c->transport->get(c, 0, p, len);
    c->moved = len;
    at += ten ? (uint32_t)be_get(p + 6, 2) : p[3];      /* block descriptors */
    if (at > len || (c->cdb[1] & 1)) {          /* saving pages */
        scsi_fail(c, SENSE_ILLEGAL, at > len ? ASC_PARAMETER_LEN : ASC_FIELD);
        return;
    }
    for (; at < len; at += n) {
        if (!acceptable(d, p + at, len - at, &n)) {
            scsi_fail(c, SENSE_ILLEGAL, ASC_PARAMETER);
            return;
        }
        if ((p[at] & 0x3f) == PAGE_CACHE)
            wce = (p[at + 2] & WCE) != 0;
    }
    d->wce = wce;
    scsi_good(c);
}
