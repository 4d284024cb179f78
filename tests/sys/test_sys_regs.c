/*
 * test_sys_regs.c - control and debug registers, ports, flags, MSRs, CPUID, -cpu, saved states.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE             /* memmem() */
#endif
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/cpu_state.h"
#include "hw/clock.h"
#include "tests/run_suite.h"
#include "tests/sys/sys_env.h"

/* ---- registers ---- */

START_TEST(test_cr)
{
    static const struct { const char *what; uint8_t cr; uint64_t v; uint8_t vector; } t[] = {
        { "PG without PE", 0, CR0_PG, EXC_GP },            { "NW without CD", 0, CR0_PE | CR0_NW, EXC_GP },
        { "upper half of CR0", 0, 1ull << 32, EXC_GP },    { "reserved CR4", 4, 1u << 12, EXC_GP },
        { "PCIDE without LMA", 4, CR4_PCIDE, EXC_GP },     { "CR8 > 15", 8, 16, EXC_GP },
        { "CR8", 8, 5, OK },
        { "SMEP SMAP UMIP", 4, CR4_SMEP | CR4_SMAP | CR4_UMIP, OK },
        { "WP AM", 0, CR0_PE | CR0_WP | CR0_AM, OK },
    };
    struct sys_env *e = sys_new(PROT);

    for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++)
        expect(e->c, cr_write(e->c, t[i].cr, t[i].v), t[i].vector, 0, t[i].what);
    ck_assert_uint_eq(help_get_cr8(e->c), 5);
    ck_assert_uint_eq((e->c->mode & M_MMU) >> M_MMU_SHIFT, MMU_KERNEL);
    help_set_ac(e->c, 1);
    ck_assert_uint_eq((e->c->mode & M_MMU) >> M_MMU_SHIFT, MMU_KERNEL_NOSMAP);
    sys_free(e);

    /* The way into long mode and out again. */
    e = sys_new(PROT);
    sys_poke(e, S_PML4, 8, (S_PML4 + 0x1000) | 7);
    sys_poke(e, S_PML4 + 0x1000, 8, 0x87);
    expect(e->c, help_wrmsr(e->c, 0xc0000080, EFER_LME | EFER_NXE), OK, 0, "EFER.LME");
    expect(e->c, cr_write(e->c, 3, S_PML4), OK, 0, "CR3");
    expect(e->c, cr_write(e->c, 0, e->c->cr0 | CR0_PG), EXC_GP, 0, "PG with LME and no PAE");
    expect(e->c, cr_write(e->c, 4, CR4_PAE), OK, 0, "PAE");
    expect(e->c, cr_write(e->c, 0, e->c->cr0 | CR0_PG), OK, 0, "PG");
    ck_assert_uint_eq(e->c->efer, EFER_LME | EFER_LMA | EFER_NXE);
    ck_assert_uint_eq(e->c->mode & (M_LMA | M_CODE), M_LMA | M_CODE32);
    expect(e->c, cr_write(e->c, 4, 0), EXC_GP, 0, "PAE off in long mode");
    expect(e->c, help_wrmsr(e->c, 0xc0000080, 0), EXC_GP, 0, "LME off with PG");
    expect(e->c, cr_write(e->c, 0, CR0_PE), OK, 0, "PG off");
    ck_assert_uint_eq(e->c->efer, EFER_LME | EFER_NXE);
    sys_free(e);
}
END_TEST

