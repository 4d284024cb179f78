/*
 * help_x87.c - helpers of the x87 family: what is not an IR op X87, and all
 * instructions while some exception is unmasked.
 *
 * SDM vol. 1, 8.1.8 to 8.1.10, 8.6, 8.7.
 */
#include <string.h>

#include "frontend/cpu_model.h"
#include "frontend/help.h"
#include "hw/machine.h"
#include "translator/backend_hooks.h"

static bool has(const struct cpu *c, enum x86_feat f)
{
    return !c->model || model_has(c->model, f);
}

void x87_drive_ferr(struct cpu *c)
{
    bool level = (c->fpu.sw & X87_ES) && !(c->cr0 & CR0_NE);

    if (level == c->ferr)
        return;
    c->ferr = level;
    if (!c->m || !c->m->ferr)
        return;
    machine_lock(c->m);
    c->m->ferr(c->m, c->index, level);
    machine_unlock(c->m);
}

/*
 * With CR0.NE = 0 the error is the board's business: it makes an interrupt of FERR#.  Until one comes
 * the processor stops in front of the waiting instruction, unless the board ignores the error (IGNNE#).
 */
bool help_x87_wait(struct cpu *c)
{
    backend_fp_sync(c);
    if (!(c->fpu.sw & X87_ES))
        return false;
    if (c->cr0 & CR0_NE)
        return fault_raise(c, EXC_MF);
    x87_drive_ferr(c);
    return __atomic_load_n(&c->ignne, __ATOMIC_SEQ_CST) ? false : fault_raise(c, FAULT_FREEZE);
}

/*
 * Opcode and operand pointer are those of the last instruction that raised an unmasked exception; on
 * processors without FDP_EXCPTN_ONLY translated code has stored the operand pointer already.
 */
static void raised(struct cpu *c)
{
    const struct x87_now *n = &c->x87_now;

    c->fpu.op = n->op & 0x7ff;
    if ((n->op & X87_NOW_MEM) && has(c, FEAT_FDP_EXCPTN_ONLY)) {
        c->fpu.dp = n->dp;
        x87_set_selectors(c, c->fpu.cs, n->ds);
    }
}

void help_x87_now(struct cpu *c, uint64_t op, uint64_t dp, uint64_t seg)
{
    c->x87_now = (struct x87_now){ .op = (uint16_t)op, .dp = dp, .ds = c->seg[seg].sel };
}

uint64_t help_x87_exec(struct cpu *c, uint64_t aux, uint64_t lo, uint64_t hi)
{
    union vreg a = { .q = { lo, 0 } }, res;
    unsigned op = (unsigned)aux & 0xff;

    backend_fp_sync(c);
    if (x87_info[op].kind == X87_LD && x87_info[op].size == 10)
        c->hv.w[4] = (uint16_t)hi;
    x87_op(c, (unsigned)aux, &a, &res);
    if ((c->fpu.sw & X87_ES) && (x87_info[op].kind != X87_MISC || op == X87_FCMOV))
        raised(c);
    x87_drive_ferr(c);
    return res.q[0];
}

/* The value also goes where the backend's fast path leaves it: c->arg[3], c->hv. */
uint64_t help_x87_unpop(struct cpu *c, uint64_t id, uint64_t lo, uint64_t hi)
{
    union vreg a = { .q = { 0, 0 } }, res;
    struct x87 *f = &c->fpu;
    unsigned top;

    backend_fp_sync(c);
    top = ((f->sw >> 11) - 1) & 7;
    f->sw = (uint16_t)((f->sw & ~X87_TOP) | top << 11);
    if (f->r[top].sig == lo && f->r[top].se == (uint16_t)hi)
        f->tag |= (uint16_t)(1u << top);        /* not what an empty register gives, or the same */
    x87_op(c, (unsigned)id, &a, &res);
    c->arg[3] = c->hv.q[0] = res.q[0];
    return res.q[0];
}

uint64_t help_x87_outcome(struct cpu *c, uint64_t what)
{
    return what ? c->hv.d[3] != 0 : c->hv.w[4];
}

