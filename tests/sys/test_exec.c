/*
 * test_exec.c - the run loop with translated code: what it does not see again once
 * blocks are linked, and what translated code remembers of the mapping.
 */
#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "frontend/decode.h"
#include "tests/run_suite.h"
#include "tests/sys/sys_env.h"
#include "tests/host_env.h"
#include "translator/backend_hooks.h"

#define CODE 0x30000u           /* two pages of user code */
#define PML4_B 0x90000u         /* a second address space, with the same mapping */

/* Every test: blocks are translated at once, when they have run twice, or stay put together from stencils. */
static const unsigned hots[] = { 0, 2, 1u << 30 };
#define NHOTS 3

static void halt(struct cpu *c)
{
    __atomic_fetch_or(&c->attn, ATTN_EXIT, __ATOMIC_SEQ_CST);
}

/* hot, interp: of exec_options; smp: other vCPUs look, also if the environment does not say so. */
static struct sys_env *start_as(unsigned hot, bool smp, bool interp)
{
    struct sys_env *e = sys_new(LONG);
    struct exec_options o = { .cache_size = 8u << 20, .verify = true, .m = &e->m, .halt = halt, .hot = hot,
                              .interp = interp };

    decode_init();
    e->m.cpu = &e->c;
    e->m.ncpu = 1;
    host_env(&o);
    o.smp = o.smp || smp;
    exec_init(e->c, &o);
    sys_poke(e, S_HANDLER + 16 * EXC_GP, 1, 0xf4);      /* #GP: HLT ends a run */
    return e;
}

static struct sys_env *start(unsigned hot)
{
    return start_as(hot, false, false);
}

static void end(struct sys_env *e)
{
    exec_free(e->c);
    sys_free(e);
}

/* From `rip` at CPL 3 until a #GP; `count` in rCX. */
static void run_at(struct sys_env *e, uint64_t rip, uint64_t count)
{
    struct cpu *c = e->c;

    sys_ring3(e);
    c->rip = rip;
    c->r[R_CX] = count;
    c->attn = 0;
    c->halted = 0;
    exec_run(c);
    ck_assert_uint_eq(c->cpl, 0);
    ck_assert_uint_eq((uint32_t)c->r[R_CX], 0);
}

static void run(struct sys_env *e, uint64_t count)
{
    run_at(e, CODE, count);
}

/*
 * Two address spaces share two pages of code that jump to each other, and run in
 * turn until the links between the pages have been made anew too often.  After
 * that the jump cache must carry them: a loop of thousands of jumps must not come
 * to the run loop thousands of times.
 */
START_TEST(test_shared_links)
{
    static const uint8_t first[] = { 0xff, 0xc9, 0x74, 0x05, 0xe9, 0xf7, 0x0f, 0, 0, 0xf4 };
    static const uint8_t second[] = { 0xe9, 0xfb, 0xef, 0xff, 0xff };
    struct sys_env *e = start(hots[_i]);
    struct cpu *c = e->c;
    const struct exec_stats *s = exec_stats(c);

    memcpy(e->ram + CODE, first, sizeof(first));        /* dec ecx; jz 1f; jmp second; 1: hlt */
    memcpy(e->ram + CODE + PAGE_SIZE, second, sizeof(second));          /* jmp first */
    sys_poke(e, PML4_B, 8, sys_peek(e, S_PML4, 8));
    c->cr4 |= CR4_PCIDE;
    for (unsigned k = 0; k < 1000; k++) {
        mmu_set_cr3(c, k & 1 ? PML4_B | 1 : S_PML4, true);
        run(e, 10);
    }
    uint64_t links = s->links, left = s->left[WHY_LINK];
    for (unsigned k = 0; k < 2; k++) {
        mmu_set_cr3(c, k & 1 ? PML4_B | 1 : S_PML4, true);
        run(e, 5000);
    }
    ck_assert_uint_eq(s->links, links);                 /* no more links are made ... */
    ck_assert_uint_lt(s->left[WHY_LINK] - left, 20);    /* ... nor needed */
    end(e);
}
END_TEST

