/*
 * test_sys.c - segments, far transfers, delivery, task switches, fast system calls.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/run_suite.h"
#include "tests/sys/sys_env.h"

/* ---- segment loads ---- */

static const struct { const char *what; uint8_t seg; uint16_t sel; bool user; uint8_t vector; uint16_t code; }
seg_loads[] = {
    { "data",                 SEG_DS, G_DATA0,     false, OK, 0 },
    { "null",                 SEG_DS, 0,           false, OK, 0 },
    { "null with RPL",        SEG_DS, 3,           false, OK, 0 },
    { "null SS",              SEG_SS, 0,           false, EXC_GP, 0 },
    { "readable code",        SEG_ES, G_CODE0,     false, OK, 0 },
    { "execute-only",         SEG_ES, G_XONLY,     false, EXC_GP, G_XONLY },
    { "read-only DS",         SEG_DS, G_RO,        false, OK, 0 },
    { "read-only SS",         SEG_SS, G_RO,        false, EXC_GP, G_RO },
    { "not present",          SEG_FS, G_NP,        false, EXC_NP, G_NP },
    { "not present SS",       SEG_SS, G_NP,        false, EXC_SS, G_NP },
    { "code into SS",         SEG_SS, G_CODE0,     false, EXC_GP, G_CODE0 },
    { "beyond the limit",     SEG_DS, G_END + 8,   false, EXC_GP, G_END + 8 },
    { "no LDT",               SEG_DS, 0xc,         false, EXC_GP, 0xc },
    { "TSS as data",          SEG_DS, G_TSS,       false, EXC_GP, G_TSS },
    { "SS with RPL 3",        SEG_SS, G_DATA0 | 3, false, EXC_GP, G_DATA0 },
    { "RPL weakens",          SEG_DS, G_DATA0 | 3, false, EXC_GP, G_DATA0 },
    { "ring 0 data, CPL 3",   SEG_DS, G_DATA0,     true,  EXC_GP, G_DATA0 },
    { "ring 3 data, CPL 3",   SEG_DS, G_DATA3 | 3, true,  OK, 0 },
    { "conforming, CPL 3",    SEG_DS, G_CONF | 3,  true,  OK, 0 },
};

START_TEST(test_seg_load)
{
    struct sys_env *e = sys_new(PROT);
    struct cpu *c = e->c;
    struct seg before;

    if (seg_loads[_i].user)
        sys_ring3(e);
    before = c->seg[seg_loads[_i].seg];
    expect(c, help_load_seg(c, seg_loads[_i].seg, seg_loads[_i].sel), seg_loads[_i].vector,
           seg_loads[_i].code, seg_loads[_i].what);
    if (seg_loads[_i].vector != OK)
        ck_assert_msg(!memcmp(&before, &c->seg[seg_loads[_i].seg], sizeof(before)), "changed by a fault");
    else
        ck_assert_uint_eq(c->seg[seg_loads[_i].seg].sel, seg_loads[_i].sel);
    sys_free(e);
}
END_TEST

START_TEST(test_segcheck)
{
    static const struct { uint16_t sel; uint64_t off; unsigned size; bool write; uint8_t vector; } t[] = {
        { G_DATA0, 0xfffffffc, 4, true, OK }, { G_DATA0, 0xfffffffe, 4, true, EXC_GP },
        { G_RO, 0, 1, true, EXC_GP }, { G_RO, 0, 1, false, OK }, { 0, 0, 1, false, EXC_GP },
        { G_DOWN, 0xfffff, 1, true, EXC_GP }, { G_DOWN, 0x100000, 1, true, OK },
        { G_DOWN, 0xffffffff, 1, true, OK }, { G_DOWN, 0xffffffff, 2, true, EXC_GP },
        { G_DATA16, 0xffff, 1, true, OK }, { G_DATA16, 0xffff, 2, true, EXC_GP },
        { G_CODE0, 0, 4, false, OK }, { G_CODE0, 0, 4, true, EXC_GP },
    };
    struct sys_env *e = sys_new(PROT);

    for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        const struct seg *s = &e->c->seg[SEG_DS];
        bool fast;

        ck_assert(!help_load_seg(e->c, SEG_DS, t[i].sel));
        expect(e->c, help_segcheck(e->c, SEG_DS | (t[i].write ? 0x10 : 0), t[i].off, t[i].size),
               t[i].vector, 0, "segcheck");
        fast = t[i].off + t[i].size - 1 < (t[i].write ? s->fast_w : s->fast_r);
        ck_assert_msg(!fast || t[i].vector == OK, "fast limit allows what is wrong (row %u)", i);
    }
    sys_free(e);
}
END_TEST

