/*
 * test_sys_smm.c - system management mode: entry, save area, RSM, what is blocked meanwhile.
 * AMD64 manual vol. 2, 10.2 and 10.3.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "tests/run_suite.h"
#include "tests/sys/sys_env.h"

#define CODE   0x30000u
#define BASE   0xb0000u         /* SMBASE of the tests */
#define ENTRY  (BASE + 0x8000)
#define COUNT  0x90000u         /* handlers count here */

static void raise_smi(struct cpu *c)
{
    c->smi_pending = 1;
    __atomic_fetch_or(&c->attn, ATTN_SMI, __ATOMIC_SEQ_CST);
}

/* ---- the state ---- */

static const struct { const char *what; enum sys_mode mode; bool user, v86; } from[] = {
    { "real", REAL, false, false },     { "ring 0", PROT, false, false }, { "ring 3", PROT, true, false },
    { "virtual-8086", PROT, true, true }, { "long", LONG, false, false }, { "long ring 3", LONG, true, false },
};

/* In and out again changes nothing. */
START_TEST(test_round_trip)
{
    struct sys_env *e = sys_new(from[_i].mode);
    struct cpu *c = e->c;
    static struct cpu was;

    if (from[_i].v86)
        sys_v86(e, 2);
    else if (from[_i].user)
        sys_ring3(e);
    c->smbase = BASE;
    for (unsigned n = 0; n < 16; n++)
        c->r[n] = 0x0123456789abcdefull * (n + 3);
    c->dr[0] = 0x1000;
    c->dr[6] = 0xffff4ff1;
    c->dr[7] = 0x00030703;
    c->cr4 |= CR4_DE | CR4_MCE;
    c->seg[SEG_FS].base = 0x55aa;
    cpu_set_eflags(c, cpu_eflags(c) | FL_IF | FL_CF | FL_OF | FL_DF | FL_ID);
    cpu_update_mode(c);
    was = *c;
    cpu_enter_smm(c);
    ck_assert(c->smm && c->nmi_blocked);
    ck_assert_uint_eq(c->rip, 0x8000);
    ck_assert_uint_eq(c->seg[SEG_CS].sel, BASE >> 4);
    ck_assert_uint_eq(c->seg[SEG_CS].base, BASE);
    for (unsigned n = 0; n < SEG_LDTR; n++)
        ck_assert_uint_eq(c->seg[n].limit, 0xffffffff);
    ck_assert_uint_eq(c->seg[SEG_DS].base, 0);
    ck_assert_uint_eq(c->cr0, was.cr0 & ~(uint64_t)(CR0_PE | CR0_PG | CR0_EM | CR0_TS));
    ck_assert(!c->cr4 && !c->efer && !c->cpl && c->dr[7] == 0x400);
    ck_assert_uint_eq(cpu_eflags(c), FL_1);
    ck_assert_uint_eq(c->mode & (M_CODE | M_PE | M_CPL | M_LMA), M_CODE16);
    ck_assert_uint_eq(sys_peek(e, BASE + 0xfefc, 4), 0x20064);
    ck_assert_uint_eq(sys_peek(e, BASE + 0xff00, 4), BASE);
    ck_assert_uint_eq(sys_peek(e, BASE + 0xfff8, 8), was.r[R_AX]);
    ck_assert_uint_eq(sys_peek(e, BASE + 0xff80, 8), was.r[15]);
    ck_assert_uint_eq(sys_peek(e, BASE + 0xff78, 8), was.rip);
    ck_assert_uint_eq(sys_peek(e, BASE + 0xff70, 8), cpu_eflags(&was));
    ck_assert_uint_eq(sys_peek(e, BASE + 0xfe10, 2), was.seg[SEG_CS].sel);
    ck_assert_uint_eq(sys_peek(e, BASE + 0xfe12, 2), was.seg[SEG_CS].attr);
    ck_assert_uint_eq(sys_peek(e, BASE + 0xfe24, 4), was.seg[SEG_SS].limit);
    ck_assert_uint_eq(sys_peek(e, BASE + 0xfe48, 8), 0x55aa);
    ck_assert_uint_eq(sys_peek(e, BASE + 0xfe88, 8), was.idt.base);
    ck_assert_uint_eq(sys_peek(e, BASE + 0xfe64, 2), was.gdt.limit);
    ck_assert_uint_eq(sys_peek(e, BASE + 0xfed0, 8), was.efer);
    ck_assert_uint_eq(sys_peek(e, BASE + 0xff60, 8), was.dr[7]);
    ck_assert_uint_eq(sys_peek(e, BASE + 0xfec9, 1), 0);
    memset(c->r, 0, sizeof(c->r));
    c->cr2 = 0x1234;                    /* not in the area: the handler's business */
    expect(c, help_rsm(c), OK, 0, "rsm");
    ck_assert_msg(!memcmp(c->r, was.r, sizeof(c->r)), "%s: general registers", from[_i].what);
    for (unsigned n = 0; n < SEG_COUNT; n++) {
        const struct seg *x = &c->seg[n], *y = &was.seg[n];

        ck_assert_msg(x->sel == y->sel && x->attr == y->attr && x->limit == y->limit && x->base == y->base &&
                      (n >= SEG_LDTR || (x->fast_r == y->fast_r && x->fast_w == y->fast_w)),
                      "%s: segment %u", from[_i].what, n);
    }
    ck_assert(c->rip == was.rip && cpu_eflags(c) == cpu_eflags(&was) && c->cpl == was.cpl && c->mode == was.mode);
    ck_assert(c->cr0 == was.cr0 && c->cr3 == was.cr3 && c->cr4 == was.cr4 && c->efer == was.efer);
    ck_assert(!memcmp(c->dr, was.dr, sizeof(c->dr)) && c->gdt.base == was.gdt.base && c->idt.limit == was.idt.limit);
    ck_assert(!c->smm && !c->nmi_blocked && !c->halted && c->smbase == BASE);
    ck_assert_uint_eq(e->m.stop, STOP_NONE);
    expect(c, help_rsm(c), EXC_UD, 0, "rsm outside");
    sys_free(e);
}
END_TEST

