/*
 * display_text.c - text modes in the terminal, by plain ECMA-48 control sequences and UTF-8.
 *
 * Shows what differs from what it has shown. Keys come as characters, so they go down and up at once, and those that
 * terminals do not send (keys alone, Ctrl with most others) cannot be typed. Ctrl-A x ends Latimer, Ctrl-A Ctrl-A is
 * Ctrl-A. The terminal is given back by host/term.c, however the process ends.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"
#include "host/displays.h"
#include "host/evloop.h"
#include "host/keymap.h"
#include "host/screendump.h"
#include "host/term.h"

#define REFRESH_MS 40
#define ESCAPE     1            /* Ctrl-A */
#define CTRL_SYM   0xffe3u
#define ALT_SYM    0xffe9u
#define ESC_SYM    0xff1bu

struct text_display {
    struct display_env env;
    pthread_t thread;
    int stop_fd;
    struct viewer viewer;
    struct key_sender keys;
    bool escape;                /* Ctrl-A was pressed */
    struct text_cell *shown;
    unsigned cols, rows, room;
    bool graphics;              /* the note stands on the screen */
    unsigned note_w, note_h;
    int cursor_x, cursor_y;
};

/* ---- keys ---- */

static void stroke(struct text_display *d, uint32_t keysym, uint32_t with)
{
    pthread_mutex_lock(d->env.lock);
    if (with)
        key_send(&d->keys, with, true);
    key_send(&d->keys, keysym, true);
    key_send(&d->keys, keysym, false);
    if (with)
        key_send(&d->keys, with, false);
    pthread_mutex_unlock(d->env.lock);
}

static void one_char(struct text_display *d, uint32_t c, uint32_t with)
{
    static const uint16_t control[] = { [8] = 0xff08, [9] = 0xff09, [10] = 0xff0d, [13] = 0xff0d, [27] = ESC_SYM };

    if (c == 0x7f)
        stroke(d, 0xff08, with);
    else if (c >= 0x20)
        stroke(d, c, with);
    else if (c < sizeof(control) / sizeof(control[0]) && control[c])
        stroke(d, control[c], with);
    else
        stroke(d, c ? c + 0x60 : ' ', CTRL_SYM);
}

/* CSI and SS3 sequences; returns their length, 0: it is none. */
static size_t sequence(struct text_display *d, const uint8_t *b, size_t n)
{
    static const uint16_t letter[128] = {
        ['A'] = 0xff52, ['B'] = 0xff54, ['C'] = 0xff53, ['D'] = 0xff51, ['H'] = 0xff50, ['F'] = 0xff57,
        ['P'] = 0xffbe, ['Q'] = 0xffbf, ['R'] = 0xffc0, ['S'] = 0xffc1, ['Z'] = 0xfe20
    };
    static const uint16_t number[35] = {
        [1] = 0xff50, [2] = 0xff63, [3] = 0xffff, [4] = 0xff57, [5] = 0xff55, [6] = 0xff56, [7] = 0xff50, [8] = 0xff57,
        [11] = 0xffbe, [12] = 0xffbf, [13] = 0xffc0, [14] = 0xffc1, [15] = 0xffc2, [17] = 0xffc3, [18] = 0xffc4,
        [19] = 0xffc5, [20] = 0xffc6, [21] = 0xffc7, [23] = 0xffc8, [24] = 0xffc9
    };
    unsigned value = 0;
    uint16_t sym;
    size_t i = 2;

    if (n < 3 || b[0] != 0x1b || (b[1] != '[' && b[1] != 'O'))
        return 0;
    for (; i < n && b[i] >= '0' && b[i] <= '9'; i++)
        value = value < 100 ? value * 10 + b[i] - '0' : value;
    while (i < n && (b[i] == ';' || (b[i] >= '0' && b[i] <= '9')))      /* modifiers: not looked at */
        i++;
    if (i == n)
        return 0;
    sym = b[i] == '~' ? (value < 35 ? number[value] : 0) : b[i] < 128 ? letter[b[i]] : 0;
    if (sym)
        stroke(d, sym, 0);
    return i + 1;
}