START_TEST(test_unreal)
{
    struct sys_env *e = sys_new(PROT);
    struct cpu *c = e->c;

    ck_assert(c->mode & M_FLAT_DS);
    ck_assert(!cr_write(c, 0, c->cr0 & ~(uint64_t)CR0_PE));
    ck_assert(!help_load_seg(c, SEG_DS, 0x1234));
    ck_assert_uint_eq(c->seg[SEG_DS].base, 0x12340);
    ck_assert_uint_eq(c->seg[SEG_DS].limit, 0xffffffff);
    ck_assert(c->seg[SEG_DS].fast_w == 0x100000000ull);
    ck_assert(!(c->mode & (M_PE | M_FLAT_DS)));
    sys_free(e);
}
END_TEST

START_TEST(test_lar_lsl)
{
    static const struct { uint16_t sel; bool user; uint64_t lar, lsl; bool r, w; } t[] = {
        { G_DATA0, false, 1ull << 32 | 0xc09300, 1ull << 32 | 0xffffffff, true, true },
        { G_DATA0, true, 0, 0, false, false },
        { G_RO, false, 1ull << 32 | 0xc09100, 1ull << 32 | 0xffffffff, true, false },
        { G_XONLY, false, 1ull << 32 | 0xc09900, 1ull << 32 | 0xffffffff, false, false },
        { G_TSS2, false, 1ull << 32 | 0x008900, 1ull << 32 | 0x67, false, false },
        { G_LDT, false, 1ull << 32 | 0x008200, 1ull << 32 | 0xff, false, false },
        { 0, false, 0, 0, false, false },
        { G_END, false, 0, 0, false, false },
        { G_CONF, true, 1ull << 32 | 0xc09f00, 1ull << 32 | 0xffffffff, true, false },
    };
    struct sys_env *e;

    for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        e = sys_new(PROT);
        if (t[i].user)
            sys_ring3(e);
        ck_assert(!help_lar(e->c, t[i].sel));
        ck_assert_uint_eq(e->c->hret, t[i].lar);
        ck_assert(!help_lsl(e->c, t[i].sel));
        ck_assert_uint_eq(e->c->hret, t[i].lsl);
        ck_assert(!help_verr(e->c, t[i].sel, 0));
        ck_assert_uint_eq(e->c->hret, t[i].r);
        ck_assert(!help_verr(e->c, t[i].sel, 1));
        ck_assert_uint_eq(e->c->hret, t[i].w);
        sys_free(e);
    }
}
END_TEST

/* ---- far transfers ---- */

static void call_gate(struct sys_env *e, unsigned type, unsigned dpl, uint16_t sel, uint32_t off,
                      unsigned params)
{
    sys_poke(e, S_GDT + G_GATE, 4, (off & 0xffff) | (uint32_t)sel << 16);
    sys_poke(e, S_GDT + G_GATE + 4, 4, (off & 0xffff0000) | 0x8000 | dpl << 13 | type << 8 | params);
    sys_poke(e, S_GDT + G_GATE + 8, 8, 0);
}

START_TEST(test_far_jmp)
{
    static const struct { const char *what; uint16_t sel; bool user; uint8_t vector; uint16_t code; } t[] = {
        { "same ring", G_CODE0, false, OK, 0 },          { "null", 3, false, EXC_GP, 0 },
        { "data", G_DATA0, false, EXC_GP, G_DATA0 },     { "outer", G_CODE3 | 3, false, EXC_GP, G_CODE3 },
        { "inner", G_CODE0, true, EXC_GP, G_CODE0 },     { "conforming from 3", G_CONF | 3, true, OK, 0 },
        { "conforming", G_CONF, false, OK, 0 },          { "beyond", 0x1f8, false, EXC_GP, 0x1f8 },
        { "LDT descriptor", G_LDT, false, EXC_GP, G_LDT },
    };

    for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        struct sys_env *e = sys_new(PROT);

        if (t[i].user)
            sys_ring3(e);
        expect(e->c, help_far_jmp(e->c, t[i].sel, 0x12345, 0x30010, 4), t[i].vector, t[i].code, t[i].what);
        ck_assert_uint_eq(e->c->rip, t[i].vector == OK ? 0x12345 : 0x30000);
        if (t[i].vector == OK)
            ck_assert_uint_eq(e->c->seg[SEG_CS].sel & 3, t[i].user ? 3 : 0);
        sys_free(e);
    }
}
END_TEST

