/*
 * emit_x87.c - the IR op X87 on the host's x87.
 *
 * While c->x87_live is set the guest's registers, status word and tags are the
 * host's own, with the guest's rounding and precision control and everything
 * masked; c->fpu.cw alone stays in memory.  (Unmasked exceptions never come
 * here: frontend/lift_x87.c.)  C code is compiled to SSE and does not disturb
 * the registers; whatever wants the state in memory calls backend_fp_sync().
 * A block that contains x87 operations checks x87_live at its entry, and again
 * after each call into C.
 *
 * Operands and results of memory forms pass through c->arg[3] and c->hv, so
 * x87 operations touch no guest memory.
 */
#include <assert.h>

#include "backend-x86_64/emit.h"

/* ---- moving the state ---- */

/* The FXSAVE image (SDM vol. 1, 10.5.1); only the x87 part is of interest. */
struct fx_image {
    uint16_t cw, sw;
    uint8_t tag, reserved;
    uint16_t op;
    uint64_t ip, dp;
    uint32_t mxcsr, mxcsr_mask;
    struct f80 st[8];
    uint8_t rest[512 - 160];
} __attribute__((aligned(16)));
_Static_assert(sizeof(struct fx_image) == 512, "FXSAVE image");

void x87_load(struct cpu *c)
{
    struct fx_image img;
    unsigned top = c->fpu.sw >> 11 & 7;
    if (c->x87_live)
        return;
    __asm__ volatile("fxsave64 %0" : "=m"(img));        /* keeps XMM registers and MXCSR as they are */
    img.cw = c->fpu.cw | 0x3f;
    img.sw = c->fpu.sw & (uint16_t)~(X87_ES | X87_B);
    img.tag = (uint8_t)c->fpu.tag;
    img.op = 0;
    img.ip = img.dp = 0;
    for (unsigned k = 0; k < 8; k++)
        img.st[k] = c->fpu.r[(top + k) & 7];
    __asm__ volatile("fxrstor64 %0" : : "m"(img));
    c->x87_live = 1;
}

void x87_store(struct cpu *c)
{
    struct fx_image img;
    if (!c->x87_live)
        return;
    __asm__ volatile("fxsave64 %0\n\tfninit" : "=m"(img));
    unsigned top = img.sw >> 11 & 7;
    c->fpu.sw = img.sw;
    c->fpu.tag = img.tag;
    for (unsigned k = 0; k < 8; k++) {
        c->fpu.r[(top + k) & 7].sig = img.st[k].sig;
        c->fpu.r[(top + k) & 7].se = img.st[k].se;
    }
    x87_update_es(&c->fpu);
    c->x87_live = 0;
}

/* ---- emission ---- */

static void ensure_live(struct emit *e)
{
    if (e->x87_in)
        return;
    flags_clobber(e);
    vtemps_spill(e);
    as_rm(&e->a, 0x80, false, 7, hm_cpu(CPU_OFF(x87_live)));
    as_b(&e->a, 0);
    uint8_t *over = as_jcc(&e->a, CC_NZ);
    emit_thunk_call(e, e->be->x87_load, e->pc, 0);
    as_patch(&e->a, over, e->a.p);
    e->x87_in = true;
}

/* Memory form: opcode byte op, modrm.reg field given in place. */
static void x87_mem(struct emit *e, unsigned op, unsigned modrm, struct hm m)
{
    as_rm(&e->a, op, false, modrm >> 3 & 7, m);
}

static void x87_rr(struct emit *e, unsigned op, unsigned modrm)
{
    as_b(&e->a, op);
    as_b(&e->a, modrm);
}

/* The result of this op, `size` bytes at m, becomes its value. */
static void result(struct emit *e, unsigned size, struct hm m)
{
    if (e->val[e->i].last <= e->i)
        return;
    unsigned d = temp_get(e);
    as_rm(&e->a, size == 2 ? 0x0fb7 : 0x8b, size > 4, d, m);
    def_done(e, e->i, d, 0xff, size <= 4);
}

static void emit_load(struct emit *e, const struct ir_ins *p, const struct x87_info *x)
{
    struct hm m = hm_cpu(CPU_OFF(arg[3]));
    if (x->size == 10) {
        unsigned tmp, s = use_reg(e, p->a, &tmp);
        m = hm_cpu(CPU_OFF(hv));
        as_store64(&e->a, m, s);
        temp_release(e, tmp);
    } else if (!use_is_mem(e, p->a, &m)) {
        m = hm_cpu(CPU_OFF(arg[3]));
        emit_arg(e, 3, p->a);
    }
    x87_mem(e, x->op, x->modrm, m);
}

/*
 * Only a popping form exists: put the register back by loading what it held.  If
 * it was empty that would change what it holds (which FXSAVE shows), so where the
 * value read is one that an empty register gives, C looks and does it.
 */
static void emit_store_popping(struct emit *e, unsigned id, const struct x87_info *x, struct hm to)
{
    struct hm keep = hm_cpu(CPU_OFF(arg[1])), hi = hm_cpu(CPU_OFF(arg[2]));
    flags_clobber(e);
    vtemps_spill(e);
    x87_mem(e, 0xdb, 0x38, keep);
    as_rm(&e->a, OP66(0x83), false, 7, hi);     /* cmp word [hi], -1 */
    as_b(&e->a, 0xff);
    uint8_t *fast = as_jcc(&e->a, CC_NZ);
    as_mov_mi32(&e->a, true, hm_cpu(CPU_OFF(arg[0])), (int32_t)id);
    emit_thunk_call(e, e->be->help[HELP_x87_unpop], e->pc, 0);
    uint8_t *done = as_jmp(&e->a);
    as_patch(&e->a, fast, e->a.p);
    x87_mem(e, 0xdb, 0x28, keep);
    x87_mem(e, x->op, x->modrm, to);
    x87_mem(e, 0xdb, 0x28, keep);
    as_patch(&e->a, done, e->a.p);
    e->x87_in = false;
}

