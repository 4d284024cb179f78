/*
 * qcow2_snapshot_edit.c - making, going back to and deleting internal snapshots.
 *
 * A snapshot is a copy of the L1 table. It shares everything beneath with the disk: what an L1 table leads to, L2 tables and
 * what these lead to, counts once for each L1 table. An entry says "copied" where the count is one, so that the disk
 * may write in place; after every change of counts here all entries of the disk are looked at again.
 *
 * State of the machine that belongs to a snapshot lies behind the disk's end, from the next L1 entry on, and is a disk's
 * contents as others are; the disk itself has none of it but while one is being made.
 *
 * Order: counts that go up are on the disk before what makes them necessary, counts that go down after it. Where it is cut
 * off clusters count too often or are not said to be the disk's own; no data is at risk, and check -r mends it.
 */
#include <stdlib.h>
#include <string.h>

#include "block/qcow2.h"

#define HEAD 40                 /* bytes of an entry before extra data and names */
#define EXTRA 16                /* of ours: length of the machine's state, size of the disk */

static uint64_t table_bytes(const struct qcow2 *q)
{
    return (uint64_t)1 << q->l2_bits << q->cluster_bits;
}

uint64_t qcow2_state_offset(const struct qcow2 *q)
{
    uint64_t table = table_bytes(q);

    return (q->b->size + table - 1) / table * table;
}

/* ---- walking ---- */

/* What to do with a reference to the clusters these bytes are in. */
typedef int reference_fn(struct qcow2 *q, uint64_t off, uint64_t bytes);

/* What one L2 table leads to. *most: how many references may still be looked at. */
static int each_entry(struct qcow2 *q, uint64_t l2, reference_fn *fn, uint64_t *most)
{
    for (unsigned j = 0; j < 1u << q->l2_bits && *most; j++) {
        struct qcow2_table *t;
        struct qcow2_entry x;
        uint64_t off, len;
        int r = qcow2_cache_get(&q->l2, l2, &t);        /* each time: fn may need the cache, too */

        if (!r)
            r = qcow2_entry_get(q, t, j, &x);
        if (r)
            return r;
        off = x.host;
        len = q->cluster;
        if (x.compressed)
            qcow2_compressed_place(q, x.entry, &off, &len);
        else if (!off)
            continue;
        r = fn(q, off, len);
        if (r)
            return r;
        (*most)--;
    }
    return 0;
}

/* The same of a tree, in an order of its own. */
static int each_reference(struct qcow2 *q, const uint64_t *l1, unsigned n, reference_fn *fn, uint64_t *most)
{
    for (unsigned i = 0; i < n && *most; i++) {
        uint64_t l2 = l1[i] & ENTRY_OFFSET;
        int r = l2 ? qcow2_make_room(q) : 0;

        if (!r && l2)
            r = each_entry(q, l2, fn, most);
        if (!r && l2 && *most) {
            r = fn(q, l2, q->cluster);
            *most -= !r;
        }
        if (r)
            return r;
    }
    return 0;
}

/* All clusters these bytes are in, or none. */
static int count_up(struct qcow2 *q, uint64_t off, uint64_t bytes)
{
    uint64_t first = off >> q->cluster_bits, last = (off + bytes - 1) >> q->cluster_bits;

    for (uint64_t c = first; c <= last; c++) {
        int r = qcow2_ref_up(q, c);

        if (r) {
            qcow2_ref_down(q, first, c - first);
            return r;
        }
    }
    return 0;
}

static int count_down(struct qcow2 *q, uint64_t off, uint64_t bytes)
{
    uint64_t first = off >> q->cluster_bits, last = (off + bytes - 1) >> q->cluster_bits;

    return qcow2_ref_down(q, first, last - first + 1);
}

/* Everything the tree leads to counts once more, or nothing does. */
static int share(struct qcow2 *q, const uint64_t *l1, unsigned n, struct block_error *e)
{
    uint64_t left = UINT64_MAX, done;
    int r = each_reference(q, l1, n, count_up, &left);

    if (!r)
        return 0;
    done = UINT64_MAX - left;
    each_reference(q, l1, n, count_down, &done);
    if (r == -EMLINK)
        return block_fail(e, EMLINK, "%s: its refcounts of %u bits have no room for one more snapshot: delete one, or "
                          "convert it by latimer image convert -o refcount_bits=16", q->b->name, 1u << q->refcount_order);
    return block_fail(e, -r, "%s: cannot be written: %s", q->b->name, strerror(-r));
}