START_TEST(test_call_gate)
{
    struct sys_env *e = sys_new(PROT);
    struct cpu *c = e->c;

    call_gate(e, DT_CALL32, 3, G_CODE0, 0x7777, 2);
    sys_ring3(e);
    c->r[R_SP] = S_STACK3 - 8;
    sys_poke(e, S_STACK3 - 8, 4, 0x11111111);
    sys_poke(e, S_STACK3 - 4, 4, 0x22222222);
    expect(c, help_far_call(c, G_GATE | 3, 0, 0x30007, 4), OK, 0, "call gate");
    ck_assert_uint_eq(c->cpl, 0);
    ck_assert_uint_eq(c->rip, 0x7777);
    ck_assert_uint_eq(c->seg[SEG_CS].sel, G_CODE0);
    ck_assert_uint_eq(c->seg[SEG_SS].sel, G_DATA0);
    ck_assert_uint_eq(c->r[R_SP], S_STACK0 - 24);
    ck_assert_uint_eq(sys_peek(e, S_STACK0 - 4, 4), G_DATA3 | 3);
    ck_assert_uint_eq(sys_peek(e, S_STACK0 - 8, 4), S_STACK3 - 8);
    ck_assert_uint_eq(sys_peek(e, S_STACK0 - 12, 4), 0x22222222);
    ck_assert_uint_eq(sys_peek(e, S_STACK0 - 16, 4), 0x11111111);
    ck_assert_uint_eq(sys_peek(e, S_STACK0 - 20, 4), G_CODE3 | 3);
    ck_assert_uint_eq(sys_peek(e, S_STACK0 - 24, 4), 0x30007);
    ck_assert_uint_eq((c->mode & M_CPL) >> M_CPL_SHIFT, 0);
    expect(c, help_far_ret(c, 8, 4), OK, 0, "retf 8");
    ck_assert_uint_eq(c->cpl, 3);
    ck_assert_uint_eq(c->rip, 0x30007);
    ck_assert_uint_eq(c->r[R_SP], S_STACK3);
    ck_assert_uint_eq(c->seg[SEG_DS].sel, G_DATA3 | 3);

    call_gate(e, DT_CALL32, 0, G_CODE0, 0x7777, 0);
    expect(c, help_far_call(c, G_GATE | 3, 0, 0x30007, 4), EXC_GP, G_GATE, "gate of ring 0");
    sys_free(e);

    e = sys_new(LONG);
    c = e->c;
    call_gate(e, DT_CALL32, 3, G_CODE0, 0x7777, 0);
    sys_ring3(e);
    expect(c, help_far_call(c, G_GATE | 3, 0, 0x30007, 4), OK, 0, "64-bit gate");
    ck_assert_uint_eq(c->r[R_SP], S_STACK0 - 32);
    ck_assert_uint_eq(c->seg[SEG_SS].sel, 0);
    ck_assert_uint_eq(sys_peek(e, S_STACK0 - 32, 8), 0x30007);
    ck_assert_uint_eq(sys_peek(e, S_STACK0 - 16, 8), S_STACK3);
    sys_free(e);
}
END_TEST

START_TEST(test_far_ret_drops)
{
    struct sys_env *e = sys_new(PROT);
    struct cpu *c = e->c;

    c->r[R_SP] = S_STACK - 16;
    sys_poke(e, S_STACK - 16, 4, 0x1000);
    sys_poke(e, S_STACK - 12, 4, G_CODE3 | 3);
    sys_poke(e, S_STACK - 8, 4, S_STACK3);
    sys_poke(e, S_STACK - 4, 4, G_DATA3 | 3);
    expect(c, help_far_ret(c, 0, 4), OK, 0, "retf to ring 3");
    ck_assert_uint_eq(c->cpl, 3);
    ck_assert_uint_eq(c->seg[SEG_DS].sel, 0);           /* ring 0 data is taken away */
    ck_assert_uint_eq(c->seg[SEG_DS].fast_r, 0);
    sys_free(e);
}
END_TEST

/* ---- delivery ---- */

static void raise_fault(struct cpu *c, unsigned vector, int code)
{
    c->fault = (struct fault){ .vector = (uint8_t)vector,
                               .has_code = code >= 0,
                               .code = code < 0 ? 0 : (uint32_t)code,
                               .cr2 = 0x5555 };
}

