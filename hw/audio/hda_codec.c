/*
 * hda_codec.c - hda-output, hda-duplex, hda-micro: codecs with one converter to a line-out jack or speaker
 * and, but for the first, one from a line-in jack or microphone (High Definition Audio Specification 1.0a,
 * chapter 7).
 *
 *   node 0 root   1 audio function group   2 output converter -> 3 pin   5 pin -> 4 input converter
 *
 * Only the output converter has an amplifier: 63 steps of 1 dB, and mute. Converters take any format that
 * the controller sends; all sizes and rates of the standard are heard.
 */
#include "hw/audio/hda.h"

#include <math.h>
#include <string.h>

#include "base/log.h"

enum { ROOT, GROUP, DAC, PIN_OUT, ADC, PIN_IN, NODES };

enum param { P_VENDOR = 0x00, P_REVISION = 0x02, P_NODES = 0x04, P_GROUP = 0x05, P_GROUP_CAPS = 0x08,
             P_WIDGET = 0x09,
             P_PCM = 0x0a, P_STREAM = 0x0b, P_PIN = 0x0c, P_AMP_IN = 0x0d, P_CONNECTIONS = 0x0e,
             P_POWER = 0x0f,
             P_AMP_OUT = 0x12 };
/* verbs of 12 bits, and of 4 */
enum verb { V_PARAM = 0xf00, V_GET_SELECT = 0xf01, V_SET_SELECT = 0x701, V_LIST = 0xf02, V_GET_POWER = 0xf05,
            V_SET_POWER = 0x705,
            V_GET_STREAM = 0xf06, V_SET_STREAM = 0x706, V_GET_PIN = 0xf07, V_SET_PIN = 0x707,
            V_GET_UNSOL = 0xf08,
            V_SET_UNSOL = 0x708, V_SENSE = 0xf09, V_GET_EAPD = 0xf0c, V_SET_EAPD = 0x70c,
            V_GET_CONFIG = 0xf1c,
            V_SET_CONFIG = 0x71c, V_SUBSYSTEM = 0xf20, V_SET_SUBSYSTEM = 0x720, V_GET_CHANNELS = 0xf2d,
            V_SET_CHANNELS = 0x72d, V_RESET = 0x7ff };
enum { V4_SET_FORMAT = 0x2, V4_SET_AMP = 0x3, V4_GET_FORMAT = 0xa, V4_GET_AMP = 0xb };

#define VENDOR 0x1af40022u
#define AMP_STEPS 63u
#define AMP_MUTE 0x80u
#define AMP_CAPS (1u << 31 | 3u << 16 | AMP_STEPS << 8 | AMP_STEPS)    /* mute; steps of 1 dB; the highest is 0 dB */
#define PCM_CAPS (0x1fu << 16 | 0x7ffu)         /* 8 to 32 bits, 8 to 192 kHz */
#define FORMAT_DEFAULT 0x0011u

struct codec {
    struct hda_codec hda;
    struct audio *audio;
    struct audio_voice voice;
    const struct model *model;
    uint8_t amp[2];             /* left, right: mute and gain */
    uint8_t power[NODES], pin[NODES], stream[NODES], unsol[NODES], eapd[NODES], channels[NODES];
    uint16_t format[NODES];
    uint32_t config[NODES], subsystem;
};

static const struct field codec_state[] = {
    FIELD_ARRAY(struct codec, amp), FIELD_ARRAY(struct codec, power), FIELD_ARRAY(struct codec, pin),
    FIELD_ARRAY(struct codec, stream), FIELD_ARRAY(struct codec, unsol), FIELD_ARRAY(struct codec, eapd),
    FIELD_ARRAY(struct codec, channels), FIELD_ARRAY(struct codec, format), FIELD_ARRAY(struct codec, config),
    FIELD(struct codec, subsystem), FIELD_END
};

