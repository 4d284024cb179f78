/*
 * emit_vec.c - vector operations, driven by vec.def: a row says which one host
 * instruction does an operation and where its operands go.  Pairs (operation,
 * aux) without a row, and those this processor is too old for, are done by interp_op().
 */
#include "backend-x86_64/emit.h"

enum shape { SH_NONE, SH_RM, SH_RMI, SH_UN, SH_UNI, SH_UNB, SH_UNBI, SH_SHI, SH_BLENDV, SH_G2V, SH_V2G, SH_V2GR,
             SH_INS, SH_EXT, SH_CVTG, SH_FLG };

struct rule {
    uint16_t aux;
    uint8_t op, shape;
    uint32_t code;              /* as as_op() takes it */
    uint8_t ext, mem;
    uint64_t need;              /* of backend_features[] */
};

/* Which extension an opcode came with (Intel SDM volume 2, the CPUID column): maps 2 and 3 began with SSSE3. */
#define BIT(f) ((uint64_t)1 << HF_##f)
#define NEED(map, opcode)                                                                           \
    ((map) == 1 ? ((opcode) == 0x7c || (opcode) == 0x7d || (opcode) == 0xd0 ? BIT(SSE3) : 0) :      \
     (map) == 2 ? ((opcode) < 0x10 || ((opcode) >= 0x1c && (opcode) < 0x20) ? BIT(SSSE3) :          \
                   (opcode) == 0x37 ? BIT(SSE4_2) : BIT(SSE4_1)) :                                  \
     (opcode) == 0x0f ? BIT(SSSE3) : BIT(SSE4_1))

#define NEED_OP(op) ((op) == IR_VFRCP || (op) == IR_VFRSQRT || (op) == IR_VFDP ? BIT(AS_INTEL) : 0)

