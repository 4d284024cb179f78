/*
 * entry.c - between C and translated code: the thunks, the way in and the way out.
 *
 * A thunk is called with its arguments in c->arg[]; it stores homes and temporaries
 * to struct cpu (so that C sees the guest's registers), keeps NZCV, x15 and the vector
 * temporaries on the stack, calls C, and loads everything again.  If C returns nonzero,
 * execution leaves: 1 is a guest fault (WHY_FAULT), 2 asks to redo the instruction
 * alone (WHY_SLOW).  c->link_ra then is the return address, by which the run loop
 * finds the block and the guest instruction.
 */
#include <assert.h>
#include <stdlib.h>
#include <sys/auxv.h>

#include "backend-aarch64/emit.h"
#include "backend-common/slow.h"
#include "base/log.h"
#include "translator/backend_hooks.h"
#include "translator/interp.h"

const bool backend_exists = true;
const bool backend_sse_plain = true;
const bool backend_flags_wait = HOST_FLAGS_WAIT;
const bool backend_keeps_carry = false;

bool backend_disassembler(csh *cs)
{
    return cs_open(CS_ARCH_ARM64, CS_MODE_LITTLE_ENDIAN, cs) == CS_ERR_OK;
}

const unsigned backend_max_mib = 128;   /* B, BL */

const char *backend_missing(void)
{
    unsigned long have = getauxval(AT_HWCAP);
    return !(have & HWCAP_FP) ? "floating point" : !(have & HWCAP_ASIMD) ? "Advanced SIMD (NEON)" : NULL;
}

bool backend_code_runs(uint8_t *rw, intptr_t rx_off)
{
    uint64_t got = 0;
    for (unsigned k = 1; k <= 2; k++) {         /* a function that returns k */
        struct as a = { .p = rw };
        as_mov_i(&a, 0, k);
        as_ret(&a);
        __builtin___clear_cache((char *)rw + rx_off, (char *)a.p + rx_off);
        got = ((uint64_t (*)(void))(uintptr_t)(rw + rx_off))();
    }
    return got == 2;
}

/*
 * ---- floating-point hooks: sticky flags wait in the host, see emit_fp.c ----
 *
 * The flags MXCSR has are in FPSR, too: nothing needs them there, but emulators compute faster when what
 * is raised all the time, inexact, need not be raised again.
 */

/* Cumulative flags: invalid is MXCSR's IE, division by zero, overflow, underflow and inexact are one bit below. */
#define FPSR_IOC 0x01u
#define FPSR_HIGHER 0x16u       /* without underflow */
#define FPSR_RD 0xd53b4420u     /* mrs, msr */
#define FPSR_WR 0xd51b4420u

void backend_fp_sync(struct cpu *c)
{
    uint64_t v;
    __asm__ volatile("mrs %0, fpsr" : "=r"(v));
    c->mxcsr |= (uint32_t)((v & FPSR_IOC) | (v & FPSR_HIGHER) << 1);
}

void backend_fp_changed(struct cpu *c)
{
    uint64_t v = (c->mxcsr & FPSR_IOC) | (c->mxcsr >> 1 & 0x1e);
    __asm__ volatile("msr fpsr, %0" : : "r"(v));        /* C's own flags are not the guest's */
}

/* ---- thunk generation ---- */

/* [cpu + off], any field. */
static void field(struct as *a, bool load, unsigned log, unsigned reg, uint32_t off)
{
    as_ldst(a, load ? OP_LDR : OP_STR, log, reg, H_CPU, off);
}

static void homes(struct as *a, bool load)
{
    as_add_i(a, true, H_S0, H_CPU, CPU_OFF(r), H_S1);
    for (unsigned g = 0; g < 16; g += 2)
        as_pair(a, load ? OP_LDP : OP_STP, home_host(g), home_host(g + 1), H_S0, 8 * (int32_t)g);
    as_add_i(a, true, H_S0, H_CPU, CPU_OFF(x), H_S1);
    for (unsigned n = 0; n < 16; n += 2)
        as_vpair(a, !load, vhome_host(n), vhome_host(n + 1), H_S0, 16 * (int32_t)n);
}

