/*
 * boot_linux.c - Linux bzImage (the kernel's Documentation/arch/x86/boot.rst and zero-page.rst).
 *
 * amd64 kernels (XLF_KERNEL_64) are entered at their 64-bit entry, 200h behind
 * the loaded protected-mode part, all others at the 32-bit one.
 */
#include <stdlib.h>
#include <string.h>

#include "main/load.h"

/* struct setup_header in the file, and at the same offsets in boot_params. */
#define H_SETUP_SECTS   0x1f1
#define H_SYSSIZE       0x1f4
#define H_VID_MODE      0x1fa
#define H_BOOT_FLAG     0x1fe
#define H_JUMP          0x201           /* length of the header behind 202h */
#define H_MAGIC         0x202
#define H_VERSION       0x206
#define H_LOADER        0x210
#define H_LOADFLAGS     0x211
#define H_CODE32        0x214
#define H_RAMDISK       0x218
#define H_RAMDISK_SIZE  0x21c
#define H_HEAP_END      0x224
#define H_CMDLINE       0x228
#define H_INITRD_MAX    0x22c
#define H_ALIGNMENT     0x230
#define H_RELOCATABLE   0x234
#define H_XLOADFLAGS    0x236
#define H_CMDLINE_SIZE  0x238
#define H_PREF_ADDRESS  0x258
#define H_INIT_SIZE     0x260
#define H_END           0x290           /* e820 table of boot_params begins at 2D0h, EDD at 290h */

#define LOADED_HIGH     1u
#define CAN_USE_HEAP    0x80u
#define XLF_KERNEL_64   1u

/* struct boot_params (zero page); at its beginning struct screen_info. */
#define P_VIDEO_MODE    0x006
#define P_VIDEO_COLS    0x007
#define P_VIDEO_EGA_BX  0x00a
#define P_VIDEO_LINES   0x00e
#define P_VIDEO_IS_VGA  0x00f
#define P_VIDEO_POINTS  0x010
#define P_RSDP          0x070
#define P_ALT_MEM_K     0x1e0
#define P_E820_COUNT    0x1e8
#define P_E820          0x2d0

#define ENTRY_64        0x200u

static bool detect(const struct blob *k)
{
    return k->len >= 0x206 && le16(k->p + H_BOOT_FLAG) == 0xaa55 && !memcmp(k->p + H_MAGIC, "HdrS", 4);
}

/* Where the kernel goes, how much memory it needs there. */
static bool place_kernel(struct boot *b, const uint8_t *h, size_t setup, uint64_t *at, char *err)
{
    unsigned version = le16(h + H_VERSION);
    uint64_t size = b->kernel.len - setup, need = size, pref = 0x100000, align = 0x1000;

    if (version >= 0x205 && h[H_RELOCATABLE])
        align = le32(h + H_ALIGNMENT);
    if (version >= 0x20a) {
        if (h[H_RELOCATABLE] && le64(h + H_PREF_ADDRESS))
            pref = le64(h + H_PREF_ADDRESS);
        if (le32(h + H_INIT_SIZE) > need)
            need = le32(h + H_INIT_SIZE);
    }
    if (!align || (align & (align - 1)) || align > 1u << 30)
        return load_fail(err, "%s: the setup header asks for an alignment of 0x%llx: the file is damaged",
                         b->kernel.name, (unsigned long long)align);
    if (pref > b->m->ram_low || need > b->m->ram_low - pref)
        pref = (0x100000 + align - 1) & ~(align - 1);
    *at = pref;
    if (pref > b->m->ram_low || need > b->m->ram_low - pref)
        return load_fail(err, "%s: the kernel needs %llu MiB from address 0x%llx on, but the guest has only "
                         "%llu MiB: use a larger -m", b->kernel.name,
                         (unsigned long long)(need + 0xfffff) >> 20, (unsigned long long)pref,
                         (unsigned long long)b->m->ram_low >> 20);
    return load_segment(b, pref, setup, size, size, err) &&
           (need == size || ranges_add(&b->used, pref + size, need - size) ||
            load_fail(err, "%s: the kernel's work space overlaps reserved memory", b->kernel.name));
}

static bool place_initrd(struct boot *b, const uint8_t *h, char *err)
{
    struct boot_mod *mod = &b->mod[0];
    uint64_t max = le16(h + H_VERSION) >= 0x203 ? le32(h + H_INITRD_MAX) + 1ull : 0x38000000, hi = max;

    if (!b->nmod)
        return true;
    if (hi > b->m->ram_low)
        hi = b->m->ram_low;
    mod->at = ranges_high(&b->used, mod->blob.len, PAGE_SIZE, 0x100000, hi);
    if (mod->at)
        return true;
    return load_fail(err, "%s: the initial ramdisk has %llu MiB and does not fit beside the kernel: %s",
                     mod->blob.name, (unsigned long long)(mod->blob.len + 0xfffff) >> 20,
                     hi < max ? "use a larger -m"
                              : "this kernel takes it only below its initrd_addr_max: use a smaller one");
}

static bool place_cmdline(struct boot *b, const uint8_t *h, char *err)
{
    size_t len = strlen(b->append), max = le16(h + H_VERSION) >= 0x206 ? le32(h + H_CMDLINE_SIZE) : 255;

    if (len > max)
        return load_fail(err, "-append: the command line has %zu bytes, and %s takes %zu: shorten it", len,
                         b->kernel.name, max);
    b->line = strdup(b->append);
    if (!b->line)
        return load_fail(err, "out of memory for the command line");
    return load_place(b, &b->cmdline, len + 1, 16, "the command line", err);
}

