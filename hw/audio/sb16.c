/*
 * sb16.c - Sound Blaster 16 (Creative, Sound Blaster Series Hardware Programming Guide; DSP 4.05 unless version= says
 * otherwise): its ports, interrupt and DMA channels, and what else is on the card: OPL3 and MPU-401.
 *
 *   +0-+3  OPL3, as at 388h-38Bh    +4 mixer register    +5 its data    +6 reset (written)    +8, +9  OPL3
 *   +A  DSP's answers               +C  commands; when read, bit 7: busy
 *   +E  bit 7: an answer waits; acknowledges the 8-bit interrupt    +F  the same for 16 bits
 *
 * Which interrupt and channels it has is what the mixer's set-up registers say at the time. Not there: the game port,
 * the CD-ROM's interface, Plug and Play.
 */
#include <stdio.h>

#include "base/log.h"
#include "hw/audio/mpu401.h"
#include "hw/audio/sb16_int.h"
#include "hw/plug.h"

/* Bit n of register 80h is the n-th of these; interrupt 2 is the second controller's 9. */
static const uint8_t irqs[SB16_IRQS] = { 9, 5, 7, 10 };
enum { PORT_MIXER = 4, PORT_MIXER_DATA, PORT_RESET, PORT_READ = 0xa, PORT_COMMAND = 0xc, PORT_STATUS = 0xe,
       PORT_ACK16 };
#define STATUS_ONES 0x7fu
#define IRQ_SETUP 0x80u
#define DMA_SETUP 0x81u

/* ---- lines ---- */

static void drive(struct sb16 *s)
{
    for (unsigned i = 0; i < SB16_IRQS; i++)
        irq_set(&s->lines[i], s->pending && i == s->irq_line);
}

void sb16_irq(struct sb16 *s, uint8_t pending, bool on)
{
    s->pending = on ? s->pending | pending : s->pending & ~pending;
    drive(s);
}

/* The lowest channel whose bit is set, if nobody else has it. */
static uint8_t attach(struct sb16 *s, uint8_t bits)
{
    static const struct dma_user user = { sb16_pcm_ready };
    unsigned ch = bits ? (unsigned)__builtin_ctz(bits) : SB16_NO_DMA;

    if (!bits || !s->dma)
        return SB16_NO_DMA;
    if (dma8237_attach(s->dma, ch, &user, s))
        return ch;
    log_msg(LOG_GUEST, "sb16: DMA channel %u is another device's", ch);
    return SB16_NO_DMA;
}

static void wire(struct sb16 *s)
{
    uint8_t irq = s->mixer[IRQ_SETUP] & 15, dma = s->mixer[DMA_SETUP];

    if (s->channel8 != SB16_NO_DMA)
        dma8237_detach(s->dma, s->channel8);
    if (s->channel16 != SB16_NO_DMA)
        dma8237_detach(s->dma, s->channel16);
    s->channel8 = attach(s, dma & 0x0b);
    s->channel16 = attach(s, dma & 0xe0);
    s->irq_line = irq ? (uint8_t)__builtin_ctz(irq) : SB16_IRQS;
    drive(s);
    sb16_pcm_request(s);
}

void sb16_wire(struct sb16 *s)
{
    wire(s);
    sb16_pcm_ready(s);          /* what waits for a channel may have one now */
}

/* ---- ports ---- */

static uint64_t mixer_read(void *dev, uint64_t off, unsigned size)
{
    struct sb16 *s = dev;

    sb16_pcm_catch_up(s);
    return off ? sb16_mixer_read(s) : s->mixer_index;
}

static void mixer_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct sb16 *s = dev;

    if (off)
        sb16_mixer_write(s, val);
    else
        s->mixer_index = val;
}

static uint64_t reset_read(void *dev, uint64_t off, unsigned size)
{
    return 0xff;
}

static void reset_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    sb16_dsp_reset_port(dev, val);
}

static uint8_t data_status(struct sb16 *s, uint8_t ack)
{
    sb16_irq(s, ack, false);
    return STATUS_ONES | (sb16_dsp_has_data(s) ? 0x80 : 0);
}

/* From +A on. */
static uint64_t dsp_read(void *dev, uint64_t off, unsigned size)
{
    struct sb16 *s = dev;

    sb16_pcm_catch_up(s);
    switch (off + PORT_READ) {
    case PORT_READ: return sb16_dsp_read(s);
    case PORT_COMMAND: return STATUS_ONES | (sb16_dsp_is_busy(s) ? 0x80 : 0);
    case PORT_STATUS: return data_status(s, SB16_IRQ8);
    case PORT_ACK16: return s->version >= 0x400 ? data_status(s, SB16_IRQ16) : 0xff;
    }
    return 0xff;
}

