/* screendump.c - see screendump.h. */
#include "host/screendump.h"

#include <errno.h>
#include <fcntl.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the file: put in its place when it is whole ---- */

struct out {
    FILE *f;                    /* NULL: there is none */
    const char *path;
    char *temp;                 /* what is written until then; NULL: path itself, which is a device, a FIFO or a link */
};

/* A FIFO that nobody reads is an error: nobody waits with the device lock held. */
static FILE *open_in_place(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0666);

    if (fd < 0)
        return NULL;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    return fdopen(fd, "wb");
}

static bool out_begin(struct out *o, const char *path, char *err, size_t len)
{
    size_t size = strlen(path) + sizeof(".new");
    struct stat st;
    bool there = lstat(path, &st) == 0;

    *o = (struct out){ .path = path };
    if (there && S_ISDIR(st.st_mode)) {
        snprintf(err, len, "%s", strerror(EISDIR));
        return false;
    }
    if (!there || S_ISREG(st.st_mode)) {
        o->temp = malloc(size);
        if (!o->temp) {
            snprintf(err, len, "out of memory");
            return false;
        }
        snprintf(o->temp, size, "%s.new", path);
    }
    o->f = o->temp ? fopen(o->temp, "wbe") : open_in_place(path);
    if (!o->f) {
        snprintf(err, len, "%s", strerror(errno));
        free(o->temp);
    }
    return o->f;
}

/* ok: all was written until now. */
static bool out_end(struct out *o, bool ok, char *err, size_t len)
{
    bool closed = fclose(o->f) == 0, whole = ok && closed && (!o->temp || rename(o->temp, o->path) == 0);

    if (ok && !whole)
        snprintf(err, len, "%s", strerror(errno));
    if (o->temp && !whole)
        unlink(o->temp);
    free(o->temp);
    return whole;
}

static bool link_possible(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

bool screendump_possible(const char *path, char *err, size_t len)
{
    struct stat st;
    struct out o;
    bool ok;

    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
        ok = access(path, W_OK) == 0;
    } else if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode)) {
        ok = link_possible(path);
    } else {
        ok = out_begin(&o, path, err, len);
        if (ok)
            out_end(&o, false, err, len);
        return ok;
    }
    if (!ok)
        snprintf(err, len, "%s", strerror(errno));
    return ok;
}

/* ---- PNG ---- */

/* libpng leaves by longjmp(): everything it could leave behind is in here. */
struct writer {
    struct out out;
    png_structp png;
    png_infop info;
    uint8_t *row;
    char *err;
    size_t len;
};

static void failed(png_structp png, png_const_charp why)
{
    struct writer *w = png_get_error_ptr(png);

    snprintf(w->err, w->len, "%s", errno ? strerror(errno) : why);
    longjmp(png_jmpbuf(png), 1);
}

static void warned(png_structp png, png_const_charp why)
{
}

static bool write_png(struct writer *w, const struct surface *s)
{
    if (setjmp(png_jmpbuf(w->png)))
        return false;
    errno = 0;
    png_init_io(w->png, w->out.f);
    png_set_IHDR(w->png, w->info, s->width, s->height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(w->png, w->info);
    for (unsigned y = 0; y < s->height; y++) {
        const uint32_t *p = s->pixels + (size_t)y * s->stride;

        for (unsigned x = 0; x < s->width; x++) {
            w->row[3 * x] = p[x] >> 16;
            w->row[3 * x + 1] = p[x] >> 8;
            w->row[3 * x + 2] = p[x];
        }
        png_write_row(w->png, w->row);
    }
    png_write_end(w->png, w->info);
    return true;
}

bool screendump_png(const struct surface *s, const char *path, char *err, size_t len)
{
    struct writer w = { .err = err, .len = len };
    bool ok = false;

    if (!out_begin(&w.out, path, err, len))
        return false;
    snprintf(err, len, "out of memory");
    w.row = malloc((size_t)s->width * 3);
    w.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &w, failed, warned);
    if (w.png)
        w.info = png_create_info_struct(w.png);
    if (w.row && w.info)
        ok = write_png(&w, s);
    png_destroy_write_struct(&w.png, &w.info);
    free(w.row);
    return out_end(&w.out, ok, err, len);
}

