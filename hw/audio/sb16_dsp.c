/*
 * sb16_dsp.c - commands of the Sound Blaster's DSP, 1.xx to 4.xx (Creative, Sound Blaster Series Hardware Programming
 * Guide, chapter 6).
 *
 * A command is a byte and its parameters; answers wait to be read. After each byte that is written the DSP is busy for
 * a moment. In UART mode all bytes are MIDI's, in high-speed mode (DSP 2.01 to 3.xx) none is taken; both end with a
 * reset that does nothing else. Invariants: out_at <= out_len <= SB16_OUT_MAX; nparams < what the command has.
 */
#include <string.h>

#include "base/log.h"
#include "hw/audio/sb16_int.h"

#define BUSY_NS 2000u
#define RESET_NS 20000u         /* until a reset is over; software waits for 100 us */
#define RESET_DONE 0xaau
#define RATE_DEFAULT 8000u

struct command {
    uint8_t first, last, params;
    uint16_t since;             /* DSP version */
    void (*run)(struct sb16 *, uint8_t cmd, const uint8_t *p);
};

static void answer(struct sb16 *s, uint8_t val)
{
    if (s->out_at == s->out_len)
        s->out_at = s->out_len = 0;
    if (s->out_len == SB16_OUT_MAX)
        log_msg(LOG_GUEST, "sb16: answers are not read: %02x is lost", val);
    else
        s->out[s->out_len++] = val;
}

/* ---- sound ---- */

/* Commands that are older than Bxh and Cxh: units are bytes. */
enum { AUTO = 1, REFERENCE = 2, RECORD = 4, FAST = 8 };
static const struct old {
    uint8_t cmd, codec, flags;
} olds[] = {
    { 0x14, SB16_PCM8, 0 }, { 0x16, SB16_ADPCM2, 0 }, { 0x17, SB16_ADPCM2, REFERENCE }, { 0x1c, SB16_PCM8, AUTO },
    { 0x1f, SB16_ADPCM2, AUTO | REFERENCE }, { 0x24, SB16_PCM8, RECORD }, { 0x2c, SB16_PCM8, RECORD | AUTO },
    { 0x74, SB16_ADPCM4, 0 }, { 0x75, SB16_ADPCM4, REFERENCE }, { 0x76, SB16_ADPCM26, 0 },
    { 0x77, SB16_ADPCM26, REFERENCE }, { 0x7d, SB16_ADPCM4, AUTO | REFERENCE },
    { 0x7f, SB16_ADPCM26, AUTO | REFERENCE }, { 0x90, SB16_PCM8, AUTO | FAST }, { 0x91, SB16_PCM8, FAST },
    { 0x98, SB16_PCM8, RECORD | AUTO | FAST }, { 0x99, SB16_PCM8, RECORD | FAST },
};

static unsigned length_of(const uint8_t *p)
{
    return (p[0] | p[1] << 8) + 1u;
}

static void cmd_old(struct sb16 *s, uint8_t cmd, const uint8_t *p)
{
    const struct old *o = olds;
    struct sb16_transfer t = { 0 };

    while (o->cmd != cmd)       /* the table of commands has no other */
        o++;
    t.kind = o->flags & RECORD ? SB16_RECORD : SB16_PLAY;
    t.codec = o->codec;
    t.automatic = (o->flags & AUTO) != 0;
    t.reference = (o->flags & REFERENCE) != 0;
    t.block = o->flags & (AUTO | FAST) ? s->block_size + 1u : length_of(p);
    if (s->version < 0x400 && t.codec == SB16_PCM8)
        t.stereo = t.shares_rate = o->flags & RECORD ? s->stereo_input : sb16_mixer_stereo(s);
    sb16_pcm_start(s, &t);
    s->high_speed = o->flags & FAST && s->version < 0x400;
}

static void cmd_new(struct sb16 *s, uint8_t cmd, const uint8_t *p)
{
    struct sb16_transfer t = {
        .kind = cmd & 0x08 ? SB16_RECORD : SB16_PLAY, .codec = cmd < 0xc0 ? SB16_PCM16 : SB16_PCM8,
        .stereo = p[0] >> 5 & 1, .is_signed = p[0] >> 4 & 1, .automatic = cmd >> 2 & 1, .block = length_of(p + 1)
    };

    sb16_pcm_start(s, &t);
}

