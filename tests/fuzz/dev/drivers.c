/*
 * drivers.c - drivers of PCI devices that get them going and then do nonsense: what is in rings is mostly what the
 * device's specification has, with lengths, addresses and order by chance (fuzz_dev.h). They know a device by its
 * class, so that a new one of the same kind is driven, too.
 */
#include "tests/fuzz/dev/fuzz_dev.h"

#include <string.h>

uint32_t length(struct fuzz *z)
{
    switch (pick(z, 8)) {
    case 0: return 0;
    case 1: return pick(z, 0x20000);
    case 2: return (uint32_t)rnd(z);
    case 3: return 512u << pick(z, 8);
    default: return pick(z, 600);
    }
}

/* ---- virtio (1.2): 1af4, capabilities of the vendor ---- */

struct virtio { unsigned bar[5]; uint32_t off[5]; };

static void virtio_find(struct fuzz *z, const struct function *f, struct virtio *v)
{
    unsigned cap = config_in(z, f->devfn, 0x34, 1) & 0xfc;

    memset(v, 0xff, sizeof(*v));
    for (unsigned n = 0; cap && n < 40; n++, cap = config_in(z, f->devfn, cap + 1, 1) & 0xfc) {
        unsigned type = config_in(z, f->devfn, cap + 3, 1);

        if (config_in(z, f->devfn, cap, 1) != 9 || type > 4)
            continue;
        v->bar[type] = config_in(z, f->devfn, cap + 4, 1);
        v->off[type] = config_in(z, f->devfn, cap + 8, 4);
    }
}

/*
 * Queue q of this function has its rings here: descriptors, the driver's behind them, the device's at the next page:
 * registers of old have it so.
 */
static uint64_t virtio_ring(const struct function *f, unsigned q)
{
    return POOL + (f->devfn * 7 + q) % 66 * 0x3000;
}

static uint64_t virtio_avail(const struct function *f, unsigned q)
{
    return virtio_ring(f, q) + 16 * f->entries;
}

static uint64_t virtio_used(const struct function *f, unsigned q)
{
    return (virtio_avail(f, q) + 6 + 2 * f->entries + 0xfff) & ~0xfffull;
}

/* By the registers of old, with the size that the device's first queue has. */
static void virtio_start_old(struct fuzz *z, struct function *f)
{
    bar_out(z, f, 0, 18, 0, 1);
    bar_out(z, f, 0, 18, 3, 1);
    bar_out(z, f, 0, 4, bar_in(z, f, 0, 0, 4) & (chance(z, 4) ? rnd(z) : UINT32_MAX), 4);
    for (unsigned i = 0; i < 6; i++) {
        bar_out(z, f, 0, 14, i, 2);
        if (i == 0)
            f->entries = (unsigned)bar_in(z, f, 0, 12, 2);
        bar_out(z, f, 0, 8, (chance(z, 20) ? address(z, 16) : virtio_ring(f, i)) >> 12, 4);
    }
    f->entries = f->entries && f->entries <= 256 ? f->entries : 16;
    bar_out(z, f, 0, 18, 7, 1);
}

static void virtio_start(struct fuzz *z, struct function *f, const struct virtio *v)
{
    f->entries = 16;
#define COMMON(reg, val, size) bar_out(z, f, v->bar[1], v->off[1] + (reg), val, size)
    COMMON(20, 0, 1);
    COMMON(20, 1, 1);
    COMMON(20, 3, 1);
    for (unsigned i = 0; i < 2; i++) {
        COMMON(0, i, 4);
        COMMON(8, i, 4);
        COMMON(12, bar_in(z, f, v->bar[1], v->off[1] + 4, 4) & (chance(z, 4) ? rnd(z) | !!i : UINT32_MAX), 4);
    }
    COMMON(20, 11, 1);
    for (unsigned q = 0; q < 6; q++) {
        uint64_t at = chance(z, 20) ? address(z, 16) : virtio_ring(f, q);

        COMMON(22, q, 2);
        COMMON(24, chance(z, 8) ? value(z) : 16u, 2);
        COMMON(26, chance(z, 4) ? pick(z, 8) : 0xffff, 2);
        COMMON(32, at, 4);
        COMMON(36, at >> 32, 4);
        COMMON(40, virtio_avail(f, q), 4);
        COMMON(44, 0, 4);
        COMMON(48, virtio_used(f, q), 4);
        COMMON(52, 0, 4);
        COMMON(28, 1, 2);
    }
    COMMON(20, 15, 1);
#undef COMMON
}

