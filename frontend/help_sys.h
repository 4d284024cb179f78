/*
 * help_sys.h - prototypes of the helpers in help_sys.def, and what the system
 * family's files share: segments, descriptors, delivery, task switches.
 *
 * A helper that returns bool returns "faulted" (c->fault is set, nothing of the
 * instruction has happened, except where its row says HF_RESTART).
 */
#ifndef FRONTEND_HELP_SYS_H
#define FRONTEND_HELP_SYS_H

#include "frontend/cpu.h"

/* ---- helpers (help_sys.def) ---- */
#define LOAD_SEG_FAR 0x10u      /* by LSS and its like: no interrupt shadow */
bool help_load_seg(struct cpu *c, uint64_t seg, uint64_t sel);
bool help_segcheck(struct cpu *c, uint64_t seg, uint64_t off, uint64_t size);
bool help_single_step(struct cpu *c, uint64_t rip);
bool help_insn_break(struct cpu *c, uint64_t rip);
bool help_debug_break(struct cpu *c, uint64_t rip);

bool help_far_jmp(struct cpu *c, uint64_t sel, uint64_t off, uint64_t next, uint64_t opsize);
bool help_far_call(struct cpu *c, uint64_t sel, uint64_t off, uint64_t next, uint64_t opsize);
bool help_far_ret(struct cpu *c, uint64_t release, uint64_t opsize);
enum { INT_KIND_N, INT_KIND_INT3, INT_KIND_INTO, INT_KIND_ICEBP };
bool help_int_n(struct cpu *c, uint64_t vector, uint64_t next, uint64_t kind);
bool help_into(struct cpu *c, uint64_t of, uint64_t next, uint64_t unused);
bool help_iret(struct cpu *c, uint64_t next, uint64_t opsize);
bool help_syscall(struct cpu *c, uint64_t next);
bool help_sysret(struct cpu *c, uint64_t opsize);
bool help_sysenter(struct cpu *c);
bool help_sysexit(struct cpu *c, uint64_t opsize);

bool help_cli(struct cpu *c);
bool help_sti(struct cpu *c);
bool help_pushf(struct cpu *c, uint64_t opsize);
bool help_popf(struct cpu *c, uint64_t image, uint64_t opsize);
void help_hlt(struct cpu *c);
bool help_monitor(struct cpu *c, uint64_t lin, uint64_t ecx);
bool help_mwait(struct cpu *c, uint64_t ecx);

/* INS/OUTS: element size in bits 3:0 and these. */
#define STR_REP    0x10u
#define STR_ADDR16 0x20u
#define STR_ADDR32 0x40u
bool help_in(struct cpu *c, uint64_t port, uint64_t size);
bool help_out(struct cpu *c, uint64_t port, uint64_t val, uint64_t size);
bool help_ins(struct cpu *c, uint64_t how, uint64_t unused);
bool help_outs(struct cpu *c, uint64_t how, uint64_t seg);

uint64_t help_get_cr8(struct cpu *c);
bool help_mov_to_cr(struct cpu *c, uint64_t n, uint64_t val);
bool help_mov_from_dr(struct cpu *c, uint64_t n);
bool help_mov_to_dr(struct cpu *c, uint64_t n, uint64_t val);
bool help_lmsw(struct cpu *c, uint64_t val);
void help_clts(struct cpu *c);
bool help_load_dt(struct cpu *c, uint64_t idt, uint64_t base, uint64_t limit);
bool help_store_dt(struct cpu *c, uint64_t idt, uint64_t lin, uint64_t opsize);
bool help_lldt(struct cpu *c, uint64_t sel);
bool help_ltr(struct cpu *c, uint64_t sel);
bool help_umip(struct cpu *c);
bool help_lar(struct cpu *c, uint64_t sel);
bool help_lsl(struct cpu *c, uint64_t sel);
bool help_verr(struct cpu *c, uint64_t sel, uint64_t write);
void help_invlpg(struct cpu *c, uint64_t lin);
bool help_invpcid(struct cpu *c, uint64_t type, uint64_t lo, uint64_t hi);
void help_set_ac(struct cpu *c, uint64_t on);
bool help_fsgs_check(struct cpu *c, uint64_t base);

bool help_rdmsr(struct cpu *c, uint64_t msr);
bool help_wrmsr(struct cpu *c, uint64_t msr, uint64_t val);
bool help_rdtsc(struct cpu *c);
bool help_rdpmc(struct cpu *c, uint64_t n);
void help_cpuid(struct cpu *c);
bool help_xgetbv(struct cpu *c, uint64_t n);
bool help_xsetbv(struct cpu *c, uint64_t n, uint64_t val);
uint64_t help_rdrand(struct cpu *c);

