/*
 * ehci_sched.c - the schedules of the EHCI controller: queue heads, their transfers, isochronous descriptors
 * (EHCI 1.0, chapters 3 and 4).
 *
 * Devices of low and full speed behind a hub of high speed are reached by split transactions. Hub and
 * device answer at once, so start and complete split are one step: the state between them is never seen.
 * Isochronous split transactions (siTD) are not there.
 */
#include "hw/usb/ehci.h"

#include <string.h>

#include "base/log.h"

#define LINKS_MAX 1024          /* that are followed in one walk */
#define AT_ONCE 32              /* packets of a queue before the next has its turn */
#define OVERHEAD 55             /* bytes of time that a transaction takes besides its data */
#define FULL_SPEED_COST 40      /* how much slower that is */

#define LINK_END 1u
#define LINK_ADDR 0xffffffe0u
#define LINK_TYPE(link) ((link) >> 1 & 3)
enum { TYPE_ITD, TYPE_QH, TYPE_SITD, TYPE_FSTN };

/* words of a queue head; from CURRENT on it is the overlay, whose words from NEXT on are as those of a transfer
   descriptor */
enum { LINK, CHARS, CAPS, CURRENT, NEXT, ALT, TOKEN, BUFFER, BUFFER_HIGH = BUFFER + 5,
       QH_WORDS = BUFFER_HIGH + 5 };
#define QTD_WORDS (QH_WORDS - NEXT)
#define PAGES 5u

#define CHARS_HEAD (1u << 15)
#define CHARS_TOGGLE (1u << 14) /* comes from the transfer descriptors */
#define CHARS_SPEED(c) ((c) >> 12 & 3)
#define CHARS_PACKET(c) ((c) >> 16 & 0x7ff)

#define T_ACTIVE 0x80u
#define T_HALTED 0x40u
#define T_BUFFER 0x20u
#define T_BABBLE 0x10u
#define T_ERROR 0x08u
#define T_PING 0x01u
#define T_IOC 0x8000u
#define T_TOGGLE 0x80000000u
#define T_PID(t) ((t) >> 8 & 3)
#define T_TRIES(t) ((t) >> 10 & 3)
#define T_TRY 0x400u
#define T_PAGE(t) ((t) >> 12 & 7)
#define T_BYTES(t) ((t) >> 16 & 0x7fff)

/* words of an isochronous descriptor */
enum { I_SLOTS = 1, I_PAGES = 9, I_PAGES_HIGH = 16, I_WORDS = 23 };
#define WORDS_MAX I_WORDS

struct qh {
    uint64_t at;
    uint32_t w[QH_WORDS];
};

/* ---- memory ---- */

static uint64_t address(const struct ehci *s, uint32_t link)
{
    return (uint64_t)s->segment << 32 | (link & LINK_ADDR);
}

/* An error on the bus stops the controller. */
static bool ok(struct ehci *s, bool done)
{
    if (!done) {
        s->sts |= EHCI_STS_HSE | EHCI_STS_HALTED;
        s->cmd &= ~EHCI_CMD_RS;
    }
    return done;
}

static bool get(struct ehci *s, uint64_t at, uint32_t *w, unsigned n)
{
    uint8_t b[4 * WORDS_MAX];

    if (!ok(s, pci_dma_read(s->pci, at, b, 4 * n)))
        return false;
    for (unsigned i = 0; i < n; i++)
        w[i] = usb_le32(b + 4 * i);
    return true;
}

static bool put(struct ehci *s, uint64_t at, const uint32_t *w, unsigned n)
{
    uint8_t b[4 * WORDS_MAX];

    for (unsigned i = 0; i < n; i++)
        usb_put32(b + 4 * i, w[i]);
    return ok(s, pci_dma_write(s->pci, at, b, 4 * n));
}

/* Words of 64-bit buffer addresses are there only where the controller has these. */
static unsigned words(const struct ehci *s, unsigned all)
{
    return s->wide ? all : all - PAGES;
}

/* ---- transactions ---- */

static struct usb_dev *find(struct ehci *s, uint32_t chars, uint32_t caps)
{
    static const enum usb_speed speeds[] = { USB_FULL, USB_LOW, USB_HIGH, USB_SPEEDS };
    struct usb_dev *d = usb_find(&s->bus, chars & 0x7f);
    enum usb_speed speed = speeds[CHARS_SPEED(chars)];
    const struct usb_dev *hub;
    unsigned port;

