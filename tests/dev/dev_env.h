/*
 * dev_env.h - chips on a port bus with no CPU: a clock that stands still until told, interrupt
 * lines that count, and a scripted far end for byte streams.
 */
#ifndef TESTS_DEV_ENV_H
#define TESTS_DEV_ENV_H

#include <check.h>
#include <pthread.h>

#include "hw/chardev_if.h"
#include "hw/clock.h"
#include "hw/dev.h"

#define LINES 32
#define US 1000ull
#define MS 1000000ull

struct env {
    struct chip_list *chips;
    struct ports *ports;
    struct clock *clock;
    bool level[LINES];
    unsigned rises[LINES];      /* low-to-high edges */
    struct chardev chr;         /* what chips write lands in out[] */
    uint8_t out[4096];
    unsigned out_len, out_room; /* room: bytes it still takes */
    unsigned accepts;
};

/* The wall clock starts at 2024-02-28 23:59:50 UTC, a Wednesday before a leap day. */
#define WALL 1709164790

void env_init(struct env *e);
void env_free(struct env *e);
/* The chips can be saved and take it back, and are the same then. */
void env_check_state(struct env *);
struct irq env_irq(struct env *e, int line);
static inline uint8_t in8(struct env *e, uint16_t port) { return (uint8_t)ports_read(e->ports, port, 1); }
static inline void out8(struct env *e, uint16_t port, uint8_t v) { ports_write(e->ports, port, v, 1); }
static inline void pass(struct env *e, uint64_t ns) { clock_advance(e->clock, ns); }

/* An event loop as a machine has it, with the host's clock and the devices' lock, and its end. */
struct evloop;
struct evloop *env_loop(struct clock **, pthread_mutex_t *);
void env_loop_end(struct evloop *, struct clock *, pthread_mutex_t *);
/* It goes round n times, each time with 3 ms for what is to come. */
void env_rounds(struct evloop *, unsigned n);

/* The suites, one a file. */
Suite *suite_clock(void);
Suite *suite_uart(void);
Suite *suite_pic(void);
Suite *suite_pit(void);
Suite *suite_rtc(void);
Suite *suite_kbc(void);
Suite *suite_mouse(void);
Suite *suite_misc(void);
Suite *suite_chips(void);
Suite *suite_chardev(void);
Suite *suite_chardev_kinds(void);
Suite *suite_parport(void);

#endif