/* Recompute the mode; 1 if it is another one. */
static uint64_t new_mode(struct cpu *c)
{
    uint32_t was = c->mode;

    x87_drive_ferr(c);
    backend_fp_changed(c);
    cpu_update_mode(c);
    return c->mode != was;
}

uint64_t help_x87_ldcw(struct cpu *c, uint64_t cw)
{
    backend_fp_sync(c);
    c->fpu.cw = (uint16_t)((cw & 0x1f3f) | 0x40);
    x87_update_es(&c->fpu);
    return new_mode(c);
}

void x87_set_selectors(struct cpu *c, uint16_t cs, uint16_t ds)
{
    bool kept = !has(c, FEAT_ZERO_FCS_FDS);

    c->fpu.cs = kept ? cs : 0;
    c->fpu.ds = kept ? ds : 0;
}

void x87_reset(struct cpu *c)
{
    struct x87 *f = &c->fpu;

    f->cw = 0x37f;
    f->sw = 0;
    f->tag = 0;
    f->op = 0;
    f->dp = 0;
    f->cs = f->ds = 0;
    x87_set_ip(c, 0);
}

uint64_t help_x87_init(struct cpu *c)
{
    backend_fp_sync(c);
    x87_reset(c);
    return new_mode(c);
}

/* ---- environment ---- */

uint16_t x87_full_tag(const struct x87 *f)
{
    unsigned tw = 0;

    for (unsigned k = 0; k < 8; k++) {
        unsigned e = f->r[k].se & 0x7fff, t = 2;

        if (!(f->tag >> k & 1))
            t = 3;
        else if (!e && !f->r[k].sig)
            t = 1;
        else if (e && e != 0x7fff && f->r[k].sig >> 63)
            t = 0;
        tw |= t << 2 * k;
    }
    return (uint16_t)tw;
}

void x87_set_full_tag(struct x87 *f, uint16_t tw)
{
    f->tag = 0;
    for (unsigned k = 0; k < 8; k++) {
        if ((tw >> 2 * k & 3) != 3)
            f->tag |= (uint16_t)(1u << k);
    }
}

/* Length of the environment and of all, in bytes. */
static unsigned env_len(unsigned how)
{
    return how & X87_ENV_16 ? 14 : 28;
}
static unsigned all_len(unsigned how)
{
    return env_len(how) + (how & X87_ENV_SAVE ? 80 : 0);
}

static uint64_t at(const struct cpu *c, uint64_t lin, unsigned off)
{
    return (c->mode & M_CODE) == M_CODE64 ? lin + off : (lin + off) & 0xffffffff;
}

/* In the layout of real and virtual-8086 mode the pointers are linear addresses. */
static void pack_env(const struct cpu *c, unsigned how, uint8_t *buf)
{
    const struct x87 *f = &c->fpu;
    uint32_t v[7] = { f->cw, f->sw, x87_full_tag(f) };
    unsigned size = how & X87_ENV_16 ? 2 : 4;
    uint32_t ip = (uint32_t)x87_ip(c), dp = (uint32_t)f->dp;

    if (!(how & X87_ENV_REAL)) {
        v[3] = ip;
        v[4] = f->cs | (size == 4 ? (uint32_t)f->op << 16 : 0);
        v[5] = dp;
        v[6] = f->ds;
    } else {
        ip += (uint32_t)f->cs << 4;
        dp += (uint32_t)f->ds << 4;
        v[3] = ip & 0xffff;
        v[4] = (ip >> 16) << 12 | f->op;
        v[5] = dp & 0xffff;
        v[6] = (dp >> 16) << 12;
    }
    if (size == 4) {            /* reserved halves read as ones */
        v[0] |= 0xffff0000;
        v[1] |= 0xffff0000;
        v[2] |= 0xffff0000;
        if (how & X87_ENV_REAL) {
            v[3] |= 0xffff0000;
            v[5] |= 0xffff0000;
        } else {
            v[6] |= 0xffff0000;
        }
    }
    for (unsigned k = 0; k < 7; k++)
        memcpy(buf + k * size, &v[k], size);
}

