/*
 * usb.c - drivers of USB host controllers, as drivers.c has others: their lists, with transfers to devices that are there
 * and that are not.
 */
#include "tests/fuzz/dev/fuzz_dev.h"

static void usb_setup(struct fuzz *z, uint64_t at)
{
    static const uint8_t types[] = { 0x00, 0x80, 0x01, 0x81, 0x02, 0x21, 0xa1, 0x23, 0xa3, 0x20, 0xa0, 0x82 };

    ram_put(z, at, types[pick(z, sizeof(types))], 1);
    ram_put(z, at + 1, pick(z, 13), 1);
    ram_put(z, at + 2, chance(z, 2) ? (1 + pick(z, 15)) << 8 | pick(z, 4) : pick(z, 4), 2);
    ram_put(z, at + 4, pick(z, 10), 2);
    ram_put(z, at + 6, chance(z, 4) ? pick(z, 0x1000) : pick(z, 64), 2);
}

/* A command block wrapper of mass storage. */
static void usb_cbw(struct fuzz *z, uint64_t at)
{
    uint8_t cdb[16];

    scsi_command(z, cdb);
    ram_put(z, at, 0x43425355, 4);
    ram_put(z, at + 4, rnd(z), 4);
    ram_put(z, at + 8, length(z), 4);
    ram_put(z, at + 12, chance(z, 2) ? 0x80 : 0, 1);
    ram_put(z, at + 13, chance(z, 10) ? pick(z, 16) : 0, 1);
    ram_put(z, at + 14, chance(z, 10) ? pick(z, 32) : 16, 1);
    for (unsigned i = 0; i < 16; i++)
        ram_put(z, at + 15 + i, cdb[i], 1);
}

static uint64_t usb_data(struct fuzz *z)
{
    uint64_t at = address(z, 16);

    if (chance(z, 2))
        usb_setup(z, at);
    else if (chance(z, 2))
        usb_cbw(z, at);
    return at;
}

/* 32 transfer descriptors and 16 queue heads, linked anyhow: loops, too. */
void drive_uhci(struct fuzz *z, struct function *f)
{
    const uint32_t tds = POOL + 0x40000, qhs = POOL + 0x41000, frames = POOL + 0x42000;
    static const uint8_t pids[] = { 0x2d, 0x69, 0xe1 };

#define LINK (chance(z, 4) ? 1 : chance(z, 2) ? (qhs + 16 * pick(z, 16)) | 2 : (tds + 32 * pick(z, 32)) | (chance(z, 2) ? 4 : 0))
    for (unsigned i = 0; i < 32; i++) {
        uint32_t td = tds + 32 * i;

        ram_put(z, td, LINK, 4);
        ram_put(z, td + 4, 0x18800000 | (chance(z, 8) ? rnd(z) : 0), 4);
        ram_put(z, td + 8, pids[pick(z, 3)] | pick(z, 4) << 8 | pick(z, 3) << 15 | pick(z, 2) << 19 |
                (chance(z, 3) ? 7u : pick(z, 0x800)) << 21, 4);
        ram_put(z, td + 12, usb_data(z), 4);
    }
    for (unsigned i = 0; i + 2 < 32 && !chance(z, 8); i += 3) {     /* control transfers that mean something */
        uint32_t setup = (uint32_t)address(z, 16), td = tds + 32 * i, address = pick(z, 3) << 8;

        usb_setup(z, setup);
        for (unsigned k = 0; k < 3; k++) {
            ram_put(z, td + 32 * k, k < 2 ? (td + 32 * (k + 1)) | 4 : 1, 4);
            ram_put(z, td + 32 * k + 4, 0x18800000, 4);
            ram_put(z, td + 32 * k + 8, (k == 1 || (k == 2 && chance(z, 2)) ? 0x69u : k ? 0xe1u : 0x2du) | address |
                    (k ? 1u << 19 : 0) | (k ? pick(z, 65) - 1 : 7u) << 21, 4);
            ram_put(z, td + 32 * k + 12, k ? usb_data(z) : setup, 4);
        }
        ram_put(z, frames + 4 * pick(z, 1024), td, 4);
    }
    for (unsigned i = 0; i < 16; i++) {
        ram_put(z, qhs + 16 * i, LINK, 4);
        ram_put(z, qhs + 16 * i + 4, LINK, 4);
    }
    for (unsigned i = 0; i < 1024; i += 1 + pick(z, 8))
        ram_put(z, frames + 4 * i, LINK, 4);
#undef LINK
    bar_out(z, f, 4, 8, chance(z, 20) ? value(z) : frames, 4);
    bar_out(z, f, 4, 4, 15, 2);
    for (unsigned p = 0; p < 2; p++) {
        bar_out(z, f, 4, 0x10 + 2 * p, 0x20e, 2);       /* reset, then enabled */
        bar_out(z, f, 4, 0x10 + 2 * p, 0x00e, 2);
    }
    bar_out(z, f, 4, 0, chance(z, 8) ? value(z) : 0x81, 2);
}

