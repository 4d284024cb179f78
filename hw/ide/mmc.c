/*
 * mmc.c - the commands of a CD or DVD-ROM drive (MMC-5; SPC-3 for those of every SCSI device).
 *
 * The medium has one session with one data track of mode 1. A tray that is open hides the medium; it is still in
 * it when the tray closes.
 */
#include "hw/ide/mmc.h"

#include <string.h>

#include "base/log.h"

#define PREGAP 150u             /* blocks before LBA 0 */
#define CD_MAX (90u * 60 * 75)  /* blocks; larger media are DVDs */
#define LEAD_OUT 0xaa

enum { NOT_READY = 2, MEDIUM_ERROR = 3, ILLEGAL = 5, ATTENTION = 6 };
enum { EVENT_NONE, EVENT_EJECT, EVENT_NEW, EVENT_GONE };

#define PROFILE_CD  0x0008
#define PROFILE_DVD 0x0010

static void put(uint8_t *p, unsigned size, uint32_t v)
{
    for (unsigned i = 0; i < size; i++)
        p[i] = v >> 8 * (size - 1 - i);
}

static uint32_t get(const uint8_t *p, unsigned size)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < size; i++)
        v = v << 8 | p[i];
    return v;
}

static uint32_t blocks(const struct mmc *m)
{
    uint64_t n = m->drive->disk && !m->open ? m->drive->disk->size / MMC_BLOCK : 0;

    return n > UINT32_MAX / 8 ? UINT32_MAX / 8 : (uint32_t)n;   /* so that counts of half a KiB fit, too */
}

static bool is_dvd(const struct mmc *m)
{
    return blocks(m) > CD_MAX;
}

/* ---- results ---- */

static struct mmc_result fail(struct mmc *m, uint8_t key, uint8_t asc, uint8_t ascq)
{
    m->sense[0] = key;
    m->sense[1] = asc;
    m->sense[2] = ascq;
    return (struct mmc_result){ .what = MMC_FAILED };
}

static struct mmc_result bad_field(struct mmc *m)
{
    return fail(m, ILLEGAL, 0x24, 0);
}

static struct mmc_result done(void)
{
    return (struct mmc_result){ .what = MMC_DONE };
}

/* `have` bytes, as far as the host allocated room. */
static struct mmc_result reply(uint32_t have, uint32_t room)
{
    uint32_t len = have < room ? have : room;

    return (struct mmc_result){ .what = len ? MMC_REPLIES : MMC_DONE, .len = len };
}

/* ---- addresses on the medium ---- */

static void put_msf(uint8_t *p, uint32_t lba)
{
    lba += PREGAP;
    p[0] = lba / 75 / 60;
    p[1] = lba / 75 % 60;
    p[2] = lba % 75;
}

/* A field of four bytes: LBA, or 0 and minute, second, frame. */
static void put_address(uint8_t *p, uint32_t lba, bool msf)
{
    if (msf) {
        p[0] = 0;
        put_msf(p + 1, lba);
    } else {
        put(p, 4, lba);
    }
}

/* ---- commands of every SCSI device ---- */

static struct mmc_result inquiry(struct mmc *m, const uint8_t *cdb, uint8_t *p)
{
    if (cdb[1] & 1) {           /* vital product data: the list of pages, which is the only one */
        if (cdb[2])
            return bad_field(m);
        p[0] = 5;
        p[3] = 1;
        return reply(5, get(cdb + 3, 2));
    }
    if (cdb[2])
        return bad_field(m);
    p[0] = 5;                   /* CD-ROM */
    p[1] = 0x80;                /* removable */
    p[2] = 5;                   /* SPC-3 */
    p[3] = 2;
    p[4] = 31;
    memcpy(p + 8, "LATIMER DVD-ROM         1.0 ", 28);
    return reply(36, get(cdb + 3, 2));
}

