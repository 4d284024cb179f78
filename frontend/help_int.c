/*
 * help_int.c - integer instructions that are not worth IR: decimal adjustment,
 * ENTER with nesting, CMPXCHG16B, and checks.  SDM vol. 2.
 */
#include "frontend/help.h"
#include "translator/ir.h"

bool help_cs_limit(struct cpu *c, uint64_t eip)
{
    return eip > c->seg[SEG_CS].limit ? fault_gp(c, 0) : false;
}

bool help_no_mmx(struct cpu *c)
{
    return fault_raise(c, c->cr0 & CR0_EM ? EXC_UD : EXC_NM);
}

bool help_bound(struct cpu *c, uint64_t index, uint64_t low, uint64_t high)
{
    int64_t i = (int64_t)index;

    return i < (int64_t)low || i > (int64_t)high ? fault_raise(c, EXC_BR) : false;
}

static void set_ax(struct cpu *c, unsigned ax)
{
    c->r[R_AX] = (c->r[R_AX] & ~(uint64_t)0xffff) | (ax & 0xffff);
}

/* SF, ZF and PF of AL; all other arithmetic flags as given. */
static void set_flags(struct cpu *c, uint8_t al, uint32_t others)
{
    uint32_t szp = cc_eval(FK_LOGIC, IR_AND, TY_I8, al, al, al, 0, 0) & (FL_SF | FL_ZF | FL_PF);

    c->flags = szp | others;
}

static void das_daa(struct cpu *c, bool sub)
{
    uint8_t al = (uint8_t)c->r[R_AX], old = al;
    bool cf = c->flags & FL_CF, af = c->flags & FL_AF, new_cf = false;

    if ((al & 15) > 9 || af) {
        new_cf = cf || (sub ? al < 6 : al > 0xf9);
        al = (uint8_t)(sub ? al - 6 : al + 6);
        af = true;
    }
    if (old > 0x99 || cf) {
        al = (uint8_t)(sub ? al - 0x60 : al + 0x60);
        new_cf = true;
    }
    c->r[R_AX] = (c->r[R_AX] & ~(uint64_t)0xff) | al;
    set_flags(c, al, (new_cf ? FL_CF : 0) | (af ? FL_AF : 0));
}

static void aas_aaa(struct cpu *c, bool sub)
{
    unsigned ax = (uint16_t)c->r[R_AX];
    bool adjust = (ax & 15) > 9 || (c->flags & FL_AF);

    if (adjust)
        ax = sub ? ax - 0x106 : ax + 0x106;
    ax &= 0xff0f;
    set_ax(c, ax);
    set_flags(c, (uint8_t)ax, adjust ? FL_CF | FL_AF : 0);
}

void help_bcd(struct cpu *c, uint64_t which)
{
    if (which < 2)
        das_daa(c, which == 1);
    else
        aas_aaa(c, which == 3);
}

void help_aam(struct cpu *c, uint64_t base)
{
    unsigned al = (uint8_t)c->r[R_AX], b = (unsigned)base;

    set_ax(c, (al / b) << 8 | al % b);
    set_flags(c, (uint8_t)(al % b), 0);
}

void help_aad(struct cpu *c, uint64_t base)
{
    unsigned ax = (uint16_t)c->r[R_AX];
    uint8_t al = (uint8_t)((ax & 0xff) + (ax >> 8) * (unsigned)base);

    set_ax(c, al);
    set_flags(c, al, 0);
}

/* --- ENTER --- */

struct frame {
    unsigned opsize, aux;
    uint64_t mask;              /* of stack offsets */
    bool lm;                    /* 64-bit mode: no segmentation */
};

static bool stack_lin(struct cpu *c, const struct frame *f, uint64_t off, bool write, uint64_t *lin)
{
    off &= f->mask;
    if (f->lm) {
        *lin = off;
        return false;
    }
    if (help_segcheck(c, SEG_SS | (write ? SEGCHK_WRITE : 0), off, f->opsize))
        return true;
    *lin = (c->seg[SEG_SS].base + off) & 0xffffffff;
    return false;
}

static bool put_stack(struct cpu *c, const struct frame *f, uint64_t off, uint64_t v)
{
    uint64_t lin;
    uint8_t b[8];

    for (unsigned k = 0; k < f->opsize; k++)
        b[k] = (uint8_t)(v >> 8 * k);
    return stack_lin(c, f, off, true, &lin) || mmu_store_aux(c, lin, f->opsize, f->aux, b);
}

static bool get_stack(struct cpu *c, const struct frame *f, uint64_t off, uint64_t *v)
{
    uint64_t lin;
    uint8_t b[8];

    if (stack_lin(c, f, off, false, &lin) || mmu_load_aux(c, lin, f->opsize, f->aux, b))
        return true;
    *v = 0;
    for (unsigned k = 0; k < f->opsize; k++)
        *v |= (uint64_t)b[k] << 8 * k;
    return false;
}

static uint64_t mask_of(unsigned bytes)
{
    return bytes == 8 ? ~(uint64_t)0 : ((uint64_t)1 << 8 * bytes) - 1;
}

/* Write the low `bytes` of a register as an instruction does. */
static uint64_t merge(uint64_t old, uint64_t v, unsigned bytes)
{
    if (bytes == 2)
        return (old & ~(uint64_t)0xffff) | (v & 0xffff);
    return v & mask_of(bytes);
}

bool help_enter(struct cpu *c, uint64_t bytes, uint64_t level, uint64_t how)
{
    unsigned spsize = how >> 4 & 15;
    struct frame f = { .opsize = how & 15, .aux = (unsigned)(how >> 8), .mask = mask_of(spsize) };
    uint64_t sp = c->r[R_SP], bp = c->r[R_BP], v, frame, end;

    f.lm = (c->mode & M_CODE) == M_CODE64;
    sp -= f.opsize;
    if (put_stack(c, &f, sp, bp))
        return true;
    frame = merge(c->r[R_SP], sp, spsize);
    for (uint64_t k = 1; k < level; k++) {
        bp -= f.opsize;
        sp -= f.opsize;
        if (get_stack(c, &f, bp, &v) || put_stack(c, &f, sp, v))
            return true;
    }
    if (level) {
        sp -= f.opsize;
        if (put_stack(c, &f, sp, frame))
            return true;
    }
    sp -= bytes;
    if (stack_lin(c, &f, sp, true, &end) ||
        mmu_check(c, end, 1, ACC_WRITE, MMU_AUX_IDX(f.aux)))
        return true;
    c->r[R_BP] = merge(c->r[R_BP], frame, f.opsize);
    c->r[R_SP] = merge(c->r[R_SP], sp, spsize);
    return false;
}

bool help_cmpxchg16b(struct cpu *c, uint64_t lin, uint64_t aux)
{
    uint64_t old[2], v[2];

    if (lin & 15)
        return fault_gp(c, 0);
    if (mmu_load_aux(c, lin, 16, (unsigned)aux | MEM_WRITE, old))
        return true;
    v[0] = old[0];
    v[1] = old[1];
    if (old[0] == c->r[R_AX] && old[1] == c->r[R_DX]) {
        v[0] = c->r[R_BX];
        v[1] = c->r[R_CX];
    }
    if (mmu_store_aux(c, lin, 16, (unsigned)aux, v))
        return true;
    if (old[0] == c->r[R_AX] && old[1] == c->r[R_DX]) {
        c->flags |= FL_ZF;
    } else {
        c->flags &= ~(uint64_t)FL_ZF;
        c->r[R_AX] = old[0];
        c->r[R_DX] = old[1];
    }
    return false;
}
