/*
 * softmmu.h - guest memory as the CPU sees it: the soft TLB, page walks, the
 * physical map, and pages that hold translated code.
 *
 * Addresses: `lin` is a guest linear address, `pa` a guest physical one, `host`
 * a pointer in this process.  A TLB entry's `delta` is host - lin.
 */
#ifndef SOFTMMU_H
#define SOFTMMU_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define PAGE_BITS 12
#define PAGE_SIZE 4096u
#define PAGE_MASK (~(uint64_t)0xfff)

struct cpu;
struct machine;
struct phys;

/*
 * Which rights apply to an explicit access; chosen by cpu_update_mode():
 * CPL 3; supervisor with SMAP in force (CR4.SMAP and EFLAGS.AC = 0);
 * supervisor without.  Implicit supervisor accesses (descriptor tables, TSS)
 * use MMU_KERNEL when CR4.SMAP is set, else MMU_KERNEL_NOSMAP.
 */
enum mmu_idx { MMU_USER, MMU_KERNEL, MMU_KERNEL_NOSMAP, MMU_IDX_COUNT,
    MMU_SS = 4          /* may be ORed into the idx of any function below: a non-canonical
                           address raises #SS(0), not #GP(0) (stack references) */
};
/* idx argument out of a memory op's aux (MEM_IDX and MEM_SS lie side by side, ir.h). */
#define MMU_AUX_IDX(aux) ((enum mmu_idx)(((aux) >> 8) & 7))

/* MAXPHYADDR: bits of a physical address (CPUID 80000008h must say the same). */
#define MMU_PA_BITS 40

enum mmu_access { ACC_READ, ACC_WRITE, ACC_EXEC };

/*
 * The fast path (docs/design.md, section 6).  Entry for page p is at
 *     base + ((lin >> 8) & mask),   mask = (entries - 1) << 4
 * and hits when entry->tag == TLB_TAG(last byte's lin), the number of its page:
 * indexing by the first byte and comparing the last byte's page, one compare also
 * catches page crossing.  An alignment check compares the address without bits 6 to
 * 11, rotated by 12, so that its lowest bits are above the number and must be 0.  An
 * invalid entry's tag is TLB_INVALID, which neither can be.
 * Read entries exist for any readable RAM/ROM page without read watchpoints;
 * write entries only for RAM that is dirty in the page table, holds no
 * translated code and is not watched: all else takes the slow path.
 */
#define TLB_TAG(lin) ((uint64_t)(lin) >> PAGE_BITS)
#define TLB_INVALID ((uint64_t)1 << 63)
struct tlb_entry {
    uint64_t tag;
    uint64_t delta;             /* host address - linear address */
};
struct tlb_fast {
    uint64_t mask;
    struct tlb_entry *base;
};

/*
 * The page the stack was last seen in, one for each enum mmu_idx: an access off
 * the stack pointer that lies in it needs no look into the tables (docs/design.md,
 * section 6).  For an access of at most 8 (64) bytes at lin, it does if
 *     lin - page < below[0] (below[1])
 * Only pages with a write entry are remembered, so reads may use them too.  Not
 * valid: `below` is 0, and `page` is TLB_NO_PAGE, which no address is whose bits 6
 * to 11 are cleared.  Whatever drops an entry of a write table forgets them all.
 */
#define TLB_NO_PAGE 0x800u
struct tlb_page {
    uint64_t page, delta;
    uint64_t below[2];
};
#define TLB_PAGE_SPAN0 8u
#define TLB_PAGE_SPAN1 64u

/*
 * Slow-path result of translating [lin, lin + size) for one access.
 * size must not cross a page.  `host` and `pa` may be NULL; *host is set for
 * MMU_PLAIN, *pa for MMU_PLAIN and MMU_SPECIAL.  Asking for no pa is quicker.
 */
