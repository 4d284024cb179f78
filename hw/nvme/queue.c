/*
 * queue.c - an NVMe controller's queues: commands fetched, completions posted, events told, interrupts (NVM Express 1.4,
 * chapters 4 and 7.5).
 *
 * A command is fetched only when its completion queue has an entry for it that no other command under way
 * is promised (`owed`), and when there is a slot; so completions never wait.  Asynchronous event requests
 * are promised nothing: they are answered when there is room.
 * A queue, or what a command names, that lies in no RAM: the controller stops (CSTS.CFS), or the command
 * fails.
 *
 * Invariants: the INTx pin is high exactly while some completion queue with interrupts enabled has entries
 * the guest has not taken, its vector is not masked and MSI-X is off; under_way[], owed[] count the slots
 * in use.
 */
#include "hw/nvme/nvme_int.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/trace.h"

#define MORE        0x2000u             /* of a completion's status: the error log has an entry */

/* ---- interrupts ---- */

void nvme_pin_update(struct nvme *s)
{
    bool level = false;

    for (unsigned q = 0; q <= s->config.ioqpairs && !level; q++)
        level = s->cq_size[q] && s->cq_ien[q] && s->cq_head[q] != s->cq_tail[q] &&
                !(s->cq_vector[q] < 32 && s->intms >> s->cq_vector[q] & 1);
    pci_irq(s->pci, level);
}

/* A completion was posted. I/O queues' interrupts may wait for more of them. */
static void interrupt(struct nvme *s, unsigned q)
{
    unsigned v = s->cq_vector[q], more = s->coalescing & 0xff, time = s->coalescing >> 8 & 0xff;

    if (!s->cq_ien[q])
        return;
    if (q && more && time && !s->uncoalesced[v] && s->held[v] < more) {
        s->held[v]++;
        if (s->coalesce_due == UINT64_MAX) {
            s->coalesce_due = clock_now(s->clock) + time * 100000ull;
            timer_set(&s->coalesce, s->coalesce_due);
        }
        return;
    }
    s->held[v] = 0;
    s->due[v / 32] |= 1u << (v & 31);
}

void nvme_coalesced(void *dev)
{
    struct nvme *s = dev;

    s->coalesce_due = UINT64_MAX;
    for (unsigned v = 0; v < VECTORS; v++) {
        if (s->held[v])
            s->due[v / 32] |= 1u << (v & 31);
        s->held[v] = 0;
    }
    nvme_run(s);
}

static void send_due(struct nvme *s)
{
    for (unsigned v = 0; v < VECTORS; v++) {
        if (!(s->due[v / 32] >> (v & 31) & 1))
            continue;
        s->due[v / 32] &= ~(1u << (v & 31));
        if (pci_msix_on(s->pci))
            pci_msi_send(s->pci, v);
    }
    nvme_pin_update(s);
}

/* ---- completions ---- */

static unsigned cq_room(const struct nvme *s, unsigned q)
{
    unsigned used = (s->cq_tail[q] + s->cq_size[q] - s->cq_head[q]) % s->cq_size[q];

    return s->cq_size[q] - 1 - used;
}

static void post(struct nvme *s, unsigned sq, uint16_t cid, uint16_t status, uint32_t result)
{
    unsigned q = s->sq_cq[sq];
    uint64_t at = s->cq_at[q] + (uint64_t)s->cq_tail[q] * CQE;
    uint8_t e[CQE] = { 0 };

    if (!nvme_ready(s))
        return;
    assert(s->cq_size[q] && cq_room(s, q));
    trace_nvme_status(sq, cid, status);
    nvme_put(e, 4, result);
    nvme_put(e + 8, 2, s->sq_head[sq]);
    nvme_put(e + 10, 2, sq);
    nvme_put(e + 12, 2, cid);
    nvme_put(e + 14, 2, s->cq_phase[q] | (unsigned)status << 1);
    /* The phase tells a guest that looks all the time that the entry is there: it comes last. */
    if (!pci_dma_write(s->pci, at, e, 12)) {
        nvme_fatal(s, "a completion queue is not in RAM");
        return;
    }
    __atomic_thread_fence(__ATOMIC_RELEASE);
    pci_dma_write(s->pci, at + 12, e + 12, 4);
    if (++s->cq_tail[q] == s->cq_size[q]) {
        s->cq_tail[q] = 0;
        s->cq_phase[q] ^= 1;
    }
    interrupt(s, q);
}

static void release(struct nvme_cmd *c)
{
    struct nvme *s = c->s;

    if (c->generation == s->generation) {
        s->under_way[c->sq]--;
        s->owed[s->sq_cq[c->sq]]--;
    }
    free(c->scratch);
    c->scratch = NULL;
    c->used = false;
    c->next = s->free;
    s->free = c;
    s->nfree++;
}

/* The submission queue is no more; the command that deletes it, whose slot is another's already, ends. */
static void end_queue(struct nvme *s, unsigned q)
{
    s->sq_size[q] = 0;
    s->ending[q] = 0;
    s->under_way[0]--;
    s->owed[0]--;
    post(s, 0, s->ending_cid[q], NVME_OK, 0);
}

void nvme_sq_delete(struct nvme *s, unsigned q, uint16_t cid)
{
    s->ending[q] = 1;
    s->ending_cid[q] = cid;
    s->under_way[0]++;
    s->owed[0]++;
    if (!s->under_way[q])
        end_queue(s, q);
}

