/*
 * test_load.c - kernel loading on crafted files: what is accepted and where it goes; truncated and
 * damaged files are refused in words and never crash.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "main/load.h"
#include "tests/run_suite.h"

#define MIB 0x100000u

static struct machine m;
static struct cpu cpu, *cpus[1] = { &cpu };
static struct boot *b;
static char err[BOOT_ERR];
static uint8_t *img;
static size_t img_len;

static void memory(uint64_t low, uint64_t high)
{
    m.phys = phys_new(NULL);
    m.ram = phys_ram_alloc(m.phys, low + high);
    phys_map_ram(m.phys, 0, low, m.ram, false, "ram");
    if (high)
        phys_map_ram(m.phys, 1ull << 32, high, (uint8_t *)m.ram + low, false, "high");
    m.ram_low = low;
    m.ram_high = high;
    m.rsdp = 0xe0000;
    m.cpu = cpus;
    m.ncpu = 1;
    cpu.m = &m;
    mmu_init(&cpu);
}

static void setup(void)
{
    memset(&m, 0, sizeof(m));
    memset(&cpu, 0, sizeof(cpu));
    memory(64 * MIB, 0);
    b = calloc(1, sizeof(*b));
    b->m = &m;
    b->append = "console=ttyS0";
    m.boot_image = b;
    err[0] = 0;
    img = NULL;
}

static void image(size_t len)
{
    free(img);
    img = calloc(1, len);
    img_len = len;
    b->kernel = (struct blob){ "kernel", img, len };
}

static void teardown(void)
{
    load_free(&m);
    mmu_free(&cpu);
    phys_free(m.phys);
    free(img);
}

static bool prepare(void)
{
    free(b->line);
    free(b->setup);
    b->line = NULL;
    b->setup = NULL;
    err[0] = 0;
    if (load_prepare(b, err))
        return true;
    ck_assert_uint_gt(strlen(err), 10);
    return false;
}

static void refused(const char *why)
{
    ck_assert(!prepare());
    ck_assert_msg(strstr(err, why) != NULL, "expected \"%s\" in: %s", why, err);
}

static uint64_t guest(uint64_t pa, unsigned n)
{
    uint8_t buf[8] = { 0 };

    ck_assert(phys_read(m.phys, pa, buf, n));
    return le64(buf) & (n == 8 ? UINT64_MAX : (1ull << 8 * n) - 1);
}

static void module(const char *args, size_t len, uint8_t fill)
{
    uint8_t *p = malloc(len);

    memset(p, fill, len);
    b->mod[b->nmod].args = strdup(args);
    b->mod[b->nmod].blob = (struct blob){ "module", p, len };
    b->file[1 + b->nmod].data = p;              /* freed with the rest */
    b->nmod++;
}

/* ---- Linux ---- */

static void bzimage(bool amd64)
{
    image(5 * 512 + 64 * 1024);
    img[0x1f1] = 4;
    put_le(img + 0x1f4, 64 * 1024 / 16, 4);
    put_le(img + 0x1fe, 0xaa55, 2);
    put_le(img + 0x200, 0x6aeb, 2);
    memcpy(img + 0x202, "HdrS", 4);
    put_le(img + 0x206, 0x20f, 2);
    img[0x211] = 1;
    put_le(img + 0x214, MIB, 4);
    put_le(img + 0x22c, 0x7fffffff, 4);
    put_le(img + 0x230, 0x200000, 4);
    img[0x234] = 1;
    put_le(img + 0x236, amd64 ? 3 : 0, 2);
    put_le(img + 0x238, 2047, 4);
    put_le(img + 0x258, 16 * MIB, 8);
    put_le(img + 0x260, 8 * MIB, 4);
    memset(img + 5 * 512, 0xc3, 64 * 1024);
}