enum mmu_result {
    MMU_PLAIN,          /* *host is directly usable for this access; the fast path now hits */
    MMU_FAULT,          /* c->fault is set (#PF, #GP or #SS for non-canonical) */
    MMU_SPECIAL,        /* permitted, but MMIO, ROM write, code page or watched: use mmu_load/
                           mmu_store, which do it completely */
};
enum mmu_result mmu_fill(struct cpu *c, uint64_t lin, unsigned size, enum mmu_access acc,
                         enum mmu_idx idx, void **host, uint64_t *pa);

/*
 * Complete guest accesses of 1..16 bytes anywhere (also across pages, to MMIO,
 * to code pages, to watched pages).  Return true if the access faulted: then
 * c->fault is set and nothing was written.  Values are little-endian bytes in
 * `buf`.  mmu_load with `for_write` checks for write permission (the read half
 * of a read-modify-write).
 */
bool mmu_load(struct cpu *c, uint64_t lin, unsigned size, enum mmu_idx idx, bool for_write,
              void *buf);
bool mmu_store(struct cpu *c, uint64_t lin, unsigned size, enum mmu_idx idx, const void *buf);
/*
 * The same with a memory op's aux (ir.h): MEM_IDX, MEM_SS, MEM_WRITE (load), MEM_ALIGN (#GP(0) if
 * misaligned, before anything else) and MEM_AC (#AC(0) if misaligned, after page faults).
 */
bool mmu_load_aux(struct cpu *c, uint64_t lin, unsigned size, unsigned aux, void *buf);
bool mmu_store_aux(struct cpu *c, uint64_t lin, unsigned size, unsigned aux, const void *buf);
/* Check only: may [lin, lin+size) be accessed so?  True if it faulted. */
bool mmu_check(struct cpu *c, uint64_t lin, unsigned size, enum mmu_access acc, enum mmu_idx idx);

/*
 * Largest directly usable run at lin, at most `len` bytes and not past the page
 * end: for page-wise string operations.  Returns its length and *host, 0 if the
 * first byte is MMU_SPECIAL, or -1 if it faulted.
 */
long mmu_span(struct cpu *c, uint64_t lin, uint64_t len, enum mmu_access acc, enum mmu_idx idx,
              void **host);

/*
 * Fetch: physical address of the code byte at lin for the current mode.  False
 * and c->fault set if it faults.  *global: the mapping is a global page (or
 * paging is off), so it survives CR3 loads.
 */
bool mmu_code(struct cpu *c, uint64_t lin, uint64_t *pa, bool *global);

/* The mapping of the page of any size around lin, walked afresh and without side effects. False: none. */
struct code_mapping {
    uint64_t lin, pa;           /* of the page's first byte */
    uint32_t rights;
    uint8_t shift;              /* log2 of its size */
    bool global;
};
bool mmu_code_mapping(struct cpu *c, uint64_t lin, struct code_mapping *);

/* The address, for phys_read() and phys_write(), of what the processor sees at pa in SMM. */
uint64_t mmu_smm_pa(const struct cpu *c, uint64_t pa);

/* Debugger's view: no faults, no A/D updates. False if unmapped. */
bool mmu_debug_translate(struct cpu *c, uint64_t lin, uint64_t *pa);
bool mmu_debug_read(struct cpu *c, uint64_t lin, void *buf, unsigned len);
/* The walk in words, for the fault story; one line a level. */
void mmu_explain(struct cpu *c, uint64_t lin, char *buf, unsigned len);
/* All pages that are mapped, in the order of their addresses, until each() says no. Nothing is marked. */
struct mmu_page {
    uint64_t lin, pa, entry;    /* entry: the last level's */
    uint8_t shift;              /* log2 of its size */
    bool writable, user, exec;  /* by all levels */
};
/* CUT: there were more tables than `tables` (a guest can name one any number of times). */
enum mmu_listing { MMU_LIST_ALL, MMU_LIST_CUT, MMU_LIST_NO_PAGING };
enum mmu_listing mmu_list(struct cpu *c, unsigned tables, bool (*each)(void *arg, const struct mmu_page *),
                          void *arg);