static void unpack_env(struct cpu *c, unsigned how, const uint8_t *buf)
{
    struct x87 *f = &c->fpu;
    uint32_t v[7] = { 0 };
    unsigned size = how & X87_ENV_16 ? 2 : 4;

    for (unsigned k = 0; k < 7; k++)
        memcpy(&v[k], buf + k * size, size);
    f->cw = (uint16_t)((v[0] & 0x1f3f) | 0x40);
    f->sw = (uint16_t)v[1];
    x87_set_full_tag(f, (uint16_t)v[2]);
    if (!(how & X87_ENV_REAL)) {
        x87_set_ip(c, v[3]);
        f->op = size == 4 ? v[4] >> 16 & 0x7ff : 0;
        f->dp = v[5];
        x87_set_selectors(c, (uint16_t)v[4], (uint16_t)v[6]);
    } else {
        x87_set_ip(c, (v[3] & 0xffff) | (v[4] >> 12 & 0xffff) << 16);
        f->op = v[4] & 0x7ff;
        f->dp = (v[5] & 0xffff) | (v[6] >> 12 & 0xffff) << 16;
        f->cs = f->ds = 0;
    }
    x87_update_es(f);
}

/* May all of it be accessed?  It spans at most two pages. */
static bool check(struct cpu *c, uint64_t lin, unsigned len, enum mmu_access acc, enum mmu_idx idx)
{
    return mmu_check(c, lin, 1, acc, idx) || mmu_check(c, at(c, lin, len - 1), 1, acc, idx);
}

bool help_x87_stenv(struct cpu *c, uint64_t lin, uint64_t how, uint64_t aux)
{
    enum mmu_idx idx = MMU_AUX_IDX(aux);
    unsigned len = all_len((unsigned)how), top;
    uint8_t buf[112];

    backend_fp_sync(c);
    if (check(c, lin, len, ACC_WRITE, idx))
        return true;
    pack_env(c, (unsigned)how, buf);
    top = c->fpu.sw >> 11 & 7;
    for (unsigned k = 0; k < 8 && (how & X87_ENV_SAVE); k++) {
        memcpy(buf + env_len((unsigned)how) + 10 * k, &c->fpu.r[(top + k) & 7].sig, 8);
        memcpy(buf + env_len((unsigned)how) + 10 * k + 8, &c->fpu.r[(top + k) & 7].se, 2);
    }
    for (unsigned k = 0; k < len; k += 2) {
        if (mmu_store(c, at(c, lin, k), 2, idx, buf + k))
            return true;
    }
    if (how & X87_ENV_SAVE) {
        x87_reset(c);
    } else {
        c->fpu.cw |= 0x3f;
        x87_update_es(&c->fpu);
    }
    c->hret = new_mode(c);
    return false;
}

bool help_x87_ldenv(struct cpu *c, uint64_t lin, uint64_t how, uint64_t aux)
{
    enum mmu_idx idx = MMU_AUX_IDX(aux);
    unsigned len = all_len((unsigned)how), top;
    uint8_t buf[112];

    backend_fp_sync(c);
    if (check(c, lin, len, ACC_READ, idx))
        return true;
    for (unsigned k = 0; k < len; k += 2) {
        if (mmu_load(c, at(c, lin, k), 2, idx, false, buf + k))
            return true;
    }
    unpack_env(c, (unsigned)how, buf);
    top = c->fpu.sw >> 11 & 7;
    for (unsigned k = 0; k < 8 && (how & X87_ENV_SAVE); k++) {
        memcpy(&c->fpu.r[(top + k) & 7].sig, buf + env_len((unsigned)how) + 10 * k, 8);
        memcpy(&c->fpu.r[(top + k) & 7].se, buf + env_len((unsigned)how) + 10 * k + 8, 2);
    }
    c->hret = new_mode(c);
    return false;
}
