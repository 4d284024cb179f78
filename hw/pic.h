/*
 * pic.h - the PC's pair of 8259A interrupt controllers, ports 20h/21h, A0h/A1h and the edge/level
 * registers 4D0h/4D1h.
 */
#ifndef HW_PIC_H
#define HW_PIC_H

#include "hw/dev.h"

struct pic;
/* intr: level of the pair's INT output. */
struct pic *pic_new(struct chip_list *, struct ports *, struct irq intr);
/* Input line n, 0-15 (2 is the cascade and ignored). */
struct irq pic_line(struct pic *, int n);
void pic_set_line(void *pic, int n, bool level);
bool pic_intr(struct pic *);            /* level of INT now */
uint8_t pic_ack(struct pic *);          /* the INTA cycles: vector (a spurious one if none waits) */

#endif