static int give_up(struct qcow2 *q, uint64_t off, uint64_t bytes)
{
    int r = qcow2_make_room(q);

    return r ? r : qcow2_free_later(q, off, bytes);
}

static int give_up_tree(struct qcow2 *q, const uint64_t *l1, unsigned n)
{
    uint64_t all = UINT64_MAX;

    return each_reference(q, l1, n, give_up, &all);
}

static void l1_dirty(struct qcow2 *q, unsigned i)
{
    if (q->l1_lo == q->l1_hi) {
        q->l1_lo = i;
        q->l1_hi = i + 1;
    }
    q->l1_lo = i < q->l1_lo ? i : q->l1_lo;
    q->l1_hi = i + 1 > q->l1_hi ? i + 1 : q->l1_hi;
}

static int say_copied(struct qcow2 *q, uint64_t *entry, bool *changed)
{
    uint64_t count, now = *entry & ~ENTRY_COPIED;
    int r = qcow2_ref_get(q, (*entry & ENTRY_OFFSET) >> q->cluster_bits, &count);

    if (count == 1)
        now |= ENTRY_COPIED;
    *changed = now != *entry;
    *entry = now;
    return r;
}

/* The disk's entries say what is its own alone. */
static int mark_copied(struct qcow2 *q)
{
    int r = 0;

    for (unsigned i = 0; i < q->l1_size && !r; i++) {
        uint64_t l2 = q->l1[i] & ENTRY_OFFSET;
        bool changed;

        if (!l2)
            continue;
        for (unsigned j = 0; j < 1u << q->l2_bits && !r; j++) {
            struct qcow2_table *t;
            uint8_t *p;
            uint64_t entry;

            if ((r = qcow2_make_room(q)) || (r = qcow2_cache_get(&q->l2, l2, &t)))
                break;
            p = t->data + (size_t)j * q->entry_size;
            entry = get64(p);
            if (entry & ENTRY_COMPRESSED || !(entry & ENTRY_OFFSET))
                continue;
            r = say_copied(q, &entry, &changed);
            if (r || !changed)
                continue;
            put64(p, entry);
            qcow2_dirty(&q->l2, t, j * q->entry_size, (j + 1) * q->entry_size);
        }
        if (!r)
            r = say_copied(q, &q->l1[i], &changed);
        if (!r && changed)
            l1_dirty(q, i);
    }
    return r ? r : qcow2_commit(q, true);
}

/* ---- the table of snapshots ---- */

static size_t entry_len(const uint8_t *p)
{
    size_t id = (size_t)p[12] << 8 | p[13], name = (size_t)p[14] << 8 | p[15];

    return (HEAD + get32(p + 36) + id + name + 7) & ~(size_t)7;
}

/* Clusters of its own for these bytes, which are written. */
static int put_new(struct qcow2 *q, const void *data, uint64_t bytes, uint64_t *off)
{
    uint64_t first, n, want = qcow2_clusters(q, bytes);
    int r = qcow2_alloc(q, want, want, &first, &n);

    if (r)
        return r;
    *off = first << q->cluster_bits;
    r = qcow2_meta_add(q, *off, bytes);
    if (!r)
        r = hostfile_write(&q->b->file, *off, data, bytes);
    if (r) {
        qcow2_meta_remove(q, *off, bytes);
        qcow2_ref_down(q, first, n);
    }
    return r;
}

/* n entries in `len` bytes take the place of the table there is. */
static int put_table(struct qcow2 *q, const uint8_t *table, size_t len, unsigned n, struct block_error *e)
{
    uint64_t old = q->snapshots_off, old_len = q->snapshots_len, off = 0;
    unsigned had = q->nsnapshots;
    uint8_t place[12];
    int r = len ? put_new(q, table, len, &off) : 0;

    if (!r)
        r = qcow2_commit(q, true);
    if (!r) {
        put32(place, n);
        put64(place + 4, off);
        r = qcow2_put_header(q, H_NSNAPSHOTS, place, sizeof(place));
    }
    if (!r)
        r = hostfile_sync(&q->b->file);
    if (r)
        return block_fail(e, -r, "%s: cannot write its table of snapshots: %s", q->b->name, strerror(-r));
    if (had) {
        qcow2_meta_remove(q, old, old_len);
        qcow2_free_later(q, old, old_len);
    }
    qcow2_snapshots_free(q);
    q->snapshots_len = 0;
    return qcow2_snapshots_read(q, n, off, e);
}

