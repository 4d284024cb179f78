/*
 * test_monitor.c - monitors on streams of the test's own: lines and their keys, expressions, memory and
 * ports, QMP's messages, arguments and errors, events, clients that do not read, that vanish, and that send
 * anything.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "debug/action.h"
#include "debug/control.h"
#include "debug/hmp.h"
#include "debug/monitor_int.h"
#include "host/evloop.h"
#include "hw/boards.h"
#include "hw/input_if.h"
#include "hw/pic.h"
#include "tests/dev/chipset_env.h"
#include "tests/run_suite.h"

static struct env *e;
static struct machine *m;
static unsigned pauses;

/* ---- a client ---- */

struct client {
    struct chardev chr;         /* first */
    char got[1 << 16];
    unsigned n;
    bool deaf;                  /* reads nothing */
    uint64_t lost;              /* beyond what `got` holds */
};

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

static void client_new(struct client *k, enum monitor_mode mode)
{
    *k = (struct client){ .chr = { .ops = &client_ops } };
    monitor_add(m, &k->chr, mode);
    k->chr.user->opened(k->chr.dev, true);
}

/* False: the monitor wants no more now. */
static bool send_n(struct client *k, const void *s, size_t n)
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

static const char *say(struct client *k, const char *s)
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

static uint8_t port_val;
static uint64_t port_read(void *dev, uint64_t off, unsigned size) { return port_val + off; }
static void port_write(void *dev, uint64_t off, uint64_t val, unsigned size) { port_val = (uint8_t)val; }
static const struct io_ops port_ops = { port_read, port_write, 1, 0 };

