/*
 * help_cr.c - control and debug registers, descriptor-table registers, TLB
 * instructions, XCR0, SMAP's AC, HLT, single stepping and breakpoints.
 *
 * Invariant: whoever changes a bit the MMU assumes calls mmu_flush_all() after
 * the new value is in place (softmmu.h); the mode word is recomputed last.
 * SDM vol. 3, 2.5 (control registers), 4.1 (paging modes), 17.2 (debug).
 */
#include "base/log.h"
#include "frontend/cpu_model.h"
#include "frontend/help.h"
#include "hw/machine.h"
#include "softmmu/softmmu.h"
#include "translator/backend_hooks.h"

/* ---- CR0, CR3, CR4, CR8 ---- */

static bool pae_legacy(const struct cpu *c)
{
    return (c->cr0 & CR0_PG) && (c->cr4 & CR4_PAE) && !cpu_lma(c);
}

static bool write_cr0(struct cpu *c, uint64_t v)
{
    uint64_t old = c->cr0, changed, efer = c->efer;

    if (v >> 32 || ((v & CR0_PG) && !(v & CR0_PE)) || ((v & CR0_NW) && !(v & CR0_CD)))
        return fault_gp(c, 0);
    v = (v & (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)) |
        CR0_ET;
    changed = old ^ v;
    if (changed & v & CR0_PG) {
        if (c->efer & EFER_LME) {
            /* SDM vol. 3, 9.8.5: nor may the task be a 16-bit one. */
            if (!(c->cr4 & CR4_PAE) || (c->seg[SEG_CS].attr & SEG_L) || !(c->seg[SEG_TR].attr & 8))
                return fault_gp(c, 0);
            c->efer |= EFER_LMA;
        } else if ((c->cr4 & CR4_PAE) && mmu_load_pdptes(c, c->cr3)) {
            return fault_gp(c, 0);
        }
    } else if (changed & old & CR0_PG) {
        if ((c->cr4 & CR4_PCIDE) || cpu_64(c))
            return fault_gp(c, 0);
        c->efer &= ~(uint64_t)EFER_LMA;
    } else if ((changed & (CR0_CD | CR0_NW)) && pae_legacy(c) && mmu_load_pdptes(c, c->cr3)) {
        return fault_gp(c, 0);
    }
    c->cr0 = v;
    if (changed & CR0_NE) {
        backend_fp_sync(c);
        x87_drive_ferr(c);
    }
    if ((changed & (CR0_PG | CR0_WP)) || efer != c->efer)
        mmu_flush_all(c);
    if (changed & CR0_PE) {
        for (unsigned n = 0; n < SEG_LDTR; n++)
            seg_update(c, n);
    }
    return false;
}

static bool write_cr3(struct cpu *c, uint64_t v)
{
    bool keep = false;

    if (cpu_lma(c)) {
        if ((c->cr4 & CR4_PCIDE) && v >> 63) {
            keep = true;
            v &= ~((uint64_t)1 << 63);
        }
        if (v >> MMU_PA_BITS)
            return fault_gp(c, 0);
    } else {
        v = (uint32_t)v;
        if (pae_legacy(c) && mmu_load_pdptes(c, v))
            return fault_gp(c, 0);
    }
    mmu_set_cr3(c, v, keep);
    return false;
}

uint64_t cr4_valid(const struct cpu *c)
{
    static const struct { uint32_t bit; uint8_t feat; } need[] = {
        { CR4_VME | CR4_PVI, FEAT_VME }, { CR4_TSD, FEAT_TSC }, { CR4_DE, FEAT_DE }, { CR4_PSE, FEAT_PSE },
        { CR4_PAE, FEAT_PAE }, { CR4_MCE, FEAT_MCE }, { CR4_PGE, FEAT_PGE }, { CR4_PCE, FEAT_NONE },
        { CR4_OSFXSR, FEAT_FXSR }, { CR4_OSXMMEXCPT, FEAT_SSE }, { CR4_UMIP, FEAT_UMIP },
        { CR4_FSGSBASE, FEAT_FSGSBASE }, { CR4_PCIDE, FEAT_PCID }, { CR4_OSXSAVE, FEAT_XSAVE },
        { CR4_SMEP, FEAT_SMEP }, { CR4_SMAP, FEAT_SMAP },
    };
    uint64_t v = 0;

    for (unsigned i = 0; i < sizeof(need) / sizeof(need[0]); i++) {
        if (!need[i].feat || !c->model || model_has(c->model, (enum x86_feat)need[i].feat))
            v |= need[i].bit;
    }
    return v;
}

