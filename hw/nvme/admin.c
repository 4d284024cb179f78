/*
 * admin.c - NVMe admin commands (NVM Express 1.4, chapter 5): queues, identification, events; features.c
 * and log.c have the rest.
 *
 * Requests the disk has cannot be called back, so ABORT aborts asynchronous event requests alone.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "hw/nvme/nvme_int.h"

enum { OP_DELETE_SQ, OP_CREATE_SQ, OP_GET_LOG, OP_DELETE_CQ = 4, OP_CREATE_CQ, OP_IDENTIFY, OP_ABORT = 8,
       OP_SET_FEATURES, OP_GET_FEATURES, OP_EVENT = 12 };

enum { CNS_NAMESPACE, CNS_CONTROLLER, CNS_ACTIVE, CNS_DESCRIPTORS };

#define CONTIGUOUS 1u           /* dword 11 of queue creations */
#define INTERRUPTS 2u
#define ID_LEN     4096
#define UUID       3            /* type of a namespace's name */

/* ---- queues ---- */

/* What both kinds of queue need; `size` in entries. */
static uint16_t check_queue(struct nvme_cmd *c, const uint16_t *sizes, unsigned *q, unsigned *size,
                            uint64_t *at)
{
    *q = c->dw[10] & 0xffff;
    *size = (c->dw[10] >> 16) + 1;
    *at = c->dw[6] | (uint64_t)c->dw[7] << 32;
    if (!*q || *q > c->s->config.ioqpairs || sizes[*q])
        return NVME_BAD_QID;
    if (*size < 2 || *size > QUEUE_MAX)
        return NVME_BAD_QSIZE;
    if (!(c->dw[11] & CONTIGUOUS))
        return NVME_BAD_FIELD;
    return *at & ((4096ull << (c->s->cc >> 7 & 15)) - 1) ? NVME_BAD_PRP : NVME_OK;
}

static uint16_t create_cq(struct nvme_cmd *c)
{
    struct nvme *s = c->s;
    unsigned q, size, vector = c->dw[11] >> 16;
    uint64_t at;
    uint16_t status = check_queue(c, s->cq_size, &q, &size, &at);

    if (status)
        return status;
    if (vector >= nvme_vectors(s) || (vector && !pci_msix_on(s->pci)))
        return NVME_BAD_VECTOR;
    if ((s->cc >> 20 & 15) != 4)                /* entries of 16 bytes: CC.IOCQES */
        return NVME_BAD_QSIZE;
    s->cq_at[q] = at;
    s->cq_size[q] = size;
    s->cq_head[q] = s->cq_tail[q] = 0;
    s->cq_phase[q] = 1;
    s->cq_ien[q] = (c->dw[11] & INTERRUPTS) != 0;
    s->cq_vector[q] = vector;
    return NVME_OK;
}

static uint16_t create_sq(struct nvme_cmd *c)
{
    struct nvme *s = c->s;
    unsigned q, size, cq = c->dw[11] >> 16;
    uint64_t at;
    uint16_t status = check_queue(c, s->sq_size, &q, &size, &at);

    if (status)
        return status;
    if (!cq || cq >= QUEUES || !s->cq_size[cq])
        return cq && cq <= s->config.ioqpairs ? NVME_BAD_CQ : NVME_BAD_QID;
    if ((s->cc >> 16 & 15) != 6)                /* entries of 64 bytes: CC.IOSQES */
        return NVME_BAD_QSIZE;
    s->sq_at[q] = at;
    s->sq_size[q] = size;
    s->sq_head[q] = s->sq_tail[q] = 0;
    s->sq_cq[q] = cq;
    return NVME_OK;
}

static uint16_t delete_sq(struct nvme_cmd *c)
{
    struct nvme *s = c->s;
    unsigned q = c->dw[10] & 0xffff;

    if (!q || q >= QUEUES || !s->sq_size[q] || s->ending[q])
        return NVME_BAD_QID;
    nvme_sq_delete(s, q, c->dw[0] >> 16);
    return NVME_KEPT;
}

static uint16_t delete_cq(struct nvme_cmd *c)
{
    struct nvme *s = c->s;
    unsigned q = c->dw[10] & 0xffff;

    if (!q || q >= QUEUES || !s->cq_size[q])
        return NVME_BAD_QID;
    for (unsigned i = 1; i < QUEUES; i++)
        if (s->sq_size[i] && s->sq_cq[i] == q)
            return NVME_BAD_DELETE;
    s->cq_size[q] = 0;
    return NVME_OK;
}

/* ---- identification ---- */

static void text(uint8_t *p, const char *s, size_t len)
{
    memset(p, ' ', len);
    memcpy(p, s, strlen(s) < len ? strlen(s) : len);
}

