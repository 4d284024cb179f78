/*
 * monitor_env.c - monitors on streams of the test's own, and the machine they look at.
 */
#include "tests/debug/monitor_env.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "debug/action.h"
#include "debug/hmp.h"
#include "host/evloop.h"
#include "hw/boards.h"
#include "hw/input_if.h"
#include "hw/pic.h"

struct env *e;
struct machine *m;
unsigned pauses;

/* ---- a client ---- */

static unsigned client_write(struct chardev *c, const uint8_t *buf, unsigned n)
{
    struct client *k = (struct client *)c;
    unsigned take = n;

    if (k->deaf)
        return 0;
    if (take > sizeof(k->got) - 1 - k->n)
        take = sizeof(k->got) - 1 - k->n;
    memcpy(k->got + k->n, buf, take);
    k->n += take;
    k->got[k->n] = 0;
    k->lost += n - take;
    return n;
}

static void client_accept(struct chardev *c)
{
}

static const struct chardev_ops client_ops = { client_write, NULL, client_accept };

void client_new(struct client *k, enum monitor_mode mode)
{
    *k = (struct client){ .chr = { .ops = &client_ops } };
    monitor_add(m, &k->chr, mode);
    k->chr.user->opened(k->chr.dev, true);
}

/* False: the monitor wants no more now. */
bool send_n(struct client *k, const void *s, size_t n)
{
    const uint8_t *p = s;

    while (n) {
        unsigned room = k->chr.user->room(k->chr.dev), now = room < n ? room : (unsigned)n;

        if (!now)
            return false;
        k->chr.user->receive(k->chr.dev, p, now);
        p += now;
        n -= now;
    }
    return true;
}

const char *say(struct client *k, const char *s)
{
    k->n = 0;
    k->got[0] = 0;
    send_n(k, s, strlen(s));
    return k->got;
}

/* ---- a machine ---- */

static void fake_pause(struct machine *x) { pauses++; }
static void fake_resume(struct machine *x) { pauses--; }
static void fake_wait(struct machine *x) { }
static const struct control_ops fake_ops = { fake_pause, fake_resume, fake_wait };

uint8_t port_val;
static uint64_t port_read(void *dev, uint64_t off, unsigned size) { return port_val + off; }
static void port_write(void *dev, uint64_t off, uint64_t val, unsigned size) { port_val = (uint8_t)val; }
static const struct io_ops port_ops = { port_read, port_write, 1, 0 };

struct typed typed[TYPED];
unsigned ntyped;
int moved[3];
unsigned buttons;
static void on_key(void *dev, unsigned key, bool down)
{
    if (ntyped < TYPED) {
        typed[ntyped].key = key;
        typed[ntyped++].down = down;
    }
}
static void on_move(void *dev, int dx, int dy, int dz, unsigned b)
{
    moved[0] = dx;
    moved[1] = dy;
    moved[2] = dz;
    buttons = b;
}
static const struct input_device keyboard = { .key = on_key, .move = on_move };

unsigned pressed;
static void power_button(struct machine *x) { pressed++; }
static const struct board board = { .name = "test", .what = "a test's", .power_button = power_button };

uint8_t *ram;

void setup(void)
{
    pthread_mutexattr_t a;

    e = env_new();
    m = &e->m;
    m->phys = e->phys;
    m->ports = e->ports;
    m->clock = e->clock;
    m->chips = e->chips;
    m->cfg.board = &board;
    m->ram_low = 65536;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&m->lock, &a);
    m->loop = evloop_new();
    evloop_attach(m->loop, m->clock, &m->lock);
    ram = aligned_alloc(PAGE_SIZE, 65536);
    for (unsigned i = 0; i < 65536; i++)
        ram[i] = (uint8_t)i;
    ck_assert_ptr_nonnull(phys_map_ram(m->phys, 0, 65536, ram, false, "ram"));
    ports_map(m->ports, 0x300, 4, &port_ops, NULL, "test ports");
    pic_new(m->chips, m->ports, env_line(e, 0));
    m->cfg.input = input_new();
    input_add(m->cfg.input, &keyboard, typed);
    m->control = control_new(m, &fake_ops, RUN_RUNNING);
    monitors_new(m);
    ntyped = pressed = 0;
}

void teardown(void)
{
    monitors_free(m);
    control_free(m->control);
    input_free(m->cfg.input);
    evloop_free(m->loop);
    env_free(e);
    free(ram);
}

const char *hmp(const char *line, bool ok)
{
    static struct text_buf out;
    static char text[65536];

    text_buf_init(&out, sizeof(text) - 1);
    ck_assert_msg(hmp_run(m, line, &out.text) == ok, "%s: %s", line, text_buf_get(&out));
    snprintf(text, sizeof(text), "%s", text_buf_get(&out));
    text_buf_free(&out);
    return text;
}
