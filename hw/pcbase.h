/* pcbase.h - what every PC board has, and how a board wires it. */
#ifndef HW_PCBASE_H
#define HW_PCBASE_H

#include "hw/floppy.h"
#include "hw/ioapic.h"
#include "hw/plug.h"

#define PC_MAX_CPUS 255
#define PC_COM1     0x3f8

/* Who asserts an input of the I/O APIC: they are ORed as well. */
enum gsi_source { GSI_ISA, GSI_HPET, GSI_PCI, GSI_TEST };

/* A chip for the state of shared lines. m->board points to it. */
struct pcbase {
    struct pic *pic;
    struct ioapic *ioapic;
    struct apics *apics;
    struct ferr *ferr;
    struct rtc *rtc;
    struct irq reset;           /* set(true) resets the machine */
    uint16_t source[16];        /* per ISA line: who asserts it, one bit a source */
    uint8_t gsi[IOAPIC_PINS];   /* the same per input of the I/O APIC: enum gsi_source */
    struct floppy *floppy;      /* NULL: no drives */
    struct floppy_bus floppy_bus;
    char floppy_path[48];
    struct plug_env plugs;
    void *own;                  /* the board's */
};

/* Memory, ports, chip list, and what processors call. RAM lies below `hole` and from 4 GiB; the board maps what
 * is below. Dies if there are too many processors. */
struct pcbase *pcbase_new(struct machine *, uint64_t hole);
/* The chips: interrupt controllers first. */
void pcbase_chips(struct pcbase *, struct machine *);
/* What sits on a board's ISA bus besides: DMA controllers and, with drives, the floppy controller. `slot`:
 * the PCI slot of that bus's bridge. */
void pcbase_isa_chips(struct pcbase *, unsigned slot);
/* The devices that were asked for, when the board's own chips and buses are there. */
void pcbase_plugs(struct pcbase *);
void pcbase_free(struct machine *);

/* A source (0-15) of an ISA line: sources are ORed, so that chips may share one. */
#define ISA_LINE(irq, source) ((irq) | (source) << 8)
struct irq pcbase_isa(struct pcbase *, int irq, int source);
void pcbase_isa_set(void *pcbase, int line, bool level);
void pcbase_gsi_set(struct pcbase *, unsigned n, enum gsi_source, bool level);
/* off() of power management chips; arg is the machine. */
void pcbase_soft_off(void *machine);

#endif