/* RSM to what cannot be shuts down. */
START_TEST(test_impossible)
{
    static const struct { uint32_t at; uint64_t bits; } bad[] = {
        { 0xff58, CR0_PG }, { 0xff58, CR0_NW }, { 0xff48, 1u << 31 }, { 0xfed0, EFER_LMA }, { 0xfed0, 2 },
    };
    struct sys_env *e = sys_new(REAL);
    struct cpu *c = e->c;

    c->smbase = BASE;
    c->cr0 &= ~(uint64_t)CR0_CD & ~(uint64_t)CR0_NW;
    cpu_enter_smm(c);
    sys_poke(e, BASE + bad[_i].at, 8, sys_peek(e, BASE + bad[_i].at, 8) | bad[_i].bits);
    expect(c, help_rsm(c), OK, 0, "rsm");
    ck_assert_uint_eq(e->m.stop, STOP_TRIPLE);
    sys_free(e);
}
END_TEST

/* ---- programs ---- */

static uint64_t port_read(void *dev, uint64_t off, unsigned size) { return 0xff; }
static void port_write(void *dev, uint64_t off, uint64_t val, unsigned size) { raise_smi(((struct sys_env *)dev)->c); }

static struct sys_env *begin(enum sys_mode mode, bool interp)
{
    static const struct io_ops port = { port_read, port_write, 1, LOG_DEV_NONE };
    struct sys_env *e = sys_new(mode);

    sys_exec(e, interp);
    ports_map(e->m.ports, 0xb2, 1, &port, e, "apm");
    e->c->smbase = BASE;
    return e;
}

/*
 * Memory of its own in SMM: at A0000 another page is seen there.
 *   main:    call 0xa0000; out %al,$0xb2; call 0xa0000; mov %rax,%rbx; hlt
 *   a0000:   inc %edx; ret
 *   handler: ljmp $0xa000,$0
 *   a0000:   incl 0x90000; mov $0xb0000,%ebx; mov 0xfff8(%ebx),%eax; inc %eax; mov %eax,0xfff8(%ebx); rsm
 */