void nvme_finish(struct nvme_cmd *c, uint16_t status)
{
    struct nvme *s = c->s;
    bool current = c->generation == s->generation;
    unsigned sq = c->sq;

    if (current && status) {
        nvme_log_error(c, status);
        status |= MORE;
    }
    release(c);
    if (!current)
        return;
    post(s, sq, c->dw[0] >> 16, status, c->result);
    if (s->ending[sq] && !s->under_way[sq])
        end_queue(s, sq);
}

static void disk_done(struct disk_req *r)
{
    struct nvme_cmd *c = (struct nvme_cmd *)r;
    struct nvme *s = c->s;

    s->busy--;
    if (c->generation == s->generation) {
        c->then(r);
    } else {
        if (r->op == DISK_READ)
            nvme_data_written(c);
        release(c);
    }
    nvme_enable(s);
    nvme_run(s);
}

void nvme_submit(struct nvme_cmd *c, struct disk *disk, void (*then)(struct disk_req *))
{
    c->then = then;
    c->req.done = disk_done;
    c->s->busy++;
    disk_submit(disk, &c->req);
}

/* ---- commands ---- */

static struct nvme_cmd *take(struct nvme *s, unsigned q)
{
    struct nvme_cmd *c = s->free;

    s->free = c->next;
    s->nfree--;
    c->used = true;
    c->sq = q;
    c->generation = s->generation;
    c->result = 0;
    c->nbufs = 0;
    s->under_way[q]++;
    s->owed[s->sq_cq[q]]++;
    return c;
}

/* Carry out the next command of a queue. False: there is none, or it has to wait. */
static bool next_command(struct nvme *s, unsigned q)
{
    uint8_t e[SQE];
    struct nvme_cmd *c;
    uint16_t status;

    if (!s->sq_size[q] || s->ending[q] || s->sq_head[q] == s->sq_tail[q] ||
        cq_room(s, s->sq_cq[q]) <= s->owed[s->sq_cq[q]] || s->nfree <= (q ? ADMIN_RESERVE : 0) || !nvme_ready(s))
        return false;
    if (!pci_dma_read(s->pci, s->sq_at[q] + (uint64_t)s->sq_head[q] * SQE, e, SQE)) {
        nvme_fatal(s, "a submission queue is not in RAM");
        return false;
    }
    s->sq_head[q] = (s->sq_head[q] + 1) % s->sq_size[q];
    c = take(s, q);
    for (unsigned i = 0; i < SQE / 4; i++)
        c->dw[i] = nvme_get(e + 4 * i, 4);
    log_dev(NVME, "queue %u: command %02x, id %u, namespace %x, %08x %08x %08x", q, c->dw[0] & 0xff,
            c->dw[0] >> 16, c->dw[1], c->dw[10], c->dw[11], c->dw[12]);
    trace_nvme_command(q, c->dw[0] >> 16, c->dw[0] & 0xff, c->dw[1], c->dw[10] | (uint64_t)c->dw[11] << 32, c->dw[12]);
    if (c->dw[0] >> 8 & 3)      /* fused */
        status = NVME_BAD_FIELD;
    else
        status = q ? nvme_io(c) : nvme_admin(c);
    if (status == NVME_KEPT)
        release(c);
    else if (status != NVME_LATER)
        nvme_finish(c, status);
    return true;
}

static void tell_events(struct nvme *s)
{
    /* The log that says more, and whose reading unmasks. */
    static const uint8_t page[EVENTS] = { 1, 2, 4 };

    for (unsigned type = 0; type < EVENTS; type++) {
        unsigned info = 0;

        if (!s->event[type] || s->masked[type] || !s->naer || !nvme_ready(s) || cq_room(s, 0) <= s->owed[0])
            continue;
        while (!(s->event[type] >> info & 1))
            info++;
        s->event[type] &= ~(1u << info);
        s->masked[type] = 1;
        post(s, 0, s->aer[0], NVME_OK, type | info << 8 | (uint32_t)page[type] << 16);
        memmove(s->aer, s->aer + 1, --s->naer * sizeof(s->aer[0]));
    }
}

void nvme_event(struct nvme *s, unsigned type, unsigned info)
{
    s->event[type] |= 1u << info;
}

bool nvme_event_abort(struct nvme *s, uint16_t cid)
{
    for (unsigned i = 0; i < s->naer; i++) {
        /* Two answers: this one, and that of the command that asks for it. */
        if (s->aer[i] != cid || cq_room(s, 0) <= s->owed[0])
            continue;
        post(s, 0, cid, NVME_ABORTED, 0);
        memmove(s->aer + i, s->aer + i + 1, (--s->naer - i) * sizeof(s->aer[0]));
        return true;
    }
    return false;
}

void nvme_run(struct nvme *s)
{
    unsigned burst = s->arbitration & 7, n;
    bool some = nvme_ready(s);

    burst = burst == 7 ? QUEUE_MAX : 1u << burst;
    while (some) {
        some = false;
        for (unsigned i = 0; i <= s->config.ioqpairs; i++) {
            for (n = 0; n < burst && next_command(s, s->turn); n++)
                some = true;
            s->turn = s->turn < s->config.ioqpairs ? s->turn + 1 : 0;
        }
    }
    tell_events(s);
    send_due(s);
}
