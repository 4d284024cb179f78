/* image_info.c - latimer image info and check: what they print, for people and as JSON with qemu-img's
   names. */
#include "main/image.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"

static void size_text(uint64_t n, char *out, size_t size)
{
    static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double x = (double)n;
    unsigned u = 0;

    for (; x >= 1024 && u < 6; u++)
        x /= 1024;
    snprintf(out, size, "%.3g %s", x, units[u]);
}

static void print_json(json_t *j)
{
    if (!j || json_dumpf(j, stdout, JSON_INDENT(4)) < 0)
        die(EXIT_CODE_HOST, "cannot write JSON: out of memory, or a file's name is no UTF-8");
    printf("\n");
    json_decref(j);
}

/* File names that are no UTF-8 still have to be printed. */
static json_t *text(const char *s)
{
    json_t *j = json_string(s);

    return j ? j : json_string("?");
}

/* ---- info ---- */

static json_t *snapshot_json(const struct block_snapshot *s)
{
    return json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:I}", "id", text(s->id), "name", text(s->name),
                     "vm-state-size", (json_int_t)s->vm_state, "date-sec", (json_int_t)s->date,
                     "date-nsec", (json_int_t)s->date_ns, "vm-clock-sec",
                         (json_int_t)(s->vm_clock_ns / 1000000000u),
                     "vm-clock-nsec", (json_int_t)(s->vm_clock_ns % 1000000000u));
}

static json_t *info_json(struct block *b)
{
    struct block_info i;
    json_t *j = json_pack("{s:o, s:s, s:I, s:I, s:b}", "filename", text(b->name), "format", b->ops->format,
                          "virtual-size", (json_int_t)b->size, "actual-size",
                              (json_int_t)hostfile_disk_usage(&b->file),
                          "dirty-flag", 0);

    block_info(b, &i);
    if (i.cluster_size) {
        json_t *data = json_pack("{s:s, s:s, s:b, s:i, s:b, s:b}", "compat", i.version < 3 ? "0.10" : "1.1",
                                 "compression-type", i.compression, "lazy-refcounts", i.lazy_refcounts,
                                 "refcount-bits", (int)i.refcount_bits, "corrupt", i.corrupt, "extended-l2",
                                     i.extended_l2);

        json_object_set_new(j, "cluster-size", json_integer((json_int_t)i.cluster_size));
        json_object_set_new(j, "dirty-flag", json_boolean(i.dirty));
        json_object_set_new(j, "format-specific", json_pack("{s:s, s:o}", "type", b->ops->format, "data",
                                                            data));
    }
    if (b->backing_name) {
        char *full = block_backing_path(b->name, b->backing_name, NULL);

        json_object_set_new(j, "backing-filename", text(b->backing_name));
        json_object_set_new(j, "full-backing-filename", text(full ? full : b->backing_name));
        free(full);
    }
    if (b->backing_format)
        json_object_set_new(j, "backing-filename-format", text(b->backing_format));
    if (i.nsnapshots) {
        json_t *list = json_array();

        for (unsigned k = 0; k < i.nsnapshots; k++)
            json_array_append_new(list, snapshot_json(&i.snapshots[k]));
        json_object_set_new(j, "snapshots", list);
    }
    return j;
}

void image_list_snapshots(const struct block_info *i)
{
    printf("snapshots:\n  %-8s %-24s %12s  %-19s  %s\n", "ID", "name", "VM state", "date", "disk size");
    for (unsigned k = 0; k < i->nsnapshots; k++) {
        const struct block_snapshot *s = &i->snapshots[k];
        char state[32], size[32], date[32] = "";
        time_t t = (time_t)s->date;
        struct tm tm;

        size_text(s->vm_state, state, sizeof(state));
        size_text(s->size, size, sizeof(size));
        if (localtime_r(&t, &tm))
            strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
        printf("  %-8s %-24s %12s  %-19s  %s\n", s->id, s->name, state, date, size);
    }
}

static void info_human(struct block *b)
{
    struct block_info i;
    char size[32];

    block_info(b, &i);
    printf("image: %s\nfile format: %s%s\n", b->name, b->ops->format,
           b->probed && strcmp(b->ops->format, "raw") == 0 ? " (a guess: -f says it)" : "");
    size_text(b->size, size, sizeof(size));
    printf("virtual size: %s (%llu bytes)\n", size, (unsigned long long)b->size);
    size_text(hostfile_disk_usage(&b->file), size, sizeof(size));
    printf("disk size: %s\n", size);
    if (b->backing_name) {
        char *full = block_backing_path(b->name, b->backing_name, NULL);

        printf("backing file: %s", b->backing_name);
        if (full && strcmp(full, b->backing_name) != 0)
            printf(" (%s)", full);
        printf("\n");
        free(full);
        printf("backing file format: %s\n", b->backing_format ? b->backing_format : "not recorded");
    }
    if (!i.cluster_size)
        return;
    printf("cluster size: %llu\ncompat: %s\ncompression type: %s\nrefcount bits: %u\n",
           (unsigned long long)i.cluster_size,
           i.version < 3 ? "0.10" : "1.1", i.compression, i.refcount_bits);
    printf("lazy refcounts: %s\nextended L2: %s\n", i.lazy_refcounts ? "on" : "off", i.extended_l2 ? "on" :
           "off");
    if (i.has_bitmaps)
        printf("bitmaps: yes\n");
    if (i.dirty)
        printf("dirty: yes (it was not closed; repaired when it is next written)\n");
    if (i.corrupt)
        printf("corrupt: yes (it cannot be written; try latimer image check -r all)\n");
    if (i.nsnapshots)
        image_list_snapshots(&i);
}

