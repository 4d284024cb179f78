/*
 * cpu.h - the guest CPU's state: one struct per vCPU, read by everything that
 * executes guest code.
 *
 * Layout matters: on an x86-64 host the struct sits at the top of the JIT's own
 * stack and rsp points at its first byte while translated code runs, so what
 * lies in the first 128 bytes is reached with a one-byte displacement (the hot
 * block, checked by static asserts in cpu.c).
 *
 * While translated code runs, the general and vector registers live in host
 * registers ("fixed homes") and their slots here are stale; every call into C
 * that is declared (help.def) to read them finds them stored, and one declared
 * to write them has them loaded again afterwards.
 */
#ifndef FRONTEND_CPU_H
#define FRONTEND_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "softmmu/softmmu.h"

/* General registers in encoding order. */
enum { R_AX, R_CX, R_DX, R_BX, R_SP, R_BP, R_SI, R_DI,
       R_8, R_9, R_10, R_11, R_12, R_13, R_14, R_15 };

/* Segment registers in encoding order. */
enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEG_COUNT };

/* EFLAGS (SDM vol. 1, 3.4.3). */
#define FL_CF   0x00000001u
#define FL_1    0x00000002u
#define FL_PF   0x00000004u
#define FL_AF   0x00000010u
#define FL_ZF   0x00000040u
#define FL_SF   0x00000080u
#define FL_TF   0x00000100u
#define FL_IF   0x00000200u
#define FL_DF   0x00000400u
#define FL_OF   0x00000800u
#define FL_IOPL 0x00003000u
#define FL_NT   0x00004000u
#define FL_RF   0x00010000u
#define FL_VM   0x00020000u
#define FL_AC   0x00040000u
#define FL_VIF  0x00080000u
#define FL_VIP  0x00100000u
#define FL_ID   0x00200000u
#define FL_ARITH (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF)

#define CR0_PE (1u << 0)
#define CR0_MP (1u << 1)
#define CR0_EM (1u << 2)
#define CR0_TS (1u << 3)
#define CR0_ET (1u << 4)
#define CR0_NE (1u << 5)
#define CR0_WP (1u << 16)
#define CR0_AM (1u << 18)
#define CR0_NW (1u << 29)
#define CR0_CD (1u << 30)
#define CR0_PG (1u << 31)

#define CR4_VME        (1u << 0)
#define CR4_PVI        (1u << 1)
#define CR4_TSD        (1u << 2)
#define CR4_DE         (1u << 3)
#define CR4_PSE        (1u << 4)
#define CR4_PAE        (1u << 5)
#define CR4_MCE        (1u << 6)
#define CR4_PGE        (1u << 7)
#define CR4_PCE        (1u << 8)
#define CR4_OSFXSR     (1u << 9)
#define CR4_OSXMMEXCPT (1u << 10)
#define CR4_UMIP       (1u << 11)
#define CR4_FSGSBASE   (1u << 16)
#define CR4_PCIDE      (1u << 17)
#define CR4_OSXSAVE    (1u << 18)
#define CR4_SMEP       (1u << 20)
#define CR4_SMAP       (1u << 21)

#define MISC_FAST_STRINGS (1u << 0)
#define MISC_MONITOR      (1u << 18)

#define EFER_SCE  (1u << 0)
#define EFER_LME  (1u << 8)
#define EFER_LMA  (1u << 10)
#define EFER_NXE  (1u << 11)

/* Exception vectors (SDM vol. 3, table 6-1). */
enum { EXC_DE = 0, EXC_DB = 1, EXC_NMI = 2, EXC_BP = 3, EXC_OF = 4, EXC_BR = 5, EXC_UD = 6,
       EXC_NM = 7, EXC_DF = 8, EXC_TS = 10, EXC_NP = 11, EXC_SS = 12, EXC_GP = 13,
       EXC_PF = 14, EXC_MF = 16, EXC_AC = 17, EXC_MC = 18, EXC_XM = 19,
       FAULT_FREEZE = 0xff,     /* no exception: stop before this instruction until an interrupt comes */
       /* nor these: the debugger wants the instruction not to be executed yet, or alone (exec_debug.c) */
       FAULT_BREAK = 0xfe, FAULT_WATCH = 0xfd, FAULT_CATCH = 0xfc };

