/*
 * load.c - direct kernel loading: files, detection, placement, the boot processor's entry state.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "frontend/help_sys.h"
#include "main/load.h"

static const struct boot_format *const formats[] = { &boot_linux, &boot_multiboot, &boot_pvh };

bool load_fail(char *err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(err, BOOT_ERR, fmt, ap);
    va_end(ap);
    return false;
}

/* ---- guest memory that is spoken for ---- */

bool ranges_add(struct ranges *s, uint64_t lo, uint64_t len)
{
    uint64_t hi = lo + len;
    unsigned i = 0;

    if (!len)
        return true;
    if (hi < lo || s->n == sizeof(s->r) / sizeof(s->r[0]))
        return false;
    while (i < s->n && s->r[i].hi <= lo)
        i++;
    if (i < s->n && s->r[i].lo < hi)
        return false;
    memmove(&s->r[i + 1], &s->r[i], (s->n - i) * sizeof(s->r[0]));
    s->r[i].lo = lo;
    s->r[i].hi = hi;
    s->n++;
    return true;
}

uint64_t ranges_low(struct ranges *s, uint64_t len, uint64_t align, uint64_t lo, uint64_t hi)
{
    uint64_t at = (lo + align - 1) & ~(align - 1);

    for (unsigned i = 0; i < s->n; i++) {
        if (s->r[i].hi <= at)
            continue;
        if (s->r[i].lo >= at && s->r[i].lo - at >= len)
            break;
        at = (s->r[i].hi + align - 1) & ~(align - 1);
    }
    if (at >= hi || hi - at < len || !ranges_add(s, at, len))
        return 0;
    return at;
}

uint64_t ranges_high(struct ranges *s, uint64_t len, uint64_t align, uint64_t lo, uint64_t hi)
{
    uint64_t top = hi;

    for (unsigned i = s->n + 1; i-- > 0;) {
        uint64_t floor = i ? s->r[i - 1].hi : 0, at;

        if (floor < lo)
            floor = lo;
        if (top > len) {
            at = (top - len) & ~(align - 1);
            if (at && at >= floor)
                return ranges_add(s, at, len) ? at : 0;
        }
        if (i && s->r[i - 1].lo < top)
            top = s->r[i - 1].lo;
        if (top <= lo)
            break;
    }
    return 0;
}

bool load_place(struct boot *b, uint64_t *at, uint64_t len, uint64_t align, const char *what, char *err)
{
    *at = ranges_low(&b->used, len, align, 0x7000, EBDA);
    if (!*at)
        *at = ranges_low(&b->used, len, align, 0x100000, b->m->ram_low);
    if (!*at)
        return load_fail(err, "%s: no room for %s beside the kernel: give the guest more memory (-m)",
                         b->kernel.name, what);
    return true;
}

bool load_segment(struct boot *b, uint64_t at, size_t offset, uint64_t filesz, uint64_t memsz, char *err)
{
    uint64_t end = at + memsz;

    if (!memsz)
        return true;
    if (offset > b->kernel.len || filesz > b->kernel.len - offset || filesz > memsz)
        return load_fail(err, "%s: a part of the kernel lies outside the file: it seems to be cut off; "
                         "get a complete copy", b->kernel.name);
    if (end < at || end > b->m->ram_low)
        return load_fail(err, "%s: the kernel wants to be at 0x%llx-0x%llx, but memory ends at 0x%llx: "
                         "give the guest more memory (-m)", b->kernel.name, (unsigned long long)at,
                         (unsigned long long)end - 1, (unsigned long long)b->m->ram_low);
    if (b->nseg == BOOT_SEGS)
        return load_fail(err, "%s: more than %u loadable segments", b->kernel.name, BOOT_SEGS);
    if (!ranges_add(&b->used, at, memsz))
        return load_fail(err, "%s: the kernel's part at 0x%llx-0x%llx overlaps another part or the "
                         "firmware area below 1 MiB: it cannot be loaded on this machine",
                         b->kernel.name, (unsigned long long)at, (unsigned long long)end - 1);
    b->seg[b->nseg++] = (struct boot_seg){ at, offset, filesz, memsz };
    return true;
}