void entry_tables(struct as *a)
{
    field(a, true, 2, H_S0, CPU_OFF(mode));
    as_ubfx(a, false, H_S0, H_S0, M_MMU_SHIFT, 2);
    as_rrs(a, OP_ADD, true, H_S0, H_CPU, H_S0, SH_LSL, 5);
    as_pair(a, OP_LDP, H_MASK, H_TLB, H_S0, (int32_t)CPU_OFF(tlb));
    as_pair(a, OP_LDP, H_WMASK, H_WTLB, H_S0, (int32_t)(CPU_OFF(tlb) + sizeof(struct tlb_fast)));
    for (unsigned r = H_WMASK; r <= H_MASK; r++)
        field(a, false, 3, r, CPU_OFF(temp) + 8 * r);
}
_Static_assert(M_MMU == 3u << M_MMU_SHIFT && sizeof(struct tlb_fast) * 2 == 1 << 5, "an index of c->tlb");

/* All of x0 to x7. */
static void temps(struct as *a, bool load)
{
    as_add_i(a, true, H_S0, H_CPU, CPU_OFF(temp), H_S1);
    for (unsigned t = 0; t < 8; t += 2)
        as_pair(a, load ? OP_LDP : OP_STP, T_FIRST + t, T_FIRST + t + 1, H_S0, 8 * (int32_t)t);
}

static void call_c(struct as *a, const void *fn)
{
    as_mov(a, true, 0, H_CPU);
    as_mov_i(a, H_S0, (uint64_t)(uintptr_t)fn);
    as_call(a, H_S0);
}

/* The common tail: w0 = why, guest state stored; back to C. */
static uint8_t *gen_leave(struct as *a, bool ordered)
{
    uint8_t *p = a->p;
    if (ordered)
        as_dmb(a);
    as_w(a, FPSR_RD | H_S0);
    field(a, true, 2, H_S1, CPU_OFF(mxcsr));
    as_logic_i(a, OPI_AND, false, H_S2, H_S0, FPSR_IOC);
    as_rrr(a, OP_ORR, false, H_S1, H_S1, H_S2);
    as_ubfx(a, false, H_S2, H_S0, 1, 2);        /* DZC, OFC */
    as_rrs(a, OP_ORR, false, H_S1, H_S1, H_S2, SH_LSL, 2);
    as_ubfx(a, false, H_S0, H_S0, 4, 1);        /* IXC */
    as_rrs(a, OP_ORR, false, H_S1, H_S1, H_S0, SH_LSL, 5);
    field(a, false, 2, H_S1, CPU_OFF(mxcsr));
    field(a, true, 3, H_S0, CPU_OFF(host_sp));
    as_rri(a, OPI_ADD, true, H_SP, H_S0, 0);
    for (unsigned r = 19; r < 29; r += 2)
        as_pair(a, OP_LDP, r, r + 1, H_SP, 8 * (int32_t)(r - 19) + 16);
    as_pair(a, OP_LDP_POST, 29, H_LR, H_SP, 96);
    as_ret(a);
    return p;
}

/* The frame: x29 and x30 at the bottom, x19 to x28 above. */
static uint8_t *gen_enter(struct as *a, bool ordered)
{
    uint8_t *p = a->p;
    as_pair(a, OP_STP_PRE, 29, H_LR, H_SP, -96);
    for (unsigned r = 19; r < 29; r += 2)
        as_pair(a, OP_STP, r, r + 1, H_SP, 8 * (int32_t)(r - 19) + 16);
    as_mov(a, true, H_CPU, 0);
    as_mov(a, true, H_S2, 1);
    as_rri(a, OPI_ADD, true, H_S0, H_SP, 0);
    field(a, false, 3, H_S0, CPU_OFF(host_sp));
    field(a, true, 2, H_S0, CPU_OFF(mxcsr));    /* backend_fp_changed() */
    as_ubfx(a, false, H_S1, H_S0, 1, 5);
    as_bfi(a, false, H_S1, H_S0, 0, 1);
    as_w(a, FPSR_WR | H_S1);
    homes(a, true);
    entry_tables(a);
    if (ordered)
        as_dmb(a);
    as_jump(a, H_S2);
    return p;
}

