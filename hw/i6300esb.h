/* i6300esb.h - the watchdog timer of the Intel 6300ESB, a PCI function. */
#ifndef HW_I6300ESB_H
#define HW_I6300ESB_H

#include "hw/pci.h"

struct i6300esb_lines {
    struct irq smi;
    void (*expired)(void *arg); /* WDT_TOUT# goes low */
    void *arg;
};
struct i6300esb;
struct i6300esb *i6300esb_new(struct chip_list *, const char *name, struct pci_bus *, unsigned slot,
                              unsigned fn,
                              struct clock *, const struct i6300esb_lines *);

#endif