static const struct rule rules[] = {
#define V(op_, aux_, pfx, map, opcode, shape_, ext_, mem_)                                          \
    { .op = IR_##op_, .aux = (aux_), .shape = SH_##shape_, .ext = (ext_), .mem = (mem_),            \
      .need = NEED(map, opcode) | NEED_OP(IR_##op_),                                                                   \
      .code = (uint32_t)(pfx) << 24 | ((map) == 1 ? 0x0f00u : (map) == 2 ? 0x0f3800u : 0x0f3a00u) | \
              (opcode) },
#include "backend-x86_64/vec.def"
#undef V
};
#define NRULES (sizeof rules / sizeof rules[0])

/* First rule of each operation; rules of one operation are adjacent. Filled by vec_rules_init(). */
void vec_rules_init(struct backend *be)
{
    for (unsigned k = NRULES; k-- > 0;)
        be->vec_first[rules[k].op] = (uint16_t)(k + 1);
}

static const struct rule *rule_of(const struct emit *e, const struct ir_ins *p)
{
    unsigned k = e->be->vec_first[p->op];
    if (!k)
        return NULL;
    for (k--; k < NRULES && rules[k].op == p->op; k++)
        if (rules[k].aux == p->aux)
            return rules[k].need & ~e->be->features ? NULL : &rules[k];
    return NULL;
}

/* op reg, rm with rm = the vector value r (a register, or memory where it is 16 aligned bytes). */
static void vec_rm(struct emit *e, const struct rule *u, unsigned reg, ir_ref r)
{
    struct hm m;
    if (u->mem && vuse_is_mem(e, r, &m)) {
        as_rm(&e->a, u->code, false, reg, m);
        return;
    }
    unsigned tmp, s = vuse_reg(e, r, &tmp);
    as_rr(&e->a, u->code, false, reg, s);
    vtemp_release(e, tmp);
}

static bool is_vreg(struct emit *e, ir_ref r, unsigned x)
{
    const struct val *v = &e->val[r];
    return (v->loc == LOC_VTEMP || (v->loc == LOC_VHOME && vhome_pinned(v->reg))) && v->reg == x;
}

/* dst = op(a, b): destructive form. */
static void emit_destructive(struct emit *e, const struct ir_ins *p, const struct rule *u)
{
    bool imm = u->shape == SH_RMI;
    unsigned home, d = vdef_reg(e, e->i, &home);
    ir_ref x = p->a, y = p->b;
    unsigned tb = NOREG, s;
    if (is_vreg(e, y, d) && !is_vreg(e, x, d)) {
        if ((ir_attrs[p->op] & IRA_C)) {
            x = p->b;
            y = p->a;
        } else {
            tb = vtemp_get(e);
            as_rr(&e->a, 0x0f28, false, tb, d);
        }
    }
    if (!is_vreg(e, x, d))
        vuse_into(e, x, d);
    if (tb != NOREG) {
        s = tb;
        as_rr(&e->a, u->code, false, d, s);
        vtemp_release(e, tb);
    } else {
        vec_rm(e, u, d, y);
    }
    if (imm)
        as_b(&e->a, (unsigned)p->imm);
    vdef_done(e, e->i, d, home);
}

static void emit_blendv(struct emit *e, const struct ir_ins *p, const struct rule *u)
{
    /* the mask is xmm0 implicitly; guest xmm0 is there too, so put it aside when it is something else */
    unsigned d = vtemp_get(e), tb;
    vuse_into(e, p->a, d);
    unsigned s = vuse_reg(e, p->b, &tb);
    if (is_vreg(e, p->c, 0)) {
        as_rr(&e->a, u->code, false, d, s);
    } else {
        as_rm(&e->a, 0x0f29, false, 0, hm_cpu(CPU_OFF(va)));
        if (s == 0) {
            s = tb = vtemp_get(e);
            as_rr(&e->a, 0x0f28, false, s, 0);
        }
        vuse_into(e, p->c, 0);
        as_rr(&e->a, u->code, false, d, s);
        as_rm(&e->a, 0x0f28, false, 0, hm_cpu(CPU_OFF(va)));
    }
    vtemp_release(e, tb);
    vdef_done(e, e->i, d, 0xff);
}

/* COMISS, PTEST: if the image only becomes the new flags, EFLAGS are them already. */
static void emit_flg(struct emit *e, const struct ir_ins *p, const struct rule *u)
{
    unsigned j = e->i + 1, ta;
    const struct ir_ins *q = &e->b->ins[j];
    while (q->op == IR_NOP)
        q = &e->b->ins[++j];
    flags_clobber(e);
    unsigned s = vuse_reg(e, p->a, &ta);
    vec_rm(e, u, s, p->b);
    vtemp_release(e, ta);
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

void emit_vec(struct emit *e, const struct ir_ins *p)
{
    const struct rule *u = rule_of(e, p);
    unsigned home, d, tmp, s;
    bool w;
    if (!u) {
        emit_fallback(e, p);
        return;
    }
    switch (u->shape) {
    case SH_RM:
    case SH_RMI:
        emit_destructive(e, p, u);
        break;
    case SH_UN:
    case SH_UNI:
    case SH_UNB:
    case SH_UNBI: {
        ir_ref r = u->shape == SH_UN || u->shape == SH_UNI ? p->a : p->b;
        d = vdef_reg(e, e->i, &home);
        vec_rm(e, u, d, r);
        if (u->shape == SH_UNI || u->shape == SH_UNBI)
            as_b(&e->a, (unsigned)p->imm);
        vdef_done(e, e->i, d, home);
        break;
    }
    case SH_SHI:
        d = vdef_reg(e, e->i, &home);
        if (!is_vreg(e, p->a, d))
            vuse_into(e, p->a, d);
        as_rr(&e->a, u->code, false, u->ext, d);
        as_b(&e->a, (unsigned)p->imm);
        vdef_done(e, e->i, d, home);
        break;
    case SH_BLENDV:
        emit_blendv(e, p, u);
        break;
    case SH_G2V:
        w = e->b->ins[p->a].type == TY_I64;
        s = use_reg(e, p->a, &tmp);
        d = vdef_reg(e, e->i, &home);
        as_rr(&e->a, u->code, w, d, s);
        temp_release(e, tmp);
        vdef_done(e, e->i, d, home);
        break;
    case SH_INS:
    case SH_CVTG:
        w = u->shape == SH_INS ? u->ext : p->imm == 8;
        s = use_reg(e, p->b, &tmp);
        d = vdef_reg(e, e->i, &home);
        if (!is_vreg(e, p->a, d))
            vuse_into(e, p->a, d);
        as_rr(&e->a, u->code, w, d, s);
        if (u->shape == SH_INS)
            as_b(&e->a, (unsigned)p->imm);
        temp_release(e, tmp);
        vdef_done(e, e->i, d, home);
        break;
    case SH_V2G:
    case SH_EXT:
        w = u->shape == SH_EXT ? u->ext : p->type == TY_I64;
        s = vuse_reg(e, p->a, &tmp);
        d = def_reg(e, e->i, &home);
        as_rr(&e->a, u->code, w, s, d);
        if (u->shape == SH_EXT)
            as_b(&e->a, (unsigned)p->imm);
        vtemp_release(e, tmp);
        def_done(e, e->i, d, home, true);
        break;
    case SH_V2GR:
        w = p->type == TY_I64;
        d = def_reg(e, e->i, &home);
        s = vuse_reg(e, p->a, &tmp);
        as_rr(&e->a, u->code, w, d, s);
        vtemp_release(e, tmp);
        def_done(e, e->i, d, home, true);
        break;
    case SH_FLG:
        emit_flg(e, p, u);
        break;
    }
}
