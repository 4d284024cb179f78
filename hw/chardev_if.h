/*
 * chardev_if.h - a stream of bytes between a chip and the outside, seen from the chip.
 *
 * The outside (host/chardev.c, or a test) implements struct chardev_ops; a chip implements struct
 * chardev_user.  Both are called with the device lock held.  A NULL chardev swallows and sends nothing.
 */
#ifndef HW_CHARDEV_IF_H
#define HW_CHARDEV_IF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chardev;

struct chardev_ops {
    /* Takes the first n' <= n bytes and returns n'; never blocks.  After n' < n the user's
     * writable() is called when there is room again. */
    unsigned (*write)(struct chardev *, const uint8_t *buf, unsigned n);
    void (*set_break)(struct chardev *, int on);        /* may be NULL */
    void (*accept)(struct chardev *);                   /* the user's room() has grown */
};

struct chardev_user {
    unsigned (*room)(void *dev);                        /* bytes receive() takes now */
    void (*receive)(void *dev, const uint8_t *buf, unsigned n);     /* n <= room() */
    void (*receive_break)(void *dev);                   /* may be NULL */
    void (*writable)(void *dev);                        /* may be NULL */
    /* Somebody is at the other end from now on, or no longer; may be NULL. Never from within write(). */
    void (*opened)(void *dev, bool open);
};

struct chardev {
    const struct chardev_ops *ops;
    const struct chardev_user *user;
    void *dev;
};

static inline void chardev_connect(struct chardev *c, const struct chardev_user *user, void *dev)
{
    if (!c)
        return;
    c->user = user;
    c->dev = dev;
    c->ops->accept(c);
}

static inline unsigned chardev_write(struct chardev *c, const uint8_t *buf, unsigned n)
{
    return c ? c->ops->write(c, buf, n) : n;
}

static inline void chardev_accept(struct chardev *c)
{
    if (c)
        c->ops->accept(c);
}

static inline void chardev_set_break(struct chardev *c, int on)
{
    if (c && c->ops->set_break)
        c->ops->set_break(c, on);
}

/* A stream named on the command line (-chardev), for one device. */
struct chardev_slot {
    const char *id;
    struct chardev *chr;        /* NULL: nothing there, or not opened yet */
    bool used;
};

/* A device takes it. False: another one has it. */
static inline bool chardev_take(struct chardev_slot *s)
{
    bool mine = !s->used;

    s->used = true;
    return mine;
}

#endif
