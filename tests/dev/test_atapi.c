/*
 * test_atapi.c - CD-ROMs behind PIIX3's IDE function: how packets and data go through the registers, and MMC's
 * commands.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dev/ide_env.h"
#include "tests/run_suite.h"

#define BLOCKS 500u
#define CH 1                    /* the drive is the second channel's device 0 */
#define CD disk[2]

static uint8_t buf[65536];

/* Sends the packet; limit 0: by DMA. */
static void packet(const uint8_t *cdb, unsigned limit)
{
    wr(CH, R_DEVICE, 0);
    wr(CH, R_FEATURE, limit ? 0 : 1);
    wr(CH, R_MID, limit);
    wr(CH, R_HIGH, limit >> 8);
    wr(CH, R_COMMAND, 0xa0);
    ck_assert(!e->line[IDE_IRQ(CH)]);           /* DRQ comes at once, without one */
    ck_assert_uint_eq(rd(CH, R_STATUS), ST_OK | ST_DRQ);
    ck_assert_uint_eq(rd(CH, R_COUNT) & 3, 1);
    for (unsigned i = 0; i < 12; i += 2)
        data_set(CH, cdb[i] | cdb[i + 1] << 8);
}

#define CDB(...) ((const uint8_t[12]){ __VA_ARGS__ })

/* The status phase: 0, or the sense key. */
static unsigned ending(void)
{
    uint8_t s = finish(CH);

    ck_assert_uint_eq(rd(CH, R_COUNT) & 3, 3);
    if (!(s & ST_ERR)) {
        ck_assert_uint_eq(s, ST_OK);
        return 0;
    }
    ck_assert_uint_eq(rd(CH, R_ERROR) & 4, 4);
    return rd(CH, R_ERROR) >> 4;
}

/* By PIO: what came is in buf, the size is returned; the sense key is in *key. */
static unsigned pio(const uint8_t *cdb, unsigned limit, unsigned *key)
{
    unsigned n = 0;

    packet(cdb, limit);
    while (alt(CH) & ST_DRQ) {
        unsigned block = rd(CH, R_MID) | rd(CH, R_HIGH) << 8;

        ck_assert_uint_eq(rd(CH, R_COUNT) & 3, 2);
        ck_assert(block && block <= limit && n + block <= sizeof(buf));
        pio_read(CH, buf + n, block, block);
        n += block;
    }
    *key = ending();
    return n;
}

static unsigned get(const uint8_t *cdb)
{
    unsigned key, n = pio(cdb, 0xfffe, &key);

    ck_assert_uint_eq(key, 0);
    return n;
}

/* The command fails; REQUEST SENSE tells key, additional code and qualifier. */
static unsigned sense(void)
{
    get(CDB(0x03, 0, 0, 0, 18));
    ck_assert_uint_eq(buf[0], 0x70);
    return (unsigned)buf[2] << 16 | buf[12] << 8 | buf[13];
}

static void fails(const uint8_t *cdb, unsigned want)
{
    unsigned key, n = pio(cdb, 0xfffe, &key);

    ck_assert_uint_eq(n, 0);
    ck_assert_uint_eq(key, want >> 16);
    ck_assert_uint_eq(sense(), want);
    ck_assert_uint_eq(sense(), 0);
}

static uint32_t be(const uint8_t *p, unsigned n)
{
    uint32_t v = 0;

    while (n--)
        v = v << 8 | *p++;
    return v;
}

static void same(const uint8_t *p, uint64_t from, uint64_t len)
{
    for (uint64_t i = 0; i < len; i++)
        if (p[i] != pattern(from + i))          /* an assertion that holds costs a system call */
            ck_abort_msg("byte %u of those from %u", (unsigned)i, (unsigned)from);
}

static void setup(void)
{
    ide_start("d-c-", 65536, BLOCKS * 2048);
    fails(CDB(0), 0x062900);                    /* power on */
    ck_assert_uint_eq(get(CDB(0)), 0);
}

