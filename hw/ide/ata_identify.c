/*
 * ata_identify.c - what the devices tell of themselves: IDENTIFY (PACKET) DEVICE (ATA/ATAPI-7 volume 1, 6.17 and 6.18)
 * and SMART (6.54).
 */
#include "hw/ide/ata_int.h"

#include <stdio.h>
#include <string.h>

#define MODEL_DISK "LATIMER HARDDISK"
#define MODEL_CD   "LATIMER DVD-ROM"
#define FIRMWARE   "1.0"

static void word(uint8_t *page, unsigned n, uint64_t val, unsigned words)
{
    for (unsigned i = 0; i < 2 * words; i++)
        page[2 * n + i] = val >> 8 * i;
}

/* Text has the first character in the upper byte. */
static void text(uint8_t *page, unsigned n, const char *s, unsigned words)
{
    for (unsigned i = 0; i < 2 * words; i++)
        page[2 * n + (i ^ 1)] = *s ? (uint8_t)*s++ : ' ';
}

static void names(const struct ata *a, uint8_t *page, const char *model)
{
    text(page, 10, a->serial, 10);
    text(page, 23, a->who.version ? a->who.version : FIRMWARE, 4);
    text(page, 27, a->who.model ? a->who.model : model, 20);
}

/* ATA8-ACS 7.16.7: word 87 repeats what word 84 says of it; the first word has the upper bits. */
static void world_wide_name(const struct ata *a, uint8_t *page)
{
    if (!a->who.wwn)
        return;
    page[2 * 84 + 1] |= 1;
    page[2 * 87 + 1] |= 1;
    for (unsigned i = 0; i < 4; i++)
        word(page, 108 + i, a->who.wwn >> (48 - 16 * i) & 0xffff, 1);
}

/* Serial ATA 2.6, 13.2.1; there are no wires to tell of. */
static void serial_ata(const struct ata *a, uint8_t *page, bool queue)
{
    if (!a->host->serial)
        return;
    word(page, 48, 0x4000, 1);                          /* was: 32 bits at a time; now: nothing to trust */
    word(page, 76, 0x0006 | (queue ? 0x100 : 0), 1);    /* 1.5 and 3 Gbit/s */
    word(page, 80, 0x1f0, 1);                           /* and ATA8-ACS */
    word(page, 93, 0, 1);
    word(page, 222, 0x1020, 1);                         /* Serial ATA 2.6 */
    if (!queue)
        return;
    word(page, 75, ATA_TAGS - 1, 1);
    page[2 * 84] |= 0x20;                               /* logs */
    page[2 * 87] |= 0x20;
}

static void modes(const struct ata *a, uint8_t *page)
{
    word(page, 53, 6, 1);                               /* words 64-70 and 88 hold */
    word(page, 63, 7 | (a->mwdma <= 2 ? 0x100u << a->mwdma : 0), 1);
    word(page, 64, 3, 1);                               /* PIO 3 and 4 */
    for (unsigned n = 65; n <= 68; n++)
        word(page, n, 120, 1);                          /* ns of a cycle */
    word(page, 80, 0xf0, 1);                            /* ATA/ATAPI-4 to 7 */
    word(page, 81, 0x1a, 1);                            /* ATA/ATAPI-7 T13 1532D revision 1 */
    word(page, 88, 0x3f | (a->udma <= 5 ? 0x100u << a->udma : 0), 1);
    word(page, 93, a->dev ? 0x6f00 : 0x600b, 1);        /* 80 wires; how the device's number was found */
}

static void checksum(uint8_t *page)
{
    uint8_t sum = 0xa5;

    page[510] = 0xa5;
    for (unsigned i = 0; i < 510; i++)
        sum += page[i];
    page[511] = -sum;
}