static void cmd_silence(struct sb16 *s, uint8_t cmd, const uint8_t *p)
{
    sb16_pcm_start(s, &(struct sb16_transfer){ .kind = SB16_SILENCE, .block = length_of(p) });
}

static void cmd_direct_dac(struct sb16 *s, uint8_t cmd, const uint8_t *p)
{
    sb16_pcm_direct(s, p[0]);
}

static void cmd_direct_adc(struct sb16 *s, uint8_t cmd, const uint8_t *p)
{
    answer(s, sb16_pcm_sample(s));
}

static void cmd_time_constant(struct sb16 *s, uint8_t cmd, const uint8_t *p)
{
    sb16_pcm_rate(s, 1000000u / (256u - p[0]));
}

/* 41h and 42h: the DSP has one rate for both directions. */
static void cmd_rate(struct sb16 *s, uint8_t cmd, const uint8_t *p)
{
    sb16_pcm_rate(s, (unsigned)p[0] << 8 | p[1]);
}

static void cmd_block_size(struct sb16 *s, uint8_t cmd, const uint8_t *p)
{
    sb16_pcm_catch_up(s);
    s->block_size = (uint16_t)(length_of(p) - 1);
}

/* D0h, D5h, D4h, D6h */
static void cmd_pause(struct sb16 *s, uint8_t cmd, const uint8_t *p)
{
    sb16_pcm_pause(s, cmd == 0xd5 || cmd == 0xd6, cmd == 0xd0 || cmd == 0xd5);
}

/* D9h, DAh; 45h and 47h: go on after all. */
static void cmd_exit(struct sb16 *s, uint8_t cmd, const uint8_t *p)
{
    sb16_pcm_exit(s, cmd == 0xd9 || cmd == 0x47, cmd >= 0xd9);
}

static void cmd_stereo_input(struct sb16 *s, uint8_t cmd, const uint8_t *p)
{
    s->stereo_input = cmd == 0xa8;
}

static void cmd_speaker(struct sb16 *s, uint8_t cmd, const uint8_t *p)
{
    sb16_pcm_catch_up(s);
    s->speaker = cmd == 0xd1;
}

static void cmd_speaker_status(struct sb16 *s, uint8_t cmd, const uint8_t *p)
{
    answer(s, s->speaker ? 0xff : 0);
}

/* ---- MIDI: nothing is at the plugs ---- */

static void cmd_midi(struct sb16 *s, uint8_t cmd, const uint8_t *p)
{
    if (cmd == 0x38)
        log_dev(SB16, "MIDI %02x goes nowhere", p[0]);
    else
        log_msg(LOG_UNIMP, "sb16: DSP command %02x: there is no MIDI device", cmd);
    s->uart = cmd >= 0x34 && cmd <= 0x37;
}

/* ---- what it is ---- */

static void cmd_invert(struct sb16 *s, uint8_t cmd, const uint8_t *p)
{
    answer(s, ~p[0]);
}

static void cmd_version(struct sb16 *s, uint8_t cmd, const uint8_t *p)
{
    answer(s, s->version >> 8);
    answer(s, s->version);
}

void sb16_dsp_ident(struct sb16 *s)
{
    bool tc;

    s->ident_waits = s->channel8 == SB16_NO_DMA || !dma8237_to_memory(s->dma, s->channel8, &s->ident, 1, &tc);
    sb16_pcm_request(s);
}

/* Copy protection: a byte by DMA that depends on all that were given since the reset. */
static void cmd_dma_ident(struct sb16 *s, uint8_t cmd, const uint8_t *p)
{
    static const uint8_t key[4] = { 0x96, 0xa5, 0x69, 0x5a };

    s->ident += p[0] ^ key[s->ident_count++ % 4];
    s->ident_waits = 1;
    sb16_pcm_catch_up(s);
    sb16_pcm_request(s);
    if (s->channel8 != SB16_NO_DMA && dma8237_granted(s->dma, s->channel8))
        sb16_dsp_ident(s);
}