/* Leave for the run loop with a fixed reason. */
static uint8_t *gen_out(struct as *a, enum exec_why why, uint8_t *leave)
{
    uint8_t *p = a->p;
    field(a, false, 3, H_LR, CPU_OFF(link_ra));
    homes(a, false);
    as_mov_i(a, 0, why);
    as_b_to(a, leave);
    return p;
}

/*
 * The guard of a link across pages failed, and the exit has had its share of links
 * made anew: on through the jump cache, whose tags know the address space.  Only
 * what that does not know goes to the run loop.
 */
static uint8_t *gen_hop(struct as *a, bool code64, uint8_t *link)
{
    uint8_t *p = a->p;
    as_w(a, 0xb9800000u | H_LR << 5 | 0);       /* ldrsw x0, [x30]: the target's page offset */
    field(a, true, 3, 1, CPU_OFF(pc_page));
    as_rrr(a, OP_ADD, code64, 0, 0, 1);
    as_patch(emit_jump_cache(a, 0), a->p);
    as_b_to(a, link);
    return p;
}

enum ret { RET_VOID, RET_VALUE, RET_STATUS };

#define FRAME 160               /* x30, x15, NZCV; v0 to v7 */

static void keep(struct as *a)
{
    as_pair(a, OP_STP_PRE, H_LR, H_PF, H_SP, -FRAME);
    as_mrs_nzcv(a, H_S0);
    as_ldst(a, OP_STR, 3, H_S0, H_SP, 16);
    for (unsigned v = 0; v < VT_COUNT; v += 2)
        as_vpair(a, true, VT_FIRST + v, VT_FIRST + v + 1, H_SP, 32 + 16 * (int32_t)v);
    temps(a, false);
    homes(a, false);
    field(a, false, 3, H_LR, CPU_OFF(link_ra));
}

static void restore(struct as *a)
{
    homes(a, true);
    temps(a, true);
    entry_tables(a);
    for (unsigned v = 0; v < VT_COUNT; v += 2)
        as_vpair(a, false, VT_FIRST + v, VT_FIRST + v + 1, H_SP, 32 + 16 * (int32_t)v);
    as_ldst(a, OP_LDR, 3, H_S0, H_SP, 16);
    as_msr_nzcv(a, H_S0);
    as_pair(a, OP_LDP_POST, H_LR, H_PF, H_SP, FRAME);
}

/* A thunk around C function fn(cpu, arg[0..nargs-1]). flags: it reads or writes c->flags. */
static uint8_t *gen_call(struct as *a, const void *fn, unsigned nargs, enum ret ret, bool flags, uint8_t *leave)
{
    uint8_t *p = a->p, *image, *out = NULL;
    keep(a);
    if (flags) {                                /* C sees only flag bits */
        field(a, true, 3, 1, CPU_OFF(flags));
        as_rrr(a, OP_SUBS, true, H_ZR, 1, H_ZR);
        image = as_bcc(a, A_PL);
        call_c(a, exec_resolve_flags);
        field(a, true, 3, 1, CPU_OFF(flags));
        as_patch(image, a->p);
        as_mov_i(a, 2, FL_ARITH);
        as_rrr(a, OP_AND, true, 1, 1, 2);
        field(a, false, 3, 1, CPU_OFF(flags));
    }
    for (unsigned n = 0; n < nargs; n++)
        field(a, true, 3, 1 + n, CPU_OFF(arg) + 8 * n);
    call_c(a, fn);
    if (ret == RET_STATUS) {                    /* of a bool, only the low byte is defined */
        as_ubfx(a, false, 0, 0, 0, 8);
        out = as_cbnz(a, false, 0);
    } else if (ret == RET_VALUE) {
        field(a, false, 3, 0, CPU_OFF(hret));
    }
    restore(a);
    as_ret(a);
    if (out) {                                  /* 1 -> WHY_FAULT, 2 -> WHY_SLOW */
        as_patch(out, a->p);
        as_rri(a, OPI_ADD, false, 0, 0, WHY_FAULT - 1);
        as_b_to(a, leave);
    }
    return p;
}