/* The stack moves between pages, and lies across two, in turn: every push must be where it belongs. */
START_TEST(test_stack_pages)
{
    static const uint8_t code[] = {
        0xbc, 0x00, 0x10, 0x06, 0x00, 0x51,             /* mov esp, 0x61000; push rcx */
        0xbc, 0x00, 0x20, 0x06, 0x00, 0x51,             /* mov esp, 0x62000; push rcx */
        0xbc, 0x04, 0x10, 0x06, 0x00, 0x51,             /* mov esp, 0x61004; push rcx: two pages */
        0xbc, 0xfc, 0x0f, 0x06, 0x00, 0x58,             /* mov esp, 0x60ffc; pop rax */
        0x48, 0x01, 0xc3, 0xff, 0xc9, 0x75, 0xdf,       /* add rbx, rax; dec ecx; jnz */
        0xf4,
    };
    struct sys_env *e = start(hots[_i]);

    memcpy(e->ram + CODE, code, sizeof(code));
    e->c->r[R_BX] = 0;
    run(e, 1000);
    ck_assert_uint_eq(e->c->r[R_BX], 1000 * 1001 / 2);
    ck_assert_uint_eq(sys_peek(e, 0x60ff8, 4), 1);
    ck_assert_uint_eq(sys_peek(e, 0x60ffc, 8), 1);
    ck_assert_uint_eq(sys_peek(e, 0x61ff8, 8), 1);
    end(e);
}
END_TEST

/* A stack page mapped elsewhere while it is remembered: after INVLPG pushes go to the new page. */
START_TEST(test_stack_remap)
{
    static const uint8_t code[] = {
        0xbc, 0x00, 0x10, 0x20, 0x40, 0x51, 0x51,       /* mov esp, 0x40201000; push rcx; push rcx */
        0x48, 0x89, 0x3e,                               /* mov [rsi], rdi: the page-table entry */
        0x0f, 0x01, 0x3c, 0x24,                         /* invlpg [rsp] */
        0x52, 0x52, 0xf4,                               /* push rdx; push rdx; hlt */
    };
    struct sys_env *e = start(hots[_i]);
    struct cpu *c = e->c;

    sys_poke(e, S_PML4 + 0x1008, 8, 0xa1000 | 7);       /* 1 GiB: a page directory of its own */
    sys_poke(e, 0xa1000 + 8, 8, 0xa2000 | 7);           /* 0x40200000: a page table */
    sys_poke(e, 0xa2000, 8, 0xb0000 | 7);
    memcpy(e->ram + CODE, code, sizeof(code));
    mmu_flush_all(c);
    for (unsigned k = 0; k < 4; k++) {
        uint64_t from = k & 1 ? 0xc0000 : 0xb0000, to = from ^ 0x70000;
        c->rip = CODE;
        c->attn = 0;
        c->halted = 0;
        c->r[R_CX] = 0x1111 + k;
        c->r[R_DX] = 0x2222 + k;
        c->r[R_SI] = 0xa2000;
        c->r[R_DI] = to | 7;
        exec_run(c);
        ck_assert_uint_eq(sys_peek(e, from + 0xff0, 8), 0x1111 + k);
        ck_assert_uint_eq(sys_peek(e, to + 0xfe8, 8), 0x2222 + k);
        ck_assert_uint_eq(sys_peek(e, to + 0xfe0, 8), 0x2222 + k);
    }
    end(e);
}
END_TEST

/* Code in a device's memory, which no store announces: it must be fetched anew each time it runs. */
static uint64_t code_read(void *bytes, uint64_t off, unsigned size)
{
    uint64_t v = 0;

    memcpy(&v, (uint8_t *)bytes + off, size);
    return v;
}

static void code_write(void *bytes, uint64_t off, uint64_t val, unsigned size)
{
}

START_TEST(test_device_code)
{
    static const struct io_ops ops = { code_read, code_write, 1 | 2 | 4 | 8, 0 };
    static const uint8_t jump[] = { 0xff, 0xe6 };       /* jmp rsi */
    static uint8_t device[PAGE_SIZE] = { 0xb3, 0, 0xf4 };       /* mov bl, n; hlt */
    struct sys_env *e = start(hots[_i]);

    phys_map_io(e->m.phys, 2 * S_RAM, PAGE_SIZE, &ops, device, "code");
    memcpy(e->ram + CODE, jump, sizeof(jump));
    for (unsigned k = 0; k < 20; k++) {
        device[1] = (uint8_t)k;
        e->c->r[R_SI] = 2 * S_RAM;
        run(e, 0);
        ck_assert_uint_eq(e->c->r[R_BX] & 0xff, k);
    }
    end(e);
}
END_TEST

