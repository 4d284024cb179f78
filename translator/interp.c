/*
 * interp.c - the IR interpreter: what every operation means, and the way to run
 * guests on hosts without a code generator.
 *
 * Invariant: a value is held zero-extended to 64 bits in q[0], a flags value as
 * its FL_ARITH image (computed at once; nothing is pending here), a vector in all
 * 16 bytes.  All guest state is in struct cpu all the time, so a fault only has
 * to say which instruction it was.
 *
 * Helpers are called through libffi: their numbers of arguments and kinds of
 * result differ by row of help.def.
 */
#include <assert.h>
#include <ffi.h>
#include <pthread.h>
#include <string.h>

#include "base/log.h"
#include "frontend/help.h"
#include "hw/machine.h"
#include "softmmu/journal.h"
#include "translator/alu.h"
#include "translator/interp.h"
#include "translator/vec.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "slots and guest memory are little-endian");

/* ---- helpers ---- */

/* One call description a result letter and number of arguments; written once by interp_init(). */
static struct { ffi_cif cif[3][5]; } signatures;
static pthread_once_t signatures_once = PTHREAD_ONCE_INIT;

static void prepare_signatures(void)
{
    static ffi_type *args[5];
    static ffi_type *const result[3] = { &ffi_type_void, &ffi_type_uint64, &ffi_type_uint8 };
    args[0] = &ffi_type_pointer;
    for (unsigned k = 1; k < 5; k++)
        args[k] = &ffi_type_uint64;
    for (unsigned r = 0; r < 3; r++)
        for (unsigned n = 0; n < 5; n++)
            if (ffi_prep_cif(&signatures.cif[r][n], FFI_DEFAULT_ABI, n + 1, result[r], args) != FFI_OK)
                die(EXIT_CODE_HOST, "libffi does not know this host's calling convention");
}

void interp_init(void)
{
    pthread_once(&signatures_once, prepare_signatures);
}

static uint64_t call_helper(struct cpu *c, const struct helper_info *h, uint64_t *arg)
{
    void *values[5] = { &c, &arg[0], &arg[1], &arg[2], &arg[3] };
    union { ffi_arg word; uint64_t q; uint8_t b; } ret = { .q = 0 };
    interp_init();
    unsigned kind = h->sig[0] == 'q' ? 1 : h->sig[0] == 's' ? 2 : 0;
    ffi_call(&signatures.cif[kind][h->nargs], h->fn, &ret, values);
    return kind == 2 ? (uint8_t)ret.word : ret.q;
}

/* ---- guest memory: the fast path of softmmu.h in C ---- */

static inline void *tlb_hit(const struct cpu *c, uint64_t lin, unsigned size, unsigned aux, bool write)
{
    const struct tlb_fast *t = &c->tlb[(aux & MEM_IDX) >> MEM_IDX_SHIFT][write];
    const struct tlb_entry *e = (const void *)((const char *)t->base + ((lin >> 8) & t->mask));
    if (e->tag != TLB_TAG(lin + size - 1))
        return NULL;
    if ((aux & (MEM_ALIGN | MEM_AC)) && (lin & (size - 1)))
        return NULL;
    return (void *)(uintptr_t)(lin + e->delta);
}

static inline bool load(struct cpu *c, uint64_t lin, unsigned size, unsigned aux, void *buf)
{
    const void *p = tlb_hit(c, lin, size, aux, (aux & MEM_WRITE) != 0);
    if (!p)
        return mmu_load_aux(c, lin, size, aux, buf);
    memcpy(buf, p, size);
    return false;
}

/*
 * A store into the running block's own code must take effect on the next
 * instruction: the block is left, and the run loop runs this instruction alone.
 */
static bool hits_block(struct cpu *c, const struct ir_block *b, uint64_t lin, unsigned size, unsigned aux)
{
    uint64_t pa;
    if (b->mode & M_ONE)
        return false;
    for (unsigned left = size; left;) {         /* one part a page */
        unsigned room = PAGE_SIZE - (unsigned)(lin & ~PAGE_MASK), part = room < left ? room : left;
        if (mmu_fill(c, lin, part, ACC_WRITE, MMU_AUX_IDX(aux), NULL, &pa) == MMU_SPECIAL)
            for (unsigned k = 0; k < b->nrange; k++)
                if (b->range[k].pa < pa + part && pa < b->range[k].pa + b->range[k].len)
                    return true;
        lin += part;
        left -= part;
    }
    return false;
}

enum stored { STORED, STORE_FAULTED, STORE_OWN };