/*
 * A segment register with its hidden part.  `attr` holds descriptor bits 8..23
 * of the second doubleword, shifted right by 8 (type in 3:0, S bit 4, DPL 6:5,
 * P bit 7, AVL 12, L 13, D/B 14, G 15).
 *
 * The two fast limits make the common check one compare: an access is allowed
 * without further thought when the offset of its last byte (computed in 64 bits,
 * so that it cannot wrap) is < fast_r (reads) or < fast_w (writes).  Segments
 * that need more thought (expand-down, unusable, execute-only, read-only) have
 * them 0, so everything goes to the exact check (help_segcheck).  seg_update()
 * in help_seg.c computes them whenever a segment register changes.
 */
struct seg {
    uint64_t base;
    uint64_t fast_r;            /* limit + 1 if expand-up and readable, else 0 */
    uint64_t fast_w;            /* limit + 1 if expand-up and writable, else 0 */
    uint32_t limit;             /* in bytes, granularity applied */
    uint16_t sel;
    uint16_t attr;
};

#define SEG_S    0x0010u
#define SEG_DPL  0x0060u
#define SEG_P    0x0080u
#define SEG_L    0x2000u
#define SEG_DB   0x4000u
#define SEG_G    0x8000u

/*
 * The mode word: everything about the CPU's state that decoding and lifting
 * assume.  It is part of a block's key.  cpu_update_mode() is its only writer
 * and must be called by whatever changes an input of it.
 */
#define M_CODE16   0x00000000u
#define M_CODE32   0x00000001u
#define M_CODE64   0x00000002u
#define M_CODE     0x00000003u  /* default operand/address size of code */
#define M_CPL      0x0000000cu  /* CPL << 2 */
#define M_CPL_SHIFT 2
#define M_PE       0x00000010u  /* protected mode */
#define M_VM       0x00000020u  /* virtual-8086 */
#define M_LMA      0x00000040u  /* IA-32e mode (long or compatibility) */
#define M_SS32     0x00000080u  /* SS.B: 32-bit stack pointer (legacy modes) */
#define M_FLAT_CS  0x00000100u  /* CS base 0, limit 4 GiB (or 64-bit code) */
#define M_FLAT_DS  0x00000200u  /* DS, ES and SS base 0, 4 GiB, writable (or 64-bit) */
#define M_MMU      0x00000c00u  /* enum mmu_idx << 10 */
#define M_MMU_SHIFT 10
#define M_TF       0x00001000u  /* single-step: one instruction a block, then #DB */
#define M_AC       0x00002000u  /* alignment checks in force */
#define M_NM_X87   0x00004000u  /* x87 and MMX raise #NM (CR0.TS or EM) */
#define M_UD_SSE   0x00008000u  /* SSE raises #UD (CR0.EM or !CR4.OSFXSR) */
#define M_NM_SSE   0x00010000u  /* SSE raises #NM (CR0.TS) */
#define M_UNM_SSE  0x00020000u  /* some SSE exception is unmasked: checked forms */
#define M_UNM_X87  0x00040000u  /* some x87 exception is unmasked: checked forms */
#define M_BRK      0x00080000u  /* an instruction breakpoint is armed: check each */
#define M_ODD_SSE  0x00200000u  /* MXCSR rounds not to nearest, or has FTZ or DAZ; only where backend_sse_plain */
#define M_MP_WAIT  0x00100000u  /* WAIT raises #NM (CR0.MP and TS) */
/* Chosen by the run loop, never by cpu_update_mode(): */
#define M_BP       0x20000000u  /* the debugger has breakpoints in the linear page the block lies in */
#define M_NOSHARE  0x40000000u  /* no shared probes: each access handles everything */
#define M_ONE      0x80000000u  /* exactly one guest instruction */