/* Queue heads, and transfer descriptors for the asynchronous and the periodic list (EHCI 1.0). */
void drive_ehci(struct fuzz *z, struct function *f)
{
    const uint32_t tds = POOL + 0x50000, qhs = POOL + 0x52000, itds = POOL + 0x53000, frames = POOL + 0x54000;
    unsigned op = (unsigned)bar_in(z, f, 0, 0, 1);

#define LINK (chance(z, 8) ? 1 : chance(z, 4) ? (itds + 64 * pick(z, 16)) | pick(z, 2) << 2 :                        \
              (qhs + 128 * pick(z, 16)) | (chance(z, 6) ? pick(z, 4) << 1 : 2))
#define TD (chance(z, 4) ? 1 : tds + 128 * pick(z, 32))
    for (unsigned i = 0; i < 32; i++) {
        uint32_t td = tds + 128 * i;

        ram_put(z, td, TD, 4);
        ram_put(z, td + 4, TD, 4);
        ram_put(z, td + 8, 0x0c80 | pick(z, 3) << 8 | (chance(z, 2) ? 8u : pick(z, 0x8000)) << 16 | pick(z, 2) << 31 |
                pick(z, 8) << 12, 4);
        for (unsigned b = 0; b < 5; b++)
            ram_put(z, td + 12 + 4 * b, usb_data(z), 4);
    }
    for (unsigned i = 0; i < 16; i++) {
        uint32_t qh = qhs + 128 * i;

        ram_put(z, qh, LINK, 4);
        ram_put(z, qh + 4, pick(z, 4) | pick(z, 3) << 8 | 2 << 12 | 1 << 14 | (!i) << 15 | pick(z, 1025) << 16, 4);
        ram_put(z, qh + 8, 1u << 30 | pick(z, 256), 4);
        ram_put(z, qh + 12, TD, 4);
        ram_put(z, qh + 16, TD, 4);
        ram_put(z, qh + 20, TD, 4);
        ram_put(z, qh + 24, chance(z, 2) ? 0 : rnd(z), 4);
    }
    for (unsigned i = 0; i < 16; i++) {         /* isochronous, of high speed; the smaller ones of full speed mean other things there */
        uint32_t itd = itds + 64 * i;

        ram_put(z, itd, LINK, 4);
        for (unsigned t = 1; t < 9; t++)
            ram_put(z, itd + 4 * t, 0x80000000u | pick(z, 0x1000) << 16 | pick(z, 8) << 12 | pick(z, 0x1000), 4);
        for (unsigned b = 0; b < 7; b++)
            ram_put(z, itd + 36 + 4 * b, (address(z, 4096) & ~0xfffu) |
                    (b == 0 ? pick(z, 4) | pick(z, 3) << 8 : b == 1 ? pick(z, 0x1000) : pick(z, 4)), 4);
    }
    for (unsigned i = 0; i < 1024; i += 1 + pick(z, 8))
        ram_put(z, frames + 4 * i, chance(z, 4) ? 1 : LINK, 4);