static enum stored slow_store(struct cpu *c, const struct ir_block *b, uint64_t lin, unsigned size,
                              unsigned aux, const void *buf)
{
    if (hits_block(c, b, lin, size, aux))
        return STORE_OWN;
    return mmu_store_aux(c, lin, size, aux, buf) ? STORE_FAULTED : STORED;
}

/* The slow way also writes the journal of lock-step checking. */
static inline enum stored store(struct cpu *c, const struct ir_block *b, uint64_t lin, unsigned size,
                                unsigned aux, const void *buf)
{
    void *p = tlb_hit(c, lin, size, aux, true);
    if (!p || c->journal)
        return slow_store(c, b, lin, size, aux, buf);
    memcpy(p, buf, size);
    return STORED;
}

/* Constant sizes, so that the copies become single moves. */
static inline bool load_int(struct cpu *c, enum ir_type t, uint64_t lin, unsigned aux, uint64_t *v)
{
    *v = 0;
    switch (t) {
    case TY_I8:  return load(c, lin, 1, aux, v);
    case TY_I16: return load(c, lin, 2, aux, v);
    case TY_I32: return load(c, lin, 4, aux, v);
    default:     return load(c, lin, 8, aux, v);
    }
}

static inline enum stored store_int(struct cpu *c, const struct ir_block *b, enum ir_type t, uint64_t lin,
                                    unsigned aux, const uint64_t *v)
{
    switch (t) {
    case TY_I8:  return store(c, b, lin, 1, aux, v);
    case TY_I16: return store(c, b, lin, 2, aux, v);
    case TY_I32: return store(c, b, lin, 4, aux, v);
    default:     return store(c, b, lin, 8, aux, v);
    }
}

static inline uint64_t copy_in(enum ir_type t, const void *p)
{
    uint64_t v = 0;
    switch (t) {
    case TY_I8:  memcpy(&v, p, 1); break;
    case TY_I16: memcpy(&v, p, 2); break;
    case TY_I32: memcpy(&v, p, 4); break;
    default:     memcpy(&v, p, 8); break;
    }
    return v;
}

static inline void copy_out(enum ir_type t, void *p, uint64_t v)
{
    switch (t) {
    case TY_I8:  memcpy(p, &v, 1); break;
    case TY_I16: memcpy(p, &v, 2); break;
    case TY_I32: memcpy(p, &v, 4); break;
    default:     memcpy(p, &v, 8); break;
    }
}

static uint64_t amo_result(unsigned op, uint64_t old, uint64_t v)
{
    switch (op) {
    case AMO_ADD: return old + v;
    case AMO_AND: return old & v;
    case AMO_OR:  return old | v;
    case AMO_XOR: return old ^ v;
    default:      return v;
    }
}

/*
 * AMO and CAS: one compare-and-swap loop on the host's memory if the operand is
 * aligned plain RAM; else (device memory, straddling operands) under the
 * machine's lock, which orders it against all other such accesses.
 */
bool interp_atomic(struct cpu *c, const struct ir_ins *i, uint64_t lin, uint64_t x, uint64_t y,
                       uint64_t *old)
{
    unsigned size = type_bytes(i->type), aux = (i->aux & ~MEM_SIZE) | MEM_WRITE, op = i->aux & MEM_SIZE;
    bool cas = i->op == IR_CAS;
    void *p = c->journal || (lin & (size - 1)) ? NULL : tlb_hit(c, lin, size, aux, true);
#define LOOP(T)                                                                                     \
    do {                                                                                            \
        T was = __atomic_load_n((T *)p, __ATOMIC_SEQ_CST);                                          \
        while (!(cas && was != (T)x) &&                                                             \
               !__atomic_compare_exchange_n((T *)p, &was, (T)(cas ? y : amo_result(op, was, x)),    \
                                            false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))             \
            continue;                                                                               \
        *old = was;                                                                                 \
    } while (0)
    if (p) {
        switch (size) {
        case 1:  LOOP(uint8_t); break;
        case 2:  LOOP(uint16_t); break;
        case 4:  LOOP(uint32_t); break;
        default: LOOP(uint64_t); break;
        }
        return false;
    }
#undef LOOP
    machine_lock(c->m);
    bool faulted = load_int(c, i->type, lin, aux, old);
    if (!faulted) {
        uint64_t new = cas ? (*old == x ? y : *old) : amo_result(op, *old, x);
        faulted = mmu_store_aux(c, lin, size, aux, &new);
    }
    machine_unlock(c->m);
    return faulted;
}