static bool write_cr4(struct cpu *c, uint64_t v)
{
    uint64_t changed = c->cr4 ^ v, old = c->cr4;

    if (v & ~cr4_valid(c)) {
        log_msg(LOG_UNIMP, "CR4 = %llx: reserved or missing bits %llx", (unsigned long long)v,
                (unsigned long long)(v & ~cr4_valid(c)));
        return fault_gp(c, 0);
    }
    if (cpu_lma(c) && !(v & CR4_PAE))
        return fault_gp(c, 0);
    if ((changed & v & CR4_PCIDE) && (!cpu_lma(c) || (c->cr3 & 0xfff)))
        return fault_gp(c, 0);
    c->cr4 = v;
    if ((changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)) && pae_legacy(c) && mmu_load_pdptes(c, c->cr3)) {
        c->cr4 = old;
        return fault_gp(c, 0);
    }
    if (changed & (CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP))
        mmu_flush_all(c);
    return false;
}

bool cr_write(struct cpu *c, unsigned n, uint64_t v)
{
    bool faulted = false;

    switch (n) {
    case 0:
        faulted = write_cr0(c, v);
        break;
    case 2:
        c->cr2 = v;
        return false;
    case 3:
        return write_cr3(c, v);
    case 4:
        faulted = write_cr4(c, v);
        break;
    case 8:
        if (v >> 4)
            return fault_gp(c, 0);
        machine_lock(c->m);
        c->m->tpr_set(c->m, c->index, (uint8_t)v);
        machine_unlock(c->m);
        return false;
    }
    cpu_update_mode(c);
    return faulted;
}

bool help_mov_to_cr(struct cpu *c, uint64_t n, uint64_t v)
{
    return cr_write(c, (unsigned)n, v);
}

uint64_t help_get_cr8(struct cpu *c)
{
    uint64_t v;

    machine_lock(c->m);
    v = c->m->tpr_get(c->m, c->index);
    machine_unlock(c->m);
    return v;
}

bool help_lmsw(struct cpu *c, uint64_t v)
{
    return cr_write(c, 0, (c->cr0 & ~(uint64_t)0xe) | (v & 0xf));       /* PE can be set, not cleared */
}

void help_clts(struct cpu *c)
{
    c->cr0 &= ~(uint64_t)CR0_TS;
    cpu_update_mode(c);
}

bool help_umip(struct cpu *c)
{
    return (c->cr4 & CR4_UMIP) && fault_gp(c, 0);
}

/* ---- descriptor-table registers ---- */

bool help_load_dt(struct cpu *c, uint64_t idt, uint64_t base, uint64_t limit)
{
    if (cpu_64(c) && !canonical(base))
        return fault_gp(c, 0);
    if (idt) {
        c->idt.base = base;
        c->idt.limit = (uint16_t)limit;
    } else {
        c->gdt.base = base;
        c->gdt.limit = (uint16_t)limit;
    }
    return false;
}

bool help_store_dt(struct cpu *c, uint64_t idt, uint64_t lin, uint64_t opsize)
{
    enum mmu_idx idx = cpu_data_idx(c, c->cpl);
    uint64_t base = idt ? c->idt.base : c->gdt.base;
    unsigned n = cpu_64(c) ? 10 : 6;
    uint16_t limit = idt ? c->idt.limit : c->gdt.limit;
    uint8_t b[10];

    if (c->cpl && (c->cr4 & CR4_UMIP))
        return fault_gp(c, 0);
    b[0] = (uint8_t)limit;
    b[1] = (uint8_t)(limit >> 8);
    for (unsigned i = 0; i < 8; i++)
        b[2 + i] = (uint8_t)(base >> (8 * i));
    return mmu_store(c, lin, n, idx, b);
}

/* ---- TLB, SMAP, bases, XCR0, HLT ---- */

void help_invlpg(struct cpu *c, uint64_t lin)
{
    mmu_invlpg(c, cpu_64(c) ? lin : (uint32_t)lin);
}

bool help_invpcid(struct cpu *c, uint64_t type, uint64_t lo, uint64_t hi)
{
    if (cpu_pe(c) && cpu_vm(c))
        return fault_gp(c, 0);
    if (type > 3 || lo >> 12 || mmu_invpcid(c, (unsigned)type, lo, hi))
        return fault_gp(c, 0);
    return false;
}

void help_set_ac(struct cpu *c, uint64_t on)
{
    c->eflags = on ? c->eflags | FL_AC : c->eflags & ~FL_AC;
    cpu_update_mode(c);
}

bool help_fsgs_check(struct cpu *c, uint64_t base)
{
    if (!(c->cr4 & CR4_FSGSBASE))
        return fault_ud(c);
    return !canonical(base) && fault_gp(c, 0);
}

