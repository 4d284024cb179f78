/*
 * p9_msg.c - the messages of 9P2000.L: what the guest sent becomes a request to the folder, what came of it an
 * answer. All numbers are little-endian; what is cut off, or says that it is longer than it is, is refused whole.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "hw/virtio/p9.h"

/* ---- reading and writing ---- */

static uint64_t get(struct p9_req *r, unsigned size)
{
    uint64_t val;

    if (r->len - r->at < size) {
        r->bad = true;
        r->at = r->len;
        return 0;
    }
    val = le_get(r->in + r->at, size);
    r->at += size;
    return val;
}

/* A text of at most `max` bytes, without zeros. */
static void get_text(struct p9_req *r, char *to, unsigned max)
{
    unsigned n = (unsigned)get(r, 2);

    *to = 0;
    if (r->len - r->at < n) {
        r->bad = true;
        return;
    }
    if (n > max)
        r->bad = r->long_name = true;
    else if (memchr(r->in + r->at, 0, n))
        r->bad = true;
    else
        memcpy(to, r->in + r->at, n), to[n] = 0;
    r->at += n;
}

static void put(struct p9_req *r, unsigned size, uint64_t val)
{
    le_put(r->out + r->out_len, size, val);
    r->out_len += size;
}

static void put_text(struct p9_req *r, const char *text)
{
    size_t n = strlen(text);

    put(r, 2, n);
    memcpy(r->out + r->out_len, text, n);
    r->out_len += (uint32_t)n;
}

static void put_qid(struct p9_req *r, const struct fs_qid *q)
{
    put(r, 1, q->type);
    put(r, 4, q->version);
    put(r, 8, q->path);
}

/* The fid a message begins with is what it is about. False: the guest has no such fid. */
static bool get_fid(struct p9 *s, struct p9_req *r)
{
    r->fid = p9_fid_find(s, (uint32_t)get(r, 4));
    r->fs.node = r->fid ? r->fid->node : NULL;
    return r->fid && !r->fid->xattr;
}

static bool get_fid2(struct p9 *s, struct p9_req *r)
{
    r->fid2 = p9_fid_find(s, (uint32_t)get(r, 4));
    r->fs.file = r->fid2 ? r->fid2->node : NULL;
    return r->fid2 && !r->fid2->xattr;
}

static int submit(struct p9_req *r, enum fs_op op)
{
    r->fs.op = op;
    return r->bad ? FS_EINVAL : P9_SUBMIT;
}

/* Room for `len` bytes that the folder gives. */
static bool make_room(struct p9_req *r, uint32_t len)
{
    r->fs.data = malloc(len ? len : 1);
    r->fs.len = len;
    return r->fs.data;
}

/* What an answer with data may hold of `count` bytes. */
static uint32_t payload(const struct p9 *s, const struct p9_req *r, uint32_t count)
{
    uint32_t max = p9_msize(s) < r->c->in_len ? p9_msize(s) : r->c->in_len;

    max = max > P9_IO_HEAD ? max - P9_IO_HEAD : 0;
    return count < max ? count : max;
}

static void put_data(struct p9_req *r, const uint8_t *data, uint32_t len)
{
    put(r, 4, len);
    r->tail = data;
    r->tail_len = len;
}

/* ---- the session ---- */

static int version(struct p9 *s, struct p9_req *r)
{
    r->fs.len = (uint32_t)get(r, 4);
    get_text(r, r->fs.name, FS_NAME_MAX);
    if (!r->bad && r->fs.len < P9_MSIZE_MIN) {
        log_msg(LOG_GUEST, "virtio-9p: messages of at most %u bytes: too few", r->fs.len);
        return FS_EINVAL;
    }
    return submit(r, FS_NOTHING);       /* behind all that is under way */
}

static void version_done(struct p9 *s, struct p9_req *r)
{
    bool ours = strcmp(r->fs.name, "9P2000.L") == 0;
    uint32_t msize = r->fs.len < P9_MSIZE_MAX ? r->fs.len : P9_MSIZE_MAX;

    if (!ours)
        log_msg(LOG_UNIMP, "virtio-9p: protocol %s: only 9P2000.L is there", r->fs.name);
    p9_forget_all(s);
    p9_session(s, ours ? msize : 0);
    put(r, 4, msize);
    put_text(r, ours ? "9P2000.L" : "unknown");
}

static int auth(struct p9 *s, struct p9_req *r)
{
    return FS_EOPNOTSUPP;               /* none is needed: the client attaches without */
}