/* The table as it is in the file; *out has room for `more` bytes behind it. */
static int get_table(struct qcow2 *q, size_t more, uint8_t **out, struct block_error *e)
{
    size_t len = q->nsnapshots ? q->snapshots_len : 0;
    int r;

    *out = calloc(1, len + more + 8);
    r = !*out ? -ENOMEM : len ? hostfile_read(&q->b->file, q->snapshots_off, *out, len) : 0;
    if (r)
        return block_fail(e, -r, "%s: cannot read its table of snapshots: %s", q->b->name, strerror(-r));
    return 0;
}

/* A snapshot's L1 table, in host byte order. */
static int get_l1(struct qcow2 *q, unsigned i, uint64_t **out, struct block_error *e)
{
    const struct qcow2_l1_place *p = &q->snapshot_l1[i];
    uint64_t bytes = (uint64_t)p->size * 8;
    int r;

    if (bytes > QCOW2_L1_MAX || p->off & (q->cluster - 1) || p->off > q->b->file.size || bytes > q->b->file.size - p->off)
        return block_fail(e, EIO, "%s: damaged: snapshot '%s' is not in the file", q->b->name, q->snapshots[i].name);
    *out = calloc(1, bytes + 8);
    r = *out ? hostfile_read(&q->b->file, p->off, *out, bytes) : -ENOMEM;
    if (r)
        return block_fail(e, -r, "%s: cannot read snapshot '%s': %s", q->b->name, q->snapshots[i].name, strerror(-r));
    for (unsigned k = 0; k < p->size; k++)
        (*out)[k] = be64toh((*out)[k]);
    return 0;
}

/* ---- making one ---- */

/* The machine's state goes behind the disk's end. */
static int put_state(struct qcow2 *q, const void *state, uint64_t len, struct block_error *e)
{
    uint64_t at = qcow2_state_offset(q), end = (uint64_t)q->l1_size * table_bytes(q);
    int r = end > at ? qcow2_drop_locked(q, at, end - at) : 0;

    if (r)
        return block_fail(e, -r, "%s: cannot be written: %s", q->b->name, strerror(-r));
    if (!len)
        return 0;
    r = qcow2_grow_l1(q, at + len, e);
    if (r)
        return r;
    for (uint64_t done = 0, n; done < len && !r; done += n) {
        n = len - done < 1u << 20 ? len - done : 1u << 20;
        r = qcow2_write_locked(q, at + done, (const uint8_t *)state + done, n);
    }
    return r ? block_fail(e, -r, "%s: the machine's state cannot be written: %s", q->b->name, strerror(-r)) : 0;
}

static int drop_state(struct qcow2 *q)
{
    uint64_t at = qcow2_state_offset(q), end = (uint64_t)q->l1_size * table_bytes(q);

    return end > at ? qcow2_drop_locked(q, at, end - at) : 0;
}

static unsigned next_id(const struct qcow2 *q)
{
    unsigned max = 0;

    for (unsigned i = 0; i < q->nsnapshots; i++) {
        unsigned id = (unsigned)strtoul(q->snapshots[i].id, NULL, 10);

        max = id > max ? id : max;
    }
    return max + 1;
}

/* The entry of a new one behind the others. */
static int add_entry(struct qcow2 *q, const struct block_snapshot *s, uint64_t l1_off, struct block_error *e)
{
    size_t old = q->nsnapshots ? q->snapshots_len : 0, name_len = strlen(s->name), id_len;
    uint8_t *table, *p;
    char id[16];
    int r;

    id_len = (size_t)snprintf(id, sizeof(id), "%u", next_id(q));
    r = get_table(q, HEAD + EXTRA + id_len + name_len, &table, e);
    if (r) {
        free(table);
        return r;
    }
    p = table + old;
    put64(p, l1_off);
    put32(p + 8, q->l1_size);
    p[13] = (uint8_t)id_len;
    p[14] = (uint8_t)(name_len >> 8);
    p[15] = (uint8_t)name_len;
    put32(p + 16, s->date);
    put32(p + 20, s->date_ns);
    put64(p + 24, s->vm_clock_ns);
    put32(p + 32, s->vm_state > UINT32_MAX ? 0 : (uint32_t)s->vm_state);
    put32(p + 36, EXTRA);
    put64(p + HEAD, s->vm_state);
    put64(p + HEAD + 8, q->b->size);
    memcpy(p + HEAD + EXTRA, id, id_len);
    memcpy(p + HEAD + EXTRA + id_len, s->name, name_len);
    r = put_table(q, table, old + entry_len(p), q->nsnapshots + 1, e);
    free(table);
    return r;
}

