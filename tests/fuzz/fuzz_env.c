/*
 * fuzz_env.c - the two machines of the fuzzer: memory map, CPU state, running
 * until a halt, comparing.  SDM vol. 3, chapters 3 to 6, for the tables.
 *
 * Nothing here depends on time: the clock stands still, ports are empty, the
 * one device answers from a counter.  A virtual-time timer only ends rounds that
 * loop for ever.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "base/log.h"
#include "frontend/cpu_model.h"
#include "frontend/help_sys.h"
#include "frontend/help_x87.h"
#include "hw/clock.h"
#include "softmmu/phys.h"
#include "tests/fuzz/fuzz.h"
#include "tests/host_env.h"
#include "translator/backend.h"
#include "translator/backend_hooks.h"
#include "translator/exec.h"

#define CACHE_SIZE (8u << 20)
#define TICK_US 4000
#define INTR_VECTOR 0x40

static struct {
    struct cpu *volatile cpu;
    volatile int left;
    sigjmp_buf back;            /* a crash of host code (or an assertion) is a finding, not the end */
} timer;

static void tick(int sig)
{
    if (timer.cpu && --timer.left <= 0) {
        __atomic_fetch_or(&timer.cpu->attn, ATTN_EXIT, __ATOMIC_SEQ_CST);
    }
}

static void crash(int sig)
{
    if (!timer.cpu) {
        signal(sig, SIG_DFL);
        raise(sig);
    } else {
        siglongjmp(timer.back, sig);
    }
}

const char *fuzz_mode_name(enum fuzz_mode m)
{
    static const char *const name[FM_COUNT] = { "real", "v86", "p16", "p32", "seg32", "compat", "long" };
    return name[m];
}

/* ---- what the machine needs of its surroundings ---- */

static void kick(struct machine *m)
{
    for (unsigned i = 0; i < m->ncpu; i++)
        __atomic_fetch_or(&m->cpu[i]->attn, ATTN_EXIT, __ATOMIC_SEQ_CST);
}

static void no_line(struct machine *m, unsigned cpu) { }
static void no_a20(struct machine *m, bool on) { }
static void no_intr(struct machine *m, unsigned cpu, bool level) { }
static void no_sipi(struct machine *m, unsigned cpu, uint8_t vector) { }
static uint64_t apic_base(struct machine *m, unsigned cpu) { return m->cpu[cpu]->apic_base; }
static int current(struct machine *m) { return 0; }
static int64_t tsc_offset(struct machine *m, unsigned cpu) { return m->cpu[cpu]->tsc_offset; }

const struct cpu_lines cpu_lines = {
    .intr = no_intr, .nmi = no_line, .init = no_line, .sipi = no_sipi, .smi = no_line, .a20 = no_a20, .ignne = no_intr,
    .apic_base = apic_base, .current = current, .tsc_offset = tsc_offset, .kick = kick,
};

static uint8_t int_ack(struct machine *m, unsigned cpu)
{
    m->cpu[cpu]->intr_pending = 0;
    return INTR_VECTOR;
}

static bool apic_rd(struct machine *m, unsigned cpu, uint32_t msr, uint64_t *v)
{
    *v = msr * 0x9e3779b97f4a7c15u;
    return false;
}

static bool apic_wr(struct machine *m, unsigned cpu, uint32_t msr, uint64_t v) { return false; }
static uint8_t tpr_get(struct machine *m, unsigned cpu) { return 5; }
static void tpr_set(struct machine *m, unsigned cpu, uint8_t v) { }

static void halt(struct cpu *c)
{
    __atomic_fetch_or(&c->attn, ATTN_EXIT, __ATOMIC_SEQ_CST);
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    a = (a ^ b) * 0x9e3779b97f4a7c15u;
    return a ^ a >> 31;
}

static uint64_t io_read(void *dev, uint64_t off, unsigned size)
{
    struct fuzz_machine *f = dev;
    return mix(off << 8 | size, f->io_reads++);
}

static void io_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct fuzz_machine *f = dev;
    f->io_hash = mix(f->io_hash, mix(off << 8 | size, val));
    if (f->intr_on_io) {
        f->c->intr_pending = 1;
        __atomic_fetch_or(&f->c->attn, ATTN_INTR, __ATOMIC_SEQ_CST);
    }
}

