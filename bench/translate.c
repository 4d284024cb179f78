/*
 * translate.c - what translation costs: all of a real program's code, nothing executed.
 *
 *      translate [-c] [-r ROUNDS] [-s] FILE      FILE: a 64-bit x86 ELF executable
 *
 * First the blocks are found: the entry point's, those its direct exits lead to, and so on; when no exit
 * leads anywhere new, the first byte no block covers yet starts another.  So all code is translated at least
 * once, and blocks begin where they would begin at run time.  Then each round translates the same list of
 * blocks from the start, into an empty cache, and takes the CPU time of the whole; the least and the median
 * round are printed.  The stages are timed in a round of their own (stopwatch.h).
 *
 * The work is the same in every round and every run, so instructions can be counted where time is noisy.
 * For that -c ends it when the blocks have been found, which translates each of them once:
 *
 *      valgrind --tool=callgrind --toggle-collect=exec_translate bench/translate -c FILE
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/stopwatch.h"
#include "frontend/cpu_model.h"
#include "frontend/decode.h"
#include "frontend/help_sys.h"
#include "host/file.h"
#include "hw/machine.h"
#include "main/elf.h"
#include "softmmu/softmmu.h"
#include "translator/backend_hooks.h"
#include "translator/cache.h"
#include "translator/exec.h"

#define MIB ((uint64_t)1 << 20)
#define LARGE (2 * MIB)         /* pages are mapped by */
#define GIB ((uint64_t)1 << 30)
#define PA_IMAGE LARGE          /* below it: page tables */
#define PA_PML4 0x1000u
#define PA_PDPT 0x2000u
#define PA_PD   0x3000u         /* two of them: an image may cross a GiB */
#define ROUNDS_MAX 1000

/* A set of addresses of the image. */
struct bits {
    uint64_t *word;
};

struct bench {
    struct machine m;
    struct cpu *c;
    struct exec_options o;
    unsigned hot;
    struct elf elf;
    uint64_t lo, size;          /* the image is at linear [lo, lo + size); multiples of LARGE */
    struct bits code;           /* executable bytes of it */
    struct bits start, covered; /* bytes blocks start at, and are made from */
    uint64_t *rip;              /* the blocks, in the order they were found */
    size_t n;
};

static void *must(void *p)
{
    if (!p)
        die(EXIT_CODE_HOST, "translate: out of memory");
    return p;
}

static bool has(const struct bits *b, uint64_t i)
{
    return b->word[i >> 6] >> (i & 63) & 1;
}

static void add(struct bits *b, uint64_t i)
{
    b->word[i >> 6] |= (uint64_t)1 << (i & 63);
}

/* ---- the machine ---- */

static bool loads(const struct bench *b, unsigned n, struct elf_seg *s)
{
    const char *wrong = elf_segment(&b->elf, n, s);

    if (wrong)
        die(EXIT_CODE_FILE, "translate: %s", wrong);
    return s->type == ELF_PT_LOAD && s->memsz;
}

static void load_image(struct bench *b, uint8_t *ram)
{
    struct elf_seg s;

    b->code.word = must(calloc(b->size / 64, sizeof(uint64_t)));
    b->start.word = must(calloc(b->size / 64, sizeof(uint64_t)));
    b->covered.word = must(calloc(b->size / 64, sizeof(uint64_t)));
    b->rip = must(calloc(b->size, sizeof(*b->rip)));
    for (unsigned i = 0; i < b->elf.phnum; i++) {
        if (!loads(b, i, &s))
            continue;
        memcpy(ram + PA_IMAGE + (s.vaddr - b->lo), b->elf.data + s.offset, s.filesz);
        for (uint64_t k = 0; k < s.filesz && (s.flags & ELF_PF_X); k++)
            add(&b->code, s.vaddr - b->lo + k);
    }
}

