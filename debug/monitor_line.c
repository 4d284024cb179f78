/*
 * monitor_line.c - the human monitor at a terminal: editing a line, the lines before, completion.
 *
 * Keys are those of readline and of VT100s: Ctrl-A E B F H D K U W Y L P N R, Alt-B F D, Home, End, Delete, cursor keys,
 * Tab. The client's terminal echoes nothing by itself; what is shown is one line, whose beginning is
 * "(latimer) ". Nobody tells how wide the terminal is: a line that is too long for 80 columns is shown in part, around
 * the cursor. Text is UTF-8, of which every character is taken for one column.
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

#define COLUMNS 79u             /* that are used: in the last one some terminals begin another line */

struct line_editor {
    char s[LINE + 1];
    unsigned len, at;           /* at: the cursor */
    unsigned left;              /* the first byte that is shown */
    unsigned rest;              /* bytes that the character being typed still lacks */
    unsigned esc, number;       /* within an escape sequence */
    bool cr;                    /* the last byte was a CR: an LF behind it is the same key */
    char *past[HISTORY];
    unsigned npast, shown;      /* shown: which of them is in s; npast: none */
    char kept[LINE + 1];        /* what was typed before one of them was called up */
    char killed[LINE + 1];      /* by Ctrl-K U W, for Ctrl-Y */
    bool search;                /* Ctrl-R: what is typed is looked for among the lines before */
    char wanted[64];
    unsigned nwanted;
};

enum { ESC_NONE, ESC_ESC, ESC_CSI, ESC_SS3 };
#define CTRL 5u                 /* the last number of a key's sequence with Ctrl */

static void put(struct mon *mon, const char *s)
{
    monitor_put(mon, s, strlen(s));
}

/* ---- characters ---- */

static bool inside(char c)
{
    return ((uint8_t)c & 0xc0) == 0x80;
}

static unsigned before(const struct line_editor *e, unsigned at)
{
    while (at && inside(e->s[--at]))
        ;
    return at;
}

static unsigned behind(const struct line_editor *e, unsigned at)
{
    if (at < e->len)
        at++;
    while (at < e->len && inside(e->s[at]))
        at++;
    return at;
}

static unsigned columns(const struct line_editor *e, unsigned from, unsigned to)
{
    unsigned n = 0;

    for (; from < to; from++)
        n += !inside(e->s[from]);
    return n;
}

/* ---- what is shown ---- */

