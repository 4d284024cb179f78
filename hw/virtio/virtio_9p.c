/*
 * virtio_9p.c - a folder of the host for the guest (virtio 1.2, 5.10 "9P transport"): the device, fids, and the
 * life of a request. The protocol is 9P2000.L as the Linux kernel's client speaks it (include/net/9p/9p.h) and
 * the diod server's protocol document describes it.
 *
 * A chain holds one message and room for its answer. What the guest sent is copied before it is looked at.
 * Requests go to the folder (hw/fs_if.h) in the order they come and are answered from the event loop; Tflush is
 * answered behind the request it names, which is never cut short. A fid that a request uses lives until that is
 * answered, whatever becomes of its number.
 *
 * Fids stand for open files of the host, which no state can hold: as long as there are any, the machine cannot be
 * saved.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "hw/virtio/p9.h"

#define QUEUE     128u
#define TAG_MAX   64u
#define CFG_LEN   (2 + TAG_MAX)
#define FID_HASH  4096u
#define FIDS_MAX  (1u << 18)
#define F_MOUNT_TAG 1ull

struct p9 {
    struct virtio_dev *v;
    struct fs *fs;
    uint32_t msize;                     /* agreed on; 0: no session */
    struct p9_fid *fids[FID_HASH];
    unsigned nfids;
    struct p9_req *running;
};

static const struct field p9_state[] = { FIELD_MAX(struct p9, msize, P9_MSIZE_MAX), FIELD_END };

uint32_t p9_msize(const struct p9 *s)
{
    return s->msize;
}

void p9_session(struct p9 *s, uint32_t msize)
{
    s->msize = msize;
}

/* ---- fids ---- */

static struct p9_fid **slot(struct p9 *s, uint32_t num)
{
    struct p9_fid **f = &s->fids[num % FID_HASH];

    while (*f && (*f)->num != num)
        f = &(*f)->next;
    return f;
}

struct p9_fid *p9_fid_new(struct p9 *s, uint32_t num, int *error)
{
    struct p9_fid **at = slot(s, num), *f;

    *error = num == P9_NOFID || *at ? FS_EBADF : s->nfids >= FIDS_MAX ? FS_EMFILE : 0;
    if (*error)
        return NULL;
    f = calloc(1, sizeof(*f));
    if (!f)
        die(EXIT_CODE_HOST, "out of memory for a file of the guest's");
    f->num = num;
    f->refs = 2;
    *at = f;
    s->nfids++;
    return f;
}

struct p9_fid *p9_fid_find(struct p9 *s, uint32_t num)
{
    struct p9_fid *f = *slot(s, num);

    if (f && f->node) {
        f->refs++;
        return f;
    }
    return NULL;
}

static void free_fid(struct p9_fid *f)
{
    free(f->data);
    free(f->name);
    free(f);
}

static struct p9_req *new_request(struct p9 *s)
{
    struct p9_req *r = calloc(1, sizeof(*r));

    if (!r)
        die(EXIT_CODE_HOST, "out of memory for a request");
    r->s = s;
    r->next = s->running;
    r->prev = &s->running;
    if (r->next)
        r->next->prev = &r->next;
    s->running = r;
    return r;
}

static void unlist(struct p9_req *r)
{
    *r->prev = r->next;
    if (r->next)
        r->next->prev = r->prev;
    r->next = NULL;
}

static void forgotten(struct fs_req *fs)
{
    struct p9_req *r = (struct p9_req *)fs;

    unlist(r);
    free(r);
}

void p9_node_forget(struct p9 *s, struct fs_node *node)
{
    struct p9_req *r = new_request(s);

    r->fs.op = FS_FORGET;
    r->fs.node = node;
    r->fs.done = forgotten;
    s->fs->ops->submit(s->fs, &r->fs);
}

static void put_fid(struct p9 *s, struct p9_fid *f)
{
    if (!f || --f->refs)
        return;
    if (f->node && s->fs->ops)
        p9_node_forget(s, f->node);
    free_fid(f);
}

void p9_fid_forget(struct p9 *s, struct p9_fid *f)
{
    struct p9_fid **at = slot(s, f->num);

    if (*at != f)
        return;                         /* another request was faster */
    *at = f->next;
    s->nfids--;
    put_fid(s, f);
}

void p9_forget_all(struct p9 *s)
{
    for (unsigned i = 0; i < FID_HASH; i++)
        while (s->fids[i])
            p9_fid_forget(s, s->fids[i]);
}

/* ---- requests ---- */

