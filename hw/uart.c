/*
 * uart.c - 16550A UART (National PC16550D data sheet, June 1995, sections 8.0-8.7).
 *
 * Characters leave at once, whatever the divisor says: the transmitter holds bytes only while the
 * outside takes none, so that a guest is never blocked inside a port write.  The divisor times
 * the character timeout only (8.8: four character times without a read or an arrival).
 * As on the PC, OUT2 gates the interrupt line.
 */
#include "hw/uart.h"

#include <string.h>

#include "base/log.h"
#include "base/trace.h"

#define FIFO 16
#define MODEM_NS 10000000u      /* between looks at a real line's modem inputs, while their interrupt is enabled */

enum { IER_RDA = 0x01, IER_THRE = 0x02, IER_RLS = 0x04, IER_MS = 0x08 };
enum { IIR_NONE = 0x01, IIR_MS = 0x00, IIR_THRE = 0x02, IIR_RDA = 0x04, IIR_RLS = 0x06,
       IIR_TIMEOUT = 0x0c, IIR_FIFO = 0xc0 };
enum { FCR_ENABLE = 0x01, FCR_CLEAR_RX = 0x02, FCR_CLEAR_TX = 0x04 };
enum { LCR_BREAK = 0x40, LCR_DLAB = 0x80 };
enum { MCR_DTR = 0x01, MCR_RTS = 0x02, MCR_OUT1 = 0x04, MCR_OUT2 = 0x08, MCR_LOOP = 0x10 };
enum { LSR_DR = 0x01, LSR_OE = 0x02, LSR_PE = 0x04, LSR_FE = 0x08, LSR_BI = 0x10, LSR_THRE = 0x20,
       LSR_TEMT = 0x40, LSR_FIFO_ERR = 0x80 };
enum { MSR_CTS = 0x10, MSR_DSR = 0x20, MSR_RI = 0x40, MSR_DCD = 0x80, MSR_TERI = 0x04 };

struct uart {
    struct irq irq;
    struct clock *clock;
    struct chardev *chr;
    uint16_t base;              /* of its ports: its name in traces */
    struct timer timeout, modem_poll;
    uint8_t ier, fcr, lcr, mcr, msr, scr, dll, dlm;
    uint8_t rx[FIFO], rx_err[FIFO];     /* rx_err: LSR_PE, LSR_FE, LSR_BI of that character */
    uint8_t rx_head, rx_count;
    uint8_t tx[FIFO], tx_count;
    uint8_t overrun;            /* LSR_OE until LSR is read */
    uint8_t top_read;           /* the top character's error bits were read off LSR */
    uint8_t thre_pending;       /* the THRE interrupt's latch */
    uint8_t timed_out;          /* the timeout interrupt's latch */
};

static unsigned depth(const struct uart *u)
{
    return u->fcr & FCR_ENABLE ? FIFO : 1;
}

static unsigned trigger(const struct uart *u)
{
    static const uint8_t level[4] = { 1, 4, 8, 14 };
    return u->fcr & FCR_ENABLE ? level[u->fcr >> 6] : 1;
}

/* ---- interrupts ---- */

static uint8_t lsr_errors(const struct uart *u)
{
    uint8_t e = u->overrun;
    if (u->rx_count && !u->top_read)
        e |= u->rx_err[u->rx_head];
    return e;
}

/* Section 8.5, table IV: the highest-priority source that waits. */
static uint8_t source(const struct uart *u)
{
    if ((u->ier & IER_RLS) && lsr_errors(u))
        return IIR_RLS;
    if ((u->ier & IER_RDA) && u->rx_count >= trigger(u))
        return IIR_RDA;
    if ((u->ier & IER_RDA) && u->timed_out)
        return IIR_TIMEOUT;
    if ((u->ier & IER_THRE) && u->thre_pending)
        return IIR_THRE;
    if ((u->ier & IER_MS) && (u->msr & 0x0f))
        return IIR_MS;
    return IIR_NONE;
}

static void update(struct uart *u)
{
    irq_set(&u->irq, (u->mcr & MCR_OUT2) && source(u) != IIR_NONE);
}

/* One character's time: start, 5-8 data, parity, 1-2 stop bits, 16 clocks of 1.8432 MHz / divisor each. */
static uint64_t char_ns(const struct uart *u)
{
    unsigned div = u->dll | u->dlm << 8;
    unsigned bits = 1 + 5 + (u->lcr & 3) + ((u->lcr >> 3) & 1) + 1 + ((u->lcr >> 2) & 1);
    return (uint64_t)bits * 16 * (div ? div : 1) * 1000000000u / 1843200u;
}

