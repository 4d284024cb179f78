/*
 * moo.c - see moo.h.  Chunks of unknown types are skipped.
 */
#include "tests/sst/moo.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

struct moo {
    uint8_t *data;
    size_t len, at;
    char opcode[8];
    uint16_t mask[MOO_REGS];    /* RMSK: bits of each register that count */
    const char *error;
};

struct chunk {
    char type[5];
    const uint8_t *p;
    uint32_t len;
};

static uint32_t u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* The chunk at *at of [p, p + len). 1: got; 0: end; -1: cut off. */
static int chunk(const uint8_t *p, size_t len, size_t *at, struct chunk *c)
{
    if (*at == len)
        return 0;
    if (len - *at < 8)
        return -1;
    memcpy(c->type, p + *at, 4);
    c->type[4] = 0;
    c->len = u32(p + *at + 4);
    c->p = p + *at + 8;
    if (len - *at - 8 < c->len)
        return -1;
    *at += 8 + c->len;
    return 1;
}

static bool is(const struct chunk *c, const char *type)
{
    return !strcmp(c->type, type);
}

static bool regs(const struct chunk *c, uint16_t *has, uint16_t *reg)
{
    unsigned at = 2;

    if (c->len < 2)
        return false;
    *has = (uint16_t)(c->p[0] | c->p[1] << 8);
    for (unsigned n = 0; n < MOO_REGS; n++) {
        if (!(*has >> n & 1))
            continue;
        if (at + 2 > c->len)
            return false;
        reg[n] = (uint16_t)(c->p[at] | c->p[at + 1] << 8);
        at += 2;
    }
    return true;
}

static bool state(const struct chunk *c, struct moo_state *s)
{
    struct chunk d;
    size_t at = 0;
    int got;

    s->has = 0;
    s->nram = 0;
    while ((got = chunk(c->p, c->len, &at, &d)) > 0) {
        if (is(&d, "REGS") && !regs(&d, &s->has, s->reg))
            return false;
        if (!is(&d, "RAM "))
            continue;
        if (d.len < 4 || (s->nram = u32(d.p)) > MOO_RAM || d.len < 4 + 5 * (uint64_t)s->nram)
            return false;
        for (unsigned n = 0; n < s->nram; n++) {
            s->ram[n].pa = u32(d.p + 4 + 5 * n);
            s->ram[n].v = d.p[8 + 5 * n];
        }
    }
    return !got;
}

static bool test(const struct chunk *c, struct moo_test *t)
{
    struct chunk d;
    size_t at = 4;
    int got;

    if (c->len < 4)
        return false;
    memset(t, 0, offsetof(struct moo_test, init));
    t->index = u32(c->p);
    t->vector = -1;
    t->init.has = t->fina.has = 0;
    t->init.nram = t->fina.nram = 0;
    while ((got = chunk(c->p, c->len, &at, &d)) > 0) {
        if (is(&d, "NAME") && d.len >= 4)
            memcpy(t->name, d.p + 4, d.len - 4 < sizeof(t->name) ? d.len - 4 : sizeof(t->name) - 1);
        if (is(&d, "BYTS") && d.len >= 4) {
            t->len = u32(d.p);
            if (t->len > sizeof(t->bytes) || t->len > d.len - 4)
                return false;
            memcpy(t->bytes, d.p + 4, t->len);
        }
        if ((is(&d, "INIT") && !state(&d, &t->init)) || (is(&d, "FINA") && !state(&d, &t->fina)))
            return false;
        if (is(&d, "EXCP") && d.len >= 5) {
            t->vector = d.p[0];
            t->flags_at = u32(d.p + 1);
        }
    }
    return !got && t->len && t->init.has == (1u << MOO_REGS) - 1;
}

bool moo_next(struct moo *m, struct moo_test *t)
{
    struct chunk c;
    uint16_t has;
    int got;

    while ((got = chunk(m->data, m->len, &m->at, &c)) > 0) {
        if (is(&c, "MOO "))
            memset(m->mask, 0xff, sizeof(m->mask));
        if (is(&c, "FILE") && c.len < sizeof(m->opcode)) {      /* made by sample.pl */
            memcpy(m->opcode, c.p, c.len);
            m->opcode[c.len] = 0;
        }
        if (is(&c, "RMSK") && !regs(&c, &has, m->mask)) {
            m->error = "bad RMSK chunk";
            return false;
        }
        if (!is(&c, "TEST"))
            continue;
        if (!test(&c, t)) {
            m->error = "bad TEST chunk";
            return false;
        }
        return true;
    }
    if (got < 0)
        m->error = "a chunk is cut off";
    return false;
}

const char *moo_error(const struct moo *m)
{
    return m->error;
}

const char *moo_opcode(const struct moo *m)
{
    return m->opcode;
}

uint16_t moo_mask(const struct moo *m, unsigned reg)
{
    return m->mask[reg];
}

struct moo *moo_open(const char *path, const char **why)
{
    struct moo *m = calloc(1, sizeof(*m));
    const char *name = strrchr(path, '/');
    gzFile f = gzopen(path, "rb");
    size_t room = 0;
    int n = 0;

    if (!m || !f) {
        *why = "cannot be opened";
        free(m);
        return NULL;
    }
    name = name ? name + 1 : path;
    for (unsigned k = 0, dots = 0; k < sizeof(m->opcode) - 1 && name[k]; k++) {
        if (name[k] == '.' && (dots++ || name[k + 1] < '0' || name[k + 1] > '7'))
            break;                      /* "80.4.MOO.gz", "00.MOO.gz" */
        m->opcode[k] = name[k];
    }
    do {
        m->len += (size_t)n;
        if (room - m->len < 1 << 16) {
            uint8_t *grown = realloc(m->data, room += 1 << 20);

            if (!grown)
                abort();
            m->data = grown;
        }
    } while ((n = gzread(f, m->data + m->len, 1 << 16)) > 0);
    gzclose(f);
    if (n < 0 || m->len < 8 || memcmp(m->data, "MOO ", 4)) {
        *why = "is no MOO file";
        moo_close(m);
        return NULL;
    }
    memset(m->mask, 0xff, sizeof(m->mask));
    return m;
}

void moo_close(struct moo *m)
{
    free(m->data);
    free(m);
}