    if (!d || d->speed != speed)
        return NULL;
    if (speed == USB_HIGH)
        return d;
    hub = usb_translator(d, &port);
    return hub && hub->addr == (caps >> 16 & 0x7f) && port == (caps >> 23 & 0x7f) ? d : NULL;
}

/* Bytes of the transfer from where it stands: pages need not follow each other. */
static bool copy(struct ehci *s, const struct qh *q, uint8_t *buf, unsigned len, bool to_guest)
{
    unsigned page = T_PAGE(q->w[TOKEN]), off = q->w[BUFFER] & 0xfff;

    while (len) {
        unsigned n = 0x1000 - off < len ? 0x1000 - off : len;
        uint64_t at;

        if (page >= PAGES)
            return false;
        at = (q->w[BUFFER + page] & ~0xfffu) + off;
        if (s->wide)
            at |= (uint64_t)q->w[BUFFER_HIGH + page] << 32;
        if (!ok(s, to_guest ? pci_dma_write(s->pci, at, buf, n) : pci_dma_read(s->pci, at, buf, n)))
            return false;
        buf += n;
        len -= n;
        off = 0;
        page++;
    }
    return true;
}

/* The overlay after `n` bytes, or an answer, from a packet of at most `max`. */
static void judge(struct qh *q, int n, unsigned max)
{
    uint32_t t = q->w[TOKEN], left = T_BYTES(t);
    bool in = T_PID(t) == 1;

    if (n < 0) {
        t |= n == USB_STALL ? T_HALTED : n == USB_BABBLE ? T_HALTED | T_BABBLE : T_ERROR;
        if (n == USB_TIMEOUT && T_TRIES(t)) {   /* try again; without a count for ever */
            t -= T_TRY;
            t |= T_TRIES(t) ? 0 : T_HALTED;
        }
        q->w[TOKEN] = t & T_HALTED ? t & ~T_ACTIVE : t;
        return;
    }
    left -= n;
    if (((q->w[BUFFER] & 0xfff) + n) >> 12)
        t = (t & ~0x7000u) | ((T_PAGE(t) + 1) & 7) << 12;
    q->w[BUFFER] = (q->w[BUFFER] & ~0xfffu) | ((q->w[BUFFER] + n) & 0xfff);
    t = (t & ~0x7fff0000u) | left << 16;
    t ^= T_TOGGLE;
    t &= ~T_PING;
    if (!left || (in && (unsigned)n < max))
        t &= ~T_ACTIVE;
    q->w[TOKEN] = t;
}

/* One packet. False: NAK, or there is nothing to do. */
static bool transact(struct ehci *s, struct qh *q)
{
    static const enum usb_pid pids[] = { USB_OUT, USB_IN, USB_SETUP };
    uint32_t t = q->w[TOKEN], chars = q->w[CHARS];
    unsigned max = CHARS_PACKET(chars), len = T_BYTES(t) < max ? T_BYTES(t) : max;
    uint8_t data[0x800];
    struct usb_dev *d = find(s, chars, q->w[CAPS]);
    int n = USB_TIMEOUT;

    if (T_PID(t) == 3 || !max || max > 1024) {
        log_msg(LOG_GUEST, "ehci: queue at %#llx: token %#x, characteristics %#x",
                (unsigned long long)q->at, t, chars);
        n = USB_STALL;
    } else if (T_PID(t) != 1 && !copy(s, q, data, len, false)) {
        q->w[TOKEN] |= T_BUFFER;
        n = USB_STALL;
    } else if (d) {
        n = usb_packet(d, pids[T_PID(t)], chars >> 8 & 15, data, len);
    }
    s->left -= (int)(OVERHEAD + (n > 0 ? (unsigned)n : 0)) * (CHARS_SPEED(chars) == 2 ? 1 : FULL_SPEED_COST);
    if (n == USB_NAK) {
        if (T_PID(t) == 0 && CHARS_SPEED(chars) == 2)
            q->w[TOKEN] |= T_PING;
        return false;
    }
    if (T_PID(t) == 1 && n > 0 && !copy(s, q, data, n, true)) {
        q->w[TOKEN] |= T_BUFFER;
        n = USB_STALL;
    }
    s->done++;
    judge(q, n, max);
    return true;
}

