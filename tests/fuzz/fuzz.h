/*
 * fuzz.h - the differential fuzzer: the interpreter and the code generator, as
 * two whole machines side by side, run the same random code from the same
 * state and must stop in the same state.
 *
 * A case is a memory image (tables, page tables, code, data) in one CPU mode.
 * A round starts it somewhere with random registers and ends at the first HLT
 * (every interrupt handler is one).  Rounds of a case share memory and
 * translations, so links, the jump cache and invalidation are used as well.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "frontend/cpu.h"
#include "hw/machine.h"
#include "tests/hw/hw.h"

/* Physical memory; linear addresses are the same but for what a case's page tables change. */
#define FZ_RAM     0x60000u
#define FZ_HANDLER 0x1000u      /* 16 bytes a vector */
#define FZ_GDT     0x2000u
#define FZ_IDT     0x3000u
#define FZ_TSS     0x4000u
#define FZ_TABLES  0x8000u      /* page tables */
#define FZ_STACK0  0x14000u     /* grows down from here */
#define FZ_CODE    0x20000u
#define FZ_CODE_SIZE 0x8000u
#define FZ_DATA    0x30000u
#define FZ_DATA_SIZE 0x10000u
#define FZ_STACK   0x44000u
#define FZ_MMIO    0x60000u
#define FZ_ROM     0x61000u
#define FZ_ALIAS   0x80000u     /* linear only: 64 pages that map others once more */
#define FZ_COUNTER (FZ_DATA + 0x20)     /* bounds backward jumps */

#define FZ_MODES "real,v86,p16,p32,seg32,compat,long"
enum fuzz_mode { FM_REAL, FM_V86, FM_P16, FM_P32, FM_SEG32, FM_COMPAT, FM_LONG, FM_COUNT };
enum fuzz_paging { PG_NONE, PG_32, PG_PAE, PG_LONG };

/* Selectors. */
enum { FS_CODE0 = 0x08, FS_DATA0 = 0x10, FS_CODE3 = 0x18, FS_DATA3 = 0x20, FS_CODE16_0 = 0x28, FS_DATA16_0 = 0x30,
       FS_CODE16_3 = 0x38, FS_DATA16_3 = 0x40, FS_CODES_0 = 0x48, FS_DATAS_0 = 0x50, FS_CODES_3 = 0x58,
       FS_DATAS_3 = 0x60, FS_CODE64_0 = 0x68, FS_CODE64_3 = 0x70, FS_DOWN = 0x78, FS_RO = 0x80, FS_ABSENT = 0x88,
       FS_XONLY = 0x90, FS_TSS = 0x98, FS_LDT = 0xa8, FS_GATE = 0xb8, FS_END = 0xc8 };

struct fuzz_unit { uint32_t off; uint8_t len; };        /* one instruction, offset in the image */
#define FZ_UNITS 1024

struct fuzz_case {
    uint64_t seed;
    enum fuzz_mode mode;
    enum fuzz_paging paging;
    unsigned cpl;
    bool gate16;
    uint32_t cr0, cr4;
    uint64_t efer, cr3;
    uint64_t code;              /* linear base of the code area */
    uint32_t cs_base, ds_base, ss_base;
    uint16_t cs, ds, ss;
    uint32_t decode_mode;       /* for decode() */
    uint8_t image[FZ_RAM];
    struct fuzz_unit unit[FZ_UNITS];
    unsigned nunits;
    uint32_t start[32];         /* where rounds begin: offsets in the code area */
    unsigned nstarts;
};

/* What a round begins with. */
struct fuzz_start {
    uint64_t r[16], rip;
    uint32_t eflags;
    uint16_t sel[6];            /* by SEG_* */
    bool intr;                  /* an interrupt is pending */
    struct hw_fx fx;
};

struct fuzz_machine {
    struct machine m;           /* first: device callbacks get it */
    struct cpu *c;
    struct cpu_model *model;
    uint8_t *ram, *rom;
    uint64_t io_hash;
    uint32_t io_reads;
    bool interp;
    bool intr_on_io;            /* a store to the device raises the interrupt line */
};

enum fuzz_end { FE_HALT, FE_STOP, FE_TIMEOUT, FE_CRASH };

/* --- fuzz_gen.c --- */
/* The mode is seed % FM_COUNT. */
void fuzz_make_case(struct fuzz_case *k, uint64_t seed);
void fuzz_make_start(struct hw_rng *r, const struct fuzz_case *k, struct fuzz_start *s);
/* --- fuzz_known.c --- */
/* Case and round n of those once found; false behind the last. */
bool fuzz_known(unsigned n, struct fuzz_case *k, struct fuzz_start *s, const char **what);
/* --- fuzz_env.c --- */
const char *fuzz_mode_name(enum fuzz_mode m);
extern unsigned fuzz_hot;       /* exec_options.hot of the machine that translates */
void fuzz_init(struct fuzz_machine *f, bool interp);
void fuzz_free(struct fuzz_machine *f);
/* Forget all translations. */
void fuzz_fresh(struct fuzz_machine *f, bool check);
void fuzz_memory(struct fuzz_machine *f, const uint8_t *image);
void fuzz_begin(struct fuzz_machine *f, const struct fuzz_case *k, const struct fuzz_start *s);
enum fuzz_end fuzz_run(struct fuzz_machine *f, unsigned ticks);
uint64_t fuzz_descriptor(unsigned sel, bool lm);
/* NULL: equal; else what differs. */
const char *fuzz_compare(struct fuzz_machine *a, struct fuzz_machine *b, const struct fuzz_case *k);
void fuzz_print(FILE *f, const struct fuzz_machine *a, const struct fuzz_machine *b);
/* --- fuzz_decode.c --- */
/* Random bytes through the decoder, in all modes and at all lengths; false: a rule was broken (told on stderr). */
bool fuzz_decode(struct hw_rng *r, unsigned long count);

#endif
