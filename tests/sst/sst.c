/*
 * sst.c - single-step tests captured from a real 80286, run by both engines.
 *
 *     sst [--engine interp|jit] [--show N] [FILE|DIR...]
 *
 * Each test gives registers and memory before and after one instruction in real mode and the HLT
 * behind it (or at the jump's or handler's target).  Without arguments: the sample in the source
 * tree, and all of the directory $LATIMER_SST if that is set.
 *
 * Only what the processors after the 80286 do differently is not compared, by the rules in
 * expected(); which flags an opcode leaves undefined is said by undefined.def.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "frontend/cpu_model.h"
#include "frontend/decode.h"
#include "frontend/help.h"
#include "host/host_clock.h"
#include "hw/machine.h"
#include "tests/sst/moo.h"
#include "tests/host_env.h"
#include "translator/backend.h"
#include "translator/backend_hooks.h"

#define RAM (16u << 20)
#define REACH 0x110000u         /* real mode reaches no more than FFFF:FFFF */
#define FLAGS_286 0x0fd5u       /* the flags that exist in real mode of an 80286 */

static const char *const reg_name[MOO_REGS] = { "ax", "bx", "cx", "dx", "cs", "ss", "ds", "es", "sp", "bp",
                                                "si", "di", "ip", "flags" };
static const uint8_t gpr[MOO_REGS] = { [MOO_AX] = R_AX, [MOO_BX] = R_BX, [MOO_CX] = R_CX, [MOO_DX] = R_DX,
                                       [MOO_SP] = R_SP, [MOO_BP] = R_BP, [MOO_SI] = R_SI, [MOO_DI] = R_DI };
static const uint8_t sreg[MOO_REGS] = { [MOO_CS] = SEG_CS, [MOO_SS] = SEG_SS, [MOO_DS] = SEG_DS,
                                        [MOO_ES] = SEG_ES };
#define IS_SEG(n) ((n) >= MOO_CS && (n) <= MOO_ES)

static struct {
    struct machine m;
    struct cpu *c;
    uint8_t *ram;
    uint8_t *want;              /* memory expected after a test; all 0 between tests, as ram */
    struct cpu_model *model;
    bool interp;
    unsigned show;              /* failures still to be printed */
    unsigned long run, failed;
} s;

static volatile unsigned ticks; /* since the test began */

static void tick(int sig)
{
    if (s.c && ++ticks > 20)
        __atomic_fetch_or(&s.c->attn, ATTN_EXIT, __ATOMIC_SEQ_CST);
}

static void halt(struct cpu *c)
{
    __atomic_fetch_or(&c->attn, ATTN_EXIT, __ATOMIC_SEQ_CST);
}

static void start(bool interp)
{
    struct exec_options o = { .interp = interp, .cache_size = 16u << 20, .m = &s.m, .halt = halt };
    pthread_mutexattr_t at;

    s.interp = interp;
    pthread_mutexattr_init(&at);
    pthread_mutexattr_settype(&at, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&s.m.lock, &at);
    s.m.phys = phys_new(&s.m.lock);
    s.ram = phys_ram_alloc(s.m.phys, RAM);
    s.want = calloc(1, REACH);
    phys_map_ram(s.m.phys, 0, RAM, s.ram, false, "ram");
    phys_set_a20(s.m.phys, true);
    s.m.ports = ports_new();
    s.m.clock = clock_new(&host_clock);
    s.c = backend_cpu_alloc(CPU_AFTER);
    s.m.cpu = &s.c;
    s.m.ncpu = 1;
    s.c->m = &s.m;
    if (!s.want || cpu_model_parse(NULL, &s.model))
        abort();
    s.c->model = s.model;
    mmu_init(s.c);
    host_env(&o);
    exec_init(s.c, &o);
}

static void finish(void)
{
    struct cpu *c = s.c;

    s.c = NULL;
    exec_free(c);
    mmu_free(c);
    phys_free(s.m.phys);
    ports_free(s.m.ports);
    clock_free(s.m.clock);
    backend_cpu_free(c, CPU_AFTER);
    free(s.model);
    free(s.want);
}

/* ---- what is expected of a processor after the 80286 ---- */

static const struct { const char *opcode; uint16_t undefined; } undefined[] = {
#define UNDEFINED(opcode, flags) { opcode, flags },
#include "tests/sst/undefined.def"
#undef UNDEFINED
};

