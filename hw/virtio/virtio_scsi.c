/*
 * virtio_scsi.c - SCSI host adapter (virtio 1.2, 5.6): a bus for scsi-hd and scsi-cd, request queues, task
 * management.
 *
 * Commands cannot be cancelled (hw/scsi/scsi.h), so what aborts or resets is answered when the commands that
 * it is about have ended. Buffers in the event queue stay there: nothing is plugged while the machine runs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "hw/scsi/scsi.h"
#include "hw/virtio/virtio.h"

enum { CONTROL, EVENTS, REQUESTS };
#define QUEUES_MAX 16u

enum { CFG_QUEUES = 0, CFG_SEG_MAX = 4, CFG_MAX_SECTORS = 8, CFG_PER_LUN = 12, CFG_EVENT_SIZE = 16,
       CFG_SENSE_SIZE = 20, CFG_CDB_SIZE = 24, CFG_MAX_CHANNEL = 28, CFG_MAX_TARGET = 30, CFG_MAX_LUN = 32,
       CFG_LEN = 36 };
#define SENSE_SIZE 96u
#define CDB_SIZE   32u
#define SIZE_MAX_  512u                 /* what a driver may make of the two */

#define REQUEST    19u                  /* bytes before the CDB: LUN, tag, ... */
#define RESPONSE   12u                  /* before the sense data: their length, residual, status, response */
enum { R_OK = 0, R_OVERRUN = 1, R_BAD_TARGET = 3, R_FAILURE = 9, R_SUCCEEDED = 10, R_REJECTED = 11,
       R_BAD_LUN = 12 };
enum { C_TMF = 0, C_QUERY = 1, C_SUBSCRIBE = 2 };
enum { TMF_ABORT_TASK, TMF_ABORT_SET, TMF_CLEAR_ACA, TMF_CLEAR_SET, TMF_NEXUS_RESET, TMF_UNIT_RESET,
       TMF_QUERY_TASK, TMF_QUERY_SET };
#define TMF_LEN    24u

struct request {
    struct scsi_cmd cmd;                /* first: the bus gives it back */
    struct virtio_scsi *s;
    struct virtq_chain *c;
    struct request *next, **prev;       /* of the commands that run */
    uint64_t tag;
    uint32_t head, response;            /* bytes before the data, each way */
};

struct tmf {                            /* task management that waits for commands to end */
    struct virtq_chain *c;
    const struct scsi_dev *dev;         /* NULL: the whole target */
    unsigned target;
    bool one;                           /* the command with this tag alone */
    uint64_t tag;
    struct tmf *next;
};

struct virtio_scsi {
    struct virtio_dev *v;
    struct scsi_bus bus;
    char bus_name[64];
    struct request *running;
    struct tmf *waiting;
};

/* ---- logical units in messages ---- */

/* False: no form that we know. */
static bool parse_lun(const uint8_t *p, unsigned *target, unsigned *lun)
{
    *target = p[1];
    *lun = (unsigned)(p[2] << 8 | p[3]) & 0x3fff;
    return p[0] == 1;
}

/* ---- task management ---- */

static void answer_tmf(struct virtio_scsi *s, struct virtq_chain *c, uint8_t response)
{
    virtq_push(c, chain_put(c, 0, &response, 1));
    virtq_notify(s->v->queue[CONTROL]);
}

static bool concerns(const struct tmf *t, const struct request *r)
{
    if (!chain_current(r->c) || !r->cmd.dev)
        return false;
    return (t->dev ? r->cmd.dev == t->dev : r->cmd.dev->target == t->target) && (!t->one || r->tag == t->tag);
}

static bool busy(const struct virtio_scsi *s, const struct tmf *t)
{
    for (const struct request *r = s->running; r; r = r->next)
        if (concerns(t, r))
            return true;
    return false;
}

static void end_tmfs(struct virtio_scsi *s)
{
    for (struct tmf **at = &s->waiting, *t; (t = *at);) {
        if (busy(s, t)) {
            at = &t->next;
            continue;
        }
        *at = t->next;
        answer_tmf(s, t->c, R_OK);
        free(t);
    }
}

