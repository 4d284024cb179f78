/*
 * sb16_mixer.c - the mixer CT1745 of the Sound Blaster 16, with the registers of the Sound Blaster Pro's CT1345
 * (Creative, Sound Blaster Series Hardware Programming Guide, chapter 4).
 *
 * What is heard is the DSP's voice and the synthesiser, each by its volume, the master's and the output gain. CD, line,
 * microphone and speaker have volumes and switches, but nothing is plugged in there; what is recorded is the host's
 * input, as microphone and line at once. Volumes have five bits, in steps of 2 dB, the uppermost of their registers.
 */
#include <math.h>
#include <string.h>

#include "base/log.h"
#include "hw/audio/sb16_int.h"

enum { RESET = 0x00, PRO_INPUT = 0x0c, PRO_OUTPUT = 0x0e, MASTER = 0x30, VOICE = 0x32, MIDI = 0x34, CD = 0x36,
       LINE = 0x38, MIC = 0x3a, SPEAKER = 0x3b, OUTPUTS = 0x3c, INPUTS = 0x3d, INPUT_GAIN = 0x3f, OUTPUT_GAIN = 0x41, AGC = 0x43, TONE = 0x44, IRQ_SETUP = 0x80, DMA_SETUP, IRQ_STATUS };
#define PRO_STEREO 0x02u
#define DSP_405 0x20u           /* upper bits of IRQ_STATUS */

/* Where the Pro's registers are now: two volumes of four bits in one byte, or one of three. */
static const struct { uint8_t reg, at; } pro[] = {
    { 0x04, VOICE }, { 0x0a, MIC }, { 0x22, MASTER }, { 0x26, MIDI }, { 0x28, CD }, { 0x2e, LINE }
};

static int pro_find(unsigned reg)
{
    for (unsigned i = 0; i < sizeof(pro) / sizeof(pro[0]); i++)
        if (pro[i].reg == reg)
            return pro[i].at;
    return -1;
}

/* Bits that a register has. */
static uint8_t mask_of(unsigned reg)
{
    if (reg >= MASTER && reg <= MIC)
        return 0xf8;
    if (reg == SPEAKER || (reg >= INPUT_GAIN && reg < AGC))
        return 0xc0;
    if (reg >= TONE && reg < TONE + 4)
        return 0xf0;
    switch (reg) {
    case OUTPUTS: return 0x1f;
    case INPUTS: case INPUTS + 1: return 0x7f;
    case AGC: return 0x01;
    case PRO_INPUT: return 0x2e;
    case PRO_OUTPUT: return 0x22;
    case IRQ_SETUP: return 0x0f;
    case DMA_SETUP: return 0xeb;
    }
    return 0;
}

bool sb16_mixer_stereo(const struct sb16 *s)
{
    return s->version >= 0x300 && s->mixer[PRO_OUTPUT] & PRO_STEREO;
}

/* ---- volumes ---- */

/* Volume register `reg`'s factor; the lowest of 32 is 62 dB below the highest. */
static double volume(const struct sb16 *s, unsigned reg)
{
    return pow(10, -2.0 * (31 - (s->mixer[reg] >> 3)) / 20);
}

/* 0, 6, 12 or 18 dB. */
static double gain(const struct sb16 *s, unsigned reg)
{
    return 1u << (s->mixer[reg] >> 6);
}

static uint32_t output(const struct sb16 *s, unsigned reg, unsigned channel)
{
    return (uint32_t)lrint(volume(s, reg + channel) * volume(s, MASTER + channel) * gain(s, OUTPUT_GAIN + channel) *
                           AUDIO_UNITY);
}

void sb16_mixer_apply(struct sb16 *s)
{
    audio_volume(&s->voice, output(s, VOICE, 0), output(s, VOICE, 1));
    if (s->opl)
        opl3_volume(s->opl, output(s, MIDI, 0), output(s, MIDI, 1));
}

/* The input switches of a channel: microphone (bit 0), line right and left (3, 4). */
uint32_t sb16_mixer_input(const struct sb16 *s, unsigned channel)
{
    uint8_t from = s->mixer[INPUTS + channel];
    double sum = from & 0x01 ? volume(s, MIC) : 0;

    sum += from & 0x10 ? volume(s, LINE) : 0;
    sum += from & 0x08 ? volume(s, LINE + 1) : 0;
    return (uint32_t)lrint(sum * gain(s, INPUT_GAIN + channel) * AUDIO_UNITY);
}

/* ---- registers ---- */

void sb16_mixer_reset(struct sb16 *s)
{
    const uint8_t irq = s->mixer[IRQ_SETUP], dma = s->mixer[DMA_SETUP];

    memset(s->mixer, 0, sizeof(s->mixer));
    memset(s->mixer + MASTER, 0xc0, CD - MASTER);
    s->mixer[OUTPUTS] = 0x1f;
    s->mixer[INPUTS] = 0x15;
    s->mixer[INPUTS + 1] = 0x0b;
    memset(s->mixer + TONE, 0x80, 4);
    s->mixer[IRQ_SETUP] = irq;  /* a reset leaves them */
    s->mixer[DMA_SETUP] = dma;
    sb16_mixer_apply(s);
}

uint8_t sb16_mixer_read(const struct sb16 *s)
{
    unsigned reg = s->mixer_index;
    int at = pro_find(reg);

    if (reg == IRQ_STATUS)
        return s->pending | DSP_405;
    if (at == MIC)
        return s->mixer[MIC] >> 5;
    if (at >= 0)
        return (s->mixer[at] & 0xf0) | s->mixer[at + 1] >> 4;
    return s->mixer[reg];
}

static void log_missing(const struct sb16 *s, unsigned reg, uint8_t val)
{
    if (reg >= TONE && reg < TONE + 4 && val >> 4 != 8 && val >> 4 != 7)
        log_msg(LOG_UNIMP, "sb16: mixer register %02x: treble and bass change nothing", reg);
    else if (!mask_of(reg))
        log_msg(LOG_UNIMP, "sb16: there is no mixer register %02x (%02x is written)", reg, val);
}

void sb16_mixer_write(struct sb16 *s, uint8_t val)
{
    unsigned reg = s->mixer_index;
    int at = pro_find(reg);

    sb16_pcm_catch_up(s);
    if (s->opl)
        opl3_catch_up(s->opl);
    if (reg == RESET) {
        sb16_mixer_reset(s);
        return;
    }
    if (at == MIC) {            /* what the Pro's volumes do not have are ones */
        s->mixer[MIC] = (val & 7) << 5 | 0x18;
    } else if (at >= 0) {
        s->mixer[at] = (val & 0xf0) | 8;
        s->mixer[at + 1] = (uint8_t)(val << 4) | 8;
    } else {
        log_missing(s, reg, val);
        s->mixer[reg] = val & mask_of(reg);
    }
    if (reg == IRQ_SETUP || reg == DMA_SETUP)
        sb16_wire(s);
    sb16_mixer_apply(s);
}
