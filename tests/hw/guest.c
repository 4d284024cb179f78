/*
 * guest.c - the same instruction in Latimer: user mode, 64-bit or compatibility mode, flat, on page
 * tables that map HW_CODE and HW_DATA into a little guest RAM.
 *
 * Drives the translator directly, a block of one instruction, so that nothing
 * of the run loop stands between the instruction and its state.
 */
#include <capstone/capstone.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "frontend/cpu_model.h"
#include "frontend/help_sys.h"
#include "frontend/lift.h"
#include "hw/machine.h"
#include "tests/hw/hw.h"
#include "tests/host_env.h"
#include "translator/backend.h"
#include "translator/backend_hooks.h"
#include "translator/interp.h"
#include "translator/recipe.h"
#include "translator/stencil.h"

#define RAM_SIZE 0x400000u
#define PA_CODE  0x100000u
#define PA_DATA  0x200000u
#define CODE_MEM (1u << 20)

static struct {
    struct machine m;
    struct cpu *c;
    uint8_t *ram;
    struct ir_block b;
    enum hw_engine engine;
    bool optimize;
    struct backend *be;
    uint8_t *code;
    struct host_block hb;
    struct stencils *stencils;
    unsigned long copied, turn;
} g;

static void pte(uint64_t table, unsigned index, uint64_t to)
{
    uint64_t v = to | 0x67;     /* present, writable, user, accessed, dirty */

    memcpy(g.ram + table + 8 * index, &v, 8);
}

static void map_region(uint64_t lin, uint64_t pa, uint64_t len, uint64_t table)
{
    pte(0x3000, (unsigned)(lin >> 21 & 511), table);
    for (uint64_t k = 0; k < len; k += PAGE_SIZE)
        pte(table, (unsigned)((lin + k) >> 12 & 511), pa + k);
}

static void set_seg(struct cpu *c, unsigned n, uint16_t sel, uint16_t attr)
{
    c->seg[n] = (struct seg){ .sel = sel, .attr = attr, .limit = 0xffffffff };
    seg_update(c, n);
}

static void set_code(struct cpu *c, bool code32)
{
    set_seg(c, SEG_CS, code32 ? HW_CS32 : HW_CS64,
            (code32 ? SEG_DB : SEG_L) | SEG_G | SEG_P | SEG_DPL | SEG_S | 0xb);
}

void hw_guest_init(enum hw_engine e, bool optimize)
{
    static struct cpu_model all = { .name = "all" };
    struct cpu *c;
    pthread_mutexattr_t a;

    g.engine = e;
    g.optimize = optimize;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&g.m.lock, &a);
    g.m.phys = phys_new(&g.m.lock);
    g.ram = phys_ram_alloc(g.m.phys, RAM_SIZE);
    g.m.ram = g.ram;
    phys_map_ram(g.m.phys, 0, RAM_SIZE, g.ram, false, "ram");
    phys_set_a20(g.m.phys, true);
    pte(0x1000, 0, 0x2000);
    pte(0x2000, 0, 0x3000);
    map_region(HW_CODE, PA_CODE, HW_CODE_SIZE, 0x4000);
    map_region(HW_DATA, PA_DATA, HW_DATA_SIZE, 0x5000);

    c = backend_cpu_alloc(CPU_AFTER);
    g.c = c;
    g.m.cpu = &g.c;
    g.m.ncpu = 1;
    c->m = &g.m;
    memset(all.feats, 0xff, sizeof(all.feats));
    c->model = &all;
    mmu_init(c);
    cpu_reset(c, false);
    c->a20 = 1;
    c->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
    c->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_FSGSBASE | CR4_OSXSAVE;
    c->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
    c->cpl = 3;
    for (unsigned n = SEG_ES; n <= SEG_GS; n++) {
        if (n == SEG_CS)
            set_code(c, false);
        else
            set_seg(c, n, HW_DS, SEG_DB | SEG_G | SEG_P | SEG_DPL | SEG_S | 0x3);
    }
    mmu_set_cr3(c, 0x1000, false);
    mmu_flush_all(c);
    cpu_update_mode(c);
    ir_init(&g.b);
    if (e != HW_INTERP) {
        g.code = mmap(NULL, CODE_MEM, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (g.code == MAP_FAILED) {
            perror("hwtest: mmap");
            exit(4);
        }
        if (e == HW_OLD) {
            g.be = backend_new(g.code, 0, &(struct backend_config){ .features = 0 });
            hw_old_init();
        } else {
            g.be = host_env_backend(g.code);
        }
        g.hb.recipes = recipe_table_new();
        if (e == HW_COPY || e == HW_BOTH)
            g.stencils = stencils_new(g.be);
    }
}