START_TEST(identity)
{
    unsigned key;

    ctl(CH, 4);
    ctl(CH, 0);
    ck_assert_uint_eq(rd(CH, R_COUNT) | rd(CH, R_LOW) << 8, 0x101);
    ck_assert_uint_eq(rd(CH, R_MID) | rd(CH, R_HIGH) << 8, 0xeb14);
    ck_assert_uint_eq(rd(CH, R_STATUS), 0);
    wr(CH, R_COMMAND, 0xec);                    /* not for packet devices, who say what they are */
    ck_assert_uint_eq(finish(CH), ST_OK | ST_ERR);
    ck_assert_uint_eq(rd(CH, R_MID) | rd(CH, R_HIGH) << 8, 0xeb14);
    wr(CH, R_MID, 0);
    wr(CH, R_COMMAND, 0x20);
    ck_assert_uint_eq(finish(CH), ST_OK | ST_ERR);
    ck_assert_uint_eq(rd(CH, R_MID) | rd(CH, R_HIGH) << 8, 0xeb14);
    wr(CH, R_COMMAND, 0xa1);
    pio_read(CH, buf, 512, 512);
    ck_assert_uint_eq(buf[0] | buf[1] << 8, 0x85c0);
    ck_assert_uint_eq(get(CDB(0x12, 0, 0, 0, 36)), 36);
    ck_assert_uint_eq(buf[0] | buf[1] << 8, 0x8005);
    ck_assert_int_eq(memcmp(buf + 8, "LATIMER DVD-ROM         1.0 ", 28), 0);
    ck_assert_uint_eq(get(CDB(0x12, 0, 0, 0, 5)), 5);
    ck_assert_uint_eq(get(CDB(0x12, 0, 0, 0, 0)), 0);
    fails(CDB(0x12, 1, 0x80, 0, 36), 0x052400);
    fails(CDB(0xff), 0x052000);
    wr(CH, R_FEATURE, 2);                       /* overlapped: not here */
    wr(CH, R_COMMAND, 0xa0);
    ck_assert_uint_eq(finish(CH), ST_OK | ST_ERR);
    /* A unit attention waits for a command that is held up by it. */
    chips_reset(e->chips);
    env_config_write(e, IDE_FN, 0x40, 0x80008000u, 4);
    env_config_write(e, IDE_FN, 4, 1, 2);
    ck_assert_uint_eq(get(CDB(0x12, 0, 0, 0, 36)), 36);
    pio(CDB(0x25), 0xfffe, &key);
    ck_assert_uint_eq(key, 6);
    pio(CDB(0x25), 0xfffe, &key);
    ck_assert_uint_eq(key, 0);
    chips_reset(e->chips);
    env_config_write(e, IDE_FN, 0x40, 0x80008000u, 4);
    env_config_write(e, IDE_FN, 4, 1, 2);
    ck_assert_uint_eq(sense(), 0x062900);       /* REQUEST SENSE takes it, too */
    ck_assert_uint_eq(get(CDB(0)), 0);
}
END_TEST

/*
 * How UEFI firmware looks for drives after a reset: it sets the command register alone, then has each drive diagnose
 * itself, waits until nothing is busy, and identifies what leaves a signature.
 */
START_TEST(detection)
{
    static const uint8_t identify_as[2] = { 0xec, 0xa1 };

    for (unsigned round = 0; round < 2; round++) {
        ide_end();
        ide_start(round ? "--c-" : "--cd", 2048 * BLOCKS, 2048 * BLOCKS);
        chips_reset(e->chips);
        env_config_write(e, IDE_FN, 4, 5, 2);
        for (unsigned i = 0; i < 4; i++) {
            unsigned ch = i / 2, sel = 0xe0 | (i & 1) << 4;
            bool cd = false, there;

            wr(ch, R_DEVICE, sel);
            wr(ch, R_COMMAND, 0x90);
            ck_assert_uint_eq(rd(ch, R_STATUS) & 0x80, 0);
            wr(ch, R_DEVICE, sel);
            if (rd(ch, R_LOW) == 1 && rd(ch, R_COUNT) == 1)
                cd = rd(ch, R_MID) == 0x14 && rd(ch, R_HIGH) == 0xeb;
            else
                ck_assert_uint_eq(ch, 0);
            wr(ch, R_COMMAND, identify_as[cd]);
            there = (rd(ch, R_STATUS) & 0x89) == 0x08;
            /* Device 0 gives device 1's signature too where there is no device 1: but no data. */
            ck_assert_uint_eq(there, i == 2 || (i == 3 && !round));
        }
    }
}
END_TEST