/* C functions may use every vector register that the calling convention lets them. */
static uint64_t wild_read(void *dev, uint64_t off, unsigned size)
{
#if defined(__x86_64__)
    __asm__ volatile("pcmpeqd %%xmm13, %%xmm13; pcmpeqd %%xmm14, %%xmm14; pcmpeqd %%xmm15, %%xmm15"
                     : : : "xmm13", "xmm14", "xmm15");
#elif defined(__aarch64__)
    __asm__ volatile("movi v0.16b, 255; movi v1.16b, 255; movi v2.16b, 255; movi v3.16b, 255; movi v7.16b, 255"
                     : : : "v0", "v1", "v2", "v3", "v7");
#endif
    return 0x55;
}

/* A vector that is read from memory, kept over an access that C does, then used. */
START_TEST(test_vector_kept)
{
    static const struct io_ops ops = { wild_read, code_write, 1, 0 };
    static const uint8_t code[] = {
        0xf3, 0x44, 0x0f, 0x6f, 0x2f,           /* movdqu xmm13, [rdi] */
        0xf3, 0x44, 0x0f, 0x6f, 0x77, 0x10,     /* movdqu xmm14, [rdi+16] */
        0x8a, 0x06,                             /* mov al, [rsi]: a device */
        0x66, 0x41, 0x0f, 0xfc, 0xc5,           /* paddb xmm0, xmm13 */
        0x66, 0x41, 0x0f, 0xfc, 0xc6,           /* paddb xmm0, xmm14 */
        0xf4,
    };
    struct sys_env *e = start(hots[_i]);
    struct cpu *c = e->c;

    c->cr4 |= CR4_OSFXSR;
    phys_map_io(e->m.phys, 2 * S_RAM, PAGE_SIZE, &ops, NULL, "wild");
    memcpy(e->ram + CODE, code, sizeof(code));
    for (unsigned k = 0; k < 5; k++) {
        for (unsigned n = 0; n < 32; n++)
            sys_poke(e, 0xa0000 + n, 1, n);
        c->r[R_SI] = 2 * S_RAM;
        c->r[R_DI] = 0xa0000;
        c->x[0].q[0] = c->x[0].q[1] = 0;
        run(e, 0);
        ck_assert_uint_eq(c->r[R_AX] & 0xff, 0x55);
        for (unsigned n = 0; n < 16; n++)
            ck_assert_uint_eq(c->x[0].b[n], 2 * n + 16);
    }
    end(e);
}
END_TEST

/* The A20 gate moves between accesses that could share a probe: the one behind OUT must look again. */
static void a20_write(void *phys, uint64_t off, uint64_t val, unsigned size)
{
    phys_set_a20(phys, val & 2);
}

static uint64_t a20_read(void *phys, uint64_t off, unsigned size)
{
    return 0xff;                /* write-only */
}

START_TEST(test_probe_a20)
{
    static const struct io_ops ops = { a20_read, a20_write, 1, 0 };
    static const uint8_t code[] = {
        0x8b, 0x1e, 0x03, 0x5e, 0x04,                   /* mov ebx, [rsi]; add ebx, [rsi + 4] */
        0xb0, 0x00, 0xe6, 0x92,                         /* mov al, 0; out 0x92, al */
        0x8b, 0x16, 0x03, 0x56, 0x04, 0xf4,             /* mov edx, [rsi]; add edx, [rsi + 4]; hlt */
    };
    struct sys_env *e = start(hots[_i]);

    ports_map(e->m.ports, 0x92, 1, &ops, e->m.phys, "a20");
    memcpy(e->ram + CODE, code, sizeof(code));
    sys_poke(e, 0x1a0000, 8, 0x2000000010u);
    sys_poke(e, 0xa0000, 8, 0x200000001u);
    for (unsigned k = 0; k < 3; k++) {
        phys_set_a20(e->m.phys, true);
        e->c->r[R_SI] = 0x1a0000;
        run(e, 0);
        ck_assert_uint_eq(e->c->r[R_BX], 0x30);
        ck_assert_uint_eq(e->c->r[R_DX], 3);
    }
    phys_set_a20(e->m.phys, true);
    end(e);
}
END_TEST

