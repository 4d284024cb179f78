/*
 * dump.c - see dump.h.
 *
 * The file: ELF header, program headers, where there are 65,535 of them or more a section header that has their number
 * (System V ABI, PN_XNUM), notes, memory from a page boundary on. Pages of zeros are holes. It is of the 64 bit
 * kind for a guest in long mode or with memory above 4 GiB, otherwise of the 32 bit kind. Notes of each processor:
 * NT_PRSTATUS as Linux writes it in cores of programs, for gdb, and the one called "QEMU", of which crash takes the IDT and
 * CR3 to find a kernel that KASLR has moved.
 *
 * Segments: all RAM and ROM, p_vaddr being the physical address, too; with paging first what the page tables map, and then what
 * of the memory they do not. Where several have an address, readers take the first. They share the bytes in the file.
 */
#include "debug/dump.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "debug/control.h"
#include "frontend/cpu.h"
#include "frontend/help.h"

#define TABLES 65536u           /* page tables that are looked at */
#define SEGMENTS (1u << 20)     /* that are made of them: a guest may map one page millions of times */
#define CHUNK  65536u           /* bytes looked at and written at once */
#define PATIENCE_MS 30000
#define NO_LIN UINT64_MAX

struct part {
    uint64_t lin, pa, len;      /* lin NO_LIN: physical alone */
};

struct parts {
    struct part *p;
    size_t n, size;
};

struct writer {
    struct machine *m;
    const struct dump *d;
    bool wide;                  /* ELF64 */
    int fd;
    struct parts memory, segments;      /* memory: what is in the file, in its order */
    uint8_t *notes;
    size_t notes_len;
    uint64_t first;             /* where memory begins in the file */
    uint8_t *head;              /* what is before that */
    uint64_t at;                /* how much was written */
    bool pipe;                  /* or a socket: no place in it can be chosen */
};

/* ---- what is written ---- */

static void add(struct parts *l, uint64_t lin, uint64_t pa, uint64_t len)
{
    struct part *last = l->n ? &l->p[l->n - 1] : NULL;

    if (last && last->pa + last->len == pa && (lin == NO_LIN ? last->lin == NO_LIN :
                                               last->lin != NO_LIN && last->lin + last->len == lin)) {
        last->len += len;
        return;
    }
    if (l->n == l->size) {
        l->size = l->size ? 2 * l->size : 64;
        l->p = realloc(l->p, l->size * sizeof(*l->p));
        if (!l->p)
            die(EXIT_CODE_HOST, "out of memory for a memory dump");
    }
    l->p[l->n++] = (struct part){ lin, pa, len };
}

/* What there is of [pa, end). */
static void find_memory(struct writer *w, uint64_t pa, uint64_t end)
{
    uint64_t run;

    if (w->d->length && w->d->begin > pa)
        pa = w->d->begin;
    if (w->d->length && w->d->begin + w->d->length < end)
        end = w->d->begin + w->d->length;
    for (; pa < end; pa += run) {
        run = 0;
        if (phys_host(w->m->phys, pa, false, &run) && run) {
            run = run < end - pa ? run : end - pa;
            add(&w->memory, NO_LIN, pa, run);
        } else {
            run = PAGE_SIZE - pa % PAGE_SIZE;
        }
    }
}

/* What of a page is in the file. */
static bool mapped(void *arg, const struct mmu_page *page)
{
    struct writer *w = arg;
    uint64_t end = page->pa + ((uint64_t)1 << page->shift);

    for (size_t i = 0; i < w->memory.n; i++) {
        const struct part *m = &w->memory.p[i];
        uint64_t from = m->pa > page->pa ? m->pa : page->pa, to = m->pa + m->len < end ? m->pa + m->len : end;

        if (from < to)
            add(&w->segments, page->lin + (from - page->pa), from, to - from);
    }
    return w->segments.n < SEGMENTS;
}

static int by_pa(const void *a, const void *b)
{
    const struct part *x = a, *y = b;

    return (x->pa > y->pa) - (x->pa < y->pa);
}

/* The gaps between what is mapped. */
static void unmapped(struct writer *w)
{
    size_t n = w->segments.n, at = 0;
    struct part *sorted = malloc((n + 1) * sizeof(*sorted));

    if (!sorted)
        die(EXIT_CODE_HOST, "out of memory for a memory dump");
    if (n)
        memcpy(sorted, w->segments.p, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), by_pa);
    for (size_t i = 0; i < w->memory.n; i++) {
        uint64_t pa = w->memory.p[i].pa, end = pa + w->memory.p[i].len;

        /* Parts lie in one piece of memory each, in its order. */
        for (; at < n && sorted[at].pa < end; at++) {
            if (sorted[at].pa > pa)
                add(&w->segments, NO_LIN, pa, sorted[at].pa - pa);
            if (sorted[at].pa + sorted[at].len > pa)
                pa = sorted[at].pa + sorted[at].len;
        }
        if (pa < end)
            add(&w->segments, NO_LIN, pa, end - pa);
    }
    free(sorted);
}

