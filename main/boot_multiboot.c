/*
 * boot_multiboot.c - Multiboot specification 0.6.96 kernels: 32-bit ELF files, and flat or a.out
 * files whose header carries the addresses.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "main/load.h"

#define HEADER_MAGIC 0x1badb002u
#define LOADER_MAGIC 0x2badb002u
#define SEARCH       8192               /* the header lies in the file's first bytes */

#define F_PAGE_ALIGN 1u
#define F_MEMORY     2u
#define F_VIDEO      4u
#define F_REQUIRED   0xffffu            /* flags a loader must know */
#define F_ADDRESSES  0x10000u

#define I_MEMORY  (1u << 0)
#define I_CMDLINE (1u << 2)
#define I_MODS    (1u << 3)
#define I_MMAP    (1u << 6)
#define I_LOADER  (1u << 9)
#define INFO_LEN  120
#define MOD_LEN   16
#define MAP_LEN   24

static const char loader_name[] = "latimer";

/* Offset of the header, or -1. */
static long find_header(const struct blob *k)
{
    size_t end = k->len < SEARCH ? k->len : SEARCH;

    for (size_t at = 0; at + 12 <= end; at += 4)
        if (le32(k->p + at) == HEADER_MAGIC &&
            HEADER_MAGIC + le32(k->p + at + 4) + le32(k->p + at + 8) == 0)      /* checksum */
            return at;
    return -1;
}

static bool detect(const struct blob *k)
{
    return find_header(k) >= 0;
}

/* The header's own addresses (3.1.3). */
static bool load_flat(struct boot *b, size_t header, char *err)
{
    const uint8_t *h = b->kernel.p + header;
    uint32_t header_addr, load_addr, load_end, bss_end;
    uint64_t offset, filesz, memsz;

    if (header + 32 > b->kernel.len)
        return load_fail(err, "%s: the multiboot header is cut off", b->kernel.name);
    header_addr = le32(h + 12);
    load_addr = le32(h + 16);
    load_end = le32(h + 20);
    bss_end = le32(h + 24);
    b->entry = le32(h + 28);
    if (load_addr > header_addr || header_addr - load_addr > header)
        return load_fail(err, "%s: the multiboot header's load address does not fit its place in the file",
                         b->kernel.name);
    offset = header - (header_addr - load_addr);
    filesz = load_end ? (uint64_t)load_end - load_addr : b->kernel.len - offset;
    if (load_end && load_end < load_addr)
        return load_fail(err, "%s: the multiboot header's load end lies before its load address",
                         b->kernel.name);
    memsz = filesz;
    if (bss_end && bss_end >= load_addr && bss_end - load_addr > memsz)
        memsz = bss_end - load_addr;
    return load_segment(b, load_addr, offset, filesz, memsz, err);
}

/* ELF entry points are virtual addresses to some linkers; the segment tells the physical one. */
static uint64_t physical_entry(const struct elf *e)
{
    for (unsigned i = 0; i < e->phnum; i++) {
        struct elf_seg s;

        if (!elf_segment(e, i, &s) && s.type == ELF_PT_LOAD && e->entry >= s.vaddr &&
            e->entry - s.vaddr < s.memsz)
            return s.paddr + (e->entry - s.vaddr);
    }
    return e->entry;
}

static bool load_file(struct boot *b, size_t header, char *err)
{
    struct elf e;
    const char *bad;

    if (le32(b->kernel.p + header + 4) & F_ADDRESSES)
        return load_flat(b, header, err);
    bad = elf_open(&e, b->kernel.p, b->kernel.len);
    if (bad)
        return load_fail(err, "%s: the multiboot header has no addresses, and %s", b->kernel.name, bad);
    if (e.is64)
        return load_fail(err, "%s: this is a 64-bit ELF file, and multiboot 1 loads 32-bit ones: convert it "
                         "with objcopy -O elf32-i386", b->kernel.name);
    if (!load_elf(b, &e, err))
        return false;
    b->entry = physical_entry(&e);
    return true;
}

