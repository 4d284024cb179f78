/*
 * help_xsave.c - FXSAVE, FXRSTOR, XSAVE, XSAVEOPT, XRSTOR (standard form; x87
 * and SSE components).
 *
 * The whole area is checked before the first byte is written, so that a fault
 * changes nothing.  XSAVE always reports its components as in use: the manual
 * lets a processor not track the initial configuration.
 * SDM vol. 1, 10.5 and 13.4 to 13.9.
 */
#include <string.h>

#include "frontend/help.h"
#include "translator/backend_hooks.h"
#include "translator/vec.h"

#define AREA_LEGACY 512
#define AREA_HEADER 64
#define AREA_X87    32          /* offset of ST0 */
#define AREA_XMM    160
#define COMP_X87 1u
#define COMP_SSE 2u

struct area {
    uint8_t b[AREA_LEGACY + AREA_HEADER];
};

static enum mmu_idx idx_of(const struct cpu *c)
{
    return (enum mmu_idx)((c->mode & M_MMU) >> M_MMU_SHIFT);
}

static bool long_code(const struct cpu *c)
{
    return (c->mode & M_CODE) == M_CODE64;
}

static void put16(uint8_t *p, uint16_t v) { p[0] = (uint8_t)v; p[1] = (uint8_t)(v >> 8); }
static void put64(uint8_t *p, uint64_t v, unsigned bytes)
{
    for (unsigned n = 0; n < bytes; n++)
        p[n] = (uint8_t)(v >> 8 * n);
}
static uint64_t get(const uint8_t *p, unsigned bytes)
{
    uint64_t v = 0;

    for (unsigned n = 0; n < bytes; n++)
        v |= (uint64_t)p[n] << 8 * n;
    return v;
}

static bool load(struct cpu *c, uint64_t lin, uint8_t *p, unsigned len)
{
    for (unsigned n = 0; n < len; n += 16) {
        if (mmu_load(c, lin + n, 16, idx_of(c), false, p + n))
            return true;
    }
    return false;
}

/* Store bytes [from, to), multiples of 8, of the area. */
static bool store(struct cpu *c, uint64_t lin, const uint8_t *p, unsigned from, unsigned to)
{
    for (unsigned n = from; n < to; n += 8) {
        if (mmu_store(c, lin + n, 8, idx_of(c), p + n))
            return true;
    }
    return false;
}

/* ---- components to and from the area ---- */

static void pack_x87(const struct cpu *c, uint8_t *p, bool w)
{
    const struct x87 *f = &c->fpu;
    unsigned top = f->sw >> 11 & 7;

    put16(p, f->cw);
    put16(p + 2, f->sw);
    p[4] = (uint8_t)f->tag;
    p[5] = 0;
    put16(p + 6, f->op);
    put64(p + 8, x87_ip(c), w ? 8 : 4);
    put64(p + 16, f->dp, w ? 8 : 4);
    if (!w) {
        put64(p + 12, f->cs, 4);
        put64(p + 20, f->ds, 4);
    }
    for (unsigned n = 0; n < 8; n++) {
        const struct f80 *r = &f->r[(top + n) & 7];

        put64(p + AREA_X87 + 16 * n, r->sig, 8);
        put64(p + AREA_X87 + 16 * n + 8, r->se, 8);
    }
}

static void unpack_x87(struct cpu *c, const uint8_t *p, bool w)
{
    struct x87 *f = &c->fpu;
    unsigned top;

    f->cw = (uint16_t)((get(p, 2) & 0x1f3f) | 0x40);
    f->sw = (uint16_t)get(p + 2, 2);
    /* ES and B say whether an unmasked flag is set, whatever the image says. */
    f->sw &= (uint16_t)~0x8080;
    if (f->sw & ~f->cw & 0x3f)
        f->sw |= 0x8080;
    f->tag = p[4];
    f->op = (uint16_t)(get(p + 6, 2) & 0x7ff);
    /* FIP becomes canonical; FDP is kept as it is. */
    x87_set_ip(c, w ? (uint64_t)((int64_t)(get(p + 8, 8) << 16) >> 16) : get(p + 8, 4));
    f->dp = get(p + 16, w ? 8 : 4);
    x87_set_selectors(c, w ? 0 : (uint16_t)get(p + 12, 2), w ? 0 : (uint16_t)get(p + 20, 2));
    top = f->sw >> 11 & 7;
    for (unsigned n = 0; n < 8; n++) {
        struct f80 *r = &f->r[(top + n) & 7];

        r->sig = get(p + AREA_X87 + 16 * n, 8);
        r->se = (uint16_t)get(p + AREA_X87 + 16 * n + 8, 2);
    }
}

static void init_x87(struct cpu *c)
{
    memset(&c->fpu, 0, sizeof(c->fpu));
    x87_reset(c);
}

static void pack_mxcsr(const struct cpu *c, uint8_t *p)
{
    put64(p + 24, c->mxcsr, 4);
    put64(p + 28, MX_VALID, 4);
}

static unsigned xmm_count(const struct cpu *c)
{
    return long_code(c) ? 16 : 8;
}