/* A character of UTF-8; returns its length. */
static size_t utf8(const uint8_t *b, size_t n, uint32_t *c)
{
    size_t len = b[0] >= 0xf0 ? 4 : b[0] >= 0xe0 ? 3 : b[0] >= 0xc0 ? 2 : 1;

    *c = len == 1 ? b[0] : b[0] & (0x7fu >> len);
    if (len > n)
        return n;
    for (size_t i = 1; i < len; i++)
        *c = *c << 6 | (b[i] & 0x3f);
    return len;
}

/* False: the user wants to leave. */
static bool typed(struct text_display *d, const uint8_t *b, size_t n)
{
    for (size_t i = 0, used; i < n; i += used) {
        uint32_t c, with = 0;

        used = sequence(d, b + i, n - i);
        if (used)
            continue;
        if (b[i] == 0x1b && i + 1 < n && b[i + 1] != 0x1b) {
            with = ALT_SYM;
            i++;
        }
        used = utf8(b + i, n - i, &c);
        if (c == ESCAPE && !d->escape) {
            d->escape = true;
        } else if (d->escape && (c == 'x' || c == 'X')) {
            return false;
        } else {
            d->escape = false;
            one_char(d, c, with);
        }
    }
    return true;
}

/* ---- showing ---- */

static void attribute(FILE *f, uint8_t attr, bool blinks)
{
    static const uint8_t ansi[8] = { 0, 4, 2, 6, 1, 5, 3, 7 };
    unsigned fg = attr & 15, bg = attr >> 4 & (blinks ? 7 : 15);

    fprintf(f, "\033[0;%u;%u%sm", (fg & 8 ? 90 : 30) + ansi[fg & 7], (bg & 8 ? 100 : 40) + ansi[bg & 7],
            blinks && attr & 0x80 ? ";5" : "");
}

static void show_graphics(struct text_display *d, const struct surface *s)
{
    if (d->graphics && d->note_w == s->width && d->note_h == s->height)
        return;
    d->graphics = true;
    d->note_w = s->width;
    d->note_h = s->height;
    d->cols = 0;
    printf("\033[0m\033[2J\033[H[Latimer: graphics, %ux%u; a terminal shows text modes only: use -vnc or -display sdl. "
           "Ctrl-A x leaves]\r\n", s->width, s->height);
}

static void show_text(struct text_display *d, const struct text_screen *t)
{
    struct winsize ws = { 0 };
    unsigned rows, cols, last = 0x100;
    char utf[4];

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) < 0 || !ws.ws_row || !ws.ws_col)
        ws = (struct winsize){ .ws_row = 1000, .ws_col = 1000 };
    rows = t->rows < ws.ws_row ? t->rows : ws.ws_row;
    cols = t->cols < ws.ws_col ? t->cols : ws.ws_col;
    if (d->graphics || d->cols != cols || d->rows != rows) {
        if (cols * rows > d->room) {
            d->room = cols * rows;
            d->shown = realloc(d->shown, d->room * sizeof(*d->shown));
            if (!d->shown)
                die(EXIT_CODE_HOST, "out of memory for the terminal's screen");
        }
        memset(d->shown, 0, cols * rows * sizeof(*d->shown));
        d->cols = cols;
        d->rows = rows;
        d->graphics = false;
        printf("\033[0m\033[2J");
    }
    for (unsigned y = 0; y < rows; y++) {
        bool there = false;     /* the terminal's cursor is */

        for (unsigned x = 0; x < cols; x++) {
            const struct text_cell *c = &t->cells[y * t->cols + x];
            struct text_cell *old = &d->shown[y * cols + x];

            if (c->code == old->code && c->attr == old->attr) {
                there = false;
                continue;
            }
            if (!there)
                printf("\033[%u;%uH", y + 1, x + 1);
            there = true;
            if (c->attr != last)
                attribute(stdout, c->attr, t->blinks);
            last = c->attr;
            printf("%.*s", (int)cp437_utf8(c->code, utf), utf);
            *old = *c;
        }
    }
    if (t->cursor_x < 0)
        printf("\033[?25l");
    else
        printf("\033[%d;%dH\033[?25h", t->cursor_y + 1, t->cursor_x + 1);
}

