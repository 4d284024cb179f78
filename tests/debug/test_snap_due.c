/*
 * test_snap_due.c - machines saved late: time has passed what a timer was set to, and nobody has fired it yet. The chips
 * are a board's, the snapshots those of savevm.
 *
 * Saved, loaded, saved are the same bytes; the machine that was saved and the one that was loaded have the same counters,
 * take the same interrupts, each once, and go on in step.
 */
#include <check.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "debug/control.h"
#include "debug/snapshot.h"
#include "host/evloop.h"
#include "hw/boards.h"
#include "hw/clock.h"
#include "hw/hpet.h"
#include "hw/ioapic.h"
#include "hw/pit.h"
#include "softmmu/softmmu.h"
#include "tests/run_suite.h"

#define US 1000ull
#define MS (1000 * US)
#define VECTOR 0x50u
#define MASKED 0x10000u

struct pc {
    struct machine m;           /* first */
    struct clock_source host;
    uint64_t now;               /* the host's time: virtual time follows it, and no event loop fires what is due */
    bool intr;
};

/* ---- in the place of main's: there is one processor's APIC, and no processor ---- */

static void intr(struct machine *m, unsigned cpu, bool level) { ((struct pc *)m)->intr = level; }
static void line(struct machine *m, unsigned cpu, bool level) { }
static void event(struct machine *m, unsigned cpu) { }
static void kick(struct machine *m) { }
static void sipi(struct machine *m, unsigned cpu, uint8_t vector) { }
static void a20(struct machine *m, bool on) { }
static uint64_t apic_base(struct machine *m, unsigned cpu) { return LAPIC_BASE | 0x900; }
static int current(struct machine *m) { return 0; }
static int64_t tsc_offset(struct machine *m, unsigned cpu) { return 0; }

const struct cpu_lines cpu_lines = {
    .intr = intr, .nmi = event, .init = event, .sipi = sipi, .smi = event, .ignne = line, .a20 = a20,
    .apic_base = apic_base, .current = current, .tsc_offset = tsc_offset, .kick = kick,
};

static void pause_time(struct machine *m) { clock_pause(m->clock, true); }
static void resume_time(struct machine *m) { clock_pause(m->clock, false); }
static void stands_still(struct machine *m) { }
static const struct control_ops control_ops = { pause_time, resume_time, stands_still, NULL };

static uint64_t host_now(void *arg) { return ((struct pc *)arg)->now; }
static int64_t host_wall(void *arg) { return 0; }

static struct drive *no_drive(struct machine *m, unsigned n) { return NULL; }

static struct pc *pc_new(void)
{
    struct pc *p = calloc(1, sizeof(*p));
    struct machine *m = &p->m;
    pthread_mutexattr_t recursive;

    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&m->lock, &recursive);
    p->host = (struct clock_source){ .now = host_now, .wall = host_wall, .arg = p };
    m->clock = clock_new(&p->host);
    m->cfg = (struct machine_config){ .board = &board_micro, .ram = 4u << 20, .cpus = 1 };
    m->drive = no_drive;
    m->loop = evloop_new();
    board_micro.init(m);
    m->ncpu = 0;
    m->control = control_new(m, &control_ops, RUN_RUNNING);
    machine_reset(m);
    return p;
}

static void pc_free(struct pc *p)
{
    control_free(p->m.control);
    evloop_free(p->m.loop);
    board_micro.free(&p->m);
    pthread_mutex_destroy(&p->m.lock);
    free(p);
}

/* ---- what its processor does ---- */

static uint8_t in(struct pc *p, uint16_t port) { return (uint8_t)ports_read(p->m.ports, port, 1); }
static void out(struct pc *p, uint16_t port, uint8_t v) { ports_write(p->m.ports, port, v, 1); }
static uint32_t rd(struct pc *p, uint64_t pa) { return (uint32_t)phys_io_read(p->m.phys, pa, 4); }
static void wr(struct pc *p, uint64_t pa, uint32_t v) { phys_io_write(p->m.phys, pa, v, 4); }

static uint8_t rtc_get(struct pc *p, uint8_t reg)
{
    out(p, 0x70, reg);
    return in(p, 0x71);
}