unsigned fuzz_hot;

static void exec_on(struct fuzz_machine *f, bool check)
{
    struct exec_options o = { .interp = f->interp, .check = check, .cache_size = CACHE_SIZE, .verify = true,
                              .m = &f->m, .halt = halt, .hot = f->interp ? 0 : fuzz_hot };
    host_env(&o);
    exec_init(f->c, &o);
}

void fuzz_init(struct fuzz_machine *f, bool interp)
{
    static const struct io_ops io = { io_read, io_write, 1 | 2 | 4 | 8, LOG_DEV_NONE };
    pthread_mutexattr_t at;

    memset(f, 0, sizeof(*f));
    f->interp = interp;
    pthread_mutexattr_init(&at);
    pthread_mutexattr_settype(&at, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&f->m.lock, &at);
    f->m.phys = phys_new(&f->m.lock);
    f->ram = phys_ram_alloc(f->m.phys, FZ_RAM);
    f->rom = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
    for (unsigned k = 0; k < PAGE_SIZE; k++)
        f->rom[k] = (uint8_t)mix(k, 7);
    f->m.ram = f->ram;
    phys_map_ram(f->m.phys, 0, FZ_RAM, f->ram, false, "ram");
    phys_map_ram(f->m.phys, FZ_ROM, PAGE_SIZE, f->rom, true, "rom");
    phys_map_io(f->m.phys, FZ_MMIO, PAGE_SIZE, &io, f, "io");
    phys_set_a20(f->m.phys, true);
    f->m.ports = ports_new();
    f->m.clock = clock_new_manual(0);
    f->m.int_ack = int_ack;
    f->m.apic_rdmsr = apic_rd;
    f->m.apic_wrmsr = apic_wr;
    f->m.tpr_get = tpr_get;
    f->m.tpr_set = tpr_set;
    f->c = backend_cpu_alloc(CPU_AFTER);
    f->m.cpu = &f->c;
    f->m.ncpu = 1;
    f->c->m = &f->m;
    if (cpu_model_parse("max,-rdrand", &f->model))
        die(EXIT_CODE_HOST, "fuzz: no CPU model 'max'");
    f->c->model = f->model;
    mmu_init(f->c);
    exec_on(f, false);
    cpu_reset(f->c, false);
    if (!interp) {
        struct itimerval t = { { 0, TICK_US }, { 0, TICK_US } };
        struct sigaction sa = { .sa_handler = tick, .sa_flags = SA_RESTART | SA_ONSTACK };
        static const int sigs[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
        static uint8_t stack[1 << 16];
        stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) };
        sigaltstack(&ss, NULL);
        sigaction(SIGVTALRM, &sa, NULL);
        sa.sa_handler = crash;
        for (unsigned n = 0; n < sizeof(sigs) / sizeof(sigs[0]); n++)
            sigaction(sigs[n], &sa, NULL);
        setitimer(ITIMER_VIRTUAL, &t, NULL);
    }
}

void fuzz_free(struct fuzz_machine *f)
{
    exec_free(f->c);
    mmu_free(f->c);
    phys_free(f->m.phys);
    ports_free(f->m.ports);
    clock_free(f->m.clock);
    backend_cpu_free(f->c, CPU_AFTER);
    free(f->model);
    free(f->rom);
}

void fuzz_fresh(struct fuzz_machine *f, bool check)
{
    backend_fp_sync(f->c);
    for (uint64_t pa = 0; pa < FZ_RAM; pa += PAGE_SIZE)
        exec_invalidate(f->m.phys, pa, PAGE_SIZE);
    exec_free(f->c);
    exec_on(f, check);
    mmu_flush_all(f->c);
}

void fuzz_memory(struct fuzz_machine *f, const uint8_t *image)
{
    for (unsigned pa = 0; pa < FZ_RAM; pa += PAGE_SIZE)
        if (memcmp(f->ram + pa, image + pa, PAGE_SIZE))
            phys_write(f->m.phys, pa, image + pa, PAGE_SIZE);
    mmu_flush_all(f->c);                /* page tables among it, whose accessed bits are as new */
    f->io_hash = 0;
    f->io_reads = 0;
}

/* ---- CPU state ---- */

