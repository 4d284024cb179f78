/*
 * opl3_synth.c - the sound of opl3.c: 36 operators, from what is known of the chip (YM3812 and YMF262 application
 * manuals; its two ROMs, of which photographs were read, follow the formulas in opl3_tables()).
 *
 * All is done as in the chip, by integers: an operator's output is a power of two, whose exponent is the sum of a
 * sine's logarithm (units of 2^-8) and of an attenuation (0.1875 dB, 2^-5). Envelopes are attenuations that a counter
 * of frames moves, the faster the higher their rate. Order within a frame: envelopes and phases of all operators,
 * then channels in turn.
 */
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "hw/audio/opl3_int.h"

#define PHASE_BITS 19
#define QUARTER 0x100u          /* of a wave of 1024 steps */
#define HALF 0x200u
#define KEY_ON 0x20u

/* Operators of the rhythm: those of channels 6 to 8. */
enum { BASS = 12, HIHAT = 14, SNARE, TOM, CYMBAL };

static uint16_t log_sine[QUARTER], power[0x100];
static uint8_t key_scale[16];

static void fill_tables(void)
{
    for (unsigned i = 0; i < QUARTER; i++) {
        log_sine[i] = (uint16_t)lrint(-log2(sin((i + 0.5) * M_PI / 2 / QUARTER)) * 256);
        power[i] = (uint16_t)lrint((exp2(i / 256.0) - 1) * 1024);
    }
    for (unsigned i = 1; i < 16; i++)           /* 6 dB an octave, of the upper four bits of F-number */
        key_scale[i] = (uint8_t)ceil(32 + 8 * log2(i) - 1e-9);
}

void opl3_tables(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, fill_tables);
}

/* ---- what registers say ---- */

/* Of operator `op` of a channel, in the register groups 20h, 40h, 60h, 80h and E0h. */
static unsigned slot_offset(unsigned ch, unsigned op)
{
    unsigned n = ch % 9;

    return (ch / 9 ? 0x100 : 0) + n / 3 * 8 + n % 3 + 3 * op;
}

static unsigned channel_offset(unsigned ch)
{
    return (ch / 9 ? 0x100 : 0) + ch % 9;
}

/* Bits of register 104h join channels 0 + 3, 1 + 4 and 2 + 5 of each half. */
static unsigned four_role(const struct opl3 *o, unsigned ch)
{
    unsigned n = ch % 9, bit = n % 3 + (ch >= 9 ? 3 : 0);

    if (!opl3_is_new(o) || n >= 6 || !(o->regs[0x104] >> bit & 1))
        return 0;
    return n < 3 ? 1 : 2;
}

static uint8_t rate_of(unsigned nibble, unsigned scale)
{
    unsigned rate = nibble ? 4 * nibble + scale : 0;

    return rate < 63 ? rate : 63;
}

static uint16_t attenuation_of(uint8_t reg40, unsigned fnum, unsigned block)
{
    static const uint8_t shift[4] = { 8, 1, 2, 0 };     /* none, 3, 1.5 and 6 dB an octave */
    int scale = key_scale[fnum >> 6] * 4 - (8 - (int)block) * 32;

    return (reg40 & 0x3f) * 4 + (scale > 0 ? scale >> shift[reg40 >> 6] : 0);
}

static uint8_t wave_of(const struct opl3 *o, uint8_t reg)
{
    if (o->kind == OPL2)
        return o->regs[1] & 0x20 ? reg & 3 : 0;         /* register 01h lets them be chosen */
    return reg & (opl3_is_new(o) ? 7 : 3);
}

