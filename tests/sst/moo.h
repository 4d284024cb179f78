/*
 * moo.h - reader of MOO files: single-step tests captured from real processors.
 *
 * A file is a sequence of chunks (4-byte type, u32 length, payload; little-endian), as a
 * whole compressed by gzip.  Several files may follow each other in one.
 */
#ifndef TESTS_SST_MOO_H
#define TESTS_SST_MOO_H

#include <stdbool.h>
#include <stdint.h>

/* Registers in the order of the REGS chunk. */
enum { MOO_AX, MOO_BX, MOO_CX, MOO_DX, MOO_CS, MOO_SS, MOO_DS, MOO_ES, MOO_SP, MOO_BP, MOO_SI, MOO_DI,
       MOO_IP, MOO_FLAGS, MOO_REGS };
#define MOO_RAM 2048

struct moo_state {
    uint16_t has;               /* bit n: reg[n] is given */
    uint16_t reg[MOO_REGS];
    unsigned nram;
    struct { uint32_t pa; uint8_t v; } ram[MOO_RAM];
};

struct moo_test {
    uint32_t index;
    char name[128];
    uint8_t bytes[32];          /* the instruction and the HLT behind it */
    unsigned len;
    struct moo_state init, fina;        /* fina: only what changed */
    int vector;                 /* -1: no exception or interrupt */
    uint32_t flags_at;          /* address of the flags word it pushed */
};

struct moo;

/* NULL: cannot be opened or is no MOO file; *why says it. */
struct moo *moo_open(const char *path, const char **why);
/* The next test. False: end, or a defect in the file if moo_error() says so. */
bool moo_next(struct moo *, struct moo_test *);
const char *moo_error(const struct moo *);
/* Opcode of the tests that follow, as in the file's name ("80.4"). */
const char *moo_opcode(const struct moo *);
/* Bits of a register that count in them (RMSK). */
uint16_t moo_mask(const struct moo *, unsigned reg);
void moo_close(struct moo *);

#endif
