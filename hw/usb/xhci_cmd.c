/*
 * xhci_cmd.c - commands of the xHCI controller: slots, device contexts, states of endpoints (xHCI 1.1, 4.5,
 * 4.6 and 6.2).
 */
#include "hw/usb/xhci.h"

#include <string.h>

#include "base/log.h"

enum { CMD_ENABLE_SLOT = 9, CMD_DISABLE_SLOT, CMD_ADDRESS, CMD_CONFIGURE, CMD_EVALUATE, CMD_RESET_EP,
       CMD_STOP_EP,
       CMD_SET_DEQUEUE, CMD_RESET_DEVICE, CMD_NOOP = 23 };
#define EVENT_COMMAND 33u
#define FLAG9 (1u << 9)         /* BSR of Address Device, DC of Configure Endpoint */

struct usb_dev *xhci_device(struct xhci *x, unsigned slot)
{
    unsigned connector = x->slot_port[slot] - 1u, ports = x->p2 + x->p3;
    uint32_t route = x->slot_route[slot];
    struct usb_port *p;

    if (connector >= ports)
        return NULL;
    connector = connector < x->p2 ? connector : connector - x->p2;
    p = &x->port[connector];
    for (; p && p->dev && p->enabled && route & 15; route >>= 4) {
        struct usb_port *down = x->bus.ports;

        while (down && !(down->of == p->dev && down->own.n + 1 == (route & 15)))
            down = down->next;
        p = down;
    }
    return p && p->enabled && p->dev && !p->dev->suspended ? p->dev : NULL;
}

static bool read_context(struct xhci *x, uint64_t base, unsigned index, uint8_t *b)
{
    return pci_dma_read(x->pci, base + 32 * index, b, 32);
}

/* Of the device context: 0 the slot's, from 1 on the endpoints'. */
static void write_context(struct xhci *x, unsigned slot, unsigned index, const uint8_t *b)
{
    pci_dma_write(x->pci, x->slot_context[slot] + 32 * index, b, 32);
}

void xhci_ep_state(struct xhci *x, unsigned slot, unsigned ep, unsigned state)
{
    unsigned i = XHCI_EP(slot, ep);
    uint8_t b[32];

    x->ep_state[i] = state;
    if (!read_context(x, x->slot_context[slot], ep, b))
        return;
    b[0] = (b[0] & ~7u) | state;
    usb_put32(b + 8, (uint32_t)x->ep_dequeue[i] | x->ep_cycle[i]);
    usb_put32(b + 12, x->ep_dequeue[i] >> 32);
    write_context(x, slot, ep, b);
}

/* Takes an endpoint over from its context in the input context, and starts it. */
static bool enable_ep(struct xhci *x, unsigned slot, unsigned ep, uint64_t input)
{
    unsigned i = XHCI_EP(slot, ep);
    unsigned packet;
    uint8_t b[32];

    if (!read_context(x, input, ep + 1, b))
        return false;
    packet = usb_le16(b + 6);
    if (!packet || packet > XHCI_PACKET_MAX || (b[4] >> 3 & 7) == 0 || b[1] >> 2 & 31)
        return false;           /* nor are there streams */
    x->ep_packet[i] = packet;
    x->ep_dequeue[i] = xhci_le64(b + 8) & ~0xfull;
    x->ep_cycle[i] = b[8] & 1;
    x->ep_pos[i] = 0;
    b[0] = (b[0] & ~7u) | XHCI_RUNNING;
    write_context(x, slot, ep, b);
    x->ep_state[i] = XHCI_RUNNING;
    return true;
}

static void disable_eps(struct xhci *x, unsigned slot, unsigned from)
{
    for (unsigned ep = from; ep < 32; ep++) {
        if (x->ep_state[XHCI_EP(slot, ep)] == XHCI_DISABLED)
            continue;
        xhci_ep_state(x, slot, ep, XHCI_DISABLED);
        x->kicked[slot] &= ~(1u << ep);
    }
}

static void slot_state(struct xhci *x, unsigned slot, unsigned state, unsigned address, unsigned entries)
{
    uint8_t b[32];

    x->slot_state[slot] = state;
    if (!read_context(x, x->slot_context[slot], 0, b))
        return;
    b[12] = address;
    b[15] = (b[15] & 7) | (state > XHCI_SLOT_ENABLED ? state - XHCI_SLOT_ENABLED : 0) << 3;
    if (entries)
        b[3] = (b[3] & 7) | entries << 3;
    write_context(x, slot, 0, b);
}

