/*
 * fsdev_lock.c - locks that the guest's processes have on files of a folder, as the host's own of open files (fcntl(2),
 * F_OFD_SETLK): what other programs of the host lock counts, too.
 */
#ifndef _GNU_SOURCE             /* locks of open files */
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "host/fsdev_int.h"

static void free_lock(struct fsdev *d, struct fsdev_lock **at)
{
    struct fsdev_lock *l = *at;

    *at = l->next;
    close(l->fd);
    free(l->client);
    free(l);
    d->nlocks--;
}

void fsdev_unlock_node(struct fsdev *d, const struct fs_node *n)
{
    for (struct fsdev_lock **l = &d->locks; *l;) {
        if ((*l)->node == n)
            free_lock(d, l);
        else
            l = &(*l)->next;
    }
}

static struct fsdev_lock **lock_of(struct fsdev *d, const struct fs_req *r)
{
    struct fsdev_lock **l = &d->locks;

    while (*l && ((*l)->dev != r->node->file->dev || (*l)->ino != r->node->file->ino || (*l)->proc != r->lock.proc ||
                  strcmp((*l)->client, r->lock.client)))
        l = &(*l)->next;
    return l;
}

static int new_lock(struct fsdev *d, const struct fs_req *r, struct fsdev_lock **out)
{
    struct fsdev_lock *l;
    int fd, error;

    if (d->nlocks == FSDEV_LOCKS)
        return ENOLCK;
    error = fsdev_open_found(r->node->file->fd, d->cfg.readonly ? O_RDONLY : O_RDWR, &fd);
    if (error)
        error = fsdev_open_found(r->node->file->fd, O_RDONLY, &fd);
    if (error)
        return error;
    l = calloc(1, sizeof(*l));
    if (!l)
        die(EXIT_CODE_HOST, "out of memory for a lock");
    *l = (struct fsdev_lock){ .dev = r->node->file->dev, .ino = r->node->file->ino, .proc = r->lock.proc,
                              .client = fsdev_copy(r->lock.client), .fd = fd, .next = d->locks };
    d->locks = l;
    d->nlocks++;
    *out = l;
    return 0;
}

int fsdev_lock(struct fsdev *d, struct fs_req *r, bool ask)
{
    static const short types[] = { [FS_LOCK_READ] = F_RDLCK, [FS_LOCK_WRITE] = F_WRLCK, [FS_LOCK_NONE] = F_UNLCK };
    struct fsdev_lock **at = lock_of(d, r), *l = *at;
    struct flock f = { .l_whence = SEEK_SET };
    int error = 0;

    if (r->lock.start > INT64_MAX || r->lock.len > (uint64_t)INT64_MAX - r->lock.start)
        return EINVAL;
    if (!l && r->lock.type == FS_LOCK_NONE)
        return 0;
    if (!l)
        error = new_lock(d, r, &l);
    if (error)
        return error;
    at = lock_of(d, r);
    l->node = r->node;
    f.l_type = types[r->lock.type];
    f.l_start = (off_t)r->lock.start;
    f.l_len = (off_t)r->lock.len;
    if (fcntl(l->fd, ask ? F_OFD_GETLK : F_OFD_SETLK, &f))
        error = errno;
    if (!ask && (error == EAGAIN || error == EACCES)) {
        r->lock.type = FS_LOCK_BLOCKED;
        error = 0;
    } else if (!ask && !error && r->lock.type == FS_LOCK_NONE && !r->lock.start && !r->lock.len) {
        free_lock(d, at);
    } else if (ask && !error) {
        r->lock.type = f.l_type == F_RDLCK ? FS_LOCK_READ : f.l_type == F_WRLCK ? FS_LOCK_WRITE : FS_LOCK_NONE;
        if (f.l_type != F_UNLCK) {
            r->lock.start = (uint64_t)f.l_start;
            r->lock.len = (uint64_t)f.l_len;
            r->lock.proc = 0;           /* somebody's, of whom the host says nothing */
        }
    }
    return error;
}
