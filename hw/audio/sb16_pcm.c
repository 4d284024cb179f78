/*
 * sb16_pcm.c - samples between memory and the Sound Blaster's DAC and ADC: blocks, formats, their pace.
 *
 * Units (bytes, or words of 16 bits) are moved by DMA at their rate: what is due when a timer fires, or before anything
 * changes. A block's end is an interrupt; then comes the next block, or the last level stands at the output for a
 * while, so that blocks that follow one another make one sound. A channel that gives nothing stalls the transfer,
 * and it goes on when the channel does. Invariants: while PLAY, RECORD or SILENCE: left >= 1, and pace.rate is 0 while
 * paused or stalled.
 */
#include <string.h>

#include "base/log.h"
#include "hw/audio/sb16_int.h"

#define CHUNK 512u              /* units that are moved at once */
#define DIRECT_RATE 44100u      /* frames that stand for what direct mode writes */
#define LINGER_MS 100u
#define STEP_MS 10u             /* that are moved at once, at most */
#define RATE_MIN 3906u          /* time constant 0 */
#define RATE_MAX 45454u
#define UNIT_RATE_MIN (RATE_MIN / 4)    /* of bytes that stand for four samples */

static unsigned unit_bytes(const struct sb16 *s)
{
    return s->now.codec == SB16_PCM16 ? 2 : 1;
}

static unsigned channels(const struct sb16 *s)
{
    return s->now.stereo ? 2 : 1;
}

static unsigned unit_rate(const struct sb16 *s)
{
    return s->rate * (s->now.shares_rate ? 1 : channels(s)) / sb16_adpcm_samples(s->now.codec);
}

/* Frames a second at the output. */
static unsigned frame_rate(const struct sb16 *s)
{
    return unit_rate(s) * sb16_adpcm_samples(s->now.codec) / channels(s);
}

/* PCM16 goes through a byte channel where no word channel is chosen. */
static unsigned channel_of(const struct sb16 *s)
{
    return s->now.codec == SB16_PCM16 && s->channel16 != SB16_NO_DMA ? s->channel16 : s->channel8;
}

bool sb16_pcm_runs(const struct sb16 *s)
{
    return s->now.kind == SB16_PLAY || s->now.kind == SB16_RECORD || s->now.kind == SB16_SILENCE;
}

static bool wants_dma(const struct sb16 *s)
{
    return (s->now.kind == SB16_PLAY || s->now.kind == SB16_RECORD) && !s->paused;
}

void sb16_pcm_request(struct sb16 *s)
{
    const uint8_t all[2] = { s->channel8, s->channel16 };

    for (unsigned i = 0; i < 2; i++)
        if (all[i] != SB16_NO_DMA)
            dma8237_request(s->dma, all[i], (wants_dma(s) && channel_of(s) == all[i]) || (i == 0 && s->ident_waits));
}

static void voice_on(struct sb16 *s, unsigned rate)
{
    const struct audio_format f = { rate, 2, SAMPLE_S16 };

    if (!s->voice.active || s->voice.format.rate != rate)
        audio_start(&s->voice, &f);
}

static void arm(struct sb16 *s)
{
    unsigned step = s->pace.rate * STEP_MS / 1000;

    if (!s->pace.rate) {
        timer_cancel(&s->timer);
        return;
    }
    if (sb16_pcm_runs(s) && s->left < step)
        step = s->left;
    timer_set(&s->timer, audio_pace_when(&s->pace, step ? step : 1));
}

/* Units are due from now on, if nothing holds them up. */
static void go(struct sb16 *s)
{
    s->pace.rate = 0;
    if (!s->paused && !s->stalled) {
        audio_pace_start(&s->pace, clock_now(s->clock), unit_rate(s));
        if (s->now.kind == SB16_RECORD)
            audio_stop(&s->voice);
        else
            voice_on(s, frame_rate(s));
    } else {
        audio_stop(&s->voice);
    }
    sb16_pcm_request(s);
    arm(s);
}

static void hold(struct sb16 *s, unsigned rate)
{
    s->now = (struct sb16_transfer){ .kind = SB16_HOLD };
    s->held = 0;
    audio_pace_start(&s->pace, clock_now(s->clock), rate);
    voice_on(s, rate);
    sb16_pcm_request(s);
    arm(s);
}

