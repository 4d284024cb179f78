/*
 * memdev_open.c - see memdev.h: taking a backend's memory from the host.
 *
 * A shared file or memfd is mapped as it is: who else maps it sees what the guest writes. Without share=on the mapping is a copy
 * that is made as the guest writes; the file is only read.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE            /* memfd_create(), fallocate(), F_ADD_SEALS */
#endif

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <linux/mempolicy.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/log.h"
#include "base/shm.h"
#include "host/memdev_int.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  /* Linux 5.14 */
#endif
#ifndef MFD_HUGE_SHIFT
#define MFD_HUGE_SHIFT 26
#endif

/* One that is being opened. */
struct opening {
    struct memdev *d;
    struct memdev_error *e;
    int fd;
    uint64_t page;              /* of what it is made of */
    bool huge;                  /* of huge pages */
    bool created;               /* the file was not there before */
    bool memory;                /* a file system that keeps files in memory: it knows what was never written */
};

#define WRONG(o, code, ...) memdev_wrong((o)->e, code, __VA_ARGS__)

static bool power_of_two(uint64_t n)
{
    return n && !(n & (n - 1));
}

/* ---- what cannot be ---- */

static bool any_node(const struct memdev *d)
{
    for (unsigned i = 0; i < MEMDEV_NODES / 64; i++)
        if (d->nodes[i])
            return true;
    return false;
}

static bool check(struct opening *o)
{
    const struct memdev *d = o->d;

    if (!d->size)
        return WRONG(o, EXIT_CODE_USAGE, "needs size=BYTES, as in size=256M");
    if (d->class == MEMDEV_FILE && (!d->path || !*d->path))
        return WRONG(o, EXIT_CODE_USAGE, "needs mem-path=PATH, a file or a folder");
    if (d->merge)
        return WRONG(o, EXIT_CODE_USAGE, "merge=on: the host's kernel does not merge memory that has a "
                                         "descriptor, and a guest's memory has: "
                     "leave it out");
    if (d->readonly && d->prealloc)
        return WRONG(o, EXIT_CODE_USAGE, "readonly=on has nothing to take from the host ahead: leave "
                                         "prealloc=on out");
    if (d->align && (!power_of_two(d->align) || d->align % o->page))
        return WRONG(o, EXIT_CODE_USAGE, "align=%" PRIu64 ": use a power of two, and %" PRIu64 " at least",
                     d->align, o->page);
    if (d->huge_size && !d->huge)
        return WRONG(o, EXIT_CODE_USAGE, "hugetlbsize= is for hugetlb=on: add that, or leave it out");
    if (d->huge_size && !power_of_two(d->huge_size))
        return WRONG(o, EXIT_CODE_USAGE, "hugetlbsize=%" PRIu64 ": use a power of two, as in hugetlbsize=2M", d->huge_size);
    if ((d->policy == MEMDEV_DEFAULT) == any_node(d))
        return WRONG(o, EXIT_CODE_USAGE, any_node(d) ? "host-nodes= says nothing with policy=default: add "
                                                       "policy=bind, preferred or interleave" :
                     "policy=%s needs host-nodes=N", memdev_policy_name(d->policy));
    return true;
}

/* What of it depends on whether its pages are huge ones. */
static bool check_pages(struct opening *o)
{
    if (o->d->reserve == MEMDEV_ON && !o->huge)
        return WRONG(o, EXIT_CODE_USAGE, "reserve=on: the host sets nothing but huge pages aside: "
                                         "prealloc=on takes memory at once");
    if (o->huge && o->d->size % o->page)
        return WRONG(o, EXIT_CODE_USAGE, "size=%" PRIu64 ": its pages have %" PRIu64 " KiB: use a multiple of that", o->d->size,
                     o->page >> 10);
    return true;
}

/* ---- what it is made of ---- */

/* In whole pages of what it is made of. */
static uint64_t whole(const struct opening *o)
{
    return (o->d->size + o->page - 1) & ~(o->page - 1);
}