/* Flushes.  Each also tells exec.c (exec_code_map_changed). */
void mmu_flush_all(struct cpu *c);                      /* global pages too */
void mmu_flush_nonglobal(struct cpu *c);
void mmu_invlpg(struct cpu *c, uint64_t lin);
void mmu_set_cr3(struct cpu *c, uint64_t cr3, bool keep);  /* keep: bit 63 with PCIDE */
bool mmu_invpcid(struct cpu *c, unsigned type, uint64_t pcid, uint64_t lin); /* true: #GP */
/* Names the current non-global mappings: the same number as before means nothing was dropped since. */
uint64_t mmu_space(struct cpu *c);
/* What others asked of this vCPU's tables (ATTN_WORK): in its own thread, between two blocks. */
void mmu_work(struct cpu *c);
void mmu_init(struct cpu *c);
void mmu_free(struct cpu *c);
/* PAE: (re)load the four PDPTEs; true if reserved bits make it #GP (none is changed then). */
bool mmu_load_pdptes(struct cpu *c, uint64_t cr3);
/*
 * Who calls what: CR0.PG/WP, CR4.PSE/PAE/PGE/PCIDE/SMEP/SMAP or EFER.NXE/LMA changed:
 * mmu_flush_all, after the new value is in place.  CR3: mmu_load_pdptes (PAE, not LMA), then
 * mmu_set_cr3, which also stores c->cr3.  DR0-DR3 or DR7 changed: mmu_watch_changed.
 */
void mmu_watch_changed(struct cpu *c);
/* c->debug or its watchpoints changed, while the vCPU stands still. */
void mmu_debug_changed(struct cpu *c);
/*
 * Is this a store to a page that is plain memory without code but for the debugger's watchpoints? May say no.
 */
bool mmu_watched_plain(struct cpu *c, uint64_t lin, unsigned size, enum mmu_idx idx);

/* Statistics for the monitor and the benchmark. */
struct mmu_stats { uint64_t fills, victims, walks, walk_hits, evictions, grows, shrinks, flushes,
                   specials; };
const struct mmu_stats *mmu_stats(struct cpu *c);

/* ---- the physical map (phys.c) ---- */

/* ---- pages that were written, for displays and migration (track.c) ---- */

struct track;
/*
 * Watch [host, host + len), which is given to phys_map_ram(), from now on: whole pages. While no vCPU runs; freed with
 * the map, or before by track_free(), while none runs.
 */
struct track *track_new(struct phys *, void *host, uint64_t len);
void track_free(struct track *);        /* NULL is allowed */
/*
 * OR into bits[], one bit a page, those that may have been written since the last call. Any thread, one at a time; read
 * the memory after the call, not before. What is written while it is read is named by the next call.
 */
void track_take(struct track *, uint64_t *bits);
/* All of all of them may have been written: memory has become another. */
void track_mark_all(struct phys *);
/* A device wrote [off, off + len) itself. */
void track_mark(struct track *, uint64_t off, uint64_t len);

struct io_ops {
    /* off: from the region's start; size 1, 2, 4, 8 as allowed by `sizes`
     * (OR of them); the bus splits and merges what a device does not take. */
    uint64_t (*read)(void *dev, uint64_t off, unsigned size);
    void (*write)(void *dev, uint64_t off, uint64_t val, unsigned size);
    unsigned sizes;
    unsigned log;               /* enum log_dev: accesses are logged by -d dev:NAME */
};

struct map;             /* one mapped region */
/* `lock` (recursive) is taken around every call of an io_ops function. */
struct phys *phys_new(pthread_mutex_t *lock);
void phys_free(struct phys *);
/*
 * Priorities: I/O hides ROM, ROM hides RAM.  Overlap with an enabled region of the same priority
 * returns NULL (map_move: false).  Changes are made under the device lock, by the vCPU's own
 * thread or while vCPUs are stopped.
 */