void sb16_pcm_stop(struct sb16 *s)
{
    s->now = s->next = (struct sb16_transfer){ .kind = SB16_IDLE };
    s->pace.rate = 0;
    s->left = s->paused = s->stalled = s->ends = s->high_speed = s->odd = s->half = 0;
    memset(s->level, 0, sizeof(s->level));
    audio_stop(&s->voice);
    sb16_pcm_request(s);
    arm(s);
}

/* ---- blocks ---- */

static void begin(struct sb16 *s, const struct sb16_transfer *t)
{
    s->now = *t;
    s->left = t->block;
    s->paused = s->stalled = s->ends = s->odd = s->half = 0;
    if (t->reference)
        s->adpcm = (struct sb16_adpcm){ .wants_reference = 1 };
    else
        sb16_adpcm_check(&s->adpcm, t->codec);
    go(s);
}

void sb16_pcm_start(struct sb16 *s, const struct sb16_transfer *t)
{
    sb16_pcm_catch_up(s);
    if (sb16_pcm_runs(s) && s->now.automatic && !t->automatic && s->now.kind == t->kind && s->now.codec == t->codec) {
        s->next = *t;
        return;
    }
    s->next.kind = SB16_IDLE;
    begin(s, t);
}

static void block_end(struct sb16 *s)
{
    bool goes_on = s->now.automatic && !s->ends;
    unsigned rate = frame_rate(s);

    sb16_irq(s, s->now.codec == SB16_PCM16 ? SB16_IRQ16 : SB16_IRQ8, true);
    if (s->next.kind != SB16_IDLE) {
        const struct sb16_transfer next = s->next;

        s->next.kind = SB16_IDLE;
        begin(s, &next);
    } else if (goes_on) {
        s->left = s->now.block;
    } else {
        bool heard = s->now.kind != SB16_RECORD;

        s->ends = s->high_speed = 0;
        if (heard)
            hold(s, rate);
        else
            sb16_pcm_stop(s);
    }
}

/* ---- to the output ---- */

struct frames {
    uint8_t buf[4 * 4 * CHUNK]; /* a byte stands for four frames at most */
    unsigned n;
};

static void put_level(const struct sb16 *s, struct frames *f)
{
    for (unsigned c = 0; c < 2; c++) {
        f->buf[4 * f->n + 2 * c] = s->level[c];
        f->buf[4 * f->n + 2 * c + 1] = s->level[c] >> 8;
    }
    f->n++;
}

static void put_sample(struct sb16 *s, struct frames *f, int16_t v)
{
    if (!s->now.stereo) {
        s->level[0] = s->level[1] = v;
    } else {
        s->level[s->half] = v;
        s->half ^= 1;
        if (s->half)
            return;
    }
    put_level(s, f);
}

static int16_t from_byte(uint8_t v, bool is_signed)
{
    return (int16_t)((is_signed ? (int8_t)v : v - 128) * 256);
}

static void put_units(struct sb16 *s, struct frames *f, const uint8_t *p, unsigned n)
{
    bool is_signed = s->now.is_signed;

    for (unsigned i = 0; i < n; i++) {
        uint8_t samples[4];
        unsigned k = 0;

        if (s->now.codec == SB16_PCM8)
            put_sample(s, f, from_byte(p[i], is_signed));
        else if (s->now.codec == SB16_PCM16)
            put_sample(s, f, (int16_t)((p[2 * i] | p[2 * i + 1] << 8) ^ (is_signed ? 0 : 0x8000)));
        else
            k = sb16_adpcm_decode(&s->adpcm, s->now.codec, p[i], samples);
        for (unsigned j = 0; j < k; j++)
            put_sample(s, f, from_byte(samples[j], false));
    }
}

/* Up to `n` units of memory; returns how many came. */
static unsigned fetch(struct sb16 *s, uint8_t *p, unsigned n)
{
    unsigned ch = channel_of(s), len = n * unit_bytes(s), got = 0, k;
    bool tc;

    if (s->odd)
        p[got++] = s->odd_byte;
    do {
        k = ch == SB16_NO_DMA ? 0 : dma8237_from_memory(s->dma, ch, p + got, len - got, &tc);
        got += k;
    } while (k && got < len);
    s->odd = got % unit_bytes(s);
    if (s->odd)
        s->odd_byte = p[got - 1];
    return got / unit_bytes(s);
}

