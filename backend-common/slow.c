/*
 * slow.c - what the thunks of translated code call: guest memory off the fast path,
 * exceptions, and operations that have no code of their own.
 *
 * Arguments come from c->arg[].  A status of 1 is a guest fault, 2 asks to run the
 * instruction alone (a store into the running block).
 */
#include "backend-common/slow.h"

#include <string.h>

#include "frontend/help.h"
#include "translator/alu.h"
#include "translator/backend.h"
#include "translator/backend_hooks.h"
#include "translator/interp.h"

/* An access's description as the slow paths pass it: bytes << 16 | aux. */
static unsigned desc_size(uint64_t desc)
{
    return (unsigned)(desc >> 16) & 0x1f;
}

int slow_load(struct cpu *c, uint64_t lin, uint64_t desc)
{
    c->hret = 0;
    return mmu_load_aux(c, lin, desc_size(desc), (unsigned)desc & 0xffff, &c->hret);
}

static int store_common(struct cpu *c, uint64_t lin, uint64_t desc, const void *buf)
{
    unsigned size = desc_size(desc);
    if (exec_store_hits_self(c, lin, size, MMU_AUX_IDX(desc)))
        return 2;
    return mmu_store_aux(c, lin, size, (unsigned)desc & 0xffff, buf);
}

int slow_store(struct cpu *c, uint64_t lin, uint64_t desc, uint64_t v)
{
    return store_common(c, lin, desc, &v);
}

int slow_loadv(struct cpu *c, uint64_t lin, uint64_t desc)
{
    c->hv.q[0] = c->hv.q[1] = 0;
    return mmu_load_aux(c, lin, desc_size(desc), (unsigned)desc & 0xffff, &c->hv);
}

int slow_storev(struct cpu *c, uint64_t lin, uint64_t desc)
{
    return store_common(c, lin, desc, &c->hv);
}

/* A shared probe: c->hret = delta if the whole span lies in one plain page, else 0. */
void slow_probe(struct cpu *c, uint64_t lin, uint64_t desc)
{
    unsigned span = (unsigned)(desc >> 16);
    void *host;
    c->hret = 0;                /* redo: also for a fault, since which access it is matters */
    if ((lin ^ (lin + span - 1)) & PAGE_MASK)
        return;
    if (mmu_fill(c, lin, span, (desc & MEM_WRITE) ? ACC_WRITE : ACC_READ, MMU_AUX_IDX(desc), &host, NULL) ==
        MMU_PLAIN)
        c->hret = (uint64_t)(uintptr_t)host - lin;
}

int slow_amo(struct cpu *c, uint64_t lin, uint64_t desc, uint64_t v, uint64_t nv)
{
    unsigned size = desc_size(desc);
    if (exec_store_hits_self(c, lin, size, MMU_AUX_IDX(desc)))
        return 2;
    struct ir_ins i = { .op = desc >> 31 & 1 ? IR_CAS : IR_AMO, .aux = (uint16_t)desc,
                        .type = size == 1 ? TY_I8 : size == 2 ? TY_I16 : size == 4 ? TY_I32 : TY_I64 };
    uint64_t m = type_mask(i.type);             /* of a register, the rest of it came along */
    return interp_atomic(c, &i, lin, v & m, nv & m, &c->hret);
}

int slow_segchk(struct cpu *c, uint64_t off, uint64_t desc)
{
    return help_segcheck(c, desc & 0x1f, off, desc >> 16);
}

int slow_raise(struct cpu *c, uint64_t vector, uint64_t code)
{
    if ((int64_t)code < 0)
        fault_raise(c, (unsigned)vector);
    else
        fault_code(c, (unsigned)vector, (uint32_t)code);
    return 1;
}

/* Signed division: does hi:lo / d overflow? */
int slow_divs(struct cpu *c, uint64_t hi, uint64_t lo, uint64_t d, uint64_t type)
{
    uint64_t q, r;
    enum ir_type t = (enum ir_type)type;
    uint64_t m = type_mask(t);
    return ir_divide(t, true, hi & m, lo & m, d & m, &q, &r) ? 0 : fault_raise(c, EXC_DE);
}

/* in: the instruction, in the code stream and not aligned. */
void slow_op(struct cpu *c, const void *in)
{
    struct ir_ins i;
    memcpy(&i, in, sizeof i);
    backend_fp_sync(c);
    c->va[0].q[0] = c->va[0].q[1] = 0;
    interp_op(c, &i, &c->va[0], i.a ? &c->va[1] : NULL, i.b ? &c->va[2] : NULL, i.c ? &c->va[3] : NULL);
    backend_fp_changed(c);
}

uint64_t slow_flags(struct cpu *c, uint64_t what, uint64_t old)
{
    return cc_of_op((enum flags_kind)(what & 0xff), (enum ir_op)(what >> 8 & 0xff), (enum ir_type)(what >> 16),
                    c->va[0].q[0], c->va[1].q[0], c->va[2].q[0], c->va[3].q[0], (uint32_t)old);
}

uint64_t slow_crc32(struct cpu *c, uint64_t crc, uint64_t v, uint64_t bytes)
{
    return crc32c((uint32_t)crc, v, (unsigned)bytes);
}

uint64_t slow_cc(struct cpu *c, uint64_t a, uint64_t b, uint64_t z, uint64_t how)
{
    enum ir_op op = (enum ir_op)(how >> 32 & 0xff);
    enum ir_type t = (enum ir_type)(how >> 40 & 0xff);
    uint64_t r = ir_alu(op, t, t, a, b, z, z & FL_CF);  /* a rotation through the carry has the flags as z */

    return cc_of_op((enum flags_kind)(how >> 48 & 0xff), op, t, r, a, b, z, (uint32_t)how);
}
