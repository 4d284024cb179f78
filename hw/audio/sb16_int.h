/*
 * sb16_int.h - what the parts of the Sound Blaster share: sb16.c (ports, lines, the card), sb16_dsp.c (commands),
 * sb16_pcm.c (samples), sb16_adpcm.c, sb16_mixer.c.
 */
#ifndef HW_AUDIO_SB16_INT_H
#define HW_AUDIO_SB16_INT_H

#include "hw/audio_if.h"
#include "hw/audio/opl3.h"
#include "hw/dev.h"
#include "hw/dma8237.h"

#define SB16_IRQS 4u
#define SB16_NO_DMA 0xffu
#define SB16_OUT_MAX 64u        /* bytes of the longest answer, and more */

/* interrupts, as in mixer register 82h */
enum { SB16_IRQ8 = 0x01, SB16_IRQ16 = 0x02 };

/* HOLD: the last value stands at the output, as after a direct DAC write or a block's end. */
enum sb16_kind { SB16_IDLE, SB16_HOLD, SB16_PLAY, SB16_RECORD, SB16_SILENCE, SB16_KINDS };
enum sb16_codec { SB16_PCM8, SB16_PCM16, SB16_ADPCM4, SB16_ADPCM26, SB16_ADPCM2, SB16_CODECS };

struct sb16_adpcm {
    uint8_t step, value;        /* index into the codec's steps; the last sample, 80h is silence */
    uint8_t wants_reference;    /* the next byte is a value as it is */
};

/* What a transfer is made of; units are bytes, or words of 16 bits for PCM16. */
struct sb16_transfer {
    uint8_t kind, codec, stereo, is_signed, automatic, reference;
    uint8_t shares_rate;        /* both channels together have the rate, as on the Sound Blaster Pro */
    uint32_t block;             /* units, at least 1 */
};

struct sb16 {
    struct clock *clock;
    struct dma8237 *dma;
    struct irq lines[SB16_IRQS];
    struct audio *audio;
    struct audio_voice voice;
    struct timer timer;
    struct opl3 *opl;           /* NULL: it has none */
    uint16_t version;           /* of the DSP: 405h is 4.05 */
    uint8_t irq_setup, dma_setup;       /* mixer registers 80h and 81h at power-on: its jumpers */

    /* DSP (sb16_dsp.c) */
    uint8_t reset_line, cmd, cmd_given, params[4], nparams;
    uint8_t out[SB16_OUT_MAX], out_at, out_len, last_out, last_cmd;
    uint8_t uart, speaker, test, ident, ident_count, ident_waits, stereo_input;
    uint16_t block_size, rate;  /* block_size: units less one */
    uint64_t out_ready, busy;   /* until when it is busy */
    uint8_t pending;            /* SB16_IRQ... */

    /* samples (sb16_pcm.c) */
    struct sb16_transfer now, next;     /* next.kind SB16_IDLE: there is none */
    uint32_t left, held;        /* units of the block; frames since HOLD began */
    uint8_t paused, stalled, ends, high_speed;
    uint8_t odd, odd_byte;      /* a word's first byte came, its second did not */
    uint8_t half;               /* a stereo frame's left sample is there: in level[0], or right's in level[1] */
    int16_t level[2];           /* the frame at the output, or the one being recorded */
    struct audio_pace pace;     /* of units; HOLD: frames */
    struct sb16_adpcm adpcm;

    /* lines as they are now (sb16.c) */
    uint8_t channel8, channel16, irq_line;      /* SB16_NO_DMA, SB16_IRQS: none */

    uint8_t mixer[256], mixer_index;
};

/* ---- sb16.c ---- */
void sb16_irq(struct sb16 *, uint8_t pending, bool on);
/* The mixer's set-up registers changed: takes lines and channels. */
void sb16_wire(struct sb16 *);

/* ---- sb16_dsp.c ---- */
void sb16_dsp_reset(struct sb16 *);
void sb16_dsp_reset_port(struct sb16 *, uint8_t val);
void sb16_dsp_write(struct sb16 *, uint8_t val);
uint8_t sb16_dsp_read(struct sb16 *);
bool sb16_dsp_has_data(const struct sb16 *);
bool sb16_dsp_is_busy(const struct sb16 *);
/* The DMA channel takes the byte that command E2h makes. */
void sb16_dsp_ident(struct sb16 *);
const char *sb16_dsp_check(const struct sb16 *);     /* what is wrong with what is to be loaded; NULL: nothing */

/* ---- sb16_pcm.c ---- */
/* Begins once what runs automatically has come to its block's end, if it is of the same kind; otherwise now. */
void sb16_pcm_start(struct sb16 *, const struct sb16_transfer *);
void sb16_pcm_stop(struct sb16 *);
/* All that is due is moved. Before anything of it changes. */
void sb16_pcm_catch_up(struct sb16 *);
void sb16_pcm_direct(struct sb16 *, uint8_t val);
uint8_t sb16_pcm_sample(struct sb16 *);
void sb16_pcm_rate(struct sb16 *, unsigned rate);
void sb16_pcm_pause(struct sb16 *, bool wide, bool on);
/* Automatic blocks end with this one, or do not after all. */
void sb16_pcm_exit(struct sb16 *, bool wide, bool on);
bool sb16_pcm_runs(const struct sb16 *);
/* Asks for the channel that the transfer needs, and for no other. */
void sb16_pcm_request(struct sb16 *);
void sb16_pcm_ready(void *sb16);
void sb16_pcm_fire(void *sb16);
const char *sb16_pcm_check(const struct sb16 *);     /* as sb16_dsp_check() */
void sb16_pcm_loaded(struct sb16 *);

/* ---- sb16_adpcm.c ---- */
/* Samples that a byte stands for. */
unsigned sb16_adpcm_samples(enum sb16_codec);
/* Returns how many were written to `to`, at most 4; a reference is none. */
unsigned sb16_adpcm_decode(struct sb16_adpcm *, enum sb16_codec, uint8_t byte, uint8_t to[4]);
void sb16_adpcm_check(struct sb16_adpcm *, enum sb16_codec);    /* state that was loaded */

/* ---- sb16_mixer.c ---- */
void sb16_mixer_reset(struct sb16 *);
uint8_t sb16_mixer_read(const struct sb16 *);
void sb16_mixer_write(struct sb16 *, uint8_t val);
/* Volumes as the registers say. */
void sb16_mixer_apply(struct sb16 *);
/* By what recorded samples of a channel are multiplied, of AUDIO_UNITY. */
uint32_t sb16_mixer_input(const struct sb16 *, unsigned channel);
bool sb16_mixer_stereo(const struct sb16 *);    /* the Sound Blaster Pro's bit */

#endif
