/*
 * entry.c - between C and translated code: the thunks, the way in and the way out.
 *
 * While translated code runs, rsp points at struct cpu; below it is the stack
 * that thunks and C helpers use.  A thunk is called with its arguments in
 * c->arg[]; it stores the pinned homes to struct cpu (so that C sees them and
 * may clobber the registers), calls C, and loads them again.  If C returns
 * nonzero, execution leaves: 1 is a guest fault (WHY_FAULT), 2 asks to redo the
 * instruction alone (WHY_SLOW).  c->link_ra then is the return address, by which
 * the run loop finds the block and the guest instruction.
 */
#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "backend-x86_64/emit.h"
#include "backend-common/slow.h"
#include "base/log.h"
#include "translator/backend_hooks.h"

#define JIT_STACK (1u << 20)

const bool backend_exists = true;
const bool backend_sse_plain = false;
const bool backend_flags_wait = HOST_FLAGS_WAIT;
const bool backend_keeps_carry = true;
const unsigned backend_dead_ra = 5;     /* backend_kill() writes one CALL */

const unsigned backend_max_mib = 2047;  /* rel32 */

/* What every x86-64 processor has will do (SSE2, FXSAVE); what is newer stands in features.def. */
const char *backend_missing(void)
{
    return NULL;
}

bool backend_code_runs(uint8_t *rw, intptr_t rx_off)
{
    unsigned got = 0;
    for (unsigned k = 1; k <= 2; k++) {         /* a function that returns k */
        struct as a = { .p = rw };
        as_mov_ri(&a, H_RAX, k);
        as_b(&a, 0xc3);
        got = ((unsigned (*)(void))(uintptr_t)(rw + rx_off))();
    }
    return got == 2;
}

bool backend_disassembler(csh *cs)
{
    return cs_open(CS_ARCH_X86, CS_MODE_64, cs) == CS_ERR_OK;
}

/* ---- floating-point hooks ---- */

void backend_fp_sync(struct cpu *c)
{
    uint32_t v;
    __asm__ volatile("stmxcsr %0" : "=m"(v));
    c->mxcsr |= v & 0x3f;
    v = 0x1f80;
    __asm__ volatile("ldmxcsr %0" : : "m"(v));
    x87_store(c);
}

void backend_fp_changed(struct cpu *c)
{
    c->host_mxcsr = (c->mxcsr & 0xe040u) | 0x1f80u;
}

/* ---- thunk generation ---- */

static const uint8_t pinned[] = { R_AX, R_CX, R_DX, R_BX, R_SP, R_BP, R_SI, R_DI, R_8, R_9, R_10, R_11 };

/* rbx, rbp and r12 survive C calls (System V ABI). */
static bool callee_saved(unsigned g)
{
    return g == R_BX || g == R_BP || g == R_SP;
}

static void homes_store(struct as *a, int32_t shift, bool vec)
{
    for (unsigned k = 0; k < sizeof pinned; k++)
        as_store64(a, hm_at(H_RSP, (int32_t)SLOT_R(pinned[k]) + shift), home_host(pinned[k]));
    for (unsigned n = 0; vec && n < 13; n++)
        as_rm(a, 0x0f29, false, n, hm_at(H_RSP, (int32_t)SLOT_X(n) + shift));
}

/* Where recipes of flags find them. C functions leave them alone (System V ABI). */
static void temps_store(struct as *a, int32_t shift)
{
    for (unsigned k = 0; k < T_COUNT; k++)
        as_store64(a, hm_at(H_RSP, (int32_t)(CPU_OFF(temp) + 8 * k) + shift), T_FIRST + k);
}

/* No vector register survives C calls; a slow path's caller may still need its temporaries. */
static void vtemps_move(struct as *a, bool load, int32_t shift)
{
    for (unsigned k = 0; k < VT_COUNT; k++)
        as_rm(a, load ? 0x0f28 : 0x0f29, false, VT_FIRST + k, hm_at(H_RSP, (int32_t)(CPU_OFF(vtemp) + 16 * k) + shift));
}

static void homes_load(struct as *a, int32_t shift, bool all)
{
    for (unsigned k = 0; k < sizeof pinned; k++)
        if (all || !callee_saved(pinned[k]))
            as_load64(a, home_host(pinned[k]), hm_at(H_RSP, (int32_t)SLOT_R(pinned[k]) + shift));
    for (unsigned n = 0; n < 13; n++)
        as_rm(a, 0x0f28, false, n, hm_at(H_RSP, (int32_t)SLOT_X(n) + shift));
}