/* The transfer is over: its descriptor is told, and perhaps software. */
static bool retire(struct ehci *s, const struct qh *q)
{
    uint32_t t = q->w[TOKEN];

    if (t & T_HALTED)
        s->pending |= EHCI_STS_ERR;
    if (t & T_IOC || (T_PID(t) == 1 && T_BYTES(t) && !(t & T_HALTED)))
        s->pending |= EHCI_STS_INT;
    return put(s, address(s, q->w[CURRENT]) + 4 * (TOKEN - NEXT), &t, 1);
}

/* The next transfer of the queue into the overlay; false: there is none. */
static bool advance(struct ehci *s, struct qh *q)
{
    uint32_t *w = q->w, t = w[TOKEN], d[QTD_WORDS] = { 0 };
    uint32_t link = T_BYTES(t) && !(w[ALT] & LINK_END) ? w[ALT] : w[NEXT];

    if (link & LINK_END || !get(s, address(s, link), d, words(s, QTD_WORDS)) || !(d[TOKEN - NEXT] & T_ACTIVE))
        return false;
    w[CURRENT] = link & LINK_ADDR;
    memcpy(w + NEXT, d, sizeof(d));
    if (!(w[CHARS] & CHARS_TOGGLE))
        w[TOKEN] = (w[TOKEN] & ~T_TOGGLE) | (t & T_TOGGLE);
    return true;
}

/* At most `packets` of the queue. */
static void run_queue(struct ehci *s, struct qh *q, unsigned packets)
{
    bool changed = false;

    for (unsigned n = 0; n < packets && s->left > 0 && s->cmd & EHCI_CMD_RS; n++) {
        if (!(q->w[TOKEN] & T_ACTIVE)) {
            if (q->w[TOKEN] & T_HALTED || !advance(s, q))
                break;
            changed = true;
        }
        if (!transact(s, q))
            break;
        changed = true;
        if (!(q->w[TOKEN] & T_ACTIVE) && !retire(s, q))
            break;
    }
    if (changed)
        put(s, q->at + 4 * CURRENT, q->w + CURRENT, words(s, QH_WORDS) - CURRENT);
}

/* ---- the asynchronous schedule ---- */

void ehci_walk_async(struct ehci *s)
{
    uint32_t first = s->async & LINK_ADDR;
    unsigned done = s->done;
    struct qh q;

    s->sts |= EHCI_STS_RECLAMATION;
    for (unsigned n = 0; n < LINKS_MAX && s->left > 0 && s->cmd & EHCI_CMD_RS; n++) {
        memset(q.w, 0, sizeof(q.w));
        q.at = address(s, s->async);
        if (!get(s, q.at, q.w, words(s, QH_WORDS)))
            return;
        if (q.w[CHARS] & CHARS_HEAD) {          /* nothing since it was here last: the round is empty */
            if (!(s->sts & EHCI_STS_RECLAMATION))
                return;
            s->sts &= ~EHCI_STS_RECLAMATION;
        }
        run_queue(s, &q, AT_ONCE);
        if (LINK_TYPE(q.w[LINK]) != TYPE_QH) {
            log_msg(LOG_GUEST, "ehci: no queue head behind the one at %#llx of the asynchronous schedule",
                    (unsigned long long)q.at);
            return;
        }
        s->async = q.w[LINK] & LINK_ADDR;
        if (s->done != done)
            s->sts |= EHCI_STS_RECLAMATION;
        else if (s->async == first)
            return;
        if (s->async == first)
            done = s->done;
    }
}

/* ---- the periodic schedule ---- */

static void run_interrupt(struct ehci *s, uint64_t at, struct qh *q, unsigned mask)
{
    memset(q->w, 0, sizeof(q->w));
    q->at = at;
    if (!get(s, at, q->w, words(s, QH_WORDS)))
        return;
    for (unsigned due = q->w[CAPS] & mask & 0xff; due; due &= due - 1) {
        unsigned mult = q->w[CAPS] >> 30;

        run_queue(s, q, mult && CHARS_SPEED(q->w[CHARS]) == 2 ? mult : 1);
    }
}