/* What made execution leave translated code or a helper: see exec.h. */

/* A fault or trap on its way to delivery. */
struct fault {
    uint8_t vector;
    bool has_code;
    bool soft;                  /* INT n, INT3, INTO: rip is that of the next instruction */
    bool trap;                  /* rip already points behind the instruction (#DB traps) */
    uint32_t code;
    uint64_t cr2;               /* #PF: linear address; stored on delivery */
    uint64_t dr6;               /* #DB: bits to OR in on delivery */
    uint64_t rip;               /* with trap: the RIP to deliver with, whatever c->rip says */
};

union vreg {
    uint8_t b[16];
    uint16_t w[8];
    uint32_t d[4];
    uint64_t q[2];
    int8_t sb[16];
    int16_t sw[8];
    int32_t sd[4];
    int64_t sq[2];
    float f[4];
    double df[2];
} __attribute__((aligned(16)));

/* An 80-bit register as it lies in memory; 16 bytes as in the FXSAVE image.
 * MMX registers are the `sig` of the physical register (no TOP rotation). */
struct f80 {
    uint64_t sig;
    uint16_t se;                /* sign and exponent */
    uint16_t pad[3];
};

struct x87 {
    struct f80 r[8];            /* physical registers R0..R7 (not rotated by TOP) */
    uint16_t cw;
    uint16_t sw;                /* TOP in bits 13:11 */
    uint16_t tag;               /* 1 bit a physical register: 1 = valid (FXSAVE form) */
    uint16_t op;                /* last opcode, 11 bits */
    uint64_t ip, dp;            /* last instruction (without c->x87_off) and operand pointers */
    uint16_t cs, ds;
};

/* An x87 instruction under way, noted while exceptions are unmasked: what becomes op, dp and ds if it
 * raises one. */
struct x87_now {
    uint64_t dp;
    uint16_t ds;
    uint16_t op;                /* with X87_NOW_MEM: it has an operand in memory */
};
#define X87_NOW_MEM 0x8000u

/* Kinds of work that make a block's entry test leave translated code. */
#define ATTN_INTR   0x01u       /* maskable interrupt may be deliverable */
#define ATTN_NMI    0x02u
#define ATTN_EXIT   0x04u       /* machine stops, resets or pauses */
#define ATTN_SMI    0x08u
#define ATTN_WORK   0x10u       /* others want something of its tables (exec_work.c) */
#define ATTN_INIT   0x20u
#define ATTN_SIPI   0x40u
#define ATTN_STORE  0x80u       /* a store that MWAIT waits for was made */
#define ATTN_SAMPLE 0x100u      /* the profiler wants to know where it is (exec_tick.c) */
#define ATTN_IF     0x01000000u /* top byte: stored plainly by the vCPU's own STI (lift_sti): as ATTN_INTR */

enum { FLIP_ZEROS = 1, FLIP_ONES };

#define STEP_KNOWN 1u
#define STEP_TF    2u

/* What opened an interrupt shadow: STI; MOV SS and POP SS. */
enum { INHIBIT_STI = 1, INHIBIT_SS };

/* Why nothing is executed. */
enum { HALT_NONE, HALT_HLT,
       HALT_MWAIT,              /* woken by a store, too */
       HALT_FREEZE              /* in front of an x87 instruction, until an interrupt (FAULT_FREEZE) */ };

/* MONITOR and MWAIT (help_monitor.c). */
#define MONITOR_LINE 64
struct monitor {
    uint64_t pa;                /* of the line */
    uint8_t armed;              /* MONITOR was executed, MWAIT not yet */
    uint8_t any;                /* a masked interrupt ends the wait, too */
    uint8_t copy[MONITOR_LINE];
};

struct machine;
struct lapic;
struct exec;
struct cpu_debug;
struct cpu_model;

