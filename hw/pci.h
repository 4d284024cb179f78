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

/* Pin p (0-3) of slot s is on line route(arg, s, p), 0-7, instead. When that changes: pci_rerouted(). */
void pci_bus_route(struct pci_bus *, unsigned (*route)(void *arg, unsigned slot, unsigned pin), void *arg);
void pci_rerouted(struct pci_bus *);

/* Where message-signalled interrupts go: writes of `data` to FEExxxxxh. */
struct pci_msi_to {
    void (*send)(void *to, uint64_t addr, uint32_t data);
    void *to;
};
void pci_bus_msi(struct pci_bus *, struct pci_msi_to);
/*
 * The other side of a bridge, a function with a type 1 header: devices are added to it as to any bus. express: a
 * link, or the inside of a switch; slots: how many there are.
 */
struct pci_bus *pci_bus_below(struct pci_dev *bridge, const char *name, bool express, unsigned slots);
bool pci_is_express(const struct pci_bus *);
/* There is no bridge before it. */
bool pci_is_root(const struct pci_bus *);
/* A function's registers that gate what is behind it have changed; nothing where it is no bridge. */
void pci_behind_changed(struct pci_dev *);
/* Resets all devices behind a bridge, as RST# does. */
void pci_behind_reset(struct pci_dev *bridge);
/* Do VGA's fixed addresses reach the device? fn(dev) is called when that may have changed. */
bool pci_vga_reached(const struct pci_dev *);
void pci_on_path(struct pci_dev *, void (*fn)(void *dev), void *dev);
/* The first slot without any function, -1: none. */
int pci_free_slot(const struct pci_bus *);
bool pci_no_slot(const struct pci_bus *, unsigned slot);
/* The function of that slot, NULL: there is none, or no such slot. */
struct pci_dev *pci_function(const struct pci_bus *, unsigned slot, unsigned fn);
/* A function is there, or there is no such slot. */
bool pci_taken(const struct pci_bus *, unsigned slot, unsigned fn);
/* Software shall look for more functions beside this one, if it is there. */
void pci_multifunction(struct pci_bus *, unsigned slot, unsigned fn);

struct pci_ident {
    uint16_t vendor, device, subvendor, subdevice;
    uint32_t class;             /* base class, sub-class, interface: 24 bits */
    uint8_t revision;
    uint8_t pin;                /* 0: no interrupt, 1-4: INTA-INTD */
};

/* `name`, of at most 47 characters, is unique. */
struct pci_dev *pci_add(struct pci_bus *, const char *name, unsigned slot, unsigned fn,
                        const struct pci_ident *);

#define PCI_BAR_IO       1u
#define PCI_BAR_64       4u     /* takes registers n and n + 1 */
#define PCI_BAR_PREFETCH 8u
/* `size` is a power of two, at least 16 (memory) or 4 (I/O, at most 256). The device appears where
 * the guest puts the BAR while its command register enables decoding. */
void pci_bar(struct pci_dev *, unsigned n, uint64_t size, unsigned flags, const struct io_ops *,
             void *dev);
/* The same with host memory, aligned to a page, that the guest reads and writes. */
void pci_bar_ram(struct pci_dev *, unsigned n, uint64_t size, unsigned flags, void *host);
/* An expansion ROM (6.2.5.2): a power of two, at least 4 KiB; `image` must stay, aligned to a page. Firmware runs
 * only what names its device (6.3.1.1), so that one image can serve several kinds of a card, vendor and device of
 * its first part are seen as the device's own. */
void pci_rom(struct pci_dev *, const void *image, uint32_t size);
unsigned pci_devfn(const struct pci_dev *);     /* slot << 3 | function */
#define PCI_PATH_MAX 256
/* How firmware names the function, `type` of it (Open Firmware's PCI bus binding 2.1, 2.2.1.3): bridges on the way first,
 * "/pci@i0cf8/pci-bridge@5/scsi@2,1". Longer ones than `len` allows are cut off. */