START_TEST(linux64)
{
    uint64_t n;

    bzimage(true);
    module("initrd", 5000, 0x77);
    ck_assert_msg(prepare(), "%s", err);
    load_boot(&m);
    ck_assert_uint_eq(cpu.rip, 16 * MIB + 0x200);
    ck_assert_uint_eq(cpu.seg[SEG_CS].sel, 0x10);
    ck_assert_uint_eq(cpu.seg[SEG_DS].sel, 0x18);
    ck_assert(cpu.seg[SEG_CS].attr & SEG_L);
    ck_assert_uint_eq(cpu.efer & (EFER_LME | EFER_LMA), EFER_LME | EFER_LMA);
    ck_assert_uint_eq(cpu.mode & (M_CODE | M_LMA | M_PE), M_CODE64 | M_LMA | M_PE);
    ck_assert_uint_eq(guest(16 * MIB, 1), 0xc3);
    /* Identity map of 4 GiB. */
    for (uint64_t lin = 0; lin < 1ull << 32; lin += 0x12345678) {
        uint64_t pa;

        ck_assert(mmu_debug_translate(&cpu, lin, &pa));
        ck_assert_uint_eq(pa, lin);
    }
    n = cpu.r[R_SI];
    ck_assert_uint_eq(guest(n + 0x202, 4), 0x53726448);
    ck_assert_uint_eq(guest(n + 0x210, 1), 0xff);
    ck_assert_uint_eq(guest(n + 0x218, 4), 64 * MIB - 8192);
    ck_assert_uint_eq(guest(n + 0x21c, 4), 5000);
    ck_assert_uint_eq(guest(64 * MIB - 8192 + 4999, 1), 0x77);
    ck_assert_uint_eq(guest(guest(n + 0x228, 4), 8), le64((const uint8_t *)"console="));
    ck_assert_uint_eq(guest(n + 0x70, 8), 0xe0000);
    ck_assert_uint_ge(guest(n + 0x1e8, 1), 4);
    ck_assert_uint_eq(guest(n + 0x2d0 + 8, 8), EBDA);
    ck_assert_uint_eq(guest(0x40e, 2), EBDA >> 4);
    ck_assert_uint_eq(guest(n, 8), 0);                  /* screen_info */
    /* A second boot, after the guest has overwritten everything, gives the same. */
    memset(m.ram, 0xee, 64 * MIB);
    load_boot(&m);
    ck_assert_uint_eq(guest(16 * MIB, 1), 0xc3);
    ck_assert_uint_eq(guest(n + 0x202, 4), 0x53726448);
    ck_assert_uint_eq(guest(n, 8), 0);
}
END_TEST

START_TEST(linux32)
{
    bzimage(false);
    put_le(img + 0x234, 0, 1);                          /* not relocatable */
    ck_assert_msg(prepare(), "%s", err);
    load_boot(&m);
    ck_assert_uint_eq(cpu.rip, MIB);
    ck_assert_uint_eq(cpu.cr0, CR0_PE | CR0_ET);
    ck_assert_uint_eq(cpu.mode & (M_CODE | M_LMA | M_PE | M_FLAT_CS | M_FLAT_DS),
                      M_CODE32 | M_PE | M_FLAT_CS | M_FLAT_DS);
    ck_assert_uint_eq(guest(cpu.r[R_SI] + 0x214, 4), MIB);
    ck_assert_uint_eq(cpu.r[R_BX] | cpu.r[R_BP] | cpu.r[R_DI], 0);
    put_le(img + 0x206, 0x202, 2);                      /* the oldest protocol taken */
    ck_assert_msg(prepare(), "%s", err);
}
END_TEST

START_TEST(linux_refused)
{
    char *longline = malloc(4000);

    bzimage(true);
    b->kernel.len = 0x220;
    refused("ends within");
    b->kernel.len = 5 * 512 + 1000;
    refused("cut off");
    b->kernel.len = 1024;
    refused("cut off");
    b->kernel.len = img_len;
    img[0x211] = 0;
    refused("zImage");
    img[0x211] = 1;
    put_le(img + 0x206, 0x201, 2);
    refused("too old");
    put_le(img + 0x206, 0x20f, 2);
    put_le(img + 0x260, 0x7fffffff, 4);
    refused("use a larger -m");
    put_le(img + 0x260, 8 * MIB, 4);
    put_le(img + 0x230, 3, 4);
    refused("damaged");
    put_le(img + 0x230, 0x200000, 4);
    memset(longline, 'x', 3999);
    longline[3999] = 0;
    b->append = longline;
    refused("shorten");
    b->append = "";
    module("initrd", 60 * MIB, 1);
    refused("use a larger -m");
    put_le(img + 0x22c, 20 * MIB, 4);
    refused("initrd_addr_max");
    free(longline);
}
END_TEST

/* ---- ELF ---- */