/* What a driver tells: block, SCSI, control and console requests begin with small numbers. */
static void virtio_request(struct fuzz *z, uint64_t at)
{
    uint8_t cdb[16];

    ram_put(z, at, pick(z, 16), 4);
    ram_put(z, at + 4, value(z), 4);
    ram_put(z, at + 8, chance(z, 4) ? value(z) : pick(z, 8200), 8);
    if (chance(z, 2))
        return;
    ram_put(z, at, 1 | pick(z, 3) << 8 | 0x40 << 16 | pick(z, 2) << 24, 4);      /* a LUN, and a command behind it */
    scsi_command(z, cdb);
    for (unsigned i = 0; i < 16; i++)
        ram_put(z, at + 19 + i, cdb[i], 1);
}

/* The folder's: a message, in one piece or two, and room for the answer. */
static void virtio_p9(struct fuzz *z, uint64_t ring, unsigned head, unsigned number)
{
    uint64_t at = POOL + pick(z, 16) * 0x800 + 0xe8000;
    uint32_t len = p9_message(z, at, number), cut = chance(z, 4) ? pick(z, len) : 0;
    unsigned n = 0;

#define DESCRIPTOR(where, size, flags)                                                                          \
    do {                                                                                                        \
        uint64_t d = ring + 16 * ((head + n) % 16);                                                             \
                                                                                                                \
        ram_put(z, d, where, 8);                                                                                \
        ram_put(z, d + 8, size, 4);                                                                             \
        ram_put(z, d + 12, flags, 2);                                                                           \
        ram_put(z, d + 14, (head + ++n) % 16, 2);                                                               \
    } while (0)
    if (cut)
        DESCRIPTOR(at, cut, 1);
    DESCRIPTOR(at + cut, len - cut, 1);
    DESCRIPTOR(chance(z, 50) ? address(z, 16) : at + 0x8000, chance(z, 100) ? length(z) : 4096u, 2);
#undef DESCRIPTOR
}

/* Half of the time what disks and adapters want: a header, data either way, a status. */
static void virtio_chain(struct fuzz *z, uint64_t ring, unsigned head, bool packed)
{
    bool proper = chance(z, 2);
    unsigned n = proper ? 2 + pick(z, 3) : 1 + pick(z, 4), in_from = proper && chance(z, 2) ? n - 1 : pick(z, n + 1);
    unsigned header = chance(z, 2) ? 51 : 16;

    in_from = proper && !in_from ? 1 : in_from;

    for (unsigned i = 0; i < n; i++) {
        uint64_t d = ring + 16 * ((head + i) % 16), at = address(z, 16);
        unsigned flags = (i + 1 < n ? 1 : 0) | (i >= in_from ? 2 : 0) | (chance(z, 20) ? 4 : 0);

        ram_put(z, d, at, 8);
        ram_put(z, d + 8, !proper ? length(z) : i == 0 ? header : i + 1 < n ? 512 * (1 + pick(z, 9)) : header == 16 ? 1u : 108, 4);
        if (i == 0)
            virtio_request(z, at);
        if (packed) {
            ram_put(z, d + 12, head + i, 2);
            ram_put(z, d + 14, flags | (chance(z, 2) ? 0x80 : 0x8000), 2);
        } else {
            ram_put(z, d + 12, flags, 2);
            ram_put(z, d + 14, chance(z, 20) ? value(z) : (head + i + 1) % 16, 2);
        }
    }
}