static struct mmc_result request_sense(struct mmc *m, const uint8_t *cdb, uint8_t *p)
{
    p[0] = 0x70;
    p[7] = 10;
    if (m->attention[0] && !m->sense[0]) {
        p[2] = ATTENTION;
        p[12] = m->attention[0];
        p[13] = m->attention[1];
        m->attention[0] = m->attention[1] = 0;
    } else {
        p[2] = m->sense[0];
        p[12] = m->sense[1];
        p[13] = m->sense[2];
    }
    memset(m->sense, 0, sizeof(m->sense));
    return reply(18, cdb[4]);
}

/* The tray's medium is a thing of the drive: load and eject. */
static struct mmc_result start_stop(struct mmc *m, const uint8_t *cdb, uint8_t *p)
{
    bool loej = cdb[4] & 2, start = cdb[4] & 1;

    if (cdb[4] >> 4 || !loej)
        return done();          /* power conditions; spinning up and down */
    if (!start && m->locked)
        return fail(m, ILLEGAL, 0x53, 2);
    if (start == !m->open)
        return done();
    m->open = !start;
    m->event = start ? EVENT_NEW : EVENT_GONE;
    drive_moved(m->drive, m->open);
    if (start && m->drive->disk)
        m->attention[0] = 0x28, m->attention[1] = 0;
    return done();
}

static struct mmc_result prevent(struct mmc *m, const uint8_t *cdb, uint8_t *p)
{
    m->locked = cdb[4] & 1;
    return done();
}

/* ---- mode pages (MMC-5, 7.2) ---- */

static unsigned page_recovery(const struct mmc *m, uint8_t *p)
{
    p[0] = 0x01;
    p[1] = 6;
    p[3] = 5;                   /* retries */
    return 8;
}

static unsigned page_audio(const struct mmc *m, uint8_t *p)
{
    p[0] = 0x0e;
    p[1] = 14;
    p[2] = 4;                   /* PLAY ends at once */
    memcpy(p + 8, m->params, 8);
    return 16;
}

static unsigned page_capabilities(const struct mmc *m, uint8_t *p)
{
    p[0] = 0x2a;
    p[1] = 18;
    p[2] = 0x3b;                /* reads CD-R, CD-RW, method 2, DVD-ROM, DVD-R */
    p[4] = 0x70;                /* mode 2 form 1 and 2, multi-session */
    p[5] = 0x03;                /* CD-DA commands, accurate */
    p[6] = 0x29 | (m->locked ? 2 : 0);  /* tray, eject, lock */
    put(p + 8, 2, 706);         /* kB/s, four times */
    put(p + 10, 2, 2);
    put(p + 12, 2, 512);        /* kB of buffer */
    put(p + 14, 2, 706);
    return 20;
}

static unsigned page_timeouts(const struct mmc *m, uint8_t *p)
{
    p[0] = 0x1a;
    p[1] = 10;
    return 12;
}

static const struct { uint8_t code; unsigned (*make)(const struct mmc *, uint8_t *); } pages[] = {
    { 0x01, page_recovery }, { 0x0e, page_audio }, { 0x1a, page_timeouts }, { 0x2a, page_capabilities }
};

static struct mmc_result mode_sense(struct mmc *m, const uint8_t *cdb, uint8_t *p)
{
    unsigned code = cdb[2] & 0x3f, n = 8;

    if (cdb[2] >> 6 == 3)       /* saved values */
        return fail(m, ILLEGAL, 0x39, 0);
    for (unsigned i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        unsigned len;

        if (code != pages[i].code && code != 0x3f)
            continue;
        len = pages[i].make(m, p + n);
        if (cdb[2] >> 6 == 1) { /* which values can be changed: the audio page's channels and volumes */
            memset(p + n + 2, 0, len - 2);
            if (pages[i].code == 0x0e)
                memset(p + n + 8, 0xff, 8);
        }
        n += len;
    }
    if (n == 8)
        return bad_field(m);
    put(p, 2, n - 2);
    p[2] = m->open ? 0x71 : !m->drive->disk ? 0x70 : 0x01;
    return reply(n, get(cdb + 7, 2));
}

