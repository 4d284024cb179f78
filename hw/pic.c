/*
 * pic.c - two cascaded 8259A interrupt controllers (Intel 231468-003, "8259A Programmable Interrupt
 * Controller") with the edge/level registers of the PIIX3 (Intel 290550, 2.5.5).
 *
 * Index 0 is the master, 1 the slave, whose INT is the master's input 2.  An edge request lasts only while
 * its line stays high, as on the chip: if it drops before the acknowledge, the acknowledge yields the
 * default IR7.  A level request is the line.  Input 2 of the master follows the slave's INT.
 *
 * Ticks (hw/dev.h) are counted, and wait for the acknowledge even if the line falls, on inputs that are
 * unmasked and whose requests the processor does acknowledge: behind an I/O APIC nobody takes what comes
 * here.
 */
#include "hw/pic.h"

#include <string.h>

#include "base/log.h"
#include "base/trace.h"

enum { M, S };
#define CASCADE 2

struct pic {
    struct irq intr;
    uint8_t lines[2];           /* input levels */
    uint8_t irr[2], imr[2], isr[2];
    uint8_t base[2];            /* ICW2 */
    uint8_t icw1[2], icw4[2];
    uint8_t icw_step[2];        /* next ICW awaited at A0 = 1: 2, 3, 4; 0 none */
    uint8_t lowest[2];          /* the line of lowest priority */
    uint8_t special_mask[2], rotate_aeoi[2], poll[2], read_isr[2];
    uint8_t elcr[2];
    uint8_t owed[16];           /* ticks not acknowledged yet, the one in irr among them */
    uint8_t acked[2];           /* inputs acknowledged since ICW1 */
    uint64_t raised[16];        /* how often, for who watches: not the guest's business */
};

enum { ICW1_IC4 = 0x01, ICW1_SNGL = 0x02, ICW1_LTIM = 0x08, ICW1 = 0x10 };
enum { ICW4_AEOI = 0x02, ICW4_SFNM = 0x10 };

static uint8_t level_mask(const struct pic *p, int c)
{
    return p->icw1[c] & ICW1_LTIM ? 0xff : p->elcr[c];
}

/* Rank of the highest-priority line in mask (0 the highest), 8 if none. */
static int rank(const struct pic *p, int c, uint8_t mask)
{
    for (int i = 0; i < 8; i++) {
        if (mask >> ((p->lowest[c] + 1 + i) & 7) & 1)
            return i;
    }
    return 8;
}

/* The line chip c would acknowledge now, or -1. */
static int request(const struct pic *p, int c)
{
    uint8_t blocking = p->isr[c];
    int want = rank(p, c, p->irr[c] & ~p->imr[c]);
    if (want == 8)
        return -1;
    if (p->special_mask[c])
        blocking &= (uint8_t)~p->imr[c];        /* masked levels in service block nobody */
    if (c == M && (p->icw4[c] & ICW4_SFNM))
        blocking &= (uint8_t)~(1 << CASCADE);   /* the slave sorts out its own priorities */
    return want < rank(p, c, blocking) ? (p->lowest[c] + 1 + want) & 7 : -1;
}

static void update(struct pic *p)
{
    if (request(p, S) >= 0)
        p->irr[M] |= 1 << CASCADE;
    else
        p->irr[M] &= (uint8_t)~(1 << CASCADE);
    irq_set(&p->intr, request(p, M) >= 0);
}

void pic_set_line(void *dev, int n, bool level)
{
    struct pic *p = dev;
    int c = n >> 3;
    uint8_t bit = (uint8_t)(1 << (n & 7));
    if (n == CASCADE || n < 0 || n > 15)
        return;
    if (level != !!(p->lines[c] & bit)) {
        log_dev(PIC, "line %d %s", n, level ? "up" : "down");
        trace_pic_line(n, level);
    }
    p->raised[n] += level && !(p->lines[c] & bit);
    if (level) {
        if (!(p->lines[c] & bit) || (level_mask(p, c) & bit))
            p->irr[c] |= bit;
        p->lines[c] |= bit;
    } else {
        p->lines[c] &= (uint8_t)~bit;
        if (!p->owed[n])
            p->irr[c] &= (uint8_t)~bit;
    }
    update(p);
}

static void set_ticks(void *dev, int n, unsigned ticks)
{
    struct pic *p = dev;
    int c = n >> 3;
    uint8_t bit = (uint8_t)(1 << (n & 7));
    if (!ticks) {
        p->owed[n] = 0;
        pic_set_line(p, n, p->lines[c] & bit);
        return;
    }
    if (!(level_mask(p, c) & bit) && !(p->imr[c] & bit) && (p->acked[c] & bit))
        p->owed[n] = irq_owe(p->owed[n], ticks);
    pic_set_line(p, n, false);
    pic_set_line(p, n, true);
}

