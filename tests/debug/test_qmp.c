/*
 * test_qmp.c - QMP on streams of the test's own: messages, arguments and errors, events, clients that do not read and
 * that vanish.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "debug/action.h"
#include "host/evloop.h"
#include "hw/input_if.h"
#include "tests/debug/monitor_env.h"
#include "tests/run_suite.h"

/* Asked, answered; each answer is JSON by itself. The last one. */
static json_t *ask(struct client *k, const char *s)
{
    json_t *last = NULL;

    say(k, s);
    for (char *line = strtok(k->got, "\r\n"); line; line = strtok(NULL, "\r\n")) {
        json_error_t err;

        json_decref(last);
        last = json_loads(line, 0, &err);
        ck_assert_msg(last != NULL, "%s: %s", line, err.text);
    }
    return last;
}

static void expect(struct client *k, const char *s, const char *class, const char *desc)
{
    json_t *j = ask(k, s), *error = json_object_get(j, "error");

    if (!class) {
        ck_assert_msg(json_object_get(j, "return") != NULL, "%s: %s", s, j ? json_dumps(j, 0) : "nothing");
    } else {
        ck_assert_msg(error != NULL, "%s", s);
        ck_assert_str_eq(json_string_value(json_object_get(error, "class")), class);
        ck_assert_msg(strstr(json_string_value(json_object_get(error, "desc")), desc), "%s: %s", s,
                      json_string_value(json_object_get(error, "desc")));
    }
    json_decref(j);
}

static void negotiate(struct client *k)
{
    client_new(k, MONITOR_QMP);
    ck_assert_ptr_nonnull(strstr(k->got, "\"capabilities\":[]"));
    expect(k, "{\"execute\":\"query-status\"}", "CommandNotFound", "qmp_capabilities");
    expect(k, "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"oob\"]}}", "GenericError",
           "oob");
    expect(k, "{\"execute\":\"qmp_capabilities\"}", NULL, NULL);
    expect(k, "{\"execute\":\"qmp_capabilities\"}", "CommandNotFound", "already complete");
}

START_TEST(qmp_messages)
{
    static struct client k;
    json_t *j;

    negotiate(&k);
    j = ask(&k, "{ \"execute\": \"query-status\",\n \"id\": {\"a\": [1, \"}\\\"\"]} }");
    ck_assert(json_is_true(json_object_get(json_object_get(j, "return"), "running")));
    ck_assert_int_eq(json_array_size(json_object_get(json_object_get(j, "id"), "a")), 2);
    json_decref(j);
    j = ask(&k, "{\"execute\":\"nonsense\",\"id\":7}");
    ck_assert_int_eq(json_integer_value(json_object_get(j, "id")), 7);
    ck_assert_str_eq(json_string_value(json_object_get(json_object_get(j, "error"), "class")),
                     "CommandNotFound");
    json_decref(j);
    expect(&k, "{}", "GenericError", "lacks member 'execute'");
    expect(&k, "{\"execute\":1}", "GenericError", "must be a string");
    expect(&k, "{\"execute\":\"stop\",\"arguments\":1}", "GenericError", "must be an object");
    expect(&k, "{\"exec-oob\":\"stop\"}", "GenericError", "'exec-oob' is unexpected");
    expect(&k, "{\"execute\":\"stop\",\"execute\":\"cont\"}", "GenericError", "parse error");
    expect(&k, "{\"execute\":\"stop\",}", "GenericError", "parse error");
    expect(&k, "[1,2]", "GenericError", "must be a JSON object");
    expect(&k, "garbage and more\n", "GenericError", "begins with");
    expect(&k, "}\n", "GenericError", "begins with");
    /* In pieces. */
    say(&k, "{\"execute\": \"query-na");
    ck_assert_str_eq(k.got, "");
    expect(&k, "me\"}", NULL, NULL);
}
END_TEST

START_TEST(qmp_hostile)
{
    static struct client k;
    char *big = malloc(3 << 20);

    negotiate(&k);
    /* A fresh start in the middle of something. */
    say(&k, "{\"execute\": [[[\"");
    ck_assert_str_eq(k.got, "");
    expect(&k, "\xff{\"execute\":\"query-status\"}", NULL, NULL);
    /* Deep. */
    memset(big, '[', 1 << 20);
    strcpy(big + (1 << 20), "\n{\"execute\":\"query-status\"}");
    memcpy(big, "{\"a\":", 5);
    expect(&k, big, NULL, NULL);
    /* Long. */
    memset(big, 'a', 2 << 20);
    memcpy(big, "{\"execute\":\"", 12);
    strcpy(big + (2 << 20), "\"}\n{\"execute\":\"query-status\"}");
    expect(&k, big, NULL, NULL);
    say(&k, big);
    ck_assert_ptr_nonnull(strstr(k.got, "longer than"));
    /* As deep as is allowed is no trouble to the parser. */
    memset(big, '[', 63);
    memset(big + 63, ']', 63);
    big[126] = 0;
    expect(&k, big, "GenericError", "object");
    free(big);
}
END_TEST