#undef LINK
#undef TD
    bar_out(z, f, 0, op + 0x14, frames, 4);
    bar_out(z, f, 0, op + 0x18, chance(z, 10) ? value(z) : qhs, 4);
    bar_out(z, f, 0, op + 8, 0x3f, 4);
    bar_out(z, f, 0, op + 0x40, 1, 4);
    bar_out(z, f, 0, op, chance(z, 20) ? value(z) : 0x80031, 4);
    for (unsigned p = 0; p < 6; p++) {
        bar_out(z, f, 0, op + 0x44 + 4 * p, 0x1100, 4);
        bar_out(z, f, 0, op + 0x44 + 4 * p, 0x1005, 4);
    }
}

static void xhci_trb(struct fuzz *z, uint64_t at, bool command, uint64_t ring)
{
    static const uint8_t commands[] = { 9, 9, 10, 11, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23 };
    static const uint8_t transfers[] = { 1, 1, 2, 3, 4, 5, 6, 7, 8 };
    uint8_t type = chance(z, 30) ? (uint8_t)pick(z, 64) : command ? commands[pick(z, sizeof(commands))] :
                   transfers[pick(z, sizeof(transfers))];
    uint64_t param = usb_data(z);

    if (type == 2)              /* a request inside the descriptor */
        usb_setup(z, at);
    else
        ram_put(z, at, type == 6 ? ring : command ? POOL + 0x68000 + 0x800 * pick(z, 4) : param, 8);
    ram_put(z, at + 8, type == 2 ? 8 : chance(z, 8) ? length(z) : pick(z, 100), 4);
    ram_put(z, at + 12, type << 10 | (chance(z, 3) ? 0 : 1) | pick(z, 64) << 1 | (chance(z, 4) ? pick(z, 4) : 1) << 24 |
            (chance(z, 2) ? 0 : 1 + pick(z, 8)) << 16, 4);
}

static void xhci_context(struct fuzz *z, uint64_t at)
{
    ram_put(z, at, pick(z, 4), 4);
    ram_put(z, at + 4, 3 | (chance(z, 2) ? pick(z, 256) : 0), 4);
    ram_put(z, at + 0x20, pick(z, 2) << 20 | (1 + pick(z, 8)) << 27 | (chance(z, 4) ? rnd(z) & 0xfffff : 0) | pick(z, 5) << 20, 4);
    ram_put(z, at + 0x24, (1 + pick(z, 9)) << 16, 4);
    for (unsigned ep = 0; ep < 8; ep++) {
        uint64_t c = at + 0x40 + 0x20 * ep;

        ram_put(z, c, pick(z, 10) << 16 | pick(z, 4), 4);
        ram_put(z, c + 4, (ep ? pick(z, 8) : 4u) << 3 | (chance(z, 4) ? pick(z, 0x10000) : 64u) << 16 | 6, 4);
        ram_put(z, c + 8, (chance(z, 20) ? address(z, 16) : POOL + 0x6a000 + 0x400 * ep) | 1, 8);
        ram_put(z, c + 16, pick(z, 0x1000), 4);
    }
}

