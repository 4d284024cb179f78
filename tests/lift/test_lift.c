/*
 * test_lift.c - bytes to IR to result, for representative integer instructions,
 * and the shape of blocks.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lift/lift_env.h"
#include "tests/run_suite.h"

#define RUN(e, ...)                                                     \
    ({ static const uint8_t code_[] = { __VA_ARGS__ };                  \
       env_exec(e, code_, sizeof(code_), 1); })

static uint32_t fl(const struct lift_env *e)
{
    return (uint32_t)e->c->flags & FL_ARITH;
}

START_TEST(arith)
{
    struct lift_env *e = env_new(M_CODE64);
    uint64_t *r = e->c->r;

    r[R_AX] = 0xffffffff00000001;
    r[R_BX] = 0xffffffff;
    ck_assert(!RUN(e, 0x01, 0xd8));                     /* add eax, ebx */
    ck_assert_uint_eq(r[R_AX], 0);
    ck_assert_uint_eq(fl(e), FL_CF | FL_ZF | FL_PF | FL_AF);
    ck_assert(!RUN(e, 0x48, 0x83, 0xd0, 0x05));         /* adc rax, 5 */
    ck_assert_uint_eq(r[R_AX], 6);
    ck_assert_uint_eq(fl(e), FL_PF);
    r[R_AX] = 0x1234;
    ck_assert(!RUN(e, 0x28, 0xc4));                     /* sub ah, al */
    ck_assert_uint_eq(r[R_AX], 0xde34);
    ck_assert_uint_eq(fl(e), FL_CF | FL_SF | FL_PF | FL_AF);
    ck_assert(!RUN(e, 0xfe, 0xc0));                     /* inc al keeps CF */
    ck_assert_uint_eq(r[R_AX], 0xde35);
    ck_assert_uint_eq(fl(e), FL_CF | FL_PF);
    r[R_AX] = 5;
    ck_assert(!RUN(e, 0xf7, 0xd8));                     /* neg eax */
    ck_assert_uint_eq(r[R_AX], 0xfffffffb);
    ck_assert_uint_eq(fl(e), FL_CF | FL_SF | FL_AF);
    ck_assert(!RUN(e, 0x39, 0xc0));                     /* cmp eax, eax */
    ck_assert_uint_eq(fl(e), FL_ZF | FL_PF);
    ck_assert(!RUN(e, 0x0f, 0x94, 0xc1));               /* sete cl */
    ck_assert_uint_eq(r[R_CX] & 0xff, 1);
    env_free(e);
}
END_TEST

START_TEST(memory)
{
    struct lift_env *e = env_new(M_CODE64);
    uint64_t *r = e->c->r, v = 0x1122334455667788;

    memcpy(e->ram + ENV_DATA + 8, &v, 8);
    r[R_BX] = ENV_DATA;
    r[R_CX] = 2;
    ck_assert(!RUN(e, 0x48, 0x8b, 0x44, 0x8b, 0x00));   /* mov rax, [rbx + rcx * 4] */
    ck_assert_uint_eq(r[R_AX], v);
    ck_assert(!RUN(e, 0x66, 0xff, 0x43, 0x08));         /* inc word [rbx + 8] */
    ck_assert_uint_eq(e->ram[ENV_DATA + 8], 0x89);
    ck_assert(!RUN(e, 0x0f, 0xbe, 0x43, 0x08));         /* movsx eax, byte [rbx + 8] */
    ck_assert_uint_eq(r[R_AX], 0xffffff89);
    ck_assert(!RUN(e, 0x8b, 0x05, 0xfa, 0xff, 0x00, 0x00));     /* mov eax, [rip + 0xfffa]: 0x20000 */
    ck_assert_uint_eq(r[R_AX], 0);
    ck_assert(!RUN(e, 0x8b, 0x05, 0x02, 0x00, 0x01, 0x00));
    ck_assert_uint_eq(r[R_AX], 0x55667789);
    r[R_DX] = -9;                                       /* bit 64 - 9 of [rbx + 16 - 8] */
    ck_assert(!RUN(e, 0x48, 0x0f, 0xab, 0x53, 0x10));   /* bts [rbx + 16], rdx */
    ck_assert_uint_eq(e->ram[ENV_DATA + 14], 0x22 | 0x80);
    ck_assert_uint_eq(fl(e) & FL_CF, 0);
    env_free(e);
}
END_TEST

