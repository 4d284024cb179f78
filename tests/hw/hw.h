/*
 * hw.h - the hardware differential test: one instruction, run by the host CPU
 * and by Latimer from the same state, must leave the same state.
 *
 * Code and data lie at fixed linear addresses, the same in this process and in
 * the guest, so that addresses in registers mean the same to both.
 */
#ifndef TESTS_HW_HW_H
#define TESTS_HW_HW_H

#include <stdbool.h>
#include <stdint.h>

#include "frontend/cpu.h"
#include "frontend/decode.h"

#define HW_CODE      0x10000000u
#define HW_CODE_SIZE 0x2000u
#define HW_DATA      0x20000000u
#define HW_DATA_SIZE 0x8000u

/* FXSAVE64 image (SDM vol. 1, table 10-2). */
struct hw_fx {
    uint16_t fcw, fsw;
    uint8_t ftw, r0;
    uint16_t fop;
    uint64_t fip, fdp;
    uint32_t mxcsr, mask;
    struct { uint64_t sig; uint16_t se, pad[3]; } st[8];    /* ST0.. (rotated by TOP) */
    union vreg x[16];
    uint8_t rest[96];
} __attribute__((aligned(16)));

struct hw_state {
    uint64_t r[16];
    uint64_t flags;
    uint64_t rip;           /* after a fault: of the instruction */
    int64_t vector;         /* -1: ran to its end */
    uint64_t pad;
    struct hw_fx fx;
};

enum hw_engine { HW_INTERP, HW_JIT,
                 HW_COPY,       /* stencils, where there are some for the instruction, else as HW_JIT */
                 HW_BOTH,       /* the two in turn */
                 HW_OLD };      /* as HW_JIT on a processor that has nothing newer than SSE2 */

/* native.c */
void hw_native_init(void);
/* Does the host keep the x87's pointers as the guest's processor model says? */
bool hw_native_pointers(void);
/* Runs code[0..len) at HW_CODE + off, on the memory at HW_DATA; *s is in and out. */
void hw_native(struct hw_state *s, const uint8_t *code, unsigned len, unsigned off);

/* guest.c */
void hw_guest_init(enum hw_engine e, bool optimize);
unsigned long hw_guest_copied(void);    /* instances run by a stencil so far */
uint8_t *hw_guest_data(void);           /* the guest's HW_DATA */
void hw_guest(struct hw_state *s, const uint8_t *code, unsigned len, unsigned off);
void hw_guest_dump(void);               /* IR and host code of the last instruction, to stdout */

/* gen.c */
struct hw_rng { uint64_t s; };
uint64_t hw_rand(struct hw_rng *r);
static inline uint64_t hw_below(struct hw_rng *r, uint64_t n) { return hw_rand(r) % n; }
struct hw_case {
    const struct x86_row *row;
    struct insn insn;
    uint8_t code[16];
    unsigned len, off;
    struct hw_state in;
    uint32_t undef_flags;       /* arithmetic flags not to compare */
};
/* May this row be run here at all? */
bool hw_row_usable(const struct x86_row *row);
/* A random instance of the row; false if none came out after some tries. */
bool hw_generate(struct hw_rng *r, const struct x86_row *row, struct hw_case *c);
/* Boundary-biased operand values. */
uint64_t hw_value(struct hw_rng *r);
void hw_vector(struct hw_rng *r, union vreg *v);
void hw_fill_data(struct hw_rng *r, uint8_t *data);
/* Random x87 and SSE state, sometimes with exceptions unmasked. */
void hw_fp_state(struct hw_rng *r, struct hw_fx *f);

#endif
