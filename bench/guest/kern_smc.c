/* kern_smc.c - code made, patched, and mixed with data while it runs. */
#include "kern.h"

static u32 emit_fn(u8 *p, u32 imm, u32 ops)
{
    u8 *q = p;
    *q++ = 0xb8;                                /* mov eax, imm32 */
    __builtin_memcpy(q, &imm, 4), q += 4;
    for (u32 i = 0; i < ops; i++) {
        if ((imm >> (i & 31)) & 1) {
            *q++ = 0x05;                        /* add eax, imm32 */
        } else {
            *q++ = 0x35;                        /* xor eax, imm32 */
        }
        u32 v = imm * (i + 3);
        __builtin_memcpy(q, &v, 4), q += 4;
    }
    *q++ = 0xc3;
    return (u32)(q - p);
}

typedef u32 (*jfn)(void);

/* JIT-like: generate into fresh space, call each function a few times. */
u64 k_smc_gen(u32 n)
{
    ul sz = 1 << 20, off = 0;
    u8 *c = map(sz, P_R | P_W | P_X);
    u64 h = 22;
    for (u32 r = 0; r < n; r++) {
        if (off + 256 > sz)
            off = 0;
        jfn f = (jfn)(void *)(c + off);
        off += emit_fn(c + off, rng(), 16 + r % 24) + 15;
        off &= ~15ul;
        for (u32 k = 0; k < 20; k++)
            h += f() ^ k;
    }
    return h;
}

/* Patch one immediate in place, then call. */
u64 k_smc_patch(u32 n)
{
    u8 *c = map(4096, P_R | P_W | P_X);
    u64 h = 23;
    emit_fn(c, 1, 12);
    for (u32 r = 0; r < n; r++) {
        u32 v = r * 77;
        __builtin_memcpy(c + 1, &v, 4);
        h += ((jfn)(void *)c)();
        h ^= ((jfn)(void *)c)();
    }
    return h;
}

/* Data written in the same page as code that never changes. */
u64 k_smc_mixed(u32 n)
{
    u8 *c = map(4096, P_R | P_W | P_X);
    volatile u32 *data = (volatile u32 *)(void *)(c + 2048);
    u64 h = 24;
    emit_fn(c, 0x5a5a, 12);
    for (u32 r = 0; r < n; r++) {
        data[r & 511] = r;
        h += ((jfn)(void *)c)() + data[(r * 7) & 511];
    }
    return h;
}
