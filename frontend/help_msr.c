/*
 * help_msr.c - RDMSR and WRMSR from msr.def; RDTSC, RDPMC, RDRAND.
 *
 * A register the table lacks raises #GP and is logged as unimplemented: guests
 * are written to cope with that.  SDM vol. 4.
 */
#include "base/log.h"
#include "frontend/cpu_model.h"
#include "frontend/debug.h"
#include "frontend/help.h"
#include "hw/machine.h"
#include "softmmu/softmmu.h"

enum msr_kind { MSR_FIELD, MSR_ADDR, MSR_CONST, MSR_IGNORE, MSR_FN };

struct msr {
    uint32_t first, count;
    const char *name;
    enum msr_kind kind;
    uint32_t off;
    uint64_t writable, value;
    uint8_t feat;
};
static const struct msr msrs[] = {
#define MSR(first_, count_, name_, kind_, field_, writable_, value_, feat_) \
    { first_, count_, name_, kind_, CPU_OFF(field_), writable_, value_, FEAT_##feat_ },
#include "frontend/msr.def"
#undef MSR
};

static bool has(const struct cpu *c, enum x86_feat f)
{
    return !f || !c->model || model_has(c->model, f);
}

/* NULL: the processor has no such register. */
static const struct msr *find(const struct cpu *c, uint32_t n)
{
    unsigned lo = 0, hi = sizeof(msrs) / sizeof(msrs[0]);

    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;

        if (n < msrs[mid].first)
            hi = mid;
        else if (n >= msrs[mid].first + msrs[mid].count)
            lo = mid + 1;
        else
            return has(c, (enum x86_feat)msrs[mid].feat) ? &msrs[mid] : NULL;
    }
    return NULL;
}

static uint64_t *field(struct cpu *c, const struct msr *m, uint32_t n)
{
    return (uint64_t *)((char *)c + m->off) + (n - m->first);
}

/* Fixed-range MTRR numbers to the array's index: 250, 258-259, 268-26F. */
static unsigned fixed_index(uint32_t n)
{
    return n == 0x250 ? 0 : n < 0x260 ? 1 + (n - 0x258) : 3 + (n - 0x268);
}

/* Bits of SPEC_CTRL there are; 0: no such register. */
static uint64_t spec_ctrl_bits(const struct cpu *c)
{
    return (has(c, FEAT_SPEC_CTRL) ? 1 : 0) | (has(c, FEAT_STIBP) ? 2 : 0) | (has(c, FEAT_SSBD) ? 4 : 0);
}

/* Memory types: UC WC WT WP WB (and UC- in the PAT). */
static bool memory_type_ok(uint64_t t, bool pat)
{
    return t == 0 || t == 1 || t == 4 || t == 5 || t == 6 || (pat && t == 7);
}

static bool types_ok(uint64_t v, bool pat)
{
    for (unsigned i = 0; i < 8; i++) {
        if (!memory_type_ok(v >> (8 * i) & 0xff, pat))
            return false;
    }
    return true;
}

static uint64_t tsc(struct cpu *c)
{
    return clock_tsc(c->m->clock) + (uint64_t)c->tsc_offset;
}

/* True: #GP. */
static bool msr_read(struct cpu *c, uint32_t n, uint64_t *v)
{
    bool bad = false;

    switch (n) {
    case 0x10:
        *v = tsc(c);
        return false;
    case 0x34:
        *v = c->smi_count;
        return false;
    case 0x3b:
        *v = c->tsc_adjust;
        return false;
    case 0x4b564d00 ... 0x4b564d01:
        *v = c->pvclock[n & 1];
        return false;
    case 0x48:
        *v = c->spec_ctrl;
        return !spec_ctrl_bits(c);
    case 0x8b:
        *v = c->ucode_rev;
        return false;
    case 0x10a:
        *v = c->model ? c->model->arch_capabilities : 0;
        return false;
    case 0x1a0:
        *v = c->misc_enable;
        return false;
    case 0x250:
    case 0x258 ... 0x259:
    case 0x268 ... 0x26f:
        *v = c->mtrr_fixed[fixed_index(n)];
        return false;
    case 0x200 ... 0x20f:
        *v = c->mtrr_var[n - 0x200];
        return false;
    case 0x277:
        *v = c->pat;
        return false;
    case 0x400 ... 0x40f:
        *v = c->mc_bank[(n - 0x400) / 4][n % 4];
        return false;
    case 0xc0000080:
        *v = c->efer;
        return false;
    case 0x1b:
    case 0x6e0:
    case 0x800 ... 0x83f:
        machine_lock(c->m);
        bad = c->m->apic_rdmsr(c->m, c->index, n, v);
        machine_unlock(c->m);
        return bad;
    }
    return true;
}

uint64_t efer_valid(const struct cpu *c)
{
    return (has(c, FEAT_SYSCALL) ? EFER_SCE : 0) | (has(c, FEAT_LM) ? EFER_LME | EFER_LMA : 0) |
           (has(c, FEAT_NX) ? EFER_NXE : 0);
}

static bool write_efer(struct cpu *c, uint64_t v)
{
    uint64_t changed = v ^ c->efer;

    if ((v & ~efer_valid(c)) || ((changed & EFER_LME) && (c->cr0 & CR0_PG)))
        return true;
    c->efer = (v & ~(uint64_t)EFER_LMA) | (c->efer & EFER_LMA);
    if (changed & EFER_NXE)
        mmu_flush_all(c);
    return false;
}