static uint64_t descr(uint32_t base, uint32_t limit, unsigned attr)
{
    return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)attr << 40 |
           (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)(base >> 24) << 56;
}

/* attr: descriptor bits 40-55 with the limit's nibble 0. */
uint64_t fuzz_descriptor(unsigned sel, bool lm)
{
    switch (sel & ~7u) {
    case FS_CODE0: return descr(0, 0xfffff, 0xc09b);
    case FS_DATA0: return descr(0, 0xfffff, 0xc093);
    case FS_CODE3: return descr(0, 0xfffff, 0xc0fb);
    case FS_DATA3: return descr(0, 0xfffff, 0xc0f3);
    case FS_CODE16_0: return descr(FZ_CODE, 0xffff, 0x009b);
    case FS_DATA16_0: return descr(FZ_DATA, 0xffff, 0x0093);
    case FS_CODE16_3: return descr(FZ_CODE, 0xffff, 0x00fb);
    case FS_DATA16_3: return descr(FZ_DATA, 0xffff, 0x00f3);
    case FS_CODES_0: return descr(0x10000, 0x4ffff, 0x409b);
    case FS_DATAS_0: return descr(0x20000, 0x3ffff, 0x4093);
    case FS_CODES_3: return descr(0x10000, 0x4ffff, 0x40fb);
    case FS_DATAS_3: return descr(0x20000, 0x3ffff, 0x40f3);
    case FS_CODE64_0: return descr(0, 0xfffff, lm ? 0xa09b : 0xc09b);
    case FS_CODE64_3: return descr(0, 0xfffff, lm ? 0xa0fb : 0xc0fb);
    case FS_DOWN: return descr(0x20000, 0x10fff, 0x40f7);
    case FS_RO: return descr(0x20000, 0x3ffff, 0x40f1);
    case FS_ABSENT: return descr(0x20000, 0x3ffff, 0x4073);
    case FS_XONLY: return descr(0x20000, 0x3ffff, 0x40f9);
    case FS_TSS: return descr(FZ_TSS, 0x20ff, 0x0089);
    case FS_LDT: return descr(FZ_GDT + 0x800, 0xff, 0x0082);
    case FS_GATE: return (FZ_HANDLER + 16 * 0x82) | (uint64_t)(lm ? FS_CODE64_0 : FS_CODE0) << 16 | 0xec0000000000u;
    default: return 0;
    }
}

static void set_seg(struct cpu *c, unsigned n, uint16_t sel, bool lm)
{
    uint64_t v = fuzz_descriptor(sel, lm);
    struct desc d = { .lo = (uint32_t)v, .hi = (uint32_t)(v >> 32), .sel = sel };

    if (n == SEG_TR)
        d.hi |= 0x200;          /* busy */
    seg_set(c, n, sel, &d);
}

static void set_x87(struct cpu *c, const struct hw_fx *x)
{
    unsigned top = x->fsw >> 11 & 7;

    memset(&c->fpu, 0, sizeof(c->fpu));
    c->x87_off = 0;
    c->fpu.cw = x->fcw;
    c->fpu.sw = x->fsw;
    if (x->fsw & ~x->fcw & 0x3f)
        c->fpu.sw |= 0x8080;    /* ES and B follow from the rest */
    c->fpu.tag = x->ftw;
    for (unsigned k = 0; k < 8; k++) {
        c->fpu.r[(k + top) & 7].sig = x->st[k].sig;
        c->fpu.r[(k + top) & 7].se = x->st[k].se;
    }
}