START_TEST(test_debug)
{
    struct sys_env *e = sys_new(PROT);
    struct cpu *c = e->c;

    ck_assert(!help_mov_to_dr(c, 0, 0x1234));
    ck_assert(!help_mov_to_dr(c, 7, 3));
    ck_assert(c->mode & M_BRK);
    ck_assert(!help_insn_break(c, 0x1233));
    expect(c, help_insn_break(c, 0x1234), EXC_DB, 0, "instruction breakpoint");
    ck_assert_uint_eq(c->fault.dr6, 1);
    ck_assert(!c->fault.trap);
    ck_assert(!cpu_deliver_fault(c));
    ck_assert_uint_eq(c->dr[6], 0xffff0ff1);
    c->eflags |= FL_RF;
    ck_assert(!help_insn_break(c, 0x1234));
    ck_assert(!(c->eflags & FL_RF));
    ck_assert(!help_mov_to_dr(c, 7, 0x2400));           /* GD */
    expect(c, help_mov_from_dr(c, 0), EXC_DB, 0, "GD");
    ck_assert_uint_eq(c->fault.dr6, 0x2000);
    ck_assert(!cpu_deliver_fault(c));
    ck_assert(!help_mov_from_dr(c, 5));                 /* an alias of DR7 */
    ck_assert_uint_eq(c->hret, 0x400);
    c->cr4 |= CR4_DE;
    expect(c, help_mov_from_dr(c, 5), EXC_UD, 0, "DR5 with DE");
    c->eflags |= FL_TF;
    expect(c, help_single_step(c, 0x777), EXC_DB, 0, "TF");
    ck_assert(c->fault.trap);
    ck_assert(!cpu_deliver_fault(c));
    ck_assert_uint_eq(sys_peek(e, c->r[R_SP], 4), 0x777);
    ck_assert(!(c->eflags & FL_TF));
    sys_free(e);
}
END_TEST

START_TEST(test_io)
{
    struct sys_env *e = sys_new(PROT);
    struct cpu *c = e->c;

    ck_assert(!help_in(c, 0x80, 1));
    ck_assert_uint_eq(c->hret, 0xff);                   /* nobody there */
    sys_ring3(e);
    memset(e->ram + S_TSS + 0x88, 0xff, 0x100);
    e->ram[S_TSS + 0x88 + 0x80 / 8] = 0xf0;             /* ports 80h-83h allowed */
    expect(c, help_in(c, 0x80, 4), OK, 0, "allowed by the bitmap");
    expect(c, help_in(c, 0x81, 4), EXC_GP, 0, "one byte not allowed");
    expect(c, help_out(c, 0x70, 0, 1), EXC_GP, 0, "not allowed");
    expect(c, help_in(c, 0xfff0, 1), EXC_GP, 0, "beyond the bitmap");
    c->eflags |= FL_IOPL;
    expect(c, help_out(c, 0x70, 0, 1), OK, 0, "IOPL 3");
    c->r[R_CX] = 3;
    c->r[R_DI] = 0x90000;
    c->r[R_DX] = 0x80;
    expect(c, help_ins(c, 2 | STR_REP, 0), OK, 0, "rep insw");
    ck_assert_uint_eq(c->r[R_CX], 0);
    ck_assert_uint_eq(c->r[R_DI], 0x90006);
    ck_assert_uint_eq(sys_peek(e, 0x90000, 8), 0x0000ffffffffffffull);
    sys_free(e);
}
END_TEST

START_TEST(test_flags)
{
    struct sys_env *e = sys_new(PROT);
    struct cpu *c = e->c;

    sys_ring3(e);
    ck_assert(!help_popf(c, 0xffffffff, 4));
    ck_assert_uint_eq(cpu_eflags(c), FL_ARITH | FL_1 | FL_TF | FL_DF | FL_NT | FL_AC | FL_ID);
    ck_assert_uint_eq(c->hret, 1);                      /* TF: another mode */
    ck_assert(!help_popf(c, 0, 4));
    ck_assert_uint_eq(cpu_eflags(c), FL_1);
    expect(c, help_cli(c), EXC_GP, 0, "CLI at CPL 3");
    c->eflags |= FL_IOPL;
    expect(c, help_sti(c), OK, 0, "STI with IOPL 3");
    ck_assert(c->eflags & FL_IF);
    sys_free(e);
}
END_TEST