START_TEST(test_deliver_real)
{
    struct sys_env *e = sys_new(REAL);
    struct cpu *c = e->c;

    sys_poke(e, 6 * 4, 4, 0x20000040);
    c->eflags |= FL_IF;
    raise_fault(c, EXC_UD, -1);
    ck_assert(!cpu_deliver_fault(c));
    ck_assert_uint_eq(c->rip, 0x40);
    ck_assert_uint_eq(c->seg[SEG_CS].base, 0x20000);
    ck_assert_uint_eq(c->r[R_SP], 0x1000 - 6);
    ck_assert_uint_eq(sys_peek(e, 0x51000 - 6, 2), 0x100);
    ck_assert_uint_eq(sys_peek(e, 0x51000 - 4, 2), 0x3000);
    ck_assert_uint_eq(sys_peek(e, 0x51000 - 2, 2) & FL_IF, FL_IF);
    ck_assert_uint_eq(c->eflags & FL_IF, 0);
    ck_assert(!help_iret(c, 0, 2));
    ck_assert_uint_eq(c->rip, 0x100);
    ck_assert_uint_eq(c->seg[SEG_CS].sel, 0x3000);
    ck_assert_uint_eq(c->eflags & FL_IF, FL_IF);
    sys_free(e);
}
END_TEST

/* From each mode through a gate and back with IRET: everything is as it was. */
static const struct {
    enum sys_mode mode;
    bool user;
    int code;
    unsigned vector, frame;
    uint64_t top;
} trips[] = {
    { PROT, false, -1, EXC_UD, 12, S_STACK }, { PROT, false, 0x123, EXC_GP, 16, S_STACK },
    { PROT, true, -1, EXC_UD, 20, S_STACK0 }, { PROT, true, 7, EXC_PF, 24, S_STACK0 },
    { LONG, false, -1, EXC_UD, 40, S_STACK }, { LONG, false, 0, EXC_GP, 48, S_STACK },
    { LONG, true, -1, EXC_UD, 40, S_STACK0 }, { LONG, true, 5, EXC_PF, 48, S_STACK0 },
};

START_TEST(test_round_trip)
{
    struct sys_env *e = sys_new(trips[_i].mode);
    struct cpu *c = e->c;
    struct seg seg[SEG_COUNT];
    uint64_t sp;
    uint32_t mode;
    bool lm = trips[_i].mode == LONG;

    if (trips[_i].user)
        sys_ring3(e);
    c->eflags |= FL_IF | FL_NT * 0;
    c->flags = FL_CF | FL_ZF;
    memcpy(seg, c->seg, sizeof(seg));
    sp = c->r[R_SP];
    mode = c->mode;
    raise_fault(c, trips[_i].vector, trips[_i].code);
    ck_assert(!cpu_deliver_fault(c));
    ck_assert_uint_eq(c->cpl, 0);
    ck_assert_uint_eq(c->rip, S_HANDLER + 16 * trips[_i].vector);
    ck_assert_uint_eq(c->r[R_SP], trips[_i].top - trips[_i].frame);
    ck_assert_uint_eq(c->eflags & (FL_IF | FL_RF), 0);
    if (trips[_i].vector == EXC_PF)
        ck_assert_uint_eq(c->cr2, 0x5555);
    if (trips[_i].code >= 0) {
        ck_assert_uint_eq(sys_peek(e, c->r[R_SP], lm ? 8 : 4), (unsigned)trips[_i].code);
        c->r[R_SP] += lm ? 8 : 4;
    }
    ck_assert_uint_eq(sys_peek(e, c->r[R_SP], lm ? 8 : 4), 0x30000);
    ck_assert_uint_eq(sys_peek(e, c->r[R_SP] + (lm ? 16 : 8), 4), FL_RF | FL_IF | FL_CF | FL_ZF | FL_1);
    ck_assert(!help_iret(c, 0, lm ? 8 : 4));
    ck_assert_uint_eq(c->rip, 0x30000);
    ck_assert_uint_eq(c->r[R_SP], sp);
    ck_assert_uint_eq(c->mode, mode);
    ck_assert_uint_eq(cpu_eflags(c), FL_IF | FL_CF | FL_ZF | FL_1);     /* no breakpoints: RF is not kept */
    for (unsigned n = 0; n < SEG_COUNT; n++)
        ck_assert_msg(!memcmp(&seg[n], &c->seg[n], sizeof(seg[n])), "segment %u differs", n);
    sys_free(e);
}
END_TEST

