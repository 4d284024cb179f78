/*
 * tamper.c - saved states somebody meddled with: the stream is whole and names what it should, but its numbers are no
 * chip's (fuzz_dev.h, base/state.h).
 *
 * Either it is refused, by the names of the chip and of what is wrong with it, and nothing has changed; or it is taken,
 * the chips can be asked how they are, and the case goes on with it.
 */
#define _GNU_SOURCE
#include "tests/fuzz/dev/fuzz_dev.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/state.h"
#include "base/text.h"

#define HEADER    12            /* magic and version */
#define NAME_SIZE 128
#define TRIES     8             /* most are refused */

struct saved_field {
    char name[NAME_SIZE];
    unsigned width, count;
    size_t at;                  /* of its first element */
};
struct saved_chip {
    char name[NAME_SIZE], type[NAME_SIZE];
    unsigned first, nfields;    /* in saved.field[] */
};
struct saved {
    uint8_t *buf;
    size_t len;
    struct saved_chip *chip;
    struct saved_field *field;
    unsigned nchips, nfields;
};

/* ---- where the stream has what ---- */

static void read_name(struct state_in *s, char name[NAME_SIZE])
{
    size_t n = state_get_num(s, 1);
    const uint8_t *p = state_get(s, n);

    if (!p || n >= NAME_SIZE)
        abort();
    memcpy(name, p, n);
    name[n] = 0;
}

static void read_field(const struct saved *v, struct state_in *s, struct saved_field *f)
{
    read_name(s, f->name);
    f->width = state_get_num(s, 2);
    f->count = state_get_num(s, 2);
    f->at = (size_t)(s->p - v->buf);
    if (!state_get(s, (size_t)f->width * f->count))
        abort();
}

/* With room for one more behind the first `n`. */
static void *room(void *array, unsigned n, size_t size)
{
    if (!(n & (n - 1)))
        array = realloc(array, 2 * (n + 1) * size);
    if (!array)
        abort();
    return array;
}

static struct saved save(struct fuzz *z)
{
    struct saved v = { 0 };
    struct state_in s = { 0 };

    v.len = chips_save(z->m.chips, &v.buf);
    s.p = v.buf + HEADER;
    s.left = v.len - HEADER;
    while (s.left) {
        struct saved_chip *c;

        v.chip = room(v.chip, v.nchips, sizeof(*v.chip));
        c = &v.chip[v.nchips++];
        read_name(&s, c->name);
        read_name(&s, c->type);
        c->first = v.nfields;
        c->nfields = state_get_num(&s, 2);
        for (unsigned i = 0; i < c->nfields; i++) {
            v.field = room(v.field, v.nfields, sizeof(*v.field));
            read_field(&v, &s, &v.field[v.nfields++]);
        }
    }
    return v;
}

static void drop(struct saved *v)
{
    free(v->buf);
    free(v->chip);
    free(v->field);
}

/* ---- what somebody makes of it ---- */

static uint64_t get(const uint8_t *p, unsigned width)
{
    uint64_t val = 0;

    for (unsigned i = 0; i < width; i++)
        val |= (uint64_t)p[i] << 8 * i;
    return val;
}

static void put(uint8_t *p, unsigned width, uint64_t val)
{
    for (unsigned i = 0; i < width; i++)
        p[i] = (uint8_t)(val >> 8 * i);
}

/* Beside what means something to somebody (value()): what is just at an end, and what is nearly right. */
static uint64_t wrong_value(struct fuzz *z, uint64_t old)
{
    switch (pick(z, 8)) {
    case 0: return old ^ 1ull << pick(z, 64);
    case 1: return old + pick(z, 3) - 1;
    case 2: return (1ull << pick(z, 64)) - 1;
    case 3: return clock_now(z->m.clock) + pick(z, 3) - 1;
    case 4: return pick(z, 40);
    default: return value(z);
    }
}

static void change(struct fuzz *z, const struct saved *v, const struct saved_chip *c, uint8_t *bad)
{
    const struct saved_field *f = &v->field[c->first + pick(z, c->nfields)];
    unsigned n = pick(z, f->count);
    uint8_t *at = bad + f->at + n * f->width;
    uint64_t old = get(at, f->width), val = wrong_value(z, old);

    put(at, f->width, val);
    if (z->trace)
        fprintf(stderr, "%lu tamper %s %s[%u] = %#llx, was %#llx\n", z->accesses, c->name, f->name, n,
                (unsigned long long)get(at, f->width), (unsigned long long)old);
}

/* Some numbers of a chip in `bad`; returns which. */
static const struct saved_chip *meddle(struct fuzz *z, const struct saved *v, uint8_t *bad)
{
    const struct saved_chip *c;

    do {
        c = &v->chip[pick(z, v->nchips)];
    } while (!c->nfields);
    for (unsigned n = chance(z, 4) ? 1 + pick(z, 16) : 1; n; n--)
        change(z, v, c, bad);
    return c;
}

/* ---- what becomes of it ---- */

static void must(bool ok, const struct saved_chip *c, const char *what, const char *more)
{
    if (ok)
        return;
    fprintf(stderr, "tampered state of %s: %s: %s\n", c->name, what, more);
    abort();
}

/* Does the text have that word? */
static bool has_word(const char *text, const char *word)
{
    size_t n = strlen(word);

    for (const char *p = text; (p = strstr(p, word)); p++)
        if ((p == text || (!isalnum((unsigned char)p[-1]) && p[-1] != '_')) && !isalnum((unsigned char)p[n]) && p[n] != '_')
            return true;
    return false;
}

