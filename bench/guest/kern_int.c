/* kern_int.c - integer arithmetic, branches, multi-word numbers, bits, flags. */
#include "kern.h"

struct node {
    struct node *next;
    u32 key, idx;
};

static struct node pool[1024];
static u8 text[4096];
static int ma[40][40], mb[40][40], mc[40][40];

static struct node *merge(struct node *a, struct node *b)
{
    struct node h, *t = &h;
    while (a && b) {
        if (a->key <= b->key) {
            t->next = a;
            a = a->next;
        } else {
            t->next = b;
            b = b->next;
        }
        t = t->next;
    }
    t->next = a ? a : b;
    return h.next;
}

static NOINLINE struct node *msort(struct node *l)
{
    struct node *slow = l, *fast;
    if (!l || !l->next)
        return l;
    for (fast = l->next; fast && fast->next; fast = fast->next->next)
        slow = slow->next;
    fast = slow->next;
    slow->next = 0;
    return merge(msort(l), msort(fast));
}

static NOINLINE u32 crc_bitwise(const u8 *p, u32 n)
{
    u32 c = 0xffff;
    while (n--) {
        c ^= *p++;
        for (int k = 0; k < 8; k++)
            c = c & 1 ? (c >> 1) ^ 0xa001 : c >> 1;
    }
    return c;
}

/* Classify "numbers", "words" and "others" in a byte string. */
static NOINLINE u32 scan_tokens(const u8 *p, u32 n)
{
    u32 cnt[6] = { 0 }, st = 0;
    for (u32 i = 0; i < n; i++) {
        u8 c = p[i];
        switch (st) {
        case 0:
            if (c >= '0' && c <= '9') st = 1;
            else if (c == '+' || c == '-') st = 2;
            else if ((c | 32) >= 'a' && (c | 32) <= 'z') st = 4;
            else if (c == '.') st = 3;
            break;
        case 1:
            if (c == '.') st = 3;
            else if (c < '0' || c > '9') cnt[1]++, st = 0;
            break;
        case 2:
            st = c >= '0' && c <= '9' ? 1 : c == '.' ? 3 : (cnt[2]++, 0);
            break;
        case 3:
            if ((c | 32) == 'e') st = 5;
            else if (c < '0' || c > '9') cnt[3]++, st = 0;
            break;
        case 4:
            if ((c | 32) < 'a' || (c | 32) > 'z') cnt[4]++, st = 0;
            break;
        default:
            if (c < '0' || c > '9') cnt[5]++, st = 0;
        }
    }
    return cnt[1] + cnt[2] * 3 + cnt[3] * 5 + cnt[4] * 7 + cnt[5] * 11;
}

u64 k_int(u32 n)
{
    u64 h = 1;
    for (u32 i = 0; i < sizeof text; i++)
        text[i] = "0123456789.+-eE abcdefxyz,;XYZQ"[rng() % 31];
    for (u32 r = 0; r < n; r++) {
        struct node *l = 0;
        for (u32 i = 0; i < ARRAY_LEN(pool); i++) {
            pool[i].key = rng() & 0xfffff;
            pool[i].idx = i;
            pool[i].next = l;
            l = &pool[i];
        }
        l = msort(l);
        for (u32 k = 0; k < 40; k++) {
            struct node *p = l;
            u32 want = rng() & 0xfffff;
            while (p && p->key < want)
                p = p->next;
            h = mix(h, p ? p->idx : 9999);
        }
        for (int i = 0; i < 40; i++)
            for (int j = 0; j < 40; j++)
                ma[i][j] = (int)(rng() & 255) - 128, mb[j][i] = i * 3 - j + (int)r;
        for (int i = 0; i < 40; i++)
            for (int j = 0; j < 40; j++) {
                int s = 0;
                for (int k = 0; k < 40; k++)
                    s += ma[i][k] * mb[k][j];
                mc[i][j] = (s >> 3) & 0xffff;
            }
        h = mix(h, (u32)mc[r % 40][(r / 40) % 40]);
        text[rng() & 4095] ^= 1;
        h = mix(h, scan_tokens(text, sizeof text));
        h = mix(h, crc_bitwise(text, sizeof text));
    }
    return h;
}

/* Data-dependent branches: quicksort and binary search on random words. */
static void qs(u32 *a, long lo, long hi)
{
    while (lo < hi) {
        u32 p = a[(lo + hi) >> 1];
        long i = lo, j = hi;
        while (i <= j) {
            while (a[i] < p) i++;
            while (a[j] > p) j--;
            if (i <= j) {
                u32 t = a[i];
                a[i++] = a[j];
                a[j--] = t;
            }
        }
        if (j - lo < hi - i) {
            qs(a, lo, j);
            lo = i;
        } else {
            qs(a, i, hi);
            hi = j;
        }
    }
}

u64 k_branch(u32 n)
{
    static u32 a[65536];
    u64 h = 2;
    for (u32 r = 0; r < n; r++) {
        for (u32 i = 0; i < 65536; i++)
            a[i] = rng();
        qs(a, 0, 65535);
        for (u32 i = 0; i < 65536; i++) {
            u32 w = rng(), lo = 0, hi = 65536;
            while (lo < hi) {
                u32 m = (lo + hi) / 2;
                if (a[m] < w) lo = m + 1;
                else hi = m;
            }
            h += lo * (i | 1);
        }
        h = mix(h, a[r & 65535]);
    }
    return h;
}

