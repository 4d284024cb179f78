/*
 * fw_cfg.c - the firmware configuration device of emulated PCs (documented as "fw_cfg" by the project that
 * introduced it): selector 510h, data 511h, DMA from 514h.
 *
 * The selector names an item and rewinds; each read of the data port gives its next byte, and zeros behind
 * its end. Through the DMA address register (big-endian, the write of its lower half starts) a
 * guest names a structure {control, length, address} that reads, skips and selects many bytes at once;
 * control tells the end: 0, or 1 for an error. Some files can be written, by DMA alone; what they are for is the
 * state of whom they were made for.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/trace.h"
#include "hw/fw_cfg.h"

#define KEY_SIGNATURE 0x00
#define KEY_ID        0x01
#define KEY_FILE_DIR  0x19
#define KEY_FILES     0x20
#define ID_VERSION 1u
#define ID_DMA     2u

#define DMA_ERROR  1u
#define DMA_READ   2u
#define DMA_SKIP   4u
#define DMA_SELECT 8u
#define DMA_WRITE  16u

#define ITEMS 96
#define NAME  (FW_CFG_NAME + 1)
#define DIR_ENTRY (8 + NAME)

struct item {
    uint16_t key;
    uint8_t *data;
    uint32_t len;
    void (*asked)(void *);
    void *arg;
    void (*wrote)(void *, const uint8_t *, size_t);     /* NULL: it cannot be written */
    void *wrote_arg;
};

struct fw_cfg {
    struct phys *phys;
    uint16_t key;
    uint32_t at;
    uint32_t dma_high;
    struct item item[ITEMS];
    unsigned n, files;
};

static const struct field fw_cfg_state[] = {
    FIELD(struct fw_cfg, key), FIELD(struct fw_cfg, at), FIELD(struct fw_cfg, dma_high), FIELD_END
};

/* ---- items ---- */

static struct item *find(const struct fw_cfg *s, unsigned key)
{
    for (unsigned i = 0; i < s->n; i++)
        if (s->item[i].key == key)
            return (struct item *)&s->item[i];
    return NULL;
}

static uint8_t *grow(uint8_t *old, size_t len)
{
    uint8_t *p = realloc(old, len ? len : 1);

    if (!p)
        die(EXIT_CODE_HOST, "out of memory for the firmware's configuration");
    return p;
}

void fw_cfg_item(struct fw_cfg *s, unsigned key, const void *data, size_t len)
{
    struct item *it;

    assert(s->n < ITEMS && !find(s, key));
    it = &s->item[s->n++];
    *it = (struct item){ .key = key, .data = grow(NULL, len), .len = len };
    memcpy(it->data, data, len);
}

static void put_le(uint8_t *p, uint64_t v, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        p[i] = v >> 8 * i;
}

static void put_be(uint8_t *p, uint64_t v, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        p[i] = v >> 8 * (size - 1 - i);
}

static uint64_t get_be(const uint8_t *p, unsigned size)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < size; i++)
        v = v << 8 | p[i];
    return v;
}

void fw_cfg_number(struct fw_cfg *s, unsigned key, uint64_t val, unsigned size)
{
    uint8_t b[8];

    put_le(b, val, size);
    fw_cfg_item(s, key, b, size);
}

/* The directory: how many, then size, key, 2 bytes reserved and name of each, big-endian. */
void fw_cfg_file(struct fw_cfg *s, const char *name, const void *data, size_t len)
{
    struct item *dir = find(s, KEY_FILE_DIR);
    unsigned key = KEY_FILES + s->files++;
    uint8_t *entry;

    assert(strlen(name) < NAME);
    dir->data = grow(dir->data, dir->len + DIR_ENTRY);
    entry = dir->data + dir->len;
    dir->len += DIR_ENTRY;
    put_be(dir->data, s->files, 4);
    memset(entry, 0, DIR_ENTRY);
    put_be(entry, len, 4);
    put_be(entry + 4, key, 2);
    memcpy(entry + 8, name, strlen(name));
    fw_cfg_item(s, key, data, len);
}

void fw_cfg_file_number(struct fw_cfg *s, const char *name, uint64_t val, unsigned size)
{
    uint8_t b[8];

    put_le(b, val, size);
    fw_cfg_file(s, name, b, size);
}

static struct item *file(const struct fw_cfg *s, const char *name)
{
    const struct item *dir = find(s, KEY_FILE_DIR);

    for (unsigned i = 0; i < s->files; i++) {
        const uint8_t *entry = dir->data + 4 + i * DIR_ENTRY;

        if (strcmp((const char *)entry + 8, name) == 0)
            return find(s, get_be(entry + 4, 2));
    }
    return NULL;
}

bool fw_cfg_has_file(const struct fw_cfg *s, const char *name)
{
    return file(s, name) != NULL;
}

void fw_cfg_file_again(struct fw_cfg *s, const char *name, const void *data, size_t len)
{
    struct item *it = file(s, name);

    assert(it && it->len == len);
    memcpy(it->data, data, len);
}

void fw_cfg_file_asked(struct fw_cfg *s, const char *name, void (*fn)(void *), void *arg)
{
    struct item *it = file(s, name);

    assert(it);
    it->asked = fn;
    it->arg = arg;
}

void fw_cfg_file_writable(struct fw_cfg *s, const char *name, void (*fn)(void *, const uint8_t *, size_t), void *arg)
{
    struct item *it = file(s, name);

    assert(it);
    it->wrote = fn;
    it->wrote_arg = arg;
}

