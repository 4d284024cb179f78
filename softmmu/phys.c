/*
 * phys.c - the physical address space: RAM, ROM and device regions, DMA, RAM allocation.
 *
 * Invariant: the view is exactly the enabled regions, shadow over I/O over ROM over RAM; whenever it changes,
 * registered vCPUs forget all translations and code made from the changed range is discarded.
 * What no region claims reads as ones (an open bus) and ignores writes.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "softmmu/phys.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/trace.h"
#include "base/shm.h"
#include "base/text.h"
#include "frontend/cpu.h"

enum priority { PRIO_RAM, PRIO_ROM, PRIO_IO, PRIO_SHADOW };

struct map {
    struct phys *phys;
    struct map *next;
    uint64_t base, len;
    enum priority prio;
    bool enabled;
    bool shadow_read, shadow_write;
    uint8_t *host;
    const struct io_ops *ops;
    void *dev;
    const char *name;
};

static void *xalloc(size_t n)
{
    void *p = calloc(1, n);

    if (!p)
        die(EXIT_CODE_HOST, "out of memory (%zu bytes for the memory map)", n);
    return p;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void pick_big(struct view *v)
{
    for (unsigned i = 0; i < v->n; i++) {
        const struct flat *f = &v->f[i];
        uint64_t len = f->end - f->base;

        if (!f->host || f->rom)
            continue;
        if (len > v->big[0].end - v->big[0].base) {
            v->big[1] = v->big[0];
            v->big[0] = *f;
        } else if (len > v->big[1].end - v->big[1].base) {
            v->big[1] = *f;
        }
    }
}

/* The enabled region on top at pa: of shadows, or of all others. */
static struct map *on_top(const struct phys *p, uint64_t pa, bool shadow)
{
    struct map *top = NULL;

    for (struct map *m = p->maps; m; m = m->next)
        if (m->enabled && (m->prio == PRIO_SHADOW) == shadow && pa - m->base < m->len &&
            (!top || m->prio > top->prio))
            top = m;
    return top;
}

static uint8_t *host_at(const struct map *m, uint64_t pa)
{
    return m->host ? m->host + (pa - m->base) : NULL;
}

/* What is at [base, end), where no region begins or ends. False: nothing. */
static bool piece(const struct phys *p, uint64_t base, uint64_t end, struct flat *f)
{
    struct map *s = on_top(p, base, true), *m = on_top(p, base, false);

    if (s && s->shadow_read)
        *f = (struct flat){ base, end, host_at(s, base), s, !s->shadow_write, NULL };
    else if (m)
        *f = (struct flat){ base, end, host_at(m, base), m, m->prio == PRIO_ROM, NULL };
    else if (s)
        *f = (struct flat){ base, end, NULL, s, false, NULL };          /* shadow_ops */
    else
        return false;
    if (s && m && !s->shadow_read && f->host) {
        f->rom = true;
        f->under = host_at(s, base);
    }
    return true;
}

/* Cut the address space at every region's edges and give each piece to the region on top. */
static struct view *flatten(const struct phys *p)
{
    struct view *v;
    uint64_t *edge;
    unsigned n = 0, e = 0;

    for (const struct map *m = p->maps; m; m = m->next)
        n++;
    edge = xalloc((2 * n + 1) * sizeof(*edge));
    v = xalloc(sizeof(*v) + (2 * n + 1) * sizeof(v->f[0]));
    for (const struct map *m = p->maps; m; m = m->next) {
        if (!m->enabled)
            continue;
        edge[e++] = m->base;
        edge[e++] = m->base + m->len;
    }
    qsort(edge, e, sizeof(*edge), compare_u64);
    for (unsigned i = 0; i + 1 < e; i++) {
        struct flat *last = v->n ? &v->f[v->n - 1] : NULL, f;

        if (edge[i] == edge[i + 1] || !piece(p, edge[i], edge[i + 1], &f))
            continue;
        if (last && last->map == f.map && last->end == f.base && !last->under && !f.under)
            last->end = f.end;
        else
            v->f[v->n++] = f;
    }
    free(edge);
    pick_big(v);
    return v;
}

