/*
 * test_virtio_scsi.c - SCSI disks and CD-ROMs behind the virtio adapter: every command, sense data, unit
 * attentions, ejecting, task management while commands run, and random commands.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE             /* memmem() */
#endif
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dev/virtio_env.h"
#include "tests/run_suite.h"

#define SIZE  (4u << 20)
#define CD    (1u << 20)
#define REQ   VT_DATA
#define RESP  (VT_DATA + 0x1000)
#define DATA  (VT_DATA + 0x10000)
enum { CONTROL, EVENT, QUEUE };
enum { R_OK, R_OVERRUN, R_BAD_TARGET = 3, R_SUCCEEDED = 10, R_REJECTED = 11, R_BAD_LUN = 12 };

static struct vt *v;
static struct vt_disk *disks[4];        /* disk, disk without cache nor discard, CD-ROM, read-only disk */
static unsigned ejects;
static uint32_t resid, used_len;
static uint8_t sense[18];

static struct drive *find_drive(void *arg, const char *id)
{
    return id[0] == 'd' ? &disks[id[1] - '0']->drive : NULL;
}

static void eject(struct drive *d)
{
    ejects++;
    d->disk = NULL;
}

static void setup(void)
{
    static const char *const ids[] = { "d0", "d1", "d2", "d3" };

    ejects = 0;
    v = vt_new();
    v->names.drive = find_drive;
    for (unsigned i = 0; i < 4; i++)
        disks[i] = vt_disk_new(i == 2 ? CD : SIZE, ids[i]);
    disks[1]->disk.discards = false;
    disks[2]->drive.cdrom = disks[2]->drive.read_only = disks[3]->drive.read_only = true;
    disks[2]->drive.eject = eject;
    vt_add(v, "virtio-scsi-pci,id=s");
    vt_add(v, "scsi-hd,drive=d0,serial=SN42,wwn=0x5000c50015ea71ac");
    vt_add(v, "scsi-hd,drive=d1,scsi-id=3,lun=2,logical_block_size=4096,bus=s.0,rotation_rate=7200,write-cache=off");
    vt_add(v, "scsi-cd,drive=d2");
    vt_add(v, "scsi-hd,drive=d3,scsi-id=3,lun=300,channel=0,device_id=drive-scsi0-0-3");
}

static void run_all(void)
{
    for (bool more = true; more;) {
        more = false;
        for (unsigned i = 0; i < 4; i++)
            more |= vt_disk_run(disks[i]) != 0;
    }
}

static void teardown(void)
{
    run_all();
    vt_free(v);
    for (unsigned i = 0; i < 4; i++)
        vt_disk_free(disks[i]);
}

static unsigned target, lun;

static void put_lun(uint64_t at)
{
    vt_put(v, at, 1 | target << 8 | (0x40 | lun >> 8) << 16 | (uint64_t)(lun & 0xff) << 24, 8);
}

static void offer(const uint8_t *cdb, unsigned out, unsigned in)
{
    struct vt_seg s[] = { { REQ, 51, false }, { DATA, out, false }, { RESP, 108, true }, { DATA, in, true } };
    struct vt_seg *p = s;
    unsigned n = 4;

    memset(v->ram + REQ, 0, 51);
    put_lun(REQ);
    vt_put(v, REQ + 8, 77, 8);
    memcpy(v->ram + REQ + 19, cdb, 16);
    memset(v->ram + RESP, 0xee, 108);
    if (!out) {
        s[1] = s[0];
        p++;
        n--;
    }
    if (!in)
        n--;
    vt_offer(v, QUEUE, p, n);
    vt_kick(v, QUEUE);
}