START_TEST(reading)
{
    static const unsigned limits[] = { 0xfffe, 0xffff, 2048, 2047, 512, 6, 3 };
    unsigned key;

    ck_assert_uint_eq(get(CDB(0x25)), 8);
    ck_assert_uint_eq(be(buf, 4), BLOCKS - 1);
    ck_assert_uint_eq(be(buf + 4, 4), 2048);
    for (unsigned i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        ck_assert_uint_eq(pio(CDB(0x28, 0, 0, 0, 0, 100 + i, 0, 0, 3), limits[i], &key), 3 * 2048);
        ck_assert_uint_eq(key, 0);
        same(buf, (100 + i) * 2048, 3 * 2048);
    }
    ck_assert_uint_eq(pio(CDB(0xa8, 0, 0, 0, 1, 0, 0, 0, 0, 30), 0x8000, &key), 30 * 2048);   /* two requests */
    same(buf, 256 * 2048, 30 * 2048);
    ck_assert_uint_eq(get(CDB(0x28, 0, 0, 0, 0, 1, 0, 0, 0)), 0);
    fails(CDB(0x28, 0, 0, 0, BLOCKS >> 8, BLOCKS & 0xff, 0, 0, 1), 0x052100);
    fails(CDB(0xa8, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), 0x052100);
    fails(CDB(0x2b, 0, 0, 0, 0xff, 0xff), 0x052100);
    ck_assert_uint_eq(get(CDB(0x2b, 0, 0, 0, 1, 0)), 0);
    CD.error = -EIO;
    CD.fail_at = 51 * 2048;
    fails(CDB(0x28, 0, 0, 0, 0, 50, 0, 0, 4), 0x031100);
    CD.error = 0;
}
END_TEST

START_TEST(dma)
{
    static const uint32_t odd[][2] = { { 0x10002, 0x1fe }, { 0x20000, 2 }, { IDE_HIGH + 0x7f6, 0x80a },
                                       { 0x30ffe, 0x5f6 }, { 0, 0 } };
    uint32_t at = 77 * 2048, crumbs[520][2] = { { 0 } };

    ide_table(CH, odd, false);
    packet(CDB(0x28, 0, 0, 0, 0, 77, 0, 0, 2), 0);
    ck_assert(!e->line[15]);
    env_check_state(e);
    bm_start(CH, true);
    ck_assert_uint_eq(bm(CH, 2), 0x64);
    ck_assert_uint_eq(ending(), 0);
    for (unsigned i = 0; odd[i][1]; at += odd[i++][1])
        same(ram + odd[i][0], at, odd[i][1]);
    /* An answer, and the table longer than it. */
    packet(CDB(0x25), 0);
    env_check_state(e);
    bm_start(CH, true);
    ck_assert_uint_eq(bm(CH, 2), 0x65);
    ck_assert_uint_eq(ending(), 0);
    ck_assert_uint_eq(be(ram + 0x10002, 4), BLOCKS - 1);
    bm_set(CH, 0, 0);
    for (unsigned i = 0; i < 512; i++)
        crumbs[i][0] = 0x10000 + 16 * i, crumbs[i][1] = 4;
    ide_table(CH, crumbs, false);
    packet(CDB(0x28, 0, 0, 0, 0, 9, 0, 0, 1), 0);
    bm_start(CH, true);
    ck_assert_uint_eq(bm(CH, 2), 0x64);
    ck_assert_uint_eq(ending(), 0);
    for (unsigned i = 0; i < 512; i++)
        same(ram + crumbs[i][0], 9 * 2048 + 4 * i, 4);
    /* A large region, then crumbs: the middle of a block is where they begin. */
    crumbs[0][1] = 0x200 - 4;
    for (unsigned i = 1; i < 512; i++)
        crumbs[i][0] += 0x10000;
    ide_table(CH, crumbs, false);
    packet(CDB(0x28, 0, 0, 0, 0, 9, 0, 0, 1), 0);
    bm_start(CH, true);
    ck_assert_uint_eq(ending(), 0);
    bm_set(CH, 0, 0);
    same(ram + 0x10000, 9 * 2048, 0x1fc);
    same(ram + crumbs[385][0], 9 * 2048 + 0x1fc + 4 * 384, 4);
    /* READ CD: blocks of 2352, through the buffer */
    ide_table(CH, (const uint32_t[][2]){ { 0x10000, 60 * 2352 }, { 0x40000, 0 }, { 0, 0 } }, false);
    ram[IDE_TABLE + CH * 0x1000 + 4] = 0;
    ram[IDE_TABLE + CH * 0x1000 + 5] = 0;
    ram[IDE_TABLE + CH * 0x1000 + 7] = 0;
    memcpy(ram + IDE_TABLE + CH * 0x1000 + 8, (const uint8_t[]){ 0, 0, 2, 0, 0, 0, 0, 0 }, 8);
    memcpy(ram + IDE_TABLE + CH * 0x1000 + 16, (const uint8_t[]){ 0, 0, 3, 0, 0, 0, 0, 0x80 }, 8);
    packet(CDB(0xbe, 0, 0, 0, 0, 3, 0, 0, 60, 0xf8), 0);
    bm_start(CH, true);
    ck_assert_uint_eq(ending(), 0);
    for (unsigned i = 0; i < 60; i++)
        same(ram + 0x10000 + 2352 * i + 16, (3 + i) * 2048, 2048);
    bm_set(CH, 0, 0);
    /* DEVICE RESET in the middle: it ends, and memory is left alone. */
    CD.held = true;
    ide_table(CH, odd, false);
    packet(CDB(0x28, 0, 0, 0, 0, 1, 0, 0, 2), 0);
    bm_start(CH, true);
    ck_assert_uint_eq(alt(CH) & ST_BSY, ST_BSY);
    wr(CH, R_COMMAND, 0x08);
    ck_assert_uint_eq(CD.n, 0);
    ck_assert_uint_eq(alt(CH), 0);
    ck_assert_uint_eq(rd(CH, R_MID) | rd(CH, R_HIGH) << 8, 0xeb14);
    CD.held = false;
    ck_assert_uint_eq(get(CDB(0)), 0);
}
END_TEST