static uint8_t *begin(struct as *a)
{
    while ((uintptr_t)a->p & 15)
        as_b(a, 0x90);
    return a->p;
}

/* The common tail: eax = why, homes stored, rsp at struct cpu; back to C. */
static uint8_t *gen_leave(struct as *a)
{
    uint8_t *p = begin(a);
    struct hm tmp = hm_cpu(CPU_OFF(tmp_mxcsr));
    as_rm(a, 0x0fae, false, 3, tmp);            /* stmxcsr */
    as_rm(a, 0x8b, false, H_RCX, tmp);
    as_alu_ri(a, 4, false, H_RCX, 0x3f);
    as_rm(a, 0x09, false, H_RCX, hm_cpu(CPU_OFF(mxcsr)));
    as_mov_mi32(a, false, tmp, 0x1f80);
    as_rm(a, 0x0fae, false, 2, tmp);            /* ldmxcsr */
    as_load64(a, H_RSP, hm_cpu(CPU_OFF(host_sp)));
    as_alu_ri(a, 0, true, H_RSP, 8);
    static const uint8_t pops[] = { H_R15, H_R14, H_R13, H_R12, H_RBP, H_RBX };
    for (unsigned k = 0; k < sizeof pops; k++)
        as_op(a, 0x58u + (pops[k] & 7), false, 0, NOREG, pops[k], false);
    as_b(a, 0xc3);
    return p;
}

static uint8_t *gen_enter(struct as *a)
{
    uint8_t *p = begin(a);
    static const uint8_t pushes[] = { H_RBX, H_RBP, H_R12, H_R13, H_R14, H_R15 };
    for (unsigned k = 0; k < sizeof pushes; k++)
        as_op(a, 0x50u + (pushes[k] & 7), false, 0, NOREG, pushes[k], false);
    as_alu_ri(a, 5, true, H_RSP, 8);
    as_store64(a, hm_at(H_RDI, (int32_t)CPU_OFF(host_sp)), H_RSP);
    as_store64(a, hm_at(H_RDI, (int32_t)CPU_OFF(link_ra)), H_RSI);
    as_mov_rr(a, true, H_RSP, H_RDI);
    as_rm(a, 0x0fae, false, 2, hm_cpu(CPU_OFF(host_mxcsr)));
    homes_load(a, 0, true);
    as_rm(a, 0xff, false, 4, hm_cpu(CPU_OFF(link_ra)));
    return p;
}

/*
 * The guard of a link across pages failed, and the exit has had its share of links
 * made anew: on through the jump cache, whose tags know the address space.  Only
 * what that does not know goes to the run loop.
 */
static uint8_t *gen_hop(struct as *a, bool code64, uint8_t *link)
{
    const unsigned ra = T_FIRST, t0 = T_FIRST + 1, t1 = T_FIRST + 2;
    uint8_t *p = begin(a);
    as_op(a, 0x58u + (ra & 7), false, 0, NOREG, ra, false);     /* pop */
    as_rm(a, 0x63, true, t0, hm_at(ra, 0));     /* movsxd: the target's page offset */
    as_rm(a, 0x03, code64, t0, hm_cpu(CPU_OFF(pc_page)));
    uint8_t *miss = emit_jump_cache(a, t0, t1, VT_FIRST);
    as_patch(a, miss, a->p);
    as_op(a, 0x50u + (ra & 7), false, 0, NOREG, ra, false);     /* push */
    as_jmp_to(a, link);
    return p;
}

/* Leave for the run loop with a fixed reason. */
static uint8_t *gen_out(struct as *a, enum exec_why why, uint8_t *leave)
{
    uint8_t *p = begin(a);
    as_rm(a, 0x8f, false, 0, hm_cpu(CPU_OFF(link_ra)));
    homes_store(a, 0, true);
    as_mov_ri(a, H_RAX, (uint64_t)why);
    as_jmp_to(a, leave);
    return p;
}

enum ret { RET_VOID, RET_VALUE, RET_STATUS };

/*
 * A thunk around C function fn(cpu, arg[0..nargs-1]).  fp: the function may
 * change the guest's MXCSR, so it is loaded again.  into: register that gets c->hret, or NOREG.
 */
