/*
 * decode.c - x86 machine code to struct insn, at run time.
 *
 * Prefixes, opcode map, candidate rows (decode_tab.c made them), ModRM/SIB and
 * displacement, then the row's operands from their descriptors.  No per-opcode
 * code and no strings.  SDM vol. 2, chapter 2.
 */
#include <string.h>

#include "frontend/cpu.h"
#include "frontend/decode_tab.h"

/* Classes of first bytes. */
enum { P_NONE, P_66, P_67, P_LOCK, P_REP, P_SEG, P_REX };

#define REX16 P_REX, P_REX, P_REX, P_REX, P_REX, P_REX, P_REX, P_REX, \
              P_REX, P_REX, P_REX, P_REX, P_REX, P_REX, P_REX, P_REX
static const uint8_t prefix_class[256] = {
    [0x26] = P_SEG, [0x2e] = P_SEG, [0x36] = P_SEG, [0x3e] = P_SEG, [0x64] = P_SEG, [0x65] = P_SEG,
    [0x66] = P_66, [0x67] = P_67, [0xf0] = P_LOCK, [0xf2] = P_REP, [0xf3] = P_REP,
    [0x40] = REX16,
};

/*
 * The bytes.  Most instructions lie far enough from the end of what can be read that
 * no check is needed while reading: `far` is a constant in each of the two copies
 * made of decode_at(), and the far one looks at the length once, at the end.
 */
struct cursor {
    const uint8_t *p;
    unsigned pos, len;          /* len: at most 15 */
    bool far;
};
#define ALWAYS static inline __attribute__((always_inline))
#define FAR_BYTES 40            /* 14 prefixes, and what the longest forms have behind them */

/* Can n more bytes be had? *r says why not. */
ALWAYS bool need(const struct cursor *s, unsigned n, enum decode_result *r)
{
    if (s->far || s->pos + n <= s->len)
        return true;
    *r = s->pos + n > 15 ? DECODE_TOO_LONG : DECODE_MORE;
    return false;
}