START_TEST(toc)
{
    ck_assert_uint_eq(get(CDB(0x43, 0, 0, 0, 0, 0, 0, 1, 0)), 20);
    ck_assert_uint_eq(be(buf, 4), 0x00120101);
    ck_assert_uint_eq(be(buf + 4, 4), 0x00140100);
    ck_assert_uint_eq(be(buf + 8, 4), 0);
    ck_assert_uint_eq(buf[14], 0xaa);
    ck_assert_uint_eq(be(buf + 16, 4), BLOCKS);
    ck_assert_uint_eq(get(CDB(0x43, 2, 0, 0, 0, 0, 0xaa, 1, 0)), 12);
    ck_assert_uint_eq(be(buf + 8, 4), (BLOCKS + 150) / 75 / 60 << 16 | (BLOCKS + 150) / 75 % 60 << 8 |
                                          (BLOCKS + 150) % 75);
    fails(CDB(0x43, 0, 0, 0, 0, 0, 2, 1, 0), 0x052400);
    ck_assert_uint_eq(get(CDB(0x43, 0, 1, 0, 0, 0, 0, 1, 0)), 12);
    ck_assert_uint_eq(get(CDB(0x43, 0, 0, 0, 0, 0, 0, 0, 12, 0x40)), 12);       /* as SFF 8020i has it */
    ck_assert_uint_eq(get(CDB(0x43, 2, 2, 0, 0, 0, 0, 1, 0)), 4 + 4 * 11);
    ck_assert_uint_eq(buf[4 + 3], 0xa0);
    ck_assert_uint_eq(buf[4 + 22 + 3], 0xa2);
    ck_assert_uint_eq(be(buf + 4 + 33 + 8, 3), 0x000200);                       /* track 1 at 00:02:00 */
    fails(CDB(0x43, 0, 5, 0, 0, 0, 0, 1, 0), 0x052400);
    ck_assert_uint_eq(get(CDB(0x51, 0, 0, 0, 0, 0, 0, 1, 0)), 34);
    ck_assert_uint_eq(get(CDB(0x52, 1, 0, 0, 0, 1, 0, 1, 0)), 36);
    ck_assert_uint_eq(be(buf + 24, 4), BLOCKS);
    ck_assert_uint_eq(get(CDB(0x46, 0, 0, 0, 0, 0, 0, 1, 0)), 4 + be(buf, 4));
    ck_assert_uint_eq(be(buf + 6, 2), 8);       /* the profile: CD-ROM */
    ck_assert_uint_eq(get(CDB(0x46, 2, 0, 0x1e, 0, 0, 0, 1, 0)), 16);
    ck_assert_uint_eq(be(buf + 8, 3), 0x001e09);
    fails(CDB(0xad, 0, 0, 0, 0, 0, 0, 0, 1, 0), 0x053002);      /* the structure of a DVD */
}
END_TEST

