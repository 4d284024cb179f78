/*
 * form.c - see form.h.  SDM vol. 2, chapter 2: what the bytes of an instruction are.
 */
#include "frontend/form.h"

#include <string.h>

#include "frontend/cpu_model.h"
#include "frontend/decode_tab.h"
#include "frontend/lift_block.h"

/* ---- finding the form ---- */

enum { P_NONE, P_OTHER, P_67, P_REX };

#define REX16 P_REX, P_REX, P_REX, P_REX, P_REX, P_REX, P_REX, P_REX, \
              P_REX, P_REX, P_REX, P_REX, P_REX, P_REX, P_REX, P_REX
static const uint8_t prefix[256] = {
    [0x26] = P_OTHER, [0x2e] = P_OTHER, [0x36] = P_OTHER, [0x3e] = P_OTHER, [0x64] = P_OTHER,
    [0x65] = P_OTHER, [0x66] = P_OTHER, [0x67] = P_67, [0xf0] = P_OTHER, [0xf2] = P_OTHER,
    [0xf3] = P_OTHER, [0x40] = REX16,
};

bool form_scan(const uint8_t *p, uint32_t mode, struct form_key *k)
{
    bool is64 = (mode & M_CODE) == M_CODE64, p67 = false;
    unsigned n = 0, op, map = MAP_1;

    for (;; n++) {
        unsigned class = prefix[op = p[n]];

        if (class == P_NONE || (class == P_REX && !is64))
            break;
        p67 |= class == P_67;
        if (n == 4)
            return false;
    }
    n++;
    if (op == 0x0f) {
        op = p[n++];
        map = MAP_0F;
        if (op == 0x38 || op == 0x3a) {
            map = op == 0x38 ? MAP_0F38 : MAP_0F3A;
            op = p[n++];
        } else if ((op & 0xfc) == 0x20) {
            return false;               /* MOV CRn, DRn: mod says nothing there */
        }
    }
    k->disp = 0;
    if (decode_tables.opcode[map][op].modrm) {
        unsigned modrm = p[n++], mod = modrm >> 6, rm = modrm & 7;

        if (mod != 3) {
            if (!is64 && ((mode & M_CODE) == M_CODE32) == p67)
                return false;
            if (mod == 1)
                k->disp = 1;
            else if (mod == 2 || rm == 5)
                k->disp = 4;
            if (rm == 4 && (p[n++] & 7) == 5 && mod == 0)
                k->disp = 4;
        }
    } else if (map == MAP_1 && (op & 0xfc) == 0xa0) {           /* MOV with the address as such */
        if (is64 || (mode & M_CODE) != M_CODE32 || p67)
            return false;
        k->disp = 4;
    }
    if (n > 8)
        return false;
    memcpy(&k->bytes, p, 8);
    k->bytes &= ~(uint64_t)0 >> (64 - 8 * n);
    k->len = n;
    return true;
}

/* ---- describing it ---- */

/* Immediates that are an operand and nothing else, read by lift_read(). */
static bool imm_is_operand(const struct insn *i)
{
    unsigned op = i->opcode, reg = i->modrm >> 3 & 7;

    if (i->row->map != MAP_1)
        return false;
    if (op < 0x40)
        return (op & 7) == 4 || (op & 7) == 5;                  /* the eight, accumulator */
    if (op >= 0xb0 && op < 0xc0)
        return true;                                            /* MOV */
    switch (op) {
    case 0x80: case 0x81: case 0x83: case 0x68: case 0x6a: case 0x69: case 0x6b: case 0xa8: case 0xa9:
    case 0xc6: case 0xc7:
        return true;
    case 0xf6: case 0xf7:
        return reg < 2;                                         /* TEST */
    default:
        return false;
    }
}

/* Jcc, and SETcc and CMOVcc with registers. */
static bool is_condition(const struct insn *i)
{
    unsigned op = i->opcode;

    if (i->row->map == MAP_1)
        return op >= 0x70 && op < 0x80;
    return i->row->map == MAP_0F &&
           ((op >= 0x80 && op < 0x90) || (((op >= 0x40 && op < 0x50) || (op >= 0x90 && op < 0xa0)) &&
                                          i->modrm >= 0xc0));
}

bool form_info(const uint8_t *p, uint32_t mode, const uint64_t *feats, const struct form_key *k,
               struct form_info *out)
{
    uint32_t reads, writes, reads0, writes0;
    struct insn_effect fx;
    struct insn i;

