/*
 * net.c - what all outside ends of cables share: the queues between chip and outside, captures in pcap's
 * format.
 *
 * Frames from the chip are queued, and sent by the event loop: a vCPU never waits for the host. Frames to the
 * chip wait in a queue while it has no buffers, and while the machine stands still: its memory and chips stay as they are
 * then, for debuggers, and for snapshots, which are not made in one moment. Both queues are bounded; what is too much is lost, as on a
 * cable. Captures are written by the event loop, too: a frame is noted when it comes in from outside or
 * leaves.
 */
#include "host/net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/trace.h"
#include "host/evloop.h"

#define QUEUE_BYTES (4u << 20)  /* several TCP windows */
#define PCAP_MAGIC 0xa1b2c3d4u  /* microseconds */
#define PCAP_ETHERNET 1u

struct frame {
    struct frame *next;
    size_t len;
    struct net_offload offload;
    uint8_t data[];
};

struct queue {
    struct frame *first, **last;
    size_t bytes;
};

struct net_end {
    struct net *net;
    struct evloop *loop;
    const struct net_end_ops *ops;
    void *end;
    struct queue to_chip, to_host;
    struct evdelay send, announce;
    unsigned announced;         /* how often since net_announce() */
    bool held;
    bool still;                 /* the machine stands still: frames for it wait */
    bool up, unplugged;         /* the other end is there; the user pulled the cable out */
    FILE *dump;
    uint32_t dump_max;
};

/* ---- queues ---- */

static bool queue_put(struct queue *q, const struct net_offload *o, const uint8_t *data, size_t len)
{
    struct frame *f;

    if (q->bytes + len > QUEUE_BYTES || !(f = malloc(sizeof(*f) + len)))
        return false;
    f->next = NULL;
    f->len = len;
    f->offload = o ? *o : (struct net_offload){ 0 };
    memcpy(f->data, data, len);
    if (!q->first)
        q->last = &q->first;
    *q->last = f;
    q->last = &f->next;
    q->bytes += len;
    return true;
}

static struct frame *queue_take(struct queue *q)
{
    struct frame *f = q->first;

    if (f) {
        q->first = f->next;
        q->bytes -= f->len;
    }
    return f;
}

static void queue_clear(struct queue *q)
{
    for (struct frame *f; (f = queue_take(q));)
        free(f);
}

/* ---- captures ---- */

static uint8_t *put32(uint8_t *p, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        *p++ = (uint8_t)(v >> 8 * i);
    return p;
}

bool net_dump(struct net *n, const char *path, uint32_t max, char *err, size_t errlen)
{
    struct net_end *e = n->arg;
    uint8_t head[24], *p = head;
    FILE *f;

    if (e->dump) {
        snprintf(err, errlen, "its frames go to a file already");
        return false;
    }
    f = fopen(path, "we");
    p = put32(p, PCAP_MAGIC);
    p = put32(p, 2 | 4u << 16);         /* version 2.4 */
    p = put32(p, 0);                    /* times are UTC */
    p = put32(p, 0);
    p = put32(p, max);
    put32(p, PCAP_ETHERNET);
    if (!f || fwrite(head, sizeof(head), 1, f) != 1 || fflush(f)) {
        snprintf(err, errlen, "cannot write %s: %s", path, strerror(errno));
        if (f)
            fclose(f);
        return false;
    }
    e->dump = f;
    e->dump_max = max;
    return true;
}

static void note(struct net_end *e, const uint8_t *frame, size_t len)
{
    size_t kept = len < e->dump_max ? len : e->dump_max;
    struct timespec now;
    uint8_t head[16], *p = head;

    clock_gettime(CLOCK_REALTIME, &now);
    p = put32(p, (uint32_t)now.tv_sec);
    p = put32(p, (uint32_t)(now.tv_nsec / 1000));
    p = put32(p, (uint32_t)kept);
    put32(p, (uint32_t)len);
    if (fwrite(head, sizeof(head), 1, e->dump) == 1 && (!kept || fwrite(frame, kept, 1, e->dump) == 1) &&
        !fflush(e->dump))
        return;
    fprintf(stderr, "latimer: network %s: the capture ends here: %s\n", e->net->id ? e->net->id : "",
            strerror(errno));
    fclose(e->dump);
    e->dump = NULL;
}

/* ---- from the chip ---- */

static void send_queued(void *arg)
{
    struct net_end *e = arg;

    for (struct frame *f; (f = queue_take(&e->to_host)); free(f)) {
        if (e->dump)
            note(e, f->data, f->len);
        e->ops->send(e->end, f->data, f->len);
    }
}

static void chip_sends(struct net *n, const uint8_t *frame, size_t len)
{
    struct net_end *e = n->arg;

    if (len > NET_FRAME_MAX || !queue_put(&e->to_host, NULL, frame, len))
        return;
    evloop_delay(e->loop, &e->send, 0);
}

/* ---- to the chip ---- */

