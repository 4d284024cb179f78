/*
 * old.c - drivers of what has fixed ports and addresses: IDE channels, floppy, DMA, firmware's configuration, keyboard
 * controller, timers and interrupt controllers, the VGA, a Sound Blaster, an NE2000 (fuzz_dev.h).
 */
#include "tests/fuzz/dev/fuzz_dev.h"

#include <string.h>

void scsi_command(struct fuzz *z, uint8_t cdb[16])
{
    static const uint8_t ops[] = {
        0x00, 0x03, 0x04, 0x08, 0x0a, 0x12, 0x15, 0x1a, 0x1b, 0x1e, 0x23, 0x25, 0x28, 0x2a, 0x2e, 0x2f, 0x35, 0x3c, 0x41, 0x42, 0x43,
        0x46, 0x4a, 0x51, 0x52, 0x55, 0x5a, 0x85, 0x88, 0x8a, 0x8e, 0x8f, 0x91, 0x93, 0x9e, 0xa0, 0xa3, 0xa8, 0xaa, 0xac, 0xad,
        0xaf, 0xb9, 0xbd, 0xbe,
    };

    for (unsigned i = 1; i < 16; i++)
        cdb[i] = chance(z, 3) ? (uint8_t)rnd(z) : 0;
    cdb[0] = chance(z, 20) ? (uint8_t)rnd(z) : ops[pick(z, sizeof(ops))];
    cdb[pick(z, 4) + 2] = (uint8_t)pick(z, 64);
    cdb[8] = (uint8_t)(chance(z, 4) ? rnd(z) : pick(z, 40));
    if (cdb[0] == 0x12 || cdb[0] == 0x1a || cdb[0] == 0x5a) {
        static const uint8_t pages[] = { 0, 0x80, 0x83, 0xb0, 0xb1, 0xb2, 1, 4, 5, 8, 0x0a, 0x0e, 0x1a, 0x2a, 0x3f };

        cdb[1] = (uint8_t)pick(z, 2);
        cdb[2] = (uint8_t)(pages[pick(z, sizeof(pages))] | (chance(z, 4) ? pick(z, 4) << 6 : 0));
        cdb[4] = (uint8_t)(chance(z, 2) ? 255 : rnd(z));
    }
}

static void ide(struct fuzz *z)
{
    static const uint8_t ops[] = {
        0x00, 0x08, 0x10, 0x20, 0x24, 0x25, 0x27, 0x29, 0x30, 0x34, 0x35, 0x39, 0x40, 0x42, 0x70, 0x90, 0x91, 0xa0, 0xa1, 0xb0, 0xc4,
        0xc5, 0xc6, 0xc8, 0xca, 0xe0, 0xe1, 0xe3, 0xe5, 0xe6, 0xe7, 0xea, 0xec, 0xef, 0xf5, 0xf8, 0x06,
    };
    unsigned base = chance(z, 2) ? 0x1f0 : 0x170, n = chance(z, 4) ? 300 : 12, op;
    uint8_t cdb[16];

    out(z, base + 6, 0x40 | pick(z, 2) << 4 | 0xa0 | (chance(z, 4) ? pick(z, 16) : 0), 1);
    for (unsigned i = 1; i < 6; i++)
        for (unsigned twice = 1 + pick(z, 2); twice; twice--)
            out(z, base + i, chance(z, 3) ? (uint32_t)value(z) : pick(z, 4), 1);
    op = chance(z, 20) ? (unsigned)rnd(z) : chance(z, 3) ? 0xa0 : ops[pick(z, sizeof(ops))];
    if (chance(z, 40))
        out(z, base + 0x206, pick(z, 8), 1);
    for (unsigned i = 0; i < z->nfns; i++) {    /* the bus master */
        if (z->fn[i].class >> 8 == 0x0101 && z->fn[i].bar[4].size) {
            uint64_t table = address(z, 4);

            for (unsigned k = 0; k < 8; k++)
                ram_put(z, table + 8 * k, (uint32_t)address(z, 2) | (uint64_t)(pick(z, 0x10000) | (uint32_t)(k == 7 || chance(z, 6)) << 31) << 32, 8);
            bar_out(z, &z->fn[i], 4, (base == 0x170) * 8 + 4, table, 4);
            bar_out(z, &z->fn[i], 4, (base == 0x170) * 8 + 2, 6, 1);
            bar_out(z, &z->fn[i], 4, (base == 0x170) * 8, pick(z, 2) << 3 | !chance(z, 3), 1);
        }
    }
    out(z, base + 7, op, 1);
    if (op == 0xa0) {
        scsi_command(z, cdb);
        for (unsigned i = 0; i < 12; i += 2)
            out(z, base, cdb[i] | cdb[i + 1] << 8, 2);
    }
    for (unsigned i = pick(z, n); i; i--) {
        if (chance(z, 2))
            in(z, base, 2);
        else
            out(z, base, (uint32_t)rnd(z), chance(z, 2) ? 4 : 2);
    }
    in(z, base + 7, 1);
}

