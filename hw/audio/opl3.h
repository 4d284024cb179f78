/*
 * opl3.h - Yamaha's FM synthesisers YM3812 (OPL2) and YMF262 (OPL3), for sound cards.
 */
#ifndef HW_AUDIO_OPL3_H
#define HW_AUDIO_OPL3_H

#include "hw/audio_if.h"
#include "hw/dev.h"

struct opl3;

enum opl3_kind { OPL2, OPL3 };

/* It plays to `audio` (NULL: nowhere). It has no ports yet, and no interrupt line: no PC's card has that one wired. */
struct opl3 *opl3_new(struct chip_list *, const char *name, enum opl3_kind, struct clock *, struct audio *);
/* Its registers at `len` ports (2 or 4; the YM3812 has 2). Can be called more than once. Dies if one is taken. */
void opl3_map(struct opl3 *, struct ports *, uint16_t base, unsigned len, const char *name);
/* All that is due is made, by the volume so far. */
void opl3_catch_up(struct opl3 *);
/* What the card makes of its two channels: AUDIO_UNITY is as it is. */
void opl3_volume(struct opl3 *, uint32_t left, uint32_t right);

#endif