static struct { unsigned key; bool down; } typed[64];
static unsigned ntyped;
static int moved[3];
static unsigned buttons;
static void on_key(void *dev, unsigned key, bool down)
{
    if (ntyped < 64) {
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

static unsigned pressed;
static void power_button(struct machine *x) { pressed++; }
static const struct board board = { .name = "test", .what = "a test's", .power_button = power_button };

static uint8_t *ram;

static void setup(void)
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

static void teardown(void)
{
    monitors_free(m);
    control_free(m->control);
    input_free(m->cfg.input);
    evloop_free(m->loop);
    env_free(e);
    free(ram);
}

static const char *hmp(const char *line, bool ok)
{
    static struct text_buf out;
    static char text[65536];

    text_buf_init(&out, sizeof(text) - 1);
    ck_assert_msg(hmp_run(m, line, &out.text) == ok, "%s: %s", line, text_buf_get(&out));
    snprintf(text, sizeof(text), "%s", text_buf_get(&out));
    text_buf_free(&out);
    return text;
}

/* ---- lines ---- */

START_TEST(expressions)
{
    static const struct { const char *in, *out;
    } good[] = {
        { "p 1+2*3", "0x7\n" },
        { "p (1+2)*3", "0x9\n" },
        { "p/d -5", "-5\n" },
        { "p/u 0xff&0x0f|0x100", "271\n" },
        { "p/o 8", "010\n" },
        { "p/c 65", "'A'\n" },
        { "p ~0", "0xffffffffffffffff\n" },
        { "p/xb 0x1ff", "0xff\n" },
        { "p/dh 0xffff", "-1\n" },
        { "p ( 1 + 2 )", "0x3\n" },
        { "p 'a'", "0x61\n" },
        { "p 7%4", "0x3\n" },
        { "p 1^3", "0x2\n" },
        { "print 010", "0x8\n" },
    };
    static const char *const bad[] = { "p",      "p 1+",   "p (1",
                                       "p 1/0",  "p $rax", "p zz",
                                       "p 1 2",  "p/q 1",  "p/0x 1",
                                       "p 12ab", "p/i 1",  "p ((((((((((((((((((((((((((((((((((((1))))))",
                                       "p 1)" };
    char deep[300];

    for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        ck_assert_str_eq(hmp(good[i].in, true), good[i].out);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(*hmp(bad[i], false), "%s", bad[i]);
    memset(deep, '-', sizeof(deep));
    memcpy(deep, "p ", 2);
    strcpy(deep + 250, "1");
    hmp(deep, false);
    hmp("", true);
    hmp("   ", true);
    ck_assert_ptr_nonnull(strstr(hmp("stopp", false), "did you mean stop"));
}
END_TEST

START_TEST(memory)
{
    char path[] = "/tmp/test_monitor_XXXXXX", line[200];
    uint8_t back[300];
    FILE *f;
    int fd = mkstemp(path);

    ck_assert_str_eq(hmp("xp/4xb 0x10", true), "00000010: 0x10 0x11 0x12 0x13\n");
    ck_assert_str_eq(hmp("xp/1xw 0x10", true), "00000010: 0x13121110\n");
    ck_assert_str_eq(hmp("xp/2dg 0", true), "00000000: 506097522914230528 1084818905618843912\n");
    ck_assert_str_eq(hmp("xp/2c 0x41", true), "00000041: 'A' 'B'\n");
    memcpy(ram + 0x100, "\x90\xeb\xfe\x0f", 4);
    ck_assert_ptr_nonnull(strstr(hmp("xp/2i 0x100", true), "nop"));
    ck_assert_ptr_nonnull(strstr(hmp("xp/2i 0x100", true), "jmp"));
    strcpy((char *)ram + 0x200, "text\"\n");
    ck_assert_str_eq(hmp("xp/s 0x200", true), "0x00000200: \"text\\\"\\x0a\"\n");
    /* A hole, a device: neither is touched. */
    hmp("xp 0x20000", false);
    hmp("xp/4xw 0xfff8", false);
    hmp("xp 0xffffffffffffffff", false);
    hmp("x 0", false);          /* no processor whose address it were */
    ck_assert_str_eq(hmp("o 0x300 0x42", true), "");
    ck_assert_str_eq(hmp("i 0x300", true), "portb[0x0300] = 0x42\n");
    ck_assert_str_eq(hmp("i/h 0x300", true), "portw[0x0300] = 0x4342\n");
    hmp("i 0x10000", false);
    hmp("i/g 0x300", false);
    snprintf(line, sizeof(line), "pmemsave 0x20 300 %s", path);
    hmp(line, true);
    f = fopen(path, "r");
    ck_assert_uint_eq(fread(back, 1, sizeof(back), f), sizeof(back));
    ck_assert_int_eq(fgetc(f), EOF);
    fclose(f);
    ck_assert_mem_eq(back, ram + 0x20, sizeof(back));
    snprintf(line, sizeof(line), "pmemsave 0x20000 1 %s.none", path);
    hmp(line, false);
    snprintf(line, sizeof(line), "%s.none", path);
    ck_assert_int_ne(access(line, F_OK), 0);    /* no file of what is not there */
    hmp("pmemsave 0 0 /tmp/x", false);
    hmp("pmemsave 0 1 /nowhere/at/all", false);
    unlink(path);
    close(fd);
}
END_TEST

START_TEST(running)
{
    struct client k;

    client_new(&k, MONITOR_TEXT);
    ck_assert_str_eq(hmp("info status", true), "VM status: running\n");
    hmp("stop", true);
    ck_assert_uint_eq(pauses, 1);
    hmp("stop", true);
    ck_assert_uint_eq(pauses, 1);
    ck_assert_str_eq(hmp("info status", true), "VM status: paused (paused)\n");
    /* Looking at what stands changes nothing. */
    hmp("info pic", true);
    ck_assert_uint_eq(pauses, 1);
    hmp("c", true);
    ck_assert_uint_eq(pauses, 0);
    hmp("info registers", false);
    ck_assert_uint_eq(pauses, 0);
    hmp("system_powerdown", true);
    ck_assert_uint_eq(pressed, 1);
    ck_assert_ptr_nonnull(strstr(hmp("info pic", true), "pic 1: irr=00"));
    ck_assert_ptr_nonnull(strstr(hmp("info mtree", true), "0300-0303  test ports"));
    ck_assert_ptr_nonnull(strstr(hmp("info qtree", true), "8259a-pair"));
    ck_assert_ptr_nonnull(strstr(hmp("info lapic", true), "none"));
    ck_assert_ptr_nonnull(strstr(hmp("help change", true), "DRIVE FILE"));
    hmp("help nonsense", false);
    hmp("info nonsense", false);
    hmp("cpu 3", false);
    hmp("eject cd", false);
    hmp("balloon 5", false);
    hmp("set_link n on", false);
    hmp("set_link n maybe", false);
    hmp("hostfwd_add tcp::1-:2", false);
    hmp("screendump /tmp/x.png", false);
    hmp("block_resize d zz", false);
    hmp("change d f raw sideways", false);
    hmp("log nonsense", false);
    hmp("log guest,unimp", true);
    ck_assert(log_mask == (LOG_GUEST | LOG_UNIMP));
    hmp("log none", true);
    ck_assert(log_mask == 0);
}
END_TEST

START_TEST(keys)
{
    static const unsigned want[] = { 29, 56, 111, 111, 56, 29 };

    hmp("sendkey ctrl-alt-delete", true);
    hmp("sendkey a 50", true);
    ck_assert_uint_eq(ntyped, 3);
    clock_advance(e->clock, 100000000);
    ck_assert_uint_eq(ntyped, 6);
    for (unsigned i = 0; i < 6; i++) {
        ck_assert_uint_eq(typed[i].key, want[i]);
        ck_assert_int_eq(typed[i].down, i < 3);
    }
    clock_advance(e->clock, KEY_GAP_MS * 1000000);
    ck_assert_uint_eq(ntyped, 7);
    clock_advance(e->clock, 49000000);
    ck_assert_uint_eq(ntyped, 7);
    clock_advance(e->clock, 1000000);
    ck_assert(ntyped == 8 && typed[7].key == 30 && !typed[7].down);
    hmp("sendkey nothing", false);
    hmp("sendkey a-", false);
    hmp("sendkey 0x1e", true);
    hmp("sendkey a-b-c-d-e-f-g-h-i-j-k-l-m-n-o-p-q", false);
    hmp("sendkey a 0", false);
    for (unsigned i = 0; i < 1000; i++) {       /* bounded */
        struct text_buf out;

        text_buf_init(&out, 1000);
        if (!hmp_run(m, "sendkey a", &out.text)) {
            ck_assert_uint_gt(i, 100);
            text_buf_free(&out);
            break;
        }
        text_buf_free(&out);
        ck_assert_uint_lt(i, 999);
    }
    hmp("mouse_button 3", true);
    ck_assert_uint_eq(buttons, 3);
    hmp("mouse_move 5 -7 1", true);
    ck_assert(moved[0] == 5 && moved[1] == -7 && moved[2] == 1 && buttons == 3);
    ck_assert_ptr_nonnull(strstr(hmp("info mice", true), "* Mouse #0"));
}
END_TEST

START_TEST(editing)
{
    static const struct { const char *typed, *answer;
    } lines[] = {
        { "p 1x\x7f+1\r", "0x2" },
        { "2\x01p \r", "0x2" },
        { "p 34\x1b[D\x1b[D\x04\r", "0x4" },
        { "p 5\x15p 6\r", "0x6" },
        { "p 77 88\x17\r", "0x4d" },
        { "p 9\x01\x1b[3~q\x7fp\r", "0x9" },
        { "\x1b[A\r", "0x9" },
        { "\x10\x10\r", "0x4d" },
        { "\x1b[A\x1b[A\x1b[B\r", "0x4d" },
        { "p 8\x1b[H\x1b[F\x0b\r", "0x8" },
        { "pri\t 3\r", "0x3" },
        { "p 1\r\n", "0x1" },
        { "zzz\x03p 2\r", "0x2" },
        { "\x1bOA\x1bOH\r", "0x2" },
    };
    struct client k;

    client_new(&k, MONITOR_TEXT);
    ck_assert_ptr_nonnull(strstr(k.got, "monitor"));
    for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        char want[40];

        snprintf(want, sizeof(want), "\r\n%s\r\n(latimer) ", lines[i].answer);
        ck_assert_msg(strstr(say(&k, lines[i].typed), want), "line %u: %s", i, k.got);
    }
    /* Completion: a common beginning, then a list; names within info; what is none. */
    ck_assert_ptr_nonnull(strstr(say(&k, "sys\t"), "tem_"));
    ck_assert_ptr_nonnull(strstr(say(&k, "\t"), "system_powerdown"));
    ck_assert_ptr_nonnull(strstr(say(&k, "\x15info mt\t"), "ree "));
    ck_assert_ptr_nonnull(strstr(say(&k, "\x15zz\t"), "\a"));
    /* A line that never ends. */
    say(&k, "\x15");
    for (unsigned i = 0; i < 3000; i++)
        send_n(&k, "y", 1);
    ck_assert_ptr_nonnull(strstr(say(&k, "\r"), "unknown command"));
    /* The client goes in the middle of a line: the next one starts anew. */
    say(&k, "p 1");
    k.chr.user->opened(k.chr.dev, false);
    k.chr.user->opened(k.chr.dev, true);
    ck_assert_ptr_nonnull(strstr(say(&k, "p 2\r"), "0x2"));
}
END_TEST

/* ---- QMP ---- */

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
    struct client k;
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
    struct client k;
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
    struct client k;

    negotiate(&k);
    expect(&k, "{\"execute\":\"stop\",\"arguments\":{\"x\":1}}", "GenericError",
           "Parameter 'x' is unexpected");
    expect(&k, "{\"execute\":\"set_link\",\"arguments\":{\"name\":\"n\"}}", "GenericError",
           "Parameter 'up' is missing");
    expect(&k, "{\"execute\":\"set_link\",\"arguments\":{\"name\":\"n\",\"up\":1}}", "GenericError",
           "expected: boolean");
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
    struct client k, silent;

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
    struct client k;
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

/* ---- anything ---- */

static uint32_t seed;
static uint32_t rnd(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)(seed >> 4) * n >> 28);
}

