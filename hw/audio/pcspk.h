/* pcspk.h - the PC's speaker, which hears channel 2 of the timer. */
#ifndef HW_AUDIO_PCSPK_H
#define HW_AUDIO_PCSPK_H

#include "hw/audio_if.h"
#include "hw/dev.h"

struct pit;
void pcspk_new(struct chip_list *, struct pit *, struct clock *, struct audio *);

#endif