static int create(struct qcow2 *q, const struct block_snapshot *s, const void *state, struct block_error *e)
{
    uint64_t l1_off = 0, bytes, *copy;
    int r = put_state(q, state, s->vm_state, e);

    if (r)
        return r;
    r = qcow2_commit(q, true);
    if (r)
        return block_fail(e, -r, "%s: cannot be written: %s", q->b->name, strerror(-r));
    r = share(q, q->l1, q->l1_size, e);
    if (r)
        return r;
    r = mark_copied(q);
    if (r)
        return block_fail(e, -r, "%s: cannot be written: %s: it has a leak now (check -r leaks)", q->b->name, strerror(-r));
    bytes = (uint64_t)q->l1_size * 8;
    copy = malloc(bytes + 8);
    for (unsigned i = 0; copy && i < q->l1_size; i++)
        copy[i] = htobe64(q->l1[i] & ~ENTRY_COPIED);
    r = copy ? put_new(q, copy, bytes ? bytes : 1, &l1_off) : -ENOMEM;
    free(copy);
    if (r)
        return block_fail(e, -r, "%s: cannot be written: %s: it has a leak now (check -r leaks)", q->b->name, strerror(-r));
    return add_entry(q, s, l1_off, e);
}

int qcow2_snapshot_create(struct block *b, const struct block_snapshot *s, const void *state, struct block_error *e)
{
    struct qcow2 *q = b->state;
    unsigned i;
    int r;

    if (!s->name[0] || strlen(s->name) > 255)
        return block_fail(e, EINVAL, "%s: a snapshot's name has 1 to 255 bytes", b->name);
    if (qcow2_snapshot_find(q, s->name, &i, e) == 0)
        return block_fail(e, EEXIST, "%s: there is a snapshot '%s' already", b->name, s->name);
    if (q->nsnapshots == QCOW2_SNAPSHOTS_MAX)
        return block_fail(e, ENOSPC, "%s: it has %u snapshots, which is as many as there can be", b->name, q->nsnapshots);
    if (q->version < 3)
        return block_fail(e, ENOTSUP, "%s: a version 2 image does not record its snapshots' size: convert it by latimer "
                          "image convert", b->name);
    pthread_rwlock_wrlock(&q->lock);
    r = create(q, s, state, e);
    if (!r && (drop_state(q) || qcow2_commit(q, true)))
        r = block_fail(e, EIO, "%s: cannot be written", b->name);
    pthread_rwlock_unlock(&q->lock);
    return r;
}

/* ---- going back, deleting ---- */

static int apply(struct qcow2 *q, unsigned i, uint64_t *l1, struct block_error *e)
{
    unsigned size = q->snapshot_l1[i].size, old_size = q->l1_size;
    uint64_t *old = q->l1, old_off = q->l1_off, first, n, bytes, want;
    int r = qcow2_commit(q, true);

    /* No shorter than the disk needs. */
    size = size > old_size ? size : old_size;
    bytes = (uint64_t)size * 8;
    want = qcow2_clusters(q, bytes);
    if (r)
        return block_fail(e, -r, "%s: cannot be written: %s", q->b->name, strerror(-r));
    r = share(q, l1, q->snapshot_l1[i].size, e);
    if (r)
        return r;
    r = qcow2_alloc(q, want, want, &first, &n);
    if (r)
        return block_fail(e, -r, "%s: cannot be written: %s: it has a leak now (check -r leaks)", q->b->name, strerror(-r));
    for (unsigned k = 0; k < old_size; k++)
        if (old[k] & ENTRY_OFFSET)
            qcow2_meta_remove(q, old[k] & ENTRY_OFFSET, q->cluster);
    qcow2_meta_remove(q, old_off, (uint64_t)old_size * 8);
    q->l1 = l1;
    q->l1_off = first << q->cluster_bits;
    q->l1_size = size;
    q->l1_lo = 0;
    q->l1_hi = size;
    q->l1_header = true;
    qcow2_meta_add(q, q->l1_off, bytes);
    for (unsigned k = 0; k < size; k++) {
        l1[k] &= ~ENTRY_COPIED;
        if (l1[k])
            qcow2_meta_add(q, l1[k] & ENTRY_OFFSET, q->cluster);
    }
    r = qcow2_commit(q, true);
    if (!r)
        r = give_up_tree(q, old, old_size);
    if (!r)
        r = give_up(q, old_off, (uint64_t)old_size * 8);
    free(old);
    if (!r)
        r = drop_state(q);
    if (!r)
        r = qcow2_commit(q, true);
    if (!r)
        r = mark_copied(q);
    return r ? block_fail(e, -r, "%s: cannot be written: %s", q->b->name, strerror(-r)) : 0;
}