/* x0 = delta, if table `tlb` (an offset in struct cpu) has the page of both x16 and x17; the branch if not. */
static uint8_t *gen_lookup(struct as *a, uint32_t tlb)
{
    as_pair(a, OP_LDP, 0, 1, H_CPU, (int32_t)tlb);
    as_rrs(a, OP_AND, true, 0, 0, H_S0, SH_LSR, 8);
    as_rrr(a, OP_ADD, true, 0, 1, 0);
    as_pair(a, OP_LDP, 1, 0, 0, 0);
    as_logic_i(a, OPI_AND, true, H_S1, H_S1, ~(uint64_t)0xfff);
    as_rrr(a, OP_EOR, true, 1, 1, H_S1);
    return as_cbnz(a, true, 1);
}

/*
 * An access off the stack pointer is not in the page remembered for it: c->hret = delta from the tables (a page
 * that may be written is remembered), or whatever `probe` says.  No register but the scratch ones changes; c->arg[2]
 * and [3] are not in use.
 */
static uint8_t *gen_stack(struct as *a, unsigned idx, bool write, uint8_t *probe)
{
    uint32_t page = CPU_OFF(stack_page) + (uint32_t)sizeof(struct tlb_page) * idx;
    uint32_t tlb = CPU_OFF(tlb) + (uint32_t)sizeof(struct tlb_fast) * idx * 2;
    uint8_t *p = a->p, *miss, *out;
    as_pair(a, OP_STP, 0, 1, H_CPU, (int32_t)CPU_OFF(arg[2]));
    field(a, true, 3, H_S0, CPU_OFF(arg[0]));
    as_ldst(a, OP_LDR, 1, H_S1, H_CPU, CPU_OFF(arg[1]) + 2);            /* span */
    as_rrr(a, OP_ADD, true, H_S1, H_S1, H_S0);
    as_rri(a, OPI_SUB, true, H_S1, H_S1, 1);
    miss = gen_lookup(a, tlb + (uint32_t)sizeof(struct tlb_fast));
    as_pair(a, OP_STP, H_S1, 0, H_CPU, (int32_t)page);
    out = a->p;
    field(a, false, 3, 0, CPU_OFF(hret));
    as_pair(a, OP_LDP, 0, 1, H_CPU, (int32_t)CPU_OFF(arg[2]));
    as_ret(a);
    as_patch(miss, a->p);
    if (!write) {
        miss = gen_lookup(a, tlb);
        as_b_to(a, out);
        as_patch(miss, a->p);
    }
    as_pair(a, OP_LDP, 0, 1, H_CPU, (int32_t)CPU_OFF(arg[2]));
    as_b_to(a, probe);
    return p;
}
_Static_assert(offsetof(struct tlb_page, delta) == offsetof(struct tlb_page, page) + 8, "stored at once");

/*
 * Go on at c->rip, whatever the mode is now, without leaving for the run loop if
 * the next block is known (exec_dispatch).
 */
static uint8_t *gen_dispatch(struct as *a, const void *(*next)(struct cpu *), enum exec_why otherwise,
                             uint8_t *leave)
{
    uint8_t *p = a->p, *out;
    field(a, false, 3, H_LR, CPU_OFF(link_ra));
    temps(a, false);
    homes(a, false);
    call_c(a, (const void *)(uintptr_t)next);
    out = as_cbz(a, true, 0);
    as_mov(a, true, H_S2, 0);
    homes(a, true);
    entry_tables(a);
    as_jump(a, H_S2);
    as_patch(out, a->p);
    as_mov_i(a, 0, otherwise);
    as_b_to(a, leave);
    return p;
}