void fuzz_begin(struct fuzz_machine *f, const struct fuzz_case *k, const struct fuzz_start *s)
{
    struct cpu *c = f->c;
    bool lm = k->efer & EFER_LMA, real = k->mode == FM_REAL;
    bool flush = c->cr0 != k->cr0 || c->cr4 != k->cr4 || c->efer != k->efer || c->cr3 != k->cr3;

    c->attn = c->halted = c->inhibit = c->nmi_pending = c->nmi_blocked = c->chain_len = c->intr_pending = 0;
    memset(&c->fault, 0, sizeof(c->fault));
    memset(c->chain, 0, sizeof(c->chain));
    f->m.stop = STOP_NONE;
    c->cr0 = k->cr0;
    c->cr4 = k->cr4;
    c->efer = k->efer;
    c->cr2 = c->cr8 = 0;
    c->xcr0 = 3;
    if (flush || k->paging == PG_PAE) {
        if (k->paging == PG_PAE)
            mmu_load_pdptes(c, k->cr3);
        mmu_set_cr3(c, k->cr3, false);
        mmu_flush_all(c);
    }
    memset(c->dr, 0, sizeof(c->dr));
    c->dr[6] = 0xffff0ff0;
    c->dr[7] = 0x400;
    c->dbg_hits = 0;
    mmu_watch_changed(c);
    c->star = (uint64_t)(FS_CODE3 | 3) << 48 | (uint64_t)(lm ? FS_CODE64_0 : FS_CODE0) << 32 | (FZ_HANDLER + 16 * 0x81);
    c->lstar = c->cstar = c->sysenter_eip = FZ_HANDLER + 16 * 0x81;
    c->sfmask = FL_TF | FL_IF | FL_DF;
    c->sysenter_cs = lm ? FS_CODE64_0 : FS_CODE0;
    c->sysenter_esp = FZ_STACK0;
    c->kernel_gs_base = FZ_DATA;
    c->tsc_aux = c->tsc_offset = c->tsc_adjust = c->spec_ctrl = c->mtrr_def = 0;
    c->pat = 0x0007040600070406ull;
    c->apic_base = 0xfee00900;
    c->misc_enable = 1;
    c->gdt.base = FZ_GDT;
    c->gdt.limit = FS_END - 1;
    c->idt.base = real ? 0 : FZ_IDT;
    c->idt.limit = real ? 0x3ff : lm ? 0xfff : 0x7ff;
    cpu_set_eflags(c, s->eflags);
    c->cpl = (uint8_t)k->cpl;
    set_seg(c, SEG_TR, FS_TSS, lm);
    set_seg(c, SEG_LDTR, FS_LDT, lm);
    for (unsigned n = 0; n < 6; n++) {
        if (real)                       /* limits and rights of power-on, whatever protected mode left */
            c->seg[n] = (struct seg){ .limit = 0xffff, .attr = SEG_P | SEG_S | 3 };
        if (real || k->mode == FM_V86)
            seg_set_real(c, n, s->sel[n]);
        else if (s->sel[n] < 4)
            seg_set_null(c, n, s->sel[n]);
        else
            set_seg(c, n, s->sel[n], lm);
    }
    backend_fp_sync(c);                 /* what C code left in the host's registers is not the guest's */
    memcpy(c->r, s->r, sizeof(c->r));
    memcpy(c->x, s->fx.x, sizeof(c->x));
    c->mxcsr = s->fx.mxcsr;
    set_x87(c, &s->fx);
    c->rip = s->rip;
    if (s->intr) {
        c->intr_pending = 1;
        c->attn = ATTN_INTR;
    }
    cpu_update_mode(c);
    backend_fp_changed(c);
}

enum fuzz_end fuzz_run(struct fuzz_machine *f, unsigned ticks)
{
    int sig = sigsetjmp(timer.back, 1);

    if (sig) {
        timer.cpu = NULL;
        fprintf(stderr, "fuzz: signal %d\n", sig);
        return FE_CRASH;
    }
    timer.left = (int)ticks;
    timer.cpu = f->c;
    exec_run(f->c);
    timer.cpu = NULL;
    backend_fp_sync(f->c);
    return f->m.stop != STOP_NONE ? FE_STOP : f->c->halted ? FE_HALT : FE_TIMEOUT;
}

/* ---- comparing ---- */

