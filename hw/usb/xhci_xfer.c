/*
 * xhci_xfer.c - transfers of the xHCI controller: rings, transfer descriptors, packets (xHCI 1.1, 4.9 to
 * 4.11).
 *
 * A transfer is a chain of entries, which are read anew each time it goes on: what is done of it is a
 * number of bytes.
 */
#include "hw/usb/xhci.h"

#include <string.h>

#include "base/log.h"

#define LINKS_MAX 16            /* links that follow each other */
#define TRBS_MAX 256            /* entries of one transfer */
#define LATER_NS 1000000u
#define EVENT_TRANSFER 32u

enum { T_NORMAL = 1, T_SETUP, T_DATA, T_STATUS, T_ISOCH, T_LINK, T_EVENT_DATA, T_NOOP };
#define TRB_CYCLE 1u
#define TRB_TOGGLE 2u           /* of a link */
#define TRB_SHORT 4u
#define TRB_CHAIN 0x10u
#define TRB_IOC 0x20u
#define TRB_IMMEDIATE 0x40u
#define TRB_IN 0x10000u

struct transfer {
    struct xhci_trb trb[TRBS_MAX];
    unsigned n;
    uint64_t next;              /* where the ring goes on behind it */
    uint8_t cycle;
    uint32_t len;               /* bytes of all its entries */
};

void xhci_later(struct xhci *x)
{
    timer_set(&x->timer, clock_now(x->clock) + LATER_NS);
}

bool xhci_next(struct xhci *x, uint64_t *dequeue, uint8_t *cycle, struct xhci_trb *t)
{
    for (unsigned links = 0; links < LINKS_MAX; links++) {
        uint8_t b[16];

        if (!pci_dma_read(x->pci, *dequeue, b, 16)) {
            x->sts |= XHCI_STS_HSE;
            return false;
        }
        *t = (struct xhci_trb){ *dequeue, xhci_le64(b), usb_le32(b + 8), usb_le32(b + 12), b[13] >> 2 };
        if ((t->control & TRB_CYCLE) != *cycle)
            return false;
        if (t->type != T_LINK) {
            *dequeue += 16;
            return true;
        }
        *dequeue = t->param & ~0xfull;
        if (t->control & TRB_TOGGLE)
            *cycle ^= 1;
    }
    log_msg(LOG_GUEST, "xhci: a ring of links at %#llx", (unsigned long long)*dequeue);
    return false;
}

static bool has_data(const struct xhci_trb *t)
{
    return t->type == T_NORMAL || t->type == T_DATA || t->type == T_SETUP;
}

static uint32_t trb_len(const struct xhci_trb *t)
{
    return has_data(t) ? t->status & 0x1ffff : 0;
}

/* The transfer at the start of the ring; false: it is not all there yet. */
static bool parse(struct xhci *x, unsigned i, struct transfer *td)
{
    td->next = x->ep_dequeue[i];
    td->cycle = x->ep_cycle[i];
    td->len = 0;
    for (td->n = 0; td->n < TRBS_MAX;) {
        struct xhci_trb *t = &td->trb[td->n];

        if (!xhci_next(x, &td->next, &td->cycle, t))
            return false;
        td->len += trb_len(t);
        td->n++;
        if (!(t->control & TRB_CHAIN))
            return true;
    }
    log_msg(LOG_GUEST, "xhci: a transfer of more than %u entries", TRBS_MAX);
    return true;                /* cut: what follows fails or is a transfer of its own */
}

/* Bytes [pos, pos + len) of the transfer's data. */
static bool copy(struct xhci *x, const struct transfer *td, uint32_t pos, uint8_t *buf, unsigned len,
                 bool to_guest)
{
    for (unsigned k = 0; k < td->n && len; k++) {
        const struct xhci_trb *t = &td->trb[k];
        uint32_t size = trb_len(t), n;

        if (pos >= size) {
            pos -= size;
            continue;
        }
        n = size - pos < len ? size - pos : len;
        if (t->control & TRB_IMMEDIATE) {
            for (unsigned j = 0; j < n && !to_guest; j++)
                buf[j] = pos + j < 8 ? t->param >> 8 * (pos + j) : 0;
        } else if (!(to_guest ? pci_dma_write(x->pci, t->param + pos, buf, n) : pci_dma_read(x->pci,
            t->param + pos, buf, n))) {
            return false;
        }
        buf += n;
        len -= n;
        pos = 0;
    }
    return true;
}