/* Multi-word multiply and reduce: mul/adc chains. */
typedef u64 limb;
typedef unsigned __int128 limb2;
#define LIMBS (2048 / (8 * (int)sizeof(limb)))

static NOINLINE void mulmod_mersenne(limb *r, const limb *a, const limb *b)
{
    limb t[2 * LIMBS];
    memset(t, 0, sizeof t);
    for (int i = 0; i < LIMBS; i++) {
        limb c = 0;
        for (int j = 0; j < LIMBS; j++) {
            limb2 v = (limb2)a[i] * b[j] + t[i + j] + c;
            t[i + j] = (limb)v;
            c = (limb)(v >> (8 * sizeof(limb)));
        }
        t[i + LIMBS] = c;
    }
    limb c = 0;
    for (int i = 0; i < LIMBS; i++) {
        limb2 v = (limb2)t[i] + t[i + LIMBS] + c;
        r[i] = (limb)v;
        c = (limb)(v >> (8 * sizeof(limb)));
    }
    for (int i = 0; c && i < LIMBS; i++) {
        r[i] += c;
        c = r[i] == 0;
    }
}

u64 k_bignum(u32 n)
{
    limb a[LIMBS], b[LIMBS];
    u64 h = 3;
    for (int i = 0; i < LIMBS; i++) {
        a[i] = (limb)((u64)rng() << 31 ^ rng());
        b[i] = (limb)((u64)rng() << 31 ^ rng());
    }
    for (u32 r = 0; r < n; r++) {
        mulmod_mersenne(a, a, b);
        mulmod_mersenne(b, b, a);
    }
    for (int i = 0; i < LIMBS; i++)
        h = mix(h, a[i] ^ b[i]);
    return h;
}

u64 k_div(u32 n)
{
    u64 h = 4;
    ul acc = 0;
    for (u32 r = 0; r < n; r++) {
        ul a = ((ul)rng() << (sizeof(ul) == 8 ? 29 : 0)) + rng(), b = rng() | 1;
        long q = (long)(a >> 1) / (long)(b >> 3 | 1);
        acc += (ul)q;
        while (b) {
            ul t = a % b;
            a = b;
            b = t;
        }
        u32 x = rng();
        int s = (int)x % 1009;
        acc += a + (ul)(long)s + (x / 77u);
    }
    return mix(h, acc & 0xffffffffu);
}

u64 k_bits(u32 n)
{
    u64 h = 5, x = 0x0123456789abcdefull;
    for (u32 r = 0; r < n; r++) {
        x = mix(x, r);
        u32 lo = (u32)x | 1, hi = (u32)(x >> 32) | 1;
        h += (u32)__builtin_ctz(lo) + ((u32)__builtin_clz(hi) << 8);
        u64 v = x;
        v = v - ((v >> 1) & 0x5555555555555555ull);
        v = (v & 0x3333333333333333ull) + ((v >> 2) & 0x3333333333333333ull);
        v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0full;
        h += (u32)((u32)v + (u32)(v >> 32)) * 0x01010101u >> 24;
        h ^= (u64)__builtin_bswap32(lo) << 16;
        h += (x << (r & 31)) | (x >> 1 >> (63 - (r & 31)));
        lo = (lo << (r & 31)) | (lo >> ((32 - r) & 31));
        h -= lo;
    }
    return h;
}

/* Flag producers and consumers a compiler rarely emits in one place. */
u64 k_flags(u32 n)
{
    u32 a = 0x12345678, b = 0x9abcdef1, c = 0, d = 0;
    for (u32 r = 0; r < n; r++) {
        __asm__ volatile(
            "add %1,%0\n\tadc $0x1357,%2\n\tsbb %0,%3\n\t"
            "mov %0,%%ecx\n\tand $15,%%ecx\n\tshl %%cl,%1\n\tadc $0,%2\n\t"
            "rcl $3,%3\n\tinc %0\n\tadc %3,%1\n\tdec %2\n\trcr $1,%0\n\t"
            "cmp %1,%3\n\tcmova %0,%2\n\tsetg %%cl\n\tmovzbl %%cl,%%ecx\n\t"
            "lea (%0,%%ecx,2),%0\n\tneg %1\n\tsbb %%ecx,%%ecx\n\txor %%ecx,%3\n\t"
            "bt $7,%0\n\tadc %1,%3\n\tmov %0,%%ecx\n\tmov %%ch,%%cl\n\t"
            "add $0x11,%%cl\n\tsetc %%ch\n\tadd %%ecx,%2\n\t"
            "sar $1,%%ecx\n\tsbb $5,%1\n\tlahf\n\tmovzbl %%ah,%%ecx\n\txor %%ecx,%2\n\t"
            "test %0,%0\n\tjns 1f\n\tnot %1\n1:\tjp 2f\n\tadd $7,%2\n2:"
            : "+r"(a), "+r"(b), "+r"(c), "+r"(d) : : "eax", "ecx", "cc");
    }
    return mix(mix(6, (u64)a << 32 | b), (u64)c << 32 | d);
}