/* ---- segments (help_seg.c) ---- */

/* A descriptor as it lies in memory, with its table position. */
struct desc {
    uint32_t lo, hi;            /* the two doublewords */
    uint32_t hi2;               /* base 63:32 of 16-byte system descriptors */
    uint64_t lin;               /* where it came from */
    uint16_t sel;
};
static inline unsigned desc_type(const struct desc *d) { return d->hi >> 8 & 15; }
static inline bool desc_s(const struct desc *d) { return d->hi & 0x1000; }
static inline bool desc_p(const struct desc *d) { return d->hi & 0x8000; }
static inline unsigned desc_dpl(const struct desc *d) { return d->hi >> 13 & 3; }
static inline bool desc_code(const struct desc *d) { return (d->hi & 0x1800) == 0x1800; }
static inline bool desc_conforming(const struct desc *d) { return d->hi & 0x400; }
static inline uint32_t desc_base(const struct desc *d)
{
    return d->lo >> 16 | (d->hi & 0xff) << 16 | (d->hi & 0xff000000);
}
static inline uint32_t desc_limit(const struct desc *d)
{
    uint32_t l = (d->lo & 0xffff) | (d->hi & 0xf0000);
    return d->hi & 0x800000 ? l << 12 | 0xfff : l;
}
/* System descriptor types (SDM vol. 3, table 3-2). */
enum { DT_TSS16 = 1, DT_LDT = 2, DT_TSS16_BUSY = 3, DT_CALL16 = 4, DT_TASK = 5, DT_INT16 = 6, DT_TRAP16 = 7,
       DT_TSS32 = 9, DT_TSS32_BUSY = 11, DT_CALL32 = 12, DT_INT32 = 14, DT_TRAP32 = 15 };

/* MMU index for implicit supervisor accesses (descriptor tables, TSS, frames of a more privileged stack). */
static inline enum mmu_idx cpu_sys_idx(const struct cpu *c)
{
    return c->cr4 & CR4_SMAP ? MMU_KERNEL : MMU_KERNEL_NOSMAP;
}
/* MMU index of explicit accesses at privilege level cpl with the current CR4 and EFLAGS. */
static inline enum mmu_idx cpu_data_idx(const struct cpu *c, unsigned cpl)
{
    if (cpl == 3)
        return MMU_USER;
    return (c->cr4 & CR4_SMAP) && !(c->eflags & FL_AC) ? MMU_KERNEL : MMU_KERNEL_NOSMAP;
}
static inline bool cpu_lma(const struct cpu *c) { return c->efer & EFER_LMA; }
static inline bool cpu_pe(const struct cpu *c) { return c->cr0 & CR0_PE; }
static inline bool cpu_vm(const struct cpu *c) { return c->eflags & FL_VM; }
/* 64-bit code running now? */
static inline bool cpu_64(const struct cpu *c)
{
    return cpu_lma(c) && (c->seg[SEG_CS].attr & SEG_L);
}
/* The linear address of code at rip, as the processor is now. */
static inline uint64_t cpu_code_lin(const struct cpu *c, uint64_t rip)
{
    return cpu_64(c) ? rip : (uint32_t)(c->seg[SEG_CS].base + rip);
}
static inline bool canonical(uint64_t a)
{
    return (uint64_t)((int64_t)(a << 16) >> 16) == a;
}

/* Implicit supervisor reads and writes, any size 1..8; true: faulted. */
bool sys_read(struct cpu *c, uint64_t lin, unsigned size, uint64_t *v);
bool sys_write(struct cpu *c, uint64_t lin, unsigned size, uint64_t v);