/* Runs a command: its status, or 100h + the response. */
static unsigned command(const uint8_t *cdb, unsigned out, unsigned in)
{
    unsigned id;

    offer(cdb, out, in);
    run_all();
    ck_assert(vt_used(v, QUEUE, &id, &used_len));
    ck_assert_uint_eq(vt_interrupts(v, QUEUE), 1);
    resid = vt_get(v, RESP + 4, 4);
    memset(sense, 0, sizeof(sense));
    if (vt_get(v, RESP, 4)) {
        ck_assert_uint_eq(vt_get(v, RESP, 4), sizeof(sense));
        memcpy(sense, v->ram + RESP + 12, sizeof(sense));
        ck_assert_uint_eq(sense[0], 0x70);
    }
    return vt_get(v, RESP + 11, 1) ? 0x100 + vt_get(v, RESP + 11, 1) : vt_get(v, RESP + 10, 1);
}
#define CMD(out, in, ...) command((const uint8_t[16]){ __VA_ARGS__ }, out, in)
#define GOOD(...) ck_assert_uint_eq(CMD(__VA_ARGS__), 0)
#define BAD(key, code, ...)                                                                                  \
    do {                                                                                                     \
        ck_assert_uint_eq(CMD(__VA_ARGS__), 2);                                                              \
        ck_assert_uint_eq(sense[2] << 16 | sense[12] << 8 | sense[13], (key) << 16 | (code));                \
    } while (0)

static uint64_t be(unsigned at, unsigned size)
{
    uint64_t val = 0;

    for (unsigned i = 0; i < size; i++)
        val = val << 8 | v->ram[DATA + at + i];
    return val;
}

static void put_be(unsigned at, uint64_t val, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        v->ram[DATA + at + i] = (uint8_t)(val >> (8 * (size - 1 - i)));
}

static void begin(uint64_t features, unsigned t, unsigned l)
{
    vt_start(v, features, true, 3);
    target = t;
    lun = l;
    BAD(6, 0x2900, 0, 0, 0);            /* it was reset: told once */
    GOOD(0, 0, 0);
}

START_TEST(identity)
{
    vt_start(v, VT_MODERN, true, 3);
    ck_assert_uint_eq(vt_config(v, 0, 4), 1);
    ck_assert_uint_eq(vt_config(v, 4, 4), 254);
    target = lun = 0;
    GOOD(0, 96, 0x12, 0, 0, 0, 96);     /* a unit attention is not for INQUIRY */
    ck_assert_uint_eq(be(0, 4), 0x00000512);
    ck_assert_int_eq(memcmp(v->ram + DATA + 8, "LATIMER HARDDISK        1.0 ", 28), 0);
    ck_assert_uint_eq(resid, 60);
    ck_assert_uint_eq(used_len, 108 + 36);
    GOOD(0, 5, 0x12, 0, 0, 0, 96);
    ck_assert_uint_eq(resid, 0);
    BAD(6, 0x2900, 0, 0, 0);
    GOOD(0, 255, 0x12, 1, 0, 0, 255);
    ck_assert_uint_eq(be(0, 4), 6);
    ck_assert_uint_eq(be(4, 6), 0x008083b0b1b2);
    GOOD(0, 255, 0x12, 1, 0x80, 0, 255);
    ck_assert_int_eq(memcmp(v->ram + DATA + 4, "SN42", 4), 0);
    GOOD(0, 255, 0x12, 1, 0x83, 0, 255);
    ck_assert_uint_eq(be(20, 4), 0x01030008);
    ck_assert_uint_eq(be(24, 8), 0x5000c50015ea71ac);
    GOOD(0, 255, 0x12, 1, 0xb0, 0, 255);
    ck_assert_uint_eq(be(20, 4), 0x200000);
    GOOD(0, 255, 0x12, 1, 0xb2, 0, 255);
    ck_assert_uint_eq(be(5, 1), 0xe0);
    BAD(5, 0x2400, 0, 255, 0x12, 1, 0x99, 0, 255);
    BAD(5, 0x2400, 0, 255, 0x12, 0, 0x80, 0, 255);
    GOOD(0, 64, 0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64);
    ck_assert_uint_eq(be(0, 4), 8);
    target = 3;
    lun = 0;                            /* not there, others are */
    GOOD(0, 64, 0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64);
    ck_assert_uint_eq(be(0, 4), 16);
    ck_assert_uint_eq(be(8, 2), 2);
    ck_assert_uint_eq(be(16, 2), 0x4000 | 300);
    GOOD(0, 36, 0x12, 0, 0, 0, 36);
    ck_assert_uint_eq(be(0, 1), 0x7f);
    BAD(5, 0x2500, 0, 0, 0);
    lun = 300;
    GOOD(0, 255, 0x12, 1, 0x83, 0, 255);
    ck_assert_uint_eq(be(4, 4), 0x02000000 | 15);
    ck_assert_int_eq(memcmp(v->ram + DATA + 8, "drive-scsi0-0-3", 15), 0);
    lun = 0;
    target = 9;
    ck_assert_uint_eq(CMD(0, 0, 0), 0x100 + R_BAD_TARGET);
    target = 1;
    lun = 0;
    GOOD(0, 36, 0x12, 0, 0, 0, 36);
    ck_assert_uint_eq(be(0, 2), 0x0580);
    BAD(5, 0x2400, 0, 255, 0x12, 1, 0xb0, 0, 255);
}
END_TEST

