/*
 * test_chardev_kinds.c - byte streams to named pipes, datagrams and serial ports of the host (a pseudo-terminal plays one),
 * what is appended and logged.
 */
#ifndef _GNU_SOURCE             /* posix_openpt and its like */
#define _GNU_SOURCE
#endif
#include "tests/dev/dev_env.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "host/chardev_int.h"

static struct evloop *loop;
static struct clock *clk;
static pthread_mutex_t dev_lock;
static char err[512], dir[64];

static struct { uint8_t got[8192]; unsigned n, breaks; } dev;
static unsigned dev_room(void *d) { return sizeof(dev.got) - dev.n; }
static void dev_receive(void *d, const uint8_t *b, unsigned n)
{
    memcpy(dev.got + dev.n, b, n);
    dev.n += n;
}
static void dev_break(void *d) { dev.breaks++; }
static const struct chardev_user user = { dev_room, dev_receive, dev_break, NULL };

static void setup(void)
{
    loop = env_loop(&clk, &dev_lock);
    snprintf(dir, sizeof(dir), "/tmp/latimer-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    memset(&dev, 0, sizeof(dev));
}

static void teardown(void)
{
    env_loop_end(loop, clk, &dev_lock);
    ck_assert_int_eq(rmdir(dir), 0);
}

static struct chardev *opened(const char *spec, const struct chardev_options *more)
{
    struct chardev *c = chardev_open_with(loop, spec, more, "serial0", err, sizeof(err));

    ck_assert_msg(c != NULL, "%s", err);
    chardev_connect(c, &user, NULL);
    return c;
}

static void say(struct chardev *c, const char *text)
{
    ck_assert_uint_eq(chardev_write(c, (const uint8_t *)text, (unsigned)strlen(text)), strlen(text));
    env_rounds(loop, 2);
}

static void hears(int fd, const char *want)
{
    char buf[256];
    ssize_t n = read(fd, buf, sizeof(buf));

    ck_assert_msg(n == (ssize_t)strlen(want) && memcmp(buf, want, (size_t)n) == 0, "%zd bytes, not %s", n, want);
}

static void holds(const char *path, const char *want)
{
    int fd = open(path, O_RDONLY);

    ck_assert_int_ge(fd, 0);
    hears(fd, want);
    close(fd);
    ck_assert_int_eq(unlink(path), 0);
}

static const struct chardev_options none;

START_TEST(append_and_log)
{
    char file[80], log[80], spec[100];
    struct chardev_options more = { .logfile = log };
    struct chardev *c;

    snprintf(file, sizeof(file), "%s/file", dir);
    snprintf(log, sizeof(log), "%s/log", dir);
    snprintf(spec, sizeof(spec), "file:%s", file);
    for (unsigned i = 0; i < 2; i++) {          /* the second time anew, then behind it */
        c = opened(spec, &more);
        say(c, "first\n");
        chardev_close(c);
    }
    more.append = more.log_append = true;
    c = opened(spec, &more);
    say(c, "second\n");
    chardev_close(c);
    holds(file, "first\nsecond\n");
    holds(log, "first\nsecond\n");
    c = opened("null", &more);                  /* also of what nobody hears */
    say(c, "x");
    chardev_close(c);
    holds(log, "x");
    more.logfile = "/no/such/dir/log";
    ck_assert_ptr_null(chardev_open_with(loop, "null", &more, "serial0", err, sizeof(err)));
    ck_assert_ptr_nonnull(strstr(err, "/no/such/dir/log"));
}
END_TEST

START_TEST(named_pipes)
{
    char in[80], out[80], spec[100];
    struct chardev *c;
    int to, from;

    snprintf(spec, sizeof(spec), "pipe:%s/p", dir);
    ck_assert_ptr_null(chardev_open(loop, spec, "serial0", err, sizeof(err)));
    ck_assert_ptr_nonnull(strstr(err, "mkfifo"));
    snprintf(in, sizeof(in), "%s/p.in", dir);
    snprintf(out, sizeof(out), "%s/p.out", dir);
    ck_assert(mkfifo(in, 0600) == 0 && mkfifo(out, 0600) == 0);
    c = opened(spec, &none);
    say(c, "early\n");                          /* who comes later reads it */
    from = open(out, O_RDONLY | O_NONBLOCK);
    hears(from, "early\n");
    for (unsigned i = 1; i <= 2; i++) {         /* writers come and go */
        to = open(in, O_WRONLY | O_NONBLOCK);
        ck_assert_int_eq(write(to, "typed", 5), 5);
        close(to);
        env_rounds(loop, 3);
        ck_assert_uint_eq(dev.n, 5 * i);
    }
    say(c, "more\n");
    hears(from, "more\n");
    close(from);
    chardev_close(c);
    unlink(in);
    unlink(out);
}
END_TEST

static int udp_socket(unsigned *port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, len), 0);
    getsockname(fd, (struct sockaddr *)&a, &len);
    *port = ntohs(a.sin_port);
    return fd;
}