START_TEST(test_v86)
{
    struct sys_env *e = sys_new(PROT);
    struct cpu *c = e->c;

    sys_v86(e, 3);
    raise_fault(c, EXC_GP, 0);
    ck_assert(!cpu_deliver_fault(c));
    ck_assert_uint_eq(c->cpl, 0);
    ck_assert(!cpu_vm(c));
    ck_assert_uint_eq(c->r[R_SP], S_STACK0 - 40);
    ck_assert_uint_eq(sys_peek(e, S_STACK0 - 4, 4), 0x3500);    /* GS */
    ck_assert_uint_eq(sys_peek(e, S_STACK0 - 16, 4), 0x3000);   /* ES */
    ck_assert_uint_eq(sys_peek(e, S_STACK0 - 20, 4), 0x3200);   /* SS */
    ck_assert_uint_eq(c->seg[SEG_DS].sel, 0);
    c->r[R_SP] += 4;
    ck_assert(!help_iret(c, 0, 4));
    ck_assert(cpu_vm(c));
    ck_assert_uint_eq(c->cpl, 3);
    ck_assert_uint_eq(c->rip, 0x100);
    ck_assert_uint_eq(c->r[R_SP], 0x1000);
    ck_assert_uint_eq(c->seg[SEG_GS].sel, 0x3500);
    ck_assert_uint_eq(c->seg[SEG_GS].base, 0x35000);
    ck_assert(c->mode & M_VM);

    /* INT n: IOPL < 3 is #GP; with VME the bitmap redirects it to the program's table. */
    c->eflags &= ~FL_IOPL;
    expect(c, help_int_n(c, 0x21, 0x102, INT_KIND_N), EXC_GP, 0, "INT with IOPL 0");
    c->cr4 |= CR4_VME;
    c->eflags |= FL_VIF;
    sys_poke(e, 0x21 * 4, 4, 0x40001234);
    expect(c, help_int_n(c, 0x21, 0x102, INT_KIND_N), OK, 0, "redirected INT");
    ck_assert_uint_eq(c->rip, 0x1234);
    ck_assert_uint_eq(c->seg[SEG_CS].sel, 0x4000);
    ck_assert_uint_eq(sys_peek(e, 0x32000 + 0x1000 - 2, 2), FL_IOPL | FL_IF | FL_1);
    ck_assert_uint_eq(c->eflags & FL_VIF, 0);
    expect(c, help_iret(c, 0, 2), OK, 0, "VME IRET");
    ck_assert_uint_eq(c->eflags & FL_VIF, FL_VIF);
    ck_assert_uint_eq(c->rip, 0x102);
    expect(c, help_cli(c), OK, 0, "VME CLI");
    ck_assert_uint_eq(c->eflags & FL_VIF, 0);
    c->eflags |= FL_VIP;
    expect(c, help_sti(c), EXC_GP, 0, "VME STI with VIP");
    sys_free(e);
}
END_TEST

START_TEST(test_ist_and_soft)
{
    struct sys_env *e = sys_new(LONG);
    struct cpu *c = e->c;

    sys_gate(e, 8, 0xe, 0, G_CODE0, 1);
    c->r[R_SP] = 0x51237;
    expect(c, deliver_vector(c, 8, false, 1, true, 0, c->rip), OK, 0, "IST");
    ck_assert_uint_eq(c->r[R_SP], S_IST1 - 48);
    ck_assert_uint_eq(sys_peek(e, S_IST1 - 16, 8), 0x51237);
    ck_assert_uint_eq(c->seg[SEG_SS].sel, G_DATA0);     /* no privilege change: SS stays */

    sys_ring3(e);
    expect(c, help_int_n(c, 0x30, 0x30002, INT_KIND_N), EXC_GP, 0x30 * 8 + 2, "INT to a ring 0 gate");
    expect(c, help_int_n(c, 3, 0x30001, INT_KIND_INT3), OK, 0, "INT3");
    ck_assert_uint_eq(c->cpl, 0);
    ck_assert_uint_eq(c->seg[SEG_SS].sel, 0);
    ck_assert_uint_eq(sys_peek(e, S_STACK0 - 40, 8), 0x30001);

    sys_ring3(e);
    sys_gate(e, 14, 0xe, 0, G_CODE3, 0);                /* 32-bit code in an IDT gate */
    expect(c, deliver_vector(c, 14, false, 1, true, 0, 0), EXC_GP, G_CODE3 | 1, "gate to compatibility code");
    sys_free(e);
}
END_TEST