static const uint64_t drivers[] = { 0, VT_INDIRECT, VT_MODERN, VT_MODERN | VT_INDIRECT | VT_EVENT };

START_TEST(read_write)
{
    begin(drivers[_i], 0, 0);
    GOOD(0, 8, 0x25);
    ck_assert_uint_eq(be(0, 8), (uint64_t)(SIZE / 512 - 1) << 32 | 512);
    GOOD(0, 32, 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32);
    ck_assert_uint_eq(be(0, 8), SIZE / 512 - 1);
    ck_assert_uint_eq(be(8, 4), 512);
    ck_assert_uint_eq(be(14, 1), 0x80);
    GOOD(0, 4096, 0x28, 0, 0, 0, 1, 0, 0, 0, 8);
    ck_assert_int_eq(memcmp(v->ram + DATA, disks[0]->bytes + 256 * 512, 4096), 0);
    ck_assert_uint_eq(resid, 0);
    ck_assert_uint_eq(used_len, 108 + 4096);
    GOOD(0, 5000, 0x08, 0, 1, 0, 8);            /* more room than data */
    ck_assert_uint_eq(resid, 5000 - 4096);
    GOOD(0, 131072, 0x08, 0, 0, 0, 0);          /* 256 blocks */
    ck_assert_int_eq(memcmp(v->ram + DATA, disks[0]->bytes, 131072), 0);
    GOOD(0, 512, 0xa8, 0, 0, 0, 0, 9, 0, 0, 0, 1);
    ck_assert_int_eq(memcmp(v->ram + DATA, disks[0]->bytes + 9 * 512, 512), 0);
    GOOD(0, 1024, 0x88, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 2);
    ck_assert_int_eq(memcmp(v->ram + DATA, disks[0]->bytes + 10 * 512, 1024), 0);
    ck_assert_uint_eq(CMD(0, 511, 0x28, 0, 0, 0, 0, 0, 0, 0, 1), 0x100 + R_OVERRUN);
    for (unsigned i = 0; i < 4; i++) {          /* WRITE (6), (10), (12), (16) */
        memset(v->ram + DATA, 0x50 + i, 1024);
        if (i == 0)
            GOOD(1024, 0, 0x0a, 0, 0, 20, 2);
        else if (i == 1)
            GOOD(1024, 0, 0x2a, 0, 0, 0, 0, 22, 0, 0, 2);
        else if (i == 2)
            GOOD(1024, 0, 0xaa, 8, 0, 0, 0, 24, 0, 0, 0, 2);
        else
            GOOD(1024, 0, 0x8a, 0, 0, 0, 0, 0, 0, 0, 0, 26, 0, 0, 0, 2);
        ck_assert_uint_eq(resid, 0);
        ck_assert_int_eq(memcmp(v->ram + DATA, disks[0]->bytes + (20 + 2 * i) * 512, 1024), 0);
    }
    ck_assert_uint_eq(disks[0]->fuas, 1);       /* WRITE (12) had FUA */
    BAD(5, 0x2100, 0, 512, 0x28, 0, 0, 0, 0x20, 0, 0, 0, 1);
    BAD(5, 0x2100, 0, 1024, 0x28, 0, 0, 0, 0x1f, 0xff, 0, 0, 2);
    BAD(5, 0x2100, 0, 512, 0x88, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1);
    GOOD(0, 0, 0x28, 0, 0, 0, 0, 0, 0, 0, 0);   /* nothing */
    GOOD(0, 0, 0x35);
    GOOD(0, 0, 0x91);
    ck_assert_uint_eq(disks[0]->flushes, 2);
    GOOD(0, 0, 0x2f, 0, 0, 0, 0, 0, 0, 0x10, 0);
    BAD(5, 0x2400, 0, 0, 0x2f, 2, 0, 0, 0, 0, 0, 0, 1);
    disks[0]->error = -5;
    BAD(3, 0x1100, 0, 512, 0x28, 0, 0, 0, 0, 0, 0, 0, 1);
    BAD(3, 0x0c00, 512, 0, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1);
    BAD(3, 0x1100, 0, 0, 0x2f, 0, 0, 0, 0, 0, 0, 0, 1);
    disks[0]->error = 0;
    BAD(5, 0x2000, 0, 0, 0xc7);                 /* no such command */
    env_check_state(v->e);
}
END_TEST