uint8_t *hw_guest_data(void)
{
    return g.ram + PA_DATA;
}

static void load(struct cpu *c, const struct hw_state *s)
{
    unsigned top = s->fx.fsw >> 11 & 7;

    memcpy(c->r, s->r, sizeof(c->r));
    cpu_set_eflags(c, (uint32_t)s->flags);
    memcpy(c->x, s->fx.x, sizeof(c->x));
    c->mxcsr = s->fx.mxcsr;
    c->fpu.cw = s->fx.fcw;
    c->fpu.sw = s->fx.fsw;
    c->fpu.tag = s->fx.ftw;
    c->fpu.op = s->fx.fop;
    x87_set_ip(c, s->fx.fip);
    c->fpu.dp = s->fx.fdp;
    for (unsigned k = 0; k < 8; k++) {
        c->fpu.r[(k + top) & 7].sig = s->fx.st[k].sig;
        c->fpu.r[(k + top) & 7].se = s->fx.st[k].se;
    }
    c->inhibit = 0;
    c->attn = 0;
    c->halted = 0;
    memset(&c->fault, 0, sizeof(c->fault));
    cpu_update_mode(c);
    backend_fp_changed(c);
}

static void store(struct cpu *c, struct hw_state *s)
{
    unsigned top;

    backend_fp_sync(c);
    top = c->fpu.sw >> 11 & 7;
    memcpy(s->r, c->r, sizeof(c->r));
    s->flags = cpu_eflags(c);
    s->rip = c->rip;
    memcpy(s->fx.x, c->x, sizeof(c->x));
    s->fx.mxcsr = c->mxcsr;
    s->fx.fcw = c->fpu.cw;
    s->fx.fsw = c->fpu.sw;
    s->fx.ftw = (uint8_t)c->fpu.tag;
    s->fx.fop = c->fpu.op;
    s->fx.fip = x87_ip(c);
    s->fx.fdp = c->fpu.dp;
    for (unsigned k = 0; k < 8; k++) {
        s->fx.st[k].sig = c->fpu.r[(k + top) & 7].sig;
        s->fx.st[k].se = c->fpu.r[(k + top) & 7].se;
    }
}

/* The instruction's code from its stencil; false: it has none, or is to be run without. */
static bool copy_code(struct cpu *c)
{
    const struct lift_options o = { .max_insns = 1 };
    unsigned off = (unsigned)(c->rip - HW_CODE);
    struct ir_block b = { .pa = PA_CODE + off, .lin = c->rip, .mode = c->mode, .start = off & 0xfff,
                          .flat = true };
    uint8_t *hot = g.code + BACKEND_THUNK_BYTES;

    if (!g.stencils || (g.engine == HW_BOTH && g.turn++ % 2) || (g.b.mode & M_NOSHARE) ||
        !stencils_plan(g.stencils, c, &b, g.ram + PA_CODE + (off & ~0xfffu), &o))
        return false;
    heat_table(c)[0] = INT32_MAX;
    stencils_copy(g.stencils, hot, hot + stencils_bound(g.stencils), 0, &g.hb);
    g.copied++;
    return true;
}

unsigned long hw_guest_copied(void)
{
    return g.copied;
}