bool load_elf(struct boot *b, const struct elf *e, char *err)
{
    for (unsigned i = 0; i < e->phnum; i++) {
        struct elf_seg s;
        const char *bad = elf_segment(e, i, &s);

        if (bad)
            return load_fail(err, "%s: %s: get a complete copy of the file", b->kernel.name, bad);
        if (s.type == ELF_PT_LOAD && !load_segment(b, s.paddr, s.offset, s.filesz, s.memsz, err))
            return false;
    }
    if (!b->nseg)
        return load_fail(err, "%s: the ELF file has nothing to load: is it a kernel?", b->kernel.name);
    return true;
}

unsigned load_memmap(const struct machine *m, struct memmap *map)
{
    unsigned n = 0;

    map[n++] = (struct memmap){ 0, EBDA, MEM_RAM };
    map[n++] = (struct memmap){ EBDA, 0xa0000 - EBDA, MEM_RESERVED };
    map[n++] = (struct memmap){ 0xe0000, 0x20000, MEM_RESERVED };       /* ACPI tables */
    if (m->ram_low > 0x100000)
        map[n++] = (struct memmap){ 0x100000, m->ram_low - 0x100000, MEM_RAM };
    map[n++] = (struct memmap){ 0xfec00000, 0x1400000, MEM_RESERVED };  /* APICs, HPET, the top */
    if (m->ram_high)
        map[n++] = (struct memmap){ 1ull << 32, m->ram_high, MEM_RAM };
    return n;
}

/* ---- the entry state ---- */

void load_put(struct boot *b, uint64_t pa, const void *p, uint64_t len)
{
    phys_write(b->m->phys, pa, p, len);
}

static void zero(struct boot *b, uint64_t pa, uint64_t len)
{
    static const uint8_t zeros[65536];

    while (len) {
        uint64_t n = len < sizeof(zeros) ? len : sizeof(zeros);

        load_put(b, pa, zeros, n);
        pa += n;
        len -= n;
    }
}

static void set_seg(struct cpu *c, int n, uint16_t sel, uint16_t attr, uint32_t limit)
{
    c->seg[n].sel = sel;
    c->seg[n].base = 0;
    c->seg[n].limit = limit;
    c->seg[n].attr = attr;
    seg_update(c, n);
}

/* Selectors 10h (code) and 18h (data), as Linux' 64-bit protocol fixes them; the others do not care. */
static void segments(struct boot *b, struct cpu *c, bool long_mode)
{
    uint16_t code = long_mode ? SEG_L | SEG_G | 0x9b : SEG_DB | SEG_G | 0x9b;
    uint8_t gdt[BOOT_GDT_LEN] = { 0 };

    put_le(gdt + 16, long_mode ? 0x00af9b000000ffffull : 0x00cf9b000000ffffull, 8);
    put_le(gdt + 24, 0x00cf93000000ffffull, 8);
    load_put(b, b->gdt, gdt, sizeof(gdt));
    c->gdt.base = b->gdt;
    c->gdt.limit = sizeof(gdt) - 1;
    c->idt.base = 0;
    c->idt.limit = 0;
    set_seg(c, SEG_CS, 0x10, code, 0xffffffffu);
    for (int n = 0; n < 6; n++)
        if (n != SEG_CS)
            set_seg(c, n, 0x18, SEG_DB | SEG_G | 0x93, 0xffffffffu);
    set_seg(c, SEG_LDTR, 0, 0x82, 0xffff);
    set_seg(c, SEG_TR, 0, 0x8b, 0x67);
    c->cpl = 0;
}

void entry_flat32(struct boot *b, uint64_t eip)
{
    struct cpu *c = b->m->cpu[0];

    c->cr0 = CR0_PE | CR0_ET;
    c->cr4 = 0;
    c->efer = 0;
    segments(b, c, false);
    c->rip = eip;
    cpu_set_eflags(c, 0);
    mmu_flush_all(c);
    cpu_update_mode(c);
}