bool help_xgetbv(struct cpu *c, uint64_t n)
{
    if (!(c->cr4 & CR4_OSXSAVE))
        return fault_ud(c);
    if (n)
        return fault_gp(c, 0);
    c->hret = c->xcr0;
    return false;
}

bool help_xsetbv(struct cpu *c, uint64_t n, uint64_t v)
{
    if (!(c->cr4 & CR4_OSXSAVE))
        return fault_ud(c);
    if (c->cpl || n || !(v & 1) || (v & ~(uint64_t)3))
        return fault_gp(c, 0);
    c->xcr0 = v;
    cpu_update_mode(c);
    return false;
}

void help_hlt(struct cpu *c)
{
    c->inhibit = 0;
    c->halted = HALT_HLT;
}

/* ---- debug registers ---- */

#define DR6_FIXED 0xffff0ff0ull
#define DR6_BD 0x2000u
#define DR6_BS 0x4000u
#define DR7_GD 0x2000u

static unsigned dr7_type(const struct cpu *c, unsigned i)
{
    return c->dr[7] >> (16 + 4 * i) & 3;
}

static bool dr7_on(const struct cpu *c, unsigned i)
{
    return c->dr[7] >> (2 * i) & 3;
}

bool dr7_data_armed(const struct cpu *c)
{
    for (unsigned i = 0; i < 4; i++) {
        if (dr7_on(c, i) && dr7_type(c, i))
            return true;
    }
    return false;
}

void dr_io_hit(struct cpu *c, uint16_t port, unsigned size)
{
    if (!(c->cr4 & CR4_DE))
        return;
    for (unsigned i = 0; i < 4; i++) {
        static const uint8_t len[4] = { 1, 2, 8, 4 };
        unsigned n = len[c->dr[7] >> (18 + 4 * i) & 3];
        uint64_t at = c->dr[i] & ~(uint64_t)(n - 1);

        if (dr7_on(c, i) && dr7_type(c, i) == 2 && port < at + n && at < (uint64_t)port + size)
            c->dbg_hits |= 1u << i;
    }
}

/* DR number in use: 4 and 5 are 6 and 7 unless CR4.DE. True: faulted. */
static bool dr_number(struct cpu *c, uint64_t *n)
{
    if (*n == 4 || *n == 5) {
        if (c->cr4 & CR4_DE)
            return fault_ud(c);
        *n += 2;
    }
    if (c->dr[7] & DR7_GD) {
        fault_raise(c, EXC_DB);
        c->fault.dr6 = DR6_BD;
        return true;
    }
    return false;
}

bool help_mov_from_dr(struct cpu *c, uint64_t n)
{
    if (dr_number(c, &n))
        return true;
    c->hret = c->dr[n];
    return false;
}

bool help_mov_to_dr(struct cpu *c, uint64_t n, uint64_t v)
{
    if (dr_number(c, &n))
        return true;
    if (n >= 6 && v >> 32)
        return fault_gp(c, 0);
    switch (n) {
    case 6:
        c->dr[6] = (v & 0xe00f) | DR6_FIXED;
        return false;
    case 7:
        c->dr[7] = (v & 0xffff23ff) | 0x400;
        break;
    default:
        c->dr[n] = v;
        break;
    }
    mmu_watch_changed(c);
    cpu_update_mode(c);
    return false;
}

/* M_TF mode, an instruction has completed: data breakpoints it hit, and TF. */
bool help_single_step(struct cpu *c, uint64_t rip)
{
    uint64_t dr6 = c->dbg_hits;
    bool tf = c->step ? c->step & STEP_TF : c->eflags & FL_TF;

    c->step = 0;
    if (c->inhibit == INHIBIT_SS)       /* data breakpoints wait, the single step is lost */
        return false;
    c->dbg_hits = 0;
    if (tf)
        dr6 |= DR6_BS;
    if (!dr6)
        return false;
    fault_raise(c, EXC_DB);
    c->fault.trap = true;
    c->fault.rip = rip;
    c->fault.dr6 = dr6;
    return true;
}

/* M_BRK mode, before an instruction.  RF lets it through once. */
bool help_insn_break(struct cpu *c, uint64_t rip)
{
    uint64_t lin = cpu_64(c) ? rip : (uint32_t)(c->seg[SEG_CS].base + rip), dr6 = 0;
    bool armed = false;

    if (c->eflags & FL_RF) {
        c->eflags &= ~FL_RF;
        return false;
    }
    for (unsigned i = 0; i < 4; i++) {
        if (dr7_type(c, i) == 0 && c->dr[i] == lin) {
            dr6 |= 1u << i;
            armed |= dr7_on(c, i);
        }
    }
    if (!armed)
        return false;
    fault_raise(c, EXC_DB);
    c->fault.dr6 = dr6;
    return true;
}
