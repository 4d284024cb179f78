/*
 * features.c - NVMe features (NVM Express 1.4, 5.21.1).
 *
 * None can be saved: each has its default after a reset of the controller.
 * There is one priority, so arbitration's weights are kept and change nothing; the burst holds (nvme.c).
 */
#include "base/log.h"
#include "hw/nvme/nvme_int.h"

enum { F_ARBITRATION = 1, F_POWER, F_TEMPERATURE = 4, F_ERROR_RECOVERY, F_WRITE_CACHE, F_QUEUES,
       F_COALESCING, F_VECTOR, F_ATOMICITY, F_EVENTS };

#define SAVE        (1u << 31)  /* set: dword 10 */
#define CHANGEABLE  4u          /* get, what is supported */
#define PER_NS      2u
#define COALESCE    (1u << 16)  /* interrupt vector configuration: coalescing is off */
#define UNDER       1u          /* temperature: type of the threshold */

enum { SEL_CURRENT, SEL_DEFAULT, SEL_SAVED, SEL_SUPPORTED };

void nvme_features_reset(struct nvme *s)
{
    s->arbitration = 0;
    s->error_recovery = s->coalescing = s->atomicity = s->event_config = 0;
    s->over = TEMPERATURE_WARN;
    s->under = 0;
    s->write_cache = !s->config.cache_off;
    for (unsigned v = 0; v < VECTORS; v++)
        s->uncoalesced[v] = 0;
}

static uint32_t queues(const struct nvme *s)
{
    return (s->config.ioqpairs - 1) | (s->config.ioqpairs - 1) << 16;
}

/* Which temperature threshold dword 11 names; NULL: none. */
static uint16_t *threshold(struct nvme *s, uint32_t dw11)
{
    unsigned sensor = dw11 >> 16 & 15, type = dw11 >> 20 & 3;

    /* Sensor 15: all (set only, but it names the same one). */
    if ((sensor && sensor != 15) || type > UNDER)
        return NULL;
    return type ? &s->under : &s->over;
}

uint16_t nvme_get_features(struct nvme_cmd *c)
{
    struct nvme *s = c->s;
    unsigned id = c->dw[10] & 0xff, sel = c->dw[10] >> 8 & 7, vector = c->dw[11] & 0xffff;
    bool first = sel == SEL_DEFAULT || sel == SEL_SAVED;
    const uint16_t *t;

    if (sel > SEL_SUPPORTED)
        return NVME_BAD_FIELD;
    if (id == F_ERROR_RECOVERY && c->dw[1] != NSID)
        return NVME_BAD_NAMESPACE;
    switch (id) {
    case F_ARBITRATION:
        c->result = first ? 0 : s->arbitration;
        break;
    case F_POWER:
        c->result = 0;                          /* power state 0, the only one */
        break;
    case F_TEMPERATURE:
        t = threshold(s, c->dw[11]);
        if (!t)
            return NVME_BAD_FIELD;
        c->result = !first ? *t : t == &s->over ? TEMPERATURE_WARN : 0;
        break;
    case F_ERROR_RECOVERY:
        c->result = first ? 0 : s->error_recovery;
        break;
    case F_WRITE_CACHE:
        c->result = first ? !s->config.cache_off : s->write_cache;
        break;
    case F_QUEUES:
        c->result = queues(s);
        break;
    case F_COALESCING:
        c->result = first ? 0 : s->coalescing;
        break;
    case F_VECTOR:
        if (vector >= nvme_vectors(s))
            return NVME_BAD_FIELD;
        c->result = vector | (!first && s->uncoalesced[vector] ? COALESCE : 0);
        break;
    case F_ATOMICITY:
        c->result = first ? 0 : s->atomicity;
        break;
    case F_EVENTS:
        c->result = first ? 0 : s->event_config;
        break;
    default:
        return NVME_BAD_FIELD;
    }
    if (sel == SEL_SUPPORTED)
        c->result = CHANGEABLE | (id == F_ERROR_RECOVERY ? PER_NS : 0);
    return NVME_OK;
}

static void warn(struct nvme *s)
{
    if (nvme_warnings(s) & s->event_config & 0xff)
        nvme_event(s, EVENT_SMART, SMART_TEMPERATURE);
}

static bool queues_exist(const struct nvme *s)
{
    for (unsigned q = 1; q < QUEUES; q++)
        if (s->sq_size[q] || s->cq_size[q])
            return true;
    return false;
}

uint16_t nvme_set_features(struct nvme_cmd *c)
{
    struct nvme *s = c->s;
    uint32_t val = c->dw[11];
    unsigned vector = val & 0xffff;
    uint16_t *t;

    if (c->dw[10] & SAVE)
        return NVME_NOT_SAVEABLE;
    switch (c->dw[10] & 0xff) {
    case F_ARBITRATION:
        s->arbitration = val & 0xffffff07u;
        return NVME_OK;
    case F_POWER:
        return val & 0x1f ? NVME_BAD_FIELD : NVME_OK;
    case F_TEMPERATURE:
        t = threshold(s, val);
        if (!t)
            return NVME_BAD_FIELD;
        *t = val;
        warn(s);
        return NVME_OK;
    case F_ERROR_RECOVERY:
        if (c->dw[1] != NSID && c->dw[1] != NSID_ALL)
            return NVME_BAD_NAMESPACE;
        if (val >> 16)                          /* errors for deallocated blocks: not offered */
            return NVME_BAD_FIELD;
        s->error_recovery = val;
        return NVME_OK;
    case F_WRITE_CACHE:
        s->write_cache = val & 1;
        return NVME_OK;
    case F_QUEUES:
        if ((val & 0xffff) == 0xffff || val >> 16 == 0xffff)
            return NVME_BAD_FIELD;
        if (queues_exist(s))
            return NVME_BAD_SEQUENCE;
        c->result = queues(s);
        return NVME_OK;
    case F_COALESCING:
        s->coalescing = val & 0xffff;
        return NVME_OK;
    case F_VECTOR:
        if (vector >= nvme_vectors(s))
            return NVME_BAD_FIELD;
        s->uncoalesced[vector] = val >> 16 & 1;
        return NVME_OK;
    case F_ATOMICITY:
        s->atomicity = val & 1;
        return NVME_OK;
    case F_EVENTS:
        s->event_config = val & 0x1ff;
        warn(s);
        return NVME_OK;
    }
    log_msg(LOG_UNIMP, "nvme: feature %#x", c->dw[10] & 0xff);
    return NVME_BAD_FIELD;
}