const char *fuzz_compare(struct fuzz_machine *fa, struct fuzz_machine *fb, const struct fuzz_case *k)
{
    struct cpu *a = fa->c, *b = fb->c;

    if (fa->m.stop != fb->m.stop)
        return "one shuts down";
    if (a->rip != b->rip || a->seg[SEG_CS].sel != b->seg[SEG_CS].sel)
        return "rip";
    if (memcmp(a->r, b->r, sizeof(a->r)))
        return "general registers";
    if ((a->flags ^ b->flags) & FL_ARITH)
        return "flags";
    if (a->eflags != b->eflags)
        return "system flags";
    if (memcmp(a->x, b->x, sizeof(a->x)))
        return "vector registers";
    if (a->mxcsr != b->mxcsr)
        return "mxcsr";
    if (memcmp(&a->fpu, &b->fpu, sizeof(a->fpu)) || a->x87_off != b->x87_off)
        return "x87 state";
    if (memcmp(a->seg, b->seg, sizeof(a->seg)) || a->mode != b->mode || a->cpl != b->cpl)
        return "segments or mode";
    if (a->cr0 != b->cr0 || a->cr2 != b->cr2 || a->cr3 != b->cr3 || a->cr4 != b->cr4 || a->efer != b->efer ||
        a->gdt.base != b->gdt.base || a->idt.base != b->idt.base || memcmp(a->dr, b->dr, sizeof(a->dr)) ||
        a->star != b->star || a->lstar != b->lstar || a->kernel_gs_base != b->kernel_gs_base)
        return "system registers";
    if (memcmp(fa->ram, fb->ram, FZ_RAM))
        return "memory";
    if (fa->io_hash != fb->io_hash || fa->io_reads != fb->io_reads)
        return "device accesses";
    return NULL;
}

static void pair(FILE *f, const char *name, uint64_t a, uint64_t b)
{
    fprintf(f, "%-8s %16llx %16llx%s\n", name, (unsigned long long)a, (unsigned long long)b, a != b ? "  <--" : "");
}

void fuzz_print(FILE *f, const struct fuzz_machine *fa, const struct fuzz_machine *fb)
{
    static const char *const name[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" };
    const struct cpu *a = fa->c, *b = fb->c;
    unsigned shown = 0;

    fprintf(f, "register      interpreter        host code\n");
    for (unsigned k = 0; k < 16; k++)
        pair(f, name[k], a->r[k], b->r[k]);
    pair(f, "rip", a->rip, b->rip);
    pair(f, "flags", cpu_eflags(a), cpu_eflags(b));
    pair(f, "mode", a->mode, b->mode);
    pair(f, "cr2", a->cr2, b->cr2);
    if (a->mxcsr != b->mxcsr)
        pair(f, "mxcsr", a->mxcsr, b->mxcsr);
    for (unsigned k = 0; k < 6; k++)
        if (memcmp(&a->seg[k], &b->seg[k], sizeof(a->seg[k])))
            pair(f, "segment", a->seg[k].sel, b->seg[k].sel);
    for (unsigned k = 0; k < 16; k++)
        if (memcmp(&a->x[k], &b->x[k], 16))
            fprintf(f, "xmm%-2u %016llx%016llx %016llx%016llx\n", k, (unsigned long long)a->x[k].q[1],
                    (unsigned long long)a->x[k].q[0], (unsigned long long)b->x[k].q[1], (unsigned long long)b->x[k].q[0]);
    if (memcmp(&a->fpu, &b->fpu, sizeof(a->fpu))) {
        pair(f, "x87 cw", a->fpu.cw, b->fpu.cw);
        pair(f, "x87 sw", a->fpu.sw, b->fpu.sw);
        pair(f, "x87 tag", a->fpu.tag, b->fpu.tag);
        pair(f, "x87 op", a->fpu.op, b->fpu.op);
        pair(f, "x87 ip", x87_ip(a), x87_ip(b));
        pair(f, "x87 dp", a->fpu.dp, b->fpu.dp);
        pair(f, "x87 cs", a->fpu.cs, b->fpu.cs);
        pair(f, "x87 ds", a->fpu.ds, b->fpu.ds);
        for (unsigned k = 0; k < 8; k++) {
            pair(f, "x87 sig", a->fpu.r[k].sig, b->fpu.r[k].sig);
            pair(f, "x87 se", a->fpu.r[k].se, b->fpu.r[k].se);
        }
    }
    for (unsigned pa = 0; pa < FZ_RAM && shown < 16; pa++)
        if (fa->ram[pa] != fb->ram[pa]) {
            fprintf(f, "memory %05x: %02x %02x\n", pa, fa->ram[pa], fb->ram[pa]);
            shown++;
        }
    pair(f, "stop", (uint64_t)fa->m.stop, (uint64_t)fb->m.stop);
    pair(f, "device", fa->io_hash, fb->io_hash);
    pair(f, "reads", fa->io_reads, fb->io_reads);
}