int qcow2_snapshot_apply(struct block *b, const char *name, struct block_error *e)
{
    struct qcow2 *q = b->state;
    uint64_t *l1 = NULL, *longer;
    unsigned i;
    int r;

    pthread_rwlock_wrlock(&q->lock);
    r = qcow2_snapshot_find(q, name, &i, e);
    if (!r && q->snapshots[i].size != b->size)
        r = block_fail(e, EINVAL, "%s: when snapshot '%s' was made it had another size, %llu bytes", b->name, name,
                       (unsigned long long)q->snapshots[i].size);
    if (!r)
        r = get_l1(q, i, &l1, e);
    if (!r && q->l1_size > q->snapshot_l1[i].size) {
        longer = calloc(q->l1_size, 8);
        if (longer)
            memcpy(longer, l1, (size_t)q->snapshot_l1[i].size * 8);
        free(l1);
        l1 = longer;
        if (!l1)
            r = block_fail(e, ENOMEM, "out of memory");
    }
    if (!r) {
        uint64_t *mine = q->l1;

        r = apply(q, i, l1, e);
        if (q->l1 == mine)
            free(l1);           /* it did not come so far */
    } else {
        free(l1);
    }
    pthread_rwlock_unlock(&q->lock);
    return r;
}

static int delete(struct qcow2 *q, unsigned i, struct block_error *e)
{
    unsigned size = q->snapshot_l1[i].size;
    uint64_t *l1 = NULL, off = q->snapshot_l1[i].off;
    uint8_t *table = NULL, *p, *end;
    size_t len;
    int r = get_l1(q, i, &l1, e);

    if (!r)
        r = get_table(q, 0, &table, e);
    if (!r) {
        p = table;
        end = table + q->snapshots_len;
        for (unsigned k = 0; k < i; k++)
            p += entry_len(p);
        len = entry_len(p);
        memmove(p, p + len, (size_t)(end - p) - len);
        r = put_table(q, table, q->snapshots_len - len, q->nsnapshots - 1, e);
    }
    free(table);
    if (!r) {
        r = give_up_tree(q, l1, size);
        qcow2_meta_remove(q, off, (uint64_t)size * 8);
        if (!r)
            r = give_up(q, off, (uint64_t)size * 8);
        if (!r)
            r = qcow2_commit(q, true);
        if (!r)
            r = mark_copied(q);
        if (r)
            block_fail(e, -r, "%s: cannot be written: %s: it has a leak now (check -r leaks)", q->b->name, strerror(-r));
    }
    free(l1);
    return r;
}

int qcow2_snapshot_delete(struct block *b, const char *name, struct block_error *e)
{
    struct qcow2 *q = b->state;
    unsigned i;
    int r;

    pthread_rwlock_wrlock(&q->lock);
    r = qcow2_snapshot_find(q, name, &i, e);
    if (!r)
        r = delete(q, i, e);
    pthread_rwlock_unlock(&q->lock);
    return r;
}

/* Behind the end of the disk as it was then, by the snapshot's own L1 table, which takes the disk's place meanwhile. */
int qcow2_snapshot_state(struct block *b, const char *name, void *buf, size_t len, struct block_error *e)
{
    struct qcow2 *q = b->state;
    uint64_t *mine = q->l1, *l1 = NULL, size = b->size;
    unsigned mine_size = q->l1_size, i;
    int r;

    pthread_rwlock_wrlock(&q->lock);
    r = qcow2_snapshot_find(q, name, &i, e);
    if (!r && len > q->snapshots[i].vm_state)
        r = block_fail(e, EINVAL, "%s: snapshot '%s' has less of a machine's state", b->name, name);
    if (!r)
        r = get_l1(q, i, &l1, e);
    if (!r) {
        uint64_t at, end;

        b->size = q->snapshots[i].size;
        q->l1 = l1;
        q->l1_size = q->snapshot_l1[i].size;
        at = qcow2_state_offset(q);
        end = (uint64_t)q->l1_size * table_bytes(q);
        r = at > end || len > end - at ? -EIO : qcow2_read_locked(q, at, buf, len);
        if (r)
            block_fail(e, -r, "%s: the machine's state in snapshot '%s' cannot be read: %s", b->name, name, strerror(-r));
        b->size = size;
        q->l1 = mine;
        q->l1_size = mine_size;
    }
    pthread_rwlock_unlock(&q->lock);
    free(l1);
    return r;
}