/* A loop is copied first, and translated as a whole when it has run often. */
START_TEST(test_hot)
{
    /* add ebx, ecx; dec ecx; jnz; hlt */
    static const uint8_t code[] = { 0x01, 0xcb, 0xff, 0xc9, 0x75, 0xfa, 0xf4 };
    struct sys_env *e = start(100);
    const struct exec_stats *s = exec_stats(e->c);

    memcpy(e->ram + CODE, code, sizeof(code));
    e->c->r[R_BX] = 0;
    run(e, 50);
    ck_assert_uint_eq(e->c->r[R_BX], 50 * 51 / 2);
    if (!backend_has_stencils) {
        ck_assert_uint_eq(s->copied, 0);
        end(e);
        return;
    }
    ck_assert_uint_gt(s->copied, 0);
    ck_assert_uint_eq(s->copied, s->blocks);
    ck_assert_uint_eq(s->left[WHY_HOT], 0);
    e->c->r[R_BX] = 0;
    run(e, 5000);
    ck_assert_uint_eq(e->c->r[R_BX], 5000 * 5001 / 2);
    ck_assert_uint_eq(s->left[WHY_HOT], 1);
    ck_assert_uint_eq(s->blocks, s->copied + 1);
    end(e);
}
END_TEST

/*
 * Instructions of one form whose numbers decide more than a value: a shift by 0 leaves
 * the flags alone, AAM by 0 raises #DE and ends the block (there is none in 64-bit code:
 * the fuzzer has it).  The form is met first with the one
 * number, then with the other.
 */
START_TEST(test_by_value)
{
    static const uint8_t code[] = {
        0x39, 0xc0, 0xc1, 0xe2, 0x04, 0x0f, 0x94, 0xc3,         /* cmp eax, eax; shl edx, 4; setz bl */
        0x39, 0xc0, 0xc1, 0xe2, 0x00, 0x0f, 0x94, 0xc7,         /* cmp eax, eax; shl edx, 0; setz bh */
        0x39, 0xc0, 0xc1, 0xe2, 0x20, 0x41, 0x0f, 0x94, 0xc0,   /* ... by 32; setz r8b */
        0x39, 0xc0, 0x0f, 0xba, 0xe2, 0x03, 0x41, 0x0f, 0x92, 0xc1,     /* bt edx, 3; setc r9b */
        0x39, 0xc0, 0x0f, 0xba, 0xe2, 0x04, 0x41, 0x0f, 0x92, 0xc2,     /* bt edx, 4; setc r10b */
        0xb9, 0x20, 0, 0, 0, 0x39, 0xc0, 0xd3, 0xe2, 0x41, 0x0f, 0x94, 0xc3,    /* mov ecx, 32; ... shl edx, cl; setz r11b */
        0x31, 0xc9, 0xf4,                                       /* xor ecx, ecx */
    };
    struct sys_env *e = start(hots[_i]);

    memcpy(e->ram + CODE, code, sizeof(code));
    e->c->r[R_BX] = e->c->r[R_8] = e->c->r[R_9] = e->c->r[R_10] = e->c->r[R_11] = 0;
    e->c->r[R_DX] = 1;
    run(e, 0);
    ck_assert_uint_eq(e->c->r[R_DX], 0x10);
    ck_assert_uint_eq(e->c->r[R_BX], 0x100);
    ck_assert_uint_eq(e->c->r[R_8], 1);
    ck_assert_uint_eq(e->c->r[R_9], 0);
    ck_assert_uint_eq(e->c->r[R_10], 1);
    ck_assert_uint_eq(e->c->r[R_11], 1);
    end(e);
}
END_TEST