static unsigned play(struct sb16 *s, unsigned n)
{
    uint8_t units[2 * CHUNK];
    struct frames f = { .n = 0 };

    if (s->now.kind == SB16_SILENCE)
        memset(units, 0x80, n);
    else
        n = fetch(s, units, n);
    put_units(s, &f, units, n);
    if (!s->speaker && s->version < 0x400)      /* later ones only remember the switch */
        memset(f.buf, 0, 4 * f.n);
    audio_write(&s->voice, f.buf, f.n);
    return n;
}

/* ---- from the input ---- */

/* Frames that the host recorded, at most CHUNK; all at once, since others' rates come out even only over many. */
static void read_input(struct sb16 *s, int16_t (*to)[2], unsigned n)
{
    const struct audio_format f = { frame_rate(s), 2, SAMPLE_S16 };
    uint8_t b[4 * CHUNK];

    audio_read(s->audio, &f, b, n);
    for (unsigned i = 0; i < 2 * n; i++) {
        int64_t v = (int16_t)(b[2 * i] | b[2 * i + 1] << 8) * (int64_t)sb16_mixer_input(s, i & 1) / AUDIO_UNITY;

        to[i / 2][i & 1] = v < INT16_MIN ? INT16_MIN : v > INT16_MAX ? INT16_MAX : v;
    }
}

/* The next sample; a new frame is taken from *from where the last one is used up. */
static int16_t input_sample(struct sb16 *s, const int16_t (**from)[2])
{
    if (!s->half)
        memcpy(s->level, *(*from)++, sizeof(s->level));
    if (!s->now.stereo)
        return (s->level[0] + s->level[1]) / 2;
    s->half ^= 1;
    return s->level[!s->half];
}

static bool put_input(struct sb16 *s, unsigned ch, int16_t v)
{
    unsigned width = unit_bytes(s), k;
    uint8_t b[2] = { v, v >> 8 };
    bool tc;

    if (width == 1)
        b[0] = b[1];
    if (!s->now.is_signed)
        b[width - 1] ^= 0x80;
    k = dma8237_to_memory(s->dma, ch, b, width, &tc);
    if (k && k < width)         /* a byte channel's count ended within a word */
        dma8237_to_memory(s->dma, ch, b + k, width - k, &tc);
    return k;
}

static unsigned record(struct sb16 *s, unsigned n)
{
    unsigned ch = channel_of(s), done = 0;
    int16_t in[CHUNK][2];
    const int16_t (*from)[2] = (const int16_t (*)[2])in;

    if (ch == SB16_NO_DMA || !dma8237_granted(s->dma, ch))
        return 0;
    read_input(s, in, s->now.stereo ? (n + !s->half) / 2 : n);
    while (done < n && dma8237_granted(s->dma, ch) && put_input(s, ch, input_sample(s, &from)))
        done++;
    return done;
}

uint8_t sb16_pcm_sample(struct sb16 *s)
{
    int16_t f[1][2];

    sb16_pcm_catch_up(s);
    read_input(s, f, 1);
    return ((f[0][0] + f[0][1]) / 2 >> 8) + 128;
}

/* ---- time ---- */

static void advance(struct sb16 *s)
{
    unsigned due;

    while (sb16_pcm_runs(s) && (due = audio_pace_due(&s->pace, clock_now(s->clock)))) {
        unsigned n = due < s->left ? due : s->left, k;

        n = n < CHUNK ? n : CHUNK;
        k = s->now.kind == SB16_RECORD ? record(s, n) : play(s, n);
        audio_pace_took(&s->pace, k);
        s->left -= k;
        if (k < n) {
            s->stalled = 1;
            log_dev(SB16, "DMA gives nothing: %u units are left", s->left);
            go(s);
        } else if (!s->left) {
            block_end(s);
        }
    }
}