/* Host-minus-linear of the one plain page [lin, lin + span) lies in; false: it is not that. */
static bool probe(struct cpu *c, const struct ir_ins *i, uint64_t lin, unsigned span, uint64_t *delta)
{
    bool write = (i->aux & MEM_WRITE) != 0;
    void *host = tlb_hit(c, lin, span, i->aux & MEM_IDX, write);
    if (!host && (((lin ^ (lin + span - 1)) & PAGE_MASK) ||
                  mmu_fill(c, lin, span, write ? ACC_WRITE : ACC_READ,
                           (enum mmu_idx)((i->aux & MEM_IDX) >> MEM_IDX_SHIFT), &host, NULL) != MMU_PLAIN))
        return false;
    *delta = (uint64_t)(uintptr_t)host - lin;
    return true;
}

/* ---- flags ---- */

/*
 * Which of `flags` to invert, whose values are `now`.  c->flip_undef either asks for
 * all zeros or all ones, or counts, and a hash of the count chooses.  Neighbouring
 * seeds must not choose alike: with a linear generator, whole series of seeds agreed
 * in the two flags that decided a branch.
 */
static uint32_t flip(struct cpu *c, uint32_t flags, uint32_t now)
{
    uint64_t x = c->flip_undef * 0x9e3779b97f4a7c15u;
    flags &= FL_ARITH;
    if (c->flip_undef == FLIP_ZEROS)
        return flags & now;
    if (c->flip_undef == FLIP_ONES)
        return flags & ~now;
    if (++c->flip_undef <= FLIP_ONES)
        c->flip_undef = FLIP_ONES + 1;
    x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
    return (uint32_t)(x >> 40) & flags;
}

static uint32_t flags_of(struct cpu *c, const struct ir_ins *ins, const struct ir_ins *f, const union vreg *v)
{
    const struct ir_ins *o = &ins[f->a];
    uint64_t x = v[o->a].q[0], y = v[o->b].q[0], z = v[o->c].q[0];
    uint32_t fl = cc_of_op(f->aux, o->op, o->type, v[f->a].q[0], x, y, z, f->b ? v[f->b].d[0] : 0);
    if (!c->flip_undef)
        return fl;
    return fl ^ flip(c, cc_undefined(f->aux, o->type, o->op >= IR_SHL && o->op <= IR_RCR ? y : z), fl);
}

/* ---- the loop ---- */

struct run {
    struct cpu *c;
    const struct ir_block *b;
    const struct ir_ins *ins;
    uint64_t page, mask;        /* RIP = (page + imm) & mask */
};