static void dsp_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    if (off + PORT_READ == PORT_COMMAND)
        sb16_dsp_write(dev, val);
}

static const struct io_ops mixer_ops = { mixer_read, mixer_write, 1, LOG_DEV_SB16 };
static const struct io_ops reset_ops = { reset_read, reset_write, 1, LOG_DEV_SB16 };
static const struct io_ops dsp_ops = { dsp_read, dsp_write, 1, LOG_DEV_SB16 };

/* ---- the chip ---- */

static void sb16_reset(void *dev)
{
    struct sb16 *s = dev;

    s->reset_line = s->test = s->last_cmd = s->cmd = s->mixer_index = 0;
    s->out_ready = 0;
    s->last_out = 0xff;
    sb16_dsp_reset(s);
    s->mixer[IRQ_SETUP] = s->irq_setup;
    s->mixer[DMA_SETUP] = s->dma_setup;
    sb16_mixer_reset(s);
    sb16_wire(s);
}

static const char *sb16_check(const void *dev)
{
    const char *why = sb16_dsp_check(dev);

    return why ? why : sb16_pcm_check(dev);
}

static void sb16_loaded(void *dev)
{
    struct sb16 *s = dev;

    sb16_pcm_loaded(s);
    wire(s);
    sb16_mixer_apply(s);
}

static void sb16_free(void *dev)
{
    audio_voice_free(&((struct sb16 *)dev)->voice);
}

#define TRANSFER(t)                                                                                              \
    FIELD_MAX(struct sb16, t.kind, SB16_KINDS - 1), FIELD_MAX(struct sb16, t.codec, SB16_CODECS - 1),            \
    FIELD(struct sb16, t.stereo),                                                                                \
    FIELD(struct sb16, t.is_signed), FIELD(struct sb16, t.automatic), FIELD(struct sb16, t.reference),           \
    FIELD(struct sb16, t.shares_rate), FIELD_MAX(struct sb16, t.block, 0x10000)

static const struct field sb16_state[] = {
    FIELD(struct sb16, reset_line), FIELD(struct sb16, cmd), FIELD(struct sb16, cmd_given),
    FIELD_ARRAY(struct sb16, params), FIELD(struct sb16, nparams), FIELD_ARRAY(struct sb16, out),
    FIELD(struct sb16, out_at), FIELD_MAX(struct sb16, out_len, SB16_OUT_MAX), FIELD(struct sb16, last_out),
    FIELD(struct sb16, last_cmd),
    FIELD(struct sb16, uart), FIELD(struct sb16, speaker), FIELD(struct sb16, test), FIELD(struct sb16, ident),
    FIELD(struct sb16, ident_count), FIELD(struct sb16, ident_waits), FIELD(struct sb16, stereo_input),
    FIELD(struct sb16, block_size), FIELD(struct sb16, rate), FIELD(struct sb16, out_ready), FIELD(struct sb16, busy),
    FIELD_MAX(struct sb16, pending, SB16_IRQ8 | SB16_IRQ16), TRANSFER(now), TRANSFER(next),
    FIELD(struct sb16, left), FIELD(struct sb16, held),
    FIELD(struct sb16, paused), FIELD(struct sb16, stalled), FIELD(struct sb16, ends), FIELD(struct sb16, high_speed),
    FIELD_MAX(struct sb16, odd, 1), FIELD(struct sb16, odd_byte), FIELD_MAX(struct sb16, half, 1),
    FIELD_ARRAY(struct sb16, level),
    FIELD(struct sb16, pace.start), FIELD(struct sb16, pace.done), FIELD(struct sb16, pace.rate),
    FIELD(struct sb16, adpcm.step), FIELD(struct sb16, adpcm.value), FIELD(struct sb16, adpcm.wants_reference),
    FIELD_ARRAY(struct sb16, mixer), FIELD(struct sb16, mixer_index), FIELD_END
};

static const struct chip sb16_chip = {
    "sb16", sizeof(struct sb16), sb16_reset, sb16_state, sb16_loaded, sb16_free, .check = sb16_check
};

/* ---- the card ---- */

struct sb16_props {
    struct plug_common common;
    struct audio *audio;
    uint64_t version, iobase, irq, dma, dma16, mpu;
    bool opl3;
};