static void flush_cpus(struct phys *p)
{
    for (unsigned i = 0; i < p->ncpu; i++)
        mmu_flush_all(p->cpu[i]);
}

/* The regions changed within [base, base + len). */
static void rebuild(struct phys *p, uint64_t base, uint64_t len)
{
    struct view *old = p->view, *v = flatten(p);

    __atomic_store_n(&p->view, v, __ATOMIC_RELEASE);
    free(p->retired[p->next_retired]);
    p->retired[p->next_retired] = old;
    p->next_retired = (p->next_retired + 1) % RETIRED;
    flush_cpus(p);
    smc_written(p, base, len);
}

static bool collides(const struct map *n, uint64_t base)
{
    for (const struct map *m = n->phys->maps; m; m = m->next)
        if (m != n && m->enabled && m->prio == n->prio && base < m->base + m->len && m->base < base + n->len)
            return true;
    return false;
}

static struct map *map_new(struct phys *p, struct map init)
{
    struct map *m;

    init.phys = p;
    if (!init.len || init.base + init.len < init.base || collides(&init, init.base))
        return NULL;
    m = xalloc(sizeof(*m));
    *m = init;
    m->enabled = true;
    m->next = p->maps;
    p->maps = m;
    rebuild(p, m->base, m->len);
    return m;
}

struct map *phys_map_io(struct phys *p, uint64_t base, uint64_t len, const struct io_ops *ops, void *dev,
                        const char *name)
{
    return map_new(p, (struct map){ .base = base, .len = len, .prio = PRIO_IO, .ops = ops, .dev = dev,
                                    .name = name });
}

struct map *phys_map_ram(struct phys *p, uint64_t base, uint64_t len, void *host, bool rom,
                         const char *name)
{
    assert(host);
    return map_new(p, (struct map){ .base = base, .len = len, .prio = rom ? PRIO_ROM : PRIO_RAM,
                                    .host = host, .name = name });
}

struct map *phys_map_rom_io(struct phys *p, uint64_t base, uint64_t len, void *host, const struct io_ops *ops,
                            void *dev, const char *name)
{
    assert(host);
    return map_new(p, (struct map){ .base = base, .len = len, .prio = PRIO_ROM, .host = host, .ops = ops,
                                    .dev = dev, .name = name });
}

/* Reads of a hole whose writes are shadowed. */
static uint64_t shadow_read(void *dev, uint64_t off, unsigned size)
{
    return ~(uint64_t)0;
}

static void shadow_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct map *m = dev;

    for (unsigned i = 0; i < size; i++)
        m->host[off + i] = (uint8_t)(val >> 8 * i);
}

struct map *phys_map_shadow(struct phys *p, uint64_t base, uint64_t len, void *host, const char *name)
{
    static const struct io_ops ops = { shadow_read, shadow_write, 1, LOG_DEV_NONE };
    struct map *m = map_new(p, (struct map){ .base = base, .len = len, .prio = PRIO_SHADOW, .host = host,
                                             .ops = &ops, .name = name });

    assert(m && host);
    m->dev = m;
    map_move(m, base, false);
    return m;
}

void map_shadow(struct map *m, bool read, bool write)
{
    if (m->shadow_read == read && m->shadow_write == write)
        return;
    m->shadow_read = read;
    m->shadow_write = write;
    m->enabled = read || write;
    rebuild(m->phys, m->base, m->len);
}

void phys_smm_ram(struct phys *p, uint64_t base, uint64_t len, void *host)
{
    assert(!p->smm[SMM_LOW].len && SMM_ALIAS(SMM_LOW) + len <= SMM_ALIAS(SMM_TSEG));
    p->smm[SMM_LOW].base = base;
    p->smm[SMM_LOW].len = len;
    p->smm[SMM_LOW].alias = phys_map_ram(p, SMM_ALIAS(SMM_LOW), len, host, false, "smm-ram");
}