/* Some requests in queue q, and the bell. */
static void virtio_ask(struct fuzz *z, struct function *f, const struct virtio *v, unsigned q, bool folder)
{
    for (unsigned n = folder ? 4 : pick(z, 4) + 1, idx; n; n--) {
        unsigned head = folder ? 3 * n : pick(z, 16);

        if (folder && !chance(z, 200))
            virtio_p9(z, virtio_ring(f, q), head, f->asked++);
        else
            virtio_chain(z, virtio_ring(f, q), head, chance(z, 3));
        idx = (unsigned)ram_get(z, virtio_avail(f, q) + 2, 2);
        ram_put(z, virtio_avail(f, q) + 4 + idx % f->entries * 2, chance(z, folder ? 200 : 30) ? value(z) : head, 2);
        ram_put(z, virtio_avail(f, q) + 2, idx + (chance(z, folder ? 200 : 50) ? pick(z, 0x10000) : 1), 2);
    }
    if (v->bar[2] < 6)
        bar_out(z, f, v->bar[2], v->off[2] + 4 * q, q, 2);
    bar_out(z, f, 0, 16, q, 2);
}

static void drive_virtio(struct fuzz *z, struct function *f)
{
    bool folder = f->device == 0x1009 || f->device == 0x1049;
    struct virtio v;

    virtio_find(z, f, &v);
    if (!f->driven || chance(z, folder ? 3 : 30)) {     /* one bad message ends a folder's session */
        if (v.bar[1] < 6 && !chance(z, 4))
            virtio_start(z, f, &v);
        else
            virtio_start_old(z, f);
        for (unsigned i = 0; i < 6; i++)        /* the driver's rings begin at 0 */
            ram_put(z, virtio_avail(f, i), 0, 4);
        f->asked = 0;
    }
    if (!folder)
        virtio_ask(z, f, &v, pick(z, 6), false);
    for (unsigned n = folder ? pick(z, 30) : 0; n; n--) {       /* most of them want what came before */
        virtio_ask(z, f, &v, 0, true);
        if (!chance(z, 3))
            outside_settle(&z->m);
    }
    if (v.bar[4] < 6 && chance(z, 10))
        bar_out(z, f, v.bar[4], v.off[4] + pick(z, 64), value(z), 1u << pick(z, 3));
}

/* ---- NVMe (1.4) ---- */

static void nvme_entry(struct fuzz *z, uint64_t at, bool admin)
{
    static const uint8_t admins[] = { 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 0x10, 0x11, 0x14, 0x80, 0x84 };
    static const uint8_t ios[] = { 0, 1, 2, 4, 5, 8, 9, 0x0d };
    uint8_t op = chance(z, 20) ? (uint8_t)rnd(z) : admin ? admins[pick(z, sizeof(admins))] : ios[pick(z, sizeof(ios))];
    bool queue = admin && (op == 1 || op == 5);
    unsigned id = 1 + pick(z, 3);

    ram_put(z, at, op | (chance(z, 8) ? pick(z, 256) << 8 : 0), 2);
    ram_put(z, at + 2, pick(z, 64), 2);
    ram_put(z, at + 4, chance(z, 10) ? value(z) : 1, 4);
    ram_put(z, at + 24, queue ? POOL + 0x10000 * id + 0x8000 * (op == 1) : address(z, chance(z, 2) ? 4096 : 4), 8);
    ram_put(z, at + 32, address(z, chance(z, 2) ? 4096 : 8), 8);
    ram_put(z, at + 40, queue ? id | (uint64_t)pick(z, 64) << 16 : admin ? pick(z, 16) : pick(z, 8200), 4);
    ram_put(z, at + 44, queue ? 1 | id << 16 : chance(z, 8) ? value(z) : 0, 4);
    ram_put(z, at + 48, chance(z, 4) ? value(z) : pick(z, 32), 4);
    ram_put(z, at + 52, chance(z, 8) ? value(z) : 0, 4);
    ram_put(z, at + 56, chance(z, 8) ? value(z) : 0, 4);
    for (unsigned i = 0; i < 8; i++)            /* a list for PRP 2, or ranges */
        ram_put(z, (ram_get(z, at + 32, 8) & ~7ull) + 8 * i, address(z, 4096), 8);
}