static void find_extent(struct bench *b)
{
    uint64_t lo = UINT64_MAX, hi = 0;
    struct elf_seg s;

    for (unsigned i = 0; i < b->elf.phnum; i++) {
        if (!loads(b, i, &s))
            continue;
        lo = s.vaddr < lo ? s.vaddr : lo;
        hi = s.vaddr + s.memsz > hi ? s.vaddr + s.memsz : hi;
    }
    b->lo = lo & ~(LARGE - 1);
    b->size = (hi - b->lo + LARGE - 1) & ~(LARGE - 1);
    if (lo >= hi || b->size > GIB)
        die(EXIT_CODE_FILE, "translate: its segments do not lie within a GiB: give an ordinary executable");
}

static void entry(uint8_t *ram, uint64_t table, uint64_t index, uint64_t to, bool large)
{
    put_le(ram + table + 8 * (index & 511), to | (large ? 0xe7 : 0x67), 8);
}

/* Page tables that map the image, writable and for user code; and a processor in 64-bit mode. */
static void make_machine(struct bench *b)
{
    uint8_t *ram;
    uint64_t first = b->lo >> 30, user = b->lo >> 47 ? 0 : 3;
    pthread_mutexattr_t recursive;
    struct cpu_model *model;
    struct cpu *c;

    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&b->m.lock, &recursive);
    b->m.phys = phys_new(&b->m.lock);
    b->m.ram = ram = phys_ram_alloc(b->m.phys, PA_IMAGE + b->size);
    phys_map_ram(b->m.phys, 0, PA_IMAGE + b->size, ram, false, "ram");
    phys_set_a20(b->m.phys, true);
    load_image(b, ram);
    entry(ram, PA_PML4, b->lo >> 39, PA_PDPT, false);
    for (uint64_t i = 0; i < 2; i++)
        entry(ram, PA_PDPT, first + i, PA_PD + i * PAGE_SIZE, false);
    for (uint64_t at = 0; at < b->size; at += LARGE) {
        uint64_t lin = b->lo + at;
        entry(ram, PA_PD + ((lin >> 30) - first) * PAGE_SIZE, lin >> 21, PA_IMAGE + at, true);
    }
    b->c = c = backend_cpu_alloc(CPU_AFTER);
    b->m.cpu = &b->c;
    b->m.ncpu = 1;
    c->m = &b->m;
    if (cpu_model_parse(NULL, &model))
        die(EXIT_CODE_HOST, "translate: no default CPU model");
    c->model = model;
    mmu_init(c);
    cpu_reset(c, false);
    c->a20 = 1;
    c->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
    c->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_FSGSBASE;
    c->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
    c->cpl = (uint8_t)user;
    for (unsigned n = SEG_ES; n <= SEG_GS; n++) {
        c->seg[n] = (struct seg){ .sel = (uint16_t)(0x28 | user), .limit = 0xffffffff,
                                  .attr = SEG_G | SEG_P | SEG_S | (user ? SEG_DPL : 0) |
                                          (n == SEG_CS ? SEG_L | 0xb : SEG_DB | 3) };
        seg_update(c, n);
    }
    mmu_set_cr3(c, PA_PML4, false);
    mmu_flush_all(c);
    cpu_update_mode(c);
    b->o = (struct exec_options){ .m = &b->m, .cache_size = 64 * MIB + 16 * b->size, .hot = b->hot };
}

/* ---- finding the blocks ---- */

static void mark(struct bits *covered, const struct block *k)
{
    for (unsigned i = 0; i < k->nrange; i++)
        for (uint64_t j = 0; j < k->range[i].len; j++)
            add(covered, k->range[i].pa - PA_IMAGE + j);
}

static void enlist(struct bench *b, uint64_t rip)
{
    uint64_t at = rip - b->lo;

    if (at < b->size && has(&b->code, at) && !has(&b->start, at)) {
        add(&b->start, at);
        b->rip[b->n++] = rip;
    }
}