struct model {
    uint32_t out, in;           /* default configuration of the pins; in 0: there is none */
};
static const struct model output = { 0x01014010, 0 }, duplex = { 0x01014010, 0x01813020 },
micro = { 0x90170110, 0x90a00120 };

static unsigned nodes(const struct codec *c)
{
    return c->model->in ? NODES : ADC;
}

static void set_volume(struct codec *c)
{
    uint32_t v[2];

    for (unsigned i = 0; i < 2; i++) {
        unsigned down = AMP_STEPS - (c->amp[i] & 0x7f);

        v[i] = c->amp[i] & AMP_MUTE ? 0 : down ? (uint32_t)lrint(pow(10,
            -(double)down / 20) * AUDIO_UNITY) : AUDIO_UNITY;
    }
    if (!(c->pin[PIN_OUT] & 0x40) || c->power[GROUP] == 3)
        v[0] = v[1] = 0;        /* the pin's output is off, or all sleeps */
    audio_volume(&c->voice, v[0], v[1]);
}

static void codec_reset(struct hda_codec *hda)
{
    struct codec *c = (struct codec *)hda;

    audio_stop(&c->voice);
    c->amp[0] = c->amp[1] = AMP_STEPS;
    memset(c->power, 0, sizeof(c->power));
    memset(c->pin, 0, sizeof(c->pin));
    memset(c->stream, 0, sizeof(c->stream));
    memset(c->unsol, 0, sizeof(c->unsol));
    memset(c->eapd, 0, sizeof(c->eapd));
    memset(c->channels, 0, sizeof(c->channels));
    memset(c->config, 0, sizeof(c->config));
    for (unsigned n = 0; n < NODES; n++)
        c->format[n] = n == DAC || n == ADC ? FORMAT_DEFAULT : 0;
    c->eapd[PIN_OUT] = 2;
    c->config[PIN_OUT] = c->model->out;
    c->config[PIN_IN] = c->model->in;
    c->subsystem = VENDOR;
    set_volume(c);
}

/* ---- verbs ---- */

static uint32_t param(const struct codec *c, unsigned node, unsigned p)
{
    static const struct { uint8_t node, param; uint32_t val; } values[] = {
        { ROOT, P_VENDOR, VENDOR }, { ROOT, P_REVISION, 0x00100101 }, { ROOT, P_NODES, GROUP << 16 | 1 },
        { GROUP, P_GROUP, 1 }, { GROUP, P_GROUP_CAPS, 0x808 }, { GROUP, P_PCM, PCM_CAPS }, { GROUP, P_STREAM,
                                                                                             1 },
        { GROUP, P_POWER, 0xf },
        { DAC, P_WIDGET, 0x0000001d }, { DAC, P_PCM, PCM_CAPS }, { DAC, P_STREAM, 1 }, { DAC, P_AMP_OUT,
                                                                                         AMP_CAPS },
        { PIN_OUT, P_WIDGET, 0x00400101 }, { PIN_OUT, P_PIN, 0x10 }, { PIN_OUT, P_CONNECTIONS, 1 },
        { ADC, P_WIDGET, 0x00100111 }, { ADC, P_PCM, PCM_CAPS }, { ADC, P_STREAM, 1 }, { ADC, P_CONNECTIONS,
                                                                                         1 },
        { PIN_IN, P_WIDGET, 0x00400001 }, { PIN_IN, P_PIN, 0x20 },
    };

    if (node == GROUP && p == P_NODES)
        return DAC << 16 | (nodes(c) - DAC);
    for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        if (values[i].node == node && values[i].param == p)
            return values[i].val;
    return 0;                   /* what the standard wants for parameters that are not there */
}

static bool converter(unsigned node)
{
    return node == DAC || node == ADC;
}

static bool pin(unsigned node)
{
    return node == PIN_OUT || node == PIN_IN;
}

