/*
 * qcow2_check.c - is the image consistent?
 *
 * All that refers to clusters is walked, and the references counted; then the counts are compared with
 * those in the file.  Too low a count is an error: the cluster would be given away twice.  Too high a one
 * is a leak. Leaks are repaired in place.  Errors are repaired by writing all refcounts anew, behind
 * everything else in the file, so that nothing is lost if this is cut off: what the header leads to is
 * either the old or the new ones, whole.
 *
 * References that lead nowhere cannot be repaired.  As long as there are any nothing is freed, since they
 * might have been meant for what seems leaked.
 *
 * One entry that leads far away makes a file of many TiB with nothing in it.  So references are counted in
 * parts, each of the clusters of one refcount block, and only parts that have any are there: time and memory
 * go with what the image holds, not with how long its file is.
 */
#include <stdlib.h>
#include <string.h>

#include "block/qcow2.h"

#define SNAPSHOT_EXTRA 16       /* bytes: what version 3 must say of a snapshot */
#define BITMAP_MAX ((uint64_t)512 << 20)        /* bytes; no more than others can open */

struct check {
    struct qcow2 *q;
    struct block_check *c;
    uint32_t **count;           /* references found, by parts; NULL: none */
    uint64_t n, parts;          /* clusters of the file */
    int error;                  /* no memory for a part */
    uint64_t lost;              /* references that lead nowhere */
    uint64_t low, high;         /* clusters whose count in the file is too low, too high */
    bool bad_blocks;            /* refcount blocks that cannot be used */
    uint64_t next;              /* where the cluster after the last would be, if in a row */
};

static void __attribute__((format(printf, 2, 3))) say(struct check *k, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    if (!k->c->say)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    k->c->say(k->c->arg, text);
}

#define LL(x) ((unsigned long long)(x))

static void lost(struct check *k, const char *what, uint64_t off, const char *why)
{
    k->lost++;
    say(k, "ERROR: %s at 0x%llx: %s", what, LL(off), why);
}

/* ---- references found ---- */

static uint64_t part_size(const struct check *k)
{
    return (uint64_t)1 << k->q->rb_bits;
}

static uint32_t counted(const struct check *k, uint64_t c)
{
    const uint32_t *part = c < k->n ? k->count[c >> k->q->rb_bits] : NULL;

    return part ? part[c & (part_size(k) - 1)] : 0;
}

static void count_up(struct check *k, uint32_t **count, uint64_t c)
{
    uint32_t **part = &count[c >> k->q->rb_bits], *at;

    if (!*part && !(*part = calloc(part_size(k), sizeof(**part)))) {
        k->error = -ENOMEM;
        return;
    }
    at = *part + (c & (part_size(k) - 1));
    *at += *at < UINT32_MAX;
}

static void counts_free(const struct check *k, uint32_t **count)
{
    for (uint64_t i = 0; count && i < k->parts; i++)
        free(count[i]);
    free(count);
}

static uint32_t **counts_copy(const struct check *k)
{
    uint32_t **to = calloc(k->parts, sizeof(*to));

    for (uint64_t i = 0; to && i < k->parts; i++) {
        if (!k->count[i])
            continue;
        to[i] = malloc(part_size(k) * sizeof(*to[i]));
        if (!to[i]) {
            counts_free(k, to);
            return NULL;
        }
        memcpy(to[i], k->count[i], part_size(k) * sizeof(*to[i]));
    }
    return to;
}

/* The cluster after the last that something refers to. */
static uint64_t counts_end(const struct check *k)
{
    for (uint64_t i = k->parts; i--;)
        for (uint64_t j = k->count[i] ? part_size(k) : 0; j--;)
            if (k->count[i][j])
                return (i << k->q->rb_bits) + j + 1;
    return 0;
}