static uint8_t *gen_call_into(struct as *a, const void *fn, unsigned nargs, enum ret ret, bool writes_gpr,
                              bool flags, bool fp, unsigned into, uint8_t *leave)
{
    static const uint8_t reg[] = { H_RSI, H_RDX, H_RCX, H_R8 };
    uint8_t *p = begin(a);
    homes_store(a, 8, true);
    vtemps_move(a, false, 8);
    as_load64(a, H_RAX, hm_at(H_RSP, 0));
    as_store64(a, hm_at(H_RSP, (int32_t)CPU_OFF(link_ra) + 8), H_RAX);
    if (flags) {                                /* C sees only flag bits */
        struct hm fl = hm_at(H_RSP, (int32_t)CPU_OFF(flags) + 8);
        as_load64(a, H_RAX, fl);
        as_rr(a, 0x85, true, H_RAX, H_RAX);
        uint8_t *image = as_jcc(a, CC_NS);
        as_lea(a, true, H_RDI, hm_at(H_RSP, 8));
        as_alu_ri(a, 5, true, H_RSP, 8);
        as_mov_ri(a, H_RAX, (uint64_t)(uintptr_t)exec_resolve_flags);
        as_rr(a, 0xff, false, 2, H_RAX);        /* call rax */
        as_alu_ri(a, 0, true, H_RSP, 8);
        as_load64(a, H_RAX, fl);
        as_patch(a, image, a->p);
        as_alu_ri(a, 4, false, H_RAX, FL_ARITH);
        as_store64(a, fl, H_RAX);
    }
    as_lea(a, true, H_RDI, hm_at(H_RSP, 8));
    for (unsigned n = 0; n < nargs; n++)
        as_load64(a, reg[n], hm_at(H_RSP, (int32_t)CPU_OFF(arg) + 8 * (int32_t)n + 8));
    as_alu_ri(a, 5, true, H_RSP, 8);
    as_mov_ri(a, H_RAX, (uint64_t)(uintptr_t)fn);
    as_rr(a, 0xff, false, 2, H_RAX);            /* call rax */
    as_alu_ri(a, 0, true, H_RSP, 8);
    uint8_t *out = NULL;
    if (ret == RET_STATUS) {                    /* of a bool, only AL is defined */
        as_rr8(a, 0x0fb6, H_RAX, H_RAX);
        as_rr(a, 0x85, false, H_RAX, H_RAX);
        out = as_jcc(a, CC_NZ);
    } else if (ret == RET_VALUE) {
        as_store64(a, hm_at(H_RSP, (int32_t)CPU_OFF(hret) + 8), H_RAX);
    }
    if (fp) {                                   /* flags that wait in the host's MXCSR must not be lost */
        as_rm(a, 0x0fae, false, 3, hm_at(H_RSP, (int32_t)CPU_OFF(tmp_mxcsr) + 8));
        as_rm(a, 0x8b, false, H_RAX, hm_at(H_RSP, (int32_t)CPU_OFF(tmp_mxcsr) + 8));
        as_alu_ri(a, 4, false, H_RAX, 0x3f);
        as_rm(a, 0x09, false, H_RAX, hm_at(H_RSP, (int32_t)CPU_OFF(mxcsr) + 8));
        as_rm(a, 0x0fae, false, 2, hm_at(H_RSP, (int32_t)CPU_OFF(host_mxcsr) + 8));
    }
    homes_load(a, 8, writes_gpr);
    vtemps_move(a, true, 8);
    if (into != NOREG)
        as_load64(a, into, hm_at(H_RSP, (int32_t)CPU_OFF(hret) + 8));
    as_b(a, 0xc3);
    if (out) {
        /* 1 -> WHY_FAULT, 2 -> WHY_SLOW */
        as_patch(a, out, a->p);
        as_alu_ri(a, 0, true, H_RSP, 8);
        temps_store(a, 0);
        as_alu_ri(a, 0, false, H_RAX, WHY_FAULT - 1);
        as_jmp_to(a, leave);
    }
    return p;
}

static uint8_t *gen_call(struct as *a, const void *fn, unsigned nargs, enum ret ret, bool writes_gpr,
                         bool flags, bool fp, uint8_t *leave)
{
    return gen_call_into(a, fn, nargs, ret, writes_gpr, flags, fp, NOREG, leave);
}

/*
 * Go on at c->rip, whatever the mode is now, without leaving for the run loop if
 * the next block is known (exec_dispatch).
 */