/* boot_params as the kernel finds it. */
static void fill_params(struct boot *b, const uint8_t *h, uint64_t kernel)
{
    struct memmap map[MEMMAP_MAX];
    unsigned n = load_memmap(b->m, map);
    uint8_t *p = b->setup;
    size_t end = H_MAGIC + h[H_JUMP];
    uint64_t above = b->m->ram_low - 0x100000;

    if (end > H_END)
        end = H_END;
    if (end > b->kernel.len)
        end = b->kernel.len;
    memcpy(p + H_SETUP_SECTS, h + H_SETUP_SECTS, end - H_SETUP_SECTS);
    p[H_LOADER] = 0xff;                         /* a loader without a number of its own */
    p[H_LOADFLAGS] |= CAN_USE_HEAP;
    put_le(p + H_HEAP_END, 0xfe00, 2);
    put_le(p + H_VID_MODE, 0xffff, 2);          /* "normal" */
    put_le(p + H_CODE32, kernel, 4);
    put_le(p + H_CMDLINE, b->cmdline, 4);
    if (b->nmod) {
        put_le(p + H_RAMDISK, b->mod[0].at, 4);
        put_le(p + H_RAMDISK_SIZE, b->mod[0].blob.len, 4);
    }
    put_le(p + P_RSDP, b->m->rsdp, 8);
    put_le(p + P_ALT_MEM_K, above >> 10, 4);
    p[P_E820_COUNT] = n;
    for (unsigned i = 0; i < n; i++) {
        put_le(p + P_E820 + 20 * i, map[i].base, 8);
        put_le(p + P_E820 + 20 * i + 8, map[i].len, 8);
        put_le(p + P_E820 + 20 * i + 16, map[i].type, 4);
    }
}

/* struct screen_info: text mode 3, as the board has set it up. */
static void fill_screen(uint8_t *p)
{
    p[P_VIDEO_MODE] = 3;
    p[P_VIDEO_COLS] = 80;
    put_le(p + P_VIDEO_EGA_BX, 3, 2);           /* 256 KiB, colour */
    p[P_VIDEO_LINES] = 25;
    p[P_VIDEO_IS_VGA] = 1;
    put_le(p + P_VIDEO_POINTS, 16, 2);
}

static void enter(struct boot *b)
{
    struct cpu *c = b->m->cpu[0];

    if (b->m->text_screen)
        fill_screen(b->setup);
    load_put(b, b->info, b->setup, PAGE_SIZE);
    c->r[R_SI] = b->info;
    c->r[R_BP] = c->r[R_DI] = c->r[R_BX] = 0;   /* the 32-bit protocol wants these zero */
    if (b->long_mode)
        entry_long(b, b->entry);
    else
        entry_flat32(b, b->entry);
}

static bool prepare(struct boot *b, char *err)
{
    const uint8_t *h = b->kernel.p;
    unsigned version;
    size_t setup, sects;
    uint64_t at = 0, want;

    if (b->kernel.len < 0x290)
        return load_fail(err, "%s: the file ends within the Linux setup header: get a complete copy",
                         b->kernel.name);
    version = le16(h + H_VERSION);
    if (version < 0x202)
        return load_fail(err, "%s: boot protocol %u.%02u is too old: 2.02 (Linux 2.4) or later is needed",
                         b->kernel.name, version >> 8, version & 0xff);
    if (!(h[H_LOADFLAGS] & LOADED_HIGH))
        return load_fail(err, "%s: this is a zImage, which loads below 1 MiB: build a bzImage",
                         b->kernel.name);
    sects = h[H_SETUP_SECTS] ? h[H_SETUP_SECTS] : 4;
    setup = (sects + 1) * 512;
    want = version >= 0x204 ? le32(h + H_SYSSIZE) * 16ull : 1;
    /* syssize is rounded up; builds of old kernels did not pad the file. */
    if (b->kernel.len <= setup || b->kernel.len - setup + 32 < want)
        return load_fail(err, "%s: the file has %zu bytes, its setup header says %llu: it is cut off; get a "
                         "complete copy", b->kernel.name, b->kernel.len, (unsigned long long)(setup + want));
    if (!place_kernel(b, h, setup, &at, err) || !place_initrd(b, h, err) || !place_cmdline(b, h, err) ||
        !load_place(b, &b->info, PAGE_SIZE, PAGE_SIZE, "the boot parameters", err) ||
        !load_place(b, &b->gdt, BOOT_GDT_LEN, 16, "the descriptor table", err) ||
        !load_place(b, &b->tables, BOOT_TABLES_LEN, PAGE_SIZE, "the page tables", err))
        return false;
    b->long_mode = version >= 0x20c && (le16(h + H_XLOADFLAGS) & XLF_KERNEL_64);
    b->entry = at + (b->long_mode ? ENTRY_64 : 0);
    if (b->long_mode && b->kernel.len - setup <= ENTRY_64)
        return load_fail(err, "%s: the kernel ends before its 64-bit entry: it is damaged", b->kernel.name);
    b->setup = calloc(1, PAGE_SIZE);
    if (!b->setup)
        return load_fail(err, "out of memory for the boot parameters");
    fill_params(b, h, at);
    b->enter = enter;
    return true;
}

const struct boot_format boot_linux = { "Linux bzImage", detect, false, prepare };