START_TEST(test_msr)
{
    static const struct { uint32_t n; uint64_t v; bool rd, wr; } t[] = {
        { 0x277, 0x0007040600070406ull, true, true }, { 0x277, 2, true, false },
        { 0xc0000082, 0x800000000000ull, true, false }, { 0xc0000102, 0xffff800000000000ull, true, true },
        { 0x10a, 0, true, false }, { 0xc0000080, 1u << 20, true, false }, { 0x49, 1, false, true },
        { 0x12345, 0, false, false }, { 0x830, 7, true, true }, { 0x2ff, 0xc06, true, true },
        { 0x200, 0xff6, true, false }, { 0x26f, 0x0606060606060606ull, true, true },
    };
    struct sys_env *e = sys_new(LONG);

    for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        expect(e->c, help_rdmsr(e->c, t[i].n), t[i].rd ? OK : EXC_GP, 0, "rdmsr");
        expect(e->c, help_wrmsr(e->c, t[i].n, t[i].v), t[i].wr ? OK : EXC_GP, 0, "wrmsr");
        if (t[i].rd && t[i].wr) {
            help_rdmsr(e->c, t[i].n);
            ck_assert_uint_eq(e->c->hret, t[i].v);
        }
    }
    help_wrmsr(e->c, 0xc0000101, 0x7000);
    ck_assert_uint_eq(e->c->seg[SEG_GS].base, 0x7000);
    help_wrmsr(e->c, 0x10, 1000000);
    help_rdtsc(e->c);
    ck_assert_uint_ge(e->c->hret, 1000000);
    sys_free(e);
}
END_TEST

/* ---- CPUID ---- */

START_TEST(test_cpuid)
{
    struct sys_env *e = sys_new(LONG);
    uint32_t r[4], s[4];
    char text[49] = "";

    cpu_model_cpuid(e->c, 0, 0, r);
    memcpy(text, &r[1], 4);
    memcpy(text + 4, &r[3], 4);
    memcpy(text + 8, &r[2], 4);
    ck_assert_str_eq(text, "GenuineIntel");
    cpu_model_cpuid(e->c, 1, 0, r);
    ck_assert_uint_eq(r[0], 0x000806f8);
    ck_assert(!(r[2] & 1u << 27));                      /* OSXSAVE follows CR4 */
    e->c->cr4 |= CR4_OSXSAVE;
    cpu_model_cpuid(e->c, 1, 0, r);
    ck_assert(r[2] & 1u << 27);
    cpu_model_cpuid(e->c, 0x80000001, 0, r);
    ck_assert(r[3] & 1u << 29);
    ck_assert(r[3] & 1u << 11);
    for (unsigned i = 0; i < 3; i++)
        cpu_model_cpuid(e->c, 0x80000002 + i, 0, (uint32_t *)(void *)(text + 16 * i));
    ck_assert_str_eq(text, "Latimer Virtual CPU");
    cpu_model_cpuid(e->c, 0x80000008, 0, r);
    ck_assert_uint_eq(r[0], 0x3000 | MMU_PA_BITS);
    cpu_model_cpuid(e->c, 0x17, 0, r);                  /* above the maximum: the highest leaf */
    cpu_model_cpuid(e->c, 0x16, 0, s);
    ck_assert(!memcmp(r, s, sizeof(r)));
    /* Nothing whose row is skipped or missing is advertised. */
    for (unsigned i = 0; i < X86_COUNT; i++) {
        const struct x86_row *row = &x86_rows[i];

        if (row->skip && row->feat)
            ck_assert_msg(!model_has(e->model, (enum x86_feat)row->feat), "%s is skipped but advertised",
                          row->name);
    }
    sys_free(e);
}
END_TEST

/* ---- what CPUID says is there, and nothing else ---- */

static const struct { const char *name; uint32_t leaf, sub; char reg; uint8_t bit, attrs; } feature[FEAT_COUNT] = {
#define FEATURE(id, names, leaf, sub, reg, bit, attrs) [FEAT_##id] = { names, leaf, sub, reg, bit, attrs },
#include "frontend/cpuid.def"
#undef FEATURE
};

