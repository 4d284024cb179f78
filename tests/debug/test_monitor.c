/*
 * test_monitor.c - monitors on streams of the test's own: lines and their keys, expressions, memory and ports, and
 * clients of every kind that send anything. QMP: test_qmp.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/trace.h"
#include "debug/action.h"
#include "debug/hmp.h"
#include "host/evloop.h"
#include "hw/input_if.h"
#include "tests/debug/monitor_env.h"
#include "tests/run_suite.h"

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
        { "p /dh 0xffff", "-1\n" },
        { "print  /x  1+2", "0x3\n" },
        { "p ( 1 + 2 )", "0x3\n" },
        { "p 'a'", "0x61\n" },
        { "p 7%4", "0x3\n" },
        { "p 1^3", "0x2\n" },
        { "print 010", "0x8\n" },
    };
    static const char *const bad[] = { "p",      "p 1+",   "p (1",
                                       "p 1/0",  "p $rax", "p zz",
                                       "p 1 2",  "p/q 1",  "p/0x 1",
                                       "p 12ab", "p/i 1",  "p /q 1",  "p ((((((((((((((((((((((((((((((((((((1))))))",
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
    struct stat st;
    FILE *f;
    int fd = mkstemp(path);

    ck_assert_str_eq(hmp("xp/4xb 0x10", true), "00000010: 0x10 0x11 0x12 0x13\n");
    ck_assert_str_eq(hmp("xp/1xw 0x10", true), "00000010: 0x13121110\n");
    ck_assert_str_eq(hmp("xp /1xw 0x10", true), "00000010: 0x13121110\n");
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
    /* The rest of a line is a name that may be in quotes, if all of it is. */
    snprintf(line, sizeof(line), "pmemsave 0x20 7 \"%s\"  ", path);
    hmp(line, true);
    ck_assert(stat(path, &st) == 0 && st.st_size == 7);
    snprintf(line, sizeof(line), "pmemsave 0x20 8 %s\"quoted\"", path);
    hmp(line, true);
    snprintf(line, sizeof(line), "%s\"quoted\"", path);
    ck_assert(stat(line, &st) == 0 && st.st_size == 8);
    unlink(line);
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
    static struct client k;

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
    hmp("trace-event ide_comand on", false);
    hmp("trace-event ide_command maybe", false);
    hmp("trace-event ide_c* on", true);
    ck_assert(trace_on(TRACE_ide_command) && !trace_on(TRACE_ide_status));
    ck_assert_ptr_nonnull(strstr(hmp("info trace-events ide_*", true), "ide_command : state 1"));
    hmp("info trace-events zzz", false);
    hmp("trace-event * off", true);
    ck_assert(!trace_on(TRACE_ide_command));
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
        { "p 12 34\x17\x17\x19\r", "0xc" },                  /* killed: "12 " */
        { "\x12p 77\r", "0x4d" },                           /* searched */
        { "\x12p \x12\x12\x07p 5\r", "0x5" },                /* and not */
        { "\x12" "77\x7f\x7f" "12\x05\x7f+1\r", "0xd" },
        { "p 1 2\x1b[1;5D\x1b[D\x0b\r", "0x1" },             /* Ctrl and cursor keys */
        { "1+1\x1b" "bp \x1b" "f+1\r", "0x3" },
        { "p '\xc3\xa9\x7f\x7f" "4\r", "0x4" },              /* a character is taken away whole */
    };
    static struct client k;

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
    /* By place: names of keys, the last of several; files and folders; states; registers behind a format. */
    ck_assert_ptr_nonnull(strstr(say(&k, "\x15sendkey ctrl-alt-del\t"), "ete "));
    ck_assert_ptr_nonnull(strstr(say(&k, "\x15screendump /proc/se\t"), "lf/"));
    ck_assert_ptr_nonnull(strstr(say(&k, "\x15trace-event disk_be\t"), "gin "));
    ck_assert_ptr_nonnull(strstr(say(&k, "\x15trace-event disk_begin of\t"), "f "));
    ck_assert_ptr_nonnull(strstr(say(&k, "\x15x /4xw $rfl\t\x15x /4xw $gdt\t"), "r "));
    ck_assert_ptr_nonnull(strstr(say(&k, "\x15help info mt\t"), "ree "));
    ck_assert_ptr_nonnull(strstr(say(&k, "\x15info history\r"), "'p 77"));
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