struct cpu {
    /* --- hot block: one-byte displacements --- */
    uint32_t attn;              /* ATTN_*: set atomically by any thread, see exec.c */
    uint32_t x87_off;           /* x87: low part of the last instruction's pointer, see x87_ip() */
    uint64_t flags;             /* arithmetic flags: FL_ARITH bits only whenever C code looks; while
                                   translated code runs other bits may hold rubbish, or all of it may
                                   be a recipe's name (translator/recipe.h) */
    uint64_t pc_page;           /* linear address of the page of the running block (flat CS) */
    uint64_t pagekey;           /* exec.c: id of (address space, code page) for guarded links, 32 bits;
                                   one 16-byte move sets pc_page and this */
    uint64_t arg[4];            /* backend: arguments of helpers and slow paths */
    struct tlb_fast tlb[MMU_IDX_COUNT][2];      /* [mmu_idx][0 read, 1 write] */
    struct tlb_page stack_page[MMU_IDX_COUNT];
    uint64_t rip;               /* RIP/EIP as the guest names it; exact outside translated code */
    /* --- */
    uint64_t r[16];             /* general registers */
    uint64_t jc_salt;           /* exec.c: salt of jump-cache tags for this mode and space */
    uint64_t hret;              /* value returned by a helper whose return value is a status */
    uint64_t keep[8];           /* parts of flags recipes that outlive a block (translator/recipe.h) */
    union vreg hv;              /* backend: vector value of a slow path */
    union vreg va[4];           /* backend: result and operands of an operation done in C */
    uint64_t spill[64];         /* backend: temporaries that found no register */
    uint64_t temp[8];           /* backend: its temporary registers, when a fault leaves translated code */
    union vreg vspill[24];
    union vreg vtemp[3];        /* backend: its temporary vector registers, while a thunk calls C */
    uint64_t link_ra;           /* backend: host address that left translated code */
    uint64_t host_sp;           /* backend: the host stack while translated code runs */
    uint32_t mode;              /* M_*, kept by cpu_update_mode() */
    uint32_t eflags;            /* all other flags, DF included; FL_ARITH bits are 0 here */
    uint32_t mxcsr;             /* as the guest sees it; sticky bits live in the host's while
                                   `mxcsr_live` (backend fp_sync() folds them in) */
    uint32_t host_mxcsr;        /* backend: the guest's control bits, all masked, flags clear */
    uint32_t tmp_mxcsr;         /* backend: scratch for STMXCSR */
    uint8_t x87_live;           /* the guest's x87/MMX state is in the host's FPU */
    uint8_t intr_pending;       /* level of the interrupt line into the CPU */
    uint8_t nmi_pending;
    uint8_t inhibit;            /* interrupt shadow until after the next instruction; INHIBIT_SS: debug
                                   exceptions wait, too */
    uint8_t halted;             /* HALT_*: waits for an interrupt */
    uint8_t cpl;
    union vreg x[16];           /* XMM registers */
    struct seg seg[SEG_COUNT];
    struct x87 fpu;
    struct x87_now x87_now;

    /* --- system state --- */
    struct { uint64_t base; uint16_t limit; } gdt, idt;
    uint64_t cr0, cr2, cr3, cr4, cr8, xcr0;
    uint64_t efer, star, lstar, cstar, sfmask, kernel_gs_base, tsc_aux, pat;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t apic_base;
    uint64_t spec_ctrl, misc_enable, ucode_rev, tsc_adjust, mtrr_def;
    uint64_t mtrr_fixed[11], mtrr_var[16];
    uint64_t mcg_status, mcg_ctl, mc_bank[4][4];
    uint64_t pvclock[2];        /* MSRs 4B564D00h and 4B564D01h (help_pvclock.c) */
    int64_t tsc_offset;         /* guest TSC = clock TSC + offset (WRMSR TSC, TSC_ADJUST) */
    uint64_t dr[8];             /* DR0-3, 6, 7 */
    uint64_t dbg_hits;          /* DR6 B0-B3 of data breakpoints hit by the running instruction:
                                   set by the MMU; #DB (trap) is due when it has completed */
    uint64_t pdpte[4];          /* PAE: loaded with CR3 */
    uint8_t step;               /* single step, left by POPF and IRET: STEP_KNOWN, STEP_TF: TF was set before */
    uint8_t nmi_blocked;
    uint8_t a20;                /* 1 = enabled */
    uint8_t ferr;               /* FERR#: an x87 error is pending and CR0.NE is 0 */
    uint8_t ignne;              /* IGNNE#: such errors are ignored; set by the board (atomic) */
    uint8_t smi_pending;        /* atomic, like nmi_pending */
    uint8_t smm;                /* in system management mode (help_smm.c) */
    uint8_t smm_nmi_blocked;    /* nmi_blocked as it was when SMM was entered */
    uint8_t init_waits;         /* INIT came in SMM and is taken behind RSM */
    uint8_t init_pending;       /* INIT waits (atomic) */
    uint16_t sipi_pending;      /* vector + 1 of a start-up IPI that waits, 0: none (atomic) */
    uint32_t smbase, smi_count;
    struct monitor monitor;
    uint8_t stopped;            /* waiting for INIT/SIPI */