START_TEST(unmap_same)
{
    begin(VT_MODERN, 0, 0);
    memset(v->ram + DATA, 0, 64);
    put_be(0, 38, 2);
    put_be(2, 32, 2);
    put_be(8, 100, 8);
    put_be(16, 8, 4);
    put_be(24, 200, 8);
    put_be(32, 8, 4);
    GOOD(40, 0, 0x42, 0, 0, 0, 0, 0, 0, 0, 40);
    ck_assert_uint_eq(disks[0]->discards, 2);
    put_be(24, SIZE / 512, 8);
    BAD(5, 0x2100, 40, 0, 0x42, 0, 0, 0, 0, 0, 0, 0, 40);
    ck_assert_uint_eq(disks[0]->discards, 2);   /* all or none */
    BAD(5, 0x1a00, 40, 0, 0x42, 0, 0, 0, 0, 0, 0, 0, 7);
    BAD(5, 0x1a00, 40, 0, 0x42, 0, 0, 0, 0, 0, 0, 0xff, 0xff);
    ck_assert_uint_eq(CMD(39, 0, 0x42, 0, 0, 0, 0, 0, 0, 0, 40), 0x100 + R_OVERRUN);
    GOOD(0, 0, 0x42);
    /* WRITE SAME of zeros, of nothing, of a pattern. */
    memset(v->ram + DATA, 0, 512);
    GOOD(512, 0, 0x41, 8, 0, 0, 1, 0, 0, 0, 4);
    GOOD(0, 0, 0x93, 9, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 4);
    ck_assert_uint_eq(disks[0]->zeroes, 2);
    for (unsigned i = 0; i < 8 * 512; i++)
        ck_assert_uint_eq(disks[0]->bytes[256 * 512 + i], 0);
    for (unsigned i = 0; i < 512; i++)
        v->ram[DATA + i] = (uint8_t)(i * 11 + 1);
    GOOD(512, 0, 0x93, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0x10, 0);
    for (unsigned i = 0; i < 0x1000; i++)
        ck_assert_int_eq(memcmp(disks[0]->bytes + (512 + i) * 512, v->ram + DATA, 512), 0);
    ck_assert_uint_eq(disks[0]->zeroes, 2);
    BAD(5, 0x2400, 512, 0, 0x41, 0, 0, 0, 1, 0, 0, 0, 0);
    BAD(5, 0x2100, 512, 0, 0x93, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0x20, 0);
    BAD(5, 0x2400, 512, 0, 0x93, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0x40, 0, 0);
    ck_assert_uint_eq(CMD(511, 0, 0x41, 0, 0, 0, 1, 0, 0, 0, 1), 0x100 + R_OVERRUN);
    target = 3;
    lun = 2;
    BAD(6, 0x2900, 0, 0, 0);
    BAD(5, 0x2000, 40, 0, 0x42, 0, 0, 0, 0, 0, 0, 0, 40);       /* this one cannot */
    GOOD(0, 8, 0x25);
    ck_assert_uint_eq(be(0, 8), (uint64_t)(SIZE / 4096 - 1) << 32 | 4096);
    GOOD(0, 4096, 0x28, 0, 0, 0, 0, 5, 0, 0, 1);
    ck_assert_int_eq(memcmp(v->ram + DATA, disks[1]->bytes + 5 * 4096, 4096), 0);
}
END_TEST

