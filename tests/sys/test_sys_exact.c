/*
 * test_sys_exact.c - corners of the system architecture that a guest rarely looks at, each with the
 * place in the manual that settles it.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/run_suite.h"
#include "tests/sys/sys_env.h"

#define CODE 0x30000u
#define LOG  0x90000u

/* A fault that a task handles: RF is set in the EFLAGS its TSS keeps (SDM vol. 3, 17.3.1.1). */
START_TEST(test_task_rf)
{
    struct sys_env *e = sys_new(PROT);
    struct cpu *c = e->c;

    sys_poke(e, S_TSS2 + 0x20, 4, 0x44444);
    sys_poke(e, S_TSS2 + 0x24, 4, 2);
    sys_poke(e, S_TSS2 + 0x38, 4, 0x48000);
    for (unsigned n = 0; n < 6; n++)
        sys_poke(e, S_TSS2 + 0x48 + 4 * n, 2, n == SEG_CS ? G_CODE0 : G_DATA0);
    sys_poke(e, S_IDT + 8 * EXC_UD, 4, G_TSS2 << 16);
    sys_poke(e, S_IDT + 8 * EXC_UD + 4, 4, 0x8500);
    fault_ud(c);
    ck_assert(!cpu_deliver_fault(c));
    ck_assert_uint_eq(c->seg[SEG_TR].sel, G_TSS2);
    ck_assert_uint_eq(sys_peek(e, S_TSS + 0x24, 4), FL_RF | FL_1);
    ck_assert(!(c->eflags & FL_RF));
    sys_free(e);
}
END_TEST

/* IRET ends the blocking of NMIs even if it faults (SDM vol. 3, 6.7.1). */
START_TEST(test_iret_nmi)
{
    struct sys_env *e = sys_new(PROT);
    struct cpu *c = e->c;

    c->nmi_blocked = 1;
    c->nmi_pending = 1;
    c->r[R_SP] -= 12;
    sys_poke(e, c->r[R_SP] + 4, 4, G_NP);
    expect(c, help_iret(c, 0x30001, 4), EXC_GP, G_NP, "iret to data");
    ck_assert(!c->nmi_blocked);
    ck_assert(c->attn & ATTN_NMI);
    sys_free(e);
}
END_TEST

/* RF holds for one instruction; without breakpoints it is not seen again. */
START_TEST(test_iret_rf)
{
    for (unsigned armed = 0; armed < 2; armed++) {
        struct sys_env *e = sys_new(PROT);
        struct cpu *c = e->c;

        if (armed)
            ck_assert(!help_mov_to_dr(c, 7, 1));
        c->r[R_SP] -= 12;
        sys_poke(e, c->r[R_SP], 4, 0x30010);
        sys_poke(e, c->r[R_SP] + 4, 4, G_CODE0);
        sys_poke(e, c->r[R_SP] + 8, 4, FL_RF | FL_1);
        expect(c, help_iret(c, 0x30001, 4), OK, 0, "iret");
        ck_assert_uint_eq(!!(c->eflags & FL_RF), armed);
        sys_free(e);
    }
}
END_TEST

/* XSETBV: CR4.OSXSAVE is looked at before the privilege level. */
START_TEST(test_xsetbv)
{
    struct sys_env *e = sys_new(LONG);

    sys_ring3(e);
    expect(e->c, help_xsetbv(e->c, 0, 3), EXC_UD, 0, "no OSXSAVE");
    e->c->cr4 |= CR4_OSXSAVE;
    expect(e->c, help_xsetbv(e->c, 0, 3), EXC_GP, 0, "CPL 3");
    e->c->cpl = 0;
    expect(e->c, help_xsetbv(e->c, 0, 2), EXC_GP, 0, "without x87");
    expect(e->c, help_xsetbv(e->c, 0, 3), OK, 0, "xsetbv");
    sys_free(e);
}
END_TEST

/* IA-32e mode cannot be entered from a 16-bit task (SDM vol. 3, 9.8.5). */
START_TEST(test_lma_tss16)
{
    struct sys_env *e = sys_new(PROT);
    struct cpu *c = e->c;

    ck_assert(!cr_write(c, 3, S_PML4));
    ck_assert(!cr_write(c, 4, CR4_PAE));
    ck_assert(!help_wrmsr(c, 0xc0000080, EFER_LME));
    c->seg[SEG_TR].attr &= (uint16_t)~8;
    expect(c, cr_write(c, 0, c->cr0 | CR0_PG), EXC_GP, 0, "16-bit TSS");
    ck_assert(!(c->efer & EFER_LMA) && !(c->cr0 & CR0_PG));
    sys_free(e);
}
END_TEST

/* INT1 is a debug exception as to DR7.GD; reserved bits of DR7 stay 0. */
START_TEST(test_dr7)
{
    struct sys_env *e = sys_new(PROT);
    struct cpu *c = e->c;

    ck_assert(!help_mov_to_dr(c, 7, 0xffffffff));
    ck_assert_uint_eq(c->dr[7], 0xffff27ff);
    expect(c, help_int_n(c, EXC_DB, 0x30001, INT_KIND_ICEBP), OK, 0, "int1");
    ck_assert_uint_eq(c->dr[7], 0xffff07ff);
    ck_assert_uint_eq(c->rip, S_HANDLER + 16 * EXC_DB);
    sys_free(e);
}
END_TEST