static uint8_t smram[4096] __attribute__((aligned(4096)));
static struct map *overlay;

/* A board that swaps the memory for all; the other way is phys_smm_ram(), for the processor alone. */
static void smi_act(struct machine *m, unsigned cpu, bool on)
{
    ck_assert(map_move(overlay, 0xa0000, on));
}

static void run_smram(int _i, bool swapped)
{
    static const uint8_t code[] = { 0xe8, 0xfb, 0xff, 0x06, 0, 0xe6, 0xb2, 0xe8, 0xf4, 0xff, 0x06, 0, 0x48, 0x89, 0xc3,
                                    0xf4 };
    static const uint8_t outside[] = { 0xff, 0xc2, 0xc3 }, handler[] = { 0xea, 0x00, 0x00, 0x00, 0xa0 };
    static const uint8_t inside[] = { 0x67, 0x66, 0xff, 0x05, 0, 0, 0x09, 0, 0x66, 0xbb, 0, 0, 0x0b, 0,
                                      0x67, 0x66, 0x8b, 0x83, 0xf8, 0xff, 0, 0, 0x66, 0x40,
                                      0x67, 0x66, 0x89, 0x83, 0xf8, 0xff, 0, 0, 0x0f, 0xaa };
    struct sys_env *e = begin(LONG, _i);
    struct cpu *c = e->c;
    uint8_t seen;

    memcpy(e->ram + CODE, code, sizeof(code));
    memcpy(e->ram + 0xa0000, outside, sizeof(outside));
    memcpy(e->ram + ENTRY, handler, sizeof(handler));
    memcpy(smram, inside, sizeof(inside));
    if (swapped) {
        overlay = phys_map_ram(e->m.phys, 0xa0000, sizeof(smram), smram, true, "smram");
        ck_assert(map_move(overlay, 0xa0000, false));
        e->m.smi_act = smi_act;
    } else {
        phys_smm_ram(e->m.phys, 0xa0000, sizeof(smram), smram);
        phys_smm_show(e->m.phys, true, true);
    }
    c->r[R_DX] = 0;
    c->r[R_AX] = 0x41;
    sys_run(e);
    ck_assert(phys_read(e->m.phys, 0xa0000, &seen, 1));
    ck_assert_uint_eq(seen, outside[0]);
    ck_assert_uint_eq(c->r[R_DX], 2);
    ck_assert_uint_eq(sys_peek(e, COUNT, 4), 1);
    ck_assert_uint_eq(c->r[R_BX], 0x42);        /* the handler changed the saved RAX */
    sys_free(e);
}

START_TEST(test_smram) { run_smram(_i, true); } END_TEST
START_TEST(test_smram_own) { run_smram(_i, false); } END_TEST

/*
 * The handler and the state are in such memory, too; what others see there is neither read nor written. With
 * fetches only, the handler's data accesses go outside:
 *   addr32 incl 0xa0100; rsm
 */
START_TEST(test_smram_state)
{
    static const uint8_t code[] = { 0xe6, 0xb2, 0x90, 0xf4 };
    static const uint8_t handler[] = { 0x67, 0x66, 0xff, 0x05, 0x00, 0x01, 0x0a, 0x00, 0x0f, 0xaa };
    static uint8_t own[0x10000] __attribute__((aligned(4096)));

    for (unsigned data = 0; data < 2; data++) {
        struct sys_env *e = begin(PROT, _i);
        uint8_t *outside = e->ram + 0xa0000;

        memset(own, 0, sizeof(own));
        memset(outside, 0x5a, sizeof(own));
        memcpy(e->ram + CODE, code, sizeof(code));
        memcpy(own + 0x8000, handler, sizeof(handler));
        memcpy(outside + 0x8000, handler, sizeof(handler));     /* D_CLS: only fetches are inside */
        phys_smm_ram(e->m.phys, 0xa0000, sizeof(own), own);
        phys_smm_show(e->m.phys, true, data);
        e->c->smbase = 0xa0000;
        sys_run(e);
        ck_assert_uint_eq(e->c->rip, CODE + 4);
        ck_assert_uint_eq(own[0x100], data);
        ck_assert_uint_eq(outside[0x100], data ? 0x5a : 0x5b);
        ck_assert_uint_eq(own[0xfefc], data ? 0x64 : 0);        /* the revision */
        ck_assert_uint_eq(outside[0xfefc], data ? 0x5a : 0x64);
        sys_free(e);
    }
}
END_TEST