/* ---- the instructions ---- */

/* #UD and #NM conditions of FXSAVE/FXRSTOR, alignment, and the right to the area. */
static bool fx_check(struct cpu *c, uint64_t lin, enum mmu_access acc)
{
    if (c->cr0 & CR0_EM)
        return fault_ud(c);
    if (c->cr0 & CR0_TS)
        return fault_raise(c, EXC_NM);
    if (lin & 15)
        return fault_gp(c, 0);
    return mmu_check(c, lin, AREA_LEGACY, acc, idx_of(c));
}

bool help_fxsave(struct cpu *c, uint64_t lin, uint64_t w)
{
    struct area a;

    if (fx_check(c, lin, ACC_WRITE))
        return true;
    backend_fp_sync(c);
    pack_x87(c, a.b, w);
    pack_mxcsr(c, a.b);
    memcpy(a.b + AREA_XMM, c->x, 16 * xmm_count(c));
    return store(c, lin, a.b, 0, AREA_XMM + 16 * xmm_count(c));
}

bool help_fxrstor(struct cpu *c, uint64_t lin, uint64_t w)
{
    struct area a;

    if (fx_check(c, lin, ACC_READ) || load(c, lin, a.b, AREA_LEGACY))
        return true;
    if (get(a.b + 24, 4) & ~(uint64_t)MX_VALID)
        return fault_gp(c, 0);
    backend_fp_sync(c);
    unpack_x87(c, a.b, w);
    c->mxcsr = (uint32_t)get(a.b + 24, 4);
    memcpy(c->x, a.b + AREA_XMM, 16 * xmm_count(c));
    x87_drive_ferr(c);
    backend_fp_changed(c);
    cpu_update_mode(c);
    return false;
}

/* Requested components: EDX:EAX under XCR0. */
static uint64_t requested(const struct cpu *c)
{
    return ((uint64_t)(uint32_t)c->r[R_DX] << 32 | (uint32_t)c->r[R_AX]) & c->xcr0;
}

static bool xsave_check(struct cpu *c, uint64_t lin, enum mmu_access acc)
{
    if (!(c->cr4 & CR4_OSXSAVE))
        return fault_ud(c);
    if (c->cr0 & CR0_TS)
        return fault_raise(c, EXC_NM);
    if (lin & 63)
        return fault_gp(c, 0);
    return mmu_check(c, lin, AREA_LEGACY + AREA_HEADER, acc, idx_of(c));
}

bool help_xsave(struct cpu *c, uint64_t lin, uint64_t w)
{
    uint64_t rfbm = requested(c), bv;
    struct area a;

    if (xsave_check(c, lin, ACC_WRITE) || mmu_load(c, lin + AREA_LEGACY, 8, idx_of(c), true, &bv))
        return true;
    backend_fp_sync(c);
    pack_x87(c, a.b, w);
    pack_mxcsr(c, a.b);
    memcpy(a.b + AREA_XMM, c->x, 16 * xmm_count(c));
    put64(a.b + AREA_LEGACY, (get((const uint8_t *)&bv, 8) & ~rfbm) | rfbm, 8);
    return ((rfbm & COMP_X87) && (store(c, lin, a.b, 0, 24) || store(c, lin, a.b, AREA_X87, AREA_XMM))) ||
           ((rfbm & COMP_SSE) && (store(c, lin, a.b, 24, 32) ||
                                  store(c, lin, a.b, AREA_XMM, AREA_XMM + 16 * xmm_count(c)))) ||
           store(c, lin, a.b, AREA_LEGACY, AREA_LEGACY + 8);
}

/* Reserved parts of the header must be zero; the compacted form is not supported. */
static bool header_bad(const struct cpu *c, const uint8_t *h)
{
    for (unsigned n = 8; n < 24; n++) {
        if (h[n])
            return true;
    }
    return get(h, 8) & ~c->xcr0;
}

bool help_xrstor(struct cpu *c, uint64_t lin, uint64_t w)
{
    uint64_t rfbm = requested(c), bv;
    struct area a;

    if (xsave_check(c, lin, ACC_READ) || load(c, lin, a.b, AREA_LEGACY + AREA_HEADER))
        return true;
    bv = get(a.b + AREA_LEGACY, 8);
    if (header_bad(c, a.b + AREA_LEGACY) ||
        ((rfbm & COMP_SSE) && (get(a.b + 24, 4) & ~(uint64_t)MX_VALID)))
        return fault_gp(c, 0);
    backend_fp_sync(c);
    if (rfbm & COMP_X87) {
        if (bv & COMP_X87)
            unpack_x87(c, a.b, w);
        else
            init_x87(c);
    }
    if (rfbm & COMP_SSE) {
        c->mxcsr = (uint32_t)get(a.b + 24, 4);
        if (bv & COMP_SSE)
            memcpy(c->x, a.b + AREA_XMM, 16 * xmm_count(c));
        else
            memset(c->x, 0, 16 * xmm_count(c));
    }
    x87_drive_ferr(c);
    backend_fp_changed(c);
    cpu_update_mode(c);
    return false;
}