static void tmf(struct virtio_scsi *s, struct virtq_chain *c, const uint8_t *m)
{
    unsigned sub = (unsigned)le_get(m + 4, 4), target, lun;
    struct tmf t = { .c = c, .tag = le_get(m + 16, 8) }, *copy;
    bool known = parse_lun(m + 8, &target, &lun);

    t.target = target;
    t.dev = known ? scsi_find(&s->bus, target, lun) : NULL;
    t.one = sub == TMF_ABORT_TASK || sub == TMF_QUERY_TASK;
    log_dev(VIRTIO, "virtio-scsi: task management %u, unit %u:%u", sub, target, lun);
    if (sub == TMF_NEXUS_RESET)
        t.dev = NULL;
    else if (!t.dev) {
        answer_tmf(s, c, R_BAD_LUN);
        return;
    }
    switch (sub) {
    case TMF_QUERY_TASK:
    case TMF_QUERY_SET:
        answer_tmf(s, c, busy(s, &t) ? R_SUCCEEDED : R_OK);
        return;
    case TMF_NEXUS_RESET:
        for (struct scsi_dev *d = s->bus.first; d; d = d->next)
            if (d->target == target)
                scsi_reset(&s->bus, d);
        break;
    case TMF_UNIT_RESET:
        scsi_reset(&s->bus, scsi_find(&s->bus, target, lun));
        break;
    case TMF_ABORT_TASK:
    case TMF_ABORT_SET:
    case TMF_CLEAR_SET:
        break;
    default:                            /* there is no ACA */
        answer_tmf(s, c, R_REJECTED);
        return;
    }
    copy = malloc(sizeof(*copy));
    if (!copy)
        die(EXIT_CODE_HOST, "out of memory for a SCSI command");
    *copy = t;
    copy->next = s->waiting;
    s->waiting = copy;
    end_tmfs(s);
}

static void control(struct virtio_scsi *s)
{
    struct virtq_chain *c;

    while ((c = virtq_pop(s->v->queue[CONTROL]))) {
        uint8_t m[TMF_LEN] = { 0 }, none[5] = { 0 };
        uint32_t n = chain_get(c, 0, m, sizeof(m)), type = (uint32_t)le_get(m, 4);

        if (n >= 4 && type == C_TMF && n == TMF_LEN && c->in_len) {
            tmf(s, c, m);
        } else if (n >= 16 && (type == C_QUERY || type == C_SUBSCRIBE) && c->in_len >= sizeof(none)) {
            virtq_push(c, chain_put(c, 0, none, sizeof(none)));         /* no events: none is reported */
        } else {
            virtio_broken(s->v, "a control request of type %u, %u bytes, %u for the answer", type, c->out_len,
                          c->in_len);
            virtq_drop(c);
        }
    }
    virtq_notify(s->v->queue[CONTROL]);
}

/* ---- commands ---- */

static struct request *request_of(struct scsi_cmd *cmd)
{
    return (struct request *)cmd;
}

static void get(struct scsi_cmd *cmd, uint64_t off, void *buf, uint32_t len)
{
    const struct request *r = request_of(cmd);

    chain_get(r->c, r->head + (uint32_t)off, buf, len);
}

static void put(struct scsi_cmd *cmd, uint64_t off, const void *buf, uint32_t len)
{
    const struct request *r = request_of(cmd);

    chain_put(r->c, r->response + (uint32_t)off, buf, len);
}

static uint32_t map(struct scsi_cmd *cmd, bool in, uint64_t pos, uint32_t len, struct disk_buf *bufs,
                    unsigned max, unsigned *n)
{
    const struct request *r = request_of(cmd);

    if (!chain_current(r->c))           /* its driver is gone, and the memory no longer what it was */
        return 0;
    return chain_map(r->c, in, (in ? r->response : r->head) + (uint32_t)pos, len, bufs, max, n);
}

static void written(struct scsi_cmd *cmd, uint64_t len)
{
    const struct request *r = request_of(cmd);

    chain_written(r->c, r->response, (uint32_t)len);
}