START_TEST(muldiv)
{
    struct lift_env *e = env_new(M_CODE64);
    uint64_t *r = e->c->r;

    r[R_AX] = 0x10000000000;
    r[R_CX] = 0x1000000001;
    ck_assert(!RUN(e, 0x48, 0xf7, 0xe1));               /* mul rcx */
    ck_assert_uint_eq(r[R_AX], 0x10000000000);
    ck_assert_uint_eq(r[R_DX], 0x1000);
    ck_assert_uint_eq(fl(e) & (FL_CF | FL_OF), FL_CF | FL_OF);
    ck_assert(!RUN(e, 0x48, 0xf7, 0xf1));               /* div rcx */
    ck_assert_uint_eq(r[R_AX], 0x10000000000);
    ck_assert_uint_eq(r[R_DX], 0);
    r[R_AX] = 0x0407;
    r[R_CX] = 5;
    ck_assert(!RUN(e, 0xf6, 0xf1));                     /* div cl: 1031 / 5 */
    ck_assert_uint_eq(r[R_AX], 206 | 1 << 8);
    r[R_AX] = 0xff9c;                                   /* -100 */
    ck_assert(!RUN(e, 0xf6, 0xf9));                     /* idiv cl */
    ck_assert_uint_eq(r[R_AX], 0xec);
    r[R_AX] = 0x0500;
    ck_assert(RUN(e, 0xf6, 0xf1));                      /* quotient 256: #DE */
    ck_assert_uint_eq(e->c->fault.vector, EXC_DE);
    ck_assert_uint_eq(e->c->rip, ENV_CODE);
    ck_assert_uint_eq(r[R_AX], 0x0500);
    env_free(e);
}
END_TEST

START_TEST(shifts)
{
    struct lift_env *e = env_new(M_CODE64);
    uint64_t *r = e->c->r;

    r[R_AX] = 0xffffffff80000001;
    r[R_CX] = 32;
    e->c->flags = FL_CF | FL_OF;
    ck_assert(!RUN(e, 0xd3, 0xe0));                     /* shl eax, cl: count 0 */
    ck_assert_uint_eq(r[R_AX], 0x80000001);
    ck_assert_uint_eq(fl(e), FL_CF | FL_OF);
    ck_assert(!RUN(e, 0xc1, 0xf8, 0x04));               /* sar eax, 4 */
    ck_assert_uint_eq(r[R_AX], 0xf8000000);
    ck_assert(!RUN(e, 0xd1, 0xd0));                     /* rcl eax, 1 */
    ck_assert_uint_eq(r[R_AX], 0xf0000000);
    ck_assert_uint_eq(fl(e) & FL_CF, FL_CF);
    r[R_DX] = 0x12345678;
    ck_assert(!RUN(e, 0x0f, 0xa4, 0xd0, 0x08));         /* shld eax, edx, 8 */
    ck_assert_uint_eq(r[R_AX], 0x12);
    r[R_BX] = 0x123456789abcdef0;
    ck_assert(!RUN(e, 0x48, 0x0f, 0xcb));               /* bswap rbx */
    ck_assert_uint_eq(r[R_BX], 0xf0debc9a78563412);
    r[R_BX] = 0;
    r[R_AX] = 0x1234567890abcdef;
    ck_assert(!RUN(e, 0x0f, 0xbc, 0xc3));               /* bsf eax, ebx */
    ck_assert_uint_eq(r[R_AX], 0x1234567890abcdef);
    ck_assert_uint_eq(fl(e) & FL_ZF, FL_ZF);
    r[R_BX] = 0x10;
    ck_assert(!RUN(e, 0x0f, 0xbd, 0xc3));               /* bsr eax, ebx */
    ck_assert_uint_eq(r[R_AX], 4);
    env_free(e);
}
END_TEST

