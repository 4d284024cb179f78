/*
 * audio_if.h - sound between a chip and the outside, seen from both (hw/audio/audio.c).
 *
 * A chip plays at its sample clock, which is virtual time: when frames are due it fetches them and writes
 * them to its voice, which never blocks. Voices convert to the outside's rate, 16 bits and two channels,
 * and keep a bounded number of frames; the outside (host/audio_*.c, or a test) mixes and takes them. What
 * it does not take in time is lost, what is missing is silence. The same towards the guest: what was not
 * recorded in time is silence. Everything is called with the device lock held, but for audio_mix(), which
 * may be called by a thread that holds what ops->lock() takes.
 */
#ifndef HW_AUDIO_IF_H
#define HW_AUDIO_IF_H

#include <stdbool.h>
#include <stdint.h>

struct clock;
struct audio;

#define AUDIO_CHANNELS_MAX 16u
#define AUDIO_RATE_MAX 192000u
#define AUDIO_UNITY 0x10000u            /* volume as it is */

enum audio_sample { SAMPLE_U8, SAMPLE_S16, SAMPLE_S32 };   /* little-endian; S32: the upper bits count */

struct audio_format {
    unsigned rate, channels;            /* 1 to AUDIO_RATE_MAX, 1 to AUDIO_CHANNELS_MAX: the first two are heard */
    enum audio_sample sample;
};

#define AUDIO_RING 32768u               /* frames; a power of two */

struct audio_voice {
    struct audio *audio;                /* NULL: nowhere */
    struct audio_format format;
    bool active;
    bool waits;                         /* it ran dry: not heard until it has audio->prefill frames */
    uint32_t volume[2];
    uint64_t phase;                     /* resampling: 32.32 frames since `last` */
    int16_t last[2];
    int16_t (*ring)[2];
    unsigned head, fill;                /* of the ring */
    struct audio_voice *next;
};

struct audio_ops {
    void (*written)(struct audio *);            /* a voice has more frames */
    void (*lock)(struct audio *, bool on);      /* NULL: audio_mix() is called with the device lock */
    /* Up to n recorded frames of two channels; returns how many there are. NULL: nothing is recorded. */
    unsigned (*record)(struct audio *, int16_t (*to)[2], unsigned n);
};

struct audio {
    const struct audio_ops *ops;        /* NULL: all sound is discarded */
    const char *id;
    unsigned rate;                      /* frames a second that it takes and records */
    unsigned limit;                     /* frames a voice keeps, at most AUDIO_RING */
    unsigned prefill;                   /* frames an empty voice collects first; below limit */
    struct audio_voice *voices;
};

static inline unsigned audio_frame_bytes(const struct audio_format *f)
{
    return f->channels * (f->sample == SAMPLE_U8 ? 1 : f->sample == SAMPLE_S16 ? 2 : 4);
}

/* ---- chips ---- */
void audio_voice_init(struct audio_voice *, struct audio *);
void audio_voice_free(struct audio_voice *);
void audio_start(struct audio_voice *, const struct audio_format *);
void audio_stop(struct audio_voice *);
void audio_volume(struct audio_voice *, uint32_t left, uint32_t right);
void audio_write(struct audio_voice *, const void *data, unsigned frames);
/* Record in that format; always n frames. */
void audio_read(struct audio *, const struct audio_format *, void *data, unsigned n);

/* A sample clock: which frames are due at a time. Part of a chip's state (start and done). */
struct audio_pace {
    uint64_t start, done;
    unsigned rate;                      /* 0: stopped */
};
void audio_pace_start(struct audio_pace *, uint64_t now, unsigned rate);
/* Frames that are due; at most a second's, what is more is skipped. */
unsigned audio_pace_due(struct audio_pace *, uint64_t now);
static inline void audio_pace_took(struct audio_pace *p, unsigned frames)
{
    p->done += frames;
}
/* When that many more frames are due. */
uint64_t audio_pace_when(const struct audio_pace *, unsigned frames);
/* For a chip's check(): what is wrong with one that is to be loaded, and has that rate if it runs; NULL: nothing. */
const char *audio_pace_check(const struct audio_pace *, unsigned least, unsigned most);

/* ---- the outside ---- */
/* Frames that all voices that play have; a voice that is far ahead of the others counts alone. */
unsigned audio_ready(const struct audio *);
/* Adds up the next n frames. Returns how many at least one voice had. */
unsigned audio_mix(struct audio *, int16_t (*to)[2], unsigned n);

#endif
