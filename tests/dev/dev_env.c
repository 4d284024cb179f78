/* dev_env.c - the chips' test bench, and main: runs every suite of this folder. */
#include "tests/dev/dev_env.h"
#include "tests/dev/check_state.h"

#include <stdlib.h>
#include <string.h>

#include "host/evloop.h"
#include "host/host_clock.h"

static void line_set(void *to, int line, bool level)
{
    struct env *e = to;
    if (level && !e->level[line])
        e->rises[line]++;
    e->level[line] = level;
}

struct irq env_irq(struct env *e, int line)
{
    return (struct irq){ .set = line_set, .to = e, .line = line };
}

static unsigned env_write(struct chardev *c, const uint8_t *buf, unsigned n)
{
    struct env *e = (struct env *)((char *)c - offsetof(struct env, chr));
    n = n < e->out_room ? n : e->out_room;
    e->out_room -= n;
    memcpy(e->out + e->out_len, buf, n);
    e->out_len += n;
    return n;
}

static void env_accept(struct chardev *c)
{
    struct env *e = (struct env *)((char *)c - offsetof(struct env, chr));
    e->accepts++;
}

static const struct chardev_ops env_ops = { env_write, NULL, env_accept };

void env_init(struct env *e)
{
    memset(e, 0, sizeof(*e));
    e->chips = chips_new();
    e->ports = ports_new();
    e->clock = clock_new_manual(WALL);
    e->chr.ops = &env_ops;
    e->out_room = sizeof(e->out);
}

void env_free(struct env *e)
{
    chips_free(e->chips);
    ports_free(e->ports);
    clock_free(e->clock);
}

struct evloop *env_loop(struct clock **clk, pthread_mutex_t *lock)
{
    struct evloop *loop = evloop_new();
    pthread_mutexattr_t a;

    pthread_mutexattr_init(&a);
    pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(lock, &a);
    pthread_mutexattr_destroy(&a);
    *clk = clock_new(&host_clock);
    evloop_attach(loop, *clk, lock);
    return loop;
}

void env_loop_end(struct evloop *loop, struct clock *clk, pthread_mutex_t *lock)
{
    evloop_free(loop);
    clock_free(clk);
    pthread_mutex_destroy(lock);
}

void env_rounds(struct evloop *loop, unsigned n)
{
    while (n--)
        evloop_step(loop, 3 * MS);
}

int main(void)
{
    SRunner *r = srunner_create(suite_clock());
    srunner_add_suite(r, suite_uart());
    srunner_add_suite(r, suite_pic());
    srunner_add_suite(r, suite_pit());
    srunner_add_suite(r, suite_rtc());
    srunner_add_suite(r, suite_kbc());
    srunner_add_suite(r, suite_mouse());
    srunner_add_suite(r, suite_misc());
    srunner_add_suite(r, suite_chips());
    srunner_add_suite(r, suite_chardev());
    srunner_add_suite(r, suite_chardev_kinds());
    srunner_add_suite(r, suite_parport());
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

void env_check_state(struct env *e)
{
    check_state(e->chips);
}