START_TEST(exchange)
{
    struct lift_env *e = env_new(M_CODE64);
    uint64_t *r = e->c->r, v[2] = { 7, 8 };

    r[R_BX] = ENV_DATA;
    e->ram[ENV_DATA] = 5;
    r[R_AX] = 0xaaaaaaaa00000005;
    r[R_CX] = 9;
    ck_assert(!RUN(e, 0xf0, 0x0f, 0xb1, 0x0b));         /* lock cmpxchg [rbx], ecx */
    ck_assert_uint_eq(e->ram[ENV_DATA], 9);
    ck_assert_uint_eq(r[R_AX], 0xaaaaaaaa00000005);
    ck_assert(fl(e) & FL_ZF);
    ck_assert(!RUN(e, 0xf0, 0x0f, 0xb1, 0x0b));
    ck_assert_uint_eq(r[R_AX], 9);
    ck_assert(!(fl(e) & FL_ZF));
    ck_assert(!RUN(e, 0xf0, 0x0f, 0xc1, 0x0b));         /* lock xadd [rbx], ecx */
    ck_assert_uint_eq(e->ram[ENV_DATA], 18);
    ck_assert_uint_eq(r[R_CX], 9);
    ck_assert(!RUN(e, 0x87, 0xc8));                     /* xchg eax, ecx */
    memcpy(e->ram + ENV_DATA, v, 16);
    r[R_AX] = 7;
    r[R_DX] = 8;
    r[R_BX] = 0x55;
    r[R_CX] = 0x66;
    r[R_SI] = ENV_DATA;
    ck_assert(!RUN(e, 0xf0, 0x48, 0x0f, 0xc7, 0x0e));   /* lock cmpxchg16b [rsi] */
    ck_assert(fl(e) & FL_ZF);
    ck_assert_uint_eq(e->ram[ENV_DATA + 8], 0x66);
    r[R_SI]++;
    ck_assert(RUN(e, 0xf0, 0x48, 0x0f, 0xc7, 0x0e));
    ck_assert_uint_eq(e->c->fault.vector, EXC_GP);
    r[R_SI]--;
    ck_assert(!RUN(e, 0x0f, 0xc7, 0x0e));               /* cmpxchg8b [rsi]: 55 against 8:7 */
    ck_assert(!(fl(e) & FL_ZF));
    ck_assert_uint_eq(r[R_AX], 0x55);
    ck_assert_uint_eq(r[R_DX], 0);
    env_free(e);
}
END_TEST

START_TEST(stack)
{
    struct lift_env *e = env_new(M_CODE64);
    uint64_t *r = e->c->r, v;

    r[R_AX] = 0x1111;
    ck_assert(!RUN(e, 0x50, 0x68, 0xff, 0xff, 0xff, 0xff));     /* push rax; push -1 */
    ck_assert_uint_eq(r[R_SP], ENV_STACK - 16);
    ck_assert(!RUN(e, 0x8f, 0x44, 0x24, 0xf0));         /* pop [rsp - 16]: rSP after the pop */
    memcpy(&v, e->ram + ENV_STACK - 24, 8);
    ck_assert_uint_eq(v, UINT64_MAX);
    ck_assert(!RUN(e, 0x5c));                           /* pop rsp */
    ck_assert_uint_eq(r[R_SP], 0x1111);
    r[R_SP] = ENV_STACK;
    r[R_BP] = 0x77;
    ck_assert(!RUN(e, 0xc8, 0x20, 0x00, 0x00));         /* enter 32, 0 */
    ck_assert_uint_eq(r[R_BP], ENV_STACK - 8);
    ck_assert_uint_eq(r[R_SP], ENV_STACK - 40);
    ck_assert(!RUN(e, 0xc9));                           /* leave */
    ck_assert_uint_eq(r[R_BP], 0x77);
    ck_assert_uint_eq(r[R_SP], ENV_STACK);
    r[R_BP] = ENV_DATA;
    ck_assert(!RUN(e, 0xc8, 0x10, 0x00, 0x02));         /* enter 16, 2 */
    ck_assert_uint_eq(r[R_BP], ENV_STACK - 8);
    ck_assert_uint_eq(r[R_SP], ENV_STACK - 8 - 16 - 16);
    env_free(e);

    e = env_new(M_CODE32);
    r = e->c->r;
    for (unsigned k = 0; k < 8; k++)
        if (k != R_SP)
            r[k] = k * 0x11;
    ck_assert(!RUN(e, 0x60));                           /* pusha */
    memset(r, 0, 4 * 8);
    r[R_BP] = r[R_SI] = r[R_DI] = 0;
    ck_assert(!RUN(e, 0x61));
    for (unsigned k = 0; k < 8; k++)
        ck_assert_uint_eq(r[k], k == R_SP ? ENV_STACK : k * 0x11);
    env_free(e);
}
END_TEST