static bool open_memfd(struct opening *o)
{
    struct memdev *d = o->d;
    unsigned flags = 0;

    if (d->huge)
        flags |= MFD_HUGETLB | (d->huge_size ? (unsigned)__builtin_ctzll(d->huge_size) << MFD_HUGE_SHIFT : 0);
    o->fd = shm_memfd_with(d->class == MEMDEV_MEMFD ? "memory-backend-memfd" : "guest-ram", whole(o), flags);
    if (o->fd < 0 && d->class == MEMDEV_RAM && errno != EFBIG && errno != EINVAL)
        return true;            /* where there are no memfds it has no name to be shared by */
    if (o->fd < 0)
        return WRONG(o, EXIT_CODE_HOST, "cannot have %" PRIu64 " MiB of guest memory%s (%s)%s",
                     d->size >> 20, d->huge ? " in huge pages" : "",
                     strerror(errno), d->huge ? ": use a multiple of a size that /sys/kernel/mm/hugepages "
                                                "lists" : "; try a smaller -m");
    if (d->class == MEMDEV_MEMFD && d->seal &&
        fcntl(o->fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
        return WRONG(o, EXIT_CODE_HOST, "seal=on: the host's kernel cannot seal it (%s): use seal=off",
                     strerror(errno));
    o->memory = true;
    return true;
}

/* How long a file or device is. */
static bool length(struct opening *o, const struct stat *st, uint64_t *len)
{
    off_t end = S_ISREG(st->st_mode) ? st->st_size : lseek(o->fd, 0, SEEK_END);

    *len = end > 0 ? (uint64_t)end : 0;
    if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode) || S_ISCHR(st->st_mode))
        return true;
    return WRONG(o, EXIT_CODE_FILE, "%s: no file: use a file, a folder or a device that can be mapped", o->d->path);
}

/* A new one is made as long as it has to be; nothing is done to one that has something in it. */
static bool fit_file(struct opening *o)
{
    struct memdev *d = o->d;
    struct stat st;
    uint64_t len;

    if (fstat(o->fd, &st) < 0)
        return WRONG(o, EXIT_CODE_FILE, "%s: %s", d->path, strerror(errno));
    if (!length(o, &st, &len))
        return false;
    if (S_ISREG(st.st_mode) && !len && !d->readonly) {
        if (ftruncate(o->fd, (off_t)d->size) == 0)
            return true;
        return WRONG(o, EXIT_CODE_FILE, "%s: cannot be made %" PRIu64 " bytes long: %s", d->path, d->size,
                     strerror(errno));
    }
    if (len < d->size && !(S_ISCHR(st.st_mode) && !len))        /* such a device does not say */
        return WRONG(o, EXIT_CODE_FILE, "%s has %" PRIu64 " bytes, and does not match size=%" PRIu64 ": use a smaller size, make the file longer "
                     "(truncate -s %" PRIu64 "), or empty it", d->path, len, d->size, d->size);
    return true;
}