    struct fault fault;         /* valid after a helper returned "faulted" */
    struct { uint8_t vector; uint32_t code; uint64_t rip, cr2; } chain[4];
    uint32_t flip_undef;        /* fuzzer: not 0: the interpreter inverts, at random from this seed, flags that
                                   the manual leaves undefined, to see whether anything depends on them;
                                   FLIP_*: makes them all the same */
    uint8_t chain_len;          /* the last exception and those nested in its delivery, for the fault story; 0: none yet */

    unsigned index;             /* vCPU number = initial APIC id */
    const struct cpu_model *model;
    struct machine *m;
    struct lapic *apic;
    struct exec *exec;          /* translator/exec.c: code cache, jump cache, statistics */
    struct cpu_debug *debug;    /* frontend/debug.h: NULL while no debugger is attached */
    struct journal *journal;    /* softmmu/journal.h: set while stores are noted (lock-step) */
    struct softmmu *mmu;        /* softmmu/: TLB banks, walk caches */
};

#define CPU_OFF(field) ((uint32_t)offsetof(struct cpu, field))
#define SLOT_R(n) (CPU_OFF(r) + 8u * (n))
#define SLOT_X(n) (CPU_OFF(x) + 16u * (n))
#define SLOT_FLAGS CPU_OFF(flags)

/* Recompute c->mode (and the fast limits are seg_update()'s business). Cheap. */
void cpu_update_mode(struct cpu *c);
/* Power-on/INIT state (SDM vol. 3, table 9-1). `init` keeps what INIT keeps. */
void cpu_reset(struct cpu *c, bool init);
/* EFLAGS with the arithmetic bits merged in. */
static inline uint32_t cpu_eflags(const struct cpu *c)
{
    return c->eflags | FL_1 | ((uint32_t)c->flags & FL_ARITH);
}
static inline void cpu_set_eflags(struct cpu *c, uint32_t v)
{
    c->flags = v & FL_ARITH;
    c->eflags = v & ~FL_ARITH;
}

/* IF may have become 1, or an interrupt shadow ended: have the next block entry look. */
static inline void cpu_if_changed(struct cpu *c)
{
    uint32_t attn = (c->intr_pending && (c->eflags & FL_IF) ? ATTN_INTR : 0) |
                    (c->nmi_pending && !c->nmi_blocked ? ATTN_NMI : 0) | (c->smi_pending && !c->smm ? ATTN_SMI : 0);
    if (attn)
        __atomic_fetch_or(&c->attn, attn, __ATOMIC_SEQ_CST);
}

/*
 * Raise a fault from a helper: record it and return true ("faulted"), so that
 * helpers read `return fault_gp(c, 0);`.  Guest faults are return values.
 */
bool fault_raise(struct cpu *c, unsigned vector);
bool fault_code(struct cpu *c, unsigned vector, uint32_t code);
static inline bool fault_gp(struct cpu *c, uint32_t code) { return fault_code(c, EXC_GP, code); }
static inline bool fault_ud(struct cpu *c) { return fault_raise(c, EXC_UD); }

#endif