static void enter(struct boot *b)
{
    struct machine *m = b->m;
    struct memmap map[MEMMAP_MAX];
    unsigned n = load_memmap(m, map);
    uint8_t info[INFO_LEN + sizeof(loader_name) + MEMMAP_MAX * MAP_LEN] = { 0 };
    uint8_t *maps = info + INFO_LEN + sizeof(loader_name), mod[MOD_LEN];
    uint64_t strings = b->tables + (uint64_t)b->nmod * MOD_LEN;

    put_le(info, I_MEMORY | I_CMDLINE | I_MODS | I_MMAP | I_LOADER, 4);
    put_le(info + 4, EBDA >> 10, 4);
    put_le(info + 8, (m->ram_low - 0x100000) >> 10, 4);
    put_le(info + 16, b->cmdline, 4);
    put_le(info + 20, b->nmod, 4);
    put_le(info + 24, b->tables, 4);
    put_le(info + 44, n * MAP_LEN, 4);
    put_le(info + 48, b->info + (maps - info), 4);
    put_le(info + 64, b->info + INFO_LEN, 4);
    memcpy(info + INFO_LEN, loader_name, sizeof(loader_name));
    for (unsigned i = 0; i < n; i++) {
        put_le(maps + i * MAP_LEN, MAP_LEN - 4, 4);     /* the size does not count itself */
        put_le(maps + i * MAP_LEN + 4, map[i].base, 8);
        put_le(maps + i * MAP_LEN + 12, map[i].len, 8);
        put_le(maps + i * MAP_LEN + 20, map[i].type, 4);
    }
    load_put(b, b->info, info, sizeof(info));
    for (unsigned i = 0; i < b->nmod; i++) {
        size_t len = strlen(b->mod[i].args) + 1;

        put_le(mod, b->mod[i].at, 4);
        put_le(mod + 4, b->mod[i].at + b->mod[i].blob.len, 4);
        put_le(mod + 8, strings, 4);
        put_le(mod + 12, 0, 4);
        load_put(b, b->tables + i * MOD_LEN, mod, MOD_LEN);
        load_put(b, strings, b->mod[i].args, len);
        strings += len;
    }
    m->cpu[0]->r[R_AX] = LOADER_MAGIC;
    m->cpu[0]->r[R_BX] = b->info;
    entry_flat32(b, b->entry);
}

static bool prepare(struct boot *b, char *err)
{
    size_t header = find_header(&b->kernel), strings = 0;
    uint32_t flags = le32(b->kernel.p + header + 4);
    uint64_t end = 0x100000;

    if (flags & F_REQUIRED & ~(F_PAGE_ALIGN | F_MEMORY | F_VIDEO))
        return load_fail(err, "%s: the multiboot header requires features 0x%x, which are not known",
                         b->kernel.name, flags & F_REQUIRED);
    if (!load_file(b, header, err))
        return false;
    if (b->entry >= b->m->ram_low)
        return load_fail(err, "%s: the entry 0x%llx lies outside the guest's memory: use a larger -m, or the "
                         "file is damaged", b->kernel.name, (unsigned long long)b->entry);
    for (unsigned i = 0; i < b->nseg; i++)
        if (b->seg[i].at + b->seg[i].memsz > end)
            end = b->seg[i].at + b->seg[i].memsz;
    for (unsigned i = 0; i < b->nmod; i++) {
        struct boot_mod *mod = &b->mod[i];

        mod->at = ranges_low(&b->used, mod->blob.len, PAGE_SIZE, end, b->m->ram_low);
        if (!mod->at)
            return load_fail(err, "%s: the module has %llu KiB and does not fit behind the kernel: use a "
                             "larger -m", mod->blob.name, (unsigned long long)(mod->blob.len + 1023) >> 10);
        strings += strlen(mod->args) + 1;
    }
    /* As GRUB does, the kernel's name comes first. */
    if (asprintf(&b->line, "%s%s%s", b->kernel.name, *b->append ? " " : "", b->append) < 0) {
        b->line = NULL;
        return load_fail(err, "out of memory for the command line");
    }
    b->enter = enter;
    return load_place(b, &b->info, INFO_LEN + sizeof(loader_name) + MEMMAP_MAX * MAP_LEN, 16,
                      "the boot information", err) &&
           load_place(b, &b->cmdline, strlen(b->line) + 1, 16, "the command line", err) &&
           load_place(b, &b->gdt, BOOT_GDT_LEN, 16, "the descriptor table", err) &&
           load_place(b, &b->tables, b->nmod * MOD_LEN + strings + 1, 16, "the module list", err);
}

const struct boot_format boot_multiboot = { "multiboot", detect, true, prepare };