/* One reference to the clusters these bytes are in. */
static bool refer(struct check *k, uint64_t off, uint64_t bytes, const char *what)
{
    uint64_t first = off >> k->q->cluster_bits, last = (off + bytes - 1) >> k->q->cluster_bits;

    if (!bytes)
        return true;
    if (off + bytes < off || last >= k->n) {
        lost(k, what, off, "lies behind the end of the file");
        return false;
    }
    for (uint64_t c = first; c <= last; c++)
        count_up(k, k->count, c);
    return true;
}

static bool place(struct check *k, uint64_t off, uint64_t bytes, const char *what)
{
    if (off & (k->q->cluster - 1)) {
        lost(k, what, off, "is no multiple of the cluster size");
        return false;
    }
    return refer(k, off, bytes, what);
}

/* Big-endian numbers of 64 bits. */
static int read_list(struct check *k, uint64_t off, uint64_t n, uint64_t **out)
{
    uint64_t *p = malloc(n * 8 + 8);
    int r = p ? hostfile_read(&k->q->b->file, off, p, n * 8) : -ENOMEM;

    if (r) {
        free(p);
        return r;
    }
    for (uint64_t i = 0; i < n; i++)
        p[i] = be64toh(p[i]);
    *out = p;
    return 0;
}

/* ---- counting ---- */

static void count_data(struct check *k, const uint64_t *p, bool active)
{
    struct qcow2 *q = k->q;
    uint64_t entry = p[0], off = entry & ENTRY_OFFSET, len;

    if (entry & ENTRY_COMPRESSED) {
        qcow2_compressed_place(q, entry, &off, &len);
        if (entry & ENTRY_COPIED)
            lost(k, "a compressed cluster", off, "is marked as not shared");
        if (q->subs > 1 && p[1])
            lost(k, "a compressed cluster", off, "has subclusters of its own");
        if (!refer(k, off, len, "a compressed cluster") || !active)
            return;
        k->c->allocated_clusters++;
        k->c->compressed_clusters++;
        k->c->fragmented_clusters++;    /* reading it moves the disk's head in any case */
        return;
    }
    if (entry & ~(ENTRY_COPIED | ENTRY_OFFSET | (q->version >= 3 && q->subs == 1 ? ENTRY_ZERO : 0)))
        lost(k, "a cluster", off, "its entry has reserved bits set");
    if (q->subs > 1) {
        uint32_t alloc = (uint32_t)p[1], zero = (uint32_t)(p[1] >> 32);

        if (alloc & zero || (alloc && !off))
            lost(k, "a cluster", off, "its subclusters are both data and zeros, or data without a place");
    }
    if (!off || !place(k, off, q->cluster, "a cluster") || !active)
        return;
    k->c->allocated_clusters++;
    k->c->fragmented_clusters += k->next && off != k->next;
    k->next = off + q->cluster;
}

static int count_tree(struct check *k, uint64_t l1_off, uint64_t l1_size, bool active)
{
    struct qcow2 *q = k->q;
    unsigned words = q->entry_size / 8;
    uint64_t *l1 = NULL, *l2;
    int r;

    if (!place(k, l1_off, l1_size * 8, "an L1 table") || !l1_size)
        return 0;
    r = read_list(k, l1_off, l1_size, &l1);
    for (uint64_t i = 0; !r && i < l1_size; i++) {
        uint64_t off = l1[i] & ENTRY_OFFSET;

        if (l1[i] & ~(ENTRY_COPIED | ENTRY_OFFSET))
            lost(k, "an L2 table", off, "its entry has reserved bits set");
        if (!active && l1[i] == ENTRY_COPIED)
            lost(k, "an L2 table", off, "its entry in a snapshot says that it is not shared, and not where it is");
        if (!off || !place(k, off, q->cluster, "an L2 table"))
            continue;
        r = read_list(k, off, q->cluster / 8, &l2);
        if (r)
            break;
        for (uint64_t j = 0; j < q->cluster / 8; j += words)
            count_data(k, l2 + j, active);
        free(l2);
    }
    free(l1);
    return r;
}