struct map *phys_map_io(struct phys *, uint64_t base, uint64_t len, const struct io_ops *, void *dev,
                        const char *name);
/* host memory; rom: guest writes are dropped. */
struct map *phys_map_ram(struct phys *, uint64_t base, uint64_t len, void *host, bool rom,
                         const char *name);
/* A ROM whose writes are a device's: ops->write alone is called. */
struct map *phys_map_rom_io(struct phys *, uint64_t base, uint64_t len, void *host, const struct io_ops *, void *dev,
                            const char *name);
bool map_move(struct map *, uint64_t base, bool enabled);
/*
 * RAM that can be laid over all other regions for reads, writes or both, as chipsets shadow ROM; neither at
 * first. For reads only: writes are dropped. For writes only: reads see what is beneath (a device there
 * keeps both). Such regions must not overlap.
 */
struct map *phys_map_shadow(struct phys *, uint64_t base, uint64_t len, void *host, const char *name);
void map_shadow(struct map *, bool read, bool write);
/*
 * RAM for SMM alone (one such range, at most 2 MiB): processors in SMM see it at [base, base + len) for fetches
 * and for data as phys_smm_show() says; nobody else sees it. Where the same RAM is also mapped
 * for all, say phys_smm_written() between writing it there and running it in SMM.
 */
void phys_smm_ram(struct phys *, uint64_t base, uint64_t len, void *host);
void phys_smm_show(struct phys *, bool code, bool data);
void phys_smm_written(struct phys *);
/*
 * Another range of RAM, at most PHYS_TSEG_MAX: in SMM processors see it, for all others and for bus masters there is
 * nothing at [base, base + len). len 0: none. False: a device is there.
 */
#define PHYS_TSEG_MAX ((uint64_t)64 << 20)
bool phys_tseg(struct phys *, uint64_t base, uint64_t len, void *host);
/* Remove a region for good. */
void map_free(struct map *);
/* Host pointer of pa if it is RAM (or ROM, for reads), with *run the bytes that
 * follow contiguously; NULL for MMIO and holes. */
void *phys_host(struct phys *, uint64_t pa, bool write, uint64_t *run);
/* DMA and firmware loading: any length, any region; takes care of code pages.
 * Return false if some byte had no RAM/ROM/device behind it. */
bool phys_read(struct phys *, uint64_t pa, void *buf, uint64_t len);
bool phys_write(struct phys *, uint64_t pa, const void *buf, uint64_t len);
/*
 * What bus masters may reach: RAM (ROM for reads), never a device nor memory that only SMM sees. False: some byte
 * was none of that; it read as FFh, or was not written. phys NULL: nothing is reached. phys_dma_host() is
 * phys_host() with the same limits; who writes there says so by phys_dma_written(), with the device lock held.
 */
bool phys_dma_read(struct phys *, uint64_t pa, void *buf, uint64_t len);
bool phys_dma_write(struct phys *, uint64_t pa, const void *buf, uint64_t len);
void *phys_dma_host(struct phys *, uint64_t pa, bool write, uint64_t *run);
void phys_dma_written(struct phys *, uint64_t pa, uint64_t len);
/* The guest no longer needs what is in this RAM: it goes back to the host, and is what it was, or zero, from now on. */
void phys_dma_discard(struct phys *, uint64_t pa, uint64_t len);
/* A processor is about to wait for a store (c->monitor): from now on writes by phys_write() to the
 * line of one that waits set its ATTN_STORE and call `wake` (NULL: the flag alone). */