static void keep_level(struct sb16 *s)
{
    unsigned due = audio_pace_due(&s->pace, clock_now(s->clock)), rate = s->pace.rate;

    audio_pace_took(&s->pace, due);
    s->held += due;
    while (due) {
        unsigned n = due < CHUNK ? due : CHUNK;
        struct frames f = { .n = 0 };

        while (f.n < n)
            put_level(s, &f);
        if (!s->speaker && s->version < 0x400)
            memset(f.buf, 0, 4 * f.n);
        audio_write(&s->voice, f.buf, n);
        due -= n;
    }
    if (s->held >= rate * LINGER_MS / 1000)
        sb16_pcm_stop(s);
}

void sb16_pcm_catch_up(struct sb16 *s)
{
    if (s->now.kind == SB16_HOLD)
        keep_level(s);
    else if (s->pace.rate)
        advance(s);
    arm(s);
}

void sb16_pcm_fire(void *dev)
{
    sb16_pcm_catch_up(dev);
}

void sb16_pcm_ready(void *dev)
{
    struct sb16 *s = dev;

    if (s->ident_waits)
        sb16_dsp_ident(s);
    if (wants_dma(s) && s->stalled) {
        s->stalled = 0;
        go(s);
    }
}

/* ---- what commands ask for ---- */

void sb16_pcm_direct(struct sb16 *s, uint8_t val)
{
    sb16_pcm_catch_up(s);
    if (sb16_pcm_runs(s))
        sb16_pcm_stop(s);
    if (s->now.kind != SB16_HOLD || s->pace.rate != DIRECT_RATE)
        hold(s, DIRECT_RATE);
    s->held = 0;
    s->level[0] = s->level[1] = from_byte(val, false);
}

void sb16_pcm_rate(struct sb16 *s, unsigned rate)
{
    sb16_pcm_catch_up(s);
    s->rate = rate < RATE_MIN ? RATE_MIN : rate > RATE_MAX ? RATE_MAX : rate;
    if (sb16_pcm_runs(s))
        go(s);
}

void sb16_pcm_pause(struct sb16 *s, bool wide, bool on)
{
    sb16_pcm_catch_up(s);
    if (!sb16_pcm_runs(s) || wide != (s->now.codec == SB16_PCM16) || s->paused == on)
        return;
    s->paused = on;
    s->stalled = 0;             /* if it still is, that will be seen */
    go(s);
}

void sb16_pcm_exit(struct sb16 *s, bool wide, bool on)
{
    sb16_pcm_catch_up(s);
    if (sb16_pcm_runs(s) && wide == (s->now.codec == SB16_PCM16))
        s->ends = on;
}

static bool is_empty(const struct sb16_transfer *t)
{
    return t->kind > SB16_HOLD && !t->block;
}

const char *sb16_pcm_check(const struct sb16 *s)
{
    struct audio_pace p = s->pace;

    if (is_empty(&s->now) || is_empty(&s->next))
        return "block is 0 of a transfer";
    if (sb16_pcm_runs(s) && (!s->left || s->left > s->now.block))
        return "left is not within the block";
    if (s->now.kind == SB16_HOLD && (!s->pace.rate || s->pace.rate > RATE_MAX))
        return "pace.rate is none that a level is held with";
    if (s->rate < RATE_MIN || s->rate > RATE_MAX)
        return "rate is none that it can have";
    if (sb16_pcm_runs(s))       /* as it will be */
        p.rate = unit_rate(s);
    return audio_pace_check(&p, UNIT_RATE_MIN, 2 * RATE_MAX);
}

void sb16_pcm_loaded(struct sb16 *s)
{
    audio_stop(&s->voice);
    sb16_adpcm_check(&s->adpcm, s->now.codec);
    if (s->now.kind == SB16_IDLE) {
        sb16_pcm_stop(s);
        return;
    }
    if (s->now.kind != SB16_HOLD)
        s->pace.rate = s->paused || s->stalled ? 0 : unit_rate(s);
    if (s->pace.rate && s->now.kind != SB16_RECORD)
        voice_on(s, s->now.kind == SB16_HOLD ? s->pace.rate : frame_rate(s));
    sb16_pcm_request(s);
    arm(s);
}
