/*
 * sys_env.c - see sys_env.h.
 */
#include "host/host_clock.h"
#include "tests/sys/sys_env.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <signal.h>

#include "tests/host_env.h"
#include "translator/backend.h"
#include "translator/backend_hooks.h"

#include "translator/backend.h"

static uint8_t ack(struct machine *m, unsigned cpu)
{
    struct sys_env *e = (struct sys_env *)m;

    e->c->intr_pending = 0;
    return e->vector;
}

static bool rd(struct machine *m, unsigned cpu, uint32_t msr, uint64_t *v)
{
    *v = ((struct sys_env *)m)->msr[msr & 0xfff];
    return false;
}

static bool wr(struct machine *m, unsigned cpu, uint32_t msr, uint64_t v)
{
    ((struct sys_env *)m)->msr[msr & 0xfff] = v;
    return false;
}

static uint8_t tpr_get(struct machine *m, unsigned cpu)
{
    return ((struct sys_env *)m)->tpr;
}

static void tpr_set(struct machine *m, unsigned cpu, uint8_t v)
{
    ((struct sys_env *)m)->tpr = v;
}

void sys_poke(struct sys_env *e, uint64_t pa, unsigned size, uint64_t v)
{
    for (unsigned i = 0; i < size; i++)
        e->ram[pa + i] = (uint8_t)(v >> (8 * i));
}

uint64_t sys_peek(struct sys_env *e, uint64_t pa, unsigned size)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)e->ram[pa + i] << (8 * i);
    return v;
}

static void descr(struct sys_env *e, unsigned sel, uint32_t base, uint32_t limit, unsigned attr)
{
    uint64_t at = S_GDT + (sel & ~7u);

    sys_poke(e, at, 4, (limit & 0xffff) | base << 16);
    sys_poke(e, at + 4, 4, (base >> 16 & 0xff) | attr << 8 | (limit & 0xf0000) | (base & 0xff000000));
}

void sys_gate(struct sys_env *e, unsigned vector, unsigned type, unsigned dpl, uint16_t sel, unsigned ist)
{
    uint64_t off = S_HANDLER + 16 * vector, at = S_IDT + vector * (cpu_lma(e->c) ? 16 : 8);

    sys_poke(e, at, 4, (off & 0xffff) | (uint64_t)sel << 16);
    sys_poke(e, at + 4, 4, (off & 0xffff0000) | 0x8000 | dpl << 13 | type << 8 | ist);
    if (cpu_lma(e->c))
        sys_poke(e, at + 8, 8, 0);
}

static void set(struct sys_env *e, unsigned n, uint16_t sel)
{
    struct desc d = { .lo = (uint32_t)sys_peek(e, S_GDT + (sel & ~7u), 4),
                      .hi = (uint32_t)sys_peek(e, S_GDT + (sel & ~7u) + 4, 4), .sel = sel };

    seg_set(e->c, n, sel, &d);
}

const char *sys_model;

/* A flat machine at CPL 0 with all tables in place. */
struct sys_env *sys_new(enum sys_mode mode)
{
    struct sys_env *e = calloc(1, sizeof(*e));
    struct cpu *c = backend_cpu_alloc(CPU_AFTER);
    pthread_mutexattr_t a;
    bool lm = mode == LONG;

    pthread_mutexattr_init(&a);
    pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&e->m.lock, &a);
    e->c = c;
    e->m.phys = phys_new(&e->m.lock);
    e->ram = phys_ram_alloc(e->m.phys, S_RAM);
    phys_map_ram(e->m.phys, 0, S_RAM, e->ram, false, "ram");
    e->m.ports = ports_new();
    e->m.clock = clock_new(&host_clock);
    e->m.int_ack = ack;
    e->m.apic_rdmsr = rd;
    e->m.apic_wrmsr = wr;
    e->m.tpr_get = tpr_get;
    e->m.tpr_set = tpr_set;
    c->m = &e->m;
    e->m.cpu = &e->c;
    e->m.ncpu = 1;
    if (cpu_model_parse(sys_model, &e->model))
        abort();
    c->model = e->model;
    c->a20 = 1;
    mmu_init(c);
    phys_set_a20(e->m.phys, true);
    cpu_reset(c, false);
    c->r[R_SP] = S_STACK;
    c->rip = 0x30000;
    if (mode == REAL) {
        c->rip = 0x100;
        c->r[R_SP] = 0x1000;
        seg_set_real(c, SEG_CS, 0x3000);
        seg_set_real(c, SEG_SS, 0x5000);
        cpu_update_mode(c);
        return e;
    }
    descr(e, G_CODE0, 0, 0xfffff, lm ? 0xa09b : 0xc09b);
    descr(e, G_DATA0, 0, 0xfffff, 0xc093);
    descr(e, G_CODE3, 0, 0xfffff, 0xc0fb);
    descr(e, G_DATA3, 0, 0xfffff, 0xc0f3);
    descr(e, G_TSS, S_TSS, 0x3ff, 0x0089);
    descr(e, G_TSS2, S_TSS2, 0x67, 0x0089);
    descr(e, G_LDT, S_LDT, 0xff, 0x0082);
    descr(e, G_CONF, 0, 0xfffff, lm ? 0xa09f : 0xc09f);
    descr(e, G_XONLY, 0, 0xfffff, 0xc099);
    descr(e, G_RO, 0, 0xfffff, 0xc091);
    descr(e, G_NP, 0, 0xfffff, 0xc013);
    descr(e, G_DOWN, 0, 0x0ff, 0xc097);
    descr(e, G_CODE64_3, 0, 0xfffff, lm ? 0xa0fb : 0xc0fb);
    descr(e, G_DATA16, 0x50000, 0xffff, 0x0093);
    descr(e, G_CODE1, 0, 0xfffff, lm ? 0xa0bb : 0xc0bb);
    descr(e, G_DATA1, 0, 0xfffff, 0xc0b3);
    if (lm) {
        sys_poke(e, S_PML4, 8, (S_PML4 + 0x1000) | 7);
        sys_poke(e, S_PML4 + 0x1000, 8, 0x87);          /* one 1 GiB page */
        sys_poke(e, S_PML4 + 0x1008, 8, 0);
        c->cr3 = S_PML4;
        c->cr4 |= CR4_PAE;
        c->efer |= EFER_LME | EFER_LMA | EFER_SCE;
        c->cr0 |= CR0_PG;
        sys_poke(e, S_TSS + 4, 8, S_STACK0);
        sys_poke(e, S_TSS + 0x24, 8, S_IST1);
    } else {
        sys_poke(e, S_TSS + 4, 4, S_STACK0);
        sys_poke(e, S_TSS + 8, 2, G_DATA0);
        sys_poke(e, S_TSS + 0xc, 4, S_STACK0 - 0x8000);
        sys_poke(e, S_TSS + 0x10, 2, G_DATA1 | 1);
    }
    sys_poke(e, S_TSS + 0x66, 2, 0x88);
    c->cr0 |= CR0_PE;
    c->gdt.base = S_GDT;
    c->gdt.limit = G_END - 1;
    c->idt.base = S_IDT;
    c->idt.limit = lm ? 0xfff : 0x7ff;
    for (unsigned v = 0; v < 256; v++)
        sys_gate(e, v, 0xe, v == 3 || v == 4 || v == 0x80 ? 3 : 0, G_CODE0, 0);
    set(e, SEG_CS, G_CODE0);
    for (unsigned n = 0; n < SEG_LDTR; n++) {
        if (n != SEG_CS)
            set(e, n, G_DATA0);
    }
    mmu_flush_all(c);
    if (help_ltr(c, G_TSS))
        abort();
    cpu_update_mode(c);
    return e;
}