struct irq pic_line(struct pic *p, int n)
{
    return (struct irq){ pic_set_line, p, n, set_ticks };
}

bool pic_intr(struct pic *p)
{
    return request(p, M) >= 0;
}

static void acknowledge(struct pic *p, int c, int line)
{
    uint8_t bit = (uint8_t)(1 << line);
    if (c == S || line != CASCADE)
        trace_pic_ack(c * 8 + line, p->base[c] + line);
    if (p->icw4[c] & ICW4_AEOI) {
        if (p->rotate_aeoi[c])
            p->lowest[c] = (uint8_t)line;
    } else {
        p->isr[c] |= bit;
    }
    p->acked[c] |= bit;
    if (p->owed[c * 8 + line])
        p->owed[c * 8 + line]--;
    if (!(level_mask(p, c) & bit) && !p->owed[c * 8 + line])
        p->irr[c] &= (uint8_t)~bit;
}

uint8_t pic_ack(struct pic *p)
{
    int line = request(p, M);
    uint8_t vector;
    if (line < 0) {
        vector = p->base[M] + 7;        /* spurious: no in-service bit */
        trace_pic_spurious(vector);
    } else if (line == CASCADE) {
        int sub = request(p, S);
        acknowledge(p, M, line);
        if (sub >= 0)
            acknowledge(p, S, sub);
        vector = p->base[S] + (sub >= 0 ? sub : 7);
        if (sub < 0)
            trace_pic_spurious(vector);
    } else {
        acknowledge(p, M, line);
        vector = p->base[M] + (uint8_t)line;
    }
    update(p);
    return vector;
}

/* ---- command words ---- */

static void icw1(struct pic *p, int c, uint8_t val)
{
    p->icw1[c] = val;
    p->icw_step[c] = 2;
    p->imr[c] = p->isr[c] = 0;
    p->lowest[c] = 7;
    p->special_mask[c] = p->poll[c] = p->read_isr[c] = p->rotate_aeoi[c] = 0;
    if (!(val & ICW1_IC4))
        p->icw4[c] = 0;
    memset(p->owed + c * 8, 0, 8);
    p->acked[c] = 0;
    /* The edge sense circuit is reset: a line must rise again; levels are still there. */
    p->irr[c] = p->lines[c] & level_mask(p, c);
}

static void icw_next(struct pic *p, int c, uint8_t val)
{
    switch (p->icw_step[c]) {
    case 2:
        p->base[c] = val & 0xf8;
        p->icw_step[c] = !(p->icw1[c] & ICW1_SNGL) ? 3 : p->icw1[c] & ICW1_IC4 ? 4 : 0;
        break;
    case 3:                             /* the PC's cascade is wired to input 2 */
        if (val != (c == M ? 1 << CASCADE : CASCADE))
            log_msg(LOG_GUEST, "8259: ICW3 %02x does not describe the PC's cascade", val);
        p->icw_step[c] = p->icw1[c] & ICW1_IC4 ? 4 : 0;
        break;
    default:
        p->icw4[c] = val;
        p->icw_step[c] = 0;
        break;
    }
}

static void ocw2(struct pic *p, int c, uint8_t val)
{
    int line = val & 7;
    bool specific = val & 0x40, eoi = val & 0x20, rotate = val & 0x80;
    if (!eoi && !specific) {            /* 000, 100: rotate in automatic EOI mode */
        p->rotate_aeoi[c] = rotate;
        return;
    }
    if (eoi && !specific) {
        uint8_t isr = p->isr[c];
        if (p->special_mask[c])
            isr &= (uint8_t)~p->imr[c];
        int r = rank(p, c, isr);
        if (r == 8)
            return;
        line = (p->lowest[c] + 1 + r) & 7;
    }
    if (eoi) {
        trace_pic_eoi(c * 8 + line);
        p->isr[c] &= (uint8_t)~(1 << line);
    }
    if (rotate)
        p->lowest[c] = (uint8_t)line;
}

static void ocw3(struct pic *p, int c, uint8_t val)
{
    if (val & 0x40)
        p->special_mask[c] = (val >> 5) & 1;
    if (val & 0x04)
        p->poll[c] = 1;
    else if (val & 0x02)
        p->read_isr[c] = val & 1;
}

static void pic_write(struct pic *p, int c, unsigned a0, uint8_t val)
{
    if (a0 && p->icw_step[c])
        icw_next(p, c, val);
    else if (a0)
        p->imr[c] = val;
    else if (val & ICW1)
        icw1(p, c, val);
    else if (val & 0x08)
        ocw3(p, c, val);
    else
        ocw2(p, c, val);
    update(p);
}