START_TEST(qmp_arguments)
{
    static struct client k;

    negotiate(&k);
    expect(&k, "{\"execute\":\"stop\",\"arguments\":{\"x\":1}}", "GenericError",
           "Parameter 'x' is unexpected");
    expect(&k, "{\"execute\":\"set_link\",\"arguments\":{\"name\":\"n\"}}", "GenericError",
           "Parameter 'up' is missing");
    expect(&k, "{\"execute\":\"set_link\",\"arguments\":{\"name\":\"n\",\"up\":1}}", "GenericError",
           "expected: boolean");
    expect(&k, "{\"execute\":\"trace-event-set-state\",\"arguments\":{\"name\":\"zzz\",\"enable\":true}}", "GenericError",
           "unknown event \"zzz\"");
    expect(&k, "{\"execute\":\"trace-event-get-state\",\"arguments\":{\"name\":\"pci_irq\",\"vcpu\":0}}",
           "GenericError", "not of one processor");
    expect(&k, "{\"execute\":\"trace-event-set-state\",\"arguments\":{\"name\":\"pci_i*\",\"enable\":true}}", NULL, NULL);
    expect(&k, "{\"execute\":\"trace-event-get-state\",\"arguments\":{\"name\":\"pci_irq\"}}", NULL, NULL);
    ck_assert_ptr_nonnull(strstr(k.got, "{\"name\":\"pci_irq\",\"state\":\"enabled\",\"vcpu\":false}"));
    expect(&k, "{\"execute\":\"trace-event-set-state\",\"arguments\":{\"name\":\"*\",\"enable\":false}}", NULL, NULL);
    expect(&k, "{\"execute\":\"set_link\",\"arguments\":{\"name\":\"n\",\"up\":true}}", "DeviceNotFound",
           "'n' not found");
    expect(&k, "{\"execute\":\"eject\"}", "GenericError", "exactly one of");
    expect(&k, "{\"execute\":\"eject\",\"arguments\":{\"id\":\"a\",\"device\":\"a\"}}", "GenericError",
           "exactly one of");
    expect(&k, "{\"execute\":\"eject\",\"arguments\":{\"id\":\"a\"}}", "DeviceNotFound", "not found");
    expect(&k, "{\"execute\":\"blockdev-change-medium\",\"arguments\":{\"id\":\"a\",\"filename\":\"f\"}}",
           "DeviceNotFound", "not found");
    expect(&k, "{\"execute\":\"balloon\",\"arguments\":{\"value\":1}}", "DeviceNotActive", "balloon");
    expect(&k, "{\"execute\":\"query-balloon\"}", "DeviceNotActive", "balloon");
    expect(&k, "{\"execute\":\"block_resize\",\"arguments\":{\"size\":1}}", "GenericError", "exactly one of");
    expect(&k, "{\"execute\":\"memsave\",\"arguments\":{\"val\":0,\"size\":1,\"filename\":\"f\"}}",
           "GenericError", "cpu-index");
    expect(&k, "{\"execute\":\"pmemsave\",\"arguments\":{\"val\":0,\"size\":-1,\"filename\":\"f\"}}",
           "GenericError", "size");
    expect(&k, "{\"execute\":\"device-list-properties\",\"arguments\":{\"typename\":\"nonsense\"}}",
           "DeviceNotFound", "not found");
    expect(&k, "{\"execute\":\"device-list-properties\",\"arguments\":{\"typename\":\"e1000\"}}", NULL, NULL);
    expect(&k, "{\"execute\":\"send-key\",\"arguments\":{\"keys\":[]}}", "GenericError", "keys");
    expect(&k,
           "{\"execute\":\"send-key\",\"arguments\":{\"keys\":[{\"type\":\"qcode\",\"data\":\"nokey\"}]}}",
           "GenericError", "nokey");
    expect(&k, "{\"execute\":\"send-key\",\"arguments\":{\"keys\":[5]}}", "GenericError", "key");
    expect(&k, "{\"execute\":\"send-key\",\"arguments\":{\"keys\":[{\"type\":\"number\",\"data\":30}]}}",
           NULL, NULL);
    ck_assert(ntyped == 1 && typed[0].key == 30);
    expect(
        &k,
        "{\"execute\":\"input-send-event\",\"arguments\":{\"events\":[{\"type\":\"key\",\"data\":{\"down\":"
        "true,\"key\":"
        "{\"type\":\"qcode\",\"data\":\"b\"}}},{\"type\":\"rel\",\"data\":{\"axis\":\"z\",\"value\":1}}]}}",
        "GenericError", "number 1");
    ck_assert_uint_eq(ntyped, 1);       /* one that is wrong: none is done */
    expect(&k,
           "{\"execute\":\"input-send-event\",\"arguments\":{\"events\":[{\"type\":\"key\",\"data\":{"
           "\"down\":true,\"key\":"
           "{\"type\":\"qcode\",\"data\":\"b\"}}},{\"type\":\"rel\",\"data\":{\"axis\":\"y\",\"value\":-4}},{"
           "\"type\":\"btn\","
           "\"data\":{\"down\":true,\"button\":\"right\"}}]}}",
           NULL, NULL);
    ck_assert(ntyped == 2 && typed[1].key == 48 && moved[1] == -4 && buttons == INPUT_RIGHT);
    expect(&k, "{\"execute\":\"query-qmp-schema\"}", NULL, NULL);
    expect(&k, "{\"execute\":\"query-pci\"}", NULL, NULL);
    expect(&k, "{\"execute\":\"query-block\"}", NULL, NULL);
}
END_TEST