/* Pieces of what is right, put together wrongly; never what writes files or ends the machine. */
static const char *const pieces[] = {
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "\\",
    "\"execute\":",
    "\"arguments\":",
    "\"id\":",
    "\"query-block\"",
    "\"query-pci\"",
    "\"stop\"",
    "\"cont\"",
    "\"send-key\"",
    "\"keys\":",
    "\"type\":\"qcode\"",
    "\"data\":\"a\"",
    "true",
    "null",
    "-1",
    "1e400",
    "18446744073709551616",
    "\"input-send-event\"",
    "\"events\":",
    "\"human-monitor-command\"",
    "\"command-line\":",
    "\"info mtree\"",
    "\"xp/9xg 0xfff0\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\xc3\x28",
    "\n",
    " ",
    "\"qmp_capabilities\"",
    "{\"execute\":\"qmp_capabilities\"}",
    "{\"execute\":\"query-qmp-schema\"}",
};
static const char *const words[] = {
    "info ",
    "pic",
    "mtree",
    "qtree",
    "help ",
    "x",
    "xp",
    "/",
    "i",
    "s",
    "xg",
    "9",
    " ",
    "0xfff8",
    "$",
    "rip",
    "(",
    ")",
    "+",
    "-",
    "*",
    "print ",
    "sendkey ",
    "a-b",
    "mouse_move ",
    "\t",
    "\r",
    "\x1b[",
    "A",
    "~",
    "3",
    "\x7f",
    "\x17",
    "\x01",
    "\"",
    "stop",
    "c",
    "eject ",
    "-f ",
    "log none",
    "i ",
    "o ",
    "0x300",
    "cpu ",
    "balloon ",
    "change a b",
    "block_resize ",
    "99999999999999999999",
};