/* Flags that a callee leaves: nobody knows at its RET whether the caller reads them, and it does, one by one and all. */
START_TEST(test_left_flags)
{
    static const uint8_t code[] = {
        0xe8, 13, 0, 0, 0,                      /* call callee */
        0x0f, 0x92, 0xc3,                       /* setb bl */
        0x0f, 0x9a, 0xc7,                       /* setp bh */
        0x9c, 0x41, 0x5b,                       /* pushfq; pop r11 */
        0xff, 0xc9, 0x75, 0xee,                 /* dec ecx; jnz the call */
        0xf4,                                   /* hlt: #GP */
        0x3c, 0x14, 0xb8, 3, 0, 0, 0, 0xc3,     /* callee, 18 behind: cmp al, 20; mov eax, 3; ret */
    };
    struct sys_env *e = start(hots[_i]);

    memcpy(e->ram + CODE, code, sizeof(code) - 8);
    memcpy(e->ram + CODE + 18, code + sizeof(code) - 8, 8);
    e->c->r[R_AX] = 3;
    e->c->r[R_BX] = 0;
    run(e, 200);
    ck_assert_uint_eq(e->c->r[R_BX], 0x001);            /* 3 - 20 = efh: below, odd parity */
    ck_assert_uint_eq(e->c->r[R_11] & FL_ARITH, FL_CF | FL_SF | FL_AF);
    end(e);
}
END_TEST

/*
 * A compare and its condition, with and without somebody behind them who needs the
 * flags, the branch in the page and out of it; displacements of every length, also
 * relative to RIP; results of all go into rBX.
 */
START_TEST(test_conditions)
{
    static const uint8_t code[] = {
        0x48, 0x83, 0xf9, 0x05, 0x0f, 0x8f, 0xf6, 0x0f, 0, 0,   /* 0: cmp rcx, 5; jg 0x1000 */
        0x0f, 0x94, 0xc0, 0x0f, 0xb6, 0xc0, 0x01, 0xc3,         /* a: setz al; movzx eax, al; add ebx, eax */
        0x48, 0x3b, 0x0d, 0xe7, 0x00, 0, 0,                     /* 12: cmp rcx, [rip + 0xe7]: 0x100 */
        0x74, 0x07, 0x81, 0xc3, 0x00, 0x01, 0, 0, 0x90,         /* 19: jz 0x22; add ebx, 0x100; nop */
        0x48, 0x8d, 0x15, 0xd7, 0x00, 0, 0,                     /* 22: lea rdx, [rip + 0xd7]: 0x100 */
        0x03, 0x1a, 0x03, 0x5a, 0x08, 0x03, 0x9a, 0x00, 0x01, 0, 0,     /* add ebx, [rdx + 0, 8, 0x100] */
        0xff, 0xc9, 0x75, 0xc8, 0xf4,                           /* 34: dec ecx; jnz 0; hlt */
    };
    static const uint8_t far[] = { 0x81, 0xc3, 0, 0, 1, 0, 0x48, 0x39, 0xc9, 0xe9, 0xfc, 0xef, 0xff, 0xff };
    struct sys_env *e = start(hots[_i]);                /* add ebx, 0x10000; cmp rcx, rcx; jmp 0xa */
    uint64_t want = 0;

    memcpy(e->ram + CODE, code, sizeof(code));
    memcpy(e->ram + CODE + PAGE_SIZE, far, sizeof(far));
    sys_poke(e, CODE + 0x100, 8, 3);
    sys_poke(e, CODE + 0x108, 4, 7);
    sys_poke(e, CODE + 0x200, 4, 11);
    for (unsigned cx = 40; cx; cx--)
        want += (cx > 5 ? 0x10000 + 1 : cx == 5) + (cx == 3 ? 0 : 0x100) + 3 + 7 + 11;
    e->c->r[R_BX] = 0;
    run(e, 40);
    ck_assert_uint_eq(e->c->r[R_BX], want);
    end(e);
}
END_TEST

/*
 * STI's shadow holds although the instruction in it has to be run alone: it stores
 * beside its own code.  The interrupt comes behind it.
 */
START_TEST(test_sti_shadow)
{
    /* sti; mov byte [rsi], 0x5a; inc eax; hlt */
    static const uint8_t code[] = { 0xfb, 0xc6, 0x06, 0x5a, 0xff, 0xc0, 0xf4 };
    struct sys_env *e = start(hots[_i]);
    struct cpu *c = e->c;

    for (unsigned k = 0; k < 3; k++) {
        memcpy(e->ram + CODE, code, sizeof(code));
        cpu_set_eflags(c, FL_1);
        c->rip = CODE;
        c->r[R_AX] = 0;
        c->r[R_SI] = CODE + 4;                          /* inc becomes ... */
        c->r[R_SP] = 0x60000;
        c->halted = 0;
        c->attn = 0;
        c->intr_pending = 1;
        sys_poke(e, S_HANDLER + 16 * 0x40, 1, 0xf4);
        exec_run(c);
        ck_assert_uint_eq(sys_peek(e, CODE + 4, 1), 0x5a);
        ck_assert_uint_eq(sys_peek(e, c->r[R_SP], 8), CODE + 4);
    }
    end(e);
}
END_TEST

