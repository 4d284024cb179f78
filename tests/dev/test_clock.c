/* test_clock.c - virtual time, timers, the port table. */
#include "base/log.h"
#include "tests/dev/dev_env.h"

#include <stdlib.h>

static struct env e;
static void setup(void) { env_init(&e); }
static void teardown(void) { env_free(&e); }

struct probe {
    struct timer t;
    char tag;
    uint64_t again;             /* re-arm by this much; 0: no */
};
static char order[32];
static unsigned fired;
static uint64_t fired_at[32];

static void probe_fire(void *dev)
{
    struct probe *p = dev;
    fired_at[fired] = clock_now(p->t.clock);
    order[fired++] = p->tag;
    if (p->again && fired < 20)
        timer_set(&p->t, clock_now(p->t.clock) + p->again);
}

static struct probe probe(char tag)
{
    return (struct probe){ .tag = tag };
}

/* Lock-step checking: the guest's time passes slower, and waits for it are as much longer. */
START_TEST(a_slow_clock_is_slow)
{
    struct clock *slow = clock_new(), *real = clock_new();
    clock_set_slowdown(slow, 1000);
    uint64_t s0 = clock_now(slow), r0 = clock_now(real);
    while (clock_now(real) < r0 + 3000000)
        continue;
    uint64_t s = clock_now(slow) - s0, r = clock_now(real) - r0;
    ck_assert_uint_ge(s, 2000);
    ck_assert_uint_le(s, r / 500);
    ck_assert_uint_eq(clock_host_ns(slow, 7), 7000);
    ck_assert_uint_eq(clock_host_ns(real, 7), 7);
    ck_assert_uint_eq(clock_host_ns(slow, UINT64_MAX - 1), UINT64_MAX);
    clock_free(slow);
    clock_free(real);
}
END_TEST

START_TEST(timers_fire_in_order_at_their_time)
{
    struct probe a = probe('a'), b = probe('b'), c = probe('c');
    fired = 0;
    timer_init(&a.t, e.clock, probe_fire, &a);
    timer_init(&b.t, e.clock, probe_fire, &b);
    timer_init(&c.t, e.clock, probe_fire, &c);
    timer_set(&a.t, 300);
    timer_set(&b.t, 100);
    timer_set(&c.t, 200);
    timer_cancel(&c.t);
    timer_set(&b.t, 400);       /* moved */
    ck_assert_uint_eq(clock_next(e.clock), 300);
    pass(&e, 299);
    ck_assert_uint_eq(fired, 0);
    pass(&e, 1000);
    ck_assert_uint_eq(fired, 2);
    ck_assert(order[0] == 'a' && order[1] == 'b');
    ck_assert_uint_eq(fired_at[0], 300);
    ck_assert_uint_eq(fired_at[1], 400);
    ck_assert_uint_eq(clock_next(e.clock), UINT64_MAX);
    ck_assert_uint_eq(clock_now(e.clock), 1299);
}
END_TEST

START_TEST(periodic_timer_keeps_its_period)
{
    struct probe a = probe('a');
    a.again = 50;
    fired = 0;
    timer_init(&a.t, e.clock, probe_fire, &a);
    timer_set(&a.t, 50);
    pass(&e, 500);
    ck_assert_uint_eq(fired, 10);
    for (unsigned i = 0; i < 10; i++)
        ck_assert_uint_eq(fired_at[i], 50 * (i + 1));
}
END_TEST

static unsigned earlier_calls;
static void earlier(void *arg) { earlier_calls++; }

START_TEST(an_earlier_deadline_is_announced)
{
    struct probe a = probe('a'), b = probe('b');
    earlier_calls = 0;
    timer_init(&a.t, e.clock, probe_fire, &a);
    timer_init(&b.t, e.clock, probe_fire, &b);
    clock_on_earlier(e.clock, earlier, NULL);
    timer_set(&a.t, 100);
    timer_set(&b.t, 200);
    ck_assert_uint_eq(earlier_calls, 1);
    timer_set(&b.t, 50);
    ck_assert_uint_eq(earlier_calls, 2);
}
END_TEST