bool mmc_parameters(struct mmc *m, const uint8_t *cdb, const uint8_t *data, uint32_t len)
{
    uint32_t at = 8;

    if (len < 8) {
        fail(m, ILLEGAL, 0x1a, 0);
        return false;
    }
    at += get(data + 6, 2);
    while (at + 2 <= len) {
        uint32_t n = data[at + 1] + 2u;
        bool known = false;

        for (unsigned i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
            known |= pages[i].code == (data[at] & 0x3f);
        if (!known || at + n > len || ((data[at] & 0x3f) == 0x0e && n < 16)) {
            fail(m, ILLEGAL, 0x26, 0);
            return false;
        }
        if ((data[at] & 0x3f) == 0x0e)
            memcpy(m->params, data + at + 8, 8);
        at += n;
    }
    return true;
}

static struct mmc_result mode_select(struct mmc *m, const uint8_t *cdb, uint8_t *p)
{
    uint32_t len = get(cdb + 7, 2);

    if (!(cdb[1] & 0x10) || len > MMC_REPLY)
        return bad_field(m);
    return (struct mmc_result){ .what = len ? MMC_TAKES : MMC_DONE, .len = len };
}

/* ---- what the medium is ---- */

static struct mmc_result read_capacity(struct mmc *m, const uint8_t *cdb, uint8_t *p)
{
    put(p, 4, blocks(m) - 1);
    put(p + 4, 4, MMC_BLOCK);
    return reply(8, 8);
}

static struct mmc_result read_toc(struct mmc *m, const uint8_t *cdb, uint8_t *p)
{
    unsigned format = cdb[2] & 15, n = 4;
    bool msf = cdb[1] & 2;

    if (!format)
        format = cdb[9] >> 6;   /* where SFF 8020i had it */
    p[2] = p[3] = 1;            /* first and last track or session */
    switch (format) {
    case 0:
        if (cdb[6] > 1 && cdb[6] != LEAD_OUT)
            return bad_field(m);
        for (unsigned i = cdb[6] == LEAD_OUT; i < 2; i++, n += 8) {
            p[n + 1] = 0x14;    /* data, copying is not allowed */
            p[n + 2] = i ? LEAD_OUT : 1;
            put_address(p + n + 4, i ? blocks(m) : 0, msf);
        }
        break;
    case 1:
        p[n + 1] = 0x14;
        p[n + 2] = 1;
        put_address(p + n + 4, 0, msf);
        n += 8;
        break;
    case 2:                     /* lead-in: first track, last track, lead-out, track 1 */
        for (unsigned i = 0; i < 4; i++, n += 11) {
            p[n] = 1;
            p[n + 1] = 0x14;
            p[n + 3] = i < 3 ? 0xa0 + i : 1;
            if (i < 2)
                p[n + 8] = 1;
            else
                put_msf(p + n + 8, i == 2 ? blocks(m) : 0);
        }
        break;
    default:
        return bad_field(m);
    }
    put(p, 2, n - 2);
    return reply(n, get(cdb + 7, 2));
}

static struct mmc_result read_disc(struct mmc *m, const uint8_t *cdb, uint8_t *p)
{
    if (cdb[1] & 7)
        return bad_field(m);
    put(p, 2, 32);
    p[2] = 0x0e;                /* last session complete, disc finalized */
    p[3] = p[4] = p[5] = p[6] = 1;
    p[7] = 0x20;                /* unrestricted use */
    memset(p + 16, 0xff, 8);    /* no lead-in nor lead-out to append to */
    return reply(34, get(cdb + 7, 2));
}

static struct mmc_result read_track(struct mmc *m, const uint8_t *cdb, uint8_t *p)
{
    uint32_t which = get(cdb + 2, 4);

    if ((cdb[1] & 3) == 0 ? which >= blocks(m) : which != 1)
        return bad_field(m);
    put(p, 2, 34);
    p[2] = p[3] = 1;            /* track, session */
    p[5] = 4;                   /* a data track */
    p[6] = 1;                   /* mode 1 */
    put(p + 24, 4, blocks(m));
    return reply(36, get(cdb + 7, 2));
}

static struct mmc_result read_subchannel(struct mmc *m, const uint8_t *cdb, uint8_t *p)
{
    unsigned n = 4;

    p[1] = 0x15;                /* nothing is being played */
    if (cdb[2] & 0x40) {
        if (cdb[3] < 1 || cdb[3] > 3)
            return bad_field(m);
        p[4] = cdb[3];
        p[5] = 0x14;
        n = cdb[3] == 1 ? 16 : 24;
        if (cdb[3] == 1) {
            p[6] = p[7] = 1;
            put_address(p + 8, 0, cdb[1] & 2);
            put_address(p + 12, 0, cdb[1] & 2);
        }
    }
    put(p + 2, 2, n - 4);
    return reply(n, get(cdb + 7, 2));
}

static struct mmc_result read_dvd_structure(struct mmc *m, const uint8_t *cdb, uint8_t *p)
{
    unsigned n = 4;

    if (!is_dvd(m))
        return fail(m, ILLEGAL, 0x30, 2);
    switch (cdb[7]) {
    case 0:                     /* physical */
        p[4] = 1;               /* DVD-ROM, version 1 */
        p[5] = 0x0f;            /* 120 mm, no limit of rate */
        p[6] = 1;               /* one layer with an embossed area */
        put(p + 9, 3, 0x30000);
        put(p + 13, 3, 0x30000 + blocks(m) - 1);
        n += 2048;
        break;
    case 1:                     /* copyright: none */
        n += 4;
        break;
    default:
        return bad_field(m);
    }
    put(p, 2, n - 2);
    return reply(n, get(cdb + 8, 2));
}

/* MMC-5, chapter 5: features, of which those that hold now are marked. */
static struct mmc_result get_configuration(struct mmc *m, const uint8_t *cdb, uint8_t *p)
{
    bool cd = blocks(m) && !is_dvd(m), dvd = is_dvd(m);
    const struct { uint16_t code; uint8_t flags, len, data[8]; } features[] = {
        { 0x0000, 0x03, 8, { PROFILE_DVD >> 8, PROFILE_DVD, dvd, 0, PROFILE_CD >> 8, PROFILE_CD, cd, 0 } },
        { 0x0001, 0x0b, 8, { 0, 0, 0, 2, 1, 0, 0, 0 } },        /* core: ATAPI */
        { 0x0002, 0x07, 4, { 0x02, 0, 0, 0 } },                 /* morphing: events */
        { 0x0003, 0x03, 4, { 0x29, 0, 0, 0 } },                 /* removable: tray, eject, lock */
        { 0x0010, cd || dvd, 8, { 0, 0, 8, 0, 0, 16, 0, 0 } },  /* random readable: blocks of 2048 */
        { 0x001d, 0x00, 0, { 0 } },                             /* multi-read */
        { 0x001e, 0x08 | cd, 4, { 0, 0, 0, 0 } },               /* CD read */
        { 0x001f, 0x04 | dvd, 4, { 0, 0, 0, 0 } },              /* DVD read */
        { 0x0100, 0x03, 0, { 0 } },                             /* power management */
    };
    unsigned from = get(cdb + 2, 2), rt = cdb[1] & 3, n = 8;

    if (rt == 3)
        return bad_field(m);
    for (unsigned i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
        if (rt == 2 ? features[i].code != from : features[i].code < from || (rt == 1 && !(features[i].flags & 1)))
            continue;
        put(p + n, 2, features[i].code);
        p[n + 2] = features[i].flags;
        p[n + 3] = features[i].len;
        memcpy(p + n + 4, features[i].data, features[i].len);
        n += 4 + features[i].len;
    }
    put(p, 4, n - 4);
    put(p + 6, 2, dvd ? PROFILE_DVD : cd ? PROFILE_CD : 0);
    return reply(n, get(cdb + 7, 2));
}

static struct mmc_result get_event(struct mmc *m, const uint8_t *cdb, uint8_t *p)
{
    if (!(cdb[1] & 1))          /* to wait for events cannot be asked for */
        return bad_field(m);
    p[3] = 0x10;                /* there are events of media */
    if (!(cdb[4] & 0x10)) {
        p[2] = 0x80;
        put(p, 2, 2);
        return reply(4, get(cdb + 7, 2));
    }
    put(p, 2, 6);
    p[2] = 4;
    p[4] = m->event;
    p[5] = (m->open ? 1 : 0) | (blocks(m) ? 2 : 0);
    m->event = EVENT_NONE;
    return reply(8, get(cdb + 7, 2));
}

static struct mmc_result mechanism(struct mmc *m, const uint8_t *cdb, uint8_t *p)
{
    p[1] = m->open ? 0x10 : 0;
    p[5] = 1;                   /* no changer: one slot, without a table */
    return reply(8, get(cdb + 8, 2));
}

static struct mmc_result nothing(struct mmc *m, const uint8_t *cdb, uint8_t *p)
{
    return done();
}

/* ---- reading ---- */

static struct mmc_result reads(struct mmc *m, uint32_t lba, uint32_t n, uint8_t parts)
{
    if (lba > blocks(m) || n > blocks(m) - lba)
        return fail(m, ILLEGAL, 0x21, 0);
    m->parts = parts;
    if (!n || !parts)
        return done();
    return (struct mmc_result){ .what = MMC_READS, .len = mmc_block_len(m), .lba = lba, .blocks = n };
}

static struct mmc_result read_10(struct mmc *m, const uint8_t *cdb, uint8_t *p)
{
    return reads(m, get(cdb + 2, 4), get(cdb + 7, 2), MMC_PART_DATA);
}

static struct mmc_result read_12(struct mmc *m, const uint8_t *cdb, uint8_t *p)
{
    return reads(m, get(cdb + 2, 4), get(cdb + 6, 4), MMC_PART_DATA);
}

/* 6.15: which parts of the blocks; only sectors of mode 1 are there. */
static struct mmc_result read_cd_parts(struct mmc *m, const uint8_t *cdb, uint32_t lba, uint32_t n)
{
    unsigned type = cdb[1] >> 2 & 7, want = cdb[9];
    uint8_t parts = 0;

    if (type == 1 || type > 2)  /* audio, mode 2 */
        return fail(m, ILLEGAL, 0x64, 0);
    if ((want & 0x06) || (cdb[10] & 7))         /* error flags; subchannels */
        return bad_field(m);
    if (want & 0x80)
        parts |= MMC_PART_SYNC;
    if (want & 0x20)
        parts |= MMC_PART_HEADER;
    if (want & 0x10)
        parts |= MMC_PART_DATA;
    if (want & 0x08)
        parts |= MMC_PART_ECC;
    return reads(m, lba, n, parts);
}

static struct mmc_result read_cd(struct mmc *m, const uint8_t *cdb, uint8_t *p)
{
    return read_cd_parts(m, cdb, get(cdb + 2, 4), get(cdb + 6, 3));
}

static struct mmc_result read_cd_msf(struct mmc *m, const uint8_t *cdb, uint8_t *p)
{
    uint32_t from = (cdb[3] * 60u + cdb[4]) * 75 + cdb[5], to = (cdb[6] * 60u + cdb[7]) * 75 + cdb[8];

    if (from < PREGAP || to < from)
        return fail(m, ILLEGAL, 0x21, 0);
    return read_cd_parts(m, cdb, from - PREGAP, to - from);
}

static struct mmc_result seek(struct mmc *m, const uint8_t *cdb, uint8_t *p)
{
    return get(cdb + 2, 4) < blocks(m) ? done() : fail(m, ILLEGAL, 0x21, 0);
}

uint32_t mmc_block_len(const struct mmc *m)
{
    return (m->parts & MMC_PART_SYNC ? 12 : 0) + (m->parts & MMC_PART_HEADER ? 4 : 0) +
           (m->parts & MMC_PART_DATA ? MMC_BLOCK : 0) + (m->parts & MMC_PART_ECC ? 288 : 0);
}

/*
 * ECMA-130, chapters 14 and 22.3: the error detection code is a CRC of 32 bits, the polynomial's lowest bit first.
 * The error correction codes are Reed-Solomon codes over GF(2^8), two parity bytes for each of 86 columns (P)
 * and 52 diagonals (Q) of the block's bytes 12 to 2075 (P) and 2247 (Q).
 */
static uint32_t edc(const uint8_t *p, unsigned n)
{
    uint32_t v = 0;

    while (n--) {
        v ^= *p++;
        for (unsigned i = 0; i < 8; i++)
            v = v >> 1 ^ (v & 1 ? 0xd8018001u : 0);
    }
    return v;
}

static uint8_t times2(uint8_t v)
{
    return v << 1 ^ (v & 0x80 ? 0x1d : 0);
}

/* 1 / 3 in the field, times v: found by the inverse of doubling and adding. */
static uint8_t over3(uint8_t v)
{
    uint8_t r = 0, power = 0xf4;        /* 3 * f4h = 1 */

    for (; v; v >>= 1, power = times2(power))
        r ^= v & 1 ? power : 0;
    return r;
}

static void parity(const uint8_t *src, uint8_t *to, unsigned lines, unsigned len, unsigned by, unsigned step,
                   unsigned wrap)
{
    for (unsigned line = 0; line < lines; line++) {
        unsigned at = (line >> 1) * by + (line & 1);
        uint8_t a = 0, b = 0;

        for (unsigned i = 0; i < len; i++) {
            uint8_t v = src[at];

            at += step;
            if (at >= wrap)
                at -= wrap;
            a = times2(a ^ v);
            b ^= v;
        }
        a = over3(times2(a) ^ b);
        to[line] = a;
        to[line + lines] = a ^ b;
    }
}

static void expand_one(const struct mmc *m, uint8_t *to, const uint8_t *data, uint32_t lba)
{
    uint8_t raw[MMC_RAW] = { 0 };
    uint32_t e;

    memset(raw + 1, 0xff, 10);
    put_msf(raw + 12, lba);
    for (unsigned i = 12; i < 15; i++)
        raw[i] = raw[i] / 10 << 4 | raw[i] % 10;
    raw[15] = 1;
    memcpy(raw + 16, data, MMC_BLOCK);
    e = edc(raw, 16 + MMC_BLOCK);
    for (unsigned i = 0; i < 4; i++)
        raw[2064 + i] = e >> 8 * i;
    parity(raw + 12, raw + 2076, 86, 24, 2, 86, 2064);
    parity(raw + 12, raw + 2248, 52, 43, 86, 88, 2236);
    if (m->parts & MMC_PART_SYNC)
        memcpy(to, raw, 12), to += 12;
    if (m->parts & MMC_PART_HEADER)
        memcpy(to, raw + 12, 4), to += 4;
    if (m->parts & MMC_PART_DATA)
        memcpy(to, raw + 16, MMC_BLOCK), to += MMC_BLOCK;
    if (m->parts & MMC_PART_ECC)
        memcpy(to, raw + 2064, 288);
}

void mmc_expand(const struct mmc *m, uint8_t *buf, uint32_t lba, uint32_t n)
{
    uint32_t len = mmc_block_len(m);
    uint8_t data[MMC_BLOCK];

    if (m->parts == MMC_PART_DATA)
        return;
    /* Whichever end is safe: larger blocks from the last one on. */
    for (uint32_t i = 0; i < n; i++) {
        uint32_t k = len > MMC_BLOCK ? n - 1 - i : i;

        memcpy(data, buf + (size_t)k * MMC_BLOCK, MMC_BLOCK);
        expand_one(m, buf + (size_t)k * len, data, lba + k);
    }
}

/* ---- the table ---- */

enum { MEDIUM = 1, QUIET = 2 }; /* needs a medium; is done though a unit attention waits */

static const struct {
    uint8_t code, flags;
    struct mmc_result (*run)(struct mmc *, const uint8_t *cdb, uint8_t *reply);
} commands[] = {
    { 0x00, MEDIUM, nothing }, { 0x03, QUIET, request_sense }, { 0x12, QUIET, inquiry }, { 0x1b, 0, start_stop },
    { 0x1e, 0, prevent }, { 0x25, MEDIUM, read_capacity }, { 0x28, MEDIUM, read_10 }, { 0x2b, MEDIUM, seek },
    { 0x35, 0, nothing }, { 0x42, MEDIUM, read_subchannel }, { 0x43, MEDIUM, read_toc },
    { 0x46, QUIET, get_configuration }, { 0x4a, QUIET, get_event }, { 0x51, MEDIUM, read_disc },
    { 0x52, MEDIUM, read_track }, { 0x55, 0, mode_select }, { 0x5a, 0, mode_sense }, { 0xa8, MEDIUM, read_12 },
    { 0xad, MEDIUM, read_dvd_structure }, { 0xb9, MEDIUM, read_cd_msf }, { 0xbb, 0, nothing }, { 0xbd, 0, mechanism },
    { 0xbe, MEDIUM, read_cd },
};

struct mmc_result mmc_command(struct mmc *m, const uint8_t *cdb, uint8_t *p)
{
    for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        unsigned flags = commands[i].flags;

        if (commands[i].code != cdb[0])
            continue;
        if (m->attention[0] && !(flags & QUIET)) {
            struct mmc_result r = fail(m, ATTENTION, m->attention[0], m->attention[1]);

            m->attention[0] = m->attention[1] = 0;
            return r;
        }
        if (cdb[0] != 0x03)
            memset(m->sense, 0, sizeof(m->sense));
        if ((flags & MEDIUM) && !blocks(m))
            return fail(m, NOT_READY, 0x3a, m->open ? 2 : 1);
        memset(p, 0, MMC_REPLY);
        return commands[i].run(m, cdb, p);
    }
    log_msg(LOG_GUEST, "cd: %s: command %02x is not there", m->drive->id, cdb[0]);
    return fail(m, ILLEGAL, 0x20, 0);
}