/* Flags to compare after an instruction. */
static uint16_t flags_mask(const struct moo *m, const struct moo_test *t, const struct insn *i)
{
    const char *op = moo_opcode(m);
    uint16_t mask = FLAGS_286 & moo_mask(m, MOO_FLAGS);

    for (unsigned n = 0; n < sizeof(undefined) / sizeof(undefined[0]); n++)
        if (!strcmp(undefined[n].opcode, op))
            mask &= (uint16_t)~undefined[n].undefined;
    /* OF after shifts by more than 1 (a count of 0 changes no flag) */
    if (!strncmp(op, "C0.", 3) || !strncmp(op, "C1.", 3) || !strncmp(op, "D2.", 3) || !strncmp(op, "D3.", 3)) {
        unsigned count = (op[0] == 'C' ? (unsigned)i->imm : t->init.reg[MOO_CX]) & 31;

        if (count > 1)
            mask &= (uint16_t)~FL_OF;
    }
    return mask;
}

/* Can a limit fault of this instruction be one of the stack segment's? */
static bool uses_stack(const struct insn *i)
{
    static const char *const word[] = { "push", "pop", "call", "ret", "enter", "leave", "int", "iret" };

    for (unsigned n = 0; n < i->nops; n++)
        if (i->op[n].kind == OPND_MEM && i->seg == SEG_SS)
            return true;
    if (i->seg_override && i->seg == SEG_SS)
        return true;            /* string instructions */
    for (unsigned n = 0; n < sizeof(word) / sizeof(word[0]); n++)
        if (!strncmp(i->row->name, word[n], strlen(word[n])))
            return true;
    return false;
}

static void poke(uint32_t pa, uint8_t v)
{
    phys_write(s.m.phys, pa, &v, 1);
}

static void load(const struct moo_test *t)
{
    for (unsigned n = 0; n < t->init.nram; n++) {
        poke(t->init.ram[n].pa, t->init.ram[n].v);
        s.want[t->init.ram[n].pa] = t->init.ram[n].v;
    }
    for (unsigned n = 0; n < t->fina.nram; n++)
        s.want[t->fina.ram[n].pa] = t->fina.ram[n].v;
}

/* All memory 0 again. */
static void unload(void)
{
    static const uint8_t zero[PAGE_SIZE];

    for (uint32_t pa = 0; pa < REACH; pa += PAGE_SIZE) {
        if (memcmp(s.ram + pa, zero, PAGE_SIZE))
            phys_write(s.m.phys, pa, zero, PAGE_SIZE);
        if (memcmp(s.want + pa, zero, PAGE_SIZE))
            memset(s.want + pa, 0, PAGE_SIZE);
    }
}

/* Memory before the test. */
static uint8_t before(const struct moo_test *t, uint32_t pa)
{
    for (unsigned n = 0; n < t->init.nram; n++)
        if (t->init.ram[n].pa == pa)
            return t->init.ram[n].v;
    return 0;
}

/* The byte at SS:off as it is expected. */
static uint8_t *want_stack(const uint16_t *reg, uint16_t off)
{
    return &s.want[reg[MOO_SS] * 16u + off];
}

static bool is_string(const struct insn *i)
{
    return i->opcode == 0x6d || i->opcode == 0x6f || (i->opcode >= 0xa5 && i->opcode <= 0xaf && (i->opcode & 1) &&
                                                      i->opcode != 0xa9);
}

/*
 * A word string instruction that met offset FFFFh: the 80286 leaves the registers advanced, sometimes
 * twice.  Since the 80386 they are those of the iteration that faulted (SDM vol. 2, REP).
 */
static void string_fault(const struct moo_test *t, const struct insn *i, uint16_t *reg)
{
    uint16_t step = t->init.reg[MOO_FLAGS] & FL_DF ? 0xfffe : 2;
    bool si = i->opcode == 0x6f || i->opcode == 0xa5 || i->opcode == 0xa7 || i->opcode == 0xad;
    bool di = i->opcode != 0x6f && i->opcode != 0xad;

    reg[MOO_CX] = t->init.reg[MOO_CX];
    reg[MOO_SI] = t->init.reg[MOO_SI];
    reg[MOO_DI] = t->init.reg[MOO_DI];
    while (!(si && reg[MOO_SI] == 0xffff) && !(di && reg[MOO_DI] == 0xffff) && i->rep && --reg[MOO_CX]) {
        reg[MOO_SI] = (uint16_t)(reg[MOO_SI] + (si ? step : 0));
        reg[MOO_DI] = (uint16_t)(reg[MOO_DI] + (di ? step : 0));
    }
}

/*
 * Where later processors differ from the 80286: change what is expected.  reg: registers after the
 * test.  False: the test says nothing about them.
 */