static void restart_timeout(struct uart *u)
{
    u->timed_out = 0;
    if ((u->fcr & FCR_ENABLE) && u->rx_count)
        timer_set(&u->timeout, clock_now(u->clock) + 4 * char_ns(u));
    else
        timer_cancel(&u->timeout);
}

static void timeout_fire(void *dev)
{
    struct uart *u = dev;
    u->timed_out = u->rx_count != 0;
    update(u);
}

/* ---- receiver ---- */

static void rx_push(struct uart *u, uint8_t byte, uint8_t err)
{
    if (u->rx_count >= depth(u)) {
        u->overrun = LSR_OE;
        if (u->fcr & FCR_ENABLE)
            return;             /* the FIFO stays; the shift register is overwritten (8.6.3) */
        u->rx_count = 0;        /* without it, the buffer is */
    }
    unsigned at = (u->rx_head + u->rx_count) % FIFO;
    u->rx[at] = byte;
    u->rx_err[at] = err;
    if (!u->rx_count++)
        u->top_read = 0;
    restart_timeout(u);
}

static uint8_t rx_pop(struct uart *u)
{
    uint8_t byte = u->rx[u->rx_head];
    if (!u->rx_count)
        return byte;            /* an empty receiver repeats the last character */
    u->rx_count--;
    if (u->rx_count || (u->fcr & FCR_ENABLE))
        u->rx_head = (u->rx_head + 1) % FIFO;
    u->top_read = 0;
    restart_timeout(u);
    update(u);
    if (!u->rx_count)
        chardev_accept(u->chr);
    return byte;
}

static unsigned uart_room(void *dev)
{
    struct uart *u = dev;
    if (u->mcr & MCR_LOOP)      /* the input pin is disconnected: let the sender wait */
        return 0;
    return depth(u) - u->rx_count;
}

static void uart_receive(void *dev, const uint8_t *buf, unsigned n)
{
    struct uart *u = dev;
    for (unsigned i = 0; i < n; i++) {
        trace_uart_receive(u->base, buf[i]);
        rx_push(u, buf[i], 0);
    }
    update(u);
}

static void uart_break(void *dev)
{
    struct uart *u = dev;
    rx_push(u, 0, LSR_BI | LSR_FE);
    update(u);
}

/* ---- transmitter ---- */

static void tx_drain(struct uart *u)
{
    unsigned n = u->tx_count;
    if (!n)
        return;
    if (u->mcr & MCR_LOOP) {
        for (unsigned i = 0; i < n; i++)
            rx_push(u, u->tx[i], 0);
    } else {
        n = chardev_write(u->chr, u->tx, u->tx_count);
    }
    u->tx_count -= n;
    memmove(u->tx, u->tx + n, u->tx_count);
    if (!u->tx_count)
        u->thre_pending = 1;
}

static void uart_writable(void *dev)
{
    struct uart *u = dev;
    tx_drain(u);
    update(u);
}

static void write_thr(struct uart *u, uint8_t val)
{
    trace_uart_send(u->base, val);
    u->thre_pending = 0;
    if (u->tx_count < depth(u))
        u->tx[u->tx_count++] = val;
    else
        u->tx[u->tx_count - 1] = val;   /* written without THRE: the last one is lost */
    tx_drain(u);
}

/* ---- modem ---- */

/* A far end that is no real line is always ready. */
static uint8_t far_end(const struct uart *u)
{
    int in = chardev_modem(u->chr);

    if (in < 0)
        return MSR_CTS | MSR_DSR | MSR_DCD;
    return (uint8_t)((in & CHARDEV_CTS ? MSR_CTS : 0) | (in & CHARDEV_DSR ? MSR_DSR : 0) | (in & CHARDEV_RI ? MSR_RI : 0) |
                     (in & CHARDEV_DCD ? MSR_DCD : 0));
}