/* Control register bits and MSRs that come with a feature; an MSR's value is what it may be given. */
static const struct { uint8_t feat; uint32_t cr4, efer, msr; } comes_with[] = {
    { FEAT_VME, CR4_VME, 0, 0 }, { FEAT_DE, CR4_DE, 0, 0 }, { FEAT_PSE, CR4_PSE, 0, 0 },
    { FEAT_TSC, CR4_TSD, 0, 0x10 }, { FEAT_MCE, CR4_MCE, 0, 0 }, { FEAT_PGE, CR4_PGE, 0, 0 },
    { FEAT_APIC, 0, 0, 0x1b }, { FEAT_SEP, 0, 0, 0x174 }, { FEAT_MTRR, 0, 0, 0x2ff }, { FEAT_MCA, 0, 0, 0x179 },
    { FEAT_PAT, 0, 0, 0x277 }, { FEAT_FXSR, CR4_OSFXSR, 0, 0 }, { FEAT_SSE, CR4_OSXMMEXCPT, 0, 0 },
    { FEAT_PCID, CR4_PCIDE, 0, 0 }, { FEAT_X2APIC, 0, 0, 0x802 }, { FEAT_TSC_DEADLINE, 0, 0, 0x6e0 },
    { FEAT_XSAVE, CR4_OSXSAVE, 0, 0 }, { FEAT_FSGSBASE, CR4_FSGSBASE, 0, 0 }, { FEAT_TSC_ADJUST, 0, 0, 0x3b },
    { FEAT_SMEP, CR4_SMEP, 0, 0 }, { FEAT_SMAP, CR4_SMAP, 0, 0 }, { FEAT_UMIP, CR4_UMIP, 0, 0 },
    { FEAT_SPEC_CTRL, 0, 0, 0x49 }, { FEAT_ARCH_CAPABILITIES, 0, 0, 0x10a }, { FEAT_SYSCALL, 0, EFER_SCE, 0xc0000082 },
    { FEAT_NX, 0, EFER_NXE, 0 }, { FEAT_RDTSCP, 0, 0, 0xc0000103 },
    { FEAT_KVMCLOCK, 0, 0, 0x4b564d01 },
};

static uint32_t cpuid_bit(struct sys_env *e, unsigned f)
{
    uint32_t r[4];

    cpu_model_cpuid(e->c, feature[f].leaf, feature[f].sub, r);
    return r[feature[f].reg - 'a'] >> feature[f].bit & 1;
}

/* Can anything decode to a row that needs f? */
static unsigned rows_of(unsigned f)
{
    unsigned n = 0;

    for (unsigned i = 0; i < X86_COUNT; i++)
        n += x86_rows[i].feat == f && !x86_rows[i].skip;
    return n;
}

START_TEST(test_features)
{
    for (unsigned f = 1; f < FEAT_COUNT; f++) {
        bool known = feature[f].attrs & (FA_OK | FA_DYN), dynamic = f == FEAT_HT || f == FEAT_OSXSAVE;
        size_t len = strcspn(feature[f].name, " ");

        ck_assert_msg(known || !rows_of(f), "%s: instructions exist but are not advertised", feature[f].name);
        for (unsigned on = 0; on < 2 && (feature[f].attrs & FA_OK); on++) {
            char spec[80];
            struct sys_env *e;

            snprintf(spec, sizeof(spec), "latimer64,%c%.*s", on ? '+' : '-', (int)len, feature[f].name);
            sys_model = spec;
            e = sys_new(f == FEAT_LM || f == FEAT_PAE ? PROT : LONG);
            ck_assert_msg(dynamic || (f == FEAT_SYSCALL && !cpu_64(e->c)) || cpuid_bit(e, f) == on, "%s: CPUID says %u",
                          spec, !on);
            for (unsigned k = 0; k < sizeof(comes_with) / sizeof(comes_with[0]); k++) {
                uint64_t v;

                if (comes_with[k].feat != f)
                    continue;
                if (comes_with[k].cr4)
                    expect(e->c, cr_write(e->c, 4, e->c->cr4 | comes_with[k].cr4), on ? OK : EXC_GP, 0, spec);
                if (comes_with[k].efer)
                    expect(e->c, help_wrmsr(e->c, 0xc0000080, (e->c->efer & ~(uint64_t)EFER_SCE) | comes_with[k].efer),
                           on ? OK : EXC_GP, 0, spec);
                if (comes_with[k].msr == 0x49)          /* write-only */
                    expect(e->c, help_wrmsr(e->c, 0x49, 1), on ? OK : EXC_GP, 0, spec);
                else if (comes_with[k].msr)
                    expect(e->c, help_rdmsr(e->c, comes_with[k].msr), on ? OK : EXC_GP, 0, spec);
                v = e->c->hret;
                if (comes_with[k].msr && comes_with[k].msr != 0x49 && comes_with[k].msr != 0x179 &&
                    comes_with[k].msr != 0x10a)
                    expect(e->c, help_wrmsr(e->c, comes_with[k].msr, v), on ? OK : EXC_GP, 0, spec);
            }
            sys_free(e);
        }
    }
    sys_model = NULL;
}
END_TEST