void ata_identify(const struct ata *a, uint8_t *page)
{
    uint64_t sectors = a->max_lba, cyls = sectors / (16 * 63), chs;
    unsigned heads = a->drive->chs.heads ? a->drive->chs.heads : 16;
    unsigned secs = a->drive->chs.secs ? a->drive->chs.secs : 63, sectors_log2 = 0;

    if (a->drive->chs.cyls)
        cyls = a->drive->chs.cyls;
    if (cyls > 16383)
        cyls = 16383;
    if (cyls < 2)
        cyls = 2;
    memset(page, 0, ATA_SECTOR);
    word(page, 0, 0x0040, 1);                           /* a fixed disk */
    word(page, 1, cyls, 1);
    word(page, 3, heads, 1);
    word(page, 6, secs, 1);
    names(a, page, MODEL_DISK);
    word(page, 47, 0x8000 | ATA_MULTIPLE, 1);
    word(page, 48, 1, 1);                               /* 32 bits at a time */
    word(page, 49, 0x0f00, 1);                          /* DMA, LBA, IORDY */
    word(page, 50, 0x4000, 1);
    word(page, 51, 0x200, 1);
    modes(a, page);
    word(page, 53, 7, 1);                               /* words 54-58, too */
    chs = sectors / ((uint64_t)a->heads * a->secs);
    if (chs > 65535)
        chs = 65535;
    word(page, 54, chs, 1);
    word(page, 55, a->heads, 1);
    word(page, 56, a->secs, 1);
    word(page, 57, chs * a->heads * a->secs, 2);
    word(page, 59, a->multiple ? 0x100 | a->multiple : 0, 1);
    word(page, 60, sectors < 0x0fffffff ? sectors : 0x0fffffff, 2);
    word(page, 82, 0x7469, 1);                          /* NOP, buffers, HPA, look-ahead, cache, power, SMART */
    word(page, 83, 0x7400, 1);                          /* FLUSH (EXT), 48-bit addresses */
    word(page, 84, 0x4040, 1);                          /* WRITE FUA EXT */
    word(page, 85, 0x7408 | (a->look_ahead ? 0x40 : 0) | (a->write_cache ? 0x20 : 0) | (a->smart ? 1 : 0), 1);
    word(page, 86, 0x3400, 1);
    word(page, 87, 0x4040, 1);
    word(page, 100, sectors, 4);
    for (unsigned n = a->who.physical; n > ATA_SECTOR; n /= 2)
        sectors_log2++;
    word(page, 106, 0x6000 | sectors_log2, 1);          /* logical sectors in a physical one */
    if (a->drive->disk->discards) {
        word(page, 69, 0x4000, 1);                      /* trimmed sectors read as something that stays */
        word(page, 105, 8, 1);
        word(page, 169, 1, 1);
    }
    word(page, 217, a->who.rotation, 1);
    world_wide_name(a, page);
    serial_ata(a, page, true);
    checksum(page);
}

void ata_identify_packet(const struct ata *a, uint8_t *page)
{
    memset(page, 0, ATA_SECTOR);
    word(page, 0, 0x85c0, 1);                           /* CD-ROM, removable, DRQ in 50 us, packets of 12 bytes */
    names(a, page, MODEL_CD);
    word(page, 49, 0x0f00, 1);
    modes(a, page);
    word(page, 82, 0x4218, 1);                          /* NOP, DEVICE RESET, PACKET, power */
    word(page, 83, 0x4000, 1);
    word(page, 84, 0x4000, 1);
    word(page, 85, 0x4218, 1);
    word(page, 87, 0x4000, 1);
    world_wide_name(a, page);
    serial_ata(a, page, false);
    checksum(page);
}

/* ---- SMART: a device in good health that keeps no statistics ---- */

static void smart_sum(uint8_t *page)
{
    uint8_t sum = 0;

    for (unsigned i = 0; i < 511; i++)
        sum += page[i];
    page[511] = -sum;
}

/* One row of the attributes and of the thresholds. */
static const struct { uint8_t id, flags, worst, threshold; } attributes[] = {
    { 5, 0x33, 100, 36 },       /* sectors that were replaced */
    { 9, 0x03, 100, 0 },        /* hours of power */
    { 12, 0x03, 100, 0 },       /* power cycles */
    { 197, 0x12, 100, 0 },      /* sectors that wait to be replaced */
};

static void smart_data(uint8_t *page, bool thresholds)
{
    memset(page, 0, ATA_SECTOR);
    page[0] = 1;
    for (unsigned i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
        uint8_t *row = page + 2 + 12 * i;

        row[0] = attributes[i].id;
        if (thresholds) {
            row[1] = attributes[i].threshold;
        } else {
            row[1] = attributes[i].flags;
            row[3] = row[4] = attributes[i].worst;
        }
    }
    if (!thresholds) {
        page[362] = 2;          /* off-line data collection was completed */
        page[367] = 0;          /* no self-tests */
        page[368] = 3;          /* attributes are saved over power modes */
    }
    smart_sum(page);
}

void ata_smart(struct ata *a)
{
    bool key = a->lba[1][0] == 0x4f && a->lba[2][0] == 0xc2;

    if (!key || (!a->smart && a->feature[0] != 0xd8)) {
        ata_fail(a, ATA_ABRT);
        return;
    }
    switch (a->feature[0]) {
    case 0xd0: case 0xd1:       /* READ DATA, READ THRESHOLDS */
        smart_data(a->buf, a->feature[0] == 0xd1);
        ata_pio_in(a, ATA_SECTOR);
        return;
    case 0xd2:                  /* ATTRIBUTE AUTOSAVE: nothing to save */
    case 0xd3:
        break;
    case 0xd8: a->smart = 1; break;
    case 0xd9: a->smart = 0; break;
    case 0xda:                  /* RETURN STATUS: the key unchanged means good health */
        break;
    default:
        ata_fail(a, ATA_ABRT);
        return;
    }
    ata_complete(a);
}
