/*
 * record.c - what a real CPU made of instances, in files.
 *
 * The instances themselves are not in them: gen.c makes the same ones from the
 * seed on every host.  A fingerprint a row shows whether it did, so that a change of
 * the tables or of gen.c is told from a wrong result, and concerns its row alone.
 * Results are kept whole, not as hashes, so that a host without an x86 CPU can show
 * what should have come out; as changes against the input they take about 12 bytes an
 * instance compressed.
 *
 * A file is compressed by gzip, whose checksum covers damage.  First lines of text,
 * the last of them empty:
 *
 *     latimer recording 1
 *     family NAME
 *     seed NUMBER
 *     count NUMBER                instances of each row
 *     pointers 0|1                are the x87's pointers recorded?
 *     processor NAME
 *
 * then the rows, until the end of the file: id and 0; fingerprint (CRC-32) and number
 * of bytes, 32 bits each, little-endian; the instances' changes.  Those of one instance
 * are runs over the flat image of its state and memory (see flat()): bytes skipped
 * since the last run plus one, length, new bytes; and 0 at the end.  Numbers have seven
 * bits a byte, the lowest first, the top bit set on all but the last.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "tests/hw/hw.h"

#define VERSION 1
#define FLAT 496u               /* bytes of a flat state; the memory lies behind it */
#define AGAIN "on an x86-64 machine, record again: make record-hw"

/* --- a state as bytes --- */

struct cursor {
    uint8_t *p;
    bool out;                   /* to the bytes; else from them */
};

static void field(struct cursor *c, void *value, unsigned bytes)
{
    if (c->out)
        memcpy(c->p, value, bytes);
    else
        memcpy(value, c->p, bytes);
    c->p += bytes;
}

/* x87 registers by number, not from the top of the stack, lest a push or pop change all of them. */
static void flat(struct hw_state *s, uint8_t *p, bool out)
{
    struct cursor c = { p, out };
    uint8_t vector = (uint8_t)s->vector;
    uint32_t flags = (uint32_t)s->flags;

    field(&c, &vector, 1);
    field(&c, s->r, 128);
    field(&c, &flags, 4);
    field(&c, &s->fx.mxcsr, 4);
    field(&c, &s->fx.fcw, 2);
    field(&c, &s->fx.fsw, 2);
    field(&c, &s->fx.ftw, 1);
    field(&c, &s->fx.fop, 2);
    field(&c, &s->fx.fip, 8);
    field(&c, &s->fx.fdp, 8);
    for (unsigned k = 0; k < 8; k++) {
        unsigned st = (k - (s->fx.fsw >> 11)) & 7;

        field(&c, &s->fx.st[st].sig, 8);
        field(&c, &s->fx.st[st].se, 2);
    }
    field(&c, s->fx.x, 256);
    s->vector = (int8_t)vector;
    s->flags = flags;
}

static void flatten(const struct hw_state *s, uint8_t *p)
{
    struct hw_state copy = *s;

    flat(&copy, p, true);
}

uint32_t hw_fingerprint(uint32_t crc, const struct hw_case *c)
{
    uint8_t b[FLAT + 32] = { 0 };
    uint32_t more[] = { c->len, c->off, c->undef_flags };

    flatten(&c->in, b);
    memcpy(b + FLAT, c->code, c->len);
    memcpy(b + FLAT + 16, more, sizeof(more));
    return (uint32_t)crc32(crc, b, sizeof(b));
}

/* --- changes --- */

static void put(struct hw_changes *x, const void *p, size_t n)
{
    if (x->n + n > x->room) {
        x->room = 2 * x->room + n + 4096;
        x->p = realloc(x->p, x->room);
        if (!x->p) {
            perror("hwtest: memory");
            exit(4);
        }
    }
    memcpy(x->p + x->n, p, n);
    x->n += n;
}

static void put_number(struct hw_changes *x, uint32_t v)
{
    do {
        uint8_t b = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));

        put(x, &b, 1);
    } while (v >>= 7);
}