static unsigned count(const char *s, const char *word)
{
    unsigned n = 0;

    for (; (s = strstr(s, word)); s++)
        n++;
    return n;
}

START_TEST(qmp_events)
{
    static struct client k, silent;

    negotiate(&k);
    client_new(&silent, MONITOR_QMP);           /* has not negotiated: hears nothing */
    silent.n = 0;
    expect(&k, "{\"execute\":\"stop\"}", NULL, NULL);
    say(&k, "{\"execute\":\"cont\"}");
    ck_assert_uint_eq(count(k.got, "\"RESUME\""), 1);
    k.n = 0;
    machine_event(m, EVENT_PANIC, "test");
    machine_power_button(m);
    ck_assert_uint_eq(count(k.got, "GUEST_PANICKED"), 1);
    ck_assert_uint_eq(count(k.got, "POWERDOWN"), 1);
    ck_assert_uint_eq(count(k.got, "timestamp"), count(k.got, "\"event\""));
    k.n = 0;
    m->stop = STOP_NONE;
    machine_request_stop(m, STOP_RESET, 0);
    ck_assert_ptr_nonnull(strstr(k.got, "\"guest\":true,\"reason\":\"guest-reset\""));
    k.n = 0;
    machine_request_stop(m, STOP_POWEROFF, 0);  /* the first counts */
    ck_assert_uint_eq(k.n, 0);
    m->stop = STOP_NONE;
    say(&k, "{\"execute\":\"system_reset\"}");
    ck_assert_ptr_nonnull(strstr(k.got, "\"guest\":false,\"reason\":\"host-qmp-system-reset\""));
    say(&k, "{\"execute\":\"quit\"}");
    ck_assert_ptr_nonnull(strstr(k.got, "\"SHUTDOWN\""));
    ck_assert_ptr_nonnull(strstr(k.got, "host-qmp-quit"));
    /* Often: one at once, the last one a second later. */
    k.n = 0;
    for (int i = 1; i <= 1000; i++)
        machine_news(m, NEWS_RTC, NULL, i);
    ck_assert_uint_eq(count(k.got, "RTC_CHANGE"), 1);
    for (unsigned i = 0; i < 40 && count(k.got, "RTC_CHANGE") < 2; i++) {
        struct timespec t = { 0, 50000000 };

        nanosleep(&t, NULL);
        evloop_step(m->loop, 0);
    }
    ck_assert_uint_eq(count(k.got, "RTC_CHANGE"), 2);
    ck_assert_ptr_nonnull(strstr(k.got, "\"offset\":1000"));
    ck_assert_uint_eq(silent.n, 0);
}
END_TEST

START_TEST(slow_reader)
{
    static struct client k;
    size_t most = 0;
    bool full = false;

    negotiate(&k);
    k.deaf = true;
    for (unsigned i = 0; i < 20000 && !full; i++)
        full = !send_n(&k, "{\"execute\":\"query-qmp-schema\"}\n", 31);
    ck_assert(full);            /* no more is taken from it */
    for (unsigned i = 0; i < 100000; i++)
        machine_power_button(m);
    for (const struct mon *mon = m->monitors->first; mon; mon = mon->next)
        most = mon->out_len > most ? mon->out_len : most;
    ck_assert_uint_le(most, MONITOR_PENDING + MONITOR_ANSWER);
    ck_assert_uint_gt(most, MONITOR_PENDING / 2);
    /* It reads again: what was kept comes, and commands work. */
    k.deaf = false;
    k.n = 0;
    k.chr.user->writable(k.chr.dev);
    ck_assert_uint_gt(k.lost, MONITOR_PENDING / 2);
    say(&k, "\xff");
    expect(&k, "{\"execute\":\"query-status\"}", NULL, NULL);
    /* And one that goes with all that was meant for it. */
    k.deaf = true;
    for (unsigned i = 0; i < 100; i++)
        send_n(&k, "{\"execute\":\"query-qmp-schema\"}\n", 31);
    k.chr.user->opened(k.chr.dev, false);
    ck_assert_uint_eq(m->monitors->first->out_len, 0);
    k.deaf = false;
    k.n = 0;
    k.chr.user->opened(k.chr.dev, true);
    ck_assert_ptr_nonnull(strstr(k.got, "{\"QMP\""));
    expect(&k, "{\"execute\":\"query-status\"}", "CommandNotFound", "qmp_capabilities");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("qmp");
    TCase *c = tcase_create("qmp");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 120);
    tcase_add_test(c, qmp_messages);
    tcase_add_test(c, qmp_hostile);
    tcase_add_test(c, qmp_arguments);
    tcase_add_test(c, qmp_events);
    tcase_add_test(c, slow_reader);
    suite_add_tcase(s, c);
    return run_suite(s);
}
