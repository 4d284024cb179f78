/*
 * cpu.c - reset, the mode word, raising faults.
 *
 * Invariant: c->mode is a function of the rest of struct cpu; whatever changes
 * one of its inputs calls cpu_update_mode().  SDM vol. 3, chapters 2 and 9.
 */
#include <assert.h>
#include <string.h>

#include "frontend/help.h"
#include "frontend/cpu_model.h"
#include "softmmu/softmmu.h"
#include "translator/backend_hooks.h"

/* The hot block: one-byte displacements reach it (offsets up to 127). */
static_assert(offsetof(struct cpu, attn) == 0, "attn is tested at every block's entry");
static_assert(offsetof(struct cpu, pc_page) % 16 == 0 &&
                  offsetof(struct cpu, pagekey) == offsetof(struct cpu, pc_page) + 8,
              "the jump cache sets both by one aligned move");
static_assert(offsetof(struct cpu, tlb[MMU_KERNEL_NOSMAP]) <= 127 + 8,
              "hot block grew past one-byte displacements");
static_assert(offsetof(struct cpu, x) % 16 == 0, "vector registers are accessed aligned");
static_assert(sizeof(struct seg) == 32, "seg is indexed by shifting");

bool fault_raise(struct cpu *c, unsigned vector)
{
    c->fault = (struct fault){ .vector = (uint8_t)vector };
    return true;
}

bool fault_code(struct cpu *c, unsigned vector, uint32_t code)
{
    c->fault = (struct fault){ .vector = (uint8_t)vector, .has_code = true, .code = code };
    return true;
}

static bool flat(const struct seg *s)
{
    return s->base == 0 && s->limit == 0xffffffff;
}

void cpu_update_mode(struct cpu *c)
{
    const struct seg *cs = &c->seg[SEG_CS], *ss = &c->seg[SEG_SS];
    uint32_t m = (uint32_t)c->cpl << M_CPL_SHIFT;
    bool code64 = cpu_64(c);

    m |= code64 ? M_CODE64 : cs->attr & SEG_DB ? M_CODE32 : M_CODE16;
    if (c->cr0 & CR0_PE)
        m |= M_PE;
    if (c->eflags & FL_VM)
        m |= M_VM;
    if (cpu_lma(c))
        m |= M_LMA;
    if (code64) {
        m |= M_FLAT_CS | M_FLAT_DS;
    } else {
        if (ss->attr & SEG_DB)
            m |= M_SS32;
        /* 16-bit code wraps at 64 KiB and execute-only code cannot be read: not flat. */
        if (flat(cs) && (cs->attr & SEG_DB) && cs->fast_r)
            m |= M_FLAT_CS;
        if (flat(ss) && ss->fast_w && flat(&c->seg[SEG_DS]) && c->seg[SEG_DS].fast_w &&
            flat(&c->seg[SEG_ES]) && c->seg[SEG_ES].fast_w)
            m |= M_FLAT_DS;
    }
    m |= (uint32_t)cpu_data_idx(c, c->cpl) << M_MMU_SHIFT;
    if ((c->eflags & FL_TF) || dr7_data_armed(c))
        m |= M_TF;
    if (c->cpl == 3 && (c->eflags & FL_AC) && (c->cr0 & CR0_AM))
        m |= M_AC;
    if (c->cr0 & (CR0_TS | CR0_EM))
        m |= M_NM_X87;
    if ((c->cr0 & CR0_EM) || !(c->cr4 & CR4_OSFXSR))
        m |= M_UD_SSE;
    if (c->cr0 & CR0_TS)
        m |= M_NM_SSE;
    if ((c->cr0 & CR0_MP) && (c->cr0 & CR0_TS))
        m |= M_MP_WAIT;
    if ((c->mxcsr & 0x1f80) != 0x1f80)
        m |= M_UNM_SSE;
    if (backend_sse_plain && (c->mxcsr & 0xe040))
        m |= M_ODD_SSE;
    if ((c->fpu.cw & 0x3f) != 0x3f)
        m |= M_UNM_X87;
    for (unsigned i = 0; i < 4; i++) {
        if ((c->dr[7] >> (2 * i) & 3) && !(c->dr[7] >> (16 + 4 * i) & 3))
            m |= M_BRK;
    }
    c->mode = m;
}