#define I_ACTIVE (1u << 31)
#define I_BUFFER (1u << 30)
#define I_BABBLE (1u << 29)
#define I_ERROR (1u << 28)
#define I_IOC (1u << 15)
#define I_LEN(slot) ((slot) >> 16 & 0xfff)

/* Bytes of a slot from `pos` on: they may go over into the next page. */
static bool copy_slot(struct ehci *s, const uint32_t *w, uint32_t slot, unsigned pos, uint8_t *buf,
                      unsigned len, bool to_guest)
{
    unsigned page = slot >> 12 & 7, off = (slot & 0xfff) + pos;

    while (len) {
        unsigned p = page + (off >> 12), in = off & 0xfff, n = 0x1000 - in < len ? 0x1000 - in : len;
        uint64_t at;

        if (p > 6)
            return false;
        at = (w[I_PAGES + p] & ~0xfffu) + in;
        if (s->wide)
            at |= (uint64_t)w[I_PAGES_HIGH + p] << 32;
        if (!ok(s, to_guest ? pci_dma_write(s->pci, at, buf, n) : pci_dma_read(s->pci, at, buf, n)))
            return false;
        buf += n;
        len -= n;
        off += n;
    }
    return true;
}

/* The packets of a microframe; returns the slot as it is then. */
static uint32_t run_slot(struct ehci *s, const uint32_t *w, uint32_t slot)
{
    uint32_t ends = w[I_PAGES], max = w[I_PAGES + 1] & 0x7ff, mult = w[I_PAGES + 2] & 3;
    struct usb_dev *d = usb_find(&s->bus, ends & 0x7f);
    bool in = w[I_PAGES + 1] & 0x800;
    unsigned done = 0, len = I_LEN(slot);
    uint8_t data[0x800];
    uint32_t status = 0;

    for (unsigned k = 0; k < mult && done < len && !status; k++) {
        unsigned part = len - done < max ? len - done : max;
        int n = USB_TIMEOUT;

        if (!in && !copy_slot(s, w, slot, done, data, part, false))
            status = I_BUFFER;
        else if (d && d->speed == USB_HIGH)
            n = usb_packet(d, in ? USB_IN : USB_OUT, ends >> 8 & 15, data, part);
        s->left -= OVERHEAD + (int)part;
        if (n >= 0 && in && !copy_slot(s, w, slot, done, data, n, true))
            status = I_BUFFER;
        if (n < 0)
            status |= n == USB_BABBLE ? I_BABBLE : I_ERROR;
        else
            done += n;
        if (n < (int)part)
            break;
    }
    s->done++;
    if (slot & I_IOC)
        s->pending |= EHCI_STS_INT;
    return (slot & 0x0000ffff) | (in ? done : len) << 16 | status;
}

static void run_itd(struct ehci *s, uint64_t at, unsigned mask)
{
    uint32_t w[I_WORDS] = { 0 };

    if (!get(s, at, w, s->wide ? I_WORDS : I_PAGES_HIGH))
        return;
    for (unsigned i = 0; i < 8 && s->cmd & EHCI_CMD_RS; i++) {
        uint32_t slot = w[I_SLOTS + i];

        if (!(mask >> i & 1) || !(slot & I_ACTIVE))
            continue;
        slot = run_slot(s, w, slot);
        put(s, at + 4 * (I_SLOTS + i), &slot, 1);
    }
}

void ehci_walk_periodic(struct ehci *s, unsigned frame, unsigned mask)
{
    uint32_t link;
    struct qh q;

    if (!get(s, ((uint64_t)s->segment << 32 | (s->periodic & ~0xfffu)) + 4 * (frame & 1023), &link, 1))
        return;
    for (unsigned n = 0; n < LINKS_MAX && !(link & LINK_END) && s->cmd & EHCI_CMD_RS; n++) {
        uint64_t at = address(s, link);

        switch (LINK_TYPE(link)) {
        case TYPE_QH:
            run_interrupt(s, at, &q, mask);
            break;
        case TYPE_ITD:
            run_itd(s, at, mask);
            break;
        case TYPE_SITD:
            log_msg(LOG_UNIMP, "ehci: isochronous split transactions");
            break;
        }
        if (!get(s, at, &link, 1))
            return;
    }
}