/* ---- notes ---- */

static void put(uint8_t *at, uint64_t v, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        at[i] = (uint8_t)(v >> 8 * i);
}

static void add_note(struct writer *w, const char *name, uint32_t type, const void *desc, unsigned len)
{
    unsigned name_len = (unsigned)strlen(name) + 1, name_room = (name_len + 3) & ~3u, room = 12 + name_room + ((len + 3) & ~3u);
    uint8_t *n = realloc(w->notes, w->notes_len + room);

    if (!n)
        die(EXIT_CODE_HOST, "out of memory for a memory dump");
    w->notes = n;
    n += w->notes_len;
    w->notes_len += room;
    memset(n, 0, room);
    put(n, name_len, 4);
    put(n + 4, len, 4);
    put(n + 8, type, 4);
    memcpy(n + 12, name, name_len);
    memcpy(n + 12 + name_room, desc, len);
}

/* Linux's struct elf_prstatus, of which gdb wants the number of the thread and the registers (struct user_regs_struct). */
static void prstatus(struct writer *w, const struct cpu *c)
{
    const uint64_t *r = c->r;
    const uint64_t regs64[27] = {
        r[15], r[14], r[13], r[12], r[R_BP], r[R_BX], r[11], r[10], r[9], r[8], r[R_AX], r[R_CX], r[R_DX], r[R_SI], r[R_DI],
        UINT64_MAX, c->rip, c->seg[SEG_CS].sel, cpu_eflags(c), r[R_SP], c->seg[SEG_SS].sel,
        c->seg[SEG_FS].base, c->seg[SEG_GS].base, c->seg[SEG_DS].sel, c->seg[SEG_ES].sel, c->seg[SEG_FS].sel,
        c->seg[SEG_GS].sel
    };
    const uint64_t regs32[17] = {
        r[R_BX], r[R_CX], r[R_DX], r[R_SI], r[R_DI], r[R_BP], r[R_AX], c->seg[SEG_DS].sel, c->seg[SEG_ES].sel,
        c->seg[SEG_FS].sel, c->seg[SEG_GS].sel, UINT32_MAX, c->rip, c->seg[SEG_CS].sel,
        cpu_eflags(c), r[R_SP], c->seg[SEG_SS].sel
    };
    uint8_t b[336] = { 0 };

    if (w->wide) {
        put(b + 32, c->index + 1, 4);
        for (unsigned i = 0; i < 27; i++)
            put(b + 112 + 8 * i, regs64[i], 8);
    } else {
        put(b + 24, c->index + 1, 4);
        for (unsigned i = 0; i < 17; i++)
            put(b + 72 + 4 * i, regs32[i], 4);
    }
    add_note(w, "CORE", NT_PRSTATUS, b, w->wide ? 336 : 144);
}

/* A segment or table: selector, limit, attributes as in a descriptor's upper half, base. */
static uint8_t *put_segment(uint8_t *at, uint32_t sel, uint32_t limit, uint32_t attr, uint64_t base)
{
    put(at, sel, 4);
    put(at + 4, limit, 4);
    put(at + 8, attr << 8, 4);
    put(at + 16, base, 8);
    return at + 24;
}

/* QEMUCPUState, version 1, as crash reads it. */
static void cpu_state(struct writer *w, const struct cpu *c)
{
    static const uint8_t order[] = { R_AX, R_BX, R_CX, R_DX, R_SI, R_DI, R_SP, R_BP, 8, 9, 10, 11, 12, 13, 14, 15 };
    static const uint8_t segs[] = { SEG_CS, SEG_DS, SEG_ES, SEG_FS, SEG_GS, SEG_SS, SEG_LDTR, SEG_TR };
    const uint64_t cr[5] = { c->cr0, 0, c->cr2, c->cr3, c->cr4 };
    uint8_t b[440] = { 0 }, *at = b + 8;

    put(b, 1, 4);
    put(b + 4, sizeof(b), 4);
    for (unsigned i = 0; i < 16; i++, at += 8)
        put(at, c->r[order[i]], 8);
    put(at, c->rip, 8);
    put(at + 8, cpu_eflags(c), 8);
    at += 16;
    for (unsigned i = 0; i < sizeof(segs); i++) {
        const struct seg *s = &c->seg[segs[i]];

        at = put_segment(at, s->sel, s->limit, s->attr, s->base);
    }
    at = put_segment(at, 0, c->gdt.limit, 0, c->gdt.base);
    at = put_segment(at, 0, c->idt.limit, 0, c->idt.base);
    for (unsigned i = 0; i < 5; i++, at += 8)
        put(at, cr[i], 8);
    put(at, c->kernel_gs_base, 8);
    add_note(w, "QEMU", 0, b, sizeof(b));
}

