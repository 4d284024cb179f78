/*
 * lapic_int.h - the insides of the local APICs, shared by lapic.c (registers, timer, MSRs) and
 * lapic_deliver.c (priorities, acceptance, messages).
 */
#ifndef HW_LAPIC_INT_H
#define HW_LAPIC_INT_H

#include "hw/lapic.h"

enum { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

/* Register numbers: the MMIO offset / 16 and the x2APIC MSR - 800h. */
enum {
    REG_ID = 0x02, REG_VERSION = 0x03, REG_TPR = 0x08, REG_APR = 0x09, REG_PPR = 0x0a,
    REG_EOI = 0x0b, REG_LDR = 0x0d, REG_DFR = 0x0e, REG_SVR = 0x0f, REG_ISR = 0x10,
    REG_TMR = 0x18, REG_IRR = 0x20, REG_ESR = 0x28, REG_ICR = 0x30, REG_ICR_HI = 0x31,
    REG_LVT = 0x32, REG_TIMER_INIT = 0x38, REG_TIMER_CUR = 0x39, REG_DIVIDE = 0x3e,
    REG_SELF_IPI = 0x3f
};

#define BASE_BSP   (1u << 8)
#define BASE_EXTD  (1u << 10)
#define BASE_EN    (1u << 11)

#define SVR_ENABLE      (1u << 8)
#define SVR_NO_EOI_CAST (1u << 12)      /* suppress EOI broadcasts */

#define LVT_MASKED  (1u << 16)
#define LVT_LEVEL   (1u << 15)
#define LVT_RIRR    (1u << 14)
#define LVT_PERIODIC 1u                 /* timer mode, bits 18:17 */
#define LVT_DEADLINE 2u

#define ESR_SEND_ILLEGAL (1u << 5)
#define ESR_RECV_ILLEGAL (1u << 6)
#define ESR_ILLEGAL_REG  (1u << 7)

#define ICR_LOGICAL (1u << 11)
#define ICR_ASSERT  (1u << 14)
#define ICR_LEVEL   (1u << 15)

/* 6 LVT entries, integrated APIC, EOI-broadcast suppression. */
#define VERSION (0x14u | (LVT_COUNT - 1) << 16 | 1u << 24)

/* A periodic timer shorter than this would let a guest spend the host on its event loop. */
#define MIN_PERIOD_NS 10000u

struct lapic {
    struct apics *bus;
    uint32_t index;
    uint64_t base;              /* IA32_APIC_BASE */
    uint32_t tpr, ldr, dfr, svr, esr, esr_next;
    uint32_t icr, icr_dest;
    uint32_t isr[8], tmr[8], irr[8];
    uint8_t owed[256];          /* a vector's ticks beside the one in irr (dev.h) */
    uint32_t lvt[LVT_COUNT];
    uint32_t divide, initial;
    uint64_t start;             /* virtual ns at which the running count was loaded */
    uint64_t due;               /* virtual ns of the next expiry, UINT64_MAX: none */
    uint64_t deadline;          /* IA32_TSC_DEADLINE, 0: not armed */
    uint8_t lint[2];            /* pin levels */
    uint8_t extint_msg;         /* an ExtINT message waits (from an I/O APIC) */
    uint8_t intr_out;
    struct timer timer;
};
#define MAX_EOI 4

struct apics {
    struct machine *m;
    const struct cpu_lines *lines;
    struct clock *clock;
    struct map *window;
    struct lapic *apic[APICS_MAX];
    char name[APICS_MAX][12];   /* instance names */
    unsigned n;
    unsigned phys_bits;
    uint32_t turn;              /* round robin among equals in lowest-priority arbitration */
    struct { void (*fn)(void *, uint8_t); void *arg; } eoi[MAX_EOI];
    unsigned n_eoi;
};

static inline bool lapic_enabled(const struct lapic *l)
{
    return l->base & BASE_EN;
}

static inline bool lapic_x2mode(const struct lapic *l)
{
    return (l->base & (BASE_EN | BASE_EXTD)) == (BASE_EN | BASE_EXTD);
}

/* Registers of 256 bits, one a vector. */
static inline bool vec_get(const uint32_t *v, unsigned n)
{
    return v[n >> 5] >> (n & 31) & 1;
}
static inline void vec_put(uint32_t *v, unsigned n, bool on)
{
    if (on)
        v[n >> 5] |= 1u << (n & 31);
    else
        v[n >> 5] &= ~(1u << (n & 31));
}

/* lapic_deliver.c */
uint32_t lapic_ppr(const struct lapic *);
void lapic_update(struct lapic *);              /* after anything that may change the line */
void lapic_error(struct lapic *, uint32_t esr_bits);
void lapic_accept(struct lapic *, enum apic_mode, uint8_t vector, bool level);
void lapic_lvt_fire(struct lapic *, unsigned lvt);      /* a local source fires */
void lapic_timer_ticks(struct lapic *, unsigned n);     /* the periodic timer's */
void lapic_pin(struct lapic *, unsigned lint, bool level);
void lapic_eoi(struct lapic *);
uint32_t lapic_x2_ldr(uint32_t id);
void lapic_icr_send(struct lapic *);

#endif