static int count_bitmaps(struct check *k)
{
    struct qcow2 *q = k->q;
    uint64_t at = q->bitmap_directory, end = at + q->bitmap_directory_size;
    int r = 0;

    if (!q->has_bitmaps || !(q->autoclear & AUTOCLEAR_BITMAPS))
        return 0;
    if (!place(k, at, q->bitmap_directory_size, "the directory of bitmaps"))
        return 0;
    for (unsigned i = 0; i < q->nbitmaps && at + 24 <= end && !r; i++) {
        uint8_t head[24];
        uint64_t off, *table;
        uint32_t n;

        r = hostfile_read(&q->b->file, at, head, sizeof(head));
        if (r)
            break;
        off = get64(head);
        n = get32(head + 8);
        at += (24 + (uint64_t)get32(head + 20) + ((unsigned)head[18] << 8 | head[19]) + 7) & ~(uint64_t)7;
        if ((uint64_t)n << q->cluster_bits > BITMAP_MAX) {
            lost(k, "a bitmap's table", off, "is too long");
            continue;
        }
        if (!place(k, off, (uint64_t)n * 8, "a bitmap's table"))
            continue;
        r = read_list(k, off, n, &table);
        for (uint32_t j = 0; !r && j < n; j++)
            if (table[j] & ENTRY_OFFSET)
                place(k, table[j] & ENTRY_OFFSET, q->cluster, "a bitmap's data");
        if (!r)
            free(table);
    }
    return r;
}

static int count_all(struct check *k)
{
    struct qcow2 *q = k->q;
    int r;

    refer(k, 0, 1, "the header");
    r = count_tree(k, q->l1_off, q->l1_size, true);
    if (!r && q->nsnapshots)
        place(k, q->snapshots_off, q->snapshots_len, "the table of snapshots");
    for (unsigned i = 0; i < q->nsnapshots && !r; i++) {
        if (q->version >= 3 && q->snapshot_l1[i].extra < SNAPSHOT_EXTRA)
            lost(k, "the table of snapshots", q->snapshots_off, "an entry does not tell the disk's size");
        if (q->snapshot_l1[i].size > QCOW2_L1_MAX / 8)
            lost(k, "a snapshot's L1 table", q->snapshot_l1[i].off, "is too long");
        else
            r = count_tree(k, q->snapshot_l1[i].off, q->snapshot_l1[i].size, false);
    }
    return r ? r : count_bitmaps(k);
}

/* Those of the refcounts themselves, apart: new ones take their place. */
static void count_refcounts(struct check *k)
{
    struct qcow2 *q = k->q;
    uint64_t before = k->lost;

    place(k, q->rt_off, (uint64_t)q->rt_size * 8, "the refcount table");
    for (unsigned i = 0; i < q->rt_size; i++) {
        if (q->rt[i] & 511)
            lost(k, "a refcount block", q->rt[i], "its entry has reserved bits set");
        else if (q->rt[i] && place(k, q->rt[i], q->cluster, "a refcount block") &&
                 counted(k, q->rt[i] >> q->cluster_bits) > 1) {
            say(k, "ERROR: a refcount block at 0x%llx: its cluster is used for something else, too",
                LL(q->rt[i]));
            k->bad_blocks = true;
        }
    }
    k->bad_blocks |= k->lost != before;
    k->lost = before;           /* that can be repaired */
}

/* ---- comparing ---- */