void phys_smm_written(struct phys *p)
{
    smc_written(p, SMM_ALIAS(SMM_LOW), p->smm[SMM_LOW].len);
}

void phys_smm_show(struct phys *p, bool code, bool data)
{
    p->smm[SMM_LOW].seen[0] = data;
    p->smm[SMM_LOW].seen[1] = code;
    phys_smm_written(p);
    flush_cpus(p);
}

static uint64_t hidden_read(void *dev, uint64_t off, unsigned size)
{
    return ~(uint64_t)0;
}

static void hidden_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    log_msg(LOG_GUEST, "write to memory for SMM (TSEG), %#llx bytes from its start", (unsigned long long)off);
}

bool phys_tseg(struct phys *p, uint64_t base, uint64_t len, void *host)
{
    static const struct io_ops ops = { hidden_read, hidden_write, 1 | 2 | 4 | 8, LOG_DEV_NONE };

    if (p->smm[SMM_TSEG].hidden)
        map_free(p->smm[SMM_TSEG].hidden);
    if (p->smm[SMM_TSEG].alias)
        map_free(p->smm[SMM_TSEG].alias);
    memset(&p->smm[SMM_TSEG], 0, sizeof(p->smm[SMM_TSEG]));
    if (!len)
        return true;
    assert(len <= PHYS_TSEG_MAX);
    p->smm[SMM_TSEG].hidden = phys_map_io(p, base, len, &ops, NULL, "tseg");
    if (!p->smm[SMM_TSEG].hidden)
        return false;
    p->smm[SMM_TSEG].base = base;
    p->smm[SMM_TSEG].len = len;
    p->smm[SMM_TSEG].seen[0] = p->smm[SMM_TSEG].seen[1] = true;
    p->smm[SMM_TSEG].alias = phys_map_ram(p, SMM_ALIAS(SMM_TSEG), len, host, false, "tseg-smm");
    return true;
}

bool map_move(struct map *m, uint64_t base, bool enabled)
{
    struct phys *p = m->phys;
    uint64_t old = m->base;
    bool was = m->enabled;

    if (enabled && (base + m->len < base || collides(m, base)))
        return false;
    if (was == enabled && (old == base || !enabled)) {
        m->base = base;
        return true;
    }
    m->base = base;
    m->enabled = enabled;
    rebuild(p, base, m->len);
    if (was && old != base)
        smc_written(p, old, m->len);
    return true;
}

void map_free(struct map *m)
{
    struct phys *p = m->phys;
    struct map **at = &p->maps;

    map_move(m, m->base, false);
    while (*at != m)
        at = &(*at)->next;
    *at = m->next;
    free(m);
}

struct phys *phys_new(pthread_mutex_t *lock)
{
    struct phys *p = xalloc(sizeof(*p));

    p->lock = lock;
    p->a20_mask = ~(uint64_t)0;
    p->view = flatten(p);
    smc_init(p);
    return p;
}

void phys_free(struct phys *p)
{
    if (!p)
        return;
    while (p->maps) {
        struct map *m = p->maps;

        p->maps = m->next;
        free(m);
    }
    for (unsigned i = 0; i < RETIRED; i++)
        free(p->retired[i]);
    free(p->view);
    for (unsigned i = 0; i < p->nram; i++) {
        if (!p->ram[i].lent)
            munmap(p->ram[i].p, p->ram[i].len);
        if (p->ram[i].fd >= 0)
            close(p->ram[i].fd);
    }
    smc_free(p);
    tracks_free(p);
    free(p);
}

void *phys_host(struct phys *p, uint64_t pa, bool write, uint64_t *run)
{
    const struct flat *f = phys_find(p, pa);

    if (!f || !f->host || (write && f->rom))
        return NULL;
    if (run)
        *run = f->end - pa;
    return f->host + (pa - f->base);
}