/* Enabled, with three pairs of I/O queues. */
static void nvme_start(struct fuzz *z, struct function *f)
{
    bar_out(z, f, 0, 0x14, 0, 4);
    outside_settle(&z->m);                      /* it is reset when its requests have ended */
    bar_in(z, f, 0, 0x1c, 4);
    bar_out(z, f, 0, 0x24, 0x003f003f, 4);
    bar_out(z, f, 0, 0x28, POOL, 8);
    bar_out(z, f, 0, 0x30, POOL + 0x8000, 8);
    bar_out(z, f, 0, 0x14, 0x460001, 4);
    bar_in(z, f, 0, 0x1c, 4);
    for (unsigned i = 0; i < 6; i++) {
        uint64_t at = POOL + 64 * i;
        unsigned id = 1 + i / 2, sq = i & 1;

        for (unsigned k = 0; k < 64; k += 8)
            ram_put(z, at + k, 0, 8);
        ram_put(z, at, sq ? 1 : 5, 1);
        ram_put(z, at + 24, POOL + 0x10000 * id + 0x8000 * sq, 8);
        ram_put(z, at + 40, id | 63 << 16, 4);
        ram_put(z, at + 44, sq ? 1 | id << 16 : 3, 4);
    }
    bar_out(z, f, 0, 0x1000, 6, 4);
    bar_out(z, f, 0, 0x1004, 6, 4);
}

static void drive_nvme(struct fuzz *z, struct function *f)
{
    unsigned q = pick(z, 4);
    uint64_t sq = q ? POOL + 0x10000 * q + 0x8000 : POOL;

    if (!f->driven || chance(z, 40))
        nvme_start(z, f);
    for (unsigned i = 0; i < 16; i++)
        nvme_entry(z, sq + 64 * pick(z, 64), !q);
    bar_out(z, f, 0, 0x1000 + 8 * q, chance(z, 10) ? value(z) : pick(z, 64), 4);
    bar_out(z, f, 0, 0x1004 + 8 * q, pick(z, 64), 4);
}

/* ---- AHCI (1.3.1): lists of commands with a FIS each ---- */