static void hold(struct net_end *e, bool on)
{
    if (e->held == on)
        return;
    e->held = on;
    if (e->ops->hold)
        e->ops->hold(e->end, on);
}

static bool receive(struct net *n, const struct net_offload *o, const uint8_t *frame, size_t len)
{
    bool taken;

    n->offload = o;
    taken = n->user->receive(n->dev, frame, len);
    trace_net_receive(n->id, frame, len, taken);
    n->offload = NULL;
    return taken;
}

static void chip_ready(struct net *n)
{
    struct net_end *e = n->arg;

    for (struct frame *f; !e->still && (f = e->to_chip.first) && n->user && receive(n, &f->offload, f->data, f->len);)
        free(queue_take(&e->to_chip));
    if (!e->to_chip.first)
        hold(e, false);
}

void net_deliver(struct net *n, const uint8_t *frame, size_t len)
{
    net_deliver_offload(n, NULL, frame, len);
}

void net_deliver_offload(struct net *n, const struct net_offload *o, const uint8_t *frame, size_t len)
{
    struct net_end *e = n->arg;

    if (!e || len > NET_FRAME_MAX)      /* none: being closed */
        return;
    if (e->dump)
        note(e, frame, len);
    if (!n->user || !n->up)
        return;
    if (!e->still && !e->to_chip.first && receive(n, o, frame, len))
        return;
    queue_put(&e->to_chip, o, frame, len);
    hold(e, true);
}

void net_still(struct net *n, bool on)
{
    struct net_end *e = n->arg;

    if (!e)
        return;
    e->still = on;
    chip_ready(n);
}

/* ---- life ---- */

static void chip_takes(struct net *n, unsigned what)
{
    struct net_end *e = n->arg;

    e->ops->takes(e->end, what);
}

static const struct net_ops ops = { chip_sends, chip_ready, NULL }, offload_ops = { chip_sends, chip_ready, chip_takes };

static void set_link(struct net *n)
{
    const struct net_end *e = n->arg;
    bool up = e->up && !e->unplugged;

    if (n->up == up)
        return;
    n->up = up;
    trace_net_link(n->id, up);
    if (n->user && n->user->link)
        n->user->link(n->dev, up);
}

void net_set_up(struct net *n, bool up)
{
    struct net_end *e = n->arg;

    if (!e)                     /* being closed */
        return;
    e->up = up;
    set_link(n);
}

void net_plug(struct net *n, bool in)
{
    struct net_end *e = n->arg;

    if (!e)
        return;
    e->unplugged = !in;
    set_link(n);
}

/* ---- a machine that has moved ---- */

#define ANNOUNCEMENTS 5u
#define ANNOUNCE_FIRST_MS 50u   /* between the first two; each time 100 ms longer */
#define ANNOUNCE_STEP_MS 100u

static void announce(void *arg)
{
    /* For everybody; protocol RARP; Ethernet and IPv4, "request reverse"; who asks, and who is asked for. */
    static const uint8_t head[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3 };
    struct net_end *e = arg;
    uint8_t frame[60] = { 0 };

    if (!e->net->user)
        return;
    memcpy(frame, head, sizeof(head));
    memcpy(frame + 6, e->net->mac, 6);
    memcpy(frame + 22, e->net->mac, 6);
    memcpy(frame + 32, e->net->mac, 6);
    net_send(e->net, frame, sizeof(frame));
    if (++e->announced < ANNOUNCEMENTS)
        evloop_delay(e->loop, &e->announce, (ANNOUNCE_FIRST_MS + (e->announced - 1) * ANNOUNCE_STEP_MS) * 1000000ull);
}

void net_announce(struct net *n)
{
    struct net_end *e = n->arg;

    if (!e)
        return;
    e->announced = 0;
    evloop_delay_cancel(e->loop, &e->announce);
    evloop_delay(e->loop, &e->announce, 0);
}

void *net_end_of(const struct net *n, const struct net_end_ops *o)
{
    const struct net_end *e = n->arg;

    return e && e->ops == o ? e->end : NULL;
}

void net_end_new(struct net *n, struct evloop *loop, const struct net_end_ops *o, void *end)
{
    struct net_end *e = calloc(1, sizeof(*e));

    if (!e)
        die(EXIT_CODE_HOST, "out of memory for network %s", n->id);
    *e = (struct net_end){ .net = n, .loop = loop, .ops = o, .end = end, .up = true,
                           .send = { .fire = send_queued, .arg = e }, .announce = { .fire = announce, .arg = e } };
    n->arg = e;
    n->ops = o->takes ? &offload_ops : &ops;
    n->up = true;
}

void net_close(struct net *n)
{
    struct net_end *e = n->arg;

    if (!e)
        return;
    evloop_delay_cancel(e->loop, &e->announce);
    evloop_delay_cancel(e->loop, &e->send);
    send_queued(e);
    n->ops = NULL;
    n->arg = NULL;
    e->ops->free(e->end);
    queue_clear(&e->to_chip);
    queue_clear(&e->to_host);
    if (e->dump)
        fclose(e->dump);
    free(e);
}