static void reset_seg(struct cpu *c, unsigned n, uint16_t sel, uint64_t base, uint16_t attr)
{
    c->seg[n] = (struct seg){ .base = base, .limit = 0xffff, .sel = sel, .attr = attr };
    seg_update(c, n);
}

/* SDM vol. 3, table 9-1 (processor states following power-up, reset or INIT). */
void cpu_reset(struct cpu *c, bool init)
{
    uint64_t cr0_kept = init ? c->cr0 & (CR0_CD | CR0_NW) : CR0_CD | CR0_NW;

    memset(c->r, 0, sizeof(c->r));
    c->r[R_DX] = 0x600;
    if (c->model) {
        uint32_t r[4];

        cpu_model_cpuid(c, 1, 0, r);
        c->r[R_DX] = r[0];
    }
    c->rip = 0xfff0;
    cpu_set_eflags(c, FL_1);
    c->cr0 = CR0_ET | cr0_kept;
    c->cr2 = c->cr3 = c->cr4 = c->cr8 = 0;
    c->efer = 0;
    c->cpl = 0;
    reset_seg(c, SEG_CS, 0xf000, 0xffff0000, SEG_P | SEG_S | 3);
    for (unsigned n = 0; n < SEG_LDTR; n++) {
        if (n != SEG_CS)
            reset_seg(c, n, 0, 0, SEG_P | SEG_S | 3);
    }
    reset_seg(c, SEG_LDTR, 0, 0, SEG_P | DT_LDT);
    reset_seg(c, SEG_TR, 0, 0, SEG_P | DT_TSS32_BUSY);
    c->gdt.base = c->idt.base = 0;
    c->gdt.limit = c->idt.limit = 0xffff;
    memset(c->dr, 0, sizeof(c->dr));
    c->dr[6] = 0xffff0ff0;
    c->dr[7] = 0x400;
    c->dbg_hits = 0;
    memset(c->pdpte, 0, sizeof(c->pdpte));
    c->inhibit = c->halted = c->nmi_blocked = c->nmi_pending = 0;
    c->ferr = c->ignne = 0;
    c->smm = c->init_waits = 0;
    c->monitor.armed = 0;
    c->step = 0;
    c->fault = (struct fault){ 0 };
    c->chain_len = 0;
    c->spec_ctrl = 0;
    c->stopped = c->index != 0;
    c->pvclock[0] = c->pvclock[1] = 0;
    if (!init) {
        memset(c->x, 0, sizeof(c->x));
        memset(&c->fpu, 0, sizeof(c->fpu));
        c->x87_off = 0;
        c->fpu.cw = 0x40;
        c->fpu.tag = 0xff;      /* FTW 5555h: all registers hold zero */
        c->x87_live = 0;
        c->mxcsr = 0x1f80;
        c->star = c->lstar = c->cstar = c->sfmask = c->kernel_gs_base = c->tsc_aux = 0;
        c->sysenter_cs = c->sysenter_esp = c->sysenter_eip = 0;
        c->pat = 0x0007040600070406ull;
        c->xcr0 = 1;
        c->smbase = 0x30000;
        c->smi_count = 0;
        c->apic_base = 0xfee00800ull | (c->index ? 0 : 0x100);
        c->misc_enable = MISC_FAST_STRINGS | (!c->model || model_has(c->model, FEAT_MONITOR) ? MISC_MONITOR : 0);
        c->ucode_rev = 0;
        c->tsc_adjust = 0;
        c->tsc_offset = 0;
        c->mtrr_def = 0;
        memset(c->mtrr_fixed, 0, sizeof(c->mtrr_fixed));
        memset(c->mtrr_var, 0, sizeof(c->mtrr_var));
        c->mcg_status = 0;
        c->mcg_ctl = 0;
        memset(c->mc_bank, 0, sizeof(c->mc_bank));
        c->a20 = 1;
    }
    if (c->mmu) {
        mmu_set_cr3(c, 0, false);
        mmu_flush_all(c);
        mmu_watch_changed(c);
    }
    cpu_update_mode(c);
}
