/*
 * test_sys_x87.c - the x87 as a program and its operating system see it: pointers to the
 * last instruction and operand, #MF, and the interrupt an AT makes of FERR#.  Whole programs,
 * by both engines.  SDM vol. 1, 8.1.8 to 8.1.10 and 8.7.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "hw/ferr.h"
#include "hw/pic.h"
#include "tests/run_suite.h"
#include "tests/sys/sys_env.h"

#define CODE 0x30000u
#define DATA 0x90000u

static struct sys_env *begin(enum sys_mode mode, bool interp, const uint8_t *code, unsigned len)
{
    struct sys_env *e = sys_new(mode);

    sys_exec(e, interp);
    memcpy(e->ram + CODE, code, len);
    e->c->cr0 |= CR0_NE | CR0_MP;
    if (mode == REAL)
        e->c->rip = 0;
    return e;
}

struct pointers {
    uint64_t ip, dp;
    unsigned op, cs, ds;
};

static void expect_env32(struct sys_env *e, uint64_t at, struct pointers p)
{
    ck_assert_uint_eq(sys_peek(e, at + 12, 4), p.ip);
    ck_assert_uint_eq(sys_peek(e, at + 16, 4), p.op << 16 | p.cs);
    ck_assert_uint_eq(sys_peek(e, at + 20, 4), p.dp);
    ck_assert_uint_eq(sys_peek(e, at + 24, 2), p.ds);
}

/*
 *     fninit; fld1; flds 0x90100; fnstenv 0x90000        masked: FIP alone
 *     fldcw 0x90110; fdivs 0x90104; fnstenv 0x90020; fnclex   1/0 unmasked: FOP and FDP too
 *     fldcw 0x90112; fld1; fstps 0x90108; fnstcw 0x90114; fnstsw %ax; fnstenv 0x90040
 *     nop; ...; fxch; hlt                                (over a page fault: see below)
 */
static const uint8_t code32[] = {
    0xdb, 0xe3, 0xd9, 0xe8, 0xd9, 0x05, 0x00, 0x01, 0x09, 0x00, 0xd9, 0x35, 0x00, 0x00, 0x09, 0x00,
    0xd9, 0x2d, 0x10, 0x01, 0x09, 0x00, 0xd8, 0x35, 0x04, 0x01, 0x09, 0x00, 0xd9, 0x35, 0x20, 0x00,
    0x09, 0x00, 0xdb, 0xe2, 0xd9, 0x2d, 0x12, 0x01, 0x09, 0x00, 0xd9, 0xe8, 0xd9, 0x1d, 0x08, 0x01,
    0x09, 0x00, 0xd9, 0x3d, 0x14, 0x01, 0x09, 0x00, 0xdf, 0xe0, 0xd9, 0x35, 0x40, 0x00, 0x09, 0x00,
    0xf4,
};

static void data32(struct sys_env *e)
{
    sys_poke(e, DATA + 0x100, 4, 0x3fc00000);   /* 1.5 */
    sys_poke(e, DATA + 0x104, 4, 0);
    sys_poke(e, DATA + 0x110, 2, 0x37b);        /* division by zero unmasked */
    sys_poke(e, DATA + 0x112, 2, 0x37f);
}

START_TEST(test_pointers)
{
    struct sys_env *e = begin(PROT, _i, code32, sizeof(code32));

    data32(e);
    sys_run(e);
    expect_env32(e, DATA, (struct pointers){ .ip = CODE + 4 });
    expect_env32(e, DATA + 0x20, (struct pointers){ .ip = CODE + 22, .op = 0x035, .dp = DATA + 0x104 });
    ck_assert_uint_eq(sys_peek(e, DATA + 0x24, 2) & 0x8084, 0x8084);
    expect_env32(e, DATA + 0x40, (struct pointers){ .ip = CODE + 44, .op = 0x035, .dp = DATA + 0x104 });
    sys_free(e);
}
END_TEST

/* A processor that keeps selectors, and the operand pointer of each instruction. */
START_TEST(test_pointers_all)
{
    struct sys_env *e;

    sys_model = "latimer64,-fdp_excptn_only,-zero_fcs_fds";
    e = begin(PROT, _i, code32, sizeof(code32));
    data32(e);
    sys_run(e);
    expect_env32(e, DATA, (struct pointers){ CODE + 4, DATA + 0x100, 0, G_CODE0, G_DATA0 });
    expect_env32(e, DATA + 0x20, (struct pointers){ CODE + 22, DATA + 0x104, 0x035, G_CODE0, G_DATA0 });
    expect_env32(e, DATA + 0x40, (struct pointers){ CODE + 44, DATA + 0x108, 0x035, G_CODE0, G_DATA0 });
    sys_free(e);
}
END_TEST

/*
 * The layout of real mode has linear addresses:
 *     fninit; fld1; flds 0x100; fnstenv 0; data32 fnstenv 0x20; hlt          at 3000:0, DS 0x9000
 */
