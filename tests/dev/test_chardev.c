/* test_chardev.c - the event loop and the host ends of byte streams. */
#define _GNU_SOURCE
#include "tests/dev/dev_env.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "host/chardev.h"
#include "host/evloop.h"

static struct evloop *loop;
static struct clock *clk;
static pthread_mutex_t dev_lock;
static char err[256];

static void setup(void)
{
    loop = env_loop(&clk, &dev_lock);
}

static void teardown(void)
{
    env_loop_end(loop, clk, &dev_lock);
}

/* A device that takes `room` bytes. */
static struct { uint8_t got[8192]; unsigned n, room, breaks, break_at, writable; } dev;
static unsigned dev_room(void *d) { return dev.room; }
static void dev_receive(void *d, const uint8_t *b, unsigned n)
{
    memcpy(dev.got + dev.n, b, n);
    dev.n += n;
    dev.room -= n;
}
static void dev_break(void *d)
{
    dev.breaks++;
    dev.break_at = dev.n;
}
static void dev_writable(void *d) { dev.writable++; }
static const struct chardev_user user = { dev_room, dev_receive, dev_break, dev_writable };

static unsigned count;
static uint64_t when;
static void tick(void *arg)
{
    count++;
    when = clock_now(clk);
}

START_TEST(timers_wake_the_loop)
{
    struct timer t;
    count = 0;
    timer_init(&t, clk, tick, NULL);
    uint64_t due = clock_now(clk) + 20 * MS;
    timer_set(&t, due);
    while (!count)
        evloop_step(loop, UINT64_MAX);
    ck_assert(when >= due && when < due + 500 * MS);
}
END_TEST

static struct timer other;
static void *set_timer(void *arg)
{
    usleep(20000);
    pthread_mutex_lock(&dev_lock);
    timer_set(&other, clock_now(clk) + 5 * MS);
    pthread_mutex_unlock(&dev_lock);
    return NULL;
}

START_TEST(another_thread_sets_an_earlier_deadline)
{
    pthread_t th;
    count = 0;
    timer_init(&other, clk, tick, NULL);
    pthread_create(&th, NULL, set_timer, NULL);
    while (!count)
        evloop_step(loop, UINT64_MAX);
    pthread_join(th, NULL);
    ck_assert_uint_eq(count, 1);
}
END_TEST

static void *stopper(void *arg)
{
    usleep(10000);
    evloop_stop(loop);
    return NULL;
}

START_TEST(stop_from_another_thread)
{
    pthread_t th;
    pthread_create(&th, NULL, stopper, NULL);
    evloop_run(loop);
    pthread_join(th, NULL);
}
END_TEST

START_TEST(file_output)
{
    char path[] = "/tmp/latimer-test-XXXXXX", spec[64], buf[32];
    int fd = mkstemp(path);
    snprintf(spec, sizeof(spec), "file:%s", path);
    struct chardev *c = chardev_open(loop, spec, "serial0", err, sizeof(err));
    ck_assert_msg(c != NULL, "%s", err);
    ck_assert_uint_eq(chardev_write(c, (const uint8_t *)"one\n", 4), 4);
    ck_assert_int_eq(read(fd, buf, sizeof(buf)), 4);    /* a line's end writes at once */
    ck_assert_uint_eq(chardev_write(c, (const uint8_t *)"two", 3), 3);
    env_rounds(loop, 3);
    ck_assert_int_eq(read(fd, buf, sizeof(buf)), 3);    /* the rest soon after */
    chardev_write(c, (const uint8_t *)"end", 3);
    chardev_close(c);
    ck_assert_int_eq(read(fd, buf, sizeof(buf)), 3);
    close(fd);
    unlink(path);
}
END_TEST

START_TEST(bad_specs_explain_themselves)
{
    ck_assert(!chardev_open(loop, "tcp:1234", "serial0", err, sizeof(err)));
    ck_assert(strstr(err, "tcp:1234") != NULL);
    ck_assert(!chardev_open(loop, "file:/no/such/dir/x", "serial0", err, sizeof(err)));
    ck_assert(strstr(err, "/no/such/dir/x") != NULL);
    ck_assert(!chardev_open(loop, "none", "serial0", err, sizeof(err)));
    ck_assert(err[0] == 0);
    struct chardev *c = chardev_open(loop, "null", "serial0", err, sizeof(err));
    ck_assert(c != NULL);
    ck_assert_uint_eq(chardev_write(c, (const uint8_t *)"x", 1), 1);
    chardev_close(c);
}
END_TEST