/* Flags that are live at an exit are read behind it. */
static void exits_read(struct ir_block *b)
{
    for (unsigned i = 1; i < b->n; i++) {
        if (b->ins[i].op == IR_EXIT || b->ins[i].op == IR_EXIT_IF)
            b->ins[i].aux |= EXIT_READ;
    }
}

static enum exec_why run(struct cpu *c)
{
    const uint8_t *rx;
    enum exec_why why;
    unsigned at;

    if (g.engine == HW_INTERP)
        return interp_run(c, &g.b, &at);
    rx = g.code + BACKEND_THUNK_BYTES;
    if (recipe_table_full(g.hb.recipes))
        recipe_table_clear(g.hb.recipes);
    if (!copy_code(c))
        backend_emit(g.be, &g.b, g.code + BACKEND_THUNK_BYTES,
                     g.code + BACKEND_THUNK_BYTES + backend_bound(&g.b), &g.hb);
    if (g.engine == HW_OLD &&
        !(hw_old_check(rx, g.hb.size) && hw_old_check(rx + backend_bound(&g.b), g.hb.cold_size))) {
        hw_guest_dump();
        exit(1);
    }
    why = backend_enter(g.be, c, rx);
    recipe_resolve(g.hb.recipes, c, 0);
    if (why == WHY_EXIT || why == WHY_LINK) {
        /* which exit was it? (exec.c does the same) */
        for (unsigned k = 0; k < g.hb.nexits; k++) {
            if (rx + g.hb.exit[k].stub_ra == (const uint8_t *)(uintptr_t)c->link_ra)
                c->rip = c->pc_page + (uint64_t)g.hb.exit[k].pc;
        }
    }
    return why;
}

void hw_guest(struct hw_state *s, const uint8_t *code, unsigned len, unsigned off, bool code32)
{
    const struct lift_options lo = { .max_insns = 1, .max_branches = 1, .raw = !g.optimize };
    static const struct opt_options oo = { .verify = true };
    struct cpu *c = g.c;
    uint32_t extra = M_ONE;
    enum exec_why why;

    memcpy(g.ram + PA_CODE + off, code, len);
    memset(g.ram + PA_CODE + off + len, 0x90, 14);
    set_code(c, code32);
    load(c, s);
    s->vector = -1;
    for (;;) {
        const char *bad;

        c->rip = HW_CODE + off;
        c->pc_page = c->rip & PAGE_MASK;
        if (!lift_block(c, &g.b, c->mode | extra, &lo)) {
            s->vector = c->fault.vector;
            break;
        }
        /* Where the host has it so, flags wait at exits (backend_flags_wait): not for half the instances. */
        if (off & 32)
            exits_read(&g.b);
        if (g.optimize)
            ir_optimize(&g.b, &oo);
        else if (g.engine != HW_INTERP)
            opt_needs(&g.b);            /* the backend wants to know where values die */
        bad = ir_verify(&g.b);
        if (bad) {
            fprintf(stderr, "hwtest: verifier: %s\n", bad);
            hw_guest_dump();
            exit(1);
        }
        why = run(c);
        if (why == WHY_FAULT)
            s->vector = c->fault.vector;
        if (why == WHY_SLOW && !(extra & M_NOSHARE)) {
            extra |= M_NOSHARE;
            continue;
        }
        /* A string instruction may come back to be continued, as after an interrupt. */
        if (why != WHY_FAULT && c->rip == HW_CODE + off)
            continue;
        break;
    }
    store(c, s);
}

void hw_guest_dump(void)
{
    const uint8_t *p = g.code + BACKEND_THUNK_BYTES;
    size_t left = g.hb.size;
    uint64_t at = 0;
    csh cs;
    cs_insn *i;

    ir_print(stdout, &g.b);
    if (g.engine == HW_INTERP || !backend_disassembler(&cs))
        return;
    i = cs_malloc(cs);
    while (cs_disasm_iter(cs, &p, &left, &at, i))
        printf("    %4lx  %s %s\n", (unsigned long)i->address, i->mnemonic, i->op_str);
    cs_free(i, 1);
    cs_close(&cs);
}