static void drive_ahci(struct fuzz *z, struct function *f)
{
    static const uint8_t ops[] = { 0x25, 0x35, 0xc8, 0xca, 0x60, 0x61, 0xea, 0xe7, 0xec, 0xa1, 0xa0, 0x06, 0x20, 0x30, 0xef, 0xe0, 0x2f };
    unsigned port = pick(z, 6), regs = 0x100 + 0x80 * port;
    const uint64_t list = POOL + 0x70000 + 0x2000 * port, table = POOL + 0x80000;

    if (!(f->driven & 1u << port) || chance(z, 20)) {
        f->driven |= 1u << port;
        bar_out(z, f, 5, 4, chance(z, 4) ? 1 : 0, 4);
        bar_out(z, f, 5, 4, 0x80000002, 4);
        bar_out(z, f, 5, regs + 0x18, 0, 4);
        bar_out(z, f, 5, regs, list, 4);
        bar_out(z, f, 5, regs + 4, 0, 4);
        bar_out(z, f, 5, regs + 8, list + 0x1000, 4);
        bar_out(z, f, 5, regs + 12, 0, 4);
        bar_out(z, f, 5, regs + 0x30, ~0u, 4);
        bar_out(z, f, 5, regs + 0x14, ~0u, 4);
        bar_out(z, f, 5, regs + 0x18, 0x17, 4);
    }
    for (unsigned slot = 0; slot < 32; slot++) {
        uint64_t h = list + 32 * slot, t = table + 0x400 * slot;
        uint8_t cdb[16];

        ram_put(z, h, 5 | pick(z, 2) << 5 | pick(z, 2) << 6 | (chance(z, 20) ? rnd(z) : 1u + pick(z, 8)) << 16, 4);
        ram_put(z, h + 4, 0, 4);
        ram_put(z, h + 8, chance(z, 20) ? address(z, 128) : t, 8);
        ram_put(z, t, 0x8027 | (uint32_t)(chance(z, 10) ? (uint8_t)rnd(z) : ops[pick(z, sizeof(ops))]) << 16 | pick(z, 8) << 24, 4);
        ram_put(z, t + 4, pick(z, 8300) | 0x40000000, 4);
        ram_put(z, t + 8, chance(z, 4) ? rnd(z) : 0, 4);
        ram_put(z, t + 12, chance(z, 4) ? rnd(z) : pick(z, 16), 2);
        scsi_command(z, cdb);
        for (unsigned i = 0; i < 16; i++)
            ram_put(z, t + 0x40 + i, cdb[i], 1);
        for (unsigned i = 0; i < 8; i++) {
            ram_put(z, t + 0x80 + 16 * i, address(z, 2), 8);
            ram_put(z, t + 0x8c + 16 * i, length(z) | 1, 4);
        }
    }
    bar_out(z, f, 5, regs + 0x34, chance(z, 2) ? rnd(z) : 0, 4);
    bar_out(z, f, 5, regs + 0x38, chance(z, 2) ? rnd(z) : 1u << pick(z, 32), 4);
}

/* ---- network chips: rings of descriptors with an address and a length in front ---- */

static void nic_ring(struct fuzz *z, uint64_t ring, unsigned n, unsigned entry)
{
    for (unsigned i = 0; i < n; i++) {
        ram_put(z, ring + entry * i, address(z, 8), 8);
        ram_put(z, ring + entry * i + 8, chance(z, 4) ? rnd(z) : length(z) & 0xffff, 4);
        ram_put(z, ring + entry * i + 11, rnd(z) & (chance(z, 4) ? 0xff : 0x2b), 1);
        ram_put(z, ring + entry * i + 12, chance(z, 2) ? rnd(z) : 0, 4);
    }
}

static void drive_e1000(struct fuzz *z, struct function *f)
{
    const uint64_t tx = POOL + 0x90000, rx = POOL + 0x91000;

    nic_ring(z, tx, 32, 16);
    nic_ring(z, rx, 32, 16);
    for (unsigned ring = 0; ring < 2; ring++) {
        unsigned at = ring ? 0x3800 : 0x2800;

        bar_out(z, f, 0, at, ring ? tx : rx, 4);
        bar_out(z, f, 0, at + 4, 0, 4);
        bar_out(z, f, 0, at + 8, chance(z, 10) ? value(z) : 512, 4);
        if (chance(z, 4))
            bar_out(z, f, 0, at + 0x10, pick(z, 40), 4);
    }
    bar_out(z, f, 0, 0x100, chance(z, 4) ? value(z) : 0x8002 | pick(z, 4) << 16 | pick(z, 2) << 25 | 0x38, 4);
    bar_out(z, f, 0, 0x400, chance(z, 8) ? value(z) : 0xfa, 4);
    bar_out(z, f, 0, 0xd0, rnd(z), 4);
    bar_out(z, f, 0, 0x2818, pick(z, 32), 4);
    bar_out(z, f, 0, 0x3818, pick(z, 34), 4);
}

