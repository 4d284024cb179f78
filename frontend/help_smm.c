/*
 * help_smm.c - system management mode: taking an SMI, the state save area, RSM.
 *
 * The save area's layout is that of the AMD64 manual (revision 64h in SMBASE + FEFCh), which
 * documents every field; firmware tells layouts apart by the revision.  Not offered, as the
 * revision says: restarting I/O instructions.
 *
 * Until RSM further SMIs, INIT and NMI wait; IRET lets NMIs in, as outside.
 * AMD64 manual vol. 2, 10.2 and 10.3; SDM vol. 3, chapter 31.
 */
#include <string.h>

#include "base/log.h"
#include "frontend/help.h"
#include "hw/machine.h"
#include "softmmu/softmmu.h"

#define SAVE_AREA   0xfe00u     /* from SMBASE; 512 bytes */
#define AT(off)     ((off) - SAVE_AREA)
#define ENTRY       0x8000u
#define REVISION    0x20064u    /* SMBASE can be relocated */
#define AUTO_HALT   0xfec9u
#define RFLAGS      0xff70u
#define NEW_SMBASE  0xff00u

/* Plain fields of struct cpu, saved and loaded the same way. */
static const struct { uint16_t at; uint8_t size; uint16_t field; } fields[] = {
#define F(at, size, field) { at, size, (uint16_t)offsetof(struct cpu, field) }
    F(0xfe64, 2, gdt.limit), F(0xfe68, 8, gdt.base), F(0xfe84, 2, idt.limit), F(0xfe88, 8, idt.base),
    F(0xfed0, 8, efer),  F(NEW_SMBASE, 4, smbase),
    F(0xff48, 8, cr4),   F(0xff50, 8, cr3),   F(0xff58, 8, cr0),   F(0xff60, 8, dr[7]), F(0xff68, 8, dr[6]),
    F(0xff78, 8, rip),
    F(0xff80, 8, r[15]), F(0xff88, 8, r[14]), F(0xff90, 8, r[13]), F(0xff98, 8, r[12]), F(0xffa0, 8, r[11]),
    F(0xffa8, 8, r[10]), F(0xffb0, 8, r[9]),  F(0xffb8, 8, r[8]),  F(0xffc0, 8, r[R_DI]), F(0xffc8, 8, r[R_SI]),
    F(0xffd0, 8, r[R_BP]), F(0xffd8, 8, r[R_SP]), F(0xffe0, 8, r[R_BX]), F(0xffe8, 8, r[R_DX]),
    F(0xfff0, 8, r[R_CX]), F(0xfff8, 8, r[R_AX]),
#undef F
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

/* Segment registers: selector, attributes, limit, base in 16 bytes. */
static const struct { uint16_t at; uint8_t seg; } segs[] = {
    { 0xfe00, SEG_ES }, { 0xfe10, SEG_CS }, { 0xfe20, SEG_SS }, { 0xfe30, SEG_DS }, { 0xfe40, SEG_FS },
    { 0xfe50, SEG_GS }, { 0xfe70, SEG_LDTR }, { 0xfe90, SEG_TR },
};
#define SEGS (sizeof(segs) / sizeof(segs[0]))

struct area { uint8_t b[512]; };

static void put(struct area *a, unsigned at, unsigned size, uint64_t v)
{
    for (unsigned n = 0; n < size; n++)
        a->b[AT(at) + n] = (uint8_t)(v >> (8 * n));
}

static uint64_t get(const struct area *a, unsigned at, unsigned size)
{
    uint64_t v = 0;

    for (unsigned n = 0; n < size; n++)
        v |= (uint64_t)a->b[AT(at) + n] << (8 * n);
    return v;
}

static void save(const struct cpu *c, struct area *a)
{
    for (unsigned n = 0; n < FIELDS; n++) {
        uint64_t v = 0;

        memcpy(&v, (const char *)c + fields[n].field, fields[n].size);
        put(a, fields[n].at, fields[n].size, v);
    }
    for (unsigned n = 0; n < SEGS; n++) {
        const struct seg *s = &c->seg[segs[n].seg];

        put(a, segs[n].at, 2, s->sel);
        put(a, segs[n].at + 2, 2, s->attr);
        put(a, segs[n].at + 4, 4, s->limit);
        put(a, segs[n].at + 8, 8, s->base);
    }
    put(a, RFLAGS, 8, cpu_eflags(c));
    put(a, 0xfefc, 4, REVISION);
    put(a, AUTO_HALT, 1, c->halted == HALT_HLT);
}

/* Tell the board, which decides what memory the processor sees in SMM. */
static void smi_act(struct cpu *c, bool on)
{
    c->smm = on;
    if (!c->m->smi_act)
        return;
    machine_lock(c->m);
    c->m->smi_act(c->m, c->index, on);
    machine_unlock(c->m);
}

/* After everything changed at once. */
static void all_changed(struct cpu *c)
{
    for (unsigned n = 0; n < SEG_COUNT; n++)
        seg_update(c, n);
    mmu_set_cr3(c, c->cr3, false);
    mmu_flush_all(c);
    mmu_watch_changed(c);
    cpu_update_mode(c);
}

void cpu_enter_smm(struct cpu *c)
{
    static const struct seg flat = { .limit = 0xffffffff, .attr = SEG_G | SEG_P | SEG_S | 3 };
    struct area a;

    if (log_on(LOG_INT))
        log_msg(LOG_INT, "SMI at %04x:%llx cpl %u", c->seg[SEG_CS].sel, (unsigned long long)c->rip, c->cpl);
    c->smi_count++;
    smi_act(c, true);
    phys_read(c->m->phys, mmu_smm_pa(c, c->smbase + SAVE_AREA), a.b, sizeof(a.b));
    save(c, &a);
    phys_write(c->m->phys, mmu_smm_pa(c, c->smbase + SAVE_AREA), a.b, sizeof(a.b));
    c->smm_nmi_blocked = c->nmi_blocked;
    c->nmi_blocked = 1;
    c->halted = 0;
    c->inhibit = 0;
    c->dbg_hits = 0;
    c->cr0 &= ~(uint64_t)(CR0_PE | CR0_EM | CR0_TS | CR0_PG);
    c->cr4 = 0;
    c->efer = 0;
    c->dr[7] = 0x400;
    c->cpl = 0;
    cpu_set_eflags(c, FL_1);
    for (unsigned n = 0; n < SEG_LDTR; n++)
        c->seg[n] = flat;
    c->seg[SEG_CS].sel = (uint16_t)(c->smbase >> 4);
    c->seg[SEG_CS].base = c->smbase;
    c->rip = ENTRY;
    all_changed(c);
}

/* What RSM shuts the processor down for. */
static const char *impossible(const struct cpu *c)
{
    if ((c->cr0 & CR0_PG) && !(c->cr0 & CR0_PE))
        return "CR0.PG without PE";
    if ((c->cr0 & CR0_NW) && !(c->cr0 & CR0_CD))
        return "CR0.NW without CD";
    if (c->cr0 >> 32)
        return "reserved bits of CR0";
    if (c->cr4 & ~cr4_valid(c))
        return "reserved bits of CR4";
    if ((c->efer & EFER_LMA) && (!(c->efer & EFER_LME) || !(c->cr0 & CR0_PG) || !(c->cr4 & CR4_PAE)))
        return "EFER.LMA without LME, paging and PAE";
    if (c->efer & ~efer_valid(c))
        return "reserved bits of EFER";
    return NULL;
}

static void restore(struct cpu *c, const struct area *a)
{
    for (unsigned n = 0; n < FIELDS; n++) {
        uint64_t v = get(a, fields[n].at, fields[n].size);

        memcpy((char *)c + fields[n].field, &v, fields[n].size);
    }
    for (unsigned n = 0; n < SEGS; n++) {
        struct seg *s = &c->seg[segs[n].seg];

        s->sel = (uint16_t)get(a, segs[n].at, 2);
        s->attr = (uint16_t)get(a, segs[n].at + 2, 2) & 0xf0ff;
        s->limit = (uint32_t)get(a, segs[n].at + 4, 4);
        s->base = get(a, segs[n].at + 8, 8);
    }
    cpu_set_eflags(c, ((uint32_t)get(a, RFLAGS, 8) & 0x3f7fd5) | FL_1);
    c->cr0 |= CR0_ET;
    c->dr[6] = (c->dr[6] & 0xe00f) | 0xffff0ff0;
    c->dr[7] = (c->dr[7] & 0xffff23ff) | 0x400;
    if (!(c->cr0 & CR0_PE))
        c->cpl = 0;
    else if (c->eflags & FL_VM)
        c->cpl = 3;
    else
        c->cpl = (c->seg[SEG_SS].attr & SEG_DPL) >> 5;
}

bool help_rsm(struct cpu *c)
{
    struct area a;
    const char *why;

    if (!c->smm)
        return fault_ud(c);
    phys_read(c->m->phys, mmu_smm_pa(c, c->smbase + SAVE_AREA), a.b, sizeof(a.b));
    restore(c, &a);
    smi_act(c, false);
    why = impossible(c);
    if (!why && (c->cr0 & CR0_PG) && (c->cr4 & CR4_PAE) && !cpu_lma(c) && mmu_load_pdptes(c, c->cr3))
        why = "reserved bits of a PDPTE";
    if (why) {
        log_msg(LOG_GUEST, "RSM to an impossible state (%s): shutdown", why);
        machine_request_stop(c->m, STOP_TRIPLE, 0);
    }
    all_changed(c);
    c->nmi_blocked = c->smm_nmi_blocked;
    c->halted = get(&a, AUTO_HALT, 1) & 1 ? HALT_HLT : 0;
    /* What waited for this. */
    if (__atomic_load_n(&c->smi_pending, __ATOMIC_SEQ_CST))
        __atomic_fetch_or(&c->attn, ATTN_SMI, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&c->nmi_pending, __ATOMIC_SEQ_CST) && !c->nmi_blocked)
        __atomic_fetch_or(&c->attn, ATTN_NMI, __ATOMIC_SEQ_CST);
    if (c->init_waits)
        __atomic_fetch_or(&c->attn, ATTN_INIT | ATTN_EXIT, __ATOMIC_SEQ_CST);
    c->init_waits = 0;
    cpu_if_changed(c);
    return false;
}