void mmc_read_failed(struct mmc *m)
{
    fail(m, MEDIUM_ERROR, 0x11, 0);
}

void mmc_changed(struct mmc *m)
{
    if (m->drive->disk && m->open)
        return;                 /* it lies in the tray: mmc_move() */
    m->attention[0] = m->drive->disk ? 0x28 : 0x3a;
    m->attention[1] = m->drive->disk ? 0 : 2;
    m->event = m->drive->disk ? EVENT_NEW : EVENT_GONE;
    m->locked = 0;
}

void mmc_ask(struct mmc *m)
{
    m->event = EVENT_EJECT;
}

void mmc_move(struct mmc *m, bool open)
{
    if (m->open == open)
        return;
    m->open = open;
    m->event = open || !m->drive->disk ? EVENT_GONE : EVENT_NEW;
    if (open)
        m->locked = 0;
    if (!open && m->drive->disk) {
        m->attention[0] = 0x28;
        m->attention[1] = 0;
    }
    drive_moved(m->drive, open);
}

void mmc_reset(struct mmc *m)
{
    static const uint8_t params[8] = { 1, 0xff, 2, 0xff };      /* left and right, loudest */

    memset(m->sense, 0, sizeof(m->sense));
    m->attention[0] = 0x29;
    m->attention[1] = 0;
    m->open = m->locked = m->event = 0;
    m->parts = MMC_PART_DATA;
    memcpy(m->params, params, sizeof(params));
}

void mmc_init(struct mmc *m, struct drive *drive)
{
    m->drive = drive;
    mmc_reset(m);
}