static void respond(struct request *r, uint8_t response)
{
    const struct scsi_cmd *cmd = &r->cmd;
    uint32_t sense_size = r->response - RESPONSE, len = 0;
    uint64_t data = cmd->out_len + cmd->in_len;
    uint8_t b[RESPONSE] = { 0 };

    if (response == R_OK && cmd->status == SCSI_CHECK) {
        len = sense_size < SCSI_SENSE ? sense_size : SCSI_SENSE;
        chain_put(r->c, RESPONSE, cmd->sense, len);
    }
    le_put(b, 4, len);
    le_put(b + 4, 4, data > cmd->moved ? data - cmd->moved : 0);
    b[10] = response == R_OK ? cmd->status : 0;
    b[11] = response;
    chain_put(r->c, 0, b, sizeof(b));
    virtq_push(r->c, cmd->in_len ? r->response + (uint32_t)cmd->moved : RESPONSE + len);
}

static void done(struct scsi_cmd *cmd)
{
    struct request *r = request_of(cmd);
    struct virtio_scsi *s = r->s;
    struct virtq *q = r->c->q;

    *r->prev = r->next;
    if (r->next)
        r->next->prev = r->prev;
    if (chain_current(r->c))
        respond(r, cmd->overrun ? R_OVERRUN : R_OK);
    else
        virtq_drop(r->c);
    free(r);
    virtq_notify(q);
    end_tmfs(s);
    virtio_release(s->v);
}

static const struct scsi_transport transport = { get, put, map, written, done };

static void request(struct virtio_scsi *s, struct virtq_chain *c)
{
    uint32_t cdb = (uint32_t)virtio_config_get(s->v, CFG_CDB_SIZE, 4);
    uint32_t sense = (uint32_t)virtio_config_get(s->v, CFG_SENSE_SIZE, 4);
    uint8_t head[REQUEST];
    struct request *r;
    unsigned target, lun;

    if (c->out_len < REQUEST + cdb || c->in_len < RESPONSE + sense) {
        virtio_broken(s->v, "a request of %u bytes with %u for the answer", c->out_len, c->in_len);
        virtq_drop(c);
        return;
    }
    r = calloc(1, sizeof(*r));
    if (!r)
        die(EXIT_CODE_HOST, "out of memory for a SCSI command");
    chain_get(c, 0, head, sizeof(head));
    chain_get(c, REQUEST, r->cmd.cdb, cdb < SCSI_CDB ? cdb : SCSI_CDB);
    r->s = s;
    r->c = c;
    r->tag = le_get(head + 8, 8);
    r->head = REQUEST + cdb;
    r->response = RESPONSE + sense;
    r->cmd.transport = &transport;
    r->cmd.out_len = c->out_len - r->head;
    r->cmd.in_len = c->in_len - r->response;
    r->next = s->running;
    r->prev = &s->running;
    if (r->next)
        r->next->prev = &r->next;
    s->running = r;
    virtio_hold(s->v);
    if (parse_lun(head, &target, &lun) && scsi_start(&s->bus, target, lun, &r->cmd))
        return;
    *r->prev = r->next;
    if (r->next)
        r->next->prev = r->prev;
    respond(r, R_BAD_TARGET);
    free(r);
    virtio_release(s->v);
}

/* ---- the device ---- */

static void kick(void *dev, unsigned queue)
{
    struct virtio_scsi *s = dev;
    struct virtq *q = s->v->queue[queue];
    struct virtq_chain *c;

    if (queue == CONTROL)
        control(s);
    if (queue < REQUESTS)
        return;
    while ((c = virtq_pop(q)))
        request(s, c);
    virtq_notify(q);
}

static void drop_tmfs(struct virtio_scsi *s)
{
    for (struct tmf *t; (t = s->waiting);) {
        s->waiting = t->next;
        virtq_drop(t->c);
        free(t);
    }
}

static void reset(void *dev)
{
    struct virtio_scsi *s = dev;

    drop_tmfs(s);
    scsi_reset(&s->bus, NULL);
}

static const struct { unsigned at, usual; } sizes[] = { { CFG_SENSE_SIZE, SENSE_SIZE }, { CFG_CDB_SIZE, CDB_SIZE } };

static bool config_fits(const uint8_t *config)
{
    return le_get(config + sizes[0].at, 4) <= SIZE_MAX_ && le_get(config + sizes[1].at, 4) <= SIZE_MAX_;
}