START_TEST(flow)
{
    struct lift_env *e = env_new(M_CODE64);
    /* mov ecx, 10; xor eax, eax; 1: add eax, ecx; dec ecx; jnz 1b; call 2f; jmp 3f; nop;
     * 2: inc eax; ret; 3: */
    static const uint8_t code[] = {
        0xb9, 10, 0, 0, 0, 0x31, 0xc0, 0x01, 0xc8, 0xff, 0xc9, 0x75, 0xfa, 0xe8, 0x03, 0, 0, 0,
        0xeb, 0x04, 0x90, 0xff, 0xc0, 0xc3, 0xf4,
    };

    env_code(e, code, sizeof(code));
    e->opt.max_branches = 0;
    ck_assert(!env_run(e, ENV_CODE + 24));
    ck_assert_uint_eq(e->c->r[R_AX], 56);
    ck_assert_uint_eq(e->c->r[R_SP], ENV_STACK);
    env_free(e);
}
END_TEST

/* Superblocks: direct jumps are followed, side exits taken out, flags' liveness noted. */
START_TEST(superblock)
{
    struct lift_env *e = env_new(M_CODE64);
    /* jmp 1f; hlt; 1: cmp eax, ebx; jz 2f; add eax, 1; ret; 2: xor eax, eax; ret */
    static const uint8_t code[] = { 0xeb, 0x01, 0xf4, 0x39, 0xd8, 0x74, 0x04, 0x83, 0xc0, 0x01, 0xc3,
                                    0x31, 0xc0, 0xc3 };

    env_code(e, code, sizeof(code));
    ck_assert(env_lift(e));
    ck_assert_uint_eq(e->b.insns, 5);
    ck_assert_uint_eq(e->b.nrange, 2);
    ck_assert_uint_eq(e->b.range[1].len, 10);           /* with the XOR that was looked at */
    ck_assert_uint_eq(env_count(e, IR_EXIT_IF), 1);
    ck_assert_uint_eq(env_count(e, IR_EXIT_IND), 1);
    for (unsigned k = 0; k < e->b.n; k++) {
        if (e->b.ins[k].op == IR_EXIT_IF) {
            ck_assert_int_eq(e->b.ins[k].imm, 11);
            ck_assert_uint_eq(e->b.ins[k].aux, 0);      /* XOR there writes all flags */
        }
    }
    env_free(e);
}
END_TEST

START_TEST(page_end)
{
    struct lift_env *e = env_new(M_CODE64);
    uint8_t *p = e->ram + ENV_CODE + 0xffe;

    memcpy(p, "\x90\x48\xb8\x01\x02\x03\x04\x05\x06\x07\x08", 11);     /* nop; mov rax, imm64 */
    e->c->rip = ENV_CODE + 0xffe;               /* ends before the instruction that crosses */
    ck_assert(env_lift(e));
    ck_assert_uint_eq(e->b.insns, 1);
    ck_assert(!e->b.crosses);
    ck_assert_uint_eq(e->b.ins[e->b.n - 1].op, IR_EXIT);
    ck_assert(e->b.ins[e->b.n - 1].aux & EXIT_CROSS);
    e->c->rip = ENV_CODE + 0xfff;
    ck_assert(env_lift(e));
    ck_assert_uint_eq(e->b.insns, 1);
    ck_assert(e->b.crosses);
    ck_assert_uint_eq(e->b.nrange, 2);          /* one a page */
    ck_assert_uint_eq(e->b.guest_len, 10);
    ck_assert(!env_run(e, ENV_CODE + 0xfff + 10));
    ck_assert_uint_eq(e->c->r[R_AX], 0x0807060504030201);
    ck_assert_uint_eq(e->b.ins[e->b.n - 1].op, IR_EXIT);
    ck_assert(e->b.ins[e->b.n - 1].aux & EXIT_CROSS);
    env_free(e);
}
END_TEST