static enum exec_why run(const struct run *r, union vreg *v, const struct ir_ins *i, unsigned *exit_index)
{
    struct cpu *c = r->c;
    const struct ir_ins *ins = r->ins, *mark = ins;
    union vreg none = { .q = { 0, 0 } };
    enum stored stored;
    v[0] = none;
    for (;; i++) {
        union vreg *d = &v[i - ins];
        enum ir_type t = (enum ir_type)i->type;
#define A v[i->a].q[0]
#define B v[i->b].q[0]
#define C v[i->c].q[0]
#define FLAGS_C ((unsigned)v[i->c].d[0] & FL_CF)
#define ALU(op, ot, cf) \
        case IR_##op: d->q[0] = ir_alu(IR_##op, t, ot, A, B, C, cf); break;
#define ALU_T(op) ALU(op, t, 0)
#define ALU_O(op) ALU(op, (enum ir_type)ins[i->a].type, 0)
#define ALU_C(op) ALU(op, t, FLAGS_C)
        switch ((enum ir_op)i->op) {
        case IR_FENCE:
            __atomic_thread_fence(__ATOMIC_SEQ_CST);
            break;
        case IR_NOP: case IR_SEEN:
            break;
        case IR_MARK:
            mark = i;
            break;
        case IR_HOLE: case IR_HOSTF:
            assert(!"stencils are not run");
            break;
        case IR_CONST:
            d->q[0] = (uint64_t)i->imm & type_mask(t);
            break;
        case IR_GET:
            d->q[0] = copy_in(t, (char *)c + (i->imm | (i->aux & 1)));
            break;
        case IR_PUT:
            if (t == TY_I32 && (uint64_t)(i->imm - SLOT_R(0)) < 16 * 8)
                copy_out(TY_I64, (char *)c + i->imm, A);
            else
                copy_out(t, (char *)c + (i->imm | (i->aux & 1)), A);
            break;
        case IR_GETV:
            memcpy(d, (char *)c + i->imm, 16);
            break;
        case IR_PUTV:
            memcpy((char *)c + i->imm, &v[i->a], 16);
            break;
        case IR_GETF:
            d->q[0] = c->flags & FL_ARITH;
            break;
        case IR_PUTF:
            c->flags = v[i->a].d[0];
            break;
        case IR_PC:
            d->q[0] = (r->page + (uint64_t)i->imm) & r->mask;
            break;

        ALU_T(ADD) ALU_T(SUB) ALU_T(AND) ALU_T(OR) ALU_T(XOR) ALU_T(NOT) ALU_T(NEG)
        ALU_T(SHL) ALU_T(SHR) ALU_T(SAR) ALU_T(ROL) ALU_T(ROR) ALU_T(SHLD) ALU_T(SHRD)
        ALU_T(MUL) ALU_T(MULHU) ALU_T(MULHS) ALU_T(BSWAP) ALU_T(CTZ) ALU_T(CLZ) ALU_T(POPCNT)
        ALU_T(BIT) ALU_T(ZEXT) ALU_T(TRUNC) ALU_T(SELECT)
        ALU_C(ADC) ALU_C(SBB) ALU_C(RCL) ALU_C(RCR)
        ALU_O(SEXT) ALU_O(EQ) ALU_O(LTU) ALU_O(LTS)
        ALU(CRC32, (enum ir_type)ins[i->b].type, 0)
        case IR_DIVCHK: {
            uint64_t q, rem;
            if (!ir_divide(t, i->aux & 1, A, B, C, &q, &rem)) {
                fault_raise(c, EXC_DE);
                goto faulted;
            }
            break;
        }
        case IR_DIV: case IR_REM: {
            uint64_t q = 0, rem = 0;
            ir_divide(t, i->aux & 1, A, B, C, &q, &rem);
            d->q[0] = i->op == IR_DIV ? q : rem;
            break;
        }
        case IR_EA:
            d->q[0] = (A + (B << i->aux) + (uint64_t)i->imm) & type_mask(t);
            break;

        case IR_FLAGS:
            d->q[0] = flags_of(c, ins, i, v);
            break;
        case IR_FMERGE:
            d->q[0] = (A & (uint64_t)i->imm & FL_ARITH) | (B & ~(uint64_t)i->imm);
            break;
        case IR_FBITS:
            d->q[0] = A & (uint64_t)i->imm;
            break;
        case IR_CC:
            d->q[0] = cc_test(i->aux, v[i->a].d[0]);
            break;

        case IR_LD:
            if (load_int(c, t, A + (uint64_t)i->imm, i->aux, &d->q[0]))
                goto faulted;
            break;
        case IR_ST:
            stored = store_int(c, r->b, t, A + (uint64_t)i->imm, i->aux, &B);
            if (stored != STORED)
                goto not_stored;
            break;
        case IR_LDV:
            *d = none;
            if (load(c, A + (uint64_t)i->imm, i->aux & MEM_SIZE, i->aux, d))
                goto faulted;
            break;
        case IR_STV:
            stored = store(c, r->b, A + (uint64_t)i->imm, i->aux & MEM_SIZE, i->aux, &v[i->b]);
            if (stored != STORED)
                goto not_stored;
            break;
        case IR_PROBE:
            if (!probe(c, i, A + (uint64_t)(int64_t)PROBE_DISP(i->imm), PROBE_SPAN(i->imm), &d->q[0]))
                goto alone;
            break;
        case IR_LOAD:
            d->q[0] = copy_in(t, (void *)(uintptr_t)(A + B + (uint64_t)i->imm));
            break;
        case IR_STORE:
            if (c->journal)
                journal_note(c->journal, (void *)(uintptr_t)(A + B + (uint64_t)i->imm), type_bytes(t));
            copy_out(t, (void *)(uintptr_t)(A + B + (uint64_t)i->imm), C);
            break;
        case IR_LOADV:
            *d = none;
            memcpy(d, (void *)(uintptr_t)(A + B + (uint64_t)i->imm), i->aux & MEM_SIZE);
            break;
        case IR_STOREV:
            if (c->journal)
                journal_note(c->journal, (void *)(uintptr_t)(A + B + (uint64_t)i->imm), i->aux & MEM_SIZE);
            memcpy((void *)(uintptr_t)(A + B + (uint64_t)i->imm), &v[i->c], i->aux & MEM_SIZE);
            break;
        case IR_AMO: case IR_CAS: {
            uint64_t lin = A + (uint64_t)i->imm;
            if (!tlb_hit(c, lin, type_bytes(t), i->aux, true) && hits_block(c, r->b, lin, type_bytes(t), i->aux))
                goto alone;
            if (interp_atomic(c, i, lin, B, C, &d->q[0]))
                goto faulted;
            break;
        }

        case IR_CALL: {
            const struct helper_info *h = &helper_info[i->aux];
            uint64_t arg[4] = { A, B, C, (uint64_t)i->imm };
            d->q[0] = call_helper(c, h, arg);
            if (h->status) {
                if (d->q[0])
                    goto faulted;
                d->q[0] = c->hret & type_mask(t);
            }
            break;
        }
        case IR_SEGCHK: {
            const struct seg *s = &c->seg[i->aux & 15];
            if (A + (uint64_t)i->imm - 1 >= (i->aux & SEGCHK_WRITE ? s->fast_w : s->fast_r) &&
                help_segcheck(c, i->aux, A, (uint64_t)i->imm))
                goto faulted;
            break;
        }
        case IR_EXIT_IF:
            if (!A)
                break;
            __attribute__((fallthrough));
        case IR_EXIT:
            c->rip = (r->page + (uint64_t)i->imm) & r->mask;
            *exit_index = (unsigned)(i - ins);
            return WHY_NEXT;
        case IR_EXIT_IND:
            c->rip = A;
            *exit_index = (unsigned)(i - ins);
            return WHY_NEXT;
        case IR_EXIT_SYS:
            *exit_index = (unsigned)(i - ins);
            return WHY_NEXT;
        case IR_RAISE:
            if (i->imm == -1)
                fault_raise(c, i->aux);
            else
                fault_code(c, i->aux, (uint32_t)i->imm);
            goto faulted;

        case IR_X87:
            x87_op(c, i->aux, &v[i->a], d);
            break;
        default: {
            struct fp_env fp = { c->mxcsr };
            vec_op(i, d, &v[i->a], &v[i->b], &v[i->c], &fp);
            c->mxcsr = fp.mxcsr;
            break;
        }
        }
    }
not_stored:
    if (stored == STORE_FAULTED)
        goto faulted;
alone:
    c->rip = (r->page + (uint64_t)mark->imm) & r->mask;
    return WHY_SLOW;
faulted:
    *exit_index = (unsigned)(i - ins);
    c->rip = (r->page + (uint64_t)mark->imm) & r->mask;
    return WHY_FAULT;
}