/* ---- the file ---- */

/* What comes before memory is put together first: a pipe takes all in its order. */
static void put_head(struct writer *w, const void *data, size_t n, uint64_t off)
{
    memcpy(w->head + off, data, n);
}

/* A pipe whose other end takes nothing for so long is given up: the machine stands still meanwhile. */
static bool has_room(struct writer *w)
{
    struct pollfd p = { .fd = w->fd, .events = POLLOUT };
    int n = w->pipe ? poll(&p, 1, PATIENCE_MS) : 1;

    if (!n)
        errno = ETIMEDOUT;
    return n > 0 || (n < 0 && errno == EINTR);
}

/* Behind what was written before; of a file zeros are holes. */
static bool append(struct writer *w, const void *data, size_t n, bool zeros)
{
    if (zeros && !w->pipe) {
        w->at += n;
        return true;
    }
    while (n) {
        ssize_t done;

        if (!has_room(w))
            return false;
        done = w->pipe ? write(w->fd, data, n) : pwrite(w->fd, data, n, (off_t)w->at);
        if (done < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (done <= 0)
            return false;
        data = (const uint8_t *)data + done;
        n -= (size_t)done;
        w->at += (uint64_t)done;
    }
    return true;
}

/* Where in the file that memory is. */
static uint64_t place(const struct writer *w, uint64_t pa)
{
    uint64_t off = w->first;
    size_t i = 0;

    for (; w->memory.p[i].pa > pa || pa - w->memory.p[i].pa >= w->memory.p[i].len; i++)
        off += w->memory.p[i].len;
    return off + (pa - w->memory.p[i].pa);
}

static void put_phdr(struct writer *w, size_t n, uint32_t type, uint64_t lin, uint64_t pa, uint64_t off, uint64_t len)
{
    Elf64_Phdr p64 = { .p_type = type, .p_flags = type == PT_LOAD ? PF_R | PF_W | PF_X : 0, .p_offset = off, .p_vaddr = lin,
                       .p_paddr = pa, .p_filesz = len, .p_memsz = len };
    Elf32_Phdr p32 = { .p_type = type, .p_flags = p64.p_flags, .p_offset = (uint32_t)off, .p_vaddr = (uint32_t)lin,
                       .p_paddr = (uint32_t)pa, .p_filesz = (uint32_t)len, .p_memsz = (uint32_t)len };

    if (w->wide)
        put_head(w, &p64, sizeof(p64), sizeof(Elf64_Ehdr) + n * sizeof(p64));
    else
        put_head(w, &p32, sizeof(p32), sizeof(Elf32_Ehdr) + n * sizeof(p32));
}

static void put_headers(struct writer *w, uint64_t phnum, uint64_t shoff)
{
    bool many = phnum >= PN_XNUM;
    Elf64_Ehdr e64 = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT }, .e_type = ET_CORE,
                       .e_machine = EM_X86_64, .e_version = EV_CURRENT, .e_phoff = sizeof(e64), .e_ehsize = sizeof(e64),
                       .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = many ? PN_XNUM : (uint16_t)phnum,
                       .e_shoff = many ? shoff : 0, .e_shentsize = sizeof(Elf64_Shdr), .e_shnum = many };
    Elf32_Ehdr e32 = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2LSB, EV_CURRENT }, .e_type = ET_CORE,
                       .e_machine = EM_386, .e_version = EV_CURRENT, .e_phoff = sizeof(e32), .e_ehsize = sizeof(e32),
                       .e_phentsize = sizeof(Elf32_Phdr), .e_phnum = e64.e_phnum, .e_shoff = (uint32_t)e64.e_shoff,
                       .e_shentsize = sizeof(Elf32_Shdr), .e_shnum = many };
    Elf64_Shdr s64 = { .sh_info = (uint32_t)phnum };
    Elf32_Shdr s32 = { .sh_info = (uint32_t)phnum };
    size_t n = 0;

    if (w->wide)
        put_head(w, &e64, sizeof(e64), 0);
    else
        put_head(w, &e32, sizeof(e32), 0);
    if (many && w->wide)
        put_head(w, &s64, sizeof(s64), shoff);
    else if (many)
        put_head(w, &s32, sizeof(s32), shoff);
    put_phdr(w, n++, PT_NOTE, 0, 0, w->first - w->notes_len, w->notes_len);
    for (size_t i = 0; i < w->segments.n; i++) {
        const struct part *p = &w->segments.p[i];

        put_phdr(w, n++, PT_LOAD, p->lin == NO_LIN ? p->pa : p->lin, p->pa, place(w, p->pa), p->len);
    }
    put_head(w, w->notes, w->notes_len, w->first - w->notes_len);
}

