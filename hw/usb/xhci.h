/*
 * xhci.h - what the files of the xHCI controller share.
 *
 * Nothing is polled: an endpoint is looked at when its doorbell rings and when its device says that it may
 * have more. A transfer that finds NAK stays where it is. Before anything is taken from a ring there must
 * be room for its events; what finds none waits until software has taken events. Rings may loop, so at most
 * XHCI_AT_ONCE of their entries are taken before others have their turn; a timer goes on. Interrupts are
 * not moderated (IMOD is remembered alone); event rings have one segment; there are no streams and no
 * isochronous transfers.
 */
#ifndef HW_USB_XHCI_H
#define HW_USB_XHCI_H

#include "hw/pci.h"
#include "hw/usb/usb.h"

#define XHCI_SLOTS 32u
#define XHCI_INTERRUPTERS 16u
#define XHCI_PORTS 15           /* of each kind */
#define XHCI_AT_ONCE 256
#define XHCI_PACKET_MAX 1024u
#define XHCI_EPS ((XHCI_SLOTS + 1) * 32)
#define XHCI_EP(slot, ep) ((slot) * 32 + (ep))

enum { XHCI_CMD_RUN = 1 };
enum { XHCI_STS_HALTED = 1, XHCI_STS_HSE = 4, XHCI_STS_EINT = 8, XHCI_STS_PCD = 0x10 };
enum xhci_code { XHCI_SUCCESS = 1, XHCI_BABBLE = 3, XHCI_TRANSACTION_ERROR = 4, XHCI_TRB_ERROR = 5,
                 XHCI_STALL = 6,
                 XHCI_NO_SLOTS = 9, XHCI_SLOT_NOT_ENABLED = 11, XHCI_EP_NOT_ENABLED = 12, XHCI_SHORT = 13,
                 XHCI_PARAMETER_ERROR = 17, XHCI_CONTEXT_ERROR = 19, XHCI_RING_STOPPED = 24, XHCI_STOP = 26 };
enum { XHCI_DISABLED, XHCI_RUNNING, XHCI_HALTED, XHCI_STOPPED, XHCI_ERROR };    /* endpoints */
/* slots; their contexts say 0 for the first two, and then from 1 on */
enum { XHCI_SLOT_DISABLED, XHCI_SLOT_ENABLED, XHCI_SLOT_DEFAULT, XHCI_SLOT_ADDRESSED, XHCI_SLOT_CONFIGURED };

struct xhci {
    struct pci_dev *pci;
    struct clock *clock;
    struct timer timer;
    struct usb_bus bus;
    struct usb_port port[XHCI_PORTS];   /* connectors */
    unsigned p2, p3;
    bool running;               /* xhci_run() is under way */
    /* what a reset clears */
    uint32_t cmd, sts, dnctrl, slots, port_due;
    uint64_t dcbaap, cmd_dequeue;
    uint8_t cmd_cycle, cmd_running;
    uint32_t portsc[2 * XHCI_PORTS], portpmsc[2 * XHCI_PORTS];
    uint32_t iman[XHCI_INTERRUPTERS], imod[XHCI_INTERRUPTERS], erstsz[XHCI_INTERRUPTERS];
    uint64_t erstba[XHCI_INTERRUPTERS], erdp[XHCI_INTERRUPTERS], er_base[XHCI_INTERRUPTERS];
    uint16_t er_size[XHCI_INTERRUPTERS], er_index[XHCI_INTERRUPTERS];
    uint8_t er_cycle[XHCI_INTERRUPTERS], er_new[XHCI_INTERRUPTERS];
    uint8_t slot_state[XHCI_SLOTS + 1], slot_port[XHCI_SLOTS + 1], slot_target[XHCI_SLOTS + 1];
    uint32_t slot_route[XHCI_SLOTS + 1], kicked[XHCI_SLOTS + 1];
    uint64_t slot_context[XHCI_SLOTS + 1];
    uint8_t ep_state[XHCI_EPS], ep_cycle[XHCI_EPS];
    uint16_t ep_packet[XHCI_EPS];
    uint64_t ep_dequeue[XHCI_EPS];      /* start of the transfer that is next or under way */
    uint32_t ep_pos[XHCI_EPS];          /* bytes of it that are done */
};
#define XHCI_STATE_FROM offsetof(struct xhci, cmd)
#define XHCI_STATE_TO sizeof(struct xhci)

/* An entry of a ring. */
struct xhci_trb {
    uint64_t at, param;
    uint32_t status, control;
    unsigned type;
};

static inline uint64_t xhci_le64(const uint8_t *p)
{
    return usb_le32(p) | (uint64_t)usb_le32(p + 4) << 32;
}

/* ---- xhci.c ---- */
unsigned xhci_event_room(struct xhci *, unsigned interrupter);
/* False, with a log line: there is no room. */
bool xhci_event(struct xhci *, unsigned interrupter, uint64_t param, uint32_t status, uint32_t control);

/* ---- xhci_cmd.c ---- */
/* Its state, and where its ring is, into the device context. */
void xhci_ep_state(struct xhci *, unsigned slot, unsigned ep, unsigned state);
/* NULL: it is not reached. */
struct usb_dev *xhci_device(struct xhci *, unsigned slot);
void xhci_run_commands(struct xhci *);

/* ---- xhci_xfer.c ---- */
/* The next entry that is not a link; false: software has not given it yet, or the ring has only links. */
bool xhci_next(struct xhci *, uint64_t *dequeue, uint8_t *cycle, struct xhci_trb *);
void xhci_kick(struct xhci *, unsigned slot, unsigned ep);
void xhci_ready(void *xhci, struct usb_dev *, unsigned ep);     /* struct usb_bus */
void xhci_run(struct xhci *);           /* all that can go on */
void xhci_later(struct xhci *);         /* xhci_run() in a while */
void xhci_stop(struct xhci *, unsigned slot, unsigned ep);

#endif
