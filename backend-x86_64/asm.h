/*
 * asm.h - emitting x86-64 machine code, one function an encoding shape.
 *
 * Memory operands are [base + index * 2^scale + disp]; base NOREG means
 * absolute (unused here).  Registers are hardware numbers 0..15.  Bytes go to
 * `p`, the writable view of code memory; rel32 targets are given in the same
 * view, since both ends move together.
 * Sources: Intel SDM vol. 2, chapter 2 (formats) and the instruction pages.
 */
#ifndef BACKEND_X86_64_ASM_H
#define BACKEND_X86_64_ASM_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { H_RAX, H_RCX, H_RDX, H_RBX, H_RSP, H_RBP, H_RSI, H_RDI,
       H_R8, H_R9, H_R10, H_R11, H_R12, H_R13, H_R14, H_R15, NOREG = 0xff };

/*
 * What must be changed in code that is copied to another place (stencil.c): the
 * rel32s, and the 32-bit fields to which a number is added that is not known yet.
 */
#define AS_NOTES 160
struct as_note {
    uint8_t *at;                /* the field */
    const uint8_t *to;          /* a rel32: where it leads */
    unsigned hole;              /* else: the number of what is added */
};
struct as_notes {
    unsigned n;                 /* more than AS_NOTES: too many to be kept */
    struct as_note note[AS_NOTES];
};

struct as {
    uint8_t *p;                 /* next byte (writable view) */
    struct as_notes *notes;     /* NULL: the code stays where it is */
};

/* A memory operand. */
struct hm {
    uint8_t base, index, scale;
    uint8_t hole;               /* number of what is added to disp when the code is copied, or 0 */
    int32_t disp;
};

static inline struct hm hm_at(unsigned base, int32_t disp)
{
    return (struct hm){ .base = (uint8_t)base, .index = NOREG, .disp = disp };
}
static inline struct hm hm_idx(unsigned base, unsigned index, unsigned scale, int32_t disp)
{
    return (struct hm){ .base = (uint8_t)base, .index = (uint8_t)index, .scale = (uint8_t)scale,
                        .disp = disp };
}
/* The operand m, with `base` added to it. */
static inline struct hm hm_off(unsigned base, struct hm m)
{
    return (struct hm){ .base = (uint8_t)base, .index = m.base, .hole = m.hole, .disp = m.disp };
}
/* A field of struct cpu: rsp points at it. */
static inline struct hm hm_cpu(uint32_t off)
{
    return hm_at(H_RSP, (int32_t)off);
}

static inline void as_b(struct as *a, unsigned v)
{
    *a->p++ = (uint8_t)v;
}
static inline void as_d(struct as *a, uint32_t v)
{
    memcpy(a->p, &v, 4);
    a->p += 4;
}
static inline void as_q(struct as *a, uint64_t v)
{
    memcpy(a->p, &v, 8);
    a->p += 8;
}

static inline void as_note(struct as *a, uint8_t *at, const uint8_t *to, unsigned hole)
{
    struct as_notes *s = a->notes;
    if (s && s->n++ < AS_NOTES)
        s->note[s->n - 1] = (struct as_note){ at, to, hole };
}
/* This code cannot be copied. */
static inline void as_pin(struct as *a)
{
    if (a->notes)
        a->notes->n = AS_NOTES + 1;
}
/* A 32-bit field that holds v, to which hole's number will be added. */
static inline void as_d_hole(struct as *a, uint32_t v, unsigned hole)
{
    as_note(a, a->p, NULL, hole);
    as_d(a, v);
}

/*
 * An instruction up to its displacement has at most eight bytes (prefix, REX, three
 * of opcode, ModRM, SIB).  They are gathered in a register and stored at once: a
 * store of eight bytes, of which the next one overwrites what was too much.
 */
struct as_bytes {
    uint64_t v;
    unsigned n;                 /* bits */
};

static inline void as_add(struct as_bytes *s, unsigned byte)
{
    s->v |= (uint64_t)(uint8_t)byte << s->n;
    s->n += 8;
}
static inline void as_put(struct as *a, const struct as_bytes *s)
{
    memcpy(a->p, &s->v, 8);
    a->p += s->n / 8;
}

/*
 * Opcode with optional legacy prefix and REX.  `op` packs the opcode bytes:
 * low byte last, 0x0fXX, 0x0f38XX, 0x0f3aXX; bits 31:24 are the prefix (66, f2,
 * f3 or 0).  force: reg or rm is an 8-bit register needing REX for 4..7.
 */