static void update_slot(struct opl3 *o, unsigned ch, unsigned op)
{
    static const uint8_t multiple2[16] = { 1, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 20, 24, 24, 30, 30 };
    struct opl3_slot *s = &o->slot[2 * ch + op];
    unsigned at = slot_offset(ch, op), from = channel_offset(o->four[ch] == 2 ? ch - 3 : ch);
    uint8_t flags = o->regs[0x20 + at], ad = o->regs[0x60 + at], sr = o->regs[0x80 + at], b0 = o->regs[0xb0 + from];
    unsigned split = o->regs[0x08] & 0x40 ? 8 : 9, key, scale;

    s->fnum = o->regs[0xa0 + from] | (b0 & 3) << 8;
    s->block = b0 >> 2 & 7;
    key = s->block << 1 | (s->fnum >> split & 1);
    scale = flags & 0x10 ? key : key >> 2;
    s->tremolo = flags & 0x80;
    s->vibrato = flags & 0x40;
    s->sustained = flags & 0x20;
    s->multiple2 = multiple2[flags & 15];
    s->attenuation = attenuation_of(o->regs[0x40 + at], s->fnum, s->block);
    s->rate[STAGE_ATTACK] = rate_of(ad >> 4, scale);
    s->rate[STAGE_DECAY] = rate_of(ad & 15, scale);
    s->rate[STAGE_RELEASE] = rate_of(sr & 15, scale);
    s->rate[STAGE_SUSTAIN] = s->sustained ? 0 : s->rate[STAGE_RELEASE];
    s->sustain = (sr >> 4 == 15 ? 31 : sr >> 4) * 16;   /* 3 dB each, the last one 93 */
    s->wave = wave_of(o, o->regs[0xe0 + at]);
    s->feedback = o->regs[0xc0 + channel_offset(ch)] >> 1 & 7;
}

static bool wants_key(const struct opl3 *o, unsigned n)
{
    static const uint8_t drum[6] = { 0x10, 0x10, 0x01, 0x08, 0x04, 0x02 };
    unsigned ch = n / 2, from = channel_offset(o->four[ch] == 2 ? ch - 3 : ch);

    return o->regs[0xb0 + from] & KEY_ON ||
           (o->rhythm && n >= BASS && n <= CYMBAL && o->regs[0xbd] & drum[n - BASS]);
}

void opl3_update(struct opl3 *o)
{
    o->rhythm = o->regs[0xbd] & 0x20;
    for (unsigned ch = 0; ch < OPL3_CHANNELS; ch++)
        o->four[ch] = four_role(o, ch);
    for (unsigned n = 0; n < OPL3_SLOTS; n++) {
        bool key;

        update_slot(o, n / 2, n % 2);
        key = wants_key(o, n);
        if (key && !o->keyed[n]) {
            o->stage[n] = STAGE_ATTACK;
            o->phase[n] = 0;
        } else if (!key && o->keyed[n] && o->stage[n] != STAGE_OFF) {
            o->stage[n] = STAGE_RELEASE;
        }
        o->keyed[n] = key;
    }
}

bool opl3_is_silent(const struct opl3 *o)
{
    for (unsigned n = 0; n < OPL3_SLOTS; n++)
        if (o->stage[n] != STAGE_OFF &&
            (o->level[n] < OPL3_SILENT || (o->stage[n] == STAGE_ATTACK && o->slot[n].rate[STAGE_ATTACK])))
            return false;
    return true;
}

/* ---- envelopes, phases ---- */

/*
 * By how much an envelope moves in this frame. A rate's upper four bits say how often (each more: twice as fast, from
 * 12 on in every frame), the lower two how many steps there are in eight such times: 4 to 7.
 */
static unsigned envelope_step(unsigned rate, uint32_t count)
{
    unsigned high = rate >> 2, shift = high < 12 ? 12 - high : 0, k, n;

    if (!rate || count & ((1u << shift) - 1))
        return 0;
    k = count >> shift & 7;
    n = high == 15 ? 32 : (4 + (rate & 3)) << (high > 12 ? high - 12 : 0);
    return (k + 1) * n / 8 - k * n / 8;
}