static void drive_rtl8139(struct fuzz *z, struct function *f)
{
    const uint64_t tx = POOL + 0x92000, rx = POOL + 0x93000;

    for (unsigned i = 0; i < 32; i++) {         /* the rings of the C+: owner, end of ring, length; address */
        for (unsigned r = 0; r < 2; r++) {
            uint64_t d = (r ? tx : rx) + 16 * i;

            ram_put(z, d, (chance(z, 4) ? rnd(z) : 0xb0000000u | pick(z, 0x2000)) | (i == 31) << 30, 4);
            ram_put(z, d + 4, chance(z, 2) ? rnd(z) : 0, 4);
            ram_put(z, d + 8, address(z, 4), 8);
        }
    }
    bar_out(z, f, 0, 0x37, chance(z, 10) ? value(z) : 0x0c, 1);
    bar_out(z, f, 0, 0x44, chance(z, 4) ? value(z) : 0xf | pick(z, 4) << 11 | 0x700, 4);
    bar_out(z, f, 0, 0x30, address(z, 256), 4);
    bar_out(z, f, 0, 0xe0, chance(z, 2) ? 0 : chance(z, 2) ? 3 : pick(z, 256), 2);
    bar_out(z, f, 0, 0x20, tx, 4);
    bar_out(z, f, 0, 0x24, 0, 4);
    bar_out(z, f, 0, 0xe4, rx, 4);
    bar_out(z, f, 0, 0xe8, 0, 4);
    for (unsigned i = 0; i < 4; i++) {
        if (!(ram_get(z, tx, 1) & 3))
            bar_out(z, f, 0, 0x20 + 4 * i, address(z, 4), 4);
        bar_out(z, f, 0, 0x10 + 4 * i, chance(z, 4) ? value(z) : length(z) & 0x1fff, 4);
    }
    bar_out(z, f, 0, 0xd9, 0x40 | pick(z, 256), 1);
}

static void drive_pcnet(struct fuzz *z, struct function *f)
{
    const uint64_t init = POOL + 0x94000, tx = POOL + 0x95000, rx = POOL + 0x96000;
    unsigned style = pick(z, 4);

#define CSR(n, val) (bar_out(z, f, 0, 0x12, n, 2), bar_out(z, f, 0, 0x10, val, 2))
    for (unsigned i = 0; i < 32; i++) {
        for (unsigned r = 0; r < 2; r++) {
            uint64_t d = (r ? tx : rx) + 16 * i;

            ram_put(z, d, chance(z, 2) ? address(z, 4) : 0xf000u | pick(z, 0x1000) | (uint64_t)rnd(z) << 16, 4);
            ram_put(z, d + 4, 0x8300f000u | pick(z, 0x1000) | (chance(z, 4) ? rnd(z) : 0), 4);
            ram_put(z, d + 8, chance(z, 2) ? address(z, 4) : rnd(z), 4);
            ram_put(z, d + 12, rnd(z), 4);
        }
    }
    for (unsigned i = 0; i < 28; i += 4)
        ram_put(z, init + i, chance(z, 4) ? rnd(z) : 0, 4);
    ram_put(z, init, chance(z, 4) ? rnd(z) : 0x50500000u | (chance(z, 3) ? 0x4 : 0), 4);
    ram_put(z, init + 20, rx, 4);
    ram_put(z, init + 24, tx, 4);
    bar_in(z, f, 0, 0x14, 2);
    CSR(0, 4);
    CSR(58, style);
    CSR(1, init & 0xffff);
    CSR(2, init >> 16);
    if (chance(z, 4))
        CSR(pick(z, 128), value(z));
    CSR(0, 0x41);
    CSR(0, 0x42 | 8);
#undef CSR
}

