/* screen.c - see screen.h. */
#include "host/screen.h"

#include <stdlib.h>

#include "base/log.h"

#define BLANK_W 640
#define BLANK_H 480

struct screen {
    struct display display;     /* first: the chip's functions get it */
    struct viewer *viewers;
    struct surface blank;
};

static void resized(struct display *d)
{
    for (struct viewer *v = ((struct screen *)d)->viewers; v; v = v->next) {
        v->resized = true;
        v->n = 0;
    }
}

static void join(struct screen_rect *a, const struct screen_rect *b)
{
    unsigned x1 = a->x + a->w > b->x + b->w ? a->x + a->w : b->x + b->w;
    unsigned y1 = a->y + a->h > b->y + b->h ? a->y + a->h : b->y + b->h;

    a->x = a->x < b->x ? a->x : b->x;
    a->y = a->y < b->y ? a->y : b->y;
    a->w = x1 - a->x;
    a->h = y1 - a->y;
}

static void damage(struct display *d, unsigned x, unsigned y, unsigned w, unsigned h)
{
    struct screen_rect r = { x, y, w, h };

    for (struct viewer *v = ((struct screen *)d)->viewers; v; v = v->next) {
        if (v->n < VIEWER_RECTS)
            v->r[v->n++] = r;
        else
            join(&v->r[VIEWER_RECTS - 1], &r);
    }
}

static const struct display_ops ops = { resized, damage };

struct screen *screen_new(void)
{
    struct screen *s = calloc(1, sizeof(*s));
    uint32_t *black = calloc(BLANK_W * BLANK_H, sizeof(*black));

    if (!s || !black)
        die(EXIT_CODE_HOST, "out of memory for the display");
    s->display.ops = &ops;
    s->blank = (struct surface){ .pixels = black, .width = BLANK_W, .height = BLANK_H, .stride = BLANK_W };
    return s;
}

void screen_free(struct screen *s)
{
    if (!s)
        return;
    free(s->blank.pixels);
    free(s);
}

struct display *screen_display(struct screen *s)
{
    return &s->display;
}

bool screen_has_chip(const struct screen *s)
{
    return s->display.user;
}

void screen_add(struct screen *s, struct viewer *v)
{
    *v = (struct viewer){ .resized = true, .next = s->viewers };
    s->viewers = v;
}

void screen_remove(struct screen *s, struct viewer *v)
{
    for (struct viewer **p = &s->viewers; *p; p = &(*p)->next) {
        if (*p == v) {
            *p = v->next;
            return;
        }
    }
}

const struct surface *screen_refresh(struct screen *s)
{
    return s->display.user ? s->display.user->refresh(s->display.dev) : &s->blank;
}