/* The same with memory at the top of RAM: outside SMM it is not there for anybody; addr32 incl 0xc0100; rsm */
START_TEST(test_tseg)
{
    static const uint8_t code[] = { 0xe6, 0xb2, 0x90, 0xf4 };
    static const uint8_t handler[] = { 0x67, 0x66, 0xff, 0x05, 0x00, 0x01, 0x0c, 0x00, 0x0f, 0xaa };
    struct sys_env *e = begin(PROT, _i);
    uint8_t *own = e->ram + 0xc0000;
    uint32_t v = 0;

    memcpy(e->ram + CODE, code, sizeof(code));
    memset(own, 0, 0x20000);
    memcpy(own + 0x8000, handler, sizeof(handler));
    ck_assert(phys_tseg(e->m.phys, 0xc0000, 0x20000, own));
    e->c->smbase = 0xc0000;
    sys_run(e);
    ck_assert_uint_eq(e->c->rip, CODE + 4);
    ck_assert_uint_eq(own[0x100], 1);
    ck_assert_uint_eq(own[0xfefc], 0x64);
    ck_assert(phys_read(e->m.phys, 0xc0100, &v, 4) && v == 0xffffffff);
    ck_assert(!phys_dma_read(e->m.phys, 0xc0100, &v, 4) && !phys_dma_write(e->m.phys, 0xc0100, &v, 4));
    phys_write(e->m.phys, 0xc0100, &v, 4);
    ck_assert_uint_eq(own[0x100], 1);
    ck_assert(phys_tseg(e->m.phys, 0, 0, NULL));
    ck_assert(phys_dma_read(e->m.phys, 0xc0100, &v, 4) && v == 1);
    sys_free(e);
}
END_TEST

/* HLT goes on waiting behind RSM, unless the handler clears the flag: hlt; inc %ecx; hlt */
static const uint8_t halting[] = { 0xf4, 0xff, 0xc1, 0xf4 };
/* addr32 incl 0x90000; rsm          and with movb $0,%cs:0xfec9 before it */
static const uint8_t counting[] = { 0x67, 0x66, 0xff, 0x05, 0, 0, 0x09, 0, 0x0f, 0xaa };
static const uint8_t waking[] = { 0x2e, 0xc6, 0x06, 0xc9, 0xfe, 0x00, 0x67, 0x66, 0xff, 0x05, 0, 0, 0x09, 0, 0x0f, 0xaa };

static bool smi_once(struct sys_env *e)
{
    if (sys_peek(e, COUNT, 4))
        return false;
    raise_smi(e->c);
    return true;
}

START_TEST(test_auto_halt)
{
    for (unsigned wake = 0; wake < 2; wake++) {
        struct sys_env *e = begin(PROT, _i);
        struct cpu *c = e->c;

        memcpy(e->ram + CODE, halting, sizeof(halting));
        memcpy(e->ram + ENTRY, wake ? waking : counting, wake ? sizeof(waking) : sizeof(counting));
        e->on_halt = smi_once;
        c->r[R_CX] = 0;
        sys_run(e);
        ck_assert_uint_eq(sys_peek(e, COUNT, 4), 1);
        ck_assert_uint_eq(c->r[R_CX], wake);
        ck_assert_uint_eq(c->rip, wake ? CODE + 4 : CODE + 1);
        sys_free(e);
    }
}
END_TEST

/*
 * Blocked in SMM: a second SMI (from port B2h) and an NMI wait for RSM, in this order.
 *   handler: incl 0x90000; cmpl $1,0x90000; jne 1f; out %al,$0xb2; 1: nop; mov 0x90004,%eax; add %eax,0x90008; rsm
 *   NMI:     incl 0x90004; iret
 */
