/* kern_mem.c - loads and stores, TLB misses, copies, strings, unaligned and locked accesses. */
#include "kern.h"

u64 k_ldst(u32 n)
{
    static u32 a[2048], b[2048];
    u64 h = 15;
    for (u32 i = 0; i < 2048; i++)
        a[i] = rng(), b[i] = i;
    for (u32 r = 0; r < n; r++) {
        u32 s = r;
        for (u32 i = 1; i < 2047; i++) {
            u32 v = a[i - 1] + b[i] - a[i + 1];
            b[i] = v ^ s;
            a[i] += b[i - 1];
            s += a[v & 2047];
        }
        h = mix(h, s);
    }
    return h;
}

static u64 tlb_walk(u32 n, ul bytes)
{
    ul mask = bytes / sizeof(ul) - 1;
    ul *a = map(bytes, P_R | P_W);
    for (ul i = 0; i <= mask; i += 4096 / sizeof(ul))
        a[i] = i * 2654435761u;
    ul x = 88172645463325252ull & ~0ul, s = 0;
    for (u32 r = 0; r < n; r++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        ul i = x & mask;
        s += a[i];
        a[i] = s ^ r;
    }
    sys2(NR_munmap, a, bytes);
    return mix(16, s);
}

u64 k_tlb(u32 n)   { return tlb_walk(n, 256ul << 20); }
u64 k_tlb4m(u32 n) { return tlb_walk(n, 4ul << 20); }

/* Dependent pointer chase over 64 MiB in page-sized strides. */
u64 k_chase(u32 n)
{
    u32 pages = 16384;
    ul *perm = map(pages * sizeof(ul), P_R | P_W);
    u8 *a = map((ul)pages << 12, P_R | P_W);
    for (u32 i = 0; i < pages; i++)
        perm[i] = i;
    for (u32 i = pages - 1; i; i--) {
        u32 j = rng() % (i + 1);
        ul t = perm[i];
        perm[i] = perm[j];
        perm[j] = t;
    }
    for (u32 i = 0; i < pages; i++)
        *(ul *)(a + (perm[i] << 12) + (perm[i] & 63) * 64) =
            (perm[(i + 1) % pages] << 12) + (perm[(i + 1) % pages] & 63) * 64;
    ul p = 0;
    u64 s = 17;
    for (u32 r = 0; r < n; r++) {
        p = *(ul *)(a + p);
        s += p ^ r;
    }
    return s;
}

u64 k_copy(u32 n)
{
    ul sz = 4ul << 20;
    u8 *a = map(sz + 64, P_R | P_W), *b = map(sz + 64, P_R | P_W);
    u64 h = 18;
    for (u32 r = 0; r < n; r++) {
        void *d = a, *s;
        ul c = sz;
        __asm__ volatile("rep stosb" : "+D"(d), "+c"(c) : "a"(r) : "memory");
        s = a + (r & 7), d = b + (r >> 3 & 7), c = sz - 64;
        __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(c) : : "memory");
        s = b, d = a + 64, c = (sz - 64) / 4;
        __asm__ volatile("rep movsl" : "+D"(d), "+S"(s), "+c"(c) : : "memory");
        v16qu x = { 0 };
        for (ul i = 0; i < sz; i += 64)
            x += *(v16qu *)(a + i) ^ *(v16qu *)(b + i + 32);
        h = mix(h, x[3] | (u32)x[9] << 8);
        /* many short copies, as string code does */
        for (u32 k = 0; k < 20000; k++) {
            s = a + (k * 37 & 65535), d = b + (k * 91 & 65535), c = k & 63;
            __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(c) : : "memory");
        }
        h = mix(h, b[r * 97 & 65535]);
    }
    return h;
}

u64 k_str(u32 n)
{
    static char s[8192] __attribute__((aligned(16)));
    u64 h = 19;
    for (u32 i = 0; i < 8191; i++)
        s[i] = (char)('a' + rng() % 26);
    for (u32 r = 0; r < n; r++) {
        s[rng() % 8191] = (char)('a' + r % 26);
        u32 cnt[4] = { 0 };
        for (const char *p = s; *p; p++)
            cnt[*p & 3]++;
        h = mix(h, cnt[0] ^ cnt[1] << 10 ^ cnt[2] << 20);
        const char *d = s;
        ul c = 8192;
        __asm__ volatile("repne scasb" : "+D"(d), "+c"(c) : "a"(0) : "memory", "cc");
        h += c;
        u32 found = 0;
        for (u32 i = 0; i < 8192; i += 16) {
            v16qu m = (v16qu)(*(v16qu *)(s + i) == (v16qu){} + (u8)('a' + r % 26));
            u32 bm;
            __asm__("pmovmskb %1,%0" : "=r"(bm) : "x"(m));
            while (bm) {
                found += i + (u32)__builtin_ctz(bm);
                bm &= bm - 1;
            }
        }
        h = mix(h, found);
    }
    return h;
}

/* Unaligned and page-crossing accesses. */
u64 k_unal(u32 n)
{
    u8 *a = map(1 << 20, P_R | P_W);
    u64 h = 20;
    for (u32 r = 0; r < n; r++)
        for (u32 k = 0; k < 255; k++) {
            u32 v;
            u8 *p = a + (k + 1) * 4096 - 3 + (r & 3);   /* 3 in 4 cross a page */
            __builtin_memcpy(&v, p, 4);
            v = v * 3 + k + r;
            __builtin_memcpy(p, &v, 4);
            __builtin_memcpy(&v, a + k * 4096 + 1 + r % 1000, 4);
            h += v;
        }
    return h;
}

u64 k_atomic(u32 n)
{
    static u32 w[16];
    u32 s = 0;
    for (u32 r = 0; r < n; r++) {
        s += __atomic_fetch_add(&w[r & 15], r, __ATOMIC_SEQ_CST);
        u32 e = w[(r + 1) & 15];
        __atomic_compare_exchange_n(&w[(r + 1) & 15], &e, e ^ s, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        s ^= __atomic_exchange_n(&w[(r + 5) & 15], s, __ATOMIC_SEQ_CST);
        __atomic_fetch_or(&w[(r + 7) & 15], r, __ATOMIC_SEQ_CST);
    }
    return mix(21, s);
}
