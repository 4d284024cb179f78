/*
 * lapic.h - the local APICs and the bus between them (SDM vol. 3, chapter 10).
 *
 * The timer's input clock is 1 GHz, so that one count is one virtual nanosecond;
 * CPUID leaf 15h names the same frequency as the crystal's.
 */
#ifndef HW_LAPIC_H
#define HW_LAPIC_H

#include "hw/machine.h"

#define LAPIC_BASE     0xfee00000u
#define APICS_MAX      288      /* processors; IDs above 254 need x2APIC mode */

/* Delivery modes, as in the ICR, LVT and I/O APIC entries. */
enum apic_mode { APIC_FIXED, APIC_LOWEST, APIC_SMI, APIC_RESERVED, APIC_NMI, APIC_INIT, APIC_SIPI,
                 APIC_EXTINT };

struct apic_msg {
    uint32_t dest;
    bool logical;
    bool level;                 /* trigger mode: level */
    bool x2;                    /* 32-bit destination (from an x2APIC-mode ICR) */
    enum apic_mode mode;
    uint8_t vector;
    unsigned ticks;             /* edges of a periodic source that this is, 0: not one (dev.h) */
};

struct apics;

/* All local APICs of a machine, and their MMIO window at LAPIC_BASE. `phys_bits` bounds
 * IA32_APIC_BASE. `m` is only handed to `lines`. */
struct apics *apics_new(struct chip_list *, struct phys *, struct clock *, struct machine *m,
                        const struct cpu_lines *lines, unsigned ncpu, unsigned phys_bits);
/* Send one interrupt message (I/O APIC, MSI). False: no APIC accepted it. */
bool apics_send(struct apics *, const struct apic_msg *);
/* Ticks owed with that vector are forgotten. */
void apics_forget(struct apics *, uint8_t vector);
/* MSI: a store of `data` to 0xfeexxxxx. */
void apics_msi(struct apics *, uint64_t addr, uint32_t data);
void apics_pci_msi(void *apics, uint64_t addr, uint32_t data);         /* the same, for pci.h */
/* Who wants to see EOIs of level-triggered vectors (I/O APICs; at most four). */
void apics_on_eoi(struct apics *, void (*fn)(void *, uint8_t vector), void *arg);
/* The 8259's INTR output: every LINT0 pin, `line` unused (struct irq). */
void apics_lint0(void *apics, int line, bool level);
/* Every LINT1 pin: the board's NMI. */
void apics_lint1(void *apics, int line, bool level);
/* What firmware leaves behind on the boot processor: enabled, LINT0 = ExtINT, LINT1 = NMI. */
void apics_virtual_wire(struct apics *);
/*
 * Interrupt acknowledge of one CPU.  Returns the vector, or -1 if the 8259 is to
 * be asked for it (ExtINT).
 */
int apics_ack(struct apics *, unsigned cpu);
/* INIT arrived at that CPU: everything but the ID and the base register is reset. */
void apics_init(struct apics *, unsigned cpu);

/* MSRs 1Bh, 6E0h, 800h-8FFh; true: #GP. */
bool apics_rdmsr(struct apics *, unsigned cpu, uint32_t msr, uint64_t *val);
bool apics_wrmsr(struct apics *, unsigned cpu, uint32_t msr, uint64_t val);
uint8_t apics_cr8_get(struct apics *, unsigned cpu);
void apics_cr8_set(struct apics *, unsigned cpu, uint8_t cr8);

#endif
