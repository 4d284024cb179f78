/* pit.h - 8254 interval timer, ports 40h-43h, and system control port B, 61h. */
#ifndef HW_PIT_H
#define HW_PIT_H

#include "hw/dev.h"

#define PIT_HZ 1193182u

struct pit;
/* irq0 follows OUT of channel 0. */
struct pit *pit_new(struct chip_list *, struct ports *, struct clock *, struct irq irq0);
/* What the speaker plays: frequency in Hz, 0 for silence. */
unsigned pit_speaker_hz(struct pit *);

/*
 * A speaker: change() is called before what it hears changes, and when it was turned on or off (port 61h, bit 1).
 * Then OUT of channel 2 can be asked for up to now, in the order of time.
 */
void pit_speaker(struct pit *, void (*change)(void *dev), void *dev);
bool pit_speaker_on(const struct pit *);
bool pit_speaker_out(struct pit *, uint64_t ns);

#endif
