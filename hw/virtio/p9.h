/*
 * p9.h - the 9P2000.L server: what its files share.
 *
 *   virtio_9p.c   the device, its queue, fids, the life of a request
 *   p9_msg.c      messages: a row and two functions for each type
 */
#ifndef HW_VIRTIO_P9_H
#define HW_VIRTIO_P9_H

#include "hw/fs_if.h"
#include "hw/virtio/virtio.h"

#define P9_HEAD      7u                 /* size[4] type[1] tag[2] */
#define P9_IO_HEAD   11u                /* of an answer with data: and count[4] */
#define P9_WRITE     23u                /* of Twrite, before its data */
#define P9_MSG_MAX   12288u             /* of all but Twrite: a name walked is 257 bytes, a link's target 4 KiB */
#define P9_OUT_MAX   640u               /* of an answer, without data */
#define P9_MSIZE_MIN 4096u
#define P9_MSIZE_MAX (512u << 10)
#define P9_NOTAG     0xffffu
#define P9_NOFID     0xffffffffu

enum { P9_RLERROR = 7, P9_TVERSION = 100, P9_TWRITE = 118 };

struct p9;

enum { XATTR_NOT, XATTR_READ, XATTR_WRITE };

/* A fid. It is the table's, and each request's that uses it; when nobody has it, its node is forgotten. */
struct p9_fid {
    uint32_t num;
    unsigned refs;
    struct fs_node *node;               /* NULL: the request that makes it is under way */
    uint8_t xattr;
    uint8_t *data;                      /* xattr */
    uint32_t size, filled, flags;
    char *name;                         /* XATTR_WRITE */
    struct p9_fid *next;
};

struct p9_msg;

struct p9_req {
    struct fs_req fs;
    struct p9 *s;
    struct virtq_chain *c;
    const struct p9_msg *msg;           /* NULL: FS_FORGET */
    uint16_t tag;
    struct p9_fid *fid, *fid2, *newfid;
    uint8_t in[P9_MSG_MAX];
    uint32_t len, at;                   /* of the message; how far it is read */
    bool bad, long_name;                /* it is cut off, or a name makes no sense; a name is too long */
    uint8_t out[P9_OUT_MAX];
    uint32_t out_len;
    const uint8_t *tail;                /* what goes behind `out` */
    uint32_t tail_len;
    struct p9_req *next, **prev;        /* of those under way */
    struct p9_req *flushes;             /* Tflush that wait for it, the first one first, by `next` */
};

/* What became of a message. */
enum { P9_WAIT = -2, P9_SUBMIT = -1, P9_ANSWER = 0 };           /* or the number of an error */

struct p9_msg {
    const char *name;                   /* NULL: there is no such message */
    int (*start)(struct p9 *, struct p9_req *);
    void (*finish)(struct p9 *, struct p9_req *);       /* write the answer; NULL: it is empty */
};
extern const struct p9_msg p9_messages[128];

/* Takes a new number of the guest's; NULL: it has it already, or too many. */
struct p9_fid *p9_fid_new(struct p9 *, uint32_t num, int *error);
struct p9_fid *p9_fid_find(struct p9 *, uint32_t num);          /* with one more reference */
void p9_fid_forget(struct p9 *, struct p9_fid *);               /* out of the table */
void p9_forget_all(struct p9 *);
void p9_node_forget(struct p9 *, struct fs_node *);
struct p9_req *p9_tagged(struct p9 *, uint16_t tag);
/* Tflush: answered behind the other one. */
void p9_wait(struct p9_req *flush, struct p9_req *for_it);
uint32_t p9_msize(const struct p9 *);
void p9_session(struct p9 *, uint32_t msize);   /* 0: none */

#endif