START_TEST(real_mode)
{
    struct lift_env *e = env_new(M_CODE16);
    uint64_t *r = e->c->r;

    r[R_BX] = 0xfffe;
    r[R_SI] = 4;
    e->ram[ENV_DATA + 2] = 0x5a;
    ck_assert(!RUN(e, 0x8a, 0x00));                     /* mov al, [bx + si]: wraps */
    ck_assert_uint_eq(r[R_AX], 0x5a);
    r[R_SI] = 1;
    ck_assert(RUN(e, 0x8b, 0x00));                      /* word at ffff: #GP */
    ck_assert_uint_eq(e->c->fault.vector, EXC_GP);
    ck_assert(!RUN(e, 0x66, 0xb8, 1, 2, 3, 4, 0x50));   /* mov eax, 04030201h; push ax */
    ck_assert_uint_eq(r[R_AX], 0x04030201);
    ck_assert_uint_eq(r[R_SP], 0x7ffe);
    ck_assert_uint_eq(e->ram[ENV_DATA + 0x7ffe], 1);
    ck_assert(!RUN(e, 0x31, 0xc9, 0xe3, 0x00));         /* xor cx, cx; jcxz +0 */
    r[R_AX] = 0x79;
    r[R_BX] = 0x35;
    ck_assert(!RUN(e, 0x00, 0xd8, 0x27));               /* add al, bl; daa: 79 + 35 = 114 */
    ck_assert_uint_eq(r[R_AX] & 0xff, 0x14);
    ck_assert(fl(e) & FL_CF);
    r[R_AX] = 63;
    ck_assert(!RUN(e, 0xd4, 0x0a));                     /* aam */
    ck_assert_uint_eq(r[R_AX], 0x0603);
    ck_assert(!RUN(e, 0xd5, 0x0a));                     /* aad */
    ck_assert_uint_eq(r[R_AX], 63);
    ck_assert(RUN(e, 0xd4, 0x00));
    ck_assert_uint_eq(e->c->fault.vector, EXC_DE);
    env_free(e);
}
END_TEST

START_TEST(undefined)
{
    struct lift_env *e = env_new(M_CODE64);

    ck_assert(RUN(e, 0x0f, 0x0b));
    ck_assert_uint_eq(e->c->fault.vector, EXC_UD);
    ck_assert(RUN(e, 0x27));                            /* DAA */
    ck_assert_uint_eq(e->c->fault.vector, EXC_UD);
    ck_assert(RUN(e, 0xf0, 0x01, 0xc0));                /* LOCK with a register */
    ck_assert_uint_eq(e->c->fault.vector, EXC_UD);
    ck_assert(RUN(e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e,
                  0x90));
    ck_assert_uint_eq(e->c->fault.vector, EXC_GP);
    env_free(e);
}
END_TEST

/* --- strings: against a byte-by-byte model --- */

static void model_movs(uint8_t *ram, uint64_t si, uint64_t di, uint64_t n, unsigned size, bool down)
{
    for (; n; n--) {
        uint8_t v[8];

        memcpy(v, ram + si, size);
        memcpy(ram + di, v, size);
        si += down ? -(uint64_t)size : size;
        di += down ? -(uint64_t)size : size;
    }
}