/* ---- device accesses: cut to what the device takes ---- */

static uint64_t ones(unsigned size)
{
    return size >= 8 ? ~(uint64_t)0 : ((uint64_t)1 << size * 8) - 1;
}

/*
 * One access of a size the device knows, at `off`, covering at most `len` wanted bytes; returns
 * how many it covered.  The largest naturally aligned size not longer than wanted; if the device
 * takes only longer ones, the shortest of those: a read takes its bytes out of it, a write reads
 * the rest first.
 */
static unsigned io_piece(struct phys *p, const struct map *m, uint64_t off, uint8_t *buf, unsigned len,
                         bool write)
{
    unsigned sizes = m->ops->sizes & 15 ? m->ops->sizes : 7;
    unsigned size = 8, skip = 0, n;
    uint64_t val = 0;

    while (size && (size > len || off % size || !(sizes & size)))
        size >>= 1;
    if (!size) {
        size = sizes & -sizes;
        skip = off % size;
    }
    n = size - skip < len ? size - skip : len;
    off -= skip;
    if (p->lock)
        pthread_mutex_lock(p->lock);
    if ((!write || n < size) && m->ops->read)
        val = m->ops->read(m->dev, off, size) & ones(size);
    else if (!write)
        val = ones(size);
    for (unsigned i = 0; i < n; i++) {
        unsigned shift = (skip + i) * 8;

        if (write)
            val = (val & ~((uint64_t)0xff << shift)) | (uint64_t)buf[i] << shift;
        else
            buf[i] = (uint8_t)(val >> shift);
    }
    if (write)
        trace_mmio_write(m->name, m->base + off, size, val);
    else
        trace_mmio_read(m->name, m->base + off, size, val);
    if (log_on(LOG_DEV_OF(m->ops->log)))
        log_msg(LOG_DEV_OF(m->ops->log), "%s%u %llx %s %0*llx  %s", write ? "write" : "read", size * 8,
                (unsigned long long)(m->base + off), write ? "<-" : "->", (int)size * 2,
                (unsigned long long)val, m->name);
    if (write && m->ops->write)
        m->ops->write(m->dev, off, val, size);
    if (p->lock)
        pthread_mutex_unlock(p->lock);
    return n;
}

/* Copy so that an aligned 1, 2, 4 or 8 byte access is one access: rings are polled by the other side. */
void phys_copy(void *to, const void *from, uint64_t len)
{
    switch (len) {
    case 1: memcpy(to, from, 1); break;
    case 2: memcpy(to, from, 2); break;
    case 4: memcpy(to, from, 4); break;
    case 8: memcpy(to, from, 8); break;
    default: memcpy(to, from, len);
    }
}

/* Length of the hole at pa, at most len. */
static uint64_t hole(const struct phys *p, uint64_t pa, uint64_t len)
{
    const struct view *v = p->view;

    for (unsigned i = 0; i < v->n; i++)
        if (v->f[i].base > pa)
            return v->f[i].base - pa < len ? v->f[i].base - pa : len;
    return len;
}

void phys_monitor(struct phys *p)
{
    p->monitored = true;
}

void phys_set_wake(struct phys *p, void (*wake)(struct cpu *))
{
    p->wake = wake;
}

/* [pa, pa + len) was written: wake who waits for that (frontend/help_monitor.c). */
void phys_monitor_hit(struct phys *p, uint64_t pa, uint64_t len)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < p->ncpu; i++) {
        struct cpu *c = p->cpu[i];

        if (__atomic_load_n(&c->halted, __ATOMIC_SEQ_CST) != HALT_MWAIT || c->monitor.pa >= pa + len ||
            pa >= c->monitor.pa + MONITOR_LINE)
            continue;
        __atomic_fetch_or(&c->attn, ATTN_STORE, __ATOMIC_SEQ_CST);
        if (p->wake)
            p->wake(c);
    }
}