static void find_blocks(struct bench *b)
{
    uint64_t next = 0;
    size_t done = 0;

    struct exec_stats t;

    exec_init(b->c, &b->o);
    enlist(b, b->elf.entry);
    for (;;) {
        for (; done < b->n; done++) {
            const struct block *k;

            b->c->rip = b->rip[done];
            k = exec_translate(b->c);
            if (!k)
                continue;
            mark(&b->covered, k);
            for (unsigned i = 0; i < k->nlinks; i++)
                enlist(b, (b->rip[done] & PAGE_MASK) + (uint64_t)(int64_t)k->link[i].x.pc);
        }
        while (next < b->size && (!has(&b->code, next) || has(&b->covered, next) || has(&b->start, next)))
            next++;
        if (next == b->size)
            break;
        enlist(b, b->lo + next);
    }
    t = *exec_stats(b->c);
    printf("%llu blocks of %llu guest instructions, %.1f instructions a block, %.1f host bytes an "
           "instruction\n", (unsigned long long)t.blocks, (unsigned long long)t.insns,
           (double)t.insns / (double)t.blocks, (double)t.host_bytes / (double)t.insns);
    exec_free(b->c);
}

/* ---- measuring ---- */

/* Translates all blocks; CPU time of the whole in ns. */
static uint64_t translate_all(struct bench *b, bool stages, struct exec_stats *stats)
{
    struct stopwatch w;
    uint64_t ns;

    b->o.time = stages;
    for (uint64_t at = 0; at < b->size; at += PAGE_SIZE)
        exec_invalidate(b->m.phys, PA_IMAGE + at, PAGE_SIZE);
    exec_init(b->c, &b->o);
    stopwatch_init(&w);
    stopwatch_start(&w);
    for (size_t i = 0; i < b->n; i++) {
        b->c->rip = b->rip[i];
        exec_translate(b->c);
    }
    ns = stopwatch_lap(&w);
    *stats = *exec_stats(b->c);
    exec_free(b->c);
    return ns;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void measure(struct bench *b, unsigned rounds)
{
    uint64_t ns[ROUNDS_MAX];
    struct exec_stats t;
    double insns;

    for (unsigned i = 0; i < rounds; i++)
        ns[i] = translate_all(b, false, &t);
    qsort(ns, rounds, sizeof(ns[0]), by_size);
    insns = (double)t.insns;
    printf("CPU time: %.1f ns an instruction (least of %u rounds), %.1f (median)\n", (double)ns[0] / insns,
           rounds, (double)ns[rounds / 2] / insns);
    translate_all(b, true, &t);
    printf("by stage: %.1f ns by stencils, else %.1f to decode and lift, %.1f in passes, %.1f to emit\n",
           exec_stage_ns(&t, STAGE_COPY), exec_stage_ns(&t, STAGE_LIFT), exec_stage_ns(&t, STAGE_OPT),
           exec_stage_ns(&t, STAGE_EMIT));
}

int main(int argc, char **argv)
{
    static struct bench b;
    struct file f;
    char err[256];
    unsigned rounds = 5;
    bool once = false;
    const char *wrong;

    for (int o; (o = getopt(argc, argv, "cr:s")) != -1;) {
        if (o == 'c')
            once = true;
        else if (o == 's')
            b.hot = EXEC_HOT;
        else
            rounds = o == 'r' ? (unsigned)atoi(optarg) : 0;
    }
    if (optind + 1 != argc || rounds < 1 || rounds > ROUNDS_MAX)
        die(EXIT_CODE_USAGE, "usage: translate [-c] [-r ROUNDS] [-s] FILE (a 64-bit ELF executable)");
    if (!file_read(&f, argv[optind], err, sizeof(err)))
        die(EXIT_CODE_FILE, "translate: %s", err);
    wrong = elf_open(&b.elf, f.data, f.len);
    if (!wrong && !b.elf.is64)
        wrong = "it is not a 64-bit ELF file";
    if (wrong)
        die(EXIT_CODE_FILE, "translate: %s: %s", argv[optind], wrong);
    decode_init();
    find_extent(&b);
    make_machine(&b);
    find_blocks(&b);
    if (!once)
        measure(&b, rounds);
    file_free(&f);
    return 0;
}