static void nonsense(struct client *k, bool qmp)
{
    char s[400] = "";
    unsigned n = rnd(24);

    if (rnd(10) == 0) {
        n = rnd(sizeof(s));
        for (unsigned i = 0; i < n; i++)
            s[i] = (char)rnd(256);
        if (!qmp)               /* any bytes, but no command that writes a file */
            for (unsigned i = 0; i < n; i++)
                s[i] &= 0x1f;
        send_n(k, s, n);
        return;
    }
    while (n-- && strlen(s) < sizeof(s) - 60)
        strcat(s,
               qmp ? pieces[rnd(sizeof(pieces) / sizeof(pieces[0]))] :
                     words[rnd(sizeof(words) / sizeof(words[0]))]);
    send_n(k, s, strlen(s));
}

START_TEST(fuzz)
{
    static struct client k[4];
    time_t end = time(NULL) + 2;
    unsigned long rounds = 0;

    seed = (uint32_t)time(NULL);
    printf("test_monitor: seed %u\n", seed);
    for (unsigned i = 0; i < 4; i++)
        client_new(&k[i], i < 2 ? MONITOR_QMP : i < 3 ? MONITOR_QMP_PRETTY : MONITOR_TEXT);
    for (; time(NULL) < end; rounds++) {
        struct client *x = &k[rnd(4)];

        x->n = 0;
        switch (rnd(40)) {
        case 0: x->chr.user->opened(x->chr.dev, false); x->chr.user->opened(x->chr.dev, true); break;
        case 1: x->deaf = !x->deaf; break;
        case 2: x->deaf = false; x->chr.user->writable(x->chr.dev); break;
        case 3: machine_event(m, EVENT_PANIC, "test"); m->stop = STOP_NONE; break;
        case 4: clock_advance(e->clock, 100000000); evloop_step(m->loop, 0); break;
        default: nonsense(x, x != &k[3]);
        }
        for (const struct mon *mon = m->monitors->first; mon; mon = mon->next)
            ck_assert_uint_le(mon->out_len, MONITOR_PENDING + MONITOR_ANSWER);
    }
    ck_assert_uint_gt(rounds, 100);
    for (unsigned i = 0; i < 3; i++) {          /* all still work */
        k[i].deaf = false;
        k[i].chr.user->opened(k[i].chr.dev, false);
        k[i].chr.user->opened(k[i].chr.dev, true);
        ck_assert_ptr_nonnull(strstr(
            say(&k[i], "{\"execute\":\"qmp_capabilities\"}{\"execute\":\"query-status\"}"), "running"));
    }
    k[3].deaf = false;
    k[3].chr.user->opened(k[3].chr.dev, false);
    k[3].chr.user->opened(k[3].chr.dev, true);
    ck_assert_ptr_nonnull(strstr(say(&k[3], "p 5\r"), "0x5"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("monitor");
    TCase *c = tcase_create("monitor");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 120);
    tcase_add_test(c, expressions);
    tcase_add_test(c, memory);
    tcase_add_test(c, running);
    tcase_add_test(c, keys);
    tcase_add_test(c, editing);
    tcase_add_test(c, qmp_messages);
    tcase_add_test(c, qmp_hostile);
    tcase_add_test(c, qmp_arguments);
    tcase_add_test(c, qmp_events);
    tcase_add_test(c, slow_reader);
    tcase_add_test(c, fuzz);
    suite_add_tcase(s, c);
    return run_suite(s);
}
