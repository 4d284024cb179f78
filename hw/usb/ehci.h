/*
 * ehci.h - what the files of the EHCI controller share.
 *
 * A microframe is 125 us of virtual time, and what is due is walked after its start, several of a frame at
 * once where they come late. The guest adds transfers by writing memory, so the controller must look: each
 * microframe while there is something to do, less and less often (QUIET_MAX) while there is nothing but NAK;
 * a device that has something and a register that is written bring it back. No queue head is kept between
 * two looks: its overlay in memory is all there is.
 */
#ifndef HW_USB_EHCI_H
#define HW_USB_EHCI_H

#include "hw/pci.h"
#include "hw/usb/usb.h"

#define EHCI_PORTS 6
#define EHCI_MICROFRAME_BYTES 7500      /* of bus time */

enum { EHCI_CMD_RS = 1, EHCI_CMD_PSE = 0x10, EHCI_CMD_ASE = 0x20 };
enum { EHCI_STS_INT = 1, EHCI_STS_ERR = 2, EHCI_STS_PORT = 4, EHCI_STS_ROLLOVER = 8, EHCI_STS_HSE = 0x10,
       EHCI_STS_ADVANCE = 0x20, EHCI_STS_HALTED = 0x1000, EHCI_STS_RECLAMATION = 0x2000 };

struct ehci {
    struct pci_dev *pci;
    struct clock *clock;
    struct timer timer;
    struct usb_bus bus;
    struct usb_port port[EHCI_PORTS];
    unsigned companions;        /* ports that have one, a bit each */
    bool wide;                  /* addresses of 64 bits */
    uint32_t cmd, sts, intr, segment, periodic, async, configured;
    uint32_t portsc[EHCI_PORTS];
    uint32_t pending;           /* of sts: wait for the end of the interrupt threshold */
    uint16_t frindex;
    uint16_t quiet;             /* microframes since something was done */
    uint64_t next;              /* start of microframe `frindex` */
    /* of the walk that is under way */
    int left;                   /* bytes of time */
    unsigned done;              /* transactions that were no NAK */
};

/* ---- ehci_sched.c: one walk; what is done is counted in `done`, what is to be told is in `pending` ---- */
void ehci_walk_async(struct ehci *);
/* Of frame number `frame`, the microframes in `mask`. */
void ehci_walk_periodic(struct ehci *, unsigned frame, unsigned mask);

#endif