static void file_system(struct opening *o)
{
    struct statfs fs;

    if (fstatfs(o->fd, &fs) < 0)
        return;
    o->memory = fs.f_type == TMPFS_MAGIC;
    o->huge = fs.f_type == HUGETLBFS_MAGIC;
    if (o->huge)
        o->page = (uint64_t)fs.f_bsize;
}

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool open_file(struct opening *o)
{
    struct memdev *d = o->d;
    bool folder = is_folder(d->path);

    if (folder && d->readonly)
        return WRONG(o, EXIT_CODE_USAGE, "%s is a folder, in which there is nothing to read: name a file, "
                                         "or leave readonly=on out", d->path);
    if (folder)
        o->fd = shm_file(d->path, d->size);
    else
        o->fd = open(d->path, (d->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    if (o->fd < 0 && errno == ENOENT && !d->readonly) {
        o->fd = open(d->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        o->created = o->fd >= 0;
    }
    if (o->fd < 0 && (errno == EACCES || errno == EROFS || errno == EPERM) && !folder && !d->share)
        o->fd = open(d->path, O_RDONLY | O_CLOEXEC);    /* nothing is going to be written to it */
    if (o->fd < 0)
        return WRONG(o, EXIT_CODE_FILE, "cannot open %s for guest memory: %s", d->path, strerror(errno));
    file_system(o);
    return folder || fit_file(o);
}

/* ---- mapping ---- */

/* Addresses that are free, the first a multiple of `align`, with nothing mapped there yet; MAP_FAILED: errno says why not. */
static void *aligned_place(uint64_t len, uint64_t align)
{
    uint8_t *all = mmap(NULL, len + align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), *at;

    if (all == MAP_FAILED)
        return MAP_FAILED;
    at = (uint8_t *)(((uintptr_t)all + align - 1) & ~(uintptr_t)(align - 1));
    if (at > all)
        munmap(all, (size_t)(at - all));
    munmap(at + len, (size_t)(all + align - at));
    return at;
}

static bool map(struct opening *o)
{
    struct memdev *d = o->d;
    /* Memory without a name is shared with nobody either way; so what was never written can be asked for. */
    bool shared = d->share || d->class == MEMDEV_RAM;
    int flags = (shared ? MAP_SHARED : MAP_PRIVATE) | (o->fd < 0 ? MAP_ANONYMOUS : 0) |
        (o->huge && d->reserve != MEMDEV_OFF ? 0 : MAP_NORESERVE);
    uint64_t len = whole(o);
    void *at = d->align > o->page ? aligned_place(len, d->align) : NULL, *p = at;

    if (at != MAP_FAILED)
        p = mmap(at, len, PROT_READ | (d->readonly ? 0 : PROT_WRITE), flags | (at ? MAP_FIXED : 0), o->fd, 0);
    if (p == MAP_FAILED) {
        int error = errno;

        if (at && at != MAP_FAILED)
            munmap(at, len);
        return WRONG(o, o->d->path ? EXIT_CODE_FILE : EXIT_CODE_HOST,
                     "cannot map %" PRIu64 " MiB of guest memory%s%s (%s)%s", len >> 20,
                     d->path ? " from " : "", d->path ? d->path : "", strerror(error),
                     o->huge ? ": the host has too few huge pages (/proc/sys/vm/nr_hugepages)" : "");
    }
    d->lent = (struct phys_lent){
        .p = p, .len = len, .fd = shared ? o->fd : -1, .holes = shared && o->memory, .taken = d->prealloc,
        /* Seen by others, or with something of its own that other memory in its place would not have. */
        .fixed = (d->share && d->class != MEMDEV_RAM) || d->prealloc || d->policy != MEMDEV_DEFAULT ||
            d->dump == MEMDEV_OFF
    };
    d->reserved = !(flags & MAP_NORESERVE);
    return true;
}

static bool bind_nodes(struct opening *o)
{
    static const int modes[] = {
        [MEMDEV_PREFERRED] = MPOL_PREFERRED, [MEMDEV_BIND] = MPOL_BIND, [MEMDEV_INTERLEAVE] = MPOL_INTERLEAVE
    };
    struct memdev *d = o->d;
    unsigned long mask[MEMDEV_NODES / (8 * sizeof(long))];
    unsigned bits = 8 * sizeof(mask[0]);

    if (d->policy == MEMDEV_DEFAULT)
        return true;
    for (unsigned i = 0; i < MEMDEV_NODES / bits; i++)
        mask[i] = (unsigned long)(d->nodes[i * bits / 64] >> i * bits % 64);
    /* The kernel counts one bit less than it is told. */
    if (syscall(SYS_mbind, d->lent.p, d->lent.len, modes[d->policy], mask, MEMDEV_NODES + 1ul,
                MPOL_MF_STRICT | MPOL_MF_MOVE) == 0)
        return true;
    return WRONG(o, EXIT_CODE_HOST, "policy=%s: the host cannot take its memory from these nodes: %s",
                 memdev_policy_name(d->policy), strerror(errno));
}

/* What a file's pages are kept in is taken before the pages: its lack is an error there, and would be a SIGBUS here. */
static bool take_all(struct opening *o)
{
    struct memdev *d = o->d;
    volatile uint8_t *p = d->lent.p;
    int error = 0;

    if (!d->prealloc)
        return true;
    if (d->lent.fd >= 0 && fallocate(o->fd, 0, 0, (off_t)d->lent.len) < 0 && errno != EOPNOTSUPP)
        error = errno;
    if (!error && madvise(d->lent.p, d->lent.len, MADV_POPULATE_WRITE) < 0)
        error = errno;
    if (error == EINVAL) {      /* an older kernel */
        error = 0;
        for (uint64_t at = 0; at < d->lent.len; at += o->page)
            p[at] = p[at];
    }
    return !error || WRONG(o, d->path ? EXIT_CODE_FILE : EXIT_CODE_HOST,
                           "prealloc=on: the host cannot give %" PRIu64 " MiB%s%s at once: %s", d->size >> 20, d->path ? " in " : "", d->path ? d->path : "", strerror(error));
}

int memdev_open(struct memdev *d, char *err, size_t len)
{
    struct memdev_error e = { err, len, 0 };
    struct opening o = { .d = d, .e = &e, .fd = -1, .page = (uint64_t)sysconf(_SC_PAGESIZE) };
    bool ok;

    o.huge = d->class == MEMDEV_MEMFD && d->huge;
    ok = check(&o) && (d->class == MEMDEV_FILE ? open_file(&o) : open_memfd(&o));
    if (ok && o.huge && d->class == MEMDEV_MEMFD)
        file_system(&o);        /* how large its pages are */
    ok = ok && check_pages(&o) && map(&o) && bind_nodes(&o) && take_all(&o);
    d->fd = o.fd;
    if (!ok) {
        memdev_close(d);
        if (o.created)
            unlink(d->path);
        return e.code;
    }
    madvise(d->lent.p, d->lent.len, MADV_HUGEPAGE);     /* where the host does not, this changes nothing */
    madvise(d->lent.p, d->lent.len, d->dump == MEMDEV_OFF ? MADV_DONTDUMP : MADV_DODUMP);
    return 0;
}

void memdev_close(struct memdev *d)
{
    if (d->lent.p)
        munmap(d->lent.p, d->lent.len);
    if (d->fd >= 0)
        close(d->fd);
    d->lent = (struct phys_lent){ .fd = -1 };
    d->fd = -1;
}
