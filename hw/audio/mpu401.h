/* mpu401.h - Roland's MPU-401 as sound cards have it: in UART mode, without a MIDI device at its plugs. */
#ifndef HW_AUDIO_MPU401_H
#define HW_AUDIO_MPU401_H

#include "hw/dev.h"

struct mpu401;
/* Two ports from `base` on. Dies if one is taken. */
struct mpu401 *mpu401_new(struct chip_list *, const char *name, struct ports *, uint16_t base);

#endif