/* Those with 16 bits of payload. */
static uint32_t long_verb(struct codec *c, unsigned node, unsigned verb, unsigned val)
{
    switch (verb) {
    case V4_GET_FORMAT:
        return c->format[node];
    case V4_SET_FORMAT:
        if (converter(node))
            c->format[node] = val;
        return 0;
    case V4_GET_AMP:
        return node == DAC && val & 0x8000 ? c->amp[val & 0x2000 ? 0 : 1] : 0;
    case V4_SET_AMP:
        if (node != DAC || !(val & 0x8000))
            return 0;
        for (unsigned i = 0; i < 2; i++) {
            unsigned gain = val & 0x7f;

            if (val & (i ? 0x1000 : 0x2000))
                c->amp[i] = (val & AMP_MUTE) | (gain < AMP_STEPS ? gain : AMP_STEPS);
        }
        set_volume(c);
        return 0;
    }
    return 0;
}

static uint32_t short_verb(struct codec *c, unsigned node, unsigned verb, unsigned val)
{
    switch (verb) {
    case V_PARAM:
        return param(c, node, val);
    case V_LIST:
        return node == PIN_OUT && val == 0 ? DAC : node == ADC && val == 0 ? PIN_IN : 0;
    case V_GET_SELECT: case V_SET_SELECT:       /* there is one connection at most */
        return 0;
    case V_GET_POWER:
        return c->power[node] | c->power[node] << 4;
    case V_SET_POWER:
        if (node == GROUP)
            c->power[node] = (val & 15) < 4 ? val & 15 : 3;
        set_volume(c);
        return 0;
    case V_GET_STREAM:
        return c->stream[node];
    case V_SET_STREAM:
        if (converter(node) && c->stream[node] != val) {
            c->stream[node] = val;
            if (node == DAC)
                audio_stop(&c->voice);
        }
        return 0;
    case V_GET_PIN:
        return c->pin[node];
    case V_SET_PIN:
        if (pin(node))
            c->pin[node] = val & (node == PIN_OUT ? 0x40 : 0x20);
        set_volume(c);
        return 0;
    case V_GET_UNSOL:
        return c->unsol[node];
    case V_SET_UNSOL:
        c->unsol[node] = val & 0xbf;
        return 0;
    case V_SENSE:
        return pin(node) ? 1u << 31 : 0;        /* always plugged in */
    case V_GET_EAPD:
        return c->eapd[node];
    case V_SET_EAPD:
        if (pin(node))
            c->eapd[node] = val & 7;
        return 0;
    case V_GET_CONFIG:
        return c->config[node];
    case V_SET_CONFIG: case V_SET_CONFIG + 1: case V_SET_CONFIG + 2: case V_SET_CONFIG + 3:
        if (pin(node))
            c->config[node] = (c->config[node] & ~(0xffu << 8 * (verb & 3))) | val << 8 * (verb & 3);
        return 0;
    case V_SUBSYSTEM:
        return node == GROUP ? c->subsystem : 0;
    case V_SET_SUBSYSTEM: case V_SET_SUBSYSTEM + 1: case V_SET_SUBSYSTEM + 2: case V_SET_SUBSYSTEM + 3:
        if (node == GROUP)
            c->subsystem = (c->subsystem & ~(0xffu << 8 * (verb & 3))) | val << 8 * (verb & 3);
        return 0;
    case V_GET_CHANNELS:
        return c->channels[node];
    case V_SET_CHANNELS:
        if (converter(node))
            c->channels[node] = val;
        return 0;
    case V_RESET:
        if (node == GROUP)
            codec_reset(&c->hda);
        return 0;
    }
    log_msg(LOG_GUEST, "hda codec: node %u: verb %03xh is not there", node, verb);
    return 0;
}

static uint32_t codec_verb(struct hda_codec *hda, uint32_t command)
{
    struct codec *c = (struct codec *)hda;
    unsigned node = command >> 20 & 0xff;

    if (node >= nodes(c))
        return 0;
    if ((command >> 16 & 0xf) == 0x7 || (command >> 16 & 0xf) == 0xf)
        return short_verb(c, node, command >> 8 & 0xfff, command & 0xff);
    return long_verb(c, node, command >> 16 & 0xf, command & 0xffff);
}