/* The National Semiconductor 8390's pages, and the card's memory behind remote DMA. */
void drive_ne2000(struct fuzz *z, struct function *f)
{
    unsigned len = chance(z, 4) ? pick(z, 0x10000) : 60 + pick(z, 1500), n;

    bar_out(z, f, 0, 0, 0x21, 1);
    bar_out(z, f, 0, 0x0e, chance(z, 4) ? pick(z, 128) : 0x49, 1);
    bar_out(z, f, 0, 0x0c, chance(z, 4) ? pick(z, 64) : 0x1c, 1);
    bar_out(z, f, 0, 0x0d, chance(z, 4) ? pick(z, 32) : 0, 1);
    bar_out(z, f, 0, 1, chance(z, 4) ? pick(z, 256) : 0x46, 1);
    bar_out(z, f, 0, 2, chance(z, 4) ? pick(z, 256) : 0x80, 1);
    bar_out(z, f, 0, 3, chance(z, 4) ? pick(z, 256) : 0x46 + pick(z, 0x3a), 1);
    bar_out(z, f, 0, 7, 0xff, 1);
    bar_out(z, f, 0, 0x0f, pick(z, 256), 1);
    bar_out(z, f, 0, 0, 0x62, 1);
    for (unsigned i = 1; i < 16; i++)
        bar_out(z, f, 0, i, i == 7 && !chance(z, 4) ? 0x46 + pick(z, 0x3a) : rnd(z), 1);
    bar_out(z, f, 0, 0, 0x22, 1);
    for (unsigned i = 0; i < 2; i++) {
        bar_out(z, f, 0, 8 + i, chance(z, 2) ? 0x40 * i : pick(z, 256), 1);
        bar_out(z, f, 0, 0x0a + i, len >> 8 * i & 0xff, 1);
        bar_out(z, f, 0, 5 + i, len >> 8 * i & 0xff, 1);
    }
    bar_out(z, f, 0, 0, chance(z, 2) ? 0x12 : 0x0a, 1);
    for (n = pick(z, 800); n; n--) {
        if (chance(z, 2))
            bar_in(z, f, 0, 0x10, 1u << pick(z, 3));
        else
            bar_out(z, f, 0, 0x10, rnd(z), 1u << pick(z, 3));
    }
    bar_out(z, f, 0, 4, chance(z, 4) ? pick(z, 256) : 0x40, 1);
    bar_out(z, f, 0, 0, 0x26, 1);
}

/* ---- sound ---- */

static void drive_ac97(struct fuzz *z, struct function *f)
{
    for (unsigned box = 0; box < 3; box++) {
        uint64_t list = POOL + 0x98000 + 0x100 * box;

        for (unsigned i = 0; i < 32; i++) {
            ram_put(z, list + 8 * i, address(z, 4), 4);
            ram_put(z, list + 8 * i + 4, pick(z, chance(z, 4) ? 0x10000 : 600) | pick(z, 4) << 30, 4);
        }
        bar_out(z, f, 1, 16 * box, list, 4);
        bar_out(z, f, 1, 16 * box + 5, pick(z, 32), 1);
        bar_out(z, f, 1, 16 * box + 11, chance(z, 4) ? pick(z, 32) : 0x1d, 1);
    }
    bar_out(z, f, 0, 2 * pick(z, 64), value(z), 2);
    bar_out(z, f, 1, 0x2c, chance(z, 4) ? value(z) : 2, 4);
}