START_TEST(test_pointers_real)
{
    static const uint8_t code[] = { 0xdb, 0xe3, 0xd9, 0xe8, 0xd9, 0x06, 0x00, 0x01, 0xd9, 0x36, 0x00, 0x00,
                                    0x66, 0xd9, 0x36, 0x20, 0x00, 0xf4 };
    struct sys_env *e;

    sys_model = "latimer64,-fdp_excptn_only,-zero_fcs_fds";
    e = begin(REAL, _i, code, sizeof(code));
    seg_set_real(e->c, SEG_DS, DATA >> 4);
    sys_run(e);
    ck_assert_uint_eq(sys_peek(e, DATA + 6, 2), (CODE + 4) & 0xffff);
    ck_assert_uint_eq(sys_peek(e, DATA + 8, 2), CODE >> 16 << 12);
    ck_assert_uint_eq(sys_peek(e, DATA + 10, 2), (DATA + 0x100) & 0xffff);
    ck_assert_uint_eq(sys_peek(e, DATA + 12, 2), DATA >> 16 << 12);
    ck_assert_uint_eq(sys_peek(e, DATA + 0x20 + 12, 4), 0xffff0000 | ((CODE + 4) & 0xffff));
    ck_assert_uint_eq(sys_peek(e, DATA + 0x20 + 16, 4), CODE >> 16 << 12);
    ck_assert_uint_eq(sys_peek(e, DATA + 0x20 + 20, 4), 0xffff0000 | ((DATA + 0x100) & 0xffff));
    ck_assert_uint_eq(sys_peek(e, DATA + 0x20 + 24, 4), DATA >> 16 << 12);
    sys_free(e);
}
END_TEST

/*
 * A fault in the middle of a block: FIP is that of the x87 instruction before, in the handler and after.
 *     fninit; fld1; fldz; mov 0x60000000,%eax (#PF); fxch; hlt      #PF: fxsave64 0x90000; hlt
 */
START_TEST(test_pointers_fault)
{
    static const uint8_t code[] = { 0xdb, 0xe3, 0xd9, 0xe8, 0xd9, 0xee, 0x8b, 0x04, 0x25, 0x00, 0x00, 0x00, 0x60,
                                    0xd9, 0xc9, 0xf4 };
    static const uint8_t handler[] = { 0x48, 0x0f, 0xae, 0x04, 0x25, 0x00, 0x00, 0x09, 0x00, 0xf4 };
    struct sys_env *e = begin(LONG, _i, code, sizeof(code));

    e->c->cr4 |= CR4_OSFXSR;
    memcpy(e->ram + S_HANDLER + 16 * EXC_PF, handler, sizeof(handler));
    sys_poke(e, S_PML4 + 0x1000, 8, 0);                 /* one page table instead of the GiB: 2 MiB */
    sys_poke(e, S_PML4 + 0x1000, 8, (S_PML4 + 0x2000) | 7);
    sys_poke(e, S_PML4 + 0x2000, 8, 0x87);
    mmu_flush_all(e->c);
    sys_run(e);
    ck_assert_uint_eq(e->c->cr2, 0x60000000);
    ck_assert_uint_eq(sys_peek(e, DATA + 8, 8), CODE + 4);
    ck_assert_uint_eq(sys_peek(e, DATA + 16, 8), 0);
    sys_free(e);
}
END_TEST

/* FXRSTOR loads them (FIP made canonical), FNINIT clears them: fxrstor64; fxsave64; fninit; fxsave64; hlt */
START_TEST(test_pointers_fxrstor)
{
    static const uint8_t code[] = { 0x48, 0x0f, 0xae, 0x0c, 0x25, 0x00, 0x00, 0x09, 0x00,
                                    0x48, 0x0f, 0xae, 0x04, 0x25, 0x00, 0x02, 0x09, 0x00, 0xdb, 0xe3,
                                    0x48, 0x0f, 0xae, 0x04, 0x25, 0x00, 0x04, 0x09, 0x00, 0xf4 };
    struct sys_env *e = begin(LONG, _i, code, sizeof(code));

    e->c->cr4 |= CR4_OSFXSR;
    sys_poke(e, DATA, 2, 0x37f);
    sys_poke(e, DATA + 6, 2, 0xffff);
    sys_poke(e, DATA + 8, 8, 0x1122834455667788);
    sys_poke(e, DATA + 16, 8, 0x99aabbccddeeff00);
    sys_poke(e, DATA + 24, 4, 0x1f80);
    sys_run(e);
    ck_assert_uint_eq(sys_peek(e, DATA + 0x206, 2), 0x7ff);
    ck_assert_uint_eq(sys_peek(e, DATA + 0x208, 8), 0xffff834455667788);
    ck_assert_uint_eq(sys_peek(e, DATA + 0x210, 8), 0x99aabbccddeeff00);
    for (unsigned n = 6; n < 24; n++)
        ck_assert_uint_eq(sys_peek(e, DATA + 0x400 + n, 1), 0);
    sys_free(e);
}
END_TEST