static void rtc_set(struct pc *p, uint8_t reg, uint8_t v)
{
    out(p, 0x70, reg);
    out(p, 0x71, v);
}

/* What an input of the I/O APIC gets comes as VECTOR. */
static void route(struct pc *p, unsigned pin)
{
    wr(p, IOAPIC_BASE, 0x10 + 2 * pin);
    wr(p, IOAPIC_BASE + 0x10, VECTOR);
}

/*
 * The event loop gets its turn, and the processor takes all that it is offered; its handler reads the RTC's register C, which
 * is that chip's acknowledge.
 */
static unsigned taken(struct pc *p)
{
    unsigned n = 0;

    clock_run(p->m.clock);
    for (; p->intr; n++) {
        ck_assert_uint_lt(n, 100);
        ck_assert_uint_eq(p->m.int_ack(&p->m, 0), VECTOR);
        rtc_get(p, 12);
        wr(p, LAPIC_BASE + 0xb0, 0);
    }
    return n;
}

/* It runs, on a host that is in time: how many it takes. */
static unsigned taken_in(struct pc *p, uint64_t ns)
{
    unsigned n = 0;

    for (uint64_t t = 0; t < ns; t += 100 * US) {
        p->now += 100 * US;
        n += taken(p);
    }
    return n;
}

/* ---- sources of a tick each millisecond (the RTC: 1/1024 s), or of one that comes once ---- */

static void pit(struct pc *p, unsigned mode)
{
    route(p, 2);
    out(p, 0x43, (uint8_t)(0x30 | mode << 1));
    out(p, 0x40, PIT_HZ / 1000 & 0xff);
    out(p, 0x40, PIT_HZ / 1000 >> 8);
}

static void hpet(struct pc *p, unsigned n, bool periodic)
{
    uint64_t timer = HPET_BASE + 0x100 + 0x20 * n;

    route(p, 21);
    wr(p, timer, 21u << 9 | (periodic ? 0x48 : 0) | 4);
    wr(p, timer + 8, MS / HPET_NS);
    wr(p, timer + 12, 0);
    if (periodic) {
        wr(p, timer, 21u << 9 | 0x48 | 4);
        wr(p, timer + 8, MS / HPET_NS);
        wr(p, timer + 12, 0);
    }
    wr(p, HPET_BASE + 0x10, 1);
}

static void lapic(struct pc *p, uint32_t lvt)
{
    wr(p, LAPIC_BASE + 0x320, lvt | VECTOR);
    wr(p, LAPIC_BASE + 0x380, MS);
}

static void pit_mode0(struct pc *p) { pit(p, 0); }
static void pit_mode2(struct pc *p) { pit(p, 2); }
static void pit_mode3(struct pc *p) { pit(p, 3); }
static void pit_mode4(struct pc *p) { pit(p, 4); }
static void hpet_once(struct pc *p) { hpet(p, 1, false); }
static void hpet_periodic(struct pc *p) { hpet(p, 0, true); }
static void lapic_once(struct pc *p) { lapic(p, 0); }
static void lapic_periodic(struct pc *p) { lapic(p, 0x20000); }

static void lapic_deadline(struct pc *p)
{
    lapic(p, 0x40000);
    ck_assert(!p->m.apic_wrmsr(&p->m, 0, 0x6e0, clock_tsc(p->m.clock) + MS));
}

static void rtc_periodic(struct pc *p)
{
    route(p, 8);
    rtc_set(p, 10, 0x26);
    rtc_set(p, 11, 0x42);
}