START_TEST(rep_movs)
{
    struct lift_env *e = env_new(M_CODE64);
    static const unsigned sizes[] = { 1, 2, 4, 8 };
    uint8_t *want = malloc(ENV_RAM);

    srand(1);
    for (unsigned t = 0; t < 400; t++) {
        unsigned size = sizes[t & 3], len = (unsigned)rand() % 3000;
        bool down = t & 4;
        uint64_t si = 0x40000 + (unsigned)rand() % 9000, di;
        uint8_t code[] = { 0xf3, 0x48, 0xa5 };

        di = t & 8 ? si + (unsigned)rand() % 64 - 32 : 0x50000 + (unsigned)rand() % 9000;
        if (down) {
            si += 0x6000;
            di += 0x6000;
        }
        for (unsigned k = 0x40000; k < 0x5a000; k++)
            e->ram[k] = (uint8_t)rand();
        memcpy(want, e->ram, ENV_RAM);
        model_movs(want, si, di, len, size, down);
        if (size == 1)
            code[2] = 0xa4;
        if (size == 2)
            code[1] = 0x66, code[0] = 0xf3;
        if (size == 4)
            code[1] = 0x40;
        e->c->r[R_SI] = si;
        e->c->r[R_DI] = di;
        e->c->r[R_CX] = len;
        e->c->eflags = down ? FL_DF : 0;
        ck_assert(!env_exec(e, code, 3, 1));
        memcpy(want + ENV_CODE, e->ram + ENV_CODE, 32);
        ck_assert_uint_eq(e->c->r[R_CX], 0);
        ck_assert_uint_eq(e->c->r[R_SI], si + (down ? -(uint64_t)len * size : (uint64_t)len * size));
        ck_assert_uint_eq(e->c->r[R_DI], di + (down ? -(uint64_t)len * size : (uint64_t)len * size));
        ck_assert(!memcmp(want, e->ram, ENV_RAM));
    }
    free(want);
    env_free(e);
}
END_TEST

START_TEST(rep_others)
{
    struct lift_env *e = env_new(M_CODE64);
    uint64_t *r = e->c->r;

    r[R_AX] = 0x1122334455667788;
    r[R_DI] = ENV_DATA + 0xffd;
    r[R_CX] = 1000;
    ck_assert(!RUN(e, 0xf3, 0xab));                     /* rep stosd */
    for (unsigned k = 0; k < 1000; k++)
        ck_assert(!memcmp(e->ram + ENV_DATA + 0xffd + 4 * k, "\x88\x77\x66\x55", 4));
    ck_assert_uint_eq(r[R_DI], ENV_DATA + 0xffd + 4000);

    memset(e->ram + 0x40000, 'a', 0x3000);
    memset(e->ram + 0x50000, 'a', 0x3000);
    e->ram[0x51234] = 'b';
    r[R_SI] = 0x40000;
    r[R_DI] = 0x50000;
    r[R_CX] = 0x3000;
    ck_assert(!RUN(e, 0xf3, 0xa6));                     /* repe cmpsb */
    ck_assert_uint_eq(r[R_DI], 0x51235);
    ck_assert_uint_eq(r[R_CX], 0x3000 - 0x1235);
    ck_assert_uint_eq(fl(e), FL_CF | FL_SF | FL_AF | FL_PF);

    e->c->r[R_AX] = 'b';
    r[R_DI] = 0x50000;
    r[R_CX] = UINT64_MAX;
    ck_assert(!RUN(e, 0xf2, 0xae));                     /* repne scasb */
    ck_assert_uint_eq(r[R_DI], 0x51235);
    ck_assert(fl(e) & FL_ZF);

    r[R_CX] = 0;
    e->c->flags = FL_OF;
    ck_assert(!RUN(e, 0xf2, 0xae));                     /* nothing happens, flags stay */
    ck_assert_uint_eq(fl(e), FL_OF);

    r[R_SI] = 0x51234;
    r[R_AX] = 0;
    e->c->eflags = FL_DF;
    ck_assert(!RUN(e, 0xac));                           /* lodsb */
    ck_assert_uint_eq(r[R_AX], 'b');
    ck_assert_uint_eq(r[R_SI], 0x51233);
    env_free(e);
}
END_TEST