static void report(struct xhci *x, unsigned slot, unsigned ep, const struct xhci_trb *t, unsigned code,
                   uint32_t residual)
{
    unsigned to = t->status >> 22 < XHCI_INTERRUPTERS ? t->status >> 22 : 0;
    bool data = t->type == T_EVENT_DATA;

    xhci_event(x, to, data ? t->param : t->at, code << 24 | (residual & 0xffffff),
               EVENT_TRANSFER << 10 | ep << 16 | slot << 24 | (data ? 4 : 0));
}

/* The events of a transfer of which `done` bytes were moved, and that ended with `code`. */
static void finish(struct xhci *x, unsigned slot, unsigned ep, const struct transfer *td, uint32_t done,
                   unsigned code)
{
    uint32_t sum = 0;           /* bytes since the last event data entry */
    bool over = false;

    for (unsigned k = 0; k < td->n; k++) {
        const struct xhci_trb *t = &td->trb[k];
        uint32_t size = trb_len(t), moved = done < size ? done : size;
        bool last = k + 1 == td->n;

        sum += over ? 0 : moved;
        done -= moved;
        if (t->type == T_EVENT_DATA) {
            if (t->control & TRB_IOC)
                report(x, slot, ep, t, code, sum);
            sum = 0;
            continue;
        }
        if (over)
            continue;
        /* The entry in which it ended: the one with what was not moved, or the last. */
        over = code != XHCI_SUCCESS && (moved < size || last);
        if (over ? code != XHCI_SHORT || t->control & (TRB_SHORT | TRB_IOC) : (t->control & TRB_IOC) != 0)
            report(x, slot, ep, t, over ? code : XHCI_SUCCESS, size - moved);
    }
}

static unsigned code_of(int answer)
{
    return answer == USB_STALL ? XHCI_STALL : answer == USB_BABBLE ? XHCI_BABBLE : XHCI_TRANSACTION_ERROR;
}

/* Packets until the transfer ends (an enum xhci_code), or 0: NAK. */
static unsigned packets(struct xhci *x, struct usb_dev *d, unsigned i, unsigned number, bool in, bool setup,
                        const struct transfer *td)
{
    uint8_t buf[XHCI_PACKET_MAX];
    unsigned max = x->ep_packet[i];

    do {
        unsigned len = td->len - x->ep_pos[i] < max ? td->len - x->ep_pos[i] : max;
        int n;

        if (!in && !copy(x, td, x->ep_pos[i], buf, len, false))
            return XHCI_TRB_ERROR;
        n = usb_packet(d, setup ? USB_SETUP : in ? USB_IN : USB_OUT, number, buf, len);
        if (n == USB_NAK)
            return 0;
        if (n < 0)
            return code_of(n);
        if (in && !copy(x, td, x->ep_pos[i], buf, n, true))
            return XHCI_TRB_ERROR;
        x->ep_pos[i] += n;
        if ((unsigned)n < max && x->ep_pos[i] < td->len)
            return XHCI_SHORT;
    } while (x->ep_pos[i] < td->len);
    return XHCI_SUCCESS;
}

static unsigned carry_out(struct xhci *x, unsigned slot, unsigned ep, const struct transfer *td)
{
    const struct xhci_trb *t = &td->trb[0];
    struct usb_dev *d = xhci_device(x, slot);
    bool in = ep == 1 ? t->control & TRB_IN : ep & 1;

    if (t->type == T_NOOP || t->type == T_EVENT_DATA)
        return XHCI_SUCCESS;
    if (t->type == T_ISOCH) {
        log_msg(LOG_UNIMP, "xhci: isochronous transfers");
        return XHCI_TRB_ERROR;
    }
    if (!(ep == 1 ? t->type >= T_SETUP && t->type <= T_STATUS : t->type == T_NORMAL))
        return XHCI_TRB_ERROR;
    if (!d)
        return XHCI_TRANSACTION_ERROR;
    if (t->type == T_SETUP && (td->len != 8 || !(t->control & TRB_IMMEDIATE)))
        return XHCI_TRB_ERROR;
    return packets(x, d, XHCI_EP(slot, ep), ep / 2, t->type != T_SETUP && in, t->type == T_SETUP, td);
}

