/* test_snap_file.c - the stream of snapshots: what goes in comes out, the same bytes each time, and no damage is let in. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "debug/snap_file.h"
#include "tests/run_suite.h"

struct stream {
    uint8_t *buf;
    size_t len, room;           /* room: then the sink is full */
};

static int to_stream(void *arg, const void *data, size_t len)
{
    struct stream *s = arg;

    if (s->len + len > s->room)
        return -28;
    s->buf = realloc(s->buf, s->len + len);
    memcpy(s->buf + s->len, data, len);
    s->len += len;
    return 0;
}

#define MEMORY (3u * SNAP_EXTENT + 5000)
static uint8_t memory[MEMORY];

static const void *read_memory(void *arg, uint64_t off, void *buf, size_t len)
{
    return memory + off;
}

/* A disk whose middle is not there and whose end is zeros. */
static int disk_kind(void *arg, uint64_t off, uint64_t *len, enum snap_kind *kind)
{
    static const uint64_t at[] = { 0, 70000, 1000000, 2000000 };
    static const enum snap_kind kinds[] = { SNAP_DATA, SNAP_ABSENT, SNAP_ZERO };
    unsigned n = 0;

    while (off >= at[n + 1])
        n++;
    *kind = kinds[n];
    if (*len > at[n + 1] - off)
        *len = at[n + 1] - off;
    return 0;
}

static const void *disk_read(void *arg, uint64_t off, void *buf, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)buf)[i] = (uint8_t)((off + i) * 7 >> 3);
    return buf;
}

static struct stream make(size_t room)
{
    struct stream s = { .room = room };
    struct snap_writer *w = snap_begin(&(struct snap_sink){ to_stream, &s });

    snap_state(w, "one", "hello", 5);
    snap_state(w, "empty", "", 0);
    snap_extents(w, "memory", MEMORY, &(struct snap_source){ .read = read_memory, .zero_is_absent = true });
    snap_extents(w, "disk", 2000000, &(struct snap_source){ disk_kind, disk_read, .arg = NULL });
    ck_assert_int_eq(snap_end(w, NULL), room == SIZE_MAX ? 0 : -28);
    return s;
}

static void fill(void)
{
    unsigned r = 1;

    memset(memory, 0, sizeof(memory));
    for (size_t i = 2 * SNAP_EXTENT - 300; i < 2 * SNAP_EXTENT + 300; i++)
        memory[i] = (uint8_t)((r = r * 1103515245 + 12345) >> 16);
    memory[MEMORY - 1] = 9;
}

static struct snap_image *open_copy(const struct stream *s, size_t len, const char **why)
{
    uint8_t *copy = malloc(len + 1);

    memcpy(copy, s->buf, len);
    return snap_open(copy, len, why);
}

struct target {
    uint8_t buf[2000000];
    uint8_t seen[2000000];      /* 1: zero, 2: data */
};

static int to_target(void *arg, uint64_t off, const uint8_t *data, size_t len)
{
    struct target *t = arg;

    memset(t->seen + off, data ? 2 : 1, len);
    if (data)
        memcpy(t->buf + off, data, len);
    return 0;
}

START_TEST(round_trip)
{
    struct stream s, again;
    struct snap_image *i;
    struct target *t = calloc(1, sizeof(*t));
    const char *why;
    uint64_t len, off;
    uint32_t n;
    size_t state;

    fill();
    s = make(SIZE_MAX);
    again = make(SIZE_MAX);
    ck_assert_uint_eq(s.len, again.len);
    ck_assert_mem_eq(s.buf, again.buf, s.len);
    i = open_copy(&s, s.len, &why);
    ck_assert_ptr_nonnull(i);
    ck_assert_mem_eq(snap_get_state(i, "one", &state), "hello", 5);
    ck_assert_uint_eq(state, 5);
    ck_assert_ptr_nonnull(snap_get_state(i, "empty", &state));
    ck_assert_uint_eq(state, 0);
    ck_assert_ptr_null(snap_get_state(i, "memory", &state));
    ck_assert(snap_has_extents(i, "memory", &len) && len == MEMORY);
    ck_assert(!snap_has_extents(i, "one", &len));

    ck_assert_int_eq(snap_each(i, "memory", to_target, t), 0);
    ck_assert_mem_eq(t->buf, memory, MEMORY);
    ck_assert_uint_eq(t->seen[0], 0);                   /* memory: zeros are left out */
    ck_assert_uint_eq(t->seen[2 * SNAP_EXTENT], 2);

    memset(t, 0, sizeof(*t));
    ck_assert_int_eq(snap_each(i, "disk", to_target, t), 0);
    for (size_t k = 0; k < 2000000; k++) {
        /* Absent pieces of the whole size only; the others are read. */
        ck_assert_uint_eq(t->seen[k], k < SNAP_EXTENT ? 2 : k < 3 * SNAP_EXTENT ? 0 : k < 4 * SNAP_EXTENT ? 2 : 1);
        if (k < 70000)
            ck_assert_uint_eq(t->buf[k], (uint8_t)(k * 7 >> 3));
    }
    ck_assert(snap_extent(i, "disk", 0, &off, &n) && off == 0 && n == SNAP_EXTENT);
    ck_assert(snap_extent(i, "disk", 1, &off, &n) && off == 3 * SNAP_EXTENT);
    ck_assert(!snap_extent(i, "disk", 100, &off, &n));
    snap_close(i);
    free(s.buf);
    free(again.buf);
    free(t);
}
END_TEST

