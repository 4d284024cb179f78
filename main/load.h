/*
 * load.h - loading a kernel without firmware: what the three boot protocols share.
 *
 * Loading has two halves. prepare() looks at the file once, at start-up, decides
 * where everything goes and complains in words. boot() puts the bytes and the
 * boot processor into the entry state, after every machine reset; nothing can
 * fail there any more.
 */
#ifndef MAIN_LOAD_H
#define MAIN_LOAD_H

#include "frontend/cpu.h"
#include "host/file.h"
#include "hw/machine.h"
#include "main/elf.h"

#define BOOT_MODS 64
#define BOOT_SEGS 64
#define BOOT_ERR  512

struct blob {
    const char *name;           /* file name, for messages */
    const uint8_t *p;
    size_t len;
};

struct boot_mod {
    struct blob blob;
    char *args;                 /* "file args" as given */
    uint64_t at;
};

struct boot_seg {               /* bytes of the kernel file, then zeros */
    uint64_t at;
    size_t offset;
    uint64_t filesz, memsz;
};

/* Guest memory spoken for; sorted. */
struct ranges {
    struct { uint64_t lo, hi; } r[2 * (BOOT_SEGS + BOOT_MODS) + 16];
    unsigned n;
};

struct boot {
    struct machine *m;
    struct blob kernel;
    const char *append;
    struct boot_mod mod[BOOT_MODS];
    unsigned nmod;
    struct ranges used;
    struct boot_seg seg[BOOT_SEGS];
    unsigned nseg;
    void (*enter)(struct boot *);       /* write the protocol's structures, set up the CPU */
    /* where things are */
    uint64_t entry, info, cmdline, gdt, tables;
    char *line;                 /* the command line as passed */
    /* Linux */
    uint8_t *setup;             /* boot_params */
    bool long_mode;
    struct file file[1 + BOOT_MODS];
};

struct boot_format {
    const char *name;
    bool (*detect)(const struct blob *);
    bool several;               /* -initrd is a list of modules with arguments */
    bool (*prepare)(struct boot *, char *err);          /* err: BOOT_ERR bytes */
};
extern const struct boot_format boot_linux, boot_multiboot, boot_pvh;

/* Read m->cfg.kernel and .initrd, prepare, set m->boot. Dies with EXIT_CODE_FILE. */
void load_kernel(struct machine *m);
void load_free(struct machine *m);
/* The same on bytes in memory (tests, fuzzing): b->m, kernel, append and the modules' blobs are set. */
bool load_prepare(struct boot *b, char *err);
const struct boot_format *load_detect(const struct blob *);
void load_boot(struct machine *m);

/* ---- for the formats ---- */
bool load_fail(char *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));  /* false */
bool ranges_add(struct ranges *, uint64_t lo, uint64_t len);    /* false: taken, or too many */
/* The lowest / highest free place in [lo, hi), taken; 0: none. align is a power of two. */
uint64_t ranges_low(struct ranges *, uint64_t len, uint64_t align, uint64_t lo, uint64_t hi);
uint64_t ranges_high(struct ranges *, uint64_t len, uint64_t align, uint64_t lo, uint64_t hi);
/* Add a segment of the kernel's file; complains if it does not fit in memory. */
bool load_segment(struct boot *, uint64_t at, size_t offset, uint64_t filesz, uint64_t memsz, char *err);
/* All PT_LOAD segments. */
bool load_elf(struct boot *, const struct elf *, char *err);
/* A place below 1 MiB if possible, else anywhere below 4 GiB. */
bool load_place(struct boot *, uint64_t *at, uint64_t len, uint64_t align, const char *what, char *err);

/* The memory map as firmware would tell it (e820 types). */
struct memmap { uint64_t base, len; uint32_t type; };
#define MEM_RAM      1u
#define MEM_RESERVED 2u
#define MEMMAP_MAX   8
unsigned load_memmap(const struct machine *, struct memmap *);
#define EBDA 0x9fc00u

/* Guest memory. */
void load_put(struct boot *, uint64_t pa, const void *, uint64_t len);

/* The boot processor: flat 32-bit protected mode, or 64-bit with 4 GiB mapped one to one. The GDT
 * (4 entries) goes to b->gdt, the page tables (6 pages) to b->tables. */
#define BOOT_GDT_LEN    32u
#define BOOT_TABLES_LEN (6u * PAGE_SIZE)
void entry_flat32(struct boot *, uint64_t eip);
void entry_long(struct boot *, uint64_t rip);

#endif
