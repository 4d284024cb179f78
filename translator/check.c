/*
 * check.c - see check.h.
 *
 * The interpreter runs first, its stores noted in a journal; then memory and CPU
 * are put back and the host code runs.  What cannot be taken back (ports, device
 * memory, time, mappings) is run by the interpreter alone.  Flags that are neither
 * live at the exit taken nor seen behind it are not compared: they have no defined
 * value there.
 */
#include "translator/check.h"

#include <capstone/capstone.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "frontend/help.h"
#include "softmmu/journal.h"
#include "translator/backend_hooks.h"
#include "translator/interp.h"

struct check {
    struct journal journal;
    struct cpu before, interp;
    uint64_t count;
    size_t cpu_size;            /* sizeof struct cpu: for a known size gcc's memcpy is a slow string instruction */
};

struct check *check_new(void)
{
    struct check *k = aligned_alloc(64, (sizeof *k + 63) & ~(size_t)63);
    if (!k)
        die(EXIT_CODE_HOST, "out of memory");
    memset(k, 0, sizeof *k);
    k->cpu_size = sizeof k->before;
    return k;
}

void check_free(struct check *k)
{
    if (k)
        journal_free(&k->journal);
    free(k);
}

uint64_t check_count(const struct check *k)
{
    return k->count;
}

enum { TWICE_UNKNOWN, TWICE_NO, TWICE_YES };

static bool may_run_twice(const struct ir_block *ir)
{
    for (unsigned i = 1; i < ir->n; i++) {
        if (ir->ins[i].op != IR_CALL)
            continue;
        const struct helper_info *h = &helper_info[ir->ins[i].aux];
        if ((h->attrs & HF_IO) || ((h->attrs & HF_END) && !(h->reads & HS_GPR)))
            return false;
    }
    return true;
}

/* May this block be run twice?  It is asked each time the block runs, and looked up once. */
static bool repeatable(struct block *b, const struct ir_block *ir)
{
    if (b->twice == TWICE_UNKNOWN)
        b->twice = may_run_twice(ir) ? TWICE_YES : TWICE_NO;
    return b->twice == TWICE_YES;
}

static void copy_part(struct cpu *c, const struct cpu *s, size_t from, size_t to)
{
    memcpy((char *)c + from, (const char *)s + from, to - from);
}

/*
 * All but what does not belong to the guest's state, lives on across the two runs,
 * or is written by other threads at any time.  Of `attn` only the top byte is the
 * vCPU's own: STI sets it.
 */
static void state_restore(struct cpu *c, const struct cpu *s, size_t size)
{
    const size_t top = offsetof(struct cpu, attn) + 3;
    _Static_assert(offsetof(struct cpu, attn) == 0 && offsetof(struct cpu, tlb) < offsetof(struct cpu, intr_pending) &&
                       offsetof(struct cpu, stack_page) == offsetof(struct cpu, tlb) + sizeof c->tlb &&
                       offsetof(struct cpu, nmi_pending) == offsetof(struct cpu, intr_pending) + 1,
                   "the parts below are in this order");
    copy_part(c, s, top, offsetof(struct cpu, tlb));
    copy_part(c, s, offsetof(struct cpu, stack_page) + sizeof c->stack_page,
              offsetof(struct cpu, intr_pending));
    copy_part(c, s, offsetof(struct cpu, nmi_pending) + 1, size);
}

#define AROUND_BEFORE 80        /* bytes of code shown around a pc */
#define AROUND_AFTER 32

static bool open_disassembler(csh *cs, unsigned bits)
{
    if (bits == CHECK_HOST ? !backend_disassembler(cs) :
        cs_open(CS_ARCH_X86, bits == 64 ? CS_MODE_64 : bits == 32 ? CS_MODE_32 : CS_MODE_16, cs) != CS_ERR_OK)
        return false;
    cs_option(*cs, CS_OPT_SKIPDATA, CS_OPT_ON);         /* there may be data between (emit_fallback) */
    return true;
}

/* One by one: a list of all may need a hundred times the memory of the code. */
void check_disassemble(FILE *f, const uint8_t *p, size_t n, uint64_t at, unsigned bits, uint64_t pc,
                       bool around)
{
    csh cs;
    if (!open_disassembler(&cs, bits))
        return;
    cs_insn *in = cs_malloc(cs);
    while (in && n) {
        /* Behind data it may be out of step: pc is where an instruction begins. */
        size_t left = pc > at && pc < at + n ? (size_t)(pc - at) : n, rest = n - left;
        while (left && cs_disasm_iter(cs, &p, &left, &at, in))
            if (!around || (in->address + AROUND_BEFORE >= pc && in->address < pc + AROUND_AFTER))
                fprintf(f, "%s %10llx  %s %s\n", pc && in->address == pc ? "=>" : " ",
                        (unsigned long long)in->address, in->mnemonic, in->op_str);
        p += left;
        at += left;
        n = rest;
    }
    if (in)
        cs_free(in, 1);
    cs_close(&cs);
}

