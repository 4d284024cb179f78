/* test_clock.c - virtual time, timers, the port table. */
#include "base/log.h"
#include "host/host_clock.h"
#include "tests/dev/dev_env.h"

#include <stdlib.h>
#include <string.h>

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
    struct clock *slow = clock_new(&host_clock), *real = clock_new(&host_clock);
    clock_set_slowdown(slow, 1000);
    uint64_t s0 = clock_now(slow), r0 = clock_now(real);
    while (clock_now(real) < r0 + 3000000)
        continue;
    uint64_t s = clock_now(slow) - s0, r = clock_now(real) - r0;
    ck_assert_uint_ge(s, 2000);
    ck_assert_uint_le(s, r / 500);
    clock_free(slow);
    clock_free(real);
}
END_TEST

/* ---- a clock that follows its processor: the host's time and what the processor had of it by hand ---- */

static struct { uint64_t now, had, asked; unsigned looks; } host;
static uint64_t fake_now(void *arg) { return host.now; }
static int64_t fake_wall(void *arg) { return WALL * 1000000000ll; }
static int64_t fake_zone(void *arg, int64_t s) { return 3600; }
static void fake_entropy(void *arg, void *buf, size_t len) { memset(buf, 7, len); }
static const struct clock_source fake = { fake_now, fake_wall, fake_zone, fake_entropy, NULL };

static uint64_t fake_ran(void *arg, uint64_t ns)
{
    uint64_t had = host.had - host.asked;
    host.asked = host.had;
    host.looks++;
    return had < ns ? had : ns;
}

/* In steps, ns pass for the host and `had` of them for the processor. */
static void goes(struct clock *c, unsigned steps, uint64_t ns, uint64_t had)
{
    for (uint64_t last = clock_now(c); steps--;) {
        host.now += ns;
        host.had += had;
        uint64_t now = clock_now(c);
        ck_assert_uint_ge(now, last);
        last = now;
    }
}

static struct clock *paced(void)
{
    host.now = 5000 * MS;
    host.had = host.asked = 0;
    struct clock *c = clock_new(&fake);
    clock_pace(c, fake_ran, NULL);
    return c;
}

#define ck_about(a, b, by) ck_assert_uint_le((a) > (b) ? (a) - (b) : (b) - (a), by)

START_TEST(a_served_processor_has_the_hosts_time)
{
    struct clock *c = paced();
    goes(c, 100, 3 * MS, 3 * MS);
    ck_assert_uint_eq(clock_now(c), 300 * MS);
    goes(c, 100, 100 * US, 80 * US);            /* four fifths */
    ck_assert_uint_eq(clock_now(c), 310 * MS);
    goes(c, 1, 400 * US, 0);                    /* a hiccup */
    ck_assert_uint_eq(clock_now(c), 310 * MS + 400 * US);
    clock_free(c);
}
END_TEST

START_TEST(a_starved_processor_has_time_of_its_own)
{
    struct clock *c = paced();
    goes(c, 1, 3600 * 1000 * MS, 1 * MS);       /* stopped for an hour */
    ck_about(clock_now(c), 1 * MS, 1 * MS);
    uint64_t from = clock_now(c);
    goes(c, 1000, 10 * MS, 1 * MS);             /* 10 s with a tenth of a host processor */
    ck_about(clock_now(c) - from, 1250 * MS, 1 * MS);
    from = clock_now(c);
    goes(c, 10000, 10 * US, 0);                 /* often asked, never run */
    ck_about(clock_now(c), from, 1 * MS);
    clock_free(c);
}
END_TEST

START_TEST(what_time_is_behind_is_paid_back)
{
    struct clock *c = paced();
    goes(c, 100, 10 * MS, 0);
    ck_about(clock_now(c), 0 * MS, 1 * MS);
    goes(c, 8000, 500 * US, 500 * US);          /* 4 s: an eighth of it is half of what is owed */
    ck_about(clock_now(c), 4500 * MS, 5 * MS);
    goes(c, 20000, 500 * US, 500 * US);
    ck_about(clock_now(c), 15000 * MS, 1 * MS); /* and then it is the host's */
    goes(c, 1, 3600 * 1000 * MS, 0);            /* what is too much to be load is not owed */
    uint64_t from = clock_now(c);
    goes(c, 70000, 10 * MS, 10 * MS);
    ck_about(clock_now(c) - from, (700 + 60) * 1000 * MS, 1 * MS);
    clock_free(c);
}
END_TEST

START_TEST(time_waits_for_timers_that_are_due)
{
    struct clock *c = paced();
    struct probe a = probe('a');
    fired = 0;
    timer_init(&a.t, c, probe_fire, &a);
    timer_set(&a.t, 10 * MS);
    goes(c, 300, 1 * MS, 1 * MS);               /* the processor runs, the event loop does not */
    ck_about(clock_now(c), 10 * MS, 1 * MS);
    ck_assert_uint_eq(clock_wait(c), 0);
    a.again = 4 * MS;
    clock_run(c);
    ck_assert_uint_eq(fired, 1);
    ck_about(fired_at[0], 10 * MS, 1 * MS);
    goes(c, 100, 1 * MS, 1 * MS);
    ck_about(clock_now(c), 14 * MS + (fired_at[0] - 10 * MS), 1 * MS);
    clock_free(c);
}
END_TEST

