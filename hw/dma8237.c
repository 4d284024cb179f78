/*
 * dma8237.c - two 8237A DMA controllers as in the PC/AT (Intel 8237A data sheet 231466; page registers and
 * what can be read: 82371SB data sheet 290550, 2.5.1).
 *
 * Cycles take no time: a device moves what it wants while its channel may, and block transfers that
 * software asks for are done when the register write returns.  So demand, single and block mode differ in
 * nothing a guest could see but that software requests need block mode.  Memory-to-memory transfers use the
 * page registers of channels 0 and 1.
 *
 * Invariants: a channel moves data only while its controller is enabled, its mask bit is clear and, for
 * channels 0 to 3, channel 4 is in cascade mode and may, too.  Addresses have 24 bits, of which the page
 * register's do not count: a transfer wraps round within 64 KiB (word channels: 128 KiB).  Memory is reached
 * as by other bus masters: RAM alone.
 */
#include "hw/dma8237.h"

#include <string.h>

#include "base/log.h"
#include "base/trace.h"

#define CHANNELS 8
#define CASCADE  4
#define CHUNK    512u

enum { CMD_MEM_TO_MEM = 0x01, CMD_HOLD0 = 0x02, CMD_OFF = 0x04, CMD_ROTATE = 0x10, CMD_DREQ_LOW = 0x40 };
enum { MODE_TYPE = 0x0c, MODE_WRITE = 0x04, MODE_READ = 0x08, MODE_AUTOINIT = 0x10, MODE_DOWN = 0x20,
       MODE_HOW = 0xc0, MODE_BLOCK = 0x80, MODE_CASCADE = 0xc0 };
enum { REG_STATUS = 8, REG_REQUEST, REG_MASK_ONE, REG_MODE, REG_FLIPFLOP, REG_TEMP, REG_CLEAR_MASK,
       REG_MASK_ALL };

struct dma8237 {
    struct phys *phys;
    struct { const struct dma_user *user; void *dev; } user[CHANNELS];
    /* by channel */
    uint16_t base_addr[CHANNELS], base_count[CHANNELS], addr[CHANNELS], count[CHANNELS];
    uint8_t mode[CHANNELS];
    /* by controller; bit n: its channel n */
    uint8_t command[2], mask[2], soft[2], dreq[2], tc[2], temp[2];
    uint8_t high[2];            /* the flip-flop: the next byte is the high one */
    uint8_t last[2];            /* the channel that was served last: rotating priority */
    uint8_t page[16];           /* ports 80h-8Fh */
};

/* Which port has a channel's page. */
static const uint8_t page_of[CHANNELS] = { 7, 3, 1, 2, 15, 11, 9, 10 };

static bool down(const struct dma8237 *d, unsigned ch)
{
    return d->mode[ch] & MODE_DOWN;
}

static bool cascades(const struct dma8237 *d, unsigned ch)
{
    return (d->mode[ch] & MODE_HOW) == MODE_CASCADE;
}

/* Bytes of one unit, as a shift. */
static unsigned unit(unsigned ch)
{
    return ch >= CASCADE;
}

static uint32_t pa_of(const struct dma8237 *d, unsigned ch)
{
    uint32_t page = d->page[page_of[ch]];

    return ch < CASCADE ? page << 16 | d->addr[ch] : (page & 0xfe) << 16 | (uint32_t)d->addr[ch] << 1;
}

/* Controller and mask let it; nothing is said of requests. */
static bool may(const struct dma8237 *d, unsigned ch)
{
    unsigned c = ch / 4;

    if ((d->command[c] & CMD_OFF) || d->mask[c] >> (ch & 3) & 1)
        return false;
    return c || (cascades(d, CASCADE) && may(d, CASCADE));
}

bool dma8237_granted(const struct dma8237 *d, unsigned ch)
{
    return ch < CHANNELS && ch != CASCADE && may(d, ch);
}

bool dma8237_attach(struct dma8237 *d, unsigned ch, const struct dma_user *user, void *dev)
{
    if (ch >= CHANNELS || ch == CASCADE || d->user[ch].user)
        return false;
    d->user[ch].user = user;
    d->user[ch].dev = dev;
    return true;
}

void dma8237_detach(struct dma8237 *d, unsigned ch)
{
    dma8237_request(d, ch, false);
    d->user[ch].user = NULL;
}

void dma8237_request(struct dma8237 *d, unsigned ch, bool level)
{
    uint8_t bit = 1u << (ch & 3);

    d->dreq[ch / 4] = level ? d->dreq[ch / 4] | bit : d->dreq[ch / 4] & ~bit;
}