/* What a guest makes of the page: nanoseconds at a TSC value, as Linux' pvclock.h does it. */
static uint64_t page_ns(struct sys_env *e, uint64_t pa, uint64_t tsc)
{
    uint64_t delta = tsc - sys_peek(e, pa + 8, 8);
    int8_t shift = (int8_t)sys_peek(e, pa + 28, 1);

    ck_assert_uint_eq(sys_peek(e, pa, 4) & 1, 0);
    ck_assert_uint_ne(sys_peek(e, pa, 4), 0);
    delta = shift < 0 ? delta >> -shift : delta << shift;
    return sys_peek(e, pa + 16, 8) + (uint64_t)((unsigned __int128)delta * sys_peek(e, pa + 24, 4) >> 32);
}

/* The TSC lies between two looks at the clock, so must what the page makes of it. */
static void check_page(struct sys_env *e, uint64_t pa)
{
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t before = clock_now(e->m.clock), ns;

        ck_assert(!help_rdtsc(e->c));
        ns = page_ns(e, pa, e->c->hret);
        ck_assert_uint_le(before, ns);
        ck_assert_uint_le(ns, clock_now(e->m.clock));
    }
}

START_TEST(test_pvclock)
{
    const uint64_t pa = 0x30010;
    uint32_t r[4];
    struct sys_env *e = sys_new(LONG);
    uint64_t version;

    cpu_model_cpuid(e->c, 0x40000000, 0, r);
    ck_assert_uint_eq(r[0], 0x40000001);
    ck_assert_int_eq(memcmp(&r[1], "KVMKVMKVM\0\0\0", 12), 0);
    cpu_model_cpuid(e->c, 0x40000001, 0, r);
    ck_assert_uint_eq(r[0], 1u << 1 | 1u << 3 | 1u << 24);
    cpu_model_cpuid(e->c, 0x40000002, 0, r);
    ck_assert_uint_eq(r[0] | r[1] | r[2] | r[3], 0);

    clock_set_rtc(e->m.clock, 1150560081, false);
    expect(e->c, help_wrmsr(e->c, 0x4b564d00, pa + 0x100), OK, 0, "wall clock");
    ck_assert_uint_eq(sys_peek(e, pa + 0x104, 4), 1150560081);
    ck_assert_uint_eq(sys_peek(e, pa + 0x108, 4), 0);
    ck_assert_uint_eq(sys_peek(e, pa + 0x100, 4), 2);
    expect(e->c, help_wrmsr(e->c, 0x4b564d01, pa), OK, 0, "not enabled");
    ck_assert_uint_eq(sys_peek(e, pa, 8), 0);
    expect(e->c, help_wrmsr(e->c, 0x4b564d01, pa | 1), OK, 0, "enabled");
    ck_assert(!help_rdmsr(e->c, 0x4b564d01) && e->c->hret == (pa | 1));
    ck_assert_uint_eq(sys_peek(e, pa + 29, 1), 1);
    check_page(e, pa);
    /* The guest changes its TSC. */
    version = sys_peek(e, pa, 4);
    expect(e->c, help_wrmsr(e->c, 0x10, 123456789), OK, 0, "TSC");
    ck_assert_uint_gt(sys_peek(e, pa, 4), version);
    check_page(e, pa);
    expect(e->c, help_wrmsr(e->c, 0x3b, (uint64_t)-5000000), OK, 0, "TSC_ADJUST");
    check_page(e, pa);
    /* Places that are none. */
    expect(e->c, help_wrmsr(e->c, 0x4b564d01, S_RAM - 8 + 1), OK, 0, "past the end");
    expect(e->c, help_wrmsr(e->c, 0x4b564d01, ~0ull), OK, 0, "nowhere");
    expect(e->c, help_wrmsr(e->c, 0x4b564d00, 1ull << 50), OK, 0, "nowhere");
    cpu_reset(e->c, true);
    ck_assert_uint_eq(e->c->pvclock[0] | e->c->pvclock[1], 0);
    sys_free(e);

    sys_model = "latimer64,kvm=off,-kvmclock-stable-bit";
    e = sys_new(LONG);
    cpu_model_cpuid(e->c, 0x40000000, 0, r);
    ck_assert_uint_eq(r[0], 0x40000000);
    ck_assert_int_ne(memcmp(&r[1], "KVMK", 4), 0);
    cpu_model_cpuid(e->c, 0x40000001, 0, r);
    ck_assert_uint_eq(r[0], 0);
    expect(e->c, help_wrmsr(e->c, 0x4b564d01, pa | 1), EXC_GP, 0, "no clock");
    sys_free(e);
    sys_model = NULL;
}
END_TEST

