/* opl3_int.h - what opl3.c (registers, timers, time) and opl3_synth.c (sound) share. */
#ifndef HW_AUDIO_OPL3_INT_H
#define HW_AUDIO_OPL3_INT_H

#include "hw/audio/opl3.h"

#define OPL3_RATE 49716u        /* 14.31818 MHz / 288 */
#define OPL3_CHANNELS 18u
#define OPL3_SLOTS 36u          /* operators: 2n and 2n + 1 are channel n's */
#define OPL3_SILENT 511u        /* level of an envelope: units of 0.1875 dB, at most 96 dB */

enum opl3_stage { STAGE_OFF, STAGE_ATTACK, STAGE_DECAY, STAGE_SUSTAIN, STAGE_RELEASE, STAGES };

struct opl3 {
    enum opl3_kind kind;
    struct clock *clock;
    struct timer timer;
    struct audio_voice voice;
    struct audio_pace pace;     /* rate 0: silent, nothing is made */
    uint32_t idle;              /* frames since the last envelope ended */
    uint8_t regs[0x200];
    uint16_t index;
    uint8_t status;
    uint64_t overflow[2];       /* of the timers; UINT64_MAX: stopped */

    /* what sounds; by operator */
    uint32_t phase[OPL3_SLOTS]; /* 19 bits, the upper 10 of them a position in the wave */
    uint16_t level[OPL3_SLOTS];
    uint8_t stage[OPL3_SLOTS], keyed[OPL3_SLOTS];
    int16_t out[OPL3_SLOTS], before[OPL3_SLOTS];        /* feedback */
    uint32_t count, noise;

    /* what the registers say, by opl3_update() */
    struct opl3_slot {
        uint16_t fnum, block, attenuation, sustain;     /* attenuation: of total level and key scaling */
        uint8_t multiple2, wave, feedback, rate[STAGES];
        bool vibrato, tremolo, sustained;
    } slot[OPL3_SLOTS];
    uint8_t four[OPL3_CHANNELS];        /* 1: the first of two that have four operators, 2: the second */
    bool rhythm;
};

static inline bool opl3_is_new(const struct opl3 *o)
{
    return o->kind == OPL3 && o->regs[0x105] & 1;
}

/* A register was written: what follows from it, notes that begin or end among that. */
void opl3_update(struct opl3 *);
/* One frame of its two channels; all envelopes move on. */
void opl3_frame(struct opl3 *, int16_t to[2]);
/* No envelope is above silence, or on its way there. */
bool opl3_is_silent(const struct opl3 *);
/* The ROMs, once. */
void opl3_tables(void);

#endif
