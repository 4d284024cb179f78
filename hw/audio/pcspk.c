/*
 * pcspk.c - the PC's speaker: OUT of the timer's channel 2 while port 61h's bit 1 lets it through.
 *
 * Each frame is the mean of OUT over its time, looked at POINTS times: software that plays samples by
 * pulses of different lengths is heard as it is meant. What is due is made before the timer or port 61h
 * change, and by a timer. The voice stops a while after the speaker was turned off, so that quick turns of
 * it make one sound.
 */
#include "hw/audio/pcspk.h"

#include <string.h>

#include "hw/pit.h"

#define RATE 48000u
#define POINTS 8
#define LOUD 8000               /* of 32767 */
#define CHUNK 480u              /* frames that are made at once; the timer comes as often */
#define LINGER 100000000u

struct pcspk {
    struct pit *pit;
    struct clock *clock;
    struct timer timer;
    struct audio_voice voice;
    struct audio_pace pace;     /* rate 0: silent */
    uint64_t heard;             /* when it was last on */
};

static const struct field pcspk_state[] = {
    FIELD(struct pcspk, pace.start), FIELD(struct pcspk, pace.done), FIELD(struct pcspk, pace.rate),
    FIELD(struct pcspk, heard), FIELD_END
};

static const struct audio_format format = { RATE, 1, SAMPLE_S16 };

static int16_t make_frame(struct pcspk *s, unsigned n)
{
    uint64_t from = audio_pace_when(&s->pace, n), to = audio_pace_when(&s->pace, n + 1);
    int high = 0;

    for (unsigned i = 0; i < POINTS; i++)
        high += pit_speaker_out(s->pit, from + (to - from) * i / POINTS) ? 1 : -1;
    return (int16_t)(high * LOUD / POINTS);
}

static void make_frames(struct pcspk *s, unsigned due)
{
    uint8_t buf[2 * CHUNK];

    while (due) {
        unsigned n = due < CHUNK ? due : CHUNK;

        memset(buf, 0, sizeof(buf));
        for (unsigned i = 0; i < n && pit_speaker_on(s->pit); i++) {
            int16_t f = make_frame(s, i);

            buf[2 * i] = f;
            buf[2 * i + 1] = f >> 8;
        }
        audio_write(&s->voice, buf, n);
        audio_pace_took(&s->pace, n);
        due -= n;
    }
}

static void change(void *dev)
{
    struct pcspk *s = dev;
    uint64_t now = clock_now(s->clock);
    bool on = pit_speaker_on(s->pit);

    if (s->pace.rate)
        make_frames(s, audio_pace_due(&s->pace, now));
    if (on) {
        s->heard = now;
        if (!s->pace.rate) {
            audio_pace_start(&s->pace, now, RATE);
            audio_start(&s->voice, &format);
        }
    } else if (s->pace.rate && now - s->heard >= LINGER) {
        s->pace.rate = 0;
        audio_stop(&s->voice);
    }
    if (s->pace.rate)
        timer_set(&s->timer, audio_pace_when(&s->pace, CHUNK));
    else
        timer_cancel(&s->timer);
}

static void pcspk_reset(void *dev)
{
    struct pcspk *s = dev;

    audio_stop(&s->voice);
    s->pace = (struct audio_pace){ 0 };
    s->heard = 0;
    timer_cancel(&s->timer);
}

static const char *pcspk_check(const void *dev)
{
    return audio_pace_check(&((const struct pcspk *)dev)->pace, RATE, RATE);
}

static void pcspk_loaded(void *dev)
{
    struct pcspk *s = dev;

    audio_stop(&s->voice);
    if (s->pace.rate) {
        s->pace.rate = RATE;
        audio_start(&s->voice, &format);
        timer_set(&s->timer, audio_pace_when(&s->pace, CHUNK));
    } else {
        timer_cancel(&s->timer);
    }
}

static void pcspk_free(void *dev)
{
    audio_voice_free(&((struct pcspk *)dev)->voice);
}

static const struct chip pcspk_chip = {
    "pcspk", sizeof(struct pcspk), pcspk_reset, pcspk_state, pcspk_loaded, pcspk_free,
    .check = pcspk_check
};

void pcspk_new(struct chip_list *chips, struct pit *pit, struct clock *clock, struct audio *audio)
{
    struct pcspk *s = chip_new(chips, &pcspk_chip, "pcspk");

    s->pit = pit;
    s->clock = clock;
    timer_init(&s->timer, clock, change, s);
    audio_voice_init(&s->voice, audio);
    pcspk_reset(s);
    pit_speaker(pit, change, s);
}
