/*
 * audio.c - voices, their conversion, and mixing (audio_if.h).
 *
 * Between rates that differ, frames are interpolated linearly; where rate and volume are the same on both
 * sides, 16-bit samples pass unchanged. Invariants: fill <= limit <= AUDIO_RING, head < AUDIO_RING.
 */
#include "hw/audio_if.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "hw/dev.h"

#define SECOND 1000000000u

/* ---- time ---- */

void audio_pace_start(struct audio_pace *p, uint64_t now, unsigned rate)
{
    *p = (struct audio_pace){ now, 0, rate };
}

unsigned audio_pace_due(struct audio_pace *p, uint64_t now)
{
    uint64_t t = now - p->start, frames;

    if (!p->rate || now < p->start)
        return 0;
    frames = t / SECOND * p->rate + t % SECOND * p->rate / SECOND;
    if (frames <= p->done)
        return 0;
    if (frames - p->done > p->rate)
        p->done = frames - p->rate;
    return frames - p->done;
}

uint64_t audio_pace_when(const struct audio_pace *p, unsigned frames)
{
    uint64_t n = p->done + frames;

    if (!p->rate)
        return UINT64_MAX;
    return p->start + n / p->rate * SECOND + (n % p->rate * SECOND + p->rate - 1) / p->rate;
}

const char *audio_pace_check(const struct audio_pace *p, unsigned least, unsigned most)
{
    if (p->rate && (p->rate < least || p->rate > most))
        return "pace.rate is none that it can have";
    if (p->start > CLOCK_END)
        return "pace.start is behind the end of time";
    return p->rate && p->done / p->rate > CLOCK_END / SECOND ? "pace.done is behind the end of time" : NULL;
}

/* ---- voices ---- */

static void lock(struct audio *a, bool on)
{
    if (a->ops && a->ops->lock)
        a->ops->lock(a, on);
}

void audio_voice_init(struct audio_voice *v, struct audio *a)
{
    *v = (struct audio_voice){ .audio = a, .volume = { AUDIO_UNITY, AUDIO_UNITY } };
    if (!a || !a->ops)
        return;
    v->ring = calloc(AUDIO_RING, sizeof(v->ring[0]));
    if (!v->ring)
        die(EXIT_CODE_HOST, "out of memory for sound");
    lock(a, true);
    v->next = a->voices;
    a->voices = v;
    lock(a, false);
}

void audio_voice_free(struct audio_voice *v)
{
    struct audio_voice **at = v->audio ? &v->audio->voices : NULL;

    if (!v->ring)
        return;
    lock(v->audio, true);
    while (*at && *at != v)
        at = &(*at)->next;
    if (*at)
        *at = v->next;
    lock(v->audio, false);
    free(v->ring);
    v->ring = NULL;
}

void audio_start(struct audio_voice *v, const struct audio_format *f)
{
    if (v->audio)
        lock(v->audio, true);
    v->format = *f;
    v->active = true;
    v->phase = 0;
    memset(v->last, 0, sizeof(v->last));
    if (v->audio)
        lock(v->audio, false);
}

void audio_stop(struct audio_voice *v)
{
    if (!v->active)
        return;
    if (v->audio)
        lock(v->audio, true);
    v->active = false;
    if (v->audio)
        lock(v->audio, false);
    if (v->ring && v->audio->ops->written)
        v->audio->ops->written(v->audio);
}

void audio_volume(struct audio_voice *v, uint32_t left, uint32_t right)
{
    v->volume[0] = left;
    v->volume[1] = right;
}

/* ---- conversion ---- */

static int16_t clip(int64_t v)
{
    return v < INT16_MIN ? INT16_MIN : v > INT16_MAX ? INT16_MAX : (int16_t)v;
}

/* In units of 1/256 of a 16-bit sample's, so that volume does not lose what wider formats have. */
static int64_t sample(const uint8_t *p, enum audio_sample kind)
{
    switch (kind) {
    case SAMPLE_U8: return (p[0] - 128) * 65536ll;
    case SAMPLE_S16: return (int16_t)(p[0] | p[1] << 8) * 256ll;
    case SAMPLE_S32: return (int32_t)(p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24) / 256;
    }
    return 0;
}

static void frame(const struct audio_voice *v, const uint8_t *p, int16_t to[2])
{
    unsigned width = audio_frame_bytes(&v->format) / v->format.channels;

    for (unsigned c = 0; c < 2; c++) {
        int64_t s = sample(p + (c < v->format.channels ? c : 0) * width, v->format.sample);

        to[c] = clip(s * v->volume[c] / AUDIO_UNITY / 256);
    }
}