static unsigned address_device(struct xhci *x, unsigned slot, uint64_t input, bool only)
{
    uint8_t control[32], context[32], pointer[8], setup[8] = { 0, 5, slot };
    struct usb_dev *d;

    if (x->slot_state[slot] > (only ? XHCI_SLOT_ENABLED : XHCI_SLOT_DEFAULT))
        return XHCI_CONTEXT_ERROR;
    if (!pci_dma_read(x->pci, x->dcbaap + 8 * slot, pointer, 8) || !read_context(x, input, 0, control) ||
        !read_context(x, input, 1, context) || (usb_le32(control + 4) & 3) != 3)
        return XHCI_PARAMETER_ERROR;
    x->slot_context[slot] = xhci_le64(pointer) & ~0x3full;
    x->slot_route[slot] = usb_le32(context) & 0xfffff;
    x->slot_port[slot] = context[6];
    x->slot_target[slot] = usb_le16(context + 10) >> 6 < XHCI_INTERRUPTERS ? usb_le16(context + 10) >> 6 : 0;
    d = xhci_device(x, slot);
    if (!d)
        return XHCI_TRANSACTION_ERROR;
    write_context(x, slot, 0, context);
    if (!enable_ep(x, slot, 1, input))
        return XHCI_PARAMETER_ERROR;
    if (only) {
        slot_state(x, slot, XHCI_SLOT_DEFAULT, 0, 0);
        return XHCI_SUCCESS;
    }
    if (usb_packet(d, USB_SETUP, 0, setup, 8) < 0 || usb_packet(d, USB_IN, 0, NULL, 0) < 0)
        return XHCI_TRANSACTION_ERROR;
    slot_state(x, slot, XHCI_SLOT_ADDRESSED, slot, 0);
    return XHCI_SUCCESS;
}

static unsigned configure(struct xhci *x, unsigned slot, uint64_t input, bool deconfigure)
{
    uint8_t control[32], context[32];
    uint32_t drop, add;

    if (x->slot_state[slot] < XHCI_SLOT_ADDRESSED)
        return XHCI_CONTEXT_ERROR;
    if (deconfigure) {
        disable_eps(x, slot, 2);
        slot_state(x, slot, XHCI_SLOT_ADDRESSED, slot, 1);
        return XHCI_SUCCESS;
    }
    if (!read_context(x, input, 0, control) || !read_context(x, input, 1, context))
        return XHCI_PARAMETER_ERROR;
    drop = usb_le32(control);
    add = usb_le32(control + 4);
    if (drop & 3 || (add & 3) != 1)
        return XHCI_PARAMETER_ERROR;
    for (unsigned ep = 2; ep < 32; ep++) {
        if (drop >> ep & 1 && x->ep_state[XHCI_EP(slot, ep)] != XHCI_DISABLED)
            xhci_ep_state(x, slot, ep, XHCI_DISABLED);
        if (add >> ep & 1 && !enable_ep(x, slot, ep, input))
            return XHCI_PARAMETER_ERROR;
    }
    slot_state(x, slot, XHCI_SLOT_CONFIGURED, slot, context[3] >> 3);
    return XHCI_SUCCESS;
}

static unsigned evaluate(struct xhci *x, unsigned slot, uint64_t input)
{
    uint8_t control[32], in[32], out[32];

    if (x->slot_state[slot] < XHCI_SLOT_DEFAULT)
        return XHCI_CONTEXT_ERROR;
    if (!read_context(x, input, 0, control))
        return XHCI_PARAMETER_ERROR;
    if (control[4] & 1 && read_context(x, input, 1, in) && read_context(x, x->slot_context[slot], 0, out)) {
        memcpy(out + 4, in + 4, 2);             /* exit latency */
        out[10] = (out[10] & 0x3f) | (in[10] & 0xc0);
        out[11] = in[11];
        x->slot_target[slot] = usb_le16(in + 10) >> 6 < XHCI_INTERRUPTERS ? usb_le16(in + 10) >> 6 : 0;
        write_context(x, slot, 0, out);
    }
    if (control[4] & 2 && read_context(x, input, 2, in) && read_context(x, x->slot_context[slot], 1, out)) {
        if (!usb_le16(in + 6) || usb_le16(in + 6) > XHCI_PACKET_MAX)
            return XHCI_PARAMETER_ERROR;
        memcpy(out + 6, in + 6, 2);
        x->ep_packet[XHCI_EP(slot, 1)] = usb_le16(in + 6);
        write_context(x, slot, 1, out);
    }
    return XHCI_SUCCESS;
}