/* ---- selector and data ---- */

static void select_item(struct fw_cfg *s, uint16_t key)
{
    const struct item *it = find(s, key);

    trace_fw_cfg_select(key);
    s->key = key;
    s->at = 0;
    if (it && it->asked)
        it->asked(it->arg);
}

static void skip(struct fw_cfg *s, uint32_t n)
{
    s->at = n < UINT32_MAX - s->at ? s->at + n : UINT32_MAX;
}

static void take(struct fw_cfg *s, uint8_t *buf, uint32_t n)
{
    const struct item *it = find(s, s->key);
    uint32_t left = it && s->at < it->len ? it->len - s->at : 0, some = n < left ? n : left;

    if (some)
        memcpy(buf, it->data + s->at, some);
    memset(buf + some, 0, n - some);
    skip(s, n);
}

static uint64_t port_read(void *dev, uint64_t off, unsigned size)
{
    uint8_t b = 0;

    if (off == 1 && size == 1)
        take(dev, &b, 1);
    return b;
}

static void port_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    if (off == 0 && size == 2)
        select_item(dev, val);
}

/* ---- DMA ---- */

/* False: some of it is no memory. */
static bool transfer(struct fw_cfg *s, uint64_t to, uint32_t len)
{
    uint8_t buf[4096];

    while (len) {
        uint32_t n = len < sizeof(buf) ? len : sizeof(buf);

        take(s, buf, n);
        if (!phys_write(s->phys, to, buf, n))
            return false;
        to += n;
        len -= n;
    }
    return true;
}

/* False: not all of it is memory, or the item is read-only or shorter; then nothing is changed. */
static bool transfer_in(struct fw_cfg *s, uint64_t from, uint32_t len)
{
    const struct item *it = find(s, s->key);
    uint8_t buf[64];

    if (!it || !it->wrote || it->len > sizeof(buf) || s->at > it->len || len > it->len - s->at)
        return false;
    memcpy(buf, it->data, it->len);
    if (!phys_read(s->phys, from, buf + s->at, len))
        return false;
    memcpy(it->data, buf, it->len);
    skip(s, len);
    it->wrote(it->wrote_arg, it->data, it->len);
    return true;
}

static void dma(struct fw_cfg *s, uint64_t pa)
{
    uint8_t request[16], answer[4];
    uint32_t control, len;
    bool ok = true;

    if (!phys_read(s->phys, pa, request, sizeof(request))) {
        log_msg(LOG_GUEST, "fw_cfg: no memory at %#llx for a DMA request", (unsigned long long)pa);
        return;
    }
    control = get_be(request, 4);
    len = get_be(request + 4, 4);
    trace_fw_cfg_dma(pa, control, len, get_be(request + 8, 8));
    if (control & DMA_SELECT)
        select_item(s, control >> 16);
    if (control & DMA_READ)
        ok = transfer(s, get_be(request + 8, 8), len);
    else if (control & DMA_WRITE)
        ok = transfer_in(s, get_be(request + 8, 8), len);
    else if (control & DMA_SKIP)
        skip(s, len);
    put_be(answer, ok ? 0 : DMA_ERROR, 4);
    phys_write(s->phys, pa, answer, sizeof(answer));
}

/* Values of the register are big-endian, those of ports little-endian. */
static uint32_t swap(uint32_t v)
{
    return v >> 24 | (v >> 8 & 0xff00) | (v << 8 & 0xff0000) | v << 24;
}

static uint64_t dma_read(void *dev, uint64_t off, unsigned size)
{
    return swap(off ? 0x20434647 : 0x51454d55);         /* "QEMU CFG" */
}

static void dma_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct fw_cfg *s = dev;
    uint32_t v = swap(val), high = s->dma_high;

    if (off == 0) {
        s->dma_high = v;
        return;
    }
    s->dma_high = 0;
    dma(s, (uint64_t)high << 32 | v);
}

static void fw_cfg_reset(void *dev)
{
    struct fw_cfg *s = dev;

    select_item(s, 0);
    s->dma_high = 0;
}

static const struct io_ops port_ops = { port_read, port_write, 1 | 2, LOG_DEV_FW_CFG };
static const struct io_ops dma_ops = { dma_read, dma_write, 4, LOG_DEV_FW_CFG };
static const struct chip fw_cfg_chip = { "fw-cfg", sizeof(struct fw_cfg), fw_cfg_reset, fw_cfg_state, NULL };

struct fw_cfg *fw_cfg_new(struct chip_list *chips, struct ports *ports, struct phys *phys)
{
    struct fw_cfg *s = chip_new(chips, &fw_cfg_chip, "fw-cfg");
    static const uint8_t none[4];

    s->phys = phys;
    fw_cfg_item(s, KEY_SIGNATURE, "QEMU", 4);
    fw_cfg_number(s, KEY_ID, ID_VERSION | ID_DMA, 4);
    fw_cfg_item(s, KEY_FILE_DIR, none, sizeof(none));
    ports_map(ports, FW_CFG_PORT, 2, &port_ops, s, "fw-cfg");
    ports_map(ports, FW_CFG_PORT + 4, 8, &dma_ops, s, "fw-cfg-dma");
    return s;
}

void fw_cfg_free(struct fw_cfg *s)
{
    for (unsigned i = 0; i < s->n; i++)
        free(s->item[i].data);
    s->n = 0;
}