/* ---- cycles ---- */

/* `units` of the channel are over; true: terminal count. */
static bool advance(struct dma8237 *d, unsigned ch, unsigned units)
{
    unsigned c = ch / 4, bit = 1u << (ch & 3);
    bool end = units > d->count[ch];

    d->addr[ch] += down(d, ch) ? -units : units;
    d->count[ch] -= units;
    d->last[c] = ch & 3;
    if (!end)
        return false;
    d->tc[c] |= bit;
    d->soft[c] &= ~bit;
    if (d->mode[ch] & MODE_AUTOINIT) {
        d->addr[ch] = d->base_addr[ch];
        d->count[ch] = d->base_count[ch];
    } else {
        d->mask[c] |= bit;
    }
    return true;
}

/* The units of a run that goes down in memory are the other way round there. */
static void swap_units(uint8_t *p, unsigned len, unsigned shift)
{
    for (unsigned a = 0, b = len - (1u << shift); a < b; a += 1u << shift, b -= 1u << shift) {
        for (unsigned i = 0; i < 1u << shift; i++) {
            uint8_t x = p[a + i];

            p[a + i] = p[b + i];
            p[b + i] = x;
        }
    }
}

/* At most this many units before the count ends, the address wraps or the chunk is full. */
static unsigned run_of(const struct dma8237 *d, unsigned ch, unsigned len)
{
    unsigned n = len >> unit(ch), wrap = down(d, ch) ? d->addr[ch] + 1u : 0x10000u - d->addr[ch];

    n = n < CHUNK >> unit(ch) ? n : CHUNK >> unit(ch);
    n = n < wrap ? n : wrap;
    return n <= d->count[ch] ? n : d->count[ch] + 1u;
}

/* One run between `p` and memory, as the mode says. */
static void move(struct dma8237 *d, unsigned ch, uint8_t *p, unsigned units, bool to_memory)
{
    unsigned shift = unit(ch), len = units << shift;
    uint32_t pa = pa_of(d, ch) - (down(d, ch) ? len - (1u << shift) : 0);
    bool ok = true;

    if ((d->mode[ch] & MODE_TYPE) == (to_memory ? MODE_WRITE : MODE_READ)) {
        uint8_t turned[CHUNK];

        if (to_memory) {
            memcpy(turned, p, len);
            if (down(d, ch))
                swap_units(turned, len, shift);
            ok = phys_dma_write(d->phys, pa, turned, len);
        } else {
            ok = phys_dma_read(d->phys, pa, p, len);
            if (down(d, ch))
                swap_units(p, len, shift);
        }
    } else {
        if (!to_memory)
            memset(p, 0xff, len);
        if (d->mode[ch] & MODE_TYPE)
            log_msg(LOG_GUEST, "dma: channel %u is programmed for the other direction (mode %02x)", ch,
                    d->mode[ch]);
    }
    if (!ok)
        log_msg(LOG_GUEST, "dma: channel %u: %u bytes at %06x are not all memory", ch, len, pa);
}

static unsigned transfer(struct dma8237 *d, unsigned ch, uint8_t *p, unsigned len, bool to_memory, bool *tc)
{
    unsigned done = 0;
    uint32_t pa = pa_of(d, ch);

    *tc = false;
    if (cascades(d, ch))
        log_msg(LOG_GUEST, "dma: channel %u is in cascade mode, and its device no bus master", ch);
    while (!*tc && dma8237_granted(d, ch) && !cascades(d, ch) && len - done >= 1u << unit(ch)) {
        unsigned n = run_of(d, ch, len - done);

        move(d, ch, p + done, n, to_memory);
        done += n << unit(ch);
        *tc = advance(d, ch, n);
    }
    trace_dma_transfer(ch, to_memory, pa, len, done);
    return done;
}

unsigned dma8237_to_memory(struct dma8237 *d, unsigned ch, const void *buf, unsigned len, bool *tc)
{
    return transfer(d, ch, (uint8_t *)(uintptr_t)buf, len, true, tc);   /* only read */
}

unsigned dma8237_from_memory(struct dma8237 *d, unsigned ch, void *buf, unsigned len, bool *tc)
{
    return transfer(d, ch, buf, len, false, tc);
}

/* ---- what software asks for ---- */