/* One segment: file offset 4096, `n` bytes, at `at`; `note`: a PVH entry. */
static void elf(bool is64, uint64_t at, uint64_t n, uint64_t memsz, bool note)
{
    uint8_t *ph;

    image(4096 + n);
    memcpy(img, "\177ELF", 4);
    img[4] = is64 ? 2 : 1;
    img[5] = 1;
    put_le(img + 16, 2, 2);
    put_le(img + 18, is64 ? 62 : 3, 2);
    if (is64) {
        put_le(img + 24, 0xffffffff80000000ull + at, 8);
        put_le(img + 32, 64, 8);
        put_le(img + 54, 56, 2);
        put_le(img + 56, note ? 2 : 1, 2);
        ph = img + 64;
        put_le(ph, 1, 4);
        put_le(ph + 8, 4096, 8);
        put_le(ph + 16, 0xffffffff80000000ull + at, 8);
        put_le(ph + 24, at, 8);
        put_le(ph + 32, n, 8);
        put_le(ph + 40, memsz, 8);
        ph += 56;
        put_le(ph, 4, 4);
        put_le(ph + 8, 1024, 8);
        put_le(ph + 32, 48, 8);
    } else {
        put_le(img + 24, 0xc0000000u + at + 0x10, 4);
        put_le(img + 28, 52, 4);
        put_le(img + 42, 32, 2);
        put_le(img + 44, note ? 2 : 1, 2);
        ph = img + 52;
        put_le(ph, 1, 4);
        put_le(ph + 4, 4096, 4);
        put_le(ph + 8, 0xc0000000u + at, 4);
        put_le(ph + 12, at, 4);
        put_le(ph + 16, n, 4);
        put_le(ph + 20, memsz, 4);
        ph += 32;
        put_le(ph, 4, 4);
        put_le(ph + 4, 1024, 4);
        put_le(ph + 16, 48, 4);
    }
    if (note) {
        uint8_t *p = img + 1024;

        put_le(p, 4, 4);                /* another note first */
        put_le(p + 4, 5, 4);
        put_le(p + 8, 1, 4);
        memcpy(p + 12, "GNU", 4);
        p += 24;
        put_le(p, 4, 4);
        put_le(p + 4, 8, 4);
        put_le(p + 8, 18, 4);
        memcpy(p + 12, "Xen", 4);
        put_le(p + 16, at + 0x20, 8);
    }
    memset(img + 4096, 0x5a, n);
}

static void multiboot_header(size_t at, uint32_t flags)
{
    put_le(img + at, 0x1badb002, 4);
    put_le(img + at + 4, flags, 4);
    put_le(img + at + 8, -(0x1badb002 + flags), 4);
}

START_TEST(pvh)
{
    uint64_t info, mods, map;

    elf(true, 2 * MIB, 8192, 20000, true);
    module("initrd", 10000, 0x31);
    memset((uint8_t *)m.ram + 2 * MIB, 0xff, 32768);
    ck_assert_msg(prepare(), "%s", err);
    load_boot(&m);
    ck_assert_uint_eq(cpu.rip, 2 * MIB + 0x20);
    ck_assert_uint_eq(guest(2 * MIB + 8191, 2), 0x005a);        /* and bss behind */
    ck_assert_uint_eq(guest(2 * MIB + 19999, 2), 0xff00);
    info = cpu.r[R_BX];
    ck_assert_uint_eq(guest(info, 4), 0x336ec578);
    ck_assert_uint_eq(guest(info + 12, 4), 1);
    mods = guest(info + 16, 8);
    ck_assert_uint_eq(guest(guest(mods, 8) + 9999, 1), 0x31);
    ck_assert_uint_eq(guest(mods + 8, 8), 10000);
    ck_assert_uint_eq(guest(guest(info + 24, 8), 7), 0x656c6f736e6f63);
    ck_assert_uint_eq(guest(info + 32, 8), 0xe0000);
    map = guest(info + 40, 8);
    ck_assert_uint_ge(guest(info + 48, 4), 4);
    ck_assert_uint_eq(guest(map + 8, 8), EBDA);
    ck_assert_uint_eq(cpu.cr0, CR0_PE | CR0_ET);
}
END_TEST