static void dma(struct fuzz *z)
{
    static const uint8_t page[] = { 0x87, 0x83, 0x81, 0x82, 0x8f, 0x8b, 0x89, 0x8a };
    unsigned ch = chance(z, 2) ? 2 : pick(z, 8), wide = ch >> 2;
    uint32_t at = (uint32_t)address(z, 16);

    out(z, wide ? 0xd8 : 0x0c, 0, 1);
    for (unsigned i = 0; i < 4; i++)
        out(z, (wide ? 0xc0 : 0) + (2 * (ch & 3) + (i & 1)) * (1 + wide), i < 2 ? at >> 8 * i : (uint32_t)value(z), 1);
    out(z, page[ch], at >> 16, 1);
    out(z, wide ? 0xd6 : 0x0b, (chance(z, 2) ? 0x44u : pick(z, 64) << 2) | (ch & 3), 1);
    out(z, wide ? 0xd4 : 0x0a, ch & 3, 1);
}

static void floppy(struct fuzz *z)
{
    static const uint8_t ops[] = { 2, 3, 4, 5, 6, 7, 8, 9, 0xa, 0xc, 0xd, 0xe, 0xf, 0x10, 0x11, 0x12, 0x13, 0x14, 0x16, 0x18, 0x2e,
                                   0x33, 0x4c, 0x94, 0x8e };

    dma(z);
    out(z, 0x3f2, 0x1c | pick(z, 2), 1);
    out(z, 0x3f5, (chance(z, 8) ? (uint32_t)rnd(z) : ops[pick(z, sizeof(ops))]) | (chance(z, 2) ? 0xc0 : 0), 1);
    for (unsigned n = pick(z, 12); n; n--)
        out(z, 0x3f5, chance(z, 2) ? pick(z, 4) : (uint32_t)value(z), 1);
    for (unsigned n = pick(z, 600); n && (in(z, 0x3f4, 1) & 0x80); n--) {
        if (chance(z, 2))
            in(z, 0x3f5, 1);
        else
            out(z, 0x3f5, (uint32_t)rnd(z), 1);
    }
}

static void fw_cfg(struct fuzz *z)
{
    uint64_t at = address(z, 8), data = address(z, 1);
    uint32_t control = pick(z, 32) | (chance(z, 2) ? pick(z, 0x40) << 16 : 0), len = chance(z, 4) ? (uint32_t)rnd(z) : pick(z, 0x3000);

    for (unsigned i = 0; i < 4; i++) {          /* big-endian */
        ram_put(z, at + i, control >> (24 - 8 * i), 1);
        ram_put(z, at + 4 + i, len >> (24 - 8 * i), 1);
    }
    for (unsigned i = 0; i < 8; i++)
        ram_put(z, at + 8 + i, data >> (56 - 8 * i), 1);
    out(z, 0x510, chance(z, 4) ? (uint32_t)rnd(z) : pick(z, 0x40), 2);
    for (unsigned n = pick(z, 40); n; n--)
        in(z, 0x511, 1);
    out(z, 0x514, __builtin_bswap32((uint32_t)(at >> 32)), 4);
    out(z, 0x518, __builtin_bswap32((uint32_t)at), 4);
}

static void keyboard(struct fuzz *z)
{
    static const uint8_t cmds[] = { 0x20, 0x60, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xad, 0xae, 0xc0, 0xd0, 0xd1, 0xd2, 0xd3, 0xd4 };

    if (chance(z, 2))
        out(z, 0x64, chance(z, 8) ? pick(z, 0xf0) : cmds[pick(z, sizeof(cmds))], 1);
    out(z, 0x60, chance(z, 3) ? (uint32_t)rnd(z) : 0xe6 + pick(z, 0x1a), 1);
    if (chance(z, 2))
        in(z, 0x60, 1);
}

static void clocks(struct fuzz *z)
{
    switch (pick(z, 5)) {
    case 0:
        out(z, 0x43, (uint32_t)rnd(z), 1);
        for (unsigned i = 0; i < 3; i++) {
            out(z, 0x40 + i, (uint32_t)value(z), 1);
            in(z, 0x40 + i, 1);
        }
        out(z, 0x61, pick(z, 4), 1);
        break;
    case 1:
        out(z, 0x70, pick(z, 16), 1);
        out(z, 0x71, (uint32_t)value(z), 1);
        break;
    case 2:
        for (unsigned n = 0; n < 3; n++) {      /* HPET: periodic, one-shot; by message */
            mem_out(z, 0xfed00100u + 0x20 * n, (pick(z, 32) << 9 | pick(z, 128)) & ~1u, 4);
            mem_out(z, 0xfed00108u + 0x20 * n, chance(z, 2) ? value(z) : 1000 + pick(z, 1000000), 8);
        }
        mem_out(z, 0xfed00010u, pick(z, 4), 4);
        break;
    case 3:
        mem_out(z, 0xfec00000u, 0x10 + pick(z, 48), 4);
        mem_out(z, 0xfec00010u, (pick(z, 0x100) | (chance(z, 3) ? rnd(z) & 0x1ff00 : 0)), 4);
        break;
    default:
        mem_out(z, 0xfee000f0u, 0x1ff, 4);
        mem_out(z, 0xfee00320u, pick(z, 3) << 17 | pick(z, 256), 4);
        mem_out(z, 0xfee003e0u, pick(z, 16), 4);
        mem_out(z, 0xfee00380u, value(z), 4);
        mem_out(z, 0xfee00300u, pick(z, 0x1000) | pick(z, 4) << 18, 4);
        mem_out(z, 0xfee000b0u, 0, 4);
    }
}