/*
 * LOCK operations while another thread changes the same bytes: none may get lost.  The guest adds one to the dword at
 * rSI by INC, to the next by CMPXCHG, inverts bit 3 of the third, adds one to the byte behind by XADD, sets and clears
 * a bit of the next; the thread does the like to other bits.
 */
#define SHARED 0x40000u

struct other {
    uint8_t *at;
    volatile bool go, stop;
    uint32_t rounds;
};

static void *other_thread(void *arg)
{
    struct other *o = arg;
    uint32_t *d = (uint32_t *)(void *)o->at;

    __atomic_store_n(&o->go, true, __ATOMIC_SEQ_CST);
    for (; !__atomic_load_n(&o->stop, __ATOMIC_SEQ_CST); o->rounds++) {
        __atomic_fetch_add(&d[0], 1, __ATOMIC_SEQ_CST);
        __atomic_fetch_add(&d[1], 1, __ATOMIC_SEQ_CST);
        __atomic_fetch_xor(&d[2], 1, __ATOMIC_SEQ_CST);
        __atomic_fetch_add(&o->at[12], 1, __ATOMIC_SEQ_CST);
        __atomic_fetch_add((uint16_t *)(void *)&o->at[14], 2, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

START_TEST(test_locked)
{
    static const uint8_t code[] = {
        0xf0, 0xff, 0x06,                       /* lock inc dword [rsi] */
        0x8b, 0x46, 0x04,                       /* mov eax, [rsi + 4] */
        0x8d, 0x50, 0x01,                       /* again: lea edx, [rax + 1] */
        0xf0, 0x0f, 0xb1, 0x56, 0x04,           /* lock cmpxchg [rsi + 4], edx */
        0x75, 0xf6,                             /* jnz again */
        0xf0, 0x0f, 0xba, 0x7e, 0x08, 0x03,     /* lock btc dword [rsi + 8], 3 */
        0xb3, 0x01,                             /* mov bl, 1 */
        0xf0, 0x0f, 0xc0, 0x5e, 0x0c,           /* lock xadd [rsi + 12], bl */
        0x66, 0xf0, 0x83, 0x4e, 0x0e, 0x01,     /* lock or word [rsi + 14], 1 */
        0x66, 0xf0, 0x83, 0x66, 0x0e, 0xfe,     /* lock and word [rsi + 14], -2 */
        0xff, 0xc9, 0x75, 0xd3,                 /* dec ecx; jnz */
        0xf4,
    };
    const uint32_t n = 60001;
    struct sys_env *e = start_as(hots[_i], true, false);
    struct other o = { .at = e->ram + SHARED };
    uint32_t *d = (uint32_t *)(void *)o.at;
    pthread_t t;

    memcpy(e->ram + CODE, code, sizeof(code));
    memset(o.at, 0, 16);
    e->c->r[R_SI] = SHARED;
    ck_assert_int_eq(pthread_create(&t, NULL, other_thread, &o), 0);
    while (!__atomic_load_n(&o.go, __ATOMIC_SEQ_CST))
        continue;
    run(e, n);
    __atomic_store_n(&o.stop, true, __ATOMIC_SEQ_CST);
    pthread_join(t, NULL);
    ck_assert_uint_gt(o.rounds, 0);
    ck_assert_uint_eq(d[0], n + o.rounds);
    ck_assert_uint_eq(d[1], n + o.rounds);
    ck_assert_uint_eq(d[2], (n & 1) << 3 | (o.rounds & 1));
    ck_assert_uint_eq(o.at[12], (uint8_t)(n + o.rounds));
    ck_assert_uint_eq(o.at[14] | o.at[15] << 8, (uint16_t)(2 * o.rounds));
    end(e);
}
END_TEST

/* A LOCK operation that changes the instruction behind it: the next one executed is the changed one. */
START_TEST(test_locked_code)
{
    static const uint8_t code[] = {
        0xf0, 0x80, 0x35, 0x01, 0, 0, 0, 0x04,  /* lock xor byte [rip + 1], 4 */
        0xb0, 0x05,                             /* mov al, 5 */
        0x00, 0xc3,                             /* add bl, al */
        0xff, 0xc9, 0x75, 0xf0,                 /* dec ecx; jnz */
        0xf4,
    };
    bool interp = _i == NHOTS;
    struct sys_env *e = start_as(interp ? 0 : hots[_i], true, interp);

    memcpy(e->ram + CODE, code, sizeof(code));
    e->c->r[R_BX] = 0;
    run(e, 3);
    ck_assert_uint_eq(e->c->r[R_BX], 1 + 5 + 1);
    end(e);
}
END_TEST

/*
 * Another thread, as a device's, writes to code that is running in a loop that nothing else ends: the new code runs.
 * Byte 1 of the loop is what ends it.
 */
struct writer {
    struct phys *p;
    bool dma;
    volatile bool go;
};

static void *code_writer(void *arg)
{
    static const uint8_t other[] = { 0x06, 0x3c };
    struct writer *w = arg;

    while (!__atomic_load_n(&w->go, __ATOMIC_SEQ_CST))
        continue;
    usleep(2000);
    if (w->dma)
        phys_dma_write(w->p, CODE + 1, other, 2);
    else
        phys_write(w->p, CODE + 1, other, 2);
    return NULL;
}

START_TEST(test_written_by_device)
{
    static const uint8_t code[] = { 0xb0, 0x05, 0x3c, 0x05, 0x74, 0xfa, 0xf4 };  /* mov al, 5; cmp al, 5; jz; hlt */
    bool interp = _i == NHOTS;
    struct sys_env *e = start_as(interp ? 0 : hots[_i], true, interp);
    pthread_t t;

    exec_thread(e->c);
    for (unsigned round = 0; round < 20; round++) {
        struct writer w = { .p = e->m.phys, .dma = round & 1 };

        ck_assert(phys_write(e->m.phys, CODE, code, sizeof(code)));
        ck_assert_int_eq(pthread_create(&t, NULL, code_writer, &w), 0);
        __atomic_store_n(&w.go, true, __ATOMIC_SEQ_CST);
        run(e, 0);
        ck_assert_uint_eq(e->c->r[R_AX] & 0xff, 6);
        pthread_join(t, NULL);
    }
    end(e);
}
END_TEST

/*
 * A driver and a device, each: say something, barrier, look at what the other says. Not both may have looked too early, or
 * an interrupt is lost. The driver's barrier is a locked instruction or MFENCE, on the machine's only vCPU.
 */
enum { DRIVER_BEGINS = 0, DEVICE_BEGINS = 192, DRIVER_SAYS = 64, DEVICE_SAYS = 128, DRIVER_SAW = 256, DRIVER_ENDS = 320,
       DEVICE_ENDS = 384, ROUNDS = 2000, TALK = 0x61000 };
struct talker {
    uint8_t *mem;
    unsigned lost;
};

static uint32_t *word(struct talker *t, unsigned at)
{
    return (uint32_t *)(void *)(t->mem + at);
}

static void wait_for(struct talker *t, unsigned at, uint32_t n)
{
    for (unsigned k = 0; __atomic_load_n(word(t, at), __ATOMIC_SEQ_CST) != n; k++)
        if (k > 1000)
            sched_yield();
}

static void *talk(void *arg)
{
    struct talker *t = arg;

    for (uint32_t n = ROUNDS; n; n--) {
        uint32_t saw;

        wait_for(t, DRIVER_BEGINS, n);
        __atomic_store_n(word(t, DEVICE_BEGINS), n, __ATOMIC_SEQ_CST);
        for (volatile unsigned k = n % 64; k; k--)
            continue;
        __atomic_store_n(word(t, DEVICE_SAYS), n, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        saw = __atomic_load_n(word(t, DRIVER_SAYS), __ATOMIC_RELAXED);
        wait_for(t, DRIVER_ENDS, n);
        t->lost += saw != n && *word(t, DRIVER_SAW) != n;
        __atomic_store_n(word(t, DEVICE_ENDS), n, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

static const struct { uint8_t code[12], len; } barriers[] = {    /* with the store of ecx to [rsi + DRIVER_SAYS] */
    { { 0x89, 0x4e, 0x40, 0x0f, 0xae, 0xf0 }, 6 },                              /* mov; mfence */
    { { 0x89, 0x4e, 0x40, 0xf0, 0x83, 0x0c, 0x24, 0 }, 8 },                     /* mov; lock or dword [rsp], 0 */
    { { 0x89, 0xca, 0x87, 0x56, 0x40 }, 5 },                                    /* mov edx, ecx; xchg */
    { { 0x89, 0x4e, 0x40, 0xf0, 0x0f, 0xba, 0x6c, 0x24, 0xfc, 0 }, 10 },        /* mov; lock bts dword [rsp - 4], 0 */
    { { 0x89, 0x4e, 0x40, 0xf0, 0x0f, 0xc7, 0x4c, 0x24, 0xf8 }, 9 },            /* mov; lock cmpxchg8b [rsp - 8] */
    { { 0x89, 0x4e, 0x40, 0xf0, 0xf7, 0x5c, 0x24, 0xfc }, 8 },                  /* mov; lock neg dword [rsp - 4] */
};
#define NBARRIERS (sizeof(barriers) / sizeof(barriers[0]))

START_TEST(test_barrier)
{
    static const uint8_t begin[] = {
        0x89, 0x0e, 0x39, 0x8e, 0xc0, 0, 0, 0, 0x75, 0xf8,      /* [rsi] = ecx; 1: cmp [rsi + 192], ecx; jne 1b */
    };
    static const uint8_t finish[] = {
        0x8b, 0x86, 0x80, 0, 0, 0, 0x89, 0x86, 0, 1, 0, 0,      /* [rsi + 256] = [rsi + 128] */
        0x89, 0x8e, 0x40, 1, 0, 0,                              /* [rsi + 320] = ecx */
        0x39, 0x8e, 0x80, 1, 0, 0, 0x75, 0xf8,                  /* 2: cmp [rsi + 384], ecx; jne 2b */
        0xff, 0xc9, 0x75, 0xcc, 0xf4,                           /* dec ecx; jnz; hlt */
    };
    bool interp = _i % (NHOTS + 1) == NHOTS;
    struct sys_env *e = start_as(interp ? 0 : hots[_i % (NHOTS + 1)], false, interp);
    struct talker t = { e->ram + TALK, 0 };
    pthread_t thread;

    memset(e->ram + CODE, 0x90, 64);
    memcpy(e->ram + CODE, begin, sizeof(begin));
    memcpy(e->ram + CODE + 10, barriers[_i % NBARRIERS].code, barriers[_i % NBARRIERS].len);
    memcpy(e->ram + CODE + 22, finish, sizeof(finish));
    memset(t.mem, 0, PAGE_SIZE);
    e->c->r[R_SI] = TALK;
    ck_assert_int_eq(pthread_create(&thread, NULL, talk, &t), 0);
    run(e, ROUNDS);
    pthread_join(thread, NULL);
    ck_assert_uint_eq(t.lost, 0);
    end(e);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("exec");
    TCase *tc = tcase_create("exec");

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_written_by_device, 0, NHOTS + 1);
    tcase_add_loop_test(tc, test_shared_links, 0, NHOTS);
    tcase_add_loop_test(tc, test_stack_pages, 0, NHOTS);
    tcase_add_loop_test(tc, test_stack_remap, 0, NHOTS);
    tcase_add_loop_test(tc, test_device_code, 0, NHOTS);
    tcase_add_loop_test(tc, test_probe_a20, 0, NHOTS);
    tcase_add_loop_test(tc, test_barrier, 0, 2 * NBARRIERS);       /* each by two engines */
    tcase_add_loop_test(tc, test_locked, 0, NHOTS);
    tcase_add_loop_test(tc, test_locked_code, 0, NHOTS + 1);
    tcase_add_test(tc, test_hot);
    tcase_add_loop_test(tc, test_by_value, 0, NHOTS);
    tcase_add_loop_test(tc, test_left_flags, 0, NHOTS);
    tcase_add_loop_test(tc, test_conditions, 0, NHOTS);
    tcase_add_loop_test(tc, test_vector_kept, 0, NHOTS);
    tcase_add_loop_test(tc, test_sti_shadow, 0, NHOTS);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