/* ---- raw blocks: the codes are checked by what they are for, not by how they were made ---- */

static uint8_t times(uint8_t a, uint8_t b)
{
    uint8_t r = 0;

    for (; b; b >>= 1) {
        r ^= b & 1 ? a : 0;
        a = (uint8_t)(a << 1 ^ (a & 0x80 ? 0x1d : 0));
    }
    return r;
}

/* ECMA-130 annex A: of each code word the sum, and the sum with powers of alpha as weights, are 0. */
static void syndromes(const uint8_t *word, unsigned n)
{
    uint8_t s0 = 0, s1 = 0;

    for (unsigned i = 0; i < n; i++) {
        s0 ^= word[i];
        s1 = times(s1, 2) ^ word[i];
    }
    ck_assert_uint_eq(s0, 0);
    ck_assert_uint_eq(s1, 0);
}

static void check_raw(const uint8_t *raw, uint32_t lba)
{
    uint8_t word[45];
    uint32_t crc = 0;

    ck_assert_int_eq(memcmp(raw, "\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0", 12), 0);
    lba += 150;
    ck_assert_uint_eq(raw[12], lba / 4500 / 10 << 4 | lba / 4500 % 10);
    ck_assert_uint_eq(raw[13], lba / 75 % 60 / 10 << 4 | lba / 75 % 60 % 10);
    ck_assert_uint_eq(raw[14], lba % 75 / 10 << 4 | lba % 75 % 10);
    ck_assert_uint_eq(raw[15], 1);
    same(raw + 16, (uint64_t)(lba - 150) * 2048, 2048);
    /* The remainder of the block with its EDC is 0: polynomial (x^16+x^15+x^2+1)(x^16+x^2+x+1), 14.3 */
    for (unsigned i = 0; i < 2068 * 8; i++) {
        uint32_t bit = raw[i / 8] >> (i & 7) & 1;

        crc = crc << 1 ^ ((crc >> 31 ^ bit) ? 0x8001801bu : 0);
    }
    ck_assert_uint_eq(crc, 0);
    for (unsigned i = 2068; i < 2076; i++)
        ck_assert_uint_eq(raw[i], 0);
    /* P: column Np of 16-bit words' bytes, 26 of them; Q: 43 and the two parities behind */
    for (unsigned plane = 0; plane < 2; plane++) {
        for (unsigned np = 0; np < 43; np++) {
            for (unsigned mp = 0; mp < 26; mp++)
                word[mp] = raw[12 + 2 * (43 * mp + np) + plane];
            syndromes(word, 26);
        }
        for (unsigned nq = 0; nq < 26; nq++) {
            for (unsigned mq = 0; mq < 43; mq++)
                word[mq] = raw[12 + 2 * ((44 * mq + 43 * nq) % 1118) + plane];
            word[43] = raw[12 + 2 * (43 * 26 + nq) + plane];
            word[44] = raw[12 + 2 * (44 * 26 + nq) + plane];
            syndromes(word, 45);
        }
    }
}