/* A look costs system calls: a guest that reads the time over and over while it stands asks for few. */
START_TEST(looks_are_rare)
{
    struct clock *c = paced();
    goes(c, 10, 1 * MS, 0);
    host.looks = 0;
    goes(c, 10000, 1 * US, 500);
    ck_assert_uint_le(host.looks, 100);
    ck_assert_uint_ge(host.looks, 20);
    host.looks = 0;
    goes(c, 10000, 1 * US, 1 * US);
    ck_assert_uint_le(host.looks, 100);
    clock_free(c);
}
END_TEST

START_TEST(a_loop_beside_a_starved_processor_does_not_spin)
{
    struct clock *c = paced();
    struct probe a = probe('a');
    timer_init(&a.t, c, probe_fire, &a);
    timer_set(&a.t, 3 * MS);
    ck_assert_uint_eq(clock_wait(c), 3 * MS);
    goes(c, 10, 1 * MS, 0);
    goes(c, 20, 100 * US, 100 * US);
    goes(c, 100, 1 * MS, 0);
    timer_set(&a.t, clock_now(c) + 1);
    ck_assert_uint_ge(clock_wait(c), 100 * US);
    goes(c, 1, 1 * MS, 1 * MS);
    ck_assert_uint_eq(clock_wait(c), 0);
    clock_free(c);
}
END_TEST

/* Who sleeps as long as the clock says wakes at the deadline, though time goes faster then. */
START_TEST(waits_are_shorter_while_time_is_paid_back)
{
    struct clock *c = paced();
    struct probe a = probe('a');
    timer_init(&a.t, c, probe_fire, &a);
    goes(c, 100, 10 * MS, 0);
    for (unsigned i = 1; i <= 100; i++) {
        uint64_t due = clock_now(c) + i * 300 * US, wait;
        unsigned naps = 0;

        timer_set(&a.t, due);
        for (; (wait = clock_wait(c)); naps++)
            goes(c, 1, wait, wait);
        ck_assert_uint_le(clock_now(c) - due, 1 * US);
        ck_assert_uint_le(naps, 3);
        timer_cancel(&a.t);
    }
    clock_free(c);
}
END_TEST

START_TEST(a_paused_clock_owes_nothing)
{
    struct clock *c = paced();
    goes(c, 10, 1 * MS, 1 * MS);
    clock_pause(c, true);
    goes(c, 10, 1000 * MS, 0);
    ck_assert_uint_eq(clock_now(c), 10 * MS);
    clock_pause(c, false);
    goes(c, 100, 1 * MS, 1 * MS);
    ck_assert_uint_eq(clock_now(c), 110 * MS);
    clock_pace(c, NULL, NULL);
    goes(c, 1, 1000 * MS, 0);
    ck_assert_uint_eq(clock_now(c), 1110 * MS);
    clock_free(c);
}
END_TEST

/* What is due by then, or is made so meanwhile, waits until time goes on. */
START_TEST(a_paused_clock_fires_nothing)
{
    struct clock *c = paced();
    struct probe a = probe('a'), b = probe('b');

    fired = 0;
    timer_init(&a.t, c, probe_fire, &a);
    timer_init(&b.t, c, probe_fire, &b);
    timer_set(&a.t, 1 * MS);
    goes(c, 12, 100 * US, 100 * US);            /* the event loop is late */
    ck_assert_uint_gt(clock_now(c), 1 * MS);
    clock_pause(c, true);
    timer_set(&b.t, clock_now(c));
    clock_run(c);
    ck_assert_uint_eq(fired, 0);
    ck_assert_uint_eq(clock_wait(c), UINT64_MAX);
    clock_pause(c, false);
    ck_assert_uint_eq(clock_wait(c), 0);
    clock_run(c);
    ck_assert_uint_eq(fired, 2);
    clock_free(c);
}
END_TEST

/* But for what is settled: all that is due, and nothing that is not. */
START_TEST(a_paused_clock_is_settled)
{
    struct clock *c = paced();
    struct probe a = probe('a'), b = probe('b'), late = probe('c');

    fired = 0;
    timer_init(&a.t, c, probe_fire, &a);
    timer_init(&b.t, c, probe_fire, &b);
    timer_init(&late.t, c, probe_fire, &late);
    timer_set(&a.t, 1 * MS);
    goes(c, 12, 100 * US, 100 * US);
    clock_pause(c, true);
    timer_set(&b.t, clock_now(c));
    timer_set(&late.t, clock_now(c) + 1);
    ck_assert(clock_settle(c));
    ck_assert_uint_eq(fired, 2);
    ck_assert(!clock_settle(c));
    ck_assert_uint_eq(clock_wait(c), UINT64_MAX);
    clock_free(c);
}
END_TEST