/* Inputs as the guest sees them; in loopback MCR drives them (8.6.2). */
static uint8_t modem_inputs(const struct uart *u)
{
    if (!(u->mcr & MCR_LOOP))
        return far_end(u);
    return (uint8_t)((u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0) |
                     (u->mcr & MCR_OUT1 ? MSR_RI : 0) | (u->mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static void modem_update(struct uart *u)
{
    uint8_t in = modem_inputs(u), old = u->msr & 0xf0;
    uint8_t delta = (uint8_t)((in ^ old) >> 4);
    if ((old & MSR_RI) == 0)    /* TERI: trailing edge only */
        delta &= (uint8_t)~MSR_TERI;
    u->msr = in | (u->msr & 0x0f) | delta;
}

/* Nobody tells when a real line's inputs change. */
static void poll_modem(struct uart *u)
{
    if ((u->ier & IER_MS) && chardev_modem(u->chr) >= 0)
        timer_set(&u->modem_poll, clock_now(u->clock) + MODEM_NS);
    else
        timer_cancel(&u->modem_poll);
}

static void modem_fire(void *dev)
{
    struct uart *u = dev;

    modem_update(u);
    update(u);
    poll_modem(u);
}

/* In loopback the outputs are inactive (8.6.2). */
static void tell_modem(struct uart *u)
{
    chardev_set_modem(u->chr, u->mcr & MCR_LOOP ? 0 : (u->mcr & MCR_DTR ? CHARDEV_DTR : 0) |
                                                      (u->mcr & MCR_RTS ? CHARDEV_RTS : 0));
}

/* Section 8.1, table II and 8.3: what a real line must do, too. */
static void tell_line(struct uart *u)
{
    static const enum chardev_parity parity[8] = {
        [1] = CHARDEV_ODD, [3] = CHARDEV_EVEN, [5] = CHARDEV_MARK, [7] = CHARDEV_SPACE
    };
    unsigned div = u->dll | u->dlm << 8;
    struct chardev_line line = {
        115200 / (div ? div : 1), 5 + (u->lcr & 3), u->lcr & 4 ? 2 : 1, parity[u->lcr >> 3 & 7]
    };

    chardev_set_line(u->chr, &line);
}

static void write_mcr(struct uart *u, uint8_t val)
{
    bool was_loop = u->mcr & MCR_LOOP;
    u->mcr = val & 0x1f;
    tell_modem(u);
    modem_update(u);
    if (was_loop && !(val & MCR_LOOP))
        chardev_accept(u->chr);
}

/* ---- registers ---- */

static void write_fcr(struct uart *u, uint8_t val)
{
    bool toggled = (val ^ u->fcr) & FCR_ENABLE;
    if (toggled || (val & FCR_CLEAR_RX)) {
        u->rx_head = u->rx_count = 0;
        u->overrun = 0;
        restart_timeout(u);
        chardev_accept(u->chr);
    }
    if ((toggled || (val & FCR_CLEAR_TX)) && u->tx_count) {
        u->tx_count = 0;
        u->thre_pending = 1;
    }
    u->fcr = val & FCR_ENABLE ? val & 0xc9 : 0;     /* other bits need bit 0 (8.4) */
}

static void write_lcr(struct uart *u, uint8_t val)
{
    if ((val ^ u->lcr) & LCR_BREAK) {
        if (!(u->mcr & MCR_LOOP))
            chardev_set_break(u->chr, (val & LCR_BREAK) != 0);
        else if (val & LCR_BREAK)
            rx_push(u, 0, LSR_BI | LSR_FE);
    }
    u->lcr = val;
    if (!(val & LCR_DLAB))
        trace_uart_line(u->base, u->dll | u->dlm << 8, val);
    if (!(val & LCR_DLAB))
        tell_line(u);
}

static uint8_t read_iir(struct uart *u)
{
    uint8_t v = source(u);
    if (v == IIR_THRE) {
        u->thre_pending = 0;    /* reading IIR with this source takes it back */
        update(u);
    }
    return v | (u->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

static uint8_t read_lsr(struct uart *u)
{
    uint8_t v = lsr_errors(u);
    if (u->rx_count)
        v |= LSR_DR;
    if (!u->tx_count)
        v |= LSR_THRE | LSR_TEMT;
    for (unsigned i = 0; (u->fcr & FCR_ENABLE) && i < u->rx_count; i++) {
        if (u->rx_err[(u->rx_head + i) % FIFO] && !(i == 0 && u->top_read))
            v |= LSR_FIFO_ERR;
    }
    if (v & (LSR_OE | LSR_PE | LSR_FE | LSR_BI)) {
        u->overrun = 0;
        u->top_read = 1;
        update(u);
    }
    return v;
}

const struct uart_com uart_com[UART_COMS] = {
    { "com1", 0x3f8, 4 }, { "com2", 0x2f8, 3 }, { "com3", 0x3e8, 4 }, { "com4", 0x2e8, 3 }
};

static uint64_t uart_read(void *dev, uint64_t off, unsigned size)
{
    struct uart *u = dev;
    bool dlab = u->lcr & LCR_DLAB;
    uint8_t v;
    switch (off) {
    case 0: return dlab ? u->dll : rx_pop(u);
    case 1: return dlab ? u->dlm : u->ier;
    case 2: return read_iir(u);
    case 3: return u->lcr;
    case 4: return u->mcr;
    case 5: return read_lsr(u);
    case 6:
        modem_update(u);
        v = u->msr;
        u->msr &= 0xf0;
        update(u);
        return v;
    default: return u->scr;
    }
}

static void uart_write(void *dev, uint64_t off, uint64_t val64, unsigned size)
{
    struct uart *u = dev;
    uint8_t val = (uint8_t)val64;
    bool dlab = u->lcr & LCR_DLAB;
    switch (off) {
    case 0:
        if (dlab)
            u->dll = val;
        else
            write_thr(u, val);
        break;
    case 1:
        if (dlab) {
            u->dlm = val;
            break;
        }
        if ((val & ~u->ier & IER_THRE) && !u->tx_count)
            u->thre_pending = 1;        /* enabling it with THR empty interrupts at once */
        u->ier = val & 0x0f;
        poll_modem(u);
        break;
    case 2: write_fcr(u, val); break;
    case 3: write_lcr(u, val); break;
    case 4: write_mcr(u, val); break;
    case 5: case 6: break;              /* LSR is for factory tests; MSR is read only */
    default: u->scr = val; break;
    }
    update(u);
}

static void uart_reset(void *dev)
{
    struct uart *u = dev;
    u->ier = u->fcr = u->lcr = u->mcr = 0;
    u->dll = 12;                        /* 9600 baud; the chip leaves it undefined */
    u->dlm = 0;
    u->rx_head = u->rx_count = u->tx_count = 0;
    u->overrun = u->top_read = u->thre_pending = u->timed_out = 0;
    timer_cancel(&u->timeout);
    timer_cancel(&u->modem_poll);
    u->msr = modem_inputs(u);
    update(u);
    chardev_accept(u->chr);
}

static void uart_loaded(void *dev)
{
    struct uart *u = dev;
    timer_set(&u->timeout, u->timeout.due);
    if (!(u->lcr & LCR_DLAB))
        tell_line(u);
    chardev_set_break(u->chr, (u->lcr & LCR_BREAK) != 0 && !(u->mcr & MCR_LOOP));
    tell_modem(u);
    poll_modem(u);
    update(u);
    chardev_accept(u->chr);
}

const struct io_ops uart_ops = { uart_read, uart_write, 1, LOG_DEV_UART };
static const struct chardev_user uart_user = { uart_room, uart_receive, uart_break, uart_writable };

static const struct field uart_state[] = {
    FIELD(struct uart, ier), FIELD(struct uart, fcr), FIELD(struct uart, lcr),
    FIELD(struct uart, mcr), FIELD(struct uart, msr), FIELD(struct uart, scr),
    FIELD(struct uart, dll), FIELD(struct uart, dlm), FIELD_ARRAY(struct uart, rx),
    FIELD_ARRAY(struct uart, rx_err), FIELD_MAX(struct uart, rx_head, FIFO - 1), FIELD_MAX(struct uart, rx_count, FIFO),
    FIELD_ARRAY(struct uart, tx), FIELD_MAX(struct uart, tx_count, FIFO), FIELD(struct uart, overrun),
    FIELD(struct uart, top_read), FIELD(struct uart, thre_pending), FIELD(struct uart, timed_out),
    FIELD(struct uart, timeout.due), FIELD_END
};

static const struct chip uart_chip = { "16550a", sizeof(struct uart), uart_reset, uart_state, uart_loaded };

struct uart *uart_new(struct chip_list *chips, const char *name, struct ports *ports, uint16_t base,
                      struct irq irq, struct clock *clock, struct chardev *chr)
{
    struct uart *u = uart_new_behind(chips, name, irq, clock, chr);

    u->base = base;
    ports_map(ports, base, 8, &uart_ops, u, name);
    return u;
}

struct uart *uart_new_behind(struct chip_list *chips, const char *name, struct irq irq, struct clock *clock,
                             struct chardev *chr)
{
    struct uart *u = chip_new(chips, &uart_chip, name);
    u->irq = irq;
    u->clock = clock;
    u->chr = chr;
    timer_init(&u->timeout, clock, timeout_fire, u);
    timer_init(&u->modem_poll, clock, modem_fire, u);
    uart_reset(u);
    chardev_connect(chr, &uart_user, u);
    return u;
}