/* The line as it is, from its beginning or what is shown of it, and the cursor where it belongs. */
static void show(struct mon *mon)
{
    struct line_editor *e = mon->line;
    char text[120] = PROMPT;
    unsigned width, end;

    if (e->search)
        snprintf(text, sizeof(text), "(search)`%s': ", e->wanted);
    width = strlen(text) + 8 < COLUMNS ? COLUMNS - (unsigned)strlen(text) : 8;
    if (e->left > e->at || e->left > e->len || columns(e, 0, e->len) < width)
        e->left = 0;
    /* So that half of the room is in front of the cursor. */
    if (columns(e, e->left, e->at) >= width)
        for (e->left = e->at; columns(e, e->left, e->at) < width / 2;)
            e->left = before(e, e->left);
    for (end = e->at; end < e->len && columns(e, e->left, end) < width;)
        end = behind(e, end);
    put(mon, "\r");
    put(mon, text);
    monitor_put(mon, e->s + e->left, end - e->left);
    put(mon, "\033[K");
    if (e->at < end) {
        snprintf(text, sizeof(text), "\033[%uD", columns(e, e->at, end));
        put(mon, text);
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
    bool end = e->at == e->len;

    if (e->len + n > LINE) {
        put(mon, "\a");
        return;
    }
    memmove(e->s + e->at + n, e->s + e->at, e->len - e->at + 1);
    memcpy(e->s + e->at, s, n);
    e->len += n;
    e->at += n;
    if (end && columns(e, 0, e->len) < COLUMNS - strlen(PROMPT))
        monitor_put(mon, s, n);
    else if (!e->rest)
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

/* The same, to be put elsewhere by Ctrl-Y. */
static void kill_text(struct mon *mon, unsigned from, unsigned to)
{
    struct line_editor *e = mon->line;

    if (from < to)
        snprintf(e->killed, sizeof(e->killed), "%.*s", (int)(to - from), e->s + from);
    cut(mon, from, to);
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

const char *line_past(const struct mon *mon, unsigned n)
{
    return mon && mon->line && n < mon->line->npast ? mon->line->past[n] : NULL;
}

/* The latest line in front of number `end` that has what is wanted. */
static void search(struct mon *mon, unsigned end)
{
    struct line_editor *e = mon->line;

    while (end--)
        if (strstr(e->past[end], e->wanted)) {
            e->shown = end;
            e->len = (unsigned)strlen(e->past[end]);
            memcpy(e->s, e->past[end], e->len + 1);
            e->at = (unsigned)(strstr(e->s, e->wanted) - e->s);
            show(mon);
            return;
        }
    put(mon, "\a");
    show(mon);
}

static void search_begin(struct mon *mon)
{
    struct line_editor *e = mon->line;

    if (e->shown == e->npast)
        memcpy(e->kept, e->s, e->len + 1);
    e->shown = e->npast;
    e->search = true;
    e->wanted[e->nwanted = 0] = 0;
    show(mon);
}

static void search_end(struct mon *mon)
{
    mon->line->search = false;
    show(mon);
}

/* False: the key ends the search, and is to be taken as always. */
static bool search_key(struct mon *mon, uint8_t c)
{
    struct line_editor *e = mon->line;

    if (c == 0x12) {
        search(mon, e->shown);
    } else if (c == 0x07) {     /* never mind */
        e->search = false;
        e->shown = e->npast;
        set(mon, e->kept);
    } else if ((c == 0x08 || c == 0x7f) && e->nwanted) {
        e->wanted[--e->nwanted] = 0;
        search(mon, e->npast);
    } else if (c >= 0x20 && c != 0x7f && e->nwanted + 1 < sizeof(e->wanted)) {
        e->wanted[e->nwanted++] = (char)c;
        e->wanted[e->nwanted] = 0;
        search(mon, e->shown < e->npast ? e->shown + 1 : e->npast);
    } else {
        search_end(mon);
        return false;
    }
    return true;
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
        if (!w.word[0][0] || w.word[0][strlen(w.word[0]) - 1] != '/')       /* a folder: there is more of the name */
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
    e->len = e->at = e->left = 0;
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

static unsigned word_start(const struct line_editor *e)
{
    unsigned at = e->at;

    while (at && isspace((unsigned char)e->s[at - 1]))
        at--;
    while (at && !isspace((unsigned char)e->s[at - 1]))
        at--;
    return at;
}

static unsigned word_end(const struct line_editor *e)
{
    unsigned at = e->at;

    while (at < e->len && isspace((unsigned char)e->s[at]))
        at++;
    while (at < e->len && !isspace((unsigned char)e->s[at]))
        at++;
    return at;
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
    case 'C': move(mon, e->number == CTRL ? word_end(e) : behind(e, e->at)); break;
    case 'D': move(mon, e->number == CTRL ? word_start(e) : before(e, e->at)); break;
    case 'H': move(mon, 0); break;
    case 'F': move(mon, e->len); break;
    case '~':
        if (e->number == 1 || e->number == 7)
            move(mon, 0);
        else if (e->number == 4 || e->number == 8)
            move(mon, e->len);
        else if (e->number == 3)
            cut(mon, e->at, behind(e, e->at));
        break;
    }
}

static void alt(struct mon *mon, uint8_t c)
{
    struct line_editor *e = mon->line;

    switch (c) {
    case 'b': move(mon, word_start(e)); break;
    case 'f': move(mon, word_end(e)); break;
    case 'd': kill_text(mon, e->at, word_end(e)); break;
    case 0x7f: kill_text(mon, word_start(e), e->at); break;
    }
}

/* A byte of text, perhaps one of several of a character. */
static void text(struct mon *mon, uint8_t c)
{
    struct line_editor *e = mon->line;

    if (inside((char)c))
        e->rest -= e->rest > 0;
    else
        e->rest = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
    insert(mon, (const char *)&c, 1);
}

static void key(struct mon *mon, uint8_t c)
{
    struct line_editor *e = mon->line;

    if (e->search && search_key(mon, c))
        return;
    switch (c) {
    case 0x01: move(mon, 0); break;
    case 0x02: move(mon, before(e, e->at)); break;
    case 0x03:                  /* never mind */
        put(mon, "\r\n");
        set(mon, "");
        break;
    case 0x04:
        cut(mon, e->at, behind(e, e->at));
        break;
    case 0x05: move(mon, e->len); break;
    case 0x06: move(mon, behind(e, e->at)); break;
    case 0x08: case 0x7f:
        cut(mon, before(e, e->at), e->at);
        break;
    case '\t': complete(mon); break;
    case '\r': case '\n': enter(mon); break;
    case 0x0b: kill_text(mon, e->at, e->len); break;
    case 0x0c:
        put(mon, "\033[H\033[2J");
        show(mon);
        break;
    case 0x0e: recall(mon, 1); break;
    case 0x10: recall(mon, -1); break;
    case 0x12: search_begin(mon); break;
    case 0x15: kill_text(mon, 0, e->at); break;
    case 0x17: kill_text(mon, word_start(e), e->at); break;
    case 0x19: insert(mon, e->killed, (unsigned)strlen(e->killed)); break;
    case 0x1b: e->esc = ESC_ESC; break;
    default:
        if (c >= 0x20)
            text(mon, c);
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
        if (!e->esc)
            alt(mon, c);
        break;
    case ESC_CSI:
        if (isdigit(c)) {
            e->number = (10 * e->number + (c - '0')) % 1000;
            break;
        }
        /* fall through */
    case ESC_SS3:
        if (c == ';') {
            e->number = 0;
            break;
        }
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
    e->len = e->at = e->left = e->esc = e->rest = 0;
    e->cr = e->search = false;
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