/* ---- streams ---- */

/* A converter without a stream has tag 0, which no stream has. */
static bool belongs(const struct codec *c, unsigned node, unsigned tag)
{
    return tag && c->stream[node] >> 4 == tag && node < nodes(c);
}

static void play(struct hda_codec *hda, unsigned tag, const struct audio_format *f, const void *data,
                 unsigned frames)
{
    struct codec *c = (struct codec *)hda;

    if (!belongs(c, DAC, tag))
        return;
    if (!c->voice.active || memcmp(&c->voice.format, f, sizeof(*f)))
        audio_start(&c->voice, f);
    audio_write(&c->voice, data, frames);
}

static bool record(struct hda_codec *hda, unsigned tag, const struct audio_format *f, void *data,
                   unsigned frames)
{
    struct codec *c = (struct codec *)hda;

    if (!belongs(c, ADC, tag))
        return false;
    audio_read(c->audio, f, data, frames);
    return true;
}

static void stopped(struct hda_codec *hda, unsigned tag)
{
    struct codec *c = (struct codec *)hda;

    if (belongs(c, DAC, tag))
        audio_stop(&c->voice);
}

static const struct hda_codec_ops ops = { codec_verb, codec_reset, play, record, stopped };

static void chip_reset(void *dev)
{
    codec_reset(dev);
}

static void codec_loaded(void *dev)
{
    struct codec *c = dev;

    audio_stop(&c->voice);
    for (unsigned i = 0; i < 2; i++)
        if ((c->amp[i] & 0x7f) > AMP_STEPS)
            c->amp[i] = AMP_STEPS;
    set_volume(c);
}

static void codec_free(void *dev)
{
    audio_voice_free(&((struct codec *)dev)->voice);
}

static const struct chip codec_chip = {
    "hda-codec", sizeof(struct codec), chip_reset, codec_state, codec_loaded, codec_free
};

struct codec_props {
    struct plug_common common;
    struct audio *audio;
    uint64_t cad;
};

#define ANY_CAD HDA_CODECS

static void make(struct hda_bus *bus, const struct codec_props *p, const struct model *model)
{
    struct codec *c = chip_new(bus->chips, &codec_chip, p->common.name);
    unsigned cad = p->cad;

    if (cad == ANY_CAD)
        for (cad = 0; cad < HDA_CODECS && bus->codec[cad]; cad++)
            ;
    if (cad == HDA_CODECS || bus->codec[cad])
        die(EXIT_CODE_USAGE, "-device %s: its controller has no place for it: use another cad",
            p->common.name);
    c->hda.ops = &ops;
    c->model = model;
    c->audio = p->audio;
    audio_voice_init(&c->voice, c->audio);
    bus->codec[cad] = &c->hda;
    codec_reset(&c->hda);
}

static const struct prop props[] = {
    { "audiodev", PROP_AUDIODEV, offsetof(struct codec_props, audio), 0, 0,
      "where its sound goes (-audiodev); none: nowhere" },
    { "cad", PROP_NUMBER, offsetof(struct codec_props, cad), 0, HDA_CODECS - 1,
      "its address; default: the first that is free" },
    PROP_END
};
static const struct codec_props defaults = { .cad = ANY_CAD };

#define CODEC(id, name, what, model)                                                                         \
    static void make_##id(struct plug_env *env, void *bus, const void *p)                                    \
    {                                                                                                        \
        make(bus, p, &model);                                                                                \
    }                                                                                                        \
    const struct plug id##_plug = { name, what, "HDA", sizeof(struct codec_props), &defaults, props,         \
                                    make_##id };

CODEC(hda_output, "hda-output", "HDA codec: line out", output)
CODEC(hda_duplex, "hda-duplex", "HDA codec: line out, line in", duplex)
CODEC(hda_micro, "hda-micro", "HDA codec: speaker, microphone", micro)