static void move_envelope(struct opl3 *o, unsigned n)
{
    const struct opl3_slot *s = &o->slot[n];
    unsigned stage = o->stage[n], step, level = o->level[n];

    if (stage == STAGE_OFF)
        return;
    step = envelope_step(s->rate[stage], o->count);
    if (stage == STAGE_ATTACK) {        /* the lower the attenuation, the slower it falls */
        level = s->rate[stage] >= 60 ? 0 : level - ((level + 1) * step + 7) / 8;
        o->stage[n] = level ? STAGE_ATTACK : STAGE_DECAY;
    } else {
        level += step;
        if (stage == STAGE_DECAY && level >= s->sustain)
            o->stage[n] = STAGE_SUSTAIN;
        if (level >= OPL3_SILENT) {
            level = OPL3_SILENT;
            o->stage[n] = stage == STAGE_RELEASE || !o->keyed[n] ? STAGE_OFF : o->stage[n];
        }
    }
    o->level[n] = level;
}

/* 6.1 Hz, up to 7 or 14 cents: a part of F-number is added or taken away. */
static int vibrato(const struct opl3 *o, unsigned fnum)
{
    unsigned step = o->count >> 10 & 7;
    int range = fnum >> 7 >> (o->regs[0xbd] & 0x40 ? 0 : 1);

    if (step % 4 == 0)
        return 0;
    range = step & 1 ? range >> 1 : range;
    return step & 4 ? -range : range;
}

/* 3.7 Hz, up to 1 or 4.8 dB. */
static unsigned tremolo(const struct opl3 *o)
{
    unsigned step = o->count / 64 % 210;

    return (step < 105 ? step : 210 - step) >> (o->regs[0xbd] & 0x80 ? 2 : 4);
}

static void move_phase(struct opl3 *o, unsigned n)
{
    const struct opl3_slot *s = &o->slot[n];
    unsigned fnum = s->fnum;

    if (s->vibrato)
        fnum += vibrato(o, fnum);
    o->phase[n] = (o->phase[n] + ((fnum << s->block >> 1) * s->multiple2 >> 1)) & ((1u << PHASE_BITS) - 1);
}

/* ---- operators ---- */

static unsigned sine_at(unsigned pos)
{
    return log_sine[(pos & QUARTER ? ~pos : pos) & (QUARTER - 1)];
}

/* A wave's value at one of 1024 positions, below an attenuation. */
static int wave_at(unsigned wave, unsigned pos, unsigned attenuation)
{
    bool second = pos & HALF, negative = second, silent = false;
    unsigned log = sine_at(pos);
    int value;

    switch (wave) {
    case 1:                     /* half a sine */
        silent = second;
        break;
    case 2:                     /* its absolute value */
        negative = false;
        break;
    case 3:                     /* rising quarters of that */
        silent = pos & QUARTER;
        negative = false;
        break;
    case 4:                     /* a whole one in the first half; its absolute value */
    case 5:
        silent = second;
        negative = wave == 4 && pos & QUARTER;
        log = sine_at(pos << 1);
        break;
    case 6:                     /* a square */
        log = 0;
        break;
    case 7:                     /* exponential: a line as logarithm */
        log = ((second ? ~pos : pos) & (HALF - 1)) << 3;
        break;
    }
    if (silent || attenuation >= OPL3_SILENT)
        return 0;
    log += attenuation << 3;
    value = (power[~log & 0xff] | 0x400) << 1 >> (log >> 8);
    return negative ? ~value : value;
}

static int operator_at(struct opl3 *o, unsigned n, unsigned pos)
{
    const struct opl3_slot *s = &o->slot[n];
    unsigned attenuation = o->level[n] + s->attenuation + (s->tremolo ? tremolo(o) : 0);

    return wave_at(s->wave, pos & 1023, o->stage[n] == STAGE_OFF ? OPL3_SILENT : attenuation);
}

/* `modulation` is added to its position. */
static int run(struct opl3 *o, unsigned n, int modulation)
{
    return operator_at(o, n, (o->phase[n] >> (PHASE_BITS - 10)) + (unsigned)modulation);
}

/* A channel's first: modulated by its own last two values, up to 4 pi. */
static int run_first(struct opl3 *o, unsigned n)
{
    unsigned feedback = o->slot[n].feedback;
    int value = run(o, n, feedback ? (o->out[n] + o->before[n]) >> (9 - feedback) : 0);

    o->before[n] = o->out[n];
    o->out[n] = value;
    return value;
}