static void pics(struct fuzz *z)
{
    for (unsigned p = 0x20; p <= 0xa0; p += 0x80) {
        if (chance(z, 10)) {
            out(z, p, 0x11 | pick(z, 16), 1);
            out(z, p + 1, (uint32_t)rnd(z), 1);
            out(z, p + 1, p == 0x20 ? 4 : 2, 1);
            out(z, p + 1, 1 | pick(z, 32), 1);
        }
        out(z, p + chance(z, 2), chance(z, 2) ? 0x20 : (uint32_t)rnd(z), 1);
    }
}

static void vga(struct fuzz *z)
{
    switch (pick(z, 4)) {
    case 0:                     /* a mode by Bochs' registers */
        for (unsigned i = 0; i < 12; i++) {
            static const uint16_t usual[] = { 0xb0c5, 800, 600, 32, 0, 0, 800, 600, 0, 0, 0, 0 };
            unsigned r = pick(z, 12);

            out(z, 0x1ce, r, 2);
            out(z, 0x1cf, chance(z, 4) ? (uint32_t)value(z) : r == 3 ? 4u + pick(z, 29) : r == 4 ? pick(z, 256) : usual[r], 2);
        }
        break;
    case 1:
        for (unsigned i = 0; i < 16; i++) {
            static const struct { uint16_t port; uint8_t n; } pair[] = { { 0x3c4, 5 }, { 0x3ce, 9 }, { 0x3d4, 25 } };
            unsigned p = pick(z, 3);

            out(z, pair[p].port, pick(z, pair[p].n), 1);
            out(z, pair[p].port + 1, (uint32_t)value(z), 1);
        }
        break;
    case 2:
        in(z, 0x3da, 1);
        out(z, 0x3c0, pick(z, 0x20) | (chance(z, 2) ? 0x20 : 0), 1);
        out(z, 0x3c0, (uint32_t)value(z), 1);
        out(z, 0x3c2, (uint32_t)value(z), 1);
        break;
    default:
        for (unsigned i = 0; i < 32; i++)
            mem_out(z, 0xa0000 + pick(z, 0x20000), rnd(z), 1u << pick(z, 4));
    }
}

/* A Sound Blaster: its DSP with what it wants from memory, the mixer's lines and channels, notes. */
static void sound(struct fuzz *z)
{
    static const uint8_t ops[] = { 0x10, 0x14, 0x17, 0x1c, 0x1f, 0x20, 0x24, 0x2c, 0x34, 0x40, 0x41, 0x48, 0x75, 0x77, 0x7d, 0x7f,
                                   0x80, 0x90, 0x99, 0xb0, 0xb6, 0xb8, 0xbe, 0xc0, 0xc6, 0xce, 0xd0, 0xd4, 0xd5, 0xd6, 0xd9, 0xda,
                                   0xe2, 0xe3, 0xf2, 0xf3 };

    dma(z);
    if (chance(z, 6))
        for (unsigned on = 2; on--;)
            out(z, 0x226, on, 1);
    for (unsigned n = pick(z, 12); n; n--) {
        out(z, 0x224, chance(z, 2) ? 0x80 + pick(z, 2) : pick(z, 0x48), 1);
        out(z, 0x225, chance(z, 2) ? 1u << pick(z, 8) : (uint32_t)rnd(z), 1);
        out(z, 0x388 + pick(z, 4), (uint32_t)rnd(z), 1);
    }
    for (unsigned n = pick(z, 8); n; n--) {
        out(z, 0x22c, chance(z, 10) ? (uint32_t)rnd(z) : ops[pick(z, sizeof(ops))], 1);
        for (unsigned k = pick(z, 4); k; k--)
            out(z, 0x22c, chance(z, 2) ? pick(z, 4) : (uint32_t)rnd(z), 1);
    }
    for (unsigned n = pick(z, 8); n; n--)
        in(z, 0x220 + pick(z, 16), 1);
}

static void ne2000(struct fuzz *z)
{
    struct function isa = { .bar = { { true, 0x300, 32 } } };

    drive_ne2000(z, &isa);
}

void drive_old(struct fuzz *z)
{
    switch (pick(z, 12)) {
    case 0: case 1: case 2: ide(z); break;
    case 3: floppy(z); break;
    case 4: fw_cfg(z); break;
    case 5: keyboard(z); break;
    case 6: clocks(z); break;
    case 7: pics(z); break;
    case 8: dma(z); break;
    case 9: sound(z); break;
    case 10: ne2000(z); break;
    default: vga(z);
    }
}