/* first exception, then which gates are broken: what must come out */
START_TEST(test_nesting)
{
    static const struct { uint8_t first; uint8_t broken[3]; int got; } t[] = {
        { EXC_GP, { EXC_GP }, EXC_DF },             /* contributory + contributory (#NP of the gate) */
        { EXC_UD, { EXC_UD }, EXC_NP },             /* benign, then #NP alone */
        { EXC_PF, { EXC_PF }, EXC_DF },             /* page fault + contributory */
        { EXC_GP, { EXC_GP, EXC_DF }, -1 },         /* and no double-fault handler: shutdown */
        { EXC_UD, { EXC_UD, EXC_NP }, EXC_DF },     /* benign, #NP, #NP */
        { EXC_UD, { EXC_UD, EXC_NP, EXC_DF }, -1 },
    };

    for (unsigned m = PROT; m <= LONG; m++) {
        for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
            struct sys_env *e = sys_new((enum sys_mode)m);
            struct cpu *c = e->c;
            bool down;

            for (unsigned k = 0; k < 3 && t[i].broken[k]; k++) {
                uint64_t at = S_IDT + t[i].broken[k] * (m == LONG ? 16u : 8u) + 5;

                sys_poke(e, at, 1, sys_peek(e, at, 1) & 0x7f);
            }
            raise_fault(c, t[i].first, t[i].first == EXC_UD ? -1 : 0);
            down = cpu_deliver_fault(c);
            ck_assert_int_eq(down, t[i].got < 0);
            if (down) {
                ck_assert_uint_ge(c->chain_len, 3);
                ck_assert_uint_eq(c->chain[0].vector, t[i].first);
            } else {
                ck_assert_uint_eq(c->rip, S_HANDLER + 16u * (unsigned)t[i].got);
            }
            sys_free(e);
        }
    }
}
END_TEST

START_TEST(test_interrupt)
{
    struct sys_env *e = sys_new(LONG);
    struct cpu *c = e->c;

    e->vector = 0x41;
    c->intr_pending = 1;
    c->attn = ATTN_INTR;
    c->halted = 1;
    ck_assert(!cpu_take_interrupt(c));                  /* IF = 0 */
    ck_assert_uint_eq(c->attn, 0);
    ck_assert_uint_eq(c->intr_pending, 1);
    ck_assert(c->halted);
    c->r[R_BX] = FL_IF | FL_1;
    ck_assert(!help_popf(c, FL_IF, 8));
    ck_assert_uint_eq(c->hret, 1);
    ck_assert_uint_eq(c->attn, ATTN_INTR);
    ck_assert(cpu_take_interrupt(c));
    ck_assert_uint_eq(c->rip, S_HANDLER + 16 * 0x41);
    ck_assert_uint_eq(c->attn, 0);
    ck_assert(!c->halted);
    ck_assert_uint_eq(c->eflags & FL_IF, 0);

    c->nmi_pending = 1;
    c->attn = ATTN_NMI;
    ck_assert(cpu_take_interrupt(c));
    ck_assert_uint_eq(c->rip, S_HANDLER + 16 * 2);
    c->nmi_pending = 1;
    c->attn = ATTN_NMI;
    ck_assert(!cpu_take_interrupt(c));                  /* blocked until IRET */
    ck_assert(!help_iret(c, 0, 8));
    ck_assert_uint_eq(c->attn, ATTN_NMI);
    ck_assert(cpu_take_interrupt(c));
    sys_free(e);
}
END_TEST

/* ---- tasks ---- */

static void make_task(struct sys_env *e, uint32_t eip, uint32_t esp, unsigned trap)
{
    static const uint16_t seg[6] = { G_DATA0, G_CODE0, G_DATA0, G_DATA0, 0, 0 };

    sys_poke(e, S_TSS2 + 0x20, 4, eip);
    sys_poke(e, S_TSS2 + 0x24, 4, FL_1 | FL_CF);
    for (unsigned i = 0; i < 8; i++)
        sys_poke(e, S_TSS2 + 0x28 + 4 * i, 4, 0x1000 + i);
    sys_poke(e, S_TSS2 + 0x38, 4, esp);
    for (unsigned i = 0; i < 6; i++)
        sys_poke(e, S_TSS2 + 0x48 + 4 * i, 2, seg[i]);
    sys_poke(e, S_TSS2 + 0x64, 2, trap);
}

static unsigned tss_type(struct sys_env *e, unsigned sel)
{
    return sys_peek(e, S_GDT + sel + 5, 1) & 15;
}

