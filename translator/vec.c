/*
 * vec.c - the integer half of the vector operations (ir_vec.def), lane by lane.
 * The lanes are read and written through get() and put(), so that a row says
 * what it computes once for all lane sizes; nothing here is meant to be fast.
 * Source: SDM vol. 2, the instructions named in ir_vec.def.
 */
#include <assert.h>
#include <string.h>

#include "translator/vec.h"

static uint64_t get(const union vreg *v, unsigned vl, unsigned n)
{
    switch (vl) {
    case VL_8:  return v->b[n];
    case VL_16: return v->w[n];
    case VL_32: return v->d[n];
    default:    return v->q[n];
    }
}

static int64_t gets(const union vreg *v, unsigned vl, unsigned n)
{
    switch (vl) {
    case VL_8:  return v->sb[n];
    case VL_16: return v->sw[n];
    case VL_32: return v->sd[n];
    default:    return v->sq[n];
    }
}

static void put(union vreg *v, unsigned vl, unsigned n, uint64_t x)
{
    switch (vl) {
    case VL_8:  v->b[n] = (uint8_t)x; break;
    case VL_16: v->w[n] = (uint16_t)x; break;
    case VL_32: v->d[n] = (uint32_t)x; break;
    default:    v->q[n] = x; break;
    }
}

/* Saturate to a signed or unsigned lane. */
static int64_t sat_s(int64_t x, unsigned vl)
{
    int64_t max = (INT64_C(1) << ((8 << vl) - 1)) - 1;

    return x > max ? max : x < -max - 1 ? -max - 1 : x;
}

static int64_t sat_u(int64_t x, unsigned vl)
{
    int64_t max = (INT64_C(1) << (8 << vl)) - 1;

    return x > max ? max : x < 0 ? 0 : x;
}

/* Rows that compute lane n from lane n of the operands. */
static uint64_t lane_op(unsigned op, unsigned vl, const union vreg *a, const union vreg *b, unsigned n)
{
    uint64_t x = get(a, vl, n), y = b ? get(b, vl, n) : 0;
    int64_t sx = gets(a, vl, n), sy = b ? gets(b, vl, n) : 0;

    switch (op) {
    case IR_VAND:   return x & y;
    case IR_VANDN:  return ~x & y;
    case IR_VOR:    return x | y;
    case IR_VXOR:   return x ^ y;
    case IR_VADD:   return x + y;
    case IR_VSUB:   return x - y;
    case IR_VADDSS: return (uint64_t)sat_s(sx + sy, vl);
    case IR_VADDUS: return (uint64_t)sat_u((int64_t)(x + y), vl);
    case IR_VSUBSS: return (uint64_t)sat_s(sx - sy, vl);
    case IR_VSUBUS: return x > y ? x - y : 0;
    case IR_VMULL:  return x * y;
    case IR_VMULHS: return (uint64_t)(sx * sy) >> (8 << vl);
    case IR_VMULHU: return x * y >> (8 << vl);
    case IR_VMULHR: return (uint64_t)((sx * sy + 0x4000) >> 15);
    case IR_VAVG:   return (x + y + 1) >> 1;
    case IR_VMINS:  return sx < sy ? x : y;
    case IR_VMINU:  return x < y ? x : y;
    case IR_VMAXS:  return sx > sy ? x : y;
    case IR_VMAXU:  return x > y ? x : y;
    case IR_VCMPEQ: return x == y ? ~UINT64_C(0) : 0;
    case IR_VCMPGT: return sx > sy ? ~UINT64_C(0) : 0;
    case IR_VABS:   return sx < 0 ? -x : x;
    case IR_VSIGN:  return sy < 0 ? -x : sy == 0 ? 0 : x;
    }
    assert(!"vec: row without lane semantics");
    return 0;
}

static uint64_t shift_lane(unsigned op, unsigned vl, const union vreg *a, unsigned n, uint64_t count)
{
    unsigned bits = 8u << vl;

    switch (op) {
    case IR_VSHL:
    case IR_VSHLI:
        return count >= bits ? 0 : get(a, vl, n) << count;
    case IR_VSHR:
    case IR_VSHRI:
        return count >= bits ? 0 : get(a, vl, n) >> count;
    default:
        return (uint64_t)(gets(a, vl, n) >> (count >= bits ? bits - 1 : count));
    }
}

/* Rows that combine adjacent lanes: result lane n is made of lanes 2n, 2n+1 of a:b. */
static uint64_t horizontal(unsigned op, unsigned vl, const union vreg *v, unsigned n)
{
    int64_t x = gets(v, vl, 2 * n), y = gets(v, vl, 2 * n + 1);

    switch (op) {
    case IR_VHADD:   return (uint64_t)x + (uint64_t)y;
    case IR_VHSUB:   return (uint64_t)x - (uint64_t)y;
    case IR_VHADDSS: return (uint64_t)sat_s(x + y, vl);
    default:         return (uint64_t)sat_s(x - y, vl);
    }
}