/* In a list, or among those that wait for one of it. */
static struct p9_req *tagged(struct p9_req *r, uint16_t tag)
{
    struct p9_req *found = NULL;

    for (; r && !found; r = r->next)
        found = r->msg && r->tag == tag ? r : tagged(r->flushes, tag);
    return found;
}

struct p9_req *p9_tagged(struct p9 *s, uint16_t tag)
{
    return tagged(s->running, tag);
}

static void answer(struct p9_req *r, int error)
{
    struct virtq *q = r->c->q;
    uint32_t len;

    if (error) {
        le_put(r->out + P9_HEAD, 4, (uint32_t)error);
        r->out_len = P9_HEAD + 4;
        r->tail_len = 0;
    }
    len = r->out_len + r->tail_len;
    le_put(r->out, 4, len);
    r->out[4] = error ? P9_RLERROR : (uint8_t)(r->msg - p9_messages + 1);
    le_put(r->out + 5, 2, r->tag);
    if (!chain_current(r->c)) {
        virtq_drop(r->c);
    } else if (len > r->c->in_len) {
        virtio_broken(r->s->v, "an answer of %u bytes, and room for %u", len, r->c->in_len);
        virtq_drop(r->c);
    } else {
        chain_put(r->c, 0, r->out, r->out_len);
        chain_put(r->c, r->out_len, r->tail, r->tail_len);
        log_dev(VIRTIO, "9p: %s, tag %u: %s %d, %u bytes", r->msg->name, r->tag, error ? "error" : "done",
                error, len);
        virtq_push(r->c, len);
    }
    virtq_notify(q);
}

/* It is over; so are the Tflush that waited for it. */
static void finish(struct p9_req *r, int error)
{
    struct p9 *s = r->s;
    struct p9_req *flush = r->flushes, *next;

    answer(r, error);
    put_fid(s, r->fid);
    put_fid(s, r->fid2);
    put_fid(s, r->newfid);
    unlist(r);
    free(r->fs.data);
    free(r);
    for (; flush; flush = next) {
        next = flush->next;
        /* Back among those under way, from which finish() takes it. */
        flush->next = s->running;
        flush->prev = &s->running;
        if (flush->next)
            flush->next->prev = &flush->next;
        s->running = flush;
        finish(flush, 0);
    }
    virtio_release(s->v);
}

static void done(struct fs_req *fs)
{
    struct p9_req *r = (struct p9_req *)fs;
    struct p9 *s = r->s;

    if (r->newfid) {
        if (fs->made)
            r->newfid->node = fs->made;
        else
            p9_fid_forget(s, r->newfid);
    }
    if (!fs->error && r->msg->finish)
        r->msg->finish(s, r);
    finish(r, fs->error);
}

void p9_wait(struct p9_req *flush, struct p9_req *for_it)
{
    struct p9_req **end = &for_it->flushes;

    unlist(flush);
    while (*end)
        end = &(*end)->next;
    *end = flush;
}

/* The message's head; false: there is none, or it makes no sense. */
static bool read_head(struct p9 *s, struct p9_req *r, uint32_t *size)
{
    uint32_t max = s->msize ? s->msize : P9_MSIZE_MAX, part;

    if (chain_get(r->c, 0, r->in, P9_HEAD) != P9_HEAD || r->c->in_len < P9_HEAD + 4)
        return false;
    *size = (uint32_t)le_get(r->in, 4);
    if (*size < P9_HEAD || *size > r->c->out_len || *size > max)
        return false;
    part = r->in[4] == P9_TWRITE && *size > P9_WRITE ? P9_WRITE : *size;
    r->len = part < P9_MSG_MAX ? part : P9_MSG_MAX;
    r->len = chain_get(r->c, 0, r->in, r->len);
    r->at = P9_HEAD;
    r->tag = (uint16_t)le_get(r->in + 5, 2);
    return true;
}