/* ---- whole programs ---- */

static struct cpu *running;     /* for the signal handler */
static volatile unsigned ticks;

static void tick(int sig)
{
    if (running && ++ticks > 200)
        __atomic_fetch_or(&running->attn, ATTN_EXIT, __ATOMIC_SEQ_CST);
}

static void halt(struct cpu *c)
{
    struct sys_env *e = (struct sys_env *)c->m;

    if (!e->on_halt || !e->on_halt(e))
        __atomic_fetch_or(&c->attn, ATTN_EXIT, __ATOMIC_SEQ_CST);
}

void sys_exec(struct sys_env *e, bool interp)
{
    struct exec_options o = { .interp = interp, .cache_size = 4u << 20, .verify = true, .m = &e->m, .halt = halt };
    struct itimerval every = { { 0, 10000 }, { 0, 10000 } };

    host_env(&o);
    exec_init(e->c, &o);
    signal(SIGALRM, tick);
    setitimer(ITIMER_REAL, &every, NULL);
}

void sys_run(struct sys_env *e)
{
    struct cpu *c = e->c;

    cpu_update_mode(c);
    backend_fp_changed(c);
    c->attn &= ~ATTN_EXIT;
    c->halted = 0;
    ticks = 0;
    running = c;
    exec_run(c);
    running = NULL;
    backend_fp_sync(c);
    ck_assert_msg(c->halted, "the program does not come to its HLT: %04x:%llx", c->seg[SEG_CS].sel,
                  (unsigned long long)c->rip);
}

void sys_free(struct sys_env *e)
{
    if (e->c->exec)
        exec_free(e->c);
    mmu_free(e->c);
    phys_free(e->m.phys);
    ports_free(e->m.ports);
    clock_free(e->m.clock);
    free(e->model);
    backend_cpu_free(e->c, CPU_AFTER);
    free(e);
}

void sys_ring3(struct sys_env *e)
{
    struct cpu *c = e->c;

    c->cpl = 3;
    set(e, SEG_CS, (cpu_lma(c) ? G_CODE64_3 : G_CODE3) | 3);
    for (unsigned n = 0; n < SEG_LDTR; n++) {
        if (n != SEG_CS)
            set(e, n, G_DATA3 | 3);
    }
    c->r[R_SP] = S_STACK3;
    cpu_update_mode(c);
}

void sys_v86(struct sys_env *e, unsigned iopl)
{
    struct cpu *c = e->c;

    c->eflags |= FL_VM | iopl << 12;
    c->cpl = 3;
    for (unsigned n = 0; n < SEG_LDTR; n++)
        seg_set_real(c, n, (uint16_t)(0x3000 + 0x100 * n));
    c->rip = 0x100;
    c->r[R_SP] = 0x1000;
    cpu_update_mode(c);
}

void expect(struct cpu *c, bool faulted, unsigned vector, uint32_t code, const char *what)
{
    if (vector == OK) {
        ck_assert_msg(!faulted, "%s: fault %u(%x)", what, c->fault.vector, c->fault.code);
        return;
    }
    ck_assert_msg(faulted, "%s: no fault", what);
    ck_assert_msg(c->fault.vector == vector && (!c->fault.has_code || c->fault.code == code),
                  "%s: fault %u(%x), expected %u(%x)", what, c->fault.vector, c->fault.code, vector, code);
}