START_TEST(multiboot_elf)
{
    uint64_t info, mods, end;

    elf(false, MIB, 8192, 16384, false);
    multiboot_header(256, 3);
    module("a x=1", 5000, 0x11);
    module("b", 100, 0x22);
    ck_assert_msg(prepare(), "%s", err);
    load_boot(&m);
    ck_assert_uint_eq(cpu.rip, MIB + 0x10);                     /* physical, though linked high */
    ck_assert_uint_eq(cpu.r[R_AX], 0x2badb002);
    info = cpu.r[R_BX];
    ck_assert_uint_eq(guest(info, 4), 0x24d);
    ck_assert_uint_eq(guest(info + 4, 4), 639);
    ck_assert_uint_eq(guest(info + 8, 4), 63 * 1024);
    ck_assert_uint_eq(guest(guest(info + 16, 4), 8), le64((const uint8_t *)"kernel c"));
    ck_assert_uint_eq(guest(info + 20, 4), 2);
    mods = guest(info + 24, 4);
    ck_assert_uint_eq(guest(mods, 4) & 4095, 0);
    ck_assert_uint_ge(guest(mods, 4), MIB + 16384);
    end = guest(mods + 4, 4);
    ck_assert_uint_eq(end - guest(mods, 4), 5000);
    ck_assert_uint_eq(guest(end - 1, 1), 0x11);
    ck_assert_uint_eq(guest(guest(mods + 8, 4), 5), 0x313d782061);      /* "a x=1" */
    ck_assert_uint_eq(guest(guest(mods + 16, 4), 1), 0x22);
    ck_assert_uint_eq(guest(guest(info + 48, 4), 4), 20);
    ck_assert_uint_eq(guest(guest(info + 64, 4), 7), 0x72656d6974616c);
}
END_TEST

START_TEST(multiboot_flat)
{
    image(20000);
    memset(img, 0x42, img_len);
    multiboot_header(4096, 0x10003);
    put_le(img + 4096 + 12, 2 * MIB + 96, 4);
    put_le(img + 4096 + 16, 2 * MIB, 4);
    put_le(img + 4096 + 20, 2 * MIB + 10000, 4);
    put_le(img + 4096 + 24, 2 * MIB + 50000, 4);
    put_le(img + 4096 + 28, 2 * MIB + 200, 4);
    ck_assert_msg(prepare(), "%s", err);
    load_boot(&m);
    ck_assert_uint_eq(cpu.rip, 2 * MIB + 200);
    ck_assert_uint_eq(guest(2 * MIB + 96, 4), 0x1badb002);
    ck_assert_uint_eq(guest(2 * MIB + 9999, 2), 0x42);
    put_le(img + 4096 + 20, 0, 4);                              /* to the end of the file */
    ck_assert_msg(prepare(), "%s", err);
    put_le(img + 4096 + 20, 2 * MIB + 100000, 4);
    refused("outside the file");
    put_le(img + 4096 + 16, 2 * MIB + 200, 4);
    refused("load address");
    put_le(img + 4096 + 16, 1 * MIB, 4);
    refused("load address");
    multiboot_header(4096, 0x10013);
    refused("requires features");
    /* A small kernel that lives low: the structures keep out of its way. */
    multiboot_header(4096, 0x10003);
    put_le(img + 4096 + 12, 0x7c00 + 4096, 4);
    put_le(img + 4096 + 16, 0x7c00, 4);
    put_le(img + 4096 + 20, 0, 4);
    put_le(img + 4096 + 24, 0, 4);
    put_le(img + 4096 + 28, 0x7c00, 4);
    ck_assert_msg(prepare(), "%s", err);
    load_boot(&m);
    for (unsigned i = 0; i < img_len; i += 1000)
        ck_assert_uint_eq(guest(0x7c00 + i, 1), img[i]);
}
END_TEST

START_TEST(elf_refused)
{
    elf(true, 2 * MIB, 8192, 8192, false);
    refused("neither a multiboot header nor");
    multiboot_header(256, 3);
    refused("64-bit");
    elf(false, 2 * MIB, 8192, 8192, false);
    multiboot_header(256, 3);
    b->kernel.len = 6000;
    refused("cut off");
    b->kernel.len = img_len;
    put_le(img + 52 + 20, 0x10000000, 4);
    refused("-m");
    put_le(img + 52 + 12, 0xfffff000, 4);
    put_le(img + 52 + 20, 0x3000, 4);
    refused("-m");
    put_le(img + 52 + 12, 0xa0000, 4);
    refused("overlaps");
    put_le(img + 18, 40, 2);
    refused("another processor");
    elf(true, 2 * MIB, 8192, 8192, true);
    put_le(img + 1024 + 24 + 16, 0x90000000, 8);
    refused("entry");
    put_le(img + 64 + 24, UINT64_MAX - 100, 8);
    refused("nonsensical");
    put_le(img + 32, UINT64_MAX - 10, 8);
    refused("program headers");
    image(100);
    refused("no kernel");
    put_le(img, 0x8b1f, 2);
    refused("gzip");
}
END_TEST

