/*
 * eeprom93.c - a 93C46 (Microchip 93C46B data sheet, DS21749): read, write and erase of single words.
 */
#include "hw/net/eeprom93.h"

#include "base/log.h"

enum { IDLE, COMMAND, READING, WRITING = EEPROM93_PHASES - 1 };       /* phase */
enum { OP_OTHER, OP_WRITE, OP_READ, OP_ERASE };

void eeprom93_reset(struct eeprom93 *e)
{
    e->phase = IDLE;
    e->count = e->addr = e->writable = e->sk = 0;
    e->shift = 0;
    e->out = 1;                 /* pulled up: ready */
}

/* Start bit, two of the operation and six of the address have come. */
static void command(struct eeprom93 *e)
{
    unsigned op = e->shift >> 6 & 3;

    e->addr = e->shift & (EEPROM93_WORDS - 1);
    e->count = 0;
    e->phase = IDLE;
    e->out = 1;
    if (op == OP_READ) {
        e->phase = READING;
        e->out = 0;             /* a zero before the data */
        e->shift = e->word[e->addr];
    } else if (op == OP_WRITE) {
        e->phase = WRITING;
        e->shift = 0;
    } else if (op == OP_ERASE) {
        if (e->writable)
            e->word[e->addr] = 0xffff;
    } else if (e->addr >> 4 == 3 || e->addr >> 4 == 0) {
        e->writable = e->addr >> 4 == 3;
    } else {
        log_msg(LOG_UNIMP, "93C46: operations on all words");
    }
}

static void clocked(struct eeprom93 *e, bool di)
{
    switch (e->phase) {
    case IDLE:
        if (di) {
            e->phase = COMMAND;
            e->count = 0;
            e->shift = 0;
        }
        break;
    case COMMAND:
        e->shift = (uint16_t)(e->shift << 1 | di);
        if (++e->count == 8)
            command(e);
        break;
    case READING:
        e->out = e->shift >> 15;
        e->shift = (uint16_t)(e->shift << 1);
        if (++e->count == 16) {
            e->count = 0;
            e->addr = (e->addr + 1) % EEPROM93_WORDS;
            e->shift = e->word[e->addr];
        }
        break;
    default:
        e->shift = (uint16_t)(e->shift << 1 | di);
        if (++e->count == 16) {
            e->phase = IDLE;
            e->out = 1;
            if (e->writable)
                e->word[e->addr] = e->shift;
        }
    }
}

void eeprom93_lines(struct eeprom93 *e, bool cs, bool sk, bool di)
{
    if (!cs) {
        e->phase = IDLE;
        e->out = 1;
    } else if (sk && !e->sk) {
        clocked(e, di);
    }
    e->sk = sk;
}
