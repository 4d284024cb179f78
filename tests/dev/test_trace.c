/*
 * test_trace.c - events of devices: switching them, lists of them, their lines, and what a chip tells.
 */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/nearest.h"
#include "base/trace.h"
#include "hw/acpi.h"
#include "hw/clock.h"
#include "tests/dev/chipset_env.h"
#include "tests/run_suite.h"

#define PM 0x600

static struct env *e;
static struct acpi *a;
static char *text;
static size_t len;
static FILE *out;

static void off(void *arg)
{
}

static uint64_t now(void *clock)
{
    return clock_now(clock);
}

static void setup(void)
{
    static const struct acpi_model model = { .s5_type = 5 };

    e = env_new();
    a = acpi_new(e->chips, &model, e->ports, PM, e->clock, env_line(e, 9), off, NULL);
    out = open_memstream(&text, &len);
    ck_assert_ptr_nonnull(out);
    trace_set_file(out);
    trace_set_clock(now, e->clock);
}

static void teardown(void)
{
    trace_switch("*", false);
    trace_set_clock(NULL, NULL);
    env_free(e);
    fclose(out);
    free(text);
}

static const char *told(void)
{
    fflush(out);
    return text;
}

START_TEST(switching)
{
    ck_assert_uint_eq(trace_switch("*", false), TRACE_COUNT);
    ck_assert_uint_eq(trace_switch("acpi_sleep", true), 1);
    ck_assert(trace_on(TRACE_acpi_sleep) && !trace_on(TRACE_acpi_sci));
    ck_assert_uint_eq(trace_switch("acpi_sle", true), 0);
    ck_assert_uint_eq(trace_switch("acpi_*", true), 3);
    ck_assert_uint_eq(trace_apply("-acpi_s??"), 1);
    ck_assert(trace_on(TRACE_acpi_sleep) && trace_on(TRACE_acpi_power_button) && !trace_on(TRACE_acpi_sci));
    ck_assert_uint_eq(trace_means("acpi_sc[i]"), 1);
    ck_assert_uint_eq(trace_means(""), 0);
    ck_assert(!trace_on(TRACE_acpi_sci));       /* meaning changes nothing */
}
END_TEST

START_TEST(lists)
{
    static const char list[] = "# events\n\n  acpi_*  \r\n-acpi_sci # but this\npci_msi", wrong[] = "pci_irq\n\nacpi_slep\n";
    struct nearest near;
    unsigned line;
    char bad[32];
    FILE *f = fmemopen((void *)(uintptr_t)list, sizeof(list) - 1, "r");

    ck_assert(trace_read(f, bad, sizeof(bad), &line));
    fclose(f);
    ck_assert(trace_on(TRACE_acpi_sleep) && trace_on(TRACE_pci_msi) && !trace_on(TRACE_acpi_sci));
    f = fmemopen((void *)(uintptr_t)wrong, sizeof(wrong) - 1, "r");
    ck_assert(!trace_read(f, bad, sizeof(bad), &line));
    fclose(f);
    ck_assert_str_eq(bad, "acpi_slep");
    ck_assert_uint_eq(line, 3);
    nearest_init(&near, bad, "");
    trace_names(&near);
    ck_assert_str_eq(near.list, "acpi_sleep");
}
END_TEST

/* -d trace:PATTERN: all of a list, or nothing. */
START_TEST(log_items)
{
    char bad[64];

    ck_assert(!log_parse("trace:acpi_sleep,guest,trace:nothing*", bad, sizeof(bad)));
    ck_assert_str_eq(bad, "trace:nothing*");
    ck_assert(!trace_on(TRACE_acpi_sleep) && !log_mask);
    ck_assert(log_parse("trace:acpi_sleep,guest,trace:acpi_p*", bad, sizeof(bad)));
    ck_assert(trace_on(TRACE_acpi_sleep) && trace_on(TRACE_acpi_power_button) && log_mask == LOG_GUEST);
    log_mask = 0;
}
END_TEST

START_TEST(lines)
{
    acpi_power_button(a);
    ck_assert_str_eq(told() ? told() : "", "");         /* nothing is on */
    trace_switch("acpi_*", true);
    trace_switch("io_write", true);
    clock_advance(e->clock, 61 * NS_PER_SEC + 5);
    acpi_power_button(a);
    trace_thread("cpu7");
    ports_write(e->ports, PM + 4, 5 << 10 | 1 << 13, 2);
    trace_thread("-");
    ck_assert_str_eq(told(), "61.000000005 - acpi_power_button\n"
                     "61.000000005 cpu7 io_write acpi-pm1 port 0x604 size 2 value 0x3400\n"
                     "61.000000005 cpu7 acpi_sleep type 5\n");
}
END_TEST

/* What is in packets is looked for within them. */
START_TEST(bytes)
{
    uint8_t frame[14] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56, [12] = 8, 6 };
    const uint8_t read6[10] = { 0x08, 0xff, 0x12, 0x34 }, read10[10] = { 0x28, 0, 1, 2, 3, 4 },
                  read16[10] = { 0x88, 0, 1, 2, 3, 4, 5, 6, 7, 8 };

    ck_assert_uint_eq(trace_be(frame, 14, 0, 6), 0x525400123456);
    ck_assert_uint_eq(trace_be(frame, 14, 12, 2), 0x0806);
    ck_assert_uint_eq(trace_be(frame, 13, 12, 2), 0);
    ck_assert_uint_eq(trace_lba(read6), 0x1f1234);
    ck_assert_uint_eq(trace_lba(read10), 0x01020304);
    ck_assert_uint_eq(trace_lba(read16), 0x0102030405060708);
    trace_switch("net_send", true);
    trace_net_send("n", frame, 14);
    trace_net_send("n", frame, 3);
    ck_assert_str_eq(told(), "0.000000000 - net_send n to 525400123456 from 000000000000 type 0x0806 length 14\n"
                     "0.000000000 - net_send n to 000000000000 from 000000000000 type 0x0000 length 3\n");
}
END_TEST

/* Lines of several threads are whole, and a long one is cut. */
static void *many(void *arg)
{
    trace_thread(arg);
    for (unsigned i = 0; i < 1000; i++)
        trace_pic_line(5, true);
    return NULL;
}

START_TEST(threads)
{
    static char names[2][8] = { "one", "two" };
    pthread_t t[2];
    char name[1000], line[1000];
    unsigned n = 0;
    FILE *f;

    trace_switch("pic_line", true);
    trace_switch("pci_irq", true);
    for (unsigned i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&t[i], NULL, many, names[i]), 0);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    trace_pci_irq(name, 0, true);
    told();
    f = fmemopen(text, len, "r");
    for (; fgets(line, sizeof(line), f) && n < 2000; n++)
        ck_assert_msg(!strcmp(line, "0.000000000 one pic_line line 5 level 1\n") ||
                      !strcmp(line, "0.000000000 two pic_line line 5 level 1\n"), "%s", line);
    fclose(f);
    ck_assert_uint_eq(n, 2000);
    ck_assert_uint_eq(strlen(line), 511);
    ck_assert_int_eq(line[510], '\n');
}
END_TEST

int main(void)
{
    Suite *s = suite_create("trace");
    TCase *t = tcase_create("trace");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, switching);
    tcase_add_test(t, lists);
    tcase_add_test(t, log_items);
    tcase_add_test(t, lines);
    tcase_add_test(t, bytes);
    tcase_add_test(t, threads);
    suite_add_tcase(s, t);
    return run_suite(s);
}