static void op_align(union vreg *r, const union vreg *a, const union vreg *b, unsigned bytes, unsigned shift)
{
    for (unsigned n = 0; n < bytes; n++) {
        unsigned from = n + shift;

        r->b[n] = from < bytes ? b->b[from] : from < 2 * bytes ? a->b[from - bytes] : 0;
    }
}

static void op_mpsad(union vreg *r, const union vreg *a, const union vreg *b, unsigned imm)
{
    const uint8_t *p = a->b + (imm & 4), *q = b->b + (imm & 3) * 4;

    for (unsigned n = 0; n < 8; n++) {
        unsigned sum = 0;

        for (unsigned k = 0; k < 4; k++)
            sum += p[n + k] > q[k] ? p[n + k] - q[k] : q[k] - p[n + k];
        r->w[n] = (uint16_t)sum;
    }
}

static void op_sad(union vreg *r, const union vreg *a, const union vreg *b, unsigned bytes)
{
    for (unsigned n = 0; n < bytes; n++)
        r->q[n / 8] += a->b[n] > b->b[n] ? a->b[n] - b->b[n] : b->b[n] - a->b[n];
}

static void op_minpos(union vreg *r, const union vreg *a)
{
    unsigned best = 0;

    for (unsigned n = 1; n < 8; n++) {
        if (a->w[n] < a->w[best])
            best = n;
    }
    r->w[0] = a->w[best];
    r->w[1] = (uint16_t)best;
}

static void op_insps(union vreg *r, const union vreg *a, const union vreg *b, unsigned imm)
{
    *r = *a;
    r->d[imm >> 4 & 3] = b->d[imm >> 6 & 3];
    for (unsigned n = 0; n < 4; n++) {
        if (imm >> n & 1)
            r->d[n] = 0;
    }
}

static uint64_t op_mask(const union vreg *a, unsigned vl, unsigned lanes)
{
    uint64_t m = 0;

    for (unsigned n = 0; n < lanes; n++)
        m |= (uint64_t)(gets(a, vl, n) < 0) << n;
    return m;
}

static uint32_t op_test(const union vreg *a, const union vreg *b)
{
    uint32_t fl = 0;

    if (!((a->q[0] & b->q[0]) | (a->q[1] & b->q[1])))
        fl |= FL_ZF;
    if (!((~a->q[0] & b->q[0]) | (~a->q[1] & b->q[1])))
        fl |= FL_CF;
    return fl;
}