START_TEST(pty_both_ways)
{
    int keep = dup(2), p[2], any = posix_openpt(O_RDWR | O_NOCTTY);
    char text[256] = "", buf[64];
    if (any < 0) {                      /* a container without devpts */
        printf("pty_both_ways: not tested: this host gives no pseudo-terminal: %s\n", strerror(errno));
        return;
    }
    close(any);
    ck_assert(pipe(p) == 0);
    dup2(p[1], 2);
    struct chardev *c = chardev_open(loop, "pty", "serial0", err, sizeof(err));
    dup2(keep, 2);
    ck_assert_msg(c != NULL, "%s", err);
    ck_assert(read(p[0], text, sizeof(text) - 1) > 0);
    char *name = strstr(text, "/dev/pts/");
    ck_assert(name != NULL);
    name[strcspn(name, "\n")] = 0;
    int tty = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK);
    ck_assert(tty >= 0);
    memset(&dev, 0, sizeof(dev));
    chardev_connect(c, &user, NULL);
    chardev_write(c, (const uint8_t *)"hello\n", 6);
    ck_assert_int_eq(read(tty, buf, sizeof(buf)), 6);
    ck_assert(write(tty, "abc", 3) == 3);
    env_rounds(loop, 5);
    ck_assert_uint_eq(dev.n, 0);                /* the device has no room */
    dev.room = 2;
    chardev_accept(c);
    env_rounds(loop, 3);
    ck_assert_uint_eq(dev.n, 2);
    dev.room = 2;
    chardev_accept(c);
    env_rounds(loop, 3);
    ck_assert_mem_eq(dev.got, "abc", 3);
    /* nobody reads: everything is taken, what does not fit is dropped */
    uint8_t block[1024] = { 'x', '\n' };
    for (unsigned i = 0; i < 200; i++)
        ck_assert_uint_eq(chardev_write(c, block, sizeof(block)), sizeof(block));
    chardev_close(c);
    close(tty);
}
END_TEST

/* stdio tests run in a forked child of check: descriptors 0 and 1 are ours to replace. */
static struct chardev *on_pipes(const char *spec, int *in, int *out)
{
    int a[2], b[2];
    ck_assert(pipe(a) == 0 && pipe(b) == 0);
    dup2(a[0], 0);
    dup2(b[1], 1);
    close(a[0]);
    close(b[1]);
    *in = a[1];
    *out = b[0];
    fcntl(*out, F_SETFL, O_NONBLOCK);
    struct chardev *c = chardev_open(loop, spec, "serial0", err, sizeof(err));
    ck_assert_msg(c != NULL, "%s", err);
    memset(&dev, 0, sizeof(dev));
    dev.room = sizeof(dev.got);
    chardev_connect(c, &user, NULL);
    return c;
}

static bool quit;
static void on_quit(void *arg) { quit = true; }

START_TEST(stdio_on_pipes)
{
    int in, out;
    char buf[64];
    struct chardev *c = on_pipes("mon:stdio", &in, &out);
    quit = false;
    evloop_on_quit(loop, on_quit, NULL);
    ck_assert(!chardev_open(loop, "stdio", "serial1", err, sizeof(err)));
    ck_assert(strstr(err, "already used") != NULL);
    ck_assert(write(in, "ls\n\001\001\001b", 7) == 7);
    env_rounds(loop, 3);
    ck_assert_uint_eq(dev.n, 4);
    ck_assert_mem_eq(dev.got, "ls\n\001", 4);
    ck_assert_uint_eq(dev.breaks, 1);
    ck_assert(write(in, "\001h", 2) == 2);
    env_rounds(loop, 3);
    ck_assert(read(out, buf, sizeof(buf)) > 0);
    dev.room = 0;                               /* a guest that takes nothing can still be left */
    ck_assert(write(in, "abc\001x", 5) == 5);
    env_rounds(loop, 3);
    ck_assert(quit);
    close(in);                                  /* end of input is no event */
    env_rounds(loop, 3);
    chardev_write(c, (const uint8_t *)"bye\n", 4);
    chardev_close(c);
    while (read(out, buf, 1) == 1)
        ;
}
END_TEST