static int attach(struct p9 *s, struct p9_req *r)
{
    uint32_t num = (uint32_t)get(r, 4), afid = (uint32_t)get(r, 4);
    int error;

    get_text(r, r->fs.name2, FS_NAME_MAX);
    get_text(r, r->fs.name, FS_PATH_MAX);
    r->fs.uid = (uint32_t)get(r, 4);
    if (r->bad || afid != P9_NOFID)
        return FS_EINVAL;
    r->newfid = p9_fid_new(s, num, &error);
    return r->newfid ? submit(r, FS_ATTACH) : error;
}

static void qid_done(struct p9 *s, struct p9_req *r)
{
    put_qid(r, &r->fs.attr.qid);
}

static int flush(struct p9 *s, struct p9_req *r)
{
    struct p9_req *old = p9_tagged(s, (uint16_t)get(r, 2));

    if (r->bad || !old || old == r)
        return P9_ANSWER;
    p9_wait(r, old);
    return P9_WAIT;
}

static int walk(struct p9 *s, struct p9_req *r)
{
    uint32_t num, newnum;
    int error;

    num = (uint32_t)get(r, 4);
    newnum = (uint32_t)get(r, 4);
    r->fs.nnames = (unsigned)get(r, 2);
    if (r->bad || r->fs.nnames > FS_WALK_MAX)
        return FS_EINVAL;
    for (unsigned i = 0; i < r->fs.nnames; i++)
        get_text(r, r->fs.names[i], FS_NAME_MAX);
    r->fid = p9_fid_find(s, num);
    if (!r->fid || r->fid->xattr)
        return FS_EBADF;
    r->fs.node = r->fid->node;
    if (r->bad)
        return FS_EINVAL;
    if (newnum != num) {
        r->newfid = p9_fid_new(s, newnum, &error);
        if (!r->newfid)
            return error;
    }
    return submit(r, FS_WALK);
}

static void walk_done(struct p9 *s, struct p9_req *r)
{
    /* The fid itself moves on. */
    if (!r->newfid && r->fs.made) {
        struct fs_node *old = r->fid->node;

        r->fid->node = r->fs.made;
        p9_node_forget(s, old);
    }
    put(r, 2, r->fs.walked);
    for (unsigned i = 0; i < r->fs.walked; i++)
        put_qid(r, &r->fs.qids[i]);
}

static int clunk(struct p9 *s, struct p9_req *r)
{
    struct p9_fid *f = p9_fid_find(s, (uint32_t)get(r, 4));

    r->fid = f;
    if (!f || r->bad)
        return FS_EBADF;
    p9_fid_forget(s, f);
    if (f->xattr != XATTR_WRITE)
        return P9_ANSWER;
    if (f->filled != f->size)
        return FS_EINVAL;
    r->fs.node = f->node;
    strcpy(r->fs.name, f->name);
    r->fs.data = f->data;
    r->fs.len = f->size;
    r->fs.flags = f->flags;
    f->data = NULL;
    return submit(r, FS_SETXATTR);
}

static int remove_fid(struct p9 *s, struct p9_req *r)
{
    bool ok = get_fid(s, r);

    if (r->fid && !r->bad)
        p9_fid_forget(s, r->fid);       /* whatever becomes of the file */
    return ok ? submit(r, FS_REMOVE) : FS_EBADF;
}

/* ---- files ---- */

static int lopen(struct p9 *s, struct p9_req *r)
{
    if (!get_fid(s, r))
        return FS_EBADF;
    r->fs.flags = (uint32_t)get(r, 4);
    return submit(r, FS_OPEN);
}

static void open_done(struct p9 *s, struct p9_req *r)
{
    put_qid(r, &r->fs.attr.qid);
    put(r, 4, 0);                       /* iounit: as many bytes as fit in a message */
}

static int lcreate(struct p9 *s, struct p9_req *r)
{
    if (!get_fid(s, r))
        return FS_EBADF;
    get_text(r, r->fs.name, FS_NAME_MAX);
    r->fs.flags = (uint32_t)get(r, 4);
    r->fs.mode = (uint32_t)get(r, 4);
    r->fs.gid = (uint32_t)get(r, 4);
    return submit(r, FS_CREATE);
}