/* Channel 0's bytes go through the temporary register to channel 1's, until that one's count ends. */
static void mem_to_mem(struct dma8237 *d, unsigned first)
{
    unsigned c = first / 4, to = first + 1;
    bool end;

    do {
        uint8_t b[2] = { 0xff, 0xff };

        if (!phys_dma_read(d->phys, pa_of(d, first), b, 1u << unit(first)))
            log_msg(LOG_GUEST, "dma: memory to memory: nothing to read at %06x", pa_of(d, first));
        d->temp[c] = b[0];
        if (!phys_dma_write(d->phys, pa_of(d, to), b, 1u << unit(to)))
            log_msg(LOG_GUEST, "dma: memory to memory: no memory at %06x", pa_of(d, to));
        if (!(d->command[c] & CMD_HOLD0))
            d->addr[first] += down(d, first) ? -1 : 1;
        d->count[first]--;
        end = advance(d, to, 1);
    } while (!end);
    d->soft[c] &= ~1u;
}

/* A block without a device: nobody takes what is read, and what is written is what a bus has that nobody
 * drives. */
static void soft_block(struct dma8237 *d, unsigned ch)
{
    uint8_t buf[CHUNK];
    bool end, write = (d->mode[ch] & MODE_TYPE) == MODE_WRITE;

    do {
        unsigned n = run_of(d, ch, CHUNK);

        memset(buf, 0xff, sizeof(buf));
        move(d, ch, buf, n, write);
        end = advance(d, ch, n);
    } while (!end);
}

static void soft_requests(struct dma8237 *d, unsigned c)
{
    for (unsigned i = 0; i < 4; i++) {
        unsigned ch = 4 * c + i;

        if (!(d->soft[c] >> i & 1) || (d->command[c] & CMD_OFF) ||
            (!c && !(cascades(d, CASCADE) && may(d, CASCADE))))
            continue;           /* masks do not hold them back */
        if (i == 0 && (d->command[c] & CMD_MEM_TO_MEM))
            mem_to_mem(d, ch);
        else if ((d->mode[ch] & MODE_HOW) == MODE_BLOCK)
            soft_block(d, ch);
    }
}

/* Channels that may now, and could not before a register was written: devices that wait go on. */
static void settle(struct dma8237 *d, unsigned before)
{
    const uint8_t last[2] = { d->last[0], d->last[1] };

    for (unsigned c = 0; c < 2; c++)
        soft_requests(d, c);
    for (unsigned i = 0; i < CHANNELS; i++) {
        unsigned c = i / 4, ch = i;

        if (d->command[c] & CMD_ROTATE)         /* the one behind the last comes first */
            ch = 4 * c + ((last[c] + 1 + i) & 3);
        if (!(before >> ch & 1) && dma8237_granted(d, ch) && (d->dreq[c] >> (ch & 3) & 1) && d->user[ch].user)
            d->user[ch].user->ready(d->user[ch].dev);
    }
}

static unsigned all_granted(const struct dma8237 *d)
{
    unsigned set = 0;

    for (unsigned ch = 0; ch < CHANNELS; ch++)
        set |= (unsigned)dma8237_granted(d, ch) << ch;
    return set;
}

/* ---- registers ---- */

static void master_clear(struct dma8237 *d, unsigned c)
{
    d->command[c] = d->soft[c] = d->tc[c] = d->temp[c] = d->high[c] = 0;
    d->last[c] = 3;             /* channel 0 comes first */
    d->mask[c] = 15;
}

static void put_byte(struct dma8237 *d, unsigned c, uint16_t *base, uint16_t *now, uint8_t val)
{
    unsigned shift = d->high[c] ? 8 : 0;

    *base = (*base & ~(0xffu << shift)) | (unsigned)val << shift;
    *now = (*now & ~(0xffu << shift)) | (unsigned)val << shift;
    d->high[c] ^= 1;
}

static uint8_t get_byte(struct dma8237 *d, unsigned c, uint16_t now)
{
    uint8_t val = d->high[c] ? now >> 8 : now;

    d->high[c] ^= 1;
    return val;
}

static void write_reg(struct dma8237 *d, unsigned c, unsigned reg, uint8_t val)
{
    unsigned ch = 4 * c + (reg < 8 ? reg / 2 : val & 3), bit = 1u << (val & 3);

    switch (reg) {
    case 0: case 2: case 4: case 6:
        put_byte(d, c, &d->base_addr[ch], &d->addr[ch], val);
        break;
    case 1: case 3: case 5: case 7:
        put_byte(d, c, &d->base_count[ch], &d->count[ch], val);
        break;
    case REG_STATUS:
        if ((val & CMD_DREQ_LOW) && !(d->command[c] & CMD_DREQ_LOW))
            log_msg(LOG_GUEST, "dma: controller %u: DREQ active low: no device of a PC has that", c);
        d->command[c] = val;
        break;
    case REG_REQUEST:
        d->soft[c] = val & 4 ? d->soft[c] | bit : d->soft[c] & ~bit;
        break;
    case REG_MASK_ONE:
        d->mask[c] = val & 4 ? d->mask[c] | bit : d->mask[c] & ~bit;
        break;
    case REG_MODE: d->mode[ch] = val & ~3u; break;
    case REG_FLIPFLOP: d->high[c] = 0; break;
    case REG_TEMP: master_clear(d, c); break;
    case REG_CLEAR_MASK: d->mask[c] = 0; break;
    default: d->mask[c] = val & 15; break;
    }
}