/* ---- errors with CR0.NE = 0, as DOS programs have them ---- */

/*
 *     mov $0x11,%al; out %al,$0x20; out %al,$0xa0; mov $8,%al; out %al,$0x21; mov $0x70,%al; out %al,$0xa1
 *     mov $4,%al; out %al,$0x21; mov $2,%al; out %al,$0xa1; mov $1,%al; out %al,$0x21; out %al,$0xa1
 *     mov $0,%al; out %al,$0x21; out %al,$0xa1; nop; fninit; fldcw 0x110; fld1; fdivs 0x104
 *     nop; nop; nop; sti
 * 33: fwait                                              stops here until the interrupt has come
 *     movw $0x1234,0x200; cli; hlt
 * 3c: out %al,$0xf0; fnstsw 0x202; fld1; fnclex          IRQ 13: x87 instructions do not stop here
 *     mov $0x20,%al; out %al,$0xa0; out %al,$0x20; incw 0x204; mov %sp,%bp; mov (%bp),%ax
 *     mov %ax,0x208; iret
 */
static const uint8_t irq13[] = {
    0xb0, 0x11, 0xe6, 0x20, 0xe6, 0xa0, 0xb0, 0x08, 0xe6, 0x21, 0xb0, 0x70, 0xe6, 0xa1, 0xb0, 0x04,
    0xe6, 0x21, 0xb0, 0x02, 0xe6, 0xa1, 0xb0, 0x01, 0xe6, 0x21, 0xe6, 0xa1, 0xb0, 0x00, 0xe6, 0x21,
    0xe6, 0xa1, 0x90, 0xdb, 0xe3, 0xd9, 0x2e, 0x10, 0x01, 0xd9, 0xe8, 0xd8, 0x36, 0x04, 0x01, 0x90,
    0x90, 0x90, 0xfb, 0x9b, 0xc7, 0x06, 0x00, 0x02, 0x34, 0x12, 0xfa, 0xf4, 0xe6, 0xf0, 0xdd, 0x3e,
    0x02, 0x02, 0xd9, 0xe8, 0xdb, 0xe2, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0xff, 0x06, 0x04, 0x02,
    0x89, 0xe5, 0x8b, 0x46, 0x00, 0xa3, 0x08, 0x02, 0xcf,
};

static struct { struct pic *pic; struct ferr *ferr; } board;

static void board_ferr(struct machine *m, unsigned cpu, bool level)
{
    ferr_set(board.ferr, level);
}

static void board_ignne(void *to, int line, bool level)
{
    ((struct sys_env *)to)->c->ignne = level;
}

static void board_intr(void *to, int line, bool level)
{
    struct cpu *c = ((struct sys_env *)to)->c;

    c->intr_pending = level;
    if (level)
        __atomic_fetch_or(&c->attn, ATTN_INTR, __ATOMIC_SEQ_CST);
}

static uint8_t board_ack(struct machine *m, unsigned cpu)
{
    return pic_ack(board.pic);
}

START_TEST(test_irq13)
{
    struct sys_env *e = begin(REAL, _i, irq13, sizeof(irq13));
    struct cpu *c = e->c;
    struct chip_list *chips = chips_new();

    e->m.int_ack = board_ack;
    e->m.ferr = board_ferr;
    board.pic = pic_new(chips, e->m.ports, (struct irq){ .set = board_intr, .to = e });
    board.ferr = ferr_new(chips, e->m.ports, pic_line(board.pic, 13), (struct irq){ .set = board_ignne, .to = e });
    chips_reset(chips);
    c->cr0 &= ~(uint64_t)CR0_NE;
    seg_set_real(c, SEG_DS, DATA >> 4);
    sys_poke(e, 0x75 * 4, 4, (CODE >> 4) << 16 | 0x3c);
    data32(e);
    sys_run(e);
    ck_assert_uint_eq(sys_peek(e, DATA + 0x204, 2), 1);
    ck_assert_uint_eq(sys_peek(e, DATA + 0x208, 2), 0x33);
    ck_assert_uint_eq(sys_peek(e, DATA + 0x202, 2) & 0x8084, 0x8084);
    ck_assert_uint_eq(sys_peek(e, DATA + 0x200, 2), 0x1234);
    ck_assert(!c->ferr && !c->ignne && !c->intr_pending);
    ck_assert_uint_eq(c->rip, 0x3c);
    sys_free(e);
    chips_free(chips);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sys_x87");
    TCase *t = tcase_create("sys_x87");

    decode_init();
    tcase_add_engines(t, test_pointers);
    tcase_add_engines(t, test_pointers_all);
    tcase_add_engines(t, test_pointers_real);
    tcase_add_engines(t, test_pointers_fault);
    tcase_add_engines(t, test_pointers_fxrstor);
    tcase_add_engines(t, test_irq13);
    suite_add_tcase(s, t);
    return run_suite(s);
}