/* What is typed is echoed without a round of the event loop; what follows at once is not lost. */
START_TEST(an_echo_does_not_wait)
{
    int in, out;
    char buf[64];
    struct chardev *c = on_pipes("stdio", &in, &out);

    for (unsigned i = 0; i < 5; i++) {
        usleep(5000);
        chardev_write(c, (const uint8_t *)"x", 1);
        ck_assert_int_eq(read(out, buf, sizeof(buf)), 1);
    }
    usleep(5000);
    for (unsigned i = 0; i < 30; i++)
        chardev_write(c, (const uint8_t *)"0123456789", 10);
    env_rounds(loop, 3);
    for (unsigned seen = 0; seen < 300; seen++)
        ck_assert(read(out, buf, 1) == 1 && buf[0] == '0' + (char)(seen % 10));
    chardev_close(c);
}
END_TEST

START_TEST(a_slow_reader_makes_the_device_wait)
{
    int in, out;
    uint8_t block[1000], buf[4096];
    size_t sent = 0, seen = 0;
    struct chardev *c = on_pipes("stdio", &in, &out);
    memset(block, 'y', sizeof(block));
    block[999] = '\n';
    for (;;) {
        unsigned n = chardev_write(c, block, sizeof(block));
        sent += n;
        if (n < sizeof(block))
            break;
    }
    ck_assert(sent >= 65536);
    ck_assert_uint_eq(dev.writable, 0);
    ssize_t n;
    for (unsigned i = 0; i < 200 && seen < sent; i++) {
        while ((n = read(out, buf, sizeof(buf))) > 0)
            seen += (size_t)n;
        env_rounds(loop, 1);
    }
    ck_assert_uint_eq(seen, sent);
    ck_assert_uint_eq(dev.writable, 1);
    chardev_close(c);
}
END_TEST