static unsigned endpoint_command(struct xhci *x, unsigned kind, unsigned slot, unsigned ep, uint64_t param)
{
    unsigned i = XHCI_EP(slot, ep);

    if (ep < 1 || x->ep_state[i] == XHCI_DISABLED)
        return ep < 1 ? XHCI_TRB_ERROR : XHCI_EP_NOT_ENABLED;
    switch (kind) {
    case CMD_RESET_EP:
        if (x->ep_state[i] != XHCI_HALTED)
            return XHCI_CONTEXT_ERROR;
        xhci_ep_state(x, slot, ep, XHCI_STOPPED);
        return XHCI_SUCCESS;
    case CMD_STOP_EP:
        if (x->ep_state[i] != XHCI_RUNNING)
            return XHCI_CONTEXT_ERROR;
        xhci_stop(x, slot, ep);
        return XHCI_SUCCESS;
    default:
        if (x->ep_state[i] != XHCI_STOPPED && x->ep_state[i] != XHCI_ERROR)
            return XHCI_CONTEXT_ERROR;
        x->ep_dequeue[i] = param & ~0xfull;
        x->ep_cycle[i] = param & 1;
        x->ep_pos[i] = 0;
        xhci_ep_state(x, slot, ep, XHCI_STOPPED);
        return XHCI_SUCCESS;
    }
}

static void disable_slot(struct xhci *x, unsigned slot)
{
    disable_eps(x, slot, 1);
    if (x->slot_state[slot] > XHCI_SLOT_ENABLED)
        slot_state(x, slot, XHCI_SLOT_DISABLED, 0, 0);
    x->slot_state[slot] = XHCI_SLOT_DISABLED;
    x->slot_context[slot] = x->slot_route[slot] = x->slot_port[slot] = 0;
}

static unsigned reset_device(struct xhci *x, unsigned slot)
{
    struct usb_dev *d = xhci_device(x, slot);

    if (x->slot_state[slot] < XHCI_SLOT_ADDRESSED)
        return XHCI_CONTEXT_ERROR;
    disable_eps(x, slot, 2);
    slot_state(x, slot, XHCI_SLOT_DEFAULT, 0, 1);
    if (d)
        d->addr = 0;
    return XHCI_SUCCESS;
}

static unsigned slot_command(struct xhci *x, const struct xhci_trb *t, unsigned slot)
{
    if (slot < 1 || slot > XHCI_SLOTS || x->slot_state[slot] == XHCI_SLOT_DISABLED)
        return XHCI_SLOT_NOT_ENABLED;
    switch (t->type) {
    case CMD_DISABLE_SLOT:
        disable_slot(x, slot);
        return XHCI_SUCCESS;
    case CMD_ADDRESS:
        return address_device(x, slot, t->param & ~0xfull, t->control & FLAG9);
    case CMD_CONFIGURE:
        return configure(x, slot, t->param & ~0xfull, t->control & FLAG9);
    case CMD_EVALUATE:
        return evaluate(x, slot, t->param & ~0xfull);
    case CMD_RESET_DEVICE:
        return reset_device(x, slot);
    }
    return endpoint_command(x, t->type, slot, t->control >> 16 & 31, t->param);
}

static void do_command(struct xhci *x, const struct xhci_trb *t)
{
    unsigned slot = t->control >> 24, code = XHCI_TRB_ERROR;

    if (t->type == CMD_ENABLE_SLOT) {
        for (slot = 1; slot <= x->slots && x->slot_state[slot]; slot++)
            ;
        code = slot <= x->slots ? XHCI_SUCCESS : XHCI_NO_SLOTS;
        if (code == XHCI_SUCCESS)
            x->slot_state[slot] = XHCI_SLOT_ENABLED;
        else
            slot = 0;
    } else if (t->type >= CMD_DISABLE_SLOT && t->type <= CMD_RESET_DEVICE) {
        code = slot_command(x, t, slot);
    } else if (t->type == CMD_NOOP) {
        code = XHCI_SUCCESS;
    } else {
        log_msg(LOG_UNIMP, "xhci: command %u", t->type);
    }
    xhci_event(x, 0, t->at, code << 24, EVENT_COMMAND << 10 | slot << 24);
}

void xhci_run_commands(struct xhci *x)
{
    struct xhci_trb t;

    for (unsigned n = 0; x->cmd_running && x->cmd & XHCI_CMD_RUN; n++) {
        /* A stop endpoint command makes two events. */
        if (n == XHCI_AT_ONCE || xhci_event_room(x, 0) < 2) {
            xhci_later(x);
            return;
        }
        if (!xhci_next(x, &x->cmd_dequeue, &x->cmd_cycle, &t))
            return;
        do_command(x, &t);
    }
}