static uint8_t *gen_dispatch(struct as *a, const void *(*next)(struct cpu *), enum exec_why otherwise,
                             uint8_t *leave)
{
    uint8_t *p = begin(a);
    homes_store(a, 8, true);
    temps_store(a, 8);
    as_lea(a, true, H_RDI, hm_at(H_RSP, 8));
    as_alu_ri(a, 5, true, H_RSP, 8);
    as_mov_ri(a, H_RAX, (uint64_t)(uintptr_t)next);
    as_rr(a, 0xff, false, 2, H_RAX);            /* call rax */
    as_alu_ri(a, 0, true, H_RSP, 8);
    as_rm(a, 0x8f, false, 0, hm_cpu(CPU_OFF(link_ra)));
    as_rr(a, 0x85, true, H_RAX, H_RAX);
    uint8_t *out = as_jcc(a, CC_Z);
    as_store64(a, hm_cpu(CPU_OFF(link_ra)), H_RAX);
    homes_load(a, 0, true);
    as_rm(a, 0xff, false, 4, hm_cpu(CPU_OFF(link_ra)));
    as_patch(a, out, a->p);
    as_mov_ri(a, H_RAX, (uint64_t)otherwise);
    as_jmp_to(a, leave);
    return p;
}

/*
 * rax: first byte, rdx: the last byte's page number.  rcx = c->hret = delta, from table
 * [idx][write]; if that has none, it jumps: the rel32 is returned.
 */
static uint8_t *gen_lookup(struct as *a, unsigned idx, bool write, int32_t shift)
{
    int32_t tlb = (int32_t)(CPU_OFF(tlb) + sizeof(struct tlb_fast) * (idx * 2 + write)) + shift;
    as_mov_rr(a, true, H_RCX, H_RAX);
    as_shift_ri(a, 5, true, H_RCX, 8);
    as_rm(a, 0x23, true, H_RCX, hm_at(H_RSP, tlb + (int32_t)offsetof(struct tlb_fast, mask)));
    as_rm(a, 0x03, true, H_RCX, hm_at(H_RSP, tlb + (int32_t)offsetof(struct tlb_fast, base)));
    as_rm(a, 0x3b, true, H_RDX, hm_at(H_RCX, (int32_t)offsetof(struct tlb_entry, tag)));
    uint8_t *miss = as_jcc(a, CC_NZ);
    as_load64(a, H_RCX, hm_at(H_RCX, (int32_t)offsetof(struct tlb_entry, delta)));
    as_store64(a, hm_at(H_RSP, (int32_t)CPU_OFF(hret) + shift), H_RCX);
    return miss;
}

/*
 * An access off the stack pointer is not in the page remembered for it: c->hret =
 * delta from the tables (a page that may be written is remembered), or whatever
 * `probe` says.  No register changes.
 */
static uint8_t *gen_stack(struct as *a, unsigned idx, bool write, uint8_t *probe)
{
    static const uint8_t used[] = { H_RAX, H_RCX, H_RDX };
    const int32_t shift = 8 + 8 * (int32_t)sizeof used;
    int32_t page = (int32_t)(CPU_OFF(stack_page) + sizeof(struct tlb_page) * idx) + shift;
    int32_t below = page + (int32_t)offsetof(struct tlb_page, below);
    uint8_t *p = begin(a), *miss;
    for (unsigned k = 0; k < sizeof used; k++)
        as_op(a, 0x50u + used[k], false, 0, NOREG, used[k], false);
    as_load64(a, H_RAX, hm_at(H_RSP, (int32_t)CPU_OFF(arg[0]) + shift));
    as_rm(a, 0x0fb7, false, H_RDX, hm_at(H_RSP, (int32_t)CPU_OFF(arg[1]) + shift + 2));        /* span */
    as_lea(a, true, H_RDX, hm_idx(H_RAX, H_RDX, 0, -1));
    as_shift_ri(a, 5, true, H_RDX, 12);
    miss = gen_lookup(a, idx, true, shift);
    as_shift_ri(a, 4, true, H_RDX, 12);
    as_store64(a, hm_at(H_RSP, page + (int32_t)offsetof(struct tlb_page, page)), H_RDX);
    as_store64(a, hm_at(H_RSP, page + (int32_t)offsetof(struct tlb_page, delta)), H_RCX);
    as_mov_mi32(a, true, hm_at(H_RSP, below), PAGE_SIZE - TLB_PAGE_SPAN0 + 1);
    as_mov_mi32(a, true, hm_at(H_RSP, below + 8), PAGE_SIZE - TLB_PAGE_SPAN1 + 1);
    uint8_t *out = a->p;
    for (unsigned k = sizeof used; k-- > 0;)
        as_op(a, 0x58u + used[k], false, 0, NOREG, used[k], false);
    as_b(a, 0xc3);
    as_patch(a, miss, a->p);
    if (!write) {
        miss = gen_lookup(a, idx, false, shift);
        as_jmp_to(a, out);
        as_patch(a, miss, a->p);
    }
    for (unsigned k = sizeof used; k-- > 0;)
        as_op(a, 0x58u + used[k], false, 0, NOREG, used[k], false);
    as_jmp_to(a, probe);
    return p;
}