/* A fault in the middle leaves the registers at the element that faulted. */
START_TEST(rep_fault)
{
    struct lift_env *e = env_new(M_CODE16);
    uint64_t *r = e->c->r;

    e->c->seg[SEG_ES].limit = 0x7fff;
    e->c->seg[SEG_ES].fast_r = e->c->seg[SEG_ES].fast_w = 0x8000;
    r[R_DI] = 0x7ff0;
    r[R_CX] = 0x40;
    ck_assert(RUN(e, 0xf3, 0xaa));
    ck_assert_uint_eq(e->c->fault.vector, EXC_GP);
    ck_assert_uint_eq(r[R_DI], 0x8000);
    ck_assert_uint_eq(r[R_CX], 0x30);
    ck_assert_uint_eq(e->c->rip, 0);
    /* 16-bit indexes wrap. */
    r[R_SI] = 0xfff0;
    r[R_DI] = 0;
    r[R_CX] = 0x20;
    memset(e->ram + ENV_DATA, 1, 16);
    memset(e->ram + ENV_DATA + 0xfff0, 2, 16);
    e->c->seg[SEG_ES].base = 0x60000;
    ck_assert(!RUN(e, 0xf3, 0xa4));
    ck_assert_uint_eq(r[R_SI], 0x10);
    ck_assert_uint_eq(e->ram[0x6000f], 2);
    ck_assert_uint_eq(e->ram[0x60010], 1);
    env_free(e);
}
END_TEST

/* Whatever the bytes and the mode, a block comes out that the verifier accepts, also after the passes. */
START_TEST(random_bytes)
{
    static const uint32_t codes[] = { M_CODE16, M_CODE32, M_CODE64 };
    static const uint32_t extra[] = { 0, 0, M_TF, M_BRK, M_ONE, M_NOSHARE, M_AC, M_NM_X87, M_UD_SSE, M_NM_SSE,
                                      M_UNM_SSE, M_UNM_X87, M_CPL, M_SS32 };

    srand(7);
    for (unsigned m = 0; m < 6; m++) {
        struct lift_env *e = env_new(codes[m % 3]);
        uint32_t mode = e->c->mode;

        e->optimize = true;
        for (unsigned t = 0; t < 4000; t++) {
            uint8_t *p = e->ram + ENV_CODE;
            unsigned at = (unsigned)rand() % 8 ? (unsigned)rand() % 256 : 0xff0;

            for (unsigned k = 0; k < 320; k++)
                p[at + k] = (uint8_t)(rand() >> 8);
            e->opt = (struct lift_options){ .max_insns = 48, .max_branches = 4, .smp = t & 1 };
            e->c->mode = mode ^ extra[(unsigned)rand() % (sizeof(extra) / sizeof(extra[0]))];
            if (m >= 3) {               /* the same with segments that are not flat */
                e->c->mode &= ~(codes[m % 3] == M_CODE64 ? 0 : M_FLAT_CS | M_FLAT_DS);
                if (t & 1 && codes[m % 3] == M_CODE16)
                    e->c->mode |= t & 2 ? M_PE : M_PE | M_VM | M_CPL;
            }
            e->c->rip = (codes[m % 3] == M_CODE16 ? 0 : ENV_CODE) + at;
            ck_assert(env_lift(e));
            ck_assert_uint_ge(e->b.insns, 1);
        }
        env_free(e);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lift");
    TCase *t = tcase_create("integer");

    tcase_set_timeout(t, 60);
    tcase_add_test(t, arith);
    tcase_add_test(t, memory);
    tcase_add_test(t, muldiv);
    tcase_add_test(t, shifts);
    tcase_add_test(t, exchange);
    tcase_add_test(t, stack);
    tcase_add_test(t, flow);
    tcase_add_test(t, superblock);
    tcase_add_test(t, page_end);
    tcase_add_test(t, real_mode);
    tcase_add_test(t, undefined);
    tcase_add_test(t, rep_movs);
    tcase_add_test(t, rep_others);
    tcase_add_test(t, rep_fault);
    tcase_add_test(t, random_bytes);
    suite_add_tcase(s, t);
    return run_suite(s);
}