static void handle(struct p9 *s, struct virtq_chain *c)
{
    struct p9_req *r = new_request(s);
    uint32_t size;
    int what;

    virtio_hold(s->v);
    r->c = c;
    if (!read_head(s, r, &size)) {
        virtio_broken(s->v, "a message of %u bytes (%#llx) with %u for the answer", c->out_len,
                      (unsigned long long)le_get(r->in, 4), c->in_len);
        virtq_drop(c);
        unlist(r);
        free(r);
        virtio_release(s->v);
        return;
    }
    r->msg = &p9_messages[r->in[4] % 128];
    r->fs.done = done;
    r->out_len = P9_HEAD;
    log_dev(VIRTIO, "9p: message %u (%s), tag %u, %u bytes", r->in[4], r->msg->name ? r->msg->name : "?", r->tag,
            size);
    if (r->in[4] > 127 || !r->msg->name) {
        log_msg(LOG_UNIMP, "virtio-9p: message %u", r->in[4]);
        finish(r, FS_EOPNOTSUPP);
        return;
    }
    what = !s->msize && r->in[4] != P9_TVERSION ? FS_EPROTO : r->msg->start(s, r);
    if (r->bad) {
        log_msg(LOG_GUEST, "virtio-9p: %s of %u bytes is cut off", r->msg->name, size);
        what = r->long_name ? FS_ENAMETOOLONG : FS_EINVAL;
    }
    if (what == P9_WAIT)
        return;
    if (what == P9_SUBMIT && s->fs->ops) {
        s->fs->ops->submit(s->fs, &r->fs);
        return;
    }
    if (r->newfid)
        p9_fid_forget(s, r->newfid);
    finish(r, what == P9_SUBMIT ? FS_EIO : what);       /* the folder is closed: the machine ends */
}

static void kick(void *dev, unsigned queue)
{
    struct p9 *s = dev;
    struct virtq_chain *c;

    while ((c = virtq_pop(s->v->queue[queue])))
        handle(s, c);
}

/* ---- the device ---- */

static void reset(void *dev)
{
    struct p9 *s = dev;

    s->msize = 0;
    p9_forget_all(s);
}

static const char *check(const void *dev)
{
    const struct p9 *s = dev;

    return s->msize && s->msize < P9_MSIZE_MIN ? "msize is less than any message" : NULL;
}

static void loaded(void *dev)
{
    struct p9 *s = dev;

    p9_forget_all(s);
}

/* The folder is closed, and nothing under way. */
static void p9_free(void *dev)
{
    struct p9 *s = dev;

    for (unsigned i = 0; i < FID_HASH; i++)
        for (struct p9_fid *f = s->fids[i], *next; f; f = next) {
            next = f->next;
            free_fid(f);
        }
}

static const char *unsaveable(void *dev)
{
    struct p9 *s = dev;
    bool busy = s->nfids;

    for (const struct p9_req *r = s->running; r; r = r->next)
        busy |= r->msg != NULL;
    return busy ? "the guest uses files of a folder of the host: it must unmount it first" : NULL;
}

static const struct virtio_type type = {
    .name = "virtio-9p", .id = VIRTIO_9P, .legacy_id = 0x1009, .class = 0x00ff00, .config_len = CFG_LEN,
    .kick = kick, .reset = reset
};

static const struct chip p9_chip = {
    .name = "virtio-9p", .size = sizeof(struct p9), .state = p9_state, .loaded = loaded, .free = p9_free,
    .unsaveable = unsaveable, .check = check
};

struct props {
    struct virtio_props virtio;
    struct fs *fs;
    const char *tag;
};

static void make(struct plug_env *env, void *bus, const void *props)
{
    const struct props *p = props;
    const char *name = p->virtio.common.name;
    struct p9 *s = chip_new(env->m->chips, &p9_chip, name);
    size_t len = p->tag ? strlen(p->tag) : 0;

    if (!p->fs)
        die(EXIT_CODE_USAGE, "-device %s: needs fsdev=ID, with -fsdev local,id=ID,path=FOLDER,security_model=MODEL",
            name);
    if (!len || len > TAG_MAX)
        die(EXIT_CODE_USAGE, "-device %s: needs mount_tag=NAME, of 1 to %u characters: what the guest mounts", name,
            TAG_MAX);
    if (p->fs->used)
        die(EXIT_CODE_USAGE, "-device %s: fsdev=%s: another device has it", name, p->fs->id);
    p->fs->used = true;
    s->fs = p->fs;
    s->v = virtio_new(env, &p->virtio, &type, s, 1, QUEUE, F_MOUNT_TAG);
    virtio_config_set(s->v, 0, 2, len);
    for (unsigned i = 0; i < len; i++)
        virtio_config_set(s->v, 2 + i, 1, (uint8_t)p->tag[i]);
}

static const struct prop props_table[] = {
    { "fsdev", PROP_FSDEV, offsetof(struct props, fs), 0, 0, "the folder" },
    { "mount_tag", PROP_STRING, offsetof(struct props, tag), 0, 0, "what the guest calls it" },
    VIRTIO_PROPS, PROP_END
};

static const struct props defaults = { .virtio = VIRTIO_DEFAULTS };

const struct plug virtio_9p_plug = {
    "virtio-9p-pci", "folder of the host (virtio, 9P)", "PCI", sizeof(struct props), &defaults, props_table, make
};
