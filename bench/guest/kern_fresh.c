/*
 * kern_fresh.c - code that runs for the first time: what translating it costs.
 *
 * Each round makes FRESH_FNS functions of FRESH_INSNS instructions (the last is a
 * RET) in new memory and calls each of them once.  fresh_none makes the same code
 * and calls one function as often: the difference, per instruction, is what the
 * emulator pays for code it has not seen.
 */
#include "kern.h"

#define FRESH_FNS 4096u
#define FRESH_INSNS 17u         /* bench.py knows the product as FRESH */
#define FN_BYTES 160u

enum kind { ALU, LOAD };

static u8 *put32(u8 *q, u32 v)
{
    __builtin_memcpy(q, &v, 4);
    return q + 4;
}

/* Registers the functions use: rax rcx rdx rsi r8-r11; rdi points at data and is only read. */
static u32 some_reg(u32 r)
{
    static const u8 reg[8] = { 0, 1, 2, 6, 8, 9, 10, 11 };
    return reg[r & 7];
}

static u8 *alu(u8 *q, u32 r)
{
    static const u8 op[8] = { 0x01, 0x29, 0x31, 0x21, 0x09, 0x89, 0x39, 0x85 };
    u32 a = some_reg(r), b = some_reg(r >> 3);
    u8 rex = (u8)(0x40 | (r >> 6 & 1) << 3);
    switch (r >> 7 & 7) {
    case 0:                                     /* add .. cmp r, imm8 */
        *q++ = rex | (u8)(a >> 3), *q++ = 0x83, *q++ = (u8)(0xc0 | (r >> 10 & 7) << 3 | (a & 7));
        *q++ = (u8)(r >> 13);
        return q;
    case 1:                                     /* the same, imm32 */
        *q++ = rex | (u8)(a >> 3), *q++ = 0x81, *q++ = (u8)(0xc0 | (r >> 10 & 7) << 3 | (a & 7));
        return put32(q, r * 77);
    case 2:                                     /* lea r, [r + disp8] */
        *q++ = rex | (u8)(a >> 3 << 2 | b >> 3), *q++ = 0x8d, *q++ = (u8)(0x40 | (a & 7) << 3 | (b & 7));
        *q++ = (u8)(r >> 13);
        return q;
    case 3:                                     /* shl, shr r, imm8 */
        *q++ = rex | (u8)(a >> 3), *q++ = 0xc1, *q++ = (u8)(0xe0 | (r >> 10 & 1) << 3 | (a & 7));
        *q++ = (u8)(1 + (r >> 13 & 15));
        return q;
    default:
        *q++ = rex | (u8)(b >> 3 << 2 | a >> 3), *q++ = op[r >> 10 & 7];
        *q++ = (u8)(0xc0 | (b & 7) << 3 | (a & 7));
        return q;
    }
}

/* mov, movzx, add with [rdi + disp]. */
static u8 *load(u8 *q, u32 r)
{
    u32 a = some_reg(r), far = r >> 8 & 1, disp = r >> 12 & (far ? 0xff8 : 0x78);
    *q++ = (u8)(0x40 | (r >> 6 & 1) << 3 | a >> 3 << 2);
    switch (r >> 9 & 3) {
    case 0:
        *q++ = 0x0f, *q++ = 0xb6;
        break;
    case 1:
        *q++ = 0x03;
        break;
    default:
        *q++ = 0x8b;
    }
    *q++ = (u8)((far ? 0x80 : 0x40) | (a & 7) << 3 | 7);
    if (far)
        return put32(q, disp);
    *q++ = (u8)disp;
    return q;
}

static void make(u8 *p, enum kind k)
{
    u8 *q = p;
    for (u32 i = 1; i < FRESH_INSNS; i++)
        q = k == ALU ? alu(q, rng()) : load(q, rng());
    *q = 0xc3;
}

static u64 run(const u8 *f, const u64 *data)
{
    u64 r = 1, c = 2, d = 3, s = 4;
    __asm__ volatile("mov $5, %%r8d; mov $6, %%r9d; mov $7, %%r10d; mov $8, %%r11d; call *%5"
                     : "+a"(r), "+c"(c), "+d"(d), "+S"(s) : "D"(data), "b"(f)
                     : "r8", "r9", "r10", "r11", "memory", "cc");
    return r + 3 * c + 5 * d + 7 * s;
}

static u64 fresh(u32 n, enum kind k, int all)
{
    static u64 data[1024];
    u64 h = 31;
    for (u32 r = 0; r < n; r++) {
        u8 *c = map(FRESH_FNS * FN_BYTES, P_R | P_W | P_X);
        for (u32 i = 0; i < FRESH_FNS; i++)
            make(c + i * FN_BYTES, k);
        for (u32 i = 0; i < FRESH_FNS; i++)
            h = h * 33 + run(c + (all ? i * FN_BYTES : 0), data);
    }
    return h;
}

u64 k_fresh_none(u32 n) { return fresh(n, ALU, 0); }
u64 k_fresh_alu(u32 n) { return fresh(n, ALU, 1); }
u64 k_fresh_nold(u32 n) { return fresh(n, LOAD, 0); }
u64 k_fresh_ld(u32 n) { return fresh(n, LOAD, 1); }
