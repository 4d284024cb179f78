/*
 * pci_int.h - what the files of the PCI bus share; devices see pci.h.
 */
#ifndef HW_PCI_INT_H
#define HW_PCI_INT_H

#include "hw/pci.h"

#define CFG_COMMAND 0x04
#define CFG_STATUS  0x06
#define CFG_BAR     0x10
#define CFG_ROM     0x30
#define CFG_CAP     0x34
#define CFG_PIN     0x3d

#define ROM_ON      1u

#define CMD_IO      1u
#define CMD_MEM     2u
#define CMD_MASTER  4u
#define CMD_NO_INTX (1u << 10)
#define STATUS_INTX (1u << 3)
#define STATUS_CAP  (1u << 4)

#define BARS 6
#define SLOTS 32
#define CONFIG 256              /* what mechanism 1 reaches */
#define CONFIG_EXT 4096         /* of PCI Express functions, by memory */
#define LINES  8                /* interrupt lines of a bus, at most */

struct bar {
    uint64_t size;              /* 0: none */
    unsigned flags;
    const struct io_ops *ops;   /* NULL: host memory */
    void *dev;
    void *host;
    struct map *map;            /* memory: made on first use, then moved */
    uint64_t at;
    bool on;
};

struct pci_dev {
    struct pci_bus *bus;
    char name[48];
    unsigned slot, fn;
    uint8_t config[CONFIG_EXT], writable[CONFIG_EXT], first[CONFIG_EXT];
    bool express;               /* has more than CONFIG bytes */
    uint8_t irq;                /* what the device drives */
    uint8_t intx;               /* what the bus sees: irq unless disabled */
    uint8_t line;               /* that it drives then */
    unsigned caps_end;
    struct bar bar[BARS], rom;
    struct pci_msi *msi;        /* pci_msi.c; NULL: neither MSI nor MSI-X */
    void (*written)(void *, unsigned, unsigned);
    void *written_dev;
    void (*reads)(void *, unsigned, unsigned);
    void *reads_dev;
};

struct pci_bus {
    struct chip_list *chips;
    struct ports *ports;
    struct phys *phys;
    const struct io_ops *cf9;
    void *cf9_dev;
    struct irq intx;
    struct pci_msi_to msi;
    uint32_t address;
    uint16_t asserted[LINES];   /* devices that drive each line */
    unsigned (*route)(void *, unsigned slot, unsigned pin);     /* NULL: (slot + pin) & 3 */
    void *route_arg;
    bool express;
    struct map *mmconfig;       /* pci_express.c */
    struct pci_dev *dev[SLOTS * 8];
};

/* The guest reads and writes a function's configuration space; size 1, 2 or 4. */
uint32_t pci_config_read(struct pci_dev *, unsigned off, unsigned size);
void pci_config_write(struct pci_dev *, unsigned off, unsigned size, uint32_t val);
/* pci_msi.c: the guest wrote to the configuration space. */
void pci_msi_written(struct pci_dev *, unsigned off, unsigned size);

#endif