static uint8_t read_reg(struct dma8237 *d, unsigned c, unsigned reg)
{
    uint8_t val;

    switch (reg) {
    case 0: case 2: case 4: case 6:
        return get_byte(d, c, d->addr[4 * c + reg / 2]);
    case 1: case 3: case 5: case 7:
        return get_byte(d, c, d->count[4 * c + reg / 2]);
    case REG_STATUS:
        val = d->tc[c] | (d->dreq[c] | d->soft[c]) << 4;
        d->tc[c] = 0;
        return val;
    case REG_TEMP: return d->temp[c];
    case REG_MASK_ALL: return d->mask[c] | 0xf0;
    default: return 0xff;               /* these are written only */
    }
}

static void write_and_settle(struct dma8237 *d, unsigned c, unsigned reg, uint8_t val)
{
    unsigned before = all_granted(d);

    write_reg(d, c, reg, val);
    if (reg >= REG_STATUS)
        settle(d, before);
}

static uint64_t first_read(void *dev, uint64_t off, unsigned size)
{
    return read_reg(dev, 0, off);
}

static void first_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    write_and_settle(dev, 0, off, val);
}

/* The second controller's address line 0 is the bus's line 1. */
static uint64_t second_read(void *dev, uint64_t off, unsigned size)
{
    return read_reg(dev, 1, off >> 1);
}

static void second_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    write_and_settle(dev, 1, off >> 1, val);
}

static uint64_t page_read(void *dev, uint64_t off, unsigned size)
{
    return ((struct dma8237 *)dev)->page[off];
}

/* Ports without a channel hold what is written: POST codes and the like. */
static void page_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    ((struct dma8237 *)dev)->page[off] = val;
}

static void dma8237_reset(void *dev)
{
    struct dma8237 *d = dev;

    for (unsigned c = 0; c < 2; c++)
        master_clear(d, c);
    memset(d->mode, 0, sizeof(d->mode));
    memset(d->page, 0, sizeof(d->page));
}

static const struct io_ops first_ops = { first_read, first_write, 1, LOG_DEV_DMA };
static const struct io_ops second_ops = { second_read, second_write, 1, LOG_DEV_DMA };
static const struct io_ops page_ops = { page_read, page_write, 1, LOG_DEV_DMA };

static const struct field dma8237_state[] = {
    FIELD_ARRAY(struct dma8237, base_addr), FIELD_ARRAY(struct dma8237, base_count),
    FIELD_ARRAY(struct dma8237, addr), FIELD_ARRAY(struct dma8237, count), FIELD_ARRAY(struct dma8237, mode),
    FIELD_ARRAY(struct dma8237, command), FIELD_ARRAY_MAX(struct dma8237, mask, 15),
    FIELD_ARRAY_MAX(struct dma8237, soft, 15),
    FIELD_ARRAY_MAX(struct dma8237, dreq, 15), FIELD_ARRAY_MAX(struct dma8237, tc, 15),
    FIELD_ARRAY(struct dma8237, temp),
    FIELD_ARRAY_MAX(struct dma8237, high, 1), FIELD_ARRAY_MAX(struct dma8237, last, 3), FIELD_ARRAY(struct dma8237, page),
    FIELD_END
};

static const struct chip dma8237_chip = {
    "8237a", sizeof(struct dma8237), dma8237_reset, dma8237_state, NULL
};

struct dma8237 *dma8237_new(struct chip_list *chips, struct ports *ports, struct phys *phys)
{
    struct dma8237 *d = chip_new(chips, &dma8237_chip, "dma");

    d->phys = phys;
    ports_map(ports, 0x00, 16, &first_ops, d, "dma1");
    ports_map(ports, 0x80, 16, &page_ops, d, "dma-pages");
    ports_map(ports, 0xc0, 32, &second_ops, d, "dma2");
    dma8237_reset(d);
    return d;
}