START_TEST(raw)
{
    unsigned key;

    ck_assert_uint_eq(get(CDB(0xbe, 0, 0, 0, 0, 200, 0, 0, 5, 0xf8)), 5 * 2352);
    for (unsigned i = 0; i < 5; i++)
        check_raw(buf + 2352 * i, 200 + i);
    /* MSF; more blocks than the buffer has room for are in two pieces, and limits as you like */
    packet(CDB(0xb9, 0, 0, 0, 2, 0, 0, 2, 30, 0xf8), 4000);
    for (unsigned i = 0, n = 0; i < 30; i++) {
        static uint8_t all[30 * 2352];

        while (n < (i + 1) * 2352) {
            unsigned block = rd(CH, R_MID) | rd(CH, R_HIGH) << 8;

            ck_assert(block && block <= 4000 && n + block <= sizeof(all));
            pio_read(CH, all + n, block, block);
            n += block;
        }
        check_raw(all + 2352 * i, i);
    }
    ck_assert_uint_eq(ending(), 0);
    ck_assert_uint_eq(get(CDB(0xbe, 0, 0, 0, 0, 9, 0, 0, 2, 0x10)), 2 * 2048);
    same(buf, 9 * 2048, 2 * 2048);
    ck_assert_uint_eq(get(CDB(0xbe, 8, 0, 0, 0, 9, 0, 0, 2, 0x30)), 2 * 2052);
    same(buf + 2056, 10 * 2048, 2048);
    ck_assert_uint_eq(get(CDB(0xbe, 0, 0, 0, 0, 9, 0, 0, 2, 0x20)), 8);
    ck_assert_uint_eq(get(CDB(0xbe, 0, 0, 0, 0, 9, 0, 0, 2, 0)), 0);
    fails(CDB(0xbe, 4, 0, 0, 0, 9, 0, 0, 2, 0x10), 0x056400);          /* audio */
    fails(CDB(0xbe, 12, 0, 0, 0, 9, 0, 0, 2, 0x10), 0x056400);         /* mode 2 */
    fails(CDB(0xbe, 0, 0, 0, 0, 9, 0, 0, 2, 0xfa), 0x052400);
    fails(CDB(0xb9, 0, 0, 0, 1, 0, 0, 2, 0, 0x10), 0x052100);          /* before the first */
    pio(CDB(0x28, 0, 0, 0, 0, 1, 0, 0, 1), 0xfffe, &key);
    same(buf, 2048, 2048);
}
END_TEST

/* MODE SELECT with n bytes of buf, by DRQ blocks of at most `limit`. */
static unsigned mode_select(unsigned n, unsigned limit)
{
    unsigned at = 0;

    packet(CDB(0x55, 0x10, 0, 0, 0, 0, 0, n >> 8, n & 0xff), limit);
    while (alt(CH) & ST_DRQ) {
        unsigned block = rd(CH, R_MID) | rd(CH, R_HIGH) << 8;

        ck_assert_uint_eq(rd(CH, R_COUNT) & 3, 0);
        ck_assert(e->line[15] && block && block <= limit && at + block <= n);
        rd(CH, R_STATUS);
        pio_write(CH, buf + at, block, block);
        at += block;
    }
    ck_assert_uint_eq(at, n);
    return ending();
}

START_TEST(modes)
{
    static const uint8_t audio[24] = { [8] = 0x0e, 14, 4, [16] = 2, 0x80, 1, 0x70 };

    ck_assert_uint_eq(get(CDB(0x5a, 0, 0x2a, 0, 0, 0, 0, 1, 0)), 28);
    ck_assert_uint_eq(be(buf, 2), 26);
    ck_assert_uint_eq(buf[8], 0x2a);
    ck_assert_uint_eq(get(CDB(0x5a, 0, 0x3f, 0, 0, 0, 0, 1, 0)), 2 + be(buf, 2));
    ck_assert_uint_eq(get(CDB(0x5a, 0, 0x3f, 0, 0, 0, 0, 0, 8)), 8);
    fails(CDB(0x5a, 0, 0x3e, 0, 0, 0, 0, 1, 0), 0x052400);
    fails(CDB(0x5a, 0, 0xea, 0, 0, 0, 0, 1, 0), 0x053900);
    memcpy(buf, audio, 24);
    ck_assert_uint_eq(mode_select(24, 0xfffe), 0);
    ck_assert_uint_eq(get(CDB(0x5a, 0, 0x0e, 0, 0, 0, 0, 1, 0)), 24);
    ck_assert_uint_eq(be(buf + 16, 4), 0x02800170);
    memcpy(buf, audio, 24);
    buf[17] = 0x40;
    ck_assert_uint_eq(mode_select(24, 10), 0);                          /* three blocks */
    get(CDB(0x5a, 0, 0x0e, 0, 0, 0, 0, 1, 0));
    ck_assert_uint_eq(be(buf + 16, 4), 0x02400170);
    ck_assert_uint_eq(get(CDB(0x5a, 0, 0x4e, 0, 0, 0, 0, 1, 0)), 24);   /* what can be changed */
    ck_assert_uint_eq(be(buf + 16, 4), 0xffffffff);
    memset(buf, 0, 24);
    buf[8] = 0x3d;                                                      /* no such page */
    buf[9] = 14;
    ck_assert_uint_eq(mode_select(24, 0xfffe), 5);
    ck_assert_uint_eq(sense(), 0x052600);
    memcpy(buf, audio, 24);
    ck_assert_uint_eq(mode_select(20, 0xfffe), 5);                      /* cut off */
    ck_assert_uint_eq(mode_select(5, 0xfffe), 5);
    ck_assert_uint_eq(sense(), 0x051a00);
    /* by DMA */
    memcpy(ram + 0x10000, audio, 24);
    ram[0x10000 + 17] = 0x20;
    ide_table(CH, (const uint32_t[][2]){ { 0x10000, 10 }, { 0x1000a, 14 }, { 0, 0 } }, false);
    packet(CDB(0x55, 0x10, 0, 0, 0, 0, 0, 0, 24), 0);
    bm_start(CH, false);
    ck_assert_uint_eq(ending(), 0);
    get(CDB(0x5a, 0, 0x0e, 0, 0, 0, 0, 1, 0));
    ck_assert_uint_eq(be(buf + 16, 4), 0x02200170);
}
END_TEST