static bool put_memory(struct writer *w, uint64_t *total)
{
    static const uint8_t zero[CHUNK];

    for (size_t i = 0; i < w->memory.n; i++) {
        const struct part *p = &w->memory.p[i];

        for (uint64_t at = 0; at < p->len;) {
            uint64_t run = 0, n = p->len - at < CHUNK ? p->len - at : CHUNK;
            const uint8_t *host = phys_host(w->m->phys, p->pa + at, false, &run);

            n = n < run ? n : run;      /* it was there a moment ago, and nothing has run since */
            if (!append(w, host, n, memcmp(host, zero, n) == 0))
                return false;
            at += n;
        }
    }
    *total = w->at - w->first;
    return w->pipe || ftruncate(w->fd, (off_t)w->at) == 0;
}

static bool write_all(struct writer *w, uint64_t *size)
{
    struct machine *m = w->m;
    struct cpu *c = m->ncpu ? m->cpu[0] : NULL;
    uint64_t phnum, shoff;

    find_memory(w, 0, m->ram_low);
    find_memory(w, (uint64_t)1 << 32, ((uint64_t)1 << 32) + m->ram_high);
    w->wide = !c || cpu_lma(c) || m->ram_high;
    if (w->d->paging && c)
        mmu_list(c, TABLES, mapped, w);
    unmapped(w);
    for (unsigned i = 0; i < m->ncpu; i++)
        prstatus(w, m->cpu[i]);
    for (unsigned i = 0; i < m->ncpu; i++)
        cpu_state(w, m->cpu[i]);
    phnum = 1 + w->segments.n;
    shoff = w->wide ? sizeof(Elf64_Ehdr) + phnum * sizeof(Elf64_Phdr) : sizeof(Elf32_Ehdr) + phnum * sizeof(Elf32_Phdr);
    w->first = (shoff + sizeof(Elf64_Shdr) + w->notes_len + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
    w->head = calloc(1, w->first);
    if (!w->head)
        die(EXIT_CODE_HOST, "out of memory for a memory dump");
    put_headers(w, phnum, shoff);
    return append(w, w->head, w->first, false) && put_memory(w, size);
}

/* A pipe or a socket: only one that somebody gave us, and reads. */
static bool takes_dump(const struct dump *d, const struct stat *st)
{
    return S_ISREG(st->st_mode) || (d->fd >= 0 && (S_ISFIFO(st->st_mode) || S_ISSOCK(st->st_mode)));
}

/* Writes to a pipe that nobody reads fail, and are no signal. */
static bool write_quietly(struct writer *w, uint64_t *size)
{
    struct timespec now = { 0, 0 };
    sigset_t pipes, before;
    int error;
    bool ok;

    sigemptyset(&pipes);
    sigaddset(&pipes, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipes, &before);
    ok = write_all(w, size);
    error = errno;
    while (sigtimedwait(&pipes, NULL, &now) > 0)
        ;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return ok;
}

bool dump_write(struct machine *m, const struct dump *d, uint64_t *size, char *err, size_t len)
{
    struct writer w = { .m = m, .d = d };
    struct stat st;
    bool ok;

    if (d->begin >> 52 || d->length >> 52) {
        snprintf(err, len, "there is no such memory: physical addresses have 52 bits");
        if (d->fd >= 0)
            close(d->fd);
        return false;
    }
    w.fd = d->fd >= 0 ? d->fd : open(d->file, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
    if (w.fd >= 0 && (fstat(w.fd, &st) || !takes_dump(d, &st))) {
        close(w.fd);
        snprintf(err, len, "cannot write %s: it is no regular file", d->file);
        return false;
    }
    w.pipe = w.fd >= 0 && !S_ISREG(st.st_mode);
    if (w.fd < 0 || (w.pipe ? fcntl(w.fd, F_SETFL, O_NONBLOCK) : ftruncate(w.fd, 0))) {
        snprintf(err, len, "cannot write %s: %s", d->file, strerror(errno));
        if (w.fd >= 0)
            close(w.fd);
        return false;
    }
    control_hold(m->control);
    ok = write_quietly(&w, size);
    control_release(m->control);
    ok &= close(w.fd) == 0;
    if (!ok)
        snprintf(err, len, "cannot write %s: %s", d->file, strerror(errno));
    if (ok && !w.memory.n)
        snprintf(err, len, "there is no memory from 0x%llx on", (unsigned long long)d->begin);
    ok &= w.memory.n != 0;
    if (!ok && d->fd < 0)
        unlink(d->file);
    free(w.memory.p);
    free(w.segments.p);
    free(w.notes);
    free(w.head);
    return ok;
}
