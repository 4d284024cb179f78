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
#define CFG_HEADER  0x0e
#define MULTIFUNCTION 0x80u

#define ROM_ON      1u
#define ROM_REVISION  0x12      /* of the code, in the data structure of an image (PCI 3.0, 6.3.1.2) */
#define ROM_CODE_TYPE 0x14      /* 0: for PC firmware */
#define ROM_DATA      0x18u     /* that structure's length; its offset stands there in the image */

#define CMD_IO      1u
#define CMD_MEM     2u
#define CMD_MASTER  4u
#define CMD_NO_INTX (1u << 10)
#define STATUS_INTX (1u << 3)
#define STATUS_CAP  (1u << 4)

/* From the PCI Express capability. */
#define EXPRESS_LNKCTL 0x10
#define EXPRESS_LNKSTA 0x12
#define EXPRESS_SLTSTA 0x1a
#define EXPRESS_LINK_OFF (1u << 4)
#define EXPRESS_LINK_UP  (1u << 13)
#define EXPRESS_PRESENT  (1u << 6)

#define BARS 6
#define SLOTS 32
#define CONFIG 256              /* what mechanism 1 reaches */
#define CONFIG_EXT 4096         /* of PCI Express functions, by memory */
#define LINES  8                /* interrupt lines of a bus, at most */
#define PINS   4                /* of a slot; where nobody routes them, the bus has no more lines */

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
    struct pci_dev *next;       /* of all behind the same host bridge */
    struct pci_bus *below;      /* a bridge's other side; NULL: no bridge */
    unsigned group;             /* its chips', chips_group() */
    uint8_t config[CONFIG_EXT], writable[CONFIG_EXT], first[CONFIG_EXT];
    bool express;               /* has more than CONFIG bytes */
    unsigned express_cap;       /* its capability's place, 0: none */
    uint8_t irq;                /* what the device drives */
    uint8_t intx;               /* what the bus sees: irq, unless disabled or told by messages */
    uint8_t line;               /* that it drives then */
    unsigned caps_end;
    struct bar bar[BARS], rom;
    void *own_rom;              /* a copy of the image with its own identification; NULL: none was needed */
    struct pci_msi *msi;        /* pci_msi.c; NULL: neither MSI nor MSI-X */
    void (*written)(void *, unsigned, unsigned);
    void *written_dev;
    void (*reads)(void *, unsigned, unsigned);
    void *reads_dev;
    void (*path)(void *);       /* pci_on_path() */
    void *path_dev;
};

struct pci_bus {
    struct chip_list *chips;
    struct ports *ports;
    struct phys *phys;
    const struct io_ops *cf9;
    void *cf9_dev;
    struct pci_bus *root;       /* itself, of the host bridge's bus: what is below is that one's alone */
    struct pci_dev *parent;     /* the bridge that leads to this bus; NULL: the host bridge */
    unsigned slots;             /* that there are, from 0 on */
    struct pci_dev *all;        /* on every bus, the last that was made first */
    struct irq intx;
    struct pci_msi_to msi;
    uint32_t address;
    uint16_t asserted[LINES];   /* devices that drive each line */
    unsigned (*route)(void *, unsigned slot, unsigned pin);     /* NULL: (slot + pin) & 3 */
    void *route_arg;
    bool express;               /* a link, or inside a root complex or switch */
    struct map *mmconfig;       /* pci_express.c */
    struct pci_dev *dev[SLOTS * 8];
};

/* The guest reads and writes a function's configuration space; size 1, 2 or 4. */
uint32_t pci_config_read(struct pci_dev *, unsigned off, unsigned size);
void pci_config_write(struct pci_dev *, unsigned off, unsigned size, uint32_t val);
/* pci.c: puts the regions of a function where its registers and the bridges before it say. */
void pci_update(struct pci_dev *);
void pci_dev_reset(struct pci_dev *);
struct pci_bus *pci_bus_make(struct chip_list *, const char *name);

/* ---- pci_tree.c: bridges between a device and the processors ---- */

/* The function at a place of bus `number`; NULL: none there. */
struct pci_dev *pci_lookup(struct pci_bus *root, unsigned number, unsigned devfn);
/* As the bridge before it says; 0: the root, or not numbered yet. */
unsigned pci_bus_number(const struct pci_bus *);
/* Do all bridges pass accesses to [at, at + size) on to the device? */
bool pci_reached(const struct pci_dev *, bool io, uint64_t at, uint64_t size);
/* Do all bridges pass the device's own accesses on? And those to [pa, pa + len) up to memory? */
bool pci_masters(const struct pci_dev *);
bool pci_to_memory(const struct pci_dev *, uint64_t pa, uint64_t len);
/* The line of the root bus that the device's pin is on. */
unsigned pci_line_of(const struct pci_dev *);
/* pci_bridge.c: something is at the other end of the port's link. */
void pci_port_present(struct pci_dev *bridge);
/* pci_msi.c: the guest wrote to the configuration space. */
void pci_msi_written(struct pci_dev *, unsigned off, unsigned size);

#endif
