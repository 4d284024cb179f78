/*
 * x87_op.c - the x87's operations on struct x87: the portable definition of the
 * IR op X87, on hosts without an x87 and wherever exceptions are unmasked.
 *
 * Invariant: registers, status word and tags are what the hardware leaves,
 * undefined condition codes included, with any masks; only the transcendental
 * functions may differ in the last bit.  SDM vol. 1, chapter 8.
 */
#include "frontend/f80.h"
#include "frontend/help.h"

#define X87(id_, kind_, size_, op_, modrm_) \
    [X87_##id_] = { .kind = X87_##kind_, .size = size_, .op = op_, .modrm = modrm_ },
const struct x87_info x87_info[X87_COUNT] = {
#include "frontend/x87.def"
};
#undef X87

/* An operation under way. */
struct run {
    struct cpu *c;
    struct x87 *f;
    struct f80_env e;
    unsigned top;
    bool stack_fault;
};

static unsigned phys(const struct run *r, unsigned i)
{
    return (r->top + i) & 7;
}
static bool empty(const struct run *r, unsigned i)
{
    return !(r->f->tag >> phys(r, i) & 1);
}
static struct f80 get(const struct run *r, unsigned i)
{
    return r->f->r[phys(r, i)];
}
static void put(struct run *r, unsigned i, struct f80 v)
{
    struct f80 *d = &r->f->r[phys(r, i)];

    d->sig = v.sig;
    d->se = v.se;
    r->f->tag |= (uint16_t)(1u << phys(r, i));
}
static void pop(struct run *r)
{
    r->f->tag &= (uint16_t)~(1u << r->top);
    r->top = (r->top + 1) & 7;
}
static void push(struct run *r, struct f80 v)
{
    r->top = (r->top - 1) & 7;
    put(r, 0, v);
}
static void cond(struct run *r, unsigned mask, unsigned bits)
{
    r->f->sw = (uint16_t)((r->f->sw & ~mask) | bits);
}

/* Stack overflow (c1) or underflow; true: masked, go on with the indefinite value. */
static bool stack_fault(struct run *r, bool overflow)
{
    r->stack_fault = true;
    r->e.flags |= F80_IE;
    r->e.c1 = overflow;
    return r->e.mask & F80_IE;
}

void x87_update_es(struct x87 *f)
{
    f->sw &= (uint16_t)~(X87_ES | X87_B);
    if (f->sw & ~f->cw & 0x3f)
        f->sw |= X87_ES | X87_B;
}

static void finish(struct run *r)
{
    struct x87 *f = r->f;

    f->sw = (uint16_t)((f->sw & ~(X87_TOP | X87_C1)) | r->top << 11 | r->e.flags | (r->e.c1 ? X87_C1 : 0) |
                       (r->stack_fault ? X87_SF : 0));
    x87_update_es(f);
}

/* ---- loads ---- */

static void load(struct run *r, struct f80 v)
{
    if (!empty(r, 7)) {
        if (stack_fault(r, true))
            push(r, F80_INDEF);
    } else if (!(r->e.flags & ~r->e.mask & F80_IE)) {   /* denormals are loaded even if DE is unmasked */
        push(r, v);
    }
}

/* A memory operand of arithmetic. */
static struct f80 operand(struct run *r, unsigned kind, uint64_t v)
{
    struct f80 x;

    switch (kind) {
    case 0:
    case 1:
        x = kind ? f80_from_f64(&r->e, v) : f80_from_f32(&r->e, (uint32_t)v);
        /* The operation decides whether a denormal counts, and which of two NaNs wins. */
        r->e.denormal = r->e.flags & F80_DE;
        if (r->e.flags & F80_IE)
            x.sig &= ~(1ull << 62);
        r->e.flags = 0;
        return x;
    case 2:
        return f80_from_int((int16_t)v);
    default:
        return f80_from_int((int32_t)v);
    }
}

/* Constants: the 64-bit significand cut off, and how the bits behind it round. */
static void load_const(struct run *r, unsigned op)
{
    static const struct { uint64_t sig; uint16_t se; bool above_half; } k[] = {
        { 1ull << 63, 0x3fff, false },
        { 0xd49a784bcd1b8afeull, 0x4000, false },       /* log2 10 */
        { 0xb8aa3b295c17f0bbull, 0x3fff, true },        /* log2 e */
        { 0xc90fdaa22168c234ull, 0x4000, true },        /* pi */
        { 0x9a209a84fbcff798ull, 0x3ffd, true },        /* log10 2 */
        { 0xb17217f7d1cf79abull, 0x3ffe, true },        /* ln 2 */
        { 0, 0, false },
    };
    unsigned n = op - X87_FLD1;
    struct f80 v = f80_make(false, k[n].se, k[n].sig);

    if (op != X87_FLD1 && op != X87_FLDZ &&
        (r->e.rc == F80_UP || (r->e.rc == F80_NEAREST && k[n].above_half)))
        v.sig++;
    load(r, v);
}

/* ---- arithmetic and comparisons ---- */

static struct f80 arith(struct run *r, unsigned k, struct f80 a, struct f80 b)
{
    switch (k) {
    case 0:
        return f80_add(&r->e, a, b, false);
    case 1:
        return f80_mul(&r->e, a, b);
    case 2:
        return f80_add(&r->e, a, b, true);
    case 3:
        return f80_add(&r->e, b, a, true);
    case 4:
        return f80_div(&r->e, a, b);
    default:
        return f80_div(&r->e, b, a);
    }
}

static void arith_st(struct run *r, unsigned k, unsigned dst, unsigned src, bool popping)
{
    struct f80 v = F80_INDEF;

    if (empty(r, dst) || empty(r, src)) {
        if (!stack_fault(r, false))
            return;
    } else {
        v = arith(r, k, get(r, dst), get(r, src));
        if (f80_stopped(&r->e))
            return;
    }
    put(r, dst, v);
    if (popping)
        pop(r);
}

static void arith_mem(struct run *r, unsigned k, unsigned kind, uint64_t m)
{
    struct f80 v = F80_INDEF, b;

    if (empty(r, 0)) {
        if (!stack_fault(r, false))
            return;
    } else {
        b = operand(r, kind, m);
        v = arith(r, k, get(r, 0), b);
        if (f80_stopped(&r->e))
            return;
    }
    put(r, 0, v);
}

/* Set C3 C2 C0 by f80_compare()'s result. */
static void cond_by(struct run *r, int how)
{
    static const uint16_t bits[4] = { X87_C0, X87_C3, 0, X87_C3 | X87_C2 | X87_C0 };

    cond(r, X87_C3 | X87_C2 | X87_C0, bits[how + 1]);
}

static void compare(struct run *r, bool is_empty, struct f80 b, bool quiet, unsigned pops)
{
    int how = 2;

    if (is_empty)
        stack_fault(r, false);
    else
        how = f80_compare(&r->e, get(r, 0), b, quiet);
    cond_by(r, how);
    while (pops-- && !f80_stopped(&r->e))
        pop(r);
}

static void compare_mem(struct run *r, unsigned kind, uint64_t m, unsigned pops)
{
    bool none = empty(r, 0);

    compare(r, none, none ? F80_INDEF : operand(r, kind, m), false, pops);
}

static uint32_t compare_flags(struct run *r, unsigned i, bool quiet, bool popping)
{
    static const uint32_t bits[4] = { FL_CF, FL_ZF, 0, FL_ZF | FL_PF | FL_CF };
    int how = 2;

    if (empty(r, 0) || empty(r, i))
        stack_fault(r, false);
    else
        how = f80_compare(&r->e, get(r, 0), get(r, i), quiet);
    if (popping && !f80_stopped(&r->e))
        pop(r);
    return bits[how + 1];
}

static void examine(struct run *r)
{
    static const uint16_t bits[] = {
        [FC_ZERO] = X87_C3, [FC_NORMAL] = X87_C2, [FC_INF] = X87_C2 | X87_C0, [FC_QNAN] = X87_C0,
        [FC_SNAN] = X87_C0, [FC_BAD] = 0,
    };
    struct f80_num x = f80_unpack(get(r, 0));
    uint16_t b = empty(r, 0) ? X87_C3 | X87_C0 : x.denormal ? X87_C3 | X87_C2 : bits[x.cls];

    cond(r, X87_C3 | X87_C2 | X87_C0, b);
    r->e.c1 = x.sign;
}

/* ---- stores: op is the form that does not pop ---- */

static uint64_t store(struct run *r, unsigned op, bool popping)
{
    struct cpu *c = r->c;
    struct f80 a = get(r, 0);
    uint16_t hi = 0;
    uint64_t v;
    bool ok = true;

    if (empty(r, 0)) {
        a = F80_INDEF;
        ok = stack_fault(r, false);
    }
    switch (op) {
    case X87_FST_M32:
        v = f80_to_f32(&r->e, a, &ok);
        break;
    case X87_FST_M64:
        v = f80_to_f64(&r->e, a, &ok);
        break;
    case X87_FST_M80:
        v = a.sig;
        hi = a.se;
        break;
    case X87_FIST_16: case X87_FIST_32: case X87_FIST_64:
        v = f80_to_int(&r->e, a, 16u << (op - X87_FIST_16), r->e.rc, &ok);
        break;
    case X87_FISTT_16: case X87_FISTT_32: case X87_FISTT_64:
        v = f80_to_int(&r->e, a, 16u << (op - X87_FISTT_16), F80_ZERO, &ok);
        break;
    default:
        v = f80_to_bcd(&r->e, a, &hi, &ok);
    }
    if (r->stack_fault)
        ok = r->e.mask & F80_IE;
    c->hv.w[4] = hi;
    c->hv.d[3] = !ok;
    if (popping && ok)
        pop(r);
    return v;
}

/* ---- moves within the stack ---- */

static void move(struct run *r, unsigned op, unsigned i)
{
    struct f80 v = get(r, 0), w = get(r, i);

    switch (op) {
    case X87_FLD:
        if (empty(r, i)) {
            if (stack_fault(r, false))
                push(r, F80_INDEF);
        } else {
            load(r, w);
        }
        break;
    case X87_FXCH:
        if (empty(r, 0) || empty(r, i)) {
            if (!stack_fault(r, false))
                return;
            if (empty(r, 0))
                v = F80_INDEF;
            if (empty(r, i))
                w = F80_INDEF;
        }
        put(r, 0, w);
        put(r, i, v);
        break;
    default:
        if (empty(r, 0)) {
            if (!stack_fault(r, false))
                return;
            v = F80_INDEF;
        }
        put(r, i, v);
        if (op == X87_FSTP)
            pop(r);
    }
}

static void cmov(struct run *r, unsigned i, bool take)
{
    if (empty(r, 0) || empty(r, i)) {
        if (stack_fault(r, false))
            put(r, 0, F80_INDEF);
    } else if (take) {
        put(r, 0, get(r, i));
    }
}

/* ---- one operand ---- */

static void unary(struct run *r, unsigned op)
{
    struct f80 v = get(r, 0);

    if (empty(r, 0)) {
        if (stack_fault(r, false))
            put(r, 0, F80_INDEF);
        return;
    }
    switch (op) {
    case X87_FCHS:
        v.se ^= 0x8000;
        break;
    case X87_FABS:
        v.se &= 0x7fff;
        break;
    case X87_FSQRT:
        v = f80_sqrt(&r->e, v);
        break;
    case X87_FRNDINT:
        v = f80_rint(&r->e, v);
        break;
    default:
        v = f80_2xm1(&r->e, v);
    }
    if (!f80_stopped(&r->e))
        put(r, 0, v);
}

/* FSIN, FCOS, FSINCOS, FPTAN: C2 set and nothing done if the operand is too large. */
static void trig(struct run *r, unsigned op)
{
    bool two = op == X87_FSINCOS || op == X87_FPTAN;
    struct f80 a = get(r, 0), s = a, k = f80_make(false, 0x3fff, 1ull << 63);
    bool done;

    if (empty(r, 0) || (two && !empty(r, 7))) {
        cond(r, X87_C2, 0);
        if (stack_fault(r, !empty(r, 0))) {
            put(r, 0, F80_INDEF);
            if (two)
                push(r, F80_INDEF);
        }
        return;
    }
    if (op == X87_FPTAN) {
        done = f80_tan(&r->e, a, &s);
        if (done && f80_unpack(s).cls == FC_QNAN)
            k = s;
    } else {
        done = f80_sincos(&r->e, a, op == X87_FCOS ? NULL : &s, op == X87_FSIN ? NULL : &k);
    }
    cond(r, X87_C2, done ? 0 : X87_C2);
    if (!done || f80_stopped(&r->e))
        return;
    put(r, 0, op == X87_FCOS ? k : s);
    if (two)
        push(r, k);
}

static void extract(struct run *r)
{
    struct f80 e, s;

    if (empty(r, 0) || !empty(r, 7)) {
        if (stack_fault(r, !empty(r, 0))) {
            put(r, 0, F80_INDEF);
            push(r, F80_INDEF);
        }
        return;
    }
    e = f80_extract(&r->e, get(r, 0), &s);
    if (f80_stopped(&r->e))
        return;
    put(r, 0, e);
    push(r, s);
}

/* ---- two operands ---- */

static void binary(struct run *r, unsigned op)
{
    struct f80 a = get(r, 0), b = get(r, 1), v = F80_INDEF;
    bool to_1 = op == X87_FYL2X || op == X87_FYL2XP1 || op == X87_FPATAN, partial = false;
    unsigned q = 8;

    if (empty(r, 0) || empty(r, 1)) {
        stack_fault(r, false);
    } else {
        switch (op) {
        case X87_FSCALE:
            v = f80_scale(&r->e, a, b);
            break;
        case X87_FPREM: case X87_FPREM1:
            v = f80_rem(&r->e, a, b, op == X87_FPREM1, &q, &partial);
            break;
        case X87_FYL2X:
            v = f80_yl2x(&r->e, a, b);
            break;
        case X87_FYL2XP1:
            v = f80_yl2xp1(&r->e, a, b);
            break;
        default:
            v = f80_atan2(&r->e, b, a);
        }
    }
    if (op == X87_FPREM || op == X87_FPREM1)
        cond(r, X87_C2, partial ? X87_C2 : 0);
    if (f80_stopped(&r->e))
        return;
    if (q < 8) {
        cond(r, X87_C3 | X87_C0, (q & 4 ? X87_C0 : 0) | (q & 2 ? X87_C3 : 0));
        r->e.c1 = q & 1;
    }
    put(r, to_1 ? 1 : 0, v);
    if (to_1)
        pop(r);
}

/* ---- dispatch ---- */

static bool memory_arith(struct run *r, unsigned op, uint64_t m)
{
    /* Groups of x87.def: M32, M64, I16, I32. */
    if (op >= X87_FADD_M32 && op <= X87_FDIVR_I32) {
        arith_mem(r, (op - X87_FADD_M32) % 6, (op - X87_FADD_M32) / 6, m);
        return true;
    }
    if (op >= X87_FCOM_M32 && op <= X87_FCOMP_I32) {
        compare_mem(r, (op - X87_FCOM_M32) / 2, m, (op - X87_FCOM_M32) % 2);
        return true;
    }
    return false;
}

static uint64_t misc(struct run *r, unsigned op, unsigned i, uint64_t m)
{
    struct cpu *c = r->c;
    struct x87 *f = r->f;

    switch (op) {
    case X87_STSW:
        return f->sw;
    case X87_STCW:
        return f->cw;
    case X87_GETHI:
        return c->hv.w[4];
    case X87_SETHI:
        c->hv.w[4] = (uint16_t)m;
        break;
    case X87_LDCW:
        f->cw = (uint16_t)((m & 0x1f3f) | 0x40);        /* reserved bits read so */
        x87_update_es(f);
        cpu_update_mode(c);
        break;
    case X87_FNCLEX:
        f->sw &= (uint16_t)~(0x3f | X87_SF | X87_ES | X87_B);
        break;
    case X87_FFREE:
        f->tag &= (uint16_t)~(1u << phys(r, i));
        f->sw &= (uint16_t)~X87_C1;
        break;
    default:
        break;
    }
    return 0;
}

static uint64_t execute(struct run *r, unsigned op, unsigned i, uint64_t m)
{
    if (memory_arith(r, op, m))
        return 0;
    if (op < X87_FADD_TO) {
        arith_st(r, op - X87_FADD, 0, i, false);
        return 0;
    }
    if (op < X87_FADDP) {
        arith_st(r, op - X87_FADD_TO, i, 0, false);
        return 0;
    }
    if (op < X87_FADD_M32) {
        arith_st(r, op - X87_FADDP, i, 0, true);
        return 0;
    }
    if (x87_info[op].kind == X87_ST || x87_info[op].kind == X87_STP)
        return store(r, op, false);
    if (x87_info[op].kind == X87_POP) {
        store(r, op - X87_FSTP_M32 + X87_FST_M32, true);
        return 0;
    }
    switch (op) {
    case X87_FCOM: case X87_FCOMP:
        compare(r, empty(r, 0) || empty(r, i), get(r, i), false, op - X87_FCOM);
        break;
    case X87_FCOMPP:
        compare(r, empty(r, 0) || empty(r, 1), get(r, 1), false, 2);
        break;
    case X87_FUCOM: case X87_FUCOMP:
        compare(r, empty(r, 0) || empty(r, i), get(r, i), true, op - X87_FUCOM);
        break;
    case X87_FUCOMPP:
        compare(r, empty(r, 0) || empty(r, 1), get(r, 1), true, 2);
        break;
    case X87_FTST:
        compare(r, empty(r, 0), f80_zero(false), false, 0);
        break;
    case X87_FXAM:
        examine(r);
        break;
    case X87_FCOMI: case X87_FCOMIP: case X87_FUCOMI: case X87_FUCOMIP:
        return compare_flags(r, i, op >= X87_FUCOMI, op == X87_FCOMIP || op == X87_FUCOMIP);
    case X87_FSTPNCE:
        if (!empty(r, 0))
            put(r, i, get(r, 0));
        pop(r);
        break;
    case X87_FLD: case X87_FXCH: case X87_FST: case X87_FSTP:
        move(r, op, i);
        break;
    case X87_FCMOV:
        cmov(r, i, m != 0);
        break;
    case X87_FLD_M32: case X87_FLD_M64:
        if (!empty(r, 7))
            load(r, F80_INDEF);
        else
            load(r, op == X87_FLD_M32 ? f80_from_f32(&r->e, (uint32_t)m) : f80_from_f64(&r->e, m));
        break;
    case X87_FLD_M80:
        load(r, f80_make(r->c->hv.w[4] >> 15, r->c->hv.w[4] & 0x7fff, m));
        break;
    case X87_FILD_16: case X87_FILD_32:
        load(r, operand(r, op - X87_FILD_16 + 2, m));
        break;
    case X87_FILD_64:
        load(r, f80_from_int((int64_t)m));
        break;
    case X87_FBLD:
        load(r, f80_from_bcd(m, r->c->hv.w[4]));
        break;
    case X87_FLD1: case X87_FLDL2T: case X87_FLDL2E: case X87_FLDPI: case X87_FLDLG2: case X87_FLDLN2:
    case X87_FLDZ:
        load_const(r, op);
        break;
    case X87_FSIN: case X87_FCOS: case X87_FSINCOS: case X87_FPTAN:
        trig(r, op);
        break;
    case X87_FXTRACT:
        extract(r);
        break;
    case X87_FDECSTP:
        r->top = (r->top - 1) & 7;
        break;
    case X87_FINCSTP:
        r->top = (r->top + 1) & 7;
        break;
    case X87_FFREEP:
        r->f->tag &= (uint16_t)~(1u << phys(r, i));
        pop(r);
        break;
    case X87_FSCALE: case X87_FPREM: case X87_FPREM1: case X87_FYL2X: case X87_FYL2XP1: case X87_FPATAN:
        binary(r, op);
        break;
    default:
        unary(r, op);
    }
    return 0;
}

/* Not through finish(): these touch the status word themselves or not at all. */
static bool is_plain(unsigned op)
{
    return op == X87_STSW || op == X87_STCW || op == X87_GETHI || op == X87_SETHI || op == X87_LDCW ||
           op == X87_FNCLEX || op == X87_FFREE;
}

/*
 * Functions whose last bits, and results for operands out of range, differ between processors: change
 * them, for who asks what depends on them.
 */
static void flip_result(struct run *r, unsigned op)
{
    switch (op) {
    case X87_F2XM1: case X87_FYL2X: case X87_FYL2XP1: case X87_FPTAN: case X87_FPATAN: case X87_FSIN:
    case X87_FCOS: case X87_FSINCOS:
        r->f->r[r->f->sw >> 11 & 7].sig ^= r->c->flip_undef * 0x9e3779b97f4a7c15u >> 1;
        r->f->r[r->f->sw >> 11 & 7].se ^= r->c->flip_undef & 0x8001;
        r->f->sw ^= X87_C1 | F80_PE | F80_UE | F80_IE;
        break;
    default:
        break;
    }
}

void x87_op(struct cpu *c, unsigned aux, const union vreg *a, union vreg *res)
{
    static const uint8_t precision[4] = { 24, 64, 53, 64 };
    struct x87 *f = &c->fpu;
    unsigned op = aux & 0xff, i = aux >> 8 & 7;
    struct run r = { .c = c, .f = f, .top = f->sw >> 11 & 7 };
    uint64_t v;

    r.e.rc = f->cw >> 10 & 3;
    r.e.bits = precision[f->cw >> 8 & 3];
    r.e.mask = f->cw & 0x3f;
    r.e.c1 = (x87_info[op].kind == X87_FL || op == X87_FCMOV) && (f->sw & X87_C1);
    if (is_plain(op)) {
        v = misc(&r, op, i, a->q[0]);
    } else {
        v = execute(&r, op, i, a->q[0]);
        finish(&r);
        if (c->flip_undef)
            flip_result(&r, op);
    }
    res->q[0] = v;
    res->q[1] = 0;
}