static void put(struct audio_voice *v, const int16_t f[2])
{
    unsigned at = (v->head + v->fill) % AUDIO_RING;

    if (v->fill >= v->audio->limit)
        return;
    v->ring[at][0] = f[0];
    v->ring[at][1] = f[1];
    v->fill++;
}

void audio_write(struct audio_voice *v, const void *data, unsigned frames)
{
    const uint8_t *p = data;
    unsigned bytes = audio_frame_bytes(&v->format);
    struct audio *a = v->audio;
    uint64_t step;

    if (!v->ring || !v->active)
        return;
    lock(a, true);
    step = ((uint64_t)v->format.rate << 32) / a->rate;
    for (unsigned n = 0; n < frames; n++, p += bytes) {
        int16_t now[2];

        frame(v, p, now);
        if (v->format.rate == a->rate) {
            put(v, now);
            continue;
        }
        for (; v->phase < 1ull << 32; v->phase += step) {
            int16_t mid[2];

            for (unsigned c = 0; c < 2; c++)
                mid[c] = clip(v->last[c] + (((int64_t)now[c] - v->last[c]) * (int64_t)(v->phase >> 16)) / 65536);
            put(v, mid);
        }
        v->phase -= 1ull << 32;
        memcpy(v->last, now, sizeof(now));
    }
    lock(a, false);
    if (a->ops->written)
        a->ops->written(a);
}

static void unframe(const int16_t from[2], const struct audio_format *f, uint8_t *p)
{
    for (unsigned c = 0; c < f->channels; c++) {
        int s = f->channels == 1 ? (from[0] + from[1]) / 2 : c < 2 ? from[c] : 0;

        switch (f->sample) {
        case SAMPLE_U8:
            *p++ = (s >> 8) + 128;
            break;
        case SAMPLE_S32:
            *p++ = 0;
            *p++ = 0;
            /* fall through */
        case SAMPLE_S16:
            *p++ = s;
            *p++ = s >> 8;
            break;
        }
    }
}

void audio_read(struct audio *a, const struct audio_format *f, void *data, unsigned n)
{
    static const int16_t silence[2];
    unsigned bytes = audio_frame_bytes(f);
    uint8_t *p = data;
    int16_t in[512][2];

    while (n) {
        unsigned k = n < 512 ? n : 512, need = k, got = 0;

        /* Other rates: the nearest frame; recordings of voices do not need more. */
        if (a && a->ops && a->ops->record) {
            need = (uint64_t)k * a->rate / f->rate;
            if (need > 512) {
                k = 512ull * f->rate / a->rate;
                k = k ? k : 1;
                need = 512;
            }
            got = a->ops->record(a, in, need);
        }
        for (unsigned i = 0; i < k; i++, p += bytes) {
            unsigned from = need == k ? i : (uint64_t)i * need / k;

            unframe(from < got ? in[from] : silence, f, p);
        }
        n -= k;
    }
}

/* ---- the outside ---- */

unsigned audio_ready(const struct audio *a)
{
    unsigned least = AUDIO_RING, most = 0;
    bool playing = false;

    for (const struct audio_voice *v = a->voices; v; v = v->next) {
        if (v->fill > most)
            most = v->fill;
        if (v->active && v->fill < least)
            least = v->fill;
        playing |= v->active;
    }
    if (!playing)
        return most;
    return most - least > a->limit / 2 ? most - a->limit / 2 : least;
}

unsigned audio_mix(struct audio *a, int16_t (*to)[2], unsigned n)
{
    unsigned some = 0;

    for (struct audio_voice *v = a->voices; v; v = v->next)
        if (!v->active || v->fill >= a->prefill)
            v->waits = false;
    for (unsigned i = 0; i < n; i++) {
        int sum[2] = { 0, 0 };

        for (struct audio_voice *v = a->voices; v; v = v->next) {
            if (!v->fill || v->waits) {
                v->waits = a->prefill > 0;
                continue;
            }
            sum[0] += v->ring[v->head][0];
            sum[1] += v->ring[v->head][1];
            v->head = (v->head + 1) % AUDIO_RING;
            v->fill--;
            some = i + 1;
        }
        to[i][0] = clip(sum[0]);
        to[i][1] = clip(sum[1]);
    }
    return some;
}