static int read_fid(struct p9 *s, struct p9_req *r)
{
    bool plain = get_fid(s, r);
    uint64_t off = get(r, 8);
    uint32_t count = payload(s, r, (uint32_t)get(r, 4));
    struct p9_fid *f = r->fid;

    if (!f || r->bad)
        return f ? FS_EINVAL : FS_EBADF;
    if (f->xattr == XATTR_READ) {
        uint32_t left = off < f->size ? f->size - (uint32_t)off : 0;

        put_data(r, f->data + (left ? off : 0), count < left ? count : left);
        return P9_ANSWER;
    }
    if (!plain)
        return FS_EBADF;
    if (!make_room(r, count))
        return FS_ENOMEM;
    r->fs.off = off;
    return submit(r, FS_READ);
}

static void read_done(struct p9 *s, struct p9_req *r)
{
    put_data(r, r->fs.data, r->fs.done_len);
}

static int write_fid(struct p9 *s, struct p9_req *r)
{
    bool plain = get_fid(s, r);
    uint64_t off = get(r, 8), size = le_get(r->in, 4);
    uint32_t count = (uint32_t)get(r, 4);
    struct p9_fid *f = r->fid;

    if (!f || r->bad || count > size - P9_WRITE)
        return f ? FS_EINVAL : FS_EBADF;
    if (f->xattr == XATTR_WRITE) {
        if (off != f->filled || count > f->size - f->filled)
            return FS_EINVAL;
        f->filled += chain_get(r->c, P9_WRITE, f->data + f->filled, count);
        put(r, 4, count);
        return P9_ANSWER;
    }
    if (!plain)
        return FS_EBADF;
    if (!make_room(r, count))
        return FS_ENOMEM;
    chain_get(r->c, P9_WRITE, r->fs.data, count);
    r->fs.off = off;
    return submit(r, FS_WRITE);
}

static void write_done(struct p9 *s, struct p9_req *r)
{
    put(r, 4, r->fs.done_len);
}

static bool entry(struct fs_req *fs, const struct fs_qid *q, uint64_t off, uint8_t type, const char *name)
{
    size_t n = strlen(name), all = 13 + 8 + 1 + 2 + n;
    uint8_t *p = fs->data + fs->done_len;

    if (fs->len - fs->done_len < all)
        return false;
    p[0] = q->type;
    le_put(p + 1, 4, q->version);
    le_put(p + 5, 8, q->path);
    le_put(p + 13, 8, off);
    p[21] = type;
    le_put(p + 22, 2, n);
    memcpy(p + 24, name, n);
    fs->done_len += (uint32_t)all;
    return true;
}

static int readdir_fid(struct p9 *s, struct p9_req *r)
{
    if (!get_fid(s, r))
        return FS_EBADF;
    r->fs.off = get(r, 8);
    if (!make_room(r, payload(s, r, (uint32_t)get(r, 4))))
        return FS_ENOMEM;
    memset(r->fs.data, 0, r->fs.len);
    r->fs.entry = entry;
    return submit(r, FS_READDIR);
}

static int fsync_fid(struct p9 *s, struct p9_req *r)
{
    if (!get_fid(s, r))
        return FS_EBADF;
    r->fs.flags = r->at < r->len ? (uint32_t)get(r, 4) : 0;
    return submit(r, FS_FSYNC);
}

static int getattr(struct p9 *s, struct p9_req *r)
{
    if (!get_fid(s, r))
        return FS_EBADF;
    get(r, 8);                          /* all that there is is told */
    return submit(r, FS_GETATTR);
}

static void getattr_done(struct p9 *s, struct p9_req *r)
{
    const struct fs_attr *a = &r->fs.attr;
    const struct fs_time times[] = { a->atime, a->mtime, a->ctime, { 0, 0 } };

    put(r, 8, 0x7ff);                   /* all but the time of birth, generation and data version */
    put_qid(r, &a->qid);
    put(r, 4, a->mode);
    put(r, 4, a->uid);
    put(r, 4, a->gid);
    put(r, 8, a->nlink);
    put(r, 8, a->rdev);
    put(r, 8, a->size);
    put(r, 8, a->blksize);
    put(r, 8, a->blocks);
    for (unsigned i = 0; i < 4; i++) {
        put(r, 8, times[i].sec);
        put(r, 8, times[i].nsec);
    }
    put(r, 8, 0);
    put(r, 8, 0);
}

static int setattr(struct p9 *s, struct p9_req *r)
{
    struct fs_attr *a = &r->fs.attr;

    if (!get_fid(s, r))
        return FS_EBADF;
    r->fs.set = (uint32_t)get(r, 4);
    a->mode = (uint32_t)get(r, 4);
    a->uid = (uint32_t)get(r, 4);
    a->gid = (uint32_t)get(r, 4);
    a->size = get(r, 8);
    a->atime.sec = get(r, 8);
    a->atime.nsec = get(r, 8);
    a->mtime.sec = get(r, 8);
    a->mtime.nsec = get(r, 8);
    return submit(r, FS_SETATTR);
}

