/*
 * chardev_tty.c - a serial port of the host's behind one of the guest's: speed, frame, break and modem lines pass through
 * (termios(3), ioctl_tty(2)). A terminal without modem lines, as pseudo-terminals are, is always ready.
 *
 * Breaks and characters with errors come marked (PARMRK): FFh 00h and the character, a break with 00h; FFh comes twice.
 */
#ifndef _GNU_SOURCE             /* cfmakeraw, CRTSCTS */
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "base/log.h"
#include "host/chardev_int.h"

struct chardev_tty {
    int fd;
    struct termios before;
    enum { PLAIN, MARK, MARKED } state;
    unsigned baud_told;         /* which this host has not, as was said; 0: none */
};

struct chardev_tty *chardev_tty_new(int fd)
{
    struct chardev_tty *t = calloc(1, sizeof(*t));
    struct termios s;

    if (!t || tcgetattr(fd, &t->before)) {
        free(t);
        return NULL;
    }
    t->fd = fd;
    s = t->before;
    cfmakeraw(&s);
    s.c_iflag &= ~(tcflag_t)(IGNPAR | IXOFF | IXANY);
    s.c_iflag |= PARMRK | INPCK;
    s.c_cflag |= CREAD | CLOCAL;
    s.c_cflag &= ~(tcflag_t)CRTSCTS;    /* the guest does that */
    s.c_cc[VMIN] = 1;
    s.c_cc[VTIME] = 0;
    tcsetattr(fd, TCSANOW, &s);
    return t;
}

void chardev_tty_free(struct chardev_tty *t)
{
    if (t)
        tcsetattr(t->fd, TCSANOW, &t->before);
    free(t);
}

/* The host's speed that is next to it. */
static speed_t speed(struct chardev_tty *t, unsigned baud)
{
    static const struct { unsigned baud; speed_t speed; } all[] = {
        { 50, B50 }, { 75, B75 }, { 110, B110 }, { 134, B134 }, { 150, B150 }, { 200, B200 }, { 300, B300 },
        { 600, B600 }, { 1200, B1200 }, { 1800, B1800 }, { 2400, B2400 }, { 4800, B4800 }, { 9600, B9600 },
        { 19200, B19200 }, { 38400, B38400 }, { 57600, B57600 }, { 115200, B115200 }
    };
    unsigned best = 0;

    for (unsigned i = 1; i < sizeof(all) / sizeof(all[0]); i++)
        if (abs((int)all[i].baud - (int)baud) < abs((int)all[best].baud - (int)baud))
            best = i;
    if (abs((int)all[best].baud - (int)baud) * 20 > (int)baud && t->baud_told != baud) {
        log_msg(LOG_UNIMP, "serial: the guest's %u baud are none of the host's speeds: %u are used", baud, all[best].baud);
        t->baud_told = baud;
    }
    return all[best].speed;
}

void chardev_tty_line(struct chardev_tty *t, const struct chardev_line *line)
{
    static const tcflag_t size[] = { CS5, CS6, CS7, CS8 };
    struct termios s;

    if (tcgetattr(t->fd, &s))
        return;
    s.c_cflag &= ~(tcflag_t)(CSIZE | CSTOPB | PARENB | PARODD | CMSPAR);
    s.c_cflag |= size[line->bits - 5] | (line->stop > 1 ? CSTOPB : 0);
    if (line->parity != CHARDEV_NO_PARITY)
        s.c_cflag |= PARENB | (line->parity == CHARDEV_ODD || line->parity == CHARDEV_MARK ? PARODD : 0) |
                     (line->parity == CHARDEV_MARK || line->parity == CHARDEV_SPACE ? CMSPAR : 0);
    cfsetspeed(&s, speed(t, line->baud));
    tcsetattr(t->fd, TCSANOW, &s);
}

void chardev_tty_break(struct chardev_tty *t, bool on)
{
    ioctl(t->fd, on ? TIOCSBRK : TIOCCBRK);
}

void chardev_tty_modem(struct chardev_tty *t, unsigned out)
{
    int set = (out & CHARDEV_DTR ? TIOCM_DTR : 0) | (out & CHARDEV_RTS ? TIOCM_RTS : 0);
    int clear = (TIOCM_DTR | TIOCM_RTS) & ~set;

    ioctl(t->fd, TIOCMBIS, &set);
    ioctl(t->fd, TIOCMBIC, &clear);
}

int chardev_tty_inputs(struct chardev_tty *t)
{
    int s;

    if (ioctl(t->fd, TIOCMGET, &s))
        return -1;
    return (s & TIOCM_CTS ? CHARDEV_CTS : 0) | (s & TIOCM_DSR ? CHARDEV_DSR : 0) | (s & TIOCM_RI ? CHARDEV_RI : 0) |
           (s & TIOCM_CD ? CHARDEV_DCD : 0);
}

int chardev_tty_input(struct chardev_tty *t, uint8_t byte)
{
    switch (t->state) {
    case MARK:
        t->state = byte ? PLAIN : MARKED;
        return byte ? byte : CHARDEV_TTY_NOTHING;
    case MARKED:
        t->state = PLAIN;
        return byte ? byte : CHARDEV_TTY_BREAK;
    default:
        if (byte != 0xff)
            return byte;
        t->state = MARK;
        return CHARDEV_TTY_NOTHING;
    }
}