START_TEST(modes)
{
    begin(VT_MODERN, 0, 0);
    GOOD(0, 192, 0x1a, 0, 0x3f, 0, 192);
    ck_assert_uint_eq(be(0, 4), (uint64_t)(4 + 8 + 12 + 24 + 20 + 12 - 1) << 24 | 0x1008);
    GOOD(0, 192, 0x5a, 8, 8, 0, 0, 0, 0, 0, 192);
    ck_assert_uint_eq(be(0, 8), 0x001a001000000000);
    ck_assert_uint_eq(be(8, 3), 0x081204);      /* the cache is on */
    GOOD(0, 192, 0x5a, 8, 0x48, 0, 0, 0, 0, 0, 192);
    ck_assert_uint_eq(be(8, 4), 0x08120400);    /* and may be switched */
    BAD(5, 0x3900, 0, 192, 0x1a, 0, 0xff, 0, 192);
    BAD(5, 0x2400, 0, 192, 0x1a, 0, 0x1c, 0, 192);
    memset(v->ram + DATA, 0, 64);
    put_be(4, 0x0812, 2);
    GOOD(24, 0, 0x15, 0x10, 0, 0, 24);
    ck_assert_uint_eq(be(4, 3), 0x081200);
    memset(v->ram + DATA, 7, 512);
    GOOD(512, 0, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1);
    ck_assert_uint_eq(disks[0]->fuas, 1);       /* no cache: on the medium */
    env_check_state(v->e);
    memset(v->ram + DATA, 0, 64);
    put_be(4, 0x08120005, 4);                   /* what cannot be changed */
    BAD(5, 0x2600, 24, 0, 0x15, 0x10, 0, 0, 24);
    BAD(5, 0x2600, 20, 0, 0x15, 0x10, 0, 0, 20);        /* a page cut off */
    BAD(5, 0x1a00, 24, 0, 0x15, 0x10, 0, 0, 3);
    put_be(0, 0xff, 4);                         /* descriptors longer than all */
    BAD(5, 0x1a00, 24, 0, 0x15, 0x10, 0, 0, 24);
    GOOD(0, 0, 0x1b, 0, 0, 0, 0);               /* stop */
    BAD(2, 0x0402, 0, 512, 0x28, 0, 0, 0, 0, 0, 0, 0, 1);
    GOOD(0, 0, 0x1b, 0, 0, 0, 1);
    GOOD(0, 512, 0x28, 0, 0, 0, 0, 0, 0, 0, 1);
    GOOD(0, 64, 0x12, 1, 0xb1, 0, 64);
    ck_assert_uint_eq(be(4, 2), 1);             /* nothing rotates */
    target = 3;
    lun = 2;
    BAD(6, 0x2900, 0, 0, 0);
    GOOD(0, 64, 0x12, 1, 0xb1, 0, 64);
    ck_assert_uint_eq(be(4, 2), 7200);
    for (unsigned which = 0; which < 3; which += 2) {
        GOOD(0, 192, 0x5a, 8, 8 | which << 6, 0, 0, 0, 0, 0, 192);
        ck_assert_uint_eq(be(8, 3), 0x081200);  /* its cache is off, and by default */
    }
    GOOD(4096, 0, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1);
    ck_assert_uint_eq(disks[1]->fuas, 1);
    lun = 300;
    BAD(6, 0x2900, 0, 0, 0);
    GOOD(0, 192, 0x1a, 8, 8, 0, 192);
    ck_assert_uint_eq(be(2, 1), 0x90);          /* read-only */
    BAD(7, 0x2700, 512, 0, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1);
    ck_assert_uint_eq(disks[3]->writes, 0);
}
END_TEST