bool phys_rw(struct phys *p, uint64_t pa, void *buf, uint64_t len, bool write)
{
    uint8_t *b = buf;
    bool all = true;

    while (len) {
        const struct flat *f = phys_find(p, pa);
        uint64_t n = f ? f->end - pa : hole(p, pa, len);

        if (n > len)
            n = len;
        if (!f) {
            if (!write)
                memset(b, 0xff, n);
            all = false;
        } else if (!f->host) {
            uint64_t off = pa - f->map->base;

            if (n > 8)
                n = 8;
            n = io_piece(p, f->map, off, b, (unsigned)n, write);
        } else if (!write) {
            phys_copy(b, f->host + (pa - f->base), n);
        } else if (!f->rom) {
            phys_copy(f->host + (pa - f->base), b, n);
            smc_written(p, pa, n);
            if (p->tracks)
                track_written(p, f->host + (pa - f->base), n);
            if (p->monitored)
                phys_monitor_hit(p, pa, n);
        } else if (f->under) {
            phys_copy(f->under + (pa - f->base), b, n);
            if (p->tracks)
                track_written(p, f->under + (pa - f->base), n);
        } else if (f->map->prio == PRIO_ROM && f->map->ops) {
            n = io_piece(p, f->map, pa - f->map->base, b, n > 8 ? 8 : (unsigned)n, true);
        }
        b += n;
        pa += n;
        len -= n;
    }
    return all;
}

bool phys_read(struct phys *p, uint64_t pa, void *buf, uint64_t len)
{
    return phys_rw(p, pa, buf, len, false);
}

bool phys_write(struct phys *p, uint64_t pa, const void *buf, uint64_t len)
{
    return phys_rw(p, pa, (void *)(uintptr_t)buf, len, true);
}

uint64_t phys_io_read(struct phys *p, uint64_t pa, unsigned size)
{
    uint8_t b[8];
    uint64_t v = 0;

    phys_rw(p, pa, b, size, false);
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)b[i] << i * 8;
    return v;
}

void phys_io_write(struct phys *p, uint64_t pa, uint64_t val, unsigned size)
{
    uint8_t b[8];

    for (unsigned i = 0; i < size; i++)
        b[i] = (uint8_t)(val >> i * 8);
    phys_rw(p, pa, b, size, true);
}

/* ---- RAM ---- */

bool phys_ram_map(struct phys_ram *r, uint64_t len)
{
    int fd = shm_memfd("guest-ram", len);
    void *m = MAP_FAILED;

    /* Where there are no memfds it has no name to be shared by, and nothing needs one yet. */
    if (fd >= 0 || (errno != EFBIG && errno != EINVAL))
        m = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
    if (m == MAP_FAILED) {
        int error = errno;

        if (fd >= 0)
            close(fd);
        errno = error;
        return false;
    }
    /* Shared-memory huge pages are often switched off on the host: then this changes nothing. */
    madvise(m, len, MADV_HUGEPAGE);
    *r = (struct phys_ram){ .p = m, .len = len, .fd = fd, .holes = fd >= 0 };
    return true;
}

void *phys_ram_alloc(struct phys *p, uint64_t len)
{
    uint64_t host_page = (uint64_t)sysconf(_SC_PAGESIZE);
    struct phys_ram *r = &p->ram[p->nram];

    len = (len + host_page - 1) & ~(host_page - 1);     /* 4, 16 or 64 KiB: a multiple of the guest's */
    assert(p->nram < PHYS_RAMS);
    if (!phys_ram_map(r, len))
        die(EXIT_CODE_HOST, "cannot have %" PRIu64 " MiB of guest memory (%s); try a smaller -m", len >> 20,
            strerror(errno));
    p->nram++;
    return r->p;
}