static bool take_number(struct hw_changes *x, uint32_t *v)
{
    *v = 0;
    for (unsigned shift = 0; shift < 28; shift += 7) {
        uint8_t b;

        if (x->at == x->n)
            return false;
        b = x->p[x->at++];
        *v |= (uint32_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return true;
    }
    return false;
}

/* The runs in which a and b differ; *last is where the last one ended, in the flat image. */
static void put_runs(struct hw_changes *x, const uint8_t *a, const uint8_t *b, unsigned from, unsigned len,
                     unsigned *last)
{
    for (unsigned k = 0; k < len;) {
        unsigned n = 0;

        if (a[k] == b[k]) {
            k++;
            continue;
        }
        while (k + n < len && a[k + n] != b[k + n])
            n++;
        put_number(x, from + k - *last + 1);
        put_number(x, n);
        put(x, b + k, n);
        k += n;
        *last = from + k;
    }
}

void hw_changes_put(struct hw_changes *x, const struct hw_state *before, const struct hw_state *after,
                    const uint8_t *data_before, const uint8_t *data_after)
{
    uint8_t a[FLAT], b[FLAT];
    unsigned last = 0;

    flatten(before, a);
    flatten(after, b);
    put_runs(x, a, b, 0, FLAT, &last);
    if (memcmp(data_before, data_after, HW_DATA_SIZE))
        put_runs(x, data_before, data_after, FLAT, HW_DATA_SIZE, &last);
    put_number(x, 0);
}

bool hw_changes_take(struct hw_changes *x, struct hw_state *s, uint8_t *data)
{
    uint8_t b[FLAT];
    uint32_t at = 0, skip, n;

    flatten(s, b);
    for (;;) {
        if (!take_number(x, &skip))
            return false;
        if (!skip)
            break;
        at += skip - 1;
        if (!take_number(x, &n) || n > x->n - x->at || at > FLAT + HW_DATA_SIZE)
            return false;
        if (at < FLAT ? n > FLAT - at : n > FLAT + HW_DATA_SIZE - at)
            return false;
        memcpy(at < FLAT ? b + at : data + (at - FLAT), x->p + x->at, n);
        x->at += n;
        at += n;
    }
    /* the order of the x87 registers depends on one of the fields */
    flat(s, b, false);
    return true;
}

/* --- files --- */

bool hw_recording_write(const struct hw_recording *r, const char *path)
{
    gzFile f = gzopen(path, "wb9");
    bool ok = f && gzprintf(f, "latimer recording %u\nfamily %s\nseed %" PRIu64 "\ncount %u\npointers %u\n"
                            "processor %s\n\n", VERSION, r->family, r->seed, r->count, r->pointers,
                            r->cpu) > 0;

    for (unsigned k = 0; ok && k < r->nrows; k++) {
        const struct hw_recorded_row *w = &r->row[k];
        uint32_t head[2] = { w->fingerprint, (uint32_t)w->changes.n };

        ok = gzwrite(f, w->id, (unsigned)strlen(w->id) + 1) > 0 && gzwrite(f, head, 8) == 8 &&
             gzwrite(f, w->changes.p, head[1]) == (int)head[1];
    }
    if (f)
        ok = gzclose(f) == Z_OK && ok;
    if (!ok)
        fprintf(stderr, "hwtest: cannot write %s: %s\n", path, errno ? strerror(errno) : "zlib failed");
    return ok;
}

/* The whole file, with a 0 behind it; NULL: not to be had, and *why says why. */
static uint8_t *read_all(const char *path, size_t *size, const char **why)
{
    static char text[128];
    gzFile f;
    uint8_t *p = NULL;
    size_t room = 0;
    int got, error;

    errno = 0;
    *size = 0;
    f = gzopen(path, "rb");
    if (!f) {
        *why = errno ? strerror(errno) : "zlib failed";
        return NULL;
    }
    do {
        if (*size == room) {
            uint8_t *q = realloc(p, 1 + (room = 2 * room + (1u << 20)));

            if (!q) {
                perror("hwtest: memory");
                exit(4);
            }
            p = q;
        }
        got = gzread(f, p + *size, (unsigned)(room - *size));
        *size += got > 0 ? (size_t)got : 0;
    } while (got > 0);
    snprintf(text, sizeof(text), "cut off or damaged (%s)", gzerror(f, &error));
    *why = text;
    if (gzclose(f) != Z_OK || got < 0 || error != Z_OK) {
        free(p);
        return NULL;
    }
    p[*size] = 0;
    return p;
}

static bool head(struct hw_recording *r, const char *text, unsigned *version, int *len)
{
    unsigned pointers;

    *len = 0;
    *version = 0;
    if (sscanf(text, "latimer recording %u\n", version) != 1 || *version != VERSION ||
        sscanf(text, "latimer recording %*u\nfamily %7s\nseed %" SCNu64 "\ncount %u\npointers %u\n"
               "processor %127[^\n]%n", r->family, &r->seed, &r->count, &pointers, r->cpu, len) != 5 ||
        strncmp(text + *len, "\n\n", 2))
        return false;
    *len += 2;
    r->pointers = pointers;
    return r->count > 0;
}

static bool rows(struct hw_recording *r, uint8_t *p, const uint8_t *end)
{
    while (p < end) {
        struct hw_recorded_row *w = realloc(r->row, (r->nrows + 1) * sizeof(*w));
        uint32_t n[2];

        if (!w) {
            perror("hwtest: memory");
            exit(4);
        }
        r->row = w;
        w += r->nrows;
        w->id = (const char *)p;
        p += strlen(w->id) + 1;
        if (end - p < 8)
            return false;
        memcpy(n, p, 8);
        p += 8;
        if (n[1] > (size_t)(end - p))
            return false;
        w->fingerprint = n[0];
        w->changes = (struct hw_changes){ .p = p, .n = n[1] };
        p += n[1];
        r->nrows++;
    }
    return true;
}

bool hw_recording_read(struct hw_recording *r, const char *path)
{
    const char *why;
    size_t size;
    unsigned version;
    uint8_t *p = read_all(path, &size, &why);
    int at;

    memset(r, 0, sizeof(*r));
    r->text = p;
    if (!p)
        fprintf(stderr, "hwtest: cannot read the recording %s: %s; take it from the source again, or " AGAIN
                "\n", path, why);
    else if (!head(r, (const char *)p, &version, &at) && version && version != VERSION)
        fprintf(stderr, "hwtest: %s is a recording of format %u, this program reads %u; " AGAIN "\n", path,
                version, VERSION);
    else if (!at || !rows(r, p + at, p + size))
        fprintf(stderr, "hwtest: %s is no recording, or a damaged one; take it from the source again, or "
                AGAIN "\n", path);
    else
        return true;
    hw_recording_free(r);
    return false;
}

void hw_recording_free(struct hw_recording *r)
{
    free(r->row);
    free(r->text);
    memset(r, 0, sizeof(*r));
}