START_TEST(cdrom)
{
    unsigned blocks = CD / 2048;

    begin(VT_MODERN, 1, 0);
    GOOD(0, 8, 0x25);
    ck_assert_uint_eq(be(0, 8), (uint64_t)(blocks - 1) << 32 | 2048);
    GOOD(0, 4096, 0x28, 0, 0, 0, 0, 3, 0, 0, 2);
    ck_assert_int_eq(memcmp(v->ram + DATA, disks[2]->bytes + 3 * 2048, 4096), 0);
    GOOD(0, 4096, 0xbe, 0, 0, 0, 0, 5, 0, 0, 2, 0x10);
    ck_assert_int_eq(memcmp(v->ram + DATA, disks[2]->bytes + 5 * 2048, 4096), 0);
    BAD(5, 0x2400, 0, 4096, 0xbe, 0, 0, 0, 0, 5, 0, 0, 1, 0xf8);
    BAD(5, 0x2000, 512, 0, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1);
    GOOD(0, 64, 0x43, 0, 0, 0, 0, 0, 0, 0, 64);
    ck_assert_uint_eq(be(0, 4), 0x00120101);
    ck_assert_uint_eq(be(4, 8), 0x0014010000000000);
    ck_assert_uint_eq(be(12, 8), 0x0014aa0000000000 + blocks);
    GOOD(0, 64, 0x43, 2, 0, 0, 0, 0, 0xaa, 0, 64);
    ck_assert_uint_eq(be(0, 4), 0x000a0101);
    ck_assert_uint_eq(be(8, 4), ((blocks + 150) / 75 / 60) << 16 | ((blocks + 150) / 75 % 60) << 8 |
                      (blocks + 150) % 75);
    GOOD(0, 64, 0x43, 0, 1, 0, 0, 0, 0, 0, 64);
    ck_assert_uint_eq(be(0, 4), 0x000a0101);
    GOOD(0, 64, 0x43, 0, 2, 0, 0, 0, 0, 0, 64);
    ck_assert_uint_eq(be(0, 4), 0x002e0101);
    BAD(5, 0x2400, 0, 64, 0x43, 0, 5, 0, 0, 0, 0, 0, 64);
    GOOD(0, 128, 0x46, 0, 0, 0, 0, 0, 0, 0, 128);
    ck_assert_uint_eq(be(6, 2), 8);             /* a CD */
    ck_assert_uint_eq(be(8, 4), 0x00000308);
    ck_assert_uint_eq(be(18, 1), 1);
    GOOD(0, 128, 0x46, 2, 0, 0x10, 0, 0, 0, 0, 128);
    ck_assert_uint_eq(be(0, 4), 16);
    GOOD(0, 34, 0x51, 0, 0, 0, 0, 0, 0, 0, 34);
    ck_assert_uint_eq(be(0, 4), 0x00200e01);
    GOOD(0, 36, 0x52, 1, 0, 0, 0, 1, 0, 0, 36);
    ck_assert_uint_eq(be(24, 4), blocks);
    GOOD(0, 192, 0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 192);
    ck_assert_uint_eq(be(8, 2), 0x2a14);
    GOOD(0, 8, 0xbd, 0, 0, 0, 0, 0, 0, 0, 8);
    GOOD(0, 8, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8);
    ck_assert_uint_eq(be(0, 6), 0x000604100002);
    BAD(5, 0x2400, 0, 8, 0x4a, 0, 0, 0, 0x10, 0, 0, 0, 8);
    GOOD(0, 8, 0x4a, 1, 0, 0, 0x40, 0, 0, 0, 8);
    ck_assert_uint_eq(be(0, 3), 0x000280);
    /* Locked, it stays; then it goes, and another one comes. */
    GOOD(0, 0, 0x1e, 0, 0, 0, 1);
    BAD(5, 0x5302, 0, 0, 0x1b, 0, 0, 0, 2);
    ck_assert_uint_eq(ejects, 0);
    GOOD(0, 0, 0x1e, 0, 0, 0, 0);
    GOOD(0, 0, 0x1b, 0, 0, 0, 2);
    ck_assert_uint_eq(ejects, 1);
    BAD(2, 0x3a00, 0, 2048, 0x28, 0, 0, 0, 0, 0, 0, 0, 1);
    BAD(2, 0x3a00, 0, 0, 0);
    GOOD(0, 128, 0x46, 0, 0, 0, 0, 0, 0, 0, 128);
    ck_assert_uint_eq(be(6, 2), 0);
    GOOD(0, 8, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8);
    ck_assert_uint_eq(be(2, 4), 0x04100300);
    disks[2]->drive.disk = &disks[2]->disk;
    disks[2]->drive.user->changed(disks[2]->drive.dev);
    BAD(6, 0x2800, 0, 0, 0);
    GOOD(0, 0, 0);
    GOOD(0, 8, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8);
    ck_assert_uint_eq(be(2, 4), 0x04100202);
    GOOD(0, 8, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8);
    ck_assert_uint_eq(be(2, 4), 0x04100002);
    disks[2]->drive.user->changed(disks[2]->drive.dev);
    GOOD(0, 18, 0x03, 0, 0, 0, 18);             /* REQUEST SENSE tells, and ends it */
    ck_assert_uint_eq(be(2, 1) << 16 | be(12, 2), 0x062800);
    GOOD(0, 0, 0);
}
END_TEST