enum exec_why interp_now(struct cpu *c, const struct ir_block *b, unsigned *exit_index)
{
    union vreg v[IR_MAX];
    bool code64 = (b->mode & M_CODE) == M_CODE64;
    struct run r = { .c = c, .b = b, .ins = b->ins, .page = b->flat ? c->pc_page : 0,
                     .mask = code64 ? ~0ull : 0xffffffff };
    *exit_index = 0;
    return run(&r, v, b->ins + 1, exit_index);
}

enum exec_why interp_run(struct cpu *c, const struct ir_block *b, unsigned *exit_index)
{
    if (__atomic_load_n(&c->attn, __ATOMIC_RELAXED)) {
        *exit_index = 0;
        c->rip = b->flat ? c->pc_page + b->start : b->start;
        if ((b->mode & M_CODE) != M_CODE64)
            c->rip = (uint32_t)c->rip;
        return WHY_ATTN;
    }
    return interp_now(c, b, exit_index);
}

/* The operation becomes a block of its own: operands are values 1 to 3. */
void interp_op(struct cpu *c, const struct ir_ins *i, union vreg *dst, const union vreg *a,
               const union vreg *b, const union vreg *cc)
{
    const union vreg *arg[3] = { a, b, cc };
    const ir_ref ref[3] = { i->a, i->b, i->c };
    struct ir_ins ins[6] = { { .op = IR_NOP } };
    union vreg v[6] = { { .q = { 0, 0 } } };
    unsigned exit_index;
    ins[4] = *i;
    for (unsigned k = 0; k < 3; k++) {
        ins[k + 1] = (struct ir_ins) { .op = IR_NOP, .type = i->type };
        if (ref[k] && arg[k])
            v[k + 1] = *arg[k];
    }
    ins[4].a = ref[0] ? 1 : IR_NONE;
    ins[4].b = ref[1] ? 2 : IR_NONE;
    ins[4].c = ref[2] ? 3 : IR_NONE;
    ins[5] = (struct ir_ins) { .op = IR_EXIT_SYS };
    run(&(struct run) { .c = c, .ins = ins }, v, &ins[4], &exit_index);
    if (dst)
        *dst = v[4];
}