#define OP66(x) (0x66000000u | (x))
#define OPF2(x) (0xf2000000u | (x))
#define OPF3(x) (0xf3000000u | (x))

static inline struct as_bytes as_opcode(uint32_t op, bool w, unsigned reg, unsigned index, unsigned base,
                                        bool force)
{
    struct as_bytes s = { 0, 0 };
    if (op >> 24)
        as_add(&s, op >> 24);
    unsigned rex = (w ? 8u : 0u) | ((reg >> 3) & 1u) << 2 |
                   (index != NOREG ? ((index >> 3) & 1u) << 1 : 0u) | ((base >> 3) & 1u);
    if (rex || force)
        as_add(&s, 0x40 | rex);
    if (op & 0xff0000)
        as_add(&s, op >> 16);
    if (op & 0xff00)
        as_add(&s, op >> 8);
    as_add(&s, op);
    return s;
}

static inline void as_op(struct as *a, uint32_t op, bool w, unsigned reg, unsigned index, unsigned base,
                         bool force)
{
    struct as_bytes s = as_opcode(op, w, reg, index, base, force);
    as_put(a, &s);
}

/* Behind opcode s: ModRM (+SIB, displacement) for a memory operand. */
static inline void as_modrm_m(struct as *a, struct as_bytes s, unsigned reg, struct hm m)
{
    unsigned r = (reg & 7) << 3, b = m.base & 7, mod, bytes;
    if (m.hole)
        mod = 0x80, bytes = 4;
    else if (m.disp == 0 && b != 5)
        mod = 0, bytes = 0;
    else if (m.disp == (int8_t)m.disp)
        mod = 0x40, bytes = 1;
    else
        mod = 0x80, bytes = 4;
    if (m.index != NOREG) {
        as_add(&s, mod | r | 4);
        as_add(&s, (unsigned)m.scale << 6 | (m.index & 7u) << 3 | b);
    } else if (b == 4) {
        as_add(&s, mod | r | 4);
        as_add(&s, 0x24);
    } else {
        as_add(&s, mod | r | b);
    }
    as_put(a, &s);
    if (m.hole)
        as_note(a, a->p, NULL, m.hole);
    memcpy(a->p, &m.disp, 4);
    a->p += bytes;
}

static inline void as_reg_form(struct as *a, struct as_bytes s, unsigned reg, unsigned rm)
{
    as_add(&s, 0xc0 | (reg & 7) << 3 | (rm & 7));
    as_put(a, &s);
}

/* op reg, rm (register form). */
static inline void as_rr(struct as *a, uint32_t op, bool w, unsigned reg, unsigned rm)
{
    as_reg_form(a, as_opcode(op, w, reg, NOREG, rm, false), reg, rm);
}
/* op reg, rm with 8-bit registers (SPL..DIL need a REX). */
static inline void as_rr8(struct as *a, uint32_t op, unsigned reg, unsigned rm)
{
    as_reg_form(a, as_opcode(op, false, reg, NOREG, rm, reg >= 4 || rm >= 4), reg, rm);
}
/* op reg, [m]. */
static inline void as_rm(struct as *a, uint32_t op, bool w, unsigned reg, struct hm m)
{
    as_modrm_m(a, as_opcode(op, w, reg, m.index, m.base, false), reg, m);
}
/* The same where reg is an 8-bit register. */
static inline void as_rm8(struct as *a, uint32_t op, unsigned reg, struct hm m)
{
    as_modrm_m(a, as_opcode(op, false, reg, m.index, m.base, reg >= 4), reg, m);
}

/* ---- the few instructions with names of their own ---- */