/* Little-endian, sign-extended; n is 1, 2, 4 or 8. */
ALWAYS int64_t take(struct cursor *s, unsigned n)
{
    const uint8_t *p = s->p + s->pos;

    s->pos += n;
    switch (n) {
    case 1:
        return (int8_t)p[0];
    case 2:
        return (int16_t)(p[0] | (unsigned)p[1] << 8);
    case 4:
        return (int32_t)((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
    default:
        return (int64_t)((uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
                         (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 |
                         (uint64_t)p[7] << 56);
    }
}

static inline uint64_t zext(int64_t v, unsigned bytes)
{
    return bytes == 8 ? (uint64_t)v : (uint64_t)v & (((uint64_t)1 << (bytes * 8)) - 1);
}

ALWAYS bool memory16(struct insn *i, struct cursor *s, enum decode_result *r)
{
    static const uint8_t base[8] = { R_BX, R_BX, R_BP, R_BP, R_SI, R_DI, R_BP, R_BX };
    static const uint8_t index[8] = { R_SI, R_DI, R_SI, R_DI, BASE_NONE, BASE_NONE, BASE_NONE, BASE_NONE };
    unsigned mod = i->modrm >> 6, rm = i->modrm & 7;

    i->base = base[rm];
    i->index = index[rm];
    if (mod == 0 && rm == 6) {
        i->base = BASE_NONE;
        mod = 2;
    }
    if (mod) {
        if (!need(s, mod, r))
            return false;
        i->disp = take(s, mod);
    }
    return true;
}

ALWAYS bool memory32(struct insn *i, struct cursor *s, bool is64, enum decode_result *r)
{
    unsigned mod = i->modrm >> 6, rm = i->modrm & 7;
    unsigned b = (i->rex & 1) << 3, dlen = mod == 1 ? 1 : mod == 2 ? 4 : 0;

    if (rm == 4) {
        unsigned sib;

        if (!need(s, 1, r))
            return false;
        sib = s->p[s->pos++];
        i->scale = (uint8_t)(sib >> 6);
        i->index = (uint8_t)((sib >> 3 & 7) | (i->rex & 2) << 2);
        if (i->index == R_SP)
            i->index = BASE_NONE;
        if ((sib & 7) == 5 && mod == 0)
            dlen = 4;
        else
            i->base = (uint8_t)((sib & 7) | b);
    } else if (rm == 5 && mod == 0) {
        dlen = 4;
        if (is64)
            i->base = BASE_IP;
    } else {
        i->base = (uint8_t)(rm | b);
    }
    if (dlen) {
        if (!need(s, dlen, r))
            return false;
        i->disp = take(s, dlen);
    }
    return true;
}

/* The first candidate that exists in this state and whose feature is there. */
ALWAYS const struct dec_row *pick(struct dec_list l, unsigned state, const uint64_t *feats)
{
    const struct dec_cand *c = &decode_tables.cand[l.first];

    for (unsigned n = l.n; n; n--, c++) {
        if (!(c->states >> state & 1))
            continue;
        unsigned feat = (unsigned)(c->states >> DEC_FEAT_SHIFT);
        if (feat && feats && !(feats[feat / 64] >> (feat % 64) & 1))
            continue;
        return c->d;
    }
    return NULL;
}

ALWAYS void set_reg(struct operand *o, unsigned rex, unsigned kind, unsigned size, unsigned n)
{
    o->kind = (uint8_t)kind;
    o->size = (uint8_t)size;
    o->reg = (uint8_t)n;
    if (kind == OPND_REG) {
        if (size == 1 && !rex && n >= 4) {
            o->reg = (uint8_t)(n - 4);
            o->high = true;
        }
    } else if (kind == OPND_MMX || kind == OPND_ST || kind == OPND_SEG) {
        o->reg = n & 7;
    }
}

/* Operands; false: *r says why. */
ALWAYS bool operands(struct insn *i, const struct dec_row *d, struct cursor *s, bool is64, bool rr,
                     unsigned rex, unsigned modrm, enum decode_result *r)
{
    unsigned z = DEC_SIZE(i->opsize, is64), imms = 0;

    for (unsigned n = 0; n < d->nops; n++) {
        const struct dec_opnd *k = &d->op[n];
        struct operand *o = &i->op[n];
        unsigned size = k->rsz[z], len;
        int64_t v;

        switch (k->loc) {
        case L_RM:
            if (rr) {
                set_reg(o, rex, k->kind, size, (modrm & 7) | (rex & 1) << 3);
            } else {
                o->kind = OPND_MEM;
                o->size = k->msz[z];
            }
            break;
        case L_REG:
            set_reg(o, rex, k->kind, size, (modrm >> 3 & 7) | (rex & 4) << 1);
            if (k->kind == OPND_SEG && (o->reg > SEG_GS || (n == 0 && o->reg == SEG_CS)))
                return false;               /* CS cannot be loaded by MOV */
            break;
        case L_OPC:
            set_reg(o, rex, k->kind, size, (i->opcode & 7u) | (rex & 1) << 3);
            break;
        case L_FIX:
            o->kind = k->kind;
            o->size = (uint8_t)size;
            o->reg = k->fix;
            break;
        case L_CONST:
            o->kind = OPND_IMM;
            o->size = (uint8_t)size;
            i->imm = k->fix;
            imms++;
            break;
        case L_IMMU:
            if (!need(s, size, r))
                return false;
            v = (int64_t)zext(take(s, size), size);
            o->kind = OPND_IMM;
            o->size = (uint8_t)size;
            if (imms++)
                i->imm2 = (uint16_t)v;
            else
                i->imm = v;
            break;
        case L_IMMS:
        case L_REL:
            len = k->msz[z];
            if (!need(s, len, r))
                return false;
            i->imm = take(s, len);
            o->kind = k->kind;
            o->size = (uint8_t)size;
            imms++;
            break;
        case L_FAR:
            len = k->msz[z];
            if (!need(s, len + 2, r))
                return false;
            i->imm = (int64_t)zext(take(s, len), len);
            i->imm2 = (uint16_t)take(s, 2);
            o->kind = OPND_FAR;
            o->size = (uint8_t)size;
            break;
        case L_MOFFS:
            if (!need(s, i->addrsize, r))
                return false;
            i->disp = (int64_t)zext(take(s, i->addrsize), i->addrsize);
            o->kind = OPND_MEM;
            o->size = (uint8_t)size;
            break;
        case L_STRING:
            o->kind = OPND_MEM;
            o->size = (uint8_t)size;
            o->reg = k->fix;
            if (k->fix == R_SI) {
                i->base = R_SI;
            } else if (i->base == BASE_NONE) {
                i->base = R_DI;
            }
            break;
        }
    }
    return true;
}

ALWAYS enum decode_result
decode_at(struct insn *i, const uint8_t *p, unsigned len, bool far, uint32_t mode, const uint64_t *feats)
{
    struct cursor s = { .p = p, .len = len < 15 ? len : 15, .far = far };
    enum decode_result r = DECODE_UD;
    bool is64 = (mode & M_CODE) == M_CODE64, p66 = false, p67 = false, rr = false;
    unsigned seg = SEG_DS, map = MAP_1, modrm = 0, rex = 0, rep = 0, pfx, op, state, dmode;
    const struct dec_opcode *o;
    const struct dec_row *d;

    memset(i, 0, sizeof(*i));
    i->base = i->index = BASE_NONE;
    i->opsize = 4;

    for (;;) {
        if (far ? s.pos > 15 : !need(&s, 1, &r))
            goto out;
        op = p[s.pos++];
        switch (prefix_class[op]) {
        case P_NONE:
            goto opcode;
        case P_66:
            p66 = true;
            break;
        case P_67:
            p67 = true;
            break;
        case P_LOCK:
            i->lock = true;
            break;
        case P_REP:
            rep = op;
            break;
        case P_SEG:
            /* In 64-bit mode ES, CS, SS and DS overrides are ignored and do not undo FS or GS. */
            if (!is64 || op >= 0x64) {
                i->seg_override = true;
                seg = op >= 0x64 ? SEG_FS + (op & 1) : (op >> 3 & 3);
            }
            break;
        case P_REX:
            if (!is64)
                goto opcode;
            rex = op;
            continue;
        }
        rex = 0;                /* REX counts only directly before the opcode */
    }

opcode:
    if (op == 0x0f) {
        if (!need(&s, 1, &r))
            goto out;
        op = p[s.pos++];
        map = MAP_0F;
        if (op == 0x38 || op == 0x3a) {
            map = op == 0x38 ? MAP_0F38 : MAP_0F3A;
            if (!need(&s, 1, &r))
                goto out;
            op = p[s.pos++];
        }
    }
    i->opcode = (uint8_t)op;
    i->rex = (uint8_t)rex;
    i->rep = (uint8_t)rep;
    i->p66 = p66;
    pfx = rep ? (rep == 0xf3 ? 2 : 3) : p66;
    dmode = is64 ? 2 : (mode & (M_PE | M_VM)) == M_PE;
    state = DEC_STATE(pfx, dmode, rex >> 3 & 1, rex & 1);
    i->addrsize = is64 ? (p67 ? 4 : 8) : ((mode & M_CODE) == M_CODE32) != p67 ? 4 : 2;
    i->seg = (uint8_t)seg;

    o = &decode_tables.opcode[map][op];
    if (o->modrm) {
        struct dec_list l = o->list;

        if (!need(&s, 1, &r))
            goto out;
        modrm = p[s.pos++];
        i->modrm = (uint8_t)modrm;
        rr = modrm >= 0xc0;
        if (o->group) {
            unsigned reg = modrm >> 3 & 7;

            l = decode_tables.group[o->group - 1][rr ? 8u + (modrm & 0x3f) : reg];
        }
        d = pick(l, state, feats);
        if (!d)
            goto out;
        rr |= d->mod_ignored;
        if (!rr) {
            if (i->addrsize == 2 ? !memory16(i, &s, &r) : !memory32(i, &s, is64, &r))
                goto out;
            if (!i->seg_override && (i->base == R_BP || i->base == R_SP))
                i->seg = SEG_SS;
        }
    } else {
        d = pick(o->list, state, feats);
        if (!d)
            goto out;
    }
    i->row = d->row;

    {
        uint32_t at = d->attrs;
        bool small = p66 && !d->no66;

        if (is64) {
            if (at & AT_F64)
                i->opsize = 8;
            else if (rex & 8)
                i->opsize = 8;
            else if (small)
                i->opsize = 2;
            else if (at & AT_O64)
                i->opsize = 8;
        } else {
            i->opsize = ((mode & M_CODE) == M_CODE32) != small ? 4 : 2;
        }
        i->nops = d->nops;
        if (!operands(i, d, &s, is64, rr, rex, modrm, &r))
            goto out;
        if ((i->lock && (!(at & AT_LOCK) || i->op[0].kind != OPND_MEM)) ||
            ((at & AT_NOVM) && (mode & M_VM)) || d->skip) {
            r = DECODE_UD;
            goto out;
        }
    }
    r = DECODE_OK;
out:
    if (far && s.pos > 15) {
        s.pos = 15;
        r = DECODE_TOO_LONG;
    }
    i->len = (uint8_t)s.pos;
    return r;
}

enum decode_result decode(struct insn *i, const uint8_t *p, unsigned len, uint32_t mode,
                          const uint64_t *feats)
{
    return len >= FAR_BYTES ? decode_at(i, p, len, true, mode, feats) :
           decode_at(i, p, len, false, mode, feats);
}