int image_info(const struct image_args *a)
{
    struct block *b = image_open(a, a->file, (struct block_open){ .no_backing = !a->backing_chain,
                                                                 .no_lock = a->U });
    json_t *list = json_array();

    for (struct block *p = b; p; p = p->backing) {
        if (a->json) {
            json_array_append_new(list, info_json(p));
            continue;
        }
        if (p != b)
            printf("\n");
        info_human(p);
    }
    if (a->json)
        print_json(a->backing_chain ? json_incref(list) : json_incref(json_array_get(list, 0)));
    json_decref(list);
    block_close(b);
    return 0;
}

/* ---- check ---- */

enum { CHECK_OK = 0, CHECK_FAILED = 1, CHECK_ERRORS = 2, CHECK_LEAKS = 3, CHECK_NOTHING = 63 };

static void finding(void *arg, const char *line)
{
    fprintf(arg, "%s\n", line);
}

static double percent(uint64_t part, uint64_t of)
{
    return of ? 100.0 * (double)part / (double)of : 0;
}

#define LL(x) ((unsigned long long)(x))

static void check_human(const struct image_args *a, const struct block_check *c)
{
    if (c->fixed_corruptions || c->fixed_leaks)
        printf("%s: repaired: %llu errors, %llu clusters of lost space\n", a->file, LL(c->fixed_corruptions),
               LL(c->fixed_leaks));
    if (c->corruptions)
        printf("%s: %llu errors: data may be lost, and writing may destroy more%s\n", a->file,
               LL(c->corruptions), a->r ? ": what cannot be repaired is best copied (latimer image convert)" :
                   ": -r all tries to repair them");
    if (c->leaks)
        printf("%s: %llu clusters of lost space: harmless, -r leaks gives them back\n", a->file,
               LL(c->leaks));
    if (!c->corruptions && !c->leaks)
        printf("%s: no errors\n", a->file);
    printf("%llu/%llu = %.2f%% allocated, %.2f%% fragmented, %.2f%% compressed clusters\nimage end: %llu\n",
           LL(c->allocated_clusters), LL(c->total_clusters), percent(c->allocated_clusters,
                                                                     c->total_clusters),
           percent(c->fragmented_clusters, c->allocated_clusters), percent(c->compressed_clusters,
                   c->allocated_clusters),
           LL(c->end));
}

static void check_json(struct block *b, const struct block_check *c)
{
    print_json(json_pack("{s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "filename",
                         text(b->name), "format", b->ops->format, "check-errors", (json_int_t)0,
                         "corruptions", (json_int_t)c->corruptions, "leaks", (json_int_t)c->leaks,
                         "corruptions-fixed", (json_int_t)c->fixed_corruptions, "leaks-fixed",
                             (json_int_t)c->fixed_leaks,
                         "total-clusters", (json_int_t)c->total_clusters,
                         "allocated-clusters", (json_int_t)c->allocated_clusters,
                         "fragmented-clusters", (json_int_t)c->fragmented_clusters,
                         "compressed-clusters", (json_int_t)c->compressed_clusters,
                         "image-end-offset", (json_int_t)c->end));
}

int image_check(const struct image_args *a)
{
    struct block_check c = { .say = a->q ? NULL : finding, .arg = a->json ? stderr : stdout };
    struct block_error e;
    struct block *b;
    unsigned fix = 0;
    int r, code;

    if (a->r && strcmp(a->r, "leaks") != 0 && strcmp(a->r, "all") != 0)
        die(CHECK_FAILED, "image check: -r %s: use leaks or all", a->r);
    if (a->r)
        fix = BLOCK_FIX_LEAKS | (strcmp(a->r, "all") == 0 ? BLOCK_FIX_ERRORS : 0);
    if (a->r && a->U)
        die(CHECK_FAILED, "image check: -r writes to the image, so others must not: leave out -U");
    b = image_open(a, a->file, (struct block_open){ .writable = fix, .repair = true, .no_lock = a->U });
    r = block_check(b, &c, fix, &e);
    if (r == -ENOTSUP && !b->ops->check) {
        if (!a->q)
            fprintf(stderr, "latimer: %s\n", e.text);
        code = CHECK_NOTHING;
    } else if (r) {
        image_fail(r, &e);
    } else {
        if (a->json)
            check_json(b, &c);
        else if (!a->q)
            check_human(a, &c);
        code = c.corruptions ? CHECK_ERRORS : c.leaks ? CHECK_LEAKS : CHECK_OK;
    }
    block_close(b);
    return code;
}