/* Every truncation, and random damage: no crash, no write outside RAM, and errors in words. */
START_TEST(hostile)
{
    uint32_t seed = 1;

    for (unsigned kind = 0; kind < 5; kind++) {
        size_t step, full;

        switch (kind) {
        case 0: bzimage(true); break;
        case 1: elf(true, 2 * MIB, 8192, 20000, true); break;
        case 2: elf(false, MIB, 8192, 16384, false); multiboot_header(256, 3); break;
        case 3: elf(false, MIB, 8192, 16384, true); break;
        case 4: image(20000); multiboot_header(64, 0x10003); break;
        }
        full = img_len;
        step = full > 10000 ? 97 : 1;
        for (size_t len = 0; len < full; len += len < 5000 ? 1 : step) {
            uint8_t *cut = malloc(len ? len : 1);       /* exact size: reads behind it are found */

            memcpy(cut, img, len);
            b->kernel = (struct blob){ "kernel", cut, len };
            if (prepare())
                load_boot(&m);
            free(cut);
        }
        b->kernel = (struct blob){ "kernel", img, full };
        for (unsigned i = 0; i < 20000; i++) {
            uint8_t saved[16];
            size_t at[16], head = kind == 0 || kind == 4 ? 0x1f1 : 0;
            unsigned n = 1 + i % 4;

            for (unsigned k = 0; k < n; k++) {
                seed = seed * 1664525 + 1013904223;
                at[k] = head + (seed >> 8) % (kind == 0 ? 0x80 : kind == 4 ? 120 : 200);
                if (kind == 4)
                    at[k] = 64 + (seed >> 8) % 32;
                saved[k] = img[at[k]];
                img[at[k]] = seed >> 24 & 1 ? seed >> 16 : seed & 0x100 ? 0xff : 0;
            }
            if (prepare() && i % 50 == 0)
                load_boot(&m);
            while (n--)
                img[at[n]] = saved[n];
        }
    }
}
END_TEST

START_TEST(ranges)
{
    struct ranges r = { 0 };

    ck_assert(ranges_add(&r, 0x1000, 0x1000));
    ck_assert(ranges_add(&r, 0x4000, 0x1000));
    ck_assert(!ranges_add(&r, 0x1fff, 1));
    ck_assert(!ranges_add(&r, 0, 0x10000));
    ck_assert(!ranges_add(&r, UINT64_MAX, 2));
    ck_assert_uint_eq(ranges_low(&r, 0x1000, 0x1000, 0x1000, 0x8000), 0x2000);
    ck_assert_uint_eq(ranges_low(&r, 0x1800, 0x1000, 0x1000, 0x8000), 0x5000);
    ck_assert_uint_eq(ranges_high(&r, 0x1000, 0x1000, 0, 0x8000), 0x7000);
    ck_assert_uint_eq(ranges_high(&r, 0x1000, 0x1000, 0, 0x7000), 0x3000);
    ck_assert_uint_eq(ranges_high(&r, 0x2000, 0x1000, 0x1000, 0x7000), 0);
    ck_assert_uint_eq(ranges_low(&r, 0x2000, 0x1000, 0x1000, 0x7000), 0);
}
END_TEST

START_TEST(memory_map)
{
    struct memmap map[MEMMAP_MAX];
    unsigned n;
    uint64_t ram = 0;

    mmu_free(&cpu);
    phys_free(m.phys);
    memory(0xc0000000ull, 1ull << 30);
    n = load_memmap(&m, map);
    for (unsigned i = 0; i < n; i++) {
        ram += map[i].type == MEM_RAM ? map[i].len : 0;
        if (i)
            ck_assert_uint_ge(map[i].base, map[i - 1].base + map[i - 1].len);
    }
    ck_assert_uint_eq(ram, EBDA + 0xc0000000u - MIB + (1ull << 30));
    bzimage(true);
    module("initrd", MIB, 1);
    ck_assert_msg(prepare(), "%s", err);
    ck_assert_uint_eq(b->mod[0].at, 0x80000000u - MIB);         /* initrd_addr_max */
}
END_TEST

int main(void)
{
    Suite *s = suite_create("load");
    TCase *t = tcase_create("load");

    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, linux64);
    tcase_add_test(t, linux32);
    tcase_add_test(t, linux_refused);
    tcase_add_test(t, pvh);
    tcase_add_test(t, multiboot_elf);
    tcase_add_test(t, multiboot_flat);
    tcase_add_test(t, elf_refused);
    tcase_add_test(t, hostile);
    tcase_add_test(t, ranges);
    tcase_add_test(t, memory_map);
    suite_add_tcase(s, t);
    return run_suite(s);
}