static inline void as_mov_rr(struct as *a, bool w, unsigned d, unsigned s)
{
    as_rr(a, 0x8b, w, d, s);
}
static inline void as_mov_ri(struct as *a, unsigned d, uint64_t v)
{
    if (v <= 0xffffffffu) {
        as_op(a, 0xb8 + (d & 7), false, 0, NOREG, d, false);
        as_d(a, (uint32_t)v);
    } else if ((int64_t)v == (int32_t)v) {
        as_op(a, 0xc7, true, 0, NOREG, d, false);
        as_b(a, 0xc0 | (d & 7));
        as_d(a, (uint32_t)v);
    } else {
        as_op(a, 0xb8 + (d & 7), true, 0, NOREG, d, false);
        as_q(a, v);
    }
}
static inline void as_lea(struct as *a, bool w, unsigned d, struct hm m)
{
    as_rm(a, 0x8d, w, d, m);
}
static inline void as_load64(struct as *a, unsigned d, struct hm m)
{
    as_rm(a, 0x8b, true, d, m);
}
static inline void as_store64(struct as *a, struct hm m, unsigned s)
{
    as_rm(a, 0x89, true, s, m);
}
/* lea d, [index * 2^scale + disp] */
static inline void as_lea_noindex(struct as *a, bool w, unsigned d, unsigned index, unsigned scale,
                                  int32_t disp, unsigned hole)
{
    as_op(a, 0x8d, w, d, index, 0, false);
    as_b(a, (d & 7) << 3 | 4);
    as_b(a, scale << 6 | (index & 7) << 3 | 5);
    if (hole)
        as_note(a, a->p, NULL, hole);
    as_d(a, (uint32_t)disp);
}
/* ALU group 1 with immediate: ext 0 add 1 or 2 adc 3 sbb 4 and 5 sub 6 xor 7 cmp; bits 32 or 64. */
static inline void as_alu_ri(struct as *a, unsigned ext, bool w, unsigned d, int32_t v)
{
    bool b = v == (int8_t)v;
    as_reg_form(a, as_opcode(b ? 0x83 : 0x81, w, 0, NOREG, d, false), ext, d);
    memcpy(a->p, &v, 4);
    a->p += b ? 1 : 4;
}
static inline void as_alu_mi(struct as *a, unsigned ext, bool w, struct hm m, int32_t v)
{
    bool b = v == (int8_t)v;
    as_rm(a, b ? 0x83 : 0x81, w, ext, m);
    memcpy(a->p, &v, 4);
    a->p += b ? 1 : 4;
}
static inline void as_mov_mi32(struct as *a, bool w, struct hm m, int32_t v)
{
    as_rm(a, 0xc7, w, 0, m);
    as_d(a, (uint32_t)v);
}
static inline void as_shift_ri(struct as *a, unsigned ext, bool w, unsigned d, unsigned n)
{
    as_reg_form(a, as_opcode(0xc1, w, 0, NOREG, d, false), ext, d);
    as_b(a, n);
}
/* Jumps: return the address of the rel32. */
static inline uint8_t *as_jcc(struct as *a, unsigned cc)
{
    as_b(a, 0x0f);
    as_b(a, 0x80 | cc);
    as_d(a, 0);
    return a->p - 4;
}
static inline uint8_t *as_jmp(struct as *a)
{
    as_b(a, 0xe9);
    as_d(a, 0);
    return a->p - 4;
}
static inline void as_set_rel(uint8_t *rel, const uint8_t *to)
{
    int32_t d = (int32_t)(to - (rel + 4));
    memcpy(rel, &d, 4);
}
static inline void as_patch(struct as *a, uint8_t *rel, const uint8_t *to)
{
    as_set_rel(rel, to);
    if (a->notes)
        as_note(a, rel, to, 0);
}
static inline void as_jmp_to(struct as *a, const uint8_t *to)
{
    uint8_t *rel = as_jmp(a);
    as_patch(a, rel, to);
}
static inline void as_call_to(struct as *a, const uint8_t *to)
{
    as_b(a, 0xe8);
    as_d(a, 0);
    as_patch(a, a->p - 4, to);
}
/* VEX three-operand general-register ops (BMI2): pp 1=66 2=f3 3=f2, map 2 = 0f38, 3 = 0f3a. */
static inline void as_vex(struct as *a, unsigned map, unsigned pp, bool w, uint8_t op, unsigned reg,
                          unsigned v, unsigned rm)
{
    struct as_bytes s = { 0xc4, 8 };
    as_add(&s, (reg & 8 ? 0 : 0x80) | 0x40 | (rm & 8 ? 0 : 0x20) | map);
    as_add(&s, (w ? 0x80 : 0) | (~v & 15) << 3 | pp);
    as_add(&s, op);
    as_add(&s, 0xc0 | (reg & 7) << 3 | (rm & 7));
    as_put(a, &s);
}
static inline void as_rorx(struct as *a, bool w, unsigned d, unsigned s, unsigned n)
{
    as_vex(a, 3, 3, w, 0xf0, d, 0, s);
    as_b(a, n);
}

#endif