void entry_long(struct boot *b, uint64_t rip)
{
    struct cpu *c = b->m->cpu[0];
    uint8_t page[PAGE_SIZE] = { 0 };

    /* PML4, PDPT, four page directories of 2 MiB pages; present, writable (3), large (80h). */
    put_le(page, (b->tables + PAGE_SIZE) | 3, 8);
    load_put(b, b->tables, page, PAGE_SIZE);
    for (unsigned i = 0; i < 4; i++)
        put_le(page + 8 * i, (b->tables + (2 + i) * PAGE_SIZE) | 3, 8);
    load_put(b, b->tables + PAGE_SIZE, page, PAGE_SIZE);
    for (uint64_t i = 0; i < 4; i++) {
        for (uint64_t j = 0; j < 512; j++)
            put_le(page + 8 * j, (i << 30 | j << 21) | 0x83, 8);
        load_put(b, b->tables + (2 + i) * PAGE_SIZE, page, PAGE_SIZE);
    }
    c->cr0 = CR0_PE | CR0_ET | CR0_PG;
    c->cr4 = CR4_PAE;
    c->efer = EFER_LME | EFER_LMA;
    mmu_set_cr3(c, b->tables, false);
    segments(b, c, true);
    c->rip = rip;
    cpu_set_eflags(c, 0);
    mmu_flush_all(c);
    cpu_update_mode(c);
}

/*
 * Memory types as firmware sets them on every processor: all write-back but
 * the hole below 4 GiB. Linux leaves the PAT unused on machines without.
 */
static void memory_types(struct machine *m)
{
    for (unsigned i = 0; i < m->ncpu; i++) {
        struct cpu *c = m->cpu[i];

        for (unsigned k = 0; k < 11; k++)
            c->mtrr_fixed[k] = k == 2 ? 0 : 0x0606060606060606ull;      /* k 2: A0000-BFFFF */
        c->mtrr_var[0] = 0xc0000000u;
        c->mtrr_var[1] = ((1ull << MMU_PA_BITS) - 0x40000000u) | 1u << 11;
        c->mtrr_def = 0xc06;
    }
}

void load_boot(struct machine *m)
{
    struct boot *b = m->boot_image;
    uint8_t bda[2];

    for (unsigned i = 0; i < b->nseg; i++) {
        load_put(b, b->seg[i].at, b->kernel.p + b->seg[i].offset, b->seg[i].filesz);
        zero(b, b->seg[i].at + b->seg[i].filesz, b->seg[i].memsz - b->seg[i].filesz);
    }
    for (unsigned i = 0; i < b->nmod; i++)
        load_put(b, b->mod[i].at, b->mod[i].blob.p, b->mod[i].blob.len);
    /* BIOS data area: where the EBDA is, and kilobytes of memory below it. */
    put_le(bda, EBDA >> 4, 2);
    load_put(b, 0x40e, bda, 2);
    put_le(bda, EBDA >> 10, 2);
    load_put(b, 0x413, bda, 2);
    if (b->line)
        load_put(b, b->cmdline, b->line, strlen(b->line) + 1);
    memory_types(m);
    b->enter(b);
    for (unsigned i = 0; i <= b->nmod; i++)
        file_idle(&b->file[i]);
}

/* ---- preparing ---- */

const struct boot_format *load_detect(const struct blob *k)
{
    for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (formats[i]->detect(k))
            return formats[i];
    return NULL;
}

static bool unknown(const struct blob *k, char *err)
{
    const uint8_t *p = k->p;

    if (k->len >= 2 && p[0] == 0x1f && p[1] == 0x8b)
        return load_fail(err, "%s: this is gzip data, not a kernel: decompress it first", k->name);
    if (elf_is(p, k->len)) {
        struct elf e;
        const char *bad = elf_open(&e, p, k->len);
        struct elf_seg seg;

        for (unsigned i = 0; !bad && i < e.phnum; i++)      /* the note may be what is missing */
            bad = elf_segment(&e, i, &seg);
        return load_fail(err, "%s: %s: give a bzImage, a multiboot kernel, or a vmlinux built with "
                         "CONFIG_PVH", k->name,
                         bad ? bad : "this ELF file has neither a multiboot header nor a PVH entry note");
    }
    return load_fail(err, "%s: this is no kernel: a Linux bzImage (vmlinuz), a multiboot kernel or a PVH "
                     "vmlinux is needed", k->name);
}