static void run_ep(struct xhci *x, unsigned slot, unsigned ep)
{
    unsigned i = XHCI_EP(slot, ep);
    struct transfer td;

    for (unsigned n = 0; x->ep_state[i] == XHCI_RUNNING && parse(x, i, &td); n++) {
        unsigned code, room = UINT32_MAX;

        for (unsigned k = 0; k < td.n; k++) {
            unsigned to = td.trb[k].status >> 22, here = xhci_event_room(x, to < XHCI_INTERRUPTERS ? to : 0);

            room = here < room ? here : room;
        }
        if (n == XHCI_AT_ONCE || room < td.n + 1) {
            x->kicked[slot] |= 1u << ep;
            if (n == XHCI_AT_ONCE)
                xhci_later(x);  /* otherwise: when software takes events */
            return;
        }
        code = carry_out(x, slot, ep, &td);
        if (!code)
            return;
        finish(x, slot, ep, &td, x->ep_pos[i], code);
        if (code != XHCI_SUCCESS && code != XHCI_SHORT) {
            xhci_ep_state(x, slot, ep, code == XHCI_TRB_ERROR ? XHCI_ERROR : XHCI_HALTED);
            return;
        }
        x->ep_dequeue[i] = td.next;
        x->ep_cycle[i] = td.cycle;
        x->ep_pos[i] = 0;
    }
}

void xhci_run(struct xhci *x)
{
    uint32_t due;

    if (x->running || !(x->cmd & XHCI_CMD_RUN))
        return;                 /* who is in it already sees what was added */
    x->running = true;
    xhci_run_commands(x);
    for (unsigned slot = 1; slot <= XHCI_SLOTS; slot++) {
        due = x->kicked[slot];
        x->kicked[slot] = 0;
        for (unsigned ep = 1; ep < 32 && due >> ep; ep++)
            if (due >> ep & 1)
                run_ep(x, slot, ep);
    }
    x->running = false;
}

void xhci_kick(struct xhci *x, unsigned slot, unsigned ep)
{
    unsigned i = XHCI_EP(slot, ep);

    if (ep < 1 || ep > 31 || (x->ep_state[i] != XHCI_RUNNING && x->ep_state[i] != XHCI_STOPPED))
        return;
    if (x->ep_state[i] == XHCI_STOPPED)
        xhci_ep_state(x, slot, ep, XHCI_RUNNING);
    x->kicked[slot] |= 1u << ep;
    if (x->running)
        xhci_later(x);          /* the slot may have had its turn */
    else
        xhci_run(x);
}

void xhci_ready(void *controller, struct usb_dev *d, unsigned ep)
{
    struct xhci *x = controller;
    unsigned id = 2 * (ep & 15) + (ep & USB_DIR_IN ? 1 : 0);

    for (unsigned slot = 1; slot <= XHCI_SLOTS; slot++)
        if (x->slot_state[slot] >= XHCI_SLOT_DEFAULT && x->ep_state[XHCI_EP(slot, id)] == XHCI_RUNNING &&
            xhci_device(x, slot) == d)
            xhci_kick(x, slot, id);
}

void xhci_stop(struct xhci *x, unsigned slot, unsigned ep)
{
    unsigned i = XHCI_EP(slot, ep);
    struct transfer td;

    x->kicked[slot] &= ~(1u << ep);
    if (parse(x, i, &td)) {     /* in which entry it stood */
        uint32_t pos = x->ep_pos[i], size = trb_len(&td.trb[0]);
        unsigned k = 0;

        while (k + 1 < td.n && pos >= size) {
            pos -= size;
            size = trb_len(&td.trb[++k]);
        }
        report(x, slot, ep, &td.trb[k], XHCI_STOP, size - pos);
    }
    xhci_ep_state(x, slot, ep, XHCI_STOPPED);
}