/* A bound is no timer: nothing fires, nobody wakes up for it, and what is behind it waits. */
START_TEST(time_stands_at_a_bound)
{
    struct clock *c = paced();
    struct probe a = probe('a');
    struct bound near = { 0 }, far = { 0 };

    fired = 0;
    timer_init(&a.t, c, probe_fire, &a);
    timer_set(&a.t, 20 * MS);
    clock_bound(c, &far, 30 * MS);
    clock_bound(c, &near, 10 * MS);
    goes(c, 300, 1 * MS, 1 * MS);
    ck_about(clock_now(c), 10 * MS, 1 * MS);
    ck_assert_uint_eq(clock_wait(c), UINT64_MAX);
    clock_run(c);
    ck_assert_uint_eq(fired, 0);
    clock_bound(c, &near, UINT64_MAX);
    goes(c, 300, 1 * MS, 1 * MS);
    ck_assert_uint_eq(clock_wait(c), 0);
    clock_run(c);
    ck_assert_uint_eq(fired, 1);
    goes(c, 300, 1 * MS, 1 * MS);
    ck_about(clock_now(c), 30 * MS, 1 * MS);
    clock_bound(c, &far, UINT64_MAX);
    goes(c, 300, 1 * MS, 1 * MS);
    ck_assert_uint_gt(clock_now(c), 300 * MS);
    clock_free(c);
}
END_TEST

/* 32 times slower: so is what the processor gets. */
START_TEST(a_slow_clock_follows_too)
{
    struct clock *c = paced();
    clock_set_slowdown(c, 32);
    goes(c, 100, 32 * MS, 32 * MS);
    ck_about(clock_now(c), 100 * MS, 1 * MS);
    goes(c, 100, 32 * MS, 0);
    ck_about(clock_now(c), 100 * MS, 1 * MS);
    clock_free(c);
}
END_TEST

START_TEST(the_source_gives_zone_and_entropy)
{
    struct clock *c = clock_new(&fake), *m = clock_new_manual(0), *n = clock_new_manual(0);
    ck_assert_int_eq(clock_wall(c), WALL);
    clock_set_rtc(c, INT64_MIN, true);
    ck_assert_int_eq(clock_wall(c), WALL + 3600);
    ck_assert_uint_eq(clock_entropy(c), 0x0707070707070707u);
    ck_assert_uint_eq(clock_entropy(m), clock_entropy(n));
    clock_free(c);
    clock_free(m);
    clock_free(n);
}
END_TEST

/* UINT64_MAX is how a clock knows that it runs, and sums of times must not wrap round. */
START_TEST(a_saved_time_is_one_that_comes)
{
    static const struct { struct clock_state s; const char *why; } t[] = {
        { { CLOCK_END / 2, -5, 3600000000000 }, NULL }, { { CLOCK_END / 2 + 1, 0, 0 }, "now" }, { { UINT64_MAX, 0, 0 }, "now" },
        { { 0, INT64_MAX, 0 }, "wall" }, { { 0, 0, INT64_MIN }, "zone" },
    };

    for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        const char *why = clock_check(&t[i].s);

        ck_assert_msg(t[i].why ? why && strstr(why, t[i].why) : !why, "%u: %s", i, why ? why : "taken");
    }
    clock_load(e.clock, &t[0].s);
    ck_assert_uint_eq(clock_now(e.clock), CLOCK_END / 2);
    ck_assert_int_eq(clock_wall_ns(e.clock), (int64_t)CLOCK_END / 2 - 5);
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
    struct clock *c = clock_new(&host_clock);
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
    tcase_add_test(t, a_served_processor_has_the_hosts_time);
    tcase_add_test(t, a_starved_processor_has_time_of_its_own);
    tcase_add_test(t, what_time_is_behind_is_paid_back);
    tcase_add_test(t, time_waits_for_timers_that_are_due);
    tcase_add_test(t, looks_are_rare);
    tcase_add_test(t, a_loop_beside_a_starved_processor_does_not_spin);
    tcase_add_test(t, waits_are_shorter_while_time_is_paid_back);
    tcase_add_test(t, a_paused_clock_owes_nothing);
    tcase_add_test(t, a_paused_clock_fires_nothing);
    tcase_add_test(t, a_paused_clock_is_settled);
    tcase_add_test(t, time_stands_at_a_bound);
    tcase_add_test(t, a_slow_clock_follows_too);
    tcase_add_test(t, the_source_gives_zone_and_entropy);
    tcase_add_test(t, a_saved_time_is_one_that_comes);
    tcase_add_test(t, timers_fire_in_order_at_their_time);
    tcase_add_test(t, periodic_timer_keeps_its_period);
    tcase_add_test(t, an_earlier_deadline_is_announced);
    tcase_add_test(t, host_clock_runs_pauses_and_is_the_tsc);
    tcase_add_test(t, ports_split_merge_and_leave_holes);
    tcase_add_exit_test(t, overlapping_ports_end_the_program, 2);
    suite_add_tcase(s, t);
    return s;
}
