/* qcow2_snapshot.c - the table of internal snapshots. */
#include <stdlib.h>
#include <string.h>

#include "block/qcow2.h"

#define ENTRY_FIXED 40
#define EXTRA_MAX 1024
#define TABLE_MAX ((size_t)64 << 20)

void qcow2_snapshots_free(struct qcow2 *q)
{
    for (unsigned i = 0; i < q->nsnapshots; i++) {
        free(q->snapshots[i].id);
        free(q->snapshots[i].name);
    }
    free(q->snapshots);
    free(q->snapshot_l1);
    q->snapshots = NULL;
    q->snapshot_l1 = NULL;
    q->nsnapshots = 0;
}

static char *text(const uint8_t *p, size_t n)
{
    char *s = malloc(n + 1);

    if (s) {
        memcpy(s, p, n);
        s[n] = 0;
    }
    return s;
}

/* One entry at *off, which goes on to the next. */
static int read_entry(struct qcow2 *q, uint64_t *off, struct block_snapshot *s, struct qcow2_l1_place *l1,
                      struct block_error *e)
{
    uint8_t head[ENTRY_FIXED + EXTRA_MAX], *strings;
    unsigned id, name;
    uint32_t extra;
    int r = hostfile_read(&q->b->file, *off, head, sizeof(head));

    if (r)
        return block_fail(e, -r, "%s: cannot read the snapshots: %s", q->b->name, strerror(-r));
    id = (unsigned)head[12] << 8 | head[13];
    name = (unsigned)head[14] << 8 | head[15];
    extra = get32(head + 36);
    if (extra > EXTRA_MAX)
        return block_fail(e, EINVAL, "%s: damaged: a snapshot with %u bytes of extra data", q->b->name,
                          extra);
    *s = (struct block_snapshot){ .date = get32(head + 16), .date_ns = get32(head + 20),
                                 .vm_clock_ns = get64(head + 24),
                                  .vm_state = get32(head + 32), .size = q->b->size };
    *l1 = (struct qcow2_l1_place){ get64(head), get32(head + 8), extra };
    if (extra >= 8)
        s->vm_state = get64(head + 40);
    if (extra >= 16)
        s->size = get64(head + 48);
    strings = malloc(id + name + 1);
    if (!strings)
        return block_fail(e, ENOMEM, "out of memory");
    r = hostfile_read(&q->b->file, *off + ENTRY_FIXED + extra, strings, id + name);
    s->id = text(strings, id);
    s->name = text(strings + id, name);
    free(strings);
    if (r)
        return block_fail(e, -r, "%s: cannot read the snapshots: %s", q->b->name, strerror(-r));
    if (!s->id || !s->name)
        return block_fail(e, ENOMEM, "out of memory");
    *off += (ENTRY_FIXED + extra + id + name + 7) & ~(uint64_t)7;
    return 0;
}

int qcow2_snapshots_read(struct qcow2 *q, unsigned n, uint64_t off, struct block_error *e)
{
    int r = 0;

    if (!n)
        return 0;
    if (n > QCOW2_SNAPSHOTS_MAX)
        return block_fail(e, EINVAL, "%s: damaged: it says it has %u snapshots", q->b->name, n);
    if (off & (q->cluster - 1) || off >= q->b->file.size)
        return block_fail(e, EINVAL, "%s: damaged or truncated: its table of snapshots is not in the file",
                          q->b->name);
    q->snapshots_off = off;
    q->snapshots = calloc(n, sizeof(*q->snapshots));
    q->snapshot_l1 = calloc(n, sizeof(*q->snapshot_l1));
    if (!q->snapshots || !q->snapshot_l1)
        return block_fail(e, ENOMEM, "out of memory");
    while (!r && q->nsnapshots < n) {
        /* counted at once: what it has so far is freed with the rest */
        unsigned i = q->nsnapshots++;

        r = read_entry(q, &off, &q->snapshots[i], &q->snapshot_l1[i], e);
        if (!r && off - q->snapshots_off > TABLE_MAX)
            r = block_fail(e, EINVAL, "%s: damaged: its table of snapshots is too long", q->b->name);
        if (!r && off > q->b->file.size + 8)
            r = block_fail(e, EINVAL, "%s: truncated: its table of snapshots ends behind the file",
                           q->b->name);
    }
    q->snapshots_len = off - q->snapshots_off;
    return r;
}

int qcow2_snapshot_find(struct qcow2 *q, const char *name, unsigned *i, struct block_error *e)
{
    for (*i = 0; *i < q->nsnapshots; (*i)++)
        if (strcmp(q->snapshots[*i].id, name) == 0)
            return 0;
    for (*i = 0; *i < q->nsnapshots; (*i)++)
        if (strcmp(q->snapshots[*i].name, name) == 0)
            return 0;
    return block_fail(e, ENOENT, "%s: it has no snapshot '%s': latimer image info lists them", q->b->name, name);
}