void phys_monitor(struct phys *);
void phys_set_wake(struct phys *, void (*wake)(struct cpu *));
/* One device-sized access (CPU slow path): RAM, MMIO or open bus (reads ones). */
uint64_t phys_io_read(struct phys *, uint64_t pa, unsigned size);
void phys_io_write(struct phys *, uint64_t pa, uint64_t val, unsigned size);
/* Guest RAM from one shared memfd, huge pages asked for. */
void *phys_ram_alloc(struct phys *, uint64_t len);
#define PHYS_RAMS 8             /* so many at most */
/* RAM that somebody else has mapped, for as long as the phys is there (host/memdev.h). */
struct phys_lent {
    void *p;
    uint64_t len;               /* bytes: whole pages, the guest's and the host's */
    int fd;                     /* of a shared mapping from its beginning, for ranges to be given back by; -1: there is none */
    bool holes;                 /* fd tells what was never written (lseek(2), SEEK_DATA) */
    bool fixed;                 /* contents are changed where they are: nothing else may take its place */
    bool taken;                 /* the host has given all of it already, and is given nothing back but by phys_dma_discard() */
};
void *phys_ram_lend(struct phys *, const struct phys_lent *);
/* What these two gave, in order: the n-th memory and that one's length; NULL behind the last. */
void *phys_ram(struct phys *, unsigned n, uint64_t *len);
/* Is this address of the host in one of them?  A signal handler may ask. */
bool phys_ram_holds(const struct phys *, const void *host);
/* Was anything at [off, off + *len) of it ever written? No: it is zeros, and need not be read. *len may become smaller. */
bool phys_ram_used(struct phys *, unsigned n, uint64_t off, uint64_t *len);
/*
 * Other contents for the n-th memory: made in a place of their own, zeros at first, while the guest still has the old ones;
 * then they take their place, or are dropped. Translated code and TLBs are the caller's business (exec_forget()).
 */
struct phys_fresh;
struct phys_fresh *phys_fresh_new(struct phys *, unsigned n);           /* NULL: errno says why the host has none */
/* Any number of threads at once; [off, off + len) lies in it; data NULL: zeros. 0 or a negative errno. */
int phys_fresh_put(struct phys_fresh *, uint64_t off, const void *data, size_t len);
/* From now on something may be put where something was put before. */
void phys_fresh_again(struct phys_fresh *);
void phys_fresh_use(struct phys_fresh *);
void phys_fresh_drop(struct phys_fresh *);
void phys_set_a20(struct phys *, bool on);
struct text;
/* All regions that are on the bus, lower ones hidden by higher ones included; seen: only what is seen of
 * them. */
void phys_info(const struct phys *, bool seen, struct text *);
/* Bytes of RAM the guest touched (mincore), for statistics. */
uint64_t phys_touched(struct phys *);
/* The A20 gate or a region changed: vCPUs registered here are flushed. mmu_init/mmu_free call these. */
void phys_add_cpu(struct phys *, struct cpu *c);
void phys_remove_cpu(struct phys *, struct cpu *c);
struct cpu *phys_cpu(struct phys *, unsigned n);        /* the n-th registered, NULL behind the last */

/* ---- pages that hold translated code (smc.c) ---- */

/*
 * exec.c marks the 64-byte lines a block was made from; a store into a marked
 * line calls exec_invalidate_lines().  Stores elsewhere in the page stay cheap.
 */
void smc_mark(struct phys *, uint64_t pa, unsigned len);
/*
 * Was [pa, pa+len) written by another thread since smc_now() gave `since`? Asked after smc_mark(), about bytes that were
 * read after smc_now(): a writer that came too early to see the mark is seen here. May say so without need.
 */
uint64_t smc_now(const struct phys *);
bool smc_overtaken(const struct phys *, uint64_t since, uint64_t pa, uint64_t len);
void smc_clear_page(struct phys *, uint64_t pa);        /* no block left in that page */
void smc_unmark(struct phys *, uint64_t pa, uint64_t lines);
bool smc_page_has_code(struct phys *, uint64_t pa);
bool smc_has_code(struct phys *, uint64_t pa, unsigned len);    /* any of these lines; within one page */
uint64_t smc_lines(struct phys *, uint64_t pa);         /* bit n: line n holds code */

#endif
