/*
 * sb16_adpcm.c - Creative's ADPCM of 4, 2.6 and 2 bits a sample (Hardware Programming Guide, chapter 3).
 *
 * A code is a sign and a magnitude m. The sample moves by m and a half steps (the smallest step: m); the largest m
 * makes the step larger, 0 makes it smaller. 2.6 bits: a byte has two codes of three bits and one of two, whose lowest
 * bit is missing.
 */
#include "hw/audio/sb16_int.h"

static const struct codec {
    uint8_t samples, bits, up;          /* up: the magnitude from which on the step grows */
    uint8_t nsteps, steps[6];
} codecs[SB16_CODECS] = {
    [SB16_ADPCM4] = { 2, 4, 5, 4, { 1, 2, 4, 8 } },
    [SB16_ADPCM26] = { 3, 3, 3, 5, { 1, 2, 4, 8, 10 } },
    [SB16_ADPCM2] = { 4, 2, 1, 6, { 1, 2, 4, 8, 16, 32 } }
};

unsigned sb16_adpcm_samples(enum sb16_codec codec)
{
    return codecs[codec].samples ? codecs[codec].samples : 1;
}

static uint8_t next_sample(struct sb16_adpcm *a, const struct codec *c, unsigned code)
{
    unsigned sign = 1u << (c->bits - 1), m = code & (sign - 1), step = c->steps[a->step];
    int delta = (int)(m * step + step / 2), value = a->value + (code & sign ? -delta : delta);

    if (m >= c->up && a->step + 1 < c->nsteps)
        a->step++;
    else if (m == 0 && a->step)
        a->step--;
    a->value = value < 0 ? 0 : value > 255 ? 255 : value;
    return a->value;
}

unsigned sb16_adpcm_decode(struct sb16_adpcm *a, enum sb16_codec codec, uint8_t byte, uint8_t to[4])
{
    const struct codec *c = &codecs[codec];

    if (a->wants_reference) {
        *a = (struct sb16_adpcm){ .value = byte };
        return 0;
    }
    for (unsigned i = 0; i < c->samples; i++) {
        int shift = 8 - (int)(c->bits * (i + 1));

        to[i] = next_sample(a, c, (shift < 0 ? byte << -shift : byte >> shift) & ((1u << c->bits) - 1));
    }
    return c->samples;
}

void sb16_adpcm_check(struct sb16_adpcm *a, enum sb16_codec codec)
{
    unsigned nsteps = codecs[codec].nsteps;

    if (a->step >= (nsteps ? nsteps : sizeof(codecs[codec].steps)))
        a->step = 0;
}
