/*
 * flame.c - see flame.h. The picture: a box for each function, as wide as its share, on top of who called it; what takes
 * less than a third of a pixel is left out of it, and not of the folded stacks.
 */
#include "debug/flame.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "debug/flame_script.h"

#define WIDTH 1200.0
#define MARGIN 10.0
#define ROW 16
#define ABOVE 54                /* pixels over the graph: title */
#define BELOW 30
#define LETTER 7.0              /* pixels of one */
#define LEAST (1.0 / 3)
#define NAME_MAX_SHOWN 600

struct node {
    char *name;
    uint64_t self, total;
    struct node *child, *next;
};

struct flame {
    struct node root;
};

struct flame *flame_new(void)
{
    struct flame *f = calloc(1, sizeof(*f));

    if (!f)
        die(EXIT_CODE_HOST, "out of memory for a flame graph");
    return f;
}

static void free_children(struct node *n)
{
    for (struct node *c = n->child, *next; c; c = next) {
        next = c->next;
        free_children(c);
        free(c->name);
        free(c);
    }
}

void flame_free(struct flame *f)
{
    if (!f)
        return;
    free_children(&f->root);
    free(f);
}

/* In the order of their names. */
static struct node *child_of(struct node *n, const char *name)
{
    struct node **at = &n->child, *new;

    while (*at && strcmp((*at)->name, name) < 0)
        at = &(*at)->next;
    if (*at && strcmp((*at)->name, name) == 0)
        return *at;
    new = calloc(1, sizeof(*new));
    if (!new || !(new->name = strdup(name)))
        die(EXIT_CODE_HOST, "out of memory for a flame graph");
    new->next = *at;
    *at = new;
    return new;
}

void flame_add(struct flame *f, const char *const *name, unsigned n, uint64_t count)
{
    struct node *at = &f->root;

    at->total += count;
    for (unsigned i = 0; i < n; i++) {
        char clean[NAME_MAX_SHOWN];

        snprintf(clean, sizeof(clean), "%s", name[i]);
        for (char *p = clean; *p; p++)
            if (*p == ';' || *p == '\n' || *p == '\r')
                *p = ':';
        at = child_of(at, clean);
        at->total += count;
    }
    at->self += count;
}

uint64_t flame_total(const struct flame *f)
{
    return f->root.total;
}

/* ---- folded ---- */

struct path {
    const struct path *up;
    const char *name;
};

static void print_path(const struct path *p, FILE *f)
{
    if (p->up)
        print_path(p->up, f);
    fprintf(f, "%s%s", p->up ? ";" : "", p->name);
}

static void folded(const struct node *n, const struct path *up, FILE *f)
{
    for (const struct node *c = n->child; c; c = c->next) {
        struct path here = { up, c->name };

        if (c->self) {
            print_path(&here, f);
            fprintf(f, " %llu\n", (unsigned long long)c->self);
        }
        folded(c, &here, f);
    }
}

void flame_folded(const struct flame *f, FILE *to)
{
    folded(&f->root, NULL, to);
}

/* ---- the picture ---- */

struct picture {
    FILE *f;
    double scale;               /* pixels for each count */
    double height;
    uint64_t total;
    const char *unit;
};

static void escaped(FILE *f, const char *s, size_t n)
{
    for (; *s && n--; s++)
        switch (*s) {
        case '&': fputs("&amp;", f); break;
        case '<': fputs("&lt;", f); break;
        case '>': fputs("&gt;", f); break;
        case '"': fputs("&quot;", f); break;
        default: fputc((unsigned char)*s < ' ' || (unsigned char)*s > '~' ? '?' : *s, f);
        }
}

/* Kernel functions are orange, a program's green, processes blue, idle time grey; the shade is the name's. */
static void colour(const char *name, unsigned depth, char to[8])
{
    /* The least of red, green and blue, and how much they vary; together below 256. */
    static const struct { uint8_t r, g, b, dr, dg, db; } kind[] = {
        { 0xe6, 0x80, 0x30, 24, 70, 40 }, { 0x60, 0xb0, 0x40, 70, 50, 50 },
        { 0x80, 0xa0, 0xd0, 30, 30, 30 }, { 0xb0, 0xb0, 0xb0, 1, 1, 1 },
    };
    size_t n = strlen(name);
    unsigned k = *name == '[' ? 3 : depth <= 1 ? 2 : n > 4 && strcmp(name + n - 4, "_[k]") == 0 ? 0 : 1, h = 5381;

    for (const char *p = name; *p; p++)
        h = h * 33 + (uint8_t)*p;
    snprintf(to, 8, "#%06x", ((kind[k].r + h % kind[k].dr) << 16 | (kind[k].g + h / 7 % kind[k].dg) << 8 |
                              (kind[k].b + h / 31 % kind[k].db)) & 0xffffff);
}

