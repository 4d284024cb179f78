/*
 * p9.c - messages of 9P2000.L that mostly make sense, and a folder that answers as it likes (fuzz_dev.h).
 */
#include "tests/fuzz/dev/fuzz_dev.h"

#include <string.h>

/* Fields: b 1, h 2, f a fid, d 4 and q 8 bytes, s a text, w a list of them, * as many bytes as the d before says. */
static const struct { uint8_t type; const char *fields;
} messages[] = {
    { 8, "f" }, { 12, "fd" }, { 14, "fsddd" }, { 16, "fssd" }, { 18, "fsdddd" }, { 20, "ffs" }, { 22, "f" }, { 24, "fq" },
    { 26, "fddddqqqqq" }, { 30, "ffs" }, { 32, "fsqd" }, { 40, "fqd" }, { 50, "fd" }, { 52, "fbdqqds" }, { 54, "fbqqds" },
    { 70, "ffs" }, { 72, "fsdd" }, { 74, "fsfs" }, { 76, "fsd" }, { 100, "ds" }, { 102, "fssd" }, { 104, "ffssd" },
    { 108, "h" }, { 110, "ffw" }, { 110, "ffw" }, { 110, "ffw" }, { 116, "fqd" }, { 118, "fqd*" }, { 120, "f" }, { 122, "f" },
};

struct out { struct fuzz *z; uint64_t at; uint32_t len, count; };

static void put(struct out *o, uint64_t val, unsigned size)
{
    ram_put(o->z, o->at + o->len, val, size);
    o->len += size;
}

static void text(struct out *o, const char *s)
{
    put(o, strlen(s), 2);
    while (*s)
        put(o, (uint8_t)*s++, 1);
}

static void name(struct out *o)
{
    static const char *const names[] = { "a", "b", "..", ".", "", "a/b", "user.x", "security.capability", "a name that is rather long" };

    if (chance(o->z, 30)) {
        unsigned n = pick(o->z, 300);

        put(o, chance(o->z, 4) ? pick(o->z, 0x10000) : n, 2);
        while (n--)
            put(o, 1 + pick(o->z, 255), 1);
        return;
    }
    text(o, names[pick(o->z, sizeof(names) / sizeof(names[0]))]);
}

static void field(struct out *o, char what)
{
    struct fuzz *z = o->z;
    unsigned n;

    switch (what) {
    case 'b': put(o, pick(z, 4), 1); break;
    case 'h': put(o, pick(z, 32), 2); break;
    case 'f': put(o, chance(z, 16) ? UINT32_MAX : pick(z, 5), 4); break;
    case 'd': put(o, o->count = chance(z, 8) ? (uint32_t)value(z) : pick(z, 600), 4); break;
    case 'q': put(o, chance(z, 4) ? value(z) : pick(z, 0x2000), 8); break;
    case 's': name(o); break;
    case 'w':
        n = pick(z, chance(z, 8) ? 40 : 4);
        put(o, n, 2);
        while (n--)
            name(o);
        break;
    default:
        for (n = o->count < 600 ? o->count : 600; n; n--)
            put(o, n, 1);
    }
}

uint32_t p9_message(struct fuzz *z, uint64_t at, unsigned number)
{
    unsigned m = pick(z, sizeof(messages) / sizeof(messages[0]));
    uint8_t type = messages[m].type;
    struct out o = { z, at, 7, 0 };

    if (number == 0 || chance(z, 60)) {
        type = 100;
        put(&o, 8192, 4);
        text(&o, chance(z, 8) ? "9P2000" : "9P2000.L");
    } else if (number == 1 || chance(z, 30)) {
        type = 104;
        put(&o, pick(z, 5), 4);
        put(&o, UINT32_MAX, 4);
        text(&o, "");
        text(&o, chance(z, 4) ? "a" : "");
        put(&o, pick(z, 2), 4);
    } else {
        for (const char *f = messages[m].fields; *f; f++)
            field(&o, *f);
    }
    if (chance(z, 20))
        o.len -= pick(z, o.len - 7 + 1);
    ram_put(z, at, chance(z, 200) ? value(z) : o.len, 4);
    ram_put(z, at + 4, chance(z, 60) ? pick(z, 256) : type, 1);
    ram_put(z, at + 5, pick(z, 32), 2);
    return o.len;
}