bool screendump_ppm(const struct surface *s, const char *path, char *err, size_t len)
{
    FILE *f = fopen(path, "wbe");
    bool ok = f && fprintf(f, "P6\n%u %u\n255\n", s->width, s->height) > 0;

    for (unsigned y = 0; ok && y < s->height; y++) {
        const uint32_t *p = s->pixels + (size_t)y * s->stride;

        for (unsigned x = 0; ok && x < s->width; x++)
            ok = putc(p[x] >> 16 & 0xff, f) != EOF && putc(p[x] >> 8 & 0xff, f) != EOF &&
                putc(p[x] & 0xff, f) != EOF;
    }
    if (f && fclose(f))
        ok = false;
    if (!ok)
        snprintf(err, len, "%s", strerror(errno));
    return ok;
}

/* ---- text ---- */

static const uint16_t low[32] = {
    0x0020, 0x263a, 0x263b, 0x2665, 0x2666, 0x2663, 0x2660, 0x2022, 0x25d8, 0x25cb, 0x25d9, 0x2642, 0x2640, 0x266a,
    0x266b, 0x263c, 0x25ba, 0x25c4, 0x2195, 0x203c, 0x00b6, 0x00a7, 0x25ac, 0x21a8, 0x2191, 0x2193, 0x2192, 0x2190,
    0x221f, 0x2194, 0x25b2, 0x25bc
};

static const uint16_t high[129] = {     /* from 7Fh */
    0x2302,
    0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb, 0x00e8, 0x00ef, 0x00ee, 0x00ec,
    0x00c4, 0x00c5, 0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6, 0x00f2, 0x00fb, 0x00f9, 0x00ff, 0x00d6, 0x00dc, 0x00a2,
    0x00a3, 0x00a5, 0x20a7, 0x0192, 0x00e1, 0x00ed, 0x00f3, 0x00fa, 0x00f1, 0x00d1, 0x00aa, 0x00ba, 0x00bf, 0x2310,
    0x00ac, 0x00bd, 0x00bc, 0x00a1, 0x00ab, 0x00bb, 0x2591, 0x2592, 0x2593, 0x2502, 0x2524, 0x2561, 0x2562, 0x2556,
    0x2555, 0x2563, 0x2551, 0x2557, 0x255d, 0x255c, 0x255b, 0x2510, 0x2514, 0x2534, 0x252c, 0x251c, 0x2500, 0x253c,
    0x255e, 0x255f, 0x255a, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550, 0x256c, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559,
    0x2558, 0x2552, 0x2553, 0x256b, 0x256a, 0x2518, 0x250c, 0x2588, 0x2584, 0x258c, 0x2590, 0x2580, 0x03b1, 0x00df,
    0x0393, 0x03c0, 0x03a3, 0x03c3, 0x00b5, 0x03c4, 0x03a6, 0x0398, 0x03a9, 0x03b4, 0x221e, 0x03c6, 0x03b5, 0x2229,
    0x2261, 0x00b1, 0x2265, 0x2264, 0x2320, 0x2321, 0x00f7, 0x2248, 0x00b0, 0x2219, 0x00b7, 0x221a, 0x207f, 0x00b2,
    0x25a0, 0x0020
};

unsigned cp437_utf8(uint8_t code, char out[4])
{
    unsigned c = code < 0x20 ? low[code] : code >= 0x7f ? high[code - 0x7f] : code;

    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    out[0] = (char)(0xe0 | c >> 12);
    out[1] = (char)(0x80 | (c >> 6 & 0x3f));
    out[2] = (char)(0x80 | (c & 0x3f));
    return 3;
}

bool screendump_text(const struct surface *s, const char *path, char *err, size_t len)
{
    const struct text_screen *t = &s->text;
    struct out out;
    char utf[4];
    bool ok;

    if (!t->cells) {
        snprintf(err, len, "the screen shows graphics (%ux%u): use a file named .png", s->width, s->height);
        return false;
    }
    if (!out_begin(&out, path, err, len))
        return false;
    for (unsigned y = 0; y < t->rows; y++) {
        const struct text_cell *c = t->cells + y * t->cols;
        unsigned n = t->cols;

        while (n && (c[n - 1].code == ' ' || c[n - 1].code == 0 || c[n - 1].code == 0xff))
            n--;
        for (unsigned x = 0; x < n; x++)
            fprintf(out.f, "%.*s", (int)cp437_utf8(c[x].code, utf), utf);
        fputc('\n', out.f);
    }
    ok = !ferror(out.f);
    if (!ok)
        snprintf(err, len, "%s", strerror(errno));
    return out_end(&out, ok, err, len);
}
