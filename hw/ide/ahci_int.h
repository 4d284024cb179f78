/*
 * ahci_int.h - what the files of the AHCI controller share: its ports and their registers (Serial ATA AHCI 1.3.1,
 * chapters 3 and 4; data sheet 316972 of the ICH9, chapter 14).
 */
#ifndef HW_IDE_AHCI_INT_H
#define HW_IDE_AHCI_INT_H

#include "hw/ide/ahci.h"

#define AHCI_SLOTS 32u
#define AHCI_PIECES 256u        /* of one queue_map(), at most */
#define AHCI_SINK  4096u

enum { TFD_ERR = 0x01, TFD_DRQ = 0x08, TFD_BSY = 0x80 };

/* PxIS and PxIE. */
enum {
    IS_DHR = 1u << 0, IS_PS = 1u << 1, IS_DS = 1u << 2, IS_SDB = 1u << 3, IS_UF = 1u << 4, IS_DP = 1u << 5,
    IS_PC = 1u << 6, IS_PRC = 1u << 22, IS_OF = 1u << 24, IS_IF = 1u << 27, IS_HBF = 1u << 29, IS_TFE = 1u << 30
};
/* PxCMD. */
enum {
    CMD_ST = 1u << 0, CMD_SUD = 1u << 1, CMD_POD = 1u << 2, CMD_CLO = 1u << 3, CMD_FRE = 1u << 4, CMD_CCS = 0x1f00,
    CMD_FR = 1u << 14, CMD_CR = 1u << 15, CMD_ATAPI = 1u << 24, CMD_DLAE = 1u << 25
};

/* Where in a table of physical regions a command is. */
struct ahci_place {
    uint32_t entry, off;        /* off: in that entry */
    uint64_t pos;               /* bytes before that */
};

struct ahci_piece {
    uint64_t pa;
    uint32_t len;
};

/* A command of a slot, as its header was when it was taken. */
struct ahci_slot {
    uint64_t table;
    uint16_t entries;
    uint8_t write;              /* of the header */
    uint8_t tells;              /* a region asks for an interrupt */
    struct ahci_place at;
};

/* What the device may be writing to; the guest may change its table meanwhile. */
struct ahci_given {
    unsigned n;
    struct ahci_piece at[AHCI_PIECES];
};

struct ahci_port {
    struct ahci *s;
    unsigned n;
    struct ide_bus bus;
    char bus_name[64];
    /* registers */
    uint64_t clb, fb;
    uint32_t is, ie, cmd, tfd, sig, ssts, sctl, serr, sact, ci;
    /* the command that is not queued: its slot, AHCI_SLOTS: none */
    uint32_t current;
    uint32_t next;              /* slot to be looked at first */
    uint32_t moved;             /* bytes of the current one */
    uint8_t halted;             /* by an error, until ST is cleared */
    uint8_t up;                 /* the link is */
    uint8_t greeting;           /* the first FIS after a reset waits for FRE */
    uint8_t pio_in;             /* what the current one moved last came with a PIO setup FIS to the host */
    uint8_t starved;            /* it waits for memory that its table has not */
    uint8_t working;            /* ahci_port_go() is at it */
    struct ahci_slot slot[AHCI_SLOTS];
    struct ahci_given given;    /* of the current one */
    struct ahci_given *queue[AHCI_SLOTS];       /* of queued ones; made on first use */
    uint8_t sink[AHCI_SINK];    /* what is more than the command has memory for */
};

struct ahci {
    struct pci_dev *pci;
    uint32_t cap, ghc, is;
    uint32_t index;             /* of the index and data pair of ports */
    uint8_t level;              /* of INTx */
    uint32_t told;              /* ports that a message was sent for */
    struct ahci_port port[AHCI_PORTS];
};

static inline uint32_t ahci_get32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline void ahci_put32(uint8_t *p, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        p[i] = v >> 8 * i;
}

/* ---- ahci.c ---- */
/* Bits of PxIS come. */
void ahci_port_event(struct ahci_port *, uint32_t is);

/* ---- ahci_cmd.c ---- */
/* Commands are begun, and those under way go on, as far as can be now. */
void ahci_port_go(struct ahci_port *);
/* ST was cleared, or the port is reset: nothing is under way any more. */
void ahci_port_stop(struct ahci_port *);
/* The link has come up: the device tells its signature. */
void ahci_port_greet(struct ahci_port *);
/* FRE was set. */
void ahci_port_receives(struct ahci_port *);
/* The port's side of a device. */
void ahci_port_host(struct ahci_port *, struct ata_host *);

#endif
