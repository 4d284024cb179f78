/*
 * cpu_state.c - see cpu_state.h.
 *
 * What is not in the table follows from what is (the mode word, the segments' fast limits, the TLBs) or means something
 * only while translated code runs. Flags have their bits in `flags` and `eflags`: no recipe waits outside of
 * translated code once the run loop was left (exec_run()).
 */
#include "frontend/cpu_state.h"

#include "frontend/help_sys.h"
#include "hw/machine.h"
#include "softmmu/softmmu.h"

#define SEGMENT(name, n)                                                                                        \
    { name ".base", offsetof(struct cpu, seg[n].base), 8, 1 }, { name ".limit", offsetof(struct cpu, seg[n].limit), 4, 1 },  \
    { name ".sel", offsetof(struct cpu, seg[n].sel), 2, 1 }, { name ".attr", offsetof(struct cpu, seg[n].attr), 2, 1 }
#define X87_REG(name, n)                                                                                        \
    { name ".sig", offsetof(struct cpu, fpu.r[n].sig), 8, 1 }, { name ".se", offsetof(struct cpu, fpu.r[n].se), 2, 1 }
#define F(member) FIELD(struct cpu, member)
#define F_MAX(member, max) FIELD_MAX(struct cpu, member, max)
#define FA(member) FIELD_ARRAY(struct cpu, member)

static const struct field cpu_fields[] = {
    F(rip), FA(r), F(flags), F(eflags), F_MAX(inhibit, INHIBIT_SS), F_MAX(halted, HALT_FREEZE),
    F_MAX(cpl, 3), F_MAX(stopped, 1),
    F(intr_pending), F(nmi_pending), F(smi_pending), F(init_pending), F_MAX(sipi_pending, 256),
    SEGMENT("es", SEG_ES), SEGMENT("cs", SEG_CS), SEGMENT("ss", SEG_SS), SEGMENT("ds", SEG_DS),
    SEGMENT("fs", SEG_FS), SEGMENT("gs", SEG_GS), SEGMENT("ldtr", SEG_LDTR), SEGMENT("tr", SEG_TR),
    { "x", offsetof(struct cpu, x), 8, 32 }, F_MAX(mxcsr, 0xffff),
    X87_REG("r0", 0), X87_REG("r1", 1), X87_REG("r2", 2), X87_REG("r3", 3),
    X87_REG("r4", 4), X87_REG("r5", 5), X87_REG("r6", 6), X87_REG("r7", 7),
    F(fpu.cw), F(fpu.sw), F(fpu.tag), F(fpu.op), F(fpu.ip), F(fpu.dp), F(fpu.cs), F(fpu.ds),
    F(x87_off), F(x87_now.dp), F(x87_now.ds), F(x87_now.op), F(ferr), F(ignne),
    F(gdt.base), F(gdt.limit), F(idt.base), F(idt.limit),
    F(cr0), F(cr2), F(cr3), F(cr4), F_MAX(cr8, 15), F_MAX(xcr0, 3), FA(pdpte),
    F(efer), F(star), F(lstar), F(cstar), F(sfmask), F(kernel_gs_base), F(tsc_aux), F(pat),
    F(sysenter_cs), F(sysenter_esp), F(sysenter_eip), F(apic_base), F(spec_ctrl), F(misc_enable), F(ucode_rev),
    F(tsc_adjust), F(tsc_offset), F(mtrr_def), FA(mtrr_fixed), FA(mtrr_var), F(mcg_status), F(mcg_ctl),
    { "mc_bank", offsetof(struct cpu, mc_bank), 8, 16 }, FA(pvclock),
    FA(dr), F(dbg_hits), F_MAX(step, STEP_KNOWN | STEP_TF), F(nmi_blocked), F(smm), F(smm_nmi_blocked), F(init_waits), F(smbase), F(smi_count),
    F(monitor.pa), F(monitor.armed), F(monitor.any), FA(monitor.copy),
    FIELD_END
};

/* A store that ended MWAIT's sleep, and is not seen yet: the other reasons to wake follow from lines. */
struct wake {
    uint8_t store;
};
static const struct field wake_fields[] = { FIELD(struct wake, store), FIELD_END };

void cpu_state_save(const struct cpu *c, struct state_out *o)
{
    struct wake w = { !!(__atomic_load_n(&c->attn, __ATOMIC_SEQ_CST) & ATTN_STORE) };

    state_put_fields(o, "cpu", "x86", cpu_fields, c);
    state_put_fields(o, "wake", "x86", wake_fields, &w);
}

const char *cpu_state_load(struct cpu *c, struct state_in *in)
{
    struct wake w = { 0 };
    const char *why = state_get_fields(in, "cpu", "x86", cpu_fields, c);

    if (!why)
        why = state_get_fields(in, "wake", "x86", wake_fields, c ? &w : NULL);
    if (why || !c)
        return why;
    c->flags &= FL_ARITH;
    c->eflags &= ~FL_ARITH;
    c->x87_live = 0;
    c->chain_len = 0;
    for (unsigned n = 0; n < SEG_COUNT; n++)
        seg_update(c, n);
    mmu_set_cr3(c, c->cr3, false);
    mmu_flush_all(c);
    mmu_watch_changed(c);
    cpu_update_mode(c);
    if (c->monitor.armed || c->halted == HALT_MWAIT)
        phys_monitor(c->m->phys);
    /* More reasons than there are do no harm: the run loop looks at what is behind each. */
    __atomic_fetch_or(&c->attn, ATTN_INTR | ATTN_NMI | ATTN_SMI | (w.store ? ATTN_STORE : 0), __ATOMIC_SEQ_CST);
    return NULL;
}