static void cmd_copyright(struct sb16 *s, uint8_t cmd, const uint8_t *p)
{
    static const char text[] = "COPYRIGHT (C) CREATIVE TECHNOLOGY LTD, 1992.";

    s->out_at = s->out_len = 0;
    for (unsigned i = 0; i < sizeof(text); i++)
        answer(s, text[i]);
}

static void cmd_test(struct sb16 *s, uint8_t cmd, const uint8_t *p)
{
    if (cmd == 0xe4)
        s->test = p[0];
    else
        answer(s, s->test);
}

static void cmd_interrupt(struct sb16 *s, uint8_t cmd, const uint8_t *p)
{
    sb16_irq(s, cmd == 0xf3 ? SB16_IRQ16 : SB16_IRQ8, true);
}

static void cmd_last(struct sb16 *s, uint8_t cmd, const uint8_t *p)
{
    answer(s, s->last_cmd);
}

static void cmd_zero(struct sb16 *s, uint8_t cmd, const uint8_t *p)
{
    answer(s, 0);
}

/* The Advanced Signal Processor, a chip that most cards had no socket for: software that looks finds none. */
static void cmd_asp(struct sb16 *s, uint8_t cmd, const uint8_t *p)
{
    log_msg(LOG_UNIMP, "sb16: DSP command %02x: there is no Advanced Signal Processor", cmd);
    if (cmd == 0x0f)
        answer(s, 0xff);
}

static const struct command commands[] = {
    { 0x04, 0x04, 1, 0x400, cmd_asp }, { 0x05, 0x05, 2, 0x400, cmd_asp }, { 0x08, 0x08, 1, 0x400, cmd_asp },
    { 0x0e, 0x0e, 2, 0x400, cmd_asp }, { 0x0f, 0x0f, 1, 0x400, cmd_asp }, { 0x10, 0x10, 1, 0x100, cmd_direct_dac },
    { 0x14, 0x14, 2, 0x100, cmd_old }, { 0x16, 0x17, 2, 0x100, cmd_old }, { 0x1c, 0x1c, 0, 0x200, cmd_old },
    { 0x1f, 0x1f, 0, 0x200, cmd_old }, { 0x20, 0x20, 0, 0x100, cmd_direct_adc }, { 0x24, 0x24, 2, 0x100, cmd_old },
    { 0x2c, 0x2c, 0, 0x200, cmd_old }, { 0x30, 0x31, 0, 0x100, cmd_midi }, { 0x34, 0x37, 0, 0x200, cmd_midi },
    { 0x38, 0x38, 1, 0x100, cmd_midi }, { 0x40, 0x40, 1, 0x100, cmd_time_constant },
    { 0x41, 0x42, 2, 0x400, cmd_rate },
    { 0x45, 0x45, 0, 0x400, cmd_exit }, { 0x47, 0x47, 0, 0x400, cmd_exit }, { 0x48, 0x48, 2, 0x200, cmd_block_size },
    { 0x74, 0x77, 2, 0x100, cmd_old }, { 0x7d, 0x7d, 0, 0x200, cmd_old }, { 0x7f, 0x7f, 0, 0x200, cmd_old },
    { 0x80, 0x80, 2, 0x100, cmd_silence }, { 0x90, 0x91, 0, 0x201, cmd_old }, { 0x98, 0x99, 0, 0x201, cmd_old },
    { 0xa0, 0xa0, 0, 0x300, cmd_stereo_input }, { 0xa8, 0xa8, 0, 0x300, cmd_stereo_input },
    { 0xb0, 0xcf, 3, 0x400, cmd_new }, { 0xd0, 0xd0, 0, 0x100, cmd_pause }, { 0xd1, 0xd1, 0, 0x100, cmd_speaker },
    { 0xd3, 0xd3, 0, 0x100, cmd_speaker }, { 0xd4, 0xd4, 0, 0x100, cmd_pause }, { 0xd5, 0xd6, 0, 0x400, cmd_pause },
    { 0xd8, 0xd8, 0, 0x200, cmd_speaker_status }, { 0xd9, 0xd9, 0, 0x400, cmd_exit },
    { 0xda, 0xda, 0, 0x200, cmd_exit }, { 0xe0, 0xe0, 1, 0x200, cmd_invert },
    { 0xe1, 0xe1, 0, 0x100, cmd_version }, { 0xe2, 0xe2, 1, 0x100, cmd_dma_ident },
    { 0xe3, 0xe3, 0, 0x400, cmd_copyright }, { 0xe4, 0xe4, 1, 0x200, cmd_test }, { 0xe8, 0xe8, 0, 0x200, cmd_test },
    { 0xf2, 0xf2, 0, 0x100, cmd_interrupt }, { 0xf3, 0xf3, 0, 0x400, cmd_interrupt },
    { 0xf8, 0xf8, 0, 0x100, cmd_zero },
    { 0xfd, 0xfd, 0, 0x400, cmd_last },
};