static uint8_t pic_read(struct pic *p, int c, unsigned a0)
{
    if (p->poll[c]) {                   /* the read is the acknowledge */
        int line = request(p, c);
        p->poll[c] = 0;
        if (line >= 0)
            acknowledge(p, c, line);
        update(p);
        return line >= 0 ? (uint8_t)(0x80 | line) : 0;
    }
    if (a0)
        return p->imr[c];
    return p->read_isr[c] ? p->isr[c] : p->irr[c];
}

static uint64_t master_read(void *dev, uint64_t off, unsigned size)
{
    return pic_read(dev, M, (unsigned)off);
}

static void master_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    pic_write(dev, M, (unsigned)off, (uint8_t)val);
}

static uint64_t slave_read(void *dev, uint64_t off, unsigned size)
{
    return pic_read(dev, S, (unsigned)off);
}

static void slave_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    pic_write(dev, S, (unsigned)off, (uint8_t)val);
}

static uint64_t elcr_read(void *dev, uint64_t off, unsigned size)
{
    return ((struct pic *)dev)->elcr[off];
}

static void elcr_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct pic *p = dev;
    /* Timer, keyboard, cascade, RTC and coprocessor lines are always edge triggered. */
    p->elcr[off] = (uint8_t)val & (off == M ? 0xf8 : 0xde);
    p->irr[off] |= p->lines[off] & p->elcr[off];
    update(p);
}

static void pic_reset(void *dev)
{
    struct pic *p = dev;
    for (int c = 0; c < 2; c++) {
        p->irr[c] = p->imr[c] = p->isr[c] = p->base[c] = 0;
        p->icw1[c] = p->icw4[c] = p->icw_step[c] = 0;
        p->lowest[c] = 7;
        p->special_mask[c] = p->rotate_aeoi[c] = p->poll[c] = p->read_isr[c] = p->elcr[c] = 0;
        p->acked[c] = 0;
    }
    memset(p->owed, 0, sizeof(p->owed));
    update(p);
}

static void pic_loaded(void *dev)
{
    struct pic *p = dev;
    for (int n = 0; n < 16; n++)
        p->owed[n] = irq_owe(0, p->owed[n]);
    update(p);
}

static const struct io_ops master_ops = { master_read, master_write, 1, LOG_DEV_PIC };
static const struct io_ops slave_ops = { slave_read, slave_write, 1, LOG_DEV_PIC };
static const struct io_ops elcr_ops = { elcr_read, elcr_write, 1, LOG_DEV_PIC };

static const struct field pic_state[] = {
    FIELD_ARRAY(struct pic, lines), FIELD_ARRAY(struct pic, irr), FIELD_ARRAY(struct pic, imr),
    FIELD_ARRAY(struct pic, isr), FIELD_ARRAY(struct pic, base), FIELD_ARRAY(struct pic, icw1),
    FIELD_ARRAY(struct pic, icw4), FIELD_ARRAY(struct pic, icw_step),
    FIELD_ARRAY_MAX(struct pic, lowest, 7), FIELD_ARRAY(struct pic, special_mask),
    FIELD_ARRAY(struct pic, rotate_aeoi), FIELD_ARRAY(struct pic, poll),
    FIELD_ARRAY(struct pic, read_isr), FIELD_ARRAY(struct pic, elcr),
    FIELD_ARRAY(struct pic, owed), FIELD_ARRAY(struct pic, acked), FIELD_END
};

static void pic_info(const void *dev, struct text *t)
{
    const struct pic *p = dev;

    for (int c = 0; c < 2; c++)
        text_say(t,
                 "pic %u: irr=%02x imr=%02x isr=%02x lines=%02x base=%02x icw1=%02x icw4=%02x elcr=%02x "
                 "lowest=%u%s%s\n",
                 c, p->irr[c], p->imr[c], p->isr[c], p->lines[c], p->base[c], p->icw1[c], p->icw4[c],
                 p->elcr[c], p->lowest[c], p->special_mask[c] ? " special-mask" : "",
                 p->rotate_aeoi[c] ? " rotates" : "");
    for (int n = 0; n < 16; n++)
        if (p->raised[n])
            text_say(t, "pic input %2d: raised %llu times\n", n, (unsigned long long)p->raised[n]);
}

static const struct chip pic_chip = { "8259a-pair", sizeof(struct pic), pic_reset,
                                      pic_state,    pic_loaded,         .info = pic_info };

struct pic *pic_new(struct chip_list *chips, struct ports *ports, struct irq intr)
{
    struct pic *p = chip_new(chips, &pic_chip, "pic");
    p->intr = intr;
    ports_map(ports, 0x20, 2, &master_ops, p, "pic master");
    ports_map(ports, 0xa0, 2, &slave_ops, p, "pic slave");
    ports_map(ports, 0x4d0, 2, &elcr_ops, p, "elcr");
    pic_reset(p);
    return p;
}
