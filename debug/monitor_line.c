/*
 * monitor_line.c - the human monitor at a terminal: editing a line, the lines before, completion.
 *
 * Keys are those of readline and of VT100s: Ctrl-A E B F H D K U W L P N, Home, End, Delete, cursor keys,
 * Tab. The client's terminal echoes nothing by itself; what is shown is one line, whose beginning is
 * "(latimer) ".
 */
#include "debug/monitor_int.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config.h"
#include "debug/hmp.h"

#define PROMPT "(latimer) "
#define LINE 1024               /* bytes of a line that is typed */
#define HISTORY 64
#define WORDS 256               /* that completion lists */

struct line_editor {
    char s[LINE + 1];
    unsigned len, at;           /* at: the cursor */
    unsigned esc, number;       /* within an escape sequence */
    bool cr;                    /* the last byte was a CR: an LF behind it is the same key */
    char *past[HISTORY];
    unsigned npast, shown;      /* shown: which of them is in s; npast: none */
    char kept[LINE + 1];        /* what was typed before one of them was called up */
};

enum { ESC_NONE, ESC_ESC, ESC_CSI, ESC_SS3 };

static void put(struct mon *mon, const char *s)
{
    monitor_put(mon, s, strlen(s));
}

/* The line as it is, from its beginning, and the cursor where it belongs. */
static void show(struct mon *mon)
{
    struct line_editor *e = mon->line;
    char back[24];

    put(mon, "\r" PROMPT);
    monitor_put(mon, e->s, e->len);
    put(mon, "\033[K");
    if (e->at < e->len) {
        snprintf(back, sizeof(back), "\033[%uD", e->len - e->at);
        put(mon, back);
    }
}

static void set(struct mon *mon, const char *s)
{
    struct line_editor *e = mon->line;

    e->len = (unsigned)strlen(s);
    memmove(e->s, s, e->len + 1);
    e->at = e->len;
    show(mon);
}

static void insert(struct mon *mon, const char *s, unsigned n)
{
    struct line_editor *e = mon->line;

    if (e->len + n > LINE) {
        put(mon, "\a");
        return;
    }
    memmove(e->s + e->at + n, e->s + e->at, e->len - e->at + 1);
    memcpy(e->s + e->at, s, n);
    e->len += n;
    e->at += n;
    if (e->at == e->len)
        monitor_put(mon, s, n);
    else
        show(mon);
}

static void cut(struct mon *mon, unsigned from, unsigned to)
{
    struct line_editor *e = mon->line;

    memmove(e->s + from, e->s + to, e->len - to + 1);
    e->len -= to - from;
    e->at = from;
    show(mon);
}

/* ---- the lines before ---- */

static void remember(struct line_editor *e)
{
    if (!e->len || (e->npast && strcmp(e->past[e->npast - 1], e->s) == 0)) {
        e->shown = e->npast;
        return;
    }
    if (e->npast == HISTORY) {
        free(e->past[0]);
        memmove(e->past, e->past + 1, (HISTORY - 1) * sizeof(e->past[0]));
        e->npast--;
    }
    e->past[e->npast] = strdup(e->s);
    if (!e->past[e->npast])
        die(EXIT_CODE_HOST, "out of memory for a monitor");
    e->shown = ++e->npast;
}

static void recall(struct mon *mon, int step)
{
    struct line_editor *e = mon->line;

    if ((step < 0 && !e->shown) || (step > 0 && e->shown == e->npast))
        return;
    if (e->shown == e->npast)
        memcpy(e->kept, e->s, e->len + 1);
    e->shown += (unsigned)step;
    set(mon, e->shown == e->npast ? e->kept : e->past[e->shown]);
}

/* ---- completion ---- */

struct words {
    char *word[WORDS];
    unsigned n;
};

static void add_word(void *arg, const char *word)
{
    struct words *w = arg;

    for (unsigned i = 0; i < w->n; i++)
        if (strcmp(w->word[i], word) == 0)
            return;
    if (w->n < WORDS && (w->word[w->n] = strdup(word)))
        w->n++;
}

static void complete(struct mon *mon)
{
    struct line_editor *e = mon->line;
    struct words w = { .n = 0 };
    char part[LINE + 1];
    unsigned start = e->at, common, have;

    snprintf(part, sizeof(part), "%.*s", (int)e->at, e->s);
    while (start && !isspace((unsigned char)part[start - 1]))
        start--;
    have = e->at - start;
    hmp_complete(mon->all->m, part, add_word, &w);
    if (!w.n) {
        put(mon, "\a");
        return;
    }
    common = (unsigned)strlen(w.word[0]);
    for (unsigned i = 1; i < w.n; i++)
        while (strncmp(w.word[0], w.word[i], common))
            common--;
    if (common > have)
        insert(mon, w.word[0] + have, common - have);
    if (w.n == 1) {
        insert(mon, " ", 1);
    } else if (common <= have) {
        put(mon, "\r\n");
        for (unsigned i = 0; i < w.n; i++) {
            char cell[96];

            snprintf(cell, sizeof(cell), "%-19.80s%s", w.word[i], i % 4 == 3 || i == w.n - 1 ? "\r\n" : " ");
            put(mon, cell);
        }
        show(mon);
    }
    for (unsigned i = 0; i < w.n; i++)
        free(w.word[i]);
}

/* ---- a line is done ---- */

