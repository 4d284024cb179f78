/*
 * fsdev.c - folders of the host that guests see: the queue between the chip and the thread that does it all.
 *
 * One thread for a folder does its requests one after the other. So an operation never meets another one of this
 * guest half done, and neither the vCPUs nor the event loop wait for the host's file systems.
 *
 * Every file the guest holds is a descriptor here, so the soft limit of descriptors is raised to the hard one. Where
 * that is reached the guest is told that too many files are open.
 */
#include "host/fsdev.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "host/evloop.h"
#include "host/fsdev_int.h"

static void add(struct fs_req ***end, struct fs_req *r)
{
    r->next = NULL;
    **end = r;
    *end = &r->next;
}

static struct fs_req *take(struct fs_req **first, struct fs_req ***end)
{
    struct fs_req *r = *first;

    if (!r)
        return NULL;
    *first = r->next;
    if (!*first)
        *end = first;
    return r;
}

static void *worker(void *arg)
{
    struct fsdev *d = arg;
    struct fs_req *r;
    const uint64_t one = 1;

    pthread_mutex_lock(&d->lock);
    for (;;) {
        r = take(&d->waiting, &d->waiting_end);
        d->busy = r;
        if (!r && d->ending)
            break;
        if (!r) {
            pthread_cond_wait(&d->work, &d->lock);
            continue;
        }
        pthread_mutex_unlock(&d->lock);
        r->error = fsdev_errno(fsdev_do(d, r));
        pthread_mutex_lock(&d->lock);
        add(&d->done_end, r);
        while (write(d->event, &one, sizeof(one)) < 0 && errno == EINTR)
            ;
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

static void deliver(struct fsdev *d)
{
    struct fs_req *r;

    pthread_mutex_lock(&d->lock);
    while ((r = take(&d->done, &d->done_end))) {
        pthread_mutex_unlock(&d->lock);
        r->done(r);
        pthread_mutex_lock(&d->lock);
    }
    pthread_mutex_unlock(&d->lock);
}

static void ready(void *arg, short revents)
{
    struct fsdev *d = arg;
    uint64_t count;

    if (read(d->event, &count, sizeof(count)) == (ssize_t)sizeof(count))
        deliver(d);
}

static void submit(struct fs *fs, struct fs_req *r)
{
    struct fsdev *d = fs->arg;

    pthread_mutex_lock(&d->lock);
    add(&d->waiting_end, r);
    pthread_cond_signal(&d->work);
    pthread_mutex_unlock(&d->lock);
}

static const struct fs_ops ops = { submit };

static void raise_limit(void)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        setrlimit(RLIMIT_NOFILE, &l);
    }
}

static void start_thread(struct fsdev *d)
{
    sigset_t all, before;
    int error;

    sigfillset(&all);           /* signals are for the event loop */
    pthread_sigmask(SIG_BLOCK, &all, &before);
    error = pthread_create(&d->thread, NULL, worker, d);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        die(EXIT_CODE_HOST, "cannot start a thread for the folder %s: %s", d->cfg.path, strerror(error));
}

bool fsdev_open(struct fs *fs, struct evloop *loop, const struct fsdev_config *cfg, char *err, size_t len)
{
    struct fsdev *d = calloc(1, sizeof(*d));
    int error;

    if (!d)
        die(EXIT_CODE_HOST, "out of memory for the folder %s", cfg->path);
    raise_limit();
    d->fs = fs;
    d->cfg = *cfg;
    d->loop = loop;
    d->waiting_end = &d->waiting;
    d->done_end = &d->done;
    error = fsdev_open_root(d, cfg->path);
    if (!error && access("/proc/self/fd", X_OK))
        error = ENOSYS;
    if (error) {
        if (error == ENOSYS)
            snprintf(err, len, "/proc is not mounted: files are opened by /proc/self/fd");
        else
            snprintf(err, len, "path=%s: %s%s", cfg->path, strerror(error),
                     error == ENOTDIR ? ": it must be a folder" : "");
        fsdev_close_all(d);
        free(d);
        return false;
    }
    d->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (d->event < 0)
        die(EXIT_CODE_HOST, "cannot make an eventfd: %s", strerror(errno));
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->work, NULL);
    d->watch = evloop_add(loop, d->event, POLLIN, ready, d);
    start_thread(d);
    fs->arg = d;
    fs->ops = &ops;
    return true;
}

static bool idle(struct fsdev *d)
{
    bool is;

    pthread_mutex_lock(&d->lock);
    is = !d->waiting && !d->busy && !d->done;
    pthread_mutex_unlock(&d->lock);
    return is;
}

void fsdev_close(struct fs *fs)
{
    struct fsdev *d = fs->arg;

    if (!d)
        return;
    /* Answers may ask for more: files to be forgotten. */
    while (!idle(d)) {
        struct pollfd p = { .fd = d->event, .events = POLLIN };

        poll(&p, 1, 100);
        ready(d, POLLIN);
    }
    fs->ops = NULL;
    fs->arg = NULL;
    pthread_mutex_lock(&d->lock);
    d->ending = true;
    pthread_cond_signal(&d->work);
    pthread_mutex_unlock(&d->lock);
    pthread_join(d->thread, NULL);
    evloop_remove(d->watch);
    close(d->event);
    pthread_mutex_destroy(&d->lock);
    pthread_cond_destroy(&d->work);
    fsdev_close_all(d);
    free(d);
}
