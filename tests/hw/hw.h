/*
 * hw.h - the hardware differential test: one instruction, run by a real x86 CPU
 * and by Latimer from the same state, must leave the same state.
 *
 * The CPU is the host's, or what it did was recorded (record.c) for hosts of other
 * kinds.  Code and data lie at fixed linear addresses, the same in this process (on
 * x86-64) and in the guest, so that addresses in registers mean the same to both.
 * An instance is named by seed, row and number; nothing is left of the one before it.
 */
#ifndef TESTS_HW_HW_H
#define TESTS_HW_HW_H

#include <stdbool.h>
#include <stddef.h>
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

/* native.c; on hosts that are not x86-64 native_none.c */
/* False: this host is no x86-64, and nothing below may be asked for. */
bool hw_native_init(void);
/* Does the host keep the x87's pointers as the guest's processor model says? */
bool hw_native_pointers(void);
bool hw_native_has(enum x86_feat f);
/* Which CPU it is, for people. */
void hw_native_cpu(char *name, size_t size);
/* Runs code[0..len) at HW_CODE + off, on the memory at HW_DATA; *s is in and out. */
void hw_native(struct hw_state *s, const uint8_t *code, unsigned len, unsigned off);
/* The same in compatibility mode: 32-bit code, and of the first eight registers the low halves. */
void hw_native32(struct hw_state *s, const uint8_t *code, unsigned len, unsigned off);
/* Selectors of user mode, Linux's, in the guest as well: what is pushed must agree. */
/* Chips of another maker than Intel's do this in another way, and so is this one: it is no oracle. */
struct hw_case;
bool hw_native_differs(const struct hw_case *);
/* Not every kernel has a segment for 32-bit code. */
bool hw_native32_exists(void);
#define HW_CS32 0x23
#define HW_DS   0x2b
#define HW_CS64 0x33

/* guest.c */
void hw_guest_init(enum hw_engine e, bool optimize);
unsigned long hw_guest_copied(void);    /* instances run by a stencil so far */
uint8_t *hw_guest_data(void);           /* the guest's HW_DATA */
void hw_guest(struct hw_state *s, const uint8_t *code, unsigned len, unsigned off, bool code32);
void hw_guest_dump(void);               /* IR and host code of the last instruction, to stdout */

/* old.c; where the backend is not x86-64's old_none.c */
extern const bool hw_old_exists;        /* false: nothing below may be asked for */
/* Before hw_old_check(). */
void hw_old_init(void);
/* Code must not contain what such a processor does not know; false: it does, a message has said what. */
bool hw_old_check(const uint8_t *p, size_t n);

/* gen.c */
struct hw_rng { uint64_t s; };
/* A stream of its own for number n of what is called so (a row's id). */
void hw_seed(struct hw_rng *r, uint64_t seed, const char *what, uint64_t n);
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
/* Does the row exist only outside 64-bit mode, so that it is run in compatibility mode? */
bool hw_row_code32(const struct x86_row *row);
/* May this row be run here at all? */
bool hw_row_usable(const struct x86_row *row);
/* A random instance of the row, with HW_DATA like data; false if none came out after some tries. */
bool hw_generate(struct hw_rng *r, const struct x86_row *row, const uint8_t *data, struct hw_case *c);
/* Boundary-biased operand values. */
uint64_t hw_value(struct hw_rng *r);
void hw_vector(struct hw_rng *r, union vreg *v);
void hw_fill_data(struct hw_rng *r, uint8_t *data);
/* Random x87 and SSE state, sometimes with exceptions unmasked. */
void hw_fp_state(struct hw_rng *r, struct hw_fx *f);

/* compare.c */
extern const char *const hw_row_ids[X86_COUNT];
struct hw_report {
    const char *chip;           /* what the CPU's results are called */
    bool pointers;              /* the x87's are compared */
    bool failed;
    char text[4096];
    unsigned n;
};
/* What is not compared of a result becomes as it was before; chip: how the CPU ended. */
void hw_mask(const struct hw_case *c, const struct hw_state *chip, bool pointers, struct hw_state *s);
void hw_compare(struct hw_report *p, const struct hw_case *c, const struct hw_state *chip,
                const uint8_t *chip_data, const struct hw_state *us, const uint8_t *our_data);

/* record.c */
/* What the results of a row were, instance after instance. */
struct hw_changes {
    uint8_t *p;
    size_t n, at, room;         /* at: of the next one to be read */
};
/* Append what an instruction changed: of the masked state, and of the memory. */
void hw_changes_put(struct hw_changes *x, const struct hw_state *before, const struct hw_state *after,
                    const uint8_t *data_before, const uint8_t *data_after);
/* Make the next instance's changes to s and data; false: there are none, or they make no sense. */
bool hw_changes_take(struct hw_changes *x, struct hw_state *s, uint8_t *data);
/* Goes on from crc with what the instance starts from, and what of its result is compared. */
uint32_t hw_fingerprint(uint32_t crc, const struct hw_case *c);

struct hw_recorded_row {
    const char *id;
    uint32_t fingerprint;       /* of its instances and their memory */
    struct hw_changes changes;
};
struct hw_recording {
    char family[8], cpu[128];
    uint64_t seed;
    unsigned count;             /* instances of each row */
    bool pointers;              /* the x87's pointers are recorded as well */
    unsigned nrows;
    struct hw_recorded_row *row;
    void *text;                 /* what they lie in */
};
/* False: no such file, or not to be used; a message has said so. */
bool hw_recording_read(struct hw_recording *r, const char *path);
bool hw_recording_write(const struct hw_recording *r, const char *path);
void hw_recording_free(struct hw_recording *r);

#endif