void seg_update(struct cpu *c, unsigned seg);
/* Fill the hidden part from a descriptor (base, limit, attr) and update. */
void seg_set(struct cpu *c, unsigned seg, uint16_t sel, const struct desc *d);
/* As in real and virtual-8086 mode: base = sel * 16; in real mode limit and rights stay. */
void seg_set_real(struct cpu *c, unsigned seg, uint16_t sel);
void seg_set_null(struct cpu *c, unsigned seg, uint16_t sel);
/* Read a descriptor. 0 ok; 1 faulted (memory); 2 outside its table (nothing raised). */
enum { DESC_OK, DESC_FAULT, DESC_OUTSIDE };
int desc_fetch(struct cpu *c, uint16_t sel, struct desc *d);
/* The same, raising `vector`(sel | ext) when outside. True: faulted. */
bool desc_read(struct cpu *c, uint16_t sel, unsigned vector, unsigned ext, struct desc *d);
/* Set the accessed bit in memory if it is not. */
bool desc_mark_accessed(struct cpu *c, struct desc *d);
/* Load SS for privilege level cpl (stack switches): checks raise `vector`(sel | ext). */
bool seg_check_ss(struct cpu *c, uint16_t sel, unsigned cpl, unsigned vector, unsigned ext, struct desc *d);
/* Checks and loads one data segment register in protected mode (MOV, POP, task switch: vector). */
bool seg_load_prot(struct cpu *c, unsigned seg, uint16_t sel, unsigned vector, unsigned ext);
/* After a return to an outer level: segments the new level may not use become null. */
void seg_drop_privileged(struct cpu *c, unsigned cpl);
/* Set CS from a checked code descriptor, with CPL; updates the mode. */
void seg_set_cs(struct cpu *c, uint16_t sel, const struct desc *d, unsigned cpl);
/* Bits of the stack pointer in use. */
uint64_t cpu_sp_mask(const struct cpu *c);

/*
 * A stack being written or read by a far transfer.  Nothing of the CPU changes;
 * the caller commits the final sp.
 */
struct stack {
    struct seg seg;             /* hidden part of the stack segment used */
    uint64_t sp, mask;
    enum mmu_idx idx;
    bool lm;                    /* 64-bit addressing: no base, no limit */
    unsigned ss_code;           /* error code of a limit fault */
};
void stack_here(struct cpu *c, struct stack *s);        /* the current SS:rSP at the current CPL */
bool stack_push(struct cpu *c, struct stack *s, unsigned size, uint64_t v);
bool stack_pop(struct cpu *c, struct stack *s, unsigned size, uint64_t *v);
/* Stack pointer register value after the transfer: upper bits kept for 16-bit stacks. */
uint64_t stack_reg(const struct stack *s, uint64_t old);

/* Stack pointer of an inner level from the TSS (legacy: ss and sp). True: faulted. */
bool tss_stack(struct cpu *c, unsigned level, unsigned ext, uint16_t *ss, uint64_t *sp);
/* RSPn (4 + 8n) or ISTn (24h + 8(n - 1)) from the 64-bit TSS, by byte offset. */
bool tss64_stack(struct cpu *c, unsigned offset, unsigned ext, uint64_t *sp);

/* ---- task switches (help_task.c) ---- */
enum task_how { TASK_JMP, TASK_CALL, TASK_IRET, TASK_INT };
/*
 * Switch to the task whose TSS descriptor is d.  next: EIP to save in the
 * outgoing TSS.  For TASK_INT an error code is pushed on the new stack if
 * has_code.  A fault before the commit point leaves everything unchanged; one
 * behind it belongs to the new task (fault.trap with fault.rip set).
 */
bool task_switch(struct cpu *c, struct desc *d, enum task_how how, uint64_t next, unsigned ext, bool has_code,
                 uint32_t code);

/* ---- interrupts (deliver.c) ---- */
/* One attempt at delivering a vector; true: it faulted in turn. rip: value to push. */
bool deliver_vector(struct cpu *c, unsigned vector, bool soft, unsigned ext, bool has_code, uint32_t code,
                    uint64_t rip);

/* ---- control registers (help_cr.c) ---- */
bool cr_write(struct cpu *c, unsigned n, uint64_t val);
/* CR4 and EFER bits the model has; without a model all that are implemented. */
uint64_t cr4_valid(const struct cpu *c);
uint64_t efer_valid(const struct cpu *c);
/* help_pvclock.c: after a write to pvclock[1] or the TSC; after one to pvclock[0]. */
void pvclock_update(struct cpu *c);
void pvclock_wall(struct cpu *c);

/* ---- system management mode (help_smm.c) ---- */
/* Take an SMI: save the state, go on at SMBASE + 8000h. */
void cpu_enter_smm(struct cpu *c);
bool help_rsm(struct cpu *c);
/* Does DR7 arm data or I/O breakpoints? */
bool dr7_data_armed(const struct cpu *c);
/* Record an I/O breakpoint hit on [port, port+size). */
void dr_io_hit(struct cpu *c, uint16_t port, unsigned size);

#endif
