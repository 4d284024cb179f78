/*
 * log.c - NVMe log pages: errors, health, firmware, changed namespaces, what commands there are
 * (NVM Express 1.4, 5.14).
 */
#include <string.h>

#include "base/log.h"
#include "hw/nvme/nvme_int.h"

enum { LOG_ERROR = 1, LOG_SMART, LOG_FIRMWARE, LOG_CHANGED_NS, LOG_EFFECTS };

#define PAGE_MAX  4096
#define RETAIN    (1u << 15)    /* dword 10: the event that told of the page stays masked */
#define SUPPORTED 1u
#define CHANGES   2u            /* what the namespace holds */
#define HOUR      3600000000000ull
#define WARN_TEMPERATURE 2u

uint8_t nvme_warnings(const struct nvme *s)
{
    return TEMPERATURE >= s->over || TEMPERATURE <= s->under ? WARN_TEMPERATURE : 0;
}

void nvme_log_error(struct nvme_cmd *c, uint16_t status)
{
    struct nvme *s = c->s;
    uint8_t *e = s->error + s->nerrors++ % ERRORS * ERROR_LEN;

    log_msg(LOG_GUEST, "nvme: queue %u: command %#x fails with %#x", c->sq, c->dw[0] & 0xff, status);
    memset(e, 0, ERROR_LEN);
    nvme_put(e, 8, s->nerrors);
    nvme_put(e + 8, 2, c->sq);
    nvme_put(e + 10, 2, c->dw[0] >> 16);
    nvme_put(e + 12, 2, status << 1);
    nvme_put(e + 14, 2, 0xffff);                /* of no field in particular */
    if (c->sq)
        nvme_put(e + 16, 8, c->dw[10] | (uint64_t)c->dw[11] << 32);
    nvme_put(e + 24, 4, c->dw[1]);
}

/* The newest first. */
static void errors(const struct nvme *s, uint8_t *p)
{
    for (uint64_t i = 0; i < ERRORS && i < s->nerrors; i++)
        memcpy(p + i * ERROR_LEN, s->error + (s->nerrors - 1 - i) % ERRORS * ERROR_LEN, ERROR_LEN);
}

static void smart(const struct nvme *s, uint8_t *p)
{
    p[0] = nvme_warnings(s);
    nvme_put(p + 1, 2, TEMPERATURE);
    p[3] = 100;                                 /* available spare, its threshold, wear: per cent */
    p[4] = 10;
    nvme_put(p + 32, 8, (s->read_units + 999) / 1000);
    nvme_put(p + 48, 8, (s->write_units + 999) / 1000);
    nvme_put(p + 64, 8, s->reads);
    nvme_put(p + 80, 8, s->writes);
    nvme_put(p + 112, 8, s->power_cycles);
    nvme_put(p + 128, 8, clock_now(s->clock) / HOUR);
    nvme_put(p + 144, 8, s->shutdowns_unsafe);
    nvme_put(p + 160, 8, s->media_errors);
    nvme_put(p + 176, 8, s->nerrors);
}

static void effects(uint8_t *p)
{
    static const uint8_t admin[] = { 0x00, 0x01, 0x02, 0x04, 0x05, 0x06, 0x08, 0x09, 0x0a, 0x0c };
    static const struct { uint8_t op, effect; } io[] = {
        { 0x00, SUPPORTED }, { 0x01, SUPPORTED | CHANGES }, { 0x02, SUPPORTED }, { 0x05, SUPPORTED },
        { 0x08, SUPPORTED | CHANGES }, { 0x09, SUPPORTED | CHANGES }, { 0x0c, SUPPORTED },
    };

    for (unsigned i = 0; i < sizeof(admin); i++)
        p[4 * admin[i]] = SUPPORTED;
    for (unsigned i = 0; i < sizeof(io) / sizeof(io[0]); i++)
        p[1024 + 4 * io[i].op] = io[i].effect;
}

uint16_t nvme_get_log(struct nvme_cmd *c)
{
    static const struct { uint16_t len; uint8_t event; } pages[] = {
        [LOG_ERROR] = { ERRORS * ERROR_LEN, EVENT_ERROR }, [LOG_SMART] = { 512, EVENT_SMART },
        [LOG_FIRMWARE] = { 512, EVENTS }, [LOG_CHANGED_NS] = { 4096, EVENT_NOTICE },
        [LOG_EFFECTS] = { 4096, EVENTS },
    };
    struct nvme *s = c->s;
    unsigned id = c->dw[10] & 0xff;
    uint64_t len = ((c->dw[10] >> 16 | (uint64_t)(c->dw[11] & 0xffff) << 16) + 1) * 4;
    uint64_t off = c->dw[12] | (uint64_t)c->dw[13] << 32;
    uint8_t page[PAGE_MAX] = { 0 }, out[PAGE_MAX] = { 0 };
    uint16_t status;

    if (!id || id >= sizeof(pages) / sizeof(pages[0]))
        return NVME_BAD_LOG;
    if (off > pages[id].len || (off & 3) || (c->dw[1] && c->dw[1] != NSID_ALL && id == LOG_SMART))
        return NVME_BAD_FIELD;
    /* What lies behind a page's end is not written. */
    if (len > pages[id].len - off)
        len = pages[id].len - off;
    status = len ? nvme_map(c, len, true) : NVME_OK;
    if (status)
        return status;
    switch (id) {
    case LOG_ERROR:
        errors(s, page);
        break;
    case LOG_SMART:
        smart(s, page);
        break;
    case LOG_FIRMWARE:
        page[0] = 1;                            /* slot 1 runs, the only one */
        memcpy(page + 8, NVME_FIRMWARE, 8);
        break;
    case LOG_CHANGED_NS:
        if (s->changed)
            nvme_put(page, 4, NSID);
        break;
    case LOG_EFFECTS:
        effects(page);
        break;
    }
    memcpy(out, page + off, len);
    nvme_data_put(c, out);
    if (c->dw[10] & RETAIN)
        return NVME_OK;
    if (pages[id].event < EVENTS)
        s->masked[pages[id].event] = 0;
    if (id == LOG_CHANGED_NS)
        s->changed = 0;
    return NVME_OK;
}