bool check_jumps(csh *cs, const uint8_t *p, size_t n)
{
    uint64_t at = 0;
    bool found = false;
    if (!*cs && !open_disassembler(cs, CHECK_HOST)) {
        *cs = 0;
        return false;
    }
    cs_insn *in = cs_malloc(*cs);
    while (in && !found && n && cs_disasm_iter(*cs, &p, &n, &at, in))
        found = !strcmp(in->mnemonic, "jmp") || !strcmp(in->mnemonic, "b");
    if (in)
        cs_free(in, 1);
    return found;
}

void check_guest_code(FILE *f, struct phys *phys, uint32_t mode, uint64_t lin, const struct ir_range *r,
                      unsigned n, uint64_t pc)
{
    unsigned bits = (mode & M_CODE) == M_CODE64 ? 64 : (mode & M_CODE) == M_CODE32 ? 32 : 16;
    uint8_t code[1024];
    for (unsigned i = 0; i < n; i++) {
        unsigned len = r[i].len < sizeof code ? r[i].len : sizeof code;
        uint64_t page = lin & PAGE_MASK;
        if ((r[i].pa ^ r[0].pa) & PAGE_MASK)
            page += PAGE_SIZE;
        phys_read(phys, r[i].pa, code, len);
        check_disassemble(f, code, len, page | (r[i].pa & ~PAGE_MASK), bits, pc, false);
    }
}