bool load_prepare(struct boot *b, char *err)
{
    const struct boot_format *f = load_detect(&b->kernel);

    if (!f)
        return unknown(&b->kernel, err);
    if (b->m->ram_low < 0x200000)
        return load_fail(err, "%s: %lluKiB of memory are not enough for any kernel: use a larger -m",
                         b->kernel.name, (unsigned long long)b->m->ram_low >> 10);
    b->used.n = 0;
    b->nseg = 0;
    ranges_add(&b->used, 0, 0x1000);                    /* interrupt vectors, BIOS data area */
    ranges_add(&b->used, EBDA, 0x100000 - EBDA);
    return f->prepare(b, err);
}

static void add_module(struct boot *b, const char *path, char *args)
{
    struct boot_mod *mod = &b->mod[b->nmod];
    char err[BOOT_ERR];

    if (b->nmod == BOOT_MODS)
        die(EXIT_CODE_FILE, "-initrd: more than %u modules", BOOT_MODS);
    if (!file_read(&b->file[1 + b->nmod], path, err, sizeof(err)))
        die(EXIT_CODE_FILE, "cannot read the initial ramdisk or module: %s: check -initrd", err);
    mod->blob = (struct blob){ args, b->file[1 + b->nmod].data, b->file[1 + b->nmod].len };
    mod->args = args;
    b->nmod++;
}

/* "file args,file args"; a doubled comma is one that does not separate. */
static void add_modules(struct boot *b, const char *list)
{
    while (*list) {
        char *args = strdup(list), *out = args, *path;

        if (!args)
            die(EXIT_CODE_HOST, "out of memory for -initrd");
        while (*list && (*list != ',' || list[1] == ',')) {
            list += *list == ',';
            *out++ = *list++;
        }
        *out = 0;
        list += *list == ',';
        if (!*args) {
            free(args);
            continue;
        }
        path = strndup(args, strcspn(args, " "));
        if (!path)
            die(EXIT_CODE_HOST, "out of memory for -initrd");
        add_module(b, path, args);
        free(path);
    }
}

void load_kernel(struct machine *m)
{
    struct boot *b = calloc(1, sizeof(*b));
    const struct boot_format *f;
    char err[BOOT_ERR];

    if (!b)
        die(EXIT_CODE_HOST, "out of memory for the loader");
    b->m = m;
    b->append = m->cfg.append ? m->cfg.append : "";
    if (!file_read(&b->file[0], m->cfg.kernel, err, sizeof(err)))
        die(EXIT_CODE_FILE, "cannot read the kernel: %s: check -kernel", err);
    b->kernel = (struct blob){ m->cfg.kernel, b->file[0].data, b->file[0].len };
    f = load_detect(&b->kernel);
    if (m->cfg.initrd && f && f->several) {
        add_modules(b, m->cfg.initrd);
    } else if (m->cfg.initrd) {
        char *args = strdup(m->cfg.initrd);

        if (!args)
            die(EXIT_CODE_HOST, "out of memory for -initrd");
        add_module(b, m->cfg.initrd, args);
    }
    if (!load_prepare(b, err))
        die(EXIT_CODE_FILE, "%s", err);
    m->boot_image = b;
    m->boot = load_boot;
}

void load_free(struct machine *m)
{
    struct boot *b = m->boot_image;

    if (!b)
        return;
    for (unsigned i = 0; i < b->nmod; i++)
        free(b->mod[i].args);
    for (unsigned i = 0; i <= b->nmod; i++)
        file_free(&b->file[i]);
    free(b->line);
    free(b->setup);
    free(b);
    m->boot_image = NULL;
    m->boot = NULL;
}