START_TEST(test_cpu_parse)
{
    static const struct { const char *spec, *error; } bad[] = {
        { "pentium9", "unknown CPU model" }, { "host", "hardware virtualization" },
        { "max,+foo", "unknown CPU feature" }, { "latimer64,+avx512f", "not implemented" },
        { "max,sse2=maybe", "use =on or =off" },
    };
    struct cpu_model *m;

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *err = cpu_model_parse(bad[i].spec, &m);

        ck_assert_msg(err && strstr(err, bad[i].error), "%s: %s", bad[i].spec, err ? err : "accepted");
    }
    ck_assert_ptr_null(cpu_model_parse("latimer64,-smap,sse4.2=off,+sse4-2", &m));
    ck_assert_msg(!model_has(m, FEAT_SMAP) && model_has(m, FEAT_SMEP), "-smap");
    free(m);
    ck_assert_ptr_null(cpu_model_parse("max,-sse4_2,-tsc-deadline", &m));
    ck_assert(!model_has(m, FEAT_SSE42));
    ck_assert(!model_has(m, FEAT_TSC_DEADLINE));
    free(m);
}
END_TEST

/* What no processor has, in a snapshot: it is refused by the field's name. */
START_TEST(test_saved)
{
    static const struct { const char *field; uint8_t max; } t[] = {
        { "halted", HALT_FREEZE }, { "cpl", 3 }, { "inhibit", INHIBIT_SS }, { "cr8", 15 }, { "xcr0", 3 },
        { "step", STEP_KNOWN | STEP_TF },
    };
    struct sys_env *e = sys_new(PROT);
    struct state_out o = { 0 };

    cpu_state_save(e->c, &o);
    for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        size_t n = strlen(t[i].field);
        uint8_t *at = memmem(o.buf, o.len, t[i].field, n), old;
        const char *why;

        ck_assert_ptr_nonnull(at);
        at += n + 4;            /* width and count */
        old = *at;
        *at = t[i].max + 1;
        why = cpu_state_load(NULL, &(struct state_in){ o.buf, o.len, false });
        ck_assert_msg(why && strstr(why, t[i].field), "%s: %s", t[i].field, why ? why : "taken");
        *at = t[i].max;
        ck_assert_ptr_null(cpu_state_load(NULL, &(struct state_in){ o.buf, o.len, false }));
        *at = old;
    }
    ck_assert_ptr_null(cpu_state_load(e->c, &(struct state_in){ o.buf, o.len, false }));
    free(o.buf);
    sys_free(e);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sys_regs");
    TCase *t = tcase_create("sys_regs");

    tcase_set_timeout(t, 60);   /* an emulated host may be slow */
    tcase_add_test(t, test_cr);
    tcase_add_test(t, test_debug);
    tcase_add_test(t, test_io);
    tcase_add_test(t, test_flags);
    tcase_add_test(t, test_msr);
    tcase_add_test(t, test_cpuid);
    tcase_add_test(t, test_features);
    tcase_add_test(t, test_pvclock);
    tcase_add_test(t, test_cpu_parse);
    tcase_add_test(t, test_saved);
    suite_add_tcase(s, t);
    return run_suite(s);
}
