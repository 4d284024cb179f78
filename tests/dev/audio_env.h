/*
 * audio_env.h - an outside for sound cards: it keeps what is played and gives a counting pattern to record.
 */
#ifndef TESTS_DEV_AUDIO_ENV_H
#define TESTS_DEV_AUDIO_ENV_H

#include "hw/audio_if.h"

#define HEARD_MAX 400000u

struct audio_env {
    struct audio audio;
    int16_t (*heard)[2];
    unsigned n;
    uint16_t recorded;          /* frames; frame i is i and -i */
};

struct audio_env *audio_env_new(unsigned rate);
void audio_env_free(struct audio_env *);

#endif