static uint8_t irq_bit(unsigned irq)
{
    for (unsigned i = 0; i < SB16_IRQS; i++)
        if (irqs[i] == (irq == 2 ? 9 : irq))
            return 1u << i;
    die(EXIT_CODE_USAGE, "-device sb16: irq=%u: the card has the interrupts 2 (which is 9), 5, 7 and 10", irq);
}

static uint8_t dma_bits(unsigned dma, unsigned dma16)
{
    if (dma != 0 && dma != 1 && dma != 3)
        die(EXIT_CODE_USAGE, "-device sb16: dma=%u: the card has the channels 0, 1 and 3 for bytes", dma);
    if (dma16 != dma && (dma16 < 5 || dma16 > 7))
        die(EXIT_CODE_USAGE, "-device sb16: dma16=%u: the card has the channels 5, 6 and 7 for words, or dma='s", dma16);
    return 1u << dma | 1u << dma16;
}

static void map_ports(struct sb16 *s, struct machine *m, const struct sb16_props *p)
{
    const char *name = p->common.name;
    uint16_t base = (uint16_t)p->iobase;
    char of[64];

    ports_map(m->ports, base + PORT_MIXER, 2, &mixer_ops, s, name);
    ports_map(m->ports, base + PORT_RESET, 1, &reset_ops, s, name);
    ports_map(m->ports, base + PORT_READ, 6, &dsp_ops, s, name);
    if (s->opl) {
        opl3_map(s->opl, m->ports, base, 4, name);
        opl3_map(s->opl, m->ports, base + 8, 2, name);
        opl3_map(s->opl, m->ports, 0x388, 4, name);
    }
    snprintf(of, sizeof(of), "%s/mpu401", name);
    if (p->mpu)
        mpu401_new(m->chips, of, m->ports, (uint16_t)p->mpu);
}

static void make(struct plug_env *env, void *bus, const void *props)
{
    const struct sb16_props *p = props;
    struct machine *m = env->m;
    uint8_t irq = irq_bit((unsigned)p->irq), dma = dma_bits((unsigned)p->dma, (unsigned)p->dma16);
    struct sb16 *s = chip_new(m->chips, &sb16_chip, p->common.name);
    char of[64];

    snprintf(of, sizeof(of), "%s/opl3", p->common.name);
    s->clock = m->clock;
    s->dma = env->dma;
    s->audio = p->audio;
    s->version = (uint16_t)p->version;
    s->irq_setup = irq;
    s->dma_setup = dma;
    s->channel8 = s->channel16 = SB16_NO_DMA;
    for (unsigned i = 0; i < SB16_IRQS; i++)
        s->lines[i] = plug_isa_irq(env, irqs[i]);
    timer_init(&s->timer, s->clock, sb16_pcm_fire, s);
    audio_voice_init(&s->voice, s->audio);
    s->opl = p->opl3 ? opl3_new(m->chips, of, OPL3, s->clock, s->audio) : NULL;
    map_ports(s, m, p);
    sb16_reset(s);
}

static const struct prop sb16_prop[] = {
    { "audiodev", PROP_AUDIODEV, offsetof(struct sb16_props, audio), 0, 0,
      "where its sound goes (-audiodev); none: nowhere" },
    { "version", PROP_NUMBER, offsetof(struct sb16_props, version), 0x100, 0x4ff,
      "of its DSP, 0x405 is 4.05; below 0x400 it has no 16 bits" },
    { "iobase", PROP_NUMBER, offsetof(struct sb16_props, iobase), 0x200, 0x3f0, "its first port" },
    { "irq", PROP_NUMBER, offsetof(struct sb16_props, irq), 2, 10, "its interrupt: 2 (9), 5, 7 or 10" },
    { "dma", PROP_NUMBER, offsetof(struct sb16_props, dma), 0, 3, "its DMA channel for bytes: 0, 1 or 3" },
    { "dma16", PROP_NUMBER, offsetof(struct sb16_props, dma16), 0, 7, "and for words: 5, 6 or 7, or the same" },
    { "mpu", PROP_NUMBER, offsetof(struct sb16_props, mpu), 0, 0xfffe, "port of its MPU-401; 0: it has none" },
    { "opl3", PROP_BOOL, offsetof(struct sb16_props, opl3), 0, 0,
      "its synthesiser, there and at 388h; off leaves the ports to -device adlib" },
    PROP_END
};

const struct plug sb16_plug = {
    "sb16", "Creative Sound Blaster 16", "ISA", sizeof(struct sb16_props),
    &(const struct sb16_props){ .version = 0x405, .iobase = 0x220, .irq = 5, .dma = 1, .dma16 = 5, .mpu = 0x330,
                                .opl3 = true }, sb16_prop, make
};