/* ---- what a terminal shows ---- */

/* One of 80 columns, in its last line; what it shows of it. False: it began another one. */
struct terminal {
    char cell[80][8];
    unsigned col;
};

static bool shows(struct terminal *t, const char *s)
{
    while (*s) {
        unsigned n = 1, len;

        if (strncmp(s, "\033[K", 3) == 0) {
            memset(t->cell + t->col, 0, sizeof(t->cell) - t->col * sizeof(t->cell[0]));
            s += 3;
        } else if (sscanf(s, "\033[%uD%n", &n, (int *)&len) == 1) {
            ck_assert_uint_le(n, t->col);
            t->col -= n;
            s += len;
        } else if (*s == '\r') {
            t->col = 0;
            s++;
        } else if (*s == '\a') {
            s++;
        } else {
            ck_assert_msg(*s != '\033' && *s != '\n', "another sequence: %s", s + 1);
            while (((uint8_t)s[n] & 0xc0) == 0x80)
                n++;
            if (t->col == 79)
                return false;
            snprintf(t->cell[t->col++], sizeof(t->cell[0]), "%.*s", (int)n, s);
            s += n;
        }
    }
    return true;
}

/* Random keys; what the terminal shows is the line around the cursor, whose place is right, and the line is what was typed. */
START_TEST(terminal)
{
    static const char *const typed[] = { "a", " ", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x90\x8c" };
    static struct client k;
    struct terminal t = { .col = 0 };
    const char *line[1000];     /* a reckoning of our own: characters, and the cursor */
    unsigned n = 0, at = 0;

    client_new(&k, MONITOR_TEXT);
    ck_assert(shows(&t, strrchr(k.got, '\n') + 1));
    srandom(7);
    for (unsigned i = 0; i < 4000; i++) {
        unsigned what = (unsigned)random() % 20;
        const char *s = "\x1b[D";

        if (what < 9 && n < 250) {
            s = typed[random() % 5];
            memmove(line + at + 1, line + at, (n++ - at) * sizeof(*line));
            line[at++] = s;
        } else if (what < 12) {
            at -= at > 0;
        } else if (what < 15) {
            s = "\x06";
            at += at < n;
        } else if (what < 17) {
            s = "\x7f";
            if (at)
                memmove(line + at - 1, line + at, (n-- - at) * sizeof(*line));
            at -= at > 0;
        } else if (what == 17) {
            s = "\x04";
            if (at < n)
                memmove(line + at, line + at + 1, (--n - at) * sizeof(*line));
        } else if (random() % 4 == 0) {
            s = what == 18 ? "\x01" : "\x05";
            at = what == 18 ? 0 : n;
        } else {
            continue;
        }
        ck_assert_msg(shows(&t, say(&k, s)), "step %u: it wraps", i);
        ck_assert(t.col >= 10 && t.col < 80);
        /* Around the cursor there is what belongs there, to the left edge and to the right. */
        for (unsigned c = t.col, p = at; c > 10 && p; c--, p--)
            ck_assert_msg(strcmp(t.cell[c - 1], line[p - 1]) == 0, "step %u, column %u", i, c - 1);
        for (unsigned c = t.col, p = at; p < n && c < 79 && t.cell[c][0]; c++, p++)
            ck_assert_msg(strcmp(t.cell[c], line[p]) == 0, "step %u, column %u", i, c);
    }
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
    tcase_add_test(c, terminal);
    tcase_add_test(c, fuzz);
    suite_add_tcase(s, c);
    return run_suite(s);
}