/* Task management `sub`; its response, or -1: not yet. */
static int tmf(unsigned sub, unsigned tag)
{
    struct vt_seg s[] = { { VT_DATA + 0x2000, 24, false }, { VT_DATA + 0x2100, 1, true } };
    unsigned id;
    uint32_t len;

    memset(v->ram + s[0].pa, 0, 24);
    vt_put(v, s[0].pa + 4, sub, 4);
    put_lun(s[0].pa + 8);
    vt_put(v, s[0].pa + 16, tag, 8);
    vt_put(v, s[1].pa, 0xff, 1);
    vt_offer(v, CONTROL, s, 2);
    vt_kick(v, CONTROL);
    return vt_used(v, CONTROL, &id, &len) ? (int)vt_get(v, s[1].pa, 1) : -1;
}

START_TEST(tasks)
{
    static const uint8_t read10[16] = { 0x28, 0, 0, 0, 0, 0, 0, 0, 1 };
    unsigned id;
    uint32_t len;

    begin(VT_MODERN, 0, 0);
    ck_assert_int_eq(tmf(6, 77), R_OK);         /* query: no such task */
    ck_assert_int_eq(tmf(0, 77), R_OK);
    ck_assert_int_eq(tmf(2, 0), R_REJECTED);
    offer(read10, 0, 512);
    ck_assert_int_eq(tmf(6, 77), R_SUCCEEDED);
    ck_assert_int_eq(tmf(6, 78), R_OK);
    ck_assert_int_eq(tmf(7, 0), R_SUCCEEDED);
    ck_assert_int_eq(tmf(0, 78), R_OK);
    ck_assert_int_eq(tmf(0, 77), -1);           /* when it has ended */
    ck_assert_int_eq(tmf(5, 0), -1);
    ck_assert_int_eq(tmf(4, 0), -1);
    lun = 9;
    ck_assert_int_eq(tmf(5, 0), R_BAD_LUN);
    lun = 0;
    run_all();
    ck_assert(vt_used(v, QUEUE, &id, &len));
    for (unsigned i = 0; i < 3; i++)
        ck_assert(vt_used(v, CONTROL, &id, &len));
    ck_assert(!vt_used(v, CONTROL, &id, &len));
    vt_interrupts(v, QUEUE);
    BAD(6, 0x2900, 0, 0, 0);
    /* A reset of the adapter drops both. */
    offer(read10, 0, 512);
    ck_assert_int_eq(tmf(0, 77), -1);
    vt_set_status(v, 0);
    ck_assert_uint_ne(vt_status(v), 0);
    run_all();
    ck_assert_uint_eq(vt_status(v), 0);
    ck_assert_uint_eq(vt_get(v, RESP + 11, 1), 0xee);
    begin(VT_MODERN, 0, 0);
    vt_config_write(v, 20, 18, 4);              /* shorter sense data, commands of 16 bytes */
    vt_config_write(v, 24, 16, 4);
    ck_assert_uint_eq(vt_config(v, 20, 8), 16ull << 32 | 18);
    vt_config_write(v, 24, 0x7fffffff, 4);
    ck_assert_uint_eq(vt_config(v, 24, 4), 32);
}
END_TEST

/* Requests without room for an answer, or too short, stop the device. */
START_TEST(malformed)
{
    struct vt_seg s[] = { { REQ, _i == 0 ? 50 : 51, false }, { RESP, _i == 1 ? 107 : 108, true } };
    struct vt_seg c[] = { { REQ, _i == 2 ? 3 : 23, false }, { RESP, 1, true } };

    vt_start(v, VT_MODERN, true, 3);
    if (_i < 2)
        vt_offer(v, QUEUE, s, 2);
    else
        vt_offer(v, CONTROL, c, _i == 4 ? 1 : 2);
    vt_kick(v, _i < 2 ? QUEUE : CONTROL);
    ck_assert_uint_eq(vt_status(v), 0x4f);
    begin(VT_MODERN, 0, 0);
}
END_TEST