void pci_path(const struct pci_dev *, const char *type, char *buf, size_t len);
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
/* The same before each guest read: registers that are windows to others are brought up to date there. */
void pci_on_config_read(struct pci_dev *, void (*fn)(void *dev, unsigned off, unsigned size), void *dev);
/* ---- for monitors ---- */

struct pci_view {
    const char *name;
    unsigned bus, slot, fn;     /* bus: as the guest has numbered it */
    struct pci_ident id;        /* as it is in the configuration space now */
    uint8_t line;               /* software's note of its interrupt */
    uint16_t command;
    struct {
        uint64_t size, at;      /* size 0: none; at UINT64_MAX: not decoded */
        bool io, prefetch, wide, rom;
    } bar[7];                   /* the last one is the ROM's */
};
/* The n-th function of the bus, those behind bridges last. False: there are no more. */
bool pci_nth(const struct pci_bus *, unsigned n, struct pci_view *);

/* The device wants an interrupt, or no longer: its INTx pin, where the guest has not turned it off nor messages on. */
void pci_irq(struct pci_dev *, bool level);
/* May the device read and write memory (bus master enable)? */
bool pci_bus_master(const struct pci_dev *);

/* Where the guest has put regions and bridges' windows above 4 GiB: [*lo, *hi), whole GiB; *hi 0: nowhere. */
void pci_above_4g(const struct pci_bus *root, uint64_t *lo, uint64_t *hi);

/* ---- PCI Express (pci_express.c) ---- */

/* The bus is a root complex's: pci_express_init() has an effect. */
void pci_bus_express(struct pci_bus *);
/* Configuration spaces of `buses` buses are memory at `base`, 1 MiB each; base 0: nowhere. */
void pci_mmconfig(struct pci_bus *, uint64_t base, unsigned buses);
/* The function is an endpoint, where its bus is of that kind: a capability, and 4 KiB of registers. */
void pci_express_init(struct pci_dev *);
enum pci_port { PCI_ROOT_PORT = 4, PCI_SWITCH_UP, PCI_SWITCH_DOWN, PCI_TO_CONVENTIONAL };
/* The function is a bridge of that kind; ports that lead down have a slot of that number, 0: none. */
void pci_express_port(struct pci_dev *, enum pci_port, unsigned slot);

/* ---- message-signalled interrupts (pci_msi.c) ---- */

#define PCI_MSIX_MAX 128

/* MSI (6.8.1) with 1, 2, 4, ... 32 vectors, 64-bit addresses and masks. */
void pci_msi_init(struct pci_dev *, unsigned vectors);
/* MSI-X (6.8.2) with 1 to PCI_MSIX_MAX vectors, its tables in a memory BAR of their own. */
void pci_msix_init(struct pci_dev *, unsigned bar, unsigned vectors);
bool pci_msix_on(const struct pci_dev *);
bool pci_msi_on(const struct pci_dev *);        /* either: the pin must stay low */
/* Sends message `vector` (MSI: modulo what the guest allows), or remembers it while masked. False: neither is
   enabled, use pci_irq(). */
bool pci_msi_send(struct pci_dev *, unsigned vector);

/* ---- a device's accesses to memory: RAM only, while bus mastering is on (pci_dma.c) ---- */

/* False, with a log line: not all of it could be done; what was not read is FFh. */
bool pci_dma_read(struct pci_dev *, uint64_t pa, void *buf, uint64_t len);
bool pci_dma_write(struct pci_dev *, uint64_t pa, const void *buf, uint64_t len);
/*
 * Host memory of guest RAM, for who copies for himself, up to the end of what is contiguous: *run bytes, at most
 * len. NULL: no RAM. After writing there: pci_dma_written(). RAM never goes away.
 */
void *pci_dma_host(struct pci_dev *, uint64_t pa, uint64_t len, bool write, uint64_t *run);
void pci_dma_written(struct pci_dev *, uint64_t pa, uint64_t len);
/* The guest told the device that it does not need this memory: the host may have it until it is used again. */
void pci_dma_discard(struct pci_dev *, uint64_t pa, uint64_t len);

#endif
