/* test_misc.c - port 92h, the coprocessor error logic, isa-debug-exit, the debug console, pc-testdev. */
#include "tests/dev/dev_env.h"

#include <pthread.h>
#include <string.h>

#include "hw/debugcon.h"
#include "hw/debugexit.h"
#include "hw/ferr.h"
#include "hw/port92.h"
#include "hw/testdev.h"

static struct env e;
static void setup(void) { env_init(&e); }
static void teardown(void) { env_free(&e); }

START_TEST(port_92)
{
    port92_new(e.chips, e.ports, env_irq(&e, 0), env_irq(&e, 1));
    out8(&e, 0x92, 0x00);
    ck_assert(!e.level[0]);
    out8(&e, 0x92, 0x02);
    ck_assert(e.level[0]);
    ck_assert_uint_eq(in8(&e, 0x92), 0x02);
    ck_assert(!e.level[1]);
    out8(&e, 0x92, 0x03);
    ck_assert(e.level[1]);
    e.level[1] = false;
    out8(&e, 0x92, 0x03);                       /* only the rise resets */
    ck_assert(!e.level[1]);
}
END_TEST

START_TEST(coprocessor_error)
{
    struct ferr *f = ferr_new(e.chips, e.ports, env_irq(&e, 13), env_irq(&e, 0));

    out8(&e, 0xf0, 0);                          /* no error: nothing to ignore */
    ck_assert(!e.level[0]);
    ferr_set(f, true);
    ck_assert(e.level[13] && !e.level[0]);
    ferr_set(f, false);                         /* the interrupt stays until acknowledged */
    ck_assert(e.level[13] && !e.level[0]);
    ferr_set(f, true);
    out8(&e, 0xf0, 0);
    ck_assert(!e.level[13] && e.level[0]);
    ferr_set(f, true);
    ck_assert(!e.level[13] && e.level[0]);
    ferr_set(f, false);
    ck_assert(!e.level[13] && !e.level[0]);
    ferr_set(f, true);
    ck_assert(e.level[13]);
    ck_assert_uint_eq(e.rises[13], 2);
    chips_reset(e.chips);
    ck_assert(!e.level[13] && !e.level[0]);
}
END_TEST

static int exit_code;
static void stop(void *arg, int code) { exit_code = code; }

START_TEST(debug_exit)
{
    debugexit_new(e.chips, e.ports, 0xf4, 4, stop, NULL);
    exit_code = -1;
    ck_assert_uint_eq(ports_read(e.ports, 0xf4, 4), 0);
    ports_write(e.ports, 0xf4, 0x10, 4);
    ck_assert_int_eq(exit_code, 0x21);
    out8(&e, 0xf5, 0);
    ck_assert_int_eq(exit_code, 1);
    ports_write(e.ports, 0xf6, 0x31, 2);
    ck_assert_int_eq(exit_code, 0x63);
}
END_TEST

START_TEST(debug_console)
{
    debugcon_new(e.chips, "debugcon", e.ports, 0x402, DEBUGCON_READBACK, &e.chr);
    ck_assert_uint_eq(in8(&e, 0x402), 0xe9);
    out8(&e, 0x402, 'h');
    out8(&e, 0x402, 'i');
    ck_assert_mem_eq(e.out, "hi", 2);
}
END_TEST

START_TEST(test_device)
{
    pthread_mutex_t lock;
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&lock, &attr);
    struct phys *phys = phys_new(&lock);
    testdev_new(e.chips, e.ports, phys, env_irq(&e, 0));
    ports_write(e.ports, 0xe0, 0x12345678, 4);
    ck_assert_uint_eq(ports_read(e.ports, 0xe0, 4), 0x12345678);
    out8(&e, 0xe1, 0xaa);
    ck_assert_uint_eq(ports_read(e.ports, 0xe0, 4), 0x1234aa78);
    ck_assert_uint_eq(ports_read(e.ports, 0xe2, 2), 0x1234);
    ports_write(e.ports, 0xe4, 0x1000, 4);
    out8(&e, 0x2000 + 14, 1);
    ck_assert(e.level[14]);
    out8(&e, 0x2000 + 14, 0);
    ck_assert(!e.level[14]);
    phys_io_write(phys, 0xff000008, 0x1122334455667788, 8);
    ck_assert_uint_eq(phys_io_read(phys, 0xff00000a, 2), 0x5566);
    out8(&e, 0x2005, 1);
    chips_reset(e.chips);
    ck_assert(!e.level[5]);
    phys_free(phys);
    pthread_mutex_destroy(&lock);
}
END_TEST

Suite *suite_misc(void)
{
    Suite *s = suite_create("misc");
    TCase *t = tcase_create("misc");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, port_92);
    tcase_add_test(t, coprocessor_error);
    tcase_add_test(t, debug_exit);
    tcase_add_test(t, debug_console);
    tcase_add_test(t, test_device);
    suite_add_tcase(s, t);
    return s;
}
