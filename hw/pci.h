/*
 * pci.h - a PCI bus behind configuration mechanism 1 (PCI Local Bus 3.0, 3.2.2.3.2), its devices'
 * configuration space, BARs and INTx lines.
 */
#ifndef HW_PCI_H
#define HW_PCI_H

#include "hw/dev.h"

struct pci_bus;
struct pci_dev;

/* Ports CF8h-CFFh. A byte access to CF9h goes to `cf9` (reset.h; may be NULL). intx.set(intx.to, n,
 * level) drives line n = 0-3 (intx.line is unused); pin p of slot s is on line (s + p - INTA) & 3. */
struct pci_bus *pci_bus_new(struct chip_list *, struct ports *, struct phys *, const struct io_ops *cf9,
                            void *cf9_dev, struct irq intx);

struct pci_ident {
    uint16_t vendor, device, subvendor, subdevice;
    uint32_t class;             /* base class, sub-class, interface: 24 bits */
    uint8_t revision;
    uint8_t pin;                /* 0: no interrupt, 1-4: INTA-INTD */
};

/* `name` is the chip instance's; it is kept. */
struct pci_dev *pci_add(struct pci_bus *, const char *name, unsigned slot, unsigned fn,
                        const struct pci_ident *);

#define PCI_BAR_IO       1u
#define PCI_BAR_64       4u     /* takes registers n and n + 1 */
#define PCI_BAR_PREFETCH 8u
/* `size` is a power of two, at least 16 (memory) or 4 (I/O, at most 256). The device appears where
 * the guest puts the BAR while its command register enables decoding. */
void pci_bar(struct pci_dev *, unsigned n, uint64_t size, unsigned flags, const struct io_ops *,
             void *dev);
/* Append a capability of `len` bytes, id and next pointer included; returns its offset. */
unsigned pci_add_cap(struct pci_dev *, uint8_t id, unsigned len);
/* The device's own registers: initial value and the bits the guest may write. */
void pci_config_init(struct pci_dev *, unsigned off, unsigned size, uint32_t val, uint32_t writable);
/* The device itself reads and changes them; the latter counts no guest write and reaches read-only bits. */
uint32_t pci_config(const struct pci_dev *, unsigned off, unsigned size);
void pci_config_set(struct pci_dev *, unsigned off, unsigned size, uint32_t val);
/* The guest may write other bits from now on (registers that lock); resets do not undo it. */
void pci_config_writable(struct pci_dev *, unsigned off, unsigned size, uint32_t bits);
/* fn(dev, off, size) is called after each guest write to the configuration space. */
void pci_on_config(struct pci_dev *, void (*fn)(void *dev, unsigned off, unsigned size), void *dev);
/* Drive the device's INTx pin. */
void pci_irq(struct pci_dev *, bool level);
/* May the device read and write memory (bus master enable)? */
bool pci_bus_master(struct pci_dev *);

#endif