/* The access itself: t = [u + t], or [u + t] = c->arg[2] by way of v; u: delta. */
static void gen_move(struct as *a, unsigned log, bool store, unsigned t, unsigned u, unsigned v)
{
    static const uint32_t load[] = { 0x0fb6, 0x0fb7, 0x8b, 0x8b }, keep[] = { 0x88, OP66(0x89), 0x89, 0x89 };
    if (store) {
        as_load64(a, v, hm_at(H_RSP, (int32_t)CPU_OFF(arg[2]) + 8));
        as_rm(a, keep[log], log == 3, v, hm_idx(u, t, 0, 0));
    } else {
        as_rm(a, load[log], log == 3, t, hm_idx(u, t, 0, 0));
    }
}

/*
 * An access of a stencil, at the address in temporary t: found in the TLB, or on
 * through `slow`, which returns to the same place.  Small code counts there, not
 * the call.  Nothing but t and EFLAGS changes; free: the other temporaries may.
 */
static uint8_t *gen_access(struct as *a, unsigned log, unsigned aux, bool store, unsigned t, bool free,
                           uint8_t *slow)
{
    const unsigned u = t == T_FIRST ? T_FIRST + 1 : T_FIRST, v = 3 * T_FIRST + 3 - t - u, span = 1u << log;
    const struct hm us = hm_at(H_RSP, (int32_t)(CPU_OFF(temp) + 8 * (u - T_FIRST)) + 8);
    const struct hm vs = hm_at(H_RSP, (int32_t)(CPU_OFF(temp) + 8 * (v - T_FIRST)) + 8);
    unsigned table = ((aux & MEM_IDX) >> MEM_IDX_SHIFT) * 2 + (aux & MEM_WRITE ? 1 : 0);
    int32_t tlb = (int32_t)(CPU_OFF(tlb) + sizeof(struct tlb_fast) * table) + 8;
    uint8_t *p = begin(a), *miss;
    if (!free) {
        as_store64(a, us, u);
        as_store64(a, vs, v);
    }
    as_mov_rr(a, true, u, t);
    as_shift_ri(a, 5, true, u, 8);
    as_lea(a, true, v, hm_at(t, (int32_t)span - 1));
    as_rm(a, 0x23, true, u, hm_at(H_RSP, tlb + (int32_t)offsetof(struct tlb_fast, mask)));
    as_rm(a, 0x03, true, u, hm_at(H_RSP, tlb + (int32_t)offsetof(struct tlb_fast, base)));
    as_shift_ri(a, 5, true, v, 12);
    as_rm(a, 0x3b, true, v, hm_at(u, (int32_t)offsetof(struct tlb_entry, tag)));
    miss = as_jcc(a, CC_NZ);
    as_load64(a, u, hm_at(u, (int32_t)offsetof(struct tlb_entry, delta)));
    gen_move(a, log, store, t, u, v);
    if (!free) {
        as_load64(a, u, us);
        as_load64(a, v, vs);
    }
    as_b(a, 0xc3);
    as_patch(a, miss, a->p);
    if (!free) {
        as_load64(a, u, us);
        as_load64(a, v, vs);
    }
    as_store64(a, hm_at(H_RSP, (int32_t)CPU_OFF(arg[0]) + 8), t);
    as_mov_mi32(a, true, hm_at(H_RSP, (int32_t)CPU_OFF(arg[1]) + 8), (int32_t)(span << 16 | aux));
    as_jmp_to(a, slow);
    return p;
}