START_TEST(test_task_call)
{
    struct sys_env *e = sys_new(PROT);
    struct cpu *c = e->c;

    make_task(e, 0x44444, 0x48000, 0);
    c->r[R_AX] = 0xabcd;
    ck_assert_uint_eq(tss_type(e, G_TSS), DT_TSS32_BUSY);
    expect(c, help_far_call(c, G_TSS2, 0, 0x30007, 4), OK, 0, "CALL TSS");
    ck_assert_uint_eq(c->rip, 0x44444);
    ck_assert_uint_eq(c->r[R_SP], 0x48000);
    ck_assert_uint_eq(c->r[R_AX], 0x1000);
    ck_assert_uint_eq(cpu_eflags(c), FL_1 | FL_CF | FL_NT);
    ck_assert(c->cr0 & CR0_TS);
    ck_assert(c->mode & M_NM_X87);
    ck_assert_uint_eq(c->seg[SEG_TR].sel, G_TSS2);
    ck_assert_uint_eq(tss_type(e, G_TSS), DT_TSS32_BUSY);
    ck_assert_uint_eq(tss_type(e, G_TSS2), DT_TSS32_BUSY);
    ck_assert_uint_eq(sys_peek(e, S_TSS2, 2), G_TSS);           /* back link */
    ck_assert_uint_eq(sys_peek(e, S_TSS + 0x20, 4), 0x30007);
    ck_assert_uint_eq(sys_peek(e, S_TSS + 0x28, 4), 0xabcd);
    expect(c, help_far_call(c, G_TSS, 0, 0x44450, 4), EXC_GP, G_TSS, "CALL a busy task");
    expect(c, help_iret(c, 0x44448, 4), OK, 0, "IRET to the caller");
    ck_assert_uint_eq(c->rip, 0x30007);
    ck_assert_uint_eq(c->r[R_AX], 0xabcd);
    ck_assert_uint_eq(tss_type(e, G_TSS2), DT_TSS32);
    ck_assert_uint_eq(sys_peek(e, S_TSS2 + 0x24, 4) & FL_NT, 0);
    ck_assert_uint_eq(c->eflags & FL_NT, 0);
    sys_free(e);
}
END_TEST

START_TEST(test_task_jmp_gate_trap)
{
    struct sys_env *e = sys_new(PROT);
    struct cpu *c = e->c;

    make_task(e, 0x44444, 0x48000, 1);
    sys_poke(e, S_GDT + G_TASKGATE, 4, G_TSS2 << 16);
    sys_poke(e, S_GDT + G_TASKGATE + 4, 4, 0x8500);
    expect(c, help_far_jmp(c, G_TASKGATE, 0, 0x30007, 4), EXC_DB, 0, "T bit");
    ck_assert(c->fault.trap);
    ck_assert_uint_eq(c->fault.rip, 0x44444);
    ck_assert_uint_eq(c->fault.dr6, 1u << 15);
    ck_assert_uint_eq(c->rip, 0x44444);
    ck_assert_uint_eq(tss_type(e, G_TSS), DT_TSS32);
    ck_assert_uint_eq(c->eflags & FL_NT, 0);
    sys_free(e);

    /* A bad SS in the new task: #TS there. */
    e = sys_new(PROT);
    c = e->c;
    make_task(e, 0x44444, 0x48000, 0);
    sys_poke(e, S_TSS2 + 0x50, 2, G_RO);
    expect(c, help_far_jmp(c, G_TSS2, 0, 0x30007, 4), EXC_TS, G_RO, "bad SS in the TSS");
    ck_assert(c->fault.trap);
    ck_assert_uint_eq(c->seg[SEG_TR].sel, G_TSS2);
    ck_assert(!cpu_deliver_fault(c) || c->chain_len);
    sys_free(e);
}
END_TEST

START_TEST(test_task_interrupt)
{
    struct sys_env *e = sys_new(PROT);
    struct cpu *c = e->c;

    make_task(e, 0x44444, 0x48000, 0);
    sys_poke(e, S_IDT + 8 * EXC_DF, 4, G_TSS2 << 16);
    sys_poke(e, S_IDT + 8 * EXC_DF + 4, 4, 0x8500);
    sys_ring3(e);
    raise_fault(c, EXC_DF, 0);
    ck_assert(!cpu_deliver_fault(c));
    ck_assert_uint_eq(c->rip, 0x44444);
    ck_assert_uint_eq(c->cpl, 0);
    ck_assert_uint_eq(c->r[R_SP], 0x48000 - 4);         /* the error code */
    ck_assert(c->eflags & FL_NT);
    ck_assert_uint_eq(sys_peek(e, S_TSS + 0x20, 4), 0x30000);
    sys_free(e);
}
END_TEST