_Static_assert(WHY_SLOW == WHY_FAULT + 1, "thunks turn status 1 and 2 into these");

const void *backend_thunk_caller(const struct cpu *c)
{
    return (const void *)(uintptr_t)c->link_ra;
}

struct backend *backend_new(uint8_t *rw, intptr_t rx_off, const struct backend_config *config)
{
    struct backend *be = calloc(1, sizeof *be);
    struct as as = { .p = rw }, *a = &as;
    uint8_t *leave;
    if (!be)
        die(EXIT_CODE_HOST, "out of memory");
    be->rw = rw;
    be->rx_off = rx_off;
    be->features = config->features;
    be->ordered = config->ordered;
    leave = gen_leave(a, be->ordered);
    be->enter = gen_enter(a, be->ordered);
    be->link = gen_out(a, WHY_LINK, leave);
    be->hop[0] = gen_hop(a, false, be->link);
    be->hop[1] = gen_hop(a, true, be->link);
    be->next = gen_out(a, WHY_EXIT, leave);
    be->next_rip = gen_out(a, WHY_NEXT, leave);
    be->attn = gen_out(a, WHY_ATTN, leave);
    be->dispatch = gen_dispatch(a, exec_dispatch, WHY_NEXT, leave);
    be->redo = gen_dispatch(a, exec_redo, WHY_UNSHARED, leave);
    be->slow_ld = gen_call(a, slow_load, 2, RET_STATUS, false, leave);
    be->slow_st = gen_call(a, slow_store, 3, RET_STATUS, false, leave);
    be->slow_ldv = gen_call(a, slow_loadv, 2, RET_STATUS, false, leave);
    be->slow_stv = gen_call(a, slow_storev, 2, RET_STATUS, false, leave);
    be->slow_probe = gen_call(a, slow_probe, 2, RET_VOID, false, leave);
    for (unsigned i = 0; i < MMU_IDX_COUNT; i++)
        for (unsigned w = 0; w < 2; w++)
            be->stack[i][w] = gen_stack(a, i, w, be->slow_probe);
    be->slow_seg = gen_call(a, slow_segchk, 2, RET_STATUS, false, leave);
    be->raise = gen_call(a, slow_raise, 2, RET_STATUS, true, leave);
    be->divs = gen_call(a, slow_divs, 4, RET_STATUS, false, leave);
    be->amo = gen_call(a, slow_amo, 4, RET_STATUS, false, leave);
    be->op = gen_call(a, slow_op, 1, RET_VOID, false, leave);
    be->flags = gen_call(a, slow_flags, 2, RET_VALUE, false, leave);
    be->resolve = gen_call(a, exec_resolve_flags, 0, RET_VOID, false, leave);
    be->crc32 = gen_call(a, slow_crc32, 3, RET_VALUE, false, leave);
    for (unsigned h = 1; h < HELP_COUNT; h++) {
        const struct helper_info *i = &helper_info[h];
        enum ret r = i->status ? RET_STATUS : i->sig[0] == 'q' ? RET_VALUE : RET_VOID;
        be->help[h] = gen_call(a, (const void *)(uintptr_t)i->fn, i->nargs, r,
                               ((i->reads | i->writes) & HS_FLAGS) != 0, leave);
    }
    x87_routines(be, a);
    assert(a->p <= rw + BACKEND_THUNK_BYTES);
    __builtin___clear_cache((char *)rw + rx_off, (char *)a->p + rx_off);
    return be;
}

void backend_free(struct backend *be)
{
    count_free(be);
    free(be->em);
    free(be);
}

enum exec_why backend_enter(struct backend *be, struct cpu *c, const void *rx)
{
    typedef enum exec_why (*enter_fn)(struct cpu *, const void *);
    return ((enter_fn)(uintptr_t)(be->enter + be->rx_off))(c, rx);
}