static void controller(const struct nvme *s, uint8_t *p)
{
    const uint8_t *u = s->uuid;

    nvme_put(p, 2, pci_config(s->pci, 0, 2));
    nvme_put(p + 2, 2, pci_config(s->pci, 0x2c, 2));
    text(p + 4, s->serial, 20);
    text(p + 24, "Latimer NVMe", 40);
    text(p + 64, NVME_FIRMWARE, 8);
    p[77] = s->config.mdts;
    nvme_put(p + 80, 4, NVME_VERSION);
    nvme_put(p + 92, 4, 1u << 8);               /* events: namespace attributes */
    p[111] = 1;                                 /* an I/O controller */
    p[258] = 3;                                 /* at once: four aborts, ... */
    p[259] = AERS - 1;                          /* ... asynchronous event requests */
    p[260] = 3;                                 /* one firmware slot, read-only */
    p[261] = 2 | 4;                             /* command effects log, long log pages with offsets */
    p[262] = ERRORS - 1;
    nvme_put(p + 266, 2, TEMPERATURE_WARN);
    nvme_put(p + 268, 2, TEMPERATURE_WARN + 30);
    p[512] = 0x66;                              /* sizes of queue entries: 64, 16 */
    p[513] = 0x44;
    nvme_put(p + 516, 4, 1);                    /* namespaces */
    /* Compare, dataset management, write zeroes, select, verify. */
    nvme_put(p + 520, 2, 1 | 4 | 8 | 16 | 128);
    p[525] = 7;                                 /* a write cache; flush takes all namespaces, too */
    nvme_put(p + 536, 4, 1);                    /* SGLs, of any alignment */
    snprintf((char *)p + 768, 256,
             "nqn.2014-08.org.nvmexpress:uuid:"
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2], u[3],
             u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
    nvme_put(p + 2048, 2, 2500);                /* power state 0: 25 W */
}

static void namespace(const struct nvme *s, uint8_t *p)
{
    for (unsigned i = 0; i < 3; i++)            /* size, capacity, use */
        nvme_put(p + 8 * i, 8, nvme_blocks(s));
    p[33] = 8;                                  /* write zeroes may deallocate */
    p[99] = nvme_read_only(s);
    p[128 + 2] = s->config.block_size == 4096 ? 12 : 9;
}

static uint16_t identify(struct nvme_cmd *c)
{
    struct nvme *s = c->s;
    uint8_t p[ID_LEN] = { 0 };
    uint32_t nsid = c->dw[1];
    uint16_t status;

    switch (c->dw[10] & 0xff) {
    case CNS_NAMESPACE:
        if (nsid != NSID)
            return NVME_BAD_NAMESPACE;
        namespace(s, p);
        break;
    case CNS_CONTROLLER:
        controller(s, p);
        break;
    case CNS_ACTIVE:                            /* those with larger numbers than the one given */
        if (nsid >= NSID_ALL - 1)
            return NVME_BAD_NAMESPACE;
        if (nsid < NSID)
            nvme_put(p, 4, NSID);
        break;
    case CNS_DESCRIPTORS:
        if (nsid != NSID)
            return NVME_BAD_NAMESPACE;
        p[0] = UUID;
        p[1] = sizeof(s->uuid);
        memcpy(p + 4, s->uuid, sizeof(s->uuid));
        break;
    default:
        log_msg(LOG_UNIMP, "nvme: identify %#x", c->dw[10] & 0xff);
        return NVME_BAD_FIELD;
    }
    status = nvme_map(c, ID_LEN, true);
    if (!status)
        nvme_data_put(c, p);
    return status;
}

/* ---- the rest ---- */

static uint16_t event_request(struct nvme_cmd *c)
{
    struct nvme *s = c->s;

    if (s->naer == AERS)
        return NVME_AERS_FULL;
    s->aer[s->naer++] = c->dw[0] >> 16;
    return NVME_KEPT;
}

static uint16_t abort_command(struct nvme_cmd *c)
{
    struct nvme *s = c->s;
    unsigned sq = c->dw[10] & 0xffff, cid = c->dw[10] >> 16;

    c->result = 1;                              /* not aborted */
    if (!sq && nvme_event_abort(s, cid))
        c->result = 0;
    return NVME_OK;
}

uint16_t nvme_admin(struct nvme_cmd *c)
{
    switch (c->dw[0] & 0xff) {
    case OP_DELETE_SQ: return delete_sq(c);
    case OP_CREATE_SQ: return create_sq(c);
    case OP_GET_LOG: return nvme_get_log(c);
    case OP_DELETE_CQ: return delete_cq(c);
    case OP_CREATE_CQ: return create_cq(c);
    case OP_IDENTIFY: return identify(c);
    case OP_ABORT: return abort_command(c);
    case OP_SET_FEATURES: return nvme_set_features(c);
    case OP_GET_FEATURES: return nvme_get_features(c);
    case OP_EVENT: return event_request(c);
    }
    log_msg(LOG_UNIMP, "nvme: admin command %#x", c->dw[0] & 0xff);
    return NVME_BAD_OPCODE;
}