static int statfs_fid(struct p9 *s, struct p9_req *r)
{
    return get_fid(s, r) ? submit(r, FS_STATFS) : FS_EBADF;
}

static void statfs_done(struct p9 *s, struct p9_req *r)
{
    const struct fs_stat *t = &r->fs.stat;

    put(r, 4, t->type);
    put(r, 4, t->bsize);
    put(r, 8, t->blocks);
    put(r, 8, t->bfree);
    put(r, 8, t->bavail);
    put(r, 8, t->files);
    put(r, 8, t->ffree);
    put(r, 8, t->fsid);
    put(r, 4, t->namelen);
}

/* ---- names ---- */

static int readlink_fid(struct p9 *s, struct p9_req *r)
{
    if (!get_fid(s, r))
        return FS_EBADF;
    return make_room(r, FS_PATH_MAX + 1) ? submit(r, FS_READLINK) : FS_ENOMEM;
}

static void readlink_done(struct p9 *s, struct p9_req *r)
{
    put(r, 2, r->fs.done_len);
    r->tail = r->fs.data;
    r->tail_len = r->fs.done_len;
}

static int symlink_fid(struct p9 *s, struct p9_req *r)
{
    if (!get_fid(s, r))
        return FS_EBADF;
    get_text(r, r->fs.name, FS_NAME_MAX);
    if (!make_room(r, FS_PATH_MAX + 1))
        return FS_ENOMEM;
    get_text(r, (char *)r->fs.data, FS_PATH_MAX);
    r->fs.gid = (uint32_t)get(r, 4);
    return submit(r, FS_SYMLINK);
}

static int mknod_fid(struct p9 *s, struct p9_req *r)
{
    uint64_t major, minor;

    if (!get_fid(s, r))
        return FS_EBADF;
    get_text(r, r->fs.name, FS_NAME_MAX);
    r->fs.mode = (uint32_t)get(r, 4);
    major = get(r, 4);
    minor = get(r, 4);
    r->fs.gid = (uint32_t)get(r, 4);
    r->fs.attr.rdev = major << 32 | minor;
    return submit(r, FS_MKNOD);
}

static int mkdir_fid(struct p9 *s, struct p9_req *r)
{
    if (!get_fid(s, r))
        return FS_EBADF;
    get_text(r, r->fs.name, FS_NAME_MAX);
    r->fs.mode = (uint32_t)get(r, 4);
    r->fs.gid = (uint32_t)get(r, 4);
    return submit(r, FS_MKDIR);
}

static int link_fid(struct p9 *s, struct p9_req *r)
{
    if (!get_fid(s, r) || !get_fid2(s, r))
        return FS_EBADF;
    get_text(r, r->fs.name, FS_NAME_MAX);
    return submit(r, FS_LINK);
}

static int rename_fid(struct p9 *s, struct p9_req *r)
{
    if (!get_fid(s, r) || !get_fid2(s, r))
        return FS_EBADF;
    get_text(r, r->fs.name2, FS_NAME_MAX);
    return submit(r, FS_RENAME);
}

static int renameat_fid(struct p9 *s, struct p9_req *r)
{
    if (!get_fid(s, r))
        return FS_EBADF;
    get_text(r, r->fs.name, FS_NAME_MAX);
    if (!get_fid2(s, r))
        return FS_EBADF;
    get_text(r, r->fs.name2, FS_NAME_MAX);
    return submit(r, FS_RENAMEAT);
}

static int unlinkat_fid(struct p9 *s, struct p9_req *r)
{
    if (!get_fid(s, r))
        return FS_EBADF;
    get_text(r, r->fs.name, FS_NAME_MAX);
    r->fs.flags = (uint32_t)get(r, 4);
    return submit(r, FS_UNLINK);
}

/* ---- extended attributes ---- */

static int xattrwalk(struct p9 *s, struct p9_req *r)
{
    uint32_t num;
    int error;

    if (!get_fid(s, r))
        return FS_EBADF;
    num = (uint32_t)get(r, 4);
    get_text(r, r->fs.name, FS_NAME_MAX);
    if (r->bad)
        return FS_EINVAL;
    r->newfid = p9_fid_new(s, num, &error);
    return r->newfid ? submit(r, FS_GETXATTR) : error;
}