static int compare(struct check *k, bool fix_leaks)
{
    struct qcow2 *q = k->q;
    int r = 0;

    for (unsigned i = 0; i < q->rt_size && !r; i++) {
        uint64_t first = (uint64_t)i << q->rb_bits, entries = (uint64_t)1 << q->rb_bits;
        struct qcow2_table *t = NULL;

        if (q->rt[i] && !(q->rt[i] & (q->cluster - 1)) && q->rt[i] < q->b->file.size)
            r = qcow2_cache_get(&q->rb, q->rt[i], &t);
        if (!t && (i >= k->parts || !k->count[i]))
            continue;           /* all are 0 there, and nobody refers to them */
        for (uint64_t j = 0; j < entries && !r; j++) {
            uint64_t have = t ? qcow2_count_get(t->data, q->refcount_order, j) : 0;
            uint64_t want = counted(k, first + j);

            if (have == want)
                continue;
            say(k, "%s: cluster %llu: refcount %llu, %llu references", have < want ? "ERROR" : "leaked",
                LL(first + j), LL(have), LL(want));
            k->low += have < want;
            k->high += have > want;
            if (have > want && fix_leaks) {
                uint64_t byte = (j << q->refcount_order) / 8;

                qcow2_count_set(t->data, q->refcount_order, j, want);
                qcow2_dirty(&q->rb, t, (unsigned)byte, (unsigned)byte + 1);
                if (q->rb.dirty >= q->rb.limit / 2)
                    r = qcow2_cache_write(&q->rb);
            }
        }
    }
    for (uint64_t i = q->rt_size; i < k->parts; i++) {
        for (uint64_t j = 0; k->count[i] && j < part_size(k); j++) {
            if (!k->count[i][j])
                continue;
            say(k, "ERROR: cluster %llu: refcount 0, %u references", LL((i << q->rb_bits) + j), k->count[i][j]);
            k->low++;
        }
    }
    return r;
}

/* ---- the marks that say "used once" ---- */

static bool mark_is_wrong(struct check *k, uint64_t entry, uint64_t off, bool rebuilt)
{
    uint64_t c = off >> k->q->cluster_bits, count = 0;

    if (!off || (off & (k->q->cluster - 1)) || c >= k->n)
        return false;
    if (rebuilt)
        count = counted(k, c);
    else if (qcow2_ref_get(k->q, c, &count))
        return false;
    return (count == 1) != !!(entry & ENTRY_COPIED);
}

/* Turns the mark of the entry at `at` round, if that is wanted. */
static int wrong_mark(struct check *k, uint64_t at, uint64_t entry, bool fix)
{
    uint8_t raw[8];

    say(k, "%s: the entry at 0x%llx says that 0x%llx is %s", fix ? "repairing" : "ERROR", LL(at), LL(entry & ENTRY_OFFSET),
        !(entry & ENTRY_OFFSET) ? "not shared, but there is nothing" :
        entry & ENTRY_COPIED ? "not shared, but it is" : "shared, but it is not");
    if (!fix) {
        k->c->corruptions++;
        return 0;
    }
    k->c->fixed_corruptions++;
    put64(raw, entry ^ ENTRY_COPIED);
    return hostfile_write(&k->q->b->file, at, raw, sizeof(raw));
}

static int check_marks(struct check *k, bool rebuilt, bool fix)
{
    struct qcow2 *q = k->q;
    unsigned words = q->entry_size / 8;
    int r = 0;

    for (unsigned i = 0; i < q->l1_size && !r; i++) {
        uint64_t off = q->l1[i] & ENTRY_OFFSET, *l2;

        /* A table that is nowhere has no mark: others take it for one in the image's header. */
        if ((off & (q->cluster - 1)) || off >= q->b->file.size)
            continue;
        if (off ? mark_is_wrong(k, q->l1[i], off, rebuilt) : q->l1[i] & ENTRY_COPIED) {
            r = wrong_mark(k, q->l1_off + (uint64_t)i * 8, q->l1[i], fix);
            if (fix)
                q->l1[i] ^= ENTRY_COPIED;
        }
        if (!off)
            continue;
        if (!r)
            r = read_list(k, off, q->cluster / 8, &l2);
        if (r)
            break;
        for (uint64_t j = 0; j < q->cluster / 8 && !r; j += words)
            if (!(l2[j] & ENTRY_COMPRESSED) && mark_is_wrong(k, l2[j], l2[j] & ENTRY_OFFSET, rebuilt))
                r = wrong_mark(k, off + j * 8, l2[j], fix);
        free(l2);
    }
    return r;
}

/* ---- all refcounts anew ---- */

static bool block_needed(const struct check *k, uint64_t i, uint64_t start, uint64_t end)
{
    uint64_t first = i << k->q->rb_bits, last = first + part_size(k);

    return (first < end && last > start) || (i < k->parts && k->count[i]);
}