static void emit_store(struct emit *e, unsigned id, const struct x87_info *x)
{
    struct hm to = hm_cpu(x->size == 10 ? CPU_OFF(hv) : CPU_OFF(arg[3]));
    if (x->kind == X87_STP)
        emit_store_popping(e, id, x, to);
    else
        x87_mem(e, x->op, x->modrm, to);
    result(e, x->size == 10 ? 8 : x->size, to);
}

/* FCOMI and the like: if the image only becomes the new flags, EFLAGS are them already. */
static void emit_comi(struct emit *e, const struct x87_info *x, unsigned i)
{
    unsigned j = e->i + 1;
    const struct ir_ins *q = &e->b->ins[j];
    while (q->op == IR_NOP)
        q = &e->b->ins[++j];
    flags_clobber(e);
    x87_rr(e, x->op, x->modrm + i);
    if (q->op == IR_FMERGE && q->a == e->i && !q->b && e->val[e->i].last == j && e->use[j].flast) {
        flags_born(e, j);
        return;
    }
    as_b(&e->a, 0x9c);                          /* pushfq; pop */
    unsigned d = temp_get(e);
    as_op(&e->a, 0x58u + (d & 7), false, 0, NOREG, d, false);
    as_alu_ri(&e->a, 4, false, d, FL_ARITH);
    def_done(e, e->i, d, 0xff, true);
}

/*
 * The control word, in memory as the guest wrote it, in the host with all masked.
 * If the guest unmasks something C does it, and the EXIT_IF that follows leaves.
 */
static void emit_ldcw(struct emit *e, const struct ir_ins *p, const struct x87_info *x)
{
    struct hm arg = hm_cpu(CPU_OFF(arg[0]));
    flags_clobber(e);
    vtemps_spill(e);
    emit_arg(e, 0, p->a);
    unsigned t = temp_get(e), m = temp_get(e);
    as_rm(&e->a, 0x8b, false, t, arg);
    as_mov_rr(&e->a, false, m, t);
    as_alu_ri(&e->a, 4, false, m, 0x3f);
    as_alu_ri(&e->a, 7, false, m, 0x3f);
    uint8_t *fast = as_jcc(&e->a, CC_Z);
    emit_thunk_call(e, e->be->help[HELP_x87_ldcw], e->pc, 0);
    uint8_t *done = as_jmp(&e->a);
    as_patch(&e->a, fast, e->a.p);
    as_alu_ri(&e->a, 4, false, t, 0x1f3f);
    as_alu_ri(&e->a, 1, false, t, 0x40);
    as_rm(&e->a, OP66(0x89), false, t, hm_cpu(CPU_OFF(fpu.cw)));
    x87_mem(e, x->op, x->modrm, hm_cpu(CPU_OFF(fpu.cw)));
    as_patch(&e->a, done, e->a.p);
    temp_release(e, t);
    temp_release(e, m);
}

static void emit_misc(struct emit *e, const struct ir_ins *p, unsigned id, const struct x87_info *x,
                      unsigned i)
{
    struct hm arg = hm_cpu(CPU_OFF(arg[3])), hi = hm_cpu(CPU_OFF(hv) + 8);
    unsigned tmp, s;
    switch (id) {
    case X87_FCMOV:
        flags_clobber(e);
        s = use_reg(e, p->a, &tmp);
        as_rr8(&e->a, 0x84, s, s);
        temp_release(e, tmp);
        x87_rr(e, x->op, x->modrm + i);         /* fcmovne */
        break;
    case X87_STSW:
        x87_mem(e, x->op, x->modrm, arg);
        result(e, 2, arg);
        break;
    case X87_STCW:
        result(e, 2, hm_cpu(CPU_OFF(fpu.cw)));
        break;
    case X87_GETHI:
        result(e, 2, hi);
        break;
    case X87_SETHI:
        s = use_reg(e, p->a, &tmp);
        as_rm(&e->a, OP66(0x89), false, s, hi);
        temp_release(e, tmp);
        break;
    case X87_LDCW:
        emit_ldcw(e, p, x);
        break;
    default:
        assert(!"x87 operation without code");
    }
}

void emit_x87(struct emit *e, const struct ir_ins *p)
{
    unsigned id = p->aux & 0xff, i = p->aux >> 8 & 7;
    const struct x87_info *x = &x87_info[id];
    if (id != X87_SETHI && id != X87_GETHI && id != X87_STCW)
        ensure_live(e);
    switch (x->kind) {
    case X87_RR:
        x87_rr(e, x->op, x->modrm + i);
        break;
    case X87_LD:
        emit_load(e, p, x);
        break;
    case X87_ST:
    case X87_STP:
        emit_store(e, id, x);
        break;
    case X87_POP:
        x87_mem(e, x->op, x->modrm, hm_cpu(CPU_OFF(va)));
        break;
    case X87_FL:
        emit_comi(e, x, i);
        break;
    default:
        emit_misc(e, p, id, x, i);
    }
}