    if (decode(&i, p, FORM_BYTES, mode, feats) != DECODE_OK || i.len < k->len + k->disp ||
        (i.row->attrs & (AT_X87 | AT_MMX)))
        return false;
    *out = (struct form_info){ .len = i.len, .disp = (uint8_t)k->disp,
                               .imm = (uint8_t)(i.len - k->len - k->disp) };
    if (out->imm != 0 && out->imm != 1 && out->imm != 2 && out->imm != 4 && out->imm != 8)
        return false;
    for (unsigned n = 0; n < i.nops; n++) {
        out->rel |= i.op[n].kind == OPND_REL;
        if (i.op[n].kind == OPND_FAR)
            return false;
    }
    if (out->rel && (i.opsize == 2 || i.nops != 1))
        return false;
    insn_flags(&i, &reads, &writes);
    insn_effect(&i, &fx);
    i.imm = 0;                                  /* what holds for this instruction may not for a shift by 0 */
    insn_flags(&i, &reads0, &writes0);
    reads |= reads0;
    writes &= writes0;
    out->imm_hole = out->imm && out->imm <= 4 && !out->rel && imm_is_operand(&i);
    out->ip = i.base == BASE_IP;
    out->faults = fx.faults;
    out->reads = (uint8_t)flx_from_fl(reads);
    out->writes = (uint8_t)flx_from_fl(writes);
    out->writes_any = writes || fx.merges;
    out->condition = is_condition(&i);
    return true;
}

/* ---- lifting it ---- */

static void decode_again(const struct lift *l, const uint8_t *p, const struct form_info *info, bool cross,
                         struct insn *i)
{
    (void)decode(i, p, FORM_BYTES, l->mode, l->feats);
    if (info->disp) {
        i->holes |= INSN_HOLE_DISP;
        i->disp = 0;
    }
    if (info->imm_hole) {
        i->holes |= INSN_HOLE_IMM;
        i->imm = 0;
    }
    if (info->rel)
        i->imm = (cross ? FORM_TARGET_CROSS : FORM_TARGET) - (int64_t)(l->pc + i->len);
}

/* EXIT_FALL behind a condition or anything else. */
static unsigned fall(const struct form_info *info, unsigned how)
{
    if (info->condition || !(how & FORM_HOSTF))
        return EXIT_FALL | (how & FORM_MEM ? FLX_ALL : 0);
    return EXIT_FALL | FLX_ALL | (how & FORM_MEM ? 0 : EXIT_HOSTF);
}

/* The architectural flags are in the host's; slot: and in theirs. */
static void take_hostf(struct ir_block *b, bool slot)
{
    ir_ref f = ir_emit(b, IR_HOSTF, TY_FLAGS, slot, 0, 0, 0, 0);

    ir_emit(b, IR_PUTF, TY_FLAGS, 0, f, 0, 0, 0);
}

bool lift_stencil(struct cpu *c, struct ir_block *b, uint32_t mode, const struct lift_options *o,
                  const uint8_t *p, const struct form_info *info, unsigned how, bool *ends)
{
    struct lift_block_state st = { .c = c, .stencil = true, .stay = true, .base = FORM_BASE,
                                   .traps = lift_traps(mode), .insn_pc = FORM_BASE };
    struct lift lift = { .b = b, .st = &st, .mode = mode | M_NOSHARE, .flat_cs = true, .pc = FORM_BASE };
    struct lift *l = &lift;
    bool cross = how & FORM_CROSS;
    struct insn i;

    l->feats = c->model ? c->model->feats : NULL;
    l->smp = o->smp;
    l->cs_mask = lift_64(l) ? ~(uint64_t)0 : 0xffffffff;
    ir_reset(b);
    b->mode = l->mode;
    b->start = FORM_BASE;
    b->flat = true;
    opt_begin(b);
    if (!p) {
        ir_emit(b, IR_EXIT, TY_NONE, FLX_ALL | (cross ? EXIT_CROSS : 0), 0, 0, 0,
                cross ? FORM_TARGET_CROSS : FORM_TARGET);
        return true;
    }
    decode_again(l, p, info, cross, &i);
    l->next = l->pc + i.len;
    ir_mark(b, l->pc, i.len);
    if (info->condition && (how & FORM_HOSTF))
        take_hostf(b, (how & FORM_MEM) != 0);
    lift_insn(l, &i, DECODE_OK);
    b->insns = 1;
    *ends = l->done;
    if (!l->done)
        ir_emit(b, IR_EXIT, TY_NONE, fall(info, how), 0, 0, 0, 0);
    for (unsigned k = 1; k < b->n; k++)         /* nobody took the name of a hole for a number */
        if (b->ins[k].op == IR_CONST && ir_hole_of(b->ins[k].imm))
            return false;
    return !l->stop_after_next && !b->uses_x87;
}