static void report(struct check *k, struct cpu *c, struct cache *cache, struct block *b, const struct ir_block *ir,
                   const char *what)
{
    static const char *const name[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" };
    FILE *f = stderr;
    fprintf(f, "latimer: lock-step difference: %s (block %llu, rip %llx, mode %x)\n", what,
            (unsigned long long)k->count, (unsigned long long)k->before.rip, b->mode);
    fprintf(f, "register          before           interpreter      host code\n");
    for (unsigned i = 0; i < 16; i++)
        fprintf(f, "%-4s %16llx %16llx %16llx%s\n", name[i], (unsigned long long)k->before.r[i],
                (unsigned long long)k->interp.r[i], (unsigned long long)c->r[i],
                k->interp.r[i] != c->r[i] ? "  <--" : "");
    fprintf(f, "rip  %16llx %16llx %16llx\nflags %15llx %16llx %16llx\n", (unsigned long long)k->before.rip,
            (unsigned long long)k->interp.rip, (unsigned long long)c->rip, (unsigned long long)k->before.flags,
            (unsigned long long)k->interp.flags, (unsigned long long)c->flags);
    for (unsigned i = 0; i < 16; i++)
        if (memcmp(&k->interp.x[i], &c->x[i], 16))
            fprintf(f, "xmm%u %016llx%016llx %016llx%016llx\n", i, (unsigned long long)k->interp.x[i].q[1],
                    (unsigned long long)k->interp.x[i].q[0], (unsigned long long)c->x[i].q[1],
                    (unsigned long long)c->x[i].q[0]);
    fprintf(f, "guest code:\n");
    check_guest_code(f, cache->phys, ir->mode, ir->lin, ir->range, ir->nrange, 0);
    fprintf(f, "IR:\n");
    ir_print(f, ir);
    fprintf(f, "host code:\n");
    check_disassemble(f, b->rw, b->size, (uint64_t)(uintptr_t)block_rx(cache, b), CHECK_HOST, 0, false);
    exit(EXIT_CODE_CHECK);
}

/* Of the flags value r, those the manual may leave undefined. */
static uint32_t undefined_flags(const struct ir_block *ir, ir_ref r)
{
    uint32_t undef = 0, kept = FL_ARITH;
    for (;;) {
        const struct ir_ins *f = &ir->ins[r];
        if (f->op == IR_FLAGS) {
            undef |= kept & cc_undefined((enum flags_kind)f->aux, (enum ir_type)ir->ins[f->a].type, ~(uint64_t)0);
            /* a variable count may be 0 and keep all */
            if (f->aux < FK_SHL || f->aux > FK_SHD)
                kept &= ~fl_from_flx(fk_writes[f->aux]);
        } else if (f->op == IR_FMERGE) {
            kept &= ~(uint32_t)f->imm;
        } else {
            return undef;
        }
        if (!f->b)
            return undef;
        r = f->b;
    }
}

/* Flags compared after leaving by IR instruction `exit`; those the last producer leaves undefined are not. */
static uint32_t compared_flags(const struct ir_block *ir, enum exec_why why, unsigned exit)
{
    const struct ir_ins *x = &ir->ins[exit];
    uint32_t live = FL_ARITH;
    if (why != WHY_FAULT && (x->op == IR_EXIT || x->op == IR_EXIT_IF)) {
        unsigned seen = exit - 1;
        while (ir->ins[seen].op == IR_NOP && seen)
            seen--;
        live = fl_from_flx((x->aux & EXIT_LIVE) | (ir->ins[seen].op == IR_SEEN ? ir->ins[seen].aux : 0u));
    }
    for (unsigned i = exit; i > 0; i--)
        if (ir->ins[i].op == IR_PUTF)
            return live & ~undefined_flags(ir, ir->ins[i].a);
    return live;
}

void check_block(struct check *k, struct cpu *c, struct cache *cache, struct block *b, const struct ir_block *ir,
                 enum exec_why *why, bool *interp)
{
    unsigned exit = 0;
    journal_clear(&k->journal);
    backend_fp_sync(c);
    memcpy(&k->before, c, k->cpu_size);
    c->journal = &k->journal;
    *why = interp_run(c, ir, &exit);
    c->journal = NULL;
    *interp = true;
    k->count++;
    if (k->journal.world || b->dead || *why == WHY_ATTN || *why == WHY_SLOW || !repeatable(b, ir))
        return;
    /* Attention keeps host code from being entered; an IRET or STI that raised it would do so each time. */
    if (__atomic_load_n(&c->attn, __ATOMIC_SEQ_CST))
        return;
    memcpy(&k->interp, c, k->cpu_size);
    journal_undo(&k->journal);
    state_restore(c, &k->before, k->cpu_size);
    backend_fp_changed(c);
    enum exec_why w = backend_enter(cache->be, c, block_rx(cache, b));
    /* came in between, needs to be run alone, or is to be made anew first */
    if (w == WHY_ATTN || w == WHY_SLOW || w == WHY_UNSHARED || w == WHY_HOT) {
        *interp = false;
        *why = w;
        return;
    }
    *interp = false;
    exec_left(c, w);
    backend_fp_sync(c);
    const struct cpu *s = &k->interp;
    /* Attention that comes between the two runs ends a repeated string instruction, and so the block, early. */
    if (s->rip != c->rip && __atomic_load_n(&c->attn, __ATOMIC_SEQ_CST)) {
        *why = w;
        return;
    }
    uint32_t fl = compared_flags(ir, *why, exit);
    if ((w == WHY_FAULT) != (*why == WHY_FAULT))
        report(k, c, cache, b, ir, "one faults");
    if (w == WHY_FAULT && (s->fault.vector != c->fault.vector || s->fault.code != c->fault.code ||
                           s->fault.cr2 != c->fault.cr2))
        report(k, c, cache, b, ir, "different faults");
    if (memcmp(s->r, c->r, sizeof s->r))
        report(k, c, cache, b, ir, "general registers");
    if (w == WHY_FAULT && c->fault.trap ? s->fault.rip != c->fault.rip : s->rip != c->rip)
        report(k, c, cache, b, ir, "rip");
    if ((s->flags ^ c->flags) & fl)
        report(k, c, cache, b, ir, "flags");
    if (s->eflags != c->eflags)
        report(k, c, cache, b, ir, "system flags");
    if (memcmp(s->x, c->x, sizeof s->x))
        report(k, c, cache, b, ir, "vector registers");
    if (s->mxcsr != c->mxcsr)
        report(k, c, cache, b, ir, "mxcsr");
    if (memcmp(&s->fpu, &c->fpu, sizeof s->fpu) || s->x87_off != c->x87_off)
        report(k, c, cache, b, ir, "x87 state");
    if (memcmp(s->seg, c->seg, sizeof s->seg) || s->mode != c->mode || s->cr0 != c->cr0)
        report(k, c, cache, b, ir, "system state");
    if (journal_compare(&k->journal) >= 0)
        report(k, c, cache, b, ir, "memory");
    *why = w;
}