START_TEST(fuzz)
{
    static const uint8_t ops[] = { 0x00, 0x03, 0x08, 0x0a, 0x12, 0x15, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x2a,
                                   0x2e, 0x2f, 0x35, 0x41, 0x42, 0x43, 0x46, 0x4a, 0x51, 0x52, 0x55, 0x5a,
                                   0x88, 0x8a, 0x8f, 0x91, 0x93,
                                   0x9e, 0xa0, 0xa8, 0xaa, 0xaf, 0xbd, 0xbe };
    static const struct { unsigned target, lun; } units[] = { { 0, 0 }, { 3, 2 }, { 1, 0 }, { 3, 300 },
                                                              { 3, 0 }, { 7, 0 } };
    uint64_t seed = 5 + (unsigned)_i;

    disks[2]->drive.eject = NULL;
    for (unsigned round = 0; round < 15000; round++) {
        uint8_t cdb[16];
        unsigned r, id;
        uint32_t len;

        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        r = (unsigned)(seed >> 33);
        if (round % 500 == 0) {
            run_all();
            vt_start(v, drivers[r % 4], r & 16, 3);
        }
        for (unsigned i = 0; i < 16; i++) {
            seed = seed * 6364136223846793005ull + 1442695040888963407ull;
            cdb[i] = (seed >> 60) < 9 ? 0 : (seed >> 60) < 12 ? (seed >> 33) % 40 : (uint8_t)(seed >> 40);
        }
        cdb[0] = r % 9 ? ops[r / 16 % sizeof(ops)] : cdb[0];
        target = units[r % 6].target;
        lun = units[r % 6].lun;
        if (r % 13 == 0)
            tmf(r / 13 % 9, 77);
        for (unsigned i = 0; i < 64; i++)
            v->ram[DATA + i] = (r >> (i % 24)) & 1 ? (uint8_t)(r >> (i % 16)) : 0;
        offer(cdb, r & 32 ? 0 : r / 64 % 3000, r & 32 ? r / 64 % 9000 : 0);
        if (r % 3)
            run_all();
        while (vt_used(v, QUEUE, &id, &len) || vt_used(v, CONTROL, &id, &len))
            ;
    }
    run_all();
    begin(VT_MODERN, 0, 0);
}
END_TEST

/* Commands and sense data of 4 GiB, now or after the next reset: no driver gets them, and no snapshot. */
START_TEST(saved_sizes)
{
    static const struct { const char *field; unsigned at; } t[] = { { "\6config", 20 }, { "\6config", 24 }, { "\5first", 24 } };
    uint8_t *good;
    size_t n = chips_save(v->e->chips, &good);

    for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        uint8_t *at = memmem(good, n, "virtio:virtio-scsi", 18), old;
        const char *err;

        ck_assert_ptr_nonnull(at);
        at = memmem(at, n - (size_t)(at - good), t[i].field, strlen(t[i].field));
        ck_assert_ptr_nonnull(at);
        at += strlen(t[i].field) + 4 + t[i].at + 3;
        old = *at;
        *at = 0xff;
        err = chips_load(v->e->chips, good, n);
        ck_assert_msg(err && strstr(err, t[i].field + 1), "%s: %s", t[i].field, err ? err : "taken");
        *at = old;
    }
    ck_assert_ptr_null(chips_load(v->e->chips, good, n));
    free(good);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("virtio-scsi");
    TCase *t = tcase_create("scsi");

    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, identity);
    tcase_add_loop_test(t, read_write, 0, 4);
    tcase_add_test(t, unmap_same);
    tcase_add_test(t, modes);
    tcase_add_test(t, cdrom);
    tcase_add_test(t, tasks);
    tcase_add_test(t, saved_sizes);
    tcase_add_loop_test(t, malformed, 0, 5);
    tcase_add_loop_test(t, fuzz, 0, 2);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