/*
 * The same off the stack pointer, against the page remembered for it; the other
 * temporaries may be overwritten.  Where that fails the page is looked up and
 * remembered, or else `plain` does it.
 */
static uint8_t *gen_stack_access(struct as *a, struct backend *be, unsigned log, unsigned aux, bool store,
                                 unsigned t, uint8_t *plain)
{
    const unsigned u = t == T_FIRST ? T_FIRST + 1 : T_FIRST, v = 3 * T_FIRST + 3 - t - u, span = 1u << log;
    unsigned idx = (aux & MEM_IDX) >> MEM_IDX_SHIFT;
    uint32_t page = CPU_OFF(stack_page) + sizeof(struct tlb_page) * idx + 8;
    uint8_t *p = begin(a), *go, *miss;
    as_mov_rr(a, true, u, t);
    as_rm(a, 0x2b, true, u, hm_cpu(page + (uint32_t)offsetof(struct tlb_page, page)));
    as_rm(a, 0x3b, true, u, hm_cpu(page + (uint32_t)offsetof(struct tlb_page, below)));
    miss = as_jcc(a, CC_NB);
    as_load64(a, u, hm_cpu(page + (uint32_t)offsetof(struct tlb_page, delta)));
    go = a->p;
    gen_move(a, log, store, t, u, v);
    as_b(a, 0xc3);
    as_patch(a, miss, a->p);
    as_op(a, 0x58u + (v & 7), false, 0, NOREG, v, false);       /* pop: rsp is the CPU's again */
    as_store64(a, hm_cpu(CPU_OFF(arg[0])), t);
    as_mov_mi32(a, true, hm_cpu(CPU_OFF(arg[1])), (int32_t)(span << 16 | aux));
    as_call_to(a, be->stack[idx][aux & MEM_WRITE ? 1 : 0]);
    as_op(a, 0x50u + (v & 7), false, 0, NOREG, v, false);       /* push */
    as_load64(a, u, hm_cpu(CPU_OFF(hret) + 8));
    as_rr(a, 0x85, true, u, u);
    as_patch(a, as_jcc(a, CC_NZ), go);
    as_jmp_to(a, plain);
    return p;
}

static void gen_accesses(struct as *a, struct backend *be, uint8_t *leave)
{
    for (unsigned t = 0; t < T_COUNT; t++) {
        uint8_t *slow = gen_call_into(a, (void *)slow_load, 2, RET_STATUS, false, false, false, T_FIRST + t,
                                      leave);
        for (unsigned n = 0; n < MMU_IDX_COUNT * 2 * 2 * 2 * 4; n++) {
            unsigned log = n & 3, w = n >> 2 & 1, ss = n >> 3 & 1, free = n >> 4 & 1, idx = n >> 5;
            unsigned aux = idx << MEM_IDX_SHIFT | (w ? MEM_WRITE : 0) | (ss ? MEM_SS : 0);
            be->mem_ld[ss][w][idx][log][t][free] = gen_access(a, log, aux, false, T_FIRST + t, free, slow);
            if (free)
                be->stack_ld[ss][w][idx][log][t] = gen_stack_access(a, be, log, aux, false, T_FIRST + t,
                                                                    be->mem_ld[ss][w][idx][log][t][1]);
            if (w)
                be->mem_st[ss][idx][log][t][free] = gen_access(a, log, aux, true, T_FIRST + t, free,
                                                               be->slow_st);
            if (w && free)
                be->stack_st[ss][idx][log][t] = gen_stack_access(a, be, log, aux, true, T_FIRST + t,
                                                                 be->mem_st[ss][idx][log][t][1]);
        }
    }
}

_Static_assert(WHY_SLOW == WHY_FAULT + 1, "thunks turn status 1 and 2 into these");

