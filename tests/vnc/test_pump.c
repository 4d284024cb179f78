/*
 * test_pump.c - between VNC's clients and the library: what a client said before it went, and what it was told, arrive.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/vnc_pump.h"
#include "tests/run_suite.h"

#define KEYS 1000u              /* bytes a client types: what fits any socket */
#define PICTURE 300000u         /* more than a socket holds */

static struct vnc_pump *p;

static void setup(void)
{
    p = vnc_pump_start();
    ck_assert_ptr_nonnull(p);
}

static void teardown(void)
{
    vnc_pump_stop(p);
}

/* Returns the client's end; the library's is in *library. */
static int connected(int *library)
{
    int pair[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    *library = vnc_pump_add(p, pair[1]);
    ck_assert_int_ge(*library, 0);
    return pair[0];
}

/* All bytes until the other end is closed. */
static size_t rest(int fd)
{
    char buf[4096];
    size_t all = 0;
    ssize_t n;

    while ((n = read(fd, buf, sizeof(buf))) > 0)
        all += (size_t)n;
    ck_assert_int_eq((int)n, 0);
    return all;
}

/* The library paints before, between and after what the client types; the client takes none of it and is gone at once. */
START_TEST(typed_and_gone)
{
    static char picture[PICTURE], keys[KEYS];
    int library, client = connected(&library);

    if (_i & 1)
        ck_assert_int_eq(send(library, picture, sizeof(picture), MSG_NOSIGNAL), sizeof(picture));
    ck_assert_int_eq(send(client, keys, sizeof(keys), 0), sizeof(keys));
    if (_i & 2)
        ck_assert_int_eq(send(library, picture, sizeof(picture), MSG_NOSIGNAL), sizeof(picture));
    close(client);
    ck_assert_int_eq(send(library, picture, sizeof(picture), MSG_NOSIGNAL), sizeof(picture));
    ck_assert_uint_eq(rest(library), KEYS);
    close(library);
}
END_TEST

/* Why the library refuses is the client's still, though the library has closed. */
START_TEST(last_words)
{
    static char picture[PICTURE];
    int library, client = connected(&library);

    ck_assert_int_eq(send(client, "x", 1, 0), 1);
    ck_assert_int_eq(send(library, picture, sizeof(picture), MSG_NOSIGNAL), sizeof(picture));
    ck_assert_int_eq(read(library, picture, 1), 1);
    close(library);
    ck_assert_int_eq(send(client, "y", 1, MSG_NOSIGNAL), 1);
    ck_assert_uint_eq(rest(client), PICTURE);
    close(client);
}
END_TEST

/* A place is free again when its client has gone. */
START_TEST(places)
{
    int library[VNC_PUMP_CLIENTS], client[VNC_PUMP_CLIENTS], pair[2];

    for (unsigned i = 0; i < VNC_PUMP_CLIENTS; i++)
        client[i] = connected(&library[i]);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    ck_assert_int_eq(vnc_pump_add(p, pair[1]), -1);
    ck_assert_uint_eq(rest(pair[0]), 0);
    close(pair[0]);
    for (unsigned i = 0; i < VNC_PUMP_CLIENTS; i++) {
        close(library[i]);
        ck_assert_uint_eq(rest(client[i]), 0);
        close(client[i]);
        client[i] = connected(&library[i]);
    }
    for (unsigned i = 0; i < VNC_PUMP_CLIENTS; i++) {
        close(client[i]);
        ck_assert_uint_eq(rest(library[i]), 0);
        close(library[i]);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("vnc pump");
    TCase *c = tcase_create("vnc pump");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, typed_and_gone, 0, 40);
    tcase_add_loop_test(c, last_words, 0, 10);
    tcase_add_test(c, places);
    suite_add_tcase(s, c);
    return run_suite(s);
}