/* Of "at.next" and "port1 up" the member will do. */
static bool names_a_field(const struct saved *v, const struct saved_chip *c, const char *text)
{
    for (unsigned i = 0; i < c->nfields; i++) {
        const char *name = v->field[c->first + i].name, *member = strpbrk(name, ". ");

        if (has_word(text, name) || (member && has_word(text, member + 1)))
            return true;
    }
    return false;
}

static void refused(struct fuzz *z, const struct saved *good, const struct saved_chip *c, const char *said)
{
    size_t n = strlen(c->name);
    uint8_t *now;

    if (z->trace)
        fprintf(stderr, "refused: %s\n", said);
    must(!strncmp(said, c->name, n) && said[n] == ':', c, "refused without its name", said);
    must(names_a_field(good, c, said + n), c, "refused without a field's name", said);
    must(chips_save(z->m.chips, &now) == good->len && !memcmp(now, good->buf, good->len), c, "refused, but has changed", said);
    free(now);
}

static void taken(struct fuzz *z, const struct saved_chip *c)
{
    struct text_buf told;

    text_buf_init(&told, 1 << 20);
    chips_info(z->m.chips, c->type, &told.text);
    text_buf_free(&told);
}

/*
 * What chips go by without another look: each was, or would be, an index, a length, a divisor or a timer that fires for
 * ever. No chip is so after a reset.
 */
static const struct known { const char *type, *field; unsigned n; uint64_t val; } known[] = {
    { "pci-dev", "config", 0x3d, 7 }, { "pci-dev", "config", 0x34, 0xff }, { "pci-dev", "line", 0, 8 },
    { "8237a", "last", 0, 4 }, { "8254", "ch[0].n", 0, 0 }, { "mc146818", "base", 0, 1ull << 60 },
    { "lapic", "due", 0, 5 }, { "lapic", "base", 0, 1ull << 60 }, { "82077aa", "phase", 0, 1 },
    { "82077aa", "seek_due", 0, 5 }, { "ata", "phase", 0, 6 }, { "ata", "end", 0, 65537 }, { "ata", "heads", 0, 0 },
    { "ahci", "port0 current", 0, 33 }, { "xhci", "ep_state", 33, 1 }, { "xhci", "slots", 0, 33 },
    { "usb-hid", "usb.off", 0, 5 }, { "usb-hub", "usb.speed", 0, 3 }, { "usb-storage", "taken", 0, 1 },
    { "hda", "s[0].pace.rate", 0, 1 }, { "opl3", "pace.start", 0, UINT64_MAX }, { "sb16", "now.kind", 0, 2 },
    { "ac97", "e[PO].lvi", 0, 32 }, { "virtq", "size", 0, 3 }, { "virtio", "features", 0, 1ull << 63 },
    { "virtio-net", "pairs", 0, 0 }, { "e1000", "tx_len", 0, 16385 }, { "pcnet", "rx_at", 0, 1 },
};

static void try_known(struct fuzz *z, const struct saved *good, const struct saved_chip *c, const struct known *k)
{
    for (unsigned i = 0; i < c->nfields; i++) {
        const struct saved_field *f = &good->field[c->first + i];
        uint8_t *at = good->buf + f->at + k->n * f->width;
        uint64_t old = get(at, f->width);
        const char *said;

        if (strcmp(f->name, k->field))
            continue;
        put(at, f->width, k->val);
        said = chips_load(z->m.chips, good->buf, good->len);
        put(at, f->width, old);
        must(said, c, "taken", k->field);
        refused(z, good, c, said);
        return;
    }
    must(false, c, "it has no such field", k->field);
}

void tamper_known(struct fuzz *z)
{
    struct saved good = save(z);

    for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        unsigned n = 0;

        while (n < good.nchips && strcmp(good.chip[n].type, known[i].type))
            n++;
        if (n < good.nchips)
            try_known(z, &good, &good.chip[n], &known[i]);
    }
    drop(&good);
}

/* The clock is loaded before the chips, and has another time than they knew. */
static void load_clock(struct fuzz *z)
{
    struct clock_state s;
    const char *said;

    clock_save(z->m.clock, &s);
    s.now = chance(z, 2) ? wrong_value(z, s.now) : s.now;
    s.wall = (int64_t)wrong_value(z, (uint64_t)s.wall);
    s.zone = chance(z, 2) ? (int64_t)wrong_value(z, (uint64_t)s.zone) : s.zone;
    said = clock_check(&s);
    if (z->trace)
        fprintf(stderr, "%lu tamper clock %#llx %#llx %#llx: %s\n", z->accesses, (unsigned long long)s.now,
                (unsigned long long)s.wall, (unsigned long long)s.zone, said ? said : "taken");
    if (!said)
        clock_load(z->m.clock, &s);
}

/* As a snapshot is loaded (debug/snapshot.c): all is checked before anything changes. */
static const char *load(struct fuzz *z, const uint8_t *bad, size_t len)
{
    const char *said = chips_check(z->m.chips, bad, len);

    if (said)
        return said;
    if (chance(z, 8))
        load_clock(z);
    return chips_load(z->m.chips, bad, len);
}

void tamper(struct fuzz *z)
{
    const struct saved_chip *c;
    struct saved good;
    const char *said;
    uint8_t *bad;

    outside_settle(&z->m);
    good = save(z);
    bad = malloc(good.len);
    if (!bad)
        abort();
    for (unsigned tries = TRIES; tries; tries--) {
        memcpy(bad, good.buf, good.len);
        c = meddle(z, &good, bad);
        said = load(z, bad, good.len);
        if (!said) {
            taken(z, c);
            break;
        }
        refused(z, &good, c, said);
    }
    free(bad);
    drop(&good);
}
