/*
 * test_sys_idle.c - MONITOR and MWAIT, as whole programs by both engines.  SDM vol. 3, 8.10.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/run_suite.h"
#include "tests/sys/sys_env.h"

#define CODE 0x30000u
#define LINE 0x90000u

static unsigned halts;
static void (*event)(struct sys_env *e);

/* What happens while the program waits for the first time; then it ends. */
static bool once(struct sys_env *e)
{
    if (halts++)
        return false;
    event(e);
    return true;
}

static struct sys_env *begin(bool interp, const uint8_t *code, unsigned len, void (*what)(struct sys_env *e))
{
    struct sys_env *e = sys_new(PROT);

    sys_exec(e, interp);
    memcpy(e->ram + CODE, code, len);
    e->on_halt = once;
    event = what;
    halts = 0;
    e->c->r[R_CX] = e->c->r[R_DX] = e->c->r[R_BX] = 0;
    e->c->r[R_AX] = LINE + 8;
    return e;
}

static void dma(struct sys_env *e)
{
    uint32_t v = 7;

    phys_write(e->m.phys, LINE + 0x40, &v, 4);          /* beside the line: goes on waiting */
    ck_assert(!(e->c->attn & ATTN_STORE));
    phys_write(e->m.phys, LINE - 2, &v, 4);
    ck_assert(e->c->attn & ATTN_STORE);
}

static void irq(struct sys_env *e)
{
    e->vector = 0x40;
    e->c->intr_pending = 1;
    __atomic_fetch_or(&e->c->attn, ATTN_INTR, __ATOMIC_SEQ_CST);
}

static void never(struct sys_env *e) { ck_abort_msg("waits"); }

/* monitor; mwait; inc %ebx; hlt: a device stores into the line */
static const uint8_t waiting[] = { 0x0f, 0x01, 0xc8, 0x0f, 0x01, 0xc9, 0x43, 0xf4 };

START_TEST(test_store)
{
    struct sys_env *e = begin(_i, waiting, sizeof(waiting), dma);

    sys_run(e);
    ck_assert_uint_eq(e->c->r[R_BX], 1);
    ck_assert_uint_eq(halts, 2);
    sys_free(e);
}
END_TEST

/* monitor; incl 0x90020; mwait; inc %ebx; mwait; hlt: a store in between, and MWAIT without MONITOR */
START_TEST(test_no_wait)
{
    static const uint8_t code[] = { 0x0f, 0x01, 0xc8, 0xff, 0x05, 0x20, 0x00, 0x09, 0x00, 0x0f, 0x01, 0xc9, 0x43,
                                    0x0f, 0x01, 0xc9, 0xf4 };
    struct sys_env *e = begin(_i, code, sizeof(code), never);

    halts = 1;
    sys_run(e);
    ck_assert_uint_eq(e->c->r[R_BX], 1);
    ck_assert_uint_eq(e->c->rip, CODE + sizeof(code));
    sys_free(e);
}
END_TEST

/* An interrupt that is let in; one that is masked wakes only if ECX[0] asks for it. */
START_TEST(test_interrupt)
{
    static const uint8_t handler[] = { 0x42, 0xcf };    /* inc %edx; iret */
    /* monitor; inc %ecx; mwait; inc %ebx; hlt */
    static const uint8_t masked[] = { 0x0f, 0x01, 0xc8, 0x41, 0x0f, 0x01, 0xc9, 0x43, 0xf4 };
    struct sys_env *e = begin(_i, waiting, sizeof(waiting), irq);

    e->c->eflags |= FL_IF;
    memcpy(e->ram + S_HANDLER + 16 * 0x40, handler, sizeof(handler));
    sys_run(e);
    ck_assert_uint_eq(e->c->r[R_BX], 1);
    ck_assert_uint_eq(e->c->r[R_DX], 1);
    sys_free(e);
    e = begin(_i, masked, sizeof(masked), irq);
    sys_run(e);
    ck_assert_uint_eq(e->c->r[R_BX], 1);
    ck_assert_uint_eq(e->c->r[R_DX], 0);
    sys_free(e);
    e = begin(_i, waiting, sizeof(waiting), irq);
    sys_run(e);
    ck_assert_uint_eq(e->c->r[R_BX], 0);                /* went on waiting: the run ends in MWAIT */
    ck_assert_uint_eq(e->c->halted, HALT_MWAIT);
    sys_free(e);
}
END_TEST

/* Faults: the handler is a HLT. */
START_TEST(test_faults)
{
    static const struct { bool user, feature; uint32_t ecx, eax; uint8_t vector; } t[] = {
        { true, true, 0, LINE, EXC_UD }, { false, false, 0, LINE, EXC_UD }, { false, true, 1, LINE, EXC_GP },
        { false, true, 0, LINE, 0 },
    };

    for (unsigned n = 0; n < sizeof(t) / sizeof(t[0]); n++) {
        struct sys_env *e;
        uint32_t r[4];

        sys_model = t[n].feature ? NULL : "latimer64,-monitor";
        e = begin(_i, waiting, sizeof(waiting), never);
        halts = 1;
        for (unsigned v = 0; v < 32; v++)
            e->ram[S_HANDLER + 16 * v] = 0xf4;
        if (t[n].user)
            sys_ring3(e);
        e->c->r[R_CX] = t[n].ecx;
        e->c->r[R_AX] = t[n].eax;
        sys_run(e);
        ck_assert_uint_eq(e->c->rip, t[n].vector ? S_HANDLER + 16 * t[n].vector + 1 : CODE + 6);
        cpu_model_cpuid(e->c, 1, 0, r);
        ck_assert_uint_eq(r[2] >> 3 & 1, t[n].feature);
        cpu_model_cpuid(e->c, 5, 0, r);
        ck_assert_uint_eq(r[0], t[n].feature ? 64 : 0);
        sys_free(e);
    }
    sys_model = NULL;
}
END_TEST

/* MISC_ENABLE[18] switches feature bit and instructions. */
START_TEST(test_switch)
{
    struct sys_env *e = begin(_i, waiting, sizeof(waiting), never);
    uint32_t r[4];

    halts = 1;
    e->ram[S_HANDLER + 16 * EXC_UD] = 0xf4;
    ck_assert(!help_rdmsr(e->c, 0x1a0));
    ck_assert(e->c->hret & MISC_MONITOR);
    ck_assert(!help_wrmsr(e->c, 0x1a0, e->c->hret & ~(uint64_t)MISC_MONITOR));
    cpu_model_cpuid(e->c, 1, 0, r);
    ck_assert(!(r[2] >> 3 & 1));
    sys_run(e);
    ck_assert_uint_eq(e->c->rip, S_HANDLER + 16 * EXC_UD + 1);
    sys_free(e);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sys_idle");
    TCase *t = tcase_create("sys_idle");

    decode_init();
    tcase_add_engines(t, test_store);
    tcase_add_engines(t, test_no_wait);
    tcase_add_engines(t, test_interrupt);
    tcase_add_engines(t, test_faults);
    tcase_add_engines(t, test_switch);
    suite_add_tcase(s, t);
    return run_suite(s);
}