static int client(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

/* A stream that waits for clients at `path`/s, in a folder made for it; how it was asked for is in `spec`. */
static struct chardev *listens(char *path, char spec[80])
{
    struct chardev *c;

    ck_assert_ptr_nonnull(mkdtemp(path));
    snprintf(spec, 80, "unix:%s/s,server,nowait", path);
    c = chardev_open(loop, spec, "serial0", err, sizeof(err));
    ck_assert_msg(c != NULL, "%s", err);
    return c;
}

START_TEST(socket_and_its_clients)
{
    static uint8_t block[1000];
    char path[] = "/tmp/latimer-test-XXXXXX", spec[80], buf[64];
    struct chardev *c;
    unsigned n;
    int fd;

    c = listens(path, spec);
    /* One that is in use is not taken away. */
    ck_assert_ptr_null(chardev_open(loop, spec, "serial1", err, sizeof(err)));
    ck_assert_ptr_nonnull(strstr(err, "in use"));
    memset(&dev, 0, sizeof(dev));
    dev.room = 100;
    chardev_connect(c, &user, NULL);
    ck_assert_uint_eq(chardev_write(c, (const uint8_t *)"lost\n", 5), 5);        /* nobody is there */
    snprintf(spec, sizeof(spec), "%s/s", path);
    for (unsigned i = 0; i < 3; i++) {          /* one after the other */
        dev.n = 0;
        fd = client(spec);
        env_rounds(loop, 2);
        ck_assert_uint_eq(chardev_write(c, (const uint8_t *)"hello\n", 6), 6);
        ck_assert_int_eq(read(fd, buf, sizeof(buf)), 6);
        ck_assert_int_eq(write(fd, "abc", 3), 3);
        env_rounds(loop, 2);
        ck_assert_uint_eq(dev.n, 3);
        close(fd);
        env_rounds(loop, 3);
        ck_assert_uint_eq(chardev_write(c, (const uint8_t *)"gone\n", 5), 5);
    }
    /* One that does not read makes the device wait; when it goes, the device goes on. */
    fd = client(spec);
    env_rounds(loop, 2);
    while ((n = chardev_write(c, block, sizeof(block))) == sizeof(block))
        env_rounds(loop, 1);
    ck_assert_uint_lt(n, sizeof(block));
    ck_assert_uint_eq(dev.writable, 0);
    close(fd);
    env_rounds(loop, 4);
    ck_assert_uint_eq(dev.writable, 1);
    ck_assert_uint_eq(chardev_write(c, block, sizeof(block)), sizeof(block));
    /* Another Latimer as the client. */
    snprintf(spec, sizeof(spec), "unix:%s/s", path);
    {
        struct chardev *to = chardev_open(loop, spec, "serial1", err, sizeof(err));

        ck_assert_msg(to != NULL, "%s", err);
        env_rounds(loop, 2);
        dev.n = 0;
        ck_assert_uint_eq(chardev_write(to, (const uint8_t *)"ring\n", 5), 5);
        env_rounds(loop, 3);
        ck_assert_uint_eq(dev.n, 5);
        chardev_close(to);
    }
    env_rounds(loop, 2);
    chardev_close(c);
    ck_assert_int_eq(rmdir(path), 0);           /* the socket is gone */
    ck_assert_ptr_null(chardev_open(loop, "unix:x,sever", "serial0", err, sizeof(err)));
    ck_assert_ptr_nonnull(strstr(err, "unknown destination"));
    ck_assert_ptr_null(chardev_open(loop, "tcp:localhost", "serial0", err, sizeof(err)));
    ck_assert_ptr_nonnull(strstr(err, "unknown destination"));
    ck_assert_ptr_null(chardev_open(loop, "unix:/nowhere/at/all", "serial0", err, sizeof(err)));
    ck_assert_ptr_nonnull(strstr(err, "cannot connect"));
}
END_TEST

/* ---- while the machine stands still ---- */

/* A monitor behind the same stream. */
static struct { char said[64]; unsigned n, opened; } mon;
static unsigned mon_room(void *d) { return sizeof(mon.said) - mon.n; }
static void mon_receive(void *d, const uint8_t *b, unsigned n)
{
    memcpy(mon.said + mon.n, b, n);
    mon.n += n;
}
static void mon_opened(void *d, bool open) { mon.opened += open; }
static const struct chardev_user monitor = { mon_room, mon_receive, .opened = mon_opened, .outside = true };

static void type(int fd, const char *text)
{
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    env_rounds(loop, 3);
}

START_TEST(a_shared_stream_while_the_machine_stands)
{
    int in, out;
    struct chardev *c = on_pipes("mon:stdio", &in, &out), *m = chardev_front(c);

    quit = false;
    evloop_on_quit(loop, on_quit, NULL);
    memset(&mon, 0, sizeof(mon));
    chardev_connect(m, &monitor, NULL);
    type(in, "run");
    ck_assert_uint_eq(dev.n, 3);
    chardev_still(c, true);
    type(in, "ab\001bcd");                      /* a break is in its place among the bytes */
    ck_assert_uint_eq(dev.n, 3);
    ck_assert_uint_eq(dev.breaks, 0);
    type(in, "\001cstop");                      /* the monitor's */
    ck_assert_uint_eq(mon.opened, 1);
    ck_assert(mon.n == 4 && memcmp(mon.said, "stop", 4) == 0);
    type(in, "\001c\001\001e");
    ck_assert_uint_eq(dev.n, 3);
    type(in, "\001c!");
    ck_assert(mon.n == 5 && mon.said[4] == '!');
    chardev_still(c, false);                    /* whoever is typed to */
    env_rounds(loop, 1);
    ck_assert_uint_eq(dev.n, 9);
    ck_assert_mem_eq(dev.got, "runabcd\001e", 9);
    ck_assert(dev.breaks == 1 && dev.break_at == 5);
    chardev_still(c, true);
    type(in, "\001x");
    ck_assert(quit);
    chardev_close(c);
    close(in);
}
END_TEST

/* No byte is lost, none is read: the sender waits. */
START_TEST(input_waits_while_the_machine_stands)
{
    char path[] = "/tmp/latimer-test-XXXXXX", spec[80];
    struct chardev *c;
    size_t sent = 0, seen = 0;
    uint8_t block[1000];
    ssize_t n;
    int fd;

    c = listens(path, spec);
    memset(&dev, 0, sizeof(dev));
    chardev_still(c, true);
    chardev_connect(c, &user, NULL);
    dev.room = sizeof(dev.got);
    snprintf(spec, sizeof(spec), "%s/s", path);
    fd = client(spec);
    env_rounds(loop, 3);
    for (;; sent += (size_t)n) {
        for (unsigned i = 0; i < sizeof(block); i++)
            block[i] = (uint8_t)((sent + i) % 251);
        n = send(fd, block, sizeof(block), MSG_NOSIGNAL);
        env_rounds(loop, 1);
        if (n <= 0)
            break;
    }
    ck_assert_int_eq(errno, EAGAIN);
    chardev_accept(c);
    env_rounds(loop, 3);
    ck_assert_uint_eq(dev.n, 0);
    ck_assert_uint_gt(sent, sizeof(dev.got));
    chardev_still(c, false);
    while (seen < sent) {
        env_rounds(loop, 2);
        ck_assert_uint_gt(dev.n, 0);
        for (unsigned i = 0; i < dev.n; i++, seen++)
            ck_assert_uint_eq(dev.got[i], seen % 251);
        dev.n = 0;
        dev.room = sizeof(dev.got);
        chardev_accept(c);
    }
    ck_assert_uint_eq(seen, sent);
    close(fd);
    chardev_close(c);
    ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

/* What a client sent before it went is received, also by a device that finds out first that nobody hears it. */
START_TEST(a_client_that_sends_and_goes)
{
    char path[] = "/tmp/latimer-test-XXXXXX", spec[80];
    struct chardev *c;
    int fd;

    c = listens(path, spec);
    memset(&dev, 0, sizeof(dev));
    dev.room = sizeof(dev.got);
    chardev_connect(c, &user, NULL);
    snprintf(spec, sizeof(spec), "%s/s", path);
    for (unsigned still = 0; still < 2; still++) {
        dev.n = 0;
        fd = client(spec);
        env_rounds(loop, 2);
        chardev_still(c, still);
        ck_assert_int_eq(write(fd, "abc", 3), 3);
        close(fd);
        usleep(1000);
        ck_assert_uint_eq(chardev_write(c, (const uint8_t *)"one\n", 4), 4);
        ck_assert_uint_eq(chardev_write(c, (const uint8_t *)"two\n", 4), 4);
        env_rounds(loop, 3);
        ck_assert_uint_eq(dev.n, still ? 0 : 3);
        chardev_still(c, false);
        env_rounds(loop, 3);
        ck_assert_uint_eq(dev.n, 3);
        ck_assert_mem_eq(dev.got, "abc", 3);
    }
    fd = client(spec);                          /* the next one is served */
    env_rounds(loop, 2);
    type(fd, "xyz");
    ck_assert_uint_eq(dev.n, 6);
    dev.room = 0;                               /* one whom nobody reads goes as soon as that is found */
    type(fd, "more");
    for (unsigned n = 0; n < 5; n++)
        ck_assert_int_eq(write(fd, (const uint8_t[1000]){ 0 }, 1000), 1000);
    env_rounds(loop, 3);
    close(fd);
    fd = client(spec);
    env_rounds(loop, 2);
    for (unsigned n = 0; n < 2; n++) {
        usleep(1000);
        chardev_write(c, (const uint8_t *)"three\n", 6);
        env_rounds(loop, 3);
    }
    ck_assert_int_eq(read(fd, spec, sizeof(spec)), 6);
    close(fd);
    chardev_close(c);
    ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

/* Nor does a device hear that it may send: what it holds may have gone elsewhere. */
START_TEST(output_goes_on_when_the_machine_does)
{
    int in, out;
    uint8_t block[1000], buf[4096];
    struct chardev *c = on_pipes("stdio", &in, &out);

    memset(block, 'y', sizeof(block));
    while (chardev_write(c, block, sizeof(block)) == sizeof(block))
        ;
    chardev_still(c, true);
    for (unsigned i = 0; i < 100; i++) {
        while (read(out, buf, sizeof(buf)) > 0)
            ;
        env_rounds(loop, 1);
    }
    ck_assert_uint_eq(dev.writable, 0);
    chardev_still(c, false);
    env_rounds(loop, 1);
    ck_assert_uint_eq(dev.writable, 1);
    chardev_close(c);
    close(in);
}
END_TEST

Suite *suite_chardev(void)
{
    Suite *s = suite_create("chardev");
    TCase *t = tcase_create("chardev");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, timers_wake_the_loop);
    tcase_add_test(t, another_thread_sets_an_earlier_deadline);
    tcase_add_test(t, stop_from_another_thread);
    tcase_add_test(t, file_output);
    tcase_add_test(t, bad_specs_explain_themselves);
    tcase_add_test(t, pty_both_ways);
    tcase_add_test(t, stdio_on_pipes);
    tcase_add_test(t, an_echo_does_not_wait);
    tcase_add_test(t, a_slow_reader_makes_the_device_wait);
    tcase_add_test(t, socket_and_its_clients);
    tcase_add_test(t, a_shared_stream_while_the_machine_stands);
    tcase_add_test(t, input_waits_while_the_machine_stands);
    tcase_add_test(t, a_client_that_sends_and_goes);
    tcase_add_test(t, output_goes_on_when_the_machine_does);
    suite_add_tcase(s, t);
    return s;
}