static const struct source {
    void (*start)(struct pc *);
    uint64_t late;              /* saved so long after it was started */
    unsigned due, next;         /* interrupts that are due then, and that come in the 5 ms behind it */
} sources[] = {
    { pit_mode0, 1400 * US, 1, 0 },
    { pit_mode2, 1400 * US, 1, 5 }, { pit_mode2, 2400 * US, 2, 5 },
    { pit_mode3, 1400 * US, 1, 5 }, { pit_mode3, 2400 * US, 2, 5 },
    { pit_mode4, 1400 * US, 1, 0 },
    { hpet_once, 1400 * US, 1, 0 },
    { hpet_periodic, 1400 * US, 1, 5 }, { hpet_periodic, 2400 * US, 2, 5 },
    { lapic_once, 1400 * US, 1, 0 }, { lapic_deadline, 1400 * US, 1, 0 },
    { lapic_periodic, 1400 * US, 1, 5 }, { lapic_periodic, 2400 * US, 2, 5 },
    { rtc_periodic, 1400 * US, 1, 5 },
};
#define SOURCES (sizeof(sources) / sizeof(sources[0]))

/* ---- saved, loaded ---- */

static char where[2][64];

static void saved(struct pc *p, const char *path)
{
    char why[512] = "";

    ck_assert_msg(snapshot_save(&p->m, path, why, sizeof(why)), "%s", why);
}

static size_t content(const char *path, uint8_t **buf)
{
    FILE *f = fopen(path, "rb");
    long n;

    ck_assert_ptr_nonnull(f);
    fseek(f, 0, SEEK_END);
    n = ftell(f);
    rewind(f);
    *buf = malloc((size_t)n);
    ck_assert_uint_eq(fread(*buf, 1, (size_t)n, f), (size_t)n);
    fclose(f);
    return (size_t)n;
}

static void same_files(void)
{
    uint8_t *one, *two;
    size_t n = content(where[0], &one), k = content(where[1], &two);

    ck_assert_uint_eq(n, k);
    ck_assert_msg(memcmp(one, two, n) == 0, "saved, loaded, saved: another machine");
    free(one);
    free(two);
}

static void same_counters(struct pc *a, struct pc *b)
{
    static const uint64_t registers[] = {
        HPET_BASE + 0xf0, HPET_BASE + 0x20, HPET_BASE + 0x108, HPET_BASE + 0x128, LAPIC_BASE + 0x390,
    };

    out(a, 0x43, 0xc2);                         /* read back the PIT's status and count */
    out(b, 0x43, 0xc2);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_uint_eq(in(a, 0x40), in(b, 0x40));
    for (unsigned i = 0; i < sizeof(registers) / sizeof(registers[0]); i++)
        ck_assert_uint_eq(rd(a, registers[i]), rd(b, registers[i]));
    ck_assert_uint_eq(clock_now(a->m.clock), clock_now(b->m.clock));
}

START_TEST(due_when_saved)
{
    const struct source *s = &sources[_i];
    struct pc *a = pc_new(), *b = pc_new();
    char why[512] = "";

    wr(a, LAPIC_BASE + 0xf0, 0x1ff);
    wr(a, LAPIC_BASE + 0x350, MASKED);          /* nothing by the 8259s */
    wr(a, LAPIC_BASE + 0x3e0, 0xb);
    s->start(a);
    taken(a);                                   /* what programming a PIT's mode raised */
    a->now += s->late;
    ck_assert(!a->intr);
    saved(a, where[0]);
    b->now += 70 * MS;
    ck_assert_msg(snapshot_load(&b->m, where[0], why, sizeof(why)), "%s", why);
    saved(b, where[1]);
    same_files();
    same_counters(a, b);
    ck_assert_uint_eq(taken(a), s->due);
    ck_assert_uint_eq(taken(b), s->due);
    ck_assert_uint_eq(taken_in(a, 5 * MS), s->next);
    ck_assert_uint_eq(taken_in(b, 5 * MS), s->next);
    same_counters(a, b);
    pc_free(a);
    pc_free(b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("snapshots of what is due");
    TCase *t = tcase_create("due");
    char dir[] = "/tmp/test_snap_due_XXXXXX";
    int code;

    if (!mkdtemp(dir))
        return 99;
    for (unsigned n = 0; n < 2; n++)
        snprintf(where[n], sizeof(where[n]), "%s/%u", dir, n);
    tcase_add_loop_test(t, due_when_saved, 0, (int)SOURCES);
    suite_add_tcase(suite, t);
    code = run_suite(suite);
    unlink(where[0]);
    unlink(where[1]);
    rmdir(dir);
    return code;
}
