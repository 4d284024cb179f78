/*
 * boot_pvh.c - ELF kernels with a PVH entry (the x86/HVM direct boot ABI; Xen's
 * public/arch-x86/hvm/start_info.h): vmlinux with CONFIG_PVH, some BSDs and unikernels.
 */
#include <string.h>

#include "main/load.h"

#define NOTE_PHYS32_ENTRY 18
#define MAGIC             0x336ec578u
#define INFO_LEN          56
#define MOD_LEN           32
#define MAP_LEN           24

static bool entry_note(const struct blob *k, uint64_t *entry)
{
    struct elf e;
    const uint8_t *note;
    size_t len;

    if (elf_open(&e, k->p, k->len))
        return false;
    note = elf_note(&e, "Xen", NOTE_PHYS32_ENTRY, &len);
    if (!note || len < 4)
        return false;
    *entry = len >= 8 ? le64(note) : le32(note);
    return true;
}

static bool detect(const struct blob *k)
{
    uint64_t entry;

    return entry_note(k, &entry);
}

static void enter(struct boot *b)
{
    struct memmap map[MEMMAP_MAX];
    unsigned n = load_memmap(b->m, map);
    uint8_t info[INFO_LEN + BOOT_MODS * MOD_LEN + MEMMAP_MAX * MAP_LEN] = { 0 };
    uint8_t *mods = info + INFO_LEN, *maps = mods + b->nmod * MOD_LEN;

    put_le(info, MAGIC, 4);
    put_le(info + 4, 1, 4);                             /* version */
    put_le(info + 12, b->nmod, 4);
    put_le(info + 16, b->nmod ? b->info + INFO_LEN : 0, 8);
    put_le(info + 24, b->cmdline, 8);
    put_le(info + 32, b->m->rsdp, 8);
    put_le(info + 40, b->info + (maps - info), 8);
    put_le(info + 48, n, 4);
    for (unsigned i = 0; i < b->nmod; i++) {
        put_le(mods + i * MOD_LEN, b->mod[i].at, 8);
        put_le(mods + i * MOD_LEN + 8, b->mod[i].blob.len, 8);
    }
    for (unsigned i = 0; i < n; i++) {
        put_le(maps + i * MAP_LEN, map[i].base, 8);
        put_le(maps + i * MAP_LEN + 8, map[i].len, 8);
        put_le(maps + i * MAP_LEN + 16, map[i].type, 4);
    }
    load_put(b, b->info, info, sizeof(info));
    b->m->cpu[0]->r[R_BX] = b->info;
    entry_flat32(b, b->entry);
}

static bool prepare(struct boot *b, char *err)
{
    struct elf e;
    const char *bad = elf_open(&e, b->kernel.p, b->kernel.len);

    if (bad)
        return load_fail(err, "%s: %s", b->kernel.name, bad);
    entry_note(&b->kernel, &b->entry);
    if (!load_elf(b, &e, err))
        return false;
    if (b->entry >= b->m->ram_low)
        return load_fail(err, "%s: the PVH entry 0x%llx lies outside the guest's memory: use a larger -m, or "
                         "the file is damaged", b->kernel.name, (unsigned long long)b->entry);
    for (unsigned i = 0; i < b->nmod; i++) {
        struct boot_mod *mod = &b->mod[i];

        mod->at = ranges_high(&b->used, mod->blob.len, PAGE_SIZE, 0x100000,
                              b->m->ram_low < 0x80000000u ? b->m->ram_low : 0x80000000u);
        if (!mod->at)
            return load_fail(err, "%s: the initial ramdisk has %llu MiB and does not fit beside the kernel: "
                             "use a larger -m", mod->blob.name,
                             (unsigned long long)(mod->blob.len + 0xfffff) >> 20);
    }
    b->line = strdup(b->append);
    if (!b->line)
        return load_fail(err, "out of memory for the command line");
    b->enter = enter;
    return load_place(b, &b->info, INFO_LEN + BOOT_MODS * MOD_LEN + MEMMAP_MAX * MAP_LEN, 16,
                      "the start information", err) &&
           load_place(b, &b->cmdline, strlen(b->line) + 1, 16, "the command line", err) &&
           load_place(b, &b->gdt, BOOT_GDT_LEN, 16, "the descriptor table", err);
}

const struct boot_format boot_pvh = { "PVH ELF", detect, false, prepare };