/* NULL: this DSP has no such command. */
static const struct command *find(const struct sb16 *s, uint8_t cmd)
{
    for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (cmd >= commands[i].first && cmd <= commands[i].last)
            return s->version >= commands[i].since ? &commands[i] : NULL;
    return NULL;
}

/* ---- ports ---- */

void sb16_dsp_write(struct sb16 *s, uint8_t val)
{
    const struct command *c;

    sb16_pcm_catch_up(s);
    if (s->uart || s->high_speed || s->reset_line) {
        log_dev(SB16, "%02x is taken for no command", val);
        return;
    }
    s->busy = clock_now(s->clock) + BUSY_NS;
    if (s->cmd_given)
        s->params[s->nparams++] = val;
    else
        s->cmd = val;
    c = find(s, s->cmd);
    s->cmd_given = c && s->nparams < c->params;
    if (s->cmd_given)
        return;
    s->nparams = 0;
    log_dev(SB16, "DSP command %02x, parameters %02x %02x %02x", s->cmd, s->params[0], s->params[1], s->params[2]);
    if (c)
        c->run(s, s->cmd, s->params);
    else
        log_msg(LOG_UNIMP, "sb16: DSP %u.%02u has no command %02x", s->version >> 8, s->version & 0xffu, s->cmd);
    s->last_cmd = s->cmd;
}

bool sb16_dsp_has_data(const struct sb16 *s)
{
    return s->out_at < s->out_len && clock_now(s->clock) >= s->out_ready;
}

uint8_t sb16_dsp_read(struct sb16 *s)
{
    if (sb16_dsp_has_data(s))
        s->last_out = s->out[s->out_at++];
    return s->last_out;
}

bool sb16_dsp_is_busy(const struct sb16 *s)
{
    return s->high_speed || clock_now(s->clock) < s->busy;
}

static void forget_answers(struct sb16 *s)
{
    s->out_at = s->out_len = s->cmd_given = s->nparams = 0;
}

void sb16_dsp_reset(struct sb16 *s)
{
    forget_answers(s);
    s->uart = s->speaker = s->stereo_input = s->ident_waits = s->ident_count = 0;
    s->ident = 0xaa;
    s->rate = RATE_DEFAULT;
    s->block_size = 0x7ff;
    s->adpcm = (struct sb16_adpcm){ .value = 0x80 };
    s->busy = 0;
    sb16_pcm_stop(s);
    sb16_irq(s, SB16_IRQ8 | SB16_IRQ16, false);
}

void sb16_dsp_reset_port(struct sb16 *s, uint8_t val)
{
    bool was = s->reset_line;

    s->reset_line = val & 1;
    if (!was || s->reset_line)
        return;
    sb16_pcm_catch_up(s);
    if (s->uart || s->high_speed) {
        s->uart = 0;
        if (s->high_speed)
            sb16_pcm_stop(s);
        forget_answers(s);
    } else {
        sb16_dsp_reset(s);
    }
    answer(s, RESET_DONE);
    s->out_ready = clock_now(s->clock) + RESET_NS;
}

const char *sb16_dsp_check(const struct sb16 *s)
{
    const struct command *c = find(s, s->cmd);

    if (s->out_at > s->out_len)
        return "out_at is behind out_len";
    if (s->cmd_given ? !c || s->nparams >= c->params : s->nparams)
        return "nparams is more than cmd takes";
    return NULL;
}
