/*
 * kbc_env.h - a machine with an 8042, a keyboard and a mouse, for test_kbc.c and test_mouse.c: each has its own.
 */
#ifndef TESTS_KBC_ENV_H
#define TESTS_KBC_ENV_H

#include <stdlib.h>
#include <string.h>

#include "hw/kbc.h"
#include "tests/dev/dev_env.h"

enum { IRQ1 = 1, IRQ12 = 12, A20 = 20, RESET = 21 };

static struct env e;
static struct ps2 *kbd, *mouse;

static inline void wire(void)
{
    kbd = ps2_keyboard_new(e.chips, "kbd", e.clock);
    mouse = ps2_mouse_new(e.chips, "mouse", e.clock);
    struct kbc_lines lines = { env_irq(&e, IRQ1), env_irq(&e, IRQ12), env_irq(&e, A20), env_irq(&e, RESET) };
    kbc_new(e.chips, e.ports, e.clock, &lines, kbd, mouse);
}
static inline void setup(void)
{
    env_init(&e);
    wire();
}
static inline void teardown(void) { env_free(&e); }

static inline void check_state(void) { env_check_state(&e); }

static inline void cmd(uint8_t c) { out8(&e, 0x64, c); }
static inline void cmd2(uint8_t c, uint8_t v) { out8(&e, 0x64, c); out8(&e, 0x60, v); }
static inline bool full(void) { return in8(&e, 0x64) & 1; }

/* The next byte, letting the wire's time pass; -1 if there is none. */
static inline int next(void)
{
    if (!full())
        pass(&e, 200 * US);
    return full() ? in8(&e, 0x60) : -1;
}

static inline int next_aux(void)
{
    if (!full())
        pass(&e, 200 * US);
    ck_assert_uint_eq(in8(&e, 0x64) & 0x21, 0x21);
    return in8(&e, 0x60);
}

/* The same with values that are not constant. */
#define EXPECT_VALUES(...)                                              \
    do {                                                                \
        const int want[] = { __VA_ARGS__ };                             \
        for (unsigned i_ = 0; i_ < sizeof(want) / sizeof(want[0]); i_++)    \
            ck_assert_int_eq(next(), want[i_]);                         \
        ck_assert_int_eq(next(), -1);                                   \
    } while (0)

#define EXPECT(...)                                                     \
    do {                                                                \
        static const int want[] = { __VA_ARGS__ };                      \
        for (unsigned i_ = 0; i_ < sizeof(want) / sizeof(want[0]); i_++)    \
            ck_assert_int_eq(next(), want[i_]);                         \
        ck_assert_int_eq(next(), -1);                                   \
    } while (0)

#endif