/* True: #GP. */
static bool msr_write(struct cpu *c, uint32_t n, uint64_t v)
{
    bool bad = false;

    switch (n) {
    case 0x10: {
        int64_t offset = (int64_t)(v - clock_tsc(c->m->clock));

        c->tsc_adjust += (uint64_t)(offset - c->tsc_offset);
        c->tsc_offset = offset;
        pvclock_update(c);
        return false;
    }
    case 0x3b:
        c->tsc_offset += (int64_t)(v - c->tsc_adjust);
        c->tsc_adjust = v;
        pvclock_update(c);
        return false;
    case 0x48:
        if (!spec_ctrl_bits(c) || (v & ~spec_ctrl_bits(c)))
            return true;
        c->spec_ctrl = v;
        return false;
    case 0x49:          /* IBPB: nothing to do, but only bit 0 exists */
        return v & ~(uint64_t)1;
    case 0x4b564d00:
        c->pvclock[0] = v;
        pvclock_wall(c);
        return false;
    case 0x4b564d01:
        c->pvclock[1] = v;
        pvclock_update(c);
        return false;
    case 0x8b:          /* 0 is written before CPUID to ask for the revision */
        c->ucode_rev = v;
        return false;
    case 0x1a0:         /* of what there is only MONITOR can be switched */
        c->misc_enable = v & ~(uint64_t)(has(c, FEAT_MONITOR) ? 0 : MISC_MONITOR);
        return false;
    case 0x250:
    case 0x258 ... 0x259:
    case 0x268 ... 0x26f:
        if (!types_ok(v, false))
            return true;
        c->mtrr_fixed[fixed_index(n)] = v;
        return false;
    case 0x200 ... 0x20f:
        if (v >> MMU_PA_BITS || (n & 1 ? (v & 0x7ff) != 0 : (v & 0xf00) || !memory_type_ok(v & 0xff, false)))
            return true;
        c->mtrr_var[n - 0x200] = v;
        return false;
    case 0x277:
        if (!types_ok(v, true))
            return true;
        c->pat = v;
        return false;
    case 0x400 ... 0x40f:
        if (n % 4 && v && ~v)           /* STATUS, ADDR, MISC: all zeros or all ones */
            return true;
        c->mc_bank[(n - 0x400) / 4][n % 4] = n % 4 ? 0 : v;
        return false;
    case 0xc0000080:
        return write_efer(c, v);
    case 0x1b:
    case 0x6e0:
    case 0x800 ... 0x83f:
        machine_lock(c->m);
        bad = c->m->apic_wrmsr(c->m, c->index, n, v);
        if (!bad && n == 0x1b)
            bad = c->m->apic_rdmsr(c->m, c->index, n, &c->apic_base);
        machine_unlock(c->m);
        return bad;
    }
    return true;
}

bool help_rdmsr(struct cpu *c, uint64_t n64)
{
    uint32_t n = (uint32_t)n64;
    const struct msr *m = find(c, n);
    uint64_t v = 0;

    if (c->debug && debug_msr(c, n, false))
        return true;
    if (!m) {
        log_msg(LOG_UNIMP, "RDMSR %x: no such register", n);
        return fault_gp(c, 0);
    }
    switch (m->kind) {
    case MSR_FIELD:
    case MSR_ADDR:
        v = *field(c, m, n);
        break;
    case MSR_CONST:
    case MSR_IGNORE:
        v = m->value;
        break;
    case MSR_FN:
        if (msr_read(c, n, &v)) {
            log_msg(LOG_GUEST, "RDMSR %x (%s): not readable now", n, m->name);
            return fault_gp(c, 0);
        }
        break;
    }
    c->hret = v;
    return false;
}

bool help_wrmsr(struct cpu *c, uint64_t n64, uint64_t v)
{
    uint32_t n = (uint32_t)n64, mode = c->mode;
    const struct msr *m = find(c, n);
    bool bad = false;

    if (c->debug && debug_msr(c, n, true))
        return true;
    if (!m) {
        log_msg(LOG_UNIMP, "WRMSR %x = %llx: no such register", n, (unsigned long long)v);
        return fault_gp(c, 0);
    }
    switch (m->kind) {
    case MSR_ADDR:
        bad = !canonical(v);
        if (!bad)
            *field(c, m, n) = v;
        break;
    case MSR_FIELD:
        bad = v & ~m->writable;
        if (!bad)
            *field(c, m, n) = v;
        break;
    case MSR_CONST:
        bad = true;
        break;
    case MSR_IGNORE:
        if (v != m->value)
            log_msg(LOG_UNIMP, "WRMSR %x (%s) = %llx: has no effect", n, m->name, (unsigned long long)v);
        break;
    case MSR_FN:
        bad = msr_write(c, n, v);
        break;
    }
    if (bad) {
        log_msg(LOG_GUEST, "WRMSR %x (%s) = %llx: #GP", n, m->name, (unsigned long long)v);
        return fault_gp(c, 0);
    }
    if (n == 0xc0000080)
        cpu_update_mode(c);
    c->hret = c->mode != mode || c->attn != 0;
    return false;
}

bool help_rdtsc(struct cpu *c)
{
    if ((c->cr4 & CR4_TSD) && c->cpl)
        return fault_gp(c, 0);
    c->hret = tsc(c);
    return false;
}

/* No performance counters are advertised: every number is out of range. */
bool help_rdpmc(struct cpu *c, uint64_t n)
{
    return fault_gp(c, 0);
}

uint64_t help_rdrand(struct cpu *c)
{
    return clock_entropy(c->m->clock);
}