/* Terminals in raw mode want CR LF. */
static void put_lines(struct mon *mon, const char *s, size_t n)
{
    while (n) {
        const char *end = memchr(s, '\n', n);
        size_t run = end ? (size_t)(end - s) : n;

        monitor_put(mon, s, run);
        if (!end)
            return;
        put(mon, "\r\n");
        s += run + 1;
        n -= run + 1;
    }
}

static void enter(struct mon *mon)
{
    struct line_editor *e = mon->line;
    struct text_buf answer;
    char line[LINE + 1];

    put(mon, "\r\n");
    memcpy(line, e->s, e->len + 1);
    remember(e);
    e->s[0] = 0;
    e->len = e->at = 0;
    text_buf_init(&answer, MONITOR_TEXT_MAX);
    mon->all->asks = mon;
    hmp_run(mon->all->m, line, &answer.text);
    mon->all->asks = NULL;
    put_lines(mon, text_buf_get(&answer), answer.len);
    if (answer.cut)
        put(mon, "\r\n(the rest of the answer is left out: it is too long)\r\n");
    text_buf_free(&answer);
    if (!mon->waits)
        put(mon, PROMPT);
}

void line_resume(struct mon *mon, const char *text)
{
    if (!mon->waits)
        return;                 /* somebody else is there now */
    mon->waits = false;
    put_lines(mon, text, strlen(text));
    put(mon, PROMPT);
    chardev_accept(mon->chr);
}

/* ---- keys ---- */

static void word_back(struct mon *mon)
{
    struct line_editor *e = mon->line;
    unsigned to = e->at, from = to;

    while (from && isspace((unsigned char)e->s[from - 1]))
        from--;
    while (from && !isspace((unsigned char)e->s[from - 1]))
        from--;
    cut(mon, from, to);
}

static void move(struct mon *mon, unsigned at)
{
    mon->line->at = at;
    show(mon);
}

/* The end of an escape sequence. */
static void sequence(struct mon *mon, uint8_t c)
{
    struct line_editor *e = mon->line;

    switch (c) {
    case 'A': recall(mon, -1); break;
    case 'B': recall(mon, 1); break;
    case 'C': move(mon, e->at + (e->at < e->len)); break;
    case 'D': move(mon, e->at - (e->at > 0)); break;
    case 'H': move(mon, 0); break;
    case 'F': move(mon, e->len); break;
    case '~':
        if (e->number == 1 || e->number == 7)
            move(mon, 0);
        else if (e->number == 4 || e->number == 8)
            move(mon, e->len);
        else if (e->number == 3 && e->at < e->len)
            cut(mon, e->at, e->at + 1);
        break;
    }
}

static void key(struct mon *mon, uint8_t c)
{
    struct line_editor *e = mon->line;

    switch (c) {
    case 0x01: move(mon, 0); break;
    case 0x02: move(mon, e->at - (e->at > 0)); break;
    case 0x03:                  /* never mind */
        put(mon, "\r\n");
        set(mon, "");
        break;
    case 0x04:
        if (e->at < e->len)
            cut(mon, e->at, e->at + 1);
        break;
    case 0x05: move(mon, e->len); break;
    case 0x06: move(mon, e->at + (e->at < e->len)); break;
    case 0x08: case 0x7f:
        if (e->at)
            cut(mon, e->at - 1, e->at);
        break;
    case '\t': complete(mon); break;
    case '\r': case '\n': enter(mon); break;
    case 0x0b: cut(mon, e->at, e->len); break;
    case 0x0c:
        put(mon, "\033[H\033[2J");
        show(mon);
        break;
    case 0x0e: recall(mon, 1); break;
    case 0x10: recall(mon, -1); break;
    case 0x15: cut(mon, 0, e->at); break;
    case 0x17: word_back(mon); break;
    case 0x1b: e->esc = ESC_ESC; break;
    default:
        if (c >= 0x20)
            insert(mon, (const char *)&c, 1);
        break;
    }
}

static void byte(struct mon *mon, uint8_t c)
{
    struct line_editor *e = mon->line;
    bool lf = c == '\n' && e->cr;

    e->cr = c == '\r';
    if (lf || (!c && !e->esc))  /* CR LF, and telnet's CR NUL, are one key */
        return;
    switch (e->esc) {
    case ESC_ESC:
        e->esc = c == '[' ? ESC_CSI : c == 'O' ? ESC_SS3 : ESC_NONE;
        e->number = 0;
        break;
    case ESC_CSI:
        if (isdigit(c)) {
            e->number = (10 * e->number + (c - '0')) % 1000;
            break;
        }
        /* fall through */
    case ESC_SS3:
        if (c == ';')
            break;
        e->esc = ESC_NONE;
        sequence(mon, c);
        break;
    default:
        key(mon, c);
    }
}

void line_input(struct mon *mon, const uint8_t *buf, unsigned n)
{
    while (n--)
        byte(mon, *buf++);
}

void line_open(struct mon *mon, bool open)
{
    struct line_editor *e = mon->line;

    if (!e) {
        e = mon->line = calloc(1, sizeof(*e));
        if (!e)
            die(EXIT_CODE_HOST, "out of memory for a monitor");
    }
    e->s[0] = 0;
    e->len = e->at = e->esc = 0;
    e->cr = false;
    e->shown = e->npast;
    if (open)
        put(mon, "Latimer " PACKAGE_VERSION " monitor - type 'help' for what there is\r\n" PROMPT);
}

void line_free(struct mon *mon)
{
    for (unsigned i = 0; mon->line && i < mon->line->npast; i++)
        free(mon->line->past[i]);
    free(mon->line);
}