START_TEST(test_blocking)
{
    static const uint8_t code[] = { 0x90, 0x90, 0x90, 0xf4 };
    static const uint8_t handler[] = {
        0x67, 0x66, 0xff, 0x05, 0, 0, 0x09, 0, 0x67, 0x66, 0x83, 0x3d, 0, 0, 0x09, 0, 1, 0x75, 0x02, 0xe6, 0xb2, 0x90,
        0x67, 0x66, 0xa1, 4, 0, 0x09, 0, 0x67, 0x66, 0x01, 0x05, 8, 0, 0x09, 0, 0x0f, 0xaa,
    };
    static const uint8_t nmi[] = { 0xff, 0x05, 4, 0, 0x09, 0, 0xcf };
    struct sys_env *e = begin(PROT, _i);
    struct cpu *c = e->c;

    memcpy(e->ram + CODE, code, sizeof(code));
    memcpy(e->ram + ENTRY, handler, sizeof(handler));
    memcpy(e->ram + S_HANDLER + 16 * EXC_NMI, nmi, sizeof(nmi));
    raise_smi(c);
    c->nmi_pending = 1;
    __atomic_fetch_or(&c->attn, ATTN_NMI, __ATOMIC_SEQ_CST);
    sys_run(e);
    ck_assert_uint_eq(sys_peek(e, COUNT, 4), 2);
    ck_assert(!help_rdmsr(c, 0x34));
    ck_assert_uint_eq(c->hret, 2);
    ck_assert(help_wrmsr(c, 0x34, 0));
    ck_assert_uint_eq(sys_peek(e, COUNT + 4, 4), 1);
    ck_assert_uint_eq(sys_peek(e, COUNT + 8, 4), 0);    /* no NMI before or in either SMI */
    ck_assert(!c->nmi_blocked && !c->smm);
    sys_free(e);
}
END_TEST

/*
 * SMBASE moves: main: out %al,$0xb2; nop; out %al,$0xb2; nop; hlt
 *   handler: movl $0xd0000,%cs:0xff00; addr32 incl 0x90000; rsm         the second one counts at d8000
 */
START_TEST(test_relocation)
{
    static const uint8_t code[] = { 0xe6, 0xb2, 0x90, 0xe6, 0xb2, 0x90, 0xf4 };
    static const uint8_t first[] = { 0x66, 0x2e, 0xc7, 0x06, 0x00, 0xff, 0x00, 0x00, 0x0d, 0x00,
                                     0x67, 0x66, 0xff, 0x05, 0, 0, 0x09, 0, 0x0f, 0xaa };
    static const uint8_t second[] = { 0x67, 0x66, 0x81, 0x05, 0, 0, 0x09, 0, 0x10, 0, 0, 0, 0x0f, 0xaa };
    struct sys_env *e = begin(LONG, _i);

    memcpy(e->ram + CODE, code, sizeof(code));
    memcpy(e->ram + ENTRY, first, sizeof(first));
    memcpy(e->ram + 0xd8000, second, sizeof(second));
    sys_run(e);
    ck_assert_uint_eq(e->c->smbase, 0xd0000);
    ck_assert_uint_eq(sys_peek(e, COUNT, 4), 0x11);
    cpu_reset(e->c, true);
    ck_assert_uint_eq(e->c->smbase, 0xd0000);           /* INIT leaves it */
    cpu_reset(e->c, false);
    ck_assert_uint_eq(e->c->smbase, 0x30000);
    sys_free(e);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sys_smm");
    TCase *t = tcase_create("sys_smm");

    decode_init();
    tcase_add_loop_test(t, test_round_trip, 0, sizeof(from) / sizeof(from[0]));
    tcase_add_loop_test(t, test_impossible, 0, 5);
    tcase_add_engines(t, test_smram);
    tcase_add_engines(t, test_smram_own);
    tcase_add_engines(t, test_smram_state);
    tcase_add_engines(t, test_tseg);
    tcase_add_engines(t, test_auto_halt);
    tcase_add_engines(t, test_blocking);
    tcase_add_engines(t, test_relocation);
    suite_add_tcase(s, t);
    return run_suite(s);
}