static unsigned event(void)
{
    ck_assert_uint_eq(get(CDB(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8)), 8);
    ck_assert_uint_eq(be(buf, 4), 0x00060410);
    return be(buf + 4, 2);
}

START_TEST(tray)
{
    ck_assert_uint_eq(event(), 0x0002);         /* nothing new, a medium is there */
    fails(CDB(0x4a, 0, 0, 0, 0x10, 0, 0, 0, 8), 0x052400);
    ck_assert_uint_eq(get(CDB(0x4a, 1, 0, 0, 0x02, 0, 0, 0, 8)), 4);
    get(CDB(0x1e, 0, 0, 0, 1));
    fails(CDB(0x1b, 0, 0, 0, 2), 0x055302);     /* locked */
    get(CDB(0x1e));
    get(CDB(0x1b, 0, 0, 0, 2));
    ck_assert_uint_eq(event(), 0x0301);
    ck_assert_uint_eq(event(), 0x0001);
    fails(CDB(0), 0x023a02);
    fails(CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 0x023a02);
    ck_assert_uint_eq(get(CDB(0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8)), 8);
    ck_assert_uint_eq(buf[1], 0x10);
    env_check_state(e);
    get(CDB(0x1b, 0, 0, 0, 3));
    ck_assert_uint_eq(event(), 0x0202);
    fails(CDB(0), 0x062800);
    ck_assert_uint_eq(get(CDB(0)), 0);
    /* The user takes it out while a transfer waits, and puts a smaller one in. */
    ide_table(CH, (const uint32_t[][2]){ { 0x10000, 4096 }, { 0, 0 } }, false);
    packet(CDB(0x28, 0, 0, 0, 1, 0x80, 0, 0, 2), 0);
    drive[2].disk->size = 300 * 2048;
    drive[2].user->changed(drive[2].dev);
    bm_start(CH, true);
    ck_assert_uint_eq(ending(), 3);
    ck_assert_uint_eq(sense(), 0x031100);
    ck_assert_uint_eq(event(), 0x0202);
    fails(CDB(0x25), 0x062800);
    get(CDB(0x25));
    ck_assert_uint_eq(be(buf, 4), 299);
    drive[2].disk = NULL;
    drive[2].user->changed(drive[2].dev);
    ck_assert_uint_eq(event(), 0x0300);
    fails(CDB(0), 0x063a02);
    fails(CDB(0), 0x023a01);
    get(CDB(0x46, 0, 0, 0, 0, 0, 0, 1, 0));
    ck_assert_uint_eq(be(buf + 6, 2), 0);
    wr(CH, R_COMMAND, 0xe7);                    /* FLUSH CACHE without a medium */
    ck_assert_uint_eq(finish(CH), ST_OK);
    drive[2].disk = &CD.d;
    drive[2].user->changed(drive[2].dev);
    fails(CDB(0), 0x062800);
}
END_TEST