/* The handler of #DB notes EIP: mov (%esp),%ebx; mov %ebx,0x90000(,%edx,4); inc %edx; iret */
static const uint8_t noting[] = { 0x8b, 0x1c, 0x24, 0x89, 0x1c, 0x95, 0, 0, 0x09, 0, 0x42, 0xcf };

/*
 * No single step behind MOV SS, but one behind LSS (SDM vol. 3, 6.8.3), and one behind the POPF that
 * clears TF: what counts is TF before the instruction (17.3.1.4).
 *     mov %ax,%ss; nop; lss 0x90100,%esp; push $2; popf; nop; hlt
 */
START_TEST(test_steps)
{
    static const uint8_t code[] = { 0x8e, 0xd0, 0x90, 0x0f, 0xb2, 0x25, 0x00, 0x01, 0x09, 0x00, 0x6a, 0x02, 0x9d,
                                    0x90, 0xf4 };
    static const uint32_t want[] = { CODE + 3, CODE + 10, CODE + 12, CODE + 13, 0 };
    struct sys_env *e = sys_new(PROT);
    struct cpu *c = e->c;

    sys_exec(e, _i);
    memcpy(e->ram + CODE, code, sizeof(code));
    memcpy(e->ram + S_HANDLER + 16 * EXC_DB, noting, sizeof(noting));
    sys_poke(e, LOG + 0x100, 4, S_STACK - 0x100);
    sys_poke(e, LOG + 0x104, 2, G_DATA0);
    c->r[R_AX] = G_DATA0;
    c->r[R_DX] = 0;
    c->eflags |= FL_TF;
    sys_run(e);
    for (unsigned n = 0; n < sizeof(want) / sizeof(want[0]); n++)
        ck_assert_uint_eq(sys_peek(e, LOG + 4 * n, 4), want[n]);
    sys_free(e);
}
END_TEST

/*
 * POPF that sets TF takes effect behind the next instruction, also where data breakpoints make
 * each instruction a block:   push $0x102; popf; nop; push $2; popf; hlt
 */
START_TEST(test_set_tf)
{
    static const uint8_t code[] = { 0x68, 0x02, 0x01, 0x00, 0x00, 0x9d, 0x90, 0x6a, 0x02, 0x9d, 0xf4 };
    static const uint32_t want[] = { CODE + 7, CODE + 9, CODE + 10, 0 };

    for (unsigned armed = 0; armed < 2; armed++) {
        struct sys_env *e = sys_new(PROT);
        struct cpu *c = e->c;

        sys_exec(e, _i);
        memcpy(e->ram + CODE, code, sizeof(code));
        memcpy(e->ram + S_HANDLER + 16 * EXC_DB, noting, sizeof(noting));
        c->r[R_DX] = 0;
        if (armed) {
            ck_assert(!help_mov_to_dr(c, 0, LOG + 0x100));
            ck_assert(!help_mov_to_dr(c, 7, 0x00030001));
        }
        sys_run(e);
        for (unsigned n = 0; n < sizeof(want) / sizeof(want[0]); n++)
            ck_assert_uint_eq(sys_peek(e, LOG + 4 * n, 4), want[n]);
        sys_free(e);
    }
}
END_TEST

/* A data breakpoint hit by MOV SS is reported behind the next instruction: mov 0x90100,%ss; nop; nop; hlt */
START_TEST(test_mov_ss_data)
{
    static const uint8_t code[] = { 0x8e, 0x15, 0x00, 0x01, 0x09, 0x00, 0x90, 0x90, 0xf4 };
    struct sys_env *e = sys_new(PROT);
    struct cpu *c = e->c;

    sys_exec(e, _i);
    memcpy(e->ram + CODE, code, sizeof(code));
    memcpy(e->ram + S_HANDLER + 16 * EXC_DB, noting, sizeof(noting));
    sys_poke(e, LOG + 0x100, 2, G_DATA0);
    c->r[R_DX] = 0;
    ck_assert(!help_mov_to_dr(c, 0, LOG + 0x100));
    ck_assert(!help_mov_to_dr(c, 7, 0x00030001));       /* reads and writes of a byte */
    sys_run(e);
    ck_assert_uint_eq(c->r[R_DX], 1);
    ck_assert_uint_eq(sys_peek(e, LOG, 4), CODE + 7);
    ck_assert_uint_eq(c->dr[6] & 0xf, 1);
    sys_free(e);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sys_exact");
    TCase *t = tcase_create("sys_exact");

    decode_init();
    tcase_add_test(t, test_task_rf);
    tcase_add_test(t, test_iret_nmi);
    tcase_add_test(t, test_iret_rf);
    tcase_add_test(t, test_xsetbv);
    tcase_add_test(t, test_lma_tss16);
    tcase_add_test(t, test_dr7);
    tcase_add_engines(t, test_steps);
    tcase_add_engines(t, test_set_tf);
    tcase_add_engines(t, test_mov_ss_data);
    suite_add_tcase(s, t);
    return run_suite(s);
}