static uint64_t new_count(const struct check *k, uint64_t c, uint64_t start, uint64_t end)
{
    return c >= start && c < end ? 1 : counted(k, c);
}

static int write_blocks(struct check *k, uint64_t *rt, uint64_t rt_entries, uint64_t start, uint64_t end,
                        uint64_t at)
{
    struct qcow2 *q = k->q;
    uint64_t max = q->refcount_order >= 5 ? UINT32_MAX : ((uint64_t)1 << (1u << q->refcount_order)) - 1;
    uint8_t *block = hostfile_buffer(q->cluster);
    int r = block ? 0 : -ENOMEM;

    for (uint64_t i = 0; i < rt_entries && !r; i++) {
        if (!block_needed(k, i, start, end))
            continue;
        memset(block, 0, q->cluster);
        for (uint64_t j = 0; j < part_size(k) && !r; j++) {
            uint64_t count = new_count(k, (i << q->rb_bits) + j, start, end);

            if (count > max)
                r = -EMLINK;
            else if (count)
                qcow2_count_set(block, q->refcount_order, j, count);
        }
        if (!r)
            r = hostfile_write(&q->b->file, at, block, q->cluster);
        rt[i] = at;
        at += q->cluster;
    }
    free(block);
    return r;
}

/* From cluster `start` on.  k->count is without the old refcounts' clusters, which stay untouched. */
static int rebuild(struct check *k, uint64_t start)
{
    struct qcow2 *q = k->q;
    uint64_t end = start + 2, blocks, table, entries, *rt, *raw;
    uint8_t place_of[12];
    int r;

    /* Their own clusters are counted as well: more of them until it fits. */
    for (;;) {
        entries = (end + part_size(k) - 1) >> q->rb_bits;
        table = qcow2_clusters(q, entries * 8);
        blocks = 0;
        for (uint64_t i = 0; i < entries; i++)
            blocks += block_needed(k, i, start, end);
        if (start + table + blocks == end)
            break;
        end = start + table + blocks;
    }
    if (table << q->cluster_bits > QCOW2_RT_MAX)
        return -EFBIG;
    rt = calloc(table, q->cluster);
    raw = calloc(table, q->cluster);
    r = rt && raw ? write_blocks(k, rt, entries, start, end, (start + table) << q->cluster_bits) : -ENOMEM;
    for (uint64_t i = 0; i < entries && !r; i++)
        raw[i] = htobe64(rt[i]);
    if (!r)
        r = hostfile_write(&q->b->file, start << q->cluster_bits, raw, table << q->cluster_bits);
    if (!r)
        r = hostfile_sync(&q->b->file);
    put64(place_of, start << q->cluster_bits);
    put32(place_of + 8, (uint32_t)table);
    if (!r)
        r = qcow2_put_header(q, H_RT, place_of, sizeof(place_of));
    if (!r)
        r = hostfile_sync(&q->b->file);
    free(raw);
    if (r) {
        free(rt);
        return r;
    }
    free(q->rt);
    q->rt = rt;
    q->rt_off = start << q->cluster_bits;
    q->rt_size = (unsigned)((table << q->cluster_bits) / 8);
    q->hint = 0;
    qcow2_cache_free(&q->rb);
    return qcow2_cache_init(&q->rb, q, (size_t)4 << 20);
}

/* ---- all of it ---- */

/* What seems leaked while something leads nowhere stays: new refcounts are none below the old. */
static void keep_leaks(struct check *k, uint32_t **without)
{
    struct qcow2 *q = k->q;

    for (uint64_t i = 0; i < q->rt_size && i < k->parts; i++) {
        for (uint64_t j = 0; q->rt[i] && j < part_size(k); j++) {
            uint64_t c = (i << q->rb_bits) + j, count;

            if (c < k->n && !counted(k, c) && !qcow2_ref_get(q, c, &count) && count)
                count_up(k, without, c);
        }
    }
}