static bool later(const struct moo_test *t, const struct insn *i, uint16_t *reg)
{
    /* FS and GS exist since the 80386. */
    if ((i->opcode == 0x8c || i->opcode == 0x8e) && (i->modrm >> 3 & 7) >= 4 && t->vector == EXC_UD)
        return (i->modrm >> 3 & 7) > 5;
    if (t->vector == EXC_GP && is_string(i))
        string_fault(t, i, reg);
    /* POP to memory that faults leaves SP as it was; the 80286 had moved it. */
    if (t->vector == EXC_GP && i->opcode == 0x8f && reg[MOO_SP] == (uint16_t)(t->init.reg[MOO_SP] + 2 - 6)) {
        for (unsigned n = 0; n < 8; n++)        /* the frame lies 2 bytes lower */
            *want_stack(reg, (uint16_t)(reg[MOO_SP] - 2 + n)) =
                n < 6 ? *want_stack(reg, (uint16_t)(reg[MOO_SP] + n)) : before(t, reg[MOO_SS] * 16u + (uint16_t)(t->init.reg[MOO_SP] + n - 6));
        reg[MOO_SP] -= 2;
    }
    /* AAM 0 faults with the flags it found; the 80286 had set SF, ZF and PF. */
    if (i->opcode == 0xd4 && t->vector == EXC_DE) {
        uint16_t flags = (t->init.reg[MOO_FLAGS] & FLAGS_286) | FL_1;

        reg[MOO_FLAGS] = (reg[MOO_FLAGS] & ~FL_ARITH) | (flags & FL_ARITH);
        *want_stack(reg, (uint16_t)(reg[MOO_SP] + 4)) = (uint8_t)flags;
        *want_stack(reg, (uint16_t)(reg[MOO_SP] + 5)) = (uint8_t)(flags >> 8);
    }
    return true;
}

/* ---- one test ---- */

static void set_cpu(const struct moo_test *t)
{
    struct cpu *c = s.c;

    cpu_reset(c, false);
    c->attn = c->halted = c->inhibit = c->chain_len = 0;
    memset(&c->fault, 0, sizeof(c->fault));
    for (unsigned n = 0; n < MOO_REGS; n++) {
        if (IS_SEG(n))
            seg_set_real(c, sreg[n], t->init.reg[n]);
        else if (n < MOO_IP)
            c->r[gpr[n]] = t->init.reg[n];
    }
    c->rip = t->init.reg[MOO_IP];
    cpu_set_eflags(c, (t->init.reg[MOO_FLAGS] & FLAGS_286) | FL_1);
    cpu_update_mode(c);
    backend_fp_changed(c);
}

static uint64_t reg_now(unsigned n)
{
    const struct cpu *c = s.c;

    return IS_SEG(n) ? c->seg[sreg[n]].sel : n == MOO_IP ? c->rip : n == MOO_FLAGS ? cpu_eflags(c) : c->r[gpr[n]];
}

static void report(const struct moo *m, const struct moo_test *t, const uint16_t *reg, const char *why)
{
    s.failed++;
    if (!s.show)
        return;
    s.show--;
    printf("%s %s #%u: %s [", s.interp ? "interp" : "jit", moo_opcode(m), t->index, t->name);
    for (unsigned n = 0; n < t->len; n++)
        printf("%s%02x", n ? " " : "", t->bytes[n]);
    printf("]: %s\n", why);
    for (unsigned n = 0; n < MOO_REGS; n++) {
        printf("    %-5s %04x -> %04x", reg_name[n], t->init.reg[n], reg[n]);
        if (reg_now(n) != reg[n])
            printf("  but %04llx", (unsigned long long)reg_now(n));
        printf("\n");
    }
    for (unsigned pa = 0, shown = 0; pa < REACH && shown < 8; pa++)
        if (s.ram[pa] != s.want[pa]) {
            printf("    memory %05x: %02x but %02x\n", pa, s.want[pa], s.ram[pa]);
            shown++;
        }
    if (t->vector >= 0)
        printf("    vector %d, flags at %05x\n", t->vector, t->flags_at);
}

/* Flags pushed by an interrupt or exception: what is not compared may be anything. */
static void pushed_flags(const uint16_t *reg, uint16_t mask)
{
    for (unsigned n = 0; n < 2; n++) {
        uint8_t *want = want_stack(reg, (uint16_t)(reg[MOO_SP] + 4 + n));
        uint8_t got = s.ram[want - s.want];

        if (!((got ^ *want) & (mask >> (8 * n))))
            *want = got;
    }
}

static const char *compare(const struct moo_test *t, const struct insn *i, const uint16_t *reg, uint16_t mask)
{
    if (!s.c->halted)
        return "does not reach the HLT";
    for (unsigned n = 0; n < MOO_REGS; n++) {
        /* behind a HLT at FFFFh EIP is 10000h */
        uint64_t counts = n == MOO_FLAGS ? mask : n == MOO_IP ? 0xffff : ~(uint64_t)0;

        if ((reg_now(n) ^ reg[n]) & counts)
            return reg_name[n];
    }
    if (memcmp(s.ram, s.want, REACH))
        return "memory";
    if (t->vector == EXC_GP && s.c->fault.vector == EXC_SS && !uses_stack(i))
        return "#SS without the stack segment";
    return NULL;
}