void vec_op(const struct ir_ins *i, union vreg *d, const union vreg *a, const union vreg *b,
            const union vreg *c, struct fp_env *fp)
{
    unsigned vl = i->aux & VL_MASK, bytes = i->aux & VW_64 ? 8 : 16;
    unsigned lanes = vl < VL_F32 ? bytes >> vl : 0, half = lanes / 2, imm = (unsigned)i->imm;
    union vreg r;

    memset(&r, 0, sizeof(r));
    switch (i->op) {
    case IR_VMOVG:
        r.q[0] = a->q[0] & ~UINT64_C(0) >> (64 - (8 << vl));
        break;
    case IR_VMOVE:
        r.q[0] = i->type == TY_I64 ? a->q[0] : a->d[0];
        break;
    case IR_VINS:
        r = *a;
        put(&r, vl, imm & (lanes - 1), b->q[0]);
        break;
    case IR_VEXT:
        r.q[0] = get(a, vl, imm & (lanes - 1));
        break;
    case IR_VMASK:
        r.q[0] = op_mask(a, vl, lanes);
        break;
    case IR_VMOVQ:
        r.q[0] = a->q[0];
        break;
    case IR_VMERGE:
        r = *a;
        put(&r, vl, 0, get(b, vl, 0));
        break;
    case IR_VUNPCKL:
    case IR_VUNPCKH:
        for (unsigned n = 0; n < half; n++) {
            unsigned from = n + (i->op == IR_VUNPCKH ? half : 0);

            put(&r, vl, 2 * n, get(a, vl, from));
            put(&r, vl, 2 * n + 1, get(b, vl, from));
        }
        break;
    case IR_VPACKS:
    case IR_VPACKU:
        for (unsigned n = 0; n < 2 * lanes; n++) {
            int64_t x = gets(n < lanes ? a : b, vl, n & (lanes - 1));

            put(&r, vl - 1, n, (uint64_t)(i->op == IR_VPACKS ? sat_s(x, vl - 1) : sat_u(x, vl - 1)));
        }
        break;
    case IR_VSHUFB:
        for (unsigned n = 0; n < bytes; n++)
            r.b[n] = b->b[n] & 0x80 ? 0 : a->b[b->b[n] & (bytes - 1)];
        break;
    case IR_VSHUFD:
        for (unsigned n = 0; n < 4; n++)
            r.d[n] = a->d[imm >> 2 * n & 3];
        break;
    case IR_VSHUFLW:
    case IR_VSHUFHW: {
        unsigned at = i->op == IR_VSHUFHW ? 4 : 0;

        r = *a;
        for (unsigned n = 0; n < 4; n++)
            r.w[at + n] = a->w[at + (imm >> 2 * n & 3)];
        if (bytes == 8)
            r.q[1] = 0;
        break;
    }
    case IR_VSHUF2:
        for (unsigned n = 0; n < lanes; n++) {
            unsigned bits = vl == VL_32 ? 2 : 1;

            put(&r, vl, n, get(n < half ? a : b, vl, imm >> bits * n & (lanes - 1)));
        }
        break;
    case IR_VALIGN:
        op_align(&r, a, b, bytes, imm);
        break;
    case IR_VBLENDI:
        for (unsigned n = 0; n < lanes; n++)
            put(&r, vl, n, get(imm >> n & 1 ? b : a, vl, n));
        break;
    case IR_VBLENDV:
        for (unsigned n = 0; n < lanes; n++)
            put(&r, vl, n, get(gets(c, vl, n) < 0 ? b : a, vl, n));
        break;
    case IR_VINSPS:
        op_insps(&r, a, b, imm);
        break;
    case IR_VSX:
    case IR_VZX:
        for (unsigned n = 0; n < lanes; n++)
            put(&r, vl, n, i->op == IR_VZX ? get(a, i->aux >> 8, n) : (uint64_t)gets(a, i->aux >> 8, n));
        break;
    case IR_VTEST:
        r.q[0] = op_test(a, b);
        break;
    case IR_VSHL:
    case IR_VSHR:
    case IR_VSAR:
        for (unsigned n = 0; n < lanes; n++)
            put(&r, vl, n, shift_lane(i->op, vl, a, n, b->q[0]));
        break;
    case IR_VSHLI:
    case IR_VSHRI:
    case IR_VSARI:
        for (unsigned n = 0; n < lanes; n++)
            put(&r, vl, n, shift_lane(i->op, vl, a, n, imm));
        break;
    case IR_VBSHL:
        for (unsigned n = imm; n < 16; n++)
            r.b[n] = a->b[n - imm];
        break;
    case IR_VBSHR:
        for (unsigned n = imm; n < 16; n++)
            r.b[n - imm] = a->b[n];
        break;
    case IR_VMULWS:
        for (unsigned n = 0; n < bytes / 8; n++)
            r.sq[n] = (int64_t)a->sd[2 * n] * b->sd[2 * n];
        break;
    case IR_VMULWU:
        for (unsigned n = 0; n < bytes / 8; n++)
            r.q[n] = (uint64_t)a->d[2 * n] * b->d[2 * n];
        break;
    case IR_VMADD:
        for (unsigned n = 0; n < bytes / 4; n++)
            r.d[n] = (uint32_t)(a->sw[2 * n] * b->sw[2 * n]) +
                     (uint32_t)(a->sw[2 * n + 1] * b->sw[2 * n + 1]);
        break;
    case IR_VMADDUS:
        for (unsigned n = 0; n < bytes / 2; n++)
            r.w[n] = (uint16_t)sat_s(a->b[2 * n] * b->sb[2 * n] + a->b[2 * n + 1] * b->sb[2 * n + 1], VL_16);
        break;
    case IR_VSAD:
        op_sad(&r, a, b, bytes);
        break;
    case IR_VMPSAD:
        op_mpsad(&r, a, b, imm);
        break;
    case IR_VHADD:
    case IR_VHSUB:
    case IR_VHADDSS:
    case IR_VHSUBSS:
        for (unsigned n = 0; n < lanes; n++)
            put(&r, vl, n, horizontal(i->op, vl, n < half ? a : b, n & (half - 1)));
        break;
    case IR_VMINPOS:
        op_minpos(&r, a);
        break;
    default:
        if (vl >= VL_F32) {
            vec_fp_op(i, d, a, b, fp);
            return;
        }
        for (unsigned n = 0; n < lanes; n++)
            put(&r, vl, n, lane_op(i->op, vl, a, b, n));
        break;
    }
    *d = r;
}