static int repair_errors(struct check *k, uint32_t **without)
{
    uint32_t **all = k->count;
    int r;

    /* Old refcounts lie wherever they are, known or not: nothing is behind the file's end. */
    k->count = without;
    r = rebuild(k, k->n);
    if (r)
        k->count = all;
    else
        counts_free(k, all);
    return r;
}

static int clear_marks_of_damage(struct check *k)
{
    struct qcow2 *q = k->q;
    uint64_t damage = INCOMPATIBLE_DIRTY | INCOMPATIBLE_CORRUPT;
    uint8_t raw[8];
    int r;

    if (!(q->incompatible & damage))
        return 0;
    r = hostfile_sync(&q->b->file);
    if (r)
        return r;
    q->incompatible &= ~damage;
    q->b->problem = NULL;
    put64(raw, q->incompatible);
    r = qcow2_put_header(q, H_INCOMPATIBLE, raw, sizeof(raw));
    return r ? r : hostfile_sync(&q->b->file);
}

static int check(struct check *k, unsigned fix)
{
    struct qcow2 *q = k->q;
    struct block_check *c = k->c;
    uint32_t **without = NULL;
    bool rebuilt = false;
    int r = count_all(k);

    if (!r && (fix & BLOCK_FIX_ERRORS)) {
        without = counts_copy(k);
        if (!without)
            return -ENOMEM;
    }
    if (!r) {
        count_refcounts(k);
        r = k->error;
    }
    if (!r)
        r = compare(k, (fix & BLOCK_FIX_LEAKS) && !k->lost && !k->bad_blocks);
    if (!r)
        c->end = counts_end(k) << q->cluster_bits;
    if (!r && (fix & BLOCK_FIX_ERRORS) && (k->low || k->bad_blocks)) {
        if (k->lost)
            keep_leaks(k, without);
        r = k->error ? k->error : repair_errors(k, without);
        if (!r) {
            without = NULL;
            rebuilt = true;
            c->fixed_corruptions += k->low + k->bad_blocks;
            c->fixed_leaks += k->lost ? 0 : k->high;
            k->low = 0;
            k->high = k->lost ? k->high : 0;
            k->bad_blocks = false;
        }
    } else if (!r && (fix & BLOCK_FIX_LEAKS) && !k->lost && !k->bad_blocks) {
        r = qcow2_cache_write(&q->rb);
        c->fixed_leaks += k->high;
        k->high = 0;
    }
    counts_free(k, without);
    c->corruptions += k->lost + k->low + k->bad_blocks;
    c->leaks += k->high;
    if (!r)
        r = check_marks(k, rebuilt, fix & BLOCK_FIX_ERRORS);
    if (!r && (fix & BLOCK_FIX_ERRORS) && !c->corruptions)
        r = clear_marks_of_damage(k);
    return r;
}

int qcow2_check(struct block *b, struct block_check *c, unsigned fix, struct block_error *e)
{
    struct qcow2 *q = b->state;
    struct check k = { .q = q, .c = c, .n = qcow2_clusters(q, b->file.size) };
    int r;

    c->total_clusters = qcow2_clusters(q, b->size);
    k.parts = (k.n + part_size(&k) - 1) >> q->rb_bits;
    if (k.parts > QCOW2_RT_MAX / 8)
        return block_fail(e, EFBIG, "%s: its file has %llu bytes, more than such an image's refcounts can count: was it made "
                          "longer by accident?", b->name, LL(b->file.size));
    k.count = calloc(k.parts, sizeof(*k.count));
    if (!k.count)
        return block_fail(e, ENOMEM, "%s: out of memory: its file has %llu clusters", b->name, LL(k.n));
    r = check(&k, fix);
    counts_free(&k, k.count);
    if (!r && fix)
        r = hostfile_sync(&b->file);
    return r ? block_fail(e, -r, "%s: the check broke off: %s", b->name,
                          r == -EMLINK ? "more references than its refcounts can count" : strerror(-r)) : 0;
}