static void run_test(const struct moo *m, const struct moo_test *t)
{
    const char *why;
    uint16_t reg[MOO_REGS], mask;
    struct insn i;

    memset(&i, 0, sizeof(i));
    decode(&i, t->bytes, t->len, M_CODE16, NULL);
    if (!i.row)
        i.row = &x86_rows[0];           /* undefined: no operands */
    for (unsigned n = 0; n < MOO_REGS; n++)
        reg[n] = t->fina.has >> n & 1 ? t->fina.reg[n] : t->init.reg[n];
    mask = flags_mask(m, t, &i);
    load(t);
    if (later(t, &i, reg)) {
        s.run++;
        if (t->vector == EXC_GP)        /* 13, later 12 for SS: both lead to the same place here */
            for (unsigned n = 0; n < 4; n++) {
                poke(4 * EXC_SS + n, s.ram[4 * EXC_GP + n]);
                s.want[4 * EXC_SS + n] = s.want[4 * EXC_GP + n];
            }
        set_cpu(t);
        ticks = 0;
        exec_run(s.c);
        backend_fp_sync(s.c);
        if (t->vector >= 0)
            pushed_flags(reg, mask);
        why = compare(t, &i, reg, mask);
        if (why)
            report(m, t, reg, why);
    }
    unload();
}

/* ---- files ---- */

static bool run_file(const char *path)
{
    static struct moo_test t;
    const char *why = NULL;
    struct moo *m = moo_open(path, &why);

    if (!m) {
        fprintf(stderr, "sst: %s %s\n", path, why);
        return false;
    }
    while (moo_next(m, &t))
        if (t.bytes[0] != 0xf4)         /* HLT itself: its test stops in the middle */
            run_test(m, &t);
    if (moo_error(m))
        fprintf(stderr, "sst: %s: %s\n", path, why = moo_error(m));
    moo_close(m);
    return !why;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_moo(const struct dirent *d)
{
    size_t n = strlen(d->d_name);

    return n > 7 && !strcmp(d->d_name + n - 7, ".MOO.gz");
}

static bool run_path(const char *path)
{
    struct dirent **list;
    struct stat st;
    bool ok = true;
    int n;

    if (stat(path, &st) || !S_ISDIR(st.st_mode))
        return run_file(path);
    n = scandir(path, &list, is_moo, by_name);
    if (n <= 0) {
        fprintf(stderr, "sst: %s: no *.MOO.gz in it\n", path);
        return false;
    }
    for (int k = 0; k < n; k++) {
        char file[4096];

        snprintf(file, sizeof(file), "%s/%s", path, list[k]->d_name);
        ok = run_file(file) && ok;
        free(list[k]);
    }
    free(list);
    return ok;
}

int main(int argc, char **argv)
{
    struct itimerval every = { { 0, 10000 }, { 0, 10000 } };
    const char *engine = NULL, *dir = getenv("LATIMER_SST"), *src = getenv("srcdir");
    unsigned show = 10;
    char sample[4096];
    int at = 1;
    bool ok = true;

    for (; at + 1 < argc && argv[at][0] == '-'; at += 2) {
        if (!strcmp(argv[at], "--engine")) {
            engine = argv[at + 1];
        } else if (!strcmp(argv[at], "--show")) {
            show = (unsigned)atoi(argv[at + 1]);
        } else {
            fprintf(stderr, "usage: sst [--engine interp|jit] [--show N] [FILE|DIR...]\n");
            return 2;
        }
    }
    decode_init();
    snprintf(sample, sizeof(sample), "%s/tests/sst/80286.moo.gz", src ? src : ".");
    signal(SIGALRM, tick);
    setitimer(ITIMER_REAL, &every, NULL);
    for (int interp = 1; interp >= 0; interp--) {
        if ((engine && strcmp(engine, interp ? "interp" : "jit")) || (!interp && !backend_exists))
            continue;
        s.run = s.failed = 0;
        s.show = show;
        start(interp);
        for (int k = at; k < argc; k++)
            ok = run_path(argv[k]) && ok;
        if (at == argc)
            ok = run_path(sample) && ok;
        if (at == argc && dir && *dir)
            ok = run_path(dir) && ok;
        finish();
        printf("%s: %lu tests, %lu failed\n", interp ? "interp" : "jit", s.run, s.failed);
        ok = ok && s.run && !s.failed;
    }
    return !ok;
}