static void show(struct text_display *d)
{
    struct text_screen t;
    const struct surface *s;
    struct surface copy;

    pthread_mutex_lock(d->env.lock);
    s = screen_refresh(d->env.screen);
    t = s->text;
    copy = *s;
    d->viewer.n = 0;
    d->viewer.resized = false;
    if (t.cells) {              /* the terminal may be slow: write without the lock */
        size_t n = (size_t)t.rows * t.cols * sizeof(*t.cells);
        struct text_cell *cells = malloc(n);

        if (cells)
            memcpy(cells, t.cells, n);
        t.cells = cells;
    }
    pthread_mutex_unlock(d->env.lock);
    if (t.cells)
        show_text(d, &t);
    else
        show_graphics(d, &copy);
    fflush(stdout);
    free((void *)(uintptr_t)t.cells);
}

/* ---- the thread ---- */

static void *thread(void *arg)
{
    struct text_display *d = arg;

    for (;;) {
        struct pollfd p[2] = { { d->stop_fd, POLLIN, 0 }, { STDIN_FILENO, POLLIN, 0 } };
        uint8_t buf[256];
        ssize_t n;

        if ((poll(p, 2, REFRESH_MS) < 0 && errno != EINTR) || p[0].revents)
            break;
        if (p[1].revents) {
            n = read(STDIN_FILENO, buf, sizeof(buf));
            if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) {
                fprintf(stderr, "latimer: the terminal is gone; the guest goes on\n");
                break;
            }
            if (n > 0 && !typed(d, buf, (size_t)n)) {
                pthread_mutex_lock(d->env.lock);
                evloop_quit(d->env.loop);
                pthread_mutex_unlock(d->env.lock);
                break;
            }
        }
        show(d);
    }
    return NULL;
}

struct text_display *text_start(const struct display_env *env, char *err, size_t len)
{
    struct text_display *d = calloc(1, sizeof(*d));
    sigset_t all, old;

    snprintf(err, len, "out of memory");
    if (!d)
        return NULL;
    d->env = *env;
    d->keys = (struct key_sender){ .map = env->keymap, .input = env->input };
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        snprintf(err, len, "standard input and output are to be a terminal");
    else if (!evloop_claim_stdio(env->loop))
        snprintf(err, len, "the terminal is taken by a serial port (use -serial null), or not there (-daemonize)");
    else if (!term_raw(false))
        snprintf(err, len, "the terminal has no raw mode: %s", strerror(errno));
    else if ((d->stop_fd = eventfd(0, EFD_CLOEXEC)) < 0)
        snprintf(err, len, "%s", strerror(errno));
    else
        err[0] = 0;
    if (err[0]) {
        free(d);
        return NULL;
    }
    pthread_mutex_lock(env->lock);
    screen_add(env->screen, &d->viewer);
    pthread_mutex_unlock(env->lock);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (pthread_create(&d->thread, NULL, thread, d))
        die(EXIT_CODE_HOST, "cannot start a thread for the terminal");
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return d;
}

void text_stop(struct text_display *d)
{
    uint64_t one = 1;

    if (!d)
        return;
    if (write(d->stop_fd, &one, sizeof(one)) == (ssize_t)sizeof(one))
        pthread_join(d->thread, NULL);
    pthread_mutex_lock(d->env.lock);
    screen_remove(d->env.screen, &d->viewer);
    pthread_mutex_unlock(d->env.lock);
    printf("\033[0m\033[?25h\033[%u;1H\r\n", d->rows ? d->rows : 1);
    fflush(stdout);
    close(d->stop_fd);
    free(d->shown);
    free(d);
}