/* Slots 1 to 4 for what is at the first ports, with endpoints 0, 1 and 2 each way. */
static void xhci_devices(struct fuzz *z, const struct function *f, unsigned op, unsigned bells)
{
    const uint64_t commands = POOL + 0x61000;
    unsigned n = 0;

    for (unsigned slot = 1; slot < 5; slot++) {
        uint64_t input = POOL + 0x68000 + 0x800 * (slot - 1);

        bar_out(z, f, 0, op + 0x400 + 16 * (slot - 1), 0x210, 4);
        for (unsigned i = 0; i < 0x800; i += 8)
            ram_put(z, input + i, 0, 8);
        ram_put(z, input + 4, 0x3f, 4);
        ram_put(z, input + 0x20, 5u << 27 | 1 << 20, 4);
        ram_put(z, input + 0x24, slot << 16, 4);
        for (unsigned ep = 1; ep < 6; ep++) {
            ram_put(z, input + 0x20 + 0x20 * ep + 4, (ep == 1 ? 4u : ep & 1 ? chance(z, 2) ? 7u : 6u : 2u) << 3 | 64 << 16, 4);
            ram_put(z, input + 0x20 + 0x20 * ep + 8, (POOL + 0x6a000 + 0x400 * (ep - 1)) | 1, 8);
        }
        for (unsigned c = 0; c < 3; c++, n++) { /* enable the slot, address it, configure it */
            ram_put(z, commands + 16 * n, c ? input : 0, 8);
            ram_put(z, commands + 16 * n + 8, 0, 4);
            ram_put(z, commands + 16 * n + 12, (c ? 10u + c : 9u) << 10 | 1 | (c ? slot << 24 : 0), 4);
            if (c == 1)
                ram_put(z, input + 4, 3, 4);
            bar_out(z, f, 0, bells, 0, 4);
            if (c == 1)
                ram_put(z, input + 4, 0x3d, 4);
        }
    }
}

void drive_xhci(struct fuzz *z, struct function *f)
{
    const uint64_t commands = POOL + 0x61000, base = POOL + 0x60000;
    unsigned op = (unsigned)bar_in(z, f, 0, 0, 1), rt = (unsigned)bar_in(z, f, 0, 0x18, 4) & 0xffff;
    unsigned bells = (unsigned)bar_in(z, f, 0, 0x14, 4) & 0xffff;

    if (!f->driven || chance(z, 20)) {
        bar_out(z, f, 0, op, 2, 4);
        bar_out(z, f, 0, op + 0x38, 8, 4);
        bar_out(z, f, 0, op + 0x30, base, 4);
        bar_out(z, f, 0, op + 0x34, 0, 4);
        bar_out(z, f, 0, op + 0x18, commands | 1, 4);
        bar_out(z, f, 0, op + 0x1c, 0, 4);
        ram_put(z, base + 0x800, POOL + 0x62000, 8);
        ram_put(z, base + 0x808, 16 + pick(z, 32), 4);
        for (unsigned i = 1; i < 8; i++)
            ram_put(z, base + 8 * i, POOL + 0x63000 + 0x400 * i, 8);
        bar_out(z, f, 0, rt + 0x28, 1, 4);
        bar_out(z, f, 0, rt + 0x38, POOL + 0x62000, 4);
        bar_out(z, f, 0, rt + 0x3c, 0, 4);
        bar_out(z, f, 0, rt + 0x30, base + 0x800, 4);
        bar_out(z, f, 0, rt + 0x34, 0, 4);
        bar_out(z, f, 0, rt + 0x20, 2, 4);
        bar_out(z, f, 0, op, 5, 4);
        for (unsigned i = 0; i < 32; i++)
            ram_put(z, commands + 16 * i + 12, 0, 4);
        xhci_devices(z, f, op, bells);
    }
    for (unsigned i = 0; i < 4; i++)
        xhci_context(z, POOL + 0x68000 + 0x800 * i);
    for (unsigned i = 0; i < 32; i++)
        xhci_trb(z, commands + 16 * i, true, commands);
    for (unsigned ep = 0; ep < 8; ep++)
        for (unsigned i = 0; i < 8; i++)
            xhci_trb(z, POOL + 0x6a000 + 0x400 * ep + 16 * i, false, POOL + 0x6a000 + 0x400 * ep);
    for (unsigned p = 0; p < 8; p++)
        if (chance(z, 4))
            bar_out(z, f, 0, op + 0x400 + 16 * p, chance(z, 4) ? value(z) : 0x210, 4);
    bar_out(z, f, 0, bells, 0, 4);
    for (unsigned n = pick(z, 4); n; n--)
        bar_out(z, f, 0, bells + 4 * (1 + pick(z, 4)), 1 + pick(z, 8), 4);
    bar_out(z, f, 0, rt + 0x38, (POOL + 0x62000 + 16 * pick(z, 16)) | 8, 4);
}