static void drive_hda(struct fuzz *z, struct function *f)
{
    const uint64_t corb = POOL + 0x9a000, rirb = POOL + 0x9b000, list = POOL + 0x9c000;

    for (unsigned i = 0; i < 256; i++) {
        static const uint16_t verbs[] = { 0xf00, 0x706, 0x707, 0x705, 0x703, 0xf02, 0x200, 0x300, 0xb00, 0x701, 0x708, 0x7ff, 0x70c };

        ram_put(z, corb + 4 * i, (chance(z, 8) ? pick(z, 16) : pick(z, 3)) << 28 | pick(z, 8) << 20 |
                (chance(z, 8) ? pick(z, 0x1000) : verbs[pick(z, 13)]) << 8 | pick(z, 256), 4);
    }
    for (unsigned i = 0; i < 32; i++) {
        ram_put(z, list + 16 * i, address(z, 128), 8);
        ram_put(z, list + 16 * i + 8, length(z), 4);
        ram_put(z, list + 16 * i + 12, pick(z, 2), 4);
    }
    bar_out(z, f, 0, 8, chance(z, 20) ? 0 : 1, 4);
    bar_out(z, f, 0, 0x20, rnd(z) | 0xc0000000u, 4);
    bar_out(z, f, 0, 0x40, corb, 4);
    bar_out(z, f, 0, 0x44, 0, 4);
    bar_out(z, f, 0, 0x50, rirb, 4);
    bar_out(z, f, 0, 0x54, 0, 4);
    bar_out(z, f, 0, 0x4e, pick(z, 256), 1);
    bar_out(z, f, 0, 0x5e, pick(z, 256), 1);
    bar_out(z, f, 0, 0x5a, pick(z, 256), 2);
    bar_out(z, f, 0, 0x4c, 2 + pick(z, 2), 1);
    bar_out(z, f, 0, 0x5c, 2 + pick(z, 6), 1);
    bar_out(z, f, 0, 0x48, pick(z, 256), 2);
    for (unsigned s = 0; s < 8; s++) {
        unsigned at = 0x80 + 0x20 * s;

        if (!chance(z, 3))
            continue;
        bar_out(z, f, 0, at + 0x18, list, 4);
        bar_out(z, f, 0, at + 0x1c, 0, 4);
        bar_out(z, f, 0, at + 8, length(z), 4);
        bar_out(z, f, 0, at + 12, pick(z, 32), 2);
        bar_out(z, f, 0, at + 0x12, chance(z, 4) ? value(z) : 0x11, 2);
        bar_out(z, f, 0, at, (1 + pick(z, 3)) << 20 | (chance(z, 10) ? pick(z, 32) : 0x1e), 4);
    }
}

/* ---- who drives what ---- */

static const struct {
    uint32_t what, mask;        /* class, or vendor and device */
    bool id;
    void (*drive)(struct fuzz *, struct function *);
} drivers[] = {
    { 0x1af40000, 0xffff0000, true, drive_virtio },
    { 0x8086100e, 0xffffffff, true, drive_e1000 },
    { 0x10ec8139, 0xffffffff, true, drive_rtl8139 },
    { 0x10222000, 0xffffffff, true, drive_pcnet },
    { 0x10ec8029, 0xffffffff, true, drive_ne2000 },
    { 0x010802, 0xffffff, false, drive_nvme },
    { 0x010601, 0xffffff, false, drive_ahci },
    { 0x0c0300, 0xffffff, false, drive_uhci },
    { 0x0c0320, 0xffffff, false, drive_ehci },
    { 0x0c0330, 0xffffff, false, drive_xhci },
    { 0x040100, 0xffff00, false, drive_ac97 },
    { 0x040300, 0xffff00, false, drive_hda },
};

void drive(struct fuzz *z, struct function *f)
{
    for (unsigned i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
        uint32_t what = drivers[i].id ? f->vendor << 16 | f->device : f->class;

        if ((what & drivers[i].mask) == drivers[i].what) {
            drivers[i].drive(z, f);
            f->driven |= 1u << 31;
            return;
        }
    }
}

/* A folder's session is not saved: it ends when the driver does. */
void drive_to_rest(struct fuzz *z)
{
    for (unsigned i = 0; i < z->nfns; i++) {
        struct function *f = &z->fn[i];
        struct virtio v;

        if (f->vendor != 0x1af4 || (f->device != 0x1009 && f->device != 0x1049))
            continue;
        config_out(z, f->devfn, 4, 7, 2);
        virtio_find(z, f, &v);
        if (v.bar[1] < 6)
            bar_out(z, f, v.bar[1], v.off[1] + 20, 0, 1);
        bar_out(z, f, 0, 18, 0, 1);
    }
}