static unsigned depth_of(const struct node *n, double scale)
{
    unsigned most = 0;

    for (const struct node *c = n->child; c; c = c->next)
        if ((double)c->total * scale >= LEAST) {
            unsigned d = depth_of(c, scale) + 1;

            most = d > most ? d : most;
        }
    return most;
}

static void box(const struct picture *p, const char *name, uint64_t total, double x, unsigned depth)
{
    double w = (double)total * p->scale, y = p->height - BELOW - (double)(depth + 1) * ROW;
    size_t letters = w < 6 + 3 * LETTER ? 0 : (size_t)((w - 6) / LETTER), len = strlen(name);
    char fill[8];

    colour(name, depth, fill);
    fputs("<g class=\"f\"><title>", p->f);
    escaped(p->f, name, SIZE_MAX);
    fprintf(p->f, " (%llu %s, %.2f %%)</title><rect x=\"%.2f\" y=\"%.0f\" width=\"%.2f\" height=\"%d\" fill=\"%s\" "
            "rx=\"1\"/><text x=\"%.2f\" y=\"%.0f\">", (unsigned long long)total, p->unit,
            100.0 * (double)total / (double)(p->total ? p->total : 1), x, y, w, ROW - 1, fill, x + 3, y + 11.5);
    escaped(p->f, name, len <= letters ? len : letters ? letters - 2 : 0);
    fprintf(p->f, "%s</text></g>\n", len > letters && letters ? ".." : "");
}

static void boxes(const struct picture *p, const struct node *n, double x, unsigned depth)
{
    for (const struct node *c = n->child; c; c = c->next) {
        double w = (double)c->total * p->scale;

        if (w >= LEAST) {
            box(p, c->name, c->total, x, depth);
            boxes(p, c, x, depth + 1);
        }
        x += w;
    }
}

void flame_svg(const struct flame *f, const char *title, const char *unit, FILE *to)
{
    struct picture p = { .f = to, .total = f->root.total, .unit = unit };

    p.scale = p.total ? (WIDTH - 2 * MARGIN) / (double)p.total : 0;
    p.height = ABOVE + BELOW + ROW * (1.0 + depth_of(&f->root, p.scale));
    fprintf(to, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<svg xmlns=\"http://www.w3.org/2000/svg\" version=\"1.1\" width=\"%.0f\" height=\"%.0f\" "
            "viewBox=\"0 0 %.0f %.0f\" data-x=\"%.2f\" data-w=\"%.2f\">\n"
            "<style>text { font: 12px \"DejaVu Sans Mono\", monospace; fill: #000; } .f { cursor: pointer; } "
            ".f:hover rect { stroke: #000; stroke-width: 0.5; } .f text { pointer-events: none; } #matched { cursor: pointer; }"
            "</style>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fbfbf6\"/>\n"
            "<text x=\"%.0f\" y=\"24\" text-anchor=\"middle\" style=\"font-size: 16px\">",
            WIDTH, p.height, WIDTH, p.height, MARGIN, WIDTH - 2 * MARGIN, WIDTH / 2);
    escaped(to, title, SIZE_MAX);
    fprintf(to, "</text>\n<text id=\"details\" x=\"%.0f\" y=\"%.0f\"> </text>\n"
            "<text id=\"matched\" x=\"%.0f\" y=\"24\" text-anchor=\"end\">search</text>\n", MARGIN, p.height - 10, WIDTH - MARGIN);
    box(&p, "all", p.total, MARGIN, 0);
    boxes(&p, &f->root, MARGIN, 1);
    fprintf(to, "<script><![CDATA[\n%s\n]]></script>\n</svg>\n", flame_script);
}