START_TEST(host_clock_runs_pauses_and_is_the_tsc)
{
    struct clock *c = clock_new();
    ck_assert_uint_eq(clock_tsc_hz(c), 1000000000u);
    uint64_t a = clock_now(c), b = clock_tsc(c);
    ck_assert(b >= a);
    clock_pause(c, true);
    a = clock_now(c);
    for (volatile int i = 0; i < 100000; i++)
        ;
    ck_assert_uint_eq(clock_now(c), a);
    clock_pause(c, false);
    b = clock_now(c);
    ck_assert(b >= a && b < a + 1000 * MS);
    clock_set_rtc(c, 86400, false);
    ck_assert_int_eq(clock_wall(c), 86400);
    ck_assert(clock_entropy(c) != clock_entropy(c));
    clock_free(c);
}
END_TEST

/* A device that logs what reaches it. */
struct regs {
    uint8_t b[8];
    unsigned reads, writes, last_size;
    uint64_t last_off, last_val;
};
static uint64_t regs_read(void *dev, uint64_t off, unsigned size)
{
    struct regs *r = dev;
    uint64_t v = 0;
    r->reads++;
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)r->b[off + i] << (8 * i);
    return v;
}
static void regs_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct regs *r = dev;
    r->writes++;
    r->last_off = off;
    r->last_val = val;
    r->last_size = size;
}

START_TEST(ports_split_merge_and_leave_holes)
{
    struct regs r = { .b = { 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88 } };
    struct io_ops bytes = { regs_read, regs_write, 1, LOG_DEV_NONE };
    struct io_ops words = { regs_read, regs_write, 4, LOG_DEV_NONE };
    ports_map(e.ports, 0x100, 8, &bytes, &r, "bytes");
    ports_map(e.ports, 0x200, 8, &words, &r, "words");
    ck_assert_uint_eq(ports_read(e.ports, 0x102, 4), 0x66554433);
    ck_assert_uint_eq(r.reads, 4);
    ck_assert_uint_eq(ports_read(e.ports, 0x106, 4), 0xffff8877);
    ck_assert_uint_eq(ports_read(e.ports, 0x205, 1), 0x66);
    ck_assert_uint_eq(ports_read(e.ports, 0x300, 2), 0xffff);
    ck_assert_uint_eq(ports_read(e.ports, 0xffff, 4), 0xffffffff);
    ports_write(e.ports, 0x206, 0xab, 1);
    ck_assert_uint_eq(r.last_size, 4);
    ck_assert_uint_eq(r.last_off, 4);
    ck_assert_uint_eq(r.last_val, 0xab0000);
    r.writes = 0;
    ports_write(e.ports, 0x100, 0x1234, 2);
    ck_assert_uint_eq(r.writes, 2);
    ck_assert_uint_eq(r.last_val, 0x12);
    ports_unmap(e.ports, 0x100, 8);
    ck_assert_uint_eq(ports_read(e.ports, 0x100, 1), 0xff);
}
END_TEST

START_TEST(overlapping_ports_end_the_program)
{
    struct regs r = { { 0 }, 0, 0, 0, 0, 0 };
    struct io_ops bytes = { regs_read, regs_write, 1, LOG_DEV_NONE };
    ports_map(e.ports, 0x100, 8, &bytes, &r, "one");
    ports_map(e.ports, 0x107, 1, &bytes, &r, "two");
}
END_TEST

Suite *suite_clock(void)
{
    Suite *s = suite_create("clock");
    TCase *t = tcase_create("clock");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_slow_clock_is_slow);
    tcase_add_test(t, timers_fire_in_order_at_their_time);
    tcase_add_test(t, periodic_timer_keeps_its_period);
    tcase_add_test(t, an_earlier_deadline_is_announced);
    tcase_add_test(t, host_clock_runs_pauses_and_is_the_tsc);
    tcase_add_test(t, ports_split_merge_and_leave_holes);
    tcase_add_exit_test(t, overlapping_ports_end_the_program, 2);
    suite_add_tcase(s, t);
    return s;
}
