/*
 * chardev_if.h - a stream of bytes between a chip and the outside, seen from the chip.
 *
 * The outside (host/chardev.c, or a test) implements struct chardev_ops; a chip implements struct
 * chardev_user.  Both are called with the device lock held.  A NULL chardev swallows and sends nothing.  While
 * the machine stands still no chip is called: what comes for it waits.
 */
#ifndef HW_CHARDEV_IF_H
#define HW_CHARDEV_IF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chardev;

/* How a serial port sends and receives. */
enum chardev_parity { CHARDEV_NO_PARITY, CHARDEV_ODD, CHARDEV_EVEN, CHARDEV_MARK, CHARDEV_SPACE };
struct chardev_line {
    unsigned baud, bits, stop;  /* bits: 5 to 8; stop: 1 or 2 */
    enum chardev_parity parity;
};
/* Its modem lines: the first two go out. */
enum { CHARDEV_DTR = 1, CHARDEV_RTS = 2, CHARDEV_CTS = 4, CHARDEV_DSR = 8, CHARDEV_RI = 16, CHARDEV_DCD = 32 };

struct chardev_ops {
    /* Takes the first n' <= n bytes and returns n'; never blocks.  After n' < n the user's
     * writable() is called when there is room again. */
    unsigned (*write)(struct chardev *, const uint8_t *buf, unsigned n);
    void (*set_break)(struct chardev *, int on);        /* may be NULL */
    void (*accept)(struct chardev *);                   /* the user's room() has grown */
    /* Where there is a real line, else NULL: what follows. */
    void (*set_line)(struct chardev *, const struct chardev_line *);
    void (*set_modem)(struct chardev *, unsigned out);
    int (*modem)(struct chardev *);                     /* CHARDEV_CTS to CHARDEV_DCD; -1: it has none */
    /* A descriptor that came with what is being received (SCM_RIGHTS), the caller's from now on; -1: none. May be NULL. */
    int (*take_fd)(struct chardev *);
};

struct chardev_user {
    unsigned (*room)(void *dev);                        /* bytes receive() takes now */
    void (*receive)(void *dev, const uint8_t *buf, unsigned n);     /* n <= room() */
    void (*receive_break)(void *dev);                   /* may be NULL */
    void (*writable)(void *dev);                        /* may be NULL */
    /* Somebody is at the other end from now on, or no longer; may be NULL. Never from within write(). */
    void (*opened)(void *dev, bool open);
    /* It is no part of the machine: it is called, and served, also while that stands still. */
    bool outside;
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

static inline void chardev_set_line(struct chardev *c, const struct chardev_line *line)
{
    if (c && c->ops->set_line)
        c->ops->set_line(c, line);
}

static inline void chardev_set_modem(struct chardev *c, unsigned out)
{
    if (c && c->ops->set_modem)
        c->ops->set_modem(c, out);
}

/* CHARDEV_CTS to CHARDEV_DCD, -1: there are none. They may change at any time, and nobody tells. */
static inline int chardev_modem(struct chardev *c)
{
    return c && c->ops->modem ? c->ops->modem(c) : -1;
}

/* A descriptor that came with what is being received, or -1. */
static inline int chardev_take_fd(struct chardev *c)
{
    return c && c->ops->take_fd ? c->ops->take_fd(c) : -1;
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