START_TEST(empty)
{
    ide_end();
    ide_start("--e-", 0, 0);
    fails(CDB(0), 0x062900);
    fails(CDB(0), 0x023a01);
    fails(CDB(0x43, 0, 0, 0, 0, 0, 0, 1, 0), 0x023a01);
    ck_assert_uint_eq(event(), 0);
    ck_assert_uint_eq(get(CDB(0x12, 0, 0, 0, 36)), 36);
}
END_TEST

START_TEST(state)
{
    packet(CDB(0x28, 0, 0, 0, 0, 60, 0, 0, 3), 512);
    ck_assert_uint_eq(rd(CH, R_STATUS), ST_OK | ST_DRQ);
    for (unsigned i = 0; i < 3 * 1024; i++) {
        if (i % 500 == 7)
            env_check_state(e);
        ck_assert_uint_eq(data(CH), (uint16_t)(pattern(60 * 2048 + 2 * i) | pattern(60 * 2048 + 2 * i + 1) << 8));
    }
    ck_assert_uint_eq(ending(), 0);
    env_check_state(e);
    wr(CH, R_COMMAND, 0xa0);
    data_set(CH, 0x12);
    env_check_state(e);
    for (unsigned i = 1; i < 6; i++)
        data_set(CH, 36);
    ck_assert(e->line[15]);
}
END_TEST

/* Random packets, by PIO and by DMA, with a medium that comes and goes. */
START_TEST(fuzz)
{
    static const uint8_t codes[] = { 0x03, 0x12, 0x1b, 0x1e, 0x25, 0x28, 0x2b, 0x42, 0x43, 0x46, 0x4a, 0x51, 0x52, 0x55,
                                     0x5a, 0xa8, 0xad, 0xb9, 0xbb, 0xbd, 0xbe, 0xbe, 0x28, 0 };
    unsigned seed = (unsigned)_i + 1;
    uint32_t table[9][2];

    for (unsigned i = 0; i < 4000; i++) {
        uint8_t cdb[12];
        unsigned r = (unsigned)rand_r(&seed), n = 0;

        for (unsigned k = 0; k < 12; k++)
            cdb[k] = rand_r(&seed) & (rand_r(&seed) & 1 ? 0xff : 0x00);
        cdb[0] = codes[r % sizeof(codes)];
        if (r & 0x10000)
            cdb[2] = cdb[3] = cdb[6] = 0;
        if (!(r & 0x700000)) {
            drive[2].disk = r & 0x800000 ? &CD.d : NULL;
            drive[2].user->changed(drive[2].dev);
        }
        for (unsigned k = 0; k < 8; k++) {
            table[k][0] = (uint32_t)rand_r(&seed) & (k & 1 ? 0x1fffffe : 0xffffe);
            table[k][1] = ((uint32_t)rand_r(&seed) & (k & 1 ? 0xfffe : 0x1e)) + 2;
        }
        table[8][1] = 0;
        ide_table(CH, (const uint32_t(*)[2])table, r & 0x1000000);
        packet(cdb, r & 0x20000 ? 0 : (r >> 4 & 0x3fff) + 1);
        if (r & 0x20000)
            bm_start(CH, cdb[0] != 0x55 || (r & 0x40000));
        while ((alt(CH) & ST_DRQ) && n++ < 20000 && !(r & 0x20000)) {
            if (cdb[0] == 0x55)
                data_set(CH, (uint16_t)rand_r(&seed));
            else
                data(CH);
        }
        rd(CH, R_STATUS);
        if (r & 0x20000)
            bm_set(CH, 0, 0);
        if (i % 500 == 0)
            env_check_state(e);
    }
    ck_assert_uint_eq(mmio, 0);
    drive[2].disk = &CD.d;
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("atapi");
    TCase *t = tcase_create("atapi");

    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, ide_end);
    tcase_add_test(t, identity);
    tcase_add_test(t, detection);
    tcase_add_test(t, reading);
    tcase_add_test(t, dma);
    tcase_add_test(t, toc);
    tcase_add_test(t, raw);
    tcase_add_test(t, modes);
    tcase_add_test(t, tray);
    tcase_add_test(t, empty);
    tcase_add_test(t, state);
    tcase_add_loop_test(t, fuzz, 0, 2);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
