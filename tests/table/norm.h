/*
 * norm.h - one form for what our decoder, Capstone and Zydis say about an
 * instruction, so that they can be compared operand by operand.
 */
#ifndef TESTS_TABLE_NORM_H
#define TESTS_TABLE_NORM_H

#include <stdbool.h>
#include <stdint.h>

enum norm_kind { N_REG, N_MEM, N_IMM };

struct norm_op {
    enum norm_kind kind;
    bool fixed;                 /* not encoded: may be left out by the other side */
    unsigned size;              /* of memory; 0: not told */
    char reg[12];               /* lower case, as Zydis spells registers */
    char seg[4], base[12], index[12];
    unsigned scale;
    int64_t disp;
    uint64_t imm;               /* masked to `size` bytes if size is not 0 */
};

struct norm {
    unsigned len;
    char name[32];
    unsigned n;
    struct norm_op op[10];
    char text[160];             /* the disassembler's own text, for reports */
    unsigned isa;               /* Zydis: ISA extension */
};

enum norm_mode { NM_16, NM_32, NM_64, NM_COUNT };

void norm_open(void);
void norm_close(void);
bool norm_capstone(struct norm *n, const uint8_t *p, unsigned len, enum norm_mode m);
bool norm_zydis(struct norm *n, const uint8_t *p, unsigned len, enum norm_mode m);
/* Ours; returns what decode() returned (an enum decode_result). */
struct insn;
int norm_ours(struct norm *n, struct insn *i, const uint8_t *p, unsigned len, enum norm_mode m);
/* NULL if b (from Capstone or Zydis) says the same as a (ours), else which part differs. */
const char *norm_differs(const struct norm *a, const struct norm *b);
/* Is this one of the instruction set extensions the table has to cover? */
bool norm_isa_wanted(const struct norm *n);
const char *norm_isa_name(const struct norm *n);

#endif