static void config_written(void *dev, unsigned off, unsigned len)
{
    struct virtio_scsi *s = dev;

    for (unsigned i = 0; i < 2; i++) {
        if (virtio_config_get(s->v, sizes[i].at, 4) <= SIZE_MAX_)
            continue;
        log_msg(LOG_GUEST, "virtio-scsi: sense data or commands of more than %u bytes", SIZE_MAX_);
        le_put(&s->v->config[sizes[i].at], 4, sizes[i].usual);
    }
}

static const struct virtio_type type = {
    .name = "virtio-scsi", .id = VIRTIO_SCSI, .legacy_id = 0x1004, .class = 0x010000, .config_len = CFG_LEN,
    .kick = kick, .reset = reset, .config_written = config_written,
    .config_fits = config_fits
};

static void loaded(void *dev)
{
    drop_tmfs(dev);
}

static void scsi_free(void *dev)
{
    drop_tmfs(dev);
}

static const struct field scsi_state[] = { FIELD_END };
static const struct chip scsi_chip = {
    "virtio-scsi", sizeof(struct virtio_scsi), NULL, scsi_state, loaded, scsi_free
};

struct props {
    struct virtio_props virtio;
    uint64_t queues, queue_size, max_sectors, per_lun;
};

static void make(struct plug_env *env, void *bus, const void *props)
{
    const struct props *p = props;
    const struct plug_common *common = &p->virtio.common;
    struct virtio_scsi *s = chip_new(env->m->chips, &scsi_chip, common->name);

    if (p->queue_size & (p->queue_size - 1))
        die(EXIT_CODE_USAGE, "-device %s: virtqueue_size must be a power of two", common->name);
    s->v = virtio_new(env, &p->virtio, &type, s, REQUESTS + (unsigned)p->queues, (unsigned)p->queue_size, 0);
    virtio_config_set(s->v, CFG_QUEUES, 4, p->queues);
    virtio_config_set(s->v, CFG_SEG_MAX, 4, p->queue_size - 2);
    virtio_config_set(s->v, CFG_MAX_SECTORS, 4, p->max_sectors);
    virtio_config_set(s->v, CFG_PER_LUN, 4, p->per_lun);
    virtio_config_set(s->v, CFG_EVENT_SIZE, 4, 16);
    virtio_config_set(s->v, CFG_SENSE_SIZE, 4, SENSE_SIZE);
    virtio_config_set(s->v, CFG_CDB_SIZE, 4, CDB_SIZE);
    virtio_config_set(s->v, CFG_MAX_TARGET, 2, SCSI_TARGETS - 1);
    virtio_config_set(s->v, CFG_MAX_LUN, 4, SCSI_LUNS - 1);
    virtio_config_writable(s->v, CFG_SENSE_SIZE, 8);
    snprintf(s->bus_name, sizeof(s->bus_name), "%s.0", common->id ? common->id : common->name);
    pci_path(s->v->pci, "scsi", s->bus.path, sizeof(s->bus.path));
    plug_bus_add(env, "SCSI", s->bus_name, &s->bus);
}

static const struct prop props_table[] = {
    { "num_queues", PROP_NUMBER, offsetof(struct props, queues), 1, QUEUES_MAX, "of requests" },
    { "virtqueue_size", PROP_NUMBER, offsetof(struct props, queue_size), 4, VIRTQ_SIZE_MAX,
      "requests of a queue" },
    { "max_sectors", PROP_NUMBER, offsetof(struct props, max_sectors), 1, UINT32_MAX, "of a request" },
    { "cmd_per_lun", PROP_NUMBER, offsetof(struct props, per_lun), 1, UINT32_MAX,
      "requests of a unit at a time" },
    VIRTIO_PROPS, PROP_END
};

static const struct props defaults = {
    .virtio = VIRTIO_DEFAULTS, .queues = 1, .queue_size = 256, .max_sectors = 0xffff, .per_lun = 128
};

const struct plug virtio_scsi_plug = {
    "virtio-scsi-pci", "SCSI host adapter (virtio)", "PCI", sizeof(struct props), &defaults, props_table, make
};
