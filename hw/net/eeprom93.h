/*
 * eeprom93.h - a 93C46 as network chips have it: 64 words of 16 bits on a serial interface (CS, SK, DI, DO).
 */
#ifndef HW_NET_EEPROM93_H
#define HW_NET_EEPROM93_H

#include "hw/dev.h"

#define EEPROM93_WORDS 64u
#define EEPROM93_PHASES 4

struct eeprom93 {
    uint16_t word[EEPROM93_WORDS];
    uint8_t phase, count, addr, out, writable, sk;
    uint16_t shift;
};
#define EEPROM93_FIELDS(type, m)                                                                             \
    FIELD_ARRAY(type, m.word), FIELD_MAX(type, m.phase, EEPROM93_PHASES - 1), FIELD(type, m.count),           \
    FIELD_MAX(type, m.addr, EEPROM93_WORDS - 1),                                                             \
    FIELD(type, m.out), FIELD(type, m.writable), FIELD(type, m.sk), FIELD(type, m.shift)

void eeprom93_reset(struct eeprom93 *);         /* the interface; the words stay */
/* The levels of the lines; `out` is DO afterwards. */
void eeprom93_lines(struct eeprom93 *, bool cs, bool sk, bool di);

#endif