START_TEST(datagrams)
{
    unsigned there, here;
    int fd = udp_socket(&there), other = udp_socket(&here);
    struct sockaddr_in from = { 0 };
    socklen_t len = sizeof(from);
    struct chardev *c;
    char spec[80], buf[64];

    close(other);                               /* its port is free now */
    snprintf(spec, sizeof(spec), "udp::%u@127.0.0.1:%u", there, here);
    c = opened(spec, &none);
    ck_assert_uint_eq(chardev_write(c, (const uint8_t *)"hello\n", 6), 6);
    ck_assert_int_eq(recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len), 6);
    ck_assert_uint_eq(ntohs(from.sin_port), here);
    ck_assert_int_eq(sendto(fd, "abc", 3, 0, (struct sockaddr *)&from, len), 3);
    ck_assert_int_eq(sendto(fd, "", 0, 0, (struct sockaddr *)&from, len), 0);
    ck_assert_int_eq(sendto(fd, "def", 3, 0, (struct sockaddr *)&from, len), 3);
    env_rounds(loop, 5);
    ck_assert(dev.n == 6 && memcmp(dev.got, "abcdef", 6) == 0);
    close(fd);
    for (unsigned i = 0; i < 4; i++)            /* nobody is there: it is lost, and that is all */
        say(c, "lost\n");
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    from.sin_port = htons((uint16_t)there);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&from, len), 0);
    say(c, "again\n");
    hears(fd, "again\n");
    close(fd);
    chardev_close(c);
    ck_assert_ptr_null(chardev_open(loop, "udp:7", "serial0", err, sizeof(err)));
    ck_assert_ptr_nonnull(strstr(err, "udp:HOST:PORT@HOST:PORT"));
}
END_TEST

/* A pseudo-terminal has speeds and frames, and no modem lines. */
START_TEST(serial_port)
{
    int pty = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK), fd;
    struct chardev_line line = { 2400, 7, 2, CHARDEV_EVEN };
    struct termios before, t;
    struct chardev *c;
    char spec[80];

    ck_assert(pty >= 0 && grantpt(pty) == 0 && unlockpt(pty) == 0);
    fd = open(ptsname(pty), O_RDWR | O_NOCTTY);
    ck_assert_int_eq(tcgetattr(fd, &before), 0);
    snprintf(spec, sizeof(spec), "%s", ptsname(pty));
    c = opened(spec, &none);
    say(c, "to\n");
    hears(pty, "to\n");                         /* raw: no carriage return is added */
    ck_assert_int_eq(write(pty, "a\377b\003\r", 5), 5);
    env_rounds(loop, 3);
    ck_assert(dev.n == 5 && memcmp(dev.got, "a\377b\003\r", 5) == 0);
    ck_assert_uint_eq(dev.breaks, 0);
    chardev_set_line(c, &line);
    ck_assert_int_eq(tcgetattr(fd, &t), 0);
    ck_assert_uint_eq(cfgetospeed(&t), B2400);
    ck_assert(t.c_cflag & CSTOPB);
    /* Linux has pseudo-terminals keep eight bits without parity. */
    line = (struct chardev_line){ 115200, 8, 1, CHARDEV_NO_PARITY };
    chardev_set_line(c, &line);
    ck_assert_int_eq(tcgetattr(fd, &t), 0);
    ck_assert(cfgetospeed(&t) == B115200 && (t.c_cflag & CSIZE) == CS8 && !(t.c_cflag & CSTOPB));
    ck_assert_int_eq(chardev_modem(c), -1);
    chardev_set_modem(c, CHARDEV_DTR);
    chardev_close(c);
    ck_assert_int_eq(tcgetattr(fd, &t), 0);     /* as it was */
    ck_assert_uint_eq(t.c_lflag, before.c_lflag);
    ck_assert_uint_eq(t.c_iflag, before.c_iflag);
    close(fd);
    close(pty);
    ck_assert_ptr_null(chardev_open(loop, "/dev/null", "serial0", err, sizeof(err)));
    ck_assert_ptr_nonnull(strstr(err, "no serial port"));
    ck_assert_ptr_null(chardev_open(loop, "tty:/no/such", "serial0", err, sizeof(err)));
    ck_assert_ptr_nonnull(strstr(err, "/no/such"));
}
END_TEST



/* What no pseudo-terminal sends: characters with errors, and breaks, as termios(3) marks them. */
START_TEST(marked_input)
{
    static const uint8_t in[] = { 'a', 0xff, 0xff, 0xff, 0, 'e', 0xff, 0, 0, 'b' };
    static const int want[] = { 'a', -1, 0xff, -1, -1, 'e', -1, -1, CHARDEV_TTY_BREAK, 'b' };
    int pty = posix_openpt(O_RDWR | O_NOCTTY);
    struct chardev_tty *t = chardev_tty_new(pty);

    ck_assert_ptr_nonnull(t);
    for (unsigned i = 0; i < sizeof(in); i++)
        ck_assert_int_eq(chardev_tty_input(t, in[i]), want[i]);
    chardev_tty_free(t);
    close(pty);
}
END_TEST

Suite *suite_chardev_kinds(void)
{
    Suite *s = suite_create("chardev kinds");
    TCase *t = tcase_create("kinds");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, append_and_log);
    tcase_add_test(t, named_pipes);
    tcase_add_test(t, datagrams);
    tcase_add_test(t, serial_port);
    tcase_add_test(t, marked_input);
    suite_add_tcase(s, t);
    return s;
}