START_TEST(full_sink)
{
    struct stream whole, s;

    fill();
    whole = make(SIZE_MAX);
    for (size_t room = 0; room < whole.len; room += 97) {
        s = make(room);
        free(s.buf);
    }
    free(whole.buf);
}
END_TEST

/* Cut anywhere, or with one byte wrong: refused, with a word why. */
START_TEST(damage)
{
    struct stream s;
    const char *why;

    fill();
    s = make(SIZE_MAX);
    for (size_t len = 0; len < s.len; len += len < 100 || s.len - len < 100 ? 1 : 41) {
        why = NULL;
        ck_assert_ptr_null(open_copy(&s, len, &why));
        ck_assert_ptr_nonnull(why);
    }
    for (size_t at = 0; at < s.len; at += at < 300 || s.len - at < 300 ? 1 : 23) {
        s.buf[at] ^= (uint8_t)(1u << at % 8);
        why = NULL;
        ck_assert_ptr_null(open_copy(&s, s.len, &why));
        ck_assert_ptr_nonnull(why);
        s.buf[at] ^= (uint8_t)(1u << at % 8);
    }
    free(s.buf);
}
END_TEST

static int count(void *arg, uint64_t off, const uint8_t *data, size_t len)
{
    ck_assert_uint_le(off, 1u << 30);
    ck_assert_uint_le(len, SNAP_EXTENT);
    return 0;
}

/* Is what is only checked found out as well as what is decompressed? True: it is damaged. */
static bool each_alike(const struct snap_image *i, const char *name)
{
    int error = snap_each(i, name, count, NULL);

    ck_assert(error == 0 || error == -EBADMSG);
    ck_assert_int_eq(snap_each(i, name, NULL, NULL), error);
    return error;
}

/* Whoever tampers can make the checksum right, too: the stream is refused then, or the extent, or it can be loaded. */
START_TEST(tampering)
{
    struct stream s;
    unsigned seed = 7, opened = 0, damaged = 0;

    fill();
    s = make(SIZE_MAX);
    for (unsigned n = 0; n < 3000; n++) {
        uint8_t *copy = malloc(s.len);
        struct snap_image *i;
        const char *why;
        uint32_t crc;

        memcpy(copy, s.buf, s.len);
        for (unsigned k = 0; k < 1 + n % 4; k++) {
            size_t at = (seed = seed * 1103515245 + 12345) >> 8;

            /* Heads more often than the compressed rest. */
            at = n % 2 ? at % 200 : at % (s.len - 4);
            copy[at] = (uint8_t)((seed = seed * 1103515245 + 12345) >> 16);
        }
        crc = (uint32_t)crc32_z(0, copy, s.len - 12);
        for (unsigned b = 0; b < 4; b++)
            copy[s.len - 4 + b] = (uint8_t)(crc >> 8 * b);
        i = snap_open(copy, s.len, &why);
        if (!i)
            continue;
        opened++;
        damaged += each_alike(i, "memory") || each_alike(i, "disk");
        snap_close(i);
    }
    ck_assert_uint_gt(opened, damaged);
    ck_assert_uint_gt(damaged, 0);
    free(s.buf);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("snap_file");
    TCase *t = tcase_create("all");

    tcase_set_timeout(t, 120);
    tcase_add_test(t, round_trip);
    tcase_add_test(t, full_sink);
    tcase_add_test(t, damage);
    tcase_add_test(t, tampering);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