static void xattrwalk_done(struct p9 *s, struct p9_req *r)
{
    r->newfid->xattr = XATTR_READ;
    r->newfid->data = r->fs.data;
    r->newfid->size = r->fs.done_len;
    r->fs.data = NULL;
    put(r, 8, r->newfid->size);
}

static int xattrcreate(struct p9 *s, struct p9_req *r)
{
    struct p9_fid *f;
    uint64_t size;

    if (!get_fid(s, r))
        return FS_EBADF;
    f = r->fid;
    get_text(r, r->fs.name, FS_NAME_MAX);
    size = get(r, 8);
    r->fs.flags = (uint32_t)get(r, 4);
    if (r->bad || !r->fs.name[0])
        return FS_EINVAL;
    if (size > FS_XATTR_MAX)
        return FS_ENOSPC;
    f->data = malloc(size ? size : 1);
    f->name = strdup(r->fs.name);
    if (!f->data || !f->name)
        die(EXIT_CODE_HOST, "out of memory for an attribute");
    f->xattr = XATTR_WRITE;
    f->size = (uint32_t)size;
    f->filled = 0;
    f->flags = r->fs.flags;
    return P9_ANSWER;
}

/* ---- locks ---- */

enum { LOCK_SUCCESS, LOCK_BLOCKED };

static void get_lock(struct p9_req *r, bool flags)
{
    struct fs_lock *l = &r->fs.lock;

    l->type = (uint8_t)get(r, 1);
    if (flags)
        get(r, 4);                      /* a client that wants to wait asks again */
    l->start = get(r, 8);
    l->len = get(r, 8);
    l->proc = (uint32_t)get(r, 4);
    get_text(r, l->client, FS_NAME_MAX);
    r->bad |= l->type > FS_LOCK_NONE;
}

static int lock(struct p9 *s, struct p9_req *r)
{
    if (!get_fid(s, r))
        return FS_EBADF;
    get_lock(r, true);
    return submit(r, FS_LOCK);
}

static void lock_done(struct p9 *s, struct p9_req *r)
{
    put(r, 1, r->fs.lock.type == FS_LOCK_BLOCKED ? LOCK_BLOCKED : LOCK_SUCCESS);
}

static int getlock(struct p9 *s, struct p9_req *r)
{
    if (!get_fid(s, r))
        return FS_EBADF;
    get_lock(r, false);
    return submit(r, FS_GETLOCK);
}

static void getlock_done(struct p9 *s, struct p9_req *r)
{
    const struct fs_lock *l = &r->fs.lock;

    put(r, 1, l->type);
    put(r, 8, l->start);
    put(r, 8, l->len);
    put(r, 4, l->proc);
    put_text(r, l->client);
}

const struct p9_msg p9_messages[128] = {
    [8] = { "Tstatfs", statfs_fid, statfs_done },
    [12] = { "Tlopen", lopen, open_done },
    [14] = { "Tlcreate", lcreate, open_done },
    [16] = { "Tsymlink", symlink_fid, qid_done },
    [18] = { "Tmknod", mknod_fid, qid_done },
    [20] = { "Trename", rename_fid, NULL },
    [22] = { "Treadlink", readlink_fid, readlink_done },
    [24] = { "Tgetattr", getattr, getattr_done },
    [26] = { "Tsetattr", setattr, NULL },
    [30] = { "Txattrwalk", xattrwalk, xattrwalk_done },
    [32] = { "Txattrcreate", xattrcreate, NULL },
    [40] = { "Treaddir", readdir_fid, read_done },
    [50] = { "Tfsync", fsync_fid, NULL },
    [52] = { "Tlock", lock, lock_done },
    [54] = { "Tgetlock", getlock, getlock_done },
    [70] = { "Tlink", link_fid, NULL },
    [72] = { "Tmkdir", mkdir_fid, qid_done },
    [74] = { "Trenameat", renameat_fid, NULL },
    [76] = { "Tunlinkat", unlinkat_fid, NULL },
    [P9_TVERSION] = { "Tversion", version, version_done },
    [102] = { "Tauth", auth, NULL },
    [104] = { "Tattach", attach, qid_done },
    [108] = { "Tflush", flush, NULL },
    [110] = { "Twalk", walk, walk_done },
    [116] = { "Tread", read_fid, read_done },
    [P9_TWRITE] = { "Twrite", write_fid, write_done },
    [120] = { "Tclunk", clunk, NULL },
    [122] = { "Tremove", remove_fid, NULL },
};