/* ---- fast system calls ---- */

START_TEST(test_syscall)
{
    struct sys_env *e = sys_new(LONG);
    struct cpu *c = e->c;
    uint32_t mode;

    sys_ring3(e);
    c->star = 0x0013000800000000ull;
    c->lstar = 0xffffffff81000000ull;
    c->sfmask = FL_IF | FL_TF | FL_DF;
    c->eflags |= FL_IF | FL_DF;
    c->flags = FL_CF;
    mode = c->mode;
    expect(c, help_syscall(c, 0x30002), OK, 0, "SYSCALL");
    ck_assert_uint_eq(c->rip, c->lstar);
    ck_assert_uint_eq(c->r[R_CX], 0x30002);
    ck_assert_uint_eq(c->r[R_11], FL_IF | FL_DF | FL_CF | FL_1);
    ck_assert_uint_eq(cpu_eflags(c), FL_CF | FL_1);
    ck_assert_uint_eq(c->cpl, 0);
    ck_assert_uint_eq(c->seg[SEG_CS].sel, 8);
    ck_assert_uint_eq(c->seg[SEG_SS].sel, 16);
    ck_assert_uint_eq(c->mode & M_CODE, M_CODE64);
    expect(c, help_sysret(c, 8), OK, 0, "SYSRET");
    ck_assert_uint_eq(c->rip, 0x30002);
    ck_assert_uint_eq(c->cpl, 3);
    ck_assert_uint_eq(c->seg[SEG_CS].sel, 0x23);
    ck_assert_uint_eq(c->seg[SEG_SS].sel, 0x1b);
    ck_assert_uint_eq(c->mode, mode);
    ck_assert(c->eflags & FL_IF);
    c->cpl = 0;
    c->r[R_CX] = 0x800000000000ull;
    expect(c, help_sysret(c, 8), EXC_GP, 0, "SYSRET to a non-canonical address");
    c->efer &= ~(uint64_t)EFER_SCE;
    expect(c, help_syscall(c, 0), EXC_UD, 0, "SYSCALL without SCE");
    sys_free(e);

    e = sys_new(PROT);
    c = e->c;
    sys_ring3(e);
    expect(c, help_sysenter(c), EXC_GP, 0, "SYSENTER without CS");
    c->sysenter_cs = G_CODE0;
    c->sysenter_esp = 0x1111;
    c->sysenter_eip = 0x2222;
    expect(c, help_sysenter(c), OK, 0, "SYSENTER");
    ck_assert_uint_eq(c->rip, 0x2222);
    ck_assert_uint_eq(c->r[R_SP], 0x1111);
    ck_assert_uint_eq(c->cpl, 0);
    c->r[R_CX] = 0x3333;
    c->r[R_DX] = 0x4444;
    expect(c, help_sysexit(c, 4), OK, 0, "SYSEXIT");
    ck_assert_uint_eq(c->rip, 0x4444);
    ck_assert_uint_eq(c->seg[SEG_CS].sel, (G_CODE0 + 16) | 3);
    ck_assert_uint_eq(c->cpl, 3);
    sys_free(e);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sys");
    TCase *t = tcase_create("sys");

    tcase_add_loop_test(t, test_seg_load, 0, sizeof(seg_loads) / sizeof(seg_loads[0]));
    tcase_add_loop_test(t, test_round_trip, 0, sizeof(trips) / sizeof(trips[0]));
    tcase_add_test(t, test_segcheck);
    tcase_add_test(t, test_unreal);
    tcase_add_test(t, test_lar_lsl);
    tcase_add_test(t, test_far_jmp);
    tcase_add_test(t, test_call_gate);
    tcase_add_test(t, test_far_ret_drops);
    tcase_add_test(t, test_deliver_real);
    tcase_add_test(t, test_v86);
    tcase_add_test(t, test_ist_and_soft);
    tcase_add_test(t, test_nesting);
    tcase_add_test(t, test_interrupt);
    tcase_add_test(t, test_task_call);
    tcase_add_test(t, test_task_jmp_gate_trap);
    tcase_add_test(t, test_task_interrupt);
    tcase_add_test(t, test_syscall);
    suite_add_tcase(s, t);
    return run_suite(s);
}