struct backend *backend_new(uint8_t *rw, intptr_t rx_off, const struct backend_config *config)
{
    struct backend *be = calloc(1, sizeof *be);
    struct as as = { .p = rw, .notes = NULL }, *a = &as;
    if (!be)
        die(EXIT_CODE_HOST, "out of memory");
    be->rw = rw;
    be->rx_off = rx_off;
    be->features = config->features;
    vec_rules_init(be);
    uint8_t *leave = gen_leave(a);
    be->enter = gen_enter(a);
    be->link = gen_out(a, WHY_LINK, leave);
    be->hop[0] = gen_hop(a, false, be->link);
    be->hop[1] = gen_hop(a, true, be->link);
    be->next = gen_out(a, WHY_EXIT, leave);
    be->next_rip = gen_out(a, WHY_NEXT, leave);
    be->attn = gen_out(a, WHY_ATTN, leave);
    be->hot = gen_out(a, WHY_HOT, leave);
    be->dispatch = gen_dispatch(a, exec_dispatch, WHY_NEXT, leave);
    be->redo = gen_dispatch(a, exec_redo, WHY_UNSHARED, leave);
    be->slow_ld = gen_call(a, (void *)slow_load, 2, RET_STATUS, false, false, false, leave);
    be->slow_st = gen_call(a, (void *)slow_store, 3, RET_STATUS, false, false, false, leave);
    be->slow_ldv = gen_call(a, (void *)slow_loadv, 2, RET_STATUS, false, false, false, leave);
    be->slow_stv = gen_call(a, (void *)slow_storev, 2, RET_STATUS, false, false, false, leave);
    be->slow_probe = gen_call(a, (void *)slow_probe, 2, RET_VOID, false, false, false, leave);
    for (unsigned i = 0; i < MMU_IDX_COUNT; i++)
        for (unsigned w = 0; w < 2; w++)
            be->stack[i][w] = gen_stack(a, i, w, be->slow_probe);
    gen_accesses(a, be, leave);
    be->slow_seg = gen_call(a, (void *)slow_segchk, 2, RET_STATUS, false, false, false, leave);
    be->raise = gen_call(a, (void *)slow_raise, 2, RET_STATUS, false, true, false, leave);
    be->divs = gen_call(a, (void *)slow_divs, 4, RET_STATUS, false, false, false, leave);
    be->amo = gen_call(a, (void *)slow_amo, 4, RET_STATUS, false, false, false, leave);
    be->op = gen_call(a, (void *)slow_op, 1, RET_VOID, false, false, true, leave);
    be->cc = gen_call(a, (void *)slow_cc, 4, RET_VALUE, false, false, false, leave);
    be->crc32 = gen_call(a, (void *)slow_crc32, 3, RET_VALUE, false, false, false, leave);
    be->x87_load = gen_call(a, (void *)x87_load, 0, RET_VOID, false, false, false, leave);
    for (unsigned h = 1; h < HELP_COUNT; h++) {
        const struct helper_info *i = &helper_info[h];
        enum ret r = i->status ? RET_STATUS : i->sig[0] == 'q' ? RET_VALUE : RET_VOID;
        be->help[h] = gen_call(a, (const void *)(uintptr_t)i->fn, i->nargs, r, (i->writes & HS_GPR) != 0,
                               ((i->reads | i->writes) & HS_FLAGS) != 0,
                               ((i->reads | i->writes) & (HS_VEC | HS_X87)) != 0, leave);
    }
    assert(a->p <= rw + BACKEND_THUNK_BYTES);
    return be;
}

void backend_free(struct backend *be)
{
    free(be->em);
    stencil_copy_free(be);
    free(be);
}

enum exec_why backend_enter(struct backend *be, struct cpu *c, const void *rx)
{
    typedef enum exec_why (*enter_fn)(struct cpu *, const void *);
    return ((enter_fn)(uintptr_t)(be->enter + be->rx_off))(c, rx);
}

/* The call pushed it: translated code has rsp at struct cpu. */
const void *backend_thunk_caller(const struct cpu *c)
{
    return ((const void *const *)(const void *)c)[-1];
}

static uint64_t cpu_bytes(uint64_t after)
{
    return ((uint64_t)JC_OFF + after + 4095) & ~(uint64_t)4095;
}

struct cpu *backend_cpu_alloc(uint64_t after)
{
    uint64_t n = cpu_bytes(after);
    char *p = mmap(NULL, 4096 + JIT_STACK + n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        die(EXIT_CODE_HOST, "cannot allocate %llu KiB for a CPU", (unsigned long long)(n >> 10));
    if (mprotect(p, 4096, PROT_NONE))           /* guard page below the stack */
        die(EXIT_CODE_HOST, "cannot protect the CPU's stack");
    return (struct cpu *)(void *)(p + 4096 + JIT_STACK);
}

void backend_cpu_free(struct cpu *c, uint64_t after)
{
    munmap((char *)c - JIT_STACK - 4096, 4096 + JIT_STACK + cpu_bytes(after));
}
