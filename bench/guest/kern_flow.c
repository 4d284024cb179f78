/* kern_flow.c - an interpreter, calls, indirect calls. */
#include "kern.h"

/* A register VM with computed-goto dispatch running a sieve + collatz mix. */
enum { O_LI, O_ADD, O_ADDI, O_LD, O_ST, O_JLT, O_JNZ, O_AND, O_SHR, O_MUL3, O_JMP, O_HALT };
struct ins { u8 op, a, b, c; int imm; };

static NOINLINE u32 vm(const struct ins *code, u32 *mem)
{
    static const void *const go[] = {
        &&li, &&add, &&addi, &&ld, &&st, &&jlt, &&jnz, &&and, &&shr, &&mul3, &&jmp, &&halt
    };
    u32 r[16] = { 0 };
    const struct ins *p = code;
#define NEXT do { p++; goto *go[p->op]; } while (0)
    goto *go[p->op];
li:   r[p->a] = (u32)p->imm; NEXT;
add:  r[p->a] = r[p->b] + r[p->c]; NEXT;
addi: r[p->a] = r[p->b] + (u32)p->imm; NEXT;
ld:   r[p->a] = mem[r[p->b] & 8191]; NEXT;
st:   mem[r[p->b] & 8191] = r[p->a]; NEXT;
jlt:  if (r[p->a] < r[p->b]) p += p->imm; NEXT;
jnz:  if (r[p->a]) p += p->imm; NEXT;
and:  r[p->a] = r[p->b] & (u32)p->imm; NEXT;
shr:  r[p->a] = r[p->b] >> p->imm; NEXT;
mul3: r[p->a] = r[p->b] * 3 + 1; NEXT;
jmp:  p += p->imm; NEXT;
halt: return r[1] + r[9];
#undef NEXT
}

u64 k_interp(u32 n)
{
    static u32 mem[8192];
    static const struct ins prog[] = {
        /* sieve: r2=i r3=j r4=8192 r5=1 r1=count */
        { O_LI, 4, 0, 0, 8192 }, { O_LI, 5, 0, 0, 1 }, { O_LI, 2, 0, 0, 2 },
        { O_LD, 6, 2, 0, 0 },               /* 3: composite? */
        { O_JNZ, 6, 0, 0, 6 },              /* -> 11 */
        { O_ADDI, 1, 1, 0, 1 },
        { O_ADD, 3, 2, 2, 0 },
        { O_JLT, 3, 4, 0, 1 },              /* 7: -> 9 */
        { O_JMP, 0, 0, 0, 2 },              /* -> 11 */
        { O_ST, 5, 3, 0, 0 }, { O_ADD, 3, 3, 2, 0 },    /* 9, 10 */
        { O_JLT, 3, 4, 0, -3 },             /* 11: -> 9 (falls on when done) */
        { O_ADDI, 2, 2, 0, 1 },
        { O_JLT, 2, 4, 0, -11 },            /* -> 3 */
        /* collatz: longest total for 1..400 in r9 */
        { O_LI, 7, 0, 0, 1 }, { O_LI, 10, 0, 0, 400 },
        { O_ADDI, 8, 7, 0, 0 },             /* 16 */
        { O_AND, 6, 8, 0, 1 },              /* 17 */
        { O_JNZ, 6, 0, 0, 2 },              /* -> 21 */
        { O_SHR, 8, 8, 0, 1 }, { O_JMP, 0, 0, 0, 1 },
        { O_MUL3, 8, 8, 0, 0 },             /* 21 */
        { O_ADDI, 9, 9, 0, 1 }, { O_ADDI, 11, 8, 0, -1 },
        { O_JNZ, 11, 0, 0, -8 },            /* -> 17 */
        { O_ADDI, 7, 7, 0, 1 },
        { O_JLT, 7, 10, 0, -11 },           /* -> 16 */
        { O_HALT, 0, 0, 0, 0 },
    };
    u64 h = 12;
    for (u32 r = 0; r < n; r++) {
        memset(mem, 0, sizeof mem);
        h = mix(h, vm(prog, mem));
    }
    return h;
}

static NOINLINE u32 fib(u32 n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static NOINLINE int tak(int x, int y, int z)
{
    return y >= x ? z : tak(tak(x - 1, y, z), tak(y - 1, z, x), tak(z - 1, x, y));
}

u64 k_call(u32 n)
{
    u64 h = 13;
    for (u32 r = 0; r < n; r++) {
        h = mix(h, fib(24 + (r & 1)));
        h = mix(h, (u32)tak(12, 8, 4 + (int)(r & 1)));
    }
    return h;
}

#define F(i) static NOINLINE u32 f##i(u32 x) { return (x ^ (i * 0x1235u)) * (2 * i + 3) + i; }
#define F8(a, b, c, d, e, f, g, h) F(a) F(b) F(c) F(d) F(e) F(f) F(g) F(h)
F8(0, 1, 2, 3, 4, 5, 6, 7) F8(8, 9, 10, 11, 12, 13, 14, 15)
F8(16, 17, 18, 19, 20, 21, 22, 23) F8(24, 25, 26, 27, 28, 29, 30, 31)
static u32 (*const ftab[32])(u32) = {
    f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15,
    f16, f17, f18, f19, f20, f21, f22, f23, f24, f25, f26, f27, f28, f29, f30, f31
};

u64 k_icall(u32 n)
{
    u32 x = 1;
    for (u32 r = 0; r < n; r++)
        x = ftab[(x >> 11) & 31](x) + r;
    return mix(14, x);
}