/* A descriptor of its own: what is loaded may take the memory's place, and another one's that of the descriptor. */
void *phys_ram_lend(struct phys *p, const struct phys_lent *l)
{
    struct phys_ram *r = &p->ram[p->nram];

    assert(p->nram < PHYS_RAMS && l->p && l->len % PAGE_SIZE == 0);
    *r = (struct phys_ram){ .p = l->p, .len = l->len, .fd = -1, .holes = l->holes, .fixed = l->fixed, .taken = l->taken, .lent = true };
    if (l->fd >= 0 && (r->fd = fcntl(l->fd, F_DUPFD_CLOEXEC, 3)) < 0)
        die(EXIT_CODE_HOST, "cannot have another descriptor for guest memory: %s", strerror(errno));
    p->nram++;
    return r->p;
}

bool phys_ram_holds(const struct phys *p, const void *host)
{
    for (unsigned i = 0; i < p->nram; i++)
        if ((uintptr_t)host - (uintptr_t)p->ram[i].p < p->ram[i].len)
            return true;
    return false;
}

uint64_t phys_touched(struct phys *p)
{
    size_t host_page = (size_t)sysconf(_SC_PAGESIZE);
    uint64_t total = 0;

    for (unsigned i = 0; i < p->nram; i++) {
        size_t pages = (p->ram[i].len + host_page - 1) / host_page;
        unsigned char *vec = malloc(pages);

        if (vec && mincore(p->ram[i].p, p->ram[i].len, vec) == 0)
            for (size_t k = 0; k < pages; k++)
                total += vec[k] & 1 ? host_page : 0;
        free(vec);
    }
    return total;
}

/* ---- the A20 gate ---- */

void phys_set_a20(struct phys *p, bool on)
{
    uint64_t mask = on ? ~(uint64_t)0 : ~A20_BIT;

    if (mask == p->a20_mask)
        return;
    p->a20_mask = mask;
    flush_cpus(p);
}

void phys_add_cpu(struct phys *p, struct cpu *c)
{
    for (unsigned i = 0; i < p->ncpu; i++)
        if (p->cpu[i] == c)
            return;
    assert(p->ncpu < PHYS_MAX_CPUS);
    p->cpu[p->ncpu++] = c;
}

struct cpu *phys_cpu(struct phys *p, unsigned n)
{
    return n < p->ncpu ? p->cpu[n] : NULL;
}

void phys_remove_cpu(struct phys *p, struct cpu *c)
{
    for (unsigned i = 0; i < p->ncpu; i++) {
        if (p->cpu[i] != c)
            continue;
        p->cpu[i] = p->cpu[--p->ncpu];
        track_cpu_gone(p, i, p->ncpu);
        return;
    }
}

/* ---- for monitors ---- */

void phys_info(const struct phys *p, bool seen, struct text *t)
{
    static const char *const kinds[] = { [PRIO_RAM] = "RAM", [PRIO_ROM] = "ROM", [PRIO_IO] = "device",
                                         [PRIO_SHADOW] = "shadow" };
    const struct view *v = __atomic_load_n(&p->view, __ATOMIC_ACQUIRE);

    for (unsigned i = 0; seen && i < v->n; i++) {
        const struct flat *f = &v->f[i];

        text_say(t, "  %016" PRIx64 "-%016" PRIx64 "  %-8s %s\n", f->base, f->end - 1,
                 !f->host ? "device" : f->rom ? "ROM" : "RAM", f->map->name);
    }
    for (const struct map *m = p->maps; !seen && m; m = m->next)
        text_say(t, "  %016" PRIx64 "-%016" PRIx64 "  %-8s %s%s\n", m->base, m->base + m->len - 1,
                 kinds[m->prio], m->name,
                 !m->enabled                ? " (off)" :
                     m->prio != PRIO_SHADOW ? "" :
                     m->shadow_read         ? m->shadow_write ? " (reads, writes)" : " (reads)" :
                     m->shadow_write        ? " (writes)" :
                                              " (not used)");
}