/* ---- channels ---- */

static bool added(const struct opl3 *o, unsigned ch)
{
    return o->regs[0xc0 + channel_offset(ch)] & 1;
}

static int two(struct opl3 *o, unsigned ch)
{
    int first = run_first(o, 2 * ch);

    return added(o, ch) ? first + run(o, 2 * ch + 1, 0) : run(o, 2 * ch + 1, first);
}

/* Operators 1 and 2 are a channel's, 3 and 4 those of the third one after it. */
static int four(struct opl3 *o, unsigned ch)
{
    unsigned n2 = 2 * ch + 1, n3 = 2 * (ch + 3), n4 = n3 + 1;
    int first = run_first(o, 2 * ch);

    switch (added(o, ch) << 1 | added(o, ch + 3)) {
    case 0: return run(o, n4, run(o, n3, run(o, n2, first)));
    case 1: return run(o, n2, first) + run(o, n4, run(o, n3, 0));
    case 2: return first + run(o, n4, run(o, n3, run(o, n2, 0)));
    default: return first + run(o, n3, run(o, n2, 0)) + run(o, n4, 0);
    }
}

/*
 * Channels 6 to 8 as drums, twice as loud. Hi-hat, snare and cymbal take their positions from bits of the hi-hat's and
 * the cymbal's phases, and from noise.
 */
static int drums(struct opl3 *o, unsigned ch)
{
    unsigned hat = o->phase[HIHAT] >> (PHASE_BITS - 10), cymbal = o->phase[CYMBAL] >> (PHASE_BITS - 10);
    unsigned noise = o->noise & 1, mixed;
    int first;

    mixed = ((hat >> 2 ^ hat >> 7) | (hat >> 3 ^ cymbal >> 5) | (cymbal >> 3 ^ cymbal >> 5)) & 1;
    if (ch == 6) {              /* the bass: its first operator modulates or is not heard */
        first = run_first(o, BASS);
        return 2 * run(o, BASS + 1, added(o, 6) ? 0 : first);
    }
    if (ch == 7) {
        unsigned bit = hat >> 8 & 1;

        return 2 * (operator_at(o, HIHAT, mixed << 9 | (mixed ^ noise ? 0xd0 : 0x34)) +
                    operator_at(o, SNARE, bit << 9 | (bit ^ noise) << 8));
    }
    return 2 * (run(o, TOM, 0) + operator_at(o, CYMBAL, mixed << 9 | 0x80));
}

static int channel(struct opl3 *o, unsigned ch)
{
    if (o->rhythm && ch >= 6 && ch <= 8)
        return drums(o, ch);
    return o->four[ch] ? four(o, ch) : two(o, ch);
}

static bool sounds(const struct opl3 *o, unsigned ch)
{
    unsigned n = 2 * ch;

    return o->stage[n] || o->stage[n + 1] || (o->four[ch] && (o->stage[n + 6] || o->stage[n + 7]));
}

void opl3_frame(struct opl3 *o, int16_t to[2])
{
    int sum[2] = { 0, 0 };

    for (unsigned n = 0; n < OPL3_SLOTS; n++) {
        move_envelope(o, n);
        move_phase(o, n);
    }
    for (unsigned ch = 0; ch < OPL3_CHANNELS; ch++) {
        uint8_t where = opl3_is_new(o) ? o->regs[0xc0 + channel_offset(ch)] >> 4 : 3;
        int value;

        if (o->four[ch] == 2 || !sounds(o, ch))
            continue;
        value = channel(o, ch);
        sum[0] += where & 1 ? value : 0;
        sum[1] += where & 2 ? value : 0;
    }
    for (unsigned c = 0; c < 2; c++)
        to[c] = sum[c] < INT16_MIN ? INT16_MIN : sum[c] > INT16_MAX ? INT16_MAX : sum[c];
    o->noise = o->noise >> 1 | ((o->noise >> 14 ^ o->noise) & 1) << 22;
    o->count++;
}
